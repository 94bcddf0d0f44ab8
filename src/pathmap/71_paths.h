/* Path files (`.paths`), as the Rust PathMap writes and reads them: the paths of a trie that have a value, in order,
   without the values. docs/formats.md says what stands in a file.

       pm_rz all;                                                       // all of a map, or what is below a place
       if (pm_rz_open(&m, NULL, 0, &all) == PM_OK) status = pm_paths_write_file(&all, "all.paths", NULL, NULL, NULL);

   Such files are compressed with zlib if they are to be exchanged with the Rust library. Define PATHMAP_ZLIB as 1 and
   link with -lz for that; without it only plain files can be written and read.

   What goes wrong is told in *error (may be NULL; untouched by success): the status again, text, and an offset. It is
   that of the path at fault, counted in the plain bytes; if the compressed data are at fault or end early ("zlib: .."),
   the number of compressed bytes that were read. */

#include "50_read_zipper.h"
#include "70_stream.h"

/* Settings; zero everywhere is the default. */
typedef struct pm_paths_options {
    bool plain; /* not compressed */
    void *ctx;  /* given to `val` and `seen` */
    /* Reading: makes the value of the index-th path, the first being 0. NULL: values are 0. What it makes becomes the
       map's. Anything but PM_OK ends the reading, which returns it. */
    pm_status (*val)(void *ctx, uint64_t index, const uint8_t *path, size_t len, pm_val *val);
    /* Writing: is told each value, which the file does not hold. NULL: nobody is. */
    pm_status (*seen)(void *ctx, uint64_t index, const uint8_t *path, size_t len, pm_val val);
} pm_paths_options;

/* What was written or read. */
typedef struct pm_paths_stats {
    uint64_t paths;
    uint64_t path_bytes; /* in all paths together */
    uint64_t file_bytes; /* compressed, if they are */
} pm_paths_stats;

/* Writes the paths below the focus of `z` that have a value, relative to it. Locations without value get lost, as there
   is no place for them. `z` is not moved. `options`, `stats` and `error` may be NULL.
   Fails    PM_INVALID: the focus has a value, for which the format has no place, or a path has more than 2^32 - 1
            bytes; or zlib is asked for and not there. PM_NOMEM; what `write` or `seen` returned; of a view, what its
            function returned. What was written up to then is of no use
   Cost     that of an iteration; memory for a few buffers, whatever the size of the trie
   Threads  a read of the map */
PM_API PM_NODISCARD pm_status pm_paths_write(const pm_rz *z, pm_write_fn write, void *ctx,
                                             const pm_paths_options *options, pm_paths_stats *stats, pm_error *error);

/* The same to the file `name`. It is written as NAME.part, which then takes the place of what had the name, or is
   removed after a failure. It is not synced to the disk.
   Fails    also PM_IO */
PM_API PM_NODISCARD pm_status pm_paths_write_file(const pm_rz *z, const char *name, const pm_paths_options *options,
                                                  pm_paths_stats *stats, pm_error *error);

/* Makes a map of a stream's paths, which may come in any order; of equal ones the last one's value stays. `ops` and
   `pool` as for pm_new; `options`, `stats` and `error` may be NULL.
   Owns     the caller drops *out
   Fails    PM_CORRUPT: the stream ends within a path, has an empty path, is not what zlib has written, or goes on
            behind its end; PM_INVALID: zlib is asked for and not there; PM_NOMEM; PM_BADHOOK: `ops` are refused, or
            `read` told of more bytes than it was to read; what `read` or `val` returned. *out is untouched
   Cost     that of setting all; memory for a few buffers and the longest path beside the map
   Threads  any */
PM_API PM_NODISCARD pm_status pm_paths_read(const pm_ops *ops, pm_pool *pool, pm_read_fn read, void *ctx,
                                            const pm_paths_options *options, pm_map *out, pm_paths_stats *stats,
                                            pm_error *error);

/* The same from the file `name`.
   Fails    also PM_IO */
PM_API PM_NODISCARD pm_status pm_paths_read_file(const pm_ops *ops, pm_pool *pool, const char *name,
                                                 const pm_paths_options *options, pm_map *out, pm_paths_stats *stats,
                                                 pm_error *error);
