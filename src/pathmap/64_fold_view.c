/* Folds over what a zipper stands on. A view is gone through from terminal to terminal (54_iterate.c); what one shares
   with the next is known when that has come, so each waits for it. Values that wait, and those of open stops, are held:
   a view's own may go when it moves. */
#include "54_iterate.c"
#include "60_fold.c"
#include "64_fold_view.h"

/* Passes a terminal on, whose value is held. */
static int pm__vfold_pass(pm__fold *w, const pm_opt *val, size_t len, size_t low) {
    bool room = pm__fold_room(w, 1);
    int s = room ? pm__fold_mark(w, val->some ? &val->val : NULL, len, low) : PM_NOMEM;
    if (val->some && (!room || low <= len)) pm__val_release(w->holds, val->val); /* else an open stop has it */
    return s;
}

static int pm__vfold_terminals(pm__fold *w, pm_rz *z, size_t base) {
    pm__list *path = &w->walk.path;
    const pm_val *v = pm_rz_val(z);
    bool waits = v != NULL;
    pm_opt val = {0, false};
    int st = pm__fold_floor(w, 0) && pm__walk_room(&w->walk, 0) ? PM_OK : PM_NOMEM;
    for (bool on = true; st == PM_OK && on;) {
        if (waits) {
            v = pm_rz_val(z);
            val.some = v != NULL, val.val = v ? *v : 0;
            if (v) pm__val_retain(w->holds, *v);
        }
        on = pm__iter_next_terminal(z, base - z->root_len);
        const uint8_t *s = z->path + base;
        size_t len = on ? z->len - base : 0, min = path->used < len ? path->used : len;
        size_t same = on && min ? pm__lcp(path->data, s, min) : 0;
        if (waits || !on) st = pm__vfold_pass(w, &val, path->used, on ? same + 1 : 0);
        path->used = same;
        if (st == PM_OK && !pm__list_put(path, s + same, len - same)) st = PM_NOMEM;
        waits = true;
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
    pm__fold w = pm__fold_begin(f);
    w.holds = z->ops;
    pm_status before = pm__vz_worked(z, PM_OK);
    size_t base = z->len;
    int st = pm__vfold_terminals(&w, z, base);
    pm__rz_cut_to(z, base);
    pm_status moving = pm__vz_worked(z, before);
    if (st == PM_OK && moving != PM_OK) st = moving;
    return pm__fold_end(&w, st, out);
}
