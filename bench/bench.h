/* What every benchmark shares: the clock, the random order, key files, samples, and the output.

   A key file holds records [u32 little-endian length][bytes]. Output is TSV, `engine dataset op metric value`, on
   stdout; lines with `#` describe the run; `BAD` lines name wrong answers and make the program fail.

   Plain static functions, so that C and C++ programs alike include this and need nothing else. Needs POSIX; define
   _DEFAULT_SOURCE (or compile as GNU C) before the first include. */
#ifndef BENCH_H
#define BENCH_H

/* A call that fails ends the program, which gcc does not see: to it every result may be unset. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wmaybe-uninitialized"
#endif

#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#if defined(__GNUC__)
#define BENCH_UNUSED __attribute__((unused))
#else
#define BENCH_UNUSED
#endif

/* Nanoseconds of a clock that only goes forward. */
BENCH_UNUSED static uint64_t bench_now(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Nanoseconds that the calling thread has run. */
BENCH_UNUSED static uint64_t bench_cpu(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (uint64_t)t.tv_sec * 1000000000u + (uint64_t)t.tv_nsec;
}

/* Both clocks at one moment. A noisy neighbour is seen where they differ. */
typedef struct bench_clock {
    uint64_t wall, cpu;
} bench_clock;

BENCH_UNUSED static bench_clock bench_start(void) {
    bench_clock c;
    c.wall = bench_now();
    c.cpu = bench_cpu();
    return c;
}

/* What has passed since. */
BENCH_UNUSED static bench_clock bench_since(bench_clock start) {
    bench_clock c;
    c.cpu = bench_cpu() - start.cpu;
    c.wall = bench_now() - start.wall;
    return c;
}

/* xorshift64 with the shifts 13, 7, 17; the state must not be 0. */
#define BENCH_SEED 88172645463325252u

BENCH_UNUSED static uint64_t bench_random(uint64_t *state) {
    uint64_t x = *state;
    x ^= x << 13;
    x ^= x >> 7;
    x ^= x << 17;
    return *state = x;
}

/* Ends the program: for what a benchmark cannot go on without. */
BENCH_UNUSED static void bench_die(const char *what, const char *which) {
    fprintf(stderr, "bench: %s%s%s\n", what, which ? ": " : "", which ? which : "");
    exit(2);
}

BENCH_UNUSED static void *bench_alloc(size_t bytes) {
    void *p = malloc(bytes ? bytes : 1);
    if (!p) bench_die("out of memory", NULL);
    return p;
}

/* Fills `order` with 0..n-1 in the order of a Fisher-Yates shuffle. */
BENCH_UNUSED static void bench_shuffle(size_t *order, size_t n, uint64_t seed) {
    for (size_t i = 0; i < n; i++) order[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t j = (size_t)(bench_random(&seed) % i), t = order[i - 1];
        order[i - 1] = order[j];
        order[j] = t;
    }
}

typedef struct bench_key {
    const uint8_t *data; /* followed by a zero byte */
    size_t len;
} bench_key;

/* Keys with values, packed: bytes lie in the order of the list, so that a loop over it reads memory forward. */
typedef struct bench_list {
    bench_key *key;
    uint64_t *val;
    uint8_t *bytes;
    size_t n, nbytes;
} bench_list;

/* Makes an empty list with room for n keys of `bytes` bytes in all. */
BENCH_UNUSED static bench_list bench_list_new(size_t n, size_t bytes) {
    bench_list l;
    l.key = (bench_key *)bench_alloc(n * sizeof(bench_key));
    l.val = (uint64_t *)bench_alloc(n * sizeof(uint64_t));
    l.bytes = (uint8_t *)bench_alloc(bytes + n);
    l.n = l.nbytes = 0;
    return l;
}

BENCH_UNUSED static void bench_list_free(bench_list *l) {
    free(l->key);
    free(l->val);
    free(l->bytes);
    memset(l, 0, sizeof *l);
}

/* Appends a key; the caller sees to it that there is room. */
BENCH_UNUSED static void bench_list_add(bench_list *l, const uint8_t *data, size_t len, uint64_t val) {
    uint8_t *at = l->bytes + l->nbytes + l->n;
    if (len) memcpy(at, data, len);
    at[len] = 0;
    l->key[l->n].data = at;
    l->key[l->n].len = len;
    l->val[l->n++] = val;
    l->nbytes += len;
}

/* Copies a list in another order. */
BENCH_UNUSED static bench_list bench_list_reorder(const bench_list *from, const size_t *order) {
    bench_list l = bench_list_new(from->n, from->nbytes);
    for (size_t i = 0; i < from->n; i++)
        bench_list_add(&l, from->key[order[i]].data, from->key[order[i]].len, from->val[order[i]]);
    return l;
}

BENCH_UNUSED static int bench_key_compare(const bench_key *a, const bench_key *b) {
    size_t n = a->len < b->len ? a->len : b->len;
    int c = n ? memcmp(a->data, b->data, n) : 0;
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

typedef struct bench_sort_item {
    bench_key key;
    size_t index;
} bench_sort_item;

BENCH_UNUSED static int bench_sort_compare(const void *a, const void *b) {
    return bench_key_compare(&((const bench_sort_item *)a)->key, &((const bench_sort_item *)b)->key);
}

/* Copies a list in bytewise order. */
BENCH_UNUSED static bench_list bench_list_sort(const bench_list *from) {
    bench_sort_item *item = (bench_sort_item *)bench_alloc(from->n * sizeof *item);
    for (size_t i = 0; i < from->n; i++) {
        item[i].key = from->key[i];
        item[i].index = i;
    }
    qsort(item, from->n, sizeof *item, bench_sort_compare);
    bench_list l = bench_list_new(from->n, from->nbytes);
    for (size_t i = 0; i < from->n; i++)
        bench_list_add(&l, item[i].key.data, item[i].key.len, from->val[item[i].index]);
    free(item);
    return l;
}

/* True if a list in bytewise order holds the key. */
BENCH_UNUSED static bool bench_list_has(const bench_list *sorted, const uint8_t *data, size_t len) {
    bench_key key;
    key.data = data;
    key.len = len;
    size_t lo = 0, hi = sorted->n;
    while (lo < hi) {
        size_t mid = lo + (hi - lo) / 2;
        int c = bench_key_compare(&sorted->key[mid], &key);
        if (c == 0) return true;
        if (c < 0) lo = mid + 1;
        else hi = mid;
    }
    return false;
}

BENCH_UNUSED static uint8_t *bench_read_file(const char *path, size_t *size) {
    FILE *f = fopen(path, "rb");
    if (!f) bench_die("cannot open", path);
    fseek(f, 0, SEEK_END);
    long end = ftell(f);
    if (end < 0) bench_die("cannot read", path);
    rewind(f);
    uint8_t *all = (uint8_t *)bench_alloc((size_t)end);
    if (fread(all, 1, (size_t)end, f) != (size_t)end) bench_die("cannot read", path);
    fclose(f);
    *size = (size_t)end;
    return all;
}

/* Reads a key file; the value of a key is its index in the file. */
BENCH_UNUSED static bench_list bench_load(const char *path) {
    size_t size, n = 0;
    uint8_t *all = bench_read_file(path, &size);
    bench_list l = bench_list_new(0, 0);
    for (int fill = 0; fill < 2; fill++) {
        for (size_t at = 0; at < size;) {
            if (size - at < 4) bench_die("ends inside a record", path);
            const uint8_t *p = all + at;
            size_t len = p[0] | (size_t)p[1] << 8 | (size_t)p[2] << 16 | (size_t)p[3] << 24;
            if (size - at - 4 < len) bench_die("ends inside a record", path);
            if (fill) bench_list_add(&l, p + 4, len, l.n);
            else n++;
            at += 4 + len;
        }
        if (fill) break;
        bench_list_free(&l);
        l = bench_list_new(n, size - 4 * n);
    }
    free(all);
    return l;
}

/* Samples of one measurement. */
enum { BENCH_SAMPLES = 128 };

/* An option of a program, with the place of its value: a text, or a number from 1 to `most`. */
typedef struct bench_option {
    const char *name;
    const char **text;
    int *number, most;
} bench_option;

/* Reads options, each of which has a value; those without a name end the list. False if only help was asked for, which
   `usage` is; what is wrong ends the program. */
BENCH_UNUSED static bool bench_read_options(int argc, char **argv, const char *usage, const bench_option *options) {
    for (int i = 1; i < argc; i += 2) {
        const bench_option *o = options;
        if (strcmp(argv[i], "--help") == 0) {
            puts(usage);
            return false;
        }
        while (o->name && strcmp(o->name, argv[i]) != 0) o++;
        if (!o->name) bench_die("unknown option (--help)", argv[i]);
        if (i + 1 == argc) bench_die("an option without its value (--help)", argv[i]);
        if (o->text) *o->text = argv[i + 1];
        else *o->number = atoi(argv[i + 1]);
        if (o->number && (*o->number < 1 || *o->number > o->most)) bench_die("out of range", argv[i]);
    }
    return true;
}

typedef struct bench_samples {
    double v[BENCH_SAMPLES];
    int n;
} bench_samples;

BENCH_UNUSED static void bench_sample(bench_samples *s, double v) {
    if (s->n < BENCH_SAMPLES) s->v[s->n++] = v;
}

BENCH_UNUSED static int bench_double_compare(const void *a, const void *b) {
    double x = *(const double *)a, y = *(const double *)b;
    return (x > y) - (x < y);
}

BENCH_UNUSED static void bench_emit(const char *engine, const char *dataset, const char *op, const char *metric,
                                    double value) {
    printf("%s\t%s\t%s\t%s\t%.6g\n", engine, dataset, op, metric, value);
    fflush(stdout);
}

/* Prints `unit`_min and `unit`_med ("ns_per_key", "ns_per_op"), if there are samples. */
BENCH_UNUSED static void bench_emit_samples(const char *engine, const char *dataset, const char *op, const char *unit,
                                            bench_samples *s) {
    char metric[64];
    if (s->n == 0) return;
    qsort(s->v, (size_t)s->n, sizeof s->v[0], bench_double_compare);
    snprintf(metric, sizeof metric, "%s_min", unit);
    bench_emit(engine, dataset, op, metric, s->v[0]);
    snprintf(metric, sizeof metric, "%s_med", unit);
    bench_emit(engine, dataset, op, metric, s->n & 1 ? s->v[s->n / 2] : (s->v[s->n / 2 - 1] + s->v[s->n / 2]) / 2);
}

/* Samples by both clocks. */
typedef struct bench_times {
    bench_samples wall, cpu;
} bench_times;

/* A sample of so many keys or operations. */
BENCH_UNUSED static void bench_took(bench_times *t, bench_clock took, double n) {
    bench_sample(&t->wall, (double)took.wall / n);
    bench_sample(&t->cpu, (double)took.cpu / n);
}

BENCH_UNUSED static void bench_take(bench_times *t, bench_clock start, double n) {
    bench_took(t, bench_since(start), n);
}

/* Prints what bench_emit_samples does, and the same by the thread's clock as cpu_`unit`_min and cpu_`unit`_med. */
BENCH_UNUSED static void bench_emit_times(const char *engine, const char *dataset, const char *op, const char *unit,
                                          bench_times *t) {
    char cpu[48];
    bench_emit_samples(engine, dataset, op, unit, &t->wall);
    snprintf(cpu, sizeof cpu, "cpu_%s", unit);
    bench_emit_samples(engine, dataset, op, cpu, &t->cpu);
}

BENCH_UNUSED static void bench_bad(const char *engine, const char *dataset, const char *op, const char *why) {
    printf("BAD\t%s\t%s\t%s\t%s\n", engine, dataset, op, why);
    fflush(stdout);
}

/* Prints the `#` lines that say where and how the figures came about. BENCH_FLAGS, a string, comes from the build. */
#ifndef BENCH_FLAGS
#define BENCH_FLAGS "unknown"
#endif

BENCH_UNUSED static void bench_describe(const char *program) {
    char line[256];
    printf("# program %s\n", program);
#if defined(__clang__)
    printf("# compiler clang %d.%d.%d\n", __clang_major__, __clang_minor__, __clang_patchlevel__);
#elif defined(__GNUC__)
    printf("# compiler gcc %d.%d.%d\n", __GNUC__, __GNUC_MINOR__, __GNUC_PATCHLEVEL__);
#endif
    printf("# flags %s\n", BENCH_FLAGS);
    FILE *f = fopen("/proc/cpuinfo", "r");
    while (f && fgets(line, sizeof line, f)) {
        if (strncmp(line, "model name", 10) != 0 || !strchr(line, ':')) continue;
        printf("# cpu%s", strchr(line, ':') + 1);
        break;
    }
    if (f) fclose(f);
    printf("# cores %ld\n", sysconf(_SC_NPROCESSORS_ONLN));
    printf("# seed %llu\n", (unsigned long long)BENCH_SEED);
    fflush(stdout);
}

#endif
