/* Path files: for each path a length of four bytes, little-endian, and its bytes; all of it compressed, or plain. */
#include "13_values.c"
#include "17_list.c"
#include "54_iterate.c"
#include "70_stream.c"
#include "71_paths.h"

#ifndef PM__PATHS_LEN_MAX
#define PM__PATHS_LEN_MAX UINT32_MAX
#endif

enum { PM__PATHS_STEP = 1 << 16 }; /* a path's buffer grows by no more than twice this before its bytes are there */

static const pm_paths_options pm__pathfile_zipped = {false, NULL, NULL, NULL};

/* The default form, or what the caller says. */
static pm_status pm__pathfile_settle(const pm_paths_options **options, pm_error *error) {
    if (!*options) *options = &pm__pathfile_zipped;
    if ((*options)->plain || PATHMAP_ZLIB) return PM_OK;
    return pm__stream_fail(error, PM_INVALID, 0, "zlib: the library was built without PATHMAP_ZLIB");
}

/* ---- zlib ------------------------------------------------------------------------------------------------------ */

#if PATHMAP_ZLIB

enum { PM__ZIP_LEVEL = 7, PM__ZIP_MOST = 1 << 30 };

/* Its memory comes from PM_MALLOC; blocks know their size, for PM_FREE. */
typedef union pm__zip_block {
    size_t size;
    uint64_t align[2];
} pm__zip_block;

static voidpf pm__zip_alloc(voidpf ctx, uInt n, uInt each) {
    (void)ctx;
    if (each && n > (PM__LEN_MAX - sizeof(pm__zip_block)) / each) return Z_NULL;
    size_t size = (size_t)n * each + sizeof(pm__zip_block);
    pm__zip_block *b = (pm__zip_block *)pm__mem_alloc_big(size);
    if (!b) return Z_NULL;
    memset(b, 0, size); /* deflate looks at what it has not written, though nothing comes of it */
    b->size = size;
    return b + 1;
}

static void pm__zip_free(voidpf ctx, voidpf p) {
    pm__zip_block *b = (pm__zip_block *)p;
    (void)ctx;
    if (b) pm__mem_free_big(b - 1, b[-1].size);
}

static void pm__zip_begin(z_stream *z) {
    memset(z, 0, sizeof *z);
    z->zalloc = pm__zip_alloc;
    z->zfree = pm__zip_free;
}

#endif

/* ---- writing --------------------------------------------------------------------------------------------------- */

/* `out` holds what goes to the caller; its offset counts that, `offset` the plain bytes. */
typedef struct pm__pathfile_out {
    const pm_paths_options *options;
    pm_error *error;
    uint64_t offset;
#if PATHMAP_ZLIB
    z_stream z;
#endif
    pm__stream_out out;
} pm__pathfile_out;

static pm_status pm__pathfile_failed_to_write(const pm__pathfile_out *w, pm_status s) {
    return s == PM_OK ? s : pm__stream_fail(w->error, s, w->offset, "the write function failed");
}

#if PATHMAP_ZLIB

/* Compresses n bytes; `last`: to the end of the stream. */
static pm_status pm__pathfile_deflate(pm__pathfile_out *w, const void *from, size_t n, bool last) {
    uint8_t room[1024];
    w->z.next_in = (const Bytef *)from;
    w->z.avail_in = 0;
    do {
        uInt part = (uInt)(n < PM__ZIP_MOST ? n : PM__ZIP_MOST);
        if (w->z.avail_in == 0) w->z.avail_in = part, n -= part;
        w->z.next_out = room;
        w->z.avail_out = sizeof room;
        (void)deflate(&w->z, last ? Z_FINISH : Z_NO_FLUSH);
        pm_status s = pm__stream_put(&w->out, room, sizeof room - w->z.avail_out);
        if (s != PM_OK) return pm__pathfile_failed_to_write(w, s);
    } while (w->z.avail_out == 0 || w->z.avail_in || n);
    return PM_OK;
}

static pm_status pm__pathfile_put(pm__pathfile_out *w, const void *from, size_t n) {
    if (!w->options->plain) return n ? pm__pathfile_deflate(w, from, n, false) : PM_OK;
    return pm__pathfile_failed_to_write(w, pm__stream_put(&w->out, from, n));
}

static pm_status pm__pathfile_out_begin(pm__pathfile_out *w) {
    if (w->options->plain) return PM_OK;
    pm__zip_begin(&w->z);
    if (deflateInit(&w->z, PM__ZIP_LEVEL) == Z_OK) return PM_OK;
    return pm__stream_fail(w->error, PM_NOMEM, 0, "no memory");
}

static pm_status pm__pathfile_out_end(pm__pathfile_out *w, pm_status s) {
    if (!w->options->plain) {
        if (s == PM_OK) s = pm__pathfile_deflate(w, "", 0, true);
        (void)deflateEnd(&w->z);
    }
    return s == PM_OK ? pm__pathfile_failed_to_write(w, pm__stream_flush(&w->out)) : s;
}

#else

static pm_status pm__pathfile_put(pm__pathfile_out *w, const void *from, size_t n) {
    return pm__pathfile_failed_to_write(w, pm__stream_put(&w->out, from, n));
}
static pm_status pm__pathfile_out_begin(pm__pathfile_out *w) {
    (void)w;
    return PM_OK;
}
static pm_status pm__pathfile_out_end(pm__pathfile_out *w, pm_status s) {
    return s == PM_OK ? pm__pathfile_failed_to_write(w, pm__stream_flush(&w->out)) : s;
}

#endif

/* Writes one path. */
static pm_status pm__pathfile_put_path(pm__pathfile_out *w, const pm_iter *i, pm_paths_stats *stats) {
    uint8_t head[4];
    if (!i->len) return pm__stream_fail(w->error, PM_INVALID, w->offset, "a value at the empty path");
    if (i->len > PM__PATHS_LEN_MAX)
        return pm__stream_fail(w->error, PM_INVALID, w->offset, "a path of more than 2^32 - 1 bytes");
    for (unsigned k = 0; k < 4; k++) head[k] = (uint8_t)((uint64_t)i->len >> (8 * k));
    pm_status s = PM_OK;
    if (w->options->seen) {
        s = w->options->seen(w->options->ctx, stats->paths, i->key, i->len, *i->val);
        if (s != PM_OK) return pm__stream_fail(w->error, s, w->offset, "the function that is told values failed");
    }
    s = pm__pathfile_put(w, head, sizeof head);
    if (s == PM_OK) s = pm__pathfile_put(w, i->key, i->len);
    stats->paths++;
    stats->path_bytes += i->len;
    w->offset += sizeof head + (uint64_t)i->len;
    return s;
}

static pm_status pm__pathfile_put_all(pm__pathfile_out *w, const pm_rz *z, pm_paths_stats *stats) {
    pm_iter i = pm_iter_vals_of_rz(z);
    pm_status s = PM_OK;
    while (s == PM_OK && pm_iter_next(&i)) s = pm__pathfile_put_path(w, &i, stats);
    if (s == PM_OK && (s = pm_iter_status(&i)) != PM_OK)
        (void)pm__stream_fail(w->error, s, w->offset, "the paths could not be visited");
    pm_iter_drop(&i);
    return s;
}

PM_API pm_status pm_paths_write(const pm_rz *z, pm_write_fn write, void *ctx, const pm_paths_options *options,
                                pm_paths_stats *stats, pm_error *error) {
    static const pm_paths_stats none = {0, 0, 0};
    pm_paths_stats done = none;
    if (!z || !write) return PM_INVALID;
    pm_status s = pm__pathfile_settle(&options, error);
    if (s != PM_OK) return s;
    pm__pathfile_out *w = (pm__pathfile_out *)pm__mem_alloc_big(sizeof *w);
    if (!w) return pm__stream_fail(error, PM_NOMEM, 0, "no memory");
    w->options = options;
    w->error = error;
    w->offset = 0;
    pm__stream_begin(&w->out, write, ctx);
    s = pm__pathfile_out_begin(w);
    if (s == PM_OK) s = pm__pathfile_out_end(w, pm__pathfile_put_all(w, z, &done));
    done.file_bytes = w->out.offset;
    pm__mem_free_big(w, sizeof *w);
    if (s == PM_OK && stats) *stats = done;
    return s;
}

PM_API pm_status pm_paths_write_file(const pm_rz *z, const char *name, const pm_paths_options *options,
                                     pm_paths_stats *stats, pm_error *error) {
    pm__file f;
    pm_paths_stats done = {0, 0, 0};
    if (!z || !name) return PM_INVALID;
    pm_status s = pm__file_create(name, &f);
    if (s != PM_OK) return pm__stream_fail(error, s, 0, "the file cannot be written");
    s = pm_paths_write(z, pm__file_write, &f, options, &done, error);
    bool written = s == PM_OK;
    s = pm__file_commit(&f, name, s);
    if (written && s != PM_OK) return pm__stream_fail(error, s, done.file_bytes, "the file could not be completed");
    if (s == PM_OK && stats) *stats = done;
    return s;
}

/* ---- reading --------------------------------------------------------------------------------------------------- */

typedef struct pm__pathfile_in {
    const pm_paths_options *options;
    pm_error *error;
    pm_read_fn read;
    void *ctx;
    uint64_t offset;     /* plain bytes up to the path that is being read */
    uint64_t file_bytes; /* what `read` has given */
    size_t at, end;      /* of these, in the buffer and not yet used */
    bool done;           /* `read` has no more */
    bool ended;          /* the compressed stream has ended */
#if PATHMAP_ZLIB
    z_stream z;
#endif
    uint8_t buffer[PM__STREAM_BUFFER];
} pm__pathfile_in;

/* Fills the buffer, which is empty. */
static pm_status pm__pathfile_fill(pm__pathfile_in *r) {
    size_t got = 0;
    if (r->done) return PM_OK;
    pm_status s = r->read(r->ctx, r->buffer, sizeof r->buffer, &got);
    if (s != PM_OK) return pm__stream_fail(r->error, s, r->file_bytes, "the read function failed");
    if (got > sizeof r->buffer)
        return pm__stream_fail(r->error, PM_BADHOOK, r->file_bytes, "the read function told of too many bytes");
    r->done = got == 0;
    r->at = 0;
    r->end = got;
    r->file_bytes += got;
    return PM_OK;
}

/* Takes the next n bytes of the file, fewer at its end only. */
static pm_status pm__pathfile_take_plain(pm__pathfile_in *r, uint8_t *to, size_t n, size_t *got) {
    for (*got = 0; *got < n;) {
        pm_status s = r->at == r->end ? pm__pathfile_fill(r) : PM_OK;
        if (s != PM_OK || r->at == r->end) return s;
        size_t here = r->end - r->at, part = here < n - *got ? here : n - *got;
        memcpy(to + *got, r->buffer + r->at, part);
        r->at += part;
        *got += part;
    }
    return PM_OK;
}

#if PATHMAP_ZLIB

/* Behind the end of the compressed stream nothing may follow. */
static pm_status pm__pathfile_zip_end(pm__pathfile_in *r) {
    pm_status s = r->at == r->end ? pm__pathfile_fill(r) : PM_OK;
    r->ended = true;
    if (s != PM_OK || r->at == r->end) return s;
    uint64_t used = r->file_bytes - (r->end - r->at);
    return pm__stream_fail(r->error, PM_CORRUPT, used, "zlib: bytes behind the end of the stream");
}

/* What a call of inflate has come to. */
static pm_status pm__pathfile_zip_came_to(pm__pathfile_in *r, int z) {
    uint64_t used = r->file_bytes - (r->end - r->at);
    switch (z) {
    case Z_OK: return PM_OK;
    case Z_STREAM_END: return pm__pathfile_zip_end(r);
    case Z_MEM_ERROR: return pm__stream_fail(r->error, PM_NOMEM, used, "no memory");
    case Z_BUF_ERROR:
        if (r->at == r->end && !r->done) return PM_OK;
        return pm__stream_fail(r->error, PM_CORRUPT, used, "zlib: the stream ends early");
    default: return pm__stream_fail(r->error, PM_CORRUPT, used, "zlib: damaged, or not a compressed stream");
    }
}

static pm_status pm__pathfile_take_zipped(pm__pathfile_in *r, uint8_t *to, size_t n, size_t *got) {
    for (*got = 0; *got < n && !r->ended;) {
        pm_status s = r->at == r->end ? pm__pathfile_fill(r) : PM_OK;
        if (s != PM_OK) return s;
        uInt room = (uInt)(n - *got < PM__ZIP_MOST ? n - *got : PM__ZIP_MOST);
        r->z.next_in = r->buffer + r->at;
        r->z.avail_in = (uInt)(r->end - r->at);
        r->z.next_out = to + *got;
        r->z.avail_out = room;
        int z = inflate(&r->z, Z_NO_FLUSH);
        r->at = r->end - r->z.avail_in;
        *got += room - r->z.avail_out;
        s = pm__pathfile_zip_came_to(r, z);
        if (s != PM_OK) return s;
    }
    return PM_OK;
}

static pm_status pm__pathfile_take(pm__pathfile_in *r, uint8_t *to, size_t n, size_t *got) {
    return r->options->plain ? pm__pathfile_take_plain(r, to, n, got) : pm__pathfile_take_zipped(r, to, n, got);
}

static pm_status pm__pathfile_in_begin(pm__pathfile_in *r) {
    if (r->options->plain) return PM_OK;
    pm__zip_begin(&r->z);
    return inflateInit(&r->z) == Z_OK ? PM_OK : pm__stream_fail(r->error, PM_NOMEM, 0, "no memory");
}

static void pm__pathfile_in_end(pm__pathfile_in *r) {
    if (!r->options->plain) (void)inflateEnd(&r->z);
}

#else

static pm_status pm__pathfile_take(pm__pathfile_in *r, uint8_t *to, size_t n, size_t *got) {
    return pm__pathfile_take_plain(r, to, n, got);
}
static pm_status pm__pathfile_in_begin(pm__pathfile_in *r) {
    (void)r;
    return PM_OK;
}
static void pm__pathfile_in_end(pm__pathfile_in *r) { (void)r; }

#endif

/* Takes the next path; without bytes: there is none. What a length promises need not come, so the buffer grows with
   what does. */
static pm_status pm__pathfile_take_path(pm__pathfile_in *r, pm__list *path) {
    static const char cut[] = "the data end within a path";
    uint8_t head[4];
    size_t got, len;
    path->used = 0;
    pm_status s = pm__pathfile_take(r, head, sizeof head, &got);
    if (s != PM_OK || got == 0) return s;
    if (got < sizeof head) return pm__stream_fail(r->error, PM_CORRUPT, r->offset, cut);
    len = pm__load32le(head);
    if (len == 0) return pm__stream_fail(r->error, PM_CORRUPT, r->offset, "an empty path");
    if (len > PM__LEN_MAX) return pm__stream_fail(r->error, PM_NOMEM, r->offset, "a path longer than memory");
    while (path->used < len) {
        size_t part = len - path->used < PM__PATHS_STEP ? len - path->used : PM__PATHS_STEP;
        if (!pm__list_room(path, part)) return pm__stream_fail(r->error, PM_NOMEM, r->offset, "no memory");
        s = pm__pathfile_take(r, path->data + path->used, part, &got);
        if (s != PM_OK) return s;
        path->used += got;
        if (got < part) return pm__stream_fail(r->error, PM_CORRUPT, r->offset, cut);
    }
    return PM_OK;
}

/* Makes the value of a path, and stores it. */
static pm_status pm__pathfile_set(const pm__pathfile_in *r, pm_map *m, const pm__list *path, uint64_t index) {
    pm_val v = 0;
    pm_status s = PM_OK;
    if (r->options->val) s = r->options->val(r->options->ctx, index, path->data, path->used, &v);
    if (s != PM_OK) return pm__stream_fail(r->error, s, r->offset, "the function that makes values failed");
    s = pm_set(m, path->data, path->used, v, NULL);
    if (s == PM_OK) return s;
    if (r->options->val) pm__val_release(pm__ops_of(m->ops), v);
    return pm__stream_fail(r->error, s, r->offset, "the path could not be stored");
}

static pm_status pm__pathfile_take_all(pm__pathfile_in *r, pm_map *m, pm_paths_stats *stats) {
    pm__list path = pm__list_of(1);
    pm_status s;
    while ((s = pm__pathfile_take_path(r, &path)) == PM_OK && path.used) {
        s = pm__pathfile_set(r, m, &path, stats->paths);
        if (s != PM_OK) break;
        stats->paths++;
        stats->path_bytes += path.used;
        r->offset += 4 + (uint64_t)path.used;
    }
    pm__list_free(&path);
    stats->file_bytes = r->file_bytes;
    return s;
}

PM_API pm_status pm_paths_read(const pm_ops *ops, pm_pool *pool, pm_read_fn read, void *ctx,
                               const pm_paths_options *options, pm_map *out, pm_paths_stats *stats, pm_error *error) {
    static const pm_paths_stats none = {0, 0, 0};
    pm_paths_stats done = none;
    pm_map m = pm_new(ops, pool);
    if (!read || !out) return PM_INVALID;
    pm_status s = pm__pathfile_settle(&options, error);
    if (s != PM_OK) return s;
    if (pm__ops_is_refused(pm__ops_of(m.ops))) return pm__stream_fail(error, PM_BADHOOK, 0, "the table is refused");
    pm__pathfile_in *r = (pm__pathfile_in *)pm__mem_alloc_big(sizeof *r);
    if (!r) return pm__stream_fail(error, PM_NOMEM, 0, "no memory");
    memset(r, 0, offsetof(pm__pathfile_in, buffer));
    r->options = options;
    r->error = error;
    r->read = read;
    r->ctx = ctx;
    s = pm__pathfile_in_begin(r);
    if (s == PM_OK) {
        s = pm__pathfile_take_all(r, &m, &done);
        pm__pathfile_in_end(r);
    }
    pm__mem_free_big(r, sizeof *r);
    if (s == PM_OK) *out = m;
    else pm_drop(&m);
    if (s == PM_OK && stats) *stats = done;
    return s;
}

PM_API pm_status pm_paths_read_file(const pm_ops *ops, pm_pool *pool, const char *name, const pm_paths_options *options,
                                    pm_map *out, pm_paths_stats *stats, pm_error *error) {
    pm__file f;
    if (!name || !out) return PM_INVALID;
    pm_status s = pm__file_open(name, &f);
    if (s != PM_OK) return pm__stream_fail(error, s, 0, "the file cannot be opened");
    s = pm_paths_read(ops, pool, pm__file_read, &f, options, out, stats, error);
    pm__file_close(&f);
    return s;
}
