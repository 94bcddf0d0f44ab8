/* All interleavings of a few threads that take and give blocks of a pool, trim it, and free it: explorer.h says how.
   Nobody touches the pool after pm_pool_free has said PM_OK, which it says only when no block is alive; no block has
          two
   holders; what is empty comes back. */
#define _DEFAULT_SOURCE /* for MAP_ANONYMOUS */
#include "check.h"

#if defined(PM_NO_THREADS) && PM_NO_THREADS
TEST(memory_schedules_are_sound) { SKIP("PM_NO_THREADS: one thread only"); }
#else
#include "explorer.h"

static void *arena_take(size_t n);
static void arena_give(void *p, size_t n);

#undef PM_POOL
#define PM_POOL 1
#define PATHMAP_STATIC
#define PM_MALLOC(n) arena_take(n)
#define PM_FREE(p, n) arena_give(p, n)
#include "../pathmap.h"

static void need_schedules(void) {
#if PM__TSAN || defined(__SANITIZE_ADDRESS__)
    SKIP("no schedules in this configuration");
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
    SKIP("no schedules in this configuration");
#endif
#endif
}

/* ---- memory of which nothing is used twice, so that what is gone can be told ---- */

enum { ARENA = 4 << 20, PIECES = 32 };
static _Alignas(16384) unsigned char arena[ARENA];
static size_t arena_used;
static struct {
    unsigned char *start;
    size_t n;
    bool gone;
} pieces[PIECES];
static unsigned pieces_n, pieces_left;

static void *arena_take(size_t n) {
    if (pieces_n == PIECES || arena_used + n > ARENA) abort();
    unsigned char *p = arena + arena_used;
    arena_used += (n + 63) / 64 * 64;
    pieces[pieces_n].start = p;
    pieces[pieces_n].n = n;
    pieces[pieces_n++].gone = false;
    pieces_left++;
    return p;
}

static void arena_give(void *p, size_t n) {
    unsigned i = 0;
    while (i < pieces_n && pieces[i].start != p) i++;
    if (i == pieces_n || pieces[i].n != n || pieces[i].gone) fail("given back what was not taken");
    else pieces[i].gone = true, pieces_left--;
}

static void watch_gone(deed d, const volatile void *word, uint64_t value) {
    (void)d, (void)value;
    uintptr_t at = (uintptr_t)word;
    for (unsigned i = 0; i < pieces_n; i++)
        if (pieces[i].gone && at - (uintptr_t)pieces[i].start < pieces[i].n) fail("touched what is gone");
}

/* ---- the pool, its one heap and what lies in the slab's first blocks ---- */

enum { SIZE = 5440, CELLS = 3 };
static pm_pool *pool;
static pm__heap *heap;
static unsigned cls;
static void *held[2];
static int alive;
static bool freed;
static cell cells[CELLS];
static uintptr_t cells_slab;
static int somebody; /* whose address owns the heap, so that trim takes it for another thread's */

static pm__slab *slab_of(void *p) { return (pm__slab *)((uintptr_t)p & ~(uintptr_t)(PM__SLAB_BYTES - 1)); }

static void write_block(void *p) {
    size_t i = ((size_t)p % PM__SLAB_BYTES - PM__SLAB_HEADER) / SIZE;
    if ((uintptr_t)slab_of(p) == cells_slab && i < CELLS) write_cell(&cells[i]);
}

static void *take(void) {
    pm__slab *s = heap->current[cls];
    if (!s || !s->free) s = pm__heap_refill(heap, cls);
    if (!s) abort();
    void *p = pm__slab_pop(s);
    size_t i = (size_t)((unsigned char *)s - s->chunk->base) / PM__SLAB_BYTES;
    if (s->chunk->free[i / 64] >> (i % 64) & 1) fail("a block of a slab that is nobody's");
    alive++;
    write_block(p);
    return p;
}

/* By the heap's owner, and by another thread. A block counts as alive until a thread has begun to give it back. */
static void give(void *p) {
    write_block(p);
    alive--;
    pm__slab_put(slab_of(p), p);
}

static void give_remote(void *p) {
    write_block(p);
    alive--;
    pm__slab_put_remote(slab_of(p), p);
}

static void forget_all(void) {
    for (pm_pool *p = pm__mem_registry.pools; p; p = p->next) p->link = NULL;
    pm__mem_registry.pools = NULL;
    memset(&pm__mem_self, 0, sizeof pm__mem_self);
    pm__mem_self.registered = true;
    arena_used = pieces_n = pieces_left = 0;
    memset(cells, 0, sizeof cells);
    alive = 0;
    freed = false;
}

static void prepare_pool(unsigned blocks) {
    forget_all();
    watch = watch_gone;
    if (pm_pool_new(NULL, &pool) != PM_OK) abort();
    heap = pm__heap_attach(pool);
    if (!heap) abort();
    cls = pm__mem_class_of[SIZE / PM__MEM_UNIT];
    for (unsigned i = 0; i < blocks; i++) {
        held[i] = take();
        if (i == 0) cells_slab = (uintptr_t)slab_of(held[0]);
        write_block(held[i]);
    }
    know(&pm__mem_registry.lock, OF_NO_INTEREST);
    know(&slab_of(held[0])->used, USED);
    know(&slab_of(held[0])->remote, COUNT);
    know(&heap->lock, LOCK);
    know(&heap->notified, HOLD);
}

static void prepare_one(void) { prepare_pool(1); }
static void prepare_two(void) { prepare_pool(2); }

/* With a third block ready, so that the owner gives one back without a lock. */
static void prepare_two_of_three(void) {
    prepare_pool(2);
    give(take());
}

/* The slab goes back to the pool as soon as it is empty. */
static void prepare_one_not_kept(void) {
    prepare_pool(1);
    heap->sticky = 0;
}

/* Trim finds the heap in use by another thread. */
static void prepare_two_of_another(void) {
    prepare_pool(2);
    pm__heap_disown(heap);
    pm__store_relaxed(&heap->owner, (void *)&somebody);
    pm__mem_self.cache[pool->id % PM__HEAP_CACHE].id = 0;
}

/* Nobody's current slab: two blocks of a full one, the third is gone for good with the next slab's. */
static void prepare_full_of_another(void) {
    prepare_two_of_another();
    void *third = take(), *next = take();
    if (slab_of(third) != slab_of(held[0]) || slab_of(next) == slab_of(held[0])) abort();
    give(third);
    if (heap->partial[cls] != slab_of(held[0])) abort();
}

/* Writing to the blocks is what their memory's next holder may do. */
static bool try_free_once(void) {
    if (pm_pool_free(pool) != PM_OK) return false;
    if (alive) fail("freed while a block is alive");
    for (unsigned i = 0; i < CELLS; i++) write_cell(&cells[i]);
    return freed = true;
}

static void try_free(void) { (void)try_free_once(); }

static void poll_free(void) {
    while (!try_free_once()) rest();
}

static void finish_freed(void) {
    if (!freed) fail("not freed");
    if (pieces_left) fail("not all given back");
}

static void finish_usable(void) {
    pm_pool_stats stats;
    if (freed) return;
    pm_pool_get_stats(pool, &stats);
    if (stats.nodes != (unsigned)alive) fail("miscounted");
    if (pm__load_relaxed(&heap->owner) == (void *)&somebody) {
        pm__store_relaxed(&heap->owner, NULL);
        pool->detached = heap;
    }
    pm_pool_trim(pool);
    pm_pool_get_stats(pool, &stats);
    if (alive == 0 && pieces_left != 1) fail("trim leaves something");
    if (stats.nodes != (unsigned)alive) fail("miscounted after trim");
}

static void give_first(void) { give(held[0]); }
static void give_first_remote(void) { give_remote(held[0]); }
static void give_both_remote(void) {
    give_remote(held[0]);
    give_remote(held[1]);
}
static void give_second_remote(void) { give_remote(held[1]); }

/* One block or another is alive all the time, until the last is given. */
static void move_and_give(void) {
    for (unsigned i = 0; i < 2; i++) {
        void *p = take();
        give(held[0]);
        held[0] = p;
    }
    give(held[0]);
}

static void take_and_give(void) { give(take()); }

static void take_three(void) {
    void *p[3];
    for (unsigned i = 0; i < 3; i++) p[i] = take();
    for (unsigned i = 0; i < 3; i++)
        for (unsigned k = 0; k < i; k++)
            if (p[i] == p[k]) fail("a block twice");
    for (unsigned i = 0; i < 3; i++) give(p[i]);
}

static void trim(void) { pm_pool_trim(pool); }

static const scenario remote_free = {
    "free beside the last drop", prepare_one, finish_freed, {give_first_remote, poll_free}, 2, 4, 0};
static const scenario remote_free_two = {
    "free beside two drops", prepare_two, finish_freed, {give_first_remote, give_second_remote, poll_free}, 3, 2, 0};
static const scenario both_free = {"free beside drops on both sides",
                                   prepare_two_of_three,
                                   finish_freed,
                                   {give_first, give_second_remote, poll_free},
                                   3,
                                   2,
                                   0};
static const scenario own_free = {
    "free beside the owner's last drop", prepare_one, finish_freed, {give_first, poll_free}, 2, 4, 0};
static const scenario own_free_back = {
    "free beside a slab given back", prepare_one_not_kept, finish_freed, {give_first, poll_free}, 2, 4, 0};
static const scenario moving_free = {
    "free beside a block that moves", prepare_one, finish_usable, {move_and_give, try_free}, 2, 3, 0};
static const scenario moving_free_remote = {"free beside blocks that move and go",
                                            prepare_two,
                                            finish_usable,
                                            {move_and_give, give_second_remote, try_free},
                                            3,
                                            2,
                                            0};
static const scenario collect = {"drops beside their owner",
                                 prepare_two,
                                 finish_usable,
                                 {take_three, give_first_remote, give_second_remote},
                                 3,
                                 2,
                                 0};
static const scenario trim_current = {"trim beside drops of a current slab",
                                      prepare_two_of_another,
                                      finish_usable,
                                      {take_and_give, give_first_remote, trim},
                                      3,
                                      2,
                                      0};
static const scenario trim_full = {"trim beside drops of a slab that is not",
                                   prepare_full_of_another,
                                   finish_usable,
                                   {take_three, give_first_remote, trim},
                                   3,
                                   2,
                                   0};
static const scenario trim_taken = {"trim beside the owner who would take the slab",
                                    prepare_full_of_another,
                                    finish_usable,
                                    {take_three, give_both_remote, trim},
                                    3,
                                    2,
                                    0};
static const scenario trim_both = {"trim beside all drops of a slab",
                                   prepare_full_of_another,
                                   finish_usable,
                                   {give_first, give_second_remote, trim},
                                   3,
                                   2,
                                   0};

static const scenario *const scenarios[] = {&remote_free,   &remote_free_two, &both_free,          &own_free,
                                            &own_free_back, &moving_free,     &moving_free_remote, &collect,
                                            &trim_current,  &trim_full,       &trim_both,          &trim_taken};

TEST(memory_schedules_are_sound) {
    need_schedules();
    for (unsigned i = 0; i < sizeof scenarios / sizeof *scenarios; i++) expect_sound(scenarios[i]);
}

TEST(memory_schedules_find_seeded_bugs) {
    need_schedules();
    static const bug uncounted = {"blocks in use are not looked at", USED, LOAD, LEFT_OUT};
    static const bug untold = {"the heap is not told", HOLD, CAS, LEFT_OUT};
    static const bug torn = {"remote blocks taken in two steps", COUNT, EXCHANGE, TORN};
    static const bug relaxed = {"drops turned relaxed", COUNT, CAS, RELAXED};
    static const bug unordered = {"the count's loads turned relaxed", USED, LOAD, RELAXED};
    static const bug unlocked = {"the heap's lock left out", LOCK, CAS, LEFT_OUT};
    expect_found(&moving_free, uncounted);
    expect_found(&collect, untold);
    expect_found(&collect, torn);
    expect_found(&collect, relaxed);
    expect_found(&both_free, unordered);
    expect_found(&trim_taken, unlocked);
    printf("# schedules of pools: %" PRIu64 " in %" PRIu64 " scenarios; seeded bugs: %" PRIu64 " of %" PRIu64
           " found\n",
           tally.schedules, tally.scenarios, tally.found, tally.seeded);
}
#endif
