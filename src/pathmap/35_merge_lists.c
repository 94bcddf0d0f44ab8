/* Pairs as lists: two lines, or a line and a byte node, seen as sorted entries and merged in one pass, by keys of one
   word; values, which are most entries, without branches that cannot be predicted. Twins need no search.

   The sides are lists of suffixes from the place on, less what both have ahead of them. Equal suffixes combine. A child
   at suffix s on one side meets the run of the other side's entries that go on from s, or its child there: a pair. In
   the frame's list such a pair is stood for by the run itself, so that it stays spelled out when nothing of it changes.

   Results become nodes through the builder (25_build.c); new lines of few entries are spelled out in the line above
   them, so that what shrinks does not leave a node for each entry behind. */
#include "33_merge_select.c"

/* ---- sides as lists ------------------------------------------------------------------------------------------ */

/* One side of a merge. */
typedef struct pm__lists_side {
    pm__ent *e;
    unsigned n;
    pm__ref node;
    unsigned lo, depth; /* lines: entry of the node that e[0] is, and the bytes matched where suffixes begin */
    int folded;         /* an entry that stands for all entries behind a long prefix, or -1 */
    pm_place behind;    /* where these are */
} pm__lists_side;

/* Lists entries [lo, hi) of a line, their suffixes without the first `cut` bytes. */
static void pm__lists_decode(const pm__line *x, unsigned lo, unsigned hi, size_t cut, pm__ent *out) {
    const uint8_t *lens = pm__line_lens(x), *h = pm__line_heap(x) + pm__line_off(x, lo);
    bool unit = (x->flags & PM__LINE_UNIT) != 0;
    const uint64_t *pay = pm__line_pay_at(x, pm__line_pay_index(x, lo));
    for (unsigned i = lo; i < hi; i++, out++) {
        unsigned l = lens[i];
        out->rest = h + cut;
        out->len = (uint16_t)(l + 1 - cut);
        out->first = cut ? h[cut - 1] : x->body[i];
        out->child = pm__line_is_child(x, i);
        out->fresh = false;
        out->pay = out->child || !unit ? *pay-- : 0;
        h += l;
    }
    if (lo == 0 && pm__line_has_e(x) && hi) out[-(ptrdiff_t)hi].len = 0;
}

/* Lists the entries below a line place, without `skip` bytes of what is ahead of it. What is still ahead then is
   spelled out in each entry where that takes little room (in `bytes`), else one entry stands for all. */
static void pm__lists_line(pm__lists_side *s, const pm_place *p, size_t skip, uint8_t *bytes) {
    const pm__line *x = pm__place_line(p);
    const uint8_t *heap = pm__line_heap(x), *ahead = heap + p->depth + skip;
    unsigned depth = p->depth + (unsigned)skip, lo = p->lo + (p->depth ? pm__place_val_entry(p, x) : 0);
    size_t more = depth < x->plen ? (size_t)x->plen - depth : 0, cut = depth > x->plen ? (size_t)depth - x->plen : 0;
    unsigned off = pm__line_off(x, lo), end = pm__line_off(x, p->hi);
    s->node = p->node;
    s->lo = lo;
    s->depth = depth;
    s->folded = -1;
    s->n = 0;
    if (more && (p->hi - lo) * (more + 1) + end - off > PM__LINE_BYTES) {
        unsigned e = pm__line_has_e(x);
        if (e) s->e[s->n++] = pm__ent_make(ahead, more, false, *pm__line_val(x, 0)), s->e[0].fresh = false;
        if (x->n > e) {
            pm_place behind = {p->node, x->plen, (uint8_t)e, x->n, x->plen, 0};
            s->behind = behind;
            s->folded = (int)s->n;
            s->e[s->n] = pm__ent_make(ahead, more, true, 0);
            s->e[s->n++].fresh = false;
        }
        return;
    }
    s->n = p->hi - lo;
    pm__lists_decode(x, lo, p->hi, cut, s->e);
    for (unsigned i = 0; more && i < s->n; i++) {
        pm__ent *e = &s->e[i];
        memcpy(bytes, ahead, more);
        if (e->len) {
            bytes[more] = e->first;
            memcpy(bytes + more + 1, e->rest, e->len - 1u);
        }
        e->len = (uint16_t)(e->len + more);
        e->first = bytes[0];
        e->rest = bytes + 1;
        bytes += e->len;
    }
}

/* Lists the values and children of a byte node at the bytes that a list begins with. Returns false if it has others. */
static bool pm__lists_byte(pm__lists_side *s, const pm_place *p, const pm__lists_side *by) {
    const pm__byte *x = pm__place_byte(p);
    unsigned took = 0;
    s->node = p->node;
    s->folded = -1;
    s->n = s->lo = s->depth = 0;
    for (unsigned i = 0; i < by->n; i++) {
        uint8_t c = by->e[i].first;
        if (i && by->e[i - 1].first == c) continue;
        pm__ent e = {(const uint8_t *)x, 0, 1, c, false, false, false};
        if (pm__byte_has_val(x, c)) e.pay = *pm__byte_val(x, c), s->e[s->n++] = e, took++;
        if (pm__byte_has_child(x, c)) e.child = true, e.pay = *pm__byte_child(x, c), s->e[s->n++] = e, took++;
    }
    return took == (unsigned)x->nc + x->nv;
}

/* The place at the suffix (of length len) of entries [i, end): a child, or a run that goes on. */
static pm_place pm__lists_place_of(const pm__lists_side *s, unsigned i, unsigned end, unsigned len) {
    if (s->e[i].child && s->e[i].len == len) return s->folded == (int)i ? s->behind : pm__merge_root(s->e[i].pay);
    pm_place p = {s->node, (uint16_t)(s->depth + len), (uint8_t)(s->lo + i), (uint8_t)(s->lo + end), 0, 0};
    p.since = p.depth;
    if (s->folded >= 0) p.lo = (uint8_t)s->lo, p.hi = s->behind.hi; /* within the prefix: all there is */
    return p;
}

/* Common length of two suffixes. Eight bytes behind an entry's bytes can be read. */
static PM__INLINE size_t pm__lists_common(const pm__ent *a, const pm__ent *b) {
    size_t min = a->len < b->len ? a->len : b->len;
    if (!min || a->first != b->first) return 0;
    if (min == 1) return 1;
    if (min > 9) return 1 + pm__lcp(a->rest, b->rest, min - 1);
    uint64_t x = (pm__load64le(a->rest) ^ pm__load64le(b->rest)) & (UINT64_MAX >> (8 * (9 - min)));
    return x ? 1 + (size_t)pm__ctz64(x) / 8 : min;
}

/* ---- merging two lists --------------------------------------------------------------------------------------- */

typedef struct pm__lists_two {
    pm__merge_run *q;
    pm__merge_frame *f;
    pm__lists_side a, b;
} pm__lists_two;

/* Keeps entry i of a side as it is. A folded one is a pair with its result known. */
static void pm__lists_keep(pm__lists_two *g, const pm__lists_side *s, unsigned i) {
    pm__merge_frame *f = g->f;
    if (s->folded == (int)i) {
        const pm_place none = {0, 0, 0, 0, 0, 0};
        bool left = s == &g->a;
        pm__merge_pair *p = pm__merge_pair_add(f, left ? s->behind : none, left ? none : s->behind);
        p->alg = left ? PM_ALG_LEFT : PM_ALG_RIGHT;
        p->at = (uint16_t)f->nents;
        p->count = 1;
        p->spelled = 0;
        p->len = (uint16_t)s->e[i].len;
    }
    f->ents[f->nents++] = s->e[i];
}

/* The location of a dangling entry has a value on the other side, which was dealt with just before. */
static bool pm__lists_valued(const pm__lists_side *other, unsigned next, const pm__ent *e) {
    if (!next || other->e[next - 1].child || other->e[next - 1].len != e->len) return false;
    return pm__lists_common(&other->e[next - 1], e) == e->len;
}

static bool pm__lists_is_stub(const pm__lists_side *s, unsigned i) {
    return s->e[i].child && !s->e[i].pay && s->folded != (int)i;
}

/* Entry i is in A only. `j` is the next entry of B. */
static void pm__lists_only_a(pm__lists_two *g, unsigned i, unsigned j) {
    pm__merge_op op = g->q->op;
    bool beside = pm__lists_is_stub(&g->a, i) && pm__lists_valued(&g->b, j, &g->a.e[i]);
    if (pm__merge_unites(op) && beside) return; /* B's value keeps the location, and B has nothing else to say of it */
    if (!pm__merge_keeps_left(op) || beside) {
        g->f->same_a = false;
        return;
    }
    pm__lists_keep(g, &g->a, i);
    g->f->same_b = false;
}

static void pm__lists_only_b(pm__lists_two *g, unsigned i, unsigned j) {
    if (!pm__merge_unites(g->q->op)) {
        g->f->same_b = false;
        return;
    }
    if (pm__lists_is_stub(&g->b, j) && pm__lists_valued(&g->a, i, &g->b.e[j])) return;
    pm__lists_keep(g, &g->b, j);
    g->f->same_a = false;
}

/* Runs [i, iend) and [j, jend) meet at a suffix of length len, at least one of them being a child just there. */
static void pm__lists_meet_runs(pm__lists_two *g, unsigned i, unsigned iend, unsigned j, unsigned jend, unsigned len) {
    pm__merge_frame *f = g->f;
    pm__merge_op op = g->q->op;
    bool stub_a = pm__lists_is_stub(&g->a, i) && g->a.e[i].len == len;
    bool stub_b = pm__lists_is_stub(&g->b, j) && g->b.e[j].len == len;
    if (stub_a || stub_b) {
        if (op == PM__MERGE_JOIN || (stub_a && stub_b ? op == PM__MERGE_MEET : op == PM__MERGE_DIFFER)) {
            const pm__lists_side *s = stub_a ? &g->b : &g->a;
            unsigned k = stub_a ? j : i, end = stub_a ? jend : iend;
            for (; k < end; k++) pm__lists_keep(g, s, k);
            pm__result_differ(f, stub_a == stub_b ? PM_ALG_BOTH : stub_a ? PM_ALG_RIGHT : PM_ALG_LEFT);
        } else if (op == PM__MERGE_SUB && !stub_a) {
            for (; i < iend; i++) pm__lists_keep(g, &g->a, i);
            f->same_b = false;
        } else {
            f->same_a = f->same_b = false;
        }
        return;
    }
    bool run_a = g->a.e[i].len != len, run_b = g->b.e[j].len != len;
    bool spell_a = run_a || (!run_b && g->a.folded != (int)i);
    const pm__lists_side *s = spell_a ? &g->a : &g->b;
    unsigned from = spell_a ? i : j, end = spell_a ? iend : jend;
    pm__merge_pair *p = pm__merge_pair_add(f, pm__lists_place_of(&g->a, i, iend, len),
                                           pm__lists_place_of(&g->b, j, jend, len));
    p->at = (uint16_t)f->nents;
    p->count = (uint8_t)(end - from);
    p->spelled = s->folded >= (int)from && s->folded < (int)end ? 0 : spell_a ? PM_ALG_LEFT : PM_ALG_RIGHT;
    p->len = (uint16_t)len;
    memcpy(f->ents + f->nents, s->e + from, (end - from) * sizeof(pm__ent));
    f->nents += end - from;
}

/* The end of the run of entries that go on from `e`. */
static unsigned pm__lists_run_end(const pm__lists_side *s, unsigned i, const pm__ent *e) {
    while (i < s->n && s->e[i].len >= e->len && pm__lists_common(&s->e[i], e) == e->len) i++;
    return i;
}

/* Where B has a value, restriction keeps everything of A at and below. */
static unsigned pm__lists_cover(pm__lists_two *g, unsigned i, unsigned j) {
    unsigned end = pm__lists_run_end(&g->a, i, &g->b.e[j]);
    for (; i < end; i++) pm__lists_keep(g, &g->a, i);
    return end;
}

static PM__INLINE void pm__lists_keys(const pm__lists_side *s, uint64_t *key) {
    for (unsigned i = 0; i < s->n; i++) key[i] = pm__suffix_word(s->e[i].first, s->e[i].rest, s->e[i].len);
}

/* Values that both sides have, but not the same ones; in the frame's list they are A's. */
typedef struct pm__lists_equals {
    unsigned n;
    uint16_t at[PM__MERGE_LIST];
    uint8_t of_b[PM__MERGE_LIST];
} pm__lists_equals;

/* Combines them. False: a hook is wrong. */
static PM__NOINLINE bool pm__lists_meet_equals(pm__lists_two *g, const pm__lists_equals *eq) {
    pm__merge_frame *f = g->f;
    unsigned n = eq->at[0], from = n;
    for (unsigned k = 0; k < eq->n; k++) {
        pm__merge_val r;
        pm__ent *e = &f->ents[eq->at[k]];
        if (!pm__merge_value(g->q, &e->pay, &g->b.e[eq->of_b[k]].pay, &r)) {
            f->nents = n; /* what follows is not fresh */
            return false;
        }
        pm__result_differ(f, r.some ? r.alg : 0);
        e->pay = r.val;
        e->fresh = r.some && r.fresh;
        while (from < eq->at[k]) f->ents[n++] = f->ents[from++];
        if (r.some) f->ents[n++] = *e;
        from++;
    }
    while (from < f->nents) f->ents[n++] = f->ents[from++];
    f->nents = n;
    return true;
}

/* Where the values end that begin at entry i. */
static PM__INLINE unsigned pm__lists_values_end(const pm__lists_side *s, unsigned i) {
    while (i < s->n && !s->e[i].child) i++;
    return i;
}

/* Merges values, up to a child or the end of a side, without branches that cannot be predicted. False: a hook is wrong.
 */
static PM__INLINE bool pm__lists_pass_values(pm__lists_two *g, const uint64_t *ka, const uint64_t *kb, unsigned *pi,
                                             unsigned *pj) {
    const pm__merge_op op = g->q->op;
    const unsigned keep_a = op != PM__MERGE_MEET, keep_b = pm__merge_unites(op), cancels = pm__merge_cancels(op);
    const unsigned idempotent = g->q->idempotent;
    unsigned i = *pi, j = *pj, n = g->f->nents, only_a = 0, only_b = 0, any_same = 0;
    const unsigned enda = pm__lists_values_end(&g->a, i), endb = pm__lists_values_end(&g->b, j);
    pm__lists_equals eq;
    eq.n = 0;
    while (i < enda && j < endb) {
        uint64_t x = ka[i], y = kb[j];
        unsigned before = x <= y, after = x >= y, equal = before & after;
        if (equal & (unsigned)(x >> 3) & 1) { /* eight bytes or more */
            const pm__ent *e = &g->a.e[i], *z = &g->b.e[j];
            int c = pm__suffix_compare(e->rest, e->len, z->rest, z->len);
            before = c <= 0, after = c >= 0, equal = c == 0;
        }
        uintptr_t a = (uintptr_t)&g->a.e[i], b = (uintptr_t)&g->b.e[j];
        g->f->ents[n] = *(const pm__ent *)(b ^ ((a ^ b) & (0 - (uintptr_t)before)));
        eq.at[eq.n] = (uint16_t)n;
        eq.of_b[eq.n] = (uint8_t)j;
        unsigned same = equal & idempotent & (unsigned)(g->a.e[i].pay == g->b.e[j].pay);
        eq.n += equal ^ same;
        n += (equal & ~(same & cancels)) | (before & keep_a & ~equal) | (after & keep_b & ~equal);
        any_same |= same;
        only_a |= before & ~equal;
        only_b |= after & ~equal;
        i += before;
        j += after;
    }
    *pi = i, *pj = j;
    g->f->nents = n;
    if (only_a) *(keep_a ? &g->f->same_b : &g->f->same_a) = false;
    if (only_b) *(keep_b ? &g->f->same_a : &g->f->same_b) = false;
    if (any_same & cancels) g->f->same_a = g->f->same_b = false;
    return !eq.n || pm__lists_meet_equals(g, &eq);
}

/* For restriction: goes past entries that part within their first bytes; most do. */
static PM__INLINE void pm__lists_pass_apart(pm__lists_two *g, const uint64_t *ka, const uint64_t *kb, unsigned *i,
                                            unsigned *j) {
    while (*i < g->a.n && *j < g->b.n) {
        uint64_t x = ka[*i], y = kb[*j];
        unsigned l = x == y ? 7 : pm__clz64(x ^ y) / 8, less = x < y;
        if (l >= 7 || l >= g->a.e[*i].len || l >= g->b.e[*j].len) return;
        g->f->same_a &= !less;
        g->f->same_b &= less;
        *i += less;
        *j += !less;
    }
}

/* Common length of entries i of A and j of B. */
static PM__INLINE size_t pm__lists_two_common(const pm__lists_two *g, uint64_t x, uint64_t y, unsigned i, unsigned j) {
    size_t l = (x ^ y) >> 8 ? pm__clz64(x ^ y) / 8 : 7;
    if (l >= 7) return pm__lists_common(&g->a.e[i], &g->b.e[j]);
    size_t la = g->a.e[i].len, lb = g->b.e[j].len, min = la < lb ? la : lb;
    return l < min ? l : min;
}

/* One step: entries of which one is a child, or, under restriction, longer than their keys, or one covers the other. */
static void pm__lists_step(pm__lists_two *g, const uint64_t *ka, const uint64_t *kb, unsigned *pi, unsigned *pj) {
    unsigned i = *pi, j = *pj;
    const pm__ent *a = &g->a.e[i], *b = &g->b.e[j];
    size_t l = pm__lists_two_common(g, ka[i], kb[j], i, j);
    bool ends_a = l == a->len, ends_b = l == b->len;
    if (ends_b && !b->child && g->q->op == PM__MERGE_RESTRICT) {
        i = pm__lists_cover(g, i, j++);
    } else if (ends_a && ends_b && a->child && b->child) {
        pm__lists_meet_runs(g, i, i + 1, j, j + 1, (unsigned)l);
        i++, j++;
    } else if (ends_a && !a->child) {
        pm__lists_only_a(g, i++, j);
    } else if (ends_b && !b->child) {
        pm__lists_only_b(g, i, j++);
    } else if (ends_a) {
        unsigned end = pm__lists_run_end(&g->b, j, a);
        pm__lists_meet_runs(g, i, i + 1, j, end, (unsigned)l);
        i++, j = end;
    } else if (ends_b) {
        unsigned end = pm__lists_run_end(&g->a, i, b);
        pm__lists_meet_runs(g, i, end, j, j + 1, (unsigned)l);
        i = end, j++;
    } else if (pm__ent_at(a, l) < pm__ent_at(b, l)) {
        pm__lists_only_a(g, i++, j);
    } else {
        pm__lists_only_b(g, i, j++);
    }
    *pi = i, *pj = j;
}

/* Merges the lists. False: a hook is wrong. */
static bool pm__lists_merge(pm__lists_two *g) {
    uint64_t ka[PM__MERGE_LIST], kb[PM__MERGE_LIST];
    unsigned i = 0, j = 0;
    pm__lists_keys(&g->a, ka);
    pm__lists_keys(&g->b, kb);
    for (;;) {
        if (g->q->op == PM__MERGE_RESTRICT) pm__lists_pass_apart(g, ka, kb, &i, &j);
        else if (!pm__lists_pass_values(g, ka, kb, &i, &j)) return false;
        if (i >= g->a.n || j >= g->b.n) break;
        pm__lists_step(g, ka, kb, &i, &j);
    }
    while (i < g->a.n) pm__lists_only_a(g, i++, j);
    while (j < g->b.n) pm__lists_only_b(g, i, j++);
    return true;
}

/* Notes a pair of children that are twins, for which entry `at` of the list stands. */
static void pm__lists_twin_pair(pm__merge_frame *f, pm__ref a, pm__ref b, unsigned at, unsigned len) {
    pm__merge_pair *p = pm__merge_pair_add(f, pm__merge_root(a), pm__merge_root(b));
    p->at = (uint16_t)at;
    p->count = 1;
    p->spelled = PM_ALG_LEFT;
    p->len = (uint16_t)len;
}

/* Merges twins whose values are the same; most need no list in the end. False: they are not, or a child dangles. */
static PM__INLINE bool pm__lists_twins_same(pm__merge_run *q, pm__merge_frame *f, const pm__line *a,
                                            const pm__line *b) {
    const bool cancels = pm__merge_cancels(q->op);
    const uint32_t all = pm__low_bits(a->n);
    uint64_t differ = 0;
    if (!q->idempotent) return false;
    for (uint32_t m = all & ~a->cmask; m && !(a->flags & PM__LINE_UNIT); m &= m - 1)
        differ |= *pm__line_val(a, pm__ctz32(m)) ^ *pm__line_val(b, pm__ctz32(m));
    for (uint32_t m = a->cmask; m; m &= m - 1)
        if (!*pm__line_child(a, pm__ctz32(m)) || !*pm__line_child(b, pm__ctz32(m))) return false;
    if (differ) return false;
    f->twin = a;
    f->twin_stays = cancels ? 0 : all;
    for (uint32_t m = a->cmask; m; m &= m - 1) {
        unsigned i = pm__ctz32(m);
        pm__ref x = *pm__line_child(a, i), y = *pm__line_child(b, i);
        if (x == y) continue;
        if (f->npairs < PM__MERGE_AHEAD) {
            pm__ref_prefetch(x);
            pm__ref_prefetch(y);
        }
        pm__lists_twin_pair(f, x, y, cancels ? f->npairs : i, pm__line_suffix(a, i));
        if (cancels) f->twin_stays |= m & (0 - m);
    }
    if (cancels && f->npairs < a->n) f->same_a = f->same_b = false;
    return true;
}

/* Lists what stays of such twins. */
static void pm__lists_twin(pm__merge_frame *f) {
    pm__lists_decode(f->twin, 0, f->twin->n, 0, f->ents);
    for (uint32_t m = f->twin_stays; m; m &= m - 1) f->ents[f->nents++] = f->ents[pm__ctz32(m)];
}

/* Merges twins, of which both sides stay. False: a hook is wrong. */
static PM__NOINLINE bool pm__lists_twins(pm__merge_run *q, pm__merge_frame *f, const pm__line *a, const pm__line *b) {
    const bool cancels = pm__merge_cancels(q->op);
    if (pm__lists_twins_same(q, f, a, b)) return true;
    pm__lists_decode(a, 0, a->n, 0, f->ents);
    for (unsigned i = 0; i < a->n; i++) {
        pm__ent *e = &f->ents[f->nents];
        pm__merge_val r;
        *e = f->ents[i];
        if (e->child) {
            pm__ref below = *pm__line_child(b, i);
            bool same = e->pay == below && (q->idempotent || !below);
            if (same && cancels) f->same_a = f->same_b = false;
            else if (!same && e->pay && below) pm__lists_twin_pair(f, e->pay, below, f->nents, e->len);
            else if (!same) pm__result_differ(f, e->pay ? PM_ALG_LEFT : PM_ALG_RIGHT), e->pay |= below;
            f->nents += !same || !cancels;
            continue;
        }
        pm_val y = *pm__line_val(b, i);
        if (PM__LIKELY(e->pay == y && q->idempotent)) {
            f->nents += !cancels;
            if (cancels) f->same_a = f->same_b = false;
            continue;
        }
        if (!pm__merge_value(q, &e->pay, &y, &r)) return false;
        pm__result_differ(f, r.some ? r.alg : 0);
        e->pay = r.val;
        e->fresh = r.some && r.fresh;
        f->nents += r.some;
    }
    return true;
}

/* Most entries of one side that a list can have. */
static unsigned pm__lists_room(const pm_place *p, bool line) {
    return line ? (unsigned)p->hi - p->lo + 1u : 2u * PM__LINE_ENTRIES;
}

/* Opens a pair as lists. The frame is left on the stack, whatever it still waits for. False: see q->status. */
static PM__NOINLINE bool pm__lists_open(pm__merge_run *q, const pm_place *pa, const pm_place *pb) {
    pm__lists_two g;
    pm__ent ea[PM__MERGE_LIST], eb[PM__MERGE_LIST];
    pm_place a = *pa, b = *pb;
    const uint8_t *ahead_a = NULL, *ahead_b = NULL;
    bool line_a = pm__place_in_line(&a), line_b = pm__place_in_line(&b), others = false;
    size_t na = line_a ? pm__result_ahead(&a, &ahead_a) : 0, nb = line_b ? pm__result_ahead(&b, &ahead_b) : 0, m = 0;
    if (na && nb) m = pm__lcp(ahead_a, ahead_b, na < nb ? na : nb);
    unsigned room = pm__lists_room(&a, line_a) + pm__lists_room(&b, line_b);
    size_t spelled = (na > m ? PM__LINE_BYTES + 8u : 0) + (nb > m ? PM__LINE_BYTES + 8u : 0);
    pm__merge_frame *f = pm__merge_push(q, room, room, 0, spelled);
    if (!f) {
        q->status = PM_NOMEM;
        return false;
    }
    f->prefix = ahead_a;
    f->plen = m;
    if (pm__merge_unites(q->op) && line_a && line_b && pm__select_are_twins(&a, &b))
        return pm__lists_twins(q, f, pm__place_line(&a), pm__place_line(&b));
    uint8_t *bytes = (uint8_t *)f->vals;
    g.a.e = ea;
    g.b.e = eb;
    g.a.n = g.b.n = 0;
    if (line_a) pm__lists_line(&g.a, &a, m, bytes);
    if (line_b) pm__lists_line(&g.b, &b, m, bytes + (na > m ? PM__LINE_BYTES + 8 : 0));
    if (!line_a) others = !pm__lists_byte(&g.a, &a, &g.b);
    if (!line_b) others = !pm__lists_byte(&g.b, &b, &g.a);
    if (others && !line_a) f->same_a = false;
    if (others && !line_b) f->same_b = false;
    g.q = q;
    g.f = f;
    return pm__lists_merge(&g);
}

/* ---- range nodes --------------------------------------------------------------------------------------------- */

/* A side whose entries are listed line by line: the parts of a range node, or the one line that it is. */
typedef struct pm__lists_parts {
    const pm__line *range; /* NULL: a line */
    pm_place line;
    pm__lists_side s; /* the entries of the part that is being merged */
    unsigned part, at; /* which that is, and the first of its entries that is not merged yet */
    pm__ent room[PM__LINE_ENTRIES];
    uint8_t *bytes; /* room for prefixes that are spelled out */
} pm__lists_parts;

/* Whether a place is in a line, or the root of a range node all of whose parts are lines. */
static bool pm__lists_has_parts(const pm_place *p) {
    if (pm__place_in_line(p)) return true;
    if (!pm__place_in_range(p)) return false;
    const pm__line *x = pm__place_line(p);
    for (unsigned i = 0; i < x->n; i++)
        if (pm__ref_kind(*pm__line_part_at(x, i)) != PM__LINE) return false;
    return true;
}

static unsigned pm__lists_parts_count(const pm__lists_parts *p) { return p->range ? p->range->n : 1u; }

static pm_place pm__lists_part_place(const pm__lists_parts *p, unsigned i) {
    return p->range ? pm__place_root(*pm__line_part_at(p->range, i)) : p->line;
}

/* Lists part i. */
static void pm__lists_part_list(pm__lists_parts *p, unsigned i) {
    const pm_place at = pm__lists_part_place(p, i);
    p->part = i, p->at = 0;
    p->s.e = p->room;
    pm__lists_line(&p->s, &at, 0, p->bytes);
    if (pm__place_line(&at)->plen > at.depth) p->bytes += PM__LINE_BYTES + 8;
}

/* The byte from which on what comes is not in the part that is listed; 256: the end. */
static unsigned pm__lists_part_bound(const pm__lists_parts *p) {
    return p->part + 1 < pm__lists_parts_count(p) ? p->range->body[p->part + 1] : 256u;
}

/* Takes the next entries with first bytes below a bound. */
static pm__lists_side pm__lists_part_take(pm__lists_parts *p, unsigned bound) {
    pm__lists_side s = p->s;
    unsigned end = p->at;
    while (end < p->s.n && p->s.e[end].first < bound) end++;
    s.e += p->at, s.lo += p->at, s.n = end - p->at;
    p->at = end;
    return s;
}

/* Begins with a side; adds up how many entries, children and bytes of prefixes to spell out it has. */
static void pm__lists_parts_open(pm__lists_parts *p, const pm_place *at, unsigned *ents, unsigned *kids,
                                 size_t *bytes) {
    p->range = pm__place_in_range(at) ? pm__place_line(at) : NULL;
    p->line = *at;
    for (unsigned i = 0; i < pm__lists_parts_count(p); i++) {
        const pm_place k = pm__lists_part_place(p, i);
        const pm__line *x = pm__place_line(&k);
        const bool spells = x->plen > k.depth;
        *ents += x->n + 1u;
        *kids += pm__popcount32(x->cmask) + spells;
        *bytes += spells ? PM__LINE_BYTES + 8u : 0u;
    }
}

/* Takes a part that both sides have. False: it is not the same, or is to be merged as others are. */
static bool pm__lists_same_part(pm__lists_two *g, const pm__lists_parts *a, const pm__lists_parts *b) {
    if (!g->q->idempotent || g->q->op == PM__MERGE_RESTRICT || a->at || b->at || !a->range || !b->range) return false;
    if (a->s.node != b->s.node || a->s.folded >= 0) return false;
    if (pm__lists_part_bound(a) != pm__lists_part_bound(b)) return false;
    if (pm__merge_cancels(g->q->op)) {
        g->f->same_a = g->f->same_b = false;
        return true;
    }
    memcpy(g->f->ents + g->f->nents, a->s.e, a->s.n * sizeof(pm__ent));
    g->f->nents += a->s.n;
    return true;
}

/* Opens a pair of which one side is a range node or both are, all lines: as one list, whose parts are merged in turn.
   The frame is left on the stack, whatever it still waits for. False: see q->status. */
static PM__NOINLINE bool pm__lists_open_parts(pm__merge_run *q, const pm_place *pa, const pm_place *pb) {
    pm__lists_parts a, b;
    unsigned ents = 0, kids = 0;
    size_t bytes = 0;
    pm__lists_parts_open(&a, pa, &ents, &kids, &bytes);
    pm__lists_parts_open(&b, pb, &ents, &kids, &bytes);
    pm__merge_frame *f = pm__merge_push(q, kids, ents, 0, bytes);
    if (!f) {
        q->status = PM_NOMEM;
        return false;
    }
    pm__lists_two g;
    g.q = q, g.f = f;
    a.bytes = (uint8_t *)f->vals;
    pm__lists_part_list(&a, 0);
    b.bytes = a.bytes;
    pm__lists_part_list(&b, 0);
    for (;;) {
        const unsigned end_a = pm__lists_part_bound(&a), end_b = pm__lists_part_bound(&b);
        const unsigned bound = end_a < end_b ? end_a : end_b;
        if (!pm__lists_same_part(&g, &a, &b)) {
            g.a = pm__lists_part_take(&a, bound);
            g.b = pm__lists_part_take(&b, bound);
            if (!pm__lists_merge(&g)) return false;
        }
        if (bound == 256) return true;
        uint8_t *at = a.bytes > b.bytes ? a.bytes : b.bytes;
        a.bytes = at;
        if (end_a == bound) pm__lists_part_list(&a, a.part + 1);
        b.bytes = a.bytes;
        if (end_b == bound) pm__lists_part_list(&b, b.part + 1);
    }
}

/* ---- closing a list ------------------------------------------------------------------------------------------ */

/* Makes nodes of their own of what pairs keep, where that is not to be spelled out. False: no memory. */
static bool pm__lists_own(pm__merge_run *q, pm__merge_frame *f) {
    for (unsigned i = 0; i < f->npairs; i++) {
        pm__merge_pair *p = &f->pairs[i];
        pm_place at;
        if (p->alg == PM_ALG_ELEMENT || (p->alg & p->spelled) || pm__result_kept(p, &at) == PM_ALG_NONE) continue;
        if (!pm__result_own(q, p, &at)) return false;
    }
    return true;
}

/* Puts what pairs came to in the place of the entries that stand for them; the list takes it over. */
static void pm__lists_gather(pm__merge_frame *f) {
    unsigned n = 0, from = 0;
    for (unsigned i = 0; i < f->npairs; i++) {
        pm__merge_pair *p = &f->pairs[i];
        pm_place at = {0, 0, 0, 0, 0, 0};
        memmove(f->ents + n, f->ents + from, (p->at - from) * sizeof(pm__ent));
        n += p->at - from;
        from = (unsigned)p->at + p->count;
        pm_alg kept = pm__result_kept(p, &at);
        if (kept == PM_ALG_NONE) continue;
        if (kept != PM_ALG_ELEMENT && (p->alg & p->spelled)) {
            memmove(f->ents + n, f->ents + p->at, p->count * sizeof(pm__ent));
            n += p->count;
            continue;
        }
        pm__ent *e = &f->ents[n++];
        *e = f->ents[p->at];
        e->len = p->len;
        e->child = true;
        e->fresh = kept == PM_ALG_ELEMENT;
        e->pay = e->fresh ? p->ref : at.node;
        p->alg = PM_ALG_NONE;
    }
    memmove(f->ents + n, f->ents + from, (f->nents - from) * sizeof(pm__ent));
    f->nents = n + f->nents - from;
}

/* Which of more than two sides a join equals: all that a side has is in the list, so only payloads can differ. */
static const pm_place *pm__lists_equal_side(const pm__merge_frame *f) {
    for (size_t i = 0; i < f->nsides; i++) {
        const pm__line *x = pm__place_line(&f->sides[i]);
        unsigned k = 0;
        if (f->sides[i].depth || x->n != f->nents) continue;
        for (; k < x->n && f->ents[k].child == pm__line_is_child(x, k); k++)
            if (f->ents[k].pay != (f->ents[k].child ? *pm__line_child(x, k) : *pm__line_val(x, k))) break;
        if (k == x->n) return &f->sides[i];
    }
    return NULL;
}

/* Makes nodes of the list, or shares a side that it equals. False: no memory. */
static PM__NOINLINE bool pm__lists_build(pm__merge_run *q, pm__merge_frame *f, bool made, pm__merge_answer *out) {
    const pm_place *same = f->sides ? pm__lists_equal_side(f) : NULL;
    out->alg = PM_ALG_ELEMENT;
    if (!same) {
        out->ref = made ? pm__result_build_condensed(q, f->ents, f->nents, f->prefix, f->plen)
                        : pm__result_build(q, f->ents, f->nents, f->prefix, f->plen);
        return out->ref != 0;
    }
    out->ref = same->node;
    pm__ref_retain(same->node);
    for (unsigned i = 0; i < f->nents; i++)
        if (f->ents[i].fresh) pm__pay_release(q->cx, f->ents[i].child, f->ents[i].pay);
    return true;
}

static bool pm__lists_close(pm__merge_run *q, pm__merge_frame *f, pm__merge_answer *out) {
    bool made = false;
    for (unsigned i = 0; i < f->npairs; i++) {
        pm_place at;
        const pm__merge_pair *p = &f->pairs[i];
        made = made || p->alg == PM_ALG_ELEMENT;
        pm__result_differ(f, p->alg >= PM_ALG_ELEMENT || pm__result_kept(p, &at) == PM_ALG_NONE ? 0u : p->alg);
    }
    out->ref = 0;
    out->alg = (uint8_t)((f->same_a ? PM_ALG_LEFT : 0) | (f->same_b ? PM_ALG_RIGHT : 0));
    if (out->alg) return true;
    if (f->twin) pm__lists_twin(f);
    if (f->npairs && !pm__lists_own(q, f)) return false;
    if (f->npairs) pm__lists_gather(f);
    return !f->nents || pm__lists_build(q, f, made, out);
}
