/* Views of two zippers side by side, made of forks of them and opened as other views are (57_views.h):

     overlay          what is in either of two
     meet, subtract   as pm_meet and pm_subtract would make, without making it */

#include "57_views.h"

/* Returns which value to show at a location, in the words of pm_alg: that of either side, none, or PM_ALG_ELEMENT after
   storing another value in *out, whose reference then belongs to the view. `left` or `right` is NULL where there is
   none, never both. */
typedef pm_alg (*pm_view_choose_fn)(void *ctx, const pm_val *left, const pm_val *right, pm_val *out);

/* Opens a view of the locations of both. `choose` NULL: the left value, else the right. A choice of an absent value
   shows none. */
PM_API PM_NODISCARD pm_status pm_view_overlay(const pm_rz *left, const pm_rz *right, pm_view_choose_fn choose,
                                              void *ctx, pm_rz *out);
/* Opens a view of what pm_meet makes: see 45_map_algebra.h. PM_BADHOOK is told by pm_rz_status.
   Cost     a location exists only if something remains at or below it, so the child mask and existence look ahead
            to the first such place; going from value to value does not */
PM_API PM_NODISCARD pm_status pm_view_meet(const pm_rz *left, const pm_rz *right, pm_rz *out);
/* Opens a view of what pm_subtract makes. Else as pm_view_meet.
   Cost     subtries that two maps share are not visited if values are idempotent: a version without an older one costs
            what differs, not what there is */
PM_API PM_NODISCARD pm_status pm_view_subtract(const pm_rz *left, const pm_rz *right, pm_rz *out);
