/* Mixed tries. Two maps: `own` is what is in memory; `hung` has, where a record of an image hangs, a stub: the record,
   and the bytes of those of its entries that are gone, since they have been taken out or covered.

       hung   ""  -> record  a b c   gone: b        own   bar   =1
              bee -> record  f r     gone: -              beef  =2 ..

   An entry that is not gone is a whole subtrie: neither map has anything at or below its first byte. So each terminal
   comes from one side only, and what lies below a byte of a stub from one stub only: the lowest on the way to it.

   A write pulls the entry that its key leads through out of the stub: the value at the entry's end goes into `own`, the
   record below becomes a stub there, and so on down the key. A stub has an entry left, or is none; and `own` does not
   dangle where `hung` has a location. So what a map does at a key is right for the whole, if `hung` is looked at
   too. */
#include "47_map_order.c"
#include "53_zipper_order.c"
#include "55_write_algebra.c"
#include "57_views.c"
#include "75_image_load.c"
#include "76_store.c"
#include "89_mixed.h"

/* ---- bases and stubs ------------------------------------------------------------------------------------------- */

struct pm_base {
    pm__a64 refs;
    pm_commit version; /* whose image it is; else without a block */
    pm_image image;
    pm_image_reading reading;
    void (*close)(void *ctx);
    void *ctx;
};

typedef struct pm__mixed_stub {
    pm__a64 refs;
    pm_base *base;
    size_t record;
    pm_mask gone;
} pm__mixed_stub;

static PM__INLINE const pm__mixed_stub *pm__mixed_stub_of(pm_val v) {
    return (const pm__mixed_stub *)(uintptr_t)v;
}

PM_API pm_status pm_base_open(const pm_image *image, const pm_image_reading *reading, void (*close)(void *ctx),
                              void *ctx, pm_base **out) {
    if (!image || !image->data || !out) return PM_INVALID;
    pm_image_reading r = pm__imgview_reading(image, reading);
    if (pm__ops_is_refused(r.ops)) return PM_BADHOOK;
    pm_base *b = (pm_base *)pm__mem_alloc_big(sizeof *b);
    if (!b) return PM_NOMEM;
    memset(b, 0, sizeof *b);
    pm__store_relaxed(&b->refs, 1);
    b->image = *image;
    b->reading = r;
    b->close = close;
    b->ctx = ctx;
    *out = b;
    return PM_OK;
}

PM_API pm_status pm_base_of_commit(const pm_commit *v, const pm_image_reading *reading, pm_base **out) {
    if (!v || !v->block || !out) return PM_INVALID;
    pm_status s = pm_base_open(&v->image, reading, NULL, NULL, out);
    if (s == PM_OK) pm_commit_share(v, &(*out)->version);
    return s;
}

PM_API void pm_base_close(pm_base *b) {
    if (!b || pm__a64_fetch_sub_acq_rel(&b->refs, 1) != 1) return;
    if (b->close) b->close(b->ctx);
    pm_commit_drop(&b->version);
    pm__mem_free_big(b, sizeof *b);
}

static void pm__mixed_retain(void *ctx, pm_val v) {
    (void)ctx;
    (void)pm__a64_fetch_add_relaxed(&((pm__mixed_stub *)(uintptr_t)v)->refs, 1);
}

static void pm__mixed_release(void *ctx, pm_val v) {
    pm__mixed_stub *s = (pm__mixed_stub *)(uintptr_t)v;
    (void)ctx;
    if (pm__a64_fetch_sub_acq_rel(&s->refs, 1) != 1) return;
    pm_base_close(s->base);
    pm__mem_free_big(s, sizeof *s);
}

static const pm_ops pm__mixed_stubs = {
    .name = "stubs", .flags = PM_OPS_IDEMPOTENT, .retain = pm__mixed_retain, .release = pm__mixed_release};

/* Hangs a record at a key, in the place of what is there. */
static pm_status pm__mixed_put(pm_map *hung, const uint8_t *key, size_t len, pm_base *b, size_t record, pm_mask gone) {
    pm__mixed_stub *s = (pm__mixed_stub *)pm__mem_alloc_big(sizeof *s);
    if (!s) return PM_NOMEM;
    (void)pm__a64_fetch_add_relaxed(&b->refs, 1);
    pm__store_relaxed(&s->refs, 1);
    s->base = b;
    s->record = record;
    s->gone = gone;
    if (!hung->ops) *hung = pm_new(&pm__mixed_stubs, hung->pool);
    pm_status st = pm_set(hung, key, len, (pm_val)(uintptr_t)s, NULL);
    if (st != PM_OK) pm__mixed_release(NULL, (pm_val)(uintptr_t)s);
    return st;
}

/* ---- the way to a key ------------------------------------------------------------------------------------------ */

/* Where a key leads into a record. */
typedef struct pm__mixed_way {
    const pm__mixed_stub *stub; /* NULL: it does not */
    size_t at;                  /* where that hangs */
    pm__image_record r;
    pm__image_entry e; /* the key goes on by this entry's first byte */
} pm__mixed_way;

static pm_status pm__mixed_find(const pm_mixed *m, const uint8_t *key, size_t len, pm__mixed_way *w) {
    size_t at;
    unsigned i;
    w->stub = NULL;
    const pm_val *v = len ? pm_longest_prefix(&m->hung, key, len - 1, &at) : NULL;
    if (!v) return PM_OK;
    const pm__mixed_stub *s = pm__mixed_stub_of(*v);
    if (pm_mask_test(&s->gone, key[at])) return PM_OK;
    if (!pm__image_record_at(&s->base->image, s->record, &w->r) || !pm__image_find(&w->r, key[at], &i))
        return PM_CORRUPT;
    if (i == w->r.n || w->r.bytes[i] != key[at]) return PM_OK;
    if (!pm__image_entry_nth(&s->base->image, &w->r, i, &w->e)) return PM_CORRUPT;
    w->stub = s;
    w->at = at;
    return PM_OK;
}

/* Whether a stub has entries beside one that are not gone. */
static bool pm__mixed_has_more(const pm__mixed_way *w, uint8_t but) {
    for (unsigned i = 0; i < w->r.n; i++)
        if (w->r.bytes[i] != but && !pm_mask_test(&w->stub->gone, w->r.bytes[i])) return true;
    return false;
}

/* Puts what is at the end of an entry into the two maps, at a key. */
static pm_status pm__mixed_take(pm_mixed *m, const uint8_t *key, size_t len, pm_base *b, const pm__image_entry *e) {
    static const pm_mask none = {{0, 0, 0, 0}};
    pm_status s = PM_OK;
    pm_val val;
    bool made;
    if (e->has_val) {
        s = pm__imgview_make(&b->image, &b->reading, e, &val, &made);
        if (s != PM_OK) return s;
        s = pm_set(&m->own, key, len, val, NULL);
        if (s != PM_OK && made) pm__val_release(b->reading.ops, val);
    }
    if (s == PM_OK && e->child) return pm__mixed_put(&m->hung, key, len, b, e->child, none);
    if (s == PM_OK && !e->has_val) return pm_create_path(&m->own, key, len, NULL);
    return s;
}

/* Pulls one entry out of its stub. */
static pm_status pm__mixed_pull_one(pm_mixed *m, const uint8_t *key, const pm__mixed_way *w, pm__list *path) {
    uint8_t first = key[w->at];
    pm_mask gone = w->stub->gone;
    path->used = 0;
    if (!pm__list_put(path, key, w->at + 1) || !pm__list_put(path, w->e.run, w->e.run_len)) return PM_NOMEM;
    pm_status s = pm__mixed_take(m, path->data, path->used, w->stub->base, &w->e);
    if (s != PM_OK) return s;
    if (!pm__mixed_has_more(w, first)) return pm_remove(&m->hung, key, w->at, PM_PRUNE, NULL);
    pm_mask_set(&gone, first);
    return pm__mixed_put(&m->hung, key, w->at, w->stub->base, w->stub->record, gone);
}

/* Pulls out what a key leads through, so that no record covers it: all or nothing. What the trie holds stays. */
static pm_status pm__mixed_pull(pm_mixed *m, const uint8_t *key, size_t len) {
    pm__mixed_way w;
    pm_status s = pm__mixed_find(m, key, len, &w);
    if (s != PM_OK || !w.stub) return s;
    pm_mixed next = pm_mixed_clone(m);
    pm__list path = pm__list_of(1);
    while (s == PM_OK && w.stub) {
        s = pm__mixed_pull_one(&next, key, &w, &path);
        if (s == PM_OK) s = pm__mixed_find(&next, key, len, &w);
    }
    pm__list_free(&path);
    if (s == PM_OK) {
        pm_mixed was = *m;
        *m = next;
        next = was;
    }
    pm_mixed_drop(&next);
    return s;
}

/* Whether anything hangs at a key or below it. */
static bool pm__mixed_hangs(const pm_mixed *m, const void *key, size_t len) {
    return len ? pm_path_exists(&m->hung, key, len) : !pm_is_empty(&m->hung);
}

static bool pm__mixed_bad(const pm_mixed *m, const void *key, size_t len) {
    return !m || pm__map_bad(&m->own, key, len);
}

/* ---- as a whole ------------------------------------------------------------------------------------------------ */

PM_API pm_mixed pm_mixed_new(const pm_ops *ops, pm_pool *pool) {
    pm_mixed m = {pm_new(ops, pool), pm_new(&pm__mixed_stubs, pool)};
    return m;
}

PM_API pm_mixed pm_mixed_of_map(const pm_map *map) {
    pm_mixed m = {pm_clone(map), pm_new(&pm__mixed_stubs, map ? map->pool : NULL)};
    return m;
}

PM_API void pm_mixed_drop(pm_mixed *m) {
    if (!m) return;
    pm_drop(&m->own);
    pm_drop(&m->hung);
}

PM_API pm_mixed pm_mixed_clone(const pm_mixed *m) {
    pm_mixed c = {pm_clone(m ? &m->own : NULL), pm_clone(m ? &m->hung : NULL)};
    return c;
}

PM_API uint64_t pm_mixed_hanging(const pm_mixed *m) {
    uint64_t n = 0;
    if (m && pm_val_count(&m->hung, &n) != PM_OK) n = UINT64_MAX;
    return n;
}

/* ---- reading one place ----------------------------------------------------------------------------------------- */

PM_API pm_status pm_mixed_get(const pm_mixed *m, const void *key, size_t len, pm_opt *out) {
    pm__mixed_way w;
    bool at, within, made;
    pm_val val;
    if (pm__mixed_bad(m, key, len) || !out) return PM_INVALID;
    const uint8_t *k = (const uint8_t *)key;
    const pm_val *v = pm_get(&m->own, key, len);
    if (v) {
        pm__val_retain(pm_map_ops(&m->own), *v);
        out->some = true, out->val = *v;
        return PM_OK;
    }
    pm_status s = pm__mixed_find(m, k, len, &w);
    if (s != PM_OK) return s;
    if (w.stub) {
        const pm_base *b = w.stub->base;
        pm__image_entry e;
        memset(&e, 0, sizeof e);
        e.child = w.stub->record;
        s = pm__imgview_along(&b->image, &e, k + w.at, len - w.at, &at, &within);
        if (s == PM_OK && at && e.has_val) {
            s = pm__imgview_make(&b->image, &b->reading, &e, &val, &made);
            if (s == PM_OK) out->some = true, out->val = val;
            return s;
        }
    }
    if (s == PM_OK) out->some = false, out->val = 0;
    return s;
}

PM_API pm_status pm_mixed_path_exists(const pm_mixed *m, const void *key, size_t len, bool *out) {
    pm__mixed_way w;
    pm__image_entry e;
    bool at = false, within = false;
    if (pm__mixed_bad(m, key, len) || !out) return PM_INVALID;
    const uint8_t *k = (const uint8_t *)key;
    bool found = pm_path_exists(&m->own, key, len) || pm_path_exists(&m->hung, key, len);
    pm_status s = found ? PM_OK : pm__mixed_find(m, k, len, &w);
    if (s == PM_OK && !found && w.stub) {
        memset(&e, 0, sizeof e);
        e.child = w.stub->record;
        s = pm__imgview_along(&w.stub->base->image, &e, k + w.at, len - w.at, &at, &within);
    }
    if (s == PM_OK) *out = found || at || within;
    return s;
}

/* ---- writing --------------------------------------------------------------------------------------------------- */

PM_API pm_status pm_mixed_set(pm_mixed *m, const void *key, size_t len, pm_val val, pm_opt *old) {
    if (pm__mixed_bad(m, key, len)) return PM_INVALID;
    pm_status s = pm__mixed_pull(m, (const uint8_t *)key, len);
    return s == PM_OK ? pm_set(&m->own, key, len, val, old) : s;
}

/* Whether a key is a location; if so no record covers it any more. */
static pm_status pm__mixed_reach(pm_mixed *m, const void *key, size_t len, bool *exists) {
    pm_status s = pm_mixed_path_exists(m, key, len, exists);
    return s == PM_OK && *exists ? pm__mixed_pull(m, (const uint8_t *)key, len) : s;
}

PM_API pm_status pm_mixed_create_path(pm_mixed *m, const void *key, size_t len, bool *changed) {
    bool exists;
    pm_status s = pm_mixed_path_exists(m, key, len, &exists);
    if (s != PM_OK) return s;
    if (exists) {
        if (changed) *changed = false;
        return PM_OK;
    }
    s = pm__mixed_pull(m, (const uint8_t *)key, len);
    return s == PM_OK ? pm_create_path(&m->own, key, len, changed) : s;
}

PM_API pm_status pm_mixed_prune_path(pm_mixed *m, const void *key, size_t len, size_t *removed) {
    bool exists;
    size_t n = 0, keeps = 0;
    pm_rz z;
    pm_status s = pm__mixed_reach(m, key, len, &exists);
    if (s == PM_OK && exists && !pm__mixed_hangs(m, key, len)) {
        s = pm_rz_open(&m->hung, NULL, 0, &z);
        if (s != PM_OK) return s;
        keeps = pm_rz_move_to(&z, key, len);
        s = pm_rz_status(&z);
        pm_rz_drop(&z);
        if (s == PM_OK) s = pm_prune_path(&m->own, key, len, &n);
    }
    if (s == PM_OK && removed) *removed = n < len - keeps ? n : len - keeps;
    return s;
}

PM_API pm_status pm_mixed_remove(pm_mixed *m, const void *key, size_t len, pm_prune prune, pm_opt *old) {
    bool exists;
    pm_status s = pm__mixed_reach(m, key, len, &exists);
    if (s != PM_OK) return s;
    if (!exists) {
        if (old) old->some = false, old->val = 0;
        return PM_OK;
    }
    if (pm__mixed_hangs(m, key, len)) prune = PM_PRUNE; /* the location stays, and `own` must not dangle there */
    return pm_remove(&m->own, key, len, prune, old);
}

/* Ends a write that was made in a copy. */
static pm_status pm__mixed_close(pm_mixed *m, pm_mixed *next, pm_status s) {
    pm_mixed was = s == PM_OK ? *m : *next;
    if (s == PM_OK) *m = *next;
    pm_mixed_drop(&was);
    return s;
}

/* Takes all away below a key, and what hangs there. The location stays, if it was one. */
static pm_status pm__mixed_clear(pm_mixed *m, const void *key, size_t len, bool *changed) {
    bool below = pm__mixed_hangs(m, key, len);
    pm_status s = pm_remove_branches(&m->own, key, len, PM_KEEP, changed);
    if (s != PM_OK || !below) return s;
    *changed = true;
    s = pm_remove_branches(&m->hung, key, len, PM_KEEP, NULL);
    if (s == PM_OK) s = pm_remove(&m->hung, key, len, PM_PRUNE, NULL);
    if (s == PM_OK) s = pm_create_path(&m->own, key, len, NULL);
    return s;
}

PM_API pm_status pm_mixed_remove_branches(pm_mixed *m, const void *key, size_t len, pm_prune prune, bool *changed) {
    bool exists, some = false;
    pm_status s = pm__mixed_reach(m, key, len, &exists);
    if (s != PM_OK) return s;
    if (exists) {
        pm_mixed next = pm_mixed_clone(m);
        s = pm__mixed_clear(&next, key, len, &some);
        if (s == PM_OK && prune == PM_PRUNE) s = pm_mixed_prune_path(&next, key, len, NULL);
        s = pm__mixed_close(m, &next, s);
    }
    if (s != PM_OK) return s;
    if (changed) *changed = some;
    return s;
}

/* Makes room at a key: what was at and below it is gone, in a copy that takes the place of the trie in the end. */
static pm_status pm__mixed_make_room(const pm_mixed *m, const void *key, size_t len, pm_mixed *next) {
    bool changed;
    *next = pm_mixed_clone(m);
    pm_status s = pm__mixed_pull(next, (const uint8_t *)key, len);
    if (s == PM_OK) s = pm__mixed_clear(next, key, len, &changed);
    if (s == PM_OK) s = pm_remove(&next->own, key, len, PM_KEEP, NULL);
    return s;
}

/* Takes away a dangling end in memory at or above a key: something is to hang there. */
static pm_status pm__mixed_take_end(pm_map *own, const void *key, size_t len) {
    pm_rz z;
    pm_status s = pm_rz_open(own, NULL, 0, &z);
    if (s != PM_OK) return s;
    size_t n = pm_rz_move_to(&z, key, len);
    s = pm_rz_status(&z);
    pm_rz_drop(&z);
    return s == PM_OK ? pm_prune_path(own, key, n, NULL) : s;
}

PM_API pm_status pm_mixed_hang(pm_mixed *m, const void *key, size_t len, pm_base *b, size_t i) {
    pm__image_entry e;
    pm_mixed next;
    if (pm__mixed_bad(m, key, len) || !b || i >= b->image.maps) return PM_INVALID;
    if (pm_map_ops(&m->own) != b->reading.ops) return PM_MISMATCH;
    if (!pm__image_root(&b->image, i, &e)) return PM_CORRUPT;
    pm_status s = pm__mixed_make_room(m, key, len, &next);
    if (s == PM_OK && e.child) s = pm__mixed_take_end(&next.own, key, len);
    if (s == PM_OK) s = pm__mixed_take(&next, (const uint8_t *)key, len, b, &e);
    return pm__mixed_close(m, &next, s);
}

PM_API pm_status pm_mixed_graft(pm_mixed *m, const void *key, size_t len, const pm_map *src) {
    pm_mixed next;
    pm_wz w;
    if (pm__mixed_bad(m, key, len) || !src) return PM_INVALID;
    if (pm_map_ops(&m->own) != pm_map_ops(src)) return PM_MISMATCH;
    pm_status s = pm__mixed_make_room(m, key, len, &next);
    if (s == PM_OK) s = pm_wz_open(&next.own, key, len, &w);
    if (s == PM_OK) {
        s = pm_wz_graft_map(&w, src);
        pm_status ended = pm_wz_drop(&w);
        if (s == PM_OK) s = ended;
    }
    return pm__mixed_close(m, &next, s);
}

/* ---- as a view ------------------------------------------------------------------------------------------------- */

/* What a search finds on its way down. */
typedef struct pm__mixview_over {
    const pm__mixed_stub *stub;
    size_t at;
} pm__mixview_over;

typedef struct pm__mixview {
    pm_rz own, hung;
    pm__imgview *img;           /* over the record of `in`, which hangs `at` bytes down */
    const pm__mixed_stub *in;   /* NULL: not yet */
    size_t at;
    pm__list over;              /* the stubs on the way to `key`, the highest first */
    pm__view_path key;          /* what is searched for */
    pm__view_path path, within; /* of the images' terminal; what the search stays in */
    const pm_val *val;
    bool own_on, far_on; /* there is a terminal in memory, in an image */
    bool is_far;         /* the latter one is shown */
    bool memory;         /* there was room for `over` */
} pm__mixview;

static bool pm__mixview_fail(pm_terminal *t, pm_status s) {
    if (t->status == PM_OK) t->status = s;
    return false;
}

static bool pm__mixview_put(pm__view_path *p, size_t keep, const uint8_t *s, size_t n, pm_terminal *t) {
    return pm__view_path_put(p, keep, s, n) || pm__mixview_fail(t, PM_NOMEM);
}

/* Order of two paths. */
static int pm__mixview_order(const uint8_t *a, size_t an, const uint8_t *b, size_t bn) {
    size_t min = an < bn ? an : bn, same = min ? pm__lcp(a, b, min) : 0;
    if (same < min) return a[same] < b[same] ? -1 : 1;
    return (an > bn) - (an < bn);
}

/* ---- in one stub ---- */

static void pm__mixview_enter(pm__mixview *v, const pm__mixview_over *o) {
    v->at = o->at;
    if (v->in == o->stub) return;
    v->in = o->stub;
    pm__imgview *img = v->img;
    pm__imgview_forget(img);
    img->frames.used = img->path.used = 0;
    img->image = o->stub->base->image;
    img->reading = o->stub->base->reading;
    memset(&img->root, 0, sizeof img->root);
    img->root.child = o->stub->record;
}

/* The first byte at or after `from` by which an entry that is not gone begins, or the last one at or before; -1: there
   is none. */
static int pm__mixview_byte(const pm__mixview *v, int from, bool back, pm_terminal *t) {
    pm__image_record r;
    int best = -1;
    if (!pm__image_record_at(&v->img->image, v->in->record, &r)) {
        (void)pm__mixview_fail(t, PM_CORRUPT);
        return best;
    }
    for (unsigned i = 0; i < r.n; i++) {
        int b = r.bytes[i];
        if (pm_mask_test(&v->in->gone, r.bytes[i]) || (back ? b > from : b < from)) continue;
        if (best < 0 || (back ? b > best : b < best)) best = b;
    }
    return best;
}

/* The stub's first terminal at or after s[0..n). */
static bool pm__mixview_forth(pm__mixview *v, const uint8_t *s, size_t n, pm_terminal *t) {
    int from;
    if (n && pm_mask_test(&v->in->gone, *s)) {
        from = *s + 1;
    } else {
        if (!pm__imgview_seek(v->img, s, n, 0, t)) return false;
        if (t->len && !pm_mask_test(&v->in->gone, *t->path)) return true;
        from = t->len ? *t->path + 1 : 0;
    }
    int b = pm__mixview_byte(v, from, false, t);
    uint8_t c = (uint8_t)b;
    return b >= 0 && pm__imgview_seek(v->img, &c, 1, 1, t);
}

/* Its last terminal before s[0..n), `below`: or at or below that. */
static bool pm__mixview_back(pm__mixview *v, const uint8_t *s, size_t n, bool below, pm_terminal *t) {
    int from;
    if (!n && !below) return false;
    if (n && pm_mask_test(&v->in->gone, *s)) {
        from = *s - 1;
    } else {
        if (!pm__imgview_seek_back(v->img, s, n, 0, below, t)) return false;
        if (!t->len) return false;
        if (!pm_mask_test(&v->in->gone, *t->path)) return true;
        from = *t->path - 1;
    }
    int b = pm__mixview_byte(v, from, true, t);
    uint8_t c = (uint8_t)b;
    return b >= 0 && pm__imgview_seek_back(v->img, &c, 1, 1, true, t);
}

/* ---- in all of them ---- */

/* Takes over what was found in the stub entered last, which is on the way to `key`. */
static bool pm__mixview_found(pm__mixview *v, pm_terminal *t) {
    v->val = t->val;
    return pm__mixview_put(&v->path, 0, v->key.at, v->at, t) &&
           pm__mixview_put(&v->path, v->at, t->path, t->len, t);
}

static bool pm__mixview_collect(void *ctx, size_t len, pm_val val) {
    pm__mixview *v = (pm__mixview *)ctx;
    pm__mixview_over o = {pm__mixed_stub_of(val), len};
    return v->memory = pm__list_put(&v->over, &o, 1);
}

/* Finds the stubs on the way to the first `len` bytes of `key`. */
static bool pm__mixview_list(pm__mixview *v, size_t len, pm_terminal *t) {
    v->over.used = 0;
    v->memory = true;
    pm_rz_reset(&v->hung);
    pm_status s = pm_rz_each_prefix(&v->hung, v->key.at, len, pm__mixview_collect, v);
    if (!v->memory) s = PM_NOMEM;
    return s == PM_OK || pm__mixview_fail(t, s);
}

/* Whether `hung` stands on a stub: told of a search in it. */
static bool pm__mixview_on(pm__mixview *v, bool found, pm_terminal *t) {
    return pm__view_asked(&v->hung, found, t) && pm_rz_val(&v->hung) != NULL;
}

/* Whether that stub lies below the stub o, and before, or else behind, what was found there. */
static bool pm__mixview_is_nearer(const pm__mixview *v, const pm__mixview_over *o, bool found, bool back,
                                  const pm_terminal *t) {
    const pm_rz *h = &v->hung;
    if (h->len <= o->at || (o->at && memcmp(h->path, v->key.at, o->at) != 0)) return false;
    if (!found) return true;
    int order = pm__mixview_order(h->path + o->at, h->len - o->at, t->path, t->len);
    return back ? order > 0 : order < 0;
}

static bool pm__mixview_go_to_stub(pm__mixview *v, pm_terminal *t) {
    return pm__mixview_put(&v->key, 0, v->hung.path, v->hung.len, t);
}

/* Finds the first terminal of all images at or after `key`: that of the lowest stub on the way there, unless another
   stub comes first below it; then of the one above; then of the next stub. */
static bool pm__mixview_first(pm__mixview *v, pm_terminal *t) {
    for (;;) {
        size_t len = v->key.len;
        if (!v->hung.top && !v->hung.top_val && !v->hung.held_some) return false;
        if (!pm__mixview_put(&v->key, len, (const uint8_t *)"", 1, t) || !pm__mixview_list(v, len, t)) return false;
        bool on = pm__mixview_on(v, pm__iter_seek_terminal(&v->hung, 0, v->key.at, len + 1), t);
        bool nearer = false;
        for (size_t i = v->over.used; i-- > 0 && !nearer;) {
            const pm__mixview_over *o = (const pm__mixview_over *)pm__list_at(&v->over, i);
            pm__mixview_enter(v, o);
            bool found = pm__mixview_forth(v, v->key.at + o->at, len - o->at, t);
            if (t->status != PM_OK) return false;
            nearer = on && pm__mixview_is_nearer(v, o, found, false, t);
            if (found && !nearer) return pm__mixview_found(v, t);
        }
        if (t->status != PM_OK || !on || !pm__mixview_go_to_stub(v, t)) return false;
    }
}

/* Goes on with the highest stub that hangs lower than `above` on the way to the one that `hung` stands on: what the
   former has besides comes behind all that is below the latter, or before. */
static bool pm__mixview_go_back_to_stub(pm__mixview *v, const pm__mixview_over *above, pm_terminal *t) {
    size_t at = above ? above->at + 1 : 0;
    if (!pm__mixview_go_to_stub(v, t) || !pm__mixview_list(v, v->key.len, t)) return false;
    for (size_t i = v->over.used; i-- > 0;) {
        const pm__mixview_over *o = (const pm__mixview_over *)pm__list_at(&v->over, i);
        if (o->at >= at) v->key.len = o->at;
    }
    return true;
}

/* The same backwards: the last one before `key`; `below`: or at or below it. */
static bool pm__mixview_last(pm__mixview *v, bool below, pm_terminal *t) {
    for (;; below = true) {
        size_t len = v->key.len;
        if (!v->hung.top && !v->hung.top_val && !v->hung.held_some) return false;
        if (!pm__mixview_list(v, len, t)) return false;
        bool on = pm__mixview_on(v, pm__iter_seek_back(&v->hung, 0, v->key.at, len, below), t);
        pm__mixview_over over = {NULL, 0};
        bool nearer = false;
        for (size_t i = v->over.used; i-- > 0 && !nearer;) {
            const pm__mixview_over *o = (const pm__mixview_over *)pm__list_at(&v->over, i);
            over = *o;
            pm__mixview_enter(v, o);
            bool found = pm__mixview_back(v, v->key.at + o->at, len - o->at, below, t);
            if (t->status != PM_OK) return false;
            nearer = on && pm__mixview_is_nearer(v, o, found, true, t);
            if (nearer) break;
            if (found) return pm__mixview_found(v, t);
            on = pm__mixview_on(v, pm__iter_seek_back(&v->hung, 0, v->key.at, o->at, false), t);
        }
        if (t->status != PM_OK || !on || !pm__mixview_go_back_to_stub(v, nearer ? &over : NULL, t)) return false;
    }
}

/* From the images' terminal to the next one. Within an entry no other stub can come first. */
static bool pm__mixview_next_far(pm__mixview *v, pm_terminal *t) {
    uint8_t first = v->path.at[v->at];
    bool found = pm__imgview_next(v->img, 0, t);
    size_t same = t->same;
    t->same = 0;
    if (t->status != PM_OK) return false;
    if (found && *t->path == first) {
        v->val = t->val;
        return pm__mixview_put(&v->path, v->at + same, t->path + same, t->len - same, t);
    }
    return pm__mixview_put(&v->key, 0, v->path.at, v->path.len, t) &&
           pm__mixview_put(&v->key, v->path.len, (const uint8_t *)"", 1, t) && pm__mixview_first(v, t);
}

/* ---- with what is in memory ---- */

static bool pm__mixview_is_within(const pm__mixview *v) {
    size_t n = v->within.len;
    return v->path.len >= n && (!n || memcmp(v->path.at, v->within.at, n) == 0);
}

/* The empty path is a terminal of one side only if it has a value. */
static bool pm__mixview_asked(pm__mixview *v, bool found, pm_terminal *t) {
    return pm__view_asked(&v->own, found, t) && (v->own.len || pm_rz_val(&v->own));
}

/* Shows the first of both terminals, or the last. */
static bool pm__mixview_show(pm__mixview *v, bool back, pm_terminal *t) {
    if (t->status != PM_OK || (!v->own_on && !v->far_on)) return false;
    v->is_far = !v->own_on;
    if (v->own_on && v->far_on) {
        int order = pm__mixview_order(v->path.at, v->path.len, v->own.path, v->own.len);
        v->is_far = back ? order > 0 : order < 0;
    }
    t->path = v->is_far ? v->path.at : v->own.len ? v->own.path : (const uint8_t *)"";
    t->len = v->is_far ? v->path.len : v->own.len;
    t->val = v->is_far ? v->val : pm_rz_val(&v->own);
    return true;
}

static bool pm__mixview_begin(pm__mixview *v, const uint8_t *key, size_t len, size_t within, pm_terminal *t) {
    v->own_on = v->far_on = false;
    return pm__mixview_put(&v->key, 0, key, len, t) && pm__mixview_put(&v->within, 0, key, within, t);
}

static bool pm__mixview_seek(void *state, const uint8_t *key, size_t len, size_t within, pm_terminal *t) {
    pm__mixview *v = (pm__mixview *)state;
    if (!pm__mixview_begin(v, key, len, within, t)) return false;
    v->own_on = pm__mixview_asked(v, pm__iter_seek_terminal(&v->own, within, key, len), t);
    v->far_on = pm__mixview_first(v, t) && pm__mixview_is_within(v);
    if (pm__mixview_show(v, false, t)) return true;
    if (len || t->status != PM_OK) return false;
    t->path = (const uint8_t *)""; /* nothing: the empty path is a terminal */
    t->len = 0;
    t->val = NULL;
    return true;
}

static bool pm__mixview_next(void *state, size_t within, pm_terminal *t) {
    pm__mixview *v = (pm__mixview *)state;
    if (v->is_far) v->far_on = v->far_on && pm__mixview_next_far(v, t) && pm__mixview_is_within(v);
    else v->own_on = v->own_on && pm__mixview_asked(v, pm__iter_next_terminal(&v->own, within), t);
    return pm__mixview_show(v, false, t);
}

static bool pm__mixview_seek_back(void *state, const uint8_t *key, size_t len, size_t within, bool below,
                                  pm_terminal *t) {
    pm__mixview *v = (pm__mixview *)state;
    if (!pm__mixview_begin(v, key, len, within, t)) return false;
    v->own_on = pm__mixview_asked(v, pm__iter_seek_back(&v->own, within, key, len, below), t);
    v->far_on = pm__mixview_last(v, below, t) && pm__mixview_is_within(v);
    if (pm__mixview_show(v, true, t)) return true;
    if (within || t->status != PM_OK) return false;
    return pm__mixview_seek(v, (const uint8_t *)"", 0, 0, t) && t->len == 0;
}

static void pm__mixview_drop(void *state) {
    pm__mixview *v = (pm__mixview *)state;
    if (v->img) pm__imgview_drop(v->img);
    pm_rz_drop(&v->own);
    pm_rz_drop(&v->hung);
    pm__list_free(&v->over);
    pm__view_path_free(&v->key);
    pm__view_path_free(&v->path);
    pm__view_path_free(&v->within);
    pm__mem_free_big(v, sizeof *v);
}

/* Makes a state, which takes the two zippers over in any case. */
static pm_status pm__mixview_new(const pm_rz *own, const pm_rz *hung, void **out) {
    pm__mixview *v = (pm__mixview *)pm__mem_alloc_big(sizeof *v);
    pm__imgview as;
    void *img = NULL;
    pm_rz a = *own, b = *hung;
    if (!v) {
        pm_rz_drop(&a);
        pm_rz_drop(&b);
        return PM_NOMEM;
    }
    memset(v, 0, sizeof *v);
    memset(&as, 0, sizeof as);
    v->own = a;
    v->hung = b;
    v->over = pm__list_of(sizeof(pm__mixview_over));
    pm_status s = pm__rz_room(&v->own, 1) && pm__rz_room(&v->hung, 1) ? pm__imgview_new(&as, &img) : PM_NOMEM;
    v->img = (pm__imgview *)img;
    if (s == PM_OK) *out = v;
    else pm__mixview_drop(v);
    return s;
}

static pm_status pm__mixview_fork(const void *state, bool owned, void **out) {
    const pm__mixview *v = (const pm__mixview *)state;
    pm_rz own, hung;
    pm_status s = pm__view_fork_factor(&v->own, owned, &own);
    if (s == PM_OK) s = pm__view_fork_factor(&v->hung, owned, &hung); /* at a map's root, which takes no memory */
    return s == PM_OK ? pm__mixview_new(&own, &hung, out) : s;
}

static const pm_view_ops pm__mixview_ops = {.seek = pm__mixview_seek,
                                            .next = pm__mixview_next,
                                            .seek_back = pm__mixview_seek_back,
                                            .fork = pm__mixview_fork,
                                            .drop = pm__mixview_drop};

static pm_status pm__mixview_open(const pm_mixed *m, pm__mixview **out) {
    pm_rz own, hung;
    void *state;
    pm_status s = pm_rz_open(&m->own, NULL, 0, &own);
    if (s == PM_OK) s = pm_rz_open(&m->hung, NULL, 0, &hung);
    if (s == PM_OK) s = pm__mixview_new(&own, &hung, &state);
    if (s == PM_OK) *out = (pm__mixview *)state;
    return s;
}

PM_API pm_status pm_mixed_rz(const pm_mixed *m, pm_rz *out) {
    pm__mixview *v;
    if (!m || !out) return PM_INVALID;
    pm_status s = pm__mixview_open(m, &v);
    if (s != PM_OK) return s;
    s = pm_rz_open_view(&pm__mixview_ops, v, pm_map_ops(&m->own), m->own.pool, NULL, 0, out);
    if (s != PM_OK) pm__mixview_drop(v);
    return s;
}

/* ---- without images -------------------------------------------------------------------------------------------- */

/* Which stubs are to be loaded. NULL: all. */
typedef bool (*pm__mixed_which)(void *ctx, const pm_base *b);

typedef struct pm__mixed_load {
    pm_mixed *m; /* what is being made */
    pm_base *base;
    pm__imgload in;
    pm__list path;
    bool puts; /* else records are marked */
} pm__mixed_load;

/* Whether a stub's record can be hung as one node: nothing else is below it. */
static bool pm__mixed_load_whole(const pm__mixed_load *w, const pm__mixed_stub *s, const pm_iter *at) {
    pm_ref own = pm_ref_of_map(&w->m->own, at->key, at->len), hung = pm_ref_of_map(&w->m->hung, at->key, at->len);
    return pm_mask_is_empty(&s->gone) && !pm_ref_child_count(&own) && !pm_ref_child_count(&hung);
}

/* Puts what was loaded last in the place of what is at `path`. */
static pm_status pm__mixed_load_put(pm__mixed_load *w) {
    pm_map *made = (pm_map *)pm__list_pop(&w->in.maps);
    pm_wz z;
    pm_status s = pm_wz_open(&w->m->own, w->path.data, w->path.used, &z);
    if (s == PM_OK) {
        s = pm_wz_graft_map(&z, made);
        pm_status ended = pm_wz_drop(&z);
        if (s == PM_OK) s = ended;
    }
    pm_drop(made);
    return s;
}

/* Loads a record as one node. The value at its place stays. */
static pm_status pm__mixed_load_record(pm__mixed_load *w, size_t record) {
    pm__imgload_seed seed = {record, {0, false}};
    if (!w->puts) {
        pm__imgload_mark(&w->in, record);
        return PM_OK;
    }
    const pm_val *v = pm_get(&w->m->own, w->path.data, w->path.used);
    if (v) {
        pm__val_retain(w->in.reading.ops, *v);
        seed.val.some = true, seed.val.val = *v;
    }
    pm_status s = pm__imgload_grow(&w->in, &seed);
    return s == PM_OK ? pm__mixed_load_put(w) : s;
}

/* Loads what an entry leads to. */
static pm_status pm__mixed_load_entry(pm__mixed_load *w, const pm__image_entry *e) {
    pm__imgload_seed seed = {e->child, {0, false}};
    if (!w->puts) {
        pm__imgload_mark(&w->in, e->child);
        return PM_OK;
    }
    if (!e->has_val && !e->child) return pm_create_path(&w->m->own, w->path.data, w->path.used, NULL);
    pm_status s = pm__imgload_value(&w->in, e, &seed.val);
    if (s == PM_OK) s = pm__imgload_grow(&w->in, &seed);
    return s == PM_OK ? pm__mixed_load_put(w) : s;
}

/* Loads what a stub has left. */
static pm_status pm__mixed_load_stub(pm__mixed_load *w, const pm_iter *at) {
    const pm__mixed_stub *s = pm__mixed_stub_of(*at->val);
    const pm_image *m = &w->base->image;
    pm__image_record r;
    pm__image_entry e;
    pm_status st = PM_OK;
    w->path.used = 0;
    if (!pm__list_put(&w->path, at->key, at->len)) return PM_NOMEM;
    if (pm__mixed_load_whole(w, s, at)) return pm__mixed_load_record(w, s->record);
    if (!pm__image_record_at(m, s->record, &r)) return PM_CORRUPT;
    size_t next = r.first;
    for (unsigned i = 0; st == PM_OK && i < r.n; i++, next = e.end) {
        if ((i && r.bytes[i - 1] >= r.bytes[i]) || !pm__image_entry_at(m, &r, next, &e)) return PM_CORRUPT;
        if (pm_mask_test(&s->gone, r.bytes[i])) continue;
        w->path.used = at->len;
        bool room = pm__list_put(&w->path, &r.bytes[i], 1) && pm__list_put(&w->path, e.run, e.run_len);
        st = room ? pm__mixed_load_entry(w, &e) : PM_NOMEM;
    }
    return st;
}

/* Ends an iterator. */
static pm_status pm__mixed_walked(pm_iter *it, pm_status s) {
    if (s == PM_OK) s = pm_iter_status(it);
    pm_iter_drop(it);
    return s;
}

/* Marks what the stubs of the base lead to, or puts it where it belongs. */
static pm_status pm__mixed_load_stubs(pm__mixed_load *w, const pm_map *hung, bool puts) {
    pm_status s = PM_OK;
    pm_iter it = pm_iter_vals(hung);
    w->puts = puts;
    while (s == PM_OK && pm_iter_next(&it))
        if (pm__mixed_stub_of(*it.val)->base == w->base) s = pm__mixed_load_stub(w, &it);
    return pm__mixed_walked(&it, s);
}

/* Loads all that hangs of one base: what occurs in several places once. */
static pm_status pm__mixed_load_base(pm_mixed *m, const pm_map *hung, pm_base *b) {
    pm__mixed_load w;
    pm_image_reading reading = b->reading;
    reading.pool = m->own.pool;
    w.m = m;
    w.base = b;
    w.path = pm__list_of(1);
    pm_status s = pm__imgload_begin(&w.in, &b->image, &reading);
    w.in.error = NULL;
    if (s == PM_OK) s = pm__mixed_load_stubs(&w, hung, false);
    if (s == PM_OK) s = pm__imgload_look(&w.in);
    if (s == PM_OK) s = pm__imgload_share(&w.in);
    if (s == PM_OK) s = pm__mixed_load_stubs(&w, hung, true);
    pm__imgload_end(&w.in);
    pm__list_free(&w.path);
    return s;
}

/* Lets go of the stubs of a base. */
static pm_status pm__mixed_let_go(pm_mixed *m, const pm_map *hung, const pm_base *b) {
    pm_status s = PM_OK;
    pm_iter it = pm_iter_vals(hung);
    while (s == PM_OK && pm_iter_next(&it))
        if (pm__mixed_stub_of(*it.val)->base == b) s = pm_remove(&m->hung, it.key, it.len, PM_PRUNE, NULL);
    return pm__mixed_walked(&it, s);
}

/* Makes a trie of the same content, which refers to no base that is to be loaded. */
static pm_status pm__mixed_load_all(const pm_mixed *m, pm__mixed_which which, void *ctx, pm_mixed *out) {
    pm_map done = {0}; /* address of a base: it is loaded */
    pm_mixed made = pm_mixed_clone(m);
    pm_status s = PM_OK;
    pm_iter it = pm_iter_vals(&m->hung);
    while (s == PM_OK && pm_iter_next(&it)) {
        pm_base *b = pm__mixed_stub_of(*it.val)->base;
        pm_opt known = {0, false};
        if (which && !which(ctx, b)) continue;
        s = pm_set(&done, &b, sizeof b, 0, &known);
        if (s != PM_OK || known.some) continue;
        s = pm__mixed_load_base(&made, &m->hung, b);
        if (s == PM_OK) s = pm__mixed_let_go(&made, &m->hung, b);
    }
    s = pm__mixed_walked(&it, s);
    pm_drop(&done);
    if (s == PM_OK) *out = made;
    else pm_mixed_drop(&made);
    return s;
}

PM_API pm_status pm_materialise(const pm_mixed *m, pm_map *out) {
    pm_mixed made;
    if (!m || !out) return PM_INVALID;
    pm_status s = pm__mixed_load_all(m, NULL, NULL, &made);
    if (s != PM_OK) return s;
    *out = made.own;
    pm_drop(&made.hung);
    return PM_OK;
}
