/* HOT (BENCH_HOT=folder of its source), its index for a single thread. It indexes records of the program's, whose keys
   are C strings of at most 254 bytes: longer sets are left out. The records are counted as its memory. */
#include "cxx_map.h"

#include <algorithm>
#include <byteswap.h>
#include <cstring>
#include <hot/singlethreaded/HOTSingleThreaded.hpp>

namespace {

struct record {
    uint64_t val;
    char key[1]; /* and more, and a zero byte */
};

template <typename Record> struct key_of {
    const char *operator()(const Record &r) const { return r->key; }
};

using index = hot::singlethreaded::HOTSingleThreaded<record *, key_of>;
constexpr size_t LONGEST = 254;

struct store {
    index *at;
};

store &of(void *m) { return *static_cast<store *>(m); }
const char *text(const bench_key &k) { return reinterpret_cast<const char *>(k.data); }

void *make(const bench_traits *) { return new store{new index}; }

void drop(void *m) {
    for (auto i = of(m).at->begin(); i != of(m).at->end(); ++i) std::free(*i);
    delete of(m).at;
    of(m).at = new index;
}

void end(void *m) {
    delete of(m).at;
    delete static_cast<store *>(m);
}

bool is_empty(void *m) { return of(m).at->isEmpty(); }

bool insert(void *m, const bench_list *l) {
    for (size_t i = 0; i < l->n; i++) {
        auto *r = static_cast<record *>(bench_alloc(sizeof(record) + l->key[i].len));
        r->val = l->val[i];
        std::memcpy(r->key, l->key[i].data, l->key[i].len + 1);
        if (!of(m).at->insert(r)) return false;
    }
    return true;
}

bench_tally get(void *m, const bench_list *l) {
    bench_tally t = {0, 0};
    for (size_t i = 0; i < l->n; i++) {
        auto found = of(m).at->lookup(text(l->key[i]));
        t.found += found.mIsValid;
        t.right += found.mIsValid && found.mValue->val == l->val[i];
    }
    return t;
}

void iterate(void *m, bench_visitor *out) {
    bench_visitor v = *out;
    auto last = of(m).at->end();
    for (auto i = of(m).at->begin(); i != last; ++i)
        bench_visit(&v, (*i)->key, v.expect ? std::strlen((*i)->key) : 0, (*i)->val);
    *out = v;
}

bench_engine engine() {
    bench_engine e = bench_engine();
    e.name = "HOT";
    e.flags = BENCH_ORDERED | BENCH_ZERO_FREE;
    e.rank = 28;
    e.longest = LONGEST;
    e.make = make;
    e.free = end;
    e.insert = insert;
    e.get = get;
    e.iterate = iterate;
    e.is_empty = is_empty;
    e.drop = drop;
    return e;
}

cxx_register registered(engine());

} // namespace
