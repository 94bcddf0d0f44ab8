/* The terminals of a naive trie, in order: keys with a value, and dangling leaves. They say all about it; order, ranges
   and differences are read off this list. */
#ifndef MODEL_TERMINALS_H
#define MODEL_TERMINALS_H

#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct terminal {
    size_t at, len; /* in `bytes` */
    uint64_t val;
    bool some; /* else it dangles */
} terminal;

typedef struct terminals {
    terminal *items;
    size_t n, cap;
    model_bytes bytes;
} terminals;

static inline bool terminals_note(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    terminals *t = ctx;
    if (!val && (children || !len)) return true; /* the empty path of an empty trie is no terminal */
    if (t->n == t->cap) {
        t->cap = t->cap * 2 + 16;
        t->items = realloc(t->items, t->cap * sizeof *t->items);
        if (!t->items) {
            fputs("model: no memory\n", stderr);
            exit(3);
        }
    }
    t->items[t->n++] = (terminal){t->bytes.len, len, val ? *val : 0, val != NULL};
    model_bytes_append(&t->bytes, key, len);
    return true;
}

static inline terminals terminals_of(const model *m) {
    terminals t = {0};
    model_each(m, terminals_note, &t);
    return t;
}

static inline void terminals_free(terminals *t) {
    free(t->items);
    model_bytes_free(&t->bytes);
}

static inline model_key key_of(const terminals *t, size_t i) {
    return (model_key){t->bytes.data ? t->bytes.data + t->items[i].at : NULL, t->items[i].len};
}

static inline int compare(model_key a, model_key b) {
    size_t min = a.len < b.len ? a.len : b.len;
    int c = min ? memcmp(a.data, b.data, min) : 0;
    return c ? c : (a.len > b.len) - (a.len < b.len);
}

#endif
