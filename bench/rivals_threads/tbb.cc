/* tbb::concurrent_hash_map: a lock for each bucket, and one for each element that is looked at. */
#include "rival.h"

#include <string_view>
#include <tbb/concurrent_hash_map.h>

using table = tbb::concurrent_hash_map<std::string_view, uint64_t>;

static std::string_view view(const void *key, size_t len) { return {static_cast<const char *>(key), len}; }

static void *make(size_t expected) { return new table(expected); }
static void drop(void *t) { delete static_cast<table *>(t); }
static void nothing(void) {}

static bool get(void *t, const void *key, size_t len, uint64_t *out) {
    table::const_accessor a;
    if (!static_cast<table *>(t)->find(a, view(key, len))) return false;
    *out = a->second;
    return true;
}

static bool set(void *t, const void *key, size_t len, uint64_t val) {
    table::accessor a;
    static_cast<table *>(t)->insert(a, view(key, len));
    a->second = val;
    return true;
}

extern "C" const rival rival_tbb = {"tbb", make, drop, nothing, nothing, get, set};
