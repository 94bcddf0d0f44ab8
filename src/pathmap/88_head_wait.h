/* Writers of a head by turns: to wait until nothing is in the way, and to get several places or none.

   pm_head_write refuses what is in another's way; these wait for it to end. Requests that overlap are served in the
   order of their calls, so none of them is put off by those that came later. (Calls that do not wait look at claims
   alone: they may take what a request waits for.) A thread that waits uses no processor.

   A request holds nothing while it waits: it gets all of its places at one moment, or none. So two requests cannot wait
   for each other, in whatever order they name their places. Two threads still can if each *holds* a zipper and waits
   for the other's: ask for all that a job needs in one call, or give a limit of time.

   With PM_NO_THREADS nobody could end what is in the way: there is no waiting, and the limit is 0. */

#include "66_head.h"

#define PM_FOREVER UINT64_MAX /* no limit of time */

/* Gives out a writer as pm_head_write does, and waits up to `us` microseconds for what is in the way; 0: not at all.
   Owns     pm_wz_drop
   Fails    PM_CONFLICT when the time has passed, *why as for pm_head_write (empty as well if only requests that came
            before are in the way); PM_NOMEM; PM_INVALID
   Cost     O(len), for each time that what was in the way has ended
   Threads  any, but one that holds a zipper in the way: it would wait for itself */
PM_API PM_NODISCARD pm_status pm_head_write_wait(pm_head *h, const void *path, size_t len, uint64_t us, pm_wz *out,
                                                 pm_map *why);

/* Gives out n writers, out[i] with its root at paths[i], all at one moment or none: else as pm_head_write_wait.
   pm_keep_outermost makes paths of which none is a prefix of another.
   Fails    also PM_INVALID: two of the paths would be in each other's way
   Cost     O(n^2) comparisons of paths, then as n calls of pm_head_write */
PM_API PM_NODISCARD pm_status pm_head_write_all_wait(pm_head *h, const pm_key *paths, size_t n, uint64_t us, pm_wz *out,
                                                     pm_map *why);

/* Keeps of a map the values that have no other value on the way to them, and removes what lies below these: of a set of
   prefixes, the fewest that cover all. {"a/", "a/b", "c"} leaves {"a/", "c"}: the fewest writers that together may
   write wherever the set says.
   *changed (may be NULL): whether anything was removed.
   Fails    PM_NOMEM: the map is as it was
   Cost     O(values kept and their bytes); nodes of which nothing goes are not copied */
PM_API PM_NODISCARD pm_status pm_keep_outermost(pm_map *m, bool *changed);
