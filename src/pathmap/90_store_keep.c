/* Verifying stores, and keeping only some versions.

   Both go through the commits from the newest to the oldest, and through the records of each from its end: all that
   refers to a record lies behind it. What is kept is then copied from the start on: a record and the strings of its
   values, each once; a table tells where it has gone. So versions share in the new file what they share in the old. */
#include "73_image_write.c"
#include "76_store.c"

/* ---- verifying --------------------------------------------------------------------------------------------------- */

/* Checks the bytes that a version's commit has appended. */
static pm_status pm__keep_check_sum(const pm_commit *v, pm_error *error) {
    const pm__durable_block *b = (const pm__durable_block *)v->block;
    size_t n = (size_t)v->size - PM__DURABLE_RECORD;
    pm__sum sum = pm__durable_sum(b->id);
    pm__durable_sum_in(&sum, b->data + (v->place - n), n);
    if (pm__durable_sum_is(&sum, b->data + v->place + PM__DURABLE_DATA_SUM)) return PM_OK;
    return pm__durable_fail(error, PM_CORRUPT, v->place - n, "a commit's checksum does not agree");
}

/* Checks the records of a commit that are marked, as ones of a kind. All that refers to them was checked before. `top`:
   where the newest commit record stands. */
static bool pm__keep_check_records(const pm_commit *v, pm_image_kind kind, size_t top, pm__marks *marks, size_t *at) {
    pm_image m = v->image;
    size_t begin = m.size + PM__DURABLE_RECORD - (size_t)v->size;
    m.kind = kind;
    *at = m.size < top ? m.size + PM__DURABLE_RECORD : top; /* none may stand in a commit record */
    while (pm__marks_prev(marks, *at, at) && *at >= begin)
        if (!pm__image_check_record(&m, *at, marks)) return false;
    return true;
}

/* Checks the records of all versions of one kind. *marks is clear. */
static pm_status pm__keep_check_kind(const pm_commit *last, pm_image_kind kind, pm__marks *marks, pm_error *error) {
    pm_commit v;
    pm_status st = PM_OK;
    pm__image_entry e;
    size_t at;
    pm_commit_share(last, &v);
    for (; st == PM_OK; st = pm_commit_earlier(&v, &v)) {
        bool root = v.image.kind == kind;
        if (root && !pm__image_root(&v.image, 0, &e)) {
            st = pm__durable_fail(error, PM_CORRUPT, v.place, "a root is damaged");
            break;
        }
        if (root && e.child) pm__marks_set(marks, e.child);
        if (!pm__keep_check_records(&v, kind, last->image.size, marks, &at)) {
            st = pm__durable_fail(error, PM_CORRUPT, at, "a record is damaged");
            break;
        }
    }
    pm_commit_drop(&v);
    return st == PM_INVALID ? PM_OK : st;
}

PM_API pm_status pm_store_verify(pm_store *s, pm_error *error) {
    pm_commit last, v;
    pm__marks marks;
    pm_status st;
    unsigned kinds = 0;
    if (!s) return PM_INVALID;
    st = pm_store_last(s, &last);
    if (st == PM_INVALID) return PM_OK;
    if (st != PM_OK) return pm__durable_fail(error, st, 0, "a commit record is damaged");
    pm_commit_share(&last, &v);
    do {
        kinds |= 1u << v.image.kind;
        st = pm__keep_check_sum(&v, error);
    } while (st == PM_OK && (st = pm_commit_earlier(&v, &v)) == PM_OK);
    if (st == PM_CORRUPT && error && error->code != st)
        (void)pm__durable_fail(error, st, pm__durable_step((pm__durable_block *)v.block, v.place, false),
                               "a commit record is damaged");
    st = st == PM_INVALID ? PM_OK : st;
    pm_commit_drop(&v);
    for (unsigned k = 0; st == PM_OK && k < 3; k++) {
        if (!(kinds >> k & 1)) continue;
        if (!pm__marks_new(&last.image, &marks)) st = pm__durable_fail(error, PM_NOMEM, 0, "");
        else st = pm__keep_check_kind(&last, (pm_image_kind)k, &marks, error), pm__marks_free(&marks);
    }
    pm_commit_drop(&last);
    return st;
}

/* ---- keeping ----------------------------------------------------------------------------------------------------- */

typedef struct pm__keep_commit {
    pm_commit v; /* not held */
    bool kept;
} pm__keep_commit;

typedef struct pm__keep {
    pm_store *s;
    void *file;       /* the new one */
    pm__list commits; /* from the newest */
    pm__marks marks;
    pm__imgout out;      /* what was not written yet; `base` is where it will lie */
    pm__memo gone;       /* (place, 0): where a record has gone; (place, length + 1): a string */
    pm__memo commits_at; /* place to place */
    pm_map newest;       /* name to the place of its newest version so far */
    pm__sum sum;         /* of what the present commit appends */
    uint64_t before;
    pm_error *error;
} pm__keep;

static pm_status pm__keep_fail(pm__keep *w, pm_status st, uint64_t at, const char *msg) {
    return pm__durable_fail(w->error, st, at, msg);
}

/* Lists the commits, and which are kept. */
static pm_status pm__keep_list(pm__keep *w, bool (*keep)(void *ctx, const pm_commit *v), void *ctx) {
    pm__keep_commit c;
    pm_status st = pm_store_last(w->s, &c.v);
    if (st != PM_OK) return st == PM_INVALID ? PM_OK : pm__keep_fail(w, st, 0, "a commit record is damaged");
    pm_map seen = pm_new(pm_ops_unit(), NULL);
    do {
        bool known = pm_contains(&seen, c.v.name.data, c.v.name.len);
        c.kept = !known || (keep && keep(ctx, &c.v));
        if (!known) st = pm_set(&seen, c.v.name.data, c.v.name.len, 0, NULL);
        if (st == PM_OK && !pm__list_put(&w->commits, &c, 1)) st = PM_NOMEM;
        if (st == PM_OK) st = pm_commit_earlier(&c.v, &c.v);
    } while (st == PM_OK);
    uint64_t at = c.v.place;
    pm_commit_drop(&c.v);
    pm_drop(&seen);
    return st == PM_INVALID ? PM_OK : pm__keep_fail(w, st, at, "a commit record is damaged");
}

/* Marks the records that are needed, of each commit after all that lie behind it. */
static pm_status pm__keep_mark(pm__keep *w) {
    pm__image_entry e;
    const size_t top = ((const pm__keep_commit *)pm__list_at(&w->commits, 0))->v.image.size;
    for (size_t i = 0; i < w->commits.used; i++) {
        const pm__keep_commit *c = (const pm__keep_commit *)pm__list_at(&w->commits, i);
        size_t at = c->v.image.size;
        if (c->kept && !pm__image_root(&c->v.image, 0, &e)) return pm__keep_fail(w, PM_CORRUPT, at, "a damaged root");
        if (c->kept && e.child) pm__marks_set(&w->marks, e.child);
        if (!pm__keep_check_records(&c->v, c->v.image.kind, top, &w->marks, &at))
            return pm__keep_fail(w, PM_CORRUPT, at, "a record is damaged");
    }
    return PM_OK;
}

/* Writes what was made, but for less than 8 bytes. */
static pm_status pm__keep_flush(pm__keep *w) {
    pm__list *l = &w->out.out;
    size_t n = l->used / 8 * 8;
    if (!n) return PM_OK;
    pm__durable_sum_in(&w->sum, l->data, n);
    pm_status st = w->s->files.write(w->s->files.ctx, w->file, w->out.base, l->data, n);
    if (st != PM_OK) return pm__keep_fail(w, st, w->out.base, "the new file cannot be written");
    memmove(l->data, l->data + n, l->used - n);
    l->used -= n;
    w->out.base += n;
    return PM_OK;
}

/* Copies a string, unless it is there. */
static bool pm__keep_string(pm__keep *w, const pm_image *m, size_t where, size_t len, size_t *to) {
    const uint64_t *known = pm__memo_get(&w->gone, where, len + 1);
    *to = known ? (size_t)*known : pm__imgout_here(&w->out);
    if (!len || known) return true;
    return pm__imgout_put(&w->out, m->data + where, len) && pm__memo_put(&w->gone, where, len + 1, *to);
}

/* The value of an entry, as an edge has it. */
static pm_status pm__keep_value(pm__keep *w, const pm_image *m, const pm__image_entry *e, pm__imgout_edge *out) {
    size_t where, len, end, to;
    out->has_val = e->has_val;
    out->val = e->val;
    out->len = 0;
    if (!e->has_val || m->kind != PM_IMAGE_BYTES) return PM_OK;
    if (!pm__image_string(m, (size_t)e->val, &where, &len, &end)) return PM_CORRUPT;
    out->len = len;
    bool ok = pm__keep_string(w, m, where, len, &to);
    out->val = to;
    return ok ? PM_OK : PM_NOMEM;
}

static pm_status pm__keep_record(pm__keep *w, const pm_image *m, size_t at) {
    pm__image_record r;
    pm__image_entry e;
    pm__imgout_edge edges[256];
    if (!pm__image_record_at(m, at, &r)) return PM_CORRUPT;
    size_t next = r.first;
    for (unsigned i = 0; i < r.n; i++, next = e.end) {
        pm__imgout_edge *x = &edges[i];
        if (!pm__image_entry_at(m, &r, next, &e)) return PM_CORRUPT;
        const uint64_t *child = e.child ? pm__memo_get(&w->gone, e.child, 0) : NULL;
        if (e.child && !child) return PM_CORRUPT;
        x->child = child ? (size_t)*child : 0;
        x->run_len = e.run_len;
        if (e.run_len) memcpy(x->run, e.run, e.run_len);
        pm_status st = pm__keep_value(w, m, &e, x);
        if (st != PM_OK) return st;
    }
    size_t to = pm__imgout_here(&w->out);
    bool ok = pm__imgout_append(&w->out, r.bytes, edges, r.n) && pm__memo_put(&w->gone, at, 0, to);
    return ok ? PM_OK : PM_NOMEM;
}

/* Copies the records of a commit that are marked. */
static pm_status pm__keep_records(pm__keep *w, const pm__keep_commit *c) {
    size_t end = c->v.image.size, at = end + PM__DURABLE_RECORD - (size_t)c->v.size;
    w->out.image.kind = c->v.image.kind;
    for (; pm__marks_next(&w->marks, at, &at) && at < end; at++) {
        pm_status st = pm__keep_record(w, &c->v.image, at);
        if (st != PM_OK) return pm__keep_fail(w, st, at, "a record is damaged");
        if (w->out.out.used >= PM__DURABLE_PIECE) st = pm__keep_flush(w);
        if (st != PM_OK) return st;
    }
    return PM_OK;
}

/* Finds the record of what stands at a root, with its value as the new file has it. */
static pm_status pm__keep_root(pm__keep *w, const pm__keep_commit *c, uint8_t map[PM__IMAGE_MAP]) {
    pm__image_entry e;
    pm__imgout_edge x;
    if (!pm__image_root(&c->v.image, 0, &e)) return PM_CORRUPT;
    const uint64_t *child = e.child ? pm__memo_get(&w->gone, e.child, 0) : NULL;
    if (e.child && !child) return PM_CORRUPT;
    pm_status st = pm__keep_value(w, &c->v.image, &e, &x);
    if (st != PM_OK) return st;
    pm_val val = x.val;
    if (e.has_val && c->v.image.kind == PM_IMAGE_BYTES) {
        val = pm__imgout_here(&w->out);
        if (!pm__imgout_string_at(&w->out, (size_t)x.val, x.len)) return PM_NOMEM;
    }
    memset(map, 0, PM__IMAGE_MAP);
    pm__store64le(map, child ? *child : 0);
    pm__store64le(map + 8, e.has_val ? val : 0);
    pm__store64le(map + 16, e.has_val);
    return PM_OK;
}

/* Ends a commit that is kept: its name and record. */
static pm_status pm__keep_commit_end(pm__keep *w, const pm__keep_commit *c) {
    uint8_t map[PM__IMAGE_MAP], s[PM__DURABLE_RECORD];
    static const uint8_t zeros[8];
    const pm_commit *v = &c->v;
    const pm_val *same = pm_get(&w->newest, v->name.data, v->name.len);
    pm__durable_record r = {.sequence = v->sequence,
                            .before = w->before,
                            .same = same ? *same : 0,
                            .time = v->time,
                            .label = {v->label[0], v->label[1]},
                            .kind = (uint32_t)v->image.kind,
                            .name_len = (uint32_t)v->name.len};
    pm__list *l = &w->out.out;
    pm_status st = pm__keep_root(w, c, map);
    if (st != PM_OK) return pm__keep_fail(w, st, v->place, "a damaged root");
    bool ok = pm__imgout_put(&w->out, zeros, (8 - pm__imgout_here(&w->out) % 8) % 8) &&
              pm__imgout_put(&w->out, v->name.data, v->name.len) &&
              pm__imgout_put(&w->out, zeros, (8 - pm__imgout_here(&w->out) % 8) % 8);
    if (!ok) return pm__keep_fail(w, PM_NOMEM, 0, "");
    st = pm__keep_flush(w);
    if (st != PM_OK) return st;
    r.place = r.synced = w->out.base; /* the file is synced before it takes the name */
    pm__durable_spell(&r, s);
    memcpy(s + PM__DURABLE_MAP, map, sizeof map);
    pm__durable_seal(w->s->id, &w->sum, s);
    ok = pm__imgout_put(&w->out, s, sizeof s) && pm__memo_put(&w->commits_at, v->place, 0, r.place) &&
         pm_set(&w->newest, v->name.data, v->name.len, r.place, NULL) == PM_OK;
    if (!ok) return pm__keep_fail(w, PM_NOMEM, 0, "");
    st = pm__keep_flush(w);
    w->before = r.place;
    w->sum = pm__durable_sum(w->s->id);
    return st == PM_OK && l->used == 0 ? PM_OK : st;
}

/* Writes the new file. */
static pm_status pm__keep_write(pm__keep *w) {
    uint8_t head[PM__DURABLE_HEADER];
    const pm_files *f = &w->s->files;
    pm__imgout_window(&w->out, PM__DURABLE_HEADER, PM__DURABLE_HEADER);
    w->sum = pm__durable_sum(w->s->id);
    pm__durable_header(w->s->id, head);
    pm_status st = f->write(f->ctx, w->file, 0, head, sizeof head);
    if (st != PM_OK) return pm__keep_fail(w, st, 0, "the new file cannot be written");
    for (size_t i = w->commits.used; st == PM_OK && i--;) {
        const pm__keep_commit *c = (const pm__keep_commit *)pm__list_at(&w->commits, i);
        st = pm__keep_records(w, c);
        if (st == PM_OK && c->kept) st = pm__keep_commit_end(w, c);
    }
    if (st != PM_OK) return st;
    st = f->sync(f->ctx, w->file);
    return st == PM_OK ? st : pm__keep_fail(w, st, 0, "the new file cannot be synced");
}

/* Gives the new file the name, and goes on in it. */
static pm_status pm__keep_swap(pm__keep *w, const char *part) {
    pm_store *s = w->s;
    pm__durable_block *b = NULL, *old = s->block;
    uint64_t end = w->before ? w->before + PM__DURABLE_RECORD : PM__DURABLE_HEADER;
    uint64_t number = pm__durable_number();
    pm_status st = pm__durable_block_new(&s->files, w->file, number, s->id, (size_t)end, &b);
    if (st != PM_OK) return pm__keep_fail(w, st, 0, "the new file cannot be mapped");
    pm__lock_acquire(&s->syncing); /* nobody syncs the old file meanwhile */
    st = s->files.rename(s->files.ctx, part, s->name);
    if (st != PM_OK) {
        pm__lock_release(&s->syncing);
        pm__durable_block_drop(b);
        return pm__keep_fail(w, st, 0, "the new file cannot take the name");
    }
    st = s->files.sync_name(s->files.ctx, s->name);
    pm__lock_acquire(&s->state);
    void *old_file = s->file;
    s->file = w->file, w->file = old_file;
    s->number = number;
    s->block = b;
    s->newest = s->synced = w->before;
    s->end = end;
    if (st != PM_OK) s->failed = true; /* which of the two files is there after a crash? */
    pm__lock_release(&s->state);
    pm__lock_release(&s->syncing);
    for (size_t i = 0; i < s->heads.used; i++) {
        pm__durable_head *h = (pm__durable_head *)pm__list_at(&s->heads, i);
        const uint64_t *place = h->place ? pm__memo_get(&w->commits_at, h->place, 0) : NULL;
        h->place = place ? *place : 0;
        h->recalled = false;
    }
    s->desk.tail.used = 0;
    pm__durable_block_drop(old);
    return st == PM_OK ? st : pm__keep_fail(w, st, 0, "the new name cannot be synced");
}

static pm_status pm__keep_all(pm__keep *w, bool (*keep)(void *ctx, const pm_commit *v), void *ctx) {
    pm_store *s = w->s;
    char *part = NULL;
    const size_t size = s->name_size + 5;
    pm_commit last;
    pm_status st = pm_store_last(s, &last);
    if (st != PM_OK) return st == PM_INVALID ? PM_OK : pm__keep_fail(w, st, 0, "a commit record is damaged");
    if (!pm__marks_new(&last.image, &w->marks) || !(part = (char *)pm__mem_alloc_big(size)))
        st = pm__keep_fail(w, PM_NOMEM, 0, "");
    if (part) memcpy(part, s->name, s->name_size - 1), memcpy(part + s->name_size - 1, ".part", 6);
    if (st == PM_OK) st = pm__keep_list(w, keep, ctx);
    if (st == PM_OK) st = pm__keep_mark(w);
    if (st == PM_OK) {
        st = s->files.open(s->files.ctx, part, true, true, true, &w->file);
        if (st != PM_OK) w->file = NULL, (void)pm__keep_fail(w, st, 0, "the new file cannot be made");
    }
    if (st == PM_OK) {
        st = s->files.lock(s->files.ctx, w->file);
        if (st != PM_OK) (void)pm__keep_fail(w, st, 0, "the new file cannot be locked");
    }
    if (st == PM_OK) st = pm__keep_write(w);
    if (st == PM_OK) st = pm__keep_swap(w, part);
    if (w->file) s->files.close(s->files.ctx, w->file);
    if (part) pm__mem_free_big(part, size);
    pm_commit_drop(&last);
    return st;
}

PM_API pm_status pm_store_compact(pm_store *s, bool (*keep)(void *ctx, const pm_commit *v), void *ctx,
                                  pm_error *error) {
    pm__keep w;
    if (!s || s->options.read_only) return PM_INVALID;
    memset(&w, 0, sizeof w);
    w.s = s;
    w.error = error;
    w.commits = pm__list_of(sizeof(pm__keep_commit));
    w.newest = pm_new(NULL, NULL);
    pm__lock_acquire(&s->writing);
    uint64_t synced;
    pm_status st = pm__durable_failed(s, &synced) ? pm__keep_fail(&w, PM_IO, 0, "syncing has failed before")
                                                 : pm__keep_all(&w, keep, ctx);
    pm__lock_release(&s->writing);
    if (w.marks.bits) pm__marks_free(&w.marks);
    pm__list_free(&w.commits);
    pm__list_free(&w.out.out);
    pm__memo_free(&w.gone);
    pm__memo_free(&w.commits_at);
    pm_drop(&w.newest);
    return st;
}
