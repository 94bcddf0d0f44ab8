/* Counted byte strings that live in a pool, and those that own something. */

#include "02_types.h"
#include "11_memory.h"

enum { PM_REGION_BYTES_MAX = 16288 }; /* the longest string in a pool over a region (pm_pool_new_in) */

/* Like pm_bytes_new, with the string in a pool (NULL: the default one), so that it counts towards the pool's budget
   and, in a pool over a region, is seen by whoever shares the region.
   Owns     the caller owns one reference: give it to a map, or drop it with pm_bytes_release
   Fails    PM_NOMEM; PM_INVALID for more than PM_REGION_BYTES_MAX bytes in a pool over a region. A string too long for
            the largest node's block (5,424 bytes) is a PM_MALLOC of its own in other pools
   Cost     one allocation, O(len)
   Threads  any */
PM_API PM_NODISCARD pm_status pm_bytes_new_in(pm_pool *pool, const void *data, size_t len, pm_val *out);

/* Gives write access to a string that is not in use yet: one that pm_bytes_new has made, before anything else is given
   it or a reference to it.
   Returns  its bytes
   Valid    while the reference is held
   Cost     O(1) */
PM_API void *pm_bytes_fill(pm_val v);

/* Like pm_bytes_release, but the last one first gives the bytes, which may be changed then, to `drop` (NULL: nothing is
   done), so that what they own goes with them: for the `release` hook of values that are structs (PM_DEFINE_BLOB_OPS).
   Cost     one atomic decrement
   Threads  any thread that holds a reference */
PM_API void pm_bytes_release_with(pm_val v, void (*drop)(void *data));
