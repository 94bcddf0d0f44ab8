/* Reading trie images where they lie: through zippers, as of maps. All that takes a zipper works on an image: moves,
   iterators, folds, views and algebra of views, pm_paths_write, pm_rz_make_map. Nothing is built or copied for it. */

#include "50_read_zipper.h"
#include "72_image.h"

/* How values come out of an image; zero everywhere is the default. */
typedef struct pm_image_reading {
    /* What they mean. NULL: of a set of paths pm_ops_unit(), else pm_ops_left(). The values of an image of strings are
       then words that pm_image_bytes takes; under pm_ops_bytes() they are strings made by pm_bytes_new. */
    const pm_ops *ops;
    pm_pool *pool; /* for maps made of it; NULL: the default pool */
    void *ctx;     /* given to `make` */
    /* Of strings: makes the value that stands for these bytes, which belongs to the zipper as long as it shows it.
       NULL: as said above. Anything but PM_OK becomes the zipper's status. */
    pm_status (*make)(void *ctx, const void *data, size_t len, pm_val *val);
} pm_image_reading;

/* Opens a zipper over the i-th map of an image, the first being 0, its root and focus at the empty path. `reading` may
   be NULL. A place that is damaged, as far as that shows, is taken for the end, and pm_rz_status says PM_CORRUPT.
   Owns     pm_rz_drop
   Valid    as long as the image's block. Forks that own what they read (pm_rz_fork_owned) do not own that
   Fails    PM_INVALID: there are not so many maps; PM_CORRUPT: the map's root is damaged; PM_NOMEM; PM_BADHOOK: the
            operations are refused
   Cost     one allocation; moves take memory for one way down
   Threads  one thread per zipper; any number of zippers per image */
PM_API PM_NODISCARD pm_status pm_image_rz(const pm_image *image, size_t i, const pm_image_reading *reading,
                                          pm_rz *out);

/* Finds the value at `key` in the i-th map of an image. Of an image of strings it is a word for pm_image_bytes; of a
   set of paths 0.
   Returns  PM_OK, and in *out the value or that there is none
   Fails    PM_INVALID: there are not so many maps; PM_CORRUPT: something on the way is damaged
   Cost     O(len); no allocation
   Threads  any number */
PM_API PM_NODISCARD pm_status pm_image_get(const pm_image *image, size_t i, const void *key, size_t len, pm_opt *out);
