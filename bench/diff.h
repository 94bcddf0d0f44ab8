/* What bench_diff asks of a map whose versions are compared. */
#ifndef DIFF_H
#define DIFF_H

#include "bench.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef struct diff_engine {
    const char *name;
    void *(*make)(const bench_list *l);
    /* Another version: of n keys, every step-th from the first on, each eighth goes, the others get a value with one
       bit changed. */
    void *(*change)(const void *m, const bench_list *l, size_t step, size_t n);
    /* How many keys differ. */
    size_t (*diff)(const void *a, const void *b);
    void (*drop)(void *m);
} diff_engine;

void diff_register(const diff_engine *e);

#ifdef __cplusplus
}
#endif

#endif
