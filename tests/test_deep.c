/* Depth: paths of 16 MiB, and tries that fork at every level, in a thread whose stack is small. Whatever recursed by
   the length of a path would end there. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#include "library.h"

#include "small_stack.h"

/* Some checkers are so slow that they get shorter paths. */
#if defined(__SANITIZE_THREAD__)
#define WITH_TSAN 1
#elif defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define WITH_TSAN 1
#endif
#endif

#if defined(WITH_TSAN)
enum { DEEP = 1 << 20 };
#else
enum { DEEP = 16 << 20 };
#endif
enum { HALF = DEEP / 2 + 77 };
static uint8_t *deep; /* DEEP bytes, and 64 more */

static void *thread_main(void *arg) {
    void (*body)(void) = *(void (**)(void))arg;
    body();
    return NULL;
}

/* Runs a body in a thread with a small stack. Its failed checks are recorded; it goes on after them. */
static void run_small(void (*body)(void)) {
    pm_pool_stats stats;
    uint64_t before;
    pm_pool_trim(NULL);
    before = check_live_blocks();
    deep = malloc(DEEP + 64);
    CHECK(deep != NULL);
    for (unsigned i = 0; i < DEEP + 64; i++) deep[i] = (uint8_t)('a' + i % 4 * 5 + i / 4099 % 3);
    run_on_small_stack(thread_main, &body);
    free(deep);
    pm_pool_get_stats(NULL, &stats);
    CHECK_EQ(stats.nodes, 0);
    pm_pool_trim(NULL);
    CHECK_EQ(check_live_blocks(), before);
}

static uint64_t vals(const pm_map *m) {
    uint64_t n = 0;
    CHECK_OK(pm_val_count(m, &n));
    return n;
}

static uint64_t locations(const pm_map *m) {
    uint64_t n = 0;
    CHECK_OK(pm_location_count(m, &n));
    return n;
}

static bool equal(const pm_map *a, const pm_map *b) {
    bool same = false;
    CHECK_OK(pm_equal(a, b, &same));
    return same;
}

static pm_map single(void) {
    pm_map m = {0};
    CHECK_OK(pm_set(&m, deep, DEEP, 1, NULL));
    return m;
}

/* ---- maps ---------------------------------------------------------------------------------------------------- */

static void point_operations(void) {
    pm_map m = single();
    pm_val *slot = NULL;
    pm_opt old = {0, false};
    size_t gone = 0;
    bool flag = false;
    uint64_t n = 0;
    const pm_val *v = pm_get(&m, deep, DEEP);
    CHECK(v && *v == 1);
    CHECK(!pm_get(&m, deep, DEEP - 1) && !pm_get(&m, deep, DEEP + 1));
    CHECK(pm_path_exists(&m, deep, HALF) && !pm_path_exists(&m, deep + 1, HALF));
    CHECK_EQ(vals(&m), 1);
    CHECK_EQ(locations(&m), DEEP + 1);
    CHECK_OK(pm_depth_count(&m, HALF, &n));
    CHECK_EQ(n, 1);
    CHECK_EQ(pm_check(&m, NULL), PM_OK);

    pm_map c = pm_clone(&m);
    CHECK_OK(pm_get_mut(&c, deep, DEEP, &slot)); /* copies every node */
    if (slot) *slot = 2;
    CHECK_EQ(*pm_get(&m, deep, DEEP), 1);
    CHECK(!equal(&m, &c));
    CHECK_OK(pm_set(&c, deep, HALF, 3, NULL));
    CHECK_OK(pm_remove(&c, deep, DEEP, PM_PRUNE, &old)); /* prunes half the path */
    CHECK(old.some && old.val == 2);
    CHECK_EQ(locations(&c), HALF + 1);
    CHECK_OK(pm_create_path(&c, deep, DEEP, &flag));
    CHECK(flag);
    CHECK_OK(pm_prune_path(&c, deep, DEEP, &gone));
    CHECK_EQ(gone, DEEP - HALF);
    CHECK_OK(pm_remove_branches(&c, deep, 5, PM_PRUNE, &flag));
    CHECK(flag && pm_is_empty(&c));
    CHECK_OK(pm_get_or_set(&c, deep, DEEP, 1, &slot, &flag));
    CHECK(flag && equal(&m, &c));
    pm_drop(&c);
    pm_drop(&m);
}

static void whole_maps(void) {
    pm_map m = single(), grown = {0}, built, sub, both;
    pm_key keys[3] = {{deep, HALF}, {deep, DEEP}, {deep, DEEP + 1}};
    pm_val v[3] = {1, 2, 3};
    bool exists = false;
    const pm_val *out[3];
    pm_stats stats;

    /* The same path laid out otherwise: forks came and went. */
    for (size_t at = 1000; at < DEEP; at += DEEP / 64) {
        deep[at] ^= 1;
        CHECK_OK(pm_set(&grown, deep, at + 1, 9, NULL));
        deep[at] ^= 1;
    }
    CHECK_OK(pm_set(&grown, deep, DEEP, 1, NULL));
    for (size_t at = 1000; at < DEEP; at += DEEP / 64) {
        deep[at] ^= 1;
        CHECK_OK(pm_remove(&grown, deep, at + 1, PM_PRUNE, NULL));
        deep[at] ^= 1;
    }
    CHECK(equal(&m, &grown));
    CHECK_OK(pm_compact(&grown));
    CHECK(equal(&m, &grown));

    CHECK_OK(pm_build(NULL, NULL, keys, v, 3, &built));
    CHECK_EQ(vals(&built), 3);
    CHECK_EQ(locations(&built), DEEP + 2);
    CHECK_EQ(pm_get_many(&built, keys, 3, out), 3);
    CHECK(out[1] && *out[1] == 2);
    CHECK_OK(pm_subtrie(&built, deep, HALF, &sub, &exists));
    CHECK(exists);
    CHECK_EQ(vals(&sub), 3);
    CHECK_EQ(locations(&sub), DEEP - HALF + 2);
    CHECK_OK(pm_build(NULL, NULL, &(pm_key){deep, DEEP}, v, 1, &both));
    CHECK(equal(&both, &m));
    CHECK_EQ(pm_check(&grown, NULL), PM_OK);
    CHECK_EQ(pm_check(&built, NULL), PM_OK);
    CHECK_OK(pm_get_stats(&built, &stats));
    CHECK_EQ(stats.values, 3);
    CHECK_EQ(stats.locations, DEEP + 2);
    CHECK(stats.max_depth >= DEEP / 512);
    pm_drop(&built);
    pm_drop(&both);
    pm_drop(&sub);
    pm_drop(&m);
    pm_drop(&grown);
}

static bool sum_lengths(void *ctx, const uint8_t *key, size_t len, pm_val val) {
    *(uint64_t *)ctx += len + val + key[len - 1];
    return true;
}

static bool sum_text(void *ctx, const char *text, size_t len) {
    (void)text;
    *(uint64_t *)ctx += len;
    return true;
}

static void iteration(void) {
    pm_map m = single();
    uint64_t sum = 0;
    unsigned n = 0;
    CHECK_OK(pm_set(&m, deep, HALF, 2, NULL));
    CHECK_OK(pm_each(&m, sum_lengths, &sum));
    CHECK_EQ(sum, (uint64_t)HALF + DEEP + 3 + deep[HALF - 1] + deep[DEEP - 1]);
    for (pm_iter i = pm_iter_vals(&m); pm_iter_next(&i) || (pm_iter_drop(&i), false);) {
        CHECK_EQ(i.len, n ? (size_t)DEEP : (size_t)HALF);
        CHECK(memcmp(i.key, deep, i.len) == 0);
        n++;
    }
    CHECK_EQ(n, 2);
    sum = 0;
    CHECK_OK(pm_dump(&m, sum_text, &sum));
    CHECK(sum >= DEEP + HALF);
    sum = 0;
    CHECK_OK(pm_dump_nodes(&m, sum_text, &sum));
    CHECK(sum > DEEP / 256);
    const pm_map *maps[1] = {&m};
    sum = 0;
    CHECK_OK(pm_dot(maps, 1, sum_text, &sum));
    CHECK(sum > DEEP / 256);
    pm_drop(&m);
}

/* ---- zippers ------------------------------------------------------------------------------------------------- */

static void read_zipper(void) {
    pm_map m = single();
    pm_rz z, fork, owned;
    uint64_t n = 0;
    size_t len = 0;
    CHECK_OK(pm_set(&m, deep, HALF, 2, NULL));
    CHECK_OK(pm_rz_open(&m, NULL, 0, &z));
    CHECK(pm_rz_descend_to_check(&z, deep, DEEP));
    CHECK(pm_rz_is_val(&z));
    CHECK_EQ(pm_rz_ascend_until(&z), DEEP - HALF);
    CHECK_EQ(pm_rz_ascend_until(&z), HALF);
    CHECK(pm_rz_at_root(&z));
    CHECK(pm_rz_descend_until(&z));
    (void)pm_rz_path(&z, &len);
    CHECK_EQ(len, HALF);
    CHECK(pm_rz_descend_last_path(&z));
    (void)pm_rz_path(&z, &len);
    CHECK_EQ(len, DEEP);
    CHECK_EQ(pm_rz_ascend_until_branch(&z), DEEP);
    CHECK(pm_rz_to_next_val(&z) && pm_rz_to_next_val(&z) && !pm_rz_to_next_val(&z));
    CHECK(pm_rz_descend_first_k_path(&z, HALF + 5));
    CHECK(!pm_rz_to_next_k_path(&z, HALF + 5));
    CHECK_EQ(pm_rz_move_to(&z, deep, HALF), HALF);
    CHECK_EQ(pm_rz_descend_to_val(&z, deep + HALF, DEEP - HALF), DEEP - HALF);
    CHECK(pm_rz_ascend(&z, DEEP - HALF));
    CHECK_OK(pm_rz_val_count(&z, &n));
    CHECK_EQ(n, 2);
    CHECK_OK(pm_rz_fork(&z, &fork));
    CHECK_EQ(pm_rz_descend_to_existing(&fork, deep + HALF, DEEP - HALF), DEEP - HALF);
    pm_map made = {0};
    CHECK_OK(pm_rz_make_map(&z, &made));
    CHECK_EQ(locations(&made), DEEP - HALF + 1);
    pm_drop(&made);
    pm_rz_drop(&fork);
    CHECK_OK(pm_rz_open_owned(&m, deep, HALF, &owned));
    pm_drop(&m);
    n = 0;
    while (pm_rz_to_next_step(&owned)) n++;
    CHECK_EQ(n, DEEP - HALF);
    CHECK_OK(pm_rz_status(&owned));
    pm_rz_drop(&owned);
    pm_rz_drop(&z);
}

static void write_zipper(void) {
    pm_map m = single(), piece = {0}, part = {0};
    pm_wz w;
    pm_rz src;
    bool done = false;
    size_t gone = 0;
    CHECK_OK(pm_set(&piece, "x", 1, 5, NULL));
    pm_map before = pm_clone(&m);
    CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
    pm_rz_descend_to(pm_wz_cursor(&w), deep, DEEP);
    CHECK_OK(pm_wz_set(&w, 4, NULL));
    CHECK_OK(pm_wz_graft_map(&w, &piece)); /* takes the value too: piece has none */
    CHECK(!pm_rz_is_val(pm_wz_cursor(&w)));
    CHECK(pm_rz_ascend(pm_wz_cursor(&w), DEEP - HALF));
    CHECK_OK(pm_wz_insert_prefix(&w, deep, HALF, &done));
    CHECK(done);
    CHECK_EQ(pm_rz_move_to(pm_wz_cursor(&w), deep, HALF), HALF);
    CHECK(pm_rz_descend_to_check(pm_wz_cursor(&w), deep, HALF));
    CHECK_OK(pm_wz_remove_prefix(&w, HALF, &done));
    CHECK(done);
    CHECK_OK(pm_rz_open(&before, deep, HALF, &src));
    CHECK_EQ(pm_rz_move_to(pm_wz_cursor(&w), deep, DEEP), DEEP);
    CHECK_OK(pm_wz_graft(&w, &src));
    CHECK(pm_rz_descend_to_check(pm_wz_cursor(&w), deep + HALF, DEEP - HALF));
    CHECK_OK(pm_wz_remove(&w, PM_KEEP, NULL));
    CHECK_OK(pm_wz_prune_ascend(&w, &gone));
    CHECK_EQ(gone, DEEP + DEEP - HALF);
    CHECK_OK(pm_wz_create_path(&w, NULL));
    pm_rz_descend_to(pm_wz_cursor(&w), deep, DEEP);
    CHECK_OK(pm_wz_set(&w, 6, NULL));
    CHECK(pm_rz_ascend(pm_wz_cursor(&w), 10));
    CHECK_OK(pm_wz_take(&w, PM_PRUNE, &part, &done));
    CHECK(done);
    CHECK_EQ(locations(&part), 11);
    CHECK_OK(pm_wz_drop(&w));
    CHECK(pm_is_empty(&m));
    CHECK_EQ(pm_check(&before, NULL), PM_OK);
    pm_rz_drop(&src);
    pm_drop(&part);
    pm_drop(&piece);
    pm_drop(&before);
    pm_drop(&m);
}

/* ---- forks at every level ------------------------------------------------------------------------------------ */

#if defined(WITH_TSAN) || PM_CHECK >= 3
enum { LEVELS = 600, TEETH = 60 };
#else
enum { LEVELS = 3000, TEETH = 60 };
#endif

/* A spine of LEVELS bytes with TEETH - 1 values beside each. */
static pm_map comb(void) {
    pm_map m = {0};
    uint8_t key[LEVELS];
    memset(key, 'z', sizeof key);
    for (unsigned i = LEVELS; i-- > 0;) { /* writes to a map of that depth are what is tried here */
        for (unsigned t = 1; t < TEETH; t++) {
            key[i] = (uint8_t)t;
            CHECK_OK(pm_set(&m, key, i + 1u, t - 1, NULL));
        }
        key[i] = 'z';
    }
    return m;
}

static void forks(void) {
    pm_map m = comb();
    pm_map c = pm_clone(&m);
    uint8_t key[LEVELS];
    uint64_t n = 0;
    pm_stats stats;
    memset(key, 'z', sizeof key);
    key[LEVELS - 1] = 7;
    CHECK_EQ(vals(&m), (uint64_t)LEVELS * (TEETH - 1));
    CHECK_OK(pm_get_stats(&m, &stats));
    CHECK(stats.max_depth >= LEVELS);
    CHECK_OK(pm_set(&c, key, LEVELS, 99, NULL));
    CHECK(!equal(&m, &c));
    CHECK_OK(pm_set(&c, key, LEVELS, 6, NULL));
    CHECK(equal(&m, &c));
    CHECK_EQ(pm_check(&c, NULL), PM_OK);
    CHECK_OK(pm_depth_count(&m, LEVELS / 2, &n));
    CHECK_EQ(n, TEETH);
    n = 0;
    CHECK_OK(pm_each(&m, sum_lengths, &n));
    CHECK(n > LEVELS);
    pm_drop(&m);
    CHECK_OK(pm_remove_branches(&c, key, LEVELS / 2, PM_PRUNE, NULL));
    CHECK_EQ(vals(&c), (uint64_t)LEVELS / 2 * (TEETH - 1));
    pm_drop(&c);
}

TEST(deep_point_operations_need_no_stack) { run_small(point_operations); }
TEST(deep_whole_map_operations_need_no_stack) { run_small(whole_maps); }
TEST(deep_iteration_needs_no_stack) { run_small(iteration); }
TEST(deep_read_zippers_need_no_stack) { run_small(read_zipper); }
TEST(deep_write_zippers_need_no_stack) { run_small(write_zipper); }
TEST(deep_forks_need_no_stack) { run_small(forks); }
