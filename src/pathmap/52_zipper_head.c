/* Heads.

   What lies at and below a writer's root is in a map of the writer's own, at the same path; the rest is in `base`. A
   writer is *clean* as long as `base` has the same content there, shared, and *dirty* otherwise.

       base                a..x  b/1 b/2  c!          dirty writer at "c"    c/7  c/8/..
                                                      clean writer at "b/"   (shared with base)  b/1  b/2
       a snapshot          base, after what dirty writers have was put there

   Before its first change a clean writer takes its content out of `base`, where only the location is left. So a writer
   works on nodes that nobody else has, and is a plain write zipper; what it costs to be watched is that each change
   says when it begins and ends (51_write_zipper.c). Making a snapshot puts the content of dirty writers into `base`,
   between two changes, which makes them clean, and clones `base`: where nothing has changed there is nothing to do.
   When a writer ends, it is made clean if it is not.

   Making a snapshot. Under the lock, every dirty writer concerned is held; then one fence for all. Those that are
   outside of changes are made clean, and `base` is cloned; those that are inside will be waited for, without the lock,
   and come into the snapshot alone. A held writer that wants to begin a change first gives a clone of its map to each
   who waits for it, all at once: so all of them see a change of two writers whole, or none of it.

   A snapshot at a common instant, a fence, lets no held writer go on: it waits until all are outside of changes at one
   time. Meanwhile no clean writer under its path becomes dirty: it waits at its first change, also one that has been
   opened in between. So those that the fence has held at the beginning are all whose content is missing in `base` at
   the end. What a fence waits for is the changes in flight when it came. Others that come meanwhile wait for the same
   ones, or for fewer: neither fences nor writers can be put off for ever.

   Waiting. Who waits for a change to end, or for a fence, takes the number of the head's bell, looks, gives up the lock
   and waits for the number to change. Under the lock the bell is rung only if somebody may be asleep; a writer that
   leaves a change rings it if it is held (pm__wz_leave).

   Claims. `writers` and `pins` are maps from paths to records. A path conflicts with those at its prefixes, found by
   walking down along it, and with those below it, which exist if the location does: claims are removed with pruning, so
   each location has a claim at or below it.

   Out of memory. A zipper that ends cannot fail. What it leaves to be done, if there is no memory for it, is kept as
   `unsettled` and tried again by the next request, which answers PM_NOMEM if it fails again. A content that cannot be
   taken out of `base` stays there, shared and no longer looked at.

   Invariants, whenever the lock is free
   - a writer's map holds nothing but prefixes of its root, and what is at and below it
   - if the root exists in what readers see of a writer, it does so from then on (a group that is undone was never
   seen); so the location that is left in `base` is always right
   - a writer is in the list of dirty ones exactly if it is not clean
   - a piece of a snapshot being made is in its writer's list exactly while it is held and has no content
   - a record is in its map of claims exactly once (a chain of writers, if claims are unchecked), or is unsettled */
#include "51_write_zipper.c"
#include "52_zipper_head.h"

/* What writers and pins have in common. */
typedef struct pm__stake {
    struct pm_claim claim; /* first: what zippers know */
    pm_head *head;
    pm_claim_kind kind;
    bool claimed;                    /* in a map of claims */
    struct pm__stake *next_unsettled;
    uint8_t *path; /* from the origin: begins with the head's prefix */
    size_t len;
} pm__stake;

typedef struct pm__pin {
    pm__stake stake;
    uint64_t readers;
} pm__pin;

typedef struct pm__writer {
    pm__stake stake;
    pm_map map;   /* the content at and below the root */
    pm_txn group; /* what readers see meanwhile */
    struct pm__writer *same; /* the next one at the same path, which is the caller's mistake */
    bool clean;
    struct pm__writer *next_dirty, **link_dirty;
    bool ended;       /* freed by the last snapshot that uses it */
    uint32_t users;   /* snapshots being made with it */
    uint32_t fencing; /* of these, the fences that it must not begin a change beside */
    struct pm__piece *waiting; /* what snapshots need of it, and do not have yet */
} pm__writer;

/* A writer whose content a snapshot needs. */
typedef struct pm__piece {
    pm__writer *w;
    bool held, alone; /* alone: not in the base, but in `map` */
    struct pm__piece *next, **link; /* while held */
    pm_map map;
} pm__piece;

typedef struct pm__snap {
    bool fence;
    bool counted; /* among the head's zippers */
    struct pm__snap *next, **link; /* a fence that waits */
    const uint8_t *path;
    size_t len;
    pm_map map;
    size_t n, cap;
    pm__piece *pieces; /* they stay where they are while any is held */
} pm__snap;

struct pm_head {
    struct pm_claim reading; /* all snapshot readers' */
    pm__lock lock;           /* guards all below, and stakes but for what the zipper's thread uses */
    bool fenced;             /* fences of all threads are not to be had, for writers from now on */
    bool ring;               /* the bell, when the lock is given up */
    pm__a32 bell;
    uint64_t sleepers;       /* who may be waiting for the bell */
    pm__snap *fences;        /* that wait */
    pm_map base;
    pm_map writers, pins;
    pm__writer *dirty;
    size_t ndirty;
    pm__stake *unsettled;
    uint64_t out;     /* zippers, and those being made; but for those that have ended without the lock */
    pm__a64 ended;    /* these */
    pm_map *home;     /* where the content goes back to; NULL: the head owns it */
    pm_wz *host;
    bool grouped_host;
    size_t prefix_len; /* of the host's focus */
    uint8_t prefix[];
};

/* ---- waiting ------------------------------------------------------------------------------------------------- */

static bool pm__paths_overlap(const uint8_t *p, size_t n, const uint8_t *q, size_t m) {
    size_t min = n < m ? n : m;
    return min == 0 || memcmp(p, q, min) == 0;
}

/* Wakes all who wait for the head. */
static void pm__head_ring(pm_head *h) {
    (void)pm__a32_fetch_add_acq_rel(&h->bell, 1);
    pm__wake(&h->bell, true);
}

/* Gives up the lock. From then on the head may be gone. */
static void pm__head_unlock(pm_head *h) {
    bool ring = h->ring && h->sleepers;
    h->ring = false;
    if (ring) (void)pm__a32_fetch_add_acq_rel(&h->bell, 1);
    pm__lock_release(&h->lock);
    if (ring) pm__wake(&h->bell, true);
}

/* Gives up the lock until the bell has another number than `seen`, which was read before what is waited for was looked
   at. Where a writer's leave may be missed (pm__wz_leave), for a millisecond at most. */
static void pm__head_sleep(pm_head *h, uint32_t seen) {
    long us = h->fenced ? 1000 : 0;
    h->sleepers++;
    pm__head_unlock(h);
    if (!pm__spin(&h->bell, seen)) (void)pm__wait(&h->bell, seen, us);
    pm__lock_acquire(&h->lock);
    h->sleepers--;
}

/* What readers see of a writer between two changes. */
static const pm_map *pm__writer_visible(const pm__writer *w) { return w->group.open ? &w->group.saved : &w->map; }

/* Says what the writer has to do before its next change. With the lock held. */
static void pm__writer_set_hold(pm__writer *w) {
    /* Release: pairs with the acquire load in pm__claim_try_enter; who goes on then, finds counts of shared nodes
       raised. */
    pm__store_release(&w->stake.claim.hold,
                      (w->waiting ? (uint32_t)PM__HOLD_WAIT : 0) | (w->clean ? (uint32_t)PM__HOLD_CLEAN : 0));
}

/* A piece that a snapshot waits for, in its writer's list; and out of it. With the lock held. */
static void pm__piece_link(pm__piece *q) {
    q->held = true;
    q->next = q->w->waiting;
    q->link = &q->w->waiting;
    if (q->next) q->next->link = &q->next;
    q->w->waiting = q;
}

static void pm__piece_unlink(pm__piece *q) {
    q->held = false;
    *q->link = q->next;
    if (q->next) q->next->link = q->link;
}

/* Gives its content to all that wait for it. With the lock held, between two changes. */
static void pm__writer_park(pm__writer *w) {
    while (w->waiting) {
        pm__piece *q = w->waiting;
        q->map = pm_clone(pm__writer_visible(w));
        q->alone = true;
        pm__piece_unlink(q);
        w->stake.head->ring = true;
    }
}

/* Puts what is at and below a place of one map there in another. */
static bool pm__head_transfer(const pm_map *from, pm_map *to, const uint8_t *path, size_t len) {
    pm__cx cx = pm__map_cx(to);
    pm_ref r = pm_ref_of_map(from, path, len);
    pm_map copy;
    if (!r.exists) return true;
    if (len == 0) {
        copy = pm_clone(from);
        pm_drop(to);
        *to = copy;
        return true;
    }
    if (pm__map_of_place(&cx, &r.place, r.val, &copy) != PM_OK) return false;
    pm_opt val = {copy.value, copy.has_value};
    if (pm__trie_assign(&cx, &to->root, path, len, val, copy.root)) return true;
    pm_drop(&copy);
    return false;
}

/* Makes a writer clean. False: no memory. With the lock held, between two changes. */
static bool pm__writer_clean(pm__writer *w) {
    pm_head *h = w->stake.head;
    if (w->clean) return true;
    if (!pm__head_transfer(pm__writer_visible(w), &h->base, w->stake.path, w->stake.len)) return false;
    w->clean = true;
    h->ndirty--;
    *w->link_dirty = w->next_dirty;
    if (w->next_dirty) w->next_dirty->link_dirty = w->link_dirty;
    return true;
}

/* Makes a writer dirty: takes its content out of the base, if there is memory for that. With the lock held. */
static void pm__writer_soil(pm__writer *w) {
    pm_head *h = w->stake.head;
    pm_opt none = {0, false};
    if (!w->clean) return;
    w->clean = false;
    h->ndirty++;
    w->next_dirty = h->dirty;
    w->link_dirty = &h->dirty;
    if (w->next_dirty) w->next_dirty->link_dirty = &w->next_dirty;
    h->dirty = w;
    if (w->stake.len == 0) {
        pm_drop(&h->base);
        return;
    }
    pm__survey there = pm__trie_survey(h->base.root, w->stake.path, w->stake.len);
    if (!there.exists || (there.childless && !there.val)) return;
    pm__cx cx = pm__map_cx(&h->base);
    (void)pm__trie_assign(&cx, &h->base.root, w->stake.path, w->stake.len, none, 0);
}

/* Whether a fence that waits forbids the writer to become dirty. With the lock held. */
static bool pm__writer_must_stay_clean(const pm__writer *w) {
    const pm__stake *k = &w->stake;
    size_t prefix = k->head->prefix_len;
    for (const pm__snap *p = k->head->fences; p; p = p->next)
        if (pm__paths_overlap(k->path + prefix, k->len - prefix, p->path, p->len)) return true;
    return false;
}

/* Takes the lock when the writer may begin a change, or end. `soils`: it would be dirty then. */
static void pm__writer_lock(pm__writer *w, bool soils) {
    pm_head *h = w->stake.head;
    pm__lock_acquire(&h->lock);
    if (w->waiting) h->ring = true; /* for a moment they may have seen us inside, when we tried to begin */
    while (w->fencing || (soils && w->clean && pm__writer_must_stay_clean(w)))
        pm__head_sleep(h, pm__load_relaxed(&h->bell));
}

/* Called by a writer that may not begin a change: on return it has begun it. */
static void pm__writer_wait(struct pm_claim *c) {
    pm__writer *w = (pm__writer *)(void *)c;
    pm_head *h = w->stake.head;
    pm__writer_lock(w, true);
    pm__writer_park(w);
    pm__writer_soil(w);
    pm__writer_set_hold(w);
    /* From fences of all threads, which the system refuses now, to full fences: by the writer itself and at a moment
       when it is inside, so each of its calls is of one kind, and who holds the lock sees which. */
    if (h->fenced) c->fenced = true;
    pm__store_relaxed(&c->in_call, 1); /* whoever holds it next comes after us, through the lock */
    pm__head_unlock(h);
}

/* Called by a writer that has left a change while it was held. */
static void pm__writer_left(struct pm_claim *c) { pm__head_ring(((pm__writer *)(void *)c)->stake.head); }

/* ---- claims -------------------------------------------------------------------------------------------------- */

static pm__stake *pm__stake_of(pm_val v) { return (pm__stake *)(uintptr_t)v; }
static const uint8_t *pm__stake_rel(const pm__stake *k) { return k->path + k->head->prefix_len; }
static size_t pm__stake_rel_len(const pm__stake *k) { return k->len - k->head->prefix_len; }

/* Steps from prefix to prefix of a path through those that are claimed. */
typedef struct pm__claim_walk {
    const uint8_t *s;
    size_t len, at; /* the next prefix to look at; > len: none */
    pm_place place;
    const pm_map *map;
} pm__claim_walk;

static pm__claim_walk pm__claim_walk_of(const pm_map *m, const void *path, size_t len) {
    pm__claim_walk k = {(const uint8_t *)path, len, 0, pm__place_root(m->root), m};
    return k;
}

/* The claim at the next claimed prefix, or NULL. */
static pm__stake *pm__claim_walk_next(pm__claim_walk *k) {
    while (k->at <= k->len) {
        size_t at = k->at++;
        const pm_val *v = k->map->has_value ? &k->map->value : NULL;
        if (at) {
            if (!pm__place_enter(&k->place) || !pm__place_down(&k->place, k->s + at - 1, 1)) {
                k->at = SIZE_MAX;
                return NULL;
            }
            v = pm__place_val(&k->place);
        }
        if (v) return pm__stake_of(*v);
    }
    return NULL;
}

static pm__stake *pm__claim_above(const pm_map *m, const void *path, size_t len) {
    pm__claim_walk k = pm__claim_walk_of(m, path, len);
    return pm__claim_walk_next(&k);
}

/* True if there is a claim at the path, or below it, or at a prefix. */
static bool pm__claims_overlap(const pm_map *m, const void *path, size_t len) {
    if (pm_is_empty(m)) return false;
    return len == 0 || pm_path_exists(m, path, len) || pm__claim_above(m, path, len) != NULL;
}

/* The claims in the way of a path, ordered, collected into a list of addresses. */
typedef struct pm__stakes {
    pm__stake **list;
    size_t n, cap;
} pm__stakes;

static bool pm__stakes_add(pm__stakes *a, pm__stake *k) {
    if (a->n == a->cap) {
        size_t cap = a->cap ? a->cap * 2 : 64;
        void *grown = pm__mem_grow(a->list, a->cap * sizeof *a->list, cap * sizeof *a->list);
        if (!grown) return false;
        a->list = (pm__stake **)grown;
        a->cap = cap;
    }
    a->list[a->n++] = k;
    return true;
}

static void pm__stakes_free(pm__stakes *a) {
    if (a->list) pm__mem_free_big(a->list, a->cap * sizeof *a->list);
}

/* Adds the claims strictly below a path. */
static bool pm__stakes_add_below(pm__stakes *a, const pm_map *m, const void *path, size_t len) {
    pm_rz z;
    if (!pm_path_exists(m, path, len)) return true;
    if (pm_rz_open(m, path, len, &z) != PM_OK) return false;
    bool ok = true;
    while (ok && pm_rz_to_next_val(&z)) ok = pm__stakes_add(a, pm__stake_of(*pm_rz_val(&z)));
    ok = ok && pm_rz_status(&z) == PM_OK;
    pm_rz_drop(&z);
    return ok;
}

static bool pm__stakes_add_overlapping(pm__stakes *a, const pm_map *m, const void *path, size_t len) {
    pm__claim_walk k = pm__claim_walk_of(m, path, len);
    for (pm__stake *s; (s = pm__claim_walk_next(&k)) != NULL;)
        if (!pm__stakes_add(a, s)) return false;
    return pm__stakes_add_below(a, m, path, len);
}

static int pm__stake_compare(const pm__stake *a, const pm__stake *b) {
    size_t min = a->len < b->len ? a->len : b->len;
    int c = min ? memcmp(a->path, b->path, min) : 0;
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

PM_API void pm_conflict_free(pm_conflict *c) {
    if (!c) return;
    if (c->claims) pm__mem_free_big(c->claims, c->bytes);
    memset(c, 0, sizeof *c);
}

/* Copies two ordered lists, merged, and all their paths into one block. */
static void pm__conflict_fill(pm_conflict *c, const pm__stakes *w, const pm__stakes *p, const void *path, size_t len) {
    size_t bytes = (w->n + p->n) * sizeof *c->claims + len;
    for (size_t i = 0; i < w->n; i++) bytes += pm__stake_rel_len(w->list[i]);
    for (size_t i = 0; i < p->n; i++) bytes += pm__stake_rel_len(p->list[i]);
    pm_conflict_claim *all = (pm_conflict_claim *)pm__mem_alloc_big(bytes);
    if (!all) return;
    uint8_t *to = (uint8_t *)(all + w->n + p->n);
    c->claims = all;
    c->bytes = bytes;
    if (len) memcpy(to, path, len);
    c->path = to;
    c->len = len;
    to += len;
    for (size_t i = 0, j = 0; i < w->n || j < p->n;) {
        bool left = j == p->n || (i < w->n && pm__stake_compare(w->list[i], p->list[j]) <= 0);
        const pm__stake *k = left ? w->list[i++] : p->list[j++];
        pm_conflict_claim one = {to, pm__stake_rel_len(k), k->kind};
        if (one.len) memcpy(to, pm__stake_rel(k), one.len);
        to += one.len;
        all[c->n++] = one;
    }
}

static void pm__head_explain(const pm_head *h, pm_claim_kind kind, const void *path, size_t len, pm_conflict *why) {
    pm__stakes w = {NULL, 0, 0}, p = {NULL, 0, 0};
    if (!why) return;
    why->kind = kind;
    if (pm__stakes_add_overlapping(&w, &h->writers, path, len) &&
        (kind == PM_CLAIM_PINNED || pm__stakes_add_overlapping(&p, &h->pins, path, len)))
        pm__conflict_fill(why, &w, &p, path, len);
    pm__stakes_free(&w);
    pm__stakes_free(&p);
}

#if PM_CHECK >= 1
/* The caller vouched for what is not so: tells, and ends. */
static void pm__head_accuse(const pm_head *h, pm_claim_kind kind, const void *path, size_t len) {
    pm_conflict why;
    memset(&why, 0, sizeof why);
    pm__head_explain(h, kind, path, len, &why);
#if !PM_NO_STDIO
    fputs("pathmap: unchecked claim at ", stderr);
    for (size_t i = 0; i < len; i++) fprintf(stderr, "%02x", ((const uint8_t *)path)[i]);
    for (size_t k = 0; k < why.n; k++) {
        fputs(" overlaps ", stderr);
        for (size_t i = 0; i < why.claims[k].len; i++) fprintf(stderr, "%02x", why.claims[k].path[i]);
    }
    fputc('\n', stderr);
#endif
    pm_conflict_free(&why);
    bool claims_are_disjoint = false;
    PM_ASSERT(claims_are_disjoint);
    (void)claims_are_disjoint; /* where PM_ASSERT is nothing */
}
#endif

static bool pm__head_conflicts(const pm_head *h, pm_claim_kind kind, const void *path, size_t len) {
    return pm__claims_overlap(&h->writers, path, len) ||
           (kind == PM_CLAIM_WRITER && pm__claims_overlap(&h->pins, path, len));
}

/* ---- stakes: made, settled, freed; with the lock held -------------------------------------------------------- */

static pm__stake *pm__stake_new(pm_head *h, pm_claim_kind kind, size_t size, const void *path, size_t len) {
    if (len > SIZE_MAX / 2 - size - h->prefix_len) return NULL;
    pm__stake *k = (pm__stake *)pm__mem_alloc_big(size + h->prefix_len + len);
    if (!k) return NULL;
    memset(k, 0, size);
    pm__store_relaxed(&k->claim.in_call, 0);
    pm__store_relaxed(&k->claim.hold, 0);
    k->claim.fenced = h->fenced;
    k->head = h;
    k->kind = kind;
    k->path = (uint8_t *)k + size;
    k->len = h->prefix_len + len;
    if (h->prefix_len) memcpy(k->path, h->prefix, h->prefix_len);
    if (len) memcpy(k->path + h->prefix_len, path, len);
    return k;
}

static void pm__stake_free(pm__stake *k) {
    size_t size = k->kind == PM_CLAIM_WRITER ? sizeof(pm__writer) : sizeof(pm__pin);
    pm__mem_free_big(k, size + k->len);
}

static void pm__writer_free(pm__writer *w) {
    pm_drop(&w->map);
    pm__stake_free(&w->stake);
}

/* Takes a writer, or a pin, out of its map of claims. */
static bool pm__stake_unclaim(pm__stake *k) {
    pm_head *h = k->head;
    pm_map *m = k->kind == PM_CLAIM_WRITER ? &h->writers : &h->pins;
    const uint8_t *path = pm__stake_rel(k);
    size_t len = pm__stake_rel_len(k);
    if (k->kind == PM_CLAIM_WRITER) {
        pm__writer *w = (pm__writer *)(void *)k, *first;
        first = (pm__writer *)(void *)pm__stake_of(*pm_get(m, path, len));
        if (first != w || w->same) { /* the path stays claimed */
            pm__writer **link = &first;
            if (first == w && pm_set(m, path, len, (pm_val)(uintptr_t)w->same, NULL) != PM_OK) return false;
            while (*link != w) link = &(*link)->same;
            *link = w->same;
            k->claimed = false;
            return true;
        }
    }
    if (pm_remove(m, path, len, true, NULL) != PM_OK) return false;
    k->claimed = false;
    return true;
}

/* Does what is left to do of a zipper that has ended. False: no memory. */
static bool pm__stake_settle(pm__stake *k) {
    pm__writer *w = k->kind == PM_CLAIM_WRITER ? (pm__writer *)(void *)k : NULL;
    if (w && !pm__writer_clean(w)) return false;
    if (k->claimed && !pm__stake_unclaim(k)) return false;
    if (!w) pm__stake_free(k);
    else if (w->users == 0) pm__writer_free(w);
    else w->ended = true;
    return true;
}

static void pm__stake_end(pm__stake *k) {
    if (pm__stake_settle(k)) return;
    k->next_unsettled = k->head->unsettled;
    k->head->unsettled = k;
}

/* Does what could not be done before. False: there is still no memory for it. */
static bool pm__head_settle(pm_head *h) {
    for (pm__stake **link = &h->unsettled; *link;) {
        pm__stake *k = *link, *next = k->next_unsettled;
        if (pm__stake_settle(k)) *link = next;
        else link = &k->next_unsettled;
    }
    return h->unsettled == NULL;
}

/* ---- groups -------------------------------------------------------------------------------------------------- */

static pm_txn *pm__wz_group(pm_wz *w) {
    return w->cursor.claim ? &((pm__writer *)(void *)w->cursor.claim)->group : &w->group;
}

static void pm__wz_set_group(pm_wz *w, pm_txn group) {
    *pm__wz_group(w) = group;
    if (w->cursor.claim) w->cursor.claim->grouped = group.open;
}

static const pm_txn pm__txn_none = {{0, 0, NULL, NULL, false, 0, 0}, false};

static void pm__wz_begin(pm_wz *w) {
    pm__wz_enter(w);
    pm_txn group = {pm_clone(w->map), true};
    pm__wz_set_group(w, group);
    pm__wz_leave(w);
}

static void pm__wz_commit(pm_wz *w) {
    pm__wz_enter(w);
    pm_map saved = pm__wz_group(w)->saved;
    pm__wz_set_group(w, pm__txn_none);
    pm__wz_leave(w);
    pm_drop(&saved);
}

PM_API pm_status pm_wz_begin(pm_wz *w) {
    if (pm__wz_shut(w) || pm__wz_group(w)->open) return PM_INVALID;
    pm__wz_begin(w);
    return PM_OK;
}

PM_API pm_status pm_wz_commit(pm_wz *w) {
    if (pm__wz_shut(w) || !pm__wz_group(w)->open) return PM_INVALID;
    pm__wz_commit(w);
    return PM_OK;
}

PM_API pm_status pm_wz_rollback(pm_wz *w) {
    if (pm__wz_shut(w) || !pm__wz_group(w)->open) return PM_INVALID;
    pm__wz_forget(w);
    pm__wz_enter(w);
    pm_map undone = *w->map;
    *w->map = pm__wz_group(w)->saved;
    pm__wz_set_group(w, pm__txn_none);
    pm__wz_leave(w);
    pm_drop(&undone);
    return PM_OK;
}

/* ---- heads --------------------------------------------------------------------------------------------------- */

/* Gives up a place among the zippers: the last thing that is done with the head, which may be closed from then on. */
static void pm__reader_end(struct pm_claim *c) {
    pm_head *h = (pm_head *)(void *)c;
    (void)pm__a64_fetch_add_acq_rel(&h->ended, 1); /* pairs with the load in pm__head_may_close */
}

/* A request without a head, without a place for the answer, or with a path that cannot be one. */
static bool pm__head_refuses(const pm_head *h, const void *path, size_t len, const void *out) {
    return !h || !out || (!path && len) || len > PM__LEN_MAX;
}

static pm_head *pm__head_alloc(const uint8_t *prefix, size_t prefix_len) {
    if (prefix_len > SIZE_MAX / 4) return NULL;
    pm_head *h = (pm_head *)pm__mem_alloc_big(sizeof *h + prefix_len);
    if (!h) return NULL;
    memset(h, 0, sizeof *h);
    h->reading.end = pm__reader_end;
    h->fenced = !pm__fence_prepare();
    h->writers = h->pins = pm_new(NULL, NULL);
    h->prefix_len = prefix_len;
    if (prefix_len) memcpy(h->prefix, prefix, prefix_len);
    return h;
}

static pm_status pm__head_over(pm_map *m, pm_map *home, pm_head **out) {
    if (!m || !out) return PM_INVALID;
    pm_head *h = pm__head_alloc(NULL, 0);
    if (!h) return PM_NOMEM;
    pm__map_own(m, false);
    h->base = *m;
    pm__map_written(&h->base); /* readers of the map were not told of writers */
    *m = pm_new(m->ops, m->pool);
    if (home) pm__map_lend(m, PM__LENT_HEAD);
    h->home = home;
    *out = h;
    return PM_OK;
}

PM_API pm_status pm_head_new(pm_map *m, pm_head **out) { return pm__head_over(m, m, out); }
PM_API pm_status pm_head_new_move(pm_map *m, pm_head **out) { return pm__head_over(m, NULL, out); }

PM_API pm_status pm_head_new_at(pm_wz *w, pm_head **out) {
    if (!out) return PM_INVALID;
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    pm_head *h = pm__head_alloc(w->cursor.path, w->cursor.len);
    if (!h) return PM_NOMEM;
    h->grouped_host = w->cursor.claim && !w->cursor.claim->grouped;
    if (h->grouped_host) pm__wz_begin(w);
    pm__wz_forget(w);
    pm__wz_enter(w);
    h->base = *w->map;
    *w->map = pm_new(h->base.ops, h->base.pool);
    pm__wz_leave(w);
    h->home = w->map;
    h->host = w;
    *out = h;
    return PM_OK;
}

/* Whether it can be closed; with the lock held. */
static pm_status pm__head_may_close(pm_head *h, const pm_map *out, uint64_t *busy) {
    uint64_t still_out = h->out - pm__load_acquire(&h->ended);
    if (still_out) {
        if (busy) *busy = still_out;
        return PM_BUSY;
    }
    if (out && h->home) return PM_INVALID;
    return pm__head_settle(h) ? PM_OK : PM_NOMEM;
}

PM_API pm_status pm_head_close(pm_head *h, pm_map *out, uint64_t *busy) {
    if (!h) return PM_OK;
    pm__lock_acquire(&h->lock);
    pm_status s = pm__head_may_close(h, out, busy);
    pm__head_unlock(h);
    if (s != PM_OK) return s;
    if (h->host) pm__wz_enter(h->host);
    if (h->home) *h->home = h->base;
    else if (out) *out = h->base;
    else pm_drop(&h->base);
    if (h->host) {
        pm__wz_forget(h->host);
        pm__wz_leave(h->host);
        if (h->grouped_host) pm__wz_commit(h->host);
    }
    pm_drop(&h->writers);
    pm_drop(&h->pins);
    pm__mem_free_big(h, sizeof *h + h->prefix_len);
    return PM_OK;
}

/* ---- writers ------------------------------------------------------------------------------------------------- */

/* Ends a writer, with the lock held, which pm__writer_lock has taken: to end is a change like others. Returns what is
   to be dropped without the lock. */
static pm_map pm__writer_finish(pm__writer *w) {
    pm_map saved = w->group.saved;
    if (w->group.open) pm__writer_soil(w); /* the base has at most what readers saw until now */
    w->group = pm__txn_none;
    pm__writer_park(w);
    pm__writer_set_hold(w);
    pm__stake_end(&w->stake);
    return saved;
}

/* The place among the head's zippers goes last: until then the head is busy. */
static void pm__writer_end(struct pm_claim *c) {
    pm__writer *w = (pm__writer *)(void *)c;
    pm_head *h = w->stake.head;
    pm__writer_lock(w, w->group.open);
    pm_map saved = pm__writer_finish(w);
    bool over = pm_is_empty(&saved);
    if (over) h->out--;
    pm__head_unlock(h);
    if (over) return;
    pm_drop(&saved);
    pm__reader_end(&h->reading);
}

/* Enters a writer among the claims. */
static bool pm__writer_claim(pm__writer *w) {
    pm_head *h = w->stake.head;
    pm_val *slot;
    bool inserted;
    pm_status s = pm_get_or_set(&h->writers, pm__stake_rel(&w->stake), pm__stake_rel_len(&w->stake),
                                (pm_val)(uintptr_t)w, &slot, &inserted);
    if (s != PM_OK) return false;
    if (!inserted) {
        pm__writer *first = (pm__writer *)(void *)pm__stake_of(*slot);
        w->same = first->same;
        first->same = w;
    }
    w->stake.claimed = true;
    return true;
}

static pm_status pm__writer_pin(struct pm_claim *c, struct pm_claim **out);

/* With the lock held; nothing is in the way. */
static pm_status pm__writer_new(pm_head *h, const void *path, size_t len, pm_wz *out) {
    pm__writer *w = (pm__writer *)(void *)pm__stake_new(h, PM_CLAIM_WRITER, sizeof *w, path, len);
    if (!w) return PM_NOMEM;
    w->stake.claim.end = pm__writer_end;
    w->stake.claim.pin = pm__writer_pin;
    w->stake.claim.wait = pm__writer_wait;
    w->stake.claim.left = pm__writer_left;
    w->clean = true;
    w->map = pm_new(h->base.ops, h->base.pool);
    if (!pm__writer_claim(w)) {
        pm__stake_free(&w->stake);
        return PM_NOMEM;
    }
    pm_status s = pm__head_transfer(&h->base, &w->map, w->stake.path, w->stake.len) ? PM_OK : PM_NOMEM;
    if (s == PM_OK) s = pm_wz_open(out, &w->map, w->stake.path, w->stake.len);
    if (s != PM_OK) {
        pm__stake_end(&w->stake);
        return s;
    }
    pm__writer_set_hold(w);
    out->cursor.claim = &w->stake.claim;
    pm__map_lend(&w->map, PM__LENT_NOT);
    h->out++;
    return PM_OK;
}

static pm_status pm__head_write(pm_head *h, const void *path, size_t len, bool check, pm_wz *out, pm_conflict *why) {
    pm_status s = PM_OK;
    if (why) memset(why, 0, sizeof *why);
    if (out) pm__wz_clear(out);
    if (pm__head_refuses(h, path, len, out)) return PM_INVALID;
    pm__lock_acquire(&h->lock);
    if (!pm__head_settle(h)) s = PM_NOMEM;
    else if (check && pm__head_conflicts(h, PM_CLAIM_WRITER, path, len)) s = PM_CONFLICT;
#if PM_CHECK >= 1
    if (s == PM_OK && pm__head_conflicts(h, PM_CLAIM_WRITER, path, len))
        pm__head_accuse(h, PM_CLAIM_WRITER, path, len);
#endif
    if (s == PM_CONFLICT) pm__head_explain(h, PM_CLAIM_WRITER, path, len, why);
    if (s == PM_OK) s = pm__writer_new(h, path, len, out);
    pm__head_unlock(h);
    return s;
}

PM_API pm_status pm_head_write(pm_head *h, const void *path, size_t len, pm_wz *out, pm_conflict *why) {
    return pm__head_write(h, path, len, true, out, why);
}

PM_API pm_status pm_head_write_unchecked(pm_head *h, const void *path, size_t len, pm_wz *out) {
    return pm__head_write(h, path, len, false, out, NULL);
}

/* ---- snapshots ----------------------------------------------------------------------------------------------- */

static bool pm__snap_add(pm__snap *p, pm__writer *w) {
    if (w->clean) return true;
    if (p->n == p->cap) {
        size_t cap = p->cap ? p->cap * 2 : 8;
        void *grown = pm__mem_grow(p->pieces, p->cap * sizeof *p->pieces, cap * sizeof *p->pieces);
        if (!grown) return false;
        p->pieces = (pm__piece *)grown;
        p->cap = cap;
    }
    memset(&p->pieces[p->n], 0, sizeof *p->pieces);
    p->pieces[p->n++].w = w;
    return true;
}

/* Finds the writers at, above and below a path whose content the base lacks. A few dirty ones are looked through,
   however many writers there are. False: no memory. With the lock held. */
static bool pm__snap_find(pm_head *h, pm__snap *p) {
    enum { FEW = 16 };
    pm__stakes found = {NULL, 0, 0};
    bool ok = true;
    if (h->ndirty <= FEW) {
        for (pm__writer *w = h->dirty; ok && w; w = w->next_dirty) {
            if (pm__paths_overlap(pm__stake_rel(&w->stake), pm__stake_rel_len(&w->stake), p->path, p->len))
                ok = pm__snap_add(p, w);
        }
        return ok;
    }
    ok = pm__stakes_add_overlapping(&found, &h->writers, p->path, p->len);
    for (size_t i = 0; ok && i < found.n; i++) ok = pm__snap_add(p, (pm__writer *)(void *)found.list[i]);
    pm__stakes_free(&found);
    return ok;
}

/* Holds the writers. The lock is not given up in between, also where a fence takes its time: a clean writer could take
   its content out of the base. Each writer is waited for like that once at most: it is clean then, or inside, and goes
   over to full fences when it begins its next change. */
static void pm__snap_hold(pm_head *h, pm__snap *p) {
    bool fence = false;
    for (size_t i = 0; i < p->n; i++) {
        pm__writer *w = p->pieces[i].w;
        pm__piece_link(&p->pieces[i]);
        w->users++;
        w->fencing += p->fence;
        /* Before the load of `in_call`: see pm__claim_try_enter. */
        pm__store_seq_cst(&w->stake.claim.hold, (uint32_t)PM__HOLD_WAIT);
        if (!w->stake.claim.fenced) fence = true;
    }
    if (!fence || pm__fence_all()) return;
    h->fenced = true;
    pm__fence_by_time();
}

static void pm__piece_let_go(pm__piece *q, bool fence) {
    pm__piece_unlink(q);
    q->w->fencing -= fence;
    pm__writer_set_hold(q->w);
}

/* True if the writer is between two changes; then its map is as its last change has left it. */
static bool pm__piece_is_quiet(const pm__piece *q) {
    /* pairs with the release of pm__wz_leave */
    return q->w->clean || pm__load_seq_cst(&q->w->stake.claim.in_call) == 0;
}

/* Puts what is between changes into the base. False: no memory. With the lock held. */
static bool pm__snap_settle(pm__snap *p) {
    for (size_t i = 0; i < p->n; i++) {
        pm__piece *q = &p->pieces[i];
        /* A fence has seen all quiet, and they stay so; one that tries to begin and steps back may look otherwise. */
        if (!p->fence && !pm__piece_is_quiet(q)) continue;
        if (!pm__writer_clean(q->w)) return false;
        pm__piece_let_go(q, p->fence);
    }
    return true;
}

/* Takes copies of what was inside a change. True if nothing is left to be taken. With the lock held. */
static bool pm__snap_take(pm__snap *p) {
    size_t left = 0;
    for (size_t i = 0; i < p->n; i++) {
        pm__piece *q = &p->pieces[i];
        if (!q->held) continue;
        if (pm__piece_is_quiet(q)) {
            q->map = pm_clone(pm__writer_visible(q->w));
            q->alone = true;
            pm__piece_let_go(q, false);
        } else {
            left++;
        }
    }
    return left == 0;
}

static bool pm__snap_is_quiet(const pm__snap *p) {
    for (size_t i = 0; i < p->n; i++)
        if (!pm__piece_is_quiet(&p->pieces[i])) return false;
    return true;
}

/* Waits until all writers concerned are outside of changes, and none of them can begin one, nor any clean one become
   dirty. With the lock held; as long as it is not given up afterwards, this stays so. */
static void pm__fence_wait(pm_head *h, pm__snap *p) {
    p->next = h->fences;
    p->link = &h->fences;
    if (p->next) p->next->link = &p->next;
    h->fences = p;
    for (;;) {
        uint32_t bell = pm__load_acquire(&h->bell); /* pairs with pm__head_ring of a writer that has left */
        if (pm__snap_is_quiet(p)) break;
        pm__head_sleep(h, bell);
    }
    *p->link = p->next;
    if (p->next) p->next->link = p->link;
    h->ring = true;
}

/* Collects the parts of a snapshot, with the lock held. */
static pm_status pm__snap_gather(pm_head *h, pm__snap *p) {
    pm__snap_hold(h, p);
    if (p->fence) pm__fence_wait(h, p);
    if (!pm__snap_settle(p)) return PM_NOMEM;
    p->map = pm_clone(&h->base);
    for (;;) {
        uint32_t bell = pm__load_acquire(&h->bell);
        if (pm__snap_take(p)) return PM_OK;
        pm__head_sleep(h, bell);
    }
}

static pm_status pm__snap_make(pm_head *h, pm__snap *p) {
    pm_status s = PM_NOMEM;
    pm__lock_acquire(&h->lock);
    if (pm__head_settle(h) && pm__snap_find(h, p)) {
        h->out++;
        p->counted = true;
        s = pm__snap_gather(h, p);
    } else {
        p->n = 0; /* none is held */
    }
    for (size_t i = 0; i < p->n; i++)
        if (p->pieces[i].held) pm__piece_let_go(&p->pieces[i], p->fence);
    pm__head_unlock(h);
    for (size_t i = 0; s == PM_OK && i < p->n; i++) {
        const pm__stake *k = &p->pieces[i].w->stake;
        if (p->pieces[i].alone && !pm__head_transfer(&p->pieces[i].map, &p->map, k->path, k->len)) s = PM_NOMEM;
    }
    return s;
}

static void pm__snap_free(pm_head *h, pm__snap *p) {
    pm_drop(&p->map);
    if (p->n) pm__lock_acquire(&h->lock);
    for (size_t i = 0; i < p->n; i++) {
        pm__writer *w = p->pieces[i].w;
        if (--w->users || !w->ended) p->pieces[i].w = NULL;
    }
    if (p->n) pm__head_unlock(h);
    for (size_t i = 0; i < p->n; i++) {
        pm_drop(&p->pieces[i].map);
        if (p->pieces[i].w) pm__writer_free(p->pieces[i].w);
    }
    if (p->pieces) pm__mem_free_big(p->pieces, p->cap * sizeof *p->pieces);
}

/* Makes an open reader the owner of the map that it looks at, which becomes empty. All readers of a head count at one
   node: a reference that is handed over need not be counted up and down there. */
static void pm__rz_adopt(pm_rz *z, pm_map *m) {
    z->held_some = m->has_value;
    z->held = m->value;
    z->top_val = NULL;
    z->owned = true;
    *m = pm_new(m->ops, m->pool);
}

/* Opens a reader that takes a map over, its root at a path below the head's. */
static pm_status pm__head_open(const pm_head *h, pm_map *m, const void *path, size_t len, pm_rz *out) {
    pm_status s = pm_rz_open(m, h->prefix, h->prefix_len, out);
    if (s != PM_OK) return s;
    if (pm__rz_append(out, (const uint8_t *)path, len)) {
        out->root_len = out->len;
        pm__rz_adopt(out, m);
        return PM_OK;
    }
    pm_rz_drop(out);
    *out = pm__rz_none;
    return PM_NOMEM;
}

static pm_status pm__head_read(pm_head *h, const void *path, size_t len, bool fence, pm_rz *out) {
    pm__snap p;
    if (out) *out = pm__rz_none;
    if (pm__head_refuses(h, path, len, out)) return PM_INVALID;
    memset(&p, 0, sizeof p);
    p.fence = fence;
    p.path = (const uint8_t *)path;
    p.len = len;
    pm_status s = pm__snap_make(h, &p);
    if (s == PM_OK) s = pm__head_open(h, &p.map, path, len, out);
    pm__snap_free(h, &p);
    if (s == PM_OK) out->claim = &h->reading;
    else if (p.counted) pm__reader_end(&h->reading);
    return s;
}

PM_API pm_status pm_head_read(pm_head *h, const void *path, size_t len, pm_rz *out) {
    return pm__head_read(h, path, len, false, out);
}

PM_API pm_status pm_head_fence(pm_head *h, const void *path, size_t len, pm_rz *out) {
    return pm__head_read(h, path, len, true, out);
}

/* ---- pinned readers ------------------------------------------------------------------------------------------ */

static void pm__pin_end(struct pm_claim *c) {
    pm__pin *k = (pm__pin *)(void *)c;
    pm_head *h = k->stake.head;
    pm__lock_acquire(&h->lock);
    if (--k->readers == 0) pm__stake_end(&k->stake);
    h->out--;
    pm__head_unlock(h);
}

/* The record of a path's pins, one more counted. NULL: no memory. With the lock held. */
static pm__pin *pm__pin_add(pm_head *h, const void *path, size_t len) {
    const pm_val *there = pm_get(&h->pins, path, len);
    pm__pin *k = there ? (pm__pin *)(void *)pm__stake_of(*there) : NULL;
    if (!k) {
        k = (pm__pin *)(void *)pm__stake_new(h, PM_CLAIM_PINNED, sizeof *k, path, len);
        if (!k) return NULL;
        k->stake.claim.end = pm__pin_end;
        if (pm_set(&h->pins, path, len, (pm_val)(uintptr_t)k, NULL) != PM_OK) {
            pm__stake_free(&k->stake);
            return NULL;
        }
        k->stake.claimed = true;
    }
    k->readers++;
    return k;
}

/* A writer ends and leaves a pin in its place. */
static pm_status pm__writer_pin(struct pm_claim *c, struct pm_claim **out) {
    pm__writer *w = (pm__writer *)(void *)c;
    pm_head *h = w->stake.head;
    pm_map saved;
    memset(&saved, 0, sizeof saved);
    pm__writer_lock(w, w->group.open);
    pm__pin *k = pm__head_settle(h) ? pm__pin_add(h, pm__stake_rel(&w->stake), pm__stake_rel_len(&w->stake)) : NULL;
    if (k) {
        saved = pm__writer_finish(w);
        *out = &k->stake.claim;
    }
    pm__head_unlock(h);
    pm_drop(&saved); /* the head stays busy: the pin has the writer's place among its zippers */
    return k ? PM_OK : PM_NOMEM;
}

static pm_status pm__head_pin(pm_head *h, const void *path, size_t len, bool check, pm_rz *out, pm_conflict *why) {
    pm_status s = PM_OK;
    pm__pin *k = NULL;
    pm_map base;
    memset(&base, 0, sizeof base);
    if (why) memset(why, 0, sizeof *why);
    if (out) *out = pm__rz_none;
    if (pm__head_refuses(h, path, len, out)) return PM_INVALID;
    pm__lock_acquire(&h->lock);
    if (!pm__head_settle(h)) s = PM_NOMEM;
    else if (check && pm__head_conflicts(h, PM_CLAIM_PINNED, path, len)) s = PM_CONFLICT;
#if PM_CHECK >= 1
    if (s == PM_OK && pm__head_conflicts(h, PM_CLAIM_PINNED, path, len))
        pm__head_accuse(h, PM_CLAIM_PINNED, path, len);
#endif
    if (s == PM_CONFLICT) pm__head_explain(h, PM_CLAIM_PINNED, path, len, why);
    if (s == PM_OK && !(k = pm__pin_add(h, path, len))) s = PM_NOMEM;
    if (s == PM_OK) {
        base = pm_clone(&h->base);
        h->out++;
    }
    pm__head_unlock(h);
    if (s != PM_OK) return s;
    s = pm__head_open(h, &base, path, len, out);
    pm_drop(&base);
    if (s == PM_OK) out->claim = &k->stake.claim;
    else pm__pin_end(&k->stake.claim);
    return s;
}

PM_API pm_status pm_head_pin(pm_head *h, const void *path, size_t len, pm_rz *out, pm_conflict *why) {
    return pm__head_pin(h, path, len, true, out, why);
}

PM_API pm_status pm_head_pin_unchecked(pm_head *h, const void *path, size_t len, pm_rz *out) {
    return pm__head_pin(h, path, len, false, out, NULL);
}
