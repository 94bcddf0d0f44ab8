// std::unordered_map behind locks: 128 maps with a mutex each, 128 with a read-write lock each, and one map with one
// read-write lock. Both directions are maps, as a symbol may be asked for while others are added. Lookups take a view
// of the key (C++20), so no string is made for them; a key that exists is looked up once, under the lock.
#include <mutex>
#include <shared_mutex>
#include <string>
#include <string_view>
#include <unordered_map>

#include "engine.h"

namespace {

struct view_hash {
    using is_transparent = void;
    size_t operator()(std::string_view s) const { return std::hash<std::string_view>()(s); }
};

template <class Mutex> struct alignas(64) shard_of {
    Mutex by_key_lock;
    std::unordered_map<std::string, uint64_t, view_hash, std::equal_to<>> by_key;
    alignas(64) Mutex by_symbol_lock;
    std::unordered_map<uint64_t, const std::string *> by_symbol;
    uint64_t next = 0;
};

template <class Mutex, size_t Shards> struct locked_maps {
    using shard = shard_of<Mutex>;
    shard shards[Shards];

    static locked_maps *of(void *table) { return static_cast<locked_maps *>(table); }
    // High bits choose the shard: the maps go by the low ones.
    size_t place(std::string_view k) const { return (view_hash()(k) >> 40) % Shards; }

    static bool find(shard &s, std::string_view k, uint64_t &out) {
        auto it = s.by_key.find(k);
        if (it == s.by_key.end()) return false;
        out = it->second;
        return true;
    }

    uint64_t add(std::string_view k) {
        size_t at = place(k);
        shard &s = shards[at];
        uint64_t symbol = 0;
        if constexpr (std::is_same_v<Mutex, std::shared_mutex>) { // a reader's lock does for a key that exists
            std::shared_lock<Mutex> lock(s.by_key_lock);
            if (find(s, k, symbol)) return symbol;
        }
        std::unique_lock<Mutex> lock(s.by_key_lock);
        if (find(s, k, symbol)) return symbol;
        symbol = at << 40 | ++s.next;
        auto it = s.by_key.emplace(std::string(k), symbol).first;
        std::unique_lock<Mutex> other(s.by_symbol_lock);
        s.by_symbol.emplace(symbol, &it->first);
        return symbol;
    }

    template <class Lock> uint64_t get(std::string_view k) {
        shard &s = shards[place(k)];
        uint64_t symbol = 0;
        Lock lock(s.by_key_lock);
        return find(s, k, symbol) ? symbol : 0;
    }

    template <class Lock> symbol_bytes bytes(uint64_t symbol) {
        symbol_bytes b = {nullptr, 0};
        shard &s = shards[symbol >> 40];
        Lock lock(s.by_symbol_lock);
        auto it = s.by_symbol.find(symbol);
        if (it != s.by_symbol.end()) b = {it->second->data(), it->second->size()};
        return b;
    }
};

template <class Mutex> using read_lock = std::conditional_t<std::is_same_v<Mutex, std::shared_mutex>,
                                                            std::shared_lock<Mutex>, std::unique_lock<Mutex>>;

std::string_view view(const bench_key &k) {
    return std::string_view(reinterpret_cast<const char *>(k.data), k.len);
}

template <class Mutex, size_t Shards> constexpr interner engine_of(const char *name) {
    using maps = locked_maps<Mutex, Shards>;
    interner e = {};
    e.name = name;
    e.make = []() -> void * { return new maps; };
    e.drop = [](void *t) { delete maps::of(t); };
    e.enter = [](void *t) { return t; };
    e.leave = [](void *, void *) {};
    e.intern = [](void *t, void *, const bench_key *keys, size_t n, uint64_t *out) {
        for (size_t i = 0; i < n; i++) out[i] = maps::of(t)->add(view(keys[i]));
    };
    e.get = [](void *t, const bench_key *keys, size_t n, uint64_t *out) {
        for (size_t i = 0; i < n; i++) out[i] = maps::of(t)->template get<read_lock<Mutex>>(view(keys[i]));
    };
    e.bytes = [](void *t, const uint64_t *symbols, size_t n, symbol_bytes *out) {
        for (size_t i = 0; i < n; i++) out[i] = maps::of(t)->template bytes<read_lock<Mutex>>(symbols[i]);
    };
    return e;
}

} // namespace

extern "C" {
const interner interner_mutexes = engine_of<std::mutex, 128>("128-mutex-maps");
const interner interner_rwlocks = engine_of<std::shared_mutex, 128>("128-rwlock-maps");
const interner interner_one_rwlock = engine_of<std::shared_mutex, 1>("1-rwlock-map");
}
