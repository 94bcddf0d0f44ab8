/* Order: prefixes of a key, nearest keys, first and last, ranks.

   Keys compare as byte strings, a prefix before what extends it; the empty key comes first. Dangling locations are no
   keys. All of this reads the map as pm_get does: any number of threads at once, as long as nobody writes. */

#include "02_types.h"
#include "40_map.h"

/* A key with its value, as the calls below hand it out. Zero is a valid one that holds nothing. The buffer belongs to
   the item, grows as needed, and is used again by the next call; a key that is passed to a call may lie in it. */
typedef struct pm_item {
    uint8_t *key; /* valid until the item is passed to a call again; may be NULL where len is 0 */
    size_t len;
    pm_val val;   /* the map's, as long as it carries it; of what was popped the caller's */
    bool found;   /* false: there is no such key, and the rest means nothing */
    size_t cap;   /* private: size of the buffer */
} pm_item;

/* Frees an item's buffer. Dropping twice, dropping zero, or NULL, is harmless.
   Threads  any; one at a time per item */
PM_API void pm_item_drop(pm_item *item);

/* Finds the longest prefix of `key`, `key` itself and the empty one included, that has a value: the route of an
   address, the handler of a path.
   Returns  its value, and its length in *found (NULL: not wanted); or NULL, *found untouched: there is none
   Valid    as pm_get
   Cost     one descent, O(len); no allocation
   NULL     `m` or `key` NULL with a length: as if there was none */
PM_API const pm_val *pm_longest_prefix(const pm_map *m, const void *key, size_t len, size_t *found);

/* The same for the shortest one. */
PM_API const pm_val *pm_shortest_prefix(const pm_map *m, const void *key, size_t len, size_t *found);

/* Calls fn for each prefix of `key` that has a value, the shortest first, with its length. Stops when fn returns false;
   fn must not write to `m`.
   Fails    PM_INVALID: no map, key or fn
   Cost     one descent, O(len); no allocation */
PM_API PM_NODISCARD pm_status pm_each_prefix(const pm_map *m, const void *key, size_t len,
                                             bool (*fn)(void *ctx, size_t len, pm_val val), void *ctx);

/* Finds the longest path with which all values and dangling locations at and below `key` begin: what a completion may
   add without a choice. item->val is 0; item->found: whether the location `key` exists.
   Owns     pm_item_drop
   Fails    PM_NOMEM (the item's buffer): the item holds nothing
   Cost     O(length of the result) */
PM_API PM_NODISCARD pm_status pm_common_prefix(const pm_map *m, const void *key, size_t len, pm_item *item);

/* Finds the nearest key with a value that stands so to `key`, which need not exist: PM_GE the first at or after it,
   PM_GT after, PM_LE the last at or before it, PM_LT before. Calling it again with the key that was found goes through
   the map, also where keys have come or gone meanwhile.
   Returns  in *item; item->found is false if there is none
   Owns     pm_item_drop; the value stays the map's
   Fails    PM_NOMEM (the item's buffer): the item holds nothing; PM_INVALID
   Cost     O(length of both keys), and as much for each dangling location that is passed over; no allocation if the
            buffer will do */
PM_API PM_NODISCARD pm_status pm_nearest(const pm_map *m, pm_rel rel, const void *key, size_t len, pm_item *item);

/* Finds the first key with a value. Else as pm_nearest. */
PM_API PM_NODISCARD pm_status pm_first(const pm_map *m, pm_item *item);
/* Finds the last key with a value. Else as pm_nearest. */
PM_API PM_NODISCARD pm_status pm_last(const pm_map *m, pm_item *item);

/* Takes the first key with a value out of the map, with the prefixes that then lead nowhere.
   Owns     the value becomes the caller's if one was found
   Fails    PM_NOMEM: the map did not change, the item holds nothing; PM_INVALID
   Cost     as pm_first and pm_remove
   Threads  a write */
PM_API PM_NODISCARD pm_status pm_pop_first(pm_map *m, pm_item *item);
/* Takes the last key with a value out of the map. Else as pm_pop_first. */
PM_API PM_NODISCARD pm_status pm_pop_last(pm_map *m, pm_item *item);

/* Finds the key with a value that has n others before it; the first is number 0. Of many questions to one content a
   sampler (63_sample.h) answers each in one descent.
   Fails    PM_NOMEM: the item holds nothing; PM_INVALID
   Cost     that of counting the nodes before it, level by level; nothing is kept for it in the map */
PM_API PM_NODISCARD pm_status pm_nth(const pm_map *m, uint64_t n, pm_item *item);
