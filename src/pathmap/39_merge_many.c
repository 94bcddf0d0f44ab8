/* Join and meet of any number of tries in one pass, without tries in between.

   A job is a set of places, one of each side that has anything below it, in the sides' order. Sides that are one place
   count once if values are idempotent. One place is shared; two are a pair (37_merge_pairs.c). Three or more are
   opened into a frame, which waits for the jobs below it:

     unite   a join of lines that have few entries together (38_merge_unite.c)
     bytes   anything else, byte nodes and lines: the masks of what leads on are united or intersected, and byte by byte
             values are combined, and what all sides have below makes a job

   Lines without children are met at once, without a frame. Other lines that are met, and shared nodes below the root,
   go to the pairwise algebra: the first since little is soon left, the latter since it remembers what it has seen. A
   join takes them two by two in rounds; hooks are taken to be associative. Frames, and what waits with them, lie on one
   stack of our own. */
#include "38_merge_unite.c"

/* ---- frames ------------------------------------------------------------------------------------------------------ */

enum { PM__MANY_END = 256 };

typedef struct pm__many_frame {
    struct pm__many_frame *up;
    size_t n;
    pm_place *sides;      /* entered */
    bool unites, as_list; /* as_list: what stays was in a line, and is to be in one */
    pm__unite unite;
    /* bytes: what leads on; values and children of the result so far */
    pm_mask look, vm, fresh, cm;
    int at, next; /* the byte whose job is under way, and the one after it; PM__MANY_END: none */
    unsigned turn, nc, nv;
    pm_val *vals;
    pm__ref *kids;      /* owned */
    uint16_t *off;      /* where lines have got to */
    pm_place *below[2]; /* what the sides have below these bytes; [turn] is of `next` */
    size_t nbelow[2];
    bool dangles[2]; /* the location stays with nothing below */
} pm__many_frame;

typedef struct pm__many {
    pm__merge_run q;
    pm__many_frame *top;
} pm__many;

/* ---- pairs ------------------------------------------------------------------------------------------------------- */

/* Combines two places; *out is owned. */
static pm_status pm__many_two(pm__many *m, const pm_place *a, const pm_place *b, pm__ref *out) {
    pm__merge_answer r;
    m->q.status = PM_OK;
    bool ok = pm__pairs_walk(&m->q, a, b, &r);
    pm__pairs_forget(&m->q);
    if (!ok) return m->q.status;
    *out = r.ref;
    if (r.alg == PM_ALG_ELEMENT) return PM_OK;
    *out = 0;
    if (r.alg == PM_ALG_NONE) return PM_OK;
    return pm__place_share(m->q.cx, (r.alg & PM_ALG_LEFT) ? a : b, out) ? PM_OK : PM_NOMEM;
}

/* Combines the two places on top of a stack of k; those in `owned` are results, and given up. */
static pm_status pm__many_fold(pm__many *m, pm_place *p, size_t k, uint64_t *owned) {
    pm__ref r = 0;
    pm_status s = pm__many_two(m, &p[k - 2], &p[k - 1], &r);
    if (s != PM_OK) return s;
    for (size_t i = k - 2; i < k; i++)
        if (*owned >> i & 1) pm__any_release(m->q.cx, p[i].node);
    p[k - 2] = pm__place_root(r);
    *owned = (*owned & ~((uint64_t)3 << (k - 2))) | (uint64_t)1 << (k - 2);
    return PM_OK;
}

/* Combines n > 1 places two by two: as in rounds, or, in a meet, what is left with the next. Overwrites the list. */
static pm_status pm__many_pairs(pm__many *m, pm_place *p, size_t n, pm__ref *out) {
    pm_status s = PM_OK;
    uint64_t owned = 0;
    size_t k = 0;
    for (size_t i = 0; i < n && s == PM_OK; i++) {
        p[k++] = p[i];
        bool rounds = m->q.op != PM__MERGE_MEET && i + 1 < n;
        size_t end = k - (rounds ? pm__ctz64(i + 1) : k - 1);
        for (; k > end && s == PM_OK; k -= s == PM_OK) s = pm__many_fold(m, p, k, &owned);
        if (!rounds && k == 1 && i && !p[0].node) break;
    }
    *out = p[0].node;
    while (s != PM_OK && k--)
        if (owned >> k & 1) pm__any_release(m->q.cx, p[k].node);
    return s;
}

/* ---- leaves ------------------------------------------------------------------------------------------------------ */

/* What is left of the first side's entries. */
typedef struct pm__many_leaves {
    pm__select_kept s; /* s.keep: those that all sides so far have; s.val: what their values come to */
    pm__select_index index;
} pm__many_leaves;

/* Meets what is left with the next side. False: a hook is wrong. */
static bool pm__many_leaves_next(pm__many *m, pm__many_leaves *l, const pm_place *p) {
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
        if (x == y && m->q.idempotent) continue;
        bool ok = pm__merge_value(&m->q, &x, &y, &r), stays = ok && r.some && !r.fresh && (r.alg & PM_ALG_LEFT);
        if (stays) continue;
        if (s->fresh & bit) pm__pay_release(m->q.cx, false, x);
        s->fresh &= ~bit;
        if (!ok) return false;
        if (!r.some) got &= ~bit, s->keep &= ~bit;
        s->val[i] = r.val;
        s->over |= bit;
        if (r.fresh) s->fresh |= bit;
    }
    for (uint32_t gone = s->fresh & ~got; gone; gone &= gone - 1)
        pm__pay_release(m->q.cx, false, s->val[pm__ctz32(gone)]);
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
static pm_status pm__many_meet_leaves(pm__many *m, const pm_place *p, size_t n, pm__ref *out) {
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
    for (size_t i = 1; i < n && ok && l.s.keep; i++) ok = pm__many_leaves_next(m, &l, &p[i]);
    bool all = ok && l.s.keep != 0;
    for (size_t i = 0; i < n && all && !l.s.fresh; i++)
        if (pm__many_leaves_equal(&l, &p[i])) return pm__place_share(m->q.cx, &p[i], out) ? PM_OK : PM_NOMEM;
    if (all && (*out = pm__select_line(&m->q, &l.s, prefix, plen, l.s.keep)) != 0) return PM_OK;
    for (uint32_t k = l.s.fresh; k; k &= k - 1) pm__pay_release(m->q.cx, false, l.s.val[pm__ctz32(k)]);
    return !ok ? PM_BADHOOK : all ? PM_NOMEM : PM_OK;
}

/* Whether places, entered, are lines that pm__many_meet_leaves can meet. */
static bool pm__many_are_leaves(const pm_place *p, size_t n) {
    for (size_t i = 0; i < n; i++)
        if (!pm__select_is_leaf(&p[i]) || pm__pairs_compare_ahead(&p[0], &p[i]) != PM__PAIRS_ABREAST) return false;
    return true;
}

/* ---- bytes ------------------------------------------------------------------------------------------------------- */

/* What a line has at byte c: as pm__many_look. Bytes come in order: side->lo goes along, and *off, where in the heap
   its entry's bytes begin. */
static bool pm__many_look_line(pm_place *side, uint16_t *off, uint8_t c, const pm_val **val, pm_place *below) {
    const pm__line *x = pm__place_line(side);
    const uint8_t *heap = pm__line_heap(x), *lens = pm__line_lens(x);
    pm__ref child;
    *below = *side;
    below->depth++;
    if (side->depth < x->plen) {
        if (heap[side->depth] != c) return false;
    } else {
        const unsigned d = pm__place_suffix(side, x);
        unsigned i = side->lo, at = *off;
        while (i < side->hi && (d ? heap[at + d - 1] : x->body[i]) < c) at += lens[i++];
        unsigned end = i;
        while (end < side->hi && (d ? heap[at + d - 1] : x->body[end]) == c) at += lens[end++];
        side->lo = (uint8_t)end;
        *off = (uint16_t)at;
        if (i == end) return false;
        below->lo = (uint8_t)i;
        below->hi = (uint8_t)end;
    }
    *val = pm__place_val(below);
    if (pm__place_child(below, &child)) *below = pm__merge_root(child);
    else if (below->hi - below->lo == (*val != NULL)) *below = pm__merge_root(0);
    return true;
}

/* What a side has at byte c of the masks: its value, or NULL, and the place of what lies below. False: nothing. */
static PM__INLINE bool pm__many_look(pm_place *side, uint16_t *off, uint8_t c, const pm_val **val, pm_place *below) {
    if (pm__place_in_line(side)) return pm__many_look_line(side, off, c, val, below);
    const pm__byte *x = pm__place_byte(side);
    bool kid = pm__byte_has_child(x, c), has = pm__byte_has_val(x, c);
    *val = has ? pm__byte_val(x, c) : NULL;
    *below = pm__merge_root(kid ? *pm__byte_child(x, c) : 0);
    return kid || has;
}

/* Goes on to the next byte, and looks at the one after it: combines the values there, and lists what lies below, which
   is prefetched. False: see q->status. */
static bool pm__many_next(pm__many *m, pm__many_frame *f) {
    int next = pm_mask_next(&f->look, f->next + 1);
    f->at = f->next;
    f->next = next < 0 ? PM__MANY_END : next;
    f->turn ^= 1;
    if (next < 0) return true;
    uint8_t c = (uint8_t)next;
    pm_place *to = f->below[f->turn];
    size_t k = 0, vals = 0;
    const bool meet = m->q.op == PM__MERGE_MEET;
    bool dangles = true;
    pm__unite_sum sum = {0, false, false};
    for (size_t i = 0; i < f->n; i++) {
        const pm_val *val;
        pm_place at;
        if (!pm__many_look(&f->sides[i], &f->off[i], c, &val, &at)) continue;
        if (val || at.node) dangles = false;
        if (at.node) to[k++] = at;
        if (at.node && at.depth == 0) pm__ref_prefetch(at.node);
        if (!val || (meet && vals < i)) continue;
        if (!vals++) sum.val = *val, sum.some = true;
        else if (sum.some && !pm__unite_sum_add(&m->q, &sum, *val)) return false;
    }
    if (meet && vals < f->n && sum.some) {
        if (sum.fresh) pm__pay_release(m->q.cx, false, sum.val);
        sum.some = false;
    }
    if (sum.some) {
        f->vals[f->nv++] = sum.val;
        pm_mask_set(&f->vm, c);
        if (sum.fresh) pm_mask_set(&f->fresh, c);
    }
    f->nbelow[f->turn] = meet && k < f->n ? 0 : k;
    f->dangles[f->turn] = !meet || dangles;
    return true;
}

static bool pm__many_open_masks(pm__many *m, pm__many_frame *f) {
    for (size_t i = 0; i < f->n; i++) {
        pm_mask all = pm__place_mask_entered(&f->sides[i]);
        f->look = i == 0 ? all : m->q.op == PM__MERGE_JOIN ? pm_mask_or(f->look, all) : pm_mask_and(f->look, all);
    }
    unsigned w = pm_mask_count(&f->look);
    m->q.status = PM_NOMEM;
    f->below[0] = (pm_place *)pm__merge_alloc(&m->q, 2 * f->n * sizeof *f->below[0] + 2 * w * sizeof *f->vals +
                                                         f->n * sizeof *f->off);
    if (!f->below[0]) return false;
    f->below[1] = f->below[0] + f->n;
    f->vals = (pm_val *)(void *)(f->below[1] + f->n);
    f->kids = (pm__ref *)(f->vals + w);
    f->off = (uint16_t *)(void *)(f->kids + w);
    for (size_t i = 0; i < f->n; i++) {
        pm_place *p = &f->sides[i];
        if (!pm__place_in_line(p)) continue;
        const pm__line *x = pm__place_line(p);
        if (p->depth) p->lo = (uint8_t)(p->lo + pm__place_val_entry(p, x));
        f->off[i] = (uint16_t)pm__line_off(x, p->lo);
    }
    f->at = f->next = -1;
    return pm__many_next(m, f);
}

/* Notes what lies below the byte under way in the result (owned); 0: nothing. */
static void pm__many_note(pm__many_frame *f, pm__ref r) {
    uint8_t c = (uint8_t)f->at;
    if (!r && (!f->dangles[f->turn ^ 1] || pm_mask_test(&f->vm, c))) return;
    pm_mask_set(&f->cm, c);
    f->kids[f->nc++] = r;
}

/* Makes the node of a frame that is through; it takes over what the frame owns. */
static bool pm__many_close_masks(pm__many *m, const pm__many_frame *f, pm__ref *out) {
    bool owned[256];
    pm__merge_frame as;
    *out = 0;
    if (f->nc + f->nv == 0) return true;
    memset(&as, 0, sizeof as);
    memset(owned, 1, sizeof owned);
    as.vm = f->vm;
    as.fresh = f->fresh;
    as.vals = f->vals;
    if (f->nc + f->nv <= (f->as_list ? 2u * PM__LINE_ENTRIES : 4u))
        return pm__masks_line(&m->q, &as, &f->cm, f->kids, owned, out);
    return pm__masks_node(&m->q, &as, &f->cm, f->kids, owned, f->nc, out);
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

static void pm__many_pop(pm__many *m) {
    pm__many_frame *f = m->top;
    m->top = f->up;
    pm__merge_rewind(&m->q, f);
}

/* Gives up what the top frame had made. */
static void pm__many_abandon(pm__many *m) {
    const pm__many_frame *f = m->top;
    unsigned k = 0;
    if (f->unites) pm__unite_abandon(&m->q, &f->unite);
    for (unsigned i = 0; i < f->nc; i++) pm__any_release(m->q.cx, f->kids[i]);
    for (int c = pm_mask_next(&f->vm, 0); c >= 0; c = pm_mask_next(&f->vm, c + 1), k++)
        if (pm_mask_test(&f->fresh, (uint8_t)c)) pm__pay_release(m->q.cx, false, f->vals[k]);
    pm__many_pop(m);
}

/* Equal places are kept once, the first of them. Where no node is shared there are none. */
static size_t pm__many_distinct(const pm__many *m, pm_place *p, size_t n) {
    size_t k = 0;
    if (!m->q.idempotent) return n;
    for (size_t i = 0; i < n; i++) {
        bool seen = false;
        for (size_t j = k; j-- > 0 && !seen && k - j <= 64;) /* the latest will do */
            seen = p[j].node == p[i].node && p[j].depth == p[i].depth && p[j].lo == p[i].lo;
        if (!seen) p[k++] = p[i];
    }
    return k;
}

/* Starts on a job: decides it at once (*done, *out), or pushes a frame. The list is overwritten. `top`: roots. */
static pm_status pm__many_start(pm__many *m, pm_place *p, size_t n, bool top, bool *done, pm__ref *out) {
    size_t entries = 0;
    bool lines = true, some = false;
    *done = true;
    *out = 0;
    bool shared = top;
    for (size_t i = 0; n > 2 && i < n && !shared; i++) shared = !pm__ref_is_unique(p[i].node);
    if (shared) n = pm__many_distinct(m, p, n);
    if (n == 0) return PM_OK;
    if (n == 1) return pm__place_share(m->q.cx, p, out) ? PM_OK : PM_NOMEM;
    if (n == 2) return pm__many_two(m, p, p + 1, out);
    if (shared && !top) return pm__many_pairs(m, p, n, out);
    for (size_t i = 0; i < n; i++) {
        pm__result_look(&p[i]);
        lines = lines && pm__place_in_line(&p[i]);
        some = some || pm__place_in_line(&p[i]);
        entries += (size_t)p[i].hi - p[i].lo;
    }
    const bool meet = m->q.op == PM__MERGE_MEET;
    if (lines && meet)
        return pm__many_are_leaves(p, n) ? pm__many_meet_leaves(m, p, n, out) : pm__many_pairs(m, p, n, out);
    *done = false;
    pm__many_frame *f = (pm__many_frame *)pm__merge_alloc(&m->q, sizeof *f);
    if (!f) return PM_NOMEM;
    memset(f, 0, sizeof *f);
    f->up = m->top;
    f->n = n;
    f->sides = p;
    f->unites = lines && entries <= PM__UNITE_MAX;
    f->as_list = meet && some;
    m->top = f;
    bool ok = f->unites ? pm__unite_open(&m->q, &f->unite, p, n) : pm__many_open_masks(m, f);
    return ok ? PM_OK : m->q.status;
}

static void pm__many_answer(pm__many_frame *f, pm__ref r) {
    if (f->unites) pm__unite_answer(&f->unite, r);
    else pm__many_note(f, r);
}

/* The next job of the top frame. False: it has none any more. */
static bool pm__many_job(pm__many *m, pm__many_frame *f, pm_place **p, size_t *n, pm_status *s) {
    *s = PM_OK;
    if (!f->unites) {
        if (!pm__many_next(m, f)) *s = m->q.status;
        *p = f->below[f->turn ^ 1];
        *n = f->nbelow[f->turn ^ 1];
        return f->at != PM__MANY_END;
    }
    if (f->unite.next == f->unite.ngroups) return false;
    const pm__unite_group *k = &f->unite.groups[f->unite.next];
    if (f->unite.next == 0) pm__unite_ask(&f->unite, 0);
    pm__unite_ask(&f->unite, f->unite.next + 1);
    *n = k->n;
    *p = (pm_place *)pm__merge_alloc(&m->q, *n * sizeof **p); /* the list's own are asked for once more */
    if (!*p) *s = PM_NOMEM;
    else memcpy(*p, f->unite.places + k->from, *n * sizeof **p);
    return true;
}

/* Closes the top frame. */
static pm_status pm__many_close(pm__many *m, pm__many_frame *f, pm__ref *out) {
    bool ok = f->unites ? pm__unite_close(&m->q, &f->unite, f->sides, out) : pm__many_close_masks(m, f, out);
    if (!ok) return PM_NOMEM;
    pm__many_pop(m);
    return PM_OK;
}

/* Joins or meets what lies below n > 0 roots (0: nothing lies there). *out is owned. */
PM__UNUSED static pm_status pm__many_run(const pm__cx *cx, pm__merge_op op, const pm__ref *roots, size_t n,
                                         pm__ref *out) {
    pm__many m;
    size_t k = 0;
    bool done;
    pm__ref r = 0;
    memset(&m, 0, sizeof m);
    m.q.cx = cx;
    m.q.op = op;
    m.q.idempotent = cx->unit || (cx->ops->flags & PM_OPS_IDEMPOTENT) != 0;
    if (n > SIZE_MAX / 64) return PM_NOMEM;
    pm_place *p = (pm_place *)pm__merge_alloc(&m.q, n * sizeof *p);
    if (!p) return PM_NOMEM;
    for (size_t i = 0; i < n; i++)
        if (roots[i]) p[k++] = pm__merge_root(roots[i]);
    if (op == PM__MERGE_MEET && k < n) k = 0;
    pm_status s = pm__many_start(&m, p, k, true, &done, &r);
    while (s == PM_OK && m.top) {
        pm__many_frame *f = m.top;
        pm_place *job = NULL;
        if (pm__many_job(&m, f, &job, &k, &s)) {
            if (s == PM_OK) s = pm__many_start(&m, job, k, false, &done, &r);
        } else {
            done = true;
            s = pm__many_close(&m, f, &r);
        }
        if (s == PM_OK && done && m.top) pm__many_answer(m.top, r);
    }
    while (m.top) pm__many_abandon(&m);
    pm__merge_rewind(&m.q, p);
    pm__merge_chunk_free(m.q.spare);
    if (s == PM_OK) *out = r;
    return s;
}
