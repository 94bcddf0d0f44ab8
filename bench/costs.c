/* A fixed workload whose costs can be counted: instructions (under callgrind, by bench/costs.py), allocations, bytes
   a key. What is not in a row is not counted. The keys are made here, so that they are the same everywhere. */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

static uint64_t allocations;

static void *counted_malloc(size_t n) {
    allocations++;
    return malloc(n);
}

#define PATHMAP_STATIC
#define PATHMAP_IMPLEMENTATION
#define PM_MALLOC(n) counted_malloc(n)
#define PM_FREE(p, n) ((void)(n), free(p))
#include "../pathmap.h"

#ifdef __clang__
#define COST __attribute__((noinline)) static
#else
#define COST __attribute__((noipa)) static
#endif

enum { KEYS = 20000, LONGEST = 48, TOUCHED = 200, MAPS = 8 };

typedef struct set {
    const char *name;
    const pm_ops *ops;
    pm_key *key, *sorted; /* in random order, with as many keys behind them that are not in the map; in order */
    pm_val *val;
} set;

static uint64_t state = 88172645463325252u;

static uint64_t draw(void) {
    state ^= state << 13;
    state ^= state >> 7;
    return state ^= state << 17;
}

static void need(bool ok) {
    if (ok) return;
    fputs("costs: a step failed\n", stderr);
    exit(2);
}

static int compare(const void *a, const void *b) {
    const pm_key *x = a, *y = b;
    int c = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

static size_t spell_text(char *out, uint64_t i) {
    static const char *const part[] = {"an", "ber", "co", "del", "e",  "fur", "gla", "hi",  "ist", "ka",  "lo",
                                       "mi", "no",  "or", "pre", "qu", "re",  "st",  "tra", "un",  "ver", "ward"};
    enum { PARTS = sizeof part / sizeof part[0] };
    size_t n = 0;
    for (uint64_t rest = i * i % 7919 + i * 31; rest || n < 3; rest /= PARTS) {
        const char *p = part[rest % PARTS];
        memcpy(out + n, p, strlen(p));
        n += strlen(p);
    }
    return n + (size_t)sprintf(out + n, "%s%llu", i % 3 ? "" : "/", (unsigned long long)(i % 97));
}

static size_t spell_integer(char *out, uint64_t v) {
    for (size_t i = 0; i < 8; i++) out[i] = (char)(v >> (56 - 8 * i));
    return 8;
}

/* KEYS keys in random order, and KEYS more. Two keys may be the same: that is a row's workload as well. */
static set make(const char *name, int kind, const pm_ops *ops) {
    set s = {.name = name,
             .ops = ops,
             .key = malloc(2 * KEYS * sizeof *s.key),
             .sorted = malloc(KEYS * sizeof *s.sorted),
             .val = malloc(KEYS * sizeof *s.val)};
    char *bytes = malloc((size_t)2 * KEYS * LONGEST);
    need(s.key && s.sorted && s.val && bytes);
    for (size_t i = 0; i < 2 * KEYS; i++) {
        char *at = bytes + i * LONGEST;
        size_t len = kind == 0 ? spell_text(at, i) : spell_integer(at, kind == 1 ? draw() : i);
        s.key[i] = (pm_key){at, len};
    }
    for (size_t half = 0; half < 2; half++)
        for (size_t i = KEYS - 1; i; i--) {
            pm_key *a = &s.key[half * KEYS + i], *b = &s.key[half * KEYS + draw() % (i + 1)], t = *a;
            *a = *b;
            *b = t;
        }
    memcpy(s.sorted, s.key, KEYS * sizeof *s.sorted);
    qsort(s.sorted, KEYS, sizeof *s.sorted, compare);
    size_t distinct = 0;
    for (size_t i = 0; i < KEYS; i++)
        if (!i || compare(&s.sorted[i - 1], &s.sorted[i])) s.sorted[distinct++] = s.sorted[i];
    for (size_t i = 0; i < KEYS; i++) s.val[i] = i + 1;
    while (distinct < KEYS) s.sorted[distinct++] = (pm_key){NULL, 0};
    return s;
}

static size_t distinct(const set *s) {
    size_t n = 0;
    while (n < KEYS && s->sorted[n].len) n++;
    return n;
}

/* ---- rows ---- */

COST void do_insert(pm_map *m, const pm_key *key, const pm_val *val, size_t n) {
    for (size_t i = 0; i < n; i++) need(!pm_set(m, key[i].data, key[i].len, val[i], NULL));
}
COST void do_insert_sorted(pm_map *m, const pm_key *key, const pm_val *val, size_t n) {
    for (size_t i = 0; i < n; i++) need(!pm_set(m, key[i].data, key[i].len, val[i], NULL));
}
COST uint64_t do_get(const pm_map *m, const pm_key *key) {
    uint64_t sum = 0;
    for (size_t i = 0; i < KEYS; i++) sum += *pm_get(m, key[i].data, key[i].len);
    return sum;
}
COST uint64_t do_miss(const pm_map *m, const pm_key *key) {
    uint64_t n = 0;
    for (size_t i = 0; i < KEYS; i++) n += !pm_get(m, key[i].data, key[i].len);
    return n;
}
static bool add(void *ctx, const uint8_t *path, size_t len, pm_val val) {
    (void)path;
    *(uint64_t *)ctx += len + val;
    return true;
}
COST uint64_t do_each(const pm_map *m) {
    uint64_t sum = 0;
    need(!pm_each(m, add, &sum));
    return sum;
}
COST uint64_t do_iterate(const pm_map *m) {
    uint64_t sum = 0;
    pm_iter i = pm_iter_vals(m);
    while (pm_iter_next(&i)) sum += i.len + *i.val;
    return sum;
}
COST uint64_t do_iterate_back(const pm_map *m) {
    uint64_t sum = 0;
    pm_iter i = pm_iter_vals(m);
    while (pm_iter_prev(&i)) sum += i.len + *i.val;
    return sum;
}
COST uint64_t do_zipper_steps(const pm_map *m) {
    uint64_t n = 0;
    pm_rz z;
    need(!pm_rz_open(m, NULL, 0, &z));
    while (pm_rz_to_next_step(&z)) n++;
    pm_rz_drop(&z);
    return n;
}
COST uint64_t do_zipper_get(const pm_map *m, const pm_key *key) {
    uint64_t sum = 0;
    pm_rz z;
    need(!pm_rz_open(m, NULL, 0, &z));
    for (size_t i = 0; i < KEYS; i++) {
        pm_rz_reset(&z);
        pm_rz_descend_to(&z, key[i].data, key[i].len);
        sum += *pm_rz_val(&z);
    }
    pm_rz_drop(&z);
    return sum;
}
COST void do_writer_set(pm_map *m, const pm_key *key, const pm_val *val) {
    pm_wz w;
    need(!pm_wz_open(m, NULL, 0, &w));
    for (size_t i = 0; i < KEYS; i++) need(!pm_wz_set_at(&w, key[i].data, key[i].len, val[i], NULL));
    pm_wz_drop(&w);
}
COST void do_clone_write_drop(pm_map *m, const pm_key *key) {
    for (size_t i = 0; i < KEYS; i += KEYS / TOUCHED) {
        pm_map c = pm_clone(m);
        need(!pm_set(&c, key[i].data, key[i].len, 7, NULL));
        pm_drop(&c);
    }
}
COST void do_remove(pm_map *m, const pm_key *key) {
    pm_opt old;
    for (size_t i = 0; i < KEYS; i++) need(!pm_remove(m, key[i].data, key[i].len, PM_PRUNE, &old));
}
COST void do_build(const set *s, size_t n, pm_map *out) {
    need(!pm_build(s->ops, NULL, s->sorted, s->val, n, out));
}
COST void do_join(const pm_map *a, const pm_map *b, pm_map *out) { need(!pm_join(a, b, out, NULL)); }
COST void do_meet(const pm_map *a, const pm_map *b, pm_map *out) { need(!pm_meet(a, b, out, NULL)); }
COST void do_subtract(const pm_map *a, const pm_map *b, pm_map *out) { need(!pm_subtract(a, b, out, NULL)); }
COST void do_join_many(const pm_map *const *maps, pm_map *out) { need(!pm_join_many(maps, MAPS, out, NULL)); }
static bool tell(void *ctx, const pm_change *c) {
    (void)c;
    ++*(uint64_t *)ctx;
    return true;
}
COST uint64_t do_diff(const pm_map *old, const pm_map *now) {
    uint64_t n = 0;
    need(!pm_diff(old, now, tell, &n));
    return n;
}
COST void do_apply(pm_map *m, const pm_edit *edits, size_t n) { need(!pm_apply(m, edits, n)); }
COST uint64_t do_count(const pm_map *m) {
    uint64_t n = 0;
    need(!pm_val_count(m, &n));
    return n;
}
COST void do_hash(const pm_map *m, pm_hash128 *out) { need(!pm_hash(m, out)); }
COST bool do_equal(const pm_map *a, const pm_map *b) {
    bool same = false;
    need(!pm_equal(a, b, &same));
    return same;
}
COST void do_range(const pm_map *m, const pm_key *key, size_t n) {
    uint64_t sum = 0;
    for (size_t i = 0; i < TOUCHED; i++) need(!pm_range_count(m, &key[i * n / TOUCHED / 2], &key[n / 2], &sum));
}
COST void do_drop(pm_map *m) { pm_drop(m); }

/* ---- the run ---- */

/* Callgrind counts from the one to the other; the names are printed in the order of what it writes. */
COST void row_begins(void) {}
COST void row_ends(void) {}

#define ROW(s, what, statement)                                                                                        \
    do {                                                                                                               \
        printf("row\t%s\t%s\n", (s)->name, what);                                                                      \
        row_begins();                                                                                                  \
        statement;                                                                                                     \
        row_ends();                                                                                                    \
    } while (0)

static uint64_t before;
static void start(void) { before = allocations; }
static void row(const set *s, const char *what, double value) { printf("%s\t%s\t%.3f\n", s->name, what, value); }
static void allocated(const set *s, const char *what) { row(s, what, (double)(allocations - before)); }

static pm_map half(const set *s, size_t from, size_t step) {
    pm_map m = pm_new(s->ops, NULL);
    for (size_t i = from; i < KEYS; i += step) need(!pm_set(&m, s->key[i].data, s->key[i].len, s->val[i], NULL));
    return m;
}

static void points(const set *s) {
    size_t n = distinct(s);
    pm_map m = pm_new(s->ops, NULL), sorted = pm_new(s->ops, NULL), built, writer,
           same = half(s, 0, 1);
    start();
    ROW(s, "insert", do_insert(&m, s->key, s->val, KEYS));
    allocated(s, "allocations insert");
    ROW(s, "insert sorted", do_insert_sorted(&sorted, s->sorted, s->val, n));
    ROW(s, "build", do_build(s, n, &built));
    writer = pm_new(s->ops, NULL);
    ROW(s, "writer set", do_writer_set(&writer, s->key, s->val));

    const pm_map *const maps[] = {&m, &sorted, &built};
    static const char *const names[] = {"bytes a key, random", "bytes a key, sorted", "bytes a key, built"};
    for (size_t i = 0; i < 3; i++) {
        pm_stats stats;
        need(!pm_get_stats(maps[i], &stats));
        row(s, names[i], (double)stats.bytes / (double)stats.values);
    }

    start();
    uint64_t sum = 0;
    ROW(s, "get", sum += do_get(&m, s->key));
    ROW(s, "miss", sum += do_miss(&m, s->key + KEYS));
    ROW(s, "each", sum += do_each(&m));
    ROW(s, "iterate", sum += do_iterate(&m));
    ROW(s, "iterate back", sum += do_iterate_back(&m));
    ROW(s, "zipper steps", sum += do_zipper_steps(&m));
    ROW(s, "zipper get", sum += do_zipper_get(&m, s->key));
    allocated(s, "allocations reading");
    start();
    ROW(s, "clone write drop", do_clone_write_drop(&m, s->key));
    allocated(s, "allocations clone, write, drop");
    ROW(s, "count", sum += do_count(&m));
    pm_hash128 hash;
    ROW(s, "hash", do_hash(&m, &hash));
    ROW(s, "equal to what was built", need(do_equal(&m, &same) && sum));
    pm_drop(&same);
    ROW(s, "range", do_range(&m, s->sorted, n));
    ROW(s, "drop", do_drop(&sorted));
    ROW(s, "remove", do_remove(&writer, s->sorted));
    pm_drop(&writer);
    pm_drop(&built);
    pm_drop(&m);
}

static void algebra(const set *s) {
    pm_map a = half(s, 0, 2), b = half(s, 1, 2), all = half(s, 0, 1), out[4], part[MAPS];
    const pm_map *maps[MAPS];
    for (size_t i = 0; i < MAPS; i++) {
        part[i] = half(s, i, MAPS);
        maps[i] = &part[i];
    }
    start();
    ROW(s, "join", do_join(&a, &b, &out[0]));
    ROW(s, "meet", do_meet(&all, &a, &out[1]));
    ROW(s, "subtract", do_subtract(&all, &a, &out[2]));
    ROW(s, "join many", do_join_many(maps, &out[3]));
    allocated(s, "allocations algebra");
    for (size_t i = 0; i < 4; i++) pm_drop(&out[i]);
    for (size_t i = 0; i < MAPS; i++) pm_drop(&part[i]);

    static pm_edit edits[KEYS / 4];
    for (size_t i = 0; i < KEYS / 4; i++) edits[i] = (pm_edit){.key = s->key[i], .val = {1, s->ops != pm_ops_unit()}};
    pm_map now = pm_clone(&all);
    start();
    ROW(s, "apply", do_apply(&now, edits, KEYS / 4));
    allocated(s, "allocations apply");
    ROW(s, "diff", need(do_diff(&all, &now) > 0));
    pm_drop(&now);
    pm_drop(&a);
    pm_drop(&b);
    pm_drop(&all);
}

int main(void) {
    set sets[] = {make("text", 0, pm_ops_lattice()), make("random", 1, pm_ops_lattice()),
                  make("dense", 2, pm_ops_lattice()), make("dense set", 2, pm_ops_unit())};
    for (size_t i = 0; i < sizeof sets / sizeof sets[0]; i++) {
        points(&sets[i]);
        algebra(&sets[i]);
    }
    return 0;
}
