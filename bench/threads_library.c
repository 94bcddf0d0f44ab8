/* The library that bench_threads measures, compiled once for each allocator. */
#define PATHMAP_IMPLEMENTATION
#include "bench_threads.h"

#if PM_POOL
#define ALLOCATOR "pool"
#elif PATHMAP_JEMALLOC
#define ALLOCATOR "jemalloc"
#else
#define ALLOCATOR "malloc"
#endif

const char *library_engine(void) { return PATHMAP_SLIM_PTRS ? "pathmap-" ALLOCATOR : "pathmap-std-" ALLOCATOR; }

const char *library_describe(void) {
    return PATHMAP_SLIM_PTRS ? "slim counts, nodes from " ALLOCATOR : "standard counts, nodes from " ALLOCATOR;
}
