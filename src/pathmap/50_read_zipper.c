/* Read zippers.

   A zipper keeps the origin path of its focus in one buffer, and a stack of frames, one for each node on the way: the
   place (26_place.c) that the path has come to in that node, and how much of the path lies above it. Frame 0 is the
   origin's node. Every frame above it matches at least one byte, so a frame's predecessor always stands exactly on the
   entry that leads into it, and going up is popping.

       path   s u b / p r e d | i c a t e        len 13
       frame  0: base 0, depth 4    1: base 4, depth 5      exist_len 9: "icate" is off the trie

   exist_len is what frames cover; bytes beyond it are off the trie and have no frames.

   Over a view there are no frames: see "over a view" below. */
#include "40_map.c"
#include "50_read_zipper.h"

typedef struct pm_frame {
    pm_place place;
    size_t base; /* bytes of path above the node's root */
} pm_frame;

/* What a head (66_head.c) remembers of a zipper that it gave out: the zipper says when it ends, and a writer
   when it is inside a call. */
struct pm_claim {
    void (*end)(struct pm_claim *c);
    /* Of a writer. `pin` turns the claim into that of a pinned reader, `wait` waits until a call may begin and begins
       it, `left` tells who waits that a call is over. */
    pm_status (*pin)(struct pm_claim *c, struct pm_claim **out);
    void (*wait)(struct pm_claim *c);
    void (*left)(struct pm_claim *c);
    pm__a32 in_call; /* calls that the writer is in, one within the other */
    pm__a32 hold;    /* pm__hold: asks the writer not to begin a call */
    uint32_t calls;  /* since it was asked last: a rough number */
    bool fenced;     /* fences itself: pm__fence_all does not work here, or costs more; changed by the writer alone */
    pm_txn group;    /* when it is open, this is what readers see */
};

/* What `hold` requests before the next call: to see to who waits, and to take the content out of the head's map. */
enum pm__hold { PM__HOLD_WAIT = 1, PM__HOLD_CLEAN = 2 };

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

/* Room for a path of `need` bytes, and slack, for those who can do without. */
static PM__INLINE bool pm__rz_may_have_room(pm_rz *z, size_t need) {
    if (PM__LIKELY(need + PM__PATH_SLACK <= z->cap)) return true; /* lengths are checked: no sum of two wraps */
    return pm__rz_grow_path(z, need);
}

/* The same for those who cannot. */
static PM__INLINE bool pm__rz_room(pm_rz *z, size_t need) {
    if (PM__LIKELY(pm__rz_may_have_room(z, need))) return true;
    if (z->status == PM_OK) z->status = PM_NOMEM;
    return false;
}

static bool pm__rz_grow_frames(pm_rz *z, size_t need) {
    size_t cap = z->frame_cap ? z->frame_cap : 8;
    while (cap < need && cap <= PM__LEN_MAX / sizeof *z->frames) cap *= 2;
    void *grown = cap < need ? NULL
                             : pm__mem_grow(z->frames, z->frame_cap * sizeof *z->frames, cap * sizeof *z->frames);
    if (!grown) {
        if (z->status == PM_OK) z->status = PM_NOMEM;
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

/* What a reader that borrows knows of its map in checked builds, in a place that it does not need: the map's stamp. */
static PM__INLINE void pm__rz_watch(pm_rz *z, const pm_map *m) {
#if PM_CHECK >= 1
    z->held = m ? pm__map_look(m) : 0;
#endif
    (void)z, (void)m;
}

/* The same of a reader over what another one borrows. */
static PM__INLINE void pm__rz_watch_as(pm_rz *z, const pm_rz *other) {
#if PM_CHECK >= 1
    z->held = other->owned ? 0 : other->held;
#endif
    (void)z, (void)other;
}

/* Before what a reader looks at is looked at. */
static PM__INLINE void pm__rz_use(const pm_rz *z) {
#if PM_CHECK >= 1
    uint32_t stamp = z->owned ? 0 : (uint32_t)z->held;
    if (pm__stamp_is(stamp, PM__STAMP_OVER) && !pm__stamp_is_kept(stamp))
        /* uncovered: the process ends, and its counts with it */
        pm__accuse("a reader was used after its map was written or dropped (pm_rz_open, pm_iter_vals)");
#endif
    (void)z;
}

/* What the cursor of a writer is over while it lacks nodes: a write may have freed those that its frames named. Those
   above, if it knows any, still have their frames. */
static const pm_view_ops pm__rz_forgotten = {NULL, NULL, NULL, NULL, NULL, NULL, NULL};

static PM__NOINLINE bool pm__rz_find(const pm_rz *z);
static bool pm__vz_exists(const pm_rz *z);

/* Whether a zipper is over a view. A cursor that lacks nodes finds them again here. */
static PM__INLINE bool pm__rz_is_view(const pm_rz *z) { return PM__UNLIKELY(z->view != NULL) && !pm__rz_find(z); }

/* Makes frame 0 if there is none yet. */
static PM__INLINE bool pm__rz_begin(pm_rz *z) {
    pm__rz_use(z);
    return z->nframes || pm__rz_push(z, pm__place_root(z->top), 0);
}

/* The root of the node that frame i is in, or of the range node of which it is a part. */
static PM__INLINE pm__ref pm__rz_frame_root(const pm_rz *z, size_t i) {
    pm__ref root = z->top;
    if (i) (void)pm__place_child(&z->frames[i - 1].place, &root);
    return root;
}

/* The place that exist_len stands for. */
static PM__INLINE pm_place pm__rz_place(const pm_rz *z) {
    pm__rz_use(z);
    return z->nframes ? z->frames[z->nframes - 1].place : pm__place_root(z->top);
}

static PM__INLINE bool pm__rz_on_trie(const pm_rz *z) {
    pm__rz_use(z);
    return pm__rz_is_view(z) ? pm__vz_exists(z) : z->len == z->exist_len;
}

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
    z->run = 0;
}

/* Follows the path through a line from its root on, where an entry leads all the way: to a child, or to the end of the
   path. False: none does, and the place is as it was. */
static PM__INLINE bool pm__rz_through_line(pm_place *p, const pm__line *x, const uint8_t *s, size_t left,
                                           pm__ref *child) {
    if (left <= x->plen || !pm__line_in_prefix(x, s, left)) return false;
    s += x->plen, left -= x->plen;
    int i = pm__line_probe(x, s, left, pm__load64le(s + 1)); /* the path's buffer has slack */
    if (i < 0) return false;
    (void)pm__place_seek_found(p, x, (unsigned)i, left);
    *child = pm__line_is_child(x, (unsigned)i) ? *pm__line_child(x, (unsigned)i) : 0;
    return true;
}

/* The same through a byte node. */
static PM__INLINE bool pm__rz_through_byte(pm_place *p, const pm__byte *x, uint8_t b, pm__ref *child) {
    const bool leads = pm__byte_has_child(x, b);
    if (!leads && !pm__byte_has_val(x, b)) return false;
    p->lo = b, p->hi = 0, p->depth = 1, p->since = 0;
    *child = leads ? *pm__byte_child(x, b) : 0;
    return true;
}

/* Follows the path from exist_len on, at the root of a node, through nodes that it goes through to their end. Stops at
   the first where it does not, which is *node then; 0: there is none. False: no memory. Places are made where they
   stay: one that was made elsewhere would be copied by loads that wait for the stores of its parts. */
static bool pm__rz_run_down(pm_rz *z, pm__ref *node) {
    pm__ref r = *node, child = 0;
    size_t at = z->exist_len, n = z->nframes;
    bool ok = true;
    for (; r && at < z->len; r = child, n++) {
        if (PM__UNLIKELY(n == z->frame_cap) && !(ok = pm__rz_grow_frames(z, n + 1))) break;
        pm_place *p = &z->frames[n].place;
        pm__ref in = r;
        unsigned part = 0;
        pm__ref_prefetch(r);
        if (PM__UNLIKELY(pm__ref_kind(r) == PM__RANGE)) {
            const pm__line *x = (const pm__line *)pm__ref_ptr(r);
            part = pm__line_part_index(x, z->path[at]);
            in = *pm__line_part_at(x, part++);
            pm__ref_prefetch_early(in);
        }
        const void *x = pm__ref_ptr(in);
        if (!(pm__ref_kind(in) == PM__LINE
                  ? pm__rz_through_line(p, (const pm__line *)x, z->path + at, z->len - at, &child)
                  : pm__rz_through_byte(p, (const pm__byte *)x, z->path[at], &child)))
            break;
        p->node = in, p->part = (uint8_t)part;
        z->frames[n].base = at;
        at += p->depth;
    }
    z->nframes = n;
    z->exist_len = at;
    *node = r;
    return ok;
}

/* Follows the path from the root of a node that it does not go through. Returns how many bytes exist. */
static size_t pm__rz_into(pm_place *p, const uint8_t *s, size_t left) {
    pm_place q = *p;
    if (pm__place_in_range(p)) q = pm__place_root_part(pm__place_line(p), pm__line_part_index(pm__place_line(p), *s));
    if (!pm__place_in_line(&q)) return 0;
    const pm__line *x = pm__place_line(&q);
    size_t n = x->plen;
    if (left <= n || !pm__line_in_prefix(x, s, left)) {
        n = pm__place_down(&q, s, left);
    } else {
        q.depth = x->plen;
        n += pm__place_seek_missed(&q, x, s + n, left - n);
    }
    if (n) *p = q;
    return n;
}

/* Follows the path from exist_len on as far as it exists. On failure exist_len is where it got to. */
static bool pm__rz_resolve(pm_rz *z) {
    pm__ref node = z->top;
    size_t n;
    pm__rz_use(z);
    z->run = 0;
    if (!node || z->exist_len == z->len) return pm__rz_begin(z);
    pm_frame *f = z->nframes ? &z->frames[z->nframes - 1] : NULL;
    if (!f || f->place.depth == 0) {
        z->nframes = 0; /* frame 0 is made anew */
    } else if (!pm__place_child(&f->place, &node)) { /* on inside this node */
        z->exist_len += pm__place_down(&f->place, z->path + z->exist_len, z->len - z->exist_len);
        if (z->exist_len == z->len || !pm__place_child(&f->place, &node)) return true;
    }
    if (!pm__rz_run_down(z, &node)) return false;
    if (!node || z->exist_len == z->len) return true;
    pm_place p = pm__place_root(node);
    n = pm__rz_into(&p, z->path + z->exist_len, z->len - z->exist_len);
    if ((n || !z->nframes) && !pm__rz_push(z, p, z->exist_len)) return false;
    z->exist_len += n;
    return true;
}

/* Finds those of a cursor's nodes again that it has forgotten; false: it is none, but over a view. Without memory it
   stands on as much of its path as it could follow, until the next call. */
static PM__NOINLINE bool pm__rz_find(const pm_rz *cursor) {
    pm_rz *z = (pm_rz *)(uintptr_t)cursor;
    if (z->view != &pm__rz_forgotten) return false;
    const pm_map *m = (const pm_map *)z->state;
    z->top = m->root;
    z->top_val = m->has_value ? &m->value : NULL;
    if (z->len == z->exist_len || pm__rz_resolve(z)) z->view = NULL;
    return true;
}

static pm_status pm__rz_open(pm_rz *z, const uint8_t *path, size_t len) {
    if (len) {
        if (!path || len > PM__LEN_MAX) return PM_INVALID;
        if (!pm__rz_room(z, len + 1)) return PM_NOMEM;
        memcpy(z->path, path, len);
        z->len = z->root_len = len;
        if (!z->view && !pm__rz_resolve(z)) {
            pm__rz_free_buffers(z);
            return PM_NOMEM;
        }
    }
    return PM_OK;
}

static const pm_rz pm__rz_none = {0};

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

PM_API pm_status pm_rz_open(const pm_map *m, const void *path, size_t len, pm_rz *out) {
    if (!out || !m || (len && !path) || len > PM__LEN_MAX) return PM_INVALID;
    pm__rz_over(out, m->ops, m->pool, m->root, m->has_value ? &m->value : NULL);
    pm__rz_watch(out, m);
    return pm__rz_open(out, (const uint8_t *)path, len);
}

PM_API pm_status pm_rz_open_owned(const pm_map *m, const void *path, size_t len, pm_rz *out) {
    pm_status s = pm_rz_open(m, path, len, out);
    if (s == PM_OK) pm__rz_own(out);
    return s;
}

/* Makes *z a zipper over a view, its root at a path. */
static pm_status pm__rz_over_view(pm_rz *z, const pm_view_ops *view, void *state, const uint8_t *path, size_t len) {
    *z = pm__rz_none;
    z->view = view;
    pm_status s = pm__rz_open(z, path, len);
    if (s == PM_OK) z->state = state;
    return s;
}

PM_API pm_status pm_rz_open_view(const pm_view_ops *view, void *state, const pm_ops *ops, pm_pool *pool,
                                 const void *path, size_t len, pm_rz *out) {
    if (!out || !view || !view->seek || !view->seek_back || !view->fork || !view->drop) return PM_INVALID;
    const pm_ops *taken = ops ? pm__ops_taken(ops) : NULL;
    pm_rz z;
    if (taken && pm__ops_is_refused(taken)) return PM_BADHOOK;
    pm_status s = pm__rz_over_view(&z, view, state, (const uint8_t *)path, len);
    if (s != PM_OK) return s;
    z.ops = taken;
    z.pool = pool;
    *out = z;
    return PM_OK;
}

/* Makes *out another zipper over the same, rooted at the first `len` bytes of the path. */
static pm_status pm__rz_fork_at(const pm_rz *z, size_t len, bool own, pm_rz *out) {
    bool over_view = pm__rz_is_view(z);
    pm_rz f;
    pm_status s;
    pm__rz_use(z);
    if (over_view) {
        s = pm__rz_over_view(&f, z->view, NULL, z->path, len);
        f.ops = z->ops, f.pool = z->pool;
    } else {
        pm__rz_over(&f, z->ops, z->pool, z->top, pm__rz_origin_val(z));
        pm__rz_watch_as(&f, z);
        s = pm__rz_open(&f, z->path, len);
    }
    if (s != PM_OK) return s;
    if (over_view) s = z->view->fork(z->state, own, &f.state);
    else if (own) pm__rz_own(&f);
    if (s != PM_OK) {
        pm__rz_free_buffers(&f);
        return s;
    }
    f.owned = own;
    if (out == z) pm_rz_drop(out);
    *out = f;
    return PM_OK;
}

PM_API pm_status pm_rz_fork(const pm_rz *z, pm_rz *out) {
    if (!z || !out) return PM_INVALID;
    return pm__rz_fork_at(z, z->len, z->owned, out);
}
PM_API pm_status pm_rz_fork_owned(const pm_rz *z, pm_rz *out) {
    if (!z || !out) return PM_INVALID;
    return pm__rz_fork_at(z, z->len, true, out);
}

PM_API void pm_rz_drop(pm_rz *z) {
    if (!z) return;
    pm__rz_free_buffers(z);
    if (z->view && z->view->drop) {
        z->view->drop(z->state);
    } else if (z->owned) {
        pm__cx cx = pm__rz_cx(z);
        pm__any_release(&cx, z->top);
        if (z->held_some) pm__pay_release(&cx, false, z->held);
    }
    z->top = 0;
    z->top_val = NULL;
    z->view = NULL;
    z->state = NULL;
    z->owned = z->held_some = z->known = false;
    pm__rz_watch(z, NULL);
    if (!z->claim) return;
    struct pm_claim *c = z->claim;
    z->claim = NULL;
    c->end(c);
}

PM_API pm_status pm_rz_status(const pm_rz *z) {
    if (!z) return PM_INVALID;
    return z->status;
}

PM_API const pm_ops *pm_rz_ops(const pm_rz *z) {
    if (!z) return NULL;
    return z->view && !z->ops ? NULL : pm__ops_of(z->ops);
}

PM_API pm_status pm_rz_reserve(pm_rz *z, size_t path_bytes, size_t nodes) {
    if (!z) return PM_INVALID;
    pm_status before = z->status;
    bool ok = path_bytes <= PM__LEN_MAX && nodes < PM__LEN_MAX && pm__rz_room(z, path_bytes) &&
              (nodes < z->frame_cap || pm__rz_grow_frames(z, nodes + 1));
    z->status = before;
    return ok ? PM_OK : PM_NOMEM;
}

/* ---- over a view --------------------------------------------------------------------------------------------- */

/* A view says where its terminals are; all else is read off these. The one found last stays in the path's buffer,
   wherever on the way to it the focus is:

       path   a b c | d e f       len 3, exist_len 7, first 3, bare 4

   Places of less than `exist_len` bytes on that way exist. While it is `known`, nothing lies between such a place and
   the terminal if it has `first` bytes or more, nor at the place itself if it has `bare`; and the view's state stands
   on the terminal. All lengths count from the origin. */

/* Queries move nothing that can be seen. */
static PM__INLINE pm_rz *pm__vz_of(const pm_rz *z) { return (pm_rz *)(uintptr_t)z; }

/* What a view has returned: its failure is the zipper's. */
static PM__INLINE bool pm__vz_asked(pm_rz *z, bool found, const pm_terminal *t) {
    if (PM__UNLIKELY(t->status != PM_OK) && z->status == PM_OK) z->status = t->status;
    return found;
}

/* The first terminal at or after the first n bytes of the path that begins with `within` of them. */
static bool pm__vz_seek(pm_rz *z, size_t n, size_t within, pm_terminal *t) {
    static const pm_terminal none = {NULL, 0, 0, NULL, PM_OK};
    *t = none;
    z->known = z->back = false;
    z->within = within;
    bool found = z->view->seek(z->state, z->path ? z->path : (const uint8_t *)"", n, within, t);
    t->same = 0;
    return pm__vz_asked(z, found, t);
}

/* The last terminal before the first n bytes of the path that begins with `within` of them. `below`: what begins with
   all n comes before them. */
static bool pm__vz_seek_back(pm_rz *z, size_t n, size_t within, bool below, pm_terminal *t) {
    static const pm_terminal none = {NULL, 0, 0, NULL, PM_OK};
    *t = none;
    if (n <= within && !below) return false;
    bool at = z->known && z->back && !below && n + 1 == z->exist_len && z->within == within && z->view->prev;
    z->known = false;
    z->back = true;
    z->within = within;
    if (at) return pm__vz_asked(z, z->view->prev(z->state, within, t), t);
    bool found = z->view->seek_back(z->state, z->path ? z->path : (const uint8_t *)"", n, within, below, t);
    t->same = 0;
    return pm__vz_asked(z, found, t);
}

/* The same for the first one after just these n bytes. */
static bool pm__vz_seek_after(pm_rz *z, size_t n, size_t within, pm_terminal *t) {
    if (!pm__rz_room(z, n + 1)) return false;
    uint8_t was = z->path[n];
    z->path[n] = 0;
    bool found = pm__vz_seek(z, n + 1, within, t);
    z->path[n] = was;
    return found;
}

/* The same for the first one after all that begins with them, n > within. */
static bool pm__vz_seek_beyond(pm_rz *z, size_t n, size_t within, pm_terminal *t) {
    while (n > within && z->path[n - 1] == 255) n--;
    if (n == within) return false;
    z->path[n - 1]++;
    bool found = pm__vz_seek(z, n, within, t);
    z->path[n - 1]--;
    return found;
}

/* The same for the first one after the focus. */
static PM__INLINE bool pm__vz_seek_next(pm_rz *z, size_t within, pm_terminal *t) {
    if (z->known && !z->back && z->len + 1 == z->exist_len && z->within == within && z->view->next) {
        t->status = PM_OK;
        t->same = 0;
        z->known = false;
        return pm__vz_asked(z, z->view->next(z->state, within, t), t);
    }
    return pm__vz_seek_after(z, z->len, within, t);
}

/* Takes over a terminal: the first one after the first n bytes of the path, or, with `at`, not before. The focus goes
   up as far as is on its way. False: no memory. */
static bool pm__vz_note(pm_rz *z, size_t n, bool at, const pm_terminal *t) {
    if (!pm__rz_room(z, t->len + 1)) return false;
    size_t min = n < t->len ? n : t->len, same = min ? pm__lcp(z->path, t->path, min) : 0;
    if (same < t->len) memcpy(z->path + same, t->path + same, t->len - same);
    z->exist_len = t->len + 1;
    z->first = same + (same < n);
    z->bare = at ? z->first : same + 1;
    z->run_val = t->val;
    z->known = true;
    if (same < z->len) z->len = same;
    return true;
}

/* The same, and goes there. How it lies to the focus is of no interest. */
static PM__INLINE bool pm__vz_go(pm_rz *z, const pm_terminal *t) {
    if (!pm__rz_room(z, t->len + 1)) return false;
    if (t->len > t->same) pm__copy_short(z->path + t->same, t->path + t->same, t->len - t->same);
    z->len = z->first = z->bare = t->len;
    z->exist_len = t->len + 1;
    z->run_val = t->val;
    return z->known = true;
}

/* Whether a terminal can be noted without moving the path, as must be in what only asks: who was given the path may
   read it until the zipper moves. */
static PM__INLINE bool pm__vz_fits(const pm_rz *z, const pm_terminal *t) {
    return t->len + 1 + PM__PATH_SLACK <= z->cap;
}

/* Whether the first terminal after the focus is known. */
static PM__INLINE bool pm__vz_knows(const pm_rz *z) {
    return z->known && z->first <= z->len && z->len + 1 < z->exist_len;
}

/* Finds it, if it begins with `within` bytes of the path. */
static bool pm__vz_look(pm_rz *z, size_t within) {
    pm_terminal t;
    return pm__vz_knows(z) || (pm__vz_seek_next(z, within, &t) && pm__vz_note(z, z->len, false, &t));
}

/* Before n bytes at s are appended: only places that are still on the way to the terminal are known to exist. */
static void pm__vz_leave(pm_rz *z, const uint8_t *s, size_t n) {
    if (z->exist_len <= z->len + 1) return;
    size_t ahead = z->exist_len - z->len - 1, same = n ? pm__lcp(z->path + z->len, s, n < ahead ? n : ahead) : 0;
    if (same == n || same == ahead) return;
    z->exist_len = z->len + same + 1;
    z->known = false;
}

static bool pm__vz_exists_at(pm_rz *z, size_t n) {
    pm_terminal t;
    return n < z->exist_len || pm__vz_seek(z, n, n, &t);
}

static bool pm__vz_exists(const pm_rz *view) {
    pm_rz *z = pm__vz_of(view);
    pm_terminal t;
    if (z->len < z->exist_len) return true;
    if (!pm__vz_seek(z, z->len, z->len, &t)) return false;
    if (pm__vz_fits(z, &t)) (void)pm__vz_note(z, z->len, true, &t);
    return true;
}

static const pm_val *pm__vz_val(pm_rz *z) {
    if (!z->known || z->len < z->bare || z->len >= z->exist_len) {
        pm_terminal t;
        if (!pm__vz_seek(z, z->len, z->len, &t)) return NULL;
        if (!pm__vz_fits(z, &t)) return t.len == z->len ? t.val : NULL;
        (void)pm__vz_note(z, z->len, true, &t);
    }
    return z->len + 1 == z->exist_len ? z->run_val : NULL;
}

/* Of the place whose path stands in the buffer n bytes beyond the focus. */
static const pm_val *pm__vz_val_at(pm_rz *z, size_t n) {
    size_t len = z->len;
    pm_terminal t;
    return pm__vz_seek(z, len + n, len + n, &t) && t.len == len + n ? t.val : NULL;
}

/* The smallest child that is at least `from`, or -1. */
static int pm__vz_child(pm_rz *z, int from) {
    size_t len = z->len;
    pm_terminal t;
    if (from > 255 || !pm__rz_room(z, len + 1)) return -1; /* there is room, unless the path is empty */
    if (pm__vz_knows(z) && z->path[len] >= from) return z->path[len];
    uint8_t was = z->path[len];
    if (from) z->path[len] = (uint8_t)from;
    bool found = from ? pm__vz_seek(z, len + 1, len, &t) : pm__vz_seek_next(z, len, &t);
    if (found && pm__vz_fits(z, &t)) {
        (void)pm__vz_note(z, from ? len + 1 : len, from != 0, &t);
        return z->path[len];
    }
    z->path[len] = was;
    return found ? t.path[len] : -1;
}

static pm_mask pm__vz_mask(pm_rz *z) {
    pm_mask m = {{0, 0, 0, 0}};
    for (int b = pm__vz_child(z, 0); b >= 0; b = pm__vz_child(z, b + 1)) pm_mask_set(&m, (uint8_t)b);
    return m;
}

/* To the next location that begins with `within` bytes of the path. */
static bool pm__vz_step(pm_rz *z, size_t within) {
    if (!pm__vz_look(z, within)) return false;
    z->len++;
    return true;
}

/* To the next location beside all that is below the focus. */
static bool pm__vz_step_beside(pm_rz *z, size_t within) {
    pm_terminal t;
    if (z->len <= within || !pm__vz_seek_beyond(z, z->len, within, &t)) return false;
    if (!pm__vz_note(z, z->len, true, &t)) return false;
    z->len++;
    return true;
}

/* To the next terminal. */
static PM__INLINE bool pm__vz_next_terminal(pm_rz *z, size_t within) {
    pm_terminal t;
    if (!pm__vz_knows(z)) return pm__vz_seek_next(z, within, &t) && pm__vz_go(z, &t);
    z->len = z->exist_len - 1;
    return true;
}

/* To the first terminal at the focus or after it. */
static bool pm__vz_seek_terminal(pm_rz *z, size_t within) {
    pm_terminal t;
    if (!z->known || z->len < z->bare || z->len >= z->exist_len)
        return pm__vz_seek(z, z->len, within, &t) && pm__vz_go(z, &t);
    z->len = z->exist_len - 1;
    return true;
}

/* To the last terminal before the focus; `below`: or at or below it. */
static PM__INLINE bool pm__vz_prev_terminal(pm_rz *z, size_t within, bool below) {
    pm_terminal t;
    return pm__vz_seek_back(z, z->len, within, below, &t) && pm__vz_go(z, &t);
}

/* The largest n in lo..hi that something holds for which holds of all that are smaller, lo included. */
static size_t pm__vz_last(pm_rz *z, size_t lo, size_t hi, bool (*holds)(pm_rz *z, size_t n)) {
    size_t step = 1, no = hi + 1;
    while (no - lo > 1) {
        size_t n = (no - lo) / 2 > step ? no - step : lo + (no - lo) / 2;
        if (holds(z, n)) lo = n, step = SIZE_MAX;
        else no = n, step *= 2;
    }
    return lo;
}

/* How much of the path exists; the root, of which that is not asked, at least. */
static size_t pm__vz_existing(pm_rz *z) {
    size_t known = z->exist_len ? z->exist_len - 1 : 0, lo = known < z->len ? known : z->len;
    return pm__vz_last(z, lo > z->root_len ? lo : z->root_len, z->len, pm__vz_exists_at);
}

/* To the location before the focus that begins with more than `within` bytes of the path: what leads to the focus comes
   behind the terminal before it where it leaves that one's path. */
static bool pm__vz_step_back(pm_rz *z, size_t within) {
    pm_terminal t;
    if (z->len <= within) return false;
    size_t up = pm__vz_exists(z) ? z->len - 1 : pm__vz_existing(z), min, same = within;
    bool found = pm__vz_seek_back(z, z->len, within, false, &t);
    if (t.status != PM_OK) return false;
    min = found ? (t.len < z->len ? t.len : z->len) : 0;
    if (min) same = pm__lcp(z->path, t.path, min);
    if (found && up <= same && t.len > within) return pm__vz_go(z, &t);
    if (up <= within) return false;
    z->len = up;
    return true;
}

/* Whether below the first n bytes of the path something comes before the focus, and what leads there. */
static bool pm__vz_has_before(pm_rz *z, size_t n) {
    pm_terminal t;
    return pm__vz_seek(z, n, n, &t) && (t.len < z->len || memcmp(t.path, z->path, z->len) != 0);
}

/* The same of what does not lie on the way to the focus. */
static bool pm__vz_forks_before(pm_rz *z, size_t n) {
    pm_terminal t;
    bool found = pm__vz_seek(z, n, n, &t);
    while (found && t.len < z->len && memcmp(t.path, z->path, t.len) == 0) found = pm__vz_seek_after(z, t.len, n, &t);
    return found && (t.len < z->len || memcmp(t.path, z->path, z->len) != 0);
}

static size_t pm__vz_ascend_to_fork(pm_rz *z, bool values) {
    size_t start = z->len, up = z->root_len;
    pm_terminal t;
    if (start == up) return 0;
    if (!pm__vz_exists(z)) {
        z->len = pm__vz_existing(z);
        int b = pm__vz_child(z, 0);
        if (z->len == up || (b >= 0 && pm__vz_child(z, b + 1) >= 0) || (values && pm__vz_val(z))) return start - z->len;
    }
    if (pm__vz_seek_beyond(z, z->len, up, &t)) up = pm__lcp(z->path, t.path, t.len < z->len ? t.len : z->len);
    z->len = pm__vz_last(z, up, z->len - 1, values ? pm__vz_has_before : pm__vz_forks_before);
    return start - z->len;
}

/* Whether all that is below the focus begins with the first n bytes of the path. */
static bool pm__vz_is_alone(pm_rz *z, size_t n) {
    pm_terminal t;
    return !pm__vz_seek_beyond(z, n, z->len, &t);
}

static bool pm__vz_descend_until(pm_rz *z, size_t max) {
    size_t len = z->len;
    if (!max || !pm__vz_look(z, len)) return false;
    size_t ahead = z->exist_len - 1 - len;
    z->len = pm__vz_last(z, len, len + (ahead < max ? ahead : max), pm__vz_is_alone);
    return z->len > len;
}

/* Work that reports its failure itself: what the zipper had to tell before stays. */
static pm_status pm__vz_worked(pm_rz *z, pm_status before) {
    pm_status s = z->status;
    z->status = before;
    return s;
}

static pm_status pm__vz_val_count(pm_rz *z, uint64_t *out) {
    pm_status before = pm__vz_worked(z, PM_OK);
    size_t base = z->len;
    uint64_t n = pm__vz_val(z) != NULL;
    while (pm__vz_next_terminal(z, base)) n += z->run_val != NULL;
    z->len = base;
    pm_status s = pm__vz_worked(z, before);
    if (s == PM_OK) *out = n;
    return s;
}

/* Room for a path of n bytes. *s may point into the path, which may move: then it moves along, and is *ours. */
static PM__INLINE bool pm__rz_room_beside(pm_rz *z, size_t n, const uint8_t **s, bool *ours) {
    const size_t at = (uintptr_t)*s - (uintptr_t)z->path;
    *ours = at < z->cap;
    if (!pm__rz_room(z, n)) return false;
    if (*ours) *s = z->path + at;
    return true;
}

/* Writes bytes behind the focus's path. False: no memory, or there is no such key. */
static bool pm__rz_put(pm_rz *z, const uint8_t *s, size_t n) {
    bool ours;
    if (PM__UNLIKELY((n && !s) || n > PM__LEN_MAX)) {
        if (z->status == PM_OK) z->status = PM_INVALID;
        return false;
    }
    if (!pm__rz_room_beside(z, z->len + n + 1, &s, &ours)) return false;
    if (z->view) pm__vz_leave(z, s, n);
    else z->run = 0;
    if (n) memmove(z->path + z->len, s, n);
    return true;
}

/* ---- queries ------------------------------------------------------------------------------------------------- */

/* The path of a zipper that is not there. */
static const uint8_t *pm__no_path(size_t *len) {
    if (len) *len = 0;
    return NULL;
}

PM_API const uint8_t *pm_rz_path(const pm_rz *z, size_t *len) {
    if (!z || !len) return pm__no_path(len);
    *len = z->len - z->root_len;
    return z->path ? z->path + z->root_len : (const uint8_t *)"";
}

PM_API const uint8_t *pm_rz_origin_path(const pm_rz *z, size_t *len) {
    if (!z || !len) return pm__no_path(len);
    *len = z->len;
    return z->path ? z->path : (const uint8_t *)"";
}

PM_API const uint8_t *pm_rz_root_prefix(const pm_rz *z, size_t *len) {
    if (!z || !len) return pm__no_path(len);
    *len = z->root_len;
    return z->path ? z->path : (const uint8_t *)"";
}

PM_API bool pm_rz_at_root(const pm_rz *z) {
    if (!z) return false;
    return z->len == z->root_len;
}
PM_API bool pm_rz_exists(const pm_rz *z) {
    if (!z) return false;
    return pm__rz_on_trie(z);
}

PM_API const pm_val *pm_rz_val(const pm_rz *z) {
    if (!z) return NULL;
    pm__rz_use(z);
    if (z->run) return z->run_val; /* over a map only */
    if (pm__rz_is_view(z)) return pm__vz_val(pm__vz_of(z));
    if (!pm__rz_on_trie(z)) return NULL;
    if (z->len == 0) return pm__rz_origin_val(z);
    return pm__place_val(&z->frames[z->nframes - 1].place);
}

PM_API bool pm_rz_is_val(const pm_rz *z) { return pm_rz_val(z) != NULL; }

PM_API const pm_val *pm_rz_val_at(const pm_rz *z, const void *key, size_t len) {
    if (!z) return NULL;
    const pm_val *v = NULL;
    if (len == 0) return pm_rz_val(z);
    if (!key || len > PM__LEN_MAX) return NULL;
    if (pm__rz_is_view(z))
        return pm__rz_put(pm__vz_of(z), (const uint8_t *)key, len) ? pm__vz_val_at(pm__vz_of(z), len) : NULL;
    if (!pm__rz_on_trie(z)) return NULL;
    pm_place p = pm__rz_place(z);
    pm__ref node = p.node;
    if (p.depth == 0 || pm__place_child(&p, &node)) return pm__trie_get(node, (const uint8_t *)key, len);
    return pm__place_walk(&p, (const uint8_t *)key, len, &v) == len ? v : NULL;
}

PM_API pm_mask pm_rz_child_mask(const pm_rz *z) {
    static const pm_mask none = {{0, 0, 0, 0}};
    if (!z) return none;
    if (pm__rz_is_view(z)) return pm__vz_mask(pm__vz_of(z));
    if (!pm__rz_on_trie(z)) return none;
    pm_place top = pm__place_root(z->top);
    return pm__place_mask(z->nframes ? &z->frames[z->nframes - 1].place : &top);
}

PM_API unsigned pm_rz_child_count(const pm_rz *z) {
    pm_mask m = pm_rz_child_mask(z);
    return pm__mask_count(&m);
}

/* Values strictly below a place. */
static pm_status pm__rz_place_val_count(const pm_place *at, uint64_t *out) {
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
    if (!z || !out) return PM_INVALID;
    uint64_t n = 0;
    if (pm__rz_is_view(z)) return pm__vz_val_count(pm__vz_of(z), out);
    if (pm__rz_on_trie(z)) {
        pm_place p = pm__rz_place(z);
        pm_status s = pm__rz_place_val_count(&p, &n);
        if (s != PM_OK) return s;
    }
    *out = pm__sat_add(n, pm_rz_is_val(z));
    return PM_OK;
}

/* The node whose root the focus lies on, or 0. */
static pm__ref pm__rz_node_here(const pm_rz *z) {
    pm__ref child = 0;
    if (pm__rz_is_view(z) || !pm__rz_on_trie(z)) return 0;
    pm_place p = pm__rz_place(z);
    if (p.depth == 0) return p.node;
    (void)pm__place_child(&p, &child);
    return child;
}

PM_API uint64_t pm_rz_shared_node_id(const pm_rz *z) {
    if (!z) return 0;
    pm__ref r = pm__rz_node_here(z);
    if (!r || pm__ref_is_unique(r) || pm_rz_is_val(z)) return 0;
    return (uint64_t)(uintptr_t)pm__ref_ptr(r);
}

PM_API bool pm_rz_is_shared(const pm_rz *z) {
    if (!z) return false;
    pm__ref r = pm_rz_at_root(z) ? 0 : pm__rz_node_here(z);
    return r && !pm__ref_is_unique(r);
}

/* ---- moving up ----------------------------------------------------------------------------------------------- */

/* Shortens the path to `len` bytes. */
static void pm__rz_cut_to(pm_rz *z, size_t len) {
    pm__rz_use(z);
    z->run = 0;
    z->len = len;
    if (len >= z->exist_len || (z->view && z->view != &pm__rz_forgotten)) return;
    z->exist_len = len;
    while (z->nframes > 1 && z->frames[z->nframes - 1].base >= len) z->nframes--;
    pm_frame *f = &z->frames[z->nframes - 1];
    if (len == f->base) f->place = pm__place_root(pm__rz_frame_root(z, z->nframes - 1));
    else if (f->base + f->place.depth > len) pm__place_widen(&f->place, z->path + f->base, len - f->base);
}

PM_API void pm_rz_reset(pm_rz *z) {
    if (!z) return;
    pm__rz_cut_to(z, z->root_len);
    z->status = PM_OK;
}

PM_API bool pm_rz_ascend(pm_rz *z, size_t n) {
    if (!z) return false;
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
    size_t agree = pm__trie_line_neighbours(x, p->lo, p->hi, z->path + f->base + x->plen, pm__place_suffix(p, x));
    return agree == SIZE_MAX ? f->base : f->base + x->plen + agree;
}

static size_t pm__rz_ascend_to_fork(pm_rz *z, bool values) {
    size_t start = z->len;
    if (pm__rz_is_view(z)) return pm__vz_ascend_to_fork(z, values);
    while (z->len > z->root_len) {
        size_t to = z->len > z->exist_len ? z->exist_len : pm__rz_up_in_node(z);
        pm__rz_cut_to(z, to > z->root_len ? to : z->root_len);
        if (z->len > z->exist_len) continue;
        if ((values && pm_rz_is_val(z)) || pm_rz_child_count(z) >= 2) break;
    }
    return start - z->len;
}

PM_API size_t pm_rz_ascend_until(pm_rz *z) {
    if (!z) return 0;
    return pm__rz_ascend_to_fork(z, true);
}
PM_API size_t pm_rz_ascend_until_branch(pm_rz *z) {
    if (!z) return 0;
    return pm__rz_ascend_to_fork(z, false);
}

/* ---- moving down --------------------------------------------------------------------------------------------- */

/* Appends bytes and follows them. False: no memory, the focus where it was. */
static bool pm__rz_append(pm_rz *z, const uint8_t *s, size_t n) {
    size_t before = z->len;
    bool on = !z->view && pm__rz_on_trie(z);
    if (!pm__rz_put(z, s, n)) return false;
    z->len += n;
    if (!on || pm__rz_resolve(z)) return true;
    pm__rz_cut_to(z, before);
    return false;
}

/* Follows one byte from exist_len on, if it leads on. False: no memory. */
static PM__INLINE bool pm__rz_follow(pm_rz *z, uint8_t b) {
    pm__ref child;
    if (!pm__rz_begin(z)) return false;
    pm_place *at = &z->frames[z->nframes - 1].place;
    if (!pm__place_child(at, &child)) {
        z->exist_len += at->node && pm__place_step(at, b);
        return true;
    }
    pm_place p = pm__place_root(child);
    if (!child || !pm__place_step(&p, b)) return true;
    if (!pm__rz_push(z, p, z->exist_len)) return false;
    z->exist_len++;
    return true;
}

static bool pm__rz_append_byte(pm_rz *z, uint8_t b) {
    if (pm__rz_is_view(z)) return pm__rz_append(z, &b, 1);
    bool on = pm__rz_on_trie(z);
    if (!pm__rz_room(z, z->len + 1)) return false;
    z->run = 0;
    if (on && !pm__rz_follow(z, b)) return false;
    z->path[z->len++] = b;
    return true;
}

PM_API void pm_rz_descend_to(pm_rz *z, const void *key, size_t len) {
    if (!z) return;
    (void)pm__rz_append(z, (const uint8_t *)key, len);
}

PM_API bool pm_rz_descend_to_check(pm_rz *z, const void *key, size_t len) {
    if (!z) return false;
    return pm__rz_append(z, (const uint8_t *)key, len) && pm__rz_on_trie(z);
}

/* Byte by byte as far as places exist, or to the first value. */
static size_t pm__rz_descend_existing(pm_rz *z, const uint8_t *s, size_t len, bool to_val) {
    size_t n = 0;
    if (PM__UNLIKELY((len && !s) || len > PM__LEN_MAX)) {
        if (z->status == PM_OK) z->status = PM_INVALID;
        return 0;
    }
    if (!pm__rz_on_trie(z)) return 0;
    while (n < len && pm_rz_descend_to_existing_byte(z, s[n])) {
        n++;
        if (to_val && pm_rz_is_val(z)) break;
    }
    return n;
}

PM_API size_t pm_rz_descend_to_existing(pm_rz *z, const void *key, size_t len) {
    if (!z) return 0;
    size_t before = z->len;
    if (pm__rz_is_view(z)) return pm__rz_descend_existing(z, (const uint8_t *)key, len, false);
    if (!pm__rz_on_trie(z) || !pm__rz_append(z, (const uint8_t *)key, len)) return 0;
    pm__rz_cut_to(z, z->exist_len);
    return z->len - before;
}

PM_API size_t pm_rz_descend_to_val(pm_rz *z, const void *key, size_t len) {
    if (!z) return 0;
    return pm__rz_descend_existing(z, (const uint8_t *)key, len, true);
}

PM_API void pm_rz_descend_to_byte(pm_rz *z, uint8_t b) {
    if (!z) return;
    (void)pm__rz_append_byte(z, b);
}

PM_API bool pm_rz_descend_to_existing_byte(pm_rz *z, uint8_t b) {
    if (!z) return false;
    if (!pm__rz_on_trie(z) || !pm__rz_append_byte(z, b)) return false;
    if (pm__rz_on_trie(z)) return true;
    pm__rz_cut_to(z, z->len - 1);
    return false;
}

PM_API bool pm_rz_descend_indexed_byte(pm_rz *z, unsigned i) {
    if (!z) return false;
    pm_mask m = pm_rz_child_mask(z);
    int b = pm_mask_select(&m, i);
    return b >= 0 && pm__rz_append_byte(z, (uint8_t)b);
}

PM_API bool pm_rz_descend_first_byte(pm_rz *z) { return pm_rz_descend_indexed_byte(z, 0); }

PM_API bool pm_rz_descend_last_byte(pm_rz *z) {
    if (!z) return false;
    pm_mask m = pm_rz_child_mask(z);
    int b = pm_mask_prev(&m, 255);
    return b >= 0 && pm__rz_append_byte(z, (uint8_t)b);
}

/* The bytes below a place, entered, up to the first value or fork, as far as its node shows them. */
static size_t pm__rz_place_run(const pm_place *p, const uint8_t **s, uint8_t *one) {
    if (pm__place_in_range(p)) return 0; /* its parts begin with other bytes */
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
    if (!z) return false;
    bool moved = false;
    if (pm__rz_is_view(z)) return pm__vz_descend_until(z, max);
    if (!pm__rz_on_trie(z)) return false;
    while (max) {
        pm_place p = pm__rz_place(z);
        const uint8_t *s;
        uint8_t one;
        size_t n = pm__place_enter(&p) ? pm__rz_place_run(&p, &s, &one) : 0;
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
    if (!z) return false;
    size_t before = z->len;
    while (pm_rz_descend_last_byte(z)) {
        while (!pm_rz_is_val(z) && pm_rz_descend_until(z)) continue;
    }
    return z->len > before;
}

/* Shortens the path to `len` bytes that something else will follow: leaves the nodes that it would stay inside, since
   one search from a node's root costs less than a way up and down inside it. The path is to be resolved. */
static void pm__rz_leave(pm_rz *z, size_t len) {
    pm__rz_use(z);
    z->len = len;
    if (len >= z->exist_len) return;
    size_t n = z->nframes, end = z->exist_len;
    while (end > len) end = n ? z->frames[--n].base : 0;
    z->nframes = n, z->exist_len = end;
}

PM_API size_t pm_rz_move_to(pm_rz *z, const void *key, size_t len) {
    if (!z) return 0;
    const uint8_t *s = (const uint8_t *)key;
    if ((len && !key) || len > PM__LEN_MAX) {
        if (z->status == PM_OK) z->status = PM_INVALID;
        return 0;
    }
    size_t have = z->len - z->root_len, min = have < len ? have : len;
    const size_t same = min ? pm__lcp(z->path + z->root_len, s, min) : 0, more = same < len ? len - same : 0;
    bool ours;
    if (!pm__rz_room_beside(z, z->root_len + len, &s, &ours)) return 0;
    if (more) s += same;
    if (z->view && z->view != &pm__rz_forgotten) {
        pm__rz_cut_to(z, z->root_len + same);
        (void)pm__rz_append(z, s, more);
        return pm__vz_existing(z) - z->root_len;
    }
    const bool off = !z->view && z->exist_len < z->root_len + same;
    pm__rz_leave(z, z->root_len + same);
    z->run = 0;
    if (PM__UNLIKELY(ours)) memmove(z->path + z->len, s, more);
    else pm__copy_short(z->path + z->len, s, more);
    z->len += more;
    if (!off && !z->view && !pm__rz_resolve(z)) pm__rz_cut_to(z, z->root_len + same);
    (void)pm__rz_is_view(z); /* finds what is forgotten */
    return z->exist_len > z->root_len ? z->exist_len - z->root_len : 0;
}

/* ---- trie references ----------------------------------------------------------------------------------------- */

static pm_ref pm__rz_ref_at(pm_ref r, const void *key, size_t len) {
    if (len == 0) return r;
    r.val = NULL;
    if (!key || len > PM__LEN_MAX) r.exists = false;
    if (r.exists) r.exists = pm__place_walk(&r.place, (const uint8_t *)key, len, &r.val) == len;
    if (!r.exists) r.place = pm__place_root(0), r.val = NULL;
    return r;
}

PM_API pm_ref pm_ref_of_map(const pm_map *m, const void *key, size_t len) {
    static const pm_map empty = {0, 0, NULL, NULL, false, 0, 0};
    if (!m) m = &empty;
    pm_ref r = {pm_map_ops(m), m->pool, pm__place_root(m->root), m->has_value ? &m->value : NULL, true};
    return pm__rz_ref_at(r, key, len);
}

PM_API pm_ref pm_ref_of_rz(const pm_rz *z) {
    if (!z) z = &pm__rz_none;
    pm_ref r = {NULL, z->pool, pm__place_root(0), NULL, false};
    if (pm__rz_is_view(z)) return r;
    r.ops = pm__ops_of(z->ops), r.val = pm_rz_val(z), r.exists = pm__rz_on_trie(z);
    if (r.exists) r.place = pm__rz_place(z);
    return r;
}

PM_API pm_ref pm_ref_at(const pm_ref *r, const void *key, size_t len) {
    return r ? pm__rz_ref_at(*r, key, len) : pm_ref_of_map(NULL, "", 1);
}
PM_API bool pm_ref_exists(const pm_ref *r) {
    if (!r) return false;
    return r->exists;
}
PM_API const pm_val *pm_ref_val(const pm_ref *r) { return r ? r->val : NULL; }

PM_API const pm_val *pm_ref_val_at(const pm_ref *r, const void *key, size_t len) {
    if (!r) return NULL;
    return pm__rz_ref_at(*r, key, len).val;
}

PM_API pm_mask pm_ref_child_mask(const pm_ref *r) {
    static const pm_mask none = {{0, 0, 0, 0}};
    return r ? pm__place_mask(&r->place) : none;
}

PM_API unsigned pm_ref_child_count(const pm_ref *r) {
    if (!r) return 0;
    pm_mask m = pm_ref_child_mask(r);
    return pm_mask_count(&m);
}

PM_API pm_status pm_ref_make_map(const pm_ref *r, pm_map *out) {
    if (!r || !out) return PM_INVALID;
    pm__cx cx = pm__cx_of(r->ops, r->pool);
    return pm__map_of_place(&cx, &r->place, r->val, out);
}

/* ---- witnesses ----------------------------------------------------------------------------------------------- */

/* From now on the reader may be used whatever happens to its map. */
static void pm__rz_keep(const pm_rz *z) {
#if PM_CHECK >= 1
    pm__rz_use(z);
    if (!z->owned) pm__stamp_keep((uint32_t)z->held);
#endif
    (void)z;
}

PM_API pm_witness pm_rz_witness(const pm_rz *z) {
    if (!z || pm__rz_is_view(z)) z = &pm__rz_none;
    const pm_val *v = pm__rz_origin_val(z);
    pm_map seen = {z->top, v ? *v : 0, z->ops, z->pool, v != NULL, 0, 0};
    pm__rz_keep(z);
    pm_witness w = {pm_clone(&seen), z->top};
    return w;
}

/* A value that `z` has shown, from where it stays. */
static pm_status pm__rz_witnessed(const pm_rz *z, const pm_val *v, const pm_witness *w, const pm_val **out) {
    const pm_val *origin = pm__rz_origin_val(z);
    if (w->top != z->top || pm_map_ops(&w->hold) != pm__ops_of(z->ops)) return PM_INVALID;
    if (w->hold.has_value != (origin != NULL) || (origin && w->hold.value != *origin)) return PM_INVALID;
    *out = v && v == origin ? &w->hold.value : v;
    return PM_OK;
}

PM_API pm_status pm_rz_val_witnessed(const pm_rz *z, const pm_witness *w, const pm_val **out) {
    if (!z || !w || !out || pm__rz_is_view(z)) return PM_INVALID;
    return pm__rz_witnessed(z, pm_rz_val(z), w, out);
}

PM_API void pm_witness_drop(pm_witness *w) {
    if (!w) return;
    pm_drop(&w->hold);
    w->top = 0;
}
