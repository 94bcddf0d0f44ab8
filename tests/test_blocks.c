/* Blocks of the caller's own from a pool: of all sizes, counted, under the budget, in regions, from any thread. */
#include "check.h"

#include <pthread.h>

#include "library.h"

static pm_pool_stats stats_of(const pm_pool *pool) {
    pm_pool_stats s;
    pm_pool_get_stats(pool, &s);
    return s;
}

typedef struct block {
    unsigned char *p;
    size_t size;
    unsigned char mark;
} block;

static void fill(block *b, pm_pool *pool, size_t size, unsigned char mark) {
    *b = (block){pm_pool_alloc(pool, size), size, mark};
    if (!b->p) return;
    CHECK_EQ((uintptr_t)b->p % 16, 0);
    memset(b->p, mark, size);
}

/* All bytes are as they were: nobody else has the block. */
static void empty(block *b) {
    for (size_t i = 0; b->p && i < b->size; i++) CHECK_EQ(b->p[i], b->mark);
    pm_pool_dealloc(b->p, b->size);
    b->p = NULL;
}

static size_t some_size(uint64_t *rng) {
    uint64_t r = check_rand_from(rng) >> 8;
    return (size_t)(r / 4 % (r % 4 == 0 ? 20000 : r % 4 == 1 ? 5500 : 200));
}

static void use_blocks(pm_pool *pool, uint64_t rng, size_t most, bool all) {
    enum { MANY = 64 };
    block blocks[MANY] = {{NULL, 0, 0}};
    for (int i = 0; i < 4000; i++) {
        uint64_t r = check_rand_from(&rng) >> 8;
        block *b = &blocks[r % MANY];
        if (b->p) {
            empty(b);
            continue;
        }
        size_t size = some_size(&rng);
        if (size > most) continue;
        fill(b, pool, size, (unsigned char)i);
        CHECK(b->p || !all);
    }
    for (int i = 0; i < MANY; i++) empty(&blocks[i]);
}

TEST(blocks_of_all_sizes_are_apart_and_counted) {
    uint64_t before = check_live_blocks();
    pm_pool *pool = NULL;
    CHECK_OK(pm_pool_new(NULL, &pool));
    use_blocks(pool, check_rand(), SIZE_MAX, true);
    CHECK_EQ(stats_of(pool).nodes, 0);
    CHECK_EQ(stats_of(pool).live, 0);
    void *small = pm_pool_alloc(pool, 100), *large = pm_pool_alloc(pool, 100000);
    CHECK(small && large);
    CHECK_EQ(stats_of(pool).nodes, 2);
    CHECK(stats_of(pool).live >= 100100 && stats_of(pool).reserved >= stats_of(pool).live);
    CHECK_EQ(pm_pool_free(pool), PM_BUSY);
    pm_pool_dealloc(small, 100);
    CHECK_EQ(pm_pool_free(pool), PM_BUSY);
    pm_pool_dealloc(large, 100000);
    CHECK_OK(pm_pool_free(pool));
    CHECK_EQ(check_live_blocks(), before);
}

TEST(blocks_of_the_default_pool) {
    uint64_t before = stats_of(NULL).nodes;
    use_blocks(NULL, check_rand(), SIZE_MAX, true);
    void *none = pm_pool_alloc(NULL, 0); /* counts as one byte */
    CHECK(none != NULL);
    CHECK_EQ(stats_of(NULL).nodes, before + 1);
    pm_pool_dealloc(none, 0);
    pm_pool_dealloc(NULL, 100);
    CHECK_EQ(stats_of(NULL).nodes, before);
    CHECK(!pm_pool_alloc(NULL, SIZE_MAX) && !pm_pool_alloc(NULL, SIZE_MAX / 4 + 1));
}

TEST(blocks_stay_within_the_budget) {
    pm_pool_options options = {.budget = 1 << 20};
    pm_pool *pool = NULL;
    block blocks[64];
    size_t n = 0;
    CHECK_OK(pm_pool_new(&options, &pool));
    while (n < 64) {
        fill(&blocks[n], pool, 40000, (unsigned char)n);
        if (!blocks[n].p) break;
        n++;
    }
    CHECK(n >= 20 && n <= (1 << 20) / 40000);
    CHECK(stats_of(pool).reserved <= options.budget);
    pm_map m = pm_new(NULL, pool); /* the budget is of nodes and blocks together */
    for (size_t i = 0; i < n; i++) empty(&blocks[i]);
    CHECK_OK(pm_set(&m, "a", 1, 1, NULL)); /* what was given back serves nodes */
    fill(&blocks[0], pool, 500000, 1);
    CHECK(blocks[0].p != NULL);
    CHECK(!pm_pool_alloc(pool, 600000));
    empty(&blocks[0]);
    pm_drop(&m);
    fill(&blocks[0], pool, 900000, 1); /* chunks that hold nothing are given back for it */
    CHECK(blocks[0].p != NULL);
    empty(&blocks[0]);
    CHECK_OK(pm_pool_free(pool));
}

TEST(blocks_without_memory_are_none) {
    pm_pool *pool = NULL;
    CHECK_OK(pm_pool_new(NULL, &pool));
    check_fail_allocs_from(1);
    void *small = pm_pool_alloc(pool, 30), *large = pm_pool_alloc(pool, 30000);
    check_fail_alloc(0);
    CHECK(!small && !large);
    CHECK_EQ(stats_of(pool).nodes, 0);
    CHECK_EQ(stats_of(pool).live, 0);
    CHECK_OK(pm_pool_free(pool));
}

TEST(blocks_of_a_region_are_inside_it) {
    static _Alignas(64) unsigned char region[1 << 20];
    pm_pool *pool = NULL;
    CHECK_OK(pm_pool_new_in(region, sizeof region, NULL, &pool));
    use_blocks(pool, check_rand(), PM_REGION_BYTES_MAX, true);
    block b;
    fill(&b, pool, PM_REGION_BYTES_MAX, 7);
    CHECK(b.p >= region && b.p + b.size <= region + sizeof region);
    CHECK_EQ(pm_pool_free(pool), PM_BUSY);
    empty(&b);
    CHECK(!pm_pool_alloc(pool, 1 << 15)); /* no block is so large */
    block many[256];
    size_t n = 0;
    for (; n < 256; n++) {
        fill(&many[n], pool, 8000, (unsigned char)n);
        if (!many[n].p) break;
    }
    CHECK(n > 64 && n < 132); /* full */
    while (n) empty(&many[--n]);
    CHECK_EQ(stats_of(pool).nodes, 0);
    CHECK_OK(pm_pool_free(pool));
}

/* Values that are records, and live where the map does. */
typedef struct record {
    unsigned references, number;
    char name[40];
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

TEST(blocks_hold_the_values_of_a_map) {
    static const pm_ops ops = {.name = "record", .retain = record_retain, .release = record_release};
    static _Alignas(64) unsigned char region[1 << 18];
    pm_pool *pool = NULL;
    CHECK_OK(pm_pool_new_in(region, sizeof region, NULL, &pool));
    pm_map m = pm_new(&ops, pool);
    for (unsigned i = 0; i < 500; i++) {
        record *r = pm_pool_alloc(pool, sizeof *r);
        CHECK(r != NULL);
        *r = (record){1, i, "somebody"};
        CHECK_OK(pm_set(&m, &i, sizeof i, (pm_val)(uintptr_t)r, NULL));
    }
    pm_map clone = pm_clone(&m);
    for (unsigned i = 0; i < 500; i += 2) CHECK_OK(pm_remove(&m, &i, sizeof i, PM_PRUNE, NULL));
    for (unsigned i = 0; i < 500; i++) {
        const pm_val *v = pm_get(&clone, &i, sizeof i);
        CHECK(v && ((record *)(uintptr_t)*v)->number == i);
        CHECK((unsigned char *)(uintptr_t)*v >= region && (unsigned char *)(uintptr_t)*v < region + sizeof region);
    }
    pm_drop(&m);
    pm_drop(&clone);
    CHECK_EQ(stats_of(pool).nodes, 0);
    CHECK_OK(pm_pool_free(pool));
}

#if !PM_NO_THREADS
typedef struct hand {
    pm_pool *pool;
    uint64_t rng;
    _Atomic(void *) *box;
} hand;

/* What one thread has allocated, another gives back. */
static void *hand_over(void *arg) {
    hand *h = arg;
    for (int i = 0; i < 3000; i++) {
        size_t size = i % 7 ? 300 : 9000;
        unsigned char *p = pm_pool_alloc(h->pool, size);
        CHECK(p != NULL);
        if (!p) return NULL;
        memset(p, i, size);
        memcpy(p, &size, sizeof size);
        unsigned char *other = atomic_exchange(&h->box[check_rand_from(&h->rng) >> 8 & 3], p);
        if (!other) continue;
        memcpy(&size, other, sizeof size);
        CHECK_EQ(other[size - 1], other[size - 2]);
        pm_pool_dealloc(other, size);
    }
    return NULL;
}

TEST(blocks_travel_between_threads) {
    enum { THREADS = 3 };
    _Atomic(void *) box[4] = {NULL, NULL, NULL, NULL};
    pm_pool *pool = NULL;
    pthread_t threads[THREADS];
    hand hands[THREADS];
    CHECK_OK(pm_pool_new(NULL, &pool));
    for (int i = 0; i < THREADS; i++) {
        hands[i] = (hand){pool, check_rand(), box};
        CHECK_EQ(pthread_create(&threads[i], NULL, hand_over, &hands[i]), 0);
    }
    for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    CHECK_EQ(check_failed(), 0);
    for (int i = 0; i < 4; i++) {
        size_t size;
        unsigned char *p = atomic_load(&box[i]);
        if (!p) continue;
        memcpy(&size, p, sizeof size);
        pm_pool_dealloc(p, size);
    }
    CHECK_EQ(stats_of(pool).nodes, 0);
    CHECK_OK(pm_pool_free(pool));
}
#endif
