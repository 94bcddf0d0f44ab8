/* The rivals of bench_algebra: sorted vectors of strings, and std::map (bench/rivals/std_algebra.cc). Used when
   BENCH_STD is 1. */
#ifndef BENCH_ALGEBRA_H
#define BENCH_ALGEBRA_H

#include "bench.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum bench_algebra_op {
    BENCH_JOIN,
    BENCH_MEET,
    BENCH_SUBTRACT,
    BENCH_DIFFER,  /* symmetric difference */
    BENCH_RESTRICT /* of the left, what has a prefix in the right */
} bench_algebra_op;

typedef enum bench_std_kind {
    BENCH_VECTOR, /* sorted vectors, combined into another one */
    BENCH_TO_MAP, /* sorted vectors, combined into a std::map */
    BENCH_MAP,    /* std::maps, combined into another one */
    BENCH_STD_KINDS
} bench_std_kind;

const char *bench_std_name(bench_std_kind kind);
/* An operand of that kind: the keys from, from + step, .. below `to`. */
void *bench_std_make(bench_std_kind kind, const bench_list *l, size_t from, size_t to, size_t step);
void bench_std_free(bench_std_kind kind, void *v);
/* Combine operands into something new. *took: the time that took. Answer the size of the result. */
size_t bench_std_combine(bench_std_kind kind, bench_algebra_op op, const void *a, const void *b, bench_clock *took);
size_t bench_std_combine_many(bench_std_kind kind, bench_algebra_op op, void *const *parts, size_t n,
                              bench_clock *took);
/* Inserts what `map`, a std::map, does not have, and erases it again; answers its size in between. */
size_t bench_std_insert(void *map, const bench_list *l, bench_clock *inserts, bench_clock *erases);
/* Adds up the values of a std::map. */
uint64_t bench_std_sum(const void *map, bench_clock *took);

#ifdef __cplusplus
}
#endif
#endif
