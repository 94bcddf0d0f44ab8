/* LMDB (Debian liblmdb-dev), as bench_store asks for it: one transaction for each commit, values of eight bytes. */
#define _GNU_SOURCE
#include "../stores.h"

#include "lmdb_env.h"

static void *lmdb_open(const char *path, bool sync) { return store_open(path, sync ? 0u : MDB_NOSYNC); }

static void lmdb_put(void *m, const bench_list *l, size_t first, size_t step, size_t n, uint64_t more) {
    const store *s = m;
    MDB_txn *t = begin(s, 0);
    for (size_t i = first; n-- > 0; i += step) {
        uint64_t val = l->val[i] + more;
        MDB_val k = key_of(&l->key[i]), v = {sizeof val, &val};
        need(mdb_put(t, s->dbi, &k, &v, 0));
    }
    need(mdb_txn_commit(t));
}

static uint64_t lmdb_get(void *m, const bench_list *l) {
    const store *s = m;
    uint64_t sum = 0;
    MDB_txn *t = begin(s, MDB_RDONLY);
    for (size_t i = 0; i < l->n; i++) {
        MDB_val k = key_of(&l->key[i]), v;
        if (mdb_get(t, s->dbi, &k, &v) == 0) sum += value_of(&v);
    }
    mdb_txn_abort(t);
    return sum;
}

static uint64_t lmdb_iterate(void *m) {
    const store *s = m;
    uint64_t sum = 0;
    MDB_txn *t = begin(s, MDB_RDONLY);
    MDB_cursor *at;
    MDB_val k, v;
    need(mdb_cursor_open(t, s->dbi, &at));
    while (mdb_cursor_get(at, &k, &v, MDB_NEXT) == 0) sum += value_of(&v);
    mdb_cursor_close(at);
    mdb_txn_abort(t);
    return sum;
}

static const store_engine lmdb = {"LMDB", 511, lmdb_open, store_close, lmdb_put, lmdb_get, lmdb_iterate, NULL};
STORE_ENGINE(lmdb)
