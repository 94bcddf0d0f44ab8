/* Patches as streams: a header, the changes in key order, a checksum. Each key says how much of the key before it it
   keeps, and what follows then. The header says how many bytes there are in all, so the patch is gone over twice when
   it is written: once to count. */
#include "42_patch.c"
#include "70_stream.c"
#include "85_patch_stream.h"

/* Header: magic, version, kind of values (4), bytes in all (8), changes (8). */
enum {
    PM__PATCHIO_VERSION = 1,
    PM__PATCHIO_HEADER = 32,
    PM__PATCHIO_SUM = 16,
    PM__PATCHIO_PIECE = 1 << 12 /* of a string, whose memory grows as its bytes come */
};
enum { PM__PATCHIO_UNIT, PM__PATCHIO_WORDS, PM__PATCHIO_BYTES };
static const uint8_t pm__patchio_magic[8] = {'p', 'm', 'p', 'a', 't', 'c', 'h', 0x1a};

/* A change begins with a byte: the state of its key before, in bits 0 and 1, and after it, in bits 2 and 3. */
enum { PM__PATCHIO_NOTHING, PM__PATCHIO_VALUE, PM__PATCHIO_DANGLING };

/* A checksum that takes in bytes as they come, in words of 8. */
typedef struct pm__patchio_sum {
    uint64_t a, b, word;
    unsigned n;
} pm__patchio_sum;

static const pm__patchio_sum pm__patchio_sum_none = {0x243F6A8885A308D3u, 0x13198A2E03707344u, 0, 0};

static void pm__patchio_sum_word(pm__patchio_sum *s, uint64_t w) {
    s->a = (s->a ^ w) * 0x9FB21C651E98DF25u;
    s->a ^= s->a >> 29;
    s->b = (s->b + s->a) * 0xD6E8FEB86659FD93u;
    s->b ^= s->b >> 32;
}

static void pm__patchio_sum_bytes(pm__patchio_sum *s, const uint8_t *from, size_t n) {
    while (n--) {
        s->word |= (uint64_t)*from++ << (8 * s->n);
        if (++s->n < 8) continue;
        pm__patchio_sum_word(s, s->word);
        s->word = 0, s->n = 0;
    }
}

/* Ends the sum with what is left of a word, and the size of all. */
static void pm__patchio_sum_end(pm__patchio_sum *s, uint64_t size, uint8_t *to) {
    pm__patchio_sum_word(s, s->word);
    pm__patchio_sum_word(s, size);
    pm__store64le(to, s->a);
    pm__store64le(to + 8, s->b);
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

typedef struct pm__patchout {
    const pm_patch *p;
    const pm_patch_options *options;
    const char *why;
    unsigned kind;
    bool counts; /* the first time: nothing is written */
    uint64_t size;
    pm__patchio_sum sum;
    pm__stream_out out;
} pm__patchout;

static pm_status pm__patchout_put(pm__patchout *w, const void *from, size_t n) {
    w->size += n;
    if (w->counts || !n) return PM_OK;
    pm__patchio_sum_bytes(&w->sum, (const uint8_t *)from, n);
    w->why = "the write function failed";
    return pm__stream_put(&w->out, from, n);
}

static pm_status pm__patchout_number(pm__patchout *w, uint64_t v) {
    uint8_t s[10];
    size_t n = 0;
    for (; v >= 128; v >>= 7) s[n++] = (uint8_t)(v | 128);
    s[n++] = (uint8_t)v;
    return pm__patchout_put(w, s, n);
}

static pm_status pm__patchout_value(pm__patchout *w, const pm_opt *v) {
    const void *data = NULL;
    size_t len = 0;
    if (!v->some || w->kind == PM__PATCHIO_UNIT) return PM_OK;
    if (w->kind == PM__PATCHIO_WORDS) return pm__patchout_number(w, v->val);
    if (w->options && w->options->bytes) {
        w->why = "a value was refused";
        pm_status s = w->options->bytes(w->options->ctx, v->val, &data, &len);
        if (s == PM_OK && len && !data) s = PM_BADHOOK;
        if (s != PM_OK) return s;
    } else {
        data = pm_bytes_get(v->val, &len);
    }
    pm_status s = pm__patchout_number(w, len);
    return s == PM_OK ? pm__patchout_put(w, data, len) : s;
}

static unsigned pm__patchout_state(const pm_opt *v, bool dangles) {
    return v->some ? PM__PATCHIO_VALUE : dangles ? PM__PATCHIO_DANGLING : PM__PATCHIO_NOTHING;
}

static pm_status pm__patchout_change(pm__patchout *w, const pm_change *last, const pm_change *c) {
    unsigned states = pm__patchout_state(&c->before, c->dangled) | pm__patchout_state(&c->after, c->dangles) << 2;
    uint8_t head = (uint8_t)states;
    size_t kept = 0;
    while (kept < last->len && kept < c->len && last->key[kept] == c->key[kept]) kept++;
    pm_status s = pm__patchout_put(w, &head, 1);
    if (s == PM_OK) s = pm__patchout_number(w, kept);
    if (s == PM_OK) s = pm__patchout_number(w, c->len - kept);
    if (s == PM_OK) s = pm__patchout_put(w, c->key + kept, c->len - kept);
    if (s == PM_OK) s = pm__patchout_value(w, &c->before);
    return s == PM_OK ? pm__patchout_value(w, &c->after) : s;
}

/* Goes over all changes. */
static pm_status pm__patchout_all(pm__patchout *w, uint64_t size) {
    uint8_t head[PM__PATCHIO_HEADER];
    memset(head, 0, sizeof head);
    memcpy(head, pm__patchio_magic, sizeof pm__patchio_magic);
    head[8] = PM__PATCHIO_VERSION;
    head[12] = (uint8_t)w->kind;
    pm__store64le(head + 16, size);
    pm__store64le(head + 24, w->p->count);
    w->size = 0;
    pm_status s = pm__patchout_put(w, head, sizeof head);
    pm_change last, c;
    memset(&last, 0, sizeof last);
    for (size_t i = 0; s == PM_OK && pm_patch_at(w->p, i, &c); i++, last = c) s = pm__patchout_change(w, &last, &c);
    return s;
}

static pm_status pm__patchout_run(pm__patchout *w) {
    uint8_t sum[PM__PATCHIO_SUM];
    w->counts = true;
    pm_status s = pm__patchout_all(w, 0);
    if (s != PM_OK) return s;
    uint64_t size = w->size + PM__PATCHIO_SUM;
    w->counts = false;
    s = pm__patchout_all(w, size);
    if (s != PM_OK) return s;
    w->why = "a value has other bytes the second time";
    if (w->size + PM__PATCHIO_SUM != size) return PM_BADHOOK;
    pm__patchio_sum_end(&w->sum, size, sum);
    w->why = "the write function failed";
    s = pm__stream_put(&w->out, sum, sizeof sum);
    return s == PM_OK ? pm__stream_flush(&w->out) : s;
}

PM_API pm_status pm_patch_write(const pm_patch *p, pm_write_fn write, void *ctx, const pm_patch_options *options,
                                pm_error *error) {
    if (!p || !write) return PM_INVALID;
    const pm_ops *ops = pm__ops_of(p->ops);
    pm__patchout *w = (pm__patchout *)pm__mem_alloc_big(sizeof *w);
    if (!w) return pm__stream_fail(error, PM_NOMEM, 0, "no memory");
    w->p = p;
    w->options = options;
    w->why = "";
    w->kind = PM__PATCHIO_WORDS;
    if (ops == pm_ops_bytes() || (options && options->bytes)) w->kind = PM__PATCHIO_BYTES;
    if (pm__ops_is_unit(ops)) w->kind = PM__PATCHIO_UNIT;
    w->sum = pm__patchio_sum_none;
    pm__stream_begin(&w->out, write, ctx);
    pm_status s = pm__patchout_run(w);
    if (s != PM_OK) (void)pm__stream_fail(error, s, w->size, w->why);
    pm__mem_free_big(w, sizeof *w);
    return s;
}

PM_API pm_status pm_patch_write_file(const pm_patch *p, const char *name, const pm_patch_options *options,
                                     pm_error *error) {
    pm__file f;
    if (!p || !name) return PM_INVALID;
    pm_status s = pm__file_create(name, &f);
    if (s != PM_OK) return pm__stream_fail(error, s, 0, "the file cannot be written");
    s = pm_patch_write(p, pm__file_write, &f, options, error);
    bool written = s == PM_OK;
    s = pm__file_commit(&f, name, s);
    if (written && s != PM_OK) return pm__stream_fail(error, s, 0, "the file could not be completed");
    return s;
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

typedef struct pm__patchin {
    pm_read_fn read;
    void *ctx;
    const pm_patch_options *options;
    pm_error *error;
    pm__patch made;
    pm__list key, text; /* the last key; the bytes of a value */
    unsigned kind;
    uint64_t at, fetched, size; /* bytes used, read, and there in all */
    size_t next, end;           /* of these, in the buffer and not yet used */
    pm__patchio_sum sum;
    uint8_t buffer[PM__STREAM_BUFFER];
} pm__patchin;

static pm_status pm__patchin_bad(const pm__patchin *r, const char *msg) {
    return pm__stream_fail(r->error, PM_CORRUPT, r->at, msg);
}

/* Fills the buffer, which is empty, but with nothing from behind the end. */
static pm_status pm__patchin_fill(pm__patchin *r) {
    uint64_t left = r->size - r->fetched;
    size_t want = left < sizeof r->buffer ? (size_t)left : sizeof r->buffer, got = 0;
    if (!want) return pm__patchin_bad(r, "it does not end where it says");
    pm_status s = r->read(r->ctx, r->buffer, want, &got);
    if (s != PM_OK) return pm__stream_fail(r->error, s, r->at, "the read function failed");
    if (got > want) return pm__stream_fail(r->error, PM_BADHOOK, r->at, "the read function told of too many bytes");
    if (!got) return pm__patchin_bad(r, "the patch ends early");
    r->next = 0;
    r->end = got;
    r->fetched += got;
    return PM_OK;
}

static pm_status pm__patchin_take(pm__patchin *r, void *to, size_t n) {
    for (uint8_t *p = (uint8_t *)to; n;) {
        pm_status s = r->next == r->end ? pm__patchin_fill(r) : PM_OK;
        if (s != PM_OK) return s;
        size_t here = r->end - r->next, part = here < n ? here : n;
        memcpy(p, r->buffer + r->next, part);
        pm__patchio_sum_bytes(&r->sum, p, part);
        r->next += part;
        r->at += part;
        p += part;
        n -= part;
    }
    return PM_OK;
}

static pm_status pm__patchin_number(pm__patchin *r, uint64_t *out) {
    uint64_t v = 0;
    uint8_t b = 128;
    for (unsigned shift = 0; b & 128; shift += 7) {
        pm_status s = pm__patchin_take(r, &b, 1);
        if (s != PM_OK) return s;
        if ((shift == 63 && b > 1) || (shift && !b)) return pm__patchin_bad(r, "a number that is no number");
        v |= (uint64_t)(b & 127) << shift;
    }
    *out = v;
    return PM_OK;
}

static pm_status pm__patchin_nomem(const pm__patchin *r) {
    return pm__stream_fail(r->error, PM_NOMEM, r->at, "no memory");
}

/* Whether the patch may take so many bytes more. */
static pm_status pm__patchin_room(const pm__patchin *r, uint64_t n) {
    uint64_t used = (uint64_t)r->made.changes.used * sizeof(pm__patched) + r->made.keys.used;
    uint64_t most = r->options && r->options->most ? r->options->most : UINT64_MAX;
    if (used <= most && n <= most - used) return n > PM__LEN_MAX ? pm__patchin_nomem(r) : PM_OK;
    return pm__stream_fail(r->error, PM_NOMEM, r->at, "the patch takes more memory than it may");
}

/* Appends n bytes to a list, whose memory grows as they come. */
static pm_status pm__patchin_bytes(pm__patchin *r, pm__list *to, uint64_t n) {
    if (n > r->size - r->at) return pm__patchin_bad(r, "a length that leads beyond the end");
    pm_status s = pm__patchin_room(r, n);
    while (s == PM_OK && n) {
        size_t part = n < PM__PATCHIO_PIECE ? (size_t)n : PM__PATCHIO_PIECE;
        if (!pm__list_room(to, part)) return pm__patchin_nomem(r);
        s = pm__patchin_take(r, to->data + to->used, part);
        to->used += part;
        n -= part;
    }
    return s;
}

/* Reads a value, a reference to which is the caller's. */
static pm_status pm__patchin_value(pm__patchin *r, unsigned state, pm_opt *out) {
    uint64_t n;
    pm_val v = 0;
    if (state != PM__PATCHIO_VALUE) return PM_OK;
    pm_status s = PM_OK;
    if (r->kind == PM__PATCHIO_WORDS) s = pm__patchin_number(r, &v);
    if (r->kind == PM__PATCHIO_BYTES) {
        r->text.used = 0;
        s = pm__patchin_number(r, &n);
        if (s == PM_OK) s = pm__patchin_bytes(r, &r->text, n);
        if (s != PM_OK) return s;
        const void *text = r->text.used ? (const void *)r->text.data : "";
        if (r->options && r->options->make) s = r->options->make(r->options->ctx, text, r->text.used, &v);
        else s = pm_bytes_new(text, r->text.used, &v);
        if (s != PM_OK) return pm__stream_fail(r->error, s, r->at, "a value could not be made");
    }
    if (s == PM_OK) out->val = v, out->some = true;
    return s;
}

/* Reads a key, which must come behind the last one. */
static pm_status pm__patchin_key(pm__patchin *r, bool first) {
    uint64_t kept, more;
    uint8_t parts = 0;
    pm_status s = pm__patchin_number(r, &kept);
    if (s == PM_OK) s = pm__patchin_number(r, &more);
    if (s != PM_OK) return s;
    if (kept > r->key.used) return pm__patchin_bad(r, "a key keeps more than there is");
    if (!more && !first) return pm__patchin_bad(r, "keys out of order");
    bool middle = kept < r->key.used;
    if (middle) parts = r->key.data[kept];
    r->key.used = (size_t)kept;
    s = pm__patchin_bytes(r, &r->key, more);
    if (s == PM_OK && middle && r->key.data[kept] <= parts) return pm__patchin_bad(r, "keys out of order");
    return s;
}

/* Adds what was read; the patch takes the references. */
static pm_status pm__patchin_add(pm__patchin *r, const pm_change *c) {
    pm_status s = pm__patchin_room(r, sizeof(pm__patched) + (uint64_t)c->len);
    if (s == PM_OK && !pm__list_put(&r->made.keys, c->key, c->len)) s = pm__patchin_nomem(r);
    pm__patched i = {r->made.keys.used, c->len,        c->before.val, c->after.val,
                     c->before.some,    c->after.some, c->dangled,    c->dangles};
    i.at -= s == PM_OK ? c->len : 0;
    if (s == PM_OK && !pm__list_put(&r->made.changes, &i, 1)) s = pm__patchin_nomem(r);
    return s;
}

static pm_status pm__patchin_change(pm__patchin *r, bool first) {
    uint8_t head;
    pm_status s = pm__patchin_take(r, &head, 1);
    if (s != PM_OK) return s;
    unsigned before = head & 3, after = head >> 2;
    bool same = before == after && (before != PM__PATCHIO_VALUE || r->kind == PM__PATCHIO_UNIT);
    if (before > PM__PATCHIO_DANGLING || after > PM__PATCHIO_DANGLING || same)
        return pm__patchin_bad(r, "a change that is none");
    if ((s = pm__patchin_key(r, first)) != PM_OK) return s;
    pm_change c;
    memset(&c, 0, sizeof c);
    c.key = r->key.data, c.len = r->key.used;
    c.dangled = before == PM__PATCHIO_DANGLING, c.dangles = after == PM__PATCHIO_DANGLING;
    if (!c.len && (c.dangled || c.dangles)) return pm__patchin_bad(r, "the empty path dangles");
    s = pm__patchin_value(r, before, &c.before);
    if (s == PM_OK) s = pm__patchin_value(r, after, &c.after);
    if (s == PM_OK) s = pm__patchin_add(r, &c);
    if (s != PM_OK && c.before.some) pm__val_release(r->made.ops, c.before.val);
    if (s != PM_OK && c.after.some) pm__val_release(r->made.ops, c.after.val);
    return s;
}

static pm_status pm__patchin_head(pm__patchin *r, uint64_t *count) {
    uint8_t head[PM__PATCHIO_HEADER];
    const pm_ops *ops = r->made.ops;
    r->size = sizeof head;
    pm_status s = pm__patchin_take(r, head, sizeof head);
    if (s != PM_OK) return s;
    if (memcmp(head, pm__patchio_magic, sizeof pm__patchio_magic) != 0)
        return pm__stream_fail(r->error, PM_CORRUPT, 0, "this is no patch");
    if (pm__load32le(head + 8) != PM__PATCHIO_VERSION)
        return pm__stream_fail(r->error, PM_INVALID, 8, "a patch of another version");
    r->kind = pm__load32le(head + 12);
    if (r->kind > PM__PATCHIO_BYTES) return pm__stream_fail(r->error, PM_CORRUPT, 12, "values of an unknown kind");
    r->size = pm__load64le(head + 16);
    *count = pm__load64le(head + 24);
    if (r->size < PM__PATCHIO_HEADER + PM__PATCHIO_SUM) {
        r->size = PM__PATCHIO_HEADER;
        return pm__stream_fail(r->error, PM_CORRUPT, 16, "a size of less than nothing");
    }
    bool strings = ops == pm_ops_bytes() || (r->options && r->options->make);
    unsigned kind = pm__ops_is_unit(ops) ? PM__PATCHIO_UNIT : strings ? PM__PATCHIO_BYTES : PM__PATCHIO_WORDS;
    if (r->kind != kind && *count) return pm__stream_fail(r->error, PM_MISMATCH, 12, "values of another kind");
    return PM_OK;
}

static pm_status pm__patchin_run(pm__patchin *r) {
    uint64_t count = 0;
    uint8_t sum[PM__PATCHIO_SUM], said[PM__PATCHIO_SUM];
    pm_status s = pm__patchin_head(r, &count);
    uint64_t whole = r->size;
    if (s == PM_OK) r->size -= PM__PATCHIO_SUM;
    for (uint64_t i = 0; s == PM_OK && i < count; i++) s = pm__patchin_change(r, i == 0);
    if (s == PM_OK && r->at != r->size) s = pm__patchin_bad(r, "there is more than the changes");
    if (s != PM_OK) return s;
    r->size = whole;
    pm__patchio_sum_end(&r->sum, whole, sum);
    s = pm__patchin_take(r, said, sizeof said);
    if (s == PM_OK && memcmp(sum, said, sizeof sum) != 0) s = pm__patchin_bad(r, "the checksum does not agree");
    return s;
}

PM_API pm_status pm_patch_read(const pm_ops *ops, pm_read_fn read, void *ctx, const pm_patch_options *options,
                               pm_patch *out, pm_error *error) {
    if (!read || !out) return PM_INVALID;
    ops = pm__ops_taken(ops);
    if (pm__ops_is_refused(ops)) return pm__stream_fail(error, PM_BADHOOK, 0, "the table is refused");
    pm__patchin *r = (pm__patchin *)pm__mem_alloc_big(sizeof *r);
    if (!r) return pm__stream_fail(error, PM_NOMEM, 0, "no memory");
    memset(r, 0, offsetof(pm__patchin, buffer));
    r->read = read;
    r->ctx = ctx;
    r->options = options;
    r->error = error;
    r->made = pm__patch_open(ops);
    r->key = r->text = pm__list_of(1);
    r->sum = pm__patchio_sum_none;
    pm_status s = pm__patchin_run(r);
    pm_patch made = pm__patch_close(&r->made);
    if (s == PM_OK) *out = made;
    else pm_patch_drop(&made);
    pm__list_free(&r->key);
    pm__list_free(&r->text);
    pm__mem_free_big(r, sizeof *r);
    return s;
}

PM_API pm_status pm_patch_read_file(const pm_ops *ops, const char *name, const pm_patch_options *options, pm_patch *out,
                                    pm_error *error) {
    pm__file f;
    pm_patch made;
    uint8_t more;
    size_t got = 0;
    if (!name || !out) return PM_INVALID;
    pm_status s = pm__file_open(name, &f);
    if (s != PM_OK) return pm__stream_fail(error, s, 0, "the file cannot be opened");
    s = pm_patch_read(ops, pm__file_read, &f, options, &made, error);
    if (s == PM_OK) {
        s = pm__file_read(&f, &more, 1, &got);
        if (s == PM_OK && got) s = PM_CORRUPT;
        if (s == PM_OK) *out = made;
        else {
            (void)pm__stream_fail(error, s, 0, got ? "more follows than the patch has" : "the file cannot be read");
            pm_patch_drop(&made);
        }
    }
    pm__file_close(&f);
    return s;
}
