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

   Which side fences. A fence of all threads costs who makes the snapshot a system call, and interrupts all threads; a
   full fence at the beginning of a call costs the writer a few nanoseconds. So a writer that has made few calls since
   it was held last goes over to fences of its own, and back when it has made more. It does so by itself, under the
   lock, at a moment when it is inside: so each of its calls is of one kind, and who holds it knows which.

   News. One word has the number of times that a writer has become dirty, twice, and one more as long as any is dirty. A
   snapshot made when none was remembers it: as long as it stays the same, nobody has begun a change, and the snapshot
   shows what a new one would.

   Waiting. Who waits for a change to end, or for a fence, takes the number of the head's bell, looks, gives up the lock
   and waits for the number to change. Under the lock the bell is rung only if somebody may be asleep; a writer that
   leaves a change rings it if it is held (pm__wz_leave).

   Out of memory. A zipper that ends cannot fail. What it leaves to be done, if there is no memory for it, is kept as
   `unsettled` and tried again by the next request, which returns PM_NOMEM if it fails again. A content that cannot be
   taken out of `base` stays there, shared and no longer looked at.

   Invariants, whenever the lock is free
   - a writer's map holds nothing but prefixes of its root, and what is at and below it
   - if the root exists in what readers see of a writer, it does so from then on (a group that is undone was never
   seen); so the location that is left in `base` is always right
   - a writer is in the list of dirty ones exactly if it is not clean
   - a piece of a snapshot being made is in its writer's list exactly while it is held and has no content
   - a zipper that has not ended is among the claims, and one that has is not, or is unsettled */
#include "51_write_zipper.c"
#include "65_claims.c"
#include "66_head.h"

typedef struct pm__writer {
    pm__claim claim;
    pm_map map; /* the content at and below the root */
    bool clean;
    bool there; /* while it has no zipper yet, and its root lies where `map` begins: whether that exists in the base */
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
    bool fenced;  /* all threads have passed a fence since the writers are held */
    bool counted; /* among the head's zippers */
    struct pm__snap *next, **link; /* a fence that waits */
    const uint8_t *path;
    size_t len;
    pm_map map;
    uint64_t news; /* the head's, when the base was cloned */
    size_t n, cap;
    pm__piece *pieces; /* they stay where they are while any is held */
} pm__snap;

#ifndef PM__HEAD_OFTEN
#define PM__HEAD_OFTEN 64u /* calls between two snapshots, below which a writer fences itself; tests make this small */
#endif

struct pm_head {
    struct pm_claim reading; /* all snapshot readers' */
    pm__a64 news;            /* stored with the lock held */
    uint8_t apart[PM__APART];
    pm__lock lock;           /* guards all below, and claims but for what the zipper's thread uses */
    bool fenced;             /* fences of all threads are not to be had, for writers from now on */
    bool ring;               /* the bell, when the lock is given up */
    pm__a32 bell;
    uint64_t sleepers;       /* who may be waiting for the bell */
    pm__snap *fences;        /* that wait */
    pm_map base;
    pm__claims claims;
    pm__writer *dirty;
    size_t ndirty;
    uint64_t dirtied; /* how often a writer has become dirty */
    pm__claim *unsettled; /* ended, but for lack of memory */
    pm__claim *gone;      /* settled: freed by who gives up the lock */
    uint64_t out;     /* zippers given out, and being made, ever; */
    pm__a64 ended;    /* and those that have ended, which takes no lock */
    struct pm__turn *turns; /* requests that wait for claims to end, in order (88_head_wait.c) */
    void (*claim_ends)(pm_head *h, const pm__claim *c); /* while there are any */
    pm_map *home;     /* where the content goes back to; NULL: the head owns it */
    pm_wz *host;
    bool grouped_host;
    size_t prefix_len; /* of the host's focus */
    uint8_t prefix[];
};

/* ---- waiting ------------------------------------------------------------------------------------------------- */

/* Wakes all who wait for the head. */
static void pm__head_ring(pm_head *h) {
    (void)pm__a32_fetch_add_acq_rel(&h->bell, 1);
    pm__wake(&h->bell, true);
}

/* Frees records that are no claims any more, and what they have. Without the lock: hooks of values run here. */
static void pm__head_bury(pm__claim *gone) {
    while (gone) {
        pm__claim *next = gone->unsettled;
        if (gone->kind == PM_CLAIM_WRITER) pm_drop(&((pm__writer *)(void *)gone)->map);
        pm__claim_free(gone);
        gone = next;
    }
}

/* Gives up the lock. From then on the head may be gone. */
static void pm__head_unlock(pm_head *h) {
    bool ring = h->ring && h->sleepers;
    pm__claim *gone = h->gone;
    h->ring = false;
    h->gone = NULL;
    if (ring) (void)pm__a32_fetch_add_acq_rel(&h->bell, 1);
    pm__lock_release(&h->lock);
    if (ring) pm__wake(&h->bell, true);
    pm__head_bury(gone);
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
static const pm_map *pm__writer_visible(const pm__writer *w) {
    const pm_txn *group = &w->claim.zipper.group;
    return group->open ? &group->saved : &w->map;
}

/* Says what the writer has to do before its next change. With the lock held. */
static void pm__writer_set_hold(pm__writer *w) {
    /* Release: pairs with the acquire load in pm__wz_claim_try_enter; who goes on then, finds counts of shared nodes
       raised. */
    pm__store_release(&w->claim.zipper.hold,
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
static void pm__writer_publish(pm__writer *w) {
    while (w->waiting) {
        pm__piece *q = w->waiting;
        q->map = pm_clone(pm__writer_visible(w));
        q->alone = true;
        pm__piece_unlink(q);
        w->claim.head->ring = true;
    }
}

/* What is at and below a claim's root in a map, as a map of its own, *out. *there: whether the root exists. False: no
   memory. */
static bool pm__head_claim_share(const pm__claim *c, const pm_map *from, pm_map *out, bool *there) {
    pm__cx cx = pm__map_cx(from);
    pm_ref r = pm_ref_of_map(from, c->path - c->head->prefix_len, c->len + c->head->prefix_len);
    *there = r.exists;
    if (r.exists) return pm__map_of_place(&cx, &r.place, r.val, out) == PM_OK;
    *out = pm_new(from->ops, from->pool);
    return true;
}

/* Puts a share at the claim's root in a map; it is used up. False: no memory. */
static bool pm__head_claim_place(const pm__claim *c, pm_map *share, pm_map *to) {
    pm__cx cx = pm__map_cx(to);
    size_t len = c->len + c->head->prefix_len;
    if (len == 0) {
        pm_drop(to);
        *to = *share;
        return true;
    }
    pm_opt val = {share->value, share->has_value};
    if (pm__trie_assign(&cx, &to->root, c->path - c->head->prefix_len, len, val, share->root)) return true;
    pm_drop(share);
    return false;
}

/* Puts what is at and below a claim's root in one map there in another. */
static bool pm__head_claim_transfer(const pm__claim *c, const pm_map *from, pm_map *to) {
    pm_map share;
    bool there;
    if (!pm__head_claim_share(c, from, &share, &there)) return false;
    return !there || pm__head_claim_place(c, &share, to);
}

/* With the lock held: whether snapshots are still what a new one would be. */
static void pm__head_tell(pm_head *h) {
    /* Release: pairs with the look in pm_head_refresh, though the lock orders all that matters. */
    pm__store_release(&h->news, h->dirtied * 2 + (h->ndirty != 0));
}

/* Makes a writer clean. False: no memory. With the lock held, between two changes. */
static bool pm__writer_clean(pm__writer *w) {
    pm_head *h = w->claim.head;
    if (w->clean) return true;
    if (!pm__head_claim_transfer(&w->claim, pm__writer_visible(w), &h->base)) return false;
    w->clean = true;
    h->ndirty--;
    *w->link_dirty = w->next_dirty;
    if (w->next_dirty) w->next_dirty->link_dirty = w->link_dirty;
    pm__head_tell(h);
    return true;
}

/* Makes a writer dirty: takes its content out of the base, if there is memory for that. With the lock held. */
static void pm__writer_mark_dirty(pm__writer *w) {
    pm_head *h = w->claim.head;
    const uint8_t *path = w->claim.path - h->prefix_len;
    size_t len = w->claim.len + h->prefix_len;
    pm_opt none = {0, false};
    if (!w->clean) return;
    w->clean = false;
    h->ndirty++;
    w->next_dirty = h->dirty;
    w->link_dirty = &h->dirty;
    if (w->next_dirty) w->next_dirty->link_dirty = &w->next_dirty;
    h->dirty = w;
    h->dirtied++;
    pm__head_tell(h);
    if (len == 0) {
        pm_drop(&h->base);
        return;
    }
    pm__survey there = pm__trie_survey(h->base.root, path, len);
    if (!there.exists || (there.childless && !there.val)) return;
    pm__cx cx = pm__map_cx(&h->base);
    (void)pm__trie_assign(&cx, &h->base.root, path, len, none, 0);
}

/* Whether a fence that waits forbids the writer to become dirty. With the lock held. */
static bool pm__writer_must_stay_clean(const pm__writer *w) {
    for (const pm__snap *p = w->claim.head->fences; p; p = p->next)
        if (pm__paths_overlap(w->claim.path, w->claim.len, p->path, p->len)) return true;
    return false;
}

/* Takes the lock when the writer may begin a change, or end. `dirties`: it would be dirty then. */
static void pm__writer_lock(pm__writer *w, bool dirties) {
    pm_head *h = w->claim.head;
    pm__lock_acquire(&h->lock);
    if (w->waiting) h->ring = true; /* for a moment they may have seen us inside, when we tried to begin */
    while (w->fencing || (dirties && w->clean && pm__writer_must_stay_clean(w)))
        pm__head_sleep(h, pm__load_relaxed(&h->bell));
}

/* Called by a writer that may not begin a change: on return it has begun it. */
static void pm__writer_wait(struct pm_claim *c) {
    pm__writer *w = (pm__writer *)(void *)c;
    pm_head *h = w->claim.head;
    pm__writer_lock(w, true);
    pm__writer_publish(w);
    pm__writer_mark_dirty(w);
    pm__writer_set_hold(w);
    c->fenced = h->fenced || c->calls < PM__HEAD_OFTEN;
    c->calls = 0;
    pm__store_relaxed(&c->in_call, 1); /* whoever holds it next comes after us, through the lock */
    pm__head_unlock(h);
}

/* Called by a writer that has left a change while it was held. */
static void pm__writer_left(struct pm_claim *c) { pm__head_ring(((pm__writer *)(void *)c)->claim.head); }

/* ---- claims, with the lock held ------------------------------------------------------------------------------ */

/* A record of `size` bytes, entered among the claims. NULL: no memory. */
static pm__claim *pm__head_claim(pm_head *h, size_t size, pm_val kind, const void *path, size_t len) {
    pm__claim *c = pm__claim_new(size, kind, h->prefix, h->prefix_len, path, len);
    if (!c) return NULL;
    c->head = h;
    pm__store_relaxed(&c->zipper.in_call, 0);
    pm__store_relaxed(&c->zipper.hold, 0);
    c->zipper.fenced = h->fenced;
    c->zipper.calls = PM__HEAD_OFTEN;
    if (pm__claims_add(&h->claims, c)) return c;
    pm__claim_free(c);
    return NULL;
}

/* Does what is left to do of a claim whose zipper has ended. False: no memory. */
static bool pm__head_claim_settle(pm__claim *c) {
    pm__writer *w = c->kind == PM_CLAIM_WRITER ? (pm__writer *)(void *)c : NULL;
    if (w && !pm__writer_clean(w)) return false;
    if (c->entered && !pm__claims_remove(&c->head->claims, c)) return false;
    if (w && w->users) {
        w->ended = true;
        c->unsettled = NULL;
    } else {
        c->unsettled = c->head->gone;
        c->head->gone = c;
    }
    return true;
}

static void pm__head_claim_end(pm__claim *c) {
    if (c->head->claim_ends) c->head->claim_ends(c->head, c);
    if (pm__head_claim_settle(c)) return;
    c->unsettled = c->head->unsettled;
    c->head->unsettled = c;
}

/* Does what could not be done before. False: there is still no memory for it. */
static bool pm__head_settle(pm_head *h) {
    for (pm__claim **link = &h->unsettled; *link;) {
        pm__claim *c = *link, *next = c->unsettled;
        if (pm__head_claim_settle(c)) *link = next;
        else link = &c->unsettled;
    }
    return h->unsettled == NULL;
}

/* Whether a zipper may be given out. */
static pm_status pm__head_admit(pm_head *h, pm_val kind, const void *path, size_t len, bool check, pm_map *why) {
    if (!pm__head_settle(h)) return PM_NOMEM;
    if (!(check || PM_CHECK >= 1) || !pm__claims_conflict(&h->claims, kind, path, len)) return PM_OK;
#if PM_CHECK >= 1
    if (!check) pm__claims_accuse(&h->claims, kind, path, len); /* uncovered: the process ends */
#endif
    if (check && why) pm__claims_report(&h->claims, kind, path, len, why);
    return check ? PM_CONFLICT : PM_OK;
}

/* ---- heads --------------------------------------------------------------------------------------------------- */

/* Gives up a place among the zippers: the last thing that is done with the head, which may be freed from then on. */
static void pm__head_leave(pm_head *h) {
    (void)pm__a64_fetch_add_acq_rel(&h->ended, 1); /* pairs with the load in pm__head_may_end */
}

static void pm__reader_end(struct pm_claim *c) { pm__head_leave((pm_head *)(void *)c); }

/* A request without a head, without a place for the result, or with a path that cannot be one. */
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
    h->claims.writers = h->claims.pins = pm_new(NULL, NULL);
    pm__store_relaxed(&h->ended, 0);
    pm__store_relaxed(&h->news, 0);
    h->prefix_len = prefix_len;
    if (prefix_len) memcpy(h->prefix, prefix, prefix_len);
    return h;
}

static pm_status pm__head_over(pm_map *m, pm_map *home, pm_head **out) {
    if (!m || !out) return PM_INVALID;
    pm_head *h = pm__head_alloc(NULL, 0);
    if (!h) return PM_NOMEM;
    pm__map_own(m);
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
    h->grouped_host = w->cursor.claim && pm_wz_begin(w) == PM_OK;
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

/* Whether it can be freed; with the lock held. */
static pm_status pm__head_may_end(pm_head *h, const pm_map *out, uint64_t *busy) {
    uint64_t still_out = h->out - pm__load_acquire(&h->ended);
    if (still_out) {
        if (busy) *busy = still_out;
        return PM_BUSY;
    }
    if (out && h->home) return PM_INVALID;
    return pm__head_settle(h) ? PM_OK : PM_NOMEM;
}

PM_API pm_status pm_head_free(pm_head *h, pm_map *out, uint64_t *busy) {
    if (!h) return PM_OK;
    pm__lock_acquire(&h->lock);
    pm_status s = pm__head_may_end(h, out, busy);
    pm__head_unlock(h);
    if (s != PM_OK) return s;
    if (h->host) pm__wz_enter(h->host);
    if (h->home) *h->home = h->base;
    else if (out) *out = h->base;
    else pm_drop(&h->base);
    if (h->host) {
        pm__wz_forget(h->host);
        pm__wz_leave(h->host);
        if (h->grouped_host) pm__wz_end_group(h->host, false);
    }
    pm_drop(&h->claims.writers);
    pm_drop(&h->claims.pins);
    pm__mem_free_big(h, sizeof *h + h->prefix_len);
    return PM_OK;
}

/* ---- writers ------------------------------------------------------------------------------------------------- */

/* Ends a writer, with the lock held, which pm__writer_lock has taken: to end is a change like others. Returns what is
   to be dropped without the lock. */
static pm_map pm__writer_finish(pm__writer *w) {
    pm_txn group = w->claim.zipper.group;
    if (group.open) pm__writer_mark_dirty(w); /* the base has at most what readers saw until now */
    w->claim.zipper.group = pm__txn_none;
    pm__writer_publish(w);
    pm__writer_set_hold(w);
    pm__head_claim_end(&w->claim);
    return group.saved;
}

/* The place among the head's zippers goes last, after the hooks of values: until then the head is busy. */
static void pm__writer_end(struct pm_claim *c) {
    pm__writer *w = (pm__writer *)(void *)c;
    pm_head *h = w->claim.head;
    pm__writer_lock(w, c->group.open);
    pm_map saved = pm__writer_finish(w);
    pm__head_unlock(h);
    pm_drop(&saved);
    pm__head_leave(h);
}

static pm_status pm__writer_pin(struct pm_claim *c, struct pm_claim **out);

/* Enters a writer, and takes its share of the base. With the lock held; nothing is in the way. What is left to be done,
   by pm__writers_open, needs no lock: a clean writer's map is its own, and nobody looks at it. */
static pm_status pm__writer_enter(pm_head *h, const void *path, size_t len, pm_wz *out) {
    pm__writer *w = (pm__writer *)(void *)pm__head_claim(h, sizeof *w, PM_CLAIM_WRITER, path, len);
    if (!w) return PM_NOMEM;
    w->claim.zipper.end = pm__writer_end;
    w->claim.zipper.pin = pm__writer_pin;
    w->claim.zipper.wait = pm__writer_wait;
    w->claim.zipper.left = pm__writer_left;
    w->clean = true;
    w->map = pm_new(h->base.ops, h->base.pool);
    if (!pm__head_claim_share(&w->claim, &h->base, &w->map, &w->there)) {
        pm__head_claim_end(&w->claim);
        return PM_NOMEM;
    }
    pm__writer_set_hold(w);
    out->cursor.claim = &w->claim.zipper;
    h->out++;
    return PM_OK;
}

/* Puts the share at its path and opens the zipper. */
static pm_status pm__writer_open(pm__writer *w, pm_wz *out) {
    const pm_head *h = w->claim.head;
    pm_map share = w->map;
    w->map = pm_new(share.ops, share.pool);
    if (w->there && !pm__head_claim_place(&w->claim, &share, &w->map)) return PM_NOMEM;
    pm_status s = pm_wz_open(&w->map, w->claim.path - h->prefix_len, w->claim.len + h->prefix_len, out);
    if (s != PM_OK) return s;
    out->cursor.claim = &w->claim.zipper;
    pm__map_lend(&w->map, PM__LENT_NOT);
    return PM_OK;
}

/* Ends a writer that has no zipper. */
static void pm__writer_abandon(pm__writer *w, pm_wz *out) {
    pm_head *h = w->claim.head;
    pm__wz_clear(out);
    pm__lock_acquire(&h->lock);
    pm__head_claim_end(&w->claim);
    pm__head_unlock(h);
    pm__head_leave(h);
}

static pm__writer *pm__writer_of(const pm_wz *z) { return (pm__writer *)(void *)z->cursor.claim; }

/* Opens the zippers of n writers that have been entered; or ends all of them, if `s`, or one of those fails. Without
   the lock. */
static pm_status pm__writers_open(pm_status s, pm_wz *out, size_t n) {
    size_t opened = 0;
    while (s == PM_OK && opened < n) {
        pm__writer *w = pm__writer_of(&out[opened]);
        s = pm__writer_open(w, &out[opened]);
        if (s == PM_OK) opened++;
        else out[opened].cursor.claim = &w->claim.zipper;
    }
    while (s != PM_OK && n) {
        if (--n < opened) (void)pm_wz_drop(&out[n]);
        else pm__writer_abandon(pm__writer_of(&out[n]), &out[n]);
    }
    return s;
}

static pm_status pm__head_write(pm_head *h, const void *path, size_t len, bool check, pm_wz *out, pm_map *why) {
    if (why) *why = pm_new(pm_ops_bits(), NULL);
    if (out) pm__wz_clear(out);
    if (pm__head_refuses(h, path, len, out)) return PM_INVALID;
    pm__lock_acquire(&h->lock);
    pm_status s = pm__head_admit(h, PM_CLAIM_WRITER, path, len, check, why);
    if (s == PM_OK) s = pm__writer_enter(h, path, len, out);
    pm__head_unlock(h);
    return s == PM_OK ? pm__writers_open(s, out, 1) : s;
}

PM_API pm_status pm_head_write(pm_head *h, const void *path, size_t len, pm_wz *out, pm_map *why) {
    return pm__head_write(h, path, len, true, out, why);
}

PM_API pm_status pm_head_write_unchecked(pm_head *h, const void *path, size_t len, pm_wz *out) {
    return pm__head_write(h, path, len, false, out, NULL);
}

/* ---- snapshots ----------------------------------------------------------------------------------------------- */

/* Adds a writer if the base lacks its content. False: no memory. */
static bool pm__snap_add(void *ctx, pm__claim *c) {
    pm__snap *p = (pm__snap *)ctx;
    pm__writer *w = (pm__writer *)(void *)c;
    if (w->clean) return true;
    if (p->n == p->cap) {
        void *grown = pm__mem_grow_list(p->pieces, &p->cap, sizeof *p->pieces, 8);
        if (!grown) return false;
        p->pieces = (pm__piece *)grown;
    }
    memset((void *)&p->pieces[p->n], 0, sizeof *p->pieces);
    p->pieces[p->n++].w = w;
    return true;
}

/* Finds the writers at, above and below a path whose content the base lacks. A few dirty ones are looked through,
   however many writers there are. False: no memory. With the lock held. */
static bool pm__snap_find(pm_head *h, pm__snap *p) {
    enum { FEW = 16 };
    if (h->ndirty > FEW) return pm__claims_each(&h->claims.writers, p->path, p->len, pm__snap_add, p);
    bool ok = true;
    for (pm__writer *w = h->dirty; ok && w; w = w->next_dirty)
        if (pm__paths_overlap(w->claim.path, w->claim.len, p->path, p->len)) ok = pm__snap_add(p, &w->claim);
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
        /* Before the load of `in_call`: see pm__wz_claim_try_enter. */
        pm__store_seq_cst(&w->claim.zipper.hold, (uint32_t)PM__HOLD_WAIT);
        if (!w->claim.zipper.fenced) fence = true;
    }
    p->fenced = fence;
    if (!fence || pm__fence_all()) return;
    h->fenced = true;
    pm__fence_by_time();
}

/* Before who makes a snapshot sleeps: writers that fence themselves do so when they begin, not when they leave. True:
   they may have left unseen until now, and see from now on that they are held. With the lock held. */
static bool pm__snap_fence(pm_head *h, pm__snap *p) {
    if (p->fenced || h->fenced) return false;
    p->fenced = true;
    if (!pm__fence_all()) h->fenced = true;
    return true;
}

static void pm__piece_let_go(pm__piece *q, bool fence) {
    pm__piece_unlink(q);
    q->w->fencing -= fence;
    pm__writer_set_hold(q->w);
}

/* True if the writer is between two changes; then its map is as its last change has left it. */
static bool pm__piece_is_quiet(const pm__piece *q) {
    /* pairs with the release of pm__wz_leave */
    return q->w->clean || pm__load_seq_cst(&q->w->claim.zipper.in_call) == 0;
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
static void pm__head_fence_wait(pm_head *h, pm__snap *p) {
    p->next = h->fences;
    p->link = &h->fences;
    if (p->next) p->next->link = &p->next;
    h->fences = p;
    for (;;) {
        uint32_t bell = pm__load_acquire(&h->bell); /* pairs with pm__head_ring of a writer that has left */
        if (pm__snap_is_quiet(p)) break;
        if (!pm__snap_fence(h, p)) pm__head_sleep(h, bell);
    }
    *p->link = p->next;
    if (p->next) p->next->link = p->link;
    h->ring = true;
}

/* Collects the parts of a snapshot, with the lock held. */
static pm_status pm__snap_gather(pm_head *h, pm__snap *p) {
    pm__snap_hold(h, p);
    if (p->fence) pm__head_fence_wait(h, p);
    if (!pm__snap_settle(p)) return PM_NOMEM;
    p->map = pm_clone(&h->base);
    p->news = pm__load_relaxed(&h->news);
    for (;;) {
        uint32_t bell = pm__load_acquire(&h->bell);
        if (pm__snap_take(p)) return PM_OK;
        if (!pm__snap_fence(h, p)) pm__head_sleep(h, bell);
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
        pm__piece *q = &p->pieces[i];
        if (q->alone && !pm__head_claim_transfer(&q->w->claim, &q->map, &p->map)) s = PM_NOMEM;
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
        if (p->pieces[i].w) pm__head_bury(&p->pieces[i].w->claim);
    }
    if (p->pieces) pm__mem_free_big(p->pieces, p->cap * sizeof *p->pieces);
}

/* Makes an open reader the owner of the map that it looks at, which becomes empty. All readers of a head count at one
   node: a reference that is handed over need not be counted up and down there. */
static void pm__head_adopt(pm_rz *z, pm_map *m) {
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
        pm__head_adopt(out, m);
        return PM_OK;
    }
    pm_rz_drop(out);
    *out = pm__rz_none;
    return PM_NOMEM;
}

/* The head's news when a snapshot reader was made, in places that only readers over views need. */
static void pm__head_note(pm_rz *z, uint64_t news) {
    z->first = (size_t)(news & SIZE_MAX);
    z->bare = (size_t)(news >> 32);
}

static bool pm__head_is_new(const pm_rz *z, uint64_t news) {
    return (news & 1) || z->first != (size_t)(news & SIZE_MAX) || z->bare != (size_t)(news >> 32);
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
    if (s == PM_OK) {
        out->claim = &h->reading;
        pm__head_note(out, p.news);
    } else if (p.counted) pm__head_leave(h);
    return s;
}

PM_API pm_status pm_head_read(pm_head *h, const void *path, size_t len, pm_rz *out) {
    return pm__head_read(h, path, len, false, out);
}

PM_API pm_status pm_head_fence(pm_head *h, const void *path, size_t len, pm_rz *out) {
    return pm__head_read(h, path, len, true, out);
}

PM_API pm_status pm_head_refresh(pm_head *h, pm_rz *z, bool *changed) {
    if (changed) *changed = false;
    if (!h || !z || z->claim != &h->reading) return PM_INVALID;
    /* Acquire: a writer that has begun a change whose end we know of has told before. */
    if (PM__LIKELY(!pm__head_is_new(z, pm__load_acquire(&h->news)))) return PM_OK;
    pm_rz now;
    size_t root_len = z->root_len - h->prefix_len;
    pm_status s = pm_head_read(h, root_len ? z->path + h->prefix_len : NULL, root_len, &now);
    if (s != PM_OK) return s;
    (void)pm_rz_move_to(&now, z->len > z->root_len ? z->path + z->root_len : NULL, z->len - z->root_len);
    s = now.status;
    if (s == PM_OK) {
        pm_rz was = *z;
        *z = now;
        now = was;
        if (changed) *changed = true;
    }
    pm_rz_drop(&now);
    return s;
}

/* ---- pinned readers ------------------------------------------------------------------------------------------ */

static void pm__pin_end(struct pm_claim *c) {
    pm__claim *k = (pm__claim *)(void *)c;
    pm_head *h = k->head;
    pm__lock_acquire(&h->lock);
    pm__head_claim_end(k);
    pm__head_unlock(h);
    pm__head_leave(h);
}

/* With the lock held. NULL: no memory. */
static pm__claim *pm__pin_new(pm_head *h, const void *path, size_t len) {
    pm__claim *k = pm__head_claim(h, sizeof *k, PM_CLAIM_PINNED, path, len);
    if (k) k->zipper.end = pm__pin_end;
    return k;
}

/* A writer ends and leaves a pin in its place, also among the head's zippers. */
static pm_status pm__writer_pin(struct pm_claim *c, struct pm_claim **out) {
    pm__writer *w = (pm__writer *)(void *)c;
    pm_head *h = w->claim.head;
    pm_map saved = pm_new(NULL, NULL);
    pm__writer_lock(w, c->group.open);
    pm__claim *k = pm__head_settle(h) ? pm__pin_new(h, w->claim.path, w->claim.len) : NULL;
    if (k) {
        saved = pm__writer_finish(w);
        *out = &k->zipper;
    }
    pm__head_unlock(h);
    pm_drop(&saved);
    return k ? PM_OK : PM_NOMEM;
}

static pm_status pm__head_pin(pm_head *h, const void *path, size_t len, bool check, pm_rz *out, pm_map *why) {
    pm__claim *k = NULL;
    pm_map base = pm_new(NULL, NULL);
    if (why) *why = pm_new(pm_ops_bits(), NULL);
    if (out) *out = pm__rz_none;
    if (pm__head_refuses(h, path, len, out)) return PM_INVALID;
    pm__lock_acquire(&h->lock);
    pm_status s = pm__head_admit(h, PM_CLAIM_PINNED, path, len, check, why);
    if (s == PM_OK && !(k = pm__pin_new(h, path, len))) s = PM_NOMEM;
    if (s == PM_OK) {
        base = pm_clone(&h->base);
        h->out++;
    }
    pm__head_unlock(h);
    if (s != PM_OK) return s;
    s = pm__head_open(h, &base, path, len, out);
    pm_drop(&base);
    if (s == PM_OK) out->claim = &k->zipper;
    else pm__pin_end(&k->zipper);
    return s;
}

PM_API pm_status pm_head_pin(pm_head *h, const void *path, size_t len, pm_rz *out, pm_map *why) {
    return pm__head_pin(h, path, len, true, out, why);
}

PM_API pm_status pm_head_pin_unchecked(pm_head *h, const void *path, size_t len, pm_rz *out) {
    return pm__head_pin(h, path, len, false, out, NULL);
}
