/* Pairs as lines: two lines that have the same bytes of prefix ahead of them, or none, combined without taking them
   apart. Join, meet and subtract.

   Each side is a row: consecutive entries of a line, less the bytes that are behind the place. An entry's key is one
   word that sorts as its suffix does: seven bytes, and the length up to 8. So most comparisons are one of words, and
   values, which are most entries, are merged without branches that are hard to foresee. Where two suffixes of eight or
   more bytes have one key, they are taken to be equal and compared later; if that was wrong, or one row has two such
   neighbours, everything is merged once more, with care.

   What stays is listed by number: entry i of A, entry i of B (+ 32), or pair p (+ 64). A child at suffix s meets the
   run of the other row's entries that go on from s, or the child there: a pair. It is answered later; then the list is
   spelled out, and a node is made of it. A result of few entries of A, as they are, is not made into a node at once: the
   list above may have room for them (PM__ALG_PICK). */
#include "31_algebra_build.c"

enum { PM__ALG_FROM_B = PM__LINE_ENTRIES, PM__ALG_PAIR = 2 * PM__LINE_ENTRIES };

typedef struct pm__alg_row {
    const pm__line *x;
    pm__ref node;
    const uint64_t *val; /* the value of entry i is val[i * step] */
    ptrdiff_t step;
    uint32_t kids;       /* bit i: entry i is a child */
    uint8_t lo, n;       /* entry 0 is entry lo of the line */
    uint16_t cut;        /* bytes of suffix that are behind the place */
    uint16_t len[PM__LINE_ENTRIES];       /* of what is left of the suffix */
    const uint8_t *rest[PM__LINE_ENTRIES]; /* bytes 1.. of it */
} pm__alg_row;

typedef struct pm__alg_weave {
    pm__alg_row a, b;
    unsigned n;
    uint64_t over, fresh; /* numbers whose value is another, and of these those that are not counted elsewhere */
    uint8_t item[PM__ALG_LIST];
    pm_val val[PM__ALG_LIST];
} pm__alg_weave;

/* What is needed while merging only. */
typedef struct pm__alg_shuttle {
    pm__alg *q;
    pm__alg_frame *f;
    pm__alg_weave *w;
    unsigned i, j;          /* the next entries */
    unsigned both;          /* values that are in both rows */
    unsigned gone_a, gone_b; /* values that belong to pairs */
    unsigned nlike;         /* taken to be equal */
    bool careful, vanished; /* vanished: equal values took each other away */
    uint64_t slow;          /* numbers whose values have to be combined */
    uint8_t other[PM__ALG_LIST], like_a[PM__LINE_ENTRIES], like_b[PM__LINE_ENTRIES];
    uint64_t ka[PM__LINE_ENTRIES], kb[PM__LINE_ENTRIES];
} pm__alg_shuttle;

/* ---- rows ---------------------------------------------------------------------------------------------------- */

/* Fills in a row and its keys. Answers whether neighbours of eight bytes or more have one key. */
static bool pm__alg_row_fill(pm__alg_row *r, const pm_place *p, uint64_t *key) {
    const pm__line *x = pm__place_line(p);
    unsigned lo = p->lo + (p->depth ? pm__place_val_entry(p, x) : 0), n = p->hi - lo;
    unsigned cut = p->depth > x->plen ? (unsigned)p->depth - x->plen : 0u;
    const uint8_t *lens = pm__line_lens(x) + lo, *h = pm__line_heap(x) + pm__line_off(x, lo);
    uint64_t last = 0, twice = 0;
    r->x = x;
    r->node = p->node;
    r->lo = (uint8_t)lo;
    r->n = (uint8_t)n;
    r->cut = (uint16_t)cut;
    r->kids = (uint32_t)((uint64_t)x->cmask >> lo) & pm__low_bits(n);
    r->step = (x->flags & PM__LINE_UNIT) ? 0 : -1;
    r->val = (x->flags & PM__LINE_UNIT) ? &pm__unit_val : pm__line_pay_at(x, lo);
    for (unsigned i = 0; i < n; i++) { /* eight bytes from the heap's bytes of any entry on are inside the block */
        unsigned l = lens[i] - cut, six = l < 6 ? l : 6;
        const uint8_t *s = h + cut;
        uint64_t first = cut ? s[-1] : x->body[lo + i];
        uint64_t k = first << 56 | (pm__load64be(s) >> 8 & (UINT64_MAX << (56 - 8 * six)) & UINT64_MAX >> 8);
        k |= l < 7 ? l + 1 : 8;
        r->rest[i] = s;
        r->len[i] = (uint16_t)(l + 1);
        key[i] = k;
        twice |= (uint64_t)(k == last) & k >> 3;
        last = k;
        h += lens[i];
    }
    if (lo == 0 && n && pm__line_has_e(x)) r->len[0] = 0, key[0] = 0;
    return twice & 1;
}

static PM__INLINE bool pm__alg_row_is_child(const pm__alg_row *r, unsigned i) { return (r->kids >> i) & 1; }
static PM__INLINE pm__ref pm__alg_row_child(const pm__alg_row *r, unsigned i) {
    return *pm__line_child(r->x, r->lo + i);
}
static PM__INLINE bool pm__alg_row_is_stub(const pm__alg_row *r, unsigned i) {
    return pm__alg_row_is_child(r, i) && !pm__alg_row_child(r, i);
}

/* Common length of entry i of row r and entry j of row s, whose keys are x and y. */
static size_t pm__alg_row_common(const pm__alg_row *r, unsigned i, uint64_t x, const pm__alg_row *s, unsigned j,
                                 uint64_t y) {
    size_t min = r->len[i] < s->len[j] ? r->len[i] : s->len[j];
    size_t l = (x ^ y) >> 8 ? pm__clz64(x ^ y) / 8 : 7;
    if (l < 7 || min <= 7) return l < min ? l : min;
    return 7 + pm__lcp(r->rest[i] + 6, s->rest[j] + 6, min - 7);
}

/* Entries with equal keys and eight bytes or more: below 0, 0, above 0 as the one of A is less, equal, greater. */
static int pm__alg_row_compare(const pm__alg_row *a, unsigned i, const pm__alg_row *b, unsigned j) {
    unsigned la = a->len[i], lb = b->len[j], min = la < lb ? la : lb;
    int c = memcmp(a->rest[i] + 6, b->rest[j] + 6, min - 7);
    return c ? c : (int)la - (int)lb;
}

static pm__ent pm__alg_row_ent(const pm__alg_row *r, unsigned i) {
    pm__ent e;
    e.rest = r->rest[i];
    e.len = r->len[i];
    e.child = pm__alg_row_is_child(r, i);
    e.first = r->cut ? e.rest[-1] : r->x->body[r->lo + i];
    e.pay = e.child ? pm__alg_row_child(r, i) : r->val[r->step * (ptrdiff_t)i];
    e.fresh = false;
    return e;
}

/* The place at the suffix (of length len) of entries [i, end): a child, or a run that goes on. */
static pm_place pm__alg_row_place(const pm__alg_row *r, unsigned i, unsigned end, unsigned len) {
    if (pm__alg_row_is_child(r, i) && r->len[i] == len) return pm__alg_root(pm__alg_row_child(r, i));
    unsigned depth = r->x->plen + r->cut + len;
    pm_place p = {r->node, (uint16_t)depth, (uint8_t)(r->lo + i), (uint8_t)(r->lo + end)};
    return p;
}

/* ---- merging ------------------------------------------------------------------------------------------------- */

static PM__INLINE void pm__alg_item(pm__alg_weave *w, unsigned item) { w->item[w->n++] = (uint8_t)item; }

/* Merges values, up to a child or the end of a row. */
static PM__INLINE void pm__alg_weave_values(pm__alg_shuttle *g, const pm__alg_op op) {
    pm__alg_weave *w = g->w;
    const pm__alg_row *a = &w->a, *b = &w->b;
    unsigned i = g->i, j = g->j, n = w->n, na = a->n, nb = b->n, both = 0, nlike = g->nlike, vanished = 0;
    const unsigned idempotent = g->q->idempotent;
    uint64_t slow = 0;
    while (i < na && j < nb && !((a->kids >> i | b->kids >> j) & 1)) {
        uint64_t x = g->ka[i], y = g->kb[j];
        unsigned before = x <= y, after = x >= y, lengthy = (unsigned)x >> 3 & 1; /* the low byte is 8 */
        if (g->careful && (before & after & lengthy)) {
            int c = pm__alg_row_compare(a, i, b, j);
            before = c <= 0, after = c >= 0;
        }
        unsigned equal = before & after;
        unsigned same = equal & idempotent & (a->val[a->step * (ptrdiff_t)i] == b->val[b->step * (ptrdiff_t)j]);
        w->item[n] = (uint8_t)(op == PM__ALG_JOIN && !before ? PM__ALG_FROM_B + j : i);
        g->other[n] = (uint8_t)j;
        slow |= (uint64_t)(equal & ~same) << n;
        n += op == PM__ALG_JOIN ? 1 : op == PM__ALG_MEET ? equal : before & ~same;
        g->like_a[nlike & 31] = (uint8_t)i;
        g->like_b[nlike & 31] = (uint8_t)j;
        nlike += equal & lengthy;
        both += equal;
        vanished |= same;
        i += before;
        j += after;
    }
    g->i = i, g->j = j, w->n = n;
    g->both += both;
    g->nlike = nlike;
    g->slow |= slow;
    if (op == PM__ALG_SUB && vanished) g->vanished = true;
}

/* The location of a dangling entry has a value on the other side, which was dealt with just before. */
static bool pm__alg_row_valued(const pm__alg_row *other, const uint64_t *keys, unsigned next, const pm__alg_row *r,
                               unsigned i, uint64_t key) {
    if (!next || pm__alg_row_is_child(other, next - 1) || other->len[next - 1] != r->len[i]) return false;
    return pm__alg_row_common(other, next - 1, keys[next - 1], r, i, key) == r->len[i];
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
    pm__alg_item(w, i);
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
    pm__alg_item(w, PM__ALG_FROM_B + j);
    if (child) g->f->same_a = false;
}

/* One of two runs that meet is a dangling location. */
static void pm__alg_weave_stub(pm__alg_shuttle *g, unsigned iend, unsigned jend, bool stub_a, bool stub_b) {
    pm__alg_weave *w = g->w;
    pm__alg_op op = g->q->op;
    if (op == PM__ALG_JOIN || (op == PM__ALG_MEET && stub_a && stub_b)) {
        unsigned from = stub_a ? PM__ALG_FROM_B + g->j : g->i, end = stub_a ? PM__ALG_FROM_B + jend : iend;
        for (; from < end; from++) pm__alg_item(w, from);
        pm__alg_differ(g->f, stub_a == stub_b ? PM_ALG_BOTH : stub_a ? PM_ALG_RIGHT : PM_ALG_LEFT);
    } else if (op == PM__ALG_SUB && !stub_a) {
        for (unsigned i = g->i; i < iend; i++) pm__alg_item(w, i);
        g->f->same_b = false;
    } else {
        g->f->same_a = g->f->same_b = false;
    }
}

/* The runs up to iend and jend meet at a suffix of length len, at least one of them being a child just there. */
static void pm__alg_weave_runs(pm__alg_shuttle *g, unsigned iend, unsigned jend, unsigned len) {
    pm__alg_weave *w = g->w;
    unsigned i = g->i, j = g->j;
    bool child_a = pm__alg_row_is_child(&w->a, i) && w->a.len[i] == len;
    bool child_b = pm__alg_row_is_child(&w->b, j) && w->b.len[j] == len;
    pm__ref in_a = child_a ? pm__alg_row_child(&w->a, i) : 0, in_b = child_b ? pm__alg_row_child(&w->b, j) : 0;
    g->gone_a += pm__popcount32(~w->a.kids & pm__low_bits(iend) & ~pm__low_bits(i));
    g->gone_b += pm__popcount32(~w->b.kids & pm__low_bits(jend) & ~pm__low_bits(j));
    if ((child_a && !in_a) || (child_b && !in_b)) {
        pm__alg_weave_stub(g, iend, jend, child_a && !in_a, child_b && !in_b);
    } else if (in_a == in_b && g->q->idempotent) {
        if (g->q->op == PM__ALG_SUB) g->f->same_a = g->f->same_b = false;
        else pm__alg_item(w, i);
    } else {
        pm__alg_pair *p = &g->f->pairs[g->f->npairs];
        pm__alg_item(w, PM__ALG_PAIR + g->f->npairs++);
        p->a = pm__alg_row_place(&w->a, i, iend, len);
        p->b = pm__alg_row_place(&w->b, j, jend, len);
        p->ref = 0;
        p->alg = PM__ALG_WAITS;
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
    unsigned len = other->len[j];
    while (i < r->n && r->len[i] >= len && pm__alg_row_common(r, i, keys[i], other, j, key) == len) i++;
    return i;
}

/* One of the next two entries is a child. */
static void pm__alg_weave_child(pm__alg_shuttle *g) {
    const pm__alg_row *a = &g->w->a, *b = &g->w->b;
    unsigned i = g->i, j = g->j;
    uint64_t x = g->ka[i], y = g->kb[j];
    size_t l = pm__alg_row_common(a, i, x, b, j, y);
    bool ends_a = l == a->len[i], ends_b = l == b->len[j];
    bool child_a = pm__alg_row_is_child(a, i), child_b = pm__alg_row_is_child(b, j);
    if (!ends_a && !ends_b) {
        if (l < 7 ? x < y : a->rest[i][l - 1] < b->rest[j][l - 1]) pm__alg_weave_only_a(g);
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

/* Merges both rows. Values that are in both are not combined yet, unless they are the same. */
static void pm__alg_weave_rows(pm__alg_shuttle *g) {
    pm__alg_weave *w = g->w;
    pm__alg_op op = g->q->op;
    g->i = g->j = g->both = g->gone_a = g->gone_b = g->nlike = 0;
    g->slow = 0;
    g->vanished = false;
    w->n = g->f->npairs = 0;
    for (;;) {
        if (op == PM__ALG_MEET) pm__alg_weave_values(g, PM__ALG_MEET);
        else if (op == PM__ALG_SUB) pm__alg_weave_values(g, PM__ALG_SUB);
        else pm__alg_weave_values(g, PM__ALG_JOIN);
        if (g->i >= w->a.n || g->j >= w->b.n) break;
        pm__alg_weave_child(g);
    }
    while (g->i < w->a.n) pm__alg_weave_only_a(g);
    while (g->j < w->b.n) pm__alg_weave_only_b(g);
}

/* True if all that was taken to be equal is. */
static bool pm__alg_weave_holds(const pm__alg_shuttle *g) {
    for (unsigned k = 0; k < g->nlike; k++)
        if (pm__alg_row_compare(&g->w->a, g->like_a[k], &g->w->b, g->like_b[k]) != 0) return false;
    return true;
}

/* Combines values that are in both rows. False: a hook is wrong. */
static bool pm__alg_weave_combine(pm__alg_shuttle *g) {
    pm__alg_weave *w = g->w;
    unsigned n = 0;
    for (unsigned k = 0; k < w->n; k++) {
        unsigned i = w->item[k], j = g->other[k];
        w->item[n] = (uint8_t)i;
        if (g->slow >> k & 1) {
            pm_val x = w->a.val[w->a.step * (ptrdiff_t)i], y = w->b.val[w->b.step * (ptrdiff_t)j];
            pm__alg_val r;
            bool ok = pm__alg_value(g->q, &x, &y, &r);
            pm__alg_differ(g->f, ok && r.some ? r.alg : 0);
            if (!ok) return false;
            if (!r.some) continue;
            if (r.fresh || !(r.alg & PM_ALG_LEFT)) {
                w->over |= (uint64_t)1 << n;
                w->fresh |= (uint64_t)r.fresh << n;
                w->val[n] = r.val;
            }
        }
        n++;
    }
    w->n = n;
    return true;
}

/* What values that only one side has say of the result. */
static void pm__alg_weave_flags(pm__alg_shuttle *g) {
    const pm__alg_weave *w = g->w;
    unsigned in_a = w->a.n - pm__popcount32(w->a.kids) - g->gone_a;
    unsigned in_b = w->b.n - pm__popcount32(w->b.kids) - g->gone_b;
    if (in_a > g->both) *(g->q->op == PM__ALG_MEET ? &g->f->same_a : &g->f->same_b) = false;
    if (in_b > g->both) *(g->q->op == PM__ALG_JOIN ? &g->f->same_a : &g->f->same_b) = false;
    if (g->vanished) g->f->same_a = g->f->same_b = false;
}

/* ---- closing ------------------------------------------------------------------------------------------------- */

static const pm__alg_row *pm__alg_row_of(const pm__alg_weave *w, unsigned item, unsigned *i) {
    *i = item & (PM__LINE_ENTRIES - 1);
    return item < PM__ALG_FROM_B ? &w->a : &w->b;
}

/* What is kept of a pair: how many entries of the list it takes if nothing is absorbed, and bytes of line. */
static unsigned pm__alg_pair_takes(const pm__alg_weave *w, const pm__alg_pair *p, size_t *cost) {
    if (p->alg == PM_ALG_NONE) return 0;
    if (p->alg == PM_ALG_ELEMENT || p->alg == PM__ALG_PICK || !(p->alg & p->spelled)) {
        *cost += 9u + p->len;
        return 1;
    }
    for (unsigned k = 0, i; k < p->count; k++) *cost += 9u + pm__alg_row_of(w, p->at + k, &i)->len[i];
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
    bool made = p->alg == PM_ALG_ELEMENT || p->alg == PM__ALG_PICK;
    if (!made && (p->alg & p->spelled)) {
        for (unsigned k = 0; k < p->count; k++) t->e[t->n++] = pm__alg_row_ent(r, i + k);
        return true;
    }
    pm__ent e = pm__alg_row_ent(r, i);
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

/* Spells the list out, and makes a node of it. False: no memory. */
static PM__NOINLINE bool pm__alg_weave_build(pm__alg *q, pm__alg_frame *f, pm__ref *out) {
    const pm__alg_weave *w = f->weave;
    pm__alg_final t;
    unsigned left = w->n;
    t.n = t.nshells = 0;
    t.nbytes = 0;
    t.cost = PM__LINE_HDR + f->plen;
    if (f->npairs) {
        left = 0;
        for (unsigned k = 0, i; k < w->n; k++) {
            if (w->item[k] >= PM__ALG_PAIR) left += pm__alg_pair_takes(w, &f->pairs[w->item[k] - PM__ALG_PAIR], &t.cost);
            else left++, t.cost += 9u + pm__alg_row_of(w, w->item[k], &i)->len[i];
        }
    }
    for (unsigned k = 0, i; k < w->n; k++) {
        if (w->item[k] >= PM__ALG_PAIR) {
            pm__alg_pair *p = &f->pairs[w->item[k] - PM__ALG_PAIR];
            size_t none = 0;
            left -= pm__alg_pair_takes(w, p, &none);
            if (!pm__alg_pair_spell(q, f, p, &t, left)) return false;
            continue;
        }
        const pm__alg_row *r = pm__alg_row_of(w, w->item[k], &i);
        pm__ent e = pm__alg_row_ent(r, i);
        if (w->over >> k & 1) e.pay = w->val[k], e.fresh = w->fresh >> k & 1;
        t.e[t.n++] = e;
        left--;
    }
    *out = 0;
    return t.n == 0 || pm__alg_build_final(q, &t, f->prefix, f->plen, out);
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
    if (pick && pm__alg_weave_pick(f->weave, out)) return true;
    if (!pm__alg_weave_build(q, f, &out->ref)) return false;
    out->alg = out->ref ? PM_ALG_ELEMENT : PM_ALG_NONE;
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
    bool twice = pm__alg_row_fill(&g.w->a, a, g.ka), also = pm__alg_row_fill(&g.w->b, b, g.kb);
    g.careful = twice || also;
    pm__alg_weave_rows(&g);
    if (!g.careful && !pm__alg_weave_holds(&g)) {
        g.careful = true;
        f->same_a = f->same_b = true;
        pm__alg_weave_rows(&g);
    }
    pm__alg_weave_flags(&g);
    return !g.slow || pm__alg_weave_combine(&g);
}
