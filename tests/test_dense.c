/* Dense sets: nodes that hold nothing but the last bytes of keys, by their masks; and full ones, which are one node. */
#include "check.h"
#include "library.h"
#include "model.h"

#include "both.h"

enum { WIDTH = 4, WHOLE = 1 << 16, PARENTS = 6 };

typedef enum how { SORTED, SHUFFLED, BUILT, WRITTEN, APPLIED, JOINED, JOINED_MANY, HOWS } how;

static void spell(uint8_t *to, uint64_t i) {
    for (unsigned b = 0; b < WIDTH; b++) to[b] = (uint8_t)(i >> 8 * (WIDTH - 1 - b));
}

static void set(pm_map *m, uint64_t i) {
    uint8_t key[WIDTH];
    spell(key, i);
    CHECK_OK(pm_set(m, key, WIDTH, 0, NULL));
}

static void take(pm_map *m, uint64_t i) {
    uint8_t key[WIDTH];
    spell(key, i);
    CHECK_OK(pm_remove(m, key, WIDTH, PM_PRUNE, NULL));
}

static bool has(const pm_map *m, uint64_t i) {
    uint8_t key[WIDTH];
    spell(key, i);
    return pm_contains(m, key, WIDTH);
}

static pm_stats stats_of(const pm_map *m) {
    pm_stats s;
    check_sound(m);
    CHECK_OK(pm_get_stats(m, &s));
    return s;
}

static pm_map every(uint64_t n, uint64_t from, uint64_t step) {
    pm_map m = pm_new(pm_ops_unit(), NULL);
    for (; from < n; from += step) set(&m, from);
    return m;
}

/* The integers below n, made in one of the ways in which sets come about. */
static pm_map whole(uint64_t n, how way) {
    pm_map m = pm_new(pm_ops_unit(), NULL), part[3];
    const pm_map *parts[3] = {&part[0], &part[1], &part[2]};
    uint8_t(*bytes)[WIDTH] = malloc(n * sizeof *bytes);
    pm_edit *edits = calloc(n, sizeof *edits);
    pm_key *keys = malloc(n * sizeof *keys);
    CHECK(bytes && edits && keys);
    for (uint64_t i = 0; i < n; i++) {
        spell(bytes[i], i);
        keys[i] = (pm_key){bytes[i], WIDTH};
        edits[i] = (pm_edit){.key = keys[i], .val = {0, true}};
    }
    for (uint64_t i = n; way == SHUFFLED && i > 1; i--) {
        uint64_t k = check_below(i);
        pm_key swap = keys[i - 1];
        keys[i - 1] = keys[k], keys[k] = swap;
    }
    switch (way) {
    case SORTED:
    case SHUFFLED:
        for (uint64_t i = 0; i < n; i++) CHECK_OK(pm_set(&m, keys[i].data, WIDTH, 0, NULL));
        break;
    case BUILT: CHECK_OK(pm_build(pm_ops_unit(), NULL, keys, NULL, n, &m)); break;
    case APPLIED: CHECK_OK(pm_apply(&m, edits, n)); break;
    case WRITTEN: {
        pm_wz w;
        CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
        for (uint64_t i = 0; i < n; i++) {
            pm_rz_reset(pm_wz_cursor(&w));
            pm_rz_descend_to(pm_wz_cursor(&w), keys[i].data, WIDTH);
            CHECK_OK(pm_wz_set(&w, 0, NULL));
        }
        pm_wz_drop(&w);
        break;
    }
    default:
        for (unsigned i = 0; i < 3; i++) part[i] = every(n, i, way == JOINED ? 2 : 3);
        CHECK_OK(way == JOINED ? pm_join(&part[0], &part[1], &m, NULL) : pm_join_many(parts, 3, &m, NULL));
        for (unsigned i = 0; i < 3; i++) pm_drop(&part[i]);
    }
    free(bytes);
    free(edits);
    free(keys);
    return m;
}

TEST(full_nodes_are_one_however_a_set_came_about) {
    for (how way = 0; way < HOWS; way++) {
        pm_map m = whole(WHOLE, way);
        pm_stats s = stats_of(&m);
        CHECK_EQ(s.values, WHOLE);
        CHECK_NOTE(s.byte_nodes <= 3, "way %d: %u byte nodes", (int)way, (unsigned)s.byte_nodes);
        CHECK_NOTE(s.bytes * 100 <= WHOLE * 5, "way %d: %u bytes", (int)way, (unsigned)s.bytes);
        for (uint64_t i = 0; i < WHOLE; i += 7) CHECK(has(&m, i));
        CHECK(!has(&m, WHOLE));
        pm_drop(&m);
    }
}

TEST(what_is_full_is_changed_alone) {
    pm_map m = whole(WHOLE, SHUFFLED), c = pm_clone(&m);
    const pm_stats before = stats_of(&m);
    take(&m, 0x1234);
    pm_stats s = stats_of(&m);
    CHECK_EQ(s.values, WHOLE - 1);
    CHECK_EQ(s.byte_nodes, before.byte_nodes + 1);
    for (uint64_t i = 0; i < WHOLE; i++) CHECK_EQ(has(&m, i), i != 0x1234);
    set(&m, 0x1234);
    s = stats_of(&m);
    CHECK_EQ(s.byte_nodes, before.byte_nodes);
    CHECK_EQ(s.bytes, before.bytes);
    bool same = false;
    CHECK_OK(pm_equal(&m, &c, &same));
    CHECK(same);
    CHECK_EQ(stats_of(&c).bytes, before.bytes);
    pm_drop(&c);
    for (uint64_t i = 0; i < WHOLE; i++) take(&m, i);
    CHECK(pm_is_empty(&m));
    pm_drop(&m);
}

TEST(setting_what_is_there_copies_no_full_node) {
    pm_map m = whole(WHOLE, SORTED);
    const pm_stats before = stats_of(&m);
    for (uint64_t i = 0; i < WHOLE; i += 5) set(&m, i);
    CHECK_EQ(stats_of(&m).bytes, before.bytes);
    pm_drop(&m);
}

TEST(a_child_below_a_value_of_a_tip_comes_and_goes) {
    pm_map m = every(512, 0, 1);
    const uint8_t deep[WIDTH + 1] = {0, 0, 1, 7, 9};
    const uint64_t bytes = stats_of(&m).bytes;
    CHECK_OK(pm_set(&m, deep, sizeof deep, 0, NULL));
    CHECK_EQ(stats_of(&m).values, 513);
    for (uint64_t i = 0; i < 512; i++) CHECK(has(&m, i));
    CHECK(pm_contains(&m, deep, sizeof deep));
    CHECK_OK(pm_remove(&m, deep, sizeof deep, PM_PRUNE, NULL));
    CHECK_EQ(stats_of(&m).values, 512);
    CHECK(stats_of(&m).bytes <= bytes + 64); /* full again, but nobody has filled it up */
    pm_drop(&m);
}

/* ---- algebra, against bits ----------------------------------------------------------------------------------- */

typedef struct bits {
    uint8_t in[PARENTS * 256];
} bits;

/* Nodes that are full, nearly so, about half, all but empty, and empty. */
static void draw(bits *x) {
    for (unsigned p = 0; p < PARENTS; p++) {
        static const unsigned of_256[] = {0, 1, 5, 12, 40, 128, 250, 255, 256, 256};
        const uint64_t most = of_256[check_below(10)];
        for (unsigned i = 0; i < 256; i++) x->in[p * 256 + i] = check_below(256) < most;
    }
}

static pm_map map_of(const bits *x) {
    pm_map m = pm_new(pm_ops_unit(), NULL);
    for (unsigned i = 0; i < PARENTS * 256; i++)
        if (x->in[i]) set(&m, i);
    return m;
}

static bool want(unsigned op, bool a, bool b) {
    switch (op) {
    case 0: return a || b;
    case 1:
    case 3: return a && b;
    case 2: return a && !b;
    default: return a != b;
    }
}

static pm_status combine(unsigned op, const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    switch (op) {
    case 0: return pm_join(a, b, out, alg);
    case 1: return pm_meet(a, b, out, alg);
    case 2: return pm_subtract(a, b, out, alg);
    case 3: return pm_restrict(a, b, out, alg);
    default: return pm_symmetric_difference(a, b, out, alg);
    }
}

enum { OPS = 5 };

static void check_result(unsigned op, const bits *x, const bits *y, pm_map *r, pm_alg alg) {
    bool like_x = true, like_y = true;
    uint64_t n = 0;
    for (unsigned i = 0; i < PARENTS * 256; i++) {
        const bool in = want(op, x->in[i], y->in[i]);
        n += in;
        like_x = like_x && in == x->in[i], like_y = like_y && in == y->in[i];
        CHECK_NOTE(has(r, i) == in, "operation %u, key %u", op, i);
    }
    CHECK_EQ(stats_of(r).values, n);
    const unsigned same = (like_x ? PM_ALG_LEFT : 0u) | (like_y ? PM_ALG_RIGHT : 0u);
    CHECK_EQ(alg == PM_ALG_NONE, n == 0);
    if (n && op != 3) CHECK_EQ(alg, same ? same : PM_ALG_ELEMENT);
    if (n && op == 3) CHECK_EQ(alg & PM_ALG_LEFT, like_x ? PM_ALG_LEFT : 0);
}

TEST(algebra_of_dense_sets_is_that_of_bits) {
    for (unsigned turn = 0; turn < 60; turn++) {
        bits x, y;
        draw(&x), draw(&y);
        pm_map a = map_of(&x), b = map_of(&y), held[2] = {pm_clone(&a), pm_clone(&b)};
        if (turn % 3) pm_drop(&held[0]); /* shared nodes are remembered */
        if (turn % 3 > 1) pm_drop(&held[1]);
        for (unsigned op = 0; op < OPS; op++) {
            pm_map r;
            pm_alg alg;
            CHECK_OK(combine(op, &a, &b, &r, &alg));
            check_result(op, &x, &y, &r, alg);
            pm_drop(&r);
        }
        for (unsigned i = 0; i < 2; i++)
            if (turn % 3 <= i) pm_drop(&held[i]);
        pm_drop(&a);
        pm_drop(&b);
    }
}

TEST(many_dense_sets_are_combined_as_bits_are) {
    enum { MAPS = 5 };
    for (unsigned turn = 0; turn < 30; turn++) {
        bits x[MAPS];
        pm_map m[MAPS], join, meet;
        const pm_map *maps[MAPS];
        for (unsigned k = 0; k < MAPS; k++) {
            draw(&x[k]);
            if (turn % 2)
                for (unsigned i = 0; k && i < 512; i++) x[k].in[i] = x[k].in[i] || x[0].in[i];
            m[k] = map_of(&x[k]), maps[k] = &m[k];
        }
        CHECK_OK(pm_join_many(maps, MAPS, &join, NULL));
        CHECK_OK(pm_meet_many(maps, MAPS, &meet, NULL));
        uint64_t njoin = 0, nmeet = 0;
        for (unsigned i = 0; i < PARENTS * 256; i++) {
            unsigned n = 0;
            for (unsigned k = 0; k < MAPS; k++) n += x[k].in[i];
            CHECK_EQ(has(&join, i), n > 0);
            CHECK_EQ(has(&meet, i), n == MAPS);
            njoin += n > 0, nmeet += n == MAPS;
        }
        CHECK_EQ(stats_of(&join).values, njoin);
        CHECK_EQ(stats_of(&meet).values, nmeet);
        pm_drop(&join);
        pm_drop(&meet);
        for (unsigned k = 0; k < MAPS; k++) pm_drop(&m[k]);
    }
}

TEST(failing_algebra_of_dense_sets_leaves_nothing_behind) {
    bits x, y;
    for (unsigned i = 0; i < PARENTS * 256; i++) x.in[i] = i % 3 != 1 || i < 256, y.in[i] = i % 3 == 1 || i % 7 == 0;
    pm_map a = map_of(&x), b = map_of(&y);
    const uint64_t before = live_nodes();
    for (unsigned op = 0; op < OPS; op++) {
        pm_map r = {0};
        pm_status s = PM_NOMEM;
        for (uint64_t n = 1; s == PM_NOMEM; n++) {
            pm_alg alg;
            check_fail_alloc(n);
            s = combine(op, &a, &b, &r, &alg);
            check_fail_alloc(0);
            if (s == PM_OK) check_result(op, &x, &y, &r, alg);
            if (s == PM_OK) pm_drop(&r);
            CHECK_EQ(live_nodes(), before);
        }
        CHECK_OK(s);
    }
    pm_drop(&a);
    pm_drop(&b);
}
