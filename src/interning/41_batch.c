/* Batches. Up to 16 keys go through each stage together: hash and fetch the home group; find the candidate slot and
   fetch its record; compare. A stage's misses overlap; in single calls each waits for the one before. */

#include "41_batch.h"
#include "40_table.c"

#define INTERN__FLIGHT 16u

typedef struct intern__flight {
    intern__key key;
    intern__spot spot;
    uint64_t where, first;
    const uint8_t *record; /* of the home group's first match, or NULL */
    bool valid;            /* else the key is taken for the empty one, and the result thrown away */
} intern__flight;

/* Stage 1. */
INTERN__INLINE void intern__flight_start(const intern_table *t, const intern_key *key, intern__flight *f) {
    f->valid = intern__key_valid(key->data, key->len);
    f->key = intern__key_of(key->data, f->valid ? key->len : 0, &t->secret);
    f->spot.array = INTERN__LOAD(&t->bucket[f->key.bucket].array, INTERN__ACQUIRE);
    f->spot.group = 0;
    if (INTERN__UNLIKELY(!f->spot.array)) return;
    f->spot.group = intern__home(f->spot.array, f->key.hash);
    INTERN__PREFETCH(intern__array_at(f->spot.array) + f->spot.group);
}

/* Stage 2. */
INTERN__INLINE void intern__flight_match(const intern_table *t, intern__flight *f) {
    bool full;
    f->record = NULL;
    if (INTERN__UNLIKELY(!f->spot.array)) return;
    const intern__group *g = intern__array_at(f->spot.array) + f->spot.group;
    uint64_t m = intern__group_match(g, intern__fingerprint(f->key.hash), &full);
    if (!m) return;
    f->where = intern__group_where(g, intern__match_entry(m));
    f->record = intern__where_record(t->writer, f->where, &f->first);
    INTERN__PREFETCH(f->record);
    INTERN__PREFETCH(f->record + 24);
}

/* Stage 3: the first match nearly always decides; else the search is done in full. */
INTERN__INLINE intern_symbol intern__flight_land(const intern_table *t, intern__flight *f) {
    if (INTERN__LIKELY(f->record && intern__record_is(f->record, &f->key)))
        return intern__symbol_of(f->where >> INTERN__PLACE_BITS, f->first + intern__record_delta(f->record));
    if (!f->spot.array) return INTERN_NONE;
    return intern__array_find(t->writer, f->spot.array, &f->key, &f->spot.group);
}

/* Stages 1 and 2 for up to 16 keys; returns how many. */
INTERN__INLINE size_t intern__flight_board(const intern_table *t, const intern_key *keys, size_t n,
                                           intern__flight *f) {
    size_t m = n < INTERN__FLIGHT ? n : INTERN__FLIGHT;
    for (size_t i = 0; i < m; i++) intern__flight_start(t, &keys[i], &f[i]);
    for (size_t i = 0; i < m; i++) intern__flight_match(t, &f[i]);
    return m;
}

INTERN_API size_t intern_get_many(const intern_table *t, const intern_key *keys, size_t n, intern_symbol *out) {
    intern__flight f[INTERN__FLIGHT];
    size_t found = 0;
    if (!t || !keys || !out) return 0;
    for (size_t at = 0, m; at < n; at += m) {
        m = intern__flight_board(t, keys + at, n - at, f);
        for (size_t i = 0; i < m; i++) {
            out[at + i] = f[i].valid ? intern__flight_land(t, &f[i]) : INTERN_NONE;
            found += out[at + i] != INTERN_NONE;
        }
    }
    return found;
}

INTERN_API intern_status intern_get_or_insert_many(intern_table *t, const intern_permit *p, const intern_key *keys,
                                                   size_t n, intern_symbol *out, size_t *done) {
    intern__flight f[INTERN__FLIGHT];
    intern_status s = INTERN_OK;
    size_t at = 0;
    bool added;
    if (!t || !p || (n && (!keys || !out))) return INTERN_INVALID;
    if (p->table != t || !intern__permit_holds(p)) return INTERN_REFUSED;
    while (at < n && s == INTERN_OK) {
        size_t m = intern__flight_board(t, keys + at, n - at, f);
        for (size_t i = 0; i < m && s == INTERN_OK; i++) {
            intern_symbol found = f[i].valid ? intern__flight_land(t, &f[i]) : INTERN_NONE;
            if (!f[i].valid) s = INTERN_INVALID;
            else if (found == INTERN_NONE) s = intern__table_add(t, p->slot, &f[i].key, &f[i].spot, &found, &added);
            if (s == INTERN_OK) out[at++] = found;
        }
    }
    if (done) *done = at;
    return s;
}

INTERN_API size_t intern_bytes_many(const intern_table *t, const intern_symbol *symbols, size_t n, intern_key *out) {
    size_t found = 0;
    if (!t || !symbols || !out) return 0;
    for (size_t at = 0, m; at < n; at += m) {
        m = n - at < INTERN__FLIGHT ? n - at : INTERN__FLIGHT;
        for (size_t i = 0; i < m; i++) {
            uint64_t base, serial = intern__serial_of(symbols[at + i]);
            unsigned slot = intern__slot_of(symbols[at + i]);
            if (slot < INTERN_WRITERS) INTERN__PREFETCH(intern__index_at(&t->writer[slot], serial, &base));
        }
        for (size_t i = at; i < at + m; i++) {
            const uint8_t *bytes = NULL;
            size_t len = 0;
            unsigned slot = intern__slot_of(symbols[i]);
            if (slot < INTERN_WRITERS)
                found += intern__bytes_of(&t->writer[slot], intern__serial_of(symbols[i]), &bytes, &len);
            out[i].data = bytes;
            out[i].len = len;
        }
    }
    return found;
}
