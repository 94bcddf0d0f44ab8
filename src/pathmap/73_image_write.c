/* Writing trie images: a fold that jumps from fork to fork, remembering what several parents share.

   A result is an edge: what a record's entry will say of the location, without its first byte, which the fold tells by
   its mask. Where the location leads on, the edges below it become a record, unless an equal one is there. A run that
   is too long for an entry is cut into records of one entry from its lower end, 64 bytes each, so that long paths share
   their ends wherever they part above. All this depends on content alone, and so does the order in which records come:
   that in which a walk through all maps, deepest first, comes to each content first. */
#include "60_fold.c"
#include "72_image.c"
#include "73_image_write.h"

typedef struct pm__imgout_edge {
    pm_val val;   /* a word, or where a string lies */
    uint64_t len; /* of the string */
    size_t child;
    bool has_val;
    uint8_t run_len, run[PM__IMAGE_RUN];
} pm__imgout_edge;

typedef struct pm__imgout {
    pm_image image; /* what is there already, as if it were open; `start` is told by pm__imgout_window */
    pm__list out;
    size_t base; /* where the first byte of `out` will lie: places count from `base` before */
    pm__memo records, strings; /* by hash, to where they lie */
    const pm_image_options *options;
    pm_image_stats stats;
} pm__imgout;

/* ---- bytes ----------------------------------------------------------------------------------------------------- */

/* Appends; the image may have moved then. */
static bool pm__imgout_put(pm__imgout *w, const void *from, size_t n) {
    if (!pm__list_put(&w->out, from, n)) return false;
    w->image.data = w->out.data;
    w->image.size = w->out.used;
    return true;
}

/* Begins: what is put lies behind `base` bytes, the first `start` of which hold no records. */
static void pm__imgout_window(pm__imgout *w, size_t base, size_t start) {
    w->out = pm__list_of(1);
    w->base = base;
    w->image.start = start - base; /* may be "below 0" */
}

static PM__INLINE size_t pm__imgout_here(const pm__imgout *w) { return w->base + w->out.used; }

static size_t pm__imgout_number_of(uint8_t *to, uint64_t v) {
    size_t n = 0;
    for (; v >= 128; v >>= 7) to[n++] = (uint8_t)(v | 128);
    to[n++] = (uint8_t)v;
    return n;
}

static bool pm__imgout_number(pm__imgout *w, uint64_t v) {
    uint8_t s[PM__IMAGE_VARINT];
    return pm__imgout_put(w, s, pm__imgout_number_of(s, v));
}

/* Appends a string's length, and where it is. */
static bool pm__imgout_string_at(pm__imgout *w, size_t where, uint64_t len) {
    size_t from = pm__imgout_here(w);
    return pm__imgout_number(w, len) && (!len || pm__imgout_number(w, from - where));
}

static uint64_t pm__imgout_mix(uint64_t h, uint64_t v) {
    h = (h ^ v) * 0x9FB21C651E98DF25u;
    return h ^ h >> 29;
}

static uint64_t pm__imgout_mix_bytes(uint64_t h, const uint8_t *s, size_t n) {
    for (; n >= 8; s += 8, n -= 8) h = pm__imgout_mix(h, pm__load64le(s));
    uint64_t last = n;
    for (size_t i = 0; i < n; i++) last = last << 8 | s[i];
    return pm__imgout_mix(h, last);
}

/* Stores a string, if it is not there yet. */
static bool pm__imgout_string(pm__imgout *w, const void *data, size_t len, size_t *where) {
    uint64_t h = pm__imgout_mix_bytes(len, (const uint8_t *)data, len) | 1;
    const uint64_t *known;
    uint64_t turn = 0;
    *where = 0;
    if (!len) return true;
    for (; (known = pm__memo_get(&w->strings, h, turn + len)) != NULL; turn++) {
        *where = (size_t)*known;
        if (memcmp(w->out.data + (*where - w->base), data, len) == 0) return true;
    }
    *where = pm__imgout_here(w);
    w->stats.strings++;
    return pm__imgout_put(w, data, len) && pm__memo_put(&w->strings, h, turn + len, *where);
}

/* ---- records --------------------------------------------------------------------------------------------------- */

static uint64_t pm__imgout_hash(const uint8_t *bytes, const pm__imgout_edge *edges, unsigned n) {
    uint64_t h = n;
    for (unsigned i = 0; i < n; i++) {
        const pm__imgout_edge *e = &edges[i];
        h = pm__imgout_mix(h, (uint64_t)bytes[i] << 16 | (uint64_t)e->run_len << 8 | e->has_val);
        h = pm__imgout_mix_bytes(h, e->run, e->run_len);
        h = pm__imgout_mix(pm__imgout_mix(h, e->val ^ e->len << 40), e->child);
    }
    return h;
}

/* Whether a record that is there has these entries. */
static bool pm__imgout_is(const pm__imgout *w, size_t at, const uint8_t *bytes, const pm__imgout_edge *edges,
                          unsigned n) {
    pm__image_record r;
    pm__image_entry e;
    if (!pm__image_record_at(&w->image, at - w->base, &r) || r.n != n || memcmp(r.bytes, bytes, n) != 0) return false;
    for (size_t i = 0, next = r.first; i < n; i++, next = e.end) {
        const pm__imgout_edge *x = &edges[i];
        if (!pm__image_entry_at(&w->image, &r, next, &e) || e.run_len != x->run_len || e.has_val != x->has_val ||
            (e.child ? e.child + w->base : 0) != x->child || (e.run_len && memcmp(e.run, x->run, e.run_len) != 0))
            return false; /* uncovered: another record with the same hash of 64 bits */
        if (e.has_val && w->image.kind == PM_IMAGE_BYTES) {
            size_t where, len, end;
            if (!pm__image_string(&w->image, (size_t)e.val, &where, &len, &end)) return false;
            if (len != x->len || (len && where + w->base != x->val)) return false;
        } else if (e.val != x->val) {
            return false; /* uncovered: as above */
        }
    }
    return true;
}

/* Appends an entry of the record at `at`. */
static bool pm__imgout_entry(pm__imgout *w, size_t at, const pm__imgout_edge *e) {
    uint8_t head[2] = {e->run_len < PM__IMAGE_LONG ? e->run_len : PM__IMAGE_LONG, 0};
    size_t n = e->run_len < PM__IMAGE_LONG ? 1 : 2;
    head[1] = (uint8_t)(e->run_len - PM__IMAGE_LONG);
    if (e->has_val) head[0] |= PM__IMAGE_HAS_VAL;
    if (e->child) head[0] |= PM__IMAGE_HAS_CHILD;
    if (!pm__imgout_put(w, head, n) || !pm__imgout_put(w, e->run, e->run_len)) return false;
    if (e->has_val && w->image.kind == PM_IMAGE_WORDS && !pm__imgout_number(w, e->val)) return false;
    if (e->has_val && w->image.kind == PM_IMAGE_BYTES && !pm__imgout_string_at(w, (size_t)e->val, e->len)) return false;
    return !e->child || pm__imgout_number(w, at - e->child);
}

/* Appends a record. */
static bool pm__imgout_append(pm__imgout *w, const uint8_t *bytes, const pm__imgout_edge *edges, unsigned n) {
    static const uint8_t zeros[2 * (256 / PM__IMAGE_GROUP)];
    size_t begin = w->out.used, at = pm__imgout_here(w), groups = (n - 1) / PM__IMAGE_GROUP, first;
    uint8_t count = (uint8_t)(n - 1);
    if (!pm__imgout_put(w, &count, 1) || !pm__imgout_put(w, bytes, n) || !pm__imgout_put(w, zeros, 2 * groups))
        return false;
    first = w->out.used;
    for (unsigned i = 0; i < n; i++) {
        if (i && i % PM__IMAGE_GROUP == 0) {
            uint8_t *to = w->out.data + begin + 1 + n + 2 * (i / PM__IMAGE_GROUP - 1);
            to[0] = (uint8_t)(w->out.used - first); /* an entry has at most 96 bytes, so two do */
            to[1] = (uint8_t)((w->out.used - first) >> 8);
        }
        if (!pm__imgout_entry(w, at, &edges[i])) return false;
    }
    w->stats.records++;
    return true;
}

/* The record of these entries: one that is there, or a new one. False: no memory. */
static bool pm__imgout_record(pm__imgout *w, const uint8_t *bytes, const pm__imgout_edge *edges, unsigned n,
                              size_t *at) {
    uint64_t h = pm__imgout_hash(bytes, edges, n) | 1, turn = 0;
    const uint64_t *known;
    for (; (known = pm__memo_get(&w->records, h, turn)) != NULL; turn++) {
        *at = (size_t)*known;
        if (!pm__imgout_is(w, *at, bytes, edges, n)) continue;
        w->stats.reused++;
        return true;
    }
    *at = pm__imgout_here(w);
    return pm__imgout_append(w, bytes, edges, n) && pm__memo_put(&w->records, h, turn, *at);
}

/* ---- the fold -------------------------------------------------------------------------------------------------- */

static pm_status pm__imgout_value(pm__imgout *w, pm_val v, pm__imgout_edge *e) {
    const void *data;
    size_t len, where;
    e->has_val = true;
    if (w->image.kind == PM_IMAGE_WORDS) e->val = v;
    if (w->image.kind != PM_IMAGE_BYTES) return PM_OK;
    if (w->options && w->options->bytes) {
        pm_status s = w->options->bytes(w->options->ctx, v, &data, &len);
        if (s != PM_OK) return s;
        if (len > PM__LEN_MAX || (len && !data)) return PM_BADHOOK;
    } else {
        data = pm_bytes_get(v, &len);
    }
    if (!pm__imgout_string(w, data, len, &where)) return PM_NOMEM;
    e->val = where;
    e->len = len;
    return PM_OK;
}

/* Puts a run above an edge: what does not fit goes into records of its own. */
static bool pm__imgout_run(pm__imgout *w, const uint8_t *run, size_t n, pm__imgout_edge *e) {
    while (n > PM__IMAGE_RUN) {
        const uint8_t *piece = run + n - PM__IMAGE_RUN;
        pm__imgout_edge above;
        e->run_len = PM__IMAGE_RUN - 1;
        memcpy(e->run, piece + 1, PM__IMAGE_RUN - 1);
        memset(&above, 0, sizeof above);
        if (!pm__imgout_record(w, piece, e, 1, &above.child)) return false;
        *e = above;
        n -= PM__IMAGE_RUN;
    }
    e->run_len = (uint8_t)n;
    if (n) memcpy(e->run, run, n);
    return true;
}

static int pm__imgout_at(void *ctx, const pm_fold_at *here, void *out) {
    pm__imgout *w = (pm__imgout *)ctx;
    const pm__imgout_edge *edges = (const pm__imgout_edge *)here->results;
    uint8_t bytes[256];
    pm__imgout_edge e;
    memset(&e, 0, sizeof e);
    int b = -1;
    for (unsigned i = 0; i < here->n; i++) bytes[i] = (uint8_t)(b = pm__mask_next(here->mask, b + 1));
    if (here->n && !pm__imgout_record(w, bytes, edges, here->n, &e.child)) return PM_NOMEM;
    pm_status s = here->val ? pm__imgout_value(w, *here->val, &e) : PM_OK;
    if (s == PM_OK && !pm__imgout_run(w, here->jump, here->jump_len, &e)) s = PM_NOMEM;
    if (s == PM_OK) memcpy(out, &e, sizeof e);
    return s;
}

/* Writes where a map begins; its run, if it has one, ends in a record. */
static pm_status pm__imgout_root(pm__imgout *w, size_t map, pm__imgout_edge *e) {
    pm__imgout_edge below = *e;
    size_t at = PM__IMAGE_HEADER + map * PM__IMAGE_MAP, text = 0;
    if (e->run_len) {
        below.run_len--;
        memmove(below.run, e->run + 1, below.run_len);
        size_t child;
        if (!pm__imgout_record(w, e->run, &below, 1, &child)) return PM_NOMEM;
        memset(e, 0, sizeof *e);
        e->child = child;
    }
    if (e->has_val && w->image.kind == PM_IMAGE_BYTES) {
        text = pm__imgout_here(w);
        if (!pm__imgout_string_at(w, (size_t)e->val, e->len)) return PM_NOMEM;
        e->val = text;
    }
    pm__store64le(w->out.data + at, e->child);
    pm__store64le(w->out.data + at + 8, e->val);
    pm__store64le(w->out.data + at + 16, e->has_val);
    return PM_OK;
}

/* One fold goes through all maps, so that what they share is looked at once. */
static pm_status pm__imgout_maps(pm__imgout *w, const pm_map *maps, size_t n) {
    pm_fold f = {sizeof(pm__imgout_edge), PM_FOLD_JUMPING | PM_FOLD_CACHED, w, pm__imgout_at, NULL, NULL};
    pm__fold walk = pm__fold_begin(&f);
    pm__imgout_edge e, none;
    int s = PM_OK;
    for (size_t i = 0; s == PM_OK && i < n; i++) {
        s = pm__fold_walk(&walk, pm__fold_root(maps[i].root, maps[i].has_value ? &maps[i].value : NULL), 0);
        if (s != PM_OK) break;
        memcpy(&e, pm__list_at(&walk.results, 0), sizeof e);
        walk.results.used = 0;
        s = pm__imgout_root(w, i, &e);
    }
    memset(&none, 0, sizeof none);
    if (s == PM_OK && !pm__list_put(&walk.results, &none, 1)) s = PM_NOMEM;
    return (pm_status)pm__fold_end(&walk, s, &e);
}

static bool pm__imgout_begin(pm__imgout *w, size_t n) {
    static const uint8_t zeros[PM__IMAGE_MAP];
    uint8_t head[PM__IMAGE_HEADER];
    memset(head, 0, sizeof head);
    memcpy(head, pm__image_magic, sizeof pm__image_magic);
    head[8] = PM__IMAGE_VERSION;
    head[12] = (uint8_t)w->image.kind;
    pm__store64le(head + 24, n);
    if (!pm__imgout_put(w, head, sizeof head)) return false;
    for (size_t i = 0; i < n; i++)
        if (!pm__imgout_put(w, zeros, sizeof zeros)) return false;
    return true;
}

/* Makes the image in memory. */
static pm_status pm__imgout_make(pm__imgout *w, const pm_map *maps, size_t n) {
    const pm_ops *ops = n ? pm__ops_of(maps[0].ops) : pm_ops_unit();
    for (size_t i = 1; i < n; i++)
        if (pm__ops_of(maps[i].ops) != ops) return PM_MISMATCH;
    w->image.kind = PM_IMAGE_WORDS;
    if (ops == pm_ops_bytes() || (w->options && w->options->bytes)) w->image.kind = PM_IMAGE_BYTES;
    if (pm__ops_is_unit(ops)) w->image.kind = PM_IMAGE_UNIT;
    w->image.maps = n;
    w->image.list = PM__IMAGE_HEADER;
    if (n > PM__LEN_MAX / PM__IMAGE_MAP) return PM_NOMEM;
    pm__imgout_window(w, 0, PM__IMAGE_HEADER + n * PM__IMAGE_MAP);
    if (!pm__imgout_begin(w, n)) return PM_NOMEM;
    pm_status s = pm__imgout_maps(w, maps, n);
    if (s != PM_OK) return s;
    pm__store64le(w->out.data + 16, w->out.used);
    pm__sum sum = pm__sum_of(w->out.data, w->out.used);
    pm__store64le(w->out.data + PM__IMAGE_SUM, sum.a);
    pm__store64le(w->out.data + PM__IMAGE_SUM + 8, sum.b);
    return PM_OK;
}

PM_API pm_status pm_image_write(const pm_map *maps, size_t n, pm_write_fn write, void *ctx,
                                const pm_image_options *options, pm_image_stats *stats, pm_error *error) {
    if ((n && !maps) || n > PM__LEN_MAX / sizeof *maps || !write) return PM_INVALID;
    pm__imgout w;
    memset(&w, 0, sizeof w);
    w.options = options;
    pm_status s = pm__imgout_make(&w, maps, n);
    const char *why = s == PM_NOMEM ? "no memory" : s == PM_MISMATCH ? "maps of other values" : "a value was refused";
    w.stats.bytes = w.out.used;
    for (size_t at = 0; s == PM_OK && at < w.out.used;) { /* in pieces, that a file's buffer likes */
        size_t part = w.out.used - at < PM__STREAM_PIECE ? w.out.used - at : PM__STREAM_PIECE;
        s = write(ctx, w.out.data + at, part);
        if (s != PM_OK) why = "the write function failed";
        at += part;
    }
    size_t made = w.out.used;
    pm__list_free(&w.out);
    pm__memo_free(&w.records);
    pm__memo_free(&w.strings);
    if (s != PM_OK) return pm__stream_fail(error, s, made, why);
    if (stats) *stats = w.stats;
    return PM_OK;
}

PM_API pm_status pm_image_write_file(const pm_map *maps, size_t n, const char *name, const pm_image_options *options,
                                     pm_image_stats *stats, pm_error *error) {
    pm__file f;
    pm_image_stats done;
    if (!name || (n && !maps) || n > PM__LEN_MAX / sizeof *maps) return PM_INVALID;
    pm_status s = pm__file_create(name, &f);
    if (s != PM_OK) return pm__stream_fail(error, s, 0, "the file cannot be written");
    s = pm_image_write(maps, n, pm__file_write, &f, options, &done, error);
    bool written = s == PM_OK;
    s = pm__file_commit(&f, name, s);
    if (written && s != PM_OK) return pm__stream_fail(error, s, done.bytes, "the file could not be completed");
    if (s == PM_OK && stats) *stats = done;
    return s;
}
