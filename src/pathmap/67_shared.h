/* A map that is replaced under readers.

   A pm_shared holds one version of a map at a time. Any thread may load it, which makes a clone, and any thread may put
   another version in its place; what was loaded stays as it was. Loading never waits, and nothing waits for a load.

   Threads that put a version in place, by pm_shared_store, pm_shared_compare_and_swap or pm_shared_update, take turns,
   in the order of their calls. A store or a swap is over at once; an update has its turn until its function returns. So
   each of them is done once, all as if one after the other, and none is put off for ever by others.
   Threads  any number, in every call but pm_shared_free
   NULL     in place of the object, of a map or of fn: PM_INVALID; pm_shared_load gives an empty map then, and
            pm_shared_refresh changes nothing */

#include "40_map.h"

/* A map that is replaced under its readers. */
typedef struct pm_shared pm_shared;

/* Makes a shared map that holds a clone of `m`.
   Owns     pm_shared_free
   Fails    PM_NOMEM
   Cost     O(1) */
PM_API PM_NODISCARD pm_status pm_shared_new(const pm_map *m, pm_shared **out);

/* Ends it, when no thread uses it any more; what was loaded from it stays. NULL is allowed.
   Threads  any, when no other uses it */
PM_API void pm_shared_free(pm_shared *s);

/* Loads the present version, also while an update is being made.
   Returns  a clone of it, which the caller drops
   Cost     three atomic read-modify-writes; no allocation, no lock, no loop */
PM_API pm_map pm_shared_load(pm_shared *s);

/* Brings a thread's own copy up to date: drops *m and loads the present version, unless that is what was loaded into *m
   last. `seen` tells: *seen is 0 at first, and then the number of the version in *m; keep the two together.
   Returns  whether *m was replaced. What the caller has written to *m is lost then, and stays otherwise
   Owns     as before: the caller drops *m in the end
   Cost     one load of a word that only stores change, if nothing was stored: readers that refresh before each
            use share no cache line that any of them writes. Else a load, and a drop
   Threads  any, each with an *m and *seen of its own. Sees all that any thread has loaded before, or stored */
PM_API bool pm_shared_refresh(pm_shared *s, pm_map *m, uint64_t *seen);

/* Puts a clone of `m` in place of the present version. Waits for updates that were called before.
   Owns     `m` stays the caller's
   Fails    PM_NOMEM: nothing changed; PM_INVALID from within an update of the same object
   Cost     O(1), and dropping what nobody else holds of the version before */
PM_API PM_NODISCARD pm_status pm_shared_store(pm_shared *s, const pm_map *m);

/* Puts a clone of `desired` in place of the present version, if that is `expected`: a map that was loaded and not
   written since. `expected` NULL: whatever the present version is.
   *changed (may be NULL): whether it did.
   Fails    as pm_shared_store
   Cost     as pm_shared_store */
PM_API PM_NODISCARD pm_status pm_shared_compare_and_swap(pm_shared *s, const pm_map *expected, const pm_map *desired,
                                                         bool *changed);

/* Changes the present version by fn, which writes to a clone and is run once, on the calling thread. Others that store
   or update wait for it, so it should be short; it may load, but its stores, swaps and updates of the same object are
   refused. It must return: not leave by longjmp, nor its thread be cancelled in it.
   Fails    what fn returns, which leaves all as it was; PM_NOMEM; PM_INVALID from within an update of the same object
   Cost     that of fn, whose first writes copy nodes on their way, and of a store */
PM_API PM_NODISCARD pm_status pm_shared_update(pm_shared *s, pm_status (*fn)(void *ctx, pm_map *m), void *ctx);
