/* Operations on whole maps in several threads, which the caller has: the library starts none.

       static void run(void *ctx, void (*task)(void *arg, size_t i), void *arg, size_t n) {
           #pragma omp parallel for schedule(dynamic)
           for (size_t i = 0; i < n; i++) task(arg, i);
       }
       pm_team team = {run, NULL, 8};
       status = pm_par_join(&team, &a, &b, &out, NULL);

   The work is divided at places of the operands, several pieces for each worker, whose sizes are estimated; what comes
   out is put together in order, whole subtries shared. So results do not depend on who ran what, nor on how many
   workers there are; only nodes at the borders of pieces may be cut otherwise.
   What holds for all: a team's `run` may call tasks in any order, on any threads, and returns when all have ended. The
   calls may come in several rounds. Hooks of values, and callbacks, run on the team's threads.
   Fails    with the first status that a piece failed with, PM_NOMEM among them; nothing is changed, nothing lost;
            PM_INVALID: no `run`
   Cost     that of the operation, and of dividing: some microseconds a piece. Maps of a few thousand values are better
            off with one thread
   Threads  the calling one, which must not hold what tasks wait for, and the team's */

#include "45_map_algebra.h"
#include "60_fold.h"
#include "62_hash.h"

typedef struct pm_team {
    /* Calls task(arg, i) once for each i below n, and returns when all calls have returned. */
    void (*run)(void *ctx, void (*task)(void *arg, size_t i), void *arg, size_t n);
    void *ctx;
    unsigned workers; /* how many tasks run at once; 0 is taken for 1 */
} pm_team;

/* pm_join, pm_meet, pm_subtract, pm_symmetric_difference. An operand that the result equals is returned as it is. */
PM_API PM_NODISCARD pm_status pm_par_join(const pm_team *team, const pm_map *a, const pm_map *b, pm_map *out,
                                          pm_alg *alg);
/* pm_meet; else as pm_par_join. */
PM_API PM_NODISCARD pm_status pm_par_meet(const pm_team *team, const pm_map *a, const pm_map *b, pm_map *out,
                                          pm_alg *alg);
/* pm_subtract; else as pm_par_join. */
PM_API PM_NODISCARD pm_status pm_par_subtract(const pm_team *team, const pm_map *a, const pm_map *b, pm_map *out,
                                              pm_alg *alg);
/* pm_symmetric_difference; else as pm_par_join. */
PM_API PM_NODISCARD pm_status pm_par_symmetric_difference(const pm_team *team, const pm_map *a, const pm_map *b,
                                                          pm_map *out, pm_alg *alg);

/* pm_build. Keys that ascend strictly are divided where they stand; others are sorted into pieces first, by samples.
   Owns     as pm_build
   Cost     memory for 24 bytes a key, twice that for keys that do not ascend */
PM_API PM_NODISCARD pm_status pm_par_build(const pm_team *team, const pm_ops *ops, pm_pool *pool, const pm_key *keys,
                                           const pm_val *vals, size_t n, pm_map *out);

/* pm_val_count. What pieces share is counted by each. */
PM_API PM_NODISCARD pm_status pm_par_val_count(const pm_team *team, const pm_map *m, uint64_t *out);

/* pm_hash, to the same result. */
PM_API PM_NODISCARD pm_status pm_par_hash(const pm_team *team, const pm_map *m, pm_hash128 *out);

/* pm_fold_map of a cached fold that does not jump, whose callbacks may run on several threads at once. What pieces
   share is folded by each.
   Fails    also with PM_INVALID for other folds, and with what a callback returned, the first piece's if several did */
PM_API PM_NODISCARD int pm_par_fold_map(const pm_team *team, const pm_map *m, const pm_fold *f, void *out);

/* pm_drop. Where there is no memory for dividing, the calling thread does it all. */
PM_API void pm_par_drop(const pm_team *team, pm_map *m);
