/* Differences of what two zippers stand on: of images and other views as of maps. */

#include "41_diff.h"
#include "42_patch.h"
#include "50_read_zipper.h"

/* Calls fn for each change that makes what is at and below the focus of `now` of what is at and below that of `old`, in
   key order, as pm_diff does; keys are relative to the focuses. Stops when fn returns false. A focus that does not
   exist holds nothing. Values are compared by the `equal` hook of the operations that both have, without one as words:
   so strings of images are opened under pm_ops_bytes(), unless both are of one image.
   Valid    the change, and its key, during the call; fn must not write to what the zippers are over
   Fails    PM_NOMEM; PM_MISMATCH: the value operations differ; what a view's function returned: PM_CORRUPT of an image
            that is damaged. fn may have been called before
   Cost     a fork of both, and a walk through both; but subtries that two maps share, and records that two maps of one
            image, two versions of one store, a base and the mixed trie over it share, are not visited: changes times
            depth and what lies beside them
   Threads  reads both */
PM_API PM_NODISCARD pm_status pm_rz_diff(const pm_rz *old, const pm_rz *now,
                                         bool (*fn)(void *ctx, const pm_change *change), void *ctx);

/* Makes the patch of these changes, as pm_patch_make does: what turns an image into a map made of it, or a version of a
   store into a later one.
   Owns     the caller drops *out
   Fails    as pm_rz_diff. *out is untouched
   Cost     that of pm_rz_diff; the patch holds the keys and values of all changes */
PM_API PM_NODISCARD pm_status pm_rz_patch(const pm_rz *old, const pm_rz *now, pm_patch *out);
