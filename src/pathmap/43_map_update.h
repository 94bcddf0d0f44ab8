/* Changes that look at what is there. */

#include "02_types.h"
#include "40_map.h"

/* Changes the value at `key` by fn, which finds it in *val (some = false: there is none) and leaves there what shall
   stand afterwards: another value, the same one, or none (some = false), which removes it and the prefixes that then
   lead nowhere. fn must not touch the map.
   Returns  what fn returned; if that is not PM_OK, nothing changed
   Owns     the map's reference to the old value stays the map's, which releases it if another value or none is left;
            another value's reference goes over to the map
   Fails    PM_NOMEM: nothing changed, a new value is released; PM_BADHOOK: the map's table is refused (pm_ops)
   Cost     as pm_get and pm_set
   Threads  a write
   NULL     `m` or `fn`: PM_INVALID */
PM_API PM_NODISCARD pm_status pm_update(pm_map *m, const void *key, size_t len, pm_status (*fn)(void *ctx, pm_opt *val),
                                        void *ctx);

/* Compares and swaps: where the value at `key` is `expected`, by the table's `equal`, `val` takes its place. Either may
   be none (some = false): expecting none sets only what is absent, and without a value the key is removed, with the
   prefixes that then lead nowhere. *changed (may be NULL): whether it was as expected.
   Owns     `val` is the map's if *changed, else it stays the caller's; `expected` stays the caller's
   Fails    PM_NOMEM, PM_BADHOOK: nothing changed
   Cost     as pm_get and pm_set
   Threads  a write */
PM_API PM_NODISCARD pm_status pm_set_if(pm_map *m, const void *key, size_t len, pm_opt expected, pm_opt val,
                                        bool *changed);
