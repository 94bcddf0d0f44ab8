/* Three-way merges: the walk from base to theirs (41_diff.c), with ours alongside. The result begins as a clone of
   ours, and is changed where theirs differs from base. Where ours has below a place just what base has, theirs is
   grafted as it is, and nothing below is looked at. */
#include "42_patch.c"
#include "43_merge3.h"

typedef struct pm__merge3 {
    pm__diff walk;
    const pm_map *ours;
    pm_map made;
    pm__list late, lens; /* leaves that are to dangle: they are made last */
    pm_merge_pick (*pick)(void *ctx, const pm_merge_conflict *c, pm_val *val);
    void *ctx;
    size_t conflicts;
} pm__merge3;

static pm_opt pm__merge3_opt(const pm_val *v) {
    pm_opt o = {v ? *v : 0, v != NULL};
    return o;
}

/* Settles a key at which all three differ. */
static pm_status pm__merge3_settle(pm__merge3 *w, const pm_merge_conflict *c) {
    pm_val val = 0;
    pm_opt none = {0, false};
    w->conflicts++;
    switch (w->pick ? w->pick(w->ctx, c, &val) : PM_PICK_FAIL) {
    case PM_PICK_OURS: return PM_OK;
    case PM_PICK_BASE: return pm__patch_put(&w->made, c->key, c->len, c->base);
    case PM_PICK_THEIRS: return pm__patch_put(&w->made, c->key, c->len, c->theirs);
    case PM_PICK_NONE: return pm__patch_put(&w->made, c->key, c->len, none);
    case PM_PICK_FAIL: return PM_CONFLICT;
    case PM_PICK_VALUE: {
        pm_status s = pm_set(&w->made, c->key, c->len, val, NULL);
        if (s != PM_OK) pm__val_release(w->walk.ops, val);
        return s;
    }
    }
    return PM_BADHOOK;
}

/* The key at which the walk stands, where theirs has another value than base, or dangles other than it. */
static pm_status pm__merge3_key(pm__merge3 *w, const pm__contrast *c) {
    const size_t len = w->walk.path.used;
    const uint8_t *key = len ? w->walk.path.data : (const uint8_t *)"";
    const pm_val *ours = pm__place_val(&w->walk.third);
    pm_status s = PM_OK;
    if (!len) ours = w->ours->has_value ? &w->ours->value : NULL;
    if (c->dangles_b && !c->dangles_a && (!pm__list_put(&w->late, key, len) || !pm__list_put(&w->lens, &len, 1)))
        return PM_NOMEM;
    if (c->dangles_a && !c->dangles_b) s = pm_prune_path(&w->made, key, len, NULL);
    if (s != PM_OK || (!c->val_a && !c->val_b) || pm__val_same(w->walk.ops, ours, c->val_b)) return s;
    if (pm__val_same(w->walk.ops, ours, c->val_a))
        return pm__patch_put(&w->made, key, len, pm__merge3_opt(c->val_b));
    pm_merge_conflict conflict = {key, len, pm__merge3_opt(c->val_a), pm__merge3_opt(ours), pm__merge3_opt(c->val_b)};
    return pm__merge3_settle(w, &conflict);
}

/* Puts what theirs has below the place where the walk stands in the place of what ours, and base, have there. */
static pm_status pm__merge3_graft(pm__merge3 *w, const pm_place *from) {
    pm__cx cx = pm__map_cx(&w->made);
    const size_t len = w->walk.path.used;
    pm_place p = from->depth ? *from : pm__place_root(from->node);
    pm__ref below;
    if (!pm__place_share(&cx, &p, &below)) return PM_NOMEM;
    if (!len) {
        pm__any_release(&cx, w->made.root);
        w->made.root = below;
    } else if (!pm__trie_graft(&cx, &w->made.root, w->walk.path.data, len, below)) {
        pm__any_release(&cx, below);
        return PM_NOMEM;
    }
    return below ? PM_OK : pm_prune_path(&w->made, w->walk.path.data, len, NULL);
}

/* What lies below the end of an item. */
static pm_status pm__merge3_below(pm__merge3 *w, const pm__diff_item *i) {
    const pm__contrast *c = &i->c;
    pm_place ours = w->walk.third;
    if (!pm__place_enter(&ours)) ours = pm__compare_root(0);
    else if (!ours.depth) ours = pm__compare_root(ours.node);
    if (pm__compare_is_same(&ours, &c->b)) return PM_OK;
    if (pm__compare_is_same(&ours, &c->a)) return pm__merge3_graft(w, &c->b);
    return pm__diff_open(&w->walk, i) ? PM_OK : PM_NOMEM;
}

static pm_status pm__merge3_run(pm__merge3 *w) {
    pm_status s = PM_OK;
    pm__diff_item i;
    while (s == PM_OK && pm__diff_take(&w->walk, &i)) {
        if (pm__diff_changes(&i.c)) s = pm__merge3_key(w, &i.c);
        if (s == PM_OK && (i.c.a.node || i.c.b.node)) s = pm__merge3_below(w, &i);
    }
    if (s == PM_OK) s = pm__diff_status(&w->walk);
    for (size_t k = 0, at = 0; s == PM_OK && k < w->lens.used; k++) {
        size_t len = *(const size_t *)pm__list_at(&w->lens, k);
        s = pm_create_path(&w->made, pm__list_at(&w->late, at), len, NULL);
        at += len;
    }
    return s;
}

PM_API pm_status pm_merge3(const pm_map *base, const pm_map *ours, const pm_map *theirs,
                           pm_merge_pick (*pick)(void *ctx, const pm_merge_conflict *c, pm_val *val), void *ctx,
                           pm_map *out, size_t *conflicts) {
    if (pm__map_bad(base, NULL, 0) || pm__map_bad(ours, NULL, 0) || pm__map_bad(theirs, NULL, 0) || !out)
        return PM_INVALID;
    const pm_ops *ops = pm_map_ops(ours);
    if (pm_map_ops(base) != ops || pm_map_ops(theirs) != ops) return PM_MISMATCH;
    pm__merge3 w;
    w.ours = ours;
    w.made = pm_clone(ours);
    w.late = pm__list_of(1), w.lens = pm__list_of(sizeof(size_t));
    w.pick = pick, w.ctx = ctx, w.conflicts = 0;
    pm__diff_begin(&w.walk, base, theirs);
    w.walk.follows = true;
    if (w.walk.items.used) ((pm__diff_item *)pm__list_at(&w.walk.items, 0))->third = pm__place_root(ours->root);
    pm_status s = pm__merge3_run(&w);
    pm__diff_end(&w.walk);
    pm__list_free(&w.late);
    pm__list_free(&w.lens);
    if (s != PM_OK) {
        pm_drop(&w.made);
        return s;
    }
    pm__map_give(out, &w.made, out == base || out == ours || out == theirs);
    if (conflicts) *conflicts = w.conflicts;
    return pm__map_done(out, PM_OK);
}
