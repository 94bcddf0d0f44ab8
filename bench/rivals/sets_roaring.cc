// CRoaring's 64-bit map (Debian libroaring-dev) as an engine of bench_sets: a red-black tree of 32-bit Roaring bitmaps,
// each with a container for 65,536 integers. Runs are looked for after filling (runOptimize), as its documentation
// advises.
#include "../sets.h"

#include <roaring/roaring64map.hh>

namespace {

using set = Roaring64Map;

set &of(void *s) { return *static_cast<set *>(s); }

void *make(const bench_list *l) {
    set *s = new set;
    for (size_t i = 0; i < l->n; i++) s->add(bench_integer(&l->key[i]));
    s->runOptimize();
    s->shrinkToFit();
    return s;
}

void drop(void *s) { delete &of(s); }

size_t has(void *s, const bench_list *l) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) n += of(s).contains(bench_integer(&l->key[i]));
    return n;
}

uint64_t sum(void *s) {
    uint64_t total = 0;
    for (uint64_t x : of(s)) total += x;
    return total;
}

void *combine(void *a, void *b, sets_op op) {
    set *s = new set(of(a));
    if (op == SETS_JOIN) *s |= of(b);
    else if (op == SETS_MEET) *s &= of(b);
    else *s -= of(b);
    return s;
}

const sets_engine engine = {"Roaring64Map", BENCH_ORDERED, 19, make, drop, has, sum, combine, nullptr};

struct registered {
    registered() { sets_register(&engine); }
} now;

} // namespace
