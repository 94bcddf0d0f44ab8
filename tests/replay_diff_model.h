/* Differences in `replay`, on the naive model. Included by replay_model.c. */
#ifndef REPLAY_DIFF_MODEL_H
#define REPLAY_DIFF_MODEL_H

#include "model_diff.h"
#include "replay_diff.h"

static void print_difference(void *ctx, model_key key, model_state before, model_state after) {
    const uint64_t *was = before.some ? &before.val : NULL, *is = after.some ? &after.val : NULL;
    print_change(ctx, key, was, is, before.dangles, after.dangles);
}

ON(diff) {
    size_t start = out->len;
    model_diff(map_of(s, a, 0), map_of(s, a, 1), print_difference, out);
    if (out->len == start) replay_print(out, "none");
    return true;
}

ON(patch) {
    size_t items;
    model *made = model_patch(map_of(s, a, 1), map_of(s, a, 2), map_of(s, a, 3), &items);
    put_map(s, a->map[0], made);
    return say(out, items);
}

ON(merge3) {
    size_t conflicts;
    model *made = model_merge3(map_of(s, a, 1), map_of(s, a, 2), map_of(s, a, 3), (model_rule)a->rule, &conflicts);
    put_map(s, a->map[0], made);
    return say(out, conflicts);
}

#endif
