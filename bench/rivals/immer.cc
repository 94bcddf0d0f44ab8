/* immer::map (BENCH_IMMER=folder of its source): a persistent hash map, updated in place through a transient. */
#include "cxx_map.h"

#include <immer/map.hpp>
#include <immer/map_transient.hpp>
#include <vector>

namespace {

struct same {
    using is_transparent = void;
    bool operator()(std::string_view a, std::string_view b) const { return a == b; }
};

using map = immer::map<std::string, uint64_t, string_hash, same>;
using keys = cxx_strings;

struct store {
    map at;
};

store &of(void *m) { return *static_cast<store *>(m); }

void *make(const bench_traits *) { return new store; }
void end(void *m) { delete static_cast<store *>(m); }
void drop(void *m) { of(m).at = map(); }
bool is_empty(void *m) { return of(m).at.size() == 0; }

bool insert(void *m, const bench_list *l) {
    const size_t before = of(m).at.size();
    auto t = of(m).at.transient();
    for (size_t i = 0; i < l->n; i++) t.set(keys::own(l->key[i]), l->val[i]);
    of(m).at = t.persistent();
    return of(m).at.size() == before + l->n;
}

bench_tally get(void *m, const bench_list *l) {
    bench_tally t = {0, 0};
    for (size_t i = 0; i < l->n; i++) {
        const uint64_t *v = of(m).at.find(keys::view(l->key[i]));
        t.found += v != nullptr;
        t.right += v && *v == l->val[i];
    }
    return t;
}

void iterate(void *m, bench_visitor *out) {
    bench_visitor v = *out;
    for (const auto &pair : of(m).at) keys::visit(&v, pair.first, pair.second);
    *out = v;
}

size_t remove(void *m, const bench_list *l) {
    size_t before = of(m).at.size();
    auto t = of(m).at.transient();
    for (size_t i = 0; i < l->n; i++) t.erase(keys::own(l->key[i]));
    of(m).at = t.persistent();
    return before - of(m).at.size();
}

bool clone_drop(void *m, size_t times) {
    bool well = true;
    for (size_t i = 0; i < times; i++) {
        map clone = of(m).at;
        well &= clone.size() != 0;
    }
    return well;
}

bool clone_write(void *m, const bench_list *l, size_t times) {
    bool well = true;
    for (size_t i = 0; i < times; i++) {
        map clone = of(m).at.set(keys::own(l->key[i]), l->val[i] + 1);
        well &= clone.size() != 0;
    }
    return well;
}

void *clones(void *m, const bench_list *l, size_t n) {
    auto *kept = new std::vector<map>;
    kept->reserve(n);
    for (size_t i = 0; i < n; i++) kept->push_back(of(m).at.set(keys::own(l->key[i]), l->val[i] + 1));
    return kept;
}

void drop_clones(void *kept, size_t) { delete static_cast<std::vector<map> *>(kept); }

bench_engine engine() {
    bench_engine e = bench_engine();
    e.name = "immer";
    e.rank = 34;
    e.make = make;
    e.free = end;
    e.insert = insert;
    e.get = get;
    e.iterate = iterate;
    e.remove = remove;
    e.is_empty = is_empty;
    e.drop = drop;
    e.clone_drop = clone_drop;
    e.clone_write = clone_write;
    e.clones = clones;
    e.drop_clones = drop_clones;
    return e;
}

cxx_register registered(engine());

} // namespace
