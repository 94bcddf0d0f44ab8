/* What bench_store asks of an engine: a file of keys and values, by the same calls for all. */
#ifndef STORES_H
#define STORES_H

#include "bench.h"

/* How a file is opened: to change it, without or with waiting for the disk at each commit; or to read it. */
typedef enum store_mode { STORE_UNSYNCED, STORE_SYNCED, STORE_READ } store_mode;

typedef struct store_engine {
    const char *name;
    size_t longest; /* bytes of a key that it can take; 0: any number */
    bool whole;     /* it saves everything, or nothing: no changes */
    bool appends;   /* a commit is what the file grows by: cutting the file there is what a crash within it leaves */
    bool apart;     /* compaction makes another file, which who reads has to open himself */
    void *(*open)(const char *path, store_mode mode); /* makes the file if there is none, unless to read */
    void (*close)(void *m);
    /* One transaction: gives n keys, every step-th, their values plus `more`. */
    void (*put)(void *m, const bench_list *l, size_t first, size_t step, size_t n, uint64_t more);
    uint64_t (*get)(void *m, const bench_list *l); /* all keys, in one reading; returns the sum of their values */
    uint64_t (*iterate)(void *m);                  /* all values in the order of their keys; returns their sum */
    void (*compact)(void *m);                      /* NULL: none */
} store_engine;

#ifdef __cplusplus
extern "C"
#endif
    void
    store_register(const store_engine *e);

#define STORE_ENGINE(e)                                                                                                \
    __attribute__((constructor)) static void e##_register(void) { store_register(&e); }

#endif
