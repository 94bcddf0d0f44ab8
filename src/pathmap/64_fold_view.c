/* Folds over what a zipper stands on.

   A view is gone through from terminal to terminal (54_iterate.c). Terminals are stops; so is every place where the way
   to one leaves the way to the one before. Stops whose children are not all known wait in frames, one above the other
   on one way down; a terminal that leaves the way ends those below the place where it does.

       terminals   com b o | com e t       at "comet" the frame "combo" ends; "com", 3 bytes, becomes its parent */
#include "54_iterate.c"
#include "60_fold.c"
#include "64_fold_view.h"

typedef struct pm__fold_stop {
    pm_mask mask;
    size_t len;
    unsigned n; /* children folded so far: their results are on top of the others */
    pm_opt val; /* holds a reference */
} pm__fold_stop;

typedef struct pm__fold_view {
    pm__fold w;
    pm__list stops;
    const pm_ops *ops;
} pm__fold_view;

/* Opens a stop at the end of the path. */
static int pm__stop_open(pm__fold_view *g, size_t len, const pm_val *val) {
    pm__fold_stop s = {{{0, 0, 0, 0}}, len, 0, {val ? *val : 0, val != NULL}};
    if (!pm__list_put(&g->stops, &s, 1)) return PM_NOMEM;
    if (val) pm__val_retain(g->ops, *val);
    return PM_OK;
}

/* Ends the lowest stop. What it is a child of is the stop above, or, if that is not as low as `fork`, a new one there;
   or nothing: then it was the last, and its run goes all the way up. */
static int pm__stop_end(pm__fold_view *g, size_t fork, bool last) {
    pm__fold_stop s = *(pm__fold_stop *)pm__list_at(&g->stops, --g->stops.used);
    pm__fold_stop *up = g->stops.used ? (pm__fold_stop *)pm__list_at(&g->stops, g->stops.used - 1) : NULL;
    int st = PM_OK;
    if (!last && (!up || up->len < fork)) {
        st = pm__stop_open(g, fork, NULL); /* in the place of the one that ends: no memory is needed */
        up = (pm__fold_stop *)pm__list_at(&g->stops, g->stops.used - 1);
    }
    if (st == PM_OK)
        st = pm__fold_finish(&g->w, 0, 0, &s.mask, s.n, s.val.some ? &s.val.val : NULL, s.len, up ? up->len + 1 : 0);
    if (st == PM_OK && up) {
        pm_mask_set(&up->mask, g->w.path.data[up->len]);
        up->n++;
    }
    if (s.val.some) pm__val_release(g->ops, s.val.val);
    return st;
}

/* Ends the stops that the way down to a place, `same` bytes of it being those of the path, leaves. */
static int pm__stop_all_end(pm__fold_view *g, size_t same) {
    int st = PM_OK;
    while (st == PM_OK && g->stops.used) {
        const pm__fold_stop *s = (const pm__fold_stop *)pm__list_at(&g->stops, g->stops.used - 1);
        if (s->len <= same) break;
        st = pm__stop_end(g, same, false);
    }
    return st;
}

/* Comes to the next terminal, at `s`. */
static int pm__stop_terminal(pm__fold_view *g, const uint8_t *s, size_t len, const pm_val *val) {
    pm__list *path = &g->w.path;
    size_t min = path->used < len ? path->used : len, same = min ? pm__lcp(path->data, s, min) : 0;
    int st = pm__stop_all_end(g, same);
    if (st != PM_OK) return st;
    path->used = same;
    if (!pm__list_put(path, s + same, len - same)) return PM_NOMEM;
    return pm__stop_open(g, len, val);
}

static int pm__stop_terminals(pm__fold_view *g, pm_rz *z, size_t base) {
    const pm_val *v = pm_rz_val(z);
    int st = v ? pm__stop_open(g, 0, v) : PM_OK;
    while (st == PM_OK && pm__iter_next_terminal(z, base - z->root_len))
        st = pm__stop_terminal(g, z->path + base, z->len - base, pm_rz_val(z));
    if (st == PM_OK && !g->stops.used) st = pm__stop_open(g, 0, NULL);
    while (st == PM_OK && g->stops.used) {
        bool last = g->stops.used == 1;
        st = pm__stop_end(g, 0, last);
    }
    return st;
}

PM_API int pm_fold_rz(const pm_rz *at, const pm_fold *f, void *out) {
    if (!at || !pm__fold_is_sound(f, out)) return PM_INVALID;
    if (!pm__rz_is_view(at)) {
        pm_ref here = pm_ref_of_rz(at);
        return pm_fold_ref(&here, f, out);
    }
    pm_rz *z = pm__vz_of(at);
    pm__fold_view g = {pm__fold_begin(f), pm__list_of(sizeof(pm__fold_stop)), z->ops};
    pm_status before = pm__vz_worked(z, PM_OK);
    size_t base = z->len;
    int st = pm__stop_terminals(&g, z, base);
    pm__rz_cut_to(z, base);
    pm_status moving = pm__vz_worked(z, before);
    while (g.stops.used) {
        const pm__fold_stop *s = (const pm__fold_stop *)pm__list_at(&g.stops, --g.stops.used);
        if (s->val.some) pm__val_release(g.ops, s->val.val);
    }
    pm__list_free(&g.stops);
    if (st == PM_OK && moving != PM_OK) st = moving;
    return pm__fold_end(&g.w, st, out);
}
