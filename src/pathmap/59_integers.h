/* Integers as keys: ranges of them as maps, and several numbers in one key.

   Keys are big-endian and of one width, so that keys sort as numbers do. Signed numbers sort rightly with their sign
   bit inverted: (uint64_t)n ^ (uint64_t)1 << 63 in keys of 8 bytes.

   Weaving puts several numbers into one key so that the first bytes of the key tell a little of each number. Numbers
   that are close in all dimensions then share a prefix: what lies below it is a box, and pm_subtrie, pm_prefix_count
   or a zipper at it are a query for that box. Woven by bits, a byte of the key is one step of a quadtree (n = 2), an
   octree (n = 3), and so on up to 8 dimensions: this is Morton's order. */

#include "40_map.h"

/* Makes the map of the integers from, from + step, from + 2 * step, .. up to `last` and it included, as big-endian
   keys of `width` bytes (1 to 8), each with the value `val`. None if from > last.
   Owns     the map takes over the caller's reference to `val`; on failure that stays the caller's. The caller drops
            *out
   Fails    PM_NOMEM; PM_BADHOOK: `ops` is refused; PM_INVALID: a step of 0, a width that is not 1 to 8, or numbers that
            do not fit it
   Cost     equal subtries are made once and shared. Of step 1, or a power of two, there are at most 3 a byte of
            key: the whole range of 8 bytes has 8 nodes. Of other steps there are at most as many at each byte as there
            are remainders by the step, and as the keys have prefixes of that length
   Threads  any number of calls at once */
PM_API PM_NODISCARD pm_status pm_int_range(const pm_ops *ops, pm_pool *pool, uint64_t from, uint64_t last,
                                           uint64_t step, unsigned width, pm_val val, pm_map *out);

/* Writes n numbers of `width` bytes each (1 to 8) into out[0..n * width): the first byte of each, then the second of
   each, and so on, big-endian. With n = 1 it is a number as a key of pm_int_range. Higher bytes of a number are
   ignored.
   Returns  the bytes written; 0 if `width` is none of these, or an argument is NULL
   Cost     O(n * width), no allocation */
PM_API size_t pm_weave_bytes(const uint64_t *numbers, size_t n, unsigned width, uint8_t *out);

/* Takes n numbers out of n * width bytes that pm_weave_bytes wrote.
   Returns  the bytes read; 0, and nothing is written, in the same cases
   Cost     as pm_weave_bytes */
PM_API size_t pm_unweave_bytes(const uint8_t *path, size_t n, unsigned width, uint64_t *out);

/* Writes the lowest `bits` bits (1 to 64) of up to 8 numbers into out[0..bits): a byte for each bit, the highest bits
   first, in which bit i is that of the i-th number. Such keys have at most 2^n branches a byte.
   Returns  the bytes written, which is `bits`; 0 if n or `bits` is out of range, or an argument is NULL
   Cost     O(n * bits), no allocation */
PM_API size_t pm_weave_bits(const uint64_t *numbers, size_t n, unsigned bits, uint8_t *out);

/* Takes n numbers out of `bits` bytes that pm_weave_bits wrote.
   Returns  the bytes read; 0, and nothing is written, in the same cases
   Cost     as pm_weave_bits */
PM_API size_t pm_unweave_bits(const uint8_t *path, size_t n, unsigned bits, uint64_t *out);
