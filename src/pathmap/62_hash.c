/* Hashes of content, and sharing by content (hash-consing).

   The hash of a location is made in two steps, so that what lies below a node's root has a hash of its own, whatever
   value the entry above holds:

     below(location)  = seal(absorb of: number of children, and for each child its byte and its hash)
     hash(location)   = below(location), or with a value v: seal(absorb(absorb(below, mark), hash of v))

   merkleize first hashes all distinct nodes (a fold that remembers every node), then goes over them deepest first. A
   node gives way to an equal one met before it, or stays; it is copied if a node below it gave way or was copied. The
   old nodes all live until the new root is in place, so references never change their meaning on the way, and running
   out of memory loses only what was made. */
#include "60_fold.c"
#include "62_hash.h"

/* ---- the function -------------------------------------------------------------------------------------------- */

static PM__INLINE uint64_t pm__hash_rotate(uint64_t x, unsigned n) { return x << n | x >> (64 - n); }

/* For each word a permutation of the states, and for each state one-to-one in the word. */
static PM__INLINE pm_hash128 pm__hash_absorb(pm_hash128 h, uint64_t word) {
    h.lo = (h.lo ^ word) * 0x9FB21C651E98DF25u;
    h.hi = (h.hi + word) * 0xD6E8FEB86659FD93u;
    h.lo = pm__hash_rotate(h.lo, 29) + h.hi;
    h.hi = pm__hash_rotate(h.hi, 37) ^ h.lo;
    return h;
}

static PM__INLINE pm_hash128 pm__hash_seal(pm_hash128 h) {
    for (unsigned i = 0; i < 2; i++) {
        h.lo = (h.lo ^ h.lo >> 32) * 0xA0761D6478BD642Fu;
        h.hi = (h.hi ^ h.hi >> 31) * 0xE7037ED1A0B428DBu;
        h.lo += h.hi;
        h.hi ^= pm__hash_rotate(h.lo, 23);
    }
    h.lo ^= h.lo >> 29;
    h.hi ^= h.hi >> 30;
    return h;
}

static PM__INLINE pm_hash128 pm__hash_begin(unsigned children) {
    pm_hash128 h = {0x243F6A8885A308D3u, 0x13198A2E03707344u}; /* digits of pi */
    return pm__hash_absorb(h, children);
}

/* The byte goes into one of the words of the child's hash, which is as random as the word was. */
static PM__INLINE pm_hash128 pm__hash_child(pm_hash128 h, uint8_t byte, pm_hash128 child) {
    h = pm__hash_absorb(h, child.lo + (byte + (uint64_t)1) * 0x9E3779B97F4A7C15u);
    return pm__hash_absorb(h, child.hi);
}

static pm_hash128 pm__hash_value(pm_hash128 h, uint64_t v) {
    return pm__hash_seal(pm__hash_absorb(pm__hash_absorb(h, 0xA4093822299F31D0u), v));
}

/* ---- as a fold ----------------------------------------------------------------------------------------------- */

static int pm__hash_at(void *ctx, const pm_fold_at *here, void *out) {
    const pm_hash128 *kids = (const pm_hash128 *)here->results;
    pm_hash128 h = pm__hash_begin(here->n);
    int b = -1;
    (void)ctx;
    for (unsigned i = 0; i < here->n; i++) {
        b = pm__mask_next(here->mask, b + 1);
        h = pm__hash_child(h, (uint8_t)b, kids[i]);
    }
    *(pm_hash128 *)out = pm__hash_seal(h);
    return PM_OK;
}

static void pm__hash_run(void *ctx, const uint8_t *s, size_t len, void *result) {
    pm_hash128 h = *(pm_hash128 *)result, one = pm__hash_begin(1);
    (void)ctx;
    while (len--) h = pm__hash_seal(pm__hash_child(one, s[len], h));
    *(pm_hash128 *)result = h;
}

static void pm__hash_add(void *ctx, pm_val v, void *result) {
    pm_hash128 *h = (pm_hash128 *)result;
    const pm_ops *ops = *(const pm_ops *const *)ctx;
    *h = pm__hash_value(*h, pm__ops_is_unit(ops) ? 0 : pm__val_hash(ops, v));
}

/* `ops` must last as long as the fold. */
static pm__fold pm__hash_fold(const pm_ops **ops) {
    pm_fold f = {sizeof(pm_hash128), PM_FOLD_CACHED, (void *)ops, pm__hash_at, NULL, NULL};
    pm__fold w = pm__fold_begin(&f);
    w.run = pm__hash_run;
    w.add_val = pm__hash_add;
    return w;
}

PM_API pm_status pm_hash_ref(const pm_ref *r, pm_hash128 *out) {
    if (!r || !out) return PM_INVALID;
    const pm_ops *ops = r->ops;
    pm__fold w = pm__hash_fold(&ops);
    pm_hash128 made;
    pm_status s = (pm_status)pm__fold_end(&w, pm__fold_walk(&w, pm__fold_spot_of(&r->place, r->val), 0), &made);
    pm_status failed = pm__val_failed(ops ? ops : pm_ops_left());
    if (failed != PM_OK) s = failed;
    if (s == PM_OK) *out = made;
    return s;
}

PM_API pm_status pm_hash(const pm_map *m, pm_hash128 *out) {
    if (!m || !out) return PM_INVALID;
    pm_ref r = pm_ref_of_map(m, NULL, 0);
    return pm_hash_ref(&r, out);
}

/* ---- sharing by content -------------------------------------------------------------------------------------- */

typedef struct pm__merkle {
    pm__cx cx;
    pm__fold hashes;  /* knows below() of every node's root */
    pm__memo instead; /* (node, 0): the node that stands for it */
    pm__memo first;   /* below() of a content to the node that stands for it */
    pm__list made;
    pm_merkle_stats stats;
} pm__merkle;

/* Parts of range nodes are no stops of the fold, and are hashed when they come up. False: no memory. */
static bool pm__merkle_hash(pm__merkle *k, pm__ref r, pm_hash128 *out) {
    pm__fold *w = &k->hashes;
    const uint64_t *i = pm__memo_get(&w->memo, r, PM__FOLD_WHOLE);
    if (!i) {
        if (pm__fold_walk(w, pm__fold_root(r, NULL), 0) != PM_OK) return false;
        w->results.used--;
        i = pm__memo_get(&w->memo, r, PM__FOLD_WHOLE);
    }
    PM__CHECK2(i);
    const pm__fold_known *known = (const pm__fold_known *)pm__list_at(&w->known, (size_t)*i);
    *out = *(const pm_hash128 *)pm__list_at(&w->kept, known->at);
    return true;
}

static pm__ref pm__merkle_instead(const pm__merkle *k, pm__ref r) {
    const uint64_t *known = r ? pm__memo_get(&k->instead, r, 0) : NULL;
    return known ? *known : r;
}

/* Puts the node that stands for it in the place of a child. */
static void pm__merkle_swap(const pm__merkle *k, pm__ref *slot) {
    pm__ref old = *slot, r = pm__merkle_instead(k, old);
    if (r == old) return;
    pm__ref_retain(r);
    *slot = r;
    pm__any_release(&k->cx, old); /* never the last reference: the map still holds all old nodes */
}

/* The slots of a node's children, in byte order; the node is the caller's if they are to be written. A wide node gives
   those of one block. */
static unsigned pm__merkle_slots(pm__ref r, unsigned block, pm__ref **out) {
    if (pm__ref_is_lined(r)) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        unsigned n = 0;
        for (uint32_t m = x->cmask; m; m &= m - 1) out[n++] = pm__line_child(x, pm__ctz32(m));
        return n;
    }
    pm__byte *x = (pm__byte *)pm__ref_ptr(r);
    bool wide = pm__byte_is_wide(x);
    unsigned n = wide ? pm__popcount32(pm__byte_block_bits(x, block)) : x->nc;
    for (unsigned i = 0; i < n; i++) out[i] = wide ? &pm__byte_block(x, block)->slot[i] : &x->slot[i];
    return n;
}

static unsigned pm__merkle_blocks(pm__ref r) { return pm__ref_kind(r) == PM__WIDE ? PM__WIDE_BLOCKS : 1; }

/* Bit i: block i (0 of other nodes) holds a child that another node stands for. */
static unsigned pm__merkle_stale(const pm__merkle *k, pm__ref r) {
    unsigned stale = 0;
    for (unsigned b = 0; b < pm__merkle_blocks(r); b++) {
        pm__ref *slots[PM__WIDE_FROM];
        unsigned n = pm__merkle_slots(r, b, slots);
        for (unsigned i = 0; i < n && !(stale >> b & 1); i++)
            if (*slots[i] != pm__merkle_instead(k, *slots[i])) stale |= 1u << b;
    }
    return stale;
}

/* A copy of a node that leads to what stands for its children. 0: no memory. */
static pm__ref pm__merkle_copy(const pm__merkle *k, pm__ref r, unsigned stale) {
    pm__ref c;
    if (pm__ref_is_lined(r)) c = pm__any_line_copy(&k->cx, (const pm__line *)pm__ref_ptr(r));
    else c = pm__any_byte_copy(&k->cx, (const pm__byte *)pm__ref_ptr(r));
    for (unsigned b = 0; c && b < pm__merkle_blocks(c); b++) {
        pm__ref *slots[PM__WIDE_FROM];
        if (!(stale >> b & 1)) continue;
        if (pm__ref_kind(c) == PM__WIDE &&
            !pm__byte_own_block(&k->cx, (pm__byte *)pm__ref_ptr(c), (uint8_t)(b << 4), 0)) {
            pm__any_release(&k->cx, c);
            return 0;
        }
        unsigned n = pm__merkle_slots(c, b, slots);
        for (unsigned i = 0; i < n; i++) pm__merkle_swap(k, slots[i]);
    }
    return c;
}

/* Decides what stands for a node, all below it being decided. False: no memory. */
static bool pm__merkle_decide(void *ctx, pm__ref r) {
    pm__merkle *k = (pm__merkle *)ctx;
    pm_hash128 h = {0, 0};
    if (!pm__merkle_hash(k, r, &h)) return false;
    unsigned stale = pm__merkle_stale(k, r);
    pm__ref now = r;
    uint64_t a = h.lo ? h.lo : 1;
    const uint64_t *other;
    k->stats.nodes++;
    if (stale) { /* before it is compared: then what both lead to is one and the same */
        if (!pm__list_room(&k->made, 1) || !(now = pm__merkle_copy(k, r, stale))) return false;
        pm__list_put(&k->made, &now, 1);
    }
    for (; (other = pm__memo_get(&k->first, a, h.hi)) != NULL; h.hi++) { /* one hash, other content: the next place */
        if (pm__ref_kind(*other) == PM__RANGE && pm__ref_kind(r) != PM__RANGE) continue; /* r may be a part */
        int equal = pm__compare_equal(k->cx.ops, *other, now);
        if (equal < 0) return false;
        if (!equal) continue;
        k->stats.replaced++;
        if (stale) {
            k->made.used--;
            pm__any_release(&k->cx, now);
        }
        return pm__memo_put(&k->instead, r, 0, *other);
    }
    k->stats.copied += stale != 0;
    return pm__memo_put(&k->first, a, h.hi, now) && pm__memo_put(&k->instead, r, 0, now);
}

/* True if the map was hashed and its nodes decided. */
static bool pm__merkle_run(pm__merkle *k, const pm_map *m) {
    pm__fold *w = &k->hashes;
    w->every = true;
    if (pm__fold_walk(w, pm__fold_root(m->root, m->has_value ? &m->value : NULL), 0) != PM_OK) return false;
    k->stats.hash = *(const pm_hash128 *)pm__list_at(&w->results, 0);
    return !m->root || pm__tally_upwards(m->root, &k->instead, pm__merkle_decide, k);
}

PM_API pm_status pm_merkleize(pm_map *m, pm_merkle_stats *stats) {
    if (!m) return PM_INVALID;
    const pm_ops *ops = pm_map_ops(m);
    pm__map_own(m);
    pm__merkle k = {.cx = pm__map_cx(m), .hashes = pm__hash_fold(&ops)};
    pm_hash128 unused;
    k.made = pm__list_of(sizeof(pm__ref));
    bool ok = pm__merkle_run(&k, m);
    pm_status failed = pm__val_failed(ops);
    ok = ok && failed == PM_OK;
    pm__ref old = m->root, now = pm__merkle_instead(&k, old);
    if (ok && now != old) {
        pm__ref_retain(now);
        m->root = now;
        pm__any_release(&k.cx, old);
    }
    for (size_t i = 0; i < k.made.used; i++) pm__any_release(&k.cx, *(pm__ref *)pm__list_at(&k.made, i));
    (void)pm__fold_end(&k.hashes, ok ? PM_OK : PM_NOMEM, &unused);
    pm__list_free(&k.made);
    pm__memo_free(&k.instead);
    pm__memo_free(&k.first);
    if (!ok) return failed == PM_OK ? PM_NOMEM : failed;
    if (stats) *stats = k.stats;
    return pm__map_done(m, PM_OK);
}
