/* Commits: what the last one has left, the records that differ (83_store_delta.c), the record that vouches for them;
   one write; one sync for all who wait for it. And loading, from which commits go on.

   Where much is shared, pairs of old and new nodes may be many more than nodes. So if a commit becomes larger than all
   that the file holds, it begins again as if there were no version before. */
#include "76_store.c"
#include "83_store_delta.c"
#include "89_mixed.c"
#include "92_store_commit.h"

enum {
    PM__COMMIT_TAIL = 1 << 16, /* bytes of what was committed that the window keeps, and four times so many at most */
    PM__COMMIT_SPARE = 1 << 20 /* a commit may be so much larger than all others together */
};

/* ---- what one commit leaves to the next ------------------------------------------------------------------------- */

/* Leaves a list to the next commit, unless it is large. */
static void pm__commit_leave(pm__list *l, pm__list *desk) {
    l->used = 0;
    if (l->cap * l->each > PM__COMMIT_TAIL) pm__list_free(l);
    *desk = *l;
}

/* Makes of the window the tail of the file that the next commit finds. Without memory there is none. */
static void pm__commit_trim(pm__durable_desk *desk) {
    pm__list *t = &desk->tail, less = pm__list_of(1);
    if (t->used > 4 * PM__COMMIT_TAIL) {
        size_t gone = t->used - PM__COMMIT_TAIL;
        memmove(t->data, t->data + gone, PM__COMMIT_TAIL);
        t->used = PM__COMMIT_TAIL;
        desk->base += gone;
    }
    if (t->cap <= 16 * PM__COMMIT_TAIL) return;
    if (!pm__list_put(&less, t->data, t->used)) less.used = 0;
    pm__list_free(t);
    *t = less;
}

/* What lies before w->from is in the file. */
static void pm__commit_end(pm_store *s, pm__delta_work *w) {
    pm__imgout_edge e;
    pm__durable_desk *desk = &s->desk;
    if (w->folds) (void)pm__fold_end(&w->fold, PM_BUSY, &e);
    pm__memo_free(&w->out.records);
    pm__memo_free(&w->out.strings);
    w->out.out.used = w->from;
    desk->tail = w->out.out;
    desk->base = w->out.base;
    pm__commit_trim(desk);
    pm__commit_leave(&w->frames, &desk->frames);
    pm__commit_leave(&w->edges, &desk->edges);
    pm__commit_leave(&w->bytes, &desk->bytes);
    pm__commit_leave(&w->path, &desk->path);
    pm__commit_leave(&w->run, &desk->run);
}

/* Takes what the commit before has left. */
static bool pm__commit_desk(pm_store *s, pm__delta_work *w) {
    static const uint8_t zeros[PM__DELTA_BEFORE];
    pm__durable_desk *desk = &s->desk;
    if (!desk->frames.each) {
        desk->frames = pm__list_of(sizeof(pm__delta_frame));
        desk->edges = pm__list_of(sizeof(pm__imgout_edge));
        desk->tail = desk->bytes = desk->path = desk->run = pm__list_of(1);
    }
    w->frames = desk->frames, w->edges = desk->edges, w->bytes = desk->bytes;
    w->path = desk->path, w->run = desk->run;
    bool fresh = !desk->tail.used;
    pm__imgout_window(&w->out, fresh ? (size_t)s->end - PM__DELTA_BEFORE : desk->base, PM__DURABLE_HEADER);
    w->out.out = desk->tail;
    w->from = w->out.out.used;
    if (!pm__imgout_put(&w->out, zeros, fresh ? sizeof zeros : 0)) return pm__delta_stop(w, PM_NOMEM);
    w->from = w->out.out.used;
    return true;
}

/* ---- one commit -------------------------------------------------------------------------------------------------- */

/* Begins on the version of a head, which lies in `old`; both NULL: on none. */
static bool pm__commit_begin(pm_store *s, pm__delta_work *w, const pm__durable_head *h, const pm_image *old,
                             pm_image_kind kind, const pm_commit_options *how) {
    pm__imgout_edge e;
    memset(w, 0, sizeof *w);
    w->out.image.kind = kind;
    w->options.ctx = how->ctx, w->options.bytes = how->bytes;
    w->out.options = &w->options;
    w->old = old;
    if (!pm__commit_desk(s, w)) return false;
    if (!h) return pm__delta_push(w, 0, NULL);
    memset(&e, 0, sizeof e);
    e.has_val = h->has_val, e.val = h->val, e.len = h->len;
    e.child = h->child;
    return pm__delta_push(w, 0, &e);
}

/* Puts the root's record and value behind all others, and tells in `map` what a commit record says of it, in *now what
   the next commit is to know. */
static pm_status pm__commit_root(pm__delta_work *w, uint8_t *map, pm__durable_head *now) {
    const pm__delta_frame *f = pm__delta_top(w);
    pm__image_record r;
    const pm_image *m;
    size_t child, base;
    pm_val val = f->has_val ? f->val : 0;
    bool ok = true;
    if (!pm__delta_old(w, f, &r, &m, &base)) return w->status;
    unsigned n = pm__delta_total(w, f, &r);
    if (w->status != PM_OK || !pm__delta_child(w, f, n, &child)) return w->status;
    if (f->has_val && w->out.image.kind == PM_IMAGE_BYTES) {
        size_t where = (size_t)f->val;
        val = pm__imgout_here(&w->out);
        ok = ok && pm__imgout_string_at(&w->out, where, f->len);
    }
    now->recalled = true;
    now->child = child;
    now->has_val = f->has_val, now->val = f->val, now->len = f->len;
    now->kind = w->out.image.kind;
    pm__store64le(map, child);
    pm__store64le(map + 8, val);
    pm__store64le(map + 16, f->has_val);
    return ok ? PM_OK : PM_NOMEM;
}

/* ---- mixed tries: what is in memory, and records that are there ------------------------------------------------- */

/* Puts the record that hangs at the lowest frame there. */
static bool pm__commit_hang(pm__delta_work *w, const pm__mixed_stub *stub) {
    pm__delta_top(w)->child = stub->record;
    for (int b = pm__mask_next(&stub->gone, 0); b >= 0; b = pm__mask_next(&stub->gone, b + 1))
        if (!pm__delta_remove(w, (uint8_t)b)) return false;
    return true;
}

/* Puts in what is in memory alone, from one byte below a place on. */
static bool pm__commit_memory(pm__delta_work *w, const pm_ref *at, const pm__list *way) {
    pm_ref c = pm_ref_at(at, way->data + way->used - 1, 1);
    bool below = pm_ref_child_count(&c) != 0;
    if (!pm__delta_seek(w, way->data, way->used) || (c.val && !pm__delta_set(w, *c.val))) return false;
    pm__delta_top(w)->keep = !c.val && !below;
    return !below || pm__delta_graft(w, &c.place);
}

/* Puts in what a trie has at a place on the way to what hangs: what hangs there, the value, children in memory. `own`
   stands on the same place as `hung`. */
static bool pm__commit_place(pm__delta_work *w, const pm_rz *own, const pm_rz *hung, pm__list *way) {
    size_t len;
    const uint8_t *path = pm_rz_path(hung, &len);
    const pm_val *stub = pm_rz_val(hung), *val = pm_rz_val(own);
    pm_ref at = pm_ref_of_rz(own);
    pm_mask deeper = pm_rz_child_mask(hung), kids = pm_ref_child_mask(&at), alone = pm_mask_andnot(kids, deeper);
    if (!stub && !val && pm_mask_is_empty(&alone)) return true;
    if (!pm__delta_seek(w, len ? path : (const uint8_t *)"", len)) return false;
    if (val && !pm__delta_set(w, *val)) return false;
    if (stub && !pm__commit_hang(w, pm__mixed_stub_of(*stub))) return false;
    way->used = 0;
    if (!pm__list_put(way, path, len)) return pm__delta_stop(w, PM_NOMEM);
    for (int b = pm__mask_next(&alone, 0); b >= 0; b = pm__mask_next(&alone, b + 1)) {
        uint8_t byte = (uint8_t)b;
        way->used = len;
        if (!pm__list_put(way, &byte, 1)) return pm__delta_stop(w, PM_NOMEM);
        if (!pm__commit_memory(w, &at, way)) return false;
    }
    return true;
}

/* Goes through all places on the way to what hangs. */
static pm_status pm__commit_places(pm__delta_work *w, pm_rz *own, pm_rz *hung) {
    pm__list way = pm__list_of(1);
    size_t was = 0, len;
    bool ok = pm__commit_place(w, own, hung, &way);
    while (ok && pm_rz_to_next_step(hung)) {
        const uint8_t *path = pm_rz_path(hung, &len);
        (void)pm_rz_ascend(own, was - (len - 1));
        pm_rz_descend_to_byte(own, path[len - 1]);
        was = len;
        ok = pm__commit_place(w, own, hung, &way);
    }
    pm__list_free(&way);
    if (ok && pm_rz_status(hung) != PM_OK) (void)pm__delta_stop(w, pm_rz_status(hung));
    if (ok && pm_rz_status(own) != PM_OK) (void)pm__delta_stop(w, pm_rz_status(own));
    return pm__delta_finish(w);
}

static pm_status pm__commit_mixed(pm__delta_work *w, const pm_mixed *m) {
    pm_rz own, hung;
    pm_status s = pm_rz_open(&m->own, NULL, 0, &own);
    if (s == PM_OK) {
        s = pm_rz_open(&m->hung, NULL, 0, &hung);
        if (s == PM_OK) {
            s = pm__commit_places(w, &own, &hung);
            pm_rz_drop(&hung);
        }
        pm_rz_drop(&own);
    }
    if (s != PM_OK) (void)pm__delta_stop(w, s);
    return w->status;
}

/* What a commit of a mixed trie refers to where it lies. */
typedef struct pm__commit_here {
    uint64_t number;
    pm_image_kind kind;
} pm__commit_here;

static bool pm__commit_elsewhere(void *ctx, const pm_base *b) {
    const pm__commit_here *here = (const pm__commit_here *)ctx;
    const pm__durable_block *k = (const pm__durable_block *)b->version.block;
    return !k || k->number != here->number || b->image.kind != here->kind;
}

/* ---- the whole of a commit -------------------------------------------------------------------------------------- */

/* Fills up to a multiple of 8 bytes. */
static bool pm__commit_pad(pm__delta_work *w) {
    static const uint8_t zeros[8];
    return pm__imgout_put(&w->out, zeros, (8 - (w->out.out.used - w->from) % 8) % 8);
}

/* Puts the name and the commit record behind what was made. */
static pm_status pm__commit_record(const uint64_t id[2], pm__delta_work *w, const char *name, pm__durable_record *r,
                                   pm__durable_head *now) {
    uint8_t map[PM__IMAGE_MAP] = {0}, s[PM__DURABLE_RECORD];
    pm_status st = pm__commit_root(w, map, now);
    if (st != PM_OK) return st;
    bool ok = pm__commit_pad(w) && pm__imgout_put(&w->out, name, r->name_len) && pm__commit_pad(w);
    if (!ok) return PM_NOMEM;
    r->place = pm__imgout_here(&w->out);
    r->kind = (uint32_t)w->out.image.kind;
    pm__durable_spell(r, s);
    memcpy(s + PM__DURABLE_MAP, map, sizeof map);
    pm__sum sum = pm__durable_sum(id);
    pm__durable_sum_in(&sum, w->out.out.data + w->from, w->out.out.used - w->from);
    pm__durable_seal(id, &sum, s);
    return pm__imgout_put(&w->out, s, sizeof s) ? PM_OK : PM_NOMEM;
}

static pm_image_kind pm__commit_kind(const pm_ops *ops, const pm_commit_options *how) {
    if (pm__ops_is_unit(ops)) return PM_IMAGE_UNIT;
    return ops == pm_ops_bytes() || how->bytes ? PM_IMAGE_BYTES : PM_IMAGE_WORDS;
}

/* Finds out what a head's record says of the root, unless that is known. *old: the image that it stands in. */
static pm_status pm__commit_recall(pm_store *s, pm__durable_head *h, pm_image *old) {
    pm_commit v;
    pm__image_entry root;
    size_t where, len = 0, end;
    memset(old, 0, sizeof *old);
    if (!h->recalled) {
        pm_status st = pm__durable_version(s->block, h->place, &v);
        if (st != PM_OK) return st;
        if (!pm__image_root(&v.image, 0, &root)) return PM_CORRUPT;
        h->kind = v.image.kind;
        h->child = root.child;
        h->has_val = root.has_val, h->val = root.val;
        if (root.has_val && h->kind == PM_IMAGE_BYTES) {
            if (!pm__image_string(&v.image, (size_t)root.val, &where, &len, &end)) return PM_CORRUPT;
            h->val = where;
        }
        h->len = len;
        h->recalled = true;
    }
    old->data = s->block->data;
    old->size = (size_t)h->place;
    old->start = PM__DURABLE_HEADER;
    old->kind = h->kind;
    return PM_OK;
}

/* What is committed: a map, and its head's version as far as that is known; or a mixed trie. */
typedef struct pm__commit_what {
    const pm_map *map;
    const pm_mixed *mixed; /* NULL: the map */
    const pm__durable_head *head;
    pm_image old; /* where the head's version lies; all of the file */
    bool known;
} pm__commit_what;

/* Makes the records of a map. */
static pm_status pm__commit_map(pm_store *s, pm__delta_work *w, const pm__commit_what *what, pm_image_kind kind,
                                const pm_commit_options *how) {
    const pm__durable_head *h = what->head;
    const pm_map *m = what->map, none = pm_new(pm_map_ops(m), NULL);
    const size_t most = what->known ? (size_t)s->end + PM__COMMIT_SPARE : SIZE_MAX;
    if (!what->known || pm_map_ops(&h->map) != pm_map_ops(m) || what->old.kind != kind) h = NULL;
    if (pm__commit_begin(s, w, h, h ? &what->old : NULL, kind, how))
        (void)pm__delta_changes(w, h ? &h->map : &none, m, most);
    if (w->status == PM_BUSY && h && w->out.out.used - w->from > most) {
        pm__commit_end(s, w);
        if (pm__commit_begin(s, w, NULL, NULL, kind, how)) (void)pm__delta_changes(w, &none, m, SIZE_MAX);
    }
    return w->status;
}

/* Makes in *w all that a commit appends. */
static pm_status pm__commit_make(pm_store *s, pm__delta_work *w, pm__commit_what *what, const pm_commit_options *how,
                                 pm__durable_record *r, pm__durable_head *now) {
    const pm_image_kind kind = pm__commit_kind(pm_map_ops(what->mixed ? &what->mixed->own : what->map), how);
    if (what->mixed) {
        what->old.kind = kind;
        if (pm__commit_begin(s, w, NULL, &what->old, kind, how)) (void)pm__commit_mixed(w, what->mixed);
    } else {
        (void)pm__commit_map(s, w, what, kind, how);
    }
    if (w->status != PM_OK) return w->status;
    return pm__commit_record(s->id, w, how->name ? how->name : "", r, now);
}

/* The head of a root, found or made. NULL: no memory. */
static pm__durable_head *pm__commit_head(pm_store *s, const char *name, pm_status *st) {
    for (size_t i = 0; i < s->heads.used; i++) {
        pm__durable_head *h = (pm__durable_head *)pm__list_at(&s->heads, i);
        if (strcmp(h->name, name) == 0) return h;
    }
    pm__durable_head h;
    pm_commit v;
    memset(&h, 0, sizeof h);
    *st = pm_store_newest(s, name, &v);
    if (*st != PM_OK && *st != PM_INVALID) return NULL;
    if (*st == PM_OK) h.place = v.place, pm_commit_drop(&v);
    *st = PM_NOMEM;
    h.name_size = strlen(name) + 1;
    h.name = (char *)pm__mem_alloc_big(h.name_size);
    if (!h.name) return NULL;
    memcpy(h.name, name, h.name_size);
    if (!pm__list_put(&s->heads, &h, 1)) {
        pm__mem_free_big(h.name, h.name_size);
        return NULL;
    }
    *st = PM_OK;
    return (pm__durable_head *)pm__list_at(&s->heads, s->heads.used - 1);
}

/* Writes what was made, and takes it over. */
static pm_status pm__commit_write(pm_store *s, pm__delta_work *w, const pm__durable_record *r, pm_error *error) {
    const uint8_t *from = w->out.out.data + w->from;
    size_t n = w->out.out.used - w->from;
    if (r->place + PM__DURABLE_RECORD > PM__LEN_MAX / 2)
        return pm__durable_fail(error, PM_INVALID, s->end, "the store would be more than this machine can address");
    pm_status st = s->files.write(s->files.ctx, s->file, s->end, from, n);
    if (st == PM_OK) st = pm__durable_reach(s, s->file, r->place + PM__DURABLE_RECORD);
    if (st != PM_OK) { /* what stays there if this fails too is no whole commit, or is written over */
        (void)s->files.cut(s->files.ctx, s->file, s->end);
        return pm__durable_fail(error, st, s->end, "the commit cannot be written");
    }
    w->from = w->out.out.used;
    pm__lock_acquire(&s->state);
    pm__durable_publish(s, r);
    pm__lock_release(&s->state);
    return PM_OK;
}

/* Finds out on what a commit goes on. */
static pm_status pm__commit_base(pm_store *s, pm__durable_head *h, pm__commit_what *what) {
    what->head = h;
    what->known = !what->mixed && h->known && h->place;
    if (what->known) return pm__commit_recall(s, h, &what->old);
    memset(&what->old, 0, sizeof what->old);
    what->old.data = s->block->data;
    what->old.size = (size_t)(s->newest ? s->newest : PM__DURABLE_HEADER);
    what->old.start = PM__DURABLE_HEADER;
    return PM_OK;
}

/* Appends a commit of a map or a mixed trie; under `writing`. */
static pm_status pm__commit_append(pm_store *s, const pm_map *m, const pm_mixed *mixed, const pm_commit_options *how,
                                   uint64_t *place, pm_error *error) {
    pm_status st = PM_OK;
    pm__delta_work w;
    pm__commit_what what;
    pm__durable_head now;
    const char *name = how->name ? how->name : "";
    uint64_t synced;
    if (pm__durable_failed(s, &synced)) return pm__durable_fail(error, PM_IO, s->end, "syncing has failed before");
    pm__durable_head *h = pm__commit_head(s, name, &st);
    if (!h) return pm__durable_fail(error, st, s->end, "a commit record is damaged");
    what.map = m, what.mixed = mixed;
    st = pm__commit_base(s, h, &what);
    if (st != PM_OK) return pm__durable_fail(error, st, h->place, "a commit record is damaged");
    pm__durable_record r = {.sequence = s->sequence + 1,
                            .before = s->newest,
                            .same = h->place,
                            .synced = synced,
                            .time = how->time,
                            .label = {how->label[0], how->label[1]},
                            .name_len = (uint32_t)(h->name_size - 1)};
    st = pm__commit_make(s, &w, &what, how, &r, &now);
    if (st == PM_OK) st = pm__commit_write(s, &w, &r, error);
    else
        (void)pm__durable_fail(error, st, s->end,
                               st == PM_CORRUPT ? "a version before is damaged" : "a value was refused");
    pm__commit_end(s, &w);
    if (st != PM_OK) return st;
    pm_map before = h->map;
    now.name = h->name, now.name_size = h->name_size;
    now.map = pm_clone(m);
    now.known = m != NULL;
    now.place = *place = r.place;
    *h = now;
    pm_drop(&before);
    return PM_OK;
}

/* Waits until the commit at `place` is on the disk. One sync serves all that was written before it began. */
static pm_status pm__commit_sync(pm_store *s, uint64_t place, pm_error *error) {
    pm_status st = PM_OK;
    pm__lock_acquire(&s->syncing);
    pm__lock_acquire(&s->state);
    uint64_t upto = s->newest;
    bool done = s->synced >= place, failed = s->failed;
    pm__lock_release(&s->state);
    if (!done) {
        st = failed ? PM_IO : s->files.sync(s->files.ctx, s->file);
        pm__lock_acquire(&s->state);
        if (st == PM_OK && s->synced < upto) s->synced = upto;
        if (st != PM_OK) s->failed = true;
        pm__lock_release(&s->state);
    }
    pm__lock_release(&s->syncing);
    return st == PM_OK ? st : pm__durable_fail(error, st, place, "the file cannot be synced");
}

PM_API pm_status pm_store_commit(pm_store *s, const pm_map *m, const pm_commit_options *how, pm_error *error) {
    static const pm_commit_options plain;
    uint64_t place = 0;
    if (!s || pm__map_bad(m, NULL, 0) || s->options.read_only) return PM_INVALID;
    if (!how) how = &plain;
    if (how->name && strlen(how->name) > PM__DURABLE_NAME) return PM_INVALID;
    pm__lock_acquire(&s->writing);
    pm_status st = pm__commit_append(s, m, NULL, how, &place, error);
    pm__lock_release(&s->writing);
    return st == PM_OK && !s->options.unsynced ? pm__commit_sync(s, place, error) : st;
}

PM_API pm_status pm_store_commit_mixed(pm_store *s, const pm_mixed *m, const pm_commit_options *how, pm_error *error) {
    static const pm_commit_options plain;
    uint64_t place = 0;
    pm_mixed here = {{0}, {0}};
    if (!s || !m || pm__map_bad(&m->own, NULL, 0) || s->options.read_only) return PM_INVALID;
    if (!how) how = &plain;
    if (how->name && strlen(how->name) > PM__DURABLE_NAME) return PM_INVALID;
    pm__lock_acquire(&s->writing);
    pm__commit_here of = {s->number, pm__commit_kind(pm_map_ops(&m->own), how)};
    pm_status st = pm__mixed_load_all(m, pm__commit_elsewhere, &of, &here);
    if (st == PM_OK) st = pm__commit_append(s, NULL, &here, how, &place, error);
    else (void)pm__durable_fail(error, st, s->end, st == PM_CORRUPT ? "a base is damaged" : "a value was refused");
    pm__lock_release(&s->writing);
    pm_mixed_drop(&here);
    return st == PM_OK && !s->options.unsynced ? pm__commit_sync(s, place, error) : st;
}

PM_API pm_status pm_store_sync(pm_store *s) {
    if (!s || s->options.read_only) return PM_INVALID;
    pm__lock_acquire(&s->state);
    uint64_t place = s->newest;
    pm__lock_release(&s->state);
    return pm__commit_sync(s, place, NULL);
}

/* ---- loading ----------------------------------------------------------------------------------------------------- */

PM_API pm_status pm_store_load(pm_store *s, const char *name, const pm_image_reading *reading, pm_map *out,
                               pm_error *error) {
    pm_commit v;
    pm_map m;
    pm_status st = PM_OK;
    if (!s || !out) return PM_INVALID;
    if (!name) name = "";
    pm__lock_acquire(&s->writing);
    bool some = false;
    st = pm_store_newest(s, name, &v);
    some = st == PM_OK;
    if (some) st = pm_image_load(&v.image, reading, &m, error);
    else if (st == PM_INVALID) st = PM_OK, m = pm_new(reading ? reading->ops : NULL, reading ? reading->pool : NULL);
    else (void)pm__durable_fail(error, st, 0, "a commit record is damaged");
    if (st == PM_OK && some && !s->options.read_only) {
        pm__durable_head *h = pm__commit_head(s, name, &st);
        if (h) {
            pm_drop(&h->map);
            h->map = pm_clone(&m);
            h->known = true;
        } else {
            pm_drop(&m);
            (void)pm__durable_fail(error, st, 0, "a commit record is damaged");
        }
    }
    if (some) pm_commit_drop(&v);
    pm__lock_release(&s->writing);
    if (st == PM_OK) *out = m;
    return st;
}
