/* Measures files of keys and values: pm_store, and beside it LMDB and SQLite where they are installed. Opening, reading
   by key and in order from the file, its size, saving everything, one key in a hundred, and one; with and without
   waiting for the disk. The files lie in a folder that is told; every answer is checked by the sum of the values.

   Times of changes include those in memory (a transaction of the rivals has both in one). `size` is what the file has
   after everything was saved once, `raw` the keys alone. */
#define _GNU_SOURCE
#define PATHMAP_STATIC
#include "pathmap.h"

#include "stores.h"

#include <sys/stat.h>

enum { ENGINES = 8, SINGLE = 2000, SYNCED = 50 };

static const store_engine *engines[ENGINES];
static size_t used;
void store_register(const store_engine *e) {
    if (used < ENGINES) engines[used++] = e;
}

/* ---- pathmap --------------------------------------------------------------------------------------------------- */

typedef struct durable {
    pm_store *s;
    pm_map m;
} durable;

static void need(pm_status s) {
    if (s != PM_OK) bench_die("pathmap", pm_status_text(s));
}

static void *pathmap_open(const char *path, bool sync) {
    durable *d = bench_alloc(sizeof *d);
    memset(d, 0, sizeof *d);
    need(pm_store_open(path, &(pm_store_options){.create = true, .unsynced = !sync}, &d->s, NULL));
    return d;
}

static void pathmap_close(void *m) {
    durable *d = m;
    pm_store_close(d->s);
    pm_drop(&d->m);
    free(d);
}

static void pathmap_put(void *m, const bench_list *l, size_t first, size_t step, size_t n, uint64_t more) {
    durable *d = m;
    for (size_t i = first; n-- > 0; i += step)
        need(pm_set(&d->m, l->key[i].data, l->key[i].len, l->val[i] + more, NULL));
    need(pm_store_commit(d->s, &d->m, NULL, NULL));
}

static uint64_t pathmap_get(void *m, const bench_list *l) {
    const durable *d = m;
    pm_commit v;
    uint64_t sum = 0;
    need(pm_store_newest(d->s, NULL, &v));
    for (size_t i = 0; i < l->n; i++) {
        pm_opt got;
        need(pm_image_get(&v.image, 0, l->key[i].data, l->key[i].len, &got));
        if (got.some) sum += got.val;
    }
    pm_commit_drop(&v);
    return sum;
}

static uint64_t pathmap_iterate(void *m) {
    const durable *d = m;
    pm_commit v;
    pm_rz z;
    uint64_t sum = 0;
    need(pm_store_newest(d->s, NULL, &v));
    need(pm_image_rz(&v.image, 0, NULL, &z));
    if (pm_rz_val(&z)) sum += *pm_rz_val(&z);
    while (pm_rz_to_next_val(&z)) sum += *pm_rz_val(&z);
    pm_rz_drop(&z);
    pm_commit_drop(&v);
    return sum;
}

static void pathmap_compact(void *m) { need(pm_store_compact(((durable *)m)->s, NULL, NULL, NULL)); }

static const store_engine pathmap = {"pathmap",   0,           pathmap_open,    pathmap_close,
                                     pathmap_put, pathmap_get, pathmap_iterate, pathmap_compact};

/* ---- rows -------------------------------------------------------------------------------------------------------- */

typedef struct work {
    const char *name, *folder;
    bench_list file, asked;
    uint64_t sum; /* of the values that are there */
    int runs;
    bool failed;
} work;

static uint64_t size_of(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

static void clear(const char *path) {
    static const char *const ends[] = {"", "-lock", "-wal", "-shm", ".part"};
    char name[512];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        (void)remove(name);
    }
}

static void check(work *w, const store_engine *e, const char *op, uint64_t sum) {
    if (sum == w->sum) return;
    bench_bad(e->name, w->name, op, "another sum of values");
    w->failed = true;
}

static void read_all(work *w, const store_engine *e, void *m) {
    bench_times get = {{{0}, 0}, {{0}, 0}}, each = {{{0}, 0}, {{0}, 0}};
    for (int i = 0; i < w->runs; i++) {
        bench_clock start = bench_start();
        check(w, e, "get", e->get(m, &w->asked));
        bench_take(&get, start, (double)w->asked.n);
        start = bench_start();
        check(w, e, "iterate", e->iterate(m));
        bench_take(&each, start, (double)w->asked.n);
    }
    bench_emit_times(e->name, w->name, "get", "ns_per_key", &get);
    bench_emit_times(e->name, w->name, "iterate", "ns_per_key", &each);
}

/* Changes one key in so many transactions; returns the bytes that the file grew by for each. */
static void change_one(work *w, const store_engine *e, void *m, const char *path, size_t n, const char *op) {
    bench_times one = {{{0}, 0}, {{0}, 0}};
    uint64_t before = size_of(path);
    for (int r = 0; r < w->runs; r++) {
        bench_clock start = bench_start();
        for (size_t i = 0; i < n; i++) e->put(m, &w->asked, i * (w->asked.n / n) % w->asked.n, 1, 1, (uint64_t)r + 1);
        bench_take(&one, start, (double)n);
    }
    bench_emit_times(e->name, w->name, op, "ns_per_op", &one);
    bench_emit(e->name, w->name, op, "bytes_per_op", (double)(size_of(path) - before) / (double)n / w->runs);
    for (size_t i = 0; i < n; i++) e->put(m, &w->asked, i * (w->asked.n / n) % w->asked.n, 1, 1, 0);
}

/* An engine that makes its file, is closed and opened, read and changed; then one that waits for the disk. */
static void measure(work *w, const store_engine *e) {
    char path[400];
    bench_times open = {{{0}, 0}, {{0}, 0}}, all = open, part = open, packed = open;
    const size_t n = w->file.n, few = n / 100 ? n / 100 : 1;
    snprintf(path, sizeof path, "%s/bench_store.%ld", w->folder, (long)getpid());
    clear(path);
    void *m = e->open(path, false);
    bench_clock start = bench_start();
    e->put(m, &w->file, 0, 1, n, 0);
    bench_take(&all, start, (double)n);
    bench_emit_times(e->name, w->name, "save_all", "ns_per_key", &all);
    for (int i = 0; i < w->runs; i++) {
        void *again;
        if (i == 0) e->close(m);
        start = bench_start();
        again = e->open(path, false);
        bench_take(&open, start, 1);
        e->close(again);
    }
    bench_emit_times(e->name, w->name, "open", "ns_per_op", &open);
    bench_emit(e->name, w->name, "size", "bytes_per_key", (double)size_of(path) / (double)n);
    m = e->open(path, false);
    read_all(w, e, m);
    e->close(m);
    clear(path);
    m = e->open(path, false);
    e->put(m, &w->file, 0, 1, n, 0);
    uint64_t before = size_of(path);
    start = bench_start();
    e->put(m, &w->file, 0, n / few, few, 1);
    bench_take(&part, start, (double)few);
    bench_emit_times(e->name, w->name, "save_1_percent", "ns_per_key", &part);
    bench_emit(e->name, w->name, "save_1_percent", "bytes_per_key", (double)(size_of(path) - before) / (double)few);
    e->put(m, &w->file, 0, n / few, few, 0);
    change_one(w, e, m, path, n < SINGLE ? n : SINGLE, "save_one");
    check(w, e, "save_one", e->get(m, &w->asked));
    if (e->compact) {
        start = bench_start();
        e->compact(m);
        bench_take(&packed, start, (double)n);
        bench_emit_times(e->name, w->name, "compact", "ns_per_key", &packed);
        check(w, e, "compact", e->get(m, &w->asked));
    }
    e->close(m);
    clear(path);
    m = e->open(path, true);
    e->put(m, &w->file, 0, 1, n, 0);
    change_one(w, e, m, path, n < SYNCED ? n : SYNCED, "save_one_synced");
    e->close(m);
    clear(path);
}

int main(int argc, char **argv) {
    const char *keys = NULL;
    work w;
    memset(&w, 0, sizeof w);
    w.runs = 5, w.folder = "/tmp";
    for (int i = 1; i < argc; i += 2) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (!v || strcmp(a, "--help") == 0) {
            puts("usage: bench_store --keys FILE --name NAME [--runs N] [--folder FOLDER]");
            return strcmp(a, "--help") != 0;
        }
        if (strcmp(a, "--keys") == 0) keys = v;
        else if (strcmp(a, "--name") == 0) w.name = v;
        else if (strcmp(a, "--folder") == 0) w.folder = v;
        else if (strcmp(a, "--runs") == 0) w.runs = atoi(v);
        else bench_die("unknown option (--help)", a);
    }
    if (!keys || !w.name) bench_die("--keys and --name are needed (--help)", NULL);
    if (w.runs < 1 || w.runs > BENCH_SAMPLES) bench_die("--runs is out of range", NULL);
    bench_describe("bench_store");
    w.file = bench_load(keys);
    size_t *order = bench_alloc(w.file.n * sizeof *order), longest = 0;
    bench_shuffle(order, w.file.n, BENCH_SEED);
    w.asked = bench_list_reorder(&w.file, order);
    free(order);
    for (size_t i = 0; i < w.file.n; i++) {
        w.sum += w.file.val[i];
        longest = w.file.key[i].len > longest ? w.file.key[i].len : longest;
    }
    bench_emit("keys", w.name, "size", "bytes_per_key", (double)w.file.nbytes / (double)w.file.n);
    measure(&w, &pathmap);
    for (size_t i = 0; i < used; i++)
        if (!engines[i]->longest || longest <= engines[i]->longest) measure(&w, engines[i]);
    bench_list_free(&w.file);
    bench_list_free(&w.asked);
    return w.failed;
}
