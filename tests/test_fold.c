/* Folds, unfolds, hashes, sharing by content, samples: against the naive trie, against each other, with callbacks that
   fail and memory that runs out, on tries of 2^80 values, and on long paths with a small stack. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "model.h"

#include <limits.h>

#include "library.h"

#include "both.h"
#include "counted.h"
#include "doubled.h"
#include "shapes.h"
#include "small_stack.h"

#define K(s) (s), (sizeof(s) - 1)

/* ---- random tries ---- */

static const shape shapes[] = {{2, 3, 8, 12},     {2, 6, 16, 60},   {3, 4, 10, 200}, {26, 5, 12, 150},
                               {256, 2, 3, 300},  {256, 2, 2, 500}, {60, 1, 2, 400}, {4, 300, 700, 8},
                               {26, 40, 120, 40}, {5, 120, 90, 60}, SHAPE_OF_PARTS,  SHAPE_OF_LONG_PARTS};
enum { SHAPES = sizeof shapes / sizeof *shapes };

static void retain(const pm_ops *ops, pm_val v) {
    if (ops->retain) ops->retain(ops->ctx, v);
}

static pm_val value_of(const pm_ops *ops) { return ops == counted_ops() ? counted_new() : check_below(5); }

static pm_map random_map(const shape *s, unsigned keys, unsigned shares, const pm_ops *ops) {
    pm_map m = pm_new(ops, NULL);
    key k = {0, {0}};
    for (unsigned i = 0; i < keys; i++) {
        next_key(s, &k);
        if (check_below(10) == 0) CHECK_OK(pm_create_path(&m, k.data, k.len, NULL));
        else CHECK_OK(pm_set(&m, k.data, k.len, value_of(ops), NULL));
        if (shares && check_below(keys / shares + 1) == 0 && k.len < 20) shares--, share_whole(&m, &k);
    }
    return m;
}

/* The naive trie of the same content. */
static model *model_of(const pm_map *m) {
    model *n = model_new();
    for (pm_iter i = pm_iter_paths(m);;) {
        if (!pm_iter_next(&i)) {
            pm_iter_drop(&i);
            return n;
        }
        model_create(n, i.key, i.len);
        if (i.val) model_set(n, i.key, i.len, *i.val, NULL);
    }
}

static bool equal(const pm_map *a, const pm_map *b) {
    bool same = false;
    CHECK_OK(pm_equal(a, b, &same));
    return same;
}

/* The same content, built otherwise: backwards, one path at a time. */
static pm_map rebuilt(const pm_map *m) {
    pm_map out = pm_new(pm_map_ops(m), NULL);
    pm_rz z;
    uint64_t n = 0;
    CHECK_OK(pm_location_count(m, &n));
    key *keys = malloc(n * sizeof *keys);
    size_t used = 0;
    pm_iter i = pm_iter_paths(m);
    while (pm_iter_next(&i)) memcpy(keys[used].data, i.key, keys[used].len = i.len), used++;
    pm_iter_drop(&i);
    CHECK_EQ(used, n);
    CHECK_OK(pm_rz_open(m, NULL, 0, &z));
    while (used-- > 0) {
        const pm_val *v = pm_get(m, keys[used].data, keys[used].len);
        if (v) retain(pm_map_ops(m), *v);
        if (v) CHECK_OK(pm_set(&out, keys[used].data, keys[used].len, *v, NULL));
        else CHECK_OK(pm_create_path(&out, keys[used].data, keys[used].len, NULL));
    }
    pm_rz_drop(&z);
    free(keys);
    return out;
}

/* Doubles itself `levels` times, with a value at each level if `valued`. */
static pm_map doubled_end(unsigned levels, bool valued) {
    pm_map m = single(NULL, "end", 1);
    for (unsigned i = 0; i < levels; i++) {
        m = doubled(m, 1, "left", "right");
        if (valued) CHECK_OK(pm_set(&m, K("left"), 0, NULL));
        if (valued) CHECK_OK(pm_set(&m, K("right"), 1, NULL));
    }
    return m;
}

/* ---- folds: what they answer ---- */

static uint64_t script_child(uint64_t f, int byte, uint64_t result) {
    f = (f ^ (uint64_t)byte) * 0x100000001b3u;
    return (f ^ result) * 0x100000001b3u;
}

/* The fold of the operation script; works runs off in jumping folds. */
static int script_at(void *ctx, const pm_fold_at *here, void *out) {
    const uint64_t start = 0xcbf29ce484222325u, *kids = here->results;
    uint64_t f = start;
    int b = -1;
    if (ctx) ++*(uint64_t *)ctx;
    if (here->val) f = (f ^ *here->val) * 0x100000001b3u + 1;
    for (unsigned i = 0; i < here->n; i++) f = script_child(f, b = pm_mask_next(here->mask, b + 1), kids[i]);
    for (size_t i = here->jump_len; i-- > 0;) f = script_child(start, here->jump[i], f);
    memcpy(out, &f, sizeof f);
    return PM_OK;
}

TEST(folds_of_all_kinds_agree_with_the_model) {
    for (unsigned i = 0; i < SHAPES * 12; i++) {
        const shape *s = &shapes[i % SHAPES];
        pm_map m = random_map(s, (unsigned)check_below(s->keys + 1), i % 3, NULL);
        model *n = model_of(&m);
        for (unsigned flags = 0; flags < 4; flags++) {
            uint64_t calls = 0, got = 0;
            pm_fold f = {.size = sizeof got, .flags = flags, .ctx = &calls, .at = script_at};
            CHECK_OK(pm_fold_map(&m, &f, &got));
            CHECK_EQ(got, model_fold(n));
            if (flags == 0) CHECK_EQ(calls, model_location_count(n));
            else CHECK(calls <= model_location_count(n));
        }
        model_free(n);
        pm_drop(&m);
    }
}

TEST(fold_of_a_place_is_that_of_its_subtrie) {
    for (unsigned i = 0; i < SHAPES * 18; i++) {
        const shape *s = &shapes[i % SHAPES];
        pm_map m = random_map(s, s->keys, i % 2, NULL);
        key k = {0, {0}};
        for (unsigned j = 0; j < 20; j++) {
            pm_map sub;
            uint64_t a = 0, b = 1;
            pm_hash128 x = {0, 0}, y = {1, 1};
            next_key(s, &k);
            if (k.len && check_below(2)) k.len = 1 + check_below(k.len);
            pm_ref r = pm_ref_of_map(&m, k.data, k.len);
            pm_fold f = {.size = sizeof a, .flags = j % 4, .at = script_at};
            CHECK_OK(pm_subtrie(&m, k.data, k.len, &sub, NULL));
            CHECK_OK(pm_fold_ref(&r, &f, &a));
            CHECK_OK(pm_fold_map(&sub, &f, &b));
            CHECK_EQ(a, b);
            CHECK_OK(pm_hash_ref(&r, &x));
            CHECK_OK(pm_hash(&sub, &y));
            CHECK(x.lo == y.lo && x.hi == y.hi);
            pm_drop(&sub);
        }
        pm_drop(&m);
    }
}

/* Keeps a listing of the calls, each "path(mask)jump". */
static int list_at(void *ctx, const pm_fold_at *here, void *out) {
    char *text = ctx;
    (void)out;
    text += strlen(text);
    text += sprintf(text, "%.*s(", (int)here->len, (const char *)here->path);
    for (int b = pm_mask_next(here->mask, 0); b >= 0; b = pm_mask_next(here->mask, b + 1)) *text++ = (char)b;
    sprintf(text, ")%.*s%s ", (int)here->jump_len, (const char *)here->jump, here->val ? "=" : "");
    return PM_OK;
}

static void check_calls(const pm_map *m, unsigned flags, const char *want) {
    char text[512] = "";
    pm_fold f = {.flags = flags, .ctx = text, .at = list_at};
    CHECK_OK(pm_fold_map(m, &f, NULL));
    CHECK_STR_EQ(text, want);
}

/* The line's entries have "prefix" in common, at the end of which is a value; the fold begins inside of it. */
TEST(fold_begins_inside_a_prefix_that_ends_with_a_value) {
    static const struct {
        const char *from, *all, *alone;
    } rows[] = {{"", "prefixa()= prefixbc()c= prefix(ab)prefix= ", "prefix()prefix= "},
                {"pre", "fixa()= fixbc()c= fix(ab)fix= ", "fix()fix= "},
                {"prefix", "a()= bc()c= (ab)= ", "()= "}};
    static const pm_key keys[] = {{"prefix", 6}, {"prefixa", 7}, {"prefixbc", 8}};
    pm_map m;
    CHECK_OK(pm_build(NULL, NULL, keys, NULL, 3, &m));
    for (unsigned i = 0; i < 6; i++) {
        char text[512] = "";
        pm_fold f = {.flags = PM_FOLD_JUMPING, .ctx = text, .at = list_at};
        pm_ref r = pm_ref_of_map(&m, rows[i % 3].from, strlen(rows[i % 3].from));
        CHECK_OK(pm_fold_ref(&r, &f, NULL));
        CHECK_STR_EQ(text, i < 3 ? rows[i].all : rows[i - 3].alone);
        if (i == 2) CHECK_OK(pm_remove(&m, "prefixa", 7, PM_PRUNE, NULL));
        if (i == 2) CHECK_OK(pm_remove(&m, "prefixbc", 8, PM_PRUNE, NULL));
    }
    pm_drop(&m);
}

TEST(fold_calls_children_first_and_jumps_from_stop_to_stop) {
    pm_map m = {0};
    check_calls(&m, 0, "() ");
    check_calls(&m, PM_FOLD_JUMPING, "() ");
    CHECK_OK(pm_create_path(&m, K("a"), NULL));
    check_calls(&m, 0, "a() (a) ");
    check_calls(&m, PM_FOLD_JUMPING, "a()a ");
    pm_drop(&m);
    CHECK_OK(pm_set(&m, K("combo"), 1, NULL));
    CHECK_OK(pm_set(&m, K("comet"), 1, NULL));
    CHECK_OK(pm_set(&m, K("comfort"), 1, NULL));
    check_calls(&m, PM_FOLD_JUMPING, "combo()o= comet()t= comfort()ort= com(bef)com ");
    check_calls(&m, 0,
                "combo()= comb(o) comet()= come(t) comfort()= comfor(t) comfo(r) comf(o) com(bef) co(m) c(o) (c) ");
    CHECK_OK(pm_set(&m, NULL, 0, 1, NULL));
    CHECK_OK(pm_set(&m, K("co"), 1, NULL));
    check_calls(&m, PM_FOLD_JUMPING, "combo()o= comet()t= comfort()ort= com(bef) co(m)o= (c)= ");
    pm_drop(&m);
}

/* Every call is the one that it should be: path, mask, value, jump; parents after children; each once. */
typedef struct witness {
    const pm_map *m;
    uint64_t calls, wrong;
    bool jumping;
    key last;
} witness;

static bool is_stop(const pm_map *m, const uint8_t *p, size_t len) {
    pm_ref r = pm_ref_of_map(m, p, len);
    return pm_ref_val(&r) || pm_ref_child_count(&r) != 1;
}

static int witness_at(void *ctx, const pm_fold_at *here, void *out) {
    witness *w = ctx;
    pm_ref r = pm_ref_of_map(w->m, here->path, here->len);
    pm_mask mask = pm_ref_child_mask(&r);
    const pm_val *val = pm_ref_val(&r);
    size_t jump = 0;
    w->calls++;
    bool ok = pm_ref_exists(&r) && pm_mask_equal(&mask, here->mask) && pm_mask_count(&mask) == here->n &&
              (val ? here->val && *val == *here->val : !here->val);
    if (w->jumping) {
        ok = ok && is_stop(w->m, here->path, here->len);
        size_t at = here->len;
        while (at > 0 && !is_stop(w->m, here->path, at - 1)) at--, jump++;
        if (at > 0) ok = ok && jump + 1 <= here->len;
        ok = ok && here->jump_len == jump && !memcmp(here->jump, here->path + here->len - jump, jump);
    } else {
        ok = ok && here->jump_len == 0;
    }
    const key *l = &w->last;
    if (w->calls > 1) { /* after its extensions, and after what is smaller */
        size_t min = l->len < here->len ? l->len : here->len;
        int c = min ? memcmp(l->data, here->path, min) : 0;
        ok = ok && (c < 0 || (c == 0 && l->len > here->len));
    }
    w->last.len = here->len;
    memcpy(w->last.data, here->path, here->len);
    w->wrong += !ok;
    (void)out;
    return PM_OK;
}

TEST(fold_calls_are_what_the_trie_says) {
    for (unsigned i = 0; i < SHAPES * 12; i++) {
        const shape *s = &shapes[i % SHAPES];
        pm_map m = random_map(s, (unsigned)check_below(s->keys / 2 + 2), i % 2, NULL);
        uint64_t stops = 0, all = 0;
        pm_iter it = pm_iter_paths(&m);
        while (pm_iter_next(&it)) all++, stops += is_stop(&m, it.key, it.len);
        pm_iter_drop(&it);
        for (unsigned jumping = 0; jumping < 2; jumping++) {
            witness w = {.m = &m, .jumping = jumping};
            pm_fold f = {.flags = jumping ? PM_FOLD_JUMPING : 0, .ctx = &w, .at = witness_at};
            CHECK_OK(pm_fold_map(&m, &f, NULL));
            CHECK_EQ(w.calls, jumping ? stops : all);
            CHECK_EQ(w.wrong, 0);
        }
        pm_drop(&m);
    }
}

static int sat_at(void *ctx, const pm_fold_at *here, void *out) {
    uint64_t n = here->val != NULL;
    for (unsigned i = 0; i < here->n; i++) {
        uint64_t k = ((uint64_t *)here->results)[i];
        n = n + k < n ? UINT64_MAX : n + k;
    }
    ++*(uint64_t *)ctx;
    memcpy(out, &n, sizeof n);
    return PM_OK;
}

TEST(cached_folds_ask_once_for_what_is_shared) {
    for (unsigned valued = 0; valued < 2; valued++)
        for (unsigned jumping = 0; jumping < 2; jumping++) {
            pm_map m = doubled_end(80, valued), small = doubled_end(10, valued);
            uint64_t calls = 0, n = 0, want = 0;
            pm_fold f = {.size = 8, .flags = PM_FOLD_CACHED, .ctx = &calls, .at = sat_at};
            if (jumping) f.flags |= PM_FOLD_JUMPING;
            CHECK_OK(pm_fold_map(&m, &f, &n));
            CHECK_EQ(n, UINT64_MAX);
            CHECK(calls < 80 * 20);
            CHECK_OK(pm_fold_map(&small, &f, &n));
            CHECK_OK(pm_val_count(&small, &want));
            CHECK_EQ(n, want);
            pm_drop(&m);
            pm_drop(&small);
        }
}

/* What is shared is a long run, in nodes of its own, that leads to a fork in a node that nobody shares. */
TEST(cached_folds_know_what_a_shared_run_leads_to) {
    static uint8_t way[701];
    pm_map m = {0};
    CHECK_OK(pm_set(&m, K("end"), 1, NULL));
    memset(way, 'r', sizeof way);
    for (unsigned i = 0; i < 60; i++) {
        pm_map up = {0};
        pm_wz w;
        for (unsigned side = 0; side < 2; side++) {
            way[700] = (uint8_t)side;
            CHECK_OK(pm_wz_open(&up, way, sizeof way, &w));
            CHECK_OK(pm_wz_graft_map(&w, &m));
            CHECK_OK(pm_wz_drop(&w));
        }
        pm_drop(&m);
        m = up;
        if (i != 9 && i != 59) continue;
        for (unsigned flags = PM_FOLD_CACHED; flags < 4; flags++) {
            uint64_t calls = 0, n = 0;
            pm_fold f = {.size = 8, .flags = flags, .ctx = &calls, .at = sat_at};
            CHECK_OK(pm_fold_map(&m, &f, &n));
            CHECK_EQ(n, (uint64_t)1 << (i + 1));
            CHECK(calls < 60 * 2000);
        }
    }
    pm_drop(&m);
}

/* Nodes that are shared through a block of a wide node, their own count being 1. */
TEST(cached_folds_know_shared_blocks) {
    pm_map m = {0};
    for (unsigned b = 0; b < 256; b++) {
        uint8_t k[3] = {(uint8_t)b, 'x', 'y'};
        CHECK_OK(pm_set(&m, k, 3, 1, NULL));
        k[2] = 'z';
        CHECK_OK(pm_set(&m, k, 3, 1, NULL));
    }
    for (unsigned level = 0; level < 40; level++) {
        pm_map c = pm_clone(&m);
        pm_wz w;
        CHECK_OK(pm_set(&m, K("~more"), level, NULL)); /* copies the wide node, but few of its blocks */
        pm_map up = {0};
        for (unsigned side = 0; side < 2; side++) {
            uint8_t name = (uint8_t)('0' + side);
            CHECK_OK(pm_wz_open(&up, &name, 1, &w));
            CHECK_OK(pm_wz_graft_map(&w, side ? &c : &m));
            CHECK_OK(pm_wz_drop(&w));
        }
        for (unsigned b = 0; b < 200; b++) {
            uint8_t name = (uint8_t)(b + 50);
            CHECK_OK(pm_wz_open(&up, &name, 1, &w));
            CHECK_OK(pm_wz_graft_map(&w, b % 2 ? &c : &m));
            CHECK_OK(pm_wz_drop(&w));
        }
        pm_drop(&c);
        pm_drop(&m);
        m = up;
    }
    uint64_t calls = 0, n = 0;
    pm_hash128 h;
    pm_merkle_stats st;
    pm_fold f = {.size = 8, .flags = PM_FOLD_CACHED, .ctx = &calls, .at = sat_at};
    CHECK_OK(pm_fold_map(&m, &f, &n));
    CHECK_EQ(n, UINT64_MAX);
    CHECK(calls < 2000000);
    CHECK_OK(pm_hash(&m, &h));
    CHECK_OK(pm_merkleize(&m, &st));
    CHECK(st.hash.lo == h.lo && st.hash.hi == h.hi);
    check_sound(&m);
    pm_drop(&m);
}

/* ---- folds: who owns what ---- */

/* Results are counted values; the fold fails at the n-th call, or copy, if asked to. */
typedef struct careful {
    uint64_t turn, fail;
    bool take;
} careful;

static int careful_turn(careful *c) { return ++c->turn == c->fail ? 77 : PM_OK; }

static int careful_at(void *ctx, const pm_fold_at *here, void *out) {
    careful *c = ctx;
    pm_val *kids = here->results;
    if (careful_turn(c)) return 77;
    if (c->take && here->n) {
        *(pm_val *)out = kids[0]; /* moved out */
        kids[0] = 0;
    } else {
        *(pm_val *)out = counted_new();
    }
    return PM_OK;
}

static void careful_drop(void *ctx, void *result) {
    (void)ctx;
    if (*(pm_val *)result) counted_release(*(pm_val *)result);
}

static int careful_copy(void *ctx, const void *result, void *out) {
    if (careful_turn(ctx)) return 77;
    *(pm_val *)out = *(const pm_val *)result;
    counted__retain(NULL, *(pm_val *)out);
    return PM_OK;
}

TEST(fold_drops_every_result_whatever_fails) {
    int64_t before = counted_held();
    for (unsigned i = 0; i < 24; i++) {
        pm_map m = i % 6 == 5 ? doubled_end(5, i & 8) : random_map(&shapes[i % 4], 30, 2, NULL);
        careful c = {0, 0, i & 4};
        pm_fold f = {sizeof(pm_val), i % 4, &c, careful_at, careful_drop, careful_copy};
        for (;;) {
            pm_val out = 0;
            c.turn = 0;
            c.fail++;
            int s = pm_fold_map(&m, &f, &out);
            if (s == PM_OK) {
                CHECK(counted_refs(out) == 1);
                counted_release(out);
                break;
            }
            CHECK_EQ(s, 77);
            CHECK_EQ(out, 0);
            CHECK_EQ(counted_held(), before);
        }
        CHECK_EQ(counted_held(), before);
        CHECK(c.fail > 3);
        pm_drop(&m);
    }
    CHECK(counted_is_sound());
}

TEST(fold_refuses_to_remember_what_it_cannot_copy) {
    pm_map m = {0};
    careful c = {0, 0, false};
    pm_val out = 5;
    pm_fold f = {sizeof(pm_val), PM_FOLD_CACHED, &c, careful_at, careful_drop, NULL};
    CHECK_EQ(pm_fold_map(&m, &f, &out), PM_INVALID);
    CHECK_EQ(out, 5);
    CHECK_EQ(c.turn, 0);
}

/* ---- hashes ---- */

TEST(hash_depends_on_content_alone) {
    for (unsigned i = 0; i < SHAPES * 24; i++) {
        const shape *s = &shapes[i % SHAPES];
        pm_map m = random_map(s, (unsigned)check_below(s->keys + 1), i % 3, NULL), n = rebuilt(&m);
        pm_hash128 a = {0, 0}, b = {0, 1};
        key k = {0, {0}};
        CHECK_OK(pm_hash(&m, &a));
        CHECK_OK(pm_hash(&n, &b));
        CHECK(a.lo == b.lo && a.hi == b.hi);
        next_key(s, &k);
        if (check_below(2)) CHECK_OK(pm_create_path(&n, k.data, k.len, NULL));
        else CHECK_OK(pm_set(&n, k.data, k.len, check_below(5), NULL));
        CHECK_OK(pm_hash(&n, &b));
        CHECK_EQ(a.lo == b.lo, equal(&m, &n));
        CHECK_EQ(a.hi == b.hi, equal(&m, &n));
        pm_drop(&m);
        pm_drop(&n);
    }
}

static pm_hash128 hash_of(const pm_map *m) {
    pm_hash128 h = {0, 0};
    CHECK_OK(pm_hash(m, &h));
    return h;
}

/* docs/formats.md promises these. */
TEST(hash_is_the_same_everywhere) {
    pm_map m = {0};
    pm_hash128 h = hash_of(&m);
    CHECK_EQ(h.lo, 0xC610BCA4D9A4572BU);
    CHECK_EQ(h.hi, 0x2EEC33791ED19170U);
    CHECK_OK(pm_set(&m, K("abc"), 1, NULL));
    CHECK_OK(pm_set(&m, K("abd"), 2, NULL));
    CHECK_OK(pm_set(&m, NULL, 0, 3, NULL));
    CHECK_OK(pm_create_path(&m, K("z"), NULL));
    h = hash_of(&m);
    CHECK_EQ(h.lo, 0x3B46B917B27FE796U);
    CHECK_EQ(h.hi, 0x98F52487F255D757U);
    pm_drop(&m);
}

TEST(hash_asks_the_value_hook) {
    pm_map a = pm_new(pm_ops_bytes(), NULL), b = pm_new(pm_ops_bytes(), NULL), u = pm_new(pm_ops_unit(), NULL), w = {0};
    pm_val v = 0;
    CHECK_OK(pm_bytes_new(K("one"), &v));
    CHECK_OK(pm_set(&a, K("k"), v, NULL));
    CHECK_OK(pm_bytes_new(K("one"), &v));
    CHECK_OK(pm_set(&b, K("k"), v, NULL));
    CHECK_EQ(hash_of(&a).lo, hash_of(&b).lo);
    CHECK_OK(pm_bytes_new(K("two"), &v));
    CHECK_OK(pm_set(&b, K("k"), v, NULL));
    CHECK_NE(hash_of(&a).lo, hash_of(&b).lo);
    CHECK_OK(pm_set(&u, K("k"), 9, NULL));
    CHECK_OK(pm_set(&w, K("k"), 0, NULL));
    CHECK_EQ(hash_of(&u).hi, hash_of(&w).hi);
    pm_drop(&a);
    pm_drop(&b);
    pm_drop(&u);
    pm_drop(&w);
}

/* No two of many small tries collide, in either half. */
static int compare_words(const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    return x < y ? -1 : x > y;
}

TEST(hashes_of_different_tries_differ) {
    enum { N = 1 << 12 };
    static uint64_t lo[N], hi[N];
    for (unsigned i = 0; i < N; i++) { /* each number is one set of locations and values */
        pm_map m = {0};
        static const char *const paths[] = {"", "a", "b", "aa", "ab", "ba"};
        for (unsigned p = 0; p < 6; p++) {
            unsigned what = i >> 2 * p & 3;
            if (what) CHECK_OK(pm_set(&m, paths[p], strlen(paths[p]), what, NULL));
        }
        lo[i] = hash_of(&m).lo;
        hi[i] = hash_of(&m).hi;
        pm_drop(&m);
    }
    qsort(lo, N, sizeof *lo, compare_words);
    qsort(hi, N, sizeof *hi, compare_words);
    for (unsigned i = 1; i < N; i++) CHECK(lo[i] != lo[i - 1] && hi[i] != hi[i - 1]);
}

/* ---- sharing by content ---- */

static uint64_t nodes(const pm_map *m) {
    pm_stats s;
    memset(&s, 0, sizeof s);
    CHECK_OK(pm_get_stats(m, &s));
    return s.nodes;
}

/* Runs it, and again. */
static void check_merkle(pm_map *m) {
    pm_map before = pm_clone(m);
    pm_merkle_stats a, b;
    uint64_t n = nodes(m);
    CHECK_OK(pm_merkleize(m, &a));
    check_sound(m);
    check_sound(&before);
    CHECK(equal(m, &before));
    CHECK_EQ(a.nodes, n);
    CHECK_EQ(nodes(m), n - a.replaced);
    CHECK_EQ(a.hash.lo, hash_of(m).lo);
    CHECK_EQ(m->root == before.root, a.copied == 0);
    uint64_t root = m->root;
    CHECK_OK(pm_merkleize(m, &b));
    CHECK_EQ(b.replaced, 0);
    CHECK_EQ(b.copied, 0);
    CHECK_EQ(m->root, root);
    pm_drop(&before);
    CHECK_EQ(nodes(m), n - a.replaced);
}

TEST(merkleize_shares_and_changes_no_content) {
    const pm_ops *tables[] = {NULL, pm_ops_unit(), counted_ops()};
    for (unsigned i = 0; i < SHAPES * 27; i++) {
        const shape *s = &shapes[i % SHAPES];
        pm_map m = random_map(s, (unsigned)check_below(s->keys + 1), i % 4, tables[i % 3]);
        check_merkle(&m);
        pm_drop(&m);
    }
    CHECK_EQ(counted_held(), 0);
    CHECK(counted_is_sound());
}

TEST(merkleize_finds_copies) {
    pm_map m = {0}, one = {0};
    uint64_t in_one = 0;
    for (unsigned i = 0; i < 3000; i++) { /* the same words below each of 60 letters */
        uint8_t k[8] = {(uint8_t)(i % 60), 'w', (uint8_t)(i / 60 % 50), 'o', 'r', 'd', (uint8_t)(i / 60 % 3), 0};
        CHECK_OK(pm_set(&m, k, 7 + i / 60 % 2, i / 60, NULL));
        if (i % 60 == 0) CHECK_OK(pm_set(&one, k, 7 + i / 60 % 2, i / 60, NULL));
    }
    in_one = nodes(&one);
    check_merkle(&m);
    CHECK(nodes(&m) <= 2 * in_one + 4);
    CHECK_OK(pm_set(&m, K("\1word"), 1, NULL)); /* what is shared is still copied when written */
    CHECK(!pm_get(&m, K("\2word")));
    check_sound(&m);
    pm_drop(&one);
    pm_drop(&m);
    check_merkle(&m);
    m = doubled_end(80, true);
    check_merkle(&m);
    pm_drop(&m);
}

/* A hook under which all values hash alike: then only the comparison tells them apart. */
static uint64_t hash_nothing(void *ctx, pm_val v) {
    (void)ctx;
    (void)v;
    return 0;
}

TEST(merkleize_does_not_trust_the_hash) {
    pm_ops blind = *pm_ops_left();
    blind.hash = hash_nothing;
    pm_map m = pm_new(&blind, NULL);
    for (unsigned i = 0; i < 4000; i++) {
        uint8_t k[6] = {(uint8_t)(i % 40), (uint8_t)(i / 40 % 100), 'x', 'y', 'z', 0};
        CHECK_OK(pm_set(&m, k, 6, i % 40 / 2, NULL)); /* pairs of letters are equal, all look alike */
    }
    check_merkle(&m);
    pm_drop(&m);
}

/* ---- unfolds ---- */

/* Regrows a map: the seed is a place in it. Pushes single bytes, the whole run ahead, or a graft, as a die has it. */
typedef struct regrow {
    const pm_map *from;
    uint64_t state, fail, turn;
    int64_t seeds;
    bool grafts;
} regrow;

typedef struct regrow_seed {
    size_t len;
    regrow *owner;
} regrow_seed;

static bool die(regrow *g, uint64_t n) { return check_rand_from(&g->state) % n == 0; }

/* The way from a place to its child at byte b, and on as long as there is no choice or value. */
static size_t run_ahead(pm_ref r, uint8_t b, uint8_t *out, size_t max) {
    size_t n = 0;
    for (int next = b; next >= 0; n++) {
        uint8_t byte = out[n] = (uint8_t)next;
        r = pm_ref_at(&r, &byte, 1);
        pm_mask mask = pm_ref_child_mask(&r);
        next = n + 1 < max && !pm_ref_val(&r) && pm_mask_count(&mask) == 1 ? pm_mask_next(&mask, 0) : -1;
    }
    return n;
}

static int regrow_at(void *ctx, void *seed, pm_sprout *here, const uint8_t *path, size_t len) {
    regrow *g = ctx;
    regrow_seed next = {0, g};
    pm_ref r = pm_ref_of_map(g->from, path, len);
    pm_mask mask = pm_ref_child_mask(&r);
    if (((regrow_seed *)seed)->len != len) return 78;
    if (++g->turn == g->fail) return 77;
    if (pm_ref_val(&r)) {
        pm_val v = *pm_ref_val(&r);
        retain(pm_map_ops(g->from), v);
        if (pm_sprout_val(here, v) != PM_OK) return 79;
    }
    for (int b = pm_mask_next(&mask, 0); b >= 0; b = pm_mask_next(&mask, b + 1)) {
        uint8_t way[2 * KEY_MAX];
        bool graft = g->grafts && die(g, 4);
        size_t n = run_ahead(r, (uint8_t)b, way, die(g, 2) ? 1 : KEY_MAX);
        pm_status s;
        next.len = len + n;
        if (graft) {
            pm_map sub;
            pm_ref at = pm_ref_at(&r, way, n);
            s = pm_ref_make_map(&at, &sub);
            if (s != PM_OK) return s;
            s = pm_sprout_graft(here, way, n, &sub);
            pm_drop(&sub);
        } else {
            s = pm_sprout_child(here, way, n, &next);
            g->seeds += s == PM_OK;
        }
        if (s != PM_OK) return s;
    }
    return PM_OK;
}

static void regrow_drop(void *ctx, void *seed) {
    regrow *g = ctx;
    if (((regrow_seed *)seed)->owner == g) g->seeds--;
    ((regrow_seed *)seed)->owner = NULL;
}

static pm_unfold regrow_by(regrow *g) {
    return (pm_unfold){.seed_size = sizeof(regrow_seed), .ctx = g, .at = regrow_at, .drop = regrow_drop};
}

TEST(unfold_regrows_any_trie) {
    const pm_ops *tables[] = {NULL, pm_ops_unit(), counted_ops()};
    for (unsigned i = 0; i < SHAPES * 27; i++) {
        const shape *s = &shapes[i % SHAPES];
        pm_map m = random_map(s, (unsigned)check_below(s->keys + 1), i % 2, tables[i % 3]), n;
        regrow g = {.from = &m, .state = i, .seeds = 1, .grafts = i % 4 == 3};
        pm_unfold u = regrow_by(&g);
        regrow_seed seed = {0, &g};
        CHECK_OK(pm_unfold_map(&u, &seed, pm_map_ops(&m), NULL, &n));
        CHECK_EQ(g.seeds, 0);
        check_sound(&n);
        CHECK(equal(&m, &n));
        pm_drop(&m);
        check_sound(&n);
        pm_drop(&n);
    }
    CHECK_EQ(counted_held(), 0);
    CHECK(counted_is_sound());
}

TEST(unfolded_tries_are_as_compact_as_inserted_ones) {
    pm_map m = {0}, n;
    for (unsigned i = 0; i < 20000; i++) {
        char k[32];
        int len = snprintf(k, sizeof k, "key/%u/%u", (unsigned)check_below(300), (unsigned)check_below(1000));
        CHECK_OK(pm_set(&m, k, (size_t)len, i, NULL));
    }
    regrow g = {.from = &m, .seeds = 1};
    pm_unfold u = regrow_by(&g);
    regrow_seed seed = {0, &g};
    pm_stats a, b;
    CHECK_OK(pm_unfold_map(&u, &seed, NULL, NULL, &n));
    CHECK_OK(pm_get_stats(&m, &a));
    CHECK_OK(pm_get_stats(&n, &b));
    CHECK(equal(&m, &n));
    CHECK_NOTE(b.bytes < a.bytes + a.bytes / 4, "%" PRIu64 " bytes, inserted %" PRIu64, b.bytes, a.bytes);
    pm_drop(&m);
    pm_drop(&n);
}

TEST(hylo_is_unfold_then_fold) {
    for (unsigned i = 0; i < SHAPES * 24; i++) {
        const shape *s = &shapes[i % SHAPES];
        pm_map m = random_map(s, (unsigned)check_below(s->keys + 1), i % 2, NULL);
        regrow g = {.from = &m, .state = i, .seeds = 1, .grafts = i % 3 == 0};
        pm_unfold u = regrow_by(&g);
        regrow_seed seed = {0, &g};
        pm_fold f = {.size = 8, .flags = i % 4, .at = script_at};
        uint64_t direct = 0, twice = 1;
        CHECK_OK(pm_fold_map(&m, &f, &twice));
        CHECK_OK(pm_hylo(&u, &seed, &f, &direct));
        CHECK_EQ(direct, twice);
        CHECK_EQ(g.seeds, 0);
        if (!(f.flags & PM_FOLD_CACHED)) { /* the calls are the same too */
            witness w = {.m = &m, .jumping = f.flags != 0};
            pm_fold by = {.flags = f.flags, .ctx = &w, .at = witness_at};
            g.seeds = 1, g.grafts = false;
            CHECK_OK(pm_hylo(&u, &seed, &by, NULL));
            CHECK_EQ(w.wrong, 0);
        }
        pm_drop(&m);
    }
}

/* Grafts maps that live no longer than the call, each with other values, and with sharing inside. */
static int fleeting_at(void *ctx, void *seed, pm_sprout *here, const uint8_t *path, size_t len) {
    pm_status s = PM_OK;
    (void)ctx;
    (void)path;
    for (unsigned i = 0; s == PM_OK && i < 50; i++) {
        uint8_t b = (uint8_t)i;
        if (len == 0) {
            s = pm_sprout_child(here, &b, 1, &i);
        } else if (i == 0) {
            pm_map m = doubled_end(3, true);
            s = pm_set(&m, "more", 4, *(unsigned *)seed, NULL);
            for (unsigned k = 0; s == PM_OK && k < 4; k++) { /* changes what the branches share, one for all */
                pm_map twice = {0};
                pm_wz w;
                for (unsigned side = 0; s == PM_OK && side < 2; side++) {
                    s = pm_wz_open(&twice, side ? "l" : "r", 1, &w);
                    if (s == PM_OK) s = pm_wz_graft_map(&w, &m);
                    (void)pm_wz_drop(&w);
                }
                pm_drop(&m);
                m = twice;
            }
            if (s == PM_OK) s = pm_sprout_graft(here, "graft", 5, &m);
            pm_drop(&m);
        }
    }
    return s;
}

TEST(cached_hylo_does_not_mistake_one_graft_for_another) {
    pm_unfold u = {.seed_size = sizeof(unsigned), .at = fleeting_at};
    uint64_t got[4];
    for (unsigned flags = 0; flags < 4; flags++) {
        pm_fold f = {.size = 8, .flags = flags, .at = script_at};
        CHECK_OK(pm_hylo(&u, &(unsigned){0}, &f, &got[flags]));
    }
    CHECK(got[0] == got[1] && got[0] == got[2] && got[0] == got[3]);
}

TEST(unfold_and_hylo_drop_everything_whatever_fails) {
    for (unsigned i = 0; i < 12; i++) {
        pm_map m = random_map(&shapes[i % 4], 25, 1, counted_ops());
        int64_t before = counted_held();
        regrow g = {.from = &m, .grafts = i & 1};
        pm_unfold u = regrow_by(&g);
        careful c = {0, 0, false};
        pm_fold f = {sizeof(pm_val), i / 2 % 2 ? PM_FOLD_JUMPING : 0, &c, careful_at, careful_drop, careful_copy};
        for (int s = 77; s != PM_OK;) {
            pm_map n = {0};
            regrow_seed seed = {0, &g};
            g.seeds = 1, g.turn = 0, g.fail++, g.state = i;
            s = pm_unfold_map(&u, &seed, counted_ops(), NULL, &n);
            CHECK(s == PM_OK || s == 77);
            CHECK_EQ(g.seeds, 0);
            pm_drop(&n);
            CHECK_EQ(counted_held(), before);
        }
        if (i >= 8) { /* plain values: a hylo holds no references */
            pm_drop(&m);
            m = random_map(&shapes[i % 4], 25, 1, NULL);
            before = counted_held();
            for (int s = 77; s != PM_OK;) {
                pm_val out = 0;
                regrow_seed seed = {0, &g};
                g.seeds = 1, g.turn = g.fail = 0, g.state = i, c.turn = 0, c.fail++;
                s = pm_hylo(&u, &seed, &f, &out);
                CHECK(s == PM_OK || s == 77);
                CHECK_EQ(g.seeds, 0);
                careful_drop(NULL, &out);
                CHECK_EQ(counted_held(), before);
            }
        }
        pm_drop(&m);
    }
    CHECK_EQ(counted_held(), 0);
    CHECK(counted_is_sound());
}

/* What a sprout is told at the root of a tiny unfold; it must notice even if the callback does not look. */
typedef struct misuse {
    unsigned which;
    int64_t seeds;
    pm_status got;
} misuse;

static int misuse_at(void *ctx, void *seed, pm_sprout *here, const uint8_t *path, size_t len) {
    misuse *w = ctx;
    uint8_t s = 0;
    (void)seed;
    (void)path;
    if (len) return PM_OK;
    w->seeds += pm_sprout_child(here, "b", 1, &s) == PM_OK;
    pm_map other = pm_new(pm_ops_sum(), NULL);
    switch (w->which) {
    case 0: w->got = pm_sprout_child(here, "b", 1, &s); break;
    case 1: w->got = pm_sprout_child(here, "a", 1, &s); break;
    case 2: w->got = pm_sprout_child(here, "", 0, &s); break;
    case 3: w->got = pm_sprout_graft(here, "bc", 2, &other); break;
    case 4: w->got = pm_sprout_graft(here, "c", 1, &other); break;
    default:
        w->got = pm_sprout_val(here, 1);
        if (w->got == PM_OK) w->got = pm_sprout_val(here, 1);
    }
    return PM_OK;
}

static void misuse_drop(void *ctx, void *seed) {
    (void)seed;
    ((misuse *)ctx)->seeds--;
}

TEST(sprout_refuses_disorder) {
    for (unsigned which = 0; which < 6; which++) {
        misuse w = {which, 1, PM_OK};
        pm_unfold u = {.seed_size = 1, .ctx = &w, .at = misuse_at, .drop = misuse_drop};
        pm_map m = {0};
        CHECK_EQ(pm_unfold_map(&u, "", NULL, NULL, &m), which == 4 ? PM_MISMATCH : PM_INVALID);
        CHECK_EQ(w.got, which == 4 ? PM_MISMATCH : PM_INVALID);
        CHECK_EQ(w.seeds, 0);
        CHECK(pm_is_empty(&m));
    }
}

/* The program in the header's comment. */
static int divisors(void *ctx, void *seed, pm_sprout *sp, const uint8_t *path, size_t len) {
    uint64_t n = *(uint64_t *)seed, next;
    int s = pm_sprout_val(sp, n);
    (void)ctx;
    (void)path;
    (void)len;
    for (unsigned p = 2; s == PM_OK && p < 10; p++)
        if (n % p == 0) next = n / p, s = pm_sprout_child(sp, &(char){(char)('0' + p)}, 1, &next);
    return s;
}

TEST(unfold_grows_what_the_comment_says) {
    pm_unfold u = {.seed_size = sizeof(uint64_t), .at = divisors};
    pm_map m;
    uint64_t calls = 0, n = 0, count = 0;
    pm_fold f = {.size = 8, .ctx = &calls, .at = sat_at};
    CHECK_OK(pm_unfold_map(&u, &(uint64_t){360}, NULL, NULL, &m));
    CHECK_EQ(*pm_get(&m, NULL, 0), 360);
    CHECK_EQ(*pm_get(&m, K("235")), 12);
    CHECK(!pm_get(&m, K("2355")));
    CHECK_OK(pm_val_count(&m, &count));
    CHECK_OK(pm_hylo(&u, &(uint64_t){360}, &f, &n));
    CHECK_EQ(n, count);
    pm_drop(&m);
}

/* ---- samples ---- */

static uint64_t next_random(void *ctx) { return check_rand_from(ctx); }

TEST(sampler_finds_each_in_order) {
    for (unsigned i = 0; i < SHAPES * 18; i++) {
        const shape *s = &shapes[i % SHAPES];
        pm_map m = random_map(s, (unsigned)check_below(s->keys / 2 + 1), i % 3 == 0, i % 2 ? pm_ops_unit() : NULL);
        for (unsigned paths = 0; paths < 2; paths++) {
            pm_sampler *p;
            const pm_rz *at = NULL;
            uint64_t n = 0;
            CHECK_OK(pm_sampler_new(&m, paths ? PM_SAMPLE_PATHS : PM_SAMPLE_VALS, &p));
            pm_iter it = paths ? pm_iter_paths(&m) : pm_iter_vals(&m);
            for (; pm_iter_next(&it); n++) {
                size_t len = 0;
                CHECK_OK(pm_sampler_at(p, n, &at));
                const uint8_t *path = pm_rz_path(at, &len);
                CHECK_MEM_EQ(path, len, it.key, it.len);
                CHECK_EQ(pm_rz_is_val(at), it.val != NULL);
                CHECK(!it.val || *pm_rz_val(at) == *it.val);
            }
            pm_iter_drop(&it);
            CHECK_EQ(pm_sampler_count(p), n);
            CHECK_EQ(pm_sampler_at(p, n, &at), PM_INVALID);
            CHECK_EQ(pm_sampler_at(p, UINT64_MAX, &at), PM_INVALID);
            pm_sampler_free(p);
        }
        pm_drop(&m);
    }
}

/* 64 places are drawn 64,000 times: each about 1,000 times. */
static void check_even(const pm_map *m, pm_sample what, unsigned places) {
    static unsigned hits[1 << 16];
    pm_sampler *p;
    uint64_t state = check_rand();
    double chi = 0;
    memset(hits, 0, sizeof hits);
    CHECK_OK(pm_sampler_new(m, what, &p));
    for (unsigned i = 0; i < places * 1000; i++) {
        const pm_rz *at = NULL;
        size_t len = 0;
        unsigned h = 0;
        CHECK_OK(pm_sampler_draw(p, next_random, &state, &at));
        const uint8_t *path = pm_rz_path(at, &len);
        for (size_t k = 0; k < len; k++) h = h * 31 + path[k];
        CHECK_EQ(pm_rz_is_val(at) || what == PM_SAMPLE_PATHS, true);
        hits[h & 0xffff]++;
    }
    unsigned met = 0;
    for (unsigned h = 0; h < 1 << 16; h++) {
        if (!hits[h]) continue;
        met++;
        chi += ((double)hits[h] - 1000) * ((double)hits[h] - 1000) / 1000;
    }
    CHECK_EQ(met, places);
    CHECK_NOTE(chi < 2.5 * places, "chi square %f for %u places", chi, places);
    pm_sampler_free(p);
}

TEST(sampler_draws_evenly) {
    pm_map m = {0};
    for (unsigned i = 0; i < 64; i++) { /* at very different depths */
        char k[80] = "";
        for (unsigned j = 0; j <= i / 2; j++) k[j] = (char)('a' + j % 7);
        k[i / 2 + 1] = i % 2 ? 'Z' : 0;
        CHECK_OK(pm_set(&m, k, strlen(k), i, NULL));
    }
    uint64_t n = 0;
    CHECK_OK(pm_val_count(&m, &n));
    check_even(&m, PM_SAMPLE_VALS, (unsigned)n);
    CHECK_OK(pm_location_count(&m, &n));
    check_even(&m, PM_SAMPLE_PATHS, (unsigned)n);
    pm_drop(&m);
}

static uint64_t listed_random(void *ctx) {
    const uint64_t **next = ctx;
    return **next ? *(*next)++ : ((uint64_t)1 << 63) + 1;
}

/* Branches that are less than the unit in which a node's weight is kept, but not so together: an aim that is meant for
   them passes by all there are, and is drawn anew. In a line, a byte node, a range node. */
TEST(sampler_draws_again_where_it_has_passed_by) {
    for (unsigned kind = 0; kind < 3; kind++) {
        const pm_map few = doubled_end(16, false), many = doubled_end(80, false);
        pm_map m = pm_new(NULL, NULL);
        pm_wz w;
        for (unsigned i = 0; i < (kind ? 60 : 0); i++) {
            const uint8_t at[7] = {(uint8_t)(3 * i), (uint8_t)i, 'x', 'y', 'z', (uint8_t)(i * i), 'l'};
            CHECK_OK(pm_set(&m, at, kind == 1 ? 1 : 7, 1, NULL));
        }
        CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
        for (unsigned i = 0; i < 3; i++) { /* many is last: what goes before has been added up to a unit */
            const uint8_t at = (uint8_t)(kind == 2 ? 4 + 120 * i : 241 + i);
            (void)pm_rz_move_to(pm_wz_cursor(&w), &at, 1);
            CHECK_OK(pm_wz_graft_map(&w, i < 2 ? &few : &many));
        }
        CHECK_OK(pm_wz_drop(&w));
        pm_stats st;
        CHECK_OK(pm_get_stats(&m, &st));
        CHECK_EQ(st.range_nodes > 0, kind == 2);
        const uint64_t list[] = {(uint64_t)1 << 63, (uint64_t)1 << 63, 0}, *next = list;
        pm_sampler *p;
        const pm_rz *at = NULL;
        CHECK_OK(pm_sampler_new(&m, PM_SAMPLE_VALS, &p));
        CHECK_OK(pm_sampler_draw(p, listed_random, &next, &at));
        CHECK(pm_rz_is_val(at));
        CHECK(next == list + 2);
        pm_sampler_free(p);
        pm_map ends[3] = {few, many, m};
        for (unsigned i = 0; i < 3; i++) pm_drop(&ends[i]);
    }
}

TEST(sampler_copes_with_more_values_than_can_be_counted) {
    pm_map m = doubled_end(80, false), valued = doubled_end(80, true), empty = {0};
    pm_sampler *p;
    const pm_rz *at = NULL;
    uint64_t state = 7, left = 0, total = 0;
    CHECK_OK(pm_sampler_new(&m, PM_SAMPLE_VALS, &p));
    CHECK_EQ(pm_sampler_count(p), UINT64_MAX);
    for (unsigned i = 0; i < 300; i++) {
        size_t len = 0;
        CHECK_OK(pm_sampler_draw(p, next_random, &state, &at));
        CHECK(pm_rz_is_val(at));
        const uint8_t *path = pm_rz_path(at, &len);
        for (size_t k = 0; k < len; k += path[k] == 'l' ? 4 : 5) {
            if (path[k] == 'e') break;
            left += path[k] == 'l';
            total++;
        }
    }
    CHECK_EQ(total, 300 * 80);
    CHECK(left > total * 47 / 100 && left < total * 53 / 100);
    CHECK_OK(pm_sampler_at(p, UINT64_MAX, &at)); /* far from the last */
    CHECK(pm_rz_is_val(at));
    pm_sampler_free(p);

    CHECK_OK(pm_sampler_new(&valued, PM_SAMPLE_VALS, &p));
    for (unsigned i = 0; i < 50; i++) {
        CHECK_OK(pm_sampler_draw(p, next_random, &state, &at));
        CHECK(pm_rz_is_val(at));
    }
    pm_sampler_free(p);
    CHECK_OK(pm_sampler_new(&empty, PM_SAMPLE_VALS, &p));
    CHECK_EQ(pm_sampler_draw(p, next_random, &state, &at), PM_INVALID);
    CHECK_EQ(pm_sampler_count(p), 0);
    pm_sampler_free(p);
    pm_drop(&m);
    pm_drop(&valued);
}

TEST(sampler_keeps_what_it_saw) {
    pm_map m = {0};
    pm_sampler *p;
    const pm_rz *at = NULL;
    CHECK_OK(pm_set(&m, K("key"), 5, NULL));
    CHECK_OK(pm_sampler_new(&m, PM_SAMPLE_VALS, &p));
    CHECK_OK(pm_set(&m, K("key"), 6, NULL));
    pm_drop(&m);
    CHECK_OK(pm_sampler_at(p, 0, &at));
    CHECK_EQ(*pm_rz_val(at), 5);
    pm_sampler_free(p);
    pm_sampler_free(NULL);
}

TEST(random_descent_reaches_every_leaf) {
    pm_map m = random_map(&shapes[1], 30, 0, NULL);
    pm_rz z;
    uint64_t state = 3, leaves = 0, met = 0;
    CHECK_OK(pm_rz_open(&m, NULL, 0, &z));
    while (pm_rz_to_next_step(&z)) leaves += pm_rz_child_count(&z) == 0;
    pm_map seen = {0};
    for (unsigned i = 0; i < 20000; i++) {
        size_t len = 0;
        pm_rz_reset(&z);
        CHECK(pm_rz_descend_random(&z, next_random, &state));
        CHECK_EQ(pm_rz_child_count(&z), 0);
        CHECK(!pm_rz_descend_random(&z, next_random, &state));
        const uint8_t *path = pm_rz_path(&z, &len);
        CHECK_OK(pm_set(&seen, path, len, 1, NULL));
    }
    CHECK_OK(pm_val_count(&seen, &met));
    CHECK_EQ(met, leaves);
    pm_rz_drop(&z);
    pm_drop(&seen);
    pm_drop(&m);
}

/* ---- no memory ---- */

/* One operation on a map that must not change; answers its status. Results are let go. */
typedef int (*operation)(const pm_map *m);

static int do_fold(const pm_map *m) {
    careful c = {0, 0, false};
    pm_val out = 0;
    int s = PM_OK;
    for (unsigned flags = 0; flags < 4 && s == PM_OK; flags++) {
        pm_fold f = {sizeof(pm_val), flags, &c, careful_at, careful_drop, careful_copy};
        s = pm_fold_map(m, &f, &out);
        if (s == PM_OK) counted_release(out);
    }
    return s;
}

static int do_hash(const pm_map *m) {
    pm_hash128 h;
    return pm_hash(m, &h);
}

static int do_merkleize(const pm_map *m) {
    pm_map c = pm_clone(m);
    pm_merkle_stats st;
    int s = pm_merkleize(&c, &st);
    if (s != PM_OK && c.root != m->root) s = -99;
    pm_drop(&c);
    return s;
}

static int do_unfold(const pm_map *m) {
    pm_map n;
    regrow g = {.from = m, .state = 5, .seeds = 1};
    pm_unfold u = regrow_by(&g);
    regrow_seed seed = {0, &g};
    int s = pm_unfold_map(&u, &seed, counted_ops(), NULL, &n);
    if (g.seeds) return -98;
    if (s == PM_OK) pm_drop(&n);
    return s;
}

static int grafter_at(void *ctx, void *seed, pm_sprout *here, const uint8_t *path, size_t len) {
    const pm_map *m = ctx;
    (void)path;
    if (len >= 40) {
        pm_val v = counted_new();
        int s = pm_sprout_val(here, v);
        if (s == PM_OK) s = pm_sprout_graft(here, "g", 1, m);
        return s;
    }
    int s = pm_sprout_graft(here, "graft and a long way to go until it comes to a root", 51, m);
    return s == PM_OK ? pm_sprout_child(here, "onward in steps", 15, seed) : s;
}

static int do_graft(const pm_map *m) {
    pm_map n;
    pm_unfold u = {.ctx = (void *)(uintptr_t)m, .at = grafter_at};
    int s = pm_unfold_map(&u, NULL, counted_ops(), NULL, &n);
    if (s == PM_OK) pm_drop(&n);
    return s;
}

static int do_hylo(const pm_map *m) {
    int64_t held = counted_held(); /* a hylo takes no values over */
    uint64_t calls = 0, n = 0;
    pm_map words = {0};
    int s = pm_set(&words, "some", 4, 1, NULL);
    if (s == PM_OK) s = pm_set(&words, "words", 5, 1, NULL);
    regrow g = {.from = &words, .state = 5, .seeds = 1, .grafts = true};
    pm_unfold u = regrow_by(&g);
    regrow_seed seed = {0, &g};
    for (unsigned flags = 0; flags < 4 && s == PM_OK; flags++) {
        pm_fold f = {.size = 8, .flags = flags, .ctx = &calls, .at = sat_at};
        g.seeds = 1;
        s = pm_hylo(&u, &seed, &f, &n);
        if (g.seeds) s = -97;
    }
    (void)m;
    pm_drop(&words);
    return counted_held() == held ? s : -96;
}

static int do_sample(const pm_map *m) {
    int s = PM_OK;
    for (unsigned what = 0; what < 2 && s == PM_OK; what++) {
        pm_sampler *p;
        const pm_rz *at;
        uint64_t state = 9;
        s = pm_sampler_new(m, (pm_sample)what, &p);
        if (s != PM_OK) return s;
        s = pm_sampler_draw(p, next_random, &state, &at);
        if (s == PM_OK) s = pm_sampler_at(p, 0, &at);
        pm_sampler_free(p);
    }
    return s;
}

TEST(everything_survives_running_out_of_memory) {
    static const operation all[] = {do_fold, do_hash, do_merkleize, do_unfold, do_graft, do_hylo, do_sample};
    for (unsigned i = 0; i < 3 * sizeof all / sizeof *all; i++) {
        pm_map m = random_map(&shapes[i % 3 ? 4 : 1], 80, 2, counted_ops()), copy = pm_clone(&m);
        operation run = all[i / 3];
        pm_pool_trim(NULL);
        int64_t held = counted_held();
        uint64_t blocks = check_live_blocks();
        pm_pool_stats a, b;
        pm_pool_get_stats(NULL, &a);
        for (uint64_t n = 1;; n++) {
            check_fail_allocs_from(n);
            int s = run(&m);
            uint64_t failed = check_alloc_fails();
            check_fail_alloc(0);
            pm_pool_trim(NULL);
            pm_pool_get_stats(NULL, &b);
            bool inside = PM_CHECK >= 3 && s == PM_OK; /* only the check of the result had no memory */
            CHECK_NOTE(failed ? s == PM_NOMEM || inside : s == PM_OK, "operation %u, allocation %" PRIu64 ": %d", i / 3,
                       n, s);
            CHECK_EQ(counted_held(), held);
            CHECK_EQ(b.nodes, a.nodes);
            CHECK_EQ(check_live_blocks(), blocks);
            if (!failed) break;
        }
        CHECK(m.root == copy.root);
        check_sound(&m);
        pm_drop(&m);
        pm_drop(&copy);
    }
    CHECK(counted_is_sound());
}

/* ---- depth ---- */

enum { DEEP = 1 << 20 };
static uint8_t deep[DEEP];

typedef struct ladder {
    size_t rungs;
    bool valued, forked;
} ladder;

/* A path of single bytes, with a value, or a side step, at each. */
static int ladder_at(void *ctx, void *seed, pm_sprout *here, const uint8_t *path, size_t len) {
    const ladder *l = ctx;
    int s = PM_OK;
    (void)path;
    if (*(int *)seed) return s;
    if (l->valued || len >= l->rungs) s = pm_sprout_val(here, len);
    if (len >= l->rungs) return s;
    if (s == PM_OK) s = pm_sprout_child(here, &deep[len], 1, &(int){0});
    if (s == PM_OK && l->forked) s = pm_sprout_child(here, "z", 1, &(int){1});
    return s;
}

static void deep_body(void) {
    for (unsigned i = 0; i < DEEP; i++) deep[i] = (uint8_t)('a' + i % 4 * 5 + i / 4099 % 3);
    for (unsigned kind = 0; kind < 3; kind++) {
        ladder l = {kind ? DEEP / 4 : DEEP, kind == 1, kind == 2};
        pm_unfold u = {.seed_size = sizeof(int), .ctx = &l, .at = ladder_at};
        pm_map m = {0};
        pm_hash128 h = {0, 0}, again = {0, 1};
        uint64_t calls = 0, n = 0, count = 0;
        CHECK_OK(pm_unfold_map(&u, &(int){0}, NULL, NULL, &m));
        CHECK_EQ(pm_check(&m, NULL), PM_OK);
        CHECK_OK(pm_val_count(&m, &count));
        CHECK_EQ(count, kind == 1 ? l.rungs + 1 : 1);
        for (unsigned flags = 0; flags < 4; flags++) {
            pm_fold f = {.size = 8, .flags = flags, .ctx = &calls, .at = sat_at};
            CHECK_OK(pm_fold_map(&m, &f, &n));
            CHECK_EQ(n, count);
            CHECK_OK(pm_hylo(&u, &(int){0}, &f, &n));
            CHECK_EQ(n, count);
        }
        CHECK_OK(pm_hash(&m, &h));
        pm_map c = pm_clone(&m);
        CHECK_OK(pm_merkleize(&c, NULL));
        CHECK_OK(pm_hash(&c, &again));
        CHECK_EQ(h.lo, again.lo);
        pm_drop(&c);
        pm_sampler *p;
        const pm_rz *at = NULL;
        CHECK_OK(pm_sampler_new(&m, PM_SAMPLE_VALS, &p));
        CHECK_OK(pm_sampler_at(p, count - 1, &at));
        pm_sampler_free(p);
        pm_drop(&m);
    }
}

static void *deep_main(void *arg) {
    (void)arg;
    deep_body();
    return NULL;
}

TEST(paths_of_a_megabyte_need_no_stack) { run_on_small_stack(deep_main, NULL); }
