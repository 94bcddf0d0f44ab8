/* The rival of bench_algebra: sorted vectors of strings (bench/rivals/std_algebra.cc). Used when BENCH_STD is 1. */
#ifndef BENCH_ALGEBRA_H
#define BENCH_ALGEBRA_H

#include "bench.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bench_algebra_op { BENCH_JOIN, BENCH_MEET, BENCH_SUBTRACT } bench_algebra_op;

/* A sorted vector of the keys from, from + step, .. below `to`. */
void *bench_std_make(const bench_list *l, size_t from, size_t to, size_t step);
void bench_std_free(void *v);
/* Combine two of them into a new vector, or a std::map. *ns: the time that took. Answer the size of the result. */
size_t bench_std_vector(bench_algebra_op op, const void *a, const void *b, uint64_t *ns);
size_t bench_std_map(bench_algebra_op op, const void *a, const void *b, uint64_t *ns);

#ifdef __cplusplus
}
#endif
#endif
