/* Out of memory, everywhere: each operation is run on maps of every shape while its first allocation fails, then its
   second, and so on until it needs no more. After a failure the status says so, and the map, its clone and the other
   operand hold what they held; at the end nothing is left over. Each node is an allocation of its own here;
   test_oom_pool.c does the same with the pool, test_oom_region.c in a full region. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#ifdef OOM_WITH_POOL
#undef PM_POOL
#define PM_POOL 1
#elif !defined(PM_POOL)
#define PM_POOL 0
#endif
#include "../pathmap.h"
#include "counted.h"
#ifdef OOM_IN_REGION
static pm_pool *oom_pool;
#define OOM_POOL oom_pool
#endif
#include "oom_operations.h"
#include "oom_operations_files.h"

/* ---- the sweep ------------------------------------------------------------------------------------------------- */

typedef struct entry {
    const char *name;
    operation run;
    unsigned places; /* how many are tried. SHAPES: the place does not matter, but chooses the other operand */
} entry;

#define OP(name) {#name, op_##name, PLACES}
#define OP_ANYWHERE(name) {#name, op_##name, SHAPES}
#define OP_LONG(name) {#name, op_##name, 2} /* many calls that belong together: a place or two of each shape */
static const entry operations[] = {
    OP(set), OP(set_old), OP(get_mut), OP(get_or_set), OP(get_or_set_with), OP(remove), OP(remove_prune),
    OP(create_path), OP(prune_path), OP(remove_branches), OP(remove_branches_prune), OP_ANYWHERE(val_count),
    OP_ANYWHERE(location_count), OP_ANYWHERE(depth_count), OP_ANYWHERE(equal), OP_ANYWHERE(equal_clone), OP(subtrie),
    OP_ANYWHERE(build_sorted), OP_ANYWHERE(build_unsorted), OP_ANYWHERE(build_many), OP_ANYWHERE(each), OP(compact),
    OP_ANYWHERE(clone_apart), OP(transaction), OP_ANYWHERE(pool), OP(bytes),
    OP_ANYWHERE(check), OP_ANYWHERE(dump), OP_ANYWHERE(dump_nodes),
    OP_ANYWHERE(dot), OP_ANYWHERE(stats), OP_ANYWHERE(join), OP_ANYWHERE(meet), OP_ANYWHERE(subtract),
    OP_ANYWHERE(restrict), OP_ANYWHERE(symmetric), OP(rz_moves), OP(rz_open), OP(rz_open_owned), OP(rz_fork),
    OP(rz_fork_owned), OP(rz_reserve), OP(rz_make_map), OP(rz_witness), OP(ref), OP_ANYWHERE(iter),
    OP(iter_below), OP(iter_back),
    OP(wz_set), OP(wz_get_mut), OP(wz_get_or_set), OP(wz_get_or_set_with), OP(wz_remove), OP(wz_remove_prune),
    OP(wz_graft), OP(wz_graft_at), OP(wz_graft_map), OP(wz_graft_map_move), OP(wz_graft_masked),
    OP(wz_graft_children), OP(wz_take), OP(wz_take_prune), OP(wz_insert_prefix), OP(wz_remove_prefix),
    OP(wz_remove_branches), OP(wz_remove_unmasked), OP(wz_create_path), OP(wz_prune_path), OP(wz_prune_ascend),
    OP(wz_join), OP(wz_meet), OP(wz_meet_2), OP(wz_subtract), OP(wz_restrict), OP(wz_restricting), OP(wz_join_map),
    OP(wz_join_map_move), OP(wz_join_k_path), OP(wz_meet_k_path), OP(wz_group), OP(wz_open_move), OP(wz_into_reader),
    OP_ANYWHERE(join_many), OP_ANYWHERE(meet_many), OP_ANYWHERE(fold), OP_ANYWHERE(fold_jumping),
    OP_ANYWHERE(fold_cached), OP_ANYWHERE(unfold), OP_ANYWHERE(hylo), OP_ANYWHERE(hash), OP_ANYWHERE(merkleize),
    OP_ANYWHERE(sampler), OP_ANYWHERE(view_meet_map), OP_ANYWHERE(view_subtract_map), OP_ANYWHERE(view_overlay_map),
    OP_ANYWHERE(view_prefix_map), OP(wz_join_take), OP(head_write), OP(head_conflict), OP(head_read), OP(head_fence),
    OP(head_pin), OP(shared), OP(view_product), OP(view_overlay), OP(view_prefix), OP(view_meet), OP(view_subtract),
    OP(nearest), OP_ANYWHERE(first_last), OP_ANYWHERE(pop_first), OP_ANYWHERE(pop_last), OP(nth), OP(common_prefix),
    OP(range_count), OP(prefix_count), OP(rank), OP(subrange), OP(remove_range), OP(keep_range), OP(split), OP(concat),
    OP(update), OP(update_away), OP(set_if), OP(wz_write_at), OP(apply),
    OP_ANYWHERE(diff), OP_ANYWHERE(diff_iter), OP_ANYWHERE(patch), OP_ANYWHERE(merge3), OP_ANYWHERE(merge3_graft),
    OP(merge3_close),
    OP_LONG(image), OP_LONG(image_rz), OP_LONG(mixed_set), OP_LONG(mixed_remove), OP_LONG(mixed_paths),
    OP_LONG(mixed_graft), OP_LONG(mixed_get), OP_LONG(mixed_rz), OP_LONG(mixed_materialise), OP_LONG(store_commit),
    OP_LONG(store_keep), OP_LONG(store_mixed)
};
enum { OPERATIONS = sizeof operations / sizeof *operations };

static uint64_t failed, calls, leaks, changed;

static void expect(const pm_map *m, const listing *before, const char *what, const char *name) {
    listing now = list(m);
    bool same = now.len == before->len && memcmp(now.data, before->data, now.len) == 0;
    if (!same) changed++;
    free(now.data);
    sound(m);
    CHECK_NOTE(same, "%s changed %s", name, what);
}

#ifdef OOM_WITH_POOL
/* Blocks that take all the room that the pool has. */
static struct {
    void *block;
    unsigned size;
} junk[1 << 16];
static unsigned junk_used;

/* Uses up what the pool has left, but for `spare` blocks of each size, and lets it have no more: a region has no more
   by itself. */
static void exhaust(unsigned spare) {
    if (!OOM_POOL) check_fail_allocs_from(1);
    for (unsigned c = PM__MEM_CLASSES; c-- > 0;) {
        unsigned start = junk_used;
        void *p;
        while (junk_used < 1 << 16 && (p = pm__mem_alloc(OOM_POOL, pm__mem_class_bytes[c]))) {
            junk[junk_used].block = p;
            junk[junk_used++].size = pm__mem_class_bytes[c];
        }
        CHECK(junk_used < 1 << 16);
        for (unsigned i = 0; i < spare && junk_used > start; i++) {
            junk_used--;
            pm__mem_free(junk[junk_used].block, junk[junk_used].size);
        }
    }
    if (!OOM_POOL) check_fail_allocs_from(1);
}

static void give_room(void) {
    while (junk_used) {
        junk_used--;
        pm__mem_free(junk[junk_used].block, junk[junk_used].size);
    }
}
#else
static void exhaust(unsigned spare) { (void)spare; }
static void give_room(void) {}
#endif

/* How memory fails: the n-th allocation does, or all from it on, or the pool has n blocks of each size left. */
typedef enum mode { ONE_FAILS, REST_FAILS, POOL_IS_FULL } mode;

/* One call with one place where memory fails. Answers whether it would need more allocations than that. */
static bool attempt(const entry *o, kind k, shape s, unsigned place, bool shared, mode how, uint64_t nth) {
    pm_pool_trim(NULL);
    uint64_t before = check_live_blocks();
    int64_t held = counted_held();
    world w = make_world(k, s, place, shared);
    listing m = list(&w.m), clone = list(&w.clone), other = list(&w.other);
    failed_before = 0;
    pm_pool_trim(NULL);
    current = o->name;
    if (how == POOL_IS_FULL) exhaust((unsigned)nth);
    else if (how == REST_FAILS) check_fail_allocs_from(nth);
    else check_fail_alloc(nth);
    pm_status status = o->run(&w);
    uint64_t fails = failed_before + check_alloc_fails();
    if (OOM_POOL && status == PM_NOMEM) fails++; /* nothing else can have failed */
    check_fail_alloc(0);
    give_room();
    calls++;
    failed += fails;
    if (status != PM_OK) {
        CHECK_NOTE(status == PM_NOMEM && fails, "%s: %s", o->name, pm_status_text(status));
        if (!w.may_change) expect(&w.m, &m, "its map", o->name);
    }
    sound(&w.m);
    sound(&w.out);
    expect(&w.clone, &clone, "a clone", o->name);
    if (status != PM_OK || !w.consumes) expect(&w.other, &other, "its other operand", o->name);
    free(m.data);
    free(clone.data);
    free(other.data);
    drop_world(&w);
    pm_pool_trim(NULL);
    if (OOM_POOL) CHECK_OK(pm_pool_free(OOM_POOL)); /* which only looks, and stays usable */
    if (check_live_blocks() != before || counted_held() != held) leaks++;
    CHECK_NOTE(check_live_blocks() == before, "%s leaves %" PRIu64 " blocks", o->name, check_live_blocks() - before);
    CHECK_NOTE(counted_held() == held && counted_is_sound(), "%s leaves %" PRId64 " values", o->name,
               counted_held() - held);
    return fails != 0;
}

/* One operation on one map, with ever more memory until it has enough. */
static void sweep_one(const entry *o, kind k, shape s, unsigned place) {
    bool shared = (s + place + check__seed + strlen(o->name)) % 3 != 0;
#ifdef OOM_IN_REGION
    for (uint64_t n = 0; attempt(o, k, s, place, shared, POOL_IS_FULL, n); n = n ? 4 * n : 1) {}
#else
    for (uint64_t n = 1; attempt(o, k, s, place, shared, n % 2 ? ONE_FAILS : REST_FAILS, n); n++) {}
#if defined(OOM_WITH_POOL)
    for (uint64_t n = 0; n < 3; n++) (void)attempt(o, k, s, place, shared, POOL_IS_FULL, n);
#endif
#endif
}

/* For who only asks which lines run: OOM_PLACES=3 tries at most so many places of each shape, not all of them. */
static unsigned places_of(const entry *o) {
    const char *most = getenv("OOM_PLACES");
    unsigned n = most ? (unsigned)strtoul(most, NULL, 10) : PLACES;
    return o->places == PLACES && n < PLACES ? n : o->places;
}

/* The i-th place of a shape. Of few, other ones for each. */
static unsigned place_of(const entry *o, unsigned s, unsigned i) {
    return places_of(o) < PLACES && o->places != SHAPES ? (3 * s + 7 * i) % PLACES : i;
}

static void sweep(kind k) {
    uint64_t failed_at_start = failed, calls_at_start = calls;
    leaks = changed = 0;
#ifdef OOM_IN_REGION
    static unsigned char region[320000];
    CHECK_OK(pm_pool_new_in(region, sizeof region, NULL, &oom_pool));
    on_disarm = give_room;
#endif
    memset(run, 'r', sizeof run);
    for (size_t i = 0; i < sizeof longer; i++) longer[i] = (uint8_t)"alpha/beta/gamma"[i < 16 ? i : i % 5];
    for (unsigned o = 0; o < OPERATIONS; o++) {
        uint64_t failed_of_others = failed;
        for (unsigned s = 0; s < SHAPES; s++)
            for (unsigned i = 0; i < places_of(&operations[o]); i++)
                sweep_one(&operations[o], k, (shape)s, place_of(&operations[o], s, i));
        CHECK_NOTE(failed > failed_of_others || k == UNIT || OOM_POOL, "%s never asked for memory", operations[o].name);
    }
    printf("%u operations, %" PRIu64 " calls, %" PRIu64 " allocations failed, %" PRIu64 " leaks, %" PRIu64
           " maps changed\n",
           (unsigned)OPERATIONS, calls - calls_at_start, failed - failed_at_start, leaks, changed);
}

TEST(oom_maps_of_words_survive) { sweep(WORDS); }
TEST(oom_maps_of_units_survive) { sweep(UNIT); }
TEST(oom_maps_of_counted_values_survive) { sweep(COUNTED); }

/* Keys of three letters: lines fill up with few groups each, which move up where the line above has room. */
static size_t make_crowded_key(uint8_t *key, uint32_t *state) {
    size_t len = 3 + (*state >> 16) % 8;
    for (size_t i = 0; i < len; i++) {
        *state = *state * 1103515245u + 12345u;
        key[i] = (uint8_t)"abz"[(*state >> 16) % 3];
    }
    return len;
}

TEST(oom_insertions_into_full_lines_survive) {
    for (unsigned unit = 0; unit < 2; unit++) {
        pm_map m = pm_new(unit ? pm_ops_unit() : NULL, NULL);
        static uint8_t keys[1500][16];
        static size_t len[1500];
        uint64_t count = 0, was = 0;
        uint32_t state = 1;
        for (size_t i = 0; i < 1500; i++) {
            pm_status s = PM_NOMEM;
            len[i] = make_crowded_key(keys[i], &state);
            CHECK_OK(pm_val_count(&m, &was));
            for (uint64_t n = 1; s != PM_OK; n++) {
                check_fail_alloc(n);
                s = pm_set(&m, keys[i], len[i], i, NULL);
                check_fail_alloc(0);
                if (s == PM_OK) break;
                CHECK_EQ(s, PM_NOMEM);
                sound(&m);
                CHECK_OK(pm_val_count(&m, &count));
                CHECK_EQ(count, was);
            }
            sound(&m);
            CHECK(pm_contains(&m, keys[i], len[i]));
        }
        for (size_t i = 0; i < 1500; i++) CHECK(pm_contains(&m, keys[i], len[i]));
        pm_stats stats;
        CHECK_OK(pm_get_stats(&m, &stats));
        CHECK_NOTE(stats.max_depth <= 4, "%zu nodes deep", stats.max_depth); /* 5 if lines were only divided */
        pm_drop(&m);
    }
}
