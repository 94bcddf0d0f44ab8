/* Where symbols' bytes are: records in append-only slabs, and the index from serial to record.

   Each of the 128 writer slots has its own slabs and its own index, which only the thread that holds the slot's permit
   writes to. A record never moves and never changes once its symbol is known to anybody.

     slab     8 bytes: its capacity | record | record | ... | room
     record   2 bytes: serial minus the slab's first serial
              1 byte:  length, or 255 and then 8 bytes of length
              the key's bytes
     place    slab number << 18 | offset of the record: 41 bits, grows with the serial
     index    pages of 1,024 32-bit entries: place minus the page's base plus one, 0 while the serial is not issued

   Numbers are little-endian, so that all of this can be saved and mapped as it is.

   Invariants (checked by intern_load with INTERN_LOAD_VERIFY): serials of a slot have no gaps; every slab but the last
   holds a record, so there are no more slabs than symbols and the entries of one page fit 32 bits; the eight bytes
   before any key's end lie in its slab and are published no later than the key. */

#include "12_process.c"
#include "15_hash.c"

#define INTERN__SLAB_BITS 18
#define INTERN__SLAB_PAD 8u /* the capacity; also lets eight bytes be read that end with the first record */
#define INTERN__SLAB_SMALLEST 4096u
#define INTERN__SLABS_MAX (UINT64_C(1) << 23)
#define INTERN__PLACE_BITS 41
#define INTERN__PAGE_BITS 10
#define INTERN__PAGE_SIZE ((size_t)4 << INTERN__PAGE_BITS)
#define INTERN__SERIAL_MAX ((UINT64_C(1) << INTERN_SERIAL_BITS) - 1)
#define INTERN__LONG 255u

/* A growing array of slabs or pages. Readers use whichever array they find; outgrown ones wait in `older`. */
typedef struct intern__dir_entry {
    _Atomic(uint8_t *) at;
    uint64_t base; /* first serial of a slab; base place of a page; set before `at` */
} intern__dir_entry;

typedef struct intern__dir {
    struct intern__dir *older;
    size_t cap;
    intern__dir_entry entry[];
} intern__dir;

/* One writer slot. The first line is for readers, the second for the owner. */
typedef struct intern__writer {
    _Alignas(64) _Atomic(intern__dir *) slabs;
    _Atomic(intern__dir *) pages;
    _Alignas(64) _Atomic uint64_t next; /* serials below it are issued */
    uint8_t *slab;                      /* the slab that is being filled, NULL: none yet */
    size_t pos, cap;
    uint64_t first;        /* serial at which it was opened */
    uint64_t nslabs;       /* slabs in the directory */
    uint64_t npages;       /* likewise */
    _Atomic uint64_t slab_bytes, page_bytes; /* allocated, for statistics */
    uint64_t nested;         /* how often the owner holds its permit */
    _Atomic uint32_t thread; /* see intern__thread_got */
} intern__writer;

static size_t intern__dir_size(size_t cap) { return sizeof(intern__dir) + cap * sizeof(intern__dir_entry); }

static intern__dir *intern__dir_new(size_t cap) {
    intern__dir *d = (intern__dir *)INTERN_MALLOC(intern__dir_size(cap));
    if (!d) return NULL;
    d->older = NULL;
    d->cap = cap;
    for (size_t i = 0; i < cap; i++) {
        atomic_init(&d->entry[i].at, NULL);
        d->entry[i].base = 0;
    }
    return d;
}

/* Makes room for entry n of a directory that only the caller writes to. */
static bool intern__dir_reserve(_Atomic(intern__dir *) *where, uint64_t n) {
    intern__dir *old = INTERN__LOAD(where, INTERN__RELAXED);
    if (old && n < old->cap) return true;
    intern__dir *d = intern__dir_new(old ? 2 * old->cap : 8);
    if (!d) return false;
    for (size_t i = 0; old && i < old->cap; i++) {
        d->entry[i].base = old->entry[i].base;
        atomic_init(&d->entry[i].at, INTERN__LOAD(&old->entry[i].at, INTERN__RELAXED));
    }
    d->older = old;
    INTERN__STORE(where, d, INTERN__RELEASE); /* pairs with intern__dir_at */
    return true;
}

static void intern__dir_put(_Atomic(intern__dir *) *where, uint64_t n, uint8_t *at, uint64_t base) {
    intern__dir *d = INTERN__LOAD(where, INTERN__RELAXED);
    d->entry[n].base = base;
    INTERN__STORE(&d->entry[n].at, at, INTERN__RELEASE); /* pairs with intern__dir_at */
}

/* Finds entry n, NULL if there is none (yet). Serves bogus numbers too. */
INTERN__INLINE const intern__dir_entry *intern__dir_at(const _Atomic(intern__dir *) *where, uint64_t n, uint8_t **at) {
    const intern__dir *d = INTERN__LOAD(where, INTERN__ACQUIRE);
    if (INTERN__UNLIKELY(!d || n >= d->cap)) return NULL;
    *at = INTERN__LOAD(&d->entry[n].at, INTERN__ACQUIRE);
    return INTERN__LIKELY(*at != NULL) ? &d->entry[n] : NULL;
}

static void intern__dir_free_older(intern__dir *d) {
    for (intern__dir *o = d ? d->older : NULL, *older; o; o = older) {
        older = o->older;
        INTERN_FREE(o, intern__dir_size(o->cap));
    }
    if (d) d->older = NULL;
}

/* Records */

INTERN__INLINE const uint8_t *intern__record_bytes(const uint8_t *record, size_t *len) {
    if (INTERN__LIKELY(record[2] != INTERN__LONG)) {
        *len = record[2];
        return record + 3;
    }
    *len = (size_t)intern__load64(record + 3);
    return record + 11;
}

INTERN__INLINE unsigned intern__record_delta(const uint8_t *record) { return record[0] | (unsigned)record[1] << 8; }

/* The first and last eight bytes of a stored key, as intern__key_of finds them. A key of less than eight bytes is read
   as the end of the eight bytes before its end: what comes first there is older, never changes, and is shifted out. */
INTERN__INLINE void intern__stored_ends(const uint8_t *bytes, size_t len, uint64_t *head, uint64_t *tail) {
    uint64_t last = intern__load64(bytes + len - 8);
    if (len >= 8) {
        *tail = last;
        *head = intern__load64(bytes);
    } else {
        *head = *tail = len ? last >> (64 - 8 * len) : 0;
    }
}

/* Whether a record holds the key. After the lengths were found equal, the key's is used, hidden from the compiler,
   which might take the record's for it: that one comes late from memory, and a branch on it that is predicted wrongly
   would throw away the look-ups that the processor has begun behind this one. */
INTERN__INLINE bool intern__record_is(const uint8_t *record, const intern__key *k) {
    size_t stored, len = k->len;
    const uint8_t *bytes = intern__record_bytes(record, &stored);
    if (stored != len) return false;
    INTERN__HIDE(len);
    uint64_t head, tail;
    intern__stored_ends(bytes, len, &head, &tail);
    if (((head ^ k->head) | (tail ^ k->tail)) != 0) return false;
    const uint8_t *data = k->data;
    INTERN__HIDE(data); /* of a short literal the compiler would warn, not knowing its length any more */
    return len <= 16 || memcmp(bytes + 8, data + 8, len - 16) == 0;
}

/* The record at a place that is known to be one. */
INTERN__INLINE const uint8_t *intern__record_at(const intern__writer *w, uint64_t place, uint64_t *first) {
    const intern__dir *d = INTERN__LOAD(&w->slabs, INTERN__ACQUIRE);
    const intern__dir_entry *e = &d->entry[place >> INTERN__SLAB_BITS];
    *first = e->base;
    return INTERN__LOAD(&e->at, INTERN__ACQUIRE) + (place & ((1u << INTERN__SLAB_BITS) - 1));
}

/* The index entry of a serial, NULL if there is no page for it. */
INTERN__INLINE const _Atomic uint32_t *intern__index_at(const intern__writer *w, uint64_t serial, uint64_t *base) {
    uint8_t *page;
    const intern__dir_entry *e = intern__dir_at(&w->pages, serial >> INTERN__PAGE_BITS, &page);
    if (INTERN__UNLIKELY(!e)) return NULL;
    *base = e->base;
    return (const _Atomic uint32_t *)(const void *)page + (serial & ((1u << INTERN__PAGE_BITS) - 1));
}

/* The place of a serial; false if it is not issued. Acquires what the owner wrote before issuing it. */
INTERN__INLINE bool intern__place_of(const intern__writer *w, uint64_t serial, uint64_t *place) {
    uint64_t base;
    const _Atomic uint32_t *entry = intern__index_at(w, serial, &base);
    if (INTERN__UNLIKELY(!entry)) return false;
    uint32_t delta = INTERN__LOAD(entry, INTERN__ACQUIRE); /* pairs with intern__writer_commit */
    *place = base + delta - 1;
    return INTERN__LIKELY(delta != 0);
}

/* The bytes of a serial; false if it is not issued. Records of a slab follow each other, so the entry of the next
   serial, which mostly lies in the same line of memory, tells a short key's length: the record itself is not touched,
   and whoever goes on to another symbol does not wait for it. */
INTERN__INLINE bool intern__bytes_of(const intern__writer *w, uint64_t serial, const uint8_t **bytes, size_t *len) {
    uint64_t base, first;
    const _Atomic uint32_t *entry = intern__index_at(w, serial, &base);
    if (INTERN__UNLIKELY(!entry)) return false;
    uint32_t delta = INTERN__LOAD(entry, INTERN__ACQUIRE); /* pairs with intern__writer_commit */
    if (INTERN__UNLIKELY(delta == 0)) return false;
    bool last = (serial + 1) % ((uint64_t)1 << INTERN__PAGE_BITS) == 0;
    uint32_t size = (last ? 0 : INTERN__LOAD(entry + 1, INTERN__RELAXED)) - delta;
    uint64_t place = base + delta - 1;
    const uint8_t *record = intern__record_at(w, place, &first);
    bool same_slab = (place + size) >> INTERN__SLAB_BITS == place >> INTERN__SLAB_BITS;
    if (INTERN__LIKELY(same_slab && size - 3 < INTERN__LONG)) {
        *bytes = record + 3;
        *len = size - 3;
    } else {
        *bytes = intern__record_bytes(record, len);
    }
    return true;
}

/* Adding */

/* Only the owner counts, so a load and a store do. */
static void intern__tally(_Atomic uint64_t *n, uint64_t more) {
    INTERN__STORE(n, INTERN__LOAD(n, INTERN__RELAXED) + more, INTERN__RELAXED);
}

/* Opens a slab that has room for `need` bytes. A slab without any record is replaced, not left behind. */
static intern_status intern__slab_open(intern__writer *w, size_t need) {
    uint64_t next = INTERN__LOAD(&w->next, INTERN__RELAXED);
    bool replace = w->slab && w->pos == INTERN__SLAB_PAD;
    uint64_t number = w->nslabs - replace;
    size_t cap = (size_t)INTERN__SLAB_SMALLEST << (number < 6 ? number : 6);
    if (number >= INTERN__SLABS_MAX) return INTERN_FULL;
    if (cap - INTERN__SLAB_PAD < need) cap = need + INTERN__SLAB_PAD;
    if (!intern__dir_reserve(&w->slabs, number)) return INTERN_NOMEM;
    uint8_t *slab = (uint8_t *)INTERN_MALLOC(cap);
    if (!slab) return INTERN_NOMEM;
    intern__store64(slab, cap);
    if (replace) {
        intern__tally(&w->slab_bytes, 0 - (uint64_t)w->cap);
        INTERN_FREE(w->slab, w->cap); /* no reader was ever sent there */
    }
    intern__dir_put(&w->slabs, number, slab, next);
    w->slab = slab;
    w->pos = INTERN__SLAB_PAD;
    w->cap = cap;
    w->first = next;
    w->nslabs = number + 1;
    intern__tally(&w->slab_bytes, cap);
    return INTERN_OK;
}

INTERN__INLINE uint64_t intern__writer_place(const intern__writer *w) {
    return (w->nslabs - 1) << INTERN__SLAB_BITS | w->pos;
}

static intern_status intern__page_open(intern__writer *w, uint64_t number) {
    if (!intern__dir_reserve(&w->pages, number)) return INTERN_NOMEM;
    uint8_t *page = (uint8_t *)INTERN_MALLOC(INTERN__PAGE_SIZE);
    if (!page) return INTERN_NOMEM;
    memset(page, 0, INTERN__PAGE_SIZE);
    intern__dir_put(&w->pages, number, page, intern__writer_place(w));
    w->npages = number + 1;
    intern__tally(&w->page_bytes, INTERN__PAGE_SIZE);
    return INTERN_OK;
}

INTERN__INLINE size_t intern__record_size(size_t len) { return len + (len < INTERN__LONG ? 3 : 11); }

/* The 16 bits that a record has for its serial always do: the keys of a table are distinct, so a slab of 2^18 bytes has
   room for 52,478 records, of 3 bytes, 256 times 4, and 5 each; and a larger slab is made for one record. */
INTERN__INLINE bool intern__slab_fits(const intern__writer *w, size_t need) {
    return w->slab && w->cap - w->pos >= need && !(w->pos >> INTERN__SLAB_BITS);
}

/* Whether a key of `len` bytes can be added without allocating: a serial, a slab with room, and a page. */
INTERN__INLINE bool intern__writer_ready(const intern__writer *w, size_t len) {
    uint64_t next = INTERN__LOAD(&w->next, INTERN__RELAXED);
    return next <= INTERN__SERIAL_MAX && intern__slab_fits(w, intern__record_size(len)) &&
           next >> INTERN__PAGE_BITS < w->npages;
}

/* Makes it so. The lock of the bucket that has the slot's number is held, so that no fork sees half of it. */
static intern_status intern__writer_grow(intern__writer *w, size_t len) {
    uint64_t next = INTERN__LOAD(&w->next, INTERN__RELAXED), page = next >> INTERN__PAGE_BITS;
    size_t need = intern__record_size(len);
    if (next > INTERN__SERIAL_MAX) return INTERN_FULL;
    if (!intern__slab_fits(w, need)) {
        intern_status s = intern__slab_open(w, need);
        if (s != INTERN_OK) return s;
    }
    return page < w->npages ? INTERN_OK : intern__page_open(w, page);
}

/* Writes the next record, for nobody to see yet. Not committing it takes it back. */
INTERN__INLINE void intern__writer_stage(intern__writer *w, const intern__key *k) {
    uint64_t delta = INTERN__LOAD(&w->next, INTERN__RELAXED) - w->first;
    uint8_t *r = w->slab + w->pos;
    r[0] = (uint8_t)delta;
    r[1] = (uint8_t)(delta >> 8);
    if (INTERN__LIKELY(k->len < INTERN__LONG)) {
        r[2] = (uint8_t)k->len;
        r += 3;
    } else {
        r[2] = INTERN__LONG;
        intern__store64(r + 3, k->len);
        r += 11;
    }
    if (k->len) memcpy(r, k->data, k->len);
}

/* Issues the next serial for the record that was staged. From here on intern_bytes finds it.
   Returns its place. */
INTERN__INLINE uint64_t intern__writer_commit(intern__writer *w, size_t len, uint64_t *serial) {
    uint64_t place = intern__writer_place(w), next = INTERN__LOAD(&w->next, INTERN__RELAXED), base = 0;
    _Atomic uint32_t *entry = (_Atomic uint32_t *)intern__index_at(w, next, &base);
    INTERN__STORE(entry, (uint32_t)(place - base + 1), INTERN__RELEASE); /* pairs with intern__place_of */
    INTERN__STORE(&w->next, next + 1, INTERN__RELEASE); /* pairs with intern__writer_count */
    w->pos += intern__record_size(len);
    *serial = next;
    return place;
}

/* The serial that a slot issues first: slot 0 leaves out the all-zero symbol. */
INTERN__INLINE uint64_t intern__first_serial(unsigned slot) { return slot == 0; }

/* Serials below the result are issued, and their bytes acquired. */
INTERN__INLINE uint64_t intern__writer_next(const intern__writer *w) { return INTERN__LOAD(&w->next, INTERN__ACQUIRE); }
