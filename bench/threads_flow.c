/* Rows of bench_threads: threads that hand work on to others. */
#include "bench_threads.h"

enum { BATCH = 256, ROOM = 64, TASK_KEYS = 128 };

static size_t batches(void) { return (in_order.n + BATCH - 1) / BATCH; }

static slice keys_of_batch(size_t b) {
    slice s = {b * BATCH, (b + 1) * BATCH < in_order.n ? (b + 1) * BATCH : in_order.n};
    return s;
}

/* ---- producers and consumers ---- */

/* A bounded queue of maps. */
static struct {
    pthread_mutex_t mutex;
    pthread_cond_t filled, emptied;
    pm_map map[ROOM];
    size_t first, n;
    int producers; /* that may still put something in */
} queue = {.mutex = PTHREAD_MUTEX_INITIALIZER, .filled = PTHREAD_COND_INITIALIZER, .emptied = PTHREAD_COND_INITIALIZER};

static void put(pm_map m) {
    pthread_mutex_lock(&queue.mutex);
    while (queue.n == ROOM) pthread_cond_wait(&queue.emptied, &queue.mutex);
    queue.map[(queue.first + queue.n++) % ROOM] = m;
    pthread_cond_signal(&queue.filled);
    pthread_mutex_unlock(&queue.mutex);
}

/* False when nothing will come any more. */
static bool take(pm_map *m) {
    pthread_mutex_lock(&queue.mutex);
    while (queue.n == 0 && queue.producers) pthread_cond_wait(&queue.filled, &queue.mutex);
    bool some = queue.n != 0;
    if (some) {
        *m = queue.map[queue.first++ % ROOM];
        queue.n--;
        pthread_cond_signal(&queue.emptied);
    }
    pthread_mutex_unlock(&queue.mutex);
    return some;
}

static void producer_ends(void) {
    pthread_mutex_lock(&queue.mutex);
    queue.producers--;
    pthread_cond_broadcast(&queue.filled);
    pthread_mutex_unlock(&queue.mutex);
}

static pm_map make_batch(size_t b) {
    pm_map m = pm_new(NULL, NULL);
    slice s = keys_of_batch(b);
    for (size_t i = s.first; i < s.end; i++)
        must(pm_set(&m, in_order.key[i].data, in_order.key[i].len, in_order.val[i], NULL));
    return m;
}

static pm_map collected[THREADS_MAX];

/* Nodes are made by one thread and freed by another, which is what allocators like least. */
static void consume(pm_map *to, pm_map *batch) {
    pm_iter i = pm_iter_vals(batch);
    while (pm_iter_next(&i)) must(pm_set(to, i.key, i.len, *i.val, NULL));
    must(pm_iter_status(&i));
    pm_drop(batch);
}

static void pipeline(worker *w) {
    int producers = w->threads / 2;
    pm_map m;
    if (w->threads == 1) {
        for (size_t b = 0; b < batches(); b++) {
            put(make_batch(b));
            if (take(&m)) consume(&collected[0], &m);
        }
    } else if (w->number < producers) {
        for (size_t b = (size_t)w->number; b < batches(); b += (size_t)producers) put(make_batch(b));
        producer_ends();
    } else {
        while (take(&m)) consume(&collected[w->number], &m);
    }
}

static double time_pipeline(const row *r, int threads, int parts) {
    slice all = {0, in_order.n};
    memset(collected, 0, sizeof collected);
    queue.first = queue.n = 0;
    queue.producers = threads == 1 ? 1 : threads / 2;
    double ns = run_workers(threads, parts, r->fn, true);
    for (int i = 1; i < threads; i++) {
        pm_map both = pm_new(NULL, NULL);
        must(pm_join(&collected[0], &collected[i], &both, NULL));
        pm_drop(&collected[0]);
        pm_drop(&collected[i]);
        collected[0] = both;
    }
    good(has_count(&collected[0], in_order.n) && has_keys(&collected[0], NULL, 0, &in_order, all), r->name,
         "keys are missing, or wrong");
    pm_drop(&collected[0]);
    return ns / (double)in_order.n;
}

/* ---- workers ---- */

static struct {
    pthread_mutex_t mutex;
    size_t next; /* task */
} tasks = {PTHREAD_MUTEX_INITIALIZER, 0};

static slice next_task(void) {
    pthread_mutex_lock(&tasks.mutex);
    size_t first = tasks.next;
    tasks.next = first + TASK_KEYS < in_order.n ? first + TASK_KEYS : in_order.n;
    slice s = {first, tasks.next};
    pthread_mutex_unlock(&tasks.mutex);
    return s;
}

/* How many keys begin with each three bytes. */
static void count_beginnings(worker *w) {
    pm_map *m = &collected[w->number];
    for (slice s = next_task(); s.first < s.end; s = next_task())
        for (size_t i = s.first; i < s.end; i++) {
            const bench_key *k = &in_order.key[i];
            pm_val *count;
            bool inserted;
            must(pm_get_or_set(m, k->data, k->len < 3 ? k->len : 3, 0, &count, &inserted));
            ++*count;
        }
}

static double time_workers(const row *r, int threads, int parts) {
    const pm_map *all[THREADS_MAX];
    pm_map total = pm_new(pm_ops_sum(), NULL);
    uint64_t sum = 0;
    for (int i = 0; i < threads; i++) {
        collected[i] = pm_new(pm_ops_sum(), NULL);
        all[i] = &collected[i];
    }
    tasks.next = 0;
    double ns = run_workers(threads, parts, r->fn, true);
    double start = clock_ns();
    must(pm_join_many(all, (size_t)threads, &total, NULL));
    ns += clock_ns() - start;
    pm_iter i = pm_iter_vals(&total);
    while (pm_iter_next(&i)) sum += *i.val;
    must(pm_iter_status(&i));
    good(sum == in_order.n, r->name, "another number of keys");
    pm_drop(&total);
    for (int t = 0; t < threads; t++) pm_drop(&collected[t]);
    return ns / (double)in_order.n;
}

const row rows_flow[] = {
    {"pipeline", time_pipeline, pipeline, "ns_per_key", WRITERS_MAX},
    {"workers", time_workers, count_beginnings, "ns_per_key", WRITERS_MAX},
    {NULL, NULL, NULL, NULL, 0},
};
