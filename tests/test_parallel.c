/* Operations in pieces (77_parallel): the same as by one call, whoever runs the pieces and in whatever order. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include "library.h"

#include "counted.h"

#include <pthread.h>
#include <stdlib.h>

/* Runs tasks one after the other, in an order of its own: forwards, backwards, or mixed. */
static void run_here(void *ctx, void (*task)(void *arg, size_t i), void *arg, size_t n) {
    unsigned order = *(const unsigned *)ctx;
    for (size_t i = 0; i < n; i++)
        task(arg, order == 0 ? i : order == 1 ? n - 1 - i : (i * 2 < n ? i * 2 : (n - 1 - i) * 2 + 1));
}

typedef struct round {
    void (*task)(void *arg, size_t i);
    void *arg;
    size_t n;
    _Atomic size_t next;
} round;

static void *work(void *arg) {
    round *r = arg;
    for (size_t i; (i = atomic_fetch_add(&r->next, 1)) < r->n;) r->task(r->arg, i);
    return NULL;
}

static void run_threads(void *ctx, void (*task)(void *arg, size_t i), void *arg, size_t n) {
    round r = {task, arg, n, 0};
    pthread_t thread[3];
    (void)ctx;
    for (size_t i = 0; i < 3; i++) CHECK_EQ(pthread_create(&thread[i], NULL, work, &r), 0);
    work(&r);
    for (size_t i = 0; i < 3; i++) pthread_join(thread[i], NULL);
}

/* How keys look: bytes drawn from few or many, lengths, and how many they are. */
static const struct {
    unsigned bytes, longest, keys, dangling;
} kinds[] = {{256, 8, 3000, 0}, {3, 12, 2000, 200}, {2, 40, 600, 60}, {26, 3, 900, 9}, {5, 6, 4, 1}, {40, 5, 0, 0}};
enum { KINDS = sizeof kinds / sizeof kinds[0] };

static pm_map random_map(const pm_ops *ops, unsigned k, pm_map *like) {
    pm_map m = like ? pm_clone(like) : pm_new(ops, NULL);
    unsigned edits = like ? kinds[k].keys / 50 + 1 : kinds[k].keys;
    for (unsigned i = 0; i < edits; i++) {
        uint8_t key[64];
        size_t len = check_below(kinds[k].longest + 1);
        for (size_t j = 0; j < len; j++) key[j] = (uint8_t)(check_below(kinds[k].bytes) + (j % 2 ? 0 : 60));
        if (like && i % 3 == 0) CHECK_OK(pm_remove(&m, key, len, PM_PRUNE, NULL));
        else if (kinds[k].dangling && check_below(kinds[k].keys) < kinds[k].dangling)
            CHECK_OK(pm_create_path(&m, key, len, NULL));
        else CHECK_OK(pm_set(&m, key, len, ops == pm_ops_unit() ? 0 : check_below(4) + 1, NULL));
    }
    return m;
}

static void same(const pm_map *a, const pm_map *b) {
    bool equal = false;
    CHECK_OK(pm_equal(a, b, &equal));
    CHECK(equal);
    const char *why = NULL;
    CHECK_OK(pm_check(a, &why));
}

typedef pm_status (*algebra)(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
typedef pm_status (*algebra_par)(const pm_team *t, const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
static const struct {
    algebra one;
    algebra_par many;
} operations[] = {{pm_join, pm_par_join},
                  {pm_meet, pm_par_meet},
                  {pm_subtract, pm_par_subtract},
                  {pm_symmetric_difference, pm_par_symmetric_difference}};
enum { OPERATIONS = sizeof operations / sizeof operations[0] };

static void compare_algebra(const pm_team *team, const pm_map *a, const pm_map *b) {
    for (size_t o = 0; o < OPERATIONS; o++) {
        pm_map one, many;
        pm_alg alg_one = PM_ALG_ELEMENT, alg_many = PM_ALG_NONE;
        CHECK_OK(operations[o].one(a, b, &one, &alg_one));
        CHECK_OK(operations[o].many(team, a, b, &many, &alg_many));
        CHECK_EQ(alg_one, alg_many);
        same(&many, &one);
        pm_drop(&one);
        pm_map into = pm_clone(o % 2 ? a : b); /* the result may take an operand's place */
        CHECK_OK(o % 2 ? operations[o].many(team, &into, b, &into, NULL)
                       : operations[o].many(team, a, &into, &into, NULL));
        same(&into, &many);
        pm_drop(&many);
        pm_drop(&into);
    }
}

static int sum_at(void *ctx, const pm_fold_at *here, void *out) {
    uint64_t sum = here->val ? *here->val + 1 : 7;
    (void)ctx;
    CHECK(here->path == NULL && here->len == 0);
    for (unsigned i = 0; i < here->n; i++) sum = sum * 31 + ((const uint64_t *)here->results)[i];
    *(uint64_t *)out = sum;
    return PM_OK;
}

static void compare_sums(const pm_team *team, const pm_map *m) {
    uint64_t one = 1, many = 2;
    CHECK_OK(pm_val_count(m, &one));
    CHECK_OK(pm_par_val_count(team, m, &many));
    CHECK_EQ(one, many);
    pm_hash128 h = {0, 0}, g = {1, 1};
    CHECK_OK(pm_hash(m, &h));
    CHECK_OK(pm_par_hash(team, m, &g));
    CHECK(h.lo == g.lo && h.hi == g.hi);
    pm_fold f = {.size = sizeof one, .flags = PM_FOLD_CACHED, .at = sum_at};
    CHECK_EQ(pm_fold_map(m, &f, &one), 0);
    CHECK_EQ(pm_par_fold_map(team, m, &f, &many), 0);
    CHECK_EQ(one, many);
    pm_map c = pm_clone(m), d = pm_clone(m);
    pm_par_drop(team, &c);
    CHECK(pm_is_empty(&c));
    same(m, &d);
    pm_drop(&d);
}

/* Every other of the kinds of maps and values, from the given one on. */
static void compare_everything(const pm_team *team, unsigned from) {
    const pm_ops *const tables[] = {pm_ops_lattice(), pm_ops_sum(), pm_ops_unit()};
    for (unsigned i = from; i < 3 * KINDS; i += 2) {
        unsigned k = i / 3;
        pm_map a = random_map(tables[i % 3], k, NULL), b = random_map(tables[i % 3], k, NULL);
        pm_map near = random_map(tables[i % 3], k, &a), empty = pm_new(tables[i % 3], NULL), clone = pm_clone(&a);
        const pm_map *const maps[] = {&a, &b, &near, &empty, &clone};
        for (unsigned x = 0; x < 5; x++) {
            compare_sums(team, maps[x]);
            compare_algebra(team, maps[x], maps[check_below(5)]);
            compare_algebra(team, maps[check_below(2)], maps[x]);
        }
        pm_drop(&a);
        pm_drop(&near);
        pm_par_drop(team, &clone); /* what the last one of all drops */
        pm_par_drop(team, &b);
    }
}

TEST(parallel_results_are_those_of_one_thread) {
    for (unsigned order = 0; order < 3; order++) {
        pm_team team = {run_here, &order, order == 2 ? 5 : 2};
        compare_everything(&team, order % 2);
    }
}

TEST(parallel_results_of_threads) {
    pm_team team = {run_threads, NULL, 4};
    compare_everything(&team, 0);
}

static void compare_builds(const pm_team *team, unsigned kind, size_t n, bool sorted) {
    static uint8_t bytes[20000][16];
    static pm_key keys[20000];
    static pm_val vals[20000];
    for (size_t i = 0; i < n; i++) {
        size_t len = sorted ? 4 : check_below(kinds[kind].longest < 16 ? kinds[kind].longest + 1 : 16);
        for (size_t j = 0; j < len; j++)
            bytes[i][j] = (uint8_t)(sorted ? i >> (24 - 8 * j) : check_below(kinds[kind].bytes));
        keys[i] = (pm_key){bytes[i], len};
        vals[i] = i;
    }
    for (unsigned v = 0; v < 2; v++) {
        pm_map one, many;
        CHECK_OK(pm_build(pm_ops_lattice(), NULL, keys, v ? vals : NULL, n, &one));
        CHECK_OK(pm_par_build(team, pm_ops_lattice(), NULL, keys, v ? vals : NULL, n, &many));
        same(&many, &one);
        pm_drop(&one);
        pm_drop(&many);
    }
}

TEST(parallel_builds) {
    unsigned order = 2;
    pm_team here = {run_here, &order, 3}, threads = {run_threads, NULL, 2};
    for (unsigned k = 0; k < KINDS; k++)
        for (size_t n = 0; n <= 20000; n = n * 7 + 3) {
            compare_builds(k % 2 ? &here : &threads, k, n, false);
            compare_builds(k % 2 ? &threads : &here, k, n, true);
        }
}

/* One allocation after the other fails: the status says so, and what was there still is; nothing is lost. */
TEST(parallel_without_memory) {
    unsigned order = 0;
    pm_team team = {run_here, &order, 2};
    pm_map a = pm_new(counted_ops(), NULL), b = pm_new(counted_ops(), NULL);
    static uint8_t key[1500][3];
    static pm_key keys[1500];
    static pm_val vals[1500];
    for (size_t i = 0; i < 1500; i++) {
        for (size_t j = 0; j < 3; j++) key[i][j] = (uint8_t)check_below(9);
        keys[i] = (pm_key){key[i], 3};
        vals[i] = counted_new();
        CHECK_OK(pm_set(i % 2 ? &a : &b, key[i], 3, counted_new(), NULL));
    }
    int64_t held = counted_held();
    for (unsigned what = 0; what < 6; what++) {
        bool done = false;
        for (uint64_t n = 1; !done; n++) {
            pm_map out = pm_new(counted_ops(), NULL);
            pm_hash128 h;
            uint64_t count = 99;
            check_fail_alloc(n);
            pm_status s = what == 0   ? pm_par_join(&team, &a, &b, &out, NULL)
                          : what == 1 ? pm_par_meet(&team, &a, &b, &out, NULL)
                          : what == 2 ? pm_par_build(&team, counted_ops(), NULL, keys, vals, 1500, &out)
                          : what == 3 ? pm_par_hash(&team, &a, &h)
                          : what == 4 ? pm_par_val_count(&team, &a, &count)
                                      : pm_par_symmetric_difference(&team, &a, &b, &out, NULL);
            done = check_alloc_fails() == 0;
            check_fail_alloc(0);
            CHECK(s == PM_OK || (s == PM_NOMEM && pm_is_empty(&out) && count == 99));
            if (what == 2 && s == PM_OK) /* those that the map took over */
                for (size_t i = 0; i < 1500; i++) CHECK_EQ(counted_refs(vals[i]) <= 1, true);
            if (what == 2 && s == PM_OK) {
                pm_drop(&out);
                for (size_t i = 0; i < 1500; i++) vals[i] = counted_new();
            }
            pm_drop(&out);
            CHECK_EQ(counted_held(), held);
            if (check_failed()) return;
        }
    }
    for (uint64_t n = 1; n < 60; n++) { /* a drop needs no memory */
        pm_map c = pm_clone(&a);
        CHECK_OK(pm_set(&c, "more", 4, counted_new(), NULL));
        check_fail_alloc(n);
        pm_par_drop(&team, &c);
        check_fail_alloc(0);
        CHECK_EQ(counted_held(), held);
    }
    pm_par_drop(&team, &a);
    pm_par_drop(&team, &b);
    for (size_t i = 0; i < 1500; i++) counted_release(vals[i]);
    CHECK_EQ(counted_held(), 0);
    CHECK(counted_is_sound());
}

/* Results that own memory: each is ended once, whatever fails. */
static int results;
static int box_at(void *ctx, const pm_fold_at *here, void *out) {
    unsigned *left = ctx;
    if (*left && --*left == 0) return 77;
    uint64_t *box = malloc(sizeof *box);
    *box = here->val ? 1 : 0;
    for (unsigned i = 0; i < here->n; i++) *box += *((uint64_t **)here->results)[i];
    *(uint64_t **)out = box;
    results++;
    return PM_OK;
}
static void box_drop(void *ctx, void *result) {
    (void)ctx;
    free(*(uint64_t **)result);
    results--;
}
static int box_copy(void *ctx, const void *result, void *out) {
    (void)ctx;
    uint64_t *box = malloc(sizeof *box);
    *box = **(uint64_t *const *)result;
    *(uint64_t **)out = box;
    results++;
    return PM_OK;
}

TEST(parallel_folds_end_their_results) {
    unsigned order = 2, left = 0;
    pm_team team = {run_here, &order, 3};
    pm_map m = random_map(pm_ops_lattice(), 3, NULL);
    pm_fold f = {sizeof(uint64_t *), PM_FOLD_CACHED, &left, box_at, box_drop, box_copy};
    uint64_t n, *box;
    CHECK_OK(pm_val_count(&m, &n));
    for (unsigned fail = 0; fail < 1200; fail += 1 + fail / 9) {
        left = fail;
        int s = pm_par_fold_map(&team, &m, &f, &box);
        CHECK(s == 0 || s == 77);
        CHECK(fail || s == 0);
        if (s == 0) {
            CHECK_EQ(*box, n);
            box_drop(NULL, &box);
        }
        CHECK_EQ(results, 0);
    }
    f.flags = 0;
    CHECK_EQ(pm_par_fold_map(&team, &m, &f, &box), PM_INVALID);
    f.flags = PM_FOLD_CACHED | PM_FOLD_JUMPING;
    CHECK_EQ(pm_par_fold_map(&team, &m, &f, &box), PM_INVALID);
    pm_drop(&m);
}

TEST(parallel_refuses_what_cannot_be) {
    pm_team none = {NULL, NULL, 4};
    pm_map a = pm_new(NULL, NULL), b = pm_new(pm_ops_lattice(), NULL), out = pm_new(NULL, NULL);
    unsigned order = 0;
    pm_team team = {run_here, &order, 0};
    uint64_t n = 5;
    CHECK_EQ(pm_par_join(&none, &a, &a, &out, NULL), PM_INVALID);
    CHECK_EQ(pm_par_val_count(&none, &a, &n), PM_INVALID);
    CHECK_OK(pm_par_val_count(&team, &a, &n));
    CHECK_EQ(n, 0);
    CHECK_OK(pm_set(&a, "x", 1, 3, NULL));
    CHECK_EQ(pm_par_join(&team, &a, &b, &out, NULL), PM_MISMATCH);
    CHECK_OK(pm_par_join(&team, &a, &a, &out, NULL));
    same(&out, &a);
    pm_drop(&out);
    pm_par_drop(&none, &a); /* without a team as pm_drop */
    CHECK(pm_is_empty(&a));
    pm_drop(&b);
}

/* A fold in pieces asks for each place about as often as one that is not. */
static _Atomic uint64_t asked;

static int count_at(void *ctx, const pm_fold_at *here, void *out) {
    (void)ctx, (void)here;
    asked++;
    *(uint64_t *)out = 0;
    return PM_OK;
}

TEST(parallel_folds_ask_for_a_place_once) {
    unsigned order = 0;
    pm_team team = {run_here, &order, 4};
    pm_map m = pm_new(NULL, NULL);
    for (uint64_t i = 0; i < 3000; i++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(&m, &r, sizeof r, i, NULL));
    }
    uint64_t out = 0;
    pm_fold f = {.size = sizeof out, .flags = PM_FOLD_CACHED, .at = count_at};
    asked = 0;
    CHECK_EQ(pm_fold_map(&m, &f, &out), 0);
    const uint64_t one = asked;
    asked = 0;
    CHECK_EQ(pm_par_fold_map(&team, &m, &f, &out), 0);
    CHECK_NOTE(asked >= one && asked <= one + one / 8, "%d, not %d times", (int)asked, (int)one);
    pm_drop(&m);
}
