/* Patches: differences as values of their own, which outlive the maps that they come from. */

#include "41_diff.h"

/* A list of changes, ordered by key. Zero is an empty one. Assigning the struct moves it. Fields are private. */
typedef struct pm_patch {
    const pm_ops *ops;
    void *changes;
    uint8_t *keys;
    size_t count, room, keys_len, keys_room;
} pm_patch;

/* Makes the patch of what pm_diff tells of two maps.
   Owns     the caller drops *out, which need not be initialised. The patch has a reference of each value that it names
   Fails    PM_NOMEM; PM_MISMATCH: the value operations differ. *out is untouched
   Cost     see pm_diff; 40 bytes and its key for each change */
PM_API PM_NODISCARD pm_status pm_patch_make(const pm_map *old, const pm_map *now, pm_patch *out);

/* Drops a patch, which is an empty one then. NULL, and dropping twice, are allowed.  Cost O(changes) */
PM_API void pm_patch_drop(pm_patch *p);

/* How many keys it changes. NULL: 0.  Cost O(1) */
PM_API size_t pm_patch_count(const pm_patch *p);

/* Finds the i-th change (from 0) in key order.
   Returns  false if there are not so many; *out is untouched then
   Valid    the key and the values, until the patch is changed or dropped
   Cost     O(1) */
PM_API bool pm_patch_at(const pm_patch *p, size_t i, pm_change *out);

/* Applies a patch to a map, whatever that holds: where a change has a value after it, the key gets that; where it has
   one before it only, the key loses its value; a leaf that is to dangle is made, and one that no longer does is removed
   if it dangles. Locations that lead nowhere then go. So the patch of two maps makes the second of the first.
   Fails    PM_NOMEM; PM_MISMATCH: the value operations differ; PM_BADHOOK: those of the map are refused. The map is
            untouched
   Cost     O(changes * depth). The map that it becomes is made beside it, with a node copied for each that changes */
PM_API PM_NODISCARD pm_status pm_patch_apply(const pm_patch *p, pm_map *m);

/* Turns a patch round: what was before comes after. NULL is allowed.  Cost O(changes); allocates nothing */
PM_API void pm_patch_invert(pm_patch *p);

/* Makes the patch that does what `first` does, and then `then`: of those from A to B and from B to C, that from A to C.
   Keys that come back to what they were are left out.
   Owns     the caller drops *out. It may be one of the two, which is dropped once the result is made
   Fails    PM_NOMEM; PM_MISMATCH: the value operations differ. *out is untouched
   Cost     O(changes of both) */
PM_API PM_NODISCARD pm_status pm_patch_compose(const pm_patch *first, const pm_patch *then, pm_patch *out);
