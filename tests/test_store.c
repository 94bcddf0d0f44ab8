/* Stores. Random versions of several roots are compared with a naive list of them; what a power loss may leave at any
   point must open at the last synced commit or a later whole one; files that are cut or changed are right or refused;
   calls that fail lose nothing; processes are killed as they commit. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "model.h"
#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#include "../pathmap.h"

#include "both.h"
#include "counted.h"
#include "disks.h"
#include "doubled.h"
#include "shapes.h"
#include "streams.h"

static const shape store_shapes[] = {{2, 3, 12, 100}, {3, 12, 60, 100},   {7, 2, 6, 100},     {4, 200, 300, 100},
                                     SHAPE_OF_PARTS,  SHAPE_OF_FEW_PARTS, SHAPE_OF_LONG_PARTS};

/* ---- a store beside a list of its versions ---- */

enum { ROOTS = 3, VERSIONS = 400 };

typedef struct known {
    unsigned root;
    uint64_t sequence;
    pm_map map;
} known;

typedef struct beside {
    disk d;
    pm_files files;
    pm_store_options options;
    pm_store *s;
    pm_map maps[ROOTS];
    known list[VERSIONS]; /* that are kept, from the oldest */
    unsigned n;
    uint64_t sequence;
} beside;

static const char *const root_names[ROOTS] = {NULL, "b", "a root of some name"};

static pm_store *open_store(const pm_store_options *o) {
    pm_store *s = NULL;
    pm_error why = {PM_OK, 0, ""};
    CHECK_NOTE(pm_store_open("s", o, &s, &why) == PM_OK, "%s at %d", why.msg, (int)why.offset);
    return s;
}

static void beside_begin(beside *b, bool maps, const pm_ops *ops) {
    memset(b, 0, sizeof *b);
    b->files = disk_files(&b->d, maps);
    b->options = (pm_store_options){.create = true, .files = &b->files, .identity = {1, 2}};
    for (unsigned i = 0; i < ROOTS; i++) b->maps[i] = pm_new(ops, NULL);
    b->s = open_store(&b->options);
}

static void beside_end(beside *b) {
    pm_store_close(b->s);
    for (unsigned i = 0; i < ROOTS; i++) pm_drop(&b->maps[i]);
    for (unsigned i = 0; i < b->n; i++) pm_drop(&b->list[i].map);
    CHECK_EQ(b->d.maps, 0);
    disk_free(&b->d);
}

static void beside_commit(beside *b, unsigned root) {
    pm_commit_options how = {.name = root_names[root], .time = b->sequence * 10, .label = {root, 7}};
    CHECK_OK(pm_store_commit(b->s, &b->maps[root], &how, NULL));
    CHECK(b->n < VERSIONS);
    b->list[b->n++] = (known){root, ++b->sequence, pm_clone(&b->maps[root])};
    b->d.commits++;
}

/* Goes through all that an image has, which must be what the map has. */
static void check_image_is(const pm_image *image, const pm_map *m) {
    pm_image_reading reading = {.ops = m->ops};
    pm_rz a, b;
    bool more;
    CHECK_OK(pm_rz_open(m, NULL, 0, &a));
    CHECK_OK(pm_image_rz(image, 0, &reading, &b));
    do {
        size_t an, bn;
        const uint8_t *ap = pm_rz_path(&a, &an), *bp = pm_rz_path(&b, &bn);
        const pm_val *av = pm_rz_val(&a), *bv = pm_rz_val(&b);
        CHECK_MEM_EQ(ap, an, bp, bn);
        CHECK_EQ(av != NULL, bv != NULL);
        if (av) CHECK(pm__val_same(pm_map_ops(m), av, bv));
        more = pm_rz_to_next_step(&a);
        CHECK_EQ(more, pm_rz_to_next_step(&b));
    } while (more);
    CHECK_OK(pm_rz_status(&b));
    pm_rz_drop(&a);
    pm_rz_drop(&b);
}

static void check_commit_is(const pm_commit *v, const known *k) {
    const char *name = root_names[k->root] ? root_names[k->root] : "";
    CHECK_EQ(v->sequence, k->sequence);
    CHECK_EQ(v->label[0], k->root);
    CHECK_EQ(v->time, (k->sequence - 1) * 10);
    CHECK_MEM_EQ(v->name.data, v->name.len, name, strlen(name));
    check_image_is(&v->image, &k->map);
}

/* Compares the whole history, and that of each root. */
static void beside_check(beside *b, pm_store *s) {
    pm_commit v;
    unsigned n = b->n;
    pm_status st = pm_store_last(s, &v);
    for (; st == PM_OK; st = pm_commit_earlier(&v, &v)) {
        CHECK(n > 0);
        check_commit_is(&v, &b->list[--n]);
    }
    CHECK_EQ(st, PM_INVALID);
    CHECK_EQ(n, 0);
    if (b->n) pm_commit_drop(&v);
    for (unsigned root = 0; root < ROOTS; root++) {
        n = b->n;
        st = pm_store_newest(s, root_names[root], &v);
        bool any = st == PM_OK;
        for (; st == PM_OK; st = pm_commit_before(&v, &v)) {
            while (n && b->list[n - 1].root != root) n--;
            CHECK(n > 0);
            CHECK_EQ(v.sequence, b->list[--n].sequence);
        }
        CHECK_EQ(st, PM_INVALID);
        while (n && b->list[n - 1].root != root) n--;
        CHECK_EQ(n, 0);
        if (any) pm_commit_drop(&v);
    }
    pm_error why = {PM_OK, 0, ""};
    CHECK_NOTE(pm_store_verify(s, &why) == PM_OK, "%s at %d", why.msg, (int)why.offset);
}

/* Opens the store anew, and loads some of its roots: commits go on from what was loaded, or write all. */
static void beside_reopen(beside *b) {
    pm_image_reading reading = {.ops = b->maps[0].ops};
    pm_store_close(b->s);
    b->s = open_store(&b->options);
    for (unsigned i = 0; i < ROOTS; i++) {
        pm_map m;
        bool same = false;
        if (check_below(3) == 0) continue;
        CHECK_OK(pm_store_load(b->s, root_names[i], &reading, &m, NULL));
        for (unsigned k = b->n; k--;) {
            if (b->list[k].root != i) continue;
            CHECK_OK(pm_equal(&m, &b->list[k].map, &same));
            CHECK(same);
            break;
        }
        pm_drop(&b->maps[i]);
        b->maps[i] = m;
    }
}

static bool keep_some(void *ctx, const pm_commit *v) {
    (void)ctx;
    return v->sequence % 3 == 0;
}

/* Compacts, and drops from the list what was not kept. */
static void beside_compact(beside *b, bool some) {
    bool newest[ROOTS] = {false};
    pm_commit old;
    pm_error why = {PM_OK, 0, ""};
    bool any = pm_store_last(b->s, &old) == PM_OK;
    CHECK_NOTE(pm_store_compact(b->s, some ? keep_some : NULL, NULL, &why) == PM_OK, "%s", why.msg);
    if (any) check_commit_is(&old, &b->list[b->n - 1]);
    if (any) pm_commit_drop(&old);
    unsigned to = b->n;
    for (unsigned k = b->n; k--;) {
        known *x = &b->list[k];
        bool keep = !newest[x->root] || (some && x->sequence % 3 == 0);
        newest[x->root] = true;
        if (keep) b->list[--to] = *x;
        else pm_drop(&x->map);
    }
    memmove(b->list, b->list + to, (b->n - to) * sizeof *b->list);
    b->n -= to;
}

static void edit_map(pm_map *m, const shape *s, unsigned edits) {
    both b = {*m, model_new()};
    both_edit(&b, s, edits);
    *m = b.map;
    model_free(b.m);
}

TEST(stores_hold_random_versions) {
    for (unsigned i = 0; i < 40; i++) {
        const shape *s = &store_shapes[i % 7];
        beside b;
        beside_begin(&b, i % 2 != 0, table(i));
        for (unsigned v = 0; v < 30; v++) {
            unsigned root = (unsigned)check_below(v < 10 ? 1 : ROOTS);
            edit_map(&b.maps[root], s, (unsigned)check_below(check_below(4) ? 6 : 200));
            if (check_below(8) == 0) pm_drop(&b.maps[root]);
            if (check_below(6) == 0 && !b.maps[0].has_value) {
                key k = {0, {0}};
                uint64_t n;
                next_key(s, &k);
                CHECK_OK(pm_location_count(&b.maps[root], &n));
                if (n < 3000 && k.len) share_whole(&b.maps[root], &k);
            }
            beside_commit(&b, root);
            if (check_below(10) == 0) beside_reopen(&b);
            if (check_below(12) == 0) beside_compact(&b, check_below(2) != 0);
        }
        beside_check(&b, b.s);
        beside_reopen(&b);
        beside_check(&b, b.s);
        beside_end(&b);
    }
}

/* ---- what is written ---- */

static void fill_random(pm_map *m, unsigned n) {
    for (unsigned i = 0; i < n; i++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(m, &r, sizeof r, i, NULL));
    }
}

/* docs/formats.md shows these bytes. */
TEST(stores_have_the_bytes_that_are_documented) {
    // clang-format off
    static const uint8_t bytes[] = {
        0x70, 0x6d, 0x73, 0x74, 0x6f, 0x72, 0x65, 0x1a, 1, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0, 0, 0, 0, 0, 2, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0x51, 0x18, 0xc1, 0x9e, 0xc8, 0x35, 0x70, 0x86, 0x3c, 0xf7, 0x62, 0xd1, 0xfa, 0xb8, 0x8b, 0xb4,
        1, 0x63, 0x64, 0x11, 0x61, 7, 0x12, 0x6f, 0x67, 0xac, 2, 0, 0, 0, 0, 0,
        0x70, 0x65, 0x74, 0x73, 0, 0, 0, 0, 0x1a, 0x63, 0x6f, 0x6d, 0x6d, 0x69, 0x74, 0xe5,
        1, 0, 0, 0, 0, 0, 0, 0, 0x58, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0x40, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 1, 0, 0, 0, 4, 0, 0, 0,
        5, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 3, 0xa3, 0x20, 0x83, 0xa1, 0xc0, 0x0f, 0xb1,
        0xe6, 0x38, 0xba, 0x5a, 0x79, 0x62, 0x4b, 1, 0xbe, 0x67, 0x5c, 0x4e, 0xd3, 0x0f, 0x8c, 0xd7,
        0x7a, 0x9e, 0x36, 0xbe, 0x9f, 0x8f, 0xb6, 0xe1, 1, 0x63, 0x64, 0x11, 0x61, 8, 0x12, 0x6f,
        0x67, 0xac, 2, 0, 0, 0, 0, 0, 0x70, 0x65, 0x74, 0x73, 0, 0, 0, 0,
        0x1a, 0x63, 0x6f, 0x6d, 0x6d, 0x69, 0x74, 0xe5, 2, 0, 0, 0, 0, 0, 0, 0,
        0x10, 1, 0, 0, 0, 0, 0, 0, 0x58, 0, 0, 0, 0, 0, 0, 0,
        0x58, 0, 0, 0, 0, 0, 0, 0, 0x58, 0, 0, 0, 0, 0, 0, 0,
        0xf8, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        1, 0, 0, 0, 4, 0, 0, 0, 6, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0, 0,
        0x7a, 0x8e, 0x42, 0x8b, 0xec, 1, 0x52, 0xe4, 0xd2, 0x96, 0xb0, 0xfd, 0x96, 0xc7, 0x17, 0xa2,
        0xbd, 0x4f, 0xd1, 0x56, 0xba, 0x59, 0x97, 0xc0, 0xd4, 0xf3, 0x9b, 0xb0, 0x8c, 0xb8, 0xf2, 0x1d};
    // clang-format on
    disk d = {.used = 0};
    pm_files files = disk_files(&d, true);
    pm_store *s = NULL;
    pm_map m = {0};
    CHECK_OK(pm_store_open("s", &(pm_store_options){.create = true, .files = &files, .identity = {1, 2}}, &s, NULL));
    CHECK_OK(pm_set(&m, "ca", 2, 7, NULL));
    CHECK_OK(pm_set(&m, "dog", 3, 300, NULL));
    CHECK_OK(pm_store_commit(s, &m, &(pm_commit_options){.name = "pets", .time = 5}, NULL));
    CHECK_OK(pm_set(&m, "ca", 2, 8, NULL));
    CHECK_OK(pm_store_commit(s, &m, &(pm_commit_options){.name = "pets", .time = 6}, NULL));
    CHECK_MEM_EQ(d.inodes[0].data, d.inodes[0].size, bytes, sizeof bytes);
    pm_store_close(s);
    pm_drop(&m);
    disk_free(&d);
}

TEST(stores_append_what_has_changed) {
    beside b;
    pm_commit v;
    beside_begin(&b, true, NULL);
    fill_random(&b.maps[0], 20000);
    beside_commit(&b, 0);
    CHECK_OK(pm_store_last(b.s, &v));
    CHECK(v.size > 200000);
    pm_commit_drop(&v);
    for (unsigned i = 0; i < 50; i++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(&b.maps[0], &r, sizeof r, i, NULL));
        beside_commit(&b, 0);
        CHECK_OK(pm_store_last(b.s, &v));
        CHECK(v.size <= 8192);
        pm_commit_drop(&v);
    }
    beside_commit(&b, 0); /* nothing new */
    CHECK_OK(pm_store_last(b.s, &v));
    CHECK_EQ(v.size, 160);
    pm_commit_drop(&v);
    beside_reopen(&b);
    beside_check(&b, b.s);
    beside_end(&b);
}

/* What was loaded is known: the next commit writes what has changed since, and no more. */
TEST(stores_go_on_from_what_was_loaded) {
    beside b;
    pm_commit v;
    beside_begin(&b, true, NULL);
    fill_random(&b.maps[0], 20000);
    beside_commit(&b, 0);
    pm_store_close(b.s);
    b.s = open_store(&b.options);
    pm_drop(&b.maps[0]);
    CHECK_OK(pm_store_load(b.s, NULL, NULL, &b.maps[0], NULL));
    CHECK_OK(pm_set(&b.maps[0], "key", 3, 1, NULL));
    beside_commit(&b, 0);
    CHECK_OK(pm_store_last(b.s, &v));
    CHECK_NOTE(v.size <= 8192, "%d bytes", (int)v.size);
    pm_commit_drop(&v);
    beside_check(&b, b.s);
    beside_end(&b);
}

/* One record has numbers of one to ten bytes, which the next one takes over from it. */
TEST(stores_copy_numbers_of_every_size) {
    beside b;
    beside_begin(&b, true, pm_ops_left());
    for (unsigned bit = 0; bit < 64; bit++) {
        pm_val v = (pm_val)1 << bit;
        uint8_t low = (uint8_t)bit, high = (uint8_t)(bit + 64);
        CHECK_OK(pm_set(&b.maps[0], &low, 1, v, NULL));
        CHECK_OK(pm_set(&b.maps[0], &high, 1, v | (v - 1), NULL));
    }
    beside_commit(&b, 0);
    CHECK_OK(pm_set(&b.maps[0], "\xff", 1, 1, NULL));
    beside_commit(&b, 0);
    CHECK_OK(pm_remove(&b.maps[0], "\x20", 1, PM_PRUNE, NULL));
    beside_commit(&b, 0);
    beside_check(&b, b.s);
    beside_end(&b);
}

/* More pairs of nodes than could ever be visited. */
TEST(stores_of_what_is_shared_without_end) {
    beside b;
    pm_opt got;
    pm_commit v;
    beside_begin(&b, false, NULL);
    for (unsigned i = 0; i < 4; i++) {
        pm_drop(&b.maps[0]);
        b.maps[0] = doubled(single(NULL, "x", i), 80, "left", "right");
        CHECK_OK(pm_store_commit(b.s, &b.maps[0], NULL, NULL));
        CHECK_OK(pm_store_last(b.s, &v));
        CHECK(v.size < 10000);
        char path[600] = "";
        for (unsigned k = 0; k < 80; k++) strcat(path, check_below(2) ? "left" : "right");
        strcat(path, "x");
        CHECK_OK(pm_image_get(&v.image, 0, path, strlen(path), &got));
        CHECK(got.some && got.val == i);
        pm_commit_drop(&v);
    }
    CHECK_OK(pm_store_verify(b.s, NULL));
    CHECK_OK(pm_store_compact(b.s, NULL, NULL, NULL));
    CHECK_OK(pm_store_verify(b.s, NULL));
    beside_end(&b);
}

TEST(stores_of_strings) {
    beside b;
    beside_begin(&b, true, pm_ops_bytes());
    for (unsigned i = 0; i < 60; i++) {
        for (unsigned k = 0; k < 4; k++) {
            char name[8], text[64];
            pm_val v;
            size_t n = check_below(60);
            memset(text, (int)check_below(3), sizeof text);
            CHECK_OK(pm_bytes_new(text, n, &v));
            n = (size_t)snprintf(name, sizeof name, "%u", (unsigned)check_below(200));
            CHECK_OK(pm_set(&b.maps[0], name, check_below(20) ? n : 0, v, NULL));
        }
        beside_commit(&b, 0);
        if (i % 20 == 10) beside_compact(&b, true);
    }
    beside_check(&b, b.s);
    beside_reopen(&b);
    beside_check(&b, b.s);
    beside_end(&b);
}

static pm_status spell(void *ctx, pm_val v, const void **data, size_t *len) {
    static char text[24];
    const uint64_t *refused = ctx;
    if (v == *refused) return PM_CONFLICT;
    *len = (size_t)snprintf(text, sizeof text, "value %u", (unsigned)v);
    *data = text;
    return PM_OK;
}

TEST(stores_of_values_by_functions) {
    beside b;
    uint64_t refused = 5;
    pm_commit_options how = {.ctx = &refused, .bytes = spell};
    pm_commit v;
    pm_opt got;
    pm_error why;
    size_t n;
    beside_begin(&b, true, NULL);
    for (unsigned i = 0; i < 5; i++) {
        CHECK_OK(pm_set(&b.maps[0], &i, sizeof i, i, NULL));
        CHECK_OK(pm_store_commit(b.s, &b.maps[0], &how, NULL));
    }
    CHECK_OK(pm_set(&b.maps[0], "x", 1, 5, NULL));
    CHECK_EQ(pm_store_commit(b.s, &b.maps[0], &how, &why), PM_CONFLICT);
    CHECK_EQ(why.code, PM_CONFLICT);
    CHECK_STR_EQ(why.msg, "a value was refused");
    CHECK_OK(pm_store_newest(b.s, NULL, &v));
    CHECK_EQ(v.sequence, 5);
    CHECK_OK(pm_image_get(&v.image, 0, &(unsigned){3}, sizeof(unsigned), &got));
    const void *text = pm_image_bytes(&v.image, got.val, &n);
    CHECK_MEM_EQ(text, n, "value 3", 7);
    pm_commit_drop(&v);
    CHECK_OK(pm_store_commit(b.s, &b.maps[0], NULL, NULL)); /* as words: a root may change its kind */
    CHECK_OK(pm_store_newest(b.s, NULL, &v));
    check_image_is(&v.image, &b.maps[0]);
    CHECK_OK(pm_commit_before(&v, &v));
    CHECK_EQ(v.image.kind, PM_IMAGE_BYTES);
    pm_commit_drop(&v);
    CHECK_OK(pm_store_verify(b.s, NULL));
    CHECK_OK(pm_store_compact(b.s, keep_some, NULL, NULL));
    CHECK_OK(pm_store_verify(b.s, NULL));
    beside_end(&b);
}

/* ---- opening ---- */

TEST(stores_have_one_writer_and_any_number_of_readers) {
    beside b;
    pm_store *other = NULL, *reader;
    pm_error why;
    bool changed;
    pm_commit v;
    beside_begin(&b, true, NULL);
    CHECK_EQ(pm_store_open("s", &b.options, &other, &why), PM_BUSY);
    pm_store_options o = b.options;
    o.read_only = true;
    reader = open_store(&o);
    CHECK_EQ(pm_store_last(reader, &v), PM_INVALID);
    CHECK_EQ(pm_store_commit(reader, &b.maps[0], NULL, NULL), PM_INVALID);
    CHECK_EQ(pm_store_compact(reader, NULL, NULL, NULL), PM_INVALID);
    for (unsigned i = 0; i < 40; i++) {
        edit_map(&b.maps[i % 2], &store_shapes[1], 20);
        beside_commit(&b, i % 2);
        if (i % 3 == 0) {
            CHECK_OK(pm_store_refresh(reader, &changed));
            CHECK(changed);
            beside_check(&b, reader);
            CHECK_OK(pm_store_refresh(reader, &changed));
            CHECK(!changed);
        }
        if (i % 11 == 10) {
            CHECK_OK(pm_store_last(reader, &v));
            uint64_t was = v.sequence;
            beside_compact(&b, i % 2 != 0);
            CHECK_OK(pm_store_refresh(reader, &changed));
            beside_check(&b, reader);
            CHECK_EQ(v.sequence, was);
            CHECK_OK(pm_image_verify(&v.image, NULL)); /* of the old file, which is still there for this */
            pm_commit_drop(&v);
        }
    }
    CHECK_EQ(pm_store_open("none", &o, &other, &why), PM_IO);
    o.create = false;
    CHECK_EQ(pm_store_open("none", &o, &other, &why), PM_IO);
    CHECK(other == NULL);
    pm_store_close(reader);
    beside_end(&b);
}

/* ---- damage ---- */

/* A small store: six versions of two roots. */
static void small_store(beside *b) {
    beside_begin(b, true, NULL);
    for (unsigned i = 0; i < 6; i++) {
        edit_map(&b->maps[i % 2], &store_shapes[1], i ? 3 : 12);
        beside_commit(b, i % 2);
    }
}

/* Whether a store holds the first n versions, all of them as they were. */
static bool holds_first(pm_store *s, beside *b, unsigned *n) {
    pm_commit v;
    pm_status st = pm_store_last(s, &v);
    *n = st == PM_OK ? (unsigned)v.sequence : 0;
    if (st == PM_INVALID) return true;
    if (*n > b->n) return false;
    unsigned k = *n;
    for (; st == PM_OK && k; st = pm_commit_earlier(&v, &v)) check_commit_is(&v, &b->list[--k]);
    if (st != PM_OK) k = st == PM_INVALID ? k : 1;
    pm_commit_drop(&v);
    return k == 0;
}

TEST(stores_cut_anywhere_open_at_the_last_whole_commit) {
    beside b;
    small_store(&b);
    const disk_inode *whole = disk_file(&b.d, "s");
    size_t ends[8] = {64};
    pm_commit v;
    CHECK_OK(pm_store_last(b.s, &v));
    for (unsigned i = b.n; i; i--) {
        ends[i] = (size_t)v.place + 160;
        if (pm_commit_earlier(&v, &v) != PM_OK) pm_commit_drop(&v);
    }
    for (size_t n = 0; n <= whole->size; n++) {
        disk d = disk_with("s", whole->data, n);
        pm_files files = disk_files(&d, n % 2 != 0);
        pm_store_options o = {.files = &files, .read_only = n % 3 == 0};
        pm_store *s = NULL;
        unsigned got, want = 0;
        pm_store_info info;
        while (want < b.n && ends[want + 1] <= n) want++;
        if (n < 64) {
            CHECK_EQ(pm_store_open("s", &o, &s, NULL), PM_CORRUPT);
        } else {
            s = open_store(&o);
            CHECK(holds_first(s, &b, &got) && got == want);
            pm_store_get_info(s, &info);
            CHECK(info.lost == n - ends[want] && info.sequence == want);
            if (n % 3 && n % 7 == 0) { /* and goes on */
                CHECK_OK(pm_store_commit(s, &b.maps[0], NULL, NULL));
                CHECK_OK(pm_store_verify(s, NULL));
            }
            pm_store_close(s);
        }
        disk_free(&d);
    }
    beside_end(&b);
}

/* Uses all that a damaged store has. Returns whether it was said to be damaged. */
static bool use_damaged(disk *d, beside *b, bool maps) {
    pm_files files = disk_files(d, maps);
    pm_store_options o = {.files = &files, .read_only = check_below(2) != 0};
    pm_store *s = NULL;
    pm_commit v;
    pm_map m;
    pm_error why = {PM_OK, 0, NULL};
    pm_status st = pm_store_open("s", &o, &s, &why);
    if (st != PM_OK) {
        CHECK((st == PM_CORRUPT || st == PM_INVALID) && why.code == st && why.msg);
        return true;
    }
    bool found = pm_store_verify(s, &why) == PM_CORRUPT;
    CHECK(!found || why.code == PM_CORRUPT);
    st = pm_store_last(s, &v);
    while (st == PM_OK) {
        pm_rz z;
        if (pm_image_rz(&v.image, 0, NULL, &z) == PM_OK) {
            for (unsigned steps = 0; steps < 200 && pm_rz_to_next_step(&z); steps++) (void)pm_rz_val(&z);
            pm_rz_drop(&z);
        }
        st = pm_commit_earlier(&v, &v);
        if (st != PM_OK) pm_commit_drop(&v);
    }
    found |= st == PM_CORRUPT;
    for (unsigned i = 0; i < 2; i++) {
        st = pm_store_load(s, root_names[i], NULL, &m, &why);
        CHECK(st == PM_OK || st == PM_CORRUPT);
        if (st != PM_OK) continue;
        check_sound(&m);
        CHECK_OK(pm_set(&m, "abc", 3, 1, NULL));
        if (!o.read_only) {
            st = pm_store_commit(s, &m, NULL, &why);
            CHECK(st == PM_OK || st == PM_CORRUPT);
            st = pm_store_compact(s, keep_some, NULL, &why);
            CHECK(st == PM_OK || st == PM_CORRUPT);
        }
        pm_drop(&m);
    }
    if (!found) { /* then what is there is right */
        unsigned n;
        pm_store_options again = {.files = &files, .read_only = true};
        pm_store *r = NULL;
        if (o.read_only && pm_store_open("s", &again, &r, NULL) == PM_OK) {
            CHECK(holds_first(r, b, &n));
            pm_store_close(r);
        }
    }
    pm_store_close(s);
    return found;
}

TEST(stores_changed_anywhere_are_right_or_refused) {
    beside b;
    small_store(&b);
    const disk_inode *whole = disk_file(&b.d, "s");
    pm_store_info info;
    pm_commit v;
    CHECK_OK(pm_store_last(b.s, &v));
    size_t last = (size_t)(v.place + 160 - v.size);
    pm_commit_drop(&v);
    pm_store_get_info(b.s, &info);
    for (size_t i = 0; i < whole->size; i++)
        for (unsigned bit = 0; bit < 8; bit += 1 + (unsigned)check_below(3)) {
            disk d = disk_with("s", whole->data, whole->size);
            d.inodes[0].data[i] ^= (uint8_t)(1u << bit);
            bool found = use_damaged(&d, &b, bit % 2 != 0);
            CHECK(found || i >= last); /* in the last commit: it was never whole */
            disk_free(&d);
        }
    for (unsigned n = 0; n < 1000; n++) {
        disk d = disk_with("s", whole->data, whole->size);
        for (unsigned k = 1 + (unsigned)check_below(6); k; k--)
            d.inodes[0].data[check_below(whole->size)] = (uint8_t)check_rand();
        (void)use_damaged(&d, &b, n % 2 != 0);
        disk_free(&d);
    }
    beside_end(&b);
}

TEST(stores_made_to_deceive_do_no_harm) {
    beside b;
    small_store(&b);
    const disk_inode *whole = disk_file(&b.d, "s");
    for (unsigned n = 0; n < 6000; n++) {
        disk d = disk_with("s", whole->data, whole->size);
        uint8_t *data = d.inodes[0].data;
        for (unsigned k = 1 + (unsigned)check_below(3); k; k--) {
            size_t at = 64 + check_below(whole->size - 64);
            unsigned flipped = data[at] ^ 1u << check_below(8);
            data[at] = (uint8_t)(check_below(2) ? check_rand() : flipped);
        }
        disk_mend_sums(data, whole->size);
        pm_files files = disk_files(&d, n % 2 != 0);
        pm_store_options o = {.files = &files};
        pm_store *s = NULL;
        pm_commit v;
        pm_map m;
        if (pm_store_open("s", &o, &s, NULL) == PM_OK) {
            bool sound = pm_store_verify(s, NULL) == PM_OK;
            pm_status st = pm_store_last(s, &v);
            while (st == PM_OK) {
                pm_rz z;
                unsigned steps = 0;
                st = pm_image_rz(&v.image, 0, NULL, &z);
                if (sound) CHECK_OK(st);
                if (st == PM_OK) {
                    while (steps++ < 300 && pm_rz_to_next_step(&z)) (void)pm_rz_val(&z);
                    if (sound) CHECK_OK(pm_rz_status(&z));
                    pm_rz_drop(&z);
                }
                st = pm_commit_earlier(&v, &v);
                if (st != PM_OK) pm_commit_drop(&v);
            }
            if (pm_store_load(s, NULL, NULL, &m, NULL) == PM_OK) {
                check_sound(&m);
                CHECK_OK(pm_set(&m, "abc", 3, 1, NULL));
                st = pm_store_commit(s, &m, NULL, NULL);
                CHECK(st == PM_OK || st == PM_CORRUPT);
                pm_drop(&m);
            }
            st = pm_store_compact(s, keep_some, NULL, NULL);
            CHECK(st == PM_OK || st == PM_CORRUPT);
            pm_store_close(s);
        }
        disk_free(&d);
    }
    beside_end(&b);
}

/* ---- power loss ---- */

/* Opens what a power loss has left. */
static void check_after(beside *b, size_t upto, uint64_t luck) {
    disk d = disk_after(&b->d, upto, luck);
    pm_files files = disk_files(&d, luck % 2 != 0);
    pm_store_options o = {.files = &files, .create = true, .identity = {1, 2}};
    uint64_t safe = upto ? b->d.ops[upto - 1].commits : 0;
    if (upto < b->d.n) safe = b->d.ops[upto].commits;
    if (disk_file(&d, "s") || safe) { /* else it was not made yet */
        pm_store *s = open_store(&o);
        pm_commit v;
        unsigned k = b->n;
        pm_status st = pm_store_last(s, &v);
        CHECK_NOTE(st == PM_OK || safe == 0, "after %zu", upto);
        if (st == PM_OK) {
            CHECK(v.sequence >= safe && v.sequence <= safe + 1);
            for (; st == PM_OK; st = pm_commit_earlier(&v, &v)) {
                while (k && b->list[k - 1].sequence != v.sequence) k--;
                CHECK(k > 0);
                check_commit_is(&v, &b->list[k - 1]);
            }
            pm_commit_drop(&v);
        }
        CHECK_OK(pm_store_verify(s, NULL));
        CHECK_OK(pm_set(&b->maps[2], "more", 4, 1, NULL));
        CHECK_OK(pm_store_commit(s, &b->maps[2], NULL, NULL));
        CHECK_OK(pm_store_verify(s, NULL));
        pm_store_close(s);
    }
    disk_free(&d);
}

/* A store's run, remembered; the list keeps what compaction drops. */
static void remembered_run(beside *b, bool unsynced, bool compacts) {
    memset(b, 0, sizeof *b);
    b->d.remembers = true;
    b->files = disk_files(&b->d, true);
    b->options = (pm_store_options){.create = true, .files = &b->files, .identity = {1, 2}, .unsynced = unsynced};
    for (unsigned i = 0; i < ROOTS; i++) b->maps[i] = pm_new(NULL, NULL);
    b->s = open_store(&b->options);
    for (unsigned i = 0; i < 14; i++) {
        edit_map(&b->maps[i % 2], &store_shapes[1], i % 5 ? 4 : 300);
        beside_commit(b, i % 2);
        if (compacts && i % 5 == 4) CHECK_OK(pm_store_compact(b->s, keep_some, NULL, NULL));
        if (i == 8) {
            pm_store_close(b->s);
            b->s = open_store(&b->options);
        }
    }
}

TEST(stores_survive_power_loss_at_any_point) {
    for (unsigned compacts = 0; compacts < 2; compacts++) {
        beside b;
        remembered_run(&b, false, compacts != 0);
        for (size_t upto = 0; upto <= b.d.n; upto++)
            for (uint64_t luck = 0; luck < 25; luck++) check_after(&b, upto, luck ? luck + 100 * upto : 0);
        beside_end(&b);
    }
}

/* Without syncs: any version whole, none that was not, and all that pm_store_sync had seen. */
TEST(stores_without_sync_open_at_some_version) {
    beside b;
    unsigned seen = 0;
    remembered_run(&b, true, false);
    CHECK_OK(pm_store_sync(b.s));
    size_t safe_at = b.d.n;
    for (unsigned i = 0; i < 6; i++) {
        edit_map(&b.maps[0], &store_shapes[1], 5);
        beside_commit(&b, 0);
    }
    for (unsigned n = 0; n < 2000; n++) {
        size_t upto = check_below(b.d.n + 1);
        disk d = disk_after(&b.d, upto, 1 + check_rand());
        pm_files files = disk_files(&d, n % 2 != 0);
        pm_store_options o = {.files = &files, .create = true};
        pm_store *s = NULL;
        unsigned got;
        if (disk_file(&d, "s")) {
            s = open_store(&o);
            CHECK(holds_first(s, &b, &got));
            CHECK(upto < safe_at || got >= 14);
            seen |= 1u << got;
            CHECK_OK(pm_store_verify(s, NULL));
            pm_store_close(s);
        }
        disk_free(&d);
    }
    CHECK(pm__popcount64(seen) > 8);
    beside_end(&b);
}

TEST(stores_that_are_compacted_are_opened_without_reading_them) {
    beside b;
    pm_commit v;
    pm_store_info info;
    bool changed = false;
    beside_begin(&b, true, NULL);
    for (uint32_t i = 0; i < 30000; i++) {
        uint8_t at[4] = {(uint8_t)(i >> 8), (uint8_t)i, (uint8_t)(i * 7), (uint8_t)(i * 13)};
        CHECK_OK(pm_set(&b.maps[0], at, sizeof at, check_rand(), NULL));
    }
    beside_commit(&b, 0);
    pm_store_options o = b.options, loose = b.options;
    o.read_only = loose.unsynced = true;
    pm_store *r = open_store(&o);
    for (unsigned way = 0; way < 4; way++) {
        CHECK_OK(pm_store_compact(b.s, NULL, NULL, NULL));
        CHECK(disk_file(&b.d, "s")->size > 300000);
        if (way == 1) beside_commit(&b, 0);
        b.d.bytes_read = 0;
        if (way < 2) {
            CHECK_OK(pm_store_refresh(r, &changed));
            CHECK_EQ(changed, way == 1);
        } else if (way == 2) {
            pm_store_close(r);
            r = open_store(&o);
        } else { /* commits that are not waited for, by who has just opened it */
            pm_store_close(b.s);
            b.s = open_store(&loose);
            beside_commit(&b, 1);
            CHECK_OK(pm_store_refresh(r, &changed));
        }
        CHECK_NOTE(b.d.bytes_read < 200000, "way %u: %" PRIu64 " bytes", way, b.d.bytes_read);
        pm_store_get_info(r, &info);
        CHECK_EQ(info.lost, 0);
        CHECK_OK(pm_store_last(r, &v));
        CHECK(v.sequence == info.sequence && info.sequence == (way > 2 ? 3u : way ? 2u : 1u));
        pm_commit_drop(&v);
    }
    CHECK_OK(pm_store_verify(r, NULL));
    uint8_t *bytes = disk_file(&b.d, "s")->data;
    bytes[150000] ^= 1; /* which nobody looks for but who verifies */
    CHECK_EQ(pm_store_verify(r, NULL), PM_CORRUPT);
    bytes[150000] ^= 1;
    pm_store_close(r);
    beside_end(&b);
}

/* ---- failures ---- */

/* Every call of the disk fails once, or every allocation; what was committed before stays, and is found again. */
static bool fail_once(uint64_t at, bool memory, unsigned way) {
    beside b;
    pm_error why = {PM_OK, 0, NULL};
    pm_store_info info;
    beside_begin(&b, at % 2 != 0, NULL);
    edit_map(&b.maps[0], &store_shapes[1], 60);
    beside_commit(&b, 0);
    edit_map(&b.maps[0], &store_shapes[1], 8);
    pm_store_options o = b.options;
    pm_store *s = b.s;
    pm_map m = {0};
    pm_status st = PM_OK;
    if (way == 0 || way == 6) pm_store_close(b.s), s = b.s = NULL;
    if (way == 6) s = open_store(&o);
    b.d.calls = 0;
    if (memory) check_fail_alloc(at);
    else b.d.fail_at = at;
    if (way == 0) st = pm_store_open("s", &o, &s, &why);
    if (way == 1) st = pm_store_commit(s, &b.maps[0], &(pm_commit_options){.name = "b"}, &why);
    if (way == 2) st = pm_store_compact(s, NULL, NULL, &why);
    if (way == 3 || way == 6) st = pm_store_load(s, NULL, NULL, &m, &why);
    if (way == 4) st = pm_store_verify(s, &why);
    if (way == 5) st = pm_store_sync(s);
    bool failed = memory ? check_alloc_fails() != 0 : b.d.calls >= at;
    check_fail_alloc(0);
    b.d.fail_at = 0;
    CHECK(failed || st == PM_OK);
    if (st != PM_OK) CHECK(way == 5 || (why.code == st && why.msg));
    if (st != PM_OK) CHECK_EQ(st, memory ? PM_NOMEM : PM_IO);
    if ((way == 3 || way == 6) && st == PM_OK) pm_drop(&m);
    if (st != PM_OK && way == 0) s = open_store(&o);
    pm_store_get_info(s, &info);
    unsigned expect = 1;
    if (way == 1 && st == PM_OK) expect = 2;
    if (!info.failed) { /* goes on as if nothing had been */
        CHECK(info.sequence == expect);
        CHECK_OK(pm_store_commit(s, &b.maps[0], NULL, NULL));
        CHECK_OK(pm_store_verify(s, NULL));
    } else {
        CHECK(st != PM_OK && !memory);
        CHECK_EQ(pm_store_commit(s, &b.maps[0], NULL, NULL), PM_IO);
        CHECK_EQ(pm_store_compact(s, NULL, NULL, NULL), PM_IO);
    }
    pm_store_close(s);
    s = open_store(&o);
    pm_commit v;
    CHECK_OK(pm_store_at(s, way == 2 ? (info.failed ? 1 : 2) : 1, &v));
    pm_commit_drop(&v);
    CHECK_OK(pm_store_verify(s, NULL));
    CHECK_OK(pm_store_commit(s, &b.maps[0], NULL, NULL));
    b.s = s;
    beside_end(&b);
    return failed;
}

TEST(stores_lose_nothing_when_calls_fail) {
    for (unsigned way = 0; way < 7; way++)
        for (uint64_t at = 1; fail_once(at, false, way); at++) CHECK(at < 1000);
}

TEST(stores_lose_nothing_without_memory) {
    uint64_t before = check_live_blocks();
    for (unsigned way = 0; way < 7; way++)
        for (uint64_t at = 1; fail_once(at, true, way); at++) CHECK(at < 1000);
    CHECK(check_live_blocks() <= before + 64); /* the pool's own */
}

/* The last allocations of a load are for what the store remembers of the root. */
TEST(stores_load_without_memory_to_remember_it) {
    beside b;
    beside_begin(&b, true, NULL);
    edit_map(&b.maps[0], &store_shapes[1], 60);
    beside_commit(&b, 0);
    uint64_t all = 0;
    unsigned failed = 0;
    for (unsigned i = 0; i < 8; i++) { /* at first as a measure, while the pool gets its blocks */
        pm_map m;
        pm_store_close(b.s);
        b.s = open_store(&b.options);
        check_fail_alloc(i < 3 ? 0 : all + 3 - i);
        const pm_status st = pm_store_load(b.s, NULL, NULL, &m, NULL);
        if (i < 3) all = check_allocs();
        CHECK_EQ(st, check_alloc_fails() ? PM_NOMEM : PM_OK);
        failed += st != PM_OK;
        check_fail_alloc(0);
        if (st != PM_OK) CHECK_OK(pm_store_load(b.s, NULL, NULL, &m, NULL));
        bool same = false;
        CHECK_OK(pm_equal(&m, &b.maps[0], &same));
        CHECK(same);
        pm_drop(&m);
    }
    CHECK(failed > 0);
    beside_end(&b);
}

/* Where another process gives the name to a new file between opening and locking, as compaction does. */
static unsigned stale;
static pm_status named_later(void *ctx, void *file, const char *name, bool *same) {
    pm_status st = disk_named(ctx, file, name, same);
    if (stale) stale--, *same = false;
    return st;
}

TEST(stores_are_opened_by_the_name_that_they_have_when_they_are_locked) {
    beside b;
    beside_begin(&b, true, NULL);
    CHECK_OK(pm_set(&b.maps[0], "a", 1, 1, NULL));
    beside_commit(&b, 0);
    pm_store_close(b.s);
    b.files.named = named_later;
    stale = 2;
    b.s = open_store(&b.options);
    CHECK_EQ(stale, 0);
    beside_commit(&b, 0);
    beside_check(&b, b.s);
    beside_end(&b);
}

TEST(stores_grow_no_longer_than_can_be_addressed) {
    beside b;
    pm_error why = {PM_OK, 0, ""};
    beside_begin(&b, true, NULL);
    beside_commit(&b, 0);
    uint64_t far = PM__LEN_MAX / 2 / 8 * 8, calls = b.d.calls;
    b.s->end += far, b.s->desk.base += far;
    CHECK_OK(pm_set(&b.maps[0], "a", 1, 1, NULL));
    CHECK_EQ(pm_store_commit(b.s, &b.maps[0], NULL, &why), PM_INVALID);
    CHECK(strstr(why.msg, "address") && why.offset == b.s->end);
    CHECK_EQ(b.d.calls, calls);
    b.s->end -= far, b.s->desk.base -= far;
    beside_commit(&b, 0);
    beside_check(&b, b.s);
    beside_end(&b);
}

/* ---- processes and threads, on real files ---- */

#if PM__FILES

#include <sys/wait.h>
#include <time.h>

static char real_name[64];

static const char *real_file(void) {
    snprintf(real_name, sizeof real_name, "/tmp/pm_store_%d", (int)getpid());
    (void)remove(real_name);
    return real_name;
}

static void nap(unsigned us) {
    struct timespec t = {(long)(us / 1000000), (long)(us % 1000000) * 1000};
    (void)nanosleep(&t, NULL);
}

/* Version n holds n at "n", and at each of 50 numbers the last version that came to it. */
static pm_status make_version(pm_store *s, pm_map *m, uint64_t n) {
    uint8_t turn = (uint8_t)(n % 50);
    pm_status st = pm_set(m, "n", 1, n, NULL);
    if (st == PM_OK) st = pm_set(m, (uint8_t[]){'t', turn, 'x'}, 3, n, NULL);
    if (st == PM_OK) st = pm_store_commit(s, m, &(pm_commit_options){.label = {n, 0}}, NULL);
    return st;
}

static void check_version(const pm_commit *v) {
    pm_opt got;
    CHECK_EQ(v->label[0], v->sequence);
    CHECK_OK(pm_image_get(&v->image, 0, "n", 1, &got));
    CHECK(got.some && got.val == v->sequence);
    for (uint8_t k = 0; k < 50; k++) {
        uint64_t last = v->sequence - (v->sequence + 50 - k) % 50;
        CHECK_OK(pm_image_get(&v->image, 0, (uint8_t[]){'t', k, 'x'}, 3, &got));
        CHECK_EQ(got.some, v->sequence >= 50 || (k && k <= v->sequence));
        if (got.some) CHECK_EQ(got.val, last);
    }
}

static bool keep_tens(void *ctx, const pm_commit *v) {
    (void)ctx;
    return v->sequence % 10 == 0;
}

/* Commits up to version `most`, compacts now and then, and tells through a pipe what was committed. Never returns. */
static void commit_and_tell(const char *name, int to, uint64_t most, bool unsynced) {
    pm_store *s = NULL;
    pm_map m;
    pm_commit v;
    uint64_t n = 0;
    pm_store_options o = {.create = true, .unsynced = unsynced};
    if (pm_store_open(name, &o, &s, NULL) != PM_OK || pm_store_load(s, NULL, NULL, &m, NULL) != PM_OK) _exit(1);
    if (pm_store_last(s, &v) == PM_OK) n = v.sequence, pm_commit_drop(&v);
    while (++n <= most) {
        if (make_version(s, &m, n) != PM_OK) _exit(2);
        if (write(to, &n, sizeof n) != sizeof n) _exit(3);
        if (n % 23 == 0 && pm_store_compact(s, keep_tens, NULL, NULL) != PM_OK) _exit(4);
    }
    pm_store_close(s);
    _exit(0);
}

static pid_t begin_committing(const char *name, int *from, uint64_t most, bool unsynced) {
    int ends[2];
    CHECK(pipe(ends) == 0);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        check__escape = NULL;
        (void)close(ends[0]);
        commit_and_tell(name, ends[1], most, unsynced);
    }
    (void)close(ends[1]);
    *from = ends[0];
    return child;
}

TEST(stores_survive_kills) {
    const char *name = real_file(), *more = getenv("PM_STORE_KILLS");
    unsigned kills = more ? (unsigned)strtoul(more, NULL, 10) : 30;
    uint64_t told = 0, n;
    for (unsigned i = 0; i < kills; i++) {
        int from, how;
        pid_t child = begin_committing(name, &from, UINT64_MAX, i % 4 != 0);
        while (read(from, &n, sizeof n) != sizeof n) {} /* it is at work */
        told = n;
        nap((unsigned)check_below(3000));
        CHECK(kill(child, SIGKILL) == 0);
        while (read(from, &n, sizeof n) == sizeof n) told = n;
        (void)close(from);
        CHECK(waitpid(child, &how, 0) == child && WIFSIGNALED(how));
        pm_store *s = NULL;
        pm_commit v;
        CHECK_OK(pm_store_open(name, &(pm_store_options){.read_only = i % 2 != 0, .unsynced = true}, &s, NULL));
        CHECK_OK(pm_store_verify(s, NULL));
        CHECK_OK(pm_store_last(s, &v));
        CHECK(v.sequence >= told && v.sequence <= told + 1);
        check_version(&v);
        pm_commit_drop(&v);
        pm_store_close(s);
    }
    (void)remove(name);
}

TEST(stores_are_read_by_processes_beside_commits) {
    const char *name = real_file();
    int from, how;
    uint64_t n;
    pm_store *s = NULL;
    pm_commit v, held;
    pid_t child = begin_committing(name, &from, 400, true);
    CHECK(read(from, &n, sizeof n) == sizeof n);
    CHECK_OK(pm_store_open(name, &(pm_store_options){.read_only = true}, &s, NULL));
    pm_store *writer = NULL;
    pm_status st = pm_store_open(name, NULL, &writer, NULL);
    CHECK(st == PM_BUSY || st == PM_OK); /* it may have come to its end */
    pm_store_close(writer);
    CHECK_OK(pm_store_last(s, &held));
    uint64_t seen = held.sequence, first = seen;
    while (read(from, &n, sizeof n) == sizeof n) {
        CHECK_OK(pm_store_refresh(s, NULL));
        CHECK_OK(pm_store_last(s, &v));
        CHECK(v.sequence >= n && v.sequence >= seen);
        seen = v.sequence;
        check_version(&v);
        pm_commit_drop(&v);
        if (n % 40 == 0) CHECK_OK(pm_store_verify(s, NULL));
    }
    CHECK_EQ(seen, 400);
    CHECK_EQ(held.sequence, first);
    check_version(&held);
    pm_commit_drop(&held);
    CHECK(waitpid(child, &how, 0) == child && WIFEXITED(how) && WEXITSTATUS(how) == 0);
    (void)close(from);
    pm_store_close(s);
    (void)remove(name);
}

#if !PM_NO_THREADS

typedef struct together {
    pm_store *s;
    const char *name;
    atomic_bool over;
    unsigned commits;
} together;

static void *commit_some(void *arg) {
    together *t = arg;
    pm_map m = {0};
    for (uint64_t n = 1; n <= t->commits; n++) {
        CHECK_OK(pm_set(&m, &n, sizeof n, n, NULL));
        CHECK_OK(pm_set(&m, "n", 1, n, NULL));
        CHECK_OK(pm_store_commit(t->s, &m, &(pm_commit_options){.name = t->name, .label = {n, 0}}, NULL));
    }
    pm_drop(&m);
    return NULL;
}

static void *read_some(void *arg) {
    together *t = arg;
    uint64_t seen = 0;
    while (!atomic_load(&t->over)) {
        pm_commit v;
        pm_opt got;
        pm_store_info info;
        pm_status st = pm_store_newest(t->s, t->name, &v);
        CHECK(st == PM_OK || st == PM_INVALID);
        pm_store_get_info(t->s, &info);
        if (st != PM_OK) continue;
        CHECK(v.label[0] >= seen && info.sequence >= v.sequence);
        seen = v.label[0];
        CHECK_OK(pm_image_get(&v.image, 0, "n", 1, &got));
        CHECK(got.some && got.val == seen);
        CHECK_OK(pm_image_get(&v.image, 0, &seen, sizeof seen, &got));
        CHECK(got.some && got.val == seen);
        pm_commit_drop(&v);
    }
    return NULL;
}

TEST(stores_of_several_threads) {
    pm_store *s = NULL;
    pthread_t writers[3], readers[2];
    together t[3];
    const char *name = real_file();
    CHECK_OK(pm_store_open(name, &(pm_store_options){.create = true}, &s, NULL));
    for (unsigned i = 0; i < 3; i++) {
        t[i] = (together){.s = s, .name = root_names[i], .commits = 60};
        CHECK(pthread_create(&writers[i], NULL, commit_some, &t[i]) == 0);
        if (i < 2) CHECK(pthread_create(&readers[i], NULL, read_some, &t[i]) == 0);
    }
    for (unsigned i = 0; i < 5; i++) {
        nap(2000);
        CHECK_OK(pm_store_compact(s, keep_tens, NULL, NULL));
    }
    for (unsigned i = 0; i < 3; i++) CHECK(pthread_join(writers[i], NULL) == 0);
    for (unsigned i = 0; i < 2; i++) atomic_store(&t[i].over, true), CHECK(pthread_join(readers[i], NULL) == 0);
    pm_store_info info;
    pm_store_get_info(s, &info);
    CHECK(info.sequence == 180 && info.synced == info.size && !info.failed);
    CHECK_OK(pm_store_verify(s, NULL));
    pm_store_close(s);
    (void)remove(name);
}

/* One thread syncs; who waits meanwhile finds that its commit is on the disk, or syncs for all that wait. */
static atomic_int syncs, syncing, beside_another;
static pm_status slow_sync(void *ctx, void *file) {
    (void)ctx, (void)file;
    if (atomic_fetch_add(&syncing, 1)) atomic_store(&beside_another, 1);
    nap(500);
    atomic_fetch_sub(&syncing, 1);
    atomic_fetch_add(&syncs, 1);
    return PM_OK;
}

TEST(stores_are_synced_by_one_thread_for_all_that_wait) {
    beside b;
    pthread_t writers[3];
    together t[3];
    beside_begin(&b, true, NULL);
    pm_store_close(b.s);
    b.files.sync = slow_sync;
    b.s = open_store(&b.options);
    atomic_store(&syncs, 0);
    for (unsigned i = 0; i < 3; i++) {
        t[i] = (together){.s = b.s, .name = root_names[i], .commits = 30};
        CHECK(pthread_create(&writers[i], NULL, commit_some, &t[i]) == 0);
    }
    for (unsigned i = 0; i < 3; i++) CHECK(pthread_join(writers[i], NULL) == 0);
    CHECK(!atomic_load(&beside_another));
    int n = atomic_load(&syncs);
    CHECK_OK(pm_store_sync(b.s)); /* all is on the disk */
    CHECK(n <= 90 && atomic_load(&syncs) == n);
    pm_store_info info;
    pm_store_get_info(b.s, &info);
    CHECK(info.sequence == 90 && info.synced == info.size);
    beside_end(&b);
}

#endif
#endif
