/* Files: what is asked of the system where bytes are to outlive the process. */

#include "02_types.h"

/* What stores (76_store.h) ask of the system; all of them return PM_OK, PM_IO, or what the call is said to return. They
   may be called by several threads at once. Tests put functions here that fail, or that lose what was not synced. */
typedef struct pm_files {
    void *ctx; /* given to all of them */
    /* Opens the file `name` for reading, and for writing too if `write`; makes it if `make`, empties it if `empty`. */
    pm_status (*open)(void *ctx, const char *name, bool write, bool make, bool empty, void **file);
    void (*close)(void *ctx, void *file);
    pm_status (*size)(void *ctx, void *file, uint64_t *size);
    /* Reads n bytes from place `at`; fewer, *got, only at the end of the file. */
    pm_status (*read)(void *ctx, void *file, uint64_t at, void *to, size_t n, size_t *got);
    /* Writes n bytes; after a failure any part of them may be written. */
    pm_status (*write)(void *ctx, void *file, uint64_t at, const void *from, size_t n);
    /* Returns when all that was written before is on the disk, and the file's size. */
    pm_status (*sync)(void *ctx, void *file);
    pm_status (*cut)(void *ctx, void *file, uint64_t size);
    /* Maps bytes [0, len) of the file, for reading. What lies beyond the end of the file, and what is written later,
       must show when it is there. NULL: files are read into memory. */
    pm_status (*map)(void *ctx, void *file, size_t len, const void **at);
    void (*unmap)(void *ctx, const void *at, size_t len);
    /* Takes the file for this process, until it is closed. PM_BUSY: another one has it. */
    pm_status (*lock)(void *ctx, void *file);
    /* Tells whether `name` leads to this file. */
    pm_status (*named)(void *ctx, void *file, const char *name, bool *same);
    /* Gives the file `from` the name `to`, at once, in the place of the file that had it. */
    pm_status (*rename)(void *ctx, const char *from, const char *to);
    /* Returns when what `name` leads to is on the disk: syncs its directory. */
    pm_status (*sync_name)(void *ctx, const char *name);
} pm_files;

/* Returns the functions of this system: POSIX files, else those of <stdio.h>, which have no locks, cannot sync, read
   files into memory, and cannot compact; NULL where there are no files (PM_NO_STDIO). */
PM_API const pm_files *pm_files_default(void);
