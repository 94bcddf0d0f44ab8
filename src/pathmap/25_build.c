/* From sorted entries to nodes: the one place that decides what becomes a line and what a byte node.

   A job is a run of entries that share their first `skip` bytes, and the slot that waits for their node. If one line
   holds them all, it does. Else they are grouped by their next byte, behind what all have in common. If the groups are
   few, those that would free most bytes become child entries of a line, and jobs of their own, until the others fit as
   they are; else they become a byte node. Jobs wait on a list, so depth costs no stack.

   Where the groups are many and small, a byte node would lead to a line for each of a few keys. Then runs of groups
   become the parts of a range node: each as many as fill a line well.

   In long lists, where a line has room left, a large group of which but few entries branch off on the way gives these
   to the line too: keys of which each is a little longer than the one before would be a chain of nodes else.

   Gathering, at the end, is the opposite: what removals leave small goes back into the node above. */
#include "24_node_any.c"

/* Measured: with 24 groups and more in a line, words take 0.2 % less memory and a lookup 12 % more instructions. */
enum {
    PM__BUILD_ENTS = 2 * PM__LINE_ENTRIES + 4, /* most entries of a short list */
    PM__BUILD_FEW = 12,                        /* jobs that wait without further memory */
    PM__BUILD_GROUPS = 20,                     /* more groups make a byte node */
    PM__BUILD_SINGLE = 24,                     /* bytes that moving a single entry below must free */
    PM__BUILD_TWIGS = 3
};

/* Measured: random 8-byte keys take 17 to 21 bytes, where byte nodes alone would let them take up to 44. With fewer
   groups, text has range nodes: it takes no less memory, and its algebra more time. */
enum {
    PM__RANGE_GROUPS = 24,       /* fewer groups make no range node */
    PM__RANGE_SUFFIX = 3,        /* nor do shorter entries, on the average: integers that become dense */
    PM__RANGE_ENTRIES = 28,      /* what a part is filled with, */
    PM__RANGE_BYTES = 440,       /* and so many bytes of payloads and suffixes at most */
    PM__RANGE_KEYS = PM__LINE_ENTRIES * PM__RANGE_ENTRIES,
    PM__RANGE_ENOUGH = 27 * PM__RANGE_ENTRIES /* with more, packing the parts anew would soon be undone */
};

typedef struct pm__build_job {
    size_t lo, hi, skip;
    pm__ref *slot;
} pm__build_job;

typedef struct pm__build {
    const pm__cx *cx;
    pm__ent *ents;
    const uint8_t *prefix; /* of the first job's node */
    size_t plen;           /* 0 for all others */
    pm__build_job *jobs, few[PM__BUILD_FEW];
    size_t used, cap;
    bool strips; /* a long list */
    const pm__ref *part; /* the slot, if there is one, that may not get a range node: it is in one */
    pm__ref full; /* a full tip that has been made; it is below the root */
} pm__build;

/* Entries [lo, hi) with the same next byte. Bytes of line: as one child entry, with the value there if any; or spelled
   out. */
typedef struct pm__build_group {
    size_t lo, hi;
    uint16_t q;               /* bytes that all share, as far as one entry takes them */
    uint16_t folded, spelled; /* spelled 0: too many */
    bool here, fold;          /* here: the first is a value at the end of these bytes */
} pm__build_group;

static bool pm__build_push(pm__build *b, size_t lo, size_t hi, size_t skip, pm__ref *slot) {
    if (b->used == b->cap) {
        pm__build_job *more = (pm__build_job *)pm__mem_alloc_big(2 * b->cap * sizeof *more);
        if (!more) return false;
        memcpy(more, b->jobs, b->cap * sizeof *more);
        if (b->jobs != b->few) pm__mem_free_big(b->jobs, b->cap * sizeof *more);
        b->jobs = more;
        b->cap *= 2;
    }
    pm__build_job j = {lo, hi, skip, slot};
    b->jobs[b->used++] = j;
    return true;
}

/* Bytes, up to `plen` with those there are, that the entries share behind `skip` and the line takes as prefix. */
static PM__INLINE size_t pm__build_lcp(const pm__ent *ents, size_t n, size_t skip, size_t plen) {
    const pm__ent *a = &ents[0], *z = &ents[n - 1];
    if (n < 2) return 0;
    size_t l = pm__ent_lcp(a, z, skip, 255 - plen);
    return z->child && l == (size_t)z->len - skip ? l - 1 : l; /* a child keeps one byte; no other is as short */
}

/* Allocation for a line of these entries, or 0. */
static PM__INLINE size_t pm__build_fits(const pm__cx *cx, const pm__ent *ents, size_t n, size_t plen, size_t from) {
    size_t heap = plen, longest = 0;
    unsigned pays = 0;
    if (n > PM__LINE_ENTRIES) return 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = ents[i].len - from;
        heap += len - (len > 0);
        longest = len > longest ? len : longest;
        pays += ents[i].child || !cx->unit;
    }
    return plen + longest > PM__SUFFIX_MAX ? 0 : pm__line_need((unsigned)n, heap, pays);
}

/* First entry in (i, n) whose byte at `from` is not that of entry i: steps that double, then halves. */
static PM__INLINE size_t pm__build_group_end(const pm__ent *ents, size_t n, size_t i, size_t from) {
    uint8_t c = pm__ent_at(&ents[i], from);
    size_t step = 1, good = i;
    if (n - i <= PM__LINE_ENTRIES + 1) {
        do i++;
        while (i < n && pm__ent_at(&ents[i], from) == c);
        return i;
    }
    if (pm__ent_at(&ents[i + 1], from) != c) return i + 1; /* most groups of dense integers */
    while (good + step < n && pm__ent_at(&ents[good + step], from) == c) good += step, step *= 2;
    size_t bad = good + step < n ? good + step : n;
    while (good + 1 < bad) {
        size_t mid = good + (bad - good) / 2;
        if (pm__ent_at(&ents[mid], from) == c) good = mid;
        else bad = mid;
    }
    return bad;
}

/* Bytes of line that an entry with so long a suffix takes. */
static PM__INLINE size_t pm__build_cost(const pm__cx *cx, size_t suffix, bool child) {
    return 1 + suffix + (child || !cx->unit ? 8 : 0);
}

/* `limit`: the longest suffix that the line allows beside its prefix. */
static pm__build_group pm__build_measure(const pm__build *b, size_t lo, size_t hi, size_t from, size_t limit) {
    const pm__ent *a = &b->ents[lo], *z = &b->ents[hi - 1];
    const size_t n = hi - lo;
    size_t spelled = 0, most = 0;
    pm__build_group g = {lo, hi, 1, (uint16_t)pm__build_cost(b->cx, 1, true), 0, false, true};
    if (n == 1) {
        g.fold = a->len - from > limit;
        if (!g.fold) g.spelled = (uint16_t)pm__build_cost(b->cx, a->len - from, a->child);
        return g;
    }
    g.q = (uint16_t)pm__ent_lcp(a, z, from, limit);
    g.here = !a->child && a->len == from + g.q;
    g.folded = (uint16_t)(g.folded + g.q - 1u + (g.here ? pm__build_cost(b->cx, g.q, false) : 0));
    if (n > PM__LINE_ENTRIES) return g;
    for (size_t i = lo; i < hi; i++) {
        size_t len = b->ents[i].len - from;
        most = len > most ? len : most;
        spelled += pm__build_cost(b->cx, len, b->ents[i].child);
    }
    if (most > limit || spelled > PM__LINE_BYTES) return g;
    g.spelled = (uint16_t)spelled;
    g.fold = false;
    return g;
}

static PM__INLINE unsigned pm__build_entries(const pm__build_group *g) {
    return g->fold ? (unsigned)g->here + (g->hi - g->lo > g->here) : (unsigned)(g->hi - g->lo);
}

static PM__INLINE unsigned pm__build_bytes(const pm__build_group *g) { return g->fold ? g->folded : g->spelled; }

/* What a line holds so far, and how much it may. */
typedef struct pm__build_sum {
    size_t bytes, room;
    unsigned entries;
} pm__build_sum;

/* Counts groups in the place of another one. False, and nothing changed: there is no room. */
static bool pm__build_swap(pm__build_sum *sum, const pm__build_group *was, const pm__build_group *now, unsigned n) {
    size_t bytes = sum->bytes - pm__build_bytes(was);
    unsigned entries = sum->entries - pm__build_entries(was);
    for (unsigned i = 0; i < n; i++) bytes += pm__build_bytes(&now[i]), entries += pm__build_entries(&now[i]);
    if (entries > PM__LINE_ENTRIES || bytes > sum->room) return false;
    sum->bytes = bytes;
    sum->entries = entries;
    return true;
}

/* Divides a folded group where its entries part, if that leaves at most one folded group and few others. Returns how
   many there are, or 0. */
static unsigned pm__build_part(const pm__build *b, const pm__build_group *g, size_t from, size_t limit,
                               pm__build_group *out) {
    const size_t at = from + g->q;
    unsigned n = 0, folds = 0;
    if (!g->fold || g->q >= limit) return 0;
    /* All but two are in one part: then the third from either end are. */
    if (g->hi - g->lo > 2 * PM__BUILD_TWIGS &&
        pm__ent_at(&b->ents[g->lo + 2], at) != pm__ent_at(&b->ents[g->hi - 3], at))
        return 0;
    for (size_t i = g->lo, end; i < g->hi; i = end) {
        if (n == PM__BUILD_TWIGS) return 0;
        end = b->ents[i].len == at ? i + 1 : pm__build_group_end(b->ents, g->hi, i, at);
        out[n] = pm__build_measure(b, i, end, from, limit);
        if (out[n].fold && end - i == 1) { /* the bytes that the parts share are not enough to tell it apart */
            out[n].q = (uint16_t)(g->q + 1);
            out[n].folded = (uint16_t)pm__build_cost(b->cx, out[n].q, true);
        }
        folds += out[n++].fold;
    }
    return folds <= 1 && n > 1 ? n : 0;
}

/* Where a line has room, takes in what branches off on the way to large groups: entries of which each is little longer
   than the one before would be a chain of nodes else. Returns how many groups there are then. */
static unsigned pm__build_strip(const pm__build *b, pm__build_group *g, unsigned n, size_t from, size_t limit,
                                pm__build_sum *sum) {
    pm__build_group part[PM__BUILD_TWIGS];
    for (unsigned i = 0; i < n && sum->entries < PM__LINE_ENTRIES && sum->bytes + 10 <= sum->room;) {
        unsigned k = pm__build_part(b, &g[i], from, limit, part);
        if (!k || n + k - 1 > PM__LINE_ENTRIES || !pm__build_swap(sum, &g[i], part, k)) {
            i++;
            continue;
        }
        memmove(g + i + k, g + i + 1, (n - i - 1) * sizeof *g);
        memcpy(g + i, part, k * sizeof *g);
        n += k - 1;
    }
    return n;
}

/* Moves the group whose removal frees most bytes into a node of its own; of a single entry, but for its first byte.
   False: nothing frees enough. */
static bool pm__build_fold(pm__build_group *g, unsigned n, pm__build_sum *sum) {
    pm__build_group *most = NULL;
    unsigned best = 0;
    for (unsigned i = 0; i < n; i++) {
        unsigned gain = g[i].spelled > g[i].folded ? (unsigned)g[i].spelled - g[i].folded : 0u;
        if (g[i].hi - g[i].lo == 1 && gain < PM__BUILD_SINGLE) continue;
        if (!g[i].fold && gain > best) most = &g[i], best = gain;
    }
    if (!most) return false;
    sum->bytes -= best;
    sum->entries -= pm__build_entries(most);
    most->fold = true;
    sum->entries += pm__build_entries(most);
    return true;
}

/* Decides which groups are folded so that the line fits. False: it cannot. */
static bool pm__build_plan(const pm__build *b, pm__build_group *g, unsigned *n, size_t from, size_t limit,
                           pm__build_sum *sum) {
    for (unsigned i = 0; i < *n; i++) {
        sum->bytes += pm__build_bytes(&g[i]);
        sum->entries += pm__build_entries(&g[i]);
    }
    while (sum->entries > PM__LINE_ENTRIES || sum->bytes > sum->room)
        if (!pm__build_fold(g, *n, sum)) return false;
    if (!b->strips) return true;
    for (unsigned i = 0; i < *n; i++) { /* what had to be folded before a larger one may fit now */
        pm__build_group now = g[i];
        now.fold = false;
        if (g[i].fold && g[i].spelled && pm__build_swap(sum, &g[i], &now, 1)) g[i].fold = false;
    }
    *n = pm__build_strip(b, g, *n, from, limit, sum);
    return true;
}

/* A line has been made of entries: it holds their children. */
static PM__INLINE void pm__build_place(pm__build *b, size_t lo, size_t hi) {
    for (size_t i = lo; i < hi; i++) b->ents[i].placed = true;
}

/* Where those entries of a group end that the line spells out. */
static PM__INLINE size_t pm__build_spelled(const pm__build_group *g) { return g->fold ? g->lo + g->here : g->hi; }

/* Makes the planned line, and the jobs for its children. */
static bool pm__build_line(pm__build *b, const pm__build_job *j, const pm__build_group *g, unsigned groups,
                           size_t lcp) {
    const size_t from = j->skip + lcp;
    const pm__ent *first = &b->ents[j->lo];
    const bool e = first->len == from;
    size_t heap = b->plen + lcp;
    unsigned n = e, pays = e && !b->cx->unit;
    pm__pen w;
    for (unsigned i = 0; i < groups; i++) {
        size_t hi = pm__build_spelled(&g[i]);
        for (size_t k = g[i].lo; k < hi; k++, n++) {
            heap += b->ents[k].len - from - 1;
            pays += b->ents[k].child || !b->cx->unit;
        }
        if (hi < g[i].hi) n++, pays++, heap += g[i].q - 1u;
    }
    size_t size = pm__line_need(n, heap, pays);
    if (!pm__pen_open(&w, NULL, b->cx, size, n, b->prefix, b->plen, lcp)) return false;
    for (size_t k = j->skip; k < from; k++) *w.heap++ = pm__ent_at(first, k);
    if (e) pm__pen_end(&w, first->pay);
    for (unsigned i = 0; i < groups; i++) {
        size_t hi = pm__build_spelled(&g[i]);
        for (size_t k = g[i].lo; k < hi; k++) pm__pen_put(&w, &b->ents[k], from);
        if (hi == g[i].hi) continue;
        pm__copy_short(w.heap, b->ents[hi].rest + from, g[i].q - 1u);
        pm__pen_next(&w, pm__ent_at(&b->ents[hi], from), g[i].q - 1u, true, 0);
    }
    *j->slot = pm__pen_close(&w, NULL, size);
    const pm__line *x = (const pm__line *)pm__ref_ptr(*j->slot);
    n = e;
    for (unsigned i = 0; i < groups; i++) {
        size_t hi = pm__build_spelled(&g[i]);
        pm__build_place(b, g[i].lo, hi);
        n += (unsigned)(hi - g[i].lo);
        if (hi < g[i].hi && !pm__build_push(b, hi, g[i].hi, from + g[i].q, pm__line_child(x, n++))) return false;
    }
    return true;
}

/* Makes a byte node of the groups of entries [lo, hi), and the jobs for its children. */
static bool pm__build_byte(pm__build *b, size_t lo, size_t hi, size_t from, pm__ref *slot) {
    pm_mask kids = {{0, 0, 0, 0}}, vals = {{0, 0, 0, 0}};
    size_t job = b->used, nv = 0;
    for (size_t i = lo, z; i < hi; i = z) {
        const pm__ent *e = &b->ents[i];
        uint8_t c = pm__ent_at(e, from);
        z = pm__build_group_end(b->ents, hi, i, from);
        bool here = !e->child && e->len == from + 1;
        if (here) pm_mask_set(&vals, c);
        if (z == i + here) continue;
        pm_mask_set(&kids, c);
        if (e[here].len != from + 1 && !pm__build_push(b, i + here, z, from + 1, NULL)) return false;
    }
    pm__byte *x = pm__byte_make(b->cx, &kids, &vals, NULL, NULL);
    if (!x) return false;
    if (pm__byte_is_full_tip(x)) {
        *slot = pm__any_full(x, &b->full);
        return true;
    }
    *slot = pm__byte_ref(x);
    if (!x->nc) { /* only values */
        for (size_t i = lo; i < hi && !b->cx->unit; i++) x->slot[x->cap - 1u - nv++] = b->ents[i].pay;
        return true;
    }
    for (size_t i = lo; i < hi;) { /* what is no job ends here */
        pm__ent *e = &b->ents[i];
        if (job < b->used && b->jobs[job].lo == i) {
            b->jobs[job].slot = pm__byte_child(x, pm__ent_at(e, from));
            i = b->jobs[job++].hi;
            continue;
        }
        if (e->child) *pm__byte_child(x, pm__ent_at(e, from)) = e->pay, e->placed = true;
        else if (!b->cx->unit) x->slot[x->cap - 1u - nv++] = e->pay;
        i++;
    }
    return true;
}

/* Bytes that entries with the same next byte take in a line, spelled out; 0: too many. */
static size_t pm__build_spell(const pm__build *b, size_t i, size_t end, size_t from) {
    const pm__ent *e = &b->ents[i];
    if (end - i > 1) return pm__build_measure(b, i, end, from, PM__SUFFIX_MAX).spelled;
    return e->len - from > PM__SUFFIX_MAX ? 0 : pm__build_cost(b->cx, e->len - from, e->child);
}

static PM__INLINE bool pm__build_is_tip(const pm__build *b, size_t i, size_t from) {
    return b->ents[i].len == from + 1;
}

/* Where the parts of a range node of entries [lo, hi) would begin, and the last one end. Returns how many there are, or
   0: no range node is to be made. */
static PM__COLD unsigned pm__build_parts(const pm__build *b, size_t lo, size_t hi, size_t from, size_t *start) {
    const size_t room = PM__LINE_BYTES - PM__LINE_HDR - 8;
    size_t bytes = 0, suffixes = 0, tips = 0, groups = 0, in = 0, done = 0;
    unsigned n = 0;
    if (hi - lo > PM__RANGE_KEYS) return 0;
    if (pm__build_is_tip(b, lo, from) && pm__build_is_tip(b, (lo + hi) / 2, from)) return 0; /* soon seen */
    for (size_t i = lo; i < hi; i = pm__build_group_end(b->ents, hi, i, from)) groups++;
    if (groups < PM__RANGE_GROUPS) return 0;
    for (size_t i = lo; i < hi; i++) {
        tips += pm__build_is_tip(b, i, from), suffixes += b->ents[i].len - from;
        bytes += pm__build_cost(b->cx, b->ents[i].len - from, b->ents[i].child);
    }
    if (2 * tips > hi - lo || suffixes < (hi - lo) * PM__RANGE_SUFFIX) return 0;
    size_t parts = (hi - lo + PM__RANGE_ENTRIES - 1) / PM__RANGE_ENTRIES, heavy = bytes / PM__RANGE_BYTES + 1;
    const size_t each = bytes / (parts > heavy ? parts : heavy) + 1;
    bool alone = true; /* what there is of the part goes with nothing else */
    for (size_t i = lo, end; i < hi; i = end) {
        end = pm__build_group_end(b->ents, hi, i, from);
        const size_t spelled = pm__build_spell(b, i, end, from);
        if (alone || !spelled || in + spelled > room || end - start[n - 1] > PM__LINE_ENTRIES || done >= n * each) {
            if (n == PM__LINE_ENTRIES) return 0;
            start[n++] = i, in = 0;
        }
        in += spelled, alone = !spelled;
        done += spelled ? spelled : (end - i) * each;
    }
    start[n] = hi;
    return n > 1 ? n : 0;
}

/* Makes a range node, and the jobs for its parts. */
static bool pm__build_range(pm__build *b, const size_t *start, unsigned n, size_t from, pm__ref *slot) {
    pm__ent parts[PM__LINE_ENTRIES];
    for (unsigned i = 0; i < n; i++) {
        uint8_t first = i ? pm__ent_at(&b->ents[start[i]], from) : 0;
        parts[i] = pm__ent_make(&first, 1, true, 0);
    }
    *slot = pm__line_of_parts(b->cx, parts, n);
    if (!*slot) return false;
    const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
    for (unsigned i = 0; i < n; i++)
        if (!pm__build_push(b, start[i], start[i + 1], from, pm__line_part_at(x, i))) return false;
    return true;
}

/* A byte or range node, where bytes stand in front, under a line that has them, and the value at their end. */
static PM__COLD bool pm__build_under(pm__build *b, const pm__build_job *j, size_t lcp, bool e) {
    pm__ref *slot = j->slot;
    const pm__ent *first = &b->ents[j->lo];
    uint8_t prefix[256];
    size_t len = b->plen + lcp;
    if (len) {
        pm__ent two[2];
        unsigned n = 0;
        if (b->plen) memcpy(prefix, b->prefix, b->plen);
        for (size_t i = 0; i < lcp; i++) prefix[b->plen + i] = pm__ent_at(first, j->skip + i);
        if (e) two[n++] = pm__ent_make(prefix + len - 1, 1, false, first->pay);
        two[n++] = pm__ent_make(prefix + len - 1, 1, true, 0);
        size_t size = pm__build_fits(b->cx, two, n, len - 1, 0);
        *slot = pm__line_encode(b->cx, size, prefix, len - 1, two, n, 0, 0);
        if (!*slot) return false;
        slot = pm__line_child((const pm__line *)pm__ref_ptr(*slot), n - 1);
    }
    size_t start[PM__LINE_ENTRIES + 1], from = j->skip + lcp;
    unsigned parts = slot == b->part ? 0 : pm__build_parts(b, j->lo + e, j->hi, from, start);
    if (parts) return pm__build_range(b, start, parts, from, slot);
    return pm__build_byte(b, j->lo + e, j->hi, from, slot);
}

static bool pm__build_run(pm__build *b, const pm__build_job *j) {
    pm__build_group g[PM__LINE_ENTRIES];
    pm__ent *ents = b->ents + j->lo;
    const size_t n = j->hi - j->lo;
    if (n == 1 && ents->len - j->skip > PM__SUFFIX_MAX) { /* long suffixes are in one piece */
        *j->slot = pm__any_chain(b->cx, ents->rest + j->skip - 1, ents->len - j->skip, ents->child, ents->pay);
        ents->placed = *j->slot != 0;
        return ents->placed;
    }
    const size_t lcp = pm__build_lcp(ents, n, j->skip, b->plen), plen = b->plen + lcp, from = j->skip + lcp;
    size_t size = pm__build_fits(b->cx, ents, n, plen, from);
    if (size) {
        *j->slot = pm__line_encode(b->cx, size, b->prefix, b->plen, ents, (unsigned)n, j->skip, lcp);
        if (*j->slot) pm__build_place(b, j->lo, j->hi);
        return *j->slot != 0;
    }
    const bool e = ents->len == from; /* then plen > 0 */
    unsigned groups = 0;
    for (size_t i = j->lo + e, end; i < j->hi; i = end) {
        if (groups == PM__BUILD_GROUPS) return pm__build_under(b, j, lcp, e);
        end = pm__build_group_end(b->ents, j->hi, i, from);
        g[groups].lo = i, g[groups++].hi = end;
    }
    for (unsigned i = 0; i < groups; i++) g[i] = pm__build_measure(b, g[i].lo, g[i].hi, from, PM__SUFFIX_MAX - plen);
    size_t used = PM__LINE_HDR + plen + (e ? 10 : 0) + 8; /* unit maps keep 8 bytes behind the heap */
    pm__build_sum sum = {0, PM__LINE_BYTES - used, e};
    if (pm__build_plan(b, g, &groups, from, PM__SUFFIX_MAX - plen, &sum)) return pm__build_line(b, j, g, groups, lcp);
    return pm__build_under(b, j, lcp, e);
}

/* Gives up nodes that have been made of entries. Children that are in these (`placed`) stay as they are. */
static void pm__build_give_up(const pm__cx *cx, const pm__ent *ents, size_t n, pm__ref r) {
    pm__cx nodes_only = *cx;
    nodes_only.plain = true;
    for (size_t i = 0; i < n; i++)
        if (ents[i].placed && ents[i].child) pm__ref_retain(ents[i].pay);
    pm__any_release(&nodes_only, r);
}

/* Undoes pm__build_nodes. */
static void pm__build_undo(const pm__cx *cx, pm__ent *ents, size_t n, pm__ref r) {
    for (size_t i = 0; i < n; i++) ents[i].placed = true;
    pm__build_give_up(cx, ents, n, r);
}

static PM__NOINLINE pm__ref pm__build_all(const pm__cx *cx, const uint8_t *p, size_t plen, pm__ent *ents, size_t n,
                                          size_t skip, bool part) {
    pm__build b;
    pm__ref root = 0;
    b.part = part ? &root : NULL;
    b.cx = cx, b.ents = ents, b.prefix = p, b.plen = plen;
    b.jobs = b.few, b.used = 0, b.cap = PM__BUILD_FEW, b.strips = n > PM__BUILD_ENTS, b.full = 0;
    for (size_t i = 0; i < n; i++) ents[i].placed = false;
    bool ok = pm__build_push(&b, 0, n, skip, &root);
    for (; ok && b.used; b.plen = 0) {
        pm__build_job j = b.jobs[--b.used];
        ok = pm__build_run(&b, &j);
    }
    if (b.jobs != b.few) pm__mem_free_big(b.jobs, b.cap * sizeof *b.jobs);
    if (ok) return root;
    pm__build_give_up(cx, ents, n, root);
    return 0;
}

/* The same where one line may do. */
static PM__NOINLINE pm__ref pm__build_any(const pm__cx *cx, const uint8_t *p, size_t plen, pm__ent *ents, size_t n,
                                          size_t skip, bool part) {
    size_t lcp = pm__build_lcp(ents, n, skip, plen), size = pm__build_fits(cx, ents, n, plen + lcp, skip + lcp);
    if (size) return pm__line_encode(cx, size, p, plen, ents, (unsigned)n, skip, lcp);
    return pm__build_all(cx, p, plen, ents, n, skip, part);
}

/* Builds nodes for n > 0 sorted entries, each without its first `skip` bytes, under prefix p[0..plen), plen <= 255. An
   entry of just `skip` bytes is the value at the end of the prefix (plen > 0); one of more than PM__SUFFIX_MAX has
   all of them in one piece. The nodes take over what the payloads hold. 0: no memory, nothing held. */
static pm__ref pm__build_nodes(const pm__cx *cx, const uint8_t *p, size_t plen, pm__ent *ents, size_t n, size_t skip) {
    return pm__build_any(cx, p, plen, ents, n, skip, false);
}

/* The same for what may become the part of a range node. */
static pm__ref pm__build_part_nodes(const pm__cx *cx, const uint8_t *p, size_t plen, pm__ent *ents, size_t n) {
    return pm__build_any(cx, p, plen, ents, n, 0, true);
}

/* ---- gathering ----------------------------------------------------------------------------------------------- */

/* The opposite of dividing. Removals leave lines of few entries below others that have room again, and byte nodes of
   few members: what lies right below a node is taken into it, the smallest lines first, as long as one line holds it
   all, and a byte node becomes a line if that saves a quarter. A node so made has room for some entries more, so that
   a key which comes and goes does not divide and gather each time. Only one node and its children are looked at. Lines
   that others share stay as they are; their entries are copied if they are few, which the caller says. */
enum {
    PM__GATHER_ENTRIES = 28, /* a line that grows by gathering has at most so many, */
    PM__GATHER_BYTES = 448,  /* and so many bytes */
    PM__GATHER_SHARED = 4,   /* entries of a shared line that a removal copies at most, */
    PM__GATHER_TINY = 2      /* and an operation that makes a new map: no more memory than sharing them would take */
};

typedef struct pm__gather {
    unsigned n, total, pays, most; /* entries of the node, of the line to be made, its payloads; the limit */
    size_t plen, lcp, heap;        /* of the line to be made; `lcp` bytes of suffix that join the prefix */
    size_t old, size, room;        /* bytes of the nodes that go, of the line to be made; the limit */
    uint32_t lines, taken;         /* entries with a line below that may be taken in; those that are */
    pm__ent ents[PM__LINE_ENTRIES];
} pm__gather;

/* Whether a line that has so many entries left, or a byte node so many members, should be looked at. Each time may
   rebuild a node or two. */
static PM__INLINE bool pm__gather_is_due(unsigned n, bool line) { return n <= 3 || (n & (line ? n - 1 : 3u)) == 0; }

static PM__INLINE const pm__line *pm__gather_below(const pm__gather *g, unsigned i) {
    return (const pm__line *)pm__ref_ptr(g->ents[i].pay);
}

/* Whether a line's entries may have so many bytes more in front of them. */
static bool pm__gather_has_reach(const pm__line *x, size_t ahead) {
    unsigned most = 0;
    if (ahead + pm__line_heap_len(x) < PM__SUFFIX_MAX) return true; /* whichever is the longest */
    for (unsigned i = 0; i < x->n; i++)
        if (pm__line_lens(x)[i] > most) most = pm__line_lens(x)[i];
    return ahead + most + 1 <= PM__SUFFIX_MAX;
}

/* Whether the line that r names, if it does, could have room in one of `n` entries, `most` at the end. */
static PM__INLINE bool pm__gather_may_take(pm__ref r, unsigned n, unsigned most, unsigned shared) {
    if (!r || pm__ref_kind(r) != PM__LINE) return false;
    const pm__line *k = (const pm__line *)pm__ref_ptr(r);
    return n - 1 + k->n <= most && (k->n <= shared || pm__ref_is_unique(r));
}

/* The children of a line that it may take in. */
static uint32_t pm__gather_of_line(const pm__line *x, unsigned most, unsigned shared) {
    uint32_t lines = 0;
    for (uint32_t m = x->cmask; m; m &= m - 1) PM__PREFETCH(pm__ref_ptr(*pm__line_child(x, pm__ctz32(m))));
    for (uint32_t m = x->cmask; m; m &= m - 1)
        if (pm__gather_may_take(*pm__line_child(x, pm__ctz32(m)), x->n, most, shared)) lines |= m & (0 - m);
    return lines;
}

/* Which of the listed entries have a line below that may be taken in. */
static void pm__gather_look(pm__gather *g, unsigned shared) {
    g->lines = 0;
    for (unsigned i = 0; i < g->n; i++)
        if (g->ents[i].child) PM__PREFETCH(pm__ref_ptr(g->ents[i].pay));
    for (unsigned i = 0; i < g->n; i++)
        if (g->ents[i].child && pm__gather_may_take(g->ents[i].pay, g->n, g->most, shared))
            g->lines |= (uint32_t)1 << i;
}

/* Lists what the node has. False: there is nothing to gather. */
static bool pm__gather_open(const pm__cx *cx, pm__gather *g, pm__ref r, unsigned shared) {
    g->most = PM__GATHER_ENTRIES, g->room = PM__GATHER_BYTES;
    g->plen = g->lcp = 0, g->n = 0, g->lines = 0;
    if (pm__ref_kind(r) == PM__LINE) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        g->lines = pm__gather_of_line(x, x->n > g->most ? x->n : g->most, shared);
        if (!g->lines) return false;
        pm__line_decode(x, g->ents);
        g->n = x->n, g->plen = x->plen, g->old = pm__line_size(x);
        g->lcp = pm__build_lcp(g->ents, g->n, 0, g->plen);
        if (x->n > g->most) g->most = x->n;
        if (g->old > g->room) g->room = g->old;
    } else {
        const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
        unsigned c = 0, v = 0;
        if (pm__byte_is_wide(x) || x->nc + x->nv > PM__GATHER_ENTRIES) return false;
        pm_mask m = pm__byte_mask(x);
        for (int b = pm_mask_next(&m, 0); b >= 0; b = pm_mask_next(&m, b + 1)) {
            uint8_t byte = (uint8_t)b;
            if (pm__byte_has_val(x, byte))
                g->ents[g->n++] = pm__ent_make(&byte, 1, false, cx->unit ? 0 : x->slot[x->cap - 1u - v++]);
            if (pm__byte_has_child(x, byte)) g->ents[g->n++] = pm__ent_make(&byte, 1, true, x->slot[c++]);
        }
        pm__gather_look(g, shared);
        g->old = pm__byte_size(x);
    }
    return true;
}

/* Adds up the line that the node would be with nothing taken in. */
static void pm__gather_sum(const pm__cx *cx, pm__gather *g) {
    g->total = g->n, g->heap = g->plen + g->lcp, g->pays = 0, g->taken = 0;
    for (unsigned i = 0; i < g->n; i++) {
        const pm__ent *e = &g->ents[i];
        if (e->len > g->lcp) g->heap += e->len - g->lcp - 1;
        g->pays += e->child || !cx->unit;
    }
    g->size = pm__line_need(g->total, g->heap, g->pays);
}

/* Takes the line below entry i in, if there is room. */
static void pm__gather_take(pm__gather *g, unsigned i) {
    const pm__line *k = pm__gather_below(g, i);
    size_t ahead = g->ents[i].len - g->lcp + k->plen; /* bytes before the suffix of each of its entries */
    unsigned n = k->n, total = g->total - 1 + n, pays = g->pays - 1 + pm__line_pay_count(k);
    size_t heap = g->heap - (g->ents[i].len - g->lcp - 1) + n * (ahead - 1);
    heap += pm__line_heap_len(k) - k->plen + n - pm__line_has_e(k);
    size_t size = pm__line_need(total, heap, pays);
    if (total > g->most || !size || size > g->room) return;
    if (!pm__gather_has_reach(k, g->plen + g->lcp + ahead)) return;
    g->total = total, g->pays = pays, g->heap = heap, g->size = size;
    g->old += pm__line_size(k);
    g->taken |= (uint32_t)1 << i;
}

/* Decides which lines are taken in: the smallest first. */
static void pm__gather_plan(pm__gather *g) {
    uint32_t sizes = 0; /* bit n - 1: there is one of n entries */
    if (g->lines && !(g->lines & (g->lines - 1))) {
        pm__gather_take(g, pm__ctz32(g->lines));
        return;
    }
    for (uint32_t m = g->lines; m; m &= m - 1) sizes |= (uint32_t)1 << (pm__gather_below(g, pm__ctz32(m))->n - 1u);
    for (; sizes; sizes &= sizes - 1)
        for (uint32_t m = g->lines; m; m &= m - 1)
            if (pm__gather_below(g, pm__ctz32(m))->n == pm__ctz32(sizes) + 1) pm__gather_take(g, pm__ctz32(m));
}

/* A line whose entries have been copied elsewhere goes, the entries' payloads with them. */
static void pm__gather_give_up(const pm__cx *cx, pm__ref r) {
    pm__line *k = (pm__line *)pm__ref_ptr(r);
    if (pm__ref_is_unique(r)) {
        pm__mem_free(k, pm__line_size(k));
    } else {
        pm__any_line_retain_pays(cx, k);
        pm__any_release(cx, r);
    }
}

/* Writes the bytes of e, of the prefix of the line below it, and of that line's entry u. Returns how many. */
static size_t pm__gather_spell(uint8_t *to, const pm__ent *e, const pm__line *k, const pm__ent *u) {
    uint8_t *at = pm__ent_spell(to, e);
    memcpy(at, pm__line_heap(k), k->plen);
    return (size_t)(pm__ent_spell(at + k->plen, u) - to);
}

/* Writes the first or the last entry of the planned line. Its bytes go to `to`. */
static pm__ent pm__gather_outer(const pm__gather *g, uint8_t *to, bool last) {
    const unsigned i = last ? g->n - 1 : 0;
    const pm__ent *e = &g->ents[i];
    if (!(g->taken >> i & 1)) return *e;
    const pm__line *k = pm__gather_below(g, i);
    const unsigned at = last ? k->n - 1u : 0u;
    const pm__ent u = pm__line_ent(k, at, pm__line_off(k, at));
    return pm__ent_make(to, pm__gather_spell(to, e, k, &u), u.child, 0);
}

enum { PM__GATHER_SPELLED = PM__SUFFIX_MAX + 8 }; /* eight bytes behind a piece may be read */

/* Of one entry or two, what is taken in may have more in common than the entries had: extends the prefix. */
static PM__NOINLINE void pm__gather_extend(pm__gather *g) {
    uint8_t bytes[2][PM__GATHER_SPELLED];
    pm__ent ends[2];
    ends[0] = pm__gather_outer(g, bytes[0], false), ends[1] = pm__gather_outer(g, bytes[1], true);
    if (g->total < 2) return;
    size_t more = pm__build_lcp(ends, 2, 0, g->plen) - g->lcp;
    if (!more) return;
    g->lcp += more;
    g->heap = g->heap + more - more * g->total + (ends[0].len == g->lcp);
    g->size = pm__line_need(g->total, g->heap, g->pays);
}

/* Adds the first bytes of all entries to the prefix. */
static PM__NOINLINE void pm__gather_lead(const pm__gather *g, pm__pen *w) {
    uint8_t bytes[PM__GATHER_SPELLED];
    const pm__ent e = pm__gather_outer(g, bytes, false);
    for (size_t i = 0; i < g->lcp; i++) *w->heap++ = pm__ent_at(&e, i);
}

/* Adds entry u of the line below e where the prefix has all bytes of e, and more. */
static PM__NOINLINE void pm__gather_put_short(pm__pen *w, const pm__ent *e, const pm__line *k, const pm__ent *u,
                                              size_t lcp) {
    uint8_t bytes[PM__GATHER_SPELLED];
    const pm__ent all = pm__ent_make(bytes, pm__gather_spell(bytes, e, k, u), u->child, u->pay);
    pm__pen_put(w, &all, lcp);
}

/* Adds the entries of the line below e. */
static void pm__gather_put(pm__pen *w, const pm__ent *e, const pm__line *k, size_t lcp) {
    unsigned off = k->plen;
    for (unsigned i = 0; i < k->n; i++) {
        const pm__ent u = pm__line_ent(k, i, off);
        off += pm__line_lens(k)[i];
        if (PM__UNLIKELY(e->len <= lcp)) {
            pm__gather_put_short(w, e, k, &u, lcp);
            continue;
        }
        uint8_t *to = w->heap;
        pm__copy_short(to, e->rest + lcp, e->len - lcp - 1);
        to += e->len - lcp - 1;
        pm__copy_short(to, pm__line_heap(k), k->plen);
        to = pm__ent_spell(to + k->plen, &u);
        pm__pen_next(w, pm__ent_at(e, lcp), (size_t)(to - w->heap), u.child, u.pay);
    }
}

/* Makes the planned line, under a prefix of g->plen bytes. What is taken in goes. 0: no memory, nothing changed. */
static PM__NOINLINE pm__ref pm__gather_write(const pm__cx *cx, pm__gather *g, const uint8_t *prefix) {
    pm__pen w;
    if (g->n <= 2 && g->taken) pm__gather_extend(g);
    if (!pm__pen_open(&w, NULL, cx, g->size, g->total, prefix, g->plen, g->lcp)) return 0;
    if (g->lcp) pm__gather_lead(g, &w);
    for (unsigned i = 0; i < g->n; i++) {
        if (g->taken >> i & 1) pm__gather_put(&w, &g->ents[i], pm__gather_below(g, i), g->lcp);
        else pm__pen_put(&w, &g->ents[i], g->lcp);
    }
    for (uint32_t m = g->taken; m; m &= m - 1) pm__gather_give_up(cx, g->ents[pm__ctz32(m)].pay);
    return pm__pen_close(&w, NULL, g->size);
}

/* Puts the planned line in the place of the node. False: no memory, nothing changed. */
static bool pm__gather_commit(const pm__cx *cx, pm__gather *g, pm__ref *slot) {
    const bool line = pm__ref_kind(*slot) == PM__LINE;
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    pm__ref r = pm__gather_write(cx, g, line ? pm__line_heap(x) : NULL);
    if (!r) return false;
    if (line) pm__mem_free(x, pm__line_size(x));
    else pm__byte_free_shell((pm__byte *)pm__ref_ptr(*slot));
    *slot = r;
    return true;
}

/* A line of one entry which leads to another line: they become one, which has both prefixes. */
static bool pm__gather_chain(const pm__cx *cx, pm__ref *slot, unsigned shared) {
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    pm__ref r = *pm__line_child(x, 0);
    pm__pen w;
    if (!pm__gather_may_take(r, 1, PM__LINE_ENTRIES, shared)) return false;
    const pm__line *k = (const pm__line *)pm__ref_ptr(r);
    size_t own = x->plen + pm__line_suffix(x, 0), plen = own + k->plen;
    size_t size = pm__line_need(k->n, pm__line_heap_len(k) + own, pm__line_pay_count(k));
    if (!size || plen > 255 || !pm__gather_has_reach(k, plen)) return false;
    if (!pm__pen_open(&w, NULL, cx, size, k->n, pm__line_heap(x), x->plen, plen - x->plen)) return false;
    *w.heap++ = x->body[0];
    memcpy(w.heap, pm__line_heap(x) + x->plen, own - x->plen - 1);
    w.heap += own - x->plen - 1;
    memcpy(w.heap, pm__line_heap(k), k->plen);
    w.heap += k->plen;
    pm__pen_copy(&w, k, 0, k->n);
    pm__ref y = pm__pen_close(&w, NULL, size);
    pm__gather_give_up(cx, r);
    pm__mem_free(x, pm__line_size(x));
    *slot = y;
    return true;
}

/* A byte node that may become a range node: which lines below it are taken in, and what that comes to. */
typedef struct pm__gather_few {
    pm__ref kids[256];
    size_t total, bytes; /* entries; bytes of their suffixes */
    bool taken[256];
} pm__gather_few;

/* Whether the lines below a byte node have so few entries that they should share lines. Soon says no if not. */
static bool pm__gather_fan_open(pm__gather_few *g, const pm__byte *x) {
    size_t tips = x->nv;
    if (x->nc < PM__RANGE_GROUPS) return false;
    for (unsigned i = 0; i < PM__WIDE_BLOCKS && pm__byte_is_wide(x); i++)
        if (pm__byte_block(x, i) && !pm__ref_count_is_one(&pm__byte_block(x, i)->rc)) return false;
    pm__byte_kids(x, g->kids);
    g->total = x->nv, g->bytes = 0;
    for (unsigned i = 0; i < x->nc; i++) {
        const pm__line *k = (const pm__line *)pm__ref_ptr(g->kids[i]);
        g->taken[i] = g->kids[i] && pm__ref_kind(g->kids[i]) == PM__LINE && pm__ref_is_unique(g->kids[i]);
        if (g->taken[i]) g->total += k->n, g->bytes += k->n * (size_t)(k->plen + 1) + pm__line_heap_len(k);
        else g->total++, tips++;
        if (g->total - x->nv > 4 * (i + 1) + PM__LINE_ENTRIES || tips > 16 + i / 2) return false;
    }
    return g->total <= PM__RANGE_KEYS && 2 * tips <= g->total && g->bytes >= g->total * (PM__RANGE_SUFFIX - 1);
}

/* Lists what a byte node and the taken lines hold; `spell` has room for g->bytes, and for a byte each. The bytes of an
   entry, which may be one more than a line's, are in one piece. */
static void pm__gather_fan_list(const pm__cx *cx, const pm__gather_few *g, const pm__byte *x, pm__ent *e,
                                uint8_t *spell) {
    pm_mask m = pm__byte_mask(x);
    unsigned i = 0;
    for (int b = pm_mask_next(&m, 0); b >= 0; b = pm_mask_next(&m, b + 1)) {
        uint8_t c = (uint8_t)b;
        if (pm__byte_has_val(x, c)) *e++ = pm__ent_make(&c, 1, false, cx->unit ? 0 : *pm__byte_val(x, c));
        if (!pm__byte_has_child(x, c)) continue;
        const pm__line *k = (const pm__line *)pm__ref_ptr(g->kids[i]);
        if (!g->taken[i++]) {
            *e++ = pm__ent_make(&c, 1, true, g->kids[i - 1]);
            continue;
        }
        pm__line_decode(k, e);
        for (const pm__ent *end = e + k->n; e < end; e++) {
            uint8_t *start = spell;
            *spell++ = c;
            memcpy(spell, pm__line_heap(k), k->plen);
            spell = pm__ent_spell(spell + k->plen, e);
            e->len = (uint32_t)(spell - start);
            e->first = c, e->rest = start + 1;
        }
    }
}

/* Makes a byte node, which is unshared, a range node, where the lines below it are small. */
static PM__COLD bool pm__gather_fan(const pm__cx *cx, pm__ref *slot) {
    pm__byte *x = (pm__byte *)pm__ref_ptr(*slot);
    pm__gather_few g;
    size_t start[PM__LINE_ENTRIES + 1];
    if (!pm__gather_fan_open(&g, x)) return false;
    const size_t room = g.total * (sizeof(pm__ent) + 1) + g.bytes;
    pm__ent *ents = (pm__ent *)pm__mem_alloc_big(room);
    if (!ents) return false;
    pm__gather_fan_list(cx, &g, x, ents, (uint8_t *)(ents + g.total));
    pm__build b;
    b.cx = cx, b.ents = ents;
    pm__ref r = pm__build_parts(&b, 0, g.total, 0, start) ? pm__build_nodes(cx, NULL, 0, ents, g.total, 0) : 0;
    pm__mem_free_big(ents, room);
    if (!r) return false;
    for (unsigned i = 0; i < x->nc; i++)
        if (g.taken[i]) pm__mem_free(pm__ref_ptr(g.kids[i]), pm__line_size((pm__line *)pm__ref_ptr(g.kids[i])));
    pm__byte_discard(x);
    *slot = r;
    return true;
}

/* Makes one of two neighbouring parts of a range node, those with the fewest entries, if one line has room for both. A
   range node of one part becomes that part. */
static bool pm__gather_parts(const pm__cx *cx, pm__ref *slot) {
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    unsigned best = 0, least = PM__GATHER_ENTRIES + 1;
    for (unsigned i = 0; i + 1u < x->n; i++) {
        pm__ref a = *pm__line_part_at(x, i), b = *pm__line_part_at(x, i + 1);
        if (pm__ref_kind(a) != PM__LINE || pm__ref_kind(b) != PM__LINE) continue;
        unsigned n = (unsigned)((const pm__line *)pm__ref_ptr(a))->n + ((const pm__line *)pm__ref_ptr(b))->n;
        if (n < least && pm__ref_is_unique(a) && pm__ref_is_unique(b)) best = i + 1, least = n;
    }
    if (!best) return false;
    pm__gather g;
    g.most = PM__GATHER_ENTRIES, g.room = PM__GATHER_BYTES, g.old = 0;
    g.n = 2, g.plen = g.lcp = 0, g.lines = 3;
    for (unsigned i = 0; i < 2; i++) g.ents[i] = pm__ent_make(x->body, 0, true, *pm__line_part_at(x, best - 1 + i));
    pm__gather_sum(cx, &g);
    pm__gather_plan(&g);
    pm__ref r = g.taken == 3 ? pm__gather_write(cx, &g, NULL) : 0;
    if (!r) return false;
    if (x->n == 2) {
        pm__mem_free(x, pm__line_size(x));
        *slot = r;
        return true;
    }
    *pm__line_part_at(x, best - 1) = r;
    pm__line_write_erase(x, pm__line_size(x), x, best, best + 1);
    return true;
}

/* Takes into the node in *slot, which is unshared, what may be taken in from right below; of shared lines copies of at
   most `shared` entries. `part`: it is, or may be, part of a range node. False: nothing changed, there being nothing to
   gather, or no memory. */
static PM__NOINLINE bool pm__build_gather_part(const pm__cx *cx, pm__ref *slot, unsigned shared, bool part) {
    pm__gather g;
    if (pm__ref_kind(*slot) == PM__LINE) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
        if (!x->cmask) return false;
        if (x->n == 1) return pm__gather_chain(cx, slot, shared);
    }
    if (pm__ref_kind(*slot) == PM__RANGE) return pm__gather_parts(cx, slot);
    if (!part && pm__ref_kind(*slot) != PM__LINE && pm__gather_fan(cx, slot)) return true;
    if (!pm__gather_open(cx, &g, *slot, shared)) return false;
    pm__gather_sum(cx, &g);
    pm__gather_plan(&g);
    bool gains = pm__ref_kind(*slot) == PM__LINE ? g.taken != 0 : g.n <= 4 || g.size * 4 <= g.old * 3;
    return gains && g.size && pm__gather_commit(cx, &g, slot);
}

static bool pm__build_gather(const pm__cx *cx, pm__ref *slot, unsigned shared) {
    return pm__build_gather_part(cx, slot, shared, false);
}

/* Whether a line that has become smaller may now go into the node above. */
static bool pm__gather_fits(pm__ref above, pm__ref r) {
    if (pm__ref_kind(r) != PM__LINE) return false;
    const pm__line *k = (const pm__line *)pm__ref_ptr(r);
    unsigned most = PM__GATHER_ENTRIES;
    if (pm__ref_kind(above) == PM__RANGE) return k->n <= most / 2;
    if (pm__ref_kind(above) != PM__LINE) {
        const pm__byte *x = (const pm__byte *)pm__ref_ptr(above);
        if (x->nc >= PM__RANGE_GROUPS) return k->n <= 3 && k->body[0] % 4 == 0; /* now and then */
        return k->n <= 2 && !pm__byte_is_wide(x) && x->nc + x->nv - 1u + k->n <= most;
    }
    const pm__line *x = (const pm__line *)pm__ref_ptr(above);
    if (x->n == 1) return true;
    if (x->n - 1u + k->n > (x->n > most ? x->n : most)) return false;
    size_t size = pm__line_need(x->n - 1u + k->n, pm__line_heap_len(x) + pm__line_heap_len(k),
                                pm__line_pay_count(x) - 1 + pm__line_pay_count(k));
    return size && (size <= PM__GATHER_BYTES || size <= pm__line_size(x));
}

/* Plans a line of entries into which lines of at most `most` entries below fresh ones, which nobody else holds, are
   taken as long as it has room for all. False: none is. */
static bool pm__gather_new(const pm__cx *cx, pm__gather *g, size_t plen, const pm__ent *ents, unsigned n,
                           unsigned most) {
    g->lines = 0;
    for (unsigned i = 0; i < n && n <= PM__LINE_ENTRIES; i++)
        if (ents[i].fresh && ents[i].child && pm__gather_may_take(ents[i].pay, 1, most, 0))
            g->lines |= (uint32_t)1 << i;
    if (!g->lines) return false;
    memcpy(g->ents, ents, n * sizeof *ents);
    g->n = n, g->plen = plen, g->lcp = pm__build_lcp(ents, n, 0, plen), g->old = 0;
    g->most = PM__LINE_ENTRIES, g->room = PM__LINE_BYTES;
    pm__gather_sum(cx, g);
    pm__gather_plan(g);
    return g->taken != 0;
}

/* Builds nodes as pm__build_nodes does for fresh entries of one byte each; lines below them that nobody else holds are
   taken in as long as one line has room for all. */
PM__UNUSED static pm__ref pm__build_gathered(const pm__cx *cx, pm__ent *ents, unsigned n) {
    pm__gather g;
    if (pm__gather_new(cx, &g, 0, ents, n, PM__LINE_ENTRIES)) return pm__gather_write(cx, &g, NULL);
    return pm__build_nodes(cx, NULL, 0, ents, n, 0);
}
