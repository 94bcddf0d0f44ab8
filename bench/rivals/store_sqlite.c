/* SQLite (Debian libsqlite3-dev), as bench_store asks for it: a table without row numbers, a log beside the file. */
#define _GNU_SOURCE
#include "../stores.h"

#include <sqlite3.h>

typedef struct store {
    sqlite3 *db;
    sqlite3_stmt *put, *get, *all;
} store;

static void need(const store *s, int rc) {
    if (rc != SQLITE_OK && rc != SQLITE_DONE && rc != SQLITE_ROW) bench_die("sqlite", sqlite3_errmsg(s->db));
}

static void run(const store *s, const char *text) { need(s, sqlite3_exec(s->db, text, NULL, NULL, NULL)); }

static sqlite3_stmt *prepare(const store *s, const char *text) {
    sqlite3_stmt *out = NULL;
    need(s, sqlite3_prepare_v2(s->db, text, -1, &out, NULL));
    return out;
}

static void *sqlite_open(const char *path, store_mode mode) {
    store *s = bench_alloc(sizeof *s);
    if (sqlite3_open(path, &s->db) != SQLITE_OK) bench_die("sqlite", path);
    run(s, "pragma busy_timeout = 60000");
    run(s, "pragma journal_mode = wal");
    run(s, mode == STORE_SYNCED ? "pragma synchronous = full" : "pragma synchronous = off");
    run(s, "pragma mmap_size = 1073741824");
    run(s, "create table if not exists t (k blob primary key, v integer) without rowid");
    s->put = prepare(s, "insert into t values (?, ?) on conflict (k) do update set v = excluded.v");
    s->get = prepare(s, "select v from t where k = ?");
    s->all = prepare(s, "select v from t order by k");
    return s;
}

static void sqlite_close(void *m) {
    store *s = m;
    (void)sqlite3_finalize(s->put);
    (void)sqlite3_finalize(s->get);
    (void)sqlite3_finalize(s->all);
    (void)sqlite3_close(s->db);
    free(s);
}

static void bind(const store *s, sqlite3_stmt *to, const bench_key *k) {
    need(s, sqlite3_bind_blob(to, 1, k->data, (int)k->len, SQLITE_STATIC));
}

static void sqlite_put(void *m, const bench_list *l, size_t first, size_t step, size_t n, uint64_t more) {
    const store *s = m;
    run(s, "begin immediate");
    for (size_t i = first; n-- > 0; i += step) {
        bind(s, s->put, &l->key[i]);
        need(s, sqlite3_bind_int64(s->put, 2, (sqlite3_int64)(l->val[i] + more)));
        need(s, sqlite3_step(s->put));
        need(s, sqlite3_reset(s->put));
    }
    run(s, "commit");
}

static uint64_t sqlite_get(void *m, const bench_list *l) {
    const store *s = m;
    uint64_t sum = 0;
    run(s, "begin");
    for (size_t i = 0; i < l->n; i++) {
        bind(s, s->get, &l->key[i]);
        if (sqlite3_step(s->get) == SQLITE_ROW) sum += (uint64_t)sqlite3_column_int64(s->get, 0);
        need(s, sqlite3_reset(s->get));
    }
    run(s, "commit");
    return sum;
}

static uint64_t sqlite_iterate(void *m) {
    const store *s = m;
    uint64_t sum = 0;
    while (sqlite3_step(s->all) == SQLITE_ROW) sum += (uint64_t)sqlite3_column_int64(s->all, 0);
    need(s, sqlite3_reset(s->all));
    return sum;
}

static void sqlite_compact(void *m) { run(m, "vacuum"); }

static const store_engine sqlite = {.name = "SQLite",
                                    .open = sqlite_open,
                                    .close = sqlite_close,
                                    .put = sqlite_put,
                                    .get = sqlite_get,
                                    .iterate = sqlite_iterate,
                                    .compact = sqlite_compact};
STORE_ENGINE(sqlite)
