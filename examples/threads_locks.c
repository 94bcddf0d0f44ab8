/* One map behind a lock: a mutex, or a lock that readers share.

   When: threads write anywhere in the map, to any key, and each change is short; or a change reads several places that
   must not change meanwhile. It is the simplest way, and often enough.
   Cost: changes follow each other, whatever they touch. A mutex keeps readers apart too; a read-write lock does not, at
   the price of a costlier lock, which pays off where readers hold it for long or are very many.

   Two things to know. A lock must cover all that belongs together: finding a value, and changing it. And what pm_get
   answers is valid only as long as the lock is held: copy it. Who wants to read for long takes a clone under the lock,
   which is O(1), and reads that after letting go. */
#define _POSIX_C_SOURCE 200809L
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { WRITERS = 3, READERS = 2, ROUNDS = 2000 };

static const char *const names[] = {"ant", "bee", "cat", "dog", "eel", "fox", "gnu"};
enum { NAMES = sizeof names / sizeof names[0] };

/* ---- a mutex ---- */

typedef struct counters {
    pm_map map;
    pthread_mutex_t lock;
} counters;

static void count_one(counters *c, const char *name) {
    pm_val *slot;
    pthread_mutex_lock(&c->lock);
    must(pm_get_or_set(&c->map, name, strlen(name), 0, &slot, NULL));
    (*slot)++; /* under the lock still: a slot is valid until the next write, by anybody */
    pthread_mutex_unlock(&c->lock);
}

static void *count_names(void *arg) {
    for (unsigned i = 0; i < ROUNDS; i++) count_one(arg, names[i % NAMES]);
    return NULL;
}

static void with_a_mutex(void) {
    counters c = {.lock = PTHREAD_MUTEX_INITIALIZER};
    pthread_t thread[WRITERS];
    for (int i = 0; i < WRITERS; i++) thread[i] = start(count_names, &c);
    for (int i = 0; i < WRITERS; i++) finish(thread[i]);
    for (pm_iter i = pm_iter_vals(&c.map); pm_iter_next(&i);)
        printf("%.*s %d times\n", (int)i.len, (const char *)i.key, (int)*i.val);
    pm_drop(&c.map);
    pthread_mutex_destroy(&c.lock);
}

/* ---- a read-write lock ---- */

/* A telephone book both ways: "of/ant" = 200, "who/200" = 0. Entries of both kinds change together. */
typedef struct book {
    pm_map map;
    pthread_rwlock_t lock;
} book;

typedef struct reader {
    book *book;
    bool agrees, whole;
} reader;

static void set_number(book *b, size_t name, unsigned number) {
    char of[32], who[32];
    snprintf(of, sizeof of, "of/%s", names[name]);
    snprintf(who, sizeof who, "who/%u", number);
    pthread_rwlock_wrlock(&b->lock);
    pm_opt old = {0, false};
    must(pm_set(&b->map, of, strlen(of), number, &old));
    if (old.some) {
        char was[32];
        int len = snprintf(was, sizeof was, "who/%u", (unsigned)old.val);
        must(pm_remove(&b->map, was, (size_t)len, PM_PRUNE, NULL));
    }
    put(&b->map, who, name);
    pthread_rwlock_unlock(&b->lock);
}

/* Each name has a range of numbers of its own, so nobody gets another's. */
static void *change_numbers(void *arg) {
    for (unsigned i = 0; i < ROUNDS; i++) set_number(arg, i % NAMES, 100 * (unsigned)(i % NAMES + 1) + i % 50);
    return NULL;
}

/* Two lookups that belong together: the lock is held for both. */
static bool number_leads_back(book *b, size_t name) {
    char key[32];
    snprintf(key, sizeof key, "of/%s", names[name]);
    pthread_rwlock_rdlock(&b->lock);
    const pm_val *number = get(&b->map, key);
    snprintf(key, sizeof key, "who/%u", number ? (unsigned)*number : 0);
    const pm_val *back = get(&b->map, key);
    bool ok = back && *back == name;
    pthread_rwlock_unlock(&b->lock);
    return ok;
}

/* Long reading: the lock is held for a clone only, and what is read is one moment of the book. */
static bool book_is_whole(book *b) {
    size_t n = 0;
    pthread_rwlock_rdlock(&b->lock);
    pm_map now = pm_clone(&b->map);
    pthread_rwlock_unlock(&b->lock);
    for (pm_iter i = pm_iter_vals(&now); pm_iter_next(&i);) n++;
    pm_drop(&now);
    return n == 2 * NAMES;
}

static void *look_up(void *arg) {
    reader *r = arg;
    r->agrees = r->whole = true;
    for (size_t i = 0; i < ROUNDS; i++) {
        r->agrees &= number_leads_back(r->book, i % NAMES);
        if (i % 100 == 0) r->whole &= book_is_whole(r->book);
    }
    return NULL;
}

static void with_a_read_write_lock(void) {
    book b = {.lock = PTHREAD_RWLOCK_INITIALIZER};
    reader readers[READERS];
    for (unsigned i = 0; i < NAMES; i++) set_number(&b, i, 100 * (i + 1));
    pthread_t writer = start(change_numbers, &b);
    for (int i = 0; i < READERS; i++) readers[i].book = &b;
    run_each(look_up, readers, sizeof readers[0], READERS);
    finish(writer);
    for (int i = 0; i < READERS; i++)
        printf("reader %d: numbers and names %s, the book was %s\n", i, readers[i].agrees ? "agreed" : "disagreed",
               readers[i].whole ? "always whole" : "torn");
    printf("the gnu has %d in the end\n", (int)*get(&b.map, "of/gnu"));
    pm_drop(&b.map);
    pthread_rwlock_destroy(&b.lock);
}

int main(void) {
    with_a_mutex();
    with_a_read_write_lock();
    return 0;
}
