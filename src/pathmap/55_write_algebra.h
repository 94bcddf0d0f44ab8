/* Algebra in place, through write zippers: see 45_map_algebra.h for what the operations mean.

   The left operand is what is at and below the writer's focus, value included; a place that does not exist counts as
   the empty trie, on either side. *alg (may be NULL) compares the result with what was there (pm_alg): PM_ALG_NONE, it
   is empty now; PM_ALG_LEFT, nothing changed; PM_ALG_ELEMENT, something did. An empty result does not make the focus
   exist, nor does it remove it, except with PM_PRUNE: then pm_wz_prune_path follows.

   A source may be a zipper over the writer's own map, but not over a view (PM_MISMATCH). Sources are kept, and shared
   with.
   Fails    PM_NOMEM, PM_MISMATCH, PM_BADHOOK: nothing changed, unless said otherwise
   Cost     O(nodes that differ); nothing is un-shared that does not change. A source that is small against a focus
            whose nodes are the map's alone is joined or subtracted key by key: a descent for each key. Not so if the
            source is a zipper over the writer's own map
   Threads  as any write; sources are read */

#include "45_map_algebra.h"
#include "51_write_zipper.h"

/* Joins what is at and below the focus of `src` to the focus. */
PM_API PM_NODISCARD pm_status pm_wz_join(pm_wz *w, const pm_rz *src, pm_alg *alg);
/* Joins a whole map to the focus. */
PM_API PM_NODISCARD pm_status pm_wz_join_map(pm_wz *w, const pm_map *src, pm_alg *alg);
/* Joins a whole map, which is consumed: *src becomes empty, and does so first. If it is the writer's own map, that then
   has nothing but what is joined. If the call fails, *src is as it was. */
PM_API PM_NODISCARD pm_status pm_wz_join_map_move(pm_wz *w, pm_map *src, pm_alg *alg);
/* Joins what is at and below another writer's focus, which is then taken away there; PM_PRUNE prunes it. For the
   readers of a head that gave both out, this is one call. Inside groups of both, each group is committed, or
   undone, by itself.
   Fails    PM_INVALID: both are one writer, `from` is closed, or a group (pm_wz_begin) is open on one of them alone,
            unless they write to one map; nothing changed. If memory runs out, `from` may have kept what `w` got
            already */
PM_API PM_NODISCARD pm_status pm_wz_join_take(pm_wz *w, pm_wz *from, pm_prune prune, pm_alg *alg);

/* Keeps what the focus and the source both have. */
PM_API PM_NODISCARD pm_status pm_wz_meet(pm_wz *w, const pm_rz *src, pm_prune prune, pm_alg *alg);
/* Replaces the focus by what `a` and `b` both have; *alg compares with what was there before. */
PM_API PM_NODISCARD pm_status pm_wz_meet_2(pm_wz *w, const pm_rz *a, const pm_rz *b, pm_alg *alg);
/* Removes what the source has. */
PM_API PM_NODISCARD pm_status pm_wz_subtract(pm_wz *w, const pm_rz *src, pm_prune prune, pm_alg *alg);

/* Keeps what has a prefix, below the focus, with a value in the source: see pm_restrict. */
PM_API PM_NODISCARD pm_status pm_wz_restrict(pm_wz *w, const pm_rz *src, pm_alg *alg);
/* Replaces the focus by what of the source has a prefix with a value in the old focus.
   *found (may be NULL): false, and no change, if either place does not exist */
PM_API PM_NODISCARD pm_status pm_wz_restricting(pm_wz *w, const pm_rz *src, bool *found);

/* Drops the first k bytes of everything below the focus and joins what then falls together; values fewer than k + 1
   bytes below are removed, as are places fewer than k below. The focus value stays. k = 0 moves nothing. With PM_PRUNE,
   pm_wz_prune_path follows. Values are combined in the order of paths; the hooks are taken to be associative.
   *found (may be NULL): whether a value or a branch is left at the focus
   Cost     O(nodes down to that depth, each once), and that of the joins */
PM_API PM_NODISCARD pm_status pm_wz_join_k_path(pm_wz *w, size_t k, pm_prune prune, bool *found);
/* Drops k bytes like pm_wz_join_k_path, but keeps only what is found below every place k bytes down. */
PM_API PM_NODISCARD pm_status pm_wz_meet_k_path(pm_wz *w, size_t k, pm_prune prune, bool *found);
