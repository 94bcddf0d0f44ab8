/* Counts, for each operation that threads do on common objects, the atomic writes to cache lines that other threads
   write too. Such a line moves from core to core, one at a time: what one operation does there bounds what all cores
   together get through, however many they are. So the counts say how operations scale on machines that are not at
   hand.

       bench_contention [--transfer NS] [--cores N]        default: a line moves in 50 ns, 64 cores

   Two threads take turns, with the same operation, on places of their own where the operation has places. Counted
   are read-modify-writes and atomic stores; a line is common if both threads have written to it so. Writes under a
   lock that are not atomic are not seen: what takes a common lock has at least the cost that is shown.

   One line for each operation: its name; read-modify-writes and atomic stores; of these, the ones to common lines;
   the common lines; the most writes to one of them; nanoseconds of one thread alone; and the speed-up of N cores by
   the model: all writes to common lines wait for a transfer, and those to one line for each other. Counts are means
   of many operations. */
#define _GNU_SOURCE
#include <pthread.h>
#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

/* ---- counting: atomics of the library tell ---- */

enum { LINES = 16384, TURNS = 320, WARM = 200, TIMED = 20000, KEYS = 20000 };

typedef struct counts {
    uint64_t rmws, stores;
    uintptr_t line[LINES]; /* a table by address; 0: free */
    uint64_t writes[LINES];
} counts;

static _Thread_local counts *counting;

static void count_line(uintptr_t p) {
    uintptr_t line = p >> 6;
    size_t i = line * 0x9E3779B97F4A7C15u >> 50;
    while (counting->line[i] && counting->line[i] != line) i = (i + 1) % LINES;
    counting->line[i] = line;
    counting->writes[i]++;
}

static inline void count_rmw(uintptr_t p) {
    if (!counting) return;
    counting->rmws++;
    count_line(p);
}

static inline void count_store(uintptr_t p) {
    if (!counting) return;
    counting->stores++;
    count_line(p);
}

#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_compare_exchange_weak_explicit
#ifdef __clang__
#define RAW(name) __c11_atomic_##name
#define RAW_STORE(p, v, o) __c11_atomic_store((p), (v), (o))
#define RAW_EXCHANGE(p, v, o) __c11_atomic_exchange((p), (v), (o))
#define RAW_CAS(p, e, v, s, f) __c11_atomic_compare_exchange_strong((p), (e), (v), (s), (f))
#else
#define RAW(name) __atomic_##name
#define RAW_STORE(p, v, o) __atomic_store_n((p), (v), (o))
#define RAW_EXCHANGE(p, v, o) __atomic_exchange_n((p), (v), (o))
#define RAW_CAS(p, e, v, s, f) __atomic_compare_exchange_n((p), (e), (v), 0, (s), (f))
#endif
#define atomic_store_explicit(p, v, o) (count_store((uintptr_t)(p)), RAW_STORE(p, v, o))
#define atomic_exchange_explicit(p, v, o) (count_rmw((uintptr_t)(p)), RAW_EXCHANGE(p, v, o))
#define atomic_fetch_add_explicit(p, v, o) (count_rmw((uintptr_t)(p)), RAW(fetch_add)((p), (v), (o)))
#define atomic_fetch_sub_explicit(p, v, o) (count_rmw((uintptr_t)(p)), RAW(fetch_sub)((p), (v), (o)))
#define atomic_compare_exchange_strong_explicit(p, e, v, s, f) (count_rmw((uintptr_t)(p)), RAW_CAS(p, e, v, s, f))
#define atomic_compare_exchange_weak_explicit(p, e, v, s, f) (count_rmw((uintptr_t)(p)), RAW_CAS(p, e, v, s, f))

#define PATHMAP_STATIC
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#define INTERNING_STATIC
#define INTERNING_IMPLEMENTATION
#include "../interning.h"

static void must(pm_status s) {
    if (s == PM_OK) return;
    fprintf(stderr, "bench_contention: %s\n", pm_status_text(s));
    exit(2);
}

/* ---- operations ---- */

static pm_map map;
static pm_shared *shared;
static pm_head *head;
static intern_table *table;

static void must_intern(intern_status s) {
    if (s == INTERN_OK) return;
    fprintf(stderr, "bench_contention: %s\n", intern_status_text(s));
    exit(2);
}

/* What a thread has for itself. */
typedef struct own {
    char path[8], key[16];
    size_t key_len;
    uint64_t n, seen;
    pm_map map;
    pm_rz reader;
    pm_wz writer;
    intern_permit permit;
} own;

static void do_get(own *o) { must(pm_get(&map, o->key, o->key_len) ? PM_OK : PM_NOMEM); }

static void do_set(own *o) { must(pm_set(&o->map, o->key, o->key_len, o->n, NULL)); }

static void do_clone(own *o) {
    pm_map m = pm_clone(&map);
    (void)o;
    pm_drop(&m);
}

static void begin_apart(own *o) { must(pm_clone_apart(&map, &o->map)); }
static void end_map(own *o) { pm_drop(&o->map); }

static void do_clone_apart(own *o) {
    pm_map m = pm_clone(&o->map);
    pm_drop(&m);
}

static void do_load(own *o) {
    pm_map m = pm_shared_load(shared);
    (void)o;
    pm_drop(&m);
}

static void do_refresh(own *o) { (void)pm_shared_refresh(shared, &o->map, &o->seen); }
static void do_store(own *o) {
    (void)o;
    must(pm_shared_store(shared, &map));
}

static void do_read(own *o) {
    pm_rz z;
    must(pm_head_read(head, o->path, 2, &z));
    pm_rz_drop(&z);
}

static void begin_reader(own *o) { must(pm_head_read(head, o->path, 2, &o->reader)); }
static void end_reader(own *o) { pm_rz_drop(&o->reader); }
static void do_head_refresh(own *o) { must(pm_head_refresh(head, &o->reader, NULL)); }

static void do_claim(own *o) {
    pm_wz w;
    must(pm_head_write(head, o->path, 2, &w, NULL));
    must(pm_wz_drop(&w));
}

static void do_claim_write(own *o) {
    pm_wz w;
    must(pm_head_write(head, o->path, 2, &w, NULL));
    must(pm_wz_set_at(&w, o->key, o->key_len, o->n, NULL));
    must(pm_wz_drop(&w));
}

static void begin_writer(own *o) { must(pm_head_write(head, o->path, 2, &o->writer, NULL)); }
static void end_writer(own *o) { must(pm_wz_drop(&o->writer)); }
static void do_write(own *o) { must(pm_wz_set_at(&o->writer, o->key, o->key_len, o->n, NULL)); }

static void do_write_read(own *o) {
    do_write(o);
    do_read(o);
}

static void do_write_fence(own *o) {
    pm_rz z;
    do_write(o);
    must(pm_head_fence(head, NULL, 0, &z));
    pm_rz_drop(&z);
}

static void begin_intern(own *o) { must_intern(intern_permit_acquire(table, &o->permit)); }
static void end_intern(own *o) { must_intern(intern_permit_release(&o->permit)); }

static void do_intern(own *o) {
    intern_symbol s;
    must_intern(intern_get_or_insert(table, &o->permit, o->key, o->key_len, &s, NULL));
}

static void do_intern_new(own *o) {
    char key[32];
    intern_symbol s;
    memcpy(key, o->key, o->key_len);
    memcpy(key + o->key_len, &o->n, sizeof o->n);
    must_intern(intern_get_or_insert(table, &o->permit, key, o->key_len + sizeof o->n, &s, NULL));
}

static void do_intern_mixed(own *o) {
    if (o->n % 10) do_intern(o);
    else do_intern_new(o);
}

typedef struct operation {
    const char *name;
    void (*begin)(own *o), (*run)(own *o), (*end)(own *o);
} operation;

static const operation operations[] = {
    {"pm_get of one map", NULL, do_get, NULL},
    {"pm_set, each its own map", NULL, do_set, end_map},
    {"clone and drop of one map", NULL, do_clone, NULL},
    {"clone and drop of a clone apart", begin_apart, do_clone_apart, end_map},
    {"pm_shared_load and drop", NULL, do_load, NULL},
    {"pm_shared_refresh, nothing new", NULL, do_refresh, end_map},
    {"pm_shared_store", NULL, do_store, NULL},
    {"pm_head_read and drop", NULL, do_read, NULL},
    {"pm_head_refresh, nothing new", begin_reader, do_head_refresh, end_reader},
    {"pm_head_write and drop", NULL, do_claim, NULL},
    {"pm_head_write, one write, drop", NULL, do_claim_write, NULL},
    {"a write through a head's writer", begin_writer, do_write, end_writer},
    {"the same, and a snapshot of it", begin_writer, do_write_read, end_writer},
    {"the same, and a fence of all", begin_writer, do_write_fence, end_writer},
    {"intern what is there", begin_intern, do_intern, end_intern},
    {"intern a new symbol", begin_intern, do_intern_new, end_intern},
    {"intern, a new symbol in ten", begin_intern, do_intern_mixed, end_intern},
};

/* ---- two threads that take turns ---- */

static struct {
    pthread_mutex_t lock;
    pthread_cond_t changed;
    int turn;
} order = {PTHREAD_MUTEX_INITIALIZER, PTHREAD_COND_INITIALIZER, 0};

static counts counted[2];

typedef struct job {
    const operation *op;
    int number;
} job;

static void wait_for_turn(int number) {
    pthread_mutex_lock(&order.lock);
    while (order.turn % 2 != number) pthread_cond_wait(&order.changed, &order.lock);
    pthread_mutex_unlock(&order.lock);
}

static void end_turn(void) {
    pthread_mutex_lock(&order.lock);
    order.turn++;
    pthread_cond_broadcast(&order.changed);
    pthread_mutex_unlock(&order.lock);
}

static own own_of(int number) {
    own o;
    memset(&o, 0, sizeof o);
    o.map = pm_new(NULL, NULL);
    snprintf(o.path, sizeof o.path, "%c/", 'a' + number);
    o.key_len = (size_t)snprintf(o.key, sizeof o.key, "%c/%05d", 'a' + number, 77);
    return o;
}

static void *take_turns(void *arg) {
    const job *j = arg;
    own o = own_of(j->number);
    wait_for_turn(j->number);
    if (j->op->begin) j->op->begin(&o);
    end_turn();
    for (int i = 0; i < 2; i++) { /* warm, then counted */
        for (int k = 0; k < (i ? TURNS : WARM); k++) {
            wait_for_turn(j->number);
            if (i) counting = &counted[j->number];
            o.n++;
            j->op->run(&o);
            counting = NULL;
            end_turn();
        }
    }
    wait_for_turn(j->number);
    if (j->op->end) j->op->end(&o);
    end_turn();
    return NULL;
}

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

static double time_alone(const operation *op) {
    own o = own_of(0);
    double best = 1;
    if (op->begin) op->begin(&o);
    for (int r = 0; r < 5; r++) {
        double start = seconds();
        for (int k = 0; k < TIMED; k++) o.n++, op->run(&o);
        double t = (seconds() - start) / TIMED;
        if (t < best) best = t;
    }
    if (op->end) op->end(&o);
    return best * 1e9;
}

/* ---- the table ---- */

static uint64_t writes_to(const counts *c, uintptr_t line) {
    for (size_t i = 0; i < LINES; i++)
        if (c->line[i] == line) return c->writes[i];
    return 0;
}

static void print_row(const operation *op, double alone, double transfer, double cores) {
    uint64_t common = 0, lines = 0, most = 0;
    for (size_t i = 0; i < LINES; i++) {
        uint64_t mine = counted[0].writes[i];
        if (!mine || !writes_to(&counted[1], counted[0].line[i])) continue;
        common += mine;
        if (mine * 2 > TURNS) lines++; /* in most of the operations */
        if (mine > most) most = mine;
    }
    double busiest = (double)most / TURNS, waiting = (double)common / TURNS;
    double each = alone + waiting * transfer, speedup = cores * alone / each;
    if (busiest > 0 && speedup > alone / (busiest * transfer)) speedup = alone / (busiest * transfer);
    printf("| %-32s | %5.1f | %6.1f | %6.1f | %5llu | %5.1f | %7.1f | %7.2f |\n", op->name,
           (double)counted[0].rmws / TURNS, (double)counted[0].stores / TURNS, waiting, (unsigned long long)lines,
           busiest, alone, speedup);
}

static void measure(const operation *op, double transfer, double cores) {
    pthread_t t[2];
    job j[2] = {{op, 0}, {op, 1}};
    pm_map m = pm_clone(&map);
    must(pm_shared_new(&map, &shared));
    must(pm_head_new_move(&m, &head));
    must_intern(intern_table_new(NULL, &table));
    memset(counted, 0, sizeof counted);
    order.turn = 0;
    for (int i = 0; i < 2; i++)
        if (pthread_create(&t[i], NULL, take_turns, &j[i])) must(PM_NOMEM);
    for (int i = 0; i < 2; i++) pthread_join(t[i], NULL);
    print_row(op, time_alone(op), transfer, cores);
    must(pm_head_free(head, NULL, NULL));
    pm_shared_free(shared);
    intern_table_free(table);
}

int main(int argc, char **argv) {
    double transfer = 50, cores = 64;
    for (int i = 1; i + 1 < argc; i += 2) {
        if (strcmp(argv[i], "--transfer") == 0) transfer = atof(argv[i + 1]);
        if (strcmp(argv[i], "--cores") == 0) cores = atof(argv[i + 1]);
    }
    map = pm_new(NULL, NULL);
    for (unsigned i = 0; i < KEYS; i++) {
        char key[16];
        int n = snprintf(key, sizeof key, "%c/%05u", (char)('a' + i % 26), i / 26);
        must(pm_set(&map, key, (size_t)n, i, NULL));
    }
    printf("| %-32s |  RMWs | stores | common | lines |  most | ns of 1 | x on %.0f |\n", "operation", cores);
    printf("|%s|---:|---:|---:|---:|---:|---:|---:|\n", "---");
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) measure(&operations[i], transfer, cores);
    pm_drop(&map);
    return 0;
}
