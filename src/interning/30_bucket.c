/* One bucket: the set of records whose keys chose it. Find or add.

   An array of groups, each one cache line with room for eight symbols. A key's hash names its home group and a
   fingerprint; the key stands in the first group, from the home on, that had room. Within a group entries fill from
   the left, and none is ever removed or changed.

     group    8 x 16 bits: fingerprints, 0: free | 8 x 32 bits, 8 x 16 bits: low and high part of where the record is
     where    7 bits writer slot | 41 bits place (20_slab.c)

   All fingerprints of a group are compared at once, as lanes of two words. Who sees a fingerprint sees what belongs
   to it: it is written last.

   A search ends at the first group that is not full, and what a reader has found stays true. At three quarters full
   the array is replaced by one twice as large. Readers that still look at the old one find there every symbol that was
   in it; new symbols they would have missed anyway, had they come a moment earlier. Old arrays are kept until the
   table goes, or intern_trim.

     bucket.array   address of the groups | log2 of their number (the address is a multiple of 64); 0: none
     array          groups | one line whose first word is the `array` that this one replaced

   Symbols keep no hash: growing computes it again from the record. */

#include "20_slab.c"

#define INTERN__GROUP 8u
#define INTERN__GROUPS_LOG_MAX 40u

typedef struct intern__group {
    _Atomic uint64_t prints[2];
    _Atomic uint32_t low[INTERN__GROUP];
    _Atomic uint16_t high[INTERN__GROUP];
} intern__group;

typedef struct intern__bucket {
    _Alignas(64) _Atomic uintptr_t array;
    uint64_t used; /* under the lock */
    intern__lock lock; /* of bucket i: also stands before the growth of writer slot i */
} intern__bucket;

INTERN__INLINE intern__group *intern__array_at(uintptr_t array) { return (intern__group *)(array & ~(uintptr_t)63); }
INTERN__INLINE uint64_t intern__array_groups(uintptr_t array) { return UINT64_C(1) << (array & 63); }

static size_t intern__array_size(uintptr_t array) {
    return (size_t)(intern__array_groups(array) + 1) * INTERN__LINE;
}

/* Makes an array of 2^log groups, all free; 0 when there is no memory. */
static uintptr_t intern__array_new(unsigned log, uintptr_t older) {
    if (log > INTERN__GROUPS_LOG_MAX || (UINT64_C(1) << log) >= SIZE_MAX / INTERN__LINE) return 0;
    size_t size = ((size_t)1 << log) * INTERN__LINE;
    uint8_t *at = (uint8_t *)intern__line_alloc(size + INTERN__LINE);
    if (!at) return 0;
    memset(at, 0, size + INTERN__LINE);
    memcpy(at + size, &older, sizeof older);
    return (uintptr_t)at | log;
}

/* Where an array names the one that it replaced. */
static uint8_t *intern__array_link(uintptr_t array) {
    return (uint8_t *)intern__array_at(array) + intern__array_size(array) - INTERN__LINE;
}

static uintptr_t intern__array_older(uintptr_t array) {
    uintptr_t older;
    memcpy(&older, intern__array_link(array), sizeof older);
    return older;
}

/* Frees an array and returns the one that it replaced. */
static uintptr_t intern__array_free(uintptr_t array) {
    uintptr_t older = intern__array_older(array);
    intern__line_free(intern__array_at(array), intern__array_size(array));
    return older;
}

/* Groups */

INTERN__INLINE uint64_t intern__fingerprint(uint64_t hash) {
    uint64_t f = hash >> 48;
    return f + (f == 0);
}

/* Bit 15 of each 16-bit lane that is zero. Exact: no lane carries into the next. */
INTERN__INLINE uint64_t intern__zero_lanes(uint64_t w) {
    const uint64_t low = UINT64_C(0x7fff7fff7fff7fff);
    return ~(((w & low) + low) | w | low);
}

/* Which lanes of two words equal the fingerprint, one bit each, and the entry that the lowest bit means. */
#if INTERN__SSE2
INTERN__INLINE uint64_t intern__lanes_equal(uint64_t left, uint64_t right, uint64_t fingerprint) {
    __m128i lanes = _mm_set_epi64x((long long)right, (long long)left);
    int bytes = _mm_movemask_epi8(_mm_cmpeq_epi16(lanes, _mm_set1_epi16((short)fingerprint)));
    return (unsigned)bytes & 0x5555u;
}

INTERN__INLINE unsigned intern__match_entry(uint64_t match) { return intern__lowest_bit(match) >> 1; }
#else
/* Bit 16 i for entry i < 4, bit 16 (i - 4) + 1 for the others. */
INTERN__INLINE uint64_t intern__lanes_equal(uint64_t left, uint64_t right, uint64_t fingerprint) {
    const uint64_t lanes = fingerprint * UINT64_C(0x0001000100010001);
    return intern__zero_lanes(left ^ lanes) >> 15 | intern__zero_lanes(right ^ lanes) >> 14;
}

INTERN__INLINE unsigned intern__match_entry(uint64_t match) {
    unsigned bit = intern__lowest_bit(match);
    return bit >> 4 | (bit & 1) << 2;
}
#endif

/* Which entries of a group carry the fingerprint. *full: whether the group was full before it was looked through; then
   it cannot change any more. If it was not, a search ends here, and a writer looks again under the lock. The other way
   round a key might come in between, and be passed. */
INTERN__INLINE uint64_t intern__group_match(const intern__group *g, uint64_t fingerprint, bool *full) {
    uint64_t right = INTERN__LOAD(&g->prints[1], INTERN__ACQUIRE); /* both pair with intern__group_put */
    uint64_t left = INTERN__LOAD(&g->prints[0], INTERN__ACQUIRE);
    *full = right >> 48 != 0;
    return intern__lanes_equal(left, right, fingerprint);
}

/* How many entries a group has: the free fingerprints are its last. */
INTERN__INLINE unsigned intern__group_used(const intern__group *g) {
    unsigned used = 0;
    for (unsigned i = 0; i < 2; i++) {
        uint64_t free_lanes = intern__zero_lanes(INTERN__LOAD(&g->prints[i], INTERN__ACQUIRE));
        used += free_lanes ? intern__lowest_bit(free_lanes) >> 4 : 4;
    }
    return used;
}

INTERN__INLINE uint64_t intern__group_print(const intern__group *g, unsigned i) {
    return INTERN__LOAD(&g->prints[i >> 2], INTERN__ACQUIRE) >> 16 * (i & 3) & 0xffff;
}

INTERN__INLINE uint64_t intern__group_where(const intern__group *g, unsigned i) {
    return INTERN__LOAD(&g->low[i], INTERN__RELAXED) | (uint64_t)INTERN__LOAD(&g->high[i], INTERN__RELAXED) << 32;
}

/* Fills a free entry; only one thread writes to a group at a time. */
INTERN__INLINE void intern__group_put(intern__group *g, unsigned i, uint64_t fingerprint, uint64_t where) {
    INTERN__STORE(&g->low[i], (uint32_t)where, INTERN__RELAXED);
    INTERN__STORE(&g->high[i], (uint16_t)(where >> 32), INTERN__RELAXED);
    uint64_t prints = INTERN__LOAD(&g->prints[i >> 2], INTERN__RELAXED) | fingerprint << 16 * (i & 3);
    INTERN__STORE(&g->prints[i >> 2], prints, INTERN__RELEASE); /* pairs with intern__group_match */
}

#define INTERN__PLACE_MASK ((UINT64_C(1) << INTERN__PLACE_BITS) - 1)

INTERN__INLINE uint64_t intern__where_of(uint32_t writer, uint64_t place) {
    return (uint64_t)writer << INTERN__PLACE_BITS | place;
}

INTERN__INLINE const uint8_t *intern__where_record(const intern__writer *writers, uint64_t where, uint64_t *first) {
    return intern__record_at(&writers[where >> INTERN__PLACE_BITS], where & INTERN__PLACE_MASK, first);
}

INTERN__INLINE intern_symbol intern__symbol_of(uint64_t slot, uint64_t serial) {
    return slot << INTERN_SERIAL_BITS | serial;
}

/* Searching */

INTERN__INLINE uint64_t intern__home(uintptr_t array, uint64_t hash) {
    return hash & (intern__array_groups(array) - 1);
}

/* Searches from group *at on, which is left at the group where the search ended. */
INTERN__INLINE intern_symbol intern__array_find(const intern__writer *writers, uintptr_t array, const intern__key *k,
                                                uint64_t *at) {
    const uint64_t last = intern__array_groups(array) - 1, print = intern__fingerprint(k->hash);
    for (uint64_t tried = 0; tried <= last; tried++) {
        const intern__group *g = intern__array_at(array) + *at;
        bool full;
        for (uint64_t m = intern__group_match(g, print, &full); m; m &= m - 1) {
            uint64_t where = intern__group_where(g, intern__match_entry(m)), first;
            const uint8_t *record = intern__where_record(writers, where, &first);
            if (INTERN__LIKELY(intern__record_is(record, k)))
                return intern__symbol_of(where >> INTERN__PLACE_BITS, first + intern__record_delta(record));
        }
        if (INTERN__LIKELY(!full)) return INTERN_NONE;
        *at = (*at + 1) & last;
    }
    return INTERN_NONE;
}

/* Where a search ended, for an insertion to go on from. */
typedef struct intern__spot {
    uintptr_t array;
    uint64_t group;
} intern__spot;

INTERN__INLINE intern_symbol intern__bucket_find(const intern__writer *writers, const intern__bucket *b,
                                                 const intern__key *k, intern__spot *spot) {
    spot->array = INTERN__LOAD(&b->array, INTERN__ACQUIRE); /* pairs with intern__bucket_reserve */
    spot->group = 0;
    if (INTERN__UNLIKELY(!spot->array)) return INTERN_NONE;
    spot->group = intern__home(spot->array, k->hash);
    return intern__array_find(writers, spot->array, k, &spot->group);
}

/* Adding */

/* Puts an entry into the first group with room from `at` on; there is one. */
INTERN__INLINE void intern__array_put(uintptr_t array, uint64_t at, uint64_t hash, uint64_t where) {
    unsigned used;
    while ((used = intern__group_used(intern__array_at(array) + at)) == INTERN__GROUP)
        at = (at + 1) & (intern__array_groups(array) - 1);
    intern__group_put(intern__array_at(array) + at, used, intern__fingerprint(hash), where);
}

/* Copies all entries of one array to a fresh one. Records lie anywhere: those of a later group are fetched while an
   earlier one is hashed. */
static void intern__array_refill(const intern__writer *writers, const intern__secret *secret, uintptr_t from,
                                 uintptr_t to) {
    const uint64_t ahead = 2, groups = intern__array_groups(from);
    uint64_t first, head, tail;
    for (uint64_t n = 0; n < groups + ahead; n++) {
        const intern__group *later = intern__array_at(from) + n, *g = later - ahead;
        for (unsigned i = 0, used = n < groups ? intern__group_used(later) : 0; i < used; i++)
            INTERN__PREFETCH(intern__where_record(writers, intern__group_where(later, i), &first));
        for (unsigned i = 0, used = n >= ahead ? intern__group_used(g) : 0; i < used; i++) {
            uint64_t where = intern__group_where(g, i);
            size_t len;
            const uint8_t *bytes = intern__record_bytes(intern__where_record(writers, where, &first), &len);
            intern__stored_ends(bytes, len, &head, &tail);
            uint64_t hash = intern__hash_of(bytes, len, head, tail, secret);
            intern__array_put(to, intern__home(to, hash), hash, where);
        }
    }
}

/* Makes room for one more symbol; the lock is held. */
static bool intern__bucket_reserve(const intern__writer *writers, const intern__secret *secret, intern__bucket *b) {
    uintptr_t old = INTERN__LOAD(&b->array, INTERN__RELAXED);
    if (INTERN__LIKELY(old && b->used < intern__array_groups(old) * (INTERN__GROUP * 3 / 4))) return true;
    uintptr_t array = intern__array_new(old ? (unsigned)(old & 63) + 1 : 0, old);
    if (!array) return false;
    if (old) intern__array_refill(writers, secret, old, array);
    INTERN__STORE(&b->array, array, INTERN__RELEASE); /* pairs with the acquire loads of readers */
    return true;
}

/* Adds the record staged in `w`, unless somebody was faster; the lock is held. `spot` is where the search for the key
   ended before: what it had passed cannot have changed. */
INTERN__INLINE intern_status intern__bucket_add(intern__writer *writers, uint32_t writer, const intern__secret *secret,
                                                intern__bucket *b, const intern__key *k, intern__spot *spot,
                                                intern_symbol *out, bool *inserted) {
    intern_symbol s;
    if (INTERN__LIKELY(spot->array && spot->array == INTERN__LOAD(&b->array, INTERN__RELAXED)))
        s = intern__array_find(writers, spot->array, k, &spot->group);
    else
        s = intern__bucket_find(writers, b, k, spot);
    *inserted = s == INTERN_NONE;
    if (*inserted) {
        uint64_t serial;
        if (INTERN__UNLIKELY(!intern__bucket_reserve(writers, secret, b))) return INTERN_NOMEM;
        uintptr_t array = INTERN__LOAD(&b->array, INTERN__RELAXED);
        if (array != spot->array) spot->group = intern__home(array, k->hash);
        uint64_t place = intern__writer_commit(&writers[writer], k->len, &serial);
        intern__array_put(array, spot->group, k->hash, intern__where_of(writer, place));
        b->used++;
        s = intern__symbol_of(writer, serial);
    }
    *out = s;
    return INTERN_OK;
}
