/* Views: zippers over tries that are not stored anywhere.

     prefix     constant bytes, then another zipper's trie
     product    paths of the first factor, then of the second, ..: where a factor's path ends, the next one begins
     dependent  the same, with a function that supplies the next factor
     empty      nothing, not even a root

   A view is made of forks of its factors, rooted at their focus; the factors stay the caller's, who may move or drop
   them at once. It reads what they read, and is valid as long as that is. Its origin is where it was opened, the empty
   path, except for prefix and empty zippers.
   A zipper whose root does not exist holds nothing: a product with it ends there, a prefix before it does not exist.
   Opening is as in 56_zip.h. */

#include "56_zip.h"

/* Nothing, at `path`, which is the root prefix. */
PM_API PM_NODISCARD pm_status pm_zip_empty(pm_zip *out, const void *path, size_t len);
/* `prefix`, then the source. The leading bytes `root` of it are the root prefix.
   Fails    also PM_INVALID if `prefix` does not begin with `root` */
PM_API PM_NODISCARD pm_status pm_zip_prefix(pm_zip *out, const pm_zip *src, const void *prefix, size_t len,
                                            const void *root, size_t root_len);
/* All paths p0 p1 p2 .. of `n` factors, n >= 1. Where a factor comes to a location without child, the next one that
   has any begins; the value there is the earlier factor's, the root values of later factors are hidden. */
PM_API PM_NODISCARD pm_status pm_zip_product(pm_zip *out, const pm_zip *factors, size_t n);

/* Supplies a factor: the `factors` ones so far have led to `path`, from the origin, which has no child yet.
   *payload is what the call that made the last factor left there; what this call leaves belongs to the new factor.
   Opens *next, which is zero and becomes the view's, or leaves it to say that there is none. Is called again when
   the zipper comes back, and must then answer the same. A failure is told by pm_zip_status. */
typedef pm_status (*pm_zip_next_fn)(void *ctx, uint64_t *payload, const uint8_t *path, size_t len, size_t factors,
                                    pm_zip *next);

/* The product of `first` and of what `next` supplies, again and again. A function that keeps supplying factors
   without any child at one place is stopped, with PM_INVALID as status. */
PM_API PM_NODISCARD pm_status pm_zip_dependent(pm_zip *out, const pm_zip *first, pm_zip_next_fn next, void *ctx,
                                               uint64_t payload);

/* Products. Any other kind is a product of one factor: count 1, focus 0, no seams. */

/* How many factors there are; of a dependent product, those between the origin and the focus. */
PM_API size_t pm_zip_factor_count(const pm_zip *z);
/* The factor that the focus lies in; a seam belongs to the earlier one. */
PM_API size_t pm_zip_focus_factor(const pm_zip *z);
/* Where on the way to the focus a factor ended, as lengths of origin path, one for each factor but that of the focus.
   Writes at most `cap` of them.
   Returns  how many there are: pm_zip_focus_factor(z) */
PM_API size_t pm_zip_path_indices(const pm_zip *z, size_t *out, size_t cap);
