// A C++ program that uses the declarations; the code comes from a C file.
#include "../interning.h"
#include "../pathmap.h"

#include <cstdio>
#include <string>

extern "C" int two_units_a(const pm_map *m, const intern_table *t);

int main() {
    intern_table *table = nullptr;
    intern_permit permit;
    intern_symbol symbol = INTERN_NONE;
    const std::string key = "shared", word = "wor\x2a";
    if (intern_table_new(nullptr, &table) != INTERN_OK || intern_permit_acquire(table, &permit) != INTERN_OK) return 1;
    if (intern_get_or_insert(table, &permit, word.data(), word.size(), &symbol, nullptr) != INTERN_OK) return 1;
    pm_map m = pm_new(nullptr, nullptr);
    if (pm_set(&m, key.data(), key.size(), symbol, nullptr) != PM_OK) return 1;
    pm_map copy = pm_clone(&m);
    pm_drop(&m);
    const int seen = two_units_a(&copy, table);
    pm_drop(&copy);
    if (intern_permit_release(&permit) != INTERN_OK) return 1;
    intern_table_free(table);
    std::printf("%d\n", seen);
    return seen == 42 ? 0 : 1;
}
