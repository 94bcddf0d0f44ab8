/* The sets that bench_sets compares: of integers for some, of their eight bytes for others. */
#ifndef SETS_H
#define SETS_H

#include "engine.h"

#ifdef __cplusplus
extern "C" {
#endif

typedef enum sets_op { SETS_JOIN, SETS_MEET, SETS_SUBTRACT, SETS_OPS } sets_op;

typedef struct sets_engine {
    const char *name;
    unsigned flags; /* BENCH_OURS, BENCH_ORDERED */
    int rank;       /* place in the output */
    void *(*make)(const bench_list *l); /* adds one by one, in the order of the list */
    void (*drop)(void *s);
    size_t (*has)(void *s, const bench_list *l); /* how many of these are in it */
    uint64_t (*sum)(void *s);                    /* of all elements, as integers, in order */
    void *(*combine)(void *a, void *b, sets_op op); /* a new set; the operands stay as they are */
    uint64_t (*bytes)(void *s);                  /* NULL: measured around malloc */
} sets_engine;

void sets_register(const sets_engine *e);

#ifdef __cplusplus
}
#endif

#define SETS_ENGINE(e)                                                                                                 \
    __attribute__((constructor)) static void e##_register(void) { sets_register(&e); }

#endif
