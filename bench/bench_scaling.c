/* Measures how work on common objects scales: 1 to 256 threads, and 1,000, 10,000 and 100,000 elements.

       bench_scaling [--rounds 3] [--total 100000] [--most 256]

   A row does the same work for each number of threads, `total` operations or more: every thread has its part of the
   elements, and goes over it again and again. Printed are, for each number of elements (the data set) and operation
   NAME@THREADS, the least of some rounds of

       wall_ns   from the first thread's beginning to the last one's end, divided by all operations: it shows what
                 threads gain, as far as there is a core for each
       cpu_ns    the processor time of all threads, divided by all operations: where it grows with the threads, they
                 cost each other something. Threads that share a core do not meet at a cache line as often as those
                 that have one each, so beyond the machine's cores it shows what the work costs, not the waiting

   `make bench-scaling` puts them into the table of docs/concurrency.md, beside the model of bench_contention.

       read            pm_get on one map
       head_write      inserting through a head, a writer for each thread; each time from the beginning
       copy_known      through a head, a reader and a writer for each thread: copying along known paths
       copy_traverse   the same, by traversal
       clone           a clone of one map, made and dropped;  clone_apart: of a clone that each thread has made apart
       intern_new      into empty tables;  intern_existing: what is there;  intern_mixed: a new symbol in ten
                       (128 writers at most) */
#define _GNU_SOURCE
#include <pthread.h>

#define PATHMAP_STATIC
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#define INTERNING_STATIC
#define INTERNING_IMPLEMENTATION
#include "../interning.h"

#include "bench.h"

enum { THREADS_MAX = 256, WRITERS_MAX = 128, LEN = 12, ELEMENTS_MAX = 100000, TABLES_MAX = 1000 };

typedef struct worker {
    int number;
    size_t first, end, passes; /* its elements, and how often it goes over them */
    pm_rz reader;
    pm_wz writer;
    pm_map map;
    intern_permit *permits; /* one for each table */
    uint64_t sum;
    uint64_t from, to, cpu;
} worker;

static struct {
    size_t n, tables;
    int threads;
    pm_map map;
    pm_head *head;
    intern_table *table[TABLES_MAX];
} given;

static char key[ELEMENTS_MAX][LEN];
static pthread_barrier_t gate;

static void must(pm_status s) {
    if (s != PM_OK) bench_die(pm_status_text(s), NULL);
}

static void must_intern(intern_status s) {
    if (s != INTERN_OK) bench_die(intern_status_text(s), NULL);
}

/* Words of which neighbours in this order have nothing in common. */
static void make_keys(void) {
    for (uint32_t i = 0; i < ELEMENTS_MAX; i++) {
        char text[24];
        snprintf(text, sizeof text, "%03u/word/%05u", i * 7919u % 1000u, i);
        memcpy(key[i], text, 4);
        memcpy(key[i] + 4, text + 6, LEN - 4);
    }
}

#define FOR_ALL(w, i) \
    for (size_t pass = 0; pass < (w)->passes; pass++) \
        for (size_t i = (w)->first; i < (w)->end; i++)

/* ---- maps ---- */

static void fill(pm_map *m) {
    for (size_t i = 0; i < given.n; i++) must(pm_set(m, key[i], LEN, i, NULL));
}

static void begin_map(void) { fill(&given.map); }

static void run_read(worker *w) {
    FOR_ALL(w, i) w->sum += pm_get(&given.map, key[i], LEN) != NULL;
}

static void run_clone(worker *w) {
    FOR_ALL(w, i) {
        pm_map m = pm_clone(&given.map);
        w->sum += m.root != 0;
        pm_drop(&m);
    }
}

static void enter_apart(worker *w) { must(pm_clone_apart(&given.map, &w->map)); }

static void run_apart(worker *w) {
    FOR_ALL(w, i) {
        pm_map m = pm_clone(&w->map);
        w->sum += m.root != 0;
        pm_drop(&m);
    }
}

/* ---- heads ---- */

/* The elements of each thread lie below a path of its own. */
static size_t path_of(uint8_t path[3], char what, int number) {
    path[0] = (uint8_t)what;
    path[1] = (uint8_t)number;
    path[2] = '/';
    return 3;
}

static void begin_empty_head(void) { must(pm_head_new_move(&given.map, &given.head)); }

static void begin_head(void) {
    for (int t = 0; t < given.threads; t++) {
        size_t first = given.n * (size_t)t / (size_t)given.threads;
        size_t end = given.n * (size_t)(t + 1) / (size_t)given.threads;
        for (size_t i = first; i < end; i++) {
            uint8_t path[3 + LEN];
            size_t len = path_of(path, 'a', t);
            memcpy(path + len, key[i], LEN);
            must(pm_set(&given.map, path, len + LEN, i, NULL));
        }
    }
    begin_empty_head();
}

static void enter_writer(worker *w) {
    uint8_t path[3];
    must(pm_head_write(given.head, path, path_of(path, 'b', w->number), &w->writer, NULL));
}

static void enter_both(worker *w) {
    uint8_t path[3];
    enter_writer(w);
    must(pm_head_read(given.head, path, path_of(path, 'a', w->number), &w->reader));
}

static void leave_head(worker *w) {
    must(pm_wz_drop(&w->writer));
    pm_rz_drop(&w->reader);
}

static void clear(worker *w) {
    pm_rz_reset(pm_wz_cursor(&w->writer));
    must(pm_wz_remove_branches(&w->writer, PM_KEEP, NULL));
}

static void run_write(worker *w) {
    for (size_t pass = 0; pass < w->passes; pass++) {
        clear(w);
        for (size_t i = w->first; i < w->end; i++) must(pm_wz_set_at(&w->writer, key[i], LEN, i, NULL));
        w->sum += w->end - w->first;
    }
}

static void run_copy_known(worker *w) {
    for (size_t pass = 0; pass < w->passes; pass++) {
        clear(w);
        for (size_t i = w->first; i < w->end; i++) {
            const pm_val *v = pm_rz_val_at(&w->reader, key[i], LEN);
            w->sum += v != NULL;
            if (v) must(pm_wz_set_at(&w->writer, key[i], LEN, *v, NULL));
        }
    }
}

static void run_copy_traverse(worker *w) {
    for (size_t pass = 0; pass < w->passes; pass++) {
        clear(w);
        pm_rz_reset(&w->reader);
        while (pm_rz_to_next_val(&w->reader)) {
            size_t len;
            const uint8_t *path = pm_rz_path(&w->reader, &len);
            must(pm_wz_set_at(&w->writer, path, len, *pm_rz_val(&w->reader), NULL));
            w->sum++;
        }
    }
}

/* ---- interning ---- */

static void make_tables(size_t n) {
    given.tables = n;
    for (size_t i = 0; i < n; i++) must_intern(intern_table_new(NULL, &given.table[i]));
}

static void begin_tables(void) { make_tables(given.tables); }

static void begin_filled(void) {
    intern_permit p;
    intern_symbol s;
    make_tables(1);
    must_intern(intern_permit_acquire(given.table[0], &p));
    for (size_t i = 0; i < given.n; i++)
        must_intern(intern_get_or_insert(given.table[0], &p, key[i], LEN, &s, NULL));
    must_intern(intern_permit_release(&p));
}

static void enter_tables(worker *w) {
    w->permits = bench_alloc(given.tables * sizeof *w->permits);
    for (size_t i = 0; i < given.tables; i++) must_intern(intern_permit_acquire(given.table[i], &w->permits[i]));
}

static void leave_tables(worker *w) {
    for (size_t i = 0; i < given.tables; i++) must_intern(intern_permit_release(&w->permits[i]));
    free(w->permits);
}

static void intern_one(worker *w, size_t table, const void *bytes, size_t len) {
    intern_symbol s;
    must_intern(intern_get_or_insert(given.table[table], &w->permits[table], bytes, len, &s, NULL));
    w->sum++;
}

static void run_intern_new(worker *w) {
    FOR_ALL(w, i) intern_one(w, pass, key[i], LEN);
}

static void run_intern_existing(worker *w) {
    FOR_ALL(w, i) intern_one(w, 0, key[i], LEN);
}

static void run_intern_mixed(worker *w) {
    FOR_ALL(w, i) {
        char fresh[LEN + sizeof pass];
        if ((i + pass) % 10) {
            intern_one(w, 0, key[i], LEN);
        } else {
            memcpy(fresh, key[i], LEN);
            memcpy(fresh + LEN, &pass, sizeof pass);
            intern_one(w, 0, fresh, sizeof fresh);
        }
    }
}

/* ---- rows ---- */

typedef struct row {
    const char *name;
    void (*begin)(void);
    void (*enter)(worker *w), (*run)(worker *w), (*leave)(worker *w); /* by the thread; only `run` is timed */
    int most;
} row;

static void enter_none(worker *w) { (void)w; }
static void leave_apart(worker *w) { pm_drop(&w->map); }

static const row rows[] = {
    {"read", begin_map, enter_none, run_read, enter_none, THREADS_MAX},
    {"head_write", begin_empty_head, enter_writer, run_write, leave_head, THREADS_MAX},
    {"copy_known", begin_head, enter_both, run_copy_known, leave_head, THREADS_MAX},
    {"copy_traverse", begin_head, enter_both, run_copy_traverse, leave_head, THREADS_MAX},
    {"clone", begin_map, enter_none, run_clone, enter_none, THREADS_MAX},
    {"clone_apart", begin_map, enter_apart, run_apart, leave_apart, THREADS_MAX},
    {"intern_new", begin_tables, enter_tables, run_intern_new, leave_tables, WRITERS_MAX},
    {"intern_existing", begin_filled, enter_tables, run_intern_existing, leave_tables, WRITERS_MAX},
    {"intern_mixed", begin_filled, enter_tables, run_intern_mixed, leave_tables, WRITERS_MAX},
};

static const row *running;
static worker workers[THREADS_MAX];

static void *work(void *arg) {
    worker *w = arg;
    running->enter(w);
    pthread_barrier_wait(&gate);
    w->from = bench_now();
    w->cpu = bench_cpu();
    running->run(w);
    w->cpu = bench_cpu() - w->cpu;
    w->to = bench_now();
    running->leave(w);
    return NULL;
}

static void prepare(int threads, size_t passes) {
    memset(workers, 0, sizeof workers);
    for (int i = 0; i < threads; i++) {
        worker *w = &workers[i];
        w->number = i;
        w->first = given.n * (size_t)i / (size_t)threads;
        w->end = given.n * (size_t)(i + 1) / (size_t)threads;
        w->passes = passes;
    }
}

static void clean_up(void) {
    if (given.head) must(pm_head_free(given.head, NULL, NULL));
    given.head = NULL;
    pm_drop(&given.map);
    for (size_t i = 0; i < given.tables; i++) {
        if (given.table[i]) intern_table_free(given.table[i]);
        given.table[i] = NULL;
    }
}

/* Lowers *wall and *cpu to what one run takes, in nanoseconds for each operation. False: wrong answers. */
static bool run_once(const row *r, int threads, size_t passes, double *wall, double *cpu) {
    static pthread_t t[THREADS_MAX];
    uint64_t from = UINT64_MAX, to = 0, spent = 0, sum = 0;
    running = r;
    given.threads = threads;
    given.tables = passes;
    given.map = pm_new(NULL, NULL);
    prepare(threads, passes);
    r->begin();
    pthread_barrier_init(&gate, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++)
        if (pthread_create(&t[i], NULL, work, &workers[i])) bench_die("cannot start a thread", NULL);
    for (int i = 0; i < threads; i++) {
        const worker *w = &workers[i];
        pthread_join(t[i], NULL);
        if (w->from < from) from = w->from;
        if (w->to > to) to = w->to;
        spent += w->cpu;
        sum += w->sum;
    }
    pthread_barrier_destroy(&gate);
    clean_up();
    double operations = (double)(given.n * passes);
    if ((double)(to - from) / operations < *wall) *wall = (double)(to - from) / operations;
    if ((double)spent / operations < *cpu) *cpu = (double)spent / operations;
    return sum == given.n * passes;
}

static bool measure(const row *r, int most, int rounds, size_t passes) {
    double wall[16], cpu[16];
    int limit = most < r->most ? most : r->most;
    bool good = true;
    for (int k = 0; k < 16; k++) wall[k] = cpu[k] = 1e18;
    for (int round = 0; round < rounds; round++) /* all numbers of threads in turn: what disturbs, disturbs all */
        for (int k = 0; 1 << k <= limit; k++) good &= run_once(r, 1 << k, passes, &wall[k], &cpu[k]);
    for (int k = 0; 1 << k <= limit; k++) {
        char name[48], elements[24];
        snprintf(name, sizeof name, "%s@%d", r->name, 1 << k);
        snprintf(elements, sizeof elements, "%zu", given.n);
        bench_emit("pathmap", elements, name, "wall_ns_min", wall[k]);
        bench_emit("pathmap", elements, name, "cpu_ns_min", cpu[k]);
    }
    if (!good) bench_bad("pathmap", "elements", r->name, "wrong answers");
    return good;
}

int main(int argc, char **argv) {
    int rounds = 3, most = THREADS_MAX;
    size_t total = 100000;
    bool good = true;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--rounds") == 0) rounds = atoi(argv[i + 1]);
        if (strcmp(argv[i], "--total") == 0) total = (size_t)atol(argv[i + 1]);
        if (strcmp(argv[i], "--most") == 0) most = atoi(argv[i + 1]);
    }
    bench_describe("bench_scaling");
    printf("# scaling rounds %d total %zu cores %ld\n", rounds, total, sysconf(_SC_NPROCESSORS_ONLN));
    make_keys();
    for (given.n = 1000; given.n <= ELEMENTS_MAX; given.n *= 10) {
        size_t passes = total > given.n ? total / given.n : 1;
        if (passes > TABLES_MAX) passes = TABLES_MAX;
        for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) good &= measure(&rows[i], most, rounds, passes);
    }
    return good ? 0 : 1;
}
