/* Folds: working out one result for a whole trie from the results of its parts (catamorphisms).

   The callback is called once for each location, children before parents and in byte order, the place where the fold
   began last. It gets the results of the children and makes that of the location. What it gets does not depend on how
   the trie is cut into nodes, nor on what is shared.

       static int sum(void *ctx, const pm_fold_at *here, void *out) {      // adds up all values
           uint64_t n = here->val ? *here->val : 0;
           for (unsigned i = 0; i < here->n; i++) n += ((uint64_t *)here->results)[i];
           *(uint64_t *)out = n;
           return PM_OK;
       }
       pm_fold f = {.size = sizeof(uint64_t), .flags = PM_FOLD_CACHED, .at = sum};
       status = pm_fold_map(&m, &f, &total);

   Jumping folds skip the locations at which nothing happens: those without value that lead on by exactly one byte. The
   callback then gets the skipped bytes: those above the location, up to the next location that is not skipped, without
   the byte that this one's mask shows; if there is none, up to where the fold began. For combo, comet and comfort the
   fold stops at "combo" (jump "o"), "comet" ("t"), "comfort" ("ort") and "com" ("com").

   Cached folds call it once for what several parents share, so that 2^80 values in a kilobyte take microseconds. Their
   callback must be pure: its result depends on nothing but what it gets, and it gets no path. */

#include "12_bytemask.h"
#include "50_read_zipper.h"

/* A location, as the callback sees it. All pointers are valid during the call only. */
typedef struct pm_fold_at {
    const pm_mask *mask;  /* bytes that lead on */
    unsigned n;           /* how many these are */
    void *results;        /* theirs, n times `size` bytes, in byte order */
    const pm_val *val;    /* NULL: none */
    const uint8_t *path;  /* from where the fold began; NULL, and len 0, in cached folds */
    size_t len;
    const uint8_t *jump;  /* jumping folds: the bytes skipped above */
    size_t jump_len;
} pm_fold_at;

enum {
    PM_FOLD_JUMPING = 1,
    PM_FOLD_CACHED = 2
};

/* How to fold. Results are `size` bytes each (0: there are none), may be moved in memory, and are aligned as by malloc
   if `size` is a multiple of their alignment. */
typedef struct pm_fold {
    size_t size;
    unsigned flags;
    void *ctx;
    /* Makes *out. Returns PM_OK; or anything else, which ends the fold, is its result, and leaves *out unmade.
       Children's results stay the fold's, which drops them after the call; to keep one, move it out and leave in its
       place something that `drop` takes for empty. Must not write to the map. */
    int (*at)(void *ctx, const pm_fold_at *here, void *out);
    /* Ends a result; NULL: nothing to be done. */
    void (*drop)(void *ctx, void *result);
    /* Cached folds with `drop`: makes *out a second one of *result. Returns like `at`. NULL: the bytes are copied. */
    int (*copy)(void *ctx, const void *result, void *out);
} pm_fold;

/* Folds a whole map. The empty map is one location.
   Returns  PM_OK; PM_NOMEM; PM_INVALID: a cached fold with `drop` but no `copy`; or what a callback returned (let that
            be positive, to tell it from a pm_status). Then *out is untouched, and every result was dropped
   Owns     *out is the caller's
   Cost     one call per location; jumping: per location that is not skipped; cached: per location of a distinct node,
            and at most once more for each reference to a shared node
   Threads  a read of the map; several folds may run at once, each with a `ctx` of its own */
PM_API PM_NODISCARD int pm_fold_map(const pm_map *m, const pm_fold *f, void *out);
/* Folds what is at and below a place; one that does not exist is folded like an empty map. Else as pm_fold_map. */
PM_API PM_NODISCARD int pm_fold_ref(const pm_ref *r, const pm_fold *f, void *out);
