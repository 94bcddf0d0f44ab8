/* ACT files: what is read is what was written, and has what docs/formats.md shows; files made by hand as other writers
   make them; files that are cut or changed do no harm. */
#include "check.h"
#include "model.h"
#include "library.h"

#include "both.h"
#include "counted.h"
#include "doubled.h"
#include "shapes.h"
#include "streams.h"

static const shape shapes[] = {{2, 3, 12, 100}, {3, 12, 60, 100}, {7, 2, 6, 100},     {4, 200, 300, 100},
                               {250, 3, 3, 0},  SHAPE_OF_PARTS,   SHAPE_OF_LONG_PARTS};

static stream act_of(const pm_map *m, const pm_act_options *o) {
    stream s = {0};
    CHECK_OK(pm_act_write(m, stream_write, &s, o, NULL));
    return s;
}

static bool equal(const pm_map *a, const pm_map *b) {
    bool same = false;
    CHECK_OK(pm_equal(a, b, &same));
    return same;
}

TEST(act_files_come_back) {
    for (unsigned i = 0; i < 100; i++) {
        both b = both_new(table(i));
        key k = {0, {0}};
        pm_map back;
        both_edit(&b, &shapes[i % 7], (unsigned)check_below(300));
        bool shares = i % 3 == 0;
        next_key(&shapes[i % 7], &k);
        if (shares) share_whole(&b.map, &k);
        stream s = act_of(&b.map, NULL);
        CHECK_OK(pm_act_read(table(i), NULL, s.data, s.len, NULL, &back, NULL));
        check_sound(&back);
        CHECK(shares ? equal(&b.map, &back) : same_content(&back, b.m));
        stream_free(&s);
        pm_drop(&back);
        both_drop(&b);
    }
}

/* docs/formats.md shows these bytes. */
TEST(act_files_have_the_bytes_that_are_documented) {
    // clang-format off
    static const uint8_t bytes[] = {
        'A', 'C', 'T', 'r', 'e', 'e', '0', '3', 0x35, 0, 0, 0, 0, 0, 0, 0,
        0x40, 1, 0x40, 0xf9, 0x2c, 1,
        1, 'a', 0x42, 7, 8, 'r', 't',
        2, 'o', 'g',
        0x40, 1, 0x40, 0xf9, 0x2c, 1,
        2, 't', 'a', 2, 9, 'r', 't',
        0x81, 0x15, 0x17, 0x80, 0x13, 0x81, 9, 0x0c,
        3, 8, 'c', 'd', 's',
        0, 0, 0, 0, 0, 0, 0, 0};
    // clang-format on
    pm_map m = pm_new(NULL, NULL);
    CHECK_OK(pm_set(&m, "ca", 2, 7, NULL));
    CHECK_OK(pm_set(&m, "car", 3, 1, NULL));
    CHECK_OK(pm_set(&m, "cat", 3, 300, NULL));
    CHECK_OK(pm_create_path(&m, "dog", 3, NULL));
    CHECK_OK(pm_set(&m, "star", 4, 1, NULL));
    CHECK_OK(pm_set(&m, "stat", 4, 300, NULL));
    stream s = act_of(&m, NULL);
    CHECK_MEM_EQ(s.data, s.len, bytes, sizeof bytes);
    stream_free(&s);
    pm_drop(&m);
}

TEST(act_files_share) {
    pm_map m = doubled(single(NULL, "x", 7), 40, "left", "right"), back;
    uint64_t before = live_nodes();
    stream s = act_of(&m, NULL);
    CHECK(s.len < 2000);
    CHECK_OK(pm_act_read(NULL, NULL, s.data, s.len, NULL, &back, NULL));
    CHECK(live_nodes() - before < 400);
    CHECK(equal(&m, &back));
    pm_drop(&back);
    pm_drop(&m);
    stream_free(&s);
}

/* What a writer that merges leaves behind: the root is in the middle, more follows. A line that leads to a line. */
TEST(act_files_of_other_writers) {
    // clang-format off
    static const uint8_t bytes[] = {
        'A', 'C', 'T', 'r', 'e', 'e', '0', '3', 25, 0, 0, 0, 0, 0, 0, 0,
        2, 'a', 'b',                       /* 16: the run "ab" */
        0xc0, 0xf9, 0x2c, 0x01, 3,         /* 19: a line, value 300, the run 3 back */
        0,                                 /* 24: a dangling leaf */
        0x81, 6, 9,                        /* 25: a line to 19, "ab" */
        0xc0, 5, 12, 0, 0, 0, 0, 0, 0, 0}; /* what was the root once */
    // clang-format on
    pm_map m;
    pm_error why;
    CHECK_OK(pm_act_read(NULL, NULL, bytes, sizeof bytes, NULL, &m, NULL));
    const pm_val *v = pm_get(&m, "abab", 4);
    uint64_t n;
    CHECK(v && *v == 300);
    CHECK_OK(pm_location_count(&m, &n));
    CHECK_EQ(n, 5);
    pm_drop(&m);
    pm_act_options o = {.most = 3};
    CHECK_EQ(pm_act_read(NULL, NULL, bytes, sizeof bytes, &o, &m, &why), PM_NOMEM);
    CHECK_EQ(pm_act_read(NULL, NULL, bytes, 8, NULL, &m, &why), PM_CORRUPT);
    CHECK_EQ(why.code, PM_CORRUPT);
}

static pm_status to_word(void *ctx, pm_val v, uint64_t *word) {
    size_t len;
    unsigned *calls = ctx;
    const char *text = pm_bytes_get(v, &len);
    if (*calls && !--*calls) return PM_CONFLICT;
    *word = strtoull(len ? text : "0", NULL, 10);
    return PM_OK;
}

static pm_status from_word(void *ctx, uint64_t word, pm_val *v) {
    char text[24];
    unsigned *calls = ctx;
    int n = snprintf(text, sizeof text, "%d", (int)word);
    if (*calls && !--*calls) return PM_CONFLICT;
    return pm_bytes_new(text, (size_t)n + 1, v);
}

TEST(act_files_of_values_by_functions) {
    pm_map m = pm_new(pm_ops_bytes(), NULL), back = pm_new(NULL, NULL);
    unsigned calls = 0;
    pm_act_options o = {.ctx = &calls, .word = to_word, .val = from_word};
    pm_error why;
    stream s = {0};
    for (unsigned i = 0; i < 300; i++) {
        pm_val v;
        CHECK_OK(from_word(&calls, i * i, &v));
        CHECK_OK(pm_set(&m, &i, sizeof i, v, NULL));
    }
    CHECK_EQ(pm_act_write(&m, stream_write, &s, NULL, &why), PM_MISMATCH);
    s = act_of(&m, &o);
    CHECK_EQ(pm_act_read(pm_ops_bytes(), NULL, s.data, s.len, NULL, &back, &why), PM_MISMATCH);
    CHECK_OK(pm_act_read(pm_ops_bytes(), NULL, s.data, s.len, &o, &back, &why));
    CHECK(equal(&m, &back));
    pm_drop(&back);
    for (unsigned i = 1; i < 300; i += 60) {
        stream t = {0};
        calls = i;
        CHECK_EQ(pm_act_read(pm_ops_bytes(), NULL, s.data, s.len, &o, &back, &why), PM_CONFLICT);
        calls = i;
        CHECK_EQ(pm_act_write(&m, stream_write, &t, &o, &why), PM_CONFLICT);
        CHECK(why.code == PM_CONFLICT && t.len == 0);
    }
    stream_free(&s);
    pm_drop(&m);
}

TEST(act_files_by_name) {
    char name[64];
    pm_map m = doubled(single(NULL, "x", 7), 5, "left", "right"), back;
    snprintf(name, sizeof name, "/tmp/act-%p", (void *)&m);
    CHECK_OK(pm_act_write_file(&m, name, NULL, NULL));
    CHECK_OK(pm_act_read_file(NULL, NULL, name, NULL, &back, NULL));
    CHECK(equal(&m, &back));
    CHECK(remove(name) == 0);
    CHECK_EQ(pm_act_read_file(NULL, NULL, name, NULL, &m, NULL), PM_IO);
    CHECK_EQ(pm_act_write_file(&m, "/no/such/place", NULL, NULL), PM_IO);
    pm_drop(&back);
    pm_drop(&m);
}

/* ---- damage ---- */

static stream small(void) {
    pm_map m = doubled(single(NULL, "x", 300), 3, "left", "right");
    for (unsigned i = 0; i < 40; i++) CHECK_OK(pm_set(&m, &(uint8_t){(uint8_t)(i * 5)}, 1, i, NULL));
    CHECK_OK(pm_create_path(&m, "dangling", 8, NULL));
    stream s = act_of(&m, NULL);
    pm_drop(&m);
    return s;
}

static void read_damaged(const uint8_t *data, size_t len) {
    pm_map m;
    pm_error why = {PM_OK, 0, NULL};
    uint8_t *copy = malloc(len ? len : 1); /* so that a checker sees whoever reads on */
    if (!copy) abort();
    memcpy(copy, data, len);
    pm_act_options o = {.most = 1 << 20};
    pm_status st = pm_act_read(NULL, NULL, copy, len, &o, &m, &why);
    CHECK(st == PM_OK || (st == PM_CORRUPT && why.code == st && why.offset <= len) || st == PM_NOMEM);
    if (st == PM_OK) {
        check_sound(&m);
        pm_drop(&m);
    }
    free(copy);
}

TEST(act_files_cut_or_changed_do_no_harm) {
    stream s = small();
    for (size_t n = 0; n < s.len; n++) read_damaged(s.data, n);
    for (size_t bit = 0; bit < s.len * 8; bit++) {
        s.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        read_damaged(s.data, s.len);
        s.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
    }
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t old[4];
        size_t at[4];
        for (unsigned k = 0; k < 4; k++) {
            at[k] = 8 + check_below(s.len - 8);
            old[k] = s.data[at[k]];
            s.data[at[k]] = (uint8_t)(check_below(2) ? check_below(8) : check_rand());
        }
        read_damaged(s.data, s.len);
        for (unsigned k = 4; k--;) s.data[at[k]] = old[k];
    }
    stream_free(&s);
}

TEST(act_files_without_memory) {
    pm_map m = doubled(single(NULL, "x", 300), 3, "left", "right"), back = {.value = 77};
    stream s = act_of(&m, NULL);
    pm_error why;
    for (uint64_t n = 1, failed = 1; failed; n++) {
        stream t = {0};
        check_fail_alloc(n);
        pm_status st = pm_act_write(&m, stream_write, &t, NULL, &why);
        failed = check_alloc_fails();
        check_fail_alloc(0);
        CHECK(failed ? st == PM_NOMEM && why.code == st && !t.len : st == PM_OK);
        stream_free(&t);
    }
    for (uint64_t n = 1, failed = 1; failed; n++) {
        back.value = 77;
        check_fail_alloc(n);
        pm_status st = pm_act_read(NULL, NULL, s.data, s.len, NULL, &back, &why);
        failed = check_alloc_fails();
        check_fail_alloc(0);
        CHECK(st == PM_OK || (failed && st == PM_NOMEM && why.code == st && back.value == 77));
        if (st != PM_OK) continue;
        CHECK(equal(&m, &back));
        pm_drop(&back);
    }
    pm_drop(&m);
    stream_free(&s);
}
