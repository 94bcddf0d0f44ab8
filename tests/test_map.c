/* Maps: every call of 40_map.h, by hand at the edges and against the naive trie at random. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "model.h"

#include "library.h"
#include "counted.h"
#include "doubled.h"

/* Whole-trie checks after each write are slow; the random tests take fewer steps then. */
#if PM_CHECK >= 3
enum { STEPS = 1500 };
#else
enum { STEPS = 12000 };
#endif

/* ---- helpers ------------------------------------------------------------------------------------------------- */

#define K(literal) (literal), (sizeof(literal) - 1)

static void put(pm_map *m, const char *key, pm_val v) { CHECK_OK(pm_set(m, key, strlen(key), v, NULL)); }

static bool has(const pm_map *m, const char *key) { return pm_path_exists(m, key, strlen(key)); }

/* The value at a key that must have one. */
static pm_val at(const pm_map *m, const void *key, size_t len) {
    const pm_val *v = pm_get(m, key, len);
    CHECK(v != NULL);
    CHECK(pm_contains(m, key, len));
    return *v;
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
    bool forth = false, back = false;
    CHECK_OK(pm_equal(a, b, &forth));
    CHECK_OK(pm_equal(b, a, &back));
    CHECK_EQ(forth, back);
    return forth;
}

static void sound(const pm_map *m) {
    const char *why = "";
    pm_status s = pm_check(m, &why);
    CHECK_NOTE(s == PM_OK, "%s: %s", pm_status_text(s), why);
}

static bool check_location(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    const pm_map *m = ctx;
    if (!val && children == 1) return true; /* exists if what lies below does */
    const pm_val *v = pm_get(m, key, len);
    CHECK(pm_path_exists(m, key, len));
    CHECK_EQ(v != NULL, val != NULL);
    if (v) CHECK_EQ(*v, *val);
    return true;
}

/* Same locations, same values: everything of the model is there, and there is not more. */
static void same(const pm_map *m, const model *want) {
    uint64_t n = 0;
    sound(m);
    model_each(want, check_location, (void *)(uintptr_t)m);
    CHECK_EQ(vals(m), model_val_count(want));
    CHECK_EQ(locations(m), model_location_count(want));
    CHECK_EQ(pm_is_empty(m), model_is_empty(want));
    for (size_t depth = 0; depth < 40; depth += 1 + depth / 4) {
        CHECK_OK(pm_depth_count(m, depth, &n));
        CHECK_EQ(n, model_depth_count(want, depth));
    }
}

/* What a test did not hold before it may not be held after it. */
static uint64_t blocks_before, nodes_before;
static int64_t held_before;
static uint64_t live_nodes(void) {
    pm_pool_stats s;
    pm_pool_get_stats(NULL, &s);
    return s.nodes;
}
static void watch_leaks(void) {
    pm_pool_trim(NULL);
    blocks_before = check_live_blocks();
    nodes_before = live_nodes();
    held_before = counted_held();
}
static void no_leaks(void) {
    CHECK_EQ(live_nodes(), nodes_before);
    pm_pool_trim(NULL);
    CHECK_EQ(check_live_blocks(), blocks_before);
    CHECK_EQ(counted_held(), held_before);
    CHECK(counted_is_sound());
}

/* ---- by hand ------------------------------------------------------------------------------------------------- */

TEST(map_zero_is_an_empty_map_of_words) {
    pm_map m = {0};
    uint64_t n = 9;
    CHECK(pm_is_empty(&m));
    CHECK(pm_get(&m, K("a")) == NULL);
    CHECK(pm_get(&m, NULL, 0) == NULL);
    CHECK(pm_path_exists(&m, NULL, 0));
    CHECK(!pm_path_exists(&m, K("a")));
    CHECK(pm_map_ops(&m) == pm_ops_left());
    CHECK_EQ(vals(&m), 0);
    CHECK_EQ(locations(&m), 1);
    CHECK_OK(pm_depth_count(&m, 0, &n));
    CHECK_EQ(n, 1);
    CHECK_OK(pm_depth_count(&m, 1, &n));
    CHECK_EQ(n, 0);
    sound(&m);
    pm_map fresh = pm_new(NULL, NULL);
    CHECK(equal(&m, &fresh));
    pm_drop(&m);
    pm_drop(&m);
    pm_drop(&fresh);
}

TEST(map_new_keeps_its_operations_when_dropped) {
    pm_map m = pm_new(pm_ops_sum(), NULL);
    put(&m, "a", 1);
    pm_drop(&m);
    CHECK(pm_is_empty(&m));
    CHECK(pm_map_ops(&m) == pm_ops_sum());
    put(&m, "b", 2);
    CHECK_EQ(at(&m, K("b")), 2);
    pm_drop(&m);
}

TEST(map_set_replaces_and_hands_out_the_old_value) {
    watch_leaks();
    pm_map m = {0};
    pm_opt old = {77, true};
    CHECK_OK(pm_set(&m, K("key"), 1, &old));
    CHECK(!old.some);
    CHECK_OK(pm_set(&m, K("key"), 2, &old));
    CHECK(old.some);
    CHECK_EQ(old.val, 1);
    CHECK_OK(pm_set(&m, K("key"), 3, NULL));
    CHECK_EQ(at(&m, K("key")), 3);
    CHECK_EQ(vals(&m), 1);
    CHECK_EQ(locations(&m), 4);
    CHECK(has(&m, "ke") && !has(&m, "kf") && !has(&m, "keyy"));
    CHECK(!pm_contains(&m, K("ke")));
    sound(&m);
    pm_drop(&m);
    no_leaks();
}

TEST(map_empty_key_is_an_ordinary_key) {
    pm_map m = {0};
    pm_opt old;
    pm_val *slot = NULL;
    bool flag = true;
    size_t gone = 7;
    CHECK_OK(pm_set(&m, NULL, 0, 5, &old));
    CHECK(!old.some);
    CHECK(!pm_is_empty(&m));
    CHECK_EQ(at(&m, "", 0), 5);
    CHECK_OK(pm_set(&m, "", 0, 6, &old));
    CHECK(old.some && old.val == 5);
    CHECK_OK(pm_get_mut(&m, NULL, 0, &slot));
    *slot = 8;
    CHECK_EQ(at(&m, NULL, 0), 8);
    CHECK_OK(pm_get_or_set(&m, NULL, 0, 9, &slot, &flag));
    CHECK(!flag && *slot == 8);
    CHECK_OK(pm_create_path(&m, NULL, 0, &flag));
    CHECK(!flag);
    CHECK_OK(pm_prune_path(&m, NULL, 0, &gone));
    CHECK_EQ(gone, 0);
    put(&m, "x", 1);
    CHECK_EQ(vals(&m), 2);
    CHECK_OK(pm_remove_branches(&m, NULL, 0, PM_PRUNE, &flag));
    CHECK(flag && !has(&m, "x"));
    CHECK_EQ(at(&m, NULL, 0), 8);
    CHECK_OK(pm_remove_branches(&m, NULL, 0, PM_KEEP, &flag));
    CHECK(!flag);
    CHECK_OK(pm_remove(&m, NULL, 0, PM_PRUNE, &old));
    CHECK(old.some && old.val == 8);
    CHECK(pm_is_empty(&m));
    CHECK_OK(pm_remove(&m, NULL, 0, PM_PRUNE, &old));
    CHECK(!old.some);
    CHECK_OK(pm_get_or_set(&m, NULL, 0, 4, &slot, &flag));
    CHECK(flag && *slot == 4);
    pm_drop(&m);
}

TEST(map_keys_are_any_bytes) {
    static const struct {
        const char *key;
        size_t len;
    } keys[] = {{"", 0},           {"\0", 1},       {"\0\0", 2},     {"\0\0\0", 3},
                {"\0\xff", 2},     {"\xff", 1},     {"\xff\xff", 2}, {"\xff\0", 2},
                {"a", 1},          {"a\0b", 3},     {"a\0", 2},      {"a\0\0", 3},
                {"a\xff", 2},      {"\x80", 1},     {"\x7f", 1},     {"\x80\x7f", 2},
                {"\xfe\xff\0", 3}, {"\0a\0b\0", 5}, {"\x01", 1},     {"\xff\xff\xff\xff\xff\xff\xff\xff\xff", 9}};
    enum { N = sizeof keys / sizeof *keys };
    watch_leaks();
    pm_map m = {0};
    for (unsigned i = 0; i < N; i++) {
        CHECK_OK(pm_set(&m, keys[i].key, keys[i].len, i + 1, NULL));
        for (unsigned j = 0; j < N; j++)
            CHECK_EQ(pm_contains(&m, keys[j].key, keys[j].len), j <= i);
        sound(&m);
    }
    for (unsigned i = 0; i < N; i++) CHECK_EQ(at(&m, keys[i].key, keys[i].len), i + 1);
    CHECK_EQ(vals(&m), N);
    for (unsigned i = 0; i < N; i++) {
        pm_opt old;
        CHECK_OK(pm_remove(&m, keys[i].key, keys[i].len, PM_PRUNE, &old));
        CHECK(old.some && old.val == i + 1);
        for (unsigned j = 0; j < N; j++)
            CHECK_EQ(pm_contains(&m, keys[j].key, keys[j].len), j > i);
        sound(&m);
    }
    CHECK(pm_is_empty(&m));
    no_leaks();
}

TEST(map_holds_prefixes_of_prefixes) {
    enum { LEN = 1300 };
    static uint8_t key[LEN];
    watch_leaks();
    for (unsigned order = 0; order < 3; order++) {
        pm_map m = {0};
        for (size_t i = 0; i < LEN; i++) key[i] = (uint8_t)(i * 7 + i / 256);
        for (size_t n = 0; n <= LEN; n++) {
            size_t len = order == 0 ? n : order == 1 ? LEN - n : n * 331 % (LEN + 1);
            CHECK_OK(pm_set(&m, key, len, len, NULL));
        }
        sound(&m);
        CHECK_EQ(vals(&m), LEN + 1);
        CHECK_EQ(locations(&m), LEN + 1);
        for (size_t n = 0; n <= LEN; n++) CHECK_EQ(at(&m, key, n), n);
        for (size_t n = 0; n <= LEN; n += 2) CHECK_OK(pm_remove(&m, key, n, PM_PRUNE, NULL));
        CHECK_EQ(vals(&m), LEN / 2);
        CHECK_EQ(locations(&m), LEN); /* its last byte went with the value of the whole key */
        for (size_t n = 0; n <= LEN; n++) CHECK_EQ(pm_contains(&m, key, n), n % 2 == 1);
        sound(&m);
        pm_drop(&m);
    }
    no_leaks();
}

/* Keys that agree for a while and then differ in one byte, at every length around the limits of nodes. */
TEST(map_holds_long_keys_that_part_anywhere) {
    enum { LEN = 1100 };
    static uint8_t a[LEN + 300], b[LEN + 300];
    static const size_t at_byte[] = {0,   1,   7,   8,   100, 199, 200, 253, 254, 255,
                                     256, 257, 300, 500, 510, 511, 512, 513, 768, 1023};
    watch_leaks();
    for (size_t i = 0; i < sizeof a; i++) a[i] = (uint8_t)('a' + i % 23);
    for (unsigned i = 0; i < sizeof at_byte / sizeof *at_byte; i++) {
        for (unsigned j = 0; j < sizeof at_byte / sizeof *at_byte; j++) {
            size_t part = at_byte[i], len = part + 1 + at_byte[j] / 4;
            pm_map m = {0};
            memcpy(b, a, sizeof b);
            b[part] = '!';
            CHECK_OK(pm_set(&m, a, LEN, 1, NULL));
            CHECK_OK(pm_set(&m, b, len, 2, NULL));
            CHECK_OK(pm_set(&m, b, part, 3, NULL));
            sound(&m);
            CHECK_EQ(at(&m, a, LEN), 1);
            CHECK_EQ(at(&m, b, len), 2);
            CHECK_EQ(at(&m, b, part), 3);
            CHECK_EQ(locations(&m), LEN + 1 + (len - part));
            CHECK_OK(pm_remove(&m, b, len, PM_PRUNE, NULL));
            CHECK_OK(pm_remove(&m, a, LEN, PM_PRUNE, NULL));
            CHECK_EQ(locations(&m), part + 1);
            CHECK_EQ(at(&m, a, part), 3);
            sound(&m);
            pm_drop(&m);
        }
    }
    no_leaks();
}

/* A node that was built at once may hold longer runs than one that grew. */
TEST(map_grows_from_built_long_keys) {
    static uint8_t one[700], two[700], three[700];
    watch_leaks();
    for (size_t part = 150; part <= 255; part += 5) {
        for (size_t tail = 40; tail <= 255; tail += 43) {
            memset(one, 'p', sizeof one);
            memset(two, 'p', sizeof two);
            one[part] = 'a';
            for (size_t i = part + 1; i < sizeof one; i++) one[i] = (uint8_t)('c' + i % 20);
            two[part] = 'b';
            memcpy(three, one, sizeof three);
            pm_key keys[2] = {{one, part + tail}, {two, part + 1}};
            pm_val built[2] = {1, 2};
            pm_map m;
            CHECK_OK(pm_build(NULL, NULL, keys, built, 2, &m));
            sound(&m);
            three[part + tail - 5] = 'Z';
            CHECK_OK(pm_set(&m, three, part + tail + 100, 3, NULL));
            sound(&m);
            CHECK_EQ(at(&m, one, part + tail), 1);
            CHECK_EQ(at(&m, two, part + 1), 2);
            CHECK_EQ(at(&m, three, part + tail + 100), 3);
            CHECK_OK(pm_remove(&m, two, part + 1, PM_PRUNE, NULL));
            CHECK_OK(pm_remove(&m, three, part + tail + 100, PM_PRUNE, NULL));
            CHECK_EQ(locations(&m), part + tail + 1);
            CHECK_OK(pm_remove(&m, one, part + tail, PM_KEEP, NULL));
            CHECK_EQ(locations(&m), part + tail + 1);
            sound(&m);
            pm_drop(&m);
        }
    }
    no_leaks();
}

TEST(map_fan_out_of_256_grows_and_shrinks) {
    for (unsigned unit = 0; unit < 2; unit++) {
        watch_leaks();
        pm_map m = pm_new(unit ? pm_ops_unit() : NULL, NULL);
        model *want = model_new();
        pm_map kept = {0};
        model *kept_want = NULL;
        uint8_t key[3];
        for (unsigned round = 0; round < 2; round++) {
            for (unsigned i = 0; i < 256; i++) {
                key[0] = (uint8_t)(i * 77);
                key[1] = 'v';
                key[2] = 'w';
                for (size_t len = 1; len <= 3; len++) {
                    uint64_t v = unit ? 0 : i * 4 + len, old;
                    CHECK_OK(pm_set(&m, key, len, v, NULL));
                    model_set(want, key, len, v, &old);
                }
                if (i % 16 == 15) same(&m, want);
            }
            if (round == 0) {
                kept = pm_clone(&m);
                kept_want = model_copy(want);
            }
            for (unsigned i = 0; i < 256; i++) {
                uint64_t old;
                key[0] = (uint8_t)(i * 51);
                for (size_t len = 3; len >= 1; len--) {
                    CHECK_OK(pm_remove(&m, key, len, len != 2, NULL));
                    model_remove(want, key, len, len != 2, &old);
                }
                if (i % 16 == 15) same(&m, want);
            }
            CHECK_EQ(locations(&m), 1 + 2 * 256);
            for (unsigned i = 0; i < 256; i++) {
                key[0] = (uint8_t)(i * 99);
                CHECK_OK(pm_prune_path(&m, key, 2, NULL));
                CHECK_EQ(model_prune(want, key, 2), 2);
                if (i % 16 == 15) same(&m, want);
            }
            CHECK(pm_is_empty(&m));
            same(&kept, kept_want);
        }
        pm_drop(&kept);
        model_free(kept_want);
        model_free(want);
        no_leaks();
    }
}

TEST(map_removal_leaves_or_prunes_the_place) {
    pm_map m = {0};
    pm_opt old;
    put(&m, "ab", 1);
    put(&m, "abcd", 2);
    put(&m, "abxy", 3);
    CHECK_OK(pm_remove(&m, K("abcd"), PM_KEEP, &old));
    CHECK(old.some && old.val == 2);
    CHECK(has(&m, "abcd")); /* dangling */
    CHECK(!pm_contains(&m, K("abcd")));
    CHECK_EQ(vals(&m), 2);
    CHECK_EQ(locations(&m), 7);
    CHECK_OK(pm_remove(&m, K("abcd"), PM_PRUNE, &old)); /* no value there; pruned all the same */
    CHECK(!old.some);
    CHECK(!has(&m, "abc") && has(&m, "ab"));
    CHECK_OK(pm_remove(&m, K("ab"), PM_PRUNE, &old)); /* has extensions: only the value goes */
    CHECK(old.some && old.val == 1);
    CHECK(has(&m, "ab") && has(&m, "abxy"));
    CHECK_OK(pm_remove(&m, K("abx"), PM_PRUNE, &old)); /* neither value nor childless: nothing happens */
    CHECK(!old.some && has(&m, "abxy"));
    CHECK_OK(pm_remove(&m, K("nope"), PM_PRUNE, &old));
    CHECK(!old.some);
    CHECK_OK(pm_remove(&m, K("abxyz"), PM_PRUNE, &old));
    CHECK(!old.some);
    CHECK_OK(pm_remove(&m, K("abxy"), PM_PRUNE, NULL));
    CHECK(pm_is_empty(&m));
    CHECK_EQ(locations(&m), 1);
    pm_drop(&m);
}

TEST(map_dangling_places_are_places) {
    pm_map m = {0}, other = {0};
    bool made = false;
    CHECK_OK(pm_create_path(&m, K("one/two"), &made));
    CHECK(made);
    CHECK_OK(pm_create_path(&m, K("one/two"), &made));
    CHECK(!made);
    CHECK_OK(pm_create_path(&m, K("one"), &made));
    CHECK(!made);
    CHECK_OK(pm_create_path(&m, K("one/two/three"), NULL));
    CHECK(!pm_is_empty(&m));
    CHECK_EQ(vals(&m), 0);
    CHECK_EQ(locations(&m), 14);
    CHECK(!equal(&m, &other));
    put(&m, "one/twofold", 1); /* beside a dangling place, and then past it */
    put(&m, "one/two/three!", 2);
    CHECK_EQ(locations(&m), 19);
    CHECK_OK(pm_remove(&m, K("one/two/three!"), PM_KEEP, NULL));
    CHECK_OK(pm_remove(&m, K("one/twofold"), PM_KEEP, NULL));
    CHECK_EQ(vals(&m), 0);
    CHECK_EQ(locations(&m), 19);
    put(&other, "one/twofold", 1);
    put(&other, "one/two/three!", 2);
    CHECK(!equal(&m, &other));
    put(&m, "one/twofold", 1); /* a value where a dangling place was */
    put(&m, "one/two/three!", 2);
    CHECK(equal(&m, &other));
    sound(&m);
    pm_drop(&m);
    pm_drop(&other);
}

static size_t pruned(pm_map *m, const char *key) {
    size_t gone = 99;
    CHECK_OK(pm_prune_path(m, key, strlen(key), &gone));
    sound(m);
    return gone;
}

TEST(map_prune_stops_at_values_and_forks) {
    pm_map m = {0};
    CHECK_OK(pm_create_path(&m, K("abcdef"), NULL));
    CHECK_EQ(pruned(&m, "abc"), 0);     /* has an extension */
    CHECK_EQ(pruned(&m, "abcdefg"), 0); /* does not exist */
    CHECK_EQ(pruned(&m, "x"), 0);
    CHECK_EQ(pruned(&m, "abcdef"), 6); /* to the root */
    CHECK(pm_is_empty(&m));
    CHECK_EQ(pruned(&m, "abcdef"), 0);

    CHECK_OK(pm_create_path(&m, K("abcdef"), NULL));
    put(&m, "ab", 1);
    CHECK_EQ(pruned(&m, "abcdef"), 4); /* to the value */
    CHECK(has(&m, "ab") && !has(&m, "abc"));
    CHECK_EQ(pruned(&m, "ab"), 0); /* a value is never pruned */
    CHECK_EQ(at(&m, K("ab")), 1);

    CHECK_OK(pm_create_path(&m, K("abcdef"), NULL));
    CHECK_OK(pm_create_path(&m, K("abcxyz"), NULL));
    CHECK_EQ(pruned(&m, "abcdef"), 3); /* to the fork */
    CHECK_EQ(pruned(&m, "abcxyz"), 4); /* no fork any more */

    CHECK_OK(pm_remove(&m, K("ab"), PM_KEEP, NULL));
    CHECK_OK(pm_set(&m, NULL, 0, 7, NULL));
    CHECK_EQ(pruned(&m, "ab"), 2);
    CHECK_EQ(locations(&m), 1);
    CHECK_EQ(at(&m, NULL, 0), 7);

    CHECK_OK(pm_create_path(&m, K("p"), NULL));
    CHECK_OK(pm_prune_path(&m, K("p"), NULL));
    CHECK(!has(&m, "p"));
    pm_drop(&m);
}

TEST(map_prune_crosses_long_runs) {
    enum { LEN = 2000 };
    static uint8_t key[LEN];
    watch_leaks();
    memset(key, 'k', LEN);
    for (size_t stop = 0; stop < LEN; stop += 97) {
        pm_map m = {0};
        size_t gone = 0;
        CHECK_OK(pm_create_path(&m, key, LEN, NULL));
        if (stop) CHECK_OK(pm_set(&m, key, stop, 1, NULL));
        pm_map before = pm_clone(&m);
        CHECK_OK(pm_prune_path(&m, key, LEN, &gone));
        CHECK_EQ(gone, LEN - stop);
        CHECK_EQ(locations(&m), stop + 1);
        CHECK_EQ(locations(&before), LEN + 1);
        sound(&m);
        pm_drop(&before);
        pm_drop(&m);
    }
    no_leaks();
}

TEST(map_remove_branches_keeps_the_value) {
    pm_map m = {0};
    bool removed = false;
    put(&m, "a", 1);
    put(&m, "abc", 2);
    put(&m, "abd", 3);
    put(&m, "b", 4);
    CHECK_OK(pm_remove_branches(&m, K("abc"), PM_KEEP, &removed)); /* nothing below */
    CHECK(!removed);
    CHECK_OK(pm_remove_branches(&m, K("zzz"), PM_PRUNE, &removed)); /* nothing there */
    CHECK(!removed);
    pm_map before = pm_clone(&m);
    CHECK_OK(pm_remove_branches(&m, K("ab"), PM_KEEP, &removed));
    CHECK(removed);
    CHECK(has(&m, "ab") && !has(&m, "abc")); /* the place stays, dangling */
    CHECK_EQ(vals(&m), 2);
    CHECK_OK(pm_remove_branches(&m, K("ab"), PM_PRUNE, &removed)); /* nothing below; pruned */
    CHECK(!removed && !has(&m, "ab"));
    CHECK_EQ(at(&m, K("a")), 1);
    CHECK_EQ(vals(&before), 4);
    pm_drop(&m);
    m = pm_clone(&before);
    CHECK_OK(pm_remove_branches(&m, K("ab"), PM_PRUNE, &removed));
    CHECK(removed && !has(&m, "ab") && has(&m, "a"));
    pm_drop(&m);
    m = pm_clone(&before);
    CHECK_OK(pm_remove_branches(&m, K("a"), PM_PRUNE, &removed)); /* has a value: stays */
    CHECK(removed);
    CHECK_EQ(at(&m, K("a")), 1);
    CHECK_EQ(locations(&m), 3);
    CHECK_OK(pm_remove_branches(&m, "", 0, PM_PRUNE, NULL));
    CHECK(pm_is_empty(&m));
    CHECK_EQ(vals(&before), 4);
    sound(&before);
    pm_drop(&before);
    pm_drop(&m);
}

TEST(map_get_mut_changes_one_owner) {
    pm_map m = {0};
    pm_val *slot = NULL;
    put(&m, "key", 1);
    pm_map other = pm_clone(&m);
    CHECK_OK(pm_get_mut(&m, K("key"), &slot));
    CHECK(slot != NULL);
    *slot = 2;
    CHECK_EQ(at(&m, K("key")), 2);
    CHECK_EQ(at(&other, K("key")), 1);
    CHECK_OK(pm_get_mut(&m, K("ke"), &slot));
    CHECK(slot == NULL);
    slot = (pm_val *)&m;
    CHECK_OK(pm_get_mut(&m, K("keys"), &slot));
    CHECK(slot == NULL);
    pm_drop(&m);
    pm_drop(&other);
}

static unsigned makes;
static pm_status make_nine(void *ctx, pm_val *val) {
    makes++;
    CHECK(ctx == &makes);
    *val = 9;
    return PM_OK;
}
static pm_status make_refused(void *ctx, pm_val *val) {
    (void)ctx;
    (void)val;
    return PM_IO;
}

TEST(map_get_or_set_stores_once) {
    pm_map m = {0};
    pm_val *slot = NULL;
    bool inserted = false;
    CHECK_OK(pm_get_or_set(&m, K("a"), 1, &slot, &inserted));
    CHECK(inserted && *slot == 1);
    *slot = 5;
    CHECK_OK(pm_get_or_set(&m, K("a"), 2, &slot, &inserted));
    CHECK(!inserted && *slot == 5);
    CHECK_OK(pm_get_or_set(&m, K("b"), 3, NULL, NULL));
    CHECK_EQ(at(&m, K("b")), 3);
    makes = 0;
    CHECK_OK(pm_get_or_set_with(&m, K("b"), make_nine, &makes, &slot, &inserted));
    CHECK(makes == 0 && !inserted && *slot == 3);
    CHECK_OK(pm_get_or_set_with(&m, K("c"), make_nine, &makes, &slot, &inserted));
    CHECK(makes == 1 && inserted && *slot == 9);
    CHECK_OK(pm_get_or_set_with(&m, K("d"), make_nine, &makes, NULL, NULL));
    CHECK_EQ(at(&m, K("d")), 9);
    inserted = true;
    CHECK_EQ(pm_get_or_set_with(&m, K("long/new/path"), make_refused, NULL, &slot, &inserted), PM_IO);
    CHECK(!has(&m, "l") && inserted);
    CHECK_EQ(vals(&m), 4);
    pm_map other = pm_clone(&m);
    CHECK_OK(pm_get_or_set(&other, K("a"), 0, &slot, NULL));
    *slot = 100;
    CHECK_EQ(at(&m, K("a")), 5);
    pm_drop(&other);
    pm_drop(&m);
}

TEST(map_unit_stores_no_payload) {
    watch_leaks();
    pm_map m = pm_new(pm_ops_unit(), NULL), words = {0};
    pm_val *slot = (pm_val *)&m;
    pm_opt old;
    bool inserted = false, out;
    CHECK_OK(pm_set(&m, K("a"), 77, &old));
    CHECK(!old.some);
    CHECK_EQ(at(&m, K("a")), 0);
    CHECK_OK(pm_set(&m, K("a"), 78, &old));
    CHECK(old.some && old.val == 0);
    CHECK_OK(pm_set(&m, NULL, 0, 79, NULL));
    CHECK_EQ(at(&m, NULL, 0), 0);
    CHECK_OK(pm_get_mut(&m, K("a"), &slot));
    CHECK(slot == NULL);
    CHECK_OK(pm_get_or_set(&m, K("b"), 5, &slot, &inserted));
    CHECK(inserted && slot == NULL);
    CHECK_OK(pm_get_or_set(&m, K("b"), 6, &slot, &inserted));
    CHECK(!inserted && slot == NULL);
    CHECK_EQ(at(&m, K("b")), 0);
    CHECK_OK(pm_remove(&m, K("a"), PM_KEEP, &old));
    CHECK(old.some && old.val == 0);
    CHECK(has(&m, "a") && !pm_contains(&m, K("a")));
    CHECK_EQ(vals(&m), 2);
    CHECK_EQ(pm_equal(&m, &words, &out), PM_MISMATCH);
    pm_drop(&m);
    pm_drop(&words);
    no_leaks();
}

TEST(map_clones_are_independent) {
    enum { N = 40 };
    watch_leaks();
    pm_map m[N] = {{0}};
    char key[16];
    for (unsigned i = 1; i < N; i++) {
        m[i] = pm_clone(&m[i - 1]);
        for (unsigned j = 0; j < 20; j++) {
            int len = snprintf(key, sizeof key, "%u/%u", j, i);
            CHECK_OK(pm_set(&m[i], key, (size_t)len, i * 100 + j, NULL));
        }
    }
    for (unsigned i = 0; i < N; i++) {
        CHECK_EQ(vals(&m[i]), i * 20);
        for (unsigned j = 1; j < N; j++) {
            int len = snprintf(key, sizeof key, "7/%u", j);
            CHECK_EQ(pm_contains(&m[i], key, (size_t)len), j <= i);
        }
    }
    for (unsigned i = 0; i < N; i += 2) pm_drop(&m[i]);
    for (unsigned i = 1; i < N; i += 2) {
        CHECK_EQ(vals(&m[i]), i * 20);
        sound(&m[i]);
        pm_drop(&m[i]);
    }
    no_leaks();
}

TEST(map_transactions_come_back_or_stay) {
    watch_leaks();
    pm_map m = {0};
    pm_txn t = {0};
    CHECK_EQ(pm_txn_commit(&t), PM_INVALID);
    CHECK_EQ(pm_txn_rollback(&t, &m), PM_INVALID);
    put(&m, "a", 1);
    CHECK_OK(pm_txn_begin(&t, &m));
    CHECK_EQ(pm_txn_begin(&t, &m), PM_INVALID);
    put(&m, "a", 2);
    put(&m, "b", 3);
    CHECK_OK(pm_txn_rollback(&t, &m));
    CHECK_EQ(at(&m, K("a")), 1);
    CHECK(!has(&m, "b"));
    CHECK_EQ(pm_txn_rollback(&t, &m), PM_INVALID);
    CHECK_OK(pm_txn_begin(&t, &m));
    CHECK_OK(pm_set(&m, NULL, 0, 9, NULL));
    put(&m, "b", 3);
    CHECK_OK(pm_txn_commit(&t));
    CHECK_EQ(vals(&m), 3);
    CHECK_EQ(pm_txn_commit(&t), PM_INVALID);
    CHECK_OK(pm_txn_begin(&t, &m));
    pm_drop(&m);
    CHECK_OK(pm_txn_rollback(&t, &m));
    CHECK_EQ(vals(&m), 3);
    pm_drop(&m);
    no_leaks();
}

TEST(map_subtrie_shares_and_takes_the_value) {
    watch_leaks();
    pm_map m = {0}, sub = {0};
    bool exists = false;
    put(&m, "dir", 1);
    put(&m, "dir/a", 2);
    put(&m, "dir/b/c", 3);
    put(&m, "other", 4);
    CHECK_OK(pm_subtrie(&m, K("dir"), &sub, &exists));
    CHECK(exists);
    CHECK_EQ(at(&sub, NULL, 0), 1);
    CHECK_EQ(at(&sub, K("/a")), 2);
    CHECK_EQ(at(&sub, K("/b/c")), 3);
    CHECK_EQ(vals(&sub), 3);
    put(&sub, "/a", 7);
    CHECK_EQ(at(&m, K("dir/a")), 2);
    pm_drop(&sub);
    CHECK_OK(pm_subtrie(&m, K("dir/"), &sub, NULL)); /* in the middle of a run */
    CHECK(pm_get(&sub, NULL, 0) == NULL);
    CHECK_EQ(vals(&sub), 2);
    pm_drop(&sub);
    CHECK_OK(pm_subtrie(&m, K("dir/a"), &sub, &exists)); /* a leaf */
    CHECK(exists && vals(&sub) == 1);
    pm_drop(&sub);
    CHECK_OK(pm_subtrie(&m, K("dix"), &sub, &exists));
    CHECK(!exists && pm_is_empty(&sub));
    CHECK_OK(pm_subtrie(&m, NULL, 0, &sub, &exists));
    CHECK(exists && equal(&m, &sub));
    pm_drop(&m);
    CHECK_EQ(vals(&sub), 4);
    pm_drop(&sub);
    no_leaks();
}

TEST(map_equality_sees_values_places_and_nothing_else) {
    pm_map a = {0}, b = {0};
    CHECK(equal(&a, &b));
    put(&a, "abc", 1);
    CHECK(!equal(&a, &b));
    put(&b, "abc", 2);
    CHECK(!equal(&a, &b));
    put(&b, "abc", 1);
    CHECK(equal(&a, &b));
    CHECK_OK(pm_set(&a, NULL, 0, 3, NULL));
    CHECK(!equal(&a, &b));
    CHECK_OK(pm_set(&b, NULL, 0, 3, NULL));
    CHECK_OK(pm_create_path(&a, K("abd"), NULL));
    CHECK(!equal(&a, &b));
    put(&b, "abd", 0);
    CHECK(!equal(&a, &b));
    CHECK_OK(pm_remove(&b, K("abd"), PM_KEEP, NULL));
    CHECK(equal(&a, &b));
    CHECK(equal(&a, &a));
    pm_drop(&a);
    pm_drop(&b);
}

/* ---- value hooks --------------------------------------------------------------------------------------------- */

TEST(map_values_are_retained_and_released_once) {
    watch_leaks();
    pm_map m = pm_new(counted_ops(), NULL);
    pm_val v = counted_new(), w = counted_new();
    pm_opt old = {0, false};
    pm_val *slot = NULL;
    bool inserted = true;
    CHECK_OK(pm_set(&m, K("k"), v, NULL));
    CHECK_EQ(counted_refs(v), 1); /* taken over, not copied */
    CHECK_OK(pm_set(&m, K("k"), w, &old));
    CHECK(old.some && old.val == v);
    CHECK_EQ(counted_refs(v), 1); /* the caller's again */
    CHECK_OK(pm_set(&m, K("k"), v, NULL));
    CHECK_EQ(counted_refs(w), 0); /* nobody wanted it: released */
    w = counted_new();
    CHECK_OK(pm_get_or_set(&m, K("k"), w, &slot, &inserted));
    CHECK(!inserted && *slot == v);
    CHECK_EQ(counted_refs(w), 1); /* stays the caller's */
    CHECK_OK(pm_get_or_set(&m, K("j"), w, &slot, &inserted));
    CHECK(inserted && *slot == w);
    pm_map other = pm_clone(&m);
    CHECK_OK(pm_remove(&m, K("k"), PM_PRUNE, &old));
    CHECK(old.some && old.val == v);
    CHECK_EQ(counted_refs(v), 2); /* the caller and the clone */
    counted_release(v);
    CHECK_OK(pm_remove(&other, K("k"), PM_PRUNE, NULL));
    CHECK_EQ(counted_refs(v), 0);
    CHECK_OK(pm_set(&m, NULL, 0, counted_new(), NULL));
    pm_map third = pm_clone(&m);
    CHECK_OK(pm_set(&third, "", 0, counted_new(), NULL));
    pm_drop(&other);
    pm_drop(&third);
    CHECK_OK(pm_remove_branches(&m, NULL, 0, PM_KEEP, NULL));
    CHECK_EQ(counted_refs(w), 0);
    CHECK_EQ(counted_held() - held_before, 1);
    pm_drop(&m);
    no_leaks();
}

TEST(map_carries_byte_strings) {
    watch_leaks();
    pm_map m = pm_new(pm_ops_bytes(), NULL), n = pm_new(pm_ops_bytes(), NULL);
    char text[24];
    for (unsigned i = 0; i < 300; i++) {
        int len = snprintf(text, sizeof text, "text %u", i % 7);
        pm_val v = 0, w = 0;
        CHECK_OK(pm_bytes_new(text, (size_t)len, &v));
        CHECK_OK(pm_bytes_new(text, (size_t)len, &w));
        len = snprintf(text, sizeof text, "%u", i);
        CHECK_OK(pm_set(&m, text, (size_t)len, v, NULL));
        CHECK_OK(pm_set(&n, text, (size_t)len, w, NULL));
    }
    CHECK(equal(&m, &n)); /* compared by content */
    size_t len = 0;
    const void *bytes = pm_bytes_get(at(&m, K("299")), &len);
    CHECK_MEM_EQ(bytes, len, "text 5", 6);
    pm_map sub = {0};
    CHECK_OK(pm_subtrie(&m, K("2"), &sub, NULL));
    pm_drop(&m);
    bytes = pm_bytes_get(at(&sub, K("99")), &len);
    CHECK_MEM_EQ(bytes, len, "text 5", 6);
    pm_drop(&sub);
    pm_drop(&n);
    no_leaks();
}

PM_DEFINE_MAP(float_map, float, NULL)
PM_DEFINE_MAP(text_map, const char *, NULL)
typedef struct point {
    int16_t x, y, z;
} point;
PM_DEFINE_MAP(point_map, point, NULL)

TEST(map_typed_wrappers_keep_types) {
    float_map f = float_map_new();
    float got = 0;
    CHECK_OK(float_map_set(&f, K("pi"), 3.5f));
    CHECK(float_map_get(&f, K("pi"), &got));
    CHECK(got > 3.49f && got < 3.51f);
    CHECK(!float_map_get(&f, K("e"), &got));
    float_map g = float_map_clone(&f);
    CHECK_OK(float_map_remove(&f, K("pi")));
    CHECK(!float_map_get(&f, K("pi"), &got) && float_map_get(&g, K("pi"), &got));
    CHECK(pm_is_empty(&f.map));
    float_map_drop(&f);
    float_map_drop(&g);

    point_map p = point_map_new();
    point in = {-1, 2, -3}, out = {0, 0, 0};
    CHECK_OK(point_map_set(&p, NULL, 0, in));
    CHECK(point_map_get(&p, NULL, 0, &out));
    CHECK(out.x == -1 && out.y == 2 && out.z == -3);
    point_map q = point_map_clone(&p);
    CHECK_OK(point_map_remove(&q, NULL, 0));
    point_map_drop(&q);
    point_map_drop(&p);

    text_map t = text_map_new();
    const char *word = NULL;
    CHECK_OK(text_map_set(&t, K("k"), "hello"));
    CHECK(text_map_get(&t, K("k"), &word));
    CHECK_STR_EQ(word, "hello");
    text_map u = text_map_clone(&t);
    CHECK_OK(text_map_remove(&u, K("k")));
    text_map_drop(&u);
    text_map_drop(&t);
}

/* ---- random keys --------------------------------------------------------------------------------------------- */

/* A way to make keys: each brings other node shapes about. */
typedef enum shape { TINY, TEXT, LONG_RUNS, FAN, DENSE, SHAPES } shape;
static const char *const shape_names[] = {"tiny", "text", "long runs", "fan", "dense"};

enum { KEY_MAX = 1000 };
static uint8_t key_buffer[KEY_MAX + 8];

static size_t random_key(shape s) {
    static const char *const parts[] = {"usr", "/", "include",          "lib", "a", "ab",
                                        "abc", "_", "x86_64-linux-gnu", "sys", ".h"};
    size_t len = 0, n;
    uint8_t *k = key_buffer;
    switch (s) {
    case TINY: /* bytes 255, 0 and 1 */
        len = check_below(6);
        for (size_t i = 0; i < len; i++) k[i] = (uint8_t)(check_below(3) - 1);
        break;
    case TEXT:
        n = check_below(7);
        for (size_t i = 0; i < n; i++) {
            const char *p = parts[check_below(sizeof parts / sizeof *parts)];
            memcpy(k + len, p, strlen(p));
            len += strlen(p);
        }
        break;
    case LONG_RUNS: /* a run of one letter, now and then turned aside */
        len = check_below(KEY_MAX);
        if (check_below(3) == 0) len = (size_t[]){200, 254, 255, 256, 257, 510, 511, 512, 513, 768}[check_below(10)];
        memset(k, 'r', len);
        for (n = check_below(3); n && len; n--) {
            size_t place = check_below(4) ? (check_below(8) * 64 + check_below(3)) % len : check_below(len);
            k[place] = (uint8_t)('s' + check_below(2));
        }
        break;
    case FAN:
        len = check_below(4);
        for (size_t i = 0; i < len; i++) k[i] = (uint8_t)check_rand();
        if (len == 3) k[0] = k[1] = 'f';
        break;
    default:
        n = check_below(3000);
        len = 4;
        for (size_t i = 0; i < len; i++) k[i] = (uint8_t)(n >> (8 * (3 - i)));
        break;
    }
    return len;
}

/* A key that exists in the model, or a prefix or extension of one: picked by a walk that turns at random. */
static size_t known_key(model *m, shape s) {
    model_cursor c;
    uint8_t kids[256];
    model_cursor_open(&c, m, NULL, 0);
    for (;;) {
        unsigned n = model_cursor_children(&c, kids);
        if (!n || check_below(s == LONG_RUNS ? 400 : 12) == 0) break;
        model_cursor_descend_byte(&c, kids[check_below(n)]);
    }
    model_key p = model_cursor_path(&c);
    size_t len = p.len < KEY_MAX ? p.len : KEY_MAX;
    if (len) memcpy(key_buffer, p.data, len);
    if (check_below(8) == 0 && len < KEY_MAX) key_buffer[len++] = (uint8_t)check_rand();
    model_cursor_close(&c);
    return len;
}

/* ---- random operations --------------------------------------------------------------------------------------- */

typedef enum values { WORDS, UNIT, COUNTED } values;

enum { OWNERS = 4 };

/* Several owners, clones of each other, and what each should hold. */
typedef struct scene {
    values kind;
    shape shape;
    pm_map map[OWNERS];
    model *want[OWNERS];
} scene;

static pm_val scene_value(const scene *s) {
    return s->kind == UNIT ? 0 : s->kind == COUNTED ? counted_new() : check_rand();
}

static void scene_open(scene *s, values kind, shape sh) {
    s->kind = kind;
    s->shape = sh;
    for (unsigned i = 0; i < OWNERS; i++) {
        s->map[i] = pm_new(kind == UNIT ? pm_ops_unit() : kind == COUNTED ? counted_ops() : NULL, NULL);
        s->want[i] = model_new();
    }
}

static void scene_close(scene *s) {
    for (unsigned i = 0; i < OWNERS; i++) {
        same(&s->map[i], s->want[i]);
        pm_drop(&s->map[i]);
        model_free(s->want[i]);
    }
}

/* The caller owns what a call hands out. */
static void check_old(const scene *s, pm_opt old, bool some, uint64_t val) {
    CHECK_EQ(old.some, some);
    if (!some) return;
    CHECK_EQ(old.val, val);
    if (s->kind == COUNTED) counted_release(old.val);
}

static void step_set(scene *s, unsigned i, size_t len) {
    uint64_t was = 0;
    pm_opt old = {0, false};
    bool ask = check_below(2);
    pm_val v = scene_value(s);
    CHECK_OK(pm_set(&s->map[i], key_buffer, len, v, ask ? &old : NULL));
    bool some = model_set(s->want[i], key_buffer, len, v, &was);
    if (ask) check_old(s, old, some, was);
}

static void step_remove(scene *s, unsigned i, size_t len) {
    uint64_t was = 0;
    pm_opt old = {0, false};
    bool ask = check_below(2), prune = check_below(3) != 0;
    CHECK_OK(pm_remove(&s->map[i], key_buffer, len, prune, ask ? &old : NULL));
    bool some = model_remove(s->want[i], key_buffer, len, prune, &was);
    if (ask) check_old(s, old, some, was);
}

static void step_places(scene *s, unsigned i, size_t len) {
    bool flag = false;
    size_t gone = 0;
    switch (check_below(3)) {
    case 0:
        CHECK_OK(pm_create_path(&s->map[i], key_buffer, len, &flag));
        CHECK_EQ(flag, model_create(s->want[i], key_buffer, len));
        break;
    case 1:
        CHECK_OK(pm_prune_path(&s->map[i], key_buffer, len, &gone));
        CHECK_EQ(gone, model_prune(s->want[i], key_buffer, len));
        break;
    default:
        if (len < 2 && check_below(4)) break; /* too much would go too often */
        bool prune = check_below(2);
        CHECK_OK(pm_remove_branches(&s->map[i], key_buffer, len, prune, &flag));
        CHECK_EQ(flag, model_remove_branches(s->want[i], key_buffer, len, prune));
        break;
    }
}

static void step_get_or_set(scene *s, unsigned i, size_t len) {
    uint64_t there = 0, was;
    pm_val *slot = NULL, v = scene_value(s);
    bool some = model_get(s->want[i], key_buffer, len, &there), inserted = some;
    CHECK_OK(pm_get_or_set(&s->map[i], key_buffer, len, v, &slot, &inserted));
    CHECK_EQ(inserted, !some);
    CHECK_EQ(slot == NULL, s->kind == UNIT);
    if (slot) CHECK_EQ(*slot, some ? there : v);
    if (!some) model_set(s->want[i], key_buffer, len, v, &was);
    else if (s->kind == COUNTED) counted_release(v);
    if (s->kind == WORDS) {
        *slot = check_rand();
        model_set(s->want[i], key_buffer, len, *slot, &was);
    }
}

static void step_get_mut(scene *s, unsigned i, size_t len) {
    uint64_t there = 0, was;
    pm_val *slot = NULL;
    bool some = model_get(s->want[i], key_buffer, len, &there);
    CHECK_OK(pm_get_mut(&s->map[i], key_buffer, len, &slot));
    CHECK_EQ(slot != NULL, some && s->kind != UNIT);
    if (!slot) return;
    CHECK_EQ(*slot, there);
    if (s->kind == COUNTED) counted_release(*slot);
    *slot = scene_value(s);
    model_set(s->want[i], key_buffer, len, *slot, &was);
}

static void step_read(scene *s, unsigned i, size_t len) {
    uint64_t there = 0;
    bool some = model_get(s->want[i], key_buffer, len, &there);
    const pm_val *v = pm_get(&s->map[i], key_buffer, len);
    CHECK_EQ(v != NULL, some);
    if (v) CHECK_EQ(*v, there);
    CHECK_EQ(pm_path_exists(&s->map[i], key_buffer, len), model_exists(s->want[i], key_buffer, len));
}

static void step_subtrie(scene *s, unsigned i, size_t len) {
    bool exists = false, should = false;
    pm_map sub;
    CHECK_OK(pm_subtrie(&s->map[i], key_buffer, len, &sub, &exists));
    model *want = model_subtrie(s->want[i], key_buffer, len, &should);
    CHECK_EQ(exists, should);
    same(&sub, want);
    pm_drop(&sub);
    model_free(want);
}

static void step_clone(scene *s, unsigned i) {
    unsigned j = (unsigned)check_below(OWNERS);
    if (i == j) return;
    pm_drop(&s->map[j]);
    model_free(s->want[j]);
    s->map[j] = pm_clone(&s->map[i]);
    s->want[j] = model_copy(s->want[i]);
    CHECK(equal(&s->map[i], &s->map[j]));
}

static void scene_step(scene *s) {
    unsigned i = (unsigned)check_below(OWNERS);
    size_t len = check_below(2) ? random_key(s->shape) : known_key(s->want[i], s->shape);
    switch (check_below(20)) {
    case 0: case 1: case 2: case 3: case 4: case 5: step_set(s, i, len); break;
    case 6: case 7: case 8: case 9: step_remove(s, i, len); break;
    case 10: case 11: step_places(s, i, len); break;
    case 12: step_get_or_set(s, i, len); break;
    case 13: step_get_mut(s, i, len); break;
    case 14: if (check_below(20) == 0) step_subtrie(s, i, len); break;
    case 15: if (check_below(10) == 0) step_clone(s, i); break;
    default: step_read(s, i, len); break;
    }
    CHECK(counted_is_sound());
}

static void play(values kind, unsigned steps) {
    for (unsigned sh = 0; sh < SHAPES; sh++) {
        scene s;
        watch_leaks();
        scene_open(&s, kind, (shape)sh);
        for (unsigned step = 0; step < steps; step++) {
            scene_step(&s);
            if (step % 997 == 0)
                for (unsigned i = 0; i < OWNERS; i++) same(&s.map[i], s.want[i]);
        }
        scene_close(&s);
        no_leaks();
    }
}

TEST(map_random_operations_on_words_match_the_model) { play(WORDS, STEPS); }
TEST(map_random_operations_on_units_match_the_model) { play(UNIT, STEPS); }
TEST(map_random_operations_on_counted_values_match_the_model) { play(COUNTED, STEPS / 2); }

/* ---- many keys at once --------------------------------------------------------------------------------------- */

/* Keys of one shape, owned by the list. */
typedef struct key_list {
    pm_key *keys;
    pm_val *vals;
    size_t n;
} key_list;

static key_list random_keys(shape s, size_t n) {
    key_list l = {malloc(n * sizeof(pm_key)), malloc(n * sizeof(pm_val)), n};
    for (size_t i = 0; i < n; i++) {
        size_t len = random_key(s);
        void *copy = len ? malloc(len) : NULL;
        if (len) memcpy(copy, key_buffer, len);
        l.keys[i] = (pm_key){copy, len};
        l.vals[i] = check_rand();
    }
    return l;
}

static void free_keys(key_list *l) {
    for (size_t i = 0; i < l->n; i++) free((void *)(uintptr_t)l->keys[i].data);
    free(l->keys);
    free(l->vals);
}

static int by_bytes(const void *pa, const void *pb) {
    const pm_key *a = pa, *b = pb;
    size_t n = a->len < b->len ? a->len : b->len;
    int c = n ? memcmp(a->data, b->data, n) : 0;
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

static model *model_of(const key_list *l, bool unit) {
    model *m = model_new();
    uint64_t old;
    for (size_t i = 0; i < l->n; i++) model_set(m, l->keys[i].data, l->keys[i].len, unit ? 0 : l->vals[i], &old);
    return m;
}

/* Sorted and distinct in place. */
static void sort_keys(key_list *l) {
    size_t kept = 0;
    qsort(l->keys, l->n, sizeof *l->keys, by_bytes);
    for (size_t i = 0; i < l->n; i++) {
        if (kept && by_bytes(&l->keys[kept - 1], &l->keys[i]) == 0) free((void *)(uintptr_t)l->keys[i].data);
        else l->keys[kept++] = l->keys[i];
    }
    l->n = kept;
}

TEST(map_build_takes_any_order) {
    for (unsigned sh = 0; sh < SHAPES; sh++) {
        for (unsigned unit = 0; unit < 2; unit++) {
            for (unsigned round = 0; round < 12; round++) {
                const pm_ops *ops = unit ? pm_ops_unit() : NULL;
                key_list l = random_keys((shape)sh, 1 + check_below(sh == LONG_RUNS ? 150 : 1500));
                pm_map mixed, sorted, grown = pm_new(ops, NULL);
                watch_leaks();
                CHECK_OK(pm_build(ops, NULL, l.keys, l.vals, l.n, &mixed));
                model *want = model_of(&l, unit);
                same(&mixed, want);
                model_free(want);
                sort_keys(&l);
                CHECK_OK(pm_build(ops, NULL, l.keys, l.vals, l.n, &sorted));
                want = model_of(&l, unit);
                same(&sorted, want);
                for (size_t i = l.n; i-- > 0;)
                    CHECK_OK(pm_set(&grown, l.keys[i].data, l.keys[i].len, l.vals[i], NULL));
                CHECK_NOTE(equal(&grown, &sorted), "%s", shape_names[sh]); /* other layouts, same content */
                if (unit) CHECK(equal(&mixed, &sorted));
                for (size_t i = 0; i < l.n; i++) /* a built map is an ordinary map */
                    CHECK_OK(pm_remove(&sorted, l.keys[i].data, l.keys[i].len, PM_PRUNE, NULL));
                CHECK(pm_is_empty(&sorted));
                model_free(want);
                pm_drop(&mixed);
                pm_drop(&sorted);
                pm_drop(&grown);
                no_leaks();
                free_keys(&l);
            }
        }
    }
}

TEST(map_build_edges) {
    pm_map m = {0};
    pm_key keys[4] = {{"b", 1}, {NULL, 0}, {"b", 1}, {"a", 1}};
    pm_val words[4] = {1, 2, 3, 4};
    CHECK_OK(pm_build(NULL, NULL, NULL, NULL, 0, &m));
    CHECK(pm_is_empty(&m));
    CHECK_OK(pm_build(NULL, NULL, keys, words, 4, &m));
    CHECK_EQ(vals(&m), 3);
    CHECK_EQ(at(&m, K("b")), 3); /* the last of equal keys */
    CHECK_EQ(at(&m, NULL, 0), 2);
    pm_drop(&m);
    CHECK_OK(pm_build(NULL, NULL, keys, NULL, 4, &m));
    CHECK_EQ(at(&m, K("b")), 0);
    pm_drop(&m);
    CHECK_OK(pm_build(NULL, NULL, keys + 1, words, 1, &m)); /* only the empty key */
    CHECK_EQ(at(&m, NULL, 0), 1);
    CHECK_EQ(locations(&m), 1);
    pm_drop(&m);
    pm_map untouched = {0};
    CHECK_EQ(pm_build(NULL, NULL, NULL, NULL, 3, &untouched), PM_INVALID);
    CHECK(pm_is_empty(&untouched));
}

TEST(map_build_moves_counted_values) {
    enum { N = 500 };
    pm_key keys[N];
    pm_val v[N];
    char text[N][8];
    for (unsigned mixed = 0; mixed < 2; mixed++) {
        watch_leaks();
        pm_map m;
        for (unsigned i = 0; i < N; i++) {
            unsigned x = mixed ? i * 7 % 300 : i;
            keys[i] = (pm_key){text[i], (size_t)snprintf(text[i], sizeof text[i], "%05u", x)};
            v[i] = counted_new();
        }
        CHECK_OK(pm_build(counted_ops(), NULL, keys, v, N, &m));
        CHECK_EQ(counted_held() - held_before, mixed ? 300 : N); /* losers were released */
        for (unsigned i = 0; i < N; i++)
            CHECK_EQ(counted_refs(v[i]), !mixed || i >= N - 300);
        pm_drop(&m);
        no_leaks();
    }
}

TEST(map_get_many_answers_as_get) {
    for (unsigned sh = 0; sh < SHAPES; sh++) {
        for (unsigned unit = 0; unit < 2; unit++) {
            key_list in = random_keys((shape)sh, sh == LONG_RUNS ? 200 : 2000), ask = random_keys((shape)sh, 700);
            const pm_val *out[700];
            pm_map m;
            CHECK_OK(pm_build(unit ? pm_ops_unit() : NULL, NULL, in.keys, in.vals, in.n, &m));
            for (size_t i = 0; i < ask.n; i += 3) { /* some that are there, spelled by others */
                free((void *)(uintptr_t)ask.keys[i].data);
                ask.keys[i] = in.keys[check_below(in.n)];
            }
            for (size_t n = 0; n <= ask.n; n = n < 40 ? n + 1 : n + 220) {
                size_t found = 0, hits = pm_get_many(&m, ask.keys, n, out);
                for (size_t i = 0; i < n; i++) {
                    CHECK_PTR_EQ(out[i], pm_get(&m, ask.keys[i].data, ask.keys[i].len));
                    found += out[i] != NULL;
                }
                CHECK_EQ(hits, found);
            }
            for (size_t i = 0; i < ask.n; i += 3) ask.keys[i].data = NULL;
            pm_drop(&m);
            CHECK_EQ(pm_get_many(&m, ask.keys + 1, 2, out), 0);
            free_keys(&in);
            free_keys(&ask);
        }
    }
}

TEST(map_equality_does_not_depend_on_history) {
    for (unsigned sh = 0; sh < SHAPES; sh++) {
        key_list l = random_keys((shape)sh, sh == LONG_RUNS ? 200 : 1500);
        sort_keys(&l);
        pm_map a = {0}, b = {0}, c;
        for (size_t i = 0; i < l.n; i++) CHECK_OK(pm_set(&a, l.keys[i].data, l.keys[i].len, i, NULL));
        /* the same, by way of keys that come and go, in another order */
        for (size_t i = 0; i < l.n; i++) {
            size_t j = (i * 7919 + 13) % l.n, len;
            if (pm_contains(&b, l.keys[j].data, l.keys[j].len)) continue;
            CHECK_OK(pm_set(&b, l.keys[j].data, l.keys[j].len, j, NULL));
            len = random_key((shape)sh);
            if (pm_contains(&b, key_buffer, len)) continue;
            CHECK_OK(pm_set(&b, key_buffer, len, 1, NULL));
            CHECK_OK(pm_remove(&b, key_buffer, len, PM_PRUNE, NULL));
        }
        for (size_t i = 0; i < l.n; i++) CHECK_OK(pm_set(&b, l.keys[i].data, l.keys[i].len, i, NULL));
        pm_val *words = malloc(l.n * sizeof *words);
        for (size_t i = 0; i < l.n; i++) words[i] = i;
        CHECK_OK(pm_build(NULL, NULL, l.keys, words, l.n, &c));
        CHECK(equal(&a, &b));
        CHECK(equal(&a, &c));
        size_t i = check_below(l.n);
        CHECK_OK(pm_set(&c, l.keys[i].data, l.keys[i].len, 123456789, NULL));
        CHECK(!equal(&a, &c));
        CHECK_OK(pm_set(&c, l.keys[i].data, l.keys[i].len, i, NULL));
        CHECK(equal(&a, &c));
        CHECK_OK(pm_remove(&b, l.keys[i].data, l.keys[i].len, PM_KEEP, NULL));
        CHECK(!equal(&a, &b));
        free(words);
        pm_drop(&a);
        pm_drop(&b);
        pm_drop(&c);
        free_keys(&l);
    }
}

/* ---- sharing ------------------------------------------------------------------------------------------------- */

TEST(map_counts_saturate_over_shared_structure) {
    uint64_t n = 0;
    watch_leaks();
    pm_map m = doubled(single(NULL, "", 1), 20, "a", "b");
    CHECK_EQ(vals(&m), 1 << 20);
    CHECK_EQ(locations(&m), (2u << 20) - 1);
    CHECK_OK(pm_depth_count(&m, 13, &n));
    CHECK_EQ(n, 1 << 13);
    pm_drop(&m);
    m = doubled(single(NULL, "", 1), 80, "a", "b");
    CHECK_EQ(vals(&m), UINT64_MAX);
    CHECK_EQ(locations(&m), UINT64_MAX);
    CHECK_OK(pm_depth_count(&m, 40, &n));
    CHECK_EQ(n, UINT64_C(1) << 40);
    CHECK_OK(pm_depth_count(&m, 80, &n));
    CHECK_EQ(n, UINT64_MAX);
    CHECK_OK(pm_depth_count(&m, 81, &n));
    CHECK_EQ(n, 0);
    sound(&m);
    pm_map other = doubled(single(NULL, "", 1), 80, "a", "b");
    CHECK(equal(&m, &other));
    char key[80];
    for (unsigned i = 0; i < 80; i++) key[i] = "ab"[check_below(2)];
    CHECK_OK(pm_set(&other, key, 80, 2, NULL));
    CHECK(!equal(&m, &other));
    CHECK_EQ(at(&m, key, 80), 1);
    CHECK_OK(pm_remove(&other, key, 80, PM_PRUNE, NULL));
    CHECK(!equal(&m, &other));
    CHECK_OK(pm_set(&other, key, 80, 1, NULL));
    CHECK(equal(&m, &other));
    pm_drop(&m);
    pm_drop(&other);
    no_leaks();
}

typedef struct each_beside_iter {
    pm_iter i;
    size_t stop_after, seen;
} each_beside_iter;

static bool each_beside_iter_step(void *ctx, const uint8_t *key, size_t len, pm_val val) {
    each_beside_iter *e = (each_beside_iter *)ctx;
    CHECK(pm_iter_next(&e->i));
    CHECK_MEM_EQ(key, len, e->i.key, e->i.len);
    CHECK_EQ(val, *e->i.val);
    return ++e->seen < e->stop_after;
}

TEST(map_each_visits_what_the_iterator_visits) {
    static const char alphabet[] = "abc";
    for (unsigned round = 0; round < 60; round++) {
        pm_map m = {0};
        uint8_t key[700];
        size_t n = 1 + check_rand() % 400, len;
        for (size_t i = 0; i < n; i++) {
            len = check_rand() % (round % 5 == 0 ? 600 : 12);
            for (size_t j = 0; j < len; j++)
                key[j] = round % 3 ? (uint8_t)alphabet[check_rand() % 3] : (uint8_t)check_rand();
            CHECK_OK(pm_set(&m, key, len, i, NULL));
            if (i % 7 == 0) CHECK_OK(pm_remove(&m, key, len, PM_KEEP, NULL)); /* leaves a dangling location */
        }
        uint64_t count = 0;
        CHECK_OK(pm_val_count(&m, &count));
        each_beside_iter e = {pm_iter_vals(&m), SIZE_MAX, 0};
        CHECK_OK(pm_each(&m, each_beside_iter_step, &e));
        CHECK_EQ(e.seen, count);
        CHECK(!pm_iter_next(&e.i));
        each_beside_iter some = {pm_iter_vals(&m), 1 + count / 2, 0};
        CHECK_OK(pm_each(&m, each_beside_iter_step, &some));
        CHECK_EQ(some.seen, count ? 1 + count / 2 < count ? 1 + count / 2 : count : 0);
        pm_iter_drop(&some.i);
        pm_drop(&m);
    }
}
