/* LMDB (Debian liblmdb-dev), as bench_store asks for it: one transaction for each commit, values of eight bytes. */
#define _GNU_SOURCE
#include "../stores.h"

#include <lmdb.h>

typedef struct store {
    MDB_env *env;
    MDB_dbi dbi;
} store;

static void need(int rc) {
    if (rc) bench_die("lmdb", mdb_strerror(rc));
}

static MDB_txn *begin(const store *s, unsigned flags) {
    MDB_txn *t;
    need(mdb_txn_begin(s->env, NULL, flags, &t));
    return t;
}

static void *lmdb_open(const char *path, bool sync) {
    store *s = bench_alloc(sizeof *s);
    need(mdb_env_create(&s->env));
    need(mdb_env_set_mapsize(s->env, (size_t)8 << 30));
    need(mdb_env_open(s->env, path, MDB_NOSUBDIR | MDB_NOLOCK | (sync ? 0u : MDB_NOSYNC), 0600));
    MDB_txn *t = begin(s, 0);
    need(mdb_dbi_open(t, NULL, 0, &s->dbi));
    need(mdb_txn_commit(t));
    return s;
}

static void lmdb_close(void *m) {
    store *s = m;
    mdb_env_close(s->env);
    free(s);
}

static MDB_val key_of(const bench_key *k) { return (MDB_val){k->len, (void *)(uintptr_t)k->data}; }

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

static uint64_t value_of(const MDB_val *v) {
    uint64_t val;
    memcpy(&val, v->mv_data, sizeof val);
    return val;
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

static const store_engine lmdb = {"LMDB", 511, lmdb_open, lmdb_close, lmdb_put, lmdb_get, lmdb_iterate, NULL};
STORE_ENGINE(lmdb)
