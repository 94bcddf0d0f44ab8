/* Measures algebra on maps against what one would do without it: iterate one map and write into another, merge sorted
   vectors of strings, or walk two std::maps (bench/rivals/std_algebra.cc, where there is a C++ compiler). And what
   algebra rests on: counting, folding, hashing, sharing by content.

   Keys come in the file's (shuffled) order. "halves": the keys of even and of odd number. "overlap": the first two
   thirds and the last two thirds. "clone": a clone in which one key in a hundred is removed or has another value; the
   three ways in which one in a hundred may differ are rows of their own: other values ("set"), keys that are gone
   ("gone"), keys that came ("new").
   "rebuilt": the same keys and values in a map that shares nothing. Counts, folds, hashes and equality are measured on
   a map of which such a clone lives, and ("+unshared") on one that shares nothing. "prefixes": the first halves of one
   key in a thousand. "16": each key in one of 16 maps; for meet, one key in four in all of them. "2e80": 2^80 values
   in a trie that shares each level, whatever the key file. Times of joins are per key of the union, those of meet and
   subtract per key of the result; short operations are per operation. A clone's rows are followed by counts: nodes
   that the result has for itself ("made"), shares with the operands, and has in all.

   Every result is counted, and spot-checked key by key, outside the time taken. */
#define _GNU_SOURCE
#define PATHMAP_STATIC
#include "pathmap.h"

#include "bench_algebra.h"

#ifndef BENCH_STD
#define BENCH_STD 0
#endif
#ifndef ENGINE_NAME
#define ENGINE_NAME "pathmap"
#endif

enum { PARTS = 16, LEVELS = 80, SMALL = 2 };

typedef enum change { SET, GONE, NEW, VARIANTS } change;

/* Small operands of operations in place. */
static const struct {
    size_t step;
    const char *join, *subtract;
} smalls[SMALL] = {{100, "join_into_1pct", "subtract_from_1pct"},
                   {1000, "join_into_1permille", "subtract_from_1permille"}};

typedef struct set {
    const char *name;
    bench_list keys;
    pm_map variant[VARIANTS]; /* of `all`, as `changed` */
    pm_map even, odd, low, high, all, changed, rebuilt, prefixes, deep, deeper, part[PARTS], quarter[PARTS];
    pm_map twin, again, again_changed; /* as `rebuilt`, `all` and `changed` */
    pm_map few[SMALL], most[SMALL]; /* one key in smalls[].step, and the others */
    uint64_t sum;      /* of all values */
    size_t grown;      /* keys of the clone with new ones that `all` does not have */
    size_t restricted; /* keys of `all` that begin with one of `prefixes` */
} set;

static const char *const us = ENGINE_NAME, *const loop = ENGINE_NAME "+loop", *const unshared = ENGINE_NAME "+unshared";
static bool failed;

static void need(pm_status s) {
    if (s != PM_OK) bench_die("pathmap", pm_status_text(s));
}

static void bad(const set *s, const char *op) {
    bench_bad(ENGINE_NAME, s->name, op, "wrong result");
    failed = true;
}

static pm_map fill(const bench_list *l, size_t from, size_t to, size_t step) {
    pm_map m = pm_new(pm_ops_lattice(), NULL);
    for (size_t i = from; i < to; i += step) need(pm_set(&m, l->key[i].data, l->key[i].len, l->val[i], NULL));
    return m;
}

/* One key in four, and of the others one in PARTS. */
static bool in_quarter(size_t key, size_t part) { return key % 4 == 0 || key / 4 % PARTS == part; }

static pm_map fill_quarter(const bench_list *l, size_t part) {
    pm_map m = pm_new(pm_ops_lattice(), NULL);
    for (size_t i = 0; i < l->n; i++)
        if (in_quarter(i, part)) need(pm_set(&m, l->key[i].data, l->key[i].len, l->val[i], NULL));
    return m;
}

/* One key in `step`, and the others. */
static void split(const set *s, size_t step, pm_map *few, pm_map *most) {
    const bench_list *l = &s->keys;
    *few = *most = pm_new(pm_ops_lattice(), NULL);
    for (size_t i = 0; i < l->n; i++)
        need(pm_set(i % step ? most : few, l->key[i].data, l->key[i].len, l->val[i], NULL));
}

static pm_map first_halves(const bench_list *l) {
    pm_map m = pm_new(pm_ops_lattice(), NULL);
    for (size_t i = 0; i < l->n; i += 1000) need(pm_set(&m, l->key[i].data, (l->key[i].len + 1) / 2, 0, NULL));
    return m;
}

/* Each level has the one below it twice. */
static pm_map doubled(pm_val x, pm_val y) {
    pm_map m = pm_new(pm_ops_lattice(), NULL);
    need(pm_set(&m, "x", 1, x, NULL));
    need(pm_set(&m, "y", 1, y, NULL));
    for (unsigned level = 1; level < LEVELS; level++) {
        pm_map up = pm_new(pm_ops_lattice(), NULL);
        pm_wz w;
        need(pm_wz_open(&up, NULL, 0, &w));
        for (unsigned i = 0; i < 2; i++) {
            (void)pm_rz_move_to(pm_wz_cursor(&w), i ? "right" : "left", i ? 5 : 4);
            need(pm_wz_graft_map(&w, &m));
        }
        need(pm_wz_drop(&w));
        pm_drop(&m);
        m = up;
    }
    return m;
}

static bool has_prefix(const pm_map *prefixes, const bench_key *k) {
    for (size_t n = 0; n <= k->len; n++)
        if (pm_contains(prefixes, k->data, n)) return true;
    return false;
}

/* A clone in which one key in a hundred is removed, or has another value. */
static pm_map changed_clone(const bench_list *l, const pm_map *m) {
    pm_map c = pm_clone(m);
    for (size_t i = 0; i < l->n; i += 100) {
        if (i % 200) need(pm_set(&c, l->key[i].data, l->key[i].len, l->val[i] + 1, NULL));
        else need(pm_remove(&c, l->key[i].data, l->key[i].len, PM_PRUNE, NULL));
    }
    return c;
}

/* A clone of the map of all keys in which one in a hundred differs in one way. New keys end in a byte more. */
static pm_map vary(const bench_list *l, const pm_map *m, change how) {
    pm_map c = pm_clone(m);
    for (size_t i = 0; i < l->n; i += 100) {
        const bench_key *k = &l->key[i];
        if (how == SET) need(pm_set(&c, k->data, k->len, l->val[i] + 1, NULL));
        else if (how == GONE) need(pm_remove(&c, k->data, k->len, PM_PRUNE, NULL));
        else need(pm_set(&c, k->data, k->len + 1, l->val[i], NULL)); /* a zero byte follows each key */
    }
    return c;
}

static void prepare(set *s) {
    const bench_list *l = &s->keys;
    size_t n = l->n;
    s->even = fill(l, 0, n, 2);
    s->odd = fill(l, 1, n, 2);
    s->low = fill(l, 0, n - n / 3, 1);
    s->high = fill(l, n / 3, n, 1);
    s->all = fill(l, 0, n, 1);
    s->rebuilt = fill(l, 0, n, 1);
    s->twin = fill(l, 0, n, 1);
    s->again = fill(l, 0, n, 1);
    s->again_changed = changed_clone(l, &s->again);
    s->changed = changed_clone(l, &s->all);
    for (int i = 0; i < VARIANTS; i++) s->variant[i] = vary(l, &s->all, (change)i);
    for (size_t i = 0; i < PARTS; i++) s->part[i] = fill(l, i, n, PARTS);
    for (size_t i = 0; i < PARTS; i++) s->quarter[i] = fill_quarter(l, i);
    for (size_t i = 0; i < SMALL; i++) split(s, smalls[i].step, &s->few[i], &s->most[i]);
    s->prefixes = first_halves(l);
    s->restricted = 0;
    s->sum = 0;
    s->grown = 0;
    for (size_t i = 0; i < n; i += 100) s->grown += !pm_contains(&s->all, l->key[i].data, l->key[i].len + 1);
    for (size_t i = 0; i < n; i++) {
        s->restricted += has_prefix(&s->prefixes, &l->key[i]);
        s->sum += l->val[i];
    }
    s->deep = doubled(7, 2);
    s->deeper = doubled(3, 2);
}

static void finish(set *s) {
    pm_map *maps[] = {&s->even,    &s->odd,      &s->low,    &s->high,   &s->all,     &s->changed, &s->rebuilt,
                      &s->prefixes, &s->deep,     &s->deeper, &s->few[0], &s->most[0], &s->few[1],  &s->most[1]};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) pm_drop(maps[i]);
    for (size_t i = 0; i < PARTS; i++) pm_drop(&s->part[i]), pm_drop(&s->quarter[i]);
    for (size_t i = 0; i < VARIANTS; i++) pm_drop(&s->variant[i]);
    bench_list_free(&s->keys);
}

/* ---- operations on two maps ---- */

typedef pm_status (*map_operation)(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);

static pm_status copy_into(const pm_map *from, pm_map *to) {
    pm_iter i = pm_iter_vals(from);
    pm_status s = PM_OK;
    while (s == PM_OK && pm_iter_next(&i)) s = pm_set(to, i.key, i.len, *i.val, NULL);
    pm_iter_drop(&i);
    return s;
}

static pm_status insert_join(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    *alg = PM_ALG_ELEMENT;
    *out = pm_clone(a);
    return copy_into(b, out);
}

static pm_status insert_meet(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    pm_iter i = pm_iter_vals(a);
    pm_status s = PM_OK;
    *alg = PM_ALG_ELEMENT;
    *out = pm_new(pm_map_ops(a), NULL);
    while (s == PM_OK && pm_iter_next(&i))
        if (pm_contains(b, i.key, i.len)) s = pm_set(out, i.key, i.len, *i.val, NULL);
    pm_iter_drop(&i);
    return s;
}

static pm_status remove_subtract(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    pm_iter i = pm_iter_vals(b);
    pm_status s = PM_OK;
    *alg = PM_ALG_ELEMENT;
    *out = pm_clone(a);
    while (s == PM_OK && pm_iter_next(&i)) s = pm_remove(out, i.key, i.len, PM_PRUNE, NULL);
    pm_iter_drop(&i);
    return s;
}

/* What is in one alone. */
static pm_status insert_difference(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    pm_status s = remove_subtract(a, b, out, alg);
    pm_iter i = pm_iter_vals(b);
    while (s == PM_OK && pm_iter_next(&i))
        if (!pm_contains(a, i.key, i.len)) s = pm_set(out, i.key, i.len, *i.val, NULL);
    pm_iter_drop(&i);
    return s;
}

static pm_status insert_restricted(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    pm_iter i = pm_iter_vals(a);
    pm_status s = PM_OK;
    *alg = PM_ALG_ELEMENT;
    *out = pm_new(pm_map_ops(a), NULL);
    while (s == PM_OK && pm_iter_next(&i)) {
        const bench_key k = {i.key, i.len};
        if (has_prefix(b, &k)) s = pm_set(out, i.key, i.len, *i.val, NULL);
    }
    pm_iter_drop(&i);
    return s;
}

/* The first of PARTS maps, which lie one behind the other; the second operand only stands for the others. */
static pm_status by_parts(pm_status (*run)(const pm_map *const *maps, size_t n, pm_map *out, size_t *which),
                          const pm_map *a, pm_map *out, pm_alg *alg) {
    size_t which;
    const pm_map *maps[PARTS];
    for (size_t i = 0; i < PARTS; i++) maps[i] = a + i;
    pm_status s = run(maps, PARTS, out, &which);
    if (s == PM_OK) *alg = pm_is_empty(out) ? PM_ALG_NONE : which < PARTS ? PM_ALG_LEFT : PM_ALG_ELEMENT;
    return s;
}

static pm_status join_parts(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    (void)b;
    return by_parts(pm_join_many, a, out, alg);
}

static pm_status meet_parts(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    (void)b;
    return by_parts(pm_meet_many, a, out, alg);
}

static pm_status by_pairs(map_operation run, const pm_map *a, pm_map *out, pm_alg *alg) {
    pm_map m[PARTS];
    *alg = PM_ALG_ELEMENT;
    for (size_t i = 0; i < PARTS; i++) m[i] = pm_clone(a + i);
    for (size_t n = PARTS; n > 1; n /= 2) {
        for (size_t i = 0; i < n / 2; i++) {
            pm_map both;
            need(run(&m[2 * i], &m[2 * i + 1], &both, NULL));
            pm_drop(&m[2 * i]);
            pm_drop(&m[2 * i + 1]);
            m[i] = both;
        }
    }
    *out = m[0];
    return PM_OK;
}

static pm_status join_parts_by_pairs(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    (void)b;
    return by_pairs(pm_join, a, out, alg);
}

static pm_status meet_parts_by_pairs(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    (void)b;
    return by_pairs(pm_meet, a, out, alg);
}

static pm_status insert_parts(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    pm_status s = PM_OK;
    (void)b;
    *alg = PM_ALG_ELEMENT;
    *out = pm_clone(a);
    for (size_t i = 1; s == PM_OK && i < PARTS; i++) s = copy_into(a + i, out);
    return s;
}

static pm_status insert_met_parts(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    pm_iter i = pm_iter_vals(a);
    pm_status s = PM_OK;
    (void)b;
    *alg = PM_ALG_ELEMENT;
    *out = pm_new(pm_map_ops(a), NULL);
    while (s == PM_OK && pm_iter_next(&i)) {
        size_t k = 1;
        while (k < PARTS && pm_contains(a + k, i.key, i.len)) k++;
        if (k == PARTS) s = pm_set(out, i.key, i.len, *i.val, NULL);
    }
    pm_iter_drop(&i);
    return s;
}

/* A formula over PARTS maps. */
static pm_status combine(const pm_map *a, const pm_formula *f, pm_map *out, pm_alg *alg) {
    const pm_map *maps[PARTS];
    for (size_t i = 0; i < PARTS; i++) maps[i] = a + i;
    *alg = PM_ALG_ELEMENT;
    return pm_combine(maps, PARTS, f, out);
}

static pm_status two_of_eight(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    pm_clause clauses[8 * 7 / 2];
    pm_formula f = {clauses, 0, 0};
    (void)b;
    for (size_t i = 1; i < 8; i++)
        for (size_t k = 0; k < i; k++) clauses[f.n++] = (pm_clause){(uint64_t)1 << i | (uint64_t)1 << k, 0};
    return combine(a, &f, out, alg);
}

static pm_status two_of_eight_by_pairs(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    (void)b;
    *alg = PM_ALG_ELEMENT;
    *out = pm_new(pm_map_ops(a), NULL);
    for (size_t i = 1; i < 8; i++)
        for (size_t k = 0; k < i; k++) {
            pm_map met;
            need(pm_meet(a + i, a + k, &met, NULL));
            need(pm_join(out, &met, out, NULL));
            pm_drop(&met);
        }
    return PM_OK;
}

/* What more than half of PARTS maps have. */
static pm_status majority(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    pm_formula f = {NULL, 0, PARTS / 2 + 1};
    (void)b;
    return combine(a, &f, out, alg);
}

static pm_status look_for_majority(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    pm_map all;
    pm_status s = PM_OK;
    need(join_parts(a, b, &all, alg));
    *alg = PM_ALG_ELEMENT;
    *out = pm_new(pm_map_ops(a), NULL);
    pm_iter i = pm_iter_vals(&all);
    while (s == PM_OK && pm_iter_next(&i)) {
        size_t have = 0;
        for (size_t k = 0; k < PARTS; k++) have += pm_contains(a + k, i.key, i.len);
        if (have > PARTS / 2) s = pm_set(out, i.key, i.len, *i.val, NULL);
    }
    pm_iter_drop(&i);
    pm_drop(&all);
    return s;
}

/* What an operation must come to: values in all, and which keys of the file are among them. */
typedef struct expectation {
    size_t count;
    bool (*has)(size_t i, size_t n);
} expectation;

static bool any(size_t i, size_t n) { return (void)i, (void)n, true; }
static bool none(size_t i, size_t n) { return (void)i, (void)n, false; }
static bool middle(size_t i, size_t n) { return i >= n / 3 && i < n - n / 3; }
static bool first(size_t i, size_t n) { return i < n / 3; }
static bool fourth(size_t i, size_t n) { return (void)n, i % 4 == 0; }
static bool outer(size_t i, size_t n) { return i < n / 3 || i >= n - n / 3; }
static bool unremoved(size_t i, size_t n) { return (void)n, i % 200 != 0; }

static void verify(const set *s, const char *op, const pm_map *m, expectation want) {
    uint64_t n;
    need(pm_val_count(m, &n));
    bool ok = n == want.count;
    for (size_t i = 0; ok && want.has && i < s->keys.n; i += 7) {
        const pm_val *v = pm_get(m, s->keys.key[i].data, s->keys.key[i].len);
        ok = want.has(i, s->keys.n) ? v && *v - s->keys.val[i] < 2 : !v;
    }
    if (!ok) bad(s, op);
}

/* Restricted maps are checked by their count alone. */
static bool (*const unknown)(size_t i, size_t n) = NULL;

typedef struct row {
    const char *op, *engine, *unit; /* unit: ns_per_key, ns_per_op, ms_per_op */
    map_operation run;
    const pm_map *a, *b;
    double per; /* what the time is divided by */
    expectation want;
} row;

/* How much of a result is its own. */
static void emit_nodes(const set *s, const row *r, const pm_map *out, uint64_t before) {
    char op[64];
    pm_pool_stats pool;
    pm_stats whole;
    pm_pool_get_stats(NULL, &pool);
    need(pm_get_stats(out, &whole));
    const uint64_t nodes = whole.nodes + whole.blocks, made = pool.nodes - before;
    snprintf(op, sizeof op, "%s_made", r->op);
    bench_emit(r->engine, s->name, op, "count", (double)made);
    snprintf(op, sizeof op, "%s_shared", r->op);
    bench_emit(r->engine, s->name, op, "count", (double)(nodes - made));
    snprintf(op, sizeof op, "%s_whole", r->op);
    bench_emit(r->engine, s->name, op, "count", (double)nodes);
}

static void measure(const set *s, const row *r, int runs) {
    bench_times t = {{{0}, 0}, {{0}, 0}};
    double scale = strcmp(r->unit, "ms_per_op") == 0 ? 1e6 : r->per;
    for (int k = 0; k < runs; k++) {
        pm_map out;
        pm_alg alg;
        pm_pool_stats pool;
        pm_pool_get_stats(NULL, &pool);
        bench_clock start = bench_start();
        need(r->run(r->a, r->b, &out, &alg));
        bench_take(&t, start, scale);
        if (k == 0) verify(s, r->op, &out, r->want);
        if (k == 0 && strstr(r->op, "_clone_")) emit_nodes(s, r, &out, pool.nodes);
        pm_drop(&out);
    }
    bench_emit_times(r->engine, s->name, r->op, r->unit, &t);
}

/* Too short for one reading of the clock. */
static void measure_self(const set *s, int runs) {
    enum { TIMES = 1000 };
    bench_times t = {{{0}, 0}, {{0}, 0}};
    for (int k = 0; k < runs; k++) {
        bench_clock start = bench_start();
        for (int i = 0; i < TIMES; i++) {
            pm_map out;
            pm_alg alg;
            need(pm_join(&s->all, &s->all, &out, &alg));
            pm_drop(&out);
        }
        bench_take(&t, start, TIMES);
    }
    bench_emit_times(ENGINE_NAME, s->name, "join_self", "ns_per_op", &t);
}

static bool wanted(const char *list, const char *op) {
    size_t n = strlen(op);
    if (!list) return true;
    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == n && strncmp(p, op, n) == 0) return true;
    return false;
}

/* ---- operations in place, and on one map ---- */

static pm_status join_map(pm_map *to, const pm_map *few) {
    pm_wz w;
    need(pm_wz_open(to, NULL, 0, &w));
    need(pm_wz_join_map(&w, few, NULL));
    return pm_wz_drop(&w);
}

static pm_status subtract_map(pm_map *from, const pm_map *few) {
    pm_wz w;
    pm_rz r;
    need(pm_wz_open(from, NULL, 0, &w));
    need(pm_rz_open(few, NULL, 0, &r));
    need(pm_wz_subtract(&w, &r, PM_KEEP, NULL));
    pm_rz_drop(&r);
    return pm_wz_drop(&w);
}

static pm_status insert_all(pm_map *to, const pm_map *few) { return copy_into(few, to); }

static pm_status remove_all(pm_map *from, const pm_map *few) {
    pm_iter i = pm_iter_vals(few);
    while (pm_iter_next(&i)) need(pm_remove(from, i.key, i.len, PM_PRUNE, NULL));
    return PM_OK;
}

typedef pm_status (*in_place)(pm_map *to, const pm_map *few);

/* A map of few of the keys is joined to one of the others, and subtracted again. */
static void measure_small(set *s, size_t which, const char *engine, in_place join, in_place subtract, int runs) {
    bench_times there = {{{0}, 0}, {{0}, 0}}, back = there;
    pm_map *most = &s->most[which], *few = &s->few[which];
    size_t step = smalls[which].step, n = (s->keys.n + step - 1) / step;
    for (int k = 0; k < runs; k++) {
        bench_clock start = bench_start();
        need(join(most, few));
        bench_take(&there, start, (double)n);
        if (k == 0) verify(s, smalls[which].join, most, (expectation){s->keys.n, any});
        start = bench_start();
        need(subtract(most, few));
        bench_take(&back, start, (double)n);
        if (k == 0) verify(s, smalls[which].subtract, most, (expectation){s->keys.n - n, unknown});
    }
    bench_emit_times(engine, s->name, smalls[which].join, "ns_per_key", &there);
    bench_emit_times(engine, s->name, smalls[which].subtract, "ns_per_key", &back);
}

static bool wants_small(const char *ops, size_t which) {
    return wanted(ops, smalls[which].join) || wanted(ops, smalls[which].subtract);
}

static uint64_t count(const pm_map *m) {
    uint64_t n;
    need(pm_val_count(m, &n));
    return n;
}

static uint64_t count_all(const set *s) { return count(&s->all); }
static uint64_t count_unshared(const set *s) { return count(&s->rebuilt); }

static uint64_t count_by_loop(const set *s) {
    uint64_t n = 0;
    for (pm_iter i = pm_iter_vals(&s->all); pm_iter_next(&i);) n++;
    return n;
}

static int add_up(void *ctx, const pm_fold_at *here, void *out) {
    uint64_t n = here->val ? *here->val : 0;
    (void)ctx;
    for (unsigned i = 0; i < here->n; i++) n += ((uint64_t *)here->results)[i];
    *(uint64_t *)out = n;
    return PM_OK;
}

static uint64_t fold_map(const pm_map *m, unsigned flags) {
    const pm_fold f = {.size = sizeof(uint64_t), .flags = flags, .at = add_up};
    uint64_t sum = 0;
    if (pm_fold_map(m, &f, &sum) != PM_OK) bench_die("pm_fold_map failed", NULL);
    return sum;
}

static uint64_t fold_jumping(const set *s) { return fold_map(&s->all, PM_FOLD_JUMPING); }
static uint64_t fold_unshared(const set *s) { return fold_map(&s->rebuilt, PM_FOLD_JUMPING); }
static uint64_t fold_cached(const set *s) { return fold_map(&s->all, PM_FOLD_JUMPING | PM_FOLD_CACHED); }
static uint64_t fold_cached_unshared(const set *s) { return fold_map(&s->rebuilt, PM_FOLD_JUMPING | PM_FOLD_CACHED); }
static uint64_t fold_steps(const set *s) { return fold_map(&s->all, 0); }
static uint64_t fold_steps_unshared(const set *s) { return fold_map(&s->rebuilt, 0); }

static uint64_t sum_by_loop(const set *s) {
    uint64_t sum = 0;
    for (pm_iter i = pm_iter_vals(&s->all); pm_iter_next(&i);) sum += *i.val;
    return sum;
}

static uint64_t hash_of(const pm_map *m) {
    pm_hash128 h;
    need(pm_hash(m, &h));
    return h.lo;
}

static uint64_t hash_all(const set *s) { return hash_of(&s->all); }
static uint64_t hash_unshared(const set *s) { return hash_of(&s->rebuilt); }

static uint64_t equal(const pm_map *a, const pm_map *b) {
    bool same;
    need(pm_equal(a, b, &same));
    return same;
}

static uint64_t equal_all(const set *s) { return equal(&s->all, &s->again); }
static uint64_t equal_unshared(const set *s) { return equal(&s->rebuilt, &s->twin); }

/* Answers the same whether it finds something to share or not. */
static uint64_t merkleize(const set *s) {
    pm_map m = pm_clone(&s->all);
    pm_merkle_stats stats;
    need(pm_merkleize(&m, &stats));
    pm_drop(&m);
    return stats.hash.lo;
}

/* Every location below the focus, as engines that match patterns come to them: by mask, a byte down, a byte up. */
static uint64_t walk_below(pm_rz *z) {
    uint64_t n = 0;
    pm_mask m = pm_rz_child_mask(z);
    for (int b = pm_mask_next(&m, 0); b >= 0; b = pm_mask_next(&m, b + 1)) {
        pm_rz_descend_to_byte(z, (uint8_t)b);
        n += 1 + walk_below(z);
        (void)pm_rz_ascend(z, 1);
    }
    return n;
}

static uint64_t walk_by_mask(const set *s) {
    pm_rz z;
    need(pm_rz_open(&s->all, NULL, 0, &z));
    uint64_t n = walk_below(&z);
    pm_rz_drop(&z);
    return n;
}

static uint64_t walk_by_steps(const set *s) {
    uint64_t n = 0;
    pm_rz z;
    need(pm_rz_open(&s->all, NULL, 0, &z));
    while (pm_rz_to_next_step(&z)) n++;
    pm_rz_drop(&z);
    return n;
}

/* All values from the last to the first, and the other way. */
static uint64_t walk_back(const set *s) {
    uint64_t n = 0;
    for (pm_iter i = pm_iter_vals(&s->all); pm_iter_prev(&i);) n++;
    return n;
}

static uint64_t walk_forth(const set *s) {
    uint64_t n = 0;
    for (pm_iter i = pm_iter_vals(&s->all); pm_iter_next(&i);) n++;
    return n;
}

static bool count_one(void *ctx, const uint8_t *key, size_t len, pm_val val) {
    (void)key;
    (void)len;
    (void)val;
    ++*(uint64_t *)ctx;
    return true;
}

static uint64_t walk_meet_view(const set *s) {
    uint64_t n = 0;
    pm_rz a, b, z;
    need(pm_rz_open(&s->low, NULL, 0, &a));
    need(pm_rz_open(&s->high, NULL, 0, &b));
    need(pm_view_meet(&a, &b, &z));
    n += pm_rz_is_val(&z);
    while (pm_rz_to_next_val(&z)) n++;
    pm_rz_drop(&z);
    pm_rz_drop(&b);
    pm_rz_drop(&a);
    return n;
}

static uint64_t walk_made_meet(const set *s) {
    uint64_t n = 0;
    pm_map m;
    need(pm_meet(&s->low, &s->high, &m, NULL));
    need(pm_each(&m, count_one, &n));
    pm_drop(&m);
    return n;
}

typedef struct summary {
    const char *op, *engine;
    uint64_t (*run)(const set *s);
    double per;
    uint64_t want;
} summary;

static void measure_summary(const set *s, const summary *r, int runs) {
    bench_times t = {{{0}, 0}, {{0}, 0}};
    for (int k = 0; k < runs; k++) {
        bench_clock start = bench_start();
        uint64_t answer = r->run(s);
        bench_take(&t, start, r->per);
        if (answer != r->want) bad(s, r->op);
    }
    bench_emit_times(r->engine, s->name, r->op, "ns_per_key", &t);
}

/* ---- 2^80 values ---- */

static uint64_t deep_algebra(const set *s, map_operation op) {
    pm_map out;
    pm_pool_stats before, after;
    pm_pool_get_stats(NULL, &before);
    need(op(&s->deep, &s->deeper, &out, NULL));
    pm_pool_get_stats(NULL, &after);
    pm_drop(&out);
    return after.nodes - before.nodes;
}

static uint64_t deep_join(const set *s) { return deep_algebra(s, pm_join); }
static uint64_t deep_meet(const set *s) { return deep_algebra(s, pm_meet); }
static uint64_t deep_subtract(const set *s) { return deep_algebra(s, pm_subtract); }
static uint64_t deep_hash(const set *s) { return hash_of(&s->deep); }
static uint64_t deep_fold(const set *s) { return fold_map(&s->deep, PM_FOLD_JUMPING | PM_FOLD_CACHED); }

static uint64_t deep_count(const set *s) {
    uint64_t n;
    need(pm_val_count(&s->deep, &n));
    return n;
}

static void run_deep(const set *s, int runs, const char *ops) {
    const struct {
        const char *op;
        uint64_t (*run)(const set *s);
        uint64_t least, most; /* nodes made, or the answer */
    } rows[] = {{"join_2e80", deep_join, 0, 2 * LEVELS},     {"meet_2e80", deep_meet, 0, 2 * LEVELS},
                {"subtract_2e80", deep_subtract, 1, 2 * LEVELS}, {"count_2e80", deep_count, UINT64_MAX, UINT64_MAX},
                {"hash_2e80", deep_hash, 0, UINT64_MAX},     {"fold_2e80", deep_fold, 0, 0}};
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {
        bench_times t = {{{0}, 0}, {{0}, 0}};
        for (int k = 0; k < runs && wanted(ops, rows[i].op); k++) {
            bench_clock start = bench_start();
            uint64_t answer = rows[i].run(s);
            bench_take(&t, start, 1);
            if (answer < rows[i].least || answer > rows[i].most) bad(s, rows[i].op);
        }
        bench_emit_times(us, s->name, rows[i].op, "ns_per_op", &t);
    }
}

/* ---- everything ---- */

static void run_all(set *s, int runs, const char *ops) {
    size_t n = s->keys.n, third = n / 3, removed = (n + 199) / 200, mid = n - 2 * third;
    double all = (double)n, few = (double)(mid ? mid : 1), rest = (double)third;
    expectation everything = {n, any}, meet = {mid, middle}, less = {third, first}, nothing = {0, none};
    expectation kept = {n - removed, unremoved}, alone = {2 * third, outer}, below = {s->restricted, unknown};
    /* Of equal values nothing is left; of the changed clone, the keys that it lost or has other values for. */
    expectation lost = {(n + 99) / 100, unknown}, quarter = {(n + 3) / 4, fourth};
    const size_t differ = (n + 99) / 100;
    expectation grown = {n + s->grown, any}, without = {n - differ, unknown};
    const row rows[] = {
        {"join_halves", us, "ns_per_key", pm_join, &s->even, &s->odd, all, everything},
        {"join_halves", loop, "ns_per_key", insert_join, &s->even, &s->odd, all, everything},
        {"join_overlap", us, "ns_per_key", pm_join, &s->low, &s->high, all, everything},
        {"join_overlap", loop, "ns_per_key", insert_join, &s->low, &s->high, all, everything},
        {"meet_overlap", us, "ns_per_key", pm_meet, &s->low, &s->high, few, meet},
        {"meet_overlap", loop, "ns_per_key", insert_meet, &s->low, &s->high, few, meet},
        {"subtract_overlap", us, "ns_per_key", pm_subtract, &s->low, &s->high, rest, less},
        {"subtract_overlap", loop, "ns_per_key", remove_subtract, &s->low, &s->high, rest, less},
        {"differ_overlap", us, "ns_per_key", pm_symmetric_difference, &s->low, &s->high, 2 * rest, alone},
        {"differ_overlap", loop, "ns_per_key", insert_difference, &s->low, &s->high, 2 * rest, alone},
        {"restrict_prefixes", us, "ns_per_key", pm_restrict, &s->all, &s->prefixes, (double)s->restricted, below},
        {"restrict_prefixes", loop, "ns_per_key", insert_restricted, &s->all, &s->prefixes, (double)s->restricted,
         below},
        {"join_16", us, "ns_per_key", join_parts, s->part, s->part, all, everything},
        {"join_16", ENGINE_NAME "+pairs", "ns_per_key", join_parts_by_pairs, s->part, s->part, all, everything},
        {"join_16", loop, "ns_per_key", insert_parts, s->part, s->part, all, everything},
        {"meet_16", us, "ns_per_key", meet_parts, s->quarter, s->quarter, all / 4, quarter},
        {"meet_16", ENGINE_NAME "+pairs", "ns_per_key", meet_parts_by_pairs, s->quarter, s->quarter, all / 4, quarter},
        {"meet_16", loop, "ns_per_key", insert_met_parts, s->quarter, s->quarter, all / 4, quarter},
        {"two_of_8", us, "ns_per_key", two_of_eight, s->quarter, s->quarter, all / 4, quarter},
        {"two_of_8", ENGINE_NAME "+pairs", "ns_per_key", two_of_eight_by_pairs, s->quarter, s->quarter, all / 4,
         quarter},
        {"majority_16", us, "ns_per_key", majority, s->quarter, s->quarter, all / 4, quarter},
        {"majority_16", loop, "ns_per_key", look_for_majority, s->quarter, s->quarter, all / 4, quarter},
        {"join_clone_1pct", us, "ms_per_op", pm_join, &s->all, &s->changed, 0, everything},
        {"join_clone_1pct", loop, "ms_per_op", insert_join, &s->all, &s->changed, 0, everything},
        {"meet_clone_1pct", us, "ms_per_op", pm_meet, &s->all, &s->changed, 0, kept},
        {"meet_clone_1pct", loop, "ms_per_op", insert_meet, &s->all, &s->changed, 0, kept},
        {"subtract_clone_1pct", us, "ms_per_op", pm_subtract, &s->all, &s->changed, 0, lost},
        {"join_clone_set", us, "ms_per_op", pm_join, &s->all, &s->variant[SET], 0, everything},
        {"join_clone_gone", us, "ms_per_op", pm_join, &s->all, &s->variant[GONE], 0, everything},
        {"join_clone_new", us, "ms_per_op", pm_join, &s->all, &s->variant[NEW], 0, grown},
        {"meet_clone_set", us, "ms_per_op", pm_meet, &s->all, &s->variant[SET], 0, everything},
        {"meet_clone_gone", us, "ms_per_op", pm_meet, &s->all, &s->variant[GONE], 0, without},
        {"meet_clone_new", us, "ms_per_op", pm_meet, &s->all, &s->variant[NEW], 0, everything},
        {"subtract_clone_set", us, "ms_per_op", pm_subtract, &s->all, &s->variant[SET], 0, lost},
        {"subtract_clone_gone", us, "ms_per_op", pm_subtract, &s->all, &s->variant[GONE], 0, lost},
        {"subtract_clone_new", us, "ms_per_op", pm_subtract, &s->all, &s->variant[NEW], 0, nothing},
        {"join_rebuilt", us, "ms_per_op", pm_join, &s->all, &s->rebuilt, 0, everything},
        {"meet_rebuilt", us, "ms_per_op", pm_meet, &s->all, &s->rebuilt, 0, everything},
        {"subtract_rebuilt", us, "ms_per_op", pm_subtract, &s->all, &s->rebuilt, 0, nothing},
    };
    const uint64_t hash = hash_of(&s->rebuilt), locations = walk_by_steps(s);
    const summary sums[] = {
        {"count_all", us, count_all, all, n},
        {"count_all", unshared, count_unshared, all, n},
        {"count_all", loop, count_by_loop, all, n},
        {"fold_jumping", us, fold_jumping, all, s->sum},
        {"fold_jumping", unshared, fold_unshared, all, s->sum},
        {"fold_jumping", loop, sum_by_loop, all, s->sum},
        {"fold_steps", us, fold_steps, all, s->sum},
        {"fold_steps", unshared, fold_steps_unshared, all, s->sum},
        {"fold_cached", us, fold_cached, all, s->sum},
        {"fold_cached", unshared, fold_cached_unshared, all, s->sum},
        {"hash", us, hash_all, all, hash},
        {"hash", unshared, hash_unshared, all, hash},
        {"equal", us, equal_all, all, 1},
        {"equal", unshared, equal_unshared, all, 1},
        {"merkleize", us, merkleize, all, hash},
        {"walk_by_mask", us, walk_by_mask, (double)locations, locations},
        {"walk_by_mask", ENGINE_NAME "+steps", walk_by_steps, (double)locations, locations},
        {"walk_back", us, walk_back, all, n},
        {"walk_back", ENGINE_NAME "+steps", walk_forth, all, n},
        {"walk_meet_view", us, walk_meet_view, few, mid},
        {"walk_meet_view", ENGINE_NAME "+made", walk_made_meet, few, mid},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (wanted(ops, rows[i].op)) measure(s, &rows[i], runs);
    if (wanted(ops, "join_self")) measure_self(s, runs);
    for (size_t i = 0; i < SMALL; i++) {
        if (!wants_small(ops, i)) continue;
        measure_small(s, i, us, join_map, subtract_map, runs);
        measure_small(s, i, loop, insert_all, remove_all, runs);
    }
    for (size_t i = 0; i < sizeof sums / sizeof *sums; i++)
        if (wanted(ops, sums[i].op)) measure_summary(s, &sums[i], runs);
    run_deep(s, runs, ops);
}

#if BENCH_STD

/* What a map holds, in order. */
static bench_list list_of(const pm_map *m) {
    size_t n = 0, bytes = 0;
    for (pm_iter i = pm_iter_vals(m); pm_iter_next(&i);) n++, bytes += i.len;
    bench_list l = bench_list_new(n, bytes);
    for (pm_iter i = pm_iter_vals(m); pm_iter_next(&i);) bench_list_add(&l, i.key, i.len, *i.val);
    return l;
}

static void *std_of(bench_std_kind kind, const pm_map *m) {
    bench_list l = list_of(m);
    void *v = bench_std_make(kind, &l, 0, l.n, 1);
    bench_list_free(&l);
    return v;
}

typedef struct std_row {
    const char *op, *unit;
    bench_algebra_op which;
    const pm_map *a, *b;
    double per;
    size_t count;
} std_row;

static void std_bad(const set *s, const char *engine, const char *op) {
    bench_bad(engine, s->name, op, "wrong result");
    failed = true;
}

static void measure_std(const set *s, bench_std_kind kind, const std_row *r, int runs) {
    bench_times t = {{{0}, 0}, {{0}, 0}};
    void *a = std_of(kind, r->a), *b = std_of(kind, r->b);
    for (int k = 0; k < runs; k++) {
        bench_clock took;
        if (bench_std_combine(kind, r->which, a, b, &took) != r->count) std_bad(s, bench_std_name(kind), r->op);
        bench_took(&t, took, r->per);
    }
    bench_std_free(kind, a);
    bench_std_free(kind, b);
    bench_emit_times(bench_std_name(kind), s->name, r->op, r->unit, &t);
}

static void measure_std_parts(const set *s, bench_std_kind kind, bool join, int runs) {
    bench_times t = {{{0}, 0}, {{0}, 0}};
    void *part[PARTS];
    const char *op = join ? "join_16" : "meet_16";
    const size_t n = join ? s->keys.n : (s->keys.n + 3) / 4;
    for (size_t i = 0; i < PARTS; i++) part[i] = std_of(kind, join ? &s->part[i] : &s->quarter[i]);
    for (int k = 0; k < runs; k++) {
        bench_clock took;
        if (bench_std_combine_many(kind, join ? BENCH_JOIN : BENCH_MEET, part, PARTS, &took) != n)
            std_bad(s, bench_std_name(kind), op);
        bench_took(&t, took, join ? (double)n : (double)s->keys.n / 4);
    }
    for (size_t i = 0; i < PARTS; i++) bench_std_free(kind, part[i]);
    bench_emit_times(bench_std_name(kind), s->name, op, "ns_per_key", &t);
}

static void measure_std_sum(const set *s, int runs) {
    bench_times sum = {{{0}, 0}, {{0}, 0}};
    const char *engine = bench_std_name(BENCH_MAP);
    void *all = std_of(BENCH_MAP, &s->all);
    for (int k = 0; k < runs; k++) {
        bench_clock took;
        if (bench_std_sum(all, &took) != s->sum) std_bad(s, engine, "fold_jumping");
        bench_took(&sum, took, (double)s->keys.n);
    }
    bench_std_free(BENCH_MAP, all);
    bench_emit_times(engine, s->name, "fold_jumping", "ns_per_key", &sum);
}

static void measure_std_small(const set *s, size_t which, int runs) {
    bench_times there = {{{0}, 0}, {{0}, 0}}, back = there;
    const char *engine = bench_std_name(BENCH_MAP);
    bench_list few = list_of(&s->few[which]);
    void *most = std_of(BENCH_MAP, &s->most[which]);
    for (int k = 0; k < runs; k++) {
        bench_clock inserts, erases;
        if (bench_std_insert(most, &few, &inserts, &erases) != s->keys.n) std_bad(s, engine, smalls[which].join);
        bench_took(&there, inserts, (double)few.n);
        bench_took(&back, erases, (double)few.n);
    }
    bench_std_free(BENCH_MAP, most);
    bench_list_free(&few);
    bench_emit_times(engine, s->name, smalls[which].join, "ns_per_key", &there);
    bench_emit_times(engine, s->name, smalls[which].subtract, "ns_per_key", &back);
}

static void run_std(const set *s, int runs, const char *ops) {
    size_t n = s->keys.n, third = n / 3, mid = n - 2 * third, removed = (n + 199) / 200;
    const std_row rows[] = {
        {"join_halves", "ns_per_key", BENCH_JOIN, &s->even, &s->odd, (double)n, n},
        {"join_overlap", "ns_per_key", BENCH_JOIN, &s->low, &s->high, (double)n, n},
        {"meet_overlap", "ns_per_key", BENCH_MEET, &s->low, &s->high, (double)(mid ? mid : 1), mid},
        {"subtract_overlap", "ns_per_key", BENCH_SUBTRACT, &s->low, &s->high, (double)third, third},
        {"differ_overlap", "ns_per_key", BENCH_DIFFER, &s->low, &s->high, 2 * (double)third, 2 * third},
        {"restrict_prefixes", "ns_per_key", BENCH_RESTRICT, &s->all, &s->prefixes, (double)s->restricted,
         s->restricted},
        {"join_clone_1pct", "ms_per_op", BENCH_JOIN, &s->all, &s->changed, 1e6, n},
        {"meet_clone_1pct", "ms_per_op", BENCH_MEET, &s->all, &s->changed, 1e6, n - removed},
        /* Values are not looked at, so only removed keys are left. */
        {"subtract_clone_1pct", "ms_per_op", BENCH_SUBTRACT, &s->all, &s->changed, 1e6, removed},
    };
    for (int kind = 0; kind < BENCH_STD_KINDS; kind++) {
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
            if (wanted(ops, rows[i].op)) measure_std(s, (bench_std_kind)kind, &rows[i], runs);
        if (wanted(ops, "join_16")) measure_std_parts(s, (bench_std_kind)kind, true, runs);
        if (wanted(ops, "meet_16")) measure_std_parts(s, (bench_std_kind)kind, false, runs);
    }
    if (wanted(ops, "fold_jumping")) measure_std_sum(s, runs);
    for (size_t i = 0; i < SMALL; i++)
        if (wants_small(ops, i)) measure_std_small(s, i, runs);
}

#endif

static const char usage[] =
    "usage: bench_algebra --keys FILE --name DATASET [--ops a,b] [--runs N]\n"
    "  operations: join_halves join_overlap meet_overlap subtract_overlap differ_overlap restrict_prefixes\n"
    "              join_16 meet_16 two_of_8 majority_16 join_clone_1pct meet_clone_1pct\n"
    "              subtract_clone_1pct (each also _clone_set, _clone_gone, _clone_new)\n"
    "              join_rebuilt meet_rebuilt subtract_rebuilt join_self join_into_1pct\n"
    "              join_into_1permille subtract_from_1pct subtract_from_1permille count_all fold_jumping\n"
    "              fold_steps fold_cached hash equal merkleize walk_by_mask walk_back walk_meet_view\n"
    "              join_2e80 meet_2e80\n"
    "              subtract_2e80 count_2e80 hash_2e80 fold_2e80";

int main(int argc, char **argv) {
    const char *keys = NULL, *ops = NULL;
    set s = {.name = NULL};
    int runs = 5;
    const bench_option options[] = {{"--keys", &keys, NULL, 0}, {"--name", &s.name, NULL, 0}, {"--ops", &ops, NULL, 0},
                                    {"--runs", NULL, &runs, BENCH_SAMPLES}, {NULL, NULL, NULL, 0}};
    if (!bench_read_options(argc, argv, usage, options)) return 0;
    if (!keys || !s.name) bench_die("--keys and --name are needed (--help)", NULL);
    bench_describe("bench_algebra");
    printf("# runs %d\n", runs);
    s.keys = bench_load(keys);
    if (s.keys.n < 3) bench_die("too few keys", keys);
    prepare(&s);
    run_all(&s, runs, ops);
#if BENCH_STD
    run_std(&s, runs, ops);
#endif
    finish(&s);
    return failed;
}
