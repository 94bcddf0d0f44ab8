/* Compact maps: the shape that the keys alone decide. */

#include "40_map.h"

/* Lays a map out anew, as pm_build would from its sorted keys. Removals keep a map within about twice that by
   themselves; this is for maps that are read long after they were last written, and for measuring.
   What other owners hold too (clones, snapshots, subtries grafted from elsewhere or more than once) stays as it is,
   at its address, and is shared as before: nothing is un-shared. Nothing below such a node is looked at; so to compact
   a map whole, drop its clones first. Locations without value stay. If the new nodes would not take less memory than
   the old ones, the map keeps the old ones.
   Valid    slots and values that were lent (pm_get, pm_get_mut) end, as after any write
   Fails    PM_NOMEM: nothing changed. PM_INVALID: `m` is NULL
   Cost     O(keys and their bytes), as far as the map alone holds them; meanwhile the old nodes and the new ones, and
            a list of the keys below one place (of each key at most the 1 KB that follow that place)
   Threads  as any write */
PM_API PM_NODISCARD pm_status pm_compact(pm_map *m);
