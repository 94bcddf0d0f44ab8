/* All interleavings of a few takers and givers of blocks in a region, one slab or two: explorer.h says how. No two hold
   the same memory at a time, nobody is refused who need not be, and afterwards the region is as it was. */
#define _DEFAULT_SOURCE /* for MAP_ANONYMOUS */
#include "check.h"

#include "explorer.h"

#undef PM_POOL
#define PM_POOL 0
#define PATHMAP_STATIC
#include "../pathmap.h"

enum { HALF = PM__REGION_MAX / 2, WHOLE = PM__REGION_MAX, SLABS = 2 };

static _Alignas(16384) unsigned char memory[SLABS * 16384 + 8192];
static pm__region *region;
static cell halves[SLABS][2]; /* what lies in the blocks */
static void *held;
static unsigned served, refused, slabs_now;
static bool hints_matter;

static void need_schedules(void) {
#if PM_NO_THREADS || PM__TSAN || defined(__SANITIZE_ADDRESS__)
    SKIP("no schedules in this configuration");
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
    SKIP("no schedules in this configuration");
#endif
#endif
}

static void write_block(void *p, size_t size) {
    size_t at = (size_t)((unsigned char *)p - region->base), s = at / 16384, i = at % 16384 / HALF;
    if (size == WHOLE && i) fail("a whole slab that starts in its middle");
    write_cell(&halves[s][i]);
    if (size == WHOLE) write_cell(&halves[s][1]);
}

static void *take(size_t size) {
    void *p = pm__region_take(&region->pool, size);
    if (p) write_block(p, size);
    p ? served++ : refused++;
    return p;
}

/* The last use of a block, and its end. */
static void give(void *p, size_t size) {
    if (!p) return;
    write_block(p, size);
    pm__region_give(&region->pool, p);
}

static void know_hints(unsigned cls) {
    for (unsigned i = 0; i < 4; i++) know(&region->last[i][cls], OF_NO_INTEREST);
    know(&region->hint[cls * region->row], OF_NO_INTEREST);
}

static void prepare_slabs(unsigned slabs) {
    pm_pool *pool = NULL;
    pm_pool_options options = {.budget = slabs * 16384 + 8192};
    if (pm_pool_new_in(memory, sizeof memory, &options, &pool) != PM_OK) abort();
    region = (pm__region *)(void *)pool;
    if (region->slabs != slabs) abort();
    pm__region_shard = 0;
    slabs_now = slabs;
    memset(halves, 0, sizeof halves);
    served = refused = 0;
    for (unsigned s = 0; s < slabs; s++) {
        know(&region->word[s], COUNT);
        know(&region->bits[s * PM__REGION_BITS], USED);
    }
    if (hints_matter) return;
    know_hints(PM__MEM_CLASSES);
    know_hints(PM__MEM_CLASSES + 1);
    know(&region->hint[PM__REGION_CLASSES * region->row], OF_NO_INTEREST);
}

static void prepare_one(void) {
    hints_matter = false;
    prepare_slabs(1);
}

static void prepare_one_held(void) {
    prepare_one();
    held = take(HALF);
}

static void prepare_one_whole_held(void) {
    prepare_one();
    held = take(WHOLE);
}

static void prepare_two_with_hints(void) {
    hints_matter = true;
    prepare_slabs(2);
}

/* All is empty, and each class can have all of it. */
static void finish_empty(void) {
    static const size_t sizes[] = {WHOLE, HALF, WHOLE};
    for (unsigned s = 0; s < slabs_now; s++) {
        if (pm__load_relaxed(&region->word[s])) fail("a slab is not empty");
        if (pm__load_relaxed(&region->bits[s * PM__REGION_BITS])) fail("a block is taken");
    }
    for (unsigned k = 0; k < 3; k++) {
        void *p[2 * SLABS + 1];
        unsigned n = 0, most = slabs_now * (unsigned)(WHOLE / sizes[k]);
        while (n <= most && (p[n] = pm__region_take(&region->pool, sizes[k]))) n++;
        if (n != most) fail("some room is gone");
        while (n) pm__region_give(&region->pool, p[--n]);
    }
}

static void finish_all_served(void) {
    if (refused) fail("refused, though there was room");
    finish_empty();
}

/* Whoever has seen the pool end may unmap the region. */
static bool ended;

static void watch_region(deed d, const volatile void *word, uint64_t value) {
    (void)d, (void)value;
    if (ended && (uintptr_t)word - (uintptr_t)memory < sizeof memory) fail("touched what is gone");
}

static void prepare_two_held_with_hints(void) {
    prepare_two_with_hints();
    held = take(HALF);
    ended = false;
    watch = watch_region;
}

static void end_pool(void) {
    while (pm_pool_free(&region->pool) == PM_BUSY) rest();
    write_cell(&halves[0][0]);
    ended = true;
}

static void finish_ended(void) {
    if (!ended) fail("not ended");
}

static void finish_some_served(void) {
    if (!served) fail("all refused");
    finish_empty();
}

static void use_half(void) { give(take(HALF), HALF); }
static void use_whole(void) { give(take(WHOLE), WHOLE); }
static void give_half_held(void) { give(held, HALF); }
static void give_whole_held(void) { give(held, WHOLE); }

static void use_two_halves(void) {
    void *p = take(HALF), *q = take(HALF);
    give(p, HALF);
    give(q, HALF);
}

static const scenario two_halves = {"two take halves", prepare_one, finish_all_served, {use_half, use_half}, 2, ALL, 0};
static const scenario three_halves = {
    "three take halves", prepare_one, finish_some_served, {use_half, use_half, use_half}, 3, 3, 0};
static const scenario half_whole = {
    "a half beside a whole", prepare_one, finish_some_served, {use_half, use_whole}, 2, ALL, 0};
static const scenario give_take = {
    "one gives, one takes", prepare_one_held, finish_all_served, {give_half_held, use_half}, 2, ALL, 0};
static const scenario give_take_two = {
    "one gives, two take", prepare_one_held, finish_some_served, {give_half_held, use_half, use_whole}, 3, 3, 0};
static const scenario change = {
    "a class change", prepare_one_whole_held, finish_empty, {give_whole_held, use_two_halves}, 2, ALL, 0};
static const scenario hints = {
    "hints of two slabs", prepare_two_with_hints, finish_all_served, {use_two_halves, use_two_halves}, 2, 3, 0};
static const scenario hints_change = {
    "hints beside a change of class", prepare_two_with_hints, finish_some_served, {use_two_halves, use_whole}, 2, 3, 0};

static const scenario end = {"the end beside the last one given", prepare_two_held_with_hints, finish_ended,
                             {give_half_held, end_pool}, 2, 6, 0};

static const scenario *const scenarios[] = {&two_halves, &three_halves, &half_whole,   &give_take, &give_take_two,
                                            &change,     &hints,        &hints_change, &end};

TEST(region_schedules_are_sound) {
    need_schedules();
    for (unsigned i = 0; i < sizeof scenarios / sizeof *scenarios; i++) expect_sound(scenarios[i]);
}

TEST(region_schedules_find_seeded_bugs) {
    static const bug relaxed = {"bits turned relaxed", USED, EXCHANGE, RELAXED};
    static const bug uncounted = {"count left out", COUNT, CAS, LEFT_OUT};
    static const bug unseen = {"class and count not looked at", COUNT, LOAD, LEFT_OUT};
    need_schedules();
    expect_found(&give_take, relaxed);
    expect_found(&two_halves, uncounted);
    expect_found(&half_whole, unseen);
    printf("# schedules of regions: %" PRIu64 " in %" PRIu64 " scenarios; seeded bugs: %" PRIu64 " of %" PRIu64
           " found\n",
           tally.schedules, tally.scenarios, tally.found, tally.seeded);
}
