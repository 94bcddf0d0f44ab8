/* Tables: 128 buckets and 128 writer slots under one counted handle, and who may write. */

#include "40_table.h"
#include "13_files.c"
#include "30_bucket.c"

struct intern_table {
    _Atomic uint64_t owners; /* handles, and slots whose permit is out */
    intern__secret secret;   /* of the seed */
    uint64_t seed;
    intern__link link; /* in the list of tables: intern__table_at */
    bool seed_given;
    bool keep_bytes;
    uint8_t *image; /* a loaded file, or NULL */
    size_t image_len;
    bool image_mapped;
    intern__lock pause; /* held, with `paused` set, while no writer may add: intern__table_stop; also while a slot
                           changes hands */
    _Atomic bool paused;
    bool ordered_idle;         /* of a fork: nobody is in there */
    intern__lock ordered_lock; /* these three belong to 60_ordered.c */
    void *ordered;
    void (*ordered_free)(void *ordered);
    _Alignas(64) _Atomic uint64_t holder[INTERN_WRITERS]; /* thread number of each slot's owner, 0: free */
    intern__bucket bucket[INTERN_WRITERS];
    intern__writer writer[INTERN_WRITERS];
};

INTERN_API unsigned intern_version(void) { return INTERN_VERSION; }

INTERN_API const char *intern_status_text(intern_status s) {
    switch (s) {
    case INTERN_OK: return "ok";
    case INTERN_NOMEM: return "out of memory";
    case INTERN_INVALID: return "invalid argument";
    case INTERN_BUSY: return "table in use or not empty";
    case INTERN_CORRUPT: return "damaged or foreign data";
    case INTERN_IO: return "reading or writing failed";
    case INTERN_EXHAUSTED: return "all write permits are out";
    case INTERN_REFUSED: return "permit of another table or thread, or released";
    case INTERN_FULL: return "no serials left in this slot";
    }
    return "unknown status";
}

INTERN_API void intern_symbol_encode(intern_symbol s, uint8_t out[8]) {
    for (unsigned i = 0; out && i < 8; i++) out[i] = (uint8_t)(s >> (56 - 8 * i));
}

INTERN_API intern_symbol intern_symbol_decode(const uint8_t in[8]) {
    intern_symbol s = 0;
    for (unsigned i = 0; in && i < 8; i++) s = s << 8 | in[i];
    return s;
}

/* Life */

static void intern__writer_init(intern__writer *w, unsigned slot) {
    memset(w, 0, sizeof *w);
    atomic_init(&w->slabs, NULL);
    atomic_init(&w->pages, NULL);
    atomic_init(&w->next, intern__first_serial(slot));
    atomic_init(&w->thread, 0);
}

static bool intern__process_init(void);

static void intern__table_seed(intern_table *t, uint64_t seed) {
    t->seed = seed;
    t->secret = intern__secret_of(seed);
}

INTERN_API intern_status intern_table_new(const intern_options *options, intern_table **out) {
    if (!out) return INTERN_INVALID;
    if (!intern__process_init()) return INTERN_NOMEM;
    intern_table *t = (intern_table *)intern__line_alloc(sizeof *t);
    if (!t) return INTERN_NOMEM;
    memset(t, 0, sizeof *t);
    atomic_init(&t->owners, 1);
    t->seed_given = options && options->seed;
    intern__table_seed(t, t->seed_given ? options->seed : intern__random());
    t->keep_bytes = options && options->keep_bytes;
    atomic_init(&t->paused, false);
    intern__lock_reset(&t->pause);
    intern__lock_reset(&t->ordered_lock);
    for (unsigned i = 0; i < INTERN_WRITERS; i++) {
        atomic_init(&t->holder[i], 0);
        atomic_init(&t->bucket[i].array, 0);
        intern__lock_reset(&t->bucket[i].lock);
        intern__writer_init(&t->writer[i], i);
    }
    intern__process_add(&t->link);
    *out = t;
    return INTERN_OK;
}

INTERN_API intern_table *intern_table_clone(intern_table *t) {
    if (!t) return NULL;
    INTERN_ON_ATOMIC_RMW();
    atomic_fetch_add_explicit(&t->owners, 1, INTERN__RELAXED);
    return t;
}

static bool intern__is_image(const intern_table *t, const void *p) {
    return (uintptr_t)p - (uintptr_t)t->image < t->image_len;
}

/* Frees what a directory lists, except what lies in the image, and the directory itself. Pages have all one size,
   slabs begin with theirs. */
static void intern__dir_free(const intern_table *t, intern__dir *d, uint64_t n, bool pages, bool keep) {
    if (!d) return;
    for (uint64_t i = 0; i < n && !keep; i++) {
        uint8_t *at = INTERN__LOAD(&d->entry[i].at, INTERN__RELAXED);
        if (intern__is_image(t, at)) continue;
        INTERN_FREE(at, pages ? INTERN__PAGE_SIZE : (size_t)intern__load64(at));
    }
    intern__dir_free_older(d);
    INTERN_FREE(d, intern__dir_size(d->cap));
}

static void intern__writer_free(const intern_table *t, intern__writer *w, bool keep_slabs) {
    intern__dir_free(t, INTERN__LOAD(&w->pages, INTERN__RELAXED), w->npages, true, false);
    intern__dir_free(t, INTERN__LOAD(&w->slabs, INTERN__RELAXED), w->nslabs, false, keep_slabs);
}

/* Whether an array is this table's to free: not 0, not in the image (which is always the oldest of its chain). */
static bool intern__array_owned(const intern_table *t, uintptr_t array) {
    return array && !intern__is_image(t, intern__array_at(array));
}

static void intern__bucket_free(const intern_table *t, intern__bucket *b) {
    uintptr_t array = INTERN__LOAD(&b->array, INTERN__RELAXED);
    while (intern__array_owned(t, array)) array = intern__array_free(array);
}

static void intern__image_free(uint8_t *image, size_t len, bool mapped) {
    if (!image) return;
    if (mapped) intern__file_unmap(image, len);
    else intern__line_free(image, len);
}

INTERN_API void intern_table_free(intern_table *t) {
    if (!t) return;
    INTERN_ON_ATOMIC_RMW();
    /* Release: what this owner did comes before the end. Acquire: the end comes after what all others did. */
    if (atomic_fetch_sub_explicit(&t->owners, 1, memory_order_acq_rel) != 1) return;
    intern__process_remove(&t->link);
    if (t->ordered) t->ordered_free(t->ordered);
    for (unsigned i = 0; i < INTERN_WRITERS; i++) {
        intern__bucket_free(t, &t->bucket[i]);
        intern__writer_free(t, &t->writer[i], t->keep_bytes);
    }
    if (!t->keep_bytes) intern__image_free(t->image, t->image_len, t->image_mapped);
    intern__line_free(t, sizeof *t);
}

/* Permits. Slots change hands under the lock `pause`, so that a fork finds each either held or free. */

/* Takes a free slot for the calling thread; INTERN_WRITERS if there is none. Slots without serials are passed over
   as long as others are free. The lock is held. */
static uint32_t intern__slot_claim(intern_table *t, intern__thread *self) {
    for (unsigned full = 0; full < 2; full++) {
        for (uint32_t i = 0; i < INTERN_WRITERS; i++) {
            if (INTERN__LOAD(&t->holder[i], INTERN__RELAXED) != 0) continue;
            if ((INTERN__LOAD(&t->writer[i].next, INTERN__RELAXED) > INTERN__SERIAL_MAX) != full) continue;
            INTERN__STORE(&t->writer[i].thread, intern__thread_got(self), INTERN__RELAXED);
            INTERN__STORE(&t->holder[i], self->number, INTERN__RELAXED);
            return i;
        }
    }
    return INTERN_WRITERS;
}

/* The lock is held. Whoever calls this gives up the holder's ownership of the table afterwards. */
static void intern__slot_vacate(intern_table *t, uint32_t slot) {
    t->writer[slot].nested = 0;
    INTERN__STORE(&t->writer[slot].thread, 0, INTERN__RELAXED);
    INTERN__STORE(&t->holder[slot], 0, INTERN__RELEASE); /* pairs with intern__table_idle */
}

/* Frees slots of threads whose end went unnoticed; the lock is held. */
static bool intern__slots_recover(intern_table *t) {
    bool any = false;
    for (uint32_t i = 0; i < INTERN_WRITERS; i++) {
        if (!intern__thread_gone(INTERN__LOAD(&t->writer[i].thread, INTERN__RELAXED))) continue;
        intern__slot_vacate(t, i);
        INTERN_ON_ATOMIC_RMW();
        atomic_fetch_sub_explicit(&t->owners, 1, INTERN__RELAXED); /* not the last: the caller has one */
        any = true;
    }
    return any;
}

/* The slot that a thread holds; INTERN_WRITERS if none. */
static uint32_t intern__slot_held(const intern_table *t, uint64_t number) {
    uint32_t slot = 0;
    while (slot < INTERN_WRITERS && INTERN__LOAD(&t->holder[slot], INTERN__RELAXED) != number) slot++;
    return slot;
}

INTERN_API intern_status intern_permit_acquire(intern_table *t, intern_permit *out) {
    if (!t || !out) return INTERN_INVALID;
    intern__thread *self = intern__self();
    uint32_t slot = self->slots ? intern__slot_held(t, self->number) : INTERN_WRITERS;
    if (slot == INTERN_WRITERS) {
        intern__lock_take(&t->pause);
        slot = intern__slot_claim(t, self);
        if (slot == INTERN_WRITERS && intern__slots_recover(t)) slot = intern__slot_claim(t, self);
        if (slot < INTERN_WRITERS) (void)intern_table_clone(t);
        intern__lock_give(&t->pause);
        if (slot == INTERN_WRITERS) return INTERN_EXHAUSTED;
    }
    t->writer[slot].nested++;
    out->table = t;
    out->owner = self->number;
    out->slot = slot;
    return INTERN_OK;
}

/* Whether the calling thread holds this permit. Its own number in `holder` can only have been put there by itself. */
INTERN__INLINE bool intern__permit_holds(const intern_permit *p) {
    return p->owner == intern__self()->number && p->slot < INTERN_WRITERS &&
           INTERN__LOAD(&p->table->holder[p->slot], INTERN__RELAXED) == p->owner;
}

INTERN_API intern_status intern_permit_release(intern_permit *p) {
    if (!p) return INTERN_INVALID;
    if (!p->table || !intern__permit_holds(p)) return INTERN_REFUSED;
    intern_table *t = p->table;
    uint32_t slot = p->slot;
    memset(p, 0, sizeof *p);
    if (--t->writer[slot].nested) return INTERN_OK;
    intern__lock_take(&t->pause);
    intern__slot_vacate(t, slot);
    intern__lock_give(&t->pause);
    intern__thread_lost(intern__self());
    intern_table_free(t);
    return INTERN_OK;
}

/* Bytes to symbols */

/* Takes a bucket's lock, when no moment is being taken. */
INTERN__INLINE void intern__bucket_enter(intern_table *t, intern__bucket *b) {
    intern__lock_take(&b->lock);
    while (INTERN__UNLIKELY(INTERN__LOAD(&t->paused, INTERN__ACQUIRE))) { /* pairs with intern__table_go */
        intern__lock_give(&b->lock);
        intern__lock_take(&t->pause);
        intern__lock_give(&t->pause);
        intern__lock_take(&b->lock);
    }
}

/* Adds a key that was searched for in vain; `spot` is where the search ended. The bytes are copied before the lock is
   taken, so that a long key keeps nobody waiting. */
INTERN__NOINLINE intern_status intern__table_add(intern_table *t, uint32_t slot, const intern__key *k,
                                                 intern__spot *spot, intern_symbol *out, bool *inserted) {
    intern__writer *w = &t->writer[slot];
    intern__bucket *b = &t->bucket[k->bucket];
    intern_status s = INTERN_OK;
    if (INTERN__UNLIKELY(!intern__writer_ready(w, k->len))) {
        intern__bucket_enter(t, &t->bucket[slot]);
        s = intern__writer_grow(w, k->len);
        intern__lock_give(&t->bucket[slot].lock);
        if (s != INTERN_OK) return s;
    }
    intern__writer_stage(w, k);
    intern__bucket_enter(t, b);
    s = intern__bucket_add(t->writer, slot, &t->secret, b, k, spot, out, inserted);
    intern__lock_give(&b->lock);
    return s;
}

INTERN_API intern_status intern_get_or_insert(intern_table *t, const intern_permit *p, const void *bytes, size_t len,
                                              intern_symbol *out, bool *inserted) {
    if (!t || !p || !out || !intern__key_valid(bytes, len)) return INTERN_INVALID;
    if (p->table != t || !intern__permit_holds(p)) return INTERN_REFUSED;
    intern__key k = intern__key_of(bytes, len, &t->secret);
    intern__spot spot;
    intern_symbol found = intern__bucket_find(t->writer, &t->bucket[k.bucket], &k, &spot);
    bool added = false;
    if (found == INTERN_NONE) {
        intern_status s = intern__table_add(t, p->slot, &k, &spot, &found, &added);
        if (s != INTERN_OK) return s;
    }
    *out = found;
    if (inserted) *inserted = added;
    return INTERN_OK;
}

INTERN_API intern_symbol intern_get(const intern_table *t, const void *bytes, size_t len) {
    if (!t || !intern__key_valid(bytes, len)) return INTERN_NONE;
    intern__key k = intern__key_of(bytes, len, &t->secret);
    intern__spot spot;
    return intern__bucket_find(t->writer, &t->bucket[k.bucket], &k, &spot);
}

/* Symbols to bytes */

INTERN__INLINE uint64_t intern__serial_of(intern_symbol s) { return s & INTERN__SERIAL_MAX; }
INTERN__INLINE unsigned intern__slot_of(intern_symbol s) { return s >> INTERN_SERIAL_BITS & 255; }

INTERN_API const void *intern_bytes(const intern_table *t, intern_symbol s, size_t *len) {
    const uint8_t *bytes;
    size_t n;
    unsigned slot = intern__slot_of(s);
    if (INTERN__UNLIKELY(!t || slot >= INTERN_WRITERS)) return NULL;
    if (INTERN__UNLIKELY(!intern__bytes_of(&t->writer[slot], intern__serial_of(s), &bytes, &n))) return NULL;
    if (len) *len = n;
    return bytes;
}

INTERN_API uint64_t intern_count(const intern_table *t) {
    uint64_t n = 0;
    for (unsigned i = 0; t && i < INTERN_WRITERS; i++)
        n += intern__writer_next(&t->writer[i]) - intern__first_serial(i);
    return n;
}

INTERN_API intern_iter intern_iter_all(const intern_table *t) {
    intern_iter i;
    memset(&i, 0, sizeof i);
    i.table = t;
    i.next = intern__first_serial(0);
    i.end = t ? intern__writer_next(&t->writer[0]) : 0;
    if (!t) i.slot = INTERN_WRITERS;
    return i;
}

INTERN_API bool intern_iter_next(intern_iter *i) {
    if (!i || !i->table) return false;
    while (i->slot < INTERN_WRITERS && i->next >= i->end) {
        if (++i->slot == INTERN_WRITERS) return false;
        i->next = intern__first_serial(i->slot);
        i->end = intern__writer_next(&i->table->writer[i->slot]);
    }
    if (i->slot >= INTERN_WRITERS) return false;
    i->symbol = intern__symbol_of(i->slot, i->next++);
    i->data = intern_bytes(i->table, i->symbol, &i->len);
    return true;
}

/* A moment in the life of a table: what was issued then, slot by slot, and where the buckets stood. Nobody is then
   between issuing a serial and showing it, so with a symbol every one issued before it is in. What a moment names stays
   readable without locks: records and index entries never change, and arrays only gain slots. */
typedef struct intern__moment {
    uint64_t next[INTERN_WRITERS];
    uintptr_t array[INTERN_WRITERS];
    uint64_t used[INTERN_WRITERS];
} intern__moment;

/* Whoever locks a bucket after us sees `paused`, and goes to wait for the moment to be over; whoever locked it before
   us is through when we get the lock. So after one round nobody is inside, without holding 128 locks at a time. */
static void intern__table_stop(intern_table *t) {
    intern__lock_take(&t->pause);
    INTERN__STORE(&t->paused, true, INTERN__RELAXED);
    for (unsigned i = 0; i < INTERN_WRITERS; i++) {
        intern__lock_take(&t->bucket[i].lock);
        intern__lock_give(&t->bucket[i].lock);
    }
}

static void intern__table_go(intern_table *t) {
    INTERN__STORE(&t->paused, false, INTERN__RELEASE); /* pairs with intern__bucket_enter */
    intern__lock_give(&t->pause);
}

static void intern__table_moment(intern_table *t, intern__moment *m) {
    intern__table_stop(t);
    for (unsigned i = 0; i < INTERN_WRITERS; i++) {
        m->next[i] = intern__writer_next(&t->writer[i]);
        m->array[i] = INTERN__LOAD(&t->bucket[i].array, INTERN__RELAXED);
        m->used[i] = t->bucket[i].used;
    }
    intern__table_go(t);
}

/* Ends of threads, and forks. A fork takes the memory as it is at no single instant: other threads write while the
   system goes from page to page. So it must be a moment of every table: nobody adds, grows or changes a permit. What
   goes on without locks, the bytes of a record beyond its slab's end, is invisible until it is committed. */

static intern_table *intern__table_at(intern__link *l) {
    return l ? (intern_table *)(void *)((uint8_t *)l - offsetof(intern_table, link)) : NULL;
}

static intern_table *intern__table_next(const intern_table *t) {
    return intern__table_at(t ? t->link.next : intern__process.first);
}

/* A table in which the thread held a slot, which is free now; NULL if there is none left. */
static intern_table *intern__thread_leave(uint64_t number) {
    uint32_t slot = INTERN_WRITERS;
    intern_table *t = NULL;
    intern__lock_take(&intern__process.lock);
    while (slot == INTERN_WRITERS && (t = intern__table_next(t)) != NULL) slot = intern__slot_held(t, number);
    if (t) {
        intern__lock_take(&t->pause);
        intern__slot_vacate(t, slot);
        intern__lock_give(&t->pause);
    }
    intern__lock_give(&intern__process.lock);
    return t;
}

/* Called when a thread ends with permits. Destructors of other keys may still use them: so it waits one round. */
static void intern__thread_end(void *round) {
    intern__thread *self = intern__self();
    intern_table *t;
    if (round == &intern__thread_first && intern__thread_note(&intern__thread_again)) return;
    while (self->slots && (t = intern__thread_leave(self->number)) != NULL) {
        self->slots--;
        intern_table_free(t);
    }
    self->slots = 0;
}

/* The ordered map is only tried for: whoever brings it up to date may wait for a lock of pathmap.h, which that
   library's own preparations for the fork may hold by now. */
static void intern__fork_prepare(void) {
    intern__lock_take(&intern__process.lock);
    for (intern_table *t = NULL; (t = intern__table_next(t)) != NULL;) {
        intern__table_stop(t);
        t->ordered_idle = intern__lock_try(&t->ordered_lock);
    }
}

static void intern__fork_parent(void) {
    for (intern_table *t = NULL; (t = intern__table_next(t)) != NULL;) {
        if (t->ordered_idle) intern__lock_give(&t->ordered_lock);
        intern__table_go(t);
    }
    intern__lock_give(&intern__process.lock);
}

/* Of all threads only the caller is left. Locks may be marked by others that were about to wait. A map that somebody
   was bringing up to date is forgotten, and made anew when it is needed. */
static void intern__fork_child(void) {
    const uint64_t self = intern__self()->number;
    intern__lock_forked();
    for (intern_table *t = NULL; (t = intern__table_next(t)) != NULL;) {
        for (uint32_t i = 0; i < INTERN_WRITERS; i++) {
            uint64_t holder = INTERN__LOAD(&t->holder[i], INTERN__RELAXED);
            intern__lock_reset(&t->bucket[i].lock);
            if (holder == self && INTERN__LOAD(&t->writer[i].thread, INTERN__RELAXED))
                INTERN__STORE(&t->writer[i].thread, intern__thread_id(), INTERN__RELAXED);
            if (!holder || holder == self) continue;
            intern__slot_vacate(t, i);
            INTERN__STORE(&t->owners, INTERN__LOAD(&t->owners, INTERN__RELAXED) - 1, INTERN__RELAXED);
        }
        if (!t->ordered_idle) t->ordered = NULL;
        intern__lock_reset(&t->ordered_lock);
        intern__lock_reset(&t->pause);
        INTERN__STORE(&t->paused, false, INTERN__RELAXED);
    }
    intern__lock_reset(&intern__process.lock);
}

static bool intern__process_init(void) {
    return intern__process_start(intern__thread_end, intern__fork_prepare, intern__fork_parent, intern__fork_child);
}

/* Accounts */

static void intern__dir_stats(const _Atomic(intern__dir *) *where, intern_stats *out) {
    const intern__dir *d = INTERN__LOAD(where, INTERN__ACQUIRE);
    if (!d) return;
    out->index_bytes += intern__dir_size(d->cap);
    for (const intern__dir *o = d->older; o; o = o->older) out->retired_bytes += intern__dir_size(o->cap);
}

INTERN_API void intern_get_stats(intern_table *t, intern_stats *out) {
    if (!out) return;
    memset(out, 0, sizeof *out);
    if (!t) return;
    out->symbols = intern_count(t);
    out->fixed_bytes = sizeof *t + INTERN__LINE;
    out->mapped_bytes = t->image_len;
    out->smallest_bucket = UINT64_MAX;
    for (unsigned i = 0; i < INTERN_WRITERS; i++) {
        const intern__writer *w = &t->writer[i];
        intern__bucket *b = &t->bucket[i];
        intern__dir_stats(&w->slabs, out);
        intern__dir_stats(&w->pages, out);
        out->slab_bytes += INTERN__LOAD(&w->slab_bytes, INTERN__RELAXED);
        out->index_bytes += INTERN__LOAD(&w->page_bytes, INTERN__RELAXED);
        intern__lock_take(&b->lock);
        uintptr_t array = INTERN__LOAD(&b->array, INTERN__RELAXED);
        uint64_t *account = &out->bucket_bytes;
        for (; intern__array_owned(t, array); array = intern__array_older(array)) {
            *account += intern__array_size(array) + INTERN__LINE;
            account = &out->retired_bytes;
        }
        if (b->used < out->smallest_bucket) out->smallest_bucket = b->used;
        if (b->used > out->largest_bucket) out->largest_bucket = b->used;
        intern__lock_give(&b->lock);
    }
}

INTERN_API void intern_trim(intern_table *t) {
    if (!t) return;
    intern__lock_take(&t->pause); /* a fork waits */
    for (unsigned i = 0; i < INTERN_WRITERS; i++) {
        uintptr_t array = INTERN__LOAD(&t->bucket[i].array, INTERN__RELAXED);
        if (intern__array_owned(t, array)) {
            uintptr_t older = intern__array_older(array);
            while (intern__array_owned(t, older)) older = intern__array_free(older);
            memset(intern__array_link(array), 0, sizeof older);
        }
        intern__dir_free_older(INTERN__LOAD(&t->writer[i].slabs, INTERN__RELAXED));
        intern__dir_free_older(INTERN__LOAD(&t->writer[i].pages, INTERN__RELAXED));
    }
    intern__lock_give(&t->pause);
}
