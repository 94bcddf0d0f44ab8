/* Compares sets of integers: unit maps beside CRoaring's 64-bit map, Judy1, absl::btree_set and sorted vectors. Keys
   have 8 bytes, which are big-endian integers; rivals get integers.

   "insert", "has" and "iterate" are of all keys of the file, "memory" is what they hold, "absent" looks half of them up
   in a set of the others. The operands of the algebra: "halves" are the file's keys (which are shuffled) of even and of
   odd number; "overlap" the first two thirds and the last two thirds. Times are per key of the file, those of algebra
   per key of the result. Engines take turns, in one process; every result is counted and added up. */
#define _GNU_SOURCE
#include "sets.h"

#include <limits.h>
#include <malloc.h>

enum { MAX_ENGINES = 16, LONGEST = 8 };

typedef enum row_kind {
    INSERT,
    MEMORY,
    HAS,
    ABSENT,
    ITERATE,
    JOIN_HALVES,
    JOIN_OVERLAP,
    MEET,
    SUBTRACT,
    ROWS
} row_kind;

static const struct {
    const char *name, *unit;
} rows[ROWS] = {{"set_insert", "ns_per_key"},
                {"set_memory", "bytes_per_key"},
                {"set_has", "ns_per_key"},
                {"set_absent", "ns_per_key"},
                {"set_iterate", "ns_per_key"},
                {"set_join_halves", "ns_per_key"},
                {"set_join_overlap", "ns_per_key"},
                {"set_meet_overlap", "ns_per_key"},
                {"set_subtract_overlap", "ns_per_key"}};

typedef struct work {
    const char *name;
    bench_list file, hit, low, high, half, rest, even, odd;
    uint64_t sum, sum_meet, sum_less; /* of all, of the middle third, of the first third */
} work;

static const sets_engine *engines[MAX_ENGINES];
static size_t nengines;
static bench_times times[MAX_ENGINES][ROWS];
static double memory[MAX_ENGINES];
static bool failed;

void sets_register(const sets_engine *e) {
    size_t at = nengines;
    if (nengines == MAX_ENGINES) bench_die("too many engines", e->name);
    for (; at > 0 && engines[at - 1]->rank > e->rank; at--) engines[at] = engines[at - 1];
    engines[at] = e;
    nengines++;
}

static const struct {
    const char *name, *package;
} known[] = {{"Roaring64Map", "g++ and libroaring-dev"},
             {"Judy1", "libjudy-dev"},
             {"absl::btree_set<u64>", "g++ and libabsl-dev"},
             {"sorted std::vector<u64>", "g++"}};

static bench_list every(const bench_list *l, size_t from, size_t step) {
    bench_list out = bench_list_new(l->n, l->nbytes);
    for (size_t i = from; i < l->n; i += step) bench_list_add(&out, l->key[i].data, l->key[i].len, l->val[i]);
    return out;
}

static bench_list slice(const bench_list *l, size_t from, size_t to) {
    bench_list out = *l;
    out.key += from;
    out.val += from;
    out.n = to - from;
    return out;
}

static uint64_t sum_of(const bench_list *l, size_t from, size_t to) {
    uint64_t sum = 0;
    for (size_t i = from; i < to; i++) sum += bench_integer(&l->key[i]);
    return sum;
}

static work prepare(const char *path, const char *name, size_t limit) {
    work w = {.name = name, .file = bench_load(path)};
    size_t n = limit < w.file.n ? limit : w.file.n, third = n / 3;
    w.file.n = n;
    if (n < 3) bench_die("too few keys", path);
    for (size_t i = 0; i < n; i++)
        if (w.file.key[i].len != LONGEST) bench_die("keys must have 8 bytes", path);
    size_t *order = bench_alloc(n * sizeof *order);
    bench_shuffle(order, n, BENCH_SEED);
    w.hit = bench_list_reorder(&w.file, order);
    free(order);
    w.low = slice(&w.file, 0, n - third);
    w.high = slice(&w.file, third, n);
    w.half = slice(&w.file, 0, n / 2);
    w.rest = slice(&w.file, n / 2, n);
    w.even = every(&w.file, 0, 2);
    w.odd = every(&w.file, 1, 2);
    w.sum = sum_of(&w.file, 0, n);
    w.sum_meet = sum_of(&w.file, third, n - third);
    w.sum_less = sum_of(&w.file, 0, third);
    return w;
}

static void check(const work *w, const sets_engine *e, row_kind row, bool good) {
    if (good) return;
    bench_bad(e->name, w->name, rows[row].name, "wrong result");
    failed = true;
}

static uint64_t held(void) {
    struct mallinfo2 i = mallinfo2();
    return i.uordblks + i.hblkhd;
}

static void run_whole(const work *w, size_t at) {
    const sets_engine *e = engines[at];
    bench_times *t = times[at];
    const double n = (double)w->file.n;
    uint64_t before = held();
    bench_clock start = bench_start();
    void *s = e->make(&w->file);
    bench_take(&t[INSERT], start, n);
    memory[at] = (double)(e->bytes ? e->bytes(s) : held() - before) / n;
    for (int pass = 0; pass < 2; pass++) {
        start = bench_start();
        size_t found = e->has(s, &w->hit);
        bench_take(&t[HAS], start, n);
        check(w, e, HAS, found == w->file.n);
        start = bench_start();
        uint64_t sum = e->sum(s);
        bench_take(&t[ITERATE], start, n);
        check(w, e, ITERATE, sum == w->sum);
    }
    e->drop(s);
    s = e->make(&w->half);
    for (int pass = 0; pass < 2; pass++) {
        start = bench_start();
        size_t found = e->has(s, &w->rest);
        bench_take(&t[ABSENT], start, (double)w->rest.n);
        check(w, e, ABSENT, found == 0);
    }
    e->drop(s);
}

static void combine(const work *w, size_t at, row_kind row, void *a, void *b, size_t n, uint64_t sum) {
    const sets_engine *e = engines[at];
    const sets_op op = row == MEET ? SETS_MEET : row == SUBTRACT ? SETS_SUBTRACT : SETS_JOIN;
    for (int pass = 0; pass < 2; pass++) {
        bench_clock start = bench_start();
        void *s = e->combine(a, b, op);
        bench_take(&times[at][row], start, (double)n);
        check(w, e, row, s && e->sum(s) == sum);
        if (s) e->drop(s);
    }
}

static void run_algebra(const work *w, size_t at) {
    const sets_engine *e = engines[at];
    const size_t n = w->file.n, third = n / 3;
    void *a = e->make(&w->even), *b = e->make(&w->odd);
    combine(w, at, JOIN_HALVES, a, b, n, w->sum);
    e->drop(a);
    e->drop(b);
    a = e->make(&w->low);
    b = e->make(&w->high);
    combine(w, at, JOIN_OVERLAP, a, b, n, w->sum);
    combine(w, at, MEET, a, b, n - 2 * third, w->sum_meet);
    combine(w, at, SUBTRACT, a, b, third, w->sum_less);
    e->drop(a);
    e->drop(b);
}

static void describe(const work *w, int runs) {
    bench_describe("bench_sets");
    printf("# dataset %s keys %zu bytes %zu\n", w->name, w->file.n, LONGEST * w->file.n);
    printf("# runs %d engines taking turns\n", runs);
    for (size_t i = 0; i < nengines; i++)
        printf("# engine %s %s %s\n", engines[i]->name, engines[i]->flags & BENCH_OURS ? "ours" : "rival",
               engines[i]->flags & BENCH_ORDERED ? "ordered" : "unordered");
    for (size_t i = 0; i < sizeof known / sizeof *known; i++) {
        bool found = false;
        for (size_t k = 0; k < nengines; k++) found |= strcmp(engines[k]->name, known[i].name) == 0;
        if (!found) printf("# left out: %s (its build needs %s)\n", known[i].name, known[i].package);
    }
}

int main(int argc, char **argv) {
    const char *keys = NULL, *name = NULL;
    int runs = 3, limit = INT_MAX;
    const bench_option options[] = {{"--keys", &keys, NULL, 0}, {"--name", &name, NULL, 0},
                                    {"--runs", NULL, &runs, BENCH_SAMPLES / 2}, {"--limit", NULL, &limit, INT_MAX},
                                    {NULL, NULL, NULL, 0}};
    if (!bench_read_options(argc, argv, "usage: bench_sets --keys FILE --name NAME [--runs N] [--limit KEYS]", options))
        return 0;
    if (!keys || !name) bench_die("--keys and --name are needed (--help)", NULL);
    work w = prepare(keys, name, (size_t)limit);
    describe(&w, runs);
    for (int run = 0; run < runs; run++)
        for (size_t i = 0; i < nengines; i++) {
            size_t at = (i + (size_t)run) % nengines;
            run_whole(&w, at);
            run_algebra(&w, at);
        }
    for (int row = 0; row < ROWS; row++)
        for (size_t i = 0; i < nengines; i++) {
            if (row == MEMORY) bench_emit(engines[i]->name, name, rows[row].name, rows[row].unit, memory[i]);
            else bench_emit_times(engines[i]->name, name, rows[row].name, rows[row].unit, &times[i][row]);
        }
    bench_list *lists[] = {&w.file, &w.hit, &w.even, &w.odd};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) bench_list_free(lists[i]);
    return failed;
}
