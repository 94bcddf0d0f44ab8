/* Many threads on one trie, for some seconds: what the library promises about threads, all at once, with a check of
   every answer. Meant to be run under ThreadSanitizer too, in both count modes. The program's seed decides what threads
   do; how they interleave is up to the machine. */
#include "check.h"

#include <threads.h>

#include "library.h"
#include "stress.h"

enum { THREADS_MAX = 8 };

typedef struct worker {
    void *shared; /* what the test's threads have in common */
    unsigned number;
    uint64_t random;
    uint64_t done; /* operations */
    bool begun;
} worker;

static atomic_bool stop;

static uint64_t below(worker *w, uint64_t n) { return check_rand_from(&w->random) % n; }

/* Whether a thread does another round: until it is told to stop, and one at least, for on a busy machine the time may
   be over before a thread comes to run. */
static bool goes_on(worker *w) {
    bool first = !w->begun;
    w->begun = true;
    return first || !atomic_load(&stop);
}

/* Runs some threads until the time is over; fn asks goes_on(). Prints how much was done. */
static void run(unsigned threads, void *(*const fn[])(void *), void *shared) {
    pthread_t t[THREADS_MAX];
    worker w[THREADS_MAX];
    uint64_t done = 0;
    double start = now();
    atomic_store(&stop, false);
    for (unsigned i = 0; i < threads; i++) {
        w[i] = (worker){shared, i, check_rand(), 0, false};
        CHECK_EQ(pthread_create(&t[i], NULL, fn[i], &w[i]), 0);
    }
    while (now() - start < stress_seconds() && check_failed() == 0) sched_yield();
    atomic_store(&stop, true);
    for (unsigned i = 0; i < threads; i++) {
        CHECK_EQ(pthread_join(t[i], NULL), 0);
        done += w[i].done;
    }
    CHECK_EQ(check_failed(), 0);
    CHECK(done > 0);
    stress_say(threads, done, now() - start);
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
    while (goes_on(w)) {
        pm_map mine = pm_clone(original), again = pm_clone(&mine);
        for (int i = 0; i < 20; i++) {
            char key[24];
            uint64_t k = below(w, 2000);
            int len = sprintf(key, "key/%u/%u", (unsigned)(k % 20), (unsigned)k);
            if (i % 3) CHECK_OK(pm_set(&mine, key, (size_t)len, k + 1, NULL));
            else CHECK_OK(pm_remove(&mine, key, (size_t)len, PM_PRUNE, NULL));
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
    while (goes_on(w)) {
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
        CHECK_OK(pm_wz_drop(&z));
    }
    return NULL;
}

/* The same by many calls that a group makes one; sometimes they are undone. */
static void *write_groups(void *arg) {
    worker *w = arg;
    parts *s = w->shared;
    while (goes_on(w)) {
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
        CHECK_OK(pm_wz_drop(&z));
    }
    return NULL;
}

static void *read_parts(void *arg) {
    worker *w = arg;
    parts *s = w->shared;
    pm_rz kept = {0};
    pm_val kept_rounds[PARTS] = {0};
    bool have = false;
    while (goes_on(w)) {
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
            CHECK_OK(pm_wz_open(&at, path, len, &graft));
            CHECK_OK(pm_wz_graft_map(&graft, &m));
            CHECK_OK(pm_wz_drop(&graft));
            CHECK_OK(pm_rz_open_owned(&at, NULL, 0, &all));
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
    while (goes_on(w)) {
        unsigned p = (unsigned)below(w, PARTS);
        char path[16];
        size_t len = part_path(path, p);
        pm_rz z;
        pm_status st;
        pm_map why;
        if (below(w, 3) == 0) { /* by way of a writer */
            pm_wz wz;
            st = pm_head_write(s->h, path, len, &wz, &why);
            if (st == PM_OK) CHECK_OK(pm_wz_into_reader(&wz, &z));
        } else {
            st = pm_head_pin(s->h, path, len, &z, &why);
        }
        CHECK(st == PM_OK || (st == PM_CONFLICT && pm_contains(&why, path, len)));
        pm_drop(&why);
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
    CHECK_OK(pm_head_free(s->h, NULL, NULL));
    check_sound(m);
    pm_rz z;
    CHECK_OK(pm_rz_open(m, NULL, 0, &z));
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
    for (pm_val round = 1; goes_on(w); round++) {
        write_round(s, &z, p, round);
        w->done++;
    }
    CHECK_OK(pm_wz_drop(&z));
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

/* What lies at "left" moves to "right" and back, in one call each: every reader finds it at exactly one of them.
   Between moves, writes to either side give those who wait what they wait for. */
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
    for (bool there = true; goes_on(w); there = !there) {
        pm_wz *other = w->done % 3 ? &left : &right;
        CHECK_OK(pm_wz_join_take(there ? &right : &left, there ? &left : &right, PM_KEEP, NULL));
        (void)pm_rz_move_to(pm_wz_cursor(other), "/n", 2);
        if (below(w, 2)) CHECK_OK(pm_wz_set(other, w->done, NULL));
        CHECK_OK(pm_wz_remove(other, PM_PRUNE, NULL));
        pm_rz_reset(pm_wz_cursor(other));
        w->done++;
    }
    CHECK_OK(pm_wz_drop(&left));
    CHECK_OK(pm_wz_drop(&right));
    return NULL;
}

static void *look_for_it(void *arg) {
    worker *w = arg;
    swing *s = w->shared;
    bool begun = false;
    while (goes_on(w)) {
        pm_rz z;
        CHECK_OK(w->done % 4 ? pm_head_read(s->h, "", 0, &z) : pm_head_fence(s->h, "", 0, &z));
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
    CHECK_OK(pm_head_free(s.h, NULL, NULL));
    check_sound(&m);
    pm_drop(&m);
    check_nothing_left();
}

/* ---- writers that come and write beside fences ---------------------------------------------------------------- */

/* Parts whose keys are there from the beginning and are never removed. Writers come to a part, write and go; one makes
   long calls, for which fences wait. Each snapshot has all keys, and of each key no less than was written before. */
enum { COMING = 4, STEADY = 6 };
typedef struct steady {
    pm_head *h;
    atomic_uint_fast64_t written[COMING][STEADY];
} steady;

static void nap(long microseconds) {
    struct timespec t = {0, microseconds * 1000};
    (void)thrd_sleep(&t, NULL);
}

static _Thread_local bool takes_its_time; /* to release a value */
static void release_slowly(void *ctx, pm_val v) {
    (void)ctx;
    (void)v;
    if (takes_its_time) nap(300);
}

static void retain_at_once(void *ctx, pm_val v) {
    (void)ctx;
    (void)v;
}

static const pm_ops slow_ops = {
    .name = "slow", .flags = PM_OPS_IDEMPOTENT, .retain = retain_at_once, .release = release_slowly};

static size_t steady_path(char *to, unsigned part) { return (size_t)sprintf(to, "steady/%u/", part % 10); }

static void *make_long_calls(void *arg) {
    worker *w = arg;
    steady *s = w->shared;
    pm_wz z;
    CHECK_OK(pm_head_write(s->h, "long", 4, &z, NULL));
    while (goes_on(w)) {
        CHECK_OK(pm_wz_set(&z, w->done++, NULL));
        takes_its_time = true;
        CHECK_OK(pm_wz_remove(&z, PM_KEEP, NULL));
        takes_its_time = false;
    }
    CHECK_OK(pm_wz_drop(&z));
    return NULL;
}

/* Two threads have two parts each. */
static void *come_write_and_go(void *arg) {
    worker *w = arg;
    steady *s = w->shared;
    while (goes_on(w)) {
        unsigned part = (unsigned)below(w, COMING / 2) * 2 + w->number % 2, k = (unsigned)below(w, STEADY);
        char path[16];
        pm_wz z;
        size_t len = steady_path(path, part);
        CHECK_OK(pm_head_write(s->h, path, len, &z, NULL));
        if (below(w, 2)) nap(200); /* clean, for a while */
        for (unsigned n = (unsigned)below(w, 3); n < 3; n++) {
            uint8_t key = (uint8_t)k;
            uint64_t v = atomic_load(&s->written[part][k]) + 1;
            (void)pm_rz_move_to(pm_wz_cursor(&z), &key, 1);
            CHECK_OK(pm_wz_set(&z, v, NULL));
            pm_rz_reset(pm_wz_cursor(&z));
            atomic_store(&s->written[part][k], v);
            w->done++;
        }
        if (below(w, 2)) nap(500); /* dirty, for a while */
        CHECK_OK(pm_wz_drop(&z));
    }
    return NULL;
}

static void *look_at_all(void *arg) {
    worker *w = arg;
    steady *s = w->shared;
    while (goes_on(w)) {
        uint64_t before[COMING][STEADY];
        pm_rz z;
        for (unsigned i = 0; i < COMING * STEADY; i++)
            before[i / STEADY][i % STEADY] = atomic_load(&s->written[i / STEADY][i % STEADY]);
        CHECK_OK(below(w, 3) ? pm_head_fence(s->h, "", 0, &z) : pm_head_read(s->h, "", 0, &z));
        for (unsigned i = 0; i < COMING * STEADY; i++) {
            char path[16];
            size_t len = steady_path(path, i / STEADY);
            path[len] = (char)(i % STEADY);
            const pm_val *v = pm_rz_val_at(&z, path, len + 1);
            CHECK(v != NULL);
            CHECK(!v || *v >= before[i / STEADY][i % STEADY]);
        }
        pm_rz_drop(&z);
        w->done++;
        nap(50);
    }
    return NULL;
}

TEST(threads_come_and_write_beside_fences) {
    need_threads();
    static steady s;
    pm_map m = pm_new(&slow_ops, NULL);
    memset(&s, 0, sizeof s);
    for (unsigned i = 0; i < COMING * STEADY; i++) {
        char path[16];
        size_t len = steady_path(path, i / STEADY);
        path[len] = (char)(i % STEADY);
        CHECK_OK(pm_set(&m, path, len + 1, 0, NULL));
    }
    CHECK_OK(pm_head_new(&m, &s.h));
    void *(*const fn[])(void *) = {come_write_and_go, come_write_and_go, make_long_calls, look_at_all, look_at_all};
    run(5, fn, &s);
    CHECK_OK(pm_head_free(s.h, NULL, NULL));
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
    while (goes_on(w)) {
        CHECK_OK(pm_shared_update(w->shared, move_one, w));
        w->done++;
    }
    return NULL;
}

/* Keeps a copy up to date, and clones it with a root node of its own. */
static void *count_coins(void *arg) {
    worker *w = arg;
    pm_map now = pm_new(NULL, NULL), m;
    uint64_t seen = 0;
    while (goes_on(w)) {
        (void)pm_shared_refresh(w->shared, &now, &seen);
        CHECK_OK(pm_clone_apart(&now, &m));
        pm_val sum = 0;
        for (unsigned i = 0; i < CELLS; i++) {
            uint8_t cell = (uint8_t)i;
            sum += *pm_get(&m, &cell, 1);
        }
        CHECK_EQ(sum, CELLS * 10);
        pm_drop(&m);
        w->done++;
    }
    pm_drop(&now);
    return NULL;
}

/* Takes what there is and puts the same back. */
static void *store_again(void *arg) {
    worker *w = arg;
    while (goes_on(w)) {
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
    for (pm_val i = 1; goes_on(w); i++) {
        pm_rz *made = malloc(sizeof *made), *gone = made;
        CHECK_OK(pm_wz_set(&z, i, NULL));
        CHECK_OK(pm_head_read(r->h, "n", 1, made));
        CHECK_EQ(*pm_rz_val(made), i);
        gone = atomic_exchange(&r->slot[below(w, SLOTS)], made);
        if (gone) pm_rz_drop(gone);
        free(gone);
        w->done++;
    }
    CHECK_OK(pm_wz_drop(&z));
    return NULL;
}

static void *use_readers(void *arg) {
    worker *w = arg;
    relay *r = w->shared;
    while (goes_on(w)) {
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
    CHECK_OK(pm_head_free(r.h, NULL, NULL));
    pm_drop(&m);
    check_nothing_left();
}

/* ---- the table of claims, all rows at once ------------------------------------------------------------------- */

/* Eight places, and eight more paths that each lie above some of them. Whoever is given a zipper says so at all places
   under its path: two writers, or a writer and a pinned reader, must never meet there. */
enum { PLACES = 8, CLAIMABLE = 15 };
static const char *const claimable[CLAIMABLE] = {"",     "l",    "r",    "lx",   "ly",   "rx",   "ry",  "lx0",
                                                 "lx1",  "ly0",  "ly1",  "rx0",  "rx1",  "ry0",  "ry1"};

typedef struct claims {
    pm_head *h;
    atomic_int writers[PLACES], pins[PLACES];
    atomic_uint_fast64_t granted, refused;
} claims;

static bool paths_overlap(const void *p, size_t n, const void *q, size_t m) {
    size_t least = n < m ? n : m;
    return least == 0 || memcmp(p, q, least) == 0;
}

static bool is_under(unsigned place, unsigned path) {
    return strncmp(claimable[7 + place], claimable[path], strlen(claimable[path])) == 0;
}

static void stand(claims *c, unsigned path, bool writer, int by) {
    for (unsigned i = 0; i < PLACES; i++) {
        if (!is_under(i, path)) continue;
        int writers = atomic_fetch_add(&c->writers[i], writer ? by : 0);
        int pins = atomic_fetch_add(&c->pins[i], writer ? 0 : by);
        if (by > 0) CHECK(writers == 0 && (!writer || pins == 0));
    }
}

/* A report names claims in the way of what was asked for. */
static void check_report(pm_map *why, unsigned path, bool write) {
    const uint8_t *asked = (const uint8_t *)claimable[path];
    CHECK(!pm_is_empty(why));
    for (pm_iter i = pm_iter_vals(why); pm_iter_next(&i);) {
        CHECK(paths_overlap(i.key, i.len, asked, strlen(claimable[path])));
        CHECK(*i.val == PM_CLAIM_WRITER || (write && *i.val == PM_CLAIM_PINNED));
    }
    pm_drop(why);
}

static void *claim_places(void *arg) {
    worker *w = arg;
    claims *c = w->shared;
    while (goes_on(w)) {
        unsigned path = (unsigned)below(w, CLAIMABLE);
        bool write = below(w, 2);
        pm_wz z;
        pm_rz pin, snap;
        pm_map why;
        pm_status st = write ? pm_head_write(c->h, claimable[path], strlen(claimable[path]), &z, &why)
                             : pm_head_pin(c->h, claimable[path], strlen(claimable[path]), &pin, &why);
        if (st == PM_CONFLICT) {
            check_report(&why, path, write);
            atomic_fetch_add(&c->refused, 1);
            if (below(w, 4) == 0) sched_yield();
        } else {
            CHECK_OK(st);
            stand(c, path, write, 1);
            CHECK_OK(pm_head_read(c->h, claimable[path], strlen(claimable[path]), &snap)); /* in nobody's way */
            if (write) CHECK_OK(pm_wz_set(&z, below(w, 100), NULL));
            if (below(w, 2)) sched_yield();
            pm_rz_drop(&snap);
            stand(c, path, write, -1);
            if (write) CHECK_OK(pm_wz_drop(&z));
            else pm_rz_drop(&pin);
            atomic_fetch_add(&c->granted, 1);
        }
        w->done++;
    }
    return NULL;
}

/* The map cannot be had back as long as one zipper is out, and one is: the head stays as usable as before. */
static void *ask_for_the_map(void *arg) {
    worker *w = arg;
    claims *c = w->shared;
    pm_rz out;
    CHECK_OK(pm_head_read(c->h, "", 0, &out));
    while (goes_on(w)) {
        uint64_t busy = 0;
        CHECK_EQ(pm_head_free(c->h, NULL, &busy), PM_BUSY);
        CHECK(busy >= 1);
        sched_yield();
        w->done++;
    }
    pm_rz_drop(&out);
    return NULL;
}

TEST(threads_are_kept_apart_by_claims_and_told_why) {
    need_threads();
    pm_map m = pm_new(NULL, NULL);
    static claims c;
    memset(&c, 0, sizeof c);
    CHECK_OK(pm_head_new(&m, &c.h));
    void *(*const fn[])(void *) = {claim_places, claim_places, claim_places, claim_places, ask_for_the_map};
    run(5, fn, &c);
    CHECK(atomic_load(&c.granted) > 0);
    printf("# %s: %" PRIu64 " granted, %" PRIu64 " refused with a report\n", check__current,
           (uint64_t)atomic_load(&c.granted), (uint64_t)atomic_load(&c.refused));
    CHECK_OK(pm_head_free(c.h, NULL, NULL));
    check_sound(&m);
    pm_drop(&m);
    check_nothing_left();
}

/* ---- zippers of every kind that travel ----------------------------------------------------------------------- */

/* Writers, pinned readers and snapshots are made by one thread, go on and end in another. */
typedef struct parcel {
    enum { SENT_WRITER, SENT_PIN, SENT_SNAPSHOT } kind;
    pm_wz w;
    pm_rz z;
    pm_val told; /* what it showed when it was sent */
} parcel;

typedef struct post {
    pm_head *h;
    _Atomic(parcel *) slot[SLOTS];
} post;

/* Uses it up. */
static void open_parcel(parcel *p) {
    if (!p) return;
    pm_rz *c = p->kind == SENT_WRITER ? pm_wz_cursor(&p->w) : &p->z;
    CHECK(pm_rz_val(c) && *pm_rz_val(c) == p->told);
    if (p->kind == SENT_WRITER) {
        CHECK_OK(pm_wz_set(&p->w, p->told + 1, NULL));
        CHECK_OK(pm_wz_drop(&p->w));
    } else {
        pm_rz_drop(&p->z);
    }
    free(p);
}

static void *send_and_receive(void *arg) {
    worker *w = arg;
    post *s = w->shared;
    while (goes_on(w)) {
        parcel *p = malloc(sizeof *p);
        uint8_t path = (uint8_t)below(w, SLOTS);
        uint64_t kind = below(w, 3);
        pm_status st = PM_OK;
        memset(p, 0, sizeof *p);
        p->kind = kind == 0 ? SENT_WRITER : kind == 1 ? SENT_PIN : SENT_SNAPSHOT;
        if (p->kind == SENT_WRITER) st = pm_head_write(s->h, &path, 1, &p->w, NULL);
        else if (p->kind == SENT_PIN) st = pm_head_pin(s->h, &path, 1, &p->z, NULL);
        else st = pm_head_read(s->h, &path, 1, &p->z);
        CHECK(st == PM_OK || st == PM_CONFLICT);
        if (st == PM_OK) {
            if (p->kind == SENT_WRITER) CHECK_OK(pm_wz_set(&p->w, below(w, 1000), NULL));
            p->told = *pm_rz_val(p->kind == SENT_WRITER ? pm_wz_cursor(&p->w) : &p->z);
            p = atomic_exchange(&s->slot[below(w, SLOTS)], p);
            open_parcel(p);
        } else {
            free(p);
        }
        open_parcel(atomic_exchange(&s->slot[below(w, SLOTS)], NULL));
        w->done++;
    }
    return NULL;
}

TEST(threads_hand_writers_pins_and_snapshots_to_each_other) {
    need_threads();
    pm_map m = pm_new(NULL, NULL);
    static post s;
    for (unsigned i = 0; i < SLOTS; i++) {
        uint8_t path = (uint8_t)i;
        CHECK_OK(pm_set(&m, &path, 1, 1, NULL));
    }
    CHECK_OK(pm_head_new(&m, &s.h));
    void *(*const fn[])(void *) = {send_and_receive, send_and_receive, send_and_receive, send_and_receive};
    run(4, fn, &s);
    for (int i = 0; i < SLOTS; i++) open_parcel(atomic_exchange(&s.slot[i], NULL));
    CHECK_OK(pm_head_free(s.h, NULL, NULL));
    check_sound(&m);
    pm_drop(&m);
    check_nothing_left();
}

/* ---- values that are counted, and witnesses ------------------------------------------------------------------ */

/* A value is an object with a count of its own; who takes the count to 0 marks it dead, and a dead one is never touched
   again but by the test, at the end. */
typedef struct thing {
    atomic_int refs;
    pm_val mark; /* plain: guarded by the count */
    struct thing *next;
} thing;

static _Atomic(thing *) all_things;
static atomic_int live_things;

static thing *thing_of(pm_val v) { return (thing *)(uintptr_t)v; }

static pm_val new_thing(pm_val mark) {
    thing *t = malloc(sizeof *t);
    atomic_store(&t->refs, 1);
    t->mark = mark;
    t->next = atomic_load(&all_things);
    while (!atomic_compare_exchange_strong(&all_things, &t->next, t)) continue;
    atomic_fetch_add(&live_things, 1);
    return (pm_val)(uintptr_t)t;
}

static void retain_thing(void *ctx, pm_val v) {
    (void)ctx;
    CHECK(atomic_fetch_add(&thing_of(v)->refs, 1) > 0);
}

static void release_thing(void *ctx, pm_val v) {
    (void)ctx;
    int before = atomic_fetch_sub(&thing_of(v)->refs, 1);
    CHECK(before > 0);
    if (before != 1) return;
    thing_of(v)->mark = 0;
    atomic_fetch_sub(&live_things, 1);
}

static const pm_ops *thing_ops(void) {
    static const pm_ops ops = {
        .name = "things", .flags = PM_OPS_IDEMPOTENT, .retain = retain_thing, .release = release_thing};
    return &ops;
}

enum { KEPT = 12, THING_KEYS = 24 };

typedef struct witnessed {
    pm_witness keep[KEPT];
    const pm_val *v[KEPT];
    pm_val mark[KEPT];
} witnessed;

typedef struct gallery {
    pm_head *h;
    witnessed kept[THREADS_MAX];
} gallery;

static void write_thing(worker *w, pm_wz *z) {
    char key[8];
    uint64_t k = below(w, THING_KEYS);
    (void)pm_rz_move_to(pm_wz_cursor(z), key, (size_t)sprintf(key, "k%u", (unsigned)k));
    if (below(w, 4) == 0) CHECK_OK(pm_wz_remove(z, PM_PRUNE, NULL));
    else CHECK_OK(pm_wz_set(z, new_thing(1 + k), NULL));
    w->done++;
}

/* Writers come and go; some groups are undone, and with them what was new. */
static void *write_things(void *arg) {
    worker *w = arg;
    gallery *g = w->shared;
    while (goes_on(w)) {
        uint8_t path = (uint8_t)('a' + below(w, 3));
        pm_wz z;
        if (pm_head_write(g->h, &path, 1, &z, NULL) != PM_OK) continue;
        for (int i = 0; i < 10; i++) write_thing(w, &z);
        CHECK_OK(pm_wz_begin(&z));
        for (int i = 0; i < 5; i++) write_thing(w, &z);
        CHECK_OK(below(w, 2) ? pm_wz_rollback(&z) : pm_wz_commit(&z));
        CHECK_OK(pm_wz_drop(&z));
    }
    return NULL;
}

/* Keeps some values by witnesses, after reader and writer have gone, and looks at them again later. */
static void *witness_things(void *arg) {
    worker *w = arg;
    gallery *g = w->shared;
    witnessed *k = &g->kept[w->number];
    while (goes_on(w)) {
        unsigned i = (unsigned)below(w, KEPT);
        pm_rz z;
        if (k->v[i]) CHECK_EQ(thing_of(*k->v[i])->mark, k->mark[i]);
        CHECK_OK(below(w, 4) ? pm_head_read(g->h, "", 0, &z) : pm_head_fence(g->h, "", 0, &z));
        for (uint64_t skip = below(w, THING_KEYS); skip && pm_rz_to_next_val(&z); skip--) continue;
        if (pm_rz_to_next_val(&z)) {
            if (k->v[i]) pm_witness_drop(&k->keep[i]);
            k->keep[i] = pm_rz_witness(&z);
            CHECK_OK(pm_rz_val_witnessed(&z, &k->keep[i], &k->v[i]));
            k->mark[i] = thing_of(*k->v[i])->mark;
            CHECK(k->mark[i] > 0);
        }
        pm_rz_drop(&z);
        w->done++;
    }
    return NULL;
}

TEST(threads_keep_counted_values_and_witnesses_balanced) {
    need_threads();
    pm_map m = pm_new(thing_ops(), NULL);
    static gallery g;
    memset(&g, 0, sizeof g);
    CHECK_OK(pm_head_new(&m, &g.h));
    void *(*const fn[])(void *) = {write_things, write_things, witness_things, witness_things, witness_things};
    run(5, fn, &g);
    CHECK_OK(pm_head_free(g.h, NULL, NULL));
    check_sound(&m);
    pm_drop(&m); /* the witnesses outlive writers, head and map */
    for (unsigned i = 0; i < THREADS_MAX; i++)
        for (unsigned j = 0; j < KEPT; j++) {
            if (!g.kept[i].v[j]) continue;
            CHECK_EQ(thing_of(*g.kept[i].v[j])->mark, g.kept[i].mark[j]);
            pm_witness_drop(&g.kept[i].keep[j]);
        }
    CHECK_EQ(atomic_load(&live_things), 0);
    for (thing *t = atomic_exchange(&all_things, NULL), *next; t; t = next) {
        next = t->next;
        CHECK_EQ(atomic_load(&t->refs), 0);
        free(t);
    }
    check_nothing_left();
}

/* ---- clones that go from hand to hand ------------------------------------------------------------------------ */

typedef struct pot {
    pm_map original;
    _Atomic(pm_map *) slot[64];
} pot;

/* Makes clones, some of them changed, and drops what others have made, in any order. */
static void *pass_clones(void *arg) {
    worker *w = arg;
    pot *s = w->shared;
    while (goes_on(w)) {
        pm_map *mine = malloc(sizeof *mine);
        *mine = pm_clone(&s->original);
        if (below(w, 8) == 0) CHECK_OK(pm_set(mine, "key/7/7", 7, 1, NULL));
        pm_map *other = atomic_exchange(&s->slot[below(w, 64)], mine);
        if (other) {
            const pm_val *v = pm_get(other, "key/8/8", 7);
            CHECK(v && *v == 8);
            pm_drop(other);
            free(other);
        }
        w->done++;
    }
    return NULL;
}

/* test_counts.c has the same at the limit of counts. */
TEST(threads_drop_clones_in_any_order) {
    need_threads();
    static pot s;
    memset(&s, 0, sizeof s);
    s.original = pm_new(NULL, NULL);
    for (unsigned k = 0; k < 100; k++) {
        char key[24];
        int len = sprintf(key, "key/%u/%u", k % 20, k);
        CHECK_OK(pm_set(&s.original, key, (size_t)len, k, NULL));
    }
    void *(*const fn[])(void *) = {pass_clones, pass_clones, pass_clones, pass_clones, pass_clones, pass_clones};
    run(6, fn, &s);
    for (int i = 0; i < 64; i++) {
        pm_map *left = atomic_exchange(&s.slot[i], NULL);
        if (left) pm_drop(left);
        free(left);
    }
    CHECK_EQ(*pm_get(&s.original, "key/7/7", 7), 7);
    pm_drop(&s.original);
    check_nothing_left();
}
