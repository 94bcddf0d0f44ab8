/* Writes below a writer's focus: the key is put behind the cursor's path for the call, and the map is written by the
   whole path, as always. */
#include "51_write_zipper.c"
#include "56_write_at.h"

/* Puts the key behind the path. PM_OK: it is there, and the change may be made. */
static pm_status pm__below_enter(pm_wz *w, const void *key, size_t len) {
    pm_rz *z = &w->cursor;
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    if ((!key && len) || len > PM__LEN_MAX) return pm__wz_done(w, PM_INVALID);
    if (!pm__rz_room(z, z->len + len)) {
        z->status = PM_OK; /* the cursor stands where it stood */
        return pm__wz_done(w, PM_NOMEM);
    }
    if (len) memcpy(z->path + z->len, key, len);
    pm__wz_forget(w);
    pm__wz_enter(w);
    return PM_OK;
}

PM_API pm_status pm_wz_set_at(pm_wz *w, const void *key, size_t len, pm_val val, pm_opt *old) {
    pm_status s = pm__below_enter(w, key, len);
    if (s != PM_OK) return s;
    return pm__wz_left(w, pm_set(w->map, w->cursor.path, w->cursor.len + len, val, old));
}

PM_API pm_status pm_wz_remove_at(pm_wz *w, const void *key, size_t len, pm_prune prune, pm_opt *old) {
    pm_status s = pm__below_enter(w, key, len);
    const pm_rz *z = &w->cursor;
    if (s != PM_OK) return s;
    return pm__wz_left(w, pm__map_remove(w->map, z->path, z->len + len, prune, z->root_len, old));
}
