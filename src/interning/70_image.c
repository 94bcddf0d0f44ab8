/* Files: slabs, index pages and bucket arrays as they lie in memory, behind a head that says how many there are.

     header     128 bytes, below
     slots      128 x {next serial, slabs, index pages, 0}            u64 each, as all that follows
     buckets    128 x {symbols, 0 or 1 + log2 of groups}
     slabs      each {first serial, bytes}, slot by slot
     pages      each {base place}, slot by slot; then zeros up to a multiple of 64
     arrays     of each bucket, 64 bytes a group
     pages      4,096 bytes each
     slabs      each padded with zeros to a multiple of 64
     trailer    64 bytes: checksum of everything from the arrays on, these eight bytes taken as zero; zeros

   No offset is stored: each follows from the counts before it, so there is none that can be wrong. Arrays, pages and
   slabs hold numbers and places, never addresses; mapping the file is all it takes to use them. Its numbers are
   little-endian: other machines read the file instead, and turn the numbers of arrays and pages (those of slabs are
   read byte by byte everywhere). */

#include "70_image.h"
#include "41_batch.c"

#define INTERN__IMAGE_VERSION 2u
#define INTERN__HEADER 128u
#define INTERN__SLOT_ENTRY 32u
#define INTERN__BUCKET_ENTRY 16u
#define INTERN__SLAB_ENTRY 16u
#define INTERN__PAGE_ENTRY 8u
#define INTERN__TABLES (INTERN__HEADER + INTERN_WRITERS * (INTERN__SLOT_ENTRY + INTERN__BUCKET_ENTRY))

/* Byte positions in the header. The magic has a byte that is no ASCII and a line end that text tools would change. */
#define INTERN__MAGIC "\x89INTRN\r\n"
enum {
    INTERN__AT_VERSION = 8,   /* u64 */
    INTERN__AT_LENGTH = 16,   /* u64: of the file */
    INTERN__AT_SYMBOLS = 24,  /* u64 */
    INTERN__AT_SEED = 32,     /* u64 */
    INTERN__AT_SLABS = 40,    /* u64: of all slots */
    INTERN__AT_PAGES = 48,    /* u64: of all slots */
    INTERN__AT_CHECKSUM = 120 /* u64: of the head, these eight bytes taken as zero */
};

/* Turns `n` bytes of numbers, each `width` bytes, from this machine's order to that of files, or back. */
static void intern__turn(uint8_t *p, size_t n, size_t width) {
    if (!INTERN__BIG_ENDIAN) return;
    for (const uint8_t *end = p + n; p != end; p += width)
        for (size_t i = 0; i < width / 2; i++) {
            uint8_t b = p[i];
            p[i] = p[width - 1 - i];
            p[width - 1 - i] = b;
        }
}

static void intern__turn_group(uint8_t *group) {
    intern__turn(group + offsetof(intern__group, prints), 2 * sizeof(uint64_t), sizeof(uint64_t));
    intern__turn(group + offsetof(intern__group, low), INTERN__GROUP * sizeof(uint32_t), sizeof(uint32_t));
    intern__turn(group + offsetof(intern__group, high), INTERN__GROUP * sizeof(uint16_t), sizeof(uint16_t));
}

INTERN__INLINE uint64_t intern__line_up(uint64_t n) { return (n + INTERN__LINE - 1) & ~(uint64_t)(INTERN__LINE - 1); }

/* A checksum over whole lines, in four lanes that do not wait for each other. */
typedef struct intern__sum {
    uint64_t lane[4], bytes;
} intern__sum;

static intern__sum intern__sum_start(void) {
    intern__sum s = {{INTERN__MIX1, INTERN__MIX2, INTERN__MIX3, ~INTERN__MIX1}, 0};
    return s;
}

static void intern__sum_add(intern__sum *s, const uint8_t *p, size_t len) {
    uint64_t a = s->lane[0], b = s->lane[1], c = s->lane[2], d = s->lane[3];
    for (const uint8_t *end = p + len; p != end; p += 32) {
        a = intern__mix(a ^ intern__load64(p), INTERN__MIX1);
        b = intern__mix(b ^ intern__load64(p + 8), INTERN__MIX2);
        c = intern__mix(c ^ intern__load64(p + 16), INTERN__MIX3);
        d = intern__mix(d ^ intern__load64(p + 24), ~INTERN__MIX2);
    }
    s->lane[0] = a, s->lane[1] = b, s->lane[2] = c, s->lane[3] = d;
    s->bytes += len;
}

static uint64_t intern__sum_end(const intern__sum *s) {
    uint64_t h = intern__mix(s->lane[0] ^ s->bytes, s->lane[1] ^ INTERN__MIX3);
    return intern__mix(h ^ s->lane[2], s->lane[3] ^ INTERN__MIX1);
}

/* Of a head in memory, whose own checksum counts as zero. */
static uint64_t intern__head_sum(const uint8_t *head, size_t len) {
    uint8_t first[INTERN__HEADER];
    intern__sum s = intern__sum_start();
    memcpy(first, head, sizeof first);
    memset(first + INTERN__AT_CHECKSUM, 0, 8);
    intern__sum_add(&s, first, sizeof first);
    intern__sum_add(&s, head + sizeof first, len - sizeof first);
    return intern__sum_end(&s);
}

/* Of the trailer likewise; what is behind its checksum is zero. */
static uint64_t intern__body_sum(intern__sum s, const uint8_t *behind) {
    uint8_t trailer[INTERN__LINE] = {0};
    if (behind) memcpy(trailer + 8, behind, sizeof trailer - 8);
    intern__sum_add(&s, trailer, sizeof trailer);
    return intern__sum_end(&s);
}

/* Saving */

/* Output: gathered into large pieces, summed as it goes out. */
#define INTERN__OUT_BUFFER ((size_t)1 << 16)

typedef struct intern__out {
    bool (*put)(void *ctx, const void *data, size_t len);
    void *ctx;
    uint8_t *buffer;
    size_t used;
    intern__sum sum;
    bool failed;
} intern__out;

static void intern__out_flush(intern__out *o) {
    if (o->failed || !o->used) return;
    intern__sum_add(&o->sum, o->buffer, o->used);
    o->failed = !o->put(o->ctx, o->buffer, o->used);
    o->used = 0;
}

static void intern__out_put(intern__out *o, const uint8_t *p, size_t len) {
    while (len && !o->failed) {
        size_t n = INTERN__OUT_BUFFER - o->used < len ? INTERN__OUT_BUFFER - o->used : len;
        memcpy(o->buffer + o->used, p, n);
        o->used += n;
        p += n;
        len -= n;
        if (o->used == INTERN__OUT_BUFFER) intern__out_flush(o);
    }
}

static void intern__out_zeros(intern__out *o, size_t n) {
    static const uint8_t zeros[INTERN__LINE];
    for (size_t m; n; n -= m) {
        m = n < sizeof zeros ? n : sizeof zeros;
        intern__out_put(o, zeros, m);
    }
}

/* What one slot had at the moment of saving: serials [first, next), in the leading slabs and pages. */
typedef struct intern__extent {
    uint64_t next, slabs, pages, last_place; /* last_place: of next - 1 */
} intern__extent;

typedef struct intern__saving {
    const intern_table *t;
    intern__moment moment;
    intern__extent extent[INTERN_WRITERS];
    uint64_t symbols, slabs, pages;
} intern__saving;

/* The end of the record of a serial, in bytes from the start of its slab. */
static uint64_t intern__record_end(const intern__writer *w, uint64_t serial) {
    uint64_t place = 0, first;
    size_t len;
    (void)intern__place_of(w, serial, &place);
    const uint8_t *record = intern__record_at(w, place, &first);
    (void)intern__record_bytes(record, &len);
    return (place & ((1u << INTERN__SLAB_BITS) - 1)) + intern__record_size(len);
}

static const intern__dir_entry *intern__slab_entry(const intern__writer *w, uint64_t n) {
    return &INTERN__LOAD(&w->slabs, INTERN__ACQUIRE)->entry[n];
}

/* Bytes in use of a slab: up to the record before the next slab's first, or before the moment. */
static uint64_t intern__slab_used(const intern__writer *w, const intern__extent *e, uint64_t n) {
    return intern__record_end(w, (n + 1 < e->slabs ? intern__slab_entry(w, n + 1)->base : e->next) - 1);
}

static void intern__save_survey(intern_table *t, intern__saving *s) {
    s->t = t;
    s->symbols = s->slabs = s->pages = 0;
    intern__table_moment(t, &s->moment);
    for (unsigned i = 0; i < INTERN_WRITERS; i++) {
        intern__extent *e = &s->extent[i];
        memset(e, 0, sizeof *e);
        e->next = s->moment.next[i];
        if (e->next == intern__first_serial(i)) continue;
        (void)intern__place_of(&t->writer[i], e->next - 1, &e->last_place);
        e->slabs = (e->last_place >> INTERN__SLAB_BITS) + 1;
        e->pages = ((e->next - 1) >> INTERN__PAGE_BITS) + 1;
        s->symbols += e->next - intern__first_serial(i);
        s->slabs += e->slabs;
        s->pages += e->pages;
    }
}

static size_t intern__head_size(uint64_t slabs, uint64_t pages) {
    return (size_t)intern__line_up(INTERN__TABLES + slabs * INTERN__SLAB_ENTRY + pages * INTERN__PAGE_ENTRY);
}

/* Fills the head but for header and checksum; returns the bytes of the body. */
static uint64_t intern__save_tables(const intern__saving *s, uint8_t *head) {
    uint8_t *slot = head + INTERN__HEADER, *bucket = slot + INTERN_WRITERS * INTERN__SLOT_ENTRY;
    uint8_t *slab = head + INTERN__TABLES, *page = slab + s->slabs * INTERN__SLAB_ENTRY;
    uint64_t body = s->pages * INTERN__PAGE_SIZE;
    for (unsigned i = 0; i < INTERN_WRITERS; i++) {
        const intern__writer *w = &s->t->writer[i];
        const intern__extent *e = &s->extent[i];
        uintptr_t array = s->moment.array[i];
        intern__store64(slot + i * INTERN__SLOT_ENTRY, e->next);
        intern__store64(slot + i * INTERN__SLOT_ENTRY + 8, e->slabs);
        intern__store64(slot + i * INTERN__SLOT_ENTRY + 16, e->pages);
        intern__store64(bucket + i * INTERN__BUCKET_ENTRY, s->moment.used[i]);
        intern__store64(bucket + i * INTERN__BUCKET_ENTRY + 8, array ? 1 + (array & 63) : 0);
        if (array) body += intern__array_groups(array) * INTERN__LINE;
        for (uint64_t n = 0; n < e->slabs; n++, slab += INTERN__SLAB_ENTRY) {
            uint64_t used = intern__slab_used(w, e, n);
            intern__store64(slab, intern__slab_entry(w, n)->base);
            intern__store64(slab + 8, used);
            body += intern__line_up(used);
        }
        for (uint64_t n = 0; n < e->pages; n++, page += INTERN__PAGE_ENTRY)
            intern__store64(page, INTERN__LOAD(&w->pages, INTERN__ACQUIRE)->entry[n].base);
    }
    return body;
}

static void intern__save_header(const intern__saving *s, uint8_t *head, size_t size, uint64_t body) {
    memcpy(head, INTERN__MAGIC, 8);
    intern__store64(head + INTERN__AT_VERSION, INTERN__IMAGE_VERSION);
    intern__store64(head + INTERN__AT_LENGTH, size + body + INTERN__LINE);
    intern__store64(head + INTERN__AT_SYMBOLS, s->symbols);
    intern__store64(head + INTERN__AT_SEED, s->t->seed);
    intern__store64(head + INTERN__AT_SLABS, s->slabs);
    intern__store64(head + INTERN__AT_PAGES, s->pages);
    intern__store64(head + INTERN__AT_CHECKSUM, intern__head_sum(head, size));
}

/* Entries issued after the moment are left out. They stand right of older ones in their group, and no older one was
   put behind them, so the array stays a valid one. */
static void intern__save_array(const intern__saving *s, intern__out *o, uintptr_t array) {
    for (uint64_t n = 0; array && n < intern__array_groups(array); n++) {
        const intern__group *from = intern__array_at(array) + n;
        intern__group g;
        memset(&g, 0, sizeof g);
        for (unsigned i = 0, used = intern__group_used(from); i < used; i++) {
            uint64_t where = intern__group_where(from, i);
            const intern__extent *e = &s->extent[where >> INTERN__PLACE_BITS];
            if (e->slabs && (where & INTERN__PLACE_MASK) <= e->last_place)
                intern__group_put(&g, i, intern__group_print(from, i), where);
        }
        intern__turn_group((uint8_t *)&g);
        intern__out_put(o, (const uint8_t *)&g, sizeof g);
    }
}

static void intern__save_pages(const intern__saving *s, intern__out *o, unsigned i) {
    const intern__extent *e = &s->extent[i];
    for (uint64_t serial = 0; serial < e->pages << INTERN__PAGE_BITS; serial++) {
        uint64_t base;
        uint8_t bytes[4] = {0};
        if (serial < e->next) {
            uint32_t v = INTERN__LOAD(intern__index_at(&s->t->writer[i], serial, &base), INTERN__RELAXED);
            for (unsigned b = 0; b < 4; b++) bytes[b] = (uint8_t)(v >> 8 * b);
        }
        intern__out_put(o, bytes, sizeof bytes);
    }
}

static void intern__save_slabs(const intern__saving *s, intern__out *o, unsigned i) {
    const intern__writer *w = &s->t->writer[i];
    for (uint64_t n = 0; n < s->extent[i].slabs; n++) {
        uint64_t used = intern__slab_used(w, &s->extent[i], n);
        const uint8_t *slab = INTERN__LOAD(&intern__slab_entry(w, n)->at, INTERN__ACQUIRE);
        intern__out_zeros(o, INTERN__SLAB_PAD);
        intern__out_put(o, slab + INTERN__SLAB_PAD, (size_t)used - INTERN__SLAB_PAD);
        intern__out_zeros(o, (size_t)(intern__line_up(used) - used));
    }
}

static intern_status intern__save_body(const intern__saving *s, intern__out *o) {
    uint8_t sum[8];
    for (unsigned i = 0; i < INTERN_WRITERS; i++) intern__save_array(s, o, s->moment.array[i]);
    for (unsigned i = 0; i < INTERN_WRITERS; i++) intern__save_pages(s, o, i);
    for (unsigned i = 0; i < INTERN_WRITERS; i++) intern__save_slabs(s, o, i);
    intern__out_flush(o);
    intern__store64(sum, intern__body_sum(o->sum, NULL));
    intern__out_put(o, sum, sizeof sum);
    intern__out_zeros(o, INTERN__LINE - sizeof sum);
    intern__out_flush(o);
    return o->failed ? INTERN_IO : INTERN_OK;
}

INTERN_API intern_status intern_save_to(intern_table *t, bool (*put)(void *ctx, const void *data, size_t len),
                                        void *ctx) {
    if (!t || !put) return INTERN_INVALID;
    intern__saving *s = (intern__saving *)INTERN_MALLOC(sizeof *s);
    if (!s) return INTERN_NOMEM;
    intern__save_survey(t, s);
    intern_status status = INTERN_NOMEM;
    size_t size = intern__head_size(s->slabs, s->pages);
    uint8_t *head = (uint8_t *)INTERN_MALLOC(size), *buffer = (uint8_t *)INTERN_MALLOC(INTERN__OUT_BUFFER);
    if (head && buffer) {
        intern__out o = {put, ctx, buffer, 0, intern__sum_start(), false};
        memset(head, 0, size);
        intern__save_header(s, head, size, intern__save_tables(s, head));
        status = put(ctx, head, size) ? intern__save_body(s, &o) : INTERN_IO;
    }
    if (head) INTERN_FREE(head, size);
    if (buffer) INTERN_FREE(buffer, INTERN__OUT_BUFFER);
    INTERN_FREE(s, sizeof *s);
    return status;
}

#if !INTERN_NO_FILES
static intern_status intern__save_fill(void *ctx, bool (*put)(void *, const void *, size_t), void *to) {
    return intern_save_to((intern_table *)ctx, put, to);
}

INTERN_API intern_status intern_save(intern_table *t, const char *path) {
    return t && path ? intern__file_replace(path, intern__save_fill, t) : INTERN_INVALID;
}
#endif

/* Loading: the file becomes the content of a new table; when all is well, the two tables change contents. */

typedef struct intern__loading {
    intern_table *t;
    const uint8_t *data;
    uint64_t len, symbols, slabs, pages, head, arrays;
    unsigned flags;
    intern_error error;
} intern__loading;

static bool intern__refuse(intern__loading *l, intern_status code, uint64_t offset, const char *msg) {
    l->error.code = code;
    l->error.offset = offset;
    l->error.msg = msg;
    return false;
}

static uint64_t intern__slot_field(const intern__loading *l, unsigned slot, unsigned field) {
    return intern__load64(l->data + INTERN__HEADER + slot * INTERN__SLOT_ENTRY + 8 * field);
}

static uint64_t intern__bucket_field(const intern__loading *l, unsigned bucket, unsigned field) {
    return intern__load64(l->data + INTERN__HEADER + INTERN_WRITERS * INTERN__SLOT_ENTRY +
                          bucket * INTERN__BUCKET_ENTRY + 8 * field);
}

static bool intern__load_header(intern__loading *l) {
    const uint8_t *p = l->data;
    if (l->len < 8 || memcmp(p, INTERN__MAGIC, 8) != 0)
        return intern__refuse(l, INTERN_CORRUPT, 0, "not a file of this library");
    if (l->len < INTERN__TABLES + INTERN__LINE)
        return intern__refuse(l, INTERN_CORRUPT, l->len, "file ends within its head");
    if (intern__load64(p + INTERN__AT_VERSION) != INTERN__IMAGE_VERSION)
        return intern__refuse(l, INTERN_CORRUPT, INTERN__AT_VERSION, "file of another version or byte order");
    if (intern__load64(p + INTERN__AT_LENGTH) != l->len)
        return intern__refuse(l, INTERN_CORRUPT, l->len, "file is not as long as it says");
    l->symbols = intern__load64(p + INTERN__AT_SYMBOLS);
    l->slabs = intern__load64(p + INTERN__AT_SLABS);
    l->pages = intern__load64(p + INTERN__AT_PAGES);
    if (l->slabs > l->len / INTERN__LINE || l->pages > l->len / INTERN__PAGE_SIZE)
        return intern__refuse(l, INTERN_CORRUPT, INTERN__AT_SLABS, "more slabs or pages than the file can hold");
    l->head = intern__head_size(l->slabs, l->pages);
    if (l->head > l->len - INTERN__LINE)
        return intern__refuse(l, INTERN_CORRUPT, INTERN__AT_SLABS, "file ends within its head");
    if (intern__head_sum(p, (size_t)l->head) != intern__load64(p + INTERN__AT_CHECKSUM))
        return intern__refuse(l, INTERN_CORRUPT, INTERN__AT_CHECKSUM, "checksum of the head does not fit");
    return true;
}

/* Adds up what the head announces; it must come to the length of the file, so nothing that follows can lie outside. */
static bool intern__load_extent(intern__loading *l) {
    uint64_t symbols = 0, slabs = 0, pages = 0, used = 0, at = l->head;
    for (unsigned i = 0; i < INTERN_WRITERS; i++) {
        uint64_t first = intern__first_serial(i), next = intern__slot_field(l, i, 0);
        uint64_t n = intern__slot_field(l, i, 1), m = intern__slot_field(l, i, 2);
        uint64_t in = intern__bucket_field(l, i, 0), log = intern__bucket_field(l, i, 1);
        uint64_t where = INTERN__HEADER + i * INTERN__SLOT_ENTRY;
        if (next < first || next > INTERN__SERIAL_MAX + 1 || n > next - first || n > l->slabs || (next > first && !n) ||
            m != (next > first ? ((next - 1) >> INTERN__PAGE_BITS) + 1 : 0))
            return intern__refuse(l, INTERN_CORRUPT, where, "counts of a slot do not fit together");
        if (log > INTERN__GROUPS_LOG_MAX || (log ? in > (UINT64_C(6) << (log - 1)) : in != 0))
            return intern__refuse(l, INTERN_CORRUPT, where, "counts of a bucket do not fit together");
        if (log) at += UINT64_C(64) << (log - 1);
        if (at > l->len) return intern__refuse(l, INTERN_CORRUPT, where, "bucket is larger than the file");
        symbols += next - first, slabs += n, pages += m, used += in;
    }
    if (symbols != l->symbols || used != symbols || slabs != l->slabs || pages != l->pages)
        return intern__refuse(l, INTERN_CORRUPT, INTERN__AT_SYMBOLS, "counts do not add up");
    l->arrays = at;
    at += pages * INTERN__PAGE_SIZE; /* no overflow: pages were compared with the length */
    for (uint64_t i = 0; i < slabs && at <= l->len; i++) {
        uint64_t bytes = intern__load64(l->data + INTERN__TABLES + i * INTERN__SLAB_ENTRY + 8);
        uint64_t where = INTERN__TABLES + i * INTERN__SLAB_ENTRY;
        if (bytes < INTERN__SLAB_PAD + 3 || bytes > l->len)
            return intern__refuse(l, INTERN_CORRUPT, where, "slab of impossible size");
        at += intern__line_up(bytes);
    }
    if (at != l->len - INTERN__LINE)
        return intern__refuse(l, INTERN_CORRUPT, INTERN__AT_LENGTH, "parts do not add up to the file");
    return true;
}

static bool intern__load_checksum(intern__loading *l) {
    intern__sum s = intern__sum_start();
    if (l->flags & INTERN_LOAD_UNCHECKED) return true;
    intern__sum_add(&s, l->data + l->head, (size_t)(l->len - INTERN__LINE - l->head));
    const uint8_t *trailer = l->data + l->len - INTERN__LINE;
    if (intern__body_sum(s, trailer + 8) == intern__load64(trailer)) return true;
    return intern__refuse(l, INTERN_CORRUPT, l->len - INTERN__LINE, "checksum of the body does not fit");
}

/* Arrays and pages become this machine's; the image is a copy where that changes anything. */
static void intern__load_turn(intern__loading *l) {
    uint8_t *at = l->t->image + l->head, *pages = l->t->image + l->arrays;
    if (!INTERN__BIG_ENDIAN) return;
    for (; at != pages; at += INTERN__LINE) intern__turn_group(at);
    intern__turn(pages, (size_t)(l->pages * INTERN__PAGE_SIZE), sizeof(uint32_t));
}

/* Points the slots' directories into the file. */
static bool intern__load_slots(intern__loading *l) {
    uint8_t *page = l->t->image + l->arrays, *slab = page + l->pages * INTERN__PAGE_SIZE;
    const uint8_t *slab_entry = l->data + INTERN__TABLES, *page_entry = slab_entry + l->slabs * INTERN__SLAB_ENTRY;
    for (unsigned i = 0; i < INTERN_WRITERS; i++) {
        intern__writer *w = &l->t->writer[i];
        uint64_t slabs = intern__slot_field(l, i, 1), pages = intern__slot_field(l, i, 2);
        atomic_store_explicit(&w->next, intern__slot_field(l, i, 0), INTERN__RELAXED);
        if (!slabs) continue;
        intern__dir *s = intern__dir_new((size_t)slabs + 8), *p = intern__dir_new((size_t)pages + 8);
        INTERN__STORE(&w->slabs, s, INTERN__RELAXED);
        INTERN__STORE(&w->pages, p, INTERN__RELAXED);
        if (!s || !p) return intern__refuse(l, INTERN_NOMEM, 0, "out of memory");
        for (; w->nslabs < slabs; w->nslabs++, slab_entry += INTERN__SLAB_ENTRY) {
            intern__dir_put(&w->slabs, w->nslabs, slab, intern__load64(slab_entry));
            slab += intern__line_up(intern__load64(slab_entry + 8));
        }
        for (; w->npages < pages; w->npages++, page_entry += INTERN__PAGE_ENTRY, page += INTERN__PAGE_SIZE)
            intern__dir_put(&w->pages, w->npages, page, intern__load64(page_entry));
    }
    return true;
}

static void intern__load_buckets(intern__loading *l) {
    uint8_t *at = l->t->image + l->head;
    for (unsigned i = 0; i < INTERN_WRITERS; i++) {
        uint64_t log = intern__bucket_field(l, i, 1);
        if (!log) continue;
        INTERN__STORE(&l->t->bucket[i].array, (uintptr_t)at | (uintptr_t)(log - 1), INTERN__RELAXED);
        l->t->bucket[i].used = intern__bucket_field(l, i, 0);
        at += UINT64_C(64) << (log - 1);
    }
}

/* For a table that keeps its own seed: fills fresh arrays. Keys are looked for first when some may be there twice. */
static bool intern__load_rebuild(intern__loading *l) {
    intern_table *t = l->t;
    for (intern_iter i = intern_iter_all(t); intern_iter_next(&i);) {
        intern__key k = intern__key_of(i.data, i.len, &t->secret);
        intern__bucket *b = &t->bucket[k.bucket];
        intern__spot spot;
        uint64_t place = 0;
        unsigned slot = intern__slot_of(i.symbol);
        if ((l->flags & INTERN_LOAD_VERIFY) && intern__bucket_find(t->writer, b, &k, &spot) != INTERN_NONE)
            return intern__refuse(l, INTERN_CORRUPT, 0, "two symbols of the same bytes");
        if (!intern__bucket_reserve(t->writer, &t->secret, b))
            return intern__refuse(l, INTERN_NOMEM, 0, "out of memory");
        uintptr_t array = INTERN__LOAD(&b->array, INTERN__RELAXED);
        (void)intern__place_of(&t->writer[slot], intern__serial_of(i.symbol), &place);
        intern__array_put(array, intern__home(array, k.hash), k.hash, intern__where_of(slot, place));
        b->used++;
    }
    return true;
}

/* Verifying: every record, index entry and bucket entry, so that no later call can be led astray by a file that
   somebody made to do so. Records first, as buckets are judged by them. */

/* Walks through one slab; *serial counts on. */
static bool intern__verify_slab(intern__loading *l, unsigned slot, uint64_t n, uint64_t used, uint64_t *serial) {
    const intern__writer *w = &l->t->writer[slot];
    const intern__dir_entry *entry = intern__slab_entry(w, n);
    const uint8_t *slab = INTERN__LOAD(&entry->at, INTERN__RELAXED);
    uint64_t where = (uint64_t)(slab - l->data), next = intern__writer_next(w), at = INTERN__SLAB_PAD, place;
    if (entry->base != *serial) return intern__refuse(l, INTERN_CORRUPT, where, "slab begins with another serial");
    for (; at < used; ++*serial) {
        const uint8_t *r = slab + at;
        uint64_t left = used - at, len = left > 2 ? r[2] : 0, prefix = len == INTERN__LONG ? 11 : 3;
        if (left < prefix || at >> INTERN__SLAB_BITS || *serial >= next)
            return intern__refuse(l, INTERN_CORRUPT, where + at, "impossible record");
        if (prefix == 11) len = intern__load64(r + 3);
        if (len > left - prefix || intern__record_size((size_t)len) != prefix + len)
            return intern__refuse(l, INTERN_CORRUPT, where + at, "record of impossible length");
        if (intern__record_delta(r) != *serial - entry->base)
            return intern__refuse(l, INTERN_CORRUPT, where + at, "record of another serial");
        if (!intern__place_of(w, *serial, &place) || place != (n << INTERN__SLAB_BITS | at))
            return intern__refuse(l, INTERN_CORRUPT, where + at, "index does not lead to the record");
        at += prefix + len;
    }
    return true;
}

static bool intern__verify_records(intern__loading *l) {
    const uint8_t *slab_entry = l->data + INTERN__TABLES;
    for (unsigned i = 0; i < INTERN_WRITERS; i++) {
        const intern__writer *w = &l->t->writer[i];
        uint64_t serial = intern__first_serial(i), next = intern__writer_next(w), place;
        for (uint64_t n = 0; n < w->nslabs; n++, slab_entry += INTERN__SLAB_ENTRY)
            if (!intern__verify_slab(l, i, n, intern__load64(slab_entry + 8), &serial)) return false;
        if (serial != next) return intern__refuse(l, INTERN_CORRUPT, 0, "symbols are missing");
        /* What is not issued must not be found: the slot will go on from here. */
        for (; serial < w->npages << INTERN__PAGE_BITS; serial++)
            if (intern__place_of(w, serial, &place)) return intern__refuse(l, INTERN_CORRUPT, 0, "index has too much");
        if (i == 0 && w->npages && intern__place_of(w, 0, &place))
            return intern__refuse(l, INTERN_CORRUPT, 0, "index has too much");
    }
    return true;
}

/* Whether an entry of a bucket leads to a record that belongs there. What stands at the place is taken for a record
   only to learn its serial; the index, verified before, then tells whether it is one. */
static bool intern__verify_entry(const intern__loading *l, unsigned bucket, uint64_t print, uint64_t where) {
    uint64_t place = where & INTERN__PLACE_MASK, n = place >> INTERN__SLAB_BITS, first, found;
    const intern__writer *w = &l->t->writer[where >> INTERN__PLACE_BITS]; /* whatever these 7 bits are */
    if (n >= w->nslabs) return false;
    const uint8_t *record = intern__record_at(w, place, &first);
    if ((uint64_t)(record - l->data) > l->len - INTERN__LINE) return false; /* the trailer can still be read from */
    uint64_t serial = first + intern__record_delta(record);
    if (!intern__place_of(w, serial, &found) || found != place) return false;
    size_t len;
    const void *bytes = intern__record_bytes(record, &len);
    intern__key k = intern__key_of(bytes, len, &l->t->secret);
    return k.bucket == bucket && intern__fingerprint(k.hash) == print;
}

static bool intern__verify_bucket(intern__loading *l, unsigned bucket) {
    const intern__bucket *b = &l->t->bucket[bucket];
    uintptr_t array = INTERN__LOAD(&b->array, INTERN__RELAXED);
    uint64_t used = 0;
    for (uint64_t n = 0; array && n < intern__array_groups(array); n++) {
        const intern__group *g = intern__array_at(array) + n;
        uint64_t where = (uint64_t)((uintptr_t)g - (uintptr_t)l->data);
        unsigned in = 0;
        for (; in < INTERN__GROUP && intern__group_print(g, in); in++)
            if (!intern__verify_entry(l, bucket, intern__group_print(g, in), intern__group_where(g, in)))
                return intern__refuse(l, INTERN_CORRUPT, where, "bucket leads to no such record");
        used += in;
        for (; in < INTERN__GROUP; in++)
            if (intern__group_print(g, in))
                return intern__refuse(l, INTERN_CORRUPT, where, "hole in a group of a bucket");
    }
    return used == b->used || intern__refuse(l, INTERN_CORRUPT, 0, "bucket does not hold what it says");
}

/* As many entries as symbols, and each symbol found under its bytes: so there is one entry for each, and no two symbols
   have the same bytes. */
static bool intern__verify_buckets(intern__loading *l) {
    for (unsigned i = 0; i < INTERN_WRITERS; i++)
        if (!intern__verify_bucket(l, i)) return false;
    for (intern_iter i = intern_iter_all(l->t); intern_iter_next(&i);)
        if (intern_get(l->t, i.data, i.len) != i.symbol)
            return intern__refuse(l, INTERN_CORRUPT, 0, "symbol is not found under its bytes");
    return true;
}

static bool intern__load_all(intern__loading *l) {
    bool verify = l->flags & INTERN_LOAD_VERIFY;
    if (!intern__load_header(l) || !intern__load_extent(l) || !intern__load_checksum(l)) return false;
    intern__load_turn(l);
    uint64_t seed = intern__load64(l->data + INTERN__AT_SEED);
    bool rebuild = l->t->seed_given && l->t->seed != seed;
    if (!rebuild) intern__table_seed(l->t, seed);
    if (!intern__load_slots(l) || (verify && !intern__verify_records(l))) return false;
    if (rebuild) return intern__load_rebuild(l);
    intern__load_buckets(l);
    return !verify || intern__verify_buckets(l);
}

static bool intern__table_idle(const intern_table *t) {
    for (unsigned i = 0; i < INTERN_WRITERS; i++)
        if (INTERN__LOAD(&t->holder[i], INTERN__ACQUIRE)) return false;
    return intern_count(t) == 0;
}

/* Two tables that nobody else uses change what they hold; locks, holders and owners stay. A fork by another thread
   comes before or after. */
static void intern__table_swap(intern_table *a, intern_table *b) {
    intern__lock_take(&a->pause);
    uint8_t *image = a->image;
    size_t len = a->image_len;
    bool mapped = a->image_mapped;
    a->image = b->image, a->image_len = b->image_len, a->image_mapped = b->image_mapped;
    b->image = image, b->image_len = len, b->image_mapped = mapped;
    intern__table_seed(a, b->seed); /* b has no use for one any more */
    for (unsigned i = 0; i < INTERN_WRITERS; i++) {
        unsigned char w[sizeof(intern__writer)];
        memcpy(w, &a->writer[i], sizeof w);
        memcpy((void *)&a->writer[i], &b->writer[i], sizeof w);
        memcpy((void *)&b->writer[i], w, sizeof w);
        uintptr_t array = INTERN__LOAD(&a->bucket[i].array, INTERN__RELAXED);
        uint64_t used = a->bucket[i].used;
        INTERN__STORE(&a->bucket[i].array, INTERN__LOAD(&b->bucket[i].array, INTERN__RELAXED), INTERN__RELAXED);
        INTERN__STORE(&b->bucket[i].array, array, INTERN__RELAXED);
        a->bucket[i].used = b->bucket[i].used;
        b->bucket[i].used = used;
    }
    intern__lock_give(&a->pause);
}

/* Takes over `image`, whatever comes of it. */
static intern_status intern__load_image(intern_table *t, uint8_t *image, size_t len, bool mapped, unsigned flags,
                                        intern_error *error) {
    intern__loading l;
    memset(&l, 0, sizeof l);
    intern_options options = {t->seed_given ? t->seed : 0, false};
    intern_status s = intern_table_new(&options, &l.t);
    if (s == INTERN_OK) {
        l.t->image = image, l.t->image_len = len, l.t->image_mapped = mapped;
        l.data = image;
        l.len = len;
        l.flags = flags;
        if (intern__load_all(&l)) intern__table_swap(t, l.t);
        else s = l.error.code;
        intern_table_free(l.t);
    } else {
        intern__image_free(image, len, mapped);
        (void)intern__refuse(&l, s, 0, "out of memory");
    }
    if (s != INTERN_OK && error) *error = l.error;
    return s;
}

static bool intern__load_possible(unsigned flags) {
    return flags <= (INTERN_LOAD_VERIFY | INTERN_LOAD_UNCHECKED | INTERN_LOAD_COPY);
}

static intern_status intern__load_fail(intern_error *error, intern_status s, const char *msg) {
    intern__loading l;
    (void)intern__refuse(&l, s, 0, msg);
    if (error) *error = l.error;
    return s;
}

INTERN_API intern_status intern_load_memory(intern_table *t, const void *data, size_t len, unsigned flags,
                                            intern_error *error) {
    if (!t || !intern__key_valid(data, len) || !intern__load_possible(flags))
        return intern__load_fail(error, INTERN_INVALID, "invalid argument");
    if (!intern__table_idle(t)) return intern__load_fail(error, INTERN_BUSY, "table in use or not empty");
    uint8_t *copy = (uint8_t *)intern__line_alloc(len);
    if (!copy) return intern__load_fail(error, INTERN_NOMEM, "out of memory");
    if (len) memcpy(copy, data, len);
    return intern__load_image(t, copy, len, false, flags, error);
}

#if !INTERN_NO_FILES
INTERN_API intern_status intern_load(intern_table *t, const char *path, unsigned flags, intern_error *error) {
    uint8_t *at = NULL;
    size_t len = 0;
    if (!t || !path || !intern__load_possible(flags))
        return intern__load_fail(error, INTERN_INVALID, "invalid argument");
    if (!intern__table_idle(t)) return intern__load_fail(error, INTERN_BUSY, "table in use or not empty");
    bool copy = INTERN__BIG_ENDIAN || (flags & (INTERN_LOAD_VERIFY | INTERN_LOAD_COPY)) != 0;
    bool mapped = false;
    intern_status s = intern__file_read(path, copy ? NULL : &mapped, &at, &len);
    if (s != INTERN_OK) return intern__load_fail(error, s, "cannot open, map or read the file");
    return intern__load_image(t, at, len, mapped, flags, error);
}
#endif
