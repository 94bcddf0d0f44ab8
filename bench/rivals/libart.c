/* libart (BENCH_LIBART=folder of its source): an adaptive radix tree. A key must not be the beginning of another one,
   so each is handed over with its final zero byte, and keys hold no others. Where it adds to a node of 16 it compares
   bytes as signed numbers (SSE), so that now and then it iterates out of order: that is not held against it. */
#define _DEFAULT_SOURCE
#include "../engine.h"

#include "art.h"

static void *art_make(const bench_traits *t) {
    art_tree *tree = bench_alloc(sizeof *tree);
    (void)t;
    (void)art_tree_init(tree);
    return tree;
}

static void art_drop(void *m) {
    (void)art_tree_destroy(m);
    (void)art_tree_init(m);
}

/* Values are kept as pointers, one more than they are, so that none is NULL. */
static void *as_pointer(uint64_t val) { return (void *)(uintptr_t)(val + 1); }

static bool insert(void *m, const bench_list *l) {
    for (size_t i = 0; i < l->n; i++)
        if (art_insert(m, l->key[i].data, (int)l->key[i].len + 1, as_pointer(l->val[i]))) return false;
    return true;
}

static bench_tally get(void *m, const bench_list *l) {
    bench_tally t = {0, 0};
    for (size_t i = 0; i < l->n; i++) {
        const void *v = art_search(m, l->key[i].data, (int)l->key[i].len + 1);
        t.found += v != NULL;
        t.right += v == as_pointer(l->val[i]);
    }
    return t;
}

static int visit(void *ctx, const unsigned char *key, uint32_t len, void *val) {
    bench_visit(ctx, key, len - 1, (uint64_t)(uintptr_t)val - 1);
    return 0;
}

static void iterate(void *m, bench_visitor *out) { (void)art_iter(m, visit, out); }

static size_t take_out(void *m, const bench_list *l) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) n += art_delete(m, l->key[i].data, (int)l->key[i].len + 1) != NULL;
    return n;
}

static bool is_empty(void *m) { return art_size((art_tree *)m) == 0; }

static const bench_engine libart = {
    .name = "libart",
    .flags = BENCH_ORDERED | BENCH_ZERO_FREE | BENCH_NEARLY,
    .rank = 27,
    .make = art_make,
    .free = free,
    .insert = insert,
    .get = get,
    .iterate = iterate,
    .remove = take_out,
    .is_empty = is_empty,
    .drop = art_drop,
};

BENCH_ENGINE(libart)
