/* The table in the order of its bytes, as a map of pathmap.h. The file that carries the implementation must define
   INTERN_PATHMAP as 1 for these two; without it, using them fails at link.

   The table keeps one pm_map of its own, bytes to symbol, which a snapshot brings up to date: symbols issued since
   the last one are added, then the map is cloned, which is O(1). So a table of which no snapshot is taken pays nothing
   for the possibility. */

#include "40_table.h"

struct pm_map;

/* A static copy declares only what it defines. */
#if !defined(INTERNING_STATIC) || INTERN_PATHMAP

/* Takes a snapshot: a map of every symbol's bytes to the symbol, as plain words in the default pool.
   It is a point in time: each symbol is there whole or not at all, and with each symbol every one issued before it,
   by whatever thread. It never changes afterwards and may outlive the table.
   Owns     the caller drops *out with pm_drop
   Fails    INTERN_NOMEM; symbols added to the table's own map so far stay there
   Cost     O(1) when nothing was issued since the last snapshot, else one pm_set for each symbol issued since;
            writers of all buckets are kept out for the few microseconds that 128 locks take, readers never
   Threads  any thread, any time; callers take turns */
INTERN_API INTERN_NODISCARD intern_status intern_snapshot(intern_table *t, struct pm_map *out);

/* Calls fn for each symbol whose bytes begin with `prefix`, in the order of bytes, the prefix itself first. Stops when
   fn returns false. `data` is the table's own copy, valid as from intern_bytes. fn may use the table in any way; what
   it adds is not visited.
   Fails    INTERN_NOMEM: before the first call, or between two
   Cost     a snapshot, then O(prefix + symbols visited)
   Threads  any thread, any time */
INTERN_API INTERN_NODISCARD intern_status intern_each_prefix(intern_table *t, const void *prefix, size_t len,
                                                             bool (*fn)(void *ctx, intern_symbol s, const void *data,
                                                                        size_t data_len),
                                                             void *ctx);

#endif
