/* Write zippers: cursors that edit.

   A write zipper is the only user of its map while it is open. Its focus is that of its cursor, a read zipper which
   pm_wz_cursor lends: every move and query of pm_rz_ applies to it. Moving never changes the map; writes un-share only
   what they change. Nothing above the zipper's root is ever changed, but a root that does not exist is made, with its
   prefixes, by the first write that puts something there.
   A move that fails leaves the cursor elsewhere than it was sent: until pm_rz_reset, all writes are refused with that
   failure (PM_NOMEM), which pm_wz_status and pm_wz_drop tell too.
   What holds for every write: it is made at the focus; PM_NOMEM: nothing changed; PM_INVALID: the writer is not open;
   its cost is that of the same call on a map (40_map.h), without the way down where the cursor stands already; it ends
   the validity of all that the map or the cursor has lent, but for the cursor itself.
   Threads  one thread per writer, and nobody else at its map; through a head see 66_head.h */

#include "50_read_zipper.h"

typedef struct pm_wz {
    pm_map *map;
    pm_map own;       /* the map of an owning writer */
    pm_rz cursor;
    pm_status status; /* first failure */
    bool owned;
    pm_txn group;     /* of a writer that no head gave out */
} pm_wz;

/* Opens a writer over `m`, its root at `path`, which need not exist. The caller need not initialise *out before.
   Owns     pm_wz_drop
   Valid    while `m` stays in place and nobody else touches it
   Fails    PM_NOMEM
   Cost     O(len); nothing is copied or made yet */
PM_API PM_NODISCARD pm_status pm_wz_open(pm_map *m, const void *path, size_t len, pm_wz *out);

/* Opens a writer that owns its map; *m becomes empty. The writer must not be moved in memory by assignment.
   Owns     pm_wz_drop drops the map, pm_wz_into_map gives it back
   Fails    PM_NOMEM: *m is unchanged; PM_INVALID: *m is what the writer owns already
   Cost     as pm_wz_open */
PM_API PM_NODISCARD pm_status pm_wz_open_move(pm_map *m, const void *path, size_t len, pm_wz *out);

/* Ends a writer; a group that is open is committed. Dropping twice, or dropping zero or NULL, is harmless.
   Returns  the first failure of any of its writes, or PM_OK
   Cost     O(1); of one that owns its map, that of pm_drop */
PM_API pm_status pm_wz_drop(pm_wz *w);

/* Ends an owning writer and gives the map to *out.
   Owns     the caller drops *out
   Fails    PM_INVALID: it does not own one; it stays open
   Cost     O(1) */
PM_API PM_NODISCARD pm_status pm_wz_into_map(pm_wz *w, pm_map *out);

/* Ends a writer and opens in *out a reader with the same root and focus: owned if the writer owned its map, else
   borrowing it.
   Owns     pm_rz_drop
   Fails    PM_NOMEM: the writer stays open
   Cost     O(length of the path) */
PM_API PM_NODISCARD pm_status pm_wz_into_reader(pm_wz *w, pm_rz *out);

/* Returns the cursor: use pm_rz_ moves and queries on it. Not to be dropped. NULL if `w` is.
   Valid    as long as `w` is open: it keeps its focus when `w` writes */
PM_API pm_rz *pm_wz_cursor(pm_wz *w);

/* Returns the first failure of a write, or of a move that a write was refused for, so far, or PM_OK. It stays. */
PM_API pm_status pm_wz_status(const pm_wz *w);

/* Stores a value at the focus: as pm_set. */
PM_API PM_NODISCARD pm_status pm_wz_set(pm_wz *w, pm_val val, pm_opt *old);
/* Finds the value at the focus for changing it in place: as pm_get_mut. Through a head's writer this and the next two
   lend a slot only inside a group (pm_wz_begin), since readers do not notice what is written to it: else PM_INVALID,
   unless `slot` is NULL. */
PM_API PM_NODISCARD pm_status pm_wz_get_mut(pm_wz *w, pm_val **slot);
/* Stores `val` at the focus if there is no value: as pm_get_or_set. */
PM_API PM_NODISCARD pm_status pm_wz_get_or_set(pm_wz *w, pm_val val, pm_val **slot, bool *changed);
/* Stores what `make` makes at the focus if there is no value: as pm_get_or_set_with. */
PM_API PM_NODISCARD pm_status pm_wz_get_or_set_with(pm_wz *w, pm_status (*make)(void *ctx, pm_val *val), void *ctx,
                                                    pm_val **slot, bool *changed);
/* Removes the value at the focus: as pm_remove, never above the root. The focus does not move. */
PM_API PM_NODISCARD pm_status pm_wz_remove(pm_wz *w, pm_prune prune, pm_opt *old);

/* Replaces what is at and below the focus, value included, by a share of what is at and below the focus of `src`.
   A source that does not exist: branches and value are removed, the focus itself stays (and is made if missing).
   Owns     `src` and what it is over stay as they are; it must be over a map: of a view make one (pm_rz_make_map)
   Fails    PM_NOMEM: nothing changed. PM_MISMATCH: other value operations, or `src` is over a view
   Cost     O(path); builds at most one node for the source and one per shared level of the target */
PM_API PM_NODISCARD pm_status pm_wz_graft(pm_wz *w, const pm_rz *src);
/* Grafts like pm_wz_graft, from the place `key` below the focus of `src`. */
PM_API PM_NODISCARD pm_status pm_wz_graft_at(pm_wz *w, const pm_rz *src, const void *key, size_t len);
/* Grafts like pm_wz_graft, from a whole map, which is kept. */
PM_API PM_NODISCARD pm_status pm_wz_graft_map(pm_wz *w, const pm_map *src);
/* Grafts like pm_wz_graft_map, without sharing: *src becomes empty, and does so first. If it is the writer's own map,
   that then has nothing but what is grafted. */
PM_API PM_NODISCARD pm_status pm_wz_graft_map_move(pm_wz *w, pm_map *src);
/* For each byte of `mask`, replaces the child by the source's (removed where the source has none). With
   PM_CLEAR_OTHERS, all other children are removed. The focus value stays; the focus is made if missing.
   Fails    PM_NOMEM: nothing changed. PM_MISMATCH: other value operations
   Cost     O(path and children) */
PM_API PM_NODISCARD pm_status pm_wz_graft_masked(pm_wz *w, const pm_rz *src, const pm_mask *mask, pm_others others);
/* Replaces the child at each byte of `mask` by the map of the same rank in maps[0..n), consumed; an empty map leaves a
   child without value and branches. With PM_CLEAR_OTHERS, all other children are removed. The focus value stays.
   Owns     the writer takes the maps over, which are empty then
   Fails    PM_INVALID if n is not the number of bytes in `mask`, or a map is the writer's own; PM_MISMATCH; PM_NOMEM.
            Nothing changed, no map consumed
   Cost     O(path and children) */
PM_API PM_NODISCARD pm_status pm_wz_graft_children(pm_wz *w, const pm_mask *mask, pm_map *maps, size_t n,
                                                   pm_others others);

/* Cuts branches and value at the focus out into *out. The focus stays, unless pruned.
   *found (may be NULL): whether there was a value or a branch.
   Owns     the caller drops *out
   Fails    PM_NOMEM; PM_INVALID: `out` is the writer's own map. Nothing changed
   Cost     O(path): the subtrie is handed over, not copied */
PM_API PM_NODISCARD pm_status pm_wz_take(pm_wz *w, pm_prune prune, pm_map *out, bool *found);

/* Moves all branches below the focus under `path`; the focus value stays.
   *found (may be NULL): false on a childless focus.
   Fails    PM_NOMEM: nothing changed
   Cost     O(len), and one or two nodes built */
PM_API PM_NODISCARD pm_status pm_wz_insert_prefix(pm_wz *w, const void *path, size_t len, bool *found);

/* Goes up n bytes (to the root at most) and replaces everything below there by the old focus's branches. The value
   there stays, the old focus's own value is lost.
   *found (may be NULL): whether n bytes were available.
   Fails    PM_NOMEM: nothing changed, focus unmoved
   Cost     O(path), and dropping what nobody else holds */
PM_API PM_NODISCARD pm_status pm_wz_remove_prefix(pm_wz *w, size_t n, bool *found);

/* Removes everything below the focus; its value stays. With PM_PRUNE, pm_wz_prune_path follows.
   *changed (may be NULL): whether something was removed.
   Fails    PM_NOMEM: nothing changed
   Cost     O(path), and dropping what nobody else holds */
PM_API PM_NODISCARD pm_status pm_wz_remove_branches(pm_wz *w, pm_prune prune, bool *changed);

/* Removes the children whose byte is not in `mask`. With PM_PRUNE, pm_wz_prune_path follows if none is
   left.
   Fails    PM_NOMEM: nothing changed
   Cost     O(path and children), and dropping what nobody else holds */
PM_API PM_NODISCARD pm_status pm_wz_remove_unmasked(pm_wz *w, const pm_mask *mask, pm_prune prune);

/* Makes the focus exist: as pm_create_path. *changed (may be NULL): whether it did not.
   Fails    PM_NOMEM: nothing changed */
PM_API PM_NODISCARD pm_status pm_wz_create_path(pm_wz *w, bool *changed);

/* Prunes at the focus: as pm_prune_path, never above the root. The focus does not move.
   Fails    PM_NOMEM: nothing changed */
PM_API PM_NODISCARD pm_status pm_wz_prune_path(pm_wz *w, size_t *removed);

/* Prunes like pm_wz_prune_path, then goes up by what vanished. */
PM_API PM_NODISCARD pm_status pm_wz_prune_ascend(pm_wz *w, size_t *removed);

/* Groups of writes: what is done between begin and commit becomes visible at once; rollback undoes it. They work on any
   writer; one that ends inside a group commits it.
   Fails    PM_INVALID: begin inside a group, the others outside, any on a closed writer; not remembered by pm_wz_status
   Cost     O(1) */

/* Opens a group: remembers the map's content as it is now. */
PM_API PM_NODISCARD pm_status pm_wz_begin(pm_wz *w);
/* Ends a group: what was written is visible to others. */
PM_API PM_NODISCARD pm_status pm_wz_commit(pm_wz *w);
/* Ends a group: the map is as it was when the group was opened. Also drops what was new. */
PM_API PM_NODISCARD pm_status pm_wz_rollback(pm_wz *w);
