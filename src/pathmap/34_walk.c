/* The ordered walk: all terminals of a trie, in the order of their paths. A terminal is a location that has a value, or
   neither value nor child.

   A stack of frames, one for each node on the way, and one buffer for the path. Suffixes are written whole, so that a
   terminal's path does not depend on the one before. Lines that lead nowhere, which are most, are gone through from the
   node above them, without a frame.

   Who walks is a pm__walker, a constant, so that all of it is inlined; those in no hurry share one walk
   (pm__walk_slowly). It may ask what a terminal shares with the next one (`lows`): in a line the neighbouring entry
   tells; the last terminal of a node has that of the entry that led to the node. */
#include "17_list.c"
#include "26_place.c"

/* What the last terminal of a node is told: 1 + the bytes of path that it shares with the one after it, or whatever the
   walker makes of it. */
typedef struct pm__walk_after {
    size_t low, hold;
} pm__walk_after;

typedef struct pm__walk_frame {
    pm__ref node;
    size_t base;             /* bytes of path above its root */
    unsigned next, end, off; /* entries to go through, heap bytes before the next; or the next byte, 256: none */
    pm__walk_after after;
    pm__walk_after outer; /* `after` as it was before the walker changed it */
    unsigned key;         /* the walker's; not 0: it wants to know when the node is left */
    bool shared;          /* a part of a range node, with other owners: so are all nodes below it */
} pm__walk_frame;

typedef struct pm__walk {
    pm__list path, frames;
} pm__walk;

/* Those that return int end the walk with what is not PM_OK. */
typedef struct pm__walker pm__walker;
struct pm__walker {
    bool lows;
    /* pm__walk_leaf for this walker: a function of its own, so that it is not inlined several times; or that which all
       share, pm__walk_leaf_slowly. */
    int (*leaf)(pm__walk *w, const pm__walker *v, void *ctx, const pm__line *x, size_t base, pm__walk_after after);
    /* Two values or more of a byte node that leads nowhere, at once; NULL: one by one. */
    int (*values)(void *ctx, const pm__byte *x, size_t base, pm__walk_after after);
    /* The last terminal of a node, of `len` bytes. */
    size_t (*low)(void *ctx, pm__walk_after after, size_t len);
    /* Makes room for n marks; NULL: no need. False: no memory. */
    bool (*room)(void *ctx, size_t n);
    /* A terminal that has a value; one that has none (NULL: no interest). low: 0 without `lows`. */
    int (*mark)(void *ctx, const pm_val *val, size_t len, size_t low);
    int (*end)(void *ctx, size_t len, size_t low);
    /* Before a node is entered; may change `after` and `key`, or skip it. `shared`: so is the block that it stands in.
       NULL: no interest. */
    int (*enter)(void *ctx, pm__walk_frame *f, bool shared, bool *skip);
    int (*leave)(void *ctx, const pm__walk_frame *f);
};

enum {
    PM__WALK_STEP = 48, /* suffixes are copied so many bytes at a time: nearly all at once, without a branch */
    PM__WALK_NONE = 256,
    PM__WALK_INTO = 1000 /* nothing that a walker answers: a frame is to be opened */
};

static pm__walk pm__walk_begin(void) {
    pm__walk w = {pm__list_of(1), pm__list_of(sizeof(pm__walk_frame))};
    return w;
}

static void pm__walk_end(pm__walk *w) {
    pm__list_free(&w->path);
    pm__list_free(&w->frames);
}

/* Makes room for a path of `len` bytes, a node's own bytes, and those of a line below it. */
static PM__INLINE bool pm__walk_room(pm__walk *w, size_t len) {
    size_t need = len + 2u * PM__SUFFIX_MAX + PM__WALK_STEP;
    return PM__LIKELY(w->path.cap >= need) || pm__list_grow(&w->path, need - w->path.used);
}

/* Copies the n bytes at s; `safe`: the last place from which a step stays inside the block. */
static PM__INLINE void pm__walk_copy(uint8_t *d, const uint8_t *s, size_t n, const uint8_t *safe) {
    if (PM__UNLIKELY(s > safe)) { /* eight bytes there are always: payloads follow */
        if (PM__LIKELY(n <= 8)) memcpy(d, s, 8);
        else pm__copy_short(d, s, n);
        return;
    }
    memcpy(d, s, PM__WALK_STEP);
    if (PM__LIKELY(n <= PM__WALK_STEP)) return;
    if (n <= 2 * PM__WALK_STEP) memcpy(d + n - PM__WALK_STEP, s + n - PM__WALK_STEP, PM__WALK_STEP);
    else memcpy(d + PM__WALK_STEP, s + PM__WALK_STEP, n - PM__WALK_STEP);
}

/* The last place in a line from which a step stays inside its block; or one before all that is copied. */
static PM__INLINE const uint8_t *pm__walk_safe(const pm__line *x) {
    size_t size = pm__line_size(x);
    return (const uint8_t *)x + (size < PM__WALK_STEP ? 0 : size - PM__WALK_STEP);
}

/* Whether a node is a line that leads nowhere. */
static PM__INLINE bool pm__walk_is_leaf(pm__ref r) {
    return pm__ref_kind(r) == PM__LINE && !((const pm__line *)pm__ref_ptr(r))->cmask;
}

/* How many bytes of suffix entry i, whose heap bytes begin at h, shares with the next one. */
static PM__INLINE unsigned pm__walk_common(const pm__line *x, unsigned i, const uint8_t *h) {
    const uint8_t *lens = pm__line_lens(x);
    unsigned l = lens[i], next = lens[i + 1], min = l < next ? l : next;
    if (x->body[i] != x->body[i + 1]) return 0;
    if (min > 8) return 1 + (unsigned)pm__lcp(h, h + l, min);
    uint64_t differ = pm__load64le(h) ^ pm__load64le(h + l);
    unsigned same = differ ? pm__ctz64(differ) / 8 : 8;
    return 1 + (same < min ? same : min);
}

static PM__INLINE size_t pm__walk_low(const pm__walker *v, void *ctx, pm__walk_after after, size_t len) {
    return v->lows ? v->low(ctx, after, len) : 0;
}

/* The values of a line that leads nowhere. What the caller's function cannot change is read once, before the call. */
static PM__INLINE int pm__walk_leaf(pm__walk *w, const pm__walker *v, void *ctx, const pm__line *x, size_t base,
                                    pm__walk_after after) {
    const uint8_t *firsts = x->body, *lens = pm__line_lens(x), *h = pm__line_heap(x), *safe = pm__walk_safe(x);
    bool unit = (x->flags & PM__LINE_UNIT) != 0;
    unsigned n = x->n, i = 0, plen = x->plen;
    uint8_t *path = w->path.data + base, *at = path + plen;
    const pm_val *pay = pm__line_pay_at(x, 0);
    size_t len = base + plen + 1;
    if (v->room && !v->room(ctx, n)) return PM_NOMEM;
    pm__walk_copy(path, h, plen, safe);
    h += plen;
    if (pm__line_has_e(x)) {
        int s = v->mark(ctx, unit ? &pm__unit_val : pay--, len - 1, n > 1 ? len : pm__walk_low(v, ctx, after, len - 1));
        if (s != PM_OK) return s;
        i = 1;
    }
    for (; i < n; i++) {
        unsigned rest = lens[i];
        size_t low = 0;
        at[0] = firsts[i];
        pm__walk_copy(at + 1, h, rest, safe);
        if (v->lows) low = i + 1 < n ? len + pm__walk_common(x, i, h) : v->low(ctx, after, len + rest);
        h += rest;
        int s = v->mark(ctx, unit ? &pm__unit_val : pay--, len + rest, low);
        if (PM__UNLIKELY(s != PM_OK)) return s;
    }
    return PM_OK;
}

static PM__INLINE int pm__walk_mark(const pm__walker *v, void *ctx, const pm_val *val, size_t len,
                                    pm__walk_after after) {
    if (!val && !v->end) return PM_OK;
    if (v->room && !v->room(ctx, 1)) return PM_NOMEM;
    size_t low = pm__walk_low(v, ctx, after, len);
    return val ? v->mark(ctx, val, len, low) : v->end(ctx, len, low);
}

/* Begins with the entries from `next` on of a line: writes its prefix, and marks the value at the end of it. */
static PM__INLINE int pm__walk_begin_line(pm__walk *w, const pm__walker *v, void *ctx, pm__walk_frame *f) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(f->node);
    size_t len = f->base + x->plen;
    pm__walk_after below = {len + 1, 0};
    memcpy(w->path.data + f->base, pm__line_heap(x), x->plen);
    f->off = pm__line_off(x, f->next);
    if (f->next || !pm__line_has_e(x)) return PM_OK;
    f->next = 1;
    return pm__walk_mark(v, ctx, pm__line_val(x, 0), len, f->end > 1 ? below : f->after);
}

/* Puts a frame for a node that is not gone through at once. */
static PM__INLINE int pm__walk_open(pm__walk *w, const pm__walker *v, void *ctx, pm__walk_frame *f) {
    int s = PM_OK;
    if (!pm__walk_room(w, f->base)) return PM_NOMEM;
    if (pm__ref_kind(f->node) == PM__RANGE) {
        f->end = ((const pm__line *)pm__ref_ptr(f->node))->n;
    } else if (pm__ref_kind(f->node) != PM__LINE) {
        f->next = (unsigned)pm__byte_next((const pm__byte *)pm__ref_ptr(f->node), 0);
    } else {
        const pm__line *x = (const pm__line *)pm__ref_ptr(f->node);
        f->end = x->n;
        if (x->cmask) pm__ref_prefetch(*pm__line_child(x, pm__ctz32(x->cmask)));
        s = pm__walk_begin_line(w, v, ctx, f);
    }
    return s == PM_OK && !pm__list_put(&w->frames, f, 1) ? PM_NOMEM : s;
}

/* Goes through all of a node, or answers PM__WALK_INTO, with a frame to be opened. */
static PM__INLINE int pm__walk_down(pm__walk *w, const pm__walker *v, void *ctx, pm__ref r, bool leaf, size_t base,
                                    pm__walk_after after, bool shared, pm__walk_frame *into) {
    bool skip = false;
    if (!v->enter && leaf) return v->leaf(w, v, ctx, (const pm__line *)pm__ref_ptr(r), base, after);
    pm__walk_frame f = {r, base, 0, 0, 0, after, after, 0, false};
    int s = v->enter ? v->enter(ctx, &f, shared, &skip) : PM_OK;
    if (s != PM_OK || skip) return s;
    if (!leaf) {
        *into = f;
        return PM__WALK_INTO;
    }
    s = v->leaf(w, v, ctx, (const pm__line *)pm__ref_ptr(r), base, f.after);
    return s == PM_OK && v->leave && f.key ? v->leave(ctx, &f) : s;
}

static PM__INLINE int pm__walk_up(pm__walk *w, const pm__walker *v, void *ctx) {
    const pm__walk_frame *f = (const pm__walk_frame *)pm__list_pop(&w->frames);
    return v->leave && f->key ? v->leave(ctx, f) : PM_OK;
}

static PM__INLINE pm__walk_after pm__walk_after_of(const pm__walker *v, const pm__walk_frame *f) {
    pm__walk_after none = {0, 0};
    return v->lows ? f->after : none;
}

/* The values of a byte node that leads nowhere. */
static PM__INLINE int pm__walk_values(pm__walk *w, const pm__walker *v, void *ctx, const pm__walk_frame *f) {
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(f->node);
    const pm_val *pay = x->slot + pm__byte_room_of(x);
    pm__walk_after after = pm__walk_after_of(v, f);
    size_t len = f->base + 1;
    bool unit = pm__byte_is_unit(x);
    if (v->values && x->nv > 1) {
        int s = v->values(ctx, x, f->base, after);
        return s == PM_OK ? pm__walk_up(w, v, ctx) : s;
    }
    if (v->room && !v->room(ctx, x->nv)) return PM_NOMEM;
    for (unsigned b = f->next, next; b < PM__WALK_NONE; b = next) {
        next = (unsigned)pm__byte_next(x, b + 1);
        w->path.data[len - 1] = (uint8_t)b;
        size_t low = next < PM__WALK_NONE ? len : pm__walk_low(v, ctx, after, len);
        int s = v->mark(ctx, unit ? &pm__unit_val : --pay, len, low);
        if (PM__UNLIKELY(s != PM_OK)) return s;
    }
    return pm__walk_up(w, v, ctx);
}

/* Goes on in a line, up to the next child that gets a frame, or to its end. */
static PM__INLINE int pm__walk_line(pm__walk *w, const pm__walker *v, void *ctx, pm__walk_frame *f,
                                    pm__walk_frame *into) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(f->node);
    const uint8_t *lens = pm__line_lens(x), *heap = pm__line_heap(x), *safe = pm__walk_safe(x);
    bool unit = (x->flags & PM__LINE_UNIT) != 0;
    unsigned i = f->next, off = f->off, end = f->end;
    uint32_t cmask = x->cmask;
    size_t len = f->base + x->plen + 1;
    const uint64_t *pay = pm__line_pay_at(x, pm__line_pay_index(x, i));
    uint8_t *at = w->path.data + len - 1;
    for (; i < end; i++) {
        unsigned rest = lens[i];
        pm__walk_after after = pm__walk_after_of(v, f);
        at[0] = x->body[i];
        pm__walk_copy(at + 1, heap + off, rest, safe);
        if (v->lows && i + 1 < end) after = (pm__walk_after){len + pm__walk_common(x, i, heap + off), 0};
        off += rest;
        bool leads = cmask >> i & 1;
        pm__ref child = leads ? *pay-- : 0;
        int s;
        if (!leads) {
            s = pm__walk_mark(v, ctx, unit ? &pm__unit_val : pay--, len + rest, after);
        } else if (!child) {
            s = pm__walk_mark(v, ctx, NULL, len + rest, after);
        } else {
            uint32_t later = cmask >> i >> 1; /* by the time this child is done, the next one has arrived */
            if (later) pm__ref_prefetch(*pm__line_child(x, i + 1 + pm__ctz32(later)));
            bool leaf = pm__walk_is_leaf(child);
            if (!leaf) f->next = i + 1, f->off = off;
            s = pm__walk_down(w, v, ctx, child, leaf, len + rest, after, f->shared, into);
            if (v->enter) at = w->path.data + len - 1; /* what is skipped may be spelled */
        }
        if (PM__UNLIKELY(s != PM_OK)) return s;
    }
    return pm__walk_up(w, v, ctx);
}

/* The same in a byte node. */
static PM__INLINE int pm__walk_byte(pm__walk *w, const pm__walker *v, void *ctx, pm__walk_frame *f,
                                    pm__walk_frame *into) {
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(f->node);
    size_t len = f->base + 1;
    bool wide = pm__byte_is_wide(x);
    const pm__ref *last = x->slot + (wide ? 0 : x->nc);
    if (!x->nc) return pm__walk_values(w, v, ctx, f);
    for (unsigned b = f->next, next; b < PM__WALK_NONE; b = next) {
        uint8_t c = (uint8_t)b;
        const pm__ref *slot = pm__byte_has_child(x, c) ? pm__byte_child(x, c) : NULL;
        pm__ref child = slot ? *slot : 0;
        pm__walk_after after = pm__walk_after_of(v, f);
        next = (unsigned)pm__byte_next(x, b + 1);
        if (v->lows && next < PM__WALK_NONE) after = (pm__walk_after){len, 0};
        w->path.data[len - 1] = c;
        if (PM__UNLIKELY(!child || pm__byte_has_val(x, c))) {
            const pm_val *val = pm__byte_has_val(x, c) ? pm__byte_val(x, c) : NULL;
            int s = pm__walk_mark(v, ctx, val, len, child ? (pm__walk_after){len + 1, 0} : after);
            if (s != PM_OK) return s;
            if (!child) continue;
        }
        bool later = PM__LIKELY(!wide) ? slot + 1 < last : next >> 4 == b >> 4 && pm__byte_has_child(x, (uint8_t)next);
        if (later && slot[1]) pm__ref_prefetch(slot[1]);
        pm__ref_prefetch(child);
        bool leaf = pm__walk_is_leaf(child);
        if (!leaf) f->next = next;
        bool shared = f->shared || (v->enter && wide && !pm__ref_count_is_one(&pm__byte_block(x, c >> 4)->rc));
        int s = pm__walk_down(w, v, ctx, child, leaf, len, after, shared, into);
        if (s != PM_OK) return s;
    }
    return pm__walk_up(w, v, ctx);
}

/* The same in a range node, whose parts are no nodes of their own to the walker: they have its location. */
static PM__INLINE int pm__walk_range(pm__walk *w, const pm__walker *v, void *ctx, pm__walk_frame *f,
                                     pm__walk_frame *into) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(f->node);
    for (unsigned i; (i = f->next) < f->end;) {
        pm__walk_after after = pm__walk_after_of(v, f);
        pm__ref part = *pm__line_part_at(x, i);
        if (++f->next < f->end) {
            if (v->lows) after = (pm__walk_after){f->base + 1, 0};
            pm__ref_prefetch(*pm__line_part_at(x, f->next));
        }
        if (!pm__walk_is_leaf(part)) {
            *into = (pm__walk_frame){part, f->base, 0, 0, 0, after, after, 0, f->shared || !pm__ref_is_unique(part)};
            return PM__WALK_INTO;
        }
        int s = v->leaf(w, v, ctx, (const pm__line *)pm__ref_ptr(part), f->base, after);
        if (PM__UNLIKELY(s != PM_OK)) return s;
    }
    return pm__walk_up(w, v, ctx);
}

/* Goes through what lies below a place, at the end of the path; bytes of the place's own node above it come first. */
static PM__INLINE int pm__walk_below(pm__walk *w, const pm__walker *v, void *ctx, const pm_place *entered,
                                     pm__walk_after after) {
    size_t floor = w->frames.used;
    int s = PM_OK;
    pm__walk_frame f = {entered->node, w->path.used, 0, 0, 0, after, after, 0, false};
    if (!pm__walk_room(w, f.base)) return PM_NOMEM;
    if (entered->depth == 0) {
        s = pm__walk_down(w, v, ctx, f.node, pm__walk_is_leaf(f.node), f.base, after, false, &f);
    } else {
        const pm__line *x = pm__place_line(entered);
        f.next = entered->lo + pm__place_val_entry(entered, x), f.end = entered->hi;
        s = pm__walk_begin_line(w, v, ctx, &f);
        if (s == PM_OK && !pm__list_put(&w->frames, &f, 1)) s = PM_NOMEM;
    }
    for (;;) {
        if (s == PM__WALK_INTO) s = pm__walk_open(w, v, ctx, &f);
        if (s != PM_OK || w->frames.used == floor) return s;
        pm__walk_frame *top = (pm__walk_frame *)pm__list_at(&w->frames, w->frames.used - 1);
        const unsigned kind = pm__ref_kind(top->node);
        s = kind == PM__LINE    ? pm__walk_line(w, v, ctx, top, &f)
            : kind == PM__RANGE ? pm__walk_range(w, v, ctx, top, &f)
                                : pm__walk_byte(w, v, ctx, top, &f);
    }
}

/* Goes through all that lies below a root, which may be 0. */
static PM__INLINE int pm__walk_all(pm__walk *w, const pm__walker *v, void *ctx, pm__ref root) {
    const pm_place p = pm__place_root(root);
    const pm__walk_after none = {0, 0};
    return root ? pm__walk_below(w, v, ctx, &p, none) : PM_OK;
}

/* ---- the walk of those in no hurry ------------------------------------------------------------------------------ */

static int pm__walk_leaf_slowly(pm__walk *w, const pm__walker *v, void *ctx, const pm__line *x, size_t base,
                                pm__walk_after after) {
    return pm__walk_leaf(w, v, ctx, x, base, after);
}

/* pm__walk_all, once for all of them. */
static PM__NOINLINE int pm__walk_slowly(pm__walk *w, const pm__walker *v, void *ctx, pm__ref root) {
    return pm__walk_all(w, v, ctx, root);
}
