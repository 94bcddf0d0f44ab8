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

enum { PM__RESULT_TAKES = 8 }; /* a new line of at most so many entries is taken into the one above it */

/* Builds a list; what is not fresh gains a reference. Eight bytes behind an entry's bytes can be read. 0: no memory. */
static pm__ref pm__result_build(pm__merge_run *q, pm__ent *e, unsigned n, const uint8_t *prefix, size_t plen) {
    size_t lcp = e[0].first == e[n - 1].first ? pm__build_lcp(e, n, 0, plen) : 0;
    size_t size = n > PM__LINE_ENTRIES ? 0 : pm__build_fits(q->cx, e, n, plen + lcp, lcp);
    pm__ref r = size ? pm__line_write(q->cx, size, prefix, plen, e, n, 0, lcp, true)
                     : pm__build_all(q->cx, prefix, plen, e, n, 0, false);
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

/* The same, where new lines of few entries below the list are taken into it, if there is room. */
static PM__NOINLINE pm__ref pm__result_build_condensed(pm__merge_run *q, pm__ent *ents, unsigned n,
                                                       const uint8_t *prefix, size_t plen) {
    pm__gather g;
    if (!pm__gather_new(q->cx, &g, plen, ents, n, PM__RESULT_TAKES)) return pm__result_build(q, ents, n, prefix, plen);
    pm__ref r = pm__gather_write(q->cx, &g, prefix);
    if (!r) {
        q->status = PM_NOMEM;
        return 0;
    }
    for (unsigned i = 0; i < n; i++)
        if (!ents[i].fresh) pm__pay_retain(q->cx, ents[i].child, ents[i].pay);
    return r;
}
