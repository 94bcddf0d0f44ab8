/* How much maps share. */

#include "40_map.h"

/* What several maps are made of, and what they have in common. A map beside its clone: everything is shared. */
typedef struct pm_sharing {
    uint64_t nodes, bytes;               /* of all maps together, what they share once */
    uint64_t apart_nodes, apart_bytes;   /* what they would take if none of them shared anything with another */
    uint64_t shared_nodes, shared_bytes; /* of `nodes` and `bytes`, what at least two of the maps have */
} pm_sharing;

/* Says how much n maps share: what a version beside others costs, or what a deep copy would. Bytes are those of nodes,
   as pm_get_stats counts them; of a wide node whose blocks are shared, the blocks.
   Fails    PM_NOMEM; PM_INVALID: more than 65,535 maps
   Cost     O(distinct nodes of each map, added up)
   Threads  a read of each */
PM_API PM_NODISCARD pm_status pm_get_sharing(const pm_map *const *maps, size_t n, pm_sharing *out);
