/* Tallies: counting what a trie holds. Each distinct node is worked out once, deepest first, on a stack of our own;
   shared nodes are remembered, so that 2^80 values in a kilobyte of nodes are counted in microseconds. Counts
   saturate. */
#include "14_memo.c"
#include "26_place.c"

typedef enum pm__tally_kind { PM__TALLY_VALS, PM__TALLY_LOCS, PM__TALLY_DEPTH } pm__tally_kind;

typedef struct pm__tally_frame {
    pm__ref node;
    uint64_t sum;
    size_t depth;  /* PM__TALLY_DEPTH: how deep below this node; else 0 */
    unsigned next; /* entry, byte or 16 * block + place to look at next */
    bool shared;   /* may be met again */
} pm__tally_frame;

typedef struct pm__tally {
    pm__tally_kind kind;
    pm__memo memo;
    pm__tally_frame *stack;
    size_t used, cap;
} pm__tally;

static uint64_t pm__sat_add(uint64_t a, uint64_t b) { return a + b < a ? UINT64_MAX : a + b; }

/* Of entry i of a line: how many bytes its suffix shares with the entry before. */
static size_t pm__line_shared_before(const pm__line *x, unsigned i, unsigned off) {
    if (i == 0 || pm__line_suffix(x, i - 1) == 0 || x->body[i] != x->body[i - 1]) return 0;
    const uint8_t *h = pm__line_heap(x) + off, *before = h - pm__line_lens(x)[i - 1];
    size_t a = pm__line_lens(x)[i - 1], b = pm__line_lens(x)[i];
    return 1 + pm__lcp(before, h, a < b ? a : b);
}

/* Locations in a line, its root excluded; of just that depth, or all of them when depth is 0. */
static uint64_t pm__line_locations(const pm__line *x, size_t depth) {
    uint64_t n = depth ? 0 : x->plen;
    unsigned off = x->plen;
    if (depth && depth <= x->plen) return 1;
    size_t want = depth - x->plen;
    for (unsigned i = 0; i < x->n; off += pm__line_lens(x)[i], i++) {
        size_t len = pm__line_suffix(x, i), shared = pm__line_shared_before(x, i, off);
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
        return pm__line_locations(x, depth);
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
            *shared = !pm__count_is_one(&pm__byte_block(x, f->next >> 4)->rc);
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

static bool pm__tally_push(pm__tally *t, pm__ref r, size_t depth, bool shared) {
    if (t->used == t->cap) {
        void *grown = pm__mem_grow_list(t->stack, &t->cap, sizeof *t->stack, 32);
        if (!grown) return false;
        t->stack = (pm__tally_frame *)grown;
    }
    pm__tally_frame *f = &t->stack[t->used++];
    f->node = r;
    f->depth = depth;
    f->next = 0;
    f->shared = shared;
    f->sum = pm__tally_own(t->kind, r, depth);
    pm__tally_prefetch(r);
    return true;
}

/* Adds up what lies below the root reference r. */
static pm_status pm__tally_run(pm__tally *t, pm__ref r, size_t depth, uint64_t *out) {
    if (!pm__tally_push(t, r, depth, false)) return PM_NOMEM;
    for (;;) {
        pm__tally_frame *f = &t->stack[t->used - 1];
        size_t d;
        bool shared;
        pm__ref c = pm__tally_child(t->kind, f, &d, &shared);
        if (c) {
            shared = shared || !pm__ref_is_unique(c);
            const uint64_t *known = shared ? pm__memo_get(&t->memo, c, d) : NULL;
            if (known) f->sum = pm__sat_add(f->sum, *known);
            else if (!pm__tally_push(t, c, d, shared)) return PM_NOMEM;
            continue;
        }
        uint64_t sum = f->sum;
        if (t->used == 1) {
            *out = sum;
            return PM_OK;
        }
        if (f->shared && !pm__memo_put(&t->memo, f->node, f->depth, sum)) return PM_NOMEM;
        t->used--;
        t->stack[t->used - 1].sum = pm__sat_add(t->stack[t->used - 1].sum, sum);
    }
}

/* Counts below (strictly) the root reference r, which may be 0. */
PM__UNUSED static pm_status pm__tally_below(pm__tally_kind kind, pm__ref r, size_t depth, uint64_t *out) {
    pm__tally t = {kind, {NULL, 0, 0}, NULL, 0, 0};
    *out = 0;
    if (!r) return PM_OK;
    pm_status s = pm__tally_run(&t, r, depth, out);
    if (t.stack) pm__mem_free_big(t.stack, t.cap * sizeof *t.stack);
    pm__memo_free(&t.memo);
    return s;
}
