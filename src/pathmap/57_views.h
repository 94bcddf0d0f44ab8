/* Views: zippers over tries that are not stored anywhere.

     prefix     constant bytes, then another zipper's trie
     product    paths of the first factor, then of the second, ..: where a factor's path ends, the next one begins
     dependent  the same, with a function that supplies the next factor
     empty      nothing, not even a root

   A view is made of forks of its factors, rooted at their focus; the factors stay the caller's, who may move or drop
   them at once. It reads what they read, and is valid as long as that is. Its origin is where it was opened, the empty
   path, except for prefix and empty views.
   A zipper whose root does not exist holds nothing: a product with it ends there, a prefix before it does not exist.

   Opening: *out may be a factor, which is dropped once the view is open; else what it holds is not looked at.
   Owns     pm_rz_drop
   Cost     a fork of each factor; nothing is built
   Fails    PM_NOMEM; PM_INVALID: an argument is NULL; PM_MISMATCH: the factors' value operations differ; PM_BADHOOK:
            they are refused (pm_ops). *out is untouched */

#include "50_read_zipper.h"

/* Opens a view of nothing, at `path`, which is the root prefix. */
PM_API PM_NODISCARD pm_status pm_view_empty(const void *path, size_t len, pm_rz *out);
/* Opens a view of all paths of the source behind `prefix`. The leading bytes `root` of that are the root prefix; `root`
   may be NULL: there is none.
   Fails    also PM_INVALID if `prefix` does not begin with `root` */
PM_API PM_NODISCARD pm_status pm_view_prefix(const pm_rz *src, const void *prefix, size_t len, const void *root,
                                             size_t root_len, pm_rz *out);
/* Opens a view of all paths p0 p1 p2 .. of `n` factors, n >= 1. Where a factor comes to a location without child, the
   next one that has any begins; the value there is the earlier factor's, the root values of later factors are hidden.
   */
PM_API PM_NODISCARD pm_status pm_view_product(const pm_rz *factors, size_t n, pm_rz *out);

/* Supplies a factor: the `factors` ones so far have led to `path`, from the origin, which has no child yet.
   *payload is what the call that made the last factor left there; what this call leaves belongs to the new factor.
   Opens *next, which is zero and becomes the view's, or leaves it to say that there is none. Is called again when
   the zipper comes back, and must then return the same. A failure is told by pm_rz_status. */
typedef pm_status (*pm_view_next_fn)(void *ctx, uint64_t *payload, const uint8_t *path, size_t len, size_t factors,
                                     pm_rz *next);

/* Opens a view of the product of `first` and of what `next` supplies, again and again. A function that keeps supplying
   factors without any child at one place is stopped, with PM_INVALID as status. `ctx` may be NULL. */
PM_API PM_NODISCARD pm_status pm_view_dependent(const pm_rz *first, pm_view_next_fn next, void *ctx, uint64_t payload,
                                                pm_rz *out);

/* Products. Any other zipper is a product of one factor: count 1, focus 0, no seams. */

/* Returns how many factors there are; of a dependent product, those between the origin and the focus. */
PM_API size_t pm_view_factor_count(const pm_rz *z);
/* Returns the number (from 0) of the factor that the focus lies in; a seam belongs to the earlier one. */
PM_API size_t pm_view_focus_factor(const pm_rz *z);
/* Tells where on the way to the focus a factor ended, as lengths of origin path, one for each factor but that of the
   focus. Writes at most `cap` of them to out[0..cap).
   Returns  how many there are: pm_view_focus_factor(z) */
PM_API size_t pm_view_path_indices(const pm_rz *z, size_t cap, size_t *out);
