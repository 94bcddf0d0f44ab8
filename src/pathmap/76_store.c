/* Stores: what stands where in their files, finding the newest commit that is whole, versions.

   A store is a header and commits, one behind the other. A commit is records and strings, as in images, the name of its
   root, and the commit record: so of whatever the record's checksum covers, the record is written last. What is behind
   the last commit that is whole was never committed. */
#include "18_files.c"
#include "40_map.c"
#include "75_image_load.c"
#include "76_store.h"

/* ---- what stands where ------------------------------------------------------------------------------------------- */

/* The header: magic, version, identity, checksum. */
enum {
    PM__DURABLE_VERSION = 1,
    PM__DURABLE_HEADER = 64,
    PM__DURABLE_ID = 16,
    PM__DURABLE_HEADER_SUM = 48,
    PM__DURABLE_RECORD = 160, /* bytes of a commit record */
    PM__DURABLE_MAP = 48,     /* in it: the map, as images list theirs */
    PM__DURABLE_DATA_SUM = 128,
    PM__DURABLE_RECORD_SUM = 144,
    PM__DURABLE_NAME = 65535, /* bytes of a name, at most */
    PM__DURABLE_PIECE = 1 << 16
};
static const uint8_t pm__durable_magic[8] = {'p', 'm', 's', 't', 'o', 'r', 'e', 0x1a};
static const uint8_t pm__durable_commit_magic[8] = {0x1a, 'c', 'o', 'm', 'm', 'i', 't', 0xe5};

/* What a commit record says. */
typedef struct pm__durable_record {
    uint64_t sequence, place;
    uint64_t before, same; /* places of the records before, of any root and of this one; 0: none */
    uint64_t synced;       /* place of the newest that was known to be on the disk; 0: none; maybe this one's own */
    uint64_t begin;        /* where what the commit appended begins */
    uint64_t time, label[2];
    uint32_t kind, name_len;
} pm__durable_record;

/* Names are filled up with zeros. */
static uint64_t pm__durable_name_room(uint64_t len) { return (len + 7) / 8 * 8; }

/* Checksums begin with the store's identity, so that no bytes of a value are taken for a commit but by who knows it. */
static pm__sum pm__durable_sum(const uint64_t id[2]) {
    pm__sum s = {0x243F6A8885A308D3u ^ id[0], 0x13198A2E03707344u ^ id[1]};
    return s;
}

/* Takes in a multiple of 8 bytes. */
static void pm__durable_sum_in(pm__sum *s, const uint8_t *data, size_t n) {
    for (size_t i = 0; i < n; i += 8) pm__sum_word(s, pm__load64le(data + i));
}

static bool pm__durable_sum_is(const pm__sum *s, const uint8_t *at) {
    return pm__load64le(at) == s->a && pm__load64le(at + 8) == s->b;
}

static void pm__durable_sum_put(const pm__sum *s, uint8_t *at) {
    pm__store64le(at, s->a);
    pm__store64le(at + 8, s->b);
}

/* Reads the commit record that should stand at `place`. False: this is none. */
static bool pm__durable_parse(const uint8_t *s, uint64_t place, const uint64_t id[2], pm__durable_record *r) {
    if (memcmp(s, pm__durable_commit_magic, 8) != 0 || pm__load64le(s + 16) != place) return false;
    pm__sum sum = pm__durable_sum(id);
    pm__durable_sum_in(&sum, s, PM__DURABLE_RECORD_SUM);
    if (!pm__durable_sum_is(&sum, s + PM__DURABLE_RECORD_SUM)) return false;
    r->sequence = pm__load64le(s + 8);
    r->place = place;
    r->before = pm__load64le(s + 24);
    r->same = pm__load64le(s + 32);
    r->synced = pm__load64le(s + 40);
    r->kind = pm__load32le(s + 80);
    r->name_len = pm__load32le(s + 84);
    r->time = pm__load64le(s + 88);
    r->label[0] = pm__load64le(s + 96);
    r->label[1] = pm__load64le(s + 104);
    if (r->before > place || pm__load64le(s + 112) || pm__load64le(s + 120)) return false;
    r->begin = r->before ? r->before + PM__DURABLE_RECORD : PM__DURABLE_HEADER;
    if (r->kind > PM_IMAGE_BYTES || r->name_len > PM__DURABLE_NAME || r->begin > place) return false;
    if (r->before && r->before < PM__DURABLE_HEADER) return false;
    if (r->same > r->before || (r->synced > r->before && r->synced != place)) return false;
    return place - r->begin >= pm__durable_name_room(r->name_len);
}

/* Makes a commit record, but for the checksums. */
static void pm__durable_spell(const pm__durable_record *r, uint8_t *s) {
    memset(s, 0, PM__DURABLE_RECORD);
    memcpy(s, pm__durable_commit_magic, 8);
    pm__store64le(s + 8, r->sequence);
    pm__store64le(s + 16, r->place);
    pm__store64le(s + 24, r->before);
    pm__store64le(s + 32, r->same);
    pm__store64le(s + 40, r->synced);
    pm__store64le(s + 80, (uint64_t)r->kind | (uint64_t)r->name_len << 32);
    pm__store64le(s + 88, r->time);
    pm__store64le(s + 96, r->label[0]);
    pm__store64le(s + 104, r->label[1]);
}

/* Puts a record's checksums in: of what the commit appends before it, and of itself. */
static void pm__durable_seal(const uint64_t id[2], const pm__sum *data, uint8_t *s) {
    pm__sum sum = pm__durable_sum(id);
    pm__durable_sum_put(data, s + PM__DURABLE_DATA_SUM);
    pm__durable_sum_in(&sum, s, PM__DURABLE_RECORD_SUM);
    pm__durable_sum_put(&sum, s + PM__DURABLE_RECORD_SUM);
}

/* ---- blocks ------------------------------------------------------------------------------------------------------ */

/* A mapping of a file, or what was read of it. It grows beyond what there is at first, so that not every commit needs a
   new one; those who read a version hold the one that they read in. */
typedef struct pm__durable_block {
    pm__a64 refs;
    pm_files files;
    uint64_t id[2];
    uint64_t number; /* of the open file: places mean something in blocks of this number */
    const uint8_t *data;
    size_t len;    /* bytes that it has room for */
    size_t filled; /* in memory: bytes that were read */
} pm__durable_block;

static void pm__durable_block_drop(pm__durable_block *b) {
    if (!b || pm__a64_fetch_sub_acq_rel(&b->refs, 1) != 1) return;
    if (b->files.map) b->files.unmap(b->files.ctx, b->data, b->len);
    else pm__mem_free_big((void *)(uintptr_t)b->data, b->len);
    pm__mem_free_big(b, sizeof *b);
}

static pm__durable_block *pm__durable_block_hold(pm__durable_block *b) {
    (void)pm__a64_fetch_add_relaxed(&b->refs, 1);
    return b;
}

/* Reads exactly n bytes. */
static pm_status pm__durable_read(const pm_files *files, void *file, uint64_t at, void *to, size_t n) {
    size_t got = 0;
    pm_status s = files->read(files->ctx, file, at, to, n, &got);
    return s == PM_OK && got != n ? PM_IO : s;
}

static pm_status pm__durable_fill(pm__durable_block *b, void *file, size_t need) {
    if (b->files.map || b->filled >= need) return PM_OK;
    uint8_t *to = (uint8_t *)(uintptr_t)b->data + b->filled; /* nobody reads there yet */
    pm_status s = pm__durable_read(&b->files, file, b->filled, to, need - b->filled);
    if (s == PM_OK) b->filled = need;
    return s;
}

/* Numbers the files that are opened, in all stores. */
static uint64_t pm__durable_number(void) {
    static pm__a64 numbers;
    return pm__a64_fetch_add_relaxed(&numbers, 1) + 1;
}

static pm_status pm__durable_block_new(const pm_files *files, void *file, uint64_t number, const uint64_t id[2],
                                       size_t need, pm__durable_block **out) {
    const void *at = NULL;
    size_t len = need + need / 2 < PM__DURABLE_PIECE ? PM__DURABLE_PIECE : need + need / 2;
    pm__durable_block *b = (pm__durable_block *)pm__mem_alloc_big(sizeof *b);
    if (!b) return PM_NOMEM;
    pm_status s = PM_OK;
    if (!files->map) at = pm__mem_alloc_big(len), s = at ? PM_OK : PM_NOMEM;
    else s = files->map(files->ctx, file, len, &at);
    if (s != PM_OK) {
        pm__mem_free_big(b, sizeof *b);
        return s;
    }
    memset(b, 0, sizeof *b);
    pm__store_relaxed(&b->refs, 1);
    b->files = *files;
    b->id[0] = id[0], b->id[1] = id[1];
    b->number = number;
    b->data = (const uint8_t *)at;
    b->len = len;
    s = pm__durable_fill(b, file, need);
    if (s != PM_OK) pm__durable_block_drop(b);
    else *out = b;
    return s;
}

/* ---- stores ------------------------------------------------------------------------------------------------------ */

/* A root that was loaded or committed: what it was then. */
typedef struct pm__durable_head {
    char *name;
    size_t name_size;
    uint64_t place; /* its newest commit record; 0: none */
    bool known;     /* `map` is what stands there */
    pm_map map;
    bool recalled; /* what follows is what the record says of the map's root */
    bool has_val;
    size_t child;
    pm_val val;   /* a word, or where a string lies */
    uint64_t len; /* of that */
    pm_image_kind kind;
} pm__durable_head;

/* What commits leave to the next one; under `writing`. */
typedef struct pm__durable_desk {
    pm__list tail; /* the last bytes of the file, from `base` on: read here, not where they were just written */
    size_t base;
    pm__list frames, edges, bytes, path, run; /* empty */
} pm__durable_desk;

struct pm_store {
    pm_files files;
    pm_store_options options;
    uint64_t id[2];
    char *name;
    size_t name_size;
    pm__lock writing; /* the file's end, and who changes what is known of it; taken before the others */
    pm__lock syncing;
    pm__lock state; /* what follows, but for the heads; held for moments */
    void *file;
    uint64_t number; /* of it */
    pm__durable_block *block;
    uint64_t newest, sequence, end, synced, lost; /* places of records; 0: none. end: bytes */
    bool failed;
    pm__list heads; /* under `writing` */
    pm__durable_desk desk;
};

static pm_status pm__durable_fail(pm_error *error, pm_status s, uint64_t at, const char *msg) {
    return pm__stream_fail(error, s, at, s == PM_NOMEM ? "no memory" : msg);
}

/* Whether syncing has failed, and what is known to be on the disk: another thread may be syncing. */
static bool pm__durable_failed(pm_store *s, uint64_t *synced) {
    pm__lock_acquire(&s->state);
    bool failed = s->failed;
    *synced = s->synced;
    pm__lock_release(&s->state);
    return failed;
}

/* ---- the newest whole commit ------------------------------------------------------------------------------------- */

/* A window on the file, which goes down. */
typedef struct pm__durable_scan {
    const pm_files *files;
    void *file;
    const uint64_t *id;
    uint8_t *piece;      /* two pieces: for records, and for data to be checked */
    uint64_t from, upto; /* what the first one holds */
    uint64_t work;       /* bytes that may be looked at yet: a file that was made to cost more is refused */
} pm__durable_scan;

/* Brings the record at `place` in. */
static pm_status pm__durable_scan_at(pm__durable_scan *w, uint64_t place, const uint8_t **out) {
    if (place < w->from || place + PM__DURABLE_RECORD > w->upto) {
        uint64_t upto = place + PM__DURABLE_RECORD;
        w->from = upto > PM__DURABLE_PIECE ? upto - PM__DURABLE_PIECE : 0;
        w->upto = 0;
        pm_status s = pm__durable_read(w->files, w->file, w->from, w->piece, (size_t)(upto - w->from));
        if (s != PM_OK) return s;
        w->upto = upto;
    }
    *out = w->piece + (place - w->from);
    return PM_OK;
}

/* Checks what a commit appended. */
static pm_status pm__durable_scan_data(pm__durable_scan *w, const pm__durable_record *r, const uint8_t sum_is[16],
                                       bool *ok) {
    uint8_t *piece = w->piece + PM__DURABLE_PIECE;
    pm__sum sum = pm__durable_sum(w->id);
    if (r->place - r->begin > w->work) return PM_CORRUPT;
    w->work -= r->place - r->begin;
    for (uint64_t at = r->begin; at < r->place;) {
        size_t n = r->place - at < PM__DURABLE_PIECE ? (size_t)(r->place - at) : PM__DURABLE_PIECE;
        pm_status s = pm__durable_read(w->files, w->file, at, piece, n);
        if (s != PM_OK) return s;
        pm__durable_sum_in(&sum, piece, n);
        at += n;
    }
    *ok = pm__durable_sum_is(&sum, sum_is);
    return PM_OK;
}

/* Goes from a commit record back to one that was on the disk before it was written, or before `low`. One that
   compaction wrote was there itself before its file had the name. *bad: the place of the first that is not whole on
   this way; 0: all of them are. What depends on it is not whole either. */
static pm_status pm__durable_scan_chain(pm__durable_scan *w, const pm__durable_record *top, uint64_t low,
                                        uint64_t *bad) {
    pm__durable_record r = *top;
    const uint8_t *s;
    *bad = 0;
    if (top->synced == top->place) return PM_OK;
    for (;;) {
        uint8_t sum[16];
        bool whole = false;
        pm_status st = pm__durable_scan_at(w, r.place, &s);
        if (st != PM_OK) return st;
        memcpy(sum, s + PM__DURABLE_DATA_SUM, sizeof sum);
        st = pm__durable_scan_data(w, &r, sum, &whole);
        *bad = r.place;
        if (st != PM_OK || !whole) return st;
        *bad = 0;
        if (!r.before || r.before <= top->synced || r.before < low) return PM_OK;
        st = pm__durable_scan_at(w, r.before, &s);
        if (st != PM_OK) return st;
        *bad = r.before;
        if (!pm__durable_parse(s, r.before, w->id, &r)) return PM_OK;
    }
}

/* Looks from the end of the file for a commit record at or behind `low`. *found: there is one. */
static pm_status pm__durable_scan_down(pm__durable_scan *w, uint64_t size, uint64_t low, pm__durable_record *r,
                                       bool *found) {
    const uint8_t *s;
    uint64_t bad;
    *found = false;
    w->work = 8 * size;
    for (uint64_t at = size / 8 * 8; at >= low + PM__DURABLE_RECORD;) {
        uint64_t place = at - PM__DURABLE_RECORD;
        at -= 8;
        pm_status st = pm__durable_scan_at(w, place, &s);
        if (st != PM_OK) return st;
        if (*s != pm__durable_commit_magic[0] || !pm__durable_parse(s, place, w->id, r)) continue;
        st = pm__durable_scan_chain(w, r, low, &bad);
        if (st != PM_OK) return st;
        *found = !bad;
        if (*found) return PM_OK;
        at = bad + PM__DURABLE_RECORD - 8;
    }
    return PM_OK;
}

/* Finds the newest whole commit of a file, at or behind `low`; *size is the file's. */
static pm_status pm__durable_find(const pm_files *files, void *file, const uint64_t id[2], uint64_t low, uint64_t *size,
                                  pm__durable_record *r, bool *found) {
    pm__durable_scan w = {files, file, id, NULL, 0, 0, 0};
    *found = false;
    pm_status s = files->size(files->ctx, file, size);
    if (s != PM_OK || *size < low + PM__DURABLE_RECORD) return s;
    if (*size > PM__LEN_MAX) return PM_INVALID;
    w.piece = (uint8_t *)pm__mem_alloc_big(2 * PM__DURABLE_PIECE);
    if (!w.piece) return PM_NOMEM;
    s = pm__durable_scan_down(&w, *size, low, r, found);
    pm__mem_free_big(w.piece, 2 * PM__DURABLE_PIECE);
    return s;
}

/* ---- opening ----------------------------------------------------------------------------------------------------- */

static void pm__durable_header(const uint64_t id[2], uint8_t *s) {
    static const uint64_t none[2] = {0, 0};
    memset(s, 0, PM__DURABLE_HEADER);
    memcpy(s, pm__durable_magic, 8);
    s[8] = PM__DURABLE_VERSION;
    pm__store64le(s + PM__DURABLE_ID, id[0]);
    pm__store64le(s + PM__DURABLE_ID + 8, id[1]);
    pm__sum sum = pm__durable_sum(none);
    pm__durable_sum_in(&sum, s, PM__DURABLE_HEADER_SUM);
    pm__durable_sum_put(&sum, s + PM__DURABLE_HEADER_SUM);
}

/* Reads the header; *torn: it was never whole, and nothing follows. */
static pm_status pm__durable_look(const pm_files *files, void *file, uint64_t id[2], bool *torn, pm_error *error) {
    uint8_t s[PM__DURABLE_HEADER], want[PM__DURABLE_HEADER];
    uint64_t size = 0;
    pm_status st = files->size(files->ctx, file, &size);
    if (st != PM_OK) return pm__durable_fail(error, st, 0, "the file's size cannot be read");
    *torn = size <= PM__DURABLE_HEADER;
    if (size < PM__DURABLE_HEADER) return pm__durable_fail(error, PM_CORRUPT, size, "the store ends within its header");
    st = pm__durable_read(files, file, 0, s, sizeof s);
    if (st != PM_OK) return pm__durable_fail(error, st, 0, "the file cannot be read");
    if (memcmp(s, pm__durable_magic, 8) != 0) return pm__durable_fail(error, PM_CORRUPT, 0, "this is no store");
    if (pm__load32le(s + 8) != PM__DURABLE_VERSION)
        return pm__durable_fail(error, PM_INVALID, 8, "a store of another version");
    id[0] = pm__load64le(s + PM__DURABLE_ID), id[1] = pm__load64le(s + PM__DURABLE_ID + 8);
    pm__durable_header(id, want);
    if (memcmp(s, want, sizeof s) != 0) return pm__durable_fail(error, PM_CORRUPT, 8, "a damaged header");
    *torn = false;
    return PM_OK;
}

/* Makes a new store of an empty file, or of one whose header was never whole. */
static pm_status pm__durable_make(pm_store *s, pm_error *error) {
    static pm__a64 made;
    uint8_t head[PM__DURABLE_HEADER];
    s->id[0] = s->options.identity[0], s->id[1] = s->options.identity[1];
    if (!s->id[0] && !s->id[1]) {
        s->id[0] = (uint64_t)(uintptr_t)s * 0x9E3779B97F4A7C15u;
        s->id[1] = (uint64_t)(uintptr_t)head + pm__a64_fetch_add_relaxed(&made, 1);
        pm__disk_random(s->id);
    }
    pm__durable_header(s->id, head);
    pm_status st = s->files.write(s->files.ctx, s->file, 0, head, sizeof head);
    if (st == PM_OK) st = s->files.cut(s->files.ctx, s->file, sizeof head);
    if (st != PM_OK) return pm__durable_fail(error, st, 0, "the header cannot be written");
    st = s->files.sync(s->files.ctx, s->file);
    if (st == PM_OK) st = s->files.sync_name(s->files.ctx, s->name);
    return st == PM_OK || s->options.unsynced ? PM_OK : pm__durable_fail(error, st, 0, "the new file cannot be synced");
}

/* Opens the file that has the name now, and for writing takes it. */
static pm_status pm__durable_take(const pm_store *s, void **file, pm_error *error) {
    const bool write = !s->options.read_only;
    for (;;) {
        bool same = true;
        pm_status st = s->files.open(s->files.ctx, s->name, write, write && s->options.create, false, file);
        if (st != PM_OK) return pm__durable_fail(error, st, 0, "the file cannot be opened");
        if (!write) return PM_OK;
        st = s->files.lock(s->files.ctx, *file);
        if (st == PM_OK) st = s->files.named(s->files.ctx, *file, s->name, &same);
        if (st == PM_OK && same) return PM_OK;
        s->files.close(s->files.ctx, *file);
        if (st != PM_OK)
            return pm__durable_fail(error, st, 0, st == PM_BUSY ? "another process writes it" : "it cannot be locked");
    }
}

/* Takes over what a record says as the newest version; the block has it. */
static void pm__durable_publish(pm_store *s, const pm__durable_record *r) {
    s->newest = r->place;
    s->sequence = r->sequence;
    s->end = r->place + PM__DURABLE_RECORD;
}

/* Makes the block have `need` bytes. Under `writing`, or before there is anybody else. */
static pm_status pm__durable_reach(pm_store *s, void *file, uint64_t need) {
    pm__durable_block *b = NULL, *old = s->block;
    if (need > PM__LEN_MAX / 2) return PM_INVALID;
    if (old && old->len >= need) return pm__durable_fill(old, file, (size_t)need);
    pm_status st = pm__durable_block_new(&s->files, file, s->number, s->id, (size_t)need, &b);
    if (st != PM_OK) return st;
    pm__lock_acquire(&s->state);
    s->block = b;
    pm__lock_release(&s->state);
    pm__durable_block_drop(old);
    return PM_OK;
}

/* Reads the newest version's record, and brings its bytes in. */
static pm_status pm__durable_begin(pm_store *s, pm_error *error) {
    pm__durable_record r = {0};
    uint64_t size = 0;
    bool found = false;
    pm_status st = pm__durable_find(&s->files, s->file, s->id, PM__DURABLE_HEADER, &size, &r, &found);
    if (st != PM_OK) return pm__durable_fail(error, st, size, "the commits cannot be read");
    s->end = PM__DURABLE_HEADER;
    if (found) pm__durable_publish(s, &r), s->synced = r.synced;
    s->lost = size - s->end;
    st = pm__durable_reach(s, s->file, s->end);
    if (st != PM_OK) return pm__durable_fail(error, st, s->end, "the file cannot be mapped");
    if (s->options.read_only) return PM_OK;
    if (s->lost) st = s->files.cut(s->files.ctx, s->file, s->end);
    if (st != PM_OK) return pm__durable_fail(error, st, s->end, "what a crash left cannot be cut off");
    if (s->options.unsynced) return PM_OK;
    st = s->files.sync(s->files.ctx, s->file);
    if (st != PM_OK) return pm__durable_fail(error, st, s->end, "the file cannot be synced");
    s->synced = s->newest;
    return PM_OK;
}

static pm_status pm__durable_start(pm_store *s, pm_error *error) {
    bool torn = false;
    pm_error why = {PM_OK, 0, ""};
    pm_status st = pm__durable_take(s, &s->file, error);
    if (st != PM_OK) {
        s->file = NULL;
        return st;
    }
    s->number = pm__durable_number();
    st = pm__durable_look(&s->files, s->file, s->id, &torn, &why);
    if (st != PM_OK && torn && s->options.create && !s->options.read_only) st = pm__durable_make(s, error);
    else if (st != PM_OK) return pm__durable_fail(error, why.code, why.offset, why.msg);
    return st == PM_OK ? pm__durable_begin(s, error) : st;
}

PM_API pm_status pm_store_open(const char *name, const pm_store_options *options, pm_store **out, pm_error *error) {
    const pm_files *files = options && options->files ? options->files : pm_files_default();
    if (!name || !out) return PM_INVALID;
    if (!files) return pm__durable_fail(error, PM_IO, 0, "there are no files here");
    size_t size = strlen(name) + 1;
    pm_store *s = (pm_store *)pm__mem_alloc_big(sizeof *s);
    if (s) memset(s, 0, sizeof *s), s->name = (char *)pm__mem_alloc_big(size);
    if (!s || !s->name) {
        if (s) pm__mem_free_big(s, sizeof *s);
        return pm__durable_fail(error, PM_NOMEM, 0, "");
    }
    memcpy(s->name, name, size);
    s->name_size = size;
    s->files = *files;
    if (options) s->options = *options;
    s->heads = pm__list_of(sizeof(pm__durable_head));
    pm_status st = pm__durable_start(s, error);
    if (st != PM_OK) pm_store_close(s);
    else *out = s;
    return st;
}

static void pm__durable_forget(pm_store *s) {
    while (s->heads.used) {
        pm__durable_head *h = (pm__durable_head *)pm__list_pop(&s->heads);
        pm_drop(&h->map);
        pm__mem_free_big(h->name, h->name_size);
    }
    pm__list_free(&s->heads);
}

PM_API void pm_store_close(pm_store *s) {
    if (!s) return;
    pm__durable_forget(s);
    pm__list_free(&s->desk.tail);
    pm__list_free(&s->desk.frames);
    pm__list_free(&s->desk.edges);
    pm__list_free(&s->desk.bytes);
    pm__list_free(&s->desk.path);
    pm__list_free(&s->desk.run);
    pm__durable_block_drop(s->block);
    if (s->file) s->files.close(s->files.ctx, s->file);
    pm__mem_free_big(s->name, s->name_size);
    pm__mem_free_big(s, sizeof *s);
}

PM_API void pm_store_get_info(const pm_store *s, pm_store_info *out) {
    if (!s || !out) return;
    pm__lock *lock = (pm__lock *)(uintptr_t)&s->state;
    pm__lock_acquire(lock);
    out->identity[0] = s->id[0], out->identity[1] = s->id[1];
    out->sequence = s->sequence;
    out->size = s->end;
    out->synced = s->synced ? s->synced + PM__DURABLE_RECORD : PM__DURABLE_HEADER;
    out->lost = s->lost;
    out->failed = s->failed;
    pm__lock_release(lock);
}

/* ---- versions ---------------------------------------------------------------------------------------------------- */

/* Makes a version of the record at `place`, or PM_CORRUPT. The block stays the caller's. */
static pm_status pm__durable_version(pm__durable_block *b, uint64_t place, pm_commit *out) {
    pm__durable_record r;
    if (!pm__durable_parse(b->data + place, place, b->id, &r)) return PM_CORRUPT;
    memset(out, 0, sizeof *out);
    out->image.data = b->data;
    out->image.size = (size_t)place;
    out->image.maps = 1;
    out->image.start = PM__DURABLE_HEADER;
    out->image.list = (size_t)place + PM__DURABLE_MAP;
    out->image.kind = (pm_image_kind)r.kind;
    out->sequence = r.sequence;
    out->time = r.time;
    out->label[0] = r.label[0], out->label[1] = r.label[1];
    out->name.len = r.name_len;
    out->name.data = b->data + (place - pm__durable_name_room(r.name_len));
    out->size = place + PM__DURABLE_RECORD - r.begin;
    out->place = place;
    out->block = b;
    return PM_OK;
}

PM_API void pm_commit_drop(pm_commit *v) {
    if (!v) return;
    pm__durable_block_drop((pm__durable_block *)v->block);
    memset(v, 0, sizeof *v);
}

PM_API void pm_commit_share(const pm_commit *v, pm_commit *out) {
    if (!v || !out || v == out) return;
    *out = *v;
    if (v->block) (void)pm__durable_block_hold((pm__durable_block *)v->block);
}

/* Where the record before one stands, of its root or of any; 0: none. Its record is sound. */
static uint64_t pm__durable_step(const pm__durable_block *b, uint64_t place, bool same) {
    return pm__load64le(b->data + place + (same ? 32 : 24));
}

static pm_status pm__durable_back(const pm_commit *v, bool same, pm_commit *out) {
    pm_commit found;
    if (!v || !v->block || !out) return PM_INVALID;
    pm__durable_block *b = (pm__durable_block *)v->block;
    uint64_t place = pm__durable_step(b, v->place, same);
    if (!place) return PM_INVALID;
    pm_status s = place < v->place ? pm__durable_version(b, place, &found) : PM_CORRUPT;
    if (s != PM_OK) return s;
    (void)pm__durable_block_hold(b);
    if (out == v) pm_commit_drop(out);
    *out = found;
    return PM_OK;
}

PM_API pm_status pm_commit_before(const pm_commit *v, pm_commit *out) { return pm__durable_back(v, true, out); }
PM_API pm_status pm_commit_earlier(const pm_commit *v, pm_commit *out) { return pm__durable_back(v, false, out); }

PM_API pm_status pm_store_last(pm_store *s, pm_commit *out) {
    if (!s || !out) return PM_INVALID;
    pm__lock_acquire(&s->state);
    uint64_t place = s->newest;
    pm__durable_block *b = place ? pm__durable_block_hold(s->block) : NULL;
    pm__lock_release(&s->state);
    if (!b) return PM_INVALID;
    pm_status st = pm__durable_version(b, place, out);
    if (st != PM_OK) pm__durable_block_drop(b);
    return st;
}

/* Goes down from the newest version to one of a name, or, without one, of a sequence number. */
static pm_status pm__durable_seek(pm_store *s, const char *name, uint64_t sequence, pm_commit *out) {
    pm_commit v;
    size_t len = name ? strlen(name) : 0;
    pm_status st = pm_store_last(s, &v);
    while (st == PM_OK) {
        bool found = v.sequence == sequence;
        if (name) found = v.name.len == len && (!len || memcmp(v.name.data, name, len) == 0);
        if (found) {
            *out = v;
            return PM_OK;
        }
        st = !name && v.sequence < sequence ? PM_INVALID : pm_commit_earlier(&v, &v);
        if (st != PM_OK) pm_commit_drop(&v);
    }
    return st;
}

PM_API pm_status pm_store_newest(pm_store *s, const char *name, pm_commit *out) {
    return s && out ? pm__durable_seek(s, name ? name : "", 0, out) : PM_INVALID;
}

PM_API pm_status pm_store_at(pm_store *s, uint64_t sequence, pm_commit *out) {
    return s && out ? pm__durable_seek(s, NULL, sequence, out) : PM_INVALID;
}

/* ---- refreshing -------------------------------------------------------------------------------------------------- */

/* Opens the file that has taken the name. */
static pm_status pm__durable_reopen(pm_store *s, void **file) {
    uint64_t id[2];
    bool torn;
    pm_status st = s->files.open(s->files.ctx, s->name, false, false, false, file);
    if (st != PM_OK) return st;
    st = pm__durable_look(&s->files, *file, id, &torn, NULL);
    if (st == PM_OK && (id[0] != s->id[0] || id[1] != s->id[1])) st = PM_CORRUPT;
    if (st != PM_OK) s->files.close(s->files.ctx, *file);
    return st;
}

/* Looks for newer versions in a file that is known up to `low`, and takes it over. */
static pm_status pm__durable_advance(pm_store *s, void *file, uint64_t low, bool *changed) {
    pm__durable_record r;
    uint64_t size;
    bool found, other = file != s->file;
    pm_status st = pm__durable_find(&s->files, file, s->id, low, &size, &r, &found);
    if (st != PM_OK || (!found && !other)) return st;
    pm__durable_block *b = NULL;
    uint64_t need = found ? r.place + PM__DURABLE_RECORD : PM__DURABLE_HEADER;
    uint64_t number = other ? pm__durable_number() : s->number;
    if (other && need > PM__LEN_MAX / 2) st = PM_INVALID;
    else if (other) st = pm__durable_block_new(&s->files, file, number, s->id, (size_t)need, &b);
    else st = pm__durable_reach(s, file, need);
    if (st != PM_OK) return st;
    *changed = found && r.sequence != s->sequence;
    pm__lock_acquire(&s->state);
    void *old_file = s->file;
    pm__durable_block *old = s->block;
    if (other) s->file = file, s->number = number, s->block = b;
    if (found) pm__durable_publish(s, &r), s->synced = r.synced;
    pm__lock_release(&s->state);
    if (!other) return PM_OK;
    pm__durable_block_drop(old);
    s->files.close(s->files.ctx, old_file);
    return PM_OK;
}

PM_API pm_status pm_store_refresh(pm_store *s, bool *changed) {
    bool same = true, any = false;
    if (!s) return PM_INVALID;
    if (changed) *changed = false;
    if (!s->options.read_only) return PM_OK; /* nobody else commits */
    pm__lock_acquire(&s->writing);
    pm_status st = s->files.named(s->files.ctx, s->file, s->name, &same);
    void *file = s->file;
    if (st == PM_OK && !same) st = pm__durable_reopen(s, &file);
    if (st == PM_OK) {
        st = pm__durable_advance(s, file, same ? s->end : PM__DURABLE_HEADER, &any);
        if (st != PM_OK && !same) s->files.close(s->files.ctx, file);
    }
    pm__lock_release(&s->writing);
    if (st == PM_OK && changed) *changed = any;
    return st;
}
