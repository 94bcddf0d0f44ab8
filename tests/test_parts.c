/* Lines that are full: how they are divided, as parts of range nodes and else; and that a division which fails for
   want of memory leaves all as it was. Each node is an allocation of its own here. */
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
#include "shapes.h"

enum { KEYS = 1000 };
static key keys[KEYS];

static void add_random(key *k, size_t n) {
    while (n--) k->data[k->len++] = (uint8_t)check_rand();
}

static void add_text(key *k, const char *text) {
    memcpy(k->data + k->len, text, strlen(text));
    k->len += strlen(text);
}

/* Keys of 8 random bytes; of 1 to 9; or below a common beginning, a quarter of them in crowds. */
static void make_keys(unsigned kind) {
    for (unsigned i = 0; i < KEYS; i++) {
        key *k = &keys[i];
        k->len = 0;
        if (kind == 2) add_text(k, "under/");
        add_random(k, 1);
        if (kind == 2 && check_below(4) == 0) {
            k->data[k->len - 1] = (uint8_t)(64 * check_below(4));
            add_text(k, "crowd");
        }
        add_random(k, kind == 1 ? check_below(9) : 7);
    }
}

static pm_stats stats_of(const pm_map *m) {
    pm_stats st;
    CHECK_OK(pm_get_stats(m, &st));
    return st;
}

/* Sets a key while one allocation fails after the other, until none does: a set that fails changes nothing. */
static void set_by_force(both *b, const key *k, pm_val v) {
    pm_status s = PM_NOMEM;
    for (uint64_t n = 1; s == PM_NOMEM; n++) {
        check_fail_alloc(n);
        s = pm_set(&b->map, k->data, k->len, v, NULL);
        const bool failed = check_alloc_fails() > 0;
        check_fail_alloc(0);
        CHECK(s == PM_OK || (s == PM_NOMEM && failed));
        if (s == PM_OK) break;
        check_sound(&b->map);
        CHECK(same_content(&b->map, b->m));
    }
    model_set(b->m, k->data, k->len, v, NULL);
}

/* Removes one while the n-th allocation fails, which is no failure where nothing needs it. */
static void remove_by_force(both *b, const key *k, uint64_t n) {
    check_fail_alloc(n);
    pm_status s = pm_remove(&b->map, k->data, k->len, PM_PRUNE, NULL);
    check_fail_alloc(0);
    CHECK(s == PM_OK || s == PM_NOMEM);
    if (s == PM_NOMEM) {
        check_sound(&b->map);
        CHECK(same_content(&b->map, b->m));
        CHECK_OK(pm_remove(&b->map, k->data, k->len, PM_PRUNE, NULL));
    }
    (void)model_remove(b->m, k->data, k->len, true, NULL);
}

static void grow_and_shrink(const pm_ops *ops, unsigned kind) {
    both b = both_new(ops), was = both_new(ops);
    bool ranges = false;
    make_keys(kind);
    for (unsigned i = 0; i < 2 * KEYS; i++) {
        const key *k = &keys[i % KEYS];
        if (i < KEYS) set_by_force(&b, k, ops == pm_ops_unit() ? 0 : i);
        else remove_by_force(&b, k, i % 5);
        if (kind == 0 && i + 1 == KEYS) CHECK_EQ(stats_of(&b.map).range_nodes, 0); /* it has had too many parts */
        if (i % 40 == 0) { /* the next change finds all shared */
            CHECK(same_content(&was.map, was.m));
            both_drop(&was);
            was = i % 80 ? both_clone(&b) : both_new(ops);
        }
        if (i % 25) continue;
        check_sound(&b.map);
        CHECK(same_content(&b.map, b.m));
        ranges = ranges || stats_of(&b.map).range_nodes;
    }
    CHECK(ranges);
    CHECK(pm_is_empty(&b.map));
    both_drop(&b);
    both_drop(&was);
}

TEST(parts_stay_as_they_are_without_memory) {
    for (unsigned kind = 0; kind < 3; kind++) {
        grow_and_shrink(NULL, kind);
        grow_and_shrink(pm_ops_unit(), kind);
    }
    CHECK_EQ(check_live_blocks(), 0);
}

/* ---- how full parts are ---- */

static int by_bytes(const void *a, const void *b) { return memcmp(((const key *)a)->data, ((const key *)b)->data, 8); }

static pm_map of_keys(unsigned n) {
    pm_map m = pm_new(NULL, NULL);
    for (unsigned i = 0; i < n; i++) CHECK_OK(pm_set(&m, keys[i].data, keys[i].len, i, NULL));
    check_sound(&m);
    return m;
}

/* The fewest entries of a part of the root but for the last one, behind which a key may have been taken for one in
   order. */
static unsigned least_part(const pm_map *m) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(m->root);
    unsigned least = PM__LINE_ENTRIES;
    CHECK_EQ(pm__ref_kind(m->root), PM__RANGE);
    for (unsigned i = 0; i + 1u < x->n; i++) {
        const pm__ref part = *pm__line_part_at(x, i);
        CHECK_EQ(pm__ref_kind(part), PM__LINE);
        const unsigned n = ((const pm__line *)pm__ref_ptr(part))->n;
        if (n < least) least = n;
    }
    return least;
}

TEST(parts_are_divided_in_the_middle) {
    for (unsigned round = 0; round < 10; round++) {
        make_keys(0);
        pm_map m = of_keys(300);
        const unsigned least = least_part(&m);
        CHECK_NOTE(least >= PM__LINE_ENTRIES / 4, "%u entries", least);
        pm_drop(&m);
    }
}

/* Keys that come in order leave full parts behind: they take less memory than the same keys in another order. */
TEST(parts_are_divided_behind_keys_in_order) {
    uint64_t any = 0, in_order = 0;
    for (unsigned round = 0; round < 10; round++) {
        make_keys(0);
        for (unsigned i = 0; i < 400; i++) /* of which the first hundred make a range node */
            keys[i].data[0] = (uint8_t)(i < 100 ? keys[i].data[0] & 127 : keys[i].data[0] | 128);
        pm_map random = of_keys(400), met;
        qsort(keys + 100, 300, sizeof *keys, by_bytes);
        pm_map sorted = of_keys(400);
        any += stats_of(&random).bytes, in_order += stats_of(&sorted).bytes;
        bool same = false;
        CHECK_OK(pm_meet(&random, &sorted, &met, NULL)); /* parts begin at other bytes, values differ */
        CHECK_OK(pm_equal(&random, &met, &same));
        CHECK(same);
        pm_drop(&met);
        pm_drop(&random);
        pm_drop(&sorted);
    }
    CHECK_NOTE(in_order < any, "%d bytes in order, %d in another", (int)in_order, (int)any);
}

/* ---- full lines ---- */

static key filled[PM__LINE_ENTRIES];
static pm_key list[PM__LINE_ENTRIES];

static bool list_key(void *ctx, const uint8_t *k, size_t len, const uint64_t *val, unsigned children) {
    size_t *n = ctx;
    (void)children;
    if (!val) return true;
    memcpy(filled[*n].data, k, len);
    list[*n] = (pm_key){filled[*n].data, len};
    ++*n;
    return true;
}

/* 32 keys that fill a line, in groups by their first byte behind `prefix`: 4 at b, 20 at d of which each begins with
   dxx, 8 at f. `end`: in place of one at f the value dxx. */
static both full_line(const pm_ops *ops, const char *prefix, bool end) {
    both b = both_new(ops);
    size_t n = 0;
    static const char group[] = "bdf";
    static const unsigned size[] = {4, 20, 8};
    for (unsigned g = 0; g < 3; g++)
        for (unsigned i = 0; i < size[g]; i++) {
            key k = {0, {0}};
            add_text(&k, prefix);
            k.data[k.len++] = (uint8_t)group[g];
            add_text(&k, "xx");
            if (!(g == 2 && i == 0 && end)) k.data[k.len++] = (uint8_t)('a' + i), k.data[k.len++] = (uint8_t)('z' - i);
            else k.data[k.len - 3] = 'd';
            model_set(b.m, k.data, k.len, 0, NULL);
        }
    model_each(b.m, list_key, &n);
    CHECK_OK(pm_build(ops, NULL, list, NULL, n, &b.map)); /* what they have in common is the line's prefix */
    CHECK(same_content(&b.map, b.m));
    const pm_stats st = stats_of(&b.map);
    CHECK_EQ(st.nodes, 1);
    CHECK_EQ(st.line_entries, PM__LINE_ENTRIES);
    return b;
}

static void divide(const pm_ops *ops, const char *prefix, bool end, const char *added) {
    both b = full_line(ops, prefix, end);
    key k = {0, {0}};
    add_text(&k, prefix);
    add_text(&k, added);
    const bool under = strncmp(added, "dxx", 3) == 0 && added[3];
    set_by_force(&b, &k, ops == pm_ops_unit() ? 0 : 7);
    check_sound(&b.map);
    CHECK(same_content(&b.map, b.m));
    const pm_stats st = stats_of(&b.map);
    const pm__line *x = (const pm__line *)pm__ref_ptr(b.map.root);
    CHECK_EQ(st.nodes, 2);
    CHECK_NOTE(x->n == 13u + !under, "%s%s: %u entries", prefix, added, (unsigned)x->n);
    CHECK_EQ(st.line_entries, x->n + 20u + under);
    both_drop(&b);
}

/* One line becomes two: the group that takes most goes below, and so does the new key, if it belongs there. */
TEST(full_lines_are_divided_by_their_largest_group) {
    static const char *const added[] = {"a", "ax", "b", "bxxa", "bxxz", "c", "d", "dx", "dxaa", "dxw", "dxxa", "dxxaz1",
                                        "dxxjj", "dxxtz", "dxxzz", "dxy", "dxyz", "dy", "e", "f", "fxxa", "fz", "g"};
    static const char *const prefix[] = {"", "p", "long way"};
    for (unsigned p = 0; p < 3; p++)
        for (unsigned end = 0; end < 2; end++)
            for (unsigned i = 0; i < sizeof added / sizeof *added; i++) {
                divide(NULL, prefix[p], end, added[i]);
                divide(pm_ops_unit(), prefix[p], end, added[i]);
            }
    CHECK_EQ(check_live_blocks(), 0);
}

/* The same with what is at the end of the prefix, and with the value that all of the group begin with. */
TEST(full_lines_are_divided_beside_the_values_above) {
    for (unsigned i = 0; i < 2; i++) {
        const pm_ops *ops = i ? pm_ops_unit() : NULL;
        divide(ops, "p", false, "");
        divide(ops, "p", false, "dxx");
        divide(ops, "", false, "dxx");
    }
}

/* ---- what is said to be done ---- */

/* A range is gone when the call says so, and there when it says that there was no memory. */
TEST(ranges_are_gone_when_the_call_says_so) {
    for (unsigned i = 0; i < 30; i++) {
        both b = both_new(NULL);
        make_keys(i % 3);
        for (unsigned n = 0; n < 200; n++) {
            CHECK_OK(pm_set(&b.map, keys[n].data, keys[n].len, n, NULL));
            model_set(b.m, keys[n].data, keys[n].len, n, NULL);
        }
        pm_key from = {keys[0].data, keys[0].len}, to = {keys[1].data, keys[1].len};
        const model_key end = {keys[1].data, keys[1].len};
        model_range range = {{keys[0].data, keys[0].len}, &end};
        pm_status s = PM_NOMEM;
        for (uint64_t n = 1; s == PM_NOMEM; n++) {
            pm_map was = pm_clone(&b.map);
            check_fail_alloc(n);
            s = pm_remove_range(&b.map, &from, &to);
            check_fail_alloc(0);
            if (s == PM_OK) model_remove_range(b.m, range, true);
            check_sound(&b.map);
            CHECK(same_content(&b.map, b.m));
            pm_drop(&was);
        }
        CHECK_OK(s);
        both_drop(&b);
    }
}

/* Below a wide node, too, what removals leave small goes back into one node. */
TEST(removals_gather_below_wide_nodes) {
    pm_map m = pm_new(NULL, NULL);
    uint8_t k[6] = "?abcd";
    for (unsigned i = 0; i < 256; i++) { /* the root is wide */
        k[0] = (uint8_t)i;
        CHECK_OK(pm_set(&m, k, 2, i, NULL));
    }
    k[0] = 'w';
    for (unsigned i = 0; i < 120; i++) {
        k[2] = (uint8_t)(i / 12), k[3] = (uint8_t)(i % 12);
        CHECK_OK(pm_set(&m, k, 5, i, NULL));
    }
    CHECK(stats_of(&m).wide_nodes == 1 && stats_of(&m).max_depth > 2);
    for (unsigned i = 1; i < 10; i++) {
        k[2] = (uint8_t)i;
        CHECK_OK(pm_remove_branches(&m, k, 3, PM_PRUNE, NULL));
        CHECK_OK(pm_prune_path(&m, k, 3, NULL));
    }
    check_sound(&m);
    CHECK_EQ(stats_of(&m).values, 256 + 12);
    CHECK_EQ(stats_of(&m).max_depth, 2);
    pm_drop(&m);
}

/* What meets and differences of lines make is no larger than what is built of the same keys. */
TEST(lines_that_algebra_makes_are_no_larger_than_others) {
    for (unsigned i = 0; i < 300; i++) {
        const pm_ops *ops = i % 2 ? pm_ops_unit() : table(i);
        both a = both_new(ops), b = both_new(ops);
        for (unsigned n = 0; n < 20 + i % 40; n++) {
            key k = {0, {0}};
            for (unsigned len = 1 + (unsigned)check_below(4); len; len--)
                k.data[k.len++] = (uint8_t)check_below(2 + i % 7);
            if (check_below(3)) CHECK_OK(pm_set(&a.map, k.data, k.len, some_value(ops), NULL));
            if (check_below(3)) CHECK_OK(pm_set(&b.map, k.data, k.len, some_value(ops), NULL));
        }
        for (unsigned op = 0; op < 2; op++) {
            pm_map made, again = pm_new(ops, NULL);
            CHECK_OK((op ? pm_subtract : pm_meet)(&a.map, &b.map, &made, NULL));
            for (pm_iter it = pm_iter_vals(&made); pm_iter_next(&it);)
                CHECK_OK(pm_set(&again, it.key, it.len, *it.val, NULL));
            if (stats_of(&made).shared_nodes == 0)
                CHECK_NOTE(stats_of(&made).bytes <= stats_of(&again).bytes + 64, "%d bytes, not %d",
                           (int)stats_of(&made).bytes, (int)stats_of(&again).bytes);
            pm_drop(&made);
            pm_drop(&again);
        }
        both_drop(&a);
        both_drop(&b);
    }
}

/* ---- parts that are byte nodes ---- */

static bool has_part_without_line(const pm_map *m) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(m->root);
    for (unsigned i = 0; pm__ref_kind(m->root) == PM__RANGE && i < x->n; i++)
        if (pm__ref_kind(*pm__line_part_at(x, i)) != PM__LINE) return true;
    return false;
}

typedef pm_status (*operation)(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);

/* Runs it while one allocation fails after the other, until none does. */
static void run_by_force(operation op, const both *a, const both *b) {
    pm_map want, got;
    CHECK_OK(op(&a->map, &b->map, &want, NULL));
    pm_status s = PM_NOMEM;
    for (uint64_t n = 1; s == PM_NOMEM; n++) {
        const uint64_t before = check_live_blocks();
        check_fail_alloc(n);
        s = op(&a->map, &b->map, &got, NULL);
        check_fail_alloc(0);
        CHECK(s == PM_OK || (s == PM_NOMEM && check_live_blocks() == before));
    }
    bool equal = false;
    CHECK_OK(pm_equal(&want, &got, &equal));
    CHECK(equal);
    check_sound(&got);
    pm_drop(&want);
    pm_drop(&got);
}

TEST(parts_without_a_line_go_through_algebra_without_memory) {
    static const shape long_parts = SHAPE_OF_LONG_PARTS;
    static const operation operations[] = {pm_join, pm_meet, pm_subtract, pm_symmetric_difference, pm_restrict};
    unsigned found = 0;
    for (unsigned i = 0; i < 12; i++) {
        both two[2] = {both_new(table(i)), both_new(table(i))};
        for (unsigned n = 0; n < 2; n++) both_edit(&two[n], &long_parts, long_parts.keys);
        found += has_part_without_line(&two[0].map) && has_part_without_line(&two[1].map);
        for (unsigned op = 0; op < sizeof operations / sizeof *operations; op++)
            run_by_force(operations[op], &two[0], &two[1]);
        for (unsigned n = 0; n < 2; n++) {
            CHECK(same_content(&two[n].map, two[n].m));
            both_drop(&two[n]);
        }
    }
    CHECK_NOTE(found >= 6, "%u of 12", found);
    CHECK_EQ(check_live_blocks(), 0);
}
