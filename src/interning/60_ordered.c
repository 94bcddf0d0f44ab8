/* The table in the order of its bytes: one pm_map, brought up to date on demand. */

#include "60_ordered.h"
#include "40_table.c"

#if INTERN_PATHMAP
#include "pathmap.h"

/* Made by the first snapshot, and used under the table's ordered_lock. Clones of the map are their owners' alone. */
typedef struct intern__ordered {
    pm_map map;
    uint64_t next[INTERN_WRITERS]; /* serials below it are in the map */
} intern__ordered;

static void intern__ordered_free(void *ordered) {
    intern__ordered *o = (intern__ordered *)ordered;
    pm_drop(&o->map);
    INTERN_FREE(o, sizeof *o);
}

static intern_status intern__ordered_make(intern_table *t) {
    intern__ordered *o = (intern__ordered *)INTERN_MALLOC(sizeof *o);
    if (!o) return INTERN_NOMEM;
    memset(o, 0, sizeof *o);
    o->map = pm_new(NULL, NULL);
    for (unsigned i = 0; i < INTERN_WRITERS; i++) o->next[i] = intern__first_serial(i);
    t->ordered = o;
    t->ordered_free = intern__ordered_free;
    return INTERN_OK;
}

/* Adds what was issued since the last time. Stopping half-way loses nothing: the next call goes on from there. */
static intern_status intern__ordered_catch_up(intern_table *t, intern__ordered *o) {
    intern__moment m;
    intern__table_moment(t, &m);
    for (unsigned i = 0; i < INTERN_WRITERS; i++) {
        for (; o->next[i] < m.next[i]; o->next[i]++) {
            intern_symbol s = intern__symbol_of(i, o->next[i]);
            size_t len = 0;
            const void *data = intern_bytes(t, s, &len);
            if (pm_set(&o->map, data, len, s, NULL) != PM_OK) return INTERN_NOMEM;
        }
    }
    return INTERN_OK;
}

INTERN_API intern_status intern_snapshot(intern_table *t, struct pm_map *out) {
    if (!t || !out) return INTERN_INVALID;
    intern__lock_take(&t->ordered_lock);
    intern_status s = t->ordered ? INTERN_OK : intern__ordered_make(t);
    if (s == INTERN_OK) s = intern__ordered_catch_up(t, (intern__ordered *)t->ordered);
    if (s == INTERN_OK) *out = pm_clone(&((intern__ordered *)t->ordered)->map);
    intern__lock_give(&t->ordered_lock);
    return s;
}

INTERN_API intern_status intern_each_prefix(intern_table *t, const void *prefix, size_t len,
                                            bool (*fn)(void *ctx, intern_symbol s, const void *data, size_t data_len),
                                            void *ctx) {
    pm_map map;
    pm_rz z;
    if (!t || !fn || !intern__key_valid(prefix, len)) return INTERN_INVALID;
    intern_status s = intern_snapshot(t, &map);
    if (s != INTERN_OK) return s;
    if (pm_rz_open(&map, prefix, len, &z) != PM_OK) {
        pm_drop(&map);
        return INTERN_NOMEM;
    }
    pm_iter i = pm_iter_vals_of_rz(&z);
    bool more = true;
    while (more && pm_iter_next(&i)) {
        size_t n = 0;
        const void *data = intern_bytes(t, *i.val, &n);
        more = fn(ctx, *i.val, data, n);
    }
    if (more && pm_iter_status(&i) != PM_OK) s = INTERN_NOMEM;
    pm_iter_drop(&i);
    pm_rz_drop(&z);
    pm_drop(&map);
    return s;
}
#endif
