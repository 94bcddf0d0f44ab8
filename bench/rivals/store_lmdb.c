/* LMDB (Debian liblmdb-dev), as bench_store asks for it: one transaction for each commit, values of eight bytes. */
#define _GNU_SOURCE
#include "../stores.h"

#include "lmdb_env.h"

#include <fcntl.h>

static void *lmdb_open(const char *path, store_mode mode) {
    static const unsigned flags[] = {[STORE_UNSYNCED] = MDB_NOSYNC, [STORE_SYNCED] = 0, [STORE_READ] = MDB_RDONLY};
    return store_open(path, flags[mode]);
}

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

/* There is none in place: a copy without gaps takes the name. LMDB writes it by a thread of its own, which the clock of
   this one does not count. */
static void lmdb_compact(void *m) {
    store *s = m, *again;
    const char *path;
    char part[512], name[500];
    need(mdb_env_get_path(s->env, &path));
    snprintf(name, sizeof name, "%s", path);
    snprintf(part, sizeof part, "%s.part", name);
    (void)remove(part);
    int fd = open(part, O_CREAT | O_RDWR, 0600);
    if (fd < 0) bench_die("lmdb", part);
    need(mdb_env_copyfd2(s->env, fd, MDB_CP_COMPACT));
    if (fdatasync(fd) != 0 || close(fd) != 0 || rename(part, name) != 0) bench_die("lmdb", part);
    mdb_env_close(s->env);
    again = store_open(name, MDB_NOSYNC);
    *s = *again;
    free(again);
}

static const store_engine lmdb = {.name = "LMDB",
                                  .longest = 511,
                                  .apart = true,
                                  .open = lmdb_open,
                                  .close = store_close,
                                  .put = lmdb_put,
                                  .get = lmdb_get,
                                  .iterate = lmdb_iterate,
                                  .compact = lmdb_compact};
STORE_ENGINE(lmdb)
