/* Folds.

   A fold is told all terminals in order, and of each how many bytes it shares with the next one. It goes from stop to
   stop. A stop is a location that a jumping fold calls for: a fork, a value, the end of a path; between two lies a
   run of bytes, however many nodes it leads through. A terminal below which the next one lies stays open, as does the
   fork where the next one leaves; all stops below that end at once. So the open stops are those on the way to one path,
   and of a stop only the children's results are kept.

       path    c o m b o          terminal "combo" ends, with the run behind `low` 4; stop "com" opens in its place,
               0 1 2 3 4          since "comet" shares 3 bytes with it

   A step fold works the runs off afterwards, from the lower stop upwards. Results lie on a stack of their own: those of
   an open stop's children are on top, and below them those of the stops above it.

   What is remembered of a node that may be met again (its count, or that of the block it stands in, is above one) is
   its first stop: the one at the node's root or next below it, which stays open until the node is left.
     whole    step folds, which make each such root a stop, no value there: its result
     list     a stop at the node's root: the results of its children, since its own depends on the value there, which is
              the entry's above, or on the run that leads to it
     inner    a stop below the root: the same, its value, and how far below
   A node is worked out at most once in each way. */
#include "34_walk.c"
#include "50_read_zipper.c"
#include "60_fold.h"

/* A stop that waits for its children. */
typedef struct pm__fold_stop {
    pm_mask mask;
    size_t end; /* 1 + bytes of path to it: where the runs of its children begin */
    pm_opt val;
    unsigned n; /* children so far */
    bool done;  /* its result is there, but for the value: it has come from what is remembered, or gone there */
} pm__fold_stop;

/* What is remembered: n results from kept[at] on. */
typedef struct pm__fold_known {
    pm_mask mask;
    size_t at, run; /* bytes from the node's root to the stop */
    pm_opt val;
    unsigned n;
} pm__fold_known;

typedef struct pm__fold {
    pm_fold f;
    /* For folds of the library's own: */
    void (*run)(void *ctx, const uint8_t *s, size_t len, void *result); /* works a run off; NULL: by calls of `at` */
    void (*add_val)(void *ctx, pm_val v, void *result); /* adds the value to a result made without it */
    const pm_ops *holds; /* stops hold references of their values; NULL: they need not */
    bool every;          /* remember every node, shared or not */
    bool step, cached;
    size_t from; /* where paths begin */
    pm__walk walk;
    pm__list stops, results, known, kept; /* the first of `stops` is none: it ends where the fold's own run begins */
    pm__memo memo;
} pm__fold;

enum { PM__FOLD_WHOLE = 1, PM__FOLD_LIST, PM__FOLD_INNER };

static PM__INLINE pm__fold_stop *pm__fold_top(const pm__fold *w) {
    return (pm__fold_stop *)(void *)w->stops.data + (w->stops.used - 1);
}

/* ---- results ------------------------------------------------------------------------------------------------- */

static void pm__fold_drop(pm__fold *w, pm__list *p, size_t from) {
    for (size_t i = from; w->f.drop && i < p->used; i++) w->f.drop(w->f.ctx, pm__list_at(p, i));
    p->used = from;
}

/* Copies n results from one list to another. */
static int pm__fold_copy(pm__fold *w, const pm__list *from, size_t at, unsigned n, pm__list *to) {
    if (!pm__list_room(to, n)) return PM_NOMEM;
    for (unsigned i = 0; i < n; i++) {
        const void *r = pm__list_at(from, at + i);
        void *out = pm__list_at(to, to->used);
        int s = PM_OK;
        if (w->f.copy) s = w->f.copy(w->f.ctx, r, out);
        else memcpy(out, r, w->f.size);
        if (s != PM_OK) return s;
        to->used++;
    }
    return PM_OK;
}

/* Calls for a location of len bytes; the results of its n children, at the end of the list, give way to its own. */
static int pm__fold_ask(pm__fold *w, const pm_mask *mask, unsigned n, const pm_val *val, size_t len, size_t jump) {
    if (!pm__list_room(&w->results, 1)) return PM_NOMEM;
    size_t first = w->results.used - n;
    void *kids = pm__list_at(&w->results, first), *out = pm__list_at(&w->results, w->results.used);
    const uint8_t *path = w->walk.path.data ? w->walk.path.data : (const uint8_t *)"";
    pm_fold_at here = {mask, n, kids, val, NULL, 0, path + len - jump, jump};
    if (!w->cached) here.path = path + w->from, here.len = len - w->from;
    int s = w->f.at(w->f.ctx, &here, out);
    pm__fold_drop(w, &w->results, first);
    if (s != PM_OK) return s;
    if (n && w->f.size == 8) pm__store64(kids, pm__load64(out)); /* most are a word */
    else if (n) memcpy(kids, out, w->f.size);
    w->results.used++;
    return PM_OK;
}

/* Works off the run of path [low, len) above a location whose result is on top. */
static int pm__fold_run_off(pm__fold *w, size_t len, size_t low) {
    if (w->run) {
        uint8_t *path = w->walk.path.data;
        if (len > low) w->run(w->f.ctx, path + low, len - low, pm__list_at(&w->results, w->results.used - 1));
        return PM_OK;
    }
    int s = PM_OK;
    while (s == PM_OK && len-- > low) {
        pm_mask one = {{0, 0, 0, 0}};
        pm_mask_set(&one, w->walk.path.data[len]);
        s = pm__fold_ask(w, &one, 1, NULL, len, 0);
    }
    return s;
}

/* What is left to do for a location without a value yet, whose result is on top: value, and run. */
static int pm__fold_top_off(pm__fold *w, const pm_val *val, size_t len, size_t low) {
    if (val && w->add_val) w->add_val(w->f.ctx, *val, pm__list_at(&w->results, w->results.used - 1));
    return w->step ? pm__fold_run_off(w, len, low) : PM_OK;
}

/* Makes the result of a stop, those of its n children being on top. */
static int pm__fold_finish(pm__fold *w, const pm_mask *mask, unsigned n, const pm_val *val, size_t len, size_t low) {
    int s = pm__fold_ask(w, mask, n, w->add_val ? NULL : val, len, w->step ? 0 : len - low);
    return s == PM_OK ? pm__fold_top_off(w, val, len, low) : s;
}

/* Makes the result of a stop without children, for which there is room. */
static PM__INLINE int pm__fold_leaf(pm__fold *w, const pm_val *val, size_t len, size_t low) {
    static const pm_mask none = {{0, 0, 0, 0}};
    if (w->step) return pm__fold_finish(w, &none, 0, val, len, low);
    void *out = pm__list_at(&w->results, w->results.used);
    const uint8_t *path = w->walk.path.data;
    pm_fold_at here = {&none, 0, out, w->add_val ? NULL : val, NULL, 0, path + low, len - low};
    if (!w->cached) here.path = path + w->from, here.len = len - w->from;
    int s = w->f.at(w->f.ctx, &here, out);
    if (s != PM_OK) return s;
    if (val && w->add_val) w->add_val(w->f.ctx, *val, out);
    w->results.used++;
    return PM_OK;
}

/* ---- from terminal to terminal ------------------------------------------------------------------------------- */

/* Makes room for n terminals. */
static PM__INLINE bool pm__fold_room(void *ctx, size_t n) {
    pm__fold *w = (pm__fold *)ctx;
    return pm__list_room(&w->results, n + 1) && pm__list_room(&w->stops, n);
}

static PM__INLINE void pm__fold_open(pm__fold *w, const pm_val *val, size_t end) {
    pm__fold_stop *o = (pm__fold_stop *)(void *)w->stops.data + w->stops.used++;
    memset(&o->mask, 0, sizeof o->mask);
    o->end = end;
    o->val.some = val != NULL;
    o->val.val = val ? *val : 0;
    o->n = 0;
    o->done = false;
}

/* The result on top is that of a child of the lowest stop. */
static PM__INLINE void pm__fold_attach(pm__fold *w) {
    pm__fold_stop *top = pm__fold_top(w);
    top->n++;
    if (PM__LIKELY(top->end)) pm_mask_set(&top->mask, w->walk.path.data[top->end - 1]);
}

/* Ends the stops that the next terminal, which shares less than `low` bytes with the path, is not below. What a stop is
   a child of is the one above it, or, if that is not as low as the fork, a new one there, in its place. */
static int pm__fold_settle(pm__fold *w, size_t low) {
    for (pm__fold_stop *top; (top = pm__fold_top(w))->end > low;) {
        pm__fold_stop o = *top;
        const pm_val *val = o.val.some ? &o.val.val : NULL;
        w->stops.used--;
        if (top[-1].end < low) pm__fold_open(w, NULL, low);
        size_t len = o.end - 1, end = pm__fold_top(w)->end;
        int s = o.done ? pm__fold_top_off(w, val, len, end) : pm__fold_finish(w, &o.mask, o.n, val, len, end);
        if (val && w->holds) pm__val_release(w->holds, *val);
        if (s != PM_OK) return s;
        pm__fold_attach(w);
    }
    return PM_OK;
}

/* Comes to a terminal of len bytes. low: 1 + how many of them it shares with the next one, which may lie below it; of
   the last one, where the fold's own run begins. */
static PM__INLINE int pm__fold_mark(void *ctx, const pm_val *val, size_t len, size_t low) {
    pm__fold *w = (pm__fold *)ctx;
    if (low > len) {
        pm__fold_open(w, val, low);
        return PM_OK;
    }
    if (pm__fold_top(w)->end < low) pm__fold_open(w, NULL, low);
    int s = pm__fold_leaf(w, val, len, pm__fold_top(w)->end);
    if (s != PM_OK) return s;
    pm__fold_attach(w);
    return pm__fold_top(w)->end > low ? pm__fold_settle(w, low) : PM_OK;
}

/* ---- tries --------------------------------------------------------------------------------------------------- */

/* How far stops end behind the last terminal of a node. If that node's first stop is to stay (`hold`: its place among
   the stops), down to that. */
static PM__INLINE size_t pm__fold_low(void *ctx, pm__walk_after after, size_t len) {
    const pm__fold *w = (const pm__fold *)ctx;
    if (PM__LIKELY(!after.hold)) return after.low;
    return w->stops.used > after.hold ? ((const pm__fold_stop *)pm__list_at(&w->stops, after.hold))->end : len + 1;
}

/* The same as marks of all values of a byte node that leads nowhere. Measured: 0.7 of their time. */
static int pm__fold_values(void *ctx, const pm__byte *x, size_t base, pm__walk_after after) {
    pm__fold *w = (pm__fold *)ctx;
    size_t end = base + 1;
    pm_mask mask = pm__byte_mask(x);
    if (!pm__fold_room(w, x->nv)) return PM_NOMEM;
    if (pm__fold_top(w)->end < end) pm__fold_open(w, NULL, end);
    for (int c = pm__mask_next(&mask, 0); c >= 0; c = pm__mask_next(&mask, c + 1)) {
        w->walk.path.data[base] = (uint8_t)c;
        int s = pm__fold_leaf(w, pm__byte_val(x, (uint8_t)c), end, end);
        if (s != PM_OK) return s;
    }
    pm__fold_stop *top = pm__fold_top(w); /* other parts of a range node may have been before */
    top->mask = pm_mask_or(top->mask, mask), top->n += x->nv;
    return pm__fold_settle(w, pm__fold_low(w, after, end));
}

/* True if more than one byte leads on from a node's root. */
static bool pm__fold_forks(pm__ref r) {
    if (pm__ref_kind(r) == PM__LINE) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        return !x->plen && x->body[0] != x->body[x->n - 1];
    }
    if (pm__ref_kind(r) == PM__RANGE) return true;
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
    return pm__byte_next(x, (unsigned)pm__byte_next(x, 0) + 1) >= 0;
}

/* True if one value is all that lies below a node: to ask for it costs no more than to take what is remembered. */
static PM__INLINE bool pm__fold_is_single(pm__ref r) {
    return pm__walk_is_leaf(r) && ((const pm__line *)pm__ref_ptr(r))->n == 1;
}

/* Appends the first n bytes that lead on from a node, `base` bytes being above it. */
static bool pm__fold_spell(pm__fold *w, pm__ref r, size_t base, size_t n) {
    while (n) {
        if (!pm__walk_room(&w->walk, base)) return false;
        uint8_t *path = w->walk.path.data + base;
        size_t len = 1;
        if (pm__ref_kind(r) != PM__LINE) {
            const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
            *path = (uint8_t)pm__byte_next(x, 0);
            if (n > 1) r = *pm__byte_child(x, *path);
        } else {
            const pm__line *x = (const pm__line *)pm__ref_ptr(r);
            unsigned suffix = pm__line_suffix(x, 0);
            memcpy(path, pm__line_heap(x), x->plen);
            if (suffix) path[x->plen] = x->body[0], memcpy(path + x->plen + 1, pm__line_heap(x) + x->plen, suffix - 1u);
            len = x->plen + (size_t)suffix;
            if (n > len) r = *pm__line_child(x, 0);
        }
        len = n < len ? n : len;
        base += len, n -= len;
    }
    return true;
}

/* Remembers the last n results. */
static int pm__fold_remember(pm__fold *w, const pm__walk_frame *f, unsigned n) {
    const pm__fold_stop *top = pm__fold_top(w);
    pm__fold_known k = {top->mask, w->kept.used, top->end - 1 - f->base, {0, false}, n};
    if (k.run) k.val = top->val;
    int s = pm__fold_copy(w, &w->results, w->results.used - n, n, &w->kept);
    if (s != PM_OK) return s;
    bool ok = pm__list_put(&w->known, &k, 1) && pm__memo_put(&w->memo, f->node, f->key, w->known.used - 1);
    return ok ? PM_OK : PM_NOMEM;
}

/* Leaves a node that is to be remembered: its first stop is the lowest one. */
static int pm__fold_leave(void *ctx, const pm__walk_frame *f) {
    pm__fold *w = (pm__fold *)ctx;
    pm__fold_stop *top = pm__fold_top(w);
    int s = PM_OK;
    if (f->key == PM__FOLD_WHOLE) {
        s = pm__fold_ask(w, &top->mask, top->n, NULL, top->end - 1, 0);
        top->done = true;
    }
    if (s == PM_OK) s = pm__fold_remember(w, f, top->done ? 1 : top->n);
    return s == PM_OK ? pm__fold_settle(w, pm__fold_low(w, f->outer, top->end - 1)) : s;
}

/* Takes what is remembered of a node. */
static int pm__fold_recall(pm__fold *w, const pm__walk_frame *f, const pm__fold_known *k) {
    size_t end = f->base + k->run + 1;
    if (!pm__fold_spell(w, f->node, f->base, k->run)) return PM_NOMEM;
    if (pm__fold_top(w)->end < end) pm__fold_open(w, k->val.some ? &k->val.val : NULL, end);
    pm__fold_stop *top = pm__fold_top(w);
    top->mask = k->mask, top->n = k->n, top->done = f->key == PM__FOLD_WHOLE;
    int s = pm__fold_copy(w, &w->kept, k->at, k->n, &w->results);
    return s == PM_OK ? pm__fold_settle(w, pm__fold_low(w, f->outer, end - 1)) : s;
}

/* Before a node that may be met again. */
static PM__NOINLINE int pm__fold_enter_shared(pm__fold *w, pm__walk_frame *f, bool *known) {
    if (!pm__fold_room(w, 1)) return PM_NOMEM;
    const pm__fold_stop *top = pm__fold_top(w);
    bool stop = top->end == f->base + 1, val = stop && top->val.some;
    if (w->step) f->key = val && !w->add_val ? PM__FOLD_LIST : PM__FOLD_WHOLE;
    else f->key = stop || pm__fold_forks(f->node) ? PM__FOLD_LIST : PM__FOLD_INNER;
    const uint64_t *at = pm__memo_get(&w->memo, f->node, f->key);
    *known = at != NULL;
    if (at) {
        pm__fold_known k = *(const pm__fold_known *)pm__list_at(&w->known, (size_t)*at);
        return pm__fold_recall(w, f, &k);
    }
    if (w->step && !stop) pm__fold_open(w, NULL, f->base + 1), stop = true;
    f->after.hold = w->stops.used - stop;
    return PM_OK;
}

static PM__INLINE int pm__fold_enter(void *ctx, pm__walk_frame *f, bool shared, bool *known) {
    pm__fold *w = (pm__fold *)ctx;
    if (!w->cached || !(w->every || shared || !pm__ref_is_unique(f->node))) return PM_OK;
    if (!w->step && pm__fold_is_single(f->node)) return PM_OK;
    return pm__fold_enter_shared(w, f, known);
}

static int pm__fold_line(pm__walk *walk, const pm__walker *v, void *ctx, const pm__line *x, size_t base,
                         pm__walk_after after);
static int pm__fold_dangling(void *ctx, size_t len, size_t low) { return pm__fold_mark(ctx, NULL, len, low); }

static const pm__walker pm__fold_walker = {
    .lows = true, .leaf = pm__fold_line, .low = pm__fold_low, .room = pm__fold_room, .mark = pm__fold_mark,
    .end = pm__fold_dangling, .values = pm__fold_values, .enter = pm__fold_enter, .leave = pm__fold_leave};

static int pm__fold_line(pm__walk *walk, const pm__walker *v, void *ctx, const pm__line *x, size_t base,
                         pm__walk_after after) {
    (void)v;
    return pm__walk_leaf(walk, &pm__fold_walker, ctx, x, base, after);
}


/* Where a fold begins. */
typedef struct pm__fold_spot {
    pm_place place;
    const pm_val *val;
} pm__fold_spot;

static pm__fold_spot pm__fold_spot_of(const pm_place *at, const pm_val *val) {
    pm__fold_spot s = {*at, val};
    return s;
}

static pm__fold_spot pm__fold_root(pm__ref r, const pm_val *val) {
    pm__fold_spot s = {pm__place_root(r), val};
    return s;
}

/* Has stops end where `low` bytes of path are above the run that leads to the first one. */
static bool pm__fold_floor(pm__fold *w, size_t low) {
    if (!pm__list_room(&w->stops, 2) || !pm__fold_room(w, 2)) return false;
    pm__fold_open(w, NULL, low);
    return true;
}

/* Folds what is at and below a spot at the end of the path; its result comes on top. */
static int pm__fold_walk(pm__fold *w, pm__fold_spot s, size_t low) {
    bool below = pm__place_enter(&s.place);
    size_t inside = below ? s.place.depth : 0, len = w->walk.path.used + inside;
    pm__walk_after after = {low + inside, 0};
    int st = PM_OK;
    w->from = inside; /* 0 where there is a path already */
    if (!pm__walk_room(&w->walk, len) || !pm__fold_floor(w, after.low)) return PM_NOMEM;
    if (!below || s.val) st = pm__fold_mark(w, s.val, len, below ? len + 1 : after.low);
    if (st == PM_OK && below) st = pm__walk_below(&w->walk, &pm__fold_walker, w, &s.place, after);
    if (st == PM_OK) w->stops.used--;
    return st;
}

static pm__fold pm__fold_begin(const pm_fold *f) {
    pm__fold w = {.f = *f, .walk = pm__walk_begin()};
    w.step = !(f->flags & PM_FOLD_JUMPING);
    w.cached = (f->flags & PM_FOLD_CACHED) != 0;
    w.stops = pm__list_of(sizeof(pm__fold_stop));
    w.results = pm__list_of(f->size);
    w.known = pm__list_of(sizeof(pm__fold_known));
    w.kept = pm__list_of(f->size);
    return w;
}

/* Ends a fold. On success its only result goes to *out. */
static int pm__fold_end(pm__fold *w, int s, void *out) {
    if (s == PM_OK) {
        if (w->f.size) memcpy(out, w->results.data, w->f.size);
        w->results.used = 0;
    }
    for (; w->stops.used; w->stops.used--)
        if (w->holds && pm__fold_top(w)->val.some) pm__val_release(w->holds, pm__fold_top(w)->val.val);
    pm__fold_drop(w, &w->results, 0);
    pm__fold_drop(w, &w->kept, 0);
    pm__walk_end(&w->walk);
    pm__list_free(&w->stops);
    pm__list_free(&w->results);
    pm__list_free(&w->known);
    pm__list_free(&w->kept);
    pm__memo_free(&w->memo);
    return s;
}

/* Whether a fold can be done, and its result put somewhere. */
static bool pm__fold_is_sound(const pm_fold *f, const void *out) {
    return f && f->at && (out || !f->size) && !((f->flags & PM_FOLD_CACHED) && f->drop && !f->copy);
}

PM_API int pm_fold_ref(const pm_ref *r, const pm_fold *f, void *out) {
    if (!r || !pm__fold_is_sound(f, out)) return PM_INVALID;
    pm__fold w = pm__fold_begin(f);
    return pm__fold_end(&w, pm__fold_walk(&w, pm__fold_spot_of(&r->place, r->val), 0), out);
}

PM_API int pm_fold_map(const pm_map *m, const pm_fold *f, void *out) {
    if (!m) return PM_INVALID;
    pm_ref r = pm_ref_of_map(m, NULL, 0);
    return pm_fold_ref(&r, f, out);
}
