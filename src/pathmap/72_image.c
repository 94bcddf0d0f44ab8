/* Trie images: what stands where, the checks on the way, and the check of all.

   Behind the header and the list of maps lie records and strings. A record is what lies below a location, as nodes are:
   its entries are the bytes that lead on, each with a run of further bytes and, at the end of that, a value, a record
   below, both, or neither (a dangling location). All that a record refers to lies before it: so there are no circles,
   and whoever goes through a block from its end meets each record after all that refer to it. */
#include "13_values.c"
#include "17_list.c"
#include "70_stream.c"
#include "72_image.h"

/* The header: magic, version, kind, size, number of maps, checksum. Then for each map: record, value, what there is. */
enum {
    PM__IMAGE_VERSION = 1,
    PM__IMAGE_SUM = 48, /* where the checksum stands, 16 bytes */
    PM__IMAGE_HEADER = 64,
    PM__IMAGE_MAP = 32,
    PM__IMAGE_RUN = 64,  /* bytes of run behind an entry's first byte, at most */
    PM__IMAGE_GROUP = 8, /* entries, of which the first one's place is told */
    PM__IMAGE_VARINT = 10
};
static const uint8_t pm__image_magic[8] = {'p', 'm', 'i', 'm', 'a', 'g', 'e', 0x1a};

/* An entry's first byte: a length of run, 15 for "15 and what the next byte says", and these. */
enum { PM__IMAGE_LONG = 15, PM__IMAGE_HAS_VAL = 16, PM__IMAGE_HAS_CHILD = 32 };

typedef struct pm__image_record {
    size_t at, index, first; /* of the record, of the places of its groups, of its first entry */
    const uint8_t *bytes;
    unsigned n;
} pm__image_record;

typedef struct pm__image_entry {
    const uint8_t *run;
    pm_val val;   /* a word; of a string its place, see pm__image_string */
    size_t child; /* the record below; 0: none */
    size_t end;   /* where the next entry begins */
    uint8_t run_len;
    bool has_val;
} pm__image_entry;

/* An image may be a version in a store, whose map is told elsewhere than in a header. It may also be a window that a
   writer looks through, where places count from its first byte: what lies before it is at places "below 0", and so is
   `start`. Distances come out right in any case; places are compared as distances from `start`. */
static PM__INLINE bool pm__image_has(const pm_image *m, size_t at) { return at - m->start < m->size - m->start; }
static PM__INLINE bool pm__image_is_version(const pm_image *m) { return m->list != PM__IMAGE_HEADER; }

/* Reads a number from *at on. False: it does not end within the block, or 64 bits do not hold it. */
static PM__INLINE bool pm__image_number(const pm_image *m, size_t *at, uint64_t *out) {
    uint64_t v = 0;
    size_t i = *at;
    for (unsigned shift = 0; i < m->size && shift < 64; shift += 7) {
        uint8_t b = m->data[i++];
        if (shift == 63 && b > 1) return false;
        v |= (uint64_t)(b & 127) << shift;
        if (b < 128) {
            *at = i;
            *out = v;
            return true;
        }
    }
    return false;
}

/* Reads how far back something lies from `from`. */
static PM__INLINE bool pm__image_back(const pm_image *m, size_t *at, size_t from, size_t *out) {
    uint64_t d;
    if (!pm__image_number(m, at, &d) || d == 0 || d > from - m->start) return false;
    *out = from - (size_t)d;
    return true;
}

/* Looks at the record at `at`. False: this is none. */
static bool pm__image_record_at(const pm_image *m, size_t at, pm__image_record *r) {
    if (!pm__image_has(m, at)) return false;
    size_t n = (size_t)m->data[at] + 1, groups = (n - 1) / PM__IMAGE_GROUP;
    if (m->size - at <= 1 + n + 2 * groups) return false;
    r->at = at;
    r->n = (unsigned)n;
    r->bytes = m->data + at + 1;
    r->index = at + 1 + n;
    r->first = r->index + 2 * groups;
    return true;
}

/* Finds the first entry whose byte is b or greater; its number may be r->n. False: the bytes are out of order there.
   What is found is where it is said to be even if they are out of order elsewhere, so that going on always ends. */
static PM__INLINE bool pm__image_find(const pm__image_record *r, uint8_t b, unsigned *i) {
    unsigned lo = 0, n = r->n;
    while (n) {
        unsigned half = n / 2;
        bool right = r->bytes[lo + half] < b;
        lo = right ? lo + half + 1 : lo;
        n = right ? n - half - 1 : half;
    }
    *i = lo;
    return (lo == r->n || r->bytes[lo] >= b) && (lo == 0 || r->bytes[lo - 1] < b);
}

/* A string as a value is the place where its length stands, and behind that, if it is not empty, how far before this
   place its bytes lie. So the place alone will do to find them. */
static bool pm__image_string(const pm_image *m, size_t at, size_t *where, size_t *len, size_t *end) {
    size_t from = at;
    uint64_t n;
    if (!pm__image_number(m, &at, &n)) return false;
    *where = from;
    if (n && (!pm__image_back(m, &at, from, where) || n > from - *where)) return false;
    *len = (size_t)n;
    *end = at;
    return true;
}

/* Looks at the entry of a record that begins at `at`. False: this is none. */
static bool pm__image_entry_at(const pm_image *m, const pm__image_record *r, size_t at, pm__image_entry *e) {
    if (at >= m->size) return false;
    uint8_t head = m->data[at++];
    size_t run = head & PM__IMAGE_LONG, where, len;
    if (head & ~(PM__IMAGE_LONG | PM__IMAGE_HAS_VAL | PM__IMAGE_HAS_CHILD)) return false;
    if (run == PM__IMAGE_LONG) {
        if (at >= m->size) return false;
        run += m->data[at++];
        if (run > PM__IMAGE_RUN) return false;
    }
    if (m->size - at < run) return false;
    e->run = m->data + at;
    e->run_len = (uint8_t)run;
    at += run;
    e->val = 0;
    e->child = 0;
    e->has_val = (head & PM__IMAGE_HAS_VAL) != 0;
    if (e->has_val && m->kind == PM_IMAGE_WORDS && !pm__image_number(m, &at, &e->val)) return false;
    if (e->has_val && m->kind == PM_IMAGE_BYTES) {
        e->val = at;
        if (!pm__image_string(m, at, &where, &len, &at)) return false;
    }
    if (head & PM__IMAGE_HAS_CHILD && !pm__image_back(m, &at, r->at, &e->child)) return false;
    e->end = at;
    return true;
}

/* Where the group of entry i begins, as the record says. */
static PM__INLINE size_t pm__image_group(const pm_image *m, const pm__image_record *r, unsigned i) {
    unsigned group = i / PM__IMAGE_GROUP;
    if (!group) return r->first;
    const uint8_t *s = m->data + r->index + 2 * (group - 1);
    return r->first + s[0] + ((size_t)s[1] << 8);
}

/* Looks at entry i. */
static bool pm__image_entry_nth(const pm_image *m, const pm__image_record *r, unsigned i, pm__image_entry *e) {
    size_t at = pm__image_group(m, r, i);
    for (unsigned k = i % PM__IMAGE_GROUP;; k--, at = e->end) {
        if (!pm__image_entry_at(m, r, at, e)) return false;
        if (!k) return true;
    }
}

/* A map's root: what is below (0: nothing), and the value there. False: it is not as it should be. */
static bool pm__image_root(const pm_image *m, size_t i, pm__image_entry *e) {
    const uint8_t *s = m->data + m->list + i * PM__IMAGE_MAP;
    uint64_t root = pm__load64le(s), has = pm__load64le(s + 16);
    size_t where, len;
    e->run = s;
    e->run_len = 0;
    e->end = 0;
    e->val = pm__load64le(s + 8);
    e->child = (size_t)root;
    e->has_val = has == 1;
    if (has > 1 || (root && (root > m->size || !pm__image_has(m, (size_t)root))) || pm__load64le(s + 24)) return false;
    if (!has || m->kind == PM_IMAGE_UNIT) return e->val == 0;
    if (m->kind == PM_IMAGE_WORDS) return true;
    return e->val < m->size && pm__image_has(m, (size_t)e->val) &&
           pm__image_string(m, (size_t)e->val, &where, &len, &e->end);
}

/* ---- opening --------------------------------------------------------------------------------------------------- */

static pm_status pm__image_bad(pm_error *error, uint64_t at, const char *msg) {
    return pm__stream_fail(error, PM_CORRUPT, at, msg);
}

PM_API pm_status pm_image_open(const void *block, size_t size, pm_image *out, pm_error *error) {
    const uint8_t *s = (const uint8_t *)block;
    if (!block || !out || size > PM__LEN_MAX) return PM_INVALID;
    if (size < PM__IMAGE_HEADER) return pm__image_bad(error, size, "the image ends within its header");
    if (memcmp(s, pm__image_magic, sizeof pm__image_magic) != 0) return pm__image_bad(error, 0, "this is no image");
    if (pm__load32le(s + 8) != PM__IMAGE_VERSION)
        return pm__stream_fail(error, PM_INVALID, 8, "an image of another version");
    uint64_t kind = pm__load32le(s + 12), whole = pm__load64le(s + 16), maps = pm__load64le(s + 24);
    if (kind > PM_IMAGE_BYTES) return pm__image_bad(error, 12, "values of an unknown kind");
    if (whole < size) return pm__image_bad(error, whole, "more follows than the image has");
    if (whole > size) return pm__image_bad(error, size, "the image ends early");
    if (pm__load64le(s + 32) || pm__load64le(s + 40)) return pm__image_bad(error, 32, "a damaged header");
    if (maps > (size - PM__IMAGE_HEADER) / PM__IMAGE_MAP) return pm__image_bad(error, 24, "more maps than have room");
    out->data = s;
    out->size = size;
    out->maps = (size_t)maps;
    out->start = PM__IMAGE_HEADER + out->maps * PM__IMAGE_MAP;
    out->list = PM__IMAGE_HEADER;
    out->kind = (pm_image_kind)kind;
    return PM_OK;
}

PM_API size_t pm_image_count(const pm_image *image) { return image ? image->maps : 0; }
PM_API pm_image_kind pm_image_values(const pm_image *image) { return image ? image->kind : PM_IMAGE_UNIT; }

PM_API const void *pm_image_bytes(const pm_image *image, pm_val val, size_t *len) {
    size_t where, n, end;
    if (!image || !len || image->kind != PM_IMAGE_BYTES) return NULL;
    if (val >= image->size || !pm__image_has(image, (size_t)val)) return NULL;
    if (!pm__image_string(image, (size_t)val, &where, &n, &end)) return NULL;
    *len = n;
    return image->data + where;
}

/* ---- checksum -------------------------------------------------------------------------------------------------- */

typedef struct pm__sum {
    uint64_t a, b;
} pm__sum;

/* Takes in a word; each step can be undone, so a change of one word is never lost. */
static PM__INLINE void pm__sum_word(pm__sum *s, uint64_t w) {
    s->a = (s->a ^ w) * 0x9FB21C651E98DF25u;
    s->a ^= s->a >> 29;
    s->b = (s->b + s->a) * 0xD6E8FEB86659FD93u;
    s->b ^= s->b >> 32;
}

/* Of all of a block but the place of the sum itself: words in turn, the last one filled up with zeros, the size. */
static pm__sum pm__sum_of(const uint8_t *data, size_t size) {
    pm__sum s = {0x243F6A8885A308D3u, 0x13198A2E03707344u};
    for (size_t i = 0; i < PM__IMAGE_SUM; i += 8) pm__sum_word(&s, pm__load64le(data + i));
    size_t i = PM__IMAGE_HEADER;
    for (; size - i >= 8; i += 8) pm__sum_word(&s, pm__load64le(data + i));
    uint64_t last = 0;
    for (size_t k = 0; i + k < size; k++) last |= (uint64_t)data[i + k] << (8 * k);
    pm__sum_word(&s, last);
    pm__sum_word(&s, size);
    return s;
}

/* ---- verifying ------------------------------------------------------------------------------------------------- */

/* A bit for each byte of a block. */
typedef struct pm__marks {
    uint64_t *bits;
    size_t words;
} pm__marks;

static bool pm__marks_new(const pm_image *m, pm__marks *out) {
    out->words = m->size / 64 + 1;
    out->bits = (uint64_t *)pm__mem_alloc_big(out->words * sizeof *out->bits);
    if (out->bits) memset(out->bits, 0, out->words * sizeof *out->bits);
    return out->bits != NULL;
}
static void pm__marks_free(pm__marks *k) {
    if (k->bits) pm__mem_free_big(k->bits, k->words * sizeof *k->bits);
}
static PM__INLINE void pm__marks_set(pm__marks *k, size_t at) { k->bits[at / 64] |= (uint64_t)1 << (at % 64); }

PM__UNUSED static PM__INLINE void pm__marks_clear(pm__marks *k, size_t at) {
    k->bits[at / 64] &= ~((uint64_t)1 << (at % 64));
}
PM__UNUSED static PM__INLINE bool pm__marks_has(const pm__marks *k, size_t at) {
    return k->bits[at / 64] >> (at % 64) & 1;
}

/* The last marked place before `at`; false: there is none. */
static bool pm__marks_prev(const pm__marks *k, size_t at, size_t *out) {
    size_t w = at / 64;
    uint64_t bits = at % 64 ? k->bits[w] & (((uint64_t)1 << (at % 64)) - 1) : 0;
    while (!bits) {
        if (!w) return false;
        bits = k->bits[--w];
    }
    unsigned top = 63;
    while (!(bits >> top)) top--;
    *out = w * 64 + top;
    return true;
}

/* The first one at or after `at`. */
PM__UNUSED static bool pm__marks_next(const pm__marks *k, size_t at, size_t *out) {
    size_t w = at / 64;
    if (w >= k->words) return false;
    uint64_t bits = k->bits[w] & ~(((uint64_t)1 << (at % 64)) - 1);
    while (!bits) {
        if (++w == k->words) return false;
        bits = k->bits[w];
    }
    *out = w * 64 + pm__ctz64(bits);
    return true;
}

/* Checks a record, and marks those below it. */
static bool pm__image_check_record(const pm_image *m, size_t at, pm__marks *marks) {
    pm__image_record r;
    pm__image_entry e;
    if (!pm__image_record_at(m, at, &r)) return false;
    size_t next = r.first;
    for (unsigned i = 0; i < r.n; i++, next = e.end) {
        if (i && r.bytes[i - 1] >= r.bytes[i]) return false;
        if (i % PM__IMAGE_GROUP == 0 && pm__image_group(m, &r, i) != next) return false;
        if (!pm__image_entry_at(m, &r, next, &e)) return false;
        if (e.child) pm__marks_set(marks, e.child);
    }
    return true;
}

static pm_status pm__image_check_all(const pm_image *m, pm__marks *marks, pm_error *error) {
    pm__image_entry e;
    size_t at = m->size;
    for (size_t i = 0; i < m->maps; i++) {
        if (!pm__image_root(m, i, &e))
            return pm__image_bad(error, m->list + i * PM__IMAGE_MAP, "a map's root is damaged");
        if (e.child) pm__marks_set(marks, e.child);
    }
    while (pm__marks_prev(marks, at, &at))
        if (!pm__image_check_record(m, at, marks)) return pm__image_bad(error, at, "a record is damaged");
    return PM_OK;
}

/* Looks at the checksum, which a version has not: its store has those. */
static pm_status pm__image_check_sum(const pm_image *image, pm_error *error) {
    pm_image again;
    if (pm__image_is_version(image)) return PM_OK;
    pm_status s = pm_image_open(image->data, image->size, &again, error);
    if (s != PM_OK) return s;
    pm__sum sum = pm__sum_of(image->data, image->size);
    const uint8_t *at = image->data + PM__IMAGE_SUM;
    if (pm__load64le(at) == sum.a && pm__load64le(at + 8) == sum.b) return PM_OK;
    return pm__image_bad(error, PM__IMAGE_SUM, "the checksum does not agree");
}

PM_API pm_status pm_image_verify(const pm_image *image, pm_error *error) {
    pm__marks marks;
    if (!image || !image->data) return PM_INVALID;
    pm_status s = pm__image_check_sum(image, error);
    if (s != PM_OK) return s;
    if (!pm__marks_new(image, &marks)) return pm__stream_fail(error, PM_NOMEM, 0, "no memory");
    s = pm__image_check_all(image, &marks, error);
    pm__marks_free(&marks);
    return s;
}
