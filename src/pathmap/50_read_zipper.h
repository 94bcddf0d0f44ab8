/* Read zippers: cursors over a trie, which is a map's or a view: a trie that is not stored anywhere (57_views.h,
   58_view_pairs.h, or one of your own, see pm_view_ops). All calls work on both.

   A zipper has an origin (the trie's empty path), a root that it cannot leave upward, and a focus. The focus may be a
   location that does not exist: every query then returns "nothing", moves down extend the path, moves up come back.
   Moves do no atomic read-modify-write. A move that fails returns false or 0 and stays where it was (those that go to
   a next place in order go back to the root); the first failure is the zipper's status until pm_rz_reset.
   Over a view, a query may have to look ahead, which needs memory and may fail as a move does.
   Threads  any number of zippers per map, and one thread per zipper. While no thread moves or drops it, any number may
            put queries to a zipper over a map, fork it, and take witnesses and make maps of it: these change nothing in
            it. Not so over a view, nor with the cursor of a writer: there, queries are for one thread too */

#include "12_bytemask.h"
#include "26_place.h"
#include "40_map.h"

/* A place of a view that has a value, or neither value nor child. */
typedef struct pm_terminal {
    const uint8_t *path; /* from the origin; valid until the view's next call */
    size_t len;
    size_t same;         /* of `next`: bytes known to be those of the terminal before; 0 is never wrong */
    const pm_val *val;   /* or NULL; valid likewise */
    pm_status status;    /* PM_OK when a call begins; a call stores its failure there, whatever it returns */
} pm_terminal;

/* What a view is made of. Its terminals say all about a trie: its locations are their prefixes. The trie is finite. */
typedef struct pm_view_ops {
    /* Finds the first terminal at or after `key` in byte order that begins with the first `within` bytes of it.
       Returns  whether there is one, in *t */
    bool (*seek)(void *state, const uint8_t *key, size_t len, size_t within, pm_terminal *t);
    /* The same for the first one after the terminal that seek or next has just found, with the same `within`.
       NULL: seek does. */
    bool (*next)(void *state, size_t within, pm_terminal *t);
    /* Finds the last terminal before `key` that begins with the first `within` bytes of it; what begins with all of
       `key` comes before it if `below` is set, else after. */
    bool (*seek_back)(void *state, const uint8_t *key, size_t len, size_t within, bool below, pm_terminal *t);
    /* The same for the last one before the terminal that seek_back or prev has just found, with the same `within`.
       NULL: seek_back does. */
    bool (*prev)(void *state, size_t within, pm_terminal *t);
    /* Makes another state like this one, which finds the same; `own`: whatever happens to the maps underneath. */
    pm_status (*fork)(const void *state, bool own, void **out);
    void (*drop)(void *state);
    /* Makes a map in `pool` of what is at and below `key` by sharing; false if that cannot be. NULL: it cannot. */
    bool (*share)(void *state, const uint8_t *key, size_t len, pm_pool *pool, pm_map *out, pm_status *s);
} pm_view_ops;

/* A zipper. Zero is a valid zipper over an empty map. Assigning moves; only pm_rz_fork copies. Fields are private. */
typedef struct pm_rz {
    const pm_ops *ops;
    pm_pool *pool;
    uint64_t top;         /* node of the origin */
    const pm_val *top_val; /* value of the origin, or NULL; owned zippers keep it in `held` */
    pm_val held;
    uint8_t *path;        /* origin path: root prefix, then path */
    size_t len, cap;      /* bytes used, allocated */
    size_t root_len;      /* bytes of root prefix */
    size_t exist_len;     /* bytes of `path` that exist; of a view, one more than are known to, 0: none */
    struct pm_frame *frames;
    size_t nframes, frame_cap;
    pm_status status;
    bool owned, held_some;
    /* A run of values in one line node, which iteration steps through: */
    uint8_t run;              /* the entry after the one under the focus; 0: no run */
    uint32_t run_mask;        /* entries that carry a value */
    uint32_t run_longer;      /* of these, the ones that the next entry may extend */
    size_t run_at;            /* path bytes before the suffixes */
    const uint8_t *run_heap;  /* heap bytes of entry `run` */
    const pm_val *run_val;    /* the value at the focus; of a view, at the terminal found last */
    /* Over a view, see 50_read_zipper.c. Behind what walks over maps use. */
    const pm_view_ops *view; /* NULL: over a map */
    void *state;             /* the view's */
    size_t first, bare, within;
    bool known, back;
    struct pm_claim *claim;   /* of a zipper that a head gave out */
} pm_rz;

/* Opens a zipper over a map, its root at `path`, which need not exist. The caller need not initialise *out before.
   Owns     pm_rz_drop
   Valid    until the next write to `m`, or pm_drop(m)
   Fails    PM_NOMEM (only for a long `path`) */
PM_API PM_NODISCARD pm_status pm_rz_open(const pm_map *m, const void *path, size_t len, pm_rz *out);

/* Opens a zipper that holds the content of `m` as it is now, whatever happens to `m` later.
   Owns     pm_rz_drop
   Fails    PM_NOMEM
   Cost     O(len), one atomic increment
   Threads  may be used and dropped by another thread than the one that opened it */
PM_API PM_NODISCARD pm_status pm_rz_open_owned(const pm_map *m, const void *path, size_t len, pm_rz *out);

/* Opens a zipper over a view of your own, its root at `path`, which need not exist. `ops`: what values mean, NULL:
   there are none. `pool` is where pm_rz_make_map makes maps.
   Owns     pm_rz_drop; `state` becomes the zipper's, which ends it with view->drop
   Valid    as long as the view is
   Fails    PM_NOMEM; PM_BADHOOK: `ops` are refused; PM_INVALID: `view` lacks seek, seek_back, fork or drop. `state`
            stays yours */
PM_API PM_NODISCARD pm_status pm_rz_open_view(const pm_view_ops *view, void *state, const pm_ops *ops, pm_pool *pool,
                                              const void *path, size_t len, pm_rz *out);

/* Opens in *out a zipper whose root is the focus of `z` (same origin). It borrows what `z` borrows, or, when `z` is
   owned, becomes a second owner.
   Owns     pm_rz_drop. *out may be *z, which is dropped then
   Valid    as `z`
   Fails    PM_NOMEM; or what a view's fork returned
   Cost     O(length of the path); of an owned zipper also one atomic increment */
PM_API PM_NODISCARD pm_status pm_rz_fork(const pm_rz *z, pm_rz *out);

/* Like pm_rz_fork, but *out always owns what it looks at, whatever happens to the map later.
   Cost     as pm_rz_open_owned; of a view what its fork costs
   Threads  *out may be used and dropped by another thread */
PM_API PM_NODISCARD pm_status pm_rz_fork_owned(const pm_rz *z, pm_rz *out);

/* Ends a zipper. Dropping twice, or dropping zero or NULL, is harmless.
   Cost     O(1); of an owned one dropping what nobody else holds
   Threads  of an owned zipper, or one of a head: any */
PM_API void pm_rz_drop(pm_rz *z);

/* Tells of failures that a move or a query could not return.
   Returns  PM_OK, or the first failure since the zipper was opened or last reset */
PM_API pm_status pm_rz_status(const pm_rz *z);

/* Tells what values mean.
   Returns  the operations; NULL for a view without values
   Valid    as long as the map's are */
PM_API const pm_ops *pm_rz_ops(const pm_rz *z);

/* Makes room for paths of `path_bytes` in all and `nodes` nodes on the way, so that moves within that cannot fail.
   Over a view, room for the path alone.
   Fails    PM_NOMEM
   Cost     two allocations at most */
PM_API PM_NODISCARD pm_status pm_rz_reserve(pm_rz *z, size_t path_bytes, size_t nodes);

/* Queries at the focus. Over a map they cost O(1) and do not allocate, unless something else is said; over a view they
   may look ahead. */

/* Returns the path from the root to the focus; its length in *len.
   Valid    until the zipper moves or is dropped; over a view until it looks at other places, too (pm_rz_val_at,
            pm_rz_val_count) */
PM_API const uint8_t *pm_rz_path(const pm_rz *z, size_t *len);
/* Returns the path from the origin to the focus; its length in *len.  Valid likewise. */
PM_API const uint8_t *pm_rz_origin_path(const pm_rz *z, size_t *len);
/* Returns the path from the origin to the root; its length in *len.  Valid likewise. */
PM_API const uint8_t *pm_rz_root_prefix(const pm_rz *z, size_t *len);
/* Returns whether the focus is the root. */
PM_API bool pm_rz_at_root(const pm_rz *z);
/* Returns whether the focus is a location of the trie. */
PM_API bool pm_rz_exists(const pm_rz *z);
/* Returns the value at the focus, or NULL.
   Valid    as long as the map (or the owner) is; over a view, until the next call */
PM_API const pm_val *pm_rz_val(const pm_rz *z);
/* Returns whether the focus has a value. */
PM_API bool pm_rz_is_val(const pm_rz *z);
/* Returns the value at `key` below the focus, or NULL.  Valid as that of pm_rz_val.
   Cost     O(len) */
PM_API const pm_val *pm_rz_val_at(const pm_rz *z, const void *key, size_t len);
/* Returns the set of bytes that lead on from the focus; empty if it does not exist. */
PM_API pm_mask pm_rz_child_mask(const pm_rz *z);
/* Returns how many bytes lead on from the focus. */
PM_API unsigned pm_rz_child_count(const pm_rz *z);
/* Counts values at and below the focus; like pm_val_count.
   Fails    PM_NOMEM, or what a view's function returned
   Cost     O(distinct nodes); over a view that of going from value to value */
PM_API PM_NODISCARD pm_status pm_rz_val_count(const pm_rz *z, uint64_t *out);
/* Makes a map of the focus subtrie, focus value included: see pm_subtrie. *out is not the map that `z` is over: to keep
   a part of a map only, pm_subtrie(&m, key, len, &m, NULL).
   `ops` NULL: the zipper's own (left-wins if it has no values); pm_ops_unit(): only which paths have a value.
   A map, a meet and a subtraction of maps share what they hold with the result if `ops` are their own and `pool` is;
   everything else is copied value by value.
   Owns     the caller drops *out
   Fails    PM_NOMEM; PM_BADHOOK: `ops` are refused; PM_MISMATCH: they are others; what a view's function returned.
            *out is untouched
   Cost     where it shares O(1), at most one node is built; else O(values and their bytes) */
PM_API PM_NODISCARD pm_status pm_rz_make_map_in(const pm_rz *z, const pm_ops *ops, pm_pool *pool, pm_map *out);
/* The same with the zipper's own operations, in the pool of its map (of a view: of its first factor). */
PM_API PM_NODISCARD pm_status pm_rz_make_map(const pm_rz *z, pm_map *out);
/* Returns a number that names the node under the focus, or 0: only where the focus lies on a node that is referenced at
   least twice and no value sits at the focus. Equal numbers mean equal subtries. 0 over a view.
   Valid    until the next write to the map */
PM_API uint64_t pm_rz_shared_node_id(const pm_rz *z);
/* Returns whether the node under the focus is referenced at least twice: a hint, which other threads' clones and drops
   make old. False at the root, and over a view. */
PM_API bool pm_rz_is_shared(const pm_rz *z);

/* Moves. Those that return size_t return a number of bytes; those that return bool, whether the focus moved as asked
   (if not, it stays unless said otherwise). A move costs O(bytes moved over), whatever the size of the map; it
   allocates only where the path or the stack grows beyond what it has been (pm_rz_reserve). One that fails for want of
   memory does not move, and pm_rz_status tells. */

/* Goes back to the root; the status is PM_OK again. Cannot fail. */
PM_API void pm_rz_reset(pm_rz *z);
/* Goes to the place `key` below the root, which need not exist; cheap where the old path shares a prefix.
   Returns  the length of the longest prefix of `key` that exists below the root */
PM_API size_t pm_rz_move_to(pm_rz *z, const void *key, size_t len);
/* Goes down by `key`, whether that exists or not. */
PM_API void pm_rz_descend_to(pm_rz *z, const void *key, size_t len);
/* Goes down by `key`; returns whether the new focus exists. */
PM_API bool pm_rz_descend_to_check(pm_rz *z, const void *key, size_t len);
/* Goes down by the longest prefix of `key` that exists; returns its length. */
PM_API size_t pm_rz_descend_to_existing(pm_rz *z, const void *key, size_t len);
/* Goes down by `key` as far as that exists, at most to the first value met after at least one byte; returns how far it
   went. */
PM_API size_t pm_rz_descend_to_val(pm_rz *z, const void *key, size_t len);
/* Goes down by one byte, whether that exists or not. */
PM_API void pm_rz_descend_to_byte(pm_rz *z, uint8_t b);
/* Goes down by one byte if that child exists; returns whether it does. */
PM_API bool pm_rz_descend_to_existing_byte(pm_rz *z, uint8_t b);
/* Goes down to the i-th child (from 0); returns whether there are so many. */
PM_API bool pm_rz_descend_indexed_byte(pm_rz *z, unsigned i);
/* Goes down to the smallest child; returns whether there is any. */
PM_API bool pm_rz_descend_first_byte(pm_rz *z);
/* Goes down to the greatest child; returns whether there is any. */
PM_API bool pm_rz_descend_last_byte(pm_rz *z);
/* Goes down while there is exactly one child, stopping after a step that lands on a value; returns whether it
   moved. */
PM_API bool pm_rz_descend_until(pm_rz *z);
/* Goes down like pm_rz_descend_until, but at most `max` bytes; returns whether it moved. */
PM_API bool pm_rz_descend_until_max(pm_rz *z, size_t max);
/* Goes down to the greatest child until there is none: to the last location below. Returns whether it moved. */
PM_API bool pm_rz_descend_last_path(pm_rz *z);
/* Goes up by n bytes, at most to the root; returns whether n bytes were available. Cannot fail. */
PM_API bool pm_rz_ascend(pm_rz *z, size_t n);
/* Goes up at least one byte, on to the nearest place that has a value or two children, or the root; returns how far it
   went. */
PM_API size_t pm_rz_ascend_until(pm_rz *z);
/* Goes up like pm_rz_ascend_until, past values: to the nearest place that has two children; returns how far it went. */
PM_API size_t pm_rz_ascend_until_branch(pm_rz *z);
/* Goes to the nearest larger child of the parent; works from a byte that does not exist. False, unmoved: there is
   none. */
PM_API bool pm_rz_to_next_sibling(pm_rz *z);
/* Goes to the nearest smaller child of the parent. False, unmoved: there is none. */
PM_API bool pm_rz_to_prev_sibling(pm_rz *z);
/* Goes to the next location, depth first, root excluded. False after the last, with the focus at the root. */
PM_API bool pm_rz_to_next_step(pm_rz *z);
/* Goes to the next location that has a value, depth first, root excluded: look at pm_rz_val before the first step, or
   take an iterator. False after the last, with the focus at the root. Most steps cost a few nanoseconds; none does an
   atomic read-modify-write. */
PM_API bool pm_rz_to_next_val(pm_rz *z);
/* Goes to the location before the focus, depth first, root excluded. False before the first, with the focus at the
   root. */
PM_API bool pm_rz_to_prev_step(pm_rz *z);
/* Goes to the greatest value before the focus, root excluded. False before the first, focus at the root. What goes on
   may turn round at any place, on the trie or off it. */
PM_API bool pm_rz_to_prev_val(pm_rz *z);
/* Goes to the first value at or below the root. False, with the focus at the root, if there is none. */
PM_API bool pm_rz_to_first_val(pm_rz *z);
/* Goes to the last value at or below the root. False, with the focus at the root, if there is none. */
PM_API bool pm_rz_to_last_val(pm_rz *z);
/* Goes to the value nearest to the place `key` below the root, which need not exist: PM_GE the first at or after it,
   PM_GT after it, PM_LE the last at or before it, PM_LT before it. The root's own value counts. False, with the focus
   at the root, if there is none; also if `rel` is none of these, or `key` is no key (PM_INVALID is the status then).
   Cost     O(len), cheap where the old path shares a prefix */
PM_API bool pm_rz_seek(pm_rz *z, pm_rel rel, const void *key, size_t len);
/* Goes to the first location exactly k bytes below the focus. False, unmoved: there is none. k = 0: returns whether the
   focus exists. */
PM_API bool pm_rz_descend_first_k_path(pm_rz *z, size_t k);
/* Goes to the next location k bytes below the base, the base being k bytes above the focus. False, with the focus at
   the base, when there is none (k = 0: stays; k larger than the depth: the root). */
PM_API bool pm_rz_to_next_k_path(pm_rz *z, size_t k);

/* Trie references: a fixed focus without a path buffer, no allocation, copied by assignment; nothing to drop.
   Valid    as the zipper or map that it came from
   Cost     O(1), or O(len) where a key is given
   Threads  any number, of one reference too */
typedef struct pm_ref {
    const pm_ops *ops;
    pm_pool *pool;
    pm_place place;
    const pm_val *val; /* value at the focus, or NULL */
    bool exists;
} pm_ref;

/* Returns the place `key` of a map, which need not exist; of NULL one that does not. */
PM_API pm_ref pm_ref_of_map(const pm_map *m, const void *key, size_t len);
/* Returns the focus of a zipper; of a view, a place that does not exist. */
PM_API pm_ref pm_ref_of_rz(const pm_rz *z);
/* Returns the place `key` below another. */
PM_API pm_ref pm_ref_at(const pm_ref *r, const void *key, size_t len);
/* Returns whether the place is a location of the trie. */
PM_API bool pm_ref_exists(const pm_ref *r);
/* Returns the value at the place, or NULL.  Valid as the reference. */
PM_API const pm_val *pm_ref_val(const pm_ref *r);
/* Returns the value at `key` below the place, or NULL.  Valid as the reference. */
PM_API const pm_val *pm_ref_val_at(const pm_ref *r, const void *key, size_t len);
/* Returns the set of bytes that lead on; empty if the place does not exist. */
PM_API pm_mask pm_ref_child_mask(const pm_ref *r);
/* Returns how many bytes lead on. */
PM_API unsigned pm_ref_child_count(const pm_ref *r);
/* Makes a map of what is at and below the place: see pm_subtrie. *out is not the map that the reference is into.
   Owns     the caller drops *out
   Fails    PM_NOMEM
   Cost     O(1), at most one node is built */
PM_API PM_NODISCARD pm_status pm_ref_make_map(const pm_ref *r, pm_map *out);

/* Witnesses: keep a zipper's content alive after the zipper has moved, or the map has changed or gone. */
typedef struct pm_witness {
    pm_map hold;
    uint64_t top; /* which content it witnesses */
} pm_witness;

/* Takes a witness of what `z` looks at; values that `z` or its forks returned stay valid until it is dropped. There is
   none for a view: what it shows may be made for the moment.
   Owns     pm_witness_drop
   Cost     O(1) */
PM_API pm_witness pm_rz_witness(const pm_rz *z);
/* Stores the value at the focus in *out, or NULL if there is none; it is valid as long as the witness.
   Fails    PM_INVALID if `w` witnesses other content than `z` looks at */
PM_API PM_NODISCARD pm_status pm_rz_val_witnessed(const pm_rz *z, const pm_witness *w, const pm_val **out);
/* Ends a witness; dropping twice, or dropping zero or NULL, is harmless.
   Cost     dropping what nobody else holds
   Threads  any */
PM_API void pm_witness_drop(pm_witness *w);
