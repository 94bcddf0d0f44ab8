/* Changes that look at what is there, and many changes at once.

   pm_update: one walk, which stops while the caller's function runs. The way to a value is the map's alone by then, so
   that nothing can fail where a value stays.

   pm_apply: first the ways to what is to be removed are made the map's alone, which changes nothing that can be seen.
   Then all is set; this can fail, and is taken back, which needs no memory. Then follow the removals, which cannot fail
   any more. Where a key comes upon a dangling location, taking back might need memory: a clone is changed instead, call
   by call, and takes the map's place.

   Keys are set some at a time: their walks down go side by side, a node each in turn, and stop where something is to
   change. Keys in order share a walk as far as their bytes are the same. Then the changes are made, in the order of the
   edits; new neighbours go into a line together. A walk that stands at a node that changes, or just below, goes on from
   there. */
#include "40_map.c"
#include "44_map_few.c"
#include "49_map_update.h"

/* Asks fn what becomes of a value. *stands: what is to stand now has to be stored; else all is done. */
static pm_status pm__update_ask(const pm__cx *cx, pm_opt was, pm_opt *now, pm_status (*fn)(void *ctx, pm_opt *val),
                                void *ctx, bool *stands) {
    *now = was;
    pm_status s = fn(ctx, now);
    if (cx->unit) now->val = 0;
    *stands = s == PM_OK && now->some && !(was.some && (cx->unit || now->val == was.val));
    return s;
}

PM_API pm_status pm_update(pm_map *m, const void *key, size_t len, pm_status (*fn)(void *ctx, pm_opt *val), void *ctx) {
    if (pm__map_refuses(m, key, len) || !fn) return PM_INVALID;
    pm__cx cx = pm__map_cx(m);
    if (pm__ops_is_refused(cx.ops)) return PM_BADHOOK; /* before there is a value to be lost */
    pm__key_room room;
    pm_opt was = {m->value, m->has_value}, now;
    pm_val *slot = &m->value;
    pm__put p = pm__put_begin(&m->root, len ? pm__ent_key_start((const uint8_t *)key, len, &room) : NULL, len);
    if (len) {
        pm__put_go(&cx, &p);
        if (!p.memory || (p.over_value && !(slot = pm__put_val(&cx, &p)))) return PM_NOMEM;
        was.some = p.over_value, was.val = was.some ? *slot : 0;
        pm__map_written(m); /* nodes may be others now */
    }
    bool stands;
    pm_status s = pm__update_ask(&cx, was, &now, fn, ctx, &stands);
    if (s == PM_OK && was.some && !now.some) return pm_remove(m, key, len, PM_PRUNE, NULL);
    if (!stands) return s;
    if (was.some) {
        *slot = now.val;
        pm__pay_release(&cx, false, was.val);
    } else if (!len) {
        m->value = now.val, m->has_value = true;
    } else if (!pm__put_end(&cx, &p, false, now.val, &was, NULL)) {
        pm__pay_release(&cx, false, now.val);
        return PM_NOMEM;
    }
    return pm__map_done(m, PM_OK);
}

PM_API pm_status pm_set_if(pm_map *m, const void *key, size_t len, pm_opt expected, pm_opt val, bool *changed) {
    if (pm__map_refuses(m, key, len)) return PM_INVALID;
    bool is = pm__val_same(pm_map_ops(m), pm_get(m, key, len), expected.some ? &expected.val : NULL);
    pm_status s = pm__val_failed(pm_map_ops(m));
    if (s != PM_OK) return s;
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

/* ---- the edits of one call ----------------------------------------------------------------------------------- */

typedef enum pm__batch_state { PM__BATCH_STAYS, PM__BATCH_ADDED, PM__BATCH_CHANGED } pm__batch_state;

/* What has been done for an edit. */
typedef struct pm__batch_mark {
    pm_val was; /* PM__BATCH_CHANGED */
    uint8_t state;
} pm__batch_mark;

typedef struct pm__batch {
    const pm__cx *cx;
    pm_map *m;
    const pm_edit *edits;
    size_t *order, n;      /* the edits that count; NULL: all, one after the other */
    size_t count;          /* all */
    struct pm__batch_lane *lanes; /* for the walks of one wave */
    pm__batch_mark *marks;        /* n of them, behind the lanes */
    bool removes, ascends;        /* there are removals; keys come in order, each once */
} pm__batch;

static const pm_edit *pm__batch_edit(const pm__batch *b, size_t i) { return &b->edits[b->order ? b->order[i] : i]; }

static bool pm__batch_ascends(const pm_edit *edits, size_t n) {
    bool yes = true;
    for (size_t i = 1; yes && i < n; i++) {
        const pm_key *a = &edits[i - 1].key, *b = &edits[i].key;
        size_t min = a->len < b->len ? a->len : b->len;
        int c = min ? memcmp(a->data, b->data, min) : 0;
        yes = c < 0 || (!c && a->len < b->len);
    }
    return yes;
}

/* ---- removing ------------------------------------------------------------------------------------------------ */

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

/* Prepares the removals. *fits: false if they are not to be made so. False: no memory. */
static bool pm__batch_list(const pm__batch *b, pm__few *goes, bool *fits) {
    for (size_t i = 0; b->removes && i < b->n; i++) {
        const pm_edit *e = pm__batch_edit(b, i);
        if (e->val.some || !e->key.len) continue;
        *fits = *fits && e->key.len <= UINT16_MAX;
        if (*fits && !pm__few_put(goes, e->key.data, e->key.len, &e->val.val)) return false;
    }
    return !*fits || pm__batch_look(goes);
}

/* ---- setting ------------------------------------------------------------------------------------------------- */

/* Keys in order have walks in common; others are held up by as many walks as the nearest cache has room for. */
enum { PM__BATCH_LANES = 32, PM__BATCH_LOOSE = 16 };

/* A key that is set, and its walk. */
typedef struct pm__batch_lane {
    pm__put put;
    const uint8_t *s; /* the key */
    size_t len, same; /* bytes that it shares with the one before */
    size_t i;         /* the edit */
    unsigned end;     /* the walk is also that of the lanes before this one */
    bool on;          /* it has to go on */
    pm__key_room room;
} pm__batch_lane;

static size_t pm__batch_lanes(const pm__batch *b) { return b->count < PM__BATCH_LANES ? b->count : PM__BATCH_LANES; }

static size_t pm__batch_bytes(const pm__batch *b) {
    return pm__batch_lanes(b) * sizeof *b->lanes + b->count * sizeof *b->marks;
}

/* Notes what counts. Where nothing is removed all edits do, in their order: the last one of a key stands. False: no
   memory. */
static bool pm__batch_open(pm__batch *b) {
    b->n = b->count;
    b->ascends = b->removes || pm__batch_ascends(b->edits, b->count);
    b->lanes = (pm__batch_lane *)pm__mem_alloc_big(pm__batch_bytes(b));
    if (b->removes) b->order = (size_t *)pm__mem_alloc_big(b->count * sizeof *b->order);
    if (!b->lanes || (b->removes && !b->order)) return false;
    b->marks = (pm__batch_mark *)(void *)(b->lanes + pm__batch_lanes(b));
    return !b->removes || pm__batch_order(b->edits, &b->n, b->order);
}

static void pm__batch_close(pm__batch *b) {
    if (b->lanes) pm__mem_free_big(b->lanes, pm__batch_bytes(b));
    if (b->order) pm__mem_free_big(b->order, b->count * sizeof *b->order);
}

static PM__INLINE size_t pm__batch_depth(const pm__batch_lane *l) { return l->len - l->put.len; }

/* Places a walk where another one is, or was: both share the bytes above. */
static PM__INLINE void pm__batch_place(pm__batch_lane *l, const pm__put *at, size_t depth) {
    l->put = *at;
    l->put.s = l->s + depth, l->put.len = l->len - depth;
}

static PM__INLINE void pm__batch_begin(const pm__batch *b, pm__batch_lane *l) {
    l->put = pm__put_begin(&b->m->root, l->s, l->len);
}

/* Takes the next keys that are set. Returns how many; *next: the edit behind them. */
static unsigned pm__batch_fill(const pm__batch *b, pm__batch_lane *lane, size_t *next) {
    const unsigned most = b->ascends ? PM__BATCH_LANES : PM__BATCH_LOOSE;
    unsigned n = 0;
    for (; *next < b->n && n < most; ++*next) {
        const pm_edit *e = pm__batch_edit(b, *next);
        b->marks[*next].state = PM__BATCH_STAYS;
        if (!e->val.some || !e->key.len) continue;
        pm__batch_lane *l = &lane[n], *last = &lane[n ? n - 1 : 0];
        l->i = *next, l->len = e->key.len, l->on = false;
        l->s = pm__ent_key_start((const uint8_t *)e->key.data, e->key.len, &l->room);
        l->end = ++n;
        l->same = b->ascends && n > 1 ? pm__lcp(last->s, l->s, last->len < l->len ? last->len : l->len) : 0;
        pm__batch_begin(b, l);
    }
    if (b->ascends && n) lane[0].end = n;
    return n;
}

/* Goes a node further on the walk of lane j and those that share it. Those that do not share the step get a walk of
   their own, whose lane is returned (0: none). *on: false if lane j is where it ends. */
static PM__INLINE unsigned pm__batch_step(const pm__batch *b, pm__batch_lane *lane, unsigned j, bool *on) {
    pm__batch_lane *l = &lane[j];
    const unsigned end = l->end;
    unsigned k = j + 1;
    if (k == end) {
        *on = pm__put_step(b->cx, &l->put, false);
        return 0;
    }
    const pm__put before = l->put;
    const size_t depth = pm__batch_depth(l);
    *on = pm__put_step(b->cx, &l->put, false);
    /* Different bytes may lead to different parts of a range node. */
    for (size_t now = pm__batch_depth(l) + l->put.up.range; *on && k < end && lane[k].same >= now;) k++;
    l->end = k;
    if (k == end) return 0;
    pm__batch_place(&lane[k], &before, depth);
    lane[k].end = end;
    return k;
}

/* Takes all n walks to their ends. */
static void pm__batch_descend(const pm__batch *b, pm__batch_lane *lane, unsigned n) {
    uint64_t walks = 0;
    for (unsigned j = 0; j < n; j = lane[j].end) walks |= (uint64_t)1 << j;
    while (walks) {
        for (uint64_t m = walks; m; m &= m - 1) {
            for (unsigned j = pm__ctz64(m), other = 1; other; j = other) { /* all that part at one node */
                bool on;
                other = pm__batch_step(b, lane, j, &on);
                if (on) pm__ref_prefetch_early(*lane[j].put.slot);
                if (on) walks |= (uint64_t)1 << j;
                else walks &= ~((uint64_t)1 << j);
            }
        }
    }
}

/* Where a key is about to be set. */
typedef struct pm__batch_spot {
    pm__put put;
    size_t depth;
    const void *node, *above; /* the node there, and the one whose entry leads to it */
    unsigned parts;           /* if that is a range node: how many it has */
} pm__batch_spot;

/* How many parts the node above has, if it is a range node; else 0. */
static unsigned pm__batch_parts(const pm__put *p) {
    return p->up.range && pm__ref_kind(*p->up.slot) == PM__RANGE ? ((pm__line *)pm__ref_ptr(*p->up.slot))->n : 0u;
}

/* The nodes at a spot have changed: tells lanes [j, n) that stand there or below. What
   shares fewer bytes does not. */
static void pm__batch_tell(const pm__batch *b, pm__batch_lane *lane, unsigned j, unsigned n, const pm__batch_spot *at) {
    const pm__put *was = &at->put;
    const bool up = at->above && (pm__ref_ptr(*was->up.slot) != at->above || pm__batch_parts(was) != at->parts);
    const bool fan = !up && pm__ref_kind(*was->slot) == PM__RANGE; /* lines below may be gone, and what they lead to */
    for (; j < n && (!b->ascends || up || lane[j].same >= at->depth); j++) {
        const pm__put *p = &lane[j].put;
        bool hit = p->slot == was->slot || p->in == at->node || p->over == at->node;
        if (up && (p->slot == was->up.slot || p->in == at->above || p->over == at->above)) hit = true;
        hit = hit || fan || (up && at->parts); /* its other parts may be gone, too */
        if (!hit) continue;
        if (up || fan) pm__batch_begin(b, &lane[j]);
        else pm__batch_place(&lane[j], was, at->depth);
        lane[j].on = true;
    }
}

static PM__INLINE bool pm__batch_adds(const pm__batch_lane *l) {
    return l->put.memory && !l->put.over_value && !l->put.dangles;
}

/* Lists the new entries of lanes from j on, up to *last, in the line that all of them stand at. Returns how many. */
static unsigned pm__batch_gather(const pm__batch *b, const pm__batch_lane *lane, unsigned j, unsigned n, unsigned *last,
                                 pm__ent *add) {
    const pm__put *p = &lane[j].put;
    unsigned k = 0;
    if (!b->ascends || !*p->slot || pm__ref_kind(*p->slot) != PM__LINE) return 0;
    const pm__line *x = (const pm__line *)pm__ref_ptr(*p->slot);
    for (; j < n && lane[j].put.slot == p->slot; j++) {
        const pm__put *q = &lane[j].put;
        if (b->marks[lane[j].i].state != PM__BATCH_STAYS) continue;
        if (lane[j].on || !pm__batch_adds(&lane[j])) break;
        if (q->len <= x->plen || q->len > PM__SUFFIX_MAX || !pm__line_in_prefix(x, q->s, q->len)) break;
        const pm_val val = b->cx->unit ? 0 : pm__batch_edit(b, lane[j].i)->val.val;
        *last = j;
        add[k++] = pm__ent_make(q->s + x->plen, q->len - x->plen, false, val);
    }
    return k;
}

/* Sets the key of a lane that stands where it ends. *dangles: true, and nothing done, if that could not be taken
   back. */
static pm_status pm__batch_set(const pm__batch *b, pm__batch_lane *l, bool *dangles) {
    const pm_val val = b->cx->unit ? 0 : pm__batch_edit(b, l->i)->val.val;
    pm__batch_mark *mark = &b->marks[l->i];
    pm_opt was = {0, false};
    if (!pm__put_end(b->cx, &l->put, false, val, &was, dangles)) return *dangles ? PM_OK : PM_NOMEM;
    pm__pay_retain(b->cx, false, val);
    mark->was = was.val;
    mark->state = was.some ? PM__BATCH_CHANGED : PM__BATCH_ADDED;
    return PM_OK;
}

/* Notes that lanes [j, last] have become entries of a line. */
static void pm__batch_added(const pm__batch *b, const pm__batch_lane *lane, unsigned j, unsigned last) {
    for (; j <= last; j++) {
        pm__batch_mark *mark = &b->marks[lane[j].i];
        if (mark->state != PM__BATCH_STAYS) continue;
        mark->state = PM__BATCH_ADDED;
        pm__pay_retain(b->cx, false, pm__batch_edit(b, lane[j].i)->val.val);
    }
}

/* Sets the key of lane j of n, and of those behind it that go into the same line. */
static pm_status pm__batch_next(const pm__batch *b, pm__batch_lane *lane, unsigned j, unsigned n, bool *dangles) {
    pm__ent add[PM__BATCH_LANES];
    pm__batch_lane *l = &lane[j];
    pm__put *p = &l->put;
    if (l->on) pm__put_go(b->cx, p);
    l->on = false;
    if (!pm__batch_adds(l)) return pm__batch_set(b, l, dangles);
    pm__batch_spot at = {*p, pm__batch_depth(l), pm__ref_ptr(*p->slot), p->up.slot ? pm__ref_ptr(*p->up.slot) : NULL,
                         pm__batch_parts(p)};
    unsigned last = j, k = pm__batch_gather(b, lane, j, n, &last, add);
    const int done = k > 1 ? pm__add_all(b->cx, p->slot, add, k, &p->up) : 0;
    pm_status s = done < 0 ? PM_NOMEM : PM_OK;
    if (done > 0) pm__batch_added(b, lane, j, last);
    if (done == 0) s = pm__batch_set(b, l, dangles);
    if (s == PM_OK && !*dangles) pm__batch_tell(b, lane, j + 1, n, &at);
    return s;
}

/* Sets the keys of n lanes. Values that take the place of others come first where the order does not matter: they
   would stand between new entries of a line. */
static pm_status pm__batch_wave(const pm__batch *b, pm__batch_lane *lane, unsigned n, bool *dangles) {
    pm_status s = PM_OK;
    pm__batch_descend(b, lane, n);
    for (unsigned j = 0; b->ascends && j < n && s == PM_OK; j++)
        if (lane[j].put.over_value) s = pm__batch_set(b, &lane[j], dangles);
    for (unsigned j = 0; j < n && s == PM_OK && !*dangles; j++)
        if (b->marks[lane[j].i].state == PM__BATCH_STAYS) s = pm__batch_next(b, lane, j, n, dangles);
    return s;
}

/* Takes back what has been done for the edits before the n-th. */
static void pm__batch_undo(const pm__batch *b, size_t n) {
    pm__few f;
    pm__few_begin(&f, b->cx, &b->m->root);
    while (n-- > 0) {
        const pm_key *k = &pm__batch_edit(b, n)->key;
        const uint8_t *s = (const uint8_t *)k->data;
        if (b->marks[n].state == PM__BATCH_ADDED) pm__few_take(&f, s, k->len);
        if (b->marks[n].state != PM__BATCH_CHANGED || b->cx->unit) continue;
        pm_val *v = pm__trie_val_mut(b->cx, f.root, s, k->len);
        pm__pay_release(b->cx, false, *v);
        *v = b->marks[n].was;
    }
}

/* Sets all that is to be set. *dangles: true, and nothing changed, if that could not be taken back. */
static pm_status pm__batch_sets(const pm__batch *b, bool *dangles) {
    pm_status s = PM_OK;
    for (size_t next = 0; next < b->n;) {
        unsigned n = pm__batch_fill(b, b->lanes, &next);
        s = pm__batch_wave(b, b->lanes, n, dangles);
        if (s == PM_OK && !*dangles) continue;
        pm__batch_undo(b, next);
        return s;
    }
    for (size_t i = 0; i < b->n; i++)
        if (b->marks[i].state == PM__BATCH_CHANGED) pm__pay_release(b->cx, false, b->marks[i].was);
    return PM_OK;
}

/* Makes the changes below the root. *fits: false, and nothing changed, if they are not to be made so. */
static pm_status pm__batch_make(const pm__batch *b, bool *fits) {
    pm__few goes;
    pm__few_begin(&goes, b->cx, &b->m->root);
    bool dangles = false;
    pm_status s = pm__batch_list(b, &goes, fits) ? PM_OK : PM_NOMEM;
    if (s == PM_OK && *fits) s = pm__batch_sets(b, &dangles);
    *fits = *fits && !dangles;
    for (size_t i = 0; s == PM_OK && *fits && i < goes.keys.used; i++) {
        const pm__few_key *k = pm__few_at(&goes, i);
        if (k->state == PM__FEW_GOES) pm__few_take(&goes, pm__few_path(&goes, k), k->len);
    }
    pm__few_free(&goes);
    return s;
}

/* ---- one by one ---------------------------------------------------------------------------------------------- */

static pm_status pm__batch_each(const pm__batch *b) {
    pm_map c = pm_clone(b->m);
    pm_status s = PM_OK;
    for (size_t i = 0; s == PM_OK && i < b->n; i++) {
        const pm_edit *e = pm__batch_edit(b, i);
        if (!e->key.len) continue;
        if (e->val.some) s = pm__map_set_shared(&c, e->key.data, e->key.len, e->val.val);
        else s = pm_remove(&c, e->key.data, e->key.len, PM_PRUNE, NULL);
    }
    if (s == PM_OK) pm__map_give(b->m, &c, true);
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
    const pm_opt *root = NULL;
    pm__batch b = {&cx, m, edits, NULL, 0, n, NULL, NULL, false, false};
    for (size_t i = 0; i < n; i++) {
        if ((edits[i].key.len && !edits[i].key.data) || edits[i].key.len > PM__LEN_MAX) return PM_INVALID;
        b.removes = b.removes || !edits[i].val.some;
        if (!edits[i].key.len) root = &edits[i].val;
    }
    if (!n) return PM_OK;
    bool fits = true;
    pm_status s = pm__batch_open(&b) ? PM_OK : PM_NOMEM;
    if (s == PM_OK) s = pm__batch_make(&b, &fits);
    if (s == PM_OK && !fits) s = pm__batch_each(&b);
    if (s == PM_OK && root) pm__batch_root(&cx, m, *root);
    pm__batch_close(&b);
    for (size_t i = 0; s == PM_OK && i < n; i++)
        if (edits[i].val.some) pm__pay_release(&cx, false, edits[i].val.val); /* the map has references of its own */
    return s == PM_OK ? pm__map_done(m, PM_OK) : s;
}
