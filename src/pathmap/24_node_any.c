/* Any node: what holds whatever the kind. Release, copy-on-write, chains for long tails. */
#include "22_node_line.c"
#include "23_node_byte.c"

/* ---- release ------------------------------------------------------------------------------------------------- */

/* Nodes that wait to be taken apart form a list through their own bytes, so that dropping needs neither memory nor
   recursion. The count is over and done with; 4 bytes more come from what a drop does not read. */
static void pm__dead_link(pm__ref r, pm__ref next) {
    char *p = (char *)pm__ref_ptr(r);
#if PATHMAP_SLIM_PTRS
    pm__store32(p, (uint32_t)next);
    pm__store32(p + 12, (uint32_t)(next >> 32));
#else
    pm__store64(p, next);
#endif
}

static pm__ref pm__dead_next(pm__ref r) {
    const char *p = (const char *)pm__ref_ptr(r);
#if PATHMAP_SLIM_PTRS
    return pm__load32(p) | (uint64_t)pm__load32(p + 12) << 32;
#else
    return pm__load64(p);
#endif
}

/* A line that holds nothing to give up is freed at once, its payloads unseen; of another one they are prefetched. */
static PM__INLINE bool pm__dead_leaf(const pm__cx *cx, pm__ref r) {
    if (pm__ref_kind(r) != PM__LINE) return false;
    pm__line *x = (pm__line *)pm__ref_ptr(r);
    size_t size = pm__line_size(x);
    if (!x->cmask && (cx->plain || cx->unit)) {
        pm__mem_free(x, size);
        return true;
    }
    for (size_t at = (size - 8u * pm__line_pay_count(x)) & ~(size_t)63; at < size; at += 64)
        PM__PREFETCH((const char *)x + at);
    return false;
}

/* Gives up `n` references; nodes of which they were the last join the list, in front and in their order, so that what
   was prefetched first is needed first. */
static pm__ref pm__dead_children(const pm__cx *cx, const pm__ref *kids, unsigned n, pm__ref list) {
    pm__ref first = 0, last = 0;
    for (unsigned i = 0; i < n; i++) {
        if (!kids[i] || !pm__ref_count_release(&((pm__head *)pm__ref_ptr(kids[i]))->rc)) continue;
        if (pm__dead_leaf(cx, kids[i])) continue;
        if (last) pm__dead_link(last, kids[i]);
        else first = kids[i];
        last = kids[i];
    }
    if (!last) return list;
    pm__dead_link(last, list);
    return first;
}

/* Asks for the first line of memory of each of n nodes. */
static PM__INLINE void pm__any_prefetch(const pm__ref *kids, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        if (kids[i]) PM__PREFETCH(pm__ref_ptr(kids[i]));
}

/* Ends a line, but for its references to children, which are in `kids` then, prefetched. Returns how many. */
static unsigned pm__dead_line(const pm__cx *cx, pm__line *x, pm__ref *kids) {
    unsigned n = 0;
    for (uint32_t m = x->cmask; m; m &= m - 1) kids[n++] = *pm__line_child(x, pm__ctz32(m));
    pm__any_prefetch(kids, n);
    if (!cx->plain && !cx->unit)
        for (uint32_t m = ~x->cmask & pm__low_bits(x->n); m; m &= m - 1)
            pm__val_release(cx->ops, *pm__line_val(x, pm__ctz32(m)));
    pm__mem_free(x, pm__line_size(x));
    return n;
}

static pm__ref pm__dead_byte(const pm__cx *cx, pm__byte *x, pm__ref list) {
    if (!cx->plain && !cx->unit)
        for (unsigned i = 0; i < x->nv; i++) pm__val_release(cx->ops, x->slot[x->cap - 1u - i]);
    if (!pm__byte_is_wide(x)) {
        pm__any_prefetch(x->slot, x->nc);
        list = pm__dead_children(cx, x->slot, x->nc, list);
    }
    for (unsigned i = 0; i < PM__WIDE_BLOCKS && pm__byte_is_wide(x); i++) {
        pm__block *k = pm__byte_block(x, i);
        if (!k || !pm__ref_count_release(&k->rc)) continue;
        const unsigned n = pm__popcount32(pm__byte_block_bits(x, i));
        pm__any_prefetch(k->slot, n);
        list = pm__dead_children(cx, k->slot, n, list);
        pm__mem_free(k, pm__block_size(k->cap));
    }
    pm__byte_free_shell(x);
    return list;
}

/* Takes at most n nodes of a list apart. Returns what is left of it. Lines have few children: those of several are
   waited for together. */
static pm__ref pm__dead_take(const pm__cx *cx, pm__ref r, size_t n) {
    pm__ref kids[2 * PM__LINE_ENTRIES], rest;
    while (r && n) {
        unsigned k = 0;
        for (; r && n && k <= PM__LINE_ENTRIES && pm__ref_is_lined(r); n--, r = rest) {
            rest = pm__dead_next(r);
            k += pm__dead_line(cx, (pm__line *)pm__ref_ptr(r), kids + k);
        }
        r = pm__dead_children(cx, kids, k, r);
        if (!r || !n || pm__ref_is_lined(r)) continue;
        rest = pm__dead_next(r), n--;
        r = pm__dead_byte(cx, (pm__byte *)pm__ref_ptr(r), rest);
    }
    return r;
}

static PM__NOINLINE void pm__any_destroy(const pm__cx *cx, pm__ref r) {
    pm__dead_link(r, 0);
    (void)pm__dead_take(cx, r, SIZE_MAX);
}

/* Gives up one reference; 0 is allowed. */
static PM__INLINE void pm__any_release(const pm__cx *cx, pm__ref r) {
    if (r && pm__ref_count_release(&((pm__head *)pm__ref_ptr(r))->rc)) pm__any_destroy(cx, r);
}

/* Gives up a payload. */
static void pm__pay_release(const pm__cx *cx, bool child, uint64_t pay) {
    if (child) pm__any_release(cx, pay);
    else if (!cx->plain && !cx->unit) pm__val_release(cx->ops, pay);
}

static void pm__pay_retain(const pm__cx *cx, bool child, uint64_t pay) {
    if (child) pm__ref_retain(pay);
    else if (!cx->plain && !cx->unit) pm__val_retain(cx->ops, pay);
}

/* ---- copy-on-write ------------------------------------------------------------------------------------------- */

/* Asks for the counts of all that a line leads to, some time before they are raised. */
static PM__INLINE void pm__any_line_prefetch_pays(const pm__line *x) {
    for (uint32_t m = x->cmask; m; m &= m - 1) PM__PREFETCH(pm__ref_ptr(*pm__line_child(x, pm__ctz32(m))));
}

/* Takes one more reference of everything that a line holds. */
static void pm__any_line_retain_pays(const pm__cx *cx, const pm__line *x) {
    for (uint32_t m = x->cmask; m; m &= m - 1) pm__ref_retain(*pm__line_child(x, pm__ctz32(m)));
    if (cx->plain || cx->unit) return;
    for (uint32_t m = ~x->cmask & pm__low_bits(x->n); m; m &= m - 1)
        pm__val_retain(cx->ops, *pm__line_val(x, pm__ctz32(m)));
}

static pm__ref pm__any_line_copy(const pm__cx *cx, const pm__line *x) {
    size_t size = pm__line_size(x);
    pm__any_line_prefetch_pays(x);
    pm__line *y = (pm__line *)pm__mem_alloc(cx->pool, size);
    if (!y) return 0;
    memcpy((char *)y + sizeof(pm__count), (const char *)x + sizeof(pm__count), size - sizeof(pm__count));
    pm__ref_count_init(&y->rc);
    pm__any_line_retain_pays(cx, y);
    return pm__ref_make(y, y->flags & 3u, size);
}

static pm__ref pm__any_byte_copy(const pm__cx *cx, const pm__byte *x) {
    size_t size = pm__byte_size(x);
    pm__any_prefetch(x->slot, pm__byte_is_wide(x) ? PM__WIDE_BLOCKS : x->nc);
    pm__byte *y = (pm__byte *)pm__mem_alloc(cx->pool, size);
    if (!y) return 0;
    memcpy((char *)y + sizeof(pm__count), (const char *)x + sizeof(pm__count),
           pm__byte_bytes(pm__byte_room_of(x)) - sizeof(pm__count));
    pm__ref_count_init(&y->rc);
    if (pm__byte_is_wide(y)) {
        for (unsigned i = 0; i < PM__WIDE_BLOCKS; i++)
            if (y->slot[i]) pm__ref_count_retain(&pm__byte_block(y, i)->rc);
    } else {
        for (unsigned i = 0; i < y->nc; i++) pm__ref_retain(y->slot[i]);
    }
    if (!cx->plain && !cx->unit)
        for (unsigned i = 0; i < y->nv; i++) pm__val_retain(cx->ops, y->slot[y->cap - 1u - i]);
    return pm__byte_ref(y);
}

static PM__NOINLINE bool pm__any_unshare(const pm__cx *cx, pm__ref *slot) {
    pm__ref old = *slot, copy;
    if (pm__ref_is_lined(old)) copy = pm__any_line_copy(cx, (const pm__line *)pm__ref_ptr(old));
    else copy = pm__any_byte_copy(cx, (const pm__byte *)pm__ref_ptr(old));
    if (!copy) return false;
    *slot = copy;
    pm__any_release(cx, old);
    return true;
}

/* Makes the node in *slot unshared. The content does not change, whatever it returns. False: no memory. */
static PM__INLINE bool pm__any_own(const pm__cx *cx, pm__ref *slot) {
    return PM__LIKELY(pm__ref_is_unique(*slot)) || pm__any_unshare(cx, slot);
}

/* Lists the children of a node. Returns how many they are. */
static PM__COLD unsigned pm__any_kids(const void *node, pm__ref *out) {
    const pm__line *y = (const pm__line *)node;
    const pm__byte *x = (const pm__byte *)node;
    unsigned n = 0;
    if ((x->flags & 3u) == PM__BYTE || pm__byte_is_wide(x)) {
        pm__byte_kids(x, out);
        return x->nc;
    }
    for (uint32_t m = y->cmask; m; m &= m - 1) out[n++] = *pm__line_child(y, pm__ctz32(m));
    return n;
}

/* ---- full tips ----------------------------------------------------------------------------------------------- */

/* The reference of a full tip that nobody else has seen: the first one is noted in *full, others give way to it. */
static PM__COLD pm__ref pm__any_full(pm__byte *x, pm__ref *full) {
    if (!*full) return *full = pm__byte_ref(x);
    pm__byte_free_shell(x);
    pm__ref_retain(*full);
    return *full;
}

/* ---- chains -------------------------------------------------------------------------------------------------- */

/* A line of one entry. 0: no memory. */
static pm__ref pm__any_line_single(const pm__cx *cx, const uint8_t *s, size_t len, bool child, uint64_t pay) {
    pm__ent e = pm__ent_make(s, len, child, pay);
    size_t size = pm__line_need(1, len - 1, child || !cx->unit);
    return pm__line_encode(cx, size, NULL, 0, &e, 1, 0, 0);
}

/* Frees the first `n` nodes of a chain, but not what it leads to. */
static void pm__any_chain_undo(pm__ref r, size_t n) {
    while (n--) {
        pm__line *x = (pm__line *)pm__ref_ptr(r);
        pm__ref next = n ? *pm__line_child(x, 0) : 0;
        pm__mem_free(x, pm__line_size(x));
        r = next;
    }
}

static size_t pm__any_chain_nodes(size_t len) { return (len + PM__SUFFIX_MAX - 1) / PM__SUFFIX_MAX; }

/* Builds what leads along s[0..len), len > 0, to a value or child. Built from the far end. 0: no memory. */
static pm__ref pm__any_chain(const pm__cx *cx, const uint8_t *s, size_t len, bool child, uint64_t pay) {
    size_t at = (len - 1) / PM__SUFFIX_MAX * PM__SUFFIX_MAX, built = 0;
    pm__ref r = pm__any_line_single(cx, s + at, len - at, child, pay);
    if (!r) return 0;
    for (built = 1; at > 0; built++) {
        at -= PM__SUFFIX_MAX;
        pm__ref up = pm__any_line_single(cx, s + at, PM__SUFFIX_MAX, true, r);
        if (!up) {
            pm__any_chain_undo(r, built);
            return 0;
        }
        r = up;
    }
    return r;
}
