/* Going on in order: siblings, locations, values, and what visits all of them.

   One walk goes from value to value, in either direction (pm__iter_walk). It has a fast path: a run of values within
   one line is stepped through without looking for the next one; only the place in the top frame follows. */
#include "50_read_zipper.c"
#include "54_iterate.h"

/* ---- moving on ----------------------------------------------------------------------------------------------- */

/* The children of the location above the focus. */
static pm_mask pm__iter_parent_mask(const pm_rz *z) {
    pm_mask none = {{0, 0, 0, 0}};
    if (z->len - 1 > z->exist_len) return none;
    pm_place p = pm__rz_place(z);
    if (z->len == z->exist_len) {
        const pm_frame *f = &z->frames[z->nframes - 1];
        if (p.depth == 1 && p.part) p = pm__place_root(pm__rz_frame_root(z, z->nframes - 1));
        else pm__place_widen(&p, z->path + f->base, p.depth - 1u);
        return pm__place_mask_entered(&p);
    }
    return pm__place_mask(&p);
}

/* Makes sure that going one byte down, or to a sibling, cannot run out of memory. */
static bool pm__iter_spare_map(pm_rz *z) {
    if (!pm__rz_begin(z) || !pm__rz_room(z, z->len + 1)) return false;
    return z->nframes < z->frame_cap || pm__rz_grow_frames(z, z->nframes + 1);
}

static bool pm__iter_spare(pm_rz *z) { return pm__rz_is_view(z) || pm__iter_spare_map(z); }

/* By the children there are: what lies at the end of what is below them need not be looked at. */
static bool pm__iter_vz_prev_sibling(pm_rz *z) {
    uint8_t b = z->path[--z->len];
    pm_mask m = pm__vz_mask(z);
    int c = pm_mask_prev(&m, b - 1);
    if (c >= 0) b = (uint8_t)c;
    (void)pm__rz_append(z, &b, 1); /* there is room: it has been as long before */
    return c >= 0;
}

/* Replaces the last byte by its neighbour among the children of the parent. Needs no memory: what it frees suffices. */
static bool pm__iter_sibling(pm_rz *z, bool next) {
    if (pm_rz_at_root(z)) return false;
    if (pm__rz_is_view(z)) return next ? pm__vz_step_beside(z, z->len - 1) : pm__iter_vz_prev_sibling(z);
    uint8_t b = z->path[z->len - 1];
    pm_mask m = pm__iter_parent_mask(z);
    int c = next ? pm_mask_next(&m, b + 1) : pm_mask_prev(&m, b - 1);
    if (c < 0) return false;
    pm__rz_cut_to(z, z->len - 1);
    return pm__rz_append_byte(z, (uint8_t)c);
}

/* To the next sibling of the focus or of the nearest place above it that has one, staying below `base` bytes; else to
   `base`. Places off the trie have none. */
static bool pm__iter_next_beside(pm_rz *z, size_t base) {
    if (pm__rz_is_view(z)) {
        if (pm__vz_step_beside(z, base)) return true;
        pm__rz_cut_to(z, base);
        return false;
    }
    size_t on = z->exist_len + 1 > base ? z->exist_len + 1 : base;
    if (z->len > on) pm__rz_cut_to(z, on);
    while (z->len > base) {
        if (pm__iter_sibling(z, true)) return true;
        pm__rz_cut_to(z, z->len - 1);
    }
    return false;
}

PM_API bool pm_rz_to_next_sibling(pm_rz *z) {
    if (!z) return false;
    return pm__iter_spare(z) && pm__iter_sibling(z, true);
}
PM_API bool pm_rz_to_prev_sibling(pm_rz *z) {
    if (!z) return false;
    return pm__iter_spare(z) && pm__iter_sibling(z, false);
}

/* The entries [*begin, *end) of the top frame, a line, that lie below the zipper's root, which lies in it. */
static PM__NOINLINE void pm__iter_below_root(const pm_rz *z, const pm_frame *f, const pm__line *x, int *begin,
                                             int *end) {
    size_t d = z->root_len - f->base;
    if (d < x->plen) return;
    if (d > x->plen) {
        pm__line_seek k = pm__line_find(x, z->path + f->base + x->plen, d - x->plen);
        *begin = (int)k.lo, *end = (int)k.hi;
    }
    while (*begin < *end && pm__line_suffix(x, (unsigned)*begin) == d - x->plen) {
        if (pm__line_is_child(x, (unsigned)*begin) && *pm__line_child(x, (unsigned)*begin)) break; /* leads below it */
        ++*begin;
    }
}

/* The same wherever the root lies. */
static PM__INLINE void pm__iter_bounds(const pm_rz *z, const pm_frame *f, const pm__line *x, int *begin, int *end) {
    *begin = 0, *end = x->n;
    if (PM__UNLIKELY(f->base < z->root_len)) pm__iter_below_root(z, f, x, begin, end);
}

/* Back to the root after the last place. A child entered at the root may have left its frame. */
static void pm__iter_rewind(pm_rz *z) {
    while (z->nframes > 1 && z->frames[z->nframes - 1].base >= z->root_len) z->nframes--;
    pm__rz_cut_to(z, z->root_len);
    if (z->nframes == 1 && !z->exist_len) z->frames[0].place = pm__place_root(z->top); /* it may be in a part */
}

/* From the root of a range node to that of its first or last part. */
static PM__INLINE void pm__iter_first_part(pm_place *p, bool back) {
    if (!pm__place_in_range(p)) return;
    const pm__line *x = pm__place_line(p);
    *p = pm__place_root_part(x, back ? x->n - 1u : 0);
}

/* Goes on to the root of the part of a range node after, or before, the one that the top frame is in. False: there is
   none. */
static PM__COLD bool pm__iter_other_part(pm_rz *z, bool back) {
    pm_frame *f = &z->frames[z->nframes - 1];
    const pm__line *x = (const pm__line *)pm__ref_ptr(pm__rz_frame_root(z, z->nframes - 1));
    unsigned i = f->place.part - 1u;
    if (back ? i == 0 : i + 1u == x->n) return false;
    i += back ? -1u : 1u;
    f->place = pm__place_root_part(x, i);
    if (back ? i > 0 : i + 1u < x->n) pm__ref_prefetch(*pm__line_part_at(x, back ? i - 1 : i + 1));
    return true;
}

/* The same; false as well if it is in none. */
static PM__INLINE bool pm__iter_next_part(pm_rz *z, bool back) {
    const pm_frame *f = &z->frames[z->nframes - 1];
    return PM__UNLIKELY(f->place.part) && f->base >= z->root_len && pm__iter_other_part(z, back);
}

/* ---- to the next value, and to the one before ----------------------------------------------------------------- */

/* A slot is a place in the order of a node's members: of a line, an entry; of a byte node, a position. What goes on in
   order goes from slot to slot, and by the stack of frames from node to node: from a slot that leads down to the
   child's first or last slot, from a node's end to the slot after, or before, the one that led there. Backwards it
   comes to a child before the value at the same place. */

enum { PM__ITER_LAST = PM__BYTE_END - 1, PM__ITER_PAST = PM__BYTE_END };

typedef enum pm__iter_from {
    PM__ITER_AT,     /* the place itself has been passed, but nothing below it; backwards: all that is below it */
    PM__ITER_BELOW,  /* all below it has been passed; backwards: what its child holds */
    PM__ITER_BEHIND, /* backwards: nothing of that */
} pm__iter_from;

/* The slot with which to go on from a place in the top frame. */
static PM__INLINE int pm__iter_slot_of(const pm_place *p, pm__iter_from from, bool back) {
    if (p->node == 0) return back ? -1 : PM__ITER_PAST;
    if (PM__LIKELY(pm__place_in_line(p))) {
        if (back) return from == PM__ITER_AT ? p->lo - 1 : p->hi - (from == PM__ITER_BELOW ? 2 : 1);
        if (from == PM__ITER_BELOW) return p->hi;
        return p->depth ? p->lo + (int)pm__place_val_entry(p, pm__place_line(p)) : 0;
    }
    if (p->depth == 0) return back ? (from == PM__ITER_BEHIND ? PM__ITER_LAST : -1) : 0;
    if (back) return 2 * p->lo + (int)from - 1;
    return 2 * p->lo + 1 + (from == PM__ITER_BELOW);
}

/* A copy of at most PM__SUFFIX_MAX bytes. Both sides have 8 bytes of room behind: lines keep payloads behind their
   heaps, paths keep slack. */
static PM__INLINE void pm__iter_copy_suffix(uint8_t *d, const uint8_t *s, size_t n) {
    if (PM__LIKELY(n <= 8)) {
        memcpy(d, s, 8);
    } else if (n <= 16) {
        memcpy(d, s, 8);
        memcpy(d + n - 8, s + n - 8, 8);
    } else if (n <= 32) {
        memcpy(d, s, 16);
        memcpy(d + n - 16, s + n - 16, 16);
    } else {
        memcpy(d, s, n);
    }
}

/* Stands on entry i of the line in the top frame: writes its path and says which entries agree. */
static PM__INLINE bool pm__iter_stand(pm_rz *z, pm_frame *f, const pm__line *x, unsigned i) {
    unsigned off = pm__line_off(x, i), len = pm__line_suffix(x, i), rest = pm__line_lens(x)[i];
    const uint8_t *h = pm__line_heap(x) + off;
    size_t at = f->base + x->plen;
    if (PM__UNLIKELY(!pm__rz_room(z, at + len))) return false;
    if (x->plen && f->place.depth < x->plen) memcpy(z->path + f->base, pm__line_heap(x), x->plen);
    if (len) {
        z->path[at] = x->body[i];
        pm__iter_copy_suffix(z->path + at + 1, h, rest);
    }
    unsigned lo = i, hi = i + 1;
    if (pm__line_is_child(x, i)) lo = pm__line_agree_begin(x, i, h);
    else hi = len ? pm__line_agree_end(x, i, h) : x->n;
    f->place.lo = (uint8_t)lo, f->place.hi = (uint8_t)hi;
    f->place.depth = f->place.since = (uint16_t)(x->plen + len);
    z->len = z->exist_len = at + len;
    return true;
}

/* Enters the child at the place of the top frame. */
static PM__INLINE bool pm__iter_enter(pm_rz *z, pm__ref child) {
    pm__ref_prefetch(child);
    return pm__rz_push(z, pm__place_root(child), z->exist_len);
}

enum { PM__ITER_FOUND, PM__ITER_DOWN, PM__ITER_UP, PM__ITER_NOMEM };

/* Goes on from an entry of the line in the top frame: to a value, into a child, or through. `ends`: dangling places
   count, too. */
static PM__INLINE int pm__iter_line(pm_rz *z, pm_frame *f, int slot, bool ends, bool back) {
    const pm__line *x = pm__place_line(&f->place);
    int begin, end;
    pm__iter_bounds(z, f, x, &begin, &end);
    for (; back ? slot >= begin : slot < end; slot += back ? -1 : 1) {
        unsigned i = (unsigned)slot;
        bool leads = pm__line_is_child(x, i);
        pm__ref child = leads ? *pm__line_child(x, i) : 0;
        if (leads && !child && !ends) continue;
        if (PM__UNLIKELY(!pm__iter_stand(z, f, x, i))) return PM__ITER_NOMEM;
        if (!child) {
            z->run_val = leads ? NULL : pm__line_val(x, i);
            return PM__ITER_FOUND;
        }
        uint32_t later = back ? x->cmask & pm__low_bits(i) : x->cmask >> i >> 1;
        if (later) /* by the time this child is done, the next one has arrived */
            pm__ref_prefetch(*pm__line_child(x, back ? 63 - pm__clz64(later) : i + 1 + pm__ctz32(later)));
        return pm__iter_enter(z, child) ? PM__ITER_DOWN : PM__ITER_NOMEM;
    }
    return PM__ITER_UP;
}

/* Prefetches the child after the one at byte b, or before it. */
static PM__INLINE void pm__iter_byte_prefetch(const pm__byte *x, uint8_t b, bool back) {
    unsigned r = pm__byte_is_wide(x) ? pm__byte_block_rank(x, b) : pm__byte_child_rank(x, b);
    unsigned n = pm__byte_is_wide(x) ? pm__popcount32(pm__byte_block_bits(x, b >> 4)) : x->nc;
    if (back ? r == 0 : r + 1 >= n) return;
    pm__ref next = *(pm__byte_child(x, b) + (back ? -1 : 1));
    if (next) pm__ref_prefetch(next);
}

/* The same as for lines in a byte node. */
static PM__INLINE int pm__iter_byte(pm_rz *z, pm_frame *f, int slot, bool ends, bool back) {
    const pm__byte *x = pm__place_byte(&f->place);
    if (!pm__rz_room(z, f->base + 1)) return PM__ITER_NOMEM;
    while ((slot = pm__byte_position(x, slot, back)) >= 0) {
        uint8_t c = (uint8_t)(slot >> 1);
        if (PM__UNLIKELY(f->base < z->root_len) && slot != 2 * z->path[f->base] + 1) return PM__ITER_UP;
        pm__ref child = slot & 1 ? *pm__byte_child(x, c) : 0;
        if (slot & 1 && !child && !ends) {
            slot += back ? -1 : 1;
            continue;
        }
        z->path[f->base] = c;
        f->place.lo = c, f->place.depth = 1;
        z->len = z->exist_len = f->base + 1;
        if (!child) {
            z->run_val = slot & 1 ? NULL : pm__byte_val(x, c);
            return PM__ITER_FOUND;
        }
        pm__iter_byte_prefetch(x, c, back);
        return pm__iter_enter(z, child) ? PM__ITER_DOWN : PM__ITER_NOMEM;
    }
    return PM__ITER_UP;
}

/* Entries that the one after them may extend, as bits: same first byte, and not shorter. */
static PM__INLINE uint32_t pm__iter_line_maybe_extended(const pm__line *x) {
    const uint8_t *lens = pm__line_lens(x);
    uint32_t same = 0;
#if PM__SSE2
    for (unsigned at = 0; at < x->n; at += 16) {
        const uint8_t *b = x->body + at, *l = lens + at;
        __m128i first = _mm_cmpeq_epi8(pm__line_lo(b), pm__line_lo(b + 1));
        __m128i next = pm__line_lo(l + 1), longer = _mm_cmpeq_epi8(_mm_max_epu8(pm__line_lo(l), next), next);
        same |= (uint32_t)_mm_movemask_epi8(_mm_and_si128(first, longer)) << at;
    }
#else
    for (unsigned i = 0; i + 1u < x->n; i++)
        same |= (uint32_t)(x->body[i] == x->body[i + 1] && lens[i] <= lens[i + 1]) << i;
#endif
    return same & pm__low_bits(x->n - 1u);
}

/* The focus stands on a value in a line: notes what it takes to step along the other values of that line. Without
   memory they are walked to like any other: the focus has moved, and the zipper's status stays. */
static PM__INLINE void pm__iter_start_run(pm_rz *z) {
    const pm_frame *f = &z->frames[z->nframes - 1];
    if (!pm__place_in_line(&f->place)) return;
    const pm__line *x = pm__place_line(&f->place);
    unsigned i = f->place.lo;
    int begin, end;
    pm__iter_bounds(z, f, x, &begin, &end);
    if (pm__line_is_child(x, i) || !pm__rz_may_have_room(z, f->base + x->plen + PM__SUFFIX_MAX)) return;
    z->run = (uint8_t)(i + 1);
    z->run_mask = pm__low_bits((unsigned)end) & ~(x->cmask | pm__line_has_e(x) | pm__low_bits((unsigned)begin));
    z->run_longer = pm__iter_line_maybe_extended(x);
    z->run_at = f->base + x->plen;
    z->run_heap = pm__line_heap(x) + pm__line_off(x, i + 1);
    z->run_val = pm__line_val(x, i);
}

/* Whether the entry after, or before, the one under the focus belongs to the run. */
static PM__INLINE bool pm__iter_runs(const pm_rz *z, bool back) {
    return back ? z->run > 1 && z->run_mask >> (z->run - 2) & 1 : z->run && z->run < 32 && z->run_mask >> z->run & 1;
}

/* To that entry. */
static PM__INLINE void pm__iter_step_run(pm_rz *z, bool back) {
    pm_frame *f = &z->frames[z->nframes - 1];
    const pm__line *x = pm__place_line(&f->place);
    const uint8_t *lens = pm__line_lens(x);
    unsigned i = back ? z->run - 2u : z->run, rest = lens[i], end = i + 1;
    const uint8_t *h = back ? z->run_heap - lens[i + 1] - rest : z->run_heap;
    uint8_t *d = z->path + z->run_at;
    if (z->run_longer >> i & 1) end = pm__line_agree_end(x, i, h);
    d[0] = x->body[i];
    pm__iter_copy_suffix(d + 1, h, rest);
    z->run_heap = h + rest;
    z->run_val = pm__line_val(x, i);
    z->run = (uint8_t)(i + 1);
    f->place.lo = (uint8_t)i, f->place.hi = (uint8_t)end;
    f->place.depth = f->place.since = (uint16_t)(x->plen + rest + 1);
    z->len = z->exist_len = z->run_at + rest + 1;
}

/* On from a slot of the top frame to the next value, or, with `ends`, dangling place below the zipper's root. If there
   is none, or no memory, the zipper is good for pm__iter_rewind alone. */
static PM__INLINE bool pm__iter_walk(pm_rz *z, int slot, bool ends, bool back) {
    z->run = 0;
    for (;;) {
        pm_frame *f = &z->frames[z->nframes - 1];
        int r = PM__ITER_UP;
        if (PM__LIKELY(f->place.node != 0)) {
            if (pm__place_in_line(&f->place)) {
                r = pm__iter_line(z, f, slot, ends, back);
            } else if (PM__LIKELY(!pm__place_in_range(&f->place))) {
                r = pm__iter_byte(z, f, slot, ends, back);
            } else if (slot >= 0 && slot != PM__ITER_PAST) {
                pm__iter_first_part(&f->place, back);
                slot = back ? pm__iter_slot_of(&f->place, PM__ITER_BEHIND, true) : 0;
                continue;
            }
        }
        if (r == PM__ITER_FOUND) break;
        if (r == PM__ITER_DOWN || (r == PM__ITER_UP && pm__iter_next_part(z, back))) {
            slot = back ? pm__iter_slot_of(&z->frames[z->nframes - 1].place, PM__ITER_BEHIND, true) : 0;
        } else {
            if (r == PM__ITER_NOMEM || f->base <= z->root_len || z->nframes == 1) return false;
            slot = pm__iter_slot_of(&z->frames[--z->nframes - 1].place, PM__ITER_BELOW, back);
        }
    }
    if (z->run_val) pm__iter_start_run(z);
    return true;
}

static PM__NOINLINE bool pm__iter_forth(pm_rz *z, int slot, bool ends) { return pm__iter_walk(z, slot, ends, false); }
static PM__NOINLINE bool pm__iter_back(pm_rz *z, int slot, bool ends) { return pm__iter_walk(z, slot, ends, true); }

/* The focus is off the trie. Brings the frames to where that shows. Returns the slot with which to go on. */
static int pm__iter_gap(pm_rz *z, bool back) {
    size_t len = z->len;
    int none = back ? -1 : PM__ITER_PAST;
    if (z->exist_len < z->root_len) return none;
    z->len = z->exist_len;
    pm_frame *f = &z->frames[z->nframes - 1];
    pm__ref child;
    if (pm__place_child(&f->place, &child)) {
        if (!child) return pm__iter_slot_of(&f->place, back ? PM__ITER_BEHIND : PM__ITER_BELOW, back);
        (void)pm__iter_enter(z, child); /* there is room */
        f = &z->frames[z->nframes - 1];
    }
    pm_place *p = &f->place;
    const uint8_t *s = z->path + z->len;
    if (p->node == 0) return none;
    if (pm__place_in_range(p)) *p = pm__place_root_part(pm__place_line(p), pm__line_part_index(pm__place_line(p), *s));
    if (!pm__place_in_line(p))
        return p->depth ? pm__iter_slot_of(p, PM__ITER_BELOW, back) : 2 * *s - (back ? 1 : 0);
    const pm__line *x = pm__place_line(p);
    if (p->depth < x->plen) {
        if ((pm__line_heap(x)[p->depth] < *s) != back) return none;
        return back ? x->n - 1 : 0;
    }
    size_t above = f->base + x->plen;
    return (int)pm__line_find(x, z->path + above, len - above).lo - (back ? 1 : 0);
}

/* The slot with which to go on from the focus, wherever that is. */
static int pm__iter_slot_here(pm_rz *z, pm__iter_from from, bool back) {
    if (PM__UNLIKELY(z->len != z->exist_len)) return pm__iter_gap(z, back);
    return pm__iter_slot_of(&z->frames[z->nframes - 1].place, from, back);
}

/* From the focus to the next value or end; else to the root. Off a run. */
static PM__NOINLINE bool pm__iter_next_val(pm_rz *z, bool ends) {
    pm__ref child;
    if (PM__LIKELY(pm__iter_spare(z))) {
        const pm_place *p = &z->frames[z->nframes - 1].place;
        bool dangles = ends && z->len == z->exist_len && p->node && pm__place_child(p, &child) && !child;
        if (pm__iter_forth(z, pm__iter_slot_here(z, dangles ? PM__ITER_BELOW : PM__ITER_AT, false), ends)) return true;
    }
    pm__iter_rewind(z);
    return false;
}

/* The same for the one before. `behind`: what is at and below the focus comes before it, too. */
static PM__NOINLINE bool pm__iter_prev_val(pm_rz *z, bool ends, bool behind) {
    if (PM__LIKELY(pm__iter_spare(z)) &&
        pm__iter_back(z, pm__iter_slot_here(z, behind ? PM__ITER_BEHIND : PM__ITER_AT, true), ends))
        return true;
    pm__iter_rewind(z);
    return false;
}

/* To the next value of a view. */
static bool pm__iter_vz_next_val(pm_rz *z) {
    while (pm__vz_next_terminal(z, z->root_len))
        if (z->run_val) return true;
    z->len = z->root_len;
    return false;
}

PM_API bool pm_rz_to_next_val(pm_rz *z) {
    if (!z) return false;
    pm__rz_use(z);
    if (PM__LIKELY(pm__iter_runs(z, false))) {
        pm__iter_step_run(z, false);
        return true;
    }
    return pm__rz_is_view(z) ? pm__iter_vz_next_val(z) : pm__iter_next_val(z, false);
}

/* To the value of a view before the focus; `behind`: or at or below it. */
static bool pm__iter_vz_prev_val(pm_rz *z, bool behind) {
    for (; pm__vz_prev_terminal(z, z->root_len, behind) && z->len > z->root_len; behind = false)
        if (z->run_val) return true;
    z->len = z->root_len;
    return false;
}

static PM__INLINE bool pm__iter_prev(pm_rz *z, bool behind) {
    pm__rz_use(z);
    if (PM__LIKELY(!behind && pm__iter_runs(z, true))) {
        pm__iter_step_run(z, true);
        return true;
    }
    return pm__rz_is_view(z) ? pm__iter_vz_prev_val(z, behind) : pm__iter_prev_val(z, false, behind);
}

PM_API bool pm_rz_to_prev_val(pm_rz *z) {
    if (!z) return false;
    return pm__iter_prev(z, false);
}

/* The same, the root's own value being one, too. */
static bool pm__iter_prev_or_root(pm_rz *z, bool behind) {
    pm_status before = pm__vz_worked(z, PM_OK);
    bool found = behind || z->len > z->root_len;
    if (found) found = pm__iter_prev(z, behind) || (z->status == PM_OK && pm_rz_is_val(z));
    if (before != PM_OK) z->status = before;
    return found;
}

PM_API bool pm_rz_to_first_val(pm_rz *z) {
    if (!z) return false;
    pm__rz_cut_to(z, z->root_len);
    return pm_rz_is_val(z) || pm_rz_to_next_val(z);
}

PM_API bool pm_rz_to_last_val(pm_rz *z) {
    if (!z) return false;
    pm__rz_cut_to(z, z->root_len);
    return pm__iter_prev_or_root(z, true);
}

/* ---- locations ------------------------------------------------------------------------------------------------- */

/* Stands d + 1 bytes down the suffix of entry i, the first of those up to `end`, which have d bytes in common. */
static void pm__iter_stand_below(pm_rz *z, pm_frame *f, const pm__line *x, unsigned i, unsigned d, unsigned end) {
    const uint8_t *lens = pm__line_lens(x), *h = d ? pm__line_heap(x) + pm__line_off(x, i) + d - 1 : x->body + i;
    uint8_t c = *h;
    f->place.lo = (uint8_t)i;
    for (h += d ? lens[i] : 1, i++; i < end && *h == c; i++) h += d ? lens[i] : 1;
    f->place.hi = (uint8_t)i;
    f->place.depth = f->place.since = (uint16_t)(x->plen + d + 1);
    z->len = z->exist_len = f->base + f->place.depth;
    z->path[z->len - 1] = c;
}

static void pm__iter_stand_on_byte(pm_rz *z, pm_frame *f, int b) {
    f->place.lo = (uint8_t)b, f->place.hi = 0, f->place.depth = 1;
    z->path[f->base] = (uint8_t)b;
    z->len = z->exist_len = f->base + 1;
}

/* One byte down from a place on the trie, to the first child; pm__iter_spare has made room. */
static PM__INLINE bool pm__iter_step_down(pm_rz *z) {
    pm_frame *f = &z->frames[z->nframes - 1];
    pm__ref child;
    if (f->place.node == 0) return false;
    if (pm__place_child(&f->place, &child)) {
        if (!child) return false;
        pm__ref_prefetch(child);
        (void)pm__rz_push(z, pm__place_root(child), z->len);
        f = &z->frames[z->nframes - 1];
    }
    pm_place *p = &f->place;
    pm__iter_first_part(p, false);
    if (!pm__place_in_line(p)) {
        pm__iter_stand_on_byte(z, f, pm__byte_next(pm__place_byte(p), 0));
        return true;
    }
    const pm__line *x = pm__place_line(p);
    if (p->depth < x->plen) {
        z->path[z->len++] = pm__line_heap(x)[p->depth++];
        z->exist_len = z->len;
        return true;
    }
    unsigned i = p->lo + (p->depth ? pm__place_val_entry(p, x) : 0);
    if (i == p->hi) return false;
    pm__iter_stand_below(z, f, x, i, pm__place_suffix(p, x), p->hi);
    return true;
}

/* From the root of a part of a range node, where the top frame is, but not the path yet. */
static PM__NOINLINE bool pm__iter_step_into(pm_rz *z) {
    z->len = z->exist_len = z->frames[z->nframes - 1].base;
    return pm__iter_step_down(z);
}

/* From a place on the trie to the next one that is not below it: the entry after those that agree with the path leaves
   it where it differs from the entry before. */
static bool pm__iter_step_beside(pm_rz *z) {
    for (;; z->nframes--) {
        pm_frame *f = &z->frames[z->nframes - 1];
        pm_place *p = &f->place;
        if (p->depth && !pm__place_in_line(p)) {
            int b = f->base < z->root_len ? -1 : pm__byte_next(pm__place_byte(p), p->lo + 1u);
            if (b >= 0) {
                pm__iter_stand_on_byte(z, f, b);
                return true;
            }
        } else if (p->depth) {
            const pm__line *x = pm__place_line(p);
            int begin, end;
            unsigned i = p->hi;
            pm__iter_bounds(z, f, x, &begin, &end);
            if ((int)i < end) {
                unsigned off = pm__line_off(x, i), j = i + 1;
                size_t shared = pm__tally_line_shared_before(x, i, off);
                for (off += pm__line_lens(x)[i]; shared && (int)j < end; off += pm__line_lens(x)[j], j++)
                    if (pm__tally_line_shared_before(x, j, off) < shared) break;
                pm__iter_stand_below(z, f, x, i, (unsigned)shared, shared ? j : (unsigned)end);
                return true;
            }
        }
        if (pm__iter_next_part(z, false)) return pm__iter_step_into(z);
        if (f->base <= z->root_len || z->nframes == 1) return false;
    }
}

static bool pm__iter_next_step(pm_rz *z) {
    if (!pm__iter_spare(z)) return false;
    if (!pm__rz_on_trie(z)) return pm__iter_next_beside(z, z->root_len);
    z->run = 0;
    return pm__iter_step_down(z) || pm__iter_step_beside(z);
}

/* From a place on the trie, in a line, to the one a byte above, or to the end before it. Mostly the entries beside
   share so little with those here that the same ones agree with the place above. */
static bool pm__iter_line_step_back(pm_rz *z, pm_frame *f) {
    const pm__line *x = pm__place_line(&f->place);
    unsigned i = f->place.lo, end = f->place.hi, d = f->place.depth - 1u, plen = x->plen;
    bool same = d && d < plen;
    if (d == plen && i && pm__line_suffix(x, i - 1)) return pm__iter_back(z, (int)i - 1, true);
    if (d > plen) {
        size_t up = d - plen, before = 0, after = 0;
        unsigned off = i || end < x->n ? pm__line_off(x, i) : 0;
        if (i && x->body[i - 1] == x->body[i]) {
            before = pm__tally_line_shared_before(x, i, off);
            if (before == up && pm__line_suffix(x, i - 1) > up) return pm__iter_back(z, (int)i - 1, true);
        }
        if (end < x->n && x->body[end] == x->body[i]) {
            for (; i < end; i++) off += pm__line_lens(x)[i];
            after = pm__tally_line_shared_before(x, end, off);
        }
        same = before < up && after < up;
    }
    if (same) {
        f->place.depth = (uint16_t)d;
        z->exist_len = --z->len;
    } else {
        pm__rz_cut_to(z, z->len - 1);
    }
    return true;
}

/* Whether a place is the first below the root of its line or byte node. */
static PM__INLINE bool pm__iter_is_first(const pm_place *p) {
    if (p->depth != 1) return false;
    return pm__place_in_line(p) ? p->lo == 0 : pm__byte_prev(pm__place_byte(p), p->lo - 1) < 0;
}

/* To the location before the focus, which is below the root: the last one of the sibling before, else the parent. */
static bool pm__iter_step_back(pm_rz *z) {
    if (z->len == z->root_len || !pm__iter_spare(z)) return false;
    if (z->len != z->exist_len) { /* what lies before the gap in its node, or where the trie ends */
        size_t at = z->exist_len;
        uint8_t b = z->path[at];
        if (at < z->root_len) return false;
        pm__rz_cut_to(z, at);
        pm_mask m = pm__place_mask(&z->frames[z->nframes - 1].place);
        int c = pm_mask_prev(&m, b - 1);
        if (c < 0) return at > z->root_len;
        return pm__rz_append_byte(z, (uint8_t)c) && pm__iter_prev_val(z, true, true);
    }
    pm_frame *f = &z->frames[z->nframes - 1];
    z->run = 0;
    if (pm__iter_is_first(&f->place) && pm__iter_next_part(z, true))
        return pm__iter_back(z, pm__iter_slot_of(&f->place, PM__ITER_BEHIND, true), true);
    if (pm__place_in_line(&f->place)) {
        if (!pm__iter_line_step_back(z, f)) return false;
    } else if (pm__byte_prev(pm__place_byte(&f->place), f->place.lo - 1) >= 0) {
        return pm__iter_back(z, 2 * f->place.lo - 1, true);
    } else {
        pm__rz_cut_to(z, z->len - 1);
    }
    return z->len > z->root_len;
}

/* To the next location of a map from one that exists. */
static bool pm__iter_step_map(pm_rz *z) {
    z->run = 0;
    return pm__iter_spare_map(z) && (pm__iter_step_down(z) || pm__iter_step_beside(z));
}

/* To the next location that begins with the first `base` bytes of the path; else to that place. */
static bool pm__iter_step(pm_rz *z, size_t base) {
    size_t root_len = z->root_len;
    bool over_view = pm__rz_is_view(z);
    z->root_len = base;
    bool found = over_view ? pm__vz_step(z, base) : pm__iter_next_step(z);
    if (!found) pm__iter_rewind(z);
    z->root_len = root_len;
    return found;
}

PM_API bool pm_rz_to_next_step(pm_rz *z) {
    if (!z) return false;
    return pm__iter_step(z, z->root_len);
}

PM_API bool pm_rz_to_prev_step(pm_rz *z) {
    if (!z) return false;
    if (pm__rz_is_view(z) ? pm__vz_step_back(z, z->root_len) : pm__iter_step_back(z)) return true;
    pm__iter_rewind(z);
    return false;
}

/* From where the zipper stands, k bytes or fewer below `base`: to the next place just k below it, or to `base`. */
static bool pm__iter_next_at_depth(pm_rz *z, size_t base, size_t k) {
    while (z->len < base + k)
        if (!pm__iter_step(z, base)) return false;
    return true;
}

PM_API bool pm_rz_descend_first_k_path(pm_rz *z, size_t k) {
    if (!z) return false;
    if (!pm__rz_on_trie(z)) return false;
    return k <= SIZE_MAX - z->len && pm__iter_next_at_depth(z, z->len, k);
}

PM_API bool pm_rz_to_next_k_path(pm_rz *z, size_t k) {
    if (!z) return false;
    size_t depth = z->len - z->root_len;
    if (k == 0) return false;
    if (k > depth) {
        pm_rz_reset(z);
        return false;
    }
    size_t base = z->len - k;
    if (!pm__iter_spare(z)) {
        pm__rz_cut_to(z, base);
        return false;
    }
    return pm__iter_next_beside(z, base) && pm__iter_next_at_depth(z, base, k);
}

/* Whether something lies below the focus. */
static PM__INLINE bool pm__iter_has_children(const pm_rz *z) {
    if (pm__rz_is_view(z)) return pm__vz_child(pm__vz_of(z), 0) >= 0;
    if (!pm__rz_on_trie(z)) return false;
    pm_place p = pm__rz_place(z);
    return pm__place_enter(&p);
}

/* ---- terminals ----------------------------------------------------------------------------------------------- */

/* A terminal is a place that has a value, or neither value nor child. Terminals say all about a trie: its locations are
   their prefixes. What is here stays below `floor` bytes of path from the root; when there is no terminal, the focus is
   anywhere that is not above these. */

static PM__INLINE bool pm__iter_step_terminal(pm_rz *z) {
    if (PM__UNLIKELY(!pm__iter_runs(z, false))) return pm__iter_next_val(z, true);
    pm__iter_step_run(z, false);
    return true;
}

/* Makes a place below the root the root for a while. */
static void pm__iter_lower_root(pm_rz *z, size_t floor) {
    z->root_len += floor;
    if (z->run && z->run_at < z->root_len) z->run = 0; /* it may lead to places beside */
}

/* The same from anywhere. */
static PM__NOINLINE bool pm__iter_go_to_terminal(pm_rz *z, size_t floor) {
    if (z->view) return pm__vz_next_terminal(z, z->root_len + floor);
    pm__iter_lower_root(z, floor);
    bool found = pm__iter_step_terminal(z);
    z->root_len -= floor;
    return found;
}

/* To the next terminal. */
static PM__INLINE bool pm__iter_next_terminal(pm_rz *z, size_t floor) {
    if (PM__UNLIKELY(floor || !pm__iter_runs(z, false))) return pm__iter_go_to_terminal(z, floor);
    pm__iter_step_run(z, false);
    return true;
}

/* Whether the focus is one. */
static bool pm__iter_is_terminal(pm_rz *z) {
    return pm__rz_on_trie(z) && (pm_rz_is_val(z) || !pm__iter_has_children(z));
}

/* To the terminal before the focus; `behind`: or at or below it. */
static bool pm__iter_prev_terminal(pm_rz *z, size_t floor, bool behind) {
    size_t root_len = z->root_len, base = root_len + floor;
    if (z->len <= base && !behind) return false;
    if (PM__UNLIKELY(z->view != NULL)) return pm__vz_prev_terminal(z, base, behind);
    if (PM__LIKELY(!behind && pm__iter_runs(z, true) && z->run_at >= base)) {
        pm__iter_step_run(z, true);
        return true;
    }
    pm__iter_lower_root(z, floor);
    bool found = pm__iter_prev_val(z, true, behind);
    z->root_len = root_len;
    if (found || z->status != PM_OK) return found;
    z->run_val = pm_rz_val(z);
    return pm__iter_is_terminal(z);
}

/* To the place `key` below the root, wherever the focus is; `key` is not bytes of the zipper's own path. */
static bool pm__iter_go(pm_rz *z, const uint8_t *key, size_t n) {
    size_t have = z->len - z->root_len, min = have < n ? have : n;
    size_t same = min ? pm__lcp(z->path + z->root_len, key, min) : 0;
    if (same < have) pm__rz_cut_to(z, z->root_len + same);
    return same == n || pm__rz_append(z, key + same, n - same);
}

/* To the first terminal at or after the place `key` below the root, the first `floor` bytes of which are not left; else
   anywhere. */
static bool pm__iter_seek_terminal(pm_rz *z, size_t floor, const uint8_t *key, size_t n) {
    if (!pm__iter_go(z, key, n)) return false;
    if (z->view) return pm__vz_seek_terminal(z, z->root_len + floor);
    if (pm__rz_on_trie(z)) {
        bool found = pm_rz_is_val(z) || !pm__iter_has_children(z);
        if (found && z->len > z->root_len && !z->run && pm_rz_is_val(z)) pm__iter_start_run(z);
        return found || pm__iter_next_terminal(z, floor);
    }
    return pm__iter_next_terminal(z, floor);
}

/* To the last terminal before the place `key` below the root; as pm_view_ops.seek_back. */
static bool pm__iter_seek_back(pm_rz *z, size_t floor, const uint8_t *key, size_t n, bool below) {
    return pm__iter_go(z, key, n) && pm__iter_prev_terminal(z, floor, below);
}

/* ---- what two zippers share ------------------------------------------------------------------------------------ */

/* Two zippers over maps that stand on the same path below their roots, on the trie: whether they are in one and the
   same node there, so that all is the same that begins with the first *at bytes of that path and is longer. */
static PM__NOINLINE bool pm__iter_where_shared(const pm_rz *a, const pm_rz *b, size_t *at) {
    size_t i = a->nframes, j = b->nframes;
    *at = a->len - a->root_len;
    for (; i && j; i--, j--) {
        const pm_frame *f = &a->frames[i - 1], *g = &b->frames[j - 1];
        if (f->place.node != g->place.node || f->base + b->root_len != g->base + a->root_len) break;
        size_t above = f->base < a->root_len ? a->root_len - f->base : 0;
        if (above && memcmp(a->path + f->base, b->path + g->base, above) != 0) break;
        if (PM__UNLIKELY(f->place.part | g->place.part) && !above) /* what begins with this byte is in the part */
            above = pm__rz_frame_root(a, i - 1) != pm__rz_frame_root(b, j - 1);
        *at = f->base + above - a->root_len;
    }
    return *at < a->len - a->root_len;
}

static PM__INLINE bool pm__iter_in_shared(const pm_rz *a, const pm_rz *b, size_t *at) {
    size_t i = a->nframes, j = b->nframes;
    if (!i || !j || PM__LIKELY(a->frames[i - 1].place.node != b->frames[j - 1].place.node)) return false;
    return pm__iter_where_shared(a, b, at);
}

/* From two places in lines, at the same path, past entries that both lines have from slots *i and *j on. */
static void pm__iter_pass_in_lines(const pm_place *p, const pm_place *q, int *i, int *j, bool back) {
    const pm__line *x = pm__place_line(p), *y = pm__place_line(q);
    if (x->plen != y->plen) return;
    for (; *i >= 0 && *j >= 0 && *i < x->n && *j < y->n; *i += back ? -1 : 1, *j += back ? -1 : 1) {
        unsigned k = (unsigned)*i, l = (unsigned)*j, len = pm__line_lens(x)[k];
        bool child = pm__line_is_child(x, k);
        if (x->body[k] != y->body[l] || pm__line_lens(y)[l] != len || pm__line_kinds_differ(x, k, y, l)) return;
        if (child ? *pm__line_child(x, k) != *pm__line_child(y, l) : *pm__line_val(x, k) != *pm__line_val(y, l)) return;
        const uint8_t *h = pm__line_heap(x) + pm__line_off(x, k), *g = pm__line_heap(y) + pm__line_off(y, l);
        if (!pm__line_heap_equal(h, g, len)) return;
    }
}

/* The same in byte nodes. */
static void pm__iter_pass_in_bytes(const pm_place *p, const pm_place *q, int *i, int *j, bool back) {
    const pm__byte *x = pm__place_byte(p), *y = pm__place_byte(q);
    for (;;) {
        int s = pm__byte_position(x, *i, back), t = pm__byte_position(y, *j, back);
        uint8_t c = (uint8_t)((unsigned)s >> 1);
        if (s < 0 || s != t) return;
        if (s & 1 ? *pm__byte_child(x, c) != *pm__byte_child(y, c) : *pm__byte_val(x, c) != *pm__byte_val(y, c)) return;
        *i = *j = s + (back ? -1 : 1);
    }
}

/* On from a slot of the top frame to the next terminal, or the one before, that begins with `floor` bytes. */
static bool pm__iter_walk_beyond(pm_rz *z, int slot, size_t floor, bool back) {
    size_t root_len = z->root_len;
    z->root_len += floor;
    bool found = back ? pm__iter_back(z, slot, true) : pm__iter_forth(z, slot, true);
    if (!found) pm__iter_rewind(z);
    z->root_len = root_len;
    if (found || !back || z->status != PM_OK) return found;
    z->run_val = pm_rz_val(z);
    return pm__iter_is_terminal(z);
}

/* The slot with which to go on from all that is below a place in the top frame: from the child there, or, as in a part
   that two range nodes share, from all entries of a line that go on from there. */
static PM__INLINE int pm__iter_slot_past(const pm_place *p, bool back) {
    pm__ref child;
    if (back && p->node && pm__place_in_line(p) && !pm__place_child(p, &child))
        return p->lo - 1 + (int)pm__place_val_entry(p, pm__place_line(p));
    return pm__iter_slot_of(p, PM__ITER_BELOW, back);
}

/* Takes two zippers, of which pm__iter_in_shared has said where, on past what they share there; `all`: and past what
   else they have in common beside it, as far as that is seen in the nodes above. Each goes to its next terminal, or the
   one before, within the first `floor` bytes. Tells whether there is one. */
static void pm__iter_pass_shared(pm_rz *a, pm_rz *b, size_t at, size_t floor, bool back, bool all, bool *a_on,
                                 bool *b_on) {
    *a_on = *b_on = false;
    if (at < floor || (at == floor && !back)) return;
    pm__rz_cut_to(a, a->root_len + at);
    pm__rz_cut_to(b, b->root_len + at);
    if (at == floor) {
        a->run_val = pm_rz_val(a), b->run_val = pm_rz_val(b);
        *a_on = pm__iter_is_terminal(a), *b_on = pm__iter_is_terminal(b);
        return;
    }
    const pm_frame *f = &a->frames[a->nframes - 1], *g = &b->frames[b->nframes - 1];
    int i = pm__iter_slot_past(&f->place, back), j = pm__iter_slot_past(&g->place, back);
    if (all && f->base + b->root_len == g->base + a->root_len) {
        bool line = pm__place_in_line(&f->place);
        if (line == pm__place_in_line(&g->place))
            (line ? pm__iter_pass_in_lines : pm__iter_pass_in_bytes)(&f->place, &g->place, &i, &j, back);
    }
    *a_on = pm__iter_spare_map(a) && pm__iter_walk_beyond(a, i, floor, back);
    *b_on = pm__iter_spare_map(b) && pm__iter_walk_beyond(b, j, floor, back);
}

/* ---- seeking ----------------------------------------------------------------------------------------------------- */

static bool pm__iter_seek(pm_rz *z, pm_rel rel, const uint8_t *key, size_t len) {
    bool on = rel == PM_GE || rel == PM_GT;
    if (!pm__iter_go(z, key, len)) return false;
    if ((rel == PM_GE || rel == PM_LE) && pm_rz_is_val(z)) return true;
    return on ? pm_rz_to_next_val(z) : pm__iter_prev_or_root(z, false);
}

PM_API bool pm_rz_seek(pm_rz *z, pm_rel rel, const void *key, size_t len) {
    if (!z) return false;
    if ((unsigned)rel > PM_GT || (len && !key) || len > PM__LEN_MAX) {
        if (z->status == PM_OK) z->status = PM_INVALID;
    } else if (pm__iter_seek(z, rel, (const uint8_t *)key, len)) {
        return true;
    }
    pm__rz_cut_to(z, z->root_len);
    return false;
}

/* ---- maps of parts --------------------------------------------------------------------------------------------- */

PM_API pm_status pm_rz_make_map(const pm_rz *z, pm_map *out) {
    if (!z || !out) return PM_INVALID;
    if (pm__rz_is_view(z)) return pm_rz_make_map_in(z, NULL, z->pool, out);
    pm__cx cx = pm__rz_cx(z);
    pm_place p = pm__rz_on_trie(z) ? pm__rz_place(z) : pm__place_root(0);
    return pm__map_of_place(&cx, &p, pm_rz_val(z), out);
}

/* Makes a map of what is at and below the focus by sharing, if that can be. */
static bool pm__iter_share(const pm_rz *z, pm_pool *pool, pm_map *out, pm_status *s) {
    const uint8_t *path = z->path ? z->path : (const uint8_t *)"";
    if (pm__rz_is_view(z)) {
        pm__vz_of(z)->known = false; /* sharing moves what the view stands on */
        return z->view->share && z->view->share(z->state, path, z->len, pool, out, s);
    }
    if (z->pool != pool) return false;
    *s = pm_rz_make_map(z, out);
    return true;
}

/* Puts the location under the focus, and its value, into `m`, at its path below `base`. */
static pm_status pm__iter_copy_place(const pm_rz *z, size_t base, pm_map *m) {
    const pm_val *v = pm_rz_val(z);
    const uint8_t *path = z->path ? z->path + base : (const uint8_t *)"";
    if (!v) return z->len > base ? pm_create_path(m, path, z->len - base, NULL) : PM_OK;
    return pm__map_set_shared(m, path, z->len - base, *v);
}

/* Copies all that is at and below the focus. */
static pm_status pm__iter_copy(pm_rz *z, pm_map *m) {
    pm_status before = pm__vz_worked(z, PM_OK);
    size_t base = z->len;
    pm_status s = pm__iter_copy_place(z, base, m);
    while (s == PM_OK && pm__iter_next_terminal(z, base - z->root_len)) s = pm__iter_copy_place(z, base, m);
    pm__rz_cut_to(z, base);
    pm_status moving = pm__vz_worked(z, before);
    return s != PM_OK ? s : moving;
}

PM_API pm_status pm_rz_make_map_in(const pm_rz *view, const pm_ops *ops, pm_pool *pool, pm_map *out) {
    if (!view || !out) return PM_INVALID;
    const pm_ops *own = pm_rz_ops(view);
    pm_rz *z = pm__vz_of(view);
    pm_status s;
    ops = pm__ops_taken(ops ? ops : own);
    if (pm__ops_is_refused(ops)) return PM_BADHOOK;
    if (own && own != ops && !pm__ops_is_unit(ops)) return PM_MISMATCH;
    if (own == ops && pm__iter_share(z, pool, out, &s)) return s;
    pm_map m = pm_new(ops, pool);
    s = pm__iter_copy(z, &m);
    if (s == PM_OK) *out = m;
    else pm_drop(&m);
    return s;
}

/* ---- iterators ----------------------------------------------------------------------------------------------- */

/* How an iterator goes on is a function that it carries: what goes over a map needs nothing of what views do, and a
   program without these gets none of it. The functions set `val`. */

enum { PM__ITER_FRESH, PM__ITER_RUNS, PM__ITER_ON, PM__ITER_END }; /* runs: it may step along a zipper's run */

/* Over a map, from its origin. */
static bool pm__iter_map_vals(pm_iter *i) {
    pm_rz *z = &i->z;
    bool fresh = i->state == PM__ITER_FRESH;
    i->state = PM__ITER_RUNS;
    z->run_val = z->top_val;
    if (!fresh || !z->run_val) {
        if (!pm__rz_begin(z)) return false;
        const pm_place *p = &z->frames[z->nframes - 1].place;
        if (!pm__iter_forth(z, pm__iter_slot_of(p, PM__ITER_AT, false), false)) return false;
    }
    i->val = z->run_val;
    return true;
}

static bool pm__iter_map_paths(pm_iter *i) {
    bool fresh = i->state == PM__ITER_FRESH;
    i->state = PM__ITER_ON;
    if (!fresh && !pm__iter_step_map(&i->z)) return false;
    i->val = fresh ? i->z.top_val : pm__place_val(&i->z.frames[i->z.nframes - 1].place);
    return true;
}

/* Over whatever a zipper stands on. */
static bool pm__iter_rz_vals(pm_iter *i) {
    bool fresh = i->state == PM__ITER_FRESH;
    i->state = PM__ITER_RUNS;
    if (!(fresh && pm_rz_is_val(&i->z)) && !pm_rz_to_next_val(&i->z)) return false;
    i->val = pm_rz_val(&i->z);
    return true;
}

static pm_iter pm__iter_of_map(const pm_map *m, bool (*next)(pm_iter *i)) {
    static const pm_map empty = {0, 0, NULL, NULL, false, 0, 0};
    pm_iter i;
    memset(&i, 0, sizeof i);
    if (!m) m = &empty;
    pm__rz_over(&i.z, m->ops, m->pool, m->root, m->has_value ? &m->value : NULL);
    pm__rz_watch(&i.z, m);
    i.next = next;
    return i;
}

PM_API pm_iter pm_iter_vals(const pm_map *m) { return pm__iter_of_map(m, pm__iter_map_vals); }
PM_API pm_iter pm_iter_paths(const pm_map *m) {
    pm_iter i = pm__iter_of_map(m, pm__iter_map_paths);
    i.paths = true;
    return i;
}

PM_API pm_iter pm_iter_vals_of_rz(const pm_rz *z) {
    pm_iter i = pm__iter_of_map(NULL, pm__iter_rz_vals);
    pm_status s = z ? pm_rz_fork(z, &i.z) : PM_OK;
    if (s != PM_OK) i.state = PM__ITER_END, i.z.status = s;
    return i;
}

/* Ends an iteration: false, with what the iterator held given up. */
static PM__NOINLINE bool pm__iter_end(pm_iter *i) {
    pm_status status = i->z.status;
    pm_rz_drop(&i->z);
    i->z.status = status;
    i->state = PM__ITER_END;
    i->key = NULL, i->len = 0, i->val = NULL;
    return false;
}

/* Shows where the iterator has come to. */
static PM__INLINE bool pm__iter_show(pm_iter *i, const pm_val *val) {
    const pm_rz *z = &i->z;
    i->val = val;
    i->len = z->len - z->root_len;
    i->key = i->len ? z->path + z->root_len : (const uint8_t *)"";
    return true;
}

PM_API bool pm_iter_next(pm_iter *i) {
    if (PM__UNLIKELY(!i)) return false;
    pm__rz_use(&i->z);
    if (PM__LIKELY(pm__iter_runs(&i->z, false) && i->state == PM__ITER_RUNS)) {
        pm__iter_step_run(&i->z, false);
        return pm__iter_show(i, i->z.run_val);
    }
    if (PM__UNLIKELY(i->state == PM__ITER_END || !i->next)) return false;
    return PM__LIKELY(i->next(i)) ? pm__iter_show(i, i->val) : pm__iter_end(i);
}

PM_API pm_status pm_iter_status(const pm_iter *i) {
    if (!i) return PM_INVALID;
    return i->z.status;
}
PM_API void pm_iter_drop(pm_iter *i) {
    if (!i) return;
    pm_rz_drop(&i->z);
}

PM_API pm_witness pm_iter_witness(const pm_iter *i) { return pm_rz_witness(i ? &i->z : NULL); }

PM_API pm_status pm_iter_val_witnessed(const pm_iter *i, const pm_witness *w, const pm_val **out) {
    if (!i || !w || !out || i->state == PM__ITER_END || pm__rz_is_view(&i->z)) return PM_INVALID;
    return pm__rz_witnessed(&i->z, i->val, w, out);
}

/* ---- iterators within bounds, and backwards -------------------------------------------------------------------- */

static int pm__iter_compare(const pm_rz *z, const uint8_t *key, size_t len) {
    size_t n = z->len - z->root_len, min = n < len ? n : len;
    int c = min ? memcmp(z->path + z->root_len, key, min) : 0;
    return c ? c : (n > len) - (n < len);
}

/* Whether the focus lies behind what is asked for, or before it. */
static bool pm__iter_is_past(const pm_iter *i) {
    const pm_rz *z = &i->z;
    if (!i->to) return false;
    if (!i->within) return pm__iter_compare(z, i->to, i->to_len) >= 0;
    if (z->len - z->root_len < i->to_len) return true;
    return i->to_len && memcmp(z->path + z->root_len, i->to, i->to_len) != 0;
}
static bool pm__iter_is_early(const pm_iter *i) {
    return i->from && pm__iter_compare(&i->z, i->from, i->from_len) < (int)i->after;
}

/* From the first place within the bounds, or the one after the focus. */
static bool pm__iter_bounded(pm_iter *i) {
    pm_rz *z = &i->z;
    bool here = i->state == PM__ITER_FRESH;
    i->state = PM__ITER_ON;
    if (here) {
        if (!pm__iter_go(z, i->from, i->from_len)) return false;
        here = !i->after && (i->paths ? pm_rz_exists(z) : pm_rz_is_val(z));
    }
    if (!here && !(i->paths ? pm_rz_to_next_step(z) : pm_rz_to_next_val(z))) return false;
    i->val = pm_rz_val(z);
    return !pm__iter_is_past(i);
}

PM_API pm_iter pm_iter_range(pm_iter all, const void *from, size_t from_len, const void *to, size_t to_len) {
    all.from = (const uint8_t *)from, all.from_len = from_len;
    all.to = (const uint8_t *)to, all.to_len = to_len;
    all.within = all.after = false;
    if (all.next) all.next = pm__iter_bounded;
    if ((!from && from_len) || (!to && to_len) || from_len > PM__LEN_MAX || to_len > PM__LEN_MAX) {
        (void)pm__iter_end(&all);
        all.z.status = PM_INVALID;
    }
    return all;
}

PM_API pm_iter pm_iter_prefix(pm_iter all, const void *key, size_t len) {
    all = pm_iter_range(all, key, len, key, len);
    all.within = true;
    return all;
}

PM_API pm_iter pm_iter_after(pm_iter all, const void *key, size_t len) {
    const uint8_t *from = all.from, *to = all.to;
    size_t from_len = all.from_len, to_len = all.to_len;
    bool within = all.within, after = all.after;
    size_t min = from_len < len ? from_len : len;
    int c = from && key && min ? memcmp(from, key, min) : 0;
    bool later = !from || c < 0 || (c == 0 && from_len <= len);
    all = pm_iter_range(all, key, len, to, to_len);
    all.within = within;
    all.after = key && later ? true : after;
    if (!later) all.from = from, all.from_len = from_len;
    return all;
}

/* To the place before the focus; `behind`: or at or below it. */
static bool pm__iter_before(pm_iter *i, bool behind) {
    pm_rz *z = &i->z;
    if (!i->paths) return pm__iter_prev_or_root(z, behind);
    if (behind && pm_rz_exists(z)) return (void)pm_rz_descend_last_path(z), z->status == PM_OK;
    return z->len > z->root_len && (pm_rz_to_prev_step(z) || (z->status == PM_OK && pm_rz_exists(z)));
}

PM_API bool pm_iter_prev(pm_iter *i) {
    if (!i) return false;
    pm_rz *z = &i->z;
    pm__rz_use(z);
    if (PM__LIKELY(pm__iter_runs(z, true) && i->state == PM__ITER_RUNS)) {
        pm__iter_step_run(z, true);
        return pm__iter_show(i, z->run_val);
    }
    if (i->state == PM__ITER_END || !i->next) return false;
    bool fresh = i->state == PM__ITER_FRESH;
    i->state = i->from || i->to || i->paths ? PM__ITER_ON : PM__ITER_RUNS;
    bool found = !fresh || pm__iter_go(z, i->to, i->to_len);
    if (!found || !pm__iter_before(i, fresh && (!i->to || i->within)) || pm__iter_is_early(i)) return pm__iter_end(i);
    return pm__iter_show(i, pm_rz_val(z));
}
