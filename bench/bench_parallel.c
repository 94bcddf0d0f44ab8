/* Measures operations on whole maps that a team of threads carries out (pm_par_), against the same with one thread
   (pm_join and so on), and says what more workers than the machine has would bring.

   Rows "OP@1" are the plain operation, "OP@2", "OP@4" .. those of a team of so many threads, which wait between
   operations: by the wall clock, which is the one that counts here.

   Rows "OP~16" and so on are a model. A team that says it has so many workers runs each task by itself, on one
   thread, and takes its time; the least of all runs is a task's. What then has to be waited for: the calling
   thread's own work ("alone"), and in each round of tasks the end of the last one, where whoever is free takes the
   next. The critical path ("span") is the same with a worker for each task, the work is all of it together. The
   model knows nothing of caches, of memory that is shared, nor of locks: it is what the division into pieces allows,
   not what a machine gives.

   Keys are halved as in bench_algebra: "halves" of even and odd number, "overlap" the first and last two thirds.
   Each result is compared with that of one thread. */
#define _GNU_SOURCE
#define PATHMAP_STATIC
#include "pathmap.h"

#include "bench.h"

#include <pthread.h>
#include <stdatomic.h>

#ifndef ENGINE_NAME
#define ENGINE_NAME "pathmap"
#endif

enum { MAX_THREADS = 64, MAX_TASKS = 1 << 16, MODELS = 3 };
static const unsigned models[MODELS] = {2, 16, 64};

static bool failed;

static void need(pm_status s) {
    if (s != PM_OK) bench_die("pathmap", pm_status_text(s));
}

/* ---- a team of threads ----------------------------------------------------------------------------------------- */

typedef struct crew {
    pthread_t thread[MAX_THREADS];
    unsigned n; /* threads, the calling one included */
    pthread_mutex_t lock;
    pthread_cond_t begun, ended;
    unsigned round, at_work;
    bool over;
    void (*task)(void *arg, size_t i);
    void *arg;
    size_t tasks;
    _Atomic size_t next;
} crew;

static void work_off(crew *c) {
    for (size_t i; (i = atomic_fetch_add(&c->next, 1)) < c->tasks;) c->task(c->arg, i);
}

static void *wait_for_work(void *arg) {
    crew *c = arg;
    unsigned round = 0;
    pthread_mutex_lock(&c->lock);
    for (;;) {
        while (c->round == round && !c->over) pthread_cond_wait(&c->begun, &c->lock);
        if (c->over) break;
        round = c->round;
        pthread_mutex_unlock(&c->lock);
        work_off(c);
        pthread_mutex_lock(&c->lock);
        if (--c->at_work == 0) pthread_cond_signal(&c->ended);
    }
    pthread_mutex_unlock(&c->lock);
    return NULL;
}

static void run_tasks(void *ctx, void (*task)(void *arg, size_t i), void *arg, size_t n) {
    crew *c = ctx;
    pthread_mutex_lock(&c->lock);
    c->task = task;
    c->arg = arg;
    c->tasks = n;
    atomic_store(&c->next, 0);
    c->at_work = c->n - 1;
    c->round++;
    pthread_cond_broadcast(&c->begun);
    pthread_mutex_unlock(&c->lock);
    work_off(c);
    pthread_mutex_lock(&c->lock);
    while (c->at_work) pthread_cond_wait(&c->ended, &c->lock);
    pthread_mutex_unlock(&c->lock);
}

static void crew_begin(crew *c, unsigned n) {
    memset(c, 0, sizeof *c);
    c->n = n;
    pthread_mutex_init(&c->lock, NULL);
    pthread_cond_init(&c->begun, NULL);
    pthread_cond_init(&c->ended, NULL);
    for (unsigned i = 1; i < n; i++)
        if (pthread_create(&c->thread[i], NULL, wait_for_work, c)) bench_die("cannot start a thread", NULL);
}

static void crew_end(crew *c) {
    pthread_mutex_lock(&c->lock);
    c->over = true;
    pthread_cond_broadcast(&c->begun);
    pthread_mutex_unlock(&c->lock);
    for (unsigned i = 1; i < c->n; i++) pthread_join(c->thread[i], NULL);
    pthread_mutex_destroy(&c->lock);
    pthread_cond_destroy(&c->begun);
    pthread_cond_destroy(&c->ended);
}

/* ---- a team that is a model ------------------------------------------------------------------------------------ */

typedef struct model {
    uint64_t took[MAX_TASKS]; /* by each task, the least of all runs */
    size_t round[MAX_TASKS];  /* to which it belongs */
    size_t used, tasks, rounds, now;
    uint64_t inside, alone; /* in this run: in tasks; in all runs, the least: outside of them */
    bool other;             /* a run had other tasks than the first */
} model;

static void time_tasks(void *ctx, void (*task)(void *arg, size_t i), void *arg, size_t n) {
    model *m = ctx;
    uint64_t entered = bench_cpu();
    for (size_t i = 0; i < n; i++) {
        uint64_t start = bench_cpu();
        task(arg, i);
        uint64_t took = bench_cpu() - start;
        if (m->used == MAX_TASKS) bench_die("too many tasks", NULL);
        size_t at = m->used++;
        m->other |= m->tasks && (at >= m->tasks || m->round[at] != m->now);
        if (!m->tasks || took < m->took[at]) m->took[at] = took;
        m->round[at] = m->now;
    }
    m->now++;
    m->inside += bench_cpu() - entered;
}

static void model_run_ends(model *m, uint64_t whole) {
    uint64_t alone = whole > m->inside ? whole - m->inside : 0;
    m->other |= m->tasks && (m->tasks != m->used || m->rounds != m->now);
    if (!m->tasks || alone < m->alone) m->alone = alone;
    m->tasks = m->used;
    m->rounds = m->now;
    m->used = m->now = 0;
    m->inside = 0;
}

/* The end of a round that begins with task `from`: each task goes to the worker who is free first. */
static uint64_t round_takes(const model *m, size_t *from, unsigned workers) {
    uint64_t free_at[MAX_THREADS] = {0}, last = 0;
    size_t round = m->round[*from];
    for (; *from < m->tasks && m->round[*from] == round; ++*from) {
        unsigned first = 0;
        for (unsigned w = 1; w < workers; w++)
            if (free_at[w] < free_at[first]) first = w;
        free_at[first] += m->took[*from];
        if (free_at[first] > last) last = free_at[first];
    }
    return last;
}

static uint64_t takes_with(const model *m, unsigned workers) {
    uint64_t ns = m->alone;
    for (size_t at = 0; at < m->tasks;) ns += round_takes(m, &at, workers);
    return ns;
}

static uint64_t span_of(const model *m) {
    uint64_t ns = m->alone;
    for (size_t at = 0; at < m->tasks;) {
        uint64_t longest = 0;
        size_t round = m->round[at];
        for (; at < m->tasks && m->round[at] == round; at++)
            if (m->took[at] > longest) longest = m->took[at];
        ns += longest;
    }
    return ns;
}

static uint64_t work_of(const model *m) {
    uint64_t ns = m->alone;
    for (size_t at = 0; at < m->tasks; at++) ns += m->took[at];
    return ns;
}

/* ---- operations ------------------------------------------------------------------------------------------------ */

typedef struct set {
    const char *name;
    size_t n;
    pm_key *sorted, *shuffled;
    pm_map even, odd, low, high, all;
} set;

/* What an operation comes to. */
typedef struct outcome {
    pm_map map;
    uint64_t number;
} outcome;

/* With `team` NULL: the plain one. *took: without what is prepared and cleaned up. */
typedef struct operation {
    const char *name;
    void (*run)(const set *s, const pm_team *team, outcome *out, bench_clock *took);
} operation;

typedef pm_status (*plain_op)(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
typedef pm_status (*team_op)(const pm_team *team, const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);

static void algebra(const pm_team *team, plain_op plain, team_op by_team, const pm_map *a, const pm_map *b,
                    outcome *out, bench_clock *took) {
    bench_clock start = bench_start();
    need(team ? by_team(team, a, b, &out->map, NULL) : plain(a, b, &out->map, NULL));
    *took = bench_since(start);
}

static void run_join_halves(const set *s, const pm_team *t, outcome *out, bench_clock *took) {
    algebra(t, pm_join, pm_par_join, &s->even, &s->odd, out, took);
}

static void run_join_overlap(const set *s, const pm_team *t, outcome *out, bench_clock *took) {
    algebra(t, pm_join, pm_par_join, &s->low, &s->high, out, took);
}

static void run_meet(const set *s, const pm_team *t, outcome *out, bench_clock *took) {
    algebra(t, pm_meet, pm_par_meet, &s->low, &s->high, out, took);
}

static void run_subtract(const set *s, const pm_team *t, outcome *out, bench_clock *took) {
    algebra(t, pm_subtract, pm_par_subtract, &s->low, &s->high, out, took);
}

static void run_differ(const set *s, const pm_team *t, outcome *out, bench_clock *took) {
    algebra(t, pm_symmetric_difference, pm_par_symmetric_difference, &s->low, &s->high, out, took);
}

static void build(const pm_team *t, const pm_key *keys, size_t n, pm_map *out) {
    need(t ? pm_par_build(t, pm_ops_unit(), NULL, keys, NULL, n, out)
           : pm_build(pm_ops_unit(), NULL, keys, NULL, n, out));
}

static void run_build(const set *s, const pm_team *t, outcome *out, bench_clock *took) {
    bench_clock start = bench_start();
    build(t, s->sorted, s->n, &out->map);
    *took = bench_since(start);
}

static void run_build_shuffled(const set *s, const pm_team *t, outcome *out, bench_clock *took) {
    bench_clock start = bench_start();
    build(t, s->shuffled, s->n, &out->map);
    *took = bench_since(start);
}

/* A count is remembered, and so is a hash: each is asked of a map that is newly built. */
static void run_count(const set *s, const pm_team *t, outcome *out, bench_clock *took) {
    build(NULL, s->sorted, s->n, &out->map);
    bench_clock start = bench_start();
    need(t ? pm_par_val_count(t, &out->map, &out->number) : pm_val_count(&out->map, &out->number));
    *took = bench_since(start);
}

static void run_hash(const set *s, const pm_team *t, outcome *out, bench_clock *took) {
    pm_hash128 h;
    build(NULL, s->sorted, s->n, &out->map);
    bench_clock start = bench_start();
    need(t ? pm_par_hash(t, &out->map, &h) : pm_hash(&out->map, &h));
    *took = bench_since(start);
    out->number = h.lo ^ h.hi;
}

static int add_up(void *ctx, const pm_fold_at *here, void *out) {
    uint64_t n = here->val ? 1 : 0;
    (void)ctx;
    for (unsigned i = 0; i < here->n; i++) n += ((uint64_t *)here->results)[i];
    *(uint64_t *)out = n;
    return PM_OK;
}

static void run_fold(const set *s, const pm_team *t, outcome *out, bench_clock *took) {
    const pm_fold f = {.size = sizeof(uint64_t), .flags = PM_FOLD_CACHED, .at = add_up};
    bench_clock start = bench_start();
    int status = t ? pm_par_fold_map(t, &s->all, &f, &out->number) : pm_fold_map(&s->all, &f, &out->number);
    *took = bench_since(start);
    if (status != PM_OK) bench_die("a fold failed", NULL);
}

static void run_drop(const set *s, const pm_team *t, outcome *out, bench_clock *took) {
    pm_map m;
    build(NULL, s->sorted, s->n, &m);
    bench_clock start = bench_start();
    if (t) pm_par_drop(t, &m);
    else pm_drop(&m);
    *took = bench_since(start);
    out->number = pm_is_empty(&m);
}

static const operation operations[] = {
    {"join_halves", run_join_halves}, {"join_overlap", run_join_overlap},     {"meet_overlap", run_meet},
    {"subtract_overlap", run_subtract}, {"differ_overlap", run_differ},       {"build", run_build},
    {"build_shuffled", run_build_shuffled}, {"count", run_count},             {"hash", run_hash},
    {"fold", run_fold},               {"drop", run_drop}};

/* ---- measuring ------------------------------------------------------------------------------------------------- */

static void check(const set *s, const char *op, const outcome *got, const outcome *want) {
    bool same = false;
    need(pm_equal(&got->map, &want->map, &same));
    if (same && got->number == want->number) return;
    bench_bad(ENGINE_NAME, s->name, op, "another result than with one thread");
    failed = true;
}

static const outcome nothing = {{0}, 0};

static void run_once(const set *s, const operation *o, const pm_team *t, const outcome *want, bench_clock *took) {
    outcome out = nothing;
    o->run(s, t, &out, took);
    check(s, o->name, &out, want);
    pm_drop(&out.map);
}

static void measure_threads(const set *s, const operation *o, unsigned most, int runs, const outcome *want) {
    for (unsigned n = 1; n <= most; n *= 2) {
        bench_times t = {{{0}, 0}, {{0}, 0}};
        char op[64];
        crew c;
        pm_team team = {run_tasks, &c, n};
        crew_begin(&c, n);
        for (int k = 0; k < runs; k++) {
            bench_clock took;
            run_once(s, o, n > 1 ? &team : NULL, want, &took);
            bench_took(&t, took, (double)s->n);
        }
        crew_end(&c);
        snprintf(op, sizeof op, "par_%s@%u", o->name, n);
        /* of several threads the calling one's clock says little */
        if (n == 1) bench_emit_times(ENGINE_NAME, s->name, op, "ns_per_key", &t);
        else bench_emit_samples(ENGINE_NAME, s->name, op, "ns_per_key", &t.wall);
    }
}

static void emit_model(const set *s, const operation *o, const model *m, unsigned workers, double plain) {
    char op[64];
    snprintf(op, sizeof op, "par_%s~%u", o->name, workers);
    const double n = (double)s->n, ns = (double)takes_with(m, workers);
    bench_emit(ENGINE_NAME, s->name, op, "tasks", (double)m->tasks);
    bench_emit(ENGINE_NAME, s->name, op, "rounds", (double)m->rounds);
    bench_emit(ENGINE_NAME, s->name, op, "alone_ns_per_key", (double)m->alone / n);
    bench_emit(ENGINE_NAME, s->name, op, "work_ns_per_key", (double)work_of(m) / n);
    bench_emit(ENGINE_NAME, s->name, op, "span_ns_per_key", (double)span_of(m) / n);
    bench_emit(ENGINE_NAME, s->name, op, "model_ns_per_key", ns / n);
    bench_emit(ENGINE_NAME, s->name, op, "model_speedup", plain / ns);
}

/* `plain`: what the operation took without a team, by the same clock. */
static void measure_model(const set *s, const operation *o, int runs, const outcome *want) {
    static model m;
    double plain = 0;
    for (int k = 0; k < runs; k++) {
        bench_clock took;
        run_once(s, o, NULL, want, &took);
        if (!k || (double)took.cpu < plain) plain = (double)took.cpu;
    }
    for (int i = 0; i < MODELS; i++) {
        pm_team team = {time_tasks, &m, models[i]};
        memset(&m, 0, sizeof m);
        for (int k = 0; k < runs; k++) {
            bench_clock took;
            run_once(s, o, &team, want, &took);
            model_run_ends(&m, took.cpu);
        }
        if (m.other) {
            bench_bad(ENGINE_NAME, s->name, o->name, "another run was divided otherwise");
            failed = true;
        }
        emit_model(s, o, &m, models[i], plain);
    }
}

static bool wanted(const char *list, const char *op) {
    size_t n = strlen(op);
    if (!list) return true;
    for (const char *p = list; *p; p += strcspn(p, ","), p += *p == ',')
        if (strcspn(p, ",") == n && strncmp(p, op, n) == 0) return true;
    return false;
}

static pm_map fill(const bench_list *l, size_t from, size_t to, size_t step) {
    pm_map m = pm_new(pm_ops_lattice(), NULL);
    for (size_t i = from; i < to; i += step) need(pm_set(&m, l->key[i].data, l->key[i].len, l->val[i], NULL));
    return m;
}

static pm_key *keys_of(const bench_list *l) {
    pm_key *k = bench_alloc(l->n * sizeof *k);
    for (size_t i = 0; i < l->n; i++) k[i] = (pm_key){l->key[i].data, l->key[i].len};
    return k;
}

static void run_all(const bench_list *l, const char *name, const char *ops, unsigned threads, int runs) {
    bench_list sorted = bench_list_sort(l);
    const size_t n = l->n, third = n / 3;
    set s = {.name = name, .n = n, .sorted = keys_of(&sorted), .shuffled = keys_of(l)};
    s.even = fill(l, 0, n, 2);
    s.odd = fill(l, 1, n, 2);
    s.low = fill(l, 0, n - third, 1);
    s.high = fill(l, third, n, 1);
    s.all = fill(l, 0, n, 1);
    for (size_t i = 0; i < sizeof operations / sizeof *operations; i++) {
        const operation *o = &operations[i];
        outcome want = nothing;
        bench_clock took;
        if (!wanted(ops, o->name)) continue;
        o->run(&s, NULL, &want, &took);
        measure_threads(&s, o, threads, runs, &want);
        measure_model(&s, o, runs, &want);
        pm_drop(&want.map);
    }
    pm_map *maps[] = {&s.even, &s.odd, &s.low, &s.high, &s.all};
    for (size_t i = 0; i < sizeof maps / sizeof *maps; i++) pm_drop(maps[i]);
    free(s.sorted);
    free(s.shuffled);
    bench_list_free(&sorted);
}

int main(int argc, char **argv) {
    const char *keys = NULL, *name = NULL, *ops = NULL;
    int runs = 5, threads = (int)sysconf(_SC_NPROCESSORS_ONLN);
    const bench_option options[] = {{"--keys", &keys, NULL, 0}, {"--name", &name, NULL, 0}, {"--ops", &ops, NULL, 0},
                                    {"--runs", NULL, &runs, BENCH_SAMPLES}, {"--threads", NULL, &threads, MAX_THREADS},
                                    {NULL, NULL, NULL, 0}};
    const char *usage = "usage: bench_parallel --keys FILE --name NAME [--ops a,b] [--runs N] [--threads MOST]\n"
                        "  operations:";
    if (!bench_read_options(argc, argv, usage, options)) {
        for (size_t k = 0; k < sizeof operations / sizeof *operations; k++) printf("    %s\n", operations[k].name);
        return 0;
    }
    if (!keys || !name) bench_die("--keys and --name are needed (--help)", NULL);
    bench_describe("bench_parallel");
    printf("# runs %d\n", runs);
    bench_list l = bench_load(keys);
    printf("# dataset %s keys %zu bytes %zu\n", name, l.n, l.nbytes);
    if (l.n < 3) bench_die("too few keys", keys);
    run_all(&l, name, ops, (unsigned)threads, runs);
    bench_list_free(&l);
    return failed;
}
