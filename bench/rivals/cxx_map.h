/* Adapter for C++ containers with the interface of std::map: keyed by std::string, which owns its bytes (short ones
   inside the node), lookups and removals going by std::string_view, so that no temporary string is made; or keyed by
   uint64_t, for sets whose keys have 8 bytes. */
#ifndef BENCH_CXX_MAP_H
#define BENCH_CXX_MAP_H

#include "../engine.h"

#include <functional>
#include <string>
#include <string_view>
#include <utility>

struct string_hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
};

/* How a container's keys come from those of a list, and are shown. */
struct cxx_strings {
    static constexpr unsigned flags = 0;
    static std::string_view view(const bench_key &k) {
        return std::string_view(reinterpret_cast<const char *>(k.data), k.len);
    }
    static std::string own(const bench_key &k) { return std::string(view(k)); }
    static void visit(bench_visitor *v, const std::string &key, uint64_t val) {
        bench_visit(v, key.data(), key.size(), val);
    }
};

struct cxx_integers {
    static constexpr unsigned flags = BENCH_INTEGERS;
    static uint64_t view(const bench_key &k) { return bench_integer(&k); }
    static uint64_t own(const bench_key &k) { return bench_integer(&k); }
    static void visit(bench_visitor *v, uint64_t key, uint64_t val) { bench_visit_integer(v, key, val); }
};

template <class Map, class Keys = cxx_strings>
struct cxx_map {
    static void *make(const bench_traits *) { return new Map; }
    static void end(void *m) { delete static_cast<Map *>(m); }
    static void drop(void *m) { static_cast<Map *>(m)->clear(); }
    static bool is_empty(void *m) { return static_cast<Map *>(m)->empty(); }

    static bool insert(void *m, const bench_list *l) {
        Map &map = *static_cast<Map *>(m);
        for (size_t i = 0; i < l->n; i++)
            if (!map.try_emplace(Keys::own(l->key[i]), l->val[i]).second) return false;
        return true;
    }

    static bench_tally get(void *m, const bench_list *l) {
        const Map &map = *static_cast<Map *>(m);
        bench_tally t = {0, 0};
        for (size_t i = 0; i < l->n; i++) {
            auto at = map.find(Keys::view(l->key[i]));
            if (at == map.end()) continue;
            t.found++;
            t.right += at->second == l->val[i];
        }
        return t;
    }

    static void iterate(void *m, bench_visitor *out) {
        bench_visitor v = *out;
        for (const auto &pair : *static_cast<Map *>(m))
            Keys::visit(&v, pair.first, pair.second);
        *out = v;
    }

    static size_t remove(void *m, const bench_list *l) {
        Map &map = *static_cast<Map *>(m);
        size_t n = 0;
        for (size_t i = 0; i < l->n; i++) {
            auto at = map.find(Keys::view(l->key[i]));
            if (at == map.end()) continue;
            map.erase(at);
            n++;
        }
        return n;
    }

    static bench_engine engine(const char *name, unsigned flags, int rank) {
        bench_engine e = bench_engine();
        e.name = name;
        e.flags = flags | Keys::flags;
        e.rank = rank;
        e.make = make;
        e.free = end;
        e.insert = insert;
        e.get = get;
        e.iterate = iterate;
        e.remove = remove;
        e.is_empty = is_empty;
        e.drop = drop;
        return e;
    }
};

/* Registers a container when the program starts. */
struct cxx_register {
    bench_engine e;
    explicit cxx_register(const bench_engine &from) : e(from) { bench_register(&e); }
};

#endif
