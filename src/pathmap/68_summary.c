/* Summaries: what is known of each node that leads to others, in a table beside the map.

   The table knows nodes by their references. That is sound because the summary holds the map that they belong to: they
   are shared, so they never change and are not freed. A refresh first works out what it does not know of the new map,
   with both maps held; only then it gives up the old one. So a reference in the table never outlives its node, and
   memory that is used again cannot be taken for the node that was there.

   A *record* is counted like a node: by the records of the nodes above, and once for the root. It holds, for the node's
   children in order, what is asked for soonest: running sums of their sizes, so that what lies before any of them is
   one subtraction; and a copy of their hashes and elements, so that a node of which one child is new is made good
   without looking at the others. Nodes without children (nine in ten) have no record: what they hold is read off their
   heads. Measured, for words: 10,000 of 44,000 nodes have one, at 1.3 bytes a key. */
#include "47_map_order.c"
#include "62_hash.c"
#include "68_summary.h"

/* Behind it, aligned by 8: hash of the node's content, hashes of its children; the element of the node, elements of its
   children; sums. What was not asked for is not there. */
typedef struct pm__record {
    size_t refs;
    uint16_t n; /* children, dangling ones included */
    bool wide;  /* instead of 32-bit running sums the sizes themselves, saturating */
} pm__record;

enum { PM__RECORD_HEAD = (sizeof(pm__record) + 7) & ~7u, PM__RECORD_KIDS = 256 };

typedef struct pm__record_slot {
    pm__ref node; /* 0: free */
    pm__record *rec;
} pm__record_slot;

struct pm_summary {
    pm_map map;
    pm__record_slot *slots; /* open addressing */
    size_t used, cap;       /* cap is 0 or a power of two */
    pm_monoid monoid;
    size_t element; /* bytes kept for one, or 0 */
    bool hashed;
    pm_hash128 hash; /* of the map */
    uint64_t count, bytes;
};

/* ---- the table ----------------------------------------------------------------------------------------------- */

static PM__INLINE size_t pm__record_home(const pm_summary *s, pm__ref r) {
    uint64_t h = r * 0xD6E8FEB86659FD93u;
    return (size_t)(h ^ h >> 32) & (s->cap - 1);
}

/* The slot of a node, or the free one where it would be. The table is not empty. */
static PM__INLINE size_t pm__record_slot_of(const pm_summary *s, pm__ref r) {
    size_t i = pm__record_home(s, r);
    while (s->slots[i].node && s->slots[i].node != r) i = (i + 1) & (s->cap - 1);
    return i;
}

static PM__INLINE pm__record *pm__record_of(const pm_summary *s, pm__ref r) {
    if (!s->cap || !r) return NULL;
    const pm__record_slot *at = &s->slots[pm__record_slot_of(s, r)];
    return at->node ? at->rec : NULL;
}

/* Makes room for one more. False: no memory. */
static bool pm__record_room(pm_summary *s) {
    if ((s->used + 1) * 4 <= s->cap * 3) return true;
    pm_summary big = *s;
    big.cap = s->cap ? s->cap * 2 : 16;
    big.slots = (pm__record_slot *)pm__mem_alloc_big(big.cap * sizeof *big.slots);
    if (!big.slots) return false;
    memset(big.slots, 0, big.cap * sizeof *big.slots);
    for (size_t i = 0; i < s->cap; i++)
        if (s->slots[i].node) big.slots[pm__record_slot_of(&big, s->slots[i].node)] = s->slots[i];
    if (s->slots) pm__mem_free_big(s->slots, s->cap * sizeof *s->slots);
    big.bytes += (big.cap - s->cap) * sizeof *s->slots;
    *s = big;
    return true;
}

static size_t pm__record_size(const pm_summary *s, const pm__record *x) {
    size_t each = (s->hashed ? sizeof(pm_hash128) : 0) + s->element;
    size_t size = PM__RECORD_HEAD + ((size_t)x->n + 1) * each + (size_t)x->n * (x->wide ? 8 : 4);
    return size < PM__RECORD_HEAD + 8 ? (size_t)PM__RECORD_HEAD + 8 : size; /* room for a link */
}

/* Forgets a node: later slots of the same run move up. */
static void pm__record_forget(pm_summary *s, pm__ref r) {
    const size_t mask = s->cap - 1;
    size_t hole = pm__record_slot_of(s, r);
    size_t size = pm__record_size(s, s->slots[hole].rec);
    pm__mem_free_big(s->slots[hole].rec, size);
    s->bytes -= size;
    s->used--;
    for (size_t i = (hole + 1) & mask; s->slots[i].node; i = (i + 1) & mask) {
        if (((i - pm__record_home(s, s->slots[i].node)) & mask) < ((i - hole) & mask)) continue;
        s->slots[hole] = s->slots[i];
        hole = i;
    }
    s->slots[hole].node = 0;
}

/* ---- what a record holds ------------------------------------------------------------------------------------- */

static PM__INLINE char *pm__record_data(const pm__record *x) { return (char *)(uintptr_t)x + PM__RECORD_HEAD; }

/* Of the node itself if `i` is 0, else of child i - 1. */
static PM__INLINE pm_hash128 *pm__record_hash(const pm__record *x, size_t i) {
    return (pm_hash128 *)(void *)pm__record_data(x) + i;
}

static PM__INLINE char *pm__record_elements(const pm_summary *s, const pm__record *x) {
    return pm__record_data(x) + (s->hashed ? ((size_t)x->n + 1) * sizeof(pm_hash128) : 0);
}

static PM__INLINE void *pm__record_element(const pm_summary *s, const pm__record *x, size_t i) {
    return pm__record_elements(s, x) + i * s->element;
}

static PM__INLINE void *pm__record_sums(const pm_summary *s, const pm__record *x) {
    return pm__record_elements(s, x) + ((size_t)x->n + 1) * s->element;
}

/* Values below the children [lo, hi). */
static PM__INLINE uint64_t pm__record_between(const pm_summary *s, const pm__record *x, unsigned lo, unsigned hi) {
    if (PM__LIKELY(!x->wide)) {
        const uint32_t *sums = (const uint32_t *)pm__record_sums(s, x);
        return (hi ? sums[hi - 1] : 0u) - (lo ? sums[lo - 1] : 0u);
    }
    uint64_t sum = 0;
    for (; lo < hi; lo++) sum = pm__sat_add(sum, ((const uint64_t *)pm__record_sums(s, x))[lo]);
    return sum;
}

/* ---- nodes ----------------------------------------------------------------------------------------------------- */

/* Children and values before a position. */
static PM__INLINE unsigned pm__summary_rank_at(pm__ref r, unsigned at, unsigned *vals) {
    if (pm__order_line(r)) {
        unsigned kids = pm__popcount32(((const pm__line *)pm__ref_ptr(r))->cmask & pm__low_bits(at));
        *vals = at - kids;
        return kids;
    }
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
    const uint8_t b = (uint8_t)(at >> 1);
    if (at >= 512) {
        *vals = x->nv;
        return x->nc;
    }
    *vals = pm__byte_val_rank(x, b) + ((at & 1) && pm__byte_has_val(x, b));
    return pm__byte_child_rank(x, b);
}

/* Values at and below the positions [lo, hi) of a node. */
static PM__INLINE uint64_t pm__summary_span(const pm_summary *s, pm__ref r, const pm__record *x, unsigned lo,
                                            unsigned hi) {
    unsigned from, to, a = pm__summary_rank_at(r, lo, &from), b = pm__summary_rank_at(r, hi, &to);
    uint64_t own = to - from;
    return x ? pm__sat_add(own, pm__record_between(s, x, a, b)) : own;
}

/* How many children a node has, dangling ones included; they are written to `out` if that is not NULL. */
static unsigned pm__summary_kids(pm__ref r, pm__ref *out) {
    if (!pm__order_line(r)) {
        const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
        if (out) pm__byte_kids(x, out);
        return x->nc;
    }
    const pm__line *x = (const pm__line *)pm__ref_ptr(r);
    unsigned n = 0;
    for (uint32_t m = x->cmask; m; m &= m - 1, n++)
        if (out) out[n] = *pm__line_child(x, pm__ctz32(m));
    return n;
}

static uint64_t pm__summary_size(const pm_summary *s, pm__ref r) {
    return r ? pm__summary_span(s, r, pm__record_of(s, r), 0, pm__order_end(r)) : 0;
}

/* ---- hashes of nodes ------------------------------------------------------------------------------------------- */

static pm_hash128 pm__summary_hash_val(const pm_summary *s, pm_hash128 below, pm_val v) {
    const pm_ops *ops = pm_map_ops(&s->map);
    pm__hash_add(&ops, v, &below);
    return below;
}

static PM__INLINE pm_hash128 pm__summary_hash_none(void) { return pm__hash_seal(pm__hash_begin(0)); }

static pm_hash128 pm__summary_hash_byte(const pm_summary *s, const pm__byte *x, const pm_hash128 *kids) {
    pm_mask m = pm__byte_mask(x);
    pm_hash128 h = pm__hash_begin(pm_mask_count(&m)), none = pm__summary_hash_none();
    for (int b = pm__mask_next(&m, 0); b >= 0; b = pm__mask_next(&m, b + 1)) {
        pm_hash128 one = pm__byte_has_child(x, (uint8_t)b) ? *kids++ : none;
        if (pm__byte_has_val(x, (uint8_t)b)) one = pm__summary_hash_val(s, one, *pm__byte_val(x, (uint8_t)b));
        h = pm__hash_child(h, (uint8_t)b, one);
    }
    return pm__hash_seal(h);
}

/* Locations of a line that are open, from the end of its prefix on, and the children that have been hashed of them. */
typedef struct pm__summary_stack {
    unsigned open, done;
    struct {
        unsigned depth, done;
        const pm_val *val;
    } at[PM__LINE_ENTRIES + 1];
    pm_hash128 hash[PM__LINE_ENTRIES];
    uint8_t byte[PM__LINE_ENTRIES];
} pm__summary_stack;

static void pm__summary_open(pm__summary_stack *k, unsigned depth, const pm_val *val) {
    k->at[k->open].depth = depth;
    k->at[k->open].done = k->done;
    k->at[k->open++].val = val;
}

/* The hash of the innermost open location, below which all is done. */
static pm_hash128 pm__summary_close(const pm_summary *s, pm__summary_stack *k) {
    unsigned first = k->at[--k->open].done;
    const pm_val *val = k->at[k->open].val;
    pm_hash128 h = pm__hash_begin(k->done - first);
    for (unsigned i = first; i < k->done; i++) h = pm__hash_child(h, k->byte[i], k->hash[i]);
    k->done = first;
    h = pm__hash_seal(h);
    return val ? pm__summary_hash_val(s, h, *val) : h;
}

/* Goes up from a location of depth `len` on entry i, whose heap bytes begin at h: through bytes without a choice, and
   closing what the next entry, which shares `keep` bytes (-1: there is none), is not in. */
static pm_hash128 pm__summary_climb(const pm_summary *s, pm__summary_stack *k, const pm__line *x, unsigned i,
                                    const uint8_t *h, unsigned len, int keep, pm_hash128 hash) {
    while (k->open) {
        unsigned top = k->at[k->open - 1].depth, to = keep > (int)top ? (unsigned)keep : top;
        if (to != top) pm__summary_open(k, to, NULL);
        if (len > to + 1) pm__hash_run(NULL, h + to, len - to - 1, &hash);
        k->byte[k->done] = to ? h[to - 1] : x->body[i];
        k->hash[k->done++] = hash;
        if (keep >= (int)to) break;
        hash = pm__summary_close(s, k);
        len = to;
    }
    return hash;
}

static pm_hash128 pm__summary_hash_line(const pm_summary *s, const pm__line *x, const pm_hash128 *kids) {
    pm__summary_stack k;
    unsigned i = pm__line_has_e(x), off = x->plen;
    pm_hash128 hash = pm__summary_hash_none();
    k.open = k.done = 0;
    pm__summary_open(&k, 0, i ? pm__line_val(x, 0) : NULL);
    if (i == x->n) hash = pm__summary_close(s, &k);
    for (; i < x->n; off += pm__line_lens(x)[i++]) {
        const uint8_t *h = pm__line_heap(x) + off;
        unsigned len = pm__line_suffix(x, i);
        int keep = i + 1 < x->n ? (int)pm__tally_line_shared_before(x, i + 1, off + pm__line_lens(x)[i]) : -1;
        if (!pm__line_is_child(x, i)) {
            if (keep == (int)len) { /* what follows lies below it */
                pm__summary_open(&k, len, pm__line_val(x, i));
                continue;
            }
            hash = pm__summary_hash_val(s, pm__summary_hash_none(), *pm__line_val(x, i));
        } else {
            hash = *kids++;
            if (k.at[k.open - 1].depth == len) hash = pm__summary_hash_val(s, hash, *k.at[--k.open].val);
        }
        hash = pm__summary_climb(s, &k, x, i, h, len, keep, hash);
    }
    pm__hash_run(NULL, pm__line_heap(x), x->plen, &hash);
    return hash;
}

/* The hash of what is below a node's root. `kids`: of its children in order; NULL: it has none. */
static pm_hash128 pm__summary_hash_node(const pm_summary *s, pm__ref r, const pm_hash128 *kids) {
    if (pm__order_line(r)) return pm__summary_hash_line(s, (const pm__line *)pm__ref_ptr(r), kids);
    return pm__summary_hash_byte(s, (const pm__byte *)pm__ref_ptr(r), kids);
}

/* ---- elements of nodes ----------------------------------------------------------------------------------------- */

/* Room for an element. */
typedef union pm__summary_room {
    uint64_t words[PM_MONOID_MAX / 8];
    char bytes[PM_MONOID_MAX];
} pm__summary_room;

/* Adds an element to a sum of none or more. */
static void pm__summary_add(const pm_summary *s, void *sum, bool *some, const void *one) {
    if (*some) s->monoid.add(s->monoid.ctx, sum, one);
    else memcpy(sum, one, s->monoid.size);
    *some = true;
}

static void pm__summary_add_val(const pm_summary *s, void *sum, bool *some, pm_val v) {
    pm__summary_room one;
    memset(&one, 0, sizeof one);
    s->monoid.of(s->monoid.ctx, v, &one);
    pm__summary_add(s, sum, some, &one);
}

/* Adds up the positions [lo, hi) of a node. */
static void pm__summary_add_span(const pm_summary *s, pm__ref r, const pm__record *x, unsigned lo, unsigned hi,
                                 void *sum, bool *some) {
    unsigned vals;
    for (int at = pm__order_next(r, lo); at >= 0 && (unsigned)at < hi; at = pm__order_next(r, (unsigned)at + 1)) {
        pm__ref below;
        const pm_val *val = pm__order_look(r, (unsigned)at, &below);
        if (val) {
            pm__summary_add_val(s, sum, some, *val);
        } else if (x && below) {
            unsigned k = pm__summary_rank_at(r, (unsigned)at, &vals);
            if (pm__record_between(s, x, k, k + 1))
                pm__summary_add(s, sum, some, pm__record_element(s, x, (size_t)k + 1));
        }
    }
}

/* ---- making records -------------------------------------------------------------------------------------------- */

/* A node whose children are to be known before it. */
typedef struct pm__summary_frame {
    pm__ref node;
    pm__ref was; /* a node that is known and may be an earlier state of it, or 0 */
    bool open;   /* its children have been put on the stack */
} pm__summary_frame;

/* The children of a node, and of its earlier state. */
typedef struct pm__summary_pair {
    pm__ref now[PM__RECORD_KIDS], was[PM__RECORD_KIDS];
    unsigned n, m;
    int16_t same[PM__RECORD_KIDS]; /* where the child is in the earlier state, or -1 */
    int16_t near[PM__RECORD_KIDS]; /* if not: what may be its earlier state, or -1 */
} pm__summary_pair;

enum { PM__SUMMARY_LOOK = 4 };

/* Lists children, and finds those that have been there. What is overlooked costs time only. */
static void pm__summary_match(pm__summary_pair *p, pm__ref node, pm__ref was) {
    unsigned j = 0;
    p->n = pm__summary_kids(node, p->now);
    p->m = was ? pm__summary_kids(was, p->was) : 0;
    for (unsigned i = 0; i < p->n; i++) {
        unsigned end = p->m - j < PM__SUMMARY_LOOK ? p->m : j + PM__SUMMARY_LOOK, at = j;
        while (at < end && p->was[at] != p->now[i]) at++;
        p->same[i] = (int16_t)(at < end ? (int)at : -1);
        p->near[i] = (int16_t)(j < p->m ? (int)j : -1);
        if (at < end) j = at + 1;
        else if (p->m - j >= p->n - i) j++;
    }
}

/* True if a node has no children and so no record. */
static bool pm__summary_is_leaf(pm__ref r) { return pm__summary_kids(r, NULL) == 0; }

/* Values below a child, which is number `at` of the earlier state, or (-1) in none. */
static uint64_t pm__summary_child_size(const pm_summary *s, pm__ref c, const pm__record *was, int at) {
    if (at >= 0) return pm__record_between(s, was, (unsigned)at, (unsigned)at + 1);
    return pm__summary_size(s, c);
}

/* Hash and element of child k, which is not dangling, of a record in the making. */
static void pm__summary_fill_child(const pm_summary *s, const pm__record *x, pm__ref c, size_t k, const pm__record *was,
                                   int at) {
    const pm__record *known = at < 0 ? pm__record_of(s, c) : was;
    const size_t from = at < 0 ? 0 : (size_t)at + 1;
    if (s->hashed)
        *pm__record_hash(x, k + 1) = known ? *pm__record_hash(known, from) : pm__summary_hash_node(s, c, NULL);
    if (!s->element) return;
    void *to = pm__record_element(s, x, k + 1);
    bool some = false;
    if (known) memcpy(to, pm__record_element(s, known, from), s->element);
    else pm__summary_add_span(s, c, NULL, 0, pm__order_end(c), to, &some);
}

/* Fills a record. */
static void pm__summary_fill(const pm_summary *s, pm__record *x, pm__ref node, const pm__summary_pair *p,
                             const pm__record *was, const uint64_t *sizes) {
    uint32_t *sums = (uint32_t *)pm__record_sums(s, x), sum = 0;
    for (unsigned i = 0; i < x->n; i++) {
        if (x->wide) ((uint64_t *)(void *)sums)[i] = sizes[i];
        else sums[i] = sum += (uint32_t)sizes[i];
        if (p->now[i]) pm__summary_fill_child(s, x, p->now[i], i, was, p->same[i]);
        else if (s->hashed) *pm__record_hash(x, (size_t)i + 1) = pm__summary_hash_none();
        pm__record *below = pm__record_of(s, p->now[i]);
        if (below) below->refs++;
    }
    if (s->hashed) *pm__record_hash(x, 0) = pm__summary_hash_node(s, node, pm__record_hash(x, 1));
    bool some = false;
    if (s->element) pm__summary_add_span(s, node, x, 0, pm__order_end(node), pm__record_element(s, x, 0), &some);
}

/* Makes the record of a node whose children are known. False: no memory. */
static bool pm__summary_make(pm_summary *s, const pm__summary_frame *f, pm__list *made, pm__summary_pair *p) {
    uint64_t sizes[PM__RECORD_KIDS], sum = 0;
    const pm__record *was = pm__record_of(s, f->was);
    pm__summary_match(p, f->node, was ? f->was : 0);
    for (unsigned i = 0; i < p->n; i++) {
        sizes[i] = pm__summary_child_size(s, p->now[i], was, p->same[i]);
        sum = pm__sat_add(sum, sizes[i]);
    }
    const pm__record head = {0, (uint16_t)p->n, sum > UINT32_MAX};
    const size_t size = pm__record_size(s, &head);
    if (!pm__record_room(s) || !pm__list_put(made, &f->node, 1)) return false;
    pm__record *x = (pm__record *)pm__mem_alloc_big(size);
    if (!x) {
        made->used--;
        return false;
    }
    memset(x, 0, size);
    *x = head;
    pm__summary_fill(s, x, f->node, p, was, sizes);
    pm__record_slot *at = &s->slots[pm__record_slot_of(s, f->node)];
    at->node = f->node;
    at->rec = x;
    s->used++;
    s->bytes += size;
    return true;
}

/* Puts the children of a node on the stack that have no record and are to have one. False: no memory. */
static bool pm__summary_descend(const pm_summary *s, const pm__summary_frame *f, pm__list *stack,
                                pm__summary_pair *p) {
    pm__summary_match(p, f->node, pm__record_of(s, f->was) ? f->was : 0);
    for (unsigned i = 0; i < p->n; i++) {
        const pm__ref c = p->now[i];
        if (!c || p->same[i] >= 0 || pm__record_of(s, c) || pm__summary_is_leaf(c)) continue;
        pm__summary_frame below = {c, p->near[i] >= 0 ? p->was[p->near[i]] : 0, false};
        if (!pm__list_put(stack, &below, 1)) return false;
    }
    return true;
}

/* Makes all records below a root that there are not, deepest first, and lists their nodes. False: no memory. */
static bool pm__summary_build(pm_summary *s, pm__ref root, pm__ref was, pm__list *made) {
    pm__summary_pair pair;
    pm__list stack = pm__list_of(sizeof(pm__summary_frame));
    const pm__summary_frame first = {root, was, false};
    bool ok = !root || pm__record_of(s, root) || pm__summary_is_leaf(root) || pm__list_put(&stack, &first, 1);
    while (ok && stack.used) {
        pm__summary_frame *top = (pm__summary_frame *)pm__list_at(&stack, stack.used - 1), f = *top;
        if (!f.open && !pm__record_of(s, f.node)) {
            top->open = true;
            ok = pm__summary_descend(s, &f, &stack, &pair);
            continue;
        }
        if (f.open) ok = pm__summary_make(s, &f, made, &pair);
        stack.used--;
    }
    pm__list_free(&stack);
    return ok;
}

/* ---- giving records up ------------------------------------------------------------------------------------------ */

/* Takes one reference from each child's record. Those that have none left join the list, which leads through what
   records hold. Returns its new head. */
static pm__ref pm__summary_unlink(const pm_summary *s, pm__ref node, pm__ref list) {
    pm__ref kids[PM__RECORD_KIDS];
    unsigned n = pm__summary_kids(node, kids);
    for (unsigned i = 0; i < n; i++) {
        pm__record *x = pm__record_of(s, kids[i]);
        if (!x || --x->refs) continue;
        pm__store64(pm__record_data(x), list);
        list = kids[i];
    }
    return list;
}

/* Gives up the reference of a root. Its nodes are still there. */
static void pm__summary_release(pm_summary *s, pm__ref root) {
    pm__record *x = pm__record_of(s, root);
    pm__ref list = 0;
    if (!x || --x->refs) return;
    pm__store64(pm__record_data(x), 0);
    for (pm__ref r = root; r; r = list) {
        list = pm__summary_unlink(s, r, pm__load64(pm__record_data(pm__record_of(s, r))));
        pm__record_forget(s, r);
    }
}

/* Undoes what was made, latest first. */
static void pm__summary_undo(pm_summary *s, const pm__list *made) {
    for (size_t i = made->used; i--;) {
        const pm__ref node = *(const pm__ref *)pm__list_at(made, i);
        pm__ref kids[PM__RECORD_KIDS];
        for (unsigned k = pm__summary_kids(node, kids); k--;) {
            pm__record *x = pm__record_of(s, kids[k]);
            if (x) x->refs--;
        }
        pm__record_forget(s, node);
    }
}

/* Goes over to a map, which becomes the summary's. False: no memory, and nothing has changed. */
static bool pm__summary_take(pm_summary *s, const pm_map *now) {
    pm__list made = pm__list_of(sizeof(pm__ref));
    const bool ok = pm__summary_build(s, now->root, s->map.root, &made);
    pm_map old = s->map;
    if (!ok) pm__summary_undo(s, &made);
    pm__list_free(&made);
    if (!ok) return false;
    pm__record *root = pm__record_of(s, now->root);
    if (root) root->refs++;
    pm__summary_release(s, old.root);
    s->map = *now;
    s->count = pm__sat_add(now->has_value, pm__summary_size(s, now->root));
    if (s->hashed) {
        s->hash = pm__summary_hash_none();
        if (root) s->hash = *pm__record_hash(root, 0);
        else if (now->root) s->hash = pm__summary_hash_node(s, now->root, NULL);
        if (now->has_value) s->hash = pm__summary_hash_val(s, s->hash, now->value);
    }
    pm_drop(&old);
    return true;
}

/* ---- public: life ----------------------------------------------------------------------------------------------- */

static bool pm__summary_monoid_is_bad(const pm_monoid *o) {
    return o && (!o->of || !o->add || !o->size || o->size > PM_MONOID_MAX);
}

PM_API pm_status pm_summary_new(const pm_map *m, unsigned flags, const pm_monoid *monoid, pm_summary **out) {
    if (pm__map_bad(m, NULL, 0) || !out || (flags & ~(unsigned)PM_SUMMARY_HASH)) return PM_INVALID;
    if (pm__summary_monoid_is_bad(monoid)) return PM_INVALID;
    pm_summary *s = (pm_summary *)pm__mem_alloc_big(sizeof *s);
    if (!s) return PM_NOMEM;
    memset(s, 0, sizeof *s);
    s->bytes = sizeof *s;
    s->hashed = (flags & PM_SUMMARY_HASH) != 0;
    if (monoid) s->monoid = *monoid, s->element = (monoid->size + 7) & ~(size_t)7;
    s->map.ops = m->ops; /* an empty map until it is taken over */
    pm_map now = pm_clone(m);
    if (!pm__summary_take(s, &now)) {
        pm_drop(&now);
        pm_summary_free(s);
        return PM_NOMEM;
    }
    *out = s;
    return PM_OK;
}

PM_API void pm_summary_free(pm_summary *s) {
    if (!s) return;
    for (size_t i = 0; i < s->cap; i++)
        if (s->slots[i].node) pm__mem_free_big(s->slots[i].rec, pm__record_size(s, s->slots[i].rec));
    if (s->slots) pm__mem_free_big(s->slots, s->cap * sizeof *s->slots);
    pm_drop(&s->map);
    pm__mem_free_big(s, sizeof *s);
}

PM_API pm_status pm_summary_refresh(pm_summary *s, const pm_map *m) {
    if (!s || pm__map_bad(m, NULL, 0)) return PM_INVALID;
    if (pm_map_ops(m) != pm_map_ops(&s->map)) return PM_MISMATCH;
    pm_map now = pm_clone(m);
    if (pm__summary_take(s, &now)) return PM_OK;
    pm_drop(&now);
    return PM_NOMEM;
}

PM_API const pm_map *pm_summary_map(const pm_summary *s) { return s ? &s->map : NULL; }
PM_API uint64_t pm_summary_count(const pm_summary *s) { return s ? s->count : 0; }
PM_API uint64_t pm_summary_bytes(const pm_summary *s) { return s ? s->bytes : 0; }

PM_API pm_status pm_summary_hash(const pm_summary *s, pm_hash128 *out) {
    if (!s || !out || !s->hashed) return PM_INVALID;
    *out = s->hash;
    return PM_OK;
}

PM_API pm_status pm_summary_equal(const pm_summary *a, const pm_summary *b, bool *out) {
    if (!a || !b || !out || !a->hashed || !b->hashed) return PM_INVALID;
    if (pm_map_ops(&a->map) != pm_map_ops(&b->map)) return PM_MISMATCH;
    *out = a->hash.lo == b->hash.lo && a->hash.hi == b->hash.hi;
    return PM_OK;
}
