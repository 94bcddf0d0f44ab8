/* Files: a table saved as it lies in memory, so that loading is mapping. docs/interning.md describes the format. */

#include "40_table.h"

enum {
    INTERN_LOAD_VERIFY = 1,   /* also check each symbol: for files from people you do not trust */
    INTERN_LOAD_UNCHECKED = 2 /* do not read the body for its checksum: loading is then independent of its size, and
                                 only damage to the first sections is noticed */
};

/* A static copy declares only what it defines. */
#if !defined(INTERNING_STATIC) || !INTERN_NO_FILES

/* Saves the table as it is at one moment; writers may go on meanwhile. The file appears whole or not at all: it is
   written beside `path`, as `path` with ".part" appended, synced, and renamed.
   Fails    INTERN_NOMEM, INTERN_IO, INTERN_INVALID (no path): an older file at `path` is untouched
   Cost     sequential writing; writers of all buckets are kept out for a few microseconds at the start
   Threads  any thread, any time; intern_trim must not run meanwhile */
INTERN_API INTERN_NODISCARD intern_status intern_save(intern_table *t, const char *path);

/* Loads a saved file into an empty table that no other thread uses and no permit is out for. Symbols keep their
   numbers, slots go on where they stopped, new symbols may be added as ever: the file is mapped privately and never
   written to. It must not be shortened while the table lives. `error` may be NULL; on failure it says where and why.
   Fails    INTERN_CORRUPT, INTERN_IO, INTERN_NOMEM, INTERN_BUSY (not empty, or in use): the table is as it was
   Cost     one pass over the file's bytes at the speed of memory for the checksum, nothing per symbol; with
            INTERN_LOAD_VERIFY about one lookup per symbol. A file made under another INTERN_PEARSON_BOUND costs one
            insertion per symbol besides */
INTERN_API INTERN_NODISCARD intern_status intern_load(intern_table *t, const char *path, unsigned flags,
                                                      intern_error *error);

#endif

/* Does intern_save into a callback, which must take all `len` bytes and answer true, or false to stop.
   Fails    INTERN_NOMEM; INTERN_IO when the callback answers false */
INTERN_API INTERN_NODISCARD intern_status intern_save_to(intern_table *t,
                                                         bool (*put)(void *ctx, const void *data, size_t len),
                                                         void *ctx);

/* Does intern_load from memory, which is copied.
   Cost     one allocation of `len` bytes besides */
INTERN_API INTERN_NODISCARD intern_status intern_load_memory(intern_table *t, const void *data, size_t len,
                                                             unsigned flags, intern_error *error);
