// marisa-trie (Debian libmarisa-dev), as bench_store asks for it: a file of keys alone, made whole, numbered by itself.
// The sum of all numbers is that of the values of other engines, which are numbers of keys as well. Siblings stand in
// the order of their bytes, not of their weight, so that going through all is in order, as it is elsewhere.
#include "../stores.h"

#include <marisa.h>

namespace {

struct store {
    marisa::Trie trie;
    char path[500];
};

void *marisa_open(const char *path, store_mode mode) {
    store *s = new store;
    snprintf(s->path, sizeof s->path, "%s", path);
    if (mode == STORE_READ) s->trie.mmap(path);
    return s;
}

void marisa_close(void *m) { delete static_cast<store *>(m); }

void marisa_put(void *m, const bench_list *l, size_t first, size_t step, size_t n, uint64_t) {
    store *s = static_cast<store *>(m);
    marisa::Keyset keys;
    for (size_t i = first; n-- > 0; i += step)
        keys.push_back(reinterpret_cast<const char *>(l->key[i].data), l->key[i].len);
    s->trie.build(keys, MARISA_LABEL_ORDER);
    s->trie.save(s->path);
}

uint64_t marisa_get(void *m, const bench_list *l) {
    store *s = static_cast<store *>(m);
    marisa::Agent agent;
    uint64_t sum = 0;
    for (size_t i = 0; i < l->n; i++) {
        agent.set_query(reinterpret_cast<const char *>(l->key[i].data), l->key[i].len);
        if (s->trie.lookup(agent)) sum += agent.key().id();
    }
    return sum;
}

uint64_t marisa_iterate(void *m) {
    store *s = static_cast<store *>(m);
    marisa::Agent agent;
    uint64_t sum = 0;
    agent.set_query("", 0);
    while (s->trie.predictive_search(agent)) sum += agent.key().id();
    return sum;
}

const store_engine marisa_trie = {"marisa-trie", 0,          true,       false,          false,  marisa_open,
                                  marisa_close,  marisa_put, marisa_get, marisa_iterate, nullptr};
STORE_ENGINE(marisa_trie)

} // namespace
