/* Status names, the built-in value tables, counted byte strings. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "model.h"

#include <pthread.h>

#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#include "../pathmap.h"

TEST(version_is_that_of_the_header) { CHECK_EQ(pm_version(), PM_VERSION); }

TEST(status_has_a_text_for_every_code) {
    for (int a = PM_OK; a >= PM_IO; a--) {
        CHECK(pm_status_text((pm_status)a)[0] != '\0');
        CHECK(strcmp(pm_status_text((pm_status)a), "unknown status") != 0);
        for (int b = a - 1; b >= PM_IO; b--)
            CHECK(strcmp(pm_status_text((pm_status)a), pm_status_text((pm_status)b)) != 0);
    }
    CHECK_STR_EQ(pm_status_text((pm_status)77), "unknown status");
    CHECK_STR_EQ(pm_status_text((pm_status)-77), "unknown status");
}

/* What a value operation should give: a value or nothing. The answer's form follows from that. */
typedef struct want {
    bool some;
    pm_val val;
} want;

static void check_answer(pm_alg alg, pm_val a, pm_val b, pm_val out, want w, const char *what) {
    unsigned expect = PM_ALG_NONE;
    if (w.some) {
        expect = (w.val == a ? (unsigned)PM_ALG_LEFT : 0) | (w.val == b ? (unsigned)PM_ALG_RIGHT : 0);
        if (!expect) expect = PM_ALG_ELEMENT;
    }
    CHECK_NOTE((unsigned)alg == expect, "%s of %" PRIu64 " and %" PRIu64 ": answer %d, expected %u", what, a, b,
               (int)alg, expect);
    if (alg == PM_ALG_ELEMENT) CHECK_EQ(out, w.val);
}

typedef want (*rule)(pm_val a, pm_val b);

static want rule_left(pm_val a, pm_val b) { return (void)b, (want){true, a}; }
static want rule_none(pm_val a, pm_val b) { return (void)a, (void)b, (want){false, 0}; }
static want rule_max(pm_val a, pm_val b) { return (want){true, a > b ? a : b}; }
static want rule_min(pm_val a, pm_val b) { return (want){true, a < b ? a : b}; }
static want rule_cancel(pm_val a, pm_val b) { return (want){a != b, a}; }
static want rule_add(pm_val a, pm_val b) { return (want){true, a + b}; }
static want rule_difference(pm_val a, pm_val b) { return (want){a > b, a - b}; }
static want rule_or(pm_val a, pm_val b) { return (want){true, a | b}; }
static want rule_and(pm_val a, pm_val b) { return (want){a == b || (a & b) != 0, a & b}; }
static want rule_andnot(pm_val a, pm_val b) { return (want){(a & ~b) != 0, a & ~b}; }

static void check_table(const pm_ops *ops, const pm_val *vals, size_t n, rule join, rule meet, rule subtract) {
    for (size_t i = 0; i < n; i++) {
        for (size_t j = 0; j < n; j++) {
            pm_val a = vals[i], b = vals[j], out = 12345;
            pm_alg alg = pm__val_join(ops, a, b, &out);
            check_answer(alg, a, b, out, join(a, b), ops->name);
            alg = pm__val_meet(ops, a, b, &out);
            check_answer(alg, a, b, out, meet(a, b), ops->name);
            alg = pm__val_subtract(ops, a, b, &out);
            check_answer(alg, a, b, out, subtract(a, b), ops->name);
            CHECK_EQ(pm__val_equal(ops, a, b), a == b);
        }
    }
}

TEST(ops_tables_compute_what_they_promise) {
    static const pm_val vals[] = {0,  1,  2,   3,   4,                5,              6,         7,
                                  8, 12, 255, 256, UINT64_C(1) << 63, UINT64_MAX - 1, UINT64_MAX};
    const size_t n = sizeof vals / sizeof *vals;
    check_table(pm_ops_unit(), vals, 1, rule_left, rule_left, rule_none);
    check_table(pm_ops_left(), vals, n, rule_left, rule_left, rule_none);
    check_table(pm_ops_lattice(), vals, n, rule_max, rule_min, rule_cancel);
    check_table(pm_ops_sum(), vals, n, rule_add, rule_min, rule_difference);
    check_table(pm_ops_bits(), vals, n, rule_or, rule_and, rule_andnot);
}

/* The naive trie judges the library, so the two must mean the same by every table. */
TEST(ops_tables_compute_what_the_model_does) {
    static const struct {
        const pm_ops *(*ops)(void);
        model_algebra algebra;
    } tables[] = {{pm_ops_left, MODEL_LEFT},
                  {pm_ops_lattice, MODEL_LATTICE},
                  {pm_ops_sum, MODEL_SUM},
                  {pm_ops_bits, MODEL_BITS}};
    for (unsigned i = 0; i < 4 * 8 * 8; i++) {
        const pm_ops *ops = tables[i % 4].ops();
        const pm_val a = i / 4 % 8, b = i / 32;
        for (unsigned op = MODEL_JOIN; op <= MODEL_SUBTRACT; op++) {
            pm_val out = 0;
            want w = {false, 0};
            pm_alg alg = op == MODEL_JOIN   ? pm__val_join(ops, a, b, &out)
                         : op == MODEL_MEET ? pm__val_meet(ops, a, b, &out)
                                            : pm__val_subtract(ops, a, b, &out);
            w.some = model_combine_values((model_op)op, tables[i % 4].algebra, a, b, &w.val);
            check_answer(alg, a, b, out, w, ops->name);
        }
    }
}

TEST(ops_flags_are_true) {
    const pm_ops *tables[] = {pm_ops_unit(), pm_ops_left(), pm_ops_lattice(),
                              pm_ops_sum(),  pm_ops_bits(), pm_ops_bytes()};
    for (unsigned i = 0; i < 6; i++) {
        const pm_ops *t = tables[i];
        CHECK_EQ(pm__ops_is_unit(t), i == 0);
        CHECK_EQ(t->flags & PM_OPS_IDEMPOTENT, i != 3 ? PM_OPS_IDEMPOTENT : 0);
        CHECK_EQ(pm__ops_is_plain(t), i != 5);
        CHECK(pm__ops_of(t) == t);
        for (unsigned j = 0; j < i; j++) CHECK(t != tables[j] && strcmp(t->name, tables[j]->name) != 0);
        if (!(t->flags & PM_OPS_IDEMPOTENT) || !pm__ops_is_plain(t)) continue;
        for (pm_val v = 0; v < 5; v++) {
            pm_val out;
            CHECK_EQ(pm__val_join(t, v, v, &out), PM_ALG_BOTH);
            CHECK_EQ(pm__val_meet(t, v, v, &out), PM_ALG_BOTH);
            CHECK_EQ(pm__val_subtract(t, v, v, &out), PM_ALG_NONE);
        }
    }
    CHECK(pm__ops_of(NULL) == pm_ops_left());
}

TEST(bytes_are_counted) {
    uint64_t before = check_live_blocks();
    pm_val v = 0;
    size_t len = 0;
    CHECK_OK(pm_bytes_new("hello", 5, &v));
    const void *bytes = pm_bytes_get(v, &len);
    CHECK_MEM_EQ(bytes, len, "hello", 5);
    CHECK(pm_bytes_get(v, NULL) == bytes);
    const pm_ops *ops = pm_ops_bytes();
    pm__val_retain(ops, v);
    CHECK_EQ(pm_bytes_retain(v), v);
    pm_bytes_release(v);
    pm__val_release(ops, v);
    CHECK_EQ(check_live_blocks(), before + 1);
    CHECK_MEM_EQ(bytes, len, "hello", 5);
    pm_bytes_release(v);
    CHECK_EQ(check_live_blocks(), before);
}

TEST(bytes_compare_and_hash_by_content) {
    static const struct {
        const char *bytes;
        size_t len;
    } strings[] = {{NULL, 0},         {"a", 1},         {"b", 1},
                   {"a\0", 2},        {"12345678", 8},  {"123456789", 9},
                   {"12345678\0", 9}, {"1234567890abcdefg", 17}};
    enum { N = sizeof strings / sizeof *strings };
    const pm_ops *ops = pm_ops_bytes();
    pm_val a[N], b[N];
    for (unsigned i = 0; i < N; i++) {
        CHECK_OK(pm_bytes_new(strings[i].bytes, strings[i].len, &a[i]));
        CHECK_OK(pm_bytes_new(strings[i].bytes, strings[i].len, &b[i]));
    }
    for (unsigned i = 0; i < N; i++) {
        for (unsigned j = 0; j < N; j++) {
            pm_val out = 0;
            CHECK_EQ(pm__val_equal(ops, a[i], b[j]), i == j);
            CHECK_EQ(pm__val_hash(ops, a[i]) == pm__val_hash(ops, b[j]), i == j);
            CHECK_EQ(pm__val_join(ops, a[i], b[j], &out), i == j ? PM_ALG_BOTH : PM_ALG_LEFT);
            CHECK_EQ(pm__val_meet(ops, a[i], b[j], &out), i == j ? PM_ALG_BOTH : PM_ALG_LEFT);
            CHECK_EQ(pm__val_subtract(ops, a[i], b[j], &out), i == j ? PM_ALG_NONE : PM_ALG_LEFT);
        }
    }
    for (unsigned i = 0; i < N; i++) {
        pm_bytes_release(a[i]);
        pm_bytes_release(b[i]);
    }
}

TEST(bytes_without_memory_change_nothing) {
    pm_val v = 99;
    check_fail_alloc(1);
    CHECK_EQ(pm_bytes_new("x", 1, &v), PM_NOMEM);
    CHECK_EQ(v, 99);
    CHECK_EQ(pm_bytes_new("x", SIZE_MAX - 2, &v), PM_INVALID);
    CHECK_EQ(v, 99);
}

#if !PM_NO_THREADS
static void *retain_and_release(void *arg) {
    const pm_val *v = arg;
    for (unsigned i = 0; i < 20000; i++) {
        pm__val_retain(pm_ops_bytes(), *v);
        pm_bytes_release(*v);
    }
    pm_bytes_release(*v);
    return NULL;
}

TEST(bytes_die_once_among_threads) {
    uint64_t before = check_live_blocks();
    pthread_t threads[3];
    pm_val v = 0;
    CHECK_OK(pm_bytes_new("shared", 6, &v));
    for (unsigned i = 0; i < 3; i++) {
        pm__val_retain(pm_ops_bytes(), v);
        CHECK_EQ(pthread_create(&threads[i], NULL, retain_and_release, &v), 0);
    }
    pm_bytes_release(v);
    for (unsigned i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(check_live_blocks(), before);
}

TEST(platform_lock_excludes) {
    static pm__lock lock;
    pm__lock_acquire(&lock);
    pm__lock_release(&lock);
    pm__lock_acquire(&lock);
    CHECK_EQ(pm__load_relaxed(&lock.held), 1);
    pm__lock_release(&lock);
    CHECK_EQ(pm__load_relaxed(&lock.held), 0);
}

static pm__lock count_lock;
static uint64_t locked_count;

static void *count_under_lock(void *arg) {
    (void)arg;
    for (unsigned i = 0; i < 20000; i++) {
        pm__lock_acquire(&count_lock);
        locked_count++;
        pm__lock_release(&count_lock);
    }
    return NULL;
}

TEST(platform_lock_orders_threads) {
    pthread_t threads[3];
    locked_count = 0;
    for (unsigned i = 0; i < 3; i++) CHECK_EQ(pthread_create(&threads[i], NULL, count_under_lock, NULL), 0);
    for (unsigned i = 0; i < 3; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(locked_count, 60000);
}
#endif

/* Equal strings in two blocks each: whatever asks for equality looks at the bytes. */
TEST(bytes_in_maps_compare_by_content) {
    uint64_t blocks = check_live_blocks();
    static const char *const texts[] = {"x", "x", "y"};
    pm_map m[3], out;
    pm_hash128 hash[3];
    pm_pool *pool;
    pm_alg alg;
    bool same;
    CHECK_OK(pm_pool_new(NULL, &pool));
    for (int i = 0; i < 3; i++) {
        pm_val v[3];
        m[i] = pm_new(pm_ops_bytes(), pool);
        for (int k = 0; k < 3; k++) CHECK_OK(pm_bytes_new(texts[i], 1, &v[k]));
        CHECK_OK(pm_set(&m[i], "", 0, v[0], NULL));
        CHECK_OK(pm_set(&m[i], "key", 3, v[1], NULL));
        CHECK_OK(pm_set(&m[i], "keys", 4, v[2], NULL));
        CHECK_OK(pm_hash(&m[i], &hash[i]));
    }
    for (int i = 1; i < 3; i++) {
        const pm_map *const both[] = {&m[0], &m[i]}, *const turned[] = {&m[i], &m[0]};
        const bool equal = i == 1;
        size_t which = 9;
        CHECK_OK(pm_equal(&m[0], &m[i], &same));
        CHECK_EQ(same, equal);
        CHECK_EQ(memcmp(&hash[0], &hash[i], sizeof hash[0]) == 0, equal);
        CHECK_OK(pm_join(&m[0], &m[i], &out, &alg));
        CHECK_EQ(alg, equal ? PM_ALG_BOTH : PM_ALG_LEFT);
        pm_drop(&out);
        CHECK_OK(pm_meet(&m[0], &m[i], &out, &alg));
        CHECK_EQ(alg, equal ? PM_ALG_BOTH : PM_ALG_LEFT);
        pm_drop(&out);
        CHECK_OK(pm_restrict(&m[0], &m[i], &out, &alg));
        CHECK_EQ(alg, equal ? PM_ALG_BOTH : PM_ALG_LEFT);
        pm_drop(&out);
        CHECK_OK(pm_join_many(both, 2, &out, &which));
        CHECK_EQ(which, 0);
        pm_drop(&out);
        CHECK_OK(pm_meet_many(turned, 2, &out, &which));
        CHECK_EQ(which, 0);
        pm_drop(&out);
        CHECK_OK(pm_subtract(&m[0], &m[i], &out, &alg));
        CHECK_EQ(alg, equal ? PM_ALG_NONE : PM_ALG_LEFT);
        CHECK_EQ(pm_is_empty(&out), equal);
        pm_drop(&out);
        CHECK_OK(pm_symmetric_difference(&m[0], &m[i], &out, &alg));
        CHECK_EQ(alg, equal ? PM_ALG_NONE : PM_ALG_LEFT);
        CHECK_EQ(pm_is_empty(&out), equal);
        pm_drop(&out);
    }
    for (int i = 0; i < 3; i++) pm_drop(&m[i]);
    CHECK_OK(pm_pool_free(pool));
    CHECK_EQ(check_live_blocks(), blocks);
}

/* ---- tables that have one of retain and release only ----------------------------------------------------------- */

/* Hooks that must never run. */
static unsigned hooks_run;
static void count_hook(void *ctx, pm_val v) {
    (void)ctx;
    (void)v;
    hooks_run++;
}

static const pm_ops half_tables[] = {{.name = "releases", .release = count_hook},
                                     {.name = "retains", .retain = count_hook, .flags = PM_OPS_IDEMPOTENT},
                                     {.name = "releases units", .release = count_hook, .flags = PM_OPS_UNIT}};
enum { HALF_TABLES = sizeof half_tables / sizeof *half_tables };

static unsigned made, dropped;
static pm_status make_one(void *ctx, pm_val *val) {
    (void)ctx;
    made++;
    *val = 1;
    return PM_OK;
}

TEST(half_table_takes_no_value) {
    for (int i = 0; i < HALF_TABLES; i++) {
        pm_map m = pm_new(&half_tables[i], NULL), copy;
        pm_val *slot = NULL;
        pm_opt old = {5, false};
        bool is = false;
        pm_wz w;
        hooks_run = made = 0;
        for (size_t len = 0; len < 3; len += 2) {
            CHECK_EQ(pm_set(&m, "ab", len, 7, &old), PM_BADHOOK);
            CHECK_EQ(pm_get_or_set(&m, "ab", len, 7, &slot, &is), PM_BADHOOK);
            CHECK_EQ(pm_get_or_set_with(&m, "ab", len, make_one, NULL, &slot, &is), PM_BADHOOK);
            CHECK_OK(pm_wz_open(&m, "ab", len, &w));
            CHECK_EQ(pm_wz_set(&w, 7, &old), PM_BADHOOK);
            CHECK_EQ(pm_wz_get_or_set(&w, 7, &slot, &is), PM_BADHOOK);
            CHECK_EQ(pm_wz_get_or_set_with(&w, make_one, NULL, &slot, &is), PM_BADHOOK);
            CHECK_EQ(pm_wz_drop(&w), PM_BADHOOK);
        }
        CHECK(old.val == 5 && slot == NULL && !is && made == 0);
        CHECK(pm_is_empty(&m));
        CHECK_OK(pm_create_path(&m, "ab", 2, NULL)); /* paths are no values */
        copy = pm_clone(&m);
        CHECK_OK(pm_join(&m, &copy, &copy, NULL));
        CHECK_OK(pm_remove(&copy, "ab", 2, PM_PRUNE, NULL));
        CHECK_EQ(pm_set(&copy, "c", 1, 7, NULL), PM_BADHOOK);
        pm_drop(&copy);
        pm_drop(&m);
        CHECK_EQ(pm_set(&m, "c", 1, 7, NULL), PM_BADHOOK);
        CHECK_EQ(hooks_run, 0);
    }
}

static int say_nothing(void *ctx, void *seed, pm_sprout *here, const uint8_t *path, size_t len) {
    (void)ctx, (void)seed, (void)here, (void)path, (void)len;
    made++;
    return PM_OK;
}

static void count_drop(void *ctx, void *seed) {
    (void)ctx, (void)seed;
    dropped++;
}

static bool seek_nothing(void *state, const uint8_t *key, size_t len, size_t within, pm_terminal *t) {
    return (void)state, (void)key, (void)len, (void)within, (void)t, false;
}
static bool seek_nothing_back(void *state, const uint8_t *key, size_t len, size_t within, bool below, pm_terminal *t) {
    return (void)below, seek_nothing(state, key, len, within, t);
}
static pm_status fork_nothing(const void *state, bool own, void **out) {
    return (void)state, (void)own, *out = NULL, PM_OK;
}
static void drop_nothing(void *state) { (void)state; }
/* Whoever else takes a table, from a caller or from a view, refuses it at once. */
TEST(half_table_is_refused_by_all_that_take_one) {
    const pm_view_ops kind = {
        .seek = seek_nothing, .seek_back = seek_nothing_back, .fork = fork_nothing, .drop = drop_nothing};
    const pm_key key = {"a", 1};
    const pm_val val = 3;
    const pm_unfold u = {.at = say_nothing, .drop = count_drop};
    pm_map plain = {0}, out = {0};
    CHECK_OK(pm_set(&plain, "a", 1, 3, NULL));
    for (int i = 0; i < HALF_TABLES; i++) {
        pm_rz over, z = {.ops = &half_tables[i], .view = &kind}, view;
        hooks_run = made = dropped = 0;
        CHECK_EQ(pm_build(&half_tables[i], NULL, &key, &val, 1, &out), PM_BADHOOK);
        CHECK_EQ(pm_build(&half_tables[i], NULL, NULL, NULL, 0, &out), PM_BADHOOK);
        CHECK_EQ(pm_unfold_map(&u, NULL, &half_tables[i], NULL, &out), PM_BADHOOK);
        CHECK(made == 0 && dropped == 1);
        CHECK_OK(pm_rz_open(&plain, NULL, 0, &over));
        CHECK_EQ(pm_rz_make_map_in(&over, &half_tables[i], NULL, &out), PM_BADHOOK);
        CHECK_EQ(pm_rz_open_view(&kind, NULL, &half_tables[i], NULL, NULL, 0, &view), PM_BADHOOK);
        CHECK_EQ(pm_rz_make_map_in(&z, NULL, NULL, &out), PM_BADHOOK);
        CHECK_EQ(pm_view_product(&z, 1, &view), PM_BADHOOK);
        CHECK_EQ(pm_view_overlay(&z, &over, NULL, NULL, &view), PM_BADHOOK);
        CHECK_EQ(pm_view_meet(&over, &z, &view), PM_BADHOOK);
        CHECK(made == 0 && hooks_run == 0 && pm_is_empty(&out));
        pm_rz_drop(&over);
    }
    pm_drop(&plain);
}

TEST(half_table_does_not_mix_with_others) {
    pm_map half = pm_new(&half_tables[0], NULL), whole = {0}, out = {0};
    CHECK_OK(pm_set(&whole, "a", 1, 3, NULL));
    CHECK_EQ(pm_join(&half, &whole, &out, NULL), PM_MISMATCH);
    CHECK_EQ(pm_join(&whole, &half, &out, NULL), PM_MISMATCH);
    CHECK_STR_EQ(pm_map_ops(&half)->name, "refused");
    pm_drop(&whole);
}
