/* More operations for test_oom.c: order, ranges, and changes of many keys. */
#ifndef OOM_OPERATIONS_ORDER_H
#define OOM_OPERATIONS_ORDER_H

#include "oom_operations_more.h"

/* Ends an item that was to hold a key. Nothing may be found without memory. */
static pm_status end_item(world *w, pm_status s, pm_item *i, bool owned) {
    if (s != PM_OK) CHECK(!i->found);
    if (owned && i->found && w->kind == COUNTED) counted_release(i->val);
    pm_item_drop(i);
    return s;
}

static pm_status op_nearest(world *w) {
    pm_item i = {0};
    return end_item(w, pm_nearest(&w->m, w->shared ? PM_GE : PM_LT, w->key, w->len, &i), &i, false);
}

static pm_status op_first_last(world *w) {
    pm_item i = {0};
    pm_status s = pm_first(&w->m, &i);
    if (s == PM_OK) s = pm_last(&w->m, &i);
    return end_item(w, s, &i, false);
}

static pm_status op_pop_first(world *w) {
    pm_item i = {0};
    return end_item(w, pm_pop_first(&w->m, &i), &i, true);
}

static pm_status op_pop_last(world *w) {
    pm_item i = {0};
    return end_item(w, pm_pop_last(&w->m, &i), &i, true);
}

static pm_status op_nth(world *w) {
    pm_item i = {0};
    return end_item(w, pm_nth(&w->m, w->len % 7, &i), &i, false);
}

static pm_status op_common_prefix(world *w) {
    pm_item i = {0};
    return end_item(w, pm_common_prefix(&w->m, w->key, w->len / 2, &i), &i, false);
}

/* ---- changes that look at what is there ---- */

static pm_status make_other(void *ctx, pm_opt *val) {
    val->val = value(*(const kind *)ctx);
    val->some = true;
    return PM_OK;
}

static pm_status make_none(void *ctx, pm_opt *val) {
    (void)ctx;
    val->some = false;
    return PM_OK;
}

static pm_status op_update(world *w) { return pm_update(&w->m, w->key, w->len, make_other, &w->kind); }
static pm_status op_update_away(world *w) { return pm_update(&w->m, w->key, w->len, make_none, NULL); }

static pm_status op_set_if(world *w) {
    const pm_val *now = pm_get(&w->m, w->key, w->len);
    bool changed = false;
    pm_opt was = {now ? *now : 0, now != NULL}, v = {value(w->kind), true};
    pm_status s = pm_set_if(&w->m, w->key, w->len, was, v, &changed);
    CHECK(changed == (s == PM_OK));
    return keep_value(w->kind, s, v.val);
}

static pm_status op_wz_write_at(world *w) {
    pm_wz z;
    pm_opt old = {77, true};
    size_t up = w->len / 3;
    pm_status s = pm_wz_open(&w->m, w->key, up, &z);
    if (s != PM_OK) return s;
    if (w->shared) {
        pm_val v = value(w->kind);
        s = keep_value(w->kind, pm_wz_set_at(&z, w->key + up, w->len - up, v, NULL), v);
    } else {
        s = pm_wz_remove_at(&z, w->key + up, w->len - up, PM_PRUNE, &old);
        if (s != PM_OK) CHECK(old.some && old.val == 77);
        else if (old.some && w->kind == COUNTED) counted_release(old.val);
    }
    CHECK_EQ(pm_rz_status(pm_wz_cursor(&z)), PM_OK);
    CHECK_EQ(pm_wz_drop(&z), s);
    return s;
}

/* All places at once: every third goes, all others are set; the one in question twice. */
static pm_status op_apply(world *w) {
    pm_edit e[PLACES + 1];
    pm_val v[PLACES + 1];
    const size_t n = PLACES + 1;
    for (size_t i = 0; i < n; i++) {
        pm_key k = {w->key, w->len};
        if (i < PLACES) k = (pm_key){places[i].data, places[i].len};
        v[i] = value(w->kind);
        e[i] = (pm_edit){k, {v[i], (i + w->len) % 3 != 0}};
        if (!e[i].val.some && w->kind == COUNTED) counted_release(v[i]);
    }
    pm_status s = pm_apply(&w->m, e, n);
    for (size_t i = 0; i < n; i++)
        if (e[i].val.some) (void)keep_value(w->kind, s, v[i]);
    return s;
}

/* ---- ranges ---- */

/* A range around, or up to, the place. */
typedef struct range {
    pm_key from, to;
} range;

static range range_of(const world *w) { return (range){{w->key, w->len / 2}, {w->key, w->len}}; }

static pm_status op_range_count(world *w) {
    range r = range_of(w);
    uint64_t n = 77;
    pm_status s = pm_range_count(&w->m, &r.from, w->shared ? NULL : &r.to, &n);
    if (s != PM_OK) CHECK_EQ(n, 77);
    return s;
}

static pm_status op_prefix_count(world *w) {
    uint64_t n = 77;
    pm_status s = pm_prefix_count(&w->m, w->key, w->len / 2, &n);
    if (s != PM_OK) CHECK_EQ(n, 77);
    return s;
}

static pm_status op_rank(world *w) {
    uint64_t n = 77;
    pm_status s = pm_rank(&w->m, w->key, w->len, &n);
    if (s != PM_OK) CHECK_EQ(n, 77);
    return s;
}

static pm_status op_subrange(world *w) {
    range r = range_of(w);
    pm_map mark = w->out;
    pm_status s = pm_subrange(&w->m, &r.from, w->shared ? &r.to : NULL, &w->out);
    if (s != PM_OK) CHECK(memcmp(&mark, &w->out, sizeof mark) == 0);
    return s;
}

static pm_status op_remove_range(world *w) {
    range r = range_of(w);
    return pm_remove_range(&w->m, &r.from, w->shared ? &r.to : NULL);
}

static pm_status op_keep_range(world *w) {
    range r = range_of(w);
    return pm_keep_range(&w->m, &r.from, &r.to);
}

static pm_status op_split(world *w) {
    pm_map mark = w->out;
    pm_status s = pm_split(&w->m, w->key, w->len, &w->out);
    if (s != PM_OK) CHECK(memcmp(&mark, &w->out, sizeof mark) == 0);
    return s;
}

static pm_status op_concat(world *w) {
    pm_key at = {w->key, w->len};
    pm_map before, after, mark = w->out;
    pm_status s = pm_subrange(&w->m, NULL, &at, &before);
    if (s != PM_OK) return s;
    s = pm_subrange(&w->m, &at, NULL, &after);
    if (s == PM_OK) {
        s = pm_concat(&before, &after, &w->out);
        if (s != PM_OK) CHECK(memcmp(&mark, &w->out, sizeof mark) == 0);
        pm_drop(&after);
    }
    pm_drop(&before);
    return s;
}

#endif
