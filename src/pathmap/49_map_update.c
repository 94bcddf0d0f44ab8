/* Changes that look at what is there, and many changes at once.

   pm_update: the way to a value is made the map's alone before the caller's function runs, so that afterwards nothing
   can fail where a value stays.

   pm_apply: as a join and a subtraction key by key (44_map_few.c): keys are looked up side by side, and what has been
   set can be taken back without memory. First the ways to what is to be removed are made the map's alone, which changes
   nothing that can be seen. Then all is set; this can fail, and is taken back. Then follow the removals, which cannot
   fail any more. Where a key comes upon a dangling location, taking back might need memory: a clone is changed instead,
   call by call, and takes the map's place. */
#include "40_map.c"
#include "44_map_few.c"
#include "49_map_update.h"

PM_API pm_status pm_update(pm_map *m, const void *key, size_t len, pm_status (*fn)(void *ctx, pm_opt *val), void *ctx) {
    if (pm__map_refuses(m, key, len) || !fn) return PM_INVALID;
    pm__cx cx = pm__map_cx(m);
    pm_val *slot;
    if (pm__ops_is_refused(cx.ops)) return PM_BADHOOK; /* before there is a value to be lost */
    pm_status s = pm_get_mut(m, key, len, &slot);
    if (s != PM_OK) return s;
    const pm_val *v = slot ? slot : pm_get(m, key, len); /* unit maps have no slots */
    pm_opt was = {v ? *v : 0, v != NULL}, now = was;
    s = fn(ctx, &now);
    if (s != PM_OK) return s;
    if (!now.some) return was.some ? pm_remove(m, key, len, PM_PRUNE, NULL) : PM_OK;
    if (was.some) {
        if (!slot || now.val == was.val) return PM_OK;
        *slot = now.val;
        pm__pay_release(&cx, false, was.val);
        return pm__map_done(m, PM_OK);
    }
    s = pm_set(m, key, len, now.val, NULL);
    if (s != PM_OK) pm__pay_release(&cx, false, now.val);
    return s;
}

PM_API pm_status pm_set_if(pm_map *m, const void *key, size_t len, pm_opt expected, pm_opt val, bool *changed) {
    if (pm__map_refuses(m, key, len)) return PM_INVALID;
    pm_status s = PM_OK;
    bool is = pm__val_same(pm_map_ops(m), pm_get(m, key, len), expected.some ? &expected.val : NULL);
    if (is && val.some) s = pm_set(m, key, len, val.val, NULL);
    else if (is && expected.some) s = pm_remove(m, key, len, PM_PRUNE, NULL);
    if (s == PM_OK && changed) *changed = is;
    return s;
}

/* ---- order --------------------------------------------------------------------------------------------------- */

/* An edit in its place in order. */
typedef struct pm__batch_item {
    uint64_t head; /* the first eight bytes of the key */
    size_t i;
} pm__batch_item;

static int pm__batch_compare(const pm_edit *edits, const pm__batch_item *a, const pm__batch_item *b) {
    if (a->head != b->head) return a->head < b->head ? -1 : 1;
    const pm_key *x = &edits[a->i].key, *y = &edits[b->i].key;
    size_t min = x->len < y->len ? x->len : y->len;
    int c = min ? memcmp(x->data, y->data, min) : 0;
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

/* Sorts items stably; `room` is for as many more. Returns where they end up: in `items` or in `room`. */
static pm__batch_item *pm__batch_sort(const pm_edit *edits, pm__batch_item *items, pm__batch_item *room, size_t n) {
    bool sorted = true;
    for (size_t i = 1; sorted && i < n; i++) sorted = pm__batch_compare(edits, &items[i - 1], &items[i]) <= 0;
    for (size_t run = 1; !sorted && run < n; run *= 2) {
        for (size_t lo = 0; lo < n; lo += 2 * run) {
            size_t mid = n - lo < run ? n : lo + run, hi = n - lo < 2 * run ? n : lo + 2 * run, a = lo, b = mid;
            for (size_t to = lo; to < hi; to++) {
                bool left = b == hi || (a < mid && pm__batch_compare(edits, &items[a], &items[b]) <= 0);
                room[to] = left ? items[a++] : items[b++];
            }
        }
        pm__batch_item *swap = items;
        items = room;
        room = swap;
    }
    return items;
}

/* Notes the edits that count in `order`: of each key the last one, in order of the keys. *n: how many. False: no
   memory. */
static bool pm__batch_order(const pm_edit *edits, size_t *n, size_t *order) {
    const size_t bytes = 2 * *n * sizeof(pm__batch_item);
    pm__batch_item *items = (pm__batch_item *)pm__mem_alloc_big(bytes);
    size_t kept = 0;
    if (!items) return false;
    for (size_t i = 0; i < *n; i++) {
        const pm_key *k = &edits[i].key;
        items[i].head = pm__bswap64(pm__load_upto8(k->data, k->len));
        items[i].i = i;
    }
    const pm__batch_item *sorted = pm__batch_sort(edits, items, items + *n, *n);
    for (size_t i = 0; i < *n; i++)
        if (i + 1 == *n || pm__batch_compare(edits, &sorted[i], &sorted[i + 1]) != 0) order[kept++] = sorted[i].i;
    pm__mem_free_big(items, bytes);
    *n = kept;
    return true;
}

/* ---- all at once --------------------------------------------------------------------------------------------- */

/* The new value stands. */
static pm_alg pm__batch_right(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx, (void)a, (void)b, (void)out;
    return PM_ALG_RIGHT;
}

/* The map's table, but that a join sets and a subtraction removes. */
static pm_ops pm__batch_ops(const pm_ops *ops) {
    pm_ops o = *ops;
    o.equal = NULL;
    o.join = pm__batch_right;
    o.subtract = NULL;
    return o;
}

/* Marks what goes, and makes the ways there the map's alone. False: no memory. */
static bool pm__batch_look(pm__few *f) {
    pm__few_sight v[PM__FEW_LANES];
    for (size_t i = 0, n; i < f->keys.used; i += n) {
        n = pm__few_look(f, i, v);
        for (size_t j = 0; j < n; j++) {
            pm__few_key *k = pm__few_at(f, i + j);
            if (v[j].kind != PM__FEW_VALUE && (v[j].kind != PM__FEW_DANGLING || v[j].used < k->len)) continue;
            k->state = PM__FEW_GOES;
            if (!v[j].mine && !pm__few_own(f, pm__few_path(f, k), k->len)) return false;
        }
    }
    return true;
}

/* Makes the changes. *fits: false, and nothing changed, if they are not to be made so. */
static pm_status pm__batch_make(pm__few *sets, pm__few *goes, bool *fits) {
    pm__merge_run q;
    bool changed;
    memset(&q, 0, sizeof q);
    q.cx = sets->cx;
    q.op = PM__MERGE_JOIN;
    if (!pm__batch_look(goes)) return PM_NOMEM;
    pm_status s = pm__few_join(sets, &q, fits, &changed);
    for (size_t i = 0; s == PM_OK && *fits && i < goes->keys.used; i++) {
        const pm__few_key *k = pm__few_at(goes, i);
        if (k->state == PM__FEW_GOES) pm__few_take(goes, pm__few_path(goes, k), k->len);
    }
    return s;
}

/* The same of the edits that `order` names, none of which is of the empty key. */
static pm_status pm__batch_run(pm_map *m, const pm_edit *edits, const size_t *order, size_t n, bool *fits) {
    const pm_ops ops = pm__batch_ops(pm_map_ops(m));
    const pm__cx cx = pm__cx_of(&ops, m->pool);
    pm__few sets, goes;
    bool ok = true;
    pm_val val;
    pm_status s = PM_NOMEM;
    pm__few_begin(&sets, &cx, &m->root);
    pm__few_begin(&goes, &cx, &m->root);
    *fits = true;
    for (size_t i = 0; ok && *fits && i < n; i++) {
        const pm_edit *e = &edits[order[i]];
        *fits = e->key.len <= UINT16_MAX;
        val = cx.unit ? 0 : e->val.val;
        ok = !*fits || pm__few_put(e->val.some ? &sets : &goes, e->key.data, e->key.len, &val);
    }
    if (ok) s = *fits ? pm__batch_make(&sets, &goes, fits) : PM_OK;
    pm__few_free(&sets);
    pm__few_free(&goes);
    return s;
}

/* ---- one by one ---------------------------------------------------------------------------------------------- */

static pm_status pm__batch_each(pm_map *m, const pm_edit *edits, const size_t *order, size_t n) {
    pm_map c = pm_clone(m);
    pm_status s = PM_OK;
    for (size_t i = 0; s == PM_OK && i < n; i++) {
        const pm_edit *e = &edits[order[i]];
        if (e->val.some) s = pm__map_set_shared(&c, e->key.data, e->key.len, e->val.val);
        else s = pm_remove(&c, e->key.data, e->key.len, PM_PRUNE, NULL);
    }
    if (s == PM_OK) pm__map_give(m, &c, true);
    else pm_drop(&c);
    return s;
}

/* ---- the call ------------------------------------------------------------------------------------------------ */

/* Sets or removes the root's value, which cannot fail. */
static void pm__batch_root(const pm__cx *cx, pm_map *m, pm_opt val) {
    if (val.some) pm__pay_retain(cx, false, val.val);
    if (m->has_value) pm__pay_release(cx, false, m->value);
    m->has_value = val.some;
    m->value = val.some && !cx->unit ? val.val : 0;
}

PM_API pm_status pm_apply(pm_map *m, const pm_edit *edits, size_t n) {
    if (pm__map_refuses(m, NULL, 0) || (n && !edits) || n > PM__LEN_MAX / (8 * sizeof *edits)) return PM_INVALID;
    pm__cx cx = pm__map_cx(m);
    if (n && pm__ops_is_refused(cx.ops)) return PM_BADHOOK;
    for (size_t i = 0; i < n; i++)
        if ((edits[i].key.len && !edits[i].key.data) || edits[i].key.len > PM__LEN_MAX) return PM_INVALID;
    if (!n) return PM_OK;
    size_t count = n, *order = (size_t *)pm__mem_alloc_big(n * sizeof *order);
    if (!order) return PM_NOMEM;
    bool fits = true;
    pm_status s = pm__batch_order(edits, &count, order) ? PM_OK : PM_NOMEM;
    size_t root = s == PM_OK && !edits[order[0]].key.len;
    if (s == PM_OK) s = pm__batch_run(m, edits, order + root, count - root, &fits);
    if (s == PM_OK && !fits) s = pm__batch_each(m, edits, order + root, count - root);
    if (s == PM_OK && root) pm__batch_root(&cx, m, edits[order[0]].val);
    pm__mem_free_big(order, n * sizeof *order);
    for (size_t i = 0; s == PM_OK && i < n; i++)
        if (edits[i].val.some) pm__pay_release(&cx, false, edits[i].val.val); /* the map has references of its own */
    return s == PM_OK ? pm__map_done(m, PM_OK) : s;
}
