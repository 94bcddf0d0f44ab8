/* Summaries against the naive trie: every answer after histories of writes, clones, algebra and refreshes; what is kept
   in the table; memory that runs out; structure that is shared beyond counting; long paths on a small stack; readers
   beside each other. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "model.h"

#include <limits.h>

#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#include "../pathmap.h"

#include "both.h"
#include "counted.h"
#include "doubled.h"
#include "shapes.h"
#include "small_stack.h"

static const shape shapes[] = {{2, 3, 8, 12},    {2, 6, 16, 40},   {3, 4, 10, 200},    {26, 5, 12, 300},
                               {256, 2, 3, 900}, {4, 300, 700, 6}, {26, 40, 120, 60},  {1, 9, 30, 15},
                               {256, 1, 2, 400}, SHAPE_OF_PARTS,   SHAPE_OF_LONG_PARTS};
enum { SHAPES = sizeof shapes / sizeof *shapes };

/* The naive trie of a map. */
static model *model_of(const pm_map *m) {
    model *n = model_new();
    pm_iter i = pm_iter_paths(m);
    while (pm_iter_next(&i)) {
        model_create(n, i.key, i.len);
        if (i.val) model_set(n, i.key, i.len, *i.val, NULL);
    }
    pm_iter_drop(&i);
    return n;
}

/* ---- what the table holds ---- */

/* Each node below the root that has children is known, no other one is, and counts are right. */
static void check_table(const pm_summary *s) {
    uint64_t bytes = sizeof *s + s->cap * sizeof *s->slots;
    size_t used = 0, refs = s->root != NULL, owed = 0;
    for (size_t i = 0; i < s->cap; i++) {
        const pm__record *x = s->slots[i];
        if (!x) continue;
        pm__ref room[256];
        unsigned n = 0;
        const pm__ref *kids = pm__summary_kids(x->node, room, &n);
        CHECK(x->n == n && x->u.refs > 0 && pm__record_of(s, x->node) == x);
        for (unsigned k = 0; k < n; k++) {
            const pm__record *below = x->kid[k].u.rec;
            bool leads = kids[k] && !pm__summary_is_leaf(kids[k]);
            CHECK(below == (leads ? pm__record_of(s, kids[k]) : NULL) && leads == (below != NULL));
            refs += leads;
        }
        owed += x->u.refs;
        bytes += pm__record_size(s, x);
        used++;
    }
    CHECK_EQ(owed, refs);
    CHECK_EQ(bytes, pm_summary_bytes(s));
    CHECK_EQ(used, s->used);
    bool leads = s->map.root && !pm__summary_is_leaf(s->map.root);
    CHECK(s->root == (leads ? pm__record_of(s, s->map.root) : NULL) && leads == (s->root != NULL));
}

/* ---- answers ---- */

static bool add_text(void *ctx, const uint8_t *k, size_t len, const uint64_t *val, unsigned children) {
    (void)children;
    if (val) {
        model_bytes *all = ctx;
        model_bytes_append(all, k, len);
        model_bytes_append(all, &len, sizeof len);
        model_bytes_append(all, val, sizeof *val);
    }
    return true;
}

/* All keys by their numbers, as add_text lists them. */
static void check_numbers(const pm_summary *s, const model *m) {
    model_bytes want = {0}, got = {0};
    pm_item i = {0};
    model_each(m, add_text, &want);
    for (uint64_t n = 0; n < pm_summary_count(s); n++) {
        uint64_t rank = 77;
        CHECK_OK(pm_summary_nth(s, n, &i));
        CHECK(i.found);
        model_bytes_append(&got, i.key, i.len);
        model_bytes_append(&got, &i.len, sizeof i.len);
        model_bytes_append(&got, &i.val, sizeof i.val);
        CHECK_OK(pm_summary_rank(s, i.key, i.len, &rank));
        CHECK_EQ(rank, n);
    }
    CHECK_OK(pm_summary_nth(s, pm_summary_count(s), &i));
    CHECK(!i.found);
    CHECK_MEM_EQ(got.data, got.len, want.data, want.len);
    CHECK_OK(pm_summary_sample(s, check_rand(), &i));
    CHECK(i.found == (pm_summary_count(s) != 0) && (!i.found || model_get(m, i.key, i.len, NULL)));
    pm_item_drop(&i);
    model_bytes_free(&want);
    model_bytes_free(&got);
}

static void check_key(const pm_summary *s, const model *m, const key *a, const key *z) {
    const model_key from = {a->data, a->len}, to = {z->data, z->len};
    const pm_key f = {a->data, a->len}, t = {z->data, z->len};
    uint64_t n = 77;
    CHECK_OK(pm_summary_rank(s, a->data, a->len, &n));
    CHECK_EQ(n, model_rank(m, from));
    CHECK_OK(pm_summary_prefix_count(s, a->data, a->len, &n));
    CHECK_EQ(n, model_prefix_count(m, from));
    CHECK_OK(pm_summary_range_count(s, &f, &t, &n));
    CHECK_EQ(n, model_range_count(m, (model_range){from, &to}));
    CHECK_OK(pm_summary_range_count(s, &f, NULL, &n));
    CHECK_EQ(n, model_range_count(m, (model_range){from, NULL}));
    CHECK_OK(pm_summary_range_count(s, NULL, &t, &n));
    CHECK_EQ(n, model_rank(m, to));
    CHECK_OK(pm_summary_range_count(s, NULL, NULL, &n));
    CHECK_EQ(n, model_val_count(m));
}

/* ---- elements ---- */

/* The greatest value. */
static void greatest_of(void *ctx, pm_val v, void *out) { (void)ctx, memcpy(out, &v, sizeof v); }
static void greatest_add(void *ctx, void *left, const void *right) {
    uint64_t a, b;
    (void)ctx, memcpy(&a, left, sizeof a), memcpy(&b, right, sizeof b);
    if (b > a) memcpy(left, &b, sizeof b);
}
static int greatest_compare(void *ctx, const void *a, const void *b) {
    uint64_t x, y;
    (void)ctx, memcpy(&x, a, sizeof x), memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}
static const pm_monoid greatest = {sizeof(uint64_t), NULL, greatest_of, greatest_add, greatest_compare};

/* x -> a x + b, one after the other: the order matters. Of 12 bytes, so that elements are not as long as their room. */
typedef struct affine {
    uint32_t a, b, n;
} affine;
static void affine_of(void *ctx, pm_val v, void *out) {
    affine f = {(uint32_t)v * 2 + 3, (uint32_t)v + 1, 1};
    (void)ctx, memcpy(out, &f, sizeof f);
}
static void affine_add(void *ctx, void *left, const void *right) {
    affine f, g;
    (void)ctx, memcpy(&f, left, sizeof f), memcpy(&g, right, sizeof g);
    f.b = g.a * f.b + g.b;
    f.a *= g.a;
    f.n += g.n;
    memcpy(left, &f, sizeof f);
}
static const pm_monoid composed = {sizeof(affine), NULL, affine_of, affine_add, NULL};

/* What is added up or sorted, one by one. */
typedef struct naive_list {
    model_bytes vals, keys; /* of keys the ends */
    model_bytes text;
    const pm_key *from, *to, *prefix;
} naive_list;

static int compare_bytes(const uint8_t *a, size_t n, const uint8_t *b, size_t m) {
    size_t min = n < m ? n : m;
    int c = min ? memcmp(a, b, min) : 0;
    return c ? c : (n > m) - (n < m);
}

static bool list_one(void *ctx, const uint8_t *k, size_t len, const uint64_t *val, unsigned children) {
    naive_list *l = ctx;
    (void)children;
    if (!val || (l->from && compare_bytes(k, len, l->from->data, l->from->len) < 0)) return true;
    if (l->to && compare_bytes(k, len, l->to->data, l->to->len) >= 0) return true;
    if (l->prefix && (len < l->prefix->len || compare_bytes(k, l->prefix->len, l->prefix->data, l->prefix->len)))
        return true;
    model_bytes_append(&l->vals, val, sizeof *val);
    model_bytes_append(&l->text, k, len);
    model_bytes_append(&l->keys, &l->text.len, sizeof l->text.len);
    return true;
}

static uint64_t number_at(const model_bytes *b, size_t i) {
    uint64_t v;
    memcpy(&v, b->data + 8 * i, 8);
    return v;
}

static void list_free(naive_list *l) {
    model_bytes_free(&l->vals);
    model_bytes_free(&l->keys);
    model_bytes_free(&l->text);
}

static void check_reduce(const pm_summary *s, const model *m, const pm_key *from, const pm_key *to) {
    naive_list l = {.from = from, .to = to};
    uint8_t want[16] = {0}, got[16] = {0}, one[16];
    bool found = false;
    model_each(m, list_one, &l);
    size_t n = l.vals.len / 8;
    for (size_t i = 0; i < n; i++) {
        s->monoid.of(NULL, number_at(&l.vals, i), i ? one : want);
        if (i) s->monoid.add(NULL, want, one);
    }
    CHECK_OK(pm_summary_reduce(s, from, to, got, &found));
    CHECK(found == (n != 0));
    CHECK_MEM_EQ(got, s->monoid.size, want, s->monoid.size);
    list_free(&l);
}

/* What is to be seen next, and how many there are to be. */
typedef struct seen {
    naive_list *l;
    bool *done;
    size_t n, most;
} seen;

/* The best one of the list that has not been seen must be this one. */
static bool see_best(void *ctx, const uint8_t *k, size_t len, pm_val val) {
    seen *w = ctx;
    size_t n = w->l->vals.len / 8, best = n;
    for (size_t i = 0; i < n; i++) {
        uint64_t v = number_at(&w->l->vals, i);
        if (!w->done[i] && (best == n || v > number_at(&w->l->vals, best))) best = i;
    }
    CHECK(best < n && w->n < w->most);
    size_t from = best ? number_at(&w->l->keys, best - 1) : 0, to = number_at(&w->l->keys, best);
    CHECK_EQ(val, number_at(&w->l->vals, best));
    CHECK_MEM_EQ(k, len, to > from ? w->l->text.data + from : k, to - from);
    w->done[best] = true;
    return ++w->n < w->most;
}

static void check_best(const pm_summary *s, const model *m, const pm_key *prefix, size_t k) {
    naive_list l = {.prefix = prefix};
    model_each(m, list_one, &l);
    size_t n = l.vals.len / 8;
    bool stops = check_below(2) != 0; /* by itself, or because of k */
    seen w = {&l, calloc(n + 1, sizeof(bool)), 0, k};
    CHECK_OK(pm_summary_best(s, prefix->data, prefix->len, stops ? SIZE_MAX : k, see_best, &w));
    CHECK_EQ(w.n, n < k ? n : k);
    free(w.done);
    list_free(&l);
}

static void check_elements(const pm_summary *s, const model *m, const pm_key *a, const pm_key *z) {
    if (!s->element) {
        bool found;
        uint8_t room[16];
        CHECK_EQ(pm_summary_reduce(s, a, z, room, &found), PM_INVALID);
        return;
    }
    check_reduce(s, m, a, z);
    check_reduce(s, m, a, NULL);
    check_reduce(s, m, NULL, z);
    check_reduce(s, m, NULL, NULL);
    if (!s->monoid.compare) return;
    const pm_key prefix = {a->data, (size_t)check_below(a->len + 1)};
    check_best(s, m, &prefix, 1 + (size_t)check_below(12));
}

static void check_hash(const pm_summary *s) {
    pm_hash128 want, got = {0, 0};
    if (!s->hashed) {
        CHECK_EQ(pm_summary_hash(s, &got), PM_INVALID);
        return;
    }
    CHECK_OK(pm_hash(&s->map, &want));
    CHECK_OK(pm_summary_hash(s, &got));
    CHECK(want.lo == got.lo && want.hi == got.hi);
}

static void check_answers(const pm_summary *s, const shape *keys) {
    static key a, z;
    model *m = model_of(pm_summary_map(s));
    CHECK_EQ(pm_summary_count(s), model_val_count(m));
    check_table(s);
    check_hash(s);
    if (model_val_count(m) < 400 || check_below(4) == 0) check_numbers(s, m);
    for (unsigned n = 0; n < 30; n++) {
        next_key(keys, &a);
        next_key(keys, &z);
        check_key(s, m, &a, &z);
        const pm_key f = {a.data, a.len}, t = {z.data, z.len};
        if (n < 6) check_elements(s, m, &f, &t);
    }
    model_free(m);
}

/* ---- histories ---- */

static void edit(pm_map *m, const shape *s, unsigned edits) {
    static key k;
    while (edits--) {
        next_key(s, &k);
        switch (check_below(12)) {
        case 0: CHECK_OK(pm_create_path(m, k.data, k.len, NULL)); break;
        case 1: CHECK_OK(pm_remove(m, k.data, k.len, PM_KEEP, NULL)); break;
        case 2:
        case 3: CHECK_OK(pm_remove(m, k.data, k.len, PM_PRUNE, NULL)); break;
        case 4:
            if (check_below(20) == 0) CHECK_OK(pm_remove_branches(m, k.data, k.len, PM_KEEP, NULL));
            break;
        default: CHECK_OK(pm_set(m, k.data, k.len, some_value(pm_map_ops(m)), NULL));
        }
    }
}

/* One step of a history: mostly few writes, now and then what changes a map as a whole. */
static void step(pm_map *m, pm_map *other, const shape *s) {
    static key k;
    next_key(s, &k);
    uint64_t size = 0;
    CHECK_OK(pm_val_count(m, &size));
    switch (check_below(16)) {
    case 0: CHECK_OK(pm_join(m, other, m, NULL)); break;
    case 1: CHECK_OK(pm_subtract(m, other, m, NULL)); break;
    case 2: CHECK_OK(pm_meet(m, other, m, NULL)); break;
    case 3: pm_drop(other), *other = pm_clone(m); break;
    case 4:
        if (k.len < 20 && size < 1000) share_whole(m, &k);
        break;
    case 5: CHECK_OK(pm_merkleize(m, NULL)); break;
    case 6: CHECK_OK(pm_compact(m)); break;
    case 7: CHECK_OK(pm_remove_range(m, &(pm_key){k.data, k.len}, NULL)); break;
    case 8: {
        pm_map t = *m;
        *m = *other;
        *other = t;
        break;
    }
    case 9:
        if (check_below(4) == 0) pm_drop(m);
        edit(m, s, s->keys);
        break;
    default: edit(m, s, 1 + (unsigned)check_below(check_below(3) ? 3 : 60));
    }
}

TEST(histories_agree_with_the_model) {
    uint64_t nodes = live_nodes();
    for (unsigned round = 0; round < 10 * SHAPES; round++) {
        const shape *s = &shapes[round % SHAPES];
        const pm_ops *ops = table(round / SHAPES);
        pm_map m = pm_new(ops, NULL), other = pm_new(ops, NULL);
        pm_summary *x = NULL;
        edit(&m, s, check_below(4) ? s->keys : 0);
        const pm_monoid *monoids[] = {NULL, &greatest, &composed};
        CHECK_OK(pm_summary_new(&m, round & 1 ? PM_SUMMARY_HASH : 0, monoids[check_below(3)], &x));
        check_answers(x, s);
        for (unsigned n = 0; n < 30; n++) {
            step(&m, &other, s);
            if (check_below(3) == 0) continue;
            CHECK_OK(pm_summary_refresh(x, &m));
            check_answers(x, s);
        }
        pm_drop(&m);
        check_answers(x, s); /* the summary's own snapshot */
        CHECK_OK(pm_summary_refresh(x, &m));
        CHECK_EQ(pm_summary_count(x), 0);
        CHECK_EQ(x->used, 0);
        pm_summary_free(x);
        pm_drop(&other);
    }
    CHECK_EQ(live_nodes(), nodes);
}

/* Each version's nodes are freed before the next one's are made, so that they get the same addresses. */
TEST(nodes_at_addresses_that_were_used_before_are_not_taken_for_those) {
    pm_map m = {0};
    pm_summary *x = NULL;
    pm_hash128 want, got;
    CHECK_OK(pm_summary_new(&m, PM_SUMMARY_HASH, NULL, &x));
    for (unsigned version = 0; version < 200; version++) {
        for (unsigned k = 0; k < 300; k++) {
            uint32_t word = k * (version % 7 + 1) * 2654435761u;
            CHECK_OK(pm_set(&m, &word, sizeof word, version + k, NULL));
        }
        uint64_t n = 0;
        CHECK_OK(pm_summary_refresh(x, &m));
        CHECK_OK(pm_val_count(&m, &n));
        CHECK_EQ(pm_summary_count(x), n);
        CHECK_OK(pm_hash(&m, &want));
        CHECK_OK(pm_summary_hash(x, &got));
        CHECK(want.lo == got.lo && want.hi == got.hi);
        check_table(x);
        pm_drop(&m);
        if (version % 3) CHECK_OK(pm_summary_refresh(x, &m));
    }
    pm_summary_free(x);
    pm_drop(&m);
}

/* A refresh after one write makes as many records as there are nodes on the way, not more. */
TEST(a_refresh_looks_at_what_is_new) {
    pm_map m = {0};
    pm_summary *x = NULL;
    for (unsigned k = 0; k < 20000; k++) {
        uint64_t word = check_rand();
        CHECK_OK(pm_set(&m, &word, 5, k, NULL));
    }
    CHECK_OK(pm_summary_new(&m, PM_SUMMARY_HASH, NULL, &x));
    for (unsigned n = 0; n < 200; n++) {
        uint64_t word = check_rand();
        CHECK_OK(pm_set(&m, &word, 5, n, NULL));
        check_fail_alloc(0);
        CHECK_OK(pm_summary_refresh(x, &m));
        CHECK(check_allocs() < 12);
        check_hash(x);
    }
    check_fail_alloc(0);
    CHECK_OK(pm_summary_refresh(x, &m));
    CHECK_EQ(check_allocs(), 0); /* nothing has changed */
    check_table(x);
    pm_summary_free(x);
    pm_drop(&m);
}

TEST(hashes_tell_whether_maps_are_equal) {
    pm_map a = {0}, u = pm_new(pm_ops_unit(), NULL);
    pm_summary *x = NULL, *y = NULL, *z = NULL, *plain = NULL;
    bool same = false;
    for (unsigned k = 0; k < 3000; k++) {
        uint32_t word = k * 2654435761u;
        CHECK_OK(pm_set(&a, &word, 4, k, NULL));
    }
    pm_map b = pm_clone(&a);
    CHECK_OK(pm_summary_new(&a, PM_SUMMARY_HASH, NULL, &x));
    CHECK_OK(pm_summary_new(&a, 0, NULL, &plain));
    CHECK_OK(pm_summary_new(&u, PM_SUMMARY_HASH, NULL, &z));
    CHECK_OK(pm_set(&b, "x", 1, 1, NULL));
    CHECK_OK(pm_summary_new(&b, PM_SUMMARY_HASH, NULL, &y));
    CHECK_OK(pm_summary_equal(x, y, &same));
    CHECK(!same);
    CHECK_OK(pm_remove(&b, "x", 1, PM_PRUNE, NULL));
    CHECK_OK(pm_summary_refresh(y, &b));
    CHECK_OK(pm_summary_equal(x, y, &same));
    CHECK(same);
    CHECK_EQ(pm_summary_equal(x, z, &same), PM_MISMATCH);
    CHECK_EQ(pm_summary_equal(x, plain, &same), PM_INVALID);
    CHECK_EQ(pm_summary_refresh(x, &u), PM_MISMATCH);
    CHECK_EQ(pm_summary_new(&a, 8, NULL, &plain), PM_INVALID);
    pm_summary_free(x);
    pm_summary_free(y);
    pm_summary_free(z);
    pm_summary_free(plain);
    pm_drop(&a);
    pm_drop(&b);
}

TEST(samples_are_drawn_evenly) {
    pm_map m = {0};
    pm_summary *x = NULL;
    pm_item i = {0};
    enum { KEYS = 7 };
    for (unsigned k = 0; k < KEYS; k++) CHECK_OK(pm_set(&m, "abcdefg", k, k, NULL));
    CHECK_OK(pm_summary_new(&m, 0, NULL, &x));
    for (unsigned k = 0; k < KEYS; k++) { /* the least and the greatest word of each share */
        uint64_t from = UINT64_MAX / KEYS * k + (k ? k : 0), to = UINT64_MAX / KEYS * (k + 1);
        CHECK_OK(pm_summary_sample(x, from + 2, &i));
        CHECK(i.found && i.val == k && i.len == k);
        CHECK_OK(pm_summary_sample(x, to - 2, &i));
        CHECK(i.found && i.val == k);
    }
    pm_item_drop(&i);
    pm_summary_free(x);
    pm_drop(&m);
}

/* ---- memory ---- */

TEST(a_refresh_without_memory_leaves_the_summary_as_it_was) {
    for (unsigned round = 0; round < 3 * SHAPES; round++) {
        const shape *s = &shapes[round % SHAPES];
        pm_map m = pm_new(round & 1 ? pm_ops_lattice() : pm_ops_unit(), NULL), other = pm_new(m.ops, NULL);
        pm_summary *x = NULL;
        edit(&m, s, s->keys < 200 ? s->keys : 200);
        for (uint64_t n = 1;; n++) {
            check_fail_alloc(n);
            pm_status st = pm_summary_new(&m, PM_SUMMARY_HASH, &greatest, &x);
            uint64_t fails = check_alloc_fails();
            check_fail_alloc(0);
            CHECK_EQ(st, fails ? PM_NOMEM : PM_OK);
            if (st == PM_OK) break;
        }
        for (unsigned steps = 0; steps < 6; steps++) {
            const pm_hash128 was = x->hash;
            step(&m, &other, s);
            for (uint64_t n = 1;; n++) {
                check_fail_allocs_from(n);
                pm_status st = pm_summary_refresh(x, &m);
                uint64_t fails = check_alloc_fails();
                check_fail_alloc(0);
                CHECK_EQ(st, fails ? PM_NOMEM : PM_OK);
                if (st == PM_OK) break;
                CHECK(x->hash.lo == was.lo && x->hash.hi == was.hi);
                check_table(x);
                if (check_below(8) == 0) check_answers(x, s);
            }
            check_answers(x, s);
        }
        pm_summary_free(x);
        pm_drop(&m);
        pm_drop(&other);
    }
}

static bool count_one(void *ctx, const uint8_t *k, size_t len, pm_val val) {
    (void)k, (void)len, (void)val;
    return ++*(unsigned *)ctx < UINT_MAX;
}

TEST(questions_without_memory_find_nothing) {
    pm_map m = {0};
    pm_summary *x = NULL;
    pm_item i = {0};
    unsigned shown = 0;
    for (unsigned k = 0; k < 500; k++) {
        uint64_t word = check_rand();
        CHECK_OK(pm_set(&m, &word, k % 9, k, NULL));
    }
    CHECK_OK(pm_summary_new(&m, 0, &greatest, &x));
    for (uint64_t n = 1, fails = 1; fails; n++) {
        const uint64_t blocks = check_live_blocks();
        shown = 0;
        check_fail_allocs_from(n);
        pm_status st = pm_summary_best(x, NULL, 0, 20, count_one, &shown);
        fails = check_alloc_fails();
        check_fail_alloc(0);
        CHECK_EQ(st, fails ? PM_NOMEM : PM_OK);
        CHECK_EQ(check_live_blocks(), blocks);
    }
    CHECK_EQ(shown, 20);
    check_fail_alloc(1);
    CHECK_EQ(pm_summary_nth(x, 300, &i), PM_NOMEM);
    CHECK(!i.found);
    check_fail_alloc(0);
    CHECK_OK(pm_summary_nth(x, 300, &i));
    check_fail_alloc(1);
    CHECK_OK(pm_summary_nth(x, 299, &i)); /* the buffer will do */
    CHECK(i.found);
    check_fail_alloc(0);
    pm_item_drop(&i);
    pm_summary_free(x);
    pm_drop(&m);
}

TEST(values_are_held_as_long_as_the_summary) {
    pm_map m = pm_new(counted_ops(), NULL);
    pm_summary *x = NULL;
    pm_item i = {0};
    for (unsigned k = 0; k < 500; k++) {
        uint64_t word = check_rand();
        CHECK_OK(pm_set(&m, &word, k % 9, counted_new(), NULL));
    }
    CHECK_OK(pm_summary_new(&m, 0, NULL, &x));
    pm_drop(&m);
    for (uint64_t n = 0; n < pm_summary_count(x); n++) {
        CHECK_OK(pm_summary_nth(x, n, &i));
        CHECK(i.found && counted_refs(i.val) > 0);
    }
    pm_item_drop(&i);
    pm_summary_free(x);
    CHECK(counted_held() == 0 && counted_is_sound());
}

/* ---- structure that is shared, long paths, threads ---- */

TEST(sharing_beyond_counting_is_counted) {
    pm_map m = doubled(single(pm_ops_unit(), "", 0), 70, "a", "b");
    const char *half = "bababababababababababababababababababababababababababababababababababa";
    pm_summary *x = NULL;
    pm_item i = {0};
    uint64_t n = 0;
    CHECK_OK(pm_summary_new(&m, PM_SUMMARY_HASH, NULL, &x));
    CHECK_EQ(pm_summary_count(x), UINT64_MAX);
    CHECK(pm_summary_bytes(x) < 100000);
    CHECK_OK(pm_summary_rank(x, "b", 1, &n));
    CHECK_EQ(n, UINT64_MAX);
    CHECK_OK(pm_summary_prefix_count(x, half, 40, &n));
    CHECK_EQ(n, 1u << 30);
    CHECK_OK(pm_summary_range_count(x, &(pm_key){half, 10}, &(pm_key){half, 70}, &n));
    CHECK_EQ(n, 0x0aaaaaaaaaaaaaaau);
    CHECK_OK(pm_summary_nth(x, 0x0123456789abcdefu, &i));
    CHECK(i.found && i.len == 70);
    CHECK_OK(pm_summary_rank(x, i.key, i.len, &n));
    CHECK_EQ(n, 0x0123456789abcdefu);
    CHECK_OK(pm_summary_sample(x, UINT64_MAX, &i));
    CHECK(i.found);
    check_hash(x);
    check_table(x);
    CHECK_OK(pm_remove(&m, half, 70, PM_PRUNE, NULL)); /* one way of 2^70 */
    CHECK_OK(pm_summary_refresh(x, &m));
    CHECK_OK(pm_summary_range_count(x, &(pm_key){half, 30}, &(pm_key){half, 70}, &n));
    CHECK_EQ(n, 0xaaaaaaaaaau);
    CHECK_OK(pm_summary_prefix_count(x, half, 30, &n));
    CHECK_EQ(n, ((uint64_t)1 << 40) - 1);
    check_hash(x);
    check_table(x);
    pm_item_drop(&i);
    pm_summary_free(x);
    pm_drop(&m);
}

enum { LONG = 1 << 20 };
static uint8_t long_key[LONG + 1];

static void *go_deep(void *ctx) {
    pm_map m = {0};
    pm_summary *x = NULL;
    pm_item i = {0};
    uint64_t n = 0, keys = 0, rank = 0;
    (void)ctx;
    memset(long_key, 'x', sizeof long_key);
    for (size_t len = 1000; len <= LONG; len += 50021, keys++) CHECK_OK(pm_set(&m, long_key, len, len, NULL));
    CHECK_OK(pm_summary_new(&m, PM_SUMMARY_HASH, NULL, &x));
    CHECK_EQ(pm_summary_count(x), keys);
    for (n = 0; n < keys; n++) {
        CHECK_OK(pm_summary_nth(x, n, &i));
        CHECK(i.found && i.len == 1000 + n * 50021);
        CHECK_OK(pm_summary_rank(x, i.key, i.len, &rank));
        CHECK_EQ(rank, n);
    }
    CHECK_OK(pm_set(&m, long_key, LONG, 1, NULL));
    CHECK_OK(pm_remove(&m, long_key, 1000, PM_PRUNE, NULL));
    CHECK_OK(pm_summary_refresh(x, &m));
    CHECK_OK(pm_summary_prefix_count(x, long_key, LONG, &n));
    CHECK_EQ(n, 1);
    check_hash(x);
    pm_item_drop(&i);
    pm_summary_free(x);
    pm_drop(&m);
    return NULL;
}

TEST(long_paths_need_no_stack) { run_on_small_stack(go_deep, NULL); }

static void *ask(void *ctx) {
    const pm_summary *x = ctx;
    pm_item i = {0};
    uint64_t rank = 0;
    for (uint64_t n = 0; n < pm_summary_count(x); n += 3) {
        CHECK_OK(pm_summary_nth(x, n, &i));
        CHECK_OK(pm_summary_rank(x, i.key, i.len, &rank));
        CHECK_EQ(rank, n);
    }
    pm_item_drop(&i);
    return NULL;
}

TEST(readers_ask_at_once_while_the_map_is_written) {
    pm_map m = {0};
    pm_summary *x = NULL;
    pthread_t readers[3];
    for (unsigned round = 0; round < 5; round++) {
        for (unsigned k = 0; k < 2000; k++) {
            uint64_t word = check_rand();
            CHECK_OK(pm_set(&m, &word, 4, k, NULL));
        }
        if (x) CHECK_OK(pm_summary_refresh(x, &m));
        else CHECK_OK(pm_summary_new(&m, 0, NULL, &x));
        for (unsigned t = 0; t < 3; t++) CHECK_EQ(pthread_create(&readers[t], NULL, ask, x), 0);
        for (unsigned k = 0; k < 2000; k++) {
            uint64_t word = check_rand();
            CHECK_OK(pm_set(&m, &word, 3, k, NULL));
        }
        for (unsigned t = 0; t < 3; t++) CHECK_EQ(pthread_join(readers[t], NULL), 0);
    }
    pm_summary_free(x);
    pm_drop(&m);
}
