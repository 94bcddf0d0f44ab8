/* Maps as values: counted boxes with a map's handle in each.

   Hooks call the operations of whole maps, which call hooks again one level down: recursion over the user's nesting,
   never over a trie's depth, and bounded. Dropping does not recurse at all: boxes whose last owner has gone wait in a
   list of the thread, and the outermost release takes them apart one after the other. */
#include "45_map_algebra.c"
#include "62_hash.c"
#include "78_map_values.h"

typedef struct pm__nested {
    pm__a64 rc;
    struct pm__nested *next; /* dead ones that wait */
    pm_map map;
} pm__nested;

static PM__INLINE pm__nested *pm__nested_of(pm_val v) { return (pm__nested *)(uintptr_t)v; }

/* Boxes a map, which stays the caller's if that fails. */
static pm_status pm__nested_box(const pm_map *m, pm_val *out) {
    pm__nested *b = (pm__nested *)pm__mem_alloc_any(m->pool, sizeof *b);
    if (!b) return PM_NOMEM;
    pm__store_relaxed(&b->rc, 1);
    b->next = NULL;
    b->map = *m;
    *out = (pm_val)(uintptr_t)b;
    return PM_OK;
}

/* ---- counts -------------------------------------------------------------------------------------------------- */

static PM__THREAD_LOCAL struct {
    pm__nested *dead;
    bool busy;       /* somebody up the stack takes them apart */
    unsigned levels; /* how deep operations of two maps have gone */
} pm__nested_here;

PM_API pm_val pm_nested_retain(pm_val v) {
    pm__a64_fetch_add_relaxed(&pm__nested_of(v)->rc, 1);
    return v;
}

PM_API void pm_nested_release(pm_val v) {
    pm__nested *b = pm__nested_of(v);
    /* Acquire and release, as for strings: other owners are done reading. */
    if (pm__a64_fetch_sub_acq_rel(&b->rc, 1) != 1) return;
    b->next = pm__nested_here.dead;
    pm__nested_here.dead = b;
    if (pm__nested_here.busy) return;
    pm__nested_here.busy = true;
    while ((b = pm__nested_here.dead)) {
        pm__nested_here.dead = b->next;
        pm_drop(&b->map);
        pm__mem_free_any(b, sizeof *b);
    }
    pm__nested_here.busy = false;
}

static void pm__nested_retain_hook(void *ctx, pm_val v) {
    (void)ctx;
    (void)pm_nested_retain(v);
}

static void pm__nested_release_hook(void *ctx, pm_val v) {
    (void)ctx;
    pm_nested_release(v);
}

/* ---- operations of two maps ---------------------------------------------------------------------------------- */

/* One level down. False: that is too deep. */
static bool pm__nested_down(void) {
    bool ok = pm__nested_here.levels < PM_NESTED_MAX;
    if (ok) pm__nested_here.levels++;
    else pm_hook_fail(PM_INVALID);
    return ok;
}

/* Up again; a failure becomes the hook's. */
static bool pm__nested_up(pm_status s) {
    pm__nested_here.levels--;
    if (s != PM_OK) pm_hook_fail(s);
    return s == PM_OK;
}

static bool pm__nested_equal_hook(void *ctx, pm_val a, pm_val b) {
    const pm_map *x = pm_nested_map(a), *y = pm_nested_map(b);
    bool same = false;
    (void)ctx;
    if (a == b) return true;
    if (pm_map_ops(x) != pm_map_ops(y) || !pm__nested_down()) return false;
    return pm__nested_up(pm_equal(x, y, &same)) && same;
}

static uint64_t pm__nested_hash_hook(void *ctx, pm_val v) {
    pm_hash128 h = {0, 0};
    (void)ctx;
    if (pm__nested_down()) (void)pm__nested_up(pm_hash(pm_nested_map(v), &h));
    return h.lo;
}

static pm_alg pm__nested_combine(pm__merge_op op, pm_val a, pm_val b, pm_val *out) {
    const pm_map *x = pm_nested_map(a), *y = pm_nested_map(b);
    pm_map made = pm_new(NULL, NULL);
    pm_alg alg = PM_ALG_NONE;
    if (a == b) return op == PM__MERGE_SUB ? PM_ALG_NONE : PM_ALG_BOTH;
    if (!pm__nested_down()) return PM_ALG_LEFT;
    pm_status s = pm__maps_combine(op, x, y, &made, &alg);
    if (s == PM_OK && alg == PM_ALG_ELEMENT) s = pm__nested_box(&made, out);
    if (s != PM_OK || alg != PM_ALG_ELEMENT) pm_drop(&made);
    if (!pm__nested_up(s)) return PM_ALG_LEFT;
    bool empty = pm_is_empty(x) && pm_is_empty(y) && op != PM__MERGE_SUB;
    return alg == PM_ALG_NONE && empty ? PM_ALG_BOTH : alg;
}

static pm_alg pm__nested_join_hook(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    return pm__nested_combine(PM__MERGE_JOIN, a, b, out);
}

static pm_alg pm__nested_meet_hook(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    return pm__nested_combine(PM__MERGE_MEET, a, b, out);
}

static pm_alg pm__nested_subtract_hook(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    return pm__nested_combine(PM__MERGE_SUB, a, b, out);
}

PM_API const pm_ops *pm_ops_map(void) {
    static const pm_ops ops = {.name = "maps",
                               .flags = PM_OPS_IDEMPOTENT | PM_OPS_FALLIBLE,
                               .retain = pm__nested_retain_hook,
                               .release = pm__nested_release_hook,
                               .equal = pm__nested_equal_hook,
                               .join = pm__nested_join_hook,
                               .meet = pm__nested_meet_hook,
                               .subtract = pm__nested_subtract_hook,
                               .hash = pm__nested_hash_hook};
    return &ops;
}

/* ---- calls --------------------------------------------------------------------------------------------------- */

PM_API pm_status pm_nested_new(pm_map *m, pm_val *out) {
    if (pm__map_refuses(m, NULL, 0) || !out || (m->pool && m->pool->backend)) return PM_INVALID;
    if (!(pm_map_ops(m)->flags & PM_OPS_IDEMPOTENT)) return PM_MISMATCH;
    pm_status s = pm__nested_box(m, out);
    if (s == PM_OK) *m = pm_new(m->ops, m->pool);
    return s;
}

PM_API const pm_map *pm_nested_map(pm_val v) { return &pm__nested_of(v)->map; }

static bool pm__nested_is_in(const pm_map *m) { return pm_map_ops(m) == pm_ops_map(); }

PM_API const pm_map *pm_nested_get(const pm_map *m, const void *key, size_t len) {
    const pm_val *v = m && pm__nested_is_in(m) ? pm_get(m, key, len) : NULL;
    return v ? pm_nested_map(*v) : NULL;
}

PM_API pm_status pm_nested_set(pm_map *m, const void *key, size_t len, pm_map *nested) {
    pm_val v = 0;
    if (pm__map_refuses(m, key, len) || !nested || m == nested) return PM_INVALID;
    if (!pm__nested_is_in(m)) return PM_MISMATCH;
    pm_status s = pm_nested_new(nested, &v);
    if (s != PM_OK) return s;
    s = pm_set(m, key, len, v, NULL);
    if (s == PM_OK) return s;
    *nested = pm__nested_of(v)->map;
    pm__mem_free_any(pm__nested_of(v), sizeof(pm__nested));
    return s;
}

PM_API pm_status pm_nested_mut(pm_map *m, const void *key, size_t len, pm_map **out) {
    pm_val *slot = NULL, made = 0;
    if (pm__map_refuses(m, key, len) || !out) return PM_INVALID;
    if (!pm__nested_is_in(m)) return PM_MISMATCH;
    pm_status s = pm_get_mut(m, key, len, &slot);
    if (s == PM_OK && slot && pm__load_acquire(&pm__nested_of(*slot)->rc) != 1) {
        pm_map copy = pm_clone(pm_nested_map(*slot));
        s = pm__nested_box(&copy, &made);
        if (s != PM_OK) {
            pm_drop(&copy);
            return s;
        }
        pm_nested_release(*slot);
        *slot = made;
    }
    if (s == PM_OK) *out = slot ? &pm__nested_of(*slot)->map : NULL;
    return s;
}
