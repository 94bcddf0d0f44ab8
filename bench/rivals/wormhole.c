/* Wormhole (BENCH_WORMHOLE=folder of its source): an ordered index of leaf lists with a hash table over prefixes. Its
   calls for a single thread are used; it keeps copies of key and value. Its nodes come from mmap, so no memory figure
   can be had by asking malloc. */
#define _GNU_SOURCE
#include "../engine.h"

#include "lib.h"

#include "kv.h"

#include "wh.h"

typedef struct store {
    struct wormhole *map;
    struct kv *pair; /* room for a pair of the longest key */
} store;

static void *worm_make(const bench_traits *t) {
    store *s = bench_alloc(sizeof *s);
    s->map = whunsafe_create(&kvmap_mm_dup);
    s->pair = bench_alloc(sizeof(struct kv) + t->longest + sizeof(uint64_t));
    return s;
}

static void worm_drop(void *m) { wormhole_clean(((store *)m)->map); }

static void worm_free(void *m) {
    wormhole_destroy(((store *)m)->map);
    free(((store *)m)->pair);
    free(m);
}

static bool worm_insert(void *m, const bench_list *l) {
    store *s = m;
    for (size_t i = 0; i < l->n; i++) {
        kv_refill(s->pair, l->key[i].data, (u32)l->key[i].len, &l->val[i], sizeof l->val[i]);
        if (!whunsafe_put(s->map, s->pair)) return false;
    }
    return true;
}

static void worm_take(struct kv *pair, void *out) {
    if (pair) memcpy(out, pair->kv + pair->klen, sizeof(uint64_t));
}

static bench_tally worm_get(void *m, const bench_list *l) {
    const store *s = m;
    bench_tally t = {0, 0};
    for (size_t i = 0; i < l->n; i++) {
        struct kref key;
        uint64_t val;
        kref_ref_hash32(&key, l->key[i].data, (u32)l->key[i].len);
        if (!whunsafe_inp(s->map, &key, worm_take, &val)) continue;
        t.found++;
        t.right += val == l->val[i];
    }
    return t;
}

static void worm_iterate(void *m, bench_visitor *out) {
    store *s = m;
    bench_visitor v = *out;
    struct wormhole_iter *i = whunsafe_iter_create(s->map);
    struct kvref at;
    whunsafe_iter_seek(i, kref_null());
    for (; wormhole_iter_kvref(i, &at); whunsafe_iter_skip1(i)) {
        uint64_t val;
        memcpy(&val, at.vptr, sizeof val);
        bench_visit(&v, at.kptr, at.hdr.klen, val);
    }
    whunsafe_iter_destroy(i);
    *out = v;
}

static size_t worm_remove(void *m, const bench_list *l) {
    store *s = m;
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        struct kref key;
        kref_ref_hash32(&key, l->key[i].data, (u32)l->key[i].len);
        n += whunsafe_del(s->map, &key);
    }
    return n;
}

static bool worm_is_empty(void *m) {
    struct wormhole_iter *i = whunsafe_iter_create(((store *)m)->map);
    whunsafe_iter_seek(i, kref_null());
    bool empty = !wormhole_iter_valid(i);
    whunsafe_iter_destroy(i);
    return empty;
}

static const bench_engine wormhole = {
    .name = "Wormhole",
    .flags = BENCH_ORDERED | BENCH_OWN_PAGES,
    .rank = 26,
    .make = worm_make,
    .free = worm_free,
    .insert = worm_insert,
    .get = worm_get,
    .iterate = worm_iterate,
    .remove = worm_remove,
    .is_empty = worm_is_empty,
    .drop = worm_drop,
};

BENCH_ENGINE(wormhole)
