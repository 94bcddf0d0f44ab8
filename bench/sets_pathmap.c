/* Unit maps as an engine of bench_sets. Compiled as bench/engine_pathmap.c is. A set lives in a pool of its own, so
   that the pool's figures are the set's; one that algebra makes lives in its first operand's. */
#define _DEFAULT_SOURCE
#define PATHMAP_STATIC
#include "pathmap.h"

#include "sets.h"

typedef struct store {
    pm_map map;
    pm_pool *pool; /* NULL: another set's */
} store;

static void *store_make(const bench_list *l) {
    store *s = bench_alloc(sizeof *s);
    if (pm_pool_new(NULL, &s->pool) != PM_OK) bench_die("out of memory", NULL);
    s->map = pm_new(pm_ops_unit(), s->pool);
    for (size_t i = 0; i < l->n; i++)
        if (pm_set(&s->map, l->key[i].data, l->key[i].len, 0, NULL) != PM_OK) bench_die("out of memory", NULL);
    return s;
}

static void store_drop(void *set) {
    store *s = set;
    pm_drop(&s->map);
    if (s->pool && pm_pool_free(s->pool) != PM_OK) bench_die("nodes are left in the pool", NULL);
    free(s);
}

static size_t store_has(void *set, const bench_list *l) {
    const store *s = set;
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) n += pm_contains(&s->map, l->key[i].data, l->key[i].len);
    return n;
}

static bool add_up(void *ctx, const uint8_t *key, size_t len, pm_val val) {
    uint64_t x = 0;
    (void)val;
    for (size_t i = 0; i < len; i++) x = x << 8 | key[i];
    *(uint64_t *)ctx += x;
    return true;
}

static uint64_t store_sum(void *set) {
    uint64_t sum = 0;
    return pm_each(&((store *)set)->map, add_up, &sum) == PM_OK ? sum : 0;
}

static void *store_combine(void *a, void *b, sets_op op) {
    const pm_map *x = &((store *)a)->map, *y = &((store *)b)->map;
    store *s = bench_alloc(sizeof *s);
    s->pool = NULL;
    pm_status status = op == SETS_JOIN   ? pm_join(x, y, &s->map, NULL)
                       : op == SETS_MEET ? pm_meet(x, y, &s->map, NULL)
                                         : pm_subtract(x, y, &s->map, NULL);
    if (status == PM_OK) return s;
    free(s);
    return NULL;
}

static uint64_t store_bytes(void *set) {
    pm_pool_stats stats;
    pm_pool_get_stats(((store *)set)->pool, &stats);
    return stats.in_slabs;
}

static const sets_engine engine = {ENGINE_NAME, BENCH_OURS | BENCH_ORDERED, ENGINE_RANK, store_make,  store_drop,
                                   store_has,   store_sum,                  store_combine, store_bytes};
SETS_ENGINE(engine)
