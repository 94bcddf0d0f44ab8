/* Still more operations for test_oom.c: images, mixed tries, stores and their commits, on files in memory. */
#ifndef OOM_OPERATIONS_FILES_H
#define OOM_OPERATIONS_FILES_H

#include "disks.h"
#include "oom_operations_order.h"
#include "streams.h"

/* Counted values stand for strings outside; those that come back are new ones. */
static pm_status string_of(void *ctx, pm_val val, const void **data, size_t *len) {
    *(pm_val *)ctx = val;
    *data = ctx;
    *len = sizeof val;
    return PM_OK;
}

static pm_status value_of_string(void *ctx, const void *data, size_t len, pm_val *val) {
    (void)ctx, (void)data;
    CHECK_EQ(len, sizeof *val);
    *val = counted_new();
    return PM_OK;
}

static pm_image_reading reading_of(const world *w) {
    pm_image_reading r = {.ops = ops_of(w->kind), .pool = OOM_POOL};
    if (w->kind == COUNTED) r.make = value_of_string;
    return r;
}

/* What leaves, and what came back instead of it. */
static void same_content(const world *w, const pm_map *came, const pm_map *left) {
    bool same = w->kind == COUNTED;
    uint64_t a, b;
    if (!same) CHECK_OK(pm_equal(came, left, &same));
    CHECK_OK(pm_location_count(came, &a));
    CHECK_OK(pm_location_count(left, &b));
    CHECK(same && a == b);
}

/* ---- images ------------------------------------------------------------------------------------------------------ */

static pm_status write_image(const world *w, stream *s) {
    static pm_val word;
    pm_image_options how = {&word, w->kind == COUNTED ? string_of : NULL};
    pm_map maps[2] = {w->m, w->other};
    pm_image_stats stats = {77, 77, 77, 77};
    pm_status st = pm_image_write(maps, 2, stream_write, s, &how, &stats, NULL);
    if (st != PM_OK) CHECK(s->len == 0 && stats.bytes == 77);
    return st;
}

static pm_status op_image(world *w) {
    stream s = {0};
    pm_image image;
    pm_map got[2] = {{0}}, mark[2];
    pm_image_reading reading = reading_of(w);
    pm_status st = write_image(w, &s);
    memset(got, 7, sizeof got);
    memcpy(mark, got, sizeof got);
    if (st == PM_OK) {
        CHECK_OK(pm_image_open(s.data, s.len, &image, NULL));
        st = pm_image_verify(&image, NULL);
    }
    if (st == PM_OK) st = pm_image_load(&image, &reading, got, NULL);
    disarm();
    stream_free(&s);
    if (st != PM_OK) {
        CHECK(memcmp(mark, got, sizeof got) == 0);
        return st;
    }
    same_content(w, &got[0], &w->m);
    same_content(w, &got[1], &w->other);
    pm_drop(&got[0]);
    pm_drop(&got[1]);
    return st;
}

static pm_status op_image_rz(world *w) {
    stream s = {0};
    pm_image image;
    pm_rz z;
    pm_image_reading reading = reading_of(w);
    pm_status st = write_image(w, &s);
    if (st == PM_OK) {
        CHECK_OK(pm_image_open(s.data, s.len, &image, NULL));
        st = pm_image_rz(&image, 0, &reading, &z);
    }
    if (st == PM_OK) {
        pm_rz_descend_to(&z, w->key, w->len);
        bool is = pm_rz_exists(&z);
        st = pm_rz_status(&z);
        if (st == PM_OK) CHECK_EQ(is, pm_path_exists(&w->m, w->key, w->len));
        if (st == PM_OK) st = pm_rz_make_map(&z, &w->out);
        pm_rz_drop(&z);
    }
    stream_free(&s);
    return st;
}

/* ---- mixed tries ------------------------------------------------------------------------------------------------- */

/* A trie of the world's map, of which all lies in an image. */
typedef struct hanging {
    stream s;
    pm_base *base;
    pm_mixed m;
    bool closed;
} hanging;

static void note_closed(void *ctx) {
    hanging *h = ctx;
    CHECK(!h->closed);
    h->closed = true;
}

static void hanging_end(hanging *h) {
    pm_base_close(h->base);
    CHECK_EQ(h->closed, h->base && !pm_mixed_hanging(&h->m));
    pm_mixed_drop(&h->m);
    CHECK_EQ(h->closed, h->base != NULL);
    stream_free(&h->s);
}

static pm_status hanging_begin(const world *w, hanging *h) {
    pm_image image;
    pm_image_reading reading = reading_of(w);
    memset(h, 0, sizeof *h);
    h->m = pm_mixed_new(ops_of(w->kind), OOM_POOL);
    pm_status st = write_image(w, &h->s);
    if (st == PM_OK) {
        CHECK_OK(pm_image_open(h->s.data, h->s.len, &image, NULL));
        st = pm_base_open(&image, &reading, note_closed, h, &h->base);
        if (st != PM_OK) CHECK(h->base == NULL);
    }
    if (st == PM_OK) {
        st = pm_mixed_hang(&h->m, NULL, 0, h->base, 0);
        if (st != PM_OK) CHECK(pm_mixed_hanging(&h->m) == 0);
    }
    if (st != PM_OK) hanging_end(h);
    return st;
}

/* What one holds is what a map holds. */
static void mixed_is(const world *w, const pm_mixed *m, const pm_map *as) {
    pm_map all;
    CHECK_OK(pm_materialise(m, &all));
    sound(&all);
    same_content(w, &all, as);
    pm_drop(&all);
}

/* One call on such a trie. One that fails changes nothing. */
static pm_status with_hanging(world *w, pm_status (*f)(world *w, hanging *h)) {
    hanging h;
    pm_status st = hanging_begin(w, &h);
    if (st != PM_OK) return st;
    st = f(w, &h);
    disarm();
    if (st != PM_OK) mixed_is(w, &h.m, &w->m);
    hanging_end(&h);
    return st;
}

static pm_status m_set(world *w, hanging *h) {
    pm_val v = value(w->kind);
    pm_opt old = {77, true};
    pm_status st = keep_value(w->kind, pm_mixed_set(&h->m, w->key, w->len, v, &old), v);
    if (st != PM_OK) CHECK(old.some && old.val == 77);
    else if (old.some && w->kind == COUNTED) counted_release(old.val);
    return st;
}
static pm_status m_remove(world *w, hanging *h) {
    pm_opt old = {77, true};
    pm_status st = pm_mixed_remove(&h->m, w->key, w->len, PM_PRUNE, &old);
    if (st != PM_OK) CHECK(old.some && old.val == 77);
    else if (old.some && w->kind == COUNTED) counted_release(old.val);
    return st;
}
static pm_status m_paths(world *w, hanging *h) {
    pm_mixed c = pm_mixed_clone(&h->m);
    bool is = true;
    size_t gone = 77;
    pm_status st = pm_mixed_create_path(&c, w->key, w->len, NULL);
    if (st == PM_OK) st = pm_mixed_path_exists(&c, w->key, w->len, &is);
    if (st == PM_OK) CHECK(is);
    if (st == PM_OK) st = pm_mixed_prune_path(&c, w->key, w->len, &gone);
    if (st == PM_OK) st = pm_mixed_remove_branches(&c, w->key, w->len / 2, PM_PRUNE, NULL);
    pm_mixed_drop(&c);
    return st;
}
static pm_status m_graft(world *w, hanging *h) {
    pm_mixed c = pm_mixed_of_map(&w->other);
    pm_status st = pm_mixed_hang(&c, w->key, w->len, h->base, 1);
    if (st == PM_OK) st = pm_mixed_graft(&h->m, w->key, w->len, &w->other);
    pm_mixed_drop(&c);
    return st;
}
static pm_status m_get(world *w, hanging *h) {
    pm_opt opt = {77, true};
    pm_status st = pm_mixed_get(&h->m, w->key, w->len, &opt);
    if (st != PM_OK) return st;
    CHECK_EQ(opt.some, pm_get(&w->m, w->key, w->len) != NULL);
    if (opt.some && w->kind == COUNTED) counted_release(opt.val);
    return st;
}
static pm_status m_rz(world *w, hanging *h) {
    pm_rz z;
    uint64_t n = 0, want;
    pm_status st = pm_mixed_rz(&h->m, &z);
    if (st != PM_OK) return st;
    while (pm_rz_to_next_val(&z)) n++;
    st = pm_rz_status(&z);
    pm_rz_reset(&z);
    disarm();
    CHECK_OK(pm_val_count(&w->m, &want));
    if (st == PM_OK) CHECK_EQ(n + (pm_get(&w->m, NULL, 0) != NULL), want);
    pm_rz_drop(&z);
    return st;
}
static pm_status m_materialise(world *w, hanging *h) {
    pm_map mark = w->out;
    pm_status st = pm_materialise(&h->m, &w->out);
    if (st != PM_OK) CHECK(memcmp(&mark, &w->out, sizeof mark) == 0);
    return st;
}

#define HANGING(name)                                                                                                 \
    static pm_status op_mixed_##name(world *w) { return with_hanging(w, m_##name); }
HANGING(set) HANGING(remove) HANGING(paths) HANGING(graft) HANGING(get) HANGING(rz) HANGING(materialise)

/* ---- stores ------------------------------------------------------------------------------------------------------ */

typedef struct shelf {
    disk d;
    pm_files files;
    pm_store *s;
    pm_val word;
    pm_commit_options how;
} shelf;

static pm_status shelf_begin(const world *w, shelf *h) {
    memset(h, 0, sizeof *h);
    h->files = disk_files(&h->d, w->len % 2);
    h->how.ctx = &h->word;
    if (w->kind == COUNTED) h->how.bytes = string_of;
    pm_status st = pm_store_open("s", &(pm_store_options){.files = &h->files, .create = true}, &h->s, NULL);
    if (st != PM_OK) {
        CHECK(h->s == NULL);
        disk_free(&h->d);
    }
    return st;
}

/* The newest version holds this, and there are so many. */
static void shelf_holds(const world *w, shelf *h, const pm_map *m, uint64_t sequence) {
    pm_store_info info;
    pm_commit v;
    pm_image_reading reading = reading_of(w);
    pm_map now;
    disarm();
    pm_store_get_info(h->s, &info);
    CHECK(info.sequence == sequence && !info.failed);
    CHECK_OK(pm_store_verify(h->s, NULL));
    if (!sequence) return;
    CHECK_OK(pm_store_last(h->s, &v));
    CHECK_OK(pm_image_load(&v.image, &reading, &now, NULL));
    same_content(w, &now, m);
    pm_drop(&now);
    pm_commit_drop(&v);
}

static void shelf_end(shelf *h) {
    pm_store_close(h->s);
    CHECK_EQ(h->d.maps, 0);
    disk_free(&h->d);
}

/* A commit of everything, then one of a change. Returns how it ended; *n is how many there are, and *m the last. */
static pm_status commit_two(world *w, shelf *h, pm_map *m, uint64_t *n) {
    pm_val v = value(w->kind);
    *m = pm_clone(&w->m);
    *n = 0;
    pm_status st = pm_store_commit(h->s, m, &h->how, NULL);
    if (st != PM_OK) return keep_value(w->kind, st, v);
    ++*n;
    st = keep_value(w->kind, pm_set(m, w->key, w->len, v, NULL), v);
    if (st == PM_OK) st = pm_store_commit(h->s, m, &h->how, NULL);
    if (st == PM_OK) ++*n;
    return st;
}

static pm_status op_store_commit(world *w) {
    shelf h;
    pm_map m;
    uint64_t n;
    pm_status st = shelf_begin(w, &h);
    if (st != PM_OK) return st;
    st = commit_two(w, &h, &m, &n);
    shelf_holds(w, &h, n == 2 ? &m : &w->m, n);
    pm_drop(&m);
    shelf_end(&h);
    return st;
}

/* Loading, keeping the newest, and a reader who refreshes then. */
static pm_status op_store_keep(world *w) {
    shelf h;
    pm_map m, mark = w->out;
    uint64_t n;
    pm_store *r = NULL;
    pm_image_reading reading = reading_of(w);
    pm_status st = shelf_begin(w, &h);
    if (st != PM_OK) return st;
    st = commit_two(w, &h, &m, &n);
    if (st == PM_OK) {
        st = pm_store_load(h.s, NULL, &reading, &w->out, NULL);
        if (st != PM_OK) CHECK(memcmp(&mark, &w->out, sizeof mark) == 0);
    }
    if (st == PM_OK) st = pm_store_open("s", &(pm_store_options){.files = &h.files, .read_only = true}, &r, NULL);
    if (st == PM_OK) st = pm_store_compact(h.s, NULL, NULL, NULL);
    if (st == PM_OK) st = pm_store_commit(h.s, &m, &h.how, NULL), n += st == PM_OK;
    if (st == PM_OK) st = pm_store_refresh(r, NULL);
    if (r) { /* who reads has one version or the other, whole */
        shelf of = {.s = r};
        pm_store_info info;
        pm_store_get_info(r, &info);
        CHECK_EQ(info.sequence, st == PM_OK ? 3 : 2);
        shelf_holds(w, &of, &m, info.sequence);
        pm_store_close(r);
    }
    shelf_holds(w, &h, n >= 2 ? &m : &w->m, n);
    pm_drop(&m);
    shelf_end(&h);
    return st;
}

/* A change over a version that stays where it lies, committed. */
static pm_status op_store_mixed(world *w) {
    shelf h;
    pm_commit v = {0};
    pm_base *base = NULL;
    pm_mixed m = pm_mixed_new(ops_of(w->kind), OOM_POOL);
    pm_image_reading reading = reading_of(w);
    pm_map all = pm_clone(&w->m);
    uint64_t n = 0;
    pm_status st = shelf_begin(w, &h);
    if (st != PM_OK) {
        pm_drop(&all);
        return st;
    }
    st = pm_store_commit(h.s, &w->m, &h.how, NULL);
    if (st == PM_OK) n++, st = pm_store_newest(h.s, NULL, &v);
    if (st == PM_OK) {
        st = pm_base_of_commit(&v, &reading, &base);
        if (st != PM_OK) CHECK(base == NULL);
    }
    pm_commit_drop(&v);
    if (st == PM_OK) st = pm_mixed_hang(&m, NULL, 0, base, 0);
    pm_base_close(base);
    if (st == PM_OK) {
        pm_val a = value(w->kind), b = a;
        st = keep_value(w->kind, pm_mixed_set(&m, w->key, w->len, a, NULL), a);
        if (w->kind == COUNTED) b = counted_new();
        if (st == PM_OK) st = keep_value(w->kind, pm_set(&all, w->key, w->len, b, NULL), b);
        else (void)keep_value(w->kind, st, b);
    }
    if (st == PM_OK) st = pm_store_commit_mixed(h.s, &m, &h.how, NULL), n += st == PM_OK;
    pm_mixed_drop(&m);
    shelf_holds(w, &h, n == 2 ? &all : &w->m, n);
    pm_drop(&all);
    shelf_end(&h);
    return st;
}

#endif
