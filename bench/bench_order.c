/* Measures what ordered maps are asked for: the nearest key, the longest prefix, ranges counted and removed, dividing
   and putting together, taking the first out; beside std::map and absl::btree_map where they are. Counting and removing
   are per range, of as many keys as the name says. Of pathmap alone: writing below a writer's focus against pm_set, and
   batches of changes (a third of them of keys that are there), per key; and summaries: ranks, the n-th, the size of a
   prefix, the best ten of one, random keys, beside the same by counting; what a summary takes to make, to hold and to
   refresh; inserting the second half of the keys beside one that is refreshed each so many.

   Every answer of the engines is added up and compared between them. */
#define _GNU_SOURCE
#define PATHMAP_STATIC
#include "pathmap.h"

#include "order.h"

enum { QUESTIONS = 100000, RANGES = 1000, POPS = 20000, SPLITS = 20, ENGINES = 4 };

static const order_engine *engines[ENGINES];
static int nengines;
static bool failed;

void order_register(const order_engine *e) {
    if (nengines == ENGINES) bench_die("too many engines", e->name);
    engines[nengines++] = e;
}

static void need(pm_status s) {
    if (s != PM_OK) bench_die("pathmap", pm_status_text(s));
}

/* ---- pathmap --------------------------------------------------------------------------------------------------- */

static void fill(pm_map *m, const bench_list *l, size_t from, size_t to) {
    for (size_t i = from; i < to; i++) need(pm_set(m, l->key[i].data, l->key[i].len, l->val[i], NULL));
}

static void *make(const bench_list *l) {
    pm_map *m = bench_alloc(sizeof *m);
    *m = pm_new(NULL, NULL);
    fill(m, l, 0, l->n);
    return m;
}

static void drop(void *m) {
    pm_drop(m);
    free(m);
}

static pm_item found;

static uint64_t at_or_after(void *m, bench_key k) {
    need(pm_nearest(m, PM_GE, k.data, k.len, &found));
    return found.found ? found.val : 0;
}

static uint64_t before(void *m, bench_key k) {
    need(pm_nearest(m, PM_LT, k.data, k.len, &found));
    return found.found ? found.val : 0;
}

static uint64_t longest(void *m, bench_key k) {
    const pm_val *v = pm_longest_prefix(m, k.data, k.len, NULL);
    return v ? *v : 0;
}

static pm_key key_of(bench_key k) { return (pm_key){k.data, k.len}; }

static uint64_t count(void *m, bench_key from, bench_key to) {
    pm_key a = key_of(from), b = key_of(to);
    uint64_t n = 0;
    need(pm_range_count(m, &a, &b, &n));
    return n;
}

static void erase(void *m, bench_key from, bench_key to) {
    pm_key a = key_of(from), b = key_of(to);
    need(pm_remove_range(m, &a, &b));
}

static uint64_t pop(void *m) {
    need(pm_pop_first(m, &found));
    return found.val;
}

static void split_and_concat(void *m, bench_key k) {
    pm_map rest;
    need(pm_split(m, k.data, k.len, &rest));
    need(pm_concat(m, &rest, m));
    pm_drop(&rest);
}

static uint64_t size(void *m) {
    uint64_t n = 0;
    need(pm_val_count(m, &n));
    return n;
}

static const order_engine pathmap = {"pathmap", make,  drop, at_or_after,      before, longest,
                                     count,     erase, pop,  split_and_concat, size};

/* ---- operations of every engine -------------------------------------------------------------------------------- */

/* What is asked: keys in the file's order, and in bytewise order. */
typedef struct work {
    const char *name, *ops;
    bench_list file, sorted;
    size_t asked; /* questions */
} work;

typedef struct operation {
    const char *name;
    size_t width; /* keys in a range */
    double (*run)(const work *w, const order_engine *e, size_t width, uint64_t *sum);
} operation;

/* Rows return what they took by the thread's clock, for each operation. How much passed by both clocks in all of a
   row is added up beside. */
static bench_clock started, passed;
static void start(void) { started = bench_start(); }
static double taken(size_t n) {
    bench_clock took = bench_since(started);
    passed.wall += took.wall;
    passed.cpu += took.cpu;
    return (double)took.cpu / (double)(n ? n : 1);
}

/* A sample of a row that was just run. What was not timed (bytes) has no clock. */
static void keep(bench_times *t, double cpu) {
    double slower = passed.cpu ? (double)passed.wall / (double)passed.cpu : 1;
    bench_sample(&t->wall, cpu * slower);
    if (passed.cpu) bench_sample(&t->cpu, cpu);
    passed = (bench_clock){0, 0};
}

/* One question per key, to a map that stays as it is. */
static double ask(const work *w, const order_engine *e, uint64_t (*fn)(void *m, bench_key k), bool cut, uint64_t *sum) {
    void *m = e->make(&w->file);
    start();
    for (size_t i = 0; i < w->asked; i++) {
        bench_key k = w->file.key[i];
        if (cut) k.len -= k.len > 1;
        *sum += fn(m, k);
    }
    double t = taken(w->asked);
    e->drop(m);
    return t;
}

static double run_after(const work *w, const order_engine *e, size_t width, uint64_t *sum) {
    (void)width;
    return ask(w, e, e->at_or_after, true, sum);
}

static double run_before(const work *w, const order_engine *e, size_t width, uint64_t *sum) {
    (void)width;
    return ask(w, e, e->before, false, sum);
}

static double run_longest(const work *w, const order_engine *e, size_t width, uint64_t *sum) {
    (void)width;
    return ask(w, e, e->longest, true, sum);
}

/* How many ranges of that width there is room for. */
static size_t ranges(const work *w, size_t width) {
    size_t n = w->sorted.n / (2 * width);
    return n < RANGES ? n : RANGES;
}

static double run_count(const work *w, const order_engine *e, size_t width, uint64_t *sum) {
    void *m = e->make(&w->file);
    size_t n = ranges(w, width), step = n ? w->sorted.n / n : 0;
    start();
    for (size_t i = 0; i < n; i++) *sum += e->count(m, w->sorted.key[i * step], w->sorted.key[i * step + width]);
    double t = taken(n);
    e->drop(m);
    return t;
}

static double run_erase(const work *w, const order_engine *e, size_t width, uint64_t *sum) {
    void *m = e->make(&w->file);
    size_t n = ranges(w, width), step = n ? w->sorted.n / n : 0;
    start();
    for (size_t i = 0; i < n; i++) e->erase(m, w->sorted.key[i * step], w->sorted.key[i * step + width]);
    double t = taken(n);
    *sum = e->size(m);
    e->drop(m);
    return t;
}

static double run_pop(const work *w, const order_engine *e, size_t width, uint64_t *sum) {
    void *m = e->make(&w->file);
    size_t n = w->file.n / 2 < POPS ? w->file.n / 2 : POPS;
    (void)width;
    start();
    for (size_t i = 0; i < n; i++) *sum += e->pop(m);
    double t = taken(n);
    e->drop(m);
    return t;
}

static double run_split(const work *w, const order_engine *e, size_t width, uint64_t *sum) {
    void *m = e->make(&w->file);
    (void)width;
    start();
    for (size_t i = 0; i < SPLITS; i++) e->split_and_concat(m, w->file.key[i % w->file.n]);
    double t = taken(SPLITS);
    *sum = e->size(m);
    e->drop(m);
    return t;
}

static const operation operations[] = {{"lower_bound", 0, run_after},          {"before", 0, run_before},
                                       {"longest_prefix", 0, run_longest},     {"range_count_10", 10, run_count},
                                       {"range_count_1000", 1000, run_count},  {"range_delete_10", 10, run_erase},
                                       {"range_delete_1000", 1000, run_erase}, {"pop_first", 0, run_pop},
                                       {"split_concat", 0, run_split}};

/* ---- of pathmap alone ------------------------------------------------------------------------------------------ */

static double run_set(const work *w, size_t width) {
    pm_map m = {0};
    (void)width;
    start();
    fill(&m, &w->file, 0, w->file.n);
    double t = taken(w->file.n);
    pm_drop(&m);
    return t;
}

static double run_set_at(const work *w, size_t width) {
    pm_map m = {0};
    pm_wz z;
    (void)width;
    need(pm_wz_open(&m, NULL, 0, &z));
    start();
    for (size_t i = 0; i < w->file.n; i++)
        need(pm_wz_set_at(&z, w->file.key[i].data, w->file.key[i].len, w->file.val[i], NULL));
    double t = taken(w->file.n);
    need(pm_wz_drop(&z));
    pm_drop(&m);
    return t;
}

/* The same by a writer that is moved to each key. */
static double run_move_set(const work *w, size_t width) {
    pm_map m = {0};
    pm_wz z;
    (void)width;
    need(pm_wz_open(&m, NULL, 0, &z));
    start();
    for (size_t i = 0; i < w->file.n; i++) {
        (void)pm_rz_move_to(pm_wz_cursor(&z), w->file.key[i].data, w->file.key[i].len);
        need(pm_wz_set(&z, w->file.val[i], NULL));
    }
    double t = taken(w->file.n);
    need(pm_wz_drop(&z));
    pm_drop(&m);
    return t;
}

/* Reads every key in the file's order: by pm_get, or (1) by a zipper that is moved to it. */
static double run_read(const work *w, size_t moves) {
    pm_map m = {0};
    pm_rz z;
    size_t missing = 0;
    fill(&m, &w->file, 0, w->file.n);
    need(pm_rz_open(&m, NULL, 0, &z));
    start();
    for (size_t i = 0; i < w->file.n; i++) {
        const bench_key *k = &w->file.key[i];
        if (moves) (void)pm_rz_move_to(&z, k->data, k->len);
        const pm_val *v = moves ? pm_rz_val(&z) : pm_get(&m, k->data, k->len);
        missing += !v || *v != w->file.val[i];
    }
    double t = taken(w->file.n);
    pm_rz_drop(&z);
    pm_drop(&m);
    if (missing) bench_bad("pathmap", w->name, "read", "a key is missing"), failed = true;
    return t;
}

/* Changes a map of the first half of the keys: in batches of `width`, or (0) one by one. */
static double changes(const work *w, size_t width, bool sorted) {
    size_t half = w->file.n / 2, n = half < QUESTIONS ? half : QUESTIONS, each = width ? width : 1000;
    pm_edit *e = bench_alloc(each * sizeof *e);
    bench_sort_item *order = bench_alloc(each * sizeof *order);
    pm_map m = {0};
    double t = 0;
    fill(&m, &w->file, 0, half);
    for (size_t from = 0; from < n; from += each) {
        size_t some = n - from < each ? n - from : each;
        for (size_t i = 0; i < some; i++) order[i].key = w->file.key[(i % 3 ? half : 0) + from + i], order[i].index = i;
        if (sorted) qsort(order, some, sizeof *order, bench_sort_compare);
        for (size_t i = 0; i < some; i++) e[i] = (pm_edit){key_of(order[i].key), {i, true}};
        start();
        if (width) need(pm_apply(&m, e, some));
        else
            for (size_t i = 0; i < some; i++) need(pm_set(&m, e[i].key.data, e[i].key.len, i, NULL));
        t += taken(1);
    }
    pm_drop(&m);
    free(order);
    free(e);
    return t / (double)n;
}

static double run_singly(const work *w, size_t width) { return changes(w, width, false); }
static double run_batch(const work *w, size_t width) { return changes(w, width, false); }
static double run_batch_sorted(const work *w, size_t width) { return changes(w, width, true); }

/* ---- summaries ------------------------------------------------------------------------------------------------- */

static void greatest_of(void *ctx, pm_val v, void *out) { (void)ctx, memcpy(out, &v, sizeof v); }
static void greatest_add(void *ctx, void *left, const void *right) {
    (void)ctx;
    if (*(const uint64_t *)right > *(uint64_t *)left) memcpy(left, right, sizeof(uint64_t));
}
static int greatest_compare(void *ctx, const void *a, const void *b) {
    uint64_t x = *(const uint64_t *)a, y = *(const uint64_t *)b;
    (void)ctx;
    return (x > y) - (x < y);
}
static const pm_monoid greatest = {sizeof(uint64_t), NULL, greatest_of, greatest_add, greatest_compare};

enum { COUNTED = 1000, PREFIX = 3, BEST = 10, PLAIN = 0, HASHED = 1, SCORED = 2 };
static uint64_t answers; /* so that none is left out */

static pm_summary *summary_of(const pm_map *m, unsigned kind) {
    pm_summary *s;
    need(pm_summary_new(m, kind & HASHED ? PM_SUMMARY_HASH : 0, kind & SCORED ? &greatest : NULL, &s));
    return s;
}

/* Values in no order of the keys, so that they can be scores. */
static pm_map scored(const work *w, size_t n) {
    pm_map m = {0};
    for (size_t i = 0; i < n; i++)
        need(pm_set(&m, w->file.key[i].data, w->file.key[i].len, (i * 0x9E3779B97F4A7C15u) >> 8, NULL));
    return m;
}

static bool see_best(void *ctx, const uint8_t *key, size_t len, pm_val val) {
    (void)ctx, (void)key;
    answers += val + len;
    return true;
}

typedef enum question { RANK, NTH, SIZE, SAMPLE, TOP } question;

static void ask_summary(const pm_summary *s, question q, bench_key k, size_t i) {
    uint64_t n = 0, r = (i + 1) * 0x9E3779B97F4A7C15u;
    size_t some = k.len < PREFIX ? k.len : PREFIX;
    if (q == RANK) need(pm_summary_rank(s, k.data, k.len, &n));
    else if (q == NTH) need(pm_summary_nth(s, r % pm_summary_count(s), &found));
    else if (q == SIZE) need(pm_summary_prefix_count(s, k.data, some, &n));
    else if (q == SAMPLE) need(pm_summary_sample(s, r, &found));
    else need(pm_summary_best(s, k.data, some, BEST, see_best, NULL));
    answers += n + found.len;
}

/* The same of a map that nothing is known of; the best ones by looking at all. */
static void ask_map(const pm_map *m, question q, bench_key k, size_t i, uint64_t count) {
    uint64_t n = 0, r = (i + 1) * 0x9E3779B97F4A7C15u, best[BEST] = {0};
    size_t some = k.len < PREFIX ? k.len : PREFIX;
    if (q == RANK) need(pm_rank(m, k.data, k.len, &n));
    else if (q == NTH || q == SAMPLE) need(pm_nth(m, r % count, &found));
    else if (q == SIZE) need(pm_prefix_count(m, k.data, some, &n));
    if (q == TOP) {
        pm_iter it = pm_iter_prefix(pm_iter_vals(m), k.data, some);
        while (pm_iter_next(&it)) {
            uint64_t v = *it.val;
            for (unsigned j = 0; j < BEST && v; j++)
                if (v > best[j]) {
                    uint64_t t = best[j];
                    best[j] = v, v = t;
                }
        }
        pm_iter_drop(&it);
    }
    answers += n + found.len + best[0];
}

static double run_summary(const work *w, size_t q) {
    pm_map m = scored(w, w->file.n);
    pm_summary *s = summary_of(&m, q == TOP ? SCORED : PLAIN);
    start();
    for (size_t i = 0; i < w->asked; i++) ask_summary(s, (question)q, w->file.key[i], i);
    double t = taken(w->asked);
    pm_summary_free(s);
    pm_drop(&m);
    return t;
}

static double run_counting(const work *w, size_t q) {
    pm_map m = scored(w, w->file.n);
    size_t asked = w->asked < COUNTED ? w->asked : COUNTED;
    uint64_t count = 0;
    need(pm_val_count(&m, &count));
    start();
    for (size_t i = 0; i < asked; i++) ask_map(&m, (question)q, w->file.key[i], i, count);
    double t = taken(asked);
    pm_drop(&m);
    return t;
}

static double run_summary_new(const work *w, size_t kind) {
    pm_map m = scored(w, w->file.n);
    start();
    pm_summary *s = summary_of(&m, (unsigned)kind);
    double t = taken(w->file.n);
    pm_summary_free(s);
    pm_drop(&m);
    return t;
}

/* Bytes a key. */
static double run_summary_bytes(const work *w, size_t kind) {
    pm_map m = scored(w, w->file.n);
    pm_summary *s = summary_of(&m, (unsigned)kind);
    double bytes = (double)pm_summary_bytes(s) / (double)w->file.n;
    pm_summary_free(s);
    pm_drop(&m);
    return bytes;
}

/* A write and a refresh; without the write, which is measured by itself. */
static double run_summary_refresh(const work *w, size_t kind) {
    pm_map m = scored(w, w->file.n);
    pm_summary *s = summary_of(&m, (unsigned)kind);
    const size_t n = w->asked / 10;
    double t = 0;
    for (size_t i = 0; i < n; i++) {
        bench_key k = w->file.key[(i * 7919) % w->file.n];
        need(pm_set(&m, k.data, k.len, i, NULL));
        start();
        need(pm_summary_refresh(s, &m));
        t += taken(1);
    }
    pm_summary_free(s);
    pm_drop(&m);
    return t / (double)(n ? n : 1);
}

/* Inserting the second half of the keys, with a refresh each `every` keys; 0: without a summary. */
static double run_insert(const work *w, size_t every) {
    const size_t half = w->file.n / 2;
    pm_map m = scored(w, half);
    pm_summary *s = every ? summary_of(&m, PLAIN) : NULL;
    start();
    for (size_t i = half; i < w->file.n; i++) {
        need(pm_set(&m, w->file.key[i].data, w->file.key[i].len, i, NULL));
        if (s && (i - half + 1) % every == 0) need(pm_summary_refresh(s, &m));
    }
    double t = taken(w->file.n - half);
    pm_summary_free(s);
    pm_drop(&m);
    return t;
}

static const struct {
    const char *name;
    size_t width;
    double (*run)(const work *w, size_t width);
} own[] = {{"set", 0, run_set},
           {"set_at", 0, run_set_at},
           {"move_set", 0, run_move_set},
           {"read", 0, run_read},
           {"move_read", 1, run_read},
           {"change_singly", 0, run_singly},
           {"change_singly_sorted", 0, run_batch_sorted},
           {"apply_1000", 1000, run_batch},
           {"apply_1000_sorted", 1000, run_batch_sorted},
           {"apply_100000_sorted", 100000, run_batch_sorted},
           {"summary_rank", RANK, run_summary},
           {"summary_nth", NTH, run_summary},
           {"summary_prefix_count", SIZE, run_summary},
           {"summary_sample", SAMPLE, run_summary},
           {"summary_best_10", TOP, run_summary},
           {"counting_rank", RANK, run_counting},
           {"counting_nth", NTH, run_counting},
           {"counting_prefix_count", SIZE, run_counting},
           {"scanning_best_10", TOP, run_counting},
           {"summary_new", PLAIN, run_summary_new},
           {"summary_new_hash", HASHED, run_summary_new},
           {"summary_bytes", PLAIN, run_summary_bytes},
           {"summary_bytes_hash", HASHED, run_summary_bytes},
           {"summary_bytes_best", SCORED, run_summary_bytes},
           {"summary_refresh", PLAIN, run_summary_refresh},
           {"summary_refresh_hash", HASHED, run_summary_refresh},
           {"summary_insert_none", 0, run_insert},
           {"summary_insert_each_1", 1, run_insert},
           {"summary_insert_each_100", 100, run_insert},
           {"summary_insert_each_10000", 10000, run_insert},
           {"summary_insert_each_100000", 100000, run_insert},
           {"summary_insert_each_1000000", 1000000, run_insert}};

/* ---- runs ------------------------------------------------------------------------------------------------------ */

static bool is_wanted(const work *w, const char *name) { return !w->ops || strstr(w->ops, name); }

static void measure(const work *w, const operation *o, int runs) {
    uint64_t want = 0;
    if (o->width && !ranges(w, o->width)) return;
    for (int i = 0; i < nengines; i++) {
        bench_times times = {{{0}, 0}, {{0}, 0}};
        if (o->run == run_split && !engines[i]->split_and_concat) continue;
        for (int run = 0; run < runs; run++) {
            uint64_t sum = 0;
            double t = o->run(w, engines[i], o->width, &sum);
            if (!i) want = sum;
            if (sum != want) {
                bench_bad(engines[i]->name, w->name, o->name, "another answer");
                failed = true;
            }
            keep(&times, t);
        }
        bench_emit_times(engines[i]->name, w->name, o->name, "ns_per_op", &times);
    }
}

int main(int argc, char **argv) {
    work w = {0};
    const char *keys = NULL;
    int runs = 3;
    const bench_option options[] = {{"--keys", &keys, NULL, 0}, {"--name", &w.name, NULL, 0},
                                    {"--ops", &w.ops, NULL, 0}, {"--runs", NULL, &runs, BENCH_SAMPLES},
                                    {NULL, NULL, NULL, 0}};
    const char *usage = "usage: bench_order --keys FILE --name DATASET [--ops a,b] [--runs N]";
    if (!bench_read_options(argc, argv, usage, options)) return 0;
    if (!keys || !w.name) bench_die("--keys and --name are needed (--help)", NULL);
    bench_describe("bench_order");
    w.file = bench_load(keys);
    if (w.file.n < 3) bench_die("too few keys", keys);
    w.sorted = bench_list_sort(&w.file);
    w.asked = w.file.n < QUESTIONS ? w.file.n : QUESTIONS;
    order_register(&pathmap);
    for (int i = nengines - 1; i > 0; i--) { /* ours first */
        const order_engine *e = engines[i];
        engines[i] = engines[i - 1];
        engines[i - 1] = e;
    }
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++)
        if (is_wanted(&w, operations[i].name)) measure(&w, &operations[i], runs);
    for (size_t i = 0; i < sizeof own / sizeof *own; i++) {
        bench_times times = {{{0}, 0}, {{0}, 0}};
        if (!is_wanted(&w, own[i].name)) continue;
        for (int run = 0; run < runs; run++) keep(&times, own[i].run(&w, own[i].width));
        const char *unit = strstr(own[i].name, "_bytes") ? "bytes_per_key" : "ns_per_key";
        bench_emit_times("pathmap", w.name, own[i].name, unit, &times);
    }
    pm_item_drop(&found);
    bench_list_free(&w.file);
    bench_list_free(&w.sorted);
    return failed;
}
