/* Patches as streams: written to a file or a connection, and read where the other map is. docs/formats.md says what
   stands in one. The bytes depend on nothing but the changes: not on machine, switches or count mode.

       if (pm_patch_make(&old, &now, &p) == PM_OK) status = pm_patch_write(&p, send, &connection, NULL, NULL);
       ..                                                                       // where `old` is, too
       status = pm_patch_read(ops, receive, &connection, NULL, &p, &error);
       if (status == PM_OK) status = pm_patch_apply(&p, &old);

   A stream says how long it is, and no byte behind its end is read: several may follow one another. Nothing in it is
   trusted: what is damaged, cut or made up is refused. The checksum finds damage; it is no defence against somebody who
   forges. */

#include "42_patch.h"
#include "70_stream.h"

/* Settings; zero everywhere is the default. */
typedef struct pm_patch_options {
    void *ctx; /* given to `bytes` and `make` */
    /* Writing: tells the bytes that a value stands for, valid until the next call; the stream holds byte strings then.
       NULL: strings of patches under pm_ops_bytes() are written as such, other values as words. Anything but PM_OK
       ends the writing, which returns it. */
    pm_status (*bytes)(void *ctx, pm_val val, const void **data, size_t *len);
    /* Reading byte strings: makes the value that stands for them, which becomes the patch's. NULL: pm_bytes_new does,
       under pm_ops_bytes(). Anything but PM_OK ends the reading, which returns it. */
    pm_status (*make)(void *ctx, const void *data, size_t len, pm_val *val);
    /* Reading: the most bytes that the patch, with its keys, may take in memory; keys that have much in common take
       less in the stream. 0: what there is. */
    uint64_t most;
} pm_patch_options;

/* Writes a patch. Without values that are shared or dropped (retain, release) words mean what they meant; values that
   are addresses need `bytes`. `options` and `error` (untouched by success) may be NULL.
   Fails    PM_NOMEM; what `bytes` or `write` returned; PM_BADHOOK: `bytes` told of other bytes the second time. What
            was written up to then is of no use
   Cost     O(bytes of keys and values), gone over twice; a buffer of memory. `bytes` is called twice for each value
   Threads  a read of the patch */
PM_API PM_NODISCARD pm_status pm_patch_write(const pm_patch *p, pm_write_fn write, void *ctx,
                                             const pm_patch_options *options, pm_error *error);

/* The same to the file `name`, as pm_paths_write_file does.
   Fails    also PM_IO */
PM_API PM_NODISCARD pm_status pm_patch_write_file(const pm_patch *p, const char *name, const pm_patch_options *options,
                                                  pm_error *error);

/* Reads a patch, for maps under `ops` (NULL: pm_ops_left()), up to its end and no further. `options` and `error`
   (untouched by success) may be NULL; error->offset is where in the stream the fault was seen.
   Owns     the caller drops *out, which need not be initialised
   Fails    PM_CORRUPT: this is no patch, or a damaged one; PM_INVALID: of a later version; PM_MISMATCH: its values are
            of another kind than those of `ops`; PM_NOMEM: also if it takes more than options->most; PM_BADHOOK: `ops`
            are refused, or `read` told of more bytes than it was to read; what `read` or `make` returned. *out is
            untouched
   Cost     O(bytes of the keys); memory grows with what has been read, whatever the stream says is to come
   Threads  any */
PM_API PM_NODISCARD pm_status pm_patch_read(const pm_ops *ops, pm_read_fn read, void *ctx,
                                            const pm_patch_options *options, pm_patch *out, pm_error *error);

/* The same from the file `name`, which must end where the patch does.
   Fails    also PM_IO */
PM_API PM_NODISCARD pm_status pm_patch_read_file(const pm_ops *ops, const char *name, const pm_patch_options *options,
                                                 pm_patch *out, pm_error *error);
