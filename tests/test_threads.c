/* Many threads on one trie, for some seconds: what the library promises about threads, all at once, with a check of
   every answer. Meant to be run under ThreadSanitizer too, in both count modes. The program's seed decides what threads
   do; how they interleave is up to the machine. */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <time.h>

#define PATHMAP_STATIC
#include "../pathmap.h"

static void need_threads(void) {
    if (PM_NO_THREADS) SKIP("PM_NO_THREADS: one thread only");
}

enum { THREADS_MAX = 8 };
static const double seconds_each = 0.7;

static double now(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

typedef struct worker {
    void *shared; /* what the test's threads have in common */
    unsigned number;
    uint64_t random;
    uint64_t done; /* operations */
} worker;

static atomic_bool stop;

static uint64_t below(worker *w, uint64_t n) { return check_rand_from(&w->random) % n; }

/* Runs some threads until the time is over; fn goes on while `stop` is false. Prints how much was done. */
static void run(unsigned threads, void *(*const fn[])(void *), void *shared) {
    pthread_t t[THREADS_MAX];
    worker w[THREADS_MAX];
    uint64_t done = 0;
    double start = now();
    atomic_store(&stop, false);
    for (unsigned i = 0; i < threads; i++) {
        w[i] = (worker){shared, i, check_rand(), 0};
        CHECK_EQ(pthread_create(&t[i], NULL, fn[i], &w[i]), 0);
    }
    while (now() - start < seconds_each && check_failed() == 0) sched_yield();
    atomic_store(&stop, true);
    for (unsigned i = 0; i < threads; i++) {
        CHECK_EQ(pthread_join(t[i], NULL), 0);
        done += w[i].done;
    }
    CHECK_EQ(check_failed(), 0);
    CHECK(done > 0);
    printf("# %s: %u threads, %" PRIu64 " operations, %.1f s\n", check__current, threads, done, now() - start);
}

static void check_sound(const pm_map *m) {
    const char *why = "";
    CHECK_NOTE(pm_check(m, &why) == PM_OK, "%s", why);
}

static void check_nothing_left(void) {
    pm_pool_stats stats;
    pm_pool_get_stats(NULL, &stats);
    CHECK_EQ(stats.nodes, 0);
}

/* ---- clones -------------------------------------------------------------------------------------------------- */

/* Every thread clones one map, changes its clone, and looks whether the original is as it was. */
static void *change_a_clone(void *arg) {
    worker *w = arg;
    const pm_map *original = w->shared;
    while (!atomic_load(&stop)) {
        pm_map mine = pm_clone(original), again = pm_clone(&mine);
        for (int i = 0; i < 20; i++) {
            char key[24];
            uint64_t k = below(w, 2000);
            int len = sprintf(key, "key/%u/%u", (unsigned)(k % 20), (unsigned)k);
            if (i % 3) CHECK_OK(pm_set(&mine, key, (size_t)len, k + 1, NULL));
            else CHECK_OK(pm_remove(&mine, key, (size_t)len, true, NULL));
            const pm_val *v = pm_get(original, key, (size_t)len);
            CHECK(v && *v == k);
            w->done++;
        }
        pm_map both = {0};
        CHECK_OK(pm_join(&again, &mine, &both, NULL)); /* the left wins: nothing is new */
        pm_val n = 0;
        CHECK_OK(pm_val_count(&both, &n));
        CHECK_EQ(n, 2000);
        pm_drop(&both);
        pm_drop(&mine);
        pm_drop(&again);
    }
    return NULL;
}

TEST(threads_change_clones_of_one_map) {
    need_threads();
    pm_map m = pm_new(NULL, NULL);
    for (unsigned k = 0; k < 2000; k++) {
        char key[24];
        int len = sprintf(key, "key/%u/%u", k % 20, k);
        CHECK_OK(pm_set(&m, key, (size_t)len, k, NULL));
    }
    void *(*const fn[])(void *) = {change_a_clone, change_a_clone, change_a_clone, change_a_clone};
    run(4, fn, &m);
    check_sound(&m);
    pm_drop(&m);
    check_nothing_left();
}

/* ---- heads --------------------------------------------------------------------------------------------------- */

/* Each part p of a head's map belongs to one writer at a time, which writes rounds 1, 2, 3.. to KEYS keys in one call:
   all keys of a part show the same round, and a reader sees no older round than had been written before it was made. */
enum { PARTS = 6, KEYS = 40 };

typedef struct parts {
    pm_head *h;
    pm_map rounds[4];           /* templates: all keys, with one of four values */
    atomic_uint written[PARTS]; /* the last round whose call has returned */
} parts;

static size_t part_path(char *path, unsigned p) { return (size_t)sprintf(path, "part/%c/", (char)('a' + p)); }

/* The round that a part shows; all its keys must agree. Rounds are told modulo 4 by values, exactly by the root. */
static pm_val round_of_part(const pm_rz *z, unsigned p) {
    char path[16];
    size_t len = part_path(path, p);
    const pm_val *root = pm_rz_val_at(z, path, len);
    pm_val round = root ? *root : 0;
    for (unsigned k = 0; k < KEYS; k++) {
        char key[32];
        size_t n = len;
        memcpy(key, path, len);
        n += (size_t)sprintf(key + len, "key/%u", k);
        const pm_val *v = pm_rz_val_at(z, key, n);
        CHECK(v ? *v == round % 4 : round == 0);
    }
    return round;
}

/* One call for all keys of a part and the round at its root. */
static void write_round(parts *s, pm_wz *w, unsigned p, pm_val round) {
    pm_map m = pm_clone(&s->rounds[round % 4]);
    CHECK_OK(pm_set(&m, "", 0, round, NULL));
    CHECK_OK(pm_wz_graft_map_move(w, &m));
    atomic_store(&s->written[p], (unsigned)round);
}

static void *write_parts(void *arg) {
    worker *w = arg;
    parts *s = w->shared;
    while (!atomic_load(&stop)) {
        unsigned p = (unsigned)below(w, PARTS);
        char path[16];
        size_t len = part_path(path, p);
        pm_wz z;
        pm_status st = pm_head_write(s->h, path, len, &z, NULL);
        CHECK(st == PM_OK || st == PM_CONFLICT);
        if (st != PM_OK) {
            sched_yield();
            continue;
        }
        const pm_val *v = pm_rz_val(pm_wz_cursor(&z));
        pm_val round = v ? *v : 0;
        CHECK_EQ(round, atomic_load(&s->written[p])); /* nothing of an earlier writer is lost */
        for (uint64_t i = below(w, 30); i; i--) {
            write_round(s, &z, p, ++round);
            w->done++;
        }
        CHECK_OK(pm_wz_close(&z));
    }
    return NULL;
}

/* The same by many calls that a group makes one; sometimes they are undone. */
static void *write_groups(void *arg) {
    worker *w = arg;
    parts *s = w->shared;
    while (!atomic_load(&stop)) {
        unsigned p = (unsigned)below(w, PARTS);
        char path[16];
        size_t len = part_path(path, p);
        pm_wz z;
        if (pm_head_write(s->h, path, len, &z, NULL) != PM_OK) continue;
        pm_rz *c = pm_wz_cursor(&z);
        pm_val round = pm_rz_val(c) ? *pm_rz_val(c) + 1 : 1;
        bool undo = below(w, 3) == 0;
        CHECK_OK(pm_wz_begin(&z));
        CHECK_OK(pm_wz_set(&z, round, NULL));
        for (unsigned k = 0; k < KEYS; k++) {
            char key[16];
            (void)pm_rz_move_to(pm_wz_cursor(&z), key, (size_t)sprintf(key, "key/%u", k));
            CHECK_OK(pm_wz_set(&z, round % 4, NULL));
            w->done++;
        }
        CHECK_OK(undo ? pm_wz_rollback(&z) : pm_wz_commit(&z));
        if (!undo) atomic_store(&s->written[p], (unsigned)round);
        CHECK_OK(pm_wz_close(&z));
    }
    return NULL;
}

static void *read_parts(void *arg) {
    worker *w = arg;
    parts *s = w->shared;
    pm_rz kept = {0};
    pm_val kept_rounds[PARTS] = {0};
    bool have = false;
    while (!atomic_load(&stop)) {
        unsigned before[PARTS], p = (unsigned)below(w, PARTS);
        for (unsigned i = 0; i < PARTS; i++) before[i] = atomic_load(&s->written[i]);
        bool one = below(w, 2), fence = below(w, 8) == 0;
        char path[16] = "";
        size_t len = one ? part_path(path, p) : 0;
        pm_rz z;
        CHECK_OK(fence ? pm_head_fence(s->h, path, len, &z) : pm_head_read(s->h, path, len, &z));
        pm_rz all;
        if (one) { /* the same questions, asked from the origin */
            pm_map m;
            CHECK_OK(pm_rz_make_map(&z, &m));
            pm_map at = pm_new(NULL, NULL);
            pm_wz graft;
            CHECK_OK(pm_wz_open(&graft, &at, path, len));
            CHECK_OK(pm_wz_graft_map(&graft, &m));
            CHECK_OK(pm_wz_close(&graft));
            CHECK_OK(pm_rz_open_owned(&all, &at, NULL, 0));
            pm_drop(&at);
            pm_drop(&m);
            CHECK(round_of_part(&all, p) >= before[p]);
            pm_rz_drop(&all);
            pm_rz_drop(&z);
            w->done++;
            continue;
        }
        pm_val rounds[PARTS];
        for (unsigned i = 0; i < PARTS; i++) {
            rounds[i] = round_of_part(&z, i);
            CHECK(rounds[i] >= before[i]);
        }
        if (have) /* what was kept has not moved */
            for (unsigned i = 0; i < PARTS; i++) CHECK_EQ(round_of_part(&kept, i), kept_rounds[i]);
        if (!have || below(w, 20) == 0) {
            pm_rz_drop(&kept);
            kept = z;
            memcpy(kept_rounds, rounds, sizeof rounds);
            have = true;
        } else {
            pm_rz_drop(&z);
        }
        w->done++;
    }
    pm_rz_drop(&kept);
    return NULL;
}

static void *pin_parts(void *arg) {
    worker *w = arg;
    parts *s = w->shared;
    while (!atomic_load(&stop)) {
        unsigned p = (unsigned)below(w, PARTS);
        char path[16];
        size_t len = part_path(path, p);
        pm_rz z;
        pm_status st;
        pm_conflict why;
        if (below(w, 3) == 0) { /* by way of a writer */
            pm_wz wz;
            st = pm_head_write(s->h, path, len, &wz, &why);
            if (st == PM_OK) CHECK_OK(pm_wz_into_reader(&wz, &z));
        } else {
            st = pm_head_pin(s->h, path, len, &z, &why);
        }
        CHECK(st == PM_OK || (st == PM_CONFLICT && why.n >= 1 && why.claims[0].len == len));
        pm_conflict_free(&why);
        if (st != PM_OK) continue;
        const pm_val *v = pm_rz_val(&z);
        pm_val round = v ? *v : 0;
        CHECK_EQ(round, atomic_load(&s->written[p])); /* while it is pinned, the part stands still */
        sched_yield();
        CHECK_EQ(round, atomic_load(&s->written[p]));
        pm_rz_drop(&z);
        w->done++;
    }
    return NULL;
}

static void open_parts(parts *s, pm_map *m) {
    memset(s, 0, sizeof *s);
    for (unsigned r = 0; r < 4; r++) {
        s->rounds[r] = pm_new(NULL, NULL);
        for (unsigned k = 0; k < KEYS; k++) {
            char key[16];
            int len = sprintf(key, "key/%u", k);
            CHECK_OK(pm_set(&s->rounds[r], key, (size_t)len, r, NULL));
        }
    }
    CHECK_OK(pm_set(m, "elsewhere", 9, 1, NULL));
    CHECK_OK(pm_head_new(m, &s->h));
}

static void close_parts(parts *s, pm_map *m) {
    CHECK_OK(pm_head_close(s->h, NULL, NULL));
    check_sound(m);
    pm_rz z;
    CHECK_OK(pm_rz_open(&z, m, NULL, 0));
    for (unsigned p = 0; p < PARTS; p++) CHECK_EQ(round_of_part(&z, p), atomic_load(&s->written[p]));
    pm_rz_drop(&z);
    for (unsigned r = 0; r < 4; r++) pm_drop(&s->rounds[r]);
    pm_drop(m);
    check_nothing_left();
}

TEST(threads_write_and_read_through_a_head) {
    need_threads();
    pm_map m = pm_new(NULL, NULL);
    parts s;
    open_parts(&s, &m);
    void *(*const fn[])(void *) = {write_parts, write_groups, read_parts, read_parts};
    run(4, fn, &s);
    close_parts(&s, &m);
}

TEST(threads_pin_write_and_read_through_a_head) {
    need_threads();
    pm_map m = pm_new(NULL, NULL);
    parts s;
    open_parts(&s, &m);
    void *(*const fn[])(void *) = {write_parts, write_parts, pin_parts, pin_parts, read_parts, write_groups};
    run(6, fn, &s);
    close_parts(&s, &m);
}

/* One writer that never ends, one call after the other; readers come all the time. */
static void *write_without_end(void *arg) {
    worker *w = arg;
    parts *s = w->shared;
    char path[16];
    unsigned p = w->number;
    size_t len = part_path(path, p);
    pm_wz z;
    CHECK_OK(pm_head_write(s->h, path, len, &z, NULL));
    for (pm_val round = 1; !atomic_load(&stop); round++) {
        write_round(s, &z, p, round);
        w->done++;
    }
    CHECK_OK(pm_wz_close(&z));
    return NULL;
}

TEST(threads_read_beside_writers_that_never_stop) {
    need_threads();
    pm_map m = pm_new(NULL, NULL);
    parts s;
    open_parts(&s, &m);
    void *(*const fn[])(void *) = {write_without_end, write_without_end, read_parts, read_parts};
    run(4, fn, &s);
    close_parts(&s, &m);
}

/* ---- two writers in one call --------------------------------------------------------------------------------- */

/* What lies at "left" moves to "right" and back, in one call each: a fence finds it at exactly one of them. */
typedef struct swing {
    pm_head *h;
} swing;

static void *move_to_and_fro(void *arg) {
    worker *w = arg;
    swing *s = w->shared;
    pm_wz left, right;
    CHECK_OK(pm_head_write(s->h, "left", 4, &left, NULL));
    CHECK_OK(pm_head_write(s->h, "right", 5, &right, NULL));
    CHECK_OK(pm_wz_set(&left, 1, NULL));
    for (bool there = true; !atomic_load(&stop); there = !there) {
        CHECK_OK(pm_wz_join_take(there ? &right : &left, there ? &left : &right, false, NULL));
        w->done++;
    }
    CHECK_OK(pm_wz_close(&left));
    CHECK_OK(pm_wz_close(&right));
    return NULL;
}

static void *look_for_it(void *arg) {
    worker *w = arg;
    swing *s = w->shared;
    bool begun = false;
    while (!atomic_load(&stop)) {
        pm_rz z;
        CHECK_OK(pm_head_fence(s->h, "", 0, &z));
        int n = (pm_rz_val_at(&z, "left", 4) != NULL) + (pm_rz_val_at(&z, "right", 5) != NULL);
        pm_rz_drop(&z);
        CHECK(n == 1 || (n == 0 && !begun));
        begun = n == 1;
        w->done++;
    }
    return NULL;
}

TEST(threads_move_between_writers_in_one_call) {
    need_threads();
    pm_map m = pm_new(NULL, NULL);
    swing s;
    CHECK_OK(pm_head_new(&m, &s.h));
    void *(*const fn[])(void *) = {move_to_and_fro, look_for_it, look_for_it};
    run(3, fn, &s);
    CHECK_OK(pm_head_close(s.h, NULL, NULL));
    check_sound(&m);
    pm_drop(&m);
    check_nothing_left();
}

/* ---- a replaced map ------------------------------------------------------------------------------------------ */

enum { CELLS = 64 };

static pm_status move_one(void *ctx, pm_map *m) {
    worker *w = ctx;
    uint8_t from = (uint8_t)below(w, CELLS), to = (uint8_t)below(w, CELLS);
    const pm_val *v = pm_get(m, &from, 1);
    if (!v || *v == 0 || from == to) return PM_OK;
    pm_val take = *v, have = *pm_get(m, &to, 1);
    pm_status s = pm_set(m, &from, 1, take - 1, NULL);
    return s == PM_OK ? pm_set(m, &to, 1, have + 1, NULL) : s;
}

static void *move_coins(void *arg) {
    worker *w = arg;
    while (!atomic_load(&stop)) {
        CHECK_OK(pm_shared_update(w->shared, move_one, w));
        w->done++;
    }
    return NULL;
}

static void *count_coins(void *arg) {
    worker *w = arg;
    while (!atomic_load(&stop)) {
        pm_map m = pm_shared_load(w->shared);
        pm_val sum = 0;
        for (unsigned i = 0; i < CELLS; i++) {
            uint8_t cell = (uint8_t)i;
            sum += *pm_get(&m, &cell, 1);
        }
        CHECK_EQ(sum, CELLS * 10);
        pm_drop(&m);
        w->done++;
    }
    return NULL;
}

/* Takes what there is and puts the same back. */
static void *store_again(void *arg) {
    worker *w = arg;
    while (!atomic_load(&stop)) {
        pm_map m = pm_shared_load(w->shared);
        CHECK_OK(pm_shared_compare_and_swap(w->shared, &m, &m, NULL));
        pm_drop(&m);
        w->done++;
    }
    return NULL;
}

TEST(threads_update_and_load_a_shared_map) {
    need_threads();
    pm_map m = pm_new(NULL, NULL);
    pm_shared *s = NULL;
    for (unsigned i = 0; i < CELLS; i++) {
        uint8_t cell = (uint8_t)i;
        CHECK_OK(pm_set(&m, &cell, 1, 10, NULL));
    }
    CHECK_OK(pm_shared_new(&m, &s));
    pm_drop(&m);
    void *(*const fn[])(void *) = {move_coins, move_coins, count_coins, count_coins, store_again};
    run(5, fn, s);
    pm_shared_free(s);
    check_nothing_left();
}

/* ---- readers and witnesses that travel ----------------------------------------------------------------------- */

/* Readers are made by one thread, used and dropped by another. */
enum { SLOTS = 16 };

typedef struct relay {
    pm_head *h;
    _Atomic(pm_rz *) slot[SLOTS];
} relay;

static void *make_readers(void *arg) {
    worker *w = arg;
    relay *r = w->shared;
    pm_wz z;
    CHECK_OK(pm_head_write(r->h, "n", 1, &z, NULL));
    for (pm_val i = 1; !atomic_load(&stop); i++) {
        pm_rz *made = malloc(sizeof *made), *gone = made;
        CHECK_OK(pm_wz_set(&z, i, NULL));
        CHECK_OK(pm_head_read(r->h, "n", 1, made));
        CHECK_EQ(*pm_rz_val(made), i);
        gone = atomic_exchange(&r->slot[below(w, SLOTS)], made);
        if (gone) pm_rz_drop(gone);
        free(gone);
        w->done++;
    }
    CHECK_OK(pm_wz_close(&z));
    return NULL;
}

static void *use_readers(void *arg) {
    worker *w = arg;
    relay *r = w->shared;
    while (!atomic_load(&stop)) {
        pm_rz *z = atomic_exchange(&r->slot[below(w, SLOTS)], NULL);
        if (!z) continue;
        pm_rz fork;
        pm_witness keep = pm_rz_witness(z);
        const pm_val *v = NULL;
        CHECK_OK(pm_rz_val_witnessed(z, &keep, &v));
        CHECK_OK(pm_rz_fork(z, &fork));
        pm_rz_drop(z);
        free(z);
        CHECK_EQ(*v, *pm_rz_val(&fork));
        pm_rz_drop(&fork);
        pm_witness_drop(&keep);
        w->done++;
    }
    return NULL;
}

TEST(threads_hand_readers_to_each_other) {
    need_threads();
    pm_map m = pm_new(NULL, NULL);
    relay r = {0};
    CHECK_OK(pm_head_new(&m, &r.h));
    void *(*const fn[])(void *) = {make_readers, use_readers, use_readers};
    run(3, fn, &r);
    for (int i = 0; i < SLOTS; i++) {
        pm_rz *z = atomic_load(&r.slot[i]);
        pm_rz_drop(z);
        free(z);
    }
    CHECK_OK(pm_head_close(r.h, NULL, NULL));
    pm_drop(&m);
    check_nothing_left();
}
