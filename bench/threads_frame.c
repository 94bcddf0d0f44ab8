/* The frame of bench_threads: its settings, rows printed, workers started together and timed. */
#include "bench_threads.h"

#if defined(__linux__)
#include <sched.h>
#endif

setting set = {NULL, NULL, NULL, 5, {0}, 0, 0, false, false};
worker workers[THREADS_MAX];

bool all_good = true;

void must(pm_status s) {
    if (s != PM_OK) bench_die(pm_status_text(s), NULL);
}

void good(bool ok, const char *op, const char *why) {
    if (ok) return;
    bench_bad(library_engine(), set.name, op, why);
    all_good = false;
}

void emit(const char *op, const char *metric, double value) {
    bench_emit(library_engine(), set.name, op, metric, value);
}

void emit_samples(const char *op, const char *unit, bench_samples *s) {
    bench_emit_samples(library_engine(), set.name, op, unit, s);
}

/* ---- threads ---- */

static double spent_ns(void) {
    struct timespec t;
    clock_gettime(CLOCK_THREAD_CPUTIME_ID, &t);
    return (double)t.tv_sec * 1e9 + (double)t.tv_nsec;
}

double clock_ns(void) { return set.cpu ? spent_ns() : (double)bench_now(); }

#if defined(__linux__)
static cpu_set_t usable;

void pin_prepare(void) {
    if (sched_getaffinity(0, sizeof usable, &usable)) bench_die("cannot tell the usable cores", NULL);
}

static void pin(int number) {
    int turn = number % CPU_COUNT(&usable);
    size_t core = 0;
    cpu_set_t one;
    while (!CPU_ISSET(core, &usable) || turn-- > 0) core++;
    CPU_ZERO(&one);
    CPU_SET(core, &one);
    if (sched_setaffinity(0, sizeof one, &one)) bench_die("cannot pin a thread", NULL);
}

int usable_cores(void) {
    pin_prepare();
    return CPU_COUNT(&usable);
}
#else
void pin_prepare(void) { bench_die("--pin works on Linux only", NULL); }
static void pin(int number) { (void)number; }
int usable_cores(void) { return (int)sysconf(_SC_NPROCESSORS_ONLN); }
#endif

static void *run_worker(void *arg) {
    worker *w = arg;
    if (set.pin) pin(w->number);
    pthread_barrier_wait(w->gate);
    w->start = bench_now();
    w->spent = spent_ns();
    w->fn(w);
    w->spent = spent_ns() - w->spent;
    w->end = bench_now();
    return NULL;
}

/* Threads take their own times: when they all share few cores, whoever waits for them is told late. */
static double time_of(int threads, bool supply) {
    uint64_t start = workers[0].start, end = workers[0].end;
    double most = 0, all = 0;
    for (int i = 0; i < threads; i++) {
        const worker *w = &workers[i];
        if (w->start < start) start = w->start;
        if (w->end > end) end = w->end;
        if (w->spent > most) most = w->spent;
        all += w->spent;
    }
    if (set.cpu) return supply ? all / threads : most;
    return (double)(end - start);
}

double run_workers(int threads, int parts, void (*fn)(worker *w), bool supply) {
    static pthread_t t[THREADS_MAX];
    pthread_barrier_t gate;
    pthread_barrier_init(&gate, NULL, (unsigned)threads);
    for (int i = 0; i < threads; i++) {
        memset(&workers[i], 0, sizeof workers[i]);
        workers[i].fn = fn;
        workers[i].number = i;
        workers[i].threads = threads;
        workers[i].parts = parts;
        workers[i].gate = &gate;
        if (pthread_create(&t[i], NULL, run_worker, &workers[i])) bench_die("cannot start a thread", NULL);
    }
    for (int i = 0; i < threads; i++) pthread_join(t[i], NULL);
    pthread_barrier_destroy(&gate);
    return time_of(threads, supply);
}

uint64_t workers_sum(int threads) {
    uint64_t sum = 0;
    for (int i = 0; i < threads; i++) sum += workers[i].sum;
    return sum;
}
