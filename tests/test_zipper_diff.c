/* Differences of zippers: over maps, images and views, of whole tries and parts, against pm_diff of the maps. */
#include "check.h"
#include "model.h"
#include "library.h"

#include "both.h"
#include "counted.h"
#include "doubled.h"
#include "shapes.h"
#include "streams.h"

static const shape diff_shapes[] = {{2, 3, 12, 100}, {3, 12, 60, 100},   {7, 2, 6, 100},     {4, 200, 300, 100},
                                    SHAPE_OF_PARTS,  SHAPE_OF_FEW_PARTS, SHAPE_OF_LONG_PARTS};

/* ---- a difference as bytes ---- */

typedef struct changes {
    stream bytes;
    uint64_t n, stop;
} changes;

static bool note_change(void *ctx, const pm_change *c) {
    changes *to = ctx;
    uint64_t words[6] = {(uint64_t)c->kind, c->len, (uint64_t)c->dangled * 2 + c->dangles,
                         (uint64_t)c->before.some * 2 + c->after.some, c->before.val, c->after.val};
    CHECK_OK(stream_write(&to->bytes, words, sizeof words));
    if (c->len) CHECK_OK(stream_write(&to->bytes, c->key, c->len));
    return ++to->n != to->stop;
}

static void check_same_changes(const changes *a, const changes *b) {
    CHECK_EQ(a->n, b->n);
    CHECK_MEM_EQ(a->bytes.data, a->bytes.len, b->bytes.data, b->bytes.len);
}

/* Compares what is below a key in two maps, from whatever zippers stand for these. */
static void check_diff(pm_rz *a, pm_rz *b, const pm_map *x, const pm_map *y, const key *k) {
    pm_map p, q;
    changes want = {{0}, 0, 0}, got = {{0}, 0, 0};
    pm_patch patch;
    CHECK_OK(pm_subtrie(x, k->data, k->len, &p, NULL));
    CHECK_OK(pm_subtrie(y, k->data, k->len, &q, NULL));
    (void)pm_rz_move_to(a, k->data, k->len);
    (void)pm_rz_move_to(b, k->data, k->len);
    CHECK_OK(pm_diff(&p, &q, note_change, &want));
    CHECK_OK(pm_rz_diff(a, b, note_change, &got));
    check_same_changes(&want, &got);
    if (want.n > 1) {
        changes some = {{0}, 0, 1 + check_below(want.n)};
        CHECK_OK(pm_rz_diff(a, b, note_change, &some));
        CHECK_EQ(some.n, some.stop);
        stream_free(&some.bytes);
    }
    CHECK_OK(pm_rz_patch(a, b, &patch));
    CHECK_EQ(pm_patch_count(&patch), want.n);
    bool same = false;
    pm_map was = pm_clone(&p);
    CHECK_OK(pm_patch_apply(&patch, &was));
    CHECK_OK(pm_equal(&was, &q, &same));
    CHECK(same);
    pm_patch_drop(&patch);
    pm_drop(&was);
    stream_free(&want.bytes);
    stream_free(&got.bytes);
    pm_drop(&p);
    pm_drop(&q);
}

/* The i-th kind of zipper over a map: itself, in an image with the others, in one of its own, or in an overlay. */
static void open_as(unsigned i, const pm_map *m, const pm_image *all, size_t at, const pm_image *own, pm_rz *out) {
    pm_image_reading reading = {.ops = m->ops};
    pm_rz x;
    switch (i) {
    case 0: CHECK_OK(pm_rz_open(m, NULL, 0, out)); break;
    case 1: CHECK_OK(pm_image_rz(all, at, &reading, out)); break;
    case 2: CHECK_OK(pm_image_rz(own, 0, &reading, out)); break;
    default:
        CHECK_OK(pm_rz_open(m, NULL, 0, &x));
        CHECK_OK(pm_image_rz(own, 0, &reading, out));
        CHECK_OK(pm_view_overlay(out, &x, NULL, NULL, out));
        pm_rz_drop(&x);
    }
}

static void check_pair(const pm_map *m, const pm_image *all, const pm_image *own, const shape *s) {
    for (unsigned i = 0; i < 16; i++) {
        pm_rz a, b;
        key k = {0, {0}};
        size_t x = check_below(3), y = check_below(3);
        open_as(i % 4, &m[x], all, x, &own[x], &a);
        open_as(i / 4, &m[y], all, y, &own[y], &b);
        check_diff(&a, &b, &m[x], &m[y], &k);
        for (unsigned n = 0; n < 3; n++) {
            next_key(s, &k);
            check_diff(&a, &b, &m[x], &m[y], &k);
        }
        pm_rz_drop(&a);
        pm_rz_drop(&b);
    }
}

TEST(zippers_differ_as_their_maps_do) {
    for (unsigned i = 0; i < 40; i++) {
        const shape *s = &diff_shapes[i % 7];
        both b = both_new(table(i));
        pm_map versions[3];
        stream own[3], all;
        pm_image images[4];
        for (unsigned v = 0; v < 3; v++) {
            both_edit(&b, s, (unsigned)check_below(v ? 20 : 200));
            versions[v] = pm_clone(&b.map);
            own[v] = (stream){0};
            CHECK_OK(pm_image_write(&versions[v], 1, stream_write, &own[v], NULL, NULL, NULL));
            CHECK_OK(pm_image_open(own[v].data, own[v].len, &images[v], NULL));
        }
        all = (stream){0};
        CHECK_OK(pm_image_write(versions, 3, stream_write, &all, NULL, NULL, NULL));
        CHECK_OK(pm_image_open(all.data, all.len, &images[3], NULL));
        check_pair(versions, &images[3], images, s);
        stream_free(&all);
        for (unsigned v = 0; v < 3; v++) stream_free(&own[v]), pm_drop(&versions[v]);
        both_drop(&b);
    }
}

TEST(zippers_at_places_of_other_depths_are_compared_by_relative_keys) {
    pm_map m = {0};
    pm_rz a, b;
    changes got = {{0}, 0, 0};
    pm_map twice = doubled(single(NULL, "key", 3), 2, "left/", "r/");
    stream s = {0};
    pm_image image;
    CHECK_OK(pm_image_write(&twice, 1, stream_write, &s, NULL, NULL, NULL));
    CHECK_OK(pm_image_open(s.data, s.len, &image, NULL));
    CHECK_OK(pm_image_rz(&image, 0, NULL, &a));
    CHECK_OK(pm_image_rz(&image, 0, NULL, &b));
    CHECK_EQ(pm_rz_move_to(&a, "left/", 5), 5);
    CHECK_EQ(pm_rz_move_to(&b, "r/", 2), 2);
    CHECK_OK(pm_rz_diff(&a, &b, note_change, &got));
    CHECK_EQ(got.n, 0);
    CHECK_EQ(pm_rz_move_to(&b, "r/left/", 7), 7);
    CHECK_OK(pm_rz_diff(&a, &b, note_change, &got));
    CHECK_EQ(got.n, 3); /* "left/key" and "r/key" go, "key" comes */
    pm_rz_drop(&a);
    pm_rz_drop(&b);
    stream_free(&got.bytes);
    stream_free(&s);
    pm_drop(&twice);
    pm_drop(&m);
}

/* ---- what is shared is not visited ---- */

static uint64_t values_made;
static pm_status make_word(void *ctx, const void *data, size_t len, pm_val *val) {
    (void)ctx;
    values_made++;
    *val = 0;
    memcpy(val, data, len < sizeof *val ? len : sizeof *val);
    return PM_OK;
}

TEST(versions_in_one_image_are_compared_where_they_differ) {
    pm_map m[2] = {pm_new(pm_ops_bytes(), NULL)};
    pm_rz a, b;
    changes got = {{0}, 0, 0};
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t r = check_rand(), v = 0;
        CHECK_OK(pm_bytes_new(&i, 3, &v));
        CHECK_OK(pm_set(&m[0], &r, sizeof r, v, NULL));
    }
    m[1] = pm_clone(&m[0]);
    for (uint64_t i = 0; i < 5; i++) {
        uint64_t r = check_rand(), v = 0;
        CHECK_OK(pm_bytes_new("new", 3, &v));
        CHECK_OK(pm_set(&m[1], &r, sizeof r, v, NULL));
    }
    stream s = {0};
    pm_image image;
    pm_image_reading reading = {.ops = pm_ops_left(), .make = make_word};
    CHECK_OK(pm_image_write(m, 2, stream_write, &s, NULL, NULL, NULL));
    CHECK_OK(pm_image_open(s.data, s.len, &image, NULL));
    CHECK_OK(pm_image_rz(&image, 0, &reading, &a));
    CHECK_OK(pm_image_rz(&image, 1, &reading, &b));
    values_made = 0;
    CHECK_OK(pm_rz_diff(&a, &b, note_change, &got));
    CHECK_EQ(got.n, 5);
    CHECK_NOTE(values_made < 5 * 2 * 600, "%d values were looked at", (int)values_made);
    pm_rz_drop(&a);
    pm_rz_drop(&b);
    stream_free(&got.bytes);
    stream_free(&s);
    pm_drop(&m[0]);
    pm_drop(&m[1]);
}

/* ---- failure ---- */

static bool count_change(void *ctx, const pm_change *c) {
    (void)c;
    ++*(uint64_t *)ctx;
    return true;
}

TEST(without_memory_a_difference_fails_and_nothing_is_left) {
    both b = both_new(pm_ops_bits());
    both_edit(&b, &diff_shapes[3], 60);
    pm_map m[2] = {pm_clone(&b.map)};
    both_edit(&b, &diff_shapes[3], 20);
    m[1] = pm_clone(&b.map);
    stream s = {0};
    pm_image image;
    pm_image_reading reading = {.ops = pm_ops_bits()};
    CHECK_OK(pm_image_write(m, 2, stream_write, &s, NULL, NULL, NULL));
    CHECK_OK(pm_image_open(s.data, s.len, &image, NULL));
    for (unsigned kinds = 0; kinds < 4; kinds++) {
        pm_rz z[2];
        for (unsigned i = 0; i < 2; i++)
            if (kinds >> i & 1) CHECK_OK(pm_image_rz(&image, i, &reading, &z[i]));
            else CHECK_OK(pm_rz_open(&m[i], NULL, 0, &z[i]));
        uint64_t all = 0, want, n;
        CHECK_OK(pm_rz_diff(&z[0], &z[1], count_change, &all));
        pm_status st = PM_NOMEM;
        for (n = 1; st == PM_NOMEM; n++) {
            pm_patch p, mark;
            memset(&mark, 7, sizeof mark);
            p = mark;
            want = 0;
            check_fail_alloc(n);
            st = pm_rz_diff(&z[0], &z[1], count_change, &want);
            check_fail_alloc(n);
            pm_status patched = pm_rz_patch(&z[0], &z[1], &p);
            check_fail_alloc(0);
            CHECK(st == PM_NOMEM || (st == PM_OK && want == all));
            CHECK(patched == PM_NOMEM ? memcmp(&p, &mark, sizeof p) == 0 : patched == PM_OK);
            if (patched == PM_OK) pm_patch_drop(&p);
            CHECK_OK(pm_rz_status(&z[0]));
        }
        CHECK(n > 4);
        pm_rz_drop(&z[0]);
        pm_rz_drop(&z[1]);
    }
    stream_free(&s);
    pm_drop(&m[0]);
    pm_drop(&m[1]);
    both_drop(&b);
}

TEST(zippers_of_other_values_do_not_compare) {
    pm_map a = pm_new(pm_ops_sum(), NULL), b = pm_new(pm_ops_bits(), NULL);
    pm_rz x, y, none;
    uint64_t n = 0;
    pm_patch p;
    CHECK_OK(pm_set(&a, "a", 1, 1, NULL));
    CHECK_OK(pm_rz_open(&a, NULL, 0, &x));
    CHECK_OK(pm_rz_open(&b, NULL, 0, &y));
    CHECK_OK(pm_view_empty(NULL, 0, &none));
    CHECK_EQ(pm_rz_diff(&x, &y, count_change, &n), PM_MISMATCH);
    CHECK_EQ(pm_rz_patch(&x, &y, &p), PM_MISMATCH);
    CHECK_EQ(pm_rz_diff(&x, NULL, count_change, &n), PM_INVALID);
    CHECK_EQ(pm_rz_diff(&x, &y, NULL, &n), PM_INVALID);
    CHECK_OK(pm_rz_diff(&none, &x, count_change, &n));
    CHECK_OK(pm_rz_diff(&none, &none, count_change, &n));
    CHECK_EQ(n, 1);
    CHECK_OK(pm_rz_patch(&none, &none, &p));
    pm_patch_drop(&p);
    pm_rz_drop(&x);
    pm_rz_drop(&y);
    pm_rz_drop(&none);
    pm_drop(&a);
    pm_drop(&b);
}

/* ---- what maps share ---- */

static uint64_t compared;

static bool compare_words(void *ctx, pm_val a, pm_val b) {
    (void)ctx;
    compared++;
    return a == b;
}

TEST(what_maps_share_is_not_compared) {
    static const pm_ops ops = {.name = "watched", .flags = PM_OPS_IDEMPOTENT, .equal = compare_words};
    pm_map m[2] = {pm_new(&ops, NULL)};
    for (uint64_t i = 0; i < 20000; i++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(&m[0], &r, sizeof r, i, NULL));
    }
    m[1] = pm_clone(&m[0]);
    for (uint64_t i = 0; i < 5; i++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(&m[1], &r, sizeof r, i, NULL));
    }
    for (unsigned below = 0; below < 2; below++) { /* whole maps, and parts of them */
        pm_rz a, b;
        uint64_t n = 0;
        CHECK_OK(pm_rz_open(&m[0], NULL, 0, &a));
        CHECK_OK(pm_rz_open(&m[1], NULL, 0, &b));
        if (below) {
            CHECK(pm_rz_descend_first_byte(&a));
            CHECK(pm_rz_descend_first_byte(&b));
        }
        compared = 0;
        CHECK_OK(pm_rz_diff(&a, &b, count_change, &n));
        CHECK(below ? n <= 5 : n == 5);
        CHECK_NOTE(compared <= 5 * 200, "%d values", (int)compared);
        pm_rz_drop(&a);
        pm_rz_drop(&b);
    }
    pm_drop(&m[0]);
    pm_drop(&m[1]);
}
