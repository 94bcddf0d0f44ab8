/* Where nodes live: size classes, slabs, per-thread heaps, pools with budgets; and plain buffers.

     pool    chunks (256 KB to 4 MB, from PM_MALLOC), cut into slabs of 16 KB, aligned to their size
     slab    64 bytes of header, then blocks of one size class; or divided into 16 slabs of 1 KB, or 4 of 4 KB
     heap    one per thread and pool: the slab in use and the slabs with room, for each class

       slab   heap | free | next prev | notified | chunk | used | remote | fresh class | block block block ...

   The first slabs of a class in a heap are small, and larger as the class has more: a small map has nodes of a dozen
   classes, and would hold 16 KB for each. A divided slab names a heap that is nobody's; so who frees a block of it
   comes to the slow path, and finds the part there, a slab of its own. All else treats both alike.

   A thread allocates from its own heap and gives blocks back to it without any atomic read-modify-write. A block of
   another thread's slab is pushed on that slab's `remote` list, after the slab has been put on the owner heap's
   `notified` list, which the owner empties when one of its classes runs dry. When a thread ends, its heaps are
   detached: the next thread that needs a heap adopts one whole, and until then any thread whose class runs dry collects
   them and takes slabs over. A thread whose end would go unnoticed has no heap; it takes block after block from a
   detached one.

   Whoever frees the last block of a pool may find the pool gone at once. So a call that frees a block touches nothing
   of the pool after the store, the swap or the unlocking that makes the block count as freed.

   Invariants
   - A slab is in its heap's `partial` list if and only if it is not the `current` one and its `free` list is not empty.
   - A slab whose `remote` says PM__REMOTE_TOLD is in exactly one `notified` list, or a thread that holds one of its
     blocks is about to put it there. Only such a slab has remote blocks. It counts as used, so it is neither released
     nor moved to another class.
   - Whoever may touch a heap's lists: its owner under the heap's lock or the pool's; the holder of the pool's lock if
     nobody owns the heap; and under both locks anybody. The `current` slabs are their owner's, who may
     take blocks of them, or make them, under no lock.
   - From a slab that is not current, blocks only go back. So one without live blocks, not current, stays as it is, and
     who holds both locks may take it away.
   - Locks are taken in the order registry, pools, heaps; no hook runs under a lock.

   A fork waits for all these locks, so the child finds them free, and no list half changed. A thread that does not
   exist in the child may have been stopped between any two stores of the paths without a lock. These stores are in an
   order in which that loses a block, or a slab, and does nothing worse. Its heaps are lost in the child: no thread
   adopts them, their blocks can still be freed, and slabs without live blocks come back by pm_pool_trim.

   A pool with a backend is none of this: it looks after its blocks itself (15_region.c), and is told apart only where
   the ordinary paths have failed, so that these need not ask. */
#include "11_memory.h"

#include "10_platform.c"

enum {
    PM__MEM_UNIT = 16,
    PM__MEM_CLASSES = 36,
    PM__MEM_MAX = 5440, /* the largest node */
    PM__SLAB_SHIFT = 14,
    PM__SLAB_BYTES = 1 << PM__SLAB_SHIFT,
    PM__SLAB_HEADER = 64, /* blocks whose size is a multiple of 64 start on cache lines */
    PM__PART_SIZES = 2,
    PM__PART_BLOCK = 512 /* the largest block in a part of a slab */
};

/* Up to 512 bytes the steps that keep rounding below an eighth or so; above, the sizes that divide a slab evenly. */
static const uint16_t pm__mem_class_bytes[PM__MEM_CLASSES] = {
    32, 48, 64, 80, 96, 112, 128, 160, 192, 224, 256, 320, 384, 448, 512, 576, 640, 704, 768, 848, 896, 960, 1008,
    1088, 1152, 1248, 1360, 1472, 1632, 1808, 2032, 2320, 2720, 3264, 4080, 5440
};

/* The class of a size, by the number of 16-byte units. */
static const uint8_t pm__mem_class_of[PM__MEM_MAX / PM__MEM_UNIT + 1] = {
    0, 0, 0, 1, 2, 3, 4, 5, 6, 7, 7, 8, 8, 9, 9, 10, 10, 11, 11, 11, 11, 12, 12, 12, 12, 13, 13, 13, 13, 14, 14, 14,
    14, 15, 15, 15, 15, 16, 16, 16, 16, 17, 17, 17, 17, 18, 18, 18, 18, 19, 19, 19, 19, 19, 20, 20, 20, 21, 21, 21,
    21, 22, 22, 22, 23, 23, 23, 23, 23, 24, 24, 24, 24, 25, 25, 25, 25, 25, 25, 26, 26, 26, 26, 26, 26, 26, 27, 27,
    27, 27, 27, 27, 27, 28, 28, 28, 28, 28, 28, 28, 28, 28, 28, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 29, 30, 30,
    30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 30, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31, 31,
    31, 31, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 32, 33,
    33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33, 33,
    33, 33, 33, 33, 33, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34,
    34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34, 34,
    35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35,
    35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35,
    35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35, 35,
    35
};

/* The bytes that a request for `need` (at most PM__MEM_MAX) gets. */
static PM__INLINE size_t pm__mem_round(size_t need) {
    PM__CHECK2(need <= PM__MEM_MAX);
    return pm__mem_class_bytes[pm__mem_class_of[(need + PM__MEM_UNIT - 1) / PM__MEM_UNIT]];
}

/* ---- lent memory --------------------------------------------------------------------------------------------- */

#if PM_NO_MALLOC
/* Holes in the order of their addresses; none begins where another ends. Who gives a block back knows its size, so that
   blocks have no headers. */
typedef struct pm__mem_hole {
    struct pm__mem_hole *next;
    size_t bytes;
} pm__mem_hole;

static pm__mem_hole *pm__mem_holes;
static size_t pm__mem_lent, pm__mem_least;

static size_t pm__mem_lent_round(size_t n) { return n ? (n + 15) & ~(size_t)15 : 16; }

/* The first hole that is large enough gives what stands at its end. NULL: none is. */
static void *pm__mem_lent_take(size_t n) {
    if (n > PM__LEN_MAX) return NULL;
    n = pm__mem_lent_round(n);
    for (pm__mem_hole **at = &pm__mem_holes; *at; at = &(*at)->next) {
        pm__mem_hole *h = *at;
        if (h->bytes < n) continue;
        h->bytes -= n;
        if (!h->bytes) *at = h->next;
        pm__mem_lent -= n;
        if (pm__mem_lent < pm__mem_least) pm__mem_least = pm__mem_lent;
        return (char *)h + h->bytes;
    }
    return NULL;
}

static void pm__mem_lent_give(void *p, size_t n) {
    pm__mem_hole **at = &pm__mem_holes, *h = (pm__mem_hole *)p, *before = NULL;
    h->bytes = pm__mem_lent_round(n);
    pm__mem_lent += h->bytes;
    for (; *at && (uintptr_t)*at < (uintptr_t)h; at = &(*at)->next) before = *at;
    h->next = *at;
    if (h->next && (char *)h + h->bytes == (char *)h->next) {
        h->bytes += h->next->bytes;
        h->next = h->next->next;
    }
    *at = h;
    if (before && (char *)before + before->bytes == (char *)h) {
        before->bytes += h->bytes;
        before->next = h->next;
    }
}
#endif

PM_API pm_status pm_lend(void *memory, size_t bytes) {
    if (!memory || bytes < 64 || bytes > PM__LEN_MAX) return PM_INVALID;
#if PM_NO_MALLOC
    size_t gap = (size_t)(0 - (uintptr_t)memory) & 15;
    pm__mem_lent_give((char *)memory + gap, (bytes - gap) & ~(size_t)15);
    pm__mem_least = pm__mem_lent;
    return PM_OK;
#else
    return PM_INVALID;
#endif
}

PM_API size_t pm_lent_free(size_t *least) {
#if PM_NO_MALLOC
    if (least) *least = pm__mem_least;
    return pm__mem_lent;
#else
    if (least) *least = 0;
    return 0;
#endif
}

/* ---- buffers: paths, stacks, tables; no pool, no budget ------------------------------------------------------ */

static PM__INLINE void *pm__mem_alloc_big(size_t n) { return PM_MALLOC(n); }

static PM__INLINE void pm__mem_free_big(void *p, size_t n) {
    if (p) PM_FREE(p, n);
}

/* Moves a buffer (NULL when `old_size` is 0) into one of `new_size` bytes. NULL: no memory, the old one stays. */
static PM__UNUSED void *pm__mem_grow(void *p, size_t old_size, size_t new_size) {
    void *q = PM_MALLOC(new_size);
    if (!q) return NULL;
    if (old_size) memcpy(q, p, old_size < new_size ? old_size : new_size);
    pm__mem_free_big(p, old_size);
    return q;
}

/* Makes a full list of *cap items of `each` bytes twice as long, or `first` items if it had none. NULL: no memory, and
   nothing changed. */
static PM__UNUSED void *pm__mem_grow_list(void *list, size_t *cap, size_t each, size_t first) {
    size_t more = *cap ? *cap * 2 : first;
    void *grown = more > SIZE_MAX / 2 / each ? NULL : pm__mem_grow(list, *cap * each, more * each);
    if (grown) *cap = more;
    return grown;
}

/* What a pool does that looks after its blocks itself. Any thread may call these. */
typedef struct pm__backend {
    void *(*take)(pm_pool *pool, size_t size); /* any size; NULL: no room */
    void (*give)(pm_pool *pool, void *p);
    void (*count)(const pm_pool *pool, pm_pool_stats *out);
} pm__backend;

#if !PM_POOL

/* ---- nodes one by one: for memory checkers and special allocators -------------------------------------------- */

struct pm_pool {
    const pm__backend *backend;
    uint64_t budget;
    pm__a64 live, nodes, reserved;
};

static pm_pool pm__pool_default;

/* In front of each node: how to give it back to its pool's accounts. */
typedef union pm__mem_tag {
    pm_pool *pool;
    uint64_t align[2];
} pm__mem_tag;

static pm__mem_tag *pm__pool_take(pm_pool *pool, size_t size) {
    uint64_t total = size + sizeof(pm__mem_tag);
    if (pool->backend) return (pm__mem_tag *)pool->backend->take(pool, (size_t)total);
    uint64_t before = pm__a64_fetch_add_relaxed(&pool->reserved, total);
    pm__mem_tag *tag = NULL;
    if (pool->budget == 0 || before + total <= pool->budget) tag = (pm__mem_tag *)PM_MALLOC((size_t)total);
    if (!tag) {
        pm__a64_fetch_sub_relaxed(&pool->reserved, total);
        return NULL;
    }
    pm__a64_fetch_add_relaxed(&pool->live, size);
    pm__a64_fetch_add_relaxed(&pool->nodes, 1);
    return tag;
}

static PM__UNUSED void *pm__mem_alloc(pm_pool *pool, size_t size) {
    if (!pool) pool = &pm__pool_default;
    pm__mem_tag *tag = pm__pool_take(pool, size);
    if (!tag) return NULL;
    tag->pool = pool;
    return tag + 1;
}

static void *pm__mem_alloc_any(pm_pool *pool, size_t size) { return pm__mem_alloc(pool, size); }

static PM__UNUSED void pm__mem_free(void *p, size_t size) {
    pm__mem_tag *tag = (pm__mem_tag *)p - 1;
    pm_pool *pool = tag->pool;
    size_t total = size + sizeof(pm__mem_tag);
    if (pool->backend) {
        pool->backend->give(pool, tag);
        return;
    }
    PM_FREE(tag, total);
    pm__a64_fetch_sub_relaxed(&pool->reserved, total);
    pm__a64_fetch_sub_relaxed(&pool->live, size);
    /* Release: pairs with the acquire load in pm_pool_free, which must not free the accounts under our hands. */
    pm__a64_fetch_sub_release(&pool->nodes, 1);
}

static void pm__mem_free_any(void *p, size_t size) { pm__mem_free(p, size); }

PM_API pm_status pm_pool_new(const pm_pool_options *options, pm_pool **out) {
    if (!out) return PM_INVALID;
    pm_pool *pool = (pm_pool *)PM_MALLOC(sizeof *pool);
    if (!pool) return PM_NOMEM;
    pool->backend = NULL;
    pool->budget = options ? options->budget : 0;
    pm__store_relaxed(&pool->live, 0);
    pm__store_relaxed(&pool->nodes, 0);
    pm__store_relaxed(&pool->reserved, sizeof *pool);
    *out = pool;
    return PM_OK;
}

static pm_status pm__pool_end(pm_pool *pool) {
    if (pm__load_acquire(&pool->nodes) != 0) return PM_BUSY;
    PM_FREE(pool, sizeof *pool);
    return PM_OK;
}

static void pm__pool_report(pm_pool *pool, pm_pool_stats *out) {
    uint64_t live = pm__load_relaxed(&pool->live), nodes = pm__load_relaxed(&pool->nodes);
    *out = (pm_pool_stats){.reserved = pm__load_relaxed(&pool->reserved),
                           .in_slabs = live + nodes * sizeof(pm__mem_tag),
                           .live = live,
                           .nodes = nodes,
                           .budget = pool->budget};
}

PM_API void pm_pool_trim(pm_pool *pool) { (void)pool; }

#else

/* ---- types --------------------------------------------------------------------------------------------------- */

typedef struct pm__heap pm__heap;
typedef struct pm__chunk pm__chunk;
#if PM_NO_THREADS
typedef size_t pm__asize;
#else
typedef _Atomic(size_t) pm__asize;
#endif

typedef struct pm__slab {
    pm__aptr heap; /* set by whoever owns the slab; any thread reads it */
    void *free;    /* blocks ready for use, linked through their first word */
    struct pm__slab *next, *prev;
    struct pm__slab *next_notified;
    pm__chunk *chunk;
    pm__asize used; /* only the owner writes it. Below PM__USED_TAKEN: blocks handed out, those in `remote` included;
                       above: how often one was, so that who looks twice sees what came and went meanwhile */
    pm__a32 remote; /* blocks freed by other threads: PM__REMOTE_TOLD, offset of the top one / 16, their number */
    uint16_t fresh; /* offset / 16 of the first block never handed out; divided: bit i: part i is free */
    uint8_t cls;
    uint8_t shift; /* its size is 1 << shift; divided: that of its parts */
} pm__slab;

#define PM__USED_TAKEN ((size_t)1 << 16)
#define PM__USED(word) ((uint32_t)(word) & 0xffff)
#define PM__REMOTE_TOLD ((uint32_t)1 << 31)
#define PM__REMOTE_COUNT(word) ((word) & 0xffff)
#define PM__REMOTE_TOP(word) ((size_t)((word) >> 16 & 0x7fff) * PM__MEM_UNIT)

_Static_assert(sizeof(pm__slab) <= PM__SLAB_HEADER, "the slab header has 64 bytes");
_Static_assert(PM__MEM_CLASSES <= 64, "one bit per class");

struct pm__heap {
    pm__aptr owner; /* the thread's pm__mem_thread; NULL while detached; PM__HEAP_LOST; PM__HEAP_KEPT */
    pm__aptr notified;
    pm__lock lock; /* see the invariants */
    pm__a32 asked; /* pm_pool_trim would like the owner to give back what it keeps empty */
    pm_pool *pool;
    pm__heap *next_in_pool;
    pm__heap *next_detached;
    pm__heap *next_of_thread, **link_of_thread;
    uint64_t sticky; /* bit c: class c keeps its current slab even when it is empty */
    uint32_t parts[PM__MEM_CLASSES]; /* KB in parts of slabs; guarded by the pool's lock */
    pm__slab *partial[PM__MEM_CLASSES];
    pm__slab *current[PM__MEM_CLASSES];
};

/* The parts that slabs are divided into: their size, as a shift, and what a class of a heap has in parts, in KB, when
   it takes larger ones. Measured: with parts of 1 KB alone 5,000 random keys hold up to 39 bytes each, so 28. */
static const uint8_t pm__part_shift[PM__PART_SIZES] = {10, 12}, pm__part_most[PM__PART_SIZES] = {16, 64};

enum {
    PM__CHUNK_MIN = 256 * 1024,
    PM__CHUNK_MAX = 4 * 1024 * 1024,
    PM__CHUNK_WORDS = PM__CHUNK_MAX / PM__SLAB_BYTES / 64
};

struct pm__chunk {
    pm__chunk *next, **link; /* in the pool's open or full list */
    size_t bytes;            /* as taken from PM_MALLOC; this header is at the start of them */
    unsigned char *base;     /* the first slab */
    unsigned slabs, free_slabs;
    uint64_t free[PM__CHUNK_WORDS]; /* bit i: slab i is free */
};

struct pm_pool {
    uint64_t id; /* never used twice, so that a thread's cache cannot take a new pool for a freed one */
    const pm__backend *backend; /* NULL, or the pool's id is PM__POOL_KEPT and nothing below is used */
    uint64_t budget;
    pm__lock lock; /* guards everything below, and the lists of detached heaps */
    uint64_t reserved;
    uint64_t large, larges; /* of the caller's blocks that no class has room for: bytes, blocks */
    unsigned empty_chunks;
    pm__chunk *open, *full; /* chunks with and without a free slab */
    pm__slab *divided[PM__PART_SIZES]; /* slabs that have a free part */
    pm__heap *heaps, *detached;
    pm_pool *next, **link; /* in the registry's list, guarded by its lock */
};

/* No thread has a heap of a pool with a backend: this id is in no cache. The owner is that of the one heap which its
   slabs name; it is no thread's address. No more is that of heaps whose threads a fork has left behind. */
#define PM__POOL_KEPT UINT64_MAX
#define PM__HEAP_KEPT ((void *)(uintptr_t)1)
#define PM__HEAP_LOST ((void *)(uintptr_t)2)

enum { PM__HEAP_CACHE = 4 };

typedef struct pm__mem_thread {
    pm__heap *heap;  /* of the default pool */
    pm__heap *heaps; /* all heaps of this thread; guarded by the registry's lock */
    bool registered; /* its end will be noticed */
    struct {
        uint64_t id;
        pm__heap *heap;
    } cache[PM__HEAP_CACHE]; /* of other pools, by id */
} pm__mem_thread;

static pm_pool pm__pool_default;
static PM__THREAD_LOCAL pm__mem_thread pm__mem_self;

/* Which heaps belong to which thread, the pools, and the next pool id. */
static struct {
    pm__lock lock;
    uint64_t last_pool_id;
    pm_pool *pools; /* all but the default one, and those with a backend */
#if !PM_NO_THREADS
    bool has_key, sees_forks;
    pm__key key;
#endif
} pm__mem_registry;

/* ---- chunks: called with the pool's lock held, unless said otherwise ----------------------------------------- */

/* The two places where a pool's memory comes from and goes to; without the lock. */
static void *pm__pool_take_bytes(size_t bytes) {
#if PM__HUGE_PAGE
    if (bytes % PM__HUGE_PAGE == 0) {
        void *p = aligned_alloc(PM__HUGE_PAGE, bytes);
        if (p) (void)madvise(p, bytes, PM__MADV_HUGEPAGE); /* a wish, which may be refused */
        return p;
    }
#endif
    return PM_MALLOC(bytes);
}
static void pm__pool_give_bytes(void *p, size_t bytes) { PM_FREE(p, bytes); }

static bool pm__pool_reserve(pm_pool *pool, uint64_t bytes) {
    if (pool->budget && (bytes > pool->budget || pool->reserved > pool->budget - bytes)) return false;
    pool->reserved += bytes;
    return true;
}

static void pm__chunk_link(pm__chunk **list, pm__chunk *c) {
    c->next = *list;
    c->link = list;
    if (c->next) c->next->link = &c->next;
    *list = c;
}

static void pm__chunk_unlink(pm__chunk *c) {
    *c->link = c->next;
    if (c->next) c->next->link = c->link;
}

static pm__chunk *pm__chunk_init(void *raw, size_t bytes) {
    pm__chunk *c = (pm__chunk *)raw;
    uintptr_t start = (uintptr_t)raw + sizeof *c, mask = PM__SLAB_BYTES - 1;
    size_t skip = sizeof *c + (size_t)((0 - start) & mask);
    memset(c, 0, sizeof *c);
    c->bytes = bytes;
    c->base = (unsigned char *)raw + skip;
    c->slabs = c->free_slabs = (unsigned)((bytes - skip) / PM__SLAB_BYTES);
    for (unsigned i = 0; i < c->slabs; i++) c->free[i / 64] |= (uint64_t)1 << (i % 64);
    return c;
}

/* Takes one more chunk; chunks grow with the pool so that their number stays small. Without the lock. */
static PM__COLD bool pm__pool_grow(pm_pool *pool) {
    const size_t least = 2 * PM__SLAB_BYTES + sizeof(pm__chunk); /* holds one slab wherever it starts */
    size_t want = PM__CHUNK_MIN;
    pm__lock_acquire(&pool->lock);
    while (want < PM__CHUNK_MAX && want < pool->reserved / 4) want *= 2;
    if (pool->budget && want > pool->budget - pool->reserved) want = (size_t)(pool->budget - pool->reserved);
    bool granted = want >= least && pm__pool_reserve(pool, want);
    pm__lock_release(&pool->lock);
    if (!granted) return false;
    size_t bytes = want;
    void *raw = pm__pool_take_bytes(bytes);
    if (!raw && want > least) {
        bytes = least;
        raw = pm__pool_take_bytes(bytes);
    }
    pm__chunk *c = raw ? pm__chunk_init(raw, bytes) : NULL;
    pm__lock_acquire(&pool->lock);
    pool->reserved -= raw ? want - bytes : want;
    if (c) {
        pm__chunk_link(&pool->open, c);
        pool->empty_chunks++;
    }
    pm__lock_release(&pool->lock);
    return c != NULL;
}

static pm__slab *pm__pool_take_slab(pm_pool *pool) {
    pm__chunk *c = pool->open;
    if (!c) return NULL;
    unsigned word = 0;
    while (c->free[word] == 0) word++;
    unsigned i = word * 64 + pm__ctz64(c->free[word]);
    c->free[word] &= c->free[word] - 1;
    if (c->free_slabs == c->slabs) pool->empty_chunks--;
    if (--c->free_slabs == 0) {
        pm__chunk_unlink(c);
        pm__chunk_link(&pool->full, c);
    }
    pm__slab *s = (pm__slab *)(void *)(c->base + (size_t)i * PM__SLAB_BYTES);
    s->chunk = c;
    s->shift = PM__SLAB_SHIFT;
    return s;
}

/* What divided slabs name as their heap. It has nothing. */
static pm__heap pm__heap_divided;

/* The first part starts behind the header of the divided slab. */
static pm__slab *pm__slab_part(pm__slab *whole, size_t i) {
    return (pm__slab *)(void *)((unsigned char *)whole + (i ? i << whole->shift : PM__SLAB_HEADER));
}

static PM__INLINE void *pm__slab_whole(const void *p) {
    return (void *)((uintptr_t)p & ~(uintptr_t)(PM__SLAB_BYTES - 1));
}

/* The part of a divided slab that has p. */
static pm__slab *pm__slab_part_of(pm__slab *whole, const void *p) {
    return pm__slab_part(whole, ((uintptr_t)p & (PM__SLAB_BYTES - 1)) >> whole->shift);
}

static PM__INLINE unsigned pm__slab_parts(const pm__slab *whole) { return PM__SLAB_BYTES >> whole->shift; }

static PM__INLINE uint16_t pm__slab_all_parts(const pm__slab *whole) {
    return (uint16_t)(((uint32_t)1 << pm__slab_parts(whole)) - 1);
}

static PM__INLINE bool pm__slab_is_part(const pm__slab *s) { return (size_t)1 << s->shift < PM__SLAB_BYTES; }

/* Bytes from the slab's header to its end. */
static PM__INLINE uint32_t pm__slab_bytes(const pm__slab *s) {
    uint32_t all = (uint32_t)1 << s->shift;
    return all - (uint32_t)((uintptr_t)s & (all - 1));
}

/* The list that a divided slab is in while it has a free part. */
static pm__slab **pm__pool_divided(pm_pool *pool, const pm__slab *whole) {
    return &pool->divided[whole->shift != pm__part_shift[0]];
}

static void pm__pool_list_divided(pm_pool *pool, pm__slab *whole) {
    pm__slab **list = pm__pool_divided(pool, whole);
    whole->prev = NULL;
    whole->next = *list;
    if (whole->next) whole->next->prev = whole;
    *list = whole;
}

static void pm__pool_unlist_divided(pm_pool *pool, pm__slab *whole) {
    if (whole->prev) whole->prev->next = whole->next;
    else *pm__pool_divided(pool, whole) = whole->next;
    if (whole->next) whole->next->prev = whole->prev;
}

/* A part of the size that is number `size` in pm__part_shift. */
static pm__slab *pm__pool_take_part(pm_pool *pool, unsigned size) {
    pm__slab *whole = pool->divided[size];
    if (!whole) {
        whole = pm__pool_take_slab(pool);
        if (!whole) return NULL;
        whole->free = NULL;
        pm__store_relaxed(&whole->used, 0);
        whole->shift = pm__part_shift[size];
        whole->fresh = pm__slab_all_parts(whole);
        pm__store_release(&whole->heap, (void *)&pm__heap_divided); /* pairs with the load in pm__mem_free_slow */
        pm__pool_list_divided(pool, whole);
    }
    unsigned i = pm__ctz64(whole->fresh);
    whole->fresh &= (uint16_t)(whole->fresh - 1);
    if (!whole->fresh) pm__pool_unlist_divided(pool, whole);
    pm__slab *s = pm__slab_part(whole, i);
    s->chunk = whole->chunk;
    s->shift = whole->shift;
    return s;
}

/* KB of a part: what pm__heap counts. */
static PM__INLINE uint32_t pm__slab_kilobytes(const pm__slab *s) {
    return pm__slab_is_part(s) ? (uint32_t)1 << (s->shift - 10) : 0;
}

/* Takes a part back. Returns the divided slab if that was its last part in use. */
static pm__slab *pm__pool_put_part(pm_pool *pool, pm__slab *s) {
    pm__slab *whole = (pm__slab *)pm__slab_whole(s);
    ((pm__heap *)pm__load_relaxed(&s->heap))->parts[s->cls] -= pm__slab_kilobytes(s);
    if (!whole->fresh) pm__pool_list_divided(pool, whole);
    whole->fresh |= (uint16_t)(1u << (((uintptr_t)s & (PM__SLAB_BYTES - 1)) >> whole->shift));
    if (whole->fresh != pm__slab_all_parts(whole)) return NULL;
    pm__pool_unlist_divided(pool, whole);
    return whole;
}

/* Behind all others, so that it is used last and can be given back. */
static void pm__pool_move_last(pm_pool *pool, pm__chunk *c) {
    pm__chunk_unlink(c);
    pm__chunk **end = &pool->open;
    while (*end) end = &(*end)->next;
    pm__chunk_link(end, c);
}

/* One empty chunk is kept against allocation that swings around a boundary; a second one goes to `dead`. */
static void pm__pool_put_slab(pm_pool *pool, pm__slab *s, pm__chunk **dead) {
    if (pm__slab_is_part(s) && !(s = pm__pool_put_part(pool, s))) return;
    pm__chunk *c = s->chunk;
    size_t i = (size_t)((unsigned char *)s - c->base) / PM__SLAB_BYTES;
    c->free[i / 64] |= (uint64_t)1 << (i % 64);
    if (c->free_slabs++ == 0) {
        pm__chunk_unlink(c);
        /* Behind the one in use: slabs that are current at the same time shall lie close together. */
        pm__chunk_link(pool->open ? &pool->open->next : &pool->open, c);
    }
    if (c->free_slabs < c->slabs) return;
    if (pool->empty_chunks == 0) {
        pool->empty_chunks = 1;
        pm__pool_move_last(pool, c);
        return;
    }
    pm__chunk_unlink(c);
    pool->reserved -= c->bytes;
    c->next = *dead;
    *dead = c;
}

/* Takes back a chain of empty slabs. */
static void pm__pool_put_slabs(pm_pool *pool, pm__slab *chain, pm__chunk **dead) {
    while (chain) {
        pm__slab *next = chain->next;
        pm__pool_put_slab(pool, chain, dead);
        chain = next;
    }
}

/* Without the lock. */
static void pm__chunks_give(pm__chunk *dead) {
    while (dead) {
        pm__chunk *next = dead->next;
        pm__pool_give_bytes(dead, dead->bytes);
        dead = next;
    }
}

/* The same for an owner who does not hold the lock. */
static void pm__pool_return(pm_pool *pool, pm__slab *chain) {
    pm__chunk *dead = NULL;
    if (!chain) return;
    pm__lock_acquire(&pool->lock);
    pm__pool_put_slabs(pool, chain, &dead);
    pm__lock_release(&pool->lock);
    pm__chunks_give(dead);
}

/* ---- slabs: called by the heap's owner, or for a detached heap with the pool's lock held --------------------- */

/* Makes blocks of the part never used; a few kilobytes at a time, so that a small map touches little memory. */
static bool pm__slab_extend(pm__slab *s) {
    uint32_t size = pm__mem_class_bytes[s->cls], limit = pm__slab_bytes(s) - size;
    uint32_t at = (uint32_t)s->fresh * PM__MEM_UNIT;
    if (at > limit) return false;
    uint32_t stop = at + 2048 < limit ? at + 2048 : limit;
    unsigned char *base = (unsigned char *)s, *first = base + at;
    for (; at + size <= stop; at += size) *(void **)(void *)(base + at) = base + at + size;
    *(void **)(void *)(base + at) = NULL;
    s->fresh = (uint16_t)((at + size) / PM__MEM_UNIT);
    pm__fence_compiler(); /* a fork may fall here: better lose blocks than have a list without an end */
    s->free = first;
    return true;
}

static void pm__slab_list(pm__heap *heap, pm__slab *s) {
    s->prev = NULL;
    s->next = heap->partial[s->cls];
    if (s->next) s->next->prev = s;
    heap->partial[s->cls] = s;
}

static void pm__slab_unlist(pm__heap *heap, pm__slab *s) {
    if (s->prev) s->prev->next = s->next;
    else heap->partial[s->cls] = s->next;
    if (s->next) s->next->prev = s->prev;
}

static void pm__slab_init(pm__heap *heap, pm__slab *s, unsigned cls) {
    s->free = NULL;
    heap->parts[cls] += pm__slab_kilobytes(s);
    pm__store_relaxed(&s->used, 0);
    pm__store_relaxed(&s->remote, 0);
    s->fresh = PM__SLAB_HEADER / PM__MEM_UNIT;
    s->cls = (uint8_t)cls;
    /* Release: pairs with the acquire load in pm__slab_tell. */
    pm__store_release(&s->heap, heap);
}

/* Takes one block of a slab that has some ready. */
static PM__INLINE void *pm__slab_pop(pm__slab *s) {
    void *p = s->free;
    s->free = *(void **)p;
    pm__store_relaxed(&s->used, pm__load_relaxed(&s->used) + PM__USED_TAKEN + 1);
    return p;
}

static PM__INLINE void pm__slab_push(pm__slab *s, void *p, size_t used) {
    *(void **)p = s->free;
    pm__fence_compiler(); /* a fork may fall here, as in pm__slab_extend */
    s->free = p;
    /* Last, and release: pairs with the acquire load in pm__slab_live. */
    pm__store_release(&s->used, used);
}

#if PM_NO_THREADS
static void pm__slab_put(pm__slab *s, void *p);
#endif

/* Gives a block back to a slab that had none ready, or of which it is the last one. */
static PM__NOINLINE void pm__slab_put_slow(pm__slab *s, void *p) {
    pm__heap *heap = (pm__heap *)pm__load_relaxed(&s->heap);
    pm_pool *pool = heap->pool;
#if PM_NO_THREADS
    /* Without threads nothing is asked before this. The list of a kept or divided slab is always empty, so it comes
       here. */
    if (pm__load_relaxed(&heap->owner) == PM__HEAP_KEPT) {
        pool->backend->give(pool, p);
        return;
    }
    if (heap == &pm__heap_divided) {
        pm__slab_put(pm__slab_part_of(s, p), p);
        return;
    }
#endif
    size_t used = pm__load_relaxed(&s->used) - 1;
    bool current = heap->current[s->cls] == s, empty = PM__USED(used) == 0;
    if (current && !(empty && !(heap->sticky >> s->cls & 1))) {
        pm__slab_push(s, p, used);
    } else if (!empty) {
        pm__lock_acquire(&heap->lock);
        pm__slab_list(heap, s);
        pm__slab_push(s, p, used);
        pm__lock_release(&heap->lock);
    } else {
        pm__chunk *dead = NULL;
        pm__lock_acquire(&pool->lock);
        if (current) heap->current[s->cls] = NULL;
        else if (s->free) pm__slab_unlist(heap, s);
        pm__pool_put_slab(pool, s, &dead);
        pm__lock_release(&pool->lock);
        pm__chunks_give(dead);
    }
}

static PM__INLINE void pm__slab_put(pm__slab *s, void *p) {
    void *old = s->free;
    size_t used = pm__load_relaxed(&s->used) - 1;
    if (PM__UNLIKELY(!old || PM__USED(used) == 0)) {
        pm__slab_put_slow(s, p);
        return;
    }
    pm__slab_push(s, p, used);
}

/* ---- blocks freed by other threads --------------------------------------------------------------------------- */

#if !PM_NO_THREADS
/* Puts a slab on its heap's `notified` list. The heap may change until it is there; pm__heap_collect forwards late
   comers. */
static void pm__slab_tell(pm__slab *s) {
    pm__heap *heap = (pm__heap *)pm__load_acquire(&s->heap);
    void *top = pm__load_relaxed(&heap->notified);
    do s->next_notified = (pm__slab *)top;
    while (!pm__aptr_cas(&heap->notified, &top, s)); /* pairs with the exchange in pm__heap_collect */
}

/* The heap is told first: as soon as the block is in the list, the pool may be gone. The owner may look meanwhile, find
   no block, and have to be told once more. */
static void pm__slab_put_remote(pm__slab *s, void *p) {
    unsigned char *base = (unsigned char *)s;
    uint32_t offset = (uint32_t)((unsigned char *)p - base) / PM__MEM_UNIT;
    uint32_t old = pm__load_relaxed(&s->remote);
    for (;;) {
        if (!(old & PM__REMOTE_TOLD)) {
            if (!pm__a32_cas(&s->remote, &old, PM__REMOTE_TOLD)) continue;
            pm__slab_tell(s);
            old = pm__load_relaxed(&s->remote);
            continue;
        }
        *(void **)p = PM__REMOTE_COUNT(old) ? base + PM__REMOTE_TOP(old) : NULL;
        uint32_t more = PM__REMOTE_TOLD | offset << 16 | (PM__REMOTE_COUNT(old) + 1);
        if (pm__a32_cas(&s->remote, &old, more)) return; /* pairs with pm__slab_absorb, pm__slab_live */
    }
}

/* After a slab's `free` list has grown: puts it where it belongs, with `used` as it is to be. Returns a slab to be
   given back, or NULL; the former counts as used until the pool has it. */
static pm__slab *pm__slab_settle(pm__heap *heap, pm__slab *s, bool was_listed, size_t used) {
    bool empty = PM__USED(used) == 0;
    if (heap->current[s->cls] == s) {
        if (empty && !(heap->sticky >> s->cls & 1)) {
            heap->current[s->cls] = NULL;
            return s;
        }
    } else if (empty) {
        if (was_listed) pm__slab_unlist(heap, s);
        return s;
    } else if (!was_listed) {
        pm__slab_list(heap, s);
    }
    /* Release: pairs with the acquire load in pm__slab_live. */
    pm__store_release(&s->used, used);
    return NULL;
}

/* Moves the remote blocks of a slab that has left its heap's list to the free list. Empty slabs go to *empties. */
static void pm__slab_absorb(pm__heap *heap, pm__slab *s, pm__slab **empties) {
    uint32_t remote = pm__a32_exchange(&s->remote, 0), n = PM__REMOTE_COUNT(remote);
    if (n == 0) return; /* the block is still to come, and the heap will be told again */
    void *top = (unsigned char *)s + PM__REMOTE_TOP(remote);
    bool had_free = s->free != NULL;
    if (had_free) {
        void **last = (void **)top;
        while (*last) last = (void **)*last;
        *last = s->free;
    }
    s->free = top;
    pm__slab *empty = pm__slab_settle(heap, s, had_free, pm__load_relaxed(&s->used) - n);
    if (!empty) return;
    empty->next = *empties;
    *empties = empty;
}
#endif

/* The blocks of a slab that are alive. Never too few while nobody absorbs: `used` is read last, and acquire, so that
   every block in `remote` has been counted when it was taken, and all use of the others is over. */
static uint32_t pm__slab_live(const pm__slab *s, size_t *used) {
    uint32_t remote = pm__load_acquire(&s->remote);
    *used = pm__load_acquire(&s->used);
    return PM__USED(*used) - PM__REMOTE_COUNT(remote);
}

/* Takes in what other threads have freed. Slabs that are empty now go to *empties, for pm__pool_put_slabs. */
static void pm__heap_collect(pm__heap *heap, pm__slab **empties) {
#if PM_NO_THREADS
    (void)heap;
    (void)empties;
#else
    if (!pm__load_relaxed(&heap->notified)) return;
    pm__slab *s = (pm__slab *)pm__aptr_exchange(&heap->notified, NULL);
    while (s) {
        pm__slab *next = s->next_notified; /* read first: once absorbed, the slab can be told of again */
        if (pm__load_relaxed(&s->heap) == heap) pm__slab_absorb(heap, s, empties);
        else pm__slab_tell(s);
        s = next;
    }
#endif
}

/* Empty slabs that were kept for the next allocation. */
static void pm__heap_shrink(pm__heap *heap, pm__slab **empties) {
    for (unsigned c = 0; c < PM__MEM_CLASSES; c++) {
        pm__slab *s = heap->current[c];
        if (!s || PM__USED(pm__load_relaxed(&s->used)) != 0) continue;
        heap->current[c] = NULL;
        s->next = *empties;
        *empties = s;
    }
}

#if !PM_NO_THREADS
/* Takes a slab that others have told of out of a heap whose owner may be at work, if it may be taken. */
static bool pm__slab_claim(pm__heap *heap, pm__slab *s) {
    bool current = heap->current[s->cls] == s;
    size_t used;
    if ((current && pm__load_relaxed(&heap->owner) != PM__HEAP_LOST) || pm__slab_live(s, &used)) return false;
    if (current) heap->current[s->cls] = NULL;
    else if (s->free) pm__slab_unlist(heap, s);
    return true;
}

/* Takes the slabs without live blocks from another thread's heap, or a lost one, with both locks. */
static void pm__heap_claim(pm__heap *heap, pm__slab **empties) {
    pm__slab *s = (pm__slab *)pm__aptr_exchange(&heap->notified, NULL);
    while (s) {
        pm__slab *next = s->next_notified;
        if (pm__load_relaxed(&s->heap) == heap && pm__slab_claim(heap, s)) {
            s->next = *empties;
            *empties = s;
        } else {
            pm__slab_tell(s);
        }
        s = next;
    }
}
#endif

/* ---- heaps and threads --------------------------------------------------------------------------------------- */

/* A detached heap's slab of the class that has room; it leaves that heap. With the pool's lock. */
static pm__slab *pm__heap_lend_slab(pm__heap *heap, unsigned cls) {
    pm__slab *s = heap->current[cls];
    if (s) {
        heap->current[cls] = NULL;
        if (s->free || pm__slab_extend(s)) return s;
    }
    s = heap->partial[cls];
    if (s) pm__slab_unlist(heap, s);
    return s;
}

/* The current slab if it has room, or one of the heap's that is made current. */
static pm__slab *pm__heap_ready(pm__heap *heap, unsigned cls) {
    pm__slab *s = heap->current[cls];
    if (s && (s->free || pm__slab_extend(s))) return s;
    s = heap->partial[cls];
    if (!s) return NULL;
    pm__slab_unlist(heap, s);
    heap->current[cls] = s;
    return s;
}

/* A slab for `heap`, of a detached heap or a fresh one, made current. With the pool's lock. */
static pm__slab *pm__pool_pick_slab(pm_pool *pool, pm__heap *heap, unsigned cls, pm__chunk **dead) {
    pm__slab *s = NULL;
    for (pm__heap *h = pool->detached; h && !s; h = h->next_detached) {
        pm__slab *empties = NULL;
        if (h == heap) continue;
        pm__heap_collect(h, &empties);
        pm__pool_put_slabs(pool, empties, dead);
        s = pm__heap_lend_slab(h, cls);
    }
    if (s) {
        ((pm__heap *)pm__load_relaxed(&s->heap))->parts[cls] -= pm__slab_kilobytes(s);
        heap->parts[cls] += pm__slab_kilobytes(s);
        pm__store_release(&s->heap, heap); /* pairs with the acquire load in pm__slab_tell */
    } else {
        unsigned size = pm__mem_class_bytes[cls] > PM__PART_BLOCK ? PM__PART_SIZES : 0;
        while (size < PM__PART_SIZES && heap->parts[cls] >= pm__part_most[size]) size++;
        s = size < PM__PART_SIZES ? pm__pool_take_part(pool, size) : pm__pool_take_slab(pool);
        if (!s) return NULL;
        pm__slab_init(heap, s, cls);
        pm__slab_extend(s);
    }
    heap->current[cls] = s;
    return s;
}

static pm__slab *pm__pool_find_slab(pm_pool *pool, pm__heap *heap, unsigned cls) {
    pm__chunk *dead = NULL;
    pm__lock_acquire(&pool->lock);
    pm__slab *s = pm__pool_pick_slab(pool, heap, cls, &dead);
    pm__lock_release(&pool->lock);
    pm__chunks_give(dead);
    return s;
}

/* Takes in whatever is empty, in all heaps; what only another thread can give is requested of it. With the pool's lock.
   */
static PM__COLD void pm__pool_collect(pm_pool *pool, pm__chunk **dead) {
    for (pm__heap *h = pool->heaps; h; h = h->next_in_pool) {
        pm__slab *empties = NULL;
        void *owner = pm__load_relaxed(&h->owner);
#if !PM_NO_THREADS
        if (owner && owner != (void *)&pm__mem_self) {
            pm__lock_acquire(&h->lock);
            pm__heap_claim(h, &empties);
            if (owner == PM__HEAP_LOST) pm__heap_shrink(h, &empties);
            pm__lock_release(&h->lock);
            pm__store_relaxed(&h->asked, 1);
            pm__pool_put_slabs(pool, empties, dead);
            continue;
        }
#endif
        (void)owner;
        pm__heap_collect(h, &empties);
        pm__heap_shrink(h, &empties);
        pm__pool_put_slabs(pool, empties, dead);
    }
}

static void pm__pool_collect_now(pm_pool *pool) {
    pm__chunk *dead = NULL;
    pm__lock_acquire(&pool->lock);
    pm__pool_collect(pool, &dead);
    pm__lock_release(&pool->lock);
    pm__chunks_give(dead);
}

/* A slab of the heap's own: with what others have freed, and what was requested given away. */
static pm__slab *pm__heap_tidy(pm__heap *heap, unsigned cls) {
    pm__slab *empties = NULL;
    pm__lock_acquire(&heap->lock);
    pm__heap_collect(heap, &empties);
    if (pm__load_relaxed(&heap->asked)) {
        pm__store_relaxed(&heap->asked, 0);
        pm__heap_shrink(heap, &empties);
    }
    pm__slab *s = pm__heap_ready(heap, cls);
    pm__lock_release(&heap->lock);
    pm__pool_return(heap->pool, empties);
    return s;
}

/* Makes current[cls] a slab with a block ready. */
static pm__slab *pm__heap_refill(pm__heap *heap, unsigned cls) {
    pm_pool *pool = heap->pool;
    pm__slab *s = heap->current[cls];
    if (s && !pm__load_relaxed(&heap->notified) && (s->free || pm__slab_extend(s))) return s;
    s = pm__heap_tidy(heap, cls);
    if (s) return s;
    /* A class that comes back for its only slab is better off keeping it; one that needs more gives all back, or the
       last slabs of a dropped map could hold a chunk each. */
    uint64_t bit = (uint64_t)1 << cls;
    heap->sticky = heap->current[cls] ? heap->sticky & ~bit : heap->sticky | bit;
    s = pm__pool_find_slab(pool, heap, cls);
    while (!s && pm__pool_grow(pool)) s = pm__pool_find_slab(pool, heap, cls);
    if (s) return s;
    /* The last resort: slabs kept empty for other classes, and those that other threads have not taken in. */
    pm__pool_collect_now(pool);
    return pm__pool_find_slab(pool, heap, cls);
}

/* With both locks, as below. */
static void pm__heap_own(pm__mem_thread *self, pm__heap *heap) {
    heap->next_of_thread = self->heaps;
    heap->link_of_thread = &self->heaps;
    if (heap->next_of_thread) heap->next_of_thread->link_of_thread = &heap->next_of_thread;
    self->heaps = heap;
    pm__store_relaxed(&heap->owner, self);
}

/* Does nothing for a heap that nobody owns. */
static void pm__heap_disown(pm__heap *heap) {
    void *owner = pm__load_relaxed(&heap->owner);
    if (!owner || owner == PM__HEAP_LOST) return;
    *heap->link_of_thread = heap->next_of_thread;
    if (heap->next_of_thread) heap->next_of_thread->link_of_thread = heap->link_of_thread;
    pm__store_relaxed(&heap->owner, NULL);
}

/* ---- forks --------------------------------------------------------------------------------------------------- */

#if PM__FORKS
/* The registry is locked by the caller: the default pool, then the others. */
static pm_pool *pm__pool_after(const pm_pool *pool) {
    return pool == &pm__pool_default ? pm__mem_registry.pools : pool->next;
}

static void pm__mem_before_fork(void) {
    pm__lock_acquire(&pm__mem_registry.lock);
    for (pm_pool *p = &pm__pool_default; p; p = pm__pool_after(p)) pm__lock_acquire(&p->lock);
    for (pm_pool *p = &pm__pool_default; p; p = pm__pool_after(p))
        for (pm__heap *h = p->heaps; h; h = h->next_in_pool) pm__lock_acquire(&h->lock);
}

static void pm__mem_after_fork(void) {
    for (pm_pool *p = &pm__pool_default; p; p = pm__pool_after(p)) {
        for (pm__heap *h = p->heaps; h; h = h->next_in_pool) pm__lock_release(&h->lock);
        pm__lock_release(&p->lock);
    }
    pm__lock_release(&pm__mem_registry.lock);
}

/* Of all threads only the one that forked is left. A new one may get the address of another's variables. */
static void pm__mem_in_child(void) {
    pm__wait_forked();
    for (pm_pool *p = &pm__pool_default; p; p = pm__pool_after(p)) {
        for (pm__heap *h = p->heaps; h; h = h->next_in_pool) {
            void *owner = pm__load_relaxed(&h->owner);
            if (owner && owner != (void *)&pm__mem_self) pm__store_relaxed(&h->owner, PM__HEAP_LOST);
        }
    }
    pm__mem_after_fork();
}
#endif

/* Once, before there is a heap. With the registry's lock. */
PM__UNUSED static void pm__mem_watch_forks(void) {
#if PM__FORKS
    if (!pm__mem_registry.sees_forks)
        pm__mem_registry.sees_forks = pthread_atfork(pm__mem_before_fork, pm__mem_after_fork, pm__mem_in_child) == 0;
#endif
}

#if !PM_NO_THREADS
/* The end of a thread. Its variables still exist: should a later destructor use a pool again, the thread registers
   anew. */
static PM__COLD void pm__mem_thread_end(void *arg) {
    pm__mem_thread *self = (pm__mem_thread *)arg;
    pm__chunk *dead = NULL;
    pm__lock_acquire(&pm__mem_registry.lock);
    while (self->heaps) {
        pm__heap *heap = self->heaps;
        pm_pool *pool = heap->pool;
        pm__slab *empties = NULL;
        pm__lock_acquire(&pool->lock);
        pm__heap_disown(heap);
        pm__heap_collect(heap, &empties);
        pm__heap_shrink(heap, &empties);
        pm__pool_put_slabs(pool, empties, &dead);
        heap->next_detached = pool->detached;
        pool->detached = heap;
        pm__lock_release(&pool->lock);
    }
    pm__lock_release(&pm__mem_registry.lock);
    pm__chunks_give(dead);
    memset(self, 0, sizeof *self);
}

/* Arranges for pm__mem_thread_end. Without it a thread gets no heap, because what it left would be lost. */
static bool pm__mem_thread_register(pm__mem_thread *self) {
    pm__lock_acquire(&pm__mem_registry.lock);
    if (!pm__mem_registry.has_key)
        pm__mem_registry.has_key = pm__key_make(&pm__mem_registry.key, pm__mem_thread_end);
    bool ok = pm__mem_registry.has_key;
    pm__mem_watch_forks();
    pm__lock_release(&pm__mem_registry.lock);
    self->registered = ok && pm__key_set(pm__mem_registry.key, self);
    return self->registered;
}
#endif

/* This thread's heap of the pool if it has one, or else a detached one. */
static pm__heap *pm__heap_find(pm__mem_thread *self, pm_pool *pool) {
    pm__lock_acquire(&pm__mem_registry.lock);
    pm__heap *heap = self->heaps;
    while (heap && heap->pool != pool) heap = heap->next_of_thread;
    if (!heap) {
        pm__lock_acquire(&pool->lock);
        heap = pool->detached;
        if (heap) {
            pool->detached = heap->next_detached;
            pm__heap_own(self, heap);
        }
        pm__lock_release(&pool->lock);
    }
    pm__lock_release(&pm__mem_registry.lock);
    return heap;
}

/* A heap for the thread; `self` NULL: a detached one. */
static PM__COLD pm__heap *pm__heap_new(pm__mem_thread *self, pm_pool *pool) {
    pm__lock_acquire(&pool->lock);
    bool granted = pm__pool_reserve(pool, sizeof(pm__heap));
    pm__lock_release(&pool->lock);
    if (!granted) return NULL;
    pm__heap *heap = (pm__heap *)pm__pool_take_bytes(sizeof *heap);
    pm__lock_acquire(&pm__mem_registry.lock);
    pm__lock_acquire(&pool->lock);
    if (heap) {
        memset((void *)heap, 0, sizeof *heap);
        heap->pool = pool;
        heap->next_in_pool = pool->heaps;
        pool->heaps = heap;
        if (self) {
            pm__heap_own(self, heap);
        } else {
            heap->next_detached = pool->detached;
            pool->detached = heap;
        }
    } else {
        pool->reserved -= sizeof(pm__heap);
    }
    pm__lock_release(&pool->lock);
    pm__lock_release(&pm__mem_registry.lock);
    return heap;
}

/* The calling thread's heap of a pool, found or made, and remembered for the fast path. */
static PM__COLD pm__heap *pm__heap_attach(pm_pool *pool) {
    pm__mem_thread *self = &pm__mem_self;
    pm__heap *heap = pm__heap_find(self, pool);
    if (!heap) heap = pm__heap_new(self, pool);
    if (!heap) { /* chunks may hold all that the budget allows, and nothing be alive in them */
        pm_pool_trim(pool);
        heap = pm__heap_new(self, pool);
    }
    if (!heap) return NULL;
    if (pool == &pm__pool_default) {
        self->heap = heap;
    } else {
        self->cache[pool->id % PM__HEAP_CACHE].id = pool->id;
        self->cache[pool->id % PM__HEAP_CACHE].heap = heap;
    }
    return heap;
}

/* The heap of the fast path, or NULL. */
static PM__INLINE pm__heap *pm__heap_get(const pm_pool *pool) {
    if (PM__LIKELY(!pool)) return pm__mem_self.heap;
    unsigned slot = (unsigned)(pool->id % PM__HEAP_CACHE);
    return pm__mem_self.cache[slot].id == pool->id ? pm__mem_self.cache[slot].heap : NULL;
}

/* ---- allocation ---------------------------------------------------------------------------------------------- */

#if !PM_NO_THREADS
/* A block of a detached heap. *any tells whether there was such a heap. */
static void *pm__pool_take_block(pm_pool *pool, unsigned cls, bool *any) {
    pm__chunk *dead = NULL;
    void *p = NULL;
    pm__lock_acquire(&pool->lock);
    pm__heap *heap = pool->detached;
    *any = heap != NULL;
    if (heap) {
        pm__slab *empties = NULL;
        pm__heap_collect(heap, &empties);
        pm__pool_put_slabs(pool, empties, &dead);
        pm__slab *s = pm__heap_ready(heap, cls);
        if (!s) s = pm__pool_pick_slab(pool, heap, cls, &dead);
        if (s) p = pm__slab_pop(s);
    }
    pm__lock_release(&pool->lock);
    pm__chunks_give(dead);
    return p;
}

/* The same, for a thread whose end would go unnoticed: nothing is kept for it. */
static void *pm__mem_alloc_bare(pm_pool *pool, unsigned cls) {
    bool any, last = false;
    for (;;) {
        void *p = pm__pool_take_block(pool, cls, &any);
        if (p || last) return p;
        if (any ? pm__pool_grow(pool) : pm__heap_new(NULL, pool) != NULL) continue;
        pm__pool_collect_now(pool);
        last = true;
    }
}
#endif

static PM__NOINLINE void *pm__mem_alloc_slow(pm_pool *pool, unsigned cls) {
    pm__heap *heap = pm__heap_get(pool);
    if (PM__UNLIKELY(!heap)) {
        if (pool && pool->backend) return pool->backend->take(pool, pm__mem_class_bytes[cls]);
        if (!pool) pool = &pm__pool_default;
#if !PM_NO_THREADS
        if (!pm__mem_self.registered && !pm__mem_thread_register(&pm__mem_self)) return pm__mem_alloc_bare(pool, cls);
#endif
        heap = pm__heap_attach(pool);
#if !PM_NO_THREADS
        if (!heap) return pm__mem_alloc_bare(pool, cls);
#endif
    }
    pm__slab *s = heap ? pm__heap_refill(heap, cls) : NULL;
    return s ? pm__slab_pop(s) : NULL;
}

/* A block of `size` bytes, a value that pm__mem_round returned; aligned to 16 bytes, or to 64 if `size` is a multiple
   of 64 (unless a backend has only larger blocks left). NULL: no memory, or the budget is reached. */
static PM__INLINE void *pm__mem_alloc(pm_pool *pool, size_t size) {
    unsigned cls = pm__mem_class_of[size / PM__MEM_UNIT];
    pm__heap *heap = pm__heap_get(pool);
    PM__CHECK2(size <= PM__MEM_MAX && pm__mem_class_bytes[cls] == size);
    if (PM__LIKELY(heap != NULL)) {
        pm__slab *s = heap->current[cls];
        if (PM__LIKELY(s && s->free)) return pm__slab_pop(s);
    }
    return pm__mem_alloc_slow(pool, cls);
}

#if !PM_NO_THREADS
/* Not a block of this thread's default heap: perhaps of another heap of it. Only the thread itself ever stores its own
   address in `owner`, so reading it there is proof. */
static PM__NOINLINE void pm__mem_free_slow(pm__slab *s, void *p) {
    pm__heap *heap = (pm__heap *)pm__load_acquire(&s->heap);
    if (heap == &pm__heap_divided) {
        s = pm__slab_part_of(s, p);
        heap = (pm__heap *)pm__load_acquire(&s->heap);
    }
    void *owner = pm__load_relaxed(&heap->owner);
    if (owner == (void *)&pm__mem_self) pm__slab_put(s, p);
    else if (owner == PM__HEAP_KEPT) heap->pool->backend->give(heap->pool, p);
    else pm__slab_put_remote(s, p);
}
#endif

/* The slab that a block lies in. */
static PM__UNUSED pm__slab *pm__slab_of(const void *p) {
    pm__slab *s = (pm__slab *)pm__slab_whole(p);
    return pm__load_acquire(&s->heap) == (void *)&pm__heap_divided ? pm__slab_part_of(s, p) : s;
}

/* Whether a block has the size that is said. */
static PM__UNUSED bool pm__mem_fits(const void *p, size_t size) {
    const pm__slab *s = pm__slab_of(p);
    return ((pm__heap *)pm__load_relaxed(&s->heap))->pool->backend || pm__mem_class_bytes[s->cls] == size;
}

/* Gives a block back, on any thread. */
static PM__INLINE void pm__mem_free(void *p, size_t size) {
    pm__slab *s = (pm__slab *)pm__slab_whole(p);
    PM__CHECK2(pm__mem_fits(p, size));
    (void)size;
#if PM_NO_THREADS
    pm__slab_put(s, p);
#else
    if (PM__LIKELY(pm__load_relaxed(&s->heap) == (void *)pm__mem_self.heap)) pm__slab_put(s, p);
    else pm__mem_free_slow(s, p);
#endif
}

/* The same for any size. Beyond PM__MEM_MAX only a backend may have room; NULL is its "no" as well. */
static void *pm__mem_alloc_any(pm_pool *pool, size_t size) {
    if (size <= PM__MEM_MAX) return pm__mem_alloc(pool, pm__mem_round(size));
    return pool && pool->backend ? pool->backend->take(pool, size) : NULL;
}

static void pm__mem_free_any(void *p, size_t size) {
    pm__mem_free(p, size <= PM__MEM_MAX ? pm__mem_round(size) : size);
}

/* ---- pools --------------------------------------------------------------------------------------------------- */

PM_API pm_status pm_pool_new(const pm_pool_options *options, pm_pool **out) {
    if (!out) return PM_INVALID;
    pm_pool *pool = (pm_pool *)PM_MALLOC(sizeof *pool);
    if (!pool) return PM_NOMEM;
    memset((void *)pool, 0, sizeof *pool);
    pool->budget = options ? options->budget : 0;
    pool->reserved = sizeof *pool;
    pm__lock_acquire(&pm__mem_registry.lock);
    pool->id = ++pm__mem_registry.last_pool_id;
    pool->next = pm__mem_registry.pools;
    pool->link = &pm__mem_registry.pools;
    if (pool->next) pool->next->link = &pool->next;
    pm__mem_registry.pools = pool;
    pm__mem_watch_forks();
    pm__lock_release(&pm__mem_registry.lock);
    *out = pool;
    return PM_OK;
}

/* Adds up one slab; returns how many blocks have been taken. With the pool's lock. */
static uint64_t pm__slab_count(const pm__slab *s, pm_pool_stats *out) {
    size_t used;
    int32_t live = (int32_t)pm__slab_live(s, &used);
    if (live > 0) { /* less: the owner has just absorbed some */
        out->in_slabs += (uint64_t)1 << s->shift;
        out->nodes += (uint32_t)live;
        out->live += (uint64_t)live * pm__mem_class_bytes[s->cls];
    }
    return used / PM__USED_TAKEN;
}

/* The same for the slabs in use of a list of chunks. */
static uint64_t pm__chunks_count(const pm__chunk *c, pm_pool_stats *out) {
    uint64_t taken = 0;
    for (; c; c = c->next) {
        for (unsigned i = 0; i < c->slabs; i++) {
            if (c->free[i / 64] >> (i % 64) & 1) continue;
            pm__slab *s = (pm__slab *)(void *)(c->base + (size_t)i * PM__SLAB_BYTES);
            bool divided = pm__load_relaxed(&s->heap) == (void *)&pm__heap_divided;
            if (!divided) taken += pm__slab_count(s, out);
            for (unsigned k = 0; divided && k < pm__slab_parts(s); k++)
                if (!(s->fresh >> k & 1)) taken += pm__slab_count(pm__slab_part(s, k), out);
        }
    }
    return taken;
}

static uint64_t pm__pool_count(const pm_pool *pool, pm_pool_stats *out) {
    *out = (pm_pool_stats){.reserved = pool->reserved,
                           .in_slabs = pool->large,
                           .live = pool->large,
                           .nodes = pool->larges,
                           .budget = pool->budget};
    uint64_t taken = pm__chunks_count(pool->open, out);
    return taken + pm__chunks_count(pool->full, out);
}

static void pm__pool_report(pm_pool *pool, pm_pool_stats *out) {
    pm__lock_acquire(&pool->lock);
    (void)pm__pool_count(pool, out);
    pm__lock_release(&pool->lock);
}

/* Whether there is a moment at which no block is alive. With all locks, so that nobody absorbs; slabs in use may still
   lose blocks, and current ones give some, while we count. A block that is alive between the two counts has been found
   by the first, or was taken after the first had passed its slab, which the second then sees. */
static bool pm__pool_is_empty(const pm_pool *pool) {
    pm_pool_stats first, second;
    uint64_t taken = pm__pool_count(pool, &first);
    return first.nodes == 0 && pm__pool_count(pool, &second) == taken && second.nodes == 0;
}

static pm_status pm__pool_end(pm_pool *pool) {
    pm__lock_acquire(&pm__mem_registry.lock);
    pm__lock_acquire(&pool->lock);
    for (pm__heap *h = pool->heaps; h; h = h->next_in_pool) pm__lock_acquire(&h->lock);
    bool empty = pm__pool_is_empty(pool);
    for (pm__heap *h = pool->heaps; h; h = h->next_in_pool) {
        if (empty) pm__heap_disown(h);
        pm__lock_release(&h->lock);
    }
    if (empty) {
        *pool->link = pool->next;
        if (pool->next) pool->next->link = pool->link;
    }
    pm__lock_release(&pool->lock);
    pm__lock_release(&pm__mem_registry.lock);
    if (!empty) return PM_BUSY;
    for (pm__heap *h = pool->heaps, *next; h; h = next) {
        next = h->next_in_pool;
        pm__pool_give_bytes(h, sizeof *h);
    }
    pm__chunks_give(pool->open);
    pm__chunks_give(pool->full);
    PM_FREE(pool, sizeof *pool);
    return PM_OK;
}

/* Empty chunks go to *dead. With the pool's lock. */
static void pm__pool_drop_chunks(pm_pool *pool, pm__chunk **dead) {
    pm__chunk *next;
    for (pm__chunk *c = pool->open; c; c = next) {
        next = c->next;
        if (c->free_slabs < c->slabs) continue;
        pm__chunk_unlink(c);
        pool->reserved -= c->bytes;
        pool->empty_chunks--;
        c->next = *dead;
        *dead = c;
    }
}

/* Unlinks the heaps that no thread but the caller has, once the pool has no slab: no notice can reach them then.
   Returns them linked by next_detached. With both locks. */
static pm__heap *pm__pool_drop_heaps(pm_pool *pool) {
    pm__heap *dead = NULL, **link = &pool->heaps;
    while (*link) {
        pm__heap *h = *link;
        void *owner = pm__load_relaxed(&h->owner);
        if (owner && owner != (void *)&pm__mem_self && owner != PM__HEAP_LOST) {
            link = &h->next_in_pool;
            continue;
        }
        pm__heap_disown(h);
        *link = h->next_in_pool;
        h->next_detached = dead;
        dead = h;
        pool->reserved -= sizeof *h;
    }
    pool->detached = NULL;
    if (pool == &pm__pool_default) pm__mem_self.heap = NULL;
    else if (pm__mem_self.cache[pool->id % PM__HEAP_CACHE].id == pool->id)
        pm__mem_self.cache[pool->id % PM__HEAP_CACHE].id = 0;
    return dead;
}

PM_API void pm_pool_trim(pm_pool *pool) {
    pm_pool *p = pool ? pool : &pm__pool_default;
    pm__chunk *dead = NULL;
    pm__heap *heaps = NULL;
    if (p->backend) return;
    pm__lock_acquire(&pm__mem_registry.lock);
    pm__lock_acquire(&p->lock);
    pm__pool_collect(p, &dead);
    pm__pool_drop_chunks(p, &dead);
    if (!p->open && !p->full) heaps = pm__pool_drop_heaps(p);
    pm__lock_release(&p->lock);
    pm__lock_release(&pm__mem_registry.lock);
    pm__chunks_give(dead);
    while (heaps) {
        pm__heap *next = heaps->next_detached;
        pm__pool_give_bytes(heaps, sizeof *heaps);
        heaps = next;
    }
}

#if defined(__GNUC__)
/* The end of the program, or of a shared object that carries this code and is unloaded: threads that go on must not
   find themselves in code that is gone when they end. They may still be at work, if it is the program that ends; and an
   allocator of the user's may be gone. */
__attribute__((destructor)) static void pm__mem_unload(void) {
#if PM__MALLOC_LASTS
    pm_pool_trim(NULL);
#endif
#if !PM_NO_THREADS
    pm__lock_acquire(&pm__mem_registry.lock);
    if (pm__mem_registry.has_key) pm__key_drop(pm__mem_registry.key);
    pm__mem_registry.has_key = false;
    pm__lock_release(&pm__mem_registry.lock);
#endif
}
#endif
#endif

/* ---- blocks for the caller ----------------------------------------------------------------------------------- */

#if PM_POOL
/* In front of a block that no class has room for: whose it is. */
typedef union pm__pool_owner {
    pm_pool *pool;
    uint64_t align[2];
} pm__pool_owner;

/* Adds a large block to a pool's accounts. False: the budget is reached. */
static bool pm__pool_admit_large(pm_pool *pool, size_t bytes) {
    pm__lock_acquire(&pool->lock);
    bool granted = pm__pool_reserve(pool, bytes);
    if (granted) pool->large += bytes, pool->larges++;
    pm__lock_release(&pool->lock);
    return granted;
}

/* Takes it out again: the last thing that is done with the pool. */
static void pm__pool_forget_large(pm_pool *pool, size_t bytes) {
    pm__lock_acquire(&pool->lock);
    pool->reserved -= bytes;
    pool->large -= bytes;
    pool->larges--;
    pm__lock_release(&pool->lock);
}

static pm__pool_owner *pm__pool_take_large(pm_pool *pool, size_t bytes) {
    if (pool->backend) return (pm__pool_owner *)pool->backend->take(pool, bytes);
    if (!pm__pool_admit_large(pool, bytes)) {
        pm_pool_trim(pool);
        if (!pm__pool_admit_large(pool, bytes)) return NULL;
    }
    void *p = pm__pool_take_bytes(bytes);
    if (!p) pm__pool_forget_large(pool, bytes);
    return (pm__pool_owner *)p;
}

static void *pm__pool_alloc_large(pm_pool *pool, size_t bytes) {
    pm__pool_owner *o = pm__pool_take_large(pool, bytes + sizeof *o);
    if (!o) return NULL;
    o->pool = pool;
    return o + 1;
}

static void pm__pool_dealloc_large(void *p, size_t bytes) {
    pm__pool_owner *o = (pm__pool_owner *)p - 1;
    pm_pool *pool = o->pool;
    if (pool->backend) {
        pool->backend->give(pool, o);
        return;
    }
    pm__pool_give_bytes(o, bytes + sizeof *o);
    pm__pool_forget_large(pool, bytes + sizeof *o);
}
#endif

PM_API void *pm_pool_alloc(pm_pool *pool, size_t bytes) {
    if (bytes > PM__LEN_MAX) return NULL;
    if (!bytes) bytes = 1;
#if PM_POOL
    if (bytes > PM__MEM_MAX) return pm__pool_alloc_large(pool ? pool : &pm__pool_default, bytes);
#endif
    return pm__mem_alloc_any(pool, bytes);
}

PM_API void pm_pool_dealloc(void *p, size_t bytes) {
    if (!p || bytes > PM__LEN_MAX) return;
    if (!bytes) bytes = 1;
#if PM_POOL
    if (bytes > PM__MEM_MAX) {
        pm__pool_dealloc_large(p, bytes);
        return;
    }
#endif
    pm__mem_free_any(p, bytes);
}

/* ---- pools, whatever looks after their blocks ---------------------------------------------------------------- */

/* The memory of a pool with a backend is its maker's. */
PM_API pm_status pm_pool_free(pm_pool *pool) {
    pm_pool_stats stats;
    if (!pool) return PM_OK;
    if (!pool->backend) return pm__pool_end(pool);
    pool->backend->count(pool, &stats);
    return stats.nodes ? PM_BUSY : PM_OK;
}

PM_API void pm_pool_get_stats(const pm_pool *pool, pm_pool_stats *out) {
    pm_pool *p = pool ? (pm_pool *)(uintptr_t)pool : &pm__pool_default; /* a lock is no part of its value */
    if (!out) return;
    if (p->backend) p->backend->count(p, out);
    else pm__pool_report(p, out);
}
