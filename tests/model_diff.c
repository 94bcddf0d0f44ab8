/* Differences of naive tries. The terminals of up to three tries are listed, and each key is settled by itself. */
#include "model_diff.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct terminal {
    uint8_t *key;
    size_t len;
    model_state state;
} terminal;

typedef struct terminals {
    terminal *items;
    size_t n, next;
} terminals;

static void *must(void *p) {
    if (p) return p;
    fputs("model: no memory\n", stderr);
    exit(3);
}

static bool note(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    terminals *t = ctx;
    if (!val && (children || !len)) return true;
    t->items = must(realloc(t->items, (t->n + 1) * sizeof *t->items));
    terminal *i = &t->items[t->n++];
    *i = (terminal){must(malloc(len + 1)), len, {val != NULL, !val, val ? *val : 0}};
    if (len) memcpy(i->key, key, len);
    return true;
}

static terminals terminals_of(const model *m) {
    terminals t = {0};
    model_each(m, note, &t);
    return t;
}

static void terminals_free(terminals *t) {
    for (size_t i = 0; i < t->n; i++) free(t->items[i].key);
    free(t->items);
}

static int order(const terminal *a, const terminal *b) {
    size_t min = a->len < b->len ? a->len : b->len;
    int c = min ? memcmp(a->key, b->key, min) : 0;
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

/* The next key that any of the lists has, and what each has there. False: there is none. */
static bool next_key(terminals *t, unsigned lists, model_key *key, model_state *at) {
    const terminal *least = NULL;
    for (unsigned i = 0; i < lists; i++) {
        const terminal *x = t[i].next < t[i].n ? &t[i].items[t[i].next] : NULL;
        if (x && (!least || order(x, least) < 0)) least = x;
    }
    if (!least) return false;
    *key = (model_key){least->key, least->len};
    for (unsigned i = 0; i < lists; i++) {
        const terminal *x = t[i].next < t[i].n ? &t[i].items[t[i].next] : NULL;
        bool here = x && order(x, least) == 0;
        at[i] = here ? x->state : (model_state){0};
        t[i].next += here;
    }
    return true;
}

static bool same_value(model_state a, model_state b) { return a.some == b.some && (!a.some || a.val == b.val); }

void model_diff(const model *a, const model *b, model_diff_visit fn, void *ctx) {
    terminals t[2] = {terminals_of(a), terminals_of(b)};
    model_key key;
    model_state at[2];
    while (next_key(t, 2, &key, at))
        if (!same_value(at[0], at[1]) || at[0].dangles != at[1].dangles) fn(ctx, key, at[0], at[1]);
    terminals_free(&t[0]);
    terminals_free(&t[1]);
}

static void put(model *m, model_key key, bool dangles, bool some, uint64_t val) {
    if (some) model_set(m, key.data, key.len, val, NULL);
    else if (dangles) model_create(m, key.data, key.len);
}

model *model_patch(const model *m, const model *a, const model *b, size_t *items) {
    terminals t[3] = {terminals_of(m), terminals_of(a), terminals_of(b)};
    model *made = model_new();
    model_key key;
    model_state at[3];
    *items = 0;
    while (next_key(t, 3, &key, at)) {
        bool value = !same_value(at[1], at[2]), dangle = at[1].dangles != at[2].dangles;
        model_state v = value ? at[2] : at[0];
        put(made, key, dangle ? at[2].dangles : at[0].dangles, v.some, v.val);
        *items += (size_t)value + dangle;
    }
    for (int i = 0; i < 3; i++) terminals_free(&t[i]);
    return made;
}

model *model_merge3(const model *base, const model *ours, const model *theirs, model_rule rule, size_t *conflicts) {
    terminals t[3] = {terminals_of(base), terminals_of(ours), terminals_of(theirs)};
    model *made = model_new();
    model_key key;
    model_state at[3];
    *conflicts = 0;
    while (next_key(t, 3, &key, at)) {
        model_state v = at[1];
        if (same_value(at[0], at[1])) {
            v = at[2];
        } else if (!same_value(at[0], at[2]) && !same_value(at[1], at[2])) {
            ++*conflicts;
            v = at[rule];
        }
        put(made, key, at[0].dangles == at[1].dangles ? at[2].dangles : at[1].dangles, v.some, v.val);
    }
    for (int i = 0; i < 3; i++) terminals_free(&t[i]);
    return made;
}
