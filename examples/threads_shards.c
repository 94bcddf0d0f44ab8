/* Several maps instead of one: a map for each thread, or shards with a lock each.

   A map for each thread. When: results of threads are needed only once all are done. Cost: no lock and no waiting at
   all; merging costs by what the maps do not share. threads_pool.c does it over batches.

   Shards. When: threads write any key at any time, a lock around one map is too much in the way, and keys cannot be
   told apart by how they begin (if they can, a head does it without locks: threads_partition.c). Cost: a lock per call,
   seldom contended; shards are evenly used only as far as the hash is even. What concerns all keys concerns all shards:
   here their locks are taken together, in their order, for as long as a clone of each takes. Joined, the clones are one
   sorted map again, of one moment.

   Two things decide whether shards are worth it. *Many of them*: calls here take some hundred nanoseconds, and a thread
   that finds its lock taken is put to sleep and woken for thousands, so meetings must be rare: 256 shards, not 16. *A
   lock that looks before it sleeps*: where the C library has adaptive mutexes, they are taken here. And a mutex, not a
   read-write lock: around something so short the latter costs more than it lets through at once. bench_threads measures
   all of that (shards_mixed, shards256_mixed, adaptive_mixed, rwlock_mixed). */
#define _GNU_SOURCE /* for the adaptive mutex of glibc */
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { THREADS = 4, SHARDS = 256, NUMBERS = 4000 };

/* The key: how often each digit is in a number. Numbers made of the same digits have the same key. */
static void digits_of(unsigned n, char key[11]) {
    memset(key, '0', 10);
    key[10] = 0;
    for (; n; n /= 10) key[n % 10]++;
}

/* ---- a map for each thread ---- */

typedef struct worker {
    unsigned number;
    pm_map counts;
} worker;

static void *count_own(void *arg) {
    worker *w = arg;
    for (unsigned n = w->number; n < NUMBERS; n += THREADS) {
        char key[11];
        pm_val *slot;
        digits_of(n, key);
        must(pm_get_or_set(&w->counts, key, 10, 0, &slot, NULL));
        (*slot)++;
    }
    return NULL;
}

/* Under pm_ops_sum, joining adds. */
static pm_map count_in_maps_of_threads(void) {
    worker workers[THREADS];
    const pm_map *each[THREADS];
    pm_map sum;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (worker){i, pm_new(pm_ops_sum(), NULL)};
        each[i] = &workers[i].counts;
    }
    run_each(count_own, workers, sizeof workers[0], THREADS);
    must(pm_join_many(each, THREADS, &sum, NULL));
    for (unsigned i = 0; i < THREADS; i++) pm_drop(&workers[i].counts);
    return sum;
}

/* ---- shards ---- */

typedef struct shard {
    pthread_mutex_t lock;
    pm_map map;
    char apart[64]; /* no two of them in one cache line */
} shard;

typedef struct shards {
    shard shard[SHARDS];
} shards;

static shard *shard_of(shards *s, const char *key) {
    unsigned h = 2166136261u;
    while (*key) h = (h ^ (unsigned char)*key++) * 16777619u;
    return &s->shard[(h >> 16) % SHARDS];
}

static void init_lock(pthread_mutex_t *lock) {
    pthread_mutexattr_t kind;
    pthread_mutexattr_init(&kind);
#if defined(__GLIBC__)
    pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    pthread_mutex_init(lock, &kind);
    pthread_mutexattr_destroy(&kind);
}

static void shards_add(shards *s, const char *key, pm_val n) {
    shard *at = shard_of(s, key);
    pm_val *slot;
    pthread_mutex_lock(&at->lock);
    must(pm_get_or_set(&at->map, key, strlen(key), 0, &slot, NULL));
    *slot += n;
    pthread_mutex_unlock(&at->lock);
}

/* A copy of the value: a pointer to it would not be valid without the lock. */
static pm_opt shards_get(shards *s, const char *key) {
    shard *at = shard_of(s, key);
    pm_opt found = {0, false};
    pthread_mutex_lock(&at->lock);
    const pm_val *v = get(&at->map, key);
    if (v) found = (pm_opt){*v, true};
    pthread_mutex_unlock(&at->lock);
    return found;
}

/* All of it at one moment. Who always takes the locks in the same order never waits in a circle. */
static pm_map shards_snapshot(shards *s) {
    pm_map clones[SHARDS], all;
    const pm_map *each[SHARDS];
    for (int i = 0; i < SHARDS; i++) pthread_mutex_lock(&s->shard[i].lock);
    for (int i = 0; i < SHARDS; i++) clones[i] = pm_clone(&s->shard[i].map);
    for (int i = 0; i < SHARDS; i++) pthread_mutex_unlock(&s->shard[i].lock);
    for (int i = 0; i < SHARDS; i++) each[i] = &clones[i];
    must(pm_join_many(each, SHARDS, &all, NULL));
    for (int i = 0; i < SHARDS; i++) pm_drop(&clones[i]);
    return all;
}

typedef struct share {
    shards *shards;
    unsigned number;
} share;

static void *count_in_shards(void *arg) {
    const share *w = arg;
    for (unsigned n = w->number; n < NUMBERS; n += THREADS) {
        char key[11];
        digits_of(n, key);
        shards_add(w->shards, key, 1);
    }
    return NULL;
}

int main(void) {
    shards s;
    share share_of[THREADS];
    bool same = false;
    uint64_t n = 0;
    char key[11];
    for (int i = 0; i < SHARDS; i++) {
        init_lock(&s.shard[i].lock);
        s.shard[i].map = pm_new(pm_ops_sum(), NULL);
    }
    for (unsigned i = 0; i < THREADS; i++) share_of[i] = (share){&s, i};
    run_each(count_in_shards, share_of, sizeof share_of[0], THREADS);

    pm_map own = count_in_maps_of_threads(), all = shards_snapshot(&s);
    digits_of(3210, key);
    must(pm_val_count(&own, &n));
    must(pm_equal(&own, &all, &same));
    printf("%d numbers have %d different sets of digits\n", NUMBERS, (int)n);
    printf("made of the digits of 3210: %d, says the shard %d\n", (int)*get(&own, key), (int)shards_get(&s, key).val);
    printf("the shards together are %s the maps of the threads together\n", same ? "the same as" : "other than");

    pm_drop(&own);
    pm_drop(&all);
    for (int i = 0; i < SHARDS; i++) {
        pm_drop(&s.shard[i].map);
        pthread_mutex_destroy(&s.shard[i].lock);
    }
    return 0;
}
