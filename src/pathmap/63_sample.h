/* Sampling: the i-th value or location of a map, and random ones.

   A sampler holds a map's content as it was, and knows for each node how much lies below it; so every question is
   answered in one walk down, also where sharing makes more values than 64 bits can count. */

#include "40_map.h"
#include "50_read_zipper.h"

/* A sampler. */
typedef struct pm_sampler pm_sampler;

/* What is counted and drawn. */
typedef enum pm_sample {
    PM_SAMPLE_VALS, /* values */
    PM_SAMPLE_PATHS /* locations, the empty path included */
} pm_sample;

/* A source of random words, all bits of which are random. */
typedef uint64_t (*pm_random)(void *ctx);

/* Prepares sampling of what `m` holds now.
   Owns     pm_sampler_free
   Fails    PM_NOMEM
   Cost     O(distinct nodes)
   Threads  a read of `m`; the sampler is for one thread at a time, whatever happens to `m` */
PM_API PM_NODISCARD pm_status pm_sampler_new(const pm_map *m, pm_sample what, pm_sampler **out);

/* Ends a sampler, and the zipper that it has lent. NULL is allowed. */
PM_API void pm_sampler_free(pm_sampler *s);

/* Returns how many there are; UINT64_MAX if there are that many or more.
   Cost     O(1) */
PM_API uint64_t pm_sampler_count(const pm_sampler *s);

/* Finds the i-th (from 0) in order: *at stands there.
   Valid    until the next call, or pm_sampler_free; to go on from there, fork the zipper
   Fails    PM_INVALID: there are not so many; PM_NOMEM
   Cost     O(length of the path) */
PM_API PM_NODISCARD pm_status pm_sampler_at(pm_sampler *s, uint64_t i, const pm_rz **at);

/* Draws one, all being equally likely (within 2^-60 where there are more than 2^64): *at stands there.
   Valid    as pm_sampler_at
   Fails    PM_INVALID: there is none; PM_NOMEM
   Cost     O(length of the path), a random word or two a node */
PM_API PM_NODISCARD pm_status pm_sampler_draw(pm_sampler *s, pm_random random, void *ctx, const pm_rz **at);

/* Goes down to a random child, again and again, until there is none. Each child is as likely as its siblings, so paths
   are not equally likely; nothing has to be counted for it.
   Returns  whether the focus moved */
PM_API bool pm_rz_descend_random(pm_rz *z, pm_random random, void *ctx);
