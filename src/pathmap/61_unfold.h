/* Unfolds: growing a trie from a seed (anamorphisms), and folding what grows without building it (hylomorphisms).

   The callback gets the seed of a location, and tells through the sprout what is there: a value, and children, each
   with a seed of its own, in strictly increasing order of their first bytes. A child may be several bytes away, and may
   be a map that is grafted. A location with neither value nor children dangles.

       static int below(void *ctx, void *seed, pm_sprout *sp, const uint8_t *path, size_t len) {
           uint64_t n = *(uint64_t *)seed, next;                           // the divisors of n, largest first
           int s = pm_sprout_val(sp, n);
           for (unsigned p = 2; s == PM_OK && p < 10; p++)
               if (n % p == 0) next = n / p, s = pm_sprout_child(sp, &(char){(char)('0' + p)}, 1, &next);
           return s;
       }
       pm_unfold u = {.seed_size = sizeof(uint64_t), .at = below};
       status = pm_unfold_map(&u, &(uint64_t){360}, NULL, NULL, &m);

   Depth costs no stack; a location with a single child and no value costs nothing but its byte of path. */

#include "40_map.h"
#include "60_fold.h"

/* The location that a callback is called for. Valid during the call. */
typedef struct pm_sprout pm_sprout;

/* How to unfold. Seeds are `seed_size` bytes each (0: there are none), may be moved in memory, and are aligned as by
   malloc if that is a multiple of their alignment. */
typedef struct pm_unfold {
    size_t seed_size;
    void *ctx;
    /* Tells what is at `path`. Returns PM_OK; or anything else, which ends the unfold and is its result. The seed stays
       the unfold's, which drops it after the call; to keep it, move it out and leave in its place something that `drop`
       takes for empty. */
    int (*at)(void *ctx, void *seed, pm_sprout *here, const uint8_t *path, size_t len);
    /* Ends a seed; NULL: nothing to be done. */
    void (*drop)(void *ctx, void *seed);
} pm_unfold;

/* Gives the location a value.
   Owns     the unfold takes over the caller's reference to `val`
   Fails    PM_INVALID: it has one already, `val` stays the caller's. The unfold will fail too */
PM_API PM_NODISCARD pm_status pm_sprout_val(pm_sprout *here, pm_val val);

/* Gives it a location at `path` from here, to be unfolded from a seed, whose bytes are copied.
   Owns     the unfold takes over the seed, in case of success
   Fails    PM_NOMEM; PM_INVALID: `path` is empty, or its first byte is not above that of the child before. The unfold
            will fail too */
PM_API PM_NODISCARD pm_status pm_sprout_child(pm_sprout *here, const void *path, size_t len, const void *seed);

/* Gives it a location at `path` from here, with a clone of `src` at and below it.
   Owns     `src` stays the caller's
   Fails    like pm_sprout_child; PM_MISMATCH: its value operations are not those of the map that grows
   Cost     the subtrie is shared */
PM_API PM_NODISCARD pm_status pm_sprout_graft(pm_sprout *here, const void *path, size_t len, const pm_map *src);

/* Builds a map from a seed, whose bytes are copied; `ops` and `pool` as for pm_new.
   Returns  PM_OK; PM_NOMEM, PM_INVALID or PM_MISMATCH as above; PM_BADHOOK: `ops` is refused; or what the callback
            returned. Then *out is untouched
   Owns     the caller drops *out. The seed is dropped by the unfold, in any case
   Cost     one call per location told; each node is built once, top-down
   Threads  any number of unfolds at once, each with a `ctx` of its own */
PM_API PM_NODISCARD int pm_unfold_map(const pm_unfold *u, const void *seed, const pm_ops *ops, pm_pool *pool,
                                      pm_map *out);

/* Folds the trie that an unfold would build, without building it: what pm_fold_map would make of it. Values are plain
   words here: nobody retains or releases them. In cached folds, only what grafted maps share is folded once.
   Returns  as pm_unfold_map and pm_fold_map
   Owns     *out is the caller's; the seed is dropped in any case
   Cost     that of both without the map; memory for the results and seeds on one way down */
PM_API PM_NODISCARD int pm_hylo(const pm_unfold *u, const void *seed, const pm_fold *f, void *out);
