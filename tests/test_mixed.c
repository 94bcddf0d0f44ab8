/* Mixed tries, each beside a map that is given the same content and the same changes: every outcome, every place, every
   walk must be the same, and what is committed to a store. Bases must be closed when nothing refers to them any more,
   and not before. */
#include "check.h"
#include "model.h"
#include "library.h"

#include "both.h"
#include "disks.h"
#include "shapes.h"
#include "streams.h"
#include "stress.h"
#include "walks.h"

static const shape mixed_shapes[] = {{2, 3, 12, 100}, {3, 12, 60, 100},   {7, 2, 6, 100},     {4, 200, 300, 100},
                                     SHAPE_OF_PARTS,  SHAPE_OF_FEW_PARTS, SHAPE_OF_LONG_PARTS};

/* ---- bases ---- */

typedef struct block {
    stream bytes;
    pm_base *base;
    pm_map maps[2]; /* what it holds */
    const pm_ops *ops;
    bool closed;
} block;

static void close_block(void *ctx) {
    block *b = ctx;
    CHECK(!b->closed);
    b->closed = true;
    memset(b->bytes.data, 0xa5, b->bytes.len); /* whoever still reads it notices */
    stream_free(&b->bytes);
}

static void block_open(block *b, const pm_ops *ops, const shape *s, unsigned edits) {
    both random = both_new(ops);
    pm_image image;
    pm_image_reading reading = {.ops = ops};
    *b = (block){.ops = ops};
    for (unsigned i = 0; i < 2; i++) {
        both_edit(&random, s, i ? edits / 8 : edits);
        b->maps[i] = pm_clone(&random.map);
    }
    CHECK_OK(pm_image_write(b->maps, 2, stream_write, &b->bytes, NULL, NULL, NULL));
    CHECK_OK(pm_image_open(b->bytes.data, b->bytes.len, &image, NULL));
    CHECK_OK(pm_base_open(&image, &reading, close_block, b, &b->base));
    both_drop(&random);
}

static void block_drop_maps(block *b) {
    pm_drop(&b->maps[0]);
    pm_drop(&b->maps[1]);
}

/* ---- a trie beside a map ---- */

typedef struct twin {
    pm_mixed m;
    pm_map map;
} twin;

static void twin_graft(pm_map *map, const key *k, const pm_map *src) {
    pm_wz w;
    CHECK_OK(pm_wz_open(map, k->data, k->len, &w));
    CHECK_OK(pm_wz_graft_map(&w, src));
    CHECK_OK(pm_wz_drop(&w));
}

static void twin_change(twin *t, block *b, const shape *s, key *k) {
    unsigned i = (unsigned)check_below(2), what = (unsigned)check_below(20);
    bool x = false, y = false;
    size_t n = 0, o = 0;
    pm_opt old = {0, false}, gone = {0, false};
    pm_prune prune = check_below(2) ? PM_PRUNE : PM_KEEP;
    pm_val v = some_value(b->ops);
    next_key(s, k);
    if (what < 8) {
        CHECK_OK(pm_mixed_set(&t->m, k->data, k->len, v, &old));
        CHECK_OK(pm_set(&t->map, k->data, k->len, v, &gone));
    } else if (what < 12) {
        CHECK_OK(pm_mixed_remove(&t->m, k->data, k->len, prune, &old));
        CHECK_OK(pm_remove(&t->map, k->data, k->len, prune, &gone));
    } else if (what < 14) {
        CHECK_OK(pm_mixed_create_path(&t->m, k->data, k->len, &x));
        CHECK_OK(pm_create_path(&t->map, k->data, k->len, &y));
    } else if (what < 16) {
        CHECK_OK(pm_mixed_prune_path(&t->m, k->data, k->len, &n));
        CHECK_OK(pm_prune_path(&t->map, k->data, k->len, &o));
    } else if (what < 18) {
        CHECK_OK(pm_mixed_remove_branches(&t->m, k->data, k->len, prune, &x));
        CHECK_OK(pm_remove_branches(&t->map, k->data, k->len, prune, &y));
    } else {
        if (check_below(3) == 0) k->len = 0;
        if (what == 18) CHECK_OK(pm_mixed_hang(&t->m, k->data, k->len, b->base, i));
        else CHECK_OK(pm_mixed_graft(&t->m, k->data, k->len, &b->maps[i]));
        twin_graft(&t->map, k, &b->maps[i]);
    }
    CHECK_EQ(x, y);
    CHECK_EQ(n, o);
    CHECK_EQ(old.some, gone.some);
    if (old.some) CHECK_EQ(old.val, gone.val);
}

static bool no_change(void *ctx, const pm_change *c) {
    ++*(uint64_t *)ctx;
    CHECK_NOTE(false, "kind %d at %d bytes", (int)c->kind, (int)c->len);
    return false;
}

/* Whether both hold the same, dangling locations included. */
static void twin_same(const twin *t) {
    pm_rz a, b;
    uint64_t n = 0;
    CHECK_OK(pm_rz_open(&t->map, NULL, 0, &a));
    CHECK_OK(pm_mixed_rz(&t->m, &b));
    CHECK_OK(pm_rz_diff(&a, &b, no_change, &n));
    CHECK_EQ(n, 0);
    pm_rz_drop(&a);
    pm_rz_drop(&b);
    check_sound(&t->m.own);
    check_sound(&t->m.hung);
}

static void twin_walk(const twin *t, const shape *s) {
    pm_rz a, b, c;
    CHECK_OK(pm_rz_open(&t->map, NULL, 0, &a));
    CHECK_OK(pm_mixed_rz(&t->m, &b));
    check_same_place(&a, &b);
    check_walks(&a, &b);
    check_moves(&a, &b, s, 100);
    CHECK_OK(check_below(2) ? pm_rz_fork_owned(&b, &c) : pm_rz_fork(&b, &c));
    CHECK_OK(pm_rz_fork(&a, &a));
    check_same_place(&a, &c);
    check_walks(&a, &c);
    check_moves(&a, &c, s, 50);
    pm_rz_drop(&a);
    pm_rz_drop(&b);
    pm_rz_drop(&c);
}

static void twin_gets(const twin *t, const shape *s) {
    key k = {0, {0}};
    pm_opt got;
    bool exists;
    for (unsigned n = 0; n < 60; n++) {
        const pm_val *v = pm_get(&t->map, k.data, k.len);
        CHECK_OK(pm_mixed_get(&t->m, k.data, k.len, &got));
        CHECK(got.some == (v != NULL) && (!v || got.val == *v));
        CHECK_OK(pm_mixed_path_exists(&t->m, k.data, k.len, &exists));
        CHECK_EQ(exists, pm_path_exists(&t->map, k.data, k.len));
        next_key(s, &k);
    }
    for (pm_iter it = pm_iter_vals(&t->map); pm_iter_next(&it);) {
        CHECK_OK(pm_mixed_get(&t->m, it.key, it.len, &got));
        CHECK(got.some && got.val == *it.val);
    }
}

static void twin_materialise(const twin *t) {
    pm_map m;
    bool same = false;
    CHECK_OK(pm_materialise(&t->m, &m));
    check_sound(&m);
    CHECK_OK(pm_equal(&m, &t->map, &same));
    CHECK(same);
    pm_drop(&m);
}

/* The differences of two tries are those of their maps. */
static bool count_change(void *ctx, const pm_change *c) {
    *(uint64_t *)ctx += 1 + c->len * 7 + c->before.val + 3 * c->after.val + c->dangles;
    return true;
}

static void twin_differences(const twin *was, const twin *is) {
    pm_rz a, b;
    uint64_t want = 0, got = 0;
    CHECK_OK(pm_mixed_rz(&was->m, &a));
    CHECK_OK(pm_mixed_rz(&is->m, &b));
    CHECK_OK(pm_diff(&was->map, &is->map, count_change, &want));
    CHECK_OK(pm_rz_diff(&a, &b, count_change, &got));
    CHECK_EQ(want, got);
    pm_rz_drop(&a);
    pm_rz_drop(&b);
}

static twin twin_clone(const twin *t) { return (twin){pm_mixed_clone(&t->m), pm_clone(&t->map)}; }
static void twin_drop(twin *t) {
    pm_mixed_drop(&t->m);
    pm_drop(&t->map);
}

TEST(mixed_tries_are_what_maps_of_their_content_are) {
    for (unsigned i = 0; i < 30; i++) {
        const shape *s = &mixed_shapes[i % 7];
        block b;
        key k = {0, {0}};
        block_open(&b, table(i), s, 120);
        twin t = {pm_mixed_new(table(i), NULL), pm_new(table(i), NULL)}, was;
        if (i % 3) {
            CHECK_OK(pm_mixed_hang(&t.m, NULL, 0, b.base, 0));
            t.map = pm_clone(&b.maps[0]);
        }
        was = twin_clone(&t);
        for (unsigned n = 0; n < 80; n++) {
            twin_change(&t, &b, s, &k);
            if (n % 8 == 0) twin_same(&t);
            if (n % 20 == 0) {
                twin_gets(&t, s);
                twin_walk(&t, s);
                twin_materialise(&t);
                twin_differences(&was, &t);
                twin_differences(&t, &was);
                twin_same(&was);
                if (check_below(2)) twin_drop(&was), was = twin_clone(&t);
            }
        }
        twin_same(&t);
        pm_base_close(b.base);
        twin_drop(&t);
        twin_drop(&was);
        CHECK(b.closed);
        block_drop_maps(&b);
    }
}

TEST(what_hangs_below_a_dangling_location_goes_on_from_it) {
    block b;
    static const key ends[3] = {{2, {'a', 'b'}}, {4, {'a', 'b', 'c', 'd'}}, {0, {0}}}, at = {4, {'a', 'b', 'c', 'd'}};
    block_open(&b, pm_ops_left(), &mixed_shapes[1], 100);
    for (unsigned i = 0; i < 3; i++) {
        twin t = {pm_mixed_new(pm_ops_left(), NULL), pm_new(pm_ops_left(), NULL)};
        CHECK_OK(pm_mixed_create_path(&t.m, ends[i].data, ends[i].len, NULL));
        CHECK_OK(pm_create_path(&t.map, ends[i].data, ends[i].len, NULL));
        CHECK_OK(pm_mixed_hang(&t.m, at.data, at.len, b.base, 0));
        twin_graft(&t.map, &at, &b.maps[0]);
        twin_same(&t);
        twin_materialise(&t);
        twin_drop(&t);
    }
    pm_base_close(b.base);
    block_drop_maps(&b);
}

/* ---- ownership ---- */

TEST(bases_stay_open_as_long_as_anything_refers_to_them) {
    block b;
    pm_rz z, kept;
    block_open(&b, pm_ops_lattice(), &mixed_shapes[1], 100);
    pm_mixed m = pm_mixed_new(pm_ops_lattice(), NULL), clone;
    CHECK_OK(pm_mixed_hang(&m, "a", 1, b.base, 0));
    CHECK_OK(pm_mixed_hang(&m, "b", 1, b.base, 1));
    pm_base_close(b.base);
    CHECK(!b.closed);
    clone = pm_mixed_clone(&m);
    CHECK_OK(pm_mixed_rz(&m, &z));
    CHECK_OK(pm_rz_fork_owned(&z, &kept));
    pm_rz_drop(&z);
    pm_mixed_drop(&m);
    CHECK(!b.closed);
    CHECK_OK(pm_mixed_remove_branches(&clone, NULL, 0, PM_KEEP, NULL));
    CHECK(pm_mixed_hanging(&clone) == 0 && !b.closed);
    uint64_t n, p, q;
    CHECK_OK(pm_rz_val_count(&kept, &n));
    CHECK_OK(pm_val_count(&b.maps[0], &p));
    CHECK_OK(pm_val_count(&b.maps[1], &q));
    CHECK_EQ(n, p + q);
    pm_rz_drop(&kept);
    CHECK(b.closed);
    pm_mixed_drop(&clone);
    block_drop_maps(&b);
    /* A base that nothing ever hung. */
    block_open(&b, pm_ops_lattice(), &mixed_shapes[0], 10);
    pm_base_close(b.base);
    CHECK(b.closed);
    pm_base_close(NULL);
    block_drop_maps(&b);
}

TEST(materialised_maps_and_removed_subtries_let_go) {
    block b;
    pm_map made;
    block_open(&b, pm_ops_sum(), &mixed_shapes[2], 100);
    pm_mixed m = pm_mixed_of_map(&b.maps[1]);
    CHECK_OK(pm_mixed_hang(&m, "there", 5, b.base, 0));
    pm_base_close(b.base);
    CHECK_OK(pm_materialise(&m, &made));
    pm_mixed_drop(&m);
    CHECK(b.closed);
    uint64_t n, p, q;
    CHECK_OK(pm_val_count(&made, &n));
    CHECK_OK(pm_val_count(&b.maps[0], &p));
    CHECK_OK(pm_val_count(&b.maps[1], &q));
    CHECK_EQ(n, p + q);
    pm_drop(&made);
    block_drop_maps(&b);
}

/* ---- sharing ---- */

static uint64_t nodes_of(const pm_map *m) {
    pm_stats stats;
    CHECK_OK(pm_get_stats(m, &stats));
    return stats.nodes;
}

TEST(what_hangs_in_several_places_is_loaded_once) {
    pm_map big = {0}, one, made;
    stream s = {0};
    pm_image image;
    pm_base *base;
    pm_mixed m = {{0}, {0}};
    for (unsigned i = 0; i < 3000; i++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(&big, &r, sizeof r, i, NULL));
    }
    CHECK_OK(pm_image_write(&big, 1, stream_write, &s, NULL, NULL, NULL));
    CHECK_OK(pm_image_open(s.data, s.len, &image, NULL));
    CHECK_OK(pm_image_load(&image, NULL, &one, NULL));
    CHECK_OK(pm_base_open(&image, NULL, NULL, NULL, &base));
    CHECK_OK(pm_mixed_hang(&m, "a/", 2, base, 0));
    CHECK_OK(pm_mixed_hang(&m, "b/", 2, base, 0));
    CHECK_OK(pm_mixed_hang(&m, "b!far", 5, base, 0));
    CHECK_OK(pm_mixed_set(&m, "a/", 2, 7, NULL)); /* which changes nothing below */
    CHECK_OK(pm_materialise(&m, &made));
    check_sound(&made);
    CHECK_NOTE(nodes_of(&made) < nodes_of(&one) + 8, "%d nodes", (int)nodes_of(&made));
    uint64_t n;
    CHECK_OK(pm_val_count(&made, &n));
    CHECK_EQ(n, 9001);
    pm_drop(&made);
    for (unsigned i = 0; i < 20; i++) { /* changes on one of them leave the rest shared */
        uint64_t r = check_rand();
        char at[10] = "b/";
        memcpy(at + 2, &r, sizeof r);
        CHECK_OK(pm_mixed_set(&m, at, sizeof at, i, NULL));
    }
    CHECK_OK(pm_materialise(&m, &made));
    CHECK_NOTE(nodes_of(&made) < nodes_of(&one) + 150, "%d nodes", (int)nodes_of(&made));
    pm_drop(&made);
    pm_drop(&one);
    pm_drop(&big);
    pm_mixed_drop(&m);
    pm_base_close(base);
    stream_free(&s);
}

TEST(what_an_image_shares_stays_shared) {
    pm_map m = {0}, made;
    stream s = {0};
    pm_image image;
    pm_base *base;
    CHECK_OK(pm_set(&m, "some key that is long", 21, 1, NULL));
    for (unsigned i = 0; i < 40; i++) { /* twice as many values each time */
        pm_map twice = {0};
        key k = {1, {'a'}};
        twin_graft(&twice, &k, &m);
        k.data[0] = 'b';
        twin_graft(&twice, &k, &m);
        pm_drop(&m);
        m = twice;
    }
    CHECK_OK(pm_image_write(&m, 1, stream_write, &s, NULL, NULL, NULL));
    CHECK_OK(pm_image_open(s.data, s.len, &image, NULL));
    CHECK_OK(pm_base_open(&image, NULL, NULL, NULL, &base));
    pm_mixed x = pm_mixed_new(NULL, NULL);
    CHECK_OK(pm_mixed_hang(&x, "x", 1, base, 0));
    CHECK_OK(pm_mixed_set(&x, "xabab", 5, 3, NULL));
    CHECK_OK(pm_materialise(&x, &made));
    uint64_t n;
    CHECK_OK(pm_val_count(&made, &n));
    CHECK_EQ(n, ((uint64_t)1 << 40) + 1);
    pm_drop(&made);
    pm_drop(&m);
    pm_mixed_drop(&x);
    pm_base_close(base);
    stream_free(&s);
}

/* ---- stores ---- */

enum { VERSIONS = 64 };

typedef struct shelf {
    disk d;
    pm_files files;
    pm_store *s;
    const pm_ops *ops;
    pm_map list[VERSIONS]; /* what was committed */
    unsigned n;
} shelf;

static void shelf_open(shelf *h) {
    pm_store_options options = {.create = true, .files = &h->files, .identity = {1, 2}};
    pm_error why = {PM_OK, 0, ""};
    CHECK_NOTE(pm_store_open("s", &options, &h->s, &why) == PM_OK, "%s at %d", why.msg, (int)why.offset);
}

static void shelf_begin(shelf *h, const pm_ops *ops, bool maps) {
    memset(h, 0, sizeof *h);
    h->files = disk_files(&h->d, maps);
    h->ops = ops;
    shelf_open(h);
}

static void shelf_end(shelf *h) {
    pm_store_close(h->s);
    for (unsigned i = 0; i < h->n; i++) pm_drop(&h->list[i]);
    CHECK_EQ(h->d.maps, 0);
    disk_free(&h->d);
}

static pm_base *shelf_base(shelf *h, unsigned i) {
    pm_image_reading reading = {.ops = h->ops};
    pm_commit v;
    pm_base *b = NULL;
    CHECK_OK(pm_store_at(h->s, i + 1, &v));
    CHECK_OK(pm_base_of_commit(&v, &reading, &b));
    pm_commit_drop(&v);
    return b;
}

static void shelf_check(shelf *h) {
    pm_image_reading reading = {.ops = h->ops};
    pm_error why = {PM_OK, 0, ""};
    pm_commit v;
    pm_rz a, b;
    uint64_t n = 0;
    CHECK_OK(pm_store_newest(h->s, NULL, &v));
    CHECK_EQ(v.sequence, h->n);
    CHECK_OK(pm_rz_open(&h->list[h->n - 1], NULL, 0, &a));
    CHECK_OK(pm_image_rz(&v.image, 0, &reading, &b));
    CHECK_OK(pm_rz_diff(&a, &b, no_change, &n));
    CHECK_EQ(n, 0);
    pm_rz_drop(&a);
    pm_rz_drop(&b);
    pm_commit_drop(&v);
    CHECK_NOTE(pm_store_verify(h->s, &why) == PM_OK, "%s at %d", why.msg, (int)why.offset);
}

static void twin_commit(const twin *t, shelf *h) {
    pm_error why = {PM_OK, 0, ""};
    CHECK_NOTE(pm_store_commit_mixed(h->s, &t->m, NULL, &why) == PM_OK, "%s at %d", why.msg, (int)why.offset);
    h->list[h->n++] = pm_clone(&t->map);
    shelf_check(h);
}

/* Hangs a version in the place of what is at a key. */
static void twin_hang_version(twin *t, shelf *h, unsigned i, const key *k) {
    pm_base *b = shelf_base(h, i);
    CHECK_OK(pm_mixed_hang(&t->m, k->data, k->len, b, 0));
    pm_base_close(b);
    twin_graft(&t->map, k, &h->list[i]);
}

static bool keep_all(void *ctx, const pm_commit *v) {
    (void)ctx, (void)v;
    return true;
}

TEST(mixed_tries_are_committed_beside_maps) {
    for (unsigned i = 0; i < 40; i++) {
        const shape *s = &mixed_shapes[i % 4];
        block b;
        shelf h;
        key k = {0, {0}}, top = {0, {0}};
        block_open(&b, table(i), s, 80);
        shelf_begin(&h, table(i), i % 2);
        twin t = {pm_mixed_new(table(i), NULL), pm_new(table(i), NULL)};
        for (unsigned n = 0; n < 60; n++) {
            twin_change(&t, &b, s, &k);
            unsigned what = (unsigned)check_below(14);
            if (what < 4 && h.n < VERSIONS) twin_commit(&t, &h);
            if (what == 4 && h.n < VERSIONS) twin_commit(&t, &h), twin_hang_version(&t, &h, h.n - 1, &top);
            if (what == 5 && h.n) twin_hang_version(&t, &h, (unsigned)check_below(h.n), &k);
            if (what == 6) CHECK_OK(pm_store_compact(h.s, keep_all, NULL, NULL));
            if (what == 7) pm_store_close(h.s), shelf_open(&h);
            if (what == 8 && h.n && h.n < VERSIONS) { /* a commit of a map between */
                CHECK_OK(pm_store_commit(h.s, &t.map, NULL, NULL));
                h.list[h.n++] = pm_clone(&t.map);
                shelf_check(&h);
            }
            twin_same(&t);
        }
        twin_materialise(&t);
        pm_base_close(b.base);
        pm_store_close(h.s);
        h.s = NULL;
        twin_same(&t); /* versions stay open with what hangs of them */
        twin_drop(&t);
        shelf_end(&h);
        CHECK(b.closed);
        block_drop_maps(&b);
    }
}

TEST(a_commit_of_a_mixed_trie_writes_what_has_changed) {
    shelf h;
    pm_map big = {0};
    pm_mixed m = {{0}, {0}};
    pm_pool_stats before, after;
    pm_commit v;
    shelf_begin(&h, NULL, true);
    for (unsigned i = 0; i < 30000; i++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(&big, &r, sizeof r, i, NULL));
    }
    CHECK_OK(pm_store_commit(h.s, &big, NULL, NULL));
    pm_store_close(h.s); /* what it knows of the map */
    shelf_open(&h);
    pm_base *b = shelf_base(&h, 0);
    CHECK_OK(pm_mixed_hang(&m, NULL, 0, b, 0));
    pm_base_close(b);
    for (unsigned n = 1; n < 20; n++) {
        pm_pool_get_stats(NULL, &before);
        for (unsigned i = 0; i < n; i++) {
            uint64_t r = check_rand();
            CHECK_OK(pm_mixed_set(&m, &r, sizeof r, i, NULL));
            CHECK_OK(pm_set(&big, &r, sizeof r, i, NULL));
        }
        CHECK_OK(pm_store_commit_mixed(h.s, &m, NULL, NULL));
        pm_pool_get_stats(NULL, &after);
        CHECK_OK(pm_store_last(h.s, &v));
        CHECK_NOTE(v.size < 160 + n * 2600, "%d bytes for %d changes", (int)v.size, (int)n);
        CHECK_NOTE(after.nodes < before.nodes + n * 12, "%d nodes", (int)(after.nodes - before.nodes));
        pm_mixed_drop(&m);
        m = pm_mixed_new(NULL, NULL);
        CHECK_OK(pm_base_of_commit(&v, NULL, &b));
        CHECK_OK(pm_mixed_hang(&m, NULL, 0, b, 0));
        pm_base_close(b);
        pm_commit_drop(&v);
    }
    twin t = {m, big};
    twin_same(&t);
    twin_drop(&t);
    CHECK_OK(pm_store_verify(h.s, NULL));
    shelf_end(&h);
}

TEST(a_commit_of_a_mixed_trie_fails_without_effect) {
    for (unsigned i = 0; i < 12; i++) {
        const shape *s = &mixed_shapes[i % 4];
        block b;
        shelf h;
        key k = {0, {0}}, top = {0, {0}};
        block_open(&b, table(i), s, 50);
        shelf_begin(&h, table(i), i % 2);
        twin t = {pm_mixed_new(table(i), NULL), pm_clone(&b.maps[0])};
        CHECK_OK(pm_mixed_hang(&t.m, NULL, 0, b.base, 0));
        twin_commit(&t, &h);
        twin_hang_version(&t, &h, 0, &top);
        for (unsigned n = 0; n < 8; n++) twin_change(&t, &b, s, &k);
        pm_status st = PM_NOMEM;
        for (uint64_t n = 1; st == PM_NOMEM; n++) {
            check_fail_alloc(n);
            st = pm_store_commit_mixed(h.s, &t.m, NULL, NULL);
            check_fail_alloc(0);
            CHECK(st == PM_OK || st == PM_NOMEM);
            if (st == PM_NOMEM) shelf_check(&h);
        }
        h.list[h.n++] = pm_clone(&t.map);
        shelf_check(&h);
        st = PM_IO;
        for (uint64_t n = 1; st == PM_IO; n++) { /* the n-th call to the disk fails, but for syncs: these end a store */
            h.d.calls = 0, h.d.fail_at = n;
            st = pm_store_commit_mixed(h.s, &t.m, NULL, NULL);
            h.d.fail_at = 0;
            CHECK(st == PM_OK || st == PM_IO);
            pm_store_info info;
            pm_store_get_info(h.s, &info);
            if (!info.failed) continue;
            pm_store_close(h.s);
            shelf_open(&h);
            pm_store_get_info(h.s, &info);
            if (info.sequence > h.n) h.list[h.n++] = pm_clone(&t.map); /* it may be there or not */
            shelf_check(&h);
        }
        h.list[h.n++] = pm_clone(&t.map);
        shelf_check(&h);
        pm_image_reading reading = {.ops = table(i)};
        pm_commit v, none;
        pm_base *base = NULL;
        memset(&none, 0, sizeof none);
        CHECK_OK(pm_store_last(h.s, &v));
        check_fail_alloc(1);
        CHECK_EQ(pm_base_of_commit(&v, &reading, &base), PM_NOMEM);
        check_fail_alloc(0);
        CHECK_EQ(pm_base_of_commit(&none, &reading, &base), PM_INVALID);
        CHECK(base == NULL);
        pm_commit_drop(&v);
        pm_base_close(b.base);
        twin_drop(&t);
        shelf_end(&h);
        block_drop_maps(&b);
    }
}

TEST(a_damaged_version_is_not_built_upon) {
    for (unsigned i = 0; i < 60; i++) {
        const shape *s = &mixed_shapes[i % 4];
        shelf h;
        key k = {0, {0}}, top = {0, {0}};
        both random = both_new(table(i));
        shelf_begin(&h, table(i), true);
        both_edit(&random, s, 60);
        twin t = {pm_mixed_of_map(&random.map), pm_clone(&random.map)};
        twin_commit(&t, &h);
        twin_hang_version(&t, &h, 0, &top);
        disk_inode *file = &h.d.inodes[*disk_lookup(&h.d, "s", false) - 1];
        for (unsigned n = 0; n < 3 && file->size > 64 + 160; n++)
            file->data[64 + check_below(file->size - 64 - 160)] ^= (uint8_t)(1 << n);
        for (unsigned n = 0; n < 10; n++) {
            next_key(s, &k);
            pm_status st = pm_mixed_set(&t.m, k.data, k.len, some_value(table(i)), NULL);
            CHECK(st == PM_OK || st == PM_CORRUPT);
            pm_error why = {PM_OK, 0, ""};
            st = pm_store_commit_mixed(h.s, &t.m, NULL, &why);
            CHECK(st == why.code && (st == PM_OK || st == PM_CORRUPT));
            if (st == PM_CORRUPT) CHECK_NOTE(strstr(why.msg, "damaged"), "%s", why.msg);
        }
        twin_drop(&t);
        shelf_end(&h);
        both_drop(&random);
    }
}

/* ---- threads ---- */

#if !PM_NO_THREADS
enum { THREADS = 3 };

typedef struct worker {
    const pm_mixed *m; /* of all threads */
    const pm_map *map; /* what it holds */
    uint64_t seed, turns;
    unsigned wrong;
} worker;

static size_t worker_key(worker *w, uint8_t out[4]) {
    w->seed = w->seed * 6364136223846793005u + 1442695040888963407u;
    for (unsigned i = 0; i < 4; i++) out[i] = (uint8_t)('a' + (w->seed >> (33 + 4 * i)) % 5);
    return 1 + (w->seed >> 60) % 4;
}

/* Changes a clone, which leaves the trie that all have as it is. */
static void worker_turn(worker *w) {
    pm_mixed mine = pm_mixed_clone(w->m);
    pm_map made, twin_map = pm_clone(w->map);
    pm_rz z;
    uint64_t n = 0, want = 0;
    for (unsigned i = 0; i < 12; i++) {
        uint8_t k[4];
        size_t len = worker_key(w, k);
        pm_opt got;
        const pm_val *v = pm_get(w->map, k, len);
        w->wrong += pm_mixed_get(w->m, k, len, &got) != PM_OK || got.some != (v != NULL) || (v && got.val != *v);
        if (i % 3) {
            w->wrong += pm_mixed_set(&mine, k, len, i, NULL) != PM_OK || pm_set(&twin_map, k, len, i, NULL) != PM_OK;
        } else {
            w->wrong += pm_mixed_remove(&mine, k, len, PM_PRUNE, NULL) != PM_OK;
            w->wrong += pm_remove(&twin_map, k, len, PM_PRUNE, NULL) != PM_OK;
        }
    }
    w->wrong += pm_mixed_rz(&mine, &z) != PM_OK || pm_rz_val_count(&z, &n) != PM_OK;
    w->wrong += pm_val_count(&twin_map, &want) != PM_OK || n != want;
    pm_rz_drop(&z);
    if (w->turns % 4 == 0) {
        bool same = false;
        w->wrong += pm_materialise(&mine, &made) != PM_OK || pm_equal(&made, &twin_map, &same) != PM_OK || !same;
        pm_drop(&made);
    }
    pm_mixed_drop(&mine);
    pm_drop(&twin_map);
}

static void *work(void *ctx) {
    worker *w = ctx;
    double end = now() + stress_seconds();
    for (; !w->wrong && now() < end; w->turns++) worker_turn(w);
    return NULL;
}

TEST(clones_of_several_threads) {
    need_threads();
    pthread_t threads[THREADS];
    worker workers[THREADS];
    pm_map map = pm_new(pm_ops_left(), NULL);
    worker fill = {.seed = 5};
    for (unsigned i = 0; i < 300; i++) {
        uint8_t k[4];
        size_t len = worker_key(&fill, k);
        CHECK_OK(pm_set(&map, k, len, i, NULL));
    }
    stream bytes = {0};
    pm_image image;
    pm_base *base;
    CHECK_OK(pm_image_write(&map, 1, stream_write, &bytes, NULL, NULL, NULL));
    CHECK_OK(pm_image_open(bytes.data, bytes.len, &image, NULL));
    block closing = {.bytes = bytes};
    CHECK_OK(pm_base_open(&image, &(pm_image_reading){.ops = pm_ops_left()}, close_block, &closing, &base));
    pm_mixed m = pm_mixed_new(pm_ops_left(), NULL);
    CHECK_OK(pm_mixed_hang(&m, NULL, 0, base, 0));
    pm_base_close(base);
    CHECK_OK(pm_mixed_set(&m, "abc", 3, 77, NULL));
    CHECK_OK(pm_set(&map, "abc", 3, 77, NULL));
    uint64_t turns = 0;
    for (unsigned i = 0; i < THREADS; i++) {
        workers[i] = (worker){.m = &m, .map = &map, .seed = i};
        CHECK(pthread_create(&threads[i], NULL, work, &workers[i]) == 0);
    }
    for (unsigned i = 0; i < THREADS; i++) {
        CHECK(pthread_join(threads[i], NULL) == 0);
        CHECK_EQ(workers[i].wrong, 0);
        turns += workers[i].turns;
    }
    stress_say(THREADS, turns, stress_seconds());
    CHECK(!closing.closed);
    pm_mixed_drop(&m);
    CHECK(closing.closed);
    pm_drop(&map);
}
#endif

/* ---- cost ---- */

TEST(a_change_takes_memory_for_its_way_only) {
    pm_map big = {0};
    stream s = {0};
    pm_image image;
    pm_base *base;
    pm_pool_stats before, after;
    pm_mixed m = {{0}, {0}};
    for (unsigned i = 0; i < 30000; i++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(&big, &r, sizeof r, i, NULL));
    }
    CHECK_OK(pm_image_write(&big, 1, stream_write, &s, NULL, NULL, NULL));
    pm_drop(&big);
    CHECK_OK(pm_image_open(s.data, s.len, &image, NULL));
    CHECK_OK(pm_base_open(&image, NULL, NULL, NULL, &base));
    pm_pool_get_stats(NULL, &before);
    CHECK_OK(pm_mixed_hang(&m, NULL, 0, base, 0));
    CHECK_EQ(pm_mixed_hanging(&m), 1);
    for (unsigned i = 0; i < 100; i++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_mixed_set(&m, &r, sizeof r, i, NULL));
    }
    pm_pool_get_stats(NULL, &after);
    CHECK_NOTE(pm_mixed_hanging(&m) < 400, "%d places", (int)pm_mixed_hanging(&m));
    CHECK_NOTE(after.nodes < before.nodes + 200, "%d nodes", (int)(after.nodes - before.nodes));
    pm_mixed_drop(&m);
    pm_base_close(base);
    stream_free(&s);
}

/* ---- strings ---- */

TEST(values_made_of_strings_have_their_owners) {
    pm_map src = pm_new(pm_ops_bytes(), NULL), made;
    stream s = {0};
    pm_image image;
    pm_image_reading reading = {.ops = pm_ops_bytes()};
    pm_base *base;
    pm_opt got, old;
    size_t len;
    static const char *const keys[] = {"one", "only", "onto", "two", "twin", ""};
    for (unsigned i = 0; i < 6; i++) {
        pm_val v;
        CHECK_OK(pm_bytes_new(keys[i], strlen(keys[i]), &v));
        CHECK_OK(pm_set(&src, keys[i], strlen(keys[i]), v, NULL));
    }
    CHECK_OK(pm_image_write(&src, 1, stream_write, &s, NULL, NULL, NULL));
    CHECK_OK(pm_image_open(s.data, s.len, &image, NULL));
    CHECK_OK(pm_base_open(&image, &reading, NULL, NULL, &base));
    pm_mixed m = pm_mixed_new(pm_ops_bytes(), NULL);
    CHECK_OK(pm_mixed_hang(&m, "x/", 2, base, 0));
    for (unsigned i = 0; i < 6; i++) {
        char way[16] = "x/";
        memcpy(way + 2, keys[i], strlen(keys[i]) + 1);
        for (unsigned twice = 0; twice < 2; twice++) {
            CHECK_OK(pm_mixed_get(&m, way, strlen(way), &got));
            CHECK(got.some);
            const void *data = pm_bytes_get(got.val, &len);
            CHECK_MEM_EQ(data, len, keys[i], strlen(keys[i]));
            pm_bytes_release_with(got.val, NULL);
            CHECK_OK(pm_mixed_create_path(&m, "x/onlyfans", 10, NULL));
        }
    }
    CHECK_OK(pm_mixed_remove(&m, "x/two", 5, PM_PRUNE, &old));
    CHECK(old.some);
    pm_bytes_release_with(old.val, NULL);
    CHECK_OK(pm_materialise(&m, &made));
    uint64_t n;
    CHECK_OK(pm_val_count(&made, &n));
    CHECK_EQ(n, 5);
    pm_drop(&made);
    CHECK_EQ(pm_mixed_hang(&m, "y", 1, base, 1), PM_INVALID);
    pm_mixed other = pm_mixed_new(pm_ops_sum(), NULL);
    CHECK_EQ(pm_mixed_hang(&other, "y", 1, base, 0), PM_MISMATCH);
    CHECK_EQ(pm_mixed_graft(&other, "y", 1, &src), PM_MISMATCH);
    pm_mixed_drop(&other);
    pm_mixed_drop(&m);
    pm_base_close(base);
    stream_free(&s);
    pm_drop(&src);
}

static unsigned makes_left;
static pm_status make_some(void *ctx, const void *data, size_t len, pm_val *val) {
    (void)ctx, (void)data;
    *val = len;
    return makes_left-- ? PM_OK : PM_BUSY;
}

TEST(a_value_that_cannot_be_made_ends_a_change_without_effect) {
    pm_map src = pm_new(pm_ops_bytes(), NULL), made;
    stream s = {0};
    pm_image image;
    pm_image_reading reading = {.ops = pm_ops_left(), .make = make_some};
    pm_base *base;
    pm_opt got;
    pm_val v;
    pm_mixed m = {{0}, {0}};
    CHECK_OK(pm_bytes_new("abc", 3, &v));
    CHECK_OK(pm_set(&src, "key", 3, v, NULL));
    CHECK_OK(pm_image_write(&src, 1, stream_write, &s, NULL, NULL, NULL));
    CHECK_OK(pm_image_open(s.data, s.len, &image, NULL));
    CHECK_OK(pm_base_open(&image, &reading, NULL, NULL, &base));
    CHECK_OK(pm_mixed_hang(&m, NULL, 0, base, 0));
    makes_left = 0;
    CHECK_EQ(pm_mixed_set(&m, "keys", 4, 1, NULL), PM_BUSY);
    makes_left = 0;
    CHECK_EQ(pm_materialise(&m, &made), PM_BUSY);
    makes_left = 0;
    CHECK_EQ(pm_mixed_get(&m, "key", 3, &got), PM_BUSY);
    makes_left = 1;
    CHECK_OK(pm_mixed_get(&m, "key", 3, &got));
    CHECK(got.some && got.val == 3 && pm_mixed_hanging(&m) == 1);
    pm_mixed_drop(&m);
    pm_base_close(base);
    stream_free(&s);
    pm_drop(&src);
}

/* ---- failure ---- */

/* Whether two zippers that have moved stand at the same place; a failure of either ends the walk, and moves nowhere. */
static bool beside(const pm_rz *a, bool moved_a, const pm_rz *b, bool moved_b) {
    if (pm_rz_status(a) != PM_OK) CHECK(!moved_a);
    if (pm_rz_status(b) != PM_OK) CHECK(!moved_b);
    if (pm_rz_status(a) != PM_OK || pm_rz_status(b) != PM_OK) return false;
    CHECK_EQ(moved_a, moved_b);
    if (!moved_a) return false;
    size_t m, n;
    const uint8_t *p = pm_rz_path(a, &m), *q = pm_rz_path(b, &n);
    const pm_val *v = pm_rz_val(a), *w = pm_rz_val(b); /* looking may fail too */
    if (pm_rz_status(a) != PM_OK || pm_rz_status(b) != PM_OK) return false;
    CHECK_MEM_EQ(p, m, q, n);
    CHECK((v != NULL) == (w != NULL) && (!v || *v == *w));
    return true;
}

/* Moves a zipper over a mixed trie, and one over the map that it is, until they fail. Drops it. */
static pm_status walk_beside(pm_rz *z, const pm_map *map, const key *k) {
    pm_rz y;
    pm_status s = pm_rz_open(map, NULL, 0, &y);
    if (s == PM_OK) {
        bool a = true, b = true;
        for (unsigned n = 0; n < 100 && beside(z, a, &y, b); n++)
            a = pm_rz_to_next_step(z), b = pm_rz_to_next_step(&y);
        bool ok = pm_rz_status(z) == PM_OK && pm_rz_status(&y) == PM_OK;
        if (ok) a = pm_rz_seek(z, PM_LE, k->data, k->len), b = pm_rz_seek(&y, PM_LE, k->data, k->len);
        for (unsigned n = 0; ok && n < 100 && beside(z, a, &y, b); n++)
            a = pm_rz_to_prev_val(z), b = pm_rz_to_prev_val(&y);
        s = pm_rz_status(z) != PM_OK ? pm_rz_status(z) : pm_rz_status(&y);
        pm_rz_drop(&y);
    }
    pm_rz_drop(z);
    return s;
}

/* One call of each kind, with what it needs. Zippers go beside the map of t, if that is not NULL. */
static pm_status one_call(unsigned what, pm_mixed *m, block *b, const key *k, const twin *t) {
    pm_opt opt;
    bool is;
    pm_status s = PM_OK;
    pm_rz z;
    pm_map made;
    switch (what) {
    case 0: return pm_mixed_set(m, k->data, k->len, 3, NULL);
    case 1: return pm_mixed_remove(m, k->data, k->len, PM_PRUNE, NULL);
    case 2: return pm_mixed_create_path(m, k->data, k->len, NULL);
    case 3: return pm_mixed_prune_path(m, k->data, k->len, NULL);
    case 4: return pm_mixed_remove_branches(m, k->data, k->len, PM_PRUNE, NULL);
    case 5: return pm_mixed_hang(m, k->data, k->len, b->base, 1);
    case 6: return pm_mixed_graft(m, k->data, k->len, &b->maps[1]);
    case 7: return pm_mixed_get(m, k->data, k->len, &opt);
    case 8: return pm_mixed_path_exists(m, k->data, k->len, &is);
    case 9:
        s = pm_materialise(m, &made);
        if (s == PM_OK) pm_drop(&made);
        return s;
    default: /* 10: itself; 11, 12: a fork */
        s = pm_mixed_rz(m, &z);
        if (s == PM_OK && what > 10) {
            pm_rz of = z;
            s = what == 11 ? pm_rz_fork(&of, &z) : pm_rz_fork_owned(&of, &z);
            pm_rz_drop(&of);
        }
        if (s != PM_OK) return s;
        if (t) return walk_beside(&z, &t->map, k);
        for (unsigned n = 0; n < 100 && pm_rz_to_next_step(&z); n++) {}
        (void)pm_rz_seek(&z, PM_LE, k->data, k->len);
        for (unsigned n = 0; n < 100 && pm_rz_to_prev_val(&z); n++) {}
        s = pm_rz_status(&z);
        pm_rz_drop(&z);
        return s;
    }
}

TEST(without_memory_calls_fail_and_change_nothing) {
    for (unsigned i = 0; i < 39; i++) {
        const shape *s = &mixed_shapes[i % 7];
        block b;
        key k = {0, {0}};
        block_open(&b, pm_ops_bits(), s, 60);
        twin t = {pm_mixed_new(pm_ops_bits(), NULL), pm_clone(&b.maps[0])};
        CHECK_OK(pm_mixed_hang(&t.m, NULL, 0, b.base, 0));
        for (unsigned n = 0; n < 6; n++) twin_change(&t, &b, s, &k);
        pm_status st = PM_NOMEM;
        for (uint64_t n = 1; st == PM_NOMEM; n++) {
            check_fail_alloc(n);
            st = one_call(i % 13, &t.m, &b, &k, &t);
            check_fail_alloc(0);
            CHECK(st == PM_OK || st == PM_NOMEM);
            if (st == PM_NOMEM) twin_same(&t);
        }
        pm_base_close(b.base);
        twin_drop(&t);
        CHECK(b.closed);
        block_drop_maps(&b);
    }
}

TEST(damaged_bases_do_no_harm) {
    for (unsigned i = 0; i < 150; i++) {
        const shape *s = &mixed_shapes[i % 7];
        both random = both_new(table(i));
        key k = {0, {0}};
        stream st = {0};
        pm_image image;
        pm_image_reading reading = {.ops = table(i)};
        block b = {.ops = table(i)};
        both_edit(&random, s, 40);
        pm_map two[2] = {random.map, random.map};
        CHECK_OK(pm_image_write(two, 2, stream_write, &st, NULL, NULL, NULL));
        CHECK_OK(pm_image_open(st.data, st.len, &image, NULL));
        for (unsigned n = 0; n <= i % 3; n++)
            if (st.len > 128) st.data[128 + check_below(st.len - 128)] ^= (uint8_t)(1 + check_below(255));
        CHECK_OK(pm_base_open(&image, &reading, NULL, NULL, &b.base));
        b.maps[1] = pm_clone(&random.map);
        pm_mixed m = pm_mixed_new(table(i), NULL);
        pm_status was = pm_mixed_hang(&m, NULL, 0, b.base, 0);
        CHECK(was == PM_OK || was == PM_CORRUPT);
        for (unsigned n = 0; n < 40; n++) {
            next_key(s, &k);
            unsigned what = (unsigned)check_below(13);
            if (what == 9 && check_below(8)) continue;
            pm_status got = one_call(what, &m, &b, &k, NULL);
            CHECK(got == PM_OK || got == PM_CORRUPT);
            check_sound(&m.own);
            check_sound(&m.hung);
        }
        pm_mixed_drop(&m);
        pm_base_close(b.base);
        pm_drop(&b.maps[1]);
        stream_free(&st);
        both_drop(&random);
    }
}

/* ---- what hangs ---- */

/* A base of maps with words as values, each of which is noted when it is made. */
static uint64_t words_made;
static pm_status make_word(void *ctx, const void *data, size_t len, pm_val *val) {
    (void)ctx, (void)len;
    words_made++;
    *val = ((const uint8_t *)data)[0];
    return PM_OK;
}

static pm_base *base_of_words(const pm_map *src, stream *s) {
    pm_image image;
    pm_base *base;
    pm_image_reading reading = {.ops = pm_ops_left(), .make = make_word};
    CHECK_OK(pm_image_write(src, 1, stream_write, s, NULL, NULL, NULL));
    CHECK_OK(pm_image_open(s->data, s->len, &image, NULL));
    CHECK_OK(pm_base_open(&image, &reading, NULL, NULL, &base));
    return base;
}

static void set_word(pm_map *m, const void *at, size_t len, const char *word) {
    pm_val v;
    CHECK_OK(pm_bytes_new(word, strlen(word), &v));
    CHECK_OK(pm_set(m, at, len, v, NULL));
}

/* Reading pulls nothing; a write what lies on its way, once; and what has nothing left hangs no more. */
TEST(hanging_subtries_are_counted_as_they_go) {
    pm_map src = pm_new(pm_ops_bytes(), NULL);
    stream s = {0};
    pm_opt got;
    bool is;
    set_word(&src, "a", 1, "1");
    set_word(&src, "bb", 2, "2");
    set_word(&src, "cxx", 3, "3");
    set_word(&src, "cxy", 3, "4");
    pm_base *base = base_of_words(&src, &s);
    pm_mixed m = {{0}, {0}};
    CHECK_EQ(pm_mixed_hanging(&m), 0);
    CHECK_EQ(pm_mixed_hanging(NULL), 0);
    CHECK_OK(pm_mixed_hang(&m, "at/", 3, base, 0));
    CHECK_EQ(pm_mixed_hanging(&m), 1);
    CHECK_OK(pm_mixed_get(&m, "at/bb", 5, &got));
    CHECK(got.some && got.val == '2');
    CHECK_OK(pm_mixed_path_exists(&m, "at/cx", 5, &is));
    CHECK(is);
    CHECK_OK(pm_mixed_path_exists(&m, "at/bc", 5, &is));
    CHECK(!is);
    CHECK_OK(pm_mixed_create_path(&m, "at/cx", 5, &is)); /* it is there */
    CHECK(!is && pm_mixed_hanging(&m) == 1);
    CHECK_OK(pm_mixed_set(&m, "at/a", 4, 7, &got));
    CHECK(got.some && got.val == '1' && pm_mixed_hanging(&m) == 1);
    CHECK_OK(pm_mixed_set(&m, "at/bb", 5, 8, NULL));
    CHECK_EQ(pm_mixed_hanging(&m), 1);
    CHECK_OK(pm_mixed_set(&m, "at/zz", 5, 9, NULL)); /* beside them all */
    CHECK_EQ(pm_mixed_hanging(&m), 1);
    CHECK_OK(pm_mixed_set(&m, "at/cx-", 6, 9, NULL)); /* the last one: what is below it hangs lower, */
    CHECK_EQ(pm_mixed_hanging(&m), 1);
    CHECK_OK(pm_mixed_set(&m, "at/cxx", 6, 9, NULL));
    CHECK_EQ(pm_mixed_hanging(&m), 1);
    CHECK_OK(pm_mixed_remove(&m, "at/cxy", 6, PM_PRUNE, &got)); /* and then nothing is left */
    CHECK(got.some && got.val == '4' && pm_mixed_hanging(&m) == 0);
    pm_mixed_drop(&m);
    pm_base_close(base);
    stream_free(&s);
    pm_drop(&src);
}

/* Backwards to an entry of the lowest byte, past one that is gone and past the place where that was. */
TEST(the_entry_of_a_zero_byte_is_found_from_behind) {
    pm_map src = pm_new(pm_ops_bytes(), NULL);
    stream s = {0};
    pm_rz z;
    static const uint8_t first[] = {'a', 't', '/', 0, 'x'};
    set_word(&src, first + 3, 2, "1");
    set_word(&src, "m", 1, "2");
    pm_base *base = base_of_words(&src, &s);
    pm_mixed m = {{0}, {0}};
    CHECK_OK(pm_mixed_hang(&m, "at/", 3, base, 0));
    CHECK_OK(pm_mixed_remove(&m, "at/m", 4, PM_PRUNE, NULL));
    CHECK_OK(pm_mixed_rz(&m, &z));
    static const char *const from[] = {"at/m", "at/z", "b"};
    for (unsigned i = 0; i < 3; i++) {
        size_t len;
        CHECK(pm_rz_seek(&z, PM_LE, from[i], strlen(from[i])));
        const uint8_t *path = pm_rz_path(&z, &len);
        CHECK_MEM_EQ(path, len, first, sizeof first);
        CHECK_EQ(*pm_rz_val(&z), '1');
        CHECK(!pm_rz_to_prev_val(&z));
    }
    pm_rz_drop(&z);
    pm_mixed_drop(&m);
    pm_base_close(base);
    stream_free(&s);
    pm_drop(&src);
}

/* Where a search begins beside an entry that is gone, the record is looked at first. */
TEST(a_record_that_is_damaged_later_is_noticed_beside_what_is_gone) {
    static const pm_rel ways[] = {PM_LE, PM_GE};
    for (unsigned i = 0; i < 2; i++) {
        pm_map src = pm_new(pm_ops_bytes(), NULL);
        stream s = {0};
        pm_rz z;
        set_word(&src, "a", 1, "1");
        set_word(&src, "m", 1, "2");
        set_word(&src, "z", 1, "3");
        pm_base *base = base_of_words(&src, &s);
        pm_mixed m = {{0}, {0}};
        CHECK_OK(pm_mixed_hang(&m, "at/", 3, base, 0));
        CHECK_OK(pm_mixed_remove(&m, "at/m", 4, PM_PRUNE, NULL));
        CHECK_OK(pm_mixed_rz(&m, &z));
        CHECK(pm_rz_seek(&z, ways[i], "at/m", 4));
        pm_rz_reset(&z);
        memset(s.data + 64, 0xff, s.len - 64); /* records of more entries than there are bytes */
        CHECK(!pm_rz_seek(&z, ways[i], "at/m", 4));
        CHECK_EQ(pm_rz_status(&z), PM_CORRUPT);
        pm_rz_drop(&z);
        pm_mixed_drop(&m);
        pm_base_close(base);
        stream_free(&s);
        pm_drop(&src);
    }
}

/* Of what two tries have in the same image only the ways to what differs are read, wherever it hangs. */
TEST(what_mixed_tries_share_is_not_read) {
    pm_map src = pm_new(pm_ops_bytes(), NULL);
    stream s = {0};
    pm_rz a, b;
    for (unsigned i = 0; i < 20000; i++) {
        uint64_t r = check_rand();
        set_word(&src, &r, sizeof r, "w");
    }
    pm_base *base = base_of_words(&src, &s);
    pm_mixed m = {{0}, {0}};
    CHECK_OK(pm_mixed_hang(&m, "here/", 5, base, 0));
    pm_mixed n = pm_mixed_clone(&m);
    for (unsigned i = 0; i < 5; i++) {
        uint8_t at[13] = "here/";
        uint64_t r = check_rand();
        memcpy(at + 5, &r, sizeof r);
        CHECK_OK(pm_mixed_set(&n, at, sizeof at, i, NULL));
    }
    CHECK_OK(pm_mixed_hang(&n, "elsewhere/", 10, base, 0));
    for (unsigned i = 0; i < 2; i++) {
        uint64_t changes = 0;
        CHECK_OK(pm_mixed_rz(&m, &a));
        CHECK_OK(pm_mixed_rz(&n, &b));
        (void)pm_rz_move_to(&a, "here/", 5);
        (void)pm_rz_move_to(&b, i ? "elsewhere/" : "here/", i ? 10 : 5);
        words_made = 0;
        CHECK_OK(pm_rz_diff(&a, &b, i ? no_change : count_change, &changes));
        CHECK((changes == 0) == (i == 1));
        CHECK_NOTE(words_made < 5 * 2 * 600, "%d values", (int)words_made);
        pm_rz_drop(&a);
        pm_rz_drop(&b);
    }
    pm_mixed_drop(&m);
    pm_mixed_drop(&n);
    pm_base_close(base);
    stream_free(&s);
    pm_drop(&src);
}

static bool first_of_all(void *ctx, const pm_change *c) {
    *(size_t *)ctx = c->len;
    return false;
}

static void forget(void *ctx, pm_val v) { (void)ctx, (void)v; }

/* An image without a base, hooks that make no sense, and a base whose values are others. */
TEST(bases_refuse_what_no_caller_should_pass) {
    pm_map src = pm_new(pm_ops_bytes(), NULL);
    stream s = {0};
    size_t len = 0;
    pm_rz z;
    set_word(&src, "key", 3, "v");
    pm_base *base = base_of_words(&src, &s), *none = NULL;
    pm_image image = {0};
    static const pm_ops bad = {.name = "bad", .release = forget};
    pm_image_reading reading = {.ops = &bad, .make = make_word};
    CHECK_EQ(pm_base_open(&image, NULL, NULL, NULL, &none), PM_INVALID);
    CHECK_OK(pm_image_open(s.data, s.len, &image, NULL));
    CHECK_EQ(pm_base_open(&image, &reading, NULL, NULL, &none), PM_BADHOOK);
    CHECK(none == NULL);
    pm_mixed m = {{0}, {0}};
    CHECK_EQ(pm_mixed_hang(&m, "x", 1, NULL, 0), PM_INVALID);
    CHECK_EQ(pm_mixed_hang(&m, "x", 1, base, 1), PM_INVALID);
    CHECK_EQ(pm_mixed_rz(NULL, &z), PM_INVALID);
    CHECK_EQ(pm_mixed_rz(&m, NULL), PM_INVALID);
    CHECK_EQ(pm_materialise(NULL, &src), PM_INVALID);
    CHECK_EQ(pm_materialise(&m, NULL), PM_INVALID);
    CHECK_EQ(pm_base_of_commit(NULL, NULL, &none), PM_INVALID);
    CHECK(none == NULL);
    CHECK_OK(pm_mixed_hang(&m, "x", 1, base, 0));
    CHECK_OK(pm_mixed_rz(&m, &z));
    pm_rz other;
    CHECK_OK(pm_view_empty(NULL, 0, &other));
    CHECK_OK(pm_rz_diff(&z, &other, first_of_all, &len));
    CHECK_EQ(len, 4);
    pm_rz_drop(&other);
    pm_rz_drop(&z);
    pm_mixed_drop(&m);
    pm_base_close(base);
    stream_free(&s);
    pm_drop(&src);
}
