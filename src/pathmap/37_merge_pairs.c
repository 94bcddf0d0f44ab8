/* The walk over pairs: decides those that need no look inside, remembers those of shared nodes, opens and closes
   frames. */
#include "36_merge_masks.c"

/* ---- the walk ------------------------------------------------------------------------------------------------ */

/* A number for a place, equal only for equal places. 0: no memory. */
static uint64_t pm__pairs_place_id(pm__merge_run *q, const pm_place *p) {
    uint64_t position = (uint64_t)p->depth << 16 | (uint64_t)p->lo << 8 | p->hi;
    if (p->depth == 0) return p->node;
    const uint64_t *known = pm__memo_get(&q->ids, p->node, position);
    if (known) return *known;
    uint64_t id = 2 * q->ids.used + 1; /* odd: no reference is */
    return pm__memo_put(&q->ids, p->node, position, id) ? id : 0;
}

/* The results that need no look inside. True if it is one. Both places are entered; `some` says where anything lies. */
static bool pm__pairs_plain(const pm__merge_run *q, const pm_place *a, bool some_a, const pm_place *b, bool some_b,
                            pm__merge_answer *out) {
    out->ref = 0;
    if (!some_a && !some_b) {
        out->alg = PM_ALG_BOTH;
        return true;
    }
    if (!some_a || !some_b) {
        bool right = pm__merge_unites(q->op) ? !some_a : q->op == PM__MERGE_SUB ? false : some_a;
        out->alg = right ? PM_ALG_RIGHT : PM_ALG_LEFT;
        return true;
    }
    if (!q->idempotent || q->op == PM__MERGE_RESTRICT) return false;
    if (a->node != b->node || a->depth != b->depth || a->lo != b->lo || a->hi != b->hi) return false;
    out->alg = pm__merge_cancels(q->op) ? PM_ALG_NONE : PM_ALG_BOTH;
    return true;
}

/* What two places, entered, have ahead of them. */
typedef enum pm__pairs_ahead_of {
    PM__PAIRS_ABREAST, /* two lines with the same bytes of prefix ahead, or none */
    PM__PAIRS_APART,   /* two lines, whose bytes differ: nothing below is on both sides */
    PM__PAIRS_UNEVEN   /* anything else */
} pm__pairs_ahead_of;

static PM__INLINE pm__pairs_ahead_of pm__pairs_compare_ahead(const pm_place *a, const pm_place *b) {
    const uint8_t *pa = NULL, *pb = NULL;
    if (!pm__place_in_line(a) || !pm__place_in_line(b)) return PM__PAIRS_UNEVEN;
    size_t na = pm__result_ahead(a, &pa), nb = pm__result_ahead(b, &pb), min = na < nb ? na : nb;
    if (min && memcmp(pa, pb, min) != 0) return PM__PAIRS_APART;
    return na == nb ? PM__PAIRS_ABREAST : PM__PAIRS_UNEVEN;
}

/* Opens a pair as the kind of frame that suits it. */
static bool pm__pairs_open(pm__merge_run *q, const pm_place *a, const pm_place *b, pm__pairs_ahead_of ahead) {
    bool line_a = pm__place_in_line(a), line_b = pm__place_in_line(b);
    if (line_a && line_b) {
        if ((q->op != PM__MERGE_MEET && q->op != PM__MERGE_SUB) || ahead != PM__PAIRS_ABREAST)
            return pm__lists_open(q, a, b);
        return pm__select_open(q, a, b);
    }
    if (pm__merge_unites(q->op) || (!line_a && !line_b)) return pm__masks_open(q, a, b);
    return line_a || q->op == PM__MERGE_MEET ? pm__lists_open(q, a, b) : pm__masks_open(q, a, b);
}

/* Whether two lines abreast lead nowhere and hold the same, word by word. */
static PM__INLINE bool pm__pairs_leaves_equal(const pm_place *a, const pm_place *b) {
    const pm__line *x = pm__place_line(a), *y = pm__place_line(b);
    if (x->cmask || x->n != y->n || !pm__select_are_twins(a, b)) return false;
    unsigned n = pm__line_pay_count(x);
    return !n || memcmp(pm__line_pay_at(x, n - 1), pm__line_pay_at(y, n - 1), 8u * n) == 0;
}

/* Answers a pair of lines abreast without children, of meet or subtract. */
static pm__merge_step pm__pairs_visit_leaves(pm__merge_run *q, const pm_place *a, const pm_place *b,
                                             pm__merge_answer *out) {
    const pm__merge_frame *up = q->top && q->top->select ? q->top : NULL;
    pm__select_target to = {NULL, 0, up != NULL, up && a->depth && a->node == up->select->a.node};
    return pm__select_leaves(q, a, b, &to, out) ? PM__MERGE_DONE : PM__MERGE_FAILED;
}

/* Answers a pair at once, or opens a frame for it. */
static pm__merge_step pm__pairs_visit(pm__merge_run *q, const pm_place *pa, const pm_place *pb, pm__merge_answer *out) {
    pm_place a = *pa, b = *pb;
    bool some_a = pm__result_enter(&a), some_b = pm__result_enter(&b);
    if (pm__pairs_plain(q, &a, some_a, &b, some_b, out)) return PM__MERGE_DONE;
    pm__result_look(&a);
    pm__result_look(&b);
    pm__pairs_ahead_of ahead = pm__pairs_compare_ahead(&a, &b);
    if (ahead == PM__PAIRS_APART && !pm__merge_unites(q->op)) {
        out->alg = q->op == PM__MERGE_SUB ? PM_ALG_LEFT : PM_ALG_NONE;
        return PM__MERGE_DONE;
    }
    if (ahead == PM__PAIRS_ABREAST && q->idempotent && q->op != PM__MERGE_RESTRICT && pm__pairs_leaves_equal(&a, &b)) {
        out->alg = pm__merge_cancels(q->op) ? PM_ALG_NONE : PM_ALG_BOTH;
        return PM__MERGE_DONE;
    }
    bool own_a = !pm__ref_is_unique(a.node), own_b = !pm__ref_is_unique(b.node);
    bool shared_a = own_a || (q->top && q->top->shared_a), shared_b = own_b || (q->top && q->top->shared_b);
    bool remember = shared_a && shared_b && (own_a || own_b) && q->top;
    uint64_t id_a = 0, id_b = 0;
    if (remember) {
        id_a = pm__pairs_place_id(q, &a);
        id_b = pm__pairs_place_id(q, &b);
        if (!id_a || !id_b) {
            q->status = PM_NOMEM;
            return PM__MERGE_FAILED;
        }
        const uint64_t *known = pm__memo_get(&q->known, id_a, id_b);
        if (known) {
            out->alg = (uint8_t)(*known < PM_ALG_ELEMENT ? *known : PM_ALG_ELEMENT);
            out->ref = *known < PM_ALG_ELEMENT ? 0 : *known;
            pm__ref_retain(out->ref);
            return PM__MERGE_DONE;
        }
    } else if (ahead == PM__PAIRS_ABREAST && (q->op == PM__MERGE_MEET || q->op == PM__MERGE_SUB) &&
               pm__select_is_leaf(&a) && pm__select_is_leaf(&b)) {
        return pm__pairs_visit_leaves(q, &a, &b, out);
    }
    if (!pm__pairs_open(q, &a, &b, ahead)) return PM__MERGE_FAILED;
    pm__merge_frame *f = q->top;
    f->shared_a = shared_a;
    f->shared_b = shared_b;
    f->remember = remember;
    f->id_a = id_a;
    f->id_b = id_b;
    return PM__MERGE_OPENED;
}

/* Gives up what an unfinished frame had made. */
static void pm__pairs_abandon(pm__merge_run *q) {
    pm__merge_frame *f = q->top;
    for (unsigned i = 0; i < f->npairs; i++)
        if (f->pairs[i].alg == PM_ALG_ELEMENT) pm__any_release(q->cx, f->pairs[i].ref);
    for (unsigned i = 0; i < f->nents; i++)
        if (f->ents[i].fresh) pm__pay_release(q->cx, f->ents[i].child, f->ents[i].pay);
    unsigned k = 0;
    for (uint32_t m = f->select ? f->select->fresh : 0; m; m &= m - 1)
        pm__pay_release(q->cx, false, f->select->val[pm__ctz32(m)]);
    if (f->bytes)
        for (int c = pm_mask_next(&f->vm, 0); c >= 0; c = pm_mask_next(&f->vm, c + 1), k++)
            if (pm_mask_test(&f->fresh, (uint8_t)c)) pm__pay_release(q->cx, false, f->vals[k]);
    pm__merge_pop(q);
}

/* What shrinks leaves no chains of small nodes behind. A result goes on to share what did not change, unless it is
   tiny. */
static void pm__pairs_gather_small(pm__merge_run *q, pm__ref *r) {
    while (pm__build_gather(q->cx, r, PM__GATHER_TINY)) {}
}

/* Closes the top frame, all its pairs being decided. False: see q->status; the frame stays. */
static bool pm__pairs_close(pm__merge_run *q, pm__merge_answer *out) {
    pm__merge_frame *f = q->top;
    bool remember = f->remember, pick = !remember && f->up && f->up->select;
    bool ok = f->select  ? pm__select_close(q, f, pick, out)
              : f->bytes ? pm__masks_close(q, f, out)
                         : pm__lists_close(q, f, out);
    if (!ok) return false;
    if (out->alg == PM_ALG_ELEMENT && q->op != PM__MERGE_JOIN) pm__pairs_gather_small(q, &out->ref);
    uint64_t id_a = f->id_a, id_b = f->id_b;
    pm__merge_pop(q);
    if (!remember) return true;
    if (!pm__memo_put(&q->known, id_a, id_b, out->alg == PM_ALG_ELEMENT ? out->ref : out->alg)) {
        if (out->alg == PM_ALG_ELEMENT) pm__any_release(q->cx, out->ref);
        q->status = PM_NOMEM;
        return false;
    }
    pm__ref_retain(out->ref); /* the memo's */
    return true;
}

/* Asks for the nodes of a pair that comes up. */
static PM__INLINE void pm__pairs_ask(const pm__merge_frame *f, unsigned i) {
    if (i >= f->npairs || f->pairs[i].alg != PM__MERGE_WAITS) return;
    if (f->pairs[i].a.node) pm__ref_prefetch(f->pairs[i].a.node);
    if (f->pairs[i].b.node) pm__ref_prefetch(f->pairs[i].b.node);
}

static bool pm__pairs_walk(pm__merge_run *q, const pm_place *a, const pm_place *b, pm__merge_answer *out) {
    pm__merge_step step = pm__pairs_visit(q, a, b, out);
    while (step != PM__MERGE_FAILED && q->top) {
        pm__merge_frame *f = q->top;
        if (step == PM__MERGE_DONE && f->next < f->npairs) { /* a result for this frame */
            f->pairs[f->next].alg = out->alg;
            f->pairs[f->next].ref = out->ref;
        }
        while (f->next < f->npairs && f->pairs[f->next].alg != PM__MERGE_WAITS) f->next++;
        if (f->next < f->npairs) {
            bool asked = f->select != NULL; /* as they made the pairs */
            if (step == PM__MERGE_OPENED && !asked)
                for (unsigned i = 0; i + 1 < PM__MERGE_AHEAD; i++) pm__pairs_ask(f, f->next + i);
            if (step != PM__MERGE_OPENED || !asked) pm__pairs_ask(f, f->next + PM__MERGE_AHEAD - 1);
            const pm__merge_pair *p = &f->pairs[f->next];
            step = pm__pairs_visit(q, &p->a, &p->b, out);
        } else {
            step = pm__pairs_close(q, out) ? PM__MERGE_DONE : PM__MERGE_FAILED;
        }
    }
    while (q->top) pm__pairs_abandon(q);
    return step != PM__MERGE_FAILED;
}

/* Forgets what has been seen: nodes may go. */
static void pm__pairs_forget(pm__merge_run *q) {
    for (size_t i = 0; i < q->known.cap; i++)
        if (q->known.slots[i].a && q->known.slots[i].val > PM_ALG_ELEMENT)
            pm__any_release(q->cx, q->known.slots[i].val);
    pm__memo_free(&q->known);
    pm__memo_free(&q->ids);
}

/* Combines what lies strictly below two places. *out: which sides the result equals, or PM_ALG_NONE (nothing is left,
   and neither side is empty), or PM_ALG_ELEMENT with a reference that the caller then owns.
   PM_NOMEM, PM_BADHOOK: nothing happened. */
PM__UNUSED static pm_status pm__pairs_run(const pm__cx *cx, pm__merge_op op, const pm_place *a, const pm_place *b,
                                          pm__merge_answer *out) {
    pm__merge_run q;
    memset(&q, 0, sizeof q);
    q.cx = cx;
    q.op = op;
    q.idempotent = cx->unit || (cx->ops->flags & PM_OPS_IDEMPOTENT) != 0;
    q.status = PM_OK;
    bool ok = pm__pairs_walk(&q, a, b, out);
    pm__pairs_forget(&q);
    pm__merge_chunk_free(q.spare);
    return ok ? PM_OK : q.status;
}
