/* Rows of bench_threads: each thread works on a map of its own, and the maps become one. */
#include "bench_threads.h"

enum { GROUP = 16 };

static pm_map result[THREADS_MAX];

/* ---- joining ---- */

static void join_two(pm_map *a, pm_map *b) {
    pm_map both = pm_new(NULL, NULL);
    must(pm_join(a, b, &both, NULL));
    pm_drop(a);
    pm_drop(b);
    *a = both;
}

static double join_in_order(int n) {
    double start = clock_ns();
    for (int i = 1; i < n; i++) join_two(&result[0], &result[i]);
    return clock_ns() - start;
}

static int width; /* result[i] and result[i + width] are to be joined, for each multiple i of twice that */

static void join_pairs(worker *w) {
    FOR_PARTS(k, w) join_two(&result[2 * width * k], &result[2 * width * k + width]);
}

static double join_as_tree(int threads, int n) {
    double ns = 0;
    for (width = 1; width < n; width *= 2) {
        int pairs = (n - width - 1) / (2 * width) + 1;
        ns += run_workers(threads < pairs ? threads : pairs, pairs, join_pairs, false);
    }
    return ns;
}

static double finish(const row *r, const pm_map *base, const bench_list *added, double ns) {
    slice all = {0, added->n};
    uint64_t n = 0;
    must(pm_val_count(base, &n));
    good(has_count(&result[0], n + added->n) && has_keys(&result[0], NULL, 0, added, all), r->name,
         "keys are missing, or wrong");
    pm_drop(&result[0]);
    return ns / 1e6;
}

/* ---- clones of a map, and maps from nothing ---- */

static void change_clone(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(fresh.n, k, w->parts);
        result[k] = pm_clone(&filled);
        for (size_t i = s.first; i < s.end; i++)
            must(pm_set(&result[k], fresh.key[i].data, fresh.key[i].len, fresh.val[i], NULL));
    }
}

static double time_clone_fold(const row *r, int threads, int parts) {
    double ns = run_workers(threads, parts, r->fn, false);
    return finish(r, &filled, &fresh, ns + join_in_order(parts));
}

static double time_clone_tree(const row *r, int threads, int parts) {
    double ns = run_workers(threads, parts, r->fn, false);
    return finish(r, &filled, &fresh, ns + join_as_tree(threads, parts));
}

static void fill_own(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(in_order.n, k, w->parts);
        result[k] = pm_new(NULL, NULL);
        for (size_t i = s.first; i < s.end; i++)
            must(pm_set(&result[k], in_order.key[i].data, in_order.key[i].len, in_order.val[i], NULL));
    }
}

static double time_own_tree(const row *r, int threads, int parts) {
    pm_map none = pm_new(NULL, NULL);
    double ns = run_workers(threads, parts, r->fn, false);
    return finish(r, &none, &in_order, ns + join_as_tree(threads, parts));
}

/* ---- there and back ---- */

static void roll_back(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(fresh.n, k, w->parts);
        pm_map m = pm_clone(&filled);
        bool same = false;
        for (size_t i = s.first; i < s.end;) {
            pm_txn t = {.open = false};
            must(pm_txn_begin(&t, &m));
            for (size_t stop = i + GROUP < s.end ? i + GROUP : s.end; i < stop; i++) {
                must(pm_set(&m, fresh.key[i].data, fresh.key[i].len, fresh.val[i], NULL));
                w->sum += pm_contains(&m, fresh.key[i].data, fresh.key[i].len);
            }
            must(pm_txn_rollback(&t, &m));
        }
        must(pm_equal(&m, &filled, &same));
        w->sum += !same;
        pm_drop(&m);
    }
}

static double time_rollback(const row *r, int threads, int parts) {
    double ns = run_workers(threads, parts, r->fn, false);
    good(workers_sum(threads) == fresh.n, r->name, "not as before, or not as written");
    return ns / (double)fresh.n;
}

const row rows_merging[] = {
    {"clone_fold", time_clone_fold, change_clone, "ms_per_op", WRITERS_MAX},
    {"clone_tree", time_clone_tree, change_clone, "ms_per_op", WRITERS_MAX},
    {"own_tree", time_own_tree, fill_own, "ms_per_op", WRITERS_MAX},
    {"rollback", time_rollback, roll_back, "ns_per_key", WRITERS_MAX},
    {NULL, NULL, NULL, NULL, 0},
};
