/* Line nodes: up to 32 compressed branches in one block of at most 512 bytes.

       slim std
     +  0   0   count
     +  4   8   flags (bits 0-1 kind; bit 2 E: entry 0 is the value at the end of the prefix; bit 3 unit values)
     +  5   9   n       entries, 1..32
     +  6  10   plen    bytes of prefix, 0..255
     +  7  11   size8   size of the allocation / 8
     +  8  12   cmask   bit i: entry i is a child
     + 12  16   first[n]  first byte of each suffix, ascending (0 for E)
     + 12+n     len[n]    suffix length less one (0 for E)
     + 12+2n    heap      the prefix, then the len[i] further bytes of each entry, packed in entry order
       end-8    payloads, growing downwards: value or child reference. Unit maps store none for values

   Invariants (80_inspect checks them):
     1 entries are sorted by suffix, a value before the child of the same suffix;
     2 a child's suffix has at least one byte and no other entry extends it;
     3 E only with plen > 0, and only for a value;
     4 a child of 0 is a dangling location: no other entry equals its suffix;
     5 prefix and suffix together have at most 256 bytes; longer tails chain through one-entry lines;
     6 no entry lies beyond what the block holds, and vector loads stay inside it.

   Lengths rather than offsets: an insertion moves bytes and fixes nothing up. The start of entry i is plen plus the sum
   of len[0..i), one masked sum of absolute differences per 16 entries.

   A *range* node looks the same, but its entries lead to other nodes for the same location: entry i, a child without
   suffix, has the paths whose next byte is first[i] or more, and less than first[i + 1]. So it takes no byte of a path.
   It has two entries or more, no prefix and no values; first[0] is 0; what its entries lead to, its *parts*, are no
   range nodes.

   Local operations only: search, insert, erase, take apart (decode) and put together (encode). When an insertion does
   not fit, the caller rebuilds (25_build.c). */
#include "21_node.c"

enum { PM__LINE_ENTRIES = 32, PM__LINE_BYTES = 512, PM__LINE_E = 4, PM__LINE_UNIT = 8 };

typedef struct pm__line {
    pm__count rc;
    uint8_t flags, n, plen, size8;
    uint32_t cmask;
    uint8_t body[];
} pm__line;

#define PM__LINE_HDR offsetof(pm__line, body)

static PM__INLINE const uint8_t *pm__line_lens(const pm__line *x) { return x->body + x->n; }
static PM__INLINE const uint8_t *pm__line_heap(const pm__line *x) { return x->body + 2u * x->n; }
static PM__INLINE size_t pm__line_size(const pm__line *x) { return (size_t)x->size8 * 8; }
static PM__INLINE bool pm__line_has_e(const pm__line *x) { return (x->flags & PM__LINE_E) != 0; }
static PM__INLINE bool pm__line_is_child(const pm__line *x, unsigned i) { return (x->cmask >> i) & 1; }

/* Whether of two entries one is a value and one a child. Not by comparing bools, which gcc 12 gets wrong at -O1 under
   ThreadSanitizer where the comparison of the payloads follows. */
static PM__INLINE bool pm__line_kinds_differ(const pm__line *x, unsigned i, const pm__line *y, unsigned j) {
    return ((x->cmask >> i) ^ (y->cmask >> j)) & 1;
}

/* Which payload belongs to entry i. */
static PM__INLINE unsigned pm__line_pay_index(const pm__line *x, unsigned i) {
    if (x->flags & PM__LINE_UNIT) return pm__popcount32(x->cmask & pm__low_bits(i));
    return i;
}

static PM__INLINE unsigned pm__line_pay_count(const pm__line *x) {
    return (x->flags & PM__LINE_UNIT) ? pm__popcount32(x->cmask) : x->n;
}

static PM__INLINE uint64_t *pm__line_pay_at(const pm__line *x, unsigned pi) {
    return (uint64_t *)(uintptr_t)((const char *)x + pm__line_size(x)) - 1 - pi;
}

static PM__INLINE const pm_val *pm__line_val(const pm__line *x, unsigned i) {
    if (x->flags & PM__LINE_UNIT) return &pm__unit_val;
    return pm__line_pay_at(x, i);
}

static PM__INLINE pm__ref *pm__line_child(const pm__line *x, unsigned i) {
    return pm__line_pay_at(x, pm__line_pay_index(x, i));
}

/* Suffix length of entry i: 0 for E. */
static PM__INLINE unsigned pm__line_suffix(const pm__line *x, unsigned i) {
    if (i == 0 && pm__line_has_e(x)) return 0;
    return pm__line_lens(x)[i] + 1u;
}

#if PM__SSE2
static const uint8_t pm__prefix_mask[64] = {
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 255,
    255, 255, 255, 255, 255, 255, 255, 255, 255, 255, 0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,
    0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0,   0};

/* Two loads cover 32 bytes of a per-entry array. Where there are 16 or fewer, the second repeats the first, so that
   no load leaves the block; what it says is masked away by whoever uses it. */
static PM__INLINE __m128i pm__line_lo(const uint8_t *a) { return _mm_loadu_si128((const __m128i *)(const void *)a); }
static PM__INLINE __m128i pm__line_hi(const uint8_t *a, unsigned n) {
    return _mm_loadu_si128((const __m128i *)(const void *)(a + (n > 16 ? 16 : 0)));
}
#endif

/* Where in the heap the bytes of entry i begin: plen plus the lengths before it. */
static PM__INLINE unsigned pm__line_off(const pm__line *x, unsigned i) {
    const uint8_t *lens = pm__line_lens(x);
#if PM__SSE2
    const uint8_t *pm = pm__prefix_mask + 32 - i;
    __m128i lo = _mm_and_si128(pm__line_lo(lens), _mm_loadu_si128((const __m128i *)(const void *)pm));
    __m128i hi = _mm_and_si128(pm__line_hi(lens, x->n), _mm_loadu_si128((const __m128i *)(const void *)(pm + 16)));
    __m128i s = _mm_add_epi64(_mm_sad_epu8(lo, _mm_setzero_si128()), _mm_sad_epu8(hi, _mm_setzero_si128()));
    s = _mm_add_epi64(s, _mm_unpackhi_epi64(s, s));
    return x->plen + (unsigned)_mm_cvtsi128_si32(s);
#else
    unsigned off = x->plen;
    for (unsigned j = 0; j < i; j++) off += lens[j];
    return off;
#endif
}

/* Entries whose suffix begins with byte c, as bits; E never does. */
static PM__INLINE uint32_t pm__line_match_first(const pm__line *x, uint8_t c) {
    uint32_t f;
#if PM__SSE2
    __m128i v = _mm_set1_epi8((char)c);
    f = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(pm__line_lo(x->body), v)) |
        (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(pm__line_hi(x->body, x->n), v)) << 16;
#else
    f = 0;
    for (unsigned i = 0; i < x->n; i++) f |= (uint32_t)(x->body[i] == c) << i;
#endif
    f &= pm__low_bits(x->n);
    return f & ~(uint32_t)pm__line_has_e(x);
}

/* How many entries begin with a byte below c; E counts. */
static PM__INLINE unsigned pm__line_count_below(const pm__line *x, uint8_t c) {
    unsigned e = pm__line_has_e(x);
    uint32_t f;
#if PM__SSE2
    __m128i v = _mm_set1_epi8((char)c); /* a >= c exactly where max(a, c) == a */
    __m128i lo = pm__line_lo(x->body), hi = pm__line_hi(x->body, x->n);
    f = ~((uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(lo, v), lo)) |
          (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(hi, v), hi)) << 16);
#else
    f = 0;
    for (unsigned i = 0; i < x->n; i++) f |= (uint32_t)(x->body[i] < c) << i;
#endif
    /* They come first. A bit behind the last entry ends them. */
    return pm__ctz64(~(uint64_t)(f | e) | (uint64_t)1 << x->n);
}

/* The part of a range node that has the paths with next byte c. */
static PM__INLINE unsigned pm__line_part_index(const pm__line *x, uint8_t c) {
    uint32_t f; /* parts that begin at c or before */
#if PM__SSE2
    __m128i v = _mm_set1_epi8((char)c), lo = pm__line_lo(x->body), hi = pm__line_hi(x->body, x->n);
    f = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(lo, v), v)) |
        (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_max_epu8(hi, v), v)) << 16;
#else
    f = 0;
    for (unsigned i = 0; i < x->n; i++) f |= (uint32_t)(x->body[i] <= c) << i;
#endif
    return pm__ctz64(~(uint64_t)f | (uint64_t)1 << x->n) - 1; /* as in pm__line_count_below */
}

static PM__INLINE pm__ref *pm__line_part_at(const pm__line *x, unsigned i) { return pm__line_pay_at(x, i); }

static PM__INLINE pm__ref *pm__line_part(const pm__line *x, uint8_t c) {
    return pm__line_part_at(x, pm__line_part_index(x, c));
}

/* Candidates for the rest of a key whose first byte is c and whose other bytes number r: values of just that length,
   and children that are shorter. */
static PM__INLINE uint32_t pm__line_candidates(const pm__line *x, uint8_t c, size_t r) {
    uint32_t f = pm__line_match_first(x, c), q, p;
    unsigned v = r > 255 ? 255u : (unsigned)r;
    if (!f) return 0; /* so most misses end */
#if PM__SSE2
    __m128i rv = _mm_set1_epi8((char)v);
    const uint8_t *lens = pm__line_lens(x);
    __m128i lo = pm__line_lo(lens), hi = pm__line_hi(lens, x->n);
    q = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(lo, rv)) |
        (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(hi, rv)) << 16;
    p = (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(lo, rv), lo)) |
        (uint32_t)_mm_movemask_epi8(_mm_cmpeq_epi8(_mm_min_epu8(hi, rv), hi)) << 16;
#else
    q = p = 0;
    for (unsigned i = 0; i < x->n; i++) {
        q |= (uint32_t)(pm__line_lens(x)[i] == v) << i;
        p |= (uint32_t)(pm__line_lens(x)[i] <= v) << i;
    }
#endif
    if (PM__UNLIKELY(r > 255)) q = 0;
    return f & ((q & ~x->cmask) | (p & ~q & x->cmask));
}

/* Compares n bytes of two heap positions, or of one and a copy with as much room behind: 8 bytes may be read from
   either, since payloads follow the heap. */
static PM__INLINE bool pm__line_heap_equal(const uint8_t *a, const uint8_t *b, size_t n) {
    uint64_t diff = pm__load64(a) ^ pm__load64(b);
    if (n > 8) return !diff && memcmp(a + 8, b + 8, n - 8) == 0;
    if (n < 8) diff = PM__BIG_ENDIAN ? diff >> (63 - 8 * n) >> 1 : diff & (((uint64_t)1 << 8 * n) - 1);
    return !diff;
}

/* ---- search -------------------------------------------------------------------------------------------------- */

/* Where the rest of a key stands among the entries of a line, the prefix already matched. */
typedef struct pm__line_seek {
    unsigned lo, hi;  /* entries that agree with the whole rest; lo == hi: none, and lo is where it would stand */
    int child;        /* the child whose suffix is a proper prefix of the rest, or -1 */
    size_t matched;   /* bytes of the rest that exist in this node (all of it when lo < hi) */
} pm__line_seek;

/* Compares entry i, whose heap bytes begin at off, with the rest s[0..len). Returns the common length; *less whether
   the entry sorts before the rest. */
static PM__INLINE size_t pm__line_compare(const pm__line *x, unsigned i, unsigned off, const uint8_t *s, size_t len,
                                          bool *less) {
    size_t el = pm__line_suffix(x, i), max = el < len ? el : len;
    if (max == 0) {
        *less = el < len;
        return 0;
    }
    if (x->body[i] != s[0]) {
        *less = x->body[i] < s[0];
        return 0;
    }
    const uint8_t *h = pm__line_heap(x) + off;
    size_t m = 1 + pm__lcp(h, s + 1, max - 1);
    *less = m < max ? h[m - 1] < s[m] : el < len;
    return m;
}

/* The same by one comparison of words, for an entry that begins with the right byte and goes on with h[0..el), and a
   rest that goes on with `word`, its next bytes from the top down, of which there are r. 0: the words cannot tell. */
static PM__INLINE size_t pm__line_differ(const uint8_t *h, size_t el, uint64_t word, size_t r, bool *less) {
    uint64_t w = pm__load64be(h); /* inside the block: a payload follows at least */
    if (el < 8) w &= ~(~(uint64_t)0 >> 8 * el);
    if (w == word) return 0;
    size_t m = pm__clz64(w ^ word) / 8;
    *less = w < word;
    return m < el && m < r ? m + 1 : 0;
}

/* Finds the rest s[0..len) of a key; the prefix is matched already. An empty rest agrees with every entry. `kw` holds
   bytes 1..8 of the rest as by pm__load_upto8. */
static pm__line_seek pm__line_find_word(const pm__line *x, const uint8_t *s, size_t len, uint64_t kw) {
    pm__line_seek k = {0, x->n, -1, 0};
    if (len == 0) return k;
    uint32_t run = pm__line_match_first(x, s[0]);
    if (!run) {
        k.lo = k.hi = pm__line_count_below(x, s[0]);
        return k;
    }
    unsigned i = (unsigned)pm__ctz32(run), end = 64 - pm__clz64(run), z = end - 1, off = pm__line_off(x, z);
    uint64_t word = pm__bswap64(kw);
    bool after = false; /* the last of them first: keys in order lie behind it, and often it is the only one */
    size_t zl = pm__line_lens(x)[z] + 1u, zm = pm__line_differ(pm__line_heap(x) + off, zl - 1, word, len - 1, &after);
    if (!zm) zm = pm__line_compare(x, z, off, s, len, &after);
    if (after || i == z) { /* no other has more in common with a rest that lies behind all */
        k.matched = zm;
        if (zm == zl && zm < len && pm__line_is_child(x, z)) k.child = (int)z;
        k.lo = after ? end : z;
        k.hi = after ? end : z + (zm == len);
        return k;
    }
    off = pm__line_off(x, i);
    k.lo = k.hi = end;
    for (; i < end; off += pm__line_lens(x)[i], i++) {
        bool less = false;
        size_t el = pm__line_lens(x)[i] + 1u, m = pm__line_differ(pm__line_heap(x) + off, el - 1, word, len - 1, &less);
        if (!m) m = pm__line_compare(x, i, off, s, len, &less);
        if (m > k.matched) k.matched = m;
        if (m == len) { /* the entry is the rest or extends it */
            if (k.hi == end && k.lo == end) k.lo = i;
            k.hi = i + 1;
            continue;
        }
        if (m == el && pm__line_is_child(x, i)) k.child = (int)i;
        if (!less) {
            if (k.lo == end) k.lo = k.hi = i;
            break;
        }
    }
    return k;
}

PM__UNUSED static pm__line_seek pm__line_find(const pm__line *x, const uint8_t *s, size_t len) {
    return pm__line_find_word(x, s, len, len ? pm__load_upto8(s + 1, len - 1) : 0);
}

/* Finds the entry of a line through which a key goes on: the value that ends it, or the child below which it goes on.
   s[0..len) is the rest without the prefix, len > 0; `kw` holds bytes 1..8 of it as pm__load64le would. -1: none. */
static PM__INLINE int pm__line_probe(const pm__line *x, const uint8_t *s, size_t len, uint64_t kw) {
    const uint8_t *lens = pm__line_lens(x), *heap = pm__line_heap(x);
    for (uint32_t m = pm__line_candidates(x, s[0], len - 1); m; m &= m - 1) {
        unsigned i = pm__ctz32(m), l = lens[i];
        const uint8_t *h = heap + pm__line_off(x, i);
        /* Eight bytes behind the heap's start of any entry are inside the block: a payload follows at least. */
        uint64_t diff = pm__load64le(h) ^ kw;
        if (l < 8) diff &= ((uint64_t)1 << 8 * l) - 1;
        if (diff) continue;
        if (l <= 8 || memcmp(h + 8, s + 9, l - 8u) == 0) return (int)i;
    }
    return -1;
}

/* Where the entries end that continue entry i, whose heap bytes begin at h. */
static PM__INLINE unsigned pm__line_agree_end(const pm__line *x, unsigned i, const uint8_t *h) {
    const uint8_t *lens = pm__line_lens(x), *next = h + lens[i];
    unsigned j = i + 1;
    while (j < x->n && x->body[j] == x->body[i] && lens[j] >= lens[i] && pm__line_heap_equal(h, next, lens[i]))
        next += lens[j++];
    return j;
}

/* Where the entries begin that end at the suffix of child entry i, whose heap bytes begin at h: at the value of the
   same suffix, if there is one. */
static PM__INLINE unsigned pm__line_agree_begin(const pm__line *x, unsigned i, const uint8_t *h) {
    const uint8_t *lens = pm__line_lens(x);
    if (i == 0 || x->body[i - 1] != x->body[i] || lens[i - 1] != lens[i] || pm__line_is_child(x, i - 1)) return i;
    if (i == 1 && pm__line_has_e(x)) return i;
    return i - pm__line_heap_equal(h - lens[i], h, lens[i]);
}

/* True if the rest begins with the line's prefix. */
static PM__INLINE bool pm__line_in_prefix(const pm__line *x, const uint8_t *s, size_t len) {
    return !x->plen || (len >= x->plen && memcmp(pm__line_heap(x), s, x->plen) == 0);
}

/* ---- sizes --------------------------------------------------------------------------------------------------- */

/* Allocation for a line, or 0 if it would be over the limits. heap counts the prefix. */
static size_t pm__line_need(unsigned n, size_t heap, unsigned pays) {
    size_t body = 2u * n + heap + 8u * (pays ? pays : 1u), loads = n + (n > 16 ? 33u : 17u);
    if (n > PM__LINE_ENTRIES) return 0;
    if (body < loads) body = loads;
    if (PM__LINE_HDR + body > PM__LINE_BYTES) return 0;
    return pm__mem_round(PM__LINE_HDR + body);
}

static size_t pm__line_heap_len(const pm__line *x) { return pm__line_off(x, x->n); }

/* ---- insert and erase ---------------------------------------------------------------------------------------- */

/* Writes x with `e` inserted before entry `pos` into y, a block of `size` bytes that may be x itself when x is large
   enough. `e` must not begin inside x; `kw` holds bytes 1..8 of its suffix. Regions are moved from the top down, so
   none is overwritten before it moved. */
static void pm__line_write_insert(pm__line *y, size_t size, const pm__line *x, unsigned pos, const pm__ent *e,
                                  uint64_t kw) {
    unsigned n = x->n, off = pm__line_off(x, pos), end = pm__line_off(x, n);
    bool unit = (x->flags & PM__LINE_UNIT) != 0, stored = e->child || !unit;
    unsigned pi = pm__line_pay_index(x, pos), pn = pm__line_pay_count(x), el = e->len ? e->len - 1u : 0u;
    uint64_t *ytop = (uint64_t *)((void *)((char *)y + size));
    const uint64_t *xtop = pm__line_pay_at(x, 0) + 1;
    const uint8_t *xb = x->body;
    uint8_t *yb = y->body;
    uint32_t low = pm__low_bits(pos), cmask = x->cmask;
    uint8_t flags = x->flags, plen = x->plen;
    if (stored) memmove(ytop - pn - 1, xtop - pn, 8u * (pn - pi));
    else if (y != x) memcpy(ytop - pn, xtop - pn, 8u * (pn - pi));
    if (y != x) memcpy(ytop - pi, xtop - pi, 8u * pi);
    if (stored) ytop[-1 - (ptrdiff_t)pi] = e->pay;
    /* Suffixes from the new one on; lengths from it on and suffixes before it; first bytes from it on and lengths
       before it. */
    memmove(yb + 2 * (n + 1) + off + el, xb + 2 * n + off, end - off);
    memmove(yb + n + pos + 2, xb + n + pos, n - pos + off);
    memmove(yb + pos + 1, xb + pos, n);
    if (y != x) memcpy(yb, xb, pos);
    /* Eight bytes from there are inside the block, for a payload follows; those behind the suffix stay as they are. */
    uint8_t *at = yb + 2 * (n + 1) + off;
    uint64_t there = pm__load64le(at), taken = pm__first_bytes(el);
    pm__store64le(at, (there & ~taken) | (kw & taken));
    if (el > 8) memcpy(at + 8, e->rest + 8, el - 8);
    yb[n + 1 + pos] = (uint8_t)el;
    yb[pos] = e->first;
    y->flags = (uint8_t)(flags | (e->len ? 0 : PM__LINE_E));
    y->n = (uint8_t)(n + 1);
    y->plen = plen;
    y->size8 = (uint8_t)(size / 8);
    y->cmask = (cmask & low) | (uint32_t)e->child << pos | (uint32_t)((uint64_t)(cmask & ~low) << 1);
}

/* Writes x without entries [a, b) into y, which may be x; a < b, and at least one entry stays. */
static void pm__line_write_erase(pm__line *y, size_t size, const pm__line *x, unsigned a, unsigned b) {
    unsigned n = x->n, k = b - a, m = n - k, oa = pm__line_off(x, a), ob = pm__line_off(x, b), end = pm__line_off(x, n);
    unsigned pa = pm__line_pay_index(x, a), pb = b < n ? pm__line_pay_index(x, b) : pm__line_pay_count(x);
    unsigned pn = pm__line_pay_count(x);
    uint64_t *ytop = (uint64_t *)((void *)((char *)y + size));
    const uint64_t *xtop = pm__line_pay_at(x, 0) + 1;
    const uint8_t *xb = x->body;
    uint8_t *yb = y->body;
    uint32_t cmask = (x->cmask & pm__low_bits(a)) | (uint32_t)((uint64_t)x->cmask >> b << a);
    uint8_t flags = (uint8_t)(x->flags & (a == 0 ? ~(unsigned)PM__LINE_E : ~0u)), plen = x->plen;
    if (y != x) memcpy(yb, xb, a);
    memmove(yb + a, xb + b, m);
    memmove(yb + m + a, xb + n + b, n - b + oa);
    memmove(yb + 2 * m + oa, xb + 2 * n + ob, end - ob);
    if (y != x) memcpy(ytop - pa, xtop - pa, 8u * pa);
    memmove(ytop - (pn - (pb - pa)), xtop - pn, 8u * (pn - pb));
    y->flags = flags;
    y->n = (uint8_t)m;
    y->plen = plen;
    y->size8 = (uint8_t)(size / 8);
    y->cmask = cmask;
}

/* ---- taking apart and putting together ------------------------------------------------------------------------- */

/* Entry i, whose heap bytes begin at off: its suffix points into x. */
static PM__INLINE pm__ent pm__line_ent(const pm__line *x, unsigned i, unsigned off) {
    pm__ent e;
    e.rest = pm__line_heap(x) + off;
    e.len = pm__line_suffix(x, i);
    e.first = x->body[i];
    e.child = pm__line_is_child(x, i);
    e.fresh = e.placed = false;
    e.pay = e.child ? *pm__line_child(x, i) : *pm__line_val(x, i);
    return e;
}

/* Lists the entries, suffixes without the prefix, pointing into x. */
static void pm__line_decode(const pm__line *x, pm__ent *out) {
    unsigned off = x->plen;
    const uint8_t *heap = pm__line_heap(x);
    for (unsigned i = 0; i < x->n; i++) {
        pm__ent *e = &out[i];
        e->first = x->body[i];
        e->len = pm__line_suffix(x, i);
        e->rest = heap + off;
        e->child = pm__line_is_child(x, i);
        e->pay = e->child ? *pm__line_child(x, i) : *pm__line_val(x, i);
        e->fresh = false;
        off += pm__line_lens(x)[i];
    }
}

/* The one writer of lines: opened with what is known beforehand, then given the entries in order. Whoever adds an entry
   has written the bytes behind its first to `heap`. Payloads follow the heap, from the end downwards; who copies in
   steps, and so writes beyond them, has the payloads wait elsewhere. */
typedef struct pm__pen {
    pm__line *x; /* NULL: no memory */
    uint8_t *first, *len, *heap; /* of the next entry */
    uint64_t *pay;               /* behind that of the next entry */
    uint32_t cmask, bit;
    uint8_t flags;
    bool unit;
} pm__pen;

/* A line of n entries in `size` bytes (from pm__line_need), its prefix p[0..plen) and `more` further bytes, which the
   caller writes to `heap`. `pays`: PM__LINE_ENTRIES words where payloads wait, or NULL. False: no memory. */
static PM__INLINE bool pm__pen_open(pm__pen *w, uint64_t *pays, const pm__cx *cx, size_t size, unsigned n,
                                    const uint8_t *p, size_t plen, size_t more) {
    pm__line *x = (pm__line *)pm__mem_alloc(cx->pool, size);
    w->x = x;
    if (!x) return false;
    pm__ref_count_init(&x->rc);
    x->n = (uint8_t)n;
    x->plen = (uint8_t)(plen + more);
    x->size8 = (uint8_t)(size / 8);
    w->first = x->body, w->len = w->first + n, w->heap = w->len + n;
    w->pay = pays ? pays + PM__LINE_ENTRIES : (uint64_t *)(void *)((char *)x + size);
    w->cmask = 0, w->bit = 1, w->unit = cx->unit;
    w->flags = (uint8_t)(PM__LINE | (cx->unit ? PM__LINE_UNIT : 0));
    if (plen) memcpy(w->heap, p, plen), w->heap += plen;
    return true;
}

/* Adds an entry of a first byte and `rest` more. */
static PM__INLINE void pm__pen_next(pm__pen *w, uint8_t first, size_t rest, bool child, uint64_t pay) {
    *w->first++ = first;
    *w->len++ = (uint8_t)rest;
    w->heap += rest;
    w->cmask |= child ? w->bit : 0;
    w->bit <<= 1;
    if (child || !w->unit) *--w->pay = pay;
}

/* Adds the value at the end of the prefix, which comes first. */
static PM__INLINE void pm__pen_end(pm__pen *w, pm_val val) {
    w->flags |= PM__LINE_E;
    pm__pen_next(w, 0, 0, false, val);
}

/* Adds an entry without its first `from` bytes: the value at the end of the prefix if nothing is left. */
static PM__INLINE void pm__pen_put(pm__pen *w, const pm__ent *e, size_t from) {
    if (PM__UNLIKELY(e->len == from)) {
        pm__pen_end(w, e->pay);
        return;
    }
    size_t l = e->len - from - 1;
    pm__copy_short(w->heap, e->rest + from, l);
    pm__pen_next(w, pm__ent_at(e, from), l, e->child, e->pay);
}

/* The same where code matters more: few entries are added so. */
static PM__NOINLINE void pm__pen_add(pm__pen *w, const pm__ent *e, size_t from) { pm__pen_put(w, e, from); }

/* Adds entries [lo, hi) of a line as they are. */
static PM__NOINLINE void pm__pen_copy(pm__pen *w, const pm__line *x, unsigned lo, unsigned hi) {
    unsigned n = hi - lo, off = pm__line_off(x, lo), pi = pm__line_pay_index(x, lo);
    size_t bytes = pm__line_off(x, hi) - off;
    unsigned pays = (hi < x->n ? pm__line_pay_index(x, hi) : pm__line_pay_count(x)) - pi;
    if (!n) return;
    memcpy(w->first, x->body + lo, n);
    memcpy(w->len, pm__line_lens(x) + lo, n);
    memcpy(w->heap, pm__line_heap(x) + off, bytes);
    w->pay -= pays;
    memcpy(w->pay, pm__line_pay_at(x, 0) + 1 - pi - pays, 8u * pays);
    if (lo == 0) w->flags |= x->flags & PM__LINE_E;
    w->cmask |= (x->cmask >> lo & pm__low_bits(n)) * w->bit;
    w->bit = (uint32_t)((uint64_t)w->bit << n);
    w->first += n, w->len += n, w->heap += bytes;
}

/* Ends the line of `size` bytes. */
static PM__INLINE pm__ref pm__pen_close(pm__pen *w, const uint64_t *pays, size_t size) {
    uint64_t *to = (uint64_t *)(void *)((char *)w->x + size);
    if (pays)
        for (const uint64_t *from = pays + PM__LINE_ENTRIES; from > w->pay;) *--to = *--from;
    w->x->flags = w->flags;
    w->x->cmask = w->cmask;
    return pm__ref_make(w->x, PM__LINE, size);
}

/* Whether 32 bytes from any place in a line's heap on are inside its block, because payloads follow. */
PM__UNUSED static PM__INLINE bool pm__line_is_wide(const pm__line *x) {
    return x->n >= 4 && !(x->flags & PM__LINE_UNIT);
}

/* Makes a line of n entries whose suffixes begin at byte `skip`, under prefix p[0..plen) followed by the first `lcp`
   bytes that all entries share there. The caller has seen that it fits (`size` from pm__line_need). `roomy`: eight
   bytes from the end of any suffix on are readable. 0: no memory. */
static PM__INLINE pm__ref pm__line_write(const pm__cx *cx, size_t size, const uint8_t *p, size_t plen,
                                         const pm__ent *ents, unsigned n, size_t skip, size_t lcp, bool roomy) {
    pm__pen w;
    uint64_t room[PM__LINE_ENTRIES], *pays = roomy ? room : NULL;
    const size_t from = skip + lcp;
    if (!pm__pen_open(&w, pays, cx, size, n, p, plen, lcp)) return 0;
    for (size_t j = skip; j < from; j++) *w.heap++ = pm__ent_at(&ents[0], j);
    for (unsigned i = 0; i < n; i++) {
        const pm__ent *e = &ents[i];
        if (!roomy || PM__UNLIKELY(e->len == from)) {
            pm__pen_put(&w, e, from);
            continue;
        }
        size_t l = e->len - from - 1;
        pm__copy_steps(w.heap, e->rest + from, l, false);
        pm__pen_next(&w, pm__ent_at(e, from), l, e->child, e->pay);
    }
    return pm__pen_close(&w, pays, size);
}

static pm__ref pm__line_encode(const pm__cx *cx, size_t size, const uint8_t *p, size_t plen, const pm__ent *ents,
                               unsigned n, size_t skip, size_t lcp) {
    return pm__line_write(cx, size, p, plen, ents, n, skip, lcp, false);
}

/* Makes a range node of parts, one-byte child entries of which the first begins with 0. 0: no memory. */
static pm__ref pm__line_of_parts(const pm__cx *cx, const pm__ent *parts, unsigned n) {
    size_t size = pm__line_need(n, 0, n);
    pm__ref r = pm__line_encode(cx, size, NULL, 0, parts, n, 0, 0);
    pm__line *x = (pm__line *)pm__ref_ptr(r);
    if (!r) return 0;
    x->flags |= PM__RANGE;
    return pm__ref_make(x, PM__RANGE, size);
}
