/* Files: a table saved as it lies in memory, so that loading is mapping. docs/interning.md describes the format. */

#include "40_table.h"

enum {
    INTERN_LOAD_VERIFY = 1,    /* also check each symbol: for files from people you do not trust, who may change them
                                  later, too: the file is copied. Give the table a seed of its own, as they know the
                                  file's */
    INTERN_LOAD_UNCHECKED = 2, /* do not read the body for its checksum: loading is then independent of its size, and
                                  only damage to the first sections is noticed */
    INTERN_LOAD_COPY = 4       /* copy the file instead of mapping it: what becomes of it is then no matter */
};

/* A static copy declares only what it defines. */
#if !defined(INTERNING_STATIC) || !INTERN_NO_FILES

/* Saves the table as it is at one moment; writers may go on meanwhile. The file appears whole or not at all: it is
   written beside `path` under a name that was free (`path`, a random number, ".part"), synced, and renamed; then the
   folder is synced, where the system can. A regular file that was at `path` hands on its mode; other names of it keep
   the old content. A symbolic link at `path`, or anything but a regular file, is neither followed nor replaced: resolve
   it yourself (realpath). A crash may leave the file of the other name, which nothing will use.
   Fails    INTERN_NOMEM, INTERN_INVALID (no path), INTERN_IO: an older file at `path` is untouched; only when the
            folder could not be synced is the new one there
   Cost     sequential writing; writers of all buckets are kept out for a few microseconds at the start
   Threads  any thread, any time, several for one path too; intern_trim must not run meanwhile */
INTERN_API INTERN_NODISCARD intern_status intern_save(intern_table *t, const char *path);

/* Loads a saved file into an empty table that no other thread uses and no permit is out for. Symbols keep their
   numbers, slots go on where they stopped, new symbols may be added as ever. The file is mapped privately and never
   written to; while the table lives nobody may change or shorten it in place (intern_save does not: it puts another
   file there), or calls read what is there then, or beyond it. With INTERN_LOAD_COPY or INTERN_LOAD_VERIFY it is read
   instead, and may be changed afterwards; so it is on big-endian machines, which turn the numbers of buckets and index
   (docs/interning.md says what that costs). A table that was given a seed keeps it; others take over the file's.
   `error` may be NULL; on failure it says where and why.
   Fails    INTERN_CORRUPT, INTERN_IO, INTERN_NOMEM, INTERN_BUSY (not empty, or in use), INTERN_INVALID (also unknown
            flags): the table is as it was
   Cost     one pass over the file's bytes at the speed of memory for the checksum, nothing per symbol; with
            INTERN_LOAD_VERIFY about one lookup per symbol; one insertion per symbol where the table keeps a seed that
            is not the file's */
INTERN_API INTERN_NODISCARD intern_status intern_load(intern_table *t, const char *path, unsigned flags,
                                                      intern_error *error);

#endif

/* Does intern_save into a callback, which must take all `len` bytes and return true, or false to stop.
   Fails    INTERN_NOMEM; INTERN_IO when the callback returns false; INTERN_INVALID (no table, no callback) */
INTERN_API INTERN_NODISCARD intern_status intern_save_to(intern_table *t,
                                                         bool (*put)(void *ctx, const void *data, size_t len),
                                                         void *ctx);

/* Does intern_load from memory, which is copied.
   Cost     one allocation of `len` bytes besides */
INTERN_API INTERN_NODISCARD intern_status intern_load_memory(intern_table *t, const void *data, size_t len,
                                                             unsigned flags, intern_error *error);
