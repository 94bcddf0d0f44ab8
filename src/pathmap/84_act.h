/* ACT files ("ACTree03"): the Rust PathMap's tries in compact form, with a 64-bit word for each value. docs/formats.md
   says what stands in one. A file is made of a map, and a map of a file; to read where a file lies, there are images
   (72_image.h), which also know damage by a checksum: an ACT file has none, so what is wrong in it may go unnoticed,
   but never makes anybody read elsewhere or without end. */

#include "40_map.h"
#include "70_stream.h"

/* Settings; zero everywhere is the default. */
typedef struct pm_act_options {
    void *ctx; /* given to `word` and `val` */
    /* Writing: tells the word that a value is written as. NULL: the value itself. Anything but PM_OK ends the writing,
       which returns it. */
    pm_status (*word)(void *ctx, pm_val val, uint64_t *word);
    /* Reading: makes the value of a word, which becomes the map's. NULL: the word itself. Anything but PM_OK ends the
       reading, which returns it. */
    pm_status (*val)(void *ctx, uint64_t word, pm_val *val);
    /* Reading: the most bytes of path that may be taken from the file, where runs that it stores once count as often as
       they are used. 0: as many as there are. */
    uint64_t most;
} pm_act_options;

/* Writes a map as an ACT file: all locations, dangling ones included, and values as words (of sets of paths 0).
   Subtries that the map shares are written once, as are equal runs. `options` and `error` (untouched by success) may be
   NULL.
   Fails    PM_NOMEM; PM_MISMATCH: values are owned (retain, release), and there is no `word`; what `word` or `write`
            returned. Without memory nothing has been written
   Cost     O(bytes of path in distinct nodes); makes the file in memory
   Threads  a read of the map */
PM_API PM_NODISCARD pm_status pm_act_write(const pm_map *m, pm_write_fn write, void *ctx, const pm_act_options *options,
                                           pm_error *error);

/* The same to the file `name`, as pm_paths_write_file does.
   Fails    also PM_IO */
PM_API PM_NODISCARD pm_status pm_act_write_file(const pm_map *m, const char *name, const pm_act_options *options,
                                                pm_error *error);

/* Makes a map of an ACT file that lies at block[0..size). What is stored once and used often is shared again. `ops` and
   `pool` as for pm_new; `options` and `error` (untouched by success) may be NULL.
   Owns     the caller drops *out, which refers to nothing in the block
   Fails    PM_CORRUPT: this is no such file, or a place that is used is damaged (error->offset: where); PM_MISMATCH:
            values of `ops` are owned, and there is no `val`; PM_NOMEM: also for more than options->most; PM_BADHOOK:
            `ops` are refused; what `val` returned. *out is untouched
   Cost     O(nodes, and bytes of their runs); a quarter of the block's size in memory until it returns
   Threads  any */
PM_API PM_NODISCARD pm_status pm_act_read(const pm_ops *ops, pm_pool *pool, const void *block, size_t size,
                                          const pm_act_options *options, pm_map *out, pm_error *error);

/* The same from the file `name`, which is read into memory first.
   Fails    also PM_IO */
PM_API PM_NODISCARD pm_status pm_act_read_file(const pm_ops *ops, pm_pool *pool, const char *name,
                                               const pm_act_options *options, pm_map *out, pm_error *error);
