/* Looking inside: validation, statistics, dumps. */

#include "40_map.h"
#include "65_claims.h"

/* Checks every structural invariant of a map (docs/architecture.md lists them).
   Returns  PM_OK, or PM_CORRUPT with the broken invariant in *why (may be NULL; static text), or PM_NOMEM
   Cost     O(distinct nodes)
   Threads  a read */
PM_API PM_NODISCARD pm_status pm_check(const pm_map *m, const char **why);

enum { PM_STATS_DEPTHS = 32 };

/* What a map is made of. */
typedef struct pm_stats {
    uint64_t values, locations;       /* saturating, shared structure counted once per occurrence */
    uint64_t nodes;                   /* distinct nodes */
    uint64_t line_nodes, byte_nodes, wide_nodes, range_nodes; /* of these */
    uint64_t blocks;                  /* child blocks of wide nodes */
    uint64_t line_entries;            /* entries in all line nodes */
    uint64_t dangling;                /* entries and slots for childless locations without value */
    uint64_t bytes;                   /* allocated for distinct nodes */
    uint64_t shared_nodes;            /* nodes referenced more than once */
    uint64_t references;              /* node references met, shared ones once per referrer */
    uint64_t unshared_nodes;          /* nodes there would be without sharing; saturating */
    uint64_t nodes_at_depth[PM_STATS_DEPTHS]; /* distinct nodes by number of nodes above; the last takes all deeper */
    size_t max_depth;                 /* nodes on the longest way down */
} pm_stats;

/* Says what a map is made of.
   Fails    PM_NOMEM
   Cost     O(distinct nodes)
   Threads  a read */
PM_API PM_NODISCARD pm_status pm_get_stats(const pm_map *m, pm_stats *out);

/* Receives text, which is valid during the call; returns false to stop. */
typedef bool (*pm_sink)(void *ctx, const char *text, size_t len);

/* Writes one line per value (`path=value`) and dangling location (`path!`), in order; bytes outside printable ASCII,
   and \ = !, as \xNN.
   Fails    PM_NOMEM; PM_IO if the sink stopped
   Cost     O(values and their bytes)
   Threads  a read */
PM_API PM_NODISCARD pm_status pm_dump(const pm_map *m, pm_sink sink, void *ctx);

/* Writes the nodes, with their entries and sharing, as text for people: one paragraph per distinct node.
   Fails    as pm_dump
   Cost     O(distinct nodes) */
PM_API PM_NODISCARD pm_status pm_dump_nodes(const pm_map *m, pm_sink sink, void *ctx);

/* Writes the report of a conflict (65_claims.h) as text, a line for each path in the way, in order: `writer at b/1`,
   `pinned reader at b/1`, `writer and pinned reader at b/1`. Paths are below the head's root, escaped as by pm_dump.
   Fails    as pm_dump; PM_INVALID too for a map whose values are not those of a report */
PM_API PM_NODISCARD pm_status pm_dump_conflict(const pm_map *why, pm_sink sink, void *ctx);
