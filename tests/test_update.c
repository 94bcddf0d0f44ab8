/* Changes that look at what is there, and writes below a writer's focus. */
#include "check.h"
#include "model.h"

#include "library.h"

#include "both.h"
#include "counted.h"
#include "shapes.h"

static pm_status add(void *ctx, pm_opt *val) {
    val->val = (val->some ? val->val : 100) + *(const pm_val *)ctx;
    val->some = val->val != 0;
    return PM_OK;
}

static pm_status refuse(void *ctx, pm_opt *val) {
    (void)ctx;
    *val = (pm_opt){5, true};
    return PM_IO;
}

TEST(update_changes_makes_and_removes) {
    pm_map m = {0};
    pm_val by = 7;
    CHECK_OK(pm_update(&m, "abc", 3, add, &by));
    CHECK_EQ(*pm_get(&m, "abc", 3), 107);
    pm_map c = pm_clone(&m);
    CHECK_OK(pm_update(&m, "abc", 3, add, &by));
    CHECK_EQ(*pm_get(&m, "abc", 3), 114);
    CHECK_EQ(*pm_get(&c, "abc", 3), 107); /* a clone is another map */
    CHECK_EQ(pm_update(&m, "abc", 3, refuse, NULL), PM_IO);
    CHECK_EQ(pm_update(&m, "x", 1, refuse, NULL), PM_IO);
    CHECK(*pm_get(&m, "abc", 3) == 114 && !pm_path_exists(&m, "x", 1));
    by = (pm_val)0 - 114;
    CHECK_OK(pm_update(&m, "abc", 3, add, &by));
    CHECK(pm_is_empty(&m) && !pm_is_empty(&c)); /* with the prefixes that led there */
    pm_drop(&c);
}

static pm_status other(void *ctx, pm_opt *val) {
    *(pm_opt *)ctx = *val;
    *val = (pm_opt){counted_new(), true};
    return PM_OK;
}

static pm_status same(void *ctx, pm_opt *val) {
    *(pm_opt *)ctx = *val;
    return PM_OK;
}

static pm_status none(void *ctx, pm_opt *val) {
    *(pm_opt *)ctx = *val;
    val->some = false;
    return PM_OK;
}

TEST(update_keeps_the_counts_of_values) {
    pm_map m = pm_new(counted_ops(), NULL), c = pm_new(NULL, NULL);
    pm_opt was;
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t r = check_rand();
        size_t len = r % 3;
        if (i % 100 == 0) pm_drop(&c), c = pm_clone(&m);
        CHECK_OK(pm_update(&m, &r, len, i % 4 == 3 ? none : i % 4 == 2 ? same : other, &was));
        const pm_val *v = pm_get(&m, &r, len);
        if (i % 4 == 3) CHECK(!v);
        if (i % 4 == 2) CHECK((v != NULL) == was.some && (!v || *v == was.val));
        if (i % 4 < 2) CHECK(v && (!was.some || *v != was.val));
    }
    pm_drop(&m);
    pm_drop(&c);
    CHECK(counted_held() == 0 && counted_is_sound());
}

TEST(update_of_unit_maps_sets_and_removes) {
    pm_map m = pm_new(pm_ops_unit(), NULL);
    pm_val by = 1;
    CHECK_OK(pm_update(&m, "a", 1, add, &by));
    CHECK(pm_contains(&m, "a", 1));
    by = 0;
    CHECK_OK(pm_update(&m, "a", 1, add, &by));
    CHECK(pm_is_empty(&m));
}

TEST(set_if_compares_by_content) {
    pm_map m = pm_new(pm_ops_bytes(), NULL);
    pm_val a, b, c;
    bool changed = true;
    const pm_opt absent = {0, false};
    CHECK_OK(pm_bytes_new("one", 3, &a));
    CHECK_OK(pm_bytes_new("one", 3, &b));
    CHECK_OK(pm_bytes_new("two", 3, &c));
    CHECK_OK(pm_set_if(&m, "k", 1, (pm_opt){b, true}, (pm_opt){a, true}, &changed));
    CHECK(!changed && pm_is_empty(&m));
    CHECK_OK(pm_set_if(&m, "k", 1, absent, (pm_opt){a, true}, &changed));
    CHECK(changed && *pm_get(&m, "k", 1) == a);
    CHECK_OK(pm_set_if(&m, "k", 1, absent, (pm_opt){c, true}, &changed));
    CHECK(!changed);
    CHECK_OK(pm_set_if(&m, "k", 1, (pm_opt){b, true}, (pm_opt){c, true}, &changed));
    CHECK(changed && *pm_get(&m, "k", 1) == c);
    CHECK_OK(pm_set_if(&m, "k", 1, (pm_opt){b, true}, absent, &changed));
    CHECK(!changed);
    CHECK_OK(pm_set_if(&m, "k", 1, (pm_opt){c, true}, absent, NULL));
    CHECK(pm_is_empty(&m));
    pm_bytes_release(b);
}

/* Writes from random places above a key, and looks from there. */
TEST(writes_below_a_focus_leave_it_where_it_is) {
    for (unsigned round = 0; round < 40; round++) {
        const shape s = {round % 5 ? 3 : 200, 5, 12, 60};
        both b = both_new(table(round));
        key k = {0, {0}};
        pm_wz w;
        CHECK_OK(pm_wz_open(&b.map, NULL, 0, &w));
        for (unsigned i = 0; i < 200; i++) {
            pm_opt old = {0, false};
            next_key(&s, &k);
            size_t up = check_below(k.len + 1), len;
            pm_rz_reset(pm_wz_cursor(&w));
            pm_rz_descend_to(pm_wz_cursor(&w), k.data, up);
            pm_val v = some_value(pm_map_ops(&b.map));
            uint64_t was = 0;
            bool had, sets = check_below(3) > 0, prune = check_below(2) > 0;
            if (sets) {
                had = model_set(b.m, k.data, k.len, v, &was);
                CHECK_OK(pm_wz_set_at(&w, k.data + up, k.len - up, v, &old));
            } else {
                had = model_remove(b.m, k.data, k.len, prune, &was);
                CHECK_OK(pm_wz_remove_at(&w, k.data + up, k.len - up, prune ? PM_PRUNE : PM_KEEP, &old));
            }
            CHECK(old.some == had && (!had || old.val == was));
            const uint8_t *path = pm_rz_path(pm_wz_cursor(&w), &len);
            CHECK_MEM_EQ(path, len, k.data, up);
            CHECK_EQ(pm_rz_exists(pm_wz_cursor(&w)), model_exists(b.m, k.data, up));
            const pm_val *at = pm_rz_val_at(pm_wz_cursor(&w), k.data + up, k.len - up);
            CHECK_EQ(at != NULL, model_get(b.m, k.data, k.len, NULL));
        }
        CHECK_OK(pm_wz_drop(&w));
        CHECK(same_content(&b.map, b.m));
        check_sound(&b.map);
        both_drop(&b);
    }
}

TEST(removals_below_a_focus_spare_what_is_above_its_root) {
    pm_map m = {0};
    pm_wz w;
    CHECK_OK(pm_set(&m, "abcdef", 6, 1, NULL));
    CHECK_OK(pm_wz_open(&m, "ab", 2, &w));
    CHECK_EQ(pm_wz_set_at(&w, NULL, 1, 1, NULL), PM_INVALID);
    CHECK_OK(pm_wz_remove_at(&w, "cdef", 4, PM_PRUNE, NULL));
    CHECK_EQ(pm_wz_drop(&w), PM_INVALID); /* the first failure is remembered */
    CHECK(pm_path_exists(&m, "ab", 2) && !pm_path_exists(&m, "abc", 3));
    pm_drop(&m);
}

/* ---- many at once ---- */

enum { EDITS = 400 };

/* What a batch means: the last edit of a key counts. */
static void model_apply(model *m, const pm_edit *e, size_t n) {
    for (size_t i = 0; i < n; i++) {
        bool counts = true;
        for (size_t j = i + 1; counts && j < n; j++) {
            size_t len = e[j].key.len;
            counts = len != e[i].key.len || (len && memcmp(e[j].key.data, e[i].key.data, len) != 0);
        }
        if (counts && e[i].val.some) (void)model_set(m, e[i].key.data, e[i].key.len, e[i].val.val, NULL);
        if (counts && !e[i].val.some) (void)model_remove(m, e[i].key.data, e[i].key.len, true, NULL);
    }
}

static size_t some_edits(pm_edit *e, key *keys, const shape *s, const pm_ops *ops, unsigned removed) {
    size_t n = check_below(4) ? check_below(EDITS) : check_below(4);
    key k = {0, {0}};
    for (size_t i = 0; i < n; i++) {
        next_key(s, &k);
        keys[i] = k;
        e[i].key = (pm_key){keys[i].data, k.len};
        e[i].val.some = check_below(10) >= removed;
        e[i].val.val = ops == counted_ops() ? (e[i].val.some ? counted_new() : 0) : some_value(ops);
    }
    return n;
}

TEST(apply_agrees_with_single_calls) {
    static const shape shapes[] = {{2, 3, 8, 60},   {26, 5, 12, 300}, {256, 2, 3, 900},   {3, 100, 90, 40},
                                   {2, 6, 16, 200}, SHAPE_OF_PARTS,   SHAPE_OF_LONG_PARTS};
    static key keys[EDITS];
    pm_edit e[EDITS];
    uint64_t nodes = live_nodes();
    for (unsigned round = 0; round < 120; round++) {
        const shape *s = &shapes[round % 7];
        both b = both_new(table(round / 6));
        if (round % 3) both_edit(&b, s, s->keys);
        for (unsigned n = 0; n < 10; n++) {
            both c = both_clone(&b);
            if (n % 2) pm_drop(&c.map); /* nothing is shared then */
            size_t count = some_edits(e, keys, s, pm_map_ops(&b.map), n % 4 * 3);
            CHECK_OK(pm_apply(&b.map, e, count));
            model_apply(b.m, e, count);
            CHECK(same_content(&b.map, b.m));
            check_sound(&b.map);
            if (n % 2 == 0) CHECK(same_content(&c.map, c.m));
            both_drop(&c);
        }
        both_drop(&b);
    }
    CHECK_EQ(live_nodes(), nodes);
}

TEST(apply_keeps_the_counts_of_values) {
    static const shape s = {4, 4, 10, 300};
    static key keys[EDITS];
    pm_edit e[EDITS];
    pm_map m = pm_new(counted_ops(), NULL), c = pm_new(NULL, NULL);
    for (unsigned round = 0; round < 60; round++) {
        size_t n = some_edits(e, keys, &s, counted_ops(), round % 7);
        if (round % 4 == 0) pm_drop(&c), c = pm_clone(&m);
        if (round % 5 == 0) CHECK_OK(pm_create_path(&m, keys[0].data, keys[0].len / 2, NULL));
        CHECK_OK(pm_apply(&m, e, n));
        check_sound(&m);
    }
    pm_drop(&m);
    pm_drop(&c);
    CHECK(counted_held() == 0 && counted_is_sound());
}

TEST(apply_empties_a_map) {
    pm_map m = {0};
    pm_edit e[300];
    uint16_t keys[300];
    for (unsigned i = 0; i < 300; i++) {
        keys[i] = (uint16_t)(i * 77);
        e[i] = (pm_edit){{&keys[i], i ? 2 : 0}, {i, true}};
    }
    CHECK_OK(pm_apply(&m, e, 300));
    uint64_t n = 0;
    CHECK_OK(pm_val_count(&m, &n));
    CHECK_EQ(n, 300);
    for (unsigned i = 0; i < 300; i++) e[i].val.some = false;
    CHECK_OK(pm_apply(&m, e, 300));
    CHECK(pm_is_empty(&m));
    CHECK_OK(pm_apply(&m, NULL, 0));
    e[0].key.data = NULL, e[0].key.len = 1;
    CHECK_EQ(pm_apply(&m, e, 1), PM_INVALID);
}

/* ---- dropping in pieces ---- */

TEST(drop_some_frees_in_pieces_what_nobody_else_holds) {
    pm_map m = pm_new(counted_ops(), NULL), c;
    uint64_t nodes = live_nodes();
    for (unsigned i = 0; i < 30000; i++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(&m, &r, i ? 3 + i % 6 : 0, counted_new(), NULL));
    }
    c = pm_clone(&m);
    uint64_t all = live_nodes() - nodes, before, calls = 1;
    CHECK(!pm_drop_some(&c, 10)); /* another one holds all of it */
    CHECK(pm_is_empty(&c));
    for (before = live_nodes(); pm_drop_some(&m, 10); calls++) {
        CHECK(before - live_nodes() <= 10 * 257);
        before = live_nodes();
    }
    CHECK(pm_is_empty(&m) && live_nodes() == nodes && calls > all / (10 * 257) && calls > 10);
    CHECK(counted_held() == 0 && counted_is_sound());
    CHECK_OK(pm_set(&m, "again", 5, counted_new(), NULL)); /* it is a map as before */
    for (unsigned i = 0; i < 1000; i++) CHECK_OK(pm_set(&m, &i, 4, counted_new(), NULL));
    CHECK(pm_drop_some(&m, 1));
    pm_drop(&m); /* the rest at once */
    pm_drop(&m);
    CHECK(!pm_drop_some(&m, 1) && !pm_drop_some(NULL, 1));
    CHECK(live_nodes() == nodes && counted_held() == 0 && counted_is_sound());
}
