/* Algebra on maps: the root values, which live in the handles, and what lies below them (38_merge_walk.c). */
#include "38_merge_walk.c"
#include "40_map.c"
#include "45_map_algebra.h"

/* A map seen as an operand: what lies strictly below a place, and the value at it. */
typedef struct pm__operand {
    pm_place place;
    const pm_val *val;
} pm__operand;

static pm__operand pm__operand_of(const pm_map *m) {
    pm__operand o = {pm__place_root(m->root), m->has_value ? &m->value : NULL};
    return o;
}

/* A trie made by an operation, and which operands it equals. */
typedef struct pm__outcome {
    pm__ref root;  /* made anew, or shared (pm__outcome_share) */
    pm_opt val;
    uint8_t below; /* the result for what lies below */
    unsigned alg;  /* LEFT and RIGHT bits */
} pm__outcome;

static void pm__outcome_drop(const pm__cx *cx, const pm__outcome *o) {
    pm__any_release(cx, o->root);
    if (o->val.some) pm__pay_release(cx, false, o->val.val);
}

/* Gives an outcome that equals an operand below a reference of its own. False: no memory; the outcome is dropped. */
static bool pm__outcome_share(const pm__cx *cx, const pm__operand *a, const pm__operand *b, pm__outcome *o) {
    const pm__operand *from = (o->below & PM_ALG_LEFT) ? a : b;
    if (o->below == PM_ALG_ELEMENT || o->below == PM_ALG_NONE) return true;
    if (pm__place_share(cx, &from->place, &o->root)) return true;
    pm__outcome_drop(cx, o);
    return false;
}

/* Join, meet and subtract at and below two places. On success the caller owns what `out` names; what equals an operand
   below is not shared yet. */
static pm_status pm__operands_combine(const pm__cx *cx, pm__merge_op op, const pm__operand *a, const pm__operand *b,
                                      pm__outcome *out) {
    pm__merge_run q;
    pm__merge_val v;
    pm__merge_answer below;
    memset(&q, 0, sizeof q);
    q.cx = cx;
    q.op = op;
    if (!pm__merge_value(&q, a->val, b->val, &v)) return q.status;
    pm_status s = pm__pairs_run(cx, op, &a->place, &b->place, &below);
    if (s != PM_OK) {
        if (v.fresh) pm__pay_release(cx, false, v.val);
        return s;
    }
    if (v.some && !v.fresh) pm__pay_retain(cx, false, v.val);
    out->root = below.alg == PM_ALG_ELEMENT ? below.ref : 0;
    out->below = below.alg;
    out->val.some = v.some;
    out->val.val = v.val;
    out->alg = v.some || !(a->val && b->val) ? v.alg : 0;
    out->alg &= below.alg < PM_ALG_ELEMENT ? below.alg : 0u;
    return PM_OK;
}

/* The map that an outcome is. */
static pm_map pm__outcome_map(const pm__cx *cx, const pm__outcome *o) {
    pm_map m = {o->root, o->val.some ? o->val.val : 0, cx->ops, cx->pool, o->val.some, 0, 0};
    return m;
}

/* Restriction: a value at the right root keeps the left as it is. Whether the result equals the right as well is asked
   for last, as values on the right count for nothing before. */
static pm_status pm__operands_restrict(const pm__cx *cx, const pm__operand *a, const pm__operand *b,
                                       pm__outcome *out) {
    pm__merge_answer below = {PM_ALG_LEFT, 0};
    pm_status s = b->val ? PM_OK : pm__pairs_run(cx, PM__MERGE_RESTRICT, &a->place, &b->place, &below);
    if (s != PM_OK) return s;
    out->root = below.alg == PM_ALG_ELEMENT ? below.ref : 0;
    out->below = below.alg;
    out->val.some = a->val && b->val;
    out->val.val = out->val.some ? *a->val : 0;
    if (out->val.some) pm__pay_retain(cx, false, out->val.val);
    bool left = below.alg < PM_ALG_ELEMENT && (below.alg & PM_ALG_LEFT);
    out->alg = left && (b->val || !a->val) ? PM_ALG_LEFT : 0;
    return PM_OK;
}

static pm_alg pm__alg_named(const pm_map *m, unsigned same) {
    if (pm_is_empty(m)) return PM_ALG_NONE;
    return same ? (pm_alg)same : PM_ALG_ELEMENT;
}

static pm_status pm__maps_combine(pm__merge_op op, const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    pm__cx cx = pm__map_cx(a);
    pm__operand x = pm__operand_of(a), y = pm__operand_of(b);
    pm__outcome o = {0, {0, false}, 0, 0};
    if (pm_map_ops(b) != cx.ops) return PM_MISMATCH;
    pm_status s = pm__operands_combine(&cx, op, &x, &y, &o);
    if (s == PM_OK && !pm__outcome_share(&cx, &x, &y, &o)) s = PM_NOMEM;
    if (s != PM_OK) return s;
    pm_map m = pm__outcome_map(&cx, &o);
    pm__map_give(out, &m, out == a || out == b);
    if (alg) *alg = pm__alg_named(out, o.alg);
    return pm__map_done(out, PM_OK);
}

PM_API pm_status pm_join(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    if (!a || !b || !out) return PM_INVALID;
    return pm__maps_combine(PM__MERGE_JOIN, a, b, out, alg);
}

PM_API pm_status pm_meet(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    if (!a || !b || !out) return PM_INVALID;
    return pm__maps_combine(PM__MERGE_MEET, a, b, out, alg);
}

PM_API pm_status pm_subtract(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    if (!a || !b || !out) return PM_INVALID;
    return pm__maps_combine(PM__MERGE_SUB, a, b, out, alg);
}

/* Finishes an operation whose statuses did not come with it: asks which operands the result equals. */
static pm_status pm__maps_finish(pm_map *m, const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    bool same_a = false, same_b = false;
    pm_status s = PM_OK;
    if (alg) s = pm_equal(m, a, &same_a);
    if (alg && s == PM_OK) s = pm_equal(m, b, &same_b);
    if (s != PM_OK) {
        pm_drop(m);
        return s;
    }
    pm__map_give(out, m, out == a || out == b);
    if (alg) *alg = pm__alg_named(m, (same_a ? (unsigned)PM_ALG_LEFT : 0) | (same_b ? (unsigned)PM_ALG_RIGHT : 0));
    return pm__map_done(out, PM_OK);
}

PM_API pm_status pm_restrict(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    if (!a || !b || !out) return PM_INVALID;
    pm__cx cx = pm__map_cx(a);
    pm__operand x = pm__operand_of(a), y = pm__operand_of(b);
    pm__outcome o = {0, {0, false}, 0, 0};
    if (pm_map_ops(b) != cx.ops) return PM_MISMATCH;
    pm_status s = pm__operands_restrict(&cx, &x, &y, &o);
    if (s == PM_OK && !pm__outcome_share(&cx, &x, &y, &o)) s = PM_NOMEM;
    if (s != PM_OK) return s;
    pm_map m = pm__outcome_map(&cx, &o);
    return pm__maps_finish(&m, a, b, out, alg);
}

PM_API pm_status pm_symmetric_difference(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    if (!a || !b || !out) return PM_INVALID;
    return pm__maps_combine(PM__MERGE_DIFFER, a, b, out, alg);
}

/* ---- many ---------------------------------------------------------------------------------------------------- */

/* The root values of all maps, combined in order; the caller owns what *out names. */
static pm_status pm__maps_values(const pm__cx *cx, pm__merge_op op, const pm_map *const *maps, size_t n, pm_opt *out) {
    pm__merge_run q;
    pm__merge_val r;
    memset(&q, 0, sizeof q);
    q.cx = cx;
    q.op = op;
    pm_opt v = {maps[0]->value, maps[0]->has_value};
    if (v.some) pm__pay_retain(cx, false, v.val);
    for (size_t i = 1; i < n; i++) {
        bool ok = pm__merge_value(&q, v.some ? &v.val : NULL, maps[i]->has_value ? &maps[i]->value : NULL, &r);
        if (ok && r.some && !r.fresh) pm__pay_retain(cx, false, r.val);
        if (v.some) pm__pay_release(cx, false, v.val);
        if (!ok) return q.status;
        v.val = r.val, v.some = r.some;
    }
    *out = v;
    return PM_OK;
}

/* Which of many operands a result equals first; n: none. */
static pm_status pm__maps_which(const pm_map *m, const pm_map *const *maps, size_t n, size_t *which) {
    bool same = false;
    size_t i = 0;
    for (; i < n; i++) {
        pm_status s = pm_equal(m, maps[i], &same);
        if (s != PM_OK) return s;
        if (same) break;
    }
    *which = i;
    return PM_OK;
}

static pm_status pm__maps_many(pm__merge_op op, const pm_map *const *maps, size_t n, pm_map *out, size_t *which) {
    pm__outcome o = {0, {0, false}, PM_ALG_ELEMENT, 0};
    if (n == 0 || n > PM__LEN_MAX / sizeof *maps || !maps || !out) return PM_INVALID;
    for (size_t i = 0; i < n; i++)
        if (!maps[i]) return PM_INVALID;
    pm__cx cx = pm__map_cx(maps[0]);
    for (size_t i = 1; i < n; i++)
        if (pm_map_ops(maps[i]) != cx.ops) return PM_MISMATCH;
    if (n > SIZE_MAX / sizeof(pm__ref)) return PM_NOMEM;
    pm__ref *roots = (pm__ref *)pm__mem_alloc_big(n * sizeof *roots);
    if (!roots) return PM_NOMEM;
    for (size_t i = 0; i < n; i++) roots[i] = maps[i]->root;
    pm_status s = pm__maps_values(&cx, op, maps, n, &o.val);
    if (s == PM_OK) {
        s = pm__many_run(&cx, op, roots, n, &o.root);
        if (s != PM_OK && o.val.some) pm__pay_release(&cx, false, o.val.val);
    }
    pm__mem_free_big(roots, n * sizeof *roots);
    if (s != PM_OK) return s;
    pm_map m = pm__outcome_map(&cx, &o);
    size_t first = n;
    if (which) s = pm__maps_which(&m, maps, n, &first);
    if (s != PM_OK) {
        pm_drop(&m);
        return s;
    }
    bool operand = false;
    for (size_t i = 0; i < n; i++) operand = operand || out == maps[i];
    pm__map_give(out, &m, operand);
    if (which) *which = first;
    return pm__map_done(out, PM_OK);
}

PM_API pm_status pm_join_many(const pm_map *const *maps, size_t n, pm_map *out, size_t *which) {
    return pm__maps_many(PM__MERGE_JOIN, maps, n, out, which);
}

PM_API pm_status pm_meet_many(const pm_map *const *maps, size_t n, pm_map *out, size_t *which) {
    return pm__maps_many(PM__MERGE_MEET, maps, n, out, which);
}
