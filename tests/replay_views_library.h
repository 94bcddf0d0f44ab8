/* `replay` on the library: readers of views, and mixed tries, which hang images and versions of a store in memory. Part
   of replay_library.c. */

enum { PRODUCT_MAX = 100000 }; /* locations */

/* ---- views ---- */

/* Opens one side of a view, at a place that must exist; its locations are counted in *n. */
static bool side_of(on_library *s, const replay_args *a, int i, pm_rz *z, uint64_t *n, model_bytes *out) {
    pm_map sub;
    bool exists = false;
    if (!fine(out, pm_subtrie(map_of(s, a, i), PATH(a, i), &sub, &exists))) return false;
    pm_status st = pm_location_count(&sub, n);
    pm_drop(&sub);
    if (!exists) replay_print(out, "none");
    return fine(out, st) && exists && fine(out, pm_rz_open_owned(map_of(s, a, i), PATH(a, i), z));
}

/* Makes the reader own what a view reads, which is dropped. */
static bool read_over(on_library *s, const replay_args *a, pm_rz *view, model_bytes *out) {
    pm_status st = pm_rz_fork_owned(view, &s->reader[a->reader[0]]);
    pm_rz_drop(view);
    return fine(out, st) && say_ok(out);
}

ON(vprefix) {
    pm_rz z = {0}, view;
    uint64_t n = 0;
    if (!side_of(s, a, 0, &z, &n, out)) return false;
    pm_status st = pm_view_prefix(&z, PATH(a, 1), NULL, 0, &view);
    pm_rz_drop(&z);
    return fine(out, st) && read_over(s, a, &view, out);
}

typedef enum pairing { OVERLAY, MEET, SUBTRACT, PRODUCT } pairing;

static bool read_pair(on_library *s, const replay_args *a, pairing how, model_bytes *out) {
    pm_rz side[2] = {{0}, {0}}, view;
    uint64_t n[2] = {0, 0};
    bool there = side_of(s, a, 0, &side[0], &n[0], out) && side_of(s, a, 1, &side[1], &n[1], out);
    bool large = there && how == PRODUCT && n[0] * n[1] > PRODUCT_MAX;
    if (large) replay_print(out, "large");
    pm_status st = PM_OK;
    if (there && !large) {
        st = how == OVERLAY    ? pm_view_overlay(&side[0], &side[1], NULL, NULL, &view)
             : how == MEET     ? pm_view_meet(&side[0], &side[1], &view)
             : how == SUBTRACT ? pm_view_subtract(&side[0], &side[1], &view)
                               : pm_view_product(side, 2, &view);
    }
    pm_rz_drop(&side[0]);
    pm_rz_drop(&side[1]);
    return fine(out, st) && there && !large && read_over(s, a, &view, out);
}

ON(voverlay) { return read_pair(s, a, OVERLAY, out); }
ON(vmeet) { return read_pair(s, a, MEET, out); }
ON(vsub) { return read_pair(s, a, SUBTRACT, out); }
ON(vproduct) { return read_pair(s, a, PRODUCT, out); }

/* ---- files in memory: one, and the one that compaction makes ---- */

typedef struct memory_file {
    uint8_t *data;
    size_t size;
    unsigned owners; /* a name, and who has it open */
} memory_file;

static memory_file **memory_named(void *ctx, const char *name) {
    return &((memory_disk *)ctx)->named[strstr(name, ".part") != NULL];
}

static void memory_give_up(memory_file *f) {
    if (!f || --f->owners) return;
    free(f->data);
    free(f);
}

static pm_status memory_open(void *ctx, const char *name, bool write, bool make, bool empty, void **file) {
    memory_file **f = memory_named(ctx, name);
    (void)write;
    if (empty) memory_give_up(*f), *f = NULL;
    if (!*f && !make) return PM_IO;
    if (!*f) {
        *f = calloc(1, sizeof **f);
        if (!*f) return PM_NOMEM;
        (*f)->owners = 1;
    }
    (*f)->owners++;
    *file = *f;
    return PM_OK;
}

static void memory_close(void *ctx, void *file) {
    (void)ctx;
    memory_give_up(file);
}

static pm_status memory_size(void *ctx, void *file, uint64_t *size) {
    (void)ctx;
    *size = ((const memory_file *)file)->size;
    return PM_OK;
}

static pm_status memory_read(void *ctx, void *file, uint64_t at, void *to, size_t n, size_t *got) {
    const memory_file *f = file;
    (void)ctx;
    *got = at >= f->size ? 0 : f->size - at < n ? (size_t)(f->size - at) : n;
    if (*got) memcpy(to, f->data + at, *got);
    return PM_OK;
}

static pm_status memory_cut(void *ctx, void *file, uint64_t size) {
    memory_file *f = file;
    (void)ctx;
    f->data = realloc(f->data, (size_t)size + 1);
    if (!f->data) return PM_IO;
    if (size > f->size) memset(f->data + f->size, 0, (size_t)size - f->size);
    f->size = (size_t)size;
    return PM_OK;
}

static pm_status memory_write(void *ctx, void *file, uint64_t at, const void *from, size_t n) {
    memory_file *f = file;
    if (at + n > f->size && memory_cut(ctx, file, at + n) != PM_OK) return PM_IO;
    if (n) memcpy(f->data + at, from, n);
    return PM_OK;
}

static pm_status memory_sync(void *ctx, void *file) {
    (void)ctx, (void)file;
    return PM_OK;
}

static pm_status memory_is_named(void *ctx, void *file, const char *name, bool *same) {
    *same = *memory_named(ctx, name) == file;
    return PM_OK;
}

static pm_status memory_rename(void *ctx, const char *from, const char *to) {
    memory_file **a = memory_named(ctx, from), **b = memory_named(ctx, to);
    memory_give_up(*b);
    *b = *a;
    *a = NULL;
    return PM_OK;
}

static pm_status memory_sync_name(void *ctx, const char *name) {
    (void)ctx, (void)name;
    return PM_OK;
}

/* The store of a run, made when it is first asked for. */
static pm_status store_of(on_library *s) {
    pm_files files = {.ctx = &s->disk,           .open = memory_open,   .close = memory_close,
                      .size = memory_size,       .read = memory_read,   .write = memory_write,
                      .sync = memory_sync,       .cut = memory_cut,     .lock = memory_sync,
                      .named = memory_is_named,  .rename = memory_rename, .sync_name = memory_sync_name};
    pm_store_options options = {.create = true, .files = &files, .identity = {1, 2}};
    return s->store ? PM_OK : pm_store_open("NAME", &options, &s->store, NULL);
}

static void close_store(on_library *s) {
    pm_store_close(s->store);
    memory_give_up(s->disk.named[0]);
    memory_give_up(s->disk.named[1]);
}

/* ---- mixed tries ---- */

static pm_mixed *mixed_of(on_library *s, const replay_args *a) { return &s->mixed[a->mixed[0]]; }

typedef struct image_block {
    uint8_t *data;
    size_t len;
} image_block;

static pm_status write_block(void *ctx, const void *from, size_t n) {
    image_block *b = ctx;
    b->data = realloc(b->data, b->len + n + 1);
    if (!b->data) return PM_NOMEM;
    memcpy(b->data + b->len, from, n);
    b->len += n;
    return PM_OK;
}

/* Whoever reads it after it was closed notices. */
static void close_block(void *ctx) {
    image_block *b = ctx;
    memset(b->data, 0xa5, b->len);
    free(b->data);
    free(b);
}

/* Hangs an image of a map, which is written for that. */
static pm_status hang(pm_mixed *m, const void *key, size_t len, const pm_map *map) {
    image_block *b = calloc(1, sizeof *b);
    pm_image image;
    pm_image_reading reading = {.ops = map->ops};
    pm_base *base;
    if (!b) return PM_NOMEM;
    pm_status st = pm_image_write(map, 1, write_block, b, NULL, NULL, NULL);
    if (st == PM_OK) st = pm_image_open(b->data, b->len, &image, NULL);
    if (st == PM_OK) st = pm_base_open(&image, &reading, close_block, b, &base);
    if (st != PM_OK) return st;
    st = pm_mixed_hang(m, key, len, base, 0);
    pm_base_close(base);
    return st;
}

ON(xopen) {
    pm_mixed *m = mixed_of(s, a);
    if (a->variant % 3 == 0) {
        *m = pm_mixed_of_map(map_of(s, a, 0));
        return say_ok(out);
    }
    *m = pm_mixed_new(map_of(s, a, 0)->ops, NULL);
    return fine(out, hang(m, NULL, 0, map_of(s, a, 0))) && say_ok(out);
}

ON(xclose) {
    pm_mixed_drop(mixed_of(s, a));
    return say_ok(out);
}

ON(xclone) {
    s->mixed[a->mixed[1]] = pm_mixed_clone(mixed_of(s, a));
    return say_ok(out);
}

static bool check_mixed(const pm_mixed *m, model_bytes *out) {
    const char *why = "";
    if (pm_check(&m->own, &why) == PM_OK && pm_check(&m->hung, &why) == PM_OK) return true;
    replay_print(out, "(damaged: %s) ", why);
    return false;
}

ON(xset) {
    pm_opt old = {0, false};
    pm_status st = pm_mixed_set(mixed_of(s, a), PATH(a, 0), a->num, &old);
    return fine(out, st) && check_mixed(mixed_of(s, a), out) && say_value(out, old.some, old.val);
}

ON(xget) {
    pm_opt got = {0, false};
    return fine(out, pm_mixed_get(mixed_of(s, a), PATH(a, 0), &got)) && say_value(out, got.some, got.val);
}

ON(xdel) {
    pm_opt old = {0, false};
    pm_status st = pm_mixed_remove(mixed_of(s, a), PATH(a, 0), a->flag[0], &old);
    return fine(out, st) && check_mixed(mixed_of(s, a), out) && say_value(out, old.some, old.val);
}

ON(xhas) {
    bool exists = false;
    return fine(out, pm_mixed_path_exists(mixed_of(s, a), PATH(a, 0), &exists)) && say(out, exists);
}

ON(xcreate) {
    bool changed = false;
    pm_status st = pm_mixed_create_path(mixed_of(s, a), PATH(a, 0), &changed);
    return fine(out, st) && check_mixed(mixed_of(s, a), out) && say(out, changed);
}

ON(xprune) {
    size_t n = 0;
    pm_status st = pm_mixed_prune_path(mixed_of(s, a), PATH(a, 0), &n);
    return fine(out, st) && check_mixed(mixed_of(s, a), out) && say(out, n);
}

ON(xrmbranches) {
    bool changed = false;
    pm_status st = pm_mixed_remove_branches(mixed_of(s, a), PATH(a, 0), a->flag[0], &changed);
    return fine(out, st) && check_mixed(mixed_of(s, a), out) && say(out, changed);
}

ON(xhang) {
    return fine(out, hang(mixed_of(s, a), PATH(a, 0), map_of(s, a, 0))) && check_mixed(mixed_of(s, a), out) &&
           say_ok(out);
}

ON(xgraft) {
    return fine(out, pm_mixed_graft(mixed_of(s, a), PATH(a, 0), map_of(s, a, 0))) &&
           check_mixed(mixed_of(s, a), out) && say_ok(out);
}

static bool any_change(void *ctx, const pm_change *c) {
    (void)c;
    *(bool *)ctx = true;
    return false;
}

/* Whether a map holds what a mixed trie does. */
static bool is_same(const pm_map *map, const pm_mixed *m) {
    pm_rz x, y;
    bool differs = false;
    if (pm_rz_open(map, NULL, 0, &x) != PM_OK || pm_mixed_rz(m, &y) != PM_OK) return false;
    pm_status st = pm_rz_diff(&x, &y, any_change, &differs);
    pm_rz_drop(&x);
    pm_rz_drop(&y);
    return st == PM_OK && !differs;
}

ON(xmake) {
    pm_map made;
    if (!fine(out, pm_materialise(mixed_of(s, a), &made))) return false;
    must_agree(out, is_same(&made, mixed_of(s, a)), "pm_materialise made something else");
    put_map(s, a->map[0], made);
    return say_ok(out);
}

/* Hangs the newest version in the place of what was committed. */
static pm_status rebase(on_library *s, const replay_args *a, const pm_ops *ops) {
    pm_commit v;
    pm_base *base;
    pm_image_reading reading = {.ops = ops};
    pm_status st = pm_store_newest(s->store, NULL, &v);
    if (st != PM_OK) return st;
    st = pm_base_of_commit(&v, &reading, &base);
    pm_commit_drop(&v);
    if (st != PM_OK) return st;
    pm_mixed m = pm_mixed_new(ops, NULL);
    st = pm_mixed_hang(&m, NULL, 0, base, 0);
    pm_base_close(base);
    pm_mixed_drop(mixed_of(s, a));
    *mixed_of(s, a) = m;
    return st;
}

/* Commits, sometimes compacts, loads, and sometimes goes on from what was committed. */
ON(xcommit) {
    pm_map loaded;
    const pm_ops *ops = map_of(s, a, 0)->ops;
    pm_image_reading reading = {.ops = ops};
    if (!fine(out, store_of(s))) return false;
    if (!fine(out, pm_store_commit_mixed(s->store, mixed_of(s, a), NULL, NULL))) return false;
    if (a->variant % 5 == 0 && !fine(out, pm_store_compact(s->store, NULL, NULL, NULL))) return false;
    must_agree(out, pm_store_verify(s->store, NULL) == PM_OK, "the store is damaged");
    if (!fine(out, pm_store_load(s->store, NULL, &reading, &loaded, NULL))) return false;
    must_agree(out, is_same(&loaded, mixed_of(s, a)), "something else was committed");
    put_map(s, a->map[0], loaded);
    if (a->variant % 3 && !fine(out, rebase(s, a, ops))) return false;
    return say_ok(out);
}

ON(xread) {
    pm_rz z;
    if (!fine(out, pm_mixed_rz(mixed_of(s, a), &z))) return false;
    pm_rz_descend_to(&z, PATH(a, 0));
    return read_over(s, a, &z, out);
}

/* Under other operations: what hangs is loaded, for bases know theirs. */
static bool change_mixed_ops(on_library *s, const pm_ops *ops, model_bytes *out) {
    for (int i = 0; i < REPLAY_MIXED; i++) {
        pm_map m;
        if (!fine(out, pm_materialise(&s->mixed[i], &m))) return false;
        m.ops = ops;
        pm_mixed_drop(&s->mixed[i]);
        s->mixed[i] = pm_mixed_of_map(&m);
        pm_drop(&m);
    }
    return true;
}
