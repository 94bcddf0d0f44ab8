/* Join and meet of many maps against the naive trie: operands that are alike, unlike, long, shared with each other and
   within themselves; values that must combine in order; balanced references; memory running out at every allocation. */
#include "check.h"
#include "model.h"

#include "library.h"

#include "both.h"
#include "counted.h"
#include "doubled.h"
#include "operands.h"

/* ---- random operands ---- */

/* Few long lines, lines of many entries, byte nodes; suffixes that are alike in their first bytes. */
static const shape shapes[] = {{2, 3, 8, 12},    {2, 6, 16, 40},     {3, 4, 10, 120},    {26, 5, 12, 60},
                               {256, 2, 3, 200}, {4, 300, 700, 6},   {2, 200, 300, 20},  {26, 40, 120, 30},
                               {1, 9, 30, 15},   {5, 120, 90, 40},   {3, 12, 20, 90},    {30, 14, 9, 25},
                               SHAPE_OF_PARTS,   SHAPE_OF_FEW_PARTS, SHAPE_OF_LONG_PARTS};
enum { SHAPES = sizeof shapes / sizeof *shapes, MANY = 20 };

/* ---- against the model ---- */

static void check_many(bool join, const both *all, size_t n) {
    const pm_ops *ops = pm_map_ops(&all[0].map);
    const pm_map *maps[MANY];
    pm_map out;
    size_t which = n + 1, want = 0;
    model *m = model_copy(all[0].m);
    for (size_t i = 0; i < n; i++) maps[i] = &all[i].map;
    for (size_t i = 1; i < n; i++) {
        model *next = model_combine(join ? MODEL_JOIN : MODEL_MEET, algebra_of(ops), m, all[i].m);
        model_free(m);
        m = next;
    }
    CHECK_OK((join ? pm_join_many : pm_meet_many)(maps, n, &out, &which));
    check_sound(&out);
    CHECK_NOTE(same_content(&out, m), "%s of %zu under %s", join ? "join" : "meet", n, ops->name);
    while (want < n && !model_equal(m, all[want].m)) want++;
    CHECK_EQ(which, want);
    model_free(m);
    pm_drop(&out);
    for (size_t i = 0; i < n; i++) CHECK(same_content(&all[i].map, all[i].m));
}

TEST(many_maps_of_one_shape_follow_the_model) {
    for (unsigned i = 0; i < SHAPES * 25; i++) {
        both all[MANY];
        size_t n = 3 + check_below(MANY - 2);
        make_operands(all, n, table(i), &shapes[i % SHAPES]);
        check_many(true, all, n);
        check_many(false, all, n);
        for (size_t j = 0; j < n; j++) both_drop(&all[j]);
    }
    CHECK_EQ(live_nodes(), 0);
}

/* Lines beside byte nodes, long prefixes beside short ones. */
TEST(many_maps_of_several_shapes_follow_the_model) {
    for (unsigned i = 0; i < SHAPES * 12; i++) {
        both all[MANY];
        size_t n = 3 + check_below(6), a = check_below(n - 1) + 1;
        make_operands(all, a, table(i / 3), &shapes[i % SHAPES]);
        make_operands(all + a, n - a, table(i / 3), &shapes[(i * 5 + i / SHAPES) % SHAPES]);
        for (size_t j = 0; j < n; j++) { /* in any order */
            size_t k = check_below(n);
            both t = all[j];
            all[j] = all[k], all[k] = t;
        }
        check_many(true, all, n);
        check_many(false, all, n);
        for (size_t j = 0; j < n; j++) both_drop(&all[j]);
    }
    CHECK_EQ(live_nodes(), 0);
}

/* Most of what there is lies in all of them. */
TEST(many_maps_that_are_nearly_equal_follow_the_model) {
    for (unsigned i = 0; i < SHAPES * 8; i++) {
        const shape *s = &shapes[i % SHAPES];
        both all[MANY];
        size_t n = 3 + check_below(MANY - 2);
        key k = {0, {0}};
        for (size_t j = 0; j < n; j++) all[j] = both_new(table(i));
        for (unsigned e = 0; e < s->keys; e++) {
            next_key(s, &k);
            const pm_val v = some_value(table(i));
            for (size_t j = 0; j < n; j++) {
                if (check_below(40) == 0) continue;
                CHECK_OK(pm_set(&all[j].map, k.data, k.len, v, NULL));
                model_set(all[j].m, k.data, k.len, v, NULL);
            }
        }
        check_many(true, all, n);
        check_many(false, all, n);
        for (size_t j = 0; j < n; j++) both_drop(&all[j]);
    }
    CHECK_EQ(live_nodes(), 0);
}

/* More lines than are listed at once. */
TEST(many_hundreds_of_lines_are_combined_as_well) {
    enum { N = 1100 };
    static pm_map m[N];
    static const pm_map *maps[N];
    for (unsigned join = 0; join < 2; join++) {
        pm_map out;
        uint64_t count, want = join ? 3 * 50 + 2 : 3;
        for (unsigned k = 0; k < N; k++) {
            const uint8_t own[] = {'a', 'b', (uint8_t)(k % 50), 'x'};
            m[k] = pm_new(pm_ops_sum(), NULL), maps[k] = &m[k];
            for (size_t len = 1; len <= 4; len++) CHECK_OK(pm_set(&m[k], own, len, 1, NULL));
            CHECK_OK(pm_set(&m[k], join ? own : (const uint8_t *)"abz", 3, 2, NULL));
            CHECK_OK(pm_set(&m[k], (const uint8_t[]){'a', 'b', (uint8_t)(k % 50), 'y'}, 4, 3, NULL));
        }
        CHECK_OK((join ? pm_join_many : pm_meet_many)(maps, N, &out, NULL));
        check_sound(&out);
        CHECK_OK(pm_val_count(&out, &count));
        CHECK_EQ(count, want);
        CHECK_EQ(*pm_get(&out, "ab", 2), join ? N : 1);
        if (join) CHECK_EQ(*pm_get(&out, "ab\1y", 4), N / 50 * 3);
        else CHECK_EQ(*pm_get(&out, "abz", 3), 2);
        pm_drop(&out);
        for (unsigned k = 0; k < N; k++) pm_drop(&m[k]);
    }
    CHECK_EQ(live_nodes(), 0);
}

/* ---- what is shared ---- */

TEST(many_maps_of_2_to_the_60_values_take_no_time) {
    enum { N = 5, LEVELS = 60 };
    for (unsigned i = 0; i < 4; i++) {
        const pm_ops *ops = i % 2 ? pm_ops_sum() : pm_ops_lattice();
        pm_map m[N], out;
        const pm_map *maps[N];
        for (unsigned k = 0; k < N; k++) {
            m[k] = doubled(single(ops, "end", k + 1), LEVELS, "left", "right");
            maps[k] = &m[k];
        }
        uint64_t before = live_nodes(), count;
        CHECK_OK((i < 2 ? pm_join_many : pm_meet_many)(maps, N, &out, NULL));
        CHECK_NOTE(live_nodes() - before < 4 * LEVELS, "%u nodes made", (unsigned)(live_nodes() - before));
        CHECK_OK(pm_val_count(&out, &count));
        CHECK_EQ(count, (uint64_t)1 << LEVELS);
        pm_drop(&out);
        for (unsigned k = 0; k < N; k++) pm_drop(&m[k]);
    }
    CHECK_EQ(live_nodes(), 0);
}

/* Of lines that are equal, or parts of one of them, none is made anew. */
TEST(many_lines_that_come_to_one_of_them_share_it) {
    enum { N = 5, KEYS = 30 };
    for (unsigned join = 0; join < 2; join++) {
        pm_map m[N], out;
        const pm_map *maps[N];
        for (unsigned k = 0; k < N; k++) {
            m[k] = pm_new(pm_ops_lattice(), NULL), maps[k] = &m[k];
            for (unsigned i = 0; i < KEYS; i++) {
                const uint8_t s[2] = {(uint8_t)(i * 7), (uint8_t)i};
                if ((k == 2) == (join == 1) || i % 3 == 0) CHECK_OK(pm_set(&m[k], s, 2, i, NULL));
            }
        }
        uint64_t before = live_nodes();
        size_t which = 0;
        CHECK_OK((join ? pm_join_many : pm_meet_many)(maps, N, &out, &which));
        CHECK_EQ(live_nodes(), before);
        CHECK_EQ(which, 2);
        pm_drop(&out);
        for (unsigned k = 0; k < N; k++) pm_drop(&m[k]);
    }
}

/* ---- the order of operands ---- */

/* Functions x -> p x + q on 32-bit words, one after the other: which comes first matters. */
static pm_alg affine_after(void *ctx, pm_val a, pm_val b, pm_val *out) {
    const uint32_t p = (uint32_t)(a >> 32), q = (uint32_t)a, r = (uint32_t)(b >> 32), s = (uint32_t)b;
    (void)ctx;
    *out = (uint64_t)(uint32_t)(p * r) << 32 | (uint32_t)(p * s + q);
    return PM_ALG_ELEMENT;
}

static const pm_ops *affine_ops(void) {
    static const pm_ops ops = {.name = "affine", .join = affine_after, .meet = affine_after};
    return &ops;
}

TEST(many_values_combine_in_the_order_of_their_maps) {
    for (unsigned i = 0; i < SHAPES * 12; i++) {
        const shape *s = &shapes[i % SHAPES];
        pm_map m[MANY], out;
        const pm_map *maps[MANY];
        size_t n = 3 + check_below(MANY - 2);
        key k = {0, {0}};
        const bool join = i / SHAPES % 2;
        for (size_t j = 0; j < n; j++) m[j] = pm_new(affine_ops(), NULL), maps[j] = &m[j];
        for (unsigned e = 0; e < s->keys; e++) {
            next_key(s, &k);
            const bool all = check_below(2);
            for (size_t j = 0; j < n; j++)
                if (all || check_below(2)) CHECK_OK(pm_set(&m[j], k.data, k.len, check_rand(), NULL));
        }
        CHECK_OK((join ? pm_join_many : pm_meet_many)(maps, n, &out, NULL));
        check_sound(&out);
        uint64_t found = 0, count;
        for (size_t j = 0; j < n; j++)
            for (pm_iter it = pm_iter_vals(&m[j]); pm_iter_next(&it);) {
                size_t has = 0, first = n;
                pm_val want = 0;
                for (size_t x = 0; x < n; x++) {
                    const pm_val *v = pm_get(&m[x], it.key, it.len);
                    if (!v) continue;
                    if (!has++) want = *v, first = x;
                    else (void)affine_after(NULL, want, *v, &want);
                }
                if (first != j || (!join && has < n)) continue;
                const pm_val *got = pm_get(&out, it.key, it.len);
                CHECK(got && *got == want);
                found++;
            }
        CHECK_OK(pm_val_count(&out, &count));
        CHECK_EQ(count, found);
        pm_drop(&out);
        for (size_t j = 0; j < n; j++) pm_drop(&m[j]);
    }
}

/* ---- failures ---- */

/* Counted values that combine to new ones. `wrong`: the n-th combination answers what it must not. */
static struct {
    uint64_t calls, wrong;
} hooks;

static pm_alg hook_join(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    if (hooks.wrong && ++hooks.calls == hooks.wrong) return (pm_alg)77;
    if (a == b) return PM_ALG_LEFT; /* leaves the other bit out */
    switch ((a + b) % 4) {
    case 0: return PM_ALG_LEFT;
    case 1: return PM_ALG_RIGHT;
    default: *out = counted_new(); return PM_ALG_ELEMENT;
    }
}

static pm_alg hook_meet(void *ctx, pm_val a, pm_val b, pm_val *out) {
    return (a + b) % 16 == 1 ? PM_ALG_NONE : hook_join(ctx, a, b, out);
}

static const pm_ops *hooked_ops(void) {
    static const pm_ops ops = {.name = "hooked",
                               .retain = counted__retain,
                               .release = counted__release,
                               .join = hook_join,
                               .meet = hook_meet};
    return &ops;
}

/* Memory that ends at the n-th allocation, or hooks that fail at the n-th call, for every n. */
static void starve(bool join, bool fails, const pm_map *const *maps, size_t n) {
    pm_map out = pm_new(NULL, NULL);
    int64_t held = counted_held();
    uint64_t nodes = live_nodes();
    pm_status s = PM_NOMEM;
    for (uint64_t k = 1; s != PM_OK; k += 1 + k / 32) {
        pm_pool_trim(NULL);
        if (fails) hooks.calls = 0, hooks.wrong = k;
        else check_fail_allocs_from(k);
        s = (join ? pm_join_many : pm_meet_many)(maps, n, &out, NULL);
        check_fail_alloc(0);
        hooks.wrong = 0;
        if (s == PM_OK) break;
        CHECK_EQ(s, fails ? PM_BADHOOK : PM_NOMEM);
        CHECK(pm_is_empty(&out));
        CHECK_EQ(counted_held(), held);
        CHECK_EQ(live_nodes(), nodes);
        if (check_failed()) break;
    }
    check_sound(&out);
    if (join) CHECK(!pm_is_empty(&out));
    pm_drop(&out);
    CHECK_EQ(counted_held(), held);
    CHECK_EQ(live_nodes(), nodes);
}

TEST(many_maps_lose_nothing_when_they_fail) {
    for (unsigned i = 0; i < SHAPES; i++) {
        const shape *s = &shapes[i];
        enum { N = 6 };
        pm_map m[N];
        const pm_map *maps[N];
        key k = {0, {0}};
        for (size_t j = 0; j < N; j++) m[j] = pm_new(hooked_ops(), NULL), maps[j] = &m[j];
        for (unsigned e = 0; e < s->keys; e++) {
            next_key(s, &k);
            const bool all = check_below(2);
            for (size_t j = 0; j < N; j++) {
                if (!all && check_below(2)) continue;
                if (check_below(9) == 0) CHECK_OK(pm_create_path(&m[j], k.data, k.len, NULL));
                else CHECK_OK(pm_set(&m[j], k.data, k.len, counted_new(), NULL));
            }
        }
        for (unsigned how = 0; how < 4; how++) starve(how & 1, how & 2, maps, N);
        for (size_t j = 0; j < N; j++) pm_drop(&m[j]);
        CHECK(counted_is_sound());
        CHECK_EQ(counted_held(), 0);
        CHECK_EQ(live_nodes(), 0);
    }
}

/* So many entries that their list is an allocation of its own. */
TEST(many_hundreds_of_lines_fail_whole) {
    enum { N = 400 };
    static pm_map m[N];
    static const pm_map *maps[N];
    for (unsigned k = 0; k < N; k++) {
        m[k] = pm_new(pm_ops_sum(), NULL), maps[k] = &m[k];
        for (unsigned i = 0; i < 6; i++)
            CHECK_OK(pm_set(&m[k], (const uint8_t[]){'a', (uint8_t)(i * 40), (uint8_t)k, 'x'}, 4, 1, NULL));
    }
    starve(true, false, maps, N);
    for (unsigned k = 0; k < N; k++) pm_drop(&m[k]);
    CHECK_EQ(live_nodes(), 0);
}
