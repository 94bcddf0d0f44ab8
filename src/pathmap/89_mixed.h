/* Mixed tries: what is in memory, and subtries that lie in images.

   A subtrie of an image hangs at a key without being loaded. Writing at or below that key takes out of the image what
   is on the way, one entry a record: so a base larger than memory carries changes that take memory for themselves
   alone. What reads goes through both as one trie.

       pm_base *base;
       pm_mixed m = pm_mixed_new(NULL, NULL);
       if (pm_base_open(&image, NULL, unmap, block, &base) != PM_OK) ..   // from here on `base` calls unmap(block)
       if (pm_mixed_hang(&m, "shop/", 5, base, 0) != PM_OK) ..            // reads nothing but the image's root
       pm_base_close(base);                                               // the trie keeps it open
       if (pm_mixed_set(&m, "shop/milk", 9, 120, NULL) != PM_OK) ..
       if (pm_mixed_rz(&m, &z) == PM_OK) ..                               // moves, iterators, folds, differences
       pm_mixed_drop(&m);                                                 // here unmap(block) is called

   Everything means what it means of a map with the same content (40_map.h): dangling locations, pruning, removals.
   Threads as of maps: a read needs no lock beside other reads, a write is for one thread alone, clones are other
   tries. */

#include "40_map.h"
#include "50_read_zipper.h"
#include "72_image.h"
#include "74_image_view.h"
#include "76_store.h"

/* An image that tries hang parts of. It is counted, and stays open as long as anything refers to it. */
typedef struct pm_base pm_base;

/* Makes a base of an image. `reading` is as for pm_image_rz, and may be NULL. close (may be NULL) is called once, with
   ctx, when the base was closed and no trie, clone, or zipper that owns what it reads refers to it any more, by the
   thread that gave it up last: it may unmap or free the block.
   Owns     *out: pm_base_close
   Valid    the block must be there until `close` is called
   Fails    PM_NOMEM; PM_BADHOOK: the operations are refused. *out is untouched; `close` is not called */
PM_API PM_NODISCARD pm_status pm_base_open(const pm_image *image, const pm_image_reading *reading,
                                           void (*close)(void *ctx), void *ctx, pm_base **out);
/* Makes a base of a version of a store, which it holds open by itself; its map is number 0. What is changed over it can
   be committed to that store without loading it (pm_store_commit_mixed). `reading` may be NULL.
   Owns     *out: pm_base_close. *v stays the caller's, and may be dropped
   Fails    PM_NOMEM; PM_BADHOOK: the operations are refused; PM_INVALID: *v is no version. *out is untouched */
PM_API PM_NODISCARD pm_status pm_base_of_commit(const pm_commit *v, const pm_image_reading *reading, pm_base **out);
/* Gives up a base. What refers to it stays valid: closing waits for that. NULL is allowed.
   Threads  any */
PM_API void pm_base_close(pm_base *b);

/* A mixed trie. Zero is a valid empty one, as of maps. Assigning moves it. Fields are private. */
typedef struct pm_mixed {
    pm_map own;  /* what is in memory */
    pm_map hung; /* where records hang */
} pm_mixed;

/* Makes an empty one, as pm_new does. */
PM_API pm_mixed pm_mixed_new(const pm_ops *ops, pm_pool *pool);
/* Makes one of a map, whose content it shares.  Cost O(1) */
PM_API pm_mixed pm_mixed_of_map(const pm_map *m);
/* Empties one, and gives up its bases. Dropping twice, or dropping zero or NULL, is harmless.
   Cost     that of what is in memory and no other owner holds */
PM_API void pm_mixed_drop(pm_mixed *m);
/* Makes a second owner of the same content: a snapshot, which keeps the bases open too.  Cost O(1).  NULL: empty */
PM_API pm_mixed pm_mixed_clone(const pm_mixed *m);

/* Puts the i-th map of a base at `key`, its root's value included, in the place of all that was at and below it. It is
   not loaded. What pm_wz_graft would do of a map of that content.
   Fails    PM_NOMEM; PM_MISMATCH: the base is read with other value operations than the trie's; PM_INVALID: there are
            not so many maps; PM_CORRUPT: the map's root, or a record on the way to the key, is damaged. Nothing changed
   Cost     O(len); one small block of memory */
PM_API PM_NODISCARD pm_status pm_mixed_hang(pm_mixed *m, const void *key, size_t len, pm_base *b, size_t i);
/* The same with a map, whose content is shared.  Fails likewise */
PM_API PM_NODISCARD pm_status pm_mixed_graft(pm_mixed *m, const void *key, size_t len, const pm_map *src);

/* Finds the value at exactly `key`.
   Returns  PM_OK, and in *out the value or that there is none
   Owns     a value is the caller's, who gives it back by the `release` of its operations, if they have one
   Fails    PM_CORRUPT: something on the way is damaged; what the base's `make` returned; PM_NOMEM of a string
   Cost     O(len), as of a map and an image together; allocates nothing but strings */
PM_API PM_NODISCARD pm_status pm_mixed_get(const pm_mixed *m, const void *key, size_t len, pm_opt *out);
/* Tells in *out whether a location exists, with or without a value.  Fails PM_CORRUPT */
PM_API PM_NODISCARD pm_status pm_mixed_path_exists(const pm_mixed *m, const void *key, size_t len, bool *out);

/* What changes a trie does as the call for maps of that name. What changes nothing copies nothing.
   Fails    as these, and PM_CORRUPT: a record on the way is damaged; what the base's `make` returned. Nothing changed
   Cost     as these; the first change below an entry of an image takes, for each record on the way, some 100 bytes and
            the bytes of one entry */

/* Stores a value: pm_set. */
PM_API PM_NODISCARD pm_status pm_mixed_set(pm_mixed *m, const void *key, size_t len, pm_val val, pm_opt *old);
/* Removes a value: pm_remove. */
PM_API PM_NODISCARD pm_status pm_mixed_remove(pm_mixed *m, const void *key, size_t len, pm_prune prune, pm_opt *old);
/* Makes a location: pm_create_path. */
PM_API PM_NODISCARD pm_status pm_mixed_create_path(pm_mixed *m, const void *key, size_t len, bool *changed);
/* Removes a location that leads nowhere: pm_prune_path. */
PM_API PM_NODISCARD pm_status pm_mixed_prune_path(pm_mixed *m, const void *key, size_t len, size_t *removed);
/* Removes all below a location, in memory and in images: pm_remove_branches. */
PM_API PM_NODISCARD pm_status pm_mixed_remove_branches(pm_mixed *m, const void *key, size_t len, pm_prune prune,
                                                       bool *changed);

/* Opens a zipper over all of it, its root and focus at the empty path. A place of an image that is damaged, as far as
   that shows, is taken for the end, and pm_rz_status says PM_CORRUPT.
   Owns     pm_rz_drop
   Valid    until the next write to `m`, or pm_mixed_drop(m); forks that own what they read (pm_rz_fork_owned) always,
            and they keep the bases open
   Fails    PM_NOMEM
   Cost     two allocations; moves take memory for the way down */
PM_API PM_NODISCARD pm_status pm_mixed_rz(const pm_mixed *m, pm_rz *out);

/* Makes a map of all of it, which refers to no base. What is in memory is shared with the trie. What hangs of images is
   loaded, as by pm_image_load: what an image stores once is made once and shared, wherever it hangs.
   Owns     the caller drops *out
   Fails    PM_NOMEM; PM_CORRUPT; what `make` returned. *out is untouched
   Cost     O(distinct nodes that hang, and paths to where they do); of one image after the other, a quarter of the size
            in memory until it returns */
PM_API PM_NODISCARD pm_status pm_materialise(const pm_mixed *m, pm_map *out);

/* Tells how many places there are where a record of an image hangs; 0: nothing refers to a base. 0 of NULL.
   Cost     O(what is in memory) */
PM_API uint64_t pm_mixed_hanging(const pm_mixed *m);
