/* Taking trie images into memory. */

#include "40_map.h"
#include "74_image_view.h"

/* Makes maps of all that an image holds, in out[0..pm_image_count(image)). What was stored once is shared again, within
   a map and between maps, but for a few values that take less room where they stand. `reading` is as for pm_image_rz,
   and may be NULL: without `make`, values of an image of strings are words for pm_image_bytes, or under pm_ops_bytes()
   strings of their own. The maps refer to nothing in the image. For one map of many, or a part of one, there is
   pm_rz_make_map of a zipper over it, which copies what is shared.
   Owns     the caller drops each map
   Fails    PM_CORRUPT, and *error (may be NULL; untouched by success) says where; PM_NOMEM; PM_BADHOOK: the operations
            are refused; what `make` returned. *out is untouched
   Cost     O(size of the image), and the values of what is small as often as it occurs; a quarter of the image's size
            in memory until it returns
   Threads  any number */
PM_API PM_NODISCARD pm_status pm_image_load(const pm_image *image, const pm_image_reading *reading, pm_map *out,
                                            pm_error *error);
