/* Algebra on maps against the naive trie: contents, statuses, structure, sharing; wrong hooks, balanced references,
   memory running out at every allocation. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "model.h"

#include "library.h"

#include "both.h"
#include "doubled.h"
#include "counted.h"
#include "shapes.h"
#include "small_stack.h"

/* ---- random operands ---- */

static const shape shapes[] = {{2, 3, 8, 12},     {2, 6, 16, 60},    {3, 4, 10, 200},    {26, 5, 12, 150},
                               {256, 2, 3, 300},  {256, 2, 2, 500},  {60, 1, 2, 400},    {4, 300, 700, 8},
                               {2, 200, 300, 40}, {26, 40, 120, 40}, {200, 3, 9, 250},   {5, 120, 90, 60},
                               {7, 2, 5, 900},    SHAPE_OF_PARTS,    SHAPE_OF_LONG_PARTS};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* ---- running ---- */

typedef pm_status (*map_operation)(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
static const map_operation operations[] = {pm_join, pm_meet, pm_subtract, pm_restrict, pm_symmetric_difference};
static const char *const operation_names[] = {"join", "meet", "subtract", "restrict", "symmetric difference"};
enum { OPERATIONS = sizeof operations / sizeof *operations, DIFFERENCE = OPERATIONS - 1 };

static pm_alg alg_of(model_outcome o) {
    static const pm_alg names[] = {PM_ALG_NONE, PM_ALG_LEFT, PM_ALG_RIGHT, PM_ALG_BOTH, PM_ALG_ELEMENT};
    return names[o];
}

/* Symmetric difference is what it is defined as: both differences, joined. */
static model *model_run(unsigned op, model_algebra by, const model *a, const model *b) {
    if (op != DIFFERENCE) return model_combine((model_op)op, by, a, b);
    model *x = model_combine(MODEL_SUBTRACT, by, a, b), *y = model_combine(MODEL_SUBTRACT, by, b, a);
    model *r = model_combine(MODEL_JOIN, by, x, y);
    model_free(x);
    model_free(y);
    return r;
}

/* Runs one operation on both; the result goes to *out, which the caller drops. */
static void run(unsigned op, const both *a, const both *b, both *out) {
    const pm_ops *ops = pm_map_ops(&a->map);
    pm_alg alg = PM_ALG_NONE;
    out->m = model_run(op, algebra_of(ops), a->m, b->m);
    CHECK_OK(operations[op](&a->map, &b->map, &out->map, &alg));
    check_sound(&out->map);
    CHECK_NOTE(same_content(&out->map, out->m), "%s under %s", operation_names[op], ops->name);
    pm_alg want = alg_of(model_compare(out->m, a->m, b->m));
    CHECK_NOTE(alg == want, "%s under %s: answer %d, expected %d", operation_names[op], ops->name, (int)alg, (int)want);
}

static void check_all(const both *a, const both *b) {
    for (unsigned op = 0; op < OPERATIONS; op++) {
        both r;
        run(op, a, b, &r);
        both_drop(&r);
    }
    CHECK(same_content(&a->map, a->m));
    CHECK(same_content(&b->map, b->m));
    check_sound(&a->map);
    check_sound(&b->map);
}

TEST(algebra_of_unrelated_maps_follows_the_model) {
    for (unsigned i = 0; i < SHAPES * 15; i++) {
        const shape *s = &shapes[i % SHAPES];
        both a = both_new(table(i)), b = both_new(table(i));
        both_edit(&a, s, s->keys);
        both_edit(&b, s, (unsigned)check_below(s->keys + 1));
        check_all(&a, &b);
        check_all(&b, &a);
        both_drop(&a);
        both_drop(&b);
    }
}

TEST(algebra_of_maps_of_different_shape_follows_the_model) {
    for (unsigned i = 0; i < SHAPES * SHAPES; i++) {
        both a = both_new(table(i / 3)), b = both_new(table(i / 3));
        both_edit(&a, &shapes[i % SHAPES], shapes[i % SHAPES].keys);
        both_edit(&b, &shapes[i / SHAPES], shapes[i / SHAPES].keys);
        check_all(&a, &b);
        both_drop(&a);
        both_drop(&b);
    }
}

TEST(algebra_of_a_map_and_its_changed_clone_follows_the_model) {
    for (unsigned i = 0; i < SHAPES * 10; i++) {
        const shape *s = &shapes[i % SHAPES];
        both a = both_new(table(i));
        both_edit(&a, s, s->keys);
        both b = both_clone(&a), r;
        check_all(&a, &b);
        both_edit(&b, s, 1 + (unsigned)check_below(s->keys / 4 + 1));
        check_all(&a, &b);
        check_all(&b, &a);
        run((unsigned)check_below(OPERATIONS), &a, &b, &r); /* results are operands again */
        check_all(&r, &b);
        check_all(&a, &r);
        both_drop(&a);
        both_drop(&b);
        both_drop(&r);
    }
}

/* Few keys behind a prefix too long to be spelled out in each, against keys that leave it half-way. */
TEST(algebra_of_long_prefixes_follows_the_model) {
    for (unsigned i = 0; i < 400; i++) {
        both side[2] = {both_new(table(i)), both_new(table(i))};
        uint8_t base[300];
        for (unsigned j = 0; j < sizeof base; j++) base[j] = (uint8_t)check_below(2);
        for (unsigned j = 0; j < 2 + check_below(24); j++) {
            key k = {1 + check_below(sizeof base), {0}};
            both *b = &side[j & 1];
            if (check_below(3)) k.len = sizeof base - check_below(60);
            memcpy(k.data, base, k.len);
            for (size_t more = check_below(6); more--;) k.data[k.len++] = (uint8_t)check_below(3);
            pm_val v = some_value(pm_map_ops(&b->map));
            if (check_below(5)) {
                CHECK_OK(pm_set(&b->map, k.data, k.len, v, NULL));
                model_set(b->m, k.data, k.len, v, NULL);
            } else {
                CHECK_OK(pm_create_path(&b->map, k.data, k.len, NULL));
                model_create(b->m, k.data, k.len);
            }
        }
        check_all(&side[0], &side[1]);
        check_all(&side[1], &side[0]);
        both_drop(&side[0]);
        both_drop(&side[1]);
    }
}

/* Puts a share of a trie into a map, below a key. */
static void graft(both *to, const key *k, const both *from) {
    model_cursor c;
    pm_wz w;
    if (!from->map.root || k->len == 0) return;
    pm_map part = pm_clone(&from->map);
    model *src = model_copy(from->m);
    uint64_t v;
    bool had = model_get(to->m, k->data, k->len, &v);
    model_remove(src, NULL, 0, false, NULL);
    CHECK_OK(pm_remove(&part, NULL, 0, PM_KEEP, NULL));
    if (had) model_set(src, NULL, 0, v, NULL);
    if (had) CHECK_OK(pm_set(&part, NULL, 0, v, NULL));
    CHECK_OK(pm_wz_open(&to->map, k->data, k->len, &w));
    CHECK_OK(pm_wz_graft_map_move(&w, &part));
    CHECK_OK(pm_wz_drop(&w));
    model_cursor_open(&c, to->m, k->data, k->len);
    model_cursor_graft(&c, src);
    model_cursor_close(&c);
    model_free(src);
}

TEST(algebra_of_shared_structure_follows_the_model) {
    for (unsigned i = 0; i < 150; i++) {
        static const shape small = {3, 3, 4, 10}, wide = {90, 1, 1, 70};
        const pm_ops *ops = table(i);
        both leaf[2] = {both_new(ops), both_new(ops)}, up[2] = {both_new(ops), both_new(ops)};
        key k = {0, {0}};
        for (unsigned j = 0; j < 2; j++) both_edit(&leaf[j], i % 7 ? &small : &wide, i % 7 ? 10 : 90);
        for (unsigned j = 0; j < 16; j++) {
            next_key(&small, &k);
            graft(&up[j & 1], &k, &leaf[check_below(2)]);
            if (j % 5 == 4) both_edit(&up[j & 1], &small, 2);
        }
        check_all(&up[0], &up[1]);
        check_all(&up[1], &leaf[0]);
        check_all(&leaf[1], &up[0]);
        check_all(&up[0], &up[0]);
        for (unsigned j = 0; j < 2; j++) both_drop(&leaf[j]), both_drop(&up[j]);
    }
}

/* ---- sharing ---- */

static void fill(pm_map *m, unsigned from, unsigned to, unsigned step) {
    char k[32];
    for (unsigned i = from; i < to; i += step) {
        int n = snprintf(k, sizeof k, "key/%u/of", i * 2654435761u % 1000003u);
        CHECK_OK(pm_set(m, k, (size_t)n, i, NULL));
    }
}

TEST(algebra_of_idempotent_values_shares_and_does_not_visit_equal_subtries) {
    pm_map a = pm_new(pm_ops_lattice(), NULL), b, r;
    pm_alg alg;
    fill(&a, 0, 20000, 1);
    b = pm_clone(&a);
    uint64_t before = live_nodes();
    for (unsigned op = 0; op < 2; op++) {
        CHECK_OK(operations[op](&a, &b, &r, &alg));
        CHECK_EQ(alg, PM_ALG_BOTH);
        CHECK_EQ(r.root, a.root);
        CHECK_EQ(live_nodes(), before);
        pm_drop(&r);
    }
    CHECK_OK(pm_subtract(&a, &b, &r, &alg));
    CHECK_EQ(alg, PM_ALG_NONE);
    CHECK_EQ(r.root, 0);
    CHECK_OK(pm_set(&b, "key/new", 7, 1, NULL));
    before = live_nodes();
    CHECK_OK(pm_join(&a, &b, &r, &alg));
    CHECK_EQ(alg, PM_ALG_RIGHT);
    CHECK_EQ(r.root, b.root);
    CHECK_EQ(live_nodes(), before);
    pm_drop(&r);
    CHECK_OK(pm_meet(&a, &b, &r, &alg));
    CHECK_EQ(alg, PM_ALG_LEFT);
    CHECK_EQ(r.root, a.root);
    pm_drop(&r);
    CHECK_OK(pm_subtract(&b, &a, &r, &alg));
    CHECK_EQ(alg, PM_ALG_ELEMENT);
    uint64_t n;
    CHECK_OK(pm_val_count(&r, &n));
    CHECK_EQ(n, 1);
    pm_drop(&r);
    pm_drop(&a);
    pm_drop(&b);
    CHECK_EQ(live_nodes(), 0);
}

/* A map of 2^levels values below each of its two leaves. */
static pm_map doubled_pair(const pm_ops *ops, unsigned levels, pm_val x, pm_val y) {
    pm_map m = single(ops, "x", x);
    CHECK_OK(pm_set(&m, "y", 1, y, NULL));
    return doubled(m, levels, "left", "right");
}

TEST(algebra_of_2_to_the_80_values_visits_each_node_once) {
    for (unsigned t = 0; t < 5; t++) {
        pm_map a = doubled_pair(table(t), 80, 7, 2), b = doubled_pair(table(t), 80, 3, 2), r[OPERATIONS];
        pm_alg alg;
        uint64_t n;
        for (unsigned op = 0; op < OPERATIONS; op++) {
            CHECK_OK(operations[op](&a, &b, &r[op], &alg));
            CHECK_OK(pm_val_count(&r[op], &n));
            if (op != 2 && op != DIFFERENCE) CHECK_EQ(n, UINT64_MAX);
            check_sound(&r[op]);
        }
        for (unsigned op = 0; op < OPERATIONS; op++) {
            pm_map again;
            CHECK_OK(operations[op](&r[op], &b, &again, &alg));
            pm_drop(&again);
        }
        for (unsigned op = 0; op < OPERATIONS; op++) pm_drop(&r[op]);
        pm_drop(&a);
        pm_drop(&b);
    }
    CHECK_EQ(live_nodes(), 0);
}

static void *combine_long_paths(void *unused) {
    enum { LONG = 1 << 24 };
    (void)unused;
    uint8_t *k = malloc(LONG);
    CHECK(k != NULL);
    memset(k, 'a', LONG);
    pm_map a = pm_new(pm_ops_sum(), NULL), b = pm_new(pm_ops_sum(), NULL), r;
    pm_alg alg;
    CHECK_OK(pm_set(&a, k, LONG, 5, NULL));
    k[LONG / 2] = 'b';
    CHECK_OK(pm_set(&a, k, LONG, 6, NULL));
    CHECK_OK(pm_set(&b, k, LONG, 2, NULL));
    CHECK_OK(pm_join(&a, &b, &r, &alg));
    CHECK_EQ(alg, PM_ALG_ELEMENT);
    CHECK_EQ(*pm_get(&r, k, LONG), 8);
    pm_drop(&r);
    CHECK_OK(pm_meet(&a, &b, &r, &alg));
    CHECK_EQ(alg, PM_ALG_RIGHT);
    pm_drop(&r);
    CHECK_OK(pm_subtract(&a, &b, &r, &alg));
    CHECK_EQ(*pm_get(&r, k, LONG), 4);
    pm_drop(&r);
    pm_drop(&a);
    pm_drop(&b);
    free(k);
    return NULL;
}

TEST(algebra_of_very_long_paths_works_in_a_stack_of_64_kib) {
    run_on_small_stack(combine_long_paths, NULL);
    CHECK(!check_failed());
}

/* ---- statuses and refusals ---- */

TEST(algebra_answers_which_operand_the_result_equals) {
    pm_map a = pm_new(pm_ops_sum(), NULL), b = pm_new(pm_ops_sum(), NULL), r;
    pm_alg alg;
    for (unsigned op = 0; op < OPERATIONS; op++) {
        CHECK_OK(operations[op](&a, &b, &r, &alg));
        CHECK_EQ(alg, PM_ALG_NONE);
    }
    CHECK_OK(pm_set(&a, "k", 1, 4, NULL));
    CHECK_OK(pm_set(&b, "k", 1, 2, NULL));
    CHECK_OK(pm_subtract(&a, &b, &r, &alg)); /* 4 - 2 is the right operand */
    CHECK_EQ(alg, PM_ALG_RIGHT);
    pm_drop(&r);
    CHECK_OK(pm_meet(&a, &b, &r, &alg));
    CHECK_EQ(alg, PM_ALG_RIGHT);
    pm_drop(&r);
    CHECK_OK(pm_restrict(&a, &a, &r, &alg));
    CHECK_EQ(alg, PM_ALG_BOTH);
    pm_drop(&r);
    CHECK_OK(pm_restrict(&a, &b, &r, &alg));
    CHECK_EQ(alg, PM_ALG_LEFT);
    pm_drop(&r);
    CHECK_OK(pm_set(&b, "", 0, 1, NULL));
    CHECK_OK(pm_join(&a, &b, &r, NULL)); /* no status asked for */
    CHECK_EQ(*pm_get(&r, "", 0), 1);
    CHECK_EQ(*pm_get(&r, "k", 1), 6);
    pm_drop(&r);
    pm_drop(&a);
    pm_drop(&b);
}

TEST(algebra_refuses_operands_with_different_value_operations) {
    pm_map a = pm_new(pm_ops_sum(), NULL), b = pm_new(pm_ops_left(), NULL), r = pm_new(NULL, NULL);
    pm_alg alg = PM_ALG_RIGHT;
    for (unsigned op = 0; op < OPERATIONS; op++) CHECK_EQ(operations[op](&a, &b, &r, &alg), PM_MISMATCH);
    CHECK_EQ(alg, PM_ALG_RIGHT);
}

/* ---- many operands ---- */

enum { MANY = 9 };

static void check_many(bool join, const both *all, size_t n) {
    const pm_ops *ops = pm_map_ops(&all[0].map);
    const pm_map *maps[MANY];
    pm_map out;
    size_t which = n + 1, want = 0;
    model *m = model_copy(all[0].m);
    for (size_t i = 0; i < n; i++) maps[i] = &all[i].map;
    for (size_t i = 1; i < n; i++) {
        model *next = model_combine(join ? MODEL_JOIN : MODEL_MEET, algebra_of(ops), m, all[i].m);
        model_free(m);
        m = next;
    }
    CHECK_OK((join ? pm_join_many : pm_meet_many)(maps, n, &out, &which));
    check_sound(&out);
    CHECK_NOTE(same_content(&out, m), "%s of %zu under %s", join ? "join" : "meet", n, ops->name);
    while (want < n && !model_equal(m, all[want].m)) want++;
    CHECK_EQ(which, want);
    model_free(m);
    pm_drop(&out);
}

TEST(algebra_of_many_maps_follows_the_model) {
    for (unsigned i = 0; i < SHAPES * 12; i++) {
        const shape *s = &shapes[i % SHAPES];
        both all[MANY];
        size_t n = 1 + check_below(MANY);
        for (size_t j = 0; j < n; j++) {
            all[j] = j && check_below(3) ? both_clone(&all[check_below(j)]) : both_new(table(i));
            both_edit(&all[j], s, (unsigned)check_below(s->keys + 1));
        }
        check_many(true, all, n);
        check_many(false, all, n);
        for (size_t j = 0; j < n; j++) both_drop(&all[j]);
    }
    CHECK_EQ(live_nodes(), 0);
}

TEST(algebra_of_many_maps_refuses_none_and_mixed_ones) {
    pm_map a = pm_new(pm_ops_sum(), NULL), b = pm_new(pm_ops_left(), NULL), out = pm_new(NULL, NULL);
    const pm_map *maps[] = {&a, &b};
    CHECK_EQ(pm_join_many(maps, 0, &out, NULL), PM_INVALID);
    CHECK_EQ(pm_meet_many(maps, 2, &out, NULL), PM_MISMATCH);
}

/* ---- values with hooks ---- */

/* Counted values that combine to new ones. `wrong`: the n-th join answers what it must not. */
static struct {
    unsigned joins, wrong;
    pm_alg answer;
} hooks;

static pm_alg hook_join(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    if (hooks.wrong && ++hooks.joins == hooks.wrong) return hooks.answer;
    if (a == b) return PM_ALG_LEFT; /* leaves the other bit out */
    switch ((a + b) % 4) {
    case 0: return PM_ALG_LEFT;
    case 1: return PM_ALG_RIGHT;
    default: *out = counted_new(); return PM_ALG_ELEMENT;
    }
}

static pm_alg hook_less(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    switch ((a + b) % 5) {
    case 0: return PM_ALG_NONE;
    case 1: return PM_ALG_RIGHT;
    case 2: return PM_ALG_LEFT;
    default: *out = counted_new(); return PM_ALG_ELEMENT;
    }
}

static const pm_ops *hooked_ops(void) {
    static const pm_ops ops = {.name = "hooked",
                               .retain = counted__retain,
                               .release = counted__release,
                               .join = hook_join,
                               .meet = hook_less,
                               .subtract = hook_less};
    return &ops;
}

static pm_map counted_map(const pm_ops *ops, const shape *s) {
    pm_map m = pm_new(ops, NULL);
    key k = {0, {0}};
    for (unsigned i = 0; i < s->keys; i++) {
        next_key(s, &k);
        CHECK_OK(pm_set(&m, k.data, k.len, counted_new(), NULL));
    }
    return m;
}

TEST(algebra_balances_references_to_values) {
    for (unsigned i = 0; i < SHAPES * 6; i++) {
        const pm_ops *ops = i % 2 ? hooked_ops() : counted_ops();
        pm_map a = counted_map(ops, &shapes[i % SHAPES]), b = counted_map(ops, &shapes[i % SHAPES]), r[OPERATIONS];
        for (unsigned op = 0; op < OPERATIONS; op++) {
            pm_alg alg;
            CHECK_OK(operations[op](&a, &b, &r[op], &alg));
            check_sound(&r[op]);
        }
        pm_drop(&a);
        for (unsigned op = 0; op < OPERATIONS; op++) pm_drop(&r[op]);
        pm_drop(&b);
        CHECK(counted_is_sound());
        CHECK_EQ(counted_held(), 0);
        CHECK_EQ(live_nodes(), 0);
    }
}

/* Three operands that are byte nodes, and what lies below them. */
static void starve_many(unsigned fails) {
    static const shape wide = {200, 3, 9, 250};
    pm_map m[3], out = pm_new(NULL, NULL);
    const pm_map *maps[] = {&m[0], &m[1], &m[2]};
    for (unsigned i = 0; i < 3; i++) m[i] = counted_map(hooked_ops(), &wide);
    int64_t held = counted_held();
    uint64_t nodes = live_nodes();
    for (unsigned k = 0; k < 2; k++) {
        pm_status s = PM_NOMEM;
        for (uint64_t n = 1; s != PM_OK; n += 1 + n / 16) {
            pm_pool_trim(NULL);
            if (fails) hooks.joins = 0, hooks.wrong = (unsigned)n * 4, hooks.answer = PM_ALG_NONE;
            else check_fail_allocs_from(n);
            s = (k ? pm_meet_many : pm_join_many)(maps, 3, &out, NULL);
            check_fail_alloc(0);
            hooks.wrong = 0;
            if (s == PM_OK) break;
            CHECK_EQ(s, fails ? PM_BADHOOK : PM_NOMEM);
            CHECK_EQ(counted_held(), held);
            CHECK_EQ(live_nodes(), nodes);
        }
        check_sound(&out);
        pm_drop(&out);
        CHECK_EQ(counted_held(), held);
    }
    for (unsigned i = 0; i < 3; i++) pm_drop(&m[i]);
    CHECK(counted_is_sound());
    CHECK_EQ(counted_held(), 0);
}

TEST(algebra_of_many_maps_loses_nothing_when_it_fails) {
    starve_many(0);
    starve_many(1);
}

TEST(algebra_reports_a_hook_that_answers_what_it_must_not) {
    static const pm_alg wrong[] = {PM_ALG_NONE, (pm_alg)5, (pm_alg)77};
    for (unsigned i = 0; i < SHAPES * 6; i++) {
        const shape *s = &shapes[i % SHAPES];
        pm_map a = counted_map(hooked_ops(), s), b = pm_clone(&a), r = pm_new(NULL, NULL);
        pm_alg alg = PM_ALG_RIGHT;
        int64_t held = counted_held();
        uint64_t nodes = live_nodes(), values;
        CHECK_OK(pm_val_count(&a, &values));
        hooks.answer = wrong[i % 3];
        hooks.joins = 0;
        hooks.wrong = 1 + (unsigned)check_below(values);
        CHECK_EQ(pm_join(&a, &b, &r, &alg), PM_BADHOOK);
        hooks.wrong = 0;
        CHECK_EQ(alg, PM_ALG_RIGHT);
        CHECK(pm_is_empty(&r));
        CHECK_EQ(counted_held(), held);
        CHECK_EQ(live_nodes(), nodes);
        check_sound(&a);
        pm_drop(&a);
        pm_drop(&b);
        CHECK(counted_is_sound());
        CHECK_EQ(counted_held(), 0);
    }
}

/* ---- memory ---- */

static void starve(unsigned op, const pm_map *a, const pm_map *b) {
    pm_map r = pm_new(NULL, NULL);
    pm_alg alg;
    for (uint64_t n = 1;; n += 1 + n / 24) {
        int64_t held = counted_held();
        pm_pool_trim(NULL);
        uint64_t nodes = live_nodes();
        check_fail_allocs_from(n);
        pm_status s = operations[op](a, b, &r, &alg);
        check_fail_alloc(0);
        if (s == PM_OK) break;
        CHECK_EQ(s, PM_NOMEM);
        CHECK(pm_is_empty(&r));
        CHECK_EQ(counted_held(), held);
        CHECK_EQ(live_nodes(), nodes);
    }
    check_sound(&r);
    check_sound(a);
    check_sound(b);
    pm_drop(&r);
}

TEST(algebra_without_memory_changes_nothing) {
    for (unsigned i = 0; i < SHAPES; i++) {
        pm_map a = counted_map(hooked_ops(), &shapes[i]), b = counted_map(hooked_ops(), &shapes[i]);
        for (unsigned op = 0; op < OPERATIONS; op++) starve(op, &a, &b);
        pm_drop(&a);
        pm_drop(&b);
        CHECK(counted_is_sound());
        CHECK_EQ(counted_held(), 0);
    }
}

/* ---- in place ---- */

static pm_status write_algebra(unsigned op, pm_wz *w, const pm_rz *src, pm_alg *alg) {
    switch (op) {
    case 0: return pm_wz_join(w, src, alg);
    case 1: return pm_wz_meet(w, src, PM_KEEP, alg);
    case 2: return pm_wz_subtract(w, src, PM_KEEP, alg);
    default: return pm_wz_restrict(w, src, alg);
    }
}

/* Runs an operation with a map as its source, on what lies below a path of another. */
static pm_status write_algebra_at(unsigned op, pm_map *m, const key *at, const pm_map *src, pm_alg *alg) {
    pm_wz w;
    pm_rz r;
    CHECK_OK(pm_wz_open(m, at->data, at->len, &w));
    CHECK_OK(pm_rz_open(src, NULL, 0, &r));
    pm_status s = write_algebra(op, &w, &r, alg);
    pm_rz_drop(&r);
    pm_status kept = pm_wz_drop(&w);
    CHECK_EQ(kept, s);
    return s;
}

/* The same content, in nodes of its own. */
static pm_map rebuilt(const pm_map *m) {
    pm_map copy = pm_new(pm_map_ops(m), NULL);
    pm_iter it = pm_iter_paths(m);
    while (pm_iter_next(&it)) {
        if (it.val) CHECK_OK(pm_set(&copy, it.key, it.len, *it.val, NULL));
        else CHECK_OK(pm_create_path(&copy, it.key, it.len, NULL));
    }
    pm_iter_drop(&it);
    return copy;
}

static bool equal(const pm_map *a, const pm_map *b) {
    bool same = false;
    CHECK_OK(pm_equal(a, b, &same));
    return same;
}

/* A map whose nodes are its own is edited; one that a clone shares all nodes with cannot be. */
TEST(algebra_in_place_does_what_it_does_to_shared_nodes) {
    for (unsigned i = 0; i < SHAPES * 40; i++) {
        const shape *s = &shapes[i % SHAPES];
        both a = both_new(table(i / SHAPES)), b = both_new(table(i / SHAPES));
        both_edit(&a, s, s->keys);
        both_edit(&b, s, 1 + (unsigned)check_below(i % 3 ? s->keys : 6));
        if (i % 4 == 0) {
            pm_map more;
            CHECK_OK(pm_join(&b.map, &a.map, &more, NULL));
            pm_drop(&b.map);
            b.map = more;
        }
        pm_map mine = rebuilt(&a.map), theirs = rebuilt(&a.map), held = pm_clone(&theirs);
        for (unsigned round = 0; round < 3; round++) {
            pm_alg one = PM_ALG_BOTH, two = PM_ALG_BOTH;
            unsigned op = (unsigned)check_below(4);
            key at = {0, {0}};
            if (check_below(2)) next_key(s, &at);
            if (at.len > 4) at.len = check_below(4);
            CHECK_OK(write_algebra_at(op, &mine, &at, &b.map, &one));
            CHECK_OK(write_algebra_at(op, &theirs, &at, &b.map, &two));
            CHECK_NOTE(one == two, "%s: %d, not %d", operation_names[op], (int)one, (int)two);
            CHECK_NOTE(equal(&mine, &theirs), "%s at %zu bytes", operation_names[op], at.len);
            check_sound(&mine);
            check_sound(&theirs);
            CHECK(same_content(&held, a.m) || round);
            pm_drop(&held);
            held = pm_clone(&theirs);
        }
        pm_drop(&mine);
        pm_drop(&theirs);
        pm_drop(&held);
        both_drop(&a);
        both_drop(&b);
    }
    CHECK_EQ(live_nodes(), 0);
}

/* A source below the focus, or above it, is part of what changes. */
TEST(algebra_in_place_with_a_source_in_the_same_map_follows_a_source_that_is_not) {
    static const char *const paths[] = {"", "key/", "key/1", "key/12", "key/2"};
    for (unsigned i = 0; i < 100; i++) {
        pm_map m = pm_new(table(i), NULL), n = pm_new(table(i), NULL);
        const char *at = paths[check_below(5)], *from = paths[check_below(5)];
        unsigned op = (unsigned)check_below(4);
        pm_alg one, two;
        pm_wz w;
        pm_rz r;
        fill(&m, 0, 3000, 7);
        fill(&n, 0, 3000, 7);
        pm_map other = pm_clone(&n);
        CHECK_OK(pm_wz_open(&m, at, strlen(at), &w));
        CHECK_OK(pm_rz_open(&m, from, strlen(from), &r));
        CHECK_OK(write_algebra(op, &w, &r, &one));
        pm_rz_drop(&r);
        CHECK_OK(pm_wz_drop(&w));
        CHECK_OK(pm_wz_open(&n, at, strlen(at), &w));
        CHECK_OK(pm_rz_open(&other, from, strlen(from), &r));
        CHECK_OK(write_algebra(op, &w, &r, &two));
        pm_rz_drop(&r);
        CHECK_OK(pm_wz_drop(&w));
        CHECK_EQ(one, two);
        CHECK(equal(&m, &n));
        check_sound(&m);
        pm_drop(&m);
        pm_drop(&n);
        pm_drop(&other);
    }
}

TEST(algebra_in_place_without_memory_changes_nothing) {
    key root = {0, {0}};
    for (unsigned i = 0; i < SHAPES * 4; i++) {
        pm_map a = counted_map(hooked_ops(), &shapes[i % SHAPES]), b = counted_map(hooked_ops(), &shapes[i % SHAPES]);
        pm_alg alg;
        for (uint64_t n = 1;; n += 1 + n / 24) {
            int64_t held = counted_held();
            uint64_t values, left;
            CHECK_OK(pm_val_count(&a, &values));
            pm_pool_trim(NULL);
            uint64_t nodes = live_nodes();
            check_fail_allocs_from(n);
            pm_status s = write_algebra_at(i / SHAPES, &a, &root, &b, &alg);
            check_fail_alloc(0);
            if (s == PM_OK) break;
            CHECK_EQ(s, PM_NOMEM);
            CHECK_EQ(counted_held(), held);
            CHECK_EQ(live_nodes(), nodes);
            CHECK_OK(pm_val_count(&a, &left));
            CHECK_EQ(left, values);
            check_sound(&a);
        }
        check_sound(&a);
        pm_drop(&a);
        check_sound(&b);
        pm_drop(&b);
        CHECK(counted_is_sound());
        CHECK_EQ(counted_held(), 0);
        CHECK_EQ(live_nodes(), 0);
    }
}
