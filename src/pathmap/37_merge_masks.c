/* Pairs as bytes: masks of children and values combined word by word. A line shows the first bytes of its entries. */
#include "36_merge_unite.c"

/* ---- masks --------------------------------------------------------------------------------------------------- */

/* A side as bytes that lead on. Lines, and range nodes, show the first byte of their entries. */
typedef struct pm__masks_view {
    pm_mask child, val;
    const pm__byte *x; /* NULL: a line, or a range node */
    unsigned nc, nv;
    pm_place *kids; /* of these: in byte order */
    pm_val *vals;
} pm__masks_view;

/* How many kids, and how many values, the view of a place has to have room for. */
static unsigned pm__masks_view_room(const pm_place *p) {
    return pm__place_in_range(p) ? 256u : pm__place_in_line(p) ? PM__LINE_ENTRIES : 0u;
}

/* Notes what entries [i, end) of a line, which begin with byte c behind the place, have there: a value, something
   below. */
static void pm__masks_view_add(pm__masks_view *v, const pm_place *p, uint8_t c, unsigned i, unsigned end) {
    pm_place at = {p->node, (uint16_t)(p->depth + 1), (uint8_t)i, (uint8_t)end, (uint16_t)(p->depth + 1), 0};
    pm__ref child;
    const pm_val *val = pm__place_val(&at);
    if (val) pm_mask_set(&v->val, c), v->vals[v->nv++] = *val;
    if (pm__place_child(&at, &child)) at = pm__merge_root(child);
    else if (end - i == (val != NULL)) return;
    pm_mask_set(&v->child, c);
    v->kids[v->nc++] = at;
}

/* Notes what a line has. */
static void pm__masks_view_line(pm__masks_view *v, const pm_place *p) {
    const pm__line *x = pm__place_line(p);
    const uint8_t *lens = pm__line_lens(x), *heap = pm__line_heap(x);
    if (p->depth < x->plen) {
        pm__masks_view_add(v, p, heap[p->depth], p->lo, p->hi);
        return;
    }
    const unsigned d = pm__place_suffix(p, x);
    unsigned i = p->lo + (p->depth ? pm__place_val_entry(p, x) : 0), off = pm__line_off(x, i);
    while (i < p->hi) {
        unsigned end = i;
        uint8_t c = d ? heap[off + d - 1] : x->body[i];
        do off += lens[end++];
        while (end < p->hi && (d ? heap[off + d - 1] : x->body[end]) == c);
        pm__masks_view_add(v, p, c, i, end);
        i = end;
    }
}

/* Notes what a byte node has that is part of a range node. */
static PM__NOINLINE void pm__masks_view_part(pm__masks_view *v, const pm__byte *x) {
    pm_mask m = pm__byte_mask(x);
    for (int b = pm_mask_next(&m, 0); b >= 0; b = pm_mask_next(&m, b + 1)) {
        const uint8_t c = (uint8_t)b;
        if (pm__byte_has_val(x, c)) pm_mask_set(&v->val, c), v->vals[v->nv++] = *pm__byte_val(x, c);
        if (!pm__byte_has_child(x, c)) continue;
        pm_mask_set(&v->child, c);
        v->kids[v->nc++] = pm__merge_root(*pm__byte_child(x, c));
    }
}

/* `kids` and `vals`: room for pm__masks_view_room. */
static void pm__masks_view_of(pm__masks_view *v, const pm_place *p, pm_place *kids, pm_val *vals) {
    const pm_mask none = {{0, 0, 0, 0}};
    const bool range = pm__place_in_range(p);
    if (!range && !pm__place_in_line(p)) {
        v->x = pm__place_byte(p);
        v->child = pm__byte_children(v->x);
        v->val = pm__byte_values(v->x);
        return;
    }
    v->x = NULL;
    v->kids = kids, v->vals = vals;
    v->nc = v->nv = 0;
    v->child = v->val = none;
    if (!range) pm__masks_view_line(v, p);
    for (unsigned i = 0; range && i < pm__place_line(p)->n; i++) {
        const pm_place part = pm__place_root(*pm__line_part_at(pm__place_line(p), i));
        if (pm__place_in_line(&part)) pm__masks_view_line(v, &part);
        else pm__masks_view_part(v, pm__place_byte(&part));
    }
}

/* The place of the child at a byte that has one; `rank` counts those before it. */
static PM__INLINE pm_place pm__masks_view_kid(const pm__masks_view *v, uint8_t c, unsigned rank) {
    if (!v->x) return v->kids[rank];
    return pm__merge_root(pm__byte_is_wide(v->x) ? *pm__byte_child(v->x, c) : v->x->slot[rank]);
}

/* The values of a side, in byte order: byte nodes have them from the far end downwards. */
typedef struct pm__masks_vals {
    const pm_val *at;
    ptrdiff_t step;
} pm__masks_vals;

static pm__masks_vals pm__masks_view_vals(const pm__masks_view *v) {
    pm__masks_vals r = {v->vals, 1};
    if (v->x && !pm__byte_is_unit(v->x)) r.at = v->x->slot + v->x->cap - 1, r.step = -1;
    else if (v->x) r.at = &pm__unit_val, r.step = 0;
    return r;
}

/* The value of a side at one bit of a word. */
static PM__INLINE const pm_val *pm__masks_vals_at(const pm__masks_vals *v, uint64_t all, uint64_t bit) {
    return v->at + v->step * (ptrdiff_t)pm__popcount64(all & (bit - 1));
}

/* Lists the values that are on both sides. True if they are the same words there. */
static PM__INLINE bool pm__masks_word_same(const pm__masks_vals *a, uint64_t va, const pm__masks_vals *b, uint64_t vb,
                                           pm_val *out) {
    uint64_t parts = 0;
    for (uint64_t m = va & vb; m; m &= m - 1) {
        uint64_t bit = m & (0 - m);
        *out = *pm__masks_vals_at(a, va, bit);
        parts |= *out++ ^ *pm__masks_vals_at(b, vb, bit);
    }
    return parts == 0;
}

/* The values of one word where those on both sides are the same, and listed: nothing is to be combined. */
static PM__INLINE void pm__masks_word_plain(pm__merge_run *q, pm__merge_frame *f, unsigned w, uint64_t va, uint64_t vb,
                                            const pm__masks_vals *a, const pm__masks_vals *b, pm_val **out) {
    uint64_t both = va & vb, stay = f->vm.w[w];
    if (pm__merge_cancels(q->op) && both) {
        stay &= ~both;
        f->same_a = f->same_b = false;
    }
    f->vm.w[w] = stay;
    if (stay == both) *out += pm__popcount64(both);
    else
        for (; stay; stay &= stay - 1) {
            uint64_t bit = stay & (0 - stay);
            uintptr_t in_a = (uintptr_t)pm__masks_vals_at(a, va, bit), in_b = (uintptr_t)pm__masks_vals_at(b, vb, bit);
            uintptr_t side = 0 - (uintptr_t)((va & bit) != 0); /* no branch on which side has it */
            *(*out)++ = *(const pm_val *)(in_b ^ ((in_a ^ in_b) & side));
        }
}

/* Combines the values of one word of the masks. False: a hook is wrong. */
static bool pm__masks_word_vals(pm__merge_run *q, pm__merge_frame *f, unsigned w, uint64_t va, uint64_t vb,
                                pm__masks_vals *a, pm__masks_vals *b, pm_val **out) {
    pm__merge_op op = q->op;
    bool keep_a = pm__merge_keeps_left(op), keep_b = pm__merge_unites(op);
    if (va & ~vb) *(keep_a ? &f->same_b : &f->same_a) = false;
    if (vb & ~va) *(keep_b ? &f->same_a : &f->same_b) = false;
    f->vm.w[w] = (va & vb) | (keep_a ? va : 0) | (keep_b ? vb : 0);
    uint64_t gone = 0, both = va & vb, drops = pm__merge_cancels(op) ? both : 0, look = f->vm.w[w];
    bool plain = op == PM__MERGE_RESTRICT;
    if (plain || q->idempotent) plain |= pm__masks_word_same(a, va, b, vb, *out);
    if (plain) {
        pm__masks_word_plain(q, f, w, va, vb, a, b, out);
        look = 0;
    }
    for (; look; look &= look - 1) {
        uint64_t bit = look & (0 - look);
        const pm_val *in_a = pm__masks_vals_at(a, va, bit), *in_b = pm__masks_vals_at(b, vb, bit);
        pm_val x = *((va & bit) ? in_a : in_b), y = *((vb & bit) ? in_b : in_a); /* equal where one side has it */
        pm__merge_val r;
        **out = x;
        if (x == y && (q->idempotent || !(both & bit))) {
            gone |= drops & bit;
            *out += !(drops & bit);
            continue;
        }
        bool ok = pm__merge_value(q, &x, &y, &r);
        pm__result_differ(f, ok && r.some ? r.alg : 0);
        if (!ok) f->vm.w[w] &= (bit - 1) & ~gone; /* what is not there yet is not to be given back */
        if (!ok) return false;
        if (!r.some) f->vm.w[w] &= ~bit;
        if (r.fresh) f->fresh.w[w] |= bit;
        **out = r.val;
        *out += r.some;
    }
    f->vm.w[w] &= ~gone;
    if (gone) f->same_a = f->same_b = false;
    a->at += a->step * (ptrdiff_t)pm__popcount64(va);
    b->at += b->step * (ptrdiff_t)pm__popcount64(vb);
    return true;
}

/* Combines the values of both sides into the frame. False: a hook is wrong. */
static bool pm__masks_combine(pm__merge_run *q, pm__merge_frame *f, const pm__masks_view *a, const pm__masks_view *b) {
    pm__masks_vals va = pm__masks_view_vals(a), vb = pm__masks_view_vals(b);
    pm_val *out = f->vals;
    for (unsigned w = 0; w < 4; w++)
        if (!pm__masks_word_vals(q, f, w, a->val.w[w], b->val.w[w], &va, &vb, &out)) return false;
    return true;
}

/* Which bytes with a child on either side matter, and what is said of the others. */
static pm_mask pm__masks_kids(pm__merge_run *q, pm__merge_frame *f, const pm__masks_view *a, const pm__masks_view *b) {
    const bool keep_a = pm__merge_keeps_left(q->op), keep_b = pm__merge_unites(q->op), meet = q->op == PM__MERGE_MEET;
    pm_mask look;
    for (unsigned w = 0; w < 4; w++) {
        uint64_t ca = a->child.w[w], cb = b->child.w[w], ma = ca | a->val.w[w], mb = cb | b->val.w[w];
        look.w[w] = (keep_a ? ca : ca & mb) | (keep_b ? cb : meet ? cb & ma : 0);
        if (ca & ~look.w[w]) f->same_a = false;
        if (cb & ~look.w[w]) f->same_b = false;
    }
    return look;
}

/* Makes the pair for byte c. */
static void pm__masks_pair(pm__merge_run *q, pm__merge_frame *f, const pm__masks_view *a, const pm__masks_view *b,
                           uint8_t c, const pm_place *pa, const pm_place *pb) {
    const pm__merge_op op = q->op;
    bool va = pm_mask_test(&a->val, c), vb = pm_mask_test(&b->val, c);
    bool has_a = va || pm_mask_test(&a->child, c), has_b = vb || pm_mask_test(&b->child, c);
    bool dangle = op == PM__MERGE_MEET && !va && !vb && pa->node == 0 && pb->node == 0;
    pm__merge_pair *p = pm__merge_pair_add(f, *pa, *pb);
    if ((!has_b && pm__merge_keeps_left(op)) || (vb && op == PM__MERGE_RESTRICT)) p->alg = PM_ALG_LEFT;
    if (!has_a && pm__merge_unites(op)) p->alg = PM_ALG_RIGHT;
    p->at = c;
    p->dangles = dangle || op == PM__MERGE_JOIN || p->alg != PM__MERGE_WAITS;
}

/* Opens a pair by its masks; as pm__lists_open. */
static PM__NOINLINE bool pm__masks_open(pm__merge_run *q, const pm_place *pa, const pm_place *pb) {
    pm__masks_view a, b;
    pm_mask none = {{0, 0, 0, 0}};
    pm_place empty = {0, 0, 0, 0, 0, 0}, *places = NULL;
    pm_val *values = NULL;
    const unsigned room_a = pm__masks_view_room(pa), room = room_a + pm__masks_view_room(pb);
    q->status = PM_NOMEM; /* hooks say so themselves */
    if (room) {
        places = (pm_place *)pm__merge_alloc(q, room * (sizeof *places + sizeof *values));
        if (!places) return false;
        values = (pm_val *)(void *)(places + room);
    }
    pm__masks_view_of(&a, pa, places, values);
    pm__masks_view_of(&b, pb, room ? places + room_a : NULL, room ? values + room_a : NULL);
    pm_mask kids = pm_mask_or(a.child, b.child), vals = pm_mask_or(a.val, b.val);
    pm__merge_frame *f = pm__merge_push(q, pm_mask_count(&kids), 0, pm_mask_count(&vals), 0);
    if (!f) return false;
    if (room) f->base = places;
    f->bytes = true;
    f->vm = f->fresh = none;
    if (!pm__masks_combine(q, f, &a, &b)) return false;
    pm_mask look = pm__masks_kids(q, f, &a, &b);
    unsigned ra = 0, rb = 0;
    for (unsigned w = 0; w < 4; w++) {
        uint64_t ca = a.child.w[w], cb = b.child.w[w];
        for (uint64_t left = look.w[w]; left; left &= left - 1) {
            uint64_t bit = left & (0 - left);
            uint8_t c = (uint8_t)(64 * w + pm__ctz64(left));
            pm_place ka = empty, kb = empty;
            if (ca & bit) ka = pm__masks_view_kid(&a, c, ra + pm__popcount64(ca & (bit - 1)));
            if (cb & bit) kb = pm__masks_view_kid(&b, c, rb + pm__popcount64(cb & (bit - 1)));
            pm__masks_pair(q, f, &a, &b, c, &ka, &kb);
        }
        ra += pm__popcount64(ca);
        rb += pm__popcount64(cb);
    }
    return true;
}

/* ---- tips ---------------------------------------------------------------------------------------------------- */

/* Nodes of unit maps that lead nowhere, which is what most of a dense set consists of: their result is four words. */

static PM__INLINE bool pm__tips_is(const pm_place *p) {
    return p->node && !p->depth && pm__ref_kind(p->node) == PM__BYTE && pm__byte_is_tip(pm__place_byte(p));
}

/* The result's words. Returns which sides it equals. */
static PM__INLINE uint8_t pm__tips_words(pm__merge_op op, const pm__byte *x, const pm__byte *y, uint64_t *out) {
    const uint64_t only_a = 0 - (uint64_t)pm__merge_keeps_left(op), only_b = 0 - (uint64_t)pm__merge_unites(op);
    const uint64_t both = (uint64_t)pm__merge_cancels(op) - 1;
    uint64_t not_a = 0, not_b = 0;
    for (unsigned w = 0; w < 4; w++) {
        const uint64_t a = x->val[w], b = y->val[w], all = (a & b & both) | (a & ~b & only_a) | (b & ~a & only_b);
        out[w] = all;
        not_a |= all ^ a;
        not_b |= all ^ b;
    }
    return (uint8_t)((not_a ? 0 : PM_ALG_LEFT) | (not_b || op == PM__MERGE_RESTRICT ? 0 : PM_ALG_RIGHT));
}

/* n values, which are few, as a line, unless a tip takes little more; then *line is false. 0: that, or no memory. */
static PM__NOINLINE pm__ref pm__tips_line(const pm__merge_run *q, const pm_mask *m, unsigned n, bool *line) {
    pm__ent ents[PM__GATHER_ENTRIES];
    unsigned k = 0;
    for (int b = pm__mask_next(m, 0); b >= 0; b = pm__mask_next(m, b + 1)) {
        uint8_t c = (uint8_t)b;
        ents[k++] = pm__ent_make(&c, 1, false, 0);
    }
    const size_t size = pm__build_fits(q->cx, ents, n, 0, 0);
    *line = n <= 4 || (size && size * 4 <= pm__mem_round(pm__byte_bytes(PM__BYTE_TIP)) * 3);
    return *line ? pm__line_encode(q->cx, size, NULL, 0, ents, n, 0, 0) : 0;
}

static PM__INLINE bool pm__tips_all(const pm_mask *m) {
    return (m->w[0] & m->w[1] & m->w[2] & m->w[3]) == UINT64_MAX;
}

/* Makes the node of a result. False: no memory. */
static bool pm__tips_make(pm__merge_run *q, const pm_mask *m, pm__merge_answer *out) {
    out->alg = PM_ALG_ELEMENT;
    if (q->full && pm__tips_all(m)) {
        pm__ref_retain(out->ref = q->full);
        return true;
    }
    const unsigned n = pm__mask_count(m);
    bool line = n <= (q->op == PM__MERGE_JOIN ? 4u : (unsigned)PM__GATHER_ENTRIES);
    out->ref = line ? pm__tips_line(q, m, n, &line) : 0;
    if (!line) {
        pm__byte *x = pm__byte_make_tip(q->cx, m->w);
        out->ref = x ? pm__byte_ref(x) : 0;
        if (n == 256 && x) pm__ref_retain(q->full = out->ref);
    }
    if (!out->ref) q->status = PM_NOMEM;
    return out->ref != 0;
}

/* Decides a pair of tips if that takes no new node. False: one is to be made, of *m. */
static PM__INLINE bool pm__tips_decide(const pm__merge_run *q, const pm_place *a, const pm_place *b, pm_mask *m,
                                       pm__merge_answer *out) {
    out->alg = pm__tips_words(q->op, pm__place_byte(a), pm__place_byte(b), m->w);
    out->ref = 0;
    return out->alg || pm_mask_is_empty(m);
}

enum { PM__TIPS_AHEAD = 8 };

/* Decides those pairs of a frame that are tips, but for those that are to be remembered. False: no memory. */
static PM__NOINLINE bool pm__tips_settle(pm__merge_run *q, pm__merge_frame *f) {
    for (unsigned i = 0; i < f->npairs; i++) {
        pm__merge_pair *p = &f->pairs[i];
        pm__merge_answer out;
        pm_mask m;
        if (i + PM__TIPS_AHEAD < f->npairs) {
            PM__PREFETCH(pm__ref_ptr(p[PM__TIPS_AHEAD].a.node));
            PM__PREFETCH(pm__ref_ptr(p[PM__TIPS_AHEAD].b.node));
        }
        if (p->alg != PM__MERGE_WAITS || !pm__tips_is(&p->a) || !pm__tips_is(&p->b)) continue;
        if (!pm__tips_decide(q, &p->a, &p->b, &m, &out)) {
            const bool own_a = !pm__ref_is_unique(p->a.node), own_b = !pm__ref_is_unique(p->b.node);
            const bool remember = (own_a || own_b) && (own_a || f->shared_a) && (own_b || f->shared_b);
            if (remember && !pm__tips_all(&m)) continue;
            if (!pm__tips_make(q, &m, &out)) return false;
        }
        p->alg = out.alg;
        p->ref = out.ref;
    }
    return true;
}

/* ---- more than two sides ----------------------------------------------------------------------------------------- */

/* What all sides have. */
typedef struct pm__masks_all {
    pm__masks_view *view;
    pm__masks_vals *vals; /* of those not combined yet */
    uint16_t *kids;       /* children of each side listed so far */
    size_t n;
    bool meet;
} pm__masks_all;

/* Combines the values that sides have at byte c, in their order. False: a hook is wrong. */
static bool pm__masks_sum(pm__merge_run *q, pm__merge_frame *f, pm__masks_all *m, uint8_t c, pm_val *out) {
    pm__merge_sum sum = {0, false, false};
    size_t have = 0;
    for (size_t i = 0; i < m->n; i++) {
        if (!pm_mask_test(&m->view[i].val, c)) continue;
        pm_val val = *m->vals[i].at;
        m->vals[i].at += m->vals[i].step;
        if (m->meet && have < i) continue;
        if (!have++) sum.val = val, sum.some = true;
        else if (sum.some && !pm__merge_sum_add(q, &sum, val)) return false;
    }
    if (m->meet && have < m->n && sum.some) {
        if (sum.fresh) pm__pay_release(q->cx, false, sum.val);
        sum.some = false;
    }
    if (!sum.some) return true;
    *out = sum.val;
    pm_mask_set(&f->vm, c);
    if (sum.fresh) pm_mask_set(&f->fresh, c);
    return true;
}

/* Lists what sides have below byte c, and makes the pair. Returns how many they are. */
static size_t pm__masks_gather(pm__merge_frame *f, pm__masks_all *m, uint8_t c, pm_place *places) {
    const pm_place none = {0, 0, 0, 0, 0, 0};
    size_t n = 0, stubs = 0, some = 0;
    for (size_t i = 0; i < m->n; i++) {
        bool kid = pm_mask_test(&m->view[i].child, c);
        some += kid || pm_mask_test(&m->view[i].val, c);
        if (!kid) continue;
        places[n] = pm__masks_view_kid(&m->view[i], c, m->kids[i]++);
        if (places[n].node) n++;
        else stubs += !pm_mask_test(&m->view[i].val, c);
    }
    if (m->meet && (some < m->n || (n < m->n && stubs < m->n))) return 0;
    if (m->meet && n < m->n) n = 0;
    pm__merge_pair *p = pm__merge_pair_add(f, n ? places[0] : none, n > 1 ? places[1] : none);
    p->n = (unsigned)n;
    p->many = places;
    if (n < 2) p->alg = PM_ALG_LEFT;
    p->at = c;
    p->dangles = !m->meet || n == 0;
    return n;
}

/* The same as pm__masks_open for n > 2 sides, which are entered; join and meet only. */
static PM__NOINLINE bool pm__masks_open_many(pm__merge_run *q, const pm_place *sides, size_t n) {
    pm__masks_all m = {NULL, NULL, NULL, n, q->op == PM__MERGE_MEET};
    pm_mask kids = {{0, 0, 0, 0}}, vals = kids, look = kids;
    size_t places = 0;
    q->status = PM_NOMEM; /* hooks say so themselves */
    size_t room = 0;
    for (size_t i = 0; i < n; i++) room += pm__masks_view_room(&sides[i]);
    m.view = (pm__masks_view *)pm__merge_alloc(q, n * (sizeof *m.view + sizeof *m.vals + sizeof *m.kids) +
                                                      room * (sizeof(pm_place) + sizeof(pm_val)));
    if (!m.view) return false;
    m.vals = (pm__masks_vals *)(void *)(m.view + n);
    pm_place *view_kids = (pm_place *)(void *)(m.vals + n);
    pm_val *view_vals = (pm_val *)(void *)(view_kids + room);
    m.kids = (uint16_t *)(void *)(view_vals + room);
    bool line = false;
    for (size_t i = 0; i < n; i++) {
        pm__masks_view *v = &m.view[i];
        pm__masks_view_of(v, &sides[i], view_kids, view_vals);
        view_kids += pm__masks_view_room(&sides[i]), view_vals += pm__masks_view_room(&sides[i]);
        m.vals[i] = pm__masks_view_vals(v);
        m.kids[i] = 0;
        line = line || pm__place_in_line(&sides[i]);
        kids = pm_mask_or(kids, v->child);
        vals = pm_mask_or(vals, v->val);
        places += pm_mask_count(&v->child);
    }
    unsigned nkids = pm_mask_count(&kids);
    pm__merge_frame *f = pm__merge_push(q, nkids, 0, pm_mask_count(&vals), places * sizeof(pm_place));
    if (!f) return false;
    pm_place *to = (pm_place *)(void *)(f->vals + pm_mask_count(&vals));
    f->base = m.view;
    f->sides = sides;
    f->nsides = n;
    f->same_a = f->same_b = false;
    f->bytes = true;
    f->as_list = m.meet && line;
    f->vm = f->fresh = look;
    look = pm_mask_or(kids, vals);
    unsigned nv = 0;
    for (int c = pm_mask_next(&look, 0); c >= 0; c = pm_mask_next(&look, c + 1)) {
        uint8_t b = (uint8_t)c;
        if (pm_mask_test(&vals, b) && !pm__masks_sum(q, f, &m, b, &f->vals[nv])) return false;
        nv += pm_mask_test(&f->vm, b);
        if (pm_mask_test(&kids, b)) to += pm__masks_gather(f, &m, b, to);
    }
    return true;
}

/* ---- closing masks ------------------------------------------------------------------------------------------- */

/* The result of a byte frame as a list; kids[] are what is left at the bytes of cm, fresh where fk says so. */
static bool pm__masks_line(pm__merge_run *q, const pm__merge_frame *f, const pm_mask *cm, const pm__ref *kids,
                           const bool *fk, pm__ref *out) {
    pm__ent ents[2 * PM__LINE_ENTRIES];
    pm_mask m = pm_mask_or(*cm, f->vm);
    uint8_t spell[16] = {0};
    unsigned n = 0, nv = 0, nc = 0;
    for (int c = pm_mask_next(&m, 0); c >= 0; c = pm_mask_next(&m, c + 1)) {
        uint8_t b = (uint8_t)c;
        spell[0] = b;
        if (pm_mask_test(&f->vm, b)) {
            ents[n] = pm__ent_make(spell, 1, false, f->vals[nv++]);
            ents[n++].fresh = pm_mask_test(&f->fresh, b);
        }
        if (pm_mask_test(cm, b)) {
            ents[n] = pm__ent_make(spell, 1, true, kids[nc]);
            ents[n++].fresh = fk[nc++];
        }
    }
    *out = pm__result_build_condensed(q, ents, n, NULL, 0);
    return *out != 0;
}

static bool pm__masks_node(pm__merge_run *q, const pm__merge_frame *f, const pm_mask *cm, const pm__ref *kids,
                           const bool *fk, unsigned nc, pm__ref *out) {
    pm__byte *x = pm__byte_make(q->cx, cm, &f->vm, kids, f->vals);
    if (!x) {
        q->status = PM_NOMEM;
        return false;
    }
    for (unsigned i = 0; i < nc; i++)
        if (!fk[i]) PM__PREFETCH(pm__ref_ptr(kids[i]));
    for (unsigned i = 0; i < nc; i++)
        if (!fk[i]) pm__ref_retain(kids[i]);
    unsigned k = 0;
    if (pm__byte_is_full_tip(x)) {
        const bool first = !q->full;
        *out = pm__any_full(x, &q->full);
        if (first) pm__ref_retain(q->full);
        return true;
    }
    if (!q->cx->plain && !q->cx->unit)
        for (int c = pm_mask_next(&f->vm, 0); c >= 0; c = pm_mask_next(&f->vm, c + 1), k++)
            if (!pm_mask_test(&f->fresh, (uint8_t)c)) pm__val_retain(q->cx->ops, f->vals[k]);
    *out = pm__byte_ref(x);
    return true;
}

static PM__NOINLINE bool pm__masks_close(pm__merge_run *q, pm__merge_frame *f, pm__merge_answer *out) {
    pm_mask cm = {{0, 0, 0, 0}};
    unsigned nc = 0;
    for (unsigned i = 0; i < f->npairs; i++) {
        pm_place at;
        const pm__merge_pair *p = &f->pairs[i];
        unsigned same = p->alg < PM_ALG_ELEMENT ? p->alg : 0u;
        if (!p->dangles && !pm_mask_test(&f->vm, (uint8_t)p->at) && pm__result_kept(p, &at) == PM_ALG_NONE) same = 0;
        pm__result_differ(f, same);
    }
    out->ref = 0;
    out->alg = (uint8_t)((f->same_a ? PM_ALG_LEFT : 0) | (f->same_b ? PM_ALG_RIGHT : 0));
    if (out->alg) return true;
    pm__ref *kids = (pm__ref *)pm__merge_alloc(q, f->npairs * sizeof *kids);
    bool *fk = (bool *)pm__merge_alloc(q, f->npairs * sizeof *fk);
    if (!kids || !fk) {
        q->status = PM_NOMEM;
        return false;
    }
    for (unsigned i = 0; i < f->npairs; i++) {
        pm_place at = {0, 0, 0, 0, 0, 0};
        pm__merge_pair *p = &f->pairs[i];
        pm_alg kept = pm__result_kept(p, &at);
        if (kept == PM_ALG_NONE && (!p->dangles || pm_mask_test(&f->vm, (uint8_t)p->at))) continue;
        if (kept != PM_ALG_NONE && kept != PM_ALG_ELEMENT && !pm__result_own(q, p, &at)) return false;
        pm_mask_set(&cm, (uint8_t)p->at);
        fk[nc] = p->alg == PM_ALG_ELEMENT;
        kids[nc] = fk[nc] ? p->ref : at.node;
        nc++;
    }
    unsigned nv = pm_mask_count(&f->vm);
    if (nc + nv == 0) return true;
    out->alg = PM_ALG_ELEMENT;
    if (nc + nv <= (f->as_list ? 2u * PM__LINE_ENTRIES : 4u)) return pm__masks_line(q, f, &cm, kids, fk, &out->ref);
    return pm__masks_node(q, f, &cm, kids, fk, nc, &out->ref);
}
