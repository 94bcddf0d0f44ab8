/* Changes that look at what is there. The way to a value is made the map's alone before the caller's function runs, so
   that afterwards nothing can fail where a value stays. */
#include "29_compare.c"
#include "40_map.c"
#include "43_map_update.h"

PM_API pm_status pm_update(pm_map *m, const void *key, size_t len, pm_status (*fn)(void *ctx, pm_opt *val), void *ctx) {
    if (pm__map_refuses(m, key, len) || !fn) return PM_INVALID;
    pm__cx cx = pm__map_cx(m);
    pm_val *slot;
    if (pm__ops_is_refused(cx.ops)) return PM_BADHOOK; /* before there is a value to be lost */
    pm_status s = pm_get_mut(m, key, len, &slot);
    if (s != PM_OK) return s;
    const pm_val *v = slot ? slot : pm_get(m, key, len); /* unit maps have no slots */
    pm_opt was = {v ? *v : 0, v != NULL}, now = was;
    s = fn(ctx, &now);
    if (s != PM_OK) return s;
    if (!now.some) return was.some ? pm_remove(m, key, len, PM_PRUNE, NULL) : PM_OK;
    if (was.some) {
        if (!slot || now.val == was.val) return PM_OK;
        *slot = now.val;
        pm__pay_release(&cx, false, was.val);
        return pm__map_done(m, PM_OK);
    }
    s = pm_set(m, key, len, now.val, NULL);
    if (s != PM_OK) pm__pay_release(&cx, false, now.val);
    return s;
}

PM_API pm_status pm_set_if(pm_map *m, const void *key, size_t len, pm_opt expected, pm_opt val, bool *changed) {
    if (pm__map_refuses(m, key, len)) return PM_INVALID;
    pm_status s = PM_OK;
    bool is = pm__compare_vals(pm_map_ops(m), pm_get(m, key, len), expected.some ? &expected.val : NULL);
    if (is && val.some) s = pm_set(m, key, len, val.val, NULL);
    else if (is && expected.some) s = pm_remove(m, key, len, PM_PRUNE, NULL);
    if (s == PM_OK && changed) *changed = is;
    return s;
}
