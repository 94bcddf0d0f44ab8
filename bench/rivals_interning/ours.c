/* interning.h as an engine. */
#define INTERNING_STATIC
#include "../../interning.h"

#include "engine.h"

static void check(intern_status s) {
    if (s != INTERN_OK) bench_die(intern_status_text(s), "interning");
}

static void *make(void) {
    intern_table *t;
    check(intern_table_new(NULL, &t));
    return t;
}

static void drop(void *table) { intern_table_free(table); }

static void *enter(void *table) {
    intern_permit *p = bench_alloc(sizeof *p);
    check(intern_permit_acquire(table, p));
    return p;
}

static void leave(void *table, void *thread) {
    (void)table;
    check(intern_permit_release(thread));
    free(thread);
}

static void intern_all(void *table, void *thread, const bench_key *keys, size_t n, uint64_t *out) {
    for (size_t i = 0; i < n; i++) check(intern_get_or_insert(table, thread, keys[i].data, keys[i].len, &out[i], NULL));
}

static void get_all(void *table, const bench_key *keys, size_t n, uint64_t *out) {
    for (size_t i = 0; i < n; i++) out[i] = intern_get(table, keys[i].data, keys[i].len);
}

static void bytes_all(void *table, const uint64_t *symbols, size_t n, symbol_bytes *out) {
    for (size_t i = 0; i < n; i++) {
        size_t len = 0;
        out[i].data = intern_bytes(table, symbols[i], &len);
        out[i].len = len;
    }
}

/* Batches take keys of the library's own type: converted in pieces, within the time measured. */
enum { PIECE = 256 };

static size_t convert(const bench_key *keys, size_t n, intern_key *piece) {
    size_t m = n < PIECE ? n : PIECE;
    for (size_t i = 0; i < m; i++) {
        piece[i].data = keys[i].data;
        piece[i].len = keys[i].len;
    }
    return m;
}

static void intern_many(void *table, void *thread, const bench_key *keys, size_t n, uint64_t *out) {
    intern_key piece[PIECE];
    for (size_t at = 0, m; at < n; at += m) {
        m = convert(keys + at, n - at, piece);
        check(intern_get_or_insert_many(table, thread, piece, m, out + at, NULL));
    }
}

static void get_many(void *table, const bench_key *keys, size_t n, uint64_t *out) {
    intern_key piece[PIECE];
    for (size_t at = 0, m; at < n; at += m) {
        m = convert(keys + at, n - at, piece);
        (void)intern_get_many(table, piece, m, out + at);
    }
}

static void bytes_many(void *table, const uint64_t *symbols, size_t n, symbol_bytes *out) {
    intern_key piece[PIECE];
    for (size_t at = 0, m; at < n; at += m) {
        m = n - at < PIECE ? n - at : PIECE;
        (void)intern_bytes_many(table, symbols + at, m, piece);
        for (size_t i = 0; i < m; i++) {
            out[at + i].data = piece[i].data;
            out[at + i].len = piece[i].len;
        }
    }
}

static void trim(void *table) { intern_trim(table); }

static bool save(void *table, const char *path) { return intern_save(table, path) == INTERN_OK; }

static void *load(const char *path, unsigned how) {
    static const unsigned flags[] = {0, INTERN_LOAD_VERIFY, INTERN_LOAD_UNCHECKED};
    intern_table *t = make();
    if (intern_load(t, path, flags[how], NULL) == INTERN_OK) return t;
    drop(t);
    return NULL;
}

const interner interner_ours = {"interning", make,        drop,     enter,      leave, intern_all, get_all,
                                bytes_all,   intern_many, get_many, bytes_many, trim,  save,       load};
