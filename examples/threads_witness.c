/* Copy under a witness: values that were found stay valid after the zipper has moved on, and after the map has gone.

   When: a thread wants to hold on to what it found, without keeping everybody from changing the map until it is done,
   and without copying what may be large.
   Cost: one atomic increment for the whole content that a zipper looks at, whatever it holds, and however many values
   are kept: what pointers to values show is alive, and as it was, until the witness is dropped. Meanwhile nothing of
   that content is freed, and who changes the map copies the nodes that it changes.

   Here threads choose titles from a catalogue and keep only pointers. The catalogue is dropped, and then they make maps
   of their own from what they kept. Titles are counted byte strings: the copies share them, each map with a reference
   of its own. */
#define _POSIX_C_SOURCE 200809L
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { THREADS = 3, KEPT_MAX = 16 };

static const struct {
    const char *shelf, *title;
} books[] = {
    {"a1", "Algebra for Beavers"},   {"a2", "Atlas of Puddles"},      {"b1", "Bees and their Bookkeeping"},
    {"b2", "Birds by Weight"},       {"c1", "Clouds, a Field Guide"}, {"c2", "Cooking without Pots"},
    {"d1", "Dust in Literature"},    {"e1", "Echoes, Collected"},     {"f1", "Fog Signals of the North"},
    {"g1", "Gloves Left and Right"}, {"h1", "Hedges and Edges"},      {"i1", "Ink from Oak"},
};
enum { BOOKS = sizeof books / sizeof books[0] };

typedef struct worker {
    const pm_map *catalogue;
    pthread_barrier_t *chosen, *dropped;
    size_t number;
    pm_map copy;
} worker;

static void *choose_and_copy(void *arg) {
    worker *w = arg;
    const pm_val *title[KEPT_MAX];
    char shelf[KEPT_MAX][3] = {{0}};
    size_t kept = 0, at = 0;
    pm_rz z;
    must(pm_rz_open(w->catalogue, NULL, 0, &z));
    pm_witness witness = pm_rz_witness(&z);
    while (pm_rz_to_next_val(&z)) {
        size_t len;
        const uint8_t *path = pm_rz_path(&z, &len);
        if (at++ % THREADS != w->number || kept == KEPT_MAX) continue;
        memcpy(shelf[kept], path, 2);
        must(pm_rz_val_witnessed(&z, &witness, &title[kept++]));
    }
    must(pm_rz_status(&z));
    pm_rz_drop(&z);

    (void)pthread_barrier_wait(w->chosen);
    (void)pthread_barrier_wait(w->dropped); /* the catalogue is no more */
    for (size_t i = 0; i < kept; i++) put(&w->copy, shelf[i], pm_bytes_retain(*title[i]));
    pm_witness_drop(&witness);
    return NULL;
}

int main(void) {
    pm_map catalogue = pm_new(pm_ops_bytes(), NULL);
    pthread_barrier_t chosen, dropped;
    worker workers[THREADS];
    pthread_t thread[THREADS];
    if (pthread_barrier_init(&chosen, NULL, THREADS + 1) || pthread_barrier_init(&dropped, NULL, THREADS + 1)) return 1;
    for (size_t i = 0; i < BOOKS; i++) {
        pm_val title;
        must(pm_bytes_new(books[i].title, strlen(books[i].title), &title));
        put(&catalogue, books[i].shelf, title);
    }
    for (size_t i = 0; i < THREADS; i++) {
        workers[i] = (worker){&catalogue, &chosen, &dropped, i, pm_new(pm_ops_bytes(), NULL)};
        thread[i] = start(choose_and_copy, &workers[i]);
    }
    (void)pthread_barrier_wait(&chosen);
    pm_drop(&catalogue);
    (void)pthread_barrier_wait(&dropped);
    for (size_t i = 0; i < THREADS; i++) finish(thread[i]);

    for (size_t i = 0; i < THREADS; i++) {
        printf("thread %d kept\n", (int)i);
        for (pm_iter it = pm_iter_vals(&workers[i].copy); pm_iter_next(&it);) {
            size_t len;
            const char *title = pm_bytes_get(*it.val, &len);
            printf("   %.*s  %.*s\n", (int)it.len, (const char *)it.key, (int)len, title);
        }
        pm_drop(&workers[i].copy);
    }
    pthread_barrier_destroy(&chosen);
    pthread_barrier_destroy(&dropped);
    return 0;
}
