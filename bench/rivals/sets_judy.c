/* Judy1 (Debian libjudy-dev), a set of words, as an engine of bench_sets. It has no algebra: union is copying one
   set and adding the other's elements, intersection and difference look each element of one up in the other. */
#define _DEFAULT_SOURCE
#include "../sets.h"

#include <Judy.h>

static void **new_set(void) {
    void **s = bench_alloc(sizeof *s);
    *s = NULL;
    return s;
}

static void *make(const bench_list *l) {
    void **s = new_set();
    for (size_t i = 0; i < l->n; i++) (void)Judy1Set(s, bench_integer(&l->key[i]), PJE0);
    return s;
}

static void drop(void *set) {
    (void)Judy1FreeArray(set, PJE0);
    free(set);
}

static size_t has(void *set, const bench_list *l) {
    void *const *s = set;
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) n += Judy1Test(*s, bench_integer(&l->key[i]), PJE0) == 1;
    return n;
}

static uint64_t sum(void *set) {
    void *const *s = set;
    uint64_t total = 0;
    Word_t key = 0;
    for (int more = Judy1First(*s, &key, PJE0); more == 1; more = Judy1Next(*s, &key, PJE0)) total += key;
    return total;
}

/* Adds the elements of `from`: those that `with` has, or has not, or all. */
static void add(void **to, void *from, void *with, bool there) {
    Word_t key = 0;
    for (int more = Judy1First(from, &key, PJE0); more == 1; more = Judy1Next(from, &key, PJE0))
        if (!with || (Judy1Test(with, key, PJE0) == 1) == there) (void)Judy1Set(to, key, PJE0);
}

static void *combine(void *a, void *b, sets_op op) {
    void **s = new_set(), *const *x = a, *const *y = b;
    add(s, *x, op == SETS_JOIN ? NULL : *y, op == SETS_MEET);
    if (op == SETS_JOIN) add(s, *y, NULL, true);
    return s;
}

static const sets_engine judy1 = {"Judy1", BENCH_ORDERED, 20, make, drop, has, sum, combine, NULL};
SETS_ENGINE(judy1)
