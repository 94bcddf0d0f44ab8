/* What the adapters to LMDB (Debian liblmdb-dev) share that write by transactions: bench_map's and bench_store's. */
#ifndef RIVALS_LMDB_ENV_H
#define RIVALS_LMDB_ENV_H

#include "../bench.h"

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

/* Opens a file of at most 8 GB, without locks. */
static store *store_open(const char *path, unsigned flags) {
    store *s = bench_alloc(sizeof *s);
    need(mdb_env_create(&s->env));
    need(mdb_env_set_mapsize(s->env, (size_t)8 << 30));
    need(mdb_env_open(s->env, path, MDB_NOSUBDIR | MDB_NOLOCK | flags, 0600));
    MDB_txn *t = begin(s, flags & MDB_RDONLY);
    need(mdb_dbi_open(t, NULL, 0, &s->dbi));
    need(mdb_txn_commit(t));
    return s;
}

static void store_close(void *m) {
    store *s = m;
    mdb_env_close(s->env);
    free(s);
}

static MDB_val key_of(const bench_key *k) { return (MDB_val){k->len, (void *)(uintptr_t)k->data}; }

static uint64_t value_of(const MDB_val *v) {
    uint64_t val;
    memcpy(&val, v->mv_data, sizeof val);
    return val;
}

#endif
