/* A pool of workers that aggregates results: threads stay, take tasks as they come, and gather what they find in maps
   of their own, which are joined when a batch is done.

   When: many small tasks whose results add up, from a source that never ends.
   Cost: one short lock per task, to take it. Results need none: each worker has its own map until it is idle. Joining
   visits what the maps do not share, and pm_ops_sum says what to do where two workers met the same thing: add.

   Here tasks are lines of text, and results how often each word occurs. */
#include <ctype.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { WORKERS = 3, TASKS_MAX = 16 };

typedef struct pool {
    const char *task[TASKS_MAX]; /* a ring */
    size_t taken, put, done;     /* how many ever were */
    bool closed;
    pthread_mutex_t lock;
    pthread_cond_t work, idle, room;
    struct worker {
        struct pool *pool;
        pthread_t thread;
        pm_map counts;
    } worker[WORKERS];
} pool;

static void count_words(pm_map *counts, const char *line) {
    while (*line) {
        char word[32];
        size_t len = 0;
        for (; isalpha((unsigned char)*line) && len < sizeof word; line++)
            word[len++] = (char)tolower((unsigned char)*line);
        if (len) {
            pm_val *slot;
            must(pm_get_or_set(counts, word, len, 0, &slot, NULL));
            (*slot)++;
        } else {
            line++;
        }
    }
}

static void *work(void *arg) {
    struct worker *w = arg;
    pool *p = w->pool;
    pthread_mutex_lock(&p->lock);
    for (;;) {
        while (p->taken == p->put && !p->closed) pthread_cond_wait(&p->work, &p->lock);
        if (p->taken == p->put) break;
        const char *line = p->task[p->taken++ % TASKS_MAX];
        pthread_cond_signal(&p->room);
        pthread_mutex_unlock(&p->lock);
        count_words(&w->counts, line);
        pthread_mutex_lock(&p->lock);
        if (++p->done == p->put) pthread_cond_broadcast(&p->idle);
    }
    pthread_mutex_unlock(&p->lock);
    return NULL;
}

static void pool_init(pool *p) {
    *p = (pool){.closed = false};
    if (pthread_mutex_init(&p->lock, NULL) || pthread_cond_init(&p->work, NULL) || pthread_cond_init(&p->idle, NULL) ||
        pthread_cond_init(&p->room, NULL))
        must(PM_NOMEM);
    for (int i = 0; i < WORKERS; i++) {
        p->worker[i].pool = p;
        p->worker[i].counts = pm_new(pm_ops_sum(), NULL);
        p->worker[i].thread = start(work, &p->worker[i]);
    }
}

/* `line` must stay until its batch is done. */
static void pool_submit(pool *p, const char *line) {
    pthread_mutex_lock(&p->lock);
    while (p->put - p->taken == TASKS_MAX) pthread_cond_wait(&p->room, &p->lock);
    p->task[p->put++ % TASKS_MAX] = line;
    pthread_cond_signal(&p->work);
    pthread_mutex_unlock(&p->lock);
}

/* Waits until all is done, and adds the results to *total. Workers begin the next batch with empty maps. */
static void pool_collect(pool *p, pm_map *total) {
    const pm_map *parts[WORKERS + 1];
    pm_map sum;
    pthread_mutex_lock(&p->lock);
    while (p->done != p->put) pthread_cond_wait(&p->idle, &p->lock);
    parts[0] = total;
    for (int i = 0; i < WORKERS; i++) parts[i + 1] = &p->worker[i].counts;
    must(pm_join_many(parts, WORKERS + 1, &sum, NULL));
    for (int i = 0; i < WORKERS; i++) pm_drop(&p->worker[i].counts);
    pthread_mutex_unlock(&p->lock);
    pm_drop(total);
    *total = sum; /* assigning moves a map */
}

static void pool_free(pool *p) {
    pthread_mutex_lock(&p->lock);
    p->closed = true;
    pthread_cond_broadcast(&p->work);
    pthread_mutex_unlock(&p->lock);
    for (int i = 0; i < WORKERS; i++) {
        finish(p->worker[i].thread);
        pm_drop(&p->worker[i].counts);
    }
    pthread_mutex_destroy(&p->lock);
    pthread_cond_destroy(&p->work);
    pthread_cond_destroy(&p->idle);
    pthread_cond_destroy(&p->room);
}

static const char *const rain[] = {
    "It rained on the hill, and it rained on the mill,",
    "it rained on the roof and it rained on the sill;",
    "the hill let it run and the mill let it turn,",
    "the roof let it drip on the moss and the fern.",
};
static const char *const sun[] = {
    "Then sun on the hill and then sun on the mill,",
    "and moss on the roof, and a cat on the sill.",
};

static void print_frequent(const char *when, const pm_map *total, pm_val least) {
    uint64_t words = 0;
    must(pm_val_count(total, &words));
    printf("%s: %d words, of which", when, (int)words);
    for (pm_iter i = pm_iter_vals(total); pm_iter_next(&i);)
        if (*i.val >= least) printf(" %.*s %d", (int)i.len, (const char *)i.key, (int)*i.val);
    printf("\n");
}

int main(void) {
    static pool p;
    pm_map total = pm_new(pm_ops_sum(), NULL);
    pool_init(&p);
    for (unsigned i = 0; i < 400; i++) pool_submit(&p, rain[i % 4]);
    pool_collect(&p, &total);
    print_frequent("a hundred times the rain", &total, 400);
    for (unsigned i = 0; i < 2; i++) pool_submit(&p, sun[i]);
    pool_collect(&p, &total);
    print_frequent("and the sun", &total, 400);
    pool_free(&p);
    pm_drop(&total);
    return 0;
}
