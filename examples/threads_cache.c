/* A cache whose entries expire.

   When: answers are dear to work out, and may be somewhat old.
   Cost: a hit is a lookup under the lock of one part of the cache, and one atomic increment for the reference that it
   gives. To sweep costs by the number of entries that have expired, not by the size of the cache.

   The cache is cut into parts by a hash of the name, each with a lock of its own: one lock around all of it, read-write
   or not, would be a cache line that every hit of every thread writes to, and more threads would get less done. What
   still meets is who asks for the same answer at the same time, at its count.

   A part is two maps: from names to answers, and an index in order of time, whose keys are the instant at which
   an entry ends (highest byte first) and the name; so what has expired is always a run at its front. Answers
   are counted byte strings and begin with that instant. Who gets one holds a reference, and it outlives its
   eviction. Whether it has expired is decided by the clock, not by whether somebody has swept: a stale answer
   is never given.

   The clock is a number that this program sets, so that it prints the same each time; others ask clock_gettime. */
#define _POSIX_C_SOURCE 200809L
#include <stdatomic.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { THREADS = 3, PARTS = 64, NAMES = 60, STAMP = 8, TEXT = 48, KEY = STAMP + TEXT };

typedef struct part {
    pm_map answers, ends;
    pthread_mutex_t lock;
    char apart[64]; /* no two of them in one cache line */
} part;

typedef struct cache {
    part part[PARTS];
    atomic_ulong clock;
} cache;

static part *part_of(cache *c, const char *name) {
    unsigned h = 2166136261u;
    while (*name) h = (h ^ (unsigned char)*name++) * 16777619u;
    return &c->part[(h >> 16) % PARTS];
}

static void stamp_write(uint8_t *to, uint64_t when) {
    for (int i = 0; i < STAMP; i++) to[i] = (uint8_t)(when >> (8 * (STAMP - 1 - i)));
}

static uint64_t stamp_read(const void *bytes) {
    const uint8_t *from = bytes;
    uint64_t when = 0;
    for (int i = 0; i < STAMP; i++) when = when << 8 | from[i];
    return when;
}

/* The key of the index, into key[KEY]: names are shorter than TEXT. */
static size_t end_key(uint8_t *key, const void *stamp, const char *name) {
    size_t len = strlen(name);
    memcpy(key, stamp, STAMP);
    memcpy(key + STAMP, name, len);
    return STAMP + len;
}

static void cache_set(cache *c, const char *name, const char *text, uint64_t lives) {
    uint8_t bytes[STAMP + TEXT], key[KEY];
    size_t len = strlen(text);
    part *p = part_of(c, name);
    pm_val answer;
    pm_opt old;
    stamp_write(bytes, atomic_load(&c->clock) + lives);
    memcpy(bytes + STAMP, text, len);
    must(pm_bytes_new(bytes, STAMP + len, &answer));
    pthread_mutex_lock(&p->lock);
    must(pm_set(&p->answers, name, strlen(name), answer, &old));
    if (old.some) {
        must(pm_remove(&p->ends, key, end_key(key, pm_bytes_get(old.val, &len), name), PM_PRUNE, NULL));
        pm_bytes_release(old.val);
    }
    must(pm_set(&p->ends, key, end_key(key, bytes, name), 0, NULL));
    pthread_mutex_unlock(&p->lock);
}

/* A reference that the caller gives up with pm_bytes_release. The answer begins after STAMP bytes. */
static bool cache_get(cache *c, const char *name, pm_val *answer) {
    part *p = part_of(c, name);
    size_t len;
    pthread_mutex_lock(&p->lock);
    const pm_val *v = get(&p->answers, name);
    bool fresh = v && stamp_read(pm_bytes_get(*v, &len)) > atomic_load(&c->clock);
    if (fresh) *answer = pm_bytes_retain(*v);
    pthread_mutex_unlock(&p->lock);
    return fresh;
}

/* Removes the first of a part's index if its time has come. */
static bool sweep_one(part *p, unsigned long now) {
    uint8_t key[KEY];
    size_t len = 0;
    pthread_mutex_lock(&p->lock);
    pm_iter i = pm_iter_vals(&p->ends);
    if (pm_iter_next(&i) && stamp_read(i.key) <= now) memcpy(key, i.key, len = i.len);
    must(pm_iter_status(&i));
    pm_iter_drop(&i);
    if (len) {
        must(pm_remove(&p->ends, key, len, PM_PRUNE, NULL));
        must(pm_remove(&p->answers, key + STAMP, len - STAMP, PM_PRUNE, NULL));
    }
    pthread_mutex_unlock(&p->lock);
    return len > 0;
}

static void *sweep(void *arg) {
    cache *c = arg;
    for (int i = 0; i < PARTS; i++)
        while (sweep_one(&c->part[i], atomic_load(&c->clock))) continue; /* others get a turn between any two */
    return NULL;
}

static unsigned cache_count(cache *c) {
    unsigned sum = 0;
    for (int i = 0; i < PARTS; i++) {
        uint64_t n = 0;
        must(pm_val_count(&c->part[i].answers, &n));
        sum += (unsigned)n;
    }
    return sum;
}

typedef struct user {
    cache *cache;
    unsigned number, hits, misses;
} user;

static void *fill(void *arg) {
    const user *u = arg;
    for (unsigned i = u->number; i < NAMES; i += THREADS) {
        char name[TEXT], text[TEXT];
        snprintf(name, sizeof name, "square of %u", i);
        snprintf(text, sizeof text, "%u", i * i);
        cache_set(u->cache, name, text, 10 + i % 4 * 10);
    }
    return NULL;
}

static void *ask_for_all(void *arg) {
    user *u = arg;
    u->hits = u->misses = 0;
    for (unsigned i = 0; i < NAMES; i++) {
        char name[TEXT], text[TEXT];
        pm_val answer;
        snprintf(name, sizeof name, "square of %u", i);
        int n = snprintf(text, sizeof text, "%u", i * i);
        if (!cache_get(u->cache, name, &answer)) {
            u->misses++;
            continue;
        }
        size_t len;
        const char *bytes = pm_bytes_get(answer, &len);
        u->hits += len == STAMP + (size_t)n && memcmp(bytes + STAMP, text, (size_t)n) == 0;
        pm_bytes_release(answer);
    }
    return NULL;
}

int main(void) {
    static cache c;
    user users[THREADS];
    pm_val kept = 0;
    for (int i = 0; i < PARTS; i++) {
        c.part[i].answers = pm_new(pm_ops_bytes(), NULL);
        c.part[i].ends = pm_new(pm_ops_unit(), NULL);
        pthread_mutex_init(&c.part[i].lock, NULL);
    }
    for (unsigned i = 0; i < THREADS; i++) users[i] = (user){&c, i, 0, 0};
    run_each(fill, users, sizeof users[0], THREADS);
    if (!cache_get(&c, "square of 12", &kept)) return 1;

    printf("time  hits  misses  entries left after sweeping beside that\n");
    for (unsigned long now = 5; now <= 45; now += 10) {
        atomic_store(&c.clock, now);
        if (now == 35) cache_set(&c, "square of 8", "64", 100); /* expired long ago: again there */
        pthread_t sweeper = start(sweep, &c);
        run_each(ask_for_all, users, sizeof users[0], THREADS);
        finish(sweeper);
        printf("%4lu  %4u  %6u  %12u\n", now, users[0].hits, users[0].misses, cache_count(&c));
    }
    size_t len;
    const char *bytes = pm_bytes_get(kept, &len);
    printf("what was got in time is still there: %.*s\n", (int)(len - STAMP), bytes + STAMP);
    pm_bytes_release(kept);
    for (int i = 0; i < PARTS; i++) {
        pm_drop(&c.part[i].answers);
        pm_drop(&c.part[i].ends);
        pthread_mutex_destroy(&c.part[i].lock);
    }
    return 0;
}
