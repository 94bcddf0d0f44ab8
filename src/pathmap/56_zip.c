/* Zippers of any kind: the moves, made of a kind's primitives.

   A kind is a table of a few primitives (pm_zip_ops). Every move is made out of them here, once. Over a map (the kind
   pm__zip_rz) moves go to pm_rz as they are.

   Going on in order is by steps, from location to location, or by marks (54_iterate.c): places with a value, and ends.
   Kinds that can do so faster than byte by byte bring a function of their own. */
#include "45_map_algebra.h"
#include "54_iterate.c"
#include "56_zip.h"

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
    (void)z;
    (void)key;
    (void)n;
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
static bool pm__zrz_next_step(pm_zip *z, size_t floor) { return pm__rz_step((pm_rz *)z->state, floor); }
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
                                      .next_step = pm__zrz_next_step,
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

/* Ends an opening. `operand`: what is in the place of the result was an operand of the call, and is dropped. */
static pm_status pm__zip_opened(pm_zip *out, const pm_zip *made, bool operand, pm_status s) {
    if (s != PM_OK) return s;
    if (operand) pm_zip_drop(out);
    *out = *made;
    return PM_OK;
}

PM_API pm_status pm_zip_fork(const pm_zip *z, pm_zip *out) {
    pm_zip made = {NULL, NULL, PM_OK};
    if (!z || !out) return PM_INVALID;
    pm_status s = pm__zip_kind(z)->fork(z, &made);
    return pm__zip_opened(out, &made, out == z, s);
}

PM_API void pm_zip_drop(pm_zip *z) {
    if (!z) return;
    pm__zip_kind(z)->drop(z);
    pm__zip_make(z, NULL, NULL);
}

PM_API pm_status pm_zip_status(pm_zip *z) {
    if (!pm__zip_is_open(z)) return PM_INVALID;
    const pm_zip_ops *k = pm__zip_kind(z);
    pm_status s = z->status, below = k->status ? k->status(z) : PM_OK;
    z->status = PM_OK;
    return s != PM_OK ? s : below;
}

PM_API const pm_ops *pm_zip_values(const pm_zip *z) {
    if (!z) return NULL;
    const pm_ops *ops = pm__zip_kind(z)->values(z);
    return ops ? pm__ops_taken(ops) : NULL;
}

static PM__INLINE const uint8_t *pm__zip_path(const pm_zip *z, size_t *len) {
    const pm_rz *r = pm__rz_of(z);
    size_t all, root_len;
    if (r) return pm_rz_path(r, len);
    const uint8_t *path = pm__zip_kind(z)->path(z, &all, &root_len);
    *len = all - root_len;
    return path + root_len;
}

PM_API const uint8_t *pm_zip_path(const pm_zip *z, size_t *len) {
    if (!z || !len) return pm__no_path(len);
    return pm__zip_path(z, len);
}

static size_t pm__zip_depth(const pm_zip *z) {
    size_t len;
    (void)pm__zip_path(z, &len);
    return len;
}

PM_API const uint8_t *pm_zip_origin_path(const pm_zip *z, size_t *len) {
    if (!z || !len) return pm__no_path(len);
    size_t root_len;
    return pm__zip_kind(z)->path(z, len, &root_len);
}

PM_API const uint8_t *pm_zip_root_prefix(const pm_zip *z, size_t *len) {
    if (!z || !len) return pm__no_path(len);
    size_t all;
    return pm__zip_kind(z)->path(z, &all, len);
}

PM_API bool pm_zip_at_root(const pm_zip *z) {
    if (!z) return false;
    return pm__zip_depth(z) == 0;
}
PM_API bool pm_zip_exists(pm_zip *z) {
    if (!z) return false;
    return pm__zip_kind(z)->exists(z);
}
PM_API pm_opt pm_zip_val(pm_zip *z) {
    static const pm_opt none = {0, false};
    return z ? pm__zip_kind(z)->val(z) : none;
}
PM_API bool pm_zip_is_val(pm_zip *z) {
    if (!z) return false;
    return pm_zip_val(z).some;
}
PM_API pm_mask pm_zip_child_mask(pm_zip *z) {
    static const pm_mask none = {{0, 0, 0, 0}};
    return z ? pm__zip_kind(z)->mask(z) : none;
}

PM_API unsigned pm_zip_child_count(pm_zip *z) {
    if (!z) return 0;
    pm_mask m = pm_zip_child_mask(z);
    return pm_mask_count(&m);
}

/* Whether a key is nowhere, or longer than any; then that is the zipper's status. */
static PM__INLINE bool pm__zip_key_bad(pm_zip *z, const void *key, size_t n) {
    if (PM__LIKELY((key || !n) && n <= PM__LEN_MAX)) return false;
    z->status = PM_INVALID;
    return true;
}

static bool pm__zip_down(pm_zip *z, const void *key, size_t n) {
    return n == 0 || pm__zip_kind(z)->down(z, (const uint8_t *)key, n);
}

static void pm__zip_up(pm_zip *z, size_t n) {
    if (n) pm__zip_kind(z)->up(z, n);
}

/* Up to `depth` bytes below the root. */
static void pm__zip_up_to(pm_zip *z, size_t depth) { pm__zip_up(z, pm__zip_depth(z) - depth); }

/* To the place `key` below the root, existing or not; `key` is not bytes of the zipper's own path. False: no memory,
   and the focus anywhere. */
static bool pm__zip_go(pm_zip *z, const uint8_t *key, size_t n) {
    pm_rz *r = pm__rz_of(z);
    if (r) return pm__rz_go(r, key, n);
    size_t have, same;
    const uint8_t *path = pm__zip_path(z, &have);
    same = have && n ? pm__lcp(path, key, have < n ? have : n) : 0;
    pm__zip_up(z, have - same);
    return same == n || pm__zip_down(z, key + same, n - same);
}

PM_API pm_opt pm_zip_val_at(pm_zip *z, const void *key, size_t len) {
    if (!z) return pm_zip_val(z);
    const pm_rz *r = pm__rz_of(z);
    if (r) return pm__opt_of(pm_rz_val_at(r, key, len));
    if (!key && len) return pm__nothing_val(z);
    if (len > PM__LEN_MAX || !pm__zip_down(z, key, len)) return pm__nothing_val(z);
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

static PM__INLINE bool pm__zip_has_children(pm_zip *z) {
    const pm_rz *r = pm__rz_of(z);
    return r ? pm__rz_has_children(r) : pm__zip_child(z, 0) >= 0;
}

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

PM_API void pm_zip_reset(pm_zip *z) {
    if (!z) return;
    pm__zip_up(z, pm__zip_depth(z));
}

PM_API bool pm_zip_ascend(pm_zip *z, size_t n) {
    if (!z) return false;
    size_t depth = pm__zip_depth(z);
    pm__zip_up(z, n < depth ? n : depth);
    return n <= depth;
}

static size_t pm__zip_ascend_to_mark(pm_zip *z, bool values) {
    size_t start = pm__zip_depth(z);
    while (!pm_zip_at_root(z)) {
        pm__zip_up(z, 1);
        if ((values && pm_zip_is_val(z)) || pm__zip_is_fork(z)) break;
    }
    return start - pm__zip_depth(z);
}

PM_API size_t pm_zip_ascend_until(pm_zip *z) {
    if (!z) return 0;
    pm_rz *r = pm__rz_of(z);
    return r ? pm_rz_ascend_until(r) : pm__zip_ascend_to_mark(z, true);
}

PM_API size_t pm_zip_ascend_until_branch(pm_zip *z) {
    if (!z) return 0;
    pm_rz *r = pm__rz_of(z);
    return r ? pm_rz_ascend_until_branch(r) : pm__zip_ascend_to_mark(z, false);
}

PM_API void pm_zip_descend_to(pm_zip *z, const void *key, size_t len) {
    if (!z || pm__zip_key_bad(z, key, len)) return;
    (void)pm__zip_down(z, key, len);
}

PM_API bool pm_zip_descend_to_check(pm_zip *z, const void *key, size_t len) {
    if (!z || pm__zip_key_bad(z, key, len)) return false;
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
    if (!z || pm__zip_key_bad(z, key, len)) return 0;
    pm_rz *r = pm__rz_of(z);
    return r ? pm_rz_descend_to_existing(r, key, len) : pm__zip_down_existing(z, (const uint8_t *)key, len, false);
}

PM_API size_t pm_zip_descend_to_val(pm_zip *z, const void *key, size_t len) {
    if (!z || pm__zip_key_bad(z, key, len)) return 0;
    pm_rz *r = pm__rz_of(z);
    return r ? pm_rz_descend_to_val(r, key, len) : pm__zip_down_existing(z, (const uint8_t *)key, len, true);
}

PM_API void pm_zip_descend_to_byte(pm_zip *z, uint8_t b) {
    if (!z) return;
    (void)pm__zip_down(z, &b, 1);
}

PM_API bool pm_zip_descend_to_existing_byte(pm_zip *z, uint8_t b) {
    if (!z) return false;
    return pm_zip_descend_to_existing(z, &b, 1) == 1;
}

static bool pm__zip_down_byte(pm_zip *z, int b) {
    uint8_t byte = (uint8_t)b;
    return b >= 0 && pm__zip_down(z, &byte, 1);
}

PM_API bool pm_zip_descend_indexed_byte(pm_zip *z, unsigned i) {
    if (!z) return false;
    pm_mask m = pm_zip_child_mask(z);
    return pm__zip_down_byte(z, pm_mask_select(&m, i));
}

PM_API bool pm_zip_descend_first_byte(pm_zip *z) {
    if (!z) return false;
    return pm__zip_down_byte(z, pm__zip_child(z, 0));
}

PM_API bool pm_zip_descend_last_byte(pm_zip *z) {
    if (!z) return false;
    pm_mask m = pm_zip_child_mask(z);
    return pm__zip_down_byte(z, pm_mask_prev(&m, 255));
}

PM_API bool pm_zip_descend_until_max(pm_zip *z, size_t max) {
    if (!z) return false;
    pm_rz *r = pm__rz_of(z);
    bool moved = false;
    if (r) return pm_rz_descend_until_max(r, max);
    for (; max && pm__zip_down_byte(z, pm__zip_only_child(z)); max--) {
        moved = true;
        if (pm_zip_is_val(z)) break;
    }
    return moved;
}

PM_API bool pm_zip_descend_until(pm_zip *z) {
    if (!z) return false;
    return pm_zip_descend_until_max(z, SIZE_MAX);
}

PM_API bool pm_zip_descend_last_path(pm_zip *z) {
    if (!z) return false;
    pm_rz *r = pm__rz_of(z);
    bool moved = false;
    if (r) return pm_rz_descend_last_path(r);
    while (pm_zip_descend_last_byte(z)) moved = true;
    return moved;
}

PM_API size_t pm_zip_move_to(pm_zip *z, const void *key, size_t len) {
    if (!z || pm__zip_key_bad(z, key, len)) return 0;
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

/* Going on in order below `floor` bytes of path from the root. What answers false has found nothing, or no memory;
   the focus is then anywhere that is not above these. */

/* Like pm__rz_next_beside. */
static bool pm__zip_beside(pm_zip *z, size_t floor) {
    for (;;) {
        size_t len;
        const uint8_t *path = pm__zip_path(z, &len);
        if (len <= floor) return false;
        int b = path[len - 1];
        pm__zip_up(z, 1);
        if ((b = pm__zip_child(z, b + 1)) >= 0) return pm__zip_down_byte(z, b);
    }
}

/* To the next location. */
static bool pm__zip_step(pm_zip *z, size_t floor) {
    const pm_zip_ops *k = pm__zip_kind(z);
    if (k->next_step) return k->next_step(z, floor);
    int b = pm__zip_child(z, 0);
    return b >= 0 ? pm__zip_down_byte(z, b) : pm__zip_beside(z, floor);
}

static bool pm__zip_is_mark(pm_zip *z, pm_opt *v) {
    *v = pm_zip_val(z);
    return v->some || !pm__zip_has_children(z);
}

static bool pm__zip_next_mark_slowly(pm_zip *z, size_t floor, pm_opt *v) {
    while (pm__zip_step(z, floor))
        if (pm__zip_is_mark(z, v)) return true;
    return false;
}

/* To the next mark; *v is its value. */
static PM__INLINE bool pm__zip_next_mark(pm_zip *z, size_t floor, pm_opt *v) {
    const pm_zip_ops *k = z->ops;
    pm_rz *r = pm__rz_of(z);
    if (r) {
        if (!pm__rz_next_mark(r, floor)) return false;
        *v = pm__opt_of(pm_rz_val(r));
        return true;
    }
    return k && k->next_mark ? k->next_mark(z, floor, v) : pm__zip_next_mark_slowly(z, floor, v);
}

/* To the first mark at or after the place `key` below the root, which is not bytes of the zipper's own path. If there
   is none the focus is anywhere. */
static bool pm__zip_seek_mark(pm_zip *z, size_t floor, const uint8_t *key, size_t n, pm_opt *v) {
    const pm_zip_ops *k = pm__zip_kind(z);
    pm_rz *r = pm__rz_of(z);
    if (r) {
        if (!pm__rz_seek_mark(r, floor, key, n)) return false;
        *v = pm__opt_of(pm_rz_val(r));
        return true;
    }
    if (k->seek_mark) return k->seek_mark(z, floor, key, n, v);
    if (!pm__zip_go(z, key, n)) return false;
    return (pm_zip_exists(z) && pm__zip_is_mark(z, v)) || pm__zip_next_mark(z, floor, v);
}

/* After a walk has come to its end: whether that was for want of memory. The status stays to be told. */
static bool pm__zip_ran_out(pm_zip *z) {
    pm_status s = pm_zip_status(z);
    z->status = s;
    return s == PM_NOMEM;
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
    if (!z) return false;
    pm_rz *r = pm__rz_of(z);
    return r ? pm_rz_to_next_sibling(r) : pm__zip_sibling(z, true);
}

PM_API bool pm_zip_to_prev_sibling(pm_zip *z) {
    if (!z) return false;
    pm_rz *r = pm__rz_of(z);
    return r ? pm_rz_to_prev_sibling(r) : pm__zip_sibling(z, false);
}

PM_API bool pm_zip_to_next_step(pm_zip *z) {
    if (!z) return false;
    pm_rz *r = pm__rz_of(z);
    if (r) return pm_rz_to_next_step(r);
    if (pm__zip_step(z, 0)) return true;
    pm_zip_reset(z);
    return false;
}

PM_API bool pm_zip_to_next_val(pm_zip *z) {
    if (!z) return false;
    pm_rz *r = pm__rz_of(z);
    if (r) return pm_rz_to_next_val(r);
    for (pm_opt v = {0, false}; pm__zip_next_mark(z, 0, &v);)
        if (v.some) return true;
    pm_zip_reset(z);
    return false;
}

/* From where the zipper stands, k bytes or fewer below `base`, on the trie: like pm__rz_next_at_depth. */
static bool pm__zip_next_at_depth(pm_zip *z, size_t base, size_t k) {
    while (pm__zip_depth(z) < base + k) {
        if (pm__zip_step(z, base)) continue;
        pm__zip_up_to(z, base);
        return false;
    }
    return true;
}

PM_API bool pm_zip_descend_first_k_path(pm_zip *z, size_t k) {
    if (!z) return false;
    pm_rz *r = pm__rz_of(z);
    if (r) return pm_rz_descend_first_k_path(r, k);
    size_t depth = pm__zip_depth(z);
    return k <= SIZE_MAX - depth && pm_zip_exists(z) && pm__zip_next_at_depth(z, depth, k);
}

PM_API bool pm_zip_to_next_k_path(pm_zip *z, size_t k) {
    if (!z) return false;
    pm_rz *r = pm__rz_of(z);
    if (r) return pm_rz_to_next_k_path(r, k);
    if (k == 0) return false;
    size_t depth = pm__zip_depth(z);
    if (k > depth) {
        pm_zip_reset(z);
        return false;
    }
    if (pm__zip_beside(z, depth - k)) return pm__zip_next_at_depth(z, depth - k, k);
    pm__zip_up_to(z, depth - k);
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
    if (!z || !out) return PM_INVALID;
    const pm_rz *r = pm__rz_of(z);
    if (r) return pm_rz_val_count(r, out);
    pm_status before = pm_zip_status(z);
    size_t base = pm__zip_depth(z);
    uint64_t n = pm_zip_is_val(z);
    for (pm_opt v = {0, false}; pm__zip_next_mark(z, base, &v);) n += v.some;
    pm__zip_up_to(z, base);
    pm_status s = pm__zip_worked(z, before);
    if (s == PM_OK) *out = n;
    return s;
}

PM_API pm_status pm_zip_each(pm_zip *z, bool (*fn)(void *ctx, const uint8_t *key, size_t len, pm_val val), void *ctx) {
    if (!z || !fn) return PM_INVALID;
    pm_status before = pm_zip_status(z);
    pm_zip_reset(z);
    pm_opt v = pm_zip_val(z);
    for (bool more = true; more; more = pm__zip_next_mark(z, 0, &v)) {
        size_t len;
        const uint8_t *path = pm__zip_path(z, &len);
        if (v.some && !fn(ctx, path, len, v.val)) break;
    }
    pm_zip_reset(z);
    return pm__zip_worked(z, before);
}

/* Puts the location under the focus, and its value, into `m`, at its path below `base`. */
static pm_status pm__zip_copy_place(pm_zip *z, size_t base, pm_opt v, pm_map *m) {
    size_t len;
    const pm_ops *ops = pm_map_ops(m);
    const uint8_t *path = pm__zip_path(z, &len);
    if (!v.some) return len > base ? pm_create_path(m, path + base, len - base, NULL) : PM_OK;
    if (pm__ops_is_unit(ops)) return pm_set(m, path + base, len - base, 0, NULL);
    pm__val_retain(ops, v.val);
    pm_status s = pm_set(m, path + base, len - base, v.val, NULL);
    if (s != PM_OK) pm__val_release(ops, v.val);
    return s;
}

static pm_status pm__zip_copy(pm_zip *z, pm_map *m) {
    pm_status before = pm_zip_status(z);
    size_t base = pm__zip_depth(z);
    pm_opt v = pm_zip_val(z);
    pm_status s = pm__zip_copy_place(z, base, v, m);
    while (s == PM_OK && pm__zip_next_mark(z, base, &v)) s = pm__zip_copy_place(z, base, v, m);
    pm__zip_up_to(z, base);
    pm_status moving = pm__zip_worked(z, before);
    return s != PM_OK ? s : moving;
}

PM_API pm_status pm_zip_make_map(pm_zip *z, const pm_ops *ops, pm_pool *pool, pm_map *out) {
    if (!out || !pm__zip_is_open(z)) return PM_INVALID;
    const pm_zip_ops *k = pm__zip_kind(z);
    const pm_ops *own = pm_zip_values(z);
    pm_status s;
    ops = pm__ops_taken(ops ? ops : own);
    if (pm__ops_is_refused(ops)) return PM_BADHOOK;
    if (own && own != ops && !pm__ops_is_unit(ops)) return PM_MISMATCH;
    if (own == ops && k->share && k->share(z, pool, out, &s)) return s;
    pm_map m = pm_new(ops, pool);
    s = pm__zip_copy(z, &m);
    if (s == PM_OK) *out = m;
    else pm_drop(&m);
    return s;
}

PM_API pm_status pm_zip_make_reader(pm_zip *z, const pm_ops *ops, pm_pool *pool, pm_rz *out) {
    if (!out || !pm__zip_is_open(z)) return PM_INVALID;
    const pm_rz *r = pm__rz_of(z);
    pm_map m;
    if (r && (!ops || ops == pm__ops_of(r->ops))) return pm_rz_fork(r, out);
    pm_status s = pm_zip_make_map(z, ops, pool, &m);
    if (s != PM_OK) return s;
    s = pm_rz_open_owned(out, &m, NULL, 0);
    pm_drop(&m);
    return s;
}
