/* Tallies: counting what a trie holds. What hangs from one node by nodes that have one owner each is a *region*: its
   nodes are added up in any order, so they can be prefetched long before they are looked at. Nodes with several owners
   are regions of their own, worked out once and remembered, so that 2^80 values in a kilobyte of nodes are counted in
   microseconds; but for leaves, which cost less to add up than to remember. Counts saturate. */
#include "14_memo.c"
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

static uint64_t pm__sat_add(uint64_t a, uint64_t b) { return a + b < a ? UINT64_MAX : a + b; }

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
    if (pm__ref_kind(r) == PM__LINE) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        if (kind == PM__TALLY_VALS) return x->n - pm__popcount32(x->cmask);
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
    if (pm__ref_kind(f->node) == PM__LINE) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(f->node);
        uint32_t left = f->next < 32 ? x->cmask >> f->next << f->next : 0;
        for (; left && !c; left &= left - 1) {
            unsigned i = pm__ctz32(left);
            f->next = i + 1;
            c = *pm__line_child(x, i);
            if (kind != PM__TALLY_DEPTH || !c) continue;
            size_t len = x->plen + (size_t)pm__line_suffix(x, i);
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

/* Asks for the nodes that a frame will visit soon. */
static void pm__tally_prefetch(pm__ref r) {
    if (pm__ref_kind(r) == PM__LINE) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        for (uint32_t m = x->cmask; m; m &= m - 1) PM__PREFETCH(pm__ref_ptr(*pm__line_child(x, pm__ctz32(m))));
        return;
    }
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
    for (unsigned i = 0; !pm__byte_is_wide(x) && i < x->nc; i++) PM__PREFETCH(pm__ref_ptr(x->slot[i]));
}

/* ---- regions ------------------------------------------------------------------------------------------------- */

/* A node that is to be added up. */
typedef struct pm__tally_item {
    pm__ref node;
    size_t depth;
    bool shared; /* its parents have the block in common that it stands in */
} pm__tally_item;

typedef struct pm__tally_list {
    pm__tally_item *items;
    size_t used, cap;
} pm__tally_list;

/* A region that waits for those below it. */
typedef struct pm__tally_region {
    pm__tally_item root;
    uint64_t sum;
    size_t met; /* the regions below it are those in `met` from here on */
} pm__tally_region;

enum { PM__TALLY_AHEAD = 16, PM__TALLY_SOON = 4 };

typedef struct pm__tally {
    pm__tally_kind kind;
    pm__memo memo;
    pm__tally_list todo; /* nodes of this region that have not been prefetched */
    pm__tally_list met;  /* roots of other regions */
    pm__tally_region *regions;
    size_t used, cap;
    struct {
        pm__tally_item item;
        bool again; /* its children have been prefetched */
    } asked[PM__TALLY_AHEAD]; /* a ring */
} pm__tally;

static bool pm__tally_note(pm__tally_list *l, pm__tally_item item) {
    if (PM__UNLIKELY(l->used == l->cap)) {
        void *grown = pm__mem_grow_list(l->items, &l->cap, sizeof *l->items, 64);
        if (!grown) return false;
        l->items = (pm__tally_item *)grown;
    }
    l->items[l->used++] = item;
    return true;
}

static PM__INLINE bool pm__tally_is_leaf(pm__ref r) {
    return pm__ref_kind(r) == PM__LINE && !((const pm__line *)pm__ref_ptr(r))->cmask;
}

/* Asks for the references to children of a node that has some, whose head has come. False: no need to wait for them. */
static PM__INLINE bool pm__tally_ask(pm__ref r) {
    if (pm__ref_kind(r) != PM__LINE) return false;
    const pm__line *x = (const pm__line *)pm__ref_ptr(r);
    size_t size = pm__line_size(x), pays = 8u * pm__line_pay_count(x);
    for (size_t at = (size - pays) & ~(size_t)63; at < size; at += 64) PM__PREFETCH((const char *)x + at);
    return true;
}

/* Notes the children of a node. False: no memory. */
static bool pm__tally_open(pm__tally *t, const pm__tally_item *i) {
    pm__tally_frame f = {i->node, 0, i->depth, 0, false};
    size_t depth;
    bool shared, ok = true;
    for (pm__ref c; ok && (c = pm__tally_child(t->kind, &f, &depth, &shared)) != 0;)
        ok = pm__tally_note(&t->todo, (pm__tally_item){c, depth, shared});
    return ok;
}

/* Adds up a region. False: no memory. */
static bool pm__tally_walk(pm__tally *t, const pm__tally_item *root, uint64_t *sum) {
    size_t first = 0, last = 0; /* the ring's ends, counted on */
    t->asked[last++ % PM__TALLY_AHEAD].item = *root;
    t->asked[0].again = false;
    *sum = 0;
    for (bool top = true; first < last; top = false) {
        pm__tally_item i = t->asked[first % PM__TALLY_AHEAD].item;
        bool again = t->asked[first++ % PM__TALLY_AHEAD].again;
        bool leaf = pm__tally_is_leaf(i.node);
        if (!again && !top && !leaf && (i.shared || !pm__ref_is_unique(i.node))) {
            if (!pm__tally_note(&t->met, i)) return false;
        } else if (!again && !leaf && pm__tally_ask(i.node)) {
            t->asked[last % PM__TALLY_AHEAD].item = i;
            t->asked[last++ % PM__TALLY_AHEAD].again = true;
        } else {
            *sum = pm__sat_add(*sum, pm__tally_own(t->kind, i.node, i.depth));
            if (!leaf && !pm__tally_open(t, &i)) return false;
        }
        while (last - first < PM__TALLY_AHEAD && t->todo.used) {
            i = t->todo.items[--t->todo.used];
            PM__PREFETCH(pm__ref_ptr(i.node));
            if (t->kind != PM__TALLY_VALS) pm__ref_prefetch(i.node);
            t->asked[last % PM__TALLY_AHEAD].item = i;
            t->asked[last++ % PM__TALLY_AHEAD].again = false;
        }
    }
    return true;
}

/* Adds up a region and has it wait for those below. False: no memory. */
static bool pm__tally_enter(pm__tally *t, pm__tally_item root) {
    if (t->used == t->cap) {
        void *grown = pm__mem_grow_list(t->regions, &t->cap, sizeof *t->regions, 16);
        if (!grown) return false;
        t->regions = (pm__tally_region *)grown;
    }
    pm__tally_region *r = &t->regions[t->used++];
    r->root = root;
    r->met = t->met.used;
    return pm__tally_walk(t, &root, &r->sum);
}

/* Adds up what lies below a root. */
static pm_status pm__tally_run(pm__tally *t, pm__tally_item root, uint64_t *out) {
    if (!pm__tally_enter(t, root)) return PM_NOMEM;
    for (;;) {
        pm__tally_region *r = &t->regions[t->used - 1];
        if (t->met.used > r->met) {
            pm__tally_item i = t->met.items[--t->met.used];
            if (t->met.used > PM__TALLY_SOON) pm__ref_prefetch(t->met.items[t->met.used - PM__TALLY_SOON].node);
            const uint64_t *known = pm__memo_get(&t->memo, i.node, i.depth);
            if (known) r->sum = pm__sat_add(r->sum, *known);
            else if (!pm__tally_enter(t, i)) return PM_NOMEM;
            continue;
        }
        uint64_t sum = r->sum;
        if (--t->used == 0) {
            *out = sum;
            return PM_OK;
        }
        if (!pm__memo_put(&t->memo, r->root.node, r->root.depth, sum)) return PM_NOMEM;
        r[-1].sum = pm__sat_add(r[-1].sum, sum);
    }
}

static void pm__tally_list_free(pm__tally_list *l) {
    if (l->items) pm__mem_free_big(l->items, l->cap * sizeof *l->items);
}

/* Counts below (strictly) the root reference r, which may be 0. */
PM__UNUSED static pm_status pm__tally_below(pm__tally_kind kind, pm__ref r, size_t depth, uint64_t *out) {
    pm__tally t;
    pm__tally_item root = {r, depth, false};
    *out = 0;
    if (!r) return PM_OK;
    memset(&t, 0, offsetof(pm__tally, asked));
    t.kind = kind;
    pm_status s = pm__tally_run(&t, root, out);
    pm__tally_list_free(&t.todo);
    pm__tally_list_free(&t.met);
    if (t.regions) pm__mem_free_big(t.regions, t.cap * sizeof *t.regions);
    pm__memo_free(&t.memo);
    return s;
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
