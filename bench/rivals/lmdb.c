/* LMDB (Debian liblmdb-dev): a B+ tree in a file that is mapped into memory, here a file without a disk, not synced.
   Each list is written in one transaction and read in one. Its memory is that of the tree's pages. */
#define _GNU_SOURCE
#include "../engine.h"

#include "lmdb_env.h"

#include <sys/mman.h>

enum { LONGEST = 511 }; /* what the library takes for a key, as it is built */

static void *mdb_make(const bench_traits *traits) {
    char path[64];
    int fd = memfd_create("bench", 0);
    (void)traits;
    if (fd < 0) bench_die("lmdb", "no file in memory");
    snprintf(path, sizeof path, "/proc/self/fd/%d", fd);
    store *s = store_open(path, MDB_NOSYNC | MDB_WRITEMAP);
    (void)close(fd);
    return s;
}

static void empty(void *m) {
    const store *s = m;
    MDB_txn *t = begin(s, 0);
    need(mdb_drop(t, s->dbi, 0));
    need(mdb_txn_commit(t));
}

static bool insert(void *m, const bench_list *l) {
    const store *s = m;
    bool good = true;
    MDB_txn *t = begin(s, 0);
    for (size_t i = 0; i < l->n && good; i++) {
        MDB_val k = key_of(&l->key[i]), v = {sizeof l->val[i], &l->val[i]};
        good = mdb_put(t, s->dbi, &k, &v, MDB_NOOVERWRITE) == 0;
    }
    return mdb_txn_commit(t) == 0 && good;
}

static bench_tally get(void *m, const bench_list *l) {
    const store *s = m;
    bench_tally tally = {0, 0};
    MDB_txn *t = begin(s, MDB_RDONLY);
    for (size_t i = 0; i < l->n; i++) {
        MDB_val k = key_of(&l->key[i]), v;
        if (mdb_get(t, s->dbi, &k, &v)) continue;
        tally.found++;
        tally.right += value_of(&v) == l->val[i];
    }
    mdb_txn_abort(t);
    return tally;
}

static void iterate(void *m, bench_visitor *out) {
    const store *s = m;
    bench_visitor visitor = *out;
    MDB_txn *t = begin(s, MDB_RDONLY);
    MDB_cursor *at;
    MDB_val k, v;
    need(mdb_cursor_open(t, s->dbi, &at));
    while (mdb_cursor_get(at, &k, &v, MDB_NEXT) == 0) bench_visit(&visitor, k.mv_data, k.mv_size, value_of(&v));
    mdb_cursor_close(at);
    mdb_txn_abort(t);
    *out = visitor;
}

static size_t take_out(void *m, const bench_list *l) {
    const store *s = m;
    size_t n = 0;
    MDB_txn *t = begin(s, 0);
    for (size_t i = 0; i < l->n; i++) {
        MDB_val k = key_of(&l->key[i]);
        n += mdb_del(t, s->dbi, &k, NULL) == 0;
    }
    need(mdb_txn_commit(t));
    return n;
}

static MDB_stat stat_of(const store *s) {
    MDB_stat stat;
    MDB_txn *t = begin(s, MDB_RDONLY);
    need(mdb_stat(t, s->dbi, &stat));
    mdb_txn_abort(t);
    return stat;
}

static bool is_empty(void *m) { return stat_of(m).ms_entries == 0; }

static uint64_t bytes(void *m) {
    MDB_stat s = stat_of(m);
    return (uint64_t)s.ms_psize * (s.ms_branch_pages + s.ms_leaf_pages + s.ms_overflow_pages);
}

static const bench_engine lmdb = {
    .name = "LMDB",
    .flags = BENCH_ORDERED,
    .rank = 29,
    .longest = LONGEST,
    .make = mdb_make,
    .free = store_close,
    .insert = insert,
    .get = get,
    .iterate = iterate,
    .remove = take_out,
    .is_empty = is_empty,
    .drop = empty,
    .bytes = bytes,
};

BENCH_ENGINE(lmdb)
