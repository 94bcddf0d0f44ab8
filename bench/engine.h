/* The map engines that bench_map compares: one table of functions each.

   An engine's functions take whole lists and loop inside, so that the calls into the library under test are direct
   (and inlined where it allows) and the harness costs nothing per key. A file that defines an engine announces it
   with BENCH_ENGINE; linking its object is all that is needed, so the set of engines is the set of objects. */
#ifndef BENCH_ENGINE_H
#define BENCH_ENGINE_H

#include "bench.h"

enum {
    BENCH_ORDERED = 1,   /* iterates in bytewise order of keys, and finds neighbours of a key */
    BENCH_ZERO_FREE = 2, /* keys must hold no zero byte: the driver hands over an order-keeping encoding if any does */
    BENCH_OURS = 4,      /* the library, not a rival */
    BENCH_SORTS = 8,     /* not ordered inside, but its iteration sorts: checked for order, not called ordered */
    BENCH_OWN_PAGES = 32, /* its memory does not come from malloc alone: no figure */
    BENCH_NEARLY = 64,   /* ordered but for a fault of its own: its order is not checked */
    BENCH_INTEGERS = 16  /* of sets whose keys all have 8 bytes only: keys are bench_integer of these, native words */
};

/* What an engine may know of the keys before the first one comes. */
typedef struct bench_traits {
    size_t longest;
    bool fixed8; /* every key has 8 bytes */
} bench_traits;

/* A key of 8 bytes as the integer that sorts alike. */
BENCH_UNUSED static inline uint64_t bench_integer(const bench_key *k) {
    uint64_t x = 0;
    for (unsigned i = 0; i < 8; i++) x = x << 8 | k->data[i];
    return x;
}

/* The outcome of looking up a list: how many keys were there, how many of these had the list's value. */
typedef struct bench_tally {
    size_t found, right;
} bench_tally;

/* What an iteration has met. Adapters copy it to a local, feed it with bench_visit, and copy it back. */
typedef struct bench_visitor {
    uint64_t sum, touch, weight, step;
    size_t count;
    const bench_list *expect; /* compare every key and value with these, in order; NULL in timed passes */
    bool wrong;
} bench_visitor;

/* Takes one pair. Engines that have no length at hand pass 0 in timed passes (expect == NULL). */
BENCH_UNUSED static inline void bench_visit(bench_visitor *v, const void *key, size_t len, uint64_t val) {
    const uint8_t *k = (const uint8_t *)key;
    v->sum += v->weight * val;
    v->weight += v->step;
    v->touch += len + k[0];
    if (v->expect) {
        const bench_list *e = v->expect;
        size_t i = v->count;
        if (i >= e->n || e->key[i].len != len || memcmp(e->key[i].data, k, len) != 0 || e->val[i] != val)
            v->wrong = true;
    }
    v->count++;
}

/* Takes the pair of an integer. */
BENCH_UNUSED static inline void bench_visit_integer(bench_visitor *v, uint64_t key, uint64_t val) {
    uint8_t k[8];
    for (unsigned i = 8; i-- > 0; key >>= 8) k[i] = (uint8_t)key;
    bench_visit(v, k, 8, val);
}

/* Functions that an engine lacks are NULL: the operation is left out for it. `m` is what `make` answered. */
typedef struct bench_engine {
    const char *name;
    unsigned flags;
    int rank;                                            /* place in the output */
    size_t longest;                                      /* bytes of a key that it can take; 0: any number */
    void *(*make)(const bench_traits *t);                /* an empty map */
    void (*free)(void *m);                               /* ends an emptied map */
    bool (*insert)(void *m, const bench_list *l);        /* keys that are not there yet, one by one */
    bool (*insert_head)(void *m, const bench_list *l);   /* the same through a writer of a head, moved to each key */
    void (*ready)(void *m, const bench_list *l);         /* optional: puts the list in its own form, before `build` */
    bool (*build)(void *m, const bench_list *l);         /* from a sorted list, at once, into an empty map */
    bench_tally (*get)(void *m, const bench_list *l);
    bench_tally (*get_many)(void *m, const bench_list *l); /* 16 at a time */
    bench_tally (*zget)(void *m, const bench_list *l);   /* through a read zipper of the calling thread */
    bench_tally (*zmove)(void *m, const bench_list *l);  /* the same, moving the zipper to each key */
    void (*iterate)(void *m, bench_visitor *v);
    void (*each)(void *m, bench_visitor *v);             /* through a zipper */
    void (*iter)(void *m, bench_visitor *v);             /* by iterator object */
    size_t (*remove)(void *m, const bench_list *l);      /* answers how many were there */
    bool (*is_empty)(void *m);
    void (*drop)(void *m);                               /* empties the map */
    bool (*clone_drop)(void *m, size_t times);
    bool (*clone_write)(void *m, const bench_list *l, size_t times); /* clone, set l's key i, drop the clone */
    /* Keeps so many clones, in each of which one key of l has another value; and ends them. */
    void *(*clones)(void *m, const bench_list *l, size_t n);
    void (*drop_clones)(void *clones, size_t n);
    uint64_t (*bytes)(void *m);                          /* held by the map; NULL: measured around malloc */
    uint64_t (*live)(void *m);                           /* of these, in use */
    uint64_t (*unit_bytes)(const bench_list *l);         /* of a set of these keys; 0 on failure */
} bench_engine;

#ifdef __cplusplus
extern "C"
#endif
void bench_register(const bench_engine *e);

#define BENCH_ENGINE(e)                                                                                                \
    __attribute__((constructor)) static void e##_register(void) { bench_register(&e); }

#endif
