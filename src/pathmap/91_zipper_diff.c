/* Differences of two zippers: both go from terminal to terminal, and the smaller one is looked at first. Where both
   stand at the same path in what is the same on both sides, in a node or in a record, they go past all of it: so of
   what is shared the first terminal is met, and nothing else. */
#include "42_patch.c"
#include "54_iterate.c"
#include "74_image_view.c"
#include "89_mixed.c"
#include "91_zipper_diff.h"

typedef struct pm__zdiff {
    pm_rz old, now;
    bool old_on, now_on; /* on a terminal */
    const pm_ops *ops;
} pm__zdiff;

/* ---- what both share ------------------------------------------------------------------------------------------- */

/* The records that a zipper over an image, or over a mixed trie, stands in. */
typedef struct pm__zdiff_records {
    const pm__imgview *img;
    size_t above; /* bytes of path above the first one */
    size_t first; /* of those below which there is nothing else */
} pm__zdiff_records;

static bool pm__zdiff_records_of(const pm_rz *z, pm__zdiff_records *out) {
    if (!z->known) return false;
    out->above = out->first = 0;
    out->img = (const pm__imgview *)z->state;
    if (z->view == &pm__imgview_ops) return true;
    const pm__mixview *v = (const pm__mixview *)z->state;
    if (z->view != &pm__mixview_ops || !v->is_far) return false;
    out->img = v->img;
    out->above = v->at;
    out->first = 1; /* of the stub's own record entries may be gone, and memory may have more beside them */
    return true;
}

/* Whether two values made of one entry are the same. */
static bool pm__zdiff_reads_alike(const pm__imgview *a, const pm__imgview *b) {
    const pm_image_reading *r = &a->reading, *s = &b->reading;
    return a->image.data == b->image.data && a->image.kind == b->image.kind && r->ops == s->ops &&
           r->make == s->make && r->ctx == s->ctx;
}

/* As pm__iter_in_shared: whether two zippers are in one and the same record. */
static bool pm__zdiff_in_record(const pm_rz *a, const pm_rz *b, size_t *at) {
    pm__zdiff_records v, w;
    if (!pm__zdiff_records_of(a, &v) || !pm__zdiff_records_of(b, &w)) return false;
    if (!pm__zdiff_reads_alike(v.img, w.img)) return false;
    size_t i = v.img->frames.used, j = w.img->frames.used;
    *at = SIZE_MAX;
    while (i > v.first && j > w.first) {
        const pm__imgview_frame *f = (const pm__imgview_frame *)pm__list_at(&v.img->frames, --i);
        const pm__imgview_frame *g = (const pm__imgview_frame *)pm__list_at(&w.img->frames, --j);
        size_t above = v.above + f->base;
        if (f->r.at != g->r.at || above < a->root_len || above - a->root_len != w.above + g->base - b->root_len) break;
        *at = above - a->root_len;
    }
    return *at != SIZE_MAX;
}

/* To the first terminal behind all that begins with the first `at` bytes of the path below the root. */
static bool pm__zdiff_beyond(pm_rz *z, size_t at) {
    pm_terminal t;
    return at && pm__vz_seek_beyond(z, z->root_len + at, z->root_len, &t) && pm__vz_go(z, &t);
}

/* Takes both past what they share where they stand, if they do. */
static bool pm__zdiff_pass(pm__zdiff *d) {
    size_t at;
    if (pm__iter_in_shared(&d->old, &d->now, &at)) {
        pm__iter_pass_shared(&d->old, &d->now, at, 0, false, true, &d->old_on, &d->now_on);
        return true;
    }
    if (!pm__zdiff_in_record(&d->old, &d->now, &at)) return false;
    d->old_on = pm__zdiff_beyond(&d->old, at);
    d->now_on = pm__zdiff_beyond(&d->now, at);
    return true;
}

/* ---- the walk -------------------------------------------------------------------------------------------------- */

static void pm__zdiff_drop(pm__zdiff *d) {
    pm_rz_drop(&d->old);
    pm_rz_drop(&d->now);
}

/* Begins. What failed has dropped all. */
static pm_status pm__zdiff_begin(pm__zdiff *d, const pm_rz *old, const pm_rz *now) {
    const pm_ops *a = pm_rz_ops(old), *b = pm_rz_ops(now);
    memset(d, 0, sizeof *d);
    if (a && b && a != b) return PM_MISMATCH;
    d->ops = a ? a : b;
    pm_status s = pm_rz_fork(old, &d->old);
    if (s == PM_OK) s = pm_rz_fork(now, &d->now);
    if (s == PM_OK && (!pm__rz_room(&d->old, 1) || !pm__rz_room(&d->now, 1))) s = PM_NOMEM;
    if (s != PM_OK) pm__zdiff_drop(d);
    return s;
}

/* The first terminal; the empty path is one only with a value. */
static bool pm__zdiff_first(pm_rz *z) {
    return pm__iter_seek_terminal(z, 0, (const uint8_t *)"", 0) && (z->len > z->root_len || pm_rz_val(z) != NULL);
}

static pm_status pm__zdiff_status(const pm__zdiff *d) {
    if (d->old.status != PM_OK) return d->old.status;
    if (d->now.status != PM_OK) return d->now.status;
    return d->ops ? pm__val_failed(d->ops) : PM_OK;
}

/* Which terminal comes first: < 0 the old one. */
static int pm__zdiff_order(const pm__zdiff *d) {
    if (!d->old_on || !d->now_on) return d->old_on ? -1 : 1;
    size_t an = d->old.len - d->old.root_len, bn = d->now.len - d->now.root_len, min = an < bn ? an : bn;
    const uint8_t *a = d->old.path + d->old.root_len, *b = d->now.path + d->now.root_len;
    size_t same = min ? pm__lcp(a, b, min) : 0;
    if (same < min) return a[same] < b[same] ? -1 : 1;
    return (an > bn) - (an < bn);
}

/* Makes the change of the terminals that come first. False: they are the same. */
static bool pm__zdiff_change(const pm__zdiff *d, int order, pm_change *out) {
    const pm_rz *z = order <= 0 ? &d->old : &d->now;
    const pm_val *l = order <= 0 ? pm_rz_val(&d->old) : NULL, *r = order >= 0 ? pm_rz_val(&d->now) : NULL;
    if (order == 0 && (l != NULL) == (r != NULL) && (!l || !d->ops || pm__val_equal(d->ops, *l, *r))) return false;
    out->key = z->path + z->root_len;
    out->len = z->len - z->root_len;
    out->kind = order < 0 ? PM_REMOVED : order > 0 ? PM_ADDED : PM_CHANGED;
    out->dangled = order <= 0 && !l;
    out->dangles = order >= 0 && !r;
    out->before.some = l != NULL, out->before.val = l ? *l : 0;
    out->after.some = r != NULL, out->after.val = r ? *r : 0;
    return true;
}

static pm_status pm__zdiff_run(pm__zdiff *d, bool (*fn)(void *ctx, const pm_change *change), void *ctx) {
    pm_change c;
    d->old_on = pm__zdiff_first(&d->old);
    d->now_on = pm__zdiff_first(&d->now);
    while (d->old_on || d->now_on) {
        int order = pm__zdiff_order(d);
        if (pm__zdiff_status(d) != PM_OK) break;
        if (order == 0 && pm__zdiff_pass(d)) continue;
        if (pm__zdiff_change(d, order, &c) && pm__zdiff_status(d) == PM_OK && !fn(ctx, &c)) break;
        if (order <= 0) d->old_on = pm__iter_next_terminal(&d->old, 0);
        if (order >= 0) d->now_on = pm__iter_next_terminal(&d->now, 0);
    }
    return pm__zdiff_status(d);
}

PM_API pm_status pm_rz_diff(const pm_rz *old, const pm_rz *now, bool (*fn)(void *ctx, const pm_change *change),
                            void *ctx) {
    pm__zdiff d;
    if (!old || !now || !fn) return PM_INVALID;
    pm_status s = pm__zdiff_begin(&d, old, now);
    if (s != PM_OK) return s;
    s = pm__zdiff_run(&d, fn, ctx);
    pm__zdiff_drop(&d);
    return s;
}

typedef struct pm__zdiff_patch {
    pm__patch patch;
    bool memory;
} pm__zdiff_patch;

static bool pm__zdiff_put(void *ctx, const pm_change *c) {
    pm__zdiff_patch *p = (pm__zdiff_patch *)ctx;
    return p->memory = pm__patch_add(&p->patch, c);
}

PM_API pm_status pm_rz_patch(const pm_rz *old, const pm_rz *now, pm_patch *out) {
    pm__zdiff d;
    if (!old || !now || !out) return PM_INVALID;
    pm_status s = pm__zdiff_begin(&d, old, now);
    if (s != PM_OK) return s;
    pm__zdiff_patch p = {pm__patch_open(d.ops ? d.ops : pm_ops_left()), true};
    s = pm__zdiff_run(&d, pm__zdiff_put, &p);
    pm__zdiff_drop(&d);
    pm_status made = pm__patch_done(&p.patch, p.memory && s == PM_OK, out, false);
    return s == PM_OK ? made : s;
}
