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

/* Each of these makes a new map of two, which stay as they are and may be one and the same map. What holds for all:
   *alg (may be NULL): PM_ALG_NONE if the result is the empty map, else exactly which operands it equals.
   Owns     the caller drops *out. It may be one of the operands, which is dropped once the result is made; else what it
            holds is not looked at
   Fails    PM_NOMEM; PM_MISMATCH: the operands' value operations differ; PM_BADHOOK: a hook returned what it must not.
            *out and *alg are untouched, nothing is lost
   Cost     O(nodes that differ); subtries that the operands share are not visited if values are idempotent
   Threads  reads of both operands, but of one that `out` is */

/* Makes the union: all locations of both. */
PM_API PM_NODISCARD pm_status pm_join(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
/* Makes the intersection: what both have. */
PM_API PM_NODISCARD pm_status pm_meet(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
/* Makes the difference: what `a` has and `b` has not, or has with a smaller value, as the hook says. */
PM_API PM_NODISCARD pm_status pm_subtract(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
/* Makes a map of what of `a` lies at or below a value of `b`. The values of `b` themselves do not matter. */
PM_API PM_NODISCARD pm_status pm_restrict(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
/* Makes a map of what only one of the two has. */
PM_API PM_NODISCARD pm_status pm_symmetric_difference(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);

/* Joins n maps at once, n > 0; the hooks are taken to be associative. The operands stay as they are.
   *which (may be NULL): the first operand that the result equals; n: none.
   Owns     as pm_join
   Fails    PM_INVALID if n is 0; else as pm_join. With `which` also PM_NOMEM of pm_equal
   Cost     one pass over byte nodes that several operands have at one place; see pm_join. With `which`, also that of
            pm_equal for each operand */
PM_API PM_NODISCARD pm_status pm_join_many(const pm_map *const *maps, size_t n, pm_map *out, size_t *which);
/* Meets n maps at once; otherwise like pm_join_many. */
PM_API PM_NODISCARD pm_status pm_meet_many(const pm_map *const *maps, size_t n, pm_map *out, size_t *which);
