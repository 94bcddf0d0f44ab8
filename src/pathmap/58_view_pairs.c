/* Views of two zippers side by side: overlay, meet, subtract.

   A pair goes from terminal to terminal: its factors go ahead to theirs, each on its own, and the smaller one is looked
   at first; where only one factor's terminals count, the other one leaps to them. */
#include "45_map_algebra.c"
#include "57_views.c"
#include "58_view_pairs.h"

typedef enum pm__pair_kind { PM__OVERLAY, PM__MEET, PM__SUBTRACT } pm__pair_kind;

typedef struct pm__pair {
    pm_rz left, right;
    const pm_ops *ops;
    pm__pair_kind kind;
    pm_view_choose_fn choose;
    void *ctx;
    pm_val made; /* the value shown, if it is neither factor's */
    bool kept;   /* `made` holds a reference */
    size_t floor;
    bool left_on, right_on; /* it stands on a terminal */
    int order;   /* < 0: the left one is on the terminal shown; > 0: the right one; 0: both */
} pm__pair;

/* ---- values ---------------------------------------------------------------------------------------------------- */

static pm_alg pm__pair_combine(const pm__pair *p, const pm_val *l, const pm_val *r, pm_val *made) {
    if (p->kind == PM__MEET) return l && r ? pm__val_meet(p->ops, *l, *r, made) : PM_ALG_NONE;
    if (p->kind == PM__SUBTRACT) {
        if (!l || !r) return l ? PM_ALG_LEFT : PM_ALG_NONE;
        return pm__val_subtract(p->ops, *l, *r, made);
    }
    if (!l && !r) return PM_ALG_NONE;
    if (p->choose) return p->choose(p->ctx, l, r, made);
    return l ? PM_ALG_LEFT : PM_ALG_RIGHT;
}

static void pm__pair_forget(pm__pair *p) {
    if (p->kept) pm__val_release(p->ops, p->made);
    p->kept = false;
}

/* Shows what becomes of two values. */
static bool pm__pair_show(pm__pair *p, const pm_val *l, const pm_val *r, pm_terminal *t) {
    pm_val made = 0;
    pm_alg a = pm__pair_combine(p, l, r, &made);
    pm_status s = p->ops ? pm__val_failed(p->ops) : PM_OK;
    pm__pair_forget(p);
    t->val = NULL;
    if (s != PM_OK) {
        if (a == PM_ALG_ELEMENT) pm__val_release(p->ops, made);
        t->status = s;
        return false;
    }
    switch (a) {
    case PM_ALG_NONE: break;
    case PM_ALG_LEFT:
    case PM_ALG_BOTH: t->val = l; break;
    case PM_ALG_RIGHT: t->val = r; break;
    case PM_ALG_ELEMENT:
        p->made = made;
        p->kept = true;
        t->val = &p->made;
        break;
    default: t->status = PM_BADHOOK;
    }
    return t->val != NULL;
}

/* ---- from terminal to terminal --------------------------------------------------------------------------------- */

static PM__INLINE void pm__pair_pull_left(pm__pair *p, pm_terminal *t) {
    p->left_on = pm__view_asked(&p->left, pm__iter_next_terminal(&p->left, p->floor), t);
}

static PM__INLINE void pm__pair_pull_right(pm__pair *p, pm_terminal *t) {
    p->right_on = pm__view_asked(&p->right, pm__iter_next_terminal(&p->right, p->floor), t);
}

/* The path of a factor; an empty one may have no bytes. */
static PM__INLINE const uint8_t *pm__pair_path(const pm_rz *z) { return z->path ? z->path + z->root_len : NULL; }

/* Which of two focuses comes first; *prefix: whether it lies above the other. */
static PM__INLINE int pm__pair_order(const pm_rz *a, const pm_rz *b, bool *prefix) {
    size_t an = a->len - a->root_len, bn = b->len - b->root_len, min = an < bn ? an : bn;
    const uint8_t *as = pm__pair_path(a), *bs = pm__pair_path(b);
    size_t same = min ? pm__lcp(as, bs, min) : 0;
    *prefix = same == min;
    if (same < min) return as[same] < bs[same] ? -1 : 1;
    return (an > bn) - (an < bn);
}

enum { PM__LEAP_STEPS = 3 }; /* terminals that are passed one by one before it pays to search */

/* Brings a factor to the first terminal at or after that of the other one. *order, *prefix: as of pm__pair_order. */
static bool pm__pair_chase(pm_rz *z, const pm_rz *other, size_t floor, int *order, bool *prefix) {
    for (int i = 0; i < PM__LEAP_STEPS; i++) {
        if (!pm__iter_next_terminal(z, floor)) return false;
        if ((*order = pm__pair_order(z, other, prefix)) >= 0) return true;
    }
    if (!pm__iter_seek_terminal(z, floor, pm__pair_path(other), other->len - other->root_len)) return false;
    *order = pm__pair_order(z, other, prefix);
    return true;
}

static bool pm__pair_chase_left(pm__pair *p, bool *prefix, pm_terminal *t) {
    p->left_on = pm__pair_chase(&p->left, &p->right, p->floor, &p->order, prefix);
    return pm__view_asked(&p->left, p->left_on, t);
}

static bool pm__pair_chase_right(pm__pair *p, bool *prefix, pm_terminal *t) {
    p->right_on = pm__pair_chase(&p->right, &p->left, p->floor, &p->order, prefix);
    p->order = p->right_on ? -p->order : -1;
    return pm__view_asked(&p->right, p->right_on, t);
}

/* Whether a factor that is on a terminal has nothing below it. */
static bool pm__pair_is_end(pm_rz *z, const pm_val *v, pm_terminal *t) { return !v || !pm__view_leads_on(z, t); }

/* Whether the factors' terminals, as they stand, make one of the view. If not, those that come first go on. */
static bool pm__overlay_here(pm__pair *p, bool prefix, pm_terminal *t) {
    const pm_val *l = p->order <= 0 ? pm_rz_val(&p->left) : NULL, *r = p->order >= 0 ? pm_rz_val(&p->right) : NULL;
    if (pm__pair_show(p, l, r, t)) return true;
    bool l_end = p->order <= 0 ? pm__pair_is_end(&p->left, l, t) : !(prefix && p->left_on);
    bool r_end = p->order >= 0 ? pm__pair_is_end(&p->right, r, t) : !(prefix && p->right_on);
    if (l_end && r_end) return true;
    if (p->order <= 0) pm__pair_pull_left(p, t);
    if (p->order >= 0) pm__pair_pull_right(p, t);
    return false;
}

static bool pm__meet_here(pm__pair *p, bool prefix, pm_terminal *t) {
    while (p->order)
        if (!(p->order < 0 ? pm__pair_chase_left(p, &prefix, t) : pm__pair_chase_right(p, &prefix, t))) return false;
    const pm_val *l = pm_rz_val(&p->left), *r = pm_rz_val(&p->right);
    if (pm__pair_show(p, l, r, t) || (!l && !r)) return true;
    pm__pair_pull_left(p, t);
    pm__pair_pull_right(p, t);
    return false;
}

static bool pm__subtract_here(pm__pair *p, bool prefix, pm_terminal *t) {
    if (p->order > 0 && !pm__pair_chase_right(p, &prefix, t) && t->status != PM_OK) return false;
    const pm_val *l = pm_rz_val(&p->left);
    if (pm__pair_show(p, l, p->order ? NULL : pm_rz_val(&p->right), t)) return true;
    if (!l && p->order && !(prefix && p->right_on)) return true;
    pm__pair_pull_left(p, t);
    return false;
}

/* Where the terminal is that is shown. */
static PM__INLINE void pm__pair_tell(const pm__pair *p, pm_terminal *t) {
    const pm_rz *at = p->order <= 0 ? &p->left : &p->right;
    t->path = pm__pair_path(at);
    t->len = at->len - at->root_len;
}

/* From where the factors stand on to the first terminal of the view. A value that a bad hook was to make is none. */
static bool pm__pair_go_on(pm__pair *p, pm_terminal *t) {
    for (bool found = false; !found;) {
        bool prefix = false, more = p->kind == PM__MEET ? p->left_on && p->right_on : p->left_on;
        if (p->kind == PM__OVERLAY) more = p->left_on || p->right_on;
        if (!more || (t->status != PM_OK && t->status != PM_BADHOOK)) return false;
        if (p->left_on && p->right_on) p->order = pm__pair_order(&p->left, &p->right, &prefix);
        else p->order = p->left_on ? -1 : 1;
        if (p->kind == PM__OVERLAY) found = pm__overlay_here(p, prefix, t);
        else found = p->kind == PM__MEET ? pm__meet_here(p, prefix, t) : pm__subtract_here(p, prefix, t);
    }
    pm__pair_tell(p, t);
    return true;
}

static bool pm__pair_next(void *state, size_t within, pm_terminal *t) {
    pm__pair *p = (pm__pair *)state;
    (void)within;
    if (p->order <= 0 && p->left_on) pm__pair_pull_left(p, t);
    if (p->order >= 0 && p->right_on) pm__pair_pull_right(p, t);
    return pm__pair_go_on(p, t);
}

/* The origin exists whatever remains below it. */
static bool pm__pair_at_origin(pm__pair *p, pm_terminal *t) {
    p->left_on = p->right_on = false;
    pm__rz_cut_to(&p->left, p->left.root_len);
    pm__rz_cut_to(&p->right, p->right.root_len);
    if (p->kind == PM__OVERLAY || !pm__view_exists(&p->left, t)) return false;
    if (p->kind == PM__MEET && !pm__view_exists(&p->right, t)) return false;
    t->path = (const uint8_t *)"";
    t->len = 0;
    t->val = NULL;
    return true;
}

static bool pm__pair_seek(void *state, const uint8_t *key, size_t len, size_t within, pm_terminal *t) {
    pm__pair *p = (pm__pair *)state;
    p->floor = within;
    p->right_on = false;
    p->left_on = pm__view_asked(&p->left, pm__iter_seek_terminal(&p->left, within, key, len), t);
    if (p->left_on || p->kind == PM__OVERLAY)
        p->right_on = pm__view_asked(&p->right, pm__iter_seek_terminal(&p->right, within, key, len), t);
    if (pm__pair_go_on(p, t)) return true;
    return len == 0 && t->status == PM_OK && pm__pair_at_origin(p, t);
}

/* ---- back from terminal to terminal ---------------------------------------------------------------------------- */

/* Each factor stands on its last terminal before where the pair has come to; the later one is looked at first. What a
   terminal's factor has below it has been passed, so it must be looked for. */

static void pm__pair_pull_back(pm_rz *z, size_t floor, bool *on, pm_terminal *t) {
    *on = pm__view_asked(z, pm__iter_prev_terminal(z, floor, false), t);
}

/* Brings a factor to its last terminal at or before that of the other one. *order: as of pm__pair_order. */
static bool pm__pair_chase_back(pm_rz *z, const pm_rz *other, size_t floor, int *order) {
    bool prefix;
    for (int i = 0; i < PM__LEAP_STEPS; i++) {
        if (!pm__iter_prev_terminal(z, floor, false)) return false;
        if ((*order = pm__pair_order(z, other, &prefix)) <= 0) return true;
    }
    if (!pm__iter_go(z, pm__pair_path(other), other->len - other->root_len)) return false;
    *order = pm__iter_is_terminal(z) ? 0 : -1;
    return z->status == PM_OK && (*order == 0 || pm__iter_prev_terminal(z, floor, false));
}

/* Whether a factor has something below the other one's focus, or, with `at`, there. It stays before that. */
static bool pm__pair_has(pm_rz *z, const pm_rz *other, bool at, size_t floor, bool *on, pm_terminal *t) {
    bool has = pm__view_asked(z, pm__iter_go(z, pm__pair_path(other), other->len - other->root_len), t) &&
               (at ? pm__view_exists(z, t) : pm__view_leads_on(z, t));
    pm__pair_pull_back(z, floor, on, t);
    return has;
}

static bool pm__overlay_back(pm__pair *p, pm_terminal *t) {
    const pm_val *l = p->order <= 0 ? pm_rz_val(&p->left) : NULL, *r = p->order >= 0 ? pm_rz_val(&p->right) : NULL;
    if (pm__pair_show(p, l, r, t)) return true;
    bool below = p->order <= 0 ? !pm__pair_is_end(&p->left, l, t)
                               : pm__pair_has(&p->left, &p->right, false, p->floor, &p->left_on, t);
    below |= p->order >= 0 ? !pm__pair_is_end(&p->right, r, t)
                           : pm__pair_has(&p->right, &p->left, false, p->floor, &p->right_on, t);
    if (!below) return true;
    if (p->order <= 0) pm__pair_pull_back(&p->left, p->floor, &p->left_on, t);
    if (p->order >= 0) pm__pair_pull_back(&p->right, p->floor, &p->right_on, t);
    return false;
}

static bool pm__meet_back(pm__pair *p, pm_terminal *t) {
    while (p->order) {
        bool left = p->order < 0;
        pm_rz *z = left ? &p->left : &p->right;
        bool on = pm__pair_chase_back(z, left ? &p->right : &p->left, p->floor, &p->order);
        *(left ? &p->left_on : &p->right_on) = pm__view_asked(z, on, t);
        if (!on) return false;
        if (left) p->order = -p->order;
    }
    const pm_val *l = pm_rz_val(&p->left), *r = pm_rz_val(&p->right);
    if (pm__pair_show(p, l, r, t) || (!l && !r)) return true;
    pm__pair_pull_back(&p->left, p->floor, &p->left_on, t);
    pm__pair_pull_back(&p->right, p->floor, &p->right_on, t);
    return false;
}

static bool pm__subtract_back(pm__pair *p, pm_terminal *t) {
    if (p->order > 0) {
        p->right_on = pm__pair_chase_back(&p->right, &p->left, p->floor, &p->order);
        if (!pm__view_asked(&p->right, p->right_on, t)) p->order = -1;
        if (t->status != PM_OK) return false;
    }
    const pm_val *l = pm_rz_val(&p->left);
    if (pm__pair_show(p, l, p->order ? NULL : pm_rz_val(&p->right), t)) return true;
    if (!l && p->order && !pm__pair_has(&p->right, &p->left, true, p->floor, &p->right_on, t)) return true;
    pm__pair_pull_back(&p->left, p->floor, &p->left_on, t);
    return false;
}

static bool pm__pair_go_back(pm__pair *p, pm_terminal *t) {
    for (bool found = false; !found;) {
        bool prefix, more = p->kind == PM__MEET ? p->left_on && p->right_on : p->left_on;
        if (p->kind == PM__OVERLAY) more = p->left_on || p->right_on;
        if (!more || (t->status != PM_OK && t->status != PM_BADHOOK)) return false;
        if (p->left_on && p->right_on) p->order = -pm__pair_order(&p->left, &p->right, &prefix);
        else p->order = p->left_on ? -1 : 1;
        if (p->kind == PM__OVERLAY) found = pm__overlay_back(p, t);
        else found = p->kind == PM__MEET ? pm__meet_back(p, t) : pm__subtract_back(p, t);
    }
    pm__pair_tell(p, t);
    return true;
}

static bool pm__pair_prev(void *state, size_t within, pm_terminal *t) {
    pm__pair *p = (pm__pair *)state;
    (void)within;
    if (p->order <= 0 && p->left_on) pm__pair_pull_back(&p->left, p->floor, &p->left_on, t);
    if (p->order >= 0 && p->right_on) pm__pair_pull_back(&p->right, p->floor, &p->right_on, t);
    return pm__pair_go_back(p, t);
}

static bool pm__pair_seek_back(void *state, const uint8_t *key, size_t len, size_t within, bool below,
                               pm_terminal *t) {
    pm__pair *p = (pm__pair *)state;
    p->floor = within;
    p->left_on = pm__view_asked(&p->left, pm__iter_seek_back(&p->left, within, key, len, below), t);
    p->right_on = pm__view_asked(&p->right, pm__iter_seek_back(&p->right, within, key, len, below), t);
    if (pm__pair_go_back(p, t)) return true;
    if (within || t->status != PM_OK) return false;
    return pm__pair_seek(p, (const uint8_t *)"", 0, 0, t) && t->len == 0; /* the origin, if there is nothing else */
}

static bool pm__pair_share(void *state, const uint8_t *key, size_t len, pm_pool *pool, pm_map *out, pm_status *s) {
    pm__pair *p = (pm__pair *)state;
    pm_rz *factors[2] = {&p->left, &p->right};
    pm_map maps[2], made;
    unsigned n = 0;
    bool can = p->kind != PM__OVERLAY;
    for (*s = PM_OK; can && *s == PM_OK && n < 2; n++) {
        if (!pm__iter_go(factors[n], key, len)) *s = factors[n]->status;
        else can = pm__iter_share(factors[n], pool, &maps[n], s);
        factors[n]->status = PM_OK;
        if (!can || *s != PM_OK) break;
    }
    if (n == 2) {
        *s = p->kind == PM__MEET ? pm_meet(&maps[0], &maps[1], &made, NULL)
                                 : pm_subtract(&maps[0], &maps[1], &made, NULL);
        if (*s == PM_OK) *out = made;
    }
    while (n) pm_drop(&maps[--n]);
    return can;
}

static void pm__pair_drop(void *state) {
    pm__pair *p = (pm__pair *)state;
    pm__pair_forget(p);
    pm_rz_drop(&p->left);
    pm_rz_drop(&p->right);
    pm__mem_free_big(p, sizeof *p);
}

static pm_status pm__pair_fork(const void *state, bool own, void **out) {
    const pm__pair *as = (const pm__pair *)state;
    pm__pair *p = (pm__pair *)pm__mem_alloc_big(sizeof *p);
    if (!p) return PM_NOMEM;
    *p = *as;
    p->kept = false;
    p->left = p->right = pm__rz_none;
    pm_status s = pm__view_fork_factor(&as->left, own, &p->left);
    if (s == PM_OK) s = pm__view_fork_factor(&as->right, own, &p->right);
    if (s == PM_OK) *out = p;
    else pm__pair_drop(p);
    return s;
}

static const pm_view_ops pm__view_pair = {
    pm__pair_seek, pm__pair_next, pm__pair_seek_back, pm__pair_prev, pm__pair_fork, pm__pair_drop, pm__pair_share};

static pm_status pm__pair_open(pm__pair_kind kind, const pm_rz *left, const pm_rz *right, pm_view_choose_fn choose,
                               void *ctx, pm_rz *out) {
    pm_rz agreed = pm__rz_none, made;
    if (!out || !left || !right) return PM_INVALID;
    pm_status s = pm__view_agree(&agreed, left);
    if (s == PM_OK) s = pm__view_agree(&agreed, right);
    if (s != PM_OK) return s;
    pm__pair *p = (pm__pair *)pm__mem_alloc_big(sizeof *p);
    if (!p) return PM_NOMEM;
    memset(p, 0, sizeof *p);
    p->kind = kind;
    p->ops = agreed.ops;
    p->choose = choose;
    p->ctx = ctx;
    s = pm_rz_fork(left, &p->left);
    if (s == PM_OK) s = pm_rz_fork(right, &p->right);
    if (s == PM_OK) s = pm_rz_open_view(&pm__view_pair, p, agreed.ops, agreed.pool, NULL, 0, &made);
    if (s == PM_OK) pm__view_opened(out, &made, out == left || out == right);
    else pm__pair_drop(p);
    return s;
}

PM_API pm_status pm_view_overlay(const pm_rz *left, const pm_rz *right, pm_view_choose_fn choose, void *ctx,
                                 pm_rz *out) {
    return pm__pair_open(PM__OVERLAY, left, right, choose, ctx, out);
}

PM_API pm_status pm_view_meet(const pm_rz *left, const pm_rz *right, pm_rz *out) {
    return pm__pair_open(PM__MEET, left, right, NULL, NULL, out);
}

PM_API pm_status pm_view_subtract(const pm_rz *left, const pm_rz *right, pm_rz *out) {
    return pm__pair_open(PM__SUBTRACT, left, right, NULL, NULL, out);
}
