/* Pools: where nodes live. NULL names the program's default pool, which has no limit. */

#include "02_types.h"

/* Settings of a pool; zero everywhere is the default. */
typedef struct pm_pool_options {
    uint64_t budget; /* bytes that the pool may take from PM_MALLOC; 0: no limit */
} pm_pool_options;

/* What a pool has taken, and what it is used for. */
typedef struct pm_pool_stats {
    uint64_t reserved;    /* bytes taken from PM_MALLOC */
    uint64_t in_slabs;    /* of these, in slabs that hold at least one node (partly filled slabs count whole) */
    uint64_t live;        /* bytes of live nodes and blocks, size-class rounding included */
    uint64_t nodes;       /* live nodes, and blocks of pm_pool_alloc */
    uint64_t budget;      /* 0: none */
} pm_pool_stats;

/* Lends memory to a program that has no malloc (PM_NO_MALLOC): all that the library allocates comes from what it has
   been lent. May be called again with more.
   Owns     the library has it until the program ends
   Fails    PM_INVALID for NULL, for less than 64 bytes, and in programs that have malloc
   Cost     O(holes), like each allocation */
PM_API PM_NODISCARD pm_status pm_lend(void *memory, size_t bytes);

/* Returns how many bytes of the lent memory are free, and in *least (may be NULL) the smallest number that has been, so
   that one sees how much a program needs. 0 in programs that have malloc. Cost O(1). */
PM_API size_t pm_lent_free(size_t *least);

/* Makes a pool. `options` may be NULL.
   Owns     pm_pool_free, after every map that uses it is dropped
   Fails    PM_NOMEM
   Cost     one allocation; chunks follow as nodes are made
   Threads  any; the pool too may be used by any number at once */
PM_API PM_NODISCARD pm_status pm_pool_new(const pm_pool_options *options, pm_pool **out);

/* Frees a pool and all its memory. NULL is allowed; the default pool cannot be freed.
   Fails    PM_BUSY while nodes are alive; the pool stays usable
   Cost     looks at every slab twice
   Threads  any thread. Others may go on with maps of the pool that are not empty, and drop them: call this again
            until it is no longer PM_BUSY. Once it is PM_OK, no thread uses the pool's memory any more, even one that
            has yet to come out of the call which dropped the last node. Nobody may write to an empty map of the pool
            meanwhile. A pool over a region: others may only drop meanwhile */
PM_API PM_NODISCARD pm_status pm_pool_free(pm_pool *pool);

/* Reports on a pool (NULL: the default one) in *out. Exact when no other thread allocates or drops meanwhile. NULL
   `out`: does nothing.
   Cost     looks at every slab
   Threads  any thread, any time */
PM_API void pm_pool_get_stats(const pm_pool *pool, pm_pool_stats *out);

/* Gives unused memory of a pool (NULL: the default one) back to PM_FREE: each chunk in which all slabs are unused. A
   slab is unused if it holds no live node, whoever made and dropped its nodes; but not those slabs from which another
   running thread takes its nodes, one for each size (at most 36, of 16 KB). These it gives back the next time it needs
   a slab, by trimming itself, or when it ends. What is left of chunks around slabs in use (256 KB to 4 MB each) serves
   all threads. A pool over a region has nothing to give back.
   Cost     looks at every chunk, and at the slabs in which other threads have freed nodes
   Threads  any thread, any time; allocation waits meanwhile where it needs the pool's lists */
PM_API void pm_pool_trim(pm_pool *pool);

/* Allocates a block for the caller's own use, such as a value that a map holds by address: beside the nodes, under the
   same budget, and in a pool over a region within the region. `pool` NULL: the default one. 0 bytes count as 1.
   Returns  the block, aligned to 16 bytes; NULL: no memory, the budget is reached, or no block can be so large (in a
            region, more than PM_REGION_BYTES_MAX bytes)
   Owns     pm_pool_dealloc; while a block is live, pm_pool_free is PM_BUSY
   Cost     as a node's; above 5,440 bytes in a pool that is not over a region, one PM_MALLOC under the pool's lock
   Threads  any */
PM_API void *pm_pool_alloc(pm_pool *pool, size_t bytes);

/* Gives a block of pm_pool_alloc back to the pool that it is from. `bytes` is what had been asked for. NULL is allowed.
   Cost     as a node's
   Threads  any; of a pool over a region, in any process that shares it */
PM_API void pm_pool_dealloc(void *p, size_t bytes);
