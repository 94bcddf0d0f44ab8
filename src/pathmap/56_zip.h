/* Zippers of any kind behind one interface.

   A pm_zip moves and answers like a pm_rz, over a map or over a view, a trie that is not stored anywhere (57_zip_views,
   58_zip_pairs). Code written for pm_zip (a fold, an export, a query) takes all of them; pm_zip_make_map makes a map of
   any.

   The focus may be a location that does not exist, as with pm_rz. A move that cannot get memory answers false or 0,
   and the focus is then somewhere between the root and the place to go to; moves to a next place in order go back to
   the root. pm_zip_status tells PM_NOMEM from then on. Queries may look ahead, so they take the zipper unconst; they
   never change what can be seen.
   Threads  one thread per zipper; any number of zippers per map */

#include "12_bytemask.h"
#include "40_map.h"
#include "50_read_zipper.h"

struct pm_zip_ops;

/* A zipper of any kind. Zero is a zipper that was never opened, or is dropped: it answers nothing, does not move, and
   its status, like that of all calls that have one, is PM_INVALID. Assigning moves; only pm_zip_fork copies. Fields
   are private. */
typedef struct pm_zip {
    const struct pm_zip_ops *ops;
    void *state;
    pm_status status;
} pm_zip;

/* What a kind of zipper must be able to do; everything else is made of it. For kinds of one's own: set `ops` and
   `state` of a zero pm_zip. The trie is finite. A call that has no memory sets z->status and answers false or
   nothing. */
typedef struct pm_zip_ops {
    /* What values mean; NULL: there are none. */
    const pm_ops *(*values)(const pm_zip *z);
    /* The path from the origin, and how many bytes of it lie above the root. Valid until the zipper moves. */
    const uint8_t *(*path)(const pm_zip *z, size_t *len, size_t *root_len);
    bool (*exists)(pm_zip *z);
    /* The value at the focus, borrowed until the next call of `val`, a move on in order, or `drop`. */
    pm_opt (*val)(pm_zip *z);
    pm_mask (*mask)(pm_zip *z);
    /* Down by n bytes, whether that exists or not. False: no memory, and the focus where it was. */
    bool (*down)(pm_zip *z, const uint8_t *key, size_t n);
    /* Up by n bytes, at most to the root. */
    void (*up)(pm_zip *z, size_t n);
    /* Opens another one, rooted at the focus. */
    pm_status (*fork)(const pm_zip *z, pm_zip *out);
    void (*drop)(pm_zip *z);

    /* What follows may be NULL. */

    /* The first failure of zippers underneath since the last call. */
    pm_status (*status)(pm_zip *z);
    /* The smallest byte of `mask` that is at least `from` (0..256), or -1. */
    int (*next_child)(pm_zip *z, int from);
    /* Moves on in order that stay below `floor` bytes of path from the root. False: there is nothing more, or no
       memory, and the focus is anywhere that is not above these.
       next_step: to the next location. next_mark: to the next mark, a place that has a value, or neither value nor
       child; *val is its value. seek_mark: wherever the focus is, to the first mark at or after the place `key` below
       the root; false: the focus is anywhere. */
    bool (*next_step)(pm_zip *z, size_t floor);
    bool (*next_mark)(pm_zip *z, size_t floor, pm_opt *val);
    bool (*seek_mark)(pm_zip *z, size_t floor, const uint8_t *key, size_t n, pm_opt *val);
    /* Makes a map of what is at and below the focus by sharing; false if that cannot be. */
    bool (*share)(pm_zip *z, pm_pool *pool, pm_map *out, pm_status *s);
} pm_zip_ops;

/* Opening. *out may be a zipper that the call is given, which is dropped once the new one is open; else what it holds
   is not looked at. On failure *out is untouched.
   Owns     pm_zip_drop
   Fails    PM_NOMEM; PM_INVALID: an argument is NULL or a zipper was never opened; PM_MISMATCH: the factors' value
            operations differ; PM_BADHOOK: they are refused (pm_ops) */

/* Over a map, the root at `path`, which need not exist.
   Valid    until the next write to `m`, or pm_drop(m) */
PM_API PM_NODISCARD pm_status pm_zip_of_map(pm_zip *out, const pm_map *m, const void *path, size_t len);
/* A fork of a read zipper, see pm_rz_fork. */
PM_API PM_NODISCARD pm_status pm_zip_of_rz(pm_zip *out, const pm_rz *z);

/* Opens in *out a zipper whose root is the focus of `z`, with the same origin.
   Valid    as `z` */
PM_API PM_NODISCARD pm_status pm_zip_fork(const pm_zip *z, pm_zip *out);

/* Ends a zipper. Dropping twice, or dropping zero, is harmless. */
PM_API void pm_zip_drop(pm_zip *z);

/* The first failure since the last call, of a move or of a function that a view was given; clears it. */
PM_API pm_status pm_zip_status(pm_zip *z);

/* Queries at the focus, as those of pm_rz. */

/* What values mean, or NULL if there are none. */
PM_API const pm_ops *pm_zip_values(const pm_zip *z);
/* The path from the root to the focus.  Valid until the zipper moves or is dropped. */
PM_API const uint8_t *pm_zip_path(const pm_zip *z, size_t *len);
/* The path from the origin to the focus.  Valid likewise. */
PM_API const uint8_t *pm_zip_origin_path(const pm_zip *z, size_t *len);
/* The path from the origin to the root.  Valid likewise. */
PM_API const uint8_t *pm_zip_root_prefix(const pm_zip *z, size_t *len);
PM_API bool pm_zip_at_root(const pm_zip *z);
PM_API bool pm_zip_exists(pm_zip *z);
/* The value at the focus.  Valid until the next query for a value, the next move on in order, or pm_zip_drop. */
PM_API pm_opt pm_zip_val(pm_zip *z);
PM_API bool pm_zip_is_val(pm_zip *z);
/* The value at `key` below the focus.  Valid likewise. */
PM_API pm_opt pm_zip_val_at(pm_zip *z, const void *key, size_t len);
PM_API pm_mask pm_zip_child_mask(pm_zip *z);
PM_API unsigned pm_zip_child_count(pm_zip *z);
/* Counts values at and below the focus.
   Fails    PM_NOMEM, or what a view's function answered
   Cost     over a map as pm_rz_val_count, else O(locations) */
PM_API PM_NODISCARD pm_status pm_zip_val_count(pm_zip *z, uint64_t *out);
/* Makes a map of what is at and below the focus, relative to it; an empty one where there is nothing.
   `ops` NULL: those of the zipper (left-wins, if it has no values); pm_ops_unit(): only which paths have a value.
   Over a map, and for meets and subtractions of maps, the result shares what they hold, if ops and pool are theirs.
   Owns     the caller drops *out
   Fails    PM_NOMEM; PM_BADHOOK: `ops` are refused; PM_MISMATCH: `ops` are others; what a view's function answered.
            *out is untouched */
PM_API PM_NODISCARD pm_status pm_zip_make_map(pm_zip *z, const pm_ops *ops, pm_pool *pool, pm_map *out);

/* Opens in *out a read zipper over what is at and below the focus, and there its root, so that all that takes a pm_rz
   (grafts, algebra in place, iterators) takes any zipper: a fork of a zipper over a map; else it owns a map, made as by
   pm_zip_make_map with `ops` and `pool`.
   Owns     pm_rz_drop
   Valid    a fork as `z`
   Fails    as pm_zip_make_map */
PM_API PM_NODISCARD pm_status pm_zip_make_reader(pm_zip *z, const pm_ops *ops, pm_pool *pool, pm_rz *out);

/* Moves; each as the one of pm_rz. */

PM_API void pm_zip_reset(pm_zip *z);
PM_API size_t pm_zip_move_to(pm_zip *z, const void *key, size_t len);
PM_API void pm_zip_descend_to(pm_zip *z, const void *key, size_t len);
PM_API bool pm_zip_descend_to_check(pm_zip *z, const void *key, size_t len);
PM_API size_t pm_zip_descend_to_existing(pm_zip *z, const void *key, size_t len);
PM_API size_t pm_zip_descend_to_val(pm_zip *z, const void *key, size_t len);
PM_API void pm_zip_descend_to_byte(pm_zip *z, uint8_t b);
PM_API bool pm_zip_descend_to_existing_byte(pm_zip *z, uint8_t b);
PM_API bool pm_zip_descend_indexed_byte(pm_zip *z, unsigned i);
PM_API bool pm_zip_descend_first_byte(pm_zip *z);
PM_API bool pm_zip_descend_last_byte(pm_zip *z);
PM_API bool pm_zip_descend_until(pm_zip *z);
PM_API bool pm_zip_descend_until_max(pm_zip *z, size_t max);
PM_API bool pm_zip_descend_last_path(pm_zip *z);
PM_API bool pm_zip_ascend(pm_zip *z, size_t n);
PM_API size_t pm_zip_ascend_until(pm_zip *z);
PM_API size_t pm_zip_ascend_until_branch(pm_zip *z);
PM_API bool pm_zip_to_next_sibling(pm_zip *z);
PM_API bool pm_zip_to_prev_sibling(pm_zip *z);
PM_API bool pm_zip_to_next_step(pm_zip *z);
PM_API bool pm_zip_to_next_val(pm_zip *z);
PM_API bool pm_zip_descend_first_k_path(pm_zip *z, size_t k);
PM_API bool pm_zip_to_next_k_path(pm_zip *z, size_t k);

/* Calls fn for each value below the root in order, the root's first, until it answers false; the focus is the root
   afterwards. Keys are relative to the root; fn must not move `z`.
   Fails    PM_NOMEM, or what a view's function answered */
PM_API PM_NODISCARD pm_status pm_zip_each(pm_zip *z,
                                          bool (*fn)(void *ctx, const uint8_t *key, size_t len, pm_val val),
                                          void *ctx);
