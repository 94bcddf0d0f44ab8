/* Tallies: counting what a trie holds. What hangs from one node by nodes that have one owner each is a *region*. Nodes
   with several owners are roots of regions of their own, so that 2^80 values in a kilobyte of nodes are counted in
   microseconds. All regions are gone through at once, each node of them once and in any order, so that nodes are
   prefetched long before they are looked at; what leads from region to region is noted, and how often each is met
   follows from that at the end. Counts saturate.

   Two kinds of shared nodes begin no region, since to remember them costs more than to add them up: leaves; and, while
   few nodes are shared, those with few owners, below which all others do. A clone makes nearly all shared nodes such.
   Measured, beside a clone with 1 % of the keys changed: 1.03 times what the same content costs that shares nothing;
   with regions there, 1.65. */
#include "14_memo.c"
#include "17_list.c"
#include "26_place.c"

typedef enum pm__tally_kind { PM__TALLY_VALS, PM__TALLY_LOCS, PM__TALLY_DEPTH } pm__tally_kind;

/* A node whose children are gone through. */
typedef struct pm__tally_frame {
    pm__ref node;
    uint64_t sum;
    size_t depth;  /* PM__TALLY_DEPTH: how deep below this node; else 0 */
    unsigned next; /* entry, byte or 16 * block + place to look at next */
    bool shared;   /* may be met again */
} pm__tally_frame;

static PM__INLINE uint64_t pm__sat_add(uint64_t a, uint64_t b) { return a + b < a ? UINT64_MAX : a + b; }
static PM__INLINE uint64_t pm__sat_mul(uint64_t a, uint64_t b) {
    return b > 1 && a > UINT64_MAX / b ? UINT64_MAX : a * b;
}

/* Of entry i of a line: how many bytes its suffix shares with the entry before. */
static size_t pm__tally_line_shared_before(const pm__line *x, unsigned i, unsigned off) {
    if (i == 0 || pm__line_suffix(x, i - 1) == 0 || x->body[i] != x->body[i - 1]) return 0;
    const uint8_t *h = pm__line_heap(x) + off, *before = h - pm__line_lens(x)[i - 1];
    size_t a = pm__line_lens(x)[i - 1], b = pm__line_lens(x)[i];
    return 1 + pm__lcp(before, h, a < b ? a : b);
}

/* Locations in a line, its root excluded; of just that depth, or all of them when depth is 0. */
static uint64_t pm__tally_line_locations(const pm__line *x, size_t depth) {
    uint64_t n = depth ? 0 : x->plen;
    unsigned off = x->plen;
    if (depth && depth <= x->plen) return 1;
    size_t want = depth - x->plen;
    for (unsigned i = 0; i < x->n; off += pm__line_lens(x)[i], i++) {
        size_t len = pm__line_suffix(x, i), shared = pm__tally_line_shared_before(x, i, off);
        if (depth) n += len >= want && shared < want;
        else n += len - shared;
    }
    return n;
}

/* What a node holds by itself. */
static uint64_t pm__tally_own(pm__tally_kind kind, pm__ref r, size_t depth) {
    if (pm__ref_is_lined(r)) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        if (kind == PM__TALLY_VALS) return x->n - pm__popcount32(x->cmask);
        if (pm__ref_kind(r) == PM__RANGE) return 0;
        return pm__tally_line_locations(x, depth);
    }
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
    if (kind == PM__TALLY_VALS) return x->nv;
    if (kind == PM__TALLY_DEPTH && depth != 1) return 0;
    pm_mask m = pm__byte_mask(x);
    return pm_mask_count(&m);
}

/* The next child of a frame that matters; *depth: how deep below it; *shared: whether it may be met again, either by
   its own count or because nodes have the block in common that it stands in. 0: no more. */
static pm__ref pm__tally_child(pm__tally_kind kind, pm__tally_frame *f, size_t *depth, bool *shared) {
    pm__ref c = 0;
    *depth = 0;
    *shared = false;
    if (pm__ref_is_lined(f->node)) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(f->node);
        uint32_t left = f->next < 32 ? x->cmask >> f->next << f->next : 0;
        for (; left && !c; left &= left - 1) {
            unsigned i = pm__ctz32(left);
            f->next = i + 1;
            c = *pm__line_child(x, i);
            if (kind != PM__TALLY_DEPTH || !c) continue;
            size_t len = pm__ref_kind(f->node) == PM__LINE ? x->plen + (size_t)pm__line_suffix(x, i) : 0;
            if (len >= f->depth) c = 0;
            else *depth = f->depth - len;
        }
        return c;
    }
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(f->node);
    if (kind == PM__TALLY_DEPTH && f->depth == 1) return 0;
    unsigned end = pm__byte_is_wide(x) ? 256 : x->nc;
    for (; f->next < end && !c; f->next++) {
        if (pm__byte_is_wide(x)) {
            unsigned in = f->next & 15;
            if (in >= pm__popcount32(pm__byte_block_bits(x, f->next >> 4))) continue;
            c = pm__byte_block(x, f->next >> 4)->slot[in];
            *shared = !pm__ref_count_is_one(&pm__byte_block(x, f->next >> 4)->rc);
        } else {
            c = x->slot[f->next];
        }
    }
    if (kind == PM__TALLY_DEPTH) *depth = f->depth - 1;
    return c;
}

/* Visits the distinct nodes from a root on, each behind all that it leads to. A visit notes the node in *met, as
   (node, 0); it returns false to end the walk. False: that, or no memory. */
PM__UNUSED static bool pm__tally_upwards(pm__ref root, const pm__memo *met, bool (*visit)(void *ctx, pm__ref r),
                                         void *ctx) {
    pm__list stack = pm__list_of(sizeof(pm__tally_frame));
    pm__tally_frame f = {root, 0, 0, 0, false};
    bool ok = pm__list_put(&stack, &f, 1);
    while (ok && stack.used) {
        pm__tally_frame *top = (pm__tally_frame *)pm__list_at(&stack, stack.used - 1);
        size_t depth;
        bool shared;
        f.node = pm__tally_child(PM__TALLY_VALS, top, &depth, &shared);
        if (!f.node) {
            ok = visit(ctx, top->node);
            stack.used--;
        } else if (!pm__memo_get(met, f.node, 0)) {
            ok = pm__list_put(&stack, &f, 1);
        }
    }
    pm__list_free(&stack);
    return ok;
}

/* ---- regions ------------------------------------------------------------------------------------------------- */

/* A node that is to be added up. */
typedef struct pm__tally_item {
    pm__ref node;
    size_t depth;
    size_t home; /* flags; and, times PM__TALLY_FLAGS, the region of the node above */
} pm__tally_item;

/* What hangs from one root. */
typedef struct pm__tally_region {
    uint64_t sum, times; /* how often it is met, as far as that is known */
    size_t waits;        /* ways to it that have not been counted; once there are none: 1 + the next to be looked at */
    size_t ways;         /* out of it: 1 + the last of them */
} pm__tally_region;

/* From a region to another one, whose root was met in it. */
typedef struct pm__tally_way {
    size_t to, before; /* 1 + the way noted before it, from the same region */
} pm__tally_way;

enum {
    PM__TALLY_AHEAD = 16,
    PM__TALLY_FEW = 4,   /* owners of a node that may be added up once for each */
    PM__TALLY_RARE = 4,  /* while fewer than one node in so many is shared */
    PM__TALLY_BLOCK = 1, /* flags: parents have the block in common that it stands in */
    PM__TALLY_AGAIN = 2, /*        a node between it and its region's root may be added up again */
    PM__TALLY_FLAGS = 4
};

typedef struct pm__tally {
    pm__tally_kind kind;
    pm__memo memo; /* of a root: its region */
    pm__list todo; /* nodes that have not been prefetched */
    pm__list regions, ways;
    size_t first, last; /* the ring's ends, counted on */
    size_t shared;      /* shared nodes met so far */
    struct {
        pm__tally_item item;
        bool again; /* its references to children have been prefetched */
    } ahead[PM__TALLY_AHEAD]; /* a ring */
} pm__tally;

static PM__INLINE bool pm__tally_is_leaf(pm__ref r) {
    if (pm__ref_kind(r) == PM__BYTE) return !((const pm__byte *)pm__ref_ptr(r))->nc;
    return pm__ref_kind(r) == PM__LINE && !((const pm__line *)pm__ref_ptr(r))->cmask;
}

/* Prefetches the references to children of a node whose head has come. False: no need to wait for them. */
static PM__INLINE bool pm__tally_prefetch_refs(pm__ref r) {
    if (!pm__ref_is_lined(r)) return false;
    const pm__line *x = (const pm__line *)pm__ref_ptr(r);
    size_t size = pm__line_size(x), pays = 8u * pm__line_pay_count(x);
    for (size_t at = (size - pays) & ~(size_t)63; at < size; at += 64) PM__PREFETCH((const char *)x + at);
    return true;
}

static PM__INLINE pm__tally_region *pm__tally_region_at(const pm__tally *t, size_t i) {
    return (pm__tally_region *)(void *)t->regions.data + i;
}

/* Puts a node into the ring. */
static PM__INLINE void pm__tally_await(pm__tally *t, const pm__tally_item *i, bool again) {
    size_t at = t->last++ % PM__TALLY_AHEAD;
    t->ahead[at].item = *i;
    t->ahead[at].again = again;
}

/* Notes the children of a node. False: no memory. */
static bool pm__tally_open(pm__tally *t, const pm__tally_item *i) {
    pm__tally_frame f = {i->node, 0, i->depth, 0, false};
    size_t depth, home = i->home & ~(size_t)PM__TALLY_BLOCK;
    bool shared;
    for (pm__ref c; (c = pm__tally_child(t->kind, &f, &depth, &shared)) != 0;) {
        pm__tally_item child = {c, depth, home + shared};
        if (!pm__list_room(&t->todo, 1)) return false;
        ((pm__tally_item *)(void *)t->todo.data)[t->todo.used++] = child;
    }
    return true;
}

/* Adds up a node, and notes its children. False: no memory. */
static PM__INLINE bool pm__tally_add(pm__tally *t, const pm__tally_item *i, bool leaf) {
    pm__tally_region *r = pm__tally_region_at(t, i->home / PM__TALLY_FLAGS);
    r->sum = pm__sat_add(r->sum, pm__tally_own(t->kind, i->node, i->depth));
    return leaf || pm__tally_open(t, i);
}

/* Goes from the region in which a root was met into its own. *known: that has been looked at. False: no memory. */
static PM__NOINLINE bool pm__tally_enter(pm__tally *t, pm__tally_item *i, bool *known) {
    const uint64_t *at = pm__memo_get(&t->memo, i->node, i->depth);
    pm__tally_region *from = pm__tally_region_at(t, i->home / PM__TALLY_FLAGS), fresh = {0, 0, 0, 0};
    pm__tally_way w = {at ? (size_t)*at : t->regions.used, from->ways};
    from->ways = t->ways.used + 1;
    *known = at != NULL;
    i->home = w.to * PM__TALLY_FLAGS;
    if (!pm__list_room(&t->ways, 1) || !pm__list_room(&t->regions, 1)) return false;
    ((pm__tally_way *)(void *)t->ways.data)[t->ways.used++] = w;
    if (!at) *pm__tally_region_at(t, t->regions.used++) = fresh;
    pm__tally_region_at(t, w.to)->waits++;
    return at || pm__memo_put(&t->memo, i->node, i->depth, w.to);
}

/* Whether a shared node may be added up as often as it is met, without being remembered. */
static PM__INLINE bool pm__tally_may_repeat(const pm__tally *t, const pm__tally_item *i) {
    return i->home % PM__TALLY_FLAGS == 0 && t->last > PM__TALLY_RARE * t->shared &&
           pm__ref_has_few(i->node, PM__TALLY_FEW);
}

/* Looks at the first node of the ring. False: no memory. */
static PM__INLINE bool pm__tally_step(pm__tally *t) {
    size_t at = t->first++ % PM__TALLY_AHEAD;
    pm__tally_item i = t->ahead[at].item;
    bool leaf = pm__tally_is_leaf(i.node);
    if (!leaf && !t->ahead[at].again) {
        bool known = false, shared = (i.home & PM__TALLY_BLOCK) || !pm__ref_is_unique(i.node);
        t->shared += shared;
        if (shared && pm__tally_may_repeat(t, &i)) i.home |= PM__TALLY_AGAIN;
        else if (shared && !pm__tally_enter(t, &i, &known)) return false;
        if (known) return true;
        if (pm__tally_prefetch_refs(i.node)) {
            pm__tally_await(t, &i, true);
            return true;
        }
    }
    return pm__tally_add(t, &i, leaf);
}

/* Begins to count: nothing has been met yet. False: no memory. */
static bool pm__tally_begin(pm__tally *t, pm__tally_kind kind) {
    pm__tally_region top = {0, 1, 0, 0};
    memset(t, 0, offsetof(pm__tally, ahead));
    t->kind = kind;
    t->todo = pm__list_of(sizeof(pm__tally_item));
    t->regions = pm__list_of(sizeof(pm__tally_region));
    t->ways = pm__list_of(sizeof(pm__tally_way));
    return pm__list_put(&t->regions, &top, 1);
}

/* Notes a node that is to be added up, with all below it. False: no memory. */
PM__UNUSED static bool pm__tally_note(pm__tally *t, pm__ref r) {
    const pm__tally_item i = {r, 0, 0};
    return pm__list_put(&t->todo, &i, 1);
}

/* Adds up all that has been noted, region by region. False: no memory. */
static bool pm__tally_walk(pm__tally *t) {
    for (;;) {
        while (t->last - t->first < PM__TALLY_AHEAD && t->todo.used) {
            pm__tally_item i = *(const pm__tally_item *)pm__list_pop(&t->todo);
            PM__PREFETCH(pm__ref_ptr(i.node));
            if (t->kind != PM__TALLY_VALS) pm__ref_prefetch(i.node);
            pm__tally_await(t, &i, false);
        }
        if (t->first == t->last) return true;
        if (!pm__tally_step(t)) return false;
    }
}

/* The sum of all regions, each as often as it is met: it is looked at once all ways to it have been counted. */
static uint64_t pm__tally_total(pm__tally *t) {
    uint64_t total = 0;
    for (size_t next = 1; next;) {
        const pm__tally_region *r = pm__tally_region_at(t, next - 1);
        next = r->waits;
        total = pm__sat_add(total, pm__sat_mul(r->sum, r->times));
        for (size_t k = r->ways; k;) {
            const pm__tally_way *w = (const pm__tally_way *)(const void *)t->ways.data + (k - 1);
            pm__tally_region *to = pm__tally_region_at(t, w->to);
            k = w->before;
            to->times = pm__sat_add(to->times, r->times);
            if (--to->waits == 0) to->waits = next, next = w->to + 1;
        }
    }
    return total;
}

/* Ends a count that is `ok` so far: *out is the sum, or untouched. */
static pm_status pm__tally_end(pm__tally *t, bool ok, uint64_t *out) {
    ok = ok && pm__tally_walk(t);
    if (ok) *out = pm__tally_total(t);
    pm__list_free(&t->todo);
    pm__list_free(&t->regions);
    pm__list_free(&t->ways);
    pm__memo_free(&t->memo);
    return ok ? PM_OK : PM_NOMEM;
}

/* Counts below (strictly) the root reference r, which may be 0. */
PM__UNUSED static pm_status pm__tally_below(pm__tally_kind kind, pm__ref r, size_t depth, uint64_t *out) {
    pm__tally t;
    const pm__tally_item root = {r, depth, 0};
    *out = 0;
    if (!r) return PM_OK;
    bool ok = pm__tally_begin(&t, kind) && pm__tally_add(&t, &root, pm__tally_is_leaf(r));
    return pm__tally_end(&t, ok, out);
}

/* ---- no more than asked for ---------------------------------------------------------------------------------- */

/* Whether more than n values lie below a node, as far as that is seen at once: `false` may be wrong. Looks at O(n)
   nodes, and allocates nothing. */
PM__UNUSED static bool pm__tally_exceeds(pm__ref r, uint64_t n) {
    enum { WAITING = 512 }; /* nodes beyond that many are passed over */
    pm__ref todo[WAITING];
    size_t used = 0;
    uint64_t sum = 0;
    if (r) todo[used++] = r;
    for (uint64_t looks = n < UINT64_MAX / 2 ? 64 + 2 * n : UINT64_MAX; used && sum <= n && looks; looks--) {
        pm__tally_frame f = {todo[--used], 0, 0, 0, false};
        size_t depth;
        bool shared;
        sum = pm__sat_add(sum, pm__tally_own(PM__TALLY_VALS, f.node, 0));
        for (pm__ref c; used < WAITING && (c = pm__tally_child(PM__TALLY_VALS, &f, &depth, &shared)) != 0;)
            todo[used++] = c;
    }
    return sum > n;
}
