// Sorted vectors, and absl::btree_set where it is installed, as engines of bench_sets: merged by the standard
// algorithms.
#include "../sets.h"

#include <algorithm>
#include <iterator>
#include <vector>
#ifdef SETS_ABSL
#include <absl/container/btree_set.h>
#endif

namespace {

template <class Set> void add(Set *s, const bench_list *l) {
    for (size_t i = 0; i < l->n; i++) s->insert(bench_integer(&l->key[i]));
}

void add(std::vector<uint64_t> *s, const bench_list *l) {
    for (size_t i = 0; i < l->n; i++) s->push_back(bench_integer(&l->key[i]));
    std::sort(s->begin(), s->end());
    s->shrink_to_fit();
}

template <class Set> bool holds(const Set &s, uint64_t x) { return s.contains(x); }
bool holds(const std::vector<uint64_t> &s, uint64_t x) { return std::binary_search(s.begin(), s.end(), x); }

template <class Set> struct adapter {
    static const Set &of(void *s) { return *static_cast<Set *>(s); }

    static void *make(const bench_list *l) {
        Set *s = new Set;
        add(s, l);
        return s;
    }

    static void drop(void *s) { delete static_cast<Set *>(s); }

    static size_t has(void *s, const bench_list *l) {
        size_t n = 0;
        for (size_t i = 0; i < l->n; i++) n += holds(of(s), bench_integer(&l->key[i]));
        return n;
    }

    static uint64_t sum(void *s) {
        uint64_t total = 0;
        for (uint64_t x : of(s)) total += x;
        return total;
    }

    static void *combine(void *a, void *b, sets_op op) {
        Set *s = new Set;
        auto x = of(a).begin(), xn = of(a).end(), y = of(b).begin(), yn = of(b).end();
        auto out = std::inserter(*s, s->end());
        if (op == SETS_JOIN) std::set_union(x, xn, y, yn, out);
        else if (op == SETS_MEET) std::set_intersection(x, xn, y, yn, out);
        else std::set_difference(x, xn, y, yn, out);
        return s;
    }

    adapter(const char *name, unsigned flags, int rank)
        : engine{name, flags, rank, make, drop, has, sum, combine, nullptr} {
        sets_register(&engine);
    }

    sets_engine engine;
};

// A vector is no rival for insertion and removal, so it is not called ordered.
adapter<std::vector<uint64_t>> vectors("sorted std::vector<u64>", 0, 22);
#ifdef SETS_ABSL
adapter<absl::btree_set<uint64_t>> trees("absl::btree_set<u64>", BENCH_ORDERED, 21);
#endif

} // namespace
