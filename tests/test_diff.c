/* Differences, patches and three-way merges, against the naive trie and against their laws. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "model.h"
#include "model_diff.h"

#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#include "../pathmap.h"
#include "both.h"
#include "counted.h"
#include "shapes.h"

/* Builds that check the whole map after each write get smaller ones. */
#define MANY(n) ((uint64_t)(PM_CHECK >= 3 ? (n) / 100 : (n)))

static void set(pm_map *m, const char *s, pm_val v) { CHECK_OK(pm_set(m, s, strlen(s), v, NULL)); }
static void unset(pm_map *m, const char *s) { CHECK_OK(pm_remove(m, s, strlen(s), PM_PRUNE, NULL)); }
static void make(pm_map *m, const char *s) { CHECK_OK(pm_create_path(m, s, strlen(s), NULL)); }

/* ---- a difference as text ---- */

typedef struct text {
    char s[400];
    size_t len;
    unsigned stop; /* after so many; 0: never */
    unsigned calls;
} text;

static void text_add(text *t, const char *s, size_t len) {
    CHECK(t->len + len < sizeof t->s);
    memcpy(t->s + t->len, s, len);
    t->len += len;
    t->s[t->len] = '\0';
}

static void text_opt(text *t, pm_opt v, bool dangles) {
    char n[24] = "-";
    if (v.some) snprintf(n, sizeof n, "%" PRIu64, v.val);
    text_add(t, dangles ? "!" : n, strlen(dangles ? "!" : n));
}

static bool text_change(void *ctx, const pm_change *c) {
    static const char *const kinds[] = {"", "add ", "remove ", "change "};
    text *t = ctx;
    text_add(t, kinds[c->kind], strlen(kinds[c->kind]));
    text_add(t, (const char *)c->key, c->len);
    text_add(t, " ", 1);
    text_opt(t, c->before, c->dangled);
    text_add(t, ">", 1);
    text_opt(t, c->after, c->dangles);
    text_add(t, ";", 1);
    return ++t->calls != t->stop;
}

static text difference(const pm_map *a, const pm_map *b) {
    text t = {{0}, 0, 0, 0};
    CHECK_OK(pm_diff(a, b, text_change, &t));
    return t;
}

TEST(diff_tells_what_came_went_and_changed) {
    pm_map a = {0}, b;
    set(&a, "", 1), set(&a, "apple", 2), set(&a, "apples", 3), set(&a, "pear", 4), make(&a, "plum");
    b = pm_clone(&a);
    unset(&b, "apple"), set(&b, "apples", 30), set(&b, "fig", 5), set(&b, "", 10), set(&b, "plum", 6);
    make(&b, "quince"), CHECK_OK(pm_remove(&b, "pear", 4, PM_KEEP, NULL));
    CHECK_STR_EQ(difference(&a, &b).s, "change  1>10;remove apple 2>-;change apples 3>30;add fig ->5;change pear 4>!;"
                                       "change plum !>6;add quince ->!;");
    CHECK_STR_EQ(difference(&b, &a).s, "change  10>1;add apple ->2;change apples 30>3;remove fig 5>-;change pear !>4;"
                                       "change plum 6>!;remove quince !>-;");
    CHECK_STR_EQ(difference(&a, &a).s, "");
    text t = {{0}, 0, 2, 0};
    CHECK_OK(pm_diff(&a, &b, text_change, &t));
    CHECK_STR_EQ(t.s, "change  1>10;remove apple 2>-;");
    pm_drop(&a);
    pm_drop(&b);
}

TEST(diff_of_a_leaf_that_gives_way) {
    pm_map a = {0}, b = {0};
    make(&a, "ab"), set(&b, "abc", 1), set(&b, "abd", 2);
    CHECK_STR_EQ(difference(&a, &b).s, "remove ab !>-;add abc ->1;add abd ->2;");
    CHECK_STR_EQ(difference(&b, &a).s, "add ab ->!;remove abc 1>-;remove abd 2>-;");
    pm_drop(&a);
    pm_drop(&b);
}

TEST(diff_iterator_can_stop_and_start_from_zero) {
    pm_map a = {0}, b = {0};
    for (int i = 0; i < 100; i++) CHECK_OK(pm_set(&b, &i, sizeof i, 1, NULL));
    uint64_t blocks = check_live_blocks();
    pm_diff_iter i = pm_diff_iter_over(&a, &b), zero;
    CHECK(pm_diff_iter_next(&i) && pm_diff_iter_next(&i));
    CHECK_EQ(i.change.kind, PM_ADDED);
    pm_diff_iter_drop(&i);
    CHECK(!pm_diff_iter_next(&i));
    CHECK_EQ(check_live_blocks(), blocks);
    memset(&zero, 0, sizeof zero);
    CHECK(!pm_diff_iter_next(&zero));
    CHECK_EQ(pm_diff_iter_status(&zero), PM_OK);
    size_t n = 0;
    i = pm_diff_iter_over(NULL, &b);
    while (pm_diff_iter_next(&i)) n++;
    CHECK_EQ(n, 100);
    pm_map units = pm_new(pm_ops_unit(), NULL);
    i = pm_diff_iter_over(&units, &b);
    CHECK(!pm_diff_iter_next(&i));
    CHECK_EQ(pm_diff_iter_status(&i), PM_MISMATCH);
    CHECK_EQ(check_live_blocks(), blocks);
    pm_drop(&b);
}

TEST(diff_compares_strings_by_content) {
    pm_map m[2] = {pm_new(pm_ops_bytes(), NULL), pm_new(pm_ops_bytes(), NULL)};
    text t = {{0}, 0, 0, 0};
    pm_val v;
    for (int i = 0; i < 2; i++) {
        CHECK_OK(pm_bytes_new("same", 4, &v));
        set(&m[i], "a", v);
        CHECK_OK(pm_bytes_new(i ? "this" : "that", 4, &v));
        set(&m[i], "b", v);
    }
    CHECK_OK(pm_diff(&m[0], &m[1], text_change, &t));
    CHECK_EQ(t.calls, 1);
    pm_drop(&m[0]);
    pm_drop(&m[1]);
}

/* ---- cost ---- */

/* Pairs of places that a difference opens. */
static uint64_t pairs_opened(const pm_map *a, const pm_map *b, uint64_t *changes) {
    pm__diff d;
    pm__diff_item i;
    uint64_t pairs = 0;
    pm__diff_begin(&d, a, b);
    while (pm__diff_take(&d, &i)) {
        pairs += i.c.a.node || i.c.b.node;
        CHECK(pm__diff_open(&d, &i));
    }
    CHECK(d.memory);
    *changes = d.changes;
    pm__diff_end(&d);
    return pairs;
}

TEST(diff_visits_only_what_differs) {
    pm_map a = {0}, b;
    uint64_t changes;
    for (uint64_t i = 0; i < MANY(200000); i++) {
        uint64_t k = i * 0x9e3779b97f4a7c15u;
        CHECK_OK(pm_set(&a, &k, sizeof k, i, NULL));
    }
    b = pm_clone(&a);
    CHECK_EQ(pairs_opened(&a, &b, &changes), 0);
    for (uint64_t n = 1; n <= MANY(1000); n *= 10) {
        for (uint64_t i = 0; i < n; i++) {
            uint64_t k = i * 187 * 0x9e3779b97f4a7c15u;
            CHECK_OK(pm_set(&b, &k, sizeof k, i * 187 + n, NULL));
        }
        CHECK(pairs_opened(&a, &b, &changes) <= 8 * n);
        CHECK_EQ(changes, n);
    }
    pm_drop(&a);
    pm_drop(&b);
}

/* A trie of 2^40 keys, each level of which shares the one below. */
static pm_map doubled(pm_val v) {
    pm_map m = {0};
    set(&m, "x", v);
    for (int i = 0; i < 40; i++) {
        pm_wz w;
        pm_map up = {0};
        CHECK_OK(pm_wz_open(&up, NULL, 0, &w));
        for (const char *c = "ab"; *c; c++) {
            (void)pm_rz_move_to(pm_wz_cursor(&w), c, 1);
            CHECK_OK(pm_wz_graft_map(&w, &m));
        }
        CHECK_OK(pm_wz_drop(&w));
        pm_drop(&m);
        m = up;
    }
    return m;
}

TEST(diff_of_shared_nodes_made_twice_takes_no_time) {
    pm_map a = doubled(7), b = doubled(7);
    CHECK_STR_EQ(difference(&a, &b).s, "");
    set(&b, "q", 1);
    CHECK_STR_EQ(difference(&a, &b).s, "add q ->1;");
    pm_patch p;
    CHECK_OK(pm_patch_make(&b, &a, &p));
    CHECK_EQ(pm_patch_count(&p), 1);
    pm_patch_drop(&p);
    pm_drop(&a);
    pm_drop(&b);
}

/* ---- patches and merges against the model ---- */

typedef struct expected {
    const pm_patch *p;
    size_t next;
    bool ok, unit;
} expected;

static bool same_state(const expected *e, pm_opt v, bool dangles, model_state want) {
    return v.some == want.some && (!v.some || e->unit || v.val == want.val) && dangles == want.dangles;
}

static void expect_change(void *ctx, model_key at, model_state before, model_state after) {
    expected *e = ctx;
    pm_change c;
    e->ok = e->ok && pm_patch_at(e->p, e->next++, &c) && c.len == at.len;
    e->ok = e->ok && (!at.len || memcmp(c.key, at.data, at.len) == 0);
    e->ok = e->ok && same_state(e, c.before, c.dangled, before) && same_state(e, c.after, c.dangles, after);
}

static void check_patch(const pm_patch *p, const both *a, const both *b) {
    expected e = {p, 0, true, pm_map_ops(&a->map) == pm_ops_unit()};
    model_diff(a->m, b->m, expect_change, &e);
    CHECK(e.ok && e.next == pm_patch_count(p));
}

static bool same_patch(const pm_patch *p, const pm_patch *q) {
    pm_change a, b;
    size_t i = 0;
    if (pm_patch_count(p) != pm_patch_count(q)) return false;
    for (; pm_patch_at(p, i, &a) && pm_patch_at(q, i, &b); i++)
        if (a.kind != b.kind || a.len != b.len || memcmp(a.key, b.key, a.len) != 0 || a.dangled != b.dangled ||
            a.dangles != b.dangles || a.before.some != b.before.some || a.before.val != b.before.val ||
            a.after.some != b.after.some || a.after.val != b.after.val)
            return false;
    return i == pm_patch_count(p);
}

static bool equal(const pm_map *a, const pm_map *b) {
    bool same = false;
    CHECK_OK(pm_equal(a, b, &same));
    return same;
}

static void check_patches(const both *a, const both *b, const both *c) {
    pm_patch ab, bc, ac, ca;
    CHECK_OK(pm_patch_make(&a->map, &b->map, &ab));
    check_patch(&ab, a, b);
    CHECK_OK(pm_patch_make(&b->map, &c->map, &bc));
    CHECK_OK(pm_patch_make(&a->map, &c->map, &ac));
    CHECK_OK(pm_patch_make(&c->map, &a->map, &ca));
    pm_map m = pm_clone(&a->map);
    CHECK_OK(pm_patch_apply(&ab, &m));
    CHECK(equal(&m, &b->map));
    pm_drop(&m);
    m = pm_clone(&c->map); /* to what it is not made of */
    size_t items;
    model *want = model_patch(c->m, a->m, b->m, &items);
    CHECK_OK(pm_patch_apply(&ab, &m));
    CHECK(same_content(&m, want));
    check_sound(&m);
    model_free(want);
    pm_drop(&m);
    pm_patch_invert(&ca);
    CHECK(same_patch(&ac, &ca));
    CHECK_OK(pm_patch_compose(&ab, &bc, &ab));
    CHECK(same_patch(&ab, &ac));
    pm_patch_invert(&bc);
    CHECK_OK(pm_patch_compose(&ac, &bc, &bc));
    pm_patch_drop(&ab);
    CHECK_OK(pm_patch_make(&a->map, &b->map, &ab));
    CHECK(same_patch(&ab, &bc));
    pm_patch_drop(&ab), pm_patch_drop(&bc), pm_patch_drop(&ac), pm_patch_drop(&ca);
}

static pm_merge_pick pick_by(void *ctx, const pm_merge_conflict *c, pm_val *val) {
    (void)c, (void)val;
    return *(const pm_merge_pick *)ctx;
}

static void check_merges(const both *base, const both *ours, const both *theirs) {
    static const pm_merge_pick picks[] = {PM_PICK_BASE, PM_PICK_OURS, PM_PICK_THEIRS};
    for (unsigned r = 0; r < 3; r++) {
        pm_merge_pick pick = picks[r];
        pm_map m;
        size_t conflicts, expect;
        CHECK_OK(pm_merge3(&base->map, &ours->map, &theirs->map, pick_by, &pick, &m, &conflicts));
        model *want = model_merge3(base->m, ours->m, theirs->m, (model_rule)r, &expect);
        CHECK(same_content(&m, want));
        check_sound(&m);
        CHECK_EQ(conflicts, expect);
        pm_drop(&m);
        pm_status s = pm_merge3(&base->map, &ours->map, &theirs->map, NULL, NULL, &m, NULL);
        CHECK_EQ(s, expect ? PM_CONFLICT : PM_OK);
        if (s == PM_OK) pm_drop(&m);
        model_free(want);
        pick = r == 1 ? PM_PICK_THEIRS : r == 2 ? PM_PICK_OURS : PM_PICK_BASE; /* symmetric but for who is who */
        CHECK_OK(pm_merge3(&base->map, &theirs->map, &ours->map, pick_by, &pick, &m, &conflicts));
        want = model_merge3(base->m, ours->m, theirs->m, (model_rule)r, &expect);
        CHECK(same_content(&m, want));
        CHECK_EQ(conflicts, expect);
        pm_drop(&m);
        model_free(want);
    }
}

/* A map with the same content, made anew, so that it is laid out in another way and shares nothing. */
static both both_again(const both *b) {
    both c = {pm_new(pm_map_ops(&b->map), NULL), model_copy(b->m)};
    size_t n = 0;
    pm_iter i = pm_iter_paths(&b->map);
    while (pm_iter_next(&i)) n++;
    key *keys = malloc((n + 1) * sizeof *keys);
    CHECK(keys != NULL);
    n = 0;
    for (i = pm_iter_paths(&b->map); pm_iter_next(&i); n++) {
        keys[n].len = i.len;
        if (i.len) memcpy(keys[n].data, i.key, i.len);
    }
    while (n) {
        size_t at = check_below(n);
        key k = keys[at];
        keys[at] = keys[--n];
        const pm_val *v = pm_get(&b->map, k.data, k.len);
        if (v) CHECK_OK(pm_set(&c.map, k.data, k.len, *v, NULL));
        else CHECK_OK(pm_create_path(&c.map, k.data, k.len, NULL));
    }
    free(keys);
    return c;
}

TEST(patches_and_merges_of_random_maps) {
    static const shape shapes[] = {{2, 3, 8, 30},    {3, 12, 30, 60}, {60, 2, 3, 300},    {2, 300, 700, 10},
                                   {250, 2, 2, 400}, SHAPE_OF_PARTS,  SHAPE_OF_LONG_PARTS};
    uint64_t nodes = live_nodes();
    for (unsigned round = 0; round < (PM_CHECK >= 3 ? 30u : 300u); round++) {
        const shape *s = &shapes[round % 7];
        both base = both_new(table(round / 6));
        both_edit(&base, s, s->keys);
        both x = both_clone(&base), y = both_clone(&base);
        both_edit(&x, s, 1 + (unsigned)check_below(round % 3 ? 6 : 40));
        both_edit(&y, s, 1 + (unsigned)check_below(round % 3 ? 6 : 40));
        if (round % 4 == 3) {
            both again = both_again(&x);
            both_drop(&x);
            x = again;
        }
        check_patches(&base, &x, &y);
        check_patches(&x, &base, &y);
        check_merges(&base, &x, &y);
        check_merges(&x, &y, &base);
        check_merges(&base, &x, &x);
        both_drop(&base), both_drop(&x), both_drop(&y);
    }
    CHECK_EQ(live_nodes(), nodes);
}

/* ---- laws ---- */

TEST(merge_shares_with_all_three) {
    pm_map base = {0}, ours, theirs, m;
    for (uint64_t i = 0; i < MANY(20000); i++) {
        char k[24];
        snprintf(k, sizeof k, "%c/%" PRIu64, (int)('a' + i % 4), i);
        set(&base, k, i);
    }
    ours = pm_clone(&base), theirs = pm_clone(&base);
    for (uint64_t i = 0; i < MANY(2000); i++) {
        char k[24];
        snprintf(k, sizeof k, "b/%" PRIu64, i * 4 + 1);
        set(&ours, k, i + 1);
        k[0] = 'c';
        set(&theirs, k, i + 2);
    }
    uint64_t nodes = live_nodes();
    size_t conflicts = 7;
    CHECK_OK(pm_merge3(&base, &ours, &theirs, NULL, NULL, &m, &conflicts));
    CHECK_EQ(conflicts, 0);
    CHECK(live_nodes() < nodes + 8);
    check_sound(&m);
    pm_patch p, q;
    CHECK_OK(pm_patch_make(&base, &ours, &p));
    CHECK_OK(pm_patch_make(&base, &theirs, &q));
    for (unsigned way = 0; way < 2; way++) { /* they touch other keys, so the order does not matter */
        pm_map sum = pm_clone(&base);
        CHECK_OK(pm_patch_apply(way ? &q : &p, &sum));
        CHECK_OK(pm_patch_apply(way ? &p : &q, &sum));
        CHECK(equal(&sum, &m));
        pm_drop(&sum);
    }
    pm_patch_drop(&p), pm_patch_drop(&q);
    pm_drop(&m);
    nodes = live_nodes();
    CHECK_OK(pm_merge3(&base, &ours, &base, NULL, NULL, &m, NULL));
    CHECK_EQ(m.root, ours.root);
    pm_drop(&m);
    CHECK_OK(pm_merge3(&base, &base, &theirs, NULL, NULL, &m, NULL));
    CHECK_EQ(m.root, theirs.root);
    CHECK_EQ(live_nodes(), nodes);
    pm_drop(&m), pm_drop(&base), pm_drop(&ours), pm_drop(&theirs);
}

typedef struct conflicts_seen {
    text t;
    pm_merge_pick pick;
    pm_val val;
} conflicts_seen;

static pm_merge_pick note_conflict(void *ctx, const pm_merge_conflict *c, pm_val *val) {
    conflicts_seen *s = ctx;
    text_add(&s->t, (const char *)c->key, c->len);
    text_add(&s->t, " ", 1);
    text_opt(&s->t, c->base, false), text_add(&s->t, ":", 1);
    text_opt(&s->t, c->ours, false), text_add(&s->t, ":", 1);
    text_opt(&s->t, c->theirs, false), text_add(&s->t, ";", 1);
    *val = s->val;
    return s->pick;
}

TEST(merge_asks_about_conflicts_only) {
    pm_map base = {0}, ours, theirs, m;
    set(&base, "", 1), set(&base, "a", 1), set(&base, "b", 2), set(&base, "c", 3), set(&base, "d", 4);
    ours = pm_clone(&base), theirs = pm_clone(&base);
    set(&ours, "", 5), set(&theirs, "", 6);       /* a conflict */
    set(&ours, "a", 10), set(&theirs, "a", 10);   /* the same on both sides */
    unset(&ours, "b"), set(&theirs, "b", 20);     /* a conflict */
    set(&theirs, "c", 30), unset(&ours, "d");     /* one side each */
    set(&ours, "new", 7), set(&theirs, "new", 8); /* a conflict */
    conflicts_seen s = {{{0}, 0, 0, 0}, PM_PICK_VALUE, 99};
    size_t n;
    CHECK_OK(pm_merge3(&base, &ours, &theirs, note_conflict, &s, &m, &n));
    CHECK_STR_EQ(s.t.s, " 1:5:6;b 2:-:20;new -:7:8;");
    CHECK_EQ(n, 3);
    pm_map none = {0};
    CHECK_STR_EQ(difference(&none, &m).s, "add  ->99;add a ->10;add b ->99;add c ->30;add new ->99;");
    pm_drop(&m);
    s.pick = PM_PICK_NONE;
    CHECK_OK(pm_merge3(&base, &ours, &theirs, note_conflict, &s, &m, &n));
    CHECK_STR_EQ(difference(&none, &m).s, "add a ->10;add c ->30;");
    pm_map mark = m;
    s.pick = PM_PICK_FAIL, n = 77;
    CHECK_EQ(pm_merge3(&base, &ours, &theirs, note_conflict, &s, &m, &n), PM_CONFLICT);
    s.pick = (pm_merge_pick)77;
    CHECK_EQ(pm_merge3(&base, &ours, &theirs, note_conflict, &s, &m, &n), PM_BADHOOK);
    CHECK(n == 77 && memcmp(&mark, &m, sizeof m) == 0);
    s.pick = PM_PICK_THEIRS;
    CHECK_OK(pm_merge3(&base, &ours, &theirs, note_conflict, &s, &ours, NULL)); /* in the place of an operand */
    CHECK_STR_EQ(difference(&none, &ours).s, "add  ->6;add a ->10;add b ->20;add c ->30;add new ->8;");
    pm_map units = pm_new(pm_ops_unit(), NULL);
    CHECK_EQ(pm_merge3(&base, &units, &theirs, NULL, NULL, &m, NULL), PM_MISMATCH);
    pm_drop(&m), pm_drop(&base), pm_drop(&ours), pm_drop(&theirs);
}

/* ---- values that are owned ---- */

static pm_merge_pick pick_new(void *ctx, const pm_merge_conflict *c, pm_val *val) {
    (void)ctx, (void)c;
    *val = counted_new();
    return PM_PICK_VALUE;
}

TEST(patches_own_references_to_their_values) {
    pm_map a = pm_new(counted_ops(), NULL), b, c, m;
    for (int i = 0; i < 200; i++) CHECK_OK(pm_set(&a, &i, sizeof i, counted_new(), NULL));
    b = pm_clone(&a), c = pm_clone(&a);
    for (int i = 0; i < 300; i += 3) CHECK_OK(pm_set(&b, &i, sizeof i, counted_new(), NULL));
    for (int i = 0; i < 300; i += 7) CHECK_OK(pm_set(&c, &i, sizeof i, counted_new(), NULL));
    for (int i = 1; i < 90; i += 3) CHECK_OK(pm_remove(&b, &i, sizeof i, PM_PRUNE, NULL));
    pm_patch p, q, sum;
    CHECK_OK(pm_patch_make(&a, &b, &p));
    CHECK_OK(pm_patch_make(&b, &c, &q));
    CHECK_OK(pm_merge3(&a, &b, &c, pick_new, NULL, &m, NULL));
    check_sound(&m);
    pm_drop(&b);
    CHECK_OK(pm_patch_compose(&p, &q, &sum));
    pm_map d = pm_clone(&a);
    CHECK_OK(pm_patch_apply(&sum, &d));
    CHECK(equal(&d, &c));
    pm_drop(&a), pm_drop(&c), pm_drop(&d), pm_drop(&m);
    pm_change x;
    for (size_t i = 0; pm_patch_at(&sum, i, &x); i++) {
        if (x.before.some) CHECK(counted_refs(x.before.val) > 0);
        if (x.after.some) CHECK(counted_refs(x.after.val) > 0);
    }
    pm_patch_drop(&p), pm_patch_drop(&q), pm_patch_drop(&sum);
    pm_patch_drop(&sum);
    CHECK(counted_is_sound());
    CHECK_EQ(counted_held(), 0);
}

TEST(patches_refuse_maps_of_other_values) {
    pm_map a = {0}, units = pm_new(pm_ops_unit(), NULL);
    pm_patch p, zero, mark;
    memset(&zero, 0, sizeof zero);
    memset(&mark, 7, sizeof mark);
    p = mark;
    set(&a, "x", 1);
    CHECK_EQ(pm_patch_make(&a, &units, &p), PM_MISMATCH);
    CHECK(memcmp(&p, &mark, sizeof p) == 0);
    CHECK_OK(pm_patch_make(&(pm_map){0}, &a, &p));
    CHECK_EQ(pm_patch_apply(&p, &units), PM_MISMATCH);
    CHECK_OK(pm_patch_apply(&zero, &units));
    CHECK_OK(pm_patch_compose(&zero, &p, &zero));
    CHECK(same_patch(&zero, &p));
    CHECK(!pm_patch_at(&p, 1, &(pm_change){0}));
    pm_patch_drop(&p), pm_patch_drop(&zero);
    pm_drop(&a);
}
