/* absl::btree_map (Debian libabsl-dev). */
#include "cxx_map.h"

#include <absl/container/btree_map.h>

using tree = absl::btree_map<std::string, uint64_t, std::less<>>;
using words = absl::btree_map<uint64_t, uint64_t>;

static cxx_register register_tree(cxx_map<tree>::engine("absl::btree_map", BENCH_ORDERED, 23));
static cxx_register register_words(cxx_map<words, cxx_integers>::engine("absl::btree_map<u64>", BENCH_ORDERED, 25));
