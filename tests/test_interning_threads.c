/* The interner under threads: equal and disjoint keys, all permits out, threads that come and go, readers beside
   writers, files saved while others write. Meant to be run under a race checker as well. */
#include "check.h"

/* A thread that stops while it allocates, which it does while it grows something. */
static _Atomic bool stop_in_malloc, inside_malloc;
static _Atomic unsigned stopped_in_malloc, forks_begun;
static void *halting_malloc(size_t n);

#define INTERNING_STATIC
#define INTERN_MALLOC(n) halting_malloc(n)
#define INTERN_FREE(p, n) check_free(p, n)
#include "../interning.h"

#ifndef PM_NO_THREADS
#define PM_NO_THREADS 0
#endif
#include "stress.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

#if defined(__has_feature)
#if __has_feature(thread_sanitizer)
#define CHECKED_FOR_RACES 1
#endif
#endif

enum { THREADS_MAX = 140 };

typedef struct worker {
    intern_table *t;
    unsigned number, threads;
    uint64_t random;
    size_t n;
    intern_symbol *out;      /* of key i at i */
    _Atomic unsigned *gate;  /* counts who has arrived */
    _Atomic unsigned *phase; /* what the test lets them do */
    intern_status status;
} worker;

static pthread_t thread[THREADS_MAX];
static worker work[THREADS_MAX];

static void run_all(unsigned threads, void *(*fn)(void *), intern_table *t, size_t n) {
    static _Atomic unsigned gate, phase;
    gate = phase = 0;
    for (unsigned i = 0; i < threads; i++) {
        worker w = {t, i, threads, check_rand(), n, NULL, &gate, &phase, INTERN_OK};
        work[i] = w;
        work[i].out = calloc(n + 1, sizeof(intern_symbol));
    }
    for (unsigned i = 0; i < threads; i++) CHECK_EQ(pthread_create(&thread[i], NULL, fn, &work[i]), 0);
    for (unsigned i = 0; i < threads; i++) CHECK_EQ(pthread_join(thread[i], NULL), 0);
    CHECK_EQ(check_failed(), 0);
}

static void free_all(unsigned threads) {
    for (unsigned i = 0; i < threads; i++) free(work[i].out);
}

static void wait_for(_Atomic unsigned *what, unsigned value) {
    while (atomic_load(what) < value) sched_yield();
}

static size_t key_text(char *buffer, const char *family, size_t i) {
    return (size_t)sprintf(buffer, "%s/%zu/%zu", family, i % 7, i);
}

/* Acquires, waiting while all permits are out. */
static intern_permit permit_wait(intern_table *t) {
    intern_permit p;
    memset(&p, 0, sizeof p);
    intern_status s;
    while ((s = intern_permit_acquire(t, &p)) == INTERN_EXHAUSTED) sched_yield();
    CHECK_OK(s);
    return p;
}

static void check_symbol(const intern_table *t, intern_symbol s, const char *key, size_t len) {
    size_t n = 0;
    const void *bytes = intern_bytes(t, s, &n);
    CHECK(bytes != NULL && n == len && memcmp(bytes, key, len) == 0);
}

/* Adds all keys from 0 on, as the other threads do at the same time. */
static void *add_same_keys(void *arg) {
    worker *w = arg;
    char key[64];
    intern_permit p = permit_wait(w->t);
    atomic_fetch_add(w->gate, 1);
    wait_for(w->gate, w->threads);
    for (size_t i = 0; i < w->n; i++) {
        size_t len = key_text(key, "same", i);
        CHECK_OK(intern_get_or_insert(w->t, &p, key, len, &w->out[i], NULL));
    }
    CHECK_OK(intern_permit_release(&p));
    return NULL;
}

/* The same, each thread in an order of its own: n is a power of two, so an odd step reaches every key. */
static void *add_same_keys_in_any_order(void *arg) {
    worker *w = arg;
    char key[64];
    intern_permit p = permit_wait(w->t);
    size_t step = (size_t)check_rand_from(&w->random) | 1, i = 0;
    for (size_t k = 0; k < w->n; k++, i = (i + step) & (w->n - 1)) {
        size_t len = key_text(key, "same", i);
        CHECK_OK(intern_get_or_insert(w->t, &p, key, len, &w->out[i], NULL));
        check_symbol(w->t, w->out[i], key, len);
        CHECK_EQ(intern_get(w->t, key, len), w->out[i]);
    }
    CHECK_OK(intern_permit_release(&p));
    return NULL;
}

/* The same in batches. */
static void *add_same_keys_in_batches(void *arg) {
    enum { BATCH = 50 };
    worker *w = arg;
    char key[BATCH][64];
    intern_key keys[BATCH];
    intern_permit p = permit_wait(w->t);
    atomic_fetch_add(w->gate, 1);
    wait_for(w->gate, w->threads);
    for (size_t i = 0; i < w->n;) {
        size_t m = 0;
        for (; m < BATCH && i + m < w->n; m++) {
            keys[m].len = key_text(key[m], "same", i + m);
            keys[m].data = key[m];
        }
        CHECK_OK(intern_get_or_insert_many(w->t, &p, keys, m, w->out + i, NULL));
        i += m;
    }
    CHECK_OK(intern_permit_release(&p));
    return NULL;
}

static void same_keys(unsigned threads, void *(*add)(void *), size_t n) {
    intern_table *t = NULL;
    CHECK_OK(intern_table_new(NULL, &t));
    run_all(threads, add, t, n);
    for (unsigned i = 1; i < threads; i++)
        CHECK_MEM_EQ(work[i].out, n * sizeof(intern_symbol), work[0].out, n * sizeof(intern_symbol));
    CHECK_EQ(intern_count(t), n);
    free_all(threads);
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
}

/* Many keys: it takes two writers in one group at one time to go wrong. A race checker sees more in fewer. */
#if defined(__SANITIZE_THREAD__) || defined(CHECKED_FOR_RACES)
enum { MANY_KEYS = 32768 };
#else
enum { MANY_KEYS = 400000 };
#endif

TEST(same_keys_in_step_get_the_same_symbols_in_all_threads) {
    for (int round = 0; round < 3; round++) same_keys(2, add_same_keys, MANY_KEYS);
    same_keys(8, add_same_keys, 4096);
}

TEST(same_keys_in_any_order_get_the_same_symbols_in_all_threads) {
    same_keys(2, add_same_keys_in_any_order, 16384);
    same_keys(8, add_same_keys_in_any_order, 4096);
}

TEST(same_keys_in_batches_get_the_same_symbols_in_all_threads) {
    for (int round = 0; round < 3; round++) same_keys(2, add_same_keys_in_batches, MANY_KEYS);
}

static void *add_disjoint_keys(void *arg) {
    worker *w = arg;
    char family[24], key[64];
    sprintf(family, "family %u", w->number);
    intern_permit p = permit_wait(w->t);
    atomic_fetch_add(w->gate, 1);
    wait_for(w->gate, w->threads);
    for (size_t i = 0; i < w->n; i++) {
        bool inserted = false;
        size_t len = key_text(key, family, i);
        CHECK_OK(intern_get_or_insert(w->t, &p, key, len, &w->out[i], &inserted));
        CHECK(inserted);
        CHECK_EQ(w->out[i] >> 40, p.slot);
        CHECK(i == 0 || w->out[i] == w->out[i - 1] + 1);
    }
    CHECK_OK(intern_permit_release(&p));
    return NULL;
}

static void disjoint_keys(unsigned threads, size_t n) {
    intern_table *t = NULL;
    char family[24], key[64];
    CHECK_OK(intern_table_new(NULL, &t));
    run_all(threads, add_disjoint_keys, t, n);
    CHECK_EQ(intern_count(t), threads * n);
    for (unsigned w = 0; w < threads; w++) {
        sprintf(family, "family %u", w);
        for (size_t i = 0; i < n; i++) {
            size_t len = key_text(key, family, i);
            CHECK_EQ(intern_get(t, key, len), work[w].out[i]);
            check_symbol(t, work[w].out[i], key, len);
        }
    }
    free_all(threads);
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(disjoint_keys_get_serials_without_gaps) {
    disjoint_keys(2, 20000);
    disjoint_keys(16, 1000);
}

TEST(all_128_permits_write_at_once) { disjoint_keys(INTERN_WRITERS, 60); }

/* 140 threads ask; 128 get permits and keep them until all have asked. */
static void *ask_and_hold(void *arg) {
    worker *w = arg;
    intern_permit p;
    w->status = intern_permit_acquire(w->t, &p);
    atomic_fetch_add(w->gate, 1);
    wait_for(w->gate, w->threads);
    if (w->status != INTERN_OK) return NULL;
    intern_permit again;
    CHECK_OK(intern_permit_acquire(w->t, &again)); /* nested: also when none is left */
    CHECK_EQ(again.slot, p.slot);
    CHECK_OK(intern_permit_release(&again));
    w->out[0] = (intern_symbol)p.slot + 1;
    CHECK_OK(intern_permit_release(&p));
    return NULL;
}

TEST(permit_129_is_exhausted_and_slots_are_distinct) {
    intern_table *t = NULL;
    bool seen[INTERN_WRITERS] = {false};
    unsigned out = 0;
    CHECK_OK(intern_table_new(NULL, &t));
    run_all(THREADS_MAX, ask_and_hold, t, 1);
    for (unsigned i = 0; i < THREADS_MAX; i++) {
        if (work[i].status == INTERN_EXHAUSTED) out++;
        else {
            CHECK_OK(work[i].status);
            CHECK(!seen[work[i].out[0] - 1]);
            seen[work[i].out[0] - 1] = true;
        }
    }
    CHECK_EQ(out, THREADS_MAX - INTERN_WRITERS);
    intern_permit p;
    CHECK_OK(intern_permit_acquire(t, &p)); /* all are back */
    CHECK_OK(intern_permit_release(&p));
    free_all(THREADS_MAX);
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
}

/* Each thread starts another one and ends: slots and slabs change hands all the time. */
typedef struct relay {
    intern_table *t;
    unsigned left, line;
} relay;

static void *run_relay(void *arg) {
    relay *r = arg;
    char key[64];
    for (unsigned i = 0; i < 40; i++) {
        intern_permit p = permit_wait(r->t);
        intern_symbol s = INTERN_NONE;
        size_t len = (size_t)sprintf(key, "relay %u %u %u", r->line % 2, r->left, i);
        CHECK_OK(intern_get_or_insert(r->t, &p, key, len, &s, NULL));
        check_symbol(r->t, s, key, len);
        CHECK_OK(intern_permit_release(&p));
    }
    if (--r->left) {
        pthread_t next;
        CHECK_EQ(pthread_create(&next, NULL, run_relay, r), 0);
        CHECK_EQ(pthread_join(next, NULL), 0);
    }
    return NULL;
}

TEST(threads_come_and_go) {
    enum { LINES = 6, LEGS = 12 };
    intern_table *t = NULL;
    relay line[LINES];
    CHECK_OK(intern_table_new(NULL, &t));
    for (unsigned i = 0; i < LINES; i++) {
        relay r = {intern_table_clone(t), LEGS, i};
        line[i] = r;
        CHECK_EQ(pthread_create(&thread[i], NULL, run_relay, &line[i]), 0);
    }
    for (unsigned i = 0; i < LINES; i++) {
        CHECK_EQ(pthread_join(thread[i], NULL), 0);
        intern_table_free(line[i].t);
    }
    CHECK_EQ(check_failed(), 0);
    CHECK_EQ(intern_count(t), 2 * LEGS * 40);
    for (unsigned slot = LINES; slot < INTERN_WRITERS; slot++) /* slots were used again, not new ones */
        CHECK_EQ(t->writer[slot].nslabs, 0);
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
}

/* One writer; readers check every symbol that it has announced, and look for some that it has not. */
static _Atomic uint64_t announced;

static void *write_and_announce(void *arg) {
    worker *w = arg;
    char key[64];
    if (w->number == 0) {
        intern_permit p = permit_wait(w->t);
        for (size_t i = 0; i < w->n; i++) {
            intern_symbol s = INTERN_NONE;
            CHECK_OK(intern_get_or_insert(w->t, &p, key, key_text(key, "read", i), &s, NULL));
            CHECK_EQ(s, i + 1);
            atomic_store_explicit(&announced, i + 1, memory_order_release);
        }
        CHECK_OK(intern_permit_release(&p));
        return NULL;
    }
    for (uint64_t n = 0; n < w->n;) {
        n = atomic_load_explicit(&announced, memory_order_acquire);
        for (int k = 0; k < 50; k++) {
            uint64_t i = n - (n ? check_rand_from(&w->random) % (k < 25 && n > 20 ? 20 : n) + 1 : 0);
            if (n == 0) break;
            size_t len = key_text(key, "read", (size_t)i);
            CHECK_EQ(intern_get(w->t, key, len), i + 1);
            check_symbol(w->t, i + 1, key, len);
            CHECK_EQ(intern_get(w->t, key, key_text(key, "lost", (size_t)i)), INTERN_NONE);
        }
        /* What is not announced yet is whole or absent, whichever way it is met. */
        size_t len = key_text(key, "read", (size_t)n);
        intern_symbol s = intern_get(w->t, key, len);
        CHECK(s == INTERN_NONE || s == n + 1);
        if (s) check_symbol(w->t, s, key, len);
        if (intern_bytes(w->t, n + 1, NULL)) check_symbol(w->t, n + 1, key, len);
        sched_yield();
    }
    return NULL;
}

TEST(readers_see_every_announced_symbol_while_the_table_grows) {
    intern_table *t = NULL;
    announced = 0;
    CHECK_OK(intern_table_new(NULL, &t));
    run_all(3, write_and_announce, t, 30000);
    free_all(3);
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
}

static void *iterate_beside(void *arg) {
    worker *w = arg;
    char key[64];
    if (w->number == 0) {
        intern_permit p = permit_wait(w->t);
        intern_key k = {key, 0};
        for (size_t i = 0; i < w->n; i++) {
            k.len = key_text(key, "iterated", i);
            CHECK_OK(intern_get_or_insert_many(w->t, &p, &k, 1, &w->out[i], NULL));
        }
        CHECK_OK(intern_permit_release(&p));
        atomic_store(w->phase, 1);
        return NULL;
    }
    while (atomic_load(w->phase) == 0) {
        uint64_t least = intern_count(w->t), n = 0, wrong = 0;
        intern_symbol before = INTERN_NONE;
        for (intern_iter i = intern_iter_all(w->t); intern_iter_next(&i); n++) {
            wrong += i.symbol <= before || i.data == NULL || memcmp(i.data, "iterated", 8) != 0;
            before = i.symbol;
        }
        CHECK_EQ(wrong, 0);
        CHECK(n >= least);
        sched_yield();
    }
    return NULL;
}

TEST(iteration_beside_a_writer_is_ordered_and_whole) {
    intern_table *t = NULL;
    CHECK_OK(intern_table_new(NULL, &t));
    run_all(2, iterate_beside, t, 20000);
    free_all(2);
    intern_table_free(t);
}

/* Two writers take turns, so that "b i" is issued after "a i": a saved file with one has the other. */
static bool gather(void *ctx, const void *data, size_t len) {
    struct {
        uint8_t *data;
        size_t len;
    } *s = ctx;
    s->data = realloc(s->data, s->len + len);
    memcpy(s->data + s->len, data, len);
    s->len += len;
    return true;
}

static void check_saved(intern_table *t, bool *complete, size_t n) {
    struct {
        uint8_t *data;
        size_t len;
    } s = {NULL, 0};
    intern_table *u = NULL;
    char key[64];
    CHECK_OK(intern_save_to(t, gather, &s));
    CHECK_OK(intern_table_new(NULL, &u));
    CHECK_OK(intern_load_memory(u, s.data, s.len, INTERN_LOAD_VERIFY, NULL));
    size_t as = 0, bs = 0;
    for (size_t i = 0; i < n; i++) {
        bool a = intern_get(u, key, key_text(key, "a", i)) != 0, b = intern_get(u, key, key_text(key, "b", i)) != 0;
        CHECK(a || !b);
        CHECK((!a || as == i) && (!b || bs == i)); /* no gaps */
        as += a;
        bs += b;
    }
    CHECK(as == bs || as == bs + 1);
    CHECK_EQ(as + bs, intern_count(u));
    *complete = bs == n;
    intern_table_free(u);
    free(s.data);
}

static void *write_in_turns(void *arg) {
    worker *w = arg;
    char key[64];
    if (w->number == 2) {
        bool complete = false;
        while (!complete && !check_failed()) check_saved(w->t, &complete, w->n);
        return NULL;
    }
    intern_permit p = permit_wait(w->t);
    for (size_t i = 0; i < w->n; i++) {
        wait_for(w->phase, (unsigned)(2 * i) + w->number);
        size_t len = key_text(key, w->number ? "b" : "a", i);
        CHECK_OK(intern_get_or_insert(w->t, &p, key, len, &w->out[i], NULL));
        atomic_fetch_add(w->phase, 1);
    }
    CHECK_OK(intern_permit_release(&p));
    return NULL;
}

TEST(file_saved_beside_writers_is_one_moment) {
    intern_table *t = NULL;
    CHECK_OK(intern_table_new(NULL, &t));
    run_all(3, write_in_turns, t, 3000);
    free_all(3);
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
}

/* Threads that end with their permits */

static void *end_with_permit(void *arg) {
    worker *w = arg;
    char key[64];
    intern_permit p, again;
    w->status = intern_permit_acquire(w->t, &p);
    if (w->status != INTERN_OK) return NULL;
    CHECK_OK(intern_permit_acquire(w->t, &again));
    CHECK_OK(intern_get_or_insert(w->t, &p, key, key_text(key, "ended", w->number), &w->out[0], NULL));
    w->out[1] = (intern_symbol)p.slot;
    return NULL;
}

static unsigned threads_without_permit(unsigned threads) {
    intern_table *t = NULL;
    unsigned without = 0;
    char key[64];
    CHECK_OK(intern_table_new(NULL, &t));
    for (unsigned i = 0; i < threads; i++) {
        worker w = {t, i, 1, 0, 1, calloc(2, sizeof(intern_symbol)), NULL, NULL, INTERN_OK};
        CHECK_EQ(pthread_create(&thread[0], NULL, end_with_permit, &w), 0);
        CHECK_EQ(pthread_join(thread[0], NULL), 0);
        without += w.status != INTERN_OK;
        if (w.status == INTERN_OK) check_symbol(t, w.out[0], key, key_text(key, "ended", i));
        free(w.out);
    }
    CHECK_EQ(intern_count(t), threads - without);
    intern_permit p;
    CHECK_OK(intern_permit_acquire(t, &p));
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
    return without;
}

TEST(permits_of_ended_threads_come_back) {
    CHECK_EQ(threads_without_permit(600), 0);
    CHECK_EQ(check_live_blocks(), 0); /* the table went: ownership came back, too */
}

/* The last handle goes while threads hold permits: the last of them to end frees the table. */
static void *end_after_the_table_is_freed(void *arg) {
    worker *w = arg;
    intern_permit p;
    CHECK_OK(intern_permit_acquire(w->t, &p));
    atomic_fetch_add(w->gate, 1);
    wait_for(w->phase, 1);
    if (w->number % 2) CHECK_OK(intern_get_or_insert(w->t, &p, "x", 1, &w->out[0], NULL));
    if (w->number % 4 == 3) CHECK_OK(intern_permit_release(&p));
    return NULL;
}

TEST(tables_outlive_their_handles_until_threads_with_permits_end) {
    enum { THREADS = 12 };
    static _Atomic unsigned gate, phase;
    for (int round = 0; round < 30; round++) {
        intern_table *t[2] = {NULL, NULL};
        gate = phase = 0;
        for (unsigned i = 0; i < 2; i++) CHECK_OK(intern_table_new(NULL, &t[i]));
        for (unsigned i = 0; i < THREADS; i++) {
            worker w = {t[i % 3 == 0], i, THREADS, 0, 1, calloc(1, sizeof(intern_symbol)), &gate, &phase, INTERN_OK};
            work[i] = w;
            CHECK_EQ(pthread_create(&thread[i], NULL, end_after_the_table_is_freed, &work[i]), 0);
        }
        wait_for(&gate, THREADS);
        if (round % 2) intern_table_free(t[0]);
        phase = 1; /* the threads end while the other handle is freed */
        if (round % 2 == 0) intern_table_free(t[0]);
        intern_table_free(t[1]);
        for (unsigned i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(thread[i], NULL), 0);
        free_all(THREADS);
        CHECK_EQ(check_failed(), 0);
        CHECK_EQ(check_live_blocks(), 0);
    }
}

/* A destructor of the program's own that still has a permit to use and release. */
static pthread_key_t own_key;
static atomic_uint used_late;

static void use_permit_late(void *arg) {
    intern_permit *p = arg;
    intern_symbol s;
    used_late += intern_get_or_insert(p->table, p, "late", 4, &s, NULL) == INTERN_OK;
    used_late += intern_permit_release(p) == INTERN_OK;
}

static void *end_with_a_destructor(void *arg) {
    static intern_permit p;
    CHECK_OK(intern_permit_acquire(arg, &p));
    CHECK_EQ(pthread_setspecific(own_key, &p), 0);
    return NULL;
}

TEST(destructors_of_the_programs_own_can_use_and_release_permits) {
    intern_table *t = NULL;
    CHECK_OK(intern_table_new(NULL, &t));
    CHECK_EQ(pthread_key_create(&own_key, use_permit_late), 0);
    CHECK_EQ(pthread_create(&thread[0], NULL, end_with_a_destructor, t), 0);
    CHECK_EQ(pthread_join(thread[0], NULL), 0);
    CHECK_EQ(pthread_key_delete(own_key), 0);
    CHECK_EQ(used_late, 2);
    CHECK(intern_get(t, "late", 4) != INTERN_NONE);
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
}

/* Threads come, add, and end, releasing or not, as many at once as there are slots and more. */
typedef struct crowd {
    intern_table *t;
    _Atomic uint64_t came, without;
    _Atomic bool stop;
} crowd;

static void *come_and_go(void *arg) {
    crowd *c = arg;
    intern_permit p;
    char key[64];
    intern_symbol s;
    uint64_t me = atomic_fetch_add(&c->came, 1);
    if (intern_permit_acquire(c->t, &p) != INTERN_OK) return atomic_fetch_add(&c->without, 1), NULL;
    for (size_t i = 0; i < 30; i++) {
        size_t len = key_text(key, "crowd", (size_t)(me * 7 + i * 13) % 5000);
        CHECK_OK(intern_get_or_insert(c->t, &p, key, len, &s, NULL));
        check_symbol(c->t, s, key, len);
    }
    if (me % 3 == 0) CHECK_OK(intern_permit_release(&p));
    return NULL;
}

static void *send_threads(void *arg) {
    enum { AT_ONCE = 20 };
    crowd *c = arg;
    pthread_t some[AT_ONCE];
    do { /* once at least, however late the thread is begun */
        unsigned n = 0;
        while (n < AT_ONCE && pthread_create(&some[n], NULL, come_and_go, c) == 0) n++;
        while (n) CHECK_EQ(pthread_join(some[--n], NULL), 0);
    } while (!c->stop);
    return NULL;
}

TEST(crowds_of_threads_that_come_and_go_find_permits) {
    enum { SENDERS = 3 };
    crowd c = {NULL, 0, 0, false};
    CHECK_OK(intern_table_new(NULL, &c.t));
    for (unsigned i = 0; i < SENDERS; i++) CHECK_EQ(pthread_create(&thread[i], NULL, send_threads, &c), 0);
    for (double until = now() + stress_seconds(); now() < until;) sched_yield();
    c.stop = true;
    for (unsigned i = 0; i < SENDERS; i++) CHECK_EQ(pthread_join(thread[i], NULL), 0);
    printf("    %" PRIu64 " threads\n", (uint64_t)c.came);
    CHECK_EQ(check_failed(), 0);
    CHECK_EQ(c.without, 0);
    CHECK(c.came > 0 && intern_count(c.t) <= 5000);
    intern_table_free(c.t);
    CHECK_EQ(check_live_blocks(), 0);
}

/* Waiting and cancelling: a thread that waits for a lock of the table is cancelled; it gets the lock all the same, and
   leaves it free. */

/* Whoever gets beyond the call was not cancelled in it. The thread then ends as usual: the address checker cannot
   follow one that is cancelled. */
static void *wait_and_be_cancelled(void *arg) {
    worker *w = arg;
    int state;
    intern_permit p = permit_wait(w->t);
    atomic_fetch_add(w->gate, 1);
    CHECK_OK(intern_get_or_insert(w->t, &p, w->number ? "b" : "a", 1, &w->out[0], NULL));
    CHECK_EQ(pthread_setcancelstate(PTHREAD_CANCEL_DISABLE, &state), 0);
    CHECK_EQ(state, PTHREAD_CANCEL_ENABLE);
    atomic_fetch_add(w->gate, 1);
    return NULL;
}

TEST(waiting_for_a_lock_is_no_cancellation_point) {
    static _Atomic unsigned gate, phase;
    intern_table *t = NULL;
    intern_symbol out[1] = {INTERN_NONE};
    CHECK_OK(intern_table_new(NULL, &t));
    for (unsigned round = 0; round < 2; round++) { /* held: the key's bucket; then the whole table, as by a save */
        const char *key = round ? "b" : "a";
        worker w = {t, round, 1, 0, 1, out, &gate, &phase, INTERN_OK};
        intern__lock *held = &t->bucket[intern__key_of(key, 1, &t->secret).bucket].lock;
        gate = 0;
        intern_permit p; /* opens the slot's slab and page, so that the thread waits where it is meant to */
        CHECK_OK(intern_permit_acquire(t, &p));
        CHECK_OK(intern_get_or_insert(t, &p, "before", 6, out, NULL));
        CHECK_OK(intern_permit_release(&p));
        if (round == 0) intern__lock_take(held);
        CHECK_EQ(pthread_create(&thread[0], NULL, wait_and_be_cancelled, &w), 0);
        if (round == 1) wait_for(&gate, 1), intern__table_stop(t), held = &t->pause;
        else wait_for(&gate, 1);
        while (round == 0 && INTERN__LOAD(&held->word, INTERN__ACQUIRE) != 2) sched_yield(); /* it is about to sleep */
        CHECK_EQ(pthread_cancel(thread[0]), 0);
        for (int i = 0; i < 1000; i++) sched_yield();
        if (round == 0) {
            CHECK_EQ(gate, 1);
            intern__lock_give(held);
        } else intern__table_go(t);
        CHECK_EQ(pthread_join(thread[0], NULL), 0);
        CHECK_EQ(gate, 2);
        CHECK_EQ(intern_get(t, key, 1), out[0]);
        CHECK_EQ(INTERN__LOAD(&held->word, INTERN__ACQUIRE), 0);
    }
    intern_table_free(t); /* the permits came back, too */
    CHECK_EQ(check_live_blocks(), 0);
    CHECK_EQ(check_failed(), 0);
}

/* One lock, many takers: mutual exclusion, and sleepers all wake. Zero bytes are a free lock. */
static intern__lock one_lock;
static uint64_t guarded;

static void *count_under_lock(void *arg) {
    worker *w = arg;
    for (size_t i = 0; i < w->n; i++) {
        intern__lock_take(&one_lock);
        guarded++;
        if (i % 64 == 0) sched_yield(); /* so that others find it taken, and go to sleep */
        intern__lock_give(&one_lock);
    }
    return NULL;
}

TEST(locks_exclude_and_wake) {
    guarded = 0;
    run_all(6, count_under_lock, NULL, 20000);
    free_all(6);
    CHECK_EQ(guarded, 120000);
    CHECK_EQ(INTERN__LOAD(&one_lock.word, INTERN__ACQUIRE), 0);
}

static void *halting_malloc(size_t n) {
    if (atomic_load(&stop_in_malloc)) {
        unsigned before = atomic_load(&forks_begun);
        atomic_store(&stop_in_malloc, false);
        atomic_store(&inside_malloc, true);
        atomic_fetch_add(&stopped_in_malloc, 1);
        while (atomic_load(&forks_begun) == before) sched_yield();
        for (int i = 0; i < 2000; i++) sched_yield(); /* the fork would be over by now, did it not wait */
        atomic_store(&inside_malloc, false);
    }
    return check_malloc(n);
}

/* Forks beside writers. Race checkers do not follow a child of many threads. */

#if defined(__SANITIZE_THREAD__) || defined(CHECKED_FOR_RACES)
#define NO_FORKS 1
#else
#define NO_FORKS 0
#endif

enum { CHILD_GOOD = 0, CHILD_WRONG = 1, CHILD_NO_PERMIT = 2, CHILD_NO_MEMORY = 3 };

/* In the child: what is there is whole, permits of the parent's threads are back, and the table can be used up to the
   end. A lock taken by nobody would ring the alarm. */
static int use_in_child(intern_table *t, intern_permit *own, uint64_t least) {
    char key[64];
    intern_symbol s;
    intern_permit p;
    uint64_t n = 0;
    alarm(10);
    for (intern_iter i = intern_iter_all(t); intern_iter_next(&i); n++)
        if (n % 16 == 0 || i.end - i.next < 2000) /* the last ones of each slot above all */
            if (!i.data || i.len < 6 || memcmp(i.data, "forks/", 6) || intern_get(t, i.data, i.len) != i.symbol)
            return CHILD_WRONG;
    if (n != intern_count(t) || n < least) return CHILD_WRONG;
    if (intern_permit_acquire(t, &p) != INTERN_OK || p.slot != own->slot) return CHILD_NO_PERMIT;
    for (unsigned slot = 0; slot < INTERN_WRITERS; slot++)
        if (t->holder[slot] && slot != p.slot) return CHILD_NO_PERMIT;
    /* Every slot goes on from a sound state: this thread takes them all in turn. */
    for (unsigned slot = 0; slot < 6; slot++) {
        uint64_t self = t->holder[own->slot];
        t->holder[own->slot] = 0;
        t->holder[slot] = self;
        p.slot = own->slot = slot;
        for (size_t i = 0; i < 400; i++) {
            size_t len = key_text(key, "child", slot * 1000 + i);
            if (intern_get_or_insert(t, &p, key, len, &s, NULL) != INTERN_OK) return CHILD_NO_MEMORY;
            if (s >> 40 != slot || intern_get(t, key, len) != s || !intern_bytes(t, s, NULL)) return CHILD_WRONG;
        }
    }
    intern_table *u = NULL;
    intern_stats stats;
    intern_get_stats(t, &stats);
    if (stats.symbols != n + 2400) return CHILD_WRONG;
    return intern_table_new(NULL, &u) == INTERN_OK ? (intern_table_free(u), CHILD_GOOD) : CHILD_NO_MEMORY;
}

static void *write_beside_forks(void *arg) {
    worker *w = arg;
    char key[700];
    memset(key, 'k', sizeof key);
    for (uint64_t n = 0; !atomic_load(w->phase);) {
        intern_permit p = permit_wait(w->t);
        intern_symbol s;
        for (unsigned i = 0; i < 200; i++, n++) { /* long ones among them: slabs are opened all the time */
            size_t len = (size_t)sprintf(key, "forks/%u/%" PRIu64, w->number, n % 100000);
            if (i % 8 == 0) key[len] = 'k', len = sizeof key;
            CHECK_OK(intern_get_or_insert(w->t, &p, key, len, &s, NULL));
        }
        if (n % 3) CHECK_OK(intern_permit_release(&p));
    }
    return NULL;
}

TEST(children_of_a_fork_use_tables_that_others_were_writing) {
    enum { WRITERS = 4, FORKS = 25 };
    static _Atomic unsigned gate, phase;
    intern_table *t = NULL;
    unsigned forks = 0, how[5] = {0};
    if (NO_FORKS) SKIP("race checkers do not follow forks");
    gate = phase = 0;
    CHECK_OK(intern_table_new(NULL, &t));
    intern_permit own;
    CHECK_OK(intern_permit_acquire(t, &own));
    for (unsigned i = 0; i < WRITERS; i++) {
        worker w = {t, i, WRITERS, 0, 0, calloc(1, sizeof(intern_symbol)), &gate, &phase, INTERN_OK};
        work[i] = w;
        CHECK_EQ(pthread_create(&thread[i], NULL, write_beside_forks, &work[i]), 0);
    }
    for (double until = now() + stress_seconds(); forks < FORKS || now() < until; forks++) {
        uint64_t least = intern_count(t);
        int status = 0;
        pid_t child = fork();
        if (child == 0) _exit(use_in_child(t, &own, least));
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        how[WIFEXITED(status) ? WEXITSTATUS(status) & 3 : 4]++;
        sched_yield();
    }
    phase = 1;
    for (unsigned i = 0; i < WRITERS; i++) CHECK_EQ(pthread_join(thread[i], NULL), 0);
    free_all(WRITERS);
    printf("    %u forks, %u wrong, %u without permit, %u without memory, %u hung or died\n", forks, how[1], how[2],
           how[3], how[4]);
    CHECK_EQ(how[0], forks);
    CHECK_EQ(check_failed(), 0);
    CHECK_OK(intern_permit_release(&own));
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
}

/* One thread stands in the midst of something when another forks: it opens a slab, a page or a bucket's array, one
   after the other, and stops where it allocates. The fork waits until it is through. And a thread that finds the table
   stopped may have a bucket's lock just then. */

static intern_table *forked;

static void take_a_lock_in_passing(void) {
    if (forked) intern__lock_take(&forked->bucket[5].lock);
}

static void give_the_lock_in_the_parent(void) {
    if (forked) intern__lock_give(&forked->bucket[5].lock);
}

static void fork_begins(void) { atomic_fetch_add(&forks_begun, 1); }

/* The library registers later than this, with the first table, so its preparations come between these two. */
__attribute__((constructor)) static void register_before_the_library(void) {
    (void)pthread_atfork(take_a_lock_in_passing, give_the_lock_in_the_parent, NULL);
}

static void *add_and_stop(void *arg) {
    worker *w = arg;
    intern_permit p = permit_wait(w->t);
    char key[64];
    for (size_t i = 0; atomic_load(w->phase) == 0; i++) {
        intern_symbol s;
        CHECK_OK(intern_get_or_insert(w->t, &p, key, (size_t)sprintf(key, "forks/%zu", i), &s, NULL));
    }
    CHECK_OK(intern_permit_release(&p));
    return NULL;
}

TEST(fork_waits_for_what_others_are_in_the_midst_of) {
    static _Atomic unsigned phase;
    intern_permit own;
    unsigned good = 0;
    enum { FORKS = 12 };
    if (NO_FORKS) SKIP("race checkers do not follow forks");
    phase = stopped_in_malloc = 0;
    CHECK_OK(intern_table_new(NULL, &forked));
    CHECK_EQ(pthread_atfork(fork_begins, NULL, NULL), 0); /* the last to register is the first to be called */
    CHECK_OK(intern_permit_acquire(forked, &own));
    worker w = {forked, 0, 1, 0, 0, NULL, NULL, &phase, INTERN_OK};
    CHECK_EQ(pthread_create(&thread[0], NULL, add_and_stop, &w), 0);
    for (unsigned i = 0; i < FORKS; i++) {
        int status = 0;
        atomic_store(&stop_in_malloc, true);
        while (atomic_load(&stopped_in_malloc) == i) sched_yield();
        pid_t child = fork();
        if (child == 0) _exit(inside_malloc ? CHILD_WRONG : use_in_child(forked, &own, 0));
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        good += WIFEXITED(status) && WEXITSTATUS(status) == CHILD_GOOD;
    }
    phase = 1;
    CHECK_EQ(pthread_join(thread[0], NULL), 0);
    CHECK_OK(intern_permit_release(&own));
    intern_table_free(forked);
    forked = NULL;
    CHECK_EQ(good, FORKS);
    CHECK_EQ(check_live_blocks(), 0);
}

/* No thread-specific key: as in a process that has none left, or after the library's own was deleted, which is what
   unloading does. The last tests of this program: the key does not come back. */

static void *use_and_end_later(void *arg) {
    worker *w = arg;
    intern_permit p;
    CHECK_OK(intern_permit_acquire(w->t, &p));
    CHECK_OK(intern_get_or_insert(w->t, &p, "unloaded", 8, &w->out[0], NULL));
    CHECK_OK(intern_permit_release(&p));
    CHECK(pthread_getspecific(intern__process.key) == NULL); /* so nothing is called when it ends */
    atomic_fetch_add(w->gate, 1);
    wait_for(w->phase, 1);
    return NULL;
}

TEST(without_a_thread_specific_key_permits_come_back_when_all_are_out) {
    static _Atomic unsigned gate, phase;
    intern_table *t = NULL;
    intern_symbol out[1];
    CHECK_OK(intern_table_new(NULL, &t));
    gate = phase = 0;
    worker w = {t, 0, 1, 0, 1, out, &gate, &phase, INTERN_OK};
    CHECK_EQ(pthread_create(&thread[0], NULL, use_and_end_later, &w), 0);
    wait_for(&gate, 1);
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
#if defined(__GNUC__)
    intern__process_end();
#else
    SKIP("nothing is called at unload");
#endif
    CHECK(!intern__process.has_key);
    phase = 1;
    CHECK_EQ(pthread_join(thread[0], NULL), 0);
#if defined(__linux__)
    CHECK_EQ(threads_without_permit(600), 0);
#else
    SKIP("the system cannot be asked whether a thread is gone");
#endif
}

/* The thread that forks is another one to the kernel of its child, and the slot it holds must say so: or the child,
   when all permits are out, takes it for a slot whose thread is gone. */

static void *acquire_in_vain(void *arg) {
    worker *w = arg;
    intern_permit p;
    w->status = intern_permit_acquire(w->t, &p);
    return NULL;
}

static int keep_permit_in_child(intern_table *t, const intern_permit *own) {
    worker w = {t, 0, 1, 0, 0, NULL, NULL, NULL, INTERN_OK};
    intern_symbol s;
    alarm(20);
    for (unsigned i = 0; i < INTERN_WRITERS; i++) /* as if others, which live, held the rest */
        if (i != own->slot) t->holder[i] = UINT64_MAX - i;
    if (pthread_create(&thread[0], NULL, acquire_in_vain, &w) != 0) return CHILD_NO_MEMORY;
    if (pthread_join(thread[0], NULL) != 0 || w.status != INTERN_EXHAUSTED) return CHILD_WRONG;
    return intern_get_or_insert(t, own, "child", 5, &s, NULL) == INTERN_OK ? CHILD_GOOD : CHILD_NO_PERMIT;
}

TEST(without_a_thread_specific_key_who_forks_keeps_its_permit_in_the_child) {
    intern_table *t = NULL;
    intern_permit own;
    int status = 0;
    if (NO_FORKS) SKIP("race checkers do not follow forks");
    CHECK_OK(intern_table_new(NULL, &t));
#if defined(__GNUC__)
    intern__process_end();
#else
    SKIP("nothing is called at unload");
#endif
    CHECK_OK(intern_permit_acquire(t, &own));
    CHECK_EQ(t->writer[own.slot].thread, intern__thread_id());
    pid_t child = fork();
    if (child == 0) _exit(keep_permit_in_child(t, &own));
    CHECK(child > 0 && waitpid(child, &status, 0) == child);
    CHECK(WIFEXITED(status) && WEXITSTATUS(status) == CHILD_GOOD);
    CHECK_OK(intern_permit_release(&own));
    intern_table_free(t);
}
