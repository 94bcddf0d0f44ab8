/* Path files. What is written is compared byte by byte with what the naive trie would write, in the plain form; the
   compressed form must come back equal, and a file that the Rust library wrote must read. Streams that are cut, changed
   or continued, and functions and allocations that fail, must be told of, with nothing lost or leaked.

   The file is ../shared/data/big_logic.metta.paths beside the checkout or the folder it is in, or LOGIC_PATHS. */
#include "check.h"
#include "model.h"
#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#define PM__PATHS_LEN_MAX 900
#include "../pathmap.h"

#include "both.h"
#include "counted.h"
#include "shapes.h"
#include "streams.h"

/* ---- what should be written ---- */

typedef struct expected {
    stream plain;
    uint64_t paths, path_bytes;
} expected;

static bool expect_path(void *ctx, const uint8_t *path, size_t len, const uint64_t *val, unsigned children) {
    expected *e = ctx;
    (void)children;
    if (!val || len == 0) return true;
    uint8_t head[4] = {(uint8_t)len, (uint8_t)(len >> 8), 0, 0};
    CHECK_OK(stream_write(&e->plain, head, 4));
    CHECK_OK(stream_write(&e->plain, path, len));
    e->paths++;
    e->path_bytes += len;
    return true;
}

/* Values, by their index. */
typedef struct vals {
    pm_val v[4096];
    uint64_t n, fail_at; /* fail_at: the index that fails, less one; 0: none */
    const pm_ops *ops;
} vals;

static pm_status vals_seen(void *ctx, uint64_t index, const uint8_t *path, size_t len, pm_val val) {
    vals *v = ctx;
    CHECK(index == v->n && index < 4096 && path && len);
    if (v->fail_at && index + 1 == v->fail_at) return PM_CONFLICT;
    v->v[v->n++] = val;
    return PM_OK;
}

static pm_status vals_make(void *ctx, uint64_t index, const uint8_t *path, size_t len, pm_val *val) {
    vals *v = ctx;
    CHECK(path && len && index < 4096);
    if (v->fail_at && index + 1 == v->fail_at) return PM_CONFLICT;
    *val = v->v[index];
    if (v->ops) *val = counted_new();
    return PM_OK;
}

static void check_round_trip(const both *b, bool plain) {
    expected e = {0};
    stream s = {0};
    vals seen = {.n = 0};
    pm_paths_options o = {.plain = plain, .ctx = &seen, .val = vals_make, .seen = vals_seen};
    pm_paths_stats wrote, got;
    pm_rz z;
    pm_map back;
    pm_error why = {PM_OK, 77, NULL};
    model_each(b->m, expect_path, &e);
    CHECK_OK(pm_rz_open(&b->map, NULL, 0, &z));
    CHECK_OK(pm_paths_write(&z, stream_write, &s, &o, &wrote, &why));
    CHECK(wrote.paths == e.paths && wrote.path_bytes == e.path_bytes && wrote.file_bytes == s.len && seen.n == e.paths);
    if (plain) CHECK_MEM_EQ(s.data, s.len, e.plain.data, e.plain.len);
    s.step = 1 + (size_t)check_below(40);
    CHECK_OK(pm_paths_read(b->map.ops, NULL, stream_read, &s, &o, &back, &got, &why));
    CHECK(why.offset == 77 && memcmp(&got, &wrote, sizeof got) == 0);
    check_sound(&back);
    pm_iter i = pm_iter_vals(&b->map), j = pm_iter_vals(&back);
    while (pm_iter_next(&i)) {
        CHECK(pm_iter_next(&j));
        CHECK_MEM_EQ(i.key, i.len, j.key, j.len);
        CHECK_EQ(*i.val, *j.val);
    }
    CHECK(!pm_iter_next(&j));
    pm_drop(&back);
    pm_rz_drop(&z);
    stream_free(&s);
    stream_free(&e.plain);
}

static bool has_zlib(void) { return PATHMAP_ZLIB; }

static void random_round_trips(bool plain) {
    static const shape shapes[] = {{2, 3, 12, 100}, {3, 12, 60, 100},   {7, 2, 6, 100},     {4, 200, 300, 100},
                                   SHAPE_OF_PARTS,  SHAPE_OF_FEW_PARTS, SHAPE_OF_LONG_PARTS};
    for (unsigned i = 0; i < 120; i++) {
        both b = both_new(table(i));
        shape s = shapes[i % 7];
        both_edit(&b, &s, (unsigned)check_below(200));
        CHECK_OK(pm_remove(&b.map, NULL, 0, PM_KEEP, NULL));
        model_remove(b.m, NULL, 0, false, NULL);
        bool fits = true;
        for (pm_iter k = pm_iter_vals(&b.map); pm_iter_next(&k);) fits &= k.len <= PM__PATHS_LEN_MAX;
        if (fits) check_round_trip(&b, plain);
        both_drop(&b);
    }
}

TEST(paths_of_random_tries_come_back) { random_round_trips(true); }
TEST(paths_of_random_tries_come_back_compressed) {
    if (!has_zlib()) SKIP("built without PATHMAP_ZLIB");
    random_round_trips(false);
}

/* ---- small streams ---- */

/* {"ab", "abc", "b"}, whose plain form has records at 0, 6 and 13, and 18 bytes. */
static void small_stream(stream *s, bool plain) {
    pm_map m = pm_new(NULL, NULL);
    pm_rz z;
    pm_paths_options o = {.plain = plain};
    CHECK_OK(pm_set(&m, "ab", 2, 1, NULL));
    CHECK_OK(pm_set(&m, "abc", 3, 2, NULL));
    CHECK_OK(pm_set(&m, "b", 1, 3, NULL));
    CHECK_OK(pm_create_path(&m, "dangling", 8, NULL));
    CHECK_OK(pm_rz_open(&m, NULL, 0, &z));
    CHECK_OK(pm_paths_write(&z, stream_write, s, &o, NULL, NULL));
    pm_rz_drop(&z);
    pm_drop(&m);
}

/* Reads; whatever comes, it comes whole. Returns how many paths. */
static pm_status read_stream(const stream *from, bool plain, pm_error *why, uint64_t *n) {
    stream s = *from;
    pm_map m = {0}, out = m;
    pm_paths_options o = {.plain = plain};
    pm_paths_stats stats = {99, 99, 99};
    uint64_t blocks = check_live_blocks();
    s.at = 0;
    *why = (pm_error){PM_OK, 0, NULL};
    pm_status st = pm_paths_read(NULL, NULL, stream_read, &s, &o, &m, &stats, why);
    CHECK_EQ(st, why->code);
    if (st == PM_OK) {
        CHECK_OK(pm_val_count(&m, n));
    } else {
        CHECK(why->msg && stats.paths == 99);
        CHECK(memcmp(&m, &out, sizeof m) == 0);
    }
    pm_drop(&m);
    if (st != PM_OK) CHECK(check_live_blocks() <= blocks + 2); /* the pool may have taken a chunk */
    return st;
}

TEST(paths_have_the_bytes_that_are_documented) {
    static const char bytes[] = "\2\0\0\0ab\3\0\0\0abc\1\0\0\0b";
    stream s = {0};
    small_stream(&s, true);
    CHECK_MEM_EQ(s.data, s.len, bytes, sizeof bytes - 1);
    stream_free(&s);
}

TEST(paths_of_what_is_empty) {
    for (int plain = !has_zlib(); plain < 2; plain++) {
        pm_rz z = {0};
        stream s = {0};
        pm_error why;
        uint64_t n = 9;
        pm_paths_options o = {.plain = plain != 0};
        CHECK_OK(pm_paths_write(&z, stream_write, &s, &o, NULL, NULL));
        CHECK_EQ(s.len == 0, plain);
        CHECK_OK(read_stream(&s, plain != 0, &why, &n));
        CHECK_EQ(n, 0);
        pm_rz_drop(&z);
        stream_free(&s);
    }
}

TEST(paths_cut_anywhere_are_whole_or_refused) {
    for (int plain = !has_zlib(); plain < 2; plain++) {
        stream s = {0};
        pm_error why;
        uint64_t n;
        small_stream(&s, plain != 0);
        for (size_t len = s.len; len-- > 0;) {
            stream cut = s;
            cut.len = len;
            pm_status st = read_stream(&cut, plain != 0, &why, &n);
            bool whole = plain && (len == 0 || len == 6 || len == 13);
            CHECK_EQ(st, whole ? PM_OK : PM_CORRUPT);
            if (whole) CHECK_EQ(n, len == 0 ? 0 : len == 6 ? 1 : 2);
            else CHECK_EQ(why.offset, !plain ? len : len < 6 ? 0 : len < 13 ? 6 : 13);
        }
        stream_free(&s);
    }
}

TEST(paths_followed_by_anything_are_refused) {
    for (int plain = !has_zlib(); plain < 2; plain++) {
        stream s = {0};
        pm_error why;
        uint64_t n;
        small_stream(&s, plain != 0);
        size_t len = s.len;
        for (size_t more = 1; more < 5; more++) {
            CHECK_OK(stream_write(&s, "\x01", 1));
            CHECK_EQ(read_stream(&s, plain != 0, &why, &n), PM_CORRUPT);
            CHECK_EQ(why.offset, len);
        }
        stream_free(&s);
    }
}

TEST(paths_changed_anywhere_are_right_or_refused) {
    if (!has_zlib()) SKIP("built without PATHMAP_ZLIB");
    stream s = {0};
    pm_error why;
    uint64_t n;
    small_stream(&s, false);
    for (size_t i = 0; i < s.len; i++)
        for (unsigned bit = 0; bit < 8; bit++) {
            s.data[i] ^= (uint8_t)(1u << bit);
            pm_status st = read_stream(&s, false, &why, &n);
            CHECK(st == PM_CORRUPT || (st == PM_OK && n == 3));
            s.data[i] ^= (uint8_t)(1u << bit);
        }
    stream_free(&s);
}

TEST(paths_that_are_empty_are_refused) {
    stream s = {0};
    pm_error why;
    uint64_t n;
    small_stream(&s, true);
    CHECK_OK(stream_write(&s, "\0\0\0\0", 4));
    CHECK_EQ(read_stream(&s, true, &why, &n), PM_CORRUPT);
    CHECK_EQ(why.offset, 18);
    stream_free(&s);
}

/* A length of 4 GB takes no memory before its bytes come. */
TEST(paths_with_absurd_lengths_take_no_memory) {
    static const char bytes[] = "\1\0\0\0a\xff\xff\xff\xff" "abc";
    stream s = {0};
    pm_error why;
    uint64_t n;
    CHECK_OK(stream_write(&s, bytes, sizeof bytes - 1));
    pm_status st = read_stream(&s, true, &why, &n);
    CHECK(st == PM_CORRUPT || (sizeof(size_t) == 4 && st == PM_NOMEM));
    CHECK_EQ(why.offset, 5);
    stream_free(&s);
}

TEST(paths_without_order_and_twice_are_read) {
    static const char bytes[] = "\1\0\0\0b\2\0\0\0ab\1\0\0\0b";
    stream s = {0};
    vals v = {.v = {10, 11, 12}};
    pm_paths_options o = {.plain = true, .ctx = &v, .val = vals_make};
    pm_paths_stats stats;
    pm_map m;
    CHECK_OK(stream_write(&s, bytes, sizeof bytes - 1));
    CHECK_OK(pm_paths_read(NULL, NULL, stream_read, &s, &o, &m, &stats, NULL));
    CHECK_EQ(stats.paths, 3);
    CHECK_EQ(*pm_get(&m, "b", 1), 12);
    CHECK_EQ(*pm_get(&m, "ab", 2), 11);
    pm_drop(&m);
    stream_free(&s);
}

TEST(paths_below_a_focus_are_relative) {
    static const char bytes[] = "\1\0\0\0c";
    both b = both_new(NULL);
    stream s = {0};
    pm_rz z;
    pm_paths_options o = {.plain = true};
    pm_error why;
    CHECK_OK(pm_set(&b.map, "abc", 3, 1, NULL));
    CHECK_OK(pm_set(&b.map, "b", 1, 2, NULL));
    CHECK_OK(pm_rz_open(&b.map, "ab", 2, &z));
    CHECK_OK(pm_paths_write(&z, stream_write, &s, &o, NULL, NULL));
    CHECK_MEM_EQ(s.data, s.len, bytes, sizeof bytes - 1);
    pm_rz_reset(&z);
    pm_rz_descend_to(&z, "c", 1);
    s.len = 0;
    CHECK_EQ(pm_paths_write(&z, stream_write, &s, &o, NULL, &why), PM_INVALID);
    CHECK(why.code == PM_INVALID && why.offset == 0 && s.len == 0);
    pm_rz_drop(&z);
    both_drop(&b);
    stream_free(&s);
}

/* PM__PATHS_LEN_MAX stands for 2^32 - 1 here. */
TEST(paths_too_long_for_the_format_are_refused) {
    static uint8_t path[PM__PATHS_LEN_MAX + 1];
    stream s = {0};
    pm_map m = pm_new(NULL, NULL);
    pm_rz z;
    pm_paths_options o = {.plain = true};
    pm_error why;
    memset(path, 'k', sizeof path);
    CHECK_OK(pm_set(&m, path, sizeof path - 1, 1, NULL));
    CHECK_OK(pm_rz_open(&m, NULL, 0, &z));
    CHECK_OK(pm_paths_write(&z, stream_write, &s, &o, NULL, &why));
    pm_rz_drop(&z);
    CHECK_OK(pm_set(&m, path, sizeof path, 1, NULL));
    CHECK_OK(pm_rz_open(&m, NULL, 0, &z));
    CHECK_EQ(pm_paths_write(&z, stream_write, &s, &o, NULL, &why), PM_INVALID);
    CHECK(why.code == PM_INVALID && why.offset == 4 + sizeof path - 1);
    pm_rz_drop(&z);
    pm_drop(&m);
    stream_free(&s);
}

TEST(paths_without_zlib_say_so) {
    if (has_zlib()) SKIP("built with PATHMAP_ZLIB");
    pm_rz z = {0};
    stream s = {0};
    pm_map m;
    pm_error why = {PM_OK, 0, NULL};
    CHECK_EQ(pm_paths_write(&z, stream_write, &s, NULL, NULL, &why), PM_INVALID);
    CHECK(why.code == PM_INVALID && strstr(why.msg, "PATHMAP_ZLIB"));
    CHECK_EQ(pm_paths_read(NULL, NULL, stream_read, &s, NULL, &m, NULL, NULL), PM_INVALID);
    pm_rz_drop(&z);
}

/* ---- failures of functions and of memory ---- */

/* A map of `n` paths, of which a stream takes several buffers. */
static pm_map wide_map(unsigned n) {
    pm_map m = pm_new(NULL, NULL);
    for (unsigned i = 0; i < n; i++) {
        uint8_t path[64];
        for (unsigned k = 0; k < sizeof path; k++) path[k] = (uint8_t)check_rand();
        CHECK_OK(pm_set(&m, path, sizeof path, i, NULL));
    }
    return m;
}

TEST(paths_pass_on_what_functions_return) {
    pm_map m = wide_map(600);
    pm_rz z;
    CHECK_OK(pm_rz_open(&m, NULL, 0, &z));
    for (int plain = !has_zlib(); plain < 2; plain++) {
        stream whole = {0};
        vals v = {.n = 0};
        pm_paths_options o = {.plain = plain != 0, .ctx = &v};
        pm_error why;
        pm_map out = {0}, none = out;
        CHECK_OK(pm_paths_write(&z, stream_write, &whole, &o, NULL, NULL));
        CHECK(whole.calls > 2);
        for (uint64_t i = 1; i <= whole.calls; i++) {
            stream s = {.fail_at = i};
            CHECK_EQ(pm_paths_write(&z, stream_write, &s, &o, NULL, &why), PM_BUSY);
            CHECK_EQ(why.code, PM_BUSY);
            stream_free(&s);
        }
        whole.calls = 0;
        whole.step = 1000;
        CHECK_OK(pm_paths_read(NULL, NULL, stream_read, &whole, &o, &out, NULL, NULL));
        pm_drop(&out);
        out = none;
        uint64_t calls = whole.calls;
        for (uint64_t i = 1; i <= calls; i++) {
            stream s = whole;
            s.at = 0, s.calls = 0, s.fail_at = i;
            CHECK_EQ(pm_paths_read(NULL, NULL, stream_read, &s, &o, &out, NULL, &why), PM_BUSY);
            CHECK(why.code == PM_BUSY && memcmp(&out, &none, sizeof out) == 0);
        }
        o.seen = vals_seen, o.val = vals_make;
        v.fail_at = 300;
        stream part = {0};
        CHECK_EQ(pm_paths_write(&z, stream_write, &part, &o, NULL, &why), PM_CONFLICT);
        CHECK_EQ(why.offset, 299 * 68);
        stream_free(&part);
        whole.at = 0;
        CHECK_EQ(pm_paths_read(NULL, NULL, stream_read, &whole, &o, &out, NULL, &why), PM_CONFLICT);
        CHECK_EQ(why.offset, 299 * 68);
        stream_free(&whole);
    }
    pm_rz_drop(&z);
    pm_drop(&m);
}

static pm_status boast(void *ctx, void *to, size_t n, size_t *got) {
    (void)ctx, (void)to;
    *got = n + 1;
    return PM_OK;
}

TEST(paths_from_a_function_that_boasts_are_refused) {
    pm_map out;
    pm_paths_options o = {.plain = true};
    CHECK_EQ(pm_paths_read(NULL, NULL, boast, NULL, &o, &out, NULL, NULL), PM_BADHOOK);
}

TEST(paths_without_memory_lose_nothing) {
    pm_map m = wide_map(300);
    pm_rz z;
    CHECK_OK(pm_rz_open(&m, NULL, 0, &z));
    for (int plain = !has_zlib(); plain < 2; plain++) {
        stream whole = {0};
        vals v = {.ops = counted_ops()};
        pm_paths_options o = {.plain = plain != 0, .ctx = &v, .val = vals_make};
        CHECK_OK(pm_paths_write(&z, stream_write, &whole, &o, NULL, NULL));
        for (uint64_t n = 1, failed = 1; failed; n++) {
            stream s = {0};
            pm_error why = {PM_OK, 0, NULL};
            check_fail_alloc(n);
            pm_status st = pm_paths_write(&z, stream_write, &s, &o, NULL, &why);
            failed = check_alloc_fails();
            check_fail_alloc(0);
            CHECK(st == PM_OK || (st == PM_NOMEM && failed)); /* readers do without some of it */
            CHECK_EQ(st, why.code);
            if (st == PM_OK) CHECK_MEM_EQ(s.data, s.len, whole.data, whole.len);
            stream_free(&s);
        }
        for (uint64_t n = 1, failed = 1; failed; n++) {
            pm_map out = {0};
            pm_error why = {PM_OK, 0, NULL};
            whole.at = 0;
            check_fail_alloc(n);
            pm_status st = pm_paths_read(counted_ops(), NULL, stream_read, &whole, &o, &out, NULL, &why);
            failed = check_alloc_fails();
            check_fail_alloc(0);
            CHECK_EQ(st, why.code);
            CHECK(st == PM_OK || (st == PM_NOMEM && failed)); /* without memory to gather nodes all goes well */
            if (st == PM_OK) check_sound(&out);
            pm_drop(&out);
            CHECK(counted_held() == 0 && counted_is_sound());
        }
        stream_free(&whole);
    }
    pm_rz_drop(&z);
    pm_drop(&m);
}

/* ---- files ---- */

static void file_name(char *to, size_t room) { snprintf(to, room, "%s.tmp", check__program); }

TEST(paths_files_are_replaced_when_all_is_written) {
    char name[1024], part[1100];
    pm_map m = wide_map(50), back;
    pm_rz z;
    pm_paths_options o = {.plain = !has_zlib()};
    pm_paths_stats wrote, got;
    pm_error why;
    bool same = false;
    file_name(name, sizeof name);
    snprintf(part, sizeof part, "%s.part", name);
    CHECK_OK(pm_rz_open(&m, NULL, 0, &z));
    CHECK_OK(pm_paths_write_file(&z, name, &o, &wrote, &why));
    vals v = {.fail_at = 20};
    pm_paths_options fails = {.plain = o.plain, .ctx = &v, .seen = vals_seen};
    CHECK_EQ(pm_paths_write_file(&z, name, &fails, NULL, &why), PM_CONFLICT);
    CHECK(fopen(part, "rb") == NULL);
    CHECK_OK(pm_paths_read_file(NULL, NULL, name, &o, &back, &got, &why));
    CHECK(memcmp(&wrote, &got, sizeof got) == 0);
    pm_map a = pm_new(pm_ops_unit(), NULL);
    pm_drop(&back);
    CHECK_OK(pm_paths_read_file(pm_ops_unit(), NULL, name, &o, &back, NULL, NULL));
    CHECK_OK(pm_rz_make_map_in(&z, pm_ops_unit(), NULL, &a));
    CHECK_OK(pm_equal(&a, &back, &same));
    CHECK(same);
    remove(name);
    CHECK_EQ(pm_paths_read_file(NULL, NULL, name, &o, &back, &got, &why), PM_IO);
    CHECK_EQ(why.code, PM_IO);
    CHECK_EQ(pm_paths_write_file(&z, "no/such/folder/x", &o, &got, &why), PM_IO);
    pm_drop(&a);
    pm_drop(&back);
    pm_rz_drop(&z);
    pm_drop(&m);
}

static const char *logic_file(void) {
    static const char *const places[] = {"../shared/data/big_logic.metta.paths",
                                         "../../shared/data/big_logic.metta.paths"};
    const char *named = getenv("LOGIC_PATHS");
    if (named) return named;
    for (unsigned i = 0; i < 2; i++) {
        FILE *f = fopen(places[i], "rb");
        if (f) return fclose(f), places[i];
    }
    return NULL;
}

TEST(paths_that_the_rust_library_wrote_come_back) {
    pm_map m, back;
    pm_paths_stats got, wrote;
    pm_error why;
    pm_rz z;
    stream s = {0};
    const char *name = logic_file();
    if (!has_zlib()) SKIP("built without PATHMAP_ZLIB");
    if (!name) SKIP("big_logic.metta.paths is not there (LOGIC_PATHS names it)");
    CHECK_OK(pm_paths_read_file(pm_ops_unit(), NULL, name, NULL, &m, &got, &why));
    CHECK_EQ(got.paths, 91692);
    CHECK_EQ(got.path_bytes, 4965877);
    CHECK_EQ(got.file_bytes, 803836);
    CHECK_OK(pm_rz_open(&m, NULL, 0, &z));
    CHECK_OK(pm_paths_write(&z, stream_write, &s, NULL, &wrote, &why));
    CHECK(wrote.paths == got.paths && wrote.path_bytes == got.path_bytes);
    CHECK_OK(pm_paths_read(pm_ops_unit(), NULL, stream_read, &s, NULL, &back, &got, &why));
    bool same = false;
    CHECK_OK(pm_equal(&m, &back, &same));
    CHECK(same);
#if PATHMAP_ZLIB
    /* What is inside, byte by byte. */
    static uint8_t file[803836], inside[4965877 + 4 * 91692];
    uLongf n = sizeof inside;
    FILE *f = fopen(name, "rb");
    CHECK(f && fread(file, 1, sizeof file, f) == sizeof file && fclose(f) == 0);
    CHECK_EQ(uncompress(inside, &n, file, sizeof file), Z_OK);
    s.len = 0;
    CHECK_OK(pm_paths_write(&z, stream_write, &s, &(pm_paths_options){.plain = true}, NULL, NULL));
    CHECK(s.len == n && memcmp(s.data, inside, n) == 0);
#endif
    stream_free(&s);
    pm_rz_drop(&z);
    pm_drop(&m);
    pm_drop(&back);
}
