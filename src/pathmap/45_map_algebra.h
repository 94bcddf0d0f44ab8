/* Algebra on maps.

   Locations and values combine apart. With P the locations of a map, V its values, D its dangling leaves:
     join      all locations of both; values by the `join` hook where both have one
     meet      values by the `meet` hook where both have one, and what dangles in both
     subtract  values of the left by the `subtract` hook where both have one, else as they are; what dangles in the
               left, where the right has no location
     restrict  what of the left has a prefix (itself and the empty one included) with a value in the right
     symmetric difference   (left subtract right) join (right subtract left)
   and the prefixes of all that. A result shares with the operands every subtrie that did not change. */

#include "02_types.h"
#include "40_map.h"

/* Make a new map of two, which stay as they are. The operands may be one and the same map.
   *alg (may be NULL): PM_ALG_NONE if the result is the empty map, else exactly which operands it equals, else
   PM_ALG_ELEMENT.
   Owns     the caller drops *out, which is written without being dropped first
   Fails    PM_NOMEM; PM_MISMATCH: the operands' value operations differ; PM_BADHOOK: a hook answered what it must not.
            *out and *alg are untouched, nothing is lost
   Cost     O(nodes that differ); subtries that the operands share are not visited if values are idempotent */
PM_API PM_NODISCARD pm_status pm_join(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
PM_API PM_NODISCARD pm_status pm_meet(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
PM_API PM_NODISCARD pm_status pm_subtract(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
PM_API PM_NODISCARD pm_status pm_restrict(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
PM_API PM_NODISCARD pm_status pm_symmetric_difference(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
