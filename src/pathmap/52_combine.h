/* Formulas over many maps: what of them is in a join of meets, each without further maps, or in at least so many.

   A *clause* names maps by bits (bit i: maps[i]) and says what pm_meet makes of all in `with`, in their order, less all
   in `without`, one by one in their order, as by pm_subtract. A *formula* is what pm_join makes of its clauses in their
   order (a disjunctive normal form); or, with `at_least`, the keys that at least so many maps have, with the values of
   all that have one, joined in the order of the maps. Locations that dangle: in a clause those that dangle in all of
   `with`, where none of `without` has a location; with at_least, those that dangle in at least so many.

   The result is that of the operations one by one; but all maps are gone through together, once. A subtrie of which no
   clause can be true any more, for want of maps that have anything there, is not visited, and one for which the formula
   has come to a single map is shared, as are those that all maps share if values are idempotent. Hooks are taken to be
   associative. */

#include "02_types.h"
#include "40_map.h"

enum { PM_COMBINE_MAX = 64 };

typedef struct pm_clause {
    uint64_t with; /* not 0 */
    uint64_t without;
} pm_clause;

typedef struct pm_formula {
    const pm_clause *clauses;
    size_t n;
    unsigned at_least; /* 0: the clauses count. Else there are none */
} pm_formula;

/* Makes the map of a formula over n maps, 0 < n <= PM_COMBINE_MAX, which stay as they are. A map may stand among them
   more than once.
   Owns     the caller drops *out. It may be one of the maps, which is dropped once the result is made; else what it
            holds is not looked at
   Fails    PM_NOMEM; PM_MISMATCH: value operations differ; PM_BADHOOK: a hook returned what it must not; PM_INVALID: a
            NULL, n out of range, a clause without `with` or with a map that is not there, at_least beside clauses or
            greater than n, neither. *out is untouched, nothing is lost
   Cost     O(nodes in which the formula is not yet decided): n comparisons a key there. Nodes that several places share
            are combined once
   Threads  reads of all maps, but of one that `out` is */
PM_API PM_NODISCARD pm_status pm_combine(const pm_map *const *maps, size_t n, const pm_formula *formula, pm_map *out);

/* Calls fn for each key that pm_combine would make, in order, without making it. Stops when fn returns false.
   Valid    the key and the value during the call; fn must not write to the maps
   Fails    as pm_combine; fn may have been called before
   Cost     as pm_combine, and every key of the result is visited; memory for the path, and for what is on the way to
            it. Nodes that several places share are passed over at once only where nothing comes of them */
PM_API PM_NODISCARD pm_status pm_combine_each(const pm_map *const *maps, size_t n, const pm_formula *formula,
                                              bool (*fn)(void *ctx, const uint8_t *key, size_t len, pm_val val),
                                              void *ctx);
