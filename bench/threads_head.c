/* Single figures of bench_threads: what heads and replaceable maps cost by themselves. */
#include "bench_threads.h"

enum { WRITERS = 64, OTHERS = 10000, TIMES = 2000 };

/* ---- a writer that can be observed ---- */

static double insert_all(pm_wz *w) {
    double start = clock_ns();
    for (size_t i = 0; i < in_order.n; i++) {
        pm_rz_move_to(pm_wz_cursor(w), in_order.key[i].data, in_order.key[i].len);
        must(pm_wz_set(w, in_order.val[i], NULL));
    }
    return (clock_ns() - start) / (double)in_order.n;
}

static void check_all(const char *op, pm_map *m) {
    slice all = {0, in_order.n};
    good(has_count(m, in_order.n) && has_keys(m, "part/0/", 7, &in_order, all), op, "keys are missing, or wrong");
    pm_drop(m);
}

static double write_plain(void) {
    pm_map m = pm_new(NULL, NULL);
    pm_wz w;
    must(pm_wz_open(&m, "part/0/", 7, &w));
    double ns = insert_all(&w);
    must(pm_wz_drop(&w));
    check_all("plain_write", &m);
    return ns;
}

static double write_observed(void) {
    pm_map m = pm_new(NULL, NULL);
    pm_head *h;
    pm_wz w;
    must(pm_head_new(&m, &h));
    must(pm_head_write(h, "part/0/", 7, &w, NULL));
    double ns = insert_all(&w);
    must(pm_wz_drop(&w));
    must(pm_head_free(h, NULL, NULL));
    check_all("observed_write", &m);
    return ns;
}

static void measure_observed(void) {
    bench_samples plain = {{0}, 0}, seen = {{0}, 0}, ratio = {{0}, 0};
    for (int r = 0; r < set.runs * 3; r++) {
        double a, b;
        if (r % 2) a = write_plain(), b = write_observed();
        else b = write_observed(), a = write_plain();
        bench_sample(&plain, a);
        bench_sample(&seen, b);
        bench_sample(&ratio, b / a);
    }
    emit_samples("plain_write", "ns_per_key", &plain);
    emit_samples("observed_write", "ns_per_key", &seen);
    emit_samples("observed_write", "ratio", &ratio);
}

/* ---- snapshots ---- */

static pm_wz writer[OTHERS];

static size_t writer_path(char *path, int i) { return (size_t)sprintf(path, "\xfewriter/%02d/", i); }

static double make_snapshots(pm_head *h) {
    double start = clock_ns();
    for (int i = 0; i < TIMES; i++) {
        pm_rz z;
        must(pm_head_read(h, NULL, 0, &z));
        pm_rz_drop(&z);
    }
    return (clock_ns() - start) / TIMES;
}

/* Makes each snapshot after a write by some of the writers, and looks for the last of these writes in it. */
static double snapshot_changes(pm_head *h, int changed, bool *ok) {
    double ns = 0;
    for (int t = 0; t < TIMES / 4; t++) {
        char path[32];
        pm_rz z;
        for (int i = 0; i < changed; i++) {
            pm_rz_reset(pm_wz_cursor(&writer[i]));
            must(pm_wz_set(&writer[i], (pm_val)t, NULL));
        }
        double start = clock_ns();
        must(pm_head_read(h, NULL, 0, &z));
        ns += clock_ns() - start;
        const pm_val *v = pm_rz_val_at(&z, path, writer_path(path, changed - 1));
        *ok = *ok && v && *v == (pm_val)t;
        pm_rz_drop(&z);
    }
    return ns / (TIMES / 4);
}

static void measure_snapshots_beside(int writers) {
    pm_map m = pm_clone(&filled);
    pm_head *h;
    bench_samples ns = {{0}, 0};
    char path[32], name[48];
    bool ok = true;
    must(pm_head_new(&m, &h));
    for (int i = 0; i < writers; i++) {
        must(pm_head_write(h, path, writer_path(path, i), &writer[i], NULL));
        for (size_t k = 0; k < 100 && k < in_order.n; k++) {
            pm_rz_move_to(pm_wz_cursor(&writer[i]), in_order.key[k].data, in_order.key[k].len);
            must(pm_wz_set(&writer[i], in_order.val[k], NULL));
        }
    }
    for (int r = 0; r < set.runs; r++) bench_sample(&ns, make_snapshots(h));
    snprintf(name, sizeof name, "snapshot_beside_%d", writers);
    emit_samples(name, "ns_per_op", &ns);
    for (int changed = 1; changed <= writers; changed += writers - 1) {
        bench_samples late = {{0}, 0};
        for (int r = 0; r < set.runs; r++) bench_sample(&late, snapshot_changes(h, changed, &ok));
        snprintf(name, sizeof name, "snapshot_of_%d_changed", changed);
        emit_samples(name, "ns_per_op", &late);
    }
    good(ok, "snapshot", "a write is missing");
    for (int i = 0; i < writers; i++) must(pm_wz_drop(&writer[i]));
    must(pm_head_free(h, NULL, NULL));
    pm_drop(&m);
}

static void measure_snapshots(void) {
    measure_snapshots_beside(0);
    measure_snapshots_beside(WRITERS);
}

/* ---- claims ---- */

static double claim_and_close(pm_head *h) {
    char path[32];
    double start = clock_ns();
    for (int i = 0; i < TIMES; i++) {
        pm_wz mine;
        must(pm_head_write(h, path, (size_t)sprintf(path, "claims/%05d/mine", i), &mine, NULL));
        must(pm_wz_drop(&mine));
    }
    return (clock_ns() - start) / TIMES;
}

static void measure_claims_beside(int others) {
    pm_map m = pm_new(NULL, NULL);
    pm_head *h;
    pm_wz refused;
    bench_samples ns = {{0}, 0};
    char path[32], name[32];
    must(pm_head_new(&m, &h));
    for (int i = 0; i < others; i++)
        must(pm_head_write(h, path, (size_t)sprintf(path, "claims/%05d/other", i), &writer[i], NULL));
    for (int r = 0; r < set.runs; r++) bench_sample(&ns, claim_and_close(h));
    snprintf(name, sizeof name, "claim_beside_%d", others);
    emit_samples(name, "ns_per_op", &ns);
    good(pm_head_write(h, path, (size_t)sprintf(path, "claims/%05d", others / 2), &refused, NULL) == PM_CONFLICT,
         name, "an overlapping claim was granted");
    for (int i = 0; i < others; i++) must(pm_wz_drop(&writer[i]));
    must(pm_head_free(h, NULL, NULL));
    good(pm_is_empty(&m), name, "something was left behind");
    pm_drop(&m);
}

static void measure_claims(void) {
    measure_claims_beside(10);
    measure_claims_beside(OTHERS);
}

/* ---- a reader that is requested while a writer is inside of a long call ---- */

typedef struct long_call {
    pm_wz w;
    pm_rz src;
    atomic_bool begun;
    double ns;
} long_call;

static void *join_all(void *arg) {
    long_call *c = arg;
    atomic_store(&c->begun, true);
    double start = (double)bench_now();
    must(pm_wz_join(&c->w, &c->src, NULL));
    c->ns = (double)bench_now() - start;
    return NULL;
}

/* Joins one half of the keys into the other through a writer at "join/", and meanwhile requests readers: at "else/",
   where nobody writes, and then at the root, which waits for the call. By wall clock: what is measured is waiting. */
static void measure_beside_join(void) {
    bench_samples apart = {{0}, 0}, above = {{0}, 0}, call = {{0}, 0};
    bool whole = true;
    for (int r = 0; r < set.runs; r++) {
        pm_map halves[2] = {pm_new(NULL, NULL), pm_new(NULL, NULL)}, m = pm_new(NULL, NULL);
        pm_head *h;
        pm_rz z;
        pthread_t thread;
        long_call c = {.begun = false};
        for (size_t i = 0; i < in_order.n; i++)
            must(pm_set(&halves[i % 2], in_order.key[i].data, in_order.key[i].len, in_order.val[i], NULL));
        must(pm_head_new(&m, &h));
        must(pm_head_write(h, "join/", 5, &c.w, NULL));
        must(pm_wz_graft_map_move(&c.w, &halves[0]));
        must(pm_rz_open(&halves[1], NULL, 0, &c.src));
        if (pthread_create(&thread, NULL, join_all, &c)) must(PM_NOMEM);
        while (!atomic_load(&c.begun)) sched_yield();
        double start = (double)bench_now();
        must(pm_head_read(h, "else/", 5, &z));
        bench_sample(&apart, (double)bench_now() - start);
        pm_rz_drop(&z);
        start = (double)bench_now();
        must(pm_head_read(h, NULL, 0, &z));
        bench_sample(&above, ((double)bench_now() - start) / 1e6);
        uint64_t n = 0;
        must(pm_rz_val_count(&z, &n));
        whole = whole && (n == in_order.n || n == (in_order.n + 1) / 2); /* before the call, or after it */
        pm_rz_drop(&z);
        pthread_join(thread, NULL);
        bench_sample(&call, c.ns / 1e6);
        pm_rz_drop(&c.src);
        must(pm_wz_drop(&c.w));
        must(pm_head_free(h, NULL, NULL));
        pm_drop(&m);
        pm_drop(&halves[1]);
    }
    emit_samples("read_beside_join_elsewhere", "ns_per_op", &apart);
    emit_samples("read_beside_join_at_root", "ms_per_op", &above);
    emit_samples("the_join", "ms_per_op", &call);
    good(whole, "beside_join", "a reader shows a part of a call");
}

/* ---- the replaceable map ---- */

static void measure_store(void) {
    bench_samples store = {{0}, 0};
    pm_map none = pm_new(NULL, NULL), last = none;
    pm_shared *shared;
    bool same = false;
    must(pm_shared_new(&none, &shared));
    for (int r = 0; r < set.runs; r++) {
        double start = clock_ns();
        for (int i = 0; i < TIMES; i++) must(pm_shared_store(shared, &filled));
        bench_sample(&store, (clock_ns() - start) / TIMES);
    }
    emit_samples("shared_store", "ns_per_op", &store);
    last = pm_shared_load(shared);
    must(pm_equal(&last, &filled, &same));
    good(same, "shared_store", "another map");
    pm_drop(&last);
    pm_shared_free(shared);
}

const single singles[] = {
    {"observed_write", measure_observed},
    {"snapshot", measure_snapshots},
    {"claims", measure_claims},
    {"beside_join", measure_beside_join},
    {"shared_store", measure_store},
    {NULL, NULL},
};
