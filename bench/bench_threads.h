/* What the parts of bench_threads have in common: settings, data, workers, rows.

   A row measures one way to share a map. Its work is cut into as many parts as there are threads in the larger run, and
   done by one thread, part after part, or by one thread for each part: so both do the same. */
#ifndef BENCH_THREADS_H
#define BENCH_THREADS_H

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* for sched_setaffinity */
#endif
#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>

#include "../pathmap.h"

enum {
    THREADS_MAX = 256, /* of readers; part numbers are one byte of path */
    WRITERS_MAX = 128,
    LOCKED_KEYS = 100000 /* rows whose threads wait for each other take no more, to be bounded */
};

typedef struct setting {
    const char *keys, *name, *ops;
    int runs, threads[16], lists; /* how many threads, one after the other */
    size_t limit;
    bool cpu, pin;
} setting;

extern setting set;

/* ---- the frame: threads_frame.c ---- */

void must(pm_status s); /* ends the program: nothing here may fail */
/* Prints a BAD line, and makes the program fail in the end, if not ok. */
void good(bool ok, const char *op, const char *why);
extern bool all_good; /* no such line was printed */

void pin_prepare(void); /* before threads start, if they are to be pinned */
int usable_cores(void);

/* Of the calling thread: wall or processor time, as set. */
double clock_ns(void);
void emit(const char *op, const char *metric, double value);
void emit_samples(const char *op, const char *unit, bench_samples *s);

typedef struct worker {
    void (*fn)(struct worker *w);
    int number, threads, parts; /* its parts: number, number + threads, .. below parts */
    uint64_t sum;               /* what it answers */
    uint64_t start, end;
    double spent; /* processor time */
    pthread_barrier_t *gate;
} worker;

extern worker workers[THREADS_MAX];

#define FOR_PARTS(k, w) for (int k = (w)->number; k < (w)->parts; k += (w)->threads)

/* Runs fn on all threads. Returns nanoseconds from the first one's beginning to the last one's end; of processor time,
   what the busiest took, or the mean if threads take their work from a common supply (`supply`). */
double run_workers(int threads, int parts, void (*fn)(worker *w), bool supply);
uint64_t workers_sum(int threads);

typedef struct row {
    const char *name;
    double (*time)(const struct row *r, int threads, int parts); /* in `unit`; checks the answer */
    void (*fn)(worker *w);
    const char *unit; /* ns_per_key, ns_per_op, ms_per_op */
    int most;         /* threads */
} row;

/* Each ends with a row without a name. */
extern const row rows_reading[], rows_writing[], rows_merging[], rows_mixed[], rows_rivals[],
    rows_flow[];

/* What has no threads: measured once. */
typedef struct single {
    const char *name;
    void (*measure)(void);
} single;

extern const single singles[];

/* ---- the library, once for each allocator: threads_library.c ---- */

const char *library_engine(void);
const char *library_describe(void);

/* ---- data: threads_data.c ---- */

extern bench_list in_order, shuffled; /* the same keys */
extern bench_list fresh;              /* other keys: a fifth as many */
extern pm_map filled;                 /* all of in_order */

void data_load(void);
void data_free(void);

typedef struct slice {
    size_t first, end;
} slice;

slice slice_of(size_t n, int part, int parts);

/* Part k of `shuffled`, for each k, is at and below the path i, k (two bytes). The map stays until another number of
   parts is asked for. */
const pm_map *data_parted(int parts);
/* Keys grouped by hash: group k of the list ends before end[k]. */
const bench_list *data_hashed(int parts, const size_t **end);

uint32_t data_hash(const bench_key *k);

/* Keys by the byte that follows what all keys begin with, their first difference; `common` is the length before it. */
typedef struct domain {
    slice keys;  /* of domains.list */
    int part;
} domain;

typedef struct domain_list {
    bench_list list;
    size_t common;
    int n;
    domain d[256];
} domain_list;

/* Domains with the part that each falls to, such that the parts are about equal. */
const domain_list *data_domains(int parts);

/* ---- checks: threads_data.c ---- */

/* True if the map has n values; and if, below `path`, the first key of a slice, the last, and some others are right. */
bool has_count(const pm_map *m, uint64_t n);
bool has_keys(const pm_map *m, const void *path, size_t len, const bench_list *l, slice s);

#endif
