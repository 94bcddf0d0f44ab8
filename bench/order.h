/* What bench_order asks of a map that is compared. */
#ifndef ORDER_H
#define ORDER_H

#include "bench.h"

#ifdef __cplusplus
extern "C" {
#endif

/* Sums are of the values found, so that answers can be compared. split_and_concat NULL: it cannot. */
typedef struct order_engine {
    const char *name;
    void *(*make)(const bench_list *l);
    void (*drop)(void *m);
    /* The value of the first key at or after, of the last one before; 0: none. */
    uint64_t (*at_or_after)(void *m, bench_key k);
    uint64_t (*before)(void *m, bench_key k);
    uint64_t (*longest)(void *m, bench_key k);
    uint64_t (*count)(void *m, bench_key from, bench_key to);
    void (*erase)(void *m, bench_key from, bench_key to);
    uint64_t (*pop)(void *m);
    void (*split_and_concat)(void *m, bench_key k);
    uint64_t (*size)(void *m);
} order_engine;

void order_register(const order_engine *e);

#ifdef __cplusplus
}
#endif

#endif
