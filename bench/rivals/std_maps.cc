/* std::map and std::unordered_map of the C++ standard library. */
#include "cxx_map.h"

#include <map>
#include <unordered_map>

using tree = std::map<std::string, uint64_t, std::less<>>;
using table = std::unordered_map<std::string, uint64_t, string_hash, std::equal_to<>>;
using words = std::unordered_map<uint64_t, uint64_t>;

static cxx_register register_tree(cxx_map<tree>::engine("std::map", BENCH_ORDERED, 22));
static cxx_register register_table(cxx_map<table>::engine("std::unordered_map", 0, 30));
static cxx_register register_words(cxx_map<words, cxx_integers>::engine("std::unordered_map<u64>", 0, 33));
