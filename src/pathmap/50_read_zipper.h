/* Read zippers: cursors over a trie, which is a map's or a view: a trie that is not stored anywhere (57_views.h,
   58_view_pairs.h, or one of your own, see pm_view_ops). All calls work on both.

   A zipper has an origin (the trie's empty path), a root that it cannot leave upward, and a focus. The focus may be a
   location that does not exist: every query then returns "nothing", moves down extend the path, moves up come back.
   Moves do no atomic read-modify-write. A move that fails returns false or 0 and stays where it was (those that go to
   a next place in order go back to the root); the first failure is the zipper's status until pm_rz_reset.
   Over a view a query may have to look ahead, which needs memory and may fail as a move does.
   Threads  one thread per zipper, queries included; any number of zippers per map */

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
   Fails    PM_NOMEM; or what a view's fork returned */
PM_API PM_NODISCARD pm_status pm_rz_fork(const pm_rz *z, pm_rz *out);

/* Like pm_rz_fork, but *out always owns. */
PM_API PM_NODISCARD pm_status pm_rz_fork_owned(const pm_rz *z, pm_rz *out);

/* Ends a zipper. Dropping twice, or dropping zero, is harmless. */
PM_API void pm_rz_drop(pm_rz *z);

/* PM_OK, or the first failure of a move or query since the zipper was opened or last reset. */
PM_API pm_status pm_rz_status(const pm_rz *z);

/* What values mean; NULL: it is a view without values. */
PM_API const pm_ops *pm_rz_ops(const pm_rz *z);

/* Makes room for paths of `path_bytes` in all and `nodes` nodes on the way, so that moves within that cannot fail.
   Over a view, room for the path alone.
   Fails    PM_NOMEM */
PM_API PM_NODISCARD pm_status pm_rz_reserve(pm_rz *z, size_t path_bytes, size_t nodes);

/* Queries at the focus */

/* The path from the root to the focus.  Valid until the zipper moves or is dropped. */
PM_API const uint8_t *pm_rz_path(const pm_rz *z, size_t *len);
/* The path from the origin to the focus.  Valid likewise. */
PM_API const uint8_t *pm_rz_origin_path(const pm_rz *z, size_t *len);
/* The path from the origin to the root.  Valid likewise. */
PM_API const uint8_t *pm_rz_root_prefix(const pm_rz *z, size_t *len);
PM_API bool pm_rz_at_root(const pm_rz *z);
PM_API bool pm_rz_exists(const pm_rz *z);
/* The value at the focus, or NULL.  Valid as long as the map (or the owner) is; over a view, until the next call. */
PM_API const pm_val *pm_rz_val(const pm_rz *z);
PM_API bool pm_rz_is_val(const pm_rz *z);
/* The value at `key` below the focus, or NULL.  Valid likewise. */
PM_API const pm_val *pm_rz_val_at(const pm_rz *z, const void *key, size_t len);
PM_API pm_mask pm_rz_child_mask(const pm_rz *z);
PM_API unsigned pm_rz_child_count(const pm_rz *z);
/* Counts values at and below the focus; like pm_val_count.
   Fails    PM_NOMEM, or what a view's function returned
   Cost     over a view that of going from value to value */
PM_API PM_NODISCARD pm_status pm_rz_val_count(const pm_rz *z, uint64_t *out);
/* Makes a map of the focus subtrie, focus value included: see pm_subtrie. *out is not the map that `z` is over: to keep
   a part of a map only, pm_subtrie(&m, key, len, &m, NULL).
   `ops` NULL: the zipper's own (left-wins if it has no values); pm_ops_unit(): only which paths have a value.
   A map, a meet and a subtraction of maps share what they hold with the result if `ops` are their own and `pool` is;
   everything else is copied value by value.
   Owns     the caller drops *out
   Fails    PM_NOMEM; PM_BADHOOK: `ops` are refused; PM_MISMATCH: they are others; what a view's function returned.
            *out is untouched */
PM_API PM_NODISCARD pm_status pm_rz_make_map_in(const pm_rz *z, const pm_ops *ops, pm_pool *pool, pm_map *out);
/* The same with the zipper's own operations, in the pool of its map (of a view: of its first factor). */
PM_API PM_NODISCARD pm_status pm_rz_make_map(const pm_rz *z, pm_map *out);
/* A number that names the node under the focus, or 0: only where the focus lies on a node that is referenced at least
   twice and no value sits at the focus. Equal numbers mean equal subtries. Not stable across edits. 0 over a view. */
PM_API uint64_t pm_rz_shared_node_id(const pm_rz *z);
/* A hint: the node under the focus is referenced at least twice. False at the root, and over a view. */
PM_API bool pm_rz_is_shared(const pm_rz *z);

/* Moves. Those that return size_t return a number of bytes; those that return bool, whether the focus moved as asked
   (if not, it stays unless said otherwise). */

/* Back to the root; the status is PM_OK again. */
PM_API void pm_rz_reset(pm_rz *z);
/* To the place `key` below the root, cheap where the old path shares a prefix.
   Returns  the length of the longest prefix of `key` that exists below the root */
PM_API size_t pm_rz_move_to(pm_rz *z, const void *key, size_t len);
/* Down by `key`, whether that exists or not. */
PM_API void pm_rz_descend_to(pm_rz *z, const void *key, size_t len);
/* The same; returns whether the new focus exists. */
PM_API bool pm_rz_descend_to_check(pm_rz *z, const void *key, size_t len);
/* Down by the longest prefix of `key` that exists; returns its length. */
PM_API size_t pm_rz_descend_to_existing(pm_rz *z, const void *key, size_t len);
/* The same, but stops at the first value met after at least one byte. */
PM_API size_t pm_rz_descend_to_val(pm_rz *z, const void *key, size_t len);
/* Down by one byte, whether that exists or not. */
PM_API void pm_rz_descend_to_byte(pm_rz *z, uint8_t b);
/* Down by one byte if that child exists. */
PM_API bool pm_rz_descend_to_existing_byte(pm_rz *z, uint8_t b);
/* Down to the i-th child (from 0). */
PM_API bool pm_rz_descend_indexed_byte(pm_rz *z, unsigned i);
PM_API bool pm_rz_descend_first_byte(pm_rz *z);
PM_API bool pm_rz_descend_last_byte(pm_rz *z);
/* Down while there is exactly one child, stopping after a step that lands on a value. */
PM_API bool pm_rz_descend_until(pm_rz *z);
/* The same, at most `max` bytes. */
PM_API bool pm_rz_descend_until_max(pm_rz *z, size_t max);
/* Down to the greatest child until there is none. */
PM_API bool pm_rz_descend_last_path(pm_rz *z);
/* Up by min(n, depth); returns whether n bytes were available. */
PM_API bool pm_rz_ascend(pm_rz *z, size_t n);
/* Up at least one byte, on to the nearest place that has a value or two children, or the root. */
PM_API size_t pm_rz_ascend_until(pm_rz *z);
/* The same without regard to values. */
PM_API size_t pm_rz_ascend_until_branch(pm_rz *z);
/* To the nearest larger child of the parent; works from a byte that does not exist. */
PM_API bool pm_rz_to_next_sibling(pm_rz *z);
/* To the nearest smaller child of the parent. */
PM_API bool pm_rz_to_prev_sibling(pm_rz *z);
/* To the next location, depth first, root excluded. False after the last, with the focus at the root. */
PM_API bool pm_rz_to_next_step(pm_rz *z);
/* To the next location that has a value, depth first, root excluded. False after the last, focus at the root. */
PM_API bool pm_rz_to_next_val(pm_rz *z);
/* To the location before the focus, depth first, root excluded. False before the first, with the focus at the root. */
PM_API bool pm_rz_to_prev_step(pm_rz *z);
/* To the greatest value before the focus, root excluded. False before the first, focus at the root. What goes on may
   turn round at any place, on the trie or off it. */
PM_API bool pm_rz_to_prev_val(pm_rz *z);
/* To the first or the last value at or below the root. False, with the focus at the root, if there is none. */
PM_API bool pm_rz_to_first_val(pm_rz *z);
PM_API bool pm_rz_to_last_val(pm_rz *z);
/* To the value nearest to the place `key` below the root, which need not exist: PM_GE the first at or after it, PM_GT
   after it, PM_LE the last at or before it, PM_LT before it. The root's own value counts. False, with the focus at the
   root, if there is none; also if `rel` is none of these, or `key` is no key (PM_INVALID is the status then).
   Cost     O(len), cheap where the old path shares a prefix */
PM_API bool pm_rz_seek(pm_rz *z, pm_rel rel, const void *key, size_t len);
/* To the first location exactly k bytes below the focus. k = 0: whether the focus exists. */
PM_API bool pm_rz_descend_first_k_path(pm_rz *z, size_t k);
/* To the next location k bytes below the base, the base being k bytes above the focus. False, with the focus at the
   base, when there is none (k = 0: stays; k larger than the depth: the root). */
PM_API bool pm_rz_to_next_k_path(pm_rz *z, size_t k);

/* Trie references: a fixed focus without a path buffer, no allocation, copied by assignment.
   Valid    as the zipper or map that it came from */
typedef struct pm_ref {
    const pm_ops *ops;
    pm_pool *pool;
    pm_place place;
    const pm_val *val; /* value at the focus, or NULL */
    bool exists;
} pm_ref;

PM_API pm_ref pm_ref_of_map(const pm_map *m, const void *key, size_t len);
/* Of a view: a place that does not exist. */
PM_API pm_ref pm_ref_of_rz(const pm_rz *z);
/* The place `key` below. */
PM_API pm_ref pm_ref_at(const pm_ref *r, const void *key, size_t len);
PM_API bool pm_ref_exists(const pm_ref *r);
PM_API const pm_val *pm_ref_val(const pm_ref *r);
PM_API const pm_val *pm_ref_val_at(const pm_ref *r, const void *key, size_t len);
PM_API pm_mask pm_ref_child_mask(const pm_ref *r);
PM_API unsigned pm_ref_child_count(const pm_ref *r);
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
/* The value at the focus, whose validity is that of the witness.
   Fails    PM_INVALID if `w` witnesses other content than `z` looks at */
PM_API PM_NODISCARD pm_status pm_rz_val_witnessed(const pm_rz *z, const pm_witness *w, const pm_val **out);
PM_API void pm_witness_drop(pm_witness *w);
