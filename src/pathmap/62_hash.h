/* Hashes of content, and sharing by content. */

#include "40_map.h"
#include "50_read_zipper.h"

/* A hash of content. Two maps with equal ones are taken to be equal. */
typedef struct pm_hash128 {
    uint64_t lo, hi;
} pm_hash128;

/* Hashes what a map holds: all locations, dangling ones included, and all values, these by the `hash` hook (NULL: the
   word itself). docs/formats.md defines the function: it depends neither on how the trie is cut into nodes, nor on
   machine, switches or count mode. Not meant to withstand an adversary.
   Fails    PM_NOMEM
   Cost     O(bytes of path in distinct nodes)
   Threads  a read; `hash` hooks run on the calling thread */
PM_API PM_NODISCARD pm_status pm_hash(const pm_map *m, pm_hash128 *out);

/* Hashes what is at and below a place, as if it were a map of its own. Else as pm_hash. */
PM_API PM_NODISCARD pm_status pm_hash_ref(const pm_ref *r, pm_hash128 *out);

/* What pm_merkleize did. */
typedef struct pm_merkle_stats {
    pm_hash128 hash;   /* of the map */
    uint64_t nodes;    /* distinct nodes before */
    uint64_t replaced; /* of these, gave way to an equal one */
    uint64_t copied;   /* made anew, because of what they lead to */
} pm_merkle_stats;

/* Makes subtries of equal content one shared node, wherever both begin at a node's root. Equality is verified, not
   taken from the hash. The content does not change; a second run changes nothing. `stats` may be NULL.
   Fails    PM_NOMEM: nothing changed
   Cost     O(distinct nodes), and until it returns the memory of those that change twice. Equal subtries that are cut
            into nodes differently cost a comparison each
   Threads  a write */
PM_API PM_NODISCARD pm_status pm_merkleize(pm_map *m, pm_merkle_stats *stats);
