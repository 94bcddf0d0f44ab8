/* Writing trie images. */

#include "40_map.h"
#include "70_stream.h"
#include "72_image.h"

/* Settings; zero everywhere is the default. */
typedef struct pm_image_options {
    void *ctx; /* given to `bytes` */
    /* Tells the bytes that a value stands for, valid until the next call; the image is one of byte strings then. NULL:
       strings of maps under pm_ops_bytes() are written as such, values of other maps as words. Anything but PM_OK ends
       the writing, which returns it. */
    pm_status (*bytes)(void *ctx, pm_val val, const void **data, size_t *len);
} pm_image_options;

/* What was written. */
typedef struct pm_image_stats {
    uint64_t bytes;   /* of the image */
    uint64_t records; /* what lies below a location, each stored once: subtries, and pieces of long paths */
    uint64_t reused;  /* records that were not stored, since an equal one was there */
    uint64_t strings; /* values stored as strings, equal ones once */
} pm_image_stats;

/* Writes maps[0..n) as one image: all their locations, dangling ones included, and their values. What they share, and
   what is equal, is stored once. The maps' value operations are the same. Without values that are shared or dropped
   (retain, release) words mean what they meant; values that are addresses need `bytes`. `options`, `stats` and `error`
   may be NULL; error->offset is what was made of the image until then.
   Fails    PM_NOMEM; PM_MISMATCH: the maps' value operations differ; what `bytes` or `write` returned. Without memory
            nothing has been written
   Cost     O(bytes of path in distinct nodes); makes the image in memory, and takes some 30 bytes more a record, until
            it returns
   Threads  a read of the maps */
PM_API PM_NODISCARD pm_status pm_image_write(const pm_map *maps, size_t n, pm_write_fn write, void *ctx,
                                             const pm_image_options *options, pm_image_stats *stats, pm_error *error);

/* The same to the file `name`, as pm_paths_write_file does.
   Fails    also PM_IO */
PM_API PM_NODISCARD pm_status pm_image_write_file(const pm_map *maps, size_t n, const char *name,
                                                  const pm_image_options *options, pm_image_stats *stats,
                                                  pm_error *error);
