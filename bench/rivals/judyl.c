/* JudyL (Debian libjudy-dev): an ordered map from words to words, on sets whose keys have 8 bytes. */
#define _DEFAULT_SOURCE
#include "../engine.h"

#include <Judy.h>

typedef struct store {
    Pvoid_t root;
} store;

static void *jl_make(const bench_traits *t) {
    store *s = bench_alloc(sizeof *s);
    (void)t;
    s->root = NULL;
    return s;
}

static void jl_drop(void *m) { JudyLFreeArray(&((store *)m)->root, PJE0); }

static bool jl_insert(void *m, const bench_list *l) {
    store *s = m;
    for (size_t i = 0; i < l->n; i++) {
        PPvoid_t v = JudyLIns(&s->root, bench_integer(&l->key[i]), PJE0);
        if (v == NULL || v == PPJERR) return false;
        *(Word_t *)v = l->val[i];
    }
    return true;
}

static bench_tally jl_get(void *m, const bench_list *l) {
    const store *s = m;
    bench_tally t = {0, 0};
    for (size_t i = 0; i < l->n; i++) {
        const Word_t *v = (const Word_t *)JudyLGet(s->root, bench_integer(&l->key[i]), PJE0);
        t.found += v != NULL;
        t.right += v && *v == l->val[i];
    }
    return t;
}

static void jl_iterate(void *m, bench_visitor *out) {
    store *s = m;
    bench_visitor v = *out;
    Word_t key = 0;
    for (PPvoid_t p = JudyLFirst(s->root, &key, PJE0); p; p = JudyLNext(s->root, &key, PJE0))
        bench_visit_integer(&v, key, *(const Word_t *)p);
    *out = v;
}

static size_t jl_remove(void *m, const bench_list *l) {
    store *s = m;
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) n += JudyLDel(&s->root, bench_integer(&l->key[i]), PJE0) == 1;
    return n;
}

static bool jl_is_empty(void *m) { return ((store *)m)->root == NULL; }

static const bench_engine judyl = {
    .name = "JudyL",
    .flags = BENCH_ORDERED | BENCH_INTEGERS,
    .rank = 24,
    .make = jl_make,
    .free = free,
    .insert = jl_insert,
    .get = jl_get,
    .iterate = jl_iterate,
    .remove = jl_remove,
    .is_empty = jl_is_empty,
    .drop = jl_drop,
};

BENCH_ENGINE(judyl)
