/* Pairs as lines: two lines that have the same bytes of prefix ahead of them, or none, combined without taking them
   apart. Join, meet and subtract.

   Each side is a row: consecutive entries of a line, less the bytes that are behind the place. An entry's key is one
   word that sorts as its suffix does: seven bytes, and the length up to 8. So most comparisons are one of words, and
   values, which are most entries, are merged without branches that are hard to foresee: what comes of it is which
   entries of A, and of B, are in both. Two suffixes of eight or more bytes with one key are taken to be equal, and
   compared later; if that was wrong, everything is merged once more, with care, and so are the next pairs at once.

   What stays is listed by number: entry i of A, entry i of B (+ 32), or pair p (+ 64). A child at suffix s meets the
   run of the other row's entries that go on from s, or the child there: a pair. It is answered later; then the list is
   spelled out, and a node is made of it. A result of few entries of A, as they are, is not made into a node at once:
   the list above may have room for them (PM__ALG_PICK). */
#include "32_algebra_build.c"

enum { PM__ALG_FROM_B = PM__LINE_ENTRIES, PM__ALG_PAIR = 2 * PM__LINE_ENTRIES };

typedef struct pm__alg_row {
    const pm__line *x;
    pm__ref node;
    const uint64_t *val;  /* the value of entry i is val[-(i & each)] */
    const uint8_t *lens;  /* of entry 0 on, less one, and with `cut` */
    const uint8_t *heap;
    unsigned each;        /* ~0, or 0 in unit maps */
    unsigned lo, n, cut;  /* entry 0 is entry lo of the line; bytes of suffix that are behind the place */
    uint32_t kids;        /* bit i: entry i is a child */
    bool e;               /* entry 0 has no suffix */
    uint16_t off[PM__LINE_ENTRIES]; /* where in the heap the bytes behind the first begin */
} pm__alg_row;

typedef struct pm__alg_weave {
    pm__alg_row a, b;
    unsigned n;
    uint32_t over, fresh; /* entries of A whose value is another, and of these those not counted elsewhere */
    uint8_t item[PM__ALG_LIST];
    pm_val val[PM__LINE_ENTRIES];
} pm__alg_weave;

/* What is needed while merging only. */
typedef struct pm__alg_shuttle {
    pm__alg *q;
    pm__alg_frame *f;
    pm__alg_weave *w;
    unsigned i, j;           /* the next entries */
    uint32_t both_a, both_b; /* values that are in both rows; the first of these is the first of those, and so on */
    uint32_t stay;           /* meet, subtract: entries of A that stay, and those that begin a pair */
    uint32_t pair_a;         /* the latter */
    uint32_t gone_a, gone_b; /* entries whose runs have met */
    bool careful;
    uint64_t ka[PM__LINE_ENTRIES], kb[PM__LINE_ENTRIES];
} pm__alg_shuttle;

/* ---- rows ---------------------------------------------------------------------------------------------------- */

/* Which bytes of a key belong to a suffix of so many bytes behind the first. */
static const uint64_t pm__alg_key_mask[8] = {0, 0x00FF000000000000u, 0x00FFFF0000000000u, 0x00FFFFFF00000000u,
    0x00FFFFFFFF000000u, 0x00FFFFFFFFFF0000u, 0x00FFFFFFFFFFFF00u, 0x00FFFFFFFFFFFF00u};

/* Works out offsets and keys. Eight bytes from the heap's bytes of any entry on are inside the block. */
static PM__INLINE void pm__alg_row_keys(pm__alg_row *r, unsigned off, const unsigned cut, uint64_t *key) {
    const uint8_t *lens = r->lens, *firsts = r->x->body + r->lo, *heap = r->heap;
    for (unsigned i = 0, n = r->n; i < n; i++) {
        unsigned l = lens[i], left = l - cut, most = left < 7 ? left : 7;
        const uint8_t *s = heap + off + cut;
        uint64_t first = cut ? s[-1] : firsts[i];
        key[i] = (first << 56 | (pm__load64be(s) >> 8 & pm__alg_key_mask[most])) + most + 1;
        r->off[i] = (uint16_t)(off + cut);
        off += l;
    }
}

static void pm__alg_row_fill(pm__alg_row *r, const pm_place *p, uint64_t *key) {
    const pm__line *x = pm__place_line(p);
    unsigned lo = p->lo + (p->depth ? pm__place_val_entry(p, x) : 0), n = p->hi - lo;
    r->x = x;
    r->node = p->node;
    r->lo = lo;
    r->n = n;
    r->cut = p->depth > x->plen ? (unsigned)p->depth - x->plen : 0u;
    r->lens = pm__line_lens(x) + lo;
    r->heap = pm__line_heap(x);
    r->kids = (uint32_t)((uint64_t)x->cmask >> lo) & pm__low_bits(n);
    r->each = (x->flags & PM__LINE_UNIT) ? 0 : ~0u;
    r->val = (x->flags & PM__LINE_UNIT) ? &pm__unit_val : pm__line_pay_at(x, lo);
    r->e = lo == 0 && n && pm__line_has_e(x);
    if (r->cut) pm__alg_row_keys(r, pm__line_off(x, lo), r->cut, key);
    else pm__alg_row_keys(r, lo ? pm__line_off(x, lo) : x->plen, 0, key);
    if (r->e) key[0] = 0;
}

static PM__INLINE pm_val pm__alg_row_val(const pm__alg_row *r, unsigned i) {
    return r->val[-(ptrdiff_t)(i & r->each)];
}
static PM__INLINE unsigned pm__alg_row_len(const pm__alg_row *r, unsigned i) {
    return i == 0 && r->e ? 0 : r->lens[i] + 1u - r->cut;
}
static PM__INLINE const uint8_t *pm__alg_row_rest(const pm__alg_row *r, unsigned i) { return r->heap + r->off[i]; }
static PM__INLINE uint8_t pm__alg_row_first(const pm__alg_row *r, unsigned i) {
    return r->cut ? pm__alg_row_rest(r, i)[-1] : r->x->body[r->lo + i];
}
static PM__INLINE bool pm__alg_row_is_child(const pm__alg_row *r, unsigned i) { return (r->kids >> i) & 1; }
static PM__INLINE pm__ref pm__alg_row_child(const pm__alg_row *r, unsigned i) {
    return *pm__line_child(r->x, r->lo + i);
}

/* Common length of entry i of row r and entry j of row s, whose keys are x and y. */
static size_t pm__alg_row_common(const pm__alg_row *r, unsigned i, uint64_t x, const pm__alg_row *s, unsigned j,
                                 uint64_t y) {
    size_t lr = pm__alg_row_len(r, i), ls = pm__alg_row_len(s, j), min = lr < ls ? lr : ls;
    size_t l = (x ^ y) >> 8 ? pm__clz64(x ^ y) / 8 : 7;
    if (l < 7 || min <= 7) return l < min ? l : min;
    return 7 + pm__lcp(pm__alg_row_rest(r, i) + 6, pm__alg_row_rest(s, j) + 6, min - 7);
}

/* Entries with equal keys and eight bytes or more: below 0, 0, above 0 as the one of A is less, equal, greater. Eight
   bytes from the heap's last one of any entry on are inside the block. */
static PM__INLINE int pm__alg_row_compare(const pm__alg_row *a, unsigned i, const pm__alg_row *b, unsigned j) {
    unsigned la = pm__alg_row_len(a, i) - 7, lb = pm__alg_row_len(b, j) - 7, min = la < lb ? la : lb;
    const uint8_t *p = pm__alg_row_rest(a, i) + 6, *q = pm__alg_row_rest(b, j) + 6;
    uint64_t x = pm__load64be(p), y = pm__load64be(q);
    if (min < 8) {
        x >>= 8 * (8 - min), y >>= 8 * (8 - min);
    } else if (x == y) {
        int c = memcmp(p + 8, q + 8, min - 8);
        if (c) return c;
    }
    return x == y ? (int)la - (int)lb : x < y ? -1 : 1;
}

static pm__ent pm__alg_row_ent(const pm__alg_row *r, unsigned i) {
    pm__ent e;
    e.rest = pm__alg_row_rest(r, i);
    e.len = (uint16_t)pm__alg_row_len(r, i);
    e.child = pm__alg_row_is_child(r, i);
    e.first = pm__alg_row_first(r, i);
    e.pay = e.child ? pm__alg_row_child(r, i) : pm__alg_row_val(r, i);
    e.fresh = false;
    return e;
}

/* The place at the suffix (of length len) of entries [i, end): a child, or a run that goes on. */
static pm_place pm__alg_row_place(const pm__alg_row *r, unsigned i, unsigned end, unsigned len) {
    if (pm__alg_row_is_child(r, i) && pm__alg_row_len(r, i) == len) return pm__alg_root(pm__alg_row_child(r, i));
    unsigned depth = r->x->plen + r->cut + len;
    pm_place p = {r->node, (uint16_t)depth, (uint8_t)(r->lo + i), (uint8_t)(r->lo + end)};
    return p;
}

/* ---- merging ------------------------------------------------------------------------------------------------- */

/* Takes entries [i, end) of A into the result. */
static void pm__alg_stay_a(pm__alg_shuttle *g, unsigned i, unsigned end) {
    pm__alg_weave *w = g->w;
    g->stay |= pm__low_bits(end) & ~pm__low_bits(i);
    if (g->q->op != PM__ALG_JOIN) return;
    for (; i < end; i++) w->item[w->n++] = (uint8_t)i;
}

static void pm__alg_stay_b(pm__alg_shuttle *g, unsigned j, unsigned end) {
    pm__alg_weave *w = g->w;
    for (; j < end; j++) w->item[w->n++] = (uint8_t)(PM__ALG_FROM_B + j);
}

/* Where the values end that begin at entry i. */
static PM__INLINE unsigned pm__alg_row_values(const pm__alg_row *r, unsigned i) {
    return i + pm__ctz64((r->kids | (uint64_t)1 << r->n) >> i);
}

/* Merges values, up to a child or the end of a row. */
static PM__INLINE void pm__alg_weave_values(pm__alg_shuttle *g, const bool join) {
    pm__alg_weave *w = g->w;
    unsigned i = g->i, j = g->j, n = w->n;
    const unsigned enda = pm__alg_row_values(&w->a, i), endb = pm__alg_row_values(&w->b, j), careful = g->careful;
    uint64_t both_a = 0, both_b = 0;
    while (i < enda && j < endb) {
        uint64_t x = g->ka[i], y = g->kb[j];
        unsigned before = x <= y, after = x >= y, equal = before & after;
        if (careful & equal & (unsigned)x >> 3) { /* low bytes of 8 */
            int c = pm__alg_row_compare(&w->a, i, &w->b, j);
            before = c <= 0, after = c >= 0, equal = c == 0;
        }
        if (join) w->item[n++] = (uint8_t)(before ? i : PM__ALG_FROM_B + j);
        both_a |= (uint64_t)equal << i;
        both_b |= (uint64_t)equal << j;
        i += before;
        j += after;
    }
    g->i = i, g->j = j, w->n = n;
    g->both_a |= (uint32_t)both_a;
    g->both_b |= (uint32_t)both_b;
}

/* The location of a dangling entry has a value on the other side, which was dealt with just before. */
static bool pm__alg_row_valued(const pm__alg_row *other, const uint64_t *keys, unsigned next, const pm__alg_row *r,
                               unsigned i, uint64_t key) {
    unsigned len = pm__alg_row_len(r, i);
    if (!next || pm__alg_row_is_child(other, next - 1) || pm__alg_row_len(other, next - 1) != len) return false;
    return pm__alg_row_common(other, next - 1, keys[next - 1], r, i, key) == len;
}

/* Entry g->i is in A only. Values that only one side has are told by their number at the end. */
static void pm__alg_weave_only_a(pm__alg_shuttle *g) {
    pm__alg_weave *w = g->w;
    pm__alg_op op = g->q->op;
    unsigned i = g->i++;
    bool child = pm__alg_row_is_child(&w->a, i);
    if (child && !pm__alg_row_child(&w->a, i) && pm__alg_row_valued(&w->b, g->kb, g->j, &w->a, i, g->ka[i])) {
        if (op != PM__ALG_JOIN) g->f->same_a = false; /* else B's value keeps the location; no more is said of it */
        return;
    }
    if (op == PM__ALG_MEET) {
        if (child) g->f->same_a = false;
        return;
    }
    if (child || op == PM__ALG_JOIN) pm__alg_stay_a(g, i, i + 1);
    if (child) g->f->same_b = false;
}

static void pm__alg_weave_only_b(pm__alg_shuttle *g) {
    pm__alg_weave *w = g->w;
    unsigned j = g->j++;
    bool child = pm__alg_row_is_child(&w->b, j);
    if (g->q->op != PM__ALG_JOIN) {
        if (child) g->f->same_b = false;
        return;
    }
    if (child && !pm__alg_row_child(&w->b, j) && pm__alg_row_valued(&w->a, g->ka, g->i, &w->b, j, g->kb[j])) return;
    pm__alg_stay_b(g, j, j + 1);
    if (child) g->f->same_a = false;
}

/* One of two runs that meet is a dangling location. */
static void pm__alg_weave_stub(pm__alg_shuttle *g, unsigned iend, unsigned jend, bool stub_a, bool stub_b) {
    pm__alg_op op = g->q->op;
    if (op == PM__ALG_JOIN || (op == PM__ALG_MEET && stub_a && stub_b)) {
        if (stub_a && op == PM__ALG_JOIN) pm__alg_stay_b(g, g->j, jend);
        else pm__alg_stay_a(g, g->i, iend);
        pm__alg_differ(g->f, stub_a == stub_b ? PM_ALG_BOTH : stub_a ? PM_ALG_RIGHT : PM_ALG_LEFT);
    } else if (op == PM__ALG_SUB && !stub_a) {
        pm__alg_stay_a(g, g->i, iend);
        g->f->same_b = false;
    } else {
        g->f->same_a = g->f->same_b = false;
    }
}

/* The runs up to iend and jend meet at a suffix of length len, at least one of them being a child just there. */
static void pm__alg_weave_runs(pm__alg_shuttle *g, unsigned iend, unsigned jend, unsigned len) {
    pm__alg_weave *w = g->w;
    unsigned i = g->i, j = g->j;
    bool child_a = pm__alg_row_is_child(&w->a, i) && pm__alg_row_len(&w->a, i) == len;
    bool child_b = pm__alg_row_is_child(&w->b, j) && pm__alg_row_len(&w->b, j) == len;
    pm__ref in_a = child_a ? pm__alg_row_child(&w->a, i) : 0, in_b = child_b ? pm__alg_row_child(&w->b, j) : 0;
    g->gone_a |= pm__low_bits(iend) & ~pm__low_bits(i);
    g->gone_b |= pm__low_bits(jend) & ~pm__low_bits(j);
    if ((child_a && !in_a) || (child_b && !in_b)) {
        pm__alg_weave_stub(g, iend, jend, child_a && !in_a, child_b && !in_b);
    } else if (in_a == in_b && g->q->idempotent) {
        if (g->q->op == PM__ALG_SUB) g->f->same_a = g->f->same_b = false;
        else pm__alg_stay_a(g, i, i + 1);
    } else {
        pm__alg_pair *p = &g->f->pairs[g->f->npairs];
        if (g->f->npairs < PM__ALG_AHEAD && child_a) pm__ref_prefetch(in_a);
        if (g->f->npairs < PM__ALG_AHEAD && child_b) pm__ref_prefetch(in_b);
        w->item[w->n++] = (uint8_t)(PM__ALG_PAIR + g->f->npairs++);
        g->pair_a |= (uint32_t)1 << i;
        p->a = pm__alg_row_place(&w->a, i, iend, len);
        p->b = pm__alg_row_place(&w->b, j, jend, len);
        p->ref = 0;
        p->alg = PM__ALG_WAITS;
        p->mine = true;
        p->from_a = (uint8_t)i;
        p->spelled = child_a && !child_b ? PM_ALG_RIGHT : PM_ALG_LEFT;
        p->at = (uint8_t)(p->spelled == PM_ALG_LEFT ? i : PM__ALG_FROM_B + j);
        p->count = (uint8_t)(p->spelled == PM_ALG_LEFT ? iend - i : jend - j);
        p->len = (uint16_t)len;
    }
    g->i = iend;
    g->j = jend;
}

/* The end of the run of entries, from i on, that go on from entry j of another row. */
static unsigned pm__alg_row_run(const pm__alg_row *r, const uint64_t *keys, unsigned i, const pm__alg_row *other,
                                unsigned j, uint64_t key) {
    unsigned len = pm__alg_row_len(other, j);
    while (i < r->n && pm__alg_row_len(r, i) >= len && pm__alg_row_common(r, i, keys[i], other, j, key) == len) i++;
    return i;
}

/* One of the next two entries is a child. */
static void pm__alg_weave_child(pm__alg_shuttle *g) {
    const pm__alg_row *a = &g->w->a, *b = &g->w->b;
    unsigned i = g->i, j = g->j;
    uint64_t x = g->ka[i], y = g->kb[j];
    size_t l = pm__alg_row_common(a, i, x, b, j, y);
    bool ends_a = l == pm__alg_row_len(a, i), ends_b = l == pm__alg_row_len(b, j);
    bool child_a = pm__alg_row_is_child(a, i), child_b = pm__alg_row_is_child(b, j);
    if (!ends_a && !ends_b) {
        if (l < 7 ? x < y : pm__alg_row_rest(a, i)[l - 1] < pm__alg_row_rest(b, j)[l - 1]) pm__alg_weave_only_a(g);
        else pm__alg_weave_only_b(g);
    } else if (ends_a && !child_a) {
        pm__alg_weave_only_a(g);
    } else if (ends_b && !child_b) {
        pm__alg_weave_only_b(g);
    } else if (ends_a && ends_b) {
        pm__alg_weave_runs(g, i + 1, j + 1, (unsigned)l);
    } else if (ends_a) {
        pm__alg_weave_runs(g, i + 1, pm__alg_row_run(b, g->kb, j, a, i, x), (unsigned)l);
    } else {
        pm__alg_weave_runs(g, pm__alg_row_run(a, g->ka, i, b, j, y), j + 1, (unsigned)l);
    }
}

/* Merges both rows. Nothing is said yet of values. */
static void pm__alg_weave_rows(pm__alg_shuttle *g) {
    pm__alg_weave *w = g->w;
    bool join = g->q->op == PM__ALG_JOIN;
    g->i = g->j = g->gone_a = g->gone_b = 0;
    g->both_a = g->both_b = g->stay = g->pair_a = 0;
    w->n = g->f->npairs = 0;
    for (;;) {
        if (join) pm__alg_weave_values(g, true);
        else pm__alg_weave_values(g, false);
        if (g->i >= w->a.n || g->j >= w->b.n) break;
        pm__alg_weave_child(g);
    }
    while (g->i < w->a.n) pm__alg_weave_only_a(g);
    while (g->j < w->b.n) pm__alg_weave_only_b(g);
}

/* Looks at the values that are in both rows. False if entries were taken to be equal which are not. *slow: the entries
   of A whose values are not the same, or may not be taken for that. */
static bool pm__alg_weave_same(const pm__alg_shuttle *g, uint32_t *slow) {
    const pm__alg_row *a = &g->w->a, *b = &g->w->b;
    uint32_t differ = g->q->idempotent ? 0 : g->both_a;
    for (uint32_t m = g->both_a, k = g->both_b; m; m &= m - 1, k &= k - 1) {
        unsigned i = pm__ctz32(m), j = pm__ctz32(k);
        if ((g->ka[i] & 8) && !g->careful && pm__alg_row_compare(a, i, b, j) != 0) return false;
        differ |= (uint32_t)(pm__alg_row_val(a, i) != pm__alg_row_val(b, j)) << i;
    }
    *slow = differ;
    return true;
}

/* Combines values of the entries in `slow`. False: a hook is wrong. */
static bool pm__alg_weave_combine(pm__alg_shuttle *g, uint32_t slow) {
    pm__alg_weave *w = g->w;
    for (uint32_t m = g->both_a, k = g->both_b; m; m &= m - 1, k &= k - 1) {
        unsigned i = pm__ctz32(m);
        uint32_t bit = m & (0 - m);
        pm__alg_val r;
        if (!(slow & bit)) continue;
        pm_val x = pm__alg_row_val(&w->a, i), y = pm__alg_row_val(&w->b, pm__ctz32(k));
        bool ok = pm__alg_value(g->q, &x, &y, &r);
        pm__alg_differ(g->f, ok && r.some ? r.alg : 0);
        if (!ok) return false;
        g->stay = r.some ? g->stay | bit : g->stay & ~bit;
        if (!r.some || (!r.fresh && (r.alg & PM_ALG_LEFT))) continue;
        w->over |= bit;
        w->val[i] = r.val;
        if (r.fresh) w->fresh |= bit;
    }
    return true;
}

/* What stays of the values, and which sides the result equals as far as they go. False: a hook is wrong. */
static bool pm__alg_weave_settle(pm__alg_shuttle *g, uint32_t slow) {
    pm__alg_weave *w = g->w;
    pm__alg_op op = g->q->op;
    uint32_t only_a = pm__low_bits(w->a.n) & ~(w->a.kids | g->gone_a | g->both_a);
    uint32_t only_b = pm__low_bits(w->b.n) & ~(w->b.kids | g->gone_b | g->both_b);
    if (only_a) *(op == PM__ALG_MEET ? &g->f->same_a : &g->f->same_b) = false;
    if (only_b) *(op == PM__ALG_JOIN ? &g->f->same_a : &g->f->same_b) = false;
    if (op == PM__ALG_SUB && g->both_a & ~slow) g->f->same_a = g->f->same_b = false; /* they took each other away */
    g->stay |= op == PM__ALG_MEET ? g->both_a : only_a;
    if (slow && !pm__alg_weave_combine(g, slow)) return false;
    if (op == PM__ALG_JOIN) return true;
    w->n = 0;
    unsigned pair = PM__ALG_PAIR;
    for (uint32_t m = g->stay | g->pair_a; m; m &= m - 1) {
        bool begins = g->pair_a & m & (0 - m);
        w->item[w->n++] = (uint8_t)(begins ? pair : pm__ctz32(m));
        pair += begins;
    }
    return true;
}

/* ---- closing ------------------------------------------------------------------------------------------------- */

static const pm__alg_row *pm__alg_row_of(const pm__alg_weave *w, unsigned item, unsigned *i) {
    *i = item & (PM__LINE_ENTRIES - 1);
    return item < PM__ALG_FROM_B ? &w->a : &w->b;
}

static bool pm__alg_pair_made(const pm__alg_pair *p) { return p->alg == PM_ALG_ELEMENT || p->alg == PM__ALG_PICK; }

/* Whether a pair stays as the run that it was in one of the rows. What may be edited in place keeps its child. */
static bool pm__alg_pair_runs(const pm__alg_frame *f, const pm__alg_pair *p) {
    if (pm__alg_pair_made(p) || !(p->alg & p->spelled)) return false;
    return p->spelled == PM_ALG_LEFT || !f->own || !(p->alg & PM_ALG_LEFT);
}

/* What is kept of a pair: how many entries of the list it takes if nothing is absorbed, and bytes of line. */
static unsigned pm__alg_pair_takes(const pm__alg_frame *f, const pm__alg_pair *p, size_t *cost) {
    const pm__alg_weave *w = f->weave;
    if (p->alg == PM_ALG_NONE) return 0;
    if (!pm__alg_pair_runs(f, p)) {
        *cost += 9u + p->len;
        return 1;
    }
    unsigned i;
    const pm__alg_row *r = pm__alg_row_of(w, p->at, &i);
    for (unsigned k = 0; k < p->count; k++) *cost += 9u + pm__alg_row_len(r, i + k);
    return p->count;
}

/* The left side's entries that a pair keeps. */
static pm__alg_pick pm__alg_pair_pick(const pm__alg_pair *p) {
    pm_place at = p->a;
    (void)pm__place_enter(&at);
    const pm__line *x = pm__place_line(&at);
    pm__alg_pick k = {x, NULL, 0, 0, 0, (uint32_t)p->ref};
    k.plen = pm__alg_ahead(&at, &k.prefix);
    k.lo = at.lo + (at.depth ? pm__place_val_entry(&at, x) : 0);
    k.cut = at.depth > x->plen ? (unsigned)at.depth - x->plen : 0u;
    return k;
}

/* Writes what a pair came to into the list, beside `after` more entries. False: no memory. */
static bool pm__alg_pair_spell(pm__alg *q, const pm__alg_frame *f, pm__alg_pair *p, pm__alg_final *t, unsigned after) {
    const pm__alg_weave *w = f->weave;
    unsigned i;
    if (p->alg == PM_ALG_NONE) return true;
    const pm__alg_row *r = pm__alg_row_of(w, p->at, &i);
    bool made = pm__alg_pair_made(p);
    if (pm__alg_pair_runs(f, p)) {
        for (unsigned k = 0; k < p->count; k++) t->e[t->n++] = pm__alg_row_ent(r, i + k);
        return true;
    }
    pm__ent e = p->spelled == PM_ALG_RIGHT ? pm__alg_row_ent(&w->a, p->from_a) : pm__alg_row_ent(r, i);
    e.len = p->len;
    e.child = true;
    e.fresh = made;
    if (p->alg == PM__ALG_PICK) {
        pm__alg_pick pick = pm__alg_pair_pick(p);
        if (pm__alg_absorb(t, &e, f->plen, &pick, after, false)) return true;
        pm__ent few[PM__ALG_ABSORB];
        unsigned n = pm__alg_pick_list(&pick, few);
        pm__ref made_of = pm__alg_build(q, few, n, pick.prefix, pick.plen);
        if (!made_of) return false;
        p->ref = made_of;
        p->alg = PM_ALG_ELEMENT;
    } else if (made) {
        e.pay = p->ref;
        if (pm__alg_absorb_child(t, &e, f->plen, after)) return true;
    }
    e.pay = made ? p->ref : (p->alg & PM_ALG_LEFT) ? p->a.node : p->b.node;
    t->e[t->n++] = e;
    return true;
}

/* A line of a list without pairs, if it fits one and no bytes go to the prefix. 0: it does not, or no memory. */
static pm__ref pm__alg_weave_line(const pm__cx *cx, const pm__alg_frame *f) {
    const pm__alg_weave *w = f->weave;
    unsigned n = w->n, last, i, kids = 0;
    size_t heap = f->plen;
    const pm__alg_row *a = pm__alg_row_of(w, w->item[0], &i), *z = pm__alg_row_of(w, w->item[n - 1], &last);
    bool e = pm__alg_row_len(a, i) == 0;
    if (n > PM__LINE_ENTRIES || (n > 1 && !e && pm__alg_row_first(a, i) == pm__alg_row_first(z, last))) return 0;
    for (unsigned k = 0; k < n; k++) {
        const pm__alg_row *r = pm__alg_row_of(w, w->item[k], &i);
        heap += (size_t)r->lens[i] - r->cut;
        kids += pm__alg_row_is_child(r, i);
    }
    size_t size = pm__line_need(n, heap, cx->unit ? kids : n);
    pm__line *x = size ? (pm__line *)pm__mem_alloc(cx->pool, size) : NULL;
    if (!x) return 0;
    uint8_t *h = x->body + 2 * n;
    uint32_t cmask = 0;
    pm__count_init(&x->rc);
    x->flags = (uint8_t)(PM__LINE | (cx->unit ? PM__LINE_UNIT : 0) | (e ? PM__LINE_E : 0));
    x->n = (uint8_t)n;
    x->plen = (uint8_t)f->plen;
    x->size8 = (uint8_t)(size / 8);
    if (f->plen) memcpy(h, f->prefix, f->plen);
    h += f->plen;
    for (unsigned k = 0; k < n; k++) { /* payloads come after, so that writing eight bytes at a time does no harm */
        const pm__alg_row *r = pm__alg_row_of(w, w->item[k], &i);
        unsigned l = r->lens[i] - r->cut;
        const uint8_t *s = pm__alg_row_rest(r, i);
        x->body[k] = r->cut ? s[-1] : r->x->body[r->lo + i];
        x->body[n + k] = (uint8_t)l;
        if (l <= 8) pm__store64(h, pm__load64(s));
        else memcpy(h, s, l);
        h += l;
    }
    uint64_t *pay = (uint64_t *)(void *)((char *)x + size);
    for (unsigned k = 0; k < n; k++) {
        const pm__alg_row *r = pm__alg_row_of(w, w->item[k], &i);
        bool child = pm__alg_row_is_child(r, i), over = r == &w->a && (w->over >> i & 1);
        if (!child && cx->unit) continue;
        uint64_t p = child ? pm__alg_row_child(r, i) : over ? w->val[i] : pm__alg_row_val(r, i);
        cmask |= (uint32_t)child << k;
        *--pay = p;
        if ((child || !cx->plain) && !(over && (w->fresh >> i & 1))) pm__pay_retain(cx, child, p);
    }
    x->cmask = cmask;
    return pm__ref_make(x, PM__LINE, size);
}

/* Spells the list out, and makes a node of it, or an edit of A's. False: no memory. */
static PM__NOINLINE bool pm__alg_weave_build(pm__alg *q, pm__alg_frame *f, pm__alg_answer *out) {
    const pm__alg_weave *w = f->weave;
    pm__alg_final t;
    unsigned left = w->n, i;
    if (!f->npairs && !f->own && (out->ref = pm__alg_weave_line(q->cx, f)) != 0) return true;
    t.n = t.nshells = 0;
    t.nbytes = 0;
    t.cost = PM__LINE_HDR + f->plen;
    if (f->npairs) {
        left = 0;
        for (unsigned k = 0; k < w->n; k++) {
            unsigned item = w->item[k];
            const pm__alg_row *r = pm__alg_row_of(w, item, &i);
            if (item >= PM__ALG_PAIR) left += pm__alg_pair_takes(f, &f->pairs[item - PM__ALG_PAIR], &t.cost);
            else left++, t.cost += 9u + pm__alg_row_len(r, i);
        }
    }
    for (unsigned k = 0; k < w->n; k++) {
        if (w->item[k] >= PM__ALG_PAIR) {
            pm__alg_pair *p = &f->pairs[w->item[k] - PM__ALG_PAIR];
            size_t none = 0;
            left -= pm__alg_pair_takes(f, p, &none);
            if (!pm__alg_pair_spell(q, f, p, &t, left)) return false;
            continue;
        }
        const pm__alg_row *r = pm__alg_row_of(w, w->item[k], &i);
        pm__ent e = pm__alg_row_ent(r, i);
        bool over = r == &w->a && (w->over >> i & 1);
        if (over) e.pay = w->val[i], e.fresh = w->fresh >> i & 1;
        t.e[t.n++] = e;
        left--;
    }
    if (t.n == 0) return true;
    if (f->own && pm__alg_line_fits(q->cx, f, &t)) {
        out->alg = PM__ALG_EDIT;
        f->weave->fresh = 0; /* the list has them, and the edit will */
        return pm__alg_line_edit(q, f, &t);
    }
    return pm__alg_build_final(q, &t, f->prefix, f->plen, &out->ref);
}

/* Answers with a few entries of A, as they are, if that is what stays. */
static bool pm__alg_weave_pick(const pm__alg_weave *w, pm__alg_answer *out) {
    uint32_t mask = 0;
    if (w->n > PM__ALG_ABSORB || w->over) return false;
    for (unsigned k = 0; k < w->n; k++) {
        if (w->item[k] >= PM__ALG_FROM_B) return false;
        mask |= (uint32_t)1 << w->item[k];
    }
    out->alg = PM__ALG_PICK;
    out->ref = mask;
    return true;
}

/* Closes a frame of lines. `pick`: whether the list above can take entries. False: no memory. */
static bool pm__alg_close_lines(pm__alg *q, pm__alg_frame *f, bool pick, pm__alg_answer *out) {
    for (unsigned i = 0; i < f->npairs; i++)
        pm__alg_differ(f, f->pairs[i].alg < PM_ALG_ELEMENT ? f->pairs[i].alg : 0u);
    out->ref = 0;
    out->alg = (uint8_t)((f->same_a ? PM_ALG_LEFT : 0) | (f->same_b ? PM_ALG_RIGHT : 0));
    if (out->alg || f->weave->n == 0) return true;
    if (f->own && 2 * f->weave->n > f->weave->a.n) pick = false;
    if (pick && pm__alg_weave_pick(f->weave, out)) return true;
    if (!pm__alg_weave_build(q, f, out)) return false;
    if (out->ref) out->alg = PM_ALG_ELEMENT;
    return true;
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

/* True if two places in lines, entered, have the same bytes of prefix ahead. */
static PM__INLINE bool pm__alg_abreast(const pm_place *a, const pm_place *b) {
    const uint8_t *pa = NULL, *pb = NULL;
    size_t n = pm__alg_ahead(a, &pa);
    return pm__alg_ahead(b, &pb) == n && (n == 0 || memcmp(pa, pb, n) == 0);
}

/* Opens a pair as lines. The frame is left on the stack, whatever it still waits for. False: see q->status. */
static PM__NOINLINE bool pm__alg_open_lines(pm__alg *q, const pm_place *a, const pm_place *b) {
    pm__alg_shuttle g;
    unsigned kids = pm__popcount32(pm__place_line(a)->cmask) + pm__popcount32(pm__place_line(b)->cmask);
    pm__alg_frame *f = pm__alg_push(q, kids, 0, 0, sizeof(pm__alg_weave));
    if (!f) {
        q->status = PM_NOMEM;
        return false;
    }
    f->weave = (pm__alg_weave *)(void *)f->vals;
    f->plen = pm__alg_ahead(a, &f->prefix);
    g.q = q;
    g.f = f;
    g.w = f->weave;
    g.w->over = g.w->fresh = 0;
    g.careful = q->careful > 0;
    if (g.careful) q->careful--;
    pm__alg_row_fill(&g.w->a, a, g.ka);
    pm__alg_row_fill(&g.w->b, b, g.kb);
    uint32_t slow = 0;
    pm__alg_weave_rows(&g);
    if (!pm__alg_weave_same(&g, &slow)) {
        g.careful = true;
        q->careful = PM__ALG_CAREFUL;
        f->same_a = f->same_b = true;
        pm__alg_weave_rows(&g);
        (void)pm__alg_weave_same(&g, &slow); /* holds now */
    }
    return pm__alg_weave_settle(&g, slow);
}
