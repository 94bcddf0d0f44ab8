/* A map that is replaced under readers.

   A pm_shared holds one version of a map at a time. Any thread may load it, which makes a clone, and any thread may put
   another version in its place; what was loaded stays as it was. Loading never waits for anybody, and nobody waits for
   who loads; those who store wait for each other, but only while a word is exchanged.
   Threads  any number, in every call but pm_shared_free */

#include "40_map.h"

typedef struct pm_shared pm_shared;

/* Makes a shared map that holds a clone of `m`.
   Owns     pm_shared_free
   Fails    PM_NOMEM */
PM_API PM_NODISCARD pm_status pm_shared_new(const pm_map *m, pm_shared **out);

/* Gives it up, when no thread uses it any more; what was loaded from it stays. NULL is allowed. */
PM_API void pm_shared_free(pm_shared *s);

/* A clone of the present version.
   Owns     the caller drops the result
   Cost     three atomic read-modify-writes; no allocation, no lock, no loop */
PM_API pm_map pm_shared_load(pm_shared *s);

/* Puts a clone of `m` in place of the present version.
   Fails    PM_NOMEM: nothing changed */
PM_API PM_NODISCARD pm_status pm_shared_store(pm_shared *s, const pm_map *m);

/* The same, if the present version is `expected`: a map that was loaded and not written since.
   *swapped (may be NULL): whether it was
   Fails    PM_NOMEM: nothing changed */
PM_API PM_NODISCARD pm_status pm_shared_compare_and_swap(pm_shared *s, const pm_map *expected, const pm_map *desired,
                                                         bool *swapped);

/* Changes the present version by fn, which writes to a clone: as if all changes were made one after the other. When
   another thread has stored meanwhile, fn is run again, on a clone of what that has stored; no lock is held during it.
   Fails    what fn answers, which leaves all as it was; PM_NOMEM */
PM_API PM_NODISCARD pm_status pm_shared_update(pm_shared *s, pm_status (*fn)(void *ctx, pm_map *m), void *ctx);
