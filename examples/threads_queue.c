/* Producer and consumer: a bounded queue in a map, most urgent first.

   When: some threads make work and others do it, neither at a steady pace; and what waits has an order other than that
   of arrival, is looked up, or is taken back. (For first come, first served alone, a ring of pointers will do.)
   Cost: a lock per call, held for one insertion or removal, O(length of the key). Taking a snapshot of the whole queue
   is O(1), and who looks through it holds nobody up.

   A map is sorted, so the next one is always the first: the key is the urgency, then a number that grows, both with the
   highest byte first, so that order of bytes is order of numbers. */
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { PRODUCERS = 3, CONSUMERS = 2, EACH = 400, ROOM = 16, KEY = 9 };

typedef struct queue {
    pm_map jobs; /* urgency, number of arrival: the job */
    size_t n, most;
    uint64_t arrivals;
    bool closed;
    pthread_mutex_t lock;
    pthread_cond_t not_empty, not_full;
} queue;

static void queue_init(queue *q) {
    *q = (queue){.jobs = {0}};
    if (pthread_mutex_init(&q->lock, NULL) || pthread_cond_init(&q->not_empty, NULL) ||
        pthread_cond_init(&q->not_full, NULL))
        must(PM_NOMEM);
}

static void queue_free(queue *q) {
    pm_drop(&q->jobs);
    pthread_mutex_destroy(&q->lock);
    pthread_cond_destroy(&q->not_empty);
    pthread_cond_destroy(&q->not_full);
}

/* Waits for room. False if the queue was closed. */
static bool queue_put(queue *q, uint8_t urgency, pm_val job) {
    uint8_t key[KEY] = {urgency};
    pthread_mutex_lock(&q->lock);
    while (q->n == ROOM && !q->closed) pthread_cond_wait(&q->not_full, &q->lock);
    bool open = !q->closed;
    if (open) {
        for (unsigned i = 1; i < KEY; i++) key[i] = (uint8_t)(q->arrivals >> (8 * (KEY - 1 - i)));
        q->arrivals++;
        must(pm_set(&q->jobs, key, KEY, job, NULL));
        if (++q->n > q->most) q->most = q->n;
        pthread_cond_signal(&q->not_empty);
    }
    pthread_mutex_unlock(&q->lock);
    return open;
}

/* The key of the first job: lowest bytes all the way down. */
static void first_key(const pm_map *jobs, uint8_t key[KEY]) {
    pm_iter i = pm_iter_vals(jobs);
    if (!pm_iter_next(&i)) must(PM_NOMEM); /* there is a job, so nothing else can be lacking */
    memcpy(key, i.key, KEY);
    pm_iter_drop(&i);
}

/* Waits for a job. False when the queue is closed and empty. */
static bool queue_take(queue *q, pm_val *job) {
    pthread_mutex_lock(&q->lock);
    while (q->n == 0 && !q->closed) pthread_cond_wait(&q->not_empty, &q->lock);
    bool some = q->n > 0;
    if (some) {
        uint8_t key[KEY];
        pm_opt taken;
        first_key(&q->jobs, key);
        must(pm_remove(&q->jobs, key, KEY, PM_PRUNE, &taken));
        *job = taken.val;
        q->n--;
        pthread_cond_signal(&q->not_full);
    }
    pthread_mutex_unlock(&q->lock);
    return some;
}

/* No more comes; what is there is still handed out. */
static void queue_close(queue *q) {
    pthread_mutex_lock(&q->lock);
    q->closed = true;
    pthread_cond_broadcast(&q->not_empty);
    pthread_cond_broadcast(&q->not_full);
    pthread_mutex_unlock(&q->lock);
}

typedef struct producer {
    queue *queue;
    unsigned number, put;
} producer;

static void *produce(void *arg) {
    producer *p = arg;
    for (unsigned i = 0; i < EACH; i++) p->put += queue_put(p->queue, 1, p->number * EACH + i);
    return NULL;
}

/* Of one urgency, jobs of a producer come in the order in which it put them, whoever takes them. */
typedef struct consumer {
    queue *queue;
    unsigned taken;
    pm_val sum, last[PRODUCERS];
    bool in_order;
} consumer;

static void *consume(void *arg) {
    consumer *c = arg;
    pm_val job;
    c->in_order = true;
    while (queue_take(c->queue, &job)) {
        pm_val *last = &c->last[job / EACH];
        c->in_order &= *last == 0 || job > *last;
        *last = job;
        c->sum += job;
        c->taken++;
    }
    return NULL;
}

int main(void) {
    queue q;
    producer producers[PRODUCERS];
    consumer consumers[CONSUMERS];
    pthread_t thread[CONSUMERS];
    unsigned put_in = 0, taken = 0;
    bool in_order = true;
    pm_val sum = 0;
    queue_init(&q);
    for (int i = 0; i < CONSUMERS; i++) {
        consumers[i] = (consumer){.queue = &q};
        thread[i] = start(consume, &consumers[i]);
    }
    for (unsigned i = 0; i < PRODUCERS; i++) producers[i] = (producer){&q, i, 0};
    run_each(produce, producers, sizeof producers[0], PRODUCERS);
    queue_close(&q);
    for (int i = 0; i < CONSUMERS; i++) finish(thread[i]);
    for (int i = 0; i < PRODUCERS; i++) put_in += producers[i].put;
    for (int i = 0; i < CONSUMERS; i++) {
        taken += consumers[i].taken;
        sum += consumers[i].sum;
        in_order &= consumers[i].in_order;
    }
    printf("%u jobs put, %u taken, their sum is %d, %s\n", put_in, taken, (int)sum, in_order ? "in order" : "mixed up");
    printf("never more than %d in the queue: %s\n", ROOM, q.most <= ROOM ? "yes" : "no");
    printf("put after closing: %s\n", queue_put(&q, 0, 0) ? "accepted" : "refused");
    queue_free(&q);

    static const uint8_t urgency[] = {3, 1, 2, 1, 3, 0};
    pm_val job;
    queue_init(&q);
    for (unsigned i = 0; i < sizeof urgency; i++) queue_put(&q, urgency[i], i);
    queue_close(&q);
    printf("urgencies 3 1 2 1 3 0 are served as");
    while (queue_take(&q, &job)) printf(" %d(job %d)", urgency[job], (int)job);
    printf("\n");
    queue_free(&q);
    return 0;
}
