/* References between nodes, and the counts behind them.

   A reference (pm__ref) is one 64-bit word, 0 meaning "no node". The word is all that a reader has before it touches
   the node, so in slim mode it says as much as it can:

     slim      63   62..60          59..58   57..0
               0    cache lines -1  kind     address
     standard  63..0 plain address; kind and size are in the node's header

   Counts. retain: fetch_add(relaxed), no data are published by it. release: fetch_sub(release); the thread that takes
   the last reference issues an acquire fence, which pairs with the releases of all others, before it frees. A load
   (acquire) that reads 1 proves sole ownership: nobody else has a reference from which to make another; it pairs with
   the same releases, so the former owners' reads of the node are over. In a process of one thread neither is atomic
   (pm__count_is_alone).

   Slim counts saturate. A retain that takes the count to PM__COUNT_MAX parks it at PM__COUNT_PARKED, half-way up the
   unused range; every later retain or release that sees a count from PM__COUNT_MAX up leaves the node alone for ever.
   Threads that were already past their look at the count move it by one each, far less than the distance back. */
#include "10_platform.c"

typedef uint64_t pm__ref;

enum { PM__LINE = 0, PM__BYTE = 1, PM__WIDE = 2, PM__RANGE = 3 };

#if PATHMAP_SLIM_PTRS
#define PM__COUNT_MAX 0x7FFFFFFFu
#define PM__COUNT_PARKED 0xC0000000u
#define PM__ADDR_MASK (((uint64_t)1 << 58) - 1)
#endif

static PM__INLINE void pm__ref_count_init(pm__count *c) { pm__count_store(c, 1); }

static PM__INLINE void pm__ref_count_retain(pm__count *c) {
#if PATHMAP_SLIM_PTRS
    if (PM__UNLIKELY(pm__count_fetch_add(c) >= PM__COUNT_MAX - 1)) pm__count_store(c, PM__COUNT_PARKED);
#else
    pm__count_fetch_add(c);
#endif
}

/* True if the caller held the last reference: it now owns the memory. A sole owner needs no read-modify-write. */
static PM__INLINE bool pm__ref_count_release(pm__count *c) {
    pm__count_word now = pm__count_load_acquire(c);
    if (now == 1) return true;
#if PATHMAP_SLIM_PTRS
    if (PM__UNLIKELY(now >= PM__COUNT_MAX)) return false;
#endif
    if (pm__count_fetch_sub(c) != 1) return false;
    pm__fence_acquire();
    return true;
}

static PM__INLINE bool pm__ref_count_is_one(const pm__count *c) { return pm__count_load_acquire(c) == 1; }

static PM__INLINE void *pm__ref_ptr(pm__ref r) {
#if PATHMAP_SLIM_PTRS
    return (void *)(uintptr_t)(r & PM__ADDR_MASK);
#else
    return (void *)(uintptr_t)r;
#endif
}

/* Every node begins with its count and its flags, so that standard mode can tell kinds apart. */
typedef struct pm__head {
    pm__count rc;
    uint8_t flags; /* bits 0-1: kind */
} pm__head;

static PM__INLINE pm__ref pm__ref_make(void *node, unsigned kind, size_t size) {
#if PATHMAP_SLIM_PTRS
    uint64_t lines = (size + 63) / 64;
    if (kind != PM__LINE) lines = 2; /* a lookup touches the beginning and one slot, not the whole node */
    return (uint64_t)(uintptr_t)node | (uint64_t)kind << 58 | (lines - 1) << 60;
#else
    (void)kind;
    (void)size;
    return (uint64_t)(uintptr_t)node;
#endif
}

static PM__INLINE unsigned pm__ref_kind(pm__ref r) {
#if PATHMAP_SLIM_PTRS
    return (unsigned)(r >> 58) & 3u;
#else
    return ((const pm__head *)pm__ref_ptr(r))->flags & 3u;
#endif
}

/* Whether the node is laid out as a line is. */
static PM__INLINE bool pm__ref_is_lined(pm__ref r) {
    return ((pm__ref_kind(r) + 1u) & 2u) == 0;
}

/* Prefetches the memory that a visit to the node will touch, just before it. Must be inlined: compilers drop calls of
   functions that only prefetch. Prefetching past the end of an allocation is harmless, but not free: it takes the place
   of lines that are wanted. */
static PM__INLINE void pm__ref_prefetch(pm__ref r) {
    uintptr_t p = (uintptr_t)pm__ref_ptr(r); /* no pointer arithmetic: r may be 0 */
#if PATHMAP_SLIM_PTRS
    uintptr_t end = p + 64 * ((uintptr_t)(r >> 60) + 1);
    do {
        PM__PREFETCH((const void *)p);
        p += 64;
    } while (p < end);
#else
    PM__PREFETCH((const void *)p);
    PM__PREFETCH((const void *)(p + 64));
    PM__PREFETCH((const void *)(p + 128));
#endif
}

/* The same where other work comes before the visit. In slim mode the number of lines is known, and as good as random
   from node to node: a branch on it is guessed wrong about every second time, which costs nothing while memory is
   waited for, but does here. So eight lines are always prefetched; those beyond the node become a word that is in the
   cache. */
#if PATHMAP_SLIM_PTRS
static const uint64_t pm__ref_warm = 0;

static PM__INLINE void pm__ref_prefetch_line(uintptr_t p, uintptr_t last) {
    PM__PREFETCH((const void *)(p < last ? p : (uintptr_t)&pm__ref_warm));
}

static PM__INLINE void pm__ref_prefetch_early(pm__ref r) {
    uintptr_t p = (uintptr_t)pm__ref_ptr(r), last = p + 64 * (uintptr_t)(r >> 60);
    PM__PREFETCH((const void *)p);
    PM__PREFETCH((const void *)last);
    for (unsigned i = 1; i < 7; i++) pm__ref_prefetch_line(p + 64 * (uintptr_t)i, last);
}

/* The same for a line that shares its location with others: few of them take less than six lines of memory. */
static PM__INLINE void pm__ref_prefetch_part(pm__ref r) {
    uintptr_t p = (uintptr_t)pm__ref_ptr(r);
    PM__PREFETCH((const void *)(p + 64 * (uintptr_t)(r >> 60)));
    for (unsigned i = 0; i < 6; i++) PM__PREFETCH((const void *)(p + 64 * (uintptr_t)i));
}
#else
static PM__INLINE void pm__ref_prefetch_early(pm__ref r) { pm__ref_prefetch(r); }
static PM__INLINE void pm__ref_prefetch_part(pm__ref r) { pm__ref_prefetch(r); }
#endif

static PM__INLINE void pm__ref_retain(pm__ref r) {
    if (r) pm__ref_count_retain(&((pm__head *)pm__ref_ptr(r))->rc);
}

static PM__INLINE bool pm__ref_is_unique(pm__ref r) { return pm__ref_count_is_one(&((pm__head *)pm__ref_ptr(r))->rc); }

/* True if a node has at most so many owners. */
PM__UNUSED static PM__INLINE bool pm__ref_has_few(pm__ref r, unsigned most) {
    return pm__count_load_acquire(&((pm__head *)pm__ref_ptr(r))->rc) <= most;
}
