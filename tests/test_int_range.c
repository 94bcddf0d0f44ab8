/* Maps of ranges of integers against sets one by one, what they share, and numbers woven into keys. */
#include "check.h"
#include "model.h"

#include "library.h"

#include "both.h"
#include "counted.h"

static void key_of(uint64_t n, unsigned width, uint8_t *key) {
    for (unsigned i = 0; i < width; i++) key[i] = (uint8_t)(n >> 8 * (width - 1 - i));
}

static uint64_t largest(unsigned width) { return width == 8 ? UINT64_MAX : ((uint64_t)1 << 8 * width) - 1; }

/* The map, and the same made key by key. */
static void check_range(uint64_t from, uint64_t last, uint64_t step, unsigned width, const pm_ops *ops) {
    both b = both_new(ops);
    uint8_t key[8];
    pm_map made;
    CHECK_OK(pm_int_range(ops, NULL, from, last, step, width, 5, &made));
    for (uint64_t n = from; n <= last; n += step) {
        key_of(n, width, key);
        model_set(b.m, key, width, 5, NULL);
        if (last - n < step) break;
    }
    check_sound(&made);
    CHECK_NOTE(same_content(&made, b.m), "from %" PRIu64 " to %" PRIu64 " by %" PRIu64 ", %u bytes", from, last, step,
               width);
    pm_drop(&made);
    both_drop(&b);
}

TEST(small_ranges_are_what_sets_make) {
    check_range(0, 255, 1, 1, NULL);
    check_range(7, 7, 1, 8, NULL);
    check_range(8, 7, 1, 8, NULL);
    check_range(0, 0, UINT64_MAX, 8, pm_ops_unit());
    check_range(UINT64_MAX - 300, UINT64_MAX, 7, 8, NULL);
    check_range(135, 255, 150, 1, NULL);
    check_range(500, 530, 1, 2, pm_ops_unit());
    check_range(240, 770, 1, 2, NULL);
    check_range(175, 750, 25, 2, NULL);
    check_range(371, 65535, 101, 2, NULL);
    check_range(0, 65535, 1, 2, pm_ops_unit());
    check_range(250, 10000, 1, 4, NULL);
}

TEST(random_ranges_are_what_sets_make) {
    for (unsigned round = 0; round < 600; round++) {
        unsigned width = 1 + (unsigned)check_below(8);
        uint64_t most = largest(width), step = 1 + check_below(round % 3 ? 300 : 5);
        if (round % 5 == 0) step = 1 + check_rand() % (most / 40 + 1);
        uint64_t count = 1 + check_below(700), from = check_rand() & most;
        if (count - 1 > (most - from) / step) count = (most - from) / step + 1;
        uint64_t last = from + (count - 1) * step;
        last += check_below(most - last < step ? most - last + 1 : step);
        check_range(from, last, step, width, round % 2 ? pm_ops_unit() : NULL);
    }
}

static uint64_t nodes_of(const pm_map *m) {
    pm_stats s;
    CHECK_OK(pm_get_stats(m, &s));
    return s.nodes;
}

/* A range of 2^64 keys in a few nodes; its ends are where they must be. */
TEST(nodes_grow_with_the_width_alone) {
    for (unsigned width = 1; width <= 8; width++) {
        pm_map m;
        uint64_t n, most = largest(width), third = most / 3;
        CHECK_OK(pm_int_range(NULL, NULL, 0, most, 1, width, 1, &m));
        CHECK(nodes_of(&m) <= width);
        CHECK_OK(pm_val_count(&m, &n));
        CHECK_EQ(n, width == 8 ? UINT64_MAX : most + 1);
        pm_drop(&m);
        CHECK_OK(pm_int_range(pm_ops_unit(), NULL, third + 1, 2 * third + 5, 1, width, 0, &m));
        check_sound(&m);
        CHECK(nodes_of(&m) <= 3u * width);
        CHECK_OK(pm_val_count(&m, &n));
        CHECK_EQ(n, third + 5);
        pm_drop(&m);
        if (width == 1) continue;
        CHECK_OK(pm_int_range(NULL, NULL, 3, most, 64, width, 1, &m));
        check_sound(&m);
        CHECK(nodes_of(&m) <= 2u * width);
        CHECK_OK(pm_val_count(&m, &n));
        CHECK_EQ(n, most / 64 + 1);
        pm_drop(&m);
    }
}

TEST(ends_of_large_ranges_are_where_they_must_be) {
    for (unsigned round = 0; round < 200; round++) {
        pm_map m;
        uint8_t key[8];
        uint64_t a = check_rand(), b = check_rand(), step = (uint64_t)1 << check_below(20), n;
        uint64_t from = a < b ? a : b, last = a < b ? b : a, end = from + (last - from) / step * step;
        CHECK_OK(pm_int_range(NULL, NULL, from, last, step, 8, 9, &m));
        uint64_t tried[] = {from, from + 1, from - 1, end, end + 1, end - 1, from + (end - from) / step / 2 * step};
        for (size_t i = 0; i < sizeof tried / sizeof *tried; i++) {
            key_of(tried[i], 8, key);
            bool in = tried[i] >= from && tried[i] <= last && (tried[i] - from) % step == 0;
            CHECK_EQ(pm_contains(&m, key, 8), in);
        }
        CHECK_OK(pm_val_count(&m, &n));
        CHECK_EQ(n, (last - from) / step + 1);
        pm_drop(&m);
    }
}

/* What is in the shared nodes is counted for each of them, and given up with them. */
TEST(each_node_holds_its_values) {
    pm_val v = counted_new();
    pm_map m, empty;
    CHECK_OK(pm_int_range(counted_ops(), NULL, 100, 100000, 1, 3, v, &m));
    uint8_t key[3];
    key_of(70000, 3, key);
    CHECK_EQ(*pm_get(&m, key, 3), v);
    CHECK(counted_refs(v) > 256 && counted_refs(v) < 1000);
    CHECK_OK(pm_set(&m, key, 3, counted_new(), NULL));
    key_of(70001, 3, key);
    CHECK_OK(pm_remove(&m, key, 3, PM_PRUNE, NULL));
    check_sound(&m);
    pm_drop(&m);
    CHECK_EQ(counted_held(), 0);
    v = counted_new(); /* taken over, though there is no place for it */
    CHECK_OK(pm_int_range(counted_ops(), NULL, 2, 1, 1, 3, v, &empty));
    CHECK(pm_is_empty(&empty));
    CHECK_EQ(counted_held(), 0);
    CHECK(counted_is_sound());
}

TEST(wrong_arguments_are_refused_and_keep_the_value) {
    pm_map m;
    memset(&m, 0x5a, sizeof m);
    pm_map before = m;
    static const pm_ops half = {.name = "half", .retain = counted__retain};
    CHECK_EQ(pm_int_range(NULL, NULL, 0, 255, 0, 1, 1, &m), PM_INVALID);
    CHECK_EQ(pm_int_range(NULL, NULL, 0, 255, 1, 0, 1, &m), PM_INVALID);
    CHECK_EQ(pm_int_range(NULL, NULL, 0, 255, 1, 9, 1, &m), PM_INVALID);
    CHECK_EQ(pm_int_range(NULL, NULL, 0, 256, 1, 1, 1, &m), PM_INVALID);
    CHECK_EQ(pm_int_range(NULL, NULL, 256, 0, 1, 1, 1, &m), PM_INVALID);
    CHECK_EQ(pm_int_range(&half, NULL, 0, 255, 1, 1, 1, &m), PM_BADHOOK);
    CHECK_EQ(pm_int_range(NULL, NULL, 0, 255, 1, 1, 1, NULL), PM_INVALID);
    CHECK_MEM_EQ(&m, sizeof m, &before, sizeof before);
}

static void run_short_of_memory(uint64_t from, uint64_t last, uint64_t step, unsigned width) {
    unsigned refused = 0;
    for (uint64_t n = 1;; n++) {
        pm_pool *pool;
        uint64_t blocks = check_live_blocks();
        CHECK_OK(pm_pool_new(NULL, &pool));
        pm_val v = counted_new();
        pm_map m = {0};
        check_fail_alloc(n);
        pm_status s = pm_int_range(counted_ops(), pool, from, last, step, width, v, &m);
        uint64_t fails = check_alloc_fails();
        check_fail_alloc(0);
        if (!fails) CHECK_OK(s); /* a pool can do without some of its blocks */
        if (s == PM_OK) {
            check_sound(&m);
        } else {
            CHECK_EQ(s, PM_NOMEM);
            refused++;
            CHECK_EQ(counted_held(), 1);
            counted_release(v);
        }
        pm_drop(&m);
        CHECK_EQ(counted_held(), 0);
        CHECK_OK(pm_pool_free(pool));
        CHECK_EQ(check_live_blocks(), blocks);
        if (!fails) {
            CHECK(refused > 3);
            return;
        }
    }
}

TEST(without_memory_nothing_is_made) {
    run_short_of_memory(0, 1, 1, 1);
    run_short_of_memory(1000, 200000, 1, 4);
    run_short_of_memory(5, 500000, 1001, 5);
    CHECK(counted_is_sound());
}

/* ---- weaving ------------------------------------------------------------------------------------------------- */

TEST(woven_bytes_alternate) {
    uint64_t numbers[] = {3333, 30, 1000}, back[3] = {1, 1, 1};
    static const uint8_t want[] = {13, 0, 3, 5, 30, 232};
    uint8_t out[6];
    CHECK_EQ(pm_weave_bytes(numbers, 3, 2, out), 6);
    CHECK_MEM_EQ(out, 6, want, 6);
    CHECK_EQ(pm_unweave_bytes(out, 3, 2, back), 6);
    CHECK_MEM_EQ(back, sizeof back, numbers, sizeof numbers);
    uint64_t one = 0x0102030405060708;
    static const uint8_t key[] = {4, 5, 6, 7, 8};
    CHECK_EQ(pm_weave_bytes(&one, 1, 5, out), 5); /* the key of pm_int_range */
    CHECK_MEM_EQ(out, 5, key, 5);
}

TEST(woven_bits_are_a_byte_each) {
    uint64_t numbers[] = {10, 30, 100}, back[3] = {1, 1, 1};
    static const uint8_t want[] = {4, 4 | 0, 2, 1 | 2, 2 | 4, 1 | 2, 0};
    uint8_t out[7];
    CHECK_EQ(pm_weave_bits(numbers, 3, 7, out), 7);
    CHECK_MEM_EQ(out, 7, want, 7);
    CHECK_EQ(pm_unweave_bits(out, 3, 7, back), 7);
    CHECK_MEM_EQ(back, sizeof back, numbers, sizeof numbers);
}

/* Whatever is woven comes back, without the bits that had no room. */
TEST(random_numbers_come_back) {
    for (unsigned round = 0; round < 2000; round++) {
        uint64_t numbers[12], back[12], want[12];
        uint8_t out[96];
        size_t n = check_below(13);
        unsigned width = 1 + (unsigned)check_below(8), bits = 1 + (unsigned)check_below(64);
        for (size_t i = 0; i < n; i++) numbers[i] = check_rand(), want[i] = numbers[i] & largest(width);
        CHECK_EQ(pm_weave_bytes(numbers, n, width, out), n * width);
        CHECK_EQ(pm_unweave_bytes(out, n, width, back), n * width);
        for (size_t i = 0; i < n; i++) CHECK_EQ(back[i], want[i]);
        bool ok = n >= 1 && n <= 8;
        CHECK_EQ(pm_weave_bits(numbers, n, bits, out), ok ? bits : 0);
        if (ok) CHECK_EQ(pm_unweave_bits(out, n, bits, back), bits);
        for (size_t i = 0; ok && i < n; i++)
            CHECK_EQ(back[i], numbers[i] & (bits == 64 ? UINT64_MAX : ((uint64_t)1 << bits) - 1));
        for (unsigned b = 0; ok && b < bits; b++)
            for (unsigned i = 0; i < 8; i++) CHECK_EQ(out[b] >> i & 1, i < n ? numbers[i] >> (bits - 1 - b) & 1 : 0);
    }
}

/* A square of a plane is what lies below a prefix. */
TEST(a_square_is_a_prefix) {
    pm_map m = pm_new(pm_ops_unit(), NULL);
    uint8_t key[8];
    uint64_t n;
    for (uint64_t x = 0; x < 32; x++)
        for (uint64_t y = 0; y < 32; y++) {
            uint64_t at[] = {x, y};
            CHECK_OK(pm_set(&m, key, pm_weave_bits(at, 2, 5, key), 0, NULL));
        }
    uint64_t corner[] = {3, 2};
    CHECK_EQ(pm_weave_bits(corner, 2, 2, key), 2); /* x from 24 to 31, y from 16 to 23 */
    CHECK_OK(pm_prefix_count(&m, key, 2, &n));
    CHECK_EQ(n, 64);
    pm_drop(&m);
}

TEST(weaving_refuses_what_has_no_place) {
    uint64_t numbers[1] = {1};
    uint8_t out[8] = {7};
    CHECK_EQ(pm_weave_bytes(numbers, 1, 0, out), 0);
    CHECK_EQ(pm_weave_bytes(numbers, 1, 9, out), 0);
    CHECK_EQ(pm_weave_bytes(NULL, 1, 1, out), 0);
    CHECK_EQ(pm_weave_bytes(numbers, SIZE_MAX / 8, 8, out), 0);
    CHECK_EQ(pm_weave_bits(numbers, 0, 1, out), 0);
    CHECK_EQ(pm_weave_bits(numbers, 9, 1, out), 0);
    CHECK_EQ(pm_weave_bits(numbers, 1, 0, out), 0);
    CHECK_EQ(pm_weave_bits(numbers, 1, 65, out), 0);
    CHECK_EQ(pm_unweave_bits(out, 9, 1, numbers), 0);
    CHECK_EQ(pm_unweave_bytes(out, 1, 9, numbers), 0);
    CHECK_EQ(out[0], 7);
    CHECK_EQ(numbers[0], 1);
}
