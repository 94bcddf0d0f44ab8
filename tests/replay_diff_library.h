/* Differences in `replay`, on the library. Included by replay_library.c. */
#ifndef REPLAY_DIFF_LIBRARY_H
#define REPLAY_DIFF_LIBRARY_H

#include "replay_diff.h"

static bool print_pm_change(void *ctx, const pm_change *c) {
    bool had = c->before.some || c->dangled, has = c->after.some || c->dangles;
    pm_change_kind kind = had && has ? PM_CHANGED : had ? PM_REMOVED : PM_ADDED;
    must_agree(ctx, c->kind == kind, "the kind of a change is wrong");
    print_change(ctx, (model_key){c->key, c->len}, c->before.some ? &c->before.val : NULL,
                 c->after.some ? &c->after.val : NULL, c->dangled, c->dangles);
    return true;
}

/* Makes the patch of two maps, directly or by way of a third one. */
static pm_status patch_of(const pm_map *old, const pm_map *now, const pm_map *third, uint64_t way, pm_patch *out) {
    pm_patch first, then;
    pm_status st = pm_patch_make(way % 3 ? old : now, way % 3 == 0 ? old : way % 3 == 1 ? now : third, out);
    if (st != PM_OK || way % 3 == 1) return st;
    if (way % 3 == 0) {
        pm_patch_invert(out);
        return st;
    }
    first = *out;
    st = pm_patch_make(third, now, &then);
    if (st == PM_OK) st = pm_patch_compose(&first, &then, way % 2 ? &first : out);
    if (st == PM_OK && way % 2) *out = first;
    else pm_patch_drop(&first);
    pm_patch_drop(&then);
    return st;
}

static size_t count_items(const pm_patch *p) {
    size_t items = 0;
    pm_change c;
    for (size_t i = 0; pm_patch_at(p, i, &c); i++)
        items += (size_t)(c.dangled != c.dangles) +
                 (c.before.some != c.after.some || (c.before.some && c.before.val != c.after.val));
    return items;
}

ON(diff) {
    const pm_map *m = map_of(s, a, 0), *n = map_of(s, a, 1);
    model_bytes text = {0}, again = {0};
    if (!fine(out, pm_diff(m, n, print_pm_change, &text))) return false;
    pm_patch p;
    if (a->variant % 2) {
        pm_diff_iter i = pm_diff_iter_over(m, n);
        while (pm_diff_iter_next(&i)) print_pm_change(&again, &i.change);
        if (!fine(out, pm_diff_iter_status(&i))) return false;
    } else {
        pm_change c;
        if (!fine(out, patch_of(m, n, &s->map[(a->map[0] + 1) % REPLAY_MAPS], a->variant / 2, &p))) return false;
        for (size_t i = 0; pm_patch_at(&p, i, &c); i++) print_pm_change(&again, &c);
        pm_patch_drop(&p);
    }
    must_agree(out, text.len == again.len && !(text.len && memcmp(text.data, again.data, text.len)), "diffs disagree");
    model_bytes_append(out, text.data, text.len);
    if (!text.len) replay_print(out, "none");
    model_bytes_free(&text);
    model_bytes_free(&again);
    return true;
}

ON(patch) {
    pm_patch p;
    pm_map made = pm_clone(map_of(s, a, 1));
    if (!fine(out, patch_of(map_of(s, a, 2), map_of(s, a, 3), map_of(s, a, 1), a->variant, &p))) return false;
    size_t items = count_items(&p);
    if (!fine(out, pm_patch_apply(&p, &made))) return false;
    pm_patch_drop(&p);
    put_map(s, a->map[0], made);
    return say(out, items);
}

typedef struct ruling {
    unsigned rule, asked;
} ruling;

static pm_merge_pick pick_by_rule(void *ctx, const pm_merge_conflict *c, pm_val *val) {
    static const pm_merge_pick picks[] = {PM_PICK_BASE, PM_PICK_OURS, PM_PICK_THEIRS};
    ruling *r = ctx;
    const pm_opt *of = r->rule == 0 ? &c->base : r->rule == 1 ? &c->ours : &c->theirs;
    if (r->asked++ % 2) return picks[r->rule];
    *val = of->val;
    return of->some ? PM_PICK_VALUE : PM_PICK_NONE;
}

ON(merge3) {
    pm_map made;
    size_t conflicts = 0;
    ruling r = {a->rule, a->variant % 2};
    pm_status st = pm_merge3(map_of(s, a, 1), map_of(s, a, 2), map_of(s, a, 3), pick_by_rule, &r, &made, &conflicts);
    if (!fine(out, st)) return false;
    must_agree(out, r.asked == conflicts + a->variant % 2, "conflicts are miscounted");
    put_map(s, a->map[0], made);
    return say(out, conflicts);
}

#endif
