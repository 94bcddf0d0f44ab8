/* What the examples with threads share: to stop at the first failure, and to start and finish threads. Each of them
   includes this after pathmap.h. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

/* A larger program would hand the status on. */
static inline void must(pm_status s) {
    if (s == PM_OK) return;
    fprintf(stderr, "%s\n", pm_status_text(s));
    exit(1);
}

static inline pthread_t start(void *(*work)(void *), void *arg) {
    pthread_t thread;
    if (pthread_create(&thread, NULL, work, arg) != 0) {
        fprintf(stderr, "no thread\n");
        exit(1);
    }
    return thread;
}

static inline void finish(pthread_t thread) { (void)pthread_join(thread, NULL); }

/* Runs work on n arguments of some size, each on a thread of its own, and waits for all. */
static inline void run_each(void *(*work)(void *), void *args, size_t size, size_t n) {
    pthread_t *thread = malloc((n + 1) * sizeof *thread);
    if (!thread) must(PM_NOMEM);
    for (size_t i = 0; i < n; i++) thread[i] = start(work, (char *)args + i * size);
    for (size_t i = 0; i < n; i++) finish(thread[i]);
    free(thread);
}

static inline const pm_val *get(const pm_map *m, const char *key) { return pm_get(m, key, strlen(key)); }
static inline void put(pm_map *m, const char *key, pm_val v) { must(pm_set(m, key, strlen(key), v, NULL)); }

/* To `key` below the root of a writer. A move that gets no memory stays where it was, so that is asked for. */
static inline void go_to(pm_wz *w, const char *key) {
    pm_rz *cursor = pm_wz_cursor(w);
    (void)pm_rz_move_to(cursor, key, strlen(key));
    must(pm_rz_status(cursor));
}

static inline void put_below(pm_wz *w, const char *key, pm_val v) {
    go_to(w, key);
    must(pm_wz_set(w, v, NULL));
}
