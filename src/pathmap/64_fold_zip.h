/* Folds over zippers of any kind. */

#include "56_zip.h"
#include "60_fold.h"

/* Folds what is at and below the focus: see pm_fold_map. Over a map, that is pm_fold_ref; views are walked, and nothing
   is remembered of them, so that a cached fold asks at every location.
   Fails    also with what a view's function answered
   Cost     of a view, that of going from value to value, and one call per location that is not skipped */
PM_API PM_NODISCARD int pm_fold_zip(pm_zip *z, const pm_fold *f, void *out);
