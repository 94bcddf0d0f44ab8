/* Iterators over values and locations in key order. */

#include "50_read_zipper.h"

/* Iterators: `for (pm_iter i = pm_iter_vals(&m); pm_iter_next(&i);) …`
   `key` and `len` are the current path, `val` its value (NULL at a location without one); both are valid until the next
   step. Assigning moves. A new iterator stands outside: pm_iter_next goes to the first place, pm_iter_prev to the last
   one; after that either may follow the other. So the same loop with pm_iter_prev goes backwards.
   Owns     an iterator that has returned false holds nothing, and stays at its end; one left earlier needs pm_iter_drop
   Valid    over a map until the next write to it, which leaves nothing but pm_iter_drop; over a zipper that owns what
            it reads, always: iterate a clone, or resume after the last key (pm_iter_after), to write meanwhile
   Cost     a few nanoseconds a step; memory only for the path and the stack
   Threads  one thread per iterator; any number of iterators per map */
typedef struct pm_iter {
    const uint8_t *key;
    size_t len;
    const pm_val *val;
    pm_rz z; /* from here on private */
    bool (*next)(struct pm_iter *i);
    const uint8_t *from, *to;
    size_t from_len, to_len;
    uint8_t state;
    bool paths, after, within;
} pm_iter;

/* Returns an iterator over every value in key order, the empty path first. It is not begun: pm_iter_next goes to the
   first.  NULL: there are none. */
PM_API pm_iter pm_iter_vals(const pm_map *m);
/* Returns an iterator over every location in key order, the empty path first.  NULL: that of an empty map. */
PM_API pm_iter pm_iter_paths(const pm_map *m);
/* Returns an iterator over every value at and below the focus of `z`; keys are relative to that focus.
   Valid    as a fork of `z`, which may be dropped at once.  NULL: there are none
   Fails    PM_NOMEM, or what a view's fork returned: pm_iter_status tells, there is nothing to visit */
PM_API pm_iter pm_iter_vals_of_rz(const pm_rz *z);

/* These take an iterator that has not been used yet, and give it back with bounds, which stay the caller's and must
   last as long as it does: `pm_iter i = pm_iter_prefix(pm_iter_vals(&m), "ab", 2)`. No memory is needed.
   A key of NULL and a length that is not 0 are refused: nothing is visited, the status is PM_INVALID. */

/* Returns `all` within what begins with `key`, in place of earlier bounds. */
PM_API pm_iter pm_iter_prefix(pm_iter all, const void *key, size_t len);
/* Returns `all` within what is at or after `from` and before `to`, in place of earlier bounds. NULL: no bound. */
PM_API pm_iter pm_iter_range(pm_iter all, const void *from, size_t from_len, const void *to, size_t to_len);
/* Returns `all` after `key`, which need not exist, and within earlier bounds: the next page after the last key of
   one. */
PM_API pm_iter pm_iter_after(pm_iter all, const void *key, size_t len);

/* Steps on.
   Returns  false after the last, and when memory for the path ran out (pm_iter_status tells)
   Cost     amortised O(bytes that differ from the path before) */
PM_API bool pm_iter_next(pm_iter *i);
/* Steps back.
   Returns  false before the first, and likewise */
PM_API bool pm_iter_prev(pm_iter *i);
/* Tells why an iterator has ended.
   Returns  PM_OK: there is no more; PM_NOMEM; of a view, what its function returned */
PM_API pm_status pm_iter_status(const pm_iter *i);
/* Takes a witness of what the iterator goes over, as pm_rz_witness does: values that it has shown stay valid until the
   witness is dropped, whatever happens to the iterator and to the map. Of an iterator that has ended it keeps nothing.
   Owns     pm_witness_drop
   Cost     O(1).  NULL: keeps nothing */
PM_API pm_witness pm_iter_witness(const pm_iter *i);
/* Stores the value that the iterator shows in *out, or NULL if there is none; it is valid as long as the witness.
   (i->val is as well, but for the value of the empty path, which stands in the map itself.)
   Fails    PM_INVALID: `w` witnesses other content, or the iterator has ended */
PM_API PM_NODISCARD pm_status pm_iter_val_witnessed(const pm_iter *i, const pm_witness *w, const pm_val **out);
/* Ends an iterator before its end; afterwards, or twice, or of zero or NULL, it does nothing. */
PM_API void pm_iter_drop(pm_iter *i);
