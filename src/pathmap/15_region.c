/* Pools over a region: blocks of a few sizes, without locks, so that a process that is killed leaves nothing wedged.

     region   accounts | word per slab | bits per slab | hints | slabs of 16 KB, aligned to their size
              (the accounts stand behind the slabs if that wastes less)
     slab     64 bytes of header, of which only the first words are used, then blocks of one class
     word     0: empty; else class + 1 in the high half, number of blocks taken in the low half
     bits     one per block: taken

   To take a block is to raise the number in the slab's word, and then to set a bit that is clear; to give one back is
   to clear its bit, and then to lower the number. So there are never more bits than the number says, and who has raised
   it finds a clear bit. The word that comes down to the last block becomes 0, and any class may have the slab. All that
   an empty slab must be is true of each slab at all times: its header names the pool, and no bit is set without a
   taken block behind it.

   Killed between the two steps, a process leaves a number that is too high by one: one block is lost, and its slab to
   other classes. Everything else here is a hint that nobody relies on:

   - `last`: the slab that a shard used last for a class. Threads start in the same shard; one that meets others at a
     slab moves on to the next shard, so that those which are busy at the same time come apart.
   - `hint`: slabs that may have room and are nobody's last one, and slabs that may be empty. It is given before the
     block is, and may have been tried in vain by then; a search finds the slab.

   Before the pool returns that it has no room, it has looked at every word, and taken a larger block if that is all
   there is. Nothing needs a tag against values that come back: words and bits say all there is to know.

   Orderings. Clearing a bit releases the block, setting it acquires; where a slab changes its class, so do the changes
   of its word. */
#include "15_region.h"

#include "13_values.c"

enum {
    PM__REGION_CLASSES = PM__MEM_CLASSES + 2, /* two for long strings: half a slab, a whole one */
    PM__REGION_MAX = PM__SLAB_BYTES - PM__SLAB_HEADER,
    PM__REGION_ROWS = PM__REGION_CLASSES + 1, /* of hints; the last one is of empty slabs */
    PM__REGION_SHARDS = 16,
    PM__REGION_BITS = 8 /* words of bits per slab: 510 blocks of 32 bytes */
};

#define PM__REGION_NONE UINT32_MAX

/* The longest string fits, also with what PM_POOL=0 puts in front. */
_Static_assert(PM_REGION_BYTES_MAX + sizeof(pm__bytes) + 16 <= PM__REGION_MAX, "PM_REGION_BYTES_MAX");

typedef struct pm__region {
    pm_pool pool; /* first: a pm_pool with our backend is a pm__region */
#if PM_POOL
    pm__heap heap; /* what the slabs' headers name */
#endif
    unsigned char *base; /* the first slab */
    uint64_t bytes;
    uint32_t slabs, row; /* row: words in a row of hints */
    pm__a64 *word, *bits, *hint;
    pm__a32 last[PM__REGION_SHARDS][PM__REGION_CLASSES];
} pm__region;

/* Meeting others makes a thread change it. Any value is right. */
static PM__THREAD_LOCAL unsigned pm__region_shard;

static uint32_t pm__region_class_bytes(unsigned cls) {
    return cls < PM__MEM_CLASSES ? pm__mem_class_bytes[cls] : (uint32_t)PM__REGION_MAX / 2 << (cls - PM__MEM_CLASSES);
}

static unsigned pm__region_class_of(size_t size) {
    if (size <= PM__MEM_MAX) return pm__mem_class_of[(size + PM__MEM_UNIT - 1) / PM__MEM_UNIT];
    return size <= PM__REGION_MAX / 2 ? PM__MEM_CLASSES : PM__MEM_CLASSES + 1;
}

static uint32_t pm__region_blocks(unsigned cls) { return PM__REGION_MAX / pm__region_class_bytes(cls); }

static uint64_t pm__region_word(unsigned cls, uint32_t used) { return (uint64_t)(cls + 1) << 32 | used; }

/* Of a slab that is not empty. */
static unsigned pm__region_word_class(uint64_t word) { return (unsigned)(word >> 32) - 1; }

static bool pm__region_word_has_room(uint64_t word) {
    return word && (uint32_t)word < pm__region_blocks(pm__region_word_class(word));
}

static unsigned char *pm__region_slab(const pm__region *r, uint32_t s) { return r->base + (size_t)s * PM__SLAB_BYTES; }

/* ---- hints --------------------------------------------------------------------------------------------------- */

static void pm__region_hint(pm__region *r, unsigned row, uint32_t s) {
    pm__a64 *h = &r->hint[(size_t)row * r->row + s / 64];
    uint64_t bit = (uint64_t)1 << (s % 64);
    if (!(pm__load_relaxed(h) & bit)) pm__a64_fetch_or_acq_rel(h, bit);
}

/* Makes `s` the shard's slab of the class. The one before may have room, if another thread has changed it meanwhile. */
static void pm__region_settle(pm__region *r, uint32_t s, unsigned cls) {
    uint32_t old = pm__a32_exchange(&r->last[pm__region_shard][cls], s);
    uint64_t word = pm__load_relaxed(&r->word[old]);
    if (old != s && word >> 32 == cls + 1 && pm__region_word_has_room(word)) pm__region_hint(r, cls, old);
}

/* ---- blocks -------------------------------------------------------------------------------------------------- */

/* Names the pool in the slab's header. Every claim writes the same; nothing else is ever written there. */
static void pm__region_name(pm__region *r, uint32_t s) {
#if PM_POOL
    pm__slab *slab = (pm__slab *)(void *)pm__region_slab(r, s);
    pm__store_relaxed(&slab->heap, (void *)&r->heap);
#if PM_NO_THREADS
    slab->free = NULL; /* see pm__slab_put_slow */
#endif
#else
    (void)r;
    (void)s;
#endif
}

/* Makes one more of the slab's blocks the caller's, who does not know yet which. False: the slab is full, or another
   class has it. */
static bool pm__region_reserve(pm__region *r, uint32_t s, unsigned cls) {
    uint64_t word = pm__load_relaxed(&r->word[s]);
    for (;;) {
        if (word && (word >> 32 != cls + 1 || !pm__region_word_has_room(word))) return false;
        if (!word) pm__region_name(r, s);
        if (pm__a64_cas(&r->word[s], &word, word ? word + 1 : pm__region_word(cls, 1))) return true;
        pm__region_shard = (pm__region_shard + 1) % PM__REGION_SHARDS;
    }
}

/* The block of a reservation: there is a clear bit at all times, though others may be quicker to set the one found. */
static void *pm__region_pick(pm__region *r, uint32_t s, unsigned cls) {
    uint32_t n = pm__region_blocks(cls), words = (n + 63) / 64;
    /* As long as nothing has been given back, this is where the next one is. */
    uint32_t w = ((uint32_t)pm__load_relaxed(&r->word[s]) - 1) / 64;
    for (;; w = w + 1 < words ? w + 1 : 0) {
        pm__a64 *bits = &r->bits[(size_t)s * PM__REGION_BITS + w];
        uint64_t valid = w + 1 < words || n % 64 == 0 ? UINT64_MAX : ((uint64_t)1 << (n % 64)) - 1;
        uint64_t open = ~pm__load_relaxed(bits) & valid;
        while (open) {
            uint64_t bit = open & (0 - open), before = pm__a64_fetch_or_acq_rel(bits, bit);
            if (!(before & bit)) {
                size_t i = (size_t)w * 64 + pm__ctz64(bit);
                return pm__region_slab(r, s) + PM__SLAB_HEADER + i * pm__region_class_bytes(cls);
            }
            open = ~before & valid;
        }
    }
}

/* A slab that a row of hints names, with a block reserved. */
static uint32_t pm__region_find(pm__region *r, unsigned row, unsigned cls) {
    pm__a64 *hint = &r->hint[(size_t)row * r->row];
    for (uint32_t w = 0; w < r->row; w++) {
        for (uint64_t some = pm__load_relaxed(&hint[w]); some; some &= some - 1) {
            uint64_t bit = some & (0 - some);
            uint32_t s = w * 64 + pm__ctz64(some);
            if ((pm__a64_fetch_and_acq_rel(&hint[w], ~bit) & bit) && pm__region_reserve(r, s, cls)) return s;
        }
    }
    return PM__REGION_NONE;
}

/* Goes by the words alone. If no slab can give a block of the class, it is one of the next larger class there is, up to
   four times as large: a node that moves to a smaller block shall not take the place of one that grows. */
static uint32_t pm__region_search(pm__region *r, unsigned *cls) {
    const uint32_t most = 4 * pm__region_class_bytes(*cls);
    unsigned best;
    uint32_t at;
    do {
        best = PM__REGION_CLASSES;
        at = PM__REGION_NONE;
        for (uint32_t s = 0; s < r->slabs; s++) {
            if (pm__region_reserve(r, s, *cls)) {
                pm__region_settle(r, s, *cls);
                return s;
            }
            uint64_t word = pm__load_relaxed(&r->word[s]);
            if (!pm__region_word_has_room(word)) continue;
            unsigned c = pm__region_word_class(word);
            if (c > *cls && c < best && pm__region_class_bytes(c) <= most) best = c, at = s;
        }
        if (at == PM__REGION_NONE) return at;
    } while (!pm__region_reserve(r, at, best)); /* others have taken what was left of it */
    *cls = best;
    return at;
}

static void *pm__region_take(pm_pool *pool, size_t size) {
    pm__region *r = (pm__region *)(void *)pool;
    if (size > PM__REGION_MAX) return NULL;
    unsigned cls = pm__region_class_of(size);
    uint32_t s = pm__load_relaxed(&r->last[pm__region_shard][cls]);
    if (!pm__region_reserve(r, s, cls)) {
        s = pm__region_find(r, cls, cls);
        if (s == PM__REGION_NONE) s = pm__region_find(r, PM__REGION_CLASSES, cls);
        if (s != PM__REGION_NONE) pm__region_settle(r, s, cls);
        else s = pm__region_search(r, &cls);
        if (s == PM__REGION_NONE) return NULL;
    }
    return pm__region_pick(r, s, cls);
}

static void pm__region_give(pm_pool *pool, void *p) {
    pm__region *r = (pm__region *)(void *)pool;
    size_t at = (size_t)((unsigned char *)p - r->base);
    uint32_t s = (uint32_t)(at / PM__SLAB_BYTES);
    uint64_t word = pm__load_relaxed(&r->word[s]), less;
    unsigned cls = pm__region_word_class(word);
    uint32_t i = (uint32_t)(at % PM__SLAB_BYTES - PM__SLAB_HEADER) / pm__region_class_bytes(cls);
    uint64_t bit = (uint64_t)1 << (i % 64);
    uint64_t before = pm__a64_fetch_and_acq_rel(&r->bits[(size_t)s * PM__REGION_BITS + i / 64], ~bit);
    PM__CHECK2(before & bit);
    (void)before;
    do {
        less = (uint32_t)word == 1 ? 0 : word - 1;
        if (less == 0) pm__region_hint(r, PM__REGION_CLASSES, s);
        else if (!pm__region_word_has_room(word)) pm__region_hint(r, cls, s);
    } while (!pm__a64_cas(&r->word[s], &word, less)); /* last: the region may be gone as soon as nothing is in it */
}

static void pm__region_count(const pm_pool *pool, pm_pool_stats *out) {
    const pm__region *r = (const pm__region *)(const void *)pool;
    *out = (pm_pool_stats){.reserved = r->bytes, .budget = r->bytes};
    for (uint32_t s = 0; s < r->slabs; s++) {
        /* Acquire: whoever frees the pool because of what it reads here, comes after the last use of each block. */
        uint64_t word = pm__load_acquire(&r->word[s]);
        if (!word) continue;
        out->in_slabs += PM__SLAB_BYTES;
        out->nodes += (uint32_t)word;
        out->live += (uint64_t)(uint32_t)word * pm__region_class_bytes(pm__region_word_class(word));
    }
}

/* ---- the region's plan --------------------------------------------------------------------------------------- */

static size_t pm__region_row(size_t slabs) { return (slabs + 63) / 64; }

static size_t pm__region_accounts_bytes(size_t slabs) {
    return sizeof(pm__region) + 8 * (slabs * (1 + PM__REGION_BITS) + pm__region_row(slabs) * PM__REGION_ROWS);
}

/* How far p is below the next multiple of `align`. */
static size_t pm__region_gap(const unsigned char *p, size_t align) { return (size_t)(0 - (uintptr_t)p) & (align - 1); }

/* Where the accounts of so many slabs and the slabs start, from the region's start. False: they do not fit. */
static bool pm__region_plan(const unsigned char *region, size_t bytes, size_t slabs, size_t *accounts, size_t *base) {
    size_t side = pm__region_accounts_bytes(slabs), all = slabs * PM__SLAB_BYTES;
    *base = pm__region_gap(region, PM__SLAB_BYTES);
    *accounts = *base + all;
    if (*accounts <= bytes && side <= bytes - *accounts) return true;
    *accounts = pm__region_gap(region, 64);
    *base = *accounts + side + pm__region_gap(region + *accounts + side, PM__SLAB_BYTES);
    return *base <= bytes && all <= bytes - *base;
}

static const pm__backend pm__region_backend = {pm__region_take, pm__region_give, pm__region_count};

PM_API pm_status pm_pool_new_in(void *region, size_t bytes, const pm_pool_options *options, pm_pool **out) {
    size_t accounts = 0, base = 0;
    if (!region || !out || bytes > PM__LEN_MAX || bytes > UINTPTR_MAX - (uintptr_t)region) return PM_INVALID;
    if (options && options->budget && options->budget < bytes) bytes = (size_t)options->budget;
    size_t slabs = bytes / PM__SLAB_BYTES < PM__REGION_NONE ? bytes / PM__SLAB_BYTES : PM__REGION_NONE - 1;
    while (slabs && !pm__region_plan((unsigned char *)region, bytes, slabs, &accounts, &base)) slabs--;
    if (!slabs) return PM_NOMEM;
    pm__region *r = (pm__region *)(void *)((unsigned char *)region + accounts);
    memset((void *)r, 0, pm__region_accounts_bytes(slabs));
    r->pool.backend = &pm__region_backend;
#if PM_POOL
    r->pool.id = PM__POOL_KEPT;
    r->heap.pool = &r->pool;
    pm__store_relaxed(&r->heap.owner, PM__HEAP_KEPT);
#endif
    r->base = (unsigned char *)region + base;
    r->bytes = bytes;
    r->slabs = (uint32_t)slabs;
    r->row = (uint32_t)pm__region_row(slabs);
    r->word = (pm__a64 *)(void *)(r + 1);
    r->bits = r->word + slabs;
    r->hint = r->bits + slabs * PM__REGION_BITS;
    for (uint32_t s = 0; s < slabs; s++) pm__region_hint(r, PM__REGION_CLASSES, s);
    pm__count_share();
    *out = &r->pool;
    return PM_OK;
}
