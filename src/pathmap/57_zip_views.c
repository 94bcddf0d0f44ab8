/* Views of one zipper or of several in a row: empty, prefix, product, dependent product.

   A view's state starts with the path it has come (pm__zpath), as none of its factors knows all of it:

       prefix   path  f r o m / a b c      the source stands at  a b c
       chain    path  a b c d e            link 0 at  a b  (no child), link 1 from there on at  c d e
                          ^ seam of link 1 */
#include "56_zip.c"
#include "57_zip_views.h"

/* ---- what views have in common --------------------------------------------------------------------------------- */

/* The way from a view's origin to its focus. */
typedef struct pm__zpath {
    uint8_t *at;
    size_t len, cap, root_len;
} pm__zpath;

/* Room for n more bytes. */
static bool pm__zpath_room(pm__zpath *p, size_t n) {
    if (n > SIZE_MAX / 4 - p->len) return false;
    if (p->len + n <= p->cap) return true;
    size_t cap = p->cap ? p->cap : 64;
    while (cap < p->len + n) cap *= 2;
    void *grown = pm__mem_grow(p->at, p->cap, cap);
    if (!grown) return false;
    p->at = (uint8_t *)grown;
    p->cap = cap;
    return true;
}

/* Appends bytes for which there is room. */
static void pm__zpath_add(pm__zpath *p, const uint8_t *s, size_t n) {
    if (n) memcpy(p->at + p->len, s, n);
    p->len += n;
}

/* Makes p the path `s`, all of it above the root; p has no buffer yet. */
static bool pm__zpath_start(pm__zpath *p, const uint8_t *s, size_t n) {
    pm__zpath none = {NULL, 0, 0, 0};
    *p = none;
    if (!pm__zpath_room(p, n)) return false;
    pm__zpath_add(p, s, n);
    p->root_len = n;
    return true;
}

static void pm__zpath_free(pm__zpath *p) {
    if (p->at) pm__mem_free_big(p->at, p->cap);
}

/* Every view's state begins with its path. */
static const uint8_t *pm__view_path(const pm_zip *z, size_t *len, size_t *root_len) {
    const pm__zpath *p = (const pm__zpath *)z->state;
    *len = p->len;
    *root_len = p->root_len;
    return p->at ? p->at : (const uint8_t *)"";
}

static bool pm__view_room(pm_zip *z, size_t n) {
    if (pm__zpath_room((pm__zpath *)z->state, n)) return true;
    z->status = PM_NOMEM;
    return false;
}

/* The bytes of `floor` that lie in a factor whose root is at path length `at`. */
static PM__INLINE size_t pm__view_floor(const pm_zip *z, size_t floor, size_t at) {
    size_t all = ((const pm__zpath *)z->state)->root_len + floor;
    return all > at ? all - at : 0;
}

/* After a factor, whose root is at path length `at`, has gone on in order: follows it, or, if it has `found` nothing or
   there is no memory, takes it up to its floor. */
static PM__INLINE bool pm__view_follow(pm_zip *z, pm_zip *factor, size_t at, size_t floor, bool found) {
    pm__zpath *p = (pm__zpath *)z->state;
    size_t n = 0;
    const uint8_t *s = found ? pm__zip_path(factor, &n) : NULL;
    if (PM__UNLIKELY(!found || (at + n > p->cap && !pm__view_room(z, at + n - p->len)))) {
        pm__zip_up_to(factor, floor);
        p->len = at + floor;
        return false;
    }
    if (n) memcpy(p->at + at, s, n);
    p->len = at + n;
    return true;
}

/* One meaning of values for two factors; PM_MISMATCH if they differ. Factors without values agree with any. */
static pm_status pm__zip_agree(const pm_ops **ops, const pm_zip *z) {
    const pm_ops *more = pm_zip_values(z);
    if (more && pm__ops_is_refused(more)) return PM_BADHOOK;
    if (more && *ops && more != *ops) return PM_MISMATCH;
    if (more) *ops = more;
    return PM_OK;
}

/* ---- empty ----------------------------------------------------------------------------------------------------- */

static bool pm__empty_down(pm_zip *z, const uint8_t *key, size_t n) {
    if (!pm__view_room(z, n)) return false;
    pm__zpath_add((pm__zpath *)z->state, key, n);
    return true;
}

static void pm__empty_up(pm_zip *z, size_t n) { ((pm__zpath *)z->state)->len -= n; }

static pm_status pm__empty_fork(const pm_zip *z, pm_zip *out) {
    const pm__zpath *p = (const pm__zpath *)z->state;
    return pm_zip_empty(out, p->at, p->len);
}

static void pm__empty_drop(pm_zip *z) {
    pm__zpath_free((pm__zpath *)z->state);
    pm__mem_free_big(z->state, sizeof(pm__zpath));
}

static const pm_zip_ops pm__zip_none = {.values = pm__closed_values,
                                        .path = pm__view_path,
                                        .exists = pm__nothing_exists,
                                        .val = pm__nothing_val,
                                        .mask = pm__nothing_mask,
                                        .down = pm__empty_down,
                                        .up = pm__empty_up,
                                        .fork = pm__empty_fork,
                                        .drop = pm__empty_drop};

PM_API pm_status pm_zip_empty(pm_zip *out, const void *path, size_t len) {
    if (!out || (len && !path) || len > PM__LEN_MAX) return PM_INVALID;
    pm__zpath *p = (pm__zpath *)pm__mem_alloc_big(sizeof *p);
    if (!p) return PM_NOMEM;
    if (!pm__zpath_start(p, (const uint8_t *)path, len)) {
        pm__mem_free_big(p, sizeof *p);
        return PM_NOMEM;
    }
    pm__zip_make(out, &pm__zip_none, p);
    return PM_OK;
}

/* ---- prefix ---------------------------------------------------------------------------------------------------- */

typedef struct pm__zpre {
    pm__zpath path;
    pm_zip src;   /* moves only where `good` is `n` */
    size_t n;     /* bytes of prefix */
    size_t good;  /* leading bytes of the path that are those of the prefix */
    uint8_t *key; /* the prefix */
} pm__zpre;

static bool pm__zpre_inside(const pm__zpre *p) { return p->good == p->n && p->path.len >= p->n; }

static const pm_ops *pm__zpre_values(const pm_zip *z) { return pm_zip_values(&((const pm__zpre *)z->state)->src); }

static bool pm__zpre_exists(pm_zip *z) {
    pm__zpre *p = (pm__zpre *)z->state;
    return (p->good == p->path.len || p->good == p->n) && pm_zip_exists(&p->src);
}

static pm_opt pm__zpre_val(pm_zip *z) {
    pm__zpre *p = (pm__zpre *)z->state;
    return pm__zpre_inside(p) ? pm_zip_val(&p->src) : pm__nothing_val(z);
}

static int pm__zpre_next_child(pm_zip *z, int from) {
    pm__zpre *p = (pm__zpre *)z->state;
    if (pm__zpre_inside(p)) return pm__zip_child(&p->src, from);
    if (!pm__zpre_exists(z) || p->key[p->good] < from) return -1;
    return p->key[p->good];
}

static pm_mask pm__zpre_mask(pm_zip *z) {
    pm__zpre *p = (pm__zpre *)z->state;
    if (pm__zpre_inside(p)) return pm_zip_child_mask(&p->src);
    pm_mask m = pm__nothing_mask(z);
    if (pm__zpre_exists(z)) pm_mask_set(&m, p->key[p->good]);
    return m;
}

static bool pm__zpre_down(pm_zip *z, const uint8_t *key, size_t n) {
    pm__zpre *p = (pm__zpre *)z->state;
    size_t good = p->good, skip = 0;
    if (!pm__view_room(z, n)) return false;
    if (good == p->path.len) {
        while (skip < n && good < p->n && key[skip] == p->key[good]) good++, skip++;
    }
    if (good == p->n && skip < n && !pm__zip_down(&p->src, key + skip, n - skip)) return false;
    pm__zpath_add(&p->path, key, n);
    p->good = good;
    return true;
}

static void pm__zpre_up(pm_zip *z, size_t n) {
    pm__zpre *p = (pm__zpre *)z->state;
    size_t below = pm__zpre_inside(p) ? p->path.len - p->n : 0;
    pm__zip_up(&p->src, n < below ? n : below);
    p->path.len -= n;
    if (p->good > p->path.len) p->good = p->path.len;
}

/* Path bytes above the source's root. */
static size_t pm__zpre_at(const pm__zpre *p) { return p->path.root_len > p->n ? p->path.root_len : p->n; }

/* From a place above the end of the prefix, or beside it: one byte on along the prefix, if that is next in order. */
static bool pm__zpre_step_along(pm_zip *z, size_t floor) {
    pm__zpre *p = (pm__zpre *)z->state;
    if (p->good == p->n || p->path.root_len + floor > p->good || !pm_zip_exists(&p->src)) return false;
    if (p->path.len > p->good && p->path.at[p->good] > p->key[p->good]) return false;
    if (p->path.len == p->good && !pm__view_room(z, 1)) return false;
    p->path.len = p->good;
    pm__zpath_add(&p->path, &p->key[p->good++], 1);
    return true;
}

static bool pm__zpre_next_step(pm_zip *z, size_t floor) {
    pm__zpre *p = (pm__zpre *)z->state;
    if (!pm__zpre_inside(p)) return pm__zpre_step_along(z, floor);
    size_t at = pm__zpre_at(p), below = pm__view_floor(z, floor, at);
    return pm__view_follow(z, &p->src, at, below, pm__zip_step(&p->src, below));
}

static bool pm__zpre_next_mark(pm_zip *z, size_t floor, pm_opt *v) {
    pm__zpre *p = (pm__zpre *)z->state;
    if (!pm__zpre_inside(p)) {
        if (!pm__zpre_step_along(z, floor)) return false;
        while (p->good < p->n)
            if (!pm__zpre_step_along(z, floor)) return false;
        if (pm__zip_is_mark(&p->src, v)) return true;
    }
    size_t at = pm__zpre_at(p), below = pm__view_floor(z, floor, at);
    return pm__view_follow(z, &p->src, at, below, pm__zip_next_mark(&p->src, below, v));
}

static void pm__zpre_free(pm__zpre *p) {
    pm_zip_drop(&p->src);
    pm__zpath_free(&p->path);
    if (p->key) pm__mem_free_big(p->key, p->n);
    pm__mem_free_big(p, sizeof *p);
}

static void pm__zpre_drop(pm_zip *z) { pm__zpre_free((pm__zpre *)z->state); }
static pm_status pm__zpre_status(pm_zip *z) { return pm_zip_status(&((pm__zpre *)z->state)->src); }

/* A prefix zipper whose root is `root`. */
static pm__zpre *pm__zpre_new(const pm_zip *src, const uint8_t *key, size_t n, const uint8_t *root,
                                  size_t root_len, pm_status *s) {
    const pm__zpre none = {{NULL, 0, 0, 0}, {NULL, NULL, PM_OK}, 0, 0, NULL};
    pm__zpre *p = (pm__zpre *)pm__mem_alloc_big(sizeof *p);
    *s = PM_NOMEM;
    if (!p) return NULL;
    *p = none;
    p->n = n;
    if ((n && !(p->key = (uint8_t *)pm__mem_alloc_big(n))) || !pm__zpath_start(&p->path, root, root_len)) {
        pm__zpre_free(p);
        return NULL;
    }
    if (n) memcpy(p->key, key, n);
    *s = pm_zip_fork(src, &p->src);
    if (*s == PM_OK) return p;
    pm__zpre_free(p);
    return NULL;
}

static pm_status pm__zpre_fork(const pm_zip *z, pm_zip *out);

static const pm_zip_ops pm__zip_prefix = {.values = pm__zpre_values,
                                          .path = pm__view_path,
                                          .exists = pm__zpre_exists,
                                          .val = pm__zpre_val,
                                          .mask = pm__zpre_mask,
                                          .down = pm__zpre_down,
                                          .up = pm__zpre_up,
                                          .fork = pm__zpre_fork,
                                          .drop = pm__zpre_drop,
                                          .status = pm__zpre_status,
                                          .next_child = pm__zpre_next_child,
                                          .next_step = pm__zpre_next_step,
                                          .next_mark = pm__zpre_next_mark};

static pm_status pm__zpre_fork(const pm_zip *z, pm_zip *out) {
    const pm__zpre *p = (const pm__zpre *)z->state;
    pm_status s;
    pm__zpre *f = pm__zpre_new(&p->src, p->key, p->n, p->path.at, p->path.len, &s);
    if (!f) return s;
    f->good = p->good;
    pm__zip_make(out, &pm__zip_prefix, f);
    return PM_OK;
}

PM_API pm_status pm_zip_prefix(pm_zip *out, const pm_zip *src, const void *prefix, size_t len, const void *root,
                               size_t root_len) {
    pm_status s;
    if (!out || !pm__zip_is_open(src) || (len && !prefix) || (root_len && !root)) return PM_INVALID;
    if (len > PM__LEN_MAX || root_len > len || (root_len && memcmp(prefix, root, root_len) != 0)) return PM_INVALID;
    pm__zpre *p = pm__zpre_new(src, (const uint8_t *)prefix, len, (const uint8_t *)root, root_len, &s);
    if (!p) return s;
    p->good = root_len;
    pm_zip made;
    pm__zip_make(&made, &pm__zip_prefix, p);
    return pm__zip_opened(out, &made, out == src, PM_OK);
}

/* ---- chains: product, dependent product ------------------------------------------------------------------------ */

/* The focus lies in link `active`; the links below it stand at their ends, those above it at their roots. With a
   function, the ones above are what it supplied for the end at path length `asked`, as far as it was asked. */
typedef struct pm__link {
    pm_zip z;
    size_t seam; /* bytes of path above its root; of links up to the active one */
    uint64_t payload;
} pm__link;

enum { PM__CHAIN_IDLE = 4096 }; /* childless factors in a row that a function may supply */

typedef struct pm__zchain {
    pm__zpath path;
    pm__link *links;
    size_t n, cap, active;
    const pm_ops *ops;
    pm_zip_next_fn fn; /* NULL: the links are all there are */
    void *ctx;
    size_t asked; /* SIZE_MAX: for no end */
    bool no_more; /* the function has no further link there */
    pm_status lost; /* what links had to tell that are gone */
} pm__zchain;

static pm_zip *pm__zchain_focus(const pm__zchain *c) { return &c->links[c->active].z; }

static void pm__zchain_cut(pm__zchain *c, size_t keep) {
    while (c->n > keep) {
        pm_status s = pm_zip_status(&c->links[--c->n].z);
        if (c->lost == PM_OK) c->lost = s;
        pm_zip_drop(&c->links[c->n].z);
    }
}

static bool pm__zchain_grow(pm__zchain *c) {
    if (c->n < c->cap) return true;
    void *grown = pm__mem_grow_list(c->links, &c->cap, sizeof *c->links, 4);
    if (grown) c->links = (pm__link *)grown;
    return grown != NULL;
}

/* Forgets what the function supplied, but for the links that the path leads through. */
static void pm__zchain_forget(pm__zchain *c, size_t asked) {
    if (!c->fn || c->asked == asked) return;
    pm__zchain_cut(c, c->active + 1);
    c->no_more = false;
    c->asked = asked;
}

/* Asks for a further link. */
static pm_status pm__zchain_ask(pm__zchain *c) {
    pm__link l = {{NULL, NULL, PM_OK}, 0, c->links[c->n - 1].payload};
    if (!pm__zchain_grow(c)) return PM_NOMEM;
    pm_status s = c->fn(c->ctx, &l.payload, c->path.at ? c->path.at : (const uint8_t *)"", c->path.len, c->n, &l.z);
    if (s == PM_OK && l.z.ops) s = pm__zip_agree(&c->ops, &l.z);
    if (s != PM_OK) {
        pm_zip_drop(&l.z);
        return s;
    }
    c->no_more = !l.z.ops;
    if (l.z.ops) {
        pm_zip_reset(&l.z);
        c->links[c->n++] = l;
    }
    return PM_OK;
}

/* Whether there is a link j to go on with, the focus being an end. */
static bool pm__zchain_has(pm_zip *z, size_t j) {
    pm__zchain *c = (pm__zchain *)z->state;
    pm__zchain_forget(c, c->path.len);
    if (j < c->n || !c->fn || c->no_more) return j < c->n;
    pm_status s = j - c->active > PM__CHAIN_IDLE ? PM_INVALID : pm__zchain_ask(c);
    if (s != PM_OK) z->status = s;
    return j < c->n;
}

/* The link that goes on from the focus, or 0: the focus is no end, or nothing follows. */
static size_t pm__zchain_onward(pm_zip *z) {
    pm__zchain *c = (pm__zchain *)z->state;
    if (!pm_zip_exists(pm__zchain_focus(c)) || pm__zip_has_children(pm__zchain_focus(c))) return 0;
    for (size_t j = c->active + 1; pm__zchain_has(z, j); j++) {
        if (!pm_zip_exists(&c->links[j].z)) return 0;
        if (pm__zip_has_children(&c->links[j].z)) return j;
    }
    return 0;
}

static const pm_ops *pm__zchain_values(const pm_zip *z) { return ((const pm__zchain *)z->state)->ops; }
static bool pm__zchain_exists(pm_zip *z) { return pm_zip_exists(pm__zchain_focus((pm__zchain *)z->state)); }
static pm_opt pm__zchain_val(pm_zip *z) { return pm_zip_val(pm__zchain_focus((pm__zchain *)z->state)); }

static pm_mask pm__zchain_mask(pm_zip *z) {
    pm__zchain *c = (pm__zchain *)z->state;
    size_t j = pm__zchain_onward(z);
    return pm_zip_child_mask(&c->links[j ? j : c->active].z);
}

static int pm__zchain_next_child(pm_zip *z, int from) {
    pm__zchain *c = (pm__zchain *)z->state;
    size_t j = pm__zchain_onward(z);
    return pm__zip_child(&c->links[j ? j : c->active].z, from);
}

/* Leaves the active link, at its root, for the one whose end that is. */
static void pm__zchain_leave(pm__zchain *c) {
    while (c->active && c->path.len == c->links[c->active].seam) {
        pm__zchain_forget(c, c->path.len);
        c->active--;
    }
}

/* Goes on in link j, whose root is at the focus. */
static void pm__zchain_take(pm__zchain *c, size_t j) {
    while (c->active < j) c->links[++c->active].seam = c->path.len;
}

static void pm__zchain_up(pm_zip *z, size_t n) {
    pm__zchain *c = (pm__zchain *)z->state;
    while (n) {
        pm__link *l = &c->links[c->active];
        size_t depth = c->path.len - l->seam, step = n < depth ? n : depth;
        pm__zip_up(&l->z, step);
        c->path.len -= step;
        n -= step;
        pm__zchain_leave(c);
    }
    if (c->path.len < c->asked) pm__zchain_forget(c, SIZE_MAX);
}

/* Takes the link that begins with byte b from the focus, if there is one. */
static bool pm__zchain_enter(pm_zip *z, uint8_t b) {
    pm__zchain *c = (pm__zchain *)z->state;
    size_t j = pm__zchain_onward(z);
    if (!j || pm__zip_child(&c->links[j].z, b) != b) return false;
    pm__zchain_take(c, j);
    return true;
}

/* From the active link, which has nothing more, back to the end of the one before. False: the walk is over. */
static bool pm__zchain_back(pm_zip *z, size_t base) {
    pm__zchain *c = (pm__zchain *)z->state;
    size_t seam = c->links[c->active].seam;
    if (pm__zip_ran_out(pm__zchain_focus(c)) || !c->active || seam < base) return false;
    pm_zip_reset(pm__zchain_focus(c));
    c->path.len = seam;
    pm__zchain_leave(c);
    return true;
}

/* On in order, to the next location or mark: a link's ends lead into the next one before the walk goes on beside. */
static bool pm__zchain_next(pm_zip *z, size_t floor, bool step, pm_opt *v) {
    pm__zchain *c = (pm__zchain *)z->state;
    size_t base = c->path.root_len + floor;
    if (!pm_zip_exists(pm__zchain_focus(c))) { /* the way off may begin at an end */
        if (!pm__zip_beside(z, floor)) return false;
        if (step || pm__zip_is_mark(z, v)) return true;
    }
    for (size_t j = pm__zchain_onward(z);;) {
        pm__zchain_take(c, j);
        pm_zip *f = pm__zchain_focus(c);
        size_t seam = c->links[c->active].seam, at = seam > c->path.root_len ? seam : c->path.root_len;
        size_t below = pm__view_floor(z, floor, at);
        if (pm__view_follow(z, f, at, below, step ? pm__zip_step(f, below) : pm__zip_next_mark(f, below, v))) {
            pm__zchain_forget(c, SIZE_MAX);
            if (step || v->some || !(j = pm__zchain_onward(z))) return true;
        } else {
            if (c->path.len < c->asked) pm__zchain_forget(c, SIZE_MAX);
            if (z->status == PM_NOMEM || !pm__zchain_back(z, base)) return false;
            j = 0;
        }
    }
}

static bool pm__zchain_next_step(pm_zip *z, size_t floor) { return pm__zchain_next(z, floor, true, NULL); }
static bool pm__zchain_next_mark(pm_zip *z, size_t floor, pm_opt *v) { return pm__zchain_next(z, floor, false, v); }

static pm_status pm__zchain_status(pm_zip *z) {
    pm__zchain *c = (pm__zchain *)z->state;
    pm_status s = c->lost;
    c->lost = PM_OK;
    for (size_t i = 0; i < c->n; i++) {
        pm_status one = pm_zip_status(&c->links[i].z);
        if (s == PM_OK) s = one;
    }
    return s;
}

/* Goes down as far as the link of the focus, or else all the way off the trie. False: it failed on the way. */
static bool pm__zchain_down_link(pm_zip *z, const uint8_t *key, size_t n, size_t *done) {
    pm__zchain *c = (pm__zchain *)z->state;
    pm_zip *f = pm__zchain_focus(c);
    size_t got = pm_zip_descend_to_existing(f, key + *done, n - *done);
    pm__zpath_add(&c->path, key + *done, got);
    *done += got;
    if (*done == n) return true;
    if (pm__zchain_enter(z, key[*done])) return true;
    z->status = pm_zip_status(z);
    if (z->status != PM_OK || !pm__zip_down(f, key + *done, n - *done)) return false;
    pm__zpath_add(&c->path, key + *done, n - *done);
    *done = n;
    return true;
}

static bool pm__zchain_down(pm_zip *z, const uint8_t *key, size_t n) {
    pm__zchain *c = (pm__zchain *)z->state;
    pm_status before = pm_zip_status(z);
    size_t start = c->path.len, done = 0;
    bool ok = pm__view_room(z, n);
    while (ok && done < n) ok = pm__zchain_down_link(z, key, n, &done);
    if (!ok) pm__zchain_up(z, c->path.len - start);
    if (before != PM_OK) z->status = before;
    return ok;
}

static void pm__zchain_free(pm__zchain *c) {
    pm__zchain_cut(c, 0);
    if (c->links) pm__mem_free_big(c->links, c->cap * sizeof *c->links);
    pm__zpath_free(&c->path);
    pm__mem_free_big(c, sizeof *c);
}

static void pm__zchain_drop(pm_zip *z) { pm__zchain_free((pm__zchain *)z->state); }

/* A chain like `as` without links, rooted at its focus. */
static pm__zchain *pm__zchain_new(const pm__zchain *as) {
    pm__zchain *c = (pm__zchain *)pm__mem_alloc_big(sizeof *c);
    if (!c) return NULL;
    *c = *as;
    c->links = NULL;
    c->n = c->cap = 0;
    c->lost = PM_OK;
    if (pm__zpath_start(&c->path, as->path.at, as->path.len)) return c;
    pm__zchain_free(c);
    return NULL;
}

/* Adds a link, a fork of `src`. */
static pm_status pm__zchain_add(pm__zchain *c, const pm_zip *src, size_t seam, uint64_t payload) {
    pm__link l = {{NULL, NULL, PM_OK}, seam, payload};
    if (!pm__zchain_grow(c)) return PM_NOMEM;
    pm_status s = pm__zip_agree(&c->ops, src);
    if (s == PM_OK) s = pm_zip_fork(src, &l.z);
    if (s == PM_OK) c->links[c->n++] = l;
    return s;
}

static pm_status pm__zchain_fork(const pm_zip *z, pm_zip *out);

static const pm_zip_ops pm__zip_chain = {.values = pm__zchain_values,
                                         .path = pm__view_path,
                                         .exists = pm__zchain_exists,
                                         .val = pm__zchain_val,
                                         .mask = pm__zchain_mask,
                                         .down = pm__zchain_down,
                                         .up = pm__zchain_up,
                                         .fork = pm__zchain_fork,
                                         .drop = pm__zchain_drop,
                                         .status = pm__zchain_status,
                                         .next_child = pm__zchain_next_child,
                                         .next_step = pm__zchain_next_step,
                                         .next_mark = pm__zchain_next_mark};

static pm_status pm__zchain_done(pm__zchain *c, pm_status s, pm_zip *out) {
    if (s == PM_OK) pm__zip_make(out, &pm__zip_chain, c);
    else pm__zchain_free(c);
    return s;
}

static pm_status pm__zchain_fork(const pm_zip *z, pm_zip *out) {
    const pm__zchain *as = (const pm__zchain *)z->state;
    pm__zchain *c = pm__zchain_new(as);
    pm_status s = PM_OK;
    if (!c) return PM_NOMEM;
    for (size_t i = 0; s == PM_OK && i < as->n; i++)
        s = pm__zchain_add(c, &as->links[i].z, as->links[i].seam, as->links[i].payload);
    return pm__zchain_done(c, s, out);
}

static pm_status pm__zchain_open(pm_zip *out, const pm_zip *factors, size_t n, pm_zip_next_fn fn, void *ctx,
                                uint64_t payload) {
    const pm__zchain as = {{NULL, 0, 0, 0}, NULL, 0, 0, 0, NULL, fn, ctx, SIZE_MAX, false, PM_OK};
    if (!out || !factors || n == 0 || n > PM__LEN_MAX / sizeof *factors) return PM_INVALID;
    for (size_t i = 0; i < n; i++)
        if (!pm__zip_is_open(&factors[i])) return PM_INVALID;
    pm__zchain *c = pm__zchain_new(&as);
    pm_status s = PM_OK;
    if (!c) return PM_NOMEM;
    for (size_t i = 0; s == PM_OK && i < n; i++) s = pm__zchain_add(c, &factors[i], 0, payload);
    pm_zip made = {NULL, NULL, PM_OK};
    bool operand = false;
    for (size_t i = 0; i < n; i++) operand = operand || out == &factors[i];
    s = pm__zchain_done(c, s, &made);
    return pm__zip_opened(out, &made, operand, s);
}

PM_API pm_status pm_zip_product(pm_zip *out, const pm_zip *factors, size_t n) {
    return pm__zchain_open(out, factors, n, NULL, NULL, 0);
}

PM_API pm_status pm_zip_dependent(pm_zip *out, const pm_zip *first, pm_zip_next_fn next, void *ctx, uint64_t payload) {
    return next ? pm__zchain_open(out, first, 1, next, ctx, payload) : PM_INVALID;
}

static const pm__zchain *pm__zchain_of(const pm_zip *z) {
    return z->ops == &pm__zip_chain ? (const pm__zchain *)z->state : NULL;
}

PM_API size_t pm_zip_factor_count(const pm_zip *z) {
    if (!z) return 0;
    const pm__zchain *c = pm__zchain_of(z);
    if (!c) return 1;
    return c->fn ? c->active + 1 : c->n;
}

PM_API size_t pm_zip_focus_factor(const pm_zip *z) {
    if (!z) return 0;
    const pm__zchain *c = pm__zchain_of(z);
    return c ? c->active : 0;
}

PM_API size_t pm_zip_path_indices(const pm_zip *z, size_t *out, size_t cap) {
    if (!z) return 0;
    const pm__zchain *c = pm__zchain_of(z);
    size_t n = pm_zip_focus_factor(z);
    for (size_t i = 0; c && i < n && i < cap; i++) out[i] = c->links[i + 1].seam;
    return n;
}
