/* Rows of bench_threads: many readers, nobody writes. */
#include "bench_threads.h"

enum { BATCH = 64, TIMES = 65536 };

static const pm_map *source; /* the parted map */
static size_t nkeys;         /* of `shuffled` are looked up */
static pm_shared *shared;
static pm_head *head;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;

/* ---- lookups ---- */

static uint64_t get(const pm_map *m, size_t i) {
    const pm_val *v = pm_get(m, shuffled.key[i].data, shuffled.key[i].len);
    return v ? *v : UINT32_MAX;
}

static uint64_t get_through(pm_rz *z, size_t first, size_t end) {
    uint64_t sum = 0;
    for (size_t i = first; i < end; i++) {
        pm_rz_move_to(z, shuffled.key[i].data, shuffled.key[i].len);
        const pm_val *v = pm_rz_val(z);
        sum += v ? *v : UINT32_MAX;
    }
    return sum;
}

static void zipper_get(worker *w) {
    FOR_PARTS(k, w) {
        uint8_t path[2] = {'i', (uint8_t)k};
        slice s = slice_of(nkeys, k, w->parts);
        pm_rz z;
        must(pm_rz_open(source, path, sizeof path, &z));
        w->sum += get_through(&z, s.first, s.end);
        pm_rz_drop(&z);
    }
}

static void map_get(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(nkeys, k, w->parts);
        for (size_t i = s.first; i < s.end; i++) w->sum += get(&filled, i);
    }
}

static void mutex_get(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(nkeys, k, w->parts);
        for (size_t i = s.first; i < s.end; i++) {
            pthread_mutex_lock(&mutex);
            w->sum += get(&filled, i);
            pthread_mutex_unlock(&mutex);
        }
    }
}

static void rwlock_get(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(nkeys, k, w->parts);
        for (size_t i = s.first; i < s.end; i++) {
            pthread_rwlock_rdlock(&rwlock);
            w->sum += get(&filled, i);
            pthread_rwlock_unlock(&rwlock);
        }
    }
}

static void shared_get(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(nkeys, k, w->parts);
        for (size_t i = s.first; i < s.end;) {
            pm_map m = pm_shared_load(shared);
            for (size_t stop = i + BATCH < s.end ? i + BATCH : s.end; i < stop; i++) w->sum += get(&m, i);
            pm_drop(&m);
        }
    }
}

static void snapshot_get(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(nkeys, k, w->parts);
        for (size_t i = s.first; i < s.end; i += BATCH) {
            pm_rz z;
            must(pm_head_read(head, NULL, 0, &z));
            w->sum += get_through(&z, i, i + BATCH < s.end ? i + BATCH : s.end);
            pm_rz_drop(&z);
        }
    }
}

static double time_gets(const row *r, int threads, int parts) {
    uint64_t want = 0;
    for (size_t i = 0; i < nkeys; i++) want += shuffled.val[i];
    double ns = run_workers(threads, parts, r->fn, false);
    good(workers_sum(threads) == want, r->name, "wrong values");
    return ns / (double)nkeys;
}

static double time_all_keys(const row *r, int threads, int parts) {
    nkeys = shuffled.n;
    return time_gets(r, threads, parts);
}

static double time_parted(const row *r, int threads, int parts) {
    source = data_parted(parts);
    return time_all_keys(r, threads, parts);
}

static double time_locked(const row *r, int threads, int parts) {
    nkeys = shuffled.n < LOCKED_KEYS ? shuffled.n : LOCKED_KEYS;
    return time_gets(r, threads, parts);
}

/* Runs one of the above, or of the below, while there is a replaceable map. */
static double with_shared(const row *r, int threads, int parts, double (*time)(const row *r, int threads, int parts)) {
    must(pm_shared_new(&filled, &shared));
    double t = time(r, threads, parts);
    pm_shared_free(shared);
    return t;
}

static double with_head(const row *r, int threads, int parts, double (*time)(const row *r, int threads, int parts)) {
    pm_map m = pm_clone(&filled);
    must(pm_head_new_move(&m, &head));
    double t = time(r, threads, parts);
    must(pm_head_free(head, NULL, NULL));
    return t;
}

static double time_shared(const row *r, int threads, int parts) {
    return with_shared(r, threads, parts, time_all_keys);
}

static double time_head(const row *r, int threads, int parts) {
    return with_head(r, threads, parts, time_all_keys);
}

/* ---- beginning to read, and ending ---- */

/* Threads that begin to read count the same reference up and down: this is where they meet. */
static void clone_drop(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(TIMES, k, w->parts);
        for (size_t i = s.first; i < s.end; i++) {
            pm_map m = pm_clone(&filled);
            w->sum += !pm_is_empty(&m);
            pm_drop(&m);
        }
    }
}

/* On a clone that each thread has made apart. */
static void apart_drop(worker *w) {
    pm_map apart;
    must(pm_clone_apart(&filled, &apart));
    FOR_PARTS(k, w) {
        slice s = slice_of(TIMES, k, w->parts);
        for (size_t i = s.first; i < s.end; i++) {
            pm_map m = pm_clone(&apart);
            w->sum += !pm_is_empty(&m);
            pm_drop(&m);
        }
    }
    pm_drop(&apart);
}

static void shared_refresh(worker *w) {
    pm_map m = pm_new(NULL, NULL);
    uint64_t seen = 0;
    FOR_PARTS(k, w) {
        slice s = slice_of(TIMES, k, w->parts);
        for (size_t i = s.first; i < s.end; i++) {
            (void)pm_shared_refresh(shared, &m, &seen);
            w->sum += !pm_is_empty(&m);
        }
    }
    pm_drop(&m);
}

static void shared_load(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(TIMES, k, w->parts);
        for (size_t i = s.first; i < s.end; i++) {
            pm_map m = pm_shared_load(shared);
            w->sum += !pm_is_empty(&m);
            pm_drop(&m);
        }
    }
}

static void head_read(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(TIMES, k, w->parts);
        for (size_t i = s.first; i < s.end; i++) {
            pm_rz z;
            must(pm_head_read(head, NULL, 0, &z));
            w->sum += pm_rz_exists(&z);
            pm_rz_drop(&z);
        }
    }
}

static double time_times(const row *r, int threads, int parts) {
    double ns = run_workers(threads, parts, r->fn, false);
    good(workers_sum(threads) == TIMES, r->name, "an empty map");
    return ns / TIMES;
}

static double time_loads(const row *r, int threads, int parts) { return with_shared(r, threads, parts, time_times); }
static double time_readers(const row *r, int threads, int parts) { return with_head(r, threads, parts, time_times); }

const row rows_reading[] = {
    {"zipper_get", time_parted, zipper_get, "ns_per_key", THREADS_MAX},
    {"map_get", time_all_keys, map_get, "ns_per_key", THREADS_MAX},
    {"mutex_get", time_locked, mutex_get, "ns_per_key", THREADS_MAX},
    {"rwlock_get", time_locked, rwlock_get, "ns_per_key", THREADS_MAX},
    {"shared_get", time_shared, shared_get, "ns_per_key", THREADS_MAX},
    {"snapshot_get", time_head, snapshot_get, "ns_per_key", THREADS_MAX},
    {"clone_drop", time_times, clone_drop, "ns_per_op", THREADS_MAX},
    {"apart_drop", time_times, apart_drop, "ns_per_op", THREADS_MAX},
    {"shared_refresh", time_loads, shared_refresh, "ns_per_op", THREADS_MAX},
    {"shared_load", time_loads, shared_load, "ns_per_op", THREADS_MAX},
    {"head_read", time_readers, head_read, "ns_per_op", THREADS_MAX},
    {NULL, NULL, NULL, NULL, 0},
};
