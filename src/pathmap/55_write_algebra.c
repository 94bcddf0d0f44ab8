/* Algebra in place. What the focus becomes is worked out beside the map, sharing with the old focus whatever stays the
   same; a source that is small beside it goes key by key (44_map_few.c). Nothing is written before all is known that is
   to be written: so a failure changes nothing, and an identity un-shares nothing. */
#include "17_list.c"
#include "44_map_few.c"
#include "45_map_algebra.c"
#include "51_write_zipper.c"
#include "54_iterate.c"
#include "55_write_algebra.h"

static pm__operand pm__walg_operand_at(const pm_ref *r) {
    pm__operand o = {r->place, r->val};
    return o;
}

/* Writes an outcome, which is consumed, to the focus. */
static pm_status pm__walg_settle(pm_wz *w, const pm_ref *focus, pm__outcome *o, pm_prune prune, pm_alg *alg) {
    pm__cx cx = pm__wz_cx(w);
    pm_status s = PM_OK;
    bool empty = !o->root && !o->val.some, exists = focus->exists;
    pm_alg told = empty ? PM_ALG_NONE : (o->alg & PM_ALG_LEFT) ? PM_ALG_LEFT : PM_ALG_ELEMENT;
    if (told == PM_ALG_ELEMENT) s = pm__wz_assign(w, o->val, o->root);
    else pm__outcome_drop(&cx, o);
    if (told == PM_ALG_NONE && exists && (prune || !(o->alg & PM_ALG_LEFT))) s = pm__wz_empty(w, prune);
    if (s != PM_OK && told == PM_ALG_ELEMENT) pm__outcome_drop(&cx, o);
    if (s == PM_OK && alg) *alg = told;
    return pm__wz_done(w, s);
}

/* Whether the nodes on the way to the focus have no other owner. What lies below is looked at on the way there. */
static bool pm__walg_is_mine(const pm_wz *w) {
    const pm_rz *z = &w->cursor;
    pm_place p = pm__place_root(w->map->root);
    for (size_t used = 0; used < z->len;) {
        if (!pm__place_enter(&p) || !pm__ref_is_unique(p.node)) return false;
        size_t n = pm__place_down(&p, z->path + used, z->len - used);
        if (!n || !pm__ref_is_unique(p.node)) return false; /* it may be a part now */
        if (pm__ref_kind(p.node) == PM__WIDE && pm__byte_has_child(pm__place_byte(&p), p.lo) &&
            !pm__ref_count_is_one(&pm__byte_block(pm__place_byte(&p), p.lo >> 4)->rc))
            return false;
        used += n;
    }
    return true;
}

/* True if an operation cannot change the value at the focus. */
static bool pm__walg_value_stays(pm__merge_op op, const pm_ref *focus, const pm_ref *src) {
    switch (op) {
    case PM__MERGE_JOIN:
    case PM__MERGE_DIFFER: return !src->val;
    case PM__MERGE_MEET: return !focus->val;
    case PM__MERGE_SUB: return !focus->val || !src->val;
    case PM__MERGE_RESTRICT: return !focus->val || src->val;
    }
    return false; /* uncovered: these are all operations */
}

/* Joins or subtracts a source that is small against the focus, which may be edited. *done: false, and nothing changed,
   if that is for the walk. */
static pm_status pm__walg_combine_few(pm_wz *w, pm__merge_op op, const pm__operand *a, const pm__operand *b, bool *done,
                                    pm_alg *alg) {
    pm__cx cx = pm__wz_cx(w);
    pm__few f;
    pm__merge_run q;
    pm__merge_val v;
    bool below = false;
    *done = false;
    if (op != PM__MERGE_JOIN && op != PM__MERGE_SUB) return PM_OK;
    if (!pm__few_open(&f, &cx, op, &w->map->root, w->cursor.path, w->cursor.len, &a->place, &b->place)) return PM_OK;
    memset(&q, 0, sizeof q);
    q.cx = &cx;
    q.op = op;
    bool ok = pm__merge_value(&q, a->val, b->val, &v);
    bool same = ok && (v.alg & PM_ALG_LEFT) && v.some == (a->val != NULL);
    pm__wz_forget(w);
    pm_status s = ok ? pm__few_run(&f, op, done, &below) : q.status;
    pm__few_free(&f);
    if (s != PM_OK || !*done) {
        if (ok && v.fresh) pm__pay_release(&cx, false, v.val);
        return s;
    }
    if (!same) { /* the focus is the map's root */
        pm_opt old = {w->map->value, w->map->has_value};
        if (v.some && !v.fresh) pm__pay_retain(&cx, false, v.val);
        w->map->value = v.some ? v.val : 0, w->map->has_value = v.some;
        if (old.some) pm__pay_release(&cx, false, old.val);
    }
    if (alg) *alg = same && !below ? PM_ALG_LEFT : PM_ALG_ELEMENT;
    return PM_OK;
}

/* Combines the focus with a source. `alias`: the source is, or may be, a part of the writer's own map. */
static pm_status pm__walg_combine_with(pm_wz *w, pm__merge_op op, const pm_ref *src, bool alias, pm_prune prune,
                                     pm_alg *alg) {
    pm__cx cx = pm__wz_cx(w);
    pm_ref focus = pm__wz_focus(w);
    pm__operand a = pm__walg_operand_at(&focus), b = pm__walg_operand_at(src);
    pm__outcome o = {0, {0, false}, 0, 0};
    if (src->ops != cx.ops) return PM_MISMATCH;
    pm_status s;
    if (!alias && (w->cursor.len == 0 || pm__walg_value_stays(op, &focus, src)) && pm__walg_is_mine(w)) {
        bool done;
        s = pm__walg_combine_few(w, op, &a, &b, &done, alg);
        if (s != PM_OK || done) return s;
        focus = pm__wz_focus(w); /* its nodes may be others now */
        a = pm__walg_operand_at(&focus);
    }
    s = op == PM__MERGE_RESTRICT ? pm__operands_restrict(&cx, &a, &b, &o) : pm__operands_combine(&cx, op, &a, &b, &o);
    if (s != PM_OK) return s;
    bool below = pm__place_enter(&a.place);
    if ((o.alg & PM_ALG_LEFT) && (below || a.val)) { /* what the focus has is not touched */
        pm__outcome_drop(&cx, &o);
        if (alg) *alg = PM_ALG_LEFT;
        return PM_OK;
    }
    if (!pm__outcome_share(&cx, &a, &b, &o)) s = PM_NOMEM;
    return s == PM_OK ? pm__walg_settle(w, &focus, &o, prune, alg) : s;
}

/* The same; nobody may begin to share the map's nodes between the look at them and the changes. */
static pm_status pm__walg_combine(pm_wz *w, pm__merge_op op, const pm_ref *src, bool alias, pm_prune prune,
                                  pm_alg *alg) {
    pm__wz_enter(w);
    return pm__wz_left(w, pm__walg_combine_with(w, op, src, alias, prune, alg));
}

/* A source that is a zipper may stand on the writer's map. */
static pm_status pm__walg_combine_rz(pm_wz *w, pm__merge_op op, const pm_rz *src, pm_prune prune, pm_alg *alg) {
    if (pm__wz_refuses(w) || !src) return pm__wz_refusal(w);
    pm_ref r = pm_ref_of_rz(src);
    return pm__walg_combine(w, op, &r, src->top == w->map->root, prune, alg);
}

PM_API pm_status pm_wz_join(pm_wz *w, const pm_rz *src, pm_alg *alg) {
    return pm__walg_combine_rz(w, PM__MERGE_JOIN, src, PM_KEEP, alg);
}

PM_API pm_status pm_wz_join_map(pm_wz *w, const pm_map *src, pm_alg *alg) {
    if (pm__wz_refuses(w) || !src) return pm__wz_refusal(w);
    pm_ref r = pm_ref_of_map(src, NULL, 0);
    return pm__walg_combine(w, PM__MERGE_JOIN, &r, src->root == w->map->root, PM_KEEP, alg);
}

PM_API pm_status pm_wz_join_map_move(pm_wz *w, pm_map *src, pm_alg *alg) {
    if (pm__wz_refuses(w) || !src) return pm__wz_refusal(w);
    if (src == w->map) { /* moved out, it leaves an empty map, of which the focus is a place */
        bool same = w->cursor.len == 0, empty = pm_is_empty(src);
        pm_status s = same || empty ? PM_OK : pm_wz_graft_map_move(w, src);
        if (s == PM_OK && alg) *alg = empty ? PM_ALG_NONE : same ? PM_ALG_LEFT : PM_ALG_ELEMENT;
        return s;
    }
    pm_status s = pm_wz_join_map(w, src, alg);
    if (s == PM_OK) pm_drop(src);
    return s;
}

PM_API pm_status pm_wz_join_take(pm_wz *w, pm_wz *from, pm_prune prune, pm_alg *alg) {
    if (pm__wz_refuses(w) || w == from) return pm__wz_refusal(w);
    if (pm__wz_refuses(from)) return pm__wz_done(w, pm__wz_refusal(from));
    /* A group of one of them alone could undo its half of the change, or show the other half before. */
    if (w->map != from->map && pm__wz_is_grouped(w) != pm__wz_is_grouped(from)) return pm__wz_done(w, PM_INVALID);
    pm_ref src = pm__wz_focus(from);
    pm_alg told;
    bool any = src.exists;
    pm__wz_enter_both(w, from); /* no reader may see what is in both, or in neither */
    pm_status s = pm__walg_combine(w, PM__MERGE_JOIN, &src, from->map->root == w->map->root, PM_KEEP, &told);
    if (s == PM_OK) {
        if (from->map == w->map) pm__wz_forget(from); /* what it knows of the map has changed under it */
        if (any) s = pm__wz_done(w, pm__wz_done(from, pm__wz_empty(from, prune)));
    }
    pm__wz_leave(from);
    pm__wz_leave(w);
    if (s != PM_OK) return s;
    if (alg) *alg = told;
    return PM_OK;
}

PM_API pm_status pm_wz_meet(pm_wz *w, const pm_rz *src, pm_prune prune, pm_alg *alg) {
    return pm__walg_combine_rz(w, PM__MERGE_MEET, src, prune, alg);
}

PM_API pm_status pm_wz_subtract(pm_wz *w, const pm_rz *src, pm_prune prune, pm_alg *alg) {
    return pm__walg_combine_rz(w, PM__MERGE_SUB, src, prune, alg);
}

PM_API pm_status pm_wz_restrict(pm_wz *w, const pm_rz *src, pm_alg *alg) {
    return pm__walg_combine_rz(w, PM__MERGE_RESTRICT, src, PM_KEEP, alg);
}

/* Makes maps of what is at and below the focus of the writer, which exists or not, and of a source. */
static pm_status pm__walg_operands(pm_wz *w, const pm_ref *focus, const pm_rz *src, pm_map *own, pm_map *theirs) {
    pm__cx cx = pm__wz_cx(w);
    pm_status s = pm_rz_make_map(src, theirs);
    if (s != PM_OK) return s;
    s = pm_map_ops(theirs) == cx.ops ? pm__map_of_place(&cx, &focus->place, focus->val, own) : PM_MISMATCH;
    if (s != PM_OK) pm_drop(theirs);
    return s;
}

/* Puts the content of a map, which is moved, in the place of the focus. `same`: it is what is there. */
static pm_status pm__walg_put(pm_wz *w, const pm_ref *focus, const pm_map *m, bool same, pm_alg *alg) {
    pm__outcome o = {.root = m->root, .val = {m->value, m->has_value}, .alg = same ? PM_ALG_LEFT : PM_ALG_NONE};
    return pm__walg_settle(w, focus, &o, PM_KEEP, alg);
}

PM_API pm_status pm_wz_meet_2(pm_wz *w, const pm_rz *a, const pm_rz *b, pm_alg *alg) {
    if (pm__wz_refuses(w) || !a || !b) return pm__wz_refusal(w);
    pm_ref focus = pm__wz_focus(w);
    pm_map old, x, y = pm_new(NULL, NULL), both = y;
    bool same = false;
    pm_status s = pm__walg_operands(w, &focus, a, &old, &x);
    if (s != PM_OK) return pm__wz_done(w, s);
    s = pm_rz_make_map(b, &y);
    if (s == PM_OK) s = pm_meet(&x, &y, &both, NULL);
    if (s == PM_OK) s = pm_equal(&both, &old, &same);
    pm_drop(&y);
    pm_drop(&x);
    pm_drop(&old);
    if (s == PM_OK) return pm__walg_put(w, &focus, &both, same, alg);
    pm_drop(&both);
    return pm__wz_done(w, s);
}

PM_API pm_status pm_wz_restricting(pm_wz *w, const pm_rz *src, bool *found) {
    if (pm__wz_refuses(w) || !src) return pm__wz_refusal(w);
    pm_ref focus = pm__wz_focus(w);
    pm_map old, theirs, made = pm_new(NULL, NULL);
    bool both = focus.exists && pm_rz_exists(src);
    pm_status s = pm__walg_operands(w, &focus, src, &old, &theirs);
    if (s != PM_OK) return pm__wz_done(w, s);
    if (both) s = pm_restrict(&theirs, &old, &made, NULL);
    pm_drop(&theirs);
    pm_drop(&old);
    if (both && s == PM_OK) s = pm__walg_put(w, &focus, &made, false, NULL);
    if (s == PM_OK && found) *found = both;
    return pm__wz_done(w, s);
}

/* ---- dropping k bytes: a fold over the places on the way down, which goes through what is shared once ----------- */

/* A place whose children are being gone through. */
typedef struct pm__drop_frame {
    pm_place place; /* entered */
    pm_mask mask;   /* of the children still to come */
    size_t left;    /* bytes still to be dropped */
    size_t base;    /* what was found below it lies on the stack from here on */
} pm__drop_frame;

typedef struct pm__drop {
    const pm__cx *cx;
    pm__merge_op op;
    pm__list frames, found; /* found: tries; 0: a place without a branch */
    pm__memo known;         /* (node, bytes left) to what was found, one more than the reference; 0: nothing */
} pm__drop;

/* The reference is consumed. */
static pm_status pm__drop_found(pm__drop *d, pm__ref r) {
    if (pm__list_put(&d->found, &r, 1)) return PM_OK;
    pm__any_release(d->cx, r);
    return PM_NOMEM;
}

/* Goes down from a place, `left` bytes, as long as there is one way only; then it has a finding, or a new frame. */
static pm_status pm__drop_enter(pm__drop *d, pm_place p, size_t left) {
    pm_mask m = {{0, 0, 0, 0}};
    pm__ref r;
    for (; left; left--) {
        if (!pm__place_enter(&p)) return PM_OK;
        m = pm__place_mask_entered(&p);
        if (pm_mask_count(&m) != 1) break;
        uint8_t b = (uint8_t)pm_mask_next(&m, 0);
        (void)pm__place_down(&p, &b, 1);
    }
    if (left == 0) return pm__place_share(d->cx, &p, &r) ? pm__drop_found(d, r) : PM_NOMEM;
    const uint64_t *known = p.depth || pm__ref_is_unique(p.node) ? NULL : pm__memo_get(&d->known, p.node, left);
    if (known && !*known) return PM_OK;
    if (known) {
        pm__ref_retain(*known - 1);
        return pm__drop_found(d, *known - 1);
    }
    pm__drop_frame f = {p, m, left, d->found.used};
    return pm__list_put(&d->frames, &f, 1) ? PM_OK : PM_NOMEM;
}

/* Ends the top frame: all that was found below it becomes one. */
static pm_status pm__drop_end(pm__drop *d) {
    const pm__drop_frame *f = (const pm__drop_frame *)pm__list_pop(&d->frames);
    size_t n = d->found.used - f->base;
    pm__ref *found = (pm__ref *)pm__list_at(&d->found, f->base), r = n ? found[0] : 0;
    if (n > 1) {
        pm_status s = pm__many_run(d->cx, d->op, found, n, &r);
        if (s != PM_OK) return s;
        for (size_t i = 0; i < n; i++) pm__any_release(d->cx, found[i]);
        found[0] = r;
        d->found.used = f->base + 1;
    }
    if (f->place.depth || pm__ref_is_unique(f->place.node)) return PM_OK;
    if (!pm__memo_put(&d->known, f->place.node, f->left, n ? r + 1 : 0)) return PM_NOMEM;
    if (n) pm__ref_retain(r); /* the memo's */
    return PM_OK;
}

/* Finds what lies k > 0 bytes below a place, folded into one. */
static pm_status pm__drop_run(pm__drop *d, pm_place p, size_t k) {
    pm_status s = pm__drop_enter(d, p, k);
    while (s == PM_OK && d->frames.used) {
        pm__drop_frame *f = (pm__drop_frame *)pm__list_at(&d->frames, d->frames.used - 1);
        int c = pm_mask_next(&f->mask, 0);
        if (c < 0) {
            s = pm__drop_end(d);
            continue;
        }
        uint8_t b = (uint8_t)c;
        pm_place child = f->place;
        pm_mask_clear(&f->mask, b);
        (void)pm__place_down(&child, &b, 1);
        s = pm__drop_enter(d, child, f->left - 1);
    }
    return s;
}

static pm_status pm__walg_drop_bytes(pm_wz *w, pm__merge_op op, size_t k, pm_prune prune, bool *found) {
    pm__cx cx = pm__wz_cx(w);
    pm_ref focus = pm__wz_focus(w);
    pm__drop d = {&cx, op, pm__list_of(sizeof(pm__drop_frame)), pm__list_of(sizeof(pm__ref)), {NULL, 0, 0}};
    pm_mask kids = pm_ref_child_mask(&focus);
    bool had = !pm_mask_is_empty(&kids), some = focus.val != NULL;
    pm_status s = k ? pm__drop_run(&d, focus.place, k) : PM_OK;
    const pm__ref *found_at = (const pm__ref *)(const void *)d.found.data;
    pm__ref root = s == PM_OK && d.found.used ? found_at[0] : 0;
    if (s == PM_OK) some = some || (k ? root != 0 : had);
    for (size_t i = root ? 1 : 0; i < d.found.used; i++) pm__any_release(&cx, found_at[i]);
    for (size_t i = 0; i < d.known.cap; i++)
        if (d.known.slots[i].a && d.known.slots[i].val) pm__any_release(&cx, d.known.slots[i].val - 1);
    pm__memo_free(&d.known);
    pm__list_free(&d.found);
    pm__list_free(&d.frames);
    if (s == PM_OK && k && had) {
        if (some) s = pm__wz_give_below(w, w->cursor.len, root);
        else s = pm__wz_empty(w, prune);
    } else if (s == PM_OK && prune && focus.exists && !some) {
        s = pm__wz_empty(w, PM_PRUNE);
    }
    if (s == PM_OK && found) *found = some;
    return pm__wz_done(w, s);
}

PM_API pm_status pm_wz_join_k_path(pm_wz *w, size_t k, pm_prune prune, bool *found) {
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    return pm__walg_drop_bytes(w, PM__MERGE_JOIN, k, prune, found);
}

PM_API pm_status pm_wz_meet_k_path(pm_wz *w, size_t k, pm_prune prune, bool *found) {
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    return pm__walg_drop_bytes(w, PM__MERGE_MEET, k, prune, found);
}
