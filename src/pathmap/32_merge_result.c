/* From lists of entries to nodes. New lines of few entries are spelled out in the list above them, so that what shrinks
   does not leave a node for each entry behind. */
#include "30_merge.c"

/* Notes which sides a part of the result equals. */
static void pm__result_differ(pm__merge_frame *f, unsigned keeps) {
    if (!(keeps & PM_ALG_LEFT)) f->same_a = false;
    if (!(keeps & PM_ALG_RIGHT)) f->same_b = false;
}

/* As pm__place_enter, but the entries of a node's root are not counted. */
static PM__INLINE bool pm__result_enter(pm_place *p) {
    if (p->depth && !pm__place_enter(p)) return false;
    if (p->depth == 0) p->lo = p->hi = 0;
    return p->node != 0;
}

/* Counts the entries of an entered place that pm__result_enter left uncounted. */
static PM__INLINE void pm__result_look(pm_place *p) {
    if (p->depth == 0 && pm__place_in_line(p)) p->hi = pm__place_line(p)->n;
}

/* Bytes of a line's prefix that are still ahead of a place. */
static size_t pm__result_ahead(const pm_place *p, const uint8_t **bytes) {
    const pm__line *x = pm__place_line(p);
    if (p->depth >= x->plen) return 0;
    *bytes = pm__line_heap(x) + p->depth;
    return (size_t)x->plen - p->depth;
}

/* The same for the result of a pair. */
static void pm__result_differ_by(pm__merge_frame *f, uint8_t alg) {
    pm__result_differ(f, alg < PM_ALG_ELEMENT ? alg : 0u);
}

enum { PM__RESULT_ABSORB = 8 }; /* a new line of at most so many entries is spelled out in the list above it */

/* The final list, with what it takes over from the nodes absorbed. */
typedef struct pm__result_final {
    pm__ent e[PM__BUILD_ENTS];
    unsigned n, nshells;
    size_t cost; /* bytes of line that the list takes */
    size_t nbytes;
    pm__ref shells[PM__MERGE_LIST];
    uint8_t bytes[PM__LINE_BYTES + 2 * PM__SUFFIX_MAX + 8];
} pm__result_final;

static size_t pm__result_cost(const pm__ent *e) { return 9u + e->len; }

/* Some entries of a line: of those from `lo` on the ones whose bit is set, without `cut` bytes of suffix, and the
   prefix that they are under. */
typedef struct pm__result_pick {
    const pm__line *x;
    const uint8_t *prefix;
    size_t plen;
    unsigned lo, cut;
    uint32_t mask;
} pm__result_pick;

static pm__result_pick pm__result_pick_all(const pm__line *x) {
    pm__result_pick k = {x, pm__line_heap(x), x->plen, 0, 0, pm__low_bits(x->n)};
    return k;
}

/* Lists them. */
static unsigned pm__result_pick_list(const pm__result_pick *k, pm__ent *out) {
    const pm__line *x = k->x;
    const uint8_t *lens = pm__line_lens(x) + k->lo, *h = pm__line_heap(x) + pm__line_off(x, k->lo) + k->cut;
    unsigned n = 0, at = 0;
    for (uint32_t m = k->mask; m; m &= m - 1) {
        unsigned to = pm__ctz32(m), i = k->lo + to;
        for (; at < to; at++) h += lens[at];
        pm__ent *e = &out[n++];
        e->rest = h;
        e->first = k->cut ? h[-1] : x->body[i];
        e->len = (uint16_t)(i == 0 && pm__line_has_e(x) ? 0 : lens[at] + 1u - k->cut);
        e->child = pm__line_is_child(x, i);
        e->pay = e->child ? *pm__line_child(x, i) : *pm__line_val(x, i);
        e->fresh = false;
    }
    return n;
}

/* Spells out a few entries under suffix s[0..len) and `above` bytes of prefix, if there is room beside `after` more
   entries that the list will get. */
static bool pm__result_absorb(pm__result_final *t, const pm__ent *s, size_t above, const pm__result_pick *k,
                              unsigned after, bool fresh) {
    pm__ent ents[PM__RESULT_ABSORB];
    unsigned n = pm__popcount32(k->mask);
    size_t each = (size_t)s->len + k->plen, need = n * each;
    if (n > PM__RESULT_ABSORB || t->n + n + after > PM__LINE_ENTRIES) return false;
    (void)pm__result_pick_list(k, ents);
    for (unsigned i = 0; i < n; i++) {
        need += ents[i].len;
        if (above + each + ents[i].len > PM__SUFFIX_MAX) return false;
    }
    size_t cost = t->cost - pm__result_cost(s) + need + 9u * n;
    if (cost > PM__LINE_BYTES - 32 || t->nbytes + need > PM__LINE_BYTES) return false;
    for (unsigned i = 0; i < n; i++) {
        uint8_t *to = t->bytes + t->nbytes;
        pm__ent *e = &ents[i];
        to[0] = s->first;
        memcpy(to + 1, s->rest, s->len - 1u);
        if (k->plen) memcpy(to + s->len, k->prefix, k->plen);
        if (e->len) {
            to[each] = e->first;
            memcpy(to + each + 1, e->rest, e->len - 1u);
        }
        t->nbytes += each + e->len;
        t->e[t->n] = pm__ent_make(to, each + e->len, e->child, e->pay);
        t->e[t->n++].fresh = fresh;
    }
    t->cost = cost;
    return true;
}

/* Whether an entry is a new child, and that a line of few entries. */
static bool pm__result_may_absorb(const pm__ent *s) {
    return s->child && s->fresh && s->pay && pm__ref_kind(s->pay) == PM__LINE && pm__ref_is_unique(s->pay) &&
           ((const pm__line *)pm__ref_ptr(s->pay))->n <= PM__RESULT_ABSORB;
}

/* Builds a list; what is not fresh gains a reference. Eight bytes behind an entry's bytes can be read. 0: no memory. */
static pm__ref pm__result_build(pm__merge_run *q, pm__ent *e, unsigned n, const uint8_t *prefix, size_t plen) {
    size_t lcp = e[0].first == e[n - 1].first ? pm__build_lcp(e, n, 0, plen) : 0;
    size_t size = n > PM__LINE_ENTRIES ? 0 : pm__build_fits(q->cx, e, n, plen + lcp, lcp);
    pm__ref r = size ? pm__line_write(q->cx, size, prefix, plen, e, n, 0, lcp, true)
                     : pm__build_jobs(q->cx, prefix, plen, e, n, 0);
    if (!r) {
        q->status = PM_NOMEM;
        return 0;
    }
    for (unsigned i = 0; i < n; i++)
        if (e[i].child && !e[i].fresh) PM__PREFETCH(pm__ref_ptr(e[i].pay));
    for (unsigned i = 0; i < n; i++)
        if (!e[i].fresh) pm__pay_retain(q->cx, e[i].child, e[i].pay);
    return r;
}

/* Frees the lines whose entries have moved. */
static void pm__result_shells_free(pm__result_final *t) {
    while (t->nshells) {
        pm__line *y = (pm__line *)pm__ref_ptr(t->shells[--t->nshells]);
        pm__mem_free(y, pm__line_size(y));
    }
}

/* Builds the final list; what was absorbed has moved. False: no memory. */
static bool pm__result_build_final(pm__merge_run *q, pm__result_final *t, const uint8_t *prefix, size_t plen,
                                   pm__ref *out) {
    *out = pm__result_build(q, t->e, t->n, prefix, plen);
    if (*out) pm__result_shells_free(t);
    return *out != 0;
}

/* Makes a node of its own of what a pair keeps of one side, where that is not on a node's root. False: no memory. */
static bool pm__result_own(pm__merge_run *q, pm__merge_pair *p, const pm_place *at) {
    pm_place e = *at;
    pm__ref r;
    if (!pm__place_enter(&e) || e.depth == 0) return true;
    if (!pm__place_share(q->cx, &e, &r)) {
        q->status = PM_NOMEM;
        return false;
    }
    p->ref = r;
    p->alg = PM_ALG_ELEMENT;
    return true;
}

/* Whose content a pair keeps: PM_ALG_LEFT, PM_ALG_RIGHT, PM_ALG_ELEMENT, or PM_ALG_NONE if nothing lies there. */
static pm_alg pm__result_kept(const pm__merge_pair *p, pm_place *at) {
    pm_place e = p->a;
    if (p->alg == PM_ALG_ELEMENT) return PM_ALG_ELEMENT;
    if ((p->alg & PM_ALG_LEFT) && pm__place_enter(&e)) {
        *at = e;
        return PM_ALG_LEFT;
    }
    e = p->b;
    if ((p->alg & PM_ALG_RIGHT) && pm__place_enter(&e)) {
        *at = e;
        return PM_ALG_RIGHT;
    }
    return PM_ALG_NONE;
}

/* Spells small new lines out in the list, where there is room. */
static void pm__result_condense(pm__result_final *t, size_t plen) {
    pm__ent from[PM__BUILD_ENTS];
    unsigned n = t->n, i = 0;
    while (i < n && !pm__result_may_absorb(&t->e[i])) i++;
    if (i == n) return;
    t->cost = PM__LINE_HDR + plen;
    for (unsigned k = 0; k < n; k++) t->cost += pm__result_cost(&t->e[k]);
    memcpy(from + i, t->e + i, (n - i) * sizeof *from);
    for (t->n = i; i < n; i++) {
        if (pm__result_may_absorb(&from[i])) {
            pm__result_pick k = pm__result_pick_all((const pm__line *)pm__ref_ptr(from[i].pay));
            if (pm__result_absorb(t, &from[i], plen, &k, n - i - 1, true)) {
                t->shells[t->nshells++] = from[i].pay;
                continue;
            }
        }
        t->e[t->n++] = from[i];
    }
}
