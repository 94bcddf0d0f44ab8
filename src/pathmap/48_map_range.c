/* Ranges of maps. All of it is made of one step: what of a trie comes before a key, or from it on. The nodes on the way
   to the key are built anew, from the last one up, with what else they hold of that side shared. Maps are put together
   by a join: sides that have only their borders in common are soon joined. */
#include "45_map_algebra.c"
#include "47_map_order.c"
#include "48_map_range.h"

/* A node on the way to a bound, which leads on at a position. */
typedef struct pm__range_step {
    pm__ref node;
    unsigned at;
} pm__range_step;

/* What is taken of a node: the positions in [lo, hi), or all others. Those in `at` lead to `child` instead, or go if
   that is 0. */
typedef struct pm__range_part {
    unsigned lo, hi;
    bool others;
    unsigned at[2];
    pm__ref child[2];
} pm__range_part;

enum { PM__RANGE_NOWHERE = 1000 }; /* no position */

/* 0 or 1 for a position that leads elsewhere, else 2. */
static PM__INLINE unsigned pm__range_which(const pm__range_part *p, unsigned at) {
    return at == p->at[0] ? 0 : at == p->at[1] ? 1 : 2;
}

/* Lists the positions of a part. Returns how many there are; *same: those are all, and lead where they did. */
static unsigned pm__range_list(pm__ref r, const pm__range_part *p, pm__ent *ents, bool *same) {
    pm__ent all[PM__LINE_ENTRIES];
    unsigned n = 0;
    const bool line = pm__order_line(r);
    *same = true;
    if (line) pm__line_decode((const pm__line *)pm__ref_ptr(r), all);
    for (int at = pm__order_next(r, 0); at >= 0; at = pm__order_next(r, (unsigned)at + 1)) {
        unsigned k = pm__range_which(p, (unsigned)at);
        bool in = (unsigned)at >= p->lo && (unsigned)at < p->hi, kept = k < 2 ? p->child[k] != 0 : in != p->others;
        pm__ref below;
        const pm_val *val = line ? NULL : pm__order_look(r, (unsigned)at, &below);
        uint8_t b = (uint8_t)(at >> 1);
        pm__ent e = line ? all[at] : pm__ent_make(&b, 1, !val, val ? *val : below);
        *same = *same && kept && (k == 2 || e.pay == p->child[k]);
        if (!kept) continue;
        e.fresh = k < 2;
        if (e.fresh) e.pay = p->child[k];
        ents[n++] = e;
    }
    return n;
}

/* The same as pm__range_build for a range node. What comes in the place of a part is no range node. */
static bool pm__range_build_parts(const pm__cx *cx, pm__ref r, const pm__range_part *p, pm__ref *out) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(r);
    pm__ent parts[PM__LINE_ENTRIES];
    unsigned n = 0;
    bool same = true;
    for (unsigned i = 0; i < x->n; i++) {
        const unsigned k = pm__range_which(p, i);
        const pm__ref part = k < 2 ? p->child[k] : (i >= p->lo && i < p->hi) != p->others ? *pm__line_part_at(x, i) : 0;
        same = same && part == *pm__line_part_at(x, i);
        if (!part) continue;
        parts[n] = pm__ent_make(&x->body[i], 1, true, part);
        parts[n++].fresh = k < 2;
    }
    parts[0].first = 0;
    pm__ref made = same ? r : n > 1 ? pm__line_of_parts(cx, parts, n) : n ? parts[0].pay : 0;
    if (same || (n && !made)) {
        pm__ref_retain(made);
        pm__any_release(cx, p->child[0]);
        pm__any_release(cx, p->child[1]);
    } else {
        for (unsigned i = 0; i < n; i++)
            if (!parts[i].fresh) pm__ref_retain(parts[i].pay);
        if (n > 1) (void)pm__build_gather(cx, &made, PM__GATHER_TINY);
    }
    *out = made;
    return made || !n;
}

/* Makes a node of a part of one, in *out; 0: nothing is in it. Takes over the references to p->child. False: no
   memory. */
static bool pm__range_build(const pm__cx *cx, pm__ref r, const pm__range_part *p, pm__ref *out) {
    pm__ent few[PM__LINE_ENTRIES], *ents = few;
    size_t room = 0;
    bool same;
    if (pm__ref_kind(r) == PM__RANGE) return pm__range_build_parts(cx, r, p, out);
    if (!pm__order_line(r)) {
        const pm__byte *b = (const pm__byte *)pm__ref_ptr(r);
        room = (size_t)(b->nc + b->nv) * sizeof *ents;
        ents = (pm__ent *)pm__mem_alloc_big(room);
        if (!ents) {
            pm__any_release(cx, p->child[0]);
            pm__any_release(cx, p->child[1]);
            *out = 0;
            return false;
        }
    }
    unsigned n = pm__range_list(r, p, ents, &same);
    const pm__line *x = pm__order_line(r) ? (const pm__line *)pm__ref_ptr(r) : NULL;
    pm__ref made = same ? r : 0;
    if (!same && n) made = pm__build_nodes(cx, x ? pm__line_heap(x) : NULL, x ? x->plen : 0, ents, n, 0);
    bool ok = made || !n;
    if (same) pm__ref_retain(r);
    if (same || !ok) {
        pm__any_release(cx, p->child[0]);
        pm__any_release(cx, p->child[1]);
    }
    for (unsigned i = 0; !same && ok && i < n; i++)
        if (!ents[i].fresh) pm__pay_retain(cx, ents[i].child, ents[i].pay);
    if (ents != few) pm__mem_free_big(ents, room);
    if (!same && made) (void)pm__build_gather_part(cx, &made, PM__GATHER_TINY, true);
    *out = made;
    return ok;
}

/* The same of the last node on the way to a key: the positions from `at` on, or those before. */
static bool pm__range_end(const pm__cx *cx, pm__ref r, unsigned at, bool from, pm__ref *out) {
    pm__range_part p = {at, pm__order_end(r), !from, {PM__RANGE_NOWHERE, PM__RANGE_NOWHERE}, {0, 0}};
    return pm__range_build(cx, r, &p, out);
}

/* What of a trie comes from a key on, or before it: a reference of its own in *out; 0: nothing. False: no memory. */
static bool pm__range_half(const pm__cx *cx, pm__ref r, const uint8_t *s, size_t len, bool from, pm__ref *out) {
    pm__list way = pm__list_of(sizeof(pm__range_step));
    bool ok = true;
    *out = 0;
    while (ok && r) {
        pm__order_seek k = pm__order_seek_in(r, s, len);
        pm__range_step step = {r, k.at};
        if (k.on) ok = pm__list_put(&way, &step, 1);
        else ok = pm__range_end(cx, r, k.at, from, out);
        s += k.used, len -= k.used;
        r = k.on;
    }
    while (way.used) {
        const pm__range_step *step = (const pm__range_step *)pm__list_pop(&way);
        pm__range_part p = {step->at, pm__order_end(step->node), !from, {step->at, PM__RANGE_NOWHERE}, {*out, 0}};
        if (ok) ok = pm__range_build(cx, step->node, &p, out);
    }
    pm__list_free(&way);
    return ok;
}

/* What of the node at which the ways to two keys part lies between them, or the rest; `a` and `b` are where they go on
   in it. */
static bool pm__range_parted(const pm__cx *cx, pm__ref r, const pm__order_seek *a, const pm_key *from,
                             const pm__order_seek *b, const pm_key *to, bool inside, pm__ref *out) {
    const uint8_t *s = pm__order_bytes(from->data), *z = pm__order_bytes(to->data);
    pm__range_part p = {a->at, b->at, !inside, {PM__RANGE_NOWHERE, PM__RANGE_NOWHERE}, {0, 0}};
    *out = 0;
    if (a->on) {
        p.at[0] = a->at;
        if (!pm__range_half(cx, a->on, s + a->used, from->len - a->used, inside, &p.child[0])) return false;
    }
    if (b->on) {
        p.at[1] = b->at;
        if (!pm__range_half(cx, b->on, z + b->used, to->len - b->used, !inside, &p.child[1])) {
            pm__any_release(cx, p.child[0]);
            return false;
        }
    }
    return pm__range_build(cx, r, &p, out);
}

/* What of a trie lies between two keys, the first of which is less, or the rest; as pm__range_half. */
static bool pm__range_between(const pm__cx *cx, pm__ref r, pm_key from, pm_key to, bool inside, pm__ref *out) {
    pm__list way = pm__list_of(sizeof(pm__range_step));
    bool ok = true, parted = false;
    *out = 0;
    while (ok && r && !parted) {
        const uint8_t *s = pm__order_bytes(from.data), *z = pm__order_bytes(to.data);
        pm__order_seek a = pm__order_seek_in(r, s, from.len), b = pm__order_seek_in(r, z, to.len);
        pm__range_step step = {r, a.at};
        parted = !a.on || a.on != b.on || a.at != b.at;
        if (parted) {
            ok = pm__range_parted(cx, r, &a, &from, &b, &to, inside, out);
        } else {
            ok = pm__list_put(&way, &step, 1);
            from.data = s + a.used, from.len -= a.used;
            to.data = z + a.used, to.len -= a.used;
            r = a.on;
        }
    }
    while (way.used) {
        const pm__range_step *step = (const pm__range_step *)pm__list_pop(&way);
        pm__range_part p = {step->at, step->at + 1, !inside, {step->at, PM__RANGE_NOWHERE}, {*out, 0}};
        if (ok) ok = pm__range_build(cx, step->node, &p, out);
    }
    pm__list_free(&way);
    return ok;
}

/* What of a trie is in a range, or the rest, the empty key not looked at; as pm__range_half. */
static bool pm__range_take(const pm__cx *cx, pm__ref r, const pm_key *from, const pm_key *to, bool inside,
                           pm__ref *out) {
    if (from && to) return pm__range_between(cx, r, *from, *to, inside, out);
    const pm_key *k = from ? from : to;
    if (k) return pm__range_half(cx, r, pm__order_bytes(k->data), k->len, (k == from) == inside, out);
    *out = inside ? r : 0;
    pm__ref_retain(*out);
    return true;
}

static PM__INLINE bool pm__range_bad(const pm_key *k) { return k && ((k->len && !k->data) || k->len > PM__LEN_MAX); }

/* How many bytes the bounds of a range have in common. */
static size_t pm__range_same(const pm_key *from, const pm_key *to) {
    size_t min = from && to ? (from->len < to->len ? from->len : to->len) : 0;
    return min ? pm__lcp(pm__order_bytes(from->data), pm__order_bytes(to->data), min) : 0;
}

/* Whether nothing can be in a range. */
static bool pm__range_is_empty(const pm_key *from, const pm_key *to) {
    size_t same = pm__range_same(from, to);
    if (!to || same == to->len) return to != NULL;
    return from && same < from->len && pm__order_bytes(from->data)[same] > pm__order_bytes(to->data)[same];
}

/* Whether the empty key is in a range. */
static PM__INLINE bool pm__range_has_root(const pm_key *from, const pm_key *to) {
    return (!from || !from->len) && (!to || to->len);
}

PM_API pm_status pm_subrange(const pm_map *m, const pm_key *from, const pm_key *to, pm_map *out) {
    if (pm__map_bad(m, NULL, 0) || pm__range_bad(from) || pm__range_bad(to) || !out) return PM_INVALID;
    pm__cx cx = pm__map_cx(m);
    pm_map made = pm_new(NULL, NULL);
    made.ops = m->ops, made.pool = m->pool;
    if (out == m) pm__map_own(m);
    if (!pm__range_is_empty(from, to) && !pm__range_take(&cx, m->root, from, to, true, &made.root)) return PM_NOMEM;
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
    if (pm__range_is_empty(from, to)) return PM_OK;
    pm__cx cx = pm__map_cx(m);
    const size_t same = pm__range_same(from, to);
    pm_key a = {NULL, 0}, b = {NULL, 0};
    if (from) a.data = pm__order_bytes(from->data) + same, a.len = from->len - same;
    if (to) b.data = pm__order_bytes(to->data) + same, b.len = to->len - same;
    const pm_val *val = m->has_value ? &m->value : NULL;
    const uint8_t *s = same ? pm__order_bytes(from->data) : NULL;
    pm_place p = pm__place_root(m->root);
    pm__ref sub, left;
    bool takes = !a.len; /* the place at which the bounds part is in the range itself */
    if (pm__place_walk(&p, s, same, &val) < same) return PM_OK;
    if (!pm__place_share(&cx, &p, &sub)) return PM_NOMEM;
    if (!sub && !takes) return PM_OK; /* a dangling location before the range */
    bool ok = pm__range_take(&cx, sub, from ? &a : NULL, to ? &b : NULL, false, &left);
    pm__any_release(&cx, sub);
    if (ok && !pm__range_put(&cx, m, s, same, takes, left)) {
        pm__any_release(&cx, left);
        ok = false;
    }
    return ok ? pm__map_done(m, PM_OK) : PM_NOMEM;
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

/* Notes what is below the positions [lo, hi) of a node, and adds the values there. False: no memory. */
static bool pm__range_add(pm__tally *t, pm__ref r, unsigned lo, unsigned hi, uint64_t *n) {
    for (int at = pm__order_next(r, lo); at >= 0 && (unsigned)at < hi; at = pm__order_next(r, (unsigned)at + 1)) {
        pm__ref below;
        *n += pm__order_look(r, (unsigned)at, &below) != NULL;
        if (below && !pm__tally_note(t, below)) return false;
    }
    return true;
}

/* Adds the values from a key on, or those before it. */
static bool pm__range_add_half(pm__tally *t, pm__ref r, const uint8_t *s, size_t len, bool from, uint64_t *n) {
    while (r) {
        pm__order_seek k = pm__order_seek_in(r, s, len);
        const unsigned lo = from ? k.at + (k.on != 0) : 0, hi = from ? pm__order_end(r) : k.at;
        if (!pm__range_add(t, r, lo, hi, n)) return false;
        s += k.used, len -= k.used;
        r = k.on;
    }
    return true;
}

/* Adds the values between two keys, the first of which is less. */
static bool pm__range_add_between(pm__tally *t, pm__ref r, pm_key from, pm_key to, uint64_t *n) {
    while (r) {
        const uint8_t *s = pm__order_bytes(from.data), *z = pm__order_bytes(to.data);
        pm__order_seek a = pm__order_seek_in(r, s, from.len), b = pm__order_seek_in(r, z, to.len);
        from.data = s + a.used, from.len -= a.used;
        to.data = z + b.used, to.len -= b.used;
        if (!a.on || a.on != b.on || a.at != b.at)
            return pm__range_add(t, r, a.at + (a.on != 0), b.at, n) &&
                   pm__range_add_half(t, a.on, pm__order_bytes(from.data), from.len, true, n) &&
                   pm__range_add_half(t, b.on, pm__order_bytes(to.data), to.len, false, n);
        r = a.on;
    }
    return true;
}

/* Counts what has been noted, and the values met on the way. */
static pm_status pm__range_counted(pm__tally *t, bool ok, uint64_t n, uint64_t *out) {
    uint64_t below;
    pm_status s = pm__tally_end(t, ok, &below);
    if (s == PM_OK) *out = pm__sat_add(n, below);
    return s;
}

PM_API pm_status pm_range_count(const pm_map *m, const pm_key *from, const pm_key *to, uint64_t *out) {
    if (pm__map_bad(m, NULL, 0) || pm__range_bad(from) || pm__range_bad(to) || !out) return PM_INVALID;
    if (!from && !to) return pm_val_count(m, out);
    const pm_key *k = from ? from : to;
    uint64_t n = m->has_value && pm__range_has_root(from, to);
    pm__tally t;
    bool ok = pm__tally_begin(&t, PM__TALLY_VALS);
    if (ok && (!from || !to)) ok = pm__range_add_half(&t, m->root, pm__order_bytes(k->data), k->len, k == from, &n);
    else if (ok && !pm__range_is_empty(from, to)) ok = pm__range_add_between(&t, m->root, *from, *to, &n);
    return pm__range_counted(&t, ok, n, out);
}

PM_API pm_status pm_prefix_count(const pm_map *m, const void *key, size_t len, uint64_t *out) {
    if (pm__map_bad(m, key, len) || !out) return PM_INVALID;
    const pm_val *val = m->has_value ? &m->value : NULL;
    pm_place p = pm__place_root(m->root);
    bool there = pm__place_walk(&p, (const uint8_t *)key, len, &val) == len;
    uint64_t n = there && val;
    pm__tally t;
    bool ok = pm__tally_begin(&t, PM__TALLY_VALS);
    if (ok && there && pm__place_enter(&p)) {
        const bool inside = p.depth > 0; /* then the positions are entries of a line */
        unsigned lo = inside ? p.lo + pm__place_val_entry(&p, pm__place_line(&p)) : 0;
        ok = pm__range_add(&t, p.node, lo, inside ? p.hi : pm__order_end(p.node), &n);
    }
    return pm__range_counted(&t, ok, n, out);
}

PM_API pm_status pm_rank(const pm_map *m, const void *key, size_t len, uint64_t *out) {
    const pm_key to = {key, len};
    return pm_range_count(m, NULL, &to, out);
}
