/* Iterators over values and locations in key order. */

#include "50_read_zipper.h"

/* Iterators: `for (pm_iter i = pm_iter_vals(&m); pm_iter_next(&i);) …`
   `key` and `len` are the current path, `val` its value (NULL at a location without one); both are valid until the next
   step. The other fields are private.
   Owns     an iterator that has returned false holds nothing; one left earlier needs pm_iter_drop
   Valid    until the next write to the map that it is over
   Cost     a few nanoseconds a step; memory only for the path and the stack
   Threads  one thread per iterator; any number of iterators per map */
typedef struct pm_iter {
    const uint8_t *key;
    size_t len;
    const pm_val *val;
    pm_rz z;
    bool (*next)(struct pm_iter *i);
    uint8_t state;
} pm_iter;

/* Returns an iterator over every value in key order, the empty path first. It is not begun: pm_iter_next goes to the
   first. */
PM_API pm_iter pm_iter_vals(const pm_map *m);
/* Returns an iterator over every location in key order, the empty path first. */
PM_API pm_iter pm_iter_paths(const pm_map *m);
/* Returns an iterator over every value at and below the focus of `z`; keys are relative to that focus. It is valid as
   long as `z` would be, which may be dropped at once. Lack of memory ends the first step. */
PM_API pm_iter pm_iter_vals_of_rz(const pm_rz *z);
/* Steps on.
   Returns  false after the last, and when memory for the path ran out (pm_iter_status tells) */
PM_API bool pm_iter_next(pm_iter *i);
/* Tells why an iterator has ended.
   Returns  PM_OK: there is no more; PM_NOMEM; of a view, what its function returned */
PM_API pm_status pm_iter_status(const pm_iter *i);
/* Ends an iterator before its end; afterwards, or twice, or of zero or NULL, it does nothing. */
PM_API void pm_iter_drop(pm_iter *i);
