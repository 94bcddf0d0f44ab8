/* What differs between compilers and machines, so that no later part has to ask: system headers, defaults of the
   switches, atomics, the lock, unaligned loads, the wide product, thread numbers, files. */

#include "01_config.h"

#include <limits.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#ifndef INTERN_PATHMAP
#define INTERN_PATHMAP 0
#endif
#ifndef INTERN_NO_FILES
#define INTERN_NO_FILES 0
#endif
#ifndef INTERN_NO_SIMD
#define INTERN_NO_SIMD 0
#endif
#ifndef INTERN_PEARSON_BOUND
#define INTERN_PEARSON_BOUND 8
#endif
#if INTERN_PEARSON_BOUND < 0 || INTERN_PEARSON_BOUND > 64
#error "INTERN_PEARSON_BOUND must be 0 to 64"
#endif
#ifndef INTERN_ON_ATOMIC_RMW
#define INTERN_ON_ATOMIC_RMW() ((void)0)
#endif
#ifndef INTERN_ON_LOCK
#define INTERN_ON_LOCK() ((void)0)
#endif
#ifndef INTERN_MALLOC
#define INTERN_MALLOC(n) malloc(n)
#define INTERN_FREE(p, n) ((void)(n), free(p))
#endif

/* INTERN__SSE2 is 0 or 1: use `#if`, not `#ifdef`. */
#if !INTERN_NO_SIMD && defined(__SSE2__)
#define INTERN__SSE2 1
#include <emmintrin.h>
#else
#define INTERN__SSE2 0
#endif

#if !INTERN_NO_FILES
#include <fcntl.h>
#include <stdio.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
/* Strict C11 hides these two; the prototype is POSIX's. */
int fsync(int fd);
#ifndef O_CLOEXEC
#define O_CLOEXEC 0
#endif
#endif

#if defined(__GNUC__)
#define INTERN__LIKELY(c) __builtin_expect(!!(c), 1)
#define INTERN__UNLIKELY(c) __builtin_expect(!!(c), 0)
#define INTERN__INLINE static inline __attribute__((always_inline, unused))
#define INTERN__NOINLINE static __attribute__((noinline, unused))
#define INTERN__UNUSED __attribute__((unused))
#define INTERN__PREFETCH(p) __builtin_prefetch(p)
#define INTERN__UNROLL_8 _Pragma("GCC unroll 8")
#define INTERN__HIDE(v) __asm__("" : "+r"(v)) /* the compiler forgets what it knew of the variable */
#else
#define INTERN__LIKELY(c) (c)
#define INTERN__UNLIKELY(c) (c)
#define INTERN__INLINE static inline
#define INTERN__NOINLINE static
#define INTERN__UNUSED
#define INTERN__PREFETCH(p) ((void)(p))
#define INTERN__UNROLL_8
#define INTERN__HIDE(v) ((void)0)
#endif

/* The names of orderings are long and stand in nearly every line that matters. */
#define INTERN__RELAXED memory_order_relaxed
#define INTERN__ACQUIRE memory_order_acquire
#define INTERN__RELEASE memory_order_release
#define INTERN__LOAD(p, order) atomic_load_explicit((p), (order))
#define INTERN__STORE(p, v, order) atomic_store_explicit((p), (v), (order))

#if defined(__BYTE_ORDER__) && __BYTE_ORDER__ == __ORDER_BIG_ENDIAN__
#define INTERN__BIG_ENDIAN 1
#else
#define INTERN__BIG_ENDIAN 0
#endif

/* Eight bytes as a little-endian number, from any address. */
INTERN__INLINE uint64_t intern__load64(const void *p) {
    uint64_t w;
    memcpy(&w, p, 8);
#if INTERN__BIG_ENDIAN
    w = __builtin_bswap64(w);
#endif
    return w;
}

INTERN__INLINE uint32_t intern__load32(const void *p) {
    uint32_t w;
    memcpy(&w, p, 4);
#if INTERN__BIG_ENDIAN
    w = __builtin_bswap32(w);
#endif
    return w;
}

INTERN__INLINE void intern__store64(void *p, uint64_t w) {
#if INTERN__BIG_ENDIAN
    w = __builtin_bswap64(w);
#endif
    memcpy(p, &w, 8);
}

/* Folds the 128-bit product of two words into one. The operands enter once more, so that a factor of zero does not
   swallow the other. */
INTERN__INLINE uint64_t intern__mix(uint64_t a, uint64_t b) {
#if defined(__SIZEOF_INT128__)
    __extension__ typedef unsigned __int128 intern__u128;
    intern__u128 r = (intern__u128)a * b;
    uint64_t lo = (uint64_t)r, hi = (uint64_t)(r >> 64);
#else
    uint64_t a0 = (uint32_t)a, a1 = a >> 32, b0 = (uint32_t)b, b1 = b >> 32;
    uint64_t low = a0 * b0, mid = a1 * b0 + (low >> 32), mid2 = a0 * b1 + (uint32_t)mid;
    uint64_t lo = mid2 << 32 | (uint32_t)low, hi = a1 * b1 + (mid >> 32) + (mid2 >> 32);
#endif
    return lo ^ hi ^ a ^ (b << 1);
}

INTERN__INLINE unsigned intern__lowest_bit(uint64_t m) {
#if defined(__GNUC__)
    return (unsigned)__builtin_ctzll(m);
#else
    unsigned i = 0;
    while (!(m >> i & 1)) i++;
    return i;
#endif
}

/* Locks stand between writers of one bucket, and between callers of a snapshot; readers never meet one. */
typedef pthread_mutex_t intern__lock;

static void intern__lock_init(intern__lock *l) { pthread_mutex_init(l, NULL); }
static void intern__lock_destroy(intern__lock *l) { pthread_mutex_destroy(l); }

INTERN__INLINE void intern__lock_take(intern__lock *l) {
    INTERN_ON_LOCK();
    pthread_mutex_lock(l);
}

INTERN__INLINE void intern__lock_give(intern__lock *l) { pthread_mutex_unlock(l); }

/* A number for the calling thread, never 0 and never given twice: unlike thread handles and addresses of
   thread-local objects, which come back after a thread has ended. */
INTERN__INLINE uint64_t intern__thread_number(void) {
    static _Atomic uint64_t last;
    static _Thread_local uint64_t mine;
    if (INTERN__UNLIKELY(mine == 0)) {
        INTERN_ON_ATOMIC_RMW();
        mine = atomic_fetch_add_explicit(&last, 1, INTERN__RELAXED) + 1;
    }
    return mine;
}

#if !INTERN_NO_FILES
/* Maps a file privately: writes to it stay in this process. An empty file is mapped as NULL. */
static bool intern__file_map(const char *path, uint8_t **at, size_t *len) {
    struct stat st;
    bool mapped = false;
    int fd = open(path, O_RDONLY | O_CLOEXEC);
    if (fd < 0) return false;
    if (fstat(fd, &st) == 0 && S_ISREG(st.st_mode) && (uint64_t)st.st_size <= SIZE_MAX) {
        void *p = NULL;
        *len = (size_t)st.st_size;
        if (*len) p = mmap(NULL, *len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0);
        mapped = p != MAP_FAILED;
        if (mapped) *at = (uint8_t *)p;
    }
    close(fd);
    return mapped;
}

static void intern__file_unmap(void *at, size_t len) { munmap(at, len); }

/* A write may take fewer bytes than it was given: go on until all are taken. */
static bool intern__file_write(void *ctx, const void *data, size_t len) {
    const uint8_t *p = (const uint8_t *)data;
    while (len) {
        ssize_t n = write(*(int *)ctx, p, len < 1u << 30 ? len : 1u << 30);
        if (n <= 0) return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}
#else
static void intern__file_unmap(void *at, size_t len) { (void)at, (void)len; }
#endif
