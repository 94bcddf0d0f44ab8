/* Any node: what holds whatever the kind. Release, copy-on-write, chains for long tails, and the builder that turns a
   sorted list of entries into nodes: the one place where kinds are chosen.

   How a full line is divided (build): its entries are grouped by first byte.
     a  While there are fewer than 20 groups, the group whose removal frees most bytes moves to a line of its own, and a
        child entry with the group's whole common prefix takes its place.
     b  Otherwise, or when nothing can be gained, the line becomes a byte node.
   A full line of few groups that hangs from a line with room is not divided but dissolved into it (hoist). What
   removals leave small goes back into the node above (gathering, at the end). */
#include "22_node_line.c"
#include "23_node_byte.c"

/* ---- release ------------------------------------------------------------------------------------------------- */

/* Nodes that wait to be taken apart form a list through their own bytes, so that dropping needs neither memory nor
   recursion. The count is over and done with; 4 bytes more come from what a drop does not read. */
static void pm__dead_link(pm__ref r, pm__ref next) {
    char *p = (char *)pm__ref_ptr(r);
#if PATHMAP_SLIM_PTRS
    pm__store32(p, (uint32_t)next);
    pm__store32(p + 12, (uint32_t)(next >> 32));
#else
    pm__store64(p, next);
#endif
}

static pm__ref pm__dead_next(pm__ref r) {
    const char *p = (const char *)pm__ref_ptr(r);
#if PATHMAP_SLIM_PTRS
    return pm__load32(p) | (uint64_t)pm__load32(p + 12) << 32;
#else
    return pm__load64(p);
#endif
}

/* A line that holds nothing to give up is freed at once, its payloads unseen; of another one they are asked for. */
static PM__INLINE bool pm__dead_leaf(const pm__cx *cx, pm__ref r) {
    if (pm__ref_kind(r) != PM__LINE) return false;
    pm__line *x = (pm__line *)pm__ref_ptr(r);
    size_t size = pm__line_size(x);
    if (!x->cmask && (cx->plain || cx->unit)) {
        pm__mem_free(x, size);
        return true;
    }
    for (size_t at = (size - 8u * pm__line_pay_count(x)) & ~(size_t)63; at < size; at += 64)
        PM__PREFETCH((const char *)x + at);
    return false;
}

/* Gives up `n` references; nodes of which they were the last join the list, in front and in their order, so that what
   was asked for first is needed first. */
static pm__ref pm__dead_children(const pm__cx *cx, const pm__ref *kids, unsigned n, pm__ref list) {
    pm__ref first = 0, last = 0;
    for (unsigned i = 0; i < n; i++)
        if (kids[i]) PM__PREFETCH(pm__ref_ptr(kids[i]));
    for (unsigned i = 0; i < n; i++) {
        if (!kids[i] || !pm__count_release(&((pm__head *)pm__ref_ptr(kids[i]))->rc)) continue;
        if (pm__dead_leaf(cx, kids[i])) continue;
        if (last) pm__dead_link(last, kids[i]);
        else first = kids[i];
        last = kids[i];
    }
    if (!last) return list;
    pm__dead_link(last, list);
    return first;
}

static pm__ref pm__dead_line(const pm__cx *cx, pm__line *x, pm__ref list) {
    pm__ref kids[PM__LINE_ENTRIES];
    unsigned n = 0;
    for (uint32_t m = x->cmask; m; m &= m - 1) kids[n++] = *pm__line_child(x, pm__ctz32(m));
    if (!cx->plain && !cx->unit)
        for (uint32_t m = ~x->cmask & pm__low_bits(x->n); m; m &= m - 1)
            pm__val_release(cx->ops, *pm__line_val(x, pm__ctz32(m)));
    list = pm__dead_children(cx, kids, n, list);
    pm__mem_free(x, pm__line_size(x));
    return list;
}

static pm__ref pm__dead_byte(const pm__cx *cx, pm__byte *x, pm__ref list) {
    if (!cx->plain && !cx->unit)
        for (unsigned i = 0; i < x->nv; i++) pm__val_release(cx->ops, x->slot[x->cap - 1u - i]);
    if (!pm__byte_is_wide(x)) list = pm__dead_children(cx, x->slot, x->nc, list);
    for (unsigned i = 0; i < PM__WIDE_BLOCKS && pm__byte_is_wide(x); i++) {
        pm__block *k = pm__byte_block(x, i);
        if (!k || !pm__count_release(&k->rc)) continue;
        list = pm__dead_children(cx, k->slot, pm__popcount32(pm__byte_block_bits(x, i)), list);
        pm__mem_free(k, pm__block_size(k->cap));
    }
    pm__byte_free_shell(x);
    return list;
}

static PM__NOINLINE void pm__any_destroy(const pm__cx *cx, pm__ref r) {
    pm__dead_link(r, 0);
    while (r) {
        pm__ref rest = pm__dead_next(r);
        void *p = pm__ref_ptr(r);
        if (pm__ref_kind(r) == PM__LINE) r = pm__dead_line(cx, (pm__line *)p, rest);
        else r = pm__dead_byte(cx, (pm__byte *)p, rest);
    }
}

/* Gives up one reference; 0 is allowed. */
static PM__INLINE void pm__any_release(const pm__cx *cx, pm__ref r) {
    if (r && pm__count_release(&((pm__head *)pm__ref_ptr(r))->rc)) pm__any_destroy(cx, r);
}

/* Gives up a payload. */
static void pm__pay_release(const pm__cx *cx, bool child, uint64_t pay) {
    if (child) pm__any_release(cx, pay);
    else if (!cx->plain && !cx->unit) pm__val_release(cx->ops, pay);
}

static void pm__pay_retain(const pm__cx *cx, bool child, uint64_t pay) {
    if (child) pm__ref_retain(pay);
    else if (!cx->plain && !cx->unit) pm__val_retain(cx->ops, pay);
}

/* ---- copy-on-write ------------------------------------------------------------------------------------------- */

/* Takes one more reference of everything that a line holds. */
static void pm__line_retain_pays(const pm__cx *cx, const pm__line *x) {
    for (uint32_t m = x->cmask; m; m &= m - 1) PM__PREFETCH(pm__ref_ptr(*pm__line_child(x, pm__ctz32(m))));
    for (uint32_t m = x->cmask; m; m &= m - 1) pm__ref_retain(*pm__line_child(x, pm__ctz32(m)));
    if (cx->plain || cx->unit) return;
    for (uint32_t m = ~x->cmask & pm__low_bits(x->n); m; m &= m - 1)
        pm__val_retain(cx->ops, *pm__line_val(x, pm__ctz32(m)));
}

static pm__ref pm__line_copy(const pm__cx *cx, const pm__line *x) {
    size_t size = pm__line_size(x);
    pm__line *y = (pm__line *)pm__mem_alloc(cx->pool, size);
    if (!y) return 0;
    memcpy((char *)y + sizeof(pm__count), (const char *)x + sizeof(pm__count), size - sizeof(pm__count));
    pm__count_init(&y->rc);
    pm__line_retain_pays(cx, y);
    return pm__ref_make(y, PM__LINE, size);
}

static pm__ref pm__byte_copy(const pm__cx *cx, const pm__byte *x) {
    size_t size = pm__byte_size(x);
    pm__byte *y = (pm__byte *)pm__mem_alloc(cx->pool, size);
    if (!y) return 0;
    memcpy((char *)y + sizeof(pm__count), (const char *)x + sizeof(pm__count),
           pm__byte_bytes(x->cap) - sizeof(pm__count));
    pm__count_init(&y->rc);
    if (pm__byte_is_wide(y)) {
        for (unsigned i = 0; i < PM__WIDE_BLOCKS; i++)
            if (y->slot[i]) pm__count_retain(&pm__byte_block(y, i)->rc);
    } else {
        for (unsigned i = 0; i < y->nc; i++) PM__PREFETCH(pm__ref_ptr(y->slot[i]));
        for (unsigned i = 0; i < y->nc; i++) pm__ref_retain(y->slot[i]);
    }
    if (!cx->plain && !cx->unit)
        for (unsigned i = 0; i < y->nv; i++) pm__val_retain(cx->ops, y->slot[y->cap - 1u - i]);
    return pm__byte_ref(y);
}

static PM__NOINLINE bool pm__any_unshare(const pm__cx *cx, pm__ref *slot) {
    pm__ref old = *slot, copy;
    if (pm__ref_kind(old) == PM__LINE) copy = pm__line_copy(cx, (const pm__line *)pm__ref_ptr(old));
    else copy = pm__byte_copy(cx, (const pm__byte *)pm__ref_ptr(old));
    if (!copy) return false;
    *slot = copy;
    pm__any_release(cx, old);
    return true;
}

/* Makes the node in *slot the caller's alone. The content does not change, whatever the answer. False: no memory. */
static PM__INLINE bool pm__any_own(const pm__cx *cx, pm__ref *slot) {
    return PM__LIKELY(pm__ref_is_unique(*slot)) || pm__any_unshare(cx, slot);
}

/* ---- chains -------------------------------------------------------------------------------------------------- */

/* A line of one entry. 0: no memory. */
static pm__ref pm__line_single(const pm__cx *cx, const uint8_t *s, size_t len, bool child, uint64_t pay) {
    pm__ent e = pm__ent_make(s, len, child, pay);
    size_t size = pm__line_need(1, len - 1, child || !cx->unit);
    return pm__line_encode(cx, size, NULL, 0, &e, 1, 0, 0);
}

/* Frees the first `n` nodes of a chain, but not what it leads to. */
static void pm__chain_undo(pm__ref r, size_t n) {
    while (n--) {
        pm__line *x = (pm__line *)pm__ref_ptr(r);
        pm__ref next = n ? *pm__line_child(x, 0) : 0;
        pm__mem_free(x, pm__line_size(x));
        r = next;
    }
}

static size_t pm__chain_nodes(size_t len) { return (len + PM__SUFFIX_MAX - 1) / PM__SUFFIX_MAX; }

/* Builds what leads along s[0..len), len > 0, to a value or child. Built from the far end. 0: no memory. */
static pm__ref pm__chain(const pm__cx *cx, const uint8_t *s, size_t len, bool child, uint64_t pay) {
    size_t at = (len - 1) / PM__SUFFIX_MAX * PM__SUFFIX_MAX, built = 0;
    pm__ref r = pm__line_single(cx, s + at, len - at, child, pay);
    if (!r) return 0;
    for (built = 1; at > 0; built++) {
        at -= PM__SUFFIX_MAX;
        pm__ref up = pm__line_single(cx, s + at, PM__SUFFIX_MAX, true, r);
        if (!up) {
            pm__chain_undo(r, built);
            return 0;
        }
        r = up;
    }
    return r;
}

/* ---- the builder --------------------------------------------------------------------------------------------- */

enum {
    PM__BUILD_ENTS = 2 * PM__LINE_ENTRIES + 4,
    PM__BUILD_NODES = 4 * PM__BUILD_ENTS + 32,
    PM__BUILD_GROUPS = 20,
    PM__BUILD_SINGLE = 24
};

/* Remembers the nodes made, so that running out of memory half-way frees them and nothing else. Recursion goes over
   groups of entries, each smaller than the one around it; a group is divided in the list that it came in, which has no
   further use for the group. */
typedef struct pm__builder {
    const pm__cx *cx;
    unsigned made;
    void *node[PM__BUILD_NODES];
    uint16_t size[PM__BUILD_NODES]; /* 0: a byte node */
    pm__ent ents[PM__BUILD_ENTS];
} pm__builder;

static pm__ref pm__build(pm__builder *b, const uint8_t *p, size_t plen, pm__ent *cur, unsigned n, size_t skip);

static void pm__builder_undo(pm__builder *b) {
    while (b->made--) {
        if (b->size[b->made]) pm__mem_free(b->node[b->made], b->size[b->made]);
        else pm__byte_discard((pm__byte *)b->node[b->made]);
    }
}

static pm__ref pm__builder_note(pm__builder *b, pm__ref r, size_t size) {
    if (!r) return 0;
    b->node[b->made] = pm__ref_ptr(r);
    b->size[b->made++] = (uint16_t)size;
    return r;
}

/* The part of the common prefix that the line may take out of its entries. */
static size_t pm__build_lcp(const pm__ent *ents, unsigned n, size_t skip, size_t plen) {
    const pm__ent *a = &ents[0], *z = &ents[n - 1];
    size_t max = 255 - plen;
    if (n < 2) return 0;
    if (max > a->len - skip) max = a->len - skip;
    size_t l = pm__ent_lcp(a, z, skip, max);
    if (z->child && l == (size_t)z->len - skip) l--; /* a child keeps one byte; then z is the only one at that length */
    return l;
}

/* Allocation for a line of these entries, or 0. */
static size_t pm__build_fits(const pm__cx *cx, const pm__ent *ents, unsigned n, size_t plen, size_t from) {
    size_t heap = plen;
    unsigned pays = 0;
    for (unsigned i = 0; i < n; i++) {
        if (ents[i].len > from) heap += ents[i].len - from - 1;
        pays += ents[i].child || !cx->unit;
    }
    return pm__line_need(n, heap, pays);
}

/* Entries [i, end) begin with the same byte at `from`: where that run ends. */
static unsigned pm__build_group(const pm__ent *ents, unsigned n, unsigned i, size_t from) {
    unsigned j = i + 1;
    while (j < n && pm__ent_at(&ents[j], from) == pm__ent_at(&ents[i], from)) j++;
    return j;
}

/* What moving a group below a child entry would free; *q: the bytes that entry takes, *first: the first to move. */
static int pm__build_gain(const pm__cx *cx, const pm__ent *ents, unsigned i, unsigned j, size_t from, size_t *q,
                          unsigned *first) {
    const pm__ent *a = &ents[i], *z = &ents[j - 1];
    size_t l = j - i > 1 ? pm__ent_lcp(a, z, from, (size_t)a->len - from) : 1;
    *q = l;
    *first = i + (j - i > 1 && a->len == from + l); /* a value just there stays */
    int gain = -(int)(9 + l);
    for (unsigned k = *first; k < j; k++) {
        if (ents[k].len == from + l) return 0; /* already a child just there */
        gain += (int)(ents[k].len - from) + (ents[k].child || !cx->unit ? 9 : 1);
    }
    return j - *first == 1 && gain < PM__BUILD_SINGLE ? 0 : gain;
}

/* Rule a: moves the best group of cur[0..*n) into a line of its own. Answers 1 moved, 0 nothing to gain, -1 no memory.
   */
static PM__NOINLINE int pm__build_push(pm__builder *b, pm__ent *cur, unsigned *n, size_t from) {
    unsigned groups = 0, bi = 0, bj = 0, start = cur[0].len == from;
    size_t bq = 0, q;
    int best = 0;
    for (unsigned i = start, j, first; i < *n; i = j, groups++) {
        j = pm__build_group(cur, *n, i, from);
        int gain = pm__build_gain(b->cx, cur, i, j, from, &q, &first);
        if (gain > best) best = gain, bi = first, bj = j, bq = q;
    }
    if (!best || groups >= PM__BUILD_GROUPS) return 0;
    pm__ref child = pm__build(b, NULL, 0, cur + bi, bj - bi, from + bq);
    if (!child) return -1;
    cur[bi].len = (uint32_t)(from + bq);
    cur[bi].child = true;
    cur[bi].pay = child;
    memmove(cur + bi + 1, cur + bj, (*n - bj) * sizeof *cur);
    *n -= bj - bi - 1;
    return 1;
}

/* A byte node under a prefix, whose end may carry a value (`e`, else NULL): a line of one or two entries above it. */
static pm__ref pm__build_wrap(pm__builder *b, const uint8_t *p, size_t plen, const pm__ent *e, pm__ref below) {
    pm__ent two[2];
    unsigned n = 0;
    if (e) {
        two[n] = pm__ent_make(p + plen - 1, 1, false, e->pay);
        n++;
    }
    two[n++] = pm__ent_make(p + plen - 1, 1, true, below);
    size_t size = pm__line_need(n, plen - 1, n - (b->cx->unit && e));
    return pm__builder_note(b, pm__line_encode(b->cx, size, p, plen - 1, two, n, 0, 0), size);
}

/* Rule b: a byte node of all groups. */
static PM__NOINLINE pm__ref pm__build_byte(pm__builder *b, pm__ent *cur, unsigned n, size_t from) {
    pm_mask cm = {{0, 0, 0, 0}}, vm = {{0, 0, 0, 0}};
    pm__ref kids[PM__BUILD_ENTS];
    pm_val vals[PM__BUILD_ENTS];
    unsigned nc = 0, nv = 0;
    for (unsigned i = 0, j; i < n; i = j) {
        uint8_t c = pm__ent_at(&cur[i], from);
        j = pm__build_group(cur, n, i, from);
        if (!cur[i].child && cur[i].len == from + 1) {
            pm_mask_set(&vm, c);
            vals[nv++] = cur[i++].pay;
        }
        if (i == j) continue;
        pm_mask_set(&cm, c);
        if (cur[i].len == from + 1) kids[nc++] = cur[i].pay;
        else if ((kids[nc++] = pm__build(b, NULL, 0, cur + i, j - i, from + 1)) == 0) return 0;
    }
    pm__byte *x = pm__byte_make(b->cx, &cm, &vm, kids, vals);
    if (!x) return 0;
    b->node[b->made] = x;
    b->size[b->made++] = 0;
    return pm__byte_ref(x);
}

/* Rule b below a prefix of p[0..plen) and the `lcp` bytes that the entries share from `skip` on. */
static PM__NOINLINE pm__ref pm__build_under(pm__builder *b, const uint8_t *p, size_t plen, pm__ent *cur, unsigned n,
                                            size_t skip, size_t lcp) {
    uint8_t prefix[256];
    unsigned e = cur[0].len == skip + lcp;
    pm__ent first = cur[0];
    if (plen) memcpy(prefix, p, plen);
    for (size_t i = 0; i < lcp; i++) prefix[plen + i] = pm__ent_at(&first, skip + i);
    pm__ref r = pm__build_byte(b, cur + e, n - e, skip + lcp);
    return r && plen + lcp ? pm__build_wrap(b, prefix, plen + lcp, e ? &first : NULL, r) : r;
}

/* Builds nodes for the entries, each without its first `skip` bytes, under prefix p[0..plen), plen <= 255. An entry of
   just `skip` bytes is the value at the end of the prefix (plen > 0). Spoils the list, but for where the first entry's
   bytes are. 0: no memory; then pm__builder_undo. */
static pm__ref pm__build(pm__builder *b, const uint8_t *p, size_t plen, pm__ent *cur, unsigned n, size_t skip) {
    size_t lcp = pm__build_lcp(cur, n, skip, plen), from = skip + lcp;
    for (;;) {
        size_t size = pm__build_fits(b->cx, cur, n, plen + lcp, from);
        if (size)
            return pm__builder_note(b, pm__line_encode(b->cx, size, p, plen, cur, n, skip, lcp), size);
        int pushed = pm__build_push(b, cur, &n, from);
        if (pushed < 0) return 0;
        if (!pushed) return pm__build_under(b, p, plen, cur, n, skip, lcp);
    }
}

/* Builds nodes for a short sorted list, at most PM__BUILD_ENTS. On success the nodes hold the entries' payloads. 0: no
   memory, nothing held. */
static pm__ref pm__build_nodes(const pm__cx *cx, const uint8_t *p, size_t plen, const pm__ent *ents, unsigned n,
                               size_t skip) {
    size_t lcp = pm__build_lcp(ents, n, skip, plen), size = pm__build_fits(cx, ents, n, plen + lcp, skip + lcp);
    if (size) return pm__line_encode(cx, size, p, plen, ents, n, skip, lcp);
    pm__builder b;
    b.cx = cx;
    b.made = 0;
    memcpy(b.ents, ents, n * sizeof *ents);
    pm__ref r = pm__build(&b, p, plen, b.ents, n, skip);
    if (!r) pm__builder_undo(&b);
    return r;
}

/* ---- changing a line ----------------------------------------------------------------------------------------- */

/* Puts what `ents` say in the place of the line in *slot. Payloads that are not fresh come from that line: they move if
   it was the caller's alone, else they gain a reference. Payloads of the line that `ents` leave out are the caller's
   to release if it owned the line alone. False: no memory, nothing changed. */
static bool pm__line_replace(const pm__cx *cx, pm__ref *slot, const uint8_t *p, size_t plen, const pm__ent *ents,
                             unsigned n) {
    pm__ref old = *slot, r = pm__build_nodes(cx, p, plen, ents, n, 0);
    pm__line *x = (pm__line *)pm__ref_ptr(old);
    if (!r) return false;
    *slot = r;
    if (pm__ref_is_unique(old)) {
        pm__mem_free(x, pm__line_size(x));
        return true;
    }
    for (unsigned i = 0; i < n; i++)
        if (!ents[i].fresh) pm__pay_retain(cx, ents[i].child, ents[i].pay);
    pm__any_release(cx, old);
    return true;
}

/* The entry of a line through which a walk came to the line below. */
typedef struct pm__above {
    pm__ref *slot; /* the line above, the caller's alone; NULL: the walk came from elsewhere */
    unsigned i;
} pm__above;

enum { PM__HOIST_GROUPS = 6, PM__HOIST_SINGLES = 2 };

/* What a full line becomes in the line above: an entry for each group, or for each member of a small one. */
typedef struct pm__hoist {
    unsigned n;
    size_t used, plen, max; /* max: most bytes that an entry of the line above may have */
    pm__ent out[PM__LINE_ENTRIES];
    struct {
        unsigned lo, hi; /* entries of the full line that go below this one; lo == hi: none */
        size_t q;        /* bytes of their suffixes that this one takes */
    } below[PM__LINE_ENTRIES];
    uint8_t path[2 * PM__SUFFIX_MAX]; /* from the line above to the entries: suffix and prefix */
    uint8_t bytes[PM__LINE_BYTES];    /* of the suffixes of `out` */
} pm__hoist;

/* Adds an entry that takes the first `len` bytes of e's suffix. False: no room. */
static bool pm__hoist_add(pm__hoist *h, const pm__ent *e, size_t len, bool child) {
    uint8_t *at = h->bytes + h->used;
    size_t all = h->plen + len;
    if (h->n == PM__LINE_ENTRIES || all > h->max || h->used + all > sizeof h->bytes) return false;
    memcpy(at, h->path, h->plen);
    if (len) at[h->plen] = e->first;
    if (len > 1) memcpy(at + h->plen + 1, e->rest, len - 1);
    h->out[h->n] = pm__ent_make(at, all, child, e->pay);
    h->below[h->n].lo = h->below[h->n].hi = 0;
    h->n++;
    h->used += all;
    return true;
}

/* True if the entries have few groups, and the line above has room for so many more. */
static bool pm__hoist_worth(const pm__line *u, const pm__ent *ents, unsigned n) {
    unsigned groups = 0, max = PM__LINE_ENTRIES + 1u - u->n;
    if (max > PM__HOIST_GROUPS) max = PM__HOIST_GROUPS;
    for (unsigned i = ents[0].len == 0; i < n; i = pm__build_group(ents, n, i, 0))
        if (++groups > max) return false;
    return true;
}

/* Divides the entries of the full line. False: no room. */
static bool pm__hoist_plan(const pm__cx *cx, pm__hoist *h, const pm__ent *ents, unsigned n) {
    unsigned start = ents[0].len == 0, first;
    size_t q;
    if (start && !pm__hoist_add(h, &ents[0], 0, false)) return false;
    for (unsigned i = start, j; i < n; i = j) {
        j = pm__build_group(ents, n, i, 0);
        if (j - i <= PM__HOIST_SINGLES) {
            for (; i < j; i++)
                if (!pm__hoist_add(h, &ents[i], ents[i].len, ents[i].child)) return false;
            continue;
        }
        (void)pm__build_gain(cx, ents, i, j, 0, &q, &first);
        if (first > i && !pm__hoist_add(h, &ents[i], q, false)) return false;
        if (!pm__hoist_add(h, &ents[first], q, true)) return false;
        h->below[h->n - 1].lo = first, h->below[h->n - 1].hi = j, h->below[h->n - 1].q = q;
    }
    return true;
}

/* Makes the line above anew from its entries, of which `up` is replaced by the plan's. Answers as pm__line_hoist. */
static int pm__hoist_commit(const pm__cx *cx, const pm__hoist *h, const pm__above *up, const pm__ent *above,
                            const pm__ent *ents, unsigned n) {
    const pm__line *u = (const pm__line *)pm__ref_ptr(*up->slot);
    pm__ent all[2 * PM__LINE_ENTRIES];
    pm__builder b;
    unsigned total = u->n - 1u + h->n;
    memcpy(all, above, up->i * sizeof *all);
    memcpy(all + up->i, h->out, h->n * sizeof *all);
    memcpy(all + up->i + h->n, above + up->i + 1, (u->n - up->i - 1u) * sizeof *all);
    size_t size = pm__build_fits(cx, all, total, u->plen, 0);
    if (!size) return 0;
    b.cx = cx;
    b.made = 0;
    memcpy(b.ents, ents, n * sizeof *ents);
    bool ok = true;
    for (unsigned i = 0; ok && i < h->n; i++) {
        unsigned lo = h->below[i].lo, hi = h->below[i].hi;
        if (lo < hi) ok = (all[up->i + i].pay = pm__build(&b, NULL, 0, b.ents + lo, hi - lo, h->below[i].q)) != 0;
    }
    pm__ref y = ok ? pm__line_encode(cx, size, pm__line_heap(u), u->plen, all, total, 0, 0) : 0;
    if (!y) {
        pm__builder_undo(&b);
        return -1;
    }
    pm__mem_free(pm__ref_ptr(*up->slot), pm__line_size(u));
    *up->slot = y;
    return 1;
}

/* Where the line above has room, the groups of a full line move up as entries there, and the line is gone; so a trie
   stays shallow. `ents` are the line's n entries, one more than it can hold; it is the caller's alone. Answers 1 done,
   0 not to be done, -1 no memory. */
static PM__NOINLINE int pm__line_hoist(const pm__cx *cx, const pm__above *up, pm__line *x, const pm__ent *ents,
                                       unsigned n) {
    const pm__line *u = (const pm__line *)pm__ref_ptr(*up->slot);
    pm__ent above[PM__LINE_ENTRIES];
    pm__hoist h;
    if (!pm__hoist_worth(u, ents, n)) return 0;
    h.n = 0, h.used = 0, h.max = PM__SUFFIX_MAX - (size_t)u->plen;
    pm__line_decode(u, above);
    const pm__ent *c = &above[up->i];
    h.plen = (size_t)c->len + x->plen;
    h.path[0] = c->first;
    memcpy(h.path + 1, c->rest, c->len - 1u);
    memcpy(h.path + c->len, pm__line_heap(x), x->plen);
    if (!pm__hoist_plan(cx, &h, ents, n) || u->n - 1u + h.n > PM__LINE_ENTRIES) return 0;
    int done = pm__hoist_commit(cx, &h, up, above, ents, n);
    if (done > 0) pm__mem_free(x, pm__line_size(x));
    return done;
}

/* Inserts an entry before `pos` into the line in *slot, which may be shared; `kw` holds bytes 1..8 of its suffix. If
   the line is full and not shared, the one above may change in its place. False: no memory, nothing changed. */
static bool pm__line_insert(const pm__cx *cx, pm__ref *slot, unsigned pos, const pm__ent *e, uint64_t kw,
                            const pm__above *up) {
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    unsigned stored = e->child || !cx->unit;
    size_t size = pm__line_need(x->n + 1u, pm__line_heap_len(x) + (e->len ? e->len - 1u : 0u),
                                pm__line_pay_count(x) + stored);
    bool unique = pm__ref_is_unique(*slot);
    if (!size) {
        pm__ent ents[PM__LINE_ENTRIES + 1];
        pm__line_decode(x, ents);
        memmove(ents + pos + 1, ents + pos, (x->n - pos) * sizeof *ents);
        ents[pos] = *e;
        if (unique && up->slot && pos < x->n) { /* at the end the order may be sorted: dividing costs less then */
            int done = pm__line_hoist(cx, up, x, ents, x->n + 1u);
            if (done) return done > 0;
        }
        return pm__line_replace(cx, slot, pm__line_heap(x), x->plen, ents, x->n + 1u);
    }
    if (unique && size <= pm__line_size(x)) {
        pm__line_write_insert(x, pm__line_size(x), x, pos, e, kw);
        return true;
    }
    pm__line *y = (pm__line *)pm__mem_alloc(cx->pool, size);
    if (!y) return false;
    pm__count_init(&y->rc);
    pm__line_write_insert(y, size, x, pos, e, kw);
    if (unique) {
        pm__mem_free(x, pm__line_size(x));
    } else {
        pm__line_retain_pays(cx, x);
        pm__any_release(cx, *slot);
    }
    *slot = pm__ref_make(y, PM__LINE, size);
    return true;
}

/* Takes entries [a, b) out of the line in *slot, which is the caller's alone and keeps at least one entry. Their
   payloads are the caller's. Gives memory back when much is free; having none for that is no failure. */
static void pm__line_erase(const pm__cx *cx, pm__ref *slot, unsigned a, unsigned b) {
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    size_t heap = pm__line_heap_len(x) - (pm__line_off(x, b) - pm__line_off(x, a));
    unsigned out = pm__line_pay_count(x);
    if (cx->unit) out = pm__popcount32(x->cmask & pm__low_bits(b) & ~pm__low_bits(a));
    else out = b - a;
    size_t old = pm__line_size(x), size = pm__line_need(x->n - (b - a), heap, pm__line_pay_count(x) - out);
    pm__line *y = NULL;
    if (size * 2 <= old || size + 48 <= old) y = (pm__line *)pm__mem_alloc(cx->pool, size);
    if (!y) {
        pm__line_write_erase(x, old, x, a, b);
        return;
    }
    pm__count_init(&y->rc);
    pm__line_write_erase(y, size, x, a, b);
    pm__mem_free(x, old);
    *slot = pm__ref_make(y, PM__LINE, size);
}

/* Turns a byte node with at most four members, uniquely owned, into a line. Having no memory is no failure. */
static void pm__byte_settle(const pm__cx *cx, pm__ref *slot) {
    pm__byte *x = (pm__byte *)pm__ref_ptr(*slot);
    pm__ent ents[4];
    unsigned n = 0;
    if (x->nc + x->nv > 4 || pm__byte_is_wide(x)) return;
    pm_mask m = pm__byte_mask(x);
    for (int b = pm_mask_next(&m, 0); b >= 0; b = pm_mask_next(&m, b + 1)) {
        uint8_t c = (uint8_t)b;
        if (pm__byte_has_val(x, c)) ents[n++] = pm__ent_make(&c, 1, false, *pm__byte_val(x, c));
        if (pm__byte_has_child(x, c)) ents[n++] = pm__ent_make(&c, 1, true, *pm__byte_child(x, c));
    }
    pm__ref r = pm__build_nodes(cx, NULL, 0, ents, n, 0);
    if (!r) return;
    pm__byte_free_shell(x);
    *slot = r;
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
        for (unsigned i = 0; i < c; i++) PM__PREFETCH(pm__ref_ptr(x->slot[i]));
        for (unsigned i = 0; i < g->n; i++)
            if (g->ents[i].child && pm__gather_may_take(g->ents[i].pay, g->n, g->most, shared))
                g->lines |= (uint32_t)1 << i;
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
        pm__line_retain_pays(cx, k);
        pm__any_release(cx, r);
    }
}

/* Puts the planned line in the place of the node. False: no memory, nothing changed. */
static bool pm__gather_commit(const pm__cx *cx, pm__gather *g, pm__ref *slot) {
    pm__ent all[PM__LINE_ENTRIES];
    uint8_t bytes[PM__LINE_ENTRIES * PM__SUFFIX_MAX], *at = bytes;
    unsigned n = 0;
    for (unsigned i = 0; i < g->n; i++) {
        const pm__ent *e = &g->ents[i];
        if (!(g->taken >> i & 1)) {
            all[n++] = *e;
            continue;
        }
        const pm__line *k = pm__gather_below(g, i);
        pm__line_decode(k, all + n);
        for (unsigned end = n + k->n; n < end; n++) {
            uint8_t *start = at;
            *at++ = e->first;
            pm__copy_short(at, e->rest, e->len - 1u), at += e->len - 1;
            pm__copy_short(at, pm__line_heap(k), k->plen), at += k->plen;
            if (all[n].len) *at++ = all[n].first;
            if (all[n].len > 1) pm__copy_short(at, all[n].rest, all[n].len - 1u), at += all[n].len - 1;
            all[n] = pm__ent_make(start, (size_t)(at - start), all[n].child, all[n].pay);
        }
    }
    const bool line = pm__ref_kind(*slot) == PM__LINE;
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    const uint8_t *prefix = line ? pm__line_heap(x) : NULL;
    pm__ref y = pm__line_encode(cx, g->size, prefix, g->plen, all, n, 0, g->lcp);
    if (!y) return false;
    for (uint32_t m = g->taken; m; m &= m - 1) pm__gather_give_up(cx, g->ents[pm__ctz32(m)].pay);
    if (line) pm__mem_free(x, pm__line_size(x));
    else pm__byte_free_shell((pm__byte *)pm__ref_ptr(*slot));
    *slot = y;
    return true;
}

/* A line of one entry which leads to another line: they become one, which has both prefixes. */
static bool pm__gather_chain(const pm__cx *cx, pm__ref *slot, unsigned shared) {
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    pm__ref r = *pm__line_child(x, 0);
    pm__ent ents[PM__LINE_ENTRIES];
    uint8_t prefix[2 * PM__SUFFIX_MAX];
    if (!pm__gather_may_take(r, 1, PM__LINE_ENTRIES, shared)) return false;
    const pm__line *k = (const pm__line *)pm__ref_ptr(r);
    size_t own = x->plen + pm__line_suffix(x, 0), plen = own + k->plen;
    size_t size = pm__line_need(k->n, pm__line_heap_len(k) + own, pm__line_pay_count(k));
    if (!size || plen > 255 || !pm__gather_has_reach(k, plen)) return false;
    memcpy(prefix, pm__line_heap(x), x->plen);
    prefix[x->plen] = x->body[0];
    memcpy(prefix + x->plen + 1, pm__line_heap(x) + x->plen, own - x->plen - 1);
    memcpy(prefix + own, pm__line_heap(k), k->plen);
    pm__line_decode(k, ents);
    pm__ref y = pm__line_encode(cx, size, prefix, plen, ents, k->n, 0, 0);
    if (!y) return false;
    pm__gather_give_up(cx, r);
    pm__mem_free(x, pm__line_size(x));
    *slot = y;
    return true;
}

/* Takes into the node in *slot, which is the caller's alone, what may be taken in from right below; of shared lines
   copies of at most `shared` entries. False: nothing changed, there being nothing to gather, or no memory. */
static PM__NOINLINE bool pm__any_gather(const pm__cx *cx, pm__ref *slot, unsigned shared) {
    pm__gather g;
    if (pm__ref_kind(*slot) == PM__LINE) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
        if (!x->cmask) return false;
        if (x->n == 1) return pm__gather_chain(cx, slot, shared);
    }
    if (!pm__gather_open(cx, &g, *slot, shared)) return false;
    pm__gather_sum(cx, &g);
    pm__gather_plan(&g);
    bool gains = pm__ref_kind(*slot) == PM__LINE ? g.taken != 0 : g.n <= 4 || g.size * 4 <= g.old * 3;
    return gains && g.size && pm__gather_commit(cx, &g, slot);
}

/* Whether a line that has become smaller may now go into the node above. */
static bool pm__gather_fits(pm__ref above, pm__ref r) {
    if (pm__ref_kind(r) != PM__LINE) return false;
    const pm__line *k = (const pm__line *)pm__ref_ptr(r);
    unsigned most = PM__GATHER_ENTRIES;
    if (pm__ref_kind(above) != PM__LINE) {
        const pm__byte *x = (const pm__byte *)pm__ref_ptr(above);
        return k->n <= 2 && !pm__byte_is_wide(x) && x->nc + x->nv - 1u + k->n <= most;
    }
    const pm__line *x = (const pm__line *)pm__ref_ptr(above);
    if (x->n == 1) return true;
    if (x->n - 1u + k->n > (x->n > most ? x->n : most)) return false;
    size_t size = pm__line_need(x->n - 1u + k->n, pm__line_heap_len(x) + pm__line_heap_len(k),
                                pm__line_pay_count(x) - 1 + pm__line_pay_count(k));
    return size && (size <= PM__GATHER_BYTES || size <= pm__line_size(x));
}
