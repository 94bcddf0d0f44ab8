/* Pairs as lists: two lines, or a line and a byte node, seen as sorted entries and merged in one pass.

   The sides are lists of suffixes from the place on, less what both have ahead of them. Equal suffixes combine. A child
   at suffix s on one side meets the run of the other side's entries that go on from s, or its child there: a pair. In
   the frame's list such a pair is stood for by the run itself, so that it stays spelled out when nothing of it changes.

   Results become nodes through the builder (24_node_any.c); new lines of few entries are spelled out in the line above
   them, so that what shrinks does not leave a node for each entry behind. */
#include "30_algebra.c"

/* ---- sides as lists ------------------------------------------------------------------------------------------ */

/* One side of a merge. */
typedef struct pm__alg_side {
    pm__ent e[PM__ALG_LIST];
    unsigned n;
    pm__ref node;
    unsigned lo, depth; /* lines: entry of the node that e[0] is, and the bytes matched where suffixes begin */
    int folded;         /* an entry that stands for all entries behind a long prefix, or -1 */
    pm_place behind;    /* where these are */
} pm__alg_side;

/* Bytes of a line's prefix that are still ahead of a place. */
static size_t pm__alg_ahead(const pm_place *p, const uint8_t **bytes) {
    const pm__line *x = pm__place_line(p);
    if (p->depth >= x->plen) return 0;
    *bytes = pm__line_heap(x) + p->depth;
    return (size_t)x->plen - p->depth;
}

/* Lists entries [lo, hi) of a line, their suffixes without the first `cut` bytes. */
static void pm__alg_decode(const pm__line *x, unsigned lo, unsigned hi, size_t cut, pm__ent *out) {
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
static void pm__alg_list_line(pm__alg_side *s, const pm_place *p, size_t skip, uint8_t *bytes) {
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
            pm_place behind = {p->node, x->plen, (uint8_t)e, x->n};
            s->behind = behind;
            s->folded = (int)s->n;
            s->e[s->n] = pm__ent_make(ahead, more, true, 0);
            s->e[s->n++].fresh = false;
        }
        return;
    }
    s->n = p->hi - lo;
    pm__alg_decode(x, lo, p->hi, cut, s->e);
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

/* Lists the values and children of a byte node at the bytes that a list begins with. Answers false if it has others. */
static bool pm__alg_list_byte(pm__alg_side *s, const pm_place *p, const pm__alg_side *by) {
    const pm__byte *x = pm__place_byte(p);
    unsigned took = 0;
    s->node = p->node;
    s->folded = -1;
    s->n = s->lo = s->depth = 0;
    for (unsigned i = 0; i < by->n; i++) {
        uint8_t c = by->e[i].first;
        if (i && by->e[i - 1].first == c) continue;
        pm__ent e = {(const uint8_t *)x, 0, 1, c, false, false};
        if (pm__byte_has_val(x, c)) e.pay = *pm__byte_val(x, c), s->e[s->n++] = e, took++;
        if (pm__byte_has_child(x, c)) e.child = true, e.pay = *pm__byte_child(x, c), s->e[s->n++] = e, took++;
    }
    return took == (unsigned)x->nc + x->nv;
}

/* The place at the suffix (of length len) of entries [i, end): a child, or a run that goes on. */
static pm_place pm__alg_place_of(const pm__alg_side *s, unsigned i, unsigned end, unsigned len) {
    if (s->e[i].child && s->e[i].len == len)
        return s->folded == (int)i ? s->behind : pm__alg_root(s->e[i].pay);
    pm_place p = {s->node, (uint16_t)(s->depth + len), (uint8_t)(s->lo + i), (uint8_t)(s->lo + end)};
    if (s->folded >= 0) p.lo = (uint8_t)s->lo, p.hi = s->behind.hi; /* within the prefix: all there is */
    return p;
}

/* Common length of two suffixes. Eight bytes behind an entry's bytes can be read. */
static PM__INLINE size_t pm__alg_common(const pm__ent *a, const pm__ent *b) {
    size_t min = a->len < b->len ? a->len : b->len;
    if (!min || a->first != b->first) return 0;
    if (min == 1) return 1;
    if (min > 9) return 1 + pm__lcp(a->rest, b->rest, min - 1);
    uint64_t x = (pm__load64le(a->rest) ^ pm__load64le(b->rest)) & (UINT64_MAX >> (8 * (9 - min)));
    return x ? 1 + (size_t)pm__ctz64(x) / 8 : min;
}

/* ---- merging two lists --------------------------------------------------------------------------------------- */

typedef struct pm__alg_merge {
    pm__alg *q;
    pm__alg_frame *f;
    pm__alg_side a, b;
} pm__alg_merge;

static void pm__alg_differ(pm__alg_frame *f, unsigned keeps) {
    if (!(keeps & PM_ALG_LEFT)) f->same_a = false;
    if (!(keeps & PM_ALG_RIGHT)) f->same_b = false;
}

/* Keeps entry i of a side as it is. A folded one is a pair with its answer known. */
static void pm__alg_keep(pm__alg_merge *g, const pm__alg_side *s, unsigned i) {
    pm__alg_frame *f = g->f;
    if (s->folded == (int)i) {
        pm__alg_pair *p = &f->pairs[f->npairs++];
        pm_place none = {0, 0, 0, 0};
        bool left = s == &g->a;
        p->a = left ? s->behind : none;
        p->b = left ? none : s->behind;
        p->ref = 0;
        p->alg = left ? PM_ALG_LEFT : PM_ALG_RIGHT;
        p->at = (uint8_t)f->nents;
        p->count = 1;
        p->spelled = 0;
        p->len = s->e[i].len;
    }
    f->ents[f->nents++] = s->e[i];
}

/* The location of a dangling entry has a value on the other side, which was dealt with just before. */
static bool pm__alg_valued(const pm__alg_side *other, unsigned next, const pm__ent *e) {
    if (!next || other->e[next - 1].child || other->e[next - 1].len != e->len) return false;
    return pm__alg_common(&other->e[next - 1], e) == e->len;
}

static bool pm__alg_is_stub(const pm__alg_side *s, unsigned i) {
    return s->e[i].child && !s->e[i].pay && s->folded != (int)i;
}

/* Entry i is in A only. `j` is the next entry of B. */
static void pm__alg_only_a(pm__alg_merge *g, unsigned i, unsigned j) {
    pm__alg_op op = g->q->op;
    bool beside = pm__alg_is_stub(&g->a, i) && pm__alg_valued(&g->b, j, &g->a.e[i]);
    if (op == PM__ALG_JOIN && beside) return; /* B's value keeps the location, and B has nothing else to say of it */
    if (op == PM__ALG_MEET || op == PM__ALG_RESTRICT || beside) {
        g->f->same_a = false;
        return;
    }
    pm__alg_keep(g, &g->a, i);
    g->f->same_b = false;
}

static void pm__alg_only_b(pm__alg_merge *g, unsigned i, unsigned j) {
    if (g->q->op != PM__ALG_JOIN) {
        g->f->same_b = false;
        return;
    }
    if (pm__alg_is_stub(&g->b, j) && pm__alg_valued(&g->a, i, &g->b.e[j])) return;
    pm__alg_keep(g, &g->b, j);
    g->f->same_a = false;
}

/* Two values at one location. */
static bool pm__alg_meet_values(pm__alg_merge *g, unsigned i, unsigned j) {
    pm__alg_val r;
    pm__ent *e = &g->f->ents[g->f->nents];
    *e = g->a.e[i];
    if (e->pay == g->b.e[j].pay && g->q->idempotent) {
        g->f->nents += g->q->op != PM__ALG_SUB;
        if (g->q->op == PM__ALG_SUB) g->f->same_a = g->f->same_b = false;
        return true;
    }
    if (!pm__alg_value(g->q, &g->a.e[i].pay, &g->b.e[j].pay, &r)) return false;
    pm__alg_differ(g->f, r.some ? r.alg : 0);
    if (!r.some) return true;
    g->f->nents++;
    e->pay = r.val;
    e->fresh = r.fresh;
    return true;
}

/* Runs [i, iend) and [j, jend) meet at a suffix of length len, at least one of them being a child just there. */
static void pm__alg_meet_runs(pm__alg_merge *g, unsigned i, unsigned iend, unsigned j, unsigned jend, unsigned len) {
    pm__alg_frame *f = g->f;
    pm__alg_op op = g->q->op;
    bool stub_a = pm__alg_is_stub(&g->a, i) && g->a.e[i].len == len;
    bool stub_b = pm__alg_is_stub(&g->b, j) && g->b.e[j].len == len;
    if (stub_a || stub_b) {
        if (op == PM__ALG_JOIN || (op == PM__ALG_MEET && stub_a && stub_b)) {
            const pm__alg_side *s = stub_a ? &g->b : &g->a;
            unsigned k = stub_a ? j : i, end = stub_a ? jend : iend;
            for (; k < end; k++) pm__alg_keep(g, s, k);
            pm__alg_differ(f, stub_a == stub_b ? PM_ALG_BOTH : stub_a ? PM_ALG_RIGHT : PM_ALG_LEFT);
        } else if (op == PM__ALG_SUB && !stub_a) {
            for (; i < iend; i++) pm__alg_keep(g, &g->a, i);
            f->same_b = false;
        } else {
            f->same_a = f->same_b = false;
        }
        return;
    }
    pm__alg_pair *p = &f->pairs[f->npairs++];
    bool run_a = g->a.e[i].len != len, run_b = g->b.e[j].len != len;
    bool spell_a = run_a || (!run_b && g->a.folded != (int)i);
    const pm__alg_side *s = spell_a ? &g->a : &g->b;
    unsigned from = spell_a ? i : j, end = spell_a ? iend : jend;
    p->a = pm__alg_place_of(&g->a, i, iend, len);
    p->b = pm__alg_place_of(&g->b, j, jend, len);
    p->ref = 0;
    p->alg = PM__ALG_WAITS;
    p->at = (uint8_t)f->nents;
    p->count = (uint8_t)(end - from);
    p->spelled = s->folded >= (int)from && s->folded < (int)end ? 0 : spell_a ? PM_ALG_LEFT : PM_ALG_RIGHT;
    p->len = (uint16_t)len;
    memcpy(f->ents + f->nents, s->e + from, (end - from) * sizeof(pm__ent));
    f->nents += end - from;
}

/* The end of the run of entries that go on from `e`. */
static unsigned pm__alg_run_end(const pm__alg_side *s, unsigned i, const pm__ent *e) {
    while (i < s->n && s->e[i].len >= e->len && pm__alg_common(&s->e[i], e) == e->len) i++;
    return i;
}

/* Where B has a value, restriction keeps everything of A at and below. */
static unsigned pm__alg_cover(pm__alg_merge *g, unsigned i, unsigned j) {
    unsigned end = pm__alg_run_end(&g->a, i, &g->b.e[j]);
    for (; i < end; i++) pm__alg_keep(g, &g->a, i);
    return end;
}

/* The first eight bytes of each suffix as a number that sorts alike; shorter ones are filled up with zeros. */
static void pm__alg_keys(const pm__alg_side *s, uint64_t *out) {
    for (unsigned i = 0; i < s->n; i++) {
        const pm__ent *e = &s->e[i];
        unsigned l = e->len < 8 ? e->len : 8;
        uint64_t k = l > 1 ? pm__load64be(e->rest) >> 8 : 0;
        k |= (uint64_t)e->first << 56;
        out[i] = l ? k & ~(((uint64_t)1 << 8 * (8 - l)) - 1) : 0;
    }
}

/* Goes past entries that part within their first eight bytes; most do. */
static PM__INLINE void pm__alg_pass(pm__alg_merge *g, const uint64_t *ka, const uint64_t *kb, unsigned *i,
                                    unsigned *j) {
    bool drops = g->q->op == PM__ALG_MEET || g->q->op == PM__ALG_RESTRICT;
    while (*i < g->a.n && *j < g->b.n) {
        uint64_t x = ka[*i], y = kb[*j];
        if (x == y) return;
        unsigned l = pm__clz64(x ^ y) / 8;
        if (l >= g->a.e[*i].len || l >= g->b.e[*j].len) return;
        if (drops) {
            bool less = x < y;
            g->f->same_a &= !less;
            g->f->same_b &= less;
            *i += less;
            *j += !less;
        } else if (x < y) {
            pm__alg_only_a(g, (*i)++, *j);
        } else {
            pm__alg_only_b(g, *i, (*j)++);
        }
    }
}

/* Merges the lists. False: a value hook is wrong. */
static bool pm__alg_merge_lists(pm__alg_merge *g) {
    uint64_t ka[PM__ALG_LIST], kb[PM__ALG_LIST];
    unsigned i = 0, j = 0;
    pm__alg_keys(&g->a, ka);
    pm__alg_keys(&g->b, kb);
    for (;;) {
        pm__alg_pass(g, ka, kb, &i, &j);
        if (i >= g->a.n || j >= g->b.n) break;
        const pm__ent *a = &g->a.e[i], *b = &g->b.e[j];
        size_t l = pm__alg_common(a, b);
        bool ends_a = l == a->len, ends_b = l == b->len;
        if (ends_b && !b->child && g->q->op == PM__ALG_RESTRICT) {
            i = pm__alg_cover(g, i, j++);
        } else if (ends_a && ends_b && a->child == b->child) {
            if (a->child) pm__alg_meet_runs(g, i, i + 1, j, j + 1, (unsigned)l);
            else if (!pm__alg_meet_values(g, i, j)) return false;
            i++, j++;
        } else if (ends_a && !a->child) {
            pm__alg_only_a(g, i++, j);
        } else if (ends_b && !b->child) {
            pm__alg_only_b(g, i, j++);
        } else if (ends_a) {
            unsigned end = pm__alg_run_end(&g->b, j, a);
            pm__alg_meet_runs(g, i, i + 1, j, end, (unsigned)l);
            i++, j = end;
        } else if (ends_b) {
            unsigned end = pm__alg_run_end(&g->a, i, b);
            pm__alg_meet_runs(g, i, end, j, j + 1, (unsigned)l);
            i = end, j++;
        } else {
            uint8_t ca = pm__ent_at(a, l), cb = pm__ent_at(b, l);
            if (ca < cb) pm__alg_only_a(g, i++, j);
            else pm__alg_only_b(g, i, j++);
        }
    }
    while (i < g->a.n) pm__alg_only_a(g, i++, j);
    while (j < g->b.n) pm__alg_only_b(g, i, j++);
    return true;
}

/* Of two entries with equal keys: below 0, 0 or above 0 as the one is less than, equal to or greater than the other. */
static int pm__alg_compare(const pm__ent *a, const pm__ent *b) {
    size_t l = pm__alg_common(a, b);
    if (l == a->len || l == b->len) return (a->len > b->len) - (a->len < b->len);
    return pm__ent_at(a, l) < pm__ent_at(b, l) ? -1 : 1;
}

static bool pm__alg_only_values(const pm__alg_side *s) {
    unsigned any = 0;
    for (unsigned i = 0; i < s->n; i++) any |= s->e[i].child;
    return !any;
}

/* The merge of lists of values, not for restrict: runs do not matter, so it can do without branches that are hard to
   foresee. `keep_a`, `keep_b`: what only one side has stays. */
static PM__INLINE bool pm__alg_merge_keys(pm__alg_merge *g, const uint64_t *ka, const uint64_t *kb, bool keep_a,
                                          bool keep_b) {
    unsigned i = 0, j = 0, n = 0, na = g->a.n, nb = g->b.n, both = 0;
    pm__ent *out = g->f->ents;
    while (i < na && j < nb) {
        uint64_t x = ka[i], y = kb[j];
        int c = x < y ? -1 : 1;
        if (x == y && (c = pm__alg_compare(&g->a.e[i], &g->b.e[j])) == 0) {
            g->f->nents = n;
            if (!pm__alg_meet_values(g, i, j)) return false;
            n = g->f->nents;
            i++, j++, both++;
            continue;
        }
        unsigned less = c < 0;
        if (keep_b) {
            const pm__ent *from[2] = {&g->b.e[j], &g->a.e[i]};
            out[n++] = *from[less];
        } else if (keep_a) {
            out[n] = g->a.e[i];
            n += less;
        }
        i += less;
        j += !less;
    }
    for (unsigned k = i; keep_a && k < na; k++) out[n++] = g->a.e[k];
    for (; keep_b && j < nb; j++) out[n++] = g->b.e[j];
    g->f->nents = n;
    if (both < na) *(keep_a ? &g->f->same_b : &g->f->same_a) = false;
    if (both < nb) *(keep_b ? &g->f->same_a : &g->f->same_b) = false;
    return true;
}

static bool pm__alg_merge_values(pm__alg_merge *g) {
    uint64_t ka[PM__ALG_LIST], kb[PM__ALG_LIST];
    pm__alg_keys(&g->a, ka);
    pm__alg_keys(&g->b, kb);
    if (g->q->op == PM__ALG_JOIN) return pm__alg_merge_keys(g, ka, kb, true, true);
    if (g->q->op == PM__ALG_SUB) return pm__alg_merge_keys(g, ka, kb, true, false);
    return pm__alg_merge_keys(g, ka, kb, false, false);
}

/* True if entries i of x and j of y are the same: suffix, kind, and payload word. hx, hy: where their bytes begin. */
static PM__INLINE bool pm__alg_twin(const pm__line *x, unsigned i, const uint8_t *hx, const pm__line *y, unsigned j,
                                    const uint8_t *hy) {
    unsigned l = pm__line_lens(x)[i];
    if (x->body[i] != y->body[j] || l != pm__line_lens(y)[j]) return false;
    if ((x->cmask >> i ^ y->cmask >> j) & 1) return false; /* not as two bools: gcc 12 -O1 -fsanitize=thread errs */
    if ((!(x->flags & PM__LINE_UNIT) || pm__line_is_child(x, i)) && *pm__line_child(x, i) != *pm__line_child(y, j))
        return false;
    uint64_t diff = pm__load64le(hx) ^ pm__load64le(hy); /* a payload follows at least, so this stays inside */
    if (l < 8) diff &= ((uint64_t)1 << 8 * l) - 1;
    return !diff && (l <= 8 || memcmp(hx + 8, hy + 8, l - 8u) == 0);
}

/* Entries at the head and tail of two lines under one prefix which are the same in both: idempotent values make them
   stay, or go, without a look at each. Narrows both places to what is between. */
static void pm__alg_skip_twins(pm__alg_frame *f, pm_place *a, pm_place *b) {
    const pm__line *x = pm__place_line(a), *y = pm__place_line(b);
    unsigned min = x->n < y->n ? x->n : y->n, head = 0, tail = 0;
    const uint8_t *hx = pm__line_heap(x) + x->plen, *hy = pm__line_heap(y) + y->plen;
    if (pm__line_has_e(x) != pm__line_has_e(y)) return;
    for (; head < min && pm__alg_twin(x, head, hx, y, head, hy); head++) {
        hx += pm__line_lens(x)[head];
        hy += pm__line_lens(y)[head];
    }
    hx = pm__line_heap(x) + pm__line_heap_len(x), hy = pm__line_heap(y) + pm__line_heap_len(y);
    for (; head + tail < min; tail++) {
        unsigned i = x->n - 1u - tail, j = y->n - 1u - tail;
        hx -= pm__line_lens(x)[i];
        hy -= pm__line_lens(y)[j];
        if (!pm__alg_twin(x, i, hx, y, j, hy)) break;
    }
    f->twin = x;
    f->head = head;
    f->tail = tail;
    a->lo = b->lo = (uint8_t)head;
    a->hi = (uint8_t)(x->n - tail);
    b->hi = (uint8_t)(y->n - tail);
}

/* Looks for twins, if that can be of use. */
static void pm__alg_twins(pm__alg *q, pm__alg_frame *f, pm_place *a, pm_place *b, size_t common) {
    if (!q->idempotent || q->op == PM__ALG_RESTRICT || a->depth || b->depth) return;
    if (pm__place_line(a)->plen != common || pm__place_line(b)->plen != common) return;
    pm__alg_skip_twins(f, a, b);
    if (q->op != PM__ALG_SUB || f->head + f->tail == 0) return;
    f->head = f->tail = 0;
    f->same_a = f->same_b = false;
}

/* Most entries of one side that a list can have. */
static unsigned pm__alg_room(const pm_place *p, bool line) {
    return line ? (unsigned)p->hi - p->lo + 1u : 2u * PM__LINE_ENTRIES;
}

/* Opens a pair as lists. The frame is left on the stack, whatever it still waits for. False: see q->status. */
static PM__NOINLINE bool pm__alg_open_lists(pm__alg *q, const pm_place *pa, const pm_place *pb) {
    pm__alg_merge g;
    pm_place a = *pa, b = *pb;
    const uint8_t *ahead_a = NULL, *ahead_b = NULL;
    bool line_a = pm__place_in_line(&a), line_b = pm__place_in_line(&b), others = false;
    size_t na = line_a ? pm__alg_ahead(&a, &ahead_a) : 0, nb = line_b ? pm__alg_ahead(&b, &ahead_b) : 0, m = 0;
    if (na && nb) m = pm__lcp(ahead_a, ahead_b, na < nb ? na : nb);
    unsigned room = pm__alg_room(&a, line_a) + pm__alg_room(&b, line_b);
    size_t spelled = (na > m ? PM__LINE_BYTES + 8u : 0) + (nb > m ? PM__LINE_BYTES + 8u : 0);
    pm__alg_frame *f = pm__alg_push(q, room, room, 0, spelled);
    if (!f) {
        q->status = PM_NOMEM;
        return false;
    }
    if (line_a && line_b) pm__alg_twins(q, f, &a, &b, m);
    uint8_t *bytes = (uint8_t *)f->vals;
    g.a.n = g.b.n = 0;
    if (line_a) pm__alg_list_line(&g.a, &a, m, bytes);
    if (line_b) pm__alg_list_line(&g.b, &b, m, bytes + (na > m ? PM__LINE_BYTES + 8 : 0));
    if (!line_a) others = !pm__alg_list_byte(&g.a, &a, &g.b);
    if (!line_b) others = !pm__alg_list_byte(&g.b, &b, &g.a);
    if (others && !line_a) f->same_a = false;
    if (others && !line_b) f->same_b = false;
    f->prefix = ahead_a;
    f->plen = m;
    g.q = q;
    g.f = f;
    if (q->op != PM__ALG_RESTRICT && pm__alg_only_values(&g.a) && pm__alg_only_values(&g.b))
        return pm__alg_merge_values(&g);
    return pm__alg_merge_lists(&g);
}

/* ---- closing a list ------------------------------------------------------------------------------------------ */

enum { PM__ALG_ABSORB = 8 }; /* a new line of at most so many entries is spelled out in the list above it */

/* The final list, with what it takes over from the nodes absorbed. */
typedef struct pm__alg_final {
    pm__ent e[PM__BUILD_ENTS];
    unsigned n, nshells;
    size_t cost;   /* bytes of line that the list takes */
    size_t nbytes;
    pm__ref shells[PM__ALG_LIST];
    uint8_t bytes[PM__LINE_BYTES + 2 * PM__SUFFIX_MAX + 8];
} pm__alg_final;

static size_t pm__alg_cost(const pm__ent *e) { return 9u + e->len; }

/* Spells out a new child of suffix s[0..len) under `above` bytes of prefix, if it is a small line and there is room. */
static bool pm__alg_absorb(pm__alg_final *t, const pm__ent *s, size_t above) {
    if (!s->pay || pm__ref_kind(s->pay) != PM__LINE || !pm__ref_is_unique(s->pay)) return false;
    const pm__line *y = (const pm__line *)pm__ref_ptr(s->pay);
    size_t each = (size_t)s->len + y->plen, heap = pm__line_heap_len(y) - y->plen;
    size_t need = y->n * each + heap + y->n, more = need + 9u * y->n;
    if (y->n > PM__ALG_ABSORB || t->cost - pm__alg_cost(s) + more > PM__LINE_BYTES - 32 ||
        t->n + y->n > PM__LINE_ENTRIES || t->nbytes + need > PM__LINE_BYTES)
        return false;
    for (unsigned i = 0; i < y->n; i++)
        if (above + each + pm__line_suffix(y, i) > PM__SUFFIX_MAX) return false;
    pm__ent ents[PM__LINE_ENTRIES];
    pm__line_decode(y, ents);
    for (unsigned i = 0; i < y->n; i++) {
        uint8_t *to = t->bytes + t->nbytes;
        pm__ent *e = &ents[i];
        to[0] = s->first;
        memcpy(to + 1, s->rest, s->len - 1u);
        memcpy(to + s->len, pm__line_heap(y), y->plen);
        if (e->len) {
            to[each] = e->first;
            memcpy(to + each + 1, e->rest, e->len - 1u);
        }
        t->nbytes += each + e->len;
        t->e[t->n] = pm__ent_make(to, each + e->len, e->child, e->pay);
        t->n++;
    }
    t->shells[t->nshells++] = s->pay;
    t->cost = t->cost - pm__alg_cost(s) + more;
    return true;
}

/* A line of a list that fits one; eight bytes behind an entry's bytes can be read. 0: it does not, or no memory. */
static pm__ref pm__alg_line(const pm__cx *cx, const uint8_t *prefix, size_t plen, const pm__ent *e, unsigned n) {
    size_t lcp = pm__build_lcp(e, n, 0, plen);
    size_t size = n > PM__LINE_ENTRIES ? 0 : pm__build_fits(cx, e, n, plen + lcp, lcp);
    pm__line *x = size ? (pm__line *)pm__mem_alloc(cx->pool, size) : NULL;
    if (!x) return 0;
    uint32_t cmask = 0;
    uint8_t flags = (uint8_t)(PM__LINE | (cx->unit ? PM__LINE_UNIT : 0)), *h = x->body + 2 * n;
    if (plen) memcpy(h, prefix, plen);
    h += plen;
    for (size_t j = 0; j < lcp; j++) *h++ = pm__ent_at(&e[0], j);
    for (unsigned i = 0; i < n; i++) { /* payloads come after, so that writing eight bytes at a time does no harm */
        size_t l = e[i].len - lcp;
        cmask |= (uint32_t)e[i].child << i;
        x->body[i] = x->body[n + i] = 0;
        if (l == 0) {
            flags |= PM__LINE_E;
            continue;
        }
        x->body[i] = lcp ? e[i].rest[lcp - 1] : e[i].first;
        x->body[n + i] = (uint8_t)--l;
        if (l - 1 < 8) pm__store64(h, pm__load64(e[i].rest + lcp));
        else if (l) memcpy(h, e[i].rest + lcp, l);
        h += l;
    }
    uint64_t *pay = (uint64_t *)(void *)((char *)x + size);
    for (unsigned i = 0; i < n; i++)
        if (e[i].child || !cx->unit) *--pay = e[i].pay;
    pm__count_init(&x->rc);
    x->flags = flags;
    x->n = (uint8_t)n;
    x->plen = (uint8_t)(plen + lcp);
    x->size8 = (uint8_t)(size / 8);
    x->cmask = cmask;
    return pm__ref_make(x, PM__LINE, size);
}

/* Builds a list; what is not fresh gains a reference. 0: no memory. */
static pm__ref pm__alg_build(pm__alg *q, const pm__ent *e, unsigned n, const uint8_t *prefix, size_t plen) {
    pm__ref r = pm__alg_line(q->cx, prefix, plen, e, n);
    if (!r) r = pm__build_nodes(q->cx, prefix, plen, e, n, 0);
    if (!r) {
        q->status = PM_NOMEM;
        return 0;
    }
    for (unsigned i = 0; i < n; i++)
        if (e[i].child && !e[i].fresh) PM__PREFETCH(pm__ref_ptr(e[i].pay));
    for (unsigned i = 0; i < n; i++)
        if (!e[i].fresh) pm__pay_retain(q->cx, e[i].child, e[i].pay);
    return r;
}

/* Builds the final list; what was absorbed has moved. False: no memory. */
static bool pm__alg_build_final(pm__alg *q, pm__alg_final *t, const uint8_t *prefix, size_t plen, pm__ref *out) {
    *out = pm__alg_build(q, t->e, t->n, prefix, plen);
    while (*out && t->nshells) {
        pm__line *y = (pm__line *)pm__ref_ptr(t->shells[--t->nshells]);
        pm__mem_free(y, pm__line_size(y));
    }
    return *out != 0;
}

/* Makes a node of its own of what a pair keeps of one side, where that is not on a node's root. False: no memory. */
static bool pm__alg_own(pm__alg *q, pm__alg_pair *p, const pm_place *at) {
    pm_place e = *at;
    pm__ref r;
    if (!pm__place_enter(&e) || e.depth == 0) return true;
    if (!pm__place_share(q->cx, &e, &r)) {
        q->status = PM_NOMEM;
        return false;
    }
    p->ref = r;
    p->alg = PM_ALG_ELEMENT;
    return true;
}

/* Whose content a pair keeps: PM_ALG_LEFT, PM_ALG_RIGHT, PM_ALG_ELEMENT, or PM_ALG_NONE if nothing lies there. */
static pm_alg pm__alg_kept(const pm__alg_pair *p, pm_place *at) {
    pm_place e = p->a;
    if (p->alg == PM_ALG_ELEMENT) return PM_ALG_ELEMENT;
    if ((p->alg & PM_ALG_LEFT) && pm__place_enter(&e)) {
        *at = e;
        return PM_ALG_LEFT;
    }
    e = p->b;
    if ((p->alg & PM_ALG_RIGHT) && pm__place_enter(&e)) {
        *at = e;
        return PM_ALG_RIGHT;
    }
    return PM_ALG_NONE;
}

/* Writes what a pair came to into the final list. False: no memory. */
static bool pm__alg_resolve(pm__alg *q, pm__alg_frame *f, pm__alg_pair *p, pm__alg_final *t) {
    pm_place at = {0, 0, 0, 0};
    pm_alg kept = pm__alg_kept(p, &at);
    if (kept == PM_ALG_NONE) return true;
    if (p->spelled && (p->alg & p->spelled) && p->alg != PM_ALG_ELEMENT) {
        memcpy(t->e + t->n, f->ents + p->at, p->count * sizeof(pm__ent));
        t->n += p->count;
        return true;
    }
    if (kept != PM_ALG_ELEMENT && !pm__alg_own(q, p, &at)) return false;
    pm__ent *e = &t->e[t->n++];
    *e = f->ents[p->at];
    e->len = p->len;
    e->child = true;
    e->fresh = p->alg == PM_ALG_ELEMENT;
    e->pay = e->fresh ? p->ref : at.node;
    return true;
}

/* What entries of the frame are not pairs' stand-ins, and what the pairs came to, in order. */
static bool pm__alg_gather(pm__alg *q, pm__alg_frame *f, pm__alg_final *t) {
    unsigned from = 0;
    t->n = f->head;
    t->nshells = 0;
    t->nbytes = 0;
    if (f->head) pm__alg_decode(f->twin, 0, f->head, 0, t->e);
    for (unsigned i = 0; i < f->npairs; i++) {
        pm__alg_pair *p = &f->pairs[i];
        memcpy(t->e + t->n, f->ents + from, (p->at - from) * sizeof(pm__ent));
        t->n += p->at - from;
        from = (unsigned)p->at + p->count;
        if (!pm__alg_resolve(q, f, p, t)) return false;
    }
    memcpy(t->e + t->n, f->ents + from, (f->nents - from) * sizeof(pm__ent));
    t->n += f->nents - from;
    if (f->tail) pm__alg_decode(f->twin, f->twin->n - f->tail, f->twin->n, 0, t->e + t->n);
    t->n += f->tail;
    return true;
}

/* Spells small new lines out in the list, where there is room. */
static void pm__alg_condense(pm__alg_final *t, size_t plen) {
    pm__ent from[PM__BUILD_ENTS];
    unsigned n = t->n;
    t->cost = PM__LINE_HDR + plen;
    for (unsigned i = 0; i < n; i++) t->cost += pm__alg_cost(&t->e[i]);
    memcpy(from, t->e, n * sizeof *from);
    t->n = 0;
    for (unsigned i = 0; i < n; i++) {
        bool room = n - i - 1 + t->n + PM__ALG_ABSORB <= PM__LINE_ENTRIES;
        if (from[i].child && from[i].fresh && room && pm__alg_absorb(t, &from[i], plen)) continue;
        t->e[t->n++] = from[i];
    }
}

/* A list with pairs, or with twins. */
static PM__NOINLINE bool pm__alg_close_mixed(pm__alg *q, pm__alg_frame *f, bool made, pm__alg_answer *out) {
    pm__alg_final t;
    if (!pm__alg_gather(q, f, &t)) return false;
    if (t.n == 0) return true;
    if (made) pm__alg_condense(&t, f->plen);
    out->alg = PM_ALG_ELEMENT;
    return pm__alg_build_final(q, &t, f->prefix, f->plen, &out->ref);
}

static bool pm__alg_close_lists(pm__alg *q, pm__alg_frame *f, pm__alg_answer *out) {
    bool made = false;
    for (unsigned i = 0; i < f->npairs; i++) {
        pm_place at;
        const pm__alg_pair *p = &f->pairs[i];
        made = made || p->alg == PM_ALG_ELEMENT;
        pm__alg_differ(f, p->alg == PM_ALG_ELEMENT || pm__alg_kept(p, &at) == PM_ALG_NONE ? 0u : p->alg);
    }
    out->ref = 0;
    out->alg = (uint8_t)((f->same_a ? PM_ALG_LEFT : 0) | (f->same_b ? PM_ALG_RIGHT : 0));
    if (out->alg) return true;
    if (f->npairs + f->head + f->tail) return pm__alg_close_mixed(q, f, made, out);
    if (f->nents == 0) return true;
    out->alg = PM_ALG_ELEMENT;
    out->ref = pm__alg_build(q, f->ents, f->nents, f->prefix, f->plen);
    return out->ref != 0;
}
