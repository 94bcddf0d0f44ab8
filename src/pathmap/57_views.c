/* Views of one zipper or of several in a row: empty, prefix, product, dependent product.

   A view's state finds terminals (pm_view_ops); what is below and above them, and the way there, is the zipper's. Its
   factors' roots are its origin. */
#include "54_iterate.c"
#include "57_views.h"

/* ---- what views have in common --------------------------------------------------------------------------------- */

/* One meaning of values for two factors; PM_MISMATCH if they differ. Factors without values agree with any. The pool is
   that of the first one that has any. */
static pm_status pm__view_agree(pm_rz *view, const pm_rz *factor) {
    const pm_ops *more = pm_rz_ops(factor) ? pm__ops_taken(pm_rz_ops(factor)) : NULL;
    if (more && pm__ops_is_refused(more)) return PM_BADHOOK;
    if (more && view->ops && more != view->ops) return PM_MISMATCH;
    if (more) view->ops = more;
    if (!view->pool) view->pool = factor->pool;
    return PM_OK;
}

/* A factor of a view, at its root, for another one like that view. */
static pm_status pm__view_fork_factor(const pm_rz *factor, bool own, pm_rz *out) {
    return pm__rz_fork_at(factor, factor->root_len, own || factor->owned, out);
}

/* Ends an opening. `operand`: what is in the place of the result was an operand of the call, and is dropped. */
static void pm__view_opened(pm_rz *out, const pm_rz *made, bool operand) {
    if (operand) pm_rz_drop(out);
    *out = *made;
}

/* What a factor has come to: its failure is told, and forgotten, so that a later one is told, too. */
static PM__INLINE bool pm__view_asked(pm_rz *factor, bool found, pm_terminal *t) {
    if (PM__UNLIKELY(factor->status != PM_OK)) {
        if (t->status == PM_OK) t->status = factor->status;
        factor->status = PM_OK;
    }
    return found;
}

/* Queries of a factor, which may fail as moves do. */
static bool pm__view_leads_on(pm_rz *factor, pm_terminal *t) {
    return pm__view_asked(factor, pm__iter_has_children(factor), t);
}
static bool pm__view_exists(pm_rz *factor, pm_terminal *t) {
    return pm__view_asked(factor, pm__rz_on_trie(factor), t);
}

/* The bytes of `within` that lie in a factor whose root is at path length `at`. */
static PM__INLINE size_t pm__view_floor(size_t within, size_t at) { return within > at ? within - at : 0; }

/* A path from a view's origin. */
typedef struct pm__view_path {
    uint8_t *at;
    size_t len, cap;
} pm__view_path;

/* Makes the path as long as `keep`, and appends. False: no memory. */
static bool pm__view_path_put(pm__view_path *p, size_t keep, const uint8_t *s, size_t n) {
    size_t cap = p->cap ? p->cap : 64;
    while (cap < keep + n) cap *= 2; /* paths of zippers are shorter than half of what a size_t holds */
    if (cap != p->cap) {
        void *grown = pm__mem_grow(p->at, p->cap, cap);
        if (!grown) return false;
        p->at = (uint8_t *)grown;
        p->cap = cap;
    }
    if (n) memcpy(p->at + keep, s, n);
    p->len = keep + n;
    return true;
}

static void pm__view_path_free(pm__view_path *p) {
    if (p->at) pm__mem_free_big(p->at, p->cap);
}

/* Shows the place of a factor as a terminal of the view, the bytes above the factor's root standing in `p`. */
static PM__INLINE bool pm__view_show(pm__view_path *p, size_t at, const pm_rz *factor, pm_terminal *t) {
    size_t len = factor->len - factor->root_len;
    if (PM__LIKELY(len && at + len <= p->cap)) {
        pm__copy_short(p->at + at, factor->path + factor->root_len, len);
        p->len = at + len;
    } else if (!pm__view_path_put(p, at, len ? factor->path + factor->root_len : NULL, len)) {
        if (t->status == PM_OK) t->status = PM_NOMEM;
        return false;
    }
    t->path = p->at;
    t->len = p->len;
    t->val = pm_rz_val(factor);
    return true;
}

/* ---- empty ----------------------------------------------------------------------------------------------------- */

static bool pm__view_none_seek(void *state, const uint8_t *key, size_t len, size_t within, pm_terminal *t) {
    (void)state, (void)key, (void)len, (void)within, (void)t;
    return false;
}

static bool pm__view_none_back(void *state, const uint8_t *key, size_t len, size_t within, bool below, pm_terminal *t) {
    (void)below;
    return pm__view_none_seek(state, key, len, within, t);
}

static pm_status pm__view_none_fork(const void *state, bool own, void **out) {
    (void)state, (void)own;
    *out = NULL;
    return PM_OK;
}

static void pm__view_none_drop(void *state) { (void)state; }

static const pm_view_ops pm__view_none = {
    .seek = pm__view_none_seek,
    .seek_back = pm__view_none_back,
    .fork = pm__view_none_fork,
    .drop = pm__view_none_drop};

PM_API pm_status pm_view_empty(const void *path, size_t len, pm_rz *out) {
    return pm_rz_open_view(&pm__view_none, NULL, NULL, NULL, path, len, out);
}

/* ---- prefix ---------------------------------------------------------------------------------------------------- */

typedef struct pm__view_pre {
    pm_rz src;
    size_t n;           /* bytes of prefix */
    pm__view_path path; /* begins with the prefix */
} pm__view_pre;

static bool pm__view_pre_seek(void *state, const uint8_t *key, size_t len, size_t within, pm_terminal *t) {
    pm__view_pre *p = (pm__view_pre *)state;
    size_t min = len < p->n ? len : p->n, same = min ? pm__lcp(p->path.at, key, min) : 0;
    if (same < p->n) { /* before all of the source, or after it */
        if (same < within || (same < len && key[same] > p->path.at[same])) return false;
        len = same, within = same;
    }
    size_t skip = len < p->n ? len : p->n;
    bool found = pm__iter_seek_terminal(&p->src, pm__view_floor(within, p->n), key + skip, len - skip);
    return pm__view_asked(&p->src, found, t) && pm__view_show(&p->path, p->n, &p->src, t);
}

static bool pm__view_pre_next(void *state, size_t within, pm_terminal *t) {
    pm__view_pre *p = (pm__view_pre *)state;
    bool found = pm__iter_next_terminal(&p->src, pm__view_floor(within, p->n));
    t->same = p->n;
    return pm__view_asked(&p->src, found, t) && pm__view_show(&p->path, p->n, &p->src, t);
}

static bool pm__view_pre_back(void *state, const uint8_t *key, size_t len, size_t within, bool below, pm_terminal *t) {
    pm__view_pre *p = (pm__view_pre *)state;
    size_t min = len < p->n ? len : p->n, same = min ? pm__lcp(p->path.at, key, min) : 0;
    if (same < p->n) { /* after all of the source, or before it */
        if (same < within || !(same == len ? below : key[same] > p->path.at[same])) return false;
        len = within = p->n;
        below = true;
    }
    bool found = pm__iter_seek_back(&p->src, pm__view_floor(within, p->n), key + p->n, len - p->n, below);
    return pm__view_asked(&p->src, found, t) && pm__view_show(&p->path, p->n, &p->src, t);
}

static bool pm__view_pre_prev(void *state, size_t within, pm_terminal *t) {
    pm__view_pre *p = (pm__view_pre *)state;
    bool found = pm__iter_prev_terminal(&p->src, pm__view_floor(within, p->n), false);
    t->same = p->n;
    return pm__view_asked(&p->src, found, t) && pm__view_show(&p->path, p->n, &p->src, t);
}

static void pm__view_pre_drop(void *state) {
    pm__view_pre *p = (pm__view_pre *)state;
    pm_rz_drop(&p->src);
    pm__view_path_free(&p->path);
    pm__mem_free_big(p, sizeof *p);
}

/* `src` becomes the state's. */
static pm_status pm__view_pre_make(const pm_rz *src, const uint8_t *key, size_t n, void **out) {
    static const pm__view_path none = {NULL, 0, 0};
    pm__view_pre *p = (pm__view_pre *)pm__mem_alloc_big(sizeof *p);
    if (!p) return PM_NOMEM;
    p->src = *src;
    p->n = n;
    p->path = none;
    *out = p;
    if (pm__view_path_put(&p->path, 0, key, n)) return PM_OK;
    p->src = pm__rz_none;
    pm__view_pre_drop(p);
    return PM_NOMEM;
}

static pm_status pm__view_pre_fork(const void *state, bool own, void **out) {
    const pm__view_pre *p = (const pm__view_pre *)state;
    pm_rz src;
    pm_status s = pm__view_fork_factor(&p->src, own, &src);
    if (s != PM_OK) return s;
    s = pm__view_pre_make(&src, p->path.at, p->n, out);
    if (s != PM_OK) pm_rz_drop(&src);
    return s;
}

static const pm_view_ops pm__view_prefix = {
    .seek = pm__view_pre_seek, .next = pm__view_pre_next, .seek_back = pm__view_pre_back, .prev = pm__view_pre_prev,
    .fork = pm__view_pre_fork, .drop = pm__view_pre_drop};

PM_API pm_status pm_view_prefix(const pm_rz *src, const void *prefix, size_t len, const void *root, size_t root_len,
                                pm_rz *out) {
    pm_rz factor, made;
    void *state;
    if (!out || !src || (len && !prefix) || (root_len && !root)) return PM_INVALID;
    if (len > PM__LEN_MAX || root_len > len || (root_len && memcmp(prefix, root, root_len) != 0)) return PM_INVALID;
    pm_status s = pm_rz_fork(src, &factor);
    if (s != PM_OK) return s;
    s = pm__view_pre_make(&factor, (const uint8_t *)prefix, len, &state);
    if (s != PM_OK) {
        pm_rz_drop(&factor);
        return s;
    }
    s = pm_rz_open_view(&pm__view_prefix, state, pm_rz_ops(src), src->pool, root, root_len, &made);
    if (s != PM_OK) pm__view_pre_drop(state);
    else pm__view_opened(out, &made, out == src);
    return s;
}

/* ---- chains: product, dependent product ------------------------------------------------------------------------ */

/* A chain has come to a path, through links:

       path  a b c d e            link 0 at  a b  (no child), link 1 from there on at  c d e
                 ^ seam of link 1

   The place lies in link `active`; the links below it stand at their ends. With a function, the ones above it are what
   it supplied for the end at path length `asked`, as far as it was asked. */
typedef struct pm__view_link {
    pm_rz z;
    size_t seam; /* bytes of path above its root; of links up to the active one */
    uint64_t payload;
} pm__view_link;

enum { PM__VIEW_IDLE = 4096 }; /* childless factors in a row that a function may supply */

typedef struct pm__view_chain {
    pm__view_path path;
    pm__view_link *links;
    size_t n, cap, active;
    pm_rz agreed; /* what the values of all links mean; has no content */
    pm_view_next_fn fn; /* NULL: the links are all there are */
    void *ctx;
    size_t asked; /* SIZE_MAX: for no end */
    bool no_more; /* the function has no further link there */
    bool owned;   /* what it supplies must be owned */
} pm__view_chain;

static PM__INLINE pm_rz *pm__chain_focus(const pm__view_chain *c) { return &c->links[c->active].z; }

static void pm__chain_cut(pm__view_chain *c, size_t keep) {
    while (c->n > keep) pm_rz_drop(&c->links[--c->n].z);
}

/* Forgets what the function supplied, but for the links that the path leads through. */
static void pm__chain_forget(pm__view_chain *c, size_t asked) {
    if (!c->fn || c->asked == asked) return;
    pm__chain_cut(c, c->active + 1);
    c->no_more = false;
    c->asked = asked;
}

/* Adds a link, which becomes the chain's, whatever happens. */
static pm_status pm__chain_add(pm__view_chain *c, pm_rz *z, uint64_t payload) {
    pm__view_link l = {*z, 0, payload};
    pm_status s = pm__view_agree(&c->agreed, z);
    if (s == PM_OK && c->n == c->cap) {
        void *grown = pm__mem_grow_list(c->links, &c->cap, sizeof *c->links, 4);
        if (grown) c->links = (pm__view_link *)grown;
        else s = PM_NOMEM;
    }
    if (s == PM_OK) c->links[c->n++] = l;
    else pm_rz_drop(z);
    return s;
}

/* Requests a further link. */
static pm_status pm__chain_ask(pm__view_chain *c) {
    pm_rz next = pm__rz_none;
    uint64_t payload = c->links[c->n - 1].payload;
    pm_status s = c->fn(c->ctx, &payload, c->path.at ? c->path.at : (const uint8_t *)"", c->path.len, c->n, &next);
    if (s == PM_OK) s = next.status;
    bool some = next.ops || next.view;
    if (s == PM_OK && some) {
        pm_rz_reset(&next);
        if (c->owned) s = pm_rz_fork_owned(&next, &next);
    }
    if (s == PM_OK && some) return pm__chain_add(c, &next, payload);
    pm_rz_drop(&next);
    c->no_more = s == PM_OK;
    return s;
}

/* Whether there is a link j to go on with, the place being an end. */
static bool pm__chain_has(pm__view_chain *c, size_t j, pm_terminal *t) {
    pm__chain_forget(c, c->path.len);
    if (j < c->n || !c->fn || c->no_more) return j < c->n;
    pm_status s = j - c->active > PM__VIEW_IDLE ? PM_INVALID : pm__chain_ask(c);
    if (s != PM_OK && t->status == PM_OK) t->status = s;
    return j < c->n;
}

/* Goes on in the link that follows the place, its root; false: the place is no end, or nothing follows. */
static bool pm__chain_onward(pm__view_chain *c, pm_terminal *t) {
    if (!pm__view_exists(pm__chain_focus(c), t) || pm__view_leads_on(pm__chain_focus(c), t)) return false;
    if (t->status != PM_OK) return false;
    for (size_t j = c->active + 1; pm__chain_has(c, j, t); j++) {
        if (!pm__view_exists(&c->links[j].z, t)) return false;
        bool leads_on = pm__view_leads_on(&c->links[j].z, t);
        if (t->status != PM_OK) return false;
        if (!leads_on) continue;
        while (c->active < j) c->links[++c->active].seam = c->path.len;
        return true;
    }
    return false;
}

/* From the active link, which has nothing more, back to the end of the one before. False: there is none below
   `within`, or a failure ends the walk. */
static bool pm__chain_back(pm__view_chain *c, size_t within, pm_terminal *t) {
    size_t seam = c->links[c->active].seam;
    if (t->status != PM_OK || !c->active || seam < within) return false;
    pm__rz_cut_to(pm__chain_focus(c), pm__chain_focus(c)->root_len);
    c->path.len = seam;
    pm__chain_forget(c, seam);
    while (c->active && c->links[c->active].seam == seam) c->active--;
    return true;
}

/* On in order to the next terminal: a link's ends lead into the next one before the walk goes on beside. */
static bool pm__chain_go_on(pm__view_chain *c, size_t within, pm_terminal *t) {
    for (;;) {
        pm_rz *f = pm__chain_focus(c);
        size_t seam = c->links[c->active].seam;
        if (pm__view_asked(f, pm__iter_next_terminal(f, pm__view_floor(within, seam)), t)) {
            if (!pm__view_show(&c->path, seam, f, t)) return false;
            if (seam < t->same) t->same = seam;
            pm__chain_forget(c, SIZE_MAX);
            if (t->val || !pm__chain_onward(c, t)) return true;
        } else if (!pm__chain_back(c, within, t)) {
            return false;
        }
    }
}

/* Goes down along key, through links, as far as it exists, and in the last link on to its end. */
static bool pm__chain_go(pm__view_chain *c, const uint8_t *key, size_t n, pm_terminal *t) {
    size_t min = c->path.len < n ? c->path.len : n, same = min ? pm__lcp(c->path.at, key, min) : 0;
    while (c->active && c->links[c->active].seam >= same) {
        if (c->links[c->active].seam == same) pm__chain_forget(c, same);
        pm__rz_cut_to(pm__chain_focus(c), pm__chain_focus(c)->root_len);
        c->active--;
    }
    if (same < c->asked) pm__chain_forget(c, SIZE_MAX);
    for (;;) {
        pm_rz *f = pm__chain_focus(c);
        size_t seam = c->links[c->active].seam, rest = n - seam;
        size_t got = pm_rz_move_to(f, rest ? key + seam : NULL, rest);
        if (!pm__view_asked(f, t->status == PM_OK && f->len - f->root_len == rest, t)) return false;
        if (!pm__view_path_put(&c->path, seam, key + seam, got)) {
            t->status = PM_NOMEM;
            return false;
        }
        if (got == rest) return true;
        pm__rz_cut_to(f, f->root_len + got);
        if (pm__chain_onward(c, t)) continue;
        if (t->status != PM_OK) return false;
        f = pm__chain_focus(c); /* links move when one is added */
        (void)pm__rz_append(f, key + seam + got, rest - got);
        return pm__view_asked(f, f->len - f->root_len == rest, t);
    }
}

static bool pm__chain_seek(void *state, const uint8_t *key, size_t len, size_t within, pm_terminal *t) {
    pm__view_chain *c = (pm__view_chain *)state;
    if (!pm__chain_go(c, key, len, t)) return false;
    if (c->path.len == len && pm__view_exists(pm__chain_focus(c), t)) {
        bool val = pm_rz_val(pm__chain_focus(c)) != NULL;
        bool end = val || (!pm__chain_onward(c, t) && !pm__view_leads_on(pm__chain_focus(c), t));
        if (!pm__view_asked(pm__chain_focus(c), t->status == PM_OK, t)) return false;
        if (end) return pm__view_show(&c->path, c->links[c->active].seam, pm__chain_focus(c), t);
    }
    return pm__chain_go_on(c, within, t);
}

static bool pm__chain_next(void *state, size_t within, pm_terminal *t) {
    pm__view_chain *c = (pm__view_chain *)state;
    (void)pm__chain_onward(c, t);
    t->same = SIZE_MAX;
    return pm__chain_go_on(c, within, t);
}

/* Back in order to the terminal before the place, `below`: or at or below it. What a link's end leads to comes behind
   that end; the roots of links but the first are hidden. */
static bool pm__chain_go_back(pm__view_chain *c, size_t within, bool below, pm_terminal *t) {
    for (;;) {
        pm_rz *f = pm__chain_focus(c);
        size_t seam = c->links[c->active].seam;
        bool found = pm__view_asked(f, pm__iter_prev_terminal(f, pm__view_floor(within, seam), below), t);
        bool shown = found && (!c->active || f->len > f->root_len);
        below = false;
        if (!shown) {
            if (!pm__chain_back(c, within, t)) return false;
            f = pm__chain_focus(c);
            if (!pm__view_asked(f, pm_rz_val(f) != NULL, t)) continue;
        }
        if (!pm__view_show(&c->path, c->links[c->active].seam, f, t)) return false;
        if (!shown) return true;
        pm__chain_forget(c, SIZE_MAX);
        below = pm__chain_onward(c, t);
        if (t->status != PM_OK || !below) return t->status == PM_OK;
    }
}

static bool pm__chain_seek_back(void *state, const uint8_t *key, size_t len, size_t within, bool below,
                                pm_terminal *t) {
    pm__view_chain *c = (pm__view_chain *)state;
    return pm__chain_go(c, key, len, t) && pm__chain_go_back(c, within, below, t);
}

static bool pm__chain_prev(void *state, size_t within, pm_terminal *t) {
    return pm__chain_go_back((pm__view_chain *)state, within, false, t);
}

static void pm__chain_drop(void *state) {
    pm__view_chain *c = (pm__view_chain *)state;
    pm__chain_cut(c, 0);
    if (c->links) pm__mem_free_big(c->links, c->cap * sizeof *c->links);
    pm__view_path_free(&c->path);
    pm__mem_free_big(c, sizeof *c);
}

static pm__view_chain *pm__chain_new(pm_view_next_fn fn, void *ctx) {
    pm__view_chain *c = (pm__view_chain *)pm__mem_alloc_big(sizeof *c);
    if (!c) return NULL;
    memset(c, 0, sizeof *c);
    c->fn = fn;
    c->ctx = ctx;
    c->asked = SIZE_MAX;
    return c;
}

static pm_status pm__chain_fork(const void *state, bool own, void **out) {
    const pm__view_chain *as = (const pm__view_chain *)state;
    pm__view_chain *c = pm__chain_new(as->fn, as->ctx);
    size_t n = as->fn ? 1 : as->n;
    pm_status s = c ? PM_OK : PM_NOMEM;
    for (size_t i = 0; s == PM_OK && i < n; i++) {
        pm_rz z;
        s = pm__view_fork_factor(&as->links[i].z, own, &z);
        if (s == PM_OK) s = pm__chain_add(c, &z, as->links[i].payload);
    }
    if (s == PM_OK) c->owned = own, *out = c;
    else if (c) pm__chain_drop(c);
    return s;
}

static const pm_view_ops pm__view_of_chain = {
    .seek = pm__chain_seek, .next = pm__chain_next, .seek_back = pm__chain_seek_back, .prev = pm__chain_prev,
    .fork = pm__chain_fork, .drop = pm__chain_drop};

static pm_status pm__chain_open(const pm_rz *factors, size_t n, pm_view_next_fn fn, void *ctx, uint64_t payload,
                                pm_rz *out) {
    if (!out || !factors || n == 0 || n > PM__LEN_MAX / sizeof *factors) return PM_INVALID;
    pm__view_chain *c = pm__chain_new(fn, ctx);
    pm_status s = c ? PM_OK : PM_NOMEM;
    bool operand = false;
    for (size_t i = 0; s == PM_OK && i < n; i++) {
        pm_rz z;
        operand = operand || out == &factors[i];
        s = pm_rz_fork(&factors[i], &z);
        if (s == PM_OK) s = pm__chain_add(c, &z, payload);
    }
    pm_rz made;
    if (s == PM_OK)
        s = pm_rz_open_view(&pm__view_of_chain, c, c->agreed.ops, c->agreed.pool, NULL, 0, &made);
    if (s == PM_OK) pm__view_opened(out, &made, operand);
    else if (c) pm__chain_drop(c);
    return s;
}

PM_API pm_status pm_view_product(const pm_rz *factors, size_t n, pm_rz *out) {
    return pm__chain_open(factors, n, NULL, NULL, 0, out);
}

PM_API pm_status pm_view_dependent(const pm_rz *first, pm_view_next_fn next, void *ctx, uint64_t payload, pm_rz *out) {
    return next ? pm__chain_open(first, 1, next, ctx, payload, out) : PM_INVALID;
}

/* The chain of a product, brought to the focus; NULL: it is another zipper. */
static const pm__view_chain *pm__chain_of(const pm_rz *view) {
    if (!pm__rz_is_view(view) || view->view != &pm__view_of_chain) return NULL;
    pm_rz *z = pm__vz_of(view);
    pm__view_chain *c = (pm__view_chain *)z->state;
    pm_terminal t;
    t.status = PM_OK;
    size_t same = z->len <= c->path.len ? z->len : 0;
    if (same == 0 || memcmp(c->path.at, z->path, same) != 0) {
        z->known = false;
        (void)pm__vz_asked(z, pm__chain_go(c, z->path ? z->path : (const uint8_t *)"", z->len, &t), &t);
    }
    return c;
}

PM_API size_t pm_view_focus_factor(const pm_rz *z) {
    if (!z) return 0;
    const pm__view_chain *c = pm__chain_of(z);
    size_t i = c ? c->active : 0;
    while (i && c->links[i].seam >= z->len) i--;
    return i;
}

PM_API size_t pm_view_factor_count(const pm_rz *z) {
    if (!z) return 0;
    const pm__view_chain *c = pm__chain_of(z);
    if (!c) return 1;
    return c->fn ? pm_view_focus_factor(z) + 1 : c->n;
}

PM_API size_t pm_view_path_indices(const pm_rz *z, size_t cap, size_t *out) {
    if (!z) return 0;
    const pm__view_chain *c = pm__chain_of(z);
    size_t n = pm_view_focus_factor(z);
    for (size_t i = 0; c && i < n && i < cap; i++) out[i] = c->links[i + 1].seam;
    return n;
}
