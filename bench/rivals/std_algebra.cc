// Algebra on sorted std::vector of (std::string, value), and the same with a std::map as the result: what one would do
// without a trie. Keys are sorted beforehand; the time is that of the merge alone, strings copied into the result.
#include "../bench_algebra.h"

#include <algorithm>
#include <iterator>
#include <map>
#include <string>
#include <utility>
#include <vector>

namespace {

using entry = std::pair<std::string, uint64_t>;
using sorted = std::vector<entry>;

bool by_key(const entry &a, const entry &b) { return a.first < b.first; }

sorted make(const bench_list *l, size_t from, size_t to, size_t step) {
    sorted v;
    for (size_t i = from; i < to; i += step)
        v.emplace_back(std::string(reinterpret_cast<const char *>(l->key[i].data), l->key[i].len), l->val[i]);
    std::sort(v.begin(), v.end(), by_key);
    return v;
}

template <class Out>
void combine(bench_algebra_op op, const sorted &a, const sorted &b, Out out) {
    switch (op) {
    case BENCH_JOIN: std::set_union(a.begin(), a.end(), b.begin(), b.end(), out, by_key); break;
    case BENCH_MEET: std::set_intersection(a.begin(), a.end(), b.begin(), b.end(), out, by_key); break;
    case BENCH_SUBTRACT: std::set_difference(a.begin(), a.end(), b.begin(), b.end(), out, by_key); break;
    }
}

} // namespace

extern "C" void *bench_std_make(const bench_list *l, size_t from, size_t to, size_t step) {
    return new sorted(make(l, from, to, step));
}

extern "C" void bench_std_free(void *v) { delete static_cast<sorted *>(v); }

extern "C" size_t bench_std_vector(bench_algebra_op op, const void *a, const void *b, uint64_t *ns) {
    sorted out;
    uint64_t start = bench_now();
    combine(op, *static_cast<const sorted *>(a), *static_cast<const sorted *>(b), std::back_inserter(out));
    *ns = bench_now() - start;
    return out.size();
}

extern "C" size_t bench_std_map(bench_algebra_op op, const void *a, const void *b, uint64_t *ns) {
    std::map<std::string, uint64_t> out;
    uint64_t start = bench_now();
    combine(op, *static_cast<const sorted *>(a), *static_cast<const sorted *>(b), std::inserter(out, out.end()));
    *ns = bench_now() - start;
    return out.size();
}
