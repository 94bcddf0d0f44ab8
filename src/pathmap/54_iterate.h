/* Iterators over values and locations in key order. */

#include "50_read_zipper.h"

/* Iterators: `for (pm_iter i = pm_iter_vals(&m); pm_iter_next(&i);) …`
   `key` and `len` are the current path, `val` its value (NULL at a location without one).
   Owns     an iterator that has answered false holds nothing; one left earlier needs pm_iter_drop */
typedef struct pm_iter {
    const uint8_t *key;
    size_t len;
    const pm_val *val;
    pm_rz z;
    bool (*next)(struct pm_iter *i);
    uint8_t state;
} pm_iter;

/* Every value in key order, the empty path first.  Valid until the next write to `m`. */
PM_API pm_iter pm_iter_vals(const pm_map *m);
/* Every location in key order, the empty path first. */
PM_API pm_iter pm_iter_paths(const pm_map *m);
/* Every value at and below the focus of `z`; keys are relative to that focus. */
PM_API pm_iter pm_iter_vals_of_rz(const pm_rz *z);
/* Steps on. False after the last, and when memory for the path ran out (pm_iter_status tells). */
PM_API bool pm_iter_next(pm_iter *i);
PM_API pm_status pm_iter_status(const pm_iter *i);
PM_API void pm_iter_drop(pm_iter *i);
