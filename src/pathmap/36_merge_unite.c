/* A join of more than two lines at one place, as one list: entries that stay, and pairs, which are locations at which
   several sides have something below.

   The entries of all sides are listed, without the bytes of prefix that all have ahead of them, and sorted
   into one list; equal suffixes combine in the order of the sides. A child at suffix s meets what all other sides have
   at and below s, children or runs of entries: a pair, of as many places. Where only one side has anything, it stays as
   it is.

   An entry's key is one word that sorts as its suffix does: six bytes, the length up to 7, whether it is a child, and
   its number, so that keys differ and equal suffixes stay in order. Suffixes of seven bytes or more with the same six
   in front are sorted once more, by what follows. Each side is sorted already, so sorting is merging in rounds. */
#include "35_merge_lists.c"

enum {
    PM__UNITE_MAX = 512,  /* entries of all sides */
    PM__UNITE_NUMBER = 12 /* bits of a key for its number */
};

typedef struct pm__unite {
    pm__merge_run *q;
    pm__merge_frame *f;
    pm__lists_side *side;
    pm__ent *raw; /* the entries of all sides, one side behind the other */
    uint16_t *side_of;
    uint64_t *item;   /* their keys, sorted */
    pm_place *places; /* room for those of pairs to come */
    uint16_t *of;     /* whose places they are, for the pair under way */
    unsigned n;
} pm__unite;

/* ---- sorting ----------------------------------------------------------------------------------------------------- */

static PM__INLINE uint64_t pm__unite_key(const pm__ent *e, unsigned number) {
    unsigned len = e->len < 7 ? e->len : 7u, in = len < 6 ? len : 6u;
    uint64_t k = ((uint64_t)e->first << 56 | pm__load64be(e->rest) >> 8) & ~(UINT64_MAX >> 8 * in);
    return k | (uint64_t)len << (PM__UNITE_NUMBER + 1) | (uint64_t)(e->child && len < 7) << PM__UNITE_NUMBER | number;
}

static PM__INLINE unsigned pm__unite_number(uint64_t key) { return (unsigned)key & ((1u << PM__UNITE_NUMBER) - 1); }

/* Whether two keys have the same bytes and length; with seven bytes or more (*more) that does not say all. */
static PM__INLINE bool pm__unite_alike(uint64_t x, uint64_t y, bool *more) {
    *more = (x >> (PM__UNITE_NUMBER + 1) & 7) == 7;
    return (x ^ y) >> (PM__UNITE_NUMBER + 1) == 0;
}

/* Whether one of two entries, alike, with seven bytes or more, sorts before the other or is its equal. Eight bytes
   behind an entry's bytes can be read. */
static bool pm__unite_before(const pm__ent *a, const pm__ent *b) {
    size_t min = (size_t)(a->len < b->len ? a->len : b->len) - 6;
    const uint8_t *p = a->rest + 5, *q = b->rest + 5;
    uint64_t x = pm__load64be(p), y = pm__load64be(q);
    if (min < 8) {
        x >>= 8 * (8 - min), y >>= 8 * (8 - min);
    } else if (x == y) {
        int c = memcmp(p + 8, q + 8, min - 8);
        if (c) return c < 0;
    }
    if (x != y) return x < y;
    return a->len != b->len ? a->len < b->len : b->child || !a->child;
}

/* Merges a[i..mid) and a[mid..end) into b[i..end). */
static PM__INLINE void pm__unite_merge_two(const pm__ent *raw, const uint64_t *a, uint64_t *b, unsigned i, unsigned mid,
                                           unsigned end, bool careful) {
    unsigned j = mid, to = i;
    while (i < mid && j < end) {
        uint64_t x = a[i], y = a[j];
        unsigned left = careful ? pm__unite_before(&raw[pm__unite_number(x)], &raw[pm__unite_number(y)]) : x < y;
        b[to++] = y ^ ((x ^ y) & (0 - (uint64_t)left)); /* no branch */
        i += left;
        j += !left;
    }
    memcpy(b + to, a + i, (mid - i) * sizeof *b);
    memcpy(b + to + (mid - i), a + j, (end - j) * sizeof *b);
}

/* Sorts a[0..bound[runs]), made of sorted runs; returns where the result is, in a or b. Spoils `bound`. */
static PM__INLINE uint64_t *pm__unite_two(const pm__ent *raw, uint64_t *a, uint64_t *b, uint16_t *bound, unsigned runs,
                                          bool careful) {
    while (runs > 1) {
        unsigned k = 0, r = 0;
        for (; r + 1 < runs; r += 2) {
            pm__unite_merge_two(raw, a, b, bound[r], bound[r + 1], bound[r + 2], careful);
            bound[k++] = bound[r];
        }
        if (r < runs) {
            memcpy(b + bound[r], a + bound[r], (size_t)(bound[runs] - bound[r]) * sizeof *b);
            bound[k++] = bound[r];
        }
        bound[k] = bound[runs];
        runs = k;
        uint64_t *other = a;
        a = b;
        b = other;
    }
    return a;
}

/* Sorts the keys; those that are alike once more. */
static void pm__unite_sort(pm__unite *g, uint64_t *other, uint16_t *bound) {
    uint64_t *a = pm__unite_two(g->raw, g->item, other, bound, (unsigned)g->f->nsides, false);
    uint64_t *b = a == g->item ? other : g->item;
    bool more = false;
    g->item = a;
    for (unsigned i = 0, j; i < g->n; i = j) {
        j = i + 1;
        if (j == g->n || !pm__unite_alike(a[i], a[j], &more) || !more) continue;
        unsigned runs = 0;
        bound[runs++] = 0;
        for (; j < g->n && pm__unite_alike(a[i], a[j], &more); j++)
            if (g->side_of[pm__unite_number(a[j])] != g->side_of[pm__unite_number(a[j - 1])])
                bound[runs++] = (uint16_t)(j - i);
        bound[runs] = (uint16_t)(j - i);
        const uint64_t *r = pm__unite_two(g->raw, a + i, b + i, bound, runs, true);
        if (r != a + i) memcpy(a + i, r, (j - i) * sizeof *a);
    }
}

/* ---- merging ----------------------------------------------------------------------------------------------------- */

static PM__INLINE pm__ent *pm__unite_ent(const pm__unite *g, unsigned i) {
    return &g->raw[pm__unite_number(g->item[i])];
}
static PM__INLINE unsigned pm__unite_side_of(const pm__unite *g, unsigned i) {
    return g->side_of[pm__unite_number(g->item[i])];
}

static PM__INLINE bool pm__unite_equal(const pm__unite *g, unsigned i, unsigned j) {
    bool more;
    if (!pm__unite_alike(g->item[i], g->item[j], &more)) return false;
    const pm__ent *a = pm__unite_ent(g, i), *b = pm__unite_ent(g, j);
    return !more || (a->len == b->len && memcmp(a->rest + 5, b->rest + 5, (size_t)a->len - 6) == 0);
}

/* The values at one suffix, of entries from i on; returns where they end. 0: a hook is wrong. */
static unsigned pm__unite_values(pm__unite *g, unsigned i) {
    unsigned end = i + 1;
    while (end < g->n && !pm__unite_ent(g, end)->child && pm__unite_equal(g, i, end)) end++;
    pm__ent *e = &g->f->ents[g->f->nents];
    *e = *pm__unite_ent(g, i);
    pm__merge_sum sum = {e->pay, true, false};
    for (unsigned k = i + 1; k < end && sum.some; k++)
        if (!pm__merge_sum_add(g->q, &sum, pm__unite_ent(g, k)->pay)) return 0;
    e->pay = sum.val;
    e->fresh = sum.fresh;
    g->f->nents += sum.some;
    return end;
}

/* Adds entry i to the places of a location at suffix length len, of which there are n; returns how many now. */
static unsigned pm__unite_place(pm__unite *g, unsigned i, unsigned len, unsigned n) {
    pm_place *p = g->places;
    uint16_t *of = g->of;
    unsigned side = pm__unite_side_of(g, i), k = n;
    const pm__lists_side *x = &g->side[side];
    while (k && of[k - 1] > side) k--;
    if (k && of[k - 1] == side) { /* the run goes on */
        if (x->folded < 0) p[k - 1].hi++;
        return n;
    }
    memmove(p + k + 1, p + k, (n - k) * sizeof *p);
    memmove(of + k + 1, of + k, (n - k) * sizeof *of);
    unsigned at = (unsigned)(pm__unite_ent(g, i) - x->e);
    p[k] = pm__lists_place_of(x, at, at + 1, len);
    of[k] = (uint16_t)side;
    return n + 1;
}

/* Whether a dangling entry is beside a value that keeps its location. */
static bool pm__unite_valued(const pm__merge_frame *f, const pm__ent *e) {
    const pm__ent *v = f->ents + f->nents;
    return f->nents && !(--v)->child && v->len == e->len && pm__lists_common(v, e) == e->len;
}

/* Whether entry i is a child that leads nowhere. */
static bool pm__unite_is_stub(const pm__unite *g, unsigned i) {
    const pm__ent *e = pm__unite_ent(g, i);
    return e->child && !e->pay && g->side[pm__unite_side_of(g, i)].folded < 0;
}

/* A child, and what other sides have at and below its suffix; returns where that ends. */
static unsigned pm__unite_child(pm__unite *g, unsigned i) {
    pm__merge_frame *f = g->f;
    const pm__ent *e = pm__unite_ent(g, i);
    unsigned len = e->len, end = i, n = 0, last = i;
    do {
        if (pm__unite_ent(g, end)->len != len || !pm__unite_is_stub(g, end)) n = pm__unite_place(g, last = end, len, n);
    } while (++end < g->n && pm__lists_common(pm__unite_ent(g, end), e) == len);
    if (n == 1 && g->side[pm__unite_side_of(g, last)].folded < 0) {
        for (; i < end; i++)
            if (pm__unite_ent(g, i)->len > len || !pm__unite_is_stub(g, i)) f->ents[f->nents++] = *pm__unite_ent(g, i);
        return end;
    }
    if (n == 0 && pm__unite_valued(f, e)) return end;
    if (n) {
        pm__merge_pair *p = pm__merge_pair_add(f, g->places[0], g->places[n > 1]);
        p->n = n;
        p->many = g->places;
        if (n == 1) p->alg = PM_ALG_LEFT;
        p->at = (uint16_t)f->nents;
        p->len = (uint16_t)len;
        p->count = 1;
        p->spelled = 0;
        g->places += n;
    }
    f->ents[f->nents++] = *e;
    return end;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

/* The bytes of prefix that all sides have ahead. */
static size_t pm__unite_ahead(const pm_place *sides, size_t n, const uint8_t **prefix) {
    size_t plen = pm__result_ahead(&sides[0], prefix);
    for (size_t i = 1; i < n && plen; i++) {
        const uint8_t *bytes = NULL;
        size_t len = pm__result_ahead(&sides[i], &bytes);
        plen = pm__lcp(*prefix, bytes, plen < len ? plen : len);
    }
    return plen;
}

/* Lists the entries of all sides, with their keys. */
static void pm__unite_list(pm__unite *g, uint8_t *bytes, uint16_t *bound) {
    unsigned n = 0;
    for (size_t i = 0; i < g->f->nsides; i++) {
        pm__lists_side *x = &g->side[i];
        const uint8_t *ahead;
        x->e = g->raw + n;
        pm__lists_line(x, &g->f->sides[i], g->f->plen, bytes);
        if (pm__result_ahead(&g->f->sides[i], &ahead) > g->f->plen) bytes += PM__LINE_BYTES + 8;
        bound[i] = (uint16_t)n;
        for (unsigned k = 0; k < x->n; k++, n++) {
            g->side_of[n] = (uint16_t)i;
            g->item[n] = pm__unite_key(&g->raw[n], n);
        }
    }
    bound[g->f->nsides] = (uint16_t)n;
    g->n = n;
}

/* Opens n places in lines, which have at most PM__UNITE_MAX entries. The frame is left on the stack, whatever it still
   waits for. False: see q->status. */
static PM__NOINLINE bool pm__unite_open(pm__merge_run *q, const pm_place *sides, size_t n) {
    pm__unite g;
    const uint8_t *prefix = NULL;
    const size_t plen = pm__unite_ahead(sides, n, &prefix);
    unsigned total = 0, kids = 0, uneven = 0;
    for (size_t i = 0; i < n; i++) {
        const uint8_t *ahead;
        bool more = pm__result_ahead(&sides[i], &ahead) > plen;
        total += (unsigned)sides[i].hi - sides[i].lo;
        kids += pm__popcount32(pm__place_line(&sides[i])->cmask) + more;
        uneven += more;
    }
    const size_t nplaces = kids ? total : 0, spelled = uneven * (PM__LINE_BYTES + (size_t)8);
    if (kids > total) kids = total;
    pm__merge_frame *f = pm__merge_push(q, kids, total, 0, nplaces * sizeof *g.places + spelled);
    const size_t work = total * (sizeof *g.raw + 2 * sizeof *g.item + sizeof *g.side_of) + n * sizeof *g.side +
                        (nplaces + n + 1) * sizeof *g.of;
    pm__ent *raw = f ? (pm__ent *)pm__merge_alloc(q, work) : NULL;
    if (!raw) {
        q->status = PM_NOMEM;
        return false;
    }
    f->sides = sides;
    f->nsides = n;
    f->same_a = f->same_b = false;
    f->prefix = prefix;
    f->plen = plen;
    g.q = q;
    g.f = f;
    g.raw = raw;
    g.places = (pm_place *)(void *)f->vals;
    g.side = (pm__lists_side *)(void *)(raw + total);
    g.item = (uint64_t *)(void *)(g.side + n);
    g.side_of = (uint16_t *)(void *)(g.item + 2 * total);
    g.of = g.side_of + total;
    uint16_t *bound = g.of + nplaces;
    pm__unite_list(&g, (uint8_t *)(g.places + nplaces), bound);
    pm__unite_sort(&g, g.item + total, bound);
    for (unsigned i = 0; i < g.n;) {
        i = pm__unite_ent(&g, i)->child ? pm__unite_child(&g, i) : pm__unite_values(&g, i);
        if (!i) return false;
    }
    pm__merge_rewind(q, raw);
    return true;
}
