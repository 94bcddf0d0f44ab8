/* pathmap as an engine of bench_map. Compiled once per mode of reference counts (PATHMAP_SLIM_PTRS), and once
   for any processor, without optimising much, each time as a private copy of the library, with ENGINE_NAME and
   ENGINE_RANK from the build.

   A map lives in a pool of its own, so that the pool's figures are the map's. */
#define _DEFAULT_SOURCE
#define PATHMAP_STATIC
#include "pathmap.h"

#include "engine.h"

typedef struct store {
    pm_map map;
    pm_pool *pool;
    pm_key *ready; /* keys for the build to come */
} store;

static void *store_make(const bench_traits *t) {
    (void)t;
    store *s = bench_alloc(sizeof *s);
    if (pm_pool_new(NULL, &s->pool) != PM_OK) {
        free(s);
        return NULL;
    }
    s->map = pm_new(NULL, s->pool);
    s->ready = NULL;
    return s;
}

static void store_drop(void *m) { pm_drop(&((store *)m)->map); }

static void store_free(void *m) {
    store *s = m;
    if (pm_pool_free(s->pool) != PM_OK) bench_die("nodes are left in the pool", NULL);
    free(s->ready);
    free(s);
}

static bool store_insert(void *m, const bench_list *l) {
    store *s = m;
    for (size_t i = 0; i < l->n; i++)
        if (pm_set(&s->map, l->key[i].data, l->key[i].len, l->val[i], NULL) != PM_OK) return false;
    return true;
}

static bool store_insert_head(void *m, const bench_list *l) {
    store *s = m;
    pm_head *h;
    pm_wz w;
    bool good = true;
    if (pm_head_new(&s->map, &h) != PM_OK) return false;
    if (pm_head_write(h, NULL, 0, &w, NULL) != PM_OK) bench_die("no writer of a head", NULL);
    for (size_t i = 0; i < l->n && good; i++) {
        (void)pm_rz_move_to(pm_wz_cursor(&w), l->key[i].data, l->key[i].len);
        good = pm_wz_set(&w, l->val[i], NULL) == PM_OK;
    }
    good = pm_wz_drop(&w) == PM_OK && good;
    return pm_head_free(h, NULL, NULL) == PM_OK && good;
}

/* The library's key type and the harness's are alike, but not one: keys for a lookup are copied as part of the
   measurement, 16 at a time; those for a build before it, for there the fresh memory would be the larger part. */
static void convert(pm_key *to, const bench_key *from, size_t n) {
    for (size_t i = 0; i < n; i++) {
        to[i].data = from[i].data;
        to[i].len = from[i].len;
    }
}

static void store_ready(void *m, const bench_list *l) {
    store *s = m;
    s->ready = bench_alloc(l->n * sizeof *s->ready);
    convert(s->ready, l->key, l->n);
}

static bool store_build(void *m, const bench_list *l) {
    store *s = m;
    return pm_build(NULL, s->pool, s->ready, l->val, l->n, &s->map) == PM_OK;
}

static bench_tally store_get(void *m, const bench_list *l) {
    const pm_map *map = &((store *)m)->map;
    bench_tally t = {0, 0};
    for (size_t i = 0; i < l->n; i++) {
        const pm_val *v = pm_get(map, l->key[i].data, l->key[i].len);
        t.found += v != NULL;
        t.right += v && *v == l->val[i];
    }
    return t;
}

enum { BATCH = 16 };

static bench_tally store_get_many(void *m, const bench_list *l) {
    const pm_map *map = &((store *)m)->map;
    bench_tally t = {0, 0};
    pm_key key[BATCH];
    const pm_val *val[BATCH];
    for (size_t i = 0; i < l->n; i += BATCH) {
        size_t n = l->n - i < BATCH ? l->n - i : BATCH;
        convert(key, l->key + i, n);
        t.found += pm_get_many(map, key, n, val);
        for (size_t k = 0; k < n; k++) t.right += val[k] && *val[k] == l->val[i + k];
    }
    return t;
}

static bench_tally store_zget(void *m, const bench_list *l) {
    bench_tally t = {0, 0};
    pm_rz z;
    if (pm_rz_open(&((store *)m)->map, NULL, 0, &z) != PM_OK) return t;
    for (size_t i = 0; i < l->n; i++) {
        const pm_val *v = pm_rz_val_at(&z, l->key[i].data, l->key[i].len);
        t.found += v != NULL;
        t.right += v && *v == l->val[i];
    }
    pm_rz_drop(&z);
    return t;
}

static bench_tally store_zmove(void *m, const bench_list *l) {
    bench_tally t = {0, 0};
    pm_rz z;
    if (pm_rz_open(&((store *)m)->map, NULL, 0, &z) != PM_OK) return t;
    for (size_t i = 0; i < l->n; i++) {
        (void)pm_rz_move_to(&z, l->key[i].data, l->key[i].len);
        const pm_val *v = pm_rz_val(&z);
        t.found += v != NULL;
        t.right += v && *v == l->val[i];
    }
    pm_rz_drop(&z);
    return t;
}

static void store_zipper(void *m, bench_visitor *out) {
    bench_visitor v = *out;
    pm_rz z;
    size_t len;
    if (pm_rz_open(&((store *)m)->map, NULL, 0, &z) != PM_OK) return;
    const pm_val *root = pm_rz_val(&z);
    if (root) bench_visit(&v, "", 0, *root);
    while (pm_rz_to_next_val(&z)) {
        const uint8_t *path = pm_rz_path(&z, &len);
        bench_visit(&v, path, len, *pm_rz_val(&z));
    }
    if (pm_rz_status(&z) != PM_OK) v.wrong = true;
    pm_rz_drop(&z);
    *out = v;
}

static bool visit_one(void *ctx, const uint8_t *key, size_t len, pm_val val) {
    bench_visit(ctx, len ? key : (const uint8_t *)"", len, val);
    return true;
}

static void store_each(void *m, bench_visitor *v) {
    if (pm_each(&((store *)m)->map, visit_one, v) != PM_OK) v->wrong = true;
}

static void store_iter(void *m, bench_visitor *out) {
    bench_visitor v = *out;
    pm_iter i = pm_iter_vals(&((store *)m)->map);
    while (pm_iter_next(&i)) bench_visit(&v, i.len ? i.key : (const uint8_t *)"", i.len, *i.val);
    if (pm_iter_status(&i) != PM_OK) v.wrong = true;
    pm_iter_drop(&i);
    *out = v;
}

static size_t store_remove(void *m, const bench_list *l) {
    store *s = m;
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        pm_opt old = {0, false};
        if (pm_remove(&s->map, l->key[i].data, l->key[i].len, PM_PRUNE, &old) != PM_OK) return 0;
        n += old.some && old.val == l->val[i];
    }
    return n;
}

static bool store_is_empty(void *m) {
    store *s = m;
    pm_pool_stats stats;
    pm_pool_get_stats(s->pool, &stats);
    return pm_is_empty(&s->map) && stats.nodes == 0;
}

static bool store_clone_drop(void *m, size_t times) {
    const store *s = m;
    size_t full = 0;
    for (size_t i = 0; i < times; i++) {
        pm_map c = pm_clone(&s->map);
        full += !pm_is_empty(&c);
        pm_drop(&c);
    }
    return full == times;
}

static bool store_clone_write(void *m, const bench_list *l, size_t times) {
    const store *s = m;
    for (size_t i = 0; i < times; i++) {
        pm_map c = pm_clone(&s->map);
        pm_opt old = {0, false};
        bool good = pm_set(&c, l->key[i].data, l->key[i].len, ~l->val[i], &old) == PM_OK;
        good = good && old.some && old.val == l->val[i];
        pm_drop(&c);
        if (!good) return false;
    }
    return true;
}

static void store_drop_clones(void *clones, size_t n) {
    pm_map *c = clones;
    for (size_t i = 0; i < n; i++) pm_drop(&c[i]);
    free(c);
}

static void *store_clones(void *m, const bench_list *l, size_t n) {
    const store *s = m;
    pm_map *c = bench_alloc(n * sizeof *c);
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        c[i] = pm_clone(&s->map);
        good &= pm_set(&c[i], l->key[i].data, l->key[i].len, ~l->val[i], NULL) == PM_OK;
    }
    if (good) return c;
    store_drop_clones(c, n);
    return NULL;
}

static uint64_t store_bytes(void *m) {
    pm_pool_stats stats;
    pm_pool_get_stats(((store *)m)->pool, &stats);
    return stats.in_slabs;
}

static uint64_t store_live(void *m) {
    pm_pool_stats stats;
    pm_pool_get_stats(((store *)m)->pool, &stats);
    return stats.live;
}

static uint64_t store_unit_bytes(const bench_list *l) {
    pm_pool *pool;
    pm_pool_stats stats = {0};
    uint64_t count = 0;
    if (pm_pool_new(NULL, &pool) != PM_OK) return 0;
    pm_map set = pm_new(pm_ops_unit(), pool);
    bool good = true;
    for (size_t i = 0; i < l->n && good; i++) good = pm_set(&set, l->key[i].data, l->key[i].len, 0, NULL) == PM_OK;
    pm_pool_get_stats(pool, &stats);
    good = good && pm_val_count(&set, &count) == PM_OK && count == l->n;
    for (size_t i = 0; i < l->n && good; i++) good = pm_contains(&set, l->key[i].data, l->key[i].len);
    pm_drop(&set);
    if (pm_pool_free(pool) != PM_OK) return 0;
    return good ? stats.in_slabs : 0;
}

static const bench_engine engine = {
    .name = ENGINE_NAME,
    .flags = BENCH_ORDERED | BENCH_OURS,
    .rank = ENGINE_RANK,
    .make = store_make,
    .free = store_free,
    .insert = store_insert,
    .insert_head = store_insert_head,
    .ready = store_ready,
    .build = store_build,
    .get = store_get,
    .get_many = store_get_many,
    .zget = store_zget,
    .zmove = store_zmove,
    .iterate = store_each,
    .each = store_zipper,
    .iter = store_iter,
    .remove = store_remove,
    .is_empty = store_is_empty,
    .drop = store_drop,
    .clone_drop = store_clone_drop,
    .clone_write = store_clone_write,
    .clones = store_clones,
    .drop_clones = store_drop_clones,
    .bytes = store_bytes,
    .live = store_live,
    .unit_bytes = store_unit_bytes,
};

BENCH_ENGINE(engine)
