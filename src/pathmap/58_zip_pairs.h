/* Views of two zippers side by side, made of forks of them as other views are (57_zip_views.h):

     overlay          what is in either of two
     meet, subtract   as pm_meet and pm_subtract would make, without making it */

#include "57_zip_views.h"

/* Answers which value to show at a location, or PM_ALG_NONE; PM_ALG_ELEMENT after storing a value in *out, whose
   reference then belongs to the view. `left` or `right` is NULL where there is none, never both. */
typedef pm_alg (*pm_zip_choose_fn)(void *ctx, const pm_val *left, const pm_val *right, pm_val *out);

/* The locations of both. `choose` NULL: the left value, else the right. A choice of an absent value shows none. */
PM_API PM_NODISCARD pm_status pm_zip_overlay(pm_zip *out, const pm_zip *left, const pm_zip *right,
                                             pm_zip_choose_fn choose, void *ctx);
/* What pm_meet and pm_subtract make: see 45_map_algebra.h.
   Cost     a location exists only if something remains at or below it, so the child mask and existence look ahead
            to the first such place; going from value to value does not. PM_BADHOOK is told by pm_zip_status */
PM_API PM_NODISCARD pm_status pm_zip_meet(pm_zip *out, const pm_zip *left, const pm_zip *right);
PM_API PM_NODISCARD pm_status pm_zip_subtract(pm_zip *out, const pm_zip *left, const pm_zip *right);
