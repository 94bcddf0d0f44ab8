/* Tries: operations along a path, from a root reference. Paths are walked in loops; nothing recurses by depth.

   Each function takes the slot that holds the root, so that the root is replaced like any other node. A location of
   len bytes lies in the node where the path's rest, after all children passed on the way, is not longer than the
   suffix that leads on; a child's own root belongs to the entry above it. The root location (len 0) is the caller's.

   Copy-on-write: a writing walk makes each node on its way unshared. That changes no content, so running out
   of memory half-way loses nothing. Walks that might find nothing to do look first. */
#include "26_place.c"

/* ---- changing a line ----------------------------------------------------------------------------------------- */

/* Puts r, which has been built of `ents`, in the place of the line in *slot. Payloads that are not fresh come from that
   line: they move if it was unshared, else they gain a reference. Payloads of the line that `ents` leave out are the
   caller's to release if it owned the line alone. r 0: no memory; false then, and nothing changed. */
static bool pm__trie_line_put(const pm__cx *cx, pm__ref *slot, pm__ref r, const pm__ent *ents, unsigned n) {
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
static bool pm__trie_line_replace(const pm__cx *cx, pm__ref *slot, const uint8_t *p, size_t plen, pm__ent *ents,
                             unsigned n) {
    return pm__trie_line_put(cx, slot, pm__build_part_nodes(cx, p, plen, ents, n), ents, n);
}

/* The entry of a line through which a walk came to the line below, or which part of a range node that is. */
typedef struct pm__above {
    pm__ref *slot; /* the node above, unshared; NULL: the walk came from elsewhere */
    unsigned i;
    bool range;
} pm__above;

enum { PM__MERGE_GROUPS = 6, PM__MERGE_SINGLES = 2 };

/* A full line on its way into the line above. */
typedef struct pm__merge {
    const pm__ent *ents; /* of the full line, one more than it can hold */
    unsigned n, total;   /* entries of it, of the line above anew */
    unsigned nup, pays;
    size_t used, heap, longest;
    pm__ent up[2 * PM__MERGE_GROUPS + 1]; /* in the place of the entry that leads to the full line; */
    struct {
        unsigned at, lo, hi; /* up[at] leads to entries [lo, hi) of the full line, without q bytes of suffix */
        size_t q;
    } below[PM__MERGE_GROUPS];
    unsigned nbelow;
    uint8_t bytes[PM__LINE_BYTES];
} pm__merge;

/* Adds an entry that has the bytes of c and those of the line's prefix in front of `len` bytes of e's suffix. False: no
   room. */
static bool pm__trie_merge_add(pm__merge *g, const pm__ent *c, const pm__line *x, const pm__ent *e, size_t len,
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
static bool pm__trie_merge_plan(pm__merge *g, const pm__line *u, unsigned i, const pm__line *x) {
    const pm__ent *ents = g->ents, above = pm__line_ent(u, i, pm__line_off(u, i));
    g->total = u->n - 1u, g->pays = pm__line_pay_count(u) - 1u, g->heap = pm__line_heap_len(u) - (above.len - 1u);
    g->used = g->longest = 0, g->nbelow = g->nup = 0;
    unsigned lo = ents[0].len == 0;
    if (lo && !pm__trie_merge_add(g, &above, x, &ents[0], 0, false)) return false;
    for (unsigned hi; lo < g->n; lo = hi) {
        hi = (unsigned)pm__build_group_end(ents, g->n, lo, 0);
        if (hi - lo <= PM__MERGE_SINGLES) {
            for (unsigned k = lo; k < hi; k++)
                if (!pm__trie_merge_add(g, &above, x, &ents[k], ents[k].len, ents[k].child)) return false;
            continue;
        }
        size_t q = pm__ent_lcp(&ents[lo], &ents[hi - 1], 0, ents[lo].len);
        bool here = ents[lo].len == q;
        if (here && !pm__trie_merge_add(g, &above, x, &ents[lo], q, false)) return false;
        g->below[g->nbelow].at = g->nup, g->below[g->nbelow].q = q;
        g->below[g->nbelow].lo = lo + here, g->below[g->nbelow++].hi = hi;
        if (!pm__trie_merge_add(g, &above, x, &ents[lo], q, true)) return false;
    }
    return u->plen + g->longest <= PM__SUFFIX_MAX;
}

/* Makes the line above anew. 0: no memory. */
static pm__ref pm__trie_merge_write(const pm__cx *cx, const pm__merge *g, const pm__line *u, unsigned i, size_t size) {
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
static PM__NOINLINE int pm__trie_line_merge_up(const pm__cx *cx, const pm__above *up, pm__line *x, pm__ent *ents,
                                          unsigned n) {
    pm__line *u = (pm__line *)pm__ref_ptr(*up->slot);
    unsigned groups = 0, most = PM__LINE_ENTRIES + 1u - u->n;
    if (most > PM__MERGE_GROUPS) most = PM__MERGE_GROUPS;
    for (size_t i = ents[0].len == 0; i < n; i = pm__build_group_end(ents, n, i, 0))
        if (++groups > most) return 0;
    pm__merge g;
    g.ents = ents, g.n = n;
    if (!pm__trie_merge_plan(&g, u, up->i, x)) return 0;
    size_t size = pm__line_need(g.total, g.heap, g.pays);
    if (!size) return 0;
    unsigned k = 0;
    pm__ref r = 0, *below = NULL;
    for (; k < g.nbelow; k++) {
        below = &g.up[g.below[k].at].pay;
        *below = pm__build_nodes(cx, NULL, 0, ents + g.below[k].lo, g.below[k].hi - g.below[k].lo, g.below[k].q);
        if (!*below) break;
    }
    if (k == g.nbelow) r = pm__trie_merge_write(cx, &g, u, up->i, size);
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

/* Where to divide a full part: at a new first byte, near the middle; or near the end, where keys seem to come in order.
   0: nowhere. */
static unsigned pm__parts_cut(const pm__ent *ents, unsigned n, bool sorted) {
    for (unsigned d = 0; d < n; d++) {
        unsigned low = sorted ? n - 1 - d : n / 2 - (d < n / 2 ? d : n / 2), high = sorted ? low : n / 2 + d;
        if (low && ents[low - 1].first != ents[low].first) return low;
        if (high < n && high && ents[high - 1].first != ents[high].first) return high;
    }
    return 0;
}

/* Divides a full part of a range node in two. `ents` are its n entries, one more than it can hold, of which the one at
   `pos` is new. Returns as pm__trie_line_merge_up. */
static int pm__parts_divide(const pm__cx *cx, const pm__above *up, pm__ref *slot, pm__ent *ents, unsigned n,
                            unsigned pos) {
    pm__line *u = (pm__line *)pm__ref_ptr(*up->slot), *y = u;
    const unsigned i = up->i, cut = pm__parts_cut(ents, n, pos + 1 == n && i + 1u == u->n);
    pm__ref old = *slot, left, right;
    size_t have = pm__line_size(u), size = pm__line_need(u->n + 1u, 0, u->n + 1u);
    if (!cut || !size) return 0;
    if (!(left = pm__build_part_nodes(cx, NULL, 0, ents, cut))) return -1;
    right = pm__build_part_nodes(cx, NULL, 0, ents + cut, n - cut);
    if (right && size > have) y = (pm__line *)pm__mem_alloc(cx->pool, size), have = size;
    if (!right || !y) {
        if (right) pm__build_undo(cx, ents + cut, n - cut, right);
        pm__build_undo(cx, ents, cut, left);
        return -1;
    }
    pm__ent e = pm__ent_make(&ents[cut].first, 1, true, right);
    if (y != u) pm__ref_count_init(&y->rc);
    pm__line_write_insert(y, have, u, i + 1, &e, 0);
    if (y != u) pm__mem_free(u, pm__line_size(u));
    *up->slot = pm__ref_make(y, PM__RANGE, have);
    *pm__line_part_at(y, i) = old;
    return pm__trie_line_put(cx, pm__line_part_at(y, i), left, ents, n);
}

/* A range node that is to have one part too many is built anew, mostly as a byte node. `ents`: what the full part is to
   hold. Returns as pm__trie_line_merge_up. */
static int pm__parts_burst(const pm__cx *cx, const pm__above *up, const pm__ent *ents, unsigned n) {
    pm__line *u = (pm__line *)pm__ref_ptr(*up->slot);
    size_t total = n, bytes = 0, at = 0;
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
            memcpy(all + at, ents, n * sizeof *ents);
            at += n;
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

/* A part of a range node is full. Returns as pm__trie_line_merge_up. */
static PM__COLD int pm__parts_full(const pm__cx *cx, const pm__above *up, pm__ref *slot, pm__ent *ents, unsigned n,
                                   unsigned pos) {
    const pm__line *u = (const pm__line *)pm__ref_ptr(*up->slot);
    if (((const pm__line *)pm__ref_ptr(*slot))->plen) return 0; /* all begin with one byte */
    if (u->n < PM__LINE_ENTRIES) return pm__parts_divide(cx, up, slot, ents, n, pos);
    return pm__parts_cut(ents, n, false) ? pm__parts_burst(cx, up, ents, n) : 0;
}

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
static PM__COLD int pm__trie_line_divide(const pm__cx *cx, pm__ref *slot, unsigned pos, const pm__ent *e) {
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

/* Inserts an entry into a line that is full, or shared and full. As pm__trie_line_insert. */
static PM__NOINLINE bool pm__trie_line_overflow(const pm__cx *cx, pm__ref *slot, unsigned pos, const pm__ent *e,
                                                const pm__above *up) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
    const bool unique = pm__ref_is_unique(*slot);
    pm__ent ents[PM__LINE_ENTRIES + 1];
    if (unique && (!up->slot || pos == x->n) && !up->range) {
        int done = pm__trie_line_divide(cx, slot, pos, e);
        if (done) return done > 0;
    }
    pm__line_decode(x, ents);
    memmove(ents + pos + 1, ents + pos, (x->n - pos) * sizeof *ents);
    ents[pos] = *e;
    if (up->range) {
        int done = pm__parts_full(cx, up, slot, ents, x->n + 1u, pos);
        if (done) return done > 0;
        return pm__trie_line_replace(cx, slot, pm__line_heap(x), x->plen, ents, x->n + 1u);
    }
    if (unique && up->slot && pos < x->n) { /* at the end the order may be sorted: dividing costs less then */
        int done = pm__trie_line_merge_up(cx, up, (pm__line *)pm__ref_ptr(*slot), ents, x->n + 1u);
        if (!done) done = pm__trie_line_divide(cx, slot, pos, e);
        if (done) return done > 0;
    }
    pm__ref r = pm__build_nodes(cx, pm__line_heap(x), x->plen, ents, x->n + 1u, 0);
    return pm__trie_line_put(cx, slot, r, ents, x->n + 1u);
}

/* Inserts an entry before `pos` into the line in *slot, which may be shared; `kw` holds bytes 1..8 of its suffix. If
   the line is full and not shared, the one above may change in its place. False: no memory, nothing changed. */
static bool pm__trie_line_insert(const pm__cx *cx, pm__ref *slot, unsigned pos, const pm__ent *e, uint64_t kw,
                            const pm__above *up) {
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    unsigned stored = e->child || !cx->unit;
    size_t size = pm__line_need(x->n + 1u, pm__line_heap_len(x) + (e->len ? e->len - 1u : 0u),
                                pm__line_pay_count(x) + stored);
    bool unique = pm__ref_is_unique(*slot);
    if (!unique) pm__any_line_prefetch_pays(x);
    if (!size) return pm__trie_line_overflow(cx, slot, pos, e, up);
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
static void pm__trie_line_erase(const pm__cx *cx, pm__ref *slot, unsigned a, unsigned b) {
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
    pm__trie_line_erase(cx, slot, i, i + 1);
    ((pm__line *)pm__ref_ptr(*slot))->body[0] = 0;
}

/* Turns a byte node with at most four members, uniquely owned, into a line. Having no memory is no failure. */
static void pm__trie_byte_settle(const pm__cx *cx, pm__ref *slot) {
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

/* ---- lookup ---------------------------------------------------------------------------------------------------- */

/* The value at s[0..len), len > 0, or NULL. The key's last eight bytes must be readable from `end - 8`. */
static PM__INLINE const pm_val *pm__trie_get_from(pm__ref r, const uint8_t *s, const uint8_t *end) {
    while (r) {
        const void *node = pm__ref_ptr(r);
        pm__ref_prefetch(r);
        if (pm__ref_kind(r) != PM__LINE) {
            if (pm__ref_kind(r) != PM__RANGE) {
                const pm__byte *x = (const pm__byte *)node;
                uint8_t b = *s++;
                if (s == end) return pm__byte_has_val(x, b) ? pm__byte_val(x, b) : NULL;
                if (!pm__byte_has_child(x, b)) return NULL;
                r = *pm__byte_child(x, b);
                continue;
            }
            r = *pm__line_part((const pm__line *)node, *s);
            pm__ref_prefetch_part(r);
            node = pm__ref_ptr(r);
            if (PM__UNLIKELY(pm__ref_kind(r) != PM__LINE)) continue;
        }
        const pm__line *x = (const pm__line *)node;
        if (x->plen) {
            if (!pm__line_in_prefix(x, s, (size_t)(end - s))) return NULL;
            s += x->plen;
            if (s == end) return pm__line_has_e(x) ? pm__line_val(x, 0) : NULL;
        }
        size_t left = (size_t)(end - s) - 1;
        uint64_t kw = left >= 8 ? pm__load64le(s + 1) : pm__load64le(end - 8) >> (8 * (8 - left) & 63);
        int i = pm__line_probe(x, s, left + 1, kw);
        if (i < 0) return NULL;
        if (!pm__line_is_child(x, (unsigned)i)) return pm__line_val(x, (unsigned)i);
        s += pm__line_lens(x)[i] + 1u;
        r = *pm__line_child(x, (unsigned)i);
    }
    return NULL;
}

/* The value at a key of any length > 0, or NULL. Short keys are moved to where eight bytes before their end can be
   read, so that the walk needs no careful case. */
static PM__INLINE const pm_val *pm__trie_get(pm__ref r, const uint8_t *s, size_t len) {
    pm__key_room room;
    s = pm__ent_key_start(s, len, &room);
    return pm__trie_get_from(r, s, s + len);
}

/* ---- looking before a change --------------------------------------------------------------------------------- */

/* What a read-only walk along a path tells. */
typedef struct pm__survey {
    bool exists;
    bool childless;    /* nothing below the location (meaningful if it exists) */
    const pm_val *val; /* value at the location, or NULL */
    size_t keep;       /* if it exists: the longest proper prefix that has a value or another child, else 0 */
} pm__survey;

static void pm__survey_line(const pm__line *x, const pm__line_seek *k, size_t rest, pm__survey *v) {
    size_t ln = pm__line_suffix(x, k->lo);
    if (k->lo < k->hi && ln == rest && !pm__line_is_child(x, k->lo)) v->val = pm__line_val(x, k->lo);
    v->childless = v->val ? k->hi - k->lo == 1
                          : k->hi - k->lo == 1 && ln == rest && *pm__line_child(x, k->lo) == 0;
}

/* The longest common prefix that the entries before lo and from hi on share with s[0..len); SIZE_MAX if there are
   none. */
static size_t pm__trie_line_neighbours(const pm__line *x, unsigned lo, unsigned hi, const uint8_t *s, size_t len) {
    size_t best = SIZE_MAX;
    bool less;
    if (lo > 0) best = pm__line_compare(x, lo - 1, pm__line_off(x, lo - 1), s, len, &less);
    if (hi < x->n) {
        size_t m = pm__line_compare(x, hi, pm__line_off(x, hi), s, len, &less);
        if (best == SIZE_MAX || m > best) best = m;
    }
    return best;
}

/* Looks at the location s[0..len), len > 0. */
static pm__survey pm__trie_survey(pm__ref r, const uint8_t *s, size_t len) {
    pm__survey v = {false, false, NULL, 0}, none = {false, false, NULL, 0};
    size_t base = 0;
    while (r) {
        pm__ref_prefetch(r);
        size_t rest = len - base;
        if (pm__ref_kind(r) == PM__RANGE) { /* other parts lead on as well */
            v.keep = base;
            r = *pm__line_part((const pm__line *)pm__ref_ptr(r), s[base]);
            continue;
        }
        if (pm__ref_kind(r) != PM__LINE) {
            const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
            uint8_t b = s[base];
            bool c = pm__byte_has_child(x, b), w = pm__byte_has_val(x, b);
            if (!c && !w) return none;
            if (x->nc + x->nv > c + w) v.keep = base;
            base++;
            r = c ? *pm__byte_child(x, b) : 0;
            if (base < len) {
                if (w) v.keep = base;
                continue;
            }
            v.exists = true;
            v.val = w ? pm__byte_val(x, b) : NULL;
            v.childless = r == 0;
            return v;
        }
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        const uint8_t *t = s + base;
        if (rest <= x->plen) {
            bool e = rest == x->plen && pm__line_has_e(x);
            if (memcmp(pm__line_heap(x), t, rest) != 0) return none;
            v.exists = true;
            v.val = e ? pm__line_val(x, 0) : NULL;
            v.childless = e && x->n == 1;
            return v;
        }
        if (memcmp(pm__line_heap(x), t, x->plen) != 0) return none;
        t += x->plen, rest -= x->plen;
        pm__line_seek k = pm__line_find(x, t, rest);
        unsigned lo = k.lo, hi = k.hi;
        if (lo == hi) {
            if (k.child < 0) return none;
            lo = (unsigned)k.child, hi = lo + 1;
        }
        size_t upto = k.lo == k.hi ? pm__line_suffix(x, lo) : rest; /* a value beside the child counts as neighbour */
        size_t agree = pm__trie_line_neighbours(x, lo, hi, t, upto);
        if (agree != SIZE_MAX) v.keep = base + x->plen + agree;
        if (k.lo != k.hi) {
            v.exists = true;
            pm__survey_line(x, &k, rest, &v);
            return v;
        }
        base += x->plen + upto;
        r = *pm__line_child(x, lo);
    }
    return none;
}

/* ---- inserting ----------------------------------------------------------------------------------------------- */

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

/* Swaps the line in *slot for a node that took over all its payloads. */
static void pm__trie_line_supersede(const pm__cx *cx, pm__ref *slot, pm__ref r) {
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    if (pm__ref_is_unique(*slot)) {
        pm__mem_free(x, pm__line_size(x));
    } else {
        pm__any_line_retain_pays(cx, x);
        pm__any_release(cx, *slot);
    }
    *slot = r;
}

/* Few bytes of prefix are lost: every entry takes them. */
static pm__ref pm__split_push(const pm__cx *cx, const pm__line *x, size_t m, const pm__ent *e) {
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
static pm__ref pm__split_lift(const pm__cx *cx, const pm__line *x, size_t m, const pm__ent *e) {
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
static PM__NOINLINE bool pm__trie_line_split(const pm__cx *cx, pm__ref *slot, size_t m, const pm__add *a) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
    pm__ent e = a->e;
    size_t more = x->plen - m;
    bool room = more * x->n <= 24;
    for (unsigned i = 0; room && i < x->n; i++) room = pm__line_suffix(x, i) + more <= PM__SUFFIX_MAX;
    if (m) e = pm__ent_make(a->s + m, a->len - m, e.child, e.pay);
    pm__ref r = room ? pm__split_push(cx, x, m, &e) : pm__split_lift(cx, x, m, &e);
    if (r) pm__trie_line_supersede(cx, slot, r);
    return r != 0;
}

/* The dangling location at entry i gives way to e, which now lies at or below it. */
static PM__NOINLINE bool pm__trie_line_settle(const pm__cx *cx, pm__ref *slot, unsigned i, const pm__ent *e) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
    pm__ent ents[PM__LINE_ENTRIES];
    pm__line_decode(x, ents);
    ents[i] = *e;
    return pm__trie_line_replace(cx, slot, pm__line_heap(x), x->plen, ents, x->n);
}

/* Adds an entry to the line in *slot, which may be shared. There is no entry for it yet, nor a child to go down to;
   a value may be looked up where a child is. */
static bool pm__trie_line_add(const pm__cx *cx, pm__ref *slot, const pm__add *a) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
    size_t m = pm__lcp(pm__line_heap(x), a->s, a->len < x->plen ? a->len : x->plen), rest = a->len - m;
    pm__ent e = a->e;
    if (m < x->plen) return pm__trie_line_split(cx, slot, m, a);
    if (m) e = pm__ent_make(a->s + m, rest, e.child, e.pay);
    if (rest == 0) return pm__trie_line_insert(cx, slot, 0, &e, 0, &a->up);
    uint64_t kw = pm__ent_key_word(a->s + m + 1, a->s + a->len);
    if (a->before >= 0) return pm__trie_line_insert(cx, slot, (unsigned)a->before, &e, kw, &a->up);
    pm__line_seek k = pm__line_find_word(x, a->s + m, rest, kw);
    bool at = k.lo < k.hi && pm__line_suffix(x, k.lo) == rest, child = at && pm__line_is_child(x, k.lo);
    bool here = child && !*pm__line_child(x, k.lo);
    if (k.child < 0 && !here) /* a value stands before the child of the same suffix */
        return pm__trie_line_insert(cx, slot, k.lo + (at && !child), &e, kw, &a->up);
    if (a->dangles) {
        *a->dangles = true;
        return false;
    }
    return pm__trie_line_settle(cx, slot, k.child < 0 ? k.lo : (unsigned)k.child, &e);
}

enum { PM__ADD_MOST = PM__LINE_ENTRIES }; /* entries added at once */

/* The entries of a line with `add`, all in order, in `out`. Returns how many, or 0 where one of those added takes a
   dangling location's place. */
static unsigned pm__trie_line_weave(const pm__line *x, const pm__ent *add, unsigned k, pm__ent *out) {
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
PM__UNUSED static int pm__trie_line_add_all(const pm__cx *cx, pm__ref *slot, const pm__ent *add, unsigned k,
                                            const pm__above *up) {
    pm__ent ents[PM__LINE_ENTRIES + PM__ADD_MOST];
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    const unsigned n = pm__trie_line_weave(x, add, k, ents);
    if (!n) return 0;
    if (up->slot && !pm__build_fits(cx, ents, n, x->plen, 0)) {
        if (up->range) return 0; /* it is to be divided */
        int done = pm__ref_is_unique(*slot) ? pm__trie_line_merge_up(cx, up, x, ents, n) : 0;
        if (done) return done;
    }
    pm__ref r = pm__build_nodes(cx, pm__line_heap(x), x->plen, ents, n, 0);
    return pm__trie_line_put(cx, slot, r, ents, n) ? 1 : -1;
}

/* Adds what lies at s[0..len), len > 0, to a byte node whose count is 1: a value, or a child at a byte without. */
static bool pm__trie_byte_put(const pm__cx *cx, pm__ref *slot, const uint8_t *s, size_t len, bool child, uint64_t pay) {
    pm__byte *x = (pm__byte *)pm__ref_ptr(*slot);
    bool dangling = pm__byte_has_child(x, s[0]) && !*pm__byte_child(x, s[0]), ok;
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
    return ok;
}

/* The child through which a path that exists goes on, for changing it. NULL: no memory. */
static pm__ref *pm__trie_step(const pm__cx *cx, pm__ref *slot, const uint8_t *s, size_t len, size_t *used) {
    if (pm__ref_kind(*slot) == PM__RANGE) {
        *used = 0;
        return pm__line_part((const pm__line *)pm__ref_ptr(*slot), s[0]);
    }
    if (pm__ref_kind(*slot) != PM__LINE) {
        *used = 1;
        return pm__byte_child_mut(cx, (pm__byte *)pm__ref_ptr(*slot), s[0]);
    }
    const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
    pm__line_seek k = pm__line_find(x, s + x->plen, len - x->plen);
    *used = x->plen + pm__line_suffix(x, (unsigned)k.child);
    return pm__line_child(x, (unsigned)k.child);
}

/* A walk down to where a payload goes, a node at a time, so that several can go side by side. Nodes on the way are made
   unshared; nothing else changes before pm__put_end. */
typedef struct pm__put {
    pm__ref *slot;         /* of the node to look at, from which the rest of the key leads on */
    const uint8_t *s;      /* the rest; eight bytes before s + len are readable */
    size_t len;            /* > 0 */
    pm__above up;
    const void *in, *over; /* the nodes that `slot` and `up.slot` lie in; NULL: outside all */
    int at;                /* at the end: the entry of a line that has a value for the key, or -1 */
    int before;            /* at the end, if that is known: the entry of a line that the new one goes before; or -1 */
    bool over_value;       /* at the end: the key has a value */
    bool dangles;          /* at the end: a dangling location is on the way */
    bool memory;           /* false at the end: there was none */
} pm__put;

/* `s` as pm__ent_key_start gives it. */
static PM__INLINE pm__put pm__put_begin(pm__ref *root, const uint8_t *s, size_t len) {
    pm__put p = {root, s, len, {NULL, 0, false}, NULL, NULL, -1, -1, false, false, true};
    return p;
}

/* Whether what a line says of a key is the last word: a value, or nothing that leads on. */
static PM__INLINE bool pm__put_stops(pm__put *p, const pm__line *x) {
    p->at = -1;
    if (pm__line_in_prefix(x, p->s, p->len)) {
        const uint8_t *t = p->s + x->plen;
        size_t rest = p->len - x->plen;
        if (rest) p->at = pm__line_probe(x, t, rest, pm__ent_key_word(t + 1, t + rest));
        else if (pm__line_has_e(x)) p->at = 0;
    }
    if (p->at < 0) return true;
    p->over_value = !pm__line_is_child(x, (unsigned)p->at);
    p->dangles = !p->over_value && !*pm__line_child(x, (unsigned)p->at);
    return p->over_value || p->dangles;
}

/* Goes one node further. False: the end is reached. */
static PM__INLINE bool pm__put_step(const pm__cx *cx, pm__put *p, bool child) {
    pm__ref r = *p->slot, *next;
    p->over_value = p->dangles = false;
    if (!r) return false;
    const bool line = pm__ref_kind(r) == PM__LINE;
    if (line && pm__put_stops(p, (const pm__line *)pm__ref_ptr(r))) return false;
    if (!pm__any_own(cx, p->slot)) return p->memory = false;
    void *node = pm__ref_ptr(*p->slot);
    if (line) {
        pm__line *x = (pm__line *)node;
        size_t used = x->plen + pm__line_suffix(x, (unsigned)p->at);
        p->up.slot = p->slot, p->up.i = (unsigned)p->at, p->up.range = false;
        next = pm__line_child(x, (unsigned)p->at);
        p->s += used, p->len -= used;
    } else if (PM__UNLIKELY(pm__ref_kind(r) == PM__RANGE)) {
        pm__line *x = (pm__line *)node;
        p->up.slot = p->slot, p->up.i = pm__line_part_index(x, *p->s), p->up.range = true;
        next = pm__line_part_at(x, p->up.i);
    } else {
        pm__byte *x = (pm__byte *)node;
        uint8_t b = *p->s;
        const bool has = pm__byte_has_child(x, b);
        p->dangles = has && !*pm__byte_child(x, b);
        p->over_value = p->len == 1 && !child && pm__byte_has_val(x, b);
        if (p->len == 1 || !has || p->dangles) return false;
        if (!(next = pm__byte_child_mut(cx, x, b))) return p->memory = false;
        p->up.slot = NULL, p->up.range = false;
        p->s++, p->len--;
    }
    p->over = p->in, p->in = node;
    p->slot = next;
    return true;
}

/* The value that the walk has come upon, for changing it; in unit maps only for reading. NULL: no memory. */
static PM__INLINE pm_val *pm__put_val(const pm__cx *cx, pm__put *p) {
    if (!pm__any_own(cx, p->slot)) return NULL;
    void *node = pm__ref_ptr(*p->slot);
    if (pm__ref_kind(*p->slot) != PM__LINE) return pm__byte_val((pm__byte *)node, *p->s);
    return (pm_val *)(uintptr_t)pm__line_val((pm__line *)node, (unsigned)p->at);
}

/* Stores the payload where the walk has ended: a value (the replaced one goes to *old), or a child at a location that
   does not exist. `dangles` is NULL, or a dangling location stays and is told of there. False: nothing changed, for
   want of memory or because of that. */
static PM__INLINE bool pm__put_end(const pm__cx *cx, pm__put *p, bool child, uint64_t pay, pm_opt *old,
                                   bool *dangles) {
    if (!p->memory) return false;
    if (p->over_value) {
        pm_val *v = pm__put_val(cx, p);
        if (!v) return false;
        old->some = true, old->val = *v;
        if (!cx->unit) *v = pay;
        return true;
    }
    if (dangles && p->dangles) {
        *dangles = true;
        return false;
    }
    if (!*p->slot) return (*p->slot = pm__any_chain(cx, p->s, p->len, child, pay)) != 0;
    if (pm__ref_kind(*p->slot) != PM__LINE) return pm__trie_byte_put(cx, p->slot, p->s, p->len, child, pay);
    pm__add a;
    a.up = p->up;
    a.before = p->before;
    a.dangles = dangles;
    if (!pm__add_make(cx, &a, p->s, p->len, child, pay)) return false;
    if (pm__trie_line_add(cx, p->slot, &a)) return true;
    pm__add_undo(&a);
    return false;
}

/* Stores a payload at s[0..len), len > 0: a value (the replaced one goes to *old), or a child at a location that does
   not exist. False: no memory, nothing changed. */
static bool pm__trie_put(const pm__cx *cx, pm__ref *slot, const uint8_t *s, size_t len, bool child, uint64_t pay,
                         pm_opt *old) {
    pm__key_room room;
    pm__put p = pm__put_begin(slot, pm__ent_key_start(s, len, &room), len);
    do {
        if (p.up.range) pm__ref_prefetch_part(*p.slot);
        else pm__ref_prefetch(*p.slot);
    } while (pm__put_step(cx, &p, child));
    return pm__put_end(cx, &p, child, pay, old, NULL);
}

/* ---- changing what exists ------------------------------------------------------------------------------------ */

/* The node in which an existing location lies, all nodes from the root to it being unshared. */
typedef struct pm__spot {
    pm__ref *slot;   /* NULL: no memory */
    pm__ref *parent; /* slot of the node above, or NULL */
    size_t base, parent_base; /* bytes of path above each */
} pm__spot;

static pm__spot pm__trie_reach(const pm__cx *cx, pm__ref *slot, const uint8_t *s, size_t len) {
    pm__spot at = {slot, NULL, 0, 0};
    for (;;) {
        if (!pm__any_own(cx, at.slot)) break;
        size_t rest = len - at.base, used;
        const uint8_t *t = s + at.base;
        if (pm__ref_kind(*at.slot) != PM__LINE) {
            if (rest == 1 && pm__ref_kind(*at.slot) != PM__RANGE) return at;
        } else {
            const pm__line *x = (const pm__line *)pm__ref_ptr(*at.slot);
            if (rest <= x->plen || pm__line_find(x, t + x->plen, rest - x->plen).child < 0) return at;
        }
        at.parent = at.slot;
        at.parent_base = at.base;
        if (!(at.slot = pm__trie_step(cx, at.parent, t, rest, &used))) break;
        at.base += used;
    }
    at.slot = NULL;
    return at;
}

/* The value at s[0..len), len > 0, which exists, for changing it. NULL: no memory. */
static pm_val *pm__trie_val_mut(const pm__cx *cx, pm__ref *root, const uint8_t *s, size_t len) {
    pm__spot at = pm__trie_reach(cx, root, s, len);
    if (!at.slot) return NULL;
    const uint8_t *t = s + at.base;
    if (pm__ref_kind(*at.slot) != PM__LINE) return pm__byte_val((const pm__byte *)pm__ref_ptr(*at.slot), *t);
    const pm__line *x = (const pm__line *)pm__ref_ptr(*at.slot);
    pm__line_seek k = pm__line_find(x, t + x->plen, len - at.base - x->plen);
    return pm__line_pay_at(x, k.lo);
}

/* The node at `at` has lost its last entry: empties its slot. What remains is a dangling location, unless a value sits
   there, or nothing at all if it was the root. */
static void pm__trie_hollow(const pm__cx *cx, const pm__spot *at, const uint8_t *s) {
    *at->slot = 0;
    if (!at->parent) return;
    const uint8_t *t = s + at->parent_base;
    if (pm__ref_kind(*at->parent) == PM__RANGE) {
        pm__parts_drop(cx, at->parent, pm__line_part_index((const pm__line *)pm__ref_ptr(*at->parent), *t));
        return;
    }
    if (pm__ref_kind(*at->parent) != PM__LINE) {
        pm__byte *x = (pm__byte *)pm__ref_ptr(*at->parent);
        if (!pm__byte_has_val(x, *t)) return;
        (void)pm__byte_del_child(cx, &x, *t); /* its block is ours since the way down: cannot fail */
        *at->parent = pm__byte_ref(x);
        pm__trie_byte_settle(cx, at->parent);
        return;
    }
    const pm__line *x = (const pm__line *)pm__ref_ptr(*at->parent);
    pm__line_seek k = pm__line_find(x, t + x->plen, at->base - at->parent_base - x->plen);
    if (k.hi - k.lo == 2) pm__trie_line_erase(cx, at->parent, k.lo + 1, k.hi);
}

/* Payloads taken out of a line, to be released once the change has succeeded. */
typedef struct pm__loot {
    unsigned n;
    pm__ent ents[PM__LINE_ENTRIES];
} pm__loot;

static void pm__loot_take(pm__loot *l, const pm__line *x, unsigned lo, unsigned hi) {
    pm__ent all[PM__LINE_ENTRIES];
    pm__line_decode(x, all);
    l->n = hi - lo;
    memcpy(l->ents, all + lo, l->n * sizeof *all);
}

static void pm__loot_release(const pm__cx *cx, const pm__loot *l) {
    for (unsigned i = 0; i < l->n; i++) pm__pay_release(cx, l->ents[i].child, l->ents[i].pay);
}

static bool pm__cut_byte(const pm__cx *cx, const pm__spot *at, const uint8_t *s) {
    pm__byte *x = (pm__byte *)pm__ref_ptr(*at->slot);
    uint8_t b = s[at->base];
    pm__ref child = 0;
    if (pm__byte_has_child(x, b)) {
        pm__ref *c = pm__byte_child_mut(cx, x, b);
        if (!c) return false;
        child = *c;
        (void)pm__byte_del_child(cx, &x, b); /* its block is ours: cannot fail */
    }
    if (pm__byte_has_val(x, b)) {
        pm__pay_release(cx, false, *pm__byte_val(x, b));
        pm__byte_del_val(cx, &x, b);
    }
    *at->slot = pm__byte_ref(x);
    pm__any_release(cx, child);
    if (x->nc + x->nv == 0) {
        pm__byte_discard(x);
        pm__trie_hollow(cx, at, s);
    } else {
        pm__trie_byte_settle(cx, at->slot);
    }
    return true;
}

static bool pm__cut_line(const pm__cx *cx, const pm__spot *at, const uint8_t *s, size_t keep) {
    pm__line *x = (pm__line *)pm__ref_ptr(*at->slot);
    const uint8_t *t = s + at->base + x->plen;
    size_t rest = keep + 1 - at->base, d = keep - at->base;
    unsigned lo = 0, hi = x->n;
    if (rest > x->plen) {
        pm__line_seek k = pm__line_find(x, t, rest - x->plen);
        lo = k.lo, hi = k.hi;
    }
    pm__loot loot;
    if (hi - lo == x->n) { /* all of it */
        pm__ref stub = 0, old = *at->slot;
        if (d > 0 && !(stub = pm__any_line_single(cx, s + at->base, d, true, 0))) return false;
        if (stub) *at->slot = stub;
        else pm__trie_hollow(cx, at, s);
        pm__any_release(cx, old);
        return true;
    }
    pm__loot_take(&loot, x, lo, hi);
    if (d <= x->plen || pm__trie_line_neighbours(x, lo, hi, t, rest - x->plen) >= d - x->plen) {
        pm__trie_line_erase(cx, at->slot, lo, hi);
    } else { /* nothing else holds the place that must stay */
        pm__ent ents[PM__LINE_ENTRIES];
        pm__line_decode(x, ents);
        ents[lo] = pm__ent_make(t, d - x->plen, true, 0);
        memmove(ents + lo + 1, ents + hi, (x->n - hi) * sizeof *ents);
        if (!pm__trie_line_replace(cx, at->slot, pm__line_heap(x), x->plen, ents, x->n - (hi - lo) + 1)) return false;
    }
    pm__loot_release(cx, &loot);
    return true;
}

/* The last nodes of a way down, by their slots; all are unshared. */
enum { PM__WAY = 4 };

typedef struct pm__way {
    unsigned n; /* nodes on the way; the last PM__WAY of them are known */
    pm__ref *slot[PM__WAY];
} pm__way;

static PM__INLINE void pm__way_push(pm__way *w, pm__ref *slot) { w->slot[w->n++ % PM__WAY] = slot; }

/* Something has gone from the last node of a way: takes into it, and into those above, what has become small enough.
   Content does not change, and having no memory is no failure. */
static PM__NOINLINE void pm__way_gather(const pm__cx *cx, const pm__way *w) {
    for (unsigned up = 0; up < w->n && up < PM__WAY; up++) {
        pm__ref *slot = w->slot[(w->n - 1 - up) % PM__WAY];
        bool changed = up == 0, part = up + 1 == PM__WAY && w->n > PM__WAY; /* as far as is known */
        if (!part && up + 1 < w->n) part = pm__ref_kind(*w->slot[(w->n - 2 - up) % PM__WAY]) == PM__RANGE;
        while (pm__build_gather_part(cx, slot, PM__GATHER_SHARED, part)) changed = true;
        if (!changed || up + 1 == w->n || up + 1 == PM__WAY) return;
        if (!pm__gather_fits(*w->slot[(w->n - 2 - up) % PM__WAY], *slot)) return;
    }
}

/* The same for the node that has the location s[0..len), or what is left of it, and for the node right below it. */
static void pm__trie_gather(const pm__cx *cx, pm__ref *slot, const uint8_t *s, size_t len) {
    pm__way w = {0, {NULL}};
    while (*slot && pm__ref_is_unique(*slot)) {
        pm__way_push(&w, slot);
        if (len == 0) break;
        if (pm__ref_kind(*slot) == PM__RANGE) {
            slot = pm__line_part((const pm__line *)pm__ref_ptr(*slot), *s);
            continue;
        }
        if (pm__ref_kind(*slot) != PM__LINE) {
            pm__byte *x = (pm__byte *)pm__ref_ptr(*slot);
            if (!pm__byte_has_child(x, *s)) break;
            if (pm__byte_is_wide(x) && !pm__ref_count_is_one(&pm__byte_block(x, *s >> 4)->rc)) break;
            slot = pm__byte_child(x, *s);
            s++, len--;
            continue;
        }
        const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
        if (len <= x->plen || memcmp(pm__line_heap(x), s, x->plen) != 0) break;
        s += x->plen, len -= x->plen;
        pm__line_seek k = pm__line_find(x, s, len);
        int i = k.lo < k.hi ? (int)k.hi - 1 : k.child;
        if (i < 0 || !pm__line_is_child(x, (unsigned)i) || pm__line_suffix(x, (unsigned)i) > len) break;
        s += pm__line_suffix(x, (unsigned)i), len -= pm__line_suffix(x, (unsigned)i);
        slot = pm__line_child(x, (unsigned)i);
    }
    pm__way_gather(cx, &w);
}

/* Removes the location s[0..keep], which exists, with all below it; s[0..keep) goes on to exist. False: no memory. */
static bool pm__trie_cut(const pm__cx *cx, pm__ref *root, const uint8_t *s, size_t keep) {
    pm__spot at = pm__trie_reach(cx, root, s, keep + 1);
    if (!at.slot) return false;
    bool byte = pm__ref_kind(*at.slot) != PM__LINE;
    if (!(byte ? pm__cut_byte(cx, &at, s) : pm__cut_line(cx, &at, s, keep))) return false;
    pm__trie_gather(cx, root, s, keep);
    return true;
}

/* The simple removal with pruning, in one walk: a value in a node that keeps other entries, all nodes above being
   unshared. Pruning then ends inside the node by itself. False, and nothing changed, where it is not as simple as
   that. */
static bool pm__trie_take(const pm__cx *cx, pm__ref *slot, const uint8_t *s, size_t len, pm_opt *old) {
    pm__way way;
    way.n = 0;
    while (*slot && pm__ref_is_unique(*slot)) {
        pm__ref_prefetch(*slot);
        pm__way_push(&way, slot);
        if (pm__ref_kind(*slot) == PM__RANGE) {
            slot = pm__line_part((const pm__line *)pm__ref_ptr(*slot), *s);
            continue;
        }
        if (pm__ref_kind(*slot) != PM__LINE) {
            pm__byte *x = (pm__byte *)pm__ref_ptr(*slot);
            uint8_t b = *s;
            if (len > 1) {
                if (!pm__byte_has_child(x, b)) return false;
                if (pm__byte_is_wide(x) && !pm__ref_count_is_one(&pm__byte_block(x, b >> 4)->rc)) return false;
                slot = pm__byte_child(x, b);
                s++, len--;
                continue;
            }
            if (!pm__byte_has_val(x, b) || x->nc + x->nv < 2) return false;
            if (pm__byte_has_child(x, b) && !*pm__byte_child(x, b)) return false; /* dangles: it is to go as well */
            old->val = *pm__byte_val(x, b), old->some = true;
            pm__byte_del_val(cx, &x, b);
            *slot = pm__byte_ref(x);
            if (pm__gather_is_due(x->nc + x->nv + 0u, false)) pm__way_gather(cx, &way);
            return true;
        }
        const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
        if (!pm__line_in_prefix(x, s, len)) return false;
        s += x->plen, len -= x->plen;
        int i = len ? pm__line_probe(x, s, len, pm__load_upto8(s + 1, len - 1)) : pm__line_has_e(x) - 1;
        if (i < 0) return false;
        if (pm__line_is_child(x, (unsigned)i)) {
            s += pm__line_lens(x)[i] + 1u, len -= pm__line_lens(x)[i] + 1u;
            slot = pm__line_child(x, (unsigned)i);
            continue;
        }
        if (x->n < 2) return false; /* entries that go on from here keep the location, others the node */
        old->val = *pm__line_val(x, (unsigned)i), old->some = true;
        unsigned left = x->n - 1u;
        pm__trie_line_erase(cx, slot, (unsigned)i, (unsigned)i + 1);
        if (pm__gather_is_due(left, true)) pm__way_gather(cx, &way);
        return true;
    }
    return false;
}

/* Removes the value at s[0..len), len > 0, which exists, without releasing it; the location stays. False: no memory. */
static bool pm__trie_unset(const pm__cx *cx, pm__ref *root, const uint8_t *s, size_t len) {
    pm__spot at = pm__trie_reach(cx, root, s, len);
    if (!at.slot) return false;
    const uint8_t *t = s + at.base;
    if (pm__ref_kind(*at.slot) != PM__LINE) {
        pm__byte *x = (pm__byte *)pm__ref_ptr(*at.slot);
        bool ok = pm__byte_has_child(x, *t) || pm__byte_add_child(cx, &x, *t, 0);
        if (ok) pm__byte_del_val(cx, &x, *t);
        *at.slot = pm__byte_ref(x);
        if (ok && pm__gather_is_due(x->nc + x->nv + 0u, false)) pm__trie_gather(cx, root, s, len);
        return ok;
    }
    pm__line *x = (pm__line *)pm__ref_ptr(*at.slot);
    size_t rest = len - at.base - x->plen;
    pm__line_seek k = pm__line_find(x, t + x->plen, rest);
    if (k.hi - k.lo > 1) {
        bool due = pm__gather_is_due(x->n - 1u, true);
        pm__trie_line_erase(cx, at.slot, k.lo, k.lo + 1);
        if (due) pm__trie_gather(cx, root, s, len);
        return true;
    }
    if (!cx->unit && rest) {
        x->cmask |= (uint32_t)1 << k.lo;
        *pm__line_pay_at(x, k.lo) = 0;
        return true;
    }
    pm__ent ents[PM__LINE_ENTRIES];
    pm__line_decode(x, ents);
    if (rest == 0) { /* the value at the end of the prefix, and nothing else: the prefix becomes the suffix */
        ents[0] = pm__ent_make(t, x->plen, true, 0);
        return pm__trie_line_replace(cx, at.slot, NULL, 0, ents, 1);
    }
    ents[k.lo].child = true, ents[k.lo].pay = 0;
    return pm__trie_line_replace(cx, at.slot, pm__line_heap(x), x->plen, ents, x->n);
}

/* ---- value and branches of a location ------------------------------------------------------------------------ */

/* At byte b, which leads on: `child` takes the place of the child there, and *val that of the value; NULL: it stays. */
static bool pm__edit_byte(const pm__cx *cx, pm__ref *slot, uint8_t b, const pm_opt *val, pm__ref child) {
    pm__byte *x = (pm__byte *)pm__ref_ptr(*slot);
    const bool had = pm__byte_has_child(x, b), has = pm__byte_has_val(x, b), some = val ? val->some : has;
    const bool bit = child || !some, adds = some && !has;
    pm__ref old = 0, *c = NULL;
    bool ok = !adds || pm__byte_add_val(cx, &x, b, val->val), added = ok && adds;
    if (ok && had) ok = (c = pm__byte_child_mut(cx, x, b)) != NULL;
    else if (ok && bit) ok = pm__byte_add_child(cx, &x, b, child);
    if (ok) { /* nothing from here on can fail: the child's block is ours */
        if (c) old = *c, *c = child;
        if (c && !bit) (void)pm__byte_del_child(cx, &x, b);
        if (val && has) {
            pm__pay_release(cx, false, *pm__byte_val(x, b));
            if (!some) pm__byte_del_val(cx, &x, b);
            else if (!cx->unit) *pm__byte_val(x, b) = val->val;
        }
    } else if (added) {
        pm__byte_del_val(cx, &x, b);
    }
    *slot = pm__byte_ref(x);
    if (!ok) return false;
    pm__any_release(cx, old);
    pm__trie_byte_settle(cx, slot);
    return true;
}

/* The same where t[0..rest), counted from the root of a line, is the location. */
static bool pm__edit_line(const pm__cx *cx, pm__ref *slot, const uint8_t *t, size_t rest, const pm_opt *val,
                          pm__ref child) {
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    pm__ent ents[PM__LINE_ENTRIES + 2], all[PM__LINE_ENTRIES];
    pm__loot loot;
    unsigned lo = 0, hi = x->n, n;
    size_t plen = 0; /* of a location within the prefix all entries go, and the prefix becomes its suffix */
    if (rest > x->plen) {
        plen = x->plen;
        pm__line_seek k = pm__line_find(x, t + plen, rest - plen);
        lo = k.lo, hi = k.hi;
    }
    const unsigned e = !pm__line_is_child(x, lo) && x->plen + pm__line_suffix(x, lo) == rest;
    if (!val && hi - lo - e == 1 && pm__line_is_child(x, hi - 1) && x->plen + pm__line_suffix(x, hi - 1) == rest &&
        (child || !e)) {
        pm__ref old = *pm__line_child(x, hi - 1);
        *pm__line_child(x, hi - 1) = child;
        pm__any_release(cx, old);
        return true;
    }
    pm__line_decode(x, all);
    pm__loot_take(&loot, x, val ? lo : lo + e, hi);
    memcpy(ents, all, lo * sizeof *all);
    n = lo;
    if (val ? val->some : e) {
        ents[n] = pm__ent_make(t + plen, rest - plen, false, val ? val->val : all[lo].pay);
        ents[n++].fresh = val != NULL;
    }
    if (child || n == lo) ents[n++] = pm__ent_make(t + plen, rest - plen, true, child);
    memcpy(ents + n, all + hi, (x->n - hi) * sizeof *all);
    if (!pm__trie_line_replace(cx, slot, pm__line_heap(x), plen, ents, n + x->n - hi)) return false;
    pm__loot_release(cx, &loot);
    return true;
}

/* Makes the location s[0..len), len > 0, which exists, hold *val (NULL: the value that it has, if any) and `child`,
   which may be 0, in the place of all that is at and below it. The references move into the trie. False: no memory,
   nothing changed. */
static bool pm__trie_edit(const pm__cx *cx, pm__ref *root, const uint8_t *s, size_t len, const pm_opt *val,
                          pm__ref child) {
    pm__spot at = pm__trie_reach(cx, root, s, len);
    if (!at.slot) return false;
    bool byte = pm__ref_kind(*at.slot) != PM__LINE;
    if (!(byte ? pm__edit_byte(cx, at.slot, s[at.base], val, child)
               : pm__edit_line(cx, at.slot, s + at.base, len - at.base, val, child)))
        return false;
    if (!child) pm__trie_gather(cx, root, s, len); /* what was grafted stays whole */
    return true;
}

/* Puts `child` (may be 0) in the place of all that lies strictly below s[0..len), len > 0; the location exists then,
   its value stays. The reference moves into the trie. False: no memory, nothing changed. */
static bool pm__trie_graft(const pm__cx *cx, pm__ref *root, const uint8_t *s, size_t len, pm__ref child) {
    pm_opt none;
    if (!pm__trie_survey(*root, s, len).exists) return pm__trie_put(cx, root, s, len, true, child, &none);
    return pm__trie_edit(cx, root, s, len, NULL, child);
}

/* A value and a child at a location that does not exist. They hang together in a line below the location's parent,
   unless that has children already: then the value goes in first, and taking it out again would need no memory. */
static bool pm__assign_pair(const pm__cx *cx, pm__ref *root, const uint8_t *s, size_t len, pm_val val, pm__ref child) {
    pm__survey up = {true, *root == 0, NULL, 0};
    pm_opt none;
    if (len > 1) up = pm__trie_survey(*root, s, len - 1);
    if (up.exists && !up.childless) {
        if (!pm__trie_put(cx, root, s, len, false, val, &none)) return false;
        if (pm__trie_graft(cx, root, s, len, child)) return true;
        pm__pay_retain(cx, false, val); /* the cut gives up what the trie holds, the caller's reference stays */
        (void)pm__trie_cut(cx, root, s, len - 1);
        return false;
    }
    pm__ent two[2] = {pm__ent_make(s + len - 1, 1, false, val), pm__ent_make(s + len - 1, 1, true, child)};
    pm__ref pair = pm__build_nodes(cx, NULL, 0, two, 2, 0);
    if (!pair) return false;
    if (len == 1) {
        *root = pair;
        return true;
    }
    if (pm__trie_graft(cx, root, s, len - 1, pair)) return true;
    pm__any_chain_undo(pair, 1);
    return false;
}

/* As pm__trie_edit, for a location that need not exist. */
PM__UNUSED static bool pm__trie_assign(const pm__cx *cx, pm__ref *root, const uint8_t *s, size_t len, pm_opt val,
                                       pm__ref child) {
    pm_opt none;
    if (pm__trie_survey(*root, s, len).exists) return pm__trie_edit(cx, root, s, len, &val, child);
    if (val.some && child) return pm__assign_pair(cx, root, s, len, val.val, child);
    return pm__trie_put(cx, root, s, len, !val.some, val.some ? val.val : child, &none);
}
