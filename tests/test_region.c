/* Pools over a region: bounded, shared between threads and processes, and indifferent to processes that are killed, at
   random and before every single atomic step. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#include "check.h"

#include <pthread.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

static inline void atomic_step(void);
#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#define PM_ON_ATOMIC_RMW() atomic_step()
#include "../pathmap.h"

/* ---- helpers ------------------------------------------------------------------------------------------------- */

/* In a child: the atomic steps that it may still make; it is killed instead of making the one after. */
static uint64_t steps_left = UINT64_MAX;

static inline void atomic_step(void) {
    if (steps_left == UINT64_MAX) return;
    if (steps_left-- == 0) raise(SIGKILL);
}

/* Memory that children share. */
static void *shared_memory(size_t bytes) {
    void *p = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    CHECK(p != MAP_FAILED);
    return p;
}

static pm_pool *pool_in(void *region, size_t bytes) {
    pm_pool *pool = NULL;
    CHECK_OK(pm_pool_new_in(region, bytes, NULL, &pool));
    return pool;
}

static pm_pool_stats stats_of(const pm_pool *pool) {
    pm_pool_stats s;
    pm_pool_get_stats(pool, &s);
    return s;
}

static uint32_t slabs_of(const pm_pool *pool) { return ((const pm__region *)(const void *)pool)->slabs; }

/* How many blocks of a size fit a slab; without the ordinary pool each has 16 bytes in front. */
static uint64_t blocks_per_slab(size_t size) {
    return pm__region_blocks(pm__region_class_of(size + (PM_POOL ? 0 : 16)));
}

static void sound(const pm_map *m) {
    const char *why = "?";
    CHECK_NOTE(pm_check(m, &why) == PM_OK, "%s", why);
}

static bool same(const pm_map *a, const pm_map *b) {
    bool equal = false;
    CHECK_OK(pm_equal(a, b, &equal));
    return equal;
}

/* The i-th key of a family: different families make nodes of different sizes. */
static size_t make_key(char *key, unsigned family, uint64_t i) {
    uint64_t x = i * 0x9e3779b97f4a7c15u;
    switch (family % 4) {
    case 0: return (size_t)sprintf(key, "%" PRIu64, i);
    case 1: return (size_t)sprintf(key, "%016" PRIx64, x);
    case 2: return (size_t)sprintf(key, "a/long/way/down/to/%" PRIu64 "/and/some/more/%08" PRIx64, i % 97, x >> 32);
    default: memcpy(key, &x, 3); return 3;
    }
}

static pm_status put(pm_map *m, unsigned family, uint64_t i) {
    char key[128];
    size_t len = make_key(key, family, i);
    return pm_set(m, key, len, i, NULL);
}

/* Keys from..to-1 of a family. */
static pm_status fill(pm_map *m, unsigned family, uint64_t from, uint64_t to) {
    pm_status s = PM_OK;
    for (uint64_t i = from; i < to && s == PM_OK; i++) s = put(m, family, i);
    return s;
}

/* What `fill` makes, elsewhere. */
static pm_map expected(unsigned family, uint64_t from, uint64_t to) {
    pm_map m = pm_new(NULL, NULL);
    CHECK_OK(fill(&m, family, from, to));
    return m;
}

static void holds(const pm_map *m, unsigned family, uint64_t from, uint64_t to) {
    pm_map want = expected(family, from, to);
    sound(m);
    CHECK(same(m, &want));
    pm_drop(&want);
}

/* Blocks, each with its size and a pattern over all of it. */
static void block_fill(void *p, size_t size, uint64_t tag) {
    uint64_t *w = p;
    w[0] = size;
    for (size_t i = 1; i < size / 8; i++) w[i] = tag * 0x9e3779b97f4a7c15u + i;
    w[1] = tag;
}

static bool block_is_whole(const void *p) {
    const uint64_t *w = p;
    if (w[0] < 32 || w[0] > PM__MEM_MAX) return false;
    for (size_t i = 2; i < w[0] / 8; i++)
        if (w[i] != w[1] * 0x9e3779b97f4a7c15u + i) return false;
    return true;
}

static void block_free(void *p) {
    size_t size = (size_t)((uint64_t *)p)[0];
    memset(p, 0xee, size);
    pm__mem_free(p, size);
}

static size_t random_size(uint64_t *rng) {
    uint64_t r = check_rand_from(rng);
    return pm__mem_round((size_t)(r >> 8) % (r % 8 ? 512 : PM__MEM_MAX) + 1);
}

/* Takes blocks of a size until there are no more; linked, so that the list needs no memory. */
static uint64_t take_all(pm_pool *pool, size_t size, void **list) {
    uint64_t n = 0;
    for (void *p; (p = pm__mem_alloc(pool, size)); n++) {
        *(void **)p = *list;
        *list = p;
    }
    return n;
}

static void give_all(void *list, size_t size) {
    while (list) {
        void *next = *(void **)list;
        pm__mem_free(list, size);
        list = next;
    }
}

/* Children run `body` and end; how they end is the parent's to see. A failed check in a child ends it with 1. */
static pid_t child(void (*body)(void *arg), void *arg) {
    fflush(stdout);
    pid_t pid = fork();
    CHECK(pid >= 0);
    if (pid) return pid;
    check__escape = NULL;
    body(arg);
    _exit(check_failed() ? 1 : 0);
}

static int wait_for(pid_t pid) {
    int status = -1;
    CHECK_EQ(waitpid(pid, &status, 0), pid);
    return status;
}

static bool ended_well(pid_t pid) {
    int status = wait_for(pid);
    return WIFEXITED(status) && WEXITSTATUS(status) == 0;
}

/* Without atomics a pool is one process's at a time. */
#if PM_NO_THREADS
#define NEEDS_THREADS() SKIP("built without threads: nothing is shared")
#else
#define NEEDS_THREADS() ((void)0)
#endif

/* ---- regions ------------------------------------------------------------------------------------------------- */

TEST(region_refuses_what_is_no_region) {
    static unsigned char memory[PM_REGION_MIN];
    pm_pool *pool = NULL;
    CHECK_EQ(pm_pool_new_in(NULL, 1 << 20, NULL, &pool), PM_INVALID);
    for (size_t bytes = 0; bytes < 16384 + 64; bytes++) CHECK_EQ(pm_pool_new_in(memory, bytes, NULL, &pool), PM_NOMEM);
    pm_pool_options options = {.budget = 4096};
    CHECK_EQ(pm_pool_new_in(memory, sizeof memory, &options, &pool), PM_NOMEM);
    CHECK(pool == NULL);
    CHECK_OK(pm_pool_new_in(memory, sizeof memory, NULL, &pool));
    CHECK_OK(pm_pool_free(pool));
}

TEST(region_may_start_and_end_anywhere) {
    enum { ROOM = 2 * PM_REGION_MIN + 32768 };
    unsigned char *memory = malloc(ROOM);
    CHECK(memory != NULL);
    for (unsigned round = 0; round < 600; round++) {
        size_t start = round < 130 ? round : check_below(16384 + 100);
        size_t bytes = round % 3 ? PM_REGION_MIN : PM_REGION_MIN + check_below(ROOM - PM_REGION_MIN - start + 1);
        memset(memory, 0x5a, ROOM);
        pm_pool *pool = pool_in(memory + start, bytes);
        void *blocks = NULL;
        size_t size = pm__mem_class_bytes[check_below(PM__MEM_CLASSES)];
        CHECK(take_all(pool, size, &blocks) >= slabs_of(pool));
        for (void *p = blocks; p; p = *(void **)p) {
            CHECK((unsigned char *)p >= memory + start && (unsigned char *)p + size <= memory + start + bytes);
            memset((void **)p + 1, 0x11, size - sizeof(void *));
        }
        CHECK_EQ(stats_of(pool).reserved, bytes);
        CHECK_EQ(pm_pool_free(pool), PM_BUSY);
        give_all(blocks, size);
        CHECK_OK(pm_pool_free(pool));
        for (size_t i = 0; i < start; i++) CHECK_EQ(memory[i], 0x5a);
        for (size_t i = start + bytes; i < ROOM; i++) CHECK_EQ(memory[i], 0x5a);
    }
    free(memory);
}

TEST(region_wastes_little) {
    for (size_t bytes = 1 << 20; bytes <= 64 << 20; bytes *= 4) {
        void *region = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
        CHECK(region != MAP_FAILED);
        pm_pool *pool = pool_in(region, bytes);
        CHECK(slabs_of(pool) >= bytes / 16384 - 2 - bytes / 16384 / 150);
        CHECK_OK(pm_pool_free(pool));
        munmap(region, bytes);
    }
}

TEST(region_budget_leaves_the_rest_alone) {
    enum { BYTES = 1 << 20, BUDGET = 200000 };
    unsigned char *region = shared_memory(BYTES);
    pm_pool_options options = {.budget = BUDGET};
    pm_pool *pool = NULL;
    CHECK_OK(pm_pool_new_in(region, BYTES, &options, &pool));
    CHECK_EQ(stats_of(pool).budget, BUDGET);
    pm_map m = pm_new(NULL, pool);
    CHECK_EQ(fill(&m, 1, 0, 1000000), PM_NOMEM);
    for (size_t i = BUDGET; i < BYTES; i++) CHECK_EQ(region[i], 0);
    pm_drop(&m);
    CHECK_OK(pm_pool_free(pool));
    munmap(region, BYTES);
}

/* ---- one process --------------------------------------------------------------------------------------------- */

TEST(region_blocks_are_aligned_and_do_not_overlap) {
    enum { N = 3000, BYTES = 4 << 20 };
    static void *blocks[N];
    void *region = shared_memory(BYTES);
    pm_pool *pool = pool_in(region, BYTES);
    uint64_t rng = check_rand(), nodes = 0;
    memset(blocks, 0, sizeof blocks);
    for (unsigned step = 0; step < 100000; step++) {
        unsigned i = (unsigned)check_below(N);
        if (blocks[i]) {
            CHECK(block_is_whole(blocks[i]));
            block_free(blocks[i]);
            blocks[i] = NULL;
            nodes--;
        } else {
            size_t size = random_size(&rng);
            blocks[i] = pm__mem_alloc(pool, size);
            CHECK(blocks[i] != NULL);
            CHECK_EQ((uintptr_t)blocks[i] % 16, 0);
            block_fill(blocks[i], size, check_rand_from(&rng));
            nodes++;
        }
        if (step % 256) continue;
        pm_pool_stats s = stats_of(pool);
        CHECK_EQ(s.nodes, nodes);
        CHECK(s.reserved == BYTES && s.live <= s.in_slabs && s.in_slabs <= s.reserved);
    }
    for (unsigned i = 0; i < N; i++)
        if (blocks[i]) block_free(blocks[i]);
    pm_pool_stats s = stats_of(pool);
    CHECK(s.nodes == 0 && s.live == 0 && s.in_slabs == 0);
    pm_pool_trim(pool);
    CHECK_OK(pm_pool_free(pool));
    munmap(region, BYTES);
}

/* No class keeps a slab for itself: after each, all the others find the whole region. */
TEST(region_serves_one_class_after_another) {
    enum { BYTES = 600000 };
    void *region = shared_memory(BYTES);
    pm_pool *pool = pool_in(region, BYTES);
    for (unsigned round = 0; round < 3 * PM__MEM_CLASSES; round++) {
        unsigned c = (unsigned)check_below(PM__MEM_CLASSES);
        size_t size = pm__mem_class_bytes[c];
        void *blocks = NULL;
        uint64_t n = take_all(pool, size, &blocks);
        CHECK_EQ(n, slabs_of(pool) * blocks_per_slab(size));
        CHECK_EQ(stats_of(pool).nodes, n);
        give_all(blocks, size);
        CHECK_EQ(stats_of(pool).nodes, 0);
    }
    munmap(region, BYTES);
}

/* Slabs of which one block is held are of use to their own class, and to somewhat smaller ones when nothing else is
   left. */
TEST(region_gives_larger_blocks_as_a_last_resort) {
    enum { BYTES = 600000, HELD = 64 };
    void *held[HELD], *region = shared_memory(BYTES), *blocks = NULL, *small = NULL;
    pm_pool *pool = pool_in(region, BYTES);
    uint32_t slabs = slabs_of(pool);
    CHECK(slabs <= HELD);
    uint64_t n = take_all(pool, 2032, &blocks);
    memset(held, 0, sizeof held);
    while (blocks) {
        void *p = blocks;
        uint32_t s = (uint32_t)((size_t)((unsigned char *)p - ((pm__region *)(void *)pool)->base) / 16384);
        blocks = *(void **)p;
        if (held[s]) pm__mem_free(p, 2032);
        else held[s] = p;
    }
    CHECK_EQ(stats_of(pool).nodes, slabs);
    CHECK(pm__mem_alloc(pool, 2720) == NULL);
    CHECK(pm__mem_alloc(pool, 256) == NULL);
    CHECK_EQ(take_all(pool, 640, &small), n - slabs);
    CHECK_EQ(take_all(pool, 2032, &blocks), 0);
    give_all(small, 640);
    CHECK_EQ(take_all(pool, 2032, &blocks), n - slabs);
    give_all(blocks, 2032);
    for (uint32_t s = 0; s < slabs; s++) pm__mem_free(held[s], 2032);
    CHECK_OK(pm_pool_free(pool));
    munmap(region, BYTES);
}

TEST(region_full_is_an_answer_and_nothing_is_lost) {
    enum { BYTES = PM_CHECK < 3 ? 300000 : 100000, ROUNDS = PM_CHECK < 3 ? 12 : 4 };
    void *region = shared_memory(BYTES);
    pm_pool *pool = pool_in(region, BYTES);
    uint64_t most[4] = {0};
    for (unsigned round = 0; round < ROUNDS; round++) {
        unsigned family = round * 7 / 3 % 4;
        pm_map m = pm_new(NULL, pool);
        uint64_t i = 0, outside = check_live_bytes();
        while (put(&m, family, i) == PM_OK) i++;
        CHECK_EQ(put(&m, family, i), PM_NOMEM);
        CHECK_EQ(check_live_bytes(), outside);
        holds(&m, family, 0, i);
        CHECK(i > 500 && i >= most[family] / 4 * 3);
        most[family] = i;
        /* Some room, and it goes on; not for all keys, as nodes of other sizes are needed now. In the last family all
           keys go through one large node, which has shrunk and may not find its old size again. */
        char key[128];
        for (uint64_t k = 0; k < i; k += 2) {
            size_t len = make_key(key, family, k);
            CHECK_OK(pm_remove(&m, key, len, PM_PRUNE, NULL));
        }
        uint64_t again = 0;
        for (uint64_t k = 0; k < i; k += 2) again += put(&m, family, k) == PM_OK;
        CHECK_NOTE(again > i / 8 || family == 3, "%" PRIu64 " of %" PRIu64, again, i / 2);
        sound(&m);
        pm_drop(&m);
        pm_pool_stats s = stats_of(pool);
        CHECK(s.nodes == 0 && s.in_slabs == 0);
    }
    CHECK_OK(pm_pool_free(pool));
    munmap(region, BYTES);
}

/* Operations of every kind, each with a little more room than the time before, until it has enough. */
typedef struct operands {
    pm_map a, b;
} operands;

static pm_status op_join(operands *o, pm_map *out) { return pm_join(&o->a, &o->b, out, NULL); }
static pm_status op_meet(operands *o, pm_map *out) { return pm_meet(&o->a, &o->b, out, NULL); }
static pm_status op_subtract(operands *o, pm_map *out) { return pm_subtract(&o->a, &o->b, out, NULL); }
static pm_status op_symmetric(operands *o, pm_map *out) {
    return pm_symmetric_difference(&o->a, &o->b, out, NULL);
}
static pm_status op_write(operands *o, pm_map *out) {
    *out = pm_clone(&o->a);
    return fill(out, 1, 0, 30);
}

static pm_status op_zipper(operands *o, pm_map *out) {
    *out = pm_clone(&o->a);
    pm_wz z;
    pm_status s = pm_wz_open(out, "a/long/way", 10, &z);
    if (s != PM_OK) return s;
    s = pm_wz_set(&z, 7, NULL);
    if (s == PM_OK) s = pm_wz_graft_map(&z, &o->b);
    (void)pm_wz_drop(&z);
    return s;
}

TEST(region_full_is_an_answer_of_every_operation) {
    static pm_status (*const ops[])(operands *, pm_map *) = {op_join,      op_meet,  op_subtract,
                                                             op_symmetric, op_write, op_zipper};
    enum { BYTES = 400000, OPS = sizeof ops / sizeof *ops };
    void *region = shared_memory(BYTES);
    for (unsigned o = 0; o < OPS; o++) {
        uint64_t refused = 0;
        for (uint64_t room = 0;; room++) {
            pm_pool *pool = pool_in(region, BYTES);
            operands w = {pm_new(pm_ops_lattice(), pool), pm_new(pm_ops_lattice(), pool)};
            CHECK_OK(fill(&w.a, 0, 0, 300));
            CHECK_OK(fill(&w.a, 2, 0, 100));
            CHECK_OK(fill(&w.b, 0, 100, 400));
            CHECK_OK(fill(&w.b, 2, 50, 150));
            pm_map a = pm_new(pm_ops_lattice(), NULL), b = a, out = pm_new(NULL, NULL);
            CHECK_OK(fill(&a, 0, 0, 300));
            CHECK_OK(fill(&a, 2, 0, 100));
            CHECK_OK(fill(&b, 0, 100, 400));
            CHECK_OK(fill(&b, 2, 50, 150));
            void *junk[PM__MEM_CLASSES] = {NULL};
            for (unsigned c = PM__MEM_CLASSES; c-- > 0;) take_all(pool, pm__mem_class_bytes[c], &junk[c]);
            for (unsigned c = 0; c < PM__MEM_CLASSES; c++) {
                for (uint64_t i = 0; i < room && junk[c]; i++) {
                    void *next = *(void **)junk[c];
                    pm__mem_free(junk[c], pm__mem_class_bytes[c]);
                    junk[c] = next;
                }
            }
            uint64_t nodes = stats_of(pool).nodes, buffers = check_live_blocks();
            pm_status s = ops[o](&w, &out);
            CHECK(s == PM_OK || s == PM_NOMEM);
            if (s != PM_OK) refused++;
            sound(&out);
            pm_drop(&out);
            CHECK_EQ(stats_of(pool).nodes, nodes);
            CHECK_EQ(check_live_blocks(), buffers);
            sound(&w.a);
            sound(&w.b);
            CHECK(same(&w.a, &a) && same(&w.b, &b));
            for (unsigned c = 0; c < PM__MEM_CLASSES; c++) give_all(junk[c], pm__mem_class_bytes[c]);
            pm_drop(&w.a);
            pm_drop(&w.b);
            pm_drop(&a);
            pm_drop(&b);
            CHECK_OK(pm_pool_free(pool));
            if (s == PM_OK) break;
        }
        CHECK_NOTE(refused > 0, "operation %u needs no memory", o);
    }
    munmap(region, BYTES);
}

TEST(region_holds_long_strings) {
    enum { BYTES = 1 << 20 };
    static const size_t lengths[] = {0, 1, 16, 5424, 5425, 8000, 8144, 8145, PM_REGION_BYTES_MAX};
    static unsigned char text[PM_REGION_BYTES_MAX + 1];
    void *region = shared_memory(BYTES);
    pm_pool *pools[2] = {pool_in(region, BYTES), NULL};
    for (size_t i = 0; i < sizeof text; i++) text[i] = (unsigned char)(i * 7);
    for (unsigned p = 0; p < 2; p++) {
        pm_pool_trim(pools[p]);
        uint64_t outside = check_live_blocks();
        pm_map m = pm_new(pm_ops_bytes(), pools[p]);
        pm_val v;
        for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            CHECK_OK(pm_bytes_new_in(pools[p], text, lengths[i], &v));
            CHECK_OK(pm_set(&m, &i, sizeof i, v, NULL));
            CHECK_OK(pm_bytes_new_in(pools[p], text, lengths[i], &v));
            pm_bytes_release(v);
        }
        pm_map other = pm_clone(&m);
        CHECK_OK(pm_set(&other, "x", 1, *pm_get(&m, &(unsigned){5}, sizeof(unsigned)), NULL));
        pm_opt old;
        CHECK_OK(pm_remove(&other, "x", 1, PM_PRUNE, &old));
        for (unsigned i = 0; i < sizeof lengths / sizeof *lengths; i++) {
            size_t len = 0;
            const pm_val *at = pm_get(&m, &i, sizeof i);
            CHECK(at != NULL);
            const void *data = pm_bytes_get(*at, &len);
            CHECK_MEM_EQ(data, len, text, lengths[i]);
        }
        if (!p) CHECK_EQ(check_live_blocks(), outside);
        if (!p) CHECK_EQ(pm_bytes_new_in(pools[p], text, sizeof text, &v), PM_INVALID);
        CHECK_EQ(pm_bytes_new_in(pools[p], text, SIZE_MAX, &v), PM_INVALID);
        pm_drop(&other);
        pm_drop(&m);
        pm_pool_trim(pools[p]);
        if (p) CHECK_EQ(check_live_blocks(), outside);
    }
    CHECK_EQ(stats_of(pools[0]).nodes, 0);
    CHECK_OK(pm_pool_free(pools[0]));
    munmap(region, BYTES);
}

/* ---- threads ------------------------------------------------------------------------------------------------- */

enum { WORKERS = 4, SWAPS = 64, HOLDS = 48 };

/* What workers share. A worker's blocks are in `held`; the others may take those in `swap`. */
typedef struct trade {
    pm_pool *pool;
    _Atomic(void *) swap[SWAPS];
    void *held[WORKERS][HOLDS];
    atomic_ullong refused;
} trade;

typedef struct worker {
    trade *t;
    unsigned number, steps;
    uint64_t rng;
} worker;

/* At no moment does a worker have more than one block that is neither in `held` nor in `swap`. */
static void trade_blocks(worker *w) {
    void **held = w->t->held[w->number];
    for (unsigned step = 0; step < w->steps; step++) {
        uint64_t r = check_rand_from(&w->rng);
        unsigned i = (unsigned)(r >> 32) % HOLDS;
        void *p = held[i];
        if (p && r % 4 == 0) {
            held[i] = NULL;
            held[i] = atomic_exchange(&w->t->swap[(r >> 8) % SWAPS], p);
        } else if (p) {
            CHECK(block_is_whole(p));
            held[i] = NULL;
            block_free(p);
        } else {
            size_t size = random_size(&w->rng);
            p = pm__mem_alloc(w->t->pool, size);
            if (p) block_fill(p, size, r);
            else atomic_fetch_add(&w->t->refused, 1);
            held[i] = p;
        }
    }
}

static void *trade_thread(void *arg) {
    trade_blocks(arg);
    return NULL;
}

static void give_traded(trade *t) {
    for (unsigned i = 0; i < SWAPS; i++) {
        void *p = atomic_exchange(&t->swap[i], NULL);
        if (p) CHECK(block_is_whole(p));
        if (p) block_free(p);
    }
    for (unsigned w = 0; w < WORKERS; w++) {
        for (unsigned i = 0; i < HOLDS; i++) {
            if (t->held[w][i]) CHECK(block_is_whole(t->held[w][i]));
            if (t->held[w][i]) block_free(t->held[w][i]);
            t->held[w][i] = NULL;
        }
    }
}

/* How many blocks of a class a region without leaks has. */
static void whole_again(pm_pool *pool) {
    void *blocks = NULL;
    CHECK_EQ(stats_of(pool).nodes, 0);
    CHECK_EQ(stats_of(pool).in_slabs, 0);
    uint64_t n = take_all(pool, 1008, &blocks);
    give_all(blocks, 1008);
    CHECK_EQ(n, slabs_of(pool) * blocks_per_slab(1008));
}

/* In a region that is large enough, and in one that is full most of the time. */
TEST(region_survives_threads_that_trade_blocks) {
    static const size_t sizes[] = {4 << 20, 160000};
    NEEDS_THREADS();
    for (unsigned k = 0; k < 2; k++) {
        void *region = shared_memory(sizes[k]);
        trade *t = calloc(1, sizeof *t);
        pthread_t threads[WORKERS];
        worker workers[WORKERS];
        t->pool = pool_in(region, sizes[k]);
        for (unsigned i = 0; i < WORKERS; i++) {
            workers[i] = (worker){.t = t, .number = i, .steps = PM__TSAN ? 10000 : 40000, .rng = check_rand()};
            CHECK_EQ(pthread_create(&threads[i], NULL, trade_thread, &workers[i]), 0);
        }
        for (unsigned i = 0; i < WORKERS; i++) pthread_join(threads[i], NULL);
        CHECK_EQ(atomic_load(&t->refused) > 0, k == 1);
        give_traded(t);
        whole_again(t->pool);
        free(t);
        munmap(region, sizes[k]);
    }
}

typedef struct map_worker {
    const pm_map *base;
    pm_map result;
    unsigned number;
} map_worker;

static void *map_thread(void *arg) {
    map_worker *w = arg;
    for (unsigned round = 0; round < 5; round++) {
        pm_map m = pm_clone(w->base);
        CHECK_OK(fill(&m, w->number, 0, 400));
        pm_drop(&w->result);
        CHECK_OK(pm_join(&m, w->base, &w->result, NULL));
        pm_drop(&m);
    }
    return NULL;
}

TEST(region_maps_of_several_threads_share_nodes) {
    enum { BYTES = 4 << 20 };
    NEEDS_THREADS();
    void *region = shared_memory(BYTES);
    pm_pool *pool = pool_in(region, BYTES);
    pm_map base = pm_new(NULL, pool);
    CHECK_OK(fill(&base, 0, 0, 1000));
    pthread_t threads[WORKERS];
    map_worker workers[WORKERS];
    for (unsigned i = 0; i < WORKERS; i++) {
        workers[i] = (map_worker){.base = &base, .result = pm_new(NULL, pool), .number = i};
        CHECK_EQ(pthread_create(&threads[i], NULL, map_thread, &workers[i]), 0);
    }
    for (unsigned i = 0; i < WORKERS; i++) {
        pthread_join(threads[i], NULL);
        pm_map want = expected(i, 0, 400);
        CHECK_OK(fill(&want, 0, 0, 1000));
        sound(&workers[i].result);
        CHECK(same(&workers[i].result, &want));
        pm_drop(&want);
        pm_drop(&workers[i].result);
    }
    holds(&base, 0, 0, 1000);
    pm_drop(&base);
    whole_again(pool);
    munmap(region, BYTES);
}

/* ---- processes ----------------------------------------------------------------------------------------------- */

typedef struct family {
    pm_map maps[WORKERS + 1]; /* the last one is the parent's */
} family;

typedef struct member {
    family *f;
    unsigned number;
} member;

static void write_map(void *arg) {
    member *self = arg;
    family *f = self->f;
    unsigned n = self->number;
    CHECK_OK(fill(&f->maps[n], n, 0, 500 + 100 * n));
    holds(&f->maps[n], n, 0, 500 + 100 * n);
    /* Beside it a branch of the parent's map, written to, and given up again. */
    pm_map m = pm_clone(&f->maps[WORKERS]);
    CHECK_OK(fill(&m, 3, 0, 200));
    pm_drop(&m);
}

static void drop_maps(void *arg) {
    family *f = arg;
    for (unsigned i = 0; i <= WORKERS; i++) pm_drop(&f->maps[i]);
}

TEST(region_children_write_maps_that_the_parent_reads) {
    enum { BYTES = 4 << 20 };
    NEEDS_THREADS();
    unsigned char *memory = shared_memory(BYTES);
    family *f = (family *)(void *)memory;
    pm_pool *pool = pool_in(memory + sizeof *f, BYTES - sizeof *f);
    pid_t children[WORKERS];
    for (unsigned i = 0; i <= WORKERS; i++) f->maps[i] = pm_new(NULL, pool);
    CHECK_OK(fill(&f->maps[WORKERS], 0, 0, 2000));
    for (unsigned i = 0; i < WORKERS; i++) {
        member self = {f, i};
        children[i] = child(write_map, &self);
    }
    pm_map all = pm_clone(&f->maps[WORKERS]), want = expected(0, 0, 2000);
    for (unsigned i = 0; i < WORKERS; i++) {
        pm_map joined;
        CHECK(ended_well(children[i]));
        holds(&f->maps[i], i, 0, 500 + 100 * i);
        CHECK_OK(pm_join(&all, &f->maps[i], &joined, NULL));
        pm_drop(&all);
        all = joined;
        CHECK_OK(fill(&want, i, 0, 500 + 100 * i));
    }
    sound(&all);
    CHECK(same(&all, &want));
    holds(&f->maps[WORKERS], 0, 0, 2000);
    /* One child gives up what its siblings and its parent have made; what the parent has joined stays. */
    CHECK(ended_well(child(drop_maps, f)));
    for (unsigned i = 0; i <= WORKERS; i++) CHECK(pm_is_empty(&f->maps[i]));
    CHECK(same(&all, &want));
    pm_drop(&want);
    pm_drop(&all);
    whole_again(pool);
    CHECK_OK(pm_pool_free(pool));
    munmap(memory, BYTES);
}

/* ---- killed processes ---------------------------------------------------------------------------------------- */

/* After a kill, and after all that is known to be held has been given back: at most `lost` blocks are gone, each with
   its slab, and all the rest can be used, whole, by any class. */
static void nothing_else_is_lost(pm_pool *pool, uint64_t lost) {
    pm_pool_stats s = stats_of(pool);
    CHECK(s.nodes <= lost && s.in_slabs <= lost * 16384);
    uint64_t slabs = slabs_of(pool), free_slabs = slabs > lost ? slabs - lost : 0;
    for (unsigned c = 0; c < PM__MEM_CLASSES; c += 7) {
        size_t size = pm__mem_class_bytes[c];
        void *blocks = NULL;
        uint64_t n = take_all(pool, size, &blocks);
        for (void *p = blocks; p; p = *(void **)p) memset((void **)p + 1, (int)c, size - sizeof(void *));
        give_all(blocks, size);
        CHECK(n >= free_slabs * blocks_per_slab(size));
        CHECK_EQ(stats_of(pool).nodes, s.nodes);
    }
}

/* A small region, so that a child meets all that can happen: full slabs, slabs that change their class, a search
   through all of them, larger blocks as a last resort, and no room at all. */
static void kill_script(void *arg) {
    static const uint16_t sizes[] = {5440, 32, 2320, 4080};
    trade *t = arg;
    for (unsigned i = 0; i < HOLDS; i++) {
        size_t size = pm__mem_round(sizes[i % 4]);
        void *p = pm__mem_alloc(t->pool, size);
        if (p) block_fill(p, size, i);
        t->held[0][i] = p;
    }
    for (unsigned i = 0; i < HOLDS; i++) { /* the parent's */
        void *p = t->held[1][i];
        t->held[1][i] = NULL;
        if (p) block_free(p);
        if (i % 3) continue;
        p = pm__mem_alloc(t->pool, 960);
        if (p) block_fill(p, 960, i);
        t->held[1][i] = p;
    }
    for (unsigned i = 0; i < HOLDS; i += 2) {
        void *p = t->held[0][i];
        t->held[0][i] = NULL;
        if (p) block_free(p);
    }
}

static void kill_script_child(void *arg) {
    steps_left = ((uint64_t *)arg)[-1];
    kill_script(arg);
}

static void kill_at_each_step(size_t bytes) {
    unsigned char *memory = shared_memory(bytes);
    uint64_t *limit = (uint64_t *)(void *)memory, steps = 0, lost = 0;
    trade *t = (trade *)(void *)(limit + 1);
    size_t start = sizeof *limit + sizeof *t;
    for (bool killed = true; killed; steps++) {
        memset(t, 0, sizeof *t);
        t->pool = pool_in(memory + start, bytes - start);
        for (unsigned i = 0; i < HOLDS; i++) {
            size_t size = pm__mem_class_bytes[i % PM__MEM_CLASSES];
            t->held[1][i] = pm__mem_alloc(t->pool, size);
            if (t->held[1][i]) block_fill(t->held[1][i], size, i);
        }
        *limit = steps;
        int status = wait_for(child(kill_script_child, t));
        killed = WIFSIGNALED(status);
        CHECK(killed ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
        give_traded(t);
        lost += stats_of(t->pool).nodes;
        nothing_else_is_lost(t->pool, killed ? 1 : 0);
    }
    printf("killed before each of %" PRIu64 " atomic steps of the pool: %" PRIu64 " blocks lost\n", steps - 1, lost);
    CHECK(steps > 80 && lost > 40);
    munmap(memory, bytes);
}

TEST(region_child_is_killed_before_each_atomic_step_of_the_pool) {
    NEEDS_THREADS();
    kill_at_each_step(190000); /* soon full */
    kill_at_each_step(800000);
}

/* The same with maps: what the child held is lost with it, and what it shared with the parent stays right. */
typedef struct map_kill {
    uint64_t limit;
    pm_map base;
} map_kill;

enum { MAP_KEYS = 60 };

static void map_script(map_kill *k) {
    pm_map m = pm_new(NULL, k->base.pool), c = pm_clone(&k->base), j;
    CHECK_OK(fill(&m, 2, 0, 12));
    CHECK_OK(fill(&c, 1, 0, 6));
    CHECK_OK(pm_join(&m, &k->base, &j, NULL));
    pm_drop(&c);
    pm_drop(&m);
    pm_drop(&j);
}

static void map_script_child(void *arg) {
    map_kill *k = arg;
    steps_left = k->limit;
    map_script(k);
}

TEST(region_child_is_killed_before_each_atomic_step_of_its_maps) {
    enum { BYTES = 400000 };
    NEEDS_THREADS();
    unsigned char *memory = shared_memory(BYTES);
    map_kill *k = (map_kill *)(void *)memory;
    uint64_t steps = 0;
    for (bool killed = true; killed; steps++) {
        pm_pool *pool = pool_in(memory + sizeof *k, BYTES - sizeof *k);
        k->base = pm_new(NULL, pool);
        CHECK_OK(fill(&k->base, 2, 6, MAP_KEYS));
        uint64_t nodes = stats_of(pool).nodes;
        k->limit = steps;
        int status = wait_for(child(map_script_child, k));
        killed = WIFSIGNALED(status);
        CHECK(killed ? WTERMSIG(status) == SIGKILL : WEXITSTATUS(status) == 0);
        uint64_t held = stats_of(pool).nodes - nodes;
        CHECK(killed || held == 0);
        CHECK(held < 100);
        holds(&k->base, 2, 6, MAP_KEYS);
        CHECK_OK(fill(&k->base, 2, 0, 6));
        holds(&k->base, 2, 0, MAP_KEYS);
        pm_drop(&k->base);
        CHECK(stats_of(pool).nodes <= held + nodes);
        pm_map m = pm_new(NULL, pool);
        CHECK_OK(fill(&m, 1, 0, 1000));
        holds(&m, 1, 0, 1000);
        pm_drop(&m);
        CHECK(stats_of(pool).nodes <= held + nodes);
        if (!killed) CHECK_OK(pm_pool_free(pool));
    }
    CHECK(steps > 100);
    printf("killed before each of %" PRIu64 " atomic steps of maps\n", steps - 1);
    munmap(memory, BYTES);
}

/* At random moments, while others go on. */
static void trade_for_ever(void *arg) {
    worker w = *(worker *)arg;
    w.steps = UINT_MAX;
    for (;;) trade_blocks(&w);
}

static void pause_for(uint64_t microseconds) {
    struct timespec t = {0, (long)(microseconds * 1000)};
    nanosleep(&t, NULL);
}

TEST(region_survives_children_killed_at_random) {
    enum { BYTES = 4 << 20, KILLS = 120 };
    NEEDS_THREADS();
    unsigned char *memory = shared_memory(BYTES);
    trade *t = (trade *)(void *)memory;
    t->pool = pool_in(memory + sizeof *t, BYTES - sizeof *t);
    pid_t children[WORKERS] = {0};
    uint64_t rng = check_rand();
    pm_map base = pm_new(NULL, t->pool);
    CHECK_OK(fill(&base, 2, 0, 300));
    for (unsigned round = 0; round < KILLS + WORKERS - 1; round++) {
        unsigned n = round % (WORKERS - 1) + 1; /* place 0 is the parent's own */
        if (children[n]) {
            CHECK_EQ(kill(children[n], SIGKILL), 0);
            CHECK(WIFSIGNALED(wait_for(children[n])));
        }
        worker w = {.t = t, .number = n, .rng = check_rand_from(&rng)};
        children[n] = round < KILLS ? child(trade_for_ever, &w) : 0;
        w = (worker){.t = t, .steps = 500, .rng = check_rand_from(&rng)};
        trade_blocks(&w);
        pm_map m = pm_clone(&base);
        CHECK_OK(fill(&m, 2, 300, 350));
        holds(&m, 2, 0, 350);
        pm_drop(&m);
        pause_for(check_rand_from(&rng) % 4000);
    }
    holds(&base, 2, 0, 300);
    pm_drop(&base);
    give_traded(t);
    CHECK_EQ(atomic_load(&t->refused), 0);
    uint64_t lost = stats_of(t->pool).nodes;
    nothing_else_is_lost(t->pool, KILLS);
    printf("%u children killed: %" PRIu64 " blocks lost\n", (unsigned)KILLS, lost);
    munmap(memory, BYTES);
}
