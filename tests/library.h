/* pathmap.h for tests that know its public functions only: its implementation is compiled once per configuration
   (library.c) and linked to them. It allocates by check_malloc, and counts atomic read-modify-writes. Include after
   check.h, in place of the header. What needs internal functions, or switches of its own, includes the header with
   PATHMAP_STATIC. Who defines the three below himself defines LIBRARY_HOOKS before (replay_library.c). */
#ifndef LIBRARY_H
#define LIBRARY_H

#include "../pathmap.h"

#ifndef PM_CHECK
#define PM_CHECK 0
#endif
#ifndef PM_POOL
#define PM_POOL 1
#endif
#ifndef PM_NO_THREADS
#define PM_NO_THREADS 0
#endif

extern _Thread_local uint64_t library_rmws; /* of the calling thread */
void *library_malloc(size_t n);
void library_free(void *p, size_t n);
pm_map *library_base(pm_head *h); /* what a head shows, which nobody else may see */

#ifndef LIBRARY_HOOKS
_Thread_local uint64_t library_rmws;
void *library_malloc(size_t n) { return check_malloc(n); }
void library_free(void *p, size_t n) { check_free(p, n); }
#endif

#endif
