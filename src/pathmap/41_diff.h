/* Differences: what makes one map of another.

   A *terminal* of a map is a key with a value, or a dangling leaf: a location, other than the empty path, without value
   and without extension. The terminals say all about a map. A difference tells of every key at which two maps have not
   the same: in key order, and without visiting what the maps share. */

#include "02_types.h"
#include "40_map.h"

typedef enum pm_change_kind {
    PM_ADDED = 1,   /* no terminal before */
    PM_REMOVED = 2, /* none after */
    PM_CHANGED = 3  /* a terminal before and after: another value, or a dangling leaf for a value or the reverse */
} pm_change_kind;

/* What happened to a key. Values are borrowed from the maps, or from the patch, that it comes from. */
typedef struct pm_change {
    const uint8_t *key;
    size_t len;
    pm_change_kind kind;
    bool dangled, dangles; /* whether it is a dangling leaf before, and after; it has no value then */
    pm_opt before, after;  /* its value */
} pm_change;

/* Calls fn for each change that makes `now` of `old`, in key order. Stops when fn returns false. Values are compared by
   the `equal` hook of the maps' value operations, without one as words.
   Valid    the change, and its key, during the call; fn must not write to the maps
   Fails    PM_NOMEM; PM_MISMATCH: the value operations differ. fn may have been called before
   Cost     O(nodes that differ): changes times depth at most where the maps share what is equal. Subtries that they
            share are not visited. Memory for the path, and for as many branches as there are on the way to it
   Threads  reads both maps */
PM_API PM_NODISCARD pm_status pm_diff(const pm_map *old, const pm_map *now,
                                      bool (*fn)(void *ctx, const pm_change *change), void *ctx);

/* The same step by step: for (pm_diff_iter i = pm_diff_iter_over(&old, &now); pm_diff_iter_next(&i);) use(&i.change);
   Owns     an iterator that has returned false holds nothing; one left earlier needs pm_diff_iter_drop
   Valid    until the next write to either map */
typedef struct pm_diff_iter {
    pm_change change; /* the present one, valid until the next step */
    pm_map old, now;  /* not owned; private, as is what follows */
    void *run;
    pm_status status;
    bool over;
} pm_diff_iter;

/* Begins before the first change. A map that is NULL is taken for an empty one. Allocates nothing. */
PM_API pm_diff_iter pm_diff_iter_over(const pm_map *old, const pm_map *now);
/* Steps on. False after the last change, and when it failed (pm_diff_iter_status tells).
   Cost     see pm_diff */
PM_API bool pm_diff_iter_next(pm_diff_iter *i);
/* PM_OK, or what pm_diff would return. */
PM_API pm_status pm_diff_iter_status(const pm_diff_iter *i);
/* Ends an iterator early. NULL is allowed. */
PM_API void pm_diff_iter_drop(pm_diff_iter *i);
