/* Taking trie images into memory. One pass from the end marks which records there are, and which of them are met more
   than once. Of those, the lowest first, each becomes a map of its own, if it is worth a node; then the image's maps
   are grown as unfolds, into which these are grafted. */
#include "61_unfold.c"
#include "74_image_view.c"
#include "75_image_load.h"

enum { PM__IMGLOAD_SMALL = 8 }; /* entries that are not worth a node of their own */

typedef struct pm__imgload {
    const pm_image *image;
    pm_image_reading reading;
    pm__marks seen, twice;
    pm__memo made; /* record, to the number of its map */
    pm__list maps; /* of what is shared, then the results */
    pm_error *error;
} pm__imgload;

/* A location: the record below, and its value. */
typedef struct pm__imgload_seed {
    size_t record;
    pm_opt val;
} pm__imgload_seed;

static void pm__imgload_drop_seed(void *ctx, void *seed) {
    const pm__imgload *w = (const pm__imgload *)ctx;
    pm__imgload_seed *s = (pm__imgload_seed *)seed;
    if (s->val.some) pm__val_release(w->reading.ops, s->val.val);
    s->val.some = false;
}

/* Makes an entry's value, which is the caller's then. */
static pm_status pm__imgload_value(const pm__imgload *w, const pm__image_entry *e, pm_opt *out) {
    bool made;
    out->some = false;
    if (!e->has_val) return PM_OK;
    pm_status s = pm__imgview_make(w->image, &w->reading, e, &out->val, &made);
    out->some = s == PM_OK;
    return s;
}

/* A clone of what a record has become, with a value on top, which it takes over in any case. False: it is not shared,
   and nothing was done. */
static bool pm__imgload_shared(const pm__imgload *w, const pm__imgload_seed *seed, pm_map *out, pm_status *s) {
    const uint64_t *i = seed->record ? pm__memo_get(&w->made, seed->record, 0) : NULL;
    if (!i) return false;
    *out = pm_clone((const pm_map *)pm__list_at(&w->maps, (size_t)*i));
    *s = seed->val.some ? pm_set(out, NULL, 0, seed->val.val, NULL) : PM_OK;
    return true;
}

/* One child of the location that is being unfolded. */
static int pm__imgload_child(const pm__imgload *w, pm_sprout *here, uint8_t first, const pm__image_entry *e) {
    uint8_t way[1 + PM__IMAGE_RUN];
    pm__imgload_seed seed = {e->child, {0, false}};
    pm_map shared;
    pm_status s = pm__imgload_value(w, e, &seed.val);
    if (s != PM_OK) return s;
    way[0] = first;
    if (e->run_len) memcpy(way + 1, e->run, e->run_len);
    if (pm__imgload_shared(w, &seed, &shared, &s)) {
        if (s == PM_OK) s = pm_sprout_graft(here, way, 1 + (size_t)e->run_len, &shared);
        pm_drop(&shared);
        return s;
    }
    s = pm_sprout_child(here, way, 1 + (size_t)e->run_len, &seed);
    if (s != PM_OK && seed.val.some) pm__val_release(w->reading.ops, seed.val.val);
    return s;
}

static int pm__imgload_at(void *ctx, void *seed, pm_sprout *here, const uint8_t *path, size_t len) {
    const pm__imgload *w = (const pm__imgload *)ctx;
    pm__imgload_seed *at = (pm__imgload_seed *)seed;
    pm__image_record r;
    pm__image_entry e;
    (void)path, (void)len;
    if (at->val.some) {
        int s = pm_sprout_val(here, at->val.val);
        if (s != PM_OK) return s;
        at->val.some = false;
    }
    if (!at->record) return PM_OK;
    if (!pm__image_record_at(w->image, at->record, &r)) return PM_CORRUPT;
    size_t next = r.first;
    for (unsigned i = 0; i < r.n; i++, next = e.end) {
        if (!pm__image_entry_at(w->image, &r, next, &e)) return PM_CORRUPT;
        int s = pm__imgload_child(w, here, r.bytes[i], &e);
        if (s != PM_OK) return s;
    }
    return PM_OK;
}

/* Makes a map of what is below and at a location, and puts it on the list. The value is used up. */
static pm_status pm__imgload_grow(pm__imgload *w, pm__imgload_seed *seed) {
    pm_unfold u = {sizeof *seed, w, pm__imgload_at, pm__imgload_drop_seed};
    pm_map m;
    pm_status s = PM_NOMEM;
    if (!pm__list_room(&w->maps, 1)) {
        pm__imgload_drop_seed(w, seed);
        return s;
    }
    if (pm__imgload_shared(w, seed, &m, &s)) {
        if (s != PM_OK) pm_drop(&m);
    } else {
        s = (pm_status)pm_unfold_map(&u, seed, w->reading.ops, w->reading.pool, &m);
    }
    if (s == PM_OK) (void)pm__list_put(&w->maps, &m, 1);
    return s;
}

static void pm__imgload_mark(pm__imgload *w, size_t record) {
    if (!record) return;
    if (pm__marks_has(&w->seen, record)) pm__marks_set(&w->twice, record);
    pm__marks_set(&w->seen, record);
}

/* Marks the records that the image's maps begin with. */
static pm_status pm__imgload_roots(pm__imgload *w) {
    pm__image_entry e;
    for (size_t i = 0; i < w->image->maps; i++) {
        if (!pm__image_root(w->image, i, &e))
            return pm__image_bad(w->error, w->image->list + i * PM__IMAGE_MAP, "a map's root is damaged");
        pm__imgload_mark(w, e.child);
    }
    return PM_OK;
}

/* Checks and marks all records below those that are marked. */
static pm_status pm__imgload_look(pm__imgload *w) {
    pm__image_record r;
    pm__image_entry e;
    size_t at = w->image->size;
    while (pm__marks_prev(&w->seen, at, &at)) {
        bool deep = false;
        if (!pm__image_record_at(w->image, at, &r)) return pm__image_bad(w->error, at, "a record is damaged");
        size_t next = r.first;
        for (unsigned i = 0; i < r.n; i++, next = e.end) {
            if ((i && r.bytes[i - 1] >= r.bytes[i]) || !pm__image_entry_at(w->image, &r, next, &e))
                return pm__image_bad(w->error, at, "a record is damaged");
            pm__imgload_mark(w, e.child);
            deep |= e.child != 0;
        }
        if (!deep && r.n < PM__IMGLOAD_SMALL) pm__marks_clear(&w->twice, at);
    }
    return PM_OK;
}

/* Makes maps of what is shared, from the start on, so that what is below is there. */
static pm_status pm__imgload_share(pm__imgload *w) {
    pm_status s = PM_OK;
    for (size_t at = 0; s == PM_OK && pm__marks_next(&w->twice, at, &at); at++) {
        pm__imgload_seed seed = {at, {0, false}};
        s = pm__imgload_grow(w, &seed);
        if (s == PM_OK && !pm__memo_put(&w->made, at, 0, w->maps.used - 1)) s = PM_NOMEM;
    }
    return s;
}

/* Makes the image's maps. */
static pm_status pm__imgload_all(pm__imgload *w) {
    pm__image_entry e;
    pm_status s = pm__imgload_share(w);
    for (size_t i = 0; s == PM_OK && i < w->image->maps; i++) {
        pm__imgload_seed seed;
        if (!pm__image_root(w->image, i, &e)) return PM_CORRUPT;
        seed.record = e.child;
        s = pm__imgload_value(w, &e, &seed.val);
        if (s == PM_OK) s = pm__imgload_grow(w, &seed);
    }
    return s;
}

/* Begins; pm__imgload_end in any case. */
static pm_status pm__imgload_begin(pm__imgload *w, const pm_image *image, const pm_image_reading *reading) {
    memset(w, 0, sizeof *w);
    w->image = image;
    w->maps = pm__list_of(sizeof(pm_map));
    w->reading = pm__imgview_reading(image, reading);
    if (pm__ops_is_refused(w->reading.ops)) return PM_BADHOOK;
    return pm__marks_new(image, &w->seen) && pm__marks_new(image, &w->twice) ? PM_OK : PM_NOMEM;
}

static void pm__imgload_end(pm__imgload *w) {
    while (w->maps.used) pm_drop((pm_map *)pm__list_pop(&w->maps));
    pm__list_free(&w->maps);
    pm__memo_free(&w->made);
    pm__marks_free(&w->seen);
    pm__marks_free(&w->twice);
}

static const char *pm__imgload_why(pm_status s) {
    return s == PM_NOMEM ? "no memory" : s == PM_BADHOOK ? "the table, or a value, is refused" : "a value was refused";
}

PM_API pm_status pm_image_load(const pm_image *image, const pm_image_reading *reading, pm_map *out, pm_error *error) {
    if (!image || !image->data || !out) return PM_INVALID;
    pm__imgload w;
    pm_status s = pm__imgload_begin(&w, image, reading);
    w.error = error;
    if (s == PM_OK) s = pm__imgload_roots(&w);
    if (s == PM_OK) s = pm__imgload_look(&w);
    bool sound = s != PM_CORRUPT;
    if (s == PM_OK) s = pm__imgload_all(&w);
    if (s != PM_OK && sound) (void)pm__stream_fail(error, s, 0, pm__imgload_why(s));
    for (size_t n = image->maps; s == PM_OK && n--;) out[n] = *(const pm_map *)pm__list_pop(&w.maps);
    pm__imgload_end(&w);
    return s;
}
