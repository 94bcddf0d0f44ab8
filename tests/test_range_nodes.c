/* Range nodes: runs of neighbouring bytes that have a line together. Keys are such that they come to be, grow, are
   divided, become byte nodes and come back; a model says what a map has to hold. */
#include "check.h"
#include "model.h"

#include "library.h"

enum { MOST = 1400, LEN = 8 };

static uint8_t key[MOST][LEN];

static uint64_t draw(uint64_t *s) {
    *s ^= *s << 13;
    *s ^= *s >> 7;
    return *s ^= *s << 17;
}

/* Keys of `len` bytes: random, or in order. */
static void make_keys(uint64_t seed, bool sorted) {
    uint64_t s = seed * 0x9E3779B97F4A7C15u + 1;
    for (unsigned i = 0; i < MOST; i++) {
        uint64_t v = sorted ? (uint64_t)i * (UINT64_MAX / MOST) : draw(&s);
        for (unsigned k = 0; k < LEN; k++) key[i][k] = (uint8_t)(v >> (56 - 8 * k));
    }
}

static pm_stats sound(const pm_map *m) {
    const char *why = "";
    pm_stats st = {0};
    pm_status s = pm_check(m, &why);
    CHECK_NOTE(s == PM_OK, "%s: %s", pm_status_text(s), why);
    CHECK_OK(pm_get_stats(m, &st));
    return st;
}

typedef struct ordered {
    const model *twin;
    uint8_t last[LEN];
    size_t n;
} ordered;

static bool in_order(void *ctx, const uint8_t *at, size_t len, pm_val val) {
    ordered *o = ctx;
    uint64_t want = 0;
    CHECK(model_get(o->twin, at, len, &want));
    CHECK_EQ(val, want);
    CHECK_EQ(len, LEN);
    if (o->n) CHECK(memcmp(o->last, at, LEN) < 0);
    memcpy(o->last, at, LEN);
    o->n++;
    return true;
}

/* A map against its model: by key, in order, forwards and backwards. */
static void compare(const pm_map *m, const model *twin, size_t n) {
    ordered o = {.twin = twin};
    CHECK_OK(pm_each(m, in_order, &o));
    CHECK_EQ(o.n, n);
    for (unsigned i = 0; i < MOST; i++) {
        uint64_t want = 0;
        bool there = model_get(twin, key[i], LEN, &want);
        const pm_val *v = pm_get(m, key[i], LEN);
        CHECK_EQ(v != NULL, there);
        if (v) CHECK_EQ(*v, want);
    }
    pm_rz z;
    size_t forth = 0, back = 0;
    CHECK_OK(pm_rz_open(m, "", 0, &z));
    while (pm_rz_to_next_val(&z)) forth++;
    for (bool on = pm_rz_to_last_val(&z); on; on = pm_rz_to_prev_val(&z)) back++;
    pm_rz_drop(&z);
    CHECK_EQ(forth, n);
    CHECK_EQ(back, n);
}

static void grow_and_shrink(const pm_ops *ops, bool sorted) {
    pm_map m = pm_new(ops, NULL);
    model *twin = model_new();
    bool ranges = false, none_after = false, again = false;
    for (unsigned i = 0; i < MOST; i++) {
        CHECK_OK(pm_set(&m, key[i], LEN, i, NULL));
        model_set(twin, key[i], LEN, ops == pm_ops_unit() ? 0 : i, NULL);
        if (i % 100 != 99 && i > 60) continue;
        pm_stats st = sound(&m);
        ranges = ranges || st.range_nodes;
        none_after = none_after || (ranges && !st.range_nodes);
    }
    CHECK(sorted || (ranges && none_after));
    compare(&m, twin, MOST);
    pm_map clone = pm_clone(&m);
    for (unsigned i = 0; i < MOST - 3; i++) {
        bool gone = false;
        CHECK_OK(pm_remove(&m, key[i], LEN, PM_PRUNE, NULL));
        gone = model_remove(twin, key[i], LEN, true, NULL);
        CHECK(gone);
        if (i % 100 != 99) continue;
        again = again || sound(&m).range_nodes;
        compare(&m, twin, MOST - i - 1);
    }
    CHECK(again || sorted);
    CHECK_EQ(sound(&clone).values, MOST);
    pm_drop(&clone);
    pm_drop(&m);
    model_free(twin);
}

TEST(random_keys_come_and_go) {
    for (uint64_t seed = 1; seed <= 4; seed++) {
        make_keys(seed, false);
        grow_and_shrink(NULL, false);
        grow_and_shrink(pm_ops_unit(), false);
    }
}

TEST(keys_in_order_come_and_go) {
    make_keys(1, true);
    grow_and_shrink(NULL, true);
}

/* ---- orders of insertion -------------------------------------------------------------------------------------- */

static int by_bytes(const void *a, const void *b) { return memcmp(a, b, LEN); }

typedef enum arrival { SHUFFLED, ASCENDING, DESCENDING, BUILT, ARRIVALS } arrival;

/* Bytes of nodes that n keys take which come in this order; they are sorted. */
static double bytes_of(const pm_ops *ops, const uint8_t *keys, size_t n, arrival how) {
    pm_map m = pm_new(ops, NULL);
    if (how == BUILT) {
        pm_key *list = calloc(n, sizeof *list);
        for (size_t i = 0; i < n; i++) list[i] = (pm_key){keys + LEN * i, LEN};
        CHECK_OK(pm_build(ops, NULL, list, NULL, n, &m));
        free(list);
    }
    for (size_t i = 0; how != BUILT && i < n; i++) {
        size_t at = how == ASCENDING ? i : how == DESCENDING ? n - 1 - i : i * 7919 % n; /* a prime, and no divisor */
        CHECK_OK(pm_set(&m, keys + LEN * at, LEN, at, NULL));
    }
    pm_stats st = sound(&m);
    CHECK_EQ(st.values, n);
    pm_drop(&m);
    return (double)st.bytes;
}

/* Random keys take as much memory in one order as in another. */
TEST(order_of_insertion_leaves_no_trace) {
    static const char *const names[] = {"shuffled", "ascending", "descending", "built"};
    static const size_t sizes[] = {100, 200, 400, 600, 3000, 30000, 100000};
    for (unsigned k = 0; k < sizeof sizes / sizeof *sizes; k++) {
        const size_t n = sizes[k];
        if (PM_CHECK >= 3 && n > 1000) break;
        uint64_t s = 88172645463325252u;
        uint8_t *keys = malloc(LEN * n);
        for (size_t i = 0; i < n; i++) {
            uint64_t v = draw(&s);
            memcpy(keys + LEN * i, &v, LEN);
        }
        qsort(keys, n, LEN, by_bytes);
        for (unsigned set = 0; set < 2; set++) {
            const pm_ops *ops = set ? pm_ops_unit() : NULL;
            double want = bytes_of(ops, keys, n, SHUFFLED);
            for (arrival how = ASCENDING; how < ARRIVALS; how++) {
                double is = bytes_of(ops, keys, n, how);
                CHECK_NOTE(is <= 1.15 * want && want <= 1.15 * is, "%zu keys, %s: %.1f bytes each, %.1f shuffled", n,
                           names[how], is / (double)n, want / (double)n);
            }
        }
        free(keys);
    }
}

/* A byte node becomes a range node during pm_apply, whose next keys go to nodes far below the lines that are gone then:
   what they had found has to be sought anew. */
TEST(apply_outlives_lines_that_become_parts) {
    enum { BYTES = 23, DEEP = 20, C = 4, D = 25, KEYS = 2 * BYTES + C * D };
    pm_map m = pm_new(NULL, NULL);
    for (unsigned b = 0; b < BYTES; b++) {
        for (unsigned i = 0; i < 2; i++) {
            uint8_t k[LEN] = {(uint8_t)(2 * b), (uint8_t)(b == DEEP && i == 0 ? 0 : 'x' + i), 1, 2, 3, 4, 5, 6};
            CHECK_OK(pm_set(&m, k, LEN, 1, NULL));
        }
        for (unsigned i = 0; b == DEEP && i < C * D; i++) {
            uint8_t k[LEN] = {2 * DEEP, 'a', (uint8_t)(i / D), 9, 9, 9, 9, (uint8_t)(2 * (i % D))};
            CHECK_OK(pm_set(&m, k, LEN, 1, NULL));
        }
    }
    CHECK_EQ(sound(&m).range_nodes, 0);
    CHECK_EQ(sound(&m).byte_nodes, 1);
    static const uint8_t k[4][LEN] = {{2 * DEEP - 3, 'n', 1, 2, 3, 4, 5, 6}, {2 * DEEP, 'a', 1, 9, 9, 9, 9, 3},
                                      {2 * DEEP, 'a', 2, 9, 9, 9, 9, 5}, {2 * DEEP, 'a', 3, 9, 9, 9, 9, 7}};
    pm_edit edits[4];
    for (unsigned i = 0; i < 4; i++) edits[i] = (pm_edit){{k[i], LEN}, {2, true}};
    CHECK_OK(pm_apply(&m, edits, 4));
    CHECK_EQ(sound(&m).range_nodes, 1);
    CHECK_EQ(sound(&m).values, KEYS + 4);
    for (unsigned i = 0; i < 4; i++) CHECK_EQ(*pm_get(&m, k[i], LEN), 2);
    pm_drop(&m);
}

/* ---- algebra ------------------------------------------------------------------------------------------------- */

/* Every one of so many keys, from the first on, with the same values. */
static pm_map some(unsigned first, unsigned end, unsigned step) {
    pm_map m = pm_new(NULL, NULL);
    for (unsigned i = first; i < end; i += step) CHECK_OK(pm_set(&m, key[i], LEN, i, NULL));
    (void)sound(&m);
    return m;
}

static size_t values(const pm_map *m) { return (size_t)sound(m).values; }

static void check_members(const pm_map *m, bool (*is)(unsigned i, unsigned n), unsigned n) {
    for (unsigned i = 0; i < MOST; i++) CHECK_EQ(pm_get(m, key[i], LEN) != NULL, is(i, n));
}

static bool in_either(unsigned i, unsigned n) { return i < n && (i % 2 == 0 || i % 3 == 0); }
static bool in_both(unsigned i, unsigned n) { return i < n && i % 6 == 0; }
static bool in_first(unsigned i, unsigned n) { return i < n && i % 2 == 0 && i % 3 != 0; }

/* Sets that are lines, range nodes and byte nodes. */
/* Sets or removes a key that begins with two bytes and goes on to a length in the same way for all; asks for it. */
static void put_long(pm_map *m, model *twin, uint8_t first, uint8_t second, size_t len, bool in) {
    uint8_t path[300];
    memset(path, 'm', sizeof path);
    path[0] = first, path[1] = second;
    if (in) {
        CHECK_OK(pm_set(m, path, len, len, NULL));
        model_set(twin, path, len, len, NULL);
    } else {
        CHECK_OK(pm_remove(m, path, len, PM_PRUNE, NULL));
        CHECK(model_remove(twin, path, len, true, NULL));
    }
    CHECK_EQ(pm_get(m, path, len) != NULL, in);
}

/* What a byte has before it and a line behind it may be one byte more than a line has room for. */
enum { FAN = 28 };

TEST(parts_have_keys_of_any_length) {
    for (size_t len = 250; len <= 262; len++)
        for (unsigned way = 0; way < 3; way++) {
            pm_map m = pm_new(NULL, NULL);
            model *twin = model_new();
            for (unsigned i = 0; i < FAN && way < 2; i++)
                put_long(&m, twin, (uint8_t)(way ? 250 - 4 * i : 4 * i), 9, len, true);
            for (unsigned i = 0; i < FAN * 8 && way == 2; i++) /* lines too large for parts become small */
                put_long(&m, twin, (uint8_t)(i / 8 * 4), (uint8_t)(i % 8 * 4), len, true);
            if (way == 2) CHECK_EQ(sound(&m).range_nodes, 0);
            for (unsigned i = 0; i < FAN * 8 && way == 2; i++)
                if (i % 8 != 3) put_long(&m, twin, (uint8_t)(i / 8 * 4), (uint8_t)(i % 8 * 4), len, false);
            CHECK_EQ(sound(&m).range_nodes, 1);
            size_t n = 0;
            pm_iter at = pm_iter_vals(&m);
            for (uint64_t want; pm_iter_next(&at); n++)
                CHECK(model_get(twin, at.key, at.len, &want) && *at.val == want);
            pm_iter_drop(&at);
            CHECK_EQ(n, FAN);
            pm_drop(&m);
            model_free(twin);
        }
}

TEST(algebra_at_every_size) {
    make_keys(7, false);
    for (unsigned n = 30; n <= MOST; n = n * 3 / 2) {
        pm_map a = some(0, n, 2), b = some(0, n, 3), r;
        pm_opt old;
        CHECK_OK(pm_join(&a, &b, &r, NULL));
        check_members(&r, in_either, n);
        CHECK_EQ(values(&r), values(&a) + values(&b) - (n + 5) / 6);
        pm_drop(&r);
        CHECK_OK(pm_meet(&a, &b, &r, NULL));
        check_members(&r, in_both, n);
        (void)sound(&r);
        pm_drop(&r);
        CHECK_OK(pm_subtract(&a, &b, &r, NULL));
        check_members(&r, in_first, n);
        (void)sound(&r);
        pm_drop(&r);
        r = pm_clone(&a); /* parts in common */
        CHECK_OK(pm_remove(&r, key[0], LEN, PM_PRUNE, &old));
        pm_map left;
        CHECK_OK(pm_subtract(&a, &r, &left, NULL));
        CHECK_EQ(values(&left), 1);
        pm_drop(&left);
        bool equal = true;
        CHECK_OK(pm_equal(&a, &r, &equal));
        CHECK(!equal);
        CHECK_OK(pm_join(&a, &r, &left, NULL));
        CHECK_OK(pm_equal(&a, &left, &equal));
        CHECK(equal);
        pm_drop(&left);
        pm_drop(&r);
        pm_drop(&a);
        pm_drop(&b);
    }
}

/* A range node beside one byte node, and beside a line. */
TEST(algebra_of_unlike_sizes) {
    make_keys(9, false);
    pm_map all = some(0, MOST, 1), few = some(0, 20, 1), mid = some(0, 300, 1), r;
    CHECK(sound(&mid).range_nodes && !sound(&few).range_nodes);
    const pm_map *order[] = {&few, &mid, &all};
    for (unsigned i = 0; i < 3; i++) {
        for (unsigned k = 0; k < 3; k++) {
            const unsigned less = i < k ? i : k, more = i < k ? k : i;
            bool equal = false;
            CHECK_OK(pm_join(order[i], order[k], &r, NULL));
            CHECK_OK(pm_equal(&r, order[more], &equal));
            CHECK(equal);
            pm_drop(&r);
            CHECK_OK(pm_meet(order[i], order[k], &r, NULL));
            CHECK_OK(pm_equal(&r, order[less], &equal));
            CHECK(equal);
            pm_drop(&r);
            CHECK_OK(pm_subtract(order[i], order[k], &r, NULL));
            CHECK_EQ(values(&r), i <= k ? 0 : values(order[i]) - values(order[k]));
            pm_drop(&r);
        }
    }
    pm_drop(&all);
    pm_drop(&few);
    pm_drop(&mid);
}

/* What a subtracting view shows of two maps that have most parts in common: one value, wherever it lies. */
/* Goes through a view from its first value to its last, and back: as many, in order. Returns how many there are. */
static size_t both_ways(pm_rz *z) {
    size_t n = 0, back = 0, len;
    uint8_t last[LEN];
    while (n <= MOST && pm_rz_to_next_val(z)) n++;
    for (bool on = pm_rz_to_last_val(z); on && back <= n; on = pm_rz_to_prev_val(z), back++) {
        const uint8_t *path = pm_rz_path(z, &len);
        CHECK_EQ(len, LEN);
        CHECK(back == 0 || memcmp(path, last, LEN) < 0);
        memcpy(last, path, LEN);
    }
    CHECK_EQ(back, n);
    return n;
}

/* Two maps of which one is the other's clone, less a key, or with another at its place: parts are in both, and only
   some of what begins with a byte lies in a part. */
TEST(views_go_back_over_parts_in_common) {
    make_keys(12, false);
    for (unsigned n = 60; n <= 400; n += 170) {
        pm_map a = some(0, n, 1);
        for (unsigned i = 0; i < n; i += 3) {
            pm_map b = pm_clone(&a);
            pm_rz za, zb, z;
            CHECK_OK(pm_remove(&b, key[i], LEN, PM_PRUNE, NULL));
            if (i % 2) CHECK_OK(pm_set(&b, key[MOST - 1 - i], LEN, 1, NULL));
            CHECK_OK(pm_rz_open(&a, "", 0, &za));
            CHECK_OK(pm_rz_open(&b, "", 0, &zb));
            CHECK_OK(pm_view_overlay(&za, &zb, NULL, NULL, &z));
            CHECK_EQ(both_ways(&z), n + i % 2);
            pm_rz_drop(&z);
            CHECK_OK(pm_view_meet(&za, &zb, &z));
            CHECK_EQ(both_ways(&z), n - 1);
            pm_rz_drop(&z);
            CHECK_OK(pm_view_subtract(&zb, &za, &z));
            CHECK_EQ(both_ways(&z), i % 2);
            pm_rz_drop(&z);
            pm_rz_drop(&za);
            pm_rz_drop(&zb);
            pm_drop(&b);
        }
        pm_drop(&a);
    }
}

TEST(views_pass_over_parts_in_common) {
    make_keys(11, false);
    pm_map a = some(0, 400, 1);
    CHECK(sound(&a).range_nodes);
    for (unsigned i = 0; i < 400; i += 7) {
        pm_map b = pm_clone(&a);
        pm_opt old;
        pm_rz za, zb, z;
        size_t len;
        CHECK_OK(pm_remove(&b, key[i], LEN, PM_PRUNE, &old));
        CHECK_OK(pm_rz_open(&a, "", 0, &za));
        CHECK_OK(pm_rz_open(&b, "", 0, &zb));
        CHECK_OK(pm_view_subtract(&za, &zb, &z));
        CHECK(pm_rz_to_next_val(&z));
        const uint8_t *path = pm_rz_path(&z, &len);
        CHECK_MEM_EQ(path, len, key[i], LEN);
        CHECK(!pm_rz_to_next_val(&z));
        CHECK(pm_rz_to_last_val(&z));
        path = pm_rz_path(&z, &len);
        CHECK_MEM_EQ(path, len, key[i], LEN);
        pm_rz_drop(&z);
        pm_rz_drop(&za);
        pm_rz_drop(&zb);
        pm_drop(&b);
    }
    pm_drop(&a);
}
