/* Many changes at once. */

#include "02_types.h"
#include "40_map.h"

/* One of many changes. */
typedef struct pm_edit {
    pm_key key;
    pm_opt val; /* what is set; some = false: the key is removed */
} pm_edit;

/* Makes n changes, all or none: as so many calls of pm_set and of pm_remove with PM_PRUNE. Of edits of one key the last
   counts, and the others are as if they were not there; otherwise their order does not matter. Keys in ascending order
   spare a sort.
   Owns     the map takes over one reference of each value, also of those that do not count; on failure all stay the
            caller's. Replaced and removed values are released
   Fails    PM_NOMEM, PM_BADHOOK (the map's table is refused): nothing changed; PM_INVALID: so is a key
   Cost     that of looking up all keys side by side, as pm_get_many does, and of a change each where it was found;
            takes about 60 bytes a key, and the keys, from PM_MALLOC until it returns
   Threads  a write
   NULL     `m`: PM_INVALID; `edits` only where n is 0 */
PM_API PM_NODISCARD pm_status pm_apply(pm_map *m, const pm_edit *edits, size_t n);
