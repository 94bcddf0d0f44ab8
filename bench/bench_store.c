/* Measures files of keys and values: pm_store and trie images, and beside them LMDB, SQLite and marisa-trie where they
   are installed. The files lie in a folder that is told; every answer is checked by the sum of the values.

     save_all        all keys, in one commit. Times of changes include those in memory: a transaction of the rivals has
                     both in one
     open            what a program waits that wants to read: after a commit of one change, and before that (open_whole)
                     after the one of everything. Of an image there is one kind
     size            of the file after save_all; of the engine `keys` the keys alone
     get, iterate    from the file, which is in the page cache: in random order, and in order
     save_1_percent  every hundredth key, in one commit; the same number of neighbours (save_1_percent_near)
     save_one        one key in a commit, without waiting for the disk; with that: save_one_synced
     written_        bytes that were given to the system to write, for each of these
     compact         a file without what is not needed any more; alone, and beside a reader (compact_beside_reader)
     read_           by a second thread, 64 keys in a reading, each from the newest version: alone, and beside a
                     compaction after the other; stall_: the longest of these readings
     recover         open after a process was killed that commits one key in a hundred again and again, waiting for the
                     disk. What is found is one of its commits, the last that it told of or the one after
     recover_unsynced  the same of a process that does not wait for the disk
     recover_cut     open after a crash of the machine in the middle of such a commit: the file cut there; and in the
                     middle of the one commit that has everything (recover_cut_all) */
#define _GNU_SOURCE
#define PATHMAP_STATIC
#include "pathmap.h"

#include "stores.h"

#include <fcntl.h>
#include <pthread.h>
#include <signal.h>
#include <stdatomic.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

enum { ENGINES = 8, SINGLE = 2000, SYNCED = 50, BATCH = 64 };

static const store_engine *engines[ENGINES];
static size_t used;
void store_register(const store_engine *e) {
    if (used < ENGINES) engines[used++] = e;
}

static const bench_times none = {{{0}, 0}, {{0}, 0}};

/* ---- pathmap --------------------------------------------------------------------------------------------------- */

typedef struct durable {
    pm_store *s;
    pm_map m;
} durable;

static void need(pm_status s) {
    if (s != PM_OK) bench_die("pathmap", pm_status_text(s));
}

static void *pathmap_open(const char *path, store_mode mode) {
    durable *d = bench_alloc(sizeof *d);
    memset(d, 0, sizeof *d);
    const bool reads = mode == STORE_READ;
    const pm_store_options how = {.create = !reads, .read_only = reads, .unsynced = mode == STORE_UNSYNCED};
    need(pm_store_open(path, &how, &d->s, NULL));
    if (!reads) need(pm_store_load(d->s, NULL, NULL, &d->m, NULL));
    return d;
}

static void pathmap_close(void *m) {
    durable *d = m;
    pm_store_close(d->s);
    pm_drop(&d->m);
    free(d);
}

static void pathmap_set(pm_map *m, const bench_list *l, size_t first, size_t step, size_t n, uint64_t more) {
    for (size_t i = first; n-- > 0; i += step)
        need(pm_set(m, l->key[i].data, l->key[i].len, l->val[i] + more, NULL));
}

static void pathmap_put(void *m, const bench_list *l, size_t first, size_t step, size_t n, uint64_t more) {
    durable *d = m;
    pathmap_set(&d->m, l, first, step, n, more);
    need(pm_store_commit(d->s, &d->m, NULL, NULL));
}

static uint64_t get_all(const pm_image *image, const bench_list *l) {
    uint64_t sum = 0;
    for (size_t i = 0; i < l->n; i++) {
        pm_opt got;
        need(pm_image_get(image, 0, l->key[i].data, l->key[i].len, &got));
        if (got.some) sum += got.val;
    }
    return sum;
}

static uint64_t iterate_all(const pm_image *image) {
    pm_rz z;
    uint64_t sum = 0;
    need(pm_image_rz(image, 0, NULL, &z));
    if (pm_rz_val(&z)) sum += *pm_rz_val(&z);
    while (pm_rz_to_next_val(&z)) sum += *pm_rz_val(&z);
    pm_rz_drop(&z);
    return sum;
}

static uint64_t pathmap_get(void *m, const bench_list *l) {
    const durable *d = m;
    pm_commit v;
    need(pm_store_refresh(d->s, NULL));
    need(pm_store_newest(d->s, NULL, &v));
    uint64_t sum = get_all(&v.image, l);
    pm_commit_drop(&v);
    return sum;
}

static uint64_t pathmap_iterate(void *m) {
    const durable *d = m;
    pm_commit v;
    need(pm_store_newest(d->s, NULL, &v));
    uint64_t sum = iterate_all(&v.image);
    pm_commit_drop(&v);
    return sum;
}

static void pathmap_compact(void *m) { need(pm_store_compact(((durable *)m)->s, NULL, NULL, NULL)); }

static const store_engine pathmap = {.name = "pathmap",
                                     .appends = true,
                                     .open = pathmap_open,
                                     .close = pathmap_close,
                                     .put = pathmap_put,
                                     .get = pathmap_get,
                                     .iterate = pathmap_iterate,
                                     .compact = pathmap_compact};

/* ---- an image --------------------------------------------------------------------------------------------------- */

typedef struct mapped {
    char path[500];
    pm_image image;
    const void *at;
    size_t size;
} mapped;

static void *image_open(const char *path, store_mode mode) {
    mapped *f = bench_alloc(sizeof *f);
    struct stat st;
    memset(f, 0, sizeof *f);
    snprintf(f->path, sizeof f->path, "%s", path);
    if (mode != STORE_READ) return f;
    int fd = open(path, O_RDONLY);
    if (fd < 0 || fstat(fd, &st) != 0) bench_die("cannot open", path);
    f->size = (size_t)st.st_size;
    f->at = mmap(NULL, f->size, PROT_READ, MAP_SHARED, fd, 0);
    if (f->at == MAP_FAILED || close(fd) != 0) bench_die("cannot map", path);
    need(pm_image_open(f->at, f->size, &f->image, NULL));
    return f;
}

static void image_close(void *m) {
    mapped *f = m;
    if (f->at) (void)munmap((void *)(uintptr_t)f->at, f->size);
    free(f);
}

static void image_put(void *m, const bench_list *l, size_t first, size_t step, size_t n, uint64_t more) {
    pm_map all = pm_new(NULL, NULL);
    pathmap_set(&all, l, first, step, n, more);
    need(pm_image_write_file(&all, 1, ((mapped *)m)->path, NULL, NULL, NULL));
    pm_drop(&all);
}

static uint64_t image_get(void *m, const bench_list *l) { return get_all(&((mapped *)m)->image, l); }
static uint64_t image_iterate(void *m) { return iterate_all(&((mapped *)m)->image); }

static const store_engine image = {.name = "pathmap image",
                                   .whole = true,
                                   .open = image_open,
                                   .close = image_close,
                                   .put = image_put,
                                   .get = image_get,
                                   .iterate = image_iterate};

/* ---- help ------------------------------------------------------------------------------------------------------- */

typedef struct work {
    const char *name, *folder;
    bench_list file, asked, sorted;
    uint64_t sum; /* of the values that are there */
    size_t few;   /* a hundredth of the keys */
    int runs;
    bool failed;
    char path[400];
} work;

static uint64_t size_of(const char *path) {
    struct stat st;
    return stat(path, &st) == 0 ? (uint64_t)st.st_size : 0;
}

/* Bytes that this process has given to the system to write; 0: that is not told here. */
static uint64_t written(void) {
    char line[100];
    unsigned long long n = 0;
    FILE *f = fopen("/proc/self/io", "r");
    while (f && fgets(line, sizeof line, f))
        if (sscanf(line, "wchar: %llu", &n) == 1) break;
    if (f) fclose(f);
    return n;
}

static void emit_written(const work *w, const store_engine *e, const char *op, const char *unit, uint64_t before,
                         size_t n) {
    uint64_t now = written();
    if (now) bench_emit(e->name, w->name, op, unit, (double)(now - before) / (double)n);
}

static void clear(const char *path) {
    static const char *const ends[] = {"", "-lock", "-wal", "-shm", "-journal", ".part"};
    char name[512];
    for (size_t i = 0; i < sizeof ends / sizeof *ends; i++) {
        snprintf(name, sizeof name, "%s%s", path, ends[i]);
        (void)remove(name);
    }
}

static void nap(uint64_t ns) {
    struct timespec t = {(time_t)(ns / 1000000000u), (long)(ns % 1000000000u)};
    while (nanosleep(&t, &t) != 0) {}
}

static void must(work *w, const store_engine *e, const char *op, bool good) {
    if (good) return;
    bench_bad(e->name, w->name, op, "another sum of values");
    w->failed = true;
}

static void *begin(const work *w, const store_engine *e, store_mode mode) {
    clear(w->path);
    void *m = e->open(w->path, mode);
    e->put(m, &w->file, 0, 1, w->file.n, 0);
    return m;
}

/* One commit of a hundredth of the keys, from all over. */
static void put_few(const work *w, const store_engine *e, void *m, uint64_t more) {
    e->put(m, &w->file, 0, w->file.n / w->few, w->few, more);
}

static void time_open(work *w, const store_engine *e, const char *op) {
    bench_times opening = none;
    for (int i = 0; i < w->runs + 2; i++) {
        bench_clock start = bench_start();
        void *m = e->open(w->path, STORE_READ);
        bench_take(&opening, start, 1);
        e->close(m);
    }
    bench_emit_times(e->name, w->name, op, "ns_per_op", &opening);
}

/* ---- all, and one by one --------------------------------------------------------------------------------------- */

static void measure_all(work *w, const store_engine *e) {
    bench_times all = none, get = none, each = none;
    const size_t n = w->file.n;
    uint64_t before = written();
    bench_clock start = bench_start();
    void *m = begin(w, e, STORE_UNSYNCED);
    bench_take(&all, start, (double)n);
    emit_written(w, e, "written_all", "bytes_per_key", before, n);
    bench_emit_times(e->name, w->name, "save_all", "ns_per_key", &all);
    e->close(m);
    bench_emit(e->name, w->name, "size", "bytes_per_key", (double)size_of(w->path) / (double)n);
    time_open(w, e, e->whole ? "open" : "open_whole");
    m = e->open(w->path, STORE_READ);
    for (int i = 0; i < w->runs; i++) {
        start = bench_start();
        must(w, e, "get", e->get(m, &w->asked) == w->sum);
        bench_take(&get, start, (double)n);
        start = bench_start();
        must(w, e, "iterate", e->iterate(m) == w->sum);
        bench_take(&each, start, (double)n);
    }
    bench_emit_times(e->name, w->name, "get", "ns_per_key", &get);
    bench_emit_times(e->name, w->name, "iterate", "ns_per_key", &each);
    e->close(m);
}

/* Changes one key in each of so many transactions, and back. */
static void change_one(work *w, const store_engine *e, void *m, size_t n, const char *op, const char *bytes) {
    bench_times one = none;
    uint64_t before = written();
    for (int r = 0; r < w->runs; r++) {
        bench_clock start = bench_start();
        for (size_t i = 0; i < n; i++) e->put(m, &w->asked, i * (w->asked.n / n) % w->asked.n, 1, 1, (uint64_t)r + 1);
        bench_take(&one, start, (double)n);
    }
    emit_written(w, e, bytes, "bytes_per_op", before, n * (size_t)w->runs);
    bench_emit_times(e->name, w->name, op, "ns_per_op", &one);
    for (size_t i = 0; i < n; i++) e->put(m, &w->asked, i * (w->asked.n / n) % w->asked.n, 1, 1, 0);
}

static void change_few(work *w, const store_engine *e, void *m) {
    bench_times part = none, near = none;
    uint64_t before = written();
    for (int r = 1; r <= w->runs; r++) {
        bench_clock start = bench_start();
        put_few(w, e, m, (uint64_t)r);
        bench_take(&part, start, (double)w->few);
    }
    emit_written(w, e, "written_1_percent", "bytes_per_key", before, w->few * (size_t)w->runs);
    bench_emit_times(e->name, w->name, "save_1_percent", "ns_per_key", &part);
    put_few(w, e, m, 0);
    before = written();
    for (int r = 1; r <= w->runs; r++) {
        bench_clock start = bench_start();
        e->put(m, &w->sorted, w->sorted.n / 2, 1, w->few, (uint64_t)r);
        bench_take(&near, start, (double)w->few);
    }
    emit_written(w, e, "written_1_percent_near", "bytes_per_key", before, w->few * (size_t)w->runs);
    bench_emit_times(e->name, w->name, "save_1_percent_near", "ns_per_key", &near);
    e->put(m, &w->sorted, w->sorted.n / 2, 1, w->few, 0);
}

/* ---- compaction ------------------------------------------------------------------------------------------------- */

enum { ALONE, BESIDE, STOP };

/* What one phase let a reader do. */
typedef struct seen {
    bench_clock took, longest;
    atomic_uint batches;
} seen;

typedef struct reader {
    work *w;
    const store_engine *e;
    atomic_int phase;
    seen seen[2];
} reader;

/* A part of a list; owned by that. */
static bench_list part_of(const bench_list *l, size_t first, size_t n) {
    return (bench_list){.key = l->key + first, .val = l->val + first, .bytes = l->bytes, .n = n};
}

static uint64_t sum_of(const bench_list *l) {
    uint64_t sum = 0;
    for (size_t i = 0; i < l->n; i++) sum += l->val[i];
    return sum;
}

static void *read_on(void *ctx) {
    reader *r = ctx;
    const bench_list *all = &r->w->asked;
    const size_t n = all->n < BATCH ? all->n : BATCH;
    uint64_t random = BENCH_SEED;
    int phase;
    void *m = r->e->open(r->w->path, STORE_READ);
    while ((phase = atomic_load(&r->phase)) != STOP) {
        const bench_list some = part_of(all, (size_t)(bench_random(&random) % (all->n - n + 1)), n);
        const uint64_t sum = sum_of(&some);
        seen *s = &r->seen[phase];
        bench_clock start = bench_start();
        bool good = r->e->get(m, &some) == sum;
        bench_clock took = bench_since(start);
        must(r->w, r->e, "read_beside_compaction", good);
        s->took.wall += took.wall, s->took.cpu += took.cpu;
        if (s->longest.wall < took.wall) s->longest.wall = took.wall;
        if (s->longest.cpu < took.cpu) s->longest.cpu = took.cpu;
        atomic_fetch_add(&s->batches, 1);
    }
    r->e->close(m);
    return NULL;
}

static void compact_beside(work *w, const store_engine *e, void *m) {
    static const char *const reads[2] = {"read_alone", "read_beside_compaction"};
    static const char *const stalls[2] = {"stall_alone", "stall_beside_compaction"};
    const size_t n = w->asked.n < BATCH ? w->asked.n : BATCH;
    bench_times reading[2] = {none, none}, stall[2] = {none, none}, packed = none;
    for (int i = 0; i < w->runs; i++) {
        reader r = {.w = w, .e = e, .phase = ALONE};
        pthread_t thread;
        if (pthread_create(&thread, NULL, read_on, &r) != 0) bench_die("no thread", NULL);
        do nap(200000000);
        while (atomic_load(&r.seen[ALONE].batches) < 3);
        atomic_store(&r.phase, BESIDE);
        do {
            bench_clock start = bench_start();
            e->compact(m);
            bench_take(&packed, start, (double)w->file.n);
        } while (atomic_load(&r.seen[BESIDE].batches) < 3);
        atomic_store(&r.phase, STOP);
        pthread_join(thread, NULL);
        for (int k = 0; k < 2; k++) {
            bench_took(&reading[k], r.seen[k].took, (double)(atomic_load(&r.seen[k].batches) * n));
            bench_took(&stall[k], r.seen[k].longest, 1);
        }
    }
    for (int k = 0; k < 2; k++) {
        bench_emit_times(e->name, w->name, reads[k], "ns_per_key", &reading[k]);
        bench_emit_times(e->name, w->name, stalls[k], "ns_longest", &stall[k]);
    }
    bench_emit_times(e->name, w->name, "compact_beside_reader", "ns_per_key", &packed);
}

static void measure_changes(work *w, const store_engine *e) {
    bench_times packed = none;
    void *m = begin(w, e, STORE_UNSYNCED);
    change_few(w, e, m);
    change_one(w, e, m, w->file.n < SINGLE ? w->file.n : SINGLE, "save_one", "written_one");
    must(w, e, "save_one", e->get(m, &w->asked) == w->sum);
    if (e->compact) {
        for (int i = 0; i < w->runs; i++) {
            bench_clock start = bench_start();
            e->compact(m);
            bench_take(&packed, start, (double)w->file.n);
        }
        bench_emit_times(e->name, w->name, "compact", "ns_per_key", &packed);
        must(w, e, "compact", e->get(m, &w->asked) == w->sum);
    }
    if (e->compact && !e->apart) compact_beside(w, e, m);
    e->close(m);
}

/* ---- crashes ---------------------------------------------------------------------------------------------------- */

/* Commits a hundredth of the keys again and again, and tells of each commit. */
static void commit_on(const work *w, const store_engine *e, store_mode mode, int to) {
    void *m = e->open(w->path, mode);
    for (uint64_t i = 1;; i++) {
        put_few(w, e, m, i);
        if (write(to, &i, sizeof i) != sizeof i) _exit(1);
    }
}

/* Kills a process that commits; returns the last commit that it has told of. */
static uint64_t kill_one(const work *w, const store_engine *e, store_mode mode, uint64_t *random) {
    int ends[2], how;
    uint64_t told = 0, next;
    fflush(stdout);
    if (pipe(ends) != 0) bench_die("no pipe", NULL);
    pid_t child = fork();
    if (child < 0) bench_die("no process", NULL);
    if (child == 0) commit_on(w, e, mode, ends[1]);
    (void)close(ends[1]);
    if (read(ends[0], &told, sizeof told) != sizeof told) bench_die("the process that commits has ended", NULL);
    nap(bench_random(random) % 50000000);
    (void)kill(child, SIGKILL);
    while (read(ends[0], &next, sizeof next) == sizeof next) told = next;
    (void)close(ends[0]);
    if (waitpid(child, &how, 0) != child || !WIFSIGNALED(how)) bench_die("the process was not killed", NULL);
    return told;
}

static void recover(work *w, const store_engine *e, store_mode mode, const char *op) {
    bench_times opening = none;
    uint64_t random = BENCH_SEED;
    for (int i = 0; i < w->runs + 2; i++) {
        uint64_t told = kill_one(w, e, mode, &random);
        bench_clock start = bench_start();
        void *m = e->open(w->path, STORE_READ);
        bench_take(&opening, start, 1);
        uint64_t more = e->iterate(m) - w->sum;
        must(w, e, op, more == told * w->few || more == (told + 1) * w->few);
        e->close(m);
    }
    bench_emit_times(e->name, w->name, op, "ns_per_op", &opening);
}

/* Cuts the file in the middle of what it has grown by. */
static void cut(work *w, const store_engine *e, uint64_t before, const char *op) {
    uint64_t now = size_of(w->path);
    if (truncate(w->path, (off_t)(before + (now - before) / 2)) != 0) bench_die("cannot cut", w->path);
    time_open(w, e, op);
}

static void measure_crashes(work *w, const store_engine *e) {
    clear(w->path);
    void *m = e->open(w->path, STORE_SYNCED);
    uint64_t empty = size_of(w->path), before;
    e->put(m, &w->file, 0, 1, w->file.n, 0);
    e->put(m, &w->file, 0, 1, 1, 1); /* one of those that are changed again below */
    e->close(m);
    time_open(w, e, "open");
    recover(w, e, STORE_SYNCED, "recover");
    m = begin(w, e, STORE_UNSYNCED);
    e->close(m);
    recover(w, e, STORE_UNSYNCED, "recover_unsynced");
    if (e->appends) {
        m = begin(w, e, STORE_SYNCED);
        before = size_of(w->path);
        put_few(w, e, m, 1);
        e->close(m);
        cut(w, e, before, "recover_cut");
        m = e->open(w->path, STORE_READ);
        must(w, e, "recover_cut", e->iterate(m) == w->sum);
        e->close(m);
        m = begin(w, e, STORE_SYNCED);
        e->close(m);
        cut(w, e, empty, "recover_cut_all");
    }
    m = begin(w, e, STORE_SYNCED);
    change_one(w, e, m, w->file.n < SYNCED ? w->file.n : SYNCED, "save_one_synced", "written_one_synced");
    e->close(m);
}

static void measure(work *w, const store_engine *e) {
    measure_all(w, e);
    if (!e->whole) {
        measure_changes(w, e);
        measure_crashes(w, e);
    }
    clear(w->path);
}

/* ---- the program ------------------------------------------------------------------------------------------------ */

/* Says which rivals the build could not find. */
static void tell_absent(void) {
    static const char *const known[][2] = {
        {"LMDB", "liblmdb-dev"}, {"SQLite", "libsqlite3-dev"}, {"marisa-trie", "libmarisa-dev"}};
    for (size_t k = 0; k < sizeof known / sizeof *known; k++) {
        size_t i = 0;
        while (i < used && strcmp(engines[i]->name, known[k][0]) != 0) i++;
        if (i == used) printf("# left out: %s (its build needs %s)\n", known[k][0], known[k][1]);
    }
}

static size_t prepare(work *w, const char *keys) {
    size_t longest = 0;
    w->file = bench_load(keys);
    if (!w->file.n) bench_die("no keys", keys);
    size_t *order = bench_alloc(w->file.n * sizeof *order);
    bench_shuffle(order, w->file.n, BENCH_SEED);
    w->asked = bench_list_reorder(&w->file, order);
    w->sorted = bench_list_sort(&w->file);
    free(order);
    for (size_t i = 0; i < w->file.n; i++) longest = w->file.key[i].len > longest ? w->file.key[i].len : longest;
    w->sum = sum_of(&w->file);
    w->few = w->file.n / 100 ? w->file.n / 100 : 1;
    snprintf(w->path, sizeof w->path, "%s/bench_store.%ld", w->folder, (long)getpid());
    printf("# dataset %s keys %zu bytes %zu longest %zu\n", w->name, w->file.n, w->file.nbytes, longest);
    bench_emit("keys", w->name, "size", "bytes_per_key", (double)w->file.nbytes / (double)w->file.n);
    return longest;
}

int main(int argc, char **argv) {
    const char *keys = NULL;
    work w;
    memset(&w, 0, sizeof w);
    w.runs = 5, w.folder = "/tmp";
    const bench_option options[] = {{"--keys", &keys, NULL, 0}, {"--name", &w.name, NULL, 0},
                                    {"--runs", NULL, &w.runs, BENCH_SAMPLES}, {"--folder", &w.folder, NULL, 0},
                                    {NULL, NULL, NULL, 0}};
    const char *usage = "usage: bench_store --keys FILE --name NAME [--runs N] [--folder FOLDER]";
    if (!bench_read_options(argc, argv, usage, options)) return 0;
    if (!keys || !w.name) bench_die("--keys and --name are needed (--help)", NULL);
    bench_describe("bench_store");
    tell_absent();
    size_t longest = prepare(&w, keys);
    measure(&w, &image);
    measure(&w, &pathmap);
    for (size_t i = 0; i < used; i++) {
        if (engines[i]->longest && longest > engines[i]->longest)
            printf("# left out on %s: %s (keys of more than %zu bytes)\n", w.name, engines[i]->name,
                   engines[i]->longest);
        else measure(&w, engines[i]);
    }
    bench_list_free(&w.file);
    bench_list_free(&w.asked);
    bench_list_free(&w.sorted);
    return w.failed;
}
