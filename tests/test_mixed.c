/* Mixed tries, each beside a map that is given the same content and the same changes: every outcome, every place, every
   walk must be the same. Bases must be closed when nothing refers to them any more, and not before. */
#include "check.h"
#include "model.h"
#include "library.h"

#include "both.h"
#include "shapes.h"
#include "streams.h"
#include "walks.h"

static const shape mixed_shapes[] = {{2, 3, 12, 100},    {3, 12, 60, 100}, {7, 2, 6, 100},
                                     {4, 200, 300, 100}, SHAPE_OF_PARTS,   SHAPE_OF_FEW_PARTS};

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
        const shape *s = &mixed_shapes[i % 6];
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

/* One call of each kind, with what it needs. */
static pm_status one_call(unsigned what, pm_mixed *m, block *b, const key *k) {
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
        const shape *s = &mixed_shapes[i % 6];
        block b;
        key k = {0, {0}};
        block_open(&b, pm_ops_bits(), s, 60);
        twin t = {pm_mixed_new(pm_ops_bits(), NULL), pm_clone(&b.maps[0])};
        CHECK_OK(pm_mixed_hang(&t.m, NULL, 0, b.base, 0));
        for (unsigned n = 0; n < 6; n++) twin_change(&t, &b, s, &k);
        pm_status st = PM_NOMEM;
        for (uint64_t n = 1; st == PM_NOMEM; n++) {
            check_fail_alloc(n);
            st = one_call(i % 13, &t.m, &b, &k);
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
        const shape *s = &mixed_shapes[i % 6];
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
            pm_status got = one_call(what, &m, &b, &k);
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
