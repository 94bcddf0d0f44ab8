/* Differences: a visitor of the walk over pairs (29_compare.c) that goes in order.

   What differs below a pair comes on a stack, last first, so that the first is on top: each item is an end of edges,
   with its label, the length of the path above, and the pair below it. The label points into a node; nothing is copied
   before the item's turn. An item is taken off, its label put behind the path, its change told, and the pair below it
   opened, which puts further items on top.

   A pair of shared nodes that turns out to be the same in other nodes is remembered: a note that lies below its items
   on the stack comes up when all of them are done.

   A third trie may go along: its place at each item's end. A three-way merge looks there (43_merge3.c). */
#include "29_compare.c"
#include "40_map.c"
#include "41_diff.h"

typedef struct pm__diff_item {
    pm__contrast c;
    size_t above;   /* bytes of path above the label; a note: how many items with changes had been taken before */
    pm_place third; /* of the third trie, where the label begins */
    bool note;
} pm__diff_item;

typedef struct pm__diff {
    const pm_ops *ops;
    pm__list items, path;
    pm__memo equal; /* pairs of nodes known to hold the same */
    uint64_t changes;
    size_t above;   /* of the pair being opened */
    pm_place third; /* at the end of the item taken last, or of the pair being opened */
    bool follows;   /* there is a third trie */
    bool memory;
} pm__diff;

/* ---- the walk ------------------------------------------------------------------------------------------------ */

/* Takes the third trie's place along s[0..len). */
static void pm__diff_follow(pm__diff *d, const uint8_t *s, size_t len) {
    const pm_val *val;
    if (!d->follows) return;
    if (pm__place_walk(&d->third, s, len, &val) < len) d->third = pm__compare_root(0);
}

static bool pm__diff_prefix(void *ctx, const uint8_t *s, size_t len) {
    pm__diff *d = (pm__diff *)ctx;
    d->memory = pm__list_put(&d->path, s, len);
    d->above += len;
    pm__diff_follow(d, s, len);
    return d->memory;
}

static PM__INLINE bool pm__diff_differ(void *ctx, const pm__contrast *c) {
    pm__diff *d = (pm__diff *)ctx;
    pm__diff_item *i;
    if (!pm__list_room(&d->items, 1)) return d->memory = false;
    i = (pm__diff_item *)pm__list_at(&d->items, d->items.used++);
    i->c = *c;
    i->above = d->above;
    i->third = d->third;
    i->note = false;
    if (c->a.node) PM__PREFETCH(pm__ref_ptr(c->a.node));
    if (c->b.node) PM__PREFETCH(pm__ref_ptr(c->b.node));
    return true;
}

/* Begins with two maps. */
static void pm__diff_begin(pm__diff *d, const pm_map *old, const pm_map *now) {
    const pm__compare q = {pm_map_ops(old), NULL, pm__diff_differ};
    memset(d, 0, sizeof *d);
    d->ops = q.ops;
    d->items = pm__list_of(sizeof(pm__diff_item));
    d->path = pm__list_of(1);
    d->memory = true;
    pm__contrast c = {NULL, pm__compare_root(old->root), pm__compare_root(now->root), NULL, NULL, 0, 0, false, false,
                      false};
    if (old->has_value) c.val_a = &old->value;
    if (now->has_value) c.val_b = &now->value;
    (void)pm__compare_end(&q, d, &c);
}

static void pm__diff_end(pm__diff *d) {
    pm__list_free(&d->items);
    pm__list_free(&d->path);
    pm__memo_free(&d->equal);
}

static PM__INLINE bool pm__diff_changes(const pm__contrast *c) {
    return c->val_a || c->val_b || c->dangles_a != c->dangles_b;
}

/* Takes the next item off; its end is where the path ends then. False: there is none, or no memory. */
static bool pm__diff_take(pm__diff *d, pm__diff_item *i) {
    while (d->memory && d->items.used) {
        *i = *(const pm__diff_item *)pm__list_pop(&d->items);
        const pm__contrast *c = &i->c;
        if (i->note) {
            if (d->changes == i->above) d->memory = pm__memo_put(&d->equal, c->a.node, c->b.node, 1);
            continue;
        }
        d->path.used = i->above;
        d->third = i->third;
        if (c->len) {
            d->memory = pm__list_put(&d->path, &c->first, 1) && pm__list_put(&d->path, c->rest, c->len - 1);
            if (d->memory) pm__diff_follow(d, d->path.data + i->above, c->len);
        }
        d->changes += pm__diff_changes(c);
        return d->memory;
    }
    return false;
}

/* Opens the pair below the item taken last. False: no memory. */
static bool pm__diff_open(pm__diff *d, const pm__diff_item *i) {
    const pm__compare q = {d->ops, pm__diff_prefix, pm__diff_differ};
    const pm__contrast *c = &i->c;
    if (!c->a.node && !c->b.node) return true;
    if (pm__compare_recurs(&c->a, &c->b, c->shared)) {
        if (pm__memo_get(&d->equal, c->a.node, c->b.node)) return true;
        pm__diff_item note = *i;
        note.note = true, note.above = (size_t)d->changes;
        d->memory = pm__list_put(&d->items, &note, 1);
    }
    size_t first = d->items.used, last;
    d->above = d->path.used;
    if (d->memory) (void)pm__compare_open(&q, d, &c->a, &c->b);
    for (last = d->items.used; first + 1 < last; first++, last--) {
        pm__diff_item *x = (pm__diff_item *)pm__list_at(&d->items, first), y = *x;
        pm__diff_item *z = (pm__diff_item *)pm__list_at(&d->items, last - 1);
        *x = *z, *z = y;
    }
    return d->memory;
}

/* Finds the next change. False: there is none, or no memory. */
static bool pm__diff_next(pm__diff *d, pm_change *out) {
    pm__diff_item i;
    while (pm__diff_take(d, &i)) {
        const pm__contrast *c = &i.c;
        out->len = d->path.used;
        if (!pm__diff_open(d, &i)) return false;
        if (!pm__diff_changes(c)) continue;
        bool had = c->val_a || c->dangles_a, has = c->val_b || c->dangles_b;
        out->key = out->len ? d->path.data : (const uint8_t *)""; /* opening may have put more behind it */
        out->kind = had && has ? PM_CHANGED : had ? PM_REMOVED : PM_ADDED;
        out->before.some = c->val_a != NULL, out->before.val = c->val_a ? *c->val_a : 0;
        out->after.some = c->val_b != NULL, out->after.val = c->val_b ? *c->val_b : 0;
        out->dangled = c->dangles_a, out->dangles = c->dangles_b;
        return true;
    }
    return false;
}

/* What the walk comes to so far. */
static pm_status pm__diff_status(const pm__diff *d) {
    pm_status s = pm__val_failed(d->ops);
    return d->memory ? s : PM_NOMEM;
}

/* ---- two maps ------------------------------------------------------------------------------------------------ */

PM_API pm_status pm_diff(const pm_map *old, const pm_map *now, bool (*fn)(void *ctx, const pm_change *change),
                         void *ctx) {
    if (pm__map_bad(old, NULL, 0) || pm__map_bad(now, NULL, 0) || !fn) return PM_INVALID;
    if (pm_map_ops(old) != pm_map_ops(now)) return PM_MISMATCH;
    pm__diff d;
    pm_change change;
    pm__diff_begin(&d, old, now);
    while (pm__diff_next(&d, &change) && fn(ctx, &change)) {}
    pm_status s = pm__diff_status(&d);
    pm__diff_end(&d);
    return s;
}

PM_API pm_diff_iter pm_diff_iter_over(const pm_map *old, const pm_map *now) {
    pm_diff_iter i;
    memset(&i, 0, sizeof i);
    pm__map_use(old), pm__map_use(now);
    i.old = pm_new(pm_map_ops(old ? old : now), NULL);
    i.now = pm_new(pm_map_ops(now ? now : old), NULL);
    if (old) i.old = *old;
    if (now) i.now = *now;
    if (pm_map_ops(&i.old) != pm_map_ops(&i.now)) i.status = PM_MISMATCH, i.over = true;
    return i;
}

PM_API bool pm_diff_iter_next(pm_diff_iter *i) {
    if (!i || i->over) return false;
    pm__diff *d = (pm__diff *)i->run;
    if (!d) {
        i->run = d = (pm__diff *)pm__mem_alloc_big(sizeof *d);
        if (d) pm__diff_begin(d, &i->old, &i->now);
    }
    bool found = d && pm__diff_next(d, &i->change);
    i->status = d ? pm__diff_status(d) : PM_NOMEM;
    if (found && i->status == PM_OK) return true;
    pm_diff_iter_drop(i);
    return false;
}

PM_API pm_status pm_diff_iter_status(const pm_diff_iter *i) { return i ? i->status : PM_INVALID; }

PM_API void pm_diff_iter_drop(pm_diff_iter *i) {
    if (!i) return;
    pm__diff *d = (pm__diff *)i->run;
    if (d) {
        pm__diff_end(d);
        pm__mem_free_big(d, sizeof *d);
    }
    i->run = NULL;
    i->over = true;
}
