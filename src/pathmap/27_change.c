/* Changes of one node: entries put into a line or a byte node and taken out of it, and what becomes of one that is
   full.

   A line that has no room is divided: the group of entries that takes most bytes with it moves into a line below. Or it
   goes up: where the line above has room, its groups become entries there. A full part of a range node becomes two
   parts, and a range node of too many parts is built anew. Whatever is not as simple as that goes to the builder.

   Each function takes the slot of the node, which it may replace; content does not change but for what is added or
   taken out, and without memory nothing has changed. Payloads that leave a node are the caller's. */
#include "26_place.c"

/* ---- a node in the place of another ------------------------------------------------------------------------------ */

/* Puts r, which has been built of `ents`, in the place of the line in *slot. Payloads that are not fresh come from that
   line: they move if it was unshared, else they gain a reference. Payloads of the line that `ents` leave out are the
   caller's to release if it owned the line alone. r 0: no memory; false then, and nothing changed. */
static bool pm__change_put(const pm__cx *cx, pm__ref *slot, pm__ref r, const pm__ent *ents, unsigned n) {
    pm__ref old = *slot;
    pm__line *x = (pm__line *)pm__ref_ptr(old);
    if (!r) return false;
    *slot = r;
    if (pm__ref_is_unique(old)) {
        pm__mem_free(x, pm__line_size(x));
        return true;
    }
    for (unsigned i = 0; i < n; i++)
        if (!ents[i].fresh) pm__pay_retain(cx, ents[i].child, ents[i].pay);
    pm__any_release(cx, old);
    return true;
}

/* The same with what `ents` say. The line may be a part of a range node. */
static bool pm__change_replace(const pm__cx *cx, pm__ref *slot, const uint8_t *p, size_t plen, pm__ent *ents,
                               unsigned n) {
    return pm__change_put(cx, slot, pm__build_part_nodes(cx, p, plen, ents, n), ents, n);
}

/* Swaps the line in *slot for a node that took over all its payloads. */
static void pm__change_supersede(const pm__cx *cx, pm__ref *slot, pm__ref r) {
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    if (pm__ref_is_unique(*slot)) {
        pm__mem_free(x, pm__line_size(x));
    } else {
        pm__any_line_retain_pays(cx, x);
        pm__any_release(cx, *slot);
    }
    *slot = r;
}

/* ---- a full line goes up ----------------------------------------------------------------------------------------- */

/* The entry of a line through which a walk came to the line below, or which part of a range node that is. */
typedef struct pm__above {
    pm__ref *slot; /* the node above, unshared; NULL: the walk came from elsewhere */
    unsigned i;
    bool range;
} pm__above;

enum { PM__HOIST_GROUPS = 6, PM__HOIST_SINGLES = 2 };

/* A full line on its way into the line above. */
typedef struct pm__hoist {
    const pm__ent *ents; /* of the full line, one more than it can hold */
    unsigned n, total;   /* entries of it, of the line above anew */
    unsigned nup, pays;
    size_t used, heap, longest;
    pm__ent up[2 * PM__HOIST_GROUPS + 1]; /* in the place of the entry that leads to the full line; */
    struct {
        unsigned at, lo, hi; /* up[at] leads to entries [lo, hi) of the full line, without q bytes of suffix */
        size_t q;
    } below[PM__HOIST_GROUPS];
    unsigned nbelow;
    uint8_t bytes[PM__LINE_BYTES];
} pm__hoist;

/* Adds an entry that has the bytes of c and those of the line's prefix in front of `len` bytes of e's suffix. False: no
   room. */
static bool pm__hoist_add(pm__hoist *g, const pm__ent *c, const pm__line *x, const pm__ent *e, size_t len,
                          bool child) {
    const size_t all = c->len + x->plen + len;
    uint8_t *to = g->bytes + g->used;
    pm__ent head = *e;
    if (g->total == PM__LINE_ENTRIES || g->used + all > sizeof g->bytes) return false;
    head.len = (uint32_t)len;
    uint8_t *mid = pm__ent_spell(to, c);
    memcpy(mid, pm__line_heap(x), x->plen);
    (void)pm__ent_spell(mid + x->plen, &head);
    g->up[g->nup++] = pm__ent_make(to, all, child, e->pay);
    g->used += all, g->heap += all - 1;
    if (all > g->longest) g->longest = all;
    g->pays += child || !(x->flags & PM__LINE_UNIT);
    g->total++;
    return true;
}

/* Lists what takes the place of entry i of the line above: an entry for each group of the full line, or for each
   member of a small one. False: no room. */
static bool pm__hoist_plan(pm__hoist *g, const pm__line *u, unsigned i, const pm__line *x) {
    const pm__ent *ents = g->ents, above = pm__line_ent(u, i, pm__line_off(u, i));
    g->total = u->n - 1u, g->pays = pm__line_pay_count(u) - 1u, g->heap = pm__line_heap_len(u) - (above.len - 1u);
    g->used = g->longest = 0, g->nbelow = g->nup = 0;
    unsigned lo = ents[0].len == 0;
    if (lo && !pm__hoist_add(g, &above, x, &ents[0], 0, false)) return false;
    for (unsigned hi; lo < g->n; lo = hi) {
        hi = (unsigned)pm__build_group_end(ents, g->n, lo, 0);
        if (hi - lo <= PM__HOIST_SINGLES) {
            for (unsigned k = lo; k < hi; k++)
                if (!pm__hoist_add(g, &above, x, &ents[k], ents[k].len, ents[k].child)) return false;
            continue;
        }
        size_t q = pm__ent_lcp(&ents[lo], &ents[hi - 1], 0, ents[lo].len);
        bool here = ents[lo].len == q;
        if (here && !pm__hoist_add(g, &above, x, &ents[lo], q, false)) return false;
        g->below[g->nbelow].at = g->nup, g->below[g->nbelow].q = q;
        g->below[g->nbelow].lo = lo + here, g->below[g->nbelow++].hi = hi;
        if (!pm__hoist_add(g, &above, x, &ents[lo], q, true)) return false;
    }
    return u->plen + g->longest <= PM__SUFFIX_MAX;
}

/* Makes the line above anew. 0: no memory. */
static pm__ref pm__hoist_write(const pm__cx *cx, const pm__hoist *g, const pm__line *u, unsigned i, size_t size) {
    pm__pen w;
    if (!pm__pen_open(&w, NULL, cx, size, g->total, pm__line_heap(u), u->plen, 0)) return 0;
    pm__pen_copy(&w, u, 0, i);
    for (unsigned k = 0; k < g->nup; k++) pm__pen_put(&w, &g->up[k], 0);
    pm__pen_copy(&w, u, i + 1, u->n);
    return pm__pen_close(&w, NULL, size);
}

/* Where the line above has room, the groups of a full line, which is unshared, move up as entries there, and
   the line is gone; so a trie stays shallow. `ents` are the line's n entries, one more than it can hold. Returns 1 if
   done, 0 if not to be done, -1 without memory.
   Measured: without it lookups among nested expressions take a third more instructions. */
static PM__COLD int pm__hoist_up(const pm__cx *cx, const pm__above *up, pm__line *x, pm__ent *ents, unsigned n) {
    pm__line *u = (pm__line *)pm__ref_ptr(*up->slot);
    unsigned groups = 0, most = PM__LINE_ENTRIES + 1u - u->n;
    if (most > PM__HOIST_GROUPS) most = PM__HOIST_GROUPS;
    for (size_t i = ents[0].len == 0; i < n; i = pm__build_group_end(ents, n, i, 0))
        if (++groups > most) return 0;
    pm__hoist g;
    g.ents = ents, g.n = n;
    if (!pm__hoist_plan(&g, u, up->i, x)) return 0;
    size_t size = pm__line_need(g.total, g.heap, g.pays);
    if (!size) return 0;
    unsigned k = 0;
    pm__ref r = 0, *below = NULL;
    for (; k < g.nbelow; k++) {
        below = &g.up[g.below[k].at].pay;
        *below = pm__build_nodes(cx, NULL, 0, ents + g.below[k].lo, g.below[k].hi - g.below[k].lo, g.below[k].q);
        if (!*below) break;
    }
    if (k == g.nbelow) r = pm__hoist_write(cx, &g, u, up->i, size);
    if (!r) {
        while (k-- > 0)
            pm__build_undo(cx, ents + g.below[k].lo, g.below[k].hi - g.below[k].lo, g.up[g.below[k].at].pay);
        return -1;
    }
    pm__mem_free(x, pm__line_size(x));
    pm__mem_free(u, pm__line_size(u));
    *up->slot = r;
    return 1;
}

/* ---- a full part of a range node --------------------------------------------------------------------------------- */

/* A line that is full, and what comes in before one of its entries. */
typedef struct pm__full {
    const pm__line *x;
    const pm__ent *e;
    unsigned pos, n;                    /* n: entries with the new one */
    uint8_t first[PM__LINE_ENTRIES + 1]; /* theirs */
} pm__full;

static pm__full pm__full_of(const pm__line *x, unsigned pos, const pm__ent *e) {
    pm__full f;
    f.x = x, f.e = e, f.pos = pos, f.n = x->n + 1u;
    memcpy(f.first, x->body, x->n);
    memmove(f.first + pos + 1, f.first + pos, x->n - pos);
    f.first[pos] = e->first;
    return f;
}

/* Lists all of them. */
static void pm__full_list(const pm__full *f, pm__ent *ents) {
    pm__line_decode(f->x, ents);
    memmove(ents + f->pos + 1, ents + f->pos, (f->x->n - f->pos) * sizeof *ents);
    ents[f->pos] = *f->e;
}

/* Where to divide it: at a new first byte, near the middle; or near the end, where keys seem to come in order. 0:
   nowhere. */
static unsigned pm__full_cut(const pm__full *f, bool sorted) {
    for (unsigned d = 0, n = f->n; d < n; d++) {
        unsigned low = sorted ? n - 1 - d : n / 2 - (d < n / 2 ? d : n / 2), high = sorted ? low : n / 2 + d;
        if (low && f->first[low - 1] != f->first[low]) return low;
        if (high < n && high && f->first[high - 1] != f->first[high]) return high;
    }
    return 0;
}

/* Undoes nodes that have been made of entries [lo, hi). */
static void pm__full_undo(const pm__cx *cx, const pm__full *f, unsigned lo, unsigned hi, pm__ref r) {
    pm__ent ents[PM__LINE_ENTRIES + 1];
    pm__full_list(f, ents);
    pm__build_undo(cx, ents + lo, hi - lo, r);
}

/* Makes a node of entries [lo, hi), of which a line without prefix may be a part. 0: no memory. */
static pm__ref pm__full_half(const pm__cx *cx, const pm__full *f, unsigned lo, unsigned hi) {
    const pm__line *x = f->x;
    const bool in = lo <= f->pos && f->pos < hi, stored = in && (f->e->child || !cx->unit);
    const unsigned a = lo - (lo > f->pos), z = hi - (hi > f->pos), at = in ? f->pos : z;
    const unsigned pays = (z < x->n ? pm__line_pay_index(x, z) : pm__line_pay_count(x)) - pm__line_pay_index(x, a);
    size_t size = pm__line_need(hi - lo, pm__line_off(x, z) - pm__line_off(x, a) + (in ? f->e->len - 1 : 0),
                                pays + stored);
    if (!size || (f->first[lo] == f->first[hi - 1] && hi - lo > 1)) { /* more nodes, or a prefix */
        pm__ent ents[PM__LINE_ENTRIES + 1];
        pm__full_list(f, ents);
        return pm__build_part_nodes(cx, NULL, 0, ents + lo, hi - lo);
    }
    pm__pen w;
    if (!pm__pen_open(&w, NULL, cx, size, hi - lo, NULL, 0, 0)) return 0;
    pm__pen_copy(&w, x, a, at);
    if (in) pm__pen_add(&w, f->e, 0);
    pm__pen_copy(&w, x, at, z);
    return pm__pen_close(&w, NULL, size);
}

/* Makes two nodes of it. False: no memory. */
static bool pm__full_halves(const pm__cx *cx, const pm__full *f, unsigned cut, pm__ref half[2]) {
    if (!(half[0] = pm__full_half(cx, f, 0, cut))) return false;
    if ((half[1] = pm__full_half(cx, f, cut, f->n))) return true;
    pm__full_undo(cx, f, 0, cut, half[0]);
    return false;
}

static void pm__full_undo_halves(const pm__cx *cx, const pm__full *f, unsigned cut, const pm__ref half[2]) {
    pm__full_undo(cx, f, cut, f->n, half[1]);
    pm__full_undo(cx, f, 0, cut, half[0]);
}

/* Divides a full part of a range node in two. Returns as pm__hoist_up. */
static int pm__parts_divide(const pm__cx *cx, const pm__above *up, pm__ref *slot, const pm__full *f) {
    pm__line *u = (pm__line *)pm__ref_ptr(*up->slot), *y = u;
    const unsigned i = up->i, cut = pm__full_cut(f, f->pos + 1 == f->n && i + 1u == u->n);
    pm__ref old = *slot, half[2];
    size_t have = pm__line_size(u), size = pm__line_need(u->n + 1u, 0, u->n + 1u);
    if (!cut || !size) return 0;
    if (!pm__full_halves(cx, f, cut, half)) return -1;
    if (size > have) y = (pm__line *)pm__mem_alloc(cx->pool, size), have = size;
    if (!y) {
        pm__full_undo_halves(cx, f, cut, half);
        return -1;
    }
    pm__ent e = pm__ent_make(&f->first[cut], 1, true, half[1]);
    if (y != u) pm__ref_count_init(&y->rc);
    pm__line_write_insert(y, have, u, i + 1, &e, 0);
    if (y != u) pm__mem_free(u, pm__line_size(u));
    *up->slot = pm__ref_make(y, PM__RANGE, have);
    *pm__line_part_at(y, i) = old;
    pm__change_supersede(cx, pm__line_part_at(y, i), half[0]);
    return 1;
}

/* Makes a full line, which has no prefix and is no part, a range node of two, as the builder would. */
static PM__COLD int pm__parts_begin(const pm__cx *cx, pm__ref *slot, const pm__full *f) {
    const unsigned cut = pm__full_cut(f, false);
    unsigned groups = 1, tips = f->e->len == 1;
    pm__ref half[2];
    for (unsigned i = 1; i < f->n; i++) groups += f->first[i] != f->first[i - 1];
    for (unsigned i = 0; i < f->x->n; i++) tips += !pm__line_lens(f->x)[i];
    const size_t suffixes = pm__line_heap_len(f->x) + f->x->n + f->e->len;
    if (groups < PM__RANGE_GROUPS || 2 * tips > f->n || suffixes < f->n * PM__RANGE_SUFFIX) return 0;
    if (!pm__full_halves(cx, f, cut, half)) return -1;
    const uint8_t zero = 0;
    pm__ent parts[2] = {pm__ent_make(&zero, 1, true, half[0]), pm__ent_make(&f->first[cut], 1, true, half[1])};
    pm__ref r = pm__line_of_parts(cx, parts, 2);
    if (r) pm__change_supersede(cx, slot, r);
    else pm__full_undo_halves(cx, f, cut, half);
    return r ? 1 : -1;
}

/* A range node that is to have one part too many is built anew, mostly as a byte node. Returns as pm__hoist_up. */
static int pm__parts_burst(const pm__cx *cx, const pm__above *up, const pm__full *f) {
    pm__line *u = (pm__line *)pm__ref_ptr(*up->slot);
    size_t total = f->n, bytes = 0, at = 0;
    for (unsigned i = 0; i < u->n; i++) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(*pm__line_part_at(u, i));
        if (pm__ref_kind(*pm__line_part_at(u, i)) != PM__LINE) return 0;
        if (i == up->i) continue;
        total += x->n;
        if (x->plen) bytes += x->n * (size_t)(x->plen + 1) + pm__line_heap_len(x);
    }
    const size_t room = total * sizeof(pm__ent) + bytes;
    pm__ent *all = (pm__ent *)pm__mem_alloc_big(room);
    if (!all) return -1;
    uint8_t *spell = (uint8_t *)(all + total);
    for (unsigned i = 0; i < u->n; i++) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(*pm__line_part_at(u, i));
        if (i == up->i) {
            pm__full_list(f, all + at);
            at += f->n;
            continue;
        }
        pm__line_decode(x, all + at);
        for (const size_t end = at + x->n; at < end; at++) {
            if (!x->plen) continue;
            memcpy(spell, pm__line_heap(x), x->plen);
            size_t len = (size_t)(pm__ent_spell(spell + x->plen, &all[at]) - spell);
            all[at] = pm__ent_make(spell, len, all[at].child, all[at].pay);
            spell += len;
        }
    }
    pm__ref r = total > PM__RANGE_ENOUGH ? pm__build_part_nodes(cx, NULL, 0, all, total)
                                         : pm__build_nodes(cx, NULL, 0, all, total, 0);
    pm__mem_free_big(all, room);
    if (!r) return -1;
    *up->slot = r;
    for (unsigned i = 0; i < u->n; i++) pm__gather_give_up(cx, *pm__line_part_at(u, i));
    pm__mem_free(u, pm__line_size(u));
    return 1;
}

/* A part of a range node is full. Returns as pm__hoist_up. */
static PM__COLD int pm__parts_full(const pm__cx *cx, const pm__above *up, pm__ref *slot, const pm__full *f) {
    const pm__line *u = (const pm__line *)pm__ref_ptr(*up->slot);
    if (u->n < PM__LINE_ENTRIES) return pm__parts_divide(cx, up, slot, f);
    return pm__full_cut(f, false) ? pm__parts_burst(cx, up, f) : 0;
}

/* ---- a full line is divided -------------------------------------------------------------------------------------- */

/* Entries of a line that begin with the same byte, on their way into a line of their own. */
typedef struct pm__limb {
    unsigned lo, hi; /* without the value at the end of what all share, which stays */
    size_t q;        /* bytes that all share */
    size_t heap;     /* theirs, and */
    unsigned pays;
    size_t gain;     /* bytes that the line is shorter then; 0: none */
} pm__limb;

/* The entries [lo, hi), of which there are at least two. */
static pm__limb pm__limb_of(const pm__line *x, unsigned lo, unsigned hi) {
    const uint8_t *lens = pm__line_lens(x), *heap = pm__line_heap(x);
    const unsigned from = pm__line_off(x, lo), to = pm__line_off(x, hi);
    const unsigned min = lens[lo] < lens[hi - 1] ? lens[lo] : lens[hi - 1];
    pm__limb l = {lo, hi, 1 + pm__lcp(heap + from, heap + to - lens[hi - 1], min), to - from, hi - lo, 0};
    if (lens[lo] + 1u == l.q && !pm__line_is_child(x, lo)) l.lo++, l.heap -= lens[lo], l.pays--;
    if (l.hi - l.lo < 2) return l;
    if (x->flags & PM__LINE_UNIT) l.pays = pm__popcount32(x->cmask & pm__low_bits(hi) & ~pm__low_bits(lo));
    size_t all = 2 * (l.hi - l.lo) + l.heap + 8 * l.pays, child = 9 + l.q;
    if (all > child) l.gain = all - child;
    return l;
}

/* The group of entries that takes most bytes of a line with it. Without gain: there is none, or there are too many. */
static PM__COLD pm__limb pm__limb_best(const pm__line *x) {
    pm__limb best = {0, 0, 0, 0, 0, 0};
    unsigned groups = 0;
    for (unsigned lo = pm__line_has_e(x), hi; lo < x->n; lo = hi) {
        hi = lo + 1;
        while (hi < x->n && x->body[hi] == x->body[lo]) hi++;
        if (++groups > PM__BUILD_GROUPS) {
            best.gain = 0;
            break;
        }
        if (hi - lo < 2) continue;
        pm__limb l = pm__limb_of(x, lo, hi);
        if (l.gain > best.gain) best = l;
    }
    return best;
}

/* Makes the line of a group, with e at `pos`, if that is not NULL. 0: no memory. */
static pm__ref pm__limb_write(const pm__cx *cx, const pm__limb *l, const pm__line *x, size_t size, unsigned pos,
                              const pm__ent *e) {
    pm__pen w;
    unsigned off = pm__line_off(x, l->lo);
    if (!pm__pen_open(&w, NULL, cx, size, l->hi - l->lo + (e != NULL), NULL, 0, 0)) return 0;
    for (unsigned i = l->lo; i < l->hi; off += pm__line_lens(x)[i++]) {
        pm__ent old = pm__line_ent(x, i, off);
        if (e && i == pos) pm__pen_add(&w, e, l->q);
        pm__pen_add(&w, &old, l->q);
    }
    if (e && pos == l->hi) pm__pen_add(&w, e, l->q);
    return pm__pen_close(&w, NULL, size);
}

/* Makes the line anew that a group has left for `below`, with e at `pos`, if that is not NULL. 0: no memory. */
static pm__ref pm__limb_leave(const pm__cx *cx, const pm__limb *l, const pm__line *x, pm__ref below, size_t size,
                              unsigned pos, const pm__ent *e) {
    pm__pen w;
    const pm__ent first = pm__line_ent(x, l->lo, pm__line_off(x, l->lo));
    const unsigned at = e ? pos : x->n, before = at < l->lo ? at : l->lo, behind = at > l->hi ? at : l->hi;
    if (!pm__pen_open(&w, NULL, cx, size, x->n - (l->hi - l->lo) + 1 + (e != NULL), pm__line_heap(x), x->plen, 0))
        return 0;
    pm__pen_copy(&w, x, 0, before);
    if (e && at <= l->lo) pm__pen_add(&w, e, 0);
    pm__pen_copy(&w, x, before, l->lo);
    pm__copy_short(w.heap, first.rest, l->q - 1);
    pm__pen_next(&w, first.first, l->q - 1, true, below);
    pm__pen_copy(&w, x, l->hi, behind);
    if (e && at > l->lo) pm__pen_add(&w, e, 0);
    pm__pen_copy(&w, x, behind, x->n);
    return pm__pen_close(&w, NULL, size);
}

/* Divides a full line, which is unshared and no part of a range node, in two: the group that takes most moves below, e
   goes before `pos` in either. Returns 1 if done, 0 if one group is not enough, -1 without memory.
   Measured: taking the line apart for the builder takes about 2.4 times as many instructions. */
static PM__COLD int pm__limb_divide(const pm__cx *cx, pm__ref *slot, unsigned pos, const pm__ent *e) {
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    const pm__limb l = pm__limb_best(x);
    if (!l.gain || l.hi - l.lo == x->n) return 0;
    const bool stored = e->child || !cx->unit;
    bool under = pos >= l.lo && pos <= l.hi && e->len >= l.q && e->first == x->body[l.lo] &&
                 memcmp(e->rest, pm__line_heap(x) + pm__line_off(x, l.lo), l.q - 1) == 0;
    if (under && e->len == l.q) {
        if (e->child) return 0;
        under = false;
    }
    unsigned n = l.hi - l.lo, left = x->n - n + 1, pays = pm__line_pay_count(x) - l.pays + 1, more = under ? 0 : stored;
    size_t heap = pm__line_heap_len(x) - l.heap + l.q - 1, rest = e->len ? e->len - 1u : 0;
    size_t above = pm__line_need(left + !under, heap + (under ? 0 : rest), pays + more), size;
    heap = l.heap - n * l.q + (under ? rest - l.q : 0);
    size = pm__line_need(n + under, heap, l.pays + (under ? stored : 0));
    if (!above || !size) return 0;
    pm__ref below = pm__limb_write(cx, &l, x, size, pos, under ? e : NULL);
    pm__ref r = below ? pm__limb_leave(cx, &l, x, below, above, pos, under ? NULL : e) : 0;
    if (below && !r) pm__mem_free(pm__ref_ptr(below), size);
    if (!r) return -1;
    pm__mem_free(x, pm__line_size(x));
    *slot = r;
    return 1;
}

/* ---- entries in and out ------------------------------------------------------------------------------------------ */

/* Inserts an entry into a line that is full, or shared and full. As pm__change_insert. */
static PM__NOINLINE bool pm__change_full(const pm__cx *cx, pm__ref *slot, unsigned pos, const pm__ent *e,
                                         const pm__above *up) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
    const bool unique = pm__ref_is_unique(*slot);
    pm__ent ents[PM__LINE_ENTRIES + 1];
    if (unique && (!up->slot || pos == x->n) && !up->range) {
        int done = pm__limb_divide(cx, slot, pos, e);
        if (done) return done > 0;
    }
    const pm__full f = pm__full_of(x, pos, e);
    if (!x->plen) { /* else all begin with one byte */
        int done = up->range ? pm__parts_full(cx, up, slot, &f) : pm__parts_begin(cx, slot, &f);
        if (done) return done > 0;
    }
    pm__full_list(&f, ents);
    if (up->range) return pm__change_replace(cx, slot, pm__line_heap(x), x->plen, ents, f.n);
    if (unique && up->slot && pos < x->n) { /* at the end the order may be sorted: dividing costs less then */
        int done = pm__hoist_up(cx, up, (pm__line *)pm__ref_ptr(*slot), ents, x->n + 1u);
        if (!done) done = pm__limb_divide(cx, slot, pos, e);
        if (done) return done > 0;
    }
    pm__ref r = pm__build_nodes(cx, pm__line_heap(x), x->plen, ents, x->n + 1u, 0);
    return pm__change_put(cx, slot, r, ents, x->n + 1u);
}

/* Inserts an entry before `pos` into the line in *slot, which may be shared; `kw` holds bytes 1..8 of its suffix. If
   the line is full and not shared, the one above may change in its place. False: no memory, nothing changed. */
static bool pm__change_insert(const pm__cx *cx, pm__ref *slot, unsigned pos, const pm__ent *e, uint64_t kw,
                              const pm__above *up) {
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    unsigned stored = e->child || !cx->unit;
    size_t size = pm__line_need(x->n + 1u, pm__line_heap_len(x) + (e->len ? e->len - 1u : 0u),
                                pm__line_pay_count(x) + stored);
    bool unique = pm__ref_is_unique(*slot);
    if (!unique) pm__any_line_prefetch_pays(x);
    if (!size) return pm__change_full(cx, slot, pos, e, up);
    if (unique && size <= pm__line_size(x)) {
        pm__line_write_insert(x, pm__line_size(x), x, pos, e, kw);
        return true;
    }
    pm__line *y = (pm__line *)pm__mem_alloc(cx->pool, size);
    if (!y) return false;
    pm__ref_count_init(&y->rc);
    pm__line_write_insert(y, size, x, pos, e, kw);
    if (unique) {
        pm__mem_free(x, pm__line_size(x));
    } else {
        pm__any_line_retain_pays(cx, x);
        pm__any_release(cx, *slot);
    }
    *slot = pm__ref_make(y, PM__LINE, size);
    return true;
}

/* Takes entries [a, b) out of the line in *slot, which is unshared and keeps at least one entry. Their
   payloads are the caller's. Gives memory back when much is free; having none for that is no failure. */
static void pm__change_erase(const pm__cx *cx, pm__ref *slot, unsigned a, unsigned b) {
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    size_t heap = pm__line_heap_len(x) - (pm__line_off(x, b) - pm__line_off(x, a));
    unsigned out = pm__line_pay_count(x);
    if (cx->unit) out = pm__popcount32(x->cmask & pm__low_bits(b) & ~pm__low_bits(a));
    else out = b - a;
    size_t old = pm__line_size(x), size = pm__line_need(x->n - (b - a), heap, pm__line_pay_count(x) - out);
    pm__line *y = NULL;
    if (size * 2 <= old || size + 48 <= old) y = (pm__line *)pm__mem_alloc(cx->pool, size);
    if (!y) {
        pm__line_write_erase(x, old, x, a, b);
        return;
    }
    pm__ref_count_init(&y->rc);
    pm__line_write_erase(y, size, x, a, b);
    pm__mem_free(x, old);
    *slot = pm__ref_make(y, y->flags & 3u, size);
}

/* Takes an empty part out of the range node in *slot, which is unshared. */
static void pm__parts_drop(const pm__cx *cx, pm__ref *slot, unsigned i) {
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    if (x->n == 2) {
        *slot = *pm__line_part_at(x, 1 - i);
        pm__mem_free(x, pm__line_size(x));
        return;
    }
    pm__change_erase(cx, slot, i, i + 1);
    ((pm__line *)pm__ref_ptr(*slot))->body[0] = 0;
}

/* Turns a byte node with at most four members, uniquely owned, into a line. Having no memory is no failure. */
static void pm__change_settle_byte(const pm__cx *cx, pm__ref *slot) {
    pm__byte *x = (pm__byte *)pm__ref_ptr(*slot);
    pm__ent ents[4];
    unsigned n = 0;
    if (x->nc + x->nv > 4 || pm__byte_is_wide(x)) return;
    pm_mask m = pm__byte_mask(x);
    for (int b = pm_mask_next(&m, 0); b >= 0; b = pm_mask_next(&m, b + 1)) {
        uint8_t c = (uint8_t)b;
        if (pm__byte_has_val(x, c)) ents[n++] = pm__ent_make(&c, 1, false, *pm__byte_val(x, c));
        if (pm__byte_has_child(x, c)) ents[n++] = pm__ent_make(&c, 1, true, *pm__byte_child(x, c));
    }
    pm__ref r = pm__build_nodes(cx, NULL, 0, ents, n, 0);
    if (!r) return;
    pm__byte_free_shell(x);
    *slot = r;
}
/* ---- adding what a walk leads to --------------------------------------------------------------------------------- */

/* An entry to insert, its suffix still counted from the node's root. Tails that are too long for one entry hang from it
   as a chain. */
typedef struct pm__add {
    const uint8_t *s; /* eight bytes before s + len are readable */
    size_t len;
    pm__ent e;      /* suffix of at most PM__SUFFIX_MAX bytes */
    size_t chained; /* nodes of the chain made for it */
    pm__above up;   /* how the walk came to the node */
    int before;     /* the entry of the line that it goes before, if that is known, else -1 */
    bool *dangles;  /* a dangling location is to stay, and to be told of; NULL: it gives way */
} pm__add;

static bool pm__add_make(const pm__cx *cx, pm__add *a, const uint8_t *s, size_t len, bool child, uint64_t pay) {
    a->s = s;
    a->len = len < PM__SUFFIX_MAX ? len : PM__SUFFIX_MAX;
    a->chained = 0;
    if (len > PM__SUFFIX_MAX) {
        a->chained = pm__any_chain_nodes(len - PM__SUFFIX_MAX);
        pay = pm__any_chain(cx, s + PM__SUFFIX_MAX, len - PM__SUFFIX_MAX, child, pay);
        if (!pay) return false;
        child = true;
    }
    a->e = pm__ent_make(s, a->len, child, pay);
    return true;
}

static void pm__add_undo(const pm__add *a) {
    if (a->chained) pm__any_chain_undo(a->e.pay, a->chained);
}

/* Few bytes of prefix are lost: every entry takes them. */
static PM__COLD pm__ref pm__split_push(const pm__cx *cx, const pm__line *x, size_t m, const pm__ent *e) {
    uint8_t bytes[PM__LINE_BYTES + PM__SUFFIX_MAX], *at = bytes;
    pm__ent ents[PM__LINE_ENTRIES + 1], *out = ents;
    const uint8_t *prefix = pm__line_heap(x);
    size_t more = x->plen - m;
    bool first = e->len == 0 || e->first < prefix[m];
    if (first) *out++ = *e;
    pm__line_decode(x, out);
    for (unsigned i = 0; i < x->n; i++, out++) {
        memcpy(at, prefix + m, more);
        if (out->len) at[more] = out->first;
        if (out->len > 1) memcpy(at + more + 1, out->rest, out->len - 1u);
        *out = pm__ent_make(at, more + out->len, out->child, out->pay);
        at += out->len;
    }
    if (!first) *out++ = *e;
    return pm__build_part_nodes(cx, prefix, m, ents, (size_t)(out - ents));
}

/* Many bytes of prefix are lost: they become the suffix of a child entry, the node below keeps the entries. */
static PM__COLD pm__ref pm__split_lift(const pm__cx *cx, const pm__line *x, size_t m, const pm__ent *e) {
    pm__ent old[PM__LINE_ENTRIES], ents[3];
    const uint8_t *prefix = pm__line_heap(x);
    unsigned has_e = pm__line_has_e(x), n = 0;
    size_t more = x->plen - m;
    pm__ref below = 0;
    pm__line_decode(x, old);
    if (x->n > has_e && !(below = pm__build_nodes(cx, NULL, 0, old + has_e, x->n - has_e, 0))) return 0;
    bool first = e->len == 0 || e->first < prefix[m];
    if (first) ents[n++] = *e;
    if (has_e) ents[n++] = pm__ent_make(prefix + m, more, false, old[0].pay);
    if (below) ents[n++] = pm__ent_make(prefix + m, more, true, below);
    if (!first) ents[n++] = *e;
    pm__ref r = pm__build_part_nodes(cx, prefix, m, ents, n);
    if (!r && below) pm__mem_free(pm__ref_ptr(below), pm__line_size((pm__line *)pm__ref_ptr(below)));
    return r;
}

/* Adds an entry that leaves the prefix of the line in *slot after m < plen bytes, or ends there. */
static PM__NOINLINE bool pm__split_line(const pm__cx *cx, pm__ref *slot, size_t m, const pm__add *a) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
    pm__ent e = a->e;
    size_t more = x->plen - m;
    bool room = more * x->n <= 24;
    for (unsigned i = 0; room && i < x->n; i++) room = pm__line_suffix(x, i) + more <= PM__SUFFIX_MAX;
    if (m) e = pm__ent_make(a->s + m, a->len - m, e.child, e.pay);
    pm__ref r = room ? pm__split_push(cx, x, m, &e) : pm__split_lift(cx, x, m, &e);
    if (r) pm__change_supersede(cx, slot, r);
    return r != 0;
}

/* The dangling location at entry i gives way to e, which now lies at or below it. */
static PM__NOINLINE bool pm__change_settle(const pm__cx *cx, pm__ref *slot, unsigned i, const pm__ent *e) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
    pm__ent ents[PM__LINE_ENTRIES];
    pm__line_decode(x, ents);
    ents[i] = *e;
    return pm__change_replace(cx, slot, pm__line_heap(x), x->plen, ents, x->n);
}

/* Adds an entry to the line in *slot, which may be shared. There is no entry for it yet, nor a child to go down to;
   a value may be looked up where a child is. */
static bool pm__add_line(const pm__cx *cx, pm__ref *slot, const pm__add *a) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
    size_t m = pm__lcp(pm__line_heap(x), a->s, a->len < x->plen ? a->len : x->plen), rest = a->len - m;
    pm__ent e = a->e;
    if (m < x->plen) return pm__split_line(cx, slot, m, a);
    if (m) e = pm__ent_make(a->s + m, rest, e.child, e.pay);
    if (rest == 0) return pm__change_insert(cx, slot, 0, &e, 0, &a->up);
    uint64_t kw = pm__ent_key_word(a->s + m + 1, a->s + a->len);
    if (a->before >= 0) return pm__change_insert(cx, slot, (unsigned)a->before, &e, kw, &a->up);
    pm__line_seek k = pm__line_find_word(x, a->s + m, rest, kw);
    bool at = k.lo < k.hi && pm__line_suffix(x, k.lo) == rest, child = at && pm__line_is_child(x, k.lo);
    bool here = child && !*pm__line_child(x, k.lo);
    if (k.child < 0 && !here) /* a value stands before the child of the same suffix */
        return pm__change_insert(cx, slot, k.lo + (at && !child), &e, kw, &a->up);
    if (a->dangles) {
        *a->dangles = true;
        return false;
    }
    return pm__change_settle(cx, slot, k.child < 0 ? k.lo : (unsigned)k.child, &e);
}

enum { PM__ADD_MOST = PM__LINE_ENTRIES }; /* entries added at once */

/* The entries of a line with `add`, all in order, in `out`. Returns how many, or 0 where one of those added takes a
   dangling location's place. */
static unsigned pm__add_weave(const pm__line *x, const pm__ent *add, unsigned k, pm__ent *out) {
    pm__ent old[PM__LINE_ENTRIES];
    unsigned n = 0, j = 0;
    pm__line_decode(x, old);
    for (unsigned i = 0; i < x->n; i++) {
        for (; j < k; out[n++] = add[j++]) {
            const pm__ent *a = &old[i], *b = &add[j];
            size_t min = a->len < b->len ? a->len : b->len, m = min ? pm__ent_lcp(a, b, 0, min) : 0;
            if (m < min ? pm__ent_at(a, m) < pm__ent_at(b, m) : a->len < b->len) break;
            if (m == a->len && m == b->len && !a->pay) return 0; /* a child: the line has no such value */
        }
        out[n++] = old[i];
    }
    while (j < k) out[n++] = add[j++];
    return n;
}

/* Adds k entries, at most PM__ADD_MOST, to the line in *slot, behind its prefix and in order. None of them is there,
   nor does a child lead on to one. 1: done. 0: they are to be added singly. -1: no memory, nothing changed. */
PM__UNUSED static int pm__add_all(const pm__cx *cx, pm__ref *slot, const pm__ent *add, unsigned k,
                                  const pm__above *up) {
    pm__ent ents[PM__LINE_ENTRIES + PM__ADD_MOST];
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    const unsigned n = pm__add_weave(x, add, k, ents);
    if (!n) return 0;
    if (up->slot && !pm__build_fits(cx, ents, n, x->plen, 0)) {
        if (up->range) return 0; /* it is to be divided */
        int done = pm__ref_is_unique(*slot) ? pm__hoist_up(cx, up, x, ents, n) : 0;
        if (done) return done;
    }
    pm__ref r = pm__build_nodes(cx, pm__line_heap(x), x->plen, ents, n, 0);
    return pm__change_put(cx, slot, r, ents, n) ? 1 : -1;
}

/* The tip in *slot has been filled up: it gives way to one that is full already, if there is one below `in`, the node
   that the slot lies in, or below some nodes that hang from `over`, the one above (NULL: it is not known). Measured: in
   random order some five tips are looked at; in order, one. */
static PM__COLD void pm__add_full(const void *in, const void *over, pm__ref *slot) {
    pm__ref kids[256], beside[256];
    unsigned n = pm__any_kids(in, kids), left = over ? pm__any_kids(over, beside) : 0, turns = 16;
    for (;;) {
        while (n-- > 0) {
            pm__ref r = kids[n];
            if (!r || r == *slot || pm__ref_kind(r) != PM__BYTE) continue;
            if (!pm__byte_is_full_tip((const pm__byte *)pm__ref_ptr(r))) continue;
            *slot = pm__any_full((pm__byte *)pm__ref_ptr(*slot), &r);
            return;
        }
        do {
            if (!left-- || !turns) return;
        } while (!beside[left] || pm__ref_is_lined(beside[left]));
        turns--;
        n = pm__any_kids(pm__ref_ptr(beside[left]), kids);
    }
}

/* Whether a byte node to which a child has been added may be worth a range node: keys in order come to it group by
   group, where others would have filled a line with many groups. */
static PM__INLINE bool pm__add_is_fan(const pm__byte *x) {
    return x->nc == PM__RANGE_GROUPS || x->nc == PM__WIDE_FROM;
}

/* Adds what lies at s[0..len), len > 0, to a byte node whose count is 1: a value, or a child at a byte without. `in`:
   the node that the slot lies in, if that is known, and `over` the one above; `part`: that is a range node. */
static bool pm__add_byte(const pm__cx *cx, pm__ref *slot, const uint8_t *s, size_t len, bool child, uint64_t pay,
                         const void *in, const void *over, bool part) {
    pm__byte *x = (pm__byte *)pm__ref_ptr(*slot);
    bool dangling = pm__byte_has_child(x, s[0]) && !*pm__byte_child(x, s[0]), ok;
    const unsigned kids = x->nc;
    if (len == 1 && !child) {
        if (dangling && !pm__byte_child_mut(cx, x, s[0])) return false;
        ok = pm__byte_add_val(cx, &x, s[0], pay);
        if (ok && dangling) (void)pm__byte_del_child(cx, &x, s[0]); /* its block is ours: cannot fail */
    } else {
        if (len > 1 && !(pay = pm__any_chain(cx, s + 1, len - 1, child, pay))) return false;
        pm__ref *c = dangling ? pm__byte_child_mut(cx, x, s[0]) : NULL;
        if (c) *c = pay;
        ok = dangling ? c != NULL : pm__byte_add_child(cx, &x, s[0], pay);
        if (!ok && len > 1) pm__any_chain_undo(pay, pm__any_chain_nodes(len - 1));
    }
    *slot = pm__byte_ref(x);
    if (in && pm__byte_is_full_tip(x)) pm__add_full(in, over, slot);
    else if (x->nc > kids && !part && pm__add_is_fan(x)) (void)pm__gather_fan(cx, slot);
    return ok;
}
