/* Writes below a writer's focus, which does not move: cheaper than going there and back, since nothing is looked for on
   the way. Else as pm_wz_set, pm_wz_get_mut and pm_wz_remove at the place `key` below the focus.
   Valid    *slot until the next write
   Fails    PM_NOMEM: nothing changed; PM_INVALID
   Cost     as the same calls of the map, and O(length of the focus' path)
   Threads  as the writer */

#include "51_write_zipper.h"

/* Sets the value at `key` below the focus, as pm_wz_set would there. */
PM_API PM_NODISCARD pm_status pm_wz_set_at(pm_wz *w, const void *key, size_t len, pm_val val, pm_opt *old);
/* Removes the value at `key` below the focus, as pm_wz_remove would there. */
PM_API PM_NODISCARD pm_status pm_wz_remove_at(pm_wz *w, const void *key, size_t len, pm_prune prune, pm_opt *old);
