/* Images as views. The state stands on a location: a stack of frames, one for each record on the way, each on one of
   its entries, and the path to there. What a call is about is reached from the deepest frame that is on its way.

       path   c o m b o         frame 0: base 0, entry "com"   frame 1: base 3, entry "bo"; end 5 */
#include "54_iterate.c"
#include "72_image.c"
#include "74_image_view.h"

typedef struct pm__imgview_frame {
    pm__image_record r;
    pm__image_entry e;
    unsigned i;
    size_t base, end; /* bytes of path above the entry, and with it */
} pm__imgview_frame;

typedef struct pm__imgview {
    pm_image image;
    pm_image_reading reading;
    pm__image_entry root;
    pm__list frames, path;
    size_t low; /* the shortest that the path has been since a call began */
    pm_val val;
    bool held; /* it must be released */
    pm_status status;
} pm__imgview;

static bool pm__imgview_fail(pm__imgview *v, pm_status s) {
    if (v->status == PM_OK) v->status = s;
    return false;
}

static PM__INLINE pm__imgview_frame *pm__imgview_top(const pm__imgview *v) {
    return (pm__imgview_frame *)pm__list_at(&v->frames, v->frames.used - 1);
}

/* The location that the state stands on, and whether it is a terminal. */
static PM__INLINE const pm__image_entry *pm__imgview_here(const pm__imgview *v) {
    return v->frames.used ? &pm__imgview_top(v)->e : &v->root;
}
static PM__INLINE bool pm__imgview_is_terminal(const pm__imgview *v) {
    const pm__image_entry *e = pm__imgview_here(v);
    return e->has_val || !e->child;
}

static PM__INLINE void pm__imgview_cut(pm__imgview *v, size_t len) {
    v->path.used = len;
    if (len < v->low) v->low = len;
}

static PM__INLINE void pm__imgview_pop(pm__imgview *v) {
    pm__imgview_cut(v, pm__imgview_top(v)->base);
    v->frames.used--;
}

/* Stands the top frame on entry i. If that fails the frame is gone. */
static bool pm__imgview_turn(pm__imgview *v, unsigned i) {
    pm__imgview_frame *f = pm__imgview_top(v);
    bool next = i == f->i + 1 && i % PM__IMAGE_GROUP != 0;
    bool ordered =
        (i == 0 || f->r.bytes[i - 1] < f->r.bytes[i]) && (i + 1 == f->r.n || f->r.bytes[i] < f->r.bytes[i + 1]);
    pm_status s = PM_CORRUPT;
    f->i = i;
    pm__imgview_cut(v, f->base);
    if (!ordered) {
        pm__imgview_pop(v);
        return pm__imgview_fail(v, s);
    }
    if (next ? pm__image_entry_at(&v->image, &f->r, f->e.end, &f->e)
             : pm__image_entry_nth(&v->image, &f->r, i, &f->e)) {
        if (pm__list_put(&v->path, &f->r.bytes[i], 1) && pm__list_put(&v->path, f->e.run, f->e.run_len)) {
            f->end = v->path.used;
            return true;
        }
        s = PM_NOMEM;
    }
    pm__imgview_pop(v);
    return pm__imgview_fail(v, s);
}

/* Goes into the record below, whose entries are `r`'s, to entry i. */
static bool pm__imgview_push(pm__imgview *v, const pm__image_record *r, unsigned i) {
    if (!pm__list_room(&v->frames, 1)) return pm__imgview_fail(v, PM_NOMEM);
    pm__imgview_frame *f = (pm__imgview_frame *)pm__list_at(&v->frames, v->frames.used++);
    f->r = *r;
    f->base = v->path.used;
    f->i = UINT_MAX - 1; /* not before any entry */
    return pm__imgview_turn(v, i);
}

/* Goes into the record below, to its first entry or its last one. */
static bool pm__imgview_enter(pm__imgview *v, bool last) {
    pm__image_record r;
    if (!pm__image_record_at(&v->image, pm__imgview_here(v)->child, &r)) return pm__imgview_fail(v, PM_CORRUPT);
    return pm__imgview_push(v, &r, last ? r.n - 1 : 0);
}

/* To the first terminal at or below. */
static bool pm__imgview_first(pm__imgview *v) {
    while (!pm__imgview_is_terminal(v))
        if (!pm__imgview_enter(v, false)) return false;
    return true;
}

/* To the last one. */
static bool pm__imgview_last(pm__imgview *v) {
    while (pm__imgview_here(v)->child)
        if (!pm__imgview_enter(v, true)) return false;
    return true;
}

/* To the first terminal behind all that is below, as long as `within` bytes of the path stay. */
static bool pm__imgview_beside(pm__imgview *v, size_t within) {
    for (; v->frames.used; pm__imgview_pop(v)) {
        const pm__imgview_frame *f = pm__imgview_top(v);
        if (f->base < within) return false;
        if (f->i + 1 < f->r.n) return pm__imgview_turn(v, f->i + 1) && pm__imgview_first(v);
    }
    return false;
}

/* To the last terminal before the location. */
static bool pm__imgview_before(pm__imgview *v, size_t within) {
    while (v->frames.used) {
        const pm__imgview_frame *f = pm__imgview_top(v);
        if (f->base < within) return false;
        if (f->i) return pm__imgview_turn(v, f->i - 1) && pm__imgview_last(v);
        pm__imgview_pop(v);
        if (pm__imgview_here(v)->has_val) return true;
    }
    return false;
}

/* How far the location agrees with a key. */
typedef enum pm__imgview_found {
    PM__IMGVIEW_AT,     /* it is the key, or begins with it */
    PM__IMGVIEW_ABOVE,  /* the key leads on from it where nothing does, or between two entries: at byte `end` */
    PM__IMGVIEW_BEFORE, /* they part within the last entry, where the location's byte is the smaller one */
    PM__IMGVIEW_AFTER,  /* or the greater */
    PM__IMGVIEW_FAILED
} pm__imgview_found;

/* Goes down along a key; *parted: how many bytes agree. Above, *r and *i are the record below, if there is one, and its
   first entry behind the key. */
static pm__imgview_found pm__imgview_go(pm__imgview *v, const uint8_t *key, size_t len, size_t *parted,
                                        pm__image_record *r, unsigned *i) {
    size_t min = len < v->path.used ? len : v->path.used, same = min ? pm__lcp(v->path.data, key, min) : 0;
    while (v->frames.used && pm__imgview_top(v)->end > same) pm__imgview_pop(v);
    for (;;) {
        size_t at = *parted = v->path.used, left = len - at;
        const pm__image_entry *e = pm__imgview_here(v);
        if (!left) return PM__IMGVIEW_AT;
        if (!e->child) {
            r->n = *i = 0;
            return PM__IMGVIEW_ABOVE;
        }
        if (!pm__image_record_at(&v->image, e->child, r) || !pm__image_find(r, key[at], i)) {
            (void)pm__imgview_fail(v, PM_CORRUPT);
            return PM__IMGVIEW_FAILED;
        }
        if (*i == r->n || r->bytes[*i] != key[at]) return PM__IMGVIEW_ABOVE;
        if (!pm__imgview_push(v, r, *i)) return PM__IMGVIEW_FAILED;
        e = &pm__imgview_top(v)->e;
        size_t most = e->run_len < left - 1 ? e->run_len : left - 1;
        size_t fits = most ? pm__lcp(e->run, key + at + 1, most) : 0;
        *parted = at + 1 + fits;
        if (fits == e->run_len) continue;
        if (fits == left - 1) return PM__IMGVIEW_AT;
        return e->run[fits] < key[*parted] ? PM__IMGVIEW_BEFORE : PM__IMGVIEW_AFTER;
    }
}

/* ---- as pm_view_ops asks for it -------------------------------------------------------------------------------- */

static void pm__imgview_forget(pm__imgview *v) {
    if (v->held) pm__val_release(v->reading.ops, v->val);
    v->held = false;
}

/* Makes the value of an entry; *made: it must be released. */
static pm_status pm__imgview_make(const pm_image *m, const pm_image_reading *reading, const pm__image_entry *e,
                                  pm_val *val, bool *made) {
    size_t len, where, end;
    pm_status s = PM_OK;
    *made = m->kind == PM_IMAGE_BYTES && (reading->make || reading->ops == pm_ops_bytes());
    *val = e->val;
    if (!*made) return PM_OK;
    if (!pm__image_string(m, (size_t)e->val, &where, &len, &end)) s = PM_CORRUPT;
    else if (reading->make) s = reading->make(reading->ctx, m->data + where, len, val);
    else s = pm_bytes_new(m->data + where, len, val);
    *made = s == PM_OK;
    return s;
}

static bool pm__imgview_value(pm__imgview *v, const pm__image_entry *e) {
    pm__imgview_forget(v);
    pm_status s = pm__imgview_make(&v->image, &v->reading, e, &v->val, &v->held);
    return s == PM_OK || pm__imgview_fail(v, s);
}

/* Ends a call: shows the terminal, if one was found. */
static bool pm__imgview_show(pm__imgview *v, bool found, pm_terminal *t) {
    const pm__image_entry *e = pm__imgview_here(v);
    if (found && e->has_val) found = pm__imgview_value(v, e);
    if (v->status != PM_OK && t->status == PM_OK) t->status = v->status;
    v->status = PM_OK;
    if (!found) return false;
    t->path = v->path.used ? v->path.data : (const uint8_t *)"";
    t->len = v->path.used;
    t->val = e->has_val ? &v->val : NULL;
    return true;
}

static bool pm__imgview_seek(void *state, const uint8_t *key, size_t len, size_t within, pm_terminal *t) {
    pm__imgview *v = (pm__imgview *)state;
    pm__image_record r;
    size_t parted;
    unsigned i;
    bool found = false;
    switch (pm__imgview_go(v, key, len, &parted, &r, &i)) {
    case PM__IMGVIEW_AT: found = pm__imgview_first(v); break;
    case PM__IMGVIEW_AFTER: found = parted >= within && pm__imgview_first(v); break;
    case PM__IMGVIEW_BEFORE: found = pm__imgview_beside(v, within); break;
    case PM__IMGVIEW_ABOVE:
        if (i < r.n) found = parted >= within && pm__imgview_push(v, &r, i) && pm__imgview_first(v);
        else found = pm__imgview_beside(v, within);
        break;
    case PM__IMGVIEW_FAILED: break;
    }
    return pm__imgview_show(v, found, t);
}

static bool pm__imgview_next(void *state, size_t within, pm_terminal *t) {
    pm__imgview *v = (pm__imgview *)state;
    v->low = v->path.used;
    bool found;
    if (pm__imgview_here(v)->child) found = pm__imgview_enter(v, false) && pm__imgview_first(v);
    else found = pm__imgview_beside(v, within);
    t->same = v->low;
    return pm__imgview_show(v, found, t);
}

static bool pm__imgview_seek_back(void *state, const uint8_t *key, size_t len, size_t within, bool below,
                                  pm_terminal *t) {
    pm__imgview *v = (pm__imgview *)state;
    pm__image_record r;
    size_t parted;
    unsigned i;
    bool found = false;
    switch (pm__imgview_go(v, key, len, &parted, &r, &i)) {
    case PM__IMGVIEW_AT: found = below ? pm__imgview_last(v) : pm__imgview_before(v, within); break;
    case PM__IMGVIEW_AFTER: found = pm__imgview_before(v, within); break;
    case PM__IMGVIEW_BEFORE: found = parted >= within && pm__imgview_last(v); break;
    case PM__IMGVIEW_ABOVE:
        if (parted < within) break;
        if (i) found = pm__imgview_push(v, &r, i - 1) && pm__imgview_last(v);
        else found = pm__imgview_is_terminal(v) || pm__imgview_before(v, within);
        break;
    case PM__IMGVIEW_FAILED: break;
    }
    return pm__imgview_show(v, found, t);
}

static bool pm__imgview_prev(void *state, size_t within, pm_terminal *t) {
    pm__imgview *v = (pm__imgview *)state;
    v->low = v->path.used;
    bool found = pm__imgview_before(v, within);
    t->same = v->low;
    return pm__imgview_show(v, found, t);
}

static void pm__imgview_drop(void *state) {
    pm__imgview *v = (pm__imgview *)state;
    pm__imgview_forget(v);
    pm__list_free(&v->frames);
    pm__list_free(&v->path);
    pm__mem_free_big(v, sizeof *v);
}

static pm_status pm__imgview_new(const pm__imgview *as, void **out) {
    pm__imgview *v = (pm__imgview *)pm__mem_alloc_big(sizeof *v);
    if (!v) return PM_NOMEM;
    *v = *as;
    v->frames = pm__list_of(sizeof(pm__imgview_frame));
    v->path = pm__list_of(1);
    v->held = false;
    v->low = 0;
    v->status = PM_OK;
    *out = v;
    return PM_OK;
}

static pm_status pm__imgview_fork(const void *state, bool own, void **out) {
    (void)own;
    return pm__imgview_new((const pm__imgview *)state, out);
}

static const pm_view_ops pm__imgview_ops = {.seek = pm__imgview_seek,
                                            .next = pm__imgview_next,
                                            .seek_back = pm__imgview_seek_back,
                                            .prev = pm__imgview_prev,
                                            .fork = pm__imgview_fork,
                                            .drop = pm__imgview_drop};

/* What the caller says, or the default. */
static pm_image_reading pm__imgview_reading(const pm_image *m, const pm_image_reading *reading) {
    static const pm_image_reading none = {NULL, NULL, NULL, NULL};
    pm_image_reading r = reading ? *reading : none;
    if (!r.ops) r.ops = m->kind == PM_IMAGE_UNIT ? pm_ops_unit() : pm_ops_left();
    r.ops = pm__ops_taken(r.ops);
    return r;
}

PM_API pm_status pm_image_rz(const pm_image *image, size_t i, const pm_image_reading *reading, pm_rz *out) {
    pm__imgview as;
    void *state;
    if (!image || !out || !image->data || i >= image->maps) return PM_INVALID;
    memset(&as, 0, sizeof as);
    as.image = *image;
    as.reading = pm__imgview_reading(image, reading);
    if (!pm__image_root(image, i, &as.root)) return PM_CORRUPT;
    pm_status s = pm__imgview_new(&as, &state);
    if (s != PM_OK) return s;
    s = pm_rz_open_view(&pm__imgview_ops, state, as.reading.ops, as.reading.pool, NULL, 0, out);
    if (s != PM_OK) pm__imgview_drop(state);
    return s;
}

/* Goes from the location of an entry down along a key, as far as entries lead. *at: `e` is the place; *within: the
   place lies within the run of `e`; neither: there is none. */
static pm_status pm__imgview_along(const pm_image *m, pm__image_entry *e, const uint8_t *s, size_t len, bool *at,
                                   bool *within) {
    pm__image_record r;
    *at = *within = false;
    while (len && e->child) {
        unsigned k;
        if (!pm__image_record_at(m, e->child, &r) || !pm__image_find(&r, *s, &k)) return PM_CORRUPT;
        if (k == r.n || r.bytes[k] != *s) return PM_OK;
        if (!pm__image_entry_nth(m, &r, k, e)) return PM_CORRUPT;
        size_t most = len - 1 < e->run_len ? len - 1 : e->run_len;
        if (most && memcmp(e->run, s + 1, most) != 0) return PM_OK;
        *within = most < e->run_len;
        if (*within) return PM_OK;
        s += 1 + most;
        len -= 1 + most;
    }
    *at = !len;
    return PM_OK;
}

PM_API pm_status pm_image_get(const pm_image *image, size_t i, const void *key, size_t len, pm_opt *out) {
    pm__image_entry e;
    bool at, within;
    if (!image || !out || !image->data || (len && !key) || len > PM__LEN_MAX || i >= image->maps) return PM_INVALID;
    if (!pm__image_root(image, i, &e)) return PM_CORRUPT;
    pm_status s = pm__imgview_along(image, &e, (const uint8_t *)key, len, &at, &within);
    if (s != PM_OK) return s;
    out->some = at && e.has_val;
    out->val = out->some ? e.val : 0;
    return PM_OK;
}
