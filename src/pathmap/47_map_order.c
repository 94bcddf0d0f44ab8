/* Order on maps.

   A node is a row of *positions* in key order, each a value or a child: of a line its entries. A *terminal* is a
   position without anything below: a value or a dangling location. Every subtrie has one, so the nearest terminal is
   found by one way down that remembers only the last node with something on the side that is asked for. A search for
   values goes on from a dangling location that it comes upon. */
#include "17_list.c"
#include "39_tally.c"
#include "40_map.c"
#include "47_map_order.h"

/* ---- positions of a node ------------------------------------------------------------------------------------- */

/* Of a range node its parts are positions, to which no bytes lead. */
static PM__INLINE bool pm__order_line(pm__ref r) { return pm__ref_is_lined(r); }

/* Behind the last position. */
static PM__INLINE unsigned pm__order_end(pm__ref r) {
    return pm__order_line(r) ? ((const pm__line *)pm__ref_ptr(r))->n : (unsigned)PM__BYTE_END;
}

/* The first position from `at` on, or -1. */
static int pm__order_next(pm__ref r, unsigned at) {
    if (pm__order_line(r)) return at < pm__order_end(r) ? (int)at : -1;
    return pm__byte_position((const pm__byte *)pm__ref_ptr(r), (int)at, false);
}

/* The last position before `at`, or -1. */
static int pm__order_prev(pm__ref r, unsigned at) {
    return pm__order_line(r) ? (int)at - 1 : pm__byte_position((const pm__byte *)pm__ref_ptr(r), (int)at - 1, true);
}

static PM__INLINE int pm__order_last(pm__ref r) { return pm__order_prev(r, pm__order_end(r)); }

/* What is at a position: *below the child, 0 if it is dangling. Returns the value, NULL if it is a child. */
static const pm_val *pm__order_look(pm__ref r, unsigned at, pm__ref *below) {
    *below = 0;
    if (pm__order_line(r)) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        if (!pm__line_is_child(x, at)) return pm__line_val(x, at);
        *below = *pm__line_child(x, at);
        return NULL;
    }
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
    if (!(at & 1)) return pm__byte_val(x, (uint8_t)(at >> 1));
    *below = *pm__byte_child(x, (uint8_t)(at >> 1));
    return NULL;
}

/* Appends the bytes that lead to a position. False: no memory. */
static bool pm__order_spell(pm__list *path, pm__ref r, unsigned at) {
    if (!pm__order_line(r)) {
        uint8_t b = (uint8_t)(at >> 1);
        return pm__list_put(path, &b, 1);
    }
    if (pm__ref_kind(r) == PM__RANGE) return true;
    const pm__line *x = (const pm__line *)pm__ref_ptr(r);
    const uint8_t *heap = pm__line_heap(x);
    unsigned len = pm__line_suffix(x, at);
    if (!pm__list_put(path, heap, x->plen)) return false;
    return !len || (pm__list_put(path, &x->body[at], 1) && pm__list_put(path, heap + pm__line_off(x, at), len - 1));
}

/* ---- a key among the positions of a node --------------------------------------------------------------------- */

typedef struct pm__order_seek {
    pm__ref on;  /* the key goes on in this child, at position `at`, behind `used` bytes; 0: it does not, */
    unsigned at; /* and this is where the positions begin that are not less than it */
    size_t used;
    bool equal; /* the terminal at `at` is the key */
} pm__order_seek;

static pm__order_seek pm__order_seek_line(const pm__line *x, const uint8_t *s, size_t len) {
    pm__order_seek k = {0, 0, 0, false};
    size_t n = len < x->plen ? len : x->plen, m = pm__lcp(pm__line_heap(x), s, n);
    if (m < n) {
        k.at = pm__line_heap(x)[m] < s[m] ? x->n : 0u;
    } else if (len <= x->plen) {
        k.equal = len == x->plen && pm__line_has_e(x);
    } else {
        pm__line_seek f = pm__line_find(x, s + x->plen, len - x->plen);
        k.at = f.lo;
        if (f.child >= 0) {
            k.on = *pm__line_child(x, (unsigned)f.child);
            k.used = x->plen + (size_t)pm__line_suffix(x, (unsigned)f.child);
            k.at = (unsigned)f.child + (k.on == 0); /* a dangling prefix is less */
        } else if (f.lo < f.hi && pm__line_suffix(x, f.lo) == len - x->plen) {
            k.equal = !pm__line_is_child(x, f.lo) || *pm__line_child(x, f.lo) == 0;
        }
    }
    return k;
}

static pm__order_seek pm__order_seek_byte(const pm__byte *x, const uint8_t *s, size_t len) {
    pm__order_seek k = {0, 0, 0, false};
    if (!len) return k;
    bool child = pm__byte_has_child(x, *s);
    pm__ref below = child ? *pm__byte_child(x, *s) : 0;
    k.at = 2u * *s;
    if (len == 1) {
        bool dangling = child && !below;
        k.equal = dangling || pm__byte_has_val(x, *s);
        k.at += dangling;
    } else {
        k.on = below;
        k.used = 1;
        k.at += below ? 1 : 2;
    }
    return k;
}

static pm__order_seek pm__order_seek_range(const pm__line *x, const uint8_t *s, size_t len) {
    pm__order_seek k = {0, 0, 0, false};
    if (!len) return k;
    k.at = pm__line_part_index(x, *s);
    k.on = *pm__line_part_at(x, k.at);
    return k;
}

static PM__INLINE pm__order_seek pm__order_seek_in(pm__ref r, const uint8_t *s, size_t len) {
    pm__ref_prefetch(r);
    if (pm__ref_kind(r) == PM__RANGE) return pm__order_seek_range((const pm__line *)pm__ref_ptr(r), s, len);
    if (pm__order_line(r)) return pm__order_seek_line((const pm__line *)pm__ref_ptr(r), s, len);
    return pm__order_seek_byte((const pm__byte *)pm__ref_ptr(r), s, len);
}

/* ---- nearest ------------------------------------------------------------------------------------------------- */

/* A position on which a search goes down: the node's path is the first `base` bytes of the key. */
typedef struct pm__order_spot {
    pm__ref node; /* 0: none */
    unsigned at;
    size_t base;
} pm__order_spot;

/* The bytes of a key; the empty one may have none. */
static PM__INLINE const uint8_t *pm__order_bytes(const void *key) {
    return key ? (const uint8_t *)key : (const uint8_t *)"";
}

static PM__INLINE bool pm__order_is_after(pm_rel rel) { return rel == PM_GE || rel == PM_GT; }

/* The position below which the nearest terminal is, its first if it is after the key, else its last. */
static pm__order_spot pm__order_find(pm__ref r, pm_rel rel, const uint8_t *s, size_t len) {
    pm__order_spot spot = {0, 0, 0};
    size_t base = 0;
    while (r) {
        pm__order_seek k = pm__order_seek_in(r, s + base, len - base);
        int at;
        if (pm__order_is_after(rel)) at = pm__order_next(r, k.at + (k.on || (rel == PM_GT && k.equal)));
        else at = rel == PM_LE && k.equal ? (int)k.at : pm__order_prev(r, k.at);
        if (at >= 0) spot.node = r, spot.at = (unsigned)at, spot.base = base;
        base += k.used;
        r = k.on;
    }
    return spot;
}

/* Goes down from a position to its first or last terminal, the path following. *val: its value, or NULL. False: no
   memory. */
static bool pm__order_reach(pm__list *path, pm__ref r, unsigned at, bool last, const pm_val **val) {
    for (;;) {
        pm__ref below;
        if (!pm__order_spell(path, r, at)) return false;
        *val = pm__order_look(r, at, &below);
        if (!below) return true;
        r = below;
        pm__ref_prefetch(r);
        at = (unsigned)(last ? pm__order_last(r) : pm__order_next(r, 0));
    }
}

static pm__list pm__item_begin(pm_item *item) {
    pm__list path = pm__list_of(1);
    path.data = item->key, path.cap = item->cap;
    item->found = false;
    item->val = 0;
    item->len = 0;
    return path;
}

/* The path goes back into the item. `val` NULL: nothing was found. */
static pm_status pm__item_end(pm_item *item, const pm__list *path, bool ok, const pm_val *val) {
    item->key = path->data, item->cap = path->cap;
    if (!ok) return PM_NOMEM;
    if (!val) return PM_OK;
    item->len = path->used;
    item->val = *val;
    item->found = true;
    return PM_OK;
}

PM_API void pm_item_drop(pm_item *item) {
    if (!item) return;
    pm__list path = pm__item_begin(item);
    pm__list_free(&path);
    item->key = NULL, item->cap = 0;
}

/* From a position on in the given direction, until there is a value. The path is the node's. */
static pm_status pm__order_go(const pm_map *m, pm__order_spot spot, bool last, pm__list *path, pm_item *item) {
    const pm_val *val = NULL;
    bool ok = true;
    while (ok && spot.node) {
        path->used = spot.base;
        ok = pm__order_reach(path, spot.node, spot.at, last, &val);
        if (!ok || val) break;
        spot = pm__order_find(m->root, last ? PM_LT : PM_GT, path->data, path->used); /* past a dangling location */
    }
    if (ok && !val && last && m->has_value) path->used = 0, val = &m->value;
    return pm__item_end(item, path, ok, val);
}

PM_API pm_status pm_nearest(const pm_map *m, pm_rel rel, const void *key, size_t len, pm_item *item) {
    if (pm__map_bad(m, key, len) || !item || (unsigned)rel > PM_GT) return PM_INVALID;
    const uint8_t *s = pm__order_bytes(key);
    bool last = !pm__order_is_after(rel);
    pm__order_spot spot = pm__order_find(m->root, rel, s, len);
    pm__list path = pm__item_begin(item);
    if (!len && rel == PM_LT) return pm__item_end(item, &path, true, NULL);
    if (!len && rel == PM_GE && m->has_value) return pm__item_end(item, &path, true, &m->value);
    if (!pm__list_room(&path, spot.base)) return pm__item_end(item, &path, false, NULL);
    if (spot.base) memmove(path.data, s, spot.base); /* the key may be the item's */
    return pm__order_go(m, spot, last, &path, item);
}

PM_API pm_status pm_first(const pm_map *m, pm_item *item) { return pm_nearest(m, PM_GE, "", 0, item); }

PM_API pm_status pm_last(const pm_map *m, pm_item *item) {
    if (pm__map_bad(m, NULL, 0) || !item) return PM_INVALID;
    pm__order_spot spot = {m->root, m->root ? (unsigned)pm__order_last(m->root) : 0, 0};
    pm__list path = pm__item_begin(item);
    return pm__order_go(m, spot, true, &path, item);
}

static pm_status pm__order_pop(pm_map *m, bool last, pm_item *item) {
    if (pm__map_refuses(m, NULL, 0) || !item) return PM_INVALID;
    pm_opt old;
    pm_status s = last ? pm_last(m, item) : pm_first(m, item);
    if (s == PM_OK && item->found) s = pm__map_remove(m, item->key, item->len, PM_PRUNE, 0, &old);
    if (s != PM_OK) item->found = false;
    return s;
}

PM_API pm_status pm_pop_first(pm_map *m, pm_item *item) { return pm__order_pop(m, false, item); }
PM_API pm_status pm_pop_last(pm_map *m, pm_item *item) { return pm__order_pop(m, true, item); }

/* ---- prefixes ------------------------------------------------------------------------------------------------ */

/* What is done at a prefix that has a value. Returns whether to go on. */
typedef bool (*pm__prefix_fn)(void *ctx, size_t len, const pm_val *val);

/* In a line, s[0..len), len > 0, being the rest of the key behind the line's prefix. Returns the child in which it goes
   on, behind *used bytes; 0: nowhere, or fn has returned false. */
static PM__INLINE pm__ref pm__prefix_line(const pm__line *x, const uint8_t *s, size_t len, size_t base, size_t *used,
                                          pm__prefix_fn fn, void *ctx) {
    uint32_t run = pm__line_match_first(x, s[0]);
    if (!run) return 0;
    unsigned i = pm__ctz32(run), end = i + pm__popcount32(run);
    const uint8_t *h = pm__line_heap(x) + pm__line_off(x, i), *lens = pm__line_lens(x);
    for (; i < end; h += lens[i++]) {
        size_t n = lens[i] + (size_t)1;
        if (n > len || (n > 1 && memcmp(h, s + 1, n - 1) != 0)) continue;
        if (pm__line_is_child(x, i)) { /* nothing else can agree from here on */
            *used = n;
            return *pm__line_child(x, i);
        }
        if (!fn(ctx, base + n, pm__line_val(x, i))) return 0;
    }
    return 0;
}

/* Goes down along s[0..len) and calls fn for each value on the way, the root's not included. */
static PM__INLINE void pm__prefix_walk(pm__ref r, const uint8_t *s, size_t len, pm__prefix_fn fn, void *ctx) {
    size_t base = 0;
    while (r && base < len) {
        pm__ref_prefetch(r);
        size_t used = 1;
        if (pm__ref_kind(r) == PM__RANGE) {
            r = *pm__line_part((const pm__line *)pm__ref_ptr(r), s[base]);
            continue;
        }
        if (!pm__order_line(r)) {
            const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
            uint8_t b = s[base++];
            if (pm__byte_has_val(x, b) && !fn(ctx, base, pm__byte_val(x, b))) return;
            r = pm__byte_has_child(x, b) ? *pm__byte_child(x, b) : 0;
            continue;
        }
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        if (!pm__line_in_prefix(x, s + base, len - base)) return;
        base += x->plen;
        if (pm__line_has_e(x) && !fn(ctx, base, pm__line_val(x, 0))) return;
        if (base == len) return;
        r = pm__prefix_line(x, s + base, len - base, base, &used, fn, ctx);
        base += used;
    }
}

typedef struct pm__prefix_found {
    const pm_val *val;
    size_t len;
} pm__prefix_found;

static PM__INLINE bool pm__prefix_keep(void *ctx, size_t len, const pm_val *val) {
    pm__prefix_found *f = (pm__prefix_found *)ctx;
    f->val = val, f->len = len;
    return true;
}

static PM__INLINE bool pm__prefix_stop(void *ctx, size_t len, const pm_val *val) {
    (void)pm__prefix_keep(ctx, len, val);
    return false;
}

static PM__INLINE const pm_val *pm__prefix_tell(const pm__prefix_found *f, size_t *found) {
    if (f->val && found) *found = f->len;
    return f->val;
}

PM_API const pm_val *pm_longest_prefix(const pm_map *m, const void *key, size_t len, size_t *found) {
    if (pm__map_bad(m, key, len)) return NULL;
    pm__prefix_found f = {m->has_value ? &m->value : NULL, 0};
    pm__prefix_walk(m->root, pm__order_bytes(key), len, pm__prefix_keep, &f);
    return pm__prefix_tell(&f, found);
}

PM_API const pm_val *pm_shortest_prefix(const pm_map *m, const void *key, size_t len, size_t *found) {
    if (pm__map_bad(m, key, len)) return NULL;
    pm__prefix_found f = {m->has_value ? &m->value : NULL, 0};
    if (!f.val) pm__prefix_walk(m->root, pm__order_bytes(key), len, pm__prefix_stop, &f);
    return pm__prefix_tell(&f, found);
}

typedef struct pm__prefix_call {
    bool (*fn)(void *ctx, size_t len, pm_val val);
    void *ctx;
} pm__prefix_call;

static bool pm__prefix_tells(void *ctx, size_t len, const pm_val *val) {
    const pm__prefix_call *c = (const pm__prefix_call *)ctx;
    return c->fn(c->ctx, len, *val);
}

PM_API pm_status pm_each_prefix(const pm_map *m, const void *key, size_t len,
                                bool (*fn)(void *ctx, size_t len, pm_val val), void *ctx) {
    if (pm__map_bad(m, key, len) || !fn) return PM_INVALID;
    pm__prefix_call c = {fn, ctx};
    if (!m->has_value || fn(ctx, 0, m->value))
        pm__prefix_walk(m->root, pm__order_bytes(key), len, pm__prefix_tells, &c);
    return PM_OK;
}

/* Appends what the first and the last terminal below a node begin with. False: no memory. */
static bool pm__prefix_common(pm__list *path, pm__ref r) {
    while (r) {
        size_t len = path->used;
        unsigned at = (unsigned)pm__order_next(r, 0), z = (unsigned)pm__order_last(r);
        pm__ref below = 0;
        if (!pm__order_spell(path, r, at)) return false;
        if (at == z) {
            (void)pm__order_look(r, at, &below);
        } else {
            size_t end = path->used;
            if (!pm__order_spell(path, r, z)) return false;
            size_t a = end - len, b = path->used - end;
            path->used = len + pm__lcp(path->data + len, path->data + end, a < b ? a : b);
        }
        r = below;
    }
    return true;
}

PM_API pm_status pm_common_prefix(const pm_map *m, const void *key, size_t len, pm_item *item) {
    if (pm__map_bad(m, key, len) || !item) return PM_INVALID;
    const pm_val *val = m->has_value ? &m->value : NULL, none = 0;
    pm__cx cx = pm__map_cx(m);
    pm__ref below = 0;
    pm_place p = pm__place_root(m->root);
    bool there = pm__place_walk(&p, (const uint8_t *)key, len, &val) == len;
    pm__list path = pm__item_begin(item);
    if (!there) return pm__item_end(item, &path, true, NULL);
    bool ok = pm__list_room(&path, len) && pm__place_share(&cx, &p, &below);
    if (ok && len) memmove(path.data, key, len);
    if (ok) path.used = len;
    if (ok && !val) ok = pm__prefix_common(&path, below);
    pm__any_release(&cx, below);
    return pm__item_end(item, &path, ok, &none);
}

/* ---- by number ----------------------------------------------------------------------------------------------- */

PM_API pm_status pm_nth(const pm_map *m, uint64_t n, pm_item *item) {
    if (pm__map_bad(m, NULL, 0) || !item) return PM_INVALID;
    pm__list path = pm__item_begin(item);
    if (m->has_value && n-- == 0) return pm__item_end(item, &path, true, &m->value);
    for (pm__ref r = m->root, on; r; r = on) {
        on = 0;
        for (int at = pm__order_next(r, 0); at >= 0 && !on; at = pm__order_next(r, (unsigned)at + 1)) {
            pm__ref below;
            const pm_val *val = pm__order_look(r, (unsigned)at, &below);
            uint64_t has = 1;
            if (!val && pm__tally_below(PM__TALLY_VALS, below, 0, &has) != PM_OK)
                return pm__item_end(item, &path, false, NULL);
            if (n >= has) {
                n -= has;
                continue;
            }
            if (!pm__order_spell(&path, r, (unsigned)at)) return pm__item_end(item, &path, false, NULL);
            if (val) return pm__item_end(item, &path, true, val);
            on = below;
        }
    }
    return pm__item_end(item, &path, true, NULL);
}
