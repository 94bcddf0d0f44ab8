/* The test frame: one program per test file, which includes this header once, before the library.

       #include "check.h"
       #include "library.h"                     (pathmap.h, compiled once for all tests; or a copy of the test's own:)

       #define PATHMAP_STATIC
       #define PM_MALLOC(n) check_malloc(n)     (optional: counts, can fail, checks sizes at free)
       #define PM_FREE(p, n) check_free(p, n)
       #include "../pathmap.h"

       TEST(map_set_replaces_value) {           (subject, then behaviour; registers itself)
           CHECK_OK(pm_set(&m, "a", 1, 7, NULL));
           CHECK_EQ(*pm_get(&m, "a", 1), 7);
       }

   The program's arguments: `--seed N` (decimal; default 1), `-v` (names tests as they start), `--list`, and words, of
   which a test's name must contain one to be run. A failed check prints file, line, expression, seed and the command
   that runs the test again, and leaves the test; the program goes on with the next and exits with 1. The last line is
   always `N passed, N failed, N skipped`. In a thread other than the one that runs the test, a failed check is
   recorded and the thread goes on: check_failed() tells. */
#ifndef CHECK_H
#define CHECK_H

#include <inttypes.h>
#include <setjmp.h>
#include <signal.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A failed check returns on threads that a test started, so to gcc every result that a check vouches for may be
   unset after it. The headers themselves are compiled with this warning by other programs of the tests. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#define CHECK__UNUSED __attribute__((unused))

typedef struct check__test {
    const char *name;
    void (*run)(void);
    struct check__test *next;
} check__test;

/* One program, one including file: plain statics serve. */
static check__test *check__first, **check__last = &check__first;
static const char *check__program = "test", *check__current = "";
static uint64_t check__seed = 1, check__rng;
static atomic_int check__failures; /* of the current test */
static bool check__was_skipped;
static _Thread_local jmp_buf *check__escape; /* where a failed check goes; NULL on threads that a test started */

/* Defines a test. Tests run in the order of their definitions. */
#define TEST(test_name)                                                                                               \
    static void check__body_##test_name(void);                                                                        \
    __attribute__((constructor)) static void check__register_##test_name(void) {                                      \
        static check__test t = {#test_name, check__body_##test_name, NULL};                                           \
        *check__last = &t;                                                                                            \
        check__last = &t.next;                                                                                        \
    }                                                                                                                 \
    static void check__body_##test_name(void)

/* Leaves the test, counted as skipped, with a reason that is always shown. Only on the test's own thread. */
#define SKIP(reason) check__skip(reason)

/* Checks. Every argument is evaluated once. */
#define CHECK(expr) ((expr) ? (void)0 : check__fail(__FILE__, __LINE__, #expr, NULL))
/* The same, with a printf-style note for the reader of a failure. */
#define CHECK_NOTE(expr, ...)                                                                                         \
    do {                                                                                                              \
        if (!(expr)) {                                                                                                \
            char check__note[512];                                                                                    \
            snprintf(check__note, sizeof check__note, __VA_ARGS__);                                                   \
            check__fail(__FILE__, __LINE__, #expr, check__note);                                                      \
        }                                                                                                             \
    } while (0)
/* Integers, booleans and enums of any type; compared as 64-bit words, signs extended. */
#define CHECK_EQ(a, b) check__eq(__FILE__, __LINE__, #a " == " #b, (uint64_t)(a), (uint64_t)(b), true)
#define CHECK_NE(a, b) check__eq(__FILE__, __LINE__, #a " != " #b, (uint64_t)(a), (uint64_t)(b), false)
/* A status of zero. */
#define CHECK_OK(status) check__eq(__FILE__, __LINE__, #status " == 0", (uint64_t)(status), 0, true)
#define CHECK_PTR_EQ(a, b) check__ptr_eq(__FILE__, __LINE__, #a " == " #b, (a), (b))
#define CHECK_STR_EQ(a, b) check__str_eq(__FILE__, __LINE__, #a " equals " #b, (a), (b))
/* Byte strings. */
#define CHECK_MEM_EQ(a, a_len, b, b_len) check__mem_eq(__FILE__, __LINE__, #a " equals " #b, (a), (a_len), (b), (b_len))

CHECK__UNUSED static void check__fail(const char *file, int line, const char *expr, const char *note) {
    fprintf(stderr, "%s:%d: %s: failed: %s\n", file, line, check__current, expr);
    if (note) fprintf(stderr, "    %s\n", note);
    fprintf(stderr, "    seed %" PRIu64 "; again: %s --seed %" PRIu64 " %s\n", check__seed, check__program, check__seed,
            check__current);
    atomic_fetch_add(&check__failures, 1);
    if (check__escape) longjmp(*check__escape, 1);
}

CHECK__UNUSED static void check__skip(const char *reason) {
    printf("SKIPPED %s: %s\n", check__current, reason);
    check__was_skipped = true;
    if (check__escape) longjmp(*check__escape, 1);
}

CHECK__UNUSED static void check__eq(const char *file, int line, const char *expr, uint64_t a, uint64_t b, bool want) {
    char note[160];
    if ((a == b) == want) return;
    snprintf(note, sizeof note, "left %" PRId64 " (0x%" PRIx64 "), right %" PRId64 " (0x%" PRIx64 ")", (int64_t)a, a,
             (int64_t)b, b);
    check__fail(file, line, expr, note);
}

CHECK__UNUSED static void check__ptr_eq(const char *file, int line, const char *expr, const void *a, const void *b) {
    char note[80];
    if (a == b) return;
    snprintf(note, sizeof note, "left %p, right %p", a, b);
    check__fail(file, line, expr, note);
}

CHECK__UNUSED static void check__str_eq(const char *file, int line, const char *expr, const char *a, const char *b) {
    char note[400];
    if (a && b && strcmp(a, b) == 0) return;
    snprintf(note, sizeof note, "left \"%.180s\", right \"%.180s\"", a ? a : "(null)", b ? b : "(null)");
    check__fail(file, line, expr, note);
}

/* At most the first 40 bytes; returns the end of what it wrote. */
CHECK__UNUSED static char *check__hex(char *to, const void *bytes, size_t len) {
    const unsigned char *p = bytes;
    for (size_t i = 0; i < len && i < 40; i++) to += sprintf(to, "%02x", p[i]);
    to += sprintf(to, "%s (%zu bytes)", len > 40 ? ".." : "", len);
    return to;
}

CHECK__UNUSED static void check__mem_eq(const char *file, int line, const char *expr, const void *a, size_t a_len,
                                        const void *b, size_t b_len) {
    char note[320], *p = note;
    if (a_len == b_len && (a_len == 0 || memcmp(a, b, a_len) == 0)) return;
    p = check__hex(p + sprintf(p, "left "), a, a_len);
    check__hex(p + sprintf(p, ", right "), b, b_len);
    check__fail(file, line, expr, note);
}

/* How many checks of this test have failed so far; for threads, which go on after a failure. */
CHECK__UNUSED static int check_failed(void) { return atomic_load(&check__failures); }

/* Random numbers: splitmix64, restarted for each test from seed and name, so that a filter changes nothing.
   For the test's own thread; give others a stream of their own through check_rand_from. */
CHECK__UNUSED static uint64_t check_rand_from(uint64_t *state) {
    uint64_t x = *state += 0x9e3779b97f4a7c15u;
    x = (x ^ (x >> 30)) * 0xbf58476d1ce4e5b9u;
    x = (x ^ (x >> 27)) * 0x94d049bb133111ebu;
    return x ^ (x >> 31);
}

CHECK__UNUSED static uint64_t check_rand(void) { return check_rand_from(&check__rng); }

/* A number in 0..n-1; n > 0. */
CHECK__UNUSED static uint64_t check_below(uint64_t n) { return check_rand() % n; }

/* The failing allocator. Blocks carry their size in front, so that a free with another size is caught, and are
   filled with rubbish when made and when freed. Threads may use it; arming and counting are for quiet moments. */

typedef union check__block {
    struct {
        size_t size;
        uint64_t mark;
    } head;
    max_align_t align;
} check__block;

#define CHECK__LIVE UINT64_C(0x6c697665626c6f63)
#define CHECK__DEAD UINT64_C(0x64656164626c6f63)

static atomic_ullong check__allocs, check__fail_first, check__fail_last;
static atomic_ullong check__fails, check__live_blocks, check__live_bytes;

/* From now on the n-th allocation fails (1: the next one), and only that one; 0: none does. Counting starts anew. */
CHECK__UNUSED static void check_fail_alloc(uint64_t n) {
    atomic_store(&check__allocs, 0);
    atomic_store(&check__fails, 0);
    atomic_store(&check__fail_first, n);
    atomic_store(&check__fail_last, n);
}

/* The same, but every allocation from the n-th on fails. */
CHECK__UNUSED static void check_fail_allocs_from(uint64_t n) {
    check_fail_alloc(n);
    if (n) atomic_store(&check__fail_last, UINT64_MAX);
}

/* Since the last arming: allocations asked for, and how many of them were made to fail. */
CHECK__UNUSED static uint64_t check_allocs(void) { return atomic_load(&check__allocs); }
CHECK__UNUSED static uint64_t check_alloc_fails(void) { return atomic_load(&check__fails); }

/* What is allocated and not yet freed. */
CHECK__UNUSED static uint64_t check_live_blocks(void) { return atomic_load(&check__live_blocks); }
CHECK__UNUSED static uint64_t check_live_bytes(void) { return atomic_load(&check__live_bytes); }

/* Relaxed: what the allocator counts must not order what threads do, or it would hide their races. */
#define check__add(p, n) atomic_fetch_add_explicit(p, n, memory_order_relaxed)
#define check__sub(p, n) atomic_fetch_sub_explicit(p, n, memory_order_relaxed)
#define check__load(p) atomic_load_explicit(p, memory_order_relaxed)

CHECK__UNUSED static void *check_malloc(size_t n) {
    uint64_t turn = check__add(&check__allocs, 1) + 1;
    uint64_t first = check__load(&check__fail_first);
    if (first && turn >= first && turn <= check__load(&check__fail_last)) {
        check__add(&check__fails, 1);
        return NULL;
    }
    if (n > SIZE_MAX - sizeof(check__block)) return NULL;
    check__block *b = malloc(sizeof *b + n);
    if (!b) return NULL;
    b->head.size = n;
    b->head.mark = CHECK__LIVE;
    memset(b + 1, 0xa5, n);
    check__add(&check__live_blocks, 1);
    check__add(&check__live_bytes, n);
    return b + 1;
}

/* Bad frees end the program: going on would hide where the damage was done. */
CHECK__UNUSED static void check_free(void *p, size_t n) {
    if (!p) return;
    check__block *b = (check__block *)p - 1;
    if (b->head.mark != CHECK__LIVE || b->head.size != n) {
        fprintf(stderr, "%s: free of %zu bytes at %p, which is %s of %zu bytes\n", check__current, n, p,
                b->head.mark == CHECK__LIVE   ? "a live block"
                : b->head.mark == CHECK__DEAD ? "a block freed before,"
                                              : "no block,",
                b->head.size);
        abort();
    }
    memset(p, 0xdd, n);
    b->head.mark = CHECK__DEAD;
    check__sub(&check__live_blocks, 1);
    check__sub(&check__live_bytes, n);
    free(b);
}

/* The program. Define CHECK_NO_MAIN for a main of your own. */
#ifndef CHECK_NO_MAIN

/* An assertion inside the library names no test by itself. */
static void check__on_abort(int signal_number) {
    (void)signal_number;
    fprintf(stderr, "aborted in %s\n    seed %" PRIu64 "; again: %s --seed %" PRIu64 " %s\n", check__current,
            check__seed, check__program, check__seed, check__current);
}

typedef enum check__outcome { CHECK__PASSED, CHECK__FAILED, CHECK__SKIPPED } check__outcome;

static check__outcome check__run(const check__test *t) {
    jmp_buf escape;
    check__current = t->name;
    check__was_skipped = false;
    atomic_store(&check__failures, 0);
    check_fail_alloc(0);
    check__rng = check__seed;
    for (const char *p = t->name; *p; p++) check__rng = (check__rng ^ (unsigned char)*p) * 0x100000001b3u;
    check__escape = &escape;
    if (setjmp(escape) == 0) t->run();
    check__escape = NULL;
    check_fail_alloc(0);
    if (check_failed()) return CHECK__FAILED;
    return check__was_skipped ? CHECK__SKIPPED : CHECK__PASSED;
}

static bool check__wanted(const char *name, char **words, int n) {
    bool any = false;
    for (int i = 0; i < n; i++) {
        if (!words[i]) continue;
        any = true;
        if (strstr(name, words[i])) return true;
    }
    return !any;
}

/* Takes the options out of argv; what stays are the words of the filter. */
static bool check__options(int argc, char **argv, bool *verbose, bool *list) {
    for (int i = 1; i < argc; i++) {
        char *end = argv[i];
        if (strcmp(argv[i], "-v") == 0) *verbose = true;
        else if (strcmp(argv[i], "--list") == 0) *list = true;
        else if (strcmp(argv[i], "--seed") == 0 && i + 1 < argc) {
            check__seed = strtoull(argv[i + 1], &end, 10);
            if (end == argv[i + 1] || *end) return false;
            argv[i++] = NULL;
        } else if (argv[i][0] == '-') return false;
        else continue;
        argv[i] = NULL;
    }
    return true;
}

int main(int argc, char **argv) {
    bool verbose = false, list = false;
    unsigned counts[3] = {0, 0, 0};
    check__program = argv[0];
    if (!check__options(argc, argv, &verbose, &list)) {
        fprintf(stderr, "usage: %s [--seed N] [-v] [--list] [WORD..]\n", argv[0]);
        return 2;
    }
    signal(SIGABRT, check__on_abort);
    for (const check__test *t = check__first; t; t = t->next) {
        if (!check__wanted(t->name, argv + 1, argc - 1)) continue;
        if (verbose || list) printf("%s\n", t->name);
        fflush(stdout);
        if (!list) counts[check__run(t)]++;
    }
    if (list) return 0;
    if (counts[0] + counts[1] + counts[2] == 0) fprintf(stderr, "%s: no test of that name\n", argv[0]);
    printf("%u passed, %u failed, %u skipped\n", counts[CHECK__PASSED], counts[CHECK__FAILED], counts[CHECK__SKIPPED]);
    fflush(stdout); /* a leak checker may end the program before its streams are flushed */
    return counts[CHECK__FAILED] || counts[CHECK__PASSED] + counts[CHECK__SKIPPED] == 0;
}

#endif /* CHECK_NO_MAIN */
#endif /* CHECK_H */
