/* Joins of several lines at once. A united list is what the lines of three or more sides have at one place, that is
   not yet all known: entries that stay, and groups, which are locations at which several sides have something below.
   Each group is a job for the walk over many places (39_merge_many.c); when all are decided, nodes are made of the
   list (25_build.c).

   The entries of all sides are listed, without the bytes of prefix that all have ahead of them, and sorted
   into one list; equal suffixes combine in the order of the sides. A child at suffix s meets what all other sides have
   at and below s, children or runs of entries: a group. Where only one side has anything, it stays as it is.

   An entry's key is one word that sorts as its suffix does: six bytes, the length up to 7, whether it is a child, and
   its number, so that keys differ and equal suffixes stay in order. Suffixes of seven bytes or more with the same six
   in front are sorted once more, by what follows. Each side is sorted already, so sorting is merging in rounds. */
#include "37_merge_pairs.c"

enum {
    PM__UNITE_MAX = 512,  /* entries of all sides */
    PM__UNITE_NUMBER = 12 /* bits of a key for its number */
};

/* A location at which several sides have something: its entry in the list, and their places. */
typedef struct pm__unite_group {
    uint16_t at, from, n;
} pm__unite_group;

typedef struct pm__unite {
    size_t sides;
    pm__ent *ents;    /* what stays; groups have an entry each */
    unsigned n, gone; /* entries; that are to go */
    const uint8_t *prefix;
    size_t plen;
    pm__unite_group *groups;
    unsigned ngroups, next;
    pm_place *places;
    uint16_t *of;   /* whose places they are */
    uint16_t *size; /* entries of each side, and how many of them are in the list as they are */
    uint16_t *same;
} pm__unite;

/* What is needed while merging only. */
typedef struct pm__unite_work {
    pm__merge_run *q;
    pm__unite *s;
    pm__lists_side *side;
    pm__ent *raw; /* the entries of all sides, one side behind the other */
    uint16_t *side_of;
    uint64_t *item; /* their keys, sorted */
    unsigned n, nplaces;
} pm__unite_work;

/* ---- values of many sides ---------------------------------------------------------------------------------------- */

/* What the values of some sides come to. */
typedef struct pm__unite_sum {
    pm_val val;
    bool some, fresh;
} pm__unite_sum;

/* Adds the next side's value to what there is. False: a hook is wrong, and nothing is left. */
static bool pm__unite_sum_add(pm__merge_run *q, pm__unite_sum *sum, pm_val w) {
    pm__merge_val r;
    if (sum->val == w && q->idempotent) return true;
    bool ok = pm__merge_value(q, &sum->val, &w, &r), stays = ok && r.some && !r.fresh && (r.alg & PM_ALG_LEFT);
    if (sum->fresh && !stays) pm__pay_release(q->cx, false, sum->val);
    sum->some = ok && r.some;
    sum->fresh = ok && (r.fresh || (sum->fresh && stays));
    if (ok) sum->val = r.val;
    return ok;
}

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
static void pm__unite_sort(pm__unite_work *g, uint64_t *other, uint16_t *bound) {
    uint64_t *a = pm__unite_two(g->raw, g->item, other, bound, (unsigned)g->s->sides, false);
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

static PM__INLINE pm__ent *pm__unite_ent(const pm__unite_work *g, unsigned i) {
    return &g->raw[pm__unite_number(g->item[i])];
}
static PM__INLINE unsigned pm__unite_side_of(const pm__unite_work *g, unsigned i) {
    return g->side_of[pm__unite_number(g->item[i])];
}

/* Takes an entry of one side as it is. */
static PM__INLINE void pm__unite_stay(pm__unite_work *g, unsigned i) {
    g->s->ents[g->s->n++] = *pm__unite_ent(g, i);
    g->s->same[pm__unite_side_of(g, i)]++;
}

static PM__INLINE bool pm__unite_equal(const pm__unite_work *g, unsigned i, unsigned j) {
    bool more;
    if (!pm__unite_alike(g->item[i], g->item[j], &more)) return false;
    const pm__ent *a = pm__unite_ent(g, i), *b = pm__unite_ent(g, j);
    return !more || (a->len == b->len && memcmp(a->rest + 5, b->rest + 5, (size_t)a->len - 6) == 0);
}

/* The values at one suffix, of entries from i on; returns where they end. 0: a hook is wrong. */
static unsigned pm__unite_values(pm__unite_work *g, unsigned i) {
    unsigned end = i + 1;
    while (end < g->n && !pm__unite_ent(g, end)->child && pm__unite_equal(g, i, end)) end++;
    if (end == i + 1) {
        pm__unite_stay(g, i);
        return end;
    }
    pm__ent e = *pm__unite_ent(g, i);
    pm__unite_sum sum = {e.pay, true, false};
    for (unsigned k = i + 1; k < end && sum.some; k++)
        if (!pm__unite_sum_add(g->q, &sum, pm__unite_ent(g, k)->pay)) return 0;
    if (!sum.some) return end;
    e.pay = sum.val;
    e.fresh = sum.fresh;
    g->s->ents[g->s->n++] = e;
    for (unsigned k = i; k < end && !sum.fresh; k++)
        if (pm__unite_ent(g, k)->pay == sum.val) g->s->same[pm__unite_side_of(g, k)]++;
    return end;
}

/* Adds entry i to the places of a location at suffix length len, of which there are n; returns how many now. */
static unsigned pm__unite_place(pm__unite_work *g, unsigned i, unsigned len, unsigned n) {
    pm_place *p = g->s->places + g->nplaces;
    uint16_t *of = g->s->of + g->nplaces;
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
static bool pm__unite_valued(const pm__unite *s, const pm__ent *e) {
    const pm__ent *v = s->ents + s->n;
    return s->n && !(--v)->child && v->len == e->len && pm__lists_common(v, e) == e->len;
}

/* Whether entry i is a child that leads nowhere. */
static bool pm__unite_is_stub(const pm__unite_work *g, unsigned i) {
    const pm__ent *e = pm__unite_ent(g, i);
    return e->child && !e->pay && g->side[pm__unite_side_of(g, i)].folded < 0;
}

/* A child, and what other sides have at and below its suffix; returns where that ends. */
static unsigned pm__unite_child(pm__unite_work *g, unsigned i) {
    pm__unite *s = g->s;
    const pm__ent *e = pm__unite_ent(g, i);
    unsigned len = e->len, end = i, n = 0, last = i;
    do {
        if (pm__unite_ent(g, end)->len != len || !pm__unite_is_stub(g, end)) n = pm__unite_place(g, last = end, len, n);
    } while (++end < g->n && pm__lists_common(pm__unite_ent(g, end), e) == len);
    if (n == 0) {
        if (pm__unite_valued(s, e)) return end;
        for (unsigned k = i; k < end; k++) s->same[pm__unite_side_of(g, k)]++;
        s->ents[s->n++] = *e;
        return end;
    }
    if (n == 1 && g->side[pm__unite_side_of(g, last)].folded < 0) {
        for (; i < end; i++)
            if (pm__unite_ent(g, i)->len > len || !pm__unite_is_stub(g, i)) pm__unite_stay(g, i);
        return end;
    }
    pm__unite_group *k = &s->groups[s->ngroups++];
    k->at = (uint16_t)s->n;
    k->from = (uint16_t)g->nplaces;
    k->n = (uint16_t)n;
    g->nplaces += n;
    s->ents[s->n] = *e;
    s->ents[s->n].pay = 0;
    s->n++;
    return end;
}

/* ---- opening a united list --------------------------------------------------------------------------------------- */

/* The bytes of prefix that all sides have ahead. */
static void pm__unite_ahead(pm__unite *s, const pm_place *sides) {
    s->plen = pm__result_ahead(&sides[0], &s->prefix);
    for (size_t i = 1; i < s->sides && s->plen; i++) {
        const uint8_t *bytes = NULL;
        size_t len = pm__result_ahead(&sides[i], &bytes);
        s->plen = pm__lcp(s->prefix, bytes, s->plen < len ? s->plen : len);
    }
}

/* Lists the entries of all sides, with their keys. */
static void pm__unite_list(pm__unite_work *g, const pm_place *sides, uint8_t *bytes, uint16_t *bound) {
    unsigned n = 0;
    for (size_t i = 0; i < g->s->sides; i++) {
        pm__lists_side *x = &g->side[i];
        const uint8_t *ahead;
        x->e = g->raw + n;
        pm__lists_line(x, &sides[i], g->s->plen, bytes);
        if (pm__result_ahead(&sides[i], &ahead) > g->s->plen) bytes += PM__LINE_BYTES + 8;
        bound[i] = (uint16_t)n;
        g->s->size[i] = (uint16_t)x->n;
        g->s->same[i] = 0;
        for (unsigned k = 0; k < x->n; k++, n++) {
            g->side_of[n] = (uint16_t)i;
            g->item[n] = pm__unite_key(&g->raw[n], n);
        }
    }
    bound[g->s->sides] = (uint16_t)n;
    g->n = n;
}

/* Merges the entries of places in lines, which have at most PM__UNITE_MAX. What it makes lies on the frame
   stack. False: see q->status; s->ents[0..s->n) may have fresh ones. */
static PM__NOINLINE bool pm__unite_open(pm__merge_run *q, pm__unite *s, const pm_place *sides, size_t n) {
    pm__unite_work g;
    unsigned total = 0, kids = 0, uneven = 0;
    memset(s, 0, sizeof *s);
    s->sides = n;
    pm__unite_ahead(s, sides);
    for (size_t i = 0; i < n; i++) {
        const uint8_t *ahead;
        bool more = pm__result_ahead(&sides[i], &ahead) > s->plen;
        total += (unsigned)sides[i].hi - sides[i].lo;
        kids += pm__popcount32(pm__place_line(&sides[i])->cmask) + more;
        uneven += more;
    }
    q->status = PM_NOMEM;
    const unsigned nplaces = kids ? total : 0;
    if (kids > total) kids = total;
    pm__ent *ents = (pm__ent *)pm__merge_alloc(q, total * sizeof *ents + nplaces * sizeof *s->places +
                                                      (nplaces + 2 * n) * sizeof *s->of + kids * sizeof *s->groups);
    if (!ents) return false;
    s->ents = ents;
    s->places = (pm_place *)(void *)(ents + total);
    s->of = (uint16_t *)(void *)(s->places + nplaces);
    s->size = s->of + nplaces;
    s->same = s->size + n;
    s->groups = (pm__unite_group *)(void *)(s->same + n);
    uint8_t *bytes = uneven ? (uint8_t *)pm__merge_alloc(q, uneven * (PM__LINE_BYTES + 8u)) : NULL;
    if (uneven && !bytes) return false;
    pm__ent *raw = (pm__ent *)pm__merge_alloc(q, total * (sizeof *raw + 2 * sizeof *g.item + sizeof *g.side_of) +
                                                     n * sizeof *g.side + (n + 1) * sizeof(uint16_t));
    if (!raw) return false;
    g.q = q;
    g.s = s;
    g.raw = raw;
    g.side = (pm__lists_side *)(void *)(raw + total);
    g.item = (uint64_t *)(void *)(g.side + n);
    g.side_of = (uint16_t *)(void *)(g.item + 2 * total);
    g.nplaces = 0;
    uint16_t *bound = g.side_of + total;
    pm__unite_list(&g, sides, bytes, bound);
    pm__unite_sort(&g, g.item + total, bound);
    q->status = PM_OK;
    for (unsigned i = 0; i < g.n;) {
        i = pm__unite_ent(&g, i)->child ? pm__unite_child(&g, i) : pm__unite_values(&g, i);
        if (!i) return false;
    }
    pm__merge_rewind(q, raw);
    return true;
}

/* Asks for the nodes of a group. */
static PM__INLINE void pm__unite_ask(const pm__unite *s, unsigned i) {
    if (i >= s->ngroups) return;
    const pm__unite_group *k = &s->groups[i];
    for (unsigned j = k->from; j < (unsigned)k->from + k->n; j++)
        if (s->places[j].depth == 0) pm__ref_prefetch(s->places[j].node);
}

/* ---- closing a united list --------------------------------------------------------------------------------------- */

/* The result to the next group, owned; 0: nothing is left there. */
static void pm__unite_answer(pm__unite *s, pm__ref r) {
    const pm__unite_group *k = &s->groups[s->next++];
    pm__ent *e = &s->ents[k->at];
    e->pay = r;
    e->fresh = true;
    if (r) {
        for (unsigned i = k->from; i < (unsigned)k->from + k->n; i++)
            if (s->places[i].node == r && s->places[i].depth == 0) s->same[s->of[i]]++;
    } else {
        e->fresh = false;
        e->len = UINT16_MAX;
        s->gone++;
    }
}

/* Makes nodes of a united list whose groups are all decided, or shares a side that the result equals; it takes over
   what the list owns. False: no memory. */
static bool pm__unite_close(pm__merge_run *q, pm__unite *s, const pm_place *sides, pm__ref *out) {
    unsigned n = 0;
    *out = 0;
    for (unsigned i = 0; s->gone && i < s->n; i++)
        if (s->ents[i].len != UINT16_MAX) s->ents[n++] = s->ents[i];
    if (s->gone) s->n = n, s->gone = 0;
    if (s->n == 0) return true;
    for (size_t i = 0; i < s->sides; i++)
        if (s->same[i] == s->n && s->size[i] == s->n && sides[i].depth == 0) {
            pm__ref_retain(sides[i].node);
            *out = sides[i].node;
            for (unsigned k = 0; k < s->n; k++)
                if (s->ents[k].fresh) pm__pay_release(q->cx, s->ents[k].child, s->ents[k].pay);
            return true;
        }
    q->status = PM_NOMEM;
    if (!s->ngroups || s->n > PM__BUILD_ENTS) {
        *out = pm__result_build(q, s->ents, s->n, s->prefix, s->plen);
        return *out != 0;
    }
    pm__result_final t;
    memcpy(t.e, s->ents, s->n * sizeof *t.e);
    t.n = s->n;
    t.nshells = 0;
    t.nbytes = 0;
    pm__result_condense(&t, s->plen);
    return pm__result_build_final(q, &t, s->prefix, s->plen, out);
}

/* Gives up what an unfinished list had made. */
static void pm__unite_abandon(pm__merge_run *q, const pm__unite *s) {
    for (unsigned i = 0; i < s->n; i++)
        if (s->ents[i].fresh) pm__pay_release(q->cx, s->ents[i].child, s->ents[i].pay);
}
