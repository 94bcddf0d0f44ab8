/* Summaries: what is known of each node that leads to others, in a table beside the map.

   The table knows nodes by their references. That is sound because the summary holds the map that they belong to: they
   are shared, so they never change and are not freed. A refresh first works out what it does not know of the new map,
   with both maps held; only then it gives up the old one. So a reference in the table never outlives its node, and
   memory that is used again cannot be taken for the node that was there.

   A *record* is counted like a node: by the records of the nodes above, and once for the root. It holds, for the node's
   children in order, their records; running sums of their sizes, so that what lies before any of them is one
   subtraction; and a copy of their hashes and elements. So a node of which one child is new is made good without
   looking at the others. Nodes without children have no record: what they hold is read off their heads. Measured, for
   words: 10,000 of 44,000 nodes have one, at 1.6 bytes a key. Without the children's records, which are then looked up
   in the table, a refresh after one write takes 1.7 times as long. */
#include "47_map_order.c"
#include "62_hash.c"
#include "68_summary.h"

/* A child of a node that is known. Both words are at a place that does not depend on how many there are, so that they
   come at once with the record's head. */
typedef struct pm__record_kid {
    union {
        struct pm__record *rec; /* NULL: it has none */
        uint64_t word;          /* of 8 bytes on any machine */
    } u;
    uint64_t sum; /* values below this child and those before it; in a wide record, below this one alone */
} pm__record_kid;

/* Behind it: hash of the node's content, hashes of its children; the element of the node, elements of its children.
   What was not asked for is not there. */
typedef struct pm__record {
    pm__ref node;
    union {
        size_t refs;
        struct pm__record *next; /* of those that are given up */
    } u;
    uint16_t n; /* children, dangling ones included */
    bool wide;  /* sums would not fit; sizes saturate */
    pm__record_kid kid[];
} pm__record;

enum { PM__RECORD_KIDS = 256 };

struct pm_summary {
    pm_map map;
    pm__record *root;   /* NULL: the top node has no children, or there is none */
    pm__record **slots; /* open addressing */
    size_t used, cap;   /* cap is 0 or a power of two */
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
    while (s->slots[i] && s->slots[i]->node != r) i = (i + 1) & (s->cap - 1);
    return i;
}

static PM__INLINE pm__record *pm__record_of(const pm_summary *s, pm__ref r) {
    return s->cap ? s->slots[pm__record_slot_of(s, r)] : NULL;
}

/* Makes room for one more. False: no memory. */
static bool pm__record_room(pm_summary *s) {
    if ((s->used + 1) * 4 <= s->cap * 3) return true;
    pm_summary big = *s;
    big.cap = s->cap ? s->cap * 2 : 16;
    big.slots = (pm__record **)pm__mem_alloc_big(big.cap * sizeof *big.slots);
    if (!big.slots) return false;
    for (size_t i = 0; i < big.cap; i++) big.slots[i] = NULL;
    for (size_t i = 0; i < s->cap; i++)
        if (s->slots[i]) big.slots[pm__record_slot_of(&big, s->slots[i]->node)] = s->slots[i];
    if (s->slots) pm__mem_free_big(s->slots, s->cap * sizeof *s->slots);
    big.bytes += (big.cap - s->cap) * sizeof *s->slots;
    *s = big;
    return true;
}

static size_t pm__record_size(const pm_summary *s, const pm__record *x) {
    size_t each = (s->hashed ? sizeof(pm_hash128) : 0) + s->element;
    return sizeof *x + (size_t)x->n * sizeof x->kid[0] + ((size_t)x->n + 1) * each;
}

/* Forgets a node: later slots of the same run move up. */
static void pm__record_forget(pm_summary *s, pm__record *x) {
    const size_t mask = s->cap - 1, size = pm__record_size(s, x);
    size_t hole = pm__record_slot_of(s, x->node);
    for (size_t i = (hole + 1) & mask; s->slots[i]; i = (i + 1) & mask) {
        if (((i - pm__record_home(s, s->slots[i]->node)) & mask) < ((i - hole) & mask)) continue;
        s->slots[hole] = s->slots[i];
        hole = i;
    }
    s->slots[hole] = NULL;
    pm__mem_free_big(x, size);
    s->bytes -= size;
    s->used--;
}

/* ---- what a record holds ------------------------------------------------------------------------------------- */

/* Of the node itself if `i` is 0, else of child i - 1. */
static PM__INLINE pm_hash128 *pm__record_hash(const pm__record *x, size_t i) {
    return (pm_hash128 *)(uintptr_t)(const void *)&x->kid[x->n] + i;
}

static PM__INLINE void *pm__record_element(const pm_summary *s, const pm__record *x, size_t i) {
    char *first = (char *)pm__record_hash(x, s->hashed ? (size_t)x->n + 1 : 0);
    return first + i * s->element;
}

/* Values below the children [lo, hi). */
static PM__INLINE uint64_t pm__record_between(const pm__record *x, unsigned lo, unsigned hi) {
    if (PM__LIKELY(!x->wide)) return (hi ? x->kid[hi - 1].sum : 0) - (lo ? x->kid[lo - 1].sum : 0);
    uint64_t sum = 0;
    for (; lo < hi; lo++) sum = pm__sat_add(sum, x->kid[lo].sum);
    return sum;
}

/* ---- nodes ----------------------------------------------------------------------------------------------------- */

/* Children and values before a position. */
static PM__NOINLINE unsigned pm__summary_rank_at(pm__ref r, unsigned at, unsigned *vals) {
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
    return x->nc ? pm__byte_child_rank(x, b) : 0;
}

/* Values at and below the positions [lo, hi) of a node. */
static PM__INLINE uint64_t pm__summary_span(pm__ref r, const pm__record *x, unsigned lo, unsigned hi) {
    unsigned from, to, a = pm__summary_rank_at(r, lo, &from), b = pm__summary_rank_at(r, hi, &to);
    uint64_t own = to - from;
    return x ? pm__sat_add(own, pm__record_between(x, a, b)) : own;
}

/* Values before a position of a node. */
static PM__INLINE uint64_t pm__summary_before(pm__ref r, const pm__record *x, unsigned at) {
    unsigned vals, kids = pm__summary_rank_at(r, at, &vals);
    return x ? pm__sat_add(vals, pm__record_between(x, 0, kids)) : vals;
}

/* The children of a node in order, dangling ones included, where they are or in `room`; *n: how many. */
static const pm__ref *pm__summary_kids(pm__ref r, pm__ref *room, unsigned *n) {
    if (!pm__order_line(r)) {
        const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
        *n = x->nc;
        if (!pm__byte_is_wide(x)) return x->slot;
        pm__byte_kids(x, room);
        return room;
    }
    const pm__line *x = (const pm__line *)pm__ref_ptr(r);
    unsigned k = 0;
    for (uint32_t m = x->cmask; m; m &= m - 1) room[k++] = *pm__line_child(x, pm__ctz32(m));
    *n = k;
    return room;
}

/* True if a node has no children and so no record. */
static PM__INLINE bool pm__summary_is_leaf(pm__ref r) {
    if (pm__order_line(r)) return !((const pm__line *)pm__ref_ptr(r))->cmask;
    return !((const pm__byte *)pm__ref_ptr(r))->nc;
}

/* Values below a node, which may be 0, with its record. */
static uint64_t pm__summary_size(pm__ref r, const pm__record *x) {
    return r ? pm__summary_span(r, x, 0, pm__order_end(r)) : 0;
}

/* ---- hashes of nodes ------------------------------------------------------------------------------------------- */

static pm_hash128 pm__summary_hash_val(const pm_summary *s, pm_hash128 below, pm_val v) {
    const pm_ops *ops = pm_map_ops(&s->map);
    pm__hash_add(&ops, v, &below);
    return below;
}

static PM__INLINE pm_hash128 pm__summary_hash_none(void) { return pm__hash_seal(pm__hash_begin(0)); }

/* Adds what a byte node has to the hash of its root. */
static pm_hash128 pm__summary_hash_bytes(const pm_summary *s, const pm__byte *x, const pm_hash128 *kids,
                                         pm_hash128 h) {
    const pm_mask m = pm__byte_mask(x);
    const pm_hash128 none = pm__summary_hash_none();
    for (int b = pm__mask_next(&m, 0); b >= 0; b = pm__mask_next(&m, b + 1)) {
        pm_hash128 one = pm__byte_has_child(x, (uint8_t)b) ? *kids++ : none;
        if (pm__byte_has_val(x, (uint8_t)b)) one = pm__summary_hash_val(s, one, *pm__byte_val(x, (uint8_t)b));
        h = pm__hash_child(h, (uint8_t)b, one);
    }
    return h;
}

static pm_hash128 pm__summary_hash_byte(const pm_summary *s, const pm__byte *x, const pm_hash128 *kids) {
    const pm_mask m = pm__byte_mask(x);
    return pm__hash_seal(pm__summary_hash_bytes(s, x, kids, pm__hash_begin(pm_mask_count(&m))));
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

/* Goes through the entries of a line. `last` is -1: returns the hash of the end of its prefix; 0: that stays open. */
static pm_hash128 pm__summary_hash_entries(const pm_summary *s, pm__summary_stack *k, const pm__line *x,
                                           const pm_hash128 *kids, int last) {
    unsigned i = pm__line_has_e(x), off = x->plen;
    pm_hash128 hash = pm__summary_hash_none();
    k->open = k->done = 0;
    pm__summary_open(k, 0, i ? pm__line_val(x, 0) : NULL);
    if (i == x->n) hash = pm__summary_close(s, k);
    for (; i < x->n; off += pm__line_lens(x)[i++]) {
        const uint8_t *h = pm__line_heap(x) + off;
        unsigned len = pm__line_suffix(x, i);
        int keep = i + 1 < x->n ? (int)pm__tally_line_shared_before(x, i + 1, off + pm__line_lens(x)[i]) : last;
        if (!pm__line_is_child(x, i)) {
            if (keep == (int)len) { /* what follows lies below it */
                pm__summary_open(k, len, pm__line_val(x, i));
                continue;
            }
            hash = pm__summary_hash_val(s, pm__summary_hash_none(), *pm__line_val(x, i));
        } else {
            hash = *kids++;
            if (k->at[k->open - 1].depth == len) hash = pm__summary_hash_val(s, hash, *k->at[--k->open].val);
        }
        hash = pm__summary_climb(s, k, x, i, h, len, keep, hash);
    }
    return hash;
}

/* The hash of where a line's prefix has `skip` bytes. */
static pm_hash128 pm__summary_hash_line(const pm_summary *s, const pm__line *x, const pm_hash128 *kids, size_t skip) {
    pm__summary_stack k;
    pm_hash128 hash = pm__summary_hash_entries(s, &k, x, kids, -1);
    pm__hash_run(NULL, pm__line_heap(x) + skip, x->plen - skip, &hash);
    return hash;
}

/* Adds what a part of a range node has to the hash of the node's root. */
static pm_hash128 pm__summary_hash_part(const pm_summary *s, pm__ref part, pm_hash128 h) {
    const pm__record *rec = pm__summary_is_leaf(part) ? NULL : pm__record_of(s, part);
    const pm_hash128 *kids = rec ? pm__record_hash(rec, 1) : NULL;
    pm__summary_stack k;
    if (!pm__order_line(part)) return pm__summary_hash_bytes(s, (const pm__byte *)pm__ref_ptr(part), kids, h);
    const pm__line *x = (const pm__line *)pm__ref_ptr(part);
    if (x->plen) return pm__hash_child(h, *pm__line_heap(x), pm__summary_hash_line(s, x, kids, 1));
    (void)pm__summary_hash_entries(s, &k, x, kids, 0);
    for (unsigned i = 0; i < k.done; i++) h = pm__hash_child(h, k.byte[i], k.hash[i]);
    return h;
}

static pm_hash128 pm__summary_hash_range(const pm_summary *s, const pm__line *x) {
    const pm_mask m = pm__place_mask_range(x);
    pm_hash128 h = pm__hash_begin(pm_mask_count(&m));
    for (unsigned i = 0; i < x->n; i++) h = pm__summary_hash_part(s, *pm__line_part_at(x, i), h);
    return pm__hash_seal(h);
}

/* The hash of what is below a node's root. `kids`: of its children in order; NULL: it has none. */
static pm_hash128 pm__summary_hash_node(const pm_summary *s, pm__ref r, const pm_hash128 *kids) {
    if (pm__ref_kind(r) == PM__RANGE) return pm__summary_hash_range(s, (const pm__line *)pm__ref_ptr(r));
    if (pm__order_line(r)) return pm__summary_hash_line(s, (const pm__line *)pm__ref_ptr(r), kids, 0);
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
            if (pm__record_between(x, k, k + 1))
                pm__summary_add(s, sum, some, pm__record_element(s, x, (size_t)k + 1));
        }
    }
}

/* ---- making records -------------------------------------------------------------------------------------------- */

/* A node whose children are to be known before it. */
typedef struct pm__summary_frame {
    pm__ref node;
    const pm__record *was; /* of what may be an earlier state of it, or NULL */
    bool open;             /* its children have been put on the stack */
} pm__summary_frame;

/* The children of a node, and of its earlier state. */
typedef struct pm__summary_pair {
    const pm__ref *now, *was;
    unsigned n, m;
    int16_t same[PM__RECORD_KIDS];  /* where the child is in the earlier state, or -1 */
    int16_t prior[PM__RECORD_KIDS]; /* if not: what may be its earlier state, or -1 */
    pm__ref room[2][PM__RECORD_KIDS];
} pm__summary_pair;

enum { PM__SUMMARY_LOOK = 4 };

/* Lists children, and finds those that have been there. What is overlooked costs time only. */
static void pm__summary_match(pm__summary_pair *p, const pm__summary_frame *f) {
    unsigned j = 0;
    p->now = pm__summary_kids(f->node, p->room[0], &p->n);
    p->was = p->room[1], p->m = 0;
    if (f->was) p->was = pm__summary_kids(f->was->node, p->room[1], &p->m);
    for (unsigned i = 0; i < p->n; i++) {
        if (PM__LIKELY(j < p->m && p->was[j] == p->now[i])) {
            p->prior[i] = -1;
            p->same[i] = (int16_t)j++;
            continue;
        }
        unsigned end = p->m - j < PM__SUMMARY_LOOK ? p->m : j + PM__SUMMARY_LOOK, at = j;
        while (at < end && p->was[at] != p->now[i]) at++;
        p->same[i] = (int16_t)(at < end ? (int)at : -1);
        p->prior[i] = (int16_t)(at == end && j < p->m ? (int)j : -1);
        if (at < end) j = at + 1;
        else if (p->m - j >= p->n - i) j++;
    }
}

/* Child i of a record in the making. Returns how many values are below it. */
static uint64_t pm__summary_child(const pm_summary *s, const pm__summary_pair *p, unsigned i, const pm__record *was,
                                  pm__record **below) {
    const pm__ref c = p->now[i];
    *below = NULL;
    if (!c) return 0;
    if (p->same[i] >= 0) {
        const unsigned at = (unsigned)p->same[i];
        *below = was->kid[at].u.rec;
        return pm__record_between(was, at, at + 1);
    }
    if (!pm__summary_is_leaf(c)) *below = pm__record_of(s, c);
    return pm__summary_size(c, *below);
}

/* Fills in hash and element of child i. */
static void pm__summary_fill_child(const pm_summary *s, const pm__record *x, const pm__summary_pair *p, unsigned i,
                                   const pm__record *was) {
    const pm__ref c = p->now[i];
    const pm__record *known = p->same[i] >= 0 ? was : x->kid[i].u.rec;
    const size_t to = (size_t)i + 1, from = p->same[i] >= 0 ? (size_t)p->same[i] + 1 : 0;
    if (s->hashed) {
        if (!c) *pm__record_hash(x, to) = pm__summary_hash_none();
        else *pm__record_hash(x, to) = known ? *pm__record_hash(known, from) : pm__summary_hash_node(s, c, NULL);
    }
    if (!s->element || !c) return;
    bool some = false;
    if (known) memcpy(pm__record_element(s, x, to), pm__record_element(s, known, from), s->element);
    else pm__summary_add_span(s, c, NULL, 0, pm__order_end(c), pm__record_element(s, x, to), &some);
}

/* Fills a record: head and children are there. */
static void pm__summary_fill(const pm_summary *s, pm__record *x, const pm__summary_pair *p, const pm__record *was) {
    for (unsigned i = 0; i < x->n; i++)
        if (x->kid[i].u.rec) x->kid[i].u.rec->u.refs++;
    if (!s->hashed && !s->element) return;
    for (unsigned i = 0; i < x->n; i++) pm__summary_fill_child(s, x, p, i, was);
    if (s->hashed) *pm__record_hash(x, 0) = pm__summary_hash_node(s, x->node, pm__record_hash(x, 1));
    if (!s->element) return;
    bool some = false;
    pm__summary_add_span(s, x->node, x, 0, pm__order_end(x->node), pm__record_element(s, x, 0), &some);
}

/* Makes the record of a node whose children are known. False: no memory. */
static bool pm__summary_make(pm_summary *s, const pm__summary_frame *f, pm__list *made, const pm__summary_pair *p) {
    const pm__record head = {f->node, {0}, (uint16_t)p->n, false};
    const size_t size = pm__record_size(s, &head);
    if (!pm__record_room(s) || !pm__list_room(made, 1)) return false;
    pm__record *x = (pm__record *)pm__mem_alloc_big(size);
    if (!x) return false;
    if (s->element) memset(x, 0, size);
    *x = head;
    uint64_t sum = 0;
    for (unsigned i = 0; i < p->n; i++) {
        x->kid[i].u.word = 0;
        x->kid[i].sum = pm__summary_child(s, p, i, f->was, &x->kid[i].u.rec);
        sum = pm__sat_add(sum, x->kid[i].sum);
    }
    x->wide = sum == UINT64_MAX;
    for (unsigned i = 1; i < p->n && !x->wide; i++) x->kid[i].sum += x->kid[i - 1].sum;
    pm__summary_fill(s, x, p, f->was);
    s->slots[pm__record_slot_of(s, f->node)] = x;
    s->used++;
    s->bytes += size;
    return pm__list_put(made, &x, 1);
}

/* Puts the children of a node on the stack that have no record and are to have one. False: no memory. */
static bool pm__summary_descend(const pm_summary *s, const pm__summary_frame *f, pm__list *stack,
                                const pm__summary_pair *p) {
    for (unsigned i = 0; i < p->n; i++) {
        const pm__ref c = p->now[i];
        if (!c || p->same[i] >= 0 || pm__summary_is_leaf(c) || pm__record_of(s, c)) continue;
        const pm__record *was = p->prior[i] >= 0 ? f->was->kid[p->prior[i]].u.rec : NULL;
        pm__summary_frame below = {c, was, false};
        if (!pm__list_put(stack, &below, 1)) return false;
    }
    return true;
}

/* Makes all records below a root that there are not, deepest first, and lists them. False: no memory. */
static bool pm__summary_build(pm_summary *s, pm__ref root, pm__list *made) {
    pm__summary_pair *pair = NULL; /* too large for the stack */
    pm__list stack = pm__list_of(sizeof(pm__summary_frame));
    const pm__summary_frame first = {root, s->root, false};
    bool ok = !root || pm__summary_is_leaf(root) || pm__record_of(s, root) || pm__list_put(&stack, &first, 1);
    if (ok && stack.used) {
        pair = (pm__summary_pair *)pm__mem_alloc_big(sizeof *pair);
        ok = pair != NULL;
    }
    while (ok && stack.used) {
        const size_t top = stack.used;
        pm__summary_frame f = *(pm__summary_frame *)pm__list_at(&stack, top - 1);
        if (!f.open && pm__record_of(s, f.node)) { /* by another way */
            stack.used--;
            continue;
        }
        pm__summary_match(pair, &f);
        if (!f.open) {
            ((pm__summary_frame *)pm__list_at(&stack, top - 1))->open = true;
            ok = pm__summary_descend(s, &f, &stack, pair);
            if (!ok || stack.used > top) continue;
        }
        ok = pm__summary_make(s, &f, made, pair);
        stack.used--;
    }
    if (pair) pm__mem_free_big(pair, sizeof *pair);
    pm__list_free(&stack);
    return ok;
}

/* ---- giving records up ------------------------------------------------------------------------------------------ */

/* Gives up one reference to a record, and all that only it leads to. NULL is allowed. */
static void pm__summary_release(pm_summary *s, pm__record *x) {
    if (!x || --x->u.refs) return;
    x->u.next = NULL;
    while (x) {
        pm__record *list = x->u.next;
        for (unsigned i = 0; i < x->n; i++) {
            pm__record *below = x->kid[i].u.rec;
            if (!below || --below->u.refs) continue;
            below->u.next = list;
            list = below;
        }
        pm__record_forget(s, x);
        x = list;
    }
}

/* Undoes what was made, latest first. */
static void pm__summary_undo(pm_summary *s, const pm__list *made) {
    for (size_t i = made->used; i--;) {
        pm__record *x = *(pm__record **)pm__list_at(made, i);
        for (unsigned k = 0; k < x->n; k++) {
            pm__record *below = x->kid[k].u.rec;
            if (below) below->u.refs--;
        }
        pm__record_forget(s, x);
    }
}

static pm_hash128 pm__summary_hash_root(const pm_summary *s, const pm_map *m, const pm__record *root) {
    pm_hash128 h = pm__summary_hash_none();
    if (root) h = *pm__record_hash(root, 0);
    else if (m->root) h = pm__summary_hash_node(s, m->root, NULL);
    return m->has_value ? pm__summary_hash_val(s, h, m->value) : h;
}

/* Goes over to a map, which becomes the summary's. Unless that is PM_OK nothing has changed. */
static pm_status pm__summary_take(pm_summary *s, const pm_map *now) {
    pm__list made = pm__list_of(sizeof(pm__record *));
    pm_status status = pm__summary_build(s, now->root, &made) ? PM_OK : PM_NOMEM;
    pm__record *root = now->root && status == PM_OK ? pm__record_of(s, now->root) : NULL;
    pm_hash128 hash = s->hash;
    if (s->hashed) {
        if (status == PM_OK) hash = pm__summary_hash_root(s, now, root);
        const pm_status failed = pm__val_failed(pm_map_ops(now)); /* also what was told before memory ran out */
        if (failed != PM_OK) status = failed;
    }
    if (status != PM_OK) pm__summary_undo(s, &made);
    pm__list_free(&made);
    if (status != PM_OK) return status;
    pm_map old = s->map;
    if (root) root->u.refs++;
    pm__summary_release(s, s->root);
    s->root = root;
    s->map = *now;
    s->count = pm__sat_add(now->has_value, pm__summary_size(now->root, root));
    s->hash = hash;
    pm_drop(&old);
    return PM_OK;
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
    pm_status status = pm__summary_take(s, &now);
    if (status != PM_OK) {
        pm_drop(&now);
        pm_summary_free(s);
        return status;
    }
    *out = s;
    return PM_OK;
}

PM_API void pm_summary_free(pm_summary *s) {
    if (!s) return;
    for (size_t i = 0; i < s->cap; i++)
        if (s->slots[i]) pm__mem_free_big(s->slots[i], pm__record_size(s, s->slots[i]));
    if (s->slots) pm__mem_free_big(s->slots, s->cap * sizeof *s->slots);
    pm_drop(&s->map);
    pm__mem_free_big(s, sizeof *s);
}

PM_API pm_status pm_summary_refresh(pm_summary *s, const pm_map *m) {
    if (!s || pm__map_bad(m, NULL, 0)) return PM_INVALID;
    if (pm_map_ops(m) != pm_map_ops(&s->map)) return PM_MISMATCH;
    pm_map now = pm_clone(m);
    pm_status status = pm__summary_take(s, &now);
    if (status != PM_OK) pm_drop(&now);
    return status;
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
