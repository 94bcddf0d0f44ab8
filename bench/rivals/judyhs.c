/* JudyHS (Debian libjudy-dev): a hash table of byte strings built of Judy arrays. It cannot be iterated. */
#define _DEFAULT_SOURCE
#include "../engine.h"

#include <Judy.h>

static void *hs_make(const bench_traits *t) {
    (void)t;
    Pvoid_t *root = bench_alloc(sizeof *root);
    *root = NULL;
    return root;
}

static void hs_drop(void *m) { JudyHSFreeArray((Pvoid_t *)m, PJE0); }
static void hs_free(void *m) { free(m); }

static bool hs_insert(void *m, const bench_list *l) {
    for (size_t i = 0; i < l->n; i++) {
        PPvoid_t v = JudyHSIns((Pvoid_t *)m, (void *)(uintptr_t)l->key[i].data, l->key[i].len, PJE0);
        if (v == NULL || v == PPJERR) return false;
        *(Word_t *)v = l->val[i];
    }
    return true;
}

static bench_tally hs_get(void *m, const bench_list *l) {
    bench_tally t = {0, 0};
    for (size_t i = 0; i < l->n; i++) {
        const Word_t *v =
            (const Word_t *)JudyHSGet(*(Pvoid_t *)m, (void *)(uintptr_t)l->key[i].data, l->key[i].len);
        t.found += v != NULL;
        t.right += v && *v == l->val[i];
    }
    return t;
}

static size_t hs_remove(void *m, const bench_list *l) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++)
        n += JudyHSDel((Pvoid_t *)m, (void *)(uintptr_t)l->key[i].data, l->key[i].len, PJE0) == 1;
    return n;
}

static bool hs_is_empty(void *m) { return *(Pvoid_t *)m == NULL; }

static const bench_engine judyhs = {
    .name = "JudyHS",
    .rank = 40,
    .make = hs_make,
    .free = hs_free,
    .insert = hs_insert,
    .get = hs_get,
    .remove = hs_remove,
    .is_empty = hs_is_empty,
    .drop = hs_drop,
};

BENCH_ENGINE(judyhs)
