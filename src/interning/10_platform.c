/* What differs between compilers and machines, so that no later part has to ask: system headers, defaults of the
   switches, atomics, unaligned loads, the wide product, locks, random numbers, files. */

#include "02_types.h"

#include <errno.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#if defined(_WIN32)
#define INTERN__POSIX 0
#ifndef WIN32_LEAN_AND_MEAN
#define WIN32_LEAN_AND_MEAN
#endif
#ifndef NOMINMAX
#define NOMINMAX
#endif
#include <windows.h>
#else
#define INTERN__POSIX 1
#include <pthread.h>
#endif
#if defined(__linux__)
#include <sys/syscall.h>
#include <unistd.h>
#endif

#ifndef INTERN_PATHMAP
#define INTERN_PATHMAP 0
#endif
#ifndef INTERN_NO_FILES
#define INTERN_NO_FILES 0
#endif
#ifndef INTERN_NO_SIMD
#define INTERN_NO_SIMD 0
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
#include <stdio.h>
#endif
#if !INTERN_NO_FILES && INTERN__POSIX
#include <fcntl.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>
/* Strict C11 hides these; the prototypes are POSIX's. O_CREAT with O_EXCL follows no link by itself. */
int fsync(int fd);
int fchmod(int fd, mode_t mode);
ssize_t readlink(const char *restrict path, char *restrict to, size_t size);
#ifndef O_CLOEXEC
#define O_CLOEXEC 0
#endif
#ifndef O_NOFOLLOW
#define O_NOFOLLOW 0
#endif
#endif

/* Linux: raw calls, which are no cancellation points. INTERN__FUTEX is 0 or 1. */
#if defined(__linux__)
extern long syscall(long number, ...); /* hidden, likewise */
#endif
#ifndef INTERN__FUTEX
#if defined(__linux__) && (defined(SYS_futex) || defined(SYS_futex_time64))
#define INTERN__FUTEX 1
#else
#define INTERN__FUTEX 0
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

INTERN__INLINE uint64_t intern__rotate(uint64_t w, unsigned by) { return w << by | w >> (64 - by); }

/* Folds the 128-bit product of two words into one. A product alone forgets one factor where the other is 0, and folded
   also where it is all ones; operands that enter once more by exclusive or are forgotten beside a 1. So they are added,
   rotated, and the halves are turned against each other before they meet, lest operand and product cancel. */
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
    return (lo ^ intern__rotate(hi, 32)) + intern__rotate(a, 23) + intern__rotate(b, 41);
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

/* Locks stand between writers of one bucket, and between callers of a snapshot; readers never meet one. One word: 0
   free, 1 taken, 2 taken and perhaps waited for. Zero bytes are a free lock, and a forked child frees one by storing 0.
   Who waits sleeps in the kernel, and cannot be cancelled there. */
typedef struct intern__lock {
    _Atomic uint32_t word;
} intern__lock;

#if INTERN__FUTEX
#if defined(SYS_futex)
#define INTERN__FUTEX_CALL SYS_futex
#else
#define INTERN__FUTEX_CALL SYS_futex_time64
#endif
#define INTERN__FUTEX_WAIT 128 /* both within one process */
#define INTERN__FUTEX_WAKE 129

static void intern__lock_sleep(intern__lock *l) {
    (void)syscall(INTERN__FUTEX_CALL, &l->word, INTERN__FUTEX_WAIT, 2, NULL, NULL, 0);
}

static void intern__lock_wake(intern__lock *l) {
    (void)syscall(INTERN__FUTEX_CALL, &l->word, INTERN__FUTEX_WAKE, 1, NULL, NULL, 0);
}

static void intern__lock_forked(void) {}
#elif INTERN__POSIX
/* Elsewhere all sleep at one place of the process. */
static pthread_mutex_t intern__sleep_mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_cond_t intern__sleep_cond = PTHREAD_COND_INITIALIZER;

static void intern__lock_sleep(intern__lock *l) {
    int state;
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
    pthread_mutex_lock(&intern__sleep_mutex);
    while (INTERN__LOAD(&l->word, INTERN__RELAXED) == 2) pthread_cond_wait(&intern__sleep_cond, &intern__sleep_mutex);
    pthread_mutex_unlock(&intern__sleep_mutex);
    pthread_setcancelstate(state, &state);
}

static void intern__lock_wake(intern__lock *l) {
    (void)l;
    pthread_mutex_lock(&intern__sleep_mutex);
    pthread_cond_broadcast(&intern__sleep_cond);
    pthread_mutex_unlock(&intern__sleep_mutex);
}

/* In a forked child: those who slept are gone. */
static void intern__lock_forked(void) {
    static const pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
    static const pthread_cond_t cond = PTHREAD_COND_INITIALIZER;
    intern__sleep_mutex = mutex;
    intern__sleep_cond = cond;
}
#else
static SRWLOCK intern__sleep_mutex = SRWLOCK_INIT;
static CONDITION_VARIABLE intern__sleep_cond = CONDITION_VARIABLE_INIT;

static void intern__lock_sleep(intern__lock *l) {
    AcquireSRWLockExclusive(&intern__sleep_mutex);
    while (INTERN__LOAD(&l->word, INTERN__RELAXED) == 2)
        (void)SleepConditionVariableSRW(&intern__sleep_cond, &intern__sleep_mutex, INFINITE, 0);
    ReleaseSRWLockExclusive(&intern__sleep_mutex);
}

static void intern__lock_wake(intern__lock *l) {
    (void)l;
    AcquireSRWLockExclusive(&intern__sleep_mutex);
    WakeAllConditionVariable(&intern__sleep_cond);
    ReleaseSRWLockExclusive(&intern__sleep_mutex);
}

static void intern__lock_forked(void) {}
#endif

static bool intern__lock_try(intern__lock *l) {
    uint32_t none = 0;
    return atomic_compare_exchange_strong_explicit(&l->word, &none, 1, INTERN__ACQUIRE, INTERN__RELAXED);
}

/* Mostly the holder is through in a moment: look a few times before going to sleep. */
INTERN__NOINLINE void intern__lock_wait(intern__lock *l) {
    int kept = errno;
    for (unsigned i = 0; i < 100; i++)
        if (INTERN__LOAD(&l->word, INTERN__RELAXED) == 0 && intern__lock_try(l)) return;
    while (atomic_exchange_explicit(&l->word, 2, INTERN__ACQUIRE) != 0) intern__lock_sleep(l);
    errno = kept;
}

INTERN__INLINE void intern__lock_take(intern__lock *l) {
    INTERN_ON_LOCK();
    if (INTERN__UNLIKELY(!intern__lock_try(l))) intern__lock_wait(l);
}

INTERN__INLINE void intern__lock_give(intern__lock *l) {
    if (INTERN__UNLIKELY(atomic_exchange_explicit(&l->word, 0, INTERN__RELEASE) == 2)) intern__lock_wake(l);
}

/* In a forked child, for a lock whose holder may be gone; or to begin with. */
static void intern__lock_reset(intern__lock *l) { atomic_init(&l->word, 0); }

/* Calls on files are cancellation points, and would leave files open and half written. */
INTERN__UNUSED static int intern__cancel_hold(void) {
    int state = 0;
#if INTERN__POSIX
    pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state);
#endif
    return state;
}

INTERN__UNUSED static void intern__cancel_release(int state) {
    (void)state;
#if INTERN__POSIX
    pthread_setcancelstate(state, &state);
#endif
}

/* Asks the system for a random word; 0 if it has none. */
#if INTERN__POSIX
static uint64_t intern__random_system(void) {
    uint64_t w = 0;
#if defined(__linux__) && defined(SYS_getrandom)
    if (syscall(SYS_getrandom, &w, sizeof w, 1) != (long)sizeof w) w = 0; /* 1: without waiting */
#endif
#if !INTERN_NO_FILES
    int state = intern__cancel_hold(), fd = w ? -1 : open("/dev/urandom", O_RDONLY | O_CLOEXEC);
    if (fd >= 0 && read(fd, &w, sizeof w) != (ssize_t)sizeof w) w = 0;
    if (fd >= 0) close(fd);
    intern__cancel_release(state);
#endif
    return w;
}

static uint64_t intern__clock(void) {
    struct timespec now = {0, 0};
    (void)timespec_get(&now, TIME_UTC);
    return (uint64_t)now.tv_nsec ^ (uint64_t)now.tv_sec << 32;
}
#else
BOOLEAN NTAPI SystemFunction036(PVOID bytes, ULONG n); /* documented as RtlGenRandom; in advapi32 */

static uint64_t intern__random_system(void) {
    uint64_t w = 0;
    return SystemFunction036(&w, sizeof w) ? w : 0;
}

static uint64_t intern__clock(void) {
    LARGE_INTEGER ticks;
    return QueryPerformanceCounter(&ticks) ? (uint64_t)ticks.QuadPart : 0;
}
#endif

/* A random word, not 0, that outsiders cannot guess; where the system gives none, one that they will hardly guess. */
static uint64_t intern__random(void) {
    static _Atomic uint64_t drawn;
    int kept = errno;
    uint64_t w = intern__random_system();
    errno = kept;
    if (w) return w;
    w = intern__mix(intern__clock(), (uint64_t)clock() << 32 ^ (uintptr_t)&w);
    INTERN_ON_ATOMIC_RMW();
    w = intern__mix(w ^ (uintptr_t)&drawn, w + atomic_fetch_add_explicit(&drawn, 1, INTERN__RELAXED));
    return w + (w == 0);
}
