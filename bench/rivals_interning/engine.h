/* What bench_interning asks of an interner: whole loops, so that no indirect call stands between two operations.
   A loop that an engine does not have is NULL. Every loop may be run by several threads at once on parts of the
   arrays; `thread` is between enter and leave on that thread. */
#ifndef BENCH_INTERNING_ENGINE_H
#define BENCH_INTERNING_ENGINE_H

#include "../bench.h"

typedef struct symbol_bytes {
    const void *data;
    size_t len;
} symbol_bytes;

typedef struct interner {
    const char *name;
    void *(*make)(void);
    void (*drop)(void *table);
    void *(*enter)(void *table);                /* what a thread needs in order to add */
    void (*leave)(void *table, void *thread);
    void (*intern)(void *table, void *thread, const bench_key *keys, size_t n, uint64_t *out);
    void (*get)(void *table, const bench_key *keys, size_t n, uint64_t *out); /* 0: absent */
    void (*bytes)(void *table, const uint64_t *symbols, size_t n, symbol_bytes *out);
    void (*intern_many)(void *table, void *thread, const bench_key *keys, size_t n, uint64_t *out);
    void (*get_many)(void *table, const bench_key *keys, size_t n, uint64_t *out);
    void (*bytes_many)(void *table, const uint64_t *symbols, size_t n, symbol_bytes *out);
    void (*trim)(void *table);                  /* gives up what only growth needed */
    bool (*save)(void *table, const char *path);
    void *(*load)(const char *path, unsigned how); /* 0: as usual, 1: verified, 2: unchecked; NULL on failure */
} interner;

#ifdef __cplusplus
extern "C" {
#endif
extern const interner interner_ours, interner_mutexes, interner_rwlocks, interner_one_rwlock;
#ifdef __cplusplus
}
#endif

#endif
