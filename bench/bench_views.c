/* Measures walks over views: iterating one value by value, against making a map of it and iterating that, and against
   doing the same by hand: iterate one map and look every key up in the other.

   "low" and "high" hold the first and the last two thirds of the keys, which come in the file's (shuffled) order. The
   product is that of two maps of some hundred keys each. Times are per value of the view; "map" is low alone, through
   the same interface. By hand the values of an overlay do not come in order.

   The rows "NAME of a clone" have the first 10^4, 10^5, .. keys as low, and as high a clone without 11 of them. Their
   times are of a whole walk.

   Every walk's values are counted and added up, outside the time taken, against what the maps of the algebra say. */
#define _GNU_SOURCE
#define PATHMAP_STATIC
#include "pathmap.h"

#include "bench.h"

enum {
    FACTOR = 300, /* keys in a factor of the product */
    GONE = 11     /* keys that a clone lacks */
};

typedef struct set {
    const char *name;
    pm_map low, high, few[2];
    pm_rz over_low, over_high, over_few[2];
} set;

/* What a walk has met. */
typedef struct tally {
    size_t count;
    uint64_t sum, bytes;
} tally;

static bool failed;

static void need(pm_status s) {
    if (s != PM_OK) bench_die("pathmap", pm_status_text(s));
}

static pm_map fill(const bench_list *l, size_t from, size_t to) {
    pm_map m = pm_new(pm_ops_left(), NULL);
    for (size_t i = from; i < to; i++) need(pm_set(&m, l->key[i].data, l->key[i].len, l->val[i], NULL));
    return m;
}

static bool add(void *ctx, const uint8_t *key, size_t len, pm_val val) {
    tally *t = ctx;
    (void)key;
    t->count++;
    t->sum += val;
    t->bytes += len;
    return true;
}

/* ---- views ----------------------------------------------------------------------------------------------------- */

typedef enum view_kind { OVER_MAP, OVERLAY, MEET, SUBTRACT, PREFIX, PRODUCT, VIEW_KINDS } view_kind;

static const char *const view_names[VIEW_KINDS] = {"map", "overlay", "meet", "subtract", "prefix", "product"};

static void open_view(const set *s, view_kind kind, pm_rz *z) {
    switch (kind) {
    case OVER_MAP: need(pm_rz_fork(&s->over_low, z)); break;
    case OVERLAY: need(pm_view_overlay(&s->over_low, &s->over_high, NULL, NULL, z)); break;
    case MEET: need(pm_view_meet(&s->over_low, &s->over_high, z)); break;
    case SUBTRACT: need(pm_view_subtract(&s->over_low, &s->over_high, z)); break;
    case PREFIX: need(pm_view_prefix(&s->over_low, "constant/bytes/", 15, NULL, 0, z)); break;
    default: need(pm_view_product(s->over_few, 2, z));
    }
}

/* ---- by hand --------------------------------------------------------------------------------------------------- */

typedef struct by_hand {
    tally t;
    const pm_map *other;
    bool wanted; /* a key of the other map counts, or one that is not in it */
} by_hand;

static bool add_if(void *ctx, const uint8_t *key, size_t len, pm_val val) {
    by_hand *h = ctx;
    return (pm_get(h->other, key, len) != NULL) != h->wanted || add(&h->t, key, len, val);
}

/* False: there is no such way. */
static bool walk_by_hand(const set *s, view_kind kind, tally *t) {
    by_hand h = {{0, 0, 0}, &s->high, kind == MEET};
    if (kind == OVER_MAP) {
        need(pm_each(&s->low, add, &h.t));
    } else if (kind == MEET || kind == SUBTRACT) {
        need(pm_each(&s->low, add_if, &h));
    } else if (kind == OVERLAY) {
        need(pm_each(&s->low, add, &h.t));
        h.other = &s->low;
        need(pm_each(&s->high, add_if, &h));
    } else {
        return false;
    }
    *t = h.t;
    return true;
}

/* ---- measuring ------------------------------------------------------------------------------------------------- */

typedef enum way { VIEW, MADE, HAND, STEPS, WAYS } way;

static const char *const way_names[WAYS] = {"pathmap view", "pathmap map made of it", "pathmap by hand",
                                            "pathmap view, every location"};

/* Walks once; false if there is no such way. */
static bool walk(const set *s, view_kind kind, way how, tally *t, bench_clock *took) {
    pm_rz z;
    pm_map made;
    tally got = {0, 0, 0};
    bool done = true;
    open_view(s, kind, &z);
    bench_clock start = bench_start();
    if (how == VIEW) {
        bool more = pm_rz_is_val(&z) || pm_rz_to_next_val(&z);
        for (; more; more = pm_rz_to_next_val(&z)) {
            size_t len;
            const uint8_t *path = pm_rz_path(&z, &len);
            (void)add(&got, path, len, *pm_rz_val(&z));
        }
    } else if (how == MADE) {
        need(pm_rz_make_map_in(&z, NULL, NULL, &made));
        need(pm_each(&made, add, &got));
        pm_drop(&made);
    } else if (how == HAND) {
        done = walk_by_hand(s, kind, &got);
    } else {
        while (pm_rz_to_next_step(&z)) got.count++;
    }
    *took = bench_since(start);
    need(pm_rz_status(&z));
    pm_rz_drop(&z);
    *t = got;
    return done;
}

/* What the walk over a view must have met: from a map whose making does not walk it, where there is one. */
static tally expected(const set *s, view_kind kind) {
    tally t = {0, 0, 0};
    bench_clock took;
    pm_map m;
    if (kind == OVER_MAP || kind == PREFIX) m = pm_clone(&s->low);
    else if (kind == OVERLAY) need(pm_join(&s->low, &s->high, &m, NULL));
    else if (kind == MEET) need(pm_meet(&s->low, &s->high, &m, NULL));
    else if (kind == SUBTRACT) need(pm_subtract(&s->low, &s->high, &m, NULL));
    else (void)walk(s, kind, MADE, &t, &took), m = pm_new(NULL, NULL);
    need(pm_each(&m, add, &t));
    if (kind == PREFIX) t.bytes += 15 * t.count;
    pm_drop(&m);
    return t;
}

/* `clone`: of a set whose high is a clone of low. */
static void measure(const set *s, view_kind kind, int runs, bool clone) {
    char name[64];
    tally want = expected(s, kind);
    snprintf(name, sizeof name, "%s%s", view_names[kind], clone ? " of a clone" : "");
    for (int how = 0; how < WAYS; how++) {
        bench_times times = {{{0}, 0}, {{0}, 0}};
        for (int r = 0; r < runs; r++) {
            tally t;
            bench_clock took;
            if (!walk(s, kind, (way)how, &t, &took) || !t.count) break;
            if (how != STEPS && (t.count != want.count || t.sum != want.sum || t.bytes != want.bytes)) {
                bench_bad(way_names[how], s->name, name, "other values");
                failed = true;
                break;
            }
            bench_took(&times, took, clone ? 1 : (double)t.count);
        }
        bench_emit_times(way_names[how], s->name, name, clone ? "ns" : "ns_per_key", &times);
    }
}

static void run_all(const bench_list *l, const char *name, const char *ops, int runs) {
    size_t n = l->n, third = n / 3, few = n < FACTOR ? n : FACTOR;
    set s = {name, fill(l, 0, n - third), fill(l, third, n), {fill(l, 0, few), fill(l, n - few, n)}, {0}, {0}, {{0}}};
    need(pm_rz_open(&s.low, NULL, 0, &s.over_low));
    need(pm_rz_open(&s.high, NULL, 0, &s.over_high));
    for (int i = 0; i < 2; i++) need(pm_rz_open(&s.few[i], NULL, 0, &s.over_few[i]));
    for (int kind = 0; kind < VIEW_KINDS; kind++) {
        const char *found = ops ? strstr(ops, view_names[kind]) : view_names[kind];
        if (found) measure(&s, (view_kind)kind, runs, false);
    }
    pm_rz *zips[] = {&s.over_low, &s.over_high, &s.over_few[0], &s.over_few[1]};
    pm_map *maps[] = {&s.low, &s.high, &s.few[0], &s.few[1]};
    for (int i = 0; i < 4; i++) {
        pm_rz_drop(zips[i]);
        pm_drop(maps[i]);
    }
}

static void run_clones(const bench_list *l, const char *name, const char *ops, int runs) {
    for (size_t n = 10000; n <= l->n; n *= 10) {
        char dataset[64];
        snprintf(dataset, sizeof dataset, "%s/%zu", name, n);
        set s = {dataset, fill(l, 0, n), {0}, {{0}}, {0}, {0}, {{0}}};
        s.high = pm_clone(&s.low);
        for (size_t i = 0; i < GONE; i++) {
            const bench_key *k = &l->key[i * (n / GONE)];
            need(pm_remove(&s.high, k->data, k->len, PM_PRUNE, NULL));
        }
        need(pm_rz_open(&s.low, NULL, 0, &s.over_low));
        need(pm_rz_open(&s.high, NULL, 0, &s.over_high));
        for (int kind = OVERLAY; kind <= SUBTRACT; kind++)
            if (!ops || strstr(ops, view_names[kind])) measure(&s, (view_kind)kind, runs, true);
        pm_rz_drop(&s.over_low);
        pm_rz_drop(&s.over_high);
        pm_drop(&s.low);
        pm_drop(&s.high);
    }
}

static const char usage[] = "usage: bench_views --keys FILE --name DATASET [--ops a,b] [--runs N]\n"
                            "  operations: map overlay meet subtract prefix product";

int main(int argc, char **argv) {
    const char *keys = NULL, *ops = NULL, *name = NULL;
    int runs = 5;
    const bench_option options[] = {{"--keys", &keys, NULL, 0}, {"--name", &name, NULL, 0}, {"--ops", &ops, NULL, 0},
                                    {"--runs", NULL, &runs, BENCH_SAMPLES}, {NULL, NULL, NULL, 0}};
    if (!bench_read_options(argc, argv, usage, options)) return 0;
    if (!keys || !name) bench_die("--keys and --name are needed (--help)", NULL);
    bench_describe("bench_views");
    bench_list l = bench_load(keys);
    if (l.n < 3) bench_die("too few keys", keys);
    run_all(&l, name, ops, runs);
    run_clones(&l, name, ops, runs);
    bench_list_free(&l);
    return failed;
}
