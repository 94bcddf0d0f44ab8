/* Differences and three-way merges of naive tries, from the definition: a terminal is a key with a value, or a dangling
   leaf; what is not said of a terminal is not said. */
#ifndef MODEL_DIFF_H
#define MODEL_DIFF_H

#include "model.h"

/* What a trie has at a key. */
typedef struct model_state {
    bool some, dangles;
    uint64_t val;
} model_state;

/* Each key at which two tries differ, in order. */
typedef void (*model_diff_visit)(void *ctx, model_key key, model_state before, model_state after);
void model_diff(const model *a, const model *b, model_diff_visit fn, void *ctx);

/* `m` with the difference of a and b applied. *items: a value that changes counts 1, a leaf that begins or ends to
   dangle counts 1. The result is the caller's. */
model *model_patch(const model *m, const model *a, const model *b, size_t *items);

typedef enum model_rule { MODEL_RULE_BASE, MODEL_RULE_OURS, MODEL_RULE_THEIRS } model_rule;
model *model_merge3(const model *base, const model *ours, const model *theirs, model_rule rule, size_t *conflicts);

#endif
