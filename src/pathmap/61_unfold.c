/* Unfolds.

   The engine is a fold (60_fold.c) that asks seeds instead of nodes for what is below: it goes down from seed to seed,
   and has the fold's callback called on the way up. Locations that wait for their children lie in frames, the children
   that they have announced in three lists: items, seeds and path bytes. A single child of a location without value is
   gone on to at once, its byte becomes part of a run, and nothing is kept.

   Building a map is such a fold, a jumping one, whose results are a value and a node for what lies below. A result's
   node is a line of its own at first; the line above takes it in if it has room, so what is built looks like what
   insertions build. */
#include "60_fold.c"
#include "61_unfold.h"

typedef struct pm__sprout_item {
    size_t path_at, path_len;
    pm_map graft;
    bool is_graft;
} pm__sprout_item;

typedef struct pm__sprout_frame {
    pm_mask mask;
    pm_opt val;
    size_t len, low;
    size_t first, next, end; /* items */
} pm__sprout_frame;

struct pm_sprout {
    pm__fold w;
    pm_unfold u;
    const pm_ops *ops; /* of the map that grows; NULL: none does */
    pm__list frames, items, seeds, bytes; /* one seed for each item */
    pm__list held; /* maps that a cached fold has met: what is remembered of their nodes must stay true */
    pm_opt val;     /* of the location being unfolded */
    size_t first;   /* its first item */
    int last;       /* the last child's first byte */
    pm_status status;
};

/* ---- what callbacks say -------------------------------------------------------------------------------------- */

static pm_status pm__sprout_fail(pm_sprout *p, pm_status s) {
    if (p->status == PM_OK) p->status = s;
    return s;
}

PM_API pm_status pm_sprout_val(pm_sprout *here, pm_val val) {
    if (!here) return PM_INVALID;
    if (here->val.some) return pm__sprout_fail(here, PM_INVALID);
    here->val.val = here->ops && pm__ops_is_unit(here->ops) ? 0 : val;
    here->val.some = true;
    return PM_OK;
}

static pm_status pm__sprout_add(pm_sprout *p, const void *path, size_t len, const void *seed, const pm_map *graft) {
    pm__sprout_item it = {p->bytes.used, len, {0, 0, NULL, NULL, false, 0, 0}, graft != NULL};
    if (!len || len > PM__LEN_MAX || *(const uint8_t *)path <= p->last) return pm__sprout_fail(p, PM_INVALID);
    if (!graft && !seed && p->u.seed_size) return pm__sprout_fail(p, PM_INVALID);
    if (graft && p->ops && pm_map_ops(graft) != p->ops) return pm__sprout_fail(p, PM_MISMATCH);
    if (!pm__list_room(&p->items, 1) || !pm__list_room(&p->seeds, 1) || !pm__list_put(&p->bytes, path, len))
        return pm__sprout_fail(p, PM_NOMEM);
    if (graft) it.graft = pm_clone(graft);
    else if (seed && p->u.seed_size) memcpy(pm__list_at(&p->seeds, p->seeds.used), seed, p->u.seed_size);
    p->seeds.used++;
    (void)pm__list_put(&p->items, &it, 1);
    p->last = *(const uint8_t *)path;
    return PM_OK;
}

PM_API pm_status pm_sprout_child(pm_sprout *here, const void *path, size_t len, const void *seed) {
    if (!here || (!path && len)) return PM_INVALID;
    return pm__sprout_add(here, path, len, seed, NULL);
}

PM_API pm_status pm_sprout_graft(pm_sprout *here, const void *path, size_t len, const pm_map *src) {
    if (!here || (!path && len)) return PM_INVALID;
    return pm__sprout_add(here, path, len, NULL, src);
}

/* ---- the engine ---------------------------------------------------------------------------------------------- */

static pm__sprout_item *pm__sprout_item_at(pm_sprout *p, size_t i) {
    return (pm__sprout_item *)pm__list_at(&p->items, i);
}

static void pm__sprout_drop_seed(pm_sprout *p, void *seed) {
    if (p->u.drop) p->u.drop(p->u.ctx, seed);
}

static void pm__sprout_drop_val(pm_sprout *p, pm_opt val) {
    if (val.some && p->ops) pm__val_release(p->ops, val.val);
}

/* Appends the way to an item to the path. */
static bool pm__sprout_follow(pm_sprout *p, const pm__sprout_item *it) {
    return pm__list_put(&p->w.walk.path, pm__list_at(&p->bytes, it->path_at), it->path_len);
}

/* Asks what is at the path, `seed` being that of the location; ends the location or opens a frame for it. *on: it was
   skipped, and the seed is now that of its only child. */
static int pm__sprout_visit(pm_sprout *p, void *seed, size_t low, bool *on) {
    static const pm_mask none = {{0, 0, 0, 0}};
    size_t len = p->w.walk.path.used;
    *on = false;
    p->val.some = false;
    p->status = PM_OK;
    p->last = -1;
    p->first = p->items.used;
    int s = p->u.at(p->u.ctx, seed, p, len ? p->w.walk.path.data : (const uint8_t *)"", len);
    pm__sprout_drop_seed(p, seed);
    if (s == PM_OK) s = p->status;
    pm__sprout_frame f = {none, p->val, len, low, p->first, p->first, p->items.used};
    if (s == PM_OK && f.first == f.end) {
        s = pm__fold_finish(&p->w, &none, 0, f.val.some ? &f.val.val : NULL, len, low);
    } else if (s == PM_OK && f.end - f.first == 1 && !f.val.some && !pm__sprout_item_at(p, f.first)->is_graft) {
        const pm__sprout_item *it = pm__sprout_item_at(p, f.first);
        if (!pm__sprout_follow(p, it)) return PM_NOMEM;
        p->items.used = --p->seeds.used;
        if (p->u.seed_size) memcpy(seed, pm__list_at(&p->seeds, p->seeds.used), p->u.seed_size);
        p->bytes.used = it->path_at;
        *on = true;
    } else if (s == PM_OK) {
        s = pm__list_put(&p->frames, &f, 1) ? PM_OK : PM_NOMEM;
    }
    if (s != PM_OK) pm__sprout_drop_val(p, f.val);
    return s;
}

/* Folds a grafted map at the end of the path. */
static int pm__sprout_fold_graft(pm_sprout *p, pm__sprout_item *it, size_t low) {
    if (p->w.cached) { /* the nodes must not go before the fold ends */
        if (!pm__list_put(&p->held, &it->graft, 1)) return PM_NOMEM;
        it->is_graft = false;
    }
    const pm_val *val = it->graft.has_value ? &it->graft.value : NULL;
    return pm__fold_walk(&p->w, pm__fold_root(it->graft.root, val), low);
}

static int pm__sow_graft(pm_sprout *p, const pm_map *m, size_t low);

/* Takes a frame's next item: grafts, or hands out the seed (*on). Ends the frame if there is none. */
static int pm__sprout_next(pm_sprout *p, void *seed, size_t *low, bool *on) {
    pm__sprout_frame *f = (pm__sprout_frame *)pm__list_at(&p->frames, p->frames.used - 1);
    p->w.walk.path.used = f->len;
    *on = false;
    if (f->next == f->end) {
        unsigned n = (unsigned)(f->end - f->first);
        int s = pm__fold_finish(&p->w, &f->mask, n, f->val.some ? &f->val.val : NULL, f->len, f->low);
        if (s != PM_OK) return s; /* the frame stays, and with it the value */
        for (size_t i = f->first; i < f->end; i++)
            if (pm__sprout_item_at(p, i)->is_graft) pm_drop(&pm__sprout_item_at(p, i)->graft);
        p->bytes.used = pm__sprout_item_at(p, f->first)->path_at;
        p->items.used = p->seeds.used = f->first;
        p->frames.used--;
        return PM_OK;
    }
    pm__sprout_item *it = pm__sprout_item_at(p, f->next);
    if (!pm__sprout_follow(p, it)) return PM_NOMEM;
    pm_mask_set(&f->mask, p->w.walk.path.data[f->len]);
    *low = f->len + 1;
    f->next++;
    if (it->is_graft) return p->ops ? pm__sow_graft(p, &it->graft, *low) : pm__sprout_fold_graft(p, it, *low);
    if (p->u.seed_size) memcpy(seed, pm__list_at(&p->seeds, f->next - 1), p->u.seed_size);
    *on = true;
    return PM_OK;
}

/* Gives up all that a failure has left. Seeds before a frame's `next` were handed out, and are gone. */
static void pm__sprout_abandon(pm_sprout *p) {
    size_t end = p->items.used;
    for (size_t i = p->frames.used; i-- > 0;) {
        const pm__sprout_frame *f = (const pm__sprout_frame *)pm__list_at(&p->frames, i);
        for (size_t k = f->first; k < end; k++) {
            pm__sprout_item *it = pm__sprout_item_at(p, k);
            if (it->is_graft) pm_drop(&it->graft);
            else if (k >= f->next) pm__sprout_drop_seed(p, pm__list_at(&p->seeds, k));
        }
        pm__sprout_drop_val(p, f->val);
        end = f->first;
    }
    p->items.used = end;
}

static void pm__sprout_drop_items(pm_sprout *p, size_t from) {
    for (size_t k = from; k < p->items.used; k++) {
        if (pm__sprout_item_at(p, k)->is_graft) pm_drop(&pm__sprout_item_at(p, k)->graft);
        else pm__sprout_drop_seed(p, pm__list_at(&p->seeds, k));
    }
    p->items.used = p->seeds.used = from;
}

/* `seed`: room for one, which holds the first. */
static int pm__sprout_grow(pm_sprout *p, void *seed) {
    bool on = true;
    size_t low = 0;
    int s = PM_OK;
    do {
        if (on) {
            s = pm__sprout_visit(p, seed, low, &on);
            if (s != PM_OK) pm__sprout_drop_items(p, p->first); /* the failed location's: no frame has them */
        } else {
            s = pm__sprout_next(p, seed, &low, &on);
        }
    } while (s == PM_OK && (on || p->frames.used));
    return s;
}

static int pm__sprout_run(const pm_unfold *u, const void *seed, const pm_fold *f, const pm_ops *ops, void *out) {
    pm_sprout p = {.w = pm__fold_begin(f), .u = *u, .ops = ops};
    p.frames = pm__list_of(sizeof(pm__sprout_frame));
    p.items = pm__list_of(sizeof(pm__sprout_item));
    p.seeds = pm__list_of(u->seed_size);
    p.bytes = pm__list_of(1);
    p.held = pm__list_of(sizeof(pm_map));
    pm__list own = pm__list_of(u->seed_size);
    int s = PM_NOMEM;
    if (pm__list_room(&own, 1)) {
        if (seed && u->seed_size) memcpy(own.data, seed, u->seed_size);
        s = pm__sprout_grow(&p, own.data);
    } else if (u->drop) {
        u->drop(u->ctx, (void *)(uintptr_t)seed);
    }
    if (s != PM_OK) pm__sprout_abandon(&p);
    s = pm__fold_end(&p.w, s, out);
    for (size_t i = 0; i < p.held.used; i++) pm_drop((pm_map *)pm__list_at(&p.held, i));
    pm__list_free(&p.frames);
    pm__list_free(&p.items);
    pm__list_free(&p.seeds);
    pm__list_free(&p.bytes);
    pm__list_free(&p.held);
    pm__list_free(&own);
    return s;
}

static bool pm__unfold_is_sound(const pm_unfold *u, const void *seed) {
    return u && u->at && (seed || !u->seed_size);
}

/* The seed is dropped in any case. */
static pm_status pm__unfold_refused(const pm_unfold *u, const void *seed) {
    if (u && seed && u->drop) u->drop(u->ctx, (void *)(uintptr_t)seed);
    return PM_INVALID;
}

PM_API int pm_hylo(const pm_unfold *u, const void *seed, const pm_fold *f, void *out) {
    if (!pm__unfold_is_sound(u, seed) || !pm__fold_is_sound(f, out)) return pm__unfold_refused(u, seed);
    return pm__sprout_run(u, seed, f, NULL, out);
}

/* ---- building ------------------------------------------------------------------------------------------------ */

/* What a location has come to: its value, and what lies below. Neither: it dangles. */
typedef struct pm__sown {
    pm__ref ref;
    pm_opt val;
} pm__sown;

static void pm__sow_drop(void *ctx, void *result) {
    const pm__cx *cx = (const pm__cx *)ctx;
    pm__sown *k = (pm__sown *)result;
    pm__any_release(cx, k->ref);
    if (k->val.some) pm__pay_release(cx, false, k->val.val);
}

/* Leads along s[0..len) to a value or child, as pm__any_chain does; a line at its end is extended if it can be. Takes
   over what `pay` holds. 0: no memory, nothing changed. */
static pm__ref pm__sow_above(const pm__cx *cx, const uint8_t *s, size_t len, bool child, uint64_t pay) {
    if (!len) return pay;
    pm__ref r = pm__any_chain(cx, s, len, child, pay);
    if (r && child && pay && len < PM__SUFFIX_MAX) (void)pm__build_gather(cx, &r, 0);
    return r;
}

/* Makes a node of a location's children, which are empty then. 0: no memory, nothing changed. */
static pm__ref pm__sow_node(const pm__cx *cx, const pm_mask *mask, pm__sown *kids, unsigned n) {
    pm__ent few[PM__LINE_ENTRIES], *ents = few;
    const size_t room = 2 * n * sizeof *ents;
    if (2 * n > PM__LINE_ENTRIES && !(ents = (pm__ent *)pm__mem_alloc_big(room))) return 0;
    unsigned total = 0;
    int b = -1;
    for (unsigned i = 0; i < n; i++) {
        const pm__sown *k = &kids[i];
        b = pm__mask_next(mask, b + 1);
        uint8_t c = (uint8_t)b;
        if (k->val.some) ents[total++] = pm__ent_make(&c, 1, false, k->val.val);
        if (k->ref || !k->val.some) ents[total++] = pm__ent_make(&c, 1, true, k->ref);
    }
    pm__ref r = pm__build_gathered(cx, ents, total);
    if (ents != few) pm__mem_free_big(ents, room);
    for (unsigned i = 0; r && i < n; i++) kids[i].ref = 0, kids[i].val.some = false;
    return r;
}

/* Brings what a location has come to down by the run above it: *k then stands at the run's upper end. */
static bool pm__sow_run(const pm__cx *cx, pm__sown *k, const uint8_t *s, size_t len) {
    pm__ref r;
    if (!len) return true;
    if (!k->ref || !k->val.some) {
        r = pm__sow_above(cx, s, len, !k->val.some, k->val.some ? k->val.val : k->ref);
    } else {
        pm_mask one = {{0, 0, 0, 0}};
        pm__sown pair = *k;
        pm_mask_set(&one, s[len - 1]);
        r = pm__sow_node(cx, &one, &pair, 1);
        if (!r) return false;
        k->ref = r, k->val.some = false; /* as far as it has come, so that nothing is lost or held twice */
        r = pm__sow_above(cx, s, len - 1, true, r);
    }
    if (!r) return false;
    k->ref = r, k->val.some = false;
    return true;
}

/* Ends what a location has come to before its run is in place, but for the value, which stays the location's. */
static int pm__sow_fail(const pm__cx *cx, pm__sown *k, const pm_val *val) {
    if (val) pm__pay_retain(cx, false, *val);
    pm__sow_drop((void *)(uintptr_t)cx, k);
    return PM_NOMEM;
}

static int pm__sow_at(void *ctx, const pm_fold_at *here, void *out) {
    const pm__cx *cx = (const pm__cx *)ctx;
    pm__sown k = {0, {0, false}};
    if (here->n && !(k.ref = pm__sow_node(cx, here->mask, (pm__sown *)here->results, here->n))) return PM_NOMEM;
    if (here->val) k.val.val = *here->val, k.val.some = true;
    if (!pm__sow_run(cx, &k, here->jump, here->jump_len)) return pm__sow_fail(cx, &k, here->val);
    *(pm__sown *)out = k;
    return PM_OK;
}

/* A graft is a result by itself, once its run is in place. */
static int pm__sow_graft(pm_sprout *p, const pm_map *m, size_t low) {
    const pm__cx *cx = (const pm__cx *)p->w.f.ctx;
    pm__sown k = {m->root, {m->value, m->has_value}};
    pm__ref_retain(k.ref);
    if (k.val.some) pm__pay_retain(cx, false, k.val.val);
    if (pm__sow_run(cx, &k, p->w.walk.path.data + low, p->w.walk.path.used - low) && pm__list_put(&p->w.results, &k, 1))
        return PM_OK;
    pm__sow_drop((void *)(uintptr_t)cx, &k);
    return PM_NOMEM;
}

PM_API int pm_unfold_map(const pm_unfold *u, const void *seed, const pm_ops *ops, pm_pool *pool, pm_map *out) {
    if (!pm__unfold_is_sound(u, seed) || !out) return pm__unfold_refused(u, seed);
    pm_map m = pm_new(ops, pool);
    pm__cx cx = pm__map_cx(&m);
    pm__sown top;
    pm_fold f = {sizeof(pm__sown), PM_FOLD_JUMPING, &cx, pm__sow_at, pm__sow_drop, NULL};
    if (pm__ops_is_refused(m.ops)) {
        if (u->drop) u->drop(u->ctx, (void *)(uintptr_t)seed);
        return PM_BADHOOK;
    }
    int s = pm__sprout_run(u, seed, &f, m.ops, &top);
    if (s != PM_OK) return s;
    m.root = top.ref, m.value = top.val.some ? top.val.val : 0, m.has_value = top.val.some;
    *out = m;
    return pm__map_done(out, PM_OK);
}
