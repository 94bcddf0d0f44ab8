/* Ranges of maps. All of it is made of one step: what of a trie comes before a key, or from it on. The nodes on the way
   to the key are built anew, from the last one up, with what else they hold of that side shared. What is to be put
   together is joined: sides that have only their borders in common are soon joined. */
#include "45_map_algebra.c"
#include "47_map_order.c"
#include "48_map_range.h"

/* A node on the way to a bound, which leads on at a position. */
typedef struct pm__range_step {
    pm__ref node;
    unsigned at;
} pm__range_step;

/* What is taken of a node: the positions in [lo, hi), of which `at` leads to `child` instead, or goes if that is 0. */
typedef struct pm__range_part {
    unsigned lo, hi, at;
    pm__ref child;
} pm__range_part;

enum { PM__RANGE_NOWHERE = 1000 }; /* no position */

/* Lists the positions of a part. Returns how many there are. */
static unsigned pm__range_list(pm__ref r, const pm__range_part *p, pm__ent *ents) {
    pm__ent all[PM__LINE_ENTRIES];
    unsigned n = 0;
    const bool line = pm__order_line(r);
    if (line) pm__line_decode((const pm__line *)pm__ref_ptr(r), all);
    for (int at = pm__order_next(r, p->lo); at >= 0 && (unsigned)at < p->hi; at = pm__order_next(r, (unsigned)at + 1)) {
        pm__ref below;
        const pm_val *val = line ? NULL : pm__order_look(r, (unsigned)at, &below);
        uint8_t b = (uint8_t)(at >> 1);
        pm__ent e = line ? all[at] : pm__ent_make(&b, 1, !val, val ? *val : below);
        e.fresh = (unsigned)at == p->at;
        if (e.fresh && !p->child) continue;
        if (e.fresh) e.pay = p->child;
        ents[n++] = e;
    }
    return n;
}

/* Makes a node of a part of one, in *out; 0: nothing is in it. Takes over the reference to p->child. False: no
   memory. */
static bool pm__range_build(const pm__cx *cx, pm__ref r, const pm__range_part *p, pm__ref *out) {
    pm__ent ents[512];
    pm__ref below = 0;
    if (p->at != PM__RANGE_NOWHERE) (void)pm__order_look(r, p->at, &below);
    bool all = pm__order_prev(r, p->lo) < 0 && pm__order_next(r, p->hi) < 0;
    *out = r;
    if (all && (p->at == PM__RANGE_NOWHERE || below == p->child)) { /* as it is */
        pm__ref_retain(r);
        pm__any_release(cx, p->child);
        return true;
    }
    unsigned n = pm__range_list(r, p, ents);
    *out = 0;
    if (!n) return true;
    const pm__line *x = pm__order_line(r) ? (const pm__line *)pm__ref_ptr(r) : NULL;
    *out = pm__build_nodes(cx, x ? pm__line_heap(x) : NULL, x ? x->plen : 0, ents, n, 0);
    if (!*out) {
        pm__any_release(cx, p->child);
        return false;
    }
    for (unsigned i = 0; i < n; i++)
        if (!ents[i].fresh) pm__pay_retain(cx, ents[i].child, ents[i].pay);
    (void)pm__build_gather(cx, out, PM__GATHER_TINY);
    return true;
}

/* What of a trie comes from a key on, or before it: a reference of its own in *out; 0: nothing. False: no memory. */
static bool pm__range_half(const pm__cx *cx, pm__ref r, const uint8_t *s, size_t len, bool from, pm__ref *out) {
    pm__list way = pm__list_of(sizeof(pm__range_step));
    pm__ref made = 0;
    bool ok = true, bottom = false;
    while (ok && r && !bottom) {
        pm__order_seek k = pm__order_seek_in(r, s, len);
        pm__range_step step = {r, k.at};
        bottom = !k.on;
        if (bottom) {
            pm__range_part p = {from ? k.at : 0, from ? pm__order_end(r) : k.at, PM__RANGE_NOWHERE, 0};
            ok = pm__range_build(cx, r, &p, &made);
        } else {
            ok = pm__list_put(&way, &step, 1);
            s += k.used, len -= k.used;
            r = k.on;
        }
    }
    while (way.used) {
        const pm__range_step *step = (const pm__range_step *)pm__list_pop(&way);
        pm__range_part p = {from ? step->at : 0, from ? pm__order_end(step->node) : step->at + 1, step->at, made};
        if (ok) ok = pm__range_build(cx, step->node, &p, &made);
    }
    pm__list_free(&way);
    *out = made;
    return ok;
}

/* A map that holds what of a trie is in a range, and no value at the root. */
static pm_status pm__range_of(const pm__cx *cx, pm__ref r, const pm_key *from, const pm_key *to, pm_map *out) {
    pm_map m = pm_new(NULL, NULL);
    m.ops = cx->ops, m.pool = cx->pool;
    bool ok = true;
    pm__ref_retain(r);
    for (int side = 0; ok && side < 2; side++) {
        const pm_key *k = side ? to : from;
        pm__ref half;
        if (!k) continue;
        ok = pm__range_half(cx, r, (const uint8_t *)k->data, k->len, k == from && !side, &half);
        pm__any_release(cx, r);
        r = ok ? half : 0;
    }
    m.root = r;
    *out = m;
    return ok ? PM_OK : PM_NOMEM;
}

static PM__INLINE bool pm__range_bad(const pm_key *k) { return k && ((k->len && !k->data) || k->len > PM__LEN_MAX); }

/* Whether the empty key is in a range. */
static PM__INLINE bool pm__range_has_root(const pm_key *from, const pm_key *to) {
    return (!from || !from->len) && (!to || to->len);
}

PM_API pm_status pm_subrange(const pm_map *m, const pm_key *from, const pm_key *to, pm_map *out) {
    if (pm__map_bad(m, NULL, 0) || pm__range_bad(from) || pm__range_bad(to) || !out) return PM_INVALID;
    pm__cx cx = pm__map_cx(m);
    pm_map made;
    if (out == m) pm__map_own(m);
    pm_status s = pm__range_of(&cx, m->root, from, to, &made);
    if (s != PM_OK) return s;
    made.has_value = m->has_value && pm__range_has_root(from, to);
    if (made.has_value) {
        made.value = m->value;
        pm__pay_retain(&cx, false, made.value);
    }
    pm__map_give(out, &made, out == m);
    return pm__map_done(out, PM_OK);
}

PM_API pm_status pm_keep_range(pm_map *m, const pm_key *from, const pm_key *to) {
    if (pm__map_refuses(m, NULL, 0)) return PM_INVALID;
    return pm_subrange(m, from, to, m);
}

/* ---- removing ------------------------------------------------------------------------------------------------ */

/* What remains of a trie without a range whose bounds have no byte in common, the empty key not looked at. */
static pm_status pm__range_without(const pm__cx *cx, pm__ref r, const pm_key *from, const pm_key *to, pm_map *out) {
    const pm_key first = {NULL, 0};
    pm_map before, after;
    pm_status s = pm__range_of(cx, r, NULL, from ? from : &first, &before);
    if (s != PM_OK) return s;
    *out = before;
    if (!to) return s;
    s = pm__range_of(cx, r, to, NULL, &after);
    if (s == PM_OK) s = pm_join(&before, &after, out, NULL);
    pm_drop(&before);
    pm_drop(&after);
    return s;
}

/* Puts `below` in the place of what lies below s[0..len), which exists; `takes`: the value there goes. */
static bool pm__range_put(const pm__cx *cx, pm_map *m, const uint8_t *s, size_t len, bool takes, pm__ref below) {
    const pm_opt none = {0, false};
    if (!len) {
        pm__any_release(cx, m->root);
        m->root = below;
        if (takes && m->has_value) {
            pm__pay_release(cx, false, m->value);
            m->has_value = false, m->value = 0;
        }
        return true;
    }
    pm__survey v = pm__trie_survey(m->root, s, len);
    if (!below && (takes || !v.val)) return pm__trie_cut(cx, &m->root, s, v.keep);
    return pm__trie_edit(cx, &m->root, s, len, takes ? &none : NULL, below);
}

PM_API pm_status pm_remove_range(pm_map *m, const pm_key *from, const pm_key *to) {
    if (pm__map_refuses(m, NULL, 0) || pm__range_bad(from) || pm__range_bad(to)) return PM_INVALID;
    pm__cx cx = pm__map_cx(m);
    const uint8_t *s = to ? (const uint8_t *)to->data : NULL;
    size_t flen = from ? from->len : 0, tlen = to ? to->len : 0, both = flen < tlen ? flen : tlen;
    size_t same = both ? pm__lcp((const uint8_t *)from->data, s, both) : 0;
    if (to && (same == tlen || (same < flen && ((const uint8_t *)from->data)[same] > s[same])))
        return PM_OK;
    pm_key a = {flen > same ? (const uint8_t *)from->data + same : NULL, flen - same};
    pm_key b = {tlen > same ? s + same : NULL, tlen - same};
    const pm_val *val = m->has_value ? &m->value : NULL;
    pm_place p = pm__place_root(m->root);
    pm__ref sub;
    pm_map left;
    bool takes = flen == same; /* the place at which the bounds part is in the range itself */
    if (pm__place_walk(&p, s, same, &val) < same) return PM_OK;
    if (!pm__place_share(&cx, &p, &sub)) return PM_NOMEM;
    if (!sub && !takes) return PM_OK; /* a dangling location before the range */
    pm_status st = pm__range_without(&cx, sub, &a, to ? &b : NULL, &left);
    pm__any_release(&cx, sub);
    if (st == PM_OK && !pm__range_put(&cx, m, s, same, takes, left.root)) {
        pm_drop(&left);
        st = PM_NOMEM;
    }
    return st == PM_OK ? pm__map_done(m, PM_OK) : st;
}

/* ---- dividing and putting together --------------------------------------------------------------------------- */

PM_API pm_status pm_split(pm_map *m, const void *key, size_t len, pm_map *out) {
    if (pm__map_refuses(m, key, len) || !out || out == m) return PM_INVALID;
    const pm_key at = {key, len};
    pm_map before, after;
    pm_status s = pm_subrange(m, NULL, &at, &before);
    if (s != PM_OK) return s;
    s = pm_subrange(m, &at, NULL, &after);
    if (s != PM_OK) {
        pm_drop(&before);
        return s;
    }
    pm__map_give(m, &before, true);
    *out = after;
    return pm__map_done(m, pm__map_checked(out, PM_OK));
}

/* Whether the last path of a trie is less than the first one of another. *less is untouched without memory. */
static bool pm__range_in_order(pm__ref a, pm__ref b, bool *less) {
    pm__list x = pm__list_of(1), y = pm__list_of(1);
    const pm_val *val;
    bool ok = pm__order_reach(&x, a, (unsigned)pm__order_last(a), true, &val) &&
              pm__order_reach(&y, b, (unsigned)pm__order_next(b, 0), false, &val);
    if (ok) {
        size_t min = x.used < y.used ? x.used : y.used;
        int c = min ? memcmp(x.data, y.data, min) : 0;
        *less = c < 0 || (c == 0 && x.used < y.used);
    }
    pm__list_free(&x);
    pm__list_free(&y);
    return ok;
}

PM_API pm_status pm_concat(const pm_map *a, const pm_map *b, pm_map *out) {
    if (pm__map_bad(a, NULL, 0) || pm__map_bad(b, NULL, 0) || !out) return PM_INVALID;
    bool less = !b->has_value || pm_is_empty(a); /* the empty key is the first of all */
    if (pm_map_ops(a) != pm_map_ops(b)) return PM_MISMATCH;
    if (less && a->root && b->root && !pm__range_in_order(a->root, b->root, &less)) return PM_NOMEM;
    return less ? pm_join(a, b, out, NULL) : PM_INVALID;
}

/* ---- counting ------------------------------------------------------------------------------------------------ */

PM_API pm_status pm_range_count(const pm_map *m, const pm_key *from, const pm_key *to, uint64_t *out) {
    pm_map range;
    if (!out) return PM_INVALID;
    pm_status s = pm_subrange(m, from, to, &range);
    if (s != PM_OK) return s;
    s = pm_val_count(&range, out);
    pm_drop(&range);
    return s;
}

PM_API pm_status pm_prefix_count(const pm_map *m, const void *key, size_t len, uint64_t *out) {
    pm_map sub;
    if (!out) return PM_INVALID;
    pm_status s = pm_subtrie(m, key, len, &sub, NULL);
    if (s != PM_OK) return s;
    s = pm_val_count(&sub, out);
    pm_drop(&sub);
    return s;
}

PM_API pm_status pm_rank(const pm_map *m, const void *key, size_t len, uint64_t *out) {
    const pm_key to = {key, len};
    return pm_range_count(m, NULL, &to, out);
}
