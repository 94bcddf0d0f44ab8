/* The implementation for tests that know the public functions only: see library.h. */
#define LIBRARY_HOOKS
#include "library.h"

#define PATHMAP_IMPLEMENTATION
#define PM_ON_ATOMIC_RMW() ((void)library_rmws++)
#define PM_MALLOC(n) library_malloc(n)
#define PM_FREE(p, n) library_free(p, n)
#include "../pathmap.h"

pm_map *library_base(pm_head *h) { return &h->base; }
