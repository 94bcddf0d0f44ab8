/* What maps are like after changes for which there was no memory, and what operations do on maps that only such changes
   leave: byte nodes of one branch. Then operations of which one allocation fails after the other, where test_oom.c has
   no map large enough: a call that fails changes nothing and loses nothing. Each node is an allocation of its own. */
#include "check.h"
#include "model.h"

#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#ifndef PM_POOL
#define PM_POOL 0
#endif
#include "../pathmap.h"

#include "both.h"
#include "operands.h"

/* ---- byte nodes of one branch ---- */

enum { BRANCHES = 40, STAYS = 3 };

typedef enum lone { LONE_CHILD, LONE_VALUE, LONE_BOTH, LONES } lone;

static size_t branch_key(unsigned i, unsigned below, char *to) {
    to[0] = (char)(5 * i + 1);
    if (below) to[1] = (char)below;
    return below ? 2 : 1;
}

/* A map whose root is a byte node with one branch: it had more, and no memory to become a line. */
static both lonely(const pm_ops *ops, lone kind) {
    both b = both_new(ops);
    char at[2];
    for (unsigned i = 0; i < BRANCHES; i++)
        for (unsigned below = kind == LONE_CHILD; below < (kind == LONE_VALUE ? 1 : 3); below++) {
            const size_t len = branch_key(i, below, at);
            const pm_val v = some_value(ops);
            CHECK_OK(pm_set(&b.map, at, len, v, NULL));
            model_set(b.m, at, len, v, NULL);
        }
    check_fail_allocs_from(1);
    for (unsigned i = 0; i < BRANCHES; i++)
        for (unsigned below = 0; i != STAYS && below < 3; below++) {
            const size_t len = branch_key(i, below, at);
            CHECK_OK(pm_remove(&b.map, at, len, PM_PRUNE, NULL));
            (void)model_remove(b.m, at, len, true, NULL);
        }
    check_fail_alloc(0);
    check_sound(&b.map);
    CHECK(same_content(&b.map, b.m));
    CHECK(pm__ref_kind(b.map.root) == PM__BYTE);
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(b.map.root);
    CHECK_EQ(x->nc + x->nv, kind == LONE_BOTH ? 2 : 1);
    return b;
}

TEST(byte_node_of_one_branch_is_left_and_goes_on) {
    for (unsigned i = 0; i < 5 * LONES; i++) {
        both b = lonely(table(i), (lone)(i % LONES));
        char at[2];
        const size_t len = branch_key(STAYS, 0, at);
        pm_rz z;
        CHECK_OK(pm_rz_open(&b.map, NULL, 0, &z));
        CHECK(pm_rz_descend_until(&z) == 1);
        size_t n;
        const uint8_t *path = pm_rz_path(&z, &n);
        CHECK_MEM_EQ(path, n, at, len);
        pm_rz_drop(&z);
        CHECK_OK(pm_remove_branches(&b.map, at, len, PM_PRUNE, NULL));
        (void)model_remove_branches(b.m, at, len, true);
        check_sound(&b.map);
        CHECK(same_content(&b.map, b.m));
        both_drop(&b);
    }
    CHECK_EQ(check_live_blocks(), 0);
}

/* Adds up values, locations that are not skipped, and bytes that are. */
static int add_up(void *ctx, const pm_fold_at *here, void *out) {
    uint64_t sum = 1 + 1000 * here->jump_len + (here->val ? 1000000 * (1 + *here->val) : 0);
    (void)ctx;
    for (unsigned i = 0; i < here->n; i++) sum += 3 * ((const uint64_t *)here->results)[i];
    *(uint64_t *)out = sum;
    return PM_OK;
}

TEST(byte_node_of_one_branch_is_folded_once) {
    for (unsigned i = 0; i < LONES; i++) {
        both b = lonely(pm_ops_sum(), (lone)i);
        pm_map twice = pm_new(pm_ops_sum(), NULL);
        pm_wz w;
        CHECK_OK(pm_wz_open(&twice, NULL, 0, &w));
        for (unsigned k = 0; k < 3; k++) {
            (void)pm_rz_move_to(pm_wz_cursor(&w), &"one two six"[4 * k], 3);
            CHECK_OK(pm_wz_graft_map(&w, &b.map));
        }
        CHECK_OK(pm_wz_drop(&w));
        uint64_t sum[2] = {0, 0};
        for (unsigned cached = 0; cached < 2; cached++) {
            const pm_fold f = {
                .size = sizeof *sum, .flags = PM_FOLD_JUMPING | (cached ? PM_FOLD_CACHED : 0), .at = add_up};
            CHECK_OK(pm_fold_map(&twice, &f, &sum[cached]));
        }
        CHECK(sum[0] && sum[0] == sum[1]);
        pm_drop(&twice);
        both_drop(&b);
    }
    CHECK_EQ(check_live_blocks(), 0);
}

/* ---- one allocation fails after the other ---- */

/* Makes *out of some maps, which stay as they are; else gives back all that it has taken. */
typedef pm_status (*attempt)(const pm_map *in, pm_map *out);

static void try_without_memory(attempt f, const pm_map *in) {
    pm_map want, got;
    CHECK_OK(f(in, &want));
    bool failed = true;
    for (uint64_t n = 1; failed; n++) {
        const uint64_t before = check_live_blocks();
        check_fail_alloc(n);
        const pm_status s = f(in, &got);
        failed = check_alloc_fails() > 0;
        check_fail_alloc(0);
        CHECK_NOTE(s == PM_OK || (s == PM_NOMEM && failed), "%d, allocation %d", (int)s, (int)n);
        if (s == PM_OK) {
            bool equal = false;
            check_sound(&got);
            CHECK_OK(pm_equal(&want, &got, &equal));
            CHECK(equal);
            pm_drop(&got);
        }
        CHECK_EQ(check_live_blocks(), before);
    }
    pm_drop(&want);
}

static pm_status given(pm_status s, pm_map *out) {
    if (s != PM_OK) pm_drop(out);
    return s;
}

/* A value and children come to a branch without value of a wide node, whose blocks are shared. */
static pm_status graft_where_it_is_wide(const pm_map *in, pm_map *out) {
    pm_wz w;
    *out = pm_clone(&in[0]);
    pm_status s = pm_wz_open(out, NULL, 0, &w);
    if (s == PM_OK) {
        (void)pm_rz_move_to(pm_wz_cursor(&w), "k", 1);
        s = pm_wz_graft_map(&w, &in[1]);
        if (s == PM_OK) s = pm_wz_drop(&w);
        else (void)pm_wz_drop(&w);
    }
    return given(s, out);
}

TEST(grafts_into_wide_nodes_without_memory) {
    for (unsigned i = 0; i < 5; i++) {
        pm_map in[2] = {pm_new(table(i), NULL), pm_new(table(i), NULL)};
        for (unsigned c = 0; c < 512; c++) {
            const uint8_t at[2] = {(uint8_t)(c / 2), (uint8_t)(c % 2)};
            CHECK_OK(pm_set(&in[0], at, 2, some_value(table(i)), NULL));
        }
        CHECK(pm__ref_kind(in[0].root) == PM__WIDE);
        CHECK_OK(pm_set(&in[1], NULL, 0, some_value(table(i)), NULL));
        CHECK_OK(pm_set(&in[1], "z", 1, some_value(table(i)), NULL));
        try_without_memory(graft_where_it_is_wide, in);
        for (unsigned k = 0; k < 2; k++) pm_drop(&in[k]);
    }
    CHECK_EQ(check_live_blocks(), 0);
}

enum { MANY = 5 };

static pm_status join_many(const pm_map *in, pm_map *out) {
    const pm_map *all[MANY];
    for (unsigned i = 0; i < MANY; i++) all[i] = &in[i];
    return pm_join_many(all, MANY, out, NULL);
}

static pm_status meet_many(const pm_map *in, pm_map *out) {
    const pm_map *all[MANY];
    for (unsigned i = 0; i < MANY; i++) all[i] = &in[i];
    return pm_meet_many(all, MANY, out, NULL);
}

static pm_status combine(const pm_map *in, pm_map *out) {
    const pm_map *all[MANY];
    const pm_clause clauses[] = {{1, 2}, {4 | 8, 0}, {8, 1 | 16}};
    const pm_formula formula = {.clauses = clauses, .n = 3};
    for (unsigned i = 0; i < MANY; i++) all[i] = &in[i];
    return pm_combine(all, MANY, &formula, out);
}

static pm_status two_at_least(const pm_map *in, pm_map *out) {
    const pm_map *all[MANY];
    const pm_formula formula = {.at_least = 2};
    for (unsigned i = 0; i < MANY; i++) all[i] = &in[i];
    return pm_combine(all, MANY, &formula, out);
}

static pm_status join(const pm_map *in, pm_map *out) { return pm_join(&in[0], &in[1], out, NULL); }
static pm_status meet(const pm_map *in, pm_map *out) { return pm_meet(&in[0], &in[1], out, NULL); }
static pm_status subtract(const pm_map *in, pm_map *out) { return pm_subtract(&in[0], &in[1], out, NULL); }
static pm_status restricted(const pm_map *in, pm_map *out) { return pm_restrict(&in[0], &in[1], out, NULL); }
static pm_status differ(const pm_map *in, pm_map *out) { return pm_symmetric_difference(&in[0], &in[1], out, NULL); }

TEST(algebra_without_memory) {
    static const attempt attempts[] = {join_many, meet_many, combine,    two_at_least, join,
                                       meet,      subtract,  restricted, differ};
    static const shape shapes[] = {{2, 3, 8, 40},    {2, 6, 16, 60},     {26, 5, 12, 60}, {60, 2, 3, 150},
                                   {256, 1, 2, 100}, {4, 300, 700, 20},  {2, 20, 40, 40}, {200, 2, 2, 200},
                                   SHAPE_OF_PARTS,   SHAPE_OF_LONG_PARTS};
    for (unsigned i = 0; i < 40; i++) {
        both all[MANY];
        pm_map in[MANY];
        make_operands(all, MANY, table(i / 3), &shapes[i % 10]);
        for (unsigned k = 0; k < MANY; k++) in[k] = all[k].map;
        for (unsigned k = 0; k < sizeof attempts / sizeof *attempts; k++) try_without_memory(attempts[k], in);
        for (unsigned k = 0; k < MANY; k++) {
            CHECK(same_content(&all[k].map, all[k].m));
            both_drop(&all[k]);
        }
    }
    CHECK_EQ(check_live_blocks(), 0);
}

enum { LEVELS = 5 };

/* Levels of `wide` branches each, all but one of which end soon. */
static pm_map deep_and_wide(unsigned levels, unsigned wide, uint8_t end) {
    pm_map m = pm_new(pm_ops_left(), NULL);
    uint8_t at[LEVELS + 2];
    memset(at, 7, sizeof at);
    for (unsigned level = 0; level < levels; level++, at[level - 1] = 7)
        for (unsigned i = 0; i < wide; i++) {
            at[level] = (uint8_t)i;
            CHECK_OK(pm_set(&m, at, level + 2, level, NULL));
        }
    at[levels] = end;
    CHECK_OK(pm_set(&m, at, levels + 1, end, NULL));
    return m;
}

/* What is kept of all levels meanwhile comes to about the block that it lies in: for some widths there is room for what
   lies below, but not for the children of the lowest level. */
TEST(algebra_of_deep_and_wide_maps_without_memory) {
    for (unsigned i = 0; i < 2 * 20; i++) {
        const unsigned levels = LEVELS - i % 2, wide = (levels == LEVELS ? 185 : 235) + i / 2;
        pm_map in[2] = {deep_and_wide(levels, wide, 100), deep_and_wide(levels, wide, 101)};
        try_without_memory(join, in);
        for (unsigned k = 0; k < 2; k++) pm_drop(&in[k]);
    }
    CHECK_EQ(check_live_blocks(), 0);
}

/* ---- ranges, hashes, steps ---- */

static const char *from_key, *to_key;

static pm_status subrange(const pm_map *in, pm_map *out) {
    const pm_key from = {from_key, 2}, to = {to_key, 2};
    return pm_subrange(in, &from, &to, out);
}

static pm_status remove_range(const pm_map *in, pm_map *out) {
    const pm_key from = {from_key, 2}, to = {to_key, 2};
    *out = pm_clone(in);
    return given(pm_remove_range(out, &from, &to), out);
}

static pm_status merkleize(const pm_map *in, pm_map *out) {
    *out = pm_clone(in);
    return given(pm_merkleize(out, NULL), out);
}

/* All paths of three bytes, side by side. */
static pm_status steps(const pm_map *in, pm_map *out) {
    pm_rz z;
    *out = pm_new(pm_ops_unit(), NULL);
    pm_status s = pm_rz_open(in, NULL, 0, &z);
    if (s != PM_OK) return s;
    for (bool on = pm_rz_descend_first_k_path(&z, 3); on && s == PM_OK; on = pm_rz_to_next_k_path(&z, 3)) {
        size_t len;
        const uint8_t *path = pm_rz_path(&z, &len);
        s = pm_set(out, path, len, 0, NULL);
    }
    if (s == PM_OK) s = pm_rz_status(&z);
    pm_rz_drop(&z);
    return given(s, out);
}

/* Two levels of `fan` branches each, the second of which has the same below each branch. */
static pm_map two_levels(unsigned fan) {
    pm_map m = pm_new(pm_ops_sum(), NULL);
    for (unsigned i = 0; i < fan * fan; i++) {
        const uint8_t at[4] = {(uint8_t)(i / fan), (uint8_t)(i % fan), 'x', (uint8_t)(i % 3)};
        CHECK_OK(pm_set(&m, at, i % 7 ? 2 : 4, i % fan, NULL));
    }
    return m;
}

TEST(ranges_hashes_and_steps_without_memory) {
    static const attempt attempts[] = {subrange, remove_range, merkleize, steps};
    static const unsigned fans[] = {4, 12, 35, 60};
    static const char *const bounds[][2] = {{"\1\2", "\1\3"}, {"\1\2", "\3\1"}, {"\0\1", "\3\0"}};
    for (unsigned i = 0; i < 4 * 3; i++) {
        const pm_map m = two_levels(fans[i % 4]);
        from_key = bounds[i / 4][0], to_key = bounds[i / 4][1];
        for (unsigned k = 0; k < 4; k++) try_without_memory(attempts[k], &m);
        pm_map end = m;
        pm_drop(&end);
    }
    CHECK_EQ(check_live_blocks(), 0);
}

/* A step beside wants room for one byte more than the path has: at some lengths it has to be got. */
TEST(steps_of_long_paths_without_memory) {
    uint8_t at[300];
    unsigned failed = 0;
    memset(at, 'p', sizeof at);
    for (size_t len = 1; len <= sizeof at; len++) {
        pm_map m = pm_new(NULL, NULL);
        pm_rz z;
        CHECK_OK(pm_set(&m, at, len, 1, NULL));
        CHECK_OK(pm_rz_open(&m, NULL, 0, &z));
        CHECK(pm_rz_move_to(&z, at, len));
        check_fail_alloc(1);
        CHECK(!pm_rz_to_next_k_path(&z, 1));
        const bool fails = check_alloc_fails() > 0;
        check_fail_alloc(0);
        failed += fails;
        CHECK_EQ(pm_rz_status(&z), fails ? PM_NOMEM : PM_OK);
        size_t left;
        (void)pm_rz_path(&z, &left);
        CHECK_EQ(left, len - 1);
        pm_rz_drop(&z);
        pm_drop(&m);
    }
    CHECK(failed > 0);
    CHECK_EQ(check_live_blocks(), 0);
}

/* ---- maps in maps ---- */

/* Keys as the bits say. */
static pm_status nested_of(unsigned bits, pm_map *out) {
    *out = pm_new(pm_ops_bits(), NULL);
    pm_status s = PM_OK;
    for (unsigned i = 0; s == PM_OK && i < 6; i++)
        if (bits >> i & 1) s = pm_set(out, &"abcdef"[i], 1, 1u + i, NULL);
    return given(s, out);
}

static pm_status set_nested(const pm_map *in, pm_map *out) {
    pm_map inner;
    pm_status s = nested_of(7, &inner);
    if (s != PM_OK) return s;
    *out = pm_clone(in);
    s = pm_nested_set(out, "new", 3, &inner);
    if (s != PM_OK) pm_drop(&inner); /* it has kept what it had */
    else CHECK(pm_is_empty(&inner));
    return given(s, out);
}

static pm_status change_nested(const pm_map *in, pm_map *out) {
    pm_map *inner = NULL;
    *out = pm_clone(in);
    pm_status s = pm_nested_mut(out, "k1", 2, &inner);
    if (s == PM_OK) s = pm_set(inner, "more", 4, 1, NULL);
    return given(s, out);
}

/* The keys that a view shows. */
static pm_status shown(pm_status s, pm_rz *view, pm_map *out) {
    *out = pm_new(pm_ops_unit(), NULL);
    if (s != PM_OK) return s;
    while (s == PM_OK && pm_rz_to_next_val(view)) {
        size_t len;
        const uint8_t *path = pm_rz_path(view, &len);
        s = pm_set(out, path, len, 0, NULL);
    }
    if (s == PM_OK) s = pm_rz_status(view);
    pm_rz_drop(view);
    return given(s, out);
}

static pm_status meet_shown(const pm_map *in, pm_map *out) {
    pm_rz left, right, view;
    pm_status s = pm_rz_open(&in[0], NULL, 0, &left);
    if (s != PM_OK) return s;
    s = pm_rz_open(&in[1], NULL, 0, &right);
    if (s == PM_OK) {
        s = pm_view_meet(&left, &right, &view);
        s = shown(s, &view, out);
        pm_rz_drop(&right);
    }
    pm_rz_drop(&left);
    return s;
}

TEST(maps_in_maps_without_memory) {
    pm_map in[2] = {pm_new(pm_ops_map(), NULL), pm_new(pm_ops_map(), NULL)}, inner;
    for (unsigned i = 0; i < 12; i++) {
        const char at[2] = {'k', (char)('0' + i)};
        CHECK_OK(nested_of(1 + 5 * i, &inner));
        CHECK_OK(pm_nested_set(&in[i % 3 == 0], at, 2, &inner));
        CHECK_OK(nested_of(2 + 3 * i, &inner));
        CHECK_OK(pm_nested_set(&in[i % 3 != 0], at, 2, &inner));
    }
    try_without_memory(set_nested, in);
    try_without_memory(change_nested, in);
    try_without_memory(meet_shown, in);
    for (unsigned k = 0; k < 2; k++) pm_drop(&in[k]);
    CHECK_EQ(check_live_blocks(), 0);
}
