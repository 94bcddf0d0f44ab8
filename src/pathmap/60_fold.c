/* Folds.

   The walk goes from stop to stop. A stop is a location that a jumping fold calls for: a fork, a value, the end of a
   path. Between two stops lies a run of bytes, however many nodes it leads through. Only stops that have children get a
   frame; so a run costs no memory but that of the path.

       path    c o m b o          stop "com" waits in a frame (len 3); stop "combo" is a leaf: its run begins at low 4,
               0 1 2 3 4          behind the byte that "com" shows in its mask

   Where only values lie below a stop, in its node, none of the stops there needs a frame: a line's entries are sorted,
   so what neighbours have in common tells where stops begin and end, and one pass over the line folds it.

   A step fold works the runs off afterwards, from the lower stop upwards, and stops at each node's root too, where what
   lies below may be known. Results lie on a stack of their own: those of a frame's children are on top when it closes.

   What is remembered of a node that may be met again (its count, or that of the block it stands in, is above one):
     whole    step folds, no value at the node's root: the result there
     list     all others: the results of the children of the first stop at or below the node's root, since the stop's
              own result depends on the value there, which is the entry's above, or on the run that leads to it
   A node is worked out at most once in each way. */
#include "17_list.c"
#include "50_read_zipper.c"
#include "60_fold.h"

/* A location that has children: in a line the entries [lo, hi) after `pre` bytes of prefix and `d` of suffix. */
typedef struct pm__fold_spot {
    pm__ref node;      /* 0: nothing below */
    const pm_val *val; /* at this location */
    uint16_t d;
    uint8_t pre, lo, hi;
    bool shared; /* may be met again from elsewhere */
} pm__fold_spot;

typedef struct pm__fold_frame {
    pm__fold_spot spot;
    pm_mask mask;
    size_t len, low; /* path bytes to the stop; of these, above the run */
    uint64_t key;    /* under which it will be remembered; 0: not at all */
    unsigned next, n;
} pm__fold_frame;

/* What is remembered: n results from kept[at] on. */
typedef struct pm__fold_known {
    pm_mask mask;
    size_t at;
    unsigned n;
} pm__fold_known;

typedef struct pm__fold {
    pm_fold f;
    /* For folds of the library's own: */
    void (*run)(void *ctx, const uint8_t *s, size_t len, void *result); /* works a run off; NULL: by calls of `at` */
    void (*add_val)(void *ctx, pm_val v, void *result); /* adds the value to a result made without it */
    bool every; /* remember every node, shared or not */
    bool step, cached;
    pm__list path, frames, results, known, kept;
    pm__memo memo;
} pm__fold;

enum { PM__FOLD_WHOLE = 1, PM__FOLD_LIST, PM__FOLD_INNER };

/* Puts a piece of a key at the end of the path. False: no memory. */
static PM__INLINE bool pm__fold_append(pm__list *path, const uint8_t *s, size_t n) {
    if (!pm__list_room(path, n)) return false;
    if (n) pm__copy_short(path->data + path->used, s, n);
    path->used += n;
    return true;
}

/* ---- from stop to stop --------------------------------------------------------------------------------------- */

/* The root of a node. */
static pm__fold_spot pm__fold_root(pm__ref r, const pm_val *val) {
    pm__fold_spot s = {r, val, 0, 0, 0, 0, false};
    if (r && pm__ref_kind(r) == PM__LINE) s.hi = ((const pm__line *)pm__ref_ptr(r))->n;
    if (r) s.shared = !pm__ref_is_unique(r);
    return s;
}

static bool pm__fold_is_root(const pm__fold_spot *s) { return s->pre == 0 && s->d == 0; }

/* Any place. */
static pm__fold_spot pm__fold_spot_of(const pm_place *at, const pm_val *val) {
    pm_place p = *at;
    if (!pm__place_enter(&p)) return pm__fold_root(0, val);
    if (p.depth == 0) return pm__fold_root(p.node, val);
    const pm__line *x = pm__place_line(&p);
    pm__fold_spot s = {p.node, val, 0, x->plen, p.lo, p.hi, false};
    if (p.depth < x->plen) {
        s.pre = (uint8_t)p.depth;
    } else {
        s.d = (uint16_t)(p.depth - x->plen);
        s.lo = (uint8_t)(p.lo + pm__place_val_entry(&p, x));
    }
    return s;
}

/* True if exactly one byte leads on. */
static bool pm__fold_lone(const pm__fold_spot *s) {
    if (pm__ref_kind(s->node) != PM__LINE) {
        const pm__byte *x = (const pm__byte *)pm__ref_ptr(s->node);
        if (x->nc + x->nv > 2) return false;
        pm_mask m = pm__byte_mask(x);
        return pm_mask_count(&m) == 1;
    }
    const pm__line *x = (const pm__line *)pm__ref_ptr(s->node);
    unsigned z = s->hi - 1u;
    if (s->pre < x->plen || s->lo == z) return true;
    if (s->d == 0) return x->body[s->lo] == x->body[z];
    const uint8_t *h = pm__line_heap(x) + s->d - 1;
    return h[pm__line_off(x, s->lo)] == h[pm__line_off(x, z)];
}

/* Where the entries end that have their byte after d in common with entry i. */
static unsigned pm__fold_group(const pm__line *x, unsigned i, unsigned hi, unsigned d, unsigned off) {
    unsigned j = i + 1;
    if (d == 0) {
        while (j < hi && x->body[j] == x->body[i]) j++;
        return j;
    }
    const uint8_t *lens = pm__line_lens(x), *h = pm__line_heap(x) + off + d - 1;
    uint8_t c = *h;
    for (h += lens[i]; j < hi && *h == c; j++) h += lens[j];
    return j;
}

static bool pm__fold_line_segment(pm__fold *w, const pm__fold_spot *s, unsigned *next, pm__fold_spot *out) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(s->node);
    const uint8_t *heap = pm__line_heap(x);
    unsigned i = *next, d = s->d;
    if (s->pre < x->plen) {
        bool e = pm__line_has_e(x);
        pm__fold_spot t = {s->node, e ? pm__line_val(x, 0) : NULL, 0, x->plen, e, x->n, false};
        if (x->n == e) t.node = 0;
        *next = s->hi;
        *out = t;
        return pm__fold_append(&w->path, heap + s->pre, (size_t)x->plen - s->pre);
    }
    unsigned off = pm__line_off(x, i), j = pm__fold_group(x, i, s->hi, d, off), len = pm__line_suffix(x, i), m = len;
    if (j - i > 1) { /* sorted: what the first and the last have in common, all have */
        unsigned zlen = pm__line_suffix(x, j - 1), max = len < zlen ? len : zlen;
        m = 1 + (unsigned)pm__lcp(heap + off, heap + pm__line_off(x, j - 1), max - 1);
    }
    *next = j;
    if (d == 0 && !pm__fold_append(&w->path, &x->body[i], 1)) return false;
    size_t from = d ? d - 1 : 0;
    if (!pm__fold_append(&w->path, heap + off + from, m - 1 - from)) return false;
    const pm_val *val = NULL;
    if (len == m && !pm__line_is_child(x, i)) val = pm__line_val(x, i++);
    if (i == j) {
        *out = pm__fold_root(0, val);
    } else if (j - i == 1 && pm__line_is_child(x, i) && pm__line_suffix(x, i) == m) {
        *out = pm__fold_root(*pm__line_child(x, i), val);
    } else {
        pm__fold_spot t = {s->node, val, (uint16_t)m, x->plen, (uint8_t)i, (uint8_t)j, false};
        *out = t;
    }
    return true;
}

/* True if the spot has another child, from *next on. */
static bool pm__fold_more(const pm__fold_spot *s, unsigned *next) {
    if (pm__ref_kind(s->node) == PM__LINE) return *next < s->hi;
    pm_mask m = pm__byte_mask((const pm__byte *)pm__ref_ptr(s->node));
    int b = pm__mask_next(&m, (int)*next);
    if (b >= 0) *next = (unsigned)b;
    return b >= 0;
}

/* Goes on to the child that pm__fold_more found, and as far as no choice is left inside its node: appends the bytes.
   False: no memory. */
static bool pm__fold_segment(pm__fold *w, const pm__fold_spot *s, unsigned *next, pm__fold_spot *out) {
    if (pm__ref_kind(s->node) == PM__LINE) return pm__fold_line_segment(w, s, next, out);
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(s->node);
    uint8_t b = (uint8_t)(*next)++;
    bool child = pm__byte_has_child(x, b);
    *out = pm__fold_root(child ? *pm__byte_child(x, b) : 0, pm__byte_has_val(x, b) ? pm__byte_val(x, b) : NULL);
    if (child && pm__byte_is_wide(x) && !pm__ref_count_is_one(&pm__byte_block(x, b >> 4)->rc)) out->shared = true;
    return pm__fold_append(&w->path, &b, 1);
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
    const uint8_t *path = w->path.data ? w->path.data : (const uint8_t *)"";
    pm_fold_at here = {mask, n, kids, val, NULL, 0, path + len - jump, jump};
    if (!w->cached) here.path = path, here.len = len;
    int s = w->f.at(w->f.ctx, &here, out);
    pm__fold_drop(w, &w->results, first);
    if (s != PM_OK) return s;
    if (n && w->f.size == 8) pm__store64(kids, pm__load64(out)); /* most are a word */
    else if (n) memcpy(kids, out, w->f.size);
    w->results.used++;
    return PM_OK;
}

/* Remembers the last n results. */
static int pm__fold_remember(pm__fold *w, pm__ref node, uint64_t key, const pm_mask *mask, unsigned n) {
    pm__fold_known k = {*mask, w->kept.used, n};
    int s = pm__fold_copy(w, &w->results, w->results.used - n, n, &w->kept);
    if (s != PM_OK) return s;
    return pm__list_put(&w->known, &k, 1) && pm__memo_put(&w->memo, node, key, w->known.used - 1) ? PM_OK : PM_NOMEM;
}

/* Works off the run of path [low, len) above a location whose result is on top. */
static int pm__fold_run_off(pm__fold *w, size_t len, size_t low) {
    if (w->run) {
        if (len > low) w->run(w->f.ctx, w->path.data + low, len - low, pm__list_at(&w->results, w->results.used - 1));
        return PM_OK;
    }
    int s = PM_OK;
    while (s == PM_OK && len-- > low) {
        pm_mask one = {{0, 0, 0, 0}};
        pm_mask_set(&one, w->path.data[len]);
        s = pm__fold_ask(w, &one, 1, NULL, len, 0);
    }
    return s;
}

/* What is left to do for a location without a value yet, whose result is on top: value, and run. */
static int pm__fold_top_off(pm__fold *w, const pm_val *val, size_t len, size_t low) {
    if (val && w->add_val) w->add_val(w->f.ctx, *val, pm__list_at(&w->results, w->results.used - 1));
    return w->step ? pm__fold_run_off(w, len, low) : PM_OK;
}

/* Ends a stop, the results of whose children are on top. */
static int pm__fold_finish(pm__fold *w, pm__ref node, uint64_t key, const pm_mask *mask, unsigned n, const pm_val *val,
                           size_t len, size_t low) {
    int s = PM_OK;
    if (key >= PM__FOLD_LIST) s = pm__fold_remember(w, node, key, mask, n);
    if (s == PM_OK) s = pm__fold_ask(w, mask, n, w->add_val ? NULL : val, len, w->step ? 0 : len - low);
    if (s == PM_OK && key == PM__FOLD_WHOLE) s = pm__fold_remember(w, node, key, mask, 1);
    return s == PM_OK ? pm__fold_top_off(w, val, len, low) : s;
}

/* ---- the walk ------------------------------------------------------------------------------------------------ */

/* Under which key a stop is remembered. Inside a node it is the first one below the node's root, since nothing else is
   come to by a shared way: one key will do for it. */
static uint64_t pm__fold_key(const pm__fold *w, const pm__fold_spot *s) {
    bool root = pm__fold_is_root(s);
    if (!w->cached || !(s->shared || (w->every && root))) return 0;
    if (w->step) return !root ? 0 : !s->val || w->add_val ? PM__FOLD_WHOLE : PM__FOLD_LIST;
    return root ? PM__FOLD_LIST : PM__FOLD_INNER;
}

/* Takes what is remembered. */
static int pm__fold_recall(pm__fold *w, const pm__fold_known *k, uint64_t key, const pm_val *val, size_t low) {
    pm_mask mask = k->mask;
    unsigned n = k->n;
    size_t len = w->path.used;
    int s = pm__fold_copy(w, &w->kept, k->at, n, &w->results);
    if (s != PM_OK) return s;
    if (key == PM__FOLD_WHOLE) return pm__fold_top_off(w, val, len, low);
    return pm__fold_finish(w, 0, 0, &mask, n, val, len, low);
}

/* A stop inside a line, below which entries are being gone through. */
typedef struct pm__fold_open {
    pm_mask mask;
    const pm_val *val;
    unsigned n, d; /* children so far; bytes of suffix to the stop */
} pm__fold_open;

static PM__INLINE void pm__fold_open_stop(pm__fold_open *o, const pm_val *val, unsigned d) {
    memset(&o->mask, 0, sizeof o->mask);
    o->val = val;
    o->n = 0;
    o->d = d;
}

/* True if only values lie below a spot, and all that leads to them is to be seen in its node. */
static PM__INLINE bool pm__fold_is_flat(const pm__fold_spot *s) {
    if (pm__ref_kind(s->node) != PM__LINE) return ((const pm__byte *)pm__ref_ptr(s->node))->nc == 0;
    const pm__line *x = (const pm__line *)pm__ref_ptr(s->node);
    return s->pre >= x->plen && !(x->cmask & pm__low_bits(s->hi) & ~pm__low_bits(s->lo));
}

/* Ends a stop without children, for whose result there is room. */
static PM__INLINE int pm__fold_leaf_end(pm__fold *w, const pm_val *val, size_t len, size_t low) {
    static const pm_mask none = {{0, 0, 0, 0}};
    if (w->step) return pm__fold_finish(w, 0, 0, &none, 0, val, len, low);
    void *out = pm__list_at(&w->results, w->results.used);
    const uint8_t *path = w->path.data;
    pm_fold_at here = {&none, 0, out, w->add_val ? NULL : val, NULL, 0, path + low, len - low};
    if (!w->cached) here.path = path, here.len = len;
    int s = w->f.at(w->f.ctx, &here, out);
    if (s != PM_OK) return s;
    if (w->add_val) w->add_val(w->f.ctx, *val, out);
    w->results.used++;
    return PM_OK;
}

/* The values of a byte node without children. */
static int pm__fold_flat_bytes(pm__fold *w, const pm__fold_spot *s, uint64_t key, size_t low) {
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(s->node);
    size_t len = w->path.used;
    pm_mask mask = pm__byte_mask(x);
    if (!pm__list_room(&w->path, 1) || !pm__list_room(&w->results, x->nv + 1u)) return PM_NOMEM;
    for (int c = pm__mask_next(&mask, 0); c >= 0; c = pm__mask_next(&mask, c + 1)) {
        w->path.data[len] = (uint8_t)c;
        int st = pm__fold_leaf_end(w, pm__byte_val(x, (uint8_t)c), len + 1, len + 1);
        if (st != PM_OK) return st;
    }
    return pm__fold_finish(w, s->node, key, &mask, x->nv, s->val, len, low);
}

/* How many bytes of suffix entry i has in common with the next one, which begins `l` bytes after its own `h`. */
static PM__INLINE unsigned pm__fold_common(const pm__line *x, unsigned i, const uint8_t *h, unsigned l) {
    unsigned next = pm__line_lens(x)[i + 1], min = l < next ? l : next;
    if (x->body[i] != x->body[i + 1]) return 0;
    if (min > 8) return 1 + (unsigned)pm__lcp(h, h + l, min);
    uint64_t differ = pm__load64le(h) ^ pm__load64le(h + l);
    unsigned same = differ ? pm__ctz64(differ) / 8 : 8;
    return 1 + (same < min ? same : min);
}

/* The values of a line, from a stop in it on. They are sorted, so what neighbours have in common tells where the stops
   between them are: those above the next entry stay open, the others end. */
static int pm__fold_flat_line(pm__fold *w, const pm__fold_spot *s, uint64_t key, size_t low) {
    pm__fold_open open[PM__LINE_ENTRIES + 1];
    const pm__line *x = (const pm__line *)pm__ref_ptr(s->node);
    const uint8_t *lens = pm__line_lens(x), *h = pm__line_heap(x) + pm__line_off(x, s->lo);
    size_t len = w->path.used, base = len - s->d; /* where suffixes begin in the path, or, of the root's, before it */
    unsigned have = s->d, hi = s->hi;
    pm__fold_open *top = open;
    pm__fold_open_stop(top, s->val, s->d);
    if (!pm__list_room(&w->path, PM__SUFFIX_MAX) || !pm__list_room(&w->results, hi - s->lo + 1u)) return PM_NOMEM;
    uint8_t *path = w->path.data;
    for (unsigned i = s->lo; i < hi; i++) {
        unsigned l = lens[i], common = i + 1 < hi ? pm__fold_common(x, i, h, l) : s->d;
        const pm_val *val = pm__line_val(x, i);
        if (!have) path[base] = x->body[i], have = 1;
        pm__copy_short(path + (base + have), h + have - 1, l + 1 - have);
        h += l;
        have = common;
        if (common == l + 1) {
            pm__fold_open_stop(++top, val, common); /* the next entries go on from here */
            continue;
        }
        if (common > top->d) pm__fold_open_stop(++top, NULL, common);
        int st = pm__fold_leaf_end(w, val, base + l + 1, base + top->d + 1);
        if (st != PM_OK) return st;
        pm_mask_set(&top->mask, path[base + top->d]);
        top->n++;
        while (top->d > common) { /* ends; what it hangs from is the stop above it, or one that begins here */
            pm__fold_open o = *top;
            unsigned d = top[-1].d > common ? top[-1].d : common;
            st = pm__fold_finish(w, 0, 0, &o.mask, o.n, o.val, base + o.d, base + d + 1);
            if (st != PM_OK) return st;
            if (top[-1].d < common) pm__fold_open_stop(top, NULL, common);
            else top--;
            pm_mask_set(&top->mask, path[base + top->d]);
            top->n++;
        }
    }
    return pm__fold_finish(w, s->node, key, &top->mask, top->n, s->val, len, low);
}

/* Comes to a spot, `low` bytes of path being above the run that led there: goes on to the next stop, and ends that or
   opens a frame for it. */
static int pm__fold_arrive(pm__fold *w, pm__fold_spot s, size_t low) {
    static const pm_mask none = {{0, 0, 0, 0}};
    while (!s.val && s.node && !(w->step && pm__fold_is_root(&s)) && pm__fold_lone(&s)) {
        unsigned next = s.lo;
        pm__fold_spot t;
        (void)pm__fold_more(&s, &next);
        if (!pm__fold_segment(w, &s, &next, &t)) return PM_NOMEM;
        t.shared |= s.shared;
        s = t;
    }
    if (!s.node) return pm__fold_finish(w, 0, 0, &none, 0, s.val, w->path.used, low);
    uint64_t key = pm__fold_key(w, &s);
    const uint64_t *known = key ? pm__memo_get(&w->memo, s.node, key) : NULL;
    if (known)
        return pm__fold_recall(w, (const pm__fold_known *)pm__list_at(&w->known, (size_t)*known), key, s.val, low);
    if (pm__fold_is_flat(&s))
        return pm__ref_kind(s.node) == PM__LINE ? pm__fold_flat_line(w, &s, key, low)
                                                : pm__fold_flat_bytes(w, &s, key, low);
    pm__fold_frame f = {s, none, w->path.used, low, key, s.lo, 0};
    if (pm__fold_is_root(&s)) pm__tally_prefetch(s.node);
    return pm__list_put(&w->frames, &f, 1) ? PM_OK : PM_NOMEM;
}

/* The child that pm__fold_more found, if it leads to one value and nothing else without a choice on the way: the value,
   and the bytes behind the first. NULL: it does not, or it is not to be seen at once. */
static PM__INLINE const pm_val *pm__fold_leaf(const pm__fold_spot *s, unsigned i, uint8_t *first, const uint8_t **rest,
                                              size_t *n) {
    if (pm__ref_kind(s->node) != PM__LINE) {
        const pm__byte *x = (const pm__byte *)pm__ref_ptr(s->node);
        *first = (uint8_t)i;
        *rest = first;
        *n = 0;
        return pm__byte_has_child(x, (uint8_t)i) ? NULL : pm__byte_val(x, (uint8_t)i);
    }
    const pm__line *x = (const pm__line *)pm__ref_ptr(s->node);
    const uint8_t *lens = pm__line_lens(x), *h;
    unsigned d = s->d;
    if (s->pre < x->plen || pm__line_is_child(x, i)) return NULL;
    h = pm__line_heap(x) + pm__line_off(x, i) + d; /* byte d of the suffix stands before it, but the first elsewhere */
    *first = d ? h[-1] : x->body[i];
    if (i + 1u < s->hi && *first == (d ? h[lens[i] - 1] : x->body[i + 1])) return NULL;
    *rest = h;
    *n = (size_t)lens[i] - d;
    return pm__line_val(x, i);
}

/* Ends such a child at once. Jumping folds only. */
static int pm__fold_pick(pm__fold *w, pm__fold_frame *f, const pm_val *val, uint8_t first, const uint8_t *rest,
                         size_t n) {
    if (!pm__list_room(&w->results, 1)) return PM_NOMEM;
    if (!pm__fold_append(&w->path, &first, 1) || !pm__fold_append(&w->path, rest, n)) return PM_NOMEM;
    int s = pm__fold_leaf_end(w, val, w->path.used, f->len + 1);
    if (s != PM_OK) return s;
    pm_mask_set(&f->mask, first);
    f->n++;
    f->next++;
    return PM_OK;
}

/* Folds what is at and below a spot at the end of the path; its result comes on top. */
static int pm__fold_walk(pm__fold *w, pm__fold_spot s, size_t low) {
    size_t floor = w->frames.used;
    int st = pm__fold_arrive(w, s, low);
    while (st == PM_OK && w->frames.used > floor) {
        pm__fold_frame *f = (pm__fold_frame *)pm__list_at(&w->frames, w->frames.used - 1);
        pm__fold_spot t;
        w->path.used = f->len;
        if (pm__fold_more(&f->spot, &f->next)) {
            uint8_t first;
            const uint8_t *rest;
            size_t n;
            const pm_val *leaf = w->step ? NULL : pm__fold_leaf(&f->spot, f->next, &first, &rest, &n);
            if (leaf) {
                st = pm__fold_pick(w, f, leaf, first, rest, n);
                continue;
            }
            if (!pm__fold_segment(w, &f->spot, &f->next, &t)) return PM_NOMEM;
            pm_mask_set(&f->mask, w->path.data[f->len]);
            f->n++;
            st = pm__fold_arrive(w, t, f->len + 1);
        } else {
            st = pm__fold_finish(w, f->spot.node, f->key, &f->mask, f->n, f->spot.val, f->len, f->low);
            w->frames.used--;
        }
    }
    return st;
}

static pm__fold pm__fold_begin(const pm_fold *f) {
    pm__fold w = {.f = *f};
    w.step = !(f->flags & PM_FOLD_JUMPING);
    w.cached = (f->flags & PM_FOLD_CACHED) != 0;
    w.path = pm__list_of(1);
    w.frames = pm__list_of(sizeof(pm__fold_frame));
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
    pm__fold_drop(w, &w->results, 0);
    pm__fold_drop(w, &w->kept, 0);
    pm__list_free(&w->path);
    pm__list_free(&w->frames);
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
