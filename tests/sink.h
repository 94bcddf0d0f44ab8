/* A sink that keeps the text which it is given. Include after check.h. */
#ifndef SINK_H
#define SINK_H

#include <stdlib.h>
#include <string.h>

typedef struct text {
    char *data;
    size_t len, cap;
    unsigned pieces, limit; /* with a limit: how many pieces are taken before it says no */
} text;

static bool take(void *ctx, const char *s, size_t len) {
    text *t = ctx;
    if (t->limit && t->pieces == t->limit) return false;
    t->pieces++;
    if (t->len + len + 1 > t->cap) {
        t->cap = (t->len + len + 1) * 2;
        t->data = realloc(t->data, t->cap);
        if (!t->data) abort();
    }
    memcpy(t->data + t->len, s, len);
    t->len += len;
    t->data[t->len] = '\0';
    return true;
}

#endif
