/* Going on in order: siblings, locations, values, and what visits all of them.

   Values have a fast path. A run of values within one line is stepped through without looking for the next one; only
   the place in the top frame follows. */
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
        pm__place_widen(&p, z->path + f->base, p.depth - 1u);
        return pm__place_mask_entered(&p);
    }
    return pm__place_mask(&p);
}

/* Makes sure that going one byte down, or to a sibling, cannot run out of memory. */
static bool pm__iter_spare(pm_rz *z) {
    if (pm__rz_is_view(z)) return true;
    if (!pm__rz_begin(z) || !pm__rz_room(z, z->len + 1)) return false;
    return z->nframes < z->frame_cap || pm__rz_grow_frames(z, z->nframes + 1);
}

static bool pm__iter_vz_prev_sibling(pm_rz *z, uint8_t b) {
    z->len--;
    pm_mask m = pm__vz_mask(z);
    int c = pm_mask_prev(&m, b - 1);
    if (c >= 0) b = (uint8_t)c;
    (void)pm__rz_append(z, &b, 1); /* there is room: it has been as long before */
    return c >= 0;
}

/* Replaces the last byte by its neighbour among the children of the parent. Needs no memory: what it frees suffices. */
static bool pm__iter_sibling(pm_rz *z, bool next) {
    if (pm_rz_at_root(z)) return false;
    uint8_t b = z->path[z->len - 1];
    if (pm__rz_is_view(z)) return next ? pm__vz_step_beside(z, z->len - 1) : pm__iter_vz_prev_sibling(z, b);
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

/* The smallest byte from `from` on (0..256) that has a child or a value, or -1. */
static PM__INLINE int pm__iter_byte_next(const pm__byte *x, unsigned from) {
    if (from > 255) return -1;
    unsigned w = from >> 6;
    uint64_t bits = (x->mask[w].child | x->mask[w].val) >> (from & 63) << (from & 63);
    while (!bits && ++w < 4) bits = x->mask[w].child | x->mask[w].val;
    return bits ? (int)(w * 64 + pm__ctz64(bits)) : -1;
}

/* The entries of the top frame, a line, that lie below the zipper's root. */
static unsigned pm__iter_line_end(const pm_rz *z, const pm_frame *f, const pm__line *x) {
    if (PM__LIKELY(f->base >= z->root_len || z->root_len - f->base <= x->plen)) return x->n;
    return pm__line_find(x, z->path + f->base + x->plen, z->root_len - f->base - x->plen).hi;
}

/* Stands d + 1 bytes down the suffix of entry i, the first of those up to `end`, which have d bytes in common. */
static void pm__iter_stand_below(pm_rz *z, pm_frame *f, const pm__line *x, unsigned i, unsigned d, unsigned end) {
    const uint8_t *lens = pm__line_lens(x), *h = d ? pm__line_heap(x) + pm__line_off(x, i) + d - 1 : x->body + i;
    uint8_t c = *h;
    f->place.lo = (uint8_t)i;
    for (h += d ? lens[i] : 1, i++; i < end && *h == c; i++) h += d ? lens[i] : 1;
    f->place.hi = (uint8_t)i;
    f->place.depth = (uint16_t)(x->plen + d + 1);
    z->len = z->exist_len = f->base + f->place.depth;
    z->path[z->len - 1] = c;
}

static void pm__iter_stand_on_byte(pm_rz *z, pm_frame *f, int b) {
    f->place.lo = (uint8_t)b, f->place.hi = 0, f->place.depth = 1;
    z->path[f->base] = (uint8_t)b;
    z->len = z->exist_len = f->base + 1;
}

/* One byte down from a place on the trie, to the first child; pm__iter_spare has made room. */
static bool pm__iter_step_down(pm_rz *z) {
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
    if (!pm__place_in_line(p)) {
        pm__iter_stand_on_byte(z, f, pm__iter_byte_next(pm__place_byte(p), 0));
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

/* From a place on the trie to the next one that is not below it: the entry after those that agree with the path leaves
   it where it differs from the entry before. */
static bool pm__iter_step_beside(pm_rz *z) {
    for (;; z->nframes--) {
        pm_frame *f = &z->frames[z->nframes - 1];
        pm_place *p = &f->place;
        if (p->depth && !pm__place_in_line(p)) {
            int b = f->base < z->root_len ? -1 : pm__iter_byte_next(pm__place_byte(p), p->lo + 1u);
            if (b >= 0) {
                pm__iter_stand_on_byte(z, f, b);
                return true;
            }
        } else if (p->depth) {
            const pm__line *x = pm__place_line(p);
            unsigned end = pm__iter_line_end(z, f, x), i = p->hi;
            if (i < end) {
                unsigned off = pm__line_off(x, i), j = i + 1;
                size_t shared = pm__tally_line_shared_before(x, i, off);
                for (off += pm__line_lens(x)[i]; shared && j < end; off += pm__line_lens(x)[j], j++)
                    if (pm__tally_line_shared_before(x, j, off) < shared) break;
                pm__iter_stand_below(z, f, x, i, (unsigned)shared, shared ? j : end);
                return true;
            }
        }
        if (f->base <= z->root_len || z->nframes == 1) return false;
    }
}

static bool pm__iter_next_step(pm_rz *z) {
    if (!pm__iter_spare(z)) return false;
    if (!pm__rz_on_trie(z)) return pm__iter_next_beside(z, z->root_len);
    z->run = 0;
    return pm__iter_step_down(z) || pm__iter_step_beside(z);
}

/* Back to the root after the last place. A child entered at the root may have left its frame. */
static void pm__iter_rewind(pm_rz *z) {
    while (z->nframes > 1 && z->frames[z->nframes - 1].base >= z->root_len) z->nframes--;
    pm__rz_cut_to(z, z->root_len);
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
    f->place.depth = (uint16_t)(x->plen + len);
    z->len = z->exist_len = at + len;
    return true;
}

/* Enters the child at the place of the top frame. */
static PM__INLINE bool pm__iter_enter(pm_rz *z, pm__ref child) {
    pm__ref_prefetch(child);
    return pm__rz_push(z, pm__place_root(child), z->exist_len);
}

enum { PM__NEXT_FOUND, PM__NEXT_DOWN, PM__NEXT_UP, PM__NEXT_NOMEM };

/* Goes on from entry i of the line in the top frame: to a value, into a child, or through. `ends`: dangling places
   count, too. */
static PM__INLINE int pm__iter_next_in_line(pm_rz *z, pm_frame *f, unsigned i, bool ends) {
    const pm__line *x = pm__place_line(&f->place);
    for (unsigned end = pm__iter_line_end(z, f, x); i < end; i++) {
        bool leads = pm__line_is_child(x, i);
        pm__ref child = leads ? *pm__line_child(x, i) : 0;
        if (leads && !child && !ends) continue;
        if (!pm__iter_stand(z, f, x, i)) return PM__NEXT_NOMEM;
        if (!child) return PM__NEXT_FOUND;
        uint32_t later = x->cmask >> i >> 1; /* by the time this child is done, the next one has arrived */
        if (later) pm__ref_prefetch(*pm__line_child(x, i + 1 + pm__ctz32(later)));
        return pm__iter_enter(z, child) ? PM__NEXT_DOWN : PM__NEXT_NOMEM;
    }
    return PM__NEXT_UP;
}

/* Asks for the child after the one at byte b. */
static PM__INLINE void pm__iter_byte_prefetch_after(const pm__byte *x, uint8_t b) {
    unsigned r = pm__byte_is_wide(x) ? pm__byte_block_rank(x, b) : pm__byte_child_rank(x, b);
    unsigned n = pm__byte_is_wide(x) ? pm__popcount32(pm__byte_block_bits(x, b >> 4)) : x->nc;
    if (r + 1 < n && *(pm__byte_child(x, b) + 1)) pm__ref_prefetch(*(pm__byte_child(x, b) + 1));
}

/* The same in a byte node, from byte b; `value_done`: the value at b has been visited. */
static PM__INLINE int pm__iter_next_in_byte(pm_rz *z, pm_frame *f, unsigned from, bool value_done, bool ends) {
    const pm__byte *x = pm__place_byte(&f->place);
    if (!pm__rz_room(z, f->base + 1)) return PM__NEXT_NOMEM;
    for (int b = pm__iter_byte_next(x, from); b >= 0; b = pm__iter_byte_next(x, (unsigned)b + 1), value_done = false) {
        uint8_t c = (uint8_t)b;
        if (PM__UNLIKELY(f->base < z->root_len) && c != z->path[f->base]) return PM__NEXT_UP;
        bool val = !value_done && pm__byte_has_val(x, c);
        pm__ref child = !val && pm__byte_has_child(x, c) ? *pm__byte_child(x, c) : 0;
        if (!val && !child && !(ends && pm__byte_has_child(x, c))) continue;
        z->path[f->base] = c;
        f->place.lo = c, f->place.depth = 1;
        z->len = z->exist_len = f->base + 1;
        if (!child) return PM__NEXT_FOUND;
        pm__iter_byte_prefetch_after(x, c);
        return pm__iter_enter(z, child) ? PM__NEXT_DOWN : PM__NEXT_NOMEM;
    }
    return PM__NEXT_UP;
}

/* Continues in the top frame after what its place has shown. `done`: what lies below the place as well. */
static PM__INLINE int pm__iter_next_in_frame(pm_rz *z, bool done, bool ends) {
    pm_frame *f = &z->frames[z->nframes - 1];
    pm_place *p = &f->place;
    if (p->node == 0) return PM__NEXT_UP;
    if (PM__LIKELY(pm__place_in_line(p))) {
        unsigned i = done ? p->hi : p->lo;
        if (!done && p->depth) i += pm__place_val_entry(p, pm__place_line(p));
        return pm__iter_next_in_line(z, f, i, ends);
    }
    if (p->depth == 0) return pm__iter_next_in_byte(z, f, 0, false, ends);
    return done ? pm__iter_next_in_byte(z, f, p->lo + 1u, false, ends) : pm__iter_next_in_byte(z, f, p->lo, true, ends);
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

/* The focus stands on a value in a line: notes what it takes to step along the following values of that line. */
static void pm__iter_start_run(pm_rz *z) {
    const pm_frame *f = &z->frames[z->nframes - 1];
    if (!pm__place_in_line(&f->place)) return;
    const pm__line *x = pm__place_line(&f->place);
    unsigned i = f->place.lo;
    uint32_t e = pm__line_has_e(x), end = pm__low_bits(pm__iter_line_end(z, f, x));
    if (pm__line_is_child(x, i) || !pm__rz_room(z, f->base + x->plen + PM__SUFFIX_MAX)) return;
    z->run = (uint8_t)(i + 1);
    z->run_mask = end & ~(x->cmask | e);
    z->run_longer = pm__iter_line_maybe_extended(x);
    z->run_at = f->base + x->plen;
    z->run_heap = pm__line_heap(x) + pm__line_off(x, i + 1);
    z->run_val = pm__line_val(x, i);
}

/* To the next entry of the run. */
static PM__INLINE void pm__iter_step_run(pm_rz *z) {
    pm_frame *f = &z->frames[z->nframes - 1];
    const pm__line *x = pm__place_line(&f->place);
    unsigned i = z->run, rest = pm__line_lens(x)[i], end = i + 1;
    uint8_t *d = z->path + z->run_at;
    if (z->run_longer >> i & 1) end = pm__line_agree_end(x, i, z->run_heap);
    d[0] = x->body[i];
    pm__iter_copy_suffix(d + 1, z->run_heap, rest);
    z->run_heap += rest;
    z->run_val = pm__line_val(x, i);
    z->run = (uint8_t)(i + 1);
    f->place.lo = (uint8_t)i, f->place.hi = (uint8_t)end;
    f->place.depth = (uint16_t)(x->plen + rest + 1);
    z->len = z->exist_len = z->run_at + rest + 1;
}

/* The focus is off the trie: goes on in order from there, starting in the node that shows that it is. */
static int pm__iter_next_from_off(pm_rz *z, bool ends) {
    size_t len = z->len;
    if (z->exist_len < z->root_len) return PM__NEXT_UP;
    z->len = z->exist_len;
    pm_frame *f = &z->frames[z->nframes - 1];
    pm__ref child;
    if (pm__place_child(&f->place, &child)) {
        if (!child) return pm__iter_next_in_frame(z, true, ends);
        if (!pm__iter_enter(z, child)) return PM__NEXT_NOMEM;
        f = &z->frames[z->nframes - 1];
    }
    const pm_place *p = &f->place;
    const uint8_t *s = z->path + z->len;
    if (p->node == 0) return PM__NEXT_UP;
    if (!pm__place_in_line(p))
        return p->depth ? pm__iter_next_in_frame(z, true, ends) : pm__iter_next_in_byte(z, f, *s, false, ends);
    const pm__line *x = pm__place_line(p);
    if (p->depth < x->plen) return pm__line_heap(x)[p->depth] > *s ? pm__iter_next_in_line(z, f, 0, ends) : PM__NEXT_UP;
    size_t above = f->base + x->plen;
    return pm__iter_next_in_line(z, f, pm__line_find(x, z->path + above, len - above).lo, ends);
}

/* On from what a frame has given. */
static bool pm__iter_go_on(pm_rz *z, int r, bool ends) {
    for (;;) {
        if (r == PM__NEXT_FOUND) {
            pm__iter_start_run(z);
            return true;
        }
        if (r == PM__NEXT_UP) {
            if (z->frames[z->nframes - 1].base <= z->root_len || z->nframes == 1) break;
            z->nframes--;
        } else if (r == PM__NEXT_NOMEM) {
            break;
        }
        r = pm__iter_next_in_frame(z, r == PM__NEXT_UP, ends);
    }
    pm__iter_rewind(z);
    return false;
}

/* Whether something lies below the focus. */
static PM__INLINE bool pm__iter_has_children(const pm_rz *z) {
    if (pm__rz_is_view(z)) return pm__vz_child(pm__vz_of(z), 0) >= 0;
    if (!pm__rz_on_trie(z)) return false;
    pm_place p = pm__rz_place(z);
    return pm__place_enter(&p);
}

/* Without a run to step along. */
static PM__NOINLINE bool pm__iter_next_val(pm_rz *z, bool ends) {
    if (PM__UNLIKELY(!pm__iter_spare(z))) {
        pm__rz_cut_to(z, z->root_len);
        return false;
    }
    z->run = 0;
    if (PM__UNLIKELY(z->len != z->exist_len)) return pm__iter_go_on(z, pm__iter_next_from_off(z, ends), ends);
    pm__ref child = 0;
    const pm_place *p = &z->frames[z->nframes - 1].place;
    bool dangles = ends && p->node && pm__place_child(p, &child) && !child;
    return pm__iter_go_on(z, pm__iter_next_in_frame(z, dangles, ends), ends);
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
    if (PM__LIKELY(z->run && z->run < 32 && z->run_mask >> z->run & 1)) {
        pm__iter_step_run(z);
        return true;
    }
    return pm__rz_is_view(z) ? pm__iter_vz_next_val(z) : pm__iter_next_val(z, false);
}

/* ---- terminals ----------------------------------------------------------------------------------------------- */

/* A terminal is a place that has a value, or neither value nor child. Terminals say all about a trie: its locations are
   their prefixes. What is here stays below `floor` bytes of path from the root; when there is no terminal, the focus is
   anywhere that is not above these. */

static PM__INLINE bool pm__iter_step_terminal(pm_rz *z) {
    if (PM__UNLIKELY(!(z->run && z->run < 32 && z->run_mask >> z->run & 1))) return pm__iter_next_val(z, true);
    pm__iter_step_run(z);
    return true;
}

/* Makes a place below the root the root for a while. */
static void pm__iter_lower_root(pm_rz *z, size_t floor) {
    z->root_len += floor;
    if (z->run && z->run_at < z->root_len) z->run = 0; /* it may lead to places beside */
}

/* To the next terminal. */
static PM__INLINE bool pm__iter_next_terminal(pm_rz *z, size_t floor) {
    if (PM__UNLIKELY(z->view != NULL)) return pm__vz_next_terminal(z, z->root_len + floor);
    if (PM__LIKELY(!floor)) return pm__iter_step_terminal(z);
    pm__iter_lower_root(z, floor);
    bool found = pm__iter_step_terminal(z);
    z->root_len -= floor;
    return found;
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
    if (!pm__iter_spare(z)) return false;
    if (pm__rz_on_trie(z)) {
        bool found = pm_rz_is_val(z) || !pm__iter_has_children(z);
        if (found && z->len > z->root_len && !z->run && pm_rz_is_val(z)) pm__iter_start_run(z);
        return found || pm__iter_next_terminal(z, floor);
    }
    z->run = 0;
    pm__iter_lower_root(z, floor);
    bool found = pm__iter_go_on(z, pm__iter_next_from_off(z, true), true);
    z->root_len -= floor;
    return found;
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
    const pm_ops *ops = pm_map_ops(m);
    const pm_val *v = pm_rz_val(z);
    const uint8_t *path = z->path ? z->path + base : (const uint8_t *)"";
    if (!v) return z->len > base ? pm_create_path(m, path, z->len - base, NULL) : PM_OK;
    if (pm__ops_is_unit(ops)) return pm_set(m, path, z->len - base, 0, NULL);
    pm_val val = *v;
    pm__val_retain(ops, val);
    pm_status s = pm_set(m, path, z->len - base, val, NULL);
    if (s != PM_OK) pm__val_release(ops, val);
    return s;
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

enum { PM__ITER_FIRST, PM__ITER_ON, PM__ITER_END };

static pm_iter pm__iter_over(pm_rz z, bool paths) {
    pm_iter i = {NULL, 0, NULL, z, PM__ITER_FIRST, paths};
    return i;
}

static pm_iter pm__iter_of_map(const pm_map *m, bool paths) {
    static const pm_map empty = {0, 0, NULL, NULL, false, 0, 0};
    pm_rz z;
    if (!m) m = &empty;
    pm__rz_over(&z, m->ops, m->pool, m->root, m->has_value ? &m->value : NULL);
    pm__rz_watch(&z, m);
    return pm__iter_over(z, paths);
}

PM_API pm_iter pm_iter_vals(const pm_map *m) { return pm__iter_of_map(m, false); }
PM_API pm_iter pm_iter_paths(const pm_map *m) { return pm__iter_of_map(m, true); }

PM_API pm_iter pm_iter_vals_of_rz(const pm_rz *z) {
    pm_rz f = pm__rz_none;
    pm_status s = z ? pm_rz_fork(z, &f) : PM_OK;
    pm_iter i = pm__iter_over(f, false);
    if (s != PM_OK) i.state = PM__ITER_END, i.z.status = s;
    return i;
}

PM_API bool pm_iter_next(pm_iter *i) {
    bool here = false;
    if (PM__UNLIKELY(!i)) return false;
    if (PM__UNLIKELY(i->state != PM__ITER_ON)) {
        if (i->state == PM__ITER_END) return false;
        i->state = PM__ITER_ON;
        here = i->paths ? pm_rz_exists(&i->z) : pm_rz_is_val(&i->z);
    }
    if (!here) here = i->paths ? pm_rz_to_next_step(&i->z) : pm_rz_to_next_val(&i->z);
    if (!here) {
        pm_status status = i->z.status;
        pm_rz_drop(&i->z);
        i->z.status = status;
        i->state = PM__ITER_END;
        i->key = NULL, i->len = 0, i->val = NULL;
        return false;
    }
    i->key = pm_rz_path(&i->z, &i->len);
    i->val = pm_rz_val(&i->z);
    return true;
}

PM_API pm_status pm_iter_status(const pm_iter *i) {
    if (!i) return PM_INVALID;
    return i->z.status;
}
PM_API void pm_iter_drop(pm_iter *i) {
    if (!i) return;
    pm_rz_drop(&i->z);
}

/* ---- visiting every value -------------------------------------------------------------------------------------- */

/* A node that pm_each is in. */
typedef struct pm__each_frame {
    pm__ref node;
    size_t base;  /* bytes of path above its root */
    unsigned next; /* the entry, or byte, to go on with */
    unsigned off;  /* lines: heap bytes before that entry */
} pm__each_frame;

typedef struct pm__each {
    bool (*fn)(void *ctx, const uint8_t *key, size_t len, pm_val val);
    void *ctx;
    pm_rz path; /* lends its growing buffer */
    pm__each_frame *frames;
    size_t used, cap;
} pm__each;

/* Suffixes are copied so many bytes at a time: nearly all of them at once, without an unpredictable branch. */
enum { PM__EACH_STEP = 48 };

/* Enters a node. There is room for what it holds, and for what a line below it does. */
static bool pm__each_push(pm__each *e, pm__ref node, size_t base) {
    if (e->used == e->cap) {
        void *grown = pm__mem_grow_list(e->frames, &e->cap, sizeof *e->frames, 16);
        if (!grown) return false;
        e->frames = (pm__each_frame *)grown;
    }
    pm__each_frame f = {node, base, 0, 0};
    e->frames[e->used++] = f;
    return pm__rz_room(&e->path, base + 2u * PM__SUFFIX_MAX + PM__EACH_STEP);
}

enum { PM__EACH_UP, PM__EACH_DOWN, PM__EACH_STOP, PM__EACH_NOMEM };

/* Copies the n bytes at s; `safe`: the last place from which a step stays inside the block. */
static PM__INLINE void pm__each_copy(uint8_t *d, const uint8_t *s, size_t n, const uint8_t *safe) {
    if (PM__UNLIKELY(s > safe)) {
        pm__iter_copy_suffix(d, s, n);
        return;
    }
    memcpy(d, s, PM__EACH_STEP);
    if (PM__LIKELY(n <= PM__EACH_STEP)) return;
    if (n <= 2 * PM__EACH_STEP) memcpy(d + n - PM__EACH_STEP, s + n - PM__EACH_STEP, PM__EACH_STEP);
    else memcpy(d + PM__EACH_STEP, s + PM__EACH_STEP, n - PM__EACH_STEP);
}

/* The last place in a line from which a step stays inside its block; or one before all that is copied. */
static PM__INLINE const uint8_t *pm__each_safe(const pm__line *x) {
    size_t size = pm__line_size(x);
    return (const uint8_t *)x + (size < PM__EACH_STEP ? 0 : size - PM__EACH_STEP);
}

/* Whether a node is a line that leads nowhere. */
static PM__INLINE bool pm__each_is_leaf(pm__ref r) {
    return pm__ref_kind(r) == PM__LINE && !((const pm__line *)pm__ref_ptr(r))->cmask;
}

/* Visits the values of such a line, the root of which is `base` bytes down. */
static bool pm__each_leaf(pm__each *e, pm__ref node, size_t base) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(node);
    const uint8_t *firsts = x->body, *lens = pm__line_lens(x), *h = pm__line_heap(x), *safe = pm__each_safe(x);
    bool unit = (x->flags & PM__LINE_UNIT) != 0;
    unsigned n = x->n, i = 0, plen = x->plen;
    uint8_t *path = e->path.path, *at = path + base + plen;
    const uint64_t *pay = pm__line_pay_at(x, 0);
    size_t len = base + plen + 1;
    pm__each_copy(path + base, h, plen, safe);
    h += plen;
    if (pm__line_has_e(x)) {
        if (!e->fn(e->ctx, path, len - 1, unit ? 0 : *pay--)) return false;
        i = 1;
    }
    for (; i < n; i++) {
        unsigned rest = lens[i];
        at[0] = firsts[i];
        pm__each_copy(at + 1, h, rest, safe);
        h += rest;
        if (!e->fn(e->ctx, path, len + rest, unit ? 0 : *pay--)) return false;
    }
    return true;
}

/* Visits the values of a line up to its next child, which is entered; children that lead nowhere are visited on the
   way. What the caller's function cannot change is read once, before it is called. */
static int pm__each_line(pm__each *e, pm__each_frame *f) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(f->node);
    const uint8_t *lens = pm__line_lens(x), *heap = pm__line_heap(x), *safe = pm__each_safe(x);
    bool unit = (x->flags & PM__LINE_UNIT) != 0;
    unsigned i = f->next, off = f->off, n = x->n, plen = x->plen;
    uint32_t cmask = x->cmask;
    uint8_t *path = e->path.path, *at = path + f->base + plen;
    size_t len = f->base + plen + 1;
    if (i == 0) {
        if (cmask) pm__ref_prefetch(*pm__line_child(x, pm__ctz32(cmask)));
        memcpy(path + f->base, heap, plen);
        off = plen;
        if (pm__line_has_e(x)) {
            if (!e->fn(e->ctx, path, len - 1, *pm__line_val(x, 0))) return PM__EACH_STOP;
            i = 1;
        }
    }
    const uint64_t *pay = pm__line_pay_at(x, pm__line_pay_index(x, i));
    for (; i < n; i++) {
        unsigned rest = lens[i];
        at[0] = x->body[i];
        pm__each_copy(at + 1, heap + off, rest, safe);
        off += rest;
        if (!(cmask >> i & 1)) {
            if (!e->fn(e->ctx, path, len + rest, unit ? 0 : *pay--)) return PM__EACH_STOP;
            continue;
        }
        pm__ref child = *pay--;
        if (!child) continue;
        uint32_t later = cmask >> i >> 1; /* by the time this child is done, the next one has arrived */
        if (later) pm__ref_prefetch(*pm__line_child(x, i + 1 + pm__ctz32(later)));
        if (pm__each_is_leaf(child)) {
            if (!pm__each_leaf(e, child, len + rest)) return PM__EACH_STOP;
            continue;
        }
        f->next = i + 1;
        f->off = off;
        return pm__each_push(e, child, len + rest) ? PM__EACH_DOWN : PM__EACH_NOMEM;
    }
    return PM__EACH_UP;
}

static int pm__each_byte(pm__each *e, pm__each_frame *f) {
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(f->node);
    for (int b = pm__iter_byte_next(x, f->next); b >= 0; b = pm__iter_byte_next(x, (unsigned)b + 1)) {
        uint8_t c = (uint8_t)b;
        e->path.path[f->base] = c;
        if (pm__byte_has_val(x, c) && !e->fn(e->ctx, e->path.path, f->base + 1, *pm__byte_val(x, c)))
            return PM__EACH_STOP;
        pm__ref child = pm__byte_has_child(x, c) ? *pm__byte_child(x, c) : 0;
        if (!child) continue;
        pm__iter_byte_prefetch_after(x, c);
        pm__ref_prefetch(child);
        if (pm__each_is_leaf(child)) {
            if (!pm__each_leaf(e, child, f->base + 1)) return PM__EACH_STOP;
            continue;
        }
        f->next = (unsigned)b + 1;
        return pm__each_push(e, child, f->base + 1) ? PM__EACH_DOWN : PM__EACH_NOMEM;
    }
    return PM__EACH_UP;
}

PM_API pm_status pm_each(const pm_map *m, bool (*fn)(void *ctx, const uint8_t *key, size_t len, pm_val val),
                         void *ctx) {
    pm__each e = {fn, ctx, pm__rz_none, NULL, 0, 0};
    int r = PM__EACH_DOWN;
    if (!m || !fn) return PM_INVALID;
    /* An empty key needs an address, no bytes; one that compilers know nothing of spares callers their warnings. */
    if (m->has_value && !fn(ctx, (const uint8_t *)m, 0, m->value)) return PM_OK;
    if (m->root && !pm__each_push(&e, m->root, 0)) r = PM__EACH_NOMEM;
    while (e.used && r <= PM__EACH_DOWN) {
        pm__each_frame *f = &e.frames[e.used - 1];
        r = pm__ref_kind(f->node) == PM__LINE ? pm__each_line(&e, f) : pm__each_byte(&e, f);
        if (r == PM__EACH_UP) e.used--;
    }
    pm__rz_free_buffers(&e.path);
    if (e.frames) pm__mem_free_big(e.frames, e.cap * sizeof *e.frames);
    return r == PM__EACH_NOMEM ? PM_NOMEM : PM_OK;
}
