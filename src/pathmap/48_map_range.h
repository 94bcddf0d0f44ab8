/* Ranges of keys: counting, removing, keeping, dividing and putting together.

   A range goes from `from` (included; NULL: from the first key) to `to` (not included; NULL: to the last one); where
   `to` is not greater, it is empty. What is kept or removed are values and dangling locations; of the other locations
   those stay that lead to something which does. Whole subtries are shared or dropped, never looked at key by key: only
   the nodes on the ways to the two bounds are written anew. */

#include "47_map_order.h"

/* Counts the values in a range; saturates at UINT64_MAX.
   Fails    PM_NOMEM; PM_INVALID
   Cost     O(length of the bounds), and that of counting the nodes in the range; shared nodes are visited once
   Threads  any number at once, as long as nobody writes */
PM_API PM_NODISCARD pm_status pm_range_count(const pm_map *m, const pm_key *from, const pm_key *to, uint64_t *out);

/* Counts the values at and below `key`. Else as pm_range_count. */
PM_API PM_NODISCARD pm_status pm_prefix_count(const pm_map *m, const void *key, size_t len, uint64_t *out);

/* Counts the keys with a value less than `key`, which need not exist: pm_nth's number of the first one at or after it.
   Fails    PM_NOMEM; PM_INVALID
   Cost     O(len), and that of counting the nodes before */
PM_API PM_NODISCARD pm_status pm_rank(const pm_map *m, const void *key, size_t len, uint64_t *out);

/* Makes a map of a range. *out may be *m, which then keeps only that.
   Owns     the caller drops *out
   Fails    PM_NOMEM; PM_INVALID. *out is untouched
   Cost     O(length of the bounds): at most two nodes on each level are built, all else is shared */
PM_API PM_NODISCARD pm_status pm_subrange(const pm_map *m, const pm_key *from, const pm_key *to, pm_map *out);

/* Removes a range in place.
   Fails    PM_NOMEM: nothing changed; PM_INVALID
   Cost     as pm_subrange, and dropping what no other map holds
   Threads  a write */
PM_API PM_NODISCARD pm_status pm_remove_range(pm_map *m, const pm_key *from, const pm_key *to);
/* Removes all but a range in place. Else as pm_remove_range. */
PM_API PM_NODISCARD pm_status pm_keep_range(pm_map *m, const pm_key *from, const pm_key *to);

/* Divides a map: *out becomes what lies at and after `key`, `m` keeps what lies before.
   Owns     the caller drops *out, which is not `m`
   Fails    PM_NOMEM; PM_INVALID, also if `out` is `m`. Nothing changed
   Cost     as pm_subrange
   Threads  a write */
PM_API PM_NODISCARD pm_status pm_split(pm_map *m, const void *key, size_t len, pm_map *out);

/* Puts two maps together of which all of `a` comes before all of `b`: undoes pm_split. They stay as they are.
   Owns     the caller drops *out, which may be one of the two: that is dropped then
   Fails    PM_INVALID: something of `a` is not less than something of `b`; PM_MISMATCH: their value operations differ;
            PM_NOMEM. *out is untouched
   Cost     O(length of the last path of `a` and the first one of `b`): their nodes are built anew, all else is shared
   Threads  reads `a` and `b` */
PM_API PM_NODISCARD pm_status pm_concat(const pm_map *a, const pm_map *b, pm_map *out);
