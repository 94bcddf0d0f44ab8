/* Measures algebra on maps: join, meet, subtract, against what one would do without it: iterate one map and
   write into another, or merge sorted vectors of strings (bench/rivals/std_algebra.cc, when it is linked in).

   Keys come in the file's (shuffled) order. "halves": the keys of even and of odd number. "overlap": the first two
   thirds and the last two thirds. "clone": a clone in which one key in a hundred is removed or has another value.
   "rebuilt": the same keys and values in a map that shares nothing. Times of joins are per key of the union, those of
   meet and subtract per key of the result; short operations are per operation.

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

typedef struct set {
    const char *name;
    bench_list keys;
    pm_map even, odd, low, high, all, changed, rebuilt;
} set;

static bool failed;

static void need(pm_status s) {
    if (s != PM_OK) bench_die("pathmap", pm_status_text(s));
}

static pm_map fill(const bench_list *l, size_t from, size_t to, size_t step) {
    pm_map m = pm_new(pm_ops_lattice(), NULL);
    for (size_t i = from; i < to; i += step) need(pm_set(&m, l->key[i].data, l->key[i].len, l->val[i], NULL));
    return m;
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
    s->changed = pm_clone(&s->all);
    for (size_t i = 0; i < n; i += 100) {
        if (i % 200) need(pm_set(&s->changed, l->key[i].data, l->key[i].len, l->val[i] + 1, NULL));
        else need(pm_remove(&s->changed, l->key[i].data, l->key[i].len, true, NULL));
    }
}

static void finish(set *s) {
    pm_map *maps[] = {&s->even, &s->odd, &s->low, &s->high, &s->all, &s->changed, &s->rebuilt};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) pm_drop(maps[i]);
    bench_list_free(&s->keys);
}

/* ---- operations ---- */

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
    while (s == PM_OK && pm_iter_next(&i)) s = pm_remove(out, i.key, i.len, true, NULL);
    pm_iter_drop(&i);
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
static bool unremoved(size_t i, size_t n) { return (void)n, i % 200 != 0; }

static void verify(const set *s, const char *op, const pm_map *m, expectation want) {
    uint64_t n;
    need(pm_val_count(m, &n));
    bool ok = n == want.count;
    for (size_t i = 0; ok && i < s->keys.n; i += 7) {
        const pm_val *v = pm_get(m, s->keys.key[i].data, s->keys.key[i].len);
        ok = want.has(i, s->keys.n) ? v && *v - s->keys.val[i] < 2 : !v;
    }
    if (ok) return;
    bench_bad(ENGINE_NAME, s->name, op, "wrong result");
    failed = true;
}

typedef struct row {
    const char *op, *engine, *unit; /* unit: ns_per_key, ns_per_op, ms_per_op */
    map_operation run;
    const pm_map *a, *b;
    double per; /* what the time is divided by */
    expectation want;
} row;

static void measure(const set *s, const row *r, int runs) {
    bench_samples t = {{0}, 0};
    double scale = strcmp(r->unit, "ms_per_op") == 0 ? 1e6 : r->per;
    for (int k = 0; k < runs; k++) {
        pm_map out;
        pm_alg alg;
        uint64_t start = bench_now();
        need(r->run(r->a, r->b, &out, &alg));
        uint64_t end = bench_now();
        bench_sample(&t, (double)(end - start) / scale);
        if (k == 0) verify(s, r->op, &out, r->want);
        pm_drop(&out);
    }
    bench_emit_samples(r->engine, s->name, r->op, r->unit, &t);
}

/* Too short for one reading of the clock. */
static void measure_self(const set *s, int runs) {
    enum { TIMES = 1000 };
    bench_samples t = {{0}, 0};
    for (int k = 0; k < runs; k++) {
        uint64_t start = bench_now();
        for (int i = 0; i < TIMES; i++) {
            pm_map out;
            pm_alg alg;
            need(pm_join(&s->all, &s->all, &out, &alg));
            pm_drop(&out);
        }
        bench_sample(&t, (double)(bench_now() - start) / TIMES);
    }
    bench_emit_samples(ENGINE_NAME, s->name, "join_self", "ns_per_op", &t);
}

static bool wanted(const char *list, const char *op) {
    size_t n = strlen(op);
    if (!list) return true;
    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == n && strncmp(p, op, n) == 0) return true;
    return false;
}

static void run_all(const set *s, int runs, const char *ops) {
    size_t n = s->keys.n, third = n / 3, removed = (n + 199) / 200, mid = n - 2 * third;
    double all = (double)n;
    const char *us = ENGINE_NAME, *loop = ENGINE_NAME "+loop";
    expectation everything = {n, any}, meet = {mid, middle}, less = {third, first}, nothing = {0, none};
    expectation kept = {n - removed, unremoved};
    const row rows[] = {
        {"join_halves", us, "ns_per_key", pm_join, &s->even, &s->odd, all, everything},
        {"join_halves", loop, "ns_per_key", insert_join, &s->even, &s->odd, all, everything},
        {"join_overlap", us, "ns_per_key", pm_join, &s->low, &s->high, all, everything},
        {"join_overlap", loop, "ns_per_key", insert_join, &s->low, &s->high, all, everything},
        {"meet_overlap", us, "ns_per_key", pm_meet, &s->low, &s->high, (double)mid, meet},
        {"meet_overlap", loop, "ns_per_key", insert_meet, &s->low, &s->high, (double)mid, meet},
        {"subtract_overlap", us, "ns_per_key", pm_subtract, &s->low, &s->high, (double)third, less},
        {"subtract_overlap", loop, "ns_per_key", remove_subtract, &s->low, &s->high, (double)third, less},
        {"join_clone_1pc", us, "ms_per_op", pm_join, &s->all, &s->changed, 0, everything},
        {"join_rebuilt", us, "ms_per_op", pm_join, &s->all, &s->rebuilt, 0, everything},
        {"meet_rebuilt", us, "ms_per_op", pm_meet, &s->all, &s->rebuilt, 0, everything},
        {"subtract_rebuilt", us, "ms_per_op", pm_subtract, &s->all, &s->rebuilt, 0, nothing},
        {"meet_clone_1pc", us, "ms_per_op", pm_meet, &s->all, &s->changed, 0, kept},
    };
    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++)
        if (wanted(ops, rows[i].op)) measure(s, &rows[i], runs);
    if (wanted(ops, "join_self")) measure_self(s, runs);
}

#if BENCH_STD

typedef size_t (*std_operation)(bench_algebra_op op, const void *a, const void *b, uint64_t *ns);

static void measure_std(const set *s, const char *op, const char *engine, std_operation run, bench_algebra_op which,
                        const void *a, const void *b, size_t count, double per, int runs) {
    bench_samples t = {{0}, 0};
    for (int k = 0; k < runs; k++) {
        uint64_t ns;
        if (run(which, a, b, &ns) != count) {
            bench_bad(engine, s->name, op, "wrong count");
            failed = true;
        }
        bench_sample(&t, (double)ns / per);
    }
    bench_emit_samples(engine, s->name, op, "ns_per_key", &t);
}

static void run_std(const set *s, int runs, const char *ops) {
    static const struct {
        const char *name;
        std_operation run;
    } engines[] = {{"sorted std::vector", bench_std_vector}, {"std::map by merging", bench_std_map}};
    const bench_list *l = &s->keys;
    size_t n = l->n, third = n / 3, mid = n - 2 * third;
    void *even = bench_std_make(l, 0, n, 2), *odd = bench_std_make(l, 1, n, 2);
    void *low = bench_std_make(l, 0, n - third, 1), *high = bench_std_make(l, third, n, 1);
    for (size_t i = 0; i < 2; i++) {
        const char *e = engines[i].name;
        std_operation run = engines[i].run;
        if (wanted(ops, "join_halves"))
            measure_std(s, "join_halves", e, run, BENCH_JOIN, even, odd, n, (double)n, runs);
        if (wanted(ops, "join_overlap"))
            measure_std(s, "join_overlap", e, run, BENCH_JOIN, low, high, n, (double)n, runs);
        if (wanted(ops, "meet_overlap"))
            measure_std(s, "meet_overlap", e, run, BENCH_MEET, low, high, mid, (double)mid, runs);
        if (wanted(ops, "subtract_overlap"))
            measure_std(s, "subtract_overlap", e, run, BENCH_SUBTRACT, low, high, third, (double)third, runs);
    }
    bench_std_free(even);
    bench_std_free(odd);
    bench_std_free(low);
    bench_std_free(high);
}

#endif

static void usage(FILE *f) {
    fputs("usage: bench_algebra --keys FILE --name DATASET [--ops a,b] [--runs N]\n"
          "  operations: join_halves join_overlap meet_overlap subtract_overlap join_clone_1pc meet_clone_1pc\n"
          "              join_rebuilt meet_rebuilt subtract_rebuilt join_self\n", f);
}

int main(int argc, char **argv) {
    const char *keys = NULL, *ops = NULL;
    set s = {.name = NULL};
    int runs = 5;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(a, "--help") == 0) {
            usage(stdout);
            return 0;
        }
        if (!v) bench_die("an option without its value (--help)", a);
        if (strcmp(a, "--keys") == 0) keys = v;
        else if (strcmp(a, "--name") == 0) s.name = v;
        else if (strcmp(a, "--ops") == 0) ops = v;
        else if (strcmp(a, "--runs") == 0) runs = atoi(v);
        else bench_die("unknown option (--help)", a);
        i++;
    }
    if (!keys || !s.name) bench_die("--keys and --name are needed (--help)", NULL);
    if (runs < 1 || runs > BENCH_SAMPLES) bench_die("--runs is out of range", NULL);
    bench_describe("bench_algebra");
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
