/* LMDB, as bench_order asks for it: one transaction that is never committed, on a file without syncing. It divides and
   concatenates nothing; a longest prefix is found by going back from where the key would stand, a count by walking. */
#define _GNU_SOURCE
#include "../order.h"

#include <lmdb.h>
#include <unistd.h>

typedef struct store {
    MDB_env *env;
    MDB_txn *txn;
    MDB_dbi dbi;
    MDB_cursor *at;
} store;

static void need(int rc) {
    if (rc) bench_die("lmdb", mdb_strerror(rc));
}

static void *make(const bench_list *l) {
    store *s = calloc(1, sizeof *s);
    char path[] = "/tmp/order_lmdb_XXXXXX";
    int fd = mkstemp(path);
    if (!s || fd < 0) bench_die("lmdb", "no memory, or no file");
    need(mdb_env_create(&s->env));
    need(mdb_env_set_mapsize(s->env, (size_t)4 << 30));
    need(mdb_env_open(s->env, path, MDB_NOSUBDIR | MDB_NOSYNC | MDB_NOLOCK | MDB_WRITEMAP, 0600));
    (void)unlink(path);
    (void)close(fd);
    need(mdb_txn_begin(s->env, NULL, 0, &s->txn));
    need(mdb_dbi_open(s->txn, NULL, 0, &s->dbi));
    for (size_t i = 0; i < l->n; i++) {
        MDB_val k = {l->key[i].len, (void *)(uintptr_t)l->key[i].data}, v = {sizeof l->val[i], &l->val[i]};
        need(mdb_put(s->txn, s->dbi, &k, &v, 0));
    }
    need(mdb_cursor_open(s->txn, s->dbi, &s->at));
    return s;
}

static void drop(void *m) {
    store *s = m;
    mdb_cursor_close(s->at);
    mdb_txn_abort(s->txn);
    mdb_env_close(s->env);
    free(s);
}

static uint64_t value(const MDB_val *v) {
    uint64_t out;
    memcpy(&out, v->mv_data, sizeof out);
    return out;
}

/* Goes to the first key at or after `k`; false: there is none. */
static bool seek(store *s, bench_key key, MDB_val *k, MDB_val *v) {
    *k = (MDB_val){key.len, (void *)(uintptr_t)key.data};
    return mdb_cursor_get(s->at, k, v, MDB_SET_RANGE) == 0;
}

static uint64_t at_or_after(void *m, bench_key key) {
    MDB_val k, v;
    return seek(m, key, &k, &v) ? value(&v) : 0;
}

static bool seek_before(store *s, bench_key key, MDB_val *k, MDB_val *v) {
    bool there = seek(s, key, k, v);
    return mdb_cursor_get(s->at, k, v, there ? MDB_PREV : MDB_LAST) == 0;
}

static uint64_t before(void *m, bench_key key) {
    MDB_val k, v;
    return seek_before(m, key, &k, &v) ? value(&v) : 0;
}

static uint64_t longest(void *m, bench_key key) {
    MDB_val k, v;
    if (seek(m, key, &k, &v) && k.mv_size == key.len && memcmp(k.mv_data, key.data, key.len) == 0) return value(&v);
    while (seek_before(m, key, &k, &v)) {
        size_t same = 0, most = k.mv_size < key.len ? k.mv_size : key.len;
        while (same < most && ((const uint8_t *)k.mv_data)[same] == ((const uint8_t *)key.data)[same]) same++;
        if (same == k.mv_size) return value(&v);
        key.len = same;
        if (!same) return 0;
        if (seek(m, key, &k, &v) && k.mv_size == same && memcmp(k.mv_data, key.data, same) == 0) return value(&v);
    }
    return 0;
}

static uint64_t count(void *m, bench_key from, bench_key to) {
    MDB_val k, v, end = {to.len, (void *)(uintptr_t)to.data};
    store *s = m;
    uint64_t n = 0;
    for (bool on = seek(s, from, &k, &v); on && mdb_cmp(s->txn, s->dbi, &k, &end) < 0; n++)
        on = mdb_cursor_get(s->at, &k, &v, MDB_NEXT) == 0;
    return n;
}

static void erase(void *m, bench_key from, bench_key to) {
    MDB_val k, v, end = {to.len, (void *)(uintptr_t)to.data};
    store *s = m;
    for (bool on = seek(s, from, &k, &v); on && mdb_cmp(s->txn, s->dbi, &k, &end) < 0;) {
        need(mdb_cursor_del(s->at, 0));
        on = mdb_cursor_get(s->at, &k, &v, MDB_NEXT) == 0;
    }
}

static uint64_t pop(void *m) {
    store *s = m;
    MDB_val k, v;
    need(mdb_cursor_get(s->at, &k, &v, MDB_FIRST));
    uint64_t out = value(&v);
    need(mdb_cursor_del(s->at, 0));
    return out;
}

static uint64_t size(void *m) {
    store *s = m;
    MDB_stat stat;
    need(mdb_stat(s->txn, s->dbi, &stat));
    return stat.ms_entries;
}

static const order_engine engine = {"LMDB", make, drop, at_or_after, before, longest, count, erase, pop, NULL, size};
__attribute__((constructor)) static void enter(void) { order_register(&engine); }
