/* Costs that do not depend on the machine: atomic read-modify-writes and allocations per call. And reference counts at
   their limit: a node with too many owners lives for ever, and nothing worse. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include <pthread.h>

static _Thread_local uint64_t rmws;

#define PATHMAP_STATIC
#define PM_ON_ATOMIC_RMW() ((void)rmws++)
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#include "../pathmap.h"

#if PM_NO_THREADS
enum { ONE = 0 };
#else
enum { ONE = 1 };
#endif

/* Read-modify-writes, and allocations, of one statement. */
#define RMWS(statement) (rmws = 0, (statement), rmws)
#define ALLOCS(statement) (check_fail_alloc(0), (statement), check_allocs())

enum { KEYS = 3000 };
static char text[KEYS][24];
static pm_key keys[KEYS];

/* A map with nodes of every kind: lines, byte nodes, wide ones, chains. */
static pm_map sample(const pm_ops *ops) {
    pm_map m = pm_new(ops, NULL);
    static char run[900];
    for (unsigned i = 0; i < KEYS; i++) {
        int len =
            snprintf(text[i], sizeof text[i], "%c%c/word/%u", (char)(i * 41 % 251), (char)(i % 7), i * 7919 % 10000);
        keys[i] = (pm_key){text[i], (size_t)len};
        CHECK_OK(pm_set(&m, text[i], (size_t)len, i, NULL));
    }
    memset(run, '~', sizeof run);
    CHECK_OK(pm_set(&m, run, sizeof run, 1, NULL));
    return m;
}

/* One node copied, which the clone holds alone: whoever clones it again counts there. */
TEST(counts_of_a_clone_apart_are_its_own) {
    pm_map m = pm_new(NULL, NULL), apart, again;
    bool same = false;
    for (unsigned n = 0; n <= KEYS; n += n < 4 ? 1 : n / 2) {
        pm_drop(&m);
        m = sample(NULL);
        for (unsigned i = n; i < KEYS; i++) CHECK_OK(pm_remove(&m, text[i], keys[i].len, PM_PRUNE, NULL));
        CHECK_OK(pm_clone_apart(&m, &apart));
        CHECK(pm__ref_is_unique(m.root) && pm__ref_is_unique(apart.root));
        CHECK_EQ(RMWS(again = pm_clone(&apart)), ONE);
        CHECK(pm__ref_is_unique(m.root));
        CHECK_OK(pm_equal(&m, &again, &same));
        CHECK(same);
        CHECK_OK(pm_check(&again, NULL));
        pm_drop(&again);
        CHECK(pm__ref_is_unique(apart.root));
        pm_drop(&apart);
    }
    pm_drop(&m);
    m = pm_new(NULL, NULL);
    CHECK_OK(pm_clone_apart(&m, &apart));
    CHECK(pm_is_empty(&apart));
    CHECK_OK(pm_set(&m, "", 0, 7, NULL));
    CHECK_OK(pm_clone_apart(&m, &apart));
    CHECK_EQ(*pm_get(&apart, "", 0), 7);
    pm_drop(&apart);
    pm_drop(&m);
}

TEST(counts_reading_needs_no_atomic_write) {
    static const pm_val *out[KEYS];
    pm_map m = sample(NULL);
    pm_map other = pm_clone(&m);
    uint64_t n = 0;
    bool same = false;
    rmws = 0;
    for (unsigned i = 0; i < KEYS; i++) {
        CHECK(pm_get(&m, text[i], keys[i].len) != NULL);
        CHECK(pm_get(&m, text[i], keys[i].len - 1) == NULL || i);
        CHECK(pm_path_exists(&m, text[i], keys[i].len - 1));
    }
    CHECK_EQ(rmws, 0);
    CHECK_EQ(RMWS(pm_get_many(&m, keys, KEYS, out)), 0);
    CHECK_EQ(RMWS(CHECK_OK(pm_val_count(&m, &n))), 0);
    CHECK_EQ(n, KEYS + 1);
    CHECK_EQ(RMWS(CHECK_OK(pm_equal(&m, &other, &same))), 0);
    CHECK(same);
    pm_drop(&m);
    pm_drop(&other);
}

TEST(counts_reading_needs_no_allocation) {
    static const pm_val *out[KEYS];
    pm_map m = sample(NULL);
    CHECK_EQ(ALLOCS(pm_get_many(&m, keys, KEYS, out)), 0);
    check_fail_alloc(0);
    for (unsigned i = 0; i < KEYS; i++) CHECK(pm_contains(&m, text[i], keys[i].len) && pm_path_exists(&m, text[i], 2));
    CHECK_EQ(check_allocs(), 0);
    pm_drop(&m);
}

/* Moves of every kind around the focus, and back. */
static void wander(pm_rz *z) {
    static uint8_t home[1000];
    size_t len;
    const uint8_t *path = pm_rz_path(z, &len);
    memcpy(home, path, len);
    (void)pm_rz_val(z);
    (void)pm_rz_is_val(z);
    (void)pm_rz_child_mask(z);
    (void)pm_rz_child_count(z);
    (void)pm_rz_descend_first_byte(z);
    (void)pm_rz_descend_until(z);
    (void)pm_rz_ascend_until(z);
    (void)pm_rz_ascend_until_branch(z);
    (void)pm_rz_to_next_sibling(z);
    (void)pm_rz_to_prev_sibling(z);
    (void)pm_rz_descend_last_byte(z);
    (void)pm_rz_descend_indexed_byte(z, 1);
    (void)pm_rz_descend_to_check(z, "no", 2);
    (void)pm_rz_ascend(z, 3);
    (void)pm_rz_descend_to_existing(z, "/word", 5);
    (void)pm_rz_descend_to_val(z, "/word", 5);
    (void)pm_rz_descend_last_path(z);
    (void)pm_rz_move_to(z, home, len);
}

/* Every move, on the way over a whole map. */
static void walk(pm_rz *z) {
    unsigned steps = 0;
    while (pm_rz_to_next_step(z)) {
        CHECK(pm_rz_exists(z));
        if (++steps % 16 == 0) wander(z);
    }
    for (unsigned i = 0; i < KEYS; i++) CHECK_EQ(pm_rz_move_to(z, text[i], keys[i].len), keys[i].len);
    pm_rz_reset(z);
    for (bool more = pm_rz_descend_first_k_path(z, 3); more;) more = pm_rz_to_next_k_path(z, 3);
    pm_rz_reset(z);
    while (pm_rz_to_next_val(z)) steps++;
    CHECK(pm_rz_at_root(z));
    CHECK(steps > KEYS);
}

TEST(counts_zipper_moves_need_no_atomic_write) {
    pm_map m = sample(NULL);
    pm_map other = pm_clone(&m);
    pm_rz z;
    CHECK_EQ(RMWS(CHECK_OK(pm_rz_open(&m, NULL, 0, &z))), 0);
    CHECK_OK(pm_rz_reserve(&z, 4096, 256));
    CHECK_EQ(RMWS(walk(&z)), 0);
    CHECK_EQ(ALLOCS(walk(&z)), 0);
    CHECK_EQ(RMWS(pm_rz_drop(&z)), 0);
    CHECK_EQ(RMWS(CHECK_OK(pm_rz_open_owned(&m, NULL, 0, &z))), ONE);
    CHECK_EQ(RMWS(walk(&z)), 0);
    pm_rz_drop(&z);
    pm_drop(&m);
    pm_drop(&other);
}

TEST(counts_clone_is_one_atomic_write_and_no_allocation) {
    pm_map m = sample(NULL), c = {0}, empty = {0}, d;
    CHECK_EQ(RMWS(c = pm_clone(&m)), ONE);
    CHECK_EQ(RMWS(pm_drop(&c)), ONE);
    CHECK_EQ(ALLOCS(c = pm_clone(&m)), 0);
    CHECK_EQ(RMWS(d = pm_clone(&empty)), 0);
    CHECK_EQ(RMWS(pm_drop(&d)), 0);
    pm_drop(&c);
    pm_drop(&m);
}

TEST(counts_a_sole_owner_writes_no_count) {
    pm_map m = sample(NULL);
    rmws = 0;
    for (unsigned i = 0; i < KEYS; i++) CHECK_OK(pm_set(&m, text[i], keys[i].len, i + 1, NULL));
    CHECK_EQ(rmws, 0);
    pm_drop(&m);
}

#if PM_POOL /* without, each node is counted in shared statistics as it comes and goes */
TEST(counts_a_sole_owner_removes_nodes_without_a_count) {
    pm_map m = sample(NULL), one = {0};
    pm_pool_stats stats;
    if (!pm__mem_self.heap) {
        pm_drop(&m);
        SKIP("threads have no heaps of their own here: nodes come and go under the pool's lock");
    }
    pm_pool_get_stats(NULL, &stats);
    /* When a slab has room again and when it becomes empty, a lock is taken, with two read-modify-writes each; a small
       slab has few nodes. Written counts would be one and more for each node. */
    rmws = 0;
    for (unsigned i = 0; i < KEYS; i += 2) CHECK_OK(pm_remove(&m, text[i], keys[i].len, PM_PRUNE, NULL));
    CHECK_NOTE(rmws < stats.nodes, "%" PRIu64 " for %" PRIu64 " nodes", rmws, stats.nodes);
    pm_pool_get_stats(NULL, &stats);
    CHECK_NOTE(RMWS(pm_drop(&m)) < stats.nodes, "%" PRIu64 " for %" PRIu64 " nodes", rmws, stats.nodes);
    for (unsigned i = 0; i < 100; i++) {
        CHECK_OK(pm_set(&one, "a", 1, 1, NULL));
        CHECK_OK(pm_set(&one, "b", 1, 1, NULL));
        CHECK_EQ(RMWS(pm_drop(&one)), 0);
    }
}
#endif

/* What a clone shares is added up where it is met, not remembered; what is met often inside of one map is. */
TEST(counts_beside_a_clone_allocate_no_more_than_without) {
    pm_map m = sample(NULL), alone = sample(NULL), c = pm_clone(&m), part;
    uint64_t n = 0, want = 0, locations = 0;
    for (unsigned i = 0; i < KEYS; i += 100) CHECK_OK(pm_set(&c, text[i], keys[i].len, 5, NULL));
    CHECK_OK(pm_val_count(&alone, &want));
    uint64_t allocs = ALLOCS(CHECK_OK(pm_val_count(&alone, &n)));
    CHECK_NOTE(ALLOCS(CHECK_OK(pm_val_count(&m, &n))) <= allocs + 3, "%" PRIu64, check_allocs());
    CHECK_EQ(n, want);
    CHECK_OK(pm_location_count(&alone, &locations));
    CHECK_OK(pm_location_count(&m, &n));
    CHECK_EQ(n, locations);
    for (size_t depth = 1; depth < 8; depth++) {
        CHECK_OK(pm_depth_count(&alone, depth, &want));
        CHECK_OK(pm_depth_count(&m, depth, &n));
        CHECK_EQ(n, want);
    }
    for (unsigned i = 0; i < 30; i++) { /* in the place of the grafts before come what there was, twice */
        pm_wz w;
        CHECK_OK(pm_val_count(&m, &want));
        part = pm_clone(&m);
        CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
        CHECK(pm_rz_move_to(pm_wz_cursor(&w), "\xff\xfe", 2) <= 2);
        CHECK_OK(pm_wz_graft_map(&w, &part));
        CHECK(pm_rz_move_to(pm_wz_cursor(&w), "\xff\xff", 2) <= 2);
        CHECK_OK(pm_wz_graft_map(&w, &part));
        CHECK_OK(pm_wz_drop(&w));
        pm_drop(&part);
        CHECK_OK(pm_val_count(&m, &n));
        CHECK_EQ(n, KEYS + 1 + 2 * want);
    }
    pm_drop(&m), pm_drop(&alone), pm_drop(&c);
}

/* A write into a shared map copies the nodes on its way and no others: it costs a few counts a level. */
TEST(counts_a_write_to_a_clone_copies_one_path) {
    pm_map m = sample(NULL);
    pm_pool_stats before, after;
    pm_map c = pm_clone(&m);
    pm_pool_get_stats(NULL, &before);
    CHECK_OK(pm_set(&c, text[1234], keys[1234].len, 5, NULL));
    pm_pool_get_stats(NULL, &after);
    CHECK_NOTE(after.nodes - before.nodes <= 6, "%" PRIu64 " nodes", after.nodes - before.nodes);
    CHECK_EQ(*pm_get(&m, text[1234], keys[1234].len), 1234);
    pm_drop(&c);
    pm_pool_get_stats(NULL, &after);
    CHECK_EQ(after.nodes, before.nodes);
    pm_drop(&m);
}

#if PATHMAP_SLIM_PTRS
/* ---- the limit of 32-bit counts ------------------------------------------------------------------------------ */

static pm__count *count_of(const pm_map *m) { return &((pm__head *)pm__ref_ptr(m->root))->rc; }

/* As if so many owners had come. The test has to free what then lives for ever. */
static void set_count(const pm_map *m, uint32_t n) { pm__count_store(count_of(m), n); }

static void end_immortal(pm_map *m) {
    set_count(m, 1);
    pm_drop(m);
}

TEST(counts_saturate_and_the_node_stays) {
    pm_map m = {0};
    CHECK_OK(pm_set(&m, "key", 3, 7, NULL));
    set_count(&m, PM__COUNT_MAX - 3);
    pm_map c[8];
    for (unsigned i = 0; i < 8; i++) c[i] = pm_clone(&m);
    CHECK(pm__count_load_relaxed(count_of(&m)) >= PM__COUNT_MAX);
    uint32_t parked = pm__count_load_relaxed(count_of(&m));
    for (unsigned i = 0; i < 8; i++) {
        pm_map copy = c[i];
        pm_drop(&copy); /* no decrement any more, however many go */
    }
    for (unsigned i = 0; i < 1000; i++) {
        pm_map again = pm_clone(&m);
        pm_drop(&again);
    }
    CHECK(pm__count_load_relaxed(count_of(&m)) >= PM__COUNT_MAX);
    CHECK(pm__count_load_relaxed(count_of(&m)) <= parked + 1000);
    CHECK_EQ(*pm_get(&m, "key", 3), 7);
    /* An immortal node is never edited in place. */
    pm_map w = pm_clone(&m);
    uint64_t old = w.root;
    CHECK_OK(pm_set(&w, "key", 3, 8, NULL));
    CHECK(w.root != old);
    CHECK_EQ(*pm_get(&m, "key", 3), 7);
    CHECK_EQ(*pm_get(&w, "key", 3), 8);
    pm_drop(&w);
    CHECK_EQ(pm_check(&m, NULL), PM_OK);
    end_immortal(&m);
}

TEST(counts_below_the_limit_still_count) {
    pm_map m = {0};
    CHECK_OK(pm_set(&m, "key", 3, 7, NULL));
    set_count(&m, PM__COUNT_MAX - 2);
    pm_map c = pm_clone(&m);
    CHECK_EQ(pm__count_load_relaxed(count_of(&m)), PM__COUNT_MAX - 1);
    pm_drop(&c);
    CHECK_EQ(pm__count_load_relaxed(count_of(&m)), PM__COUNT_MAX - 2);
    end_immortal(&m);
}

TEST(counts_saturate_below_the_root_and_in_blocks) {
    pm_map m = {0};
    for (unsigned i = 0; i < 256; i++) {
        uint8_t key[2] = {(uint8_t)i, 'x'};
        CHECK_OK(pm_set(&m, key, 2, i, NULL));
    }
    CHECK_EQ(pm__ref_kind(m.root), PM__WIDE);
    pm__byte *wide = pm__ref_ptr(m.root);
    pm__block *block = pm__byte_block(wide, 3);
    pm__head *child = pm__ref_ptr(block->slot[5]);
    pm__count_store(&block->rc, PM__COUNT_MAX - 1);
    pm__count_store(&child->rc, PM__COUNT_MAX - 1);
    pm_map c = pm_clone(&m);
    CHECK_OK(pm_set(&c, "0y", 2, 1, NULL)); /* copies the wide node, and this block: its children gain an owner */
    CHECK(pm__count_load_relaxed(&block->rc) >= PM__COUNT_MAX);
    CHECK(pm__count_load_relaxed(&child->rc) >= PM__COUNT_MAX);
    CHECK_EQ(pm_check(&c, NULL), PM_OK);
    pm_drop(&m);
    uint64_t n = 0;
    CHECK_OK(pm_val_count(&c, &n));
    CHECK_EQ(n, 257);
    CHECK_EQ(*pm_get(&c, "5x", 2), '5');
    pm_drop(&c);
    /* What nobody owns any more lives on: the block with all it holds. */
    CHECK(pm__count_load_relaxed(&block->rc) >= PM__COUNT_MAX);
    CHECK_EQ(pm__ref_kind(block->slot[4]), PM__LINE);
    pm__cx cx = pm__cx_of(NULL, NULL);
    pm__count_store(&child->rc, 1);
    for (unsigned i = 0; i < 16; i++) pm__any_release(&cx, block->slot[i]);
    pm__mem_free(block, pm__block_size(block->cap));
}

#if !PM_NO_THREADS
enum { RACERS = 4, ROUNDS = 20000 };
static pm_map raced;
static atomic_int ready;

static void *race(void *arg) {
    uint64_t *seen = arg;
    pm_map held[8];
    atomic_fetch_add(&ready, 1);
    while (atomic_load(&ready) < RACERS) {}
    for (unsigned i = 0; i < ROUNDS; i++) {
        for (unsigned j = 0; j < 8; j++) held[j] = pm_clone(&raced);
        for (unsigned j = 0; j < 8; j++) {
            const pm_val *v = pm_get(&held[j], "key", 3);
            *seen += v ? *v : 0;
            pm_drop(&held[j]);
        }
    }
    return NULL;
}

/* Starts several rounds just below the limit: some threads look before it is passed, others after. */
TEST(counts_racing_past_the_limit_free_nothing) {
    for (uint32_t below = 1; below <= 32; below *= 2) {
        pthread_t threads[RACERS];
        uint64_t seen[RACERS] = {0};
        pm_pool_stats before, after;
        pm_pool_get_stats(NULL, &before);
        raced = (pm_map){0};
        CHECK_OK(pm_set(&raced, "key", 3, 7, NULL));
        set_count(&raced, PM__COUNT_MAX - below);
        atomic_store(&ready, 0);
        for (unsigned i = 0; i < RACERS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, race, &seen[i]), 0);
        for (unsigned i = 0; i < RACERS; i++) {
            CHECK_EQ(pthread_join(threads[i], NULL), 0);
            CHECK_EQ(seen[i], UINT64_C(7) * 8 * ROUNDS);
        }
        uint32_t count = pm__count_load_relaxed(count_of(&raced));
        /* Either the limit was never met, and all came back, or it was, and the node is far above. */
        CHECK_NOTE(count == PM__COUNT_MAX - below || count >= PM__COUNT_MAX, "count %" PRIu32, count);
        if (below < 8) CHECK(count >= PM__COUNT_MAX);
        pm_pool_get_stats(NULL, &after);
        CHECK_EQ(after.nodes, before.nodes + 1);
        end_immortal(&raced);
        pm_pool_get_stats(NULL, &after);
        CHECK_EQ(after.nodes, before.nodes);
    }
}

static _Atomic(pm_map *) passed[64];

/* Makes clones, some of them changed, and drops what others have made. */
static void *pass(void *arg) {
    uint64_t random = (uintptr_t)arg;
    for (unsigned i = 0; i < ROUNDS; i++) {
        pm_map *mine = malloc(sizeof *mine);
        *mine = pm_clone(&raced);
        if (i % 8 == 0) CHECK_OK(pm_set(mine, text[5], keys[5].len, 1, NULL));
        pm_map *other = atomic_exchange(&passed[check_rand_from(&random) % 64], mine);
        if (!other) continue;
        const pm_val *v = pm_get(other, text[8], keys[8].len);
        CHECK(v && *v == 8);
        pm_drop(other);
        free(other);
    }
    return NULL;
}

TEST(counts_of_an_immortal_node_stay_as_clones_go_from_hand_to_hand) {
    pthread_t threads[RACERS];
    raced = sample(NULL);
    set_count(&raced, PM__COUNT_MAX - 20);
    for (size_t i = 0; i < RACERS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, pass, (void *)(i + 1)), 0);
    for (unsigned i = 0; i < RACERS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
    for (unsigned i = 0; i < 64; i++) {
        pm_map *left = atomic_exchange(&passed[i], NULL);
        if (left) pm_drop(left);
        free(left);
    }
    CHECK_EQ(check_failed(), 0);
    CHECK(pm__count_load_relaxed(count_of(&raced)) >= PM__COUNT_MAX); /* more than twenty were out at a time */
    CHECK_EQ(*pm_get(&raced, text[5], keys[5].len), 5);
    end_immortal(&raced);
}
#endif
#endif
