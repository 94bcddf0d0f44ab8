/* How `replay` prints a change. */
#ifndef REPLAY_DIFF_H
#define REPLAY_DIFF_H

#include "replay.h"

static void print_change_of(model_bytes *out, char sign, model_key key) {
    if (out->len) replay_print(out, ",");
    replay_print(out, "%c", sign);
    replay_print_path(out, key);
}

/* Appends the items of one key to a list of them: its values, NULL where it has none, and whether it dangles. */
static void print_change(model_bytes *out, model_key key, const uint64_t *was, const uint64_t *is, bool dangled,
                         bool dangles) {
    if ((was != NULL) != (is != NULL) || (was && is && *was != *is)) {
        print_change_of(out, was && is ? '~' : is ? '+' : '-', key);
        replay_print(out, "=%llu", (unsigned long long)(was ? *was : *is));
        if (was && is) replay_print(out, ">%llu", (unsigned long long)*is);
    }
    if (dangled == dangles) return;
    print_change_of(out, dangles ? '+' : '-', key);
    replay_print(out, "!");
}

#endif
