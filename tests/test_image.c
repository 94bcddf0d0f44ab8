/* Trie images. What a zipper over an image tells is compared with what one over the map tells, step by step, forwards,
   backwards and by random moves; the bytes must depend on content alone. Images that are cut or changed must be found
   so by pm_image_verify, and read without harm by whoever does not call it. */
#include "check.h"
#include "model.h"
#include "library.h"

#include "both.h"
#include "counted.h"
#include "doubled.h"
#include "shapes.h"
#include "streams.h"
#include "sums.h"
#include "walks.h"

static const shape image_shapes[] = {{2, 3, 12, 100}, {3, 12, 60, 100},   {7, 2, 6, 100},     {4, 200, 300, 100},
                                     SHAPE_OF_PARTS,  SHAPE_OF_FEW_PARTS, SHAPE_OF_LONG_PARTS};

/* Writes maps as an image. */
static stream image_of(const pm_map *maps, size_t n, pm_image_stats *stats) {
    stream s = {0};
    CHECK_OK(pm_image_write(maps, n, stream_write, &s, NULL, stats, NULL));
    return s;
}

static pm_image open_image(const stream *s) {
    pm_image m = {0};
    pm_error why = {PM_OK, 0, ""};
    CHECK_NOTE(pm_image_open(s->data, s->len, &m, &why) == PM_OK, "%s", why.msg);
    CHECK_NOTE(pm_image_verify(&m, &why) == PM_OK, "%s at %d", why.msg, (int)why.offset);
    return m;
}

/* ---- an image beside its map ---- */

static void check_gets(const pm_image *image, size_t i, const pm_map *m, const shape *s) {
    key k = {0, {0}};
    pm_opt got;
    for (unsigned n = 0; n < 60; n++) {
        next_key(s, &k);
        const pm_val *v = pm_get(m, k.data, k.len);
        CHECK_OK(pm_image_get(image, i, k.data, k.len, &got));
        CHECK(got.some == (v != NULL) && (!v || got.val == *v));
    }
    for (pm_iter it = pm_iter_vals(m); pm_iter_next(&it);) {
        CHECK_OK(pm_image_get(image, i, it.key, it.len, &got));
        CHECK(got.some && got.val == *it.val);
    }
}

static void check_image_map(const pm_image *image, size_t i, const pm_map *m, const shape *s) {
    pm_image_reading reading = {.ops = m->ops};
    pm_rz a, b;
    CHECK_OK(pm_rz_open(m, NULL, 0, &a));
    CHECK_OK(pm_image_rz(image, i, &reading, &b));
    check_same_place(&a, &b);
    check_walks(&a, &b);
    check_moves(&a, &b, s, 100);
    check_gets(image, i, m, s);
    pm_rz_drop(&a);
    pm_rz_drop(&b);
}

TEST(images_of_random_versions_read_like_maps) {
    for (unsigned i = 0; i < 60; i++) {
        const shape *s = &image_shapes[i % 7];
        both b = both_new(table(i));
        pm_map versions[3];
        for (unsigned v = 0; v < 3; v++) {
            both_edit(&b, s, (unsigned)check_below(v ? 20 : 200));
            versions[v] = pm_clone(&b.map);
        }
        stream st = image_of(versions, 3, NULL);
        pm_image image = open_image(&st);
        CHECK_EQ(pm_image_count(&image), 3);
        for (unsigned v = 0; v < 3; v++) check_image_map(&image, v, &versions[v], s);
        stream_free(&st);
        for (unsigned v = 0; v < 3; v++) pm_drop(&versions[v]);
        both_drop(&b);
    }
}

/* ---- bytes ---- */

/* Builds what the model holds, in an order of its own. */
static bool copy_location(void *ctx, const uint8_t *path, size_t len, const uint64_t *val, unsigned children) {
    pm_map *m = ctx;
    if (val) CHECK_OK(pm_set(m, path, len, *val, NULL));
    else if (!children && len) CHECK_OK(pm_create_path(m, path, len, NULL));
    return true;
}

TEST(images_have_the_same_bytes_for_the_same_content) {
    for (unsigned i = 0; i < 60; i++) {
        both b = both_new(table(i));
        pm_map again = pm_new(table(i), NULL);
        both_edit(&b, &image_shapes[i % 7], (unsigned)check_below(300));
        model_each(b.m, copy_location, &again);
        stream x = image_of(&b.map, 1, NULL), y = image_of(&again, 1, NULL);
        CHECK_MEM_EQ(x.data, x.len, y.data, y.len);
        stream_free(&y);
        CHECK_OK(pm_merkleize(&again, NULL));
        y = image_of(&again, 1, NULL);
        CHECK_MEM_EQ(x.data, x.len, y.data, y.len);
        stream_free(&x);
        stream_free(&y);
        pm_drop(&again);
        both_drop(&b);
    }
}

TEST(images_store_what_is_shared_once) {
    pm_image_stats one, two;
    pm_map m = doubled(single(NULL, "x", 7), 80, "left", "right");
    stream s = image_of(&m, 1, &one);
    CHECK(s.len < 3000 && one.bytes == s.len && one.records < 200);
    pm_image image = open_image(&s);
    pm_rz z;
    CHECK_OK(pm_image_rz(&image, 0, NULL, &z));
    CHECK(pm_rz_to_first_val(&z) && pm_rz_to_next_val(&z) && *pm_rz_val(&z) == 7);
    pm_rz_drop(&z);
    stream_free(&s);
    pm_drop(&m);
    /* Versions, of which each is a little other than the one before. */
    pm_map versions[20] = {{0}};
    for (unsigned i = 0; i < 2000; i++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(&versions[0], &r, sizeof r, i, NULL));
    }
    s = image_of(versions, 1, &one);
    stream_free(&s);
    for (unsigned i = 1; i < 20; i++) {
        versions[i] = pm_clone(&versions[i - 1]);
        CHECK_OK(pm_set(&versions[i], &i, sizeof i, i, NULL));
    }
    s = image_of(versions, 20, &two);
    CHECK(two.bytes < 4 * one.bytes);
    stream_free(&s);
    for (unsigned i = 0; i < 20; i++) pm_drop(&versions[i]);
}

/* Long paths that part above share their ends. */
TEST(images_of_long_paths_share_their_ends) {
    static uint8_t path[100000];
    pm_map m = pm_new(NULL, NULL);
    pm_opt got;
    for (size_t i = 0; i < sizeof path; i++) path[i] = (uint8_t)check_rand();
    for (unsigned i = 0; i < 10; i++) CHECK_OK(pm_set(&m, path + i * 7, sizeof path - i * 7, 1, NULL));
    stream s = image_of(&m, 1, NULL);
    CHECK(s.len < sizeof path + sizeof path / 8);
    pm_image image = open_image(&s);
    CHECK_OK(pm_image_get(&image, 0, path + 14, sizeof path - 14, &got));
    CHECK(got.some && got.val == 1);
    CHECK_OK(pm_image_get(&image, 0, path + 15, sizeof path - 15, &got));
    CHECK(!got.some);
    stream_free(&s);
    pm_drop(&m);
}

/* docs/formats.md shows these bytes. */
TEST(images_have_the_bytes_that_are_documented) {
    static const uint8_t bytes[] = {
        'p', 'm', 'i', 'm', 'a', 'g', 'e', 0x1a, 1, 0, 0, 0, 1, 0, 0, 0,                                    /* 0 */
        0x77, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 0, 0, 0, 0,                                                  /* 16 */
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,                                                     /* 32 */
        0xc0, 0x0c, 0x74, 0x62, 0xc6, 0x2e, 0xe1, 0x0d, 0x74, 0x01, 0xa6, 0xd1, 0x32, 0xaf, 0x5e, 0x3c,     /* 48 */
        0x68, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,  /* 64 */
        1, 'r', 't', 0x10, 1, 0x10, 0xac, 2,                                                                /* 96 */
        2, 'c', 'd', 's', 0x31, 'a', 7, 8, 2, 'o', 'g', 0x22, 't', 'a', 8};                                 /* 104 */
    pm_map m = pm_new(NULL, NULL);
    CHECK_OK(pm_set(&m, "ca", 2, 7, NULL));
    CHECK_OK(pm_set(&m, "car", 3, 1, NULL));
    CHECK_OK(pm_set(&m, "cat", 3, 300, NULL));
    CHECK_OK(pm_create_path(&m, "dog", 3, NULL));
    CHECK_OK(pm_set(&m, "star", 4, 1, NULL));
    CHECK_OK(pm_set(&m, "stat", 4, 300, NULL));
    stream s = image_of(&m, 1, NULL);
    CHECK_MEM_EQ(s.data, s.len, bytes, sizeof bytes);
    stream_free(&s);
    pm_drop(&m);
}

/* ---- values ---- */

TEST(images_of_strings) {
    static const char *const words[] = {"", "a", "some longer text, which comes twice", "b"};
    pm_map m = pm_new(pm_ops_bytes(), NULL), back;
    char name[8];
    for (unsigned i = 0; i < 100; i++) {
        pm_val v;
        const char *text = words[i % 4];
        CHECK_OK(pm_bytes_new(text, strlen(text), &v));
        CHECK_OK(pm_set(&m, name, (size_t)snprintf(name, sizeof name, "%u", i * 37), v, NULL));
    }
    pm_val root;
    CHECK_OK(pm_bytes_new("root", 4, &root));
    CHECK_OK(pm_set(&m, NULL, 0, root, NULL));
    pm_image_stats stats;
    stream s = image_of(&m, 1, &stats);
    CHECK_EQ(stats.strings, 4);
    pm_image image = open_image(&s);
    CHECK_EQ(pm_image_values(&image), PM_IMAGE_BYTES);
    pm_rz z;
    pm_image_reading strings = {.ops = pm_ops_bytes()};
    CHECK_OK(pm_image_rz(&image, 0, &strings, &z));
    CHECK_OK(pm_rz_make_map(&z, &back));
    bool same = false;
    CHECK_OK(pm_equal(&m, &back, &same));
    CHECK(same);
    pm_drop(&back);
    pm_rz_drop(&z);
    CHECK_OK(pm_image_rz(&image, 0, NULL, &z));
    pm_iter j = pm_iter_vals(&m);
    for (pm_iter i = pm_iter_vals_of_rz(&z); pm_iter_next(&i);) {
        size_t n, want;
        pm_opt got;
        CHECK(pm_iter_next(&j));
        const void *bytes = pm_image_bytes(&image, *i.val, &n), *text = pm_bytes_get(*j.val, &want);
        CHECK_MEM_EQ(bytes, n, text, want);
        CHECK_OK(pm_image_get(&image, 0, i.key, i.len, &got));
        CHECK(got.some && got.val == *i.val);
    }
    CHECK(!pm_iter_next(&j));
    CHECK(pm_image_bytes(&image, 3, &(size_t){0}) == NULL && pm_image_bytes(&image, UINT64_MAX, &(size_t){0}) == NULL);
    pm_rz_drop(&z);
    stream_free(&s);
    pm_drop(&m);
}

static pm_status spell(void *ctx, pm_val v, const void **data, size_t *len) {
    static char text[24];
    uint64_t *fail = ctx;
    if (*fail && v == *fail) return PM_CONFLICT;
    *len = (size_t)snprintf(text, sizeof text, "value %u", (unsigned)(v % 10));
    *data = text;
    return PM_OK;
}

static pm_status make_counted(void *ctx, const void *data, size_t len, pm_val *val) {
    uint64_t *fail = ctx;
    CHECK(len == 7 && memcmp(data, "value ", 6) == 0);
    if (*fail && ((const char *)data)[6] - '0' == (int)*fail) return PM_CONFLICT;
    *val = counted_new();
    return PM_OK;
}

TEST(images_of_values_by_functions) {
    uint64_t fail = 0;
    pm_map m = pm_new(NULL, NULL), back;
    for (unsigned i = 0; i < 50; i++) CHECK_OK(pm_set(&m, &i, sizeof i, i, NULL));
    pm_image_options o = {.ctx = &fail, .bytes = spell};
    stream s = {0};
    pm_image_stats stats;
    pm_error why;
    CHECK_OK(pm_image_write(&m, 1, stream_write, &s, &o, &stats, NULL));
    CHECK_EQ(stats.strings, 10);
    pm_image image = open_image(&s);
    pm_image_reading reading = {.ops = counted_ops(), .ctx = &fail, .make = make_counted};
    pm_rz z;
    uint64_t n;
    CHECK_OK(pm_image_rz(&image, 0, &reading, &z));
    CHECK_OK(pm_rz_make_map(&z, &back));
    CHECK_OK(pm_val_count(&back, &n));
    CHECK_EQ(n, 50);
    pm_drop(&back);
    fail = 5;
    pm_rz_reset(&z);
    CHECK_EQ(pm_rz_make_map(&z, &back), PM_CONFLICT);
    pm_rz_drop(&z);
    CHECK(counted_held() == 0 && counted_is_sound());
    CHECK_EQ(pm_image_write(&m, 1, stream_write, &s, &o, &stats, &why), PM_CONFLICT);
    CHECK_EQ(why.code, PM_CONFLICT);
    stream_free(&s);
    pm_drop(&m);
}

TEST(images_of_nothing_and_of_others) {
    pm_map two[2] = {pm_new(pm_ops_unit(), NULL), pm_new(NULL, NULL)};
    stream s = {0};
    pm_error why;
    CHECK_OK(pm_image_write(NULL, 0, stream_write, &s, NULL, NULL, NULL));
    pm_image image = open_image(&s);
    pm_rz z;
    pm_opt got;
    CHECK_EQ(pm_image_count(&image), 0);
    CHECK_EQ(pm_image_rz(&image, 0, NULL, &z), PM_INVALID);
    CHECK_EQ(pm_image_get(&image, 0, "", 0, &got), PM_INVALID);
    s.len = 0;
    CHECK_EQ(pm_image_write(two, 2, stream_write, &s, NULL, NULL, &why), PM_MISMATCH);
    CHECK_EQ(s.len, 0);
    CHECK_OK(pm_image_write(two, 1, stream_write, &s, NULL, NULL, NULL));
    image = open_image(&s);
    CHECK_OK(pm_image_rz(&image, 0, NULL, &z));
    CHECK(pm_rz_exists(&z) && !pm_rz_val(&z) && pm_rz_child_count(&z) == 0 && !pm_rz_to_next_step(&z));
    CHECK_PTR_EQ(pm_rz_ops(&z), pm_ops_unit());
    pm_rz_drop(&z);
    stream_free(&s);
}

/* ---- loading ---- */

/* Loads an image, whose maps must be those it was written of. */
static void check_load(const pm_image *image, const pm_map *maps, size_t n) {
    pm_map back[8];
    pm_image_reading reading = {.ops = n ? maps[0].ops : NULL};
    CHECK(n <= 8);
    CHECK_OK(pm_image_load(image, &reading, back, NULL));
    for (size_t i = 0; i < n; i++) {
        bool same = false;
        check_sound(&back[i]);
        CHECK_OK(pm_equal(&maps[i], &back[i], &same));
        CHECK(same);
    }
    stream a = image_of(maps, n, NULL), b = image_of(back, n, NULL);
    CHECK_MEM_EQ(a.data, a.len, b.data, b.len);
    stream_free(&a);
    stream_free(&b);
    for (size_t i = 0; i < n; i++) pm_drop(&back[i]);
}

TEST(images_of_random_versions_load) {
    for (unsigned i = 0; i < 60; i++) {
        both b = both_new(table(i));
        pm_map versions[3];
        for (unsigned v = 0; v < 3; v++) {
            if (v < 2 || i % 3) both_edit(&b, &image_shapes[i % 7], (unsigned)check_below(v ? 20 : 200));
            versions[v] = pm_clone(&b.map);
        }
        stream s = image_of(versions, 3, NULL);
        pm_image image = open_image(&s);
        check_load(&image, versions, 3);
        stream_free(&s);
        for (unsigned v = 0; v < 3; v++) pm_drop(&versions[v]);
        both_drop(&b);
    }
}

TEST(images_load_with_what_is_shared) {
    pm_map m = doubled(single(NULL, "x", 7), 80, "left", "right"), back;
    uint64_t before = live_nodes();
    stream s = image_of(&m, 1, NULL);
    pm_image image = open_image(&s);
    CHECK_OK(pm_image_load(&image, NULL, &back, NULL));
    CHECK(live_nodes() - before <= 2 * before);
    check_sound(&back);
    bool same = false;
    CHECK_OK(pm_equal(&m, &back, &same));
    CHECK(same);
    pm_drop(&back);
    pm_drop(&m);
    stream_free(&s);
}

TEST(images_load_strings) {
    pm_map m[2] = {pm_new(pm_ops_bytes(), NULL)};
    for (unsigned i = 0; i < 200; i++) {
        pm_val v;
        uint8_t at[2] = {(uint8_t)(i % 7), (uint8_t)(i / 7)};
        CHECK_OK(pm_bytes_new("0123456789", i % 7 ? i / 7 % 10 : i % 10, &v));
        CHECK_OK(pm_set(&m[0], at, i ? 2 : 0, v, NULL));
    }
    m[1] = pm_clone(&m[0]);
    CHECK_OK(pm_remove(&m[1], NULL, 0, PM_KEEP, NULL));
    stream s = image_of(m, 2, NULL);
    pm_image image = open_image(&s);
    check_load(&image, m, 2);
    stream_free(&s);
    pm_drop(&m[0]);
    pm_drop(&m[1]);
}

TEST(images_load_all_or_nothing) {
    uint64_t fail = 0;
    pm_map m[2] = {pm_new(NULL, NULL)};
    for (unsigned i = 0; i < 120; i++) {
        uint8_t at[3] = {(uint8_t)(i % 4), (uint8_t)(i / 4 % 10), (uint8_t)i};
        CHECK_OK(pm_set(&m[0], at, i % 5 ? 3 : 2, i / 4 % 3, NULL));
    }
    m[1] = pm_clone(&m[0]);
    CHECK_OK(pm_set(&m[1], NULL, 0, 3, NULL));
    pm_image_options o = {.ctx = &fail, .bytes = spell};
    pm_image_reading reading = {.ops = counted_ops(), .ctx = &fail, .make = make_counted};
    stream s = {0};
    CHECK_OK(pm_image_write(m, 2, stream_write, &s, &o, NULL, NULL));
    pm_image image = open_image(&s);
    for (uint64_t n = 1, failed = 1; failed; n++) {
        pm_map back[2] = {{.value = 77}, {.value = 78}};
        pm_error why = {PM_OK, 0, NULL};
        check_fail_alloc(n);
        pm_status st = pm_image_load(&image, &reading, back, &why);
        failed = check_alloc_fails();
        check_fail_alloc(0);
        CHECK_EQ(st, why.code);
        CHECK(st == PM_OK || (st == PM_NOMEM && failed && back[0].value == 77 && back[1].value == 78));
        if (st == PM_OK) pm_drop(&back[0]), pm_drop(&back[1]);
        CHECK(counted_held() == 0 && counted_is_sound());
    }
    pm_map back[2];
    pm_error why;
    fail = 3;
    CHECK_EQ(pm_image_load(&image, &reading, back, &why), PM_CONFLICT);
    CHECK(why.code == PM_CONFLICT && counted_held() == 0 && counted_is_sound());
    stream_free(&s);
    pm_drop(&m[0]);
    pm_drop(&m[1]);
}

/* ---- through views ---- */

static int count_values(void *ctx, const pm_fold_at *here, void *out) {
    uint64_t n = here->val != NULL;
    (void)ctx;
    for (unsigned i = 0; i < here->n; i++) n += ((const uint64_t *)here->results)[i];
    *(uint64_t *)out = n;
    return PM_OK;
}

TEST(images_are_operands_of_views_and_folds) {
    both a = both_new(pm_ops_lattice()), b = both_new(pm_ops_lattice());
    both_edit(&a, &image_shapes[1], 150);
    both_edit(&b, &image_shapes[1], 150);
    pm_map two[2] = {a.map, b.map}, joined, got;
    stream s = image_of(two, 2, NULL);
    pm_image image = open_image(&s);
    pm_image_reading reading = {.ops = pm_ops_lattice()};
    pm_rz x, y, z;
    uint64_t n, folded;
    CHECK_OK(pm_image_rz(&image, 0, &reading, &x));
    CHECK_OK(pm_rz_open(&b.map, NULL, 0, &y));
    CHECK_OK(pm_view_meet(&x, &y, &z));
    CHECK_OK(pm_meet(&a.map, &b.map, &joined, NULL));
    CHECK_OK(pm_rz_make_map(&z, &got));
    CHECK_OK(pm_rz_val_count(&z, &n));
    CHECK_OK(pm_val_count(&joined, &folded));
    CHECK_EQ(n, folded);
    pm_fold f = {.size = sizeof n, .at = count_values};
    CHECK_OK(pm_fold_rz(&x, &f, &folded));
    CHECK_OK(pm_val_count(&a.map, &n));
    CHECK_EQ(n, folded);
    pm_iter j = pm_iter_vals(&got);
    for (pm_iter i = pm_iter_vals(&joined); pm_iter_next(&i);) {
        CHECK(pm_iter_next(&j)); /* a copy of a view has no dangling locations, so the maps need not be equal */
        CHECK_MEM_EQ(i.key, i.len, j.key, j.len);
        CHECK_EQ(*i.val, *j.val);
    }
    CHECK(!pm_iter_next(&j));
    pm_rz_drop(&x);
    pm_rz_drop(&y);
    pm_rz_drop(&z);
    pm_drop(&got);
    pm_drop(&joined);
    stream_free(&s);
    both_drop(&a);
    both_drop(&b);
}

/* ---- damage ---- */

/* Reads all that an image tells, as long as it is not absurdly much. */
static void read_all(const pm_image *image) {
    for (size_t i = 0; i < pm_image_count(image); i++) {
        pm_rz z;
        pm_opt got;
        unsigned steps = 0;
        pm_image_reading reading = {.ops = pm_image_values(image) == PM_IMAGE_BYTES ? pm_ops_bytes() : NULL};
        (void)!pm_image_get(image, i, "abc", 3, &got);
        pm_status s = pm_image_rz(image, i, &reading, &z);
        CHECK(s == PM_OK || s == PM_CORRUPT);
        if (s != PM_OK) continue;
        while (steps++ < 300 && pm_rz_to_next_step(&z)) (void)pm_rz_val(&z);
        steps = 0;
        pm_rz_reset(&z);
        if (pm_rz_to_last_val(&z))
            while (steps++ < 300 && pm_rz_to_prev_val(&z)) (void)pm_rz_child_mask(&z);
        CHECK(pm_rz_status(&z) == PM_OK || pm_rz_status(&z) == PM_CORRUPT);
        pm_rz_drop(&z);
    }
}

/* A small image of each kind. */
static stream small_image(unsigned kind) {
    pm_map m[2] = {pm_new(kind == 0 ? pm_ops_unit() : kind == 1 ? NULL : pm_ops_bytes(), NULL)};
    uint8_t k[100];
    for (unsigned i = 0; i < 14; i++) {
        pm_val v = kind ? i * i * i : 0;
        memset(k, (int)i * 9, sizeof k);
        if (kind == 2) CHECK_OK(pm_bytes_new(k, i, &v));
        CHECK_OK(pm_set(&m[0], k, i == 5 ? sizeof k : i, v, NULL));
    }
    m[1] = pm_clone(&m[0]);
    CHECK_OK(pm_create_path(&m[1], "abcd", 4, NULL));
    stream s = image_of(m, 2, NULL);
    pm_drop(&m[0]);
    pm_drop(&m[1]);
    return s;
}

TEST(images_cut_anywhere_are_refused) {
    for (unsigned kind = 0; kind < 3; kind++) {
        stream s = small_image(kind);
        pm_image image;
        pm_error why;
        CHECK_OK(stream_write(&s, "x", 1));
        for (size_t n = 0; n <= s.len; n++) {
            uint8_t *copy = malloc(n ? n : 1); /* so that a checker sees whoever reads on */
            if (!copy) abort();
            memcpy(copy, s.data, n);
            why.code = PM_OK;
            CHECK_EQ(pm_image_open(copy, n, &image, &why), n == s.len - 1 ? PM_OK : PM_CORRUPT);
            CHECK(n == s.len - 1 || (why.code == PM_CORRUPT && why.offset <= n));
            free(copy);
        }
        stream_free(&s);
    }
}

/* With the checksum made to fit, so that what is wrong must be found by itself, or does no harm. */
static void read_damaged(uint8_t *data, size_t len) {
    pm_image image;
    pm_status s = pm_image_open(data, len, &image, NULL);
    CHECK(s == PM_OK || s == PM_CORRUPT || s == PM_INVALID);
    if (s != PM_OK) return;
    CHECK_EQ(pm_image_verify(&image, NULL), PM_CORRUPT);
    read_all(&image);
    uint8_t old[16];
    memcpy(old, data + 48, 16);
    sums_put(data + 48, data, 48, data + 64, len - 64, len);
    s = pm_image_verify(&image, NULL);
    CHECK(s == PM_OK || s == PM_CORRUPT);
    pm_map maps[2];
    pm_image_reading reading = {.ops = image.kind == PM_IMAGE_BYTES ? pm_ops_bytes() : NULL};
    pm_status loaded = image.maps <= 2 ? pm_image_load(&image, &reading, maps, NULL) : PM_CORRUPT;
    CHECK(loaded == PM_OK || (loaded == PM_CORRUPT && (s == PM_CORRUPT || image.maps > 2)));
    for (size_t i = 0; loaded == PM_OK && i < image.maps; i++) {
        check_sound(&maps[i]);
        pm_drop(&maps[i]);
    }
    if (s == PM_OK) { /* then all of it can be read */
        for (size_t i = 0; i < pm_image_count(&image); i++) {
            pm_rz z;
            unsigned steps = 0;
            CHECK_OK(pm_image_rz(&image, i, NULL, &z));
            while (steps++ < 300 && pm_rz_to_next_step(&z)) (void)pm_rz_val(&z);
            CHECK_OK(pm_rz_status(&z));
            pm_rz_drop(&z);
        }
    }
    memcpy(data + 48, old, 16);
}

TEST(images_changed_anywhere_are_found_so_and_read_without_harm) {
    for (unsigned kind = 0; kind < 3; kind++) {
        stream s = small_image(kind);
        uint8_t *data = malloc(s.len);
        if (!data) abort();
        memcpy(data, s.data, s.len);
        for (size_t i = 0; i < s.len; i++)
            for (unsigned bit = 0; bit < 8; bit++) {
                data[i] ^= (uint8_t)(1u << bit);
                read_damaged(data, s.len);
                data[i] ^= (uint8_t)(1u << bit);
            }
        for (unsigned n = 0; n < 3000; n++) { /* several at once */
            for (unsigned k = 1 + (unsigned)check_below(6); k; k--)
                data[64 + check_below(s.len - 64)] = (uint8_t)check_rand();
            if (memcmp(data, s.data, s.len) != 0) read_damaged(data, s.len);
            memcpy(data, s.data, s.len);
        }
        free(data);
        stream_free(&s);
    }
}

/* ---- failures ---- */

TEST(images_without_memory_lose_nothing) {
    both b = both_new(NULL);
    both_edit(&b, &image_shapes[1], 150);
    stream whole = image_of(&b.map, 1, NULL);
    pm_image image = open_image(&whole);
    for (uint64_t n = 1, failed = 1; failed; n++) {
        stream s = {0};
        pm_error why = {PM_OK, 0, NULL};
        check_fail_alloc(n);
        pm_status st = pm_image_write(&b.map, 1, stream_write, &s, NULL, NULL, &why);
        failed = check_alloc_fails();
        check_fail_alloc(0);
        CHECK_EQ(st, failed ? PM_NOMEM : PM_OK);
        CHECK(st == why.code && (s.len == 0) == (st != PM_OK));
        stream_free(&s);
    }
    for (uint64_t n = 1, failed = 1; failed; n++) {
        pm_rz z = {0};
        unsigned steps = 0;
        check_fail_alloc(n);
        pm_status st = pm_image_rz(&image, 0, NULL, &z);
        if (st == PM_OK) {
            while (pm_rz_to_next_step(&z)) steps++;
            st = pm_rz_status(&z);
        }
        failed = check_alloc_fails();
        check_fail_alloc(0);
        CHECK_EQ(st, failed ? PM_NOMEM : PM_OK);
        CHECK(failed || steps + 1 == model_location_count(b.m));
        pm_rz_drop(&z);
    }
    check_fail_alloc(1);
    CHECK_EQ(pm_image_verify(&image, NULL), PM_NOMEM);
    check_fail_alloc(0);
    stream_free(&whole);
    both_drop(&b);
}

TEST(images_pass_on_what_the_write_function_returns) {
    pm_map m = pm_new(NULL, NULL);
    for (unsigned i = 0; i < 30000; i++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(&m, &r, sizeof r, i, NULL));
    }
    stream whole = image_of(&m, 1, NULL);
    CHECK(whole.calls > 2);
    for (uint64_t i = 1; i <= whole.calls; i++) {
        stream s = {.fail_at = i};
        pm_error why;
        CHECK_EQ(pm_image_write(&m, 1, stream_write, &s, NULL, NULL, &why), PM_BUSY);
        CHECK_EQ(why.code, PM_BUSY);
        stream_free(&s);
    }
    stream_free(&whole);
    pm_drop(&m);
}

TEST(images_of_no_map_fail_whole) {
    pm_status st = PM_NOMEM;
    for (uint64_t n = 1; st != PM_OK; n++) {
        const uint64_t blocks = check_live_blocks();
        stream s = {0};
        CHECK(n < 100);
        check_fail_alloc(n);
        st = pm_image_write(NULL, 0, stream_write, &s, NULL, NULL, NULL);
        const bool failed = check_alloc_fails() > 0;
        check_fail_alloc(0);
        CHECK_EQ(st, failed ? PM_NOMEM : PM_OK);
        stream_free(&s);
        CHECK_EQ(check_live_blocks(), blocks);
    }
}

/* ---- files ---- */

static pm_status refused_value(void *ctx, pm_val val, const void **data, size_t *len) {
    (void)ctx, (void)val, (void)data, (void)len;
    return PM_INVALID;
}

TEST(images_are_written_to_files_whole_or_not_at_all) {
    char name[64];
    pm_map m = pm_new(NULL, NULL), other = pm_new(pm_ops_sum(), NULL);
    pm_image_stats stats = {0}, same;
    pm_error why = {PM_OK, 0, ""};
    const pm_image_options refusing = {.bytes = refused_value};
    for (unsigned i = 0; i < 300; i++) {
        const uint8_t at[3] = {(uint8_t)(i % 7), (uint8_t)(i / 7), 'x'};
        CHECK_OK(pm_set(&m, at, 3, i, NULL));
    }
    snprintf(name, sizeof name, "/tmp/image-%p", (void *)&m);
    stream s = image_of(&m, 1, &same), file = {0};
    CHECK_OK(pm_image_write_file(&m, 1, name, NULL, &stats, &why));
    CHECK_EQ(stats.bytes, s.len);
    CHECK_EQ(stats.records, same.records);
    for (unsigned round = 0; round < 3; round++) { /* what could not be written leaves the file as it was */
        FILE *f = fopen(name, "rb");
        CHECK(f != NULL);
        uint8_t bytes[4096];
        for (size_t n; (n = fread(bytes, 1, sizeof bytes, f)) > 0;) CHECK_OK(stream_write(&file, bytes, n));
        CHECK(fclose(f) == 0);
        CHECK_MEM_EQ(file.data, file.len, s.data, s.len);
        stream_free(&file);
        file = (stream){0};
        const pm_map two[2] = {m, other};
        if (round == 0) CHECK_EQ(pm_image_write_file(two, 2, name, NULL, &stats, &why), PM_MISMATCH);
        if (round == 1) CHECK_EQ(pm_image_write_file(&m, 1, name, &refusing, &stats, &why), PM_INVALID);
    }
    CHECK(remove(name) == 0);
    CHECK_EQ(pm_image_write_file(&m, 1, "/no/such/place", NULL, NULL, &why), PM_IO);
    CHECK_EQ(why.code, PM_IO);
    stream_free(&s);
    pm_drop(&m);
    pm_drop(&other);
}
