/* Joins and subtractions in place of small sources, which go key by key: against the naive trie, for every kind of
   values; at and below the root, with shared nodes on either side, through heads; when memory runs out at any
   allocation, and with hooks that answer what they must not. */
#include "check.h"
#include "model.h"

#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#include "../pathmap.h"

#include "both.h"
#include "counted.h"

/* ---- operands ---- */

/* What keys look like: a head out of few, then random bytes. */
typedef struct shape {
    unsigned letters, least, most, keys;
    unsigned dangling; /* one of so many locations; 0: none */
} shape;

static const shape shapes[] = {{4, 4, 9, 600, 0},      {4, 4, 9, 600, 9},    {256, 2, 3, 2000, 40}, {60, 2, 4, 1500, 0},
                               {26, 3, 14, 1200, 200}, {2, 10, 300, 120, 0}, {3, 200, 600, 80, 30},
                               {256, 4, 9, 700, 60}};
enum { SHAPES = sizeof shapes / sizeof *shapes, KEY_MAX = 700, TABLES = 5 };

typedef struct key {
    size_t len;
    uint8_t data[KEY_MAX];
} key;

static void next_key(const shape *s, key *k) {
    k->len = s->least + check_below(s->most - s->least + 1);
    for (size_t i = 0; i < k->len; i++) k->data[i] = (uint8_t)(check_below(s->letters) * 37 + 5);
}

static const pm_ops *table(unsigned i) {
    switch (i % TABLES) {
    case 0: return pm_ops_unit();
    case 1: return pm_ops_left();
    case 2: return pm_ops_lattice();
    case 3: return pm_ops_sum();
    default: return pm_ops_bits();
    }
}

static void both_add(both *b, const key *k, bool dangling) {
    pm_val v = pm_map_ops(&b->map) == pm_ops_unit() ? 0 : 1 + check_below(3);
    if (dangling) {
        CHECK_OK(pm_create_path(&b->map, k->data, k->len, NULL));
        model_create(b->m, k->data, k->len);
    } else {
        CHECK_OK(pm_set(&b->map, k->data, k->len, v, NULL));
        model_set(b->m, k->data, k->len, v, NULL);
    }
}

/* Fills the left side; some of its keys go to `known`. */
enum { KNOWN = 64 };
static void both_fill(both *b, const shape *s, key *known) {
    key k;
    for (unsigned i = 0; i < s->keys; i++) {
        next_key(s, &k);
        both_add(b, &k, s->dangling && check_below(s->dangling) == 0);
        if (i < KNOWN) known[i] = k;
    }
}

/* The source: keys known, prefixes of these, keys that go on from them, new ones; each without its first `skip` bytes.
   */
static void both_fill_few(both *b, const shape *s, const key *known, unsigned n, size_t skip) {
    key k;
    while (n--) {
        k = known[check_below(KNOWN)];
        unsigned what = (unsigned)check_below(8);
        if (what == 0 && k.len) k.len = check_below(k.len);
        if (what == 1)
            for (size_t more = 1 + check_below(3); more && k.len < KEY_MAX; more--)
                k.data[k.len++] = (uint8_t)(check_below(s->letters) * 37 + 5);
        if (what == 2) next_key(s, &k);
        if (what == 3) k.data[k.len - 1] ^= 1;
        if (k.len < skip) continue;
        memmove(k.data, k.data + skip, k.len - skip);
        k.len -= skip;
        both_add(b, &k, check_below(8) == 0);
    }
}

/* ---- comparing ---- */

static bool equal(const pm_map *a, const pm_map *b) {
    bool same = false;
    CHECK_OK(pm_equal(a, b, &same));
    return same;
}

static pm_status write_algebra(bool join, pm_wz *w, const pm_rz *src, pm_alg *alg) {
    return join ? pm_wz_join(w, src, alg) : pm_wz_subtract(w, src, check_below(2) != 0, alg);
}

/* Runs an operation with a map as its source, below a path of another. */
static pm_status write_at(bool join, pm_map *m, const uint8_t *at, size_t len, const pm_map *src, pm_alg *alg) {
    pm_wz w;
    pm_rz r;
    CHECK_OK(pm_wz_open(m, at, len, &w));
    CHECK_OK(pm_rz_open(src, NULL, 0, &r));
    pm_status s = write_algebra(join, &w, &r, alg);
    pm_rz_drop(&r);
    pm_status kept = pm_wz_drop(&w);
    CHECK_EQ(kept, s);
    return s;
}

/* Whether an operation at the root goes key by key. */
static bool is_few(bool join, pm_map *m, const pm_map *src) {
    static pm__few f;
    pm__cx cx = pm__map_cx(m);
    pm_place a = pm__place_root(m->root), b = pm__place_root(src->root);
    bool few = pm__few_open(&f, &cx, join ? PM__MERGE_JOIN : PM__MERGE_SUB, &m->root, NULL, 0, &a, &b);
    if (few) pm__few_free(&f);
    return few;
}

/* ---- against the model ---- */

static void check_step(bool join, both *a, const both *b, const uint8_t *at, size_t len) {
    const pm_ops *ops = pm_map_ops(&a->map);
    pm_alg alg = PM_ALG_BOTH;
    model_cursor c;
    model_cursor_open(&c, a->m, at, len);
    model_status want = model_cursor_combine(&c, join ? MODEL_JOIN : MODEL_SUBTRACT, algebra_of(ops), b->m, false);
    model_cursor_close(&c);
    pm_wz w;
    pm_rz r;
    CHECK_OK(pm_wz_open(&a->map, at, len, &w));
    CHECK_OK(pm_rz_open(&b->map, NULL, 0, &r));
    CHECK_OK(join ? pm_wz_join(&w, &r, &alg) : pm_wz_subtract(&w, &r, PM_KEEP, &alg));
    pm_rz_drop(&r);
    CHECK_OK(pm_wz_drop(&w));
    CHECK_EQ(alg, want == MODEL_NONE ? PM_ALG_NONE : want == MODEL_IDENTITY ? PM_ALG_LEFT : PM_ALG_ELEMENT);
    check_sound(&a->map);
    CHECK_NOTE(same_content(&a->map, a->m), "%s, %s, at %zu bytes", ops->name, join ? "join" : "subtract", len);
}

TEST(few_keys_follow_the_model) {
    unsigned few = 0;
    for (unsigned i = 0; i < SHAPES * TABLES * 2; i++) {
        const shape *s = &shapes[i % SHAPES];
        key known[KNOWN];
        both a = both_new(table(i / SHAPES));
        both_fill(&a, s, known);
        pm_map held = pm_new(NULL, NULL);
        if (i % 3 == 0) held = pm_clone(&a.map);
        model *was = model_copy(a.m);
        for (unsigned round = 0; round < 8; round++) {
            both b = both_new(pm_map_ops(&a.map));
            bool join = check_below(2) != 0;
            size_t at = check_below(2) ? 0 : check_below(4);
            const key *k = &known[check_below(KNOWN)];
            if (at > k->len) at = k->len;
            both_fill_few(&b, s, known, 1 + (unsigned)check_below(12), at);
            few += is_few(join, &a.map, &b.map);
            check_step(join, &a, &b, k->data, at);
            check_step(join, &a, &b, k->data, at); /* most of it is there, or gone, already */
            both_drop(&b);
        }
        if (i % 3 == 0) CHECK(same_content(&held, was));
        pm_drop(&held);
        model_free(was);
        both_drop(&a);
    }
    CHECK_NOTE(few > SHAPES * TABLES * 8, "%u of the sources are few", few);
    CHECK_EQ(live_nodes(), 0);
}

/* What the focus loses altogether, and dangling locations beside the keys. */
TEST(few_keys_that_empty_the_focus_follow_the_model) {
    for (unsigned i = 0; i < TABLES * 20; i++) {
        const pm_ops *ops = table(i);
        both a = both_new(ops), b = both_new(ops);
        key k = {0, {0}};
        unsigned n = (unsigned)check_below(40);
        for (unsigned j = 0; j < 3000; j++) {
            k.len = (size_t)snprintf((char *)k.data, KEY_MAX, "%05u/%c", j * 7, 'a' + j % 3);
            both_add(&a, &k, false);
            if (j < n || (i % 2 && j % 300 == 0)) both_add(&b, &k, i % 7 == 0);
        }
        const char *at = i % 4 < 2 ? "" : "000";
        if (i % 4 >= 2) {
            both cut = both_new(ops);
            for (unsigned j = 0; j < n; j++) {
                k.len = (size_t)snprintf((char *)k.data, KEY_MAX, "%02u/%c", j * 7 % 100, 'a' + j % 3);
                both_add(&cut, &k, false);
            }
            check_step(false, &a, &cut, (const uint8_t *)at, strlen(at));
            both_drop(&cut);
        } else {
            check_step(false, &a, &b, NULL, 0);
        }
        check_step(true, &a, &b, NULL, 0);
        both_drop(&a);
        both_drop(&b);
    }
}

/* A map that once had many keys keeps nodes from then, below which a source of one node may have all that is left. */
TEST(few_keys_that_are_all_there_is_follow_the_model) {
    for (unsigned i = 0; i < TABLES * 40; i++) {
        both a = both_new(table(i)), b = both_new(table(i));
        key k = {4, {'k', 0, 0, 0}};
        size_t at = i % 2;
        unsigned stay = 1 + (unsigned)check_below(7);
        for (unsigned j = 0; j < 3000; j++) {
            k.data[1] = (uint8_t)j, k.data[2] = (uint8_t)(j >> 4), k.data[3] = (uint8_t)j;
            both_add(&a, &k, false);
        }
        for (unsigned j = 3000; j-- > 0;) {
            k.data[1] = (uint8_t)j, k.data[2] = (uint8_t)(j >> 4), k.data[3] = (uint8_t)j;
            bool keep = j % 16 == 0 && j / 16 < stay;
            if (keep) {
                const pm_val *v = pm_get(&a.map, k.data, k.len);
                if (v) CHECK_OK(pm_set(&b.map, k.data + at, k.len - at, *v, NULL));
                if (v) model_set(b.m, k.data + at, k.len - at, *v, NULL);
            } else {
                CHECK_OK(pm_remove(&a.map, k.data, k.len, PM_PRUNE, NULL));
                model_remove(a.m, k.data, k.len, true, NULL);
            }
        }
        check_step(false, &a, &b, k.data, at);
        check_step(true, &a, &b, k.data, at);
        both_drop(&a);
        both_drop(&b);
    }
}

/* ---- what is shared ---- */

/* A source that has nodes of the left side, or is a clone of it. */
TEST(few_keys_of_a_source_that_shares_nodes_follow_the_model) {
    for (unsigned i = 0; i < SHAPES * TABLES; i++) {
        const shape *s = &shapes[i % SHAPES];
        key known[KNOWN];
        both a = both_new(table(i / SHAPES)), b, c;
        both_fill(&a, s, known);
        b.map = pm_clone(&a.map), b.m = model_copy(a.m);
        check_step(i % 2, &a, &b, NULL, 0);
        both_drop(&b);
        b.map = pm_clone(&a.map), b.m = model_copy(a.m);
        c = both_new(pm_map_ops(&a.map));
        both_fill_few(&c, s, known, 4, 0);
        check_step(true, &a, &c, NULL, 0);
        for (unsigned round = 0; round < 3; round++) {
            model *part = model_subtrie(b.m, known[round].data, 2, NULL);
            both sub = {pm_new(pm_map_ops(&a.map), NULL), part};
            CHECK_OK(pm_subtrie(&b.map, known[round].data, 2, &sub.map, NULL));
            check_step(round % 2, &a, &sub, known[round + 1].data, 1);
            both_drop(&sub);
        }
        CHECK(same_content(&b.map, b.m));
        both_drop(&a);
        both_drop(&b);
        both_drop(&c);
    }
}

TEST(few_keys_that_change_nothing_copy_nothing) {
    pm_map m = pm_new(pm_ops_lattice(), NULL), few = pm_new(pm_ops_lattice(), NULL), none;
    char k[32];
    for (unsigned i = 0; i < 20000; i++) {
        int n = snprintf(k, sizeof k, "key/%u", i * 7);
        CHECK_OK(pm_set(&m, k, (size_t)n, 5, NULL));
        if (i % 1000 == 3) CHECK_OK(pm_set(&few, k, (size_t)n, 4, NULL));
    }
    none = pm_new(pm_ops_lattice(), NULL);
    CHECK_OK(pm_set(&none, "key/none", 8, 1, NULL));
    CHECK_OK(pm_create_path(&none, "key/1", 5, NULL));
    CHECK(is_few(true, &m, &few));
    pm_map held = pm_clone(&m);
    uint64_t nodes = live_nodes();
    pm_alg alg;
    CHECK_OK(write_at(true, &m, NULL, 0, &few, &alg));
    CHECK_EQ(alg, PM_ALG_LEFT);
    CHECK_OK(write_at(false, &m, NULL, 0, &none, &alg));
    CHECK_EQ(alg, PM_ALG_LEFT);
    CHECK_EQ(live_nodes(), nodes);
    CHECK_EQ(m.root, held.root);
    pm_drop(&held);
    pm_drop(&m);
    pm_drop(&few);
    pm_drop(&none);
}

TEST(few_keys_through_a_head_are_seen_by_later_readers_only) {
    const shape *s = &shapes[3];
    key known[KNOWN];
    both a = both_new(pm_ops_sum()), b = both_new(pm_ops_sum());
    both_fill(&a, s, known);
    both_fill_few(&b, s, known, 8, 1);
    pm_head *h;
    CHECK_OK(pm_head_new(&a.map, &h));
    for (unsigned i = 0; i < 6; i++) {
        pm_rz before, after, src;
        pm_wz w;
        pm_alg alg;
        model *was = model_copy(a.m);
        CHECK_OK(pm_head_read(h, NULL, 0, &before));
        CHECK_OK(pm_head_write(h, known[i].data, 1, &w, NULL));
        CHECK_OK(pm_rz_open(&b.map, NULL, 0, &src));
        CHECK_OK(write_algebra(i % 3 != 1, &w, &src, &alg));
        model_cursor c;
        model_cursor_open(&c, a.m, known[i].data, 1);
        (void)model_cursor_combine(&c, i % 3 != 1 ? MODEL_JOIN : MODEL_SUBTRACT, MODEL_SUM, b.m, false);
        model_cursor_close(&c);
        pm_rz_drop(&src);
        CHECK_OK(pm_head_read(h, NULL, 0, &after));
        pm_map x, y;
        CHECK_OK(pm_rz_make_map(&before, &x));
        CHECK_OK(pm_rz_make_map(&after, &y));
        CHECK(same_content(&x, was));
        CHECK(same_content(&y, a.m));
        check_sound(&y);
        pm_drop(&x);
        pm_drop(&y);
        pm_rz_drop(&before);
        pm_rz_drop(&after);
        CHECK_OK(pm_wz_drop(&w));
        model_free(was);
    }
    CHECK_OK(pm_head_free(h, NULL, NULL));
    CHECK(same_content(&a.map, a.m));
    both_drop(&a);
    both_drop(&b);
}

/* ---- values with hooks ---- */

/* Counted values that combine to new ones. `wrong`: the n-th call answers what it must not. */
static struct {
    unsigned calls, wrong;
} hooks;

static pm_alg hook(pm_val a, pm_val b, pm_val *out, pm_alg none) {
    if (hooks.wrong && ++hooks.calls == hooks.wrong) return (pm_alg)77;
    switch ((a + b) % 5) {
    case 0: return none;
    case 1: return PM_ALG_RIGHT;
    case 2: return PM_ALG_LEFT;
    default: *out = counted_new(); return PM_ALG_ELEMENT;
    }
}

static pm_alg hook_join(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    return hook(a, b, out, PM_ALG_LEFT);
}

static pm_alg hook_less(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    return hook(a, b, out, PM_ALG_NONE);
}

static const pm_ops *hooked_ops(void) {
    static const pm_ops ops = {.name = "hooked",
                               .retain = counted__retain,
                               .release = counted__release,
                               .join = hook_join,
                               .meet = hook_less,
                               .subtract = hook_less};
    return &ops;
}

/* A left side and a source with `n` keys of it and `n` others, values counted. */
static void counted_pair(const shape *s, unsigned n, pm_map *a, pm_map *b) {
    key k;
    *a = pm_new(hooked_ops(), NULL);
    *b = pm_new(hooked_ops(), NULL);
    for (unsigned i = 0; i < s->keys; i++) {
        next_key(s, &k);
        CHECK_OK(pm_set(a, k.data, k.len, counted_new(), NULL));
        if (i < n) CHECK_OK(pm_set(b, k.data, k.len, counted_new(), NULL));
        if (i == n) CHECK_OK(pm_set(a, k.data, k.len - 1, counted_new(), NULL));
        next_key(s, &k);
        if (i < n) CHECK_OK(pm_set(b, k.data, k.len, counted_new(), NULL));
    }
    CHECK_OK(pm_set(a, NULL, 0, counted_new(), NULL));
    CHECK_OK(pm_set(b, NULL, 0, counted_new(), NULL));
}

static void pair_drop(pm_map *a, pm_map *b) {
    pm_drop(a);
    pm_drop(b);
    CHECK(counted_is_sound());
    CHECK_EQ(counted_held(), 0);
    CHECK_EQ(live_nodes(), 0);
}

/* The same content, in nodes of its own. */
static pm_map rebuilt(const pm_map *m) {
    pm_map copy = pm_new(pm_map_ops(m), NULL);
    for (pm_iter it = pm_iter_vals(m); pm_iter_next(&it);) {
        counted__retain(NULL, *it.val);
        CHECK_OK(pm_set(&copy, it.key, it.len, *it.val, NULL));
    }
    return copy;
}

TEST(few_keys_with_a_wrong_hook_change_nothing) {
    unsigned few = 0;
    for (unsigned i = 0; i < SHAPES * 4; i++) {
        bool join = i / SHAPES % 2 != 0;
        pm_map a, b;
        counted_pair(&shapes[i % SHAPES], 6, &a, &b);
        pm_map was = rebuilt(&a);
        few += is_few(join, &a, &b);
        for (unsigned n = 1; n < 30; n++) {
            int64_t held = counted_held();
            pm_alg alg = PM_ALG_RIGHT;
            hooks.calls = 0;
            hooks.wrong = n;
            pm_status s = write_at(join, &a, NULL, 0, &b, &alg);
            hooks.wrong = 0;
            if (s == PM_OK) break;
            CHECK_EQ(s, PM_BADHOOK);
            CHECK_EQ(alg, PM_ALG_RIGHT);
            CHECK_EQ(counted_held(), held);
            check_sound(&a);
            CHECK(equal(&a, &was));
            CHECK_NOTE(n < 29, "hooks were called too often");
        }
        pm_drop(&was);
        pair_drop(&a, &b);
    }
    CHECK_NOTE(few > SHAPES * 2, "%u of the sources are few", few);
}

/* `shared`: a clone holds all nodes of the left side, so that those on the way must be copied. */
static void starve(const shape *s, bool join, bool shared) {
    pm_map a, b;
    counted_pair(s, 6, &a, &b);
    pm_map was = rebuilt(&a), held = pm_new(NULL, NULL), like = rebuilt(&a);
    uint64_t want, have;
    CHECK_OK(write_at(join, &like, NULL, 0, &b, &(pm_alg){PM_ALG_BOTH}));
    CHECK_OK(pm_val_count(&like, &want));
    pm_drop(&like);
    for (uint64_t n = 1;; n++) {
        pm_alg alg = PM_ALG_RIGHT;
        if (shared) {
            pm_drop(&held);
            held = pm_clone(&a);
        }
        int64_t values = counted_held();
        pm_pool_trim(NULL);
        check_fail_allocs_from(n);
        pm_status r = write_at(join, &a, NULL, 0, &b, &alg);
        check_fail_alloc(0);
        if (r == PM_OK) break;
        CHECK_EQ(r, PM_NOMEM);
        CHECK_EQ(alg, PM_ALG_RIGHT);
        CHECK(shared || counted_held() == values);
        check_sound(&a);
        CHECK(equal(&a, &was));
    }
    CHECK(!equal(&a, &was));
    CHECK_OK(pm_val_count(&a, &have));
    CHECK_EQ(have, want); /* all of it is done then */
    check_sound(&a);
    if (shared) CHECK(equal(&held, &was));
    pm_drop(&held);
    pm_drop(&was);
    pair_drop(&a, &b);
}

TEST(few_keys_without_memory_change_nothing) {
    for (unsigned i = 0; i < SHAPES * 4; i++) starve(&shapes[i % SHAPES], i / SHAPES % 2 != 0, i / SHAPES >= 2);
}

/* One allocation fails, those after it do not: what then goes on must know what has been taken back. */
TEST(few_keys_when_one_allocation_fails_change_nothing) {
    for (unsigned i = 0; i < SHAPES * 2; i++) {
        bool join = i / SHAPES != 0;
        pm_map a, b;
        counted_pair(&shapes[i % SHAPES], 6, &a, &b);
        pm_map was = rebuilt(&a);
        for (uint64_t n = 1; n < 4000; n++) {
            pm_alg alg;
            pm_pool_trim(NULL);
            check_fail_alloc(n);
            pm_status r = write_at(join, &a, NULL, 0, &b, &alg);
            check_fail_alloc(0);
            check_sound(&a);
            if (r == PM_OK) break;
            CHECK_EQ(r, PM_NOMEM);
            CHECK(equal(&a, &was));
        }
        CHECK(!equal(&a, &was));
        pm_drop(&was);
        pair_drop(&a, &b);
    }
}

/* ---- which nodes are new ---- */

enum operation { JOIN, MEET, SUBTRACT };

/* The addresses of all nodes of a map. */
typedef struct addresses {
    size_t n, cap;
    uintptr_t *at;
} addresses;

static void note_node(addresses *s, pm__ref r) {
    if (s->n == s->cap) {
        s->cap = s->cap ? 2 * s->cap : 1024;
        s->at = realloc(s->at, s->cap * sizeof *s->at);
        CHECK(s->at != NULL);
    }
    s->at[s->n++] = (uintptr_t)pm__ref_ptr(r);
}

/* Goes down by recursion: the keys are short. */
static void note_nodes(addresses *s, pm__ref r) {
    pm__ref kids[256];
    unsigned n = 0;
    if (!r) return;
    note_node(s, r);
    if (pm__ref_kind(r) == PM__LINE) {
        const pm__line *x = pm__ref_ptr(r);
        for (unsigned i = 0; i < x->n; i++)
            if (pm__line_is_child(x, i)) kids[n++] = *pm__line_child(x, i);
    } else {
        const pm__byte *x = pm__ref_ptr(r);
        pm__byte_kids(x, kids);
        n = x->nc;
    }
    for (unsigned i = 0; i < n; i++) note_nodes(s, kids[i]);
}

static int by_address(const void *a, const void *b) {
    uintptr_t x = *(const uintptr_t *)a, y = *(const uintptr_t *)b;
    return (x > y) - (x < y);
}

static addresses addresses_of(const pm_map *m) {
    addresses s = {0, 0, NULL};
    note_nodes(&s, m->root);
    qsort(s.at, s.n, sizeof *s.at, by_address);
    return s;
}

/* How many addresses of `b` are not among those of `a`. Frees `b`. */
static size_t new_addresses(const addresses *a, addresses *b) {
    size_t fresh = 0;
    for (size_t i = 0; i < b->n; i++) fresh += !bsearch(&b->at[i], a->at, a->n, sizeof *a->at, by_address);
    free(b->at);
    return fresh;
}

static void fill(pm_map *m, unsigned n, unsigned step) {
    char k[32];
    for (unsigned i = 0; i < n; i += step) {
        int len = snprintf(k, sizeof k, "key/%u/of", i * 2654435761u % 1000003u);
        CHECK_OK(pm_set(m, k, (size_t)len, i, NULL));
    }
}

static pm_status in_place(enum operation op, pm_map *m, const pm_map *src, pm_alg *alg) {
    pm_wz w;
    pm_rz r;
    CHECK_OK(pm_wz_open(m, NULL, 0, &w));
    CHECK_OK(pm_rz_open(src, NULL, 0, &r));
    pm_status s = op == JOIN   ? pm_wz_join(&w, &r, alg)
                  : op == MEET ? pm_wz_meet(&w, &r, PM_KEEP, alg)
                               : pm_wz_subtract(&w, &r, PM_KEEP, alg);
    pm_rz_drop(&r);
    CHECK_OK(pm_wz_drop(&w));
    return s;
}

/* Few keys that are united with, kept out of, or taken from many: so many nodes are new, and buffers allocated. */
TEST(few_keys_in_place_touch_only_what_changes) {
    enum { ALL = 100000, FEW = 20 };
    if (PM_CHECK >= 3) SKIP("each write is followed by a check of the whole map, which allocates");
    pm_map m = pm_new(pm_ops_lattice(), NULL), few = pm_new(pm_ops_lattice(), NULL), most, less;
    pm_alg alg;
    fill(&m, ALL, 1);
    fill(&few, ALL, ALL / FEW);
    pm_map rest = rebuilt(&m);
    CHECK_OK(pm_subtract(&rest, &few, &most, NULL));
    addresses before = addresses_of(&m), after;
    size_t fresh;
    uint64_t allocated = check_allocs(), nodes = live_nodes();
    CHECK_OK(in_place(JOIN, &m, &most, &alg)); /* nothing new in there */
    CHECK_EQ(alg, PM_ALG_LEFT);
    CHECK_EQ(live_nodes(), nodes);
    CHECK(check_allocs() - allocated < 16);
    after = addresses_of(&m);
    CHECK_EQ(new_addresses(&before, &after), 0);

    allocated = check_allocs();
    CHECK_OK(in_place(SUBTRACT, &m, &few, &alg));
    CHECK_EQ(alg, PM_ALG_ELEMENT);
    CHECK(check_allocs() - allocated < 4 * FEW);
    CHECK(equal(&m, &most));
    check_sound(&m);
    after = addresses_of(&m);
    fresh = new_addresses(&before, &after);
    CHECK_NOTE(fresh <= 2 * FEW, "%zu nodes are new", fresh);

    free(before.at);
    before = addresses_of(&m);
    allocated = check_allocs();
    CHECK_OK(in_place(JOIN, &m, &few, &alg));
    CHECK_EQ(alg, PM_ALG_ELEMENT);
    CHECK(check_allocs() - allocated < 4 * FEW);
    CHECK(equal(&m, &rest));
    check_sound(&m);
    after = addresses_of(&m);
    fresh = new_addresses(&before, &after);
    CHECK_NOTE(fresh <= 2 * FEW, "%zu nodes are new", fresh);

    free(before.at);
    before = addresses_of(&m);
    note_nodes(&before, most.root); /* the result has the source's nodes where it equals them */
    qsort(before.at, before.n, sizeof *before.at, by_address);
    CHECK_OK(in_place(MEET, &m, &most, &alg));
    CHECK_EQ(alg, PM_ALG_ELEMENT);
    CHECK(equal(&m, &most));
    after = addresses_of(&m);
    fresh = new_addresses(&before, &after);
    CHECK_NOTE(fresh <= 2 * FEW, "%zu nodes are new", fresh);
    free(before.at);

    less = pm_clone(&m); /* now every node has another owner */
    CHECK_OK(in_place(JOIN, &m, &few, &alg));
    CHECK(equal(&less, &most));
    CHECK(equal(&m, &rest));
    pm_drop(&less);
    pm_drop(&m);
    pm_drop(&few);
    pm_drop(&most);
    pm_drop(&rest);
    CHECK_EQ(live_nodes(), 0);
}
