/* Concurrent reads: one map, any number of threads, nothing between them.

   When: nobody writes while they read. A table that is loaded once, an index between two updates.
   Cost: none. No move of a zipper and no lookup takes a lock or does an atomic read-modify-write, so threads do not
   slow each other down. The one rule is that nobody writes to this handle meanwhile: where that may happen, give each
   thread a clone, or see threads_hybrid.c and threads_replace.c. */
#include <stdatomic.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { NUMBERS = 20000, DIGITS = 9, THREADS = 3, TEXT = 8 };

/* What a thread finds out about the numbers that begin with one digit. */
typedef struct answer {
    unsigned numbers, primes, safe;
    char last[TEXT]; /* prime, in the order of texts */
} answer;

typedef struct question {
    const pm_map *factor; /* numbers as texts, and the smallest factor of each */
    atomic_uint next;     /* digit that nobody works on */
    answer answers[DIGITS + 1];
} question;

/* All numbers at once: sorted or not, this is the quickest way to a map. */
static pm_map smallest_factors(void) {
    static char text[NUMBERS][TEXT];
    static pm_key keys[NUMBERS];
    static pm_val factor[NUMBERS];
    size_t n = 0;
    pm_map m;
    for (unsigned i = 2; i < NUMBERS; i++) {
        if (factor[i]) continue;
        for (unsigned j = i; j < NUMBERS; j += i)
            if (factor[j] == 0) factor[j] = i;
    }
    for (unsigned i = 2; i < NUMBERS; i++, n++) {
        int len = snprintf(text[i], sizeof text[i], "%u", i);
        keys[n].data = text[i];
        keys[n].len = (size_t)len;
    }
    must(pm_build(NULL, NULL, keys, factor + 2, n, &m));
    return m;
}

static bool is_prime(const pm_map *factor, unsigned n) {
    char text[TEXT];
    int len = snprintf(text, sizeof text, "%u", n);
    const pm_val *f = pm_get(factor, text, (size_t)len);
    return f && *f == n;
}

/* A zipper of its own goes through what is below one place; lookups go anywhere else meanwhile. */
static void look_below(const pm_map *factor, unsigned digit, answer *a) {
    char prefix = (char)('0' + digit);
    pm_rz z;
    must(pm_rz_open(factor, &prefix, 1, &z));
    for (bool more = pm_rz_is_val(&z) || pm_rz_to_next_val(&z); more; more = pm_rz_to_next_val(&z)) {
        size_t len;
        const char *path = (const char *)pm_rz_origin_path(&z, &len);
        char text[TEXT] = {0};
        memcpy(text, path, len);
        unsigned n = (unsigned)strtoul(text, NULL, 10);
        a->numbers++;
        if (*pm_rz_val(&z) != n) continue;
        a->primes++;
        a->safe += is_prime(factor, (n - 1) / 2);
        memcpy(a->last, text, sizeof text);
    }
    must(pm_rz_status(&z)); /* whether the loop ended for lack of memory */
    pm_rz_drop(&z);
}

static void *work(void *arg) {
    question *q = *(question **)arg;
    for (unsigned digit; (digit = atomic_fetch_add(&q->next, 1)) <= DIGITS;)
        look_below(q->factor, digit, &q->answers[digit]);
    return NULL;
}

int main(void) {
    static question q;
    question *each[THREADS];
    pm_map factor = smallest_factors();
    q.factor = &factor;
    q.next = 1;
    for (int i = 0; i < THREADS; i++) each[i] = &q;
    run_each(work, each, sizeof each[0], THREADS);

    printf("digit  numbers  primes  safe primes  last prime\n");
    for (int d = 1; d <= DIGITS; d++)
        printf("%5d  %7u  %6u  %11u  %10s\n", d, q.answers[d].numbers, q.answers[d].primes, q.answers[d].safe,
               q.answers[d].last);
    pm_drop(&factor);
    return 0;
}
