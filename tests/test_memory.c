/* The node pool: size classes, statistics, budgets, failing allocation; and blocks that travel between threads. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <pthread.h>

#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#include "../pathmap.h"

#include "stress.h"

/* ---- helpers ------------------------------------------------------------------------------------------------- */

static size_t random_size(uint64_t *rng) {
    uint64_t r = check_rand_from(rng);
    /* Mostly small, as nodes are. */
    size_t need = (size_t)(r >> 8) % (r % 8 ? 512 : PM__MEM_MAX) + 1;
    return pm__mem_round(need);
}

/* A block carries its size and a pattern over all of it, so that any overlap shows. */
static void block_fill(void *p, size_t size, uint64_t tag) {
    uint64_t *w = p;
    w[0] = size;
    for (size_t i = 1; i < size / 8; i++) w[i] = tag * 0x9e3779b97f4a7c15u + i;
    w[1] = tag;
}

static bool block_is_whole(const void *p) {
    const uint64_t *w = p;
    size_t size = (size_t)w[0];
    if (size < 32 || size > PM__MEM_MAX) return false;
    for (size_t i = 2; i < size / 8; i++)
        if (w[i] != w[1] * 0x9e3779b97f4a7c15u + i) return false;
    return true;
}

static void block_free(void *p) {
    size_t size = (size_t)((uint64_t *)p)[0];
    memset(p, 0xee, size);
    pm__mem_free(p, size);
}

static pm_pool_stats stats_of(const pm_pool *pool) {
    pm_pool_stats s;
    pm_pool_get_stats(pool, &s);
    return s;
}

static pm_pool *pool_with_budget(uint64_t budget) {
    pm_pool_options options = {.budget = budget};
    pm_pool *pool = NULL;
    CHECK_OK(pm_pool_new(&options, &pool));
    return pool;
}

/* ---- one thread ---------------------------------------------------------------------------------------------- */

TEST(memory_size_classes_are_the_smallest_that_fit) {
    for (unsigned c = 0; c < PM__MEM_CLASSES; c++) {
        CHECK_EQ(pm__mem_class_bytes[c] % PM__MEM_UNIT, 0);
        if (c) CHECK(pm__mem_class_bytes[c] > pm__mem_class_bytes[c - 1]);
        CHECK_EQ(pm__mem_class_of[pm__mem_class_bytes[c] / PM__MEM_UNIT], c);
    }
    CHECK_EQ(pm__mem_class_bytes[PM__MEM_CLASSES - 1], PM__MEM_MAX);
    unsigned c = 0;
    for (size_t need = 1; need <= PM__MEM_MAX; need++) {
        if (need > pm__mem_class_bytes[c]) c++;
        CHECK_EQ(pm__mem_round(need), pm__mem_class_bytes[c]);
    }
}

TEST(memory_size_classes_fill_their_slabs) {
    for (unsigned c = 0; c < PM__MEM_CLASSES; c++) {
        unsigned size = pm__mem_class_bytes[c], room = PM__SLAB_BYTES - PM__SLAB_HEADER;
        CHECK_NOTE(room % size * 25 < PM__SLAB_BYTES, "class of %u bytes", size);
    }
}

TEST(memory_blocks_are_aligned_and_do_not_overlap) {
    enum { N = 4000 };
    static void *blocks[N];
    uint64_t rng = check_rand();
    memset(blocks, 0, sizeof blocks);
    for (unsigned step = 0; step < 60000; step++) {
        unsigned i = (unsigned)check_below(N);
        if (blocks[i]) {
            CHECK(block_is_whole(blocks[i]));
            block_free(blocks[i]);
            blocks[i] = NULL;
            continue;
        }
        size_t size = random_size(&rng);
        blocks[i] = pm__mem_alloc(NULL, size);
        CHECK(blocks[i] != NULL);
        CHECK_EQ((uintptr_t)blocks[i] % 16, 0);
#if PM_POOL
        if (size % 64 == 0) CHECK_EQ((uintptr_t)blocks[i] % 64, 0);
#endif
        block_fill(blocks[i], size, check_rand_from(&rng));
    }
    for (unsigned i = 0; i < N; i++) {
        if (!blocks[i]) continue;
        CHECK(block_is_whole(blocks[i]));
        block_free(blocks[i]);
    }
    pm_pool_stats s = stats_of(NULL);
    CHECK_EQ(s.nodes, 0);
    CHECK_EQ(s.live, 0);
    CHECK_EQ(s.in_slabs, 0);
}

TEST(memory_statistics_are_exact) {
    enum { N = 3000 };
    static void *blocks[N];
    pm_pool *pool = pool_with_budget(0);
    uint64_t rng = check_rand(), live = 0, nodes = 0, blocks_before = check_live_bytes();
    memset(blocks, 0, sizeof blocks);
    for (unsigned step = 0; step < 20000; step++) {
        unsigned i = (unsigned)check_below(N);
        if (blocks[i]) {
            live -= ((uint64_t *)blocks[i])[0];
            nodes--;
            block_free(blocks[i]);
            blocks[i] = NULL;
        } else {
            size_t size = random_size(&rng);
            blocks[i] = pm__mem_alloc(pool, size);
            CHECK(blocks[i] != NULL);
            block_fill(blocks[i], size, step);
            live += size;
            nodes++;
        }
        if (step % 64) continue;
        pm_pool_stats s = stats_of(pool);
        CHECK_EQ(s.live, live);
        CHECK_EQ(s.nodes, nodes);
        CHECK_EQ(s.budget, 0);
        CHECK(s.in_slabs >= s.live && s.reserved >= s.in_slabs);
        /* Everything that came from PM_MALLOC since is the pool's; it counts itself. */
        CHECK_EQ(check_live_bytes() - blocks_before + sizeof(pm_pool), s.reserved);
    }
    CHECK_EQ(pm_pool_free(pool), nodes ? PM_BUSY : PM_OK);
    for (unsigned i = 0; i < N; i++)
        if (blocks[i]) block_free(blocks[i]);
    CHECK_EQ(stats_of(pool).nodes, 0);
    CHECK_OK(pm_pool_free(pool));
}

TEST(memory_pool_gives_everything_back_when_freed) {
    uint64_t before = check_live_blocks();
    pm_pool *pool = pool_with_budget(0);
    void *p = pm__mem_alloc(pool, 64);
    CHECK(p != NULL);
    CHECK_EQ(pm_pool_free(pool), PM_BUSY);
    void *q = pm__mem_alloc(pool, 2320); /* still usable */
    CHECK(q != NULL);
    pm__mem_free(p, 64);
    CHECK_EQ(pm_pool_free(pool), PM_BUSY);
    pm__mem_free(q, 2320);
    CHECK_OK(pm_pool_free(pool));
    CHECK_EQ(check_live_blocks(), before);
    CHECK_OK(pm_pool_free(NULL));
}

TEST(memory_shrinks_when_blocks_are_freed) {
    enum { N = 40000 };
    static void *blocks[N];
    uint64_t rng = check_rand();
    pm_pool_trim(NULL);
    uint64_t blocks_before = check_live_blocks(), bytes_before = check_live_bytes();
    for (unsigned i = 0; i < N; i++) {
        size_t size = pm__mem_round(33 + (size_t)(check_rand_from(&rng) % 480)); /* many slabs of each class */
        blocks[i] = pm__mem_alloc(NULL, size);
        CHECK(blocks[i] != NULL);
        block_fill(blocks[i], size, i);
    }
    uint64_t full = stats_of(NULL).reserved;
    CHECK(full > stats_of(NULL).live);
    CHECK(full < stats_of(NULL).live + stats_of(NULL).live / 2);
    for (unsigned i = N - 1; i > 0; i--) {
        unsigned j = (unsigned)check_below(i + 1);
        void *t = blocks[i];
        blocks[i] = blocks[j];
        blocks[j] = t;
    }
    for (unsigned i = 0; i < N; i++) block_free(blocks[i]);
    /* Without being told to: all but one spare chunk. */
    CHECK_NOTE(stats_of(NULL).reserved < full / 2, "%" PRIu64 " of %" PRIu64, stats_of(NULL).reserved, full);
#if PM_POOL
    CHECK(pm__pool_default.full == NULL);
    CHECK(pm__pool_default.open != NULL && pm__pool_default.open->next == NULL);
#endif
    pm_pool_trim(NULL);
    CHECK_EQ(stats_of(NULL).reserved, 0);
    CHECK_EQ(check_live_blocks(), blocks_before);
    CHECK_EQ(check_live_bytes(), bytes_before);
}

#if PM_POOL
TEST(memory_of_a_small_map_is_small) {
    static const struct {
        unsigned n;
        uint64_t each;
    } most[] = {{1000, 40}, {5000, 30}};
    for (unsigned k = 0; k < 2; k++) {
        pm_pool *pool = pool_with_budget(0);
        pm_map m = pm_new(NULL, pool);
        uint64_t rng = 7;
        for (unsigned i = 0; i < most[k].n; i++) {
            uint64_t key = check_rand_from(&rng);
            CHECK_OK(pm_set(&m, &key, sizeof key, i, NULL));
        }
        CHECK_NOTE(stats_of(pool).in_slabs <= most[k].each * most[k].n, "%" PRIu64, stats_of(pool).in_slabs);
        CHECK(pool->divided[0] != NULL);
        pm_drop(&m);
        pm_pool_trim(pool);
        CHECK(stats_of(pool).in_slabs == 0 && pool->divided[0] == NULL && pool->divided[1] == NULL);
        CHECK_EQ(stats_of(pool).reserved, sizeof(pm_pool));
        CHECK_OK(pm_pool_free(pool));
    }
}
#endif

TEST(memory_trim_keeps_what_is_alive) {
    pm_pool *pool = pool_with_budget(0);
    enum { N = 2000 };
    static void *blocks[N];
    for (unsigned i = 0; i < N; i++) {
        blocks[i] = pm__mem_alloc(pool, 512);
        CHECK(blocks[i] != NULL);
        block_fill(blocks[i], 512, i);
    }
    for (unsigned i = 1; i < N; i++) block_free(blocks[i]);
    pm_pool_trim(pool);
    CHECK(block_is_whole(blocks[0]));
    CHECK_EQ(stats_of(pool).nodes, 1);
    void *p = pm__mem_alloc(pool, 512);
    CHECK(p != NULL && p != blocks[0]);
    pm__mem_free(p, 512);
    block_free(blocks[0]);
    CHECK_OK(pm_pool_free(pool));
}

TEST(memory_budget_is_kept_and_its_end_is_survived) {
    enum { N = 20000 };
    static void *blocks[N];
    static const uint64_t budgets[] = {1, 1000, 40000, 100000, 300000, 1000000};
    for (unsigned b = 0; b < sizeof budgets / sizeof *budgets; b++) {
        pm_pool *pool = pool_with_budget(budgets[b]);
        uint64_t rng = check_rand();
        unsigned n = 0, first = 0;
        for (unsigned round = 0; round < 3; round++) {
            for (n = 0; n < N; n++) {
                size_t size = random_size(&rng);
                blocks[n] = pm__mem_alloc(pool, size);
                if (!blocks[n]) break;
                block_fill(blocks[n], size, n);
                CHECK(stats_of(pool).reserved <= budgets[b]);
            }
            CHECK(n < N);
            CHECK_EQ(stats_of(pool).nodes, n);
            CHECK_EQ(stats_of(pool).budget, budgets[b]);
            for (unsigned i = 0; i < n; i++) {
                CHECK(block_is_whole(blocks[i]));
                block_free(blocks[i]);
            }
            CHECK_EQ(stats_of(pool).nodes, 0);
            if (round == 0) first = n;
            /* Sizes differ by chance, so the later rounds only have to be of the same order. */
            else CHECK_NOTE(n >= first / 4, "budget %" PRIu64 ": %u blocks, then %u", budgets[b], first, n);
        }
        if (budgets[b] >= 1000000) CHECK(first > 100); /* below, many a class has no slab */
        CHECK_OK(pm_pool_free(pool));
    }
}

TEST(memory_budget_serves_one_class_after_another) {
    enum { N = 20000 };
    static void *blocks[N];
    pm_pool *pool = pool_with_budget(200000);
    for (unsigned c = 0; c < PM__MEM_CLASSES; c++) {
        size_t size = pm__mem_class_bytes[c];
        unsigned n = 0;
        while (n < N && (blocks[n] = pm__mem_alloc(pool, size)) != NULL) n++;
        CHECK_NOTE(n * (size + 16) > 100000, "only %u blocks of %zu bytes", n, size);
        while (n) pm__mem_free(blocks[--n], size);
    }
    CHECK_OK(pm_pool_free(pool));
}

TEST(memory_failing_allocation_is_an_answer) {
    enum { N = 3000 };
    static void *blocks[N];
    uint64_t before = check_live_blocks(), failed = 0;
    for (uint64_t turn = 2; turn < 60; turn++) {
        uint64_t nth = turn / 2;
        pm_pool *pool = NULL;
        if (turn % 2) check_fail_allocs_from(nth);
        else check_fail_alloc(nth);
        if (pm_pool_new(NULL, &pool) != PM_OK) {
            CHECK_EQ(nth, 1);
            check_fail_alloc(0);
            continue;
        }
        unsigned n = 0;
        for (unsigned i = 0; i < N; i++) {
            void *p = pm__mem_alloc(pool, 448);
            if (p) block_fill(blocks[n++] = p, 448, i);
            else failed++;
        }
        CHECK_EQ(stats_of(pool).nodes, n);
#if PM_POOL
        /* What is refused once is asked for again: the heap, which comes second, and a chunk, smaller. */
        if (turn % 2 == 0) CHECK_EQ(n, N);
#endif
        check_fail_alloc(0);
        for (unsigned i = 0; i < n; i++) {
            CHECK(block_is_whole(blocks[i]));
            block_free(blocks[i]);
        }
        void *p = pm__mem_alloc(pool, 64);
        CHECK(p != NULL);
        pm__mem_free(p, 64);
        CHECK_OK(pm_pool_free(pool));
        CHECK_EQ(check_live_blocks(), before);
    }
    CHECK(failed > 0);
}

TEST(memory_null_arguments_are_answered) {
    static _Alignas(64) unsigned char region[PM_REGION_MIN];
    uint64_t before = check_live_blocks();
    pm_pool *pool = NULL;
    CHECK_EQ(pm_pool_new(NULL, NULL), PM_INVALID);
    CHECK_EQ(check_live_blocks(), before);
    pm_pool_get_stats(NULL, NULL);
    CHECK_OK(pm_pool_new(NULL, &pool));
    pm_pool_get_stats(pool, NULL);
    CHECK_OK(pm_pool_free(pool));
    CHECK_OK(pm_pool_free(NULL));
    pm_pool_trim(NULL);
    CHECK_EQ(pm_pool_new_in(NULL, sizeof region, NULL, &pool), PM_INVALID);
    CHECK_EQ(pm_pool_new_in(NULL, 0, NULL, &pool), PM_INVALID);
    CHECK_EQ(pm_pool_new_in(region, sizeof region, NULL, NULL), PM_INVALID);
    CHECK_EQ(pm_pool_new_in(region, SIZE_MAX, NULL, &pool), PM_INVALID);
    CHECK_EQ(pm_pool_new_in(region, SIZE_MAX - (uintptr_t)region + 1, NULL, &pool), PM_INVALID);
    for (size_t n = 0; n < 16384; n += n < 100 ? 1 : 997) CHECK_EQ(pm_pool_new_in(region, n, NULL, &pool), PM_NOMEM);
    pm_pool_options small = {.budget = 1};
    CHECK_EQ(pm_pool_new_in(region, sizeof region, &small, &pool), PM_NOMEM);
    CHECK_OK(pm_pool_new_in(region, sizeof region, NULL, &pool));
    pm_pool_get_stats(pool, NULL);
    pm_pool_trim(pool);
    CHECK_OK(pm_pool_free(pool));
}

TEST(memory_buffers_grow_and_shrink) {
    unsigned char *p = pm__mem_grow(NULL, 0, 10);
    CHECK(p != NULL);
    memcpy(p, "0123456789", 10);
    p = pm__mem_grow(p, 10, 1000);
    CHECK(p != NULL);
    CHECK_MEM_EQ(p, 10, "0123456789", 10);
    check_fail_alloc(1);
    CHECK(pm__mem_grow(p, 1000, 2000) == NULL);
    CHECK_MEM_EQ(p, 10, "0123456789", 10);
    p = pm__mem_grow(p, 1000, 5);
    CHECK(p != NULL);
    CHECK_MEM_EQ(p, 5, "01234", 5);
    pm__mem_free_big(p, 5);
    pm__mem_free_big(NULL, 0);
    p = pm__mem_alloc_big(70000);
    CHECK(p != NULL);
    memset(p, 1, 70000);
    pm__mem_free_big(p, 70000);
}

/* ---- several threads ----------------------------------------------------------------------------------------- */

#if !PM_NO_THREADS

static pthread_t start(void *(*run)(void *), void *arg) {
    pthread_t t;
    if (pthread_create(&t, NULL, run, arg) != 0) abort();
    return t;
}

static void finish(pthread_t t) {
    if (pthread_join(t, NULL) != 0) abort();
}

typedef struct batch {
    pm_pool *pool;
    void **blocks;
    unsigned n;
    size_t size; /* 0: random ones */
    uint64_t seed;
} batch;

static void *make_batch(void *arg) {
    batch *b = arg;
    for (unsigned i = 0; i < b->n; i++) {
        size_t size = b->size ? b->size : random_size(&b->seed);
        b->blocks[i] = pm__mem_alloc(b->pool, size);
        CHECK(b->blocks[i] != NULL);
        if (b->blocks[i]) block_fill(b->blocks[i], size, i);
    }
    return NULL;
}

static void *free_batch(void *arg) {
    batch *b = arg;
    for (unsigned i = 0; i < b->n; i++) {
        CHECK(block_is_whole(b->blocks[i]));
        block_free(b->blocks[i]);
    }
    return NULL;
}

enum { BATCH = 6000 };
static void *batch_blocks[8][BATCH];

TEST(memory_freed_by_another_thread_is_used_again) {
    pm_pool *own = pool_with_budget(0);
    pm_pool *pools[] = {NULL, own};
    for (unsigned k = 0; k < 2; k++) {
        batch b = {.pool = pools[k], .blocks = batch_blocks[0], .n = BATCH, .size = 96};
        uint64_t most = 0;
        for (unsigned round = 0; round < 6; round++) {
            make_batch(&b);
            CHECK_EQ(stats_of(pools[k]).nodes, BATCH);
            uint64_t now = stats_of(pools[k]).reserved;
            if (round == 0) most = now;
            CHECK_EQ(now, most);
            finish(start(free_batch, &b));
            CHECK_EQ(stats_of(pools[k]).nodes, 0);
            CHECK_EQ(stats_of(pools[k]).in_slabs, 0);
        }
    }
    CHECK_OK(pm_pool_free(own));
    pm_pool_trim(NULL);
    CHECK_EQ(stats_of(NULL).reserved, 0);
}

TEST(memory_of_ended_threads_is_not_lost) {
    pm_pool *own = pool_with_budget(0);
    pm_pool *pools[] = {NULL, own};
    for (unsigned k = 0; k < 2; k++) {
        uint64_t most = 0;
        for (unsigned round = 0; round < 12; round++) {
            pthread_t threads[4];
            batch b[4];
            for (unsigned i = 0; i < 4; i++) {
                b[i] = (batch){.pool = pools[k], .blocks = batch_blocks[i], .n = BATCH / 4, .size = 160};
                threads[i] = start(make_batch, &b[i]);
            }
            for (unsigned i = 0; i < 4; i++) finish(threads[i]);
            CHECK_EQ(stats_of(pools[k]).nodes, BATCH / 4 * 4);
            uint64_t now = stats_of(pools[k]).reserved;
            if (round == 0) most = now;
            /* How many of the four were alive at once, and so how many heaps there are, is chance. */
            CHECK_NOTE(now < 2 * most + 200000, "round %u: %" PRIu64 ", at first %" PRIu64, round, now, most);
            for (unsigned i = 0; i < 4; i++) free_batch(&b[i]);
            CHECK_EQ(stats_of(pools[k]).nodes, 0);
        }
    }
    CHECK_OK(pm_pool_free(own));
    pm_pool_trim(NULL);
    CHECK_EQ(stats_of(NULL).reserved, 0);
}

/* Each slab loses some blocks to its owner and some to another thread, and keeps others. */
TEST(memory_freed_from_both_sides_is_used_again) {
    pm_pool *pool = pool_with_budget(0);
    void **mine = batch_blocks[0], **theirs = batch_blocks[1], **kept = batch_blocks[2];
    enum { THIRD = BATCH / 3 };
    uint64_t most = 0;
    for (unsigned i = 0; i < THIRD; i++) {
        void **to[] = {&mine[i], &theirs[i], &kept[i]};
        for (unsigned k = 0; k < 3; k++) {
            *to[k] = pm__mem_alloc(pool, 112);
            CHECK(*to[k] != NULL);
            block_fill(*to[k], 112, i);
        }
    }
    most = stats_of(pool).reserved;
    for (unsigned round = 0; round < 8; round++) {
        batch b[2] = {{.pool = pool, .blocks = mine, .n = THIRD, .size = 112},
                      {.pool = pool, .blocks = theirs, .n = THIRD, .size = 112}};
        if (round % 2) free_batch(&b[0]);
        finish(start(free_batch, &b[1]));
        if (round % 2 == 0) free_batch(&b[0]);
        CHECK_EQ(stats_of(pool).nodes, THIRD);
        make_batch(&b[0]);
        make_batch(&b[1]);
        CHECK_EQ(stats_of(pool).nodes, 3 * THIRD);
        CHECK_EQ(stats_of(pool).reserved, most);
    }
    for (unsigned k = 0; k < 3; k++) free_batch(&(batch){.blocks = batch_blocks[k], .n = THIRD});
    CHECK_OK(pm_pool_free(pool));
}

#if PM_POOL
TEST(memory_half_empty_slabs_of_ended_threads_are_taken_over) {
    pm_pool *pool = pool_with_budget(0);
    batch b = {.pool = pool, .blocks = batch_blocks[0], .n = BATCH, .size = 256};
    void *mine = pm__mem_alloc(pool, 256); /* so that this thread has a heap of its own */
    CHECK(mine != NULL);
    finish(start(make_batch, &b));
    for (unsigned i = 0; i < BATCH; i += 2) block_free(batch_blocks[0][i]);
    uint64_t before = stats_of(pool).reserved;
    for (unsigned i = 0; i < BATCH; i += 2) {
        batch_blocks[0][i] = pm__mem_alloc(pool, 256);
        CHECK(batch_blocks[0][i] != NULL);
        block_fill(batch_blocks[0][i], 256, i);
    }
    CHECK_EQ(stats_of(pool).reserved, before);
    free_batch(&b);
    pm__mem_free(mine, 256);
    CHECK_EQ(stats_of(pool).nodes, 0);
    CHECK_OK(pm_pool_free(pool));
}

/* Threads that live together have a heap each; when all have ended, the next ones take over every one of them. */
enum { TOGETHER = 5 };
static pthread_barrier_t all_there;

static void *take_and_wait(void *arg) {
    void *p = pm__mem_alloc(arg, 160);
    pthread_barrier_wait(&all_there);
    if (p) pm__mem_free(p, 160);
    return p;
}

static unsigned heaps_of(pm_pool *pool) {
    unsigned n = 0;
    for (const pm__heap *h = pool->heaps; h; h = h->next_in_pool) n++;
    return n;
}

TEST(memory_heaps_of_threads_that_end_are_all_taken_over) {
    pm_pool *pool = pool_with_budget(0);
    CHECK_EQ(pthread_barrier_init(&all_there, NULL, TOGETHER), 0);
    for (unsigned round = 0; round < 4; round++) {
        pthread_t threads[TOGETHER];
        for (unsigned i = 0; i < TOGETHER; i++) threads[i] = start(take_and_wait, pool);
        for (unsigned i = 0; i < TOGETHER; i++) finish(threads[i]);
        CHECK_EQ(heaps_of(pool), TOGETHER);
    }
    pthread_barrier_destroy(&all_there);
    CHECK_OK(pm_pool_free(pool));
}

static void *make_and_free_batch(void *arg) {
    make_batch(arg);
    return free_batch(arg);
}

TEST(memory_ended_thread_keeps_no_slab) {
    pm_pool *pool = pool_with_budget(0);
    batch b = {.pool = pool, .blocks = batch_blocks[0], .n = 100, .seed = 1};
    finish(start(make_and_free_batch, &b));
    for (pm__chunk *c = pool->open; c; c = c->next) CHECK_EQ(c->free_slabs, c->slabs);
    CHECK(pool->full == NULL);
    CHECK_OK(pm_pool_free(pool));
}

/* A thread may be slow in telling the heap; others push blocks of the slab meanwhile, and it may have gone to another
   heap. That moment is too short to be met by chance, so its two halves are done by hand. */
TEST(memory_late_notice_reaches_the_new_heap) {
    pm_pool *pool = pool_with_budget(0);
    void *mine = pm__mem_alloc(pool, 32); /* so that this thread has a heap of its own */
    batch b = {.pool = pool, .blocks = batch_blocks[0], .n = 3, .size = 1008};
    finish(start(make_batch, &b));
    unsigned char *p = batch_blocks[0][1];
    pm__slab *s = (pm__slab *)((uintptr_t)p & ~(uintptr_t)(PM__SLAB_BYTES - 1));
    pm__heap *old = pool->detached, *now = pm__heap_get(pool);
    CHECK(old != NULL && pm__load_relaxed(&s->heap) == old);
    uint32_t at = (uint32_t)(p - (unsigned char *)s) / PM__MEM_UNIT;
    pm__store_relaxed(&s->remote, PM__REMOTE_TOLD | at << 16 | 1); /* the push */
    *(void **)(void *)p = NULL;
    void *q = pm__mem_alloc(pool, 1008);
    CHECK(q != NULL && pm__load_relaxed(&s->heap) == now && now->current[s->cls] == s);
    void *rest[12]; /* fill the slab, so that a block absorbed by the wrong heap would put it in that heap's list */
    for (unsigned i = 0; i < 12; i++) CHECK((rest[i] = pm__mem_alloc(pool, 1008)) != NULL);
    CHECK(s->free == NULL);
    s->next_notified = NULL; /* the notice, to the heap of before */
    pm__store_relaxed(&old->notified, s);
    CHECK_EQ(stats_of(pool).nodes, 16); /* mine, q, the rest, two of the batch */
    pm_pool_trim(pool);                 /* empties the old heap's list */
    CHECK(pm__load_relaxed(&old->notified) == NULL && old->partial[s->cls] == NULL);
    pm_pool_trim(pool);
    CHECK(pm__load_relaxed(&now->notified) == NULL);
    CHECK_EQ(pm__load_relaxed(&s->remote), 0);
    CHECK_EQ(stats_of(pool).nodes, 16);
    CHECK(pm__mem_alloc(pool, 1008) == p);
    pm__mem_free(p, 1008);
    pm__mem_free(q, 1008);
    pm__mem_free(mine, 32);
    for (unsigned i = 0; i < 12; i++) pm__mem_free(rest[i], 1008);
    block_free(batch_blocks[0][0]);
    block_free(batch_blocks[0][2]);
    CHECK_OK(pm_pool_free(pool));
}

TEST(memory_budget_sees_what_other_threads_gave_back) {
    pm_pool *pool = pool_with_budget(400000);
    batch b = {.pool = pool, .blocks = batch_blocks[0], .n = 0, .size = 320};
    for (unsigned round = 0; round < 4; round++) {
        unsigned n = 0;
        while (n < BATCH && (batch_blocks[0][n] = pm__mem_alloc(pool, 320)) != NULL)
            block_fill(batch_blocks[0][n++], 320, round);
        CHECK(n < BATCH);
        /* A chunk yields a slab more or less, depending on the address that it happens to get. */
        if (round) CHECK_NOTE(n + 300 > b.n, "%u blocks, before %u", n, b.n);
        b.n = n;
        finish(start(free_batch, &b));
    }
    CHECK_OK(pm_pool_free(pool));
}
#endif

/* A pool that is freed while a thread still remembers its heap of it. */
typedef struct relay {
    pthread_barrier_t turn;
    pm_pool *pool;
} relay;

static void *use_pool_twice(void *arg) {
    relay *r = arg;
    for (unsigned round = 0; round < 20; round++) {
        pthread_barrier_wait(&r->turn);
        void *p = pm__mem_alloc(r->pool, 128), *q = pm__mem_alloc(r->pool, 32);
        CHECK(p && q);
        pm__mem_free(q, 32);
        CHECK_EQ(stats_of(r->pool).nodes, 2); /* p, and the main thread's */
        pm__mem_free(p, 128);
        pthread_barrier_wait(&r->turn);
    }
    return NULL;
}

TEST(memory_freed_pool_leaves_nothing_behind_in_threads) {
    relay r = {.pool = NULL};
    CHECK_EQ(pthread_barrier_init(&r.turn, NULL, 2), 0);
    pthread_t t = start(use_pool_twice, &r);
    for (unsigned round = 0; round < 20; round++) {
        pm_pool *spare = round % 3 ? pool_with_budget(0) : NULL; /* other ids, other addresses */
        r.pool = pool_with_budget(0);
        void *p = pm__mem_alloc(r.pool, 32);
        CHECK(p != NULL);
        pthread_barrier_wait(&r.turn);
        pthread_barrier_wait(&r.turn);
        CHECK_EQ(stats_of(r.pool).nodes, 1);
        pm__mem_free(p, 32);
        CHECK_OK(pm_pool_free(r.pool));
        CHECK_OK(pm_pool_free(spare));
    }
    finish(t);
    pthread_barrier_destroy(&r.turn);
}

TEST(memory_many_pools_in_one_thread_are_told_apart) {
    enum { POOLS = 13 };
    pm_pool *pools[POOLS];
    void *blocks[POOLS][8];
    for (unsigned i = 0; i < POOLS; i++) pools[i] = pool_with_budget(0);
    for (unsigned k = 0; k < 8; k++)
        for (unsigned i = 0; i < POOLS; i++) {
            blocks[i][k] = pm__mem_alloc(pools[i], 48);
            CHECK(blocks[i][k] != NULL);
        }
    for (unsigned i = 0; i < POOLS; i++) CHECK_EQ(stats_of(pools[i]).nodes, 8);
    for (unsigned i = 0; i < POOLS; i++) {
        for (unsigned k = 0; k < 8; k++) pm__mem_free(blocks[i][k], 48);
        CHECK_EQ(stats_of(pools[i]).nodes, 0);
        CHECK_OK(pm_pool_free(pools[i]));
    }
}

/* The end of a thread has an order of its own: other destructors may still use the pool. */
static pthread_key_t late_key;

static void use_pool_late(void *arg) {
    batch *b = arg;
    free_batch(b);
    make_batch(b);
}

static void *end_with_destructor(void *arg) {
    batch *b = arg;
    make_batch(b);
    pthread_setspecific(late_key, b);
    return NULL;
}

TEST(memory_destructors_of_an_ending_thread_may_allocate) {
    CHECK_EQ(pthread_key_create(&late_key, use_pool_late), 0);
    for (unsigned round = 0; round < 10; round++) {
        batch b = {.pool = NULL, .blocks = batch_blocks[0], .n = 200, .seed = round};
        finish(start(end_with_destructor, &b));
        CHECK_EQ(stats_of(NULL).nodes, 200);
        free_batch(&b);
        CHECK_EQ(stats_of(NULL).nodes, 0);
    }
    pthread_key_delete(late_key);
}

/* ---- pools that are freed as soon as they are empty ---------------------------------------------------------- */

/* A pool's end, with the last blocks freed by another thread, and the answer asked for until it is PM_OK. What the
   allocator gets back it fills with rubbish, so a late hand in it crashes or is found by a checker. */
enum { DROPS = 300 };

static void *free_late(void *arg) {
    batch *b = arg;
    for (unsigned i = 0; i < b->n; i++) pm__mem_free(b->blocks[i], 96);
    return NULL;
}

/* The pool is this thread's: it owns the heap, and one block or another is alive until the end. */
static void *move_and_free(void *arg) {
    batch *b = arg;
    void *last = b->blocks[0];
    for (unsigned i = 0; i < b->n; i++) {
        void *p = pm__mem_alloc(b->pool, 96 + i % 2 * 32);
        CHECK(p != NULL);
        pm__mem_free(last, i ? 96 + (i - 1) % 2 * 32 : 96);
        last = p;
    }
    pm__mem_free(last, b->n ? 96 + (b->n - 1) % 2 * 32 : 96);
    return NULL;
}

static uint64_t poll_free(pm_pool *pool) {
    uint64_t busy = 0;
    while (pm_pool_free(pool) == PM_BUSY) {
        busy++;
        if (busy % 3 == 0) sched_yield();
    }
    return busy;
}

TEST(memory_pool_can_be_freed_beside_the_last_drops) {
    uint64_t busy = 0, rounds = 0, before = check_live_blocks();
    for (double end = now() + stress_seconds(); now() < end || rounds < 20; rounds++) {
        void *(*const how[])(void *) = {free_late, move_and_free};
        batch b[2];
        pm_pool *pool = pool_with_budget(0);
        unsigned n = rounds % 2 ? DROPS : 1, threads = 1 + (unsigned)(rounds / 2 % 2);
        for (unsigned t = 0; t < threads; t++) {
            b[t] = (batch){.pool = pool, .blocks = batch_blocks[t], .n = n};
            for (unsigned i = 0; i < n; i++) CHECK((batch_blocks[t][i] = pm__mem_alloc(pool, 96)) != NULL);
        }
        bool moves = rounds % 3 == 0;
        if (moves) free_late(&(batch){.blocks = batch_blocks[0] + 1, .n = n - 1});
        pthread_t first = start(how[moves], &b[0]), second = threads == 2 ? start(free_late, &b[1]) : first;
        busy += poll_free(pool);
        finish(first);
        if (threads == 2) finish(second);
        CHECK_EQ(check_live_blocks(), before);
    }
    printf("# %" PRIu64 " pools freed, %" PRIu64 " times busy\n", rounds, busy);
}

/* ---- what other threads hold --------------------------------------------------------------------------------- */

/* A thread that does as it is told, and waits in between. */
typedef struct waiter {
    pthread_barrier_t turn;
    batch b;
    void *(*next)(void *);
} waiter;

static void *wait_and_do(void *arg) {
    waiter *w = arg;
    for (;;) {
        pthread_barrier_wait(&w->turn);
        if (!w->next) return NULL;
        w->next(&w->b);
        pthread_barrier_wait(&w->turn);
    }
}

static pthread_t waiter_start(waiter *w) {
    CHECK_EQ(pthread_barrier_init(&w->turn, NULL, 2), 0);
    return start(wait_and_do, w);
}

static void waiter_do(waiter *w, void *(*next)(void *)) {
    w->next = next;
    pthread_barrier_wait(&w->turn);
    pthread_barrier_wait(&w->turn);
}

static void waiter_end(waiter *w, pthread_t t) {
    w->next = NULL;
    pthread_barrier_wait(&w->turn);
    finish(t);
    pthread_barrier_destroy(&w->turn);
}

#if PM_POOL
static void *touch_pool(void *arg) {
    batch *b = arg;
    void *p[64]; /* more than a slab of them, so that the thread looks after its lists */
    for (unsigned i = 0; i < 64; i++) CHECK((p[i] = pm__mem_alloc(b->pool, 512)) != NULL);
    for (unsigned i = 0; i < 64; i++) pm__mem_free(p[i], 512);
    return NULL;
}

static unsigned slabs_in_use(const pm_pool *pool) {
    unsigned n = 0;
    for (const pm__chunk *c = pool->open; c; c = c->next) n += c->slabs - c->free_slabs;
    for (const pm__chunk *c = pool->full; c; c = c->next) n += c->slabs;
    return n;
}

TEST(memory_trim_collects_what_a_waiting_thread_made) {
    pm_pool *pool = pool_with_budget(0);
    waiter w = {.b = {.pool = pool, .blocks = batch_blocks[0], .n = BATCH}};
    pthread_t t = waiter_start(&w);
    for (unsigned round = 0; round < 6; round++) {
        w.b.size = round % 2 ? 160 : 0;
        waiter_do(&w, make_batch);
        unsigned before = slabs_in_use(pool);
        CHECK(before > 2 * PM__MEM_CLASSES || w.b.size);
        /* The rest by the maker: slabs with blocks of both kinds. */
        unsigned keep = round % 3 * 100;
        w.b.n = keep;
        free_batch(&(batch){.blocks = batch_blocks[0] + keep, .n = BATCH - keep});
        pm_pool_trim(pool);
        if (keep) waiter_do(&w, free_batch);
        CHECK_EQ(stats_of(pool).nodes, 0);
        pm_pool_trim(pool);
        CHECK_NOTE(slabs_in_use(pool) <= PM__MEM_CLASSES, "%u of %u slabs", slabs_in_use(pool), before);
        w.b.n = BATCH;
    }
    waiter_do(&w, touch_pool); /* it has been asked for the rest */
    CHECK_NOTE(slabs_in_use(pool) <= 2, "%u slabs", slabs_in_use(pool));
    waiter_end(&w, t);
    pm_pool_trim(pool);
    CHECK_EQ(stats_of(pool).reserved, sizeof(pm_pool));
    CHECK_OK(pm_pool_free(pool));
}
#endif

TEST(memory_budget_reaches_what_a_waiting_thread_made) {
    pm_pool *pool = pool_with_budget(2000000);
    waiter w = {.b = {.pool = pool, .blocks = batch_blocks[0], .n = BATCH, .size = 256}};
    pthread_t t = waiter_start(&w);
    for (unsigned round = 0; round < 4; round++) {
        waiter_do(&w, make_batch);
        free_batch(&w.b);
        make_batch(&w.b); /* checks that nothing is refused */
        free_batch(&w.b);
        CHECK_EQ(stats_of(pool).nodes, 0);
    }
    waiter_end(&w, t);
    CHECK_OK(pm_pool_free(pool));
}

TEST(memory_of_thousands_of_threads_does_not_grow) {
    pm_pool *pool = pool_with_budget(0);
    uint64_t early = 0;
    for (unsigned i = 0; i < 3000; i++) {
        batch b = {.pool = pool, .blocks = batch_blocks[0], .n = 100, .seed = i % 7};
        finish(start(make_batch, &b));
        if (i % 2) free_batch(&b);
        else finish(start(free_batch, &b));
        if (i == 50) early = stats_of(pool).reserved;
    }
    CHECK_NOTE(stats_of(pool).reserved <= early, "%" PRIu64 " bytes, early %" PRIu64, stats_of(pool).reserved, early);
    CHECK_EQ(stats_of(pool).nodes, 0);
    pm_pool_trim(pool);
#if PM_POOL
    CHECK_EQ(stats_of(pool).reserved, sizeof(pm_pool));
#endif
    CHECK_OK(pm_pool_free(pool));
}

/* Blocks change hands through a table of mailboxes; threads end and are replaced meanwhile. */
enum { BOXES = 512, WORKERS = 4 };

typedef struct exchange {
    pm_pool *pools[3];
    _Atomic(void *) boxes[BOXES];
} exchange;

typedef struct worker {
    exchange *x;
    uint64_t seed;
    unsigned steps;
} worker;

static void *trade(void *arg) {
    worker *w = arg;
    for (unsigned i = 0; i < w->steps; i++) {
        uint64_t r = check_rand_from(&w->seed);
        void *p = NULL;
        if (r % 5) {
            size_t size = random_size(&w->seed);
            p = pm__mem_alloc(w->x->pools[(r >> 8) % 3], size);
            CHECK(p != NULL);
            if (p) block_fill(p, size, r);
        }
        p = atomic_exchange(&w->x->boxes[(r >> 16) % BOXES], p);
        if (p) {
            CHECK(block_is_whole(p));
            block_free(p);
        }
        if ((r >> 30) % 4096 == 0) pm_pool_trim(w->x->pools[(r >> 8) % 3]);
        if ((r >> 30) % 2048 == 1) CHECK(stats_of(w->x->pools[(r >> 8) % 3]).nodes < 100000);
    }
    return NULL;
}

static void trade_for_generations(void) {
    static exchange x;
    memset(x.pools, 0, sizeof x.pools);
    x.pools[1] = pool_with_budget(0);
    x.pools[2] = pool_with_budget(64 * 1024 * 1024);
    pthread_t threads[WORKERS];
    worker w[WORKERS];
    for (unsigned generation = 0; generation < 40; generation++) {
        unsigned i = generation % WORKERS;
        if (generation >= WORKERS) finish(threads[i]);
        w[i] = (worker){.x = &x, .seed = check_rand(), .steps = 4000};
        threads[i] = start(trade, &w[i]);
    }
    for (unsigned i = 0; i < WORKERS; i++) finish(threads[i]);
    uint64_t live[3] = {0, 0, 0}, total = 0;
    for (unsigned i = 0; i < 3; i++) live[i] = stats_of(x.pools[i]).nodes;
    for (unsigned i = 0; i < BOXES; i++) {
        void *p = atomic_exchange(&x.boxes[i], NULL);
        if (!p) continue;
        total++;
        CHECK(block_is_whole(p));
        block_free(p);
    }
    CHECK_EQ(live[0] + live[1] + live[2], total);
    for (unsigned i = 0; i < 3; i++) {
        CHECK_EQ(stats_of(x.pools[i]).nodes, 0);
        CHECK_EQ(stats_of(x.pools[i]).live, 0);
    }
    CHECK_OK(pm_pool_free(x.pools[1]));
    CHECK_OK(pm_pool_free(x.pools[2]));
    pm_pool_trim(NULL);
    CHECK_EQ(stats_of(NULL).reserved, 0);
}

TEST(memory_survives_threads_that_trade_blocks_and_end) { trade_for_generations(); }

#if PM_POOL
/* Threads whose end nobody would notice, since there is no key left. */
enum { KEYS_MOST = 4096 };
static pthread_key_t keys[KEYS_MOST];

static void *use_budget_up(void *arg) {
    batch *b = arg;
    b->n = 0;
    CHECK(pm__mem_self.heap == NULL && !pm__mem_self.registered);
    while (b->n < BATCH && (b->blocks[b->n] = pm__mem_alloc(b->pool, 256)) != NULL) {
        block_fill(b->blocks[b->n], 256, b->n);
        b->n++;
    }
    CHECK(!pm__mem_self.registered);
    return NULL;
}

static void work_without_keys(void) {
    pm_pool *pool = pool_with_budget(1000000);
    batch b = {.pool = pool, .blocks = batch_blocks[0]};
    for (unsigned round = 0; round < 4; round++) {
        finish(start(use_budget_up, &b));
        CHECK_NOTE(b.n > 3000, "only %u blocks", b.n); /* of 3,900 */
        CHECK_EQ(stats_of(pool).nodes, b.n);
        finish(start(free_batch, &b));
        CHECK_EQ(stats_of(pool).nodes, 0);
    }
    pm_pool_trim(pool);
    CHECK_EQ(stats_of(pool).reserved, sizeof(pm_pool));
    CHECK_OK(pm_pool_free(pool));
}

TEST(memory_without_thread_keys_works) {
    unsigned n = 0;
    bool had_key = pm__mem_registry.has_key;
    pm__mem_registry.has_key = false;
    while (n < KEYS_MOST && pthread_key_create(&keys[n], NULL) == 0) n++;
    CHECK(n < KEYS_MOST);
    work_without_keys();
    trade_for_generations();
    CHECK(!pm__mem_registry.has_key);
    pm__mem_registry.has_key = had_key;
    while (n) pthread_key_delete(keys[--n]);
}
#endif

#endif
