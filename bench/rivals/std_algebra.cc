// Algebra on sorted std::vector of (std::string, value), and on std::map: what one would do without a trie. Vectors are
// sorted beforehand; the time is that of the merge alone, strings copied into the result.
#include "../bench_algebra.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace {

using entry = std::pair<const std::string, uint64_t>;
using pair = std::pair<std::string, uint64_t>;
using sorted = std::vector<pair>;
using ordered = std::map<std::string, uint64_t>;

struct by_key {
    template <class A, class B>
    bool operator()(const A &a, const B &b) const { return a.first < b.first; }
};

std::string text(const bench_key &k) { return std::string(reinterpret_cast<const char *>(k.data), k.len); }

sorted make(const bench_list *l, size_t from, size_t to, size_t step) {
    sorted v;
    for (size_t i = from; i < to; i += step) v.emplace_back(text(l->key[i]), l->val[i]);
    std::sort(v.begin(), v.end(), by_key());
    return v;
}

bool begins(const std::string &s, const std::string &prefix) { return s.compare(0, prefix.size(), prefix) == 0; }

auto first_from(const sorted &v, const std::string &key) {
    return std::lower_bound(v.begin(), v.end(), key, [](const pair &e, const std::string &k) { return e.first < k; });
}

auto first_from(const ordered &m, const std::string &key) { return m.lower_bound(key); }

template <class In, class Out>
void restrict_to(const In &a, const In &b, Out out) {
    const std::string *last = nullptr;
    for (const auto &prefix : b) {
        if (last && begins(prefix.first, *last)) continue; // covered already
        last = &prefix.first;
        for (auto i = first_from(a, prefix.first); i != a.end() && begins(i->first, prefix.first); ++i) *out++ = *i;
    }
}

template <class In, class Out>
void combine(bench_algebra_op op, const In &a, const In &b, Out out) {
    by_key less;
    switch (op) {
    case BENCH_JOIN: std::set_union(a.begin(), a.end(), b.begin(), b.end(), out, less); break;
    case BENCH_MEET: std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), out, less); break;
    case BENCH_SUBTRACT: std::set_difference(a.begin(), a.end(), b.begin(), b.end(), out, less); break;
    case BENCH_DIFFER: std::set_symmetric_difference(a.begin(), a.end(), b.begin(), b.end(), out, less); break;
    case BENCH_RESTRICT: restrict_to(a, b, out); break;
    }
}

template <class In>
size_t to_map(bench_algebra_op op, const In &a, const In &b, bench_clock *took) {
    ordered out;
    bench_clock start = bench_start();
    combine(op, a, b, std::inserter(out, out.end()));
    *took = bench_since(start);
    return out.size();
}

size_t to_vector(bench_algebra_op op, const sorted &a, const sorted &b, bench_clock *took) {
    sorted out;
    bench_clock start = bench_start();
    combine(op, a, b, std::back_inserter(out));
    *took = bench_since(start);
    return out.size();
}

const sorted &vector_of(const void *v) { return *static_cast<const sorted *>(v); }
const ordered &map_of(const void *v) { return *static_cast<const ordered *>(v); }

// Pairs, then pairs of pairs; what is used up goes at once.
sorted combine_vectors(bench_algebra_op op, void *const *parts, size_t n) {
    sorted out;
    if (n == 1) return vector_of(parts[0]);
    if (n == 2) {
        combine(op, vector_of(parts[0]), vector_of(parts[1]), std::back_inserter(out));
        return out;
    }
    sorted a = combine_vectors(op, parts, n / 2), b = combine_vectors(op, parts + n / 2, n - n / 2);
    auto take = [](sorted::iterator i) { return std::make_move_iterator(i); };
    auto into = std::back_inserter(out);
    if (op == BENCH_JOIN)
        std::set_union(take(a.begin()), take(a.end()), take(b.begin()), take(b.end()), into, by_key());
    else
        std::set_intersection(take(a.begin()), take(a.end()), b.begin(), b.end(), into, by_key());
    return out;
}

// Joined by inserting one behind the other, met by looking each key of the first up in the others.
ordered combine_maps(bench_algebra_op op, void *const *parts, size_t n) {
    if (op == BENCH_JOIN) {
        ordered out = map_of(parts[0]);
        for (size_t i = 1; i < n; i++) out.insert(map_of(parts[i]).begin(), map_of(parts[i]).end());
        return out;
    }
    ordered out;
    for (const entry &e : map_of(parts[0])) {
        size_t i = 1;
        while (i < n && map_of(parts[i]).count(e.first)) i++;
        if (i == n) out.insert(out.end(), e);
    }
    return out;
}

} // namespace

extern "C" const char *bench_std_name(bench_std_kind kind) {
    static const char *const names[] = {"std::vector", "std::vector to std::map", "std::map"};
    return names[kind];
}

extern "C" void *bench_std_make(bench_std_kind kind, const bench_list *l, size_t from, size_t to, size_t step) {
    sorted v = make(l, from, to, step);
    if (kind == BENCH_MAP) return new ordered(v.begin(), v.end());
    return new sorted(std::move(v));
}

extern "C" void bench_std_free(bench_std_kind kind, void *v) {
    if (kind == BENCH_MAP) delete static_cast<ordered *>(v);
    else delete static_cast<sorted *>(v);
}

extern "C" size_t bench_std_combine(bench_std_kind kind, bench_algebra_op op, const void *a, const void *b,
                                    bench_clock *took) {
    if (kind == BENCH_VECTOR) return to_vector(op, vector_of(a), vector_of(b), took);
    if (kind == BENCH_TO_MAP) return to_map(op, vector_of(a), vector_of(b), took);
    return to_map(op, map_of(a), map_of(b), took);
}

extern "C" size_t bench_std_combine_many(bench_std_kind kind, bench_algebra_op op, void *const *parts, size_t n,
                                         bench_clock *took) {
    bench_clock start = bench_start();
    if (kind == BENCH_MAP) {
        ordered out = combine_maps(op, parts, n);
        *took = bench_since(start);
        return out.size();
    }
    sorted v = combine_vectors(op, parts, n);
    if (kind == BENCH_VECTOR) {
        *took = bench_since(start);
        return v.size();
    }
    ordered out(std::make_move_iterator(v.begin()), std::make_move_iterator(v.end()));
    *took = bench_since(start);
    return out.size();
}

extern "C" size_t bench_std_insert(void *map, const bench_list *l, bench_clock *inserts, bench_clock *erases) {
    ordered &m = *static_cast<ordered *>(map);
    std::vector<std::string> keys;
    for (size_t i = 0; i < l->n; i++) keys.push_back(text(l->key[i]));
    size_t before = m.size();
    bench_clock start = bench_start();
    for (size_t i = 0; i < l->n; i++) m.emplace(keys[i], l->val[i]);
    *inserts = bench_since(start);
    size_t after = m.size();
    start = bench_start();
    if (after - before == l->n)
        for (const std::string &k : keys) m.erase(k);
    *erases = bench_since(start);
    return after;
}

extern "C" uint64_t bench_std_sum(const void *map, bench_clock *took) {
    uint64_t sum = 0;
    bench_clock start = bench_start();
    for (const entry &e : map_of(map)) sum += e.second;
    *took = bench_since(start);
    return sum;
}
