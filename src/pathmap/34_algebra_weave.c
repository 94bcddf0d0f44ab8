/* Pairs as lines that are woven: join and symmetric difference of two lines that have the same bytes of prefix ahead of
   them, or none.

   Both sides are rows (33_algebra_sieve.c), merged in order. An entry's key is one word that sorts as its suffix does:
   seven bytes, and the length up to 8. So most comparisons are one of words, and values, which are most entries, are
   merged without branches that are hard to foresee. Two suffixes of eight or more bytes with one key are taken to be
   equal, and compared later; if that was wrong, everything is merged once more, with care, and so are the next pairs at
   once.

   What stays is listed by number: entry i of A, entry i of B (+ 32), or pair p (+ 64). A child at suffix s meets the
   run of the other row's entries that go on from s, or the child there: a pair. It is answered later; then the list is
   spelled out, and a node is made of it. */
#include "33_algebra_sieve.c"

enum { PM__ALG_FROM_B = PM__LINE_ENTRIES, PM__ALG_PAIR = 2 * PM__LINE_ENTRIES };

typedef struct pm__alg_weave {
    pm__alg_row row[2]; /* of A, of B */
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
    uint32_t gone;           /* of these, entries of A that are not in the result */
    uint32_t met_a, met_b;   /* entries whose runs have met */
    bool careful;
    uint64_t ka[PM__LINE_ENTRIES], kb[PM__LINE_ENTRIES];
} pm__alg_shuttle;

/* ---- keys ---------------------------------------------------------------------------------------------------- */

/* Which bytes of a key belong to a suffix of so many bytes behind the first. */
static const uint64_t pm__alg_key_mask[8] = {0, 0x00FF000000000000u, 0x00FFFF0000000000u, 0x00FFFFFF00000000u,
    0x00FFFFFFFF000000u, 0x00FFFFFFFFFF0000u, 0x00FFFFFFFFFFFF00u, 0x00FFFFFFFFFFFF00u};

/* Works out keys. Eight bytes from the heap's bytes of any entry on are inside the block. */
static PM__INLINE void pm__alg_row_keys(const pm__alg_row *r, uint64_t *key) {
    for (unsigned i = 0; i < r->n; i++) {
        unsigned rest = r->lens[i] - r->cut, most = rest < 7 ? rest : 7;
        const uint8_t *s = r->heap + r->off[i];
        uint64_t first = r->first[i];
        key[i] = (first << 56 | (pm__load64be(s) >> 8 & pm__alg_key_mask[most])) + most + 1;
    }
    if (r->e) key[0] = 0;
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

/* ---- merging ------------------------------------------------------------------------------------------------- */

/* Takes entries [i, end) of A into the result. */
static void pm__alg_stay_a(pm__alg_weave *w, unsigned i, unsigned end) {
    for (; i < end; i++) w->item[w->n++] = (uint8_t)i;
}

static void pm__alg_stay_b(pm__alg_weave *w, unsigned j, unsigned end) {
    for (; j < end; j++) w->item[w->n++] = (uint8_t)(PM__ALG_FROM_B + j);
}

/* Where the values end that begin at entry i. */
static PM__INLINE unsigned pm__alg_row_values_end(const pm__alg_row *r, unsigned i) {
    return i + pm__ctz64((r->kids | (uint64_t)1 << r->n) >> i);
}

/* Merges values, up to a child or the end of a row. */
static PM__INLINE void pm__alg_weave_values(pm__alg_shuttle *g) {
    pm__alg_weave *w = g->w;
    unsigned i = g->i, j = g->j, n = w->n;
    const unsigned enda = pm__alg_row_values_end(&w->row[0], i), endb = pm__alg_row_values_end(&w->row[1], j);
    const unsigned careful = g->careful;
    uint64_t both_a = 0, both_b = 0;
    while (i < enda && j < endb) {
        uint64_t x = g->ka[i], y = g->kb[j];
        unsigned before = x <= y, after = x >= y, equal = before & after;
        if (careful & equal & (unsigned)x >> 3) { /* low bytes of 8 */
            int c = pm__alg_row_compare(&w->row[0], i, &w->row[1], j);
            before = c <= 0, after = c >= 0, equal = c == 0;
        }
        w->item[n++] = (uint8_t)((PM__ALG_FROM_B + j) ^ (((PM__ALG_FROM_B + j) ^ i) & (0 - before))); /* no branch */
        both_a |= (uint64_t)equal << i;
        both_b |= (uint64_t)equal << j;
        i += before;
        j += after;
    }
    g->i = i, g->j = j, w->n = n;
    g->both_a |= (uint32_t)both_a;
    g->both_b |= (uint32_t)both_b;
}

/* The location of a dangling entry has a value on the other side, which was dealt with just before, and which keeps the
   location. */
static bool pm__alg_row_beside(const pm__alg_row *other, const uint64_t *keys, unsigned next, const pm__alg_row *r,
                               unsigned i, uint64_t key) {
    unsigned len = pm__alg_row_len(r, i);
    if (!next || pm__alg_row_is_child(other, next - 1) || pm__alg_row_len(other, next - 1) != len) return false;
    return pm__alg_row_common(other, next - 1, keys[next - 1], r, i, key) == len;
}

/* Entry g->i is in A only. Values that only one side has are told by their number at the end. */
static void pm__alg_weave_only_a(pm__alg_shuttle *g) {
    pm__alg_weave *w = g->w;
    unsigned i = g->i++;
    bool child = pm__alg_row_is_child(&w->row[0], i);
    if (child && !pm__alg_row_child(&w->row[0], i) &&
        pm__alg_row_beside(&w->row[1], g->kb, g->j, &w->row[0], i, g->ka[i]))
        return;
    pm__alg_stay_a(w, i, i + 1);
    if (child) g->f->same_b = false;
}

static void pm__alg_weave_only_b(pm__alg_shuttle *g) {
    pm__alg_weave *w = g->w;
    unsigned j = g->j++;
    bool child = pm__alg_row_is_child(&w->row[1], j);
    if (child && !pm__alg_row_child(&w->row[1], j) &&
        pm__alg_row_beside(&w->row[0], g->ka, g->i, &w->row[1], j, g->kb[j]))
        return;
    pm__alg_stay_b(w, j, j + 1);
    if (child) g->f->same_a = false;
}

/* The runs up to iend and jend meet at a suffix of length len, at least one of them being a child just there. */
static void pm__alg_weave_runs(pm__alg_shuttle *g, unsigned iend, unsigned jend, unsigned len) {
    pm__alg_weave *w = g->w;
    unsigned i = g->i, j = g->j;
    bool join = g->q->op == PM__ALG_JOIN;
    pm_place a = pm__alg_row_place(&w->row[0], i, iend, len), b = pm__alg_row_place(&w->row[1], j, jend, len);
    bool equal = a.node == b.node && a.depth == 0 && b.depth == 0 && (g->q->idempotent || !a.node);
    g->met_a |= pm__low_bits(iend) & ~pm__low_bits(i);
    g->met_b |= pm__low_bits(jend) & ~pm__low_bits(j);
    if (equal) { /* the same node, or both dangling */
        if (join) pm__alg_stay_a(w, i, i + 1);
        else g->f->same_a = g->f->same_b = false;
    } else if (!a.node) {
        pm__alg_stay_b(w, j, jend);
        g->f->same_a = false;
    } else if (!b.node) {
        pm__alg_stay_a(w, i, iend);
        g->f->same_b = false;
    } else {
        pm__alg_pair *p = &g->f->pairs[g->f->npairs];
        bool child_a = a.depth == 0, child_b = b.depth == 0;
        if (g->f->npairs < PM__ALG_AHEAD && child_a) pm__ref_prefetch(a.node);
        if (g->f->npairs < PM__ALG_AHEAD && child_b) pm__ref_prefetch(b.node);
        w->item[w->n++] = (uint8_t)(PM__ALG_PAIR + g->f->npairs++);
        p->a = a;
        p->b = b;
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
static unsigned pm__alg_row_run_end(const pm__alg_row *r, const uint64_t *keys, unsigned i, const pm__alg_row *other,
                                    unsigned j, uint64_t key) {
    unsigned len = pm__alg_row_len(other, j);
    while (i < r->n && pm__alg_row_len(r, i) >= len && pm__alg_row_common(r, i, keys[i], other, j, key) == len) i++;
    return i;
}

/* One of the next two entries is a child. */
static void pm__alg_weave_child(pm__alg_shuttle *g) {
    const pm__alg_row *a = &g->w->row[0], *b = &g->w->row[1];
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
        pm__alg_weave_runs(g, i + 1, pm__alg_row_run_end(b, g->kb, j, a, i, x), (unsigned)l);
    } else {
        pm__alg_weave_runs(g, pm__alg_row_run_end(a, g->ka, i, b, j, y), j + 1, (unsigned)l);
    }
}

/* Merges both rows. Nothing is said yet of values. */
static void pm__alg_weave_rows(pm__alg_shuttle *g) {
    pm__alg_weave *w = g->w;
    g->i = g->j = g->met_a = g->met_b = 0;
    g->both_a = g->both_b = g->gone = 0;
    w->n = g->f->npairs = 0;
    for (;;) {
        pm__alg_weave_values(g);
        if (g->i >= w->row[0].n || g->j >= w->row[1].n) break;
        pm__alg_weave_child(g);
    }
    while (g->i < w->row[0].n) pm__alg_weave_only_a(g);
    while (g->j < w->row[1].n) pm__alg_weave_only_b(g);
}

/* Merges twins. */
static void pm__alg_weave_twins(pm__alg_shuttle *g) {
    pm__alg_weave *w = g->w;
    const pm__alg_row *a = &w->row[0], *b = &w->row[1];
    bool join = g->q->op == PM__ALG_JOIN && g->q->idempotent;
    g->i = g->j = g->met_a = g->met_b = 0;
    g->gone = 0;
    g->both_a = g->both_b = pm__alg_row_values(a);
    w->n = g->f->npairs = 0;
    while (g->i < a->n) {
        unsigned i = g->i;
        if (!pm__alg_row_is_child(a, i) || (join && pm__alg_row_child(a, i) == pm__alg_row_child(b, i))) {
            pm__alg_stay_a(w, i, i + 1);
            g->i = g->j = i + 1;
        } else {
            pm__alg_weave_runs(g, i + 1, i + 1, pm__alg_row_len(a, i));
        }
    }
}

/* Looks at the values that are in both rows. False if entries were taken to be equal which are not. *slow: the entries
   of A whose values are not the same, or may not be taken for that. */
static bool pm__alg_weave_same(const pm__alg_shuttle *g, uint32_t *slow) {
    const pm__alg_row *a = &g->w->row[0], *b = &g->w->row[1];
    uint32_t differ = g->q->idempotent ? 0 : g->both_a;
    for (uint32_t m = g->both_a, k = g->both_b; m; m &= m - 1, k &= k - 1) {
        unsigned i = pm__ctz32(m), j = pm__ctz32(k);
        if (!g->careful && (g->ka[i] & 8) && pm__alg_row_compare(a, i, b, j) != 0) return false;
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
        pm_val x = pm__alg_row_val(&w->row[0], i), y = pm__alg_row_val(&w->row[1], pm__ctz32(k));
        bool ok = pm__alg_value(g->q, &x, &y, &r);
        pm__alg_differ(g->f, ok && r.some ? r.alg : 0);
        if (!ok) return false;
        if (!r.some) g->gone |= bit;
        if (!r.some || (!r.fresh && (r.alg & PM_ALG_LEFT))) continue;
        w->over |= bit;
        w->val[i] = r.val;
        if (r.fresh) w->fresh |= bit;
    }
    return true;
}

/* Which sides the result equals as far as values go, and what they become. False: a hook is wrong. */
static bool pm__alg_weave_settle(pm__alg_shuttle *g, uint32_t slow) {
    pm__alg_weave *w = g->w;
    if (pm__alg_row_values(&w->row[0]) & ~(g->met_a | g->both_a)) g->f->same_b = false;
    if (pm__alg_row_values(&w->row[1]) & ~(g->met_b | g->both_b)) g->f->same_a = false;
    if (g->q->op != PM__ALG_JOIN && (g->gone = g->both_a & ~slow) != 0) g->f->same_a = g->f->same_b = false;
    if (slow && !pm__alg_weave_combine(g, slow)) return false;
    if (!g->gone) return true;
    unsigned n = 0;
    for (unsigned k = 0; k < w->n; k++) {
        unsigned item = w->item[k];
        w->item[n] = (uint8_t)item;
        n += item >= PM__LINE_ENTRIES || !(g->gone >> item & 1);
    }
    w->n = n;
    return true;
}

/* ---- closing ------------------------------------------------------------------------------------------------- */

/* Whether item k of the list is an entry of A with another value. */
static PM__INLINE bool pm__alg_item_over(const pm__alg_weave *w, unsigned item) {
    return (unsigned)(w->over >> (item & (PM__LINE_ENTRIES - 1))) & (unsigned)(item < PM__ALG_FROM_B);
}

static PM__INLINE const pm__alg_row *pm__alg_row_of(const pm__alg_weave *w, unsigned item, unsigned *i) {
    *i = item & (PM__LINE_ENTRIES - 1);
    return &w->row[item / PM__LINE_ENTRIES];
}

/* Whether a pair stays as the run that it was in one of the rows. What may be edited in place keeps its child. */
static bool pm__alg_pair_runs(const pm__alg_frame *f, const pm__alg_pair *p) {
    if (p->alg == PM_ALG_ELEMENT || !(p->alg & p->spelled)) return false;
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

/* Writes what a pair came to into the list, beside `after` more entries. */
static void pm__alg_pair_spell(const pm__alg_frame *f, const pm__alg_pair *p, pm__alg_final *t, unsigned after) {
    const pm__alg_weave *w = f->weave;
    unsigned i;
    if (p->alg == PM_ALG_NONE) return;
    const pm__alg_row *r = pm__alg_row_of(w, p->at, &i);
    bool made = p->alg == PM_ALG_ELEMENT;
    if (pm__alg_pair_runs(f, p)) {
        for (unsigned k = 0; k < p->count; k++) t->e[t->n++] = pm__alg_row_ent(r, i + k);
        return;
    }
    pm__ent e = p->spelled == PM_ALG_RIGHT ? pm__alg_row_ent(&w->row[0], p->from_a) : pm__alg_row_ent(r, i);
    e.len = p->len;
    e.child = true;
    e.fresh = made;
    e.pay = p->ref;
    if (made && pm__alg_absorb_child(t, &e, f->plen, after)) return;
    if (!made) e.pay = (p->alg & PM_ALG_LEFT) ? p->a.node : p->b.node;
    t->e[t->n++] = e;
}

/* Counts the payloads of a list without pairs once more; what is fresh has been counted. */
static void pm__alg_weave_retain(const pm__cx *cx, const pm__alg_weave *w) {
    unsigned i;
    for (unsigned k = 0; k < w->n; k++) {
        const pm__alg_row *r = pm__alg_row_of(w, w->item[k], &i);
        bool child = pm__alg_row_is_child(r, i), over = pm__alg_item_over(w, w->item[k]);
        if (over && (w->fresh >> i & 1)) continue;
        pm__pay_retain(cx, child, child ? pm__alg_row_child(r, i) : over ? w->val[i] : pm__alg_row_val(r, i));
    }
}

/* A line of a list without pairs, if it fits one and no bytes go to the prefix. 0: it does not, or no memory. */
static pm__ref pm__alg_weave_line(const pm__cx *cx, const pm__alg_frame *f) {
    const pm__alg_weave *w = f->weave;
    const uint8_t *item = w->item;
    unsigned n = w->n, last, i, kids = 0;
    size_t heap = f->plen;
    const pm__alg_row *a = pm__alg_row_of(w, item[0], &i), *z = pm__alg_row_of(w, item[n - 1], &last);
    bool e = pm__alg_row_len(a, i) == 0;
    if (n > PM__LINE_ENTRIES || (n > 1 && !e && a->first[i] == z->first[last])) return 0;
    for (unsigned k = 0; k < n; k++) {
        const pm__alg_row *r = pm__alg_row_of(w, item[k], &i);
        heap += (size_t)r->lens[i] - r->cut;
        kids += r->kids >> i & 1;
    }
    size_t size = pm__line_need(n, heap, cx->unit ? kids : n);
    pm__line *x = size ? (pm__line *)pm__mem_alloc(cx->pool, size) : NULL;
    if (!x) return 0;
    uint64_t pay[PM__LINE_ENTRIES], *to = (uint64_t *)(void *)((char *)x + size);
    pm__alg_pen pen = {x->body, x->body + n, x->body + 2 * n, pay, 0, 1, cx->unit, n >= 5 && !cx->unit};
    const bool wide = pen.wide && pm__alg_is_wide(w->row[0].x) && pm__alg_is_wide(w->row[1].x);
    if (f->plen) memcpy(pen.heap, f->prefix, f->plen);
    pen.heap += f->plen;
    for (unsigned k = 0; k < n; k++) {
        const pm__alg_row *r = pm__alg_row_of(w, item[k], &i);
        unsigned l = r->lens[i] - r->cut;
        bool child = pm__alg_row_is_child(r, i), over = pm__alg_item_over(w, item[k]);
        pm__alg_copy(pen.heap, pm__alg_row_rest(r, i), l, wide);
        pm__alg_pen_next(&pen, r->first[i], l, child,
                         child ? pm__alg_row_child(r, i) : over ? w->val[i] : pm__alg_row_val(r, i));
    }
    pm__count_init(&x->rc);
    x->flags = (uint8_t)(PM__LINE | (cx->unit ? PM__LINE_UNIT : 0) | (e ? PM__LINE_E : 0));
    x->n = (uint8_t)n;
    x->plen = (uint8_t)f->plen;
    x->size8 = (uint8_t)(size / 8);
    x->cmask = pen.cmask;
    for (const uint64_t *from = pay; from < pen.pay;) *--to = *from++;
    if (kids || !cx->plain) pm__alg_weave_retain(cx, w);
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
            pm__alg_pair_spell(f, p, &t, left);
            continue;
        }
        const pm__alg_row *r = pm__alg_row_of(w, w->item[k], &i);
        pm__ent e = pm__alg_row_ent(r, i);
        if (pm__alg_item_over(w, w->item[k])) e.pay = w->val[i], e.fresh = w->fresh >> i & 1;
        t.e[t.n++] = e;
        left--;
    }
    if (t.n == 0) return true;
    if (f->own && pm__alg_line_fits(q, f, &t)) {
        out->alg = PM__ALG_EDIT;
        f->weave->fresh = 0; /* the list has them, and the edit will */
        return pm__alg_line_edit(q, f, &t);
    }
    return pm__alg_build_final(q, &t, f->prefix, f->plen, &out->ref);
}

/* Closes a frame that weaves. False: no memory. */
static bool pm__alg_close_weave(pm__alg *q, pm__alg_frame *f, pm__alg_answer *out) {
    for (unsigned i = 0; i < f->npairs; i++) pm__alg_differ_by(f, f->pairs[i].alg);
    out->ref = 0;
    out->alg = (uint8_t)((f->same_a ? PM_ALG_LEFT : 0) | (f->same_b ? PM_ALG_RIGHT : 0));
    if (out->alg || f->weave->n == 0) return true;
    if (!pm__alg_weave_build(q, f, out)) return false;
    if (out->ref) out->alg = PM_ALG_ELEMENT;
    return true;
}

/* ---- opening ------------------------------------------------------------------------------------------------- */

/* Opens a pair that is woven. The frame is left on the stack, whatever it still waits for. False: see q->status. */
static PM__NOINLINE bool pm__alg_open_weave(pm__alg *q, const pm_place *a, const pm_place *b) {
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
    pm__alg_row_fill(&g.w->row[0], a);
    if (pm__alg_are_twins(a, b)) {
        g.careful = true;
        pm__alg_row_fill_twin(&g.w->row[1], b, &g.w->row[0]);
        pm__alg_weave_twins(&g);
    } else {
        g.careful = q->careful > 0;
        if (g.careful) q->careful--;
        pm__alg_row_fill(&g.w->row[1], b);
        pm__alg_row_keys(&g.w->row[0], g.ka);
        pm__alg_row_keys(&g.w->row[1], g.kb);
        pm__alg_weave_rows(&g);
    }
    uint32_t slow = 0;
    if (!pm__alg_weave_same(&g, &slow)) {
        g.careful = true;
        q->careful = PM__ALG_CAREFUL;
        f->same_a = f->same_b = true;
        pm__alg_weave_rows(&g);
        (void)pm__alg_weave_same(&g, &slow); /* holds now */
    }
    return pm__alg_weave_settle(&g, slow);
}
