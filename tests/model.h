/* The naive trie: what every operation means, in the simplest form that can be checked by eye.

   A trie is a set of locations closed under prefix, some of which carry a value. Here it is a tree with one node per
   location, one byte per edge, nothing shared and nothing compressed. It is the judge of the library in `replay` and
   in unit tests. It never answers "no memory": it stops the program with a message. */
#ifndef MODEL_H
#define MODEL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef struct model model;

/* How values combine. A subtraction may leave nothing; so may a meet of bits. */
typedef enum model_algebra {
    MODEL_LATTICE, /* max, min, equal values cancel */
    MODEL_SUM,     /* wrapping sum, min, positive difference */
    MODEL_LEFT,    /* left, left, always gone: the library's default */
    MODEL_BITS     /* or, and, and-not; zero vanishes, except in a join, and where a zero meets itself */
} model_algebra;

typedef enum model_op { MODEL_JOIN, MODEL_MEET, MODEL_SUBTRACT, MODEL_RESTRICT } model_op;

/* Outcome of a whole-trie operation: which operands the result equals. */
typedef enum model_outcome {
    MODEL_RESULT_NONE,
    MODEL_RESULT_LEFT,
    MODEL_RESULT_RIGHT,
    MODEL_RESULT_BOTH,
    MODEL_RESULT_ELEMENT
} model_outcome;

/* Outcome of an operation in place. */
typedef enum model_status { MODEL_NONE, MODEL_IDENTITY, MODEL_ELEMENT } model_status;

/* A borrowed path. */
typedef struct model_key {
    const uint8_t *data;
    size_t len;
} model_key;

/* A growable string of bytes; zero is empty. Free `data` with model_bytes_free. */
typedef struct model_bytes {
    uint8_t *data;
    size_t len, cap;
} model_bytes;

void model_bytes_append(model_bytes *b, const void *data, size_t len);
void model_bytes_free(model_bytes *b);

/* Tries. Results of type model * belong to the caller. */
model *model_new(void);
model *model_copy(const model *m);
void model_free(model *m); /* NULL is allowed */
void model_clear(model *m);

bool model_get(const model *m, const void *key, size_t len, uint64_t *val); /* `val` may be NULL */
bool model_exists(const model *m, const void *key, size_t len);
bool model_set(model *m, const void *key, size_t len, uint64_t val, uint64_t *old); /* true if there was a value */
bool model_remove(model *m, const void *key, size_t len, bool prune, uint64_t *old);
bool model_create(model *m, const void *key, size_t len);
size_t model_prune(model *m, const void *key, size_t len);
bool model_remove_branches(model *m, const void *key, size_t len, bool prune);

bool model_is_empty(const model *m); /* no value and no location but the empty path */
bool model_equal(const model *a, const model *b);
uint64_t model_val_count(const model *m);
uint64_t model_location_count(const model *m);
uint64_t model_depth_count(const model *m, uint64_t depth);
model *model_subtrie(const model *m, const void *key, size_t len, bool *exists); /* `exists` may be NULL */

/* The locations in order, one call each; `val` is NULL where there is no value. Stops when fn answers false. */
typedef bool (*model_visit)(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children);
void model_each(const model *m, model_visit fn, void *ctx);

/* Appends the listing of the operation script: `path=value` and `path!`, joined by commas. */
void model_list(const model *m, model_bytes *out);
/* The hash of the operation script's `fold`. */
uint64_t model_fold(const model *m);

/* Combines two values; false if nothing is left. Not for MODEL_RESTRICT. */
bool model_combine_values(model_op op, model_algebra alg, uint64_t a, uint64_t b, uint64_t *out);
model *model_combine(model_op op, model_algebra alg, const model *a, const model *b);
model_outcome model_compare(const model *result, const model *left, const model *right);

/* Cursors read and write. Opened over a trie they borrow it; as a snapshot they own a copy. */
typedef struct model_cursor {
    model *m;
    model_bytes path; /* from the origin to the focus */
    size_t root_len;
    bool owned;
} model_cursor;

void model_cursor_open(model_cursor *c, model *m, const void *root, size_t len);
void model_cursor_open_snapshot(model_cursor *c, const model *m, const void *root, size_t len);
void model_cursor_fork(const model_cursor *c, model_cursor *out); /* a snapshot, its root at the focus of `c` */
void model_cursor_close(model_cursor *c);

model_key model_cursor_path(const model_cursor *c);
bool model_cursor_exists(const model_cursor *c);
bool model_cursor_val(const model_cursor *c, uint64_t *val);
bool model_cursor_at_root(const model_cursor *c);
unsigned model_cursor_children(const model_cursor *c, uint8_t bytes[256]); /* `bytes` may be NULL */
uint64_t model_cursor_val_count(const model_cursor *c);

void model_cursor_reset(model_cursor *c);
size_t model_cursor_move_to(model_cursor *c, const void *key, size_t len);
void model_cursor_descend(model_cursor *c, const void *key, size_t len);
size_t model_cursor_descend_existing(model_cursor *c, const void *key, size_t len, bool stop_at_val);
bool model_cursor_descend_byte(model_cursor *c, uint8_t b);
bool model_cursor_descend_index(model_cursor *c, uint64_t i);
bool model_cursor_descend_last(model_cursor *c);
bool model_cursor_descend_until(model_cursor *c, uint64_t max);
bool model_cursor_last_path(model_cursor *c);
bool model_cursor_ascend(model_cursor *c, uint64_t n);
size_t model_cursor_ascend_until(model_cursor *c, bool stop_at_val);
bool model_cursor_sibling(model_cursor *c, bool forward);
bool model_cursor_next_step(model_cursor *c);
bool model_cursor_next_val(model_cursor *c);
bool model_cursor_prev_step(model_cursor *c);
bool model_cursor_prev_val(model_cursor *c);
/* To the value nearest to a path below the root: before it, or after; `here`: or at it. */
bool model_cursor_seek(model_cursor *c, bool after, bool here, const void *key, size_t len);
bool model_cursor_first_k(model_cursor *c, uint64_t k);
bool model_cursor_next_k(model_cursor *c, uint64_t k);

/* Writes at the focus. A source is a trie of its own: see model_subtrie. */
bool model_cursor_set(model_cursor *c, uint64_t val, uint64_t *old);
bool model_cursor_remove(model_cursor *c, bool prune, uint64_t *old);
void model_cursor_graft(model_cursor *c, const model *src);
void model_cursor_graft_masked(model_cursor *c, const model *src, const bool mask[256], bool clear);
model_status model_cursor_combine(model_cursor *c, model_op op, model_algebra alg, const model *src, bool prune);
model_status model_cursor_meet2(model_cursor *c, model_algebra alg, const model *a, const model *b);
/* `src` NULL: the source does not exist. */
bool model_cursor_restricting(model_cursor *c, const model *src);
model_status model_cursor_join_take(model_cursor *c, model_cursor *from, model_algebra alg, bool prune);
bool model_cursor_combine_k(model_cursor *c, model_op op, model_algebra alg, uint64_t k, bool prune);
bool model_cursor_insert_prefix(model_cursor *c, const void *key, size_t len);
bool model_cursor_remove_prefix(model_cursor *c, uint64_t n);
model *model_cursor_take(model_cursor *c, bool prune, bool *some);
bool model_cursor_remove_branches(model_cursor *c, bool prune);
void model_cursor_keep_children(model_cursor *c, const bool mask[256], bool prune);
bool model_cursor_create(model_cursor *c);
size_t model_cursor_prune(model_cursor *c);
size_t model_cursor_prune_ascend(model_cursor *c);

/* Order and ranges (model_order.c). Keys compare as byte strings. A range is from <= key < to; `to` NULL: no end. */
typedef enum model_rel { MODEL_LT, MODEL_LE, MODEL_GE, MODEL_GT } model_rel;
typedef struct model_range {
    model_key from;
    const model_key *to;
} model_range;

/* Each appends the item `path=value`, or `none`. */
void model_first(const model *m, model_bytes *out);
void model_last(const model *m, model_bytes *out);
void model_nearest(const model *m, model_rel rel, model_key key, model_bytes *out);
void model_nth(const model *m, uint64_t n, model_bytes *out);
/* Each appends items joined by commas, or `none`. */
void model_prefixes(const model *m, model_key key, bool only_longest, model_bytes *out);
void model_scan(const model *m, model_range range, uint64_t n, bool backwards, model_bytes *out);
uint64_t model_range_count(const model *m, model_range range);
uint64_t model_rank(const model *m, model_key key);
uint64_t model_prefix_count(const model *m, model_key key);
/* Appends the longest path with which all terminals at and below `key` begin; false: no such location. */
bool model_common_prefix(const model *m, model_key key, model_bytes *out);
/* Removes the terminals in the range, or outside of it. */
void model_remove_range(model *m, model_range range, bool inside);
/* Takes what comes from `key` on into a trie of its own. */
model *model_split(model *m, model_key key);
/* NULL: something of `a` is not less than something of `b`. */
model *model_concat(const model *a, const model *b);

/* Claims on paths of one map, as a head keeps them. */
typedef enum model_claim_kind { MODEL_SNAPSHOT, MODEL_PINNED, MODEL_WRITER } model_claim_kind;

typedef struct model_claim {
    model_claim_kind kind;
    unsigned id;
    uint8_t *path;
    size_t len;
} model_claim;

typedef struct model_claims {
    model_claim *items;
    size_t n, cap;
    unsigned last_id;
} model_claims;

/* Finds the distinct paths that stand in the way of such a claim, sorted as byte strings.
   Returns  how many; *out is the caller's to free (the paths stay the claims'), NULL when there is none */
size_t model_claims_conflicts(const model_claims *c, model_claim_kind kind, const void *key, size_t len,
                              model_key **out);
unsigned model_claims_add(model_claims *c, model_claim_kind kind, const void *key, size_t len);
void model_claims_remove(model_claims *c, unsigned id);
void model_claims_free(model_claims *c);

#endif
