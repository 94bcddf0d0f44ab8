/* HAT-trie (Debian libhat-trie-dev): a burst trie over hash buckets. Iteration can sort each bucket, so keys come in
   order, but a neighbour of a key cannot be found; it counts as unordered. */
#define _DEFAULT_SOURCE
#include "../engine.h"

#include <hat-trie/hat-trie.h>

typedef struct store {
    hattrie_t *trie;
} store;

static void *hat_make(const bench_traits *t) {
    (void)t;
    store *s = bench_alloc(sizeof *s);
    s->trie = hattrie_create();
    return s;
}

/* hattrie_clear leaves the count as it was, so a map is emptied by making another. */
static void hat_drop(void *m) {
    store *s = m;
    hattrie_free(s->trie);
    s->trie = hattrie_create();
}

static void hat_free(void *m) {
    hattrie_free(((store *)m)->trie);
    free(m);
}

static bool hat_is_empty(void *m) { return hattrie_size(((store *)m)->trie) == 0; }

/* The trie packs values without alignment. */
static uint64_t value_of(const value_t *v) {
    uint64_t x;
    memcpy(&x, v, sizeof x);
    return x;
}

static const char *bytes_of(const bench_key *k) { return (const char *)k->data; }

static bool hat_insert(void *m, const bench_list *l) {
    hattrie_t *trie = ((store *)m)->trie;
    const size_t before = hattrie_size(trie);
    for (size_t i = 0; i < l->n; i++) {
        value_t *v = hattrie_get(trie, bytes_of(&l->key[i]), l->key[i].len);
        if (!v) return false;
        memcpy(v, &l->val[i], sizeof l->val[i]);
    }
    return hattrie_size(trie) == before + l->n;
}

static bench_tally hat_get(void *m, const bench_list *l) {
    hattrie_t *trie = ((store *)m)->trie;
    bench_tally t = {0, 0};
    for (size_t i = 0; i < l->n; i++) {
        const value_t *v = hattrie_tryget(trie, bytes_of(&l->key[i]), l->key[i].len);
        t.found += v != NULL;
        t.right += v && value_of(v) == l->val[i];
    }
    return t;
}

static void hat_iterate(void *m, bench_visitor *out) {
    bench_visitor v = *out;
    hattrie_iter_t *i = hattrie_iter_begin(((store *)m)->trie, true);
    for (; !hattrie_iter_finished(i); hattrie_iter_next(i)) {
        size_t len;
        const char *key = hattrie_iter_key(i, &len);
        bench_visit(&v, key, len, value_of(hattrie_iter_val(i)));
    }
    hattrie_iter_free(i);
    *out = v;
}

static size_t hat_remove(void *m, const bench_list *l) {
    hattrie_t *trie = ((store *)m)->trie;
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) n += hattrie_del(trie, bytes_of(&l->key[i]), l->key[i].len) == 0;
    return n;
}

static const bench_engine hat = {
    .name = "HAT-trie",
    .flags = BENCH_SORTS,
    .rank = 41,
    .make = hat_make,
    .free = hat_free,
    .insert = hat_insert,
    .get = hat_get,
    .iterate = hat_iterate,
    .remove = hat_remove,
    .is_empty = hat_is_empty,
    .drop = hat_drop,
};

BENCH_ENGINE(hat)
