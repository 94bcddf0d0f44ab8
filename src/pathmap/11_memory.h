/* Pools: where nodes live. NULL names the program's default pool, which has no limit. */

#include "02_types.h"

typedef struct pm_pool pm_pool;

/* Settings of a pool; zero everywhere is the default. */
typedef struct pm_pool_options {
    uint64_t budget; /* bytes that the pool may take from PM_MALLOC; 0: no limit */
} pm_pool_options;

typedef struct pm_pool_stats {
    uint64_t reserved;    /* bytes taken from PM_MALLOC */
    uint64_t in_slabs;    /* of these, in slabs that hold at least one node (partly filled slabs count whole) */
    uint64_t live;        /* bytes of live nodes, size-class rounding included */
    uint64_t nodes;       /* live nodes */
    uint64_t budget;      /* 0: none */
} pm_pool_stats;

/* Makes a pool. `options` may be NULL.
   Owns     pm_pool_free, after every map that uses it is dropped
   Fails    PM_NOMEM */
PM_API PM_NODISCARD pm_status pm_pool_new(const pm_pool_options *options, pm_pool **out);

/* Frees a pool and all its memory. NULL is allowed; the default pool cannot be freed.
   Fails    PM_BUSY while nodes are alive; the pool stays usable */
PM_API PM_NODISCARD pm_status pm_pool_free(pm_pool *pool);

/* Reports on a pool (NULL: the default one). Exact when no other thread allocates meanwhile.
   Threads  any thread, any time */
PM_API void pm_pool_get_stats(const pm_pool *pool, pm_pool_stats *out);

/* Gives unused memory of a pool (NULL: the default one) back to PM_FREE. */
PM_API void pm_pool_trim(pm_pool *pool);
