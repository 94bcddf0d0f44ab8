/* Rows of bench_threads: other people's tables for threads, where they are installed. They have no order, no snapshots
   and no prefixes: they say what single keys can cost. */
#include "bench_threads.h"
#include "rivals_threads/rival.h"

enum { MIX = 10 };

static const rival *running;
static void *table;
static int writes_of_ten;

static size_t nkeys(void) { return shuffled.n < LOCKED_KEYS ? shuffled.n : LOCKED_KEYS; }
static bool written(size_t i) { return i % MIX >= (size_t)(MIX - writes_of_ten); }
static uint64_t new_val(size_t i) { return shuffled.val[i] + in_order.n; }

static void set_one(size_t i, uint64_t val) {
    const bench_key *k = &shuffled.key[i];
    if (!running->set(table, k->data, k->len, val)) must(PM_NOMEM);
}

static bool has_one(size_t i, uint64_t val) {
    const bench_key *k = &shuffled.key[i];
    uint64_t v;
    return running->get(table, k->data, k->len, &v) && v == val;
}

/* Every thread meets each key once, as in threads_mixed.c. */
BENCH_UNUSED static void rival_mixed(worker *w) {
    running->enter();
    FOR_PARTS(k, w) {
        slice s = slice_of(nkeys(), k, w->parts);
        for (size_t i = s.first; i < s.end; i++) {
            if (written(i)) set_one(i, new_val(i));
            w->sum += written(i) || has_one(i, shuffled.val[i]);
        }
    }
    running->leave();
}

BENCH_UNUSED static double time_rival(const row *r, const rival *v, int threads, int parts) {
    running = v;
    writes_of_ten = strstr(r->name, "_half") ? 5 : strstr(r->name, "_writes") ? 9 : 1;
    table = v->make(nkeys());
    if (!table) must(PM_NOMEM);
    v->enter();
    for (size_t i = 0; i < nkeys(); i++) set_one(i, shuffled.val[i]);
    v->leave();
    double ns = run_workers(threads, parts, r->fn, false);
    bool ok = workers_sum(threads) == nkeys();
    v->enter();
    for (size_t i = 0; i < nkeys(); i++) ok = ok && has_one(i, written(i) ? new_val(i) : shuffled.val[i]);
    v->drop(table);
    v->leave();
    good(ok, r->name, "wrong values");
    return ns / (double)nkeys();
}

#if BENCH_TBB
static double time_tbb(const row *r, int threads, int parts) { return time_rival(r, &rival_tbb, threads, parts); }
#endif

#if BENCH_URCU
static double time_urcu(const row *r, int threads, int parts) { return time_rival(r, &rival_urcu, threads, parts); }
#endif

const row rows_rivals[] = {
#if BENCH_TBB
    {"tbb_mixed", time_tbb, rival_mixed, "ns_per_key", THREADS_MAX},
    {"tbb_half", time_tbb, rival_mixed, "ns_per_key", THREADS_MAX},
    {"tbb_writes", time_tbb, rival_mixed, "ns_per_key", THREADS_MAX},
#endif
#if BENCH_URCU
    {"urcu_mixed", time_urcu, rival_mixed, "ns_per_key", THREADS_MAX},
    {"urcu_half", time_urcu, rival_mixed, "ns_per_key", THREADS_MAX},
    {"urcu_writes", time_urcu, rival_mixed, "ns_per_key", THREADS_MAX},
#endif
    {NULL, NULL, NULL, NULL, 0},
};
