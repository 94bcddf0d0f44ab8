/* Nodes of long lists: what the builder (24_node_any.c) does for lists of up to PM__BUILD_ENTS entries, for any number.

   From the top down: a line of few groups of entries, the small ones spelled out in it and the others in nodes below;
   or else a byte node. What the builder can take is left to it. Jobs wait on a list of the caller's, so depth costs no
   stack. */
#include "24_node_any.c"

enum { PM__LONG_SPELLED = 8 }; /* larger groups go to nodes of their own */

/* Entries [lo, hi) of a list, without their first `skip` bytes, and the slot that waits for their node. */
typedef struct pm__long_job {
    unsigned lo, hi;
    size_t skip;
    pm__ref *slot;
} pm__long_job;

typedef struct pm__long {
    const pm__cx *cx;
    pm__ent *ents;
    const uint8_t *prefix; /* of the whole */
    pm__long_job *jobs;
    unsigned used;
} pm__long;

/* Entries with the same first byte. */
typedef struct pm__long_group {
    unsigned lo, hi;
    size_t q;        /* bytes that all of them share */
    bool here, fold; /* the first is a value just there; the others go to a node of their own */
} pm__long_group;

static void pm__long_push(pm__long *b, unsigned lo, unsigned hi, size_t skip, pm__ref *slot) {
    pm__long_job j = {lo, hi, skip, slot};
    *slot = 0;
    b->jobs[b->used++] = j;
}

/* Entries have come into a node: they are its own now. */
static void pm__long_settle(const pm__long *b, unsigned lo, unsigned hi) {
    for (unsigned i = lo; i < hi; i++) {
        pm__ent *e = &b->ents[i];
        if (!e->fresh) pm__pay_retain(b->cx, e->child, e->pay);
        e->fresh = false;
    }
}

static pm__long_group pm__long_group_of(const pm__ent *ents, unsigned lo, unsigned hi, size_t from) {
    const pm__ent *a = &ents[lo], *z = &ents[hi - 1];
    pm__long_group g = {lo, hi, a->len - from, false, false};
    if (hi - lo == 1) return g;
    for (g.q = 1; g.q < a->len - from && pm__ent_at(a, from + g.q) == pm__ent_at(z, from + g.q);) g.q++;
    g.here = a->len == from + g.q;
    g.fold = hi - lo - g.here > 1;
    return g;
}

/* Bytes behind the first that a group's entries have in a line; *n entries, of which *pays have a payload. */
static size_t pm__long_group_size(const pm__long *b, const pm__long_group *g, size_t from, bool fold,
                                   unsigned *n, unsigned *pays) {
    unsigned hi = fold ? g->lo + g->here : g->hi;
    size_t heap = fold ? g->q - 1 : 0;
    *n = *pays = fold;
    for (unsigned i = g->lo; i < hi; i++) {
        heap += b->ents[i].len - from - 1;
        *n += 1;
        *pays += b->ents[i].child || !b->cx->unit;
    }
    return heap;
}

/* Spells small groups out as long as a line has room. Answers its size, or 0 if it has none at all. */
static size_t pm__long_plan(const pm__long *b, pm__long_group *g, unsigned groups, size_t from, size_t heap,
                             unsigned n, unsigned pays) {
    unsigned more, paid;
    for (unsigned i = 0; i < groups; i++) {
        heap += pm__long_group_size(b, &g[i], from, g[i].fold, &more, &paid);
        n += more, pays += paid;
    }
    size_t size = pm__line_need(n, heap, pays);
    for (unsigned most = 2; size && most <= PM__LONG_SPELLED; most++)
        for (unsigned i = 0; i < groups; i++) {
            if (!g[i].fold || g[i].hi - g[i].lo - g[i].here != most) continue;
            unsigned less, free;
            size_t was = pm__long_group_size(b, &g[i], from, true, &less, &free);
            size_t now = heap - was + pm__long_group_size(b, &g[i], from, false, &more, &paid);
            size_t fits = pm__line_need(n - less + more, now, pays - free + paid);
            if (!fits) continue;
            n = n - less + more, pays = pays - free + paid;
            heap = now, size = fits;
            g[i].fold = false;
        }
    return size;
}

/* A line of groups. */
static bool pm__long_line(pm__long *b, const pm__long_job *j, const pm__long_group *g, unsigned groups,
                           size_t size, size_t plen, size_t from) {
    pm__ent line[PM__LINE_ENTRIES];
    unsigned n = 0;
    if (b->ents[j->lo].len == from) line[n++] = b->ents[j->lo];
    for (unsigned i = 0; i < groups; i++) {
        unsigned hi = g[i].fold ? g[i].lo + g[i].here : g[i].hi;
        for (unsigned k = g[i].lo; k < hi; k++) line[n++] = b->ents[k];
        if (!g[i].fold) continue;
        line[n] = b->ents[hi];
        line[n].len = (uint32_t)(from + g[i].q);
        line[n].child = true;
        line[n++].pay = 0;
    }
    *j->slot = pm__line_encode(b->cx, size, b->prefix, plen, line, n, j->skip, from - j->skip);
    if (!*j->slot) return false;
    pm__line *x = (pm__line *)pm__ref_ptr(*j->slot);
    n = b->ents[j->lo].len == from;
    pm__long_settle(b, j->lo, j->lo + n);
    for (unsigned i = 0; i < groups; i++) {
        unsigned hi = g[i].fold ? g[i].lo + g[i].here : g[i].hi;
        pm__long_settle(b, g[i].lo, hi);
        n += hi - g[i].lo;
        if (g[i].fold) pm__long_push(b, hi, g[i].hi, from + g[i].q, pm__line_child(x, n++));
    }
    return true;
}

/* A byte node of all groups, below a line that has the bytes in front of it and the value there, if any. */
static bool pm__long_byte(pm__long *b, const pm__long_job *j, size_t plen, size_t from) {
    pm_mask cm = {{0, 0, 0, 0}}, vm = cm;
    pm__ref kids[256], *slot = j->slot;
    pm_val vals[256];
    unsigned nc = 0, nv = 0, lo = j->lo + (b->ents[j->lo].len == from);
    const size_t lcp = from - j->skip, len = plen + lcp;
    if (len) {
        uint8_t prefix[256 + 8];
        pm__ent two[2];
        unsigned n = 0;
        if (plen) memcpy(prefix, b->prefix, plen);
        for (size_t i = 0; i < lcp; i++) prefix[plen + i] = pm__ent_at(&b->ents[j->lo], j->skip + i);
        if (lo > j->lo) two[n++] = pm__ent_make(prefix + len - 1, 1, false, b->ents[j->lo].pay);
        two[n++] = pm__ent_make(prefix + len - 1, 1, true, 0);
        size_t size = pm__line_need(n, len - 1, n - (b->cx->unit && n > 1));
        *slot = pm__line_encode(b->cx, size, prefix, len - 1, two, n, 0, 0);
        if (!*slot) return false;
        pm__long_settle(b, j->lo, lo);
        slot = pm__line_child((pm__line *)pm__ref_ptr(*slot), n - 1);
    }
    for (unsigned i = lo, end; i < j->hi; i = end) {
        const pm__ent *e = &b->ents[i];
        uint8_t c = pm__ent_at(e, from);
        end = pm__build_group(b->ents, j->hi, i, from);
        bool val = !e->child && e->len == from + 1;
        if (val) pm_mask_set(&vm, c), vals[nv++] = e->pay;
        if (end - i > val) pm_mask_set(&cm, c), kids[nc++] = e[val].len == from + 1 ? e[val].pay : 0;
    }
    pm__byte *x = pm__byte_make(b->cx, &cm, &vm, kids, vals);
    if (!x) return false;
    *slot = pm__byte_ref(x);
    for (unsigned i = lo, end; i < j->hi; i = end) {
        uint8_t c = pm__ent_at(&b->ents[i], from);
        end = pm__build_group(b->ents, j->hi, i, from);
        unsigned direct = i;
        while (direct < end && b->ents[direct].len == from + 1) direct++;
        pm__long_settle(b, i, direct);
        if (direct < end) pm__long_push(b, direct, end, from + 1, pm__byte_child(x, c));
    }
    return true;
}

static bool pm__long_run_job(pm__long *b, const pm__long_job *j, size_t plen) {
    pm__long_group g[PM__BUILD_GROUPS];
    unsigned n = j->hi - j->lo, groups = 0;
    if (n <= 2 * PM__LINE_ENTRIES) {
        *j->slot = pm__build_nodes(b->cx, b->prefix, plen, b->ents + j->lo, n, j->skip);
        if (*j->slot) pm__long_settle(b, j->lo, j->hi);
        return *j->slot != 0;
    }
    size_t from = j->skip + pm__build_lcp(b->ents + j->lo, n, j->skip, plen);
    const bool e = b->ents[j->lo].len == from;
    for (unsigned i = j->lo + e, end; i < j->hi; i = end) {
        if (groups == PM__BUILD_GROUPS) return pm__long_byte(b, j, plen, from);
        end = pm__build_group(b->ents, j->hi, i, from);
        g[groups++] = pm__long_group_of(b->ents, i, end, from);
    }
    size_t size = pm__long_plan(b, g, groups, from, plen + (from - j->skip), e, e && !b->cx->unit);
    return size ? pm__long_line(b, j, g, groups, size, plen, from) : pm__long_byte(b, j, plen, from);
}

/* Builds nodes for a sorted list of n > 0 entries, as pm__build does for short ones, under prefix p[0..plen), plen <=
   255. Payloads that are not fresh gain a reference. `jobs`: room for n. False: no memory; the entries that are still
   fresh are the caller's then. */
PM__UNUSED static PM__NOINLINE bool pm__long_build(const pm__cx *cx, const uint8_t *p, size_t plen, pm__ent *ents,
                                                       unsigned n, pm__long_job *jobs, pm__ref *out) {
    pm__long b = {cx, ents, p, jobs, 0};
    bool ok = true;
    pm__long_push(&b, 0, n, 0, out);
    for (; ok && b.used; plen = 0) {
        pm__long_job j = b.jobs[--b.used];
        ok = pm__long_run_job(&b, &j, plen);
    }
    if (ok) return true;
    pm__any_release(cx, *out);
    *out = 0;
    return false;
}
