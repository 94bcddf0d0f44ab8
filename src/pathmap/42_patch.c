/* Patches: changes as a list ordered by key, with all keys in one string.

   A key's state is nothing, a value, or a dangling leaf, and a change is a pair of states. So inverting swaps the two,
   and composing keeps the first state of one and the last of the other. */
#include "41_diff.c"
#include "42_patch.h"

typedef struct pm__patched {
    size_t at, len; /* the key, in `keys` */
    pm_val before, after;
    bool had, has; /* values */
    bool dangled, dangles;
} pm__patched;

/* ---- building ------------------------------------------------------------------------------------------------ */

typedef struct pm__patch {
    const pm_ops *ops;
    pm__list changes, keys;
} pm__patch;

static pm__patch pm__patch_open(const pm_ops *ops) {
    pm__patch w = {ops, pm__list_of(sizeof(pm__patched)), pm__list_of(1)};
    return w;
}

static const pm__patched *pm__patch_item(const pm_patch *p, size_t i) { return (const pm__patched *)p->changes + i; }

static pm_patch pm__patch_close(const pm__patch *w) {
    pm_patch p = {w->ops, w->changes.data, w->keys.data, w->changes.used, w->changes.cap, w->keys.used, w->keys.cap};
    return p;
}

/* Appends a change, whose values gain a reference. False: no memory. */
static bool pm__patch_add(pm__patch *w, const pm_change *c) {
    pm__patched i = {w->keys.used,   c->len,        c->before.val, c->after.val,
                     c->before.some, c->after.some, c->dangled,    c->dangles};
    if (!pm__list_put(&w->keys, c->key, c->len) || !pm__list_put(&w->changes, &i, 1)) return false;
    if (i.had) pm__val_retain(w->ops, i.before);
    if (i.has) pm__val_retain(w->ops, i.after);
    return true;
}

static pm_change pm__patch_change(const pm_patch *p, size_t at) {
    const pm__patched *i = pm__patch_item(p, at);
    pm_change c = {p->keys, i->len, PM_CHANGED, i->dangled, i->dangles, {i->before, i->had}, {i->after, i->has}};
    if (i->len) c.key += i->at;
    else c.key = (const uint8_t *)"";
    if (!i->had && !i->dangled) c.kind = PM_ADDED;
    if (!i->has && !i->dangles) c.kind = PM_REMOVED;
    return c;
}

PM_API void pm_patch_drop(pm_patch *p) {
    if (!p) return;
    for (size_t i = 0; i < p->count; i++) {
        const pm__patched *c = pm__patch_item(p, i);
        if (c->had) pm__val_release(p->ops, c->before);
        if (c->has) pm__val_release(p->ops, c->after);
    }
    if (p->changes) pm__mem_free_big(p->changes, p->room * sizeof(pm__patched));
    if (p->keys) pm__mem_free_big(p->keys, p->keys_room);
    memset(p, 0, sizeof *p);
}

/* Hands out what was built, or drops it. */
static pm_status pm__patch_done(const pm__patch *w, bool memory, pm_patch *out, bool operand) {
    pm_patch made = pm__patch_close(w);
    pm_status s = w->ops ? pm__val_failed(w->ops) : PM_OK;
    if (!memory) s = PM_NOMEM;
    if (s != PM_OK) {
        pm_patch_drop(&made);
        return s;
    }
    pm_patch old;
    memset(&old, 0, sizeof old);
    if (operand) old = *out;
    *out = made;
    pm_patch_drop(&old);
    return PM_OK;
}

PM_API pm_status pm_patch_make(const pm_map *old, const pm_map *now, pm_patch *out) {
    if (pm__map_bad(old, NULL, 0) || pm__map_bad(now, NULL, 0) || !out) return PM_INVALID;
    if (pm_map_ops(old) != pm_map_ops(now)) return PM_MISMATCH;
    pm__patch w = pm__patch_open(pm_map_ops(old));
    pm__diff d;
    pm_change c;
    bool ok = true;
    pm__diff_begin(&d, old, now);
    while (ok && pm__diff_next(&d, &c)) ok = pm__patch_add(&w, &c);
    ok = ok && d.memory;
    pm__diff_end(&d);
    return pm__patch_done(&w, ok, out, false);
}

/* ---- reading ------------------------------------------------------------------------------------------------- */

PM_API size_t pm_patch_count(const pm_patch *p) { return p ? p->count : 0; }

PM_API bool pm_patch_at(const pm_patch *p, size_t i, pm_change *out) {
    if (!p || !out || i >= p->count) return false;
    *out = pm__patch_change(p, i);
    return true;
}

/* ---- algebra of patches -------------------------------------------------------------------------------------- */

PM_API void pm_patch_invert(pm_patch *p) {
    for (size_t i = 0; p && i < p->count; i++) {
        pm__patched *c = (pm__patched *)p->changes + i, was = *c;
        c->before = was.after, c->had = was.has, c->dangled = was.dangles;
        c->after = was.before, c->has = was.had, c->dangles = was.dangled;
    }
}

static int pm__patch_order(const pm_change *a, const pm_change *b) {
    size_t min = a->len < b->len ? a->len : b->len;
    int c = memcmp(a->key, b->key, min);
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

/* A key that both change. */
static bool pm__patch_add_both(pm__patch *w, const pm_change *first, const pm_change *then) {
    pm_change c = *first;
    c.after = then->after, c.dangles = then->dangles;
    bool same = c.dangled == c.dangles &&
                pm__val_same(w->ops, c.before.some ? &c.before.val : NULL, c.after.some ? &c.after.val : NULL);
    return same || pm__patch_add(w, &c);
}

PM_API pm_status pm_patch_compose(const pm_patch *first, const pm_patch *then, pm_patch *out) {
    if (!first || !then || !out) return PM_INVALID;
    if (first->count && then->count && first->ops != then->ops) return PM_MISMATCH;
    pm__patch w = pm__patch_open(first->count ? first->ops : then->ops);
    bool ok = true;
    for (size_t i = 0, j = 0; ok && (i < first->count || j < then->count);) {
        pm_change a, b;
        bool left = pm_patch_at(first, i, &a), right = pm_patch_at(then, j, &b);
        int order = !left ? 1 : !right ? -1 : pm__patch_order(&a, &b);
        ok = order < 0 ? pm__patch_add(&w, &a) : order > 0 ? pm__patch_add(&w, &b) : pm__patch_add_both(&w, &a, &b);
        i += order <= 0, j += order >= 0;
    }
    return pm__patch_done(&w, ok, out, out == first || out == then);
}

/* ---- applying ------------------------------------------------------------------------------------------------ */

/* Gives a key its value, or takes away the one that it has, and what then leads nowhere; not where it dangles. */
static pm_status pm__patch_put(pm_map *m, const uint8_t *key, size_t len, pm_opt val) {
    if (val.some) return pm__map_set_shared(m, key, len, val.val);
    return pm_contains(m, key, len) ? pm_remove(m, key, len, PM_PRUNE, NULL) : PM_OK;
}

/* What a change says of a key, but for a leaf that is to dangle: such are made last, since what goes later may take
   with it what leads to them. */
static pm_status pm__patch_change_key(pm_map *m, const pm_change *c) {
    if (c->before.some || c->after.some) return pm__patch_put(m, c->key, c->len, c->after);
    return c->dangled ? pm_prune_path(m, c->key, c->len, NULL) : PM_OK;
}

PM_API pm_status pm_patch_apply(const pm_patch *p, pm_map *m) {
    if (!p || pm__map_refuses(m, NULL, 0)) return PM_INVALID;
    if (p->count && p->ops != pm_map_ops(m)) return PM_MISMATCH;
    pm_map made = pm_clone(m);
    pm_status s = PM_OK;
    for (size_t i = 0; s == PM_OK && i < p->count; i++) {
        pm_change c = pm__patch_change(p, i);
        s = pm__patch_change_key(&made, &c);
    }
    for (size_t i = 0; s == PM_OK && i < p->count; i++) {
        pm_change c = pm__patch_change(p, i);
        if (c.dangles) s = pm_create_path(&made, c.key, c.len, NULL);
    }
    if (s == PM_OK) pm__map_give(m, &made, true);
    else pm_drop(&made);
    return s;
}
