/* Heads: many writers and many readers on one map, at the same time.

   A head takes the content of a map over and gives zippers out. Any thread may ask a head at any time; each zipper is
   used by one thread at a time, and may be handed on and dropped by any (pm_rz_drop, pm_wz_drop).

       requested           while this is out                                        outcome
       writer at P         writer at Q, P and Q equal or one a prefix of the other  PM_CONFLICT
       writer at P         pinned reader at such a Q                                PM_CONFLICT
       pinned reader at P  writer at such a Q                                       PM_CONFLICT
       anything            readers anywhere (but a writer beside a pinned one)      granted
       snapshot reader     anything                                                 granted
       the map back        any zipper                                               PM_BUSY

   A snapshot reader sees, of each writer, every call that had returned before the reader was asked for, and none that
   began after it was given; each call whole or not at all; and nothing of what comes later. Across two writers there is
   no common instant, unless pm_head_fence makes one. A pinned reader keeps writers away from its place instead.
   Making a reader waits for a writer's call in flight, never for a writer that is between calls; its cost grows with
   the number of writers under its path, not with the map. Reading is then as with any zipper that owns its content.

   A thread that waits uses no processor, and is woken when what it waits for is over. No call is a cancellation point.
   After fork the child may use a head that no other thread was inside of.
   Hooks of values, and PM_MALLOC, may run while the head is locked, or inside a call that others wait for: they must
   not use the same head.
   With PM_NO_THREADS a head, like all else, is for one thread.
   NULL in place of a head, a map, a writer or a required result, or of a path that is not empty, and paths longer than
   any object can be: PM_INVALID. */

#include "51_write_zipper.h"
#include "65_claims.h"

/* A head. */
typedef struct pm_head pm_head;

/* Makes a head over a map: *m is empty until pm_head_free gives the content back to it, and must stay in place.
   Owns     pm_head_free
   Fails    PM_NOMEM: *m is unchanged
   Cost     O(1), one allocation; on Linux up to two system calls
   Threads  a write to `m` */
PM_API PM_NODISCARD pm_status pm_head_new(pm_map *m, pm_head **out);
/* Makes a head that owns the content: *m becomes empty for good. Else as pm_head_new. */
PM_API PM_NODISCARD pm_status pm_head_new_move(pm_map *m, pm_head **out);
/* Makes a head rooted at the focus of a writer, which must stay in place and not be used until the head is closed;
   paths are relative to that focus. If the writer comes from a head itself, readers of that head see what happens in
   this one when it is closed, all at once.
   Owns     pm_head_free, before the writer is used or ended
   Fails    PM_NOMEM; PM_INVALID: the writer is closed
   Cost     as pm_head_new */
PM_API PM_NODISCARD pm_status pm_head_new_at(pm_wz *w, pm_head **out);

/* Ends a head. An owning head gives its map to *out, or drops it if `out` is NULL; the others give the content back to
   where it was from, and `out` must be NULL. Freeing NULL does nothing.
   A zipper is out until the call that ends it has done all that it does, hooks of values included. But whoever frees a
   head sees to it that no other thread is inside another call on it, nor about to make one.
   Owns     the caller drops *out
   Fails    PM_BUSY while zippers are out, *busy (may be NULL) tells how many; PM_NOMEM; PM_INVALID. The head stays
            usable
   Threads  any, when no other uses the head */
PM_API PM_NODISCARD pm_status pm_head_free(pm_head *h, pm_map *out, uint64_t *busy);

/* Gives out a writer whose root is at `path`, which need not exist: as for any writer it is made by the first write
   that puts something there. Its calls become visible one by one. The writer may be moved by assignment.
   *why (may be NULL) is made an empty map, or if there is a conflict and memory for it, its report (65_claims.h), which
   the caller drops.
   Owns     pm_wz_drop, on any thread. pm_wz_into_reader leaves a pinned reader, without a gap in the claim
   Fails    PM_CONFLICT; PM_NOMEM: nothing changed
   Cost     O(len), however many zippers are out
   Threads  any */
PM_API PM_NODISCARD pm_status pm_head_write(pm_head *h, const void *path, size_t len, pm_wz *out, pm_map *why);
/* Gives out a writer without looking for claims in the way: the caller knows that there are none. PM_CHECK >= 1 looks
   nevertheless, and names both paths before it fails PM_ASSERT. */
PM_API PM_NODISCARD pm_status pm_head_write_unchecked(pm_head *h, const void *path, size_t len, pm_wz *out);

/* Gives out a snapshot reader, its root at `path`. Forks of it claim nothing, are not counted, and may outlive the
   head.
   Owns     pm_rz_drop, on any thread
   Fails    PM_NOMEM
   Threads  any
   Cost     O(len + writers at, above and below `path`). On Linux one call of membarrier, if a writer there has changed
            something since the last snapshot. If the system refuses that later than when the head was made: up to
            10 ms instead, once for each writer given out before */
PM_API PM_NODISCARD pm_status pm_head_read(pm_head *h, const void *path, size_t len, pm_rz *out);
/* Brings a snapshot reader of this head up to date: it shows what one requested now would. Root and focus stay.
   *changed (may be NULL): whether a new one has taken its place, so that values and nodes seen before are over. It has
   not if no writer of the head has begun a change since the reader was made.
   Fails    PM_NOMEM: `z` is as before; PM_INVALID: `z` is not open, not of this head, pinned, or a fork
   Cost     if nothing has changed: one load of a word that writers change when they begin to write after a snapshot, so
            readers that refresh share no cache line that any of them writes. Else that of pm_head_read, and a drop
   Threads  any; `z` is the caller's */
PM_API PM_NODISCARD pm_status pm_head_refresh(pm_head *h, pm_rz *z, bool *changed);
/* Gives out a snapshot reader of an instant that all writers under `path` have in common, between the beginning of the
   call and its end: none of them is inside a call then. It waits for the calls in flight; writers that want to begin a
   call meanwhile wait, also those that have been given out in between. Else as pm_head_read. */
PM_API PM_NODISCARD pm_status pm_head_fence(pm_head *h, const void *path, size_t len, pm_rz *out);

/* Gives out a pinned reader: while it is out, nothing changes at or below its root.
   Owns     pm_rz_drop, on any thread
   Fails    PM_CONFLICT, `why` as for pm_head_write; PM_NOMEM
   Cost     as pm_head_read
   Threads  any */
PM_API PM_NODISCARD pm_status pm_head_pin(pm_head *h, const void *path, size_t len, pm_rz *out, pm_map *why);
/* Gives out a pinned reader without looking for writers in the way, as pm_head_write_unchecked. */
PM_API PM_NODISCARD pm_status pm_head_pin_unchecked(pm_head *h, const void *path, size_t len, pm_rz *out);
