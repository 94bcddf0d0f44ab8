/* One operation on several threads, with OpenMP: the team is a loop. Compiled without OpenMP the loop runs on one
   thread, to the same result. With threads of one's own: threads_team.c. */
#include <stdio.h>
#include <stdlib.h>
#ifdef _OPENMP
#include <omp.h>
#endif

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

enum { KEYS = 100000, SHARE = 1000 };

static void must(pm_status s) {
    if (s == PM_OK) return;
    fprintf(stderr, "%s\n", pm_status_text(s));
    exit(1);
}

static void run(void *ctx, void (*task)(void *arg, size_t i), void *arg, size_t n) {
    (void)ctx;
#ifdef _OPENMP
#pragma omp parallel for schedule(dynamic)
#endif
    for (size_t i = 0; i < n; i++) task(arg, i);
}

/* What each share of the orders comes to; folds add such sums up. */
static int add_up(void *ctx, const pm_fold_at *here, void *out) {
    uint64_t sum = here->val ? *here->val : 0;
    (void)ctx;
    for (unsigned i = 0; i < here->n; i++) sum += ((uint64_t *)here->results)[i];
    *(uint64_t *)out = sum;
    return PM_OK;
}

int main(void) {
#ifdef _OPENMP
    pm_team team = {run, NULL, (unsigned)omp_get_max_threads()};
#else
    pm_team team = {run, NULL, 1};
#endif
    static char text[KEYS][24];
    static pm_key keys[KEYS];
    static pm_val cents[KEYS];
    for (unsigned i = 0; i < KEYS; i++) {
        int len = snprintf(text[i], sizeof text[i], "customer/%u/%u", i % SHARE, i);
        keys[i] = (pm_key){text[i], (size_t)len};
        cents[i] = i % 100;
    }
    pm_map orders, paid, open;
    must(pm_par_build(&team, NULL, NULL, keys, cents, KEYS, &orders));
    must(pm_par_build(&team, NULL, NULL, keys, cents, KEYS / 4, &paid));
    must(pm_par_subtract(&team, &orders, &paid, &open, NULL));

    const pm_fold f = {.size = sizeof(uint64_t), .flags = PM_FOLD_CACHED, .at = add_up};
    uint64_t n = 0, sum = 0;
    must(pm_par_val_count(&team, &open, &n));
    if (pm_par_fold_map(&team, &open, &f, &sum) != PM_OK) return 1;
    printf("open: %llu orders, %llu cents\n", (unsigned long long)n, (unsigned long long)sum);

    pm_par_drop(&team, &open);
    pm_par_drop(&team, &paid);
    pm_par_drop(&team, &orders);
    return 0;
}
