/* Two tries side by side: the one walk that equality, difference and three-way merge visit.

   The common language is the *edges* of a place: what leads on from it, in order. An edge is a run of bytes with, at
   its end, a value, or a node, or both, or a dangling location. A pair of places that both tries have is opened by
   merging the edges of both:

     left    ab =1   abc >---> node         abd =4                the run ab: values differ
     right   ab =2   abcd =3   abce =4      abd =4                the run abc: a node, and a place inside a line

   Where an edge of one side ends inside edges of the other, these are a place of their own: so lines that are cut in
   other places, and byte nodes, compare like any. The visitor hears of ends that differ only: of the values, of what
   dangles, and of the places below, which make the next pairs. What both sides share by reference is never opened.

   Most pairs need no search. Lines laid out alike, as a node and its copy mostly are, have their edges one to one; byte
   nodes go by their masks, and past the blocks that they share. */
#include "14_memo.c"
#include "17_list.c"
#include "26_place.c"

/* A place here is entered, or the root of a node: then its entries are filled in as it is opened, since that touches
   the node. */
static PM__INLINE pm_place pm__compare_root(pm__ref r) {
    pm_place p = {r, 0, 0, 0, 0, 0};
    return p;
}

/* Field by field: what was stored so just before would have to be waited for as a whole. */
static PM__INLINE void pm__compare_copy(pm_place *to, const pm_place *from) {
    to->node = from->node, to->depth = from->depth, to->lo = from->lo, to->hi = from->hi, to->part = from->part;
}

static PM__INLINE bool pm__compare_is_same(const pm_place *a, const pm_place *b) {
    return a->node == b->node && a->depth == b->depth && a->lo == b->lo && a->hi == b->hi;
}

/* ---- the edges of a place ------------------------------------------------------------------------------------ */

typedef struct pm__edge {
    const uint8_t *rest; /* the bytes behind the first */
    const pm_val *val;   /* at its end; NULL: none */
    pm_place below;      /* node 0: nothing */
    uint32_t len;
    uint8_t first;
    bool dangles; /* its end is a dangling location */
    bool shared;  /* what lies below may be met again, whatever its count says: others have its block too */
} pm__edge;

/* The edges of a place one after the other. */
typedef struct pm__edges {
    pm_place p;
    pm__edge now;
    const uint8_t *at, *heap; /* line: further bytes of the entries `from` and `next` */
    const pm__line *range;    /* the range node of which `p` is in a part, or NULL */
    unsigned part;
    unsigned from, next;      /* the entry or byte of `now`, and the one behind it */
    bool some;                /* `now` is one: not yet behind the last */
    bool shared;              /* the node has other owners, which the way to the place does not tell */
} pm__edges;

/* Inside a line's prefix there is one edge, the rest of it. */
static bool pm__edges_in_prefix(pm__edges *e, const pm__line *x) {
    pm__edge *n = &e->now;
    const uint8_t *h = pm__line_heap(x) + e->p.depth;
    if (e->next) return false;
    e->next = 1;
    n->first = h[0], n->rest = h + 1, n->len = (uint32_t)x->plen - e->p.depth;
    n->val = pm__line_has_e(x) ? pm__line_val(x, 0) : NULL;
    n->below = e->p;
    n->below.depth = x->plen;
    if (x->n == pm__line_has_e(x)) n->below = pm__compare_root(0);
    n->dangles = false;
    return true;
}

/* Behind it each entry is an edge, a value and the child of the same suffix being one. */
static bool pm__edges_in_line(pm__edges *e) {
    const pm__line *x = pm__place_line(&e->p);
    if (e->p.depth < x->plen) return pm__edges_in_prefix(e, x);
    pm__edge *n = &e->now;
    const uint8_t *lens = pm__line_lens(x), *h = e->heap;
    unsigned i = e->next, d = pm__place_suffix(&e->p, x);
    if (i >= e->p.hi) return false;
    bool child = pm__line_is_child(x, i);
    unsigned l = lens[i];
    e->at = h, e->from = i++;
    n->first = d ? h[d - 1] : x->body[i - 1], n->rest = h + d, n->len = l + 1 - d;
    n->val = child ? NULL : pm__line_val(x, i - 1);
    h += l;
    if (!child && i < e->p.hi && pm__line_is_child(x, i) && x->body[i] == x->body[i - 1] && lens[i] == l &&
        pm__line_heap_equal(h - l, h, l))
        child = true, h += l, i++;
    n->below = pm__compare_root(child ? *pm__line_child(x, i - 1) : 0);
    n->dangles = child && !n->below.node;
    e->heap = h, e->next = i;
    return true;
}

static bool pm__edges_in_byte(pm__edges *e) {
    const pm__byte *x = pm__place_byte(&e->p);
    pm_mask m = pm__byte_mask(x);
    int c = pm__mask_next(&m, (int)e->next);
    if (c < 0) return false;
    pm__edge *n = &e->now;
    uint8_t b = (uint8_t)c;
    bool child = pm__byte_has_child(x, b);
    e->from = b, e->next = b + 1u;
    n->first = b, n->len = 1;
    n->val = pm__byte_has_val(x, b) ? pm__byte_val(x, b) : NULL;
    n->below = pm__compare_root(child ? *pm__byte_child(x, b) : 0);
    n->dangles = child && !n->below.node;
    n->shared = e->shared || (child && pm__byte_is_wide(x) && !pm__ref_count_is_one(&pm__byte_block(x, b >> 4)->rc));
    return true;
}

/* Begins with the edges of a place in a line or byte node. */
static void pm__edges_begin(pm__edges *e, const pm_place *p) {
    e->p = *p;
    e->shared = p->node && (p->depth || p->part) && !pm__ref_is_unique(p->node);
    e->now.shared = e->shared;
    e->from = e->next = 0;
    if (p->node && pm__place_in_line(p)) {
        const pm__line *x = pm__place_line(p);
        if (p->depth >= x->plen) {
            e->next = p->lo + (p->depth ? pm__place_val_entry(p, x) : 0);
            e->heap = pm__line_heap(x) + pm__line_off(x, e->next);
        }
    }
}

/* Goes on with part i of the range node. False: it was the last. */
static bool pm__edges_part(pm__edges *e, unsigned i) {
    if (i == e->range->n) return false;
    const pm_place p = pm__place_root_part(e->range, i);
    e->part = i;
    pm__edges_begin(e, &p);
    return true;
}

static void pm__edges_next(pm__edges *e) {
    do e->some = e->p.node && (pm__place_in_line(&e->p) ? pm__edges_in_line(e) : pm__edges_in_byte(e));
    while (PM__UNLIKELY(!e->some && e->range) && pm__edges_part(e, e->part + 1));
}

/* The edges of a place whose entries are filled in; node 0: none. */
static void pm__edges_open(pm__edges *e, const pm_place *p) {
    e->range = NULL;
    if (p->node && pm__place_in_range(p)) {
        e->range = pm__place_line(p);
        (void)pm__edges_part(e, 0);
    } else {
        pm__edges_begin(e, p);
    }
    pm__edges_next(e);
}

/* Whether an edge begins with the first `len` bytes of another one. */
static PM__INLINE bool pm__edge_begins(const pm__edge *e, const pm__edge *with, uint32_t len) {
    return e->len >= len && e->first == with->first && memcmp(e->rest, with->rest, len - 1) == 0;
}

/* Takes all edges that begin with the first `len` bytes of the present one, as a single one of that length. */
static void pm__edges_take(pm__edges *e, uint32_t len, pm__edge *out) {
    const unsigned from = e->from;
    const pm_place at = e->p; /* the next edge may be in another part */
    *out = e->now;
    out->len = len;
    bool longer = e->now.len > len, whole = out->below.node || out->dangles;
    if (longer) out->val = NULL, out->dangles = false;
    pm__edges_next(e);
    if (whole && !longer) return;
    while (e->some && pm__edge_begins(&e->now, out, len)) longer = true, pm__edges_next(e);
    if (!longer) return;
    out->below = at;
    out->below.depth = (uint16_t)(at.depth + len);
    if (at.depth < pm__place_line(&at)->plen) return; /* a line's prefix */
    out->below.lo = (uint8_t)from;
    if (e->some && e->p.node == at.node) out->below.hi = (uint8_t)e->from;
}

/* ---- pairs --------------------------------------------------------------------------------------------------- */

/* An end of edges at which two places differ. A side's value is NULL, and its place 0, where it has none, and where
   both have the same. */
typedef struct pm__contrast {
    const uint8_t *rest;
    pm_place a, b;
    const pm_val *val_a, *val_b;
    uint32_t len;
    uint8_t first;
    bool dangles_a, dangles_b;
    bool shared; /* both may be met again, by the blocks that they stand in */
} pm__contrast;

/* Who hears of what differs. What it returns goes on to whoever opened the pair. */
typedef struct pm__compare {
    const pm_ops *ops;
    bool (*prefix)(void *ctx, const uint8_t *s,
                   size_t len);                       /* all ends have these bytes before them; NULL: no matter */
    bool (*differ)(void *ctx, const pm__contrast *c); /* false: no more, for want of memory or interest */
} pm__compare;

/* An end of which all but the difference is known. */
static PM__INLINE bool pm__compare_end(const pm__compare *q, void *ctx, pm__contrast *c) {
    if (pm__val_same(q->ops, c->val_a, c->val_b)) c->val_a = c->val_b = NULL;
    if (pm__compare_is_same(&c->a, &c->b)) c->a.node = c->b.node = 0;
    if (!c->val_a && !c->val_b && !c->a.node && !c->b.node && c->dangles_a == c->dangles_b) return true;
    return q->differ(ctx, c);
}

static PM__INLINE bool pm__compare_edges(const pm__compare *q, void *ctx, const pm__edge *a, const pm__edge *b) {
    static const pm__edge none = {NULL, NULL, {0, 0, 0, 0, 0, 0}, 0, 0, false, false};
    const pm__edge *l = a ? a : b;
    if (!a) a = &none;
    if (!b) b = &none;
    pm__contrast c = {l->rest, a->below, b->below,   a->val,     b->val,
                      l->len,  l->first, a->dangles, b->dangles, a->shared && b->shared};
    return pm__compare_end(q, ctx, &c);
}

/* Whether a place is the end of a line's prefix. */
static PM__INLINE bool pm__compare_at_end(const pm_place *p) {
    return p->node && pm__place_in_line(p) && p->depth == pm__place_line(p)->plen;
}

/* Goes past entries that two lines have in common. Entries are taken one by one here: if one side's values have a child
   beside them, it comes next. Both stand at the end of the prefix. */
static PM__INLINE void pm__edges_skip(pm__edges *a, pm__edges *b) {
    const pm__line *x = pm__place_line(&a->p), *y = pm__place_line(&b->p);
    const uint8_t *lx = pm__line_lens(x), *ly = pm__line_lens(y), *h = a->at, *g = b->at;
    unsigned i = a->from, j = b->from;
    for (; i < a->p.hi && j < b->p.hi; h += lx[i], g += ly[j], i++, j++) {
        if (x->body[i] != y->body[j] || lx[i] != ly[j] || !pm__line_heap_equal(h, g, lx[i])) break;
        if (pm__line_kinds_differ(x, i, y, j)) break;
        bool child = pm__line_is_child(x, i);
        if (child ? *pm__line_child(x, i) != *pm__line_child(y, j) : *pm__line_val(x, i) != *pm__line_val(y, j)) break;
    }
    if (i == a->from) return;
    a->next = i, a->heap = h, b->next = j, b->heap = g;
    pm__edges_next(a);
    pm__edges_next(b);
}

/* Goes past the rest of a part that two range nodes have in common. False: it is not the same part, or place in it. */
static PM__INLINE bool pm__edges_skip_part(pm__edges *a, pm__edges *b) {
    if (!b->range || a->p.node != b->p.node || a->from != b->from) return false;
    a->some = pm__edges_part(a, a->part + 1), b->some = pm__edges_part(b, b->part + 1);
    if (a->some) pm__edges_next(a);
    if (b->some) pm__edges_next(b);
    return true;
}

/* Any two places, whose prefixes have nothing in common. */
static PM__INLINE bool pm__compare_merge(const pm__compare *q, void *ctx, const pm_place *a, const pm_place *b) {
    pm__edges ea, eb;
    bool ok = true, lines = pm__compare_at_end(a) && pm__compare_at_end(b);
    pm__edges_open(&ea, a);
    pm__edges_open(&eb, b);
    const bool ranges = ea.range || eb.range;
    while (ok && ea.some && eb.some) {
        if (PM__UNLIKELY(ranges)) {
            if (ea.range && pm__edges_skip_part(&ea, &eb)) continue;
            lines = pm__compare_at_end(&ea.p) && pm__compare_at_end(&eb.p);
        }
        if (lines) {
            pm__edges_skip(&ea, &eb);
            if (!ea.some || !eb.some) break;
        }
        const pm__edge *x = &ea.now, *y = &eb.now;
        uint32_t min = x->len < y->len ? x->len : y->len, m = 0;
        if (x->first == y->first) m = 1 + (uint32_t)pm__lcp(x->rest, y->rest, min - 1);
        if (m < min) {
            bool left = m ? x->rest[m - 1] < y->rest[m - 1] : x->first < y->first;
            ok = pm__compare_edges(q, ctx, left ? x : NULL, left ? NULL : y);
            pm__edges_next(left ? &ea : &eb);
            continue;
        }
        pm__edge l, r;
        pm__edges_take(&ea, m, &l);
        pm__edges_take(&eb, m, &r);
        ok = pm__compare_edges(q, ctx, &l, &r);
    }
    for (; ok && ea.some; pm__edges_next(&ea)) ok = pm__compare_edges(q, ctx, &ea.now, NULL);
    for (; ok && eb.some; pm__edges_next(&eb)) ok = pm__compare_edges(q, ctx, NULL, &eb.now);
    return ok;
}

/* Goes to the end of what prefixes two places have in common, or of that of the only one. */
static PM__INLINE bool pm__compare_prefix(const pm__compare *q, void *ctx, pm_place *a, pm_place *b) {
    const pm__line *x = a->node && pm__place_in_line(a) ? pm__place_line(a) : NULL;
    const pm__line *y = b->node && pm__place_in_line(b) ? pm__place_line(b) : NULL;
    size_t left_a = x && a->depth < x->plen ? x->plen - (size_t)a->depth : 0, m = left_a;
    size_t left_b = y && b->depth < y->plen ? y->plen - (size_t)b->depth : 0;
    const uint8_t *s = x ? pm__line_heap(x) + a->depth : NULL, *t = y ? pm__line_heap(y) + b->depth : NULL;
    if (!a->node) m = left_b, s = t;
    else if (b->node) m = left_a && left_b ? pm__lcp(s, t, left_a < left_b ? left_a : left_b) : 0;
    if (!m) return true;
    if (a->node) a->depth = (uint16_t)(a->depth + m);
    if (b->node) b->depth = (uint16_t)(b->depth + m);
    pm__contrast c = {s, {0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}, NULL, NULL, 0, 0, false, false, false};
    if (x && m == left_a && pm__line_has_e(x)) c.val_a = pm__line_val(x, 0);
    if (y && m == left_b && pm__line_has_e(y)) c.val_b = pm__line_val(y, 0);
    return (!q->prefix || q->prefix(ctx, s, m)) && pm__compare_end(q, ctx, &c);
}

static PM__INLINE bool pm__compare_is_alike(const pm__line *x, const pm__line *y) {
    if (x->n != y->n || x->plen != y->plen || x->cmask != y->cmask || x->flags != y->flags) return false;
    size_t heap = pm__line_heap_len(x);
    return heap == pm__line_heap_len(y) && memcmp(x->body, y->body, 2u * x->n + heap) == 0;
}

/* The first index from i on at which two runs of n words differ; n if none. */
static PM__INLINE unsigned pm__compare_words(const uint64_t *x, const uint64_t *y, unsigned i, unsigned n) {
    for (; i + 4 <= n; i += 4)
        if ((x[i] ^ y[i]) | (x[i + 1] ^ y[i + 1]) | (x[i + 2] ^ y[i + 2]) | (x[i + 3] ^ y[i + 3])) break;
    while (i < n && x[i] == y[i]) i++;
    return i;
}

/* Two lines laid out alike: only what they lead to can differ, which their payloads tell. */
static PM__INLINE bool pm__compare_alike(const pm__compare *q, void *ctx, const pm__line *x, const pm__line *y,
                                         bool shared) {
    const uint8_t *h = pm__line_heap(x);
    const unsigned n = pm__line_pay_count(x);
    const uint64_t *px = pm__line_pay_at(x, 0) + 1 - n, *py = pm__line_pay_at(y, 0) + 1 - n;
    uint32_t differ = 0; /* payloads: they stand in the opposite order */
    bool ok = !x->plen || !q->prefix || q->prefix(ctx, h, x->plen);
    for (unsigned k = 0; (k = pm__compare_words(px, py, k, n)) < n; k++) differ |= (uint32_t)1 << (n - 1 - k);
    for (; ok && differ; differ &= differ - 1) {
        unsigned p = pm__ctz32(differ), i = (x->flags & PM__LINE_UNIT) ? pm__word_select(x->cmask, p) : p;
        const pm_val *u = px + (n - 1 - p), *v = py + (n - 1 - p);
        pm__contrast c = {h + pm__line_off(x, i), {0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}, NULL,  NULL,
                          pm__line_suffix(x, i),  x->body[i],   false,        false, shared};
        if (pm__line_is_child(x, i)) c.a.node = *u, c.b.node = *v, c.dangles_a = !*u, c.dangles_b = !*v;
        else c.val_a = u, c.val_b = v;
        ok = pm__compare_end(q, ctx, &c);
    }
    return ok;
}

/* Of the children of 16 neighbouring bytes, as bits: at which the two nodes have not the same. Found without a branch
   on them; *i and *j: children of either node before these. */
static PM__INLINE uint32_t pm__compare_block(const pm__byte *x, const pm__byte *y, unsigned block, unsigned *i,
                                             unsigned *j) {
    const unsigned w = block >> 2, shift = (block & 3) * 16;
    uint32_t bx = (uint32_t)(pm__byte_child_word(x, w) >> shift) & 0xFFFFu;
    uint32_t by = (uint32_t)(pm__byte_child_word(y, w) >> shift) & 0xFFFFu, differ = 0;
    const pm__ref *sx = x->slot + *i, *sy = y->slot + *j;
    *i += pm__popcount32(bx), *j += pm__popcount32(by);
    if (pm__byte_is_wide(x)) sx = bx ? pm__byte_block(x, block)->slot : NULL;
    if (pm__byte_is_wide(y)) sy = by ? pm__byte_block(y, block)->slot : NULL;
    if (sx == sy) return 0; /* a block that both have */
    for (uint32_t m = bx & by; m; m &= m - 1) {
        uint32_t bit = m & (0 - m);
        differ |= bit * (sx[pm__popcount32(bx & (bit - 1))] != sy[pm__popcount32(by & (bit - 1))]);
    }
    return differ | (bx ^ by);
}

static PM__INLINE void pm__compare_byte(const pm__byte *x, uint8_t b, pm_place *below, const pm_val **val,
                                        bool *dangles, bool *shared) {
    if (pm__byte_has_val(x, b)) *val = pm__byte_val(x, b);
    if (!pm__byte_has_child(x, b)) return;
    below->node = *pm__byte_child(x, b);
    *dangles = !below->node;
    *shared = pm__byte_is_wide(x) && !pm__ref_count_is_one(&pm__byte_block(x, b >> 4)->rc);
}

/* At which bytes children or values are not the same. */
static pm_mask pm__compare_members(const pm__byte *x, const pm__byte *y) {
    pm_mask m;
    for (unsigned k = 0; k < 4; k++) m.w[k] = x->val[k] | y->val[k];
    for (unsigned k = 0, i = 0, j = 0; k < PM__WIDE_BLOCKS; k++)
        m.w[k >> 2] |= (uint64_t)pm__compare_block(x, y, k, &i, &j) << (k & 3) * 16;
    return m;
}

/* The byte of member k of a mask, given that of an earlier one, `at` (byte -1: of none). */
static PM__INLINE int pm__compare_seek(const pm_mask *mask, unsigned *at, int byte, unsigned k) {
    if (byte < 0 || k - *at > 8) byte = pm__mask_select(mask, k);
    else
        for (; *at < k; ++*at) byte = pm__mask_next(mask, byte + 1);
    *at = k;
    return byte;
}

/* The same of two nodes that have members at the same bytes, and hold them in the same way: word by word. */
static pm_mask pm__compare_members_alike(const pm__byte *x, const pm__byte *y) {
    const pm_mask kids = pm__byte_children(x), vals = pm__byte_values(x);
    const unsigned blocks = pm__byte_is_wide(x) ? PM__WIDE_BLOCKS : 0, nk = blocks ? blocks : x->nc;
    pm_mask m = {{0, 0, 0, 0}};
    unsigned at = 0;
    int byte = -1;
    for (unsigned k = 0; (k = pm__compare_words(x->slot, y->slot, k, nk)) < nk; k++) {
        if (!blocks) {
            pm_mask_set(&m, (uint8_t)(byte = pm__compare_seek(&kids, &at, byte, k)));
            continue;
        }
        uint64_t bits = pm__byte_block_bits(x, k), differ = 0;
        const pm__ref *s = pm__byte_block(x, k)->slot, *t = pm__byte_block(y, k)->slot;
        for (; bits; bits &= bits - 1) differ |= *s++ != *t++ ? bits & (0 - bits) : 0;
        m.w[k >> 2] |= differ << (k & 3) * 16;
    }
    /* The last value is that of the first byte. */
    const unsigned nv = pm__byte_is_unit(x) ? 0 : x->nv;
    const pm_val *u = x->slot + pm__byte_room_of(x) - nv, *v = y->slot + pm__byte_room_of(y) - nv;
    if (pm__compare_words(u, v, 0, nv) == nv) return m;
    for (unsigned w = 0, i = nv; w < 4; w++)
        for (uint64_t bits = vals.w[w]; bits; bits &= bits - 1)
            if (i--, u[i] != v[i]) m.w[w] |= bits & (0 - bits);
    return m;
}

/* Two byte nodes. */
static PM__INLINE bool pm__compare_bytes(const pm__compare *q, void *ctx, const pm__byte *x, const pm__byte *y) {
    const bool alike = pm__byte_is_wide(x) == pm__byte_is_wide(y) && pm__byte_is_alike(x, y);
    const pm_mask m = alike ? pm__compare_members_alike(x, y) : pm__compare_members(x, y);
    bool ok = true;
    for (int k = pm__mask_next(&m, 0); ok && k >= 0; k = pm__mask_next(&m, k + 1)) {
        const uint8_t b = (uint8_t)k;
        bool shared_a = false, shared_b = false;
        pm__contrast c = {NULL, {0, 0, 0, 0, 0, 0}, {0, 0, 0, 0, 0, 0}, NULL, NULL, 1, b, false, false, false};
        pm__compare_byte(x, b, &c.a, &c.val_a, &c.dangles_a, &shared_a);
        pm__compare_byte(y, b, &c.b, &c.val_b, &c.dangles_b, &shared_b);
        c.shared = shared_a && shared_b;
        ok = pm__compare_end(q, ctx, &c);
    }
    return ok;
}

/* Two range nodes whose parts begin at the same bytes: part by part. */
static PM__NOINLINE bool pm__compare_ranges(const pm__compare *q, void *ctx, const pm__line *x, const pm__line *y) {
    bool ok = true;
    for (unsigned i = 0; ok && i < x->n; i++) {
        if (*pm__line_part_at(x, i) == *pm__line_part_at(y, i)) continue;
        const pm_place a = pm__place_root_part(x, i), b = pm__place_root_part(y, i);
        const bool lines = pm__place_in_line(&a) && pm__place_in_line(&b) && !pm__place_line(&a)->plen;
        if (lines && pm__compare_is_alike(pm__place_line(&a), pm__place_line(&b)))
            ok = pm__compare_alike(q, ctx, pm__place_line(&a), pm__place_line(&b),
                                   !pm__ref_is_unique(a.node) && !pm__ref_is_unique(b.node));
        else
            ok = pm__compare_merge(q, ctx, &a, &b);
    }
    return ok;
}

/* Opens a pair: tells the visitor, in order, at which ends of edges the two places differ. Either may be nothing (node
   0). False: the visitor said so. */
static PM__INLINE bool pm__compare_open(const pm__compare *q, void *ctx, const pm_place *left, const pm_place *right) {
    pm_place a = *left, b = *right;
    if (!a.depth) a = pm__place_root(a.node);
    if (!b.depth) b = pm__place_root(b.node);
    if (a.node && b.node && !a.depth && !b.depth) {
        bool lines = pm__place_in_line(&a);
        if (PM__UNLIKELY(pm__place_in_range(&a) || pm__place_in_range(&b))) {
            const pm__line *x = pm__place_line(&a), *y = pm__place_line(&b);
            const pm__compare apart = *q; /* so that *q is nobody else's, and known when this is compiled */
            if (pm__place_in_range(&a) && pm__place_in_range(&b) && x->n == y->n && !memcmp(x->body, y->body, x->n))
                return pm__compare_ranges(&apart, ctx, x, y);
        } else if (lines == pm__place_in_line(&b)) {
            if (!lines) return pm__compare_bytes(q, ctx, pm__place_byte(&a), pm__place_byte(&b));
            if (pm__compare_is_alike(pm__place_line(&a), pm__place_line(&b)))
                return pm__compare_alike(q, ctx, pm__place_line(&a), pm__place_line(&b), false);
        }
    }
    return pm__compare_prefix(q, ctx, &a, &b) && pm__compare_merge(q, ctx, &a, &b);
}

static PM__INLINE bool pm__compare_is_leaf(pm__ref r) {
    return pm__ref_kind(r) == PM__LINE && !((const pm__line *)pm__ref_ptr(r))->cmask;
}

/* Whether a pair may come again, and is worth remembering: leaves are sooner compared than noted. `shared`: both may be
   met again whatever their counts say. */
static PM__INLINE bool pm__compare_recurs(const pm_place *a, const pm_place *b, bool shared) {
    if (!a->node || !b->node || a->depth || b->depth) return false;
    if (!shared && (pm__ref_is_unique(a->node) || pm__ref_is_unique(b->node))) return false;
    return !pm__compare_is_leaf(a->node) || !pm__compare_is_leaf(b->node);
}

/* ---- equality ------------------------------------------------------------------------------------------------ */

typedef struct pm__equal_pair {
    pm_place a, b;
    bool shared;
} pm__equal_pair;

typedef struct pm__equal {
    const pm_ops *ops;
    pm__list pairs; /* that remain to be compared */
    pm__memo seen;  /* pairs that were opened, or wait: all is over if one of them turns out to differ */
    bool memory;
} pm__equal;

static PM__INLINE bool pm__equal_differ(void *ctx, const pm__contrast *c) {
    pm__equal *e = (pm__equal *)ctx;
    if (c->val_a || c->val_b || c->dangles_a != c->dangles_b || !c->a.node || !c->b.node) return false;
    PM__PREFETCH(pm__ref_ptr(c->a.node));
    PM__PREFETCH(pm__ref_ptr(c->b.node));
    if (!pm__list_room(&e->pairs, 1)) return e->memory = false;
    pm__equal_pair *p = (pm__equal_pair *)pm__list_at(&e->pairs, e->pairs.used++);
    pm__compare_copy(&p->a, &c->a), pm__compare_copy(&p->b, &c->b);
    p->shared = c->shared;
    return true;
}

/* Compares a pair, one node down. False: they differ, or there is no memory. */
static bool pm__equal_step(pm__equal *e, const pm__equal_pair *p) {
    const pm__compare q = {e->ops, NULL, pm__equal_differ};
    if (pm__compare_recurs(&p->a, &p->b, p->shared)) {
        if (pm__memo_get(&e->seen, p->a.node, p->b.node)) return true;
        e->memory = pm__memo_put(&e->seen, p->a.node, p->b.node, 1);
        if (!e->memory) return false;
    }
    return pm__compare_open(&q, e, &p->a, &p->b);
}

/* Compares what lies below two nodes' roots (0: nothing). 1 equal, 0 not, -1 no memory. */
PM__UNUSED static int pm__compare_equal(const pm_ops *ops, pm__ref a, pm__ref b) {
    pm__equal e = {ops, pm__list_of(sizeof(pm__equal_pair)), {NULL, 0, 0}, true};
    pm__equal_pair p = {pm__compare_root(a), pm__compare_root(b), false};
    bool same = a == b;
    if (!same && a && b) {
        same = pm__equal_step(&e, &p);
        while (same && e.pairs.used) {
            p = *(const pm__equal_pair *)pm__list_pop(&e.pairs);
            same = pm__equal_step(&e, &p);
        }
    }
    pm__list_free(&e.pairs);
    pm__memo_free(&e.seen);
    return same ? 1 : e.memory ? 0 : -1;
}
