/* absl::btree_map (Debian libabsl-dev). */
#include "cxx_map.h"

#include <absl/container/btree_map.h>

using tree = absl::btree_map<std::string, uint64_t, std::less<>>;

static cxx_register register_tree(cxx_map<tree>::engine("absl::btree_map", BENCH_ORDERED, 23));
