/* Summaries: ranks, sizes, random keys, the best keys and the hash of a map that is mostly read, each in O(depth).

   A summary holds a map as it was, and beside it, for each node that leads to others, how many values lie below each of
   its children; on demand also their hashes, and elements of a monoid of one's own. Nodes know nothing of it: a map
   without a summary pays nothing. After writes a refresh takes over the map as it is now, and looks only at nodes that
   it has not seen before. Between two refreshes the summary is a snapshot: the first write to each node copies it, as
   beside any clone.

       pm_summary *s;
       status = pm_summary_new(&m, 0, NULL, &s);
       status = pm_summary_rank(s, "key", 3, &rank);
       ..writes to m..
       status = pm_summary_refresh(s, &m);

   Questions are reads: any number of threads may ask one summary at once, while others write to the map. A refresh, and
   pm_summary_free, are for one thread alone. */

#include "40_map.h"
#include "47_map_order.h"
#include "62_hash.h"

/* A summary. */
typedef struct pm_summary pm_summary;

/* What a summary keeps beside counts. */
enum {
    PM_SUMMARY_HASH = 1 /* hashes of content */
};

/* What the values below a place are worth together: elements of `size` bytes, at most PM_MONOID_MAX, made of values and
   added up in key order. Addition must be associative; it is never asked for the sum of nothing. Functions must be
   pure, and run on the thread that asks; elements are copied as bytes and lie where 8 bytes are aligned. */
typedef struct pm_monoid {
    size_t size;
    void *ctx;
    void (*of)(void *ctx, pm_val v, void *out);
    /* *left becomes left + right. */
    void (*add)(void *ctx, void *left, const void *right);
    /* Below 0, 0 or above 0 as `a` is less than, equal to or greater than `b`. For pm_summary_best only, else NULL. A
       sum must not be less than what was added: the greater of the two is the usual choice. */
    int (*compare)(void *ctx, const void *a, const void *b);
} pm_monoid;

/* The greatest size of an element. */
enum { PM_MONOID_MAX = 64 };

/* Makes a summary of what `m` holds now. `flags`: 0 or PM_SUMMARY_HASH. `monoid` NULL: none; it is copied.
   Owns     pm_summary_free
   Fails    PM_NOMEM; PM_INVALID: unknown flags; a monoid without `of` or `add`, or of a size that is 0 or too large;
            what a `hash` hook failed with
   Cost     O(distinct nodes). For each node that leads to others it takes about 40 bytes, and for each of its children
            16, with hashes 16 more, with a monoid `size` more, rounded up to 8: 1 to 5 bytes a key
   Threads  a read of `m` */
PM_API PM_NODISCARD pm_status pm_summary_new(const pm_map *m, unsigned flags, const pm_monoid *monoid,
                                             pm_summary **out);

/* Ends a summary. NULL is allowed.
   Cost     O(nodes that are known, and those that no map holds any more) */
PM_API void pm_summary_free(pm_summary *s);

/* Goes over to what `m` holds now: a map with the same value operations, mostly a later state of the same one.
   Fails    PM_NOMEM, or what a `hash` hook failed with: the summary is as it was; PM_MISMATCH: the value operations
            differ; PM_INVALID
   Cost     O(nodes that are new to it and their children, and those that are gone): after a few writes as many nodes
            as lie on the way to them
   Threads  a read of `m`, a write of `s` */
PM_API PM_NODISCARD pm_status pm_summary_refresh(pm_summary *s, const pm_map *m);

/* Returns the map that the questions are about, which must not be written to; NULL of NULL.
   Valid    until the next refresh, or pm_summary_free
   Cost     O(1) */
PM_API const pm_map *pm_summary_map(const pm_summary *s);

/* Returns how many values there are, saturating at UINT64_MAX.
   Cost     O(1) */
PM_API uint64_t pm_summary_count(const pm_summary *s);

/* Returns how many bytes the summary takes, without the map.
   Cost     O(1) */
PM_API uint64_t pm_summary_bytes(const pm_summary *s);

/* Counts the keys with a value less than `key`, which need not exist; as pm_rank.
   Fails    PM_INVALID
   Cost     O(len); no allocation */
PM_API PM_NODISCARD pm_status pm_summary_rank(const pm_summary *s, const void *key, size_t len, uint64_t *out);

/* Counts the values at and below `key`; as pm_prefix_count. Else as pm_summary_rank. */
PM_API PM_NODISCARD pm_status pm_summary_prefix_count(const pm_summary *s, const void *key, size_t len, uint64_t *out);

/* Counts the values in a range; as pm_range_count. Else as pm_summary_rank. */
PM_API PM_NODISCARD pm_status pm_summary_range_count(const pm_summary *s, const pm_key *from, const pm_key *to,
                                                     uint64_t *out);

/* Finds the key with a value that has n others before it; the first is number 0. item->found is false if there are not
   so many.
   Owns     pm_item_drop; the value stays the summary's
   Fails    PM_NOMEM (the item's buffer): the item holds nothing; PM_INVALID
   Cost     O(length of the key); no allocation if the buffer will do */
PM_API PM_NODISCARD pm_status pm_summary_nth(const pm_summary *s, uint64_t n, pm_item *item);

/* Finds a key with a value, chosen by a random word: all are equally likely, as far as 64 bits can say so.
   item->found is false if there is none. Else as pm_summary_nth. */
PM_API PM_NODISCARD pm_status pm_summary_sample(const pm_summary *s, uint64_t random, pm_item *item);

/* Adds up the elements of the values in a range, in key order. *found: whether there is one; if not, *out is untouched.
   Fails    PM_INVALID: also if the summary has no monoid
   Cost     O(length of the bounds, and fan-out of the nodes on the ways to them); no allocation */
PM_API PM_NODISCARD pm_status pm_summary_reduce(const pm_summary *s, const pm_key *from, const pm_key *to, void *out,
                                                bool *found);

/* Calls fn for the k keys at and below `key` whose values have the greatest elements, the greatest first; of equal ones
   the lesser key first. Stops when fn returns false. The path is valid during the call.
   Fails    PM_NOMEM: some may have been seen; PM_INVALID: also if the summary has no monoid with `compare`
   Cost     O(k * depth * fan-out) elements compared, a few times */
PM_API PM_NODISCARD pm_status pm_summary_best(const pm_summary *s, const void *key, size_t len, size_t k,
                                              bool (*fn)(void *ctx, const uint8_t *key, size_t len, pm_val val),
                                              void *ctx);

/* Returns in *out what pm_hash returns for the map.
   Fails    PM_INVALID: also if the summary keeps no hashes
   Cost     O(1) */
PM_API PM_NODISCARD pm_status pm_summary_hash(const pm_summary *s, pm_hash128 *out);

/* Tells whether two maps hold the same, by their hashes. Different hashes are proof; equal ones are taken for it.
   Fails    PM_MISMATCH: the value operations differ; PM_INVALID: also if one of them keeps no hashes
   Cost     O(1) */
PM_API PM_NODISCARD pm_status pm_summary_equal(const pm_summary *a, const pm_summary *b, bool *out);
