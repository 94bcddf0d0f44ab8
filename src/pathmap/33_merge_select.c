/* Selecting from a line: meet and subtract of two lines that have the same bytes of prefix ahead of them, or none.
   Whatever comes of it is made of A's entries, so all that is to be worked out is which of them stay, as bits.

   Each side is a row: consecutive entries of a line, less the bytes that are behind the place. A hash of 16 bits is
   made of each suffix; for each value of A, those of B with its hash are found at once, by their numbers, and then
   looked at. A child at suffix s, on either side, meets the other row's entries that go on from s, or the child there:
   a pair, which is decided later. What a pair keeps of a run of A's own entries is decided as bits, too
   (PM__MERGE_PICK), so most results are known without a list having been written.

   Twins, lines of the same suffixes, need no search: entry i of one is entry i of the other.

   Lines that lead nowhere are most of a trie: they are met without a frame. A result of few entries of A, as they
   are, is not made into a node at once: the line above may have room for them. */
#include "32_merge_result.c"

typedef struct pm__select_row {
    const pm__line *x;
    pm__ref node;
    const uint64_t *val;  /* the value of entry i is val[-(i & each)] */
    const uint8_t *first; /* first byte of entry i */
    const uint8_t *lens;  /* its other bytes, and `cut` */
    const uint8_t *heap;
    unsigned each;                  /* ~0, or 0 in unit maps */
    unsigned lo, n, cut;            /* entry 0 is entry lo of the line; bytes of suffix that are behind the place */
    uint32_t kids;                  /* bit i: entry i is a child */
    bool e;                         /* entry 0 has no suffix */
    uint16_t off[PM__LINE_ENTRIES]; /* where in the heap the bytes behind the first begin */
    uint8_t cut_first[PM__LINE_ENTRIES]; /* `first`, where it is not in the line */
} pm__select_row;

/* What is kept of A. Bits are entries of its row. */
typedef struct pm__select_kept {
    pm__select_row a;
    uint32_t keep;        /* entries that stay, whatever becomes of the pairs */
    uint32_t over, fresh; /* entries whose value is another, and of these those not counted elsewhere */
    pm_val val[PM__LINE_ENTRIES];
} pm__select_kept;

/* ---- rows ---------------------------------------------------------------------------------------------------- */

/* All but where the entries' bytes are; returns where those of the first begin. */
static PM__INLINE unsigned pm__select_row_begin(pm__select_row *r, const pm_place *p) {
    const pm__line *x = pm__place_line(p);
    unsigned lo = p->lo + (p->depth ? pm__place_val_entry(p, x) : 0), n = p->hi - lo;
    unsigned cut = p->depth > x->plen ? (unsigned)p->depth - x->plen : 0u;
    r->x = x;
    r->node = p->node;
    r->lo = lo;
    r->n = n;
    r->cut = cut;
    r->first = cut ? r->cut_first : x->body + lo;
    r->lens = pm__line_lens(x) + lo;
    r->heap = pm__line_heap(x);
    r->kids = (uint32_t)((uint64_t)x->cmask >> lo) & pm__low_bits(n);
    r->each = (x->flags & PM__LINE_UNIT) ? 0 : ~0u;
    r->val = (x->flags & PM__LINE_UNIT) ? &pm__unit_val : pm__line_pay_at(x, lo);
    r->e = lo == 0 && n && pm__line_has_e(x);
    return (lo ? pm__line_off(x, lo) : x->plen) + cut;
}

static PM__INLINE void pm__select_row_fill(pm__select_row *r, const pm_place *p) {
    unsigned off = pm__select_row_begin(r, p), n = r->n;
    const uint8_t *lens = r->lens, *heap = r->heap;
    for (unsigned i = 0; i < n; i++) {
        r->off[i] = (uint16_t)off;
        if (r->cut) r->cut_first[i] = heap[off - 1];
        off += lens[i];
    }
}

/* Fills the row of a line that has a twin, whose row is filled. */
static PM__INLINE void pm__select_row_fill_twin(pm__select_row *r, const pm_place *p, const pm__select_row *twin) {
    (void)pm__select_row_begin(r, p);
    memcpy(r->off, twin->off, sizeof r->off);
}

/* Whether two places abreast are whole lines of the same suffixes, of which the same are children: most are that a
   clone has written to. */
static PM__INLINE bool pm__select_are_twins(const pm_place *a, const pm_place *b) {
    const pm__line *x = pm__place_line(a), *y = pm__place_line(b);
    if ((a->depth | b->depth) != 0 || x->n != y->n || x->cmask != y->cmask || x->flags != y->flags) return false;
    size_t n = x->n;
    return x->plen == y->plen && memcmp(x->body, y->body, 2 * n) == 0 &&
           memcmp(x->body + 2 * n, y->body + 2 * n, pm__line_off(x, x->n)) == 0;
}

static PM__INLINE pm_val pm__select_row_val(const pm__select_row *r, unsigned i) {
    return r->val[-(ptrdiff_t)(i & r->each)];
}
static PM__INLINE unsigned pm__select_row_len(const pm__select_row *r, unsigned i) {
    return i == 0 && r->e ? 0 : r->lens[i] + 1u - r->cut;
}
static PM__INLINE const uint8_t *pm__select_row_rest(const pm__select_row *r, unsigned i) {
    return r->heap + r->off[i];
}
static PM__INLINE bool pm__select_row_is_child(const pm__select_row *r, unsigned i) { return (r->kids >> i) & 1; }
static PM__INLINE pm__ref pm__select_row_child(const pm__select_row *r, unsigned i) {
    return *pm__line_child(r->x, r->lo + i);
}

static pm__ent pm__select_row_ent(const pm__select_row *r, unsigned i) {
    pm__ent e;
    e.rest = pm__select_row_rest(r, i);
    e.len = (uint16_t)pm__select_row_len(r, i);
    e.child = pm__select_row_is_child(r, i);
    e.first = r->first[i];
    e.pay = e.child ? pm__select_row_child(r, i) : pm__select_row_val(r, i);
    e.fresh = false;
    return e;
}

/* The place at the suffix (of length len) of entries [i, end): a child, or a run that goes on. */
static pm_place pm__select_row_place(const pm__select_row *r, unsigned i, unsigned end, unsigned len) {
    if (pm__select_row_is_child(r, i) && pm__select_row_len(r, i) == len)
        return pm__merge_root(pm__select_row_child(r, i));
    unsigned depth = r->x->plen + r->cut + len;
    pm_place p = {r->node, (uint16_t)depth, (uint8_t)(r->lo + i), (uint8_t)(r->lo + end), (uint16_t)depth, 0};
    return p;
}

/* The values of a row, as bits. */
static PM__INLINE uint32_t pm__select_row_values(const pm__select_row *r) { return pm__low_bits(r->n) & ~r->kids; }

/* Which bytes of a word belong to so many bytes of string. */
static const uint64_t pm__select_word_mask[9] = {
    0, 0xFFu, 0xFFFFu, 0xFFFFFFu, 0xFFFFFFFFu, 0xFFFFFFFFFFu, 0xFFFFFFFFFFFFu, 0xFFFFFFFFFFFFFFu, 0xFFFFFFFFFFFFFFFFu};

/* Whether n bytes from p and q on are alike. Eight bytes from the heap's bytes of any entry on are inside the block. */
static PM__INLINE bool pm__select_alike(const uint8_t *p, const uint8_t *q, size_t n) {
    uint64_t parts = pm__load64le(p) ^ pm__load64le(q);
    if (n <= 8) return !(parts & pm__select_word_mask[n]);
    return !parts && memcmp(p + 8, q + 8, n - 8) == 0;
}

/* Whether entry i of a row and entry j of another one have the same suffix. */
static PM__INLINE bool pm__select_row_same(const pm__select_row *r, unsigned i, const pm__select_row *s, unsigned j) {
    unsigned rest = r->lens[i] - r->cut;
    return rest == s->lens[j] - s->cut && r->first[i] == s->first[j] &&
           pm__select_alike(pm__select_row_rest(r, i), pm__select_row_rest(s, j), rest);
}

/* Entries that begin with a byte. */
static uint32_t pm__select_row_match_first(const pm__select_row *r, uint8_t c) {
    uint32_t f = 0;
    if (!r->cut) return (uint32_t)((uint64_t)pm__line_match_first(r->x, c) >> r->lo) & pm__low_bits(r->n);
    for (unsigned i = 0; i < r->n; i++) f |= (uint32_t)(r->first[i] == c) << i;
    return f;
}

/* ---- hashes -------------------------------------------------------------------------------------------------- */

typedef struct pm__select_hashes {
    uint16_t of[PM__LINE_ENTRIES]; /* suffixes with the same one may differ */
} pm__select_hashes;

/* Of a suffix that begins with a byte, and goes on with `rest` bytes at s. */
static PM__INLINE uint16_t pm__select_hash(uint8_t first, const uint8_t *s, unsigned rest) {
    uint64_t word = pm__load64le(s) & pm__select_word_mask[rest < 8 ? rest : 8];
    uint64_t other = ((uint64_t)first << 8 | rest) * 0xD6E8FEB86659FD93u;
    return (uint16_t)((word + other) * 0x9FB21C651E98DF25u >> 48);
}

/* The hashes of a row, to be looked up. */
typedef struct pm__select_index {
#if PM__AVX2
    __m256i h[2];
#elif PM__SSE2
    __m128i h[4];
#else
    const uint16_t *h;
#endif
} pm__select_index;

#if PM__SSE2
static PM__INLINE __m128i pm__select_hashes_at(const pm__select_hashes *h, unsigned i) {
    return _mm_loadu_si128((const __m128i *)(const void *)(h->of + i));
}
#endif

static PM__INLINE void pm__select_index_make(pm__select_index *k, const pm__select_hashes *h) {
#if PM__AVX2 /* in the order in which packing puts them right */
    k->h[0] = _mm256_set_m128i(pm__select_hashes_at(h, 16), pm__select_hashes_at(h, 0));
    k->h[1] = _mm256_set_m128i(pm__select_hashes_at(h, 24), pm__select_hashes_at(h, 8));
#elif PM__SSE2
    for (unsigned i = 0; i < 4; i++) k->h[i] = pm__select_hashes_at(h, 8 * i);
#else
    k->h = h->of;
#endif
}

/* Entries with a hash; what is beyond the row is the caller's to mask away. */
static PM__INLINE uint32_t pm__select_index_find(const pm__select_index *k, uint16_t hash) {
#if PM__AVX2
    __m256i v = _mm256_set1_epi16((short)hash);
    __m256i lo = _mm256_cmpeq_epi16(k->h[0], v), hi = _mm256_cmpeq_epi16(k->h[1], v);
    return (uint32_t)_mm256_movemask_epi8(_mm256_packs_epi16(lo, hi));
#elif PM__SSE2
    __m128i v = _mm_set1_epi16((short)hash);
    __m128i lo = _mm_packs_epi16(_mm_cmpeq_epi16(k->h[0], v), _mm_cmpeq_epi16(k->h[1], v));
    __m128i hi = _mm_packs_epi16(_mm_cmpeq_epi16(k->h[2], v), _mm_cmpeq_epi16(k->h[3], v));
    return (uint32_t)_mm_movemask_epi8(lo) | (uint32_t)_mm_movemask_epi8(hi) << 16;
#else
    uint32_t f = 0;
    for (unsigned i = 0; i < PM__LINE_ENTRIES; i++) f |= (uint32_t)(k->h[i] == hash) << i;
    return f;
#endif
}

/* Fills a row, and hashes its suffixes. */
static PM__INLINE void pm__select_row_fill_hashed(pm__select_row *r, const pm_place *p, pm__select_hashes *h) {
    unsigned off = pm__select_row_begin(r, p);
    const unsigned n = r->n, cut = r->cut;
    const uint8_t *lens = r->lens, *heap = r->heap, *first = r->first;
    memset(h, 0, sizeof *h);
    for (unsigned i = 0; i < n; i++) {
        uint8_t c = cut ? (r->cut_first[i] = heap[off - 1]) : first[i];
        r->off[i] = (uint16_t)off;
        h->of[i] = pm__select_hash(c, heap + off, lens[i] - cut);
        off += lens[i];
    }
}

/* Fills a row, and notes for each entry which of the others it may be like; returns which it may be like any of. */
static PM__INLINE uint32_t pm__select_row_fill_found(pm__select_row *r, const pm_place *p, const pm__select_index *k,
                                                     uint32_t others, uint32_t *some) {
    unsigned off = pm__select_row_begin(r, p);
    const unsigned n = r->n, cut = r->cut;
    const uint8_t *lens = r->lens, *heap = r->heap, *first = r->first;
    uint32_t maybe = 0;
    for (unsigned i = 0; i < n; i++) {
        uint8_t c = cut ? (r->cut_first[i] = heap[off - 1]) : first[i];
        r->off[i] = (uint16_t)off;
        some[i] = pm__select_index_find(k, pm__select_hash(c, heap + off, lens[i] - cut)) & others;
        maybe |= (uint32_t)(some[i] != 0) << i;
        off += lens[i];
    }
    return maybe;
}

/* ---- selecting ------------------------------------------------------------------------------------------------- */

typedef struct pm__select_work {
    pm__merge_run *q;
    pm__merge_frame *f; /* NULL: there are no children on either side */
    pm__select_kept *s;
    pm__select_row b;
    uint32_t met_a, met_b; /* entries that belong to runs which have met */
    uint32_t both, slow;   /* A's values that B has too; of these those which may not be taken for the same */
    uint32_t maybe;        /* entries of A that B may have, by their hash */
    bool same_a, same_b;
    uint32_t some[PM__LINE_ENTRIES]; /* which of B's that may be */
    uint8_t with[PM__LINE_ENTRIES];  /* and which it is, for those in `both` */
} pm__select_work;

static void pm__select_differ(pm__select_work *g, unsigned keeps) {
    if (!(keeps & PM_ALG_LEFT)) g->same_a = false;
    if (!(keeps & PM_ALG_RIGHT)) g->same_b = false;
}

/* Which of B's entries is alike entry i of A, of those that may be; -1: none. */
static PM__INLINE int pm__select_find(const pm__select_work *g, unsigned i, uint32_t vb) {
    const pm__select_row *a = &g->s->a;
    uint32_t some = g->some[i] & vb;
    while (some) {
        unsigned j = pm__ctz32(some);
        if (PM__LIKELY(pm__select_row_same(a, i, &g->b, j))) return (int)j;
        some &= some - 1;
    }
    return -1;
}

/* Finds the values that both sides have, of those in `va` and `vb`. */
static PM__INLINE void pm__select_values(pm__select_work *g, uint32_t va, uint32_t vb) {
    const pm__select_row *a = &g->s->a, *b = &g->b;
    uint32_t both = a->e & b->e & va & vb; /* E is entry 0 */
    uint32_t differ = both & (pm__select_row_val(a, 0) != pm__select_row_val(b, 0));
    g->with[0] = 0;
    vb &= ~(uint32_t)b->e;
    for (uint32_t m = g->maybe & va & ~(uint32_t)a->e; m; m &= m - 1) {
        unsigned i = pm__ctz32(m);
        int j = pm__select_find(g, i, vb);
        if (PM__UNLIKELY(j < 0)) continue;
        g->with[i] = (uint8_t)j;
        both |= m & (0 - m);
        differ |= (uint32_t)(pm__select_row_val(a, i) != pm__select_row_val(b, (unsigned)j)) << i;
    }
    g->both = both;
    g->slow = g->q->idempotent ? differ : both;
}

/* Entries of a row that go on from entry i of another one, or are the child there. */
static uint32_t pm__select_row_run(const pm__select_row *r, const pm__select_row *other, unsigned i) {
    unsigned len = pm__select_row_len(other, i);
    uint32_t run = 0, some = pm__select_row_match_first(r, other->first[i]);
    for (some &= ~(uint32_t)r->e; some; some &= some - 1) {
        unsigned j = pm__ctz32(some), l = pm__select_row_len(r, j);
        if (l < len || (l == len && !pm__select_row_is_child(r, j))) continue;
        if (pm__select_alike(pm__select_row_rest(other, i), pm__select_row_rest(r, j), len - 1))
            run |= some & (0 - some);
    }
    return run;
}

/* Whether a row has a value where entry i of another one is. */
static bool pm__select_row_valued(const pm__select_row *r, const pm__select_row *other, unsigned i) {
    for (uint32_t m = pm__select_row_values(r) & ~(uint32_t)r->e; m; m &= m - 1)
        if (pm__select_row_same(r, pm__ctz32(m), other, i)) return true;
    return false;
}

/* Runs of A and of B meet at a suffix of length len, at least one of them being a child just there. */
static void pm__select_runs(pm__select_work *g, uint32_t run_a, uint32_t run_b, unsigned len) {
    pm__select_kept *s = g->s;
    unsigned i = pm__ctz32(run_a), j = pm__ctz32(run_b);
    bool meet = g->q->op == PM__MERGE_MEET;
    pm_place a = pm__select_row_place(&s->a, i, i + pm__popcount32(run_a), len);
    pm_place b = pm__select_row_place(&g->b, j, j + pm__popcount32(run_b), len);
    g->met_a |= run_a;
    g->met_b |= run_b;
    if (!a.node || !b.node) { /* dangling locations */
        bool stays = meet ? a.node == b.node : a.node != 0;
        if (stays) s->keep |= run_a;
        pm__select_differ(g, !stays ? 0u : meet ? PM_ALG_BOTH : PM_ALG_LEFT);
    } else if (a.node == b.node && a.depth == 0 && b.depth == 0 && g->q->idempotent) {
        if (meet) s->keep |= run_a;
        else g->same_a = g->same_b = false;
    } else {
        if (g->f->npairs < PM__MERGE_AHEAD) {
            if (a.node != s->a.node) pm__ref_prefetch(a.node);
            if (b.node != g->b.node) pm__ref_prefetch(b.node);
        }
        pm__merge_pair *p = pm__merge_pair_add(g->f, a, b);
        p->from_a = (uint8_t)i;
        p->count = (uint8_t)pm__popcount32(run_a);
        p->len = (uint16_t)len;
    }
}

/* Lets children meet what the other side has below them. */
static void pm__select_children(pm__select_work *g) {
    const pm__select_row *a = &g->s->a, *b = &g->b;
    for (uint32_t m = a->kids; m; m &= m - 1) {
        unsigned i = pm__ctz32(m);
        uint32_t run = pm__select_row_run(b, a, i);
        if (run) pm__select_runs(g, m & (0 - m), run, pm__select_row_len(a, i));
    }
    for (uint32_t m = b->kids & ~g->met_b; m; m &= m - 1) {
        unsigned j = pm__ctz32(m);
        uint32_t run = pm__select_row_run(a, b, j);
        if (run) pm__select_runs(g, run, m & (0 - m), pm__select_row_len(b, j));
        else g->same_b = false;
    }
    for (uint32_t m = a->kids & ~g->met_a; m; m &= m - 1) { /* B has nothing below these */
        unsigned i = pm__ctz32(m);
        if (g->q->op == PM__MERGE_MEET || (!pm__select_row_child(a, i) && pm__select_row_valued(b, a, i))) {
            g->same_a = false;
        } else {
            g->s->keep |= m & (0 - m);
            g->same_b = false;
        }
    }
}

/* Selects from A by its twin: entry i of one is entry i of the other. */
static PM__NOINLINE void pm__select_twin(pm__select_work *g) {
    const pm__select_row *a = &g->s->a;
    uint32_t differ = 0;
    bool meet = g->q->op == PM__MERGE_MEET && g->q->idempotent;
    for (uint32_t m = a->kids; m; m &= m - 1) {
        unsigned i = pm__ctz32(m);
        uint32_t bit = m & (0 - m);
        if (meet && pm__select_row_child(a, i) == pm__select_row_child(&g->b, i)) g->s->keep |= bit;
        else pm__select_runs(g, bit, bit, pm__select_row_len(a, i));
    }
    g->both = pm__select_row_values(a);
    for (unsigned i = 0; i < a->n; i++) {
        g->with[i] = (uint8_t)i;
        differ |= (uint32_t)(pm__select_row_val(a, i) != pm__select_row_val(&g->b, i)) << i;
    }
    g->slow = g->q->idempotent ? differ & g->both : g->both;
}

/* Combines values by the hooks. False: a hook is wrong. */
static PM__NOINLINE bool pm__select_combine(pm__select_work *g) {
    pm__select_kept *s = g->s;
    for (uint32_t m = g->slow; m; m &= m - 1) {
        unsigned i = pm__ctz32(m);
        uint32_t bit = m & (0 - m);
        pm__merge_val r;
        pm_val x = pm__select_row_val(&s->a, i), y = pm__select_row_val(&g->b, g->with[i]);
        if (!pm__merge_value(g->q, &x, &y, &r)) return false;
        pm__select_differ(g, r.some ? r.alg : 0);
        if (!r.some) continue;
        s->keep |= bit;
        if (!r.fresh && (r.alg & PM_ALG_LEFT)) continue;
        s->over |= bit;
        s->val[i] = r.val;
        if (r.fresh) s->fresh |= bit;
    }
    return true;
}

/* Selects from A by B. Pairs go to the frame, if there is one. False: a hook is wrong. */
static PM__INLINE bool pm__select_rows(pm__select_work *g, const pm_place *pa, const pm_place *pb) {
    pm__select_kept *s = g->s;
    s->keep = s->over = s->fresh = 0;
    g->met_a = g->met_b = 0;
    g->same_a = g->same_b = true;
    uint32_t va, vb;
    if (pm__select_are_twins(pa, pb)) {
        pm__select_row_fill(&s->a, pa);
        pm__select_row_fill_twin(&g->b, pb, &s->a);
        pm__select_twin(g);
        va = vb = g->both;
    } else {
        pm__select_hashes h;
        pm__select_index in_b;
        pm__select_row_fill_hashed(&g->b, pb, &h);
        pm__select_index_make(&in_b, &h);
        g->maybe = pm__select_row_fill_found(&s->a, pa, &in_b, pm__low_bits(g->b.n) & ~g->b.kids, g->some);
        if (g->f) pm__select_children(g);
        va = pm__select_row_values(&s->a) & ~g->met_a;
        vb = pm__select_row_values(&g->b) & ~g->met_b;
        pm__select_values(g, va, vb);
    }
    bool only_a = va != g->both, only_b = pm__popcount32(vb) != pm__popcount32(g->both);
    if (only_b) g->same_b = false;
    if (g->q->op == PM__MERGE_MEET) {
        s->keep |= g->both & ~g->slow;
        if (only_a) g->same_a = false;
    } else {
        s->keep |= va & ~g->both;
        if (only_a) g->same_b = false;
        if (g->both & ~g->slow) g->same_a = g->same_b = false; /* they took each other away */
    }
    return !g->slow || pm__select_combine(g);
}

/* ---- what stays ---------------------------------------------------------------------------------------------- */

/* Bytes that entries i and z, the first and last of several, have in common, as far as the prefix takes them. */
static size_t pm__select_row_lcp(const pm__select_row *r, unsigned i, unsigned z, size_t plen) {
    size_t max = pm__select_row_len(r, i), len = pm__select_row_len(r, z);
    if (!max || r->first[i] != r->first[z]) return 0;
    if (max > len) max = len;
    if (max > 255 - plen) max = 255 - plen;
    if (!max) return 0;
    size_t l = 1 + pm__lcp(pm__select_row_rest(r, i), pm__select_row_rest(r, z), max - 1);
    return pm__select_row_is_child(r, z) && l == len ? l - 1 : l; /* a child keeps one byte */
}

/* Writes the entries of a row in `mask`, without `lcp` bytes, behind the prefix. What is copied has payloads behind it,
   on both sides: these are written last. */
static PM__INLINE void pm__select_write(const pm__cx *cx, pm__line *y, const pm__select_kept *s, uint32_t mask,
                                        const size_t lcp) {
    const pm__select_row *r = &s->a;
    const uint8_t *first = r->first, *lens = r->lens, *heap = r->heap;
    const uint16_t *off = r->off;
    const unsigned n = y->n, cut = r->cut + 1u + (unsigned)lcp;
    const bool wide = pm__line_is_wide(r->x) && pm__line_is_wide(y);
    uint8_t *to_first = y->body, *to_len = to_first + n, *h = to_len + n + y->plen;
    uint32_t cmask = 0, kids = r->kids, m = mask;
    if (PM__UNLIKELY(pm__select_row_len(r, pm__ctz32(m)) == lcp)) { /* the value at the end of the prefix */
        y->flags |= PM__LINE_E;
        *to_first++ = *to_len++ = 0;
        m &= m - 1;
    }
    for (; m; m &= m - 1) {
        unsigned i = pm__ctz32(m), l = lens[i] + 1u - cut;
        const uint8_t *t = heap + off[i] + lcp;
        *to_first++ = lcp ? t[-1] : first[i];
        *to_len++ = (uint8_t)l;
        pm__copy_steps(h, t, l, wide);
        h += l;
    }
    uint64_t *pay = pm__line_pay_at(y, 0);
    unsigned k = 0;
    if (!kids && !cx->unit && !s->over) { /* values only, and A's */
        for (m = mask; m; m &= m - 1) *pay-- = r->val[-(ptrdiff_t)pm__ctz32(m)];
    } else {
        for (m = mask; m; m &= m - 1, k++) {
            unsigned i = pm__ctz32(m);
            bool child = kids >> i & 1, over = s->over >> i & 1;
            cmask |= (uint32_t)child << k;
            if (!child && cx->unit) continue;
            *pay-- = child ? pm__select_row_child(r, i) : over ? s->val[i] : pm__select_row_val(r, i);
        }
    }
    y->cmask = cmask;
}

/* Counts the payloads of the entries in `mask` once more; those of A's that are fresh have been counted. */
static void pm__select_retain(const pm__cx *cx, const pm__select_kept *s, uint32_t mask) {
    const pm__select_row *r = &s->a;
    for (uint32_t m = mask & r->kids; m; m &= m - 1) PM__PREFETCH(pm__ref_ptr(pm__select_row_child(r, pm__ctz32(m))));
    for (uint32_t m = mask & r->kids; m; m &= m - 1) pm__ref_retain(pm__select_row_child(r, pm__ctz32(m)));
    if (cx->plain || cx->unit) return;
    for (uint32_t m = mask & ~r->kids & ~s->fresh; m; m &= m - 1) {
        unsigned i = pm__ctz32(m);
        pm__val_retain(cx->ops, s->over >> i & 1 ? s->val[i] : pm__select_row_val(r, i));
    }
}

/* Makes a line of some of A's entries, under what lies ahead of both sides. 0: no memory. */
static pm__ref pm__select_line(pm__merge_run *q, const pm__select_kept *s, const uint8_t *prefix, size_t plen,
                               uint32_t mask) {
    const pm__select_row *r = &s->a;
    unsigned n = pm__popcount32(mask), first = pm__ctz32(mask), last = 63 - pm__clz64(mask);
    size_t lcp = n > 1 ? pm__select_row_lcp(r, first, last, plen) : 0, heap = plen + lcp;
    for (uint32_t m = mask; m; m &= m - 1) {
        size_t len = pm__select_row_len(r, pm__ctz32(m));
        heap += len > lcp ? len - lcp - 1 : 0;
    }
    size_t size = pm__line_need(n, heap, q->cx->unit ? pm__popcount32(mask & r->kids) : n);
    pm__line *y = (pm__line *)pm__mem_alloc(q->cx->pool, size);
    if (!y) {
        q->status = PM_NOMEM;
        return 0;
    }
    pm__ref_count_init(&y->rc);
    y->flags = (uint8_t)(PM__LINE | (q->cx->unit ? PM__LINE_UNIT : 0));
    y->n = (uint8_t)n;
    y->plen = (uint8_t)(plen + lcp);
    y->size8 = (uint8_t)(size / 8);
    uint8_t *h = y->body + 2 * n;
    if (plen) memcpy(h, prefix, plen);
    if (lcp) {
        h[plen] = r->first[first];
        memcpy(h + plen + 1, pm__select_row_rest(r, first), lcp - 1);
        pm__select_write(q->cx, y, s, mask, lcp);
    } else {
        pm__select_write(q->cx, y, s, mask, 0);
    }
    pm__select_retain(q->cx, s, mask);
    return pm__ref_make(y, PM__LINE, size);
}

/* Where a result goes, and what may be done with it. */
typedef struct pm__select_target {
    const uint8_t *prefix; /* what lies ahead of both sides */
    size_t plen;
    bool pick; /* the frame above can take entries */
    bool run;  /* and they are entries of its own line */
} pm__select_target;

/* Gives some of A's entries. False: no memory. */
static PM__INLINE bool pm__select_answer(pm__merge_run *q, const pm__select_kept *s, const pm__select_target *to,
                                         uint32_t mask, pm__merge_answer *out) {
    unsigned n = pm__popcount32(mask);
    out->ref = mask;
    out->alg = PM_ALG_NONE;
    if (!mask) return true;
    out->alg = PM__MERGE_PICK;
    if (to->pick && !s->over && (to->run || n <= PM__RESULT_TAKES)) return true;
    out->alg = PM_ALG_ELEMENT;
    out->ref = pm__select_line(q, s, to->prefix, to->plen, mask);
    return out->ref != 0;
}

/* ---- lines that lead nowhere --------------------------------------------------------------------------------- */

/* Whether a place, entered, in a line has values below it only. */
static PM__INLINE bool pm__select_is_leaf(const pm_place *p) {
    return !((uint32_t)((uint64_t)pm__place_line(p)->cmask >> p->lo) & pm__low_bits((unsigned)p->hi - p->lo));
}

/* Decides a pair of such places. False: see q->status. */
static PM__NOINLINE bool pm__select_leaves(pm__merge_run *q, const pm_place *a, const pm_place *b,
                                           pm__select_target *to, pm__merge_answer *out) {
    pm__select_kept s;
    pm__select_work g;
    g.q = q;
    g.f = NULL;
    g.s = &s;
    to->plen = pm__result_ahead(a, &to->prefix);
    bool ok = pm__select_rows(&g, a, b);
    out->ref = 0;
    out->alg = (uint8_t)((g.same_a ? PM_ALG_LEFT : 0) | (g.same_b ? PM_ALG_RIGHT : 0));
    if (ok && out->alg == 0) {
        ok = pm__select_answer(q, &s, to, s.keep, out);
        if (ok) return true;
    }
    for (uint32_t m = s.fresh; m; m &= m - 1) pm__pay_release(q->cx, false, s.val[pm__ctz32(m)]);
    return ok;
}

/* ---- lines with children ------------------------------------------------------------------------------------- */

/* What pairs come to, for A's entries. */
typedef struct pm__select_answers {
    uint32_t stay;  /* entries that stay as they are */
    uint32_t other; /* entries in whose place, or as the first of a run in whose place, something else comes */
    uint8_t pair[PM__LINE_ENTRIES]; /* of which pair that is the result */
} pm__select_answers;

/* True if a pair's A is a run of the frame's own line. */
static PM__INLINE bool pm__select_pair_in_line(const pm__merge_frame *f, const pm__merge_pair *p) {
    return p->a.depth && p->a.node == f->select->a.node;
}

static void pm__select_gather(pm__merge_frame *f, pm__select_answers *y) {
    y->stay = f->select->keep;
    y->other = 0;
    for (unsigned k = 0; k < f->npairs; k++) {
        const pm__merge_pair *p = &f->pairs[k];
        pm__result_differ_by(f, p->alg);
        if (p->alg == PM_ALG_NONE) continue;
        if (p->alg == PM__MERGE_PICK && pm__select_pair_in_line(f, p)) {
            y->stay |= (uint32_t)p->ref << p->from_a;
        } else if (p->alg != PM__MERGE_PICK && (p->alg & PM_ALG_LEFT)) {
            y->stay |= pm__low_bits(p->count) << p->from_a;
        } else {
            y->other |= (uint32_t)1 << p->from_a;
            y->pair[p->from_a] = (uint8_t)k;
        }
    }
}

/* Some entries of a line: of those from `lo` on the ones whose bit is set, without `cut` bytes of suffix, and the
   prefix that they are under. */
typedef struct pm__select_pick {
    const pm__line *x;
    const uint8_t *prefix;
    size_t plen;
    unsigned lo, cut;
    uint32_t mask;
} pm__select_pick;

static pm__select_pick pm__select_pick_all(const pm__line *x) {
    pm__select_pick k = {x, pm__line_heap(x), x->plen, 0, 0, pm__low_bits(x->n)};
    return k;
}

/* All entries below a place, entered, in a line. */
static pm__select_pick pm__select_pick_place(const pm_place *p) {
    const pm__line *x = pm__place_line(p);
    pm__select_pick k = {x, NULL, 0, 0, 0, 0};
    k.plen = pm__result_ahead(p, &k.prefix);
    k.lo = p->lo + (p->depth ? pm__place_val_entry(p, x) : 0);
    k.cut = p->depth > x->plen ? (unsigned)p->depth - x->plen : 0u;
    k.mask = pm__low_bits(p->hi - k.lo);
    return k;
}

/* Makes a node of some entries of a line, behind `above` bytes of prefix and what is ahead. 0: no memory, no room. */
static pm__ref pm__select_build_at(pm__merge_run *q, const pm_place *at, uint32_t mask, uint8_t *prefix,
                                   size_t above) {
    pm__select_kept s;
    const uint8_t *ahead = NULL;
    size_t len = pm__result_ahead(at, &ahead);
    s.over = s.fresh = 0;
    pm__select_row_fill(&s.a, at);
    if (!above) return pm__select_line(q, &s, ahead, len, mask);
    if (above + len + pm__line_heap_len(s.a.x) + pm__place_line(at)->n > PM__LINE_BYTES / 2) return 0;
    if (len) memcpy(prefix + above, ahead, len);
    return pm__select_line(q, &s, prefix, above + len, mask);
}

/* Makes a node of the entries that a pair keeps of a line, as its result. False: no memory. */
static bool pm__select_pair_build(pm__merge_run *q, pm__merge_pair *p, const pm_place *at, uint32_t mask) {
    pm__ref r = pm__select_build_at(q, at, mask, NULL, 0);
    if (!r) return false;
    p->ref = r;
    p->alg = PM_ALG_ELEMENT;
    return true;
}

/* What comes in the place of an entry of A, or of a run. */
typedef struct pm__select_source {
    pm_place at;          /* where entries are taken from */
    pm__select_pick pick; /* and which; none: a child comes */
    pm__ref child;
    bool fresh; /* it, or they, have been counted */
} pm__select_source;

static void pm__select_source_find(const pm__merge_pair *p, pm__select_source *c) {
    c->at = p->a;
    c->pick.mask = 0;
    c->child = p->ref;
    c->fresh = p->alg == PM_ALG_ELEMENT;
    if (c->fresh) {
        if (pm__ref_kind(p->ref) != PM__LINE || !pm__ref_is_unique(p->ref)) return;
        const pm__line *x = (const pm__line *)pm__ref_ptr(p->ref);
        if (x->n <= PM__RESULT_TAKES) c->pick = pm__select_pick_all(x);
        return;
    }
    bool picked = p->alg == PM__MERGE_PICK;
    c->at = picked ? p->a : p->b;
    (void)pm__result_enter(&c->at);
    c->child = c->at.node;
    if (!picked && !c->at.depth) return;
    pm__result_look(&c->at);
    c->pick = pm__select_pick_place(&c->at);
    if (picked) c->pick.mask = (uint32_t)p->ref;
}

/* ---- blending ------------------------------------------------------------------------------------------------ */

/* A line that is put together of entries that stay, and of what comes in other places, without a list in between. */
typedef struct pm__select_blend {
    unsigned n, pays;                          /* entries, and payloads as far as unit maps have them */
    size_t rest;                               /* bytes of entries, without the first of each */
    pm__select_source comer[PM__LINE_ENTRIES]; /* by A's entry */
} pm__select_blend;

/* Takes entries in, beside `after` more pairs, if there is room. */
static bool pm__select_blend_take(const pm__merge_frame *f, pm__select_blend *l, const pm__select_pick *k, size_t len,
                                  unsigned after) {
    const uint8_t *lens = pm__line_lens(k->x) + k->lo;
    unsigned n = pm__popcount32(k->mask), most = 0;
    size_t each = len + k->plen - k->cut, rest = n * each; /* modulo the word: `cut` is less than any of the lengths */
    if (n > PM__RESULT_TAKES || l->n + n + after > PM__LINE_ENTRIES) return false;
    for (uint32_t m = k->mask; m; m &= m - 1) {
        unsigned have = lens[pm__ctz32(m)];
        rest += have;
        most = have > most ? have : most;
    }
    if (f->plen + each + most + 1 > PM__SUFFIX_MAX) return false;
    if (f->plen + l->rest + rest + 10u * (l->n + n + after) > PM__LINE_BYTES - PM__LINE_HDR - 32) return false;
    l->rest += rest - (k->lo == 0 && (k->mask & 1) && pm__line_has_e(k->x));
    l->n += n;
    l->pays += pm__popcount32(k->mask & (uint32_t)((uint64_t)k->x->cmask >> k->lo));
    return true;
}

/* Adds what a pair comes to; entries are made into a node where there is no room for them. False: no memory. */
static bool pm__select_blend_add(pm__merge_run *q, const pm__merge_frame *f, pm__select_blend *l, pm__merge_pair *p,
                                 unsigned after) {
    pm__select_source *c = &l->comer[p->from_a];
    pm__select_source_find(p, c);
    if (c->pick.mask && pm__select_blend_take(f, l, &c->pick, p->len, after)) return true;
    if (c->pick.mask && !c->fresh) {
        if (!pm__select_pair_build(q, p, &c->at, c->pick.mask)) return false;
        c->child = p->ref;
        c->fresh = true;
    }
    c->pick.mask = 0;
    l->rest += p->len - 1u;
    l->n++;
    l->pays++;
    return true;
}

/* Plans a line of the frame's result. 1: done; 0: it is none, or bytes go to its prefix; -1: no memory. */
static int pm__select_blend_plan(pm__merge_run *q, const pm__merge_frame *f, const pm__select_answers *y,
                                 pm__select_blend *l) {
    const pm__select_row *r = &f->select->a;
    uint32_t all = y->stay | y->other;
    unsigned after = pm__popcount32(y->other), first = pm__ctz32(all), last = 63 - pm__clz64(all);
    l->n = pm__popcount32(y->stay);
    l->pays = pm__popcount32(y->stay & r->kids);
    l->rest = 0;
    if (first == last || r->first[first] == r->first[last]) return 0;
    for (uint32_t m = y->stay; m; m &= m - 1) l->rest += r->lens[pm__ctz32(m)] - r->cut;
    for (uint32_t m = y->other; m; m &= m - 1) {
        after--;
        if (!pm__select_blend_add(q, f, l, &f->pairs[y->pair[pm__ctz32(m)]], after)) return -1;
    }
    return l->n <= PM__LINE_ENTRIES;
}

/* Writes the entries that are taken from another line, behind A's suffix up to there. */
static PM__INLINE void pm__select_pen_pick(pm__pen *w, const pm__select_row *r, unsigned i, size_t len,
                                           const pm__select_pick *k, bool roomy) {
    const pm__line *x = k->x;
    const uint8_t *heap = pm__line_heap(x), *lens = pm__line_lens(x), *lead = w->heap;
    const size_t nlead = len - 1 + k->plen;
    const bool wide = roomy && pm__line_is_wide(x);
    pm__copy_steps(w->heap, pm__select_row_rest(r, i), len - 1, roomy && pm__line_is_wide(r->x));
    if (k->plen) pm__copy_steps(w->heap + len - 1, k->prefix, k->plen, wide);
    for (uint32_t m = k->mask; m; m &= m - 1) {
        unsigned j = k->lo + pm__ctz32(m);
        const uint8_t *s = heap + pm__line_off(x, j) + k->cut;
        bool child = pm__line_is_child(x, j), e = j == 0 && pm__line_has_e(x);
        size_t l = lens[j] - k->cut;
        uint8_t *to = w->heap;
        if (to != lead) pm__copy_steps(to, lead, nlead, roomy);
        if (PM__LIKELY(!e)) {
            to[nlead] = k->cut ? s[-1] : x->body[j];
            pm__copy_steps(to + nlead + 1, s, l, wide);
        }
        pm__pen_next(w, r->first[i], e ? nlead : nlead + 1 + l, child,
                     child ? *pm__line_child(x, j) : *pm__line_val(x, j));
    }
}

/* Counts what is taken over from elsewhere, and frees lines whose entries have moved. */
static void pm__select_blend_settle(const pm__cx *cx, const pm__select_source *c) {
    const pm__select_pick *k = &c->pick;
    if (!k->mask) {
        if (!c->fresh) pm__ref_retain(c->child);
        return;
    }
    if (c->fresh) {
        pm__mem_free(pm__ref_ptr(c->child), pm__line_size(k->x));
        return;
    }
    uint32_t kids = k->mask & (uint32_t)((uint64_t)k->x->cmask >> k->lo), vals = k->mask & ~kids;
    for (; kids; kids &= kids - 1) pm__ref_retain(*pm__line_child(k->x, k->lo + pm__ctz32(kids)));
    if (cx->plain || cx->unit) return;
    for (; vals; vals &= vals - 1) pm__val_retain(cx->ops, *pm__line_val(k->x, k->lo + pm__ctz32(vals)));
}

/* Writes the line that was planned. 0: it does not fit one, or no memory. */
static pm__ref pm__select_blend_write(pm__merge_run *q, const pm__merge_frame *f, const pm__select_answers *y,
                                      pm__select_blend *l) {
    const pm__select_kept *s = f->select;
    const pm__select_row *r = &s->a;
    const unsigned n = l->n, pays = q->cx->unit ? l->pays : n;
    const bool roomy = n >= 5 && !q->cx->unit, wide = roomy && pm__line_is_wide(r->x);
    size_t size = pm__line_need(n, f->plen + l->rest, pays);
    uint64_t room[PM__LINE_ENTRIES];
    pm__pen w;
    if (!size || !pm__pen_open(&w, room, q->cx, size, n, f->prefix, f->plen, 0)) return 0;
    for (uint32_t m = y->stay | y->other; m; m &= m - 1) {
        unsigned i = pm__ctz32(m);
        if (y->other >> i & 1) {
            const pm__select_source *c = &l->comer[i];
            size_t len = f->pairs[y->pair[i]].len;
            if (c->pick.mask) {
                pm__select_pen_pick(&w, r, i, len, &c->pick, roomy);
            } else {
                pm__copy_steps(w.heap, pm__select_row_rest(r, i), len - 1, wide);
                pm__pen_next(&w, r->first[i], len - 1, true, c->child);
            }
        } else {
            bool child = pm__select_row_is_child(r, i);
            size_t rest = r->lens[i] - r->cut;
            pm__copy_steps(w.heap, pm__select_row_rest(r, i), rest, wide);
            pm__pen_next(&w, r->first[i], rest, child,
                         child              ? pm__select_row_child(r, i)
                         : s->over >> i & 1 ? s->val[i]
                                            : pm__select_row_val(r, i));
        }
    }
    if (r->e && (y->stay & 1)) w.flags |= PM__LINE_E;
    pm__select_retain(q->cx, s, y->stay);
    for (uint32_t m = y->other; m; m &= m - 1) pm__select_blend_settle(q->cx, &l->comer[pm__ctz32(m)]);
    return pm__pen_close(&w, room, size);
}

/* Gives such a line. 1: done; 0: it is not to be had this way; -1: no memory. */
static PM__NOINLINE int pm__select_blended(pm__merge_run *q, const pm__merge_frame *f, const pm__select_answers *y,
                                           pm__merge_answer *out) {
    pm__select_blend l;
    int planned = pm__select_blend_plan(q, f, y, &l);
    if (planned <= 0) return planned;
    out->ref = pm__select_blend_write(q, f, y, &l);
    out->alg = PM_ALG_ELEMENT;
    return out->ref != 0;
}

/* Makes the result of entries that one pair keeps of another line, nothing else being left. 0: no memory, or they do
   not fit a line. */
static pm__ref pm__select_build_only(pm__merge_run *q, const pm__merge_frame *f, unsigned i, const pm__merge_pair *p) {
    const pm__ent e = pm__select_row_ent(&f->select->a, i);
    uint8_t prefix[PM__LINE_BYTES];
    pm__select_source c;
    pm__select_source_find(p, &c);
    if (!c.pick.mask || c.fresh) return 0;
    if (f->plen) memcpy(prefix, f->prefix, f->plen);
    prefix[f->plen] = e.first;
    memcpy(prefix + f->plen + 1, e.rest, p->len - 1u);
    return pm__select_build_at(q, &c.at, c.pick.mask, prefix, f->plen + p->len);
}

/* Lists what stays and what comes in other places, and makes a node of it. False: no memory. */
static PM__NOINLINE bool pm__select_build(pm__merge_run *q, pm__merge_frame *f, const pm__select_answers *y,
                                          pm__merge_answer *out) {
    const pm__select_kept *s = f->select;
    pm__ent ents[PM__LINE_ENTRIES];
    unsigned n = 0, only = pm__ctz32(y->other);
    out->alg = PM_ALG_ELEMENT;
    if (!y->stay && y->other == (uint32_t)1 << only) {
        out->ref = pm__select_build_only(q, f, only, &f->pairs[y->pair[only]]);
        if (out->ref) return true;
    }
    for (uint32_t m = y->stay | y->other; m; m &= m - 1) {
        unsigned i = pm__ctz32(m);
        pm__ent *e = &ents[n++];
        *e = pm__select_row_ent(&s->a, i);
        if (s->over >> i & 1) e->pay = s->val[i], e->fresh = s->fresh >> i & 1;
        if (!(y->other >> i & 1)) continue;
        pm__merge_pair *p = &f->pairs[y->pair[i]];
        pm__select_source c;
        pm__select_source_find(p, &c);
        if (c.pick.mask && !c.fresh && !pm__select_pair_build(q, p, &c.at, c.pick.mask)) return false;
        e->len = p->len;
        e->child = true;
        e->fresh = p->alg == PM_ALG_ELEMENT;
        e->pay = e->fresh ? p->ref : c.child;
    }
    out->ref = pm__result_build_condensed(q, ents, n, f->prefix, f->plen);
    return out->ref != 0;
}

/* Closes a frame that selects. `pick`: whether the list above can take entries. False: no memory. */
static bool pm__select_close(pm__merge_run *q, pm__merge_frame *f, bool pick, pm__merge_answer *out) {
    pm__select_answers y;
    pm__select_gather(f, &y);
    out->ref = 0;
    out->alg = (uint8_t)((f->same_a ? PM_ALG_LEFT : 0) | (f->same_b ? PM_ALG_RIGHT : 0));
    if (out->alg) return true;
    if (y.other) {
        int done = pm__select_blended(q, f, &y, out);
        return done ? done > 0 : pm__select_build(q, f, &y, out);
    }
    const pm__merge_frame *up = f->up;
    pm__select_target to = {f->prefix, f->plen, pick, pick && pm__select_pair_in_line(up, &up->pairs[up->next])};
    return pm__select_answer(q, f->select, &to, y.stay, out);
}

/* Opens such a pair. The frame is left on the stack, whatever it still waits for. False: see q->status. */
static PM__NOINLINE bool pm__select_open(pm__merge_run *q, const pm_place *a, const pm_place *b) {
    pm__select_work g;
    unsigned kids = pm__popcount32(pm__place_line(a)->cmask) + pm__popcount32(pm__place_line(b)->cmask);
    pm__merge_frame *f = pm__merge_push(q, kids, 0, 0, sizeof(pm__select_kept));
    if (!f) {
        q->status = PM_NOMEM;
        return false;
    }
    f->select = (pm__select_kept *)(void *)f->vals;
    f->plen = pm__result_ahead(a, &f->prefix);
    g.q = q;
    g.f = f;
    g.s = f->select;
    bool ok = pm__select_rows(&g, a, b);
    f->same_a = g.same_a;
    f->same_b = g.same_b;
    return ok;
}
