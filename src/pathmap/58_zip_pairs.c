/* Views of two zippers side by side: overlay, meet, subtract. */
#include "57_zip_views.c"
#include "58_zip_pairs.h"

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
