/* A set of bytes: which children a location has. */

#include "01_config.h"

/* A set of bytes. Zero is the empty one; it is copied by assignment. Nothing here allocates, and each call costs a few
   instructions. NULL in place of a set counts as the empty one, and equals none. */
typedef struct pm_mask {
    uint64_t w[4]; /* byte b is bit b%64 of w[b/64] */
} pm_mask;

/* Returns whether `b` is in the set. `m` must not be NULL. */
static inline bool pm_mask_test(const pm_mask *m, uint8_t b) { return (m->w[b >> 6] >> (b & 63)) & 1; }
/* Adds `b`. `m` must not be NULL. */
static inline void pm_mask_set(pm_mask *m, uint8_t b) { m->w[b >> 6] |= UINT64_C(1) << (b & 63); }
/* Removes `b`. `m` must not be NULL. */
static inline void pm_mask_clear(pm_mask *m, uint8_t b) { m->w[b >> 6] &= ~(UINT64_C(1) << (b & 63)); }
/* Returns whether nothing is in the set. `m` must not be NULL. */
static inline bool pm_mask_is_empty(const pm_mask *m) { return !(m->w[0] | m->w[1] | m->w[2] | m->w[3]); }

/* Returns how many bytes are in the set. */
PM_API unsigned pm_mask_count(const pm_mask *m);
/* Returns how many bytes of the set are smaller than `b`. */
PM_API unsigned pm_mask_rank(const pm_mask *m, uint8_t b);
/* Returns the i-th smallest byte of the set (from 0), or -1 if there are not so many. */
PM_API int pm_mask_select(const pm_mask *m, unsigned i);
/* Returns the smallest byte of the set that is at least `from` (0..256), or -1. */
PM_API int pm_mask_next(const pm_mask *m, int from);
/* Returns the largest byte of the set that is at most `from` (-1..255), or -1. */
PM_API int pm_mask_prev(const pm_mask *m, int from);
/* Returns the set of all n bytes at `bytes`; the empty set if that is NULL.
   Cost     O(n) */
PM_API pm_mask pm_mask_of(const void *bytes, size_t n);
/* Returns the union of two sets. */
PM_API pm_mask pm_mask_or(pm_mask a, pm_mask b);
/* Returns what is in both sets. */
PM_API pm_mask pm_mask_and(pm_mask a, pm_mask b);
/* Returns what is in `a`, and not in `b`. */
PM_API pm_mask pm_mask_andnot(pm_mask a, pm_mask b);
/* Returns whether two sets have the same bytes. */
PM_API bool pm_mask_equal(const pm_mask *a, const pm_mask *b);
