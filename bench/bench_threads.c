/* Measures ways to share maps among threads, on a key file.

       bench_threads --keys FILE --name DATASET [--ops a,b] [--runs 5] [--threads N | --threads N,N,..] [--pin]
                     [--clock wall|cpu] [--limit KEYS]

   An operation is measured with 1 thread, 2, 4, .., N (default: as many as there are cores; at most 256 for readers,
   128 for writers), or with the numbers listed. Its work is the same for each N, and cut into N parts: NAME@N is the
   figure of N threads, NAME@1/N that of one thread on those N parts, in the same process, turn by turn. `speedup` is
   the quotient of the best of both, `efficiency` that divided by N. What waits for others (locks, queues, caches)
   takes 100,000 keys at most, so that 256 threads on two cores end as well.

   Times are wall time divided by the keys of all threads. With `--clock cpu` they are the processor time of the busiest
   thread: what wall time would be if each thread had a core to itself, for machines that others keep busy; it does not
   see waiting, so it flatters what locks. `--pin` binds thread i to the i-th core that the process may use. `--limit`
   takes the first keys of the file only.

   Reading (threads_read.c)
       zipper_get       read zippers, one for each part at its own root, over one map
       map_get          pm_get on one map
       mutex_get        pm_get on one map behind a mutex;  rwlock_get: behind a read-write lock
       shared_get       a load of the replaceable map for every 64 lookups
       snapshot_get     a snapshot reader of a head for every 64 lookups
       clone_drop, shared_load, head_read   making and dropping a clone, a load, a snapshot reader (ns per op)
       apart_drop       clone_drop on a clone that each thread has made apart
       shared_refresh   bringing a copy of the replaceable map up to date, when it is so already
   Writing (threads_write.c)
       head_write       inserting through a head: one writer for each part, at a path of its own
       head_hash        the same, keys falling to parts by hash
       head_domain      the same, by the first byte in which keys differ: parts are as unequal as the data
       head_watched     head_write while one more thread makes a snapshot after the other and reads in each
       head_claim       asking for a writer and closing it (ns per op)
       own_write        inserting into a map of each part's own
       mutex_write      inserting into one map behind a mutex;  shards_write: into 16 maps, each behind a mutex, by hash
       copy_known       through one head, a reader and a writer for each part: copying along known paths
       copy_traverse    the same, by traversal
       copy_witness     the same, traversing ahead and writing values later, which a witness keeps
   Merging (threads_merge.c)
       clone_fold       a clone for each part, a fifth of the keys anew shared out to them; then one join after the
                        other (ms per op; with two threads: "add 10% in each")
       clone_tree       the same, joined in pairs, pairs of pairs, .. by the threads
       own_tree         maps of the parts' own, joined in the same way
       rollback         in a clone: 16 keys anew, then back to the snapshot before them, again and again
   Readers and writers (threads_mixed.c)
       hybrid           through one head, in turns of 256 keys: lookups in a new snapshot, or inserts at a new path
       head_mixed       through one head, a writer and a reader for each part: a write for 19 reads, a new snapshot
                        every 100 keys
       mutex_mixed      one map behind a mutex, a write for every 9 reads;  rwlock_mixed: behind a read-write lock
       shards_mixed     16 maps, each behind a mutex;  shards256_mixed: 256 of them
       adaptive_mixed, shards_adaptive_mixed    as mutex_mixed, shards_mixed, with a mutex that looks before it sleeps
       .._half, .._writes     the same with five writes in ten calls, and nine
       tbb_mixed, urcu_mixed    tbb::concurrent_hash_map, and the hash table of liburcu, where they are installed; with
                        _half, _writes too (threads_rivals.c)
       shared_mixed     the replaceable map: a load for 58 reads, an update for 6 writes
       shared_update    updates of the replaceable map only, 4 keys each, which run again if another came first
       cache            4096 places in a map behind a read-write lock, each good for some time;  cache_parts: in 64
                        maps, each behind a mutex
   Work handed on (threads_flow.c)
       pipeline         half the threads make small maps, the other half adds them to maps of their own
       workers          tasks from one queue, counted into a map for each thread, added up in the end
   Single figures (threads_head.c)
       observed_write   the same inserts through a plain writer and through a head's, turn by turn: `ratio`
       snapshot         a reader at the root, made and dropped: beside no writer, beside 64 idle ones, and making one
                        when 1 of them, or all, have written since the last one (ns per op)
       claims           a writer asked for and closed: with 10 others out, and with 10,000 (ns per op)
       beside_join      a reader asked for while a writer joins half of the keys into the other half: where nobody
                        writes, and at the root, where it waits for that call; and the call itself (wall clock)
       shared_store     storing a version of the replaceable map (ns per op) */
#include "bench_threads.h"

#include <errno.h>
#include <limits.h>

/* ---- rows ---- */

/* One thread and many, turn by turn, each first as often as second. */
static void measure(const row *r, int threads) {
    bench_samples one = {{0}, 0}, many = {{0}, 0};
    char name[64];
    for (int i = 0; i < set.runs; i++) {
        if (threads > 1 && i % 2 == 0) bench_sample(&one, r->time(r, 1, threads));
        bench_sample(&many, r->time(r, threads, threads));
        if (threads > 1 && i % 2 == 1) bench_sample(&one, r->time(r, 1, threads));
    }
    snprintf(name, sizeof name, "%s@1/%d", r->name, threads);
    emit_samples(name, r->unit, &one);
    snprintf(name, sizeof name, "%s@%d", r->name, threads);
    emit_samples(name, r->unit, &many);
    double speedup = one.n ? one.v[0] / many.v[0] : 1; /* sorted by now: of the best runs */
    emit(name, "speedup", speedup);
    emit(name, "efficiency", speedup / threads);
}

static bool wanted(const char *op) {
    size_t n = strlen(op);
    if (!set.ops) return true;
    for (const char *p = set.ops; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (strncmp(p, op, n) == 0 && (p[n] == 0 || p[n] == ',')) return true;
    return false;
}

static const row *const tables[] = {rows_reading, rows_writing, rows_merging, rows_mixed, rows_rivals,
                                   rows_flow};
enum { TABLES = sizeof tables / sizeof *tables };

static void measure_all(void) {
    /* Threads outside, rows inside: some data are made for a number of parts, and serve several rows. */
    for (int i = 0; i < set.lists; i++)
        for (size_t t = 0; t < TABLES; t++)
            for (const row *r = tables[t]; r->name; r++)
                if (wanted(r->name) && set.threads[i] <= r->most) measure(r, set.threads[i]);
    for (const single *s = singles; s->name; s++)
        if (wanted(s->name)) s->measure();
}

/* ---- options ---- */

static bool known(const char *op, size_t n) {
    for (size_t t = 0; t < TABLES; t++)
        for (const row *r = tables[t]; r->name; r++)
            if (strlen(r->name) == n && memcmp(r->name, op, n) == 0) return true;
    for (const single *s = singles; s->name; s++)
        if (strlen(s->name) == n && memcmp(s->name, op, n) == 0) return true;
    return false;
}

static bool all_known(const char *ops) {
    for (const char *p = ops; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL)
        if (!known(p, strcspn(p, ","))) return false;
    return true;
}

static bool number_of(const char *text, long min, long max, long *out) {
    char *end;
    errno = 0;
    long n = strtol(text, &end, 10);
    if (end == text || (*end && *end != ',') || errno || n < min || n > max) return false;
    *out = n;
    return true;
}

static void use_threads_up_to(int most) {
    set.lists = 0;
    for (int n = 1; n < most; n *= 2) set.threads[set.lists++] = n;
    set.threads[set.lists++] = most;
}

/* A single number means all powers of two up to it, and itself. */
static bool parse_threads(const char *text) {
    long n;
    set.lists = 0;
    for (const char *p = text; p; p = strchr(p, ',') ? strchr(p, ',') + 1 : NULL) {
        if (set.lists == 16 || !number_of(p, 1, THREADS_MAX, &n)) return false;
        set.threads[set.lists++] = (int)n;
    }
    if (!strchr(text, ',')) use_threads_up_to(set.threads[0]);
    return true;
}

static bool parse_one(const char *option, const char *value) {
    long n;
    if (strcmp(option, "--keys") == 0) return set.keys = value, true;
    if (strcmp(option, "--name") == 0) return set.name = value, true;
    if (strcmp(option, "--ops") == 0) return set.ops = value, all_known(value);
    if (strcmp(option, "--threads") == 0) return parse_threads(value);
    if (strcmp(option, "--clock") == 0) {
        set.cpu = strcmp(value, "cpu") == 0;
        return set.cpu || strcmp(value, "wall") == 0;
    }
    if (strcmp(option, "--runs") == 0) {
        if (strchr(value, ',') || !number_of(value, 1, 40, &n)) return false;
        return set.runs = (int)n, true;
    }
    if (strcmp(option, "--limit") == 0) {
        if (strchr(value, ',') || !number_of(value, 1, LONG_MAX, &n)) return false;
        return set.limit = (size_t)n, true;
    }
    return false;
}

static bool parse(int argc, char **argv) {
    int cores = usable_cores();
    use_threads_up_to(cores < THREADS_MAX ? cores : THREADS_MAX);
    for (int i = 1; i < argc; i++) {
        if (strcmp(argv[i], "--pin") == 0) {
            set.pin = true;
        } else {
            if (i + 1 == argc || !parse_one(argv[i], argv[i + 1])) return false;
            i++;
        }
    }
    if (set.pin) pin_prepare();
    return set.keys && set.name;
}

int main(int argc, char **argv) {
    if (!parse(argc, argv)) {
        fputs("usage: bench_threads --keys FILE --name DATASET [--ops a,b] [--runs N]\n"
              "           [--threads N | --threads N,N,..] [--pin] [--clock wall|cpu] [--limit KEYS]\n", stderr);
        return 2;
    }
    bench_describe("bench_threads");
    data_load();
    printf("# library %s %s\n", library_engine(), library_describe());
    printf("# timing keys %zu runs %d clock %s pinned %s cores %d\n", in_order.n, set.runs, set.cpu ? "cpu" : "wall",
           set.pin ? "yes" : "no", usable_cores());
    measure_all();
    data_free();
    return all_good ? 0 : 1;
}
