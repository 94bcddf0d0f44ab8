/* Claims: which zippers of a head are where, and which would be in each other's way.

   A claim is the record of a writer, or of a pinned reader, at its path below the head's root. Two maps lead from paths
   to claims, one for each kind; where several claims have the same path, they are chained.

   A path conflicts with the claims at its prefixes, found by walking down along it, and with those below it, which
   exist if the location does: claims are removed with pruning, so each location has a claim at or below it. */
#include "54_iterate.c"
#include "65_claims.h"

typedef struct pm__claim {
    struct pm_claim zipper; /* first: what the zipper knows */
    struct pm_head *head;
    pm_val kind; /* PM_CLAIM_WRITER, PM_CLAIM_PINNED */
    bool entered; /* in its map of claims */
    struct pm__claim *next, *prev; /* of the same kind and path */
    struct pm__claim *unsettled;   /* the head's list */
    uint8_t *path; /* below the head's root; the way to that root stands in front of it */
    size_t len, bytes; /* bytes: of the record */
} pm__claim;

typedef struct pm__claims {
    pm_map writers, pins;
} pm__claims;

static pm__claim *pm__claim_of(pm_val v) { return (pm__claim *)(uintptr_t)v; }

static bool pm__paths_overlap(const uint8_t *p, size_t n, const uint8_t *q, size_t m) {
    size_t min = n < m ? n : m;
    return min == 0 || memcmp(p, q, min) == 0;
}

/* Makes a record of `size` bytes that begins with a claim; all else is zero. NULL: no memory. */
static pm__claim *pm__claim_new(size_t size, pm_val kind, const void *prefix, size_t prefix_len, const void *path,
                                size_t len) {
    if (len > SIZE_MAX / 2 - size - prefix_len) return NULL;
    size_t bytes = size + prefix_len + len;
    pm__claim *c = (pm__claim *)pm__mem_alloc_big(bytes);
    if (!c) return NULL;
    memset((void *)c, 0, size);
    c->kind = kind;
    c->path = (uint8_t *)c + size + prefix_len;
    c->len = len;
    c->bytes = bytes;
    if (prefix_len) memcpy(c->path - prefix_len, prefix, prefix_len);
    if (len) memcpy(c->path, path, len);
    return c;
}

static void pm__claim_free(pm__claim *c) { pm__mem_free_big(c, c->bytes); }

static pm_map *pm__claims_like(pm__claims *k, const pm__claim *c) {
    return c->kind == PM_CLAIM_WRITER ? &k->writers : &k->pins;
}

/* Enters a claim. False: no memory. */
static bool pm__claims_add(pm__claims *k, pm__claim *c) {
    pm_map *m = pm__claims_like(k, c);
    const pm_val *there = pm_get(m, c->path, c->len);
    if (!there && pm_set(m, c->path, c->len, (pm_val)(uintptr_t)c, NULL) != PM_OK) return false;
    if (there) {
        c->prev = pm__claim_of(*there);
        c->next = c->prev->next;
        if (c->next) c->next->prev = c;
        c->prev->next = c;
    }
    c->entered = true;
    return true;
}

/* Takes a claim out. False: no memory. */
static bool pm__claims_remove(pm__claims *k, pm__claim *c) {
    pm_map *m = pm__claims_like(k, c);
    pm_status s = PM_OK;
    if (!c->prev && !c->next) s = pm_remove(m, c->path, c->len, PM_PRUNE, NULL);
    else if (!c->prev) s = pm_set(m, c->path, c->len, (pm_val)(uintptr_t)c->next, NULL);
    if (s != PM_OK) return false;
    if (c->prev) c->prev->next = c->next;
    if (c->next) c->next->prev = c->prev;
    c->entered = false;
    return true;
}

typedef bool (*pm__claim_fn)(void *ctx, pm__claim *c);

static bool pm__claims_each_here(pm_val first, pm__claim_fn fn, void *ctx) {
    for (pm__claim *c = pm__claim_of(first); c; c = c->next)
        if (!fn(ctx, c)) return false;
    return true;
}

/* Calls fn for the claims that overlap a path, in order, as long as it returns true. False: it did not, or there was no
   memory to go on below the path. */
static bool pm__claims_each(const pm_map *m, const void *path, size_t len, pm__claim_fn fn, void *ctx) {
    const uint8_t *s = (const uint8_t *)path;
    pm_place p = pm__place_root(m->root);
    const pm_val *v = m->has_value ? &m->value : NULL;
    pm_rz z;
    for (size_t at = 0;; at++) {
        if (v && !pm__claims_each_here(*v, fn, ctx)) return false;
        if (at == len) break;
        if (!pm__place_enter(&p) || !pm__place_down(&p, s + at, 1)) return true;
        v = pm__place_val(&p);
    }
    if (pm_rz_open(m, path, len, &z) != PM_OK) return false;
    bool ok = true;
    while (ok && pm_rz_to_next_val(&z)) ok = pm__claims_each_here(*pm_rz_val(&z), fn, ctx);
    ok = ok && pm_rz_status(&z) == PM_OK;
    pm_rz_drop(&z);
    return ok;
}

/* Whether there is a claim at the path, or below it, or at a prefix. */
static bool pm__claims_overlap(const pm_map *m, const void *path, size_t len) {
    const uint8_t *s = (const uint8_t *)path;
    pm_place p = pm__place_root(m->root);
    const pm_val *v = m->has_value ? &m->value : NULL;
    if (pm_is_empty(m)) return false;
    for (size_t at = 0; at < len && !v; at++) {
        if (!pm__place_enter(&p) || !pm__place_down(&p, s + at, 1)) return false;
        v = pm__place_val(&p);
    }
    return true;
}

/* Whether claims are in the way of one of the given kind. Pinned readers are not in each other's way. */
static bool pm__claims_conflict(const pm__claims *k, pm_val kind, const void *path, size_t len) {
    return pm__claims_overlap(&k->writers, path, len) ||
           (kind == PM_CLAIM_WRITER && pm__claims_overlap(&k->pins, path, len));
}

static bool pm__claims_report_one(void *why, pm__claim *c) {
    const pm_val *there = pm_get((const pm_map *)why, c->path, c->len);
    return pm_set((pm_map *)why, c->path, c->len, c->kind | (there ? *there : 0), NULL) == PM_OK;
}

/* Adds the claims in the way to a report. Without memory for all of them it is empty. */
static void pm__claims_report(const pm__claims *k, pm_val kind, const void *path, size_t len, pm_map *why) {
    if (pm__claims_each(&k->writers, path, len, pm__claims_report_one, why) &&
        (kind == PM_CLAIM_PINNED || pm__claims_each(&k->pins, path, len, pm__claims_report_one, why)))
        return;
    pm_drop(why);
}

#if PM_CHECK >= 1
/* uncovered: the process ends, and its counts with it */
static bool pm__claims_print(void *before, const uint8_t *path, size_t len, pm_val kind) {
#if !PM_NO_STDIO
    fputs((const char *)before, stderr);
    for (size_t i = 0; i < len; i++) fprintf(stderr, "%02x", path[i]);
#endif
    (void)before, (void)path, (void)len, (void)kind;
    return true;
}

/* The caller vouched for what is not so: tells, and ends. */
/* uncovered: as above */
static void pm__claims_accuse(const pm__claims *k, pm_val kind, const void *path, size_t len) {
    pm_map why = pm_new(pm_ops_bits(), NULL);
    pm__claims_report(k, kind, path, len, &why);
    (void)pm__claims_print((void *)"pathmap: unchecked claim at ", (const uint8_t *)path, len, kind);
    bool all = pm_each(&why, pm__claims_print, (void *)" overlaps ") == PM_OK;
    (void)pm__claims_print((void *)(all ? "\n" : " ...\n"), NULL, 0, 0);
    pm_drop(&why);
    pm__accuse("zippers of a head overlap (pm_head_write_unchecked, pm_head_pin_unchecked)");
}
#endif
