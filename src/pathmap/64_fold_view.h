/* Folds over what a zipper stands on. */

#include "50_read_zipper.h"
#include "60_fold.h"

/* Folds what is at and below the focus: see pm_fold_map. Over a map, that is pm_fold_ref; views are walked, and nothing
   is remembered of them, so that a cached fold asks at every location.
   Fails    also with what a view's function returned
   Cost     of a view, that of going from value to value, and one call per location that is not skipped */
PM_API PM_NODISCARD int pm_fold_rz(const pm_rz *z, const pm_fold *f, void *out);
