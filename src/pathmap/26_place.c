/* Places: locations seen from the node they lie in, the common ground of zippers, counts and comparisons.

   A pm_place is { node, depth, lo, hi }. depth counts the bytes matched inside the node. In a line, entries [lo, hi)
   are those that agree with these bytes (all of them while depth is within the prefix). In a byte node depth is 0, the
   node's root, or 1, and then lo holds the byte. In a range node it is 0: one byte down, a place is in a part of it. A
   place at depth > 0 knows its own value; that of a node's root lies in the entry above, with whoever keeps the place
   above. node 0: nothing below, depth 0. */
#include "25_build.c"
#include "26_place.h"

static PM__INLINE pm_place pm__place_root(pm__ref r) {
    pm_place p = {r, 0, 0, 0, 0, 0};
    if (r && pm__ref_kind(r) == PM__LINE) p.hi = ((const pm__line *)pm__ref_ptr(r))->n;
    return p;
}

static PM__INLINE bool pm__place_in_line(const pm_place *p) { return pm__ref_kind(p->node) == PM__LINE; }
static PM__INLINE const pm__line *pm__place_line(const pm_place *p) { return (const pm__line *)pm__ref_ptr(p->node); }
static PM__INLINE const pm__byte *pm__place_byte(const pm_place *p) { return (const pm__byte *)pm__ref_ptr(p->node); }

/* The root of part i of a range node. */
static PM__INLINE pm_place pm__place_root_part(const pm__line *x, unsigned i) {
    pm_place p = pm__place_root(*pm__line_part_at(x, i));
    p.part = (uint8_t)(i + 1);
    return p;
}

static PM__INLINE bool pm__place_in_range(const pm_place *p) { return pm__ref_kind(p->node) == PM__RANGE; }

/* In a line, beyond the prefix: bytes of suffix matched. */
static PM__INLINE unsigned pm__place_suffix(const pm_place *p, const pm__line *x) {
    return p->depth - (unsigned)x->plen;
}

/* 1 if the first agreeing entry is a value at just this place, else 0. depth > 0. */
static PM__INLINE unsigned pm__place_val_entry(const pm_place *p, const pm__line *x) {
    return p->depth >= x->plen && !pm__line_is_child(x, p->lo) && pm__line_suffix(x, p->lo) == pm__place_suffix(p, x);
}

/* The value at a place with depth > 0, or NULL. */
PM__UNUSED static const pm_val *pm__place_val(const pm_place *p) {
    if (p->depth == 0) return NULL;
    if (!pm__place_in_line(p)) {
        const pm__byte *x = pm__place_byte(p);
        return pm__byte_has_val(x, p->lo) ? pm__byte_val(x, p->lo) : NULL;
    }
    const pm__line *x = pm__place_line(p);
    return pm__place_val_entry(p, x) ? pm__line_val(x, p->lo) : NULL;
}

/* True if the place is the end of a child entry or slot (dangling ones included); *child: the node there. */
static PM__INLINE bool pm__place_child(const pm_place *p, pm__ref *child) {
    *child = 0;
    if (p->depth == 0) return false;
    if (!pm__place_in_line(p)) {
        const pm__byte *x = pm__place_byte(p);
        if (pm__byte_has_child(x, p->lo)) *child = *pm__byte_child(x, p->lo);
        return true;
    }
    const pm__line *x = pm__place_line(p);
    if (p->depth <= x->plen) return false;
    unsigned last = p->hi - 1u;
    if (!pm__line_is_child(x, last) || pm__line_suffix(x, last) != pm__place_suffix(p, x)) return false;
    *child = *pm__line_child(x, last);
    return true;
}

/* Normal form for going down: the end of an entry becomes the root of the node there. Returns false if nothing lies
   below the place. */
PM__UNUSED static bool pm__place_enter(pm_place *p) {
    pm__ref child;
    if (p->node == 0) return false;
    if (pm__place_child(p, &child)) {
        *p = pm__place_root(child);
        return child != 0;
    }
    if (p->depth == 0 || !pm__place_in_line(p)) return true;
    return (unsigned)(p->hi - p->lo) > pm__place_val_entry(p, pm__place_line(p));
}

/* A mask of one byte, out of registers. */
static PM__INLINE pm_mask pm__place_mask_one(uint8_t b) {
    const uint64_t bit = (uint64_t)1 << (b & 63);
    const unsigned k = b >> 6;
    pm_mask m = {{k == 0 ? bit : 0, k == 1 ? bit : 0, k == 2 ? bit : 0, k == 3 ? bit : 0}};
    return m;
}

/* Which bytes lead on from the root of a range node: those of all parts. */
static PM__NOINLINE pm_mask pm__place_mask_range(const pm__line *x);

/* Which bytes lead on from a place, entered. Mostly there is one: then nothing is read that was just stored, as a mask
   would be that is copied as a whole after its words were set. Measured: a walk by masks takes 0.85 of the time. */
static PM__NOINLINE pm_mask pm__place_mask_entered(const pm_place *p) {
    pm_mask m = {{0, 0, 0, 0}};
    if (!pm__place_in_line(p)) {
        if (PM__UNLIKELY(pm__place_in_range(p))) return pm__place_mask_range(pm__place_line(p));
        return pm__byte_mask(pm__place_byte(p));
    }
    const pm__line *x = pm__place_line(p);
    if (p->depth < x->plen) return pm__place_mask_one(pm__line_heap(x)[p->depth]);
    unsigned d = pm__place_suffix(p, x), i = p->lo + (p->depth ? pm__place_val_entry(p, x) : 0);
    if (d == 0) {
        for (; i < p->hi; i++) pm_mask_set(&m, x->body[i]);
        return m;
    }
    const uint8_t *lens = pm__line_lens(x), *h = pm__line_heap(x) + pm__line_off(x, i) + d - 1;
    if (i + 1 == p->hi) return pm__place_mask_one(*h);
    for (; i < p->hi; h += lens[i++]) pm_mask_set(&m, *h);
    return m;
}

static PM__NOINLINE pm_mask pm__place_mask_range(const pm__line *x) {
    pm_mask m = {{0, 0, 0, 0}};
    for (unsigned i = 0; i < x->n; i++) {
        pm_place part = pm__place_root(*pm__line_part_at(x, i));
        pm_mask more = pm__place_mask_entered(&part);
        m = pm_mask_or(m, more);
    }
    return m;
}

/* The same of a place that is not. */
PM__UNUSED static PM__INLINE pm_mask pm__place_mask(const pm_place *p) {
    static const pm_mask none = {{0, 0, 0, 0}};
    pm_place q;
    pm__ref child = 0;
    if (pm__place_child(p, &child)) p = &q, q = pm__place_root(child);
    if (!p->node) return none;
    return pm__place_mask_entered(p);
}

/* From the end of a line's prefix, one byte down. False: no entry begins with it. */
static PM__INLINE bool pm__place_first(pm_place *p, const pm__line *x, uint8_t c) {
    uint32_t run = pm__line_match_first(x, c);
    if (!run) return false;
    p->lo = (uint8_t)pm__ctz32(run);
    p->hi = (uint8_t)(p->lo + pm__popcount32(run));
    p->since = ++p->depth;
    return true;
}

/* Takes in the entries beside lo..hi that agree with the n > 0 bytes at `rest` behind their first one, which is
   rest[-1]. */
static void pm__place_spread(pm_place *p, const pm__line *x, const uint8_t *rest, size_t n) {
    const uint8_t *lens = pm__line_lens(x), *h = pm__line_heap(x) + pm__line_off(x, p->lo), *z = h, c = rest[-1];
    bool before = p->lo && x->body[p->lo - 1] == c, after = p->hi < x->n && x->body[p->hi] == c;
    for (unsigned i = p->lo; after && i < p->hi; i++) z += lens[i];
    for (; before; before = p->lo && x->body[p->lo - 1] == c) {
        unsigned len = lens[p->lo - 1];
        if (len < n || (h - len)[n - 1] != rest[n - 1] || memcmp(h - len, rest, n) != 0) break;
        h -= len, p->lo--;
    }
    for (; after; after = p->hi < x->n && x->body[p->hi] == c) {
        unsigned len = lens[p->hi];
        if (len < n || z[n - 1] != rest[n - 1] || memcmp(z, rest, n) != 0) break;
        z += len, p->hi++;
    }
}

/* From the end of a line's prefix, along the rest s[0..len), len > 0, as far as that stays inside the node, where
   pm__line_probe has found nothing. */
static size_t pm__place_seek_missed(pm_place *p, const pm__line *x, const uint8_t *s, size_t len) {
    pm__line_seek k = pm__line_find(x, s, len);
    if (k.lo < k.hi) {
        p->lo = (uint8_t)k.lo, p->hi = (uint8_t)k.hi;
        p->depth = p->since = (uint16_t)(x->plen + len);
        return len;
    }
    if (!k.matched) return 0;
    p->lo = p->hi = (uint8_t)k.lo; /* between those that agree with what exists */
    p->depth = (uint16_t)(x->plen + k.matched - 1);
    if (k.matched == 1) return pm__place_first(p, x, s[0]);
    pm__place_spread(p, x, s + 1, k.matched - 1);
    p->since = ++p->depth;
    return k.matched;
}

/* The same where an entry leads on, or to the end: entry i, a child's or a value's. */
static PM__INLINE size_t pm__place_seek_found(pm_place *p, const pm__line *x, unsigned i, size_t len) {
    const bool leads = pm__line_is_child(x, i);
    const unsigned end = i + 1;
    p->lo = (uint8_t)i, p->hi = (uint8_t)end; /* others that agree have the same first byte */
    if (leads && i && x->body[i - 1] == x->body[i])
        p->lo = (uint8_t)pm__line_agree_begin(x, i, pm__line_heap(x) + pm__line_off(x, i));
    if (!leads && end < x->n && x->body[end] == x->body[i])
        p->hi = (uint8_t)pm__line_agree_end(x, i, pm__line_heap(x) + pm__line_off(x, i));
    if (leads) len = pm__line_suffix(x, i);
    p->depth = p->since = (uint16_t)(x->plen + len);
    return len;
}

/* The same where that is not known. */
static size_t pm__place_seek(pm_place *p, const pm__line *x, const uint8_t *s, size_t len) {
    int i = pm__line_probe(x, s, len, pm__load_upto8(s + 1, len - 1));
    return i < 0 ? pm__place_seek_missed(p, x, s, len) : pm__place_seek_found(p, x, (unsigned)i, len);
}

/* One byte down inside the node, after entering it. False, and the place is as it was, if that leads nowhere. */
static PM__INLINE bool pm__place_step_line(pm_place *p, uint8_t c) {
    const pm__line *x = pm__place_line(p);
    if (p->depth == x->plen) return pm__place_first(p, x, c);
    if (p->depth < x->plen) {
        bool on = pm__line_heap(x)[p->depth] == c;
        p->depth = (uint16_t)(p->depth + on);
        return on;
    }
    unsigned i = p->lo, end = p->hi, d = pm__place_suffix(p, x);
    const uint8_t *lens = pm__line_lens(x), *h = pm__line_heap(x) + pm__line_off(x, i) + d - 1;
    if (end - i == 1) { /* most places in chains */
        bool on = lens[i] >= d && *h == c;
        p->depth = (uint16_t)(p->depth + on);
        return on;
    }
    if (lens[i] < d) h += lens[i++]; /* a value at just this place */
    while (i < end && *h < c) h += lens[i++];
    unsigned first = i;
    while (i < end && *h == c) h += lens[i++];
    if (i == first) return false;
    p->depth++;
    if (p->hi - p->lo == (int)(i - first)) return true;
    p->lo = (uint8_t)first, p->hi = (uint8_t)i;
    p->since = p->depth;
    return true;
}

/* Narrows a line place, entered, by s[0..len) as far as that stays inside the node. Returns the bytes that exist. */
static size_t pm__place_down_line(pm_place *p, const uint8_t *s, size_t len) {
    const pm__line *x = pm__place_line(p);
    size_t used = 0;
    if (p->depth < x->plen) {
        size_t max = x->plen - p->depth;
        used = pm__lcp(pm__line_heap(x) + p->depth, s, len < max ? len : max);
        p->depth = (uint16_t)(p->depth + used);
        if (p->depth < x->plen || used == len) return used;
    }
    if (p->depth == x->plen) return used + pm__place_seek(p, x, s + used, len - used);
    for (; used < len; used++) {
        unsigned d = pm__place_suffix(p, x), i = p->lo + pm__place_val_entry(p, x), end = p->hi;
        if (i < end && end - i == 1) { /* one entry left: compare it at once */
            const uint8_t *h = pm__line_heap(x) + pm__line_off(x, i) + d - 1;
            unsigned left = pm__line_suffix(x, i) - d;
            size_t max = len - used, m = pm__lcp(h, s + used, max < left ? max : left);
            if (!m) return used;
            if (p->lo != i) p->lo = (uint8_t)i, p->since = (uint16_t)(p->depth + 1);
            p->depth = (uint16_t)(p->depth + m);
            return used + m;
        }
        if (!pm__place_step_line(p, s[used])) return used;
        pm__ref child;
        if (pm__place_child(p, &child)) return used + 1;
    }
    return used;
}

static PM__INLINE size_t pm__place_down_byte(pm_place *p, const uint8_t *s, size_t len) {
    const pm__byte *x = pm__place_byte(p);
    if (p->depth || !len || (!pm__byte_has_child(x, s[0]) && !pm__byte_has_val(x, s[0]))) return 0;
    p->lo = s[0];
    p->hi = 0;
    p->depth = 1;
    return 1;
}

/* From the root of a range node into one of its parts. The place is as it was if that leads nowhere. */
static size_t pm__place_down_range(pm_place *p, const uint8_t *s, size_t len) {
    if (!len) return 0;
    const unsigned i = pm__line_part_index(pm__place_line(p), s[0]);
    pm_place part = pm__place_root_part(pm__place_line(p), i);
    size_t n = pm__place_in_line(&part) ? pm__place_down_line(&part, s, len) : pm__place_down_byte(&part, s, len);
    if (n) *p = part;
    return n;
}

/* Moves a place down along s[0..len) inside its node, after entering it. Returns how many bytes exist: less than len
   means that the rest lies in the child at the new place, or nowhere. */
static PM__INLINE size_t pm__place_down(pm_place *p, const uint8_t *s, size_t len) {
    if (pm__place_in_line(p)) return pm__place_down_line(p, s, len);
    if (pm__place_in_range(p)) return pm__place_down_range(p, s, len);
    return pm__place_down_byte(p, s, len);
}

/* The same for one byte. */
static PM__INLINE bool pm__place_step(pm_place *p, uint8_t c) {
    return pm__place_in_line(p) ? pm__place_step_line(p, c) : pm__place_down(p, &c, 1) != 0;
}

/* Goes down along s[0..len) through as many nodes as it takes. Returns how many bytes exist; *val is the value at the
   place reached if at least one byte was, else unchanged. */
PM__UNUSED static size_t pm__place_walk(pm_place *p, const uint8_t *s, size_t len, const pm_val **val) {
    size_t used = 0;
    while (used < len) {
        pm_place q = *p;
        if (!pm__place_enter(&q)) break;
        size_t n = pm__place_down(&q, s + used, len - used);
        if (!n) break;
        *p = q;
        *val = pm__place_val(p);
        used += n;
    }
    return used;
}

/* Moves a place up inside its node, to a smaller depth whose bytes are s[0..depth). */
PM__UNUSED static void pm__place_widen(pm_place *p, const uint8_t *s, size_t depth) {
    p->depth = (uint16_t)depth;
    if (!pm__place_in_line(p)) {
        p->lo = p->hi = 0;
        return;
    }
    if (depth >= p->since) return;
    p->since = (uint16_t)depth;
    const pm__line *x = pm__place_line(p);
    if (depth <= x->plen) {
        p->lo = 0, p->hi = x->n;
        return;
    }
    /* Those that agreed with more bytes still do; others that do stand beside them. Mostly these differ in the first or
       in the last byte. Measured: with the last byte looked at first a walk by masks takes 0.94 of the instructions. */
    const uint8_t *rest = s + x->plen + 1, c = s[x->plen];
    bool before = p->lo && x->body[p->lo - 1] == c, after = p->hi < x->n && x->body[p->hi] == c;
    if (!before && !after) return;
    if (depth == x->plen + 1u) {
        uint32_t run = pm__line_match_first(x, c);
        p->lo = (uint8_t)pm__ctz32(run), p->hi = (uint8_t)(p->lo + pm__popcount32(run));
        return;
    }
    pm__place_spread(p, x, rest, depth - x->plen - 1);
}

/* What lies strictly below a place, as a reference of its own in *out (0: nothing). Shares it if the place is on a
   node's root, else builds one line of the entries below. False: no memory. */
PM__UNUSED static bool pm__place_share(const pm__cx *cx, const pm_place *at, pm__ref *out) {
    pm_place p = *at;
    *out = 0;
    if (!pm__place_enter(&p)) return true;
    if (p.depth == 0) {
        pm__ref_retain(p.node);
        *out = p.node;
        return true;
    }
    const pm__line *x = pm__place_line(&p);
    pm__ent ents[PM__LINE_ENTRIES];
    pm__line_decode(x, ents);
    unsigned lo = p.lo + pm__place_val_entry(&p, x), n = p.hi - lo;
    bool inside = p.depth < x->plen;
    size_t skip = inside ? 0 : pm__place_suffix(&p, x);
    const uint8_t *prefix = inside ? pm__line_heap(x) + p.depth : NULL;
    *out = pm__build_nodes(cx, prefix, inside ? x->plen - (size_t)p.depth : 0, ents + lo, n, skip);
    for (unsigned i = lo; *out && i < p.hi; i++) pm__pay_retain(cx, ents[i].child, ents[i].pay);
    return *out != 0;
}
