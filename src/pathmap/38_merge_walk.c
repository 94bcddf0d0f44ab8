/* The walk: decides pairs that need no look inside, remembers those of shared nodes, opens and closes frames.

   A pair of more than two places is opened into one frame, too: a join of lines that have few entries together as one
   list (36_merge_unite.c), anything else by masks. Sides that are one place count once if values are idempotent. Lines
   without children are met at once, without a frame. Other lines that are met, and shared nodes below the root, are
   combined two by two: the first since little is soon left, the latter since pairs are remembered. A join takes them in
   rounds; hooks are taken to be associative. */
#include "37_merge_masks.c"

/* ---- pairs ------------------------------------------------------------------------------------------------------- */

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
    if (pm__place_in_range(a) || pm__place_in_range(b)) {
        const bool parts = pm__lists_has_parts(a) && pm__lists_has_parts(b);
        return parts ? pm__lists_open_parts(q, a, b) : pm__masks_open(q, a, b);
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

/* Decides a pair of lines abreast without children, of meet or subtract. */
static pm__merge_step pm__pairs_visit_leaves(pm__merge_run *q, const pm_place *a, const pm_place *b,
                                             pm__merge_answer *out) {
    const pm__merge_frame *up = q->top && q->top->select ? q->top : NULL;
    pm__select_target to = {NULL, 0, up != NULL, up && a->depth && a->node == up->select->a.node};
    return pm__select_leaves(q, a, b, &to, out) ? PM__MERGE_DONE : PM__MERGE_FAILED;
}

/* Whether a place is the root of a range node of which a part has other owners. */
static PM__INLINE bool pm__pairs_shares_parts(const pm_place *p) {
    if (PM__LIKELY(!pm__place_in_range(p))) return false;
    const pm__line *x = pm__place_line(p);
    for (unsigned i = 0; i < x->n; i++)
        if (!pm__ref_is_unique(*pm__line_part_at(x, i))) return true;
    return false;
}

/* Decides a pair at once, or opens a frame for it. */
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
    if (!remember && q->cx->unit && pm__tips_is(&a) && pm__tips_is(&b)) {
        pm_mask m;
        return pm__tips_decide(q, &a, &b, &m, out) || pm__tips_make(q, &m, out) ? PM__MERGE_DONE : PM__MERGE_FAILED;
    }
    if (!pm__pairs_open(q, &a, &b, ahead)) return PM__MERGE_FAILED;
    pm__merge_frame *f = q->top;
    f->shared_a = shared_a || pm__pairs_shares_parts(&a);
    f->shared_b = shared_b || pm__pairs_shares_parts(&b);
    f->remember = remember;
    f->id_a = id_a;
    f->id_b = id_b;
    if (q->cx->unit && f->bytes && !pm__tips_settle(q, f)) return PM__MERGE_FAILED;
    return PM__MERGE_OPENED;
}

/* ---- more than two sides ----------------------------------------------------------------------------------------- */

static pm_status pm__pairs_run_with(pm__merge_run *q, const pm_place *a, const pm_place *b, pm__merge_answer *out);

/* Gives what lies below a place, as a reference of its own. */
static pm__merge_step pm__many_share(pm__merge_run *q, const pm_place *p, pm__merge_answer *out) {
    if (!pm__place_share(q->cx, p, &out->ref)) {
        q->status = PM_NOMEM;
        return PM__MERGE_FAILED;
    }
    out->alg = out->ref ? PM_ALG_ELEMENT : PM_ALG_NONE;
    return PM__MERGE_DONE;
}

/* Combines the two places on top of a stack of k, by a walk of its own, in which no pair has more than two places: so
   this is never inside itself. Those in `owned` are results, and given up. False: see q->status. */
static bool pm__many_fold(pm__merge_run *q, pm_place *p, size_t k, uint64_t *owned) {
    pm__merge_answer r;
    pm__merge_run own; /* what it remembers are nodes that may go */
    memset(&own, 0, sizeof own);
    own.cx = q->cx;
    own.op = q->op;
    own.idempotent = q->idempotent;
    own.spare = q->spare;
    q->status = pm__pairs_run_with(&own, &p[k - 2], &p[k - 1], &r);
    q->spare = own.spare;
    if (q->status != PM_OK) return false;
    const pm_place *same = &p[k - ((r.alg & PM_ALG_LEFT) ? 2 : 1)];
    if (r.alg && r.alg < PM_ALG_ELEMENT && pm__many_share(q, same, &r) != PM__MERGE_DONE) return false;
    for (size_t i = k - 2; i < k; i++)
        if (*owned >> i & 1) pm__any_release(q->cx, p[i].node);
    p[k - 2] = pm__place_root(r.ref);
    *owned = (*owned & ~((uint64_t)3 << (k - 2))) | (uint64_t)1 << (k - 2);
    return true;
}

/* Combines n > 1 places two by two: as in rounds, or, in a meet, what is left with the next. Overwrites the list. */
static pm__merge_step pm__many_pairs(pm__merge_run *q, pm_place *p, size_t n, pm__merge_answer *out) {
    bool ok = true;
    uint64_t owned = 0;
    size_t k = 0;
    for (size_t i = 0; i < n && ok; i++) {
        p[k++] = p[i];
        bool rounds = q->op != PM__MERGE_MEET && i + 1 < n;
        size_t end = k - (rounds ? pm__ctz64(i + 1) : k - 1);
        for (; k > end && ok; k -= ok) ok = pm__many_fold(q, p, k, &owned);
        if (!rounds && k == 1 && i && !p[0].node) break;
    }
    out->ref = p[0].node;
    out->alg = out->ref ? PM_ALG_ELEMENT : PM_ALG_NONE;
    while (!ok && k--)
        if (owned >> k & 1) pm__any_release(q->cx, p[k].node);
    return ok ? PM__MERGE_DONE : PM__MERGE_FAILED;
}

/* ---- more than two sides: leaves --------------------------------------------------------------------------------- */

/* What is left of the first side's entries. */
typedef struct pm__many_leaves {
    pm__select_kept s; /* s.keep: those that all sides so far have; s.val: what their values come to */
    pm__select_index index;
} pm__many_leaves;

/* Meets what is left with the next side. False: a hook is wrong. */
static bool pm__many_leaves_next(pm__merge_run *q, pm__many_leaves *l, const pm_place *p) {
    pm__select_kept *s = &l->s;
    pm__select_row b;
    pm__merge_val r;
    uint32_t got = 0;
    unsigned off = pm__select_row_begin(&b, p);
    for (unsigned j = 0; j < b.n; off += b.lens[j++]) {
        uint8_t c = b.cut ? (b.cut_first[j] = b.heap[off - 1]) : b.first[j];
        uint32_t some = s->keep & ~got;
        b.off[j] = (uint16_t)off;
        if (j == 0 && b.e) some &= (uint32_t)s->a.e;
        else
            some &= ~(uint32_t)s->a.e &
                    pm__select_index_find(&l->index, pm__select_hash(c, b.heap + off, b.lens[j] - b.cut));
        while (some && !(j == 0 && b.e) && !pm__select_row_same(&s->a, pm__ctz32(some), &b, j)) some &= some - 1;
        if (!some) continue;
        unsigned i = pm__ctz32(some);
        uint32_t bit = some & (0 - some);
        pm_val x = s->val[i], y = pm__select_row_val(&b, j);
        got |= bit;
        if (x == y && q->idempotent) continue;
        bool ok = pm__merge_value(q, &x, &y, &r), stays = ok && r.some && !r.fresh && (r.alg & PM_ALG_LEFT);
        if (stays) continue;
        if (s->fresh & bit) pm__pay_release(q->cx, false, x);
        s->fresh &= ~bit;
        if (!ok) return false;
        if (!r.some) got &= ~bit, s->keep &= ~bit;
        s->val[i] = r.val;
        s->over |= bit;
        if (r.fresh) s->fresh |= bit;
    }
    for (uint32_t gone = s->fresh & ~got; gone; gone &= gone - 1)
        pm__pay_release(q->cx, false, s->val[pm__ctz32(gone)]);
    s->keep = got;
    s->fresh &= got;
    s->over &= got;
    return true;
}

/* Whether what is left is all that a side has. */
static bool pm__many_leaves_equal(const pm__many_leaves *l, const pm_place *p) {
    pm__select_row r;
    unsigned j = 0;
    if ((unsigned)(p->hi - p->lo) != pm__popcount32(l->s.keep)) return false;
    pm__select_row_fill(&r, p);
    for (uint32_t k = l->s.keep; k; k &= k - 1, j++)
        if (l->s.val[pm__ctz32(k)] != pm__select_row_val(&r, j)) return false;
    return r.n == j;
}

/* Meets lines that lead nowhere and have the same bytes ahead: the first is held against each other one. */
static pm__merge_step pm__many_meet_leaves(pm__merge_run *q, const pm_place *p, size_t n, pm__merge_answer *out) {
    pm__many_leaves l;
    pm__select_hashes h;
    const uint8_t *prefix = NULL;
    bool ok = true;
    size_t plen = pm__result_ahead(&p[0], &prefix);
    pm__select_row_fill_hashed(&l.s.a, &p[0], &h);
    pm__select_index_make(&l.index, &h);
    l.s.keep = pm__low_bits(l.s.a.n);
    l.s.over = l.s.fresh = 0;
    for (unsigned i = 0; i < l.s.a.n; i++) l.s.val[i] = pm__select_row_val(&l.s.a, i);
    for (size_t i = 1; i < n && ok && l.s.keep; i++) ok = pm__many_leaves_next(q, &l, &p[i]);
    bool all = ok && l.s.keep != 0;
    for (size_t i = 0; i < n && all && !l.s.fresh; i++)
        if (pm__many_leaves_equal(&l, &p[i])) return pm__many_share(q, &p[i], out);
    out->alg = PM_ALG_NONE;
    out->ref = 0;
    if (all && (out->ref = pm__select_line(q, &l.s, prefix, plen, l.s.keep)) != 0) {
        out->alg = PM_ALG_ELEMENT;
        return PM__MERGE_DONE;
    }
    for (uint32_t k = l.s.fresh; k; k &= k - 1) pm__pay_release(q->cx, false, l.s.val[pm__ctz32(k)]);
    return ok && !all ? PM__MERGE_DONE : PM__MERGE_FAILED;
}

/* Whether places, entered, are lines that pm__many_meet_leaves can meet. */
static bool pm__many_are_leaves(const pm_place *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!pm__select_is_leaf(&p[i]) || pm__pairs_compare_ahead(&p[0], &p[i]) != PM__PAIRS_ABREAST) return false;
    return true;
}

/* Joins or meets tips. */
static PM__NOINLINE pm__merge_step pm__many_tips(pm__merge_run *q, const pm_place *p, size_t n,
                                                 pm__merge_answer *out) {
    pm_mask m = pm__byte_values(pm__place_byte(&p[0]));
    for (size_t i = 1; i < n; i++)
        for (unsigned w = 0; w < 4; w++) {
            const uint64_t more = pm__place_byte(&p[i])->val[w];
            m.w[w] = q->op == PM__MERGE_MEET ? m.w[w] & more : m.w[w] | more;
        }
    for (size_t i = 0; i < n; i++)
        if (memcmp(m.w, pm__place_byte(&p[i])->val, sizeof m.w) == 0) return pm__many_share(q, &p[i], out);
    out->alg = PM_ALG_NONE;
    out->ref = 0;
    if (pm_mask_is_empty(&m)) return PM__MERGE_DONE;
    return pm__tips_make(q, &m, out) ? PM__MERGE_DONE : PM__MERGE_FAILED;
}

/* Equal places are kept once, the first of them. Where no node is shared there are none. */
static size_t pm__many_distinct(pm_place *p, size_t n) {
    size_t k = 0;
    for (size_t i = 0; i < n; i++) {
        bool seen = false;
        for (size_t j = k; j-- > 0 && !seen && k - j <= 64;) /* the latest will do */
            seen = p[j].node == p[i].node && p[j].depth == p[i].depth && p[j].lo == p[i].lo;
        if (!seen) p[k++] = p[i];
    }
    return k;
}

/* Decides a pair of more than two places at once, or opens a frame for it. The list is overwritten. */
static PM__NOINLINE pm__merge_step pm__many_visit(pm__merge_run *q, pm__merge_pair *pair, pm__merge_answer *out) {
    pm_place *p = pair->many;
    size_t n = pair->n, entries = 0;
    bool lines = true, parts = true, tips = q->cx->unit, shared = !q->top;
    for (size_t i = 0; i < n && !shared; i++) shared = !pm__ref_is_unique(p[i].node);
    if (shared && q->idempotent) n = pm__many_distinct(p, n);
    pair->n = (unsigned)n;
    pair->a = p[0];
    pair->b = p[1];
    if (n == 1) return pm__many_share(q, p, out);
    if (n == 2) return PM__MERGE_NARROWED;
    for (size_t i = 0; i < n && tips; i++) tips = pm__tips_is(&p[i]);
    if (tips) return pm__many_tips(q, p, n, out);
    if (shared && q->top) return pm__many_pairs(q, p, n, out);
    for (size_t i = 0; i < n; i++) {
        pm__result_look(&p[i]);
        lines = lines && pm__place_in_line(&p[i]);
        parts = parts && pm__lists_has_parts(&p[i]);
        entries += (size_t)p[i].hi - p[i].lo;
    }
    if (lines && q->op == PM__MERGE_MEET)
        return pm__many_are_leaves(p, n) ? pm__many_meet_leaves(q, p, n, out) : pm__many_pairs(q, p, n, out);
    if (parts && !lines) return pm__many_pairs(q, p, n, out);
    bool unite = lines && entries <= PM__UNITE_MAX;
    if (!(unite ? pm__unite_open(q, p, n) : pm__masks_open_many(q, p, n))) return PM__MERGE_FAILED;
    q->top->shared_a = q->top->shared_b = shared;
    return PM__MERGE_OPENED;
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

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

/* Prefetches the nodes of a pair that comes up. */
static PM__INLINE void pm__pairs_ask(const pm__merge_frame *f, unsigned i) {
    if (i >= f->npairs || f->pairs[i].alg != PM__MERGE_WAITS) return;
    const pm__merge_pair *p = &f->pairs[i];
    if (p->n > 2) {
        for (unsigned k = 0; k < p->n; k++)
            if (p->many[k].depth == 0) pm__ref_prefetch(p->many[k].node);
        return;
    }
    if (p->a.node) pm__ref_prefetch(p->a.node);
    if (p->b.node) pm__ref_prefetch(p->b.node);
}

static PM__INLINE pm__merge_step pm__pairs_start(pm__merge_run *q, pm__merge_pair *p, pm__merge_answer *out) {
    pm__merge_step step = PM__MERGE_NARROWED;
    if (PM__UNLIKELY(p->n > 2)) step = pm__many_visit(q, p, out);
    return step == PM__MERGE_NARROWED ? pm__pairs_visit(q, &p->a, &p->b, out) : step;
}

static bool pm__pairs_walk(pm__merge_run *q, pm__merge_pair *root, pm__merge_answer *out) {
    pm__merge_step step = pm__pairs_start(q, root, out);
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
            step = pm__pairs_start(q, &f->pairs[f->next], out);
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
    pm__any_release(q->cx, q->full);
    pm__memo_free(&q->known);
    pm__memo_free(&q->ids);
}

static pm_status pm__pairs_run_with(pm__merge_run *q, const pm_place *a, const pm_place *b, pm__merge_answer *out) {
    pm__merge_pair root;
    memset(&root, 0, sizeof root);
    root.a = *a;
    root.b = *b;
    root.n = 2;
    bool ok = pm__pairs_walk(q, &root, out);
    pm__pairs_forget(q);
    return ok ? PM_OK : q->status;
}

static void pm__pairs_begin(pm__merge_run *q, const pm__cx *cx, pm__merge_op op) {
    memset(q, 0, sizeof *q);
    q->cx = cx;
    q->op = op;
    q->idempotent = cx->unit || (cx->ops->flags & PM_OPS_IDEMPOTENT) != 0;
}

/* Combines what lies strictly below two places. *out: which sides the result equals, or PM_ALG_NONE (nothing is left,
   and neither side is empty), or PM_ALG_ELEMENT with a reference that the caller then owns.
   PM_NOMEM, PM_BADHOOK: nothing happened. */
PM__UNUSED static pm_status pm__pairs_run(const pm__cx *cx, pm__merge_op op, const pm_place *a, const pm_place *b,
                                          pm__merge_answer *out) {
    pm__merge_run q;
    pm__pairs_begin(&q, cx, op);
    pm_status s = pm__pairs_run_with(&q, a, b, out);
    pm__merge_chunk_free(q.spare);
    return s;
}

/* Joins or meets what lies below n > 0 roots (0: nothing lies there). *out is owned. */
PM__UNUSED static pm_status pm__many_run(const pm__cx *cx, pm__merge_op op, const pm__ref *roots, size_t n,
                                         pm__ref *out) {
    pm__merge_run q;
    pm__merge_pair root;
    pm__merge_answer r = {PM_ALG_NONE, 0};
    size_t k = 0;
    bool ok = true;
    pm__pairs_begin(&q, cx, op);
    memset(&root, 0, sizeof root);
    if (n > UINT_MAX / 64) return PM_NOMEM;
    root.many = (pm_place *)pm__merge_alloc(&q, n * sizeof *root.many);
    if (!root.many) return PM_NOMEM;
    for (size_t i = 0; i < n; i++)
        if (roots[i]) root.many[k++] = pm__merge_root(roots[i]);
    if (op == PM__MERGE_MEET && k < n) k = 0;
    root.n = (unsigned)k;
    root.a = k ? root.many[0] : pm__place_root(0);
    if (k == 2) root.b = root.many[1];
    if (k > 1) ok = pm__pairs_walk(&q, &root, &r);
    else if (k) r.alg = PM_ALG_LEFT;
    const pm_place *same = (r.alg & PM_ALG_LEFT) ? &root.a : &root.b;
    if (ok && r.alg && r.alg < PM_ALG_ELEMENT) ok = pm__many_share(&q, same, &r) == PM__MERGE_DONE;
    pm__pairs_forget(&q);
    pm__merge_rewind(&q, root.many);
    pm__merge_chunk_free(q.spare);
    if (ok) *out = r.ref;
    return ok ? PM_OK : q.status;
}
