/* Views of two zippers side by side: overlay, meet, subtract.

   A pair goes from mark to mark (54_iterate.c): its factors go ahead to theirs, each on its own, and the smaller one
   is looked at first; where only one factor's marks count, the other one leaps to them. Meets and subtractions have no
   location that leads to nothing, so that their locations are the prefixes of their marks, too: steps, existence and
   children are read off the mark that was found last, which stays in the path's buffer beyond the focus:

       path   a b c | d e f       len 3, alive 6, first 3, bare 4
       the locations a, ab, .., abcdef all exist; no child of abc before d does, nor of abcd before e, ..; there is no
       value at abcd and abcde

   So the factors need not stand at the focus. They are brought there (pm__zpair_sync) when something is asked that no
   mark tells. */
#include "45_map_algebra.c"
#include "57_zip_views.c"
#include "58_zip_pairs.h"

typedef enum pm__zpair_kind { PM__OVERLAY, PM__MEET, PM__SUBTRACT } pm__zpair_kind;

/* Where the factors stand: at the focus; at the next marks from `alive` on; or anywhere. */
typedef enum pm__zpair_stand { PM__TOGETHER, PM__AHEAD, PM__ASTRAY } pm__zpair_stand;

/* A value that is shown. */
typedef struct pm__zshown {
    pm_opt val;
    bool known; /* it is that of the place it is kept for */
    bool kept;  /* it holds a reference */
} pm__zshown;

typedef struct pm__zpair {
    pm__zpath path;
    pm_zip left, right;
    const pm_ops *ops;
    pm__zpair_kind kind;
    pm__zpair_stand stand;
    pm_zip_choose_fn choose;
    void *ctx;
    size_t alive, first, bare;
    pm__zshown here, ahead; /* at the focus; at path length `alive` */
    /* Of factors that are ahead: */
    size_t floor;
    bool left_on, right_on; /* it stands on a mark */
    bool lost;              /* one had no memory to go on */
    pm_opt left_val, right_val;
    int order; /* < 0: the left one is on the mark at `alive`; > 0: the right one; 0: both */
} pm__zpair;

static const pm_ops *pm__zpair_values(const pm_zip *z) { return ((const pm__zpair *)z->state)->ops; }

/* ---- values ---------------------------------------------------------------------------------------------------- */

static void pm__zshown_end(const pm__zpair *p, pm__zshown *s) {
    if (s->kept) pm__val_release(p->ops, s->val.val);
    s->known = s->kept = false;
}

/* The value at the mark is now that at the focus. */
static void pm__zshown_move(const pm__zpair *p, pm__zshown *from, pm__zshown *to) {
    pm__zshown_end(p, to);
    *to = *from;
    from->known = from->kept = false;
}

static pm_alg pm__zpair_combine(const pm__zpair *p, pm_opt l, pm_opt r, pm_val *made) {
    if (p->kind == PM__MEET) return l.some && r.some ? pm__val_meet(p->ops, l.val, r.val, made) : PM_ALG_NONE;
    if (p->kind == PM__SUBTRACT) {
        if (!l.some || !r.some) return l.some ? PM_ALG_LEFT : PM_ALG_NONE;
        return pm__val_subtract(p->ops, l.val, r.val, made);
    }
    if (!l.some && !r.some) return PM_ALG_NONE;
    if (p->choose) return p->choose(p->ctx, l.some ? &l.val : NULL, r.some ? &r.val : NULL, made);
    return l.some ? PM_ALG_LEFT : PM_ALG_RIGHT;
}

/* Shows what becomes of two values. Those of a map stay; a view may have made them, and lends them for a moment. */
static bool pm__zpair_show(pm_zip *z, pm_opt l, pm_opt r, pm__zshown *s) {
    pm__zpair *p = (pm__zpair *)z->state;
    pm_val made = 0;
    pm_alg a = pm__zpair_combine(p, l, r, &made);
    pm__zshown shown = {{0, false}, true, false};
    switch (a) {
    case PM_ALG_NONE: break;
    case PM_ALG_LEFT:
    case PM_ALG_BOTH: shown.val = l; break;
    case PM_ALG_RIGHT: shown.val = r; break;
    case PM_ALG_ELEMENT:
        shown.val = pm__opt_of(&made);
        shown.kept = true;
        break;
    default: z->status = PM_BADHOOK;
    }
    if (shown.val.some && !shown.kept && (!pm__rz_of(&p->left) || !pm__rz_of(&p->right))) {
        pm__val_retain(p->ops, shown.val.val);
        shown.kept = true;
    }
    pm__zshown_end(p, s);
    *s = shown;
    return shown.val.some;
}

/* ---- moving up and down ---------------------------------------------------------------------------------------- */

/* Brings the factors to the focus. False: no memory. */
static bool pm__zpair_sync(pm__zpair *p) {
    if (PM__LIKELY(p->stand == PM__TOGETHER)) return true;
    const uint8_t *s = p->path.at ? p->path.at + p->path.root_len : (const uint8_t *)"";
    size_t n = p->path.len - p->path.root_len;
    p->stand = PM__ASTRAY;
    if (!pm__zip_go(&p->left, s, n) || !pm__zip_go(&p->right, s, n)) return false;
    p->stand = PM__TOGETHER;
    return true;
}

/* Of a focus that has just come about: its value may be known. */
static PM__INLINE void pm__zpair_arrive(pm__zpair *p) {
    p->here.known = false;
    if (p->path.len == p->alive && p->ahead.known) pm__zshown_move(p, &p->ahead, &p->here);
}

static bool pm__zpair_down_together(pm__zpair *p, const uint8_t *key, size_t n) {
    if (!pm__zip_down(&p->left, key, n)) return false;
    if (pm__zip_down(&p->right, key, n)) return true;
    pm__zip_up(&p->left, n);
    return false;
}

static bool pm__zpair_down(pm_zip *z, const uint8_t *key, size_t n) {
    pm__zpair *p = (pm__zpair *)z->state;
    size_t len = p->path.len, known = p->alive > len ? p->alive - len : 0;
    if (!pm__view_room(z, n)) return false;
    size_t same = known ? pm__lcp(p->path.at + len, key, known < n ? known : n) : 0;
    if (same < n) { /* off the known way: the factors come along if they are here */
        if (p->stand == PM__TOGETHER && !pm__zpair_down_together(p, key, n)) return false;
        if (p->stand == PM__AHEAD) p->stand = PM__ASTRAY;
        if (same < known) p->alive = len + same, p->ahead.known = false;
    } else if (p->stand == PM__TOGETHER) {
        p->stand = PM__ASTRAY;
    }
    pm__zpath_add(&p->path, key, n);
    pm__zpair_arrive(p);
    return true;
}

static void pm__zpair_up(pm_zip *z, size_t n) {
    pm__zpair *p = (pm__zpair *)z->state;
    if (p->stand == PM__TOGETHER) {
        pm__zip_up(&p->left, n);
        pm__zip_up(&p->right, n);
    }
    p->path.len -= n;
    p->here.known = false;
}

/* ---- from mark to mark ----------------------------------------------------------------------------------------- */

/* A factor that is on no mark has none left, or there was no memory, which ends the walk. */
static PM__INLINE bool pm__zpair_on(pm__zpair *p, pm_zip *factor, bool on) {
    if (PM__UNLIKELY(!on)) p->lost |= pm__zip_ran_out(factor);
    return on;
}

static PM__INLINE void pm__zpair_pull_left(pm__zpair *p) {
    p->left_on = pm__zpair_on(p, &p->left, pm__zip_next_mark(&p->left, p->floor, &p->left_val));
}

static PM__INLINE void pm__zpair_pull_right(pm__zpair *p) {
    p->right_on = pm__zpair_on(p, &p->right, pm__zip_next_mark(&p->right, p->floor, &p->right_val));
}

/* Which of two focuses comes first; *prefix: whether it lies above the other. */
static PM__INLINE int pm__zip_order(const pm_zip *a, const pm_zip *b, bool *prefix) {
    size_t an, bn;
    const uint8_t *as = pm__zip_path(a, &an), *bs = pm__zip_path(b, &bn);
    size_t min = an < bn ? an : bn, same = min ? pm__lcp(as, bs, min) : 0;
    *prefix = same == min;
    if (same < min) return as[same] < bs[same] ? -1 : 1;
    return (an > bn) - (an < bn);
}

enum { PM__LEAP_STEPS = 3 }; /* marks that are passed one by one before it pays to search */

/* Brings a factor to the first mark at or after that of the other one. *order and *prefix: as of pm__zip_order. */
static bool pm__zip_chase(pm_zip *z, const pm_zip *other, size_t floor, pm_opt *v, int *order, bool *prefix) {
    size_t n;
    for (int i = 0; i < PM__LEAP_STEPS; i++) {
        if (!pm__zip_next_mark(z, floor, v)) return false;
        if ((*order = pm__zip_order(z, other, prefix)) >= 0) return true;
    }
    const uint8_t *s = pm__zip_path(other, &n);
    if (!pm__zip_seek_mark(z, floor, s, n, v)) return false;
    *order = pm__zip_order(z, other, prefix);
    return true;
}

static bool pm__zpair_chase_left(pm__zpair *p, bool *prefix) {
    bool on = pm__zip_chase(&p->left, &p->right, p->floor, &p->left_val, &p->order, prefix);
    return p->left_on = pm__zpair_on(p, &p->left, on);
}

static bool pm__zpair_chase_right(pm__zpair *p, bool *prefix) {
    bool on = pm__zip_chase(&p->right, &p->left, p->floor, &p->right_val, &p->order, prefix);
    p->order = on ? -p->order : -1;
    return p->right_on = pm__zpair_on(p, &p->right, on);
}

/* Whether a factor that is on a mark has nothing below it. */
static bool pm__zip_is_end(pm_zip *z, pm_opt v) { return !v.some || !pm__zip_has_children(z); }

/* Whether the factors' marks, as they stand, make one of the view. If not, those that come first go on. */
static bool pm__overlay_settle(pm_zip *z, bool prefix) {
    pm__zpair *p = (pm__zpair *)z->state;
    const pm_opt none = {0, false};
    pm_opt l = p->order <= 0 ? p->left_val : none, r = p->order >= 0 ? p->right_val : none;
    if (pm__zpair_show(z, l, r, &p->ahead)) return true;
    bool l_end = p->order <= 0 ? pm__zip_is_end(&p->left, l) : !(prefix && p->left_on);
    bool r_end = p->order >= 0 ? pm__zip_is_end(&p->right, r) : !(prefix && p->right_on);
    if (l_end && r_end) return true;
    if (p->order <= 0) pm__zpair_pull_left(p);
    if (p->order >= 0) pm__zpair_pull_right(p);
    return false;
}

static bool pm__meet_settle(pm_zip *z, bool prefix) {
    pm__zpair *p = (pm__zpair *)z->state;
    while (p->order)
        if (!(p->order < 0 ? pm__zpair_chase_left(p, &prefix) : pm__zpair_chase_right(p, &prefix))) return false;
    bool shown = pm__zpair_show(z, p->left_val, p->right_val, &p->ahead);
    if (shown || (!p->left_val.some && !p->right_val.some)) return true;
    pm__zpair_pull_left(p);
    pm__zpair_pull_right(p);
    return false;
}

static bool pm__subtract_settle(pm_zip *z, bool prefix) {
    pm__zpair *p = (pm__zpair *)z->state;
    const pm_opt none = {0, false};
    if (p->order > 0 && !pm__zpair_chase_right(p, &prefix) && p->lost) return false;
    bool shown = pm__zpair_show(z, p->left_val, p->order ? none : p->right_val, &p->ahead);
    if (shown || (!p->left_val.some && p->order && !(prefix && p->right_on))) return true;
    pm__zpair_pull_left(p);
    return false;
}

/* From where the factors stand, ahead, on to the first mark of the view. */
static bool pm__zpair_settle(pm_zip *z) {
    pm__zpair *p = (pm__zpair *)z->state;
    for (bool found = false; !found;) {
        bool prefix = false, more = p->kind == PM__MEET ? p->left_on && p->right_on : p->left_on;
        if (p->kind == PM__OVERLAY) more = p->left_on || p->right_on;
        if (!more || p->lost) return false;
        if (p->left_on && p->right_on) p->order = pm__zip_order(&p->left, &p->right, &prefix);
        else p->order = p->left_on ? -1 : 1;
        if (p->kind == PM__OVERLAY) found = pm__overlay_settle(z, prefix);
        else found = p->kind == PM__MEET ? pm__meet_settle(z, prefix) : pm__subtract_settle(z, prefix);
    }
    return true;
}

/* The factors have come to no mark. */
static bool pm__zpair_astray(pm__zpair *p) {
    p->stand = PM__ASTRAY;
    p->ahead.known = false;
    return false;
}

/* Notes the mark that the factors have come to, which is the first one after the place ref[0..n) below the root, or,
   with `at`, not before it. The focus, which that place lies at or below, goes up as far as the mark is not below it.
   False: no memory. */
static bool pm__zpair_note(pm_zip *z, size_t n, bool at) {
    pm__zpair *p = (pm__zpair *)z->state;
    size_t root = p->path.root_len, len, depth = p->path.len - root;
    const uint8_t *s = pm__zip_path(p->order <= 0 ? &p->left : &p->right, &len);
    if (PM__UNLIKELY(root + len > p->path.cap) && !pm__view_room(z, root + len - p->path.len))
        return pm__zpair_astray(p);
    uint8_t *to = p->path.at + root;
    size_t min = n < len ? n : len, same = min ? pm__lcp(to, s, min) : 0;
    memcpy(to + same, s + same, len - same);
    p->alive = root + len;
    p->first = root + same + (same < n);
    p->bare = at ? p->first : root + same + 1;
    if (same < depth) p->path.len = root + same, p->here.known = false;
    return true;
}

/* Brings the factors to the next mark after the focus that is below `floor`. */
static bool pm__zpair_advance(pm_zip *z, size_t floor) {
    pm__zpair *p = (pm__zpair *)z->state;
    bool on = p->first <= p->path.len && p->path.len <= p->alive;
    if (on && p->stand == PM__AHEAD && (floor == p->floor || (floor < p->floor && p->left_on && p->right_on))) {
        p->floor = floor;
        if (p->order <= 0) pm__zpair_pull_left(p);
        if (p->order >= 0) pm__zpair_pull_right(p);
    } else {
        if (!pm__zpair_sync(p)) return false;
        p->stand = PM__AHEAD;
        p->floor = floor;
        p->lost = p->right_on = false;
        pm__zpair_pull_left(p);
        if (p->left_on || p->kind == PM__OVERLAY) pm__zpair_pull_right(p);
    }
    return pm__zpair_settle(z) || pm__zpair_astray(p);
}

/* Whether the next mark after the focus is known. */
static PM__INLINE bool pm__zpair_knows(const pm__zpair *p) {
    return p->first <= p->path.len && p->path.len < p->alive;
}

/* Finds the next mark after the focus that is below `floor`. */
static bool pm__zpair_look(pm_zip *z, size_t floor) {
    pm__zpair *p = (pm__zpair *)z->state;
    if (pm__zpair_knows(p)) return true;
    return pm__zpair_advance(z, floor) && pm__zpair_note(z, p->path.len - p->path.root_len, false);
}

/* Brings the factors to the first mark at or after the place `key` below the root that is below `floor`. */
static bool pm__zpair_leap(pm_zip *z, size_t floor, const uint8_t *key, size_t n) {
    pm__zpair *p = (pm__zpair *)z->state;
    p->stand = PM__AHEAD;
    p->floor = floor;
    p->lost = p->right_on = false;
    p->left_on = pm__zpair_on(p, &p->left, pm__zip_seek_mark(&p->left, floor, key, n, &p->left_val));
    if (p->left_on || p->kind == PM__OVERLAY)
        p->right_on = pm__zpair_on(p, &p->right, pm__zip_seek_mark(&p->right, floor, key, n, &p->right_val));
    return pm__zpair_settle(z) || pm__zpair_astray(p);
}

/* ---- queries --------------------------------------------------------------------------------------------------- */

static pm_opt pm__zpair_val(pm_zip *z) {
    pm__zpair *p = (pm__zpair *)z->state;
    if (p->here.known) return p->here.val;
    if (p->bare <= p->path.len && p->path.len < p->alive) return pm__nothing_val(z);
    if (!pm__zpair_sync(p)) return pm__nothing_val(z);
    pm_opt l = pm_zip_val(&p->left), r = pm_zip_val(&p->right);
    (void)pm__zpair_show(z, l, r, &p->here);
    return p->here.val;
}

static bool pm__zpair_exists(pm_zip *z) {
    pm__zpair *p = (pm__zpair *)z->state;
    size_t depth = p->path.len - p->path.root_len;
    if (p->path.len && p->path.len <= p->alive) return true;
    if (p->kind == PM__OVERLAY) return pm__zpair_sync(p) && (pm_zip_exists(&p->left) || pm_zip_exists(&p->right));
    if (p->path.len == 0 || p->stand == PM__TOGETHER) {
        if (!pm__zpair_sync(p) || !pm_zip_exists(&p->left)) return false;
        if (p->kind == PM__MEET && !pm_zip_exists(&p->right)) return false;
        if (p->path.len == 0) return true; /* the origin exists whatever is left */
    }
    if (!pm__zpair_leap(z, depth, p->path.at + p->path.root_len, depth) || !pm__zpair_note(z, depth, true))
        return false;
    pm__zpair_arrive(p);
    return true;
}

static int pm__overlay_next_child(pm_zip *z, int from) {
    pm__zpair *p = (pm__zpair *)z->state;
    if (!pm__zpair_sync(p)) return -1;
    int l = pm__zip_child(&p->left, from), r = pm__zip_child(&p->right, from);
    return l < 0 || (r >= 0 && r < l) ? r : l;
}

static int pm__zpair_next_child(pm_zip *z, int from) {
    pm__zpair *p = (pm__zpair *)z->state;
    size_t len = p->path.len, depth = len - p->path.root_len;
    if (pm__zpair_knows(p) && p->path.at[len] >= from) return p->path.at[len];
    if (p->kind == PM__OVERLAY) return pm__overlay_next_child(z, from);
    if (from == 0) return pm__zpair_look(z, depth) ? p->path.at[len] : -1;
    if (from > 255 || !pm__view_room(z, 1)) return -1;
    uint8_t before = p->path.at[len];
    p->path.at[len] = (uint8_t)from;
    if (pm__zpair_leap(z, depth, p->path.at + p->path.root_len, depth + 1) && pm__zpair_note(z, depth + 1, true))
        return p->path.at[len];
    p->path.at[len] = before;
    return -1;
}

static pm_mask pm__zpair_mask(pm_zip *z) {
    pm__zpair *p = (pm__zpair *)z->state;
    pm_mask m = pm__nothing_mask(z);
    if (p->kind != PM__MEET && !pm__zpair_sync(p)) return m;
    if (p->kind == PM__OVERLAY) return pm_mask_or(pm_zip_child_mask(&p->left), pm_zip_child_mask(&p->right));
    if (p->kind == PM__SUBTRACT && !pm_zip_exists(&p->right)) return pm_zip_child_mask(&p->left);
    for (int b = pm__zpair_next_child(z, 0); b >= 0; b = pm__zpair_next_child(z, b + 1)) pm_mask_set(&m, (uint8_t)b);
    return m;
}

/* ---- moving on ------------------------------------------------------------------------------------------------- */

/* Down the known way, the factors left behind. */
static void pm__zpair_go_along(pm__zpair *p, size_t len) {
    if (p->stand == PM__TOGETHER) p->stand = PM__ASTRAY;
    p->path.len = len;
    pm__zpair_arrive(p);
}

/* To the mark that the factors have come to. How it lies to the focus is of no interest. */
static bool pm__zpair_follow(pm_zip *z, pm_opt *v) {
    pm__zpair *p = (pm__zpair *)z->state;
    size_t root = p->path.root_len, len;
    const uint8_t *s = pm__zip_path(p->order <= 0 ? &p->left : &p->right, &len);
    if (PM__UNLIKELY(root + len > p->path.cap) && !pm__view_room(z, root + len - p->path.len))
        return pm__zpair_astray(p);
    if (len) memcpy(p->path.at + root, s, len);
    p->path.len = p->alive = p->first = p->bare = root + len;
    pm__zpair_arrive(p);
    *v = pm__zpair_val(z);
    return true;
}

static bool pm__zpair_next_mark(pm_zip *z, size_t floor, pm_opt *v) {
    pm__zpair *p = (pm__zpair *)z->state;
    if (!pm__zpair_knows(p)) return pm__zpair_advance(z, floor) && pm__zpair_follow(z, v);
    pm__zpair_go_along(p, p->alive);
    *v = pm__zpair_val(z);
    return true;
}

static bool pm__zpair_next_step(pm_zip *z, size_t floor) {
    pm__zpair *p = (pm__zpair *)z->state;
    if (!pm__zpair_look(z, floor)) return false;
    pm__zpair_go_along(p, p->path.len + 1);
    return true;
}

static bool pm__zpair_seek_mark(pm_zip *z, size_t floor, const uint8_t *key, size_t n, pm_opt *v) {
    return pm__zpair_leap(z, floor, key, n) && pm__zpair_follow(z, v);
}

static bool pm__zpair_share(pm_zip *z, pm_pool *pool, pm_map *out, pm_status *s) {
    pm__zpair *p = (pm__zpair *)z->state;
    pm_map l, r;
    if (p->kind == PM__OVERLAY || !p->left.ops->share || !p->right.ops->share || !pm__zpair_sync(p)) return false;
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
    pm__zshown_end(p, &p->here);
    pm__zshown_end(p, &p->ahead);
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
                                        .next_step = pm__zpair_next_step,
                                        .next_mark = pm__zpair_next_mark,
                                        .seek_mark = pm__zpair_seek_mark,
                                        .share = pm__zpair_share};

/* A pair like `as`, of forks of its factors, which stand at its focus, rooted there. */
static pm_status pm__zpair_open(pm_zip *out, const pm__zpair *as) {
    pm__zpair *p = (pm__zpair *)pm__mem_alloc_big(sizeof *p);
    if (!p) return PM_NOMEM;
    memset(p, 0, sizeof *p);
    p->ops = as->ops;
    p->kind = as->kind;
    p->choose = as->choose;
    p->ctx = as->ctx;
    pm_status s = pm__zpath_start(&p->path, as->path.at, as->path.len) ? PM_OK : PM_NOMEM;
    if (s == PM_OK) s = pm_zip_fork(&as->left, &p->left);
    if (s == PM_OK) s = pm_zip_fork(&as->right, &p->right);
    if (s == PM_OK) pm__zip_make(out, &pm__zip_pair, p);
    else pm__zpair_free(p);
    return s;
}

static pm_status pm__zpair_fork(const pm_zip *z, pm_zip *out) {
    pm__zpair *p = (pm__zpair *)z->state;
    return pm__zpair_sync(p) ? pm__zpair_open(out, p) : PM_NOMEM;
}

static pm_status pm__zpair_of(pm_zip *out, pm__zpair_kind kind, const pm_zip *left, const pm_zip *right,
                             pm_zip_choose_fn choose, void *ctx) {
    pm__zpair as;
    if (!out || !pm__zip_is_open(left) || !pm__zip_is_open(right)) return PM_INVALID;
    memset(&as, 0, sizeof as);
    pm_status s = pm__zip_agree(&as.ops, left);
    if (s == PM_OK) s = pm__zip_agree(&as.ops, right);
    if (s != PM_OK) return s;
    as.left = *left;
    as.right = *right;
    as.kind = kind;
    as.choose = choose;
    as.ctx = ctx;
    pm_zip made = {NULL, NULL, PM_OK};
    s = pm__zpair_open(&made, &as);
    return pm__zip_opened(out, &made, out == left || out == right, s);
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
