/* What structure in common saves, as counts that no machine changes: blocks taken from the allocator, nodes that stay,
   and calls of value hooks, which tell how many values were looked at.

   Algebra of a map and of its edited clone costs as much as the two differ, whatever their size. Everything that walks
   a trie of 2^80 values, which shares each level twice, looks at each of its few nodes once. And what is shared may
   cease to be so at any moment. */
#include "check.h"

/* Each node is a block of its own, so that nodes made on the way and thrown away again are counted too. */
#ifndef PM_POOL
#define PM_POOL 0
#endif
#define PATHMAP_STATIC
static void let_go(void);
#define PM_ON_ATOMIC_RMW() let_go()
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#include "../pathmap.h"
#include "doubled.h"

/* ---- a table of values that counts what it is asked ---- */

static uint64_t asked;

static bool count_equal(void *ctx, pm_val a, pm_val b) {
    (void)ctx;
    asked++;
    return a == b;
}

static pm_alg count_larger(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    (void)out;
    asked++;
    return a == b ? PM_ALG_BOTH : a > b ? PM_ALG_LEFT : PM_ALG_RIGHT;
}

static pm_alg count_smaller(void *ctx, pm_val a, pm_val b, pm_val *out) { return count_larger(ctx, ~a, ~b, out); }

static pm_alg count_cancel(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    (void)out;
    asked++;
    return a == b ? PM_ALG_NONE : PM_ALG_LEFT;
}

static uint64_t count_hash(void *ctx, pm_val v) {
    (void)ctx;
    asked++;
    return v;
}

static const pm_ops *counting(bool idempotent) {
    static const pm_ops ops[2] = {
        {.name = "counting",
         .equal = count_equal,
         .join = count_larger,
         .meet = count_smaller,
         .subtract = count_cancel,
         .hash = count_hash},
        {.name = "counting, idempotent",
         .flags = PM_OPS_IDEMPOTENT,
         .equal = count_equal,
         .join = count_larger,
         .meet = count_smaller,
         .subtract = count_cancel,
         .hash = count_hash}};
    return &ops[idempotent];
}

/* ---- what a statement costs ---- */

typedef struct cost {
    uint64_t blocks; /* taken from the allocator, given back or not: nodes, and a few buffers */
    uint64_t kept;   /* nodes alive after it that were not before */
    uint64_t asked;  /* values looked at */
} cost;

static uint64_t live_nodes(void) {
    pm_pool_stats s;
    pm_pool_get_stats(NULL, &s);
    return s.nodes;
}

static cost begin(void) {
    check_fail_alloc(0); /* counts anew */
    asked = 0;
    return (cost){.kept = live_nodes()};
}

static cost end(cost c) { return (cost){check_allocs(), live_nodes() - c.kept, asked}; }

static uint64_t nodes_of(const pm_map *m) {
    pm_stats s;
    CHECK_OK(pm_get_stats(m, &s));
    return s.nodes + s.blocks;
}

typedef pm_status (*map_operation)(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
static const map_operation operations[] = {pm_join, pm_meet, pm_subtract, pm_symmetric_difference, pm_restrict};
static const char *const names[] = {"join", "meet", "subtract", "symmetric difference", "restrict"};

/* ---- a large map and its edited clone ---- */

enum { KEYS = 200000, LINE = 32 };

/* The i-th key: words over few letters, which share prefixes of any length. */
static size_t key_of(char *out, size_t cap, unsigned i) {
    static const char *const words[] = {"path", "map", "trie", "node", "line", "byte", "key", "val",
                                        "set",  "get", "cut",  "join", "meet", "zip",  "fold", "hash"};
    uint64_t x = i;
    uint64_t r = check_rand_from(&x);
    int n = snprintf(out, cap, "%s/%s/%s-%" PRIu64 "/%u", words[r & 15], words[r >> 4 & 15], words[r >> 8 & 15],
                     (r >> 12) % 97, i);
    return (size_t)n;
}

static pm_map large(const pm_ops *ops) {
    pm_map m = pm_new(ops, NULL);
    char key[64];
    for (unsigned i = 0; i < KEYS; i++) {
        size_t len = key_of(key, sizeof key, i);
        CHECK_OK(pm_set(&m, key, len, 5, NULL));
    }
    return m;
}

/* Every `step`-th key of a clone goes, or gets a larger value, or a smaller one, or a neighbour. Returns how many
   nodes the clone then has for itself. */
static uint64_t edit(pm_map *clone, unsigned step) {
    char key[64];
    uint64_t before = live_nodes();
    for (unsigned i = 0; i < KEYS; i += step) {
        size_t len = key_of(key, sizeof key, i);
        switch (i / step % 4) {
        case 0: CHECK_OK(pm_remove(clone, key, len, PM_PRUNE, NULL)); break;
        case 1: CHECK_OK(pm_set(clone, key, len, 6, NULL)); break;
        case 2: CHECK_OK(pm_set(clone, key, len, 4, NULL)); break;
        default: key[len] = '+'; CHECK_OK(pm_set(clone, key, len + 1, 5, NULL)); break;
        }
    }
    return live_nodes() - before;
}

static uint64_t edits(unsigned step) { return (KEYS + step - 1) / step; }

/* What differs costs; what does not, nothing. `differ`: nodes that are not the same in both. */
static void check_cost(cost c, uint64_t differ, uint64_t changed, const char *what) {
    CHECK_NOTE(c.blocks <= 3 * differ + 8, "%s: %" PRIu64 " blocks for %" PRIu64 " nodes", what, c.blocks, differ);
    CHECK_NOTE(c.kept <= differ, "%s: %" PRIu64 " nodes for %" PRIu64, what, c.kept, differ);
    CHECK_NOTE(c.asked <= 4 * changed, "%s: %" PRIu64 " values looked at for %" PRIu64, what, c.asked, changed);
}

TEST(algebra_of_a_map_and_its_edited_clone_costs_what_differs) {
    pm_map a = large(counting(true));
    const uint64_t whole = nodes_of(&a);
    for (unsigned step = 100; step <= KEYS; step *= step < 10000 ? 10 : 20) {
        pm_map b = pm_clone(&a);
        const uint64_t differ = edit(&b, step);
        CHECK(differ <= 5 * edits(step)); /* of each way down, what no other edit has copied */
        CHECK(differ * 5 <= whole);
        for (unsigned i = 0; i < 10; i++) {
            pm_map r;
            cost c = begin();
            CHECK_OK(operations[i / 2](i % 2 ? &b : &a, i % 2 ? &a : &b, &r, NULL));
            check_cost(end(c), differ, edits(step), names[i / 2]);
            if (i < 4) CHECK(nodes_of(&r) + differ >= whole);
            pm_drop(&r);
        }
        pm_drop(&b);
    }
    pm_drop(&a);
}

TEST(comparing_and_many_operands_cost_what_differs) {
    pm_map a = large(counting(true)), b = pm_clone(&a), copy = pm_clone(&a), r;
    const uint64_t differ = edit(&b, 1000);
    const pm_map *maps[] = {&a, &b, &a, &copy, &b};
    bool same = true;
    for (unsigned i = 0; i < 2; i++) {
        cost c = begin();
        CHECK_OK((i ? pm_meet_many : pm_join_many)(maps, 5, &r, NULL));
        check_cost(end(c), differ, 4 * edits(1000), i ? "meet of many" : "join of many");
        pm_drop(&r);
    }
    cost c = begin();
    CHECK_OK(pm_equal(&a, &copy, &same));
    CHECK(same);
    c = end(c);
    CHECK_EQ(c.asked, 0);
    CHECK(c.blocks <= 2);
    c = begin();
    CHECK_OK(pm_equal(&a, &b, &same));
    CHECK(!same);
    check_cost(end(c), differ, edits(1000), "equal");
    pm_drop(&a);
    pm_drop(&b);
    pm_drop(&copy);
}

static pm_status in_place(unsigned op, pm_wz *w, const pm_rz *src) {
    switch (op) {
    case 0: return pm_wz_join(w, src, NULL);
    case 1: return pm_wz_meet(w, src, PM_KEEP, NULL);
    case 2: return pm_wz_subtract(w, src, PM_KEEP, NULL);
    default: return pm_wz_restrict(w, src, NULL);
    }
}

TEST(algebra_in_place_costs_what_differs) {
    pm_map a = large(counting(true)), b = pm_clone(&a), small = pm_new(counting(true), NULL);
    const uint64_t differ = edit(&b, 1000);
    char key[64];
    for (unsigned i = 0; i < 20; i++) { /* a few keys of a map of its own */
        size_t len = key_of(key, sizeof key, i * 7);
        CHECK_OK(pm_set(&small, key, len, i, NULL));
    }
    const uint64_t few = nodes_of(&small);
    for (unsigned i = 0; i < 8; i++) {
        const pm_map *src = i < 4 ? &b : &small;
        uint64_t most = i < 4 ? differ : 20 * few + 100;
        pm_map m = pm_clone(&a);
        pm_wz w;
        pm_rz z;
        CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
        CHECK_OK(pm_rz_open(src, NULL, 0, &z));
        cost c = begin();
        CHECK_OK(in_place(i % 4, &w, &z));
        check_cost(end(c), most, edits(1000), names[i % 4]);
        CHECK_OK(pm_wz_drop(&w));
        pm_rz_drop(&z);
        pm_drop(&m);
    }
    pm_drop(&a);
    pm_drop(&b);
    pm_drop(&small);
}

/* ---- 2^80 values ---- */

enum { LEVELS = 80 };

/* A map of 2^79 values below each of its two leaves. */
static pm_map doubled_pair(const pm_ops *ops, pm_val x, pm_val y) {
    pm_map m = single(ops, "x", x);
    CHECK_OK(pm_set(&m, "y", 1, y, NULL));
    return doubled(m, LEVELS - 1, "left", "right");
}

/* A few blocks and values for each level, and no more. */
static void check_once(cost c, const char *what) {
    CHECK_NOTE(c.blocks <= 4 * LEVELS, "%s: %" PRIu64 " blocks", what, c.blocks);
    CHECK_NOTE(c.kept <= 2 * LEVELS, "%s: %" PRIu64 " nodes", what, c.kept);
    CHECK_NOTE(c.asked <= 8 * LEVELS, "%s: %" PRIu64 " values looked at", what, c.asked);
}

static uint64_t values_of(const pm_map *m) {
    uint64_t n = 0;
    CHECK_OK(pm_val_count(m, &n));
    return n;
}

TEST(algebra_of_2_to_the_80_values_looks_at_each_node_once) {
    for (unsigned idempotent = 0; idempotent < 2; idempotent++) {
        pm_map a = doubled_pair(counting(idempotent), 7, 2), b = doubled_pair(counting(idempotent), 3, 2), r;
        for (unsigned i = 0; i < 10; i++) {
            const pm_map *right = i % 2 ? &a : &b;
            cost c = begin();
            CHECK_OK(operations[i / 2](&a, right, &r, NULL));
            check_once(end(c), names[i / 2]);
            bool nothing = (i / 2 == 2 || i / 2 == 3) && right == &a;
            CHECK_EQ(values_of(&r), nothing ? 0 : UINT64_MAX);
            CHECK_OK(pm_check(&r, NULL));
            pm_drop(&r);
        }
        const pm_map *maps[] = {&a, &b, &a};
        for (unsigned i = 0; i < 2; i++) {
            cost c = begin();
            CHECK_OK((i ? pm_meet_many : pm_join_many)(maps, 3, &r, NULL));
            check_once(end(c), i ? "meet of many" : "join of many");
            pm_drop(&r);
        }
        pm_drop(&a);
        pm_drop(&b);
    }
}

static uint64_t calls;

static int sum_values(void *ctx, const pm_fold_at *here, void *out) {
    uint64_t n = here->val ? *here->val : 0;
    (void)ctx;
    calls++;
    for (unsigned i = 0; i < here->n; i++) n += ((uint64_t *)here->results)[i];
    *(uint64_t *)out = n;
    return PM_OK;
}

TEST(walks_of_2_to_the_80_values_look_at_each_node_once) {
    pm_map a = doubled_pair(counting(true), 7, 2), b = doubled_pair(counting(true), 7, 2);
    uint64_t n = 0;
    bool same = false;
    pm_hash128 hash;
    cost c = begin();
    CHECK_EQ(values_of(&a), UINT64_MAX);
    check_once(end(c), "count");
    c = begin();
    CHECK_OK(pm_location_count(&a, &n));
    check_once(end(c), "count of locations");
    c = begin();
    CHECK_OK(pm_equal(&a, &b, &same));
    CHECK(same);
    check_once(end(c), "equal");
    c = begin();
    CHECK_OK(pm_hash(&a, &hash));
    check_once(end(c), "hash");
    for (unsigned jumping = 0; jumping < 2; jumping++) {
        const pm_fold f = {
            .size = sizeof n, .flags = PM_FOLD_CACHED | (jumping ? PM_FOLD_JUMPING : 0), .at = sum_values};
        calls = 0;
        c = begin();
        CHECK_OK(pm_fold_map(&a, &f, &n));
        check_once(end(c), "fold");
        CHECK(calls <= (jumping ? 4 : 12) * LEVELS); /* 11 locations a level: "left", "right" and the fork */
        CHECK_EQ(n, 0);                              /* (7 + 2) 2^79, modulo 2^64 */
    }
    c = begin();
    CHECK_OK(pm_merkleize(&a, NULL));
    check_once(end(c), "merkleize");
    CHECK_OK(pm_equal(&a, &b, &same));
    CHECK(same);
    pm_drop(&a);
    pm_drop(&b);
}

TEST(writing_in_2_to_the_80_values_copies_one_way_down) {
    pm_map a = doubled_pair(counting(true), 7, 2), b = pm_clone(&a);
    char key[5 * LEVELS];
    size_t len = 0;
    for (unsigned i = 1; i < LEVELS; i++) len += (size_t)sprintf(key + len, "%s", i % 3 ? "left" : "right");
    key[len++] = 'x';
    cost c = begin();
    CHECK_OK(pm_set(&b, key, len, 8, NULL));
    c = end(c);
    CHECK(c.kept <= LEVELS);
    CHECK_EQ(*pm_get(&b, key, len), 8);
    CHECK_EQ(*pm_get(&a, key, len), 7);
    pm_map r;
    c = begin(); /* one value of 2^80 differs: one way down is combined */
    CHECK_OK(pm_join(&a, &b, &r, NULL));
    c = end(c);
    CHECK(c.asked <= LEVELS);
    CHECK_EQ(c.kept, 0);
    CHECK_EQ(r.root, b.root);
    pm_drop(&r);
    c = begin();
    CHECK_OK(pm_subtract(&b, &a, &r, NULL));
    check_once(end(c), "subtract");
    CHECK_EQ(values_of(&r), 1);
    pm_drop(&r);
    pm_drop(&a);
    pm_drop(&b);
}

/* ---- others that let go meanwhile ---- */

static uint64_t let_go_in; /* so many atomic operations from now; 0: never */
static pm_map others;

static void let_go(void) {
    if (let_go_in && --let_go_in == 0) pm_drop(&others);
}

typedef pm_status (*change)(pm_map *m);

static pm_status set_at_new_branch(pm_map *m) { return pm_set(m, "\xAAx", 2, 7, NULL); }
static pm_status set_at_branch(pm_map *m) { return pm_set(m, "kx", 2, 7, NULL); }
static pm_status set_below(pm_map *m) { return pm_set(m, "k\0more", 6, 7, NULL); }
static pm_status remove_one(pm_map *m) { return pm_remove(m, "k", 2, PM_PRUNE, NULL); }
static pm_status remove_many(pm_map *m) { return pm_remove_branches(m, "k", 1, PM_PRUNE, NULL); }

static pm_status keep_some(pm_map *m) {
    const pm_key from = {"f", 1}, to = {"s", 1};
    return pm_keep_range(m, &from, &to);
}

static pm_status graft_one(pm_map *m) {
    pm_map one = single(m->ops, "one", 1);
    pm_wz w;
    CHECK_OK(pm_wz_open(m, NULL, 0, &w));
    (void)pm_rz_move_to(pm_wz_cursor(&w), "k", 1);
    const pm_status s = pm_wz_graft_map(&w, &one);
    CHECK_OK(pm_wz_drop(&w));
    pm_drop(&one);
    return s;
}

static pm_map wide_map(unsigned bytes) {
    pm_map m = pm_new(NULL, NULL);
    for (unsigned i = 0; i < 2 * bytes; i++) {
        const uint8_t at[2] = {(uint8_t)('k' + i / 2), (uint8_t)(i % 2)};
        CHECK_OK(pm_set(&m, at, 2, i, NULL));
    }
    return m;
}

/* While a map is changed whose nodes others share, these others drop it: at each atomic operation of the change in
   turn. */
TEST(others_may_let_go_at_any_moment_of_a_change) {
    static const change changes[] = {set_at_new_branch, set_at_branch, set_below, remove_one,
                                     remove_many,       keep_some,     graft_one};
    static const unsigned widths[] = {3, 20, 40, 60, 256};
    const uint64_t before = check_live_blocks();
    for (unsigned i = 0; i < 5 * 7; i++) {
        const change fn = changes[i % 7];
        pm_map want = wide_map(widths[i / 7]);
        CHECK_OK(fn(&want));
        bool gone = true;
        for (uint64_t n = 1; gone; n++) {
            pm_map m = wide_map(widths[i / 7]);
            others = pm_clone(&m);
            let_go_in = n;
            CHECK_OK(fn(&m));
            gone = let_go_in == 0;
            let_go_in = 0;
            if (!gone) pm_drop(&others);
            bool equal = false;
            CHECK_OK(pm_check(&m, NULL));
            CHECK_OK(pm_equal(&m, &want, &equal));
            CHECK(equal);
            pm_drop(&m);
        }
        pm_drop(&want);
        CHECK_EQ(check_live_blocks(), before);
    }
}
