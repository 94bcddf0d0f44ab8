/* Writers of a head by turns. The protocol of heads is as it was (66_head.c): what is new is a list of requests that
   wait, in the order of their calls, and a look at it whenever a claim ends.

   A request is granted if no claim is in its way, and no request before it in the list. Who ends a claim wakes those
   that it was in the way of, unless a request before them is in theirs; who is woken takes the lock and looks again. A
   request that leaves the list without having been granted does the same for those behind it. One that was granted
   need not: its claims are in their way now.

   A request lies on the stack of its thread, and is in the list only while that is inside of the call. Its word is
   changed under the lock, where the thread has read it before it went to sleep: no wake-up is missed. */
#include "66_head.c"
#include "88_head_wait.h"

typedef struct pm__turn {
    const pm_key *paths;
    size_t n;
    pm__a32 woken; /* changed when it should look again */
    struct pm__turn *next;
} pm__turn;

static bool pm__turn_overlaps(const pm__turn *t, const void *path, size_t len) {
    for (size_t i = 0; i < t->n; i++)
        if (pm__paths_overlap((const uint8_t *)t->paths[i].data, t->paths[i].len, (const uint8_t *)path, len))
            return true;
    return false;
}

/* Whether a request that came before is in the way. */
static bool pm__turn_is_behind(const pm_head *h, const pm__turn *t) {
    for (const pm__turn *u = h->turns; u && u != t; u = u->next)
        for (size_t i = 0; i < t->n; i++)
            if (pm__turn_overlaps(u, t->paths[i].data, t->paths[i].len)) return true;
    return false;
}

/* Wakes those whom nothing at a path keeps any more. With the lock held. */
static void pm__turns_wake(pm_head *h, const void *path, size_t len) {
    for (pm__turn *t = h->turns; t; t = t->next) {
        if (!pm__turn_overlaps(t, path, len) || pm__turn_is_behind(h, t)) continue;
        (void)pm__a32_fetch_add_acq_rel(&t->woken, 1);
        pm__wake(&t->woken, true);
    }
}

static void pm__turns_claim_ends(pm_head *h, const pm__claim *c) { pm__turns_wake(h, c->path, c->len); }

static void pm__turn_enter(pm_head *h, pm__turn *t) {
    pm__turn **link = &h->turns;
    while (*link) link = &(*link)->next;
    t->next = NULL;
    *link = t;
    h->claim_ends = pm__turns_claim_ends;
}

static void pm__turn_leave(pm_head *h, pm__turn *t, bool granted) {
    pm__turn **link = &h->turns;
    while (*link != t) link = &(*link)->next;
    *link = t->next;
    for (size_t i = 0; !granted && i < t->n; i++) pm__turns_wake(h, t->paths[i].data, t->paths[i].len);
    if (!h->turns) h->claim_ends = NULL;
}

/* Enters the writers if nothing is in the way. *made: how many there are, also if they cannot be all. With the lock
   held. */
static pm_status pm__turn_try(pm_head *h, const pm__turn *t, pm_wz *out, size_t *made) {
    if (!pm__head_settle(h)) return PM_NOMEM;
    if (pm__turn_is_behind(h, t)) return PM_CONFLICT;
    for (size_t i = 0; i < t->n; i++)
        if (pm__claims_conflict(&h->claims, PM_CLAIM_WRITER, t->paths[i].data, t->paths[i].len)) return PM_CONFLICT;
    for (; *made < t->n; ++*made) {
        const pm_key *k = &t->paths[*made];
        pm_status s = pm__writer_enter(h, k->data, k->len, &out[*made]);
        if (s != PM_OK) return s;
    }
    return PM_OK;
}

/* Gives up the lock until the request should look again. False: the time has passed. */
static bool pm__turn_sleep(pm_head *h, pm__turn *t, uint64_t until) {
    /* What every `long` can say. Where waiting is napping (10_platform.c), a short nap. */
    const uint64_t most = !PM__FUTEX && PM__THREADS == PM__THREADS_C11 ? 50 : 1000000000;
    uint64_t left = 0, now = until == PM_FOREVER ? 0 : pm__clock_us();
    if (until != PM_FOREVER) {
        if (now >= until) return false;
        left = until - now;
    }
    uint64_t part = left < most ? left : most;
    uint32_t seen = pm__load_relaxed(&t->woken);
    pm__head_unlock(h);
    bool passed = !pm__spin(&t->woken, seen) && pm__wait(&t->woken, seen, (long)part);
    pm__lock_acquire(&h->lock);
    return until == PM_FOREVER || !passed || part != left;
}

/* Waits for the turn, and takes it. With the lock held. */
static pm_status pm__turn_take(pm_head *h, pm__turn *t, uint64_t us, pm_wz *out, size_t *made) {
    pm_status s = pm__turn_try(h, t, out, made);
    if (s != PM_CONFLICT || !us || PM_NO_THREADS) return s;
    uint64_t now = us == PM_FOREVER ? 0 : pm__clock_us();
    uint64_t until = us < PM_FOREVER - now ? now + us : PM_FOREVER;
    bool time_left = true;
    pm__turn_enter(h, t);
    while (s == PM_CONFLICT && time_left) {
        time_left = pm__turn_sleep(h, t, until);
        s = pm__turn_try(h, t, out, made);
    }
    pm__turn_leave(h, t, s == PM_OK);
    return s;
}

/* What is in the way of a request. Without memory for all of it, nothing. With the lock held. */
static void pm__turn_report(pm_head *h, const pm__turn *t, pm_map *why) {
    for (size_t i = 0; i < t->n; i++) {
        const pm_key *k = &t->paths[i];
        if (!pm__claims_conflict(&h->claims, PM_CLAIM_WRITER, k->data, k->len)) continue;
        pm__claims_report(&h->claims, PM_CLAIM_WRITER, k->data, k->len, why);
        if (pm_is_empty(why)) return;
    }
}

/* A request that cannot be: places that are no paths, or are in each other's way. */
static bool pm__turn_refuses(const pm_head *h, const pm__turn *t, const pm_wz *out) {
    if (!h || (t->n && (!t->paths || !out))) return true;
    for (size_t i = 0; i < t->n; i++) {
        const pm__turn before = {.paths = t->paths, .n = i};
        if (pm__head_refuses(h, t->paths[i].data, t->paths[i].len, out)) return true;
        if (pm__turn_overlaps(&before, t->paths[i].data, t->paths[i].len)) return true;
    }
    return false;
}

PM_API pm_status pm_head_write_all_wait(pm_head *h, const pm_key *paths, size_t n, uint64_t us, pm_wz *out,
                                        pm_map *why) {
    pm__turn t = {.paths = paths, .n = n};
    size_t made = 0;
    if (why) *why = pm_new(pm_ops_bits(), NULL);
    for (size_t i = 0; out && i < n; i++) pm__wz_clear(&out[i]);
    if (pm__turn_refuses(h, &t, out)) return PM_INVALID;
    pm__store_relaxed(&t.woken, 0);
    pm__lock_acquire(&h->lock);
    pm_status s = pm__turn_take(h, &t, us, out, &made);
    if (s == PM_CONFLICT && why) pm__turn_report(h, &t, why);
    pm__head_unlock(h);
    return pm__writers_open(s, out, made);
}

PM_API pm_status pm_head_write_wait(pm_head *h, const void *path, size_t len, uint64_t us, pm_wz *out, pm_map *why) {
    const pm_key here = {path, len};
    if (!out) return pm_head_write(h, path, len, out, why); /* refuses it */
    return pm_head_write_all_wait(h, &here, 1, us, out, why);
}

/* ---- which writers ------------------------------------------------------------------------------------------- */

/* Removes what lies below each value; so none of that is come to. */
static pm_status pm__turn_cut(pm_wz *w, bool *changed) {
    pm_rz *c = pm_wz_cursor(w);
    for (bool more = pm_rz_is_val(c) || pm_rz_to_next_val(c); more; more = pm_rz_to_next_val(c)) {
        bool cut = false;
        pm_status s = pm_rz_child_count(c) ? pm_wz_remove_branches(w, PM_KEEP, &cut) : PM_OK;
        if (s != PM_OK) return s;
        *changed |= cut;
    }
    return pm_rz_status(c);
}

PM_API pm_status pm_keep_outermost(pm_map *m, bool *changed) {
    pm_wz w;
    bool any = false;
    if (!m) return PM_INVALID;
    pm__map_own(m);
    pm_map kept = pm_clone(m);
    pm_status s = pm_wz_open(&kept, NULL, 0, &w);
    if (s == PM_OK) {
        s = pm__turn_cut(&w, &any);
        pm_status end = pm_wz_drop(&w);
        if (s == PM_OK) s = end;
    }
    if (s == PM_OK && any) {
        pm_drop(m);
        *m = kept;
    } else {
        pm_drop(&kept);
    }
    if (s == PM_OK && changed) *changed = any;
    return s;
}
