/* Read zippers.

   A zipper keeps the origin path of its focus in one buffer, and a stack of frames, one for each node on the way: the
   place (26_place.c) that the path has come to in that node, and how much of the path lies above it. Frame 0 is the
   origin's node. Every frame above it matches at least one byte, so a frame's predecessor always stands exactly on the
   entry that leads into it, and going up is popping.

       path   s u b / p r e d | i c a t e        len 13
       frame  0: base 0, depth 4    1: base 4, depth 5      exist_len 9: "icate" is off the trie

   exist_len is what frames cover; bytes beyond it are off the trie and have no frames. */
#include "40_map.c"
#include "50_read_zipper.h"

typedef struct pm_frame {
    pm_place place;
    size_t base; /* bytes of path above the node's root */
} pm_frame;

/* What a head (52_zipper_head.c) remembers of a zipper that it gave out: the zipper says when it ends, and a writer
   when it is inside a call. */
struct pm_claim {
    void (*end)(struct pm_claim *c);
    /* Of a writer. `pin` turns the claim into that of a pinned reader, `wait` waits until `hold` is gone. */
    pm_status (*pin)(struct pm_claim *c, struct pm_claim **out);
    void (*wait)(struct pm_claim *c);
    pm__a32 in_call; /* calls that the writer is in, one within the other */
    pm__a32 hold;    /* asks the writer not to begin a call */
    bool fenced;     /* pm__fence_all does not work here */
    bool grouped;    /* in a group: readers see a copy made before it */
};

enum { PM__PATH_SLACK = 16 }; /* short copies may write this far beyond the path */

/* ---- buffers ------------------------------------------------------------------------------------------------- */

static bool pm__rz_grow_path(pm_rz *z, size_t need) {
    if (need > SIZE_MAX / 2 - PM__PATH_SLACK) return false;
    size_t cap = z->cap ? z->cap : 64;
    while (cap < need + PM__PATH_SLACK) cap *= 2;
    if (cap == z->cap) return true;
    void *grown = pm__mem_grow(z->path, z->cap, cap);
    if (!grown) return false;
    z->path = (uint8_t *)grown;
    z->cap = cap;
    return true;
}

/* Room for a path of `need` bytes, and slack. */
static PM__INLINE bool pm__rz_room(pm_rz *z, size_t need) {
    if (PM__LIKELY(need + PM__PATH_SLACK <= z->cap && need <= SIZE_MAX / 4)) return true;
    if (pm__rz_grow_path(z, need)) return true;
    z->status = PM_NOMEM;
    return false;
}

static bool pm__rz_grow_frames(pm_rz *z, size_t need) {
    size_t cap = z->frame_cap ? z->frame_cap : 8;
    while (cap < need) cap *= 2;
    void *grown = cap > SIZE_MAX / sizeof *z->frames
                      ? NULL
                      : pm__mem_grow(z->frames, z->frame_cap * sizeof *z->frames, cap * sizeof *z->frames);
    if (!grown) {
        z->status = PM_NOMEM;
        return false;
    }
    z->frames = (pm_frame *)grown;
    z->frame_cap = cap;
    return true;
}

static PM__INLINE bool pm__rz_push(pm_rz *z, pm_place p, size_t base) {
    if (PM__UNLIKELY(z->nframes == z->frame_cap) && !pm__rz_grow_frames(z, z->nframes + 1)) return false;
    z->frames[z->nframes].place = p;
    z->frames[z->nframes++].base = base;
    return true;
}

/* Makes frame 0 if there is none yet. */
static PM__INLINE bool pm__rz_begin(pm_rz *z) { return z->nframes || pm__rz_push(z, pm__place_root(z->top), 0); }

/* The place that exist_len stands for. */
static PM__INLINE pm_place pm__rz_place(const pm_rz *z) {
    return z->nframes ? z->frames[z->nframes - 1].place : pm__place_root(z->top);
}

static PM__INLINE bool pm__rz_on_trie(const pm_rz *z) { return z->len == z->exist_len; }

static const pm_val *pm__rz_origin_val(const pm_rz *z) {
    if (z->owned) return z->held_some ? &z->held : NULL;
    return z->top_val;
}

static pm__cx pm__rz_cx(const pm_rz *z) { return pm__cx_of(z->ops, z->pool); }

/* ---- opening ------------------------------------------------------------------------------------------------- */

static void pm__rz_free_buffers(pm_rz *z) {
    if (z->path) pm__mem_free_big(z->path, z->cap);
    if (z->frames) pm__mem_free_big(z->frames, z->frame_cap * sizeof *z->frames);
    z->path = NULL;
    z->frames = NULL;
    z->len = z->cap = z->root_len = z->exist_len = z->nframes = z->frame_cap = 0;
}

/* Follows the path from exist_len on as far as it exists. On failure exist_len is where it got to. */
static bool pm__rz_resolve(pm_rz *z) {
    z->run = 0;
    if (!pm__rz_begin(z)) return false;
    while (z->exist_len < z->len) {
        pm_frame *f = &z->frames[z->nframes - 1];
        const uint8_t *s = z->path + z->exist_len;
        size_t left = z->len - z->exist_len, n;
        pm__ref child;
        pm_place p = f->place;
        if (pm__place_child(&p, &child)) {
            if (!child) return true;
            p = pm__place_root(child);
            pm__ref_prefetch(child);
            if (!(n = pm__place_down(&p, s, left))) return true;
            if (!pm__rz_push(z, p, z->exist_len)) return false;
        } else {
            if (p.node == 0 || !(n = pm__place_down(&p, s, left))) return true;
            f->place = p;
        }
        z->exist_len += n;
    }
    return true;
}

static pm_status pm__rz_open(pm_rz *z, const uint8_t *path, size_t len) {
    if (len) {
        if (!path) return PM_INVALID;
        if (!pm__rz_room(z, len)) return PM_NOMEM;
        memcpy(z->path, path, len);
        z->len = z->root_len = len;
        if (!pm__rz_resolve(z)) {
            pm__rz_free_buffers(z);
            return PM_NOMEM;
        }
    }
    return PM_OK;
}

static const pm_rz pm__rz_none = {NULL, NULL, 0,     NULL,  0, NULL, 0, 0, 0,    0,   NULL,
                                  0,    0,    PM_OK, false, false, 0, 0, 0, 0, NULL, NULL, NULL};

/* Makes *z a zipper at the origin of other content, without buffers of its own. */
static void pm__rz_over(pm_rz *z, const pm_ops *ops, pm_pool *pool, pm__ref top, const pm_val *val) {
    *z = pm__rz_none;
    z->ops = pm__ops_of(ops);
    z->pool = pool;
    z->top = top;
    z->top_val = val;
}

static void pm__rz_own(pm_rz *z) {
    pm__cx cx = pm__rz_cx(z);
    pm__ref_retain(z->top);
    z->held_some = z->top_val != NULL;
    if (z->held_some) z->held = *z->top_val, pm__pay_retain(&cx, false, z->held);
    z->top_val = NULL;
    z->owned = true;
}

PM_API pm_status pm_rz_open(pm_rz *z, const pm_map *m, const void *path, size_t len) {
    if (!z || !m) return PM_INVALID;
    pm__rz_over(z, m->ops, m->pool, m->root, m->has_value ? &m->value : NULL);
    return pm__rz_open(z, (const uint8_t *)path, len);
}

PM_API pm_status pm_rz_open_owned(pm_rz *z, const pm_map *m, const void *path, size_t len) {
    pm_status s = pm_rz_open(z, m, path, len);
    if (s == PM_OK) pm__rz_own(z);
    return s;
}

static pm_status pm__rz_fork(const pm_rz *z, pm_rz *out, bool own) {
    pm_rz f;
    pm__rz_over(&f, z->ops, z->pool, z->top, pm__rz_origin_val(z));
    pm_status s = pm__rz_open(&f, z->path, z->len);
    if (s != PM_OK) return s;
    if (own) pm__rz_own(&f);
    *out = f;
    return PM_OK;
}

PM_API pm_status pm_rz_fork(const pm_rz *z, pm_rz *out) { return pm__rz_fork(z, out, z->owned); }
PM_API pm_status pm_rz_fork_owned(const pm_rz *z, pm_rz *out) { return pm__rz_fork(z, out, true); }

PM_API void pm_rz_drop(pm_rz *z) {
    if (!z) return;
    pm__rz_free_buffers(z);
    if (z->owned) {
        pm__cx cx = pm__rz_cx(z);
        pm__any_release(&cx, z->top);
        if (z->held_some) pm__pay_release(&cx, false, z->held);
    }
    z->top = 0;
    z->top_val = NULL;
    z->owned = z->held_some = false;
    if (!z->claim) return;
    struct pm_claim *c = z->claim;
    z->claim = NULL;
    c->end(c);
}

PM_API pm_status pm_rz_status(pm_rz *z) {
    pm_status s = z->status;
    z->status = PM_OK;
    return s;
}

PM_API pm_status pm_rz_reserve(pm_rz *z, size_t path_bytes, size_t nodes) {
    pm_status before = z->status;
    bool ok = pm__rz_room(z, path_bytes) && (nodes + 1 <= z->frame_cap || pm__rz_grow_frames(z, nodes + 1));
    z->status = before;
    return ok ? PM_OK : PM_NOMEM;
}

/* ---- queries ------------------------------------------------------------------------------------------------- */

PM_API const uint8_t *pm_rz_path(const pm_rz *z, size_t *len) {
    *len = z->len - z->root_len;
    return z->path ? z->path + z->root_len : (const uint8_t *)"";
}

PM_API const uint8_t *pm_rz_origin_path(const pm_rz *z, size_t *len) {
    *len = z->len;
    return z->path ? z->path : (const uint8_t *)"";
}

PM_API const uint8_t *pm_rz_root_prefix(const pm_rz *z, size_t *len) {
    *len = z->root_len;
    return z->path ? z->path : (const uint8_t *)"";
}

PM_API bool pm_rz_at_root(const pm_rz *z) { return z->len == z->root_len; }
PM_API bool pm_rz_exists(const pm_rz *z) { return pm__rz_on_trie(z); }

PM_API const pm_val *pm_rz_val(const pm_rz *z) {
    if (z->run) return z->run_val;
    if (!pm__rz_on_trie(z)) return NULL;
    if (z->len == 0) return pm__rz_origin_val(z);
    return pm__place_val(&z->frames[z->nframes - 1].place);
}

PM_API bool pm_rz_is_val(const pm_rz *z) { return pm_rz_val(z) != NULL; }

PM_API const pm_val *pm_rz_val_at(const pm_rz *z, const void *key, size_t len) {
    const pm_val *v = NULL;
    if (len == 0) return pm_rz_val(z);
    if (!key || !pm__rz_on_trie(z)) return NULL;
    pm_place p = pm__rz_place(z);
    pm__ref node = p.node;
    if (p.depth == 0 || pm__place_child(&p, &node)) return pm__trie_get(node, (const uint8_t *)key, len);
    return pm__place_walk(&p, (const uint8_t *)key, len, &v) == len ? v : NULL;
}

PM_API pm_mask pm_rz_child_mask(const pm_rz *z) {
    pm_mask none = {{0, 0, 0, 0}};
    if (!pm__rz_on_trie(z)) return none;
    pm_place p = pm__rz_place(z);
    return pm__place_mask(&p);
}

PM_API unsigned pm_rz_child_count(const pm_rz *z) {
    pm_mask m = pm_rz_child_mask(z);
    return pm_mask_count(&m);
}

/* Values strictly below a place. */
static pm_status pm__place_val_count(const pm_place *at, uint64_t *out) {
    pm_place p = *at;
    *out = 0;
    if (!pm__place_enter(&p)) return PM_OK;
    if (p.depth == 0) return pm__tally_below(PM__TALLY_VALS, p.node, 0, out);
    const pm__line *x = pm__place_line(&p);
    for (unsigned i = p.lo + pm__place_val_entry(&p, x); i < p.hi; i++) {
        uint64_t n = 1;
        if (pm__line_is_child(x, i)) {
            pm_status s = pm__tally_below(PM__TALLY_VALS, *pm__line_child(x, i), 0, &n);
            if (s != PM_OK) return s;
        }
        *out = pm__sat_add(*out, n);
    }
    return PM_OK;
}

PM_API pm_status pm_rz_val_count(const pm_rz *z, uint64_t *out) {
    uint64_t n = 0;
    if (pm__rz_on_trie(z)) {
        pm_place p = pm__rz_place(z);
        pm_status s = pm__place_val_count(&p, &n);
        if (s != PM_OK) return s;
    }
    *out = pm__sat_add(n, pm_rz_is_val(z));
    return PM_OK;
}

PM_API pm_status pm_rz_make_map(const pm_rz *z, pm_map *out) {
    pm__cx cx = pm__rz_cx(z);
    pm_place p = pm__rz_on_trie(z) ? pm__rz_place(z) : pm__place_root(0);
    return pm__map_of_place(&cx, &p, pm_rz_val(z), out);
}

/* The node whose root the focus lies on, or 0. */
static pm__ref pm__rz_node_here(const pm_rz *z) {
    pm__ref child = 0;
    if (!pm__rz_on_trie(z)) return 0;
    pm_place p = pm__rz_place(z);
    if (p.depth == 0) return p.node;
    (void)pm__place_child(&p, &child);
    return child;
}

PM_API uint64_t pm_rz_shared_node_id(const pm_rz *z) {
    pm__ref r = pm__rz_node_here(z);
    if (!r || pm__ref_is_unique(r) || pm_rz_is_val(z)) return 0;
    return (uint64_t)(uintptr_t)pm__ref_ptr(r);
}

PM_API bool pm_rz_is_shared(const pm_rz *z) {
    pm__ref r = pm_rz_at_root(z) ? 0 : pm__rz_node_here(z);
    return r && !pm__ref_is_unique(r);
}

/* ---- moving up ----------------------------------------------------------------------------------------------- */

/* Shortens the path to `len` bytes. */
static void pm__rz_cut_to(pm_rz *z, size_t len) {
    z->run = 0;
    z->len = len;
    if (len >= z->exist_len) return;
    z->exist_len = len;
    while (z->nframes > 1 && z->frames[z->nframes - 1].base >= len) z->nframes--;
    pm_frame *f = &z->frames[z->nframes - 1];
    if (f->base + f->place.depth > len) pm__place_widen(&f->place, z->path + f->base, len - f->base);
}

PM_API void pm_rz_reset(pm_rz *z) { pm__rz_cut_to(z, z->root_len); }

PM_API bool pm_rz_ascend(pm_rz *z, size_t n) {
    size_t depth = z->len - z->root_len;
    pm__rz_cut_to(z, z->len - (n < depth ? n : depth));
    return n <= depth;
}

/* The nearest length below the focus's at which another entry of the same node leaves the path, ends on it, or the
   node begins; exists only on the trie with at least one frame byte. */
static size_t pm__rz_up_in_node(const pm_rz *z) {
    const pm_frame *f = &z->frames[z->nframes - 1];
    const pm_place *p = &f->place;
    if (!pm__place_in_line(p)) return f->base;
    const pm__line *x = pm__place_line(p);
    if (p->depth <= x->plen) return f->base;
    size_t near = pm__line_neighbours(x, p->lo, p->hi, z->path + f->base + x->plen, pm__place_suffix(p, x));
    return near == SIZE_MAX ? f->base : f->base + x->plen + near;
}

static size_t pm__rz_ascend_to_mark(pm_rz *z, bool values) {
    size_t start = z->len;
    while (z->len > z->root_len) {
        size_t to = z->len > z->exist_len ? z->exist_len : pm__rz_up_in_node(z);
        pm__rz_cut_to(z, to > z->root_len ? to : z->root_len);
        if (z->len > z->exist_len) continue;
        if ((values && pm_rz_is_val(z)) || pm_rz_child_count(z) >= 2) break;
    }
    return start - z->len;
}

PM_API size_t pm_rz_ascend_until(pm_rz *z) { return pm__rz_ascend_to_mark(z, true); }
PM_API size_t pm_rz_ascend_until_branch(pm_rz *z) { return pm__rz_ascend_to_mark(z, false); }

/* ---- moving down --------------------------------------------------------------------------------------------- */

/* Appends bytes and follows them. False: no memory, the focus where it was. */
static bool pm__rz_append(pm_rz *z, const uint8_t *s, size_t n) {
    size_t before = z->len, own = SIZE_MAX;
    bool on = pm__rz_on_trie(z);
    if (n && !s) {
        z->status = PM_INVALID;
        return false;
    }
    if (z->path && (uintptr_t)s >= (uintptr_t)z->path && (uintptr_t)s < (uintptr_t)z->path + z->cap)
        own = (size_t)(s - z->path); /* bytes of our own path, which may move */
    if (n > SIZE_MAX / 4 || !pm__rz_room(z, z->len + n)) {
        z->status = PM_NOMEM;
        return false;
    }
    z->run = 0;
    if (n) memmove(z->path + z->len, own == SIZE_MAX ? s : z->path + own, n);
    z->len += n;
    if (!on || pm__rz_resolve(z)) return true;
    pm__rz_cut_to(z, before);
    return false;
}

static PM__INLINE bool pm__rz_append_byte(pm_rz *z, uint8_t b) { return pm__rz_append(z, &b, 1); }

PM_API void pm_rz_descend_to(pm_rz *z, const void *key, size_t len) { (void)pm__rz_append(z, (const uint8_t *)key,
len); }

PM_API bool pm_rz_descend_to_check(pm_rz *z, const void *key, size_t len) {
    return pm__rz_append(z, (const uint8_t *)key, len) && pm__rz_on_trie(z);
}

PM_API size_t pm_rz_descend_to_existing(pm_rz *z, const void *key, size_t len) {
    size_t before = z->len;
    if (!pm__rz_on_trie(z) || !pm__rz_append(z, (const uint8_t *)key, len)) return 0;
    pm__rz_cut_to(z, z->exist_len);
    return z->len - before;
}

PM_API size_t pm_rz_descend_to_val(pm_rz *z, const void *key, size_t len) {
    const uint8_t *s = (const uint8_t *)key;
    size_t n = 0;
    if (!s || !pm__rz_on_trie(z)) return 0;
    while (n < len && pm_rz_descend_to_existing_byte(z, s[n])) {
        n++;
        if (pm_rz_is_val(z)) break;
    }
    return n;
}

PM_API void pm_rz_descend_to_byte(pm_rz *z, uint8_t b) { (void)pm__rz_append_byte(z, b); }

PM_API bool pm_rz_descend_to_existing_byte(pm_rz *z, uint8_t b) {
    if (!pm__rz_on_trie(z) || !pm__rz_append_byte(z, b)) return false;
    if (pm__rz_on_trie(z)) return true;
    pm__rz_cut_to(z, z->len - 1);
    return false;
}

PM_API bool pm_rz_descend_indexed_byte(pm_rz *z, unsigned i) {
    pm_mask m = pm_rz_child_mask(z);
    int b = pm_mask_select(&m, i);
    return b >= 0 && pm__rz_append_byte(z, (uint8_t)b);
}

PM_API bool pm_rz_descend_first_byte(pm_rz *z) { return pm_rz_descend_indexed_byte(z, 0); }

PM_API bool pm_rz_descend_last_byte(pm_rz *z) {
    pm_mask m = pm_rz_child_mask(z);
    int b = pm_mask_prev(&m, 255);
    return b >= 0 && pm__rz_append_byte(z, (uint8_t)b);
}

/* The bytes below a place, entered, up to the first value or fork, as far as its node shows them. */
static size_t pm__place_run(const pm_place *p, const uint8_t **s, uint8_t *one) {
    if (!pm__place_in_line(p)) {
        pm_mask m = pm__byte_mask(pm__place_byte(p));
        if (pm_mask_count(&m) != 1) return 0;
        *one = (uint8_t)pm_mask_next(&m, 0);
        *s = one;
        return 1;
    }
    const pm__line *x = pm__place_line(p);
    if (p->depth < x->plen) {
        *s = pm__line_heap(x) + p->depth;
        return x->plen - (size_t)p->depth;
    }
    unsigned d = pm__place_suffix(p, x), i = p->lo + (p->depth ? pm__place_val_entry(p, x) : 0), last = p->hi - 1u;
    if (d == 0) { /* the first bytes stand apart from the rest: one step, the next call goes on */
        if (x->body[i] != x->body[last]) return 0;
        *s = &x->body[i];
        return 1;
    }
    const uint8_t *a = pm__line_heap(x) + pm__line_off(x, i) + d - 1, *z = pm__line_heap(x) + pm__line_off(x, last) + d
    - 1; *s = a;
    return pm__lcp(a, z, pm__line_suffix(x, i) - d);
}

PM_API bool pm_rz_descend_until_max(pm_rz *z, size_t max) {
    bool moved = false;
    if (!pm__rz_on_trie(z)) return false;
    while (max) {
        pm_place p = pm__rz_place(z);
        const uint8_t *s;
        uint8_t one;
        size_t n = pm__place_enter(&p) ? pm__place_run(&p, &s, &one) : 0;
        if (n > max) n = max;
        if (!n || !pm__rz_append(z, s, n)) break;
        moved = true;
        max -= n;
        if (pm_rz_is_val(z)) break;
    }
    return moved;
}

PM_API bool pm_rz_descend_until(pm_rz *z) { return pm_rz_descend_until_max(z, SIZE_MAX); }

PM_API bool pm_rz_descend_last_path(pm_rz *z) {
    size_t before = z->len;
    while (pm_rz_descend_last_byte(z)) {
        while (!pm_rz_is_val(z) && pm_rz_descend_until(z)) continue;
    }
    return z->len > before;
}

PM_API size_t pm_rz_move_to(pm_rz *z, const void *key, size_t len) {
    const uint8_t *s = (const uint8_t *)key;
    if (len && !key) {
        z->status = PM_INVALID;
        return 0;
    }
    size_t have = z->len - z->root_len, min = have < len ? have : len;
    size_t same = min ? pm__lcp(z->path + z->root_len, s, min) : 0;
    if (!pm__rz_room(z, z->root_len + len)) return 0;
    pm__rz_cut_to(z, z->root_len + same);
    (void)pm__rz_append(z, same ? s + same : s, len - same);
    return z->exist_len > z->root_len ? z->exist_len - z->root_len : 0;
}

/* ---- moving on ----------------------------------------------------------------------------------------------- */

/* The children of the location above the focus. */
static pm_mask pm__rz_parent_mask(const pm_rz *z) {
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
static bool pm__rz_spare(pm_rz *z) {
    if (!pm__rz_begin(z) || !pm__rz_room(z, z->len + 1)) return false;
    return z->nframes < z->frame_cap || pm__rz_grow_frames(z, z->nframes + 1);
}

/* Replaces the last byte by its neighbour among the children of the parent. Needs no memory: what it frees suffices. */
static bool pm__rz_sibling(pm_rz *z, bool next) {
    if (pm_rz_at_root(z)) return false;
    uint8_t b = z->path[z->len - 1];
    pm_mask m = pm__rz_parent_mask(z);
    int c = next ? pm_mask_next(&m, b + 1) : pm_mask_prev(&m, b - 1);
    if (c < 0) return false;
    pm__rz_cut_to(z, z->len - 1);
    return pm__rz_append_byte(z, (uint8_t)c);
}

/* To the next sibling of the focus or of the nearest place above it that has one, staying below `base` bytes; else to
   `base`. Places off the trie have none. */
static bool pm__rz_next_beside(pm_rz *z, size_t base) {
    size_t on = z->exist_len + 1 > base ? z->exist_len + 1 : base;
    if (z->len > on) pm__rz_cut_to(z, on);
    while (z->len > base) {
        if (pm__rz_sibling(z, true)) return true;
        pm__rz_cut_to(z, z->len - 1);
    }
    return false;
}

PM_API bool pm_rz_to_next_sibling(pm_rz *z) { return pm__rz_spare(z) && pm__rz_sibling(z, true); }
PM_API bool pm_rz_to_prev_sibling(pm_rz *z) { return pm__rz_spare(z) && pm__rz_sibling(z, false); }

PM_API bool pm_rz_to_next_step(pm_rz *z) {
    if (!pm__rz_spare(z)) {
        pm_rz_reset(z);
        return false;
    }
    return pm_rz_descend_first_byte(z) || pm__rz_next_beside(z, z->root_len);
}

/* From where the zipper stands, k bytes or fewer below `base`: to the next place just k below it, or to `base`. */
static bool pm__rz_next_at_depth(pm_rz *z, size_t base, size_t k) {
    while (z->len < base + k || !pm__rz_on_trie(z)) {
        if (!pm__rz_spare(z)) break;
        if (pm_rz_descend_first_byte(z)) continue;
        if (!pm__rz_next_beside(z, base)) return false;
    }
    if (z->len == base + k && pm__rz_on_trie(z)) return true;
    pm__rz_cut_to(z, base);
    return false;
}

PM_API bool pm_rz_descend_first_k_path(pm_rz *z, size_t k) {
    if (!pm__rz_on_trie(z)) return false;
    return k <= SIZE_MAX - z->len && pm__rz_next_at_depth(z, z->len, k);
}

PM_API bool pm_rz_to_next_k_path(pm_rz *z, size_t k) {
    size_t depth = z->len - z->root_len;
    if (k == 0) return false;
    if (k > depth) {
        pm_rz_reset(z);
        return false;
    }
    size_t base = z->len - k;
    if (!pm__rz_spare(z)) {
        pm__rz_cut_to(z, base);
        return false;
    }
    return pm__rz_next_beside(z, base) && pm__rz_next_at_depth(z, base, k);
}

/* A copy of at most PM__SUFFIX_MAX bytes. Both sides have 8 bytes of room behind: lines keep payloads behind their
   heaps, paths keep slack. */
static PM__INLINE void pm__copy_suffix(uint8_t *d, const uint8_t *s, size_t n) {
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
static PM__INLINE bool pm__rz_stand(pm_rz *z, pm_frame *f, const pm__line *x, unsigned i) {
    unsigned off = pm__line_off(x, i), len = pm__line_suffix(x, i), rest = pm__line_lens(x)[i];
    const uint8_t *h = pm__line_heap(x) + off;
    size_t at = f->base + x->plen;
    if (PM__UNLIKELY(!pm__rz_room(z, at + len))) return false;
    if (x->plen && f->place.depth < x->plen) memcpy(z->path + f->base, pm__line_heap(x), x->plen);
    if (len) {
        z->path[at] = x->body[i];
        pm__copy_suffix(z->path + at + 1, h, rest);
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
static PM__INLINE bool pm__rz_enter(pm_rz *z, pm__ref child) {
    pm__ref_prefetch(child);
    return pm__rz_push(z, pm__place_root(child), z->exist_len);
}

/* The entries of the top frame, a line, that lie below the zipper's root. */
static unsigned pm__rz_line_end(const pm_rz *z, const pm_frame *f, const pm__line *x) {
    if (PM__LIKELY(f->base >= z->root_len || z->root_len - f->base <= x->plen)) return x->n;
    return pm__line_find(x, z->path + f->base + x->plen, z->root_len - f->base - x->plen).hi;
}

enum { PM__NEXT_FOUND, PM__NEXT_DOWN, PM__NEXT_UP, PM__NEXT_NOMEM };

/* Goes on from entry i of the line in the top frame: to a value, into a child, or through. */
static PM__INLINE int pm__rz_next_in_line(pm_rz *z, pm_frame *f, unsigned i) {
    const pm__line *x = pm__place_line(&f->place);
    for (unsigned end = pm__rz_line_end(z, f, x); i < end; i++) {
        bool leads = pm__line_is_child(x, i);
        pm__ref child = leads ? *pm__line_child(x, i) : 0;
        if (leads && !child) continue;
        if (!pm__rz_stand(z, f, x, i)) return PM__NEXT_NOMEM;
        if (!leads) return PM__NEXT_FOUND;
        uint32_t later = x->cmask >> i >> 1; /* by the time this child is done, the next one has arrived */
        if (later) pm__ref_prefetch(*pm__line_child(x, i + 1 + pm__ctz32(later)));
        return pm__rz_enter(z, child) ? PM__NEXT_DOWN : PM__NEXT_NOMEM;
    }
    return PM__NEXT_UP;
}

/* The smallest byte from `from` on (0..256) that has a child or a value, or -1. */
static PM__INLINE int pm__byte_next(const pm__byte *x, unsigned from) {
    if (from > 255) return -1;
    unsigned w = from >> 6;
    uint64_t bits = (x->mask[w].child | x->mask[w].val) >> (from & 63) << (from & 63);
    while (!bits && ++w < 4) bits = x->mask[w].child | x->mask[w].val;
    return bits ? (int)(w * 64 + pm__ctz64(bits)) : -1;
}

/* Asks for the child after the one at byte b. */
static PM__INLINE void pm__byte_prefetch_after(const pm__byte *x, uint8_t b) {
    unsigned r = pm__byte_is_wide(x) ? pm__byte_block_rank(x, b) : pm__byte_child_rank(x, b);
    unsigned n = pm__byte_is_wide(x) ? pm__popcount32(pm__byte_block_bits(x, b >> 4)) : x->nc;
    if (r + 1 < n && *(pm__byte_child(x, b) + 1)) pm__ref_prefetch(*(pm__byte_child(x, b) + 1));
}

/* The same in a byte node, from byte b; `value_done`: the value at b has been visited. */
static PM__INLINE int pm__rz_next_in_byte(pm_rz *z, pm_frame *f, unsigned from, bool value_done) {
    const pm__byte *x = pm__place_byte(&f->place);
    if (!pm__rz_room(z, f->base + 1)) return PM__NEXT_NOMEM;
    for (int b = pm__byte_next(x, from); b >= 0; b = pm__byte_next(x, (unsigned)b + 1), value_done = false) {
        uint8_t c = (uint8_t)b;
        if (PM__UNLIKELY(f->base < z->root_len) && c != z->path[f->base]) return PM__NEXT_UP;
        bool val = !value_done && pm__byte_has_val(x, c);
        pm__ref child = !val && pm__byte_has_child(x, c) ? *pm__byte_child(x, c) : 0;
        if (!val && !child) continue;
        z->path[f->base] = c;
        f->place.lo = c, f->place.depth = 1;
        z->len = z->exist_len = f->base + 1;
        if (val) return PM__NEXT_FOUND;
        pm__byte_prefetch_after(x, c);
        return pm__rz_enter(z, child) ? PM__NEXT_DOWN : PM__NEXT_NOMEM;
    }
    return PM__NEXT_UP;
}

/* Continues in the top frame after what its place has shown. `done`: what lies below the place as well. */
static PM__INLINE int pm__rz_next_in_frame(pm_rz *z, bool done) {
    pm_frame *f = &z->frames[z->nframes - 1];
    pm_place *p = &f->place;
    if (p->node == 0) return PM__NEXT_UP;
    if (PM__LIKELY(pm__place_in_line(p))) {
        unsigned i = done ? p->hi : p->lo;
        if (!done && p->depth) i += pm__place_val_entry(p, pm__place_line(p));
        return pm__rz_next_in_line(z, f, i);
    }
    if (p->depth == 0) return pm__rz_next_in_byte(z, f, 0, false);
    return done ? pm__rz_next_in_byte(z, f, p->lo + 1u, false) : pm__rz_next_in_byte(z, f, p->lo, true);
}

/* Entries that the one after them may extend, as bits: same first byte, and not shorter. */
static PM__INLINE uint32_t pm__line_maybe_extended(const pm__line *x) {
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
static void pm__rz_start_run(pm_rz *z) {
    const pm_frame *f = &z->frames[z->nframes - 1];
    if (!pm__place_in_line(&f->place)) return;
    const pm__line *x = pm__place_line(&f->place);
    unsigned i = f->place.lo;
    uint32_t e = pm__line_has_e(x), end = pm__low_bits(pm__rz_line_end(z, f, x));
    if (pm__line_is_child(x, i) || !pm__rz_room(z, f->base + x->plen + PM__SUFFIX_MAX)) return;
    z->run = (uint8_t)(i + 1);
    z->run_mask = end & ~(x->cmask | e);
    z->run_longer = pm__line_maybe_extended(x);
    z->run_at = f->base + x->plen;
    z->run_heap = pm__line_heap(x) + pm__line_off(x, i + 1);
    z->run_val = pm__line_val(x, i);
}

/* To the next entry of the run. */
static PM__INLINE void pm__rz_step_run(pm_rz *z) {
    pm_frame *f = &z->frames[z->nframes - 1];
    const pm__line *x = pm__place_line(&f->place);
    unsigned i = z->run, rest = pm__line_lens(x)[i], end = i + 1;
    uint8_t *d = z->path + z->run_at;
    if (z->run_longer >> i & 1) end = pm__line_agree_end(x, i, z->run_heap);
    d[0] = x->body[i];
    pm__copy_suffix(d + 1, z->run_heap, rest);
    z->run_heap += rest;
    z->run_val = pm__line_val(x, i);
    z->run = (uint8_t)(i + 1);
    f->place.lo = (uint8_t)i, f->place.hi = (uint8_t)end;
    f->place.depth = (uint16_t)(x->plen + rest + 1);
    z->len = z->exist_len = z->run_at + rest + 1;
}

/* Without a run to step along. */
static PM__NOINLINE bool pm__rz_next_val(pm_rz *z) {
    if (PM__UNLIKELY(!pm__rz_spare(z))) {
        pm_rz_reset(z);
        return false;
    }
    z->run = 0;
    if (PM__UNLIKELY(!pm__rz_on_trie(z))) {
        if (!pm__rz_next_beside(z, z->root_len)) return false;
        if (pm_rz_is_val(z)) return true;
    }
    bool done = false;
    for (;;) {
        int r = pm__rz_next_in_frame(z, done);
        if (r == PM__NEXT_FOUND) {
            pm__rz_start_run(z);
            return true;
        }
        done = r == PM__NEXT_UP;
        if (r == PM__NEXT_DOWN) continue;
        if (r == PM__NEXT_NOMEM || z->frames[z->nframes - 1].base <= z->root_len || z->nframes == 1) break;
        z->nframes--;
    }
    /* A child entered at the root, which held no value, may have left its frame. */
    while (z->nframes > 1 && z->frames[z->nframes - 1].base >= z->root_len) z->nframes--;
    pm_rz_reset(z);
    return false;
}

PM_API bool pm_rz_to_next_val(pm_rz *z) {
    if (PM__LIKELY(z->run && z->run < 32 && z->run_mask >> z->run & 1)) {
        pm__rz_step_run(z);
        return true;
    }
    return pm__rz_next_val(z);
}

/* ---- trie references ----------------------------------------------------------------------------------------- */

static pm_ref pm__ref_at(pm_ref r, const void *key, size_t len) {
    if (len == 0) return r;
    r.val = NULL;
    if (!key) r.exists = false;
    if (r.exists) r.exists = pm__place_walk(&r.place, (const uint8_t *)key, len, &r.val) == len;
    if (!r.exists) r.place = pm__place_root(0), r.val = NULL;
    return r;
}

PM_API pm_ref pm_ref_of_map(const pm_map *m, const void *key, size_t len) {
    static const pm_map empty = {0, 0, NULL, NULL, false};
    if (!m) m = &empty;
    pm_ref r = {pm_map_ops(m), m->pool, pm__place_root(m->root), m->has_value ? &m->value : NULL, true};
    return pm__ref_at(r, key, len);
}

PM_API pm_ref pm_ref_of_rz(const pm_rz *z) {
    pm_ref r = {pm__ops_of(z->ops), z->pool, pm__place_root(0), pm_rz_val(z), pm__rz_on_trie(z)};
    if (r.exists) r.place = pm__rz_place(z);
    return r;
}

PM_API pm_ref pm_ref_at(const pm_ref *r, const void *key, size_t len) { return pm__ref_at(*r, key, len); }
PM_API bool pm_ref_exists(const pm_ref *r) { return r->exists; }
PM_API const pm_val *pm_ref_val(const pm_ref *r) { return r->val; }

PM_API const pm_val *pm_ref_val_at(const pm_ref *r, const void *key, size_t len) {
    return pm__ref_at(*r, key, len).val;
}

PM_API pm_mask pm_ref_child_mask(const pm_ref *r) { return pm__place_mask(&r->place); }

PM_API unsigned pm_ref_child_count(const pm_ref *r) {
    pm_mask m = pm_ref_child_mask(r);
    return pm_mask_count(&m);
}

PM_API pm_status pm_ref_make_map(const pm_ref *r, pm_map *out) {
    pm__cx cx = pm__cx_of(r->ops, r->pool);
    return pm__map_of_place(&cx, &r->place, r->val, out);
}

/* ---- witnesses ----------------------------------------------------------------------------------------------- */

PM_API pm_witness pm_rz_witness(const pm_rz *z) {
    const pm_val *v = pm__rz_origin_val(z);
    pm_map seen = {z->top, v ? *v : 0, z->ops, z->pool, v != NULL};
    pm_witness w = {pm_clone(&seen), z->top};
    return w;
}

PM_API pm_status pm_rz_val_witnessed(const pm_rz *z, const pm_witness *w, const pm_val **out) {
    const pm_val *v = pm_rz_val(z), *origin = pm__rz_origin_val(z);
    if (w->top != z->top || pm_map_ops(&w->hold) != pm__ops_of(z->ops)) return PM_INVALID;
    if (w->hold.has_value != (origin != NULL) || (origin && w->hold.value != *origin)) return PM_INVALID;
    *out = v && v == origin ? &w->hold.value : v;
    return PM_OK;
}

PM_API void pm_witness_drop(pm_witness *w) {
    pm_drop(&w->hold);
    w->top = 0;
}

/* ---- iterators ----------------------------------------------------------------------------------------------- */

enum { PM__ITER_FIRST, PM__ITER_ON, PM__ITER_END };

static pm_iter pm__iter_over(pm_rz z, bool paths) {
    pm_iter i = {NULL, 0, NULL, z, PM__ITER_FIRST, paths};
    return i;
}

static pm_iter pm__iter_of_map(const pm_map *m, bool paths) {
    static const pm_map empty = {0, 0, NULL, NULL, false};
    pm_rz z;
    if (!m) m = &empty;
    pm__rz_over(&z, m->ops, m->pool, m->root, m->has_value ? &m->value : NULL);
    return pm__iter_over(z, paths);
}

PM_API pm_iter pm_iter_vals(const pm_map *m) { return pm__iter_of_map(m, false); }
PM_API pm_iter pm_iter_paths(const pm_map *m) { return pm__iter_of_map(m, true); }

PM_API pm_iter pm_iter_vals_of_rz(const pm_rz *z) {
    pm_rz f = pm__rz_none;
    pm_status s = pm_rz_fork(z, &f);
    pm_iter i = pm__iter_over(f, false);
    if (s != PM_OK) i.state = PM__ITER_END, i.z.status = s;
    return i;
}

PM_API bool pm_iter_next(pm_iter *i) {
    bool here = false;
    if (PM__UNLIKELY(i->state == PM__ITER_END)) return false;
    if (i->state == PM__ITER_FIRST) {
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

PM_API pm_status pm_iter_status(const pm_iter *i) { return i->z.status; }
PM_API void pm_iter_drop(pm_iter *i) { pm_rz_drop(&i->z); }

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

static bool pm__each_push(pm__each *e, pm__ref node, size_t base) {
    if (e->used == e->cap) {
        size_t cap = e->cap ? e->cap * 2 : 16;
        void *grown = pm__mem_grow(e->frames, e->cap * sizeof *e->frames, cap * sizeof *e->frames);
        if (!grown) return false;
        e->frames = (pm__each_frame *)grown;
        e->cap = cap;
    }
    pm__each_frame f = {node, base, 0, 0};
    e->frames[e->used++] = f;
    return pm__rz_room(&e->path, base + 256 + PM__SUFFIX_MAX);
}

enum { PM__EACH_UP, PM__EACH_DOWN, PM__EACH_STOP, PM__EACH_NOMEM };

/* Visits the values of a line up to its next child, which is entered. */
static int pm__each_line(pm__each *e, pm__each_frame *f) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(f->node);
    const uint8_t *lens = pm__line_lens(x), *heap = pm__line_heap(x);
    uint8_t *at = e->path.path + f->base + x->plen;
    unsigned i = f->next, off = f->off;
    if (i == 0) {
        memcpy(e->path.path + f->base, heap, x->plen);
        off = x->plen;
        if (pm__line_has_e(x)) {
            if (!e->fn(e->ctx, e->path.path, f->base + x->plen, *pm__line_val(x, 0))) return PM__EACH_STOP;
            i = 1;
        }
    }
    for (; i < x->n; i++) {
        unsigned rest = lens[i];
        at[0] = x->body[i];
        pm__copy_suffix(at + 1, heap + off, rest);
        off += rest;
        size_t len = f->base + x->plen + 1 + rest;
        if (!pm__line_is_child(x, i)) {
            if (!e->fn(e->ctx, e->path.path, len, *pm__line_val(x, i))) return PM__EACH_STOP;
            continue;
        }
        pm__ref child = *pm__line_child(x, i);
        if (!child) continue;
        uint32_t later = x->cmask >> i >> 1; /* by the time this child is done, the next one has arrived */
        if (later) pm__ref_prefetch(*pm__line_child(x, i + 1 + pm__ctz32(later)));
        f->next = i + 1;
        f->off = off;
        pm__ref_prefetch(child);
        return pm__each_push(e, child, len) ? PM__EACH_DOWN : PM__EACH_NOMEM;
    }
    return PM__EACH_UP;
}

static int pm__each_byte(pm__each *e, pm__each_frame *f) {
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(f->node);
    for (int b = pm__byte_next(x, f->next); b >= 0; b = pm__byte_next(x, (unsigned)b + 1)) {
        uint8_t c = (uint8_t)b;
        e->path.path[f->base] = c;
        if (pm__byte_has_val(x, c) && !e->fn(e->ctx, e->path.path, f->base + 1, *pm__byte_val(x, c)))
            return PM__EACH_STOP;
        pm__ref child = pm__byte_has_child(x, c) ? *pm__byte_child(x, c) : 0;
        if (!child) continue;
        f->next = (unsigned)b + 1;
        pm__byte_prefetch_after(x, c);
        pm__ref_prefetch(child);
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
