/* The interner under threads: equal and disjoint keys, all permits out, threads that come and go, readers beside
   writers, files saved while others write. Meant to be run under a race checker as well. */
#include "check.h"

#define INTERNING_STATIC
#define INTERN_MALLOC(n) check_malloc(n)
#define INTERN_FREE(p, n) check_free(p, n)
#include "../interning.h"

#include <pthread.h>
#include <sched.h>

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
