/* Clones for threads that clone all the time. */

#include "40_map.h"

/* Clones a map, with a root node of the clone's own. All clones of one map count at its root node, so threads that
   clone and drop it all the time hand one cache line to and fro. A thread that does so on a clone that it has made
   apart writes to a line of its own, and shares all else.
   Owns     the caller drops *out
   Fails    PM_NOMEM, PM_INVALID: *out is unchanged
   Cost     O(entries of the root node): one node, and an atomic increment for each of its children
   Threads  a read of `m` */
PM_API PM_NODISCARD pm_status pm_clone_apart(const pm_map *m, pm_map *out);
