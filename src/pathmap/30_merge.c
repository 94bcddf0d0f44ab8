/* Algebra of two tries: join, meet, subtract, restrict and symmetric difference, on what lies below two places.

   The two sides are walked together, a pair of places at a time: a place that both have, and what lies below it on
   either side. The result for a pair says which sides the result equals, and only if neither, the node made for it. So
   whatever did not change is shared, and a result that equals an operand is that operand.

   A pair whose sides are nodes (or runs of entries of a line) is opened into a frame on a stack of our own; frames wait
   for the pairs inside them, so depth costs no C stack. There are three kinds:

     select  meet, subtract: two lines that have the same bytes of prefix ahead, or none: nearly all pairs. What stays
             are entries of the left one, told by their numbers. If neither has children no frame is needed.
     lists   other lines and operations, or a line and the bytes of a byte node that it names (not where both sides
             stay): both as sorted lists of entries, merged in one pass.
     bytes   all else: the masks of both sides are combined word by word, and only bytes that lead on in both make
             pairs.

   In lines and lists a child of one side meets the run of the other's entries below it. Results stay spelled out in one
   list, from which nodes are built as for any list.

   Equal nodes on both sides are not opened if the values are idempotent. Pairs of shared nodes are remembered: what
   they give depends on their contents only, so this is right for any values, and a trie of 2^80 paths in a kilobyte is
   combined in microseconds.

   Joins and meets of n maps are the same: a pair may have more than two places (36_merge_unite.c, 37_merge_masks.c).

   This part has the frames and the values; 32 makes nodes of lists; 33 to 37 have the frames of each kind, 38 the walk
   that ties them together; 44 goes another way where the right side is small.

   Operands are only read.

   Failure (no memory, or a value hook that returns what it must not) takes the frames down and gives back whatever they
   had made. */
#include "14_memo.c"
#include "26_place.c"

typedef enum pm__merge_op {
    PM__MERGE_JOIN,
    PM__MERGE_MEET,
    PM__MERGE_SUB,
    PM__MERGE_RESTRICT,
    PM__MERGE_DIFFER
} pm__merge_op;

/* Whether what only the left side has stays. */
static PM__INLINE bool pm__merge_keeps_left(pm__merge_op op) {
    return op != PM__MERGE_MEET && op != PM__MERGE_RESTRICT;
}

/* Whether what only one side has stays, whichever that is. */
static PM__INLINE bool pm__merge_unites(pm__merge_op op) { return op == PM__MERGE_JOIN || op == PM__MERGE_DIFFER; }

/* Whether what is the same on both sides goes. */
static PM__INLINE bool pm__merge_cancels(pm__merge_op op) { return op == PM__MERGE_SUB || op == PM__MERGE_DIFFER; }

enum {
    PM__MERGE_WAITS = 8, /* beside the values of pm_alg: the result of a pair is not known yet */
    PM__MERGE_PICK = 12, /* and: a few entries of the left side's line stay, as the bits of `ref` say; no node yet */
    PM__MERGE_LIST = 2 * PM__LINE_ENTRIES,
    PM__MERGE_AHEAD = 4, /* pairs whose nodes are prefetched before their turn */
    PM__MERGE_CHUNK = PM_NO_MALLOC ? 1 << 11 : 1 << 16 /* lent memory is small */
};

/* A pair: a location of both sides (or, with the result given beforehand, of one), or of more than two. The result is
   LEFT and RIGHT bits, or PM_ALG_NONE for nothing, or PM_ALG_ELEMENT for `ref`, owned; or PM__MERGE_PICK. */
typedef struct pm__merge_pair {
    pm_place a, b;
    pm_place *many;  /* n > 2, in place of a and b: where the sides have anything there, in their order */
    pm__ref ref;
    unsigned n;
    uint16_t at;     /* lists: first entry that stands for the pair; bytes: the byte */
    uint16_t len;    /* not of bytes: suffix length of the location */
    uint8_t alg;
    uint8_t count;   /* lists: how many entries do; select: how many of A's */
    uint8_t spelled; /* lists: whose entries they are, PM_ALG_LEFT or PM_ALG_RIGHT; 0: a stand-in */
    uint8_t from_a;  /* select: A's first entry */
    bool dangles;    /* bytes: the location stays even with nothing below and no value */
} pm__merge_pair;

typedef struct pm__merge_frame {
    struct pm__merge_frame *up;
    void *base;            /* where what goes with the frame begins on the stack */
    const pm_place *sides; /* of more than two sides: their places, entered */
    size_t nsides;
    pm__merge_pair *pairs;
    unsigned npairs, next;
    bool same_a, same_b;     /* so far the result equals that side */
    bool shared_a, shared_b; /* this node, or one above it on that side, has several owners */
    bool remember, bytes;
    bool as_list; /* bytes: what stays was in a line, and is to be in one */
    uint64_t id_a, id_b;
    /* lists: entries that stay, and stand-ins of pairs, under a common prefix */
    pm__ent *ents;
    unsigned nents;
    const pm__line *twin; /* or, not listed yet: entries of this line, as the bits say */
    uint32_t twin_stays;
    const uint8_t *prefix;
    size_t plen;
    struct pm__select_kept *select; /* what stays; else NULL */
    /* bytes: the values of the result */
    pm_mask vm, fresh;
    pm_val *vals;
} pm__merge_frame;

/* The root of a node that need not be looked at yet: the visit fills in its entries. */
static PM__INLINE pm_place pm__merge_root(pm__ref r) {
    pm_place p = {r, 0, 0, 0, 0, 0};
    return p;
}

typedef struct pm__merge_chunk {
    struct pm__merge_chunk *under;
    size_t used, cap;
    uint64_t data[];
} pm__merge_chunk;

typedef struct pm__merge_run {
    const pm__cx *cx;
    pm__merge_op op;
    bool idempotent;
    pm_status status;
    pm__merge_frame *top;
    pm__merge_chunk *chunk, *spare;
    pm__memo known; /* (place, place) to result */
    pm__memo ids;   /* (node, position) to a number that stands for a place inside a node */
    pm__ref full;   /* a full tip that has been made; 0: none yet. One of its references is ours */
} pm__merge_run;

typedef struct pm__merge_answer {
    uint8_t alg;
    pm__ref ref;
} pm__merge_answer;

typedef enum pm__merge_step {
    PM__MERGE_DONE,
    PM__MERGE_OPENED,
    PM__MERGE_FAILED,
    PM__MERGE_NARROWED /* no more than two places are left */
} pm__merge_step;

/* ---- memory of frames ---------------------------------------------------------------------------------------- */

/* Allocates on top of the frame stack; addresses last until the frame is closed. NULL: no memory. */
static void *pm__merge_alloc(pm__merge_run *q, size_t size) {
    size = (size + 15) & ~(size_t)15;
    if (!q->chunk || q->chunk->cap - q->chunk->used < size) {
        pm__merge_chunk *c = q->spare;
        size_t cap = size > PM__MERGE_CHUNK ? size : PM__MERGE_CHUNK;
        if (c && c->cap >= size) {
            q->spare = NULL;
        } else {
            c = (pm__merge_chunk *)pm__mem_alloc_big(sizeof *c + cap);
            if (!c) return NULL;
            c->cap = cap;
        }
        c->used = 0;
        c->under = q->chunk;
        q->chunk = c;
    }
    void *p = (char *)q->chunk->data + q->chunk->used;
    q->chunk->used += size;
    return p;
}

static void pm__merge_chunk_free(pm__merge_chunk *c) {
    if (c) pm__mem_free_big(c, sizeof *c + c->cap);
}

/* Gives back an allocation, and all that came after it. */
static void pm__merge_rewind(pm__merge_run *q, const void *to) {
    for (;;) {
        pm__merge_chunk *c = q->chunk;
        size_t used = (size_t)((uintptr_t)to - (uintptr_t)c->data);
        bool inside = used < c->used;
        c->used = inside ? used : 0;
        if (c->used) return;
        q->chunk = c->under;
        if (q->spare && q->spare->cap >= c->cap) {
            pm__merge_chunk_free(c);
        } else {
            pm__merge_chunk_free(q->spare);
            q->spare = c;
        }
        if (inside) return;
    }
}

/* Takes the top frame off, with all that was allocated since. */
static void pm__merge_pop(pm__merge_run *q) {
    pm__merge_frame *f = q->top;
    q->top = f->up;
    pm__merge_rewind(q, f->base);
}

/* A frame with room for so many pairs, entries or values, and bytes; all in one piece, so that popping is simple. */
static pm__merge_frame *pm__merge_push(pm__merge_run *q, unsigned npairs, unsigned nents, unsigned nvals,
                                       size_t bytes) {
    size_t size = sizeof(pm__merge_frame) + npairs * sizeof(pm__merge_pair) + nents * sizeof(pm__ent) +
                  nvals * sizeof(pm_val) + bytes;
    pm__merge_frame *f = (pm__merge_frame *)pm__merge_alloc(q, size);
    if (!f) return NULL;
    f->up = q->top;
    f->base = f;
    f->sides = NULL;
    f->nsides = 2;
    f->pairs = (pm__merge_pair *)(void *)(f + 1);
    f->ents = (pm__ent *)(void *)(f->pairs + npairs);
    f->vals = (pm_val *)(void *)(f->ents + nents);
    f->npairs = f->next = f->nents = 0;
    f->same_a = true;
    f->same_b = q->op != PM__MERGE_RESTRICT; /* the right side's values do not show in the result */
    f->remember = f->bytes = f->as_list = false;
    f->shared_a = f->shared_b = false;
    f->prefix = NULL;
    f->select = NULL;
    f->twin = NULL;
    f->plen = 0;
    q->top = f;
    return f;
}

/* Adds a pair to the top frame, which has room for it. */
static PM__INLINE pm__merge_pair *pm__merge_pair_add(pm__merge_frame *f, pm_place a, pm_place b) {
    pm__merge_pair *p = &f->pairs[f->npairs++];
    p->a = a;
    p->b = b;
    p->ref = 0;
    p->n = 2;
    p->alg = PM__MERGE_WAITS;
    return p;
}

/* ---- values -------------------------------------------------------------------------------------------------- */

typedef struct pm__merge_val {
    pm_val val;
    uint8_t alg; /* LEFT and RIGHT bits: which side's value (or lack of one) the result equals */
    bool some, fresh;
} pm__merge_val;

/* Completes the result of a hook: hooks may leave identity bits out, results never do. */
static void pm__merge_settle(const pm__cx *cx, pm_val a, pm_val b, pm__merge_val *r) {
    const pm_ops *ops = cx->ops;
    if (r->alg == PM_ALG_ELEMENT) {
        pm_val made = r->val;
        r->alg = (uint8_t)((pm__val_equal(ops, made, a) ? PM_ALG_LEFT : 0) |
                           (pm__val_equal(ops, made, b) ? PM_ALG_RIGHT : 0));
        r->fresh = r->alg == 0;
        if (r->fresh) return;
        if (!cx->plain) pm__val_release(ops, made);
    } else if (r->alg != PM_ALG_BOTH && pm__val_equal(ops, a, b)) {
        r->alg = PM_ALG_BOTH;
    }
    r->val = (r->alg & PM_ALG_LEFT) ? a : b;
}

static void pm__merge_val_drop(const pm__cx *cx, const pm__merge_val *v) {
    if (v->some && v->fresh && !cx->plain) pm__val_release(cx->ops, v->val);
}

/* What the hook leaves of x without y, as it says it. False: the hook is wrong. */
static bool pm__merge_remnant(const pm__cx *cx, pm_val x, pm_val y, pm__merge_val *r) {
    r->val = 0;
    r->alg = (uint8_t)pm__val_subtract(cx->ops, x, y, &r->val);
    r->some = r->alg != PM_ALG_NONE && r->alg <= PM_ALG_ELEMENT;
    r->fresh = r->alg == PM_ALG_ELEMENT;
    if (r->some && !r->fresh) r->val = (r->alg & PM_ALG_LEFT) ? x : y;
    return r->alg <= PM_ALG_ELEMENT;
}

/* The symmetric difference of two values: what each leaves of the other, joined. False: a hook is wrong. */
static PM__NOINLINE bool pm__merge_combine_remnants(const pm__cx *cx, pm_val a, pm_val b, pm__merge_val *r) {
    pm__merge_val x, y = {0, 0, false, false}, made = {0, PM_ALG_ELEMENT, true, true};
    unsigned alg = PM_ALG_LEFT;
    bool ok = pm__merge_remnant(cx, a, b, &x) && pm__merge_remnant(cx, b, a, &y);
    y.alg = (uint8_t)(y.fresh ? PM_ALG_ELEMENT : (y.alg & PM_ALG_LEFT) << 1 | (y.alg & PM_ALG_RIGHT) >> 1);
    if (ok && x.some && y.some) {
        alg = pm__val_join(cx->ops, x.val, y.val, &made.val);
        ok = alg != PM_ALG_NONE && alg <= PM_ALG_ELEMENT;
    } else if (!x.some) {
        alg = PM_ALG_RIGHT;
    }
    const pm__merge_val *from = alg == PM_ALG_ELEMENT ? &made : (alg & PM_ALG_LEFT) ? &x : &y;
    if (!ok || from != &x) pm__merge_val_drop(cx, &x);
    if (!ok || from != &y) pm__merge_val_drop(cx, &y);
    *r = *from;
    return ok;
}

/* Combines two values that are both there (not for restrict). False: the hook is wrong. */
static bool pm__merge_combine(pm__merge_run *q, pm_val a, pm_val b, pm__merge_val *r) {
    const pm_ops *ops = q->cx->ops;
    pm_alg alg;
    r->val = 0;
    r->fresh = false;
    r->some = true;
    if (q->cx->unit) {
        r->some = !pm__merge_cancels(q->op);
        r->alg = r->some ? PM_ALG_BOTH : PM_ALG_NONE;
        return true;
    }
    if (q->op == PM__MERGE_DIFFER) {
        if (!pm__merge_combine_remnants(q->cx, a, b, r)) return false;
        r->fresh = false;
        if (r->some) pm__merge_settle(q->cx, a, b, r);
        return true;
    }
    if (q->op == PM__MERGE_JOIN) alg = pm__val_join(ops, a, b, &r->val);
    else if (q->op == PM__MERGE_MEET) alg = pm__val_meet(ops, a, b, &r->val);
    else alg = pm__val_subtract(ops, a, b, &r->val);
    r->alg = (uint8_t)alg;
    if (alg == PM_ALG_NONE) {
        r->some = false;
        return q->op != PM__MERGE_JOIN;
    }
    if ((unsigned)alg > PM_ALG_ELEMENT) return false;
    pm__merge_settle(q->cx, a, b, r);
    return true;
}

/* The value at a location; NULL where a side has none. False: the hook is wrong, or failed; q->status tells. */
PM__UNUSED static bool pm__merge_value(pm__merge_run *q, const pm_val *a, const pm_val *b, pm__merge_val *r) {
    if (a && b) {
        bool ok = pm__merge_combine(q, *a, *b, r);
        pm_status s = pm__val_failed(q->cx->ops);
        if (ok && s == PM_OK) return true;
        if (ok) pm__merge_val_drop(q->cx, r);
        q->status = s == PM_OK ? PM_BADHOOK : s;
        return false;
    }
    r->fresh = false;
    r->alg = a ? PM_ALG_LEFT : b ? PM_ALG_RIGHT : PM_ALG_BOTH;
    if (q->op == PM__MERGE_MEET) r->alg = (uint8_t)(a ? PM_ALG_RIGHT : b ? PM_ALG_LEFT : PM_ALG_BOTH);
    if (q->op == PM__MERGE_SUB && b) r->alg = PM_ALG_LEFT;
    r->some = (q->op != PM__MERGE_MEET && a) || (pm__merge_unites(q->op) && b);
    r->val = r->some ? a ? *a : *b : 0;
    return true;
}

/* What the values of some sides come to. */
typedef struct pm__merge_sum {
    pm_val val;
    bool some, fresh;
} pm__merge_sum;

/* Adds the next side's value to what there is. False: a hook is wrong, and nothing is left. */
PM__UNUSED static bool pm__merge_sum_add(pm__merge_run *q, pm__merge_sum *sum, pm_val w) {
    pm__merge_val r;
    if (sum->val == w && q->idempotent) return true;
    bool ok = pm__merge_value(q, &sum->val, &w, &r), stays = ok && r.some && !r.fresh && (r.alg & PM_ALG_LEFT);
    if (sum->fresh && !stays) pm__pay_release(q->cx, false, sum->val);
    sum->some = ok && r.some;
    sum->fresh = ok && (r.fresh || (sum->fresh && stays));
    if (ok) sum->val = r.val;
    return ok;
}
