/* Folds over what a zipper stands on. */

#include "50_read_zipper.h"
#include "60_fold.h"

/* Folds what is at and below the focus: see pm_fold_map. Over a map, that is pm_fold_ref; views are walked, and nothing
   is remembered of them, so that a cached fold calls at every location.
   Returns  as pm_fold_map, or what a view's function returned
   Owns     *out is the caller's; the zipper stays where it is
   Cost     of a view, that of going from value to value, and one call per location that is not skipped */
PM_API PM_NODISCARD int pm_fold_rz(const pm_rz *z, const pm_fold *f, void *out);
