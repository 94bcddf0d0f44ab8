/* std::map, and absl::btree_map where it is installed, as bench_order asks for them. What they have no call for is done
   as their users do it: a longest prefix by going back from where the key would stand, a count by walking. */
#include "../order.h"

#include <iterator>
#include <map>
#include <string>
#include <string_view>
#ifdef ORDER_ABSL
#include <absl/container/btree_map.h>
#endif

namespace {

std::string_view text(bench_key k) { return {reinterpret_cast<const char *>(k.data), k.len}; }

template <class Map> struct ordered {
    static Map &of(void *m) { return *static_cast<Map *>(m); }

    static void *make(const bench_list *l) {
        Map *m = new Map;
        for (size_t i = 0; i < l->n; i++) (*m)[std::string(text(l->key[i]))] = l->val[i];
        return m;
    }

    static void drop(void *m) { delete static_cast<Map *>(m); }

    static uint64_t at_or_after(void *m, bench_key k) {
        auto it = of(m).lower_bound(text(k));
        return it == of(m).end() ? 0 : it->second;
    }

    static uint64_t before(void *m, bench_key k) {
        auto it = of(m).lower_bound(text(k));
        return it == of(m).begin() ? 0 : std::prev(it)->second;
    }

    /* The key before the place of `t` is a prefix of it, or says how much of `t` such a prefix may have. */
    static uint64_t longest(void *m, bench_key k) {
        std::string_view t = text(k);
        for (;;) {
            auto it = of(m).upper_bound(t);
            if (it == of(m).begin()) return 0;
            --it;
            size_t same = 0, most = it->first.size() < t.size() ? it->first.size() : t.size();
            while (same < most && it->first[same] == t[same]) same++;
            if (same == it->first.size()) return it->second;
            t = t.substr(0, same);
        }
    }

    static uint64_t count(void *m, bench_key from, bench_key to) {
        auto a = of(m).lower_bound(text(from)), b = of(m).lower_bound(text(to));
        return static_cast<uint64_t>(std::distance(a, b));
    }

    static void erase(void *m, bench_key from, bench_key to) {
        of(m).erase(of(m).lower_bound(text(from)), of(m).lower_bound(text(to)));
    }

    static uint64_t pop(void *m) {
        uint64_t v = of(m).begin()->second;
        of(m).erase(of(m).begin());
        return v;
    }

    static void split_and_concat(void *m, bench_key k) {
        auto at = of(m).lower_bound(text(k));
        Map rest(std::make_move_iterator(at), std::make_move_iterator(of(m).end()));
        of(m).erase(at, of(m).end());
        for (auto &item : rest) of(m).emplace_hint(of(m).end(), item.first, item.second);
    }

    static uint64_t size(void *m) { return of(m).size(); }

    explicit ordered(const char *name)
        : engine{name, make, drop, at_or_after, before, longest, count, erase, pop, split_and_concat, size} {
        order_register(&engine);
    }

    order_engine engine;
};

ordered<std::map<std::string, uint64_t, std::less<>>> tree("std::map");
#ifdef ORDER_ABSL
ordered<absl::btree_map<std::string, uint64_t, std::less<>>> btree("absl::btree_map");
#endif

} // namespace
