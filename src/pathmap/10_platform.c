/* What differs between compilers, machines and switches, so that no later part has to ask: system headers, defaults
   of the switches, bit tricks, unaligned loads, atomics and a small lock. */
#include "01_config.h"

#include <limits.h>
#include <stdlib.h>
#include <string.h>

#ifndef PATHMAP_SLIM_PTRS
#define PATHMAP_SLIM_PTRS 1
#endif
#ifndef PATHMAP_JEMALLOC
#define PATHMAP_JEMALLOC 0
#endif
#ifndef PM_POOL
#define PM_POOL 1
#endif
#ifndef PM_NO_THREADS
#define PM_NO_THREADS 0
#endif
#ifndef PM_NO_STDIO
#define PM_NO_STDIO 0
#endif
#ifndef PM_NO_SIMD
#define PM_NO_SIMD 0
#endif
#ifndef PM_CHECK
#define PM_CHECK 0
#endif
#ifndef PM_ON_ATOMIC_RMW
#define PM_ON_ATOMIC_RMW() ((void)0)
#endif
#ifndef PM_ASSERT
#include <assert.h>
#define PM_ASSERT(c) assert(c)
#endif
#if !PM_NO_STDIO
#include <stdio.h>
#endif
#if !PM_NO_THREADS
#include <stdatomic.h>
#include <threads.h>
#if defined(__linux__)
#include <sys/syscall.h>
#endif
#endif

/* No key, byte string or array is longer, in bytes: a length above is the caller's mistake. */
#define PM__LEN_MAX (SIZE_MAX / 4)

/* Checks of level 1 guard the caller's arguments, those of level 2 our own invariants. */
#if PM_CHECK >= 1
#define PM__CHECK1(c) PM_ASSERT(c)
#else
#define PM__CHECK1(c) ((void)0)
#endif
#if PM_CHECK >= 2
#define PM__CHECK2(c) PM_ASSERT(c)
#else
#define PM__CHECK2(c) ((void)0)
#endif

#ifndef PM_MALLOC
#if PATHMAP_JEMALLOC
#include <jemalloc/jemalloc.h>
#define PM_MALLOC(n) mallocx((n), 0)
#define PM_FREE(p, n) sdallocx((p), (n), 0)
#else
#define PM_MALLOC(n) malloc(n)
#define PM_FREE(p, n) ((void)(n), free(p))
#endif
#endif

#if defined(__GNUC__)
#define PM__LIKELY(c) __builtin_expect(!!(c), 1)
#define PM__UNLIKELY(c) __builtin_expect(!!(c), 0)
#define PM__UNUSED __attribute__((unused))
#define PM__INLINE inline __attribute__((always_inline, unused))
#define PM__NOINLINE __attribute__((noinline, unused))
#define PM__PREFETCH(p) __builtin_prefetch((p))
#else
#define PM__LIKELY(c) (c)
#define PM__UNLIKELY(c) (c)
#define PM__UNUSED
#define PM__INLINE inline
#define PM__NOINLINE
#define PM__PREFETCH(p) ((void)(p))
#endif

/* PM__SSE2, PM__AVX2 and PM__BMI2 are 0 or 1: use `#if`, not `#ifdef`. */
#if !PM_NO_SIMD && (defined(__SSE2__) || defined(_M_X64))
#define PM__SSE2 1
#include <emmintrin.h>
#else
#define PM__SSE2 0
#endif
#if PM__SSE2 && defined(__AVX2__)
#define PM__AVX2 1
#include <immintrin.h>
#else
#define PM__AVX2 0
#endif
#if PM__SSE2 && defined(__BMI2__) && defined(__x86_64__)
#define PM__BMI2 1
#include <immintrin.h>
#else
#define PM__BMI2 0
#endif

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define PM__BIG_ENDIAN 1
#else
#define PM__BIG_ENDIAN 0
#endif

#if defined(__SANITIZE_THREAD__)
#define PM__TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define PM__TSAN 1
#endif
#endif
#ifndef PM__TSAN
#define PM__TSAN 0
#endif

#if PM_NO_THREADS
#define PM__THREAD_LOCAL
#else
#define PM__THREAD_LOCAL _Thread_local
#endif

/* ---- bits ---------------------------------------------------------------------------------------------------- */

/* Without a popcount instruction the builtin is a call into a table; this form stays inline. */
static PM__INLINE unsigned pm__popcount64(uint64_t x) {
#if defined(__GNUC__) && (defined(__POPCNT__) || defined(__aarch64__))
    return (unsigned)__builtin_popcountll(x);
#else
    x = x - ((x >> 1) & 0x5555555555555555u);
    x = (x & 0x3333333333333333u) + ((x >> 2) & 0x3333333333333333u);
    x = (x + (x >> 4)) & 0x0f0f0f0f0f0f0f0fu;
    return (unsigned)((x * 0x0101010101010101u) >> 56);
#endif
}

/* Number of zero bits below the lowest set bit; x is not 0. */
static PM__INLINE unsigned pm__ctz64(uint64_t x) {
#if defined(__GNUC__)
    return (unsigned)__builtin_ctzll(x);
#else
    return pm__popcount64((x & (0 - x)) - 1);
#endif
}

/* Number of zero bits above the highest set bit; x is not 0. */
static PM__INLINE unsigned pm__clz64(uint64_t x) {
#if defined(__GNUC__)
    return (unsigned)__builtin_clzll(x);
#else
    x |= x >> 1;
    x |= x >> 2;
    x |= x >> 4;
    x |= x >> 8;
    x |= x >> 16;
    x |= x >> 32;
    return 64 - pm__popcount64(x);
#endif
}

static PM__INLINE uint64_t pm__bswap64(uint64_t x) {
#if defined(__GNUC__)
    return __builtin_bswap64(x);
#else
    x = ((x & 0x00ff00ff00ff00ffu) << 8) | ((x >> 8) & 0x00ff00ff00ff00ffu);
    x = ((x & 0x0000ffff0000ffffu) << 16) | ((x >> 16) & 0x0000ffff0000ffffu);
    return (x << 32) | (x >> 32);
#endif
}

/* ---- unaligned memory ---------------------------------------------------------------------------------------- */

static PM__INLINE uint32_t pm__load32(const void *p) {
    uint32_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static PM__INLINE uint64_t pm__load64(const void *p) {
    uint64_t v;
    memcpy(&v, p, sizeof v);
    return v;
}

static PM__INLINE void pm__store32(void *p, uint32_t v) { memcpy(p, &v, sizeof v); }
static PM__INLINE void pm__store64(void *p, uint64_t v) { memcpy(p, &v, sizeof v); }

/* First byte of memory in the lowest byte of the word: the first difference of two words is their lowest one. */
static PM__INLINE uint64_t pm__load64le(const void *p) {
    uint64_t v = pm__load64(p);
    return PM__BIG_ENDIAN ? pm__bswap64(v) : v;
}

static PM__INLINE void pm__store64le(void *p, uint64_t v) { pm__store64(p, PM__BIG_ENDIAN ? pm__bswap64(v) : v); }

static PM__INLINE uint32_t pm__load32le(const void *p) {
    uint32_t v = pm__load32(p);
    return PM__BIG_ENDIAN ? (uint32_t)(pm__bswap64(v) >> 32) : v;
}

/* First byte of memory in the highest byte: comparing words orders them as memcmp orders the bytes. */
static PM__INLINE uint64_t pm__load64be(const void *p) {
    uint64_t v = pm__load64(p);
    return PM__BIG_ENDIAN ? v : pm__bswap64(v);
}

/* The first min(n, 8) bytes as by pm__load64le, zeros above them. Reads nothing outside [p, p + n). */
static PM__INLINE uint64_t pm__load_upto8(const void *p, size_t n) {
    const unsigned char *b = (const unsigned char *)p;
    if (n >= 8) return pm__load64le(b);
    if (n >= 4) return pm__load32le(b) | (uint64_t)pm__load32le(b + n - 4) << (8 * (n - 4));
    if (n == 0) return 0;
    /* For 1 to 3 bytes: first, middle and last cover all; equal positions give equal bits. */
    return b[0] | (uint64_t)b[n >> 1] << (8 * (n >> 1)) | (uint64_t)b[n - 1] << (8 * (n - 1));
}

/* ---- atomics ------------------------------------------------------------------------------------------------- */

/* Plain objects without threads. Loads and stores are macros over any of the types; each read-modify-write is a
   function, so that PM_ON_ATOMIC_RMW() runs before it. */
#if PM_NO_THREADS
typedef uint32_t pm__a32;
typedef uint64_t pm__a64;
typedef void *pm__aptr;
#define pm__load_relaxed(p) (*(p))
#define pm__load_acquire(p) (*(p))
#define pm__load_seq_cst(p) (*(p))
#define pm__store_relaxed(p, v) ((void)(*(p) = (v)))
#define pm__store_release(p, v) ((void)(*(p) = (v)))
#define pm__store_seq_cst(p, v) ((void)(*(p) = (v)))
#define pm__fence_acquire() ((void)0)
#define PM__DEFINE_RMW(name, type, T)                                                                                  \
    static PM__INLINE T pm__##name##_exchange(type *p, T v) {                                                          \
        T old = *p;                                                                                                    \
        *p = v;                                                                                                        \
        return old;                                                                                                    \
    }                                                                                                                  \
    static PM__INLINE bool pm__##name##_cas(type *p, T *expected, T desired) {                                         \
        if (*p == *expected) {                                                                                         \
            *p = desired;                                                                                              \
            return true;                                                                                               \
        }                                                                                                              \
        *expected = *p;                                                                                                \
        return false;                                                                                                  \
    }
#define PM__DEFINE_ARITH_OP(name, type, T, verb, order, op)                                                            \
    static PM__INLINE T pm__##name##_##verb##_##order(type *p, T v) {                                                  \
        T old = *p;                                                                                                    \
        *p = old op v;                                                                                                 \
        return old;                                                                                                    \
    }
#else
typedef _Atomic(uint32_t) pm__a32;
typedef _Atomic(uint64_t) pm__a64;
typedef _Atomic(void *) pm__aptr;
#define pm__load_relaxed(p) atomic_load_explicit((p), memory_order_relaxed)
#define pm__load_acquire(p) atomic_load_explicit((p), memory_order_acquire)
#define pm__load_seq_cst(p) atomic_load_explicit((p), memory_order_seq_cst)
#define pm__store_relaxed(p, v) atomic_store_explicit((p), (v), memory_order_relaxed)
#define pm__store_release(p, v) atomic_store_explicit((p), (v), memory_order_release)
#define pm__store_seq_cst(p, v) atomic_store_explicit((p), (v), memory_order_seq_cst)
/* ThreadSanitizer knows no fences: its builds strengthen the read-modify-write that goes before (pm__count_fetch_sub),
   so the fence itself has nothing left to do. */
#if PM__TSAN
#define pm__fence_acquire() ((void)0)
#else
#define pm__fence_acquire() atomic_thread_fence(memory_order_acquire)
#endif
/* exchange: acquire and release. cas: strong; acquire and release on success, acquire on failure. */
#define PM__DEFINE_RMW(name, type, T)                                                                                  \
    static PM__INLINE T pm__##name##_exchange(type *p, T v) {                                                          \
        PM_ON_ATOMIC_RMW();                                                                                            \
        return atomic_exchange_explicit(p, v, memory_order_acq_rel);                                                   \
    }                                                                                                                  \
    static PM__INLINE bool pm__##name##_cas(type *p, T *expected, T desired) {                                         \
        PM_ON_ATOMIC_RMW();                                                                                            \
        return atomic_compare_exchange_strong_explicit(p, expected, desired, memory_order_acq_rel,                     \
                                                       memory_order_acquire);                                          \
    }
#define PM__DEFINE_ARITH_OP(name, type, T, verb, order, op)                                                            \
    static PM__INLINE T pm__##name##_##verb##_##order(type *p, T v) {                                                  \
        PM_ON_ATOMIC_RMW();                                                                                            \
        return atomic_##verb##_explicit(p, v, memory_order_##order);                                                   \
    }
#endif

#define PM__DEFINE_ARITH(name, type, T)                                                                                \
    PM__DEFINE_ARITH_OP(name, type, T, fetch_add, relaxed, +)                                                          \
    PM__DEFINE_ARITH_OP(name, type, T, fetch_add, acq_rel, +)                                                          \
    PM__DEFINE_ARITH_OP(name, type, T, fetch_add, seq_cst, +)                                                          \
    PM__DEFINE_ARITH_OP(name, type, T, fetch_sub, relaxed, -)                                                          \
    PM__DEFINE_ARITH_OP(name, type, T, fetch_sub, release, -)                                                          \
    PM__DEFINE_ARITH_OP(name, type, T, fetch_sub, acq_rel, -)                                                          \
    PM__DEFINE_ARITH_OP(name, type, T, fetch_or, acq_rel, |)                                                           \
    PM__DEFINE_ARITH_OP(name, type, T, fetch_and, acq_rel, &)

PM__DEFINE_RMW(a32, pm__a32, uint32_t)
PM__DEFINE_RMW(a64, pm__a64, uint64_t)
PM__DEFINE_RMW(aptr, pm__aptr, void *)
PM__DEFINE_ARITH(a32, pm__a32, uint32_t)
PM__DEFINE_ARITH(a64, pm__a64, uint64_t)

/* The reference count of a node: 32 bits in slim mode, 64 in standard mode. Additions are relaxed, subtractions
   release; who takes the last reference issues pm__fence_acquire before it frees. */
#if PATHMAP_SLIM_PTRS
typedef pm__a32 pm__count;
typedef uint32_t pm__count_word;
#define PM__COUNT_RMW(verb) pm__a32_##verb
#else
typedef pm__a64 pm__count;
typedef uint64_t pm__count_word;
#define PM__COUNT_RMW(verb) pm__a64_##verb
#endif
static PM__INLINE pm__count_word pm__count_load_relaxed(const pm__count *c) { return pm__load_relaxed(c); }
static PM__INLINE pm__count_word pm__count_load_acquire(const pm__count *c) { return pm__load_acquire(c); }
static PM__INLINE void pm__count_store(pm__count *c, pm__count_word v) { pm__store_relaxed(c, v); }
static PM__INLINE pm__count_word pm__count_fetch_add(pm__count *c) { return PM__COUNT_RMW(fetch_add_relaxed)(c, 1); }
static PM__INLINE pm__count_word pm__count_fetch_sub(pm__count *c) {
#if PM__TSAN
    return PM__COUNT_RMW(fetch_sub_acq_rel)(c, 1);
#else
    return PM__COUNT_RMW(fetch_sub_release)(c, 1);
#endif
}

/* ---- fences of which one side is nearly free ----------------------------------------------------------------- */

/* Two threads that each store one word and then load the other's need a full fence on both sides, or both may miss what
   the other stored. Where one side runs seldom it can ask the kernel to have every running thread of the process pass a
   full fence, and the side that runs often only keeps the compiler from moving its load up. ThreadSanitizer does not
   know such fences: its builds, like other systems, use sequentially consistent stores and loads. */
#if !PM_NO_THREADS && !PM__TSAN && defined(__linux__) && defined(__GNUC__) && defined(__NR_membarrier)
#define PM__MEMBARRIER 1
extern long syscall(long number, ...); /* <unistd.h> hides it from strict C11 */
#else
#define PM__MEMBARRIER 0
#endif

/* Prepares for pm__fence_all. False: not to be had, both sides need full fences of their own. */
PM__UNUSED static bool pm__fence_prepare(void) {
#if PM__MEMBARRIER
    return syscall(__NR_membarrier, 16, 0) == 0 && syscall(__NR_membarrier, 8, 0) == 0; /* register, and try it */
#else
    return false;
#endif
}

/* A full fence in every running thread of the process. False: the system refuses what it had granted. */
PM__UNUSED static bool pm__fence_all(void) {
#if PM__MEMBARRIER
    return syscall(__NR_membarrier, 8, 0) == 0 || pm__fence_prepare(); /* a forked child may have to register anew */
#else
    return true;
#endif
}

/* The cheap side: the compiler moves no load up across it. */
#if PM_NO_THREADS
#define pm__fence_compiler() ((void)0)
#else
#define pm__fence_compiler() atomic_signal_fence(memory_order_seq_cst)
#endif

/* ---- lock ---------------------------------------------------------------------------------------------------- */

/* For short critical sections without calls into user code. Zero is unlocked, so static objects need no set-up that
   could fail; a waiter soon yields, so an unlucky holder is not starved on few cores. */
typedef struct pm__lock {
    pm__a32 held;
} pm__lock;

PM__UNUSED static void pm__lock_acquire(pm__lock *l) {
#if PM_NO_THREADS
    (void)l;
#else
    for (unsigned spins = 0;; spins++) {
        uint32_t free_word = 0;
        /* Pairs with the release store in pm__lock_release. */
        if (pm__load_relaxed(&l->held) == 0 && pm__a32_cas(&l->held, &free_word, 1)) return;
        if (spins > 64) {
            thrd_yield();
            continue;
        }
#if PM__SSE2
        _mm_pause();
#endif
    }
#endif
}

PM__UNUSED static void pm__lock_release(pm__lock *l) {
#if PM_NO_THREADS
    (void)l;
#else
    pm__store_release(&l->held, 0);
#endif
}
