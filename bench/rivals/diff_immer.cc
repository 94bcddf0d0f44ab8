/* immer::map (BENCH_IMMER=folder of its source), as bench_diff asks for it: a persistent hash map, whose difference is
   in no order. */
#include "../diff.h"
#include "cxx_map.h"

#include <immer/algorithm.hpp>
#include <immer/map.hpp>
#include <immer/map_transient.hpp>

namespace {

using map = immer::map<std::string, uint64_t, string_hash>;
using keys = cxx_strings;

const map &of(const void *m) { return *static_cast<const map *>(m); }

void *make(const bench_list *l) {
    auto t = map().transient();
    for (size_t i = 0; i < l->n; i++) t.set(keys::own(l->key[i]), l->val[i]);
    return new map(t.persistent());
}

void *change(const void *m, const bench_list *l, size_t step, size_t n) {
    auto t = of(m).transient();
    for (size_t k = 0, i = 0; k < n; k++, i += step) {
        if (k % 8 == 7) t.erase(keys::own(l->key[i]));
        else t.set(keys::own(l->key[i]), l->val[i] ^ 1);
    }
    return new map(t.persistent());
}

size_t diff(const void *a, const void *b) {
    size_t n = 0;
    immer::diff(
        of(a), of(b), [&](const auto &) { n++; }, [&](const auto &) { n++; },
        [&](const auto &, const auto &) { n++; });
    return n;
}

void drop(void *m) { delete static_cast<map *>(m); }

const diff_engine engine = {"immer::map", make, change, diff, drop};
struct registered {
    registered() { diff_register(&engine); }
} now;

} // namespace
