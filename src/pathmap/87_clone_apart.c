/* Clones apart. A clone counts at the root node; copied as for a write, that node is the clone's own. */
#include "40_map.c"
#include "87_clone_apart.h"

PM_API pm_status pm_clone_apart(const pm_map *m, pm_map *out) {
    if (!m || !out) return PM_INVALID;
    pm_map copy = pm_clone(m);
    pm__cx cx = pm__map_cx(&copy);
    if (copy.root && !pm__any_own(&cx, &copy.root)) {
        pm_drop(&copy);
        return PM_NOMEM;
    }
    *out = copy;
    return PM_OK;
}
