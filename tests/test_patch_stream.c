/* Patches as streams: what is read is what was written, whatever the values are; the bytes are those that
   docs/formats.md shows. Streams that are cut, changed or made up are refused, and cost no memory to speak of. */
#include "check.h"
#include "model.h"
#include "library.h"

#include "both.h"
#include "counted.h"
#include "shapes.h"
#include "streams.h"
#include "sums.h"

static const shape shapes[] = {{2, 3, 12, 100}, {3, 12, 60, 100},   {7, 2, 6, 100},     {4, 200, 300, 100},
                               SHAPE_OF_PARTS,  SHAPE_OF_FEW_PARTS, SHAPE_OF_LONG_PARTS};

static stream stream_of(const pm_patch *p, const pm_patch_options *o) {
    stream s = {0};
    CHECK_OK(pm_patch_write(p, stream_write, &s, o, NULL));
    return s;
}

static bool same_bytes(const stream *a, const stream *b) {
    return a->len == b->len && (!a->len || memcmp(a->data, b->data, a->len) == 0);
}

/* ---- round trips ---- */

TEST(patch_streams_come_back) {
    for (unsigned i = 0; i < 80; i++) {
        both old = both_new(table(i));
        both_edit(&old, &shapes[i % 7], (unsigned)check_below(200));
        both now = both_clone(&old);
        both_edit(&now, &shapes[i % 7], (unsigned)check_below(i % 3 ? 20 : 200));
        pm_patch p, q;
        CHECK_OK(pm_patch_make(&old.map, &now.map, &p));
        stream s = stream_of(&p, NULL);
        size_t len = s.len;
        CHECK_OK(stream_write(&s, "next", 4)); /* what follows is not read */
        s.step = i % 7;
        CHECK_OK(pm_patch_read(table(i), stream_read, &s, NULL, &q, NULL));
        CHECK_EQ(s.at, len);
        CHECK_EQ(pm_patch_count(&p), pm_patch_count(&q));
        stream t = stream_of(&q, NULL);
        s.len = len;
        CHECK(same_bytes(&s, &t));
        CHECK_OK(pm_patch_apply(&q, &old.map));
        CHECK(same_content(&old.map, now.m));
        pm_patch_invert(&q);
        CHECK_OK(pm_patch_apply(&q, &now.map));
        CHECK(same_content(&now.map, old.m));
        pm_patch_drop(&p);
        pm_patch_drop(&q);
        stream_free(&s);
        stream_free(&t);
        both_drop(&old);
        both_drop(&now);
    }
}

static pm_map strings(unsigned n, unsigned step) {
    pm_map m = pm_new(pm_ops_bytes(), NULL);
    for (unsigned i = 0; i < n; i += step) {
        pm_val v;
        uint8_t path[2] = {(uint8_t)(i / 10), (uint8_t)i};
        CHECK_OK(pm_bytes_new("0123456789", i % 11, &v));
        CHECK_OK(pm_set(&m, path, i ? 2 : 0, v, NULL));
    }
    return m;
}

TEST(patch_streams_of_strings) {
    pm_map old = strings(100, 2), now = strings(150, 3);
    pm_patch p, q;
    CHECK_OK(pm_patch_make(&old, &now, &p));
    stream s = stream_of(&p, NULL);
    CHECK_EQ(pm_patch_read(NULL, stream_read, &s, NULL, &q, NULL), PM_MISMATCH);
    s.at = 0;
    CHECK_EQ(pm_patch_read(pm_ops_unit(), stream_read, &s, NULL, &q, NULL), PM_MISMATCH);
    s.at = 0;
    CHECK_OK(pm_patch_read(pm_ops_bytes(), stream_read, &s, NULL, &q, NULL));
    pm_patch_drop(&p);
    CHECK_OK(pm_patch_apply(&q, &old));
    pm_patch_drop(&q);
    bool same = false;
    CHECK_OK(pm_equal(&old, &now, &same));
    CHECK(same);
    stream_free(&s);
    pm_drop(&old);
    pm_drop(&now);
}

static pm_status spell(void *ctx, pm_val v, const void **data, size_t *len) {
    static char text[24];
    unsigned *calls = ctx;
    if (*calls && !--*calls) return PM_CONFLICT;
    *len = (size_t)snprintf(text, sizeof text, "value %u", (unsigned)v);
    *data = text;
    return PM_OK;
}

static pm_status make_counted(void *ctx, const void *data, size_t len, pm_val *val) {
    unsigned *calls = ctx;
    CHECK(len > 6 && memcmp(data, "value ", 6) == 0);
    if (*calls && !--*calls) return PM_CONFLICT;
    *val = counted_new();
    return PM_OK;
}

/* A patch of words, some of which are long keys. */
static pm_patch sample(const pm_ops *ops) {
    pm_map old = pm_new(ops, NULL), now;
    pm_patch p;
    uint8_t path[40] = {0};
    for (unsigned i = 0; i < 10; i++) {
        path[i] = (uint8_t)(i * 29);
        CHECK_OK(pm_set(&old, path, i * 4, ops ? 0 : (pm_val)i << (6 * i), NULL));
    }
    now = pm_clone(&old);
    for (unsigned i = 0; i < 10; i += 2) {
        CHECK_OK(pm_remove(&now, path, i * 4, PM_PRUNE, NULL));
        CHECK_OK(pm_set(&now, path, 2 + i * 3, ops ? 0 : 300, NULL));
    }
    CHECK_OK(pm_create_path(&now, "dangling", 8, NULL));
    CHECK_OK(pm_patch_make(&old, &now, &p));
    pm_drop(&old);
    pm_drop(&now);
    return p;
}

TEST(patch_streams_of_values_by_functions) {
    unsigned calls = 0;
    pm_patch_options o = {.ctx = &calls, .bytes = spell, .make = make_counted};
    pm_patch p = sample(NULL), q;
    pm_error why;
    stream s = stream_of(&p, &o);
    CHECK_OK(pm_patch_read(counted_ops(), stream_read, &s, &o, &q, NULL));
    CHECK_EQ(pm_patch_count(&p), pm_patch_count(&q));
    CHECK(counted_held() > 0);
    pm_patch_drop(&q);
    CHECK_EQ(counted_held(), 0);
    for (unsigned i = 1; i < 6; i += 2) {
        stream t = {0};
        s.at = 0;
        calls = i;
        CHECK_EQ(pm_patch_read(counted_ops(), stream_read, &s, &o, &q, &why), PM_CONFLICT);
        CHECK(why.code == PM_CONFLICT && counted_held() == 0);
        calls = i;
        CHECK_EQ(pm_patch_write(&p, stream_write, &t, &o, &why), PM_CONFLICT);
        CHECK(why.code == PM_CONFLICT && t.len == 0);
        stream_free(&t);
    }
    CHECK(counted_is_sound());
    stream_free(&s);
    pm_patch_drop(&p);
}

/* docs/formats.md shows these bytes. */
TEST(patch_streams_have_the_bytes_that_are_documented) {
    // clang-format off
    static const uint8_t bytes[] = {
        'p', 'm', 'p', 'a', 't', 'c', 'h', 0x1a, 1, 0, 0, 0, 1, 0, 0, 0,
        0x48, 0, 0, 0, 0, 0, 0, 0, 4, 0, 0, 0, 0, 0, 0, 0,
        5, 0, 2, 'c', 'a', 7, 8,
        4, 2, 1, 'r', 0xac, 2,
        1, 2, 1, 't', 1,
        8, 0, 3, 'd', 'o', 'g',
        0xe2, 0xc6, 0xb6, 0x0c, 0x4c, 0x57, 0x02, 0x3a, 0xbb, 0xaa, 0x60, 0x0a, 0xd0, 0x97, 0xcc, 0x01};
    // clang-format on
    pm_map old = pm_new(NULL, NULL), now;
    pm_patch p;
    CHECK_OK(pm_set(&old, "ca", 2, 7, NULL));
    CHECK_OK(pm_set(&old, "cat", 3, 1, NULL));
    now = pm_clone(&old);
    CHECK_OK(pm_set(&now, "ca", 2, 8, NULL));
    CHECK_OK(pm_set(&now, "car", 3, 300, NULL));
    CHECK_OK(pm_remove(&now, "cat", 3, PM_PRUNE, NULL));
    CHECK_OK(pm_create_path(&now, "dog", 3, NULL));
    CHECK_OK(pm_patch_make(&old, &now, &p));
    stream s = stream_of(&p, NULL);
    CHECK_MEM_EQ(s.data, s.len, bytes, sizeof bytes);
    stream_free(&s);
    pm_patch_drop(&p);
    pm_drop(&old);
    pm_drop(&now);
}

TEST(patch_streams_of_nothing) {
    pm_patch none = {0}, q;
    pm_error why = {PM_OK, 0, NULL};
    stream s = stream_of(&none, NULL);
    CHECK_EQ(s.len, 48);
    CHECK_OK(pm_patch_read(pm_ops_unit(), stream_read, &s, NULL, &q, NULL));
    CHECK_EQ(pm_patch_count(&q), 0);
    pm_patch_drop(&q);
    s.at = s.len;
    CHECK_EQ(pm_patch_read(NULL, stream_read, &s, NULL, &q, &why), PM_CORRUPT);
    CHECK_EQ(why.offset, 0);
    pm_ops half = {.retain = counted_ops()->retain};
    CHECK_EQ(pm_patch_read(&half, stream_read, &s, NULL, &q, &why), PM_BADHOOK);
    stream_free(&s);
}

/* ---- files ---- */

TEST(patch_files) {
    char name[64];
    pm_patch p = sample(NULL), q;
    pm_error why;
    snprintf(name, sizeof name, "/tmp/patch-%p", (void *)&p);
    CHECK_OK(pm_patch_write_file(&p, name, NULL, NULL));
    CHECK_OK(pm_patch_read_file(NULL, name, NULL, &q, NULL));
    CHECK_EQ(pm_patch_count(&p), pm_patch_count(&q));
    pm_patch_drop(&q);
    FILE *f = fopen(name, "ab");
    CHECK(f && fputc('x', f) == 'x' && fclose(f) == 0);
    CHECK_EQ(pm_patch_read_file(NULL, name, NULL, &q, &why), PM_CORRUPT);
    CHECK_EQ(why.code, PM_CORRUPT);
    CHECK(remove(name) == 0);
    CHECK_EQ(pm_patch_read_file(NULL, name, NULL, &q, &why), PM_IO);
    CHECK_EQ(pm_patch_write_file(&p, "/no/such/place", NULL, &why), PM_IO);
    pm_patch_drop(&p);
}

/* ---- damage ---- */

static pm_patch sample_of(unsigned kind) {
    if (kind != 2) return sample(kind ? NULL : pm_ops_unit());
    pm_map old = strings(40, 7), now = strings(40, 5);
    pm_patch p;
    CHECK_OK(pm_patch_make(&old, &now, &p));
    pm_drop(&old);
    pm_drop(&now);
    return p;
}
static const pm_ops *ops_of(unsigned kind) { return kind == 0 ? pm_ops_unit() : kind == 1 ? NULL : pm_ops_bytes(); }

TEST(patch_streams_cut_anywhere_are_refused) {
    for (unsigned kind = 0; kind < 3; kind++) {
        pm_patch p = sample_of(kind), q = {.count = 77};
        pm_error why;
        stream s = stream_of(&p, NULL);
        size_t whole = s.len;
        CHECK(pm_patch_count(&p) > 5);
        for (size_t n = 0; n < whole; n++) {
            s.len = n, s.at = 0;
            why.code = PM_OK;
            CHECK_EQ(pm_patch_read(ops_of(kind), stream_read, &s, NULL, &q, &why), PM_CORRUPT);
            CHECK(why.code == PM_CORRUPT && why.offset == n && q.count == 77);
        }
        stream_free(&s);
        pm_patch_drop(&p);
    }
}

TEST(patch_streams_with_a_bit_flipped_are_refused) {
    for (unsigned kind = 0; kind < 3; kind++) {
        pm_patch p = sample_of(kind), q;
        stream s = stream_of(&p, NULL);
        for (size_t bit = 0; bit < s.len * 8; bit++) {
            pm_error why = {PM_OK, 0, NULL};
            s.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            s.at = 0;
            pm_status st = pm_patch_read(ops_of(kind), stream_read, &s, NULL, &q, &why);
            CHECK(st == PM_CORRUPT || (st == PM_INVALID && bit / 64 == 1) || (st == PM_MISMATCH && bit / 32 == 3));
            CHECK(why.code == st && why.offset <= s.len && why.msg);
            s.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
        }
        stream_free(&s);
        pm_patch_drop(&p);
    }
}

TEST(patch_streams_of_less_than_header_and_checksum_are_refused) {
    pm_patch p = sample(NULL), q;
    stream s = stream_of(&p, NULL);
    for (unsigned size = 0; size < 48; size++) {
        pm_error why = {PM_OK, 0, NULL};
        memset(s.data + 16, 0, 8);
        s.data[16] = (uint8_t)size;
        s.at = 0;
        CHECK_EQ(pm_patch_read(NULL, stream_read, &s, NULL, &q, &why), PM_CORRUPT);
        CHECK(why.offset == 16 && strstr(why.msg, "less than nothing"));
    }
    stream_free(&s);
    pm_patch_drop(&p);
}

/* Damage with a checksum made to fit: refused, or a patch that is sound. */
TEST(patch_streams_that_are_forged_are_sound_or_refused) {
    for (unsigned i = 0; i < 6000; i++) {
        unsigned kind = i % 3;
        pm_patch p = sample_of(kind), q;
        stream s = stream_of(&p, NULL);
        pm_patch_drop(&p);
        for (unsigned n = 1 + (unsigned)check_below(3); n--;) {
            size_t at = 32 + check_below(s.len - 48);
            s.data[at] = check_below(2) ? (uint8_t)check_rand() : s.data[32 + check_below(s.len - 48)];
        }
        sums_put(s.data + s.len - 16, s.data, 0, s.data, s.len - 16, s.len);
        pm_status st = pm_patch_read(ops_of(kind), stream_read, &s, NULL, &q, NULL);
        CHECK(st == PM_CORRUPT || st == PM_OK);
        if (st == PM_OK) {
            pm_map m = pm_new(ops_of(kind), NULL);
            stream t = stream_of(&q, NULL);
            CHECK(same_bytes(&s, &t)); /* there is but one way to write a patch */
            CHECK_OK(pm_patch_apply(&q, &m));
            check_sound(&m);
            pm_drop(&m);
            pm_patch_drop(&q);
            stream_free(&t);
        }
        stream_free(&s);
    }
}

/* A stream that announces more than it has takes no memory for that; keys that are repeated take what `most` says. */
TEST(patch_streams_take_no_more_memory_than_they_may) {
    pm_map old = pm_new(pm_ops_unit(), NULL), now = pm_new(pm_ops_unit(), NULL);
    static uint8_t path[4000];
    pm_patch p, q;
    pm_error why;
    for (unsigned i = 0; i < 256; i++) {
        path[sizeof path - 1] = (uint8_t)i;
        CHECK_OK(pm_set(&now, path, sizeof path, 0, NULL));
    }
    CHECK_OK(pm_patch_make(&old, &now, &p));
    stream s = stream_of(&p, NULL);
    CHECK(s.len < 8000);
    pm_patch_options o = {.most = 500000};
    CHECK_EQ(pm_patch_read(pm_ops_unit(), stream_read, &s, &o, &q, &why), PM_NOMEM);
    CHECK_EQ(why.code, PM_NOMEM);
    o.most = 256 * (sizeof path + 64);
    s.at = 0;
    CHECK_OK(pm_patch_read(pm_ops_unit(), stream_read, &s, &o, &q, &why));
    pm_patch_drop(&q);
    memset(s.data + 16, 0xff, 16);
    memset(s.data + 34, 0xff, 8); /* the first key's length: 2^56 and more */
    s.data[42] = 0x7f;
    s.at = 0;
    check_fail_alloc(0);
    uint64_t before = check_live_bytes();
    pm_status st = pm_patch_read(pm_ops_unit(), stream_read, &s, NULL, &q, &why);
    CHECK((st == PM_CORRUPT && why.offset == s.len) || (st == PM_NOMEM && why.offset < 50)); /* no size_t holds it */
    CHECK(check_live_bytes() == before && check_allocs() < 40);
    stream_free(&s);
    pm_patch_drop(&p);
    pm_drop(&now);
    pm_drop(&old);
}

/* ---- failures ---- */

static pm_status read_too_much(void *ctx, void *to, size_t n, size_t *got) {
    (void)ctx, (void)to;
    *got = n + 1;
    return PM_OK;
}

TEST(patch_streams_whose_functions_fail) {
    pm_patch p = sample(NULL), q;
    pm_error why;
    for (uint64_t i = 1; i <= 2; i++) {
        stream s = {.fail_at = i};
        pm_status st = pm_patch_write(&p, stream_write, &s, NULL, &why);
        CHECK_EQ(st, i == 1 ? PM_BUSY : PM_OK);
        stream_free(&s);
    }
    stream s = stream_of(&p, NULL);
    s.step = 1;
    for (uint64_t i = 1; i <= s.len; i++) {
        s.at = 0, s.calls = 0, s.fail_at = i;
        CHECK_EQ(pm_patch_read(NULL, stream_read, &s, NULL, &q, &why), PM_BUSY);
        CHECK(why.code == PM_BUSY && why.offset == i - 1);
    }
    CHECK_EQ(pm_patch_read(NULL, read_too_much, NULL, NULL, &q, &why), PM_BADHOOK);
    stream_free(&s);
    pm_patch_drop(&p);
}

TEST(patch_streams_without_memory) {
    for (unsigned kind = 0; kind < 3; kind++) {
        pm_patch p = sample_of(kind), q = {.count = 77};
        stream s = {0};
        pm_error why = {PM_OK, 0, NULL};
        check_fail_alloc(1);
        CHECK_EQ(pm_patch_write(&p, stream_write, &s, NULL, &why), PM_NOMEM);
        CHECK(why.code == PM_NOMEM && why.offset == 0 && why.msg);
        check_fail_alloc(0);
        CHECK_OK(pm_patch_write(&p, stream_write, &s, NULL, NULL));
        uint64_t before = check_live_bytes();
        for (uint64_t n = 1, failed = 1, last = 0; failed; n++) {
            s.at = 0;
            q.count = 77;
            check_fail_alloc(n);
            pm_status st = pm_patch_read(ops_of(kind), stream_read, &s, NULL, &q, &why);
            failed = check_alloc_fails();
            check_fail_alloc(0);
            CHECK(failed ? st == PM_NOMEM && q.count == 77 : st == PM_OK);
            if (failed) {
                CHECK(why.code == PM_NOMEM && why.msg && why.offset >= last && why.offset <= (n > 1 ? s.at : 0));
                last = why.offset;
            }
            if (st == PM_OK) pm_patch_drop(&q);
            CHECK_EQ(check_live_bytes(), before);
        }
        stream_free(&s);
        pm_patch_drop(&p);
    }
}
