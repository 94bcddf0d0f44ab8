/* ACT files. Writing is a fold that jumps from fork to fork: a result is a node that is not placed yet, as the children
   of a branch stand side by side, and are placed when all of them are known. Reading is as that of images
   (75_image_load.c): a pass from the root down to the start marks all nodes and those that are used twice, which then
   become maps of their own, the first ones first; unfolds graft these. */
#include "60_fold.c"
#include "61_unfold.c"
#include "72_image.c"
#include "84_act.h"

/* The file: magic, place of the root, then all else, and zeros so that a reader may read on. */
enum {
    PM__ACT_START = 16,
    PM__ACT_TAIL = 8,
    PM__ACT_MASKED = 32, /* children from which on a mask stands for their bytes */
    PM__ACT_VARINT = 247 /* the greatest number of one byte */
};
enum { PM__ACT_LINE = 128, PM__ACT_HAS_VAL = 64, PM__ACT_HAS_CHILD = 1 };
static const uint8_t pm__act_magic[8] = {'A', 'C', 'T', 'r', 'e', 'e', '0', '3'};

/* A node: a branch, or a run of bytes (a line) with a value or a node at its end. */
typedef struct pm__act_node {
    pm_mask mask;
    uint64_t val;
    size_t child; /* of a branch, its first one; 0: none */
    size_t run, run_len;
    size_t end;
    bool line, has_val;
} pm__act_node;

static bool pm__act_owns(const pm_ops *ops) { return !pm__ops_is_plain(ops) && !pm__ops_is_unit(ops); }

/* ---- writing ------------------------------------------------------------------------------------------------- */

typedef struct pm__actout {
    pm__list out;
    pm__memo runs;
    const pm_act_options *options;
    bool unit;
} pm__actout;

static size_t pm__actout_number(uint8_t *to, uint64_t v) {
    size_t n = 0;
    if (v <= PM__ACT_VARINT) {
        to[0] = (uint8_t)v;
        return 1;
    }
    for (; v; v >>= 8) to[++n] = (uint8_t)v;
    to[0] = (uint8_t)(PM__ACT_VARINT + n);
    return n + 1;
}

/* Places a node. */
static bool pm__actout_put(pm__actout *w, const pm__act_node *e) {
    uint8_t s[1 + 3 * 9 + 32];
    size_t at = w->out.used, n = 1;
    unsigned kids = e->line ? 0 : pm_mask_count(&e->mask);
    s[0] = (uint8_t)(kids < PM__ACT_MASKED ? kids : PM__ACT_MASKED);
    if (e->line) s[0] = (uint8_t)(PM__ACT_LINE | (e->child ? PM__ACT_HAS_CHILD : 0));
    if (e->has_val) s[0] |= PM__ACT_HAS_VAL, n += pm__actout_number(s + n, e->val);
    if (e->child) n += pm__actout_number(s + n, at - e->child);
    if (e->line) n += pm__actout_number(s + n, at - e->run);
    for (unsigned i = 0; kids >= PM__ACT_MASKED && i < 4; i++, n += 8) pm__store64le(s + n, e->mask.w[i]);
    if (kids && kids < PM__ACT_MASKED)
        for (int b = pm__mask_next(&e->mask, 0); b >= 0; b = pm__mask_next(&e->mask, b + 1)) s[n++] = (uint8_t)b;
    return pm__list_put(&w->out, s, n);
}

/* Stores a run, if it is not there yet. */
static bool pm__actout_run(pm__actout *w, const uint8_t *run, size_t len, size_t *at) {
    uint64_t h = len, turn = 0;
    const uint64_t *known;
    uint8_t s[9];
    for (size_t i = 0; i < len; i++) h = (h ^ run[i]) * 0x9FB21C651E98DF25u, h ^= h >> 29;
    size_t n = pm__actout_number(s, len);
    for (h |= 1; (known = pm__memo_get(&w->runs, h, turn)) != NULL; turn++) {
        const uint8_t *there = w->out.data + *known;
        *at = (size_t)*known;
        if (memcmp(there, s, n) == 0 && memcmp(there + n, run, len) == 0) return true;
    }
    *at = w->out.used;
    return pm__list_put(&w->out, s, n) && pm__list_put(&w->out, run, len) && pm__memo_put(&w->runs, h, turn, *at);
}

static pm_status pm__actout_value(const pm__actout *w, pm_val v, pm__act_node *e) {
    e->has_val = true;
    e->val = w->unit ? 0 : v;
    return w->options && w->options->word ? w->options->word(w->options->ctx, v, &e->val) : PM_OK;
}

static int pm__actout_at(void *ctx, const pm_fold_at *here, void *out) {
    pm__actout *w = (pm__actout *)ctx;
    const pm__act_node *kids = (const pm__act_node *)here->results;
    pm__act_node e, line;
    memset(&e, 0, sizeof e);
    e.mask = *here->mask;
    if (here->n) e.child = w->out.used;
    for (unsigned i = 0; i < here->n; i++)
        if (!pm__actout_put(w, &kids[i])) return PM_NOMEM;
    pm_status s = here->val ? pm__actout_value(w, *here->val, &e) : PM_OK;
    if (s == PM_OK && here->jump_len) {
        memset(&line, 0, sizeof line);
        line.line = true;
        if (!pm__actout_run(w, here->jump, here->jump_len, &line.run)) return PM_NOMEM;
        if (!here->n) line.has_val = e.has_val, line.val = e.val;
        else line.child = w->out.used;
        if (here->n && !pm__actout_put(w, &e)) return PM_NOMEM;
        e = line;
    }
    if (s == PM_OK) memcpy(out, &e, sizeof e);
    return s;
}

/* Makes the file in memory. */
static pm_status pm__actout_make(pm__actout *w, const pm_map *m) {
    static const uint8_t zeros[PM__ACT_TAIL];
    pm_fold f = {sizeof(pm__act_node), PM_FOLD_JUMPING | PM_FOLD_CACHED, w, pm__actout_at, NULL, NULL};
    pm__act_node root;
    if (!pm__list_put(&w->out, pm__act_magic, sizeof pm__act_magic) || !pm__list_put(&w->out, zeros, 8))
        return PM_NOMEM;
    pm_status s = (pm_status)pm_fold_map(m, &f, &root);
    if (s != PM_OK) return s;
    pm__store64le(w->out.data + 8, w->out.used);
    return pm__actout_put(w, &root) && pm__list_put(&w->out, zeros, sizeof zeros) ? PM_OK : PM_NOMEM;
}

PM_API pm_status pm_act_write(const pm_map *m, pm_write_fn write, void *ctx, const pm_act_options *options,
                              pm_error *error) {
    if (!m || !write) return PM_INVALID;
    const pm_ops *ops = pm_map_ops(m);
    if (pm__act_owns(ops) && !(options && options->word))
        return pm__stream_fail(error, PM_MISMATCH, 0, "values that are no words");
    pm__actout w;
    memset(&w, 0, sizeof w);
    w.out = pm__list_of(1);
    w.options = options;
    w.unit = pm__ops_is_unit(ops);
    pm_status s = pm__actout_make(&w, m);
    const char *why = s == PM_NOMEM ? "no memory" : "a value was refused";
    for (size_t at = 0; s == PM_OK && at < w.out.used;) {
        size_t part = w.out.used - at < PM__STREAM_PIECE ? w.out.used - at : PM__STREAM_PIECE;
        s = write(ctx, w.out.data + at, part);
        if (s != PM_OK) why = "the write function failed";
        at += part;
    }
    if (s != PM_OK) (void)pm__stream_fail(error, s, w.out.used, why);
    pm__list_free(&w.out);
    pm__memo_free(&w.runs);
    return s;
}

PM_API pm_status pm_act_write_file(const pm_map *m, const char *name, const pm_act_options *options, pm_error *error) {
    pm__file f;
    if (!m || !name) return PM_INVALID;
    pm_status s = pm__file_create(name, &f);
    if (s != PM_OK) return pm__stream_fail(error, s, 0, "the file cannot be written");
    s = pm_act_write(m, pm__file_write, &f, options, error);
    bool written = s == PM_OK;
    s = pm__file_commit(&f, name, s);
    if (written && s != PM_OK) return pm__stream_fail(error, s, 0, "the file could not be completed");
    return s;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

typedef struct pm__actin {
    const uint8_t *data;
    size_t size;
    const pm_ops *ops;
    pm_pool *pool;
    const pm_act_options *options;
    pm_error *error;
    pm__marks seen, twice;
    pm__list maps;
    pm__memo made; /* place of a node that is used twice, to its map */
    uint64_t path; /* bytes of runs so far */
} pm__actin;

static bool pm__actin_number(const pm__actin *r, size_t *at, uint64_t *out) {
    if (*at >= r->size) return false;
    uint8_t first = r->data[(*at)++];
    *out = first;
    if (first <= PM__ACT_VARINT) return true;
    size_t n = (size_t)first - PM__ACT_VARINT;
    if (n > r->size - *at) return false;
    *out = 0;
    for (size_t i = 0; i < n; i++) *out |= (uint64_t)r->data[(*at)++] << (8 * i);
    return true;
}

/* Reads how far before `from` something lies. */
static bool pm__actin_back(const pm__actin *r, size_t *at, size_t from, size_t *out) {
    uint64_t d;
    if (!pm__actin_number(r, at, &d) || d == 0 || d > from - PM__ACT_START) return false;
    *out = from - (size_t)d;
    return true;
}

static bool pm__actin_line(const pm__actin *r, size_t at, size_t from, pm__act_node *e) {
    uint64_t len;
    if (!pm__actin_back(r, &at, from, &e->run)) return false;
    e->end = at;
    at = e->run;
    if (!pm__actin_number(r, &at, &len) || len == 0 || len > r->size - at) return false;
    e->run = at;
    e->run_len = (size_t)len;
    return true;
}

/* Looks at the node that begins at `at`. False: this is none. */
static bool pm__actin_node(const pm__actin *r, size_t at, pm__act_node *e) {
    size_t from = at;
    if (at < PM__ACT_START || at >= r->size) return false;
    memset(e, 0, sizeof *e);
    uint8_t head = r->data[at++];
    unsigned kids = head & 63;
    e->line = (head & PM__ACT_LINE) != 0;
    e->has_val = (head & PM__ACT_HAS_VAL) != 0;
    if (e->line ? kids > PM__ACT_HAS_CHILD : kids > PM__ACT_MASKED) return false;
    if (e->has_val && !pm__actin_number(r, &at, &e->val)) return false;
    if (kids && !pm__actin_back(r, &at, from, &e->child)) return false;
    if (e->line) return pm__actin_line(r, at, from, e) && !(e->has_val && e->child);
    size_t n = kids < PM__ACT_MASKED ? kids : 32;
    if (n > r->size - at) return false;
    if (kids == PM__ACT_MASKED)
        for (unsigned i = 0; i < 4; i++) e->mask.w[i] = pm__load64le(r->data + at + 8 * i);
    for (unsigned i = 0; kids < PM__ACT_MASKED && i < kids; i++) {
        if (i && r->data[at + i - 1] >= r->data[at + i]) return false;
        pm_mask_set(&e->mask, r->data[at + i]);
    }
    e->end = at + n;
    return kids < PM__ACT_MASKED || pm_mask_count(&e->mask) >= PM__ACT_MASKED;
}

static pm_status pm__actin_bad(const pm__actin *r, size_t at, const char *msg) {
    return pm__stream_fail(r->error, PM_CORRUPT, at, msg);
}

static void pm__actin_mark(pm__actin *r, size_t at) {
    if (pm__marks_has(&r->seen, at)) pm__marks_set(&r->twice, at);
    pm__marks_set(&r->seen, at);
}

/* Checks the nodes right below one, all of which must lie before it, and marks them. */
static bool pm__actin_mark_below(pm__actin *r, size_t at, const pm__act_node *e) {
    unsigned n = e->line ? e->child != 0 : pm_mask_count(&e->mask);
    for (size_t next = e->child; n--;) {
        pm__act_node kid;
        if (next >= at || !pm__actin_node(r, next, &kid)) return false;
        pm__actin_mark(r, next);
        next = kid.end;
    }
    return true;
}

/* Checks and marks all nodes. */
static pm_status pm__actin_look(pm__actin *r, size_t root) {
    pm__act_node e;
    pm__actin_mark(r, root);
    for (size_t at = root + 1; pm__marks_prev(&r->seen, at, &at);) {
        if (!pm__actin_node(r, at, &e) || !pm__actin_mark_below(r, at, &e))
            return pm__actin_bad(r, at, "a node is damaged");
        if (!e.child) pm__marks_clear(&r->twice, at);
    }
    return PM_OK;
}

/* A location to be made: what a node says; without one (0), the end of a line. */
typedef struct pm__actin_seed {
    size_t node;
    uint64_t val;
    bool has_val;
} pm__actin_seed;

static int pm__actin_value(const pm__actin *r, pm_sprout *here, uint64_t word) {
    pm_val v = pm__ops_is_unit(r->ops) ? 0 : word;
    if (r->options && r->options->val) {
        pm_status s = r->options->val(r->options->ctx, word, &v);
        if (s != PM_OK) return s;
    }
    int s = pm_sprout_val(here, v);
    if (s != PM_OK) pm__val_release(r->ops, v);
    return s;
}

static int pm__actin_below(const pm__actin *r, pm_sprout *here, const uint8_t *way, size_t len,
                           const pm__actin_seed *seed) {
    const uint64_t *i = seed->node ? pm__memo_get(&r->made, seed->node, 0) : NULL;
    if (i) return pm_sprout_graft(here, way, len, (const pm_map *)pm__list_at(&r->maps, (size_t)*i));
    return pm_sprout_child(here, way, len, seed);
}

static int pm__actin_at(void *ctx, void *seed, pm_sprout *here, const uint8_t *path, size_t len) {
    pm__actin *r = (pm__actin *)ctx;
    pm__actin_seed at = *(const pm__actin_seed *)seed, below = {0, 0, false};
    pm__act_node e, kid;
    (void)path, (void)len;
    if (!at.node) return at.has_val ? pm__actin_value(r, here, at.val) : PM_OK;
    if (!pm__actin_node(r, at.node, &e)) return PM_CORRUPT;
    if (e.line) {
        r->path += e.run_len;
        if (r->options && r->options->most && r->path > r->options->most) return PM_NOMEM;
        below.node = e.child, below.val = e.val, below.has_val = e.has_val;
        return pm__actin_below(r, here, r->data + e.run, e.run_len, &below);
    }
    int s = e.has_val ? pm__actin_value(r, here, e.val) : PM_OK;
    size_t next = e.child;
    for (int b = pm__mask_next(&e.mask, 0); s == PM_OK && b >= 0; b = pm__mask_next(&e.mask, b + 1)) {
        uint8_t byte = (uint8_t)b;
        below.node = next;
        if (!pm__actin_node(r, next, &kid)) return PM_CORRUPT;
        s = pm__actin_below(r, here, &byte, 1, &below);
        next = kid.end;
    }
    return s;
}

/* Makes the map of a node, and puts it on the list. */
static pm_status pm__actin_grow(pm__actin *r, size_t node) {
    pm_unfold u = {sizeof(pm__actin_seed), r, pm__actin_at, NULL};
    pm__actin_seed seed = {node, 0, false};
    pm_map m;
    if (!pm__list_room(&r->maps, 1)) return PM_NOMEM;
    pm_status s = (pm_status)pm_unfold_map(&u, &seed, r->ops, r->pool, &m);
    if (s == PM_OK) (void)pm__list_put(&r->maps, &m, 1);
    return s;
}

static pm_status pm__actin_run(pm__actin *r) {
    pm_image block = {.data = r->data, .size = r->size}; /* for its size */
    if (r->size < PM__ACT_START || memcmp(r->data, pm__act_magic, sizeof pm__act_magic) != 0)
        return pm__actin_bad(r, 0, "this is no ACT file");
    uint64_t root = pm__load64le(r->data + 8);
    if (root < PM__ACT_START || root >= r->size) return pm__actin_bad(r, 8, "the root is elsewhere");
    if (!pm__marks_new(&block, &r->seen) || !pm__marks_new(&block, &r->twice))
        return pm__stream_fail(r->error, PM_NOMEM, 0, "no memory");
    pm_status s = pm__actin_look(r, (size_t)root);
    if (s != PM_OK) return s;
    for (size_t at = 0; s == PM_OK && pm__marks_next(&r->twice, at, &at); at++) {
        s = pm__actin_grow(r, at);
        if (s == PM_OK && !pm__memo_put(&r->made, at, 0, r->maps.used - 1)) s = PM_NOMEM;
    }
    if (s == PM_OK) s = pm__actin_grow(r, (size_t)root);
    return s == PM_OK ? s : pm__stream_fail(r->error, s, 0, s == PM_NOMEM ? "no memory" : "a value was refused");
}

PM_API pm_status pm_act_read(const pm_ops *ops, pm_pool *pool, const void *block, size_t size,
                             const pm_act_options *options, pm_map *out, pm_error *error) {
    if (!block || !out || size > PM__LEN_MAX) return PM_INVALID;
    pm__actin r;
    memset(&r, 0, sizeof r);
    r.data = (const uint8_t *)block;
    r.size = size;
    r.ops = pm__ops_taken(ops);
    r.pool = pool;
    r.options = options;
    r.error = error;
    r.maps = pm__list_of(sizeof(pm_map));
    if (pm__ops_is_refused(r.ops)) return pm__stream_fail(error, PM_BADHOOK, 0, "the table is refused");
    if (pm__act_owns(r.ops) && !(options && options->val))
        return pm__stream_fail(error, PM_MISMATCH, 0, "values that are no words");
    pm_status s = pm__actin_run(&r);
    if (s == PM_OK) *out = *(const pm_map *)pm__list_pop(&r.maps);
    while (r.maps.used) pm_drop((pm_map *)pm__list_pop(&r.maps));
    pm__list_free(&r.maps);
    pm__memo_free(&r.made);
    pm__marks_free(&r.seen);
    pm__marks_free(&r.twice);
    return s;
}

PM_API pm_status pm_act_read_file(const pm_ops *ops, pm_pool *pool, const char *name, const pm_act_options *options,
                                  pm_map *out, pm_error *error) {
    pm__file f;
    pm__list block = pm__list_of(1);
    size_t got = 1;
    if (!name || !out) return PM_INVALID;
    pm_status s = pm__file_open(name, &f);
    if (s != PM_OK) return pm__stream_fail(error, s, 0, "the file cannot be opened");
    while (s == PM_OK && got) {
        if (!pm__list_room(&block, PM__STREAM_PIECE)) s = PM_NOMEM;
        else s = pm__file_read(&f, block.data + block.used, PM__STREAM_PIECE, &got);
        if (s == PM_OK) block.used += got;
    }
    pm__file_close(&f);
    if (s != PM_OK) (void)pm__stream_fail(error, s, block.used, "the file cannot be read");
    else s = pm_act_read(ops, pool, block.data, block.used, options, out, error);
    pm__list_free(&block);
    return s;
}
