/* Maps: byte paths to values.

   A map is a set of locations closed under prefix, some of which carry a value. The empty path always exists. A
   location without value and without extension ("dangling") is legal and lasts until pruned. Keys are any bytes.

   What is said here once: a read needs no lock beside other reads; a write is for one thread alone, and a write that
   fails has changed nothing. A write ends the validity of all pointers that the map lent. Costs are of a key of `len`
   bytes; O(len) is a handful of cache lines, not one a byte. NULL: see "misuse" at the head of this file. */

#include "02_types.h"

/* A map. Zero is a valid empty map of plain words in the default pool. Assigning the struct moves it; only pm_clone
   makes a second owner. Fields are private. */
typedef struct pm_map {
    uint64_t root;      /* reference to the top node, 0: no branch */
    pm_val value;       /* value of the empty path */
    const pm_ops *ops;  /* NULL: pm_ops_left() */
    pm_pool *pool;      /* NULL: the default pool */
    bool has_value;
    uint8_t lent;       /* checked builds: a writer is open on it, or a head has its content */
    uint32_t stamp;     /* checked builds: tells its content from any other; 0: not known */
} pm_map;

/* Makes an empty map. `ops` NULL: pm_ops_left(); `pool` NULL: the default pool. A table that is refused (02_types.h)
   shows when a value is to be stored: PM_BADHOOK.
   Returns  the map; the caller drops it
   Valid    while `ops` and `pool` are: a map names them
   Cost     no allocation */
PM_API pm_map pm_new(const pm_ops *ops, pm_pool *pool);

/* Empties a map; its value operations and pool stay. Dropping twice, or dropping zero or NULL, is harmless.
   Cost     O(nodes that no other owner holds); never allocates, never fails, no recursion
   Threads  a write. Clones are other maps: any thread may drop its own, at any time */
PM_API void pm_drop(pm_map *m);

/* Drops a map in pieces: takes at most `budget` nodes apart, each with the leaves right below it, so that dropping many
   keys holds nothing up for long. Call it until it returns false. From the first call on, *m may only be given to
   pm_drop_some and pm_drop; afterwards it is empty, as after pm_drop.
   Returns  whether more is left; false if `m` is NULL
   Cost     O(nodes that were taken apart and their children); never allocates, never fails */
PM_API bool pm_drop_some(pm_map *m, size_t budget);

/* Makes a second owner of the same content: a snapshot. From then on the two are independent.
   Returns  the clone, which the caller drops; an empty map of NULL
   Cost     O(1): one atomic increment, no allocation
   Threads  a read; the clone may be used and dropped by any thread */
PM_API pm_map pm_clone(const pm_map *m);

/* Finds the value stored at exactly `key`.
   Returns  the value, or NULL when the path is absent or carries none
   Valid    until the next write to `m`, or pm_drop(m)
   Cost     O(len); no allocation */
PM_API const pm_val *pm_get(const pm_map *m, const void *key, size_t len);

/* Tells whether `key` carries a value.
   Returns  true if so
   Cost     as pm_get */
PM_API bool pm_contains(const pm_map *m, const void *key, size_t len);

/* Stores a value at `key`, with all its prefixes as locations.
   Owns     the map takes over the caller's reference to `val`; the replaced value goes to *old (then the caller's),
            or is released when `old` is NULL
   Fails    PM_NOMEM; PM_BADHOOK: the map's table is refused (pm_ops). Nothing changed, `val` stays the caller's
   Cost     O(len); at most one node copied per level of shared structure */
PM_API PM_NODISCARD pm_status pm_set(pm_map *m, const void *key, size_t len, pm_val val, pm_opt *old);

/* Removes the value at `key`. With PM_KEEP the location stays (dangling if it has no extension); with
   PM_PRUNE, pm_prune_path(m, key, len) follows, whatever the outcome.
   Owns     the removed value goes to *old (then the caller's), or is released when `old` is NULL
   Fails    PM_NOMEM: nothing changed (a shared node could not be copied)
   Cost     O(len), and now and then that of laying out a node or two anew: nodes that have become small are merged, so
            that a map does not keep the shape of what it once held. Without memory for that they stay as they are */
PM_API PM_NODISCARD pm_status pm_remove(pm_map *m, const void *key, size_t len, pm_prune prune, pm_opt *old);

/* Tells whether a map has no value, and no location but the empty path.
   Returns  true if so, and for NULL
   Cost     O(1) */
PM_API bool pm_is_empty(const pm_map *m);

/* Counts values; saturates at UINT64_MAX. Shared structure is counted once per occurrence and visited once.
   Fails    PM_NOMEM (the memo of shared nodes)
   Cost     O(distinct nodes) */
PM_API PM_NODISCARD pm_status pm_val_count(const pm_map *m, uint64_t *out);

/* Tells in *out whether two maps hold the same locations and values.
   Fails    PM_NOMEM; PM_MISMATCH when the value operations differ
   Cost     O(nodes that they do not share), less where they differ early */
PM_API PM_NODISCARD pm_status pm_equal(const pm_map *a, const pm_map *b, bool *out);

/* Makes a map of what lies at and below `key`: paths lose that prefix, the value at `key` becomes the root value.
   *found (may be NULL): whether the location exists; if not, *out is an empty map.
   Owns     the caller drops *out, which may be *m: that is dropped then
   Fails    PM_NOMEM
   Cost     O(len); shares the subtrie, builds at most one node
   Threads  a read of `m`, unless `out` is `m` */
PM_API PM_NODISCARD pm_status pm_subtrie(const pm_map *m, const void *key, size_t len, pm_map *out, bool *found);

/* Calls fn for each value in key order, the empty path first. Stops when fn returns false.
   `key` is valid during the call; fn must not write to `m`.
   Fails    PM_NOMEM (path buffer)
   Cost     O(nodes); the fastest way to see every value */
PM_API PM_NODISCARD pm_status pm_each(const pm_map *m,
                                      bool (*fn)(void *ctx, const uint8_t *key, size_t len, pm_val val), void *ctx);

/* Builds a map from keys and values, in any order; the last of equal keys wins. `vals` NULL: every value is 0.
   Strictly ascending input is noticed and built top-down, each node once, several times faster.
   Owns     the map takes over one reference of each value, those of losing duplicates are released; on failure all
            stay the caller's. The caller drops *out
   Fails    PM_NOMEM; PM_BADHOOK: `ops` is refused
   Cost     takes 24 bytes a key from PM_MALLOC until it returns
   Threads  any number of builds at once */
PM_API PM_NODISCARD pm_status pm_build(const pm_ops *ops, pm_pool *pool, const pm_key *keys, const pm_val *vals,
                                       size_t n, pm_map *out);

/* ---- Further reads ---- */

/* Looks up `n` keys at once, their memory accesses overlapped: faster than `n` calls on maps larger than the cache.
   out[i] is what pm_get would return for keys[i], and valid as long.
   Returns  how many were found
   Cost     as n calls of pm_get, at most; no allocation */
PM_API size_t pm_get_many(const pm_map *m, const pm_key *keys, size_t n, const pm_val **out);

/* Tells whether a location exists, with or without a value.
   Returns  true if so
   Cost     as pm_get */
PM_API bool pm_path_exists(const pm_map *m, const void *key, size_t len);

/* Counts locations, the empty path included; otherwise like pm_val_count. */
PM_API PM_NODISCARD pm_status pm_location_count(const pm_map *m, uint64_t *out);

/* Counts the locations whose length is exactly `depth`; otherwise like pm_val_count.
   Cost     O(distinct nodes above that depth, per depth at which they occur) */
PM_API PM_NODISCARD pm_status pm_depth_count(const pm_map *m, size_t depth, uint64_t *out);

/* Tells what the values of a map mean.
   Returns  its value operations, never NULL: pm_ops_left() for a zero map, and for NULL
   Cost     O(1) */
PM_API const pm_ops *pm_map_ops(const pm_map *m);

/* ---- Further writes ---- */

/* Finds the value at `key` for changing it in place; un-shares the path to it.
   *slot is NULL when there is none (then nothing was un-shared), and in unit maps, which store no payload.
   Owns     what is written to the slot is the map's; the word that was there is nobody's: release it before
   Valid    until the next write to `m`, or pm_drop(m); also no longer than until `m` is cloned
   Fails    PM_NOMEM: nothing changed
   Cost     as pm_set */
PM_API PM_NODISCARD pm_status pm_get_mut(pm_map *m, const void *key, size_t len, pm_val **slot);

/* Stores `val` at `key` if there is no value yet. `slot` and `changed` may be NULL; *slot is as for pm_get_mut.
   Owns     `val` is the map's if inserted, else it stays the caller's
   Fails    PM_NOMEM: nothing changed
   Cost     as pm_set, one descent */
PM_API PM_NODISCARD pm_status pm_get_or_set(pm_map *m, const void *key, size_t len, pm_val val, pm_val **slot,
                                            bool *changed);

/* Like pm_get_or_set, with the value made by make(ctx, &val) only when it is needed.
   Fails    PM_NOMEM, or what `make` returned: nothing changed */
PM_API PM_NODISCARD pm_status pm_get_or_set_with(pm_map *m, const void *key, size_t len,
                                                 pm_status (*make)(void *ctx, pm_val *val), void *ctx, pm_val **slot,
                                                 bool *changed);

/* Makes the location and its prefixes exist. *changed (may be NULL): whether anything was made.
   Fails    PM_NOMEM: nothing changed
   Cost     as pm_set */
PM_API PM_NODISCARD pm_status pm_create_path(pm_map *m, const void *key, size_t len, bool *changed);

/* If the location exists, has no value and no extension: removes it, and its prefixes up to the nearest one that has
   a value or another extension. *removed (may be NULL): how many bytes of path vanished.
   Fails    PM_NOMEM: nothing changed
   Cost     as pm_remove */
PM_API PM_NODISCARD pm_status pm_prune_path(pm_map *m, const void *key, size_t len, size_t *removed);

/* Removes everything strictly below the location; its own value stays. With PM_PRUNE, pm_prune_path follows.
   *changed (may be NULL): whether a strict extension was removed.
   Fails    PM_NOMEM: nothing changed
   Cost     as pm_remove, and dropping what no other map holds */
PM_API PM_NODISCARD pm_status pm_remove_branches(pm_map *m, const void *key, size_t len, pm_prune prune, bool *changed);

/* A point to come back to. Zero is "none open". It holds a clone: whoever gives it up commits or rolls back. */
typedef struct pm_txn {
    pm_map saved;
    bool open;
} pm_txn;

/* Remembers the map's present content in *t, which is zero, or was ended.
   Owns     pm_txn_commit or pm_txn_rollback
   Fails    PM_INVALID: `t` is open already
   Cost     O(1) */
PM_API PM_NODISCARD pm_status pm_txn_begin(pm_txn *t, const pm_map *m);

/* Forgets the remembered content; the map is not touched.
   Fails    PM_INVALID: `t` is not open
   Cost     dropping what only the remembered content holds */
PM_API PM_NODISCARD pm_status pm_txn_commit(pm_txn *t);

/* Gives the map back the remembered content.
   Fails    PM_INVALID: `t` is not open
   Cost     dropping what is new */
PM_API PM_NODISCARD pm_status pm_txn_rollback(pm_txn *t, pm_map *m);
