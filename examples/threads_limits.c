/* Limits: how many work at a time, how much memory they may take, and what to do when a limit is reached.

   When: requests come from outside, and neither their number nor their size is in the program's hand.
   Cost: a counter under a lock for each request; a pool of its own for what requests may fill. Its budget is looked at
   when the pool takes another chunk, not at each allocation.

   Three limits, each with an answer of its own:

   - *How many at a time.* A gate lets a number of requests in; others wait outside. It bounds what they hold together:
     threads that run, and maps and readers that keep old versions alive.
   - *How much memory.* Everything of the store lies in a pool with a budget, its records too (pm_pool_alloc). Reaching
     it is PM_NOMEM: the call did nothing, the map is what it was. What helps then: drop what only old versions hold,
     evict, give unused chunks back (pm_pool_trim), and try once more; else refuse this request, and go on serving.
   - *How long to wait* for a place that somebody else writes: pm_head_write_wait takes a limit of time.

   How many records fit depends on machine and build; what is printed does not. */
#include <stdatomic.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { REQUESTS = 8, AT_A_TIME = 3, BUDGET = 2 << 20, RECORD = 1000, MANY = 4000 };

/* ---- how many at a time ---- */

typedef struct gate {
    pthread_mutex_t lock;
    pthread_cond_t one_left;
    int inside, most;
} gate;

static void gate_enter(gate *g) {
    pthread_mutex_lock(&g->lock);
    while (g->inside == AT_A_TIME) pthread_cond_wait(&g->one_left, &g->lock);
    if (++g->inside > g->most) g->most = g->inside;
    pthread_mutex_unlock(&g->lock);
}

static void gate_leave(gate *g) {
    pthread_mutex_lock(&g->lock);
    g->inside--;
    pthread_cond_signal(&g->one_left);
    pthread_mutex_unlock(&g->lock);
}

typedef struct request {
    gate *gate;
    const pm_map *store;
    uint64_t found;
} request;

/* A request works on a clone of its own; at most AT_A_TIME of them are alive. */
static void *serve(void *arg) {
    request *r = arg;
    gate_enter(r->gate);
    pm_map mine = pm_clone(r->store);
    put(&mine, "seen", 1);
    must(pm_val_count(&mine, &r->found));
    pm_drop(&mine);
    gate_leave(r->gate);
    return NULL;
}

/* ---- how much memory ---- */

/* A record in the pool of the map, counted since clones share it. */
typedef struct record {
    atomic_uint references;
    char text[RECORD];
} record;

static void record_retain(void *ctx, pm_val v) {
    (void)ctx;
    ((record *)(uintptr_t)v)->references++;
}

static void record_release(void *ctx, pm_val v) {
    record *r = (record *)(uintptr_t)v;
    (void)ctx;
    if (--r->references == 0) pm_pool_dealloc(r, sizeof *r);
}

static const pm_ops record_ops = {.name = "record", .retain = record_retain, .release = record_release};

static pm_status store_add(pm_map *store, pm_pool *pool, unsigned number) {
    char key[16];
    int len = snprintf(key, sizeof key, "r%08u", number);
    record *r = pm_pool_alloc(pool, sizeof *r);
    if (!r) return PM_NOMEM;
    r->references = 1;
    snprintf(r->text, sizeof r->text, "record %u", number);
    pm_status s = pm_set(store, key, (size_t)len, (pm_val)(uintptr_t)r, NULL);
    if (s != PM_OK) record_release(NULL, (pm_val)(uintptr_t)r);
    return s;
}

/* Makes room: the version that was kept goes first, then the oldest records, which come first in order. */
static void store_make_room(pm_map *store, pm_map *kept, pm_pool *pool) {
    pm_item oldest = {0};
    pm_drop(kept);
    for (int i = 0; i < 100; i++) {
        must(pm_pop_first(store, &oldest));
        if (oldest.found) record_release(NULL, oldest.val);
    }
    pm_item_drop(&oldest);
    pm_pool_trim(pool);
}

typedef struct fill {
    unsigned added, evictions, refused;
} fill;

static fill store_fill(pm_map *store, pm_map *kept, pm_pool *pool) {
    fill f = {0, 0, 0};
    for (unsigned i = 0; i < MANY; i++) {
        pm_status s = store_add(store, pool, i);
        if (s == PM_NOMEM) {
            store_make_room(store, kept, pool);
            f.evictions++;
            s = store_add(store, pool, i);
        }
        if (s == PM_OK) f.added++;
        else if (s == PM_NOMEM) f.refused++;
        else must(s);
    }
    return f;
}

static void print_memory(void) {
    const pm_pool_options options = {.budget = BUDGET};
    pm_pool *pool = NULL;
    pm_pool_stats stats;
    uint64_t n = 0;
    must(pm_pool_new(&options, &pool));
    pm_map store = pm_new(&record_ops, pool), kept;
    for (unsigned i = 0; i < 100; i++) must(store_add(&store, pool, i));
    kept = pm_clone(&store); /* an old version, which holds what is removed from the new one */
    fill f = store_fill(&store, &kept, pool);
    pm_pool_get_stats(pool, &stats);
    must(pm_val_count(&store, &n));
    printf("records: %u of %d added, %u refused; room was made %s\n", f.added, MANY, f.refused,
           f.evictions > 1 ? "several times" : "hardly ever");
    printf("the pool is within its budget: %s; the store has records: %s\n", stats.reserved <= BUDGET ? "yes" : "no",
           n > 500 && n < MANY ? "some of them" : "all or hardly any");
    pm_drop(&store);
    must(pm_pool_free(pool)); /* else: PM_BUSY, something is still held */
}

/* ---- how long to wait ---- */

static void print_waiting(pm_map *store) {
    pm_head *head;
    pm_wz holder, w;
    must(pm_head_new(store, &head));
    must(pm_head_write(head, "orders/", 7, &holder, NULL));
    pm_status s = pm_head_write_wait(head, "orders/new/", 11, 5000, &w, NULL); /* five milliseconds */
    printf("a writer, after five milliseconds: %s\n", s == PM_CONFLICT ? "not yet, try later" : "there");
    must(pm_wz_drop(&holder));
    must(pm_head_write_wait(head, "orders/new/", 11, 5000, &w, NULL));
    must(pm_wz_drop(&w));
    must(pm_head_free(head, NULL, NULL));
}

int main(void) {
    gate g = {.lock = PTHREAD_MUTEX_INITIALIZER, .one_left = PTHREAD_COND_INITIALIZER};
    request requests[REQUESTS];
    pm_map store = {0};
    bool all = true;
    put(&store, "a", 1);
    for (int i = 0; i < REQUESTS; i++) requests[i] = (request){&g, &store, 0};
    run_each(serve, requests, sizeof requests[0], REQUESTS);
    for (int i = 0; i < REQUESTS; i++) all &= requests[i].found == 2;
    printf("%d requests, %s served, never more than %d at a time: %s\n", REQUESTS, all ? "all" : "not all", AT_A_TIME,
           g.most <= AT_A_TIME ? "yes" : "no");
    print_memory();
    print_waiting(&store);
    pm_drop(&store);
    return 0;
}
