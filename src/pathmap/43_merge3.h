/* Three-way merges: two maps that come from a third, put together. */

#include "42_patch.h"

/* A key that both sides changed, and not to the same. Values are borrowed from the maps; none: the side has none. */
typedef struct pm_merge_conflict {
    const uint8_t *key;
    size_t len;
    pm_opt base, ours, theirs;
} pm_merge_conflict;

/* What a key gets. */
typedef enum pm_merge_pick {
    PM_PICK_BASE,
    PM_PICK_OURS,
    PM_PICK_THEIRS,
    PM_PICK_NONE,  /* no value */
    PM_PICK_VALUE, /* the one in *val; the result takes over the reference */
    PM_PICK_FAIL   /* the merge returns PM_CONFLICT, and makes nothing */
} pm_merge_pick;

/* Merges what became of `base` on two sides. A key that one side left as it was in `base` gets the other side's value,
   or has none if that has none; if both have the same, that. Else `pick` says what it gets, in key order; NULL: a
   conflict fails the merge. Leaves that dangle go the same way, and are never in conflict. Locations that lead nowhere
   then go. The three maps may be one and the same; they stay as they are. *conflicts (may be NULL): how many keys were
   in conflict.
   Owns     the caller drops *out. It may be one of the maps, which is dropped once the result is made; else what it
            holds is not looked at
   Valid    the conflict, during the call of `pick`, which must not write to the maps
   Fails    PM_NOMEM; PM_MISMATCH: the value operations differ; PM_CONFLICT: see pm_merge_pick; PM_BADHOOK: `pick`
            returned something else, or the value operations are refused. *out and *conflicts are untouched
   Cost     O(changes from `base` to `theirs` * depth). The result shares with `ours` what `theirs` left alone, with
            `theirs` whole subtries that `ours` left alone, and what all three share is not visited
   Threads  reads the three maps */
PM_API PM_NODISCARD pm_status pm_merge3(const pm_map *base, const pm_map *ours, const pm_map *theirs,
                                        pm_merge_pick (*pick)(void *ctx, const pm_merge_conflict *c, pm_val *val),
                                        void *ctx, pm_map *out, size_t *conflicts);
