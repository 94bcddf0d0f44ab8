/* One operation on several threads: joining, counting and dropping large maps on a team of four POSIX threads. With
   OpenMP the team is a loop under `#pragma omp parallel for schedule(dynamic)`. */
#include <stdatomic.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

#include "parallel.h"

enum { WORKERS = 4, KEYS = 50000 };

/* Tasks that are left; whoever is free takes the next. */
typedef struct tasks {
    void (*task)(void *arg, size_t i);
    void *arg;
    size_t n;
    _Atomic size_t next;
} tasks;

static void *work(void *arg) {
    tasks *t = *(tasks **)arg;
    for (size_t i; (i = atomic_fetch_add(&t->next, 1)) < t->n;) t->task(t->arg, i);
    return NULL;
}

/* A program that does this often keeps its threads waiting instead of starting them anew. */
static void run(void *ctx, void (*task)(void *arg, size_t i), void *arg, size_t n) {
    (void)ctx;
    tasks t = {task, arg, n, 0}, *each[WORKERS];
    for (size_t i = 0; i < WORKERS; i++) each[i] = &t;
    run_each(work, each, sizeof each[0], WORKERS);
}

int main(void) {
    pm_team team = {run, NULL, WORKERS};
    static char text[2][KEYS][16];
    static pm_key keys[2][KEYS];
    pm_map maps[2], both;
    for (unsigned m = 0; m < 2; m++) {
        for (unsigned i = 0; i < KEYS; i++) {
            unsigned number = i * (2 + m); /* even ones, and multiples of three */
            int len = snprintf(text[m][i], sizeof text[m][i], "%u/%u", number % 97, number);
            keys[m][i] = (pm_key){text[m][i], (size_t)len};
        }
        must(pm_par_build(&team, pm_ops_unit(), NULL, keys[m], NULL, KEYS, &maps[m]));
    }
    uint64_t n = 0;
    must(pm_par_join(&team, &maps[0], &maps[1], &both, NULL));
    must(pm_par_val_count(&team, &both, &n));
    printf("joined: %llu keys\n", (unsigned long long)n);

    pm_hash128 one, many;
    must(pm_hash(&both, &one));
    must(pm_par_hash(&team, &both, &many));
    printf("hash by the team: %s\n", one.lo == many.lo && one.hi == many.hi ? "the same" : "another");

    pm_map common;
    must(pm_par_meet(&team, &maps[0], &maps[1], &common, NULL));
    must(pm_par_val_count(&team, &common, &n));
    printf("common: %llu keys\n", (unsigned long long)n);
    pm_par_drop(&team, &common);
    pm_par_drop(&team, &both);
    for (unsigned m = 0; m < 2; m++) pm_par_drop(&team, &maps[m]);
    return 0;
}
