/* Zippers of any kind, and views.

   A kind is a table of a few primitives (pm_zip_ops). The first half of this file makes every move out of them, once.
   Over a map (the kind pm__zip_rz) moves go to pm_rz as they are. The second half are the views. Each starts with the
   path it has come (pm__zpath), as none of its factors knows all of it:

       prefix   path  f r o m / a b c      the source stands at  a b c
       pair     path  a b c                both factors stand at a b c
       chain    path  a b c d e            link 0 at  a b  (no child), link 1 from there on at  c d e
                          ^ seam of link 1 */
#include "45_map_algebra.h"
#include "50_read_zipper.c"
#include "54_zipper_views.h"

/* ---- the zipper that is none ---------------------------------------------------------------------------------- */

static const pm_ops *pm__closed_values(const pm_zip *z) {
    (void)z;
    return NULL;
}

static const uint8_t *pm__closed_path(const pm_zip *z, size_t *len, size_t *root_len) {
    (void)z;
    *len = *root_len = 0;
    return (const uint8_t *)"";
}

static bool pm__nothing_exists(pm_zip *z) {
    (void)z;
    return false;
}

static pm_opt pm__nothing_val(pm_zip *z) {
    const pm_opt none = {0, false};
    (void)z;
    return none;
}

static pm_mask pm__nothing_mask(pm_zip *z) {
    const pm_mask none = {{0, 0, 0, 0}};
    (void)z;
    return none;
}

static bool pm__closed_down(pm_zip *z, const uint8_t *key, size_t n) {
    (void)key;
    (void)n;
    z->status = PM_INVALID;
    return false;
}

static void pm__closed_up(pm_zip *z, size_t n) {
    (void)z;
    (void)n;
}

static pm_status pm__closed_fork(const pm_zip *z, pm_zip *out) {
    (void)z;
    (void)out;
    return PM_INVALID;
}

static void pm__closed_drop(pm_zip *z) { (void)z; }

static const pm_zip_ops pm__zip_closed = {.values = pm__closed_values,
                                          .path = pm__closed_path,
                                          .exists = pm__nothing_exists,
                                          .val = pm__nothing_val,
                                          .mask = pm__nothing_mask,
                                          .down = pm__closed_down,
                                          .up = pm__closed_up,
                                          .fork = pm__closed_fork,
                                          .drop = pm__closed_drop};

static const pm_zip_ops *pm__zip_kind(const pm_zip *z) { return z->ops ? z->ops : &pm__zip_closed; }

static bool pm__zip_is_open(const pm_zip *z) { return z && z->ops; }

static void pm__zip_make(pm_zip *out, const pm_zip_ops *ops, void *state) {
    out->ops = ops;
    out->state = state;
    out->status = PM_OK;
}

/* ---- over a map ------------------------------------------------------------------------------------------------ */

static const pm_zip_ops pm__zip_rz;

/* The read zipper of a zipper over a map, else NULL. */
static PM__INLINE pm_rz *pm__rz_of(const pm_zip *z) { return z->ops == &pm__zip_rz ? (pm_rz *)z->state : NULL; }

static const pm_ops *pm__zrz_values(const pm_zip *z) { return pm__ops_of(((const pm_rz *)z->state)->ops); }

static const uint8_t *pm__zrz_path(const pm_zip *z, size_t *len, size_t *root_len) {
    const pm_rz *r = (const pm_rz *)z->state;
    *root_len = r->root_len;
    return pm_rz_origin_path(r, len);
}

static pm_opt pm__opt_of(const pm_val *v) {
    pm_opt o = {v ? *v : 0, v != NULL};
    return o;
}

static bool pm__zrz_exists(pm_zip *z) { return pm_rz_exists((const pm_rz *)z->state); }
static pm_opt pm__zrz_val(pm_zip *z) { return pm__opt_of(pm_rz_val((const pm_rz *)z->state)); }
static pm_mask pm__zrz_mask(pm_zip *z) { return pm_rz_child_mask((const pm_rz *)z->state); }
static bool pm__zrz_down(pm_zip *z, const uint8_t *key, size_t n) { return pm__rz_append((pm_rz *)z->state, key, n); }
static void pm__zrz_up(pm_zip *z, size_t n) { (void)pm_rz_ascend((pm_rz *)z->state, n); }
static pm_status pm__zrz_fork(const pm_zip *z, pm_zip *out) { return pm_zip_of_rz(out, (const pm_rz *)z->state); }
static pm_status pm__zrz_status(pm_zip *z) { return pm_rz_status((pm_rz *)z->state); }

static void pm__zrz_drop(pm_zip *z) {
    pm_rz_drop((pm_rz *)z->state);
    pm__mem_free_big(z->state, sizeof(pm_rz));
}

static bool pm__zrz_share(pm_zip *z, pm_pool *pool, pm_map *out, pm_status *s) {
    const pm_rz *r = (const pm_rz *)z->state;
    if (r->pool != pool) return false;
    *s = pm_rz_make_map(r, out);
    return true;
}

static const pm_zip_ops pm__zip_rz = {.values = pm__zrz_values,
                                      .path = pm__zrz_path,
                                      .exists = pm__zrz_exists,
                                      .val = pm__zrz_val,
                                      .mask = pm__zrz_mask,
                                      .down = pm__zrz_down,
                                      .up = pm__zrz_up,
                                      .fork = pm__zrz_fork,
                                      .drop = pm__zrz_drop,
                                      .status = pm__zrz_status,
                                      .share = pm__zrz_share};

/* Gives *out a place for a read zipper. */
static pm_rz *pm__zrz_room(void) { return (pm_rz *)pm__mem_alloc_big(sizeof(pm_rz)); }

static pm_status pm__zrz_opened(pm_zip *out, pm_rz *r, pm_status s) {
    if (s == PM_OK) pm__zip_make(out, &pm__zip_rz, r);
    else pm__mem_free_big(r, sizeof *r);
    return s;
}

PM_API pm_status pm_zip_of_map(pm_zip *out, const pm_map *m, const void *path, size_t len) {
    if (!out || !m || (len && !path)) return PM_INVALID;
    pm_rz *r = pm__zrz_room();
    return r ? pm__zrz_opened(out, r, pm_rz_open(r, m, path, len)) : PM_NOMEM;
}

PM_API pm_status pm_zip_of_rz(pm_zip *out, const pm_rz *z) {
    if (!out || !z) return PM_INVALID;
    pm_rz *r = pm__zrz_room();
    return r ? pm__zrz_opened(out, r, pm_rz_fork(z, r)) : PM_NOMEM;
}

/* ---- queries --------------------------------------------------------------------------------------------------- */

PM_API pm_status pm_zip_fork(const pm_zip *z, pm_zip *out) {
    return z && out ? pm__zip_kind(z)->fork(z, out) : PM_INVALID;
}

PM_API void pm_zip_drop(pm_zip *z) {
    if (!z) return;
    pm__zip_kind(z)->drop(z);
    pm__zip_make(z, NULL, NULL);
}

PM_API pm_status pm_zip_status(pm_zip *z) {
    const pm_zip_ops *k = pm__zip_kind(z);
    pm_status s = z->status, below = k->status ? k->status(z) : PM_OK;
    z->status = PM_OK;
    return s != PM_OK ? s : below;
}

PM_API const pm_ops *pm_zip_values(const pm_zip *z) { return pm__zip_kind(z)->values(z); }

static size_t pm__zip_len(const pm_zip *z) {
    size_t len, root_len;
    (void)pm__zip_kind(z)->path(z, &len, &root_len);
    return len;
}

static size_t pm__zip_root_len(const pm_zip *z) {
    size_t len, root_len;
    (void)pm__zip_kind(z)->path(z, &len, &root_len);
    return root_len;
}

static size_t pm__zip_depth(const pm_zip *z) { return pm__zip_len(z) - pm__zip_root_len(z); }

PM_API const uint8_t *pm_zip_path(const pm_zip *z, size_t *len) {
    size_t all, root_len;
    const uint8_t *path = pm__zip_kind(z)->path(z, &all, &root_len);
    *len = all - root_len;
    return path + root_len;
}

PM_API const uint8_t *pm_zip_origin_path(const pm_zip *z, size_t *len) {
    size_t root_len;
    return pm__zip_kind(z)->path(z, len, &root_len);
}

PM_API const uint8_t *pm_zip_root_prefix(const pm_zip *z, size_t *len) {
    size_t all;
    return pm__zip_kind(z)->path(z, &all, len);
}

PM_API bool pm_zip_at_root(const pm_zip *z) { return pm__zip_depth(z) == 0; }
PM_API bool pm_zip_exists(pm_zip *z) { return pm__zip_kind(z)->exists(z); }
PM_API pm_opt pm_zip_val(pm_zip *z) { return pm__zip_kind(z)->val(z); }
PM_API bool pm_zip_is_val(pm_zip *z) { return pm_zip_val(z).some; }
PM_API pm_mask pm_zip_child_mask(pm_zip *z) { return pm__zip_kind(z)->mask(z); }

PM_API unsigned pm_zip_child_count(pm_zip *z) {
    pm_mask m = pm_zip_child_mask(z);
    return pm_mask_count(&m);
}

static bool pm__zip_down(pm_zip *z, const void *key, size_t n) {
    return n == 0 || pm__zip_kind(z)->down(z, (const uint8_t *)key, n);
}

static void pm__zip_up(pm_zip *z, size_t n) {
    if (n) pm__zip_kind(z)->up(z, n);
}

static void pm__zip_up_to(pm_zip *z, size_t len) { pm__zip_up(z, pm__zip_len(z) - len); }

PM_API pm_opt pm_zip_val_at(pm_zip *z, const void *key, size_t len) {
    const pm_rz *r = pm__rz_of(z);
    if (r) return pm__opt_of(pm_rz_val_at(r, key, len));
    if (!pm__zip_down(z, key, len)) return pm__nothing_val(z);
    pm_opt v = pm_zip_val(z);
    pm__zip_up(z, len);
    return v;
}

/* The smallest child that is at least `from`, or -1. */
static int pm__zip_child(pm_zip *z, int from) {
    const pm_zip_ops *k = pm__zip_kind(z);
    if (k->next_child) return k->next_child(z, from);
    pm_mask m = k->mask(z);
    return pm__mask_next(&m, from);
}

static bool pm__zip_has_children(pm_zip *z) { return pm__zip_child(z, 0) >= 0; }

/* The only child, or -1. */
static int pm__zip_only_child(pm_zip *z) {
    int b = pm__zip_child(z, 0);
    return b >= 0 && pm__zip_child(z, b + 1) < 0 ? b : -1;
}

static bool pm__zip_is_fork(pm_zip *z) {
    int b = pm__zip_child(z, 0);
    return b >= 0 && pm__zip_child(z, b + 1) >= 0;
}

/* ---- moving up and down ---------------------------------------------------------------------------------------- */

PM_API void pm_zip_reset(pm_zip *z) { pm__zip_up(z, pm__zip_depth(z)); }

PM_API bool pm_zip_ascend(pm_zip *z, size_t n) {
    size_t depth = pm__zip_depth(z);
    pm__zip_up(z, n < depth ? n : depth);
    return n <= depth;
}

static size_t pm__zip_ascend_to_mark(pm_zip *z, bool values) {
    size_t start = pm__zip_len(z);
    while (!pm_zip_at_root(z)) {
        pm__zip_up(z, 1);
        if ((values && pm_zip_is_val(z)) || pm__zip_is_fork(z)) break;
    }
    return start - pm__zip_len(z);
}

PM_API size_t pm_zip_ascend_until(pm_zip *z) {
    pm_rz *r = pm__rz_of(z);
    return r ? pm_rz_ascend_until(r) : pm__zip_ascend_to_mark(z, true);
}

PM_API size_t pm_zip_ascend_until_branch(pm_zip *z) {
    pm_rz *r = pm__rz_of(z);
    return r ? pm_rz_ascend_until_branch(r) : pm__zip_ascend_to_mark(z, false);
}

PM_API void pm_zip_descend_to(pm_zip *z, const void *key, size_t len) { (void)pm__zip_down(z, key, len); }

PM_API bool pm_zip_descend_to_check(pm_zip *z, const void *key, size_t len) {
    return pm__zip_down(z, key, len) && pm_zip_exists(z);
}

/* Byte by byte: a view finds out cheaply about one more byte, but not where on a long way it left the trie. */
static size_t pm__zip_down_existing(pm_zip *z, const uint8_t *key, size_t len, bool stop_at_val) {
    size_t n = 0;
    if (!pm_zip_exists(z)) return 0;
    while (n < len && pm__zip_down(z, key + n, 1)) {
        if (!pm_zip_exists(z)) {
            pm__zip_up(z, 1);
            break;
        }
        n++;
        if (stop_at_val && pm_zip_is_val(z)) break;
    }
    return n;
}

PM_API size_t pm_zip_descend_to_existing(pm_zip *z, const void *key, size_t len) {
    pm_rz *r = pm__rz_of(z);
    return r ? pm_rz_descend_to_existing(r, key, len) : pm__zip_down_existing(z, (const uint8_t *)key, len, false);
}

PM_API size_t pm_zip_descend_to_val(pm_zip *z, const void *key, size_t len) {
    pm_rz *r = pm__rz_of(z);
    return r ? pm_rz_descend_to_val(r, key, len) : pm__zip_down_existing(z, (const uint8_t *)key, len, true);
}

PM_API void pm_zip_descend_to_byte(pm_zip *z, uint8_t b) { (void)pm__zip_down(z, &b, 1); }

PM_API bool pm_zip_descend_to_existing_byte(pm_zip *z, uint8_t b) { return pm_zip_descend_to_existing(z, &b, 1) == 1; }

static bool pm__zip_down_byte(pm_zip *z, int b) {
    uint8_t byte = (uint8_t)b;
    return b >= 0 && pm__zip_down(z, &byte, 1);
}

PM_API bool pm_zip_descend_indexed_byte(pm_zip *z, unsigned i) {
    pm_mask m = pm_zip_child_mask(z);
    return pm__zip_down_byte(z, pm_mask_select(&m, i));
}

PM_API bool pm_zip_descend_first_byte(pm_zip *z) { return pm__zip_down_byte(z, pm__zip_child(z, 0)); }

PM_API bool pm_zip_descend_last_byte(pm_zip *z) {
    pm_mask m = pm_zip_child_mask(z);
    return pm__zip_down_byte(z, pm_mask_prev(&m, 255));
}

PM_API bool pm_zip_descend_until_max(pm_zip *z, size_t max) {
    pm_rz *r = pm__rz_of(z);
    bool moved = false;
    if (r) return pm_rz_descend_until_max(r, max);
    for (; max && pm__zip_down_byte(z, pm__zip_only_child(z)); max--) {
        moved = true;
        if (pm_zip_is_val(z)) break;
    }
    return moved;
}

PM_API bool pm_zip_descend_until(pm_zip *z) { return pm_zip_descend_until_max(z, SIZE_MAX); }

PM_API bool pm_zip_descend_last_path(pm_zip *z) {
    pm_rz *r = pm__rz_of(z);
    bool moved = false;
    if (r) return pm_rz_descend_last_path(r);
    while (pm_zip_descend_last_byte(z)) moved = true;
    return moved;
}

PM_API size_t pm_zip_move_to(pm_zip *z, const void *key, size_t len) {
    pm_rz *r = pm__rz_of(z);
    const uint8_t *s = (const uint8_t *)key;
    if (r) return pm_rz_move_to(r, key, len);
    size_t have, at;
    const uint8_t *path = pm_zip_path(z, &have);
    at = have && len ? pm__lcp(path, s, have < len ? have : len) : 0;
    pm__zip_up(z, have - at);
    for (; at && !pm_zip_exists(z); at--) pm__zip_up(z, 1);
    at += pm_zip_descend_to_existing(z, s + at, len - at);
    (void)pm__zip_down(z, s + at, len - at);
    return at;
}

/* ---- moving on ------------------------------------------------------------------------------------------------- */

typedef enum pm__went { PM__WENT_ON, PM__WENT_NOWHERE, PM__WENT_WRONG } pm__went;

static pm__went pm__zip_to_child(pm_zip *z, int b) {
    if (b < 0) return PM__WENT_NOWHERE;
    return pm__zip_down_byte(z, b) ? PM__WENT_ON : PM__WENT_WRONG;
}

/* Like pm__rz_next_beside. */
static pm__went pm__zip_beside(pm_zip *z, size_t base) {
    for (;;) {
        size_t len, root_len;
        const uint8_t *path = pm__zip_kind(z)->path(z, &len, &root_len);
        if (len <= base) return PM__WENT_NOWHERE;
        int b = path[len - 1];
        pm__zip_up(z, 1);
        pm__went w = pm__zip_to_child(z, pm__zip_child(z, b + 1));
        if (w != PM__WENT_NOWHERE) return w;
    }
}

/* To the next location in order, below `base`. */
static pm__went pm__zip_step(pm_zip *z, size_t base) {
    pm__went w = pm__zip_to_child(z, pm__zip_child(z, 0));
    return w == PM__WENT_NOWHERE ? pm__zip_beside(z, base) : w;
}

/* To the next value, or, with `ends`, location without value and child, below `base`. */
static bool pm__zip_next_mark(pm_zip *z, size_t base, bool ends) {
    const pm_zip_ops *k = pm__zip_kind(z);
    if (k->next_mark) return k->next_mark(z, base, ends);
    while (pm__zip_step(z, base) == PM__WENT_ON)
        if (pm_zip_is_val(z) || (ends && !pm__zip_has_children(z))) return true;
    return false;
}

static bool pm__zip_sibling(pm_zip *z, bool next) {
    size_t len;
    const uint8_t *path = pm_zip_path(z, &len);
    if (len == 0) return false;
    uint8_t b = path[len - 1];
    pm__zip_up(z, 1);
    int c = next ? pm__zip_child(z, b + 1) : -1;
    if (!next) {
        pm_mask m = pm_zip_child_mask(z);
        c = pm__mask_prev(&m, b - 1);
    }
    if (c >= 0) return pm__zip_down_byte(z, c);
    (void)pm__zip_down(z, &b, 1);
    return false;
}

PM_API bool pm_zip_to_next_sibling(pm_zip *z) {
    pm_rz *r = pm__rz_of(z);
    return r ? pm_rz_to_next_sibling(r) : pm__zip_sibling(z, true);
}

PM_API bool pm_zip_to_prev_sibling(pm_zip *z) {
    pm_rz *r = pm__rz_of(z);
    return r ? pm_rz_to_prev_sibling(r) : pm__zip_sibling(z, false);
}

PM_API bool pm_zip_to_next_step(pm_zip *z) {
    pm_rz *r = pm__rz_of(z);
    if (r) return pm_rz_to_next_step(r);
    if (pm__zip_step(z, pm__zip_root_len(z)) == PM__WENT_ON) return true;
    pm_zip_reset(z);
    return false;
}

PM_API bool pm_zip_to_next_val(pm_zip *z) {
    pm_rz *r = pm__rz_of(z);
    if (r) return pm_rz_to_next_val(r);
    if (pm__zip_next_mark(z, pm__zip_root_len(z), false)) return true;
    pm_zip_reset(z);
    return false;
}

/* Like pm__rz_next_at_depth; the focus exists. */
static bool pm__zip_next_at_depth(pm_zip *z, size_t base, size_t k) {
    while (pm__zip_len(z) < base + k) {
        if (pm__zip_step(z, base) == PM__WENT_ON) continue;
        pm__zip_up_to(z, base);
        return false;
    }
    return true;
}

PM_API bool pm_zip_descend_first_k_path(pm_zip *z, size_t k) {
    pm_rz *r = pm__rz_of(z);
    if (r) return pm_rz_descend_first_k_path(r, k);
    size_t len = pm__zip_len(z);
    return k <= SIZE_MAX - len && pm_zip_exists(z) && pm__zip_next_at_depth(z, len, k);
}

PM_API bool pm_zip_to_next_k_path(pm_zip *z, size_t k) {
    pm_rz *r = pm__rz_of(z);
    if (r) return pm_rz_to_next_k_path(r, k);
    if (k == 0) return false;
    if (k > pm__zip_depth(z)) {
        pm_zip_reset(z);
        return false;
    }
    size_t base = pm__zip_len(z) - k;
    if (pm__zip_beside(z, base) == PM__WENT_ON) return pm__zip_next_at_depth(z, base, k);
    pm__zip_up_to(z, base);
    return false;
}

/* ---- whole tries ----------------------------------------------------------------------------------------------- */

/* Work that reports failures itself: what the zipper had to tell before is told later. */
static pm_status pm__zip_worked(pm_zip *z, pm_status before) {
    pm_status s = pm_zip_status(z);
    z->status = before;
    return s;
}

PM_API pm_status pm_zip_val_count(pm_zip *z, uint64_t *out) {
    const pm_rz *r = pm__rz_of(z);
    if (r) return pm_rz_val_count(r, out);
    pm_status before = pm_zip_status(z);
    size_t base = pm__zip_len(z);
    uint64_t n = pm_zip_is_val(z);
    while (pm__zip_next_mark(z, base, false)) n++;
    pm__zip_up_to(z, base);
    pm_status s = pm__zip_worked(z, before);
    if (s == PM_OK) *out = n;
    return s;
}

PM_API pm_status pm_zip_each(pm_zip *z, bool (*fn)(void *ctx, const uint8_t *key, size_t len, pm_val val), void *ctx) {
    pm_status before = pm_zip_status(z);
    pm_zip_reset(z);
    for (bool more = pm_zip_is_val(z) || pm_zip_to_next_val(z); more; more = pm_zip_to_next_val(z)) {
        size_t len;
        const uint8_t *path = pm_zip_path(z, &len);
        if (!fn(ctx, path, len, pm_zip_val(z).val)) break;
    }
    pm_zip_reset(z);
    return pm__zip_worked(z, before);
}

/* Puts the location under the focus into `m`, at its path below `base`. */
static pm_status pm__zip_copy_place(pm_zip *z, size_t base, pm_map *m) {
    size_t len, root_len;
    const pm_ops *ops = pm_map_ops(m);
    const uint8_t *path = pm__zip_kind(z)->path(z, &len, &root_len);
    pm_opt v = pm_zip_val(z);
    if (!v.some) return len > base ? pm_create_path(m, path + base, len - base, NULL) : PM_OK;
    if (pm__ops_is_unit(ops)) return pm_set(m, path + base, len - base, 0, NULL);
    pm__val_retain(ops, v.val);
    pm_status s = pm_set(m, path + base, len - base, v.val, NULL);
    if (s != PM_OK) pm__val_release(ops, v.val);
    return s;
}

static pm_status pm__zip_copy(pm_zip *z, pm_map *m) {
    pm_status before = pm_zip_status(z);
    size_t base = pm__zip_len(z);
    pm_status s = pm__zip_copy_place(z, base, m);
    while (s == PM_OK && pm__zip_next_mark(z, base, true)) s = pm__zip_copy_place(z, base, m);
    pm__zip_up_to(z, base);
    pm_status moving = pm__zip_worked(z, before);
    return s != PM_OK ? s : moving;
}

PM_API pm_status pm_zip_make_map(pm_zip *z, const pm_ops *ops, pm_pool *pool, pm_map *out) {
    if (!out || !pm__zip_is_open(z)) return PM_INVALID;
    const pm_zip_ops *k = pm__zip_kind(z);
    const pm_ops *own = k->values(z);
    pm_status s;
    if (!ops) ops = pm__ops_of(own);
    if (own && own != ops && !pm__ops_is_unit(ops)) return PM_MISMATCH;
    if (own == ops && k->share && k->share(z, pool, out, &s)) return s;
    pm_map m = pm_new(ops, pool);
    s = pm__zip_copy(z, &m);
    if (s == PM_OK) *out = m;
    else pm_drop(&m);
    return s;
}

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

/* One meaning of values for two factors; false if they differ. Factors without values agree with any. */
static bool pm__zip_agree(const pm_ops **ops, const pm_zip *z) {
    const pm_ops *more = pm_zip_values(z);
    if (more && *ops && more != *ops) return false;
    if (more) *ops = more;
    return true;
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
    if (!out || (len && !path)) return PM_INVALID;
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
                                          .next_child = pm__zpre_next_child};

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
    if (root_len > len || (root_len && memcmp(prefix, root, root_len) != 0)) return PM_INVALID;
    pm__zpre *p = pm__zpre_new(src, (const uint8_t *)prefix, len, (const uint8_t *)root, root_len, &s);
    if (!p) return s;
    p->good = root_len;
    pm__zip_make(out, &pm__zip_prefix, p);
    return PM_OK;
}

/* ---- pairs: overlay, meet, subtract ---------------------------------------------------------------------------- */

/* Meets and subtractions have no location that leads to nothing. Places that something could lie at or below
   ("raw" ones: in both, or in the left) are searched in order until one shows that it does, a witness. The way there is
   left in the path's buffer, beyond the focus:

       path   a b c | d e f       len 3, alive 6, first 3
       the locations a, ab, .., abcdef all exist; no child of abc before d does, nor of abcd before e, .. */
typedef enum pm__zpair_kind { PM__OVERLAY, PM__MEET, PM__SUBTRACT } pm__zpair_kind;

typedef struct pm__zpair {
    pm__zpath path;
    pm_zip left, right;
    const pm_ops *ops;
    pm__zpair_kind kind;
    bool held_some;
    pm_val held; /* a value that was made, until the next one */
    size_t alive, first;
    pm_zip_choose_fn choose;
    void *ctx;
} pm__zpair;

static const pm_ops *pm__zpair_values(const pm_zip *z) { return ((const pm__zpair *)z->state)->ops; }

static void pm__zpair_let_go(pm__zpair *p) {
    if (p->held_some) pm__val_release(p->ops, p->held);
    p->held_some = false;
}

static pm_alg pm__zpair_combine(pm__zpair *p, pm_opt l, pm_opt r, pm_val *made) {
    if (p->kind == PM__MEET) return l.some && r.some ? pm__val_meet(p->ops, l.val, r.val, made) : PM_ALG_NONE;
    if (p->kind == PM__SUBTRACT) {
        if (!l.some || !r.some) return l.some ? PM_ALG_LEFT : PM_ALG_NONE;
        return pm__val_subtract(p->ops, l.val, r.val, made);
    }
    if (!l.some && !r.some) return PM_ALG_NONE;
    if (p->choose) return p->choose(p->ctx, l.some ? &l.val : NULL, r.some ? &r.val : NULL, made);
    return l.some ? PM_ALG_LEFT : PM_ALG_RIGHT;
}

static pm_opt pm__zpair_val(pm_zip *z) {
    pm__zpair *p = (pm__zpair *)z->state;
    pm_opt l = pm_zip_val(&p->left), r = pm_zip_val(&p->right);
    pm_val made = 0;
    pm__zpair_let_go(p);
    switch (pm__zpair_combine(p, l, r, &made)) {
    case PM_ALG_NONE: return pm__nothing_val(z);
    case PM_ALG_LEFT:
    case PM_ALG_BOTH: return l;
    case PM_ALG_RIGHT: return r;
    case PM_ALG_ELEMENT:
        p->held = made;
        p->held_some = true;
        return pm__opt_of(&made);
    }
    z->status = PM_BADHOOK;
    return pm__nothing_val(z);
}

static bool pm__zpair_down(pm_zip *z, const uint8_t *key, size_t n) {
    pm__zpair *p = (pm__zpair *)z->state;
    if (!pm__view_room(z, n) || !pm__zip_down(&p->left, key, n)) return false;
    if (!pm__zip_down(&p->right, key, n)) {
        pm__zip_up(&p->left, n);
        return false;
    }
    if (p->alive > p->path.len) {
        size_t known = p->alive - p->path.len;
        p->alive = p->path.len + pm__lcp(p->path.at + p->path.len, key, known < n ? known : n);
        if (p->alive == p->path.len + n) p->alive = p->path.len + known;
    }
    pm__zpath_add(&p->path, key, n);
    return true;
}

static void pm__zpair_up(pm_zip *z, size_t n) {
    pm__zpair *p = (pm__zpair *)z->state;
    pm__zip_up(&p->left, n);
    pm__zip_up(&p->right, n);
    p->path.len -= n;
}

/* The smallest raw child that is at least `from`, or -1. */
static int pm__zpair_raw_child(pm__zpair *p, int from) {
    int a = pm__zip_child(&p->left, from), b;
    if (p->kind == PM__SUBTRACT) return a;
    if (p->kind == PM__OVERLAY) {
        b = pm__zip_child(&p->right, from);
        return a < 0 || (b >= 0 && b < a) ? b : a;
    }
    while (a >= 0 && (b = pm__zip_child(&p->right, a)) != a) {
        if (b < 0) return -1;
        a = pm__zip_child(&p->left, b);
        if (a == b) break;
    }
    return a;
}

/* To the next raw place in order, below `base`. */
static bool pm__zpair_raw_step(pm_zip *z, size_t base) {
    pm__zpair *p = (pm__zpair *)z->state;
    for (int from = 0;;) {
        int b = pm__zpair_raw_child(p, from);
        if (b >= 0) return pm__zip_down_byte(z, b);
        if (p->path.len <= base) return false;
        from = p->path.at[p->path.len - 1] + 1;
        pm__zpair_up(z, 1);
    }
}

static bool pm__zip_dangles(pm_zip *z) {
    return pm_zip_exists(z) && !pm_zip_is_val(z) && !pm__zip_has_children(z);
}

/* A raw place that the result ends at for want of anything below. */
static bool pm__zpair_ends(pm__zpair *p) {
    if (!pm__zip_dangles(&p->left)) return false;
    return p->kind == PM__MEET ? pm__zip_dangles(&p->right) : !pm_zip_exists(&p->right);
}

/* Whether the raw place under the focus shows by itself that it exists. */
static bool pm__zpair_is_witness(pm_zip *z) {
    pm__zpair *p = (pm__zpair *)z->state;
    if (p->kind == PM__SUBTRACT && !pm_zip_exists(&p->right)) return true;
    return pm__zpair_val(z).some || pm__zpair_ends(p);
}

static bool pm__zpair_find_witness(pm_zip *z) {
    pm__zpair *p = (pm__zpair *)z->state;
    size_t base = p->path.len;
    bool found = pm__zpair_is_witness(z);
    while (!found && pm__zpair_raw_step(z, base)) found = pm__zpair_is_witness(z);
    if (found) {
        p->alive = p->path.len;
        p->first = base;
    }
    pm__zpair_up(z, p->path.len - base);
    return found;
}

static bool pm__zpair_exists(pm_zip *z) {
    pm__zpair *p = (pm__zpair *)z->state;
    bool l = pm_zip_exists(&p->left), r = pm_zip_exists(&p->right);
    if (p->kind == PM__OVERLAY) return l || r;
    if (!l || (p->kind == PM__MEET && !r)) return false;
    return p->path.len <= p->alive || pm__zpair_find_witness(z); /* the origin is always alive */
}

static int pm__zpair_next_child(pm_zip *z, int from) {
    pm__zpair *p = (pm__zpair *)z->state;
    if (p->kind == PM__OVERLAY) return pm__zpair_raw_child(p, from);
    if (p->first <= p->path.len && p->path.len < p->alive && p->path.at[p->path.len] >= from)
        return p->path.at[p->path.len];
    for (int b = pm__zpair_raw_child(p, from); b >= 0; b = pm__zpair_raw_child(p, b + 1)) {
        if (!pm__zip_down_byte(z, b)) return -1;
        bool exists = pm__zpair_exists(z);
        pm__zpair_up(z, 1);
        if (exists) return b;
    }
    return -1;
}

static pm_mask pm__zpair_mask(pm_zip *z) {
    pm__zpair *p = (pm__zpair *)z->state;
    if (p->kind == PM__OVERLAY) return pm_mask_or(pm_zip_child_mask(&p->left), pm_zip_child_mask(&p->right));
    if (p->kind == PM__SUBTRACT && !pm_zip_exists(&p->right)) return pm_zip_child_mask(&p->left);
    pm_mask m = pm__nothing_mask(z);
    for (int b = pm__zpair_next_child(z, 0); b >= 0; b = pm__zpair_next_child(z, b + 1)) pm_mask_set(&m, (uint8_t)b);
    return m;
}

/* Values need no look ahead: whatever has one exists. */
static bool pm__zpair_next_mark(pm_zip *z, size_t base, bool ends) {
    pm__zpair *p = (pm__zpair *)z->state;
    while (pm__zpair_raw_step(z, base)) {
        if (pm__zpair_val(z).some) return true;
        if (!ends) continue;
        if (p->kind == PM__OVERLAY ? pm__zpair_raw_child(p, 0) < 0 : pm__zpair_ends(p)) return true;
    }
    return false;
}

static bool pm__zpair_share(pm_zip *z, pm_pool *pool, pm_map *out, pm_status *s) {
    pm__zpair *p = (pm__zpair *)z->state;
    pm_map l, r;
    if (p->kind == PM__OVERLAY || !p->left.ops->share || !p->right.ops->share) return false;
    if (!p->left.ops->share(&p->left, pool, &l, s)) return false;
    if (*s != PM_OK) return true;
    bool both = p->right.ops->share(&p->right, pool, &r, s);
    if (both && *s == PM_OK) {
        *s = p->kind == PM__MEET ? pm_meet(&l, &r, out, NULL) : pm_subtract(&l, &r, out, NULL);
        pm_drop(&r);
    }
    pm_drop(&l);
    return both;
}

static pm_status pm__zpair_status(pm_zip *z) {
    pm__zpair *p = (pm__zpair *)z->state;
    pm_status l = pm_zip_status(&p->left), r = pm_zip_status(&p->right);
    return l != PM_OK ? l : r;
}

static void pm__zpair_free(pm__zpair *p) {
    pm__zpair_let_go(p);
    pm_zip_drop(&p->left);
    pm_zip_drop(&p->right);
    pm__zpath_free(&p->path);
    pm__mem_free_big(p, sizeof *p);
}

static void pm__zpair_drop(pm_zip *z) { pm__zpair_free((pm__zpair *)z->state); }

static pm_status pm__zpair_fork(const pm_zip *z, pm_zip *out);

static const pm_zip_ops pm__zip_pair = {.values = pm__zpair_values,
                                        .path = pm__view_path,
                                        .exists = pm__zpair_exists,
                                        .val = pm__zpair_val,
                                        .mask = pm__zpair_mask,
                                        .down = pm__zpair_down,
                                        .up = pm__zpair_up,
                                        .fork = pm__zpair_fork,
                                        .drop = pm__zpair_drop,
                                        .status = pm__zpair_status,
                                        .next_child = pm__zpair_next_child,
                                        .next_mark = pm__zpair_next_mark,
                                        .share = pm__zpair_share};

/* A pair like `as`, of forks of its factors, rooted at its focus. */
static pm_status pm__zpair_open(pm_zip *out, const pm__zpair *as) {
    pm__zpair *p = (pm__zpair *)pm__mem_alloc_big(sizeof *p);
    if (!p) return PM_NOMEM;
    *p = *as;
    p->held_some = false;
    p->alive = p->first = 0;
    pm__zip_make(&p->left, NULL, NULL);
    pm__zip_make(&p->right, NULL, NULL);
    pm_status s = pm__zpath_start(&p->path, as->path.at, as->path.len) ? PM_OK : PM_NOMEM;
    if (s == PM_OK) s = pm_zip_fork(&as->left, &p->left);
    if (s == PM_OK) s = pm_zip_fork(&as->right, &p->right);
    if (s == PM_OK) pm__zip_make(out, &pm__zip_pair, p);
    else pm__zpair_free(p);
    return s;
}

static pm_status pm__zpair_fork(const pm_zip *z, pm_zip *out) {
    return pm__zpair_open(out, (const pm__zpair *)z->state);
}

static pm_status pm__zpair_of(pm_zip *out, pm__zpair_kind kind, const pm_zip *left, const pm_zip *right,
                             pm_zip_choose_fn choose, void *ctx) {
    const pm_ops *ops = NULL;
    if (!out || !pm__zip_is_open(left) || !pm__zip_is_open(right)) return PM_INVALID;
    if (!pm__zip_agree(&ops, left) || !pm__zip_agree(&ops, right)) return PM_MISMATCH;
    pm__zpair as = {{NULL, 0, 0, 0}, *left, *right, ops, kind, false, 0, 0, 0, choose, ctx};
    return pm__zpair_open(out, &as);
}

PM_API pm_status pm_zip_overlay(pm_zip *out, const pm_zip *left, const pm_zip *right, pm_zip_choose_fn choose,
                                void *ctx) {
    return pm__zpair_of(out, PM__OVERLAY, left, right, choose, ctx);
}

PM_API pm_status pm_zip_meet(pm_zip *out, const pm_zip *left, const pm_zip *right) {
    return pm__zpair_of(out, PM__MEET, left, right, NULL, NULL);
}

PM_API pm_status pm_zip_subtract(pm_zip *out, const pm_zip *left, const pm_zip *right) {
    return pm__zpair_of(out, PM__SUBTRACT, left, right, NULL, NULL);
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
    size_t cap = c->cap ? c->cap * 2 : 4;
    void *grown = pm__mem_grow(c->links, c->cap * sizeof *c->links, cap * sizeof *c->links);
    if (!grown) return false;
    c->links = (pm__link *)grown;
    c->cap = cap;
    return true;
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
    if (s == PM_OK && l.z.ops && !pm__zip_agree(&c->ops, &l.z)) s = PM_MISMATCH;
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

static void pm__zchain_up(pm_zip *z, size_t n) {
    pm__zchain *c = (pm__zchain *)z->state;
    while (n) {
        pm__link *l = &c->links[c->active];
        size_t depth = c->path.len - l->seam, step = n < depth ? n : depth;
        pm__zip_up(&l->z, step);
        c->path.len -= step;
        n -= step;
        while (c->active && c->path.len == c->links[c->active].seam) {
            pm__zchain_forget(c, c->path.len);
            c->active--;
        }
    }
    if (c->path.len < c->asked) pm__zchain_forget(c, SIZE_MAX);
}

/* Takes the link that begins with byte b from the focus, if there is one. */
static bool pm__zchain_enter(pm_zip *z, uint8_t b) {
    pm__zchain *c = (pm__zchain *)z->state;
    size_t j = pm__zchain_onward(z);
    if (!j || pm__zip_child(&c->links[j].z, b) != b) return false;
    while (c->active < j) c->links[++c->active].seam = c->path.len;
    return true;
}

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
    if (!pm__zip_agree(&c->ops, src)) return PM_MISMATCH;
    pm_status s = pm_zip_fork(src, &l.z);
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
                                         .next_child = pm__zchain_next_child};

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
    if (!out || !factors || n == 0) return PM_INVALID;
    for (size_t i = 0; i < n; i++)
        if (!pm__zip_is_open(&factors[i])) return PM_INVALID;
    pm__zchain *c = pm__zchain_new(&as);
    pm_status s = PM_OK;
    if (!c) return PM_NOMEM;
    for (size_t i = 0; s == PM_OK && i < n; i++) s = pm__zchain_add(c, &factors[i], 0, payload);
    return pm__zchain_done(c, s, out);
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
    const pm__zchain *c = pm__zchain_of(z);
    if (!c) return 1;
    return c->fn ? c->active + 1 : c->n;
}

PM_API size_t pm_zip_focus_factor(const pm_zip *z) {
    const pm__zchain *c = pm__zchain_of(z);
    return c ? c->active : 0;
}

PM_API size_t pm_zip_path_indices(const pm_zip *z, size_t *out, size_t cap) {
    const pm__zchain *c = pm__zchain_of(z);
    size_t n = pm_zip_focus_factor(z);
    for (size_t i = 0; c && i < n && i < cap; i++) out[i] = c->links[i + 1].seam;
    return n;
}
