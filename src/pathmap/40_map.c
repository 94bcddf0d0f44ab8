/* Maps. The root value lives in the handle, everything else below `root` (28_trie.c). */
#include "16_guard.c"
#include "17_list.c"
#include "39_tally.c"
#include "28_trie.c"
#include "29_compare.c"
#include "31_check.c"
#include "34_walk.c"
#include "40_map.h"

/* ---- what checked builds know of a map ----------------------------------------------------------------------- */

enum { PM__LENT_NOT, PM__LENT_WRITER, PM__LENT_HEAD, PM__LENT_DYING }; /* the last one in all builds */

/* A structure that was moved, and whose content has changed or gone since, is not to be used. */
static PM__INLINE void pm__map_use(const pm_map *m) {
#if PM_CHECK >= 1
    if (m && (m->root || m->has_value) && pm__stamp_is(m->stamp, PM__STAMP_OVER))
        /* uncovered: the process ends, and its counts with it */
        pm__accuse("a map was used, or dropped twice, through a copy of its struct (pm_map: assigning moves it)");
    if (m && m->lent == PM__LENT_DYING) pm__accuse("a map was used that is being dropped (pm_drop_some)");
#endif
    (void)m;
}

/* Before a map is written, dropped or moved. */
static PM__INLINE void pm__map_own(const pm_map *m) {
#if PM_CHECK >= 1
    pm__map_use(m);
    if (m && m->lent == PM__LENT_WRITER)
        /* uncovered: the process ends, and its counts with it */
        pm__accuse("a map was written or dropped while a writer on it was open (pm_wz_open)");
    if (m && m->lent == PM__LENT_HEAD)
        /* uncovered: the process ends, and its counts with it */
        pm__accuse("a map was written or dropped while a head governed it (pm_head_new)");
#endif
    (void)m;
}

/* Before a writer is opened on a map. */
static PM__INLINE void pm__map_may_lend(const pm_map *m) {
#if PM_CHECK >= 1
    if (m && m->lent == PM__LENT_WRITER) pm__accuse("two writers were opened on one map (pm_wz_open)");
#endif
    pm__map_own(m);
}

static PM__INLINE void pm__map_lend(pm_map *m, unsigned to) {
#if PM_CHECK >= 1
    m->lent = (uint8_t)to;
#endif
    (void)m, (void)to;
}

/* The stamp of a map that is looked at, for its reader to keep. */
static PM__INLINE uint32_t pm__map_look(const pm_map *m) {
#if PM_CHECK >= 1
    pm__map_use(m);
    if (!pm__stamp_is(m->stamp, PM__STAMP_OVER)) pm__stamp_note(m->stamp, PM__STAMP_SEEN);
    return m->stamp;
#else
    (void)m;
    return 0;
#endif
}

/* The content of a map is a new one, for it was made or cloned. Structures of pools over a region pass between
   processes, each of which has stamps of its own: they carry none. */
static PM__INLINE void pm__map_made(pm_map *m) {
#if PM_CHECK >= 1
    bool known = (m->root || m->has_value) && !(m->pool && m->pool->backend);
    m->stamp = known ? pm__stamp_new() : 0;
    m->lent = PM__LENT_NOT;
#endif
    (void)m;
}

/* The content of a map was written. */
static PM__INLINE void pm__map_written(pm_map *m) {
#if PM_CHECK >= 1
    unsigned lent = m->lent;
    if (m->stamp && !pm__stamp_is(m->stamp, PM__STAMP_SEEN)) return; /* nobody will ask */
    pm__stamp_note(m->stamp, PM__STAMP_OVER);
    pm__map_made(m);
    m->lent = (uint8_t)lent;
#endif
    (void)m;
}

/* The content of a map is given up. */
static PM__INLINE void pm__map_gone(pm_map *m) {
#if PM_CHECK >= 1
    pm__stamp_note(m->stamp, PM__STAMP_OVER);
    m->stamp = 0;
#endif
    (void)m;
}

/* ---- handles ------------------------------------------------------------------------------------------------- */

/* What no caller should pass: no map, or a key that is nowhere. */
static PM__INLINE bool pm__map_bad(const pm_map *m, const void *key, size_t len) {
    pm__map_use(m);
    return PM__UNLIKELY(!m || (!key && len) || len > PM__LEN_MAX);
}

/* The same for a map that is to be written. */
static PM__INLINE bool pm__map_refuses(const pm_map *m, const void *key, size_t len) {
    pm__map_own(m);
    return pm__map_bad(m, key, len);
}

static pm__cx pm__map_cx(const pm_map *m) { return pm__cx_of(m->ops, m->pool); }

PM_API const pm_ops *pm_map_ops(const pm_map *m) { return pm__ops_of(m ? m->ops : NULL); }

PM_API pm_map pm_new(const pm_ops *ops, pm_pool *pool) {
    pm_map m = {0, 0, pm__ops_taken(ops), pool, false, 0, 0};
    return m;
}

/* Takes at most so many nodes apart of a map that is being dropped: in the place of its root it has the list of those
   that are to be freed. Returns whether more is left. */
static bool pm__map_die(const pm__cx *cx, pm_map *m, size_t budget) {
    m->root = pm__dead_take(cx, m->root, budget);
    if (!m->root) m->lent = PM__LENT_NOT;
    return m->root != 0;
}

PM_API void pm_drop(pm_map *m) {
    if (!m) return;
    pm__cx cx = pm__map_cx(m);
    if (PM__UNLIKELY(m->lent == PM__LENT_DYING)) {
        (void)pm__map_die(&cx, m, SIZE_MAX);
        return;
    }
    pm__map_own(m);
    pm__map_gone(m);
    pm__any_release(&cx, m->root);
    if (m->has_value) pm__pay_release(&cx, false, m->value);
    m->root = 0;
    m->value = 0;
    m->has_value = false;
}

PM_API bool pm_drop_some(pm_map *m, size_t budget) {
    if (!m) return false;
    pm__cx cx = pm__map_cx(m);
    if (m->lent != PM__LENT_DYING) {
        pm__ref r = m->root;
        pm__map_own(m);
        m->root = 0;
        pm_drop(m);
        if (!r || !pm__ref_count_release(&((pm__head *)pm__ref_ptr(r))->rc)) return false;
        pm__dead_link(r, 0);
        m->root = r;
        m->lent = PM__LENT_DYING;
    }
    return pm__map_die(&cx, m, budget);
}

PM_API pm_map pm_clone(const pm_map *m) {
    if (PM__UNLIKELY(!m)) return pm_new(NULL, NULL);
    pm_map c = *m;
    pm__cx cx = pm__map_cx(m);
    pm__map_use(m);
    pm__ref_retain(m->root);
    if (m->has_value) pm__pay_retain(&cx, false, m->value);
    pm__map_made(&c);
    return c;
}

PM_API bool pm_is_empty(const pm_map *m) { return !m || (m->root == 0 && !m->has_value); }

/* ---- reading ------------------------------------------------------------------------------------------------- */

PM_API const pm_val *pm_get(const pm_map *m, const void *key, size_t len) {
    pm__map_use(m);
    if (PM__UNLIKELY(!m)) return NULL;
    if (PM__UNLIKELY(len - 1 >= PM__LEN_MAX)) return len == 0 && m->has_value ? &m->value : NULL;
    if (PM__UNLIKELY(!key)) return NULL;
    return pm__trie_get(m->root, (const uint8_t *)key, len);
}

PM_API bool pm_contains(const pm_map *m, const void *key, size_t len) { return pm_get(m, key, len) != NULL; }

PM_API bool pm_path_exists(const pm_map *m, const void *key, size_t len) {
    const pm_val *v;
    if (pm__map_bad(m, key, len)) return false;
    pm_place p = pm__place_root(m->root);
    return pm__place_walk(&p, (const uint8_t *)key, len, &v) == len;
}

/* One lookup among many: where it has come to. */
typedef struct pm__probe {
    pm__ref node;
    const uint8_t *s;
    size_t left, index;
} pm__probe;

enum { PM__MANY = 16 };

/* Takes a lookup one node further. True if it is decided, the result in *out. */
static PM__INLINE bool pm__probe_step(pm__probe *p, const pm_val **out) {
    *out = NULL;
    if (pm__ref_kind(p->node) == PM__RANGE) {
        p->node = *pm__line_part((const pm__line *)pm__ref_ptr(p->node), *p->s);
        return false;
    }
    if (pm__ref_kind(p->node) != PM__LINE) {
        const pm__byte *x = (const pm__byte *)pm__ref_ptr(p->node);
        uint8_t b = *p->s++;
        if (--p->left == 0) {
            if (pm__byte_has_val(x, b)) *out = pm__byte_val(x, b);
            return true;
        }
        if (!pm__byte_has_child(x, b)) return true;
        p->node = *pm__byte_child(x, b);
        return p->node == 0;
    }
    const pm__line *x = (const pm__line *)pm__ref_ptr(p->node);
    if (x->plen) {
        if (!pm__line_in_prefix(x, p->s, p->left)) return true;
        p->s += x->plen, p->left -= x->plen;
        if (p->left == 0) {
            if (pm__line_has_e(x)) *out = pm__line_val(x, 0);
            return true;
        }
    }
    int i = pm__line_probe(x, p->s, p->left, pm__load_upto8(p->s + 1, p->left - 1));
    if (i < 0) return true;
    if (!pm__line_is_child(x, (unsigned)i)) {
        *out = pm__line_val(x, (unsigned)i);
        return true;
    }
    unsigned used = pm__line_lens(x)[i] + 1u;
    p->s += used, p->left -= used;
    p->node = *pm__line_child(x, (unsigned)i);
    return p->node == 0;
}

/* Starts the next lookup that needs a walk; those that do not are decided on the way. False: none is left. */
static bool pm__probe_start(pm__probe *p, const pm_map *m, const pm_key *keys, size_t n, size_t *next,
                            const pm_val **out) {
    while (*next < n) {
        size_t i = (*next)++;
        out[i] = NULL;
        if (keys[i].len - 1 < PM__LEN_MAX && keys[i].data && m->root) {
            p->node = m->root;
            p->s = (const uint8_t *)keys[i].data;
            p->left = keys[i].len;
            p->index = i;
            return true;
        }
        if (!keys[i].len && m->has_value) out[i] = &m->value;
    }
    return false;
}

PM_API size_t pm_get_many(const pm_map *m, const pm_key *keys, size_t n, const pm_val **out) {
    pm__probe p[PM__MANY];
    size_t live = 0, next = 0, hits = 0;
    if (!out || n > PM__LEN_MAX / sizeof *keys) return 0;
    if (!m || !keys) {
        for (size_t i = 0; i < n; i++) out[i] = NULL;
        return 0;
    }
    while (live < PM__MANY && pm__probe_start(&p[live], m, keys, n, &next, out)) live++;
    while (live) {
        for (size_t i = 0; i < live;) {
            const pm_val *v;
            if (!pm__probe_step(&p[i], &v)) {
                pm__ref_prefetch_early(p[i++].node);
                continue;
            }
            out[p[i].index] = v;
            if (pm__probe_start(&p[i], m, keys, n, &next, out)) i++;
            else p[i] = p[--live];
        }
    }
    for (size_t i = 0; i < n; i++) hits += out[i] != NULL;
    return hits;
}

/* ---- writing ------------------------------------------------------------------------------------------------- */

/* Hands a removed value to the caller, or lets it go. */
static void pm__opt_give(const pm__cx *cx, pm_opt *to, pm_opt old) {
    if (to) *to = old;
    else if (old.some) pm__pay_release(cx, false, old.val);
}

/* Whether the whole of a map is sound; else PM_CORRUPT, and what is wrong first in *why (may be NULL). */
PM__UNUSED static pm_status pm__map_check(const pm_map *m, const char **why) {
    pm__cx cx = pm__map_cx(m);
    const char *wrong = "map: root value of a unit map is not 0";
    pm_status s = PM_CORRUPT;
    if (!cx.unit || !m->has_value || !m->value) s = pm__check_trie(&cx, m->root, &wrong);
    if (s == PM_CORRUPT && why) *why = wrong;
    return s;
}

static pm_status pm__map_checked(const pm_map *m, pm_status s) {
#if PM_CHECK >= 3
    if (s == PM_OK) PM_ASSERT(pm__map_check(m, NULL) != PM_CORRUPT);
#endif
    (void)m; /* unused below level 3, and where PM_ASSERT is nothing */
    return s;
}

/* The end of a write. */
static pm_status pm__map_done(pm_map *m, pm_status s) {
    pm__map_written(m);
    return pm__map_checked(m, s);
}

/* Puts a result in its place. `operand`: what is there was an operand of the call, so it is a map, to be dropped. */
static void pm__map_give(pm_map *out, const pm_map *made, bool operand) {
    pm_map old = pm_new(NULL, NULL);
    if (operand) old = *out;
    *out = *made;
    pm_drop(&old);
}

PM_API pm_status pm_set(pm_map *m, const void *key, size_t len, pm_val val, pm_opt *old) {
    if (pm__map_refuses(m, key, len)) return PM_INVALID;
    pm__cx cx = pm__map_cx(m);
    pm_opt was = {0, false};
    if (cx.unit) {
        if (pm__ops_is_refused(cx.ops)) return PM_BADHOOK;
        val = 0;
    }
    if (len == 0) {
        was.val = m->value, was.some = m->has_value;
        m->value = val, m->has_value = true;
    } else if (!pm__trie_put(&cx, &m->root, (const uint8_t *)key, len, false, val, &was)) {
        return PM_NOMEM;
    }
    pm__opt_give(&cx, old, was);
    return pm__map_done(m, PM_OK);
}

/* Stores a value that stays its owner's: the map gets a reference of its own. */
PM__UNUSED static pm_status pm__map_set_shared(pm_map *m, const void *key, size_t len, pm_val val) {
    const pm_ops *ops = pm_map_ops(m);
    pm__val_retain(ops, val);
    pm_status s = pm_set(m, key, len, val, NULL);
    if (s != PM_OK) pm__val_release(ops, val);
    return s;
}

PM_API pm_status pm_get_mut(pm_map *m, const void *key, size_t len, pm_val **slot) {
    if (pm__map_refuses(m, key, len) || !slot) return PM_INVALID;
    pm__cx cx = pm__map_cx(m);
    pm_val *v = NULL;
    if (cx.unit || !pm_get(m, key, len)) {
        *slot = NULL;
        return PM_OK;
    }
    v = len ? pm__trie_val_mut(&cx, &m->root, (const uint8_t *)key, len) : &m->value;
    if (!v) return PM_NOMEM;
    pm__map_written(m);
    *slot = v;
    return PM_OK;
}

static pm_status pm__make_given(void *ctx, pm_val *val) {
    *val = *(const pm_val *)ctx;
    return PM_OK;
}

PM_API pm_status pm_get_or_set_with(pm_map *m, const void *key, size_t len,
                                    pm_status (*make)(void *ctx, pm_val *val), void *ctx, pm_val **slot,
                                    bool *changed) {
    if (pm__map_refuses(m, key, len) || !make) return PM_INVALID;
    bool there = pm_get(m, key, len) != NULL;
    if (!there) {
        pm_val v = 0;
        if (pm__ops_is_refused(m->ops)) return PM_BADHOOK; /* before there is a value to be lost */
        pm_status s = make(ctx, &v);
        if (s != PM_OK) return s;
        s = pm_set(m, key, len, v, NULL);
        if (s != PM_OK) {
            pm__cx cx = pm__map_cx(m);
            if (make != pm__make_given) pm__pay_release(&cx, false, v);
            return s;
        }
    }
    /* A path that was just written is the map's alone, so the slot cannot fail then; else nothing has changed. */
    if (slot) {
        pm_status s = pm_get_mut(m, key, len, slot);
        if (s != PM_OK) return s;
    }
    if (changed) *changed = !there;
    return PM_OK;
}

PM_API pm_status pm_get_or_set(pm_map *m, const void *key, size_t len, pm_val val, pm_val **slot, bool *changed) {
    return pm_get_or_set_with(m, key, len, pm__make_given, &val, slot, changed);
}

/* Removes a value; with PM_PRUNE, the rule of pm_prune_path follows, going no further up than `floor` bytes. */
static pm_status pm__map_remove(pm_map *m, const uint8_t *s, size_t len, pm_prune prune, size_t floor, pm_opt *old) {
    pm__cx cx = pm__map_cx(m);
    pm_opt was = {0, false};
    if (len == 0) {
        was.val = m->value, was.some = m->has_value;
        m->value = 0, m->has_value = false;
        pm__opt_give(&cx, old, was);
        return pm__map_done(m, PM_OK);
    }
    if (prune && floor == 0 && pm__trie_take(&cx, &m->root, s, len, &was)) {
        pm__opt_give(&cx, old, was);
        return pm__map_done(m, PM_OK);
    }
    pm__survey v = pm__trie_survey(m->root, s, len);
    if (v.val) was.val = *v.val, was.some = true;
    bool cut = prune && v.exists && v.childless && len > floor;
    if (cut) {
        if (was.some) pm__pay_retain(&cx, false, was.val); /* the cut releases the trie's reference */
        if (!pm__trie_cut(&cx, &m->root, s, v.keep > floor ? v.keep : floor)) {
            if (was.some) pm__pay_release(&cx, false, was.val);
            return PM_NOMEM;
        }
    } else if (was.some && !pm__trie_unset(&cx, &m->root, s, len)) {
        return PM_NOMEM;
    }
    pm__opt_give(&cx, old, was);
    return pm__map_done(m, PM_OK);
}

PM_API pm_status pm_remove(pm_map *m, const void *key, size_t len, pm_prune prune, pm_opt *old) {
    if (pm__map_refuses(m, key, len)) return PM_INVALID;
    return pm__map_remove(m, (const uint8_t *)key, len, prune, 0, old);
}

PM_API pm_status pm_create_path(pm_map *m, const void *key, size_t len, bool *changed) {
    if (pm__map_refuses(m, key, len)) return PM_INVALID;
    pm__cx cx = pm__map_cx(m);
    pm_opt none;
    bool make = !pm_path_exists(m, key, len);
    if (make && !pm__trie_put(&cx, &m->root, (const uint8_t *)key, len, true, 0, &none)) return PM_NOMEM;
    if (changed) *changed = make;
    return pm__map_done(m, PM_OK);
}

static pm_status pm__map_prune(pm_map *m, const uint8_t *s, size_t len, size_t floor, size_t *removed) {
    pm__cx cx = pm__map_cx(m);
    size_t gone = 0;
    if (len > floor) {
        pm__survey v = pm__trie_survey(m->root, s, len);
        if (v.exists && v.childless && !v.val) {
            size_t keep = v.keep > floor ? v.keep : floor;
            if (!pm__trie_cut(&cx, &m->root, s, keep)) return PM_NOMEM;
            gone = len - keep;
        }
    }
    if (removed) *removed = gone;
    return pm__map_done(m, PM_OK);
}

PM_API pm_status pm_prune_path(pm_map *m, const void *key, size_t len, size_t *removed) {
    if (pm__map_refuses(m, key, len)) return PM_INVALID;
    return pm__map_prune(m, (const uint8_t *)key, len, 0, removed);
}

static pm_status pm__map_cut_below(pm_map *m, const uint8_t *s, size_t len, pm_prune prune, size_t floor,
                                   bool *changed) {
    pm__cx cx = pm__map_cx(m);
    bool had;
    if (len == 0) {
        had = m->root != 0;
        pm__any_release(&cx, m->root);
        m->root = 0;
    } else {
        pm__survey v = pm__trie_survey(m->root, s, len);
        had = v.exists && !v.childless;
        if (had && prune && !v.val && len > floor) { /* one cut does both, so that it happens whole or not at all */
            if (!pm__trie_cut(&cx, &m->root, s, v.keep > floor ? v.keep : floor)) return PM_NOMEM;
            prune = PM_KEEP;
        } else if (had && !pm__trie_graft(&cx, &m->root, s, len, 0)) {
            return PM_NOMEM;
        }
    }
    if (prune) {
        pm_status st = pm__map_prune(m, s, len, floor, NULL);
        if (st != PM_OK) return st;
    }
    if (changed) *changed = had;
    return pm__map_done(m, PM_OK);
}

PM_API pm_status pm_remove_branches(pm_map *m, const void *key, size_t len, pm_prune prune, bool *changed) {
    if (pm__map_refuses(m, key, len)) return PM_INVALID;
    return pm__map_cut_below(m, (const uint8_t *)key, len, prune, 0, changed);
}

/* ---- counting ------------------------------------------------------------------------------------------------ */

PM_API pm_status pm_val_count(const pm_map *m, uint64_t *out) {
    if (pm__map_bad(m, NULL, 0) || !out) return PM_INVALID;
    uint64_t n;
    pm_status s = pm__tally_below(PM__TALLY_VALS, m->root, 0, &n);
    if (s == PM_OK) *out = pm__sat_add(n, m->has_value);
    return s;
}

PM_API pm_status pm_location_count(const pm_map *m, uint64_t *out) {
    if (pm__map_bad(m, NULL, 0) || !out) return PM_INVALID;
    uint64_t n;
    pm_status s = pm__tally_below(PM__TALLY_LOCS, m->root, 0, &n);
    if (s == PM_OK) *out = pm__sat_add(n, 1);
    return s;
}

PM_API pm_status pm_depth_count(const pm_map *m, size_t depth, uint64_t *out) {
    if (pm__map_bad(m, NULL, 0) || !out) return PM_INVALID;
    uint64_t n = 1;
    pm_status s = depth ? pm__tally_below(PM__TALLY_DEPTH, m->root, depth, &n) : PM_OK;
    if (s == PM_OK) *out = n;
    return s;
}

/* ---- visiting every value -------------------------------------------------------------------------------------- */

typedef struct pm__map_each {
    bool (*fn)(void *ctx, const uint8_t *key, size_t len, pm_val val);
    void *ctx;
    pm__walk walk;
} pm__map_each;

enum { PM__MAP_STOP = 1 };

static PM__INLINE int pm__map_visit(void *ctx, const pm_val *val, size_t len, size_t low) {
    const pm__map_each *e = (const pm__map_each *)ctx;
    (void)low;
    return e->fn(e->ctx, e->walk.path.data, len, *val) ? PM_OK : PM__MAP_STOP;
}

static int pm__map_leaf(pm__walk *w, const pm__walker *v, void *ctx, const pm__line *x, size_t base,
                        pm__walk_after after);
static const pm__walker pm__map_walker = {.leaf = pm__map_leaf, .mark = pm__map_visit};
static int pm__map_leaf(pm__walk *w, const pm__walker *v, void *ctx, const pm__line *x, size_t base,
                        pm__walk_after after) {
    (void)v;
    return pm__walk_leaf(w, &pm__map_walker, ctx, x, base, after);
}

PM_API pm_status pm_each(const pm_map *m, bool (*fn)(void *ctx, const uint8_t *key, size_t len, pm_val val),
                         void *ctx) {
    if (!m || !fn) return PM_INVALID;
    /* An empty key needs an address, no bytes; one that compilers know nothing of spares callers their warnings. */
    if (m->has_value && !fn(ctx, (const uint8_t *)m, 0, m->value)) return PM_OK;
    pm__map_each e = {fn, ctx, pm__walk_begin()};
    int s = pm__walk_all(&e.walk, &pm__map_walker, &e, m->root);
    pm__walk_end(&e.walk);
    return s == PM_NOMEM ? PM_NOMEM : PM_OK;
}

/* ---- comparing ----------------------------------------------------------------------------------------------- */

PM_API pm_status pm_equal(const pm_map *a, const pm_map *b, bool *out) {
    if (!out || !a || !b) return PM_INVALID;
    const pm_ops *ops = pm_map_ops(a);
    if (pm_map_ops(b) != ops) return PM_MISMATCH;
    int r = pm__val_same(ops, a->has_value ? &a->value : NULL, b->has_value ? &b->value : NULL);
    if (r) r = pm__compare_equal(ops, a->root, b->root);
    pm_status s = r < 0 ? PM_NOMEM : PM_OK, failed = pm__val_failed(ops);
    if (failed != PM_OK) s = failed;
    if (s == PM_OK) *out = r == 1;
    return s;
}

/* ---- whole maps ---------------------------------------------------------------------------------------------- */

/* A map of what lies at a place: below it, and its value. */
static pm_status pm__map_of_place(const pm__cx *cx, const pm_place *p, const pm_val *val, pm_map *out) {
    pm__ref root;
    if (!pm__place_share(cx, p, &root)) return PM_NOMEM;
    pm_map m = {root, val ? *val : 0, cx->ops, cx->pool, val != NULL, 0, 0};
    if (val) pm__pay_retain(cx, false, *val);
    pm__map_made(&m);
    *out = m;
    return PM_OK;
}

PM_API pm_status pm_subtrie(const pm_map *m, const void *key, size_t len, pm_map *out, bool *found) {
    if (pm__map_bad(m, key, len) || !out) return PM_INVALID;
    pm__cx cx = pm__map_cx(m);
    const pm_val *val = m->has_value ? &m->value : NULL;
    pm_place p = pm__place_root(m->root);
    bool there = pm__place_walk(&p, (const uint8_t *)key, len, &val) == len;
    if (!there) p = pm__place_root(0), val = NULL;
    pm_map made;
    pm_status s = pm__map_of_place(&cx, &p, val, &made);
    if (s != PM_OK) return s;
    pm__map_give(out, &made, out == m);
    if (found) *found = there;
    return PM_OK;
}

/* The first eight bytes as a number that orders like them; of keys that differ in it no more need be read. */
static PM__INLINE uint64_t pm__map_key_head(const pm_key *k) {
    return pm__bswap64(pm__load_upto8(k->data, k->len));
}

/* Lists the keys as entries. False: they do not ascend strictly, or are not to be listed so. */
static bool pm__map_list_keys(const pm_key *keys, const pm_val *vals, size_t n, pm__ent *out) {
    uint64_t last = 0;
    for (size_t i = 0; i < n; i++) {
        uint64_t head = pm__map_key_head(&keys[i]);
        if (PM__UNLIKELY(i && last >= head)) {
            size_t a = keys[i - 1].len, b = keys[i].len, min = a < b ? a : b;
            int c = last > head ? 1 : min ? memcmp(keys[i - 1].data, keys[i].data, min) : 0;
            if (c > 0 || (c == 0 && a >= b)) return false;
        }
        if (PM__UNLIKELY((uint64_t)keys[i].len > UINT32_MAX)) return false;
        last = head;
        const void *data = keys[i].len ? keys[i].data : "";
        out[i] = pm__ent_make((const uint8_t *)data, keys[i].len, false, vals ? vals[i] : 0);
    }
    return true;
}

/* Builds a map of keys that ascend strictly. False: they do not. */
static bool pm__map_build_sorted(const pm__cx *cx, pm_map *m, const pm_key *keys, const pm_val *vals, size_t n,
                                 pm_status *status) {
    pm__ent *ents = (pm__ent *)pm__mem_alloc_big(n * sizeof *ents);
    *status = PM_NOMEM;
    if (!ents) return true;
    bool ascend = pm__map_list_keys(keys, vals, n, ents), first = keys[0].len == 0;
    if (ascend) {
        if (first) m->value = cx->unit ? 0 : ents[0].pay, m->has_value = true;
        if (n > first) m->root = pm__build_nodes(cx, NULL, 0, ents + first, n - first, 0);
        if (n == first || m->root) *status = PM_OK;
    }
    pm__mem_free_big(ents, n * sizeof *ents);
    return ascend;
}

/* Puts a key in. A value that it replaces goes to `old`, to be released once all keys are in. */
static bool pm__map_build_put(const pm__cx *words, pm_map *m, pm_key key, pm_val v, pm__list *old) {
    pm_opt was = {m->value, m->has_value};
    if (key.len == 0) m->value = v, m->has_value = true;
    else if (was.some = false, !pm__trie_put(words, &m->root, (const uint8_t *)key.data, key.len, false, v, &was))
        return false;
    return !was.some || pm__list_put(old, &was.val, 1);
}

static bool pm__map_build_unsorted(const pm__cx *cx, pm_map *m, const pm_key *keys, const pm_val *vals, size_t n) {
    pm__cx words = *cx; /* values are not the map's before all are in */
    pm__list old = pm__list_of(sizeof(pm_val));
    bool ok = true;
    words.plain = true;
    for (size_t i = 0; ok && i < n; i++)
        ok = pm__map_build_put(&words, m, keys[i], vals && !cx->unit ? vals[i] : 0, &old);
    if (!ok) pm__any_release(&words, m->root);
    for (size_t i = 0; ok && i < old.used; i++) pm__pay_release(cx, false, *(pm_val *)pm__list_at(&old, i));
    pm__list_free(&old);
    return ok;
}

PM_API pm_status pm_build(const pm_ops *ops, pm_pool *pool, const pm_key *keys, const pm_val *vals, size_t n,
                          pm_map *out) {
    if (!out || n > PM__LEN_MAX / sizeof *keys) return PM_INVALID;
    pm_map m = pm_new(ops, pool);
    pm__cx cx = pm__map_cx(&m);
    if (n && !keys) return PM_INVALID;
    if (pm__ops_is_refused(m.ops)) return PM_BADHOOK;
    for (size_t i = 0; i < n; i++)
        if ((keys[i].len && !keys[i].data) || keys[i].len > PM__LEN_MAX) return PM_INVALID;
    pm_status s = PM_OK;
    if (n && !pm__map_build_sorted(&cx, &m, keys, vals, n, &s))
        s = pm__map_build_unsorted(&cx, &m, keys, vals, n) ? PM_OK : PM_NOMEM;
    if (s != PM_OK) return s;
    *out = m;
    return pm__map_done(out, PM_OK);
}

/* ---- transactions -------------------------------------------------------------------------------------------- */

PM_API pm_status pm_txn_begin(pm_txn *t, const pm_map *m) {
    if (!t || !m || t->open) return PM_INVALID;
    t->saved = pm_clone(m);
    t->open = true;
    return PM_OK;
}

PM_API pm_status pm_txn_commit(pm_txn *t) {
    if (!t || !t->open) return PM_INVALID;
    pm_drop(&t->saved);
    t->open = false;
    return PM_OK;
}

PM_API pm_status pm_txn_rollback(pm_txn *t, pm_map *m) {
    if (!t || !m || !t->open) return PM_INVALID;
    pm_drop(m);
    *m = t->saved;
    t->open = false;
    return PM_OK;
}
