/* Streams: what writers and readers of files share. Output is gathered in a buffer; a file by name is written beside
   the old one, which it replaces when all of it is written. */
#include "11_memory.c"
#include "70_stream.h"

/* Tells of a failure, the first one being the cause. Returns the status. */
static pm_status pm__stream_fail(pm_error *error, pm_status code, uint64_t offset, const char *msg) {
    if (error) error->code = code, error->offset = offset, error->msg = msg;
    return code;
}

enum { PM__STREAM_BUFFER = 1 << 14, PM__STREAM_PIECE = 1 << 16 };

/* Output on its way to the caller's function. */
typedef struct pm__stream_out {
    pm_write_fn write;
    void *ctx;
    uint64_t offset; /* bytes that came in */
    size_t used;
    uint8_t buffer[PM__STREAM_BUFFER];
} pm__stream_out;

static void pm__stream_begin(pm__stream_out *o, pm_write_fn write, void *ctx) {
    o->write = write;
    o->ctx = ctx;
    o->offset = 0;
    o->used = 0;
}

static pm_status pm__stream_flush(pm__stream_out *o) {
    size_t n = o->used;
    o->used = 0;
    return n ? o->write(o->ctx, o->buffer, n) : PM_OK;
}

static pm_status pm__stream_put(pm__stream_out *o, const void *from, size_t n) {
    const uint8_t *s = (const uint8_t *)from;
    o->offset += n;
    while (n) {
        size_t room = PM__STREAM_BUFFER - o->used, part = n < room ? n : room;
        memcpy(o->buffer + o->used, s, part);
        o->used += part;
        s += part;
        n -= part;
        pm_status status = o->used == PM__STREAM_BUFFER ? pm__stream_flush(o) : PM_OK;
        if (status != PM_OK) return status;
    }
    return PM_OK;
}

/* ---- files by name --------------------------------------------------------------------------------------------- */

typedef struct pm__file {
    void *file;
    char *part; /* the name that is written to, until all is written */
    size_t part_size;
} pm__file;

#if PM_NO_STDIO

static pm_status pm__file_open(const char *name, pm__file *f) {
    (void)name, (void)f;
    return PM_IO;
}
static pm_status pm__file_create(const char *name, pm__file *f) { return pm__file_open(name, f); }
static pm_status pm__file_read(void *ctx, void *to, size_t n, size_t *got) {
    (void)ctx, (void)to, (void)n, (void)got;
    return PM_IO;
}
static pm_status pm__file_write(void *ctx, const void *from, size_t n) {
    (void)ctx, (void)from, (void)n;
    return PM_IO;
}
static void pm__file_close(pm__file *f) { (void)f; }
static pm_status pm__file_commit(pm__file *f, const char *name, pm_status s) {
    (void)f, (void)name;
    return s;
}

#else

static pm_status pm__file_open(const char *name, pm__file *f) {
    f->part = NULL;
    f->file = fopen(name, "rb");
    return f->file ? PM_OK : PM_IO;
}

static pm_status pm__file_read(void *ctx, void *to, size_t n, size_t *got) {
    FILE *file = (FILE *)((pm__file *)ctx)->file;
    *got = fread(to, 1, n, file);
    return *got == 0 && ferror(file) ? PM_IO : PM_OK;
}

static void pm__file_close(pm__file *f) { (void)fclose((FILE *)f->file); }

/* Opens NAME.part for writing. */
static pm_status pm__file_create(const char *name, pm__file *f) {
    static const char end[] = ".part";
    size_t n = strlen(name);
    f->part_size = n + sizeof end;
    f->part = (char *)pm__mem_alloc_big(f->part_size);
    if (!f->part) return PM_NOMEM;
    memcpy(f->part, name, n);
    memcpy(f->part + n, end, sizeof end);
    f->file = fopen(f->part, "wb");
    if (f->file) return PM_OK;
    pm__mem_free_big(f->part, f->part_size);
    return PM_IO;
}

static pm_status pm__file_write(void *ctx, const void *from, size_t n) {
    return fwrite(from, 1, n, (FILE *)((pm__file *)ctx)->file) == n ? PM_OK : PM_IO;
}

/* Ends writing: with `s` PM_OK the file takes its name, else it goes. Returns `s`, or PM_IO. */
static pm_status pm__file_commit(pm__file *f, const char *name, pm_status s) {
    if (fclose((FILE *)f->file) != 0 && s == PM_OK) s = PM_IO;
#if defined(_WIN32)
    if (s == PM_OK) (void)remove(name); /* here rename does not replace */
#endif
    if (s == PM_OK && rename(f->part, name) != 0) s = PM_IO;
    if (s != PM_OK) (void)remove(f->part);
    pm__mem_free_big(f->part, f->part_size);
    return s;
}

#endif
