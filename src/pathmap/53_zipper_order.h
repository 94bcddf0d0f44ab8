/* Prefixes of a key on read zippers, over a map or a view: what pm_longest_prefix, pm_each_prefix and pm_common_prefix
   (47_map_order.h) are on maps, from the focus on. pm_rz_descend_to_val goes to the shortest one. */

#include "50_read_zipper.h"

/* Goes down to the longest prefix of `key`, `key` itself and the empty one included, that has a value.
   Returns  whether there is one; it is the focus then, with *found (NULL: not wanted) the bytes moved. False, unmoved:
            there is none, or no memory (pm_rz_status)
   Cost     one descent, O(len) */
PM_API bool pm_rz_descend_longest_prefix(pm_rz *z, const void *key, size_t len, size_t *found);

/* Calls fn for each prefix of `key` that has a value, the shortest first, with its length. Stops when fn returns false.
   The focus is the same afterwards; fn must not use `z`.
   Fails    PM_NOMEM, or what a view's function returned: fn may have been called before; PM_INVALID: no zipper, key or
            fn
   Cost     one descent, O(len) */
PM_API PM_NODISCARD pm_status pm_rz_each_prefix(pm_rz *z, const void *key, size_t len,
                                                bool (*fn)(void *ctx, size_t len, pm_val val), void *ctx);

/* Goes down to the end of what all values and dangling locations at and below the focus begin with.
   Returns  how many bytes it went
   Cost     O(bytes moved over) */
PM_API size_t pm_rz_descend_common_prefix(pm_rz *z);
