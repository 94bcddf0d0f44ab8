/* Maps as values: a table of maps, documents inside documents. A nested map is a counted box of its own, shared by all
   clones of the maps that carry it; writing to one copies the box first if others have it, which is O(1), and then the
   nodes on the way as ever. So a clone of the outermost map is a snapshot of all levels.

   All of algebra, equality, differences and hashes go into nested maps, which combine as two maps do (pm_join, pm_meet,
   pm_subtract) and compare by content. What comes out empty is no value, but where it was empty on both sides and is
   not subtracted. Nested maps under different tables are not equal, and do not combine (PM_MISMATCH). Such an operation
   takes C stack for each level of maps in maps (3 KiB; measured at -O2), and returns PM_INVALID beyond PM_NESTED_MAX
   levels; nothing else that is done with nested maps, dropping included, depends on how deep they lie. */

#include "02_types.h"
#include "40_map.h"

enum { PM_NESTED_MAX = 16 }; /* levels below a map that an operation of two maps, or a hash, goes into */

/* For maps as values, made by pm_nested_new.
   Returns  the same table every time, which lives as long as the program
   Threads  any */
PM_API const pm_ops *pm_ops_map(void);

/* Makes a value of a map, which is empty afterwards: its content has moved.
   Owns     the caller owns one reference: give it to a map, or drop it with pm_nested_release
   Fails    PM_NOMEM; PM_MISMATCH: the map's own values are not idempotent (pm_ops_sum), so combining what is shared
            would not be as if it were not; PM_INVALID: it lies in a region. *m is untouched
   Cost     one allocation in the map's pool
   Threads  a write of `m` */
PM_API PM_NODISCARD pm_status pm_nested_new(pm_map *m, pm_val *out);

/* Reads a value that is a map.
   Returns  the nested map
   Valid    as the value: until the next write to the map that carries it, as of pm_get
   Cost     O(1) */
PM_API const pm_map *pm_nested_map(pm_val v);

/* Takes one more reference, for another map that is to carry the same nested map, or to keep it past the map.
   Returns  v
   Owns     the caller owns the reference
   Cost     one atomic increment
   Threads  any thread that may read the map, or holds a reference */
PM_API pm_val pm_nested_retain(pm_val v);

/* Gives up one reference; the last one drops the nested map.
   Cost     one atomic decrement; of the last one that of pm_drop, at all levels; never allocates, no recursion
   Threads  any thread that holds a reference */
PM_API void pm_nested_release(pm_val v);

/* Finds the nested map at `key` of a map under pm_ops_map().
   Returns  the nested map, or NULL: there is none, or `m` is a map of other values
   Valid    until the next write to `m`, or pm_drop(m)
   Cost     as pm_get */
PM_API const pm_map *pm_nested_get(const pm_map *m, const void *key, size_t len);

/* Stores a nested map at `key`, which is empty afterwards: its content has moved. A map that was there is released.
   Fails    PM_NOMEM; PM_MISMATCH: `m` is a map of other values; or as pm_nested_new. Nothing changed
   Cost     as pm_nested_new and pm_set
   Threads  a write of both */
PM_API PM_NODISCARD pm_status pm_nested_set(pm_map *m, const void *key, size_t len, pm_map *nested);

/* Finds the nested map at `key` for writing to it; the way there is un-shared, and so is the nested map's handle. Go
   down level by level. *out is NULL if there is none. Its table and pool stay as they are.
   Valid    until the next write to `m`, or pm_drop(m); also no longer than until `m` is cloned
   Fails    PM_NOMEM: nothing changed; PM_MISMATCH: `m` is a map of other values
   Cost     as pm_get_mut, and one allocation if others have the nested map
   Threads  a write of `m` */
PM_API PM_NODISCARD pm_status pm_nested_mut(pm_map *m, const void *key, size_t len, pm_map **out);
