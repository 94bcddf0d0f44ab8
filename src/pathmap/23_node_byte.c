/* Byte nodes: one byte of path fans out to up to 256 children and 256 values.

       slim std
     +  0   0   count
     +  4   8   flags (bits 0-1 kind; bit 3 unit values)
     +  6  10   nc, nv: children, values
     + 10  14   cap: slots
     + 12  16   crank[4], vrank[4]: members of the mask in the words before each
     + 24  24   val[4]: the bytes with a value
     + 56  56   child[4]: those with a child
     + 88  88   slot[cap]

   `tip`: a node of a unit map that leads nowhere ends after val[], and is one cache line: cap is the slots that 64
   bytes lack, PM__BYTE_TIP. One with all 256 values is as good as any other: where a node is filled up, and a sibling
   is full already, or an operation has made one, that is shared.

   `byte`: children packed upwards from the first slot, in byte order, values packed downwards from the last.
   `wide`: many children. Slots 0..15 hold blocks, one for each value of the high four bits of the byte; a block is a
   counted array of up to 16 children. Copying a wide node so copies 16 references, not 256, and leaves the children
   untouched. Values are packed downwards from the last slot as before.

   A location with a value and nothing below has no child bit; a child bit with a 0 child is a dangling location.
   Unit maps keep the value bits only.

   Local operations only. The ones that change a node expect it to be uniquely owned, and return false when there is no
   memory, the node unchanged. */
#include "21_node.c"

typedef struct pm__byte {
    pm__count rc;
    uint8_t flags, unused;
    uint16_t nc, nv, cap;
    uint8_t crank[4], vrank[4];
    uint64_t val[4], child[4];
    uint64_t slot[];
} pm__byte;

/* Children of 16 neighbouring bytes. */
typedef struct pm__block {
    pm__count rc;
    uint16_t cap;
    uint64_t slot[];
} pm__block;

enum {
    PM__BYTE_UNIT = 8,
    PM__BYTE_TIP = -3,   /* the capacity of a tip */
    PM__WIDE_FROM = 49,  /* this many children make a byte node wide */
    PM__WIDE_UNTIL = 33, /* fewer than this make it flat again */
    PM__WIDE_BLOCKS = 16
};

static PM__INLINE bool pm__byte_is_wide(const pm__byte *x) { return (x->flags & 3) == PM__WIDE; }
static PM__INLINE bool pm__byte_is_unit(const pm__byte *x) { return (x->flags & PM__BYTE_UNIT) != 0; }
static PM__INLINE int pm__byte_room_of(const pm__byte *x) { return (int16_t)x->cap; }
static PM__INLINE bool pm__byte_is_tip(const pm__byte *x) { return pm__byte_room_of(x) < 0; }
static PM__INLINE bool pm__byte_is_full_tip(const pm__byte *x) { return pm__byte_is_tip(x) && x->nv == 256; }
static PM__INLINE size_t pm__byte_bytes(int cap) { return (size_t)((int)offsetof(pm__byte, slot) + 8 * cap); }
static PM__INLINE size_t pm__byte_size(const pm__byte *x) { return pm__mem_round(pm__byte_bytes(pm__byte_room_of(x))); }
static PM__INLINE size_t pm__block_size(size_t cap) { return pm__mem_round(offsetof(pm__block, slot) + 8 * cap); }

static PM__INLINE pm__ref pm__byte_ref(pm__byte *x) {
    return pm__ref_make(x, x->flags & 3u, 128);
}

/* One word of the mask of children. */
static PM__INLINE uint64_t pm__byte_child_word(const pm__byte *x, unsigned w) {
    return pm__byte_is_tip(x) ? 0 : x->child[w];
}

static PM__INLINE bool pm__byte_has_child(const pm__byte *x, uint8_t b) {
    return (pm__byte_child_word(x, b >> 6) >> (b & 63)) & 1;
}
static PM__INLINE bool pm__byte_has_val(const pm__byte *x, uint8_t b) { return (x->val[b >> 6] >> (b & 63)) & 1; }

/* Of a node that is no tip. */
static PM__INLINE unsigned pm__byte_child_rank(const pm__byte *x, uint8_t b) {
    uint64_t below = ((uint64_t)1 << (b & 63)) - 1;
    return x->crank[b >> 6] + pm__popcount64(x->child[b >> 6] & below);
}

static PM__INLINE unsigned pm__byte_val_rank(const pm__byte *x, uint8_t b) {
    uint64_t below = ((uint64_t)1 << (b & 63)) - 1;
    return x->vrank[b >> 6] + pm__popcount64(x->val[b >> 6] & below);
}

/* Of a node that is no tip: child bits of the block that byte b belongs to, and the place of b among them. */
static PM__INLINE uint32_t pm__byte_block_bits(const pm__byte *x, unsigned block) {
    return (uint32_t)(x->child[block >> 2] >> ((block & 3) * 16)) & 0xFFFFu;
}
static PM__INLINE unsigned pm__byte_block_rank(const pm__byte *x, uint8_t b) {
    return pm__popcount32(pm__byte_block_bits(x, b >> 4) & pm__low_bits(b & 15u));
}
static PM__INLINE pm__block *pm__byte_block(const pm__byte *x, unsigned block) {
    return (pm__block *)(uintptr_t)x->slot[block];
}

/* The slot of an existing child. */
static PM__INLINE pm__ref *pm__byte_child(const pm__byte *x, uint8_t b) {
    if (PM__UNLIKELY(pm__byte_is_wide(x))) return &pm__byte_block(x, b >> 4)->slot[pm__byte_block_rank(x, b)];
    return (pm__ref *)(uintptr_t)&x->slot[pm__byte_child_rank(x, b)];
}

/* The slot of an existing value. */
static PM__INLINE pm_val *pm__byte_val(const pm__byte *x, uint8_t b) {
    if (pm__byte_is_unit(x)) return (pm_val *)(uintptr_t)&pm__unit_val;
    return (pm_val *)(uintptr_t)&x->slot[x->cap - 1u - pm__byte_val_rank(x, b)];
}

PM__UNUSED static pm_mask pm__byte_children(const pm__byte *x) {
    pm_mask m;
    for (unsigned i = 0; i < 4; i++) m.w[i] = pm__byte_child_word(x, i);
    return m;
}

PM__UNUSED static pm_mask pm__byte_values(const pm__byte *x) {
    pm_mask m;
    for (unsigned i = 0; i < 4; i++) m.w[i] = x->val[i];
    return m;
}

static PM__INLINE uint64_t pm__byte_word(const pm__byte *x, unsigned w) {
    return x->val[w] | pm__byte_child_word(x, w);
}

/* Children or values: which bytes lead on. */
PM__UNUSED static pm_mask pm__byte_mask(const pm__byte *x) {
    pm_mask m;
    for (unsigned i = 0; i < 4; i++) m.w[i] = pm__byte_word(x, i);
    return m;
}

/* Whether two nodes have children, and values, at the same bytes. */
PM__UNUSED static PM__INLINE bool pm__byte_is_alike(const pm__byte *x, const pm__byte *y) {
    if (memcmp(x->val, y->val, sizeof x->val) != 0 || x->nc != y->nc) return false;
    return !x->nc || memcmp(x->child, y->child, sizeof x->child) == 0;
}

/* The smallest byte from `from` on (0..256) that has a child or a value, or -1. */
static PM__INLINE int pm__byte_next(const pm__byte *x, unsigned from) {
    if (from > 255) return -1;
    unsigned w = from >> 6;
    uint64_t bits = pm__byte_word(x, w) >> (from & 63) << (from & 63);
    while (!bits && ++w < 4) bits = pm__byte_word(x, w);
    return bits ? (int)(w * 64 + pm__ctz64(bits)) : -1;
}

/* The greatest byte up to `from` (-1..255) that has a child or a value, or -1. */
static PM__INLINE int pm__byte_prev(const pm__byte *x, int from) {
    if (from < 0) return -1;
    unsigned w = (unsigned)from >> 6;
    uint64_t bits = pm__byte_word(x, w) << (63 - (from & 63)) >> (63 - (from & 63));
    while (!bits && w-- > 0) bits = pm__byte_word(x, w);
    return bits ? (int)(w * 64 + 63 - pm__clz64(bits)) : -1;
}

/* The positions of a byte node in key order: 2 b is the value at byte b, 2 b + 1 the child there. */
enum { PM__BYTE_END = 512 };

/* The nearest position from `at` on, or back, that has something; -1: none. */
static PM__INLINE int pm__byte_position(const pm__byte *x, int at, bool back) {
    if (at < 0 || at >= PM__BYTE_END) return -1;
    if (((at & 1) != 0) != back) { /* the byte has been passed by half */
        uint8_t b = (uint8_t)(at >> 1);
        if (back ? pm__byte_has_val(x, b) : pm__byte_has_child(x, b)) return at;
        at += back ? -1 : 1;
    }
    int b = back ? pm__byte_prev(x, at >> 1) : pm__byte_next(x, (unsigned)at >> 1);
    if (b < 0) return -1;
    return 2 * b + (back ? pm__byte_has_child(x, (uint8_t)b) : !pm__byte_has_val(x, (uint8_t)b));
}

/* Slots that a node needs for so many children and values. */
static size_t pm__byte_slots(size_t nc, size_t nv, bool wide, bool unit) {
    return (wide ? (size_t)PM__WIDE_BLOCKS : nc) + (unit ? 0 : nv);
}

/* The capacity that a need is rounded to: what the allocation has room for anyway, in steps that keep the number of
   reallocations per insertion small. */
static int pm__byte_cap(size_t need) {
    if (!need) return PM__BYTE_TIP;
    size_t step = need <= 16 ? 4 : need <= 64 ? 8 : need <= 256 ? 32 : 64;
    size_t cap = (need + step - 1) / step * step;
    size_t room = (pm__mem_round(pm__byte_bytes((int)cap)) - offsetof(pm__byte, slot)) / 8;
    return room > 512 ? 512 : (int)room;
}

static void pm__byte_ranks(pm__byte *x) {
    unsigned c = 0, v = 0;
    for (unsigned i = 0; i < 4; i++) {
        x->crank[i] = (uint8_t)c;
        x->vrank[i] = (uint8_t)v;
        c += pm__popcount64(pm__byte_child_word(x, i));
        v += pm__popcount64(x->val[i]);
    }
    x->nc = (uint16_t)c;
    x->nv = (uint16_t)v;
}

/* Ranks, and how many there are, when a member at byte b has come (by 1) or gone (by -1). */
static PM__INLINE void pm__byte_rerank(uint8_t *rank, uint16_t *n, uint8_t b, int by) {
    for (unsigned i = (b >> 6) + 1u; i < 4; i++) rank[i] = (uint8_t)(rank[i] + by);
    *n = (uint16_t)(*n + by);
}

static void pm__byte_free_shell(pm__byte *x) { pm__mem_free(x, pm__byte_size(x)); }

/* Frees a node that nobody else has seen, and its blocks, but nothing below. */
static void pm__byte_discard(pm__byte *x) {
    if (pm__byte_is_wide(x))
        for (unsigned i = 0; i < PM__WIDE_BLOCKS; i++)
            if (x->slot[i]) pm__mem_free(pm__byte_block(x, i), pm__block_size(pm__byte_block(x, i)->cap));
    pm__byte_free_shell(x);
}

static pm__block *pm__block_new(const pm__cx *cx, unsigned n) {
    size_t size = pm__block_size(n);
    pm__block *k = (pm__block *)pm__mem_alloc(cx->pool, size);
    if (!k) return NULL;
    pm__ref_count_init(&k->rc);
    size_t room = (size - offsetof(pm__block, slot)) / 8;
    k->cap = (uint16_t)(room > 16 ? 16 : room);
    return k;
}

/* Makes a tip of the given values. NULL: no memory. */
PM__UNUSED static pm__byte *pm__byte_make_tip(const pm__cx *cx, const uint64_t *vals) {
    pm__byte *x = (pm__byte *)pm__mem_alloc(cx->pool, pm__mem_round(pm__byte_bytes(PM__BYTE_TIP)));
    if (!x) return NULL;
    pm__ref_count_init(&x->rc);
    x->flags = PM__BYTE | PM__BYTE_UNIT;
    x->unused = 0;
    x->cap = (uint16_t)PM__BYTE_TIP;
    memcpy(x->val, vals, sizeof x->val);
    pm__byte_ranks(x);
    return x;
}

/* Makes a node from masks; kids[] and vals[] are packed in byte order. NULL: the children are 0, and the values are for
   the caller to write. */
PM__UNUSED static pm__byte *pm__byte_make(const pm__cx *cx, const pm_mask *cm, const pm_mask *vm, const pm__ref *kids,
                                          const pm_val *vals) {
    unsigned nc = pm_mask_count(cm), nv = pm_mask_count(vm);
    bool wide = nc >= PM__WIDE_FROM;
    int cap = pm__byte_cap(pm__byte_slots(nc, nv, wide, cx->unit));
    pm__byte *x = (pm__byte *)pm__mem_alloc(cx->pool, pm__mem_round(pm__byte_bytes(cap)));
    if (!x) return NULL;
    pm__ref_count_init(&x->rc);
    x->flags = (uint8_t)((wide ? PM__WIDE : PM__BYTE) | (cx->unit ? PM__BYTE_UNIT : 0));
    x->unused = 0;
    x->cap = (uint16_t)cap;
    memcpy(x->val, vm->w, sizeof x->val);
    if (cap > 0) memcpy(x->child, cm->w, sizeof x->child);
    pm__byte_ranks(x);
    if (cap < 0) return x;
    for (unsigned i = 0; vals && i < nv && !cx->unit; i++) x->slot[(unsigned)cap - 1 - i] = vals[i];
    if (!wide) {
        if (kids && nc) memcpy(x->slot, kids, 8u * nc);
        else memset(x->slot, 0, 8u * nc);
        return x;
    }
    memset(x->slot, 0, 8u * PM__WIDE_BLOCKS);
    for (unsigned i = 0; i < PM__WIDE_BLOCKS; i++) {
        unsigned n = pm__popcount32(pm__byte_block_bits(x, i));
        if (!n) continue;
        pm__block *k = pm__block_new(cx, n);
        if (!k) {
            pm__byte_discard(x);
            return NULL;
        }
        if (kids) memcpy(k->slot, kids, 8u * n), kids += n;
        else memset(k->slot, 0, 8u * n);
        x->slot[i] = (uint64_t)(uintptr_t)k;
    }
    return x;
}

/* Copies all child references, in byte order. */
PM__UNUSED static void pm__byte_kids(const pm__byte *x, pm__ref *out) {
    if (!pm__byte_is_wide(x)) {
        memcpy(out, x->slot, 8u * x->nc);
        return;
    }
    for (unsigned i = 0; i < PM__WIDE_BLOCKS; i++) {
        unsigned n = pm__popcount32(pm__byte_block_bits(x, i));
        if (n) memcpy(out, pm__byte_block(x, i)->slot, 8u * n);
        out += n;
    }
}

/* Rewrites a node with another capacity; the children and values stay. NULL: no memory. */
static PM__COLD pm__byte *pm__byte_resize(const pm__cx *cx, pm__byte *x, int cap) {
    pm__byte *y = (pm__byte *)pm__mem_alloc(cx->pool, pm__mem_round(pm__byte_bytes(cap)));
    if (!y) return NULL;
    size_t front = pm__byte_is_wide(x) ? (size_t)PM__WIDE_BLOCKS : x->nc, back = cx->unit ? 0 : x->nv;
    size_t bytes = offsetof(pm__byte, child);
    if (cap > 0) {
        memset(y->child, 0, sizeof y->child);
        if (!pm__byte_is_tip(x)) bytes = offsetof(pm__byte, slot) + 8 * front;
    }
    memcpy(y, x, bytes);
    pm__ref_count_init(&y->rc);
    y->cap = (uint16_t)cap;
    if (back) memcpy(y->slot + cap - back, x->slot + x->cap - back, 8 * back);
    pm__byte_free_shell(x);
    return y;
}

/* Makes room for one more slot at either end. */
static bool pm__byte_room(const pm__cx *cx, pm__byte **px) {
    pm__byte *x = *px;
    size_t used = pm__byte_slots(x->nc, x->nv, pm__byte_is_wide(x), cx->unit);
    if ((int)used < pm__byte_room_of(x)) return true;
    pm__byte *y = pm__byte_resize(cx, x, pm__byte_cap(used + 1));
    if (!y) return false;
    *px = y;
    return true;
}

/* Gives room back when less than two thirds of a large node are used. Having no memory for that is no failure. */
static void pm__byte_tighten(const pm__cx *cx, pm__byte **px) {
    pm__byte *x = *px;
    int cap = pm__byte_cap(pm__byte_slots(x->nc, x->nv, pm__byte_is_wide(x), cx->unit));
    if (cap == pm__byte_room_of(x) || cap * 3 > pm__byte_room_of(x) * 2) return;
    pm__byte *y = pm__byte_resize(cx, x, cap);
    if (y) *px = y;
}

/* Between flat and wide: rebuilds from the packed children. */
static PM__COLD bool pm__byte_rebuild(const pm__cx *cx, pm__byte **px, const pm_mask *cm, const pm__ref *kids) {
    pm__byte *x = *px;
    pm_mask vm = pm__byte_values(x);
    pm__byte *y = pm__byte_make(cx, cm, &vm, kids, NULL);
    if (!y) return false;
    if (!cx->unit) memcpy(y->slot + y->cap - x->nv, x->slot + x->cap - x->nv, 8u * x->nv);
    pm__byte_discard(x);
    *px = y;
    return true;
}

/* Adds a value at a byte that has none. */
PM__UNUSED static bool pm__byte_add_val(const pm__cx *cx, pm__byte **px, uint8_t b, pm_val v) {
    if (!cx->unit && !pm__byte_room(cx, px)) return false;
    pm__byte *x = *px;
    if (!cx->unit) {
        unsigned r = pm__byte_val_rank(x, b);
        uint64_t *low = &x->slot[x->cap - x->nv];
        memmove(low - 1, low, 8u * (x->nv - r));
        x->slot[x->cap - 1u - r] = v;
    }
    x->val[b >> 6] |= (uint64_t)1 << (b & 63);
    pm__byte_rerank(x->vrank, &x->nv, b, 1);
    return true;
}

/* Takes a value out; the caller has it. */
PM__UNUSED static void pm__byte_del_val(const pm__cx *cx, pm__byte **px, uint8_t b) {
    pm__byte *x = *px;
    if (!cx->unit) {
        unsigned r = pm__byte_val_rank(x, b);
        uint64_t *low = &x->slot[x->cap - x->nv];
        memmove(low + 1, low, 8u * (x->nv - 1u - r));
    }
    x->val[b >> 6] &= ~((uint64_t)1 << (b & 63));
    pm__byte_rerank(x->vrank, &x->nv, b, -1);
    pm__byte_tighten(cx, px);
}

/* The block that byte b belongs to, uniquely owned and with room for `more` children; made if missing. */
static pm__block *pm__byte_own_block(const pm__cx *cx, pm__byte *x, uint8_t b, unsigned more) {
    pm__block *k = pm__byte_block(x, b >> 4);
    unsigned n = pm__popcount32(pm__byte_block_bits(x, b >> 4));
    if (k && n + more <= k->cap && pm__ref_count_is_one(&k->rc)) return k;
    pm__block *y = pm__block_new(cx, n + more);
    if (!y) return NULL;
    if (k) {
        memcpy(y->slot, k->slot, 8u * n);
        if (pm__ref_count_is_one(&k->rc)) {
            pm__mem_free(k, pm__block_size(k->cap));
        } else {
            for (unsigned i = 0; i < n; i++) pm__ref_retain(k->slot[i]);
            if (pm__ref_count_release(&k->rc)) { /* others let go meanwhile; our references keep the children alive */
                for (unsigned i = 0; i < n; i++)
                    if (k->slot[i]) (void)pm__ref_count_release(&((pm__head *)pm__ref_ptr(k->slot[i]))->rc);
                pm__mem_free(k, pm__block_size(k->cap));
            }
        }
    }
    x->slot[b >> 4] = (uint64_t)(uintptr_t)y;
    return y;
}

/* The slot of an existing child, for changing it. NULL: no memory. */
static PM__INLINE pm__ref *pm__byte_child_mut(const pm__cx *cx, pm__byte *x, uint8_t b) {
    if (!pm__byte_is_wide(x)) return &x->slot[pm__byte_child_rank(x, b)];
    pm__block *k = pm__byte_block(x, b >> 4);
    if (PM__UNLIKELY(!pm__ref_count_is_one(&k->rc))) k = pm__byte_own_block(cx, x, b, 0);
    return k ? &k->slot[pm__byte_block_rank(x, b)] : NULL;
}

/* Adds a child at a byte that has none. */
PM__UNUSED static bool pm__byte_add_child(const pm__cx *cx, pm__byte **px, uint8_t b, pm__ref child) {
    pm__byte *x = *px;
    if (!pm__byte_is_wide(x) && x->nc + 1 >= PM__WIDE_FROM) {
        pm__ref kids[PM__WIDE_FROM];
        unsigned r = pm__byte_child_rank(x, b);
        memcpy(kids, x->slot, 8u * r);
        kids[r] = child;
        memcpy(kids + r + 1, x->slot + r, 8u * (x->nc - r));
        pm_mask cm = pm__byte_children(x);
        pm_mask_set(&cm, b);
        return pm__byte_rebuild(cx, px, &cm, kids);
    }
    pm__ref *slots;
    unsigned r, n;
    if (pm__byte_is_wide(x)) {
        pm__block *k = pm__byte_own_block(cx, x, b, 1);
        if (!k) return false;
        slots = k->slot, r = pm__byte_block_rank(x, b), n = pm__popcount32(pm__byte_block_bits(x, b >> 4));
    } else {
        if (!pm__byte_room(cx, px)) return false;
        x = *px, slots = x->slot, r = pm__byte_child_rank(x, b), n = x->nc;
    }
    memmove(slots + r + 1, slots + r, 8u * (n - r));
    slots[r] = child;
    x->child[b >> 6] |= (uint64_t)1 << (b & 63);
    pm__byte_rerank(x->crank, &x->nc, b, 1);
    return true;
}

/* Goes back from wide to flat when few children are left and nobody shares the blocks. No memory is no failure. */
static PM__COLD void pm__byte_flatten(const pm__cx *cx, pm__byte **px) {
    pm__byte *x = *px;
    pm__ref kids[PM__WIDE_FROM];
    if (!pm__byte_is_wide(x) || x->nc >= PM__WIDE_UNTIL) return;
    for (unsigned i = 0; i < PM__WIDE_BLOCKS; i++)
        if (x->slot[i] && !pm__ref_count_is_one(&pm__byte_block(x, i)->rc)) return;
    pm_mask cm = pm__byte_children(x);
    pm__byte_kids(x, kids);
    (void)pm__byte_rebuild(cx, px, &cm, kids);
}

/* Takes a child out; the caller has its reference. False: no memory (a shared block could not be copied). */
PM__UNUSED static bool pm__byte_del_child(const pm__cx *cx, pm__byte **px, uint8_t b) {
    pm__byte *x = *px;
    pm__ref *slots = x->slot;
    unsigned r, n;
    if (pm__byte_is_wide(x)) {
        pm__block *k = pm__byte_own_block(cx, x, b, 0);
        if (!k) return false;
        slots = k->slot, r = pm__byte_block_rank(x, b), n = pm__popcount32(pm__byte_block_bits(x, b >> 4));
        if (n == 1) {
            pm__mem_free(k, pm__block_size(k->cap));
            x->slot[b >> 4] = 0;
        }
    } else {
        r = pm__byte_child_rank(x, b), n = x->nc;
    }
    if (n > 1) memmove(slots + r, slots + r + 1, 8u * (n - 1 - r));
    x->child[b >> 6] &= ~((uint64_t)1 << (b & 63));
    pm__byte_ranks(x);
    pm__byte_flatten(cx, px);
    pm__byte_tighten(cx, px);
    return true;
}
