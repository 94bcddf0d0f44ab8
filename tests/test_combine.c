/* Formulas over many maps against the naive trie, which takes their operations one by one: operands that are alike,
   unlike, shared with each other and within themselves; as a map and by a function; balanced references; memory and
   hooks that fail at every point. */
#include "check.h"
#include "model.h"

#include "library.h"

#include "both.h"
#include "counted.h"
#include "doubled.h"
#include "operands.h"

static const shape shapes[] = {{2, 3, 8, 12},    {2, 6, 16, 40},   {3, 4, 10, 120},   {26, 5, 12, 60},
                               {256, 2, 3, 200}, {4, 300, 700, 6}, {26, 40, 120, 30}, {5, 120, 90, 40},
                               {3, 12, 20, 90},  {30, 14, 9, 25},  SHAPE_OF_PARTS,    SHAPE_OF_LONG_PARTS};
enum { SHAPES = sizeof shapes / sizeof *shapes, MANY = 12, CLAUSES = 5 };

/* Few maps in most clauses, so that something comes of them. */
static void random_formula(size_t n, pm_formula *f, pm_clause *clauses) {
    f->at_least = 0;
    f->clauses = clauses;
    f->n = 1 + check_below(CLAUSES);
    for (size_t i = 0; i < f->n; i++) {
        clauses[i].with = clauses[i].without = 0;
        for (size_t k = 1 + check_below(3); k; k--) clauses[i].with |= (uint64_t)1 << check_below(n);
        for (size_t k = check_below(3); k; k--) clauses[i].without |= (uint64_t)1 << check_below(n);
    }
    if (check_below(3)) return;
    f->at_least = 1 + (unsigned)check_below(n);
    f->n = 0;
}

/* ---- the naive twin ---- */

/* *m becomes what the operation makes of it and another one. */
static void fold_in(model_op op, const pm_ops *ops, model **m, const model *with) {
    model *next = model_combine(op, algebra_of(ops), *m, with);
    model_free(*m);
    *m = next;
}

typedef struct counting {
    const both *all;
    size_t n;
    unsigned least;
    model *out;
} counting;

static bool count_at(void *ctx, const uint8_t *path, size_t len, const uint64_t *val, unsigned children) {
    counting *w = ctx;
    unsigned vals = 0, stubs = 0;
    (void)children;
    for (size_t i = 0; i < w->n; i++) {
        model_cursor c;
        uint64_t v;
        model_cursor_open(&c, w->all[i].m, NULL, 0);
        (void)model_cursor_move_to(&c, path, len);
        if (model_cursor_exists(&c)) {
            bool some = model_cursor_val(&c, &v);
            vals += some;
            stubs += !some && len && model_cursor_children(&c, NULL) == 0;
        }
        model_cursor_close(&c);
    }
    if (val && vals >= w->least) model_set(w->out, path, len, *val, NULL);
    if (stubs >= w->least) model_create(w->out, path, len);
    return true;
}

static model *meaning(const both *all, size_t n, const pm_formula *f) {
    const pm_ops *ops = pm_map_ops(&all[0].map);
    model *sum = NULL;
    if (f->at_least) {
        counting w = {all, n, f->at_least, model_new()};
        sum = model_copy(all[0].m);
        for (size_t i = 1; i < n; i++) fold_in(MODEL_JOIN, ops, &sum, all[i].m);
        model_each(sum, count_at, &w);
        model_free(sum);
        return w.out;
    }
    for (size_t k = 0; k < f->n; k++) {
        model *m = NULL;
        for (size_t i = 0; i < n; i++) {
            if (!(f->clauses[k].with >> i & 1)) continue;
            if (m) fold_in(MODEL_MEET, ops, &m, all[i].m);
            else m = model_copy(all[i].m);
        }
        for (size_t i = 0; i < n; i++)
            if (f->clauses[k].without >> i & 1) fold_in(MODEL_SUBTRACT, ops, &m, all[i].m);
        if (sum) {
            fold_in(MODEL_JOIN, ops, &sum, m);
            model_free(m);
        } else {
            sum = m;
        }
    }
    return sum;
}

/* ---- against it ---- */

typedef struct telling {
    pm_iter it; /* over the map that should come */
    size_t left;
    bool same;
} telling;

static bool told(void *ctx, const uint8_t *path, size_t len, pm_val val) {
    telling *t = ctx;
    t->same = t->same && pm_iter_next(&t->it) && t->it.len == len && (!len || memcmp(t->it.key, path, len) == 0) &&
              *t->it.val == val;
    return t->left == 0 || --t->left != 0;
}

static void check_formula(const both *all, size_t n, const pm_formula *f) {
    const pm_map *maps[PM_COMBINE_MAX];
    pm_map out;
    model *want = meaning(all, n, f);
    for (size_t i = 0; i < n; i++) maps[i] = &all[i].map;
    CHECK_OK(pm_combine(maps, n, f, &out));
    check_sound(&out);
    CHECK_NOTE(same_content(&out, want), "%zu maps, %zu clauses, at least %u", n, f->n, f->at_least);
    telling t = {pm_iter_vals(&out), 0, true};
    CHECK_OK(pm_combine_each(maps, n, f, told, &t));
    CHECK(t.same && !pm_iter_next(&t.it));
    pm_iter_drop(&t.it);
    uint64_t count;
    CHECK_OK(pm_val_count(&out, &count));
    if (count > 1) { /* stopped on the way */
        telling some = {pm_iter_vals(&out), 1 + check_below((size_t)count - 1), true};
        CHECK_OK(pm_combine_each(maps, n, f, told, &some));
        CHECK(some.same && some.left == 0 && pm_iter_next(&some.it));
        pm_iter_drop(&some.it);
    }
    pm_drop(&out);
    model_free(want);
}

TEST(formulas_over_maps_of_one_shape_follow_the_model) {
    for (unsigned i = 0; i < SHAPES * 40; i++) {
        both all[MANY];
        pm_formula f;
        pm_clause clauses[CLAUSES];
        size_t n = 1 + check_below(MANY);
        make_operands(all, n, table(i), &shapes[i % SHAPES]);
        for (unsigned k = 0; k < 3; k++) {
            random_formula(n, &f, clauses);
            check_formula(all, n, &f);
        }
        for (size_t j = 0; j < n; j++) CHECK(same_content(&all[j].map, all[j].m));
        for (size_t j = 0; j < n; j++) both_drop(&all[j]);
    }
    CHECK_EQ(live_nodes(), 0);
}

/* Lines beside byte nodes, long prefixes beside short ones. */
TEST(formulas_over_maps_of_two_shapes_follow_the_model) {
    for (unsigned i = 0; i < SHAPES * 20; i++) {
        both all[MANY];
        pm_formula f;
        pm_clause clauses[CLAUSES];
        size_t n = 2 + check_below(MANY - 1), a = check_below(n - 1) + 1;
        make_operands(all, a, table(i / 3), &shapes[i % SHAPES]);
        make_operands(all + a, n - a, table(i / 3), &shapes[(i * 3 + i / SHAPES) % SHAPES]);
        random_formula(n, &f, clauses);
        check_formula(all, n, &f);
        for (size_t j = 0; j < n; j++) both_drop(&all[j]);
    }
    CHECK_EQ(live_nodes(), 0);
}

TEST(formulas_take_as_many_maps_as_a_word_has_bits) {
    both all[PM_COMBINE_MAX];
    pm_clause both_ends = {(uint64_t)1 << 63 | 1, (uint64_t)1 << 62};
    pm_formula f = {&both_ends, 1, 0}, half = {NULL, 0, 32};
    make_operands(all, PM_COMBINE_MAX, pm_ops_sum(), &shapes[2]);
    check_formula(all, PM_COMBINE_MAX, &f);
    check_formula(all, PM_COMBINE_MAX, &half);
    for (size_t j = 0; j < PM_COMBINE_MAX; j++) both_drop(&all[j]);
}

TEST(formulas_that_make_no_sense_are_refused) {
    pm_map m = pm_new(NULL, NULL), other = pm_new(pm_ops_sum(), NULL), out;
    const pm_map *maps[2] = {&m, &m}, *unlike[2] = {&m, &other}, *none[2] = {&m, NULL};
    pm_clause ok = {1, 2}, empty = {0, 1}, beyond = {1, 4};
    pm_formula good = {&ok, 1, 0}, bad[] = {{&empty, 1, 0}, {&beyond, 1, 0}, {NULL, 0, 0}, {NULL, 1, 0},
                                           {NULL, 0, 3},    {&ok, 1, 1}};
    for (size_t i = 0; i < sizeof bad / sizeof *bad; i++) CHECK_EQ(pm_combine(maps, 2, &bad[i], &out), PM_INVALID);
    CHECK_EQ(pm_combine(maps, 0, &good, &out), PM_INVALID);
    CHECK_EQ(pm_combine(maps, PM_COMBINE_MAX + 1, &good, &out), PM_INVALID);
    CHECK_EQ(pm_combine(none, 2, &good, &out), PM_INVALID);
    CHECK_EQ(pm_combine(unlike, 2, &good, &out), PM_MISMATCH);
    CHECK_EQ(pm_combine_each(maps, 2, &good, NULL, NULL), PM_INVALID);
    CHECK_OK(pm_set(&m, "a", 1, 7, NULL));
    pm_formula same = {NULL, 0, 2};
    CHECK_OK(pm_combine(maps, 2, &same, &m)); /* the result takes an operand's place */
    CHECK_EQ(*pm_get(&m, "a", 1), 7);
    pm_drop(&m);
}

/* ---- what is shared ---- */

TEST(formulas_over_2_to_the_60_values_take_no_time) {
    enum { N = 5, LEVELS = 60 };
    for (unsigned i = 0; i < 4; i++) {
        const pm_ops *ops = i % 2 ? pm_ops_sum() : pm_ops_lattice();
        pm_map m[N], out;
        const pm_map *maps[N];
        pm_clause two[2] = {{7, 0}, {24, 0}};
        pm_formula f = {two, 2, 0}, most = {NULL, 0, 3};
        for (unsigned k = 0; k < N; k++) {
            m[k] = doubled(single(ops, "end", k + 1), LEVELS, "left", "right");
            maps[k] = &m[k];
        }
        uint64_t before = live_nodes(), count;
        CHECK_OK(pm_combine(maps, N, i < 2 ? &f : &most, &out));
        CHECK_NOTE(live_nodes() - before < 4 * LEVELS, "%u nodes made", (unsigned)(live_nodes() - before));
        CHECK_OK(pm_val_count(&out, &count));
        CHECK_EQ(count, (uint64_t)1 << LEVELS);
        pm_drop(&out);
        for (unsigned k = 0; k < N; k++) pm_drop(&m[k]);
    }
    CHECK_EQ(live_nodes(), 0);
}

static bool nothing_told(void *ctx, const uint8_t *path, size_t len, pm_val val) {
    (void)ctx, (void)path, (void)len, (void)val;
    CHECK(false);
    return false;
}

TEST(formulas_nothing_comes_of_say_so_at_once) {
    enum { N = 3, LEVELS = 60 };
    pm_map m[N];
    const pm_map *maps[N];
    pm_clause all = {7, 0};
    pm_formula f = {&all, 1, 0};
    for (unsigned k = 0; k < N; k++) {
        m[k] = doubled(single(pm_ops_lattice(), k ? "end" : "eng", k + 1), LEVELS, "left", "right");
        maps[k] = &m[k];
    }
    CHECK_OK(pm_combine_each(maps, N, &f, nothing_told, NULL));
    for (unsigned k = 0; k < N; k++) pm_drop(&m[k]);
}

/* ---- failures ---- */

/* Counted values that combine to new ones. `wrong`: the n-th combination returns what it must not. */
static struct {
    uint64_t calls, wrong;
} hooks;

static pm_alg hook_join(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    if (hooks.wrong && ++hooks.calls == hooks.wrong) return (pm_alg)77;
    switch ((a + b) % 4) {
    case 0: return PM_ALG_LEFT;
    case 1: return PM_ALG_RIGHT;
    default: *out = counted_new(); return PM_ALG_ELEMENT;
    }
}

static pm_alg hook_meet(void *ctx, pm_val a, pm_val b, pm_val *out) {
    return (a + b) % 16 == 1 ? PM_ALG_NONE : hook_join(ctx, a, b, out);
}

static const pm_ops *hooked_ops(void) {
    static const pm_ops ops = {.name = "hooked",
                               .retain = counted__retain,
                               .release = counted__release,
                               .join = hook_join,
                               .meet = hook_meet,
                               .subtract = hook_meet};
    return &ops;
}

static bool keep_on(void *ctx, const uint8_t *path, size_t len, pm_val val) {
    (void)ctx, (void)path, (void)len, (void)val;
    return true;
}

/* Memory that ends at the n-th allocation, or hooks that fail at the n-th call, for every n. */
static void starve(bool each, bool fails, const pm_map *const *maps, size_t n, const pm_formula *f) {
    pm_map out = pm_new(NULL, NULL);
    int64_t held = counted_held();
    uint64_t nodes = live_nodes();
    pm_status s = PM_NOMEM;
    for (uint64_t k = 1; s != PM_OK; k += 1 + k / 32) {
        pm_pool_trim(NULL);
        if (fails) hooks.calls = 0, hooks.wrong = k;
        else check_fail_allocs_from(k);
        s = each ? pm_combine_each(maps, n, f, keep_on, NULL) : pm_combine(maps, n, f, &out);
        check_fail_alloc(0);
        hooks.wrong = 0;
        if (s == PM_OK) break;
        CHECK_EQ(s, fails ? PM_BADHOOK : PM_NOMEM);
        CHECK(pm_is_empty(&out));
        CHECK_EQ(counted_held(), held);
        CHECK_EQ(live_nodes(), nodes);
        if (check_failed()) break;
    }
    check_sound(&out);
    pm_drop(&out);
    CHECK_EQ(counted_held(), held);
    CHECK_EQ(live_nodes(), nodes);
}

TEST(formulas_lose_nothing_when_they_fail) {
    for (unsigned i = 0; i < SHAPES; i++) {
        const shape *s = &shapes[i];
        enum { N = 6 };
        pm_map m[N];
        const pm_map *maps[N];
        pm_formula f;
        pm_clause clauses[CLAUSES];
        key k = {0, {0}};
        for (size_t j = 0; j < N; j++) {
            m[j] = j == 3 ? pm_clone(&m[1]) : pm_new(hooked_ops(), NULL);
            maps[j] = &m[j];
            for (unsigned e = 0; e < s->keys; e++) {
                next_key(s, &k);
                if (check_below(j == 3 ? 9 : 2)) continue;
                if (check_below(9) == 0) CHECK_OK(pm_create_path(&m[j], k.data, k.len, NULL));
                else CHECK_OK(pm_set(&m[j], k.data, k.len, counted_new(), NULL));
            }
        }
        for (unsigned how = 0; how < 8; how++) {
            random_formula(N, &f, clauses);
            starve(how & 1, how & 2, maps, N, &f);
        }
        for (size_t j = 0; j < N; j++) pm_drop(&m[j]);
        CHECK(counted_is_sound());
        CHECK_EQ(counted_held(), 0);
        CHECK_EQ(live_nodes(), 0);
    }
}
