/* Measures interners on a key file: ns per operation, bytes per symbol, files.

       bench_interning --keys FILE --name DATASET [--ops a,b] [--engines a,b] [--runs 5] [--threads N]
                       [--clock wall|cpu]

   Times are wall time over operations of all threads together, so twice the threads at best halve the figure. With
   `--clock cpu` they are the process's processor time, divided by its threads: for machines that others keep busy,
   where it says what wall time would be if every thread had a core. Every thread has its part of the keys, except in
   intern_same, where each interns all of them. Operations:

       intern_new intern_same intern_existing get_hit get_miss get_bytes   and, where an engine has it, each with _many
       memory     bytes per symbol, live in the allocator
       files      save, load, load verified, load unchecked: ns per symbol; the file's size

   With more than one thread the operation's name gets the suffix @N. Lookups come in shuffled order from a packed copy
   of the keys. Missing keys are the same keys with another last byte. */
#define _DEFAULT_SOURCE
#include "rivals_interning/engine.h"

#include <malloc.h>
#include <pthread.h>
#include <stdatomic.h>

enum { THREADS_MAX = 64 };

typedef enum op {
    NEW, NEW_MANY, SAME, SAME_MANY, EXISTING, EXISTING_MANY, HIT, HIT_MANY, MISS, MISS_MANY, BYTES, BYTES_MANY,
    MEMORY, FILES, OPS
} op;

static const char *const op_name[OPS] = {
    "intern_new", "intern_new_many", "intern_same", "intern_same_many", "intern_existing", "intern_existing_many",
    "get_hit", "get_hit_many", "get_miss", "get_miss_many", "get_bytes", "get_bytes_many", "memory", "files"};

typedef struct setting {
    const char *keys, *name, *ops, *engines;
    int runs;
    unsigned threads;
} setting;

static bool cpu_clock;

static double now(unsigned threads) {
    struct timespec t;
    if (!cpu_clock) return (double)bench_now();
    clock_gettime(CLOCK_PROCESS_CPUTIME_ID, &t);
    return ((double)t.tv_sec * 1e9 + (double)t.tv_nsec) / threads;
}

/* The data: keys in the order of the file, a shuffled copy, and missing ones in that order. */
static bench_list in_order, shuffled, missing;
static uint64_t *symbol_new, *symbol_out; /* of in_order and of what was asked last */
static uint64_t *symbol_shuffled;
static size_t *order;
static symbol_bytes *bytes_out;
static bool all_good = true;

static void bad(const interner *e, const setting *s, op o, const char *why) {
    bench_bad(e->name, s->name, op_name[o], why);
    all_good = false;
}

/* One loop in several threads: all wait at a gate, the clock runs from its opening to the last one's end. */
typedef struct job {
    const interner *e;
    void *table;
    op what;
    size_t from, n;
    uint64_t *out;
    pthread_t thread;
} job;

static _Atomic unsigned ready, finished, go;

static void run_loop(const job *j, void *thread) {
    const interner *e = j->e;
    switch (j->what) {
    case NEW: case SAME: e->intern(j->table, thread, in_order.key + j->from, j->n, j->out); break;
    case NEW_MANY: case SAME_MANY: e->intern_many(j->table, thread, in_order.key + j->from, j->n, j->out); break;
    case EXISTING: e->intern(j->table, thread, shuffled.key + j->from, j->n, j->out); break;
    case EXISTING_MANY: e->intern_many(j->table, thread, shuffled.key + j->from, j->n, j->out); break;
    case HIT: e->get(j->table, shuffled.key + j->from, j->n, j->out); break;
    case HIT_MANY: e->get_many(j->table, shuffled.key + j->from, j->n, j->out); break;
    case MISS: e->get(j->table, missing.key + j->from, j->n, j->out); break;
    case MISS_MANY: e->get_many(j->table, missing.key + j->from, j->n, j->out); break;
    case BYTES: e->bytes(j->table, symbol_shuffled + j->from, j->n, bytes_out + j->from); break;
    case BYTES_MANY: e->bytes_many(j->table, symbol_shuffled + j->from, j->n, bytes_out + j->from); break;
    case MEMORY: case FILES: case OPS: break;
    }
}

static void *run_job(void *arg) {
    job *j = arg;
    void *thread = j->e->enter(j->table);
    atomic_fetch_add(&ready, 1);
    while (!atomic_load(&go)) {}
    run_loop(j, thread);
    atomic_fetch_add(&finished, 1);
    j->e->leave(j->table, thread);
    return NULL;
}

/* Answers ns per operation. */
static double run_threads(const interner *e, void *table, op what, unsigned threads) {
    job jobs[THREADS_MAX];
    size_t n = in_order.n, operations = what == SAME || what == SAME_MANY ? n * threads : n;
    ready = finished = go = 0;
    for (unsigned i = 0; i < threads; i++) {
        size_t from = n * i / threads, to = n * (i + 1) / threads;
        bool whole = operations != n;
        job j = {e, table, what, whole ? 0 : from, whole ? n : to - from, symbol_out + (whole ? n * i : from), 0};
        jobs[i] = j;
        if (threads > 1 && pthread_create(&jobs[i].thread, NULL, run_job, &jobs[i])) bench_die("no thread", NULL);
    }
    if (threads == 1) go = 1; /* on this thread: the kernel then need not move it */
    while (threads > 1 && atomic_load(&ready) < threads) {}
    double start, end;
    if (threads == 1) {
        void *thread = e->enter(table);
        start = now(1);
        run_loop(&jobs[0], thread);
        end = now(1);
        e->leave(table, thread);
    } else {
        start = now(threads);
        atomic_store(&go, 1);
        while (atomic_load(&finished) < threads) usleep(20);
        end = now(threads);
        for (unsigned i = 0; i < threads; i++) pthread_join(jobs[i].thread, NULL);
    }
    return (end - start) / (double)operations;
}

/* Whether the answers in symbol_out (or bytes_out) are right; symbol_shuffled is known once NEW has run. */
static bool answers_right(op what, unsigned threads) {
    size_t n = in_order.n;
    switch (what) {
    case NEW: case NEW_MANY: return true;
    case SAME: case SAME_MANY:
        for (unsigned i = 1; i < threads; i++)
            if (memcmp(symbol_out, symbol_out + n * i, n * sizeof *symbol_out) != 0) return false;
        return true;
    case EXISTING: case EXISTING_MANY: case HIT: case HIT_MANY:
        return memcmp(symbol_out, symbol_shuffled, n * sizeof *symbol_out) == 0;
    case MISS: case MISS_MANY:
        for (size_t i = 0; i < n; i++)
            if (symbol_out[i]) return false;
        return true;
    case BYTES: case BYTES_MANY:
        for (size_t i = 0; i < n; i++)
            if (bytes_out[i].len != shuffled.key[i].len ||
                memcmp(bytes_out[i].data, shuffled.key[i].data, bytes_out[i].len) != 0)
                return false;
        return true;
    case MEMORY: case FILES: case OPS: break;
    }
    return true;
}

static size_t allocated(void) {
    struct mallinfo2 m = mallinfo2();
    return m.uordblks + m.hblkhd;
}

static bool wanted(const char *list, const char *name) {
    size_t n = strlen(name);
    for (const char *p = list; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (strncmp(p, name, n) == 0 && (p[n] == 0 || p[n] == ',')) return true;
    return !list;
}

static bool has(const interner *e, op o) {
    if (o == NEW_MANY || o == SAME_MANY || o == EXISTING_MANY) return e->intern_many != NULL;
    if (o == HIT_MANY || o == MISS_MANY) return e->get_many != NULL;
    if (o == BYTES_MANY) return e->bytes_many != NULL;
    if (o == FILES) return e->save != NULL;
    return true;
}

static void measure(const interner *e, const setting *s, void *table, op o, bench_samples *samples) {
    if (!has(e, o) || !wanted(s->ops, op_name[o])) return;
    memset(symbol_out, 0xff, in_order.n * s->threads * sizeof *symbol_out);
    bench_sample(&samples[o], run_threads(e, table, o, s->threads));
    if (!answers_right(o, s->threads)) bad(e, s, o, "wrong answer");
}

/* Operations that fill a table of their own. */
static void measure_filling(const interner *e, const setting *s, op o, bench_samples *samples) {
    if (!has(e, o) || !wanted(s->ops, op_name[o])) return;
    void *table = e->make();
    measure(e, s, table, o, samples);
    e->drop(table);
}

static void measure_memory(const interner *e, const setting *s) {
    if (!wanted(s->ops, op_name[MEMORY])) return;
    size_t before = allocated();
    void *table = e->make();
    (void)run_threads(e, table, NEW, 1);
    bench_emit(e->name, s->name, "memory", "bytes_per_key", (double)(allocated() - before) / (double)in_order.n);
    if (e->trim) {
        e->trim(table);
        bench_emit(e->name, s->name, "memory_trimmed", "bytes_per_key",
                   (double)(allocated() - before) / (double)in_order.n);
    }
    e->drop(table);
}

static void measure_files(const interner *e, const setting *s, void *table) {
    static const char *const how[] = {"load", "load_verified", "load_unchecked"};
    char path[64];
    double n = (double)in_order.n;
    bench_samples save = {{0}, 0}, load[3] = {{{0}, 0}, {{0}, 0}, {{0}, 0}};
    if (!has(e, FILES) || !wanted(s->ops, op_name[FILES])) return;
    snprintf(path, sizeof path, "bench_interning.%ld.image", (long)getpid());
    for (int r = 0; r < s->runs; r++) {
        double start = now(1);
        if (!e->save(table, path)) bench_die("cannot save", path);
        bench_sample(&save, (now(1) - start) / n);
        for (unsigned h = 0; h < 3; h++) {
            start = now(1);
            void *loaded = e->load(path, h);
            bench_sample(&load[h], (now(1) - start) / n);
            if (!loaded) bench_die("cannot load", path);
            e->get(loaded, shuffled.key, in_order.n, symbol_out);
            if (!answers_right(HIT, 1)) bad(e, s, FILES, "loaded table answers wrongly");
            e->drop(loaded);
        }
    }
    size_t size;
    free(bench_read_file(path, &size));
    remove(path);
    bench_emit_samples(e->name, s->name, "save", "ns_per_key", &save);
    for (unsigned h = 0; h < 3; h++) bench_emit_samples(e->name, s->name, how[h], "ns_per_key", &load[h]);
    bench_emit(e->name, s->name, "file", "bytes_per_key", (double)size / n);
}

static void measure_engine(const interner *e, const setting *s) {
    bench_samples samples[OPS];
    memset(samples, 0, sizeof samples);
    for (int r = 0; r < s->runs; r++) {
        void *table = e->make();
        bench_sample(&samples[NEW], run_threads(e, table, NEW, s->threads));
        memcpy(symbol_new, symbol_out, in_order.n * sizeof *symbol_new);
        for (size_t i = 0; i < in_order.n; i++) symbol_shuffled[i] = symbol_new[order[i]];
        for (op o = EXISTING; o <= BYTES_MANY; o++) measure(e, s, table, o, samples);
        if (r == 0 && s->threads == 1) measure_files(e, s, table);
        e->drop(table);
        measure_filling(e, s, NEW_MANY, samples);
        if (s->threads > 1) measure_filling(e, s, SAME, samples);
        if (s->threads > 1) measure_filling(e, s, SAME_MANY, samples);
    }
    for (op o = NEW; o < MEMORY; o++) {
        char name[64];
        snprintf(name, sizeof name, s->threads > 1 ? "%s@%u" : "%s", op_name[o], s->threads);
        if (wanted(s->ops, op_name[o])) bench_emit_samples(e->name, s->name, name, "ns_per_op", &samples[o]);
    }
    if (s->threads == 1) measure_memory(e, s);
}

/* Same keys, last byte 1; in a sorted list of all keys none of them is found. Keys of no byte stay out. */
static bench_list make_missing(void) {
    bench_list sorted = bench_list_sort(&in_order), l = bench_list_new(in_order.n, in_order.nbytes + in_order.n);
    uint8_t *key = bench_alloc(in_order.nbytes + 2);
    for (size_t i = 0; i < in_order.n; i++) {
        size_t len = shuffled.key[i].len;
        memcpy(key, shuffled.key[i].data, len);
        if (len == 0) len = 1;
        key[len - 1] = 1;
        while (bench_list_has(&sorted, key, len)) key[len - 1]++;
        bench_list_add(&l, key, len, 0);
    }
    free(key);
    bench_list_free(&sorted);
    return l;
}

static void prepare(const setting *s) {
    in_order = bench_load(s->keys);
    size_t n = in_order.n;
    if (n == 0) bench_die("no keys", s->keys);
    order = bench_alloc(n * sizeof *order);
    bench_shuffle(order, n, BENCH_SEED);
    shuffled = bench_list_reorder(&in_order, order);
    missing = make_missing();
    symbol_new = bench_alloc(n * sizeof *symbol_new);
    symbol_shuffled = bench_alloc(n * sizeof *symbol_shuffled);
    symbol_out = bench_alloc(n * s->threads * sizeof *symbol_out);
    bytes_out = bench_alloc(n * sizeof *bytes_out);
    memset(bytes_out, 0, n * sizeof *bytes_out);
}

int main(int argc, char **argv) {
    static const interner *const all[] = {&interner_ours, &interner_mutexes, &interner_rwlocks, &interner_one_rwlock};
    setting s = {NULL, "keys", NULL, NULL, 5, 1};
    for (int i = 1; i + 1 < argc; i += 2) {
        if (!strcmp(argv[i], "--keys")) s.keys = argv[i + 1];
        else if (!strcmp(argv[i], "--name")) s.name = argv[i + 1];
        else if (!strcmp(argv[i], "--ops")) s.ops = argv[i + 1];
        else if (!strcmp(argv[i], "--engines")) s.engines = argv[i + 1];
        else if (!strcmp(argv[i], "--runs")) s.runs = atoi(argv[i + 1]);
        else if (!strcmp(argv[i], "--clock")) cpu_clock = !strcmp(argv[i + 1], "cpu");
        else if (!strcmp(argv[i], "--threads")) s.threads = (unsigned)atoi(argv[i + 1]);
        else s.runs = 0;
    }
    if (!s.keys || argc % 2 == 0 || s.runs < 1 || s.threads < 1 || s.threads > THREADS_MAX) {
        fprintf(stderr, "usage: bench_interning --keys FILE [--name DATASET] [--ops a,b] [--engines a,b] [--runs N] "
                        "[--threads 1..%d] [--clock wall|cpu]\n", (int)THREADS_MAX);
        return 2;
    }
    bench_describe("bench_interning");
    printf("# threads %u\n# clock %s\n", s.threads, cpu_clock ? "cpu" : "wall");
    prepare(&s);
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        if (wanted(s.engines, all[i]->name)) measure_engine(all[i], &s);
    return all_good ? 0 : 1;
}
