/* Measures maps under threads on a key file.

       bench_threads --keys FILE --name DATASET [--ops a,b] [--runs 5] [--threads N] [--clock wall|cpu] [--pin]

   Every operation that has threads is measured with 1 thread and with N (default: 2), as NAME@1 and NAME@N, on the same
   work; `speedup` is the quotient, `efficiency` that divided by N. Times are wall time divided by the keys of all
   threads. With `--clock cpu` they are the process's processor time divided by keys and threads: what wall time would
   be if each thread had a core to itself, on machines that others keep busy. `--pin` binds thread i to core i.

       zipper_get       read zippers over one map, a part of the keys each
       map_get          pm_get on one map
       mutex_get        pm_get on one map behind a mutex;  rwlock_get: behind a read-write lock
       shared_get       a load of the replaceable map for every 64 lookups
       head_write       inserting through a head: one writer for each part, at a path of its own
       shard_write      inserting into a map of each thread's own
       head_mixed       head_write, while one more thread makes a snapshot after the other and reads in each
       clone_join       clone, insert 10% anew in each thread, join the results (ms per op)
       observed_write   the same inserts through a plain writer and through a head's, turn by turn: `ratio`
       snapshot         a reader at the root, made and dropped: beside no writer, beside 64 idle ones, and making one
       when 1 of them, or all, have written since the last one (ns per op)
       claims           a writer asked for and closed: with 10 others out, and with 10,000 (ns per op)
       shared_load      load and drop of the replaceable map;  shared_store: storing a version (ns per op) */
#define _GNU_SOURCE
#include "bench.h"

#include <pthread.h>
#include <sched.h>
#include <stdatomic.h>

#define PATHMAP_STATIC
#include "../pathmap.h"

enum { THREADS_MAX = 256, WRITERS = 64, OTHERS = 10000 };

typedef struct setting {
    const char *keys, *name, *ops;
    int runs, threads;
    bool cpu, pin;
} setting;

static setting set = {NULL, NULL, NULL, 5, 2, false, false};
static bench_list in_order, shuffled, fresh;
static pm_map filled; /* all keys */
static bool all_good = true;

static const char *engine(void) { return PATHMAP_SLIM_PTRS ? "pathmap-slim" : "pathmap-standard"; }

static void must(pm_status s) {
    if (s != PM_OK) bench_die(pm_status_text(s), NULL);
}

static void good(bool ok, const char *op, const char *why) {
    if (ok) return;
    bench_bad(engine(), set.name, op, why);
    all_good = false;
}

static double clock_ns(void) {
    struct timespec t;
    if (!set.cpu) return (double)bench_now();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

/* ---- threads ---- */

typedef struct part {
    void (*fn)(struct part *p);
    int number, threads;
    size_t first, end; /* of the keys */
    pm_rz reader;
    pm_wz writer;
    pm_map map;
    uint64_t sum;
    pthread_barrier_t *gate;
} part;

static part parts[THREADS_MAX];

static void *run_part(void *arg) {
    part *p = arg;
    if (set.pin) {
        cpu_set_t cores;
        CPU_ZERO(&cores);
        CPU_SET((unsigned)p->number % (unsigned)sysconf(_SC_NPROCESSORS_ONLN), &cores);
        sched_setaffinity(0, sizeof cores, &cores);
    }
    pthread_barrier_wait(p->gate);
    p->fn(p);
    pthread_barrier_wait(p->gate);
    return NULL;
}

static void share_out(int threads, size_t n, void (*fn)(part *p)) {
    for (int i = 0; i < threads; i++) {
        memset(&parts[i], 0, sizeof parts[i]);
        parts[i].fn = fn;
        parts[i].number = i;
        parts[i].threads = threads;
        parts[i].first = n * (size_t)i / (size_t)threads;
        parts[i].end = n * (size_t)(i + 1) / (size_t)threads;
    }
}

/* Runs what share_out prepared. Returns nanoseconds from the moment that all threads are ready until all are done. */
static double run_parts(int threads) {
    pthread_t t[THREADS_MAX];
    pthread_barrier_t gate;
    pthread_barrier_init(&gate, NULL, (unsigned)threads + 1);
    for (int i = 0; i < threads; i++) {
        parts[i].gate = &gate;
        if (pthread_create(&t[i], NULL, run_part, &parts[i])) bench_die("cannot start a thread", NULL);
    }
    pthread_barrier_wait(&gate);
    double start = clock_ns();
    pthread_barrier_wait(&gate);
    double ns = clock_ns() - start;
    for (int i = 0; i < threads; i++) pthread_join(t[i], NULL);
    pthread_barrier_destroy(&gate);
    return set.cpu ? ns / threads : ns;
}

/* ---- reading ---- */

static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pm_shared *shared;

static void zipper_get(part *p) {
    uint64_t sum = 0;
    for (size_t i = p->first; i < p->end; i++) {
        pm_rz_move_to(&p->reader, shuffled.key[i].data, shuffled.key[i].len);
        const pm_val *v = pm_rz_val(&p->reader);
        if (v) sum += *v;
    }
    p->sum = sum;
}

static void map_get(part *p) {
    uint64_t sum = 0;
    for (size_t i = p->first; i < p->end; i++) {
        const pm_val *v = pm_get(&filled, shuffled.key[i].data, shuffled.key[i].len);
        if (v) sum += *v;
    }
    p->sum = sum;
}

static void mutex_get(part *p) {
    uint64_t sum = 0;
    for (size_t i = p->first; i < p->end; i++) {
        pthread_mutex_lock(&mutex);
        const pm_val *v = pm_get(&filled, shuffled.key[i].data, shuffled.key[i].len);
        if (v) sum += *v;
        pthread_mutex_unlock(&mutex);
    }
    p->sum = sum;
}

static void rwlock_get(part *p) {
    uint64_t sum = 0;
    for (size_t i = p->first; i < p->end; i++) {
        pthread_rwlock_rdlock(&rwlock);
        const pm_val *v = pm_get(&filled, shuffled.key[i].data, shuffled.key[i].len);
        if (v) sum += *v;
        pthread_rwlock_unlock(&rwlock);
    }
    p->sum = sum;
}

static void shared_get(part *p) {
    uint64_t sum = 0;
    for (size_t i = p->first; i < p->end;) {
        pm_map m = pm_shared_load(shared);
        for (size_t stop = i + 64 < p->end ? i + 64 : p->end; i < stop; i++) {
            const pm_val *v = pm_get(&m, shuffled.key[i].data, shuffled.key[i].len);
            if (v) sum += *v;
        }
        pm_drop(&m);
    }
    p->sum = sum;
}

static double time_reads(const char *op, void (*fn)(part *p), int threads) {
    uint64_t sum = 0, want = (uint64_t)shuffled.n * (shuffled.n - 1) / 2;
    share_out(threads, shuffled.n, fn);
    for (int i = 0; i < threads; i++) must(pm_rz_open(&parts[i].reader, &filled, NULL, 0));
    double ns = run_parts(threads);
    for (int i = 0; i < threads; i++) {
        sum += parts[i].sum;
        pm_rz_drop(&parts[i].reader);
    }
    good(sum == want, op, "wrong values");
    return ns / (double)shuffled.n;
}

/* ---- writing ---- */

static pm_head *head;

/* There are as many places to write to as threads in the larger run, however many threads there are. */
static size_t place_of(char *path, int number) { return (size_t)sprintf(path, "part/%d/", number); }

static void insert_keys(pm_wz *w, size_t first, size_t end) {
    pm_status s = PM_OK;
    for (size_t i = first; i < end && s == PM_OK; i++) {
        pm_rz_move_to(pm_wz_cursor(w), in_order.key[i].data, in_order.key[i].len);
        s = pm_wz_set(w, in_order.val[i], NULL);
    }
    must(s);
}

static void head_write(part *p) {
    for (int k = p->number; k < set.threads; k += p->threads) {
        char path[32];
        pm_wz w;
        must(pm_head_write(head, path, place_of(path, k), &w, NULL));
        insert_keys(&w, in_order.n * (size_t)k / (size_t)set.threads,
                    in_order.n * (size_t)(k + 1) / (size_t)set.threads);
        must(pm_wz_close(&w));
    }
}

static void shard_write(part *p) {
    for (int k = p->number; k < set.threads; k += p->threads) {
        pm_map m = pm_new(NULL, NULL);
        pm_wz w;
        must(pm_wz_open(&w, &m, NULL, 0));
        insert_keys(&w, in_order.n * (size_t)k / (size_t)set.threads,
                    in_order.n * (size_t)(k + 1) / (size_t)set.threads);
        must(pm_wz_close(&w));
        p->sum += m.root != 0;
        pm_drop(&m);
    }
}

static double time_head_write(const char *op, void (*fn)(part *p), int threads) {
    pm_map m = pm_new(NULL, NULL);
    uint64_t n = 0;
    must(pm_head_new(&m, &head));
    share_out(threads, in_order.n, fn);
    double ns = run_parts(threads);
    must(pm_head_close(head, NULL, NULL));
    must(pm_val_count(&m, &n));
    good(n == in_order.n, op, "keys are missing");
    pm_drop(&m);
    return ns / (double)in_order.n;
}

static double time_shard_write(const char *op, void (*fn)(part *p), int threads) {
    (void)op;
    share_out(threads, in_order.n, fn);
    return run_parts(threads) / (double)in_order.n;
}

static atomic_bool writing;

static void *read_beside(void *arg) {
    uint64_t *snapshots = arg, found = 0;
    while (atomic_load(&writing)) {
        pm_rz z;
        must(pm_head_read(head, NULL, 0, &z));
        for (int i = 0; i < 1000 && pm_rz_to_next_val(&z); i++) found++;
        pm_rz_drop(&z);
        ++*snapshots;
    }
    return found ? arg : NULL;
}

static double time_head_mixed(const char *op, void (*fn)(part *p), int threads) {
    pm_map m = pm_new(NULL, NULL);
    pthread_t reader;
    uint64_t snapshots = 0, n = 0;
    must(pm_head_new(&m, &head));
    share_out(threads, in_order.n, fn);
    atomic_store(&writing, true);
    if (pthread_create(&reader, NULL, read_beside, &snapshots)) bench_die("cannot start a thread", NULL);
    double ns = run_parts(threads);
    atomic_store(&writing, false);
    pthread_join(reader, NULL);
    must(pm_head_close(head, NULL, NULL));
    must(pm_val_count(&m, &n));
    good(n == in_order.n, op, "keys are missing");
    pm_drop(&m);
    bench_emit(engine(), set.name, op, threads == 1 ? "snapshots@1" : "snapshots@N", (double)snapshots);
    return ns / (double)in_order.n;
}

/* ---- clone, change, join ---- */

static void change_clone(part *p) {
    p->map = pm_clone(&filled);
    for (size_t i = p->first; i < p->end; i++)
        must(pm_set(&p->map, fresh.key[i].data, fresh.key[i].len, fresh.val[i], NULL));
}

/* As many clones as threads in the larger run, each with a tenth of the keys anew. */
static double time_clone_join(const char *op, void (*fn)(part *p), int threads) {
    int clones = set.threads;
    pm_map result[THREADS_MAX];
    uint64_t n = 0;
    double ns = 0;
    for (int done = 0; done < clones; done += threads) {
        share_out(clones, fresh.n, fn);
        int now = threads < clones - done ? threads : clones - done;
        memmove(parts, parts + done, (size_t)now * sizeof *parts);
        ns += run_parts(now);
        for (int i = 0; i < now; i++) result[done + i] = parts[i].map;
    }
    double start = clock_ns();
    for (int width = 1; width < clones; width *= 2)
        for (int i = 0; i + width < clones; i += 2 * width) {
            pm_map both;
            must(pm_join(&result[i], &result[i + width], &both, NULL));
            pm_drop(&result[i]);
            pm_drop(&result[i + width]);
            result[i] = both;
        }
    ns += clock_ns() - start;
    must(pm_val_count(&result[0], &n));
    good(n == in_order.n + fresh.n, op, "keys are missing");
    pm_drop(&result[0]);
    return ns;
}

/* ---- operations with and without company ---- */

typedef struct scaled {
    const char *name;
    double (*time)(const char *op, void (*fn)(part *p), int threads);
    void (*fn)(part *p);
    const char *unit;
    double scale;
} scaled;

static const scaled scaled_ops[] = {
    {"zipper_get", time_reads, zipper_get, "ns_per_key", 1},
    {"map_get", time_reads, map_get, "ns_per_key", 1},
    {"mutex_get", time_reads, mutex_get, "ns_per_key", 1},
    {"rwlock_get", time_reads, rwlock_get, "ns_per_key", 1},
    {"shared_get", time_reads, shared_get, "ns_per_key", 1},
    {"head_write", time_head_write, head_write, "ns_per_key", 1},
    {"shard_write", time_shard_write, shard_write, "ns_per_key", 1},
    {"head_mixed", time_head_mixed, head_write, "ns_per_key", 1},
    {"clone_join", time_clone_join, change_clone, "ms_per_op", 1e-6},
};

/* One thread and many, turn by turn, so that both see the same machine. */
static void measure_scaled(const scaled *o) {
    bench_samples one = {{0}, 0}, many = {{0}, 0};
    char name[64];
    for (int r = 0; r < set.runs; r++) {
        bench_sample(&one, o->scale * o->time(o->name, o->fn, 1));
        if (set.threads > 1) bench_sample(&many, o->scale * o->time(o->name, o->fn, set.threads));
    }
    snprintf(name, sizeof name, "%s@1", o->name);
    bench_emit_samples(engine(), set.name, name, o->unit, &one);
    snprintf(name, sizeof name, "%s@%d", o->name, set.threads);
    bench_emit_samples(engine(), set.name, name, o->unit, &many);
    if (!many.n) return;
    double speedup = one.v[0] / many.v[0]; /* sorted by now: of the best runs */
    bench_emit(engine(), set.name, name, "speedup", speedup);
    bench_emit(engine(), set.name, name, "efficiency", speedup / set.threads);
}

static double write_plain(void) {
    pm_map m = pm_new(NULL, NULL);
    pm_wz w;
    must(pm_wz_open(&w, &m, "part/0/", 7));
    double start = clock_ns();
    insert_keys(&w, 0, in_order.n);
    double ns = clock_ns() - start;
    must(pm_wz_close(&w));
    pm_drop(&m);
    return ns / (double)in_order.n;
}

static double write_observed(void) {
    pm_map m = pm_new(NULL, NULL);
    pm_head *h;
    pm_wz w;
    must(pm_head_new(&m, &h));
    must(pm_head_write(h, "part/0/", 7, &w, NULL));
    double start = clock_ns();
    insert_keys(&w, 0, in_order.n);
    double ns = clock_ns() - start;
    must(pm_wz_close(&w));
    must(pm_head_close(h, NULL, NULL));
    pm_drop(&m);
    return ns / (double)in_order.n;
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
    bench_emit_samples(engine(), set.name, "plain_write", "ns_per_key", &plain);
    bench_emit_samples(engine(), set.name, "observed_write", "ns_per_key", &seen);
    bench_emit(engine(), set.name, "observed_write", "ratio_of_min", seen.v[0] / plain.v[0]);
    bench_emit_samples(engine(), set.name, "observed_write", "ratio", &ratio);
}

/* The time of a snapshot, each after a write by some of the writers. */
static double snapshot_of_changed(pm_head *h, pm_wz *w, int changed) {
    enum { TIMES = 500 };
    double ns = 0;
    for (int t = 0; t < TIMES; t++) {
        pm_rz z;
        for (int i = 0; i < changed; i++) must(pm_wz_set(&w[i], (pm_val)t, NULL));
        double start = clock_ns();
        must(pm_head_read(h, NULL, 0, &z));
        ns += clock_ns() - start;
        pm_rz_drop(&z);
    }
    return ns / TIMES;
}

/* Readers at the root, made and dropped, while `writers` writers have written and do nothing. */
static void measure_snapshots(int writers) {
    static pm_wz w[WRITERS];
    pm_map m = pm_clone(&filled);
    pm_head *h;
    bench_samples ns = {{0}, 0};
    char path[32], name[32];
    must(pm_head_new(&m, &h));
    for (int i = 0; i < writers; i++) {
        must(pm_head_write(h, path, (size_t)sprintf(path, "writer/%02d/", i), &w[i], NULL));
        insert_keys(&w[i], 0, in_order.n < 100 ? in_order.n : 100);
    }
    for (int r = 0; r < set.runs; r++) {
        enum { TIMES = 2000 };
        double start = clock_ns();
        for (int i = 0; i < TIMES; i++) {
            pm_rz z;
            must(pm_head_read(h, NULL, 0, &z));
            pm_rz_drop(&z);
        }
        bench_sample(&ns, (clock_ns() - start) / TIMES);
    }
    snprintf(name, sizeof name, "snapshot_beside_%d", writers);
    bench_emit_samples(engine(), set.name, name, "ns_per_op", &ns);
    for (int changed = 1; changed <= writers; changed += writers - 1) {
        bench_samples late = {{0}, 0};
        for (int r = 0; r < set.runs; r++) bench_sample(&late, snapshot_of_changed(h, w, changed));
        snprintf(name, sizeof name, "snapshot_of_%d_changed", changed);
        bench_emit_samples(engine(), set.name, name, "ns_per_op", &late);
    }
    for (int i = 0; i < writers; i++) must(pm_wz_close(&w[i]));
    must(pm_head_close(h, NULL, NULL));
    pm_drop(&m);
}

/* A writer asked for and closed while others are out. */
static void measure_claims(int others) {
    static pm_wz w[OTHERS];
    pm_map m = pm_new(NULL, NULL);
    pm_head *h;
    bench_samples ns = {{0}, 0};
    char path[32], name[32];
    must(pm_head_new(&m, &h));
    for (int i = 0; i < others; i++)
        must(pm_head_write(h, path, (size_t)sprintf(path, "claims/%05d/other", i), &w[i], NULL));
    for (int r = 0; r < set.runs; r++) {
        enum { TIMES = 2000 };
        double start = clock_ns();
        for (int i = 0; i < TIMES; i++) {
            pm_wz mine;
            must(pm_head_write(h, path, (size_t)sprintf(path, "claims/%05d/mine", i), &mine, NULL));
            must(pm_wz_close(&mine));
        }
        bench_sample(&ns, (clock_ns() - start) / TIMES);
    }
    for (int i = 0; i < others; i++) must(pm_wz_close(&w[i]));
    must(pm_head_close(h, NULL, NULL));
    pm_drop(&m);
    snprintf(name, sizeof name, "claim_beside_%d", others);
    bench_emit_samples(engine(), set.name, name, "ns_per_op", &ns);
}

static void measure_shared(void) {
    bench_samples load = {{0}, 0}, store = {{0}, 0};
    for (int r = 0; r < set.runs; r++) {
        enum { TIMES = 100000 };
        double start = clock_ns();
        for (int i = 0; i < TIMES; i++) {
            pm_map m = pm_shared_load(shared);
            pm_drop(&m);
        }
        bench_sample(&load, (clock_ns() - start) / TIMES);
        start = clock_ns();
        for (int i = 0; i < TIMES; i++) must(pm_shared_store(shared, &filled));
        bench_sample(&store, (clock_ns() - start) / TIMES);
    }
    bench_emit_samples(engine(), set.name, "shared_load", "ns_per_op", &load);
    bench_emit_samples(engine(), set.name, "shared_store", "ns_per_op", &store);
}

/* ---- the program ---- */

static bool wanted(const char *op) {
    size_t n = strlen(op);
    if (!set.ops) return true;
    for (const char *p = set.ops; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (strncmp(p, op, n) == 0 && (p[n] == 0 || p[n] == ',')) return true;
    return false;
}

static bool parse(int argc, char **argv) {
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(a, "--pin") == 0) {
            set.pin = true;
            continue;
        }
        if (!v) return false;
        if (strcmp(a, "--keys") == 0) set.keys = v;
        else if (strcmp(a, "--name") == 0) set.name = v;
        else if (strcmp(a, "--ops") == 0) set.ops = v;
        else if (strcmp(a, "--runs") == 0) set.runs = atoi(v);
        else if (strcmp(a, "--threads") == 0) set.threads = atoi(v);
        else if (strcmp(a, "--clock") == 0) set.cpu = strcmp(v, "cpu") == 0;
        else return false;
        i++;
    }
    return set.keys && set.name && set.runs > 0 && set.runs <= 40 && set.threads > 0 && set.threads <= THREADS_MAX;
}

/* Keys that are not in the file: every tenth one, with more to it. */
static bench_list make_fresh(void) {
    size_t n = in_order.n / 10 * (size_t)set.threads, bytes = 0;
    for (size_t i = 0; i < n; i++) bytes += in_order.key[i % in_order.n].len + 16;
    bench_list l = bench_list_new(n, bytes);
    for (size_t i = 0; i < n; i++) {
        const bench_key *k = &in_order.key[(i * 10 + 7) % in_order.n];
        uint8_t key[4096];
        size_t len = k->len < sizeof key - 16 ? k->len : sizeof key - 16;
        memcpy(key, k->data, len);
        len += (size_t)sprintf((char *)key + len, "\xff%zx", i);
        bench_list_add(&l, key, len, i);
    }
    return l;
}

int main(int argc, char **argv) {
    if (!parse(argc, argv)) {
        fputs("usage: bench_threads --keys FILE --name DATASET [--ops a,b] [--runs N] [--threads N]\n"
              "           [--clock wall|cpu] [--pin]\n", stderr);
        return 2;
    }
    bench_describe("bench_threads");
    printf("# threads %d, clock %s%s\n", set.threads, set.cpu ? "cpu" : "wall", set.pin ? ", pinned" : "");
    in_order = bench_load(set.keys);
    size_t *order = bench_alloc(in_order.n * sizeof *order);
    bench_shuffle(order, in_order.n, BENCH_SEED);
    shuffled = bench_list_reorder(&in_order, order);
    fresh = make_fresh();
    filled = pm_new(NULL, NULL);
    for (size_t i = 0; i < in_order.n; i++)
        must(pm_set(&filled, in_order.key[i].data, in_order.key[i].len, in_order.val[i], NULL));
    must(pm_shared_new(&filled, &shared));
    for (size_t i = 0; i < sizeof scaled_ops / sizeof *scaled_ops; i++)
        if (wanted(scaled_ops[i].name)) measure_scaled(&scaled_ops[i]);
    if (wanted("observed_write")) measure_observed();
    if (wanted("snapshot")) measure_snapshots(0), measure_snapshots(WRITERS);
    if (wanted("claims")) measure_claims(10), measure_claims(OTHERS);
    if (wanted("shared_load")) measure_shared();
    pm_shared_free(shared);
    pm_drop(&filled);
    bench_list_free(&in_order);
    bench_list_free(&shuffled);
    bench_list_free(&fresh);
    free(order);
    return all_good ? 0 : 1;
}
