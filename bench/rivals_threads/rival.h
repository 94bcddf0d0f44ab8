/* A rival of bench_threads: a table from keys to numbers that any thread may use at any time. Keys stay
   the caller's. */
#ifndef BENCH_RIVAL_H
#define BENCH_RIVAL_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

typedef struct rival {
    const char *name;
    void *(*make)(size_t expected); /* NULL: no memory */
    void (*drop)(void *table);
    void (*enter)(void), (*leave)(void); /* each thread that uses tables */
    bool (*get)(void *table, const void *key, size_t len, uint64_t *out);
    bool (*set)(void *table, const void *key, size_t len, uint64_t val);
} rival;

extern const rival rival_tbb, rival_urcu;

#ifdef __cplusplus
}
#endif
#endif
