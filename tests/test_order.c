/* Order and ranges of maps against the naive trie: nearest keys, prefixes, ranks, ranges, dividing and putting
   together; what items keep; balanced references; structure that is shared beyond counting; paths longer than a
   stack. */
#include "check.h"
#include "model.h"

#include "library.h"

#include "both.h"
#include "counted.h"
#include "shapes.h"
#include "small_stack.h"

static const shape shapes[] = {{2, 3, 8, 12},    {2, 6, 16, 40},   {3, 4, 10, 120},    {26, 5, 12, 60},
                               {256, 2, 3, 900}, {4, 300, 700, 6}, {26, 40, 120, 30},  {1, 9, 30, 15},
                               {256, 1, 2, 300}, SHAPE_OF_PARTS,   SHAPE_OF_LONG_PARTS};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static pm_key pm_key_of(const key *k) { return (pm_key){k->data, k->len}; }
static model_key model_key_of(const key *k) { return (model_key){k->data, k->len}; }

/* ---- nearest keys ---- */

static void set(pm_map *m, const char *k, pm_val v) { CHECK_OK(pm_set(m, k, strlen(k), v, NULL)); }

/* What is found, as text. */
static const char *nearest(const pm_map *m, pm_rel rel, const char *k) {
    static char text[64];
    pm_item i = {0};
    CHECK_OK(pm_nearest(m, rel, k, strlen(k), &i));
    snprintf(text, sizeof text, i.found ? "%.*s=%u" : "none", (int)i.len, (const char *)i.key, (unsigned)i.val);
    pm_item_drop(&i);
    return text;
}

TEST(nearest_stands_on_the_side_that_is_asked_for) {
    pm_map m = {0};
    set(&m, "b", 1);
    set(&m, "bar", 2);
    set(&m, "bat", 3);
    CHECK_OK(pm_create_path(&m, "bas", 3, NULL));
    CHECK_STR_EQ(nearest(&m, PM_GE, "ba"), "bar=2");
    CHECK_STR_EQ(nearest(&m, PM_LE, "ba"), "b=1");
    CHECK_STR_EQ(nearest(&m, PM_GT, "bar"), "bat=3"); /* past what dangles */
    CHECK_STR_EQ(nearest(&m, PM_LT, "bat"), "bar=2");
    CHECK_STR_EQ(nearest(&m, PM_GE, "bas"), "bat=3");
    CHECK_STR_EQ(nearest(&m, PM_LE, "basx"), "bar=2");
    CHECK_STR_EQ(nearest(&m, PM_LT, "b"), "none");
    CHECK_STR_EQ(nearest(&m, PM_GT, "bat"), "none");
    CHECK_STR_EQ(nearest(&m, PM_LT, ""), "none");
    set(&m, "", 9);
    CHECK_STR_EQ(nearest(&m, PM_LT, "b"), "=9");
    CHECK_STR_EQ(nearest(&m, PM_GE, ""), "=9");
    CHECK_STR_EQ(nearest(&m, PM_GT, ""), "b=1");
    CHECK_STR_EQ(nearest(&m, PM_LT, ""), "none");
    pm_drop(&m);
}

TEST(nearest_goes_on_after_a_key_that_is_gone) {
    pm_map m = {0};
    pm_item i = {0};
    char k[8];
    for (unsigned n = 0; n < 1000; n++) {
        snprintf(k, sizeof k, "%03u", n);
        set(&m, k, n);
    }
    unsigned seen = 0;
    CHECK_OK(pm_first(&m, &i));
    for (; i.found; seen++) {
        CHECK_EQ(i.val, 2 * seen);
        CHECK_OK(pm_remove(&m, i.key, i.len, PM_PRUNE, NULL));
        if (2 * seen + 1 < 1000) {
            snprintf(k, sizeof k, "%03u", 2 * seen + 1);
            CHECK_OK(pm_remove(&m, k, 3, PM_PRUNE, NULL));
        }
        CHECK_OK(pm_nearest(&m, PM_GT, i.key, i.len, &i)); /* the key lies in the item */
    }
    CHECK_EQ(seen, 500);
    CHECK(pm_is_empty(&m));
    pm_item_drop(&i);
    pm_drop(&m);
}

TEST(pop_takes_all_keys_in_order_with_their_values) {
    pm_map m = pm_new(counted_ops(), NULL);
    pm_item i = {0};
    for (unsigned n = 0; n < 500; n++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(&m, &r, n ? 1 + n % 8 : 0, counted_new(), NULL));
    }
    pm_map c = pm_clone(&m);
    uint64_t left = 0;
    CHECK_OK(pm_val_count(&m, &left));
    model_bytes last = {0};
    for (unsigned n = 0; left > 0; n++, left--) {
        bool from_end = n >= 100;
        CHECK_OK(from_end ? pm_pop_last(&m, &i) : pm_pop_first(&m, &i));
        CHECK(i.found && !pm_contains(&m, i.key, i.len) && pm_contains(&c, i.key, i.len));
        size_t min = i.len < last.len ? i.len : last.len;
        int order = min ? memcmp(i.key, last.data, min) : 0;
        if (!order) order = (i.len > last.len) - (i.len < last.len);
        if (n && n != 100) CHECK(from_end ? order < 0 : order > 0);
        counted_release(i.val);
        last.len = 0;
        model_bytes_append(&last, i.key, i.len);
    }
    CHECK_OK(pm_pop_first(&m, &i));
    CHECK(!i.found && pm_is_empty(&m));
    pm_item_drop(&i);
    pm_drop(&m);
    pm_drop(&c);
    model_bytes_free(&last);
    CHECK(counted_held() == 0 && counted_is_sound());
}

/* ---- prefixes ---- */

static bool add_length(void *ctx, size_t len, pm_val val) {
    *(uint64_t *)ctx = *(uint64_t *)ctx * 100 + len * 10 + val;
    return val != 3;
}

TEST(prefixes_are_found_in_one_descent) {
    pm_map m = {0};
    size_t len = 77;
    uint64_t seen = 0;
    CHECK(!pm_longest_prefix(&m, "abc", 3, &len) && len == 77);
    set(&m, "a", 1);
    set(&m, "abc", 2);
    set(&m, "abcde", 3);
    set(&m, "abd", 4);
    CHECK(pm_longest_prefix(&m, "abcd", 4, &len) == pm_get(&m, "abc", 3) && len == 3);
    CHECK(pm_longest_prefix(&m, "abcde", 5, NULL) == pm_get(&m, "abcde", 5));
    CHECK(pm_shortest_prefix(&m, "abcde", 5, &len) == pm_get(&m, "a", 1) && len == 1);
    CHECK(!pm_longest_prefix(&m, "b", 1, NULL));
    CHECK_OK(pm_each_prefix(&m, "abcdef", 6, add_length, &seen));
    CHECK_EQ(seen, 113253);
    set(&m, "", 5);
    CHECK(pm_longest_prefix(&m, "b", 1, &len) == pm_get(&m, "", 0) && len == 0);
    CHECK(pm_shortest_prefix(&m, "abc", 3, &len) == pm_get(&m, "", 0) && len == 0);
    pm_drop(&m);
}

static const char *common(const pm_map *m, const char *k) {
    static char text[64];
    pm_item i = {0};
    CHECK_OK(pm_common_prefix(m, k, strlen(k), &i));
    snprintf(text, sizeof text, i.found ? "%.*s" : "nowhere", (int)i.len, (const char *)i.key);
    pm_item_drop(&i);
    return text;
}

TEST(common_prefix_ends_where_there_is_a_choice) {
    pm_map m = {0};
    CHECK_STR_EQ(common(&m, ""), "");
    CHECK_STR_EQ(common(&m, "a"), "nowhere");
    set(&m, "interview", 1);
    CHECK_STR_EQ(common(&m, ""), "interview");
    CHECK_STR_EQ(common(&m, "int"), "interview");
    set(&m, "interval", 1);
    CHECK_STR_EQ(common(&m, "i"), "interv");
    CHECK_STR_EQ(common(&m, "interva"), "interval");
    set(&m, "inter", 1);
    CHECK_STR_EQ(common(&m, "in"), "inter");
    CHECK_STR_EQ(common(&m, "inter"), "inter");
    set(&m, "", 1);
    CHECK_STR_EQ(common(&m, ""), "");
    pm_drop(&m);
}

/* ---- ranges ---- */

/* A range whose ends are keys like those of the map. */
static bool some_range(const shape *s, key *a, key *b) {
    for (unsigned n = 1 + (unsigned)check_below(20); n; n--) next_key(s, a);
    *b = *a;
    for (unsigned n = (unsigned)check_below(4); n; n--) next_key(s, b);
    size_t min = a->len < b->len ? a->len : b->len;
    int c = memcmp(a->data, b->data, min);
    if (c > 0 || (c == 0 && a->len > b->len)) {
        key k = *a;
        *a = *b;
        *b = k;
    }
    return check_below(8) != 0;
}

static void check_range(both *b, const shape *s) {
    static key a, z;
    bool ends = some_range(s, &a, &z);
    const pm_key from = pm_key_of(&a), to = pm_key_of(&z);
    const model_key end = model_key_of(&z);
    const model_range range = {model_key_of(&a), ends ? &end : NULL};
    both c = both_clone(b), part = both_clone(b);
    uint64_t n = 0;
    CHECK_OK(pm_range_count(&c.map, &from, ends ? &to : NULL, &n));
    CHECK_EQ(n, model_range_count(c.m, range));
    CHECK_OK(pm_rank(&c.map, a.data, a.len, &n));
    CHECK_EQ(n, model_rank(c.m, range.from));
    CHECK_OK(pm_prefix_count(&c.map, a.data, a.len / 2, &n));
    CHECK_EQ(n, model_prefix_count(c.m, (model_key){a.data, a.len / 2}));
    model_remove_range(part.m, range, false);
    pm_drop(&part.map);
    CHECK_OK(pm_subrange(&c.map, &from, ends ? &to : NULL, &part.map));
    CHECK(same_content(&part.map, part.m) && same_content(&c.map, c.m));
    check_sound(&part.map);
    model_remove_range(c.m, range, true);
    CHECK_OK(pm_remove_range(&c.map, &from, ends ? &to : NULL));
    CHECK(same_content(&c.map, c.m));
    check_sound(&c.map);
    both_drop(&part);
    CHECK(same_content(&b->map, b->m));
    if (check_below(4)) {
        both_drop(&c);
        return;
    }
    both_drop(b); /* go on with what is left, of which nothing is shared then */
    *b = c;
}

static void check_split(both *b, const shape *s) {
    static key k;
    both c = both_clone(b);
    pm_map after, all = pm_new(NULL, NULL);
    bool same = false;
    for (unsigned n = 1 + (unsigned)check_below(20); n; n--) next_key(s, &k);
    CHECK_OK(pm_split(&c.map, k.data, k.len, &after));
    model *rest = model_split(c.m, model_key_of(&k));
    CHECK(same_content(&c.map, c.m) && same_content(&after, rest));
    check_sound(&c.map);
    check_sound(&after);
    CHECK_OK(pm_concat(&c.map, &after, &all));
    CHECK_OK(pm_equal(&all, &b->map, &same));
    CHECK(same);
    check_sound(&all);
    pm_map mark = all;
    if (!pm_is_empty(&c.map) && !pm_is_empty(&after)) CHECK_EQ(pm_concat(&after, &c.map, &all), PM_INVALID);
    CHECK(memcmp(&mark, &all, sizeof all) == 0);
    pm_drop(&all);
    pm_drop(&after);
    model_free(rest);
    both_drop(&c);
}

TEST(ranges_agree_with_the_model) {
    uint64_t nodes = live_nodes();
    for (unsigned round = 0; round < 180; round++) {
        const shape *s = &shapes[round % SHAPES];
        both b = both_new(table(round / SHAPES));
        both_edit(&b, s, s->keys);
        for (unsigned n = 0; n < 12; n++) {
            check_range(&b, s);
            check_split(&b, s);
            both_edit(&b, s, s->keys / 20);
        }
        both_drop(&b);
    }
    CHECK_EQ(live_nodes(), nodes);
}

TEST(ranges_keep_the_counts_of_values) {
    pm_map m = pm_new(counted_ops(), NULL), after, all = pm_new(NULL, NULL);
    for (unsigned n = 0; n < 2000; n++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(&m, &r, n % 9, counted_new(), NULL));
    }
    for (unsigned n = 0; n < 50; n++) {
        pm_map c = pm_clone(&m);
        uint64_t a = check_rand(), b = check_rand();
        CHECK_OK(pm_split(&c, &a, 2, &after));
        CHECK_OK(pm_concat(&c, &after, &all));
        CHECK_OK(pm_remove_range(&all, &(pm_key){&a, 1}, &(pm_key){&b, 2}));
        CHECK_OK(pm_keep_range(&c, &(pm_key){&b, 3}, NULL));
        CHECK_OK(pm_remove_range(&after, NULL, &(pm_key){&b, 1}));
        pm_drop(&c);
        pm_drop(&after);
        pm_drop(&all);
    }
    CHECK_OK(pm_remove_range(&m, NULL, NULL));
    CHECK(pm_is_empty(&m) && counted_held() == 0 && counted_is_sound());
    pm_drop(&m);
}

TEST(concat_refuses_what_is_not_in_order) {
    pm_map a = {0}, b = {0}, u = pm_new(pm_ops_unit(), NULL), out = {0};
    set(&a, "b", 1);
    set(&b, "b", 1);
    CHECK_EQ(pm_concat(&a, &b, &out), PM_INVALID);
    CHECK_EQ(pm_concat(&a, &u, &out), PM_MISMATCH);
    CHECK_OK(pm_remove(&b, "b", 1, PM_PRUNE, NULL));
    set(&b, "ba", 1);
    CHECK_OK(pm_concat(&a, &b, &b)); /* the result may be an operand */
    CHECK(pm_contains(&b, "b", 1) && pm_contains(&b, "ba", 2));
    CHECK_OK(pm_create_path(&a, "c", 1, NULL));
    CHECK_OK(pm_set(&out, "bz", 2, 1, NULL));
    CHECK_EQ(pm_concat(&a, &out, &out), PM_INVALID); /* a dangling location counts */
    set(&out, "", 1);
    CHECK_EQ(pm_concat(&b, &out, &out), PM_INVALID); /* so does the empty key */
    pm_drop(&a);
    pm_drop(&b);
    pm_drop(&out);
}

/* ---- ranks ---- */

TEST(nth_and_rank_undo_each_other) {
    pm_map m = {0};
    pm_item i = {0};
    uint64_t count, n = 0, rank;
    for (unsigned k = 0; k < 3000; k++) {
        uint64_t r = check_rand() % 5000 * 0x0101010101010101u;
        CHECK_OK(pm_set(&m, &r, k % 7, k, NULL));
    }
    CHECK_OK(pm_val_count(&m, &count));
    pm_iter it = pm_iter_vals(&m);
    for (; pm_iter_next(&it); n++) {
        if (n % 17) continue;
        CHECK_OK(pm_nth(&m, n, &i));
        CHECK(i.found && i.val == *it.val);
        CHECK_MEM_EQ(i.key, i.len, it.key, it.len);
        CHECK_OK(pm_rank(&m, i.key, i.len, &rank));
        CHECK_EQ(rank, n);
    }
    pm_iter_drop(&it);
    CHECK_OK(pm_nth(&m, count, &i));
    CHECK(!i.found);
    pm_item_drop(&i);
    pm_drop(&m);
}

/* 2^k values in k levels of one node each. */
static pm_map doubled(unsigned levels) {
    pm_map m = pm_new(pm_ops_unit(), NULL);
    CHECK_OK(pm_set(&m, NULL, 0, 0, NULL));
    for (unsigned i = 0; i < levels; i++) {
        pm_map up = pm_new(pm_ops_unit(), NULL);
        pm_wz w;
        CHECK_OK(pm_wz_open(&up, NULL, 0, &w));
        for (unsigned b = 0; b < 2; b++) {
            pm_rz_reset(pm_wz_cursor(&w));
            pm_rz_descend_to_byte(pm_wz_cursor(&w), (uint8_t)('a' + b));
            CHECK_OK(pm_wz_graft_map(&w, &m));
        }
        CHECK_OK(pm_wz_drop(&w));
        pm_drop(&m);
        m = up;
    }
    return m;
}

TEST(ranges_of_shared_structure_take_no_longer) {
    pm_map m = doubled(70), part, rest;
    uint64_t n = 0;
    const char *half = "bababababababababababababababababababababababababababababababababababa";
    CHECK_OK(pm_rank(&m, "b", 1, &n));
    CHECK_EQ(n, UINT64_MAX);
    CHECK_OK(pm_prefix_count(&m, half, 40, &n));
    CHECK_EQ(n, 1u << 30);
    CHECK_OK(pm_range_count(&m, &(pm_key){half, 10}, &(pm_key){half, 70}, &n));
    CHECK_EQ(n, 0x0aaaaaaaaaaaaaaau);
    CHECK_OK(pm_subrange(&m, &(pm_key){half, 10}, &(pm_key){half, 70}, &part));
    CHECK_OK(pm_remove_range(&m, &(pm_key){half, 10}, &(pm_key){half, 70}));
    CHECK_OK(pm_split(&m, half, 70, &rest));
    CHECK_OK(pm_concat(&m, &part, &m));
    CHECK_OK(pm_concat(&m, &rest, &m));
    pm_map all = doubled(70);
    bool same = false;
    CHECK_OK(pm_equal(&m, &all, &same));
    CHECK(same);
    pm_drop(&all);
    pm_drop(&m);
    pm_drop(&part);
    pm_drop(&rest);
}

/* ---- long paths, on a small stack ---- */

enum { LONG = 1 << 20 };
static uint8_t long_key[LONG + 1];

static void *go_deep(void *ctx) {
    (void)ctx;
    pm_map m = {0}, rest;
    pm_item i = {0};
    uint64_t n = 0;
    memset(long_key, 'x', sizeof long_key);
    for (size_t len = 1000; len <= LONG; len += 50021) {
        CHECK_OK(pm_set(&m, long_key, len, len, NULL));
        n++;
    }
    size_t found = 0;
    CHECK(pm_longest_prefix(&m, long_key, LONG, &found) && found == 1000 + (n - 1) * 50021);
    CHECK_OK(pm_last(&m, &i));
    CHECK(i.found && i.len == found);
    CHECK_OK(pm_nearest(&m, PM_LT, long_key, found, &i));
    CHECK(i.found && i.len == found - 50021);
    CHECK_OK(pm_split(&m, long_key, 500000, &rest));
    CHECK_OK(pm_concat(&m, &rest, &m));
    CHECK_OK(pm_remove_range(&m, &(pm_key){long_key, 300000}, &(pm_key){long_key, 900000}));
    CHECK_OK(pm_val_count(&m, &n));
    CHECK_EQ(n, 6 + 3);
    pm_item_drop(&i);
    pm_drop(&rest);
    pm_drop(&m);
    return NULL;
}

TEST(ranges_of_long_paths_need_no_stack) { run_on_small_stack(go_deep, NULL); }
