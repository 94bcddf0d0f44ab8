/* What differs between compilers, machines and switches, so that no later part has to ask: system headers, defaults
   of the switches, bit tricks, unaligned loads, atomics and a small lock. */
#include "01_config.h"

#include <limits.h>
#include <string.h>

#ifndef PATHMAP_SLIM_PTRS
#define PATHMAP_SLIM_PTRS 1
#endif
#ifndef PATHMAP_JEMALLOC
#define PATHMAP_JEMALLOC 0
#endif
#ifndef PM_NO_MALLOC
#define PM_NO_MALLOC 0
#endif
#ifndef PATHMAP_HUGE_PAGES
#define PATHMAP_HUGE_PAGES 0
#endif
#ifndef PM_POOL
#define PM_POOL (!PM_NO_MALLOC)
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
#ifndef PATHMAP_ZLIB
#define PATHMAP_ZLIB 0
#endif
#ifndef PM_CHECK
#define PM_CHECK 0
#endif
/* __libc_single_threaded. Where read-modify-writes are counted, none is left out. */
#if !defined(PM_SEES_THREADS) && defined(__GLIBC__) && !defined(PM_ON_ATOMIC_RMW) && !PM_NO_THREADS
#if __GLIBC_PREREQ(2, 32)
#define PM_SEES_THREADS 1
#endif
#endif
#ifndef PM_SEES_THREADS
#define PM_SEES_THREADS 0
#endif
#if PM_SEES_THREADS
#include <sys/single_threaded.h>
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
#if PATHMAP_ZLIB
#ifndef ZLIB_CONST
#define ZLIB_CONST /* what it reads from is const */
#endif
#include <zlib.h>
#endif

/* Whose threads: PM__THREADS is one of these. <threads.h> is optional in C11 and missing from many systems, so it comes
   last. */
#define PM__THREADS_NONE 0
#define PM__THREADS_POSIX 1
#define PM__THREADS_WINDOWS 2
#define PM__THREADS_C11 3
#ifndef PM__THREADS
#if PM_NO_THREADS
#define PM__THREADS PM__THREADS_NONE
#elif defined(_WIN32)
#define PM__THREADS PM__THREADS_WINDOWS
#elif defined(__unix__) || defined(__APPLE__)
#define PM__THREADS PM__THREADS_POSIX
#elif !defined(__STDC_NO_THREADS__)
#define PM__THREADS PM__THREADS_C11
#else
#error "pathmap.h knows no threads here: define PM_NO_THREADS as 1 for a program of one thread"
#define PM__THREADS PM__THREADS_NONE
#endif
#endif
#if !PM_NO_THREADS
#include <stdatomic.h>
#endif
#if PM__THREADS == PM__THREADS_POSIX
#include <pthread.h>
#include <time.h>
#elif PM__THREADS == PM__THREADS_WINDOWS
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#elif PM__THREADS == PM__THREADS_C11
#include <threads.h>
#include <time.h>
#endif
#if PM__THREADS && defined(__linux__)
#include <errno.h>
#include <sys/syscall.h>
#endif
/* Files that can be synced, locked and mapped. */
#ifndef PM__FILES
#if PM_NO_STDIO
#define PM__FILES 0
#elif defined(__linux__) || defined(__APPLE__) || defined(__FreeBSD__) || defined(__NetBSD__) || defined(__OpenBSD__)
#define PM__FILES 1
#else
#define PM__FILES 0
#endif
#endif
#if PM__FILES
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/types.h>
#include <unistd.h>
#if defined(__GLIBC__)
/* Strict C11 hides these. With 64 in their names their offsets have one size, whatever macros say. */
extern ssize_t pread64(int fd, void *to, size_t n, __off64_t at);
extern ssize_t pwrite64(int fd, const void *from, size_t n, __off64_t at);
extern int ftruncate64(int fd, __off64_t len);
extern int fsync(int fd);
extern int fdatasync(int fd);
#define pm__pread pread64
#define pm__pwrite pwrite64
#define pm__ftruncate ftruncate64
typedef __off64_t pm__off;
#else
#define pm__pread pread
#define pm__pwrite pwrite
#define pm__ftruncate ftruncate
typedef off_t pm__off;
#endif
#endif
/* A process can fork while other threads are at work, and pthread_atfork tells of it. */
#define PM__FORKS (PM__THREADS == PM__THREADS_POSIX)

/* No key, byte string or array is longer, in bytes: a length above is the caller's mistake. */
#define PM__LEN_MAX (SIZE_MAX / 4)

/* Our own invariants. Arguments are refused, not asserted; what level 1 finds is told by pm__accuse (16_guard.c). */
#if PM_CHECK >= 2
#define PM__CHECK2(c) PM_ASSERT(c)
#else
#define PM__CHECK2(c) ((void)0)
#endif

#if PM_NO_MALLOC
#if defined(PM_MALLOC) || !PM_NO_THREADS
#error "PM_NO_MALLOC has an allocator of its own, for one thread: define PM_NO_THREADS as 1, and no PM_MALLOC"
#endif
#define PM__MALLOC_LASTS 0
#define PM_MALLOC(n) pm__mem_lent_take(n)
#define PM_FREE(p, n) pm__mem_lent_give((p), (n))
#elif !defined(PM_MALLOC)
#include <stdlib.h>
#define PM__MALLOC_LASTS 1 /* beyond main and all destructors */
#if PATHMAP_JEMALLOC
#include <jemalloc/jemalloc.h>
#define PM_MALLOC(n) mallocx((n), 0)
#define PM_FREE(p, n) sdallocx((p), (n), 0)
#else
#define PM_MALLOC(n) malloc(n)
#define PM_FREE(p, n) ((void)(n), free(p))
#endif
#else
#define PM__MALLOC_LASTS 0
#endif

/* Bytes of a huge page, where memory from malloc is to be backed with such; else 0. */
#if PATHMAP_HUGE_PAGES && PM__MALLOC_LASTS && !PATHMAP_JEMALLOC && defined(__linux__) && \
    (defined(__x86_64__) || defined(__aarch64__))
#define PM__HUGE_PAGE 0x200000u
extern int madvise(void *p, size_t n, int advice); /* strict C11 hides it, */
#define PM__MADV_HUGEPAGE 14                       /* and this */
#else
#define PM__HUGE_PAGE 0
#endif

#if defined(__GNUC__)
#define PM__LIKELY(c) __builtin_expect(!!(c), 1)
#define PM__UNLIKELY(c) __builtin_expect(!!(c), 0)
#define PM__UNUSED __attribute__((unused))
#define PM__INLINE inline __attribute__((always_inline, unused))
#define PM__NOINLINE __attribute__((noinline, unused))
#define PM__COLD __attribute__((noinline, cold, unused)) /* what is seldom run: small rather than fast */
#define PM__PREFETCH(p) __builtin_prefetch((p))
#else
#define PM__LIKELY(c) (c)
#define PM__UNLIKELY(c) (c)
#define PM__UNUSED
#define PM__INLINE inline
#define PM__NOINLINE
#define PM__COLD
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

/* What threads write all the time stands this far from what others read. */
enum { PM__APART = 64 };

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

/* As long as the C library knows of one thread, counts that no other process has need no atomic read-modify-write.
   Measured: a clone that is written and dropped changes 80 to 95 counts twice, and takes 0.5 to 0.66 of the time. */
#if PM_SEES_THREADS
static bool pm__count_elsewhere; /* other processes may have counts of ours (15_region.c) */

static PM__INLINE bool pm__count_is_alone(void) { return __libc_single_threaded && !pm__count_elsewhere; }
PM__UNUSED static void pm__count_share(void) { pm__count_elsewhere = true; }

static PM__INLINE pm__count_word pm__count_change(pm__count *c, pm__count_word by) {
    const pm__count_word old = pm__load_relaxed(c);
    pm__store_relaxed(c, old + by);
    return old;
}
#else
#define pm__count_is_alone() false
#define pm__count_change(c, by) 0
#define pm__count_share() ((void)0)
#endif

static PM__INLINE pm__count_word pm__count_fetch_add(pm__count *c) {
    if (pm__count_is_alone()) return pm__count_change(c, 1);
    return PM__COUNT_RMW(fetch_add_relaxed)(c, 1);
}
static PM__INLINE pm__count_word pm__count_fetch_sub(pm__count *c) {
    if (pm__count_is_alone()) return pm__count_change(c, (pm__count_word)-1);
#if PM__TSAN
    return PM__COUNT_RMW(fetch_sub_acq_rel)(c, 1);
#else
    return PM__COUNT_RMW(fetch_sub_release)(c, 1);
#endif
}

/* ---- waiting ------------------------------------------------------------------------------------------------- */

/* A thread that has nothing to do until another has changed a word waits in the kernel. pm__wait returns when the word
   is not `seen`, at once if that is so already; when pm__wake is called for the word; when `us` microseconds have
   passed (0: no limit), for which it returns true; or for no reason, so the caller looks again. pm__wake uses the
   address only: the word's memory may have been freed. Neither is a place where a thread can be cancelled. */
#ifndef PM__SPINS
#define PM__SPINS 64 /* looks at a word before the kernel is asked; tests make this small */
#endif
#ifndef PM__FUTEX
#if !PM_NO_THREADS && defined(__linux__) && defined(__GNUC__) && defined(__NR_futex) &&                                \
    !(defined(__x86_64__) && defined(__ILP32__))
#define PM__FUTEX 1
#else
#define PM__FUTEX 0
#endif
#endif

#if !PM_NO_THREADS && defined(__linux__) && defined(__GNUC__)
extern long syscall(long number, ...); /* <unistd.h> hides it from strict C11 */
#endif

static PM__INLINE void pm__pause(void) {
#if PM__SSE2 && !PM_NO_THREADS
    _mm_pause();
#endif
}

#if PM_NO_THREADS
PM__UNUSED static bool pm__wait(pm__a32 *word, uint32_t seen, long us) {
    bool there_is_somebody_to_wait_for = false;
    PM__CHECK2(there_is_somebody_to_wait_for);
    (void)there_is_somebody_to_wait_for;
    (void)word;
    (void)seen;
    (void)us;
    return true;
}

PM__UNUSED static void pm__wake(pm__a32 *word, bool all) {
    (void)word;
    (void)all;
}
#elif PM__FUTEX
PM__UNUSED static bool pm__wait(pm__a32 *word, uint32_t seen, long us) {
    struct {
        long s, ns;
    } limit = {us / 1000000, us % 1000000 * 1000};
    /* 128: waiters and wakers are of one process. The kernel compares the word under a lock that wakers take too. */
    return syscall(__NR_futex, (void *)word, 0 | 128, seen, us ? &limit : NULL, NULL, 0) != 0 && errno == ETIMEDOUT;
}

PM__UNUSED static void pm__wake(pm__a32 *word, bool all) {
    (void)syscall(__NR_futex, (void *)word, 1 | 128, all ? INT_MAX : 1, NULL, NULL, 0);
}
#elif PM__THREADS == PM__THREADS_C11
/* A mutex of C11 needs set-up that can fail, so who waits looks again after a nap. */
PM__UNUSED static bool pm__wait(pm__a32 *word, uint32_t seen, long us) {
    struct timespec nap = {us / 1000000, us % 1000000 * 1000};
    if (us == 0) nap.tv_nsec = 50000;
    if (pm__load_acquire(word) != seen) return false;
    (void)thrd_sleep(&nap, NULL);
    return us != 0;
}

PM__UNUSED static void pm__wake(pm__a32 *word, bool all) {
    (void)word;
    (void)all;
}
#else
/* Without futexes: a few rooms to wait in, found by the word's address. Who wakes, wakes the whole room. */
#if PM__THREADS == PM__THREADS_POSIX
typedef struct pm__room {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int cancel; /* of the thread that is in the room: whether it could be cancelled before */
} pm__room;
#define PM__ROOM {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0}

static void pm__room_enter(pm__room *r) {
    int cancel = 0;
    (void)pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &cancel);
    (void)pthread_mutex_lock(&r->lock);
    r->cancel = cancel;
}

static void pm__room_leave(pm__room *r) {
    int cancel = r->cancel;
    (void)pthread_mutex_unlock(&r->lock);
    (void)pthread_setcancelstate(cancel, &cancel);
}

/* Waits outside the room; returns true when the time has passed. */
static bool pm__room_sleep(pm__room *r, long us) {
    int cancel = r->cancel;
    bool passed = false;
    if (us) {
        struct timespec until;
        (void)timespec_get(&until, TIME_UTC);
        until.tv_sec += us / 1000000;
        until.tv_nsec += us % 1000000 * 1000;
        if (until.tv_nsec >= 1000000000) until.tv_nsec -= 1000000000, until.tv_sec++;
        passed = pthread_cond_timedwait(&r->changed, &r->lock, &until) != 0;
    } else {
        (void)pthread_cond_wait(&r->changed, &r->lock);
    }
    r->cancel = cancel;
    return passed;
}

static void pm__room_wake(pm__room *r) { (void)pthread_cond_broadcast(&r->changed); }
#else
typedef struct pm__room {
    SRWLOCK lock;
    CONDITION_VARIABLE changed;
} pm__room;
#define PM__ROOM {SRWLOCK_INIT, CONDITION_VARIABLE_INIT}

static void pm__room_enter(pm__room *r) { AcquireSRWLockExclusive(&r->lock); }
static void pm__room_leave(pm__room *r) { ReleaseSRWLockExclusive(&r->lock); }

static bool pm__room_sleep(pm__room *r, long us) {
    return !SleepConditionVariableSRW(&r->changed, &r->lock, us ? (DWORD)((us + 999) / 1000) : INFINITE, 0);
}

static void pm__room_wake(pm__room *r) { WakeAllConditionVariable(&r->changed); }
#endif
static pm__room pm__rooms[8] = {PM__ROOM, PM__ROOM, PM__ROOM, PM__ROOM, PM__ROOM, PM__ROOM, PM__ROOM, PM__ROOM};

static pm__room *pm__room_of(const pm__a32 *word) {
    return &pm__rooms[(uint64_t)(uintptr_t)word * 0x9E3779B97F4A7C15u >> 61];
}

PM__UNUSED static bool pm__wait(pm__a32 *word, uint32_t seen, long us) {
    pm__room *r = pm__room_of(word);
    pm__room_enter(r);
    bool passed = pm__load_acquire(word) == seen && pm__room_sleep(r, us);
    pm__room_leave(r);
    return passed;
}

PM__UNUSED static void pm__wake(pm__a32 *word, bool all) {
    pm__room *r = pm__room_of(word);
    (void)all;
    pm__room_enter(r);
    pm__room_wake(r);
    pm__room_leave(r);
}
#endif

/* Microseconds since some moment: for deadlines. Where there is no clock that nobody sets, the time of day. */
PM__UNUSED static uint64_t pm__clock_us(void) {
#if PM_NO_THREADS
    return 0; /* nobody is waited for */
#elif PM__FUTEX && defined(__NR_clock_gettime)
    struct {
        long s, ns;
    } now = {0, 0};
    (void)syscall(__NR_clock_gettime, 1, &now);
    return (uint64_t)now.s * 1000000 + (uint64_t)now.ns / 1000;
#elif PM__THREADS == PM__THREADS_WINDOWS
    return (uint64_t)GetTickCount64() * 1000;
#else
    struct timespec now = {0, 0};
    (void)timespec_get(&now, TIME_UTC);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
#endif
}

/* In a forked child, whose only thread waits for nobody: who was in a room or waited is gone. */
PM__UNUSED static void pm__wait_forked(void) {
#if PM__THREADS == PM__THREADS_POSIX && !PM__FUTEX
    for (unsigned i = 0; i < sizeof pm__rooms / sizeof *pm__rooms; i++) pm__rooms[i] = (pm__room)PM__ROOM;
#endif
}

/* Looks at a word for a moment. True: it is not `seen` any more, there is nothing to wait for. */
PM__UNUSED static bool pm__spin(pm__a32 *word, uint32_t seen) {
    for (unsigned left = PM__SPINS; left; left--) {
        if (pm__load_relaxed(word) != seen) return true;
        pm__pause();
    }
    return false;
}

/* ---- fences of which one side is nearly free ----------------------------------------------------------------- */

/* Two threads that each store one word and then load the other's need a full fence on both sides, or both may miss what
   the other stored. Where one side runs seldom it can ask the kernel to have every running thread of the process pass a
   full fence, and the side that runs often only keeps the compiler from moving its load up. ThreadSanitizer does not
   know such fences: its builds, like other systems, use sequentially consistent stores and loads. */
#if PM__FUTEX && !PM__TSAN && defined(__NR_membarrier)
#define PM__MEMBARRIER 1
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

/* The same without the system's help, after a store of the caller's: gives all threads time. What another thread has
   stored leaves its processor's store buffer as fast as memory can take it, and at the latest when the thread is
   interrupted or put aside: within microseconds, and C asks that it be "within a reasonable amount of time". So after
   10 milliseconds everybody sees what we had stored before, and we see every store that goes before a load that did
   not see it. For rare use: who is to be waited for like that, should go over to full fences of his own. */
PM__UNUSED static void pm__fence_by_time(void) {
    enum { PARTS = 40, PART_US = 250 }; /* parts, since a signal ends a wait */
    pm__a32 nobody_changes_this;
    pm__store_relaxed(&nobody_changes_this, 0);
    for (unsigned passed = 0; passed < PARTS;) passed += pm__wait(&nobody_changes_this, 0, PART_US);
}

/* The cheap side: the compiler moves no load up across it. */
#if PM_NO_THREADS
#define pm__fence_compiler() ((void)0)
#else
#define pm__fence_compiler() atomic_signal_fence(memory_order_seq_cst)
#endif

/* ---- ends of threads ----------------------------------------------------------------------------------------- */

/* A key under which each thread can keep a pointer; `end` is called with it when the thread ends. All return whether
   that could be done. pm__key_drop: no thread's end is noticed from then on. */
#if PM__THREADS == PM__THREADS_POSIX
typedef pthread_key_t pm__key;
PM__UNUSED static bool pm__key_make(pm__key *k, void (*end)(void *)) { return pthread_key_create(k, end) == 0; }
PM__UNUSED static bool pm__key_set(pm__key k, void *p) { return pthread_setspecific(k, p) == 0; }
PM__UNUSED static void pm__key_drop(pm__key k) { (void)pthread_key_delete(k); }
#elif PM__THREADS == PM__THREADS_C11
typedef tss_t pm__key;
PM__UNUSED static bool pm__key_make(pm__key *k, void (*end)(void *)) { return tss_create(k, end) == thrd_success; }
PM__UNUSED static bool pm__key_set(pm__key k, void *p) { return tss_set(k, p) == thrd_success; }
PM__UNUSED static void pm__key_drop(pm__key k) { tss_delete(k); }
#elif PM__THREADS == PM__THREADS_WINDOWS
/* Callbacks of fiber-local storage may come when a thread's variables are gone already (those that gcc emulates), and
   come for living threads when the key is given up. So ends go unnoticed. */
typedef int pm__key;
PM__UNUSED static bool pm__key_make(pm__key *k, void (*end)(void *)) {
    (void)end;
    *k = 0;
    return false;
}

PM__UNUSED static bool pm__key_set(pm__key k, void *p) {
    (void)k;
    (void)p;
    return false;
}

PM__UNUSED static void pm__key_drop(pm__key k) { (void)k; }
#endif

/* ---- lock ---------------------------------------------------------------------------------------------------- */

/* For short critical sections. Zero is unlocked, so static objects need no set-up that could fail. Who finds it taken
   looks for a moment, then waits in the kernel: a holder that is put aside has the processor to himself. */
typedef struct pm__lock {
    pm__a32 held; /* 0 free, 1 taken, 2 taken and somebody may be waiting */
} pm__lock;

PM__UNUSED static PM__NOINLINE void pm__lock_wait(pm__lock *l) {
    for (unsigned left = PM__SPINS; left; left--) {
        uint32_t free_word = 0;
        pm__pause();
        if (pm__load_relaxed(&l->held) == 0 && pm__a32_cas(&l->held, &free_word, 1)) return;
    }
    /* Who has waited does not know whether others do: it takes the lock as one that has waiters. */
    while (pm__a32_exchange(&l->held, 2) != 0) (void)pm__wait(&l->held, 2, 0);
}

PM__UNUSED static void pm__lock_acquire(pm__lock *l) {
#if PM_NO_THREADS
    (void)l;
#else
    uint32_t free_word = 0;
    /* Acquires what the exchange in pm__lock_release has released. */
    if (PM__UNLIKELY(!pm__a32_cas(&l->held, &free_word, 1))) pm__lock_wait(l);
#endif
}

/* The lock may be freed by who takes it next: after the exchange only its address is used. */
PM__UNUSED static void pm__lock_release(pm__lock *l) {
#if PM_NO_THREADS
    (void)l;
#else
    if (PM__UNLIKELY(pm__a32_exchange(&l->held, 0) == 2)) pm__wake(&l->held, false);
#endif
}
