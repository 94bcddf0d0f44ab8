/* Streams: where files are read from and written to, by functions of the caller's. Calls that take a file by its name
   use <stdio.h>; without it (PM_NO_STDIO) they return PM_IO. */

#include "02_types.h"

/* Reads at most n bytes, n > 0, to `to`, and stores in *got how many: fewer than n will do, 0 says that there are no
   more. Anything but PM_OK ends the call that reads, which returns it. */
typedef pm_status (*pm_read_fn)(void *ctx, void *to, size_t n, size_t *got);

/* Takes all of n bytes, n > 0. Anything but PM_OK ends the call that writes, which returns it. */
typedef pm_status (*pm_write_fn)(void *ctx, const void *from, size_t n);
