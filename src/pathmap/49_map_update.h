/* Changes that look at what is there, and many changes at once. */

#include "02_types.h"
#include "40_map.h"

/* Changes the value at `key` by fn, which finds it in *val (some = false: there is none) and leaves there what shall
   stand afterwards: another value, the same one, or none (some = false), which removes it and the prefixes that then
   lead nowhere. fn must not touch the map.
   Returns  what fn returned; if that is not PM_OK, nothing changed
   Owns     the map's reference to the old value stays the map's, which releases it if another value or none is left;
            another value's reference goes over to the map
   Fails    PM_NOMEM: nothing changed, fn was not asked or its new value is released; PM_BADHOOK: the map's table is
            refused (pm_ops)
   Cost     as pm_set: one walk. Nodes on the way that are shared are copied, even if fn leaves all as it is
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

/* One of many changes. */
typedef struct pm_edit {
    pm_key key;
    pm_opt val; /* what is set; some = false: the key is removed */
} pm_edit;

/* Makes n changes, all or none: as so many calls of pm_set and of pm_remove with PM_PRUNE. Of edits of one key the last
   counts, and the others are as if they were not there; otherwise their order does not matter. Keys in ascending order
   cost least: neighbours share their way down, and a rewriting of the node they go into.
   Owns     the map takes over one reference of each value, also of those that do not count; on failure all stay the
            caller's. Replaced and removed values are released
   Fails    PM_NOMEM, PM_BADHOOK (the map's table is refused): nothing changed; PM_INVALID: so is a key
   Cost     that of looking up all keys side by side, as pm_get_many does, and of a change each where it was found;
            removals are looked up first. Takes 16 bytes an edit from PM_MALLOC until it returns, and where keys are
            removed 40 bytes more, and those keys
   Threads  a write
   NULL     `m`: PM_INVALID; `edits` only where n is 0 */
PM_API PM_NODISCARD pm_status pm_apply(pm_map *m, const pm_edit *edits, size_t n);
