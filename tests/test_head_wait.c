/* Writers of a head by turns: who waits is woken, and gets all it asked for or nothing; order; limits of time; lack of
   memory at every allocation. Conflicts as text; the fewest writers for a set of prefixes. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <errno.h>
#include <limits.h>
#include <pthread.h>
#include <time.h>

#ifndef PM_POOL
#define PM_POOL 0 /* every node an allocation of its own: each can be made to fail */
#endif
#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#include "../pathmap.h"

enum { MOST = 8, SOON = 20000 /* microseconds: to wait in vain */ };

typedef struct under {
    pm_map m;
    pm_head *h;
} under;

static void begin(under *u) {
    u->m = pm_new(NULL, NULL);
    CHECK_OK(pm_set(&u->m, "a/1", 3, 1, NULL));
    CHECK_OK(pm_head_new(&u->m, &u->h));
}

static void finish(under *u) {
    CHECK(u->h->turns == NULL && u->h->claim_ends == NULL);
    CHECK_OK(pm_head_free(u->h, NULL, NULL));
    CHECK_OK(pm_check(&u->m, NULL));
    pm_drop(&u->m);
}

static pm_wz writer_at(pm_head *h, const char *path) {
    pm_wz w;
    CHECK_OK(pm_head_write(h, path, strlen(path), &w, NULL));
    return w;
}

static pm_status wait_for(pm_head *h, const char *path, uint64_t us, pm_wz *w, pm_map *why) {
    return pm_head_write_wait(h, path, strlen(path), us, w, why);
}

/* "a b c" as paths. Those behind the last are no paths: who looks there fails. */
static size_t paths_of(const char *text, pm_key paths[MOST]) {
    size_t n = 0;
    for (size_t i = 0; i < MOST; i++) paths[i] = (pm_key){(const void *)1, SIZE_MAX};
    while (*text) {
        size_t len = strcspn(text, " ");
        paths[n++] = (pm_key){text, len};
        text += len + (text[len] == ' ');
    }
    return n;
}

static pm_status wait_for_all(pm_head *h, const char *text, uint64_t us, pm_wz *w, pm_map *why) {
    pm_key paths[MOST];
    size_t n = paths_of(text, paths);
    return pm_head_write_all_wait(h, paths, n, us, w, why);
}

static void drop_all(pm_wz *w, size_t n) {
    for (size_t i = 0; i < n; i++) CHECK_OK(pm_wz_drop(&w[i]));
}

/* ---- without threads ----------------------------------------------------------------------------------------- */

TEST(wait_gives_what_is_free_at_once) {
    under u;
    begin(&u);
    pm_wz w, many[MOST];
    CHECK_OK(wait_for(u.h, "a/", PM_FOREVER, &w, NULL));
    CHECK_OK(pm_wz_set(&w, 7, NULL));
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(wait_for_all(u.h, "b c/d c/e", PM_FOREVER, many, NULL));
    for (int i = 0; i < 3; i++) CHECK_OK(pm_wz_set(&many[i], (pm_val)i, NULL));
    drop_all(many, 3);
    CHECK_OK(pm_head_write_all_wait(u.h, NULL, 0, 0, NULL, NULL));
    finish(&u);
}

TEST(wait_of_no_time_is_refused_as_ever) {
    under u;
    begin(&u);
    pm_wz w = writer_at(u.h, "a/1"), other;
    pm_map why;
    CHECK_EQ(wait_for(u.h, "a/", 0, &other, &why), PM_CONFLICT);
    CHECK(pm_contains(&why, "a/1", 3));
    pm_drop(&why);
    CHECK_OK(pm_wz_drop(&w));
    finish(&u);
}

TEST(wait_refuses_what_no_caller_should_pass) {
    under u;
    begin(&u);
    pm_wz w[MOST];
    pm_key bad[2] = {{"a", 1}, {NULL, 1}};
    CHECK_EQ(pm_head_write_wait(NULL, "a", 1, 0, w, NULL), PM_INVALID);
    CHECK_EQ(pm_head_write_wait(u.h, NULL, 1, 0, w, NULL), PM_INVALID);
    CHECK_EQ(pm_head_write_wait(u.h, "a", 1, 0, NULL, NULL), PM_INVALID);
    CHECK_EQ(pm_head_write_wait(u.h, "a", SIZE_MAX, 0, w, NULL), PM_INVALID);
    CHECK_EQ(pm_head_write_all_wait(u.h, bad, 2, 0, w, NULL), PM_INVALID);
    CHECK_EQ(pm_head_write_all_wait(u.h, NULL, 2, 0, w, NULL), PM_INVALID);
    CHECK_EQ(wait_for_all(u.h, "a b/c b", PM_FOREVER, w, NULL), PM_INVALID); /* in each other's way */
    CHECK_EQ(wait_for_all(u.h, "a a", PM_FOREVER, w, NULL), PM_INVALID);
    finish(&u);
}

TEST(wait_gives_all_or_nothing) {
    under u;
    begin(&u);
    pm_wz w = writer_at(u.h, "b"), pinned_away, all[MOST];
    pm_rz pin;
    pm_map why;
    CHECK_OK(pm_head_pin(u.h, "d/1", 3, &pin, NULL));
    CHECK_EQ(wait_for_all(u.h, "a b c d", 0, all, &why), PM_CONFLICT);
    CHECK(pm_contains(&why, "b", 1) && pm_contains(&why, "d/1", 3) && !pm_contains(&why, "a", 1));
    pm_drop(&why);
    pinned_away = writer_at(u.h, "a"); /* nothing of it was kept */
    CHECK_OK(pm_wz_drop(&pinned_away));
    CHECK_OK(pm_wz_drop(&w));
    pm_rz_drop(&pin);
    CHECK_OK(wait_for_all(u.h, "a b c d", 0, all, NULL));
    drop_all(all, 4);
    finish(&u);
}

TEST(wait_without_memory_gives_nothing_out) {
    bool more = true;
    for (uint64_t nth = 1; more; nth++) {
        uint64_t before = check_live_blocks();
            under u;
        begin(&u);
        pm_wz all[MOST];
        check_fail_alloc(nth);
        pm_status s = wait_for_all(u.h, "a/1 b c/d/e/f/g/h/i/j/k/l/m/n/o/p", 0, all, NULL);
        more = check_alloc_fails() != 0;
        check_fail_alloc(0);
        CHECK(s == PM_OK || (s == PM_NOMEM && more));
        CHECK(PM_CHECK >= 3 || (s == PM_OK) != more); /* checks of checked builds do without, too */
        if (s == PM_OK) drop_all(all, 3);
        CHECK_OK(wait_for_all(u.h, "a b c", 0, all, NULL));
        drop_all(all, 3);
        finish(&u);
        CHECK_EQ(check_live_blocks(), before);
    }
}

/* ---- time ---------------------------------------------------------------------------------------------------- */

static void need_threads(void) {
#if PM_NO_THREADS
    SKIP("no threads in this configuration");
#endif
}

static void nap(long us) { (void)nanosleep(&(struct timespec){us / 1000000, us % 1000000 * 1000}, NULL); }

static uint64_t clock_us(clockid_t which) {
    struct timespec now;
    CHECK_EQ(clock_gettime(which, &now), 0);
    return (uint64_t)now.tv_sec * 1000000 + (uint64_t)now.tv_nsec / 1000;
}

TEST(wait_ends_when_its_time_has_passed) {
    under u;
    begin(&u);
    pm_wz w = writer_at(u.h, "x"), other;
    pm_map why;
    uint64_t began = clock_us(CLOCK_MONOTONIC);
    CHECK_EQ(wait_for(u.h, "x/y", SOON, &other, &why), PM_CONFLICT);
    uint64_t took = clock_us(CLOCK_MONOTONIC) - began;
    if (!PM_NO_THREADS) CHECK(took >= SOON - 1000);
    CHECK(pm_contains(&why, "x", 1));
    pm_drop(&why);
    CHECK_OK(pm_wz_drop(&w));
    finish(&u);
}

/* ---- threads ------------------------------------------------------------------------------------------------- */

/* A thread that waits for places, and ends its writers when it is told to. */
typedef struct waiter {
    pm_head *h;
    const char *paths;
    uint64_t us, processor;
    atomic_int *order; /* the next number */
    int number;
    pm_status got;
    atomic_int has, may_end;
    pthread_t thread;
} waiter;

static void *wait_and_hold(void *arg) {
    waiter *x = arg;
    pm_wz w[MOST];
    pm_key paths[MOST];
    size_t n = paths_of(x->paths, paths);
    x->got = pm_head_write_all_wait(x->h, paths, n, x->us, w, NULL);
    x->number = atomic_fetch_add(x->order, 1);
    x->processor = clock_us(CLOCK_THREAD_CPUTIME_ID);
    atomic_store(&x->has, 1);
    while (!atomic_load(&x->may_end)) nap(200);
    if (x->got == PM_OK) drop_all(w, n);
    return NULL;
}

static size_t how_many_wait(pm_head *h) {
    size_t n = 0;
    pm__lock_acquire(&h->lock);
    for (const pm__turn *t = h->turns; t; t = t->next) n++;
    pm__lock_release(&h->lock);
    return n;
}

/* Starts one; returns when it waits, as the n-th. */
static void start_waiter(waiter *x, pm_head *h, const char *paths, uint64_t us, atomic_int *order, size_t n) {
    memset((void *)x, 0, sizeof *x);
    x->h = h, x->paths = paths, x->us = us, x->order = order;
    CHECK_EQ(pthread_create(&x->thread, NULL, wait_and_hold, x), 0);
    while (how_many_wait(h) < n) nap(200);
}

static void let_end(waiter *x) {
    atomic_store(&x->may_end, 1);
    CHECK_EQ(pthread_join(x->thread, NULL), 0);
    CHECK_EQ(check_failed(), 0);
}

static void await(waiter *x) {
    while (!atomic_load(&x->has)) nap(200);
}

TEST(wait_ends_with_what_was_in_the_way) {
    need_threads();
    under u;
    begin(&u);
    atomic_int order = 0;
    waiter x;
    pm_wz w = writer_at(u.h, "x");
    start_waiter(&x, u.h, "x/y", PM_FOREVER, &order, 1);
    nap(SOON);
    CHECK_EQ(atomic_load(&x.has), 0);
    CHECK_OK(pm_wz_drop(&w));
    await(&x);
    CHECK_OK(x.got);
    CHECK(x.processor < SOON / 2);
    let_end(&x);
    finish(&u);
}

/* One who is woken, and had met a limit of time in some call long ago. */
typedef struct woken_late {
    pm__a32 word;
    bool passed;
} woken_late;

static void *wait_with_an_old_errno(void *arg) {
    woken_late *x = arg;
    errno = ETIMEDOUT;
    x->passed = pm__wait(&x->word, 0, 600000000);
    return NULL;
}

TEST(wait_that_somebody_ends_has_not_passed_its_time) {
    need_threads();
    if (!PM__FUTEX && PM__THREADS == PM__THREADS_C11) SKIP("who waits takes a nap here");
    woken_late x = {.passed = true};
    pthread_t thread;
    pm__store_relaxed(&x.word, 0);
    CHECK_EQ(pthread_create(&thread, NULL, wait_with_an_old_errno, &x), 0);
    nap(SOON); /* he is in the kernel now, or does not wait at all */
    pm__store_release(&x.word, 1);
    pm__wake(&x.word, true);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK(!x.passed);
}

/* How often the n-th of those who wait has been woken. */
static unsigned woken(pm_head *h, size_t n) {
    pm__lock_acquire(&h->lock);
    const pm__turn *t = h->turns;
    while (t && n--) t = t->next;
    unsigned times = t ? (unsigned)pm__load_relaxed(&t->woken) : UINT_MAX;
    pm__lock_release(&h->lock);
    return times;
}

TEST(wait_wakes_nobody_for_what_is_of_no_use_to_him) {
    need_threads();
    under u;
    begin(&u);
    atomic_int order = 0;
    waiter first, second;
    pm_wz x = writer_at(u.h, "x"), y = writer_at(u.h, "y"), z = writer_at(u.h, "z");
    start_waiter(&first, u.h, "x y", PM_FOREVER, &order, 1);
    start_waiter(&second, u.h, "y/1", PM_FOREVER, &order, 2);
    CHECK_OK(pm_wz_drop(&z)); /* in nobody's way */
    CHECK_EQ(woken(u.h, 0), 0);
    CHECK_EQ(woken(u.h, 1), 0);
    CHECK_OK(pm_wz_drop(&y));
    CHECK_EQ(woken(u.h, 0), 1);
    CHECK_EQ(woken(u.h, 1), 0); /* the first is in his way still */
    CHECK_OK(pm_wz_drop(&x));
    await(&first);
    CHECK_OK(first.got);
    let_end(&first);
    await(&second);
    CHECK_OK(second.got);
    let_end(&second);
    finish(&u);
}

TEST(wait_is_for_pinned_readers_too_also_for_one_that_was_a_writer) {
    need_threads();
    under u;
    begin(&u);
    atomic_int order = 0;
    waiter x;
    pm_rz pin;
    pm_wz w = writer_at(u.h, "x");
    start_waiter(&x, u.h, "x", PM_FOREVER, &order, 1);
    CHECK_OK(pm_wz_into_reader(&w, &pin));
    nap(SOON);
    CHECK_EQ(atomic_load(&x.has), 0);
    pm_rz_drop(&pin);
    await(&x);
    CHECK_OK(x.got);
    let_end(&x);
    finish(&u);
}

TEST(wait_serves_requests_in_their_order) {
    need_threads();
    under u;
    begin(&u);
    atomic_int order = 0;
    waiter x[MOST];
    pm_wz w = writer_at(u.h, "x/1");
    for (int i = 0; i < 5; i++) start_waiter(&x[i], u.h, i % 2 ? "x" : "x/1 y", PM_FOREVER, &order, (size_t)i + 1);
    CHECK_OK(pm_wz_drop(&w));
    for (int i = 0; i < 5; i++) {
        await(&x[i]);
        CHECK_OK(x[i].got);
        CHECK_EQ(x[i].number, i);
        let_end(&x[i]);
    }
    finish(&u);
}

TEST(wait_lets_nobody_overtake_who_needs_the_same_place) {
    need_threads();
    under u;
    begin(&u);
    atomic_int order = 0;
    waiter first, second, elsewhere;
    pm_wz w = writer_at(u.h, "b");
    start_waiter(&first, u.h, "a b", 10 * SOON, &order, 1);
    start_waiter(&second, u.h, "a", PM_FOREVER, &order, 2); /* free, but the first was there before */
    memset((void *)&elsewhere, 0, sizeof elsewhere);
    elsewhere.h = u.h, elsewhere.paths = "c", elsewhere.us = PM_FOREVER, elsewhere.order = &order;
    CHECK_EQ(pthread_create(&elsewhere.thread, NULL, wait_and_hold, &elsewhere), 0);
    await(&elsewhere); /* in nobody's way */
    CHECK_EQ(atomic_load(&second.has), 0);
    await(&first); /* its time passes; the second is woken then */
    CHECK_EQ(first.got, PM_CONFLICT);
    await(&second);
    CHECK_OK(second.got);
    let_end(&first);
    let_end(&second);
    let_end(&elsewhere);
    CHECK_OK(pm_wz_drop(&w));
    finish(&u);
}

/* Threads that ask for the same places in different orders get on for ever; nobody else is where they are. */
enum { WORKERS = 4, ROUNDS = 300, PLACES = 5 };
static int guarded[PLACES]; /* plain: who has the place writes it */

typedef struct worker {
    pm_head *h;
    uint64_t rng;
} worker;

static void *take_pairs(void *arg) {
    worker *x = arg;
    static const char *const names[PLACES] = {"a", "b", "b2", "c/", "c0"};
    for (int i = 0; i < ROUNDS; i++) {
        unsigned p = (unsigned)(check_rand_from(&x->rng) >> 8) % PLACES;
        unsigned q = (p + 1 + (unsigned)(check_rand_from(&x->rng) >> 8) % (PLACES - 1)) % PLACES;
        bool in_each_others_way = p + q == 3 && (p == 1 || q == 1);
        pm_key paths[2] = {{names[p], strlen(names[p])}, {names[q], strlen(names[q])}};
        pm_wz w[2];
        pm_status s = pm_head_write_all_wait(x->h, paths, 2, i % 3 ? PM_FOREVER : 300, w, NULL);
        CHECK_EQ(s == PM_INVALID, in_each_others_way);
        if (s != PM_OK) continue;
        guarded[p]++, guarded[q]++;
        CHECK_OK(pm_wz_set(&w[0], (pm_val)i, NULL));
        CHECK_OK(pm_wz_set(&w[1], (pm_val)i, NULL));
        guarded[p]--, guarded[q]--;
        drop_all(w, 2);
    }
    return NULL;
}

TEST(wait_of_threads_for_the_same_places_ends) {
    need_threads();
    under u;
    begin(&u);
    pthread_t threads[WORKERS];
    worker workers[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (worker){u.h, check_rand()};
        CHECK_EQ(pthread_create(&threads[i], NULL, take_pairs, &workers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(check_failed(), 0);
    for (unsigned i = 0; i < PLACES; i++) CHECK_EQ(guarded[i], 0);
    finish(&u);
}

/* What ended without memory for what was left to do: who waits hears of it, as any other request does. */
TEST(wait_hears_of_what_could_not_end) {
    need_threads();
    under u;
    begin(&u);
    atomic_int order = 0;
    waiter x;
    pm_wz w = writer_at(u.h, "x/y/z");
    CHECK_OK(pm_wz_set(&w, 3, NULL));
    start_waiter(&x, u.h, "x", PM_FOREVER, &order, 1);
    check_fail_allocs_from(1);
    CHECK_OK(pm_wz_drop(&w));
    await(&x);
    check_fail_alloc(0);
    CHECK(x.got == PM_NOMEM || x.got == PM_OK);
    let_end(&x);
    pm_rz z;
    CHECK_OK(pm_head_read(u.h, "x/y/z", 5, &z));
    CHECK(pm_rz_val(&z) && *pm_rz_val(&z) == 3);
    pm_rz_drop(&z);
    finish(&u);
}

/* ---- conflicts as text --------------------------------------------------------------------------------------- */

typedef struct text {
    char s[1024];
    size_t used, most;
} text;

static bool text_add(void *ctx, const char *s, size_t n) {
    text *t = ctx;
    if (t->used + n > t->most) return false;
    memcpy(t->s + t->used, s, n);
    t->used += n;
    t->s[t->used] = 0;
    return true;
}

TEST(conflict_is_told_as_text) {
    under u;
    begin(&u);
    pm_wz w = writer_at(u.h, "a/1"), overlapping, other;
    pm_rz pin, second;
    pm_map why;
    text t = {.most = sizeof t.s - 1}, small = {.most = 3};
    CHECK_OK(pm_head_pin(u.h, "b\0=\xff", 4, &pin, NULL));
    CHECK_EQ(pm_head_write(u.h, NULL, 0, &other, &why), PM_CONFLICT);
    CHECK_OK(pm_dump_conflict(&why, text_add, &t));
    CHECK_STR_EQ(t.s, "writer at a/1\npinned reader at b\\x00\\x3d\\xff\n");
    CHECK_EQ(pm_dump_conflict(&why, text_add, &small), PM_IO);
    pm_drop(&why);
    pm_rz_drop(&pin);
    CHECK_OK(pm_wz_drop(&w));
#if PM_CHECK < 1
    CHECK_OK(pm_head_pin(u.h, "c", 1, &second, NULL));
    CHECK_OK(pm_head_write_unchecked(u.h, "c", 1, &overlapping));
    CHECK_EQ(pm_head_write(u.h, "c", 1, &other, &why), PM_CONFLICT);
    t.used = 0;
    CHECK_OK(pm_dump_conflict(&why, text_add, &t));
    CHECK_STR_EQ(t.s, "writer and pinned reader at c\n");
    pm_drop(&why);
    CHECK_OK(pm_wz_drop(&overlapping));
    pm_rz_drop(&second);
#else
    (void)overlapping, (void)second;
#endif
    why = pm_new(pm_ops_sum(), NULL);
    CHECK_EQ(pm_dump_conflict(&why, text_add, &t), PM_INVALID); /* no report */
    pm_drop(&why);
    finish(&u);
}

/* ---- which writers ------------------------------------------------------------------------------------------- */

static bool has_prefix_in(const pm_map *m, const uint8_t *key, size_t len) {
    for (size_t n = 0; n < len; n++)
        if (pm_contains(m, key, n)) return true;
    return false;
}

TEST(outermost_values_are_kept_and_no_others) {
    for (int round = 0; round < 200; round++) {
        pm_map m = pm_new(pm_ops_unit(), NULL);
        size_t many = check_below(60), kept = 0, left = 0;
        bool changed = false;
        for (size_t i = 0; i < many; i++) {
            uint8_t key[6];
            size_t len = check_below(20) ? check_below(5) + 1 : 0;
            for (size_t k = 0; k < len; k++) key[k] = (uint8_t)check_below(round % 2 ? 3 : 250);
            CHECK_OK(pm_set(&m, key, len, 0, NULL));
        }
        pm_map before = pm_clone(&m), third = pm_clone(&m);
        CHECK_OK(pm_keep_outermost(&m, &changed));
        CHECK_OK(pm_check(&m, NULL));
        for (pm_iter i = pm_iter_vals(&before); pm_iter_next(&i);) {
            bool outer = !has_prefix_in(&before, i.key, i.len);
            CHECK_EQ(pm_contains(&m, i.key, i.len), outer);
            kept += outer, left += !outer;
        }
        uint64_t n = 0;
        CHECK_OK(pm_val_count(&m, &n));
        CHECK_EQ(n, kept);
        CHECK_EQ(changed, left != 0);
        CHECK_OK(pm_keep_outermost(&m, &changed));
        CHECK(!changed);
        bool same = false;
        CHECK_OK(pm_equal(&before, &third, &same));
        CHECK(same);
        pm_drop(&m);
        pm_drop(&before);
        pm_drop(&third);
    }
    CHECK_EQ(pm_keep_outermost(NULL, NULL), PM_INVALID);
}

TEST(outermost_without_memory_leaves_the_map) {
    bool more = true;
    for (uint64_t nth = 1; more; nth++) {
        pm_map m = pm_new(NULL, NULL);
        static const char *const keys[] = {"a/", "a/b", "a/b/c", "c", "cc/very/long/way/to/go/on", "d"};
        bool changed = false;
        for (size_t i = 0; i < 6; i++) CHECK_OK(pm_set(&m, keys[i], strlen(keys[i]), i, NULL));
        pm_map clone = pm_clone(&m);
        check_fail_alloc(nth);
        pm_status s = pm_keep_outermost(&m, &changed);
        more = check_alloc_fails() != 0;
        check_fail_alloc(0);
        bool same = false;
        uint64_t n = 0;
        CHECK(s == PM_OK || (s == PM_NOMEM && more));
        CHECK_EQ(changed, s == PM_OK);
        CHECK_OK(pm_equal(&m, &clone, &same));
        CHECK_OK(pm_val_count(&m, &n));
        CHECK(s == PM_OK ? n == 3 : same);
        pm_drop(&m);
        pm_drop(&clone);
    }
}
