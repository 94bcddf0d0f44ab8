/* Tries: operations along a path, from a root reference. Paths are walked in loops; nothing recurses by depth.

   Each function takes the slot that holds the root, so that the root is replaced like any other node. A location of
   len bytes lies in the node where the path's rest, after all children passed on the way, is not longer than the
   suffix that leads on; a child's own root belongs to the entry above it. The root location (len 0) is the caller's.

   Copy-on-write: a writing walk makes each node on its way unshared. That changes no content, so running out
   of memory half-way loses nothing. Walks that might find nothing to do look first. */
#include "27_change.c"

/* ---- lookup ---------------------------------------------------------------------------------------------------- */

/* The value at s[0..len), len > 0, or NULL. The key's last eight bytes must be readable from `end - 8`. */
static PM__INLINE const pm_val *pm__trie_get_from(pm__ref r, const uint8_t *s, const uint8_t *end) {
    while (r) {
        const void *node = pm__ref_ptr(r);
        pm__ref_prefetch(r);
        if (pm__ref_kind(r) != PM__LINE) {
            if (pm__ref_kind(r) != PM__RANGE) {
                const pm__byte *x = (const pm__byte *)node;
                uint8_t b = *s++;
                if (s == end) return pm__byte_has_val(x, b) ? pm__byte_val(x, b) : NULL;
                if (!pm__byte_has_child(x, b)) return NULL;
                r = *pm__byte_child(x, b);
                continue;
            }
            r = *pm__line_part((const pm__line *)node, *s);
            pm__ref_prefetch_part(r);
            node = pm__ref_ptr(r);
            if (PM__UNLIKELY(pm__ref_kind(r) != PM__LINE)) continue;
        }
        const pm__line *x = (const pm__line *)node;
        if (x->plen) {
            if (!pm__line_in_prefix(x, s, (size_t)(end - s))) return NULL;
            s += x->plen;
            if (s == end) return pm__line_has_e(x) ? pm__line_val(x, 0) : NULL;
        }
        size_t left = (size_t)(end - s) - 1;
        uint64_t kw = left >= 8 ? pm__load64le(s + 1) : pm__load64le(end - 8) >> (8 * (8 - left) & 63);
        int i = pm__line_probe(x, s, left + 1, kw);
        if (i < 0) return NULL;
        if (!pm__line_is_child(x, (unsigned)i)) return pm__line_val(x, (unsigned)i);
        s += pm__line_lens(x)[i] + 1u;
        r = *pm__line_child(x, (unsigned)i);
    }
    return NULL;
}

/* The value at a key of any length > 0, or NULL. Short keys are moved to where eight bytes before their end can be
   read, so that the walk needs no careful case. */
static PM__INLINE const pm_val *pm__trie_get(pm__ref r, const uint8_t *s, size_t len) {
    pm__key_room room;
    s = pm__ent_key_start(s, len, &room);
    return pm__trie_get_from(r, s, s + len);
}

/* ---- looking before a change --------------------------------------------------------------------------------- */

/* What a read-only walk along a path tells. */
typedef struct pm__survey {
    bool exists;
    bool childless;    /* nothing below the location (meaningful if it exists) */
    const pm_val *val; /* value at the location, or NULL */
    size_t keep;       /* if it exists: the longest proper prefix that has a value or another child, else 0 */
} pm__survey;

static void pm__survey_line(const pm__line *x, const pm__line_seek *k, size_t rest, pm__survey *v) {
    size_t ln = pm__line_suffix(x, k->lo);
    if (k->lo < k->hi && ln == rest && !pm__line_is_child(x, k->lo)) v->val = pm__line_val(x, k->lo);
    v->childless = v->val ? k->hi - k->lo == 1
                          : k->hi - k->lo == 1 && ln == rest && *pm__line_child(x, k->lo) == 0;
}

/* The longest common prefix that the entries before lo and from hi on share with s[0..len); SIZE_MAX if there are
   none. */
static size_t pm__trie_line_neighbours(const pm__line *x, unsigned lo, unsigned hi, const uint8_t *s, size_t len) {
    size_t best = SIZE_MAX;
    bool less;
    if (lo > 0) best = pm__line_compare(x, lo - 1, pm__line_off(x, lo - 1), s, len, &less);
    if (hi < x->n) {
        size_t m = pm__line_compare(x, hi, pm__line_off(x, hi), s, len, &less);
        if (best == SIZE_MAX || m > best) best = m;
    }
    return best;
}

/* Looks at the location s[0..len), len > 0. */
static pm__survey pm__trie_survey(pm__ref r, const uint8_t *s, size_t len) {
    pm__survey v = {false, false, NULL, 0}, none = {false, false, NULL, 0};
    size_t base = 0;
    while (r) {
        pm__ref_prefetch(r);
        size_t rest = len - base;
        if (pm__ref_kind(r) == PM__RANGE) { /* other parts lead on as well */
            v.keep = base;
            r = *pm__line_part((const pm__line *)pm__ref_ptr(r), s[base]);
            continue;
        }
        if (pm__ref_kind(r) != PM__LINE) {
            const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
            uint8_t b = s[base];
            bool c = pm__byte_has_child(x, b), w = pm__byte_has_val(x, b);
            if (!c && !w) return none;
            if (x->nc + x->nv > c + w) v.keep = base;
            base++;
            r = c ? *pm__byte_child(x, b) : 0;
            if (base < len) {
                if (w) v.keep = base;
                continue;
            }
            v.exists = true;
            v.val = w ? pm__byte_val(x, b) : NULL;
            v.childless = r == 0;
            return v;
        }
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        const uint8_t *t = s + base;
        if (rest <= x->plen) {
            bool e = rest == x->plen && pm__line_has_e(x);
            if (memcmp(pm__line_heap(x), t, rest) != 0) return none;
            v.exists = true;
            v.val = e ? pm__line_val(x, 0) : NULL;
            v.childless = e && x->n == 1;
            return v;
        }
        if (memcmp(pm__line_heap(x), t, x->plen) != 0) return none;
        t += x->plen, rest -= x->plen;
        pm__line_seek k = pm__line_find(x, t, rest);
        unsigned lo = k.lo, hi = k.hi;
        if (lo == hi) {
            if (k.child < 0) return none;
            lo = (unsigned)k.child, hi = lo + 1;
        }
        size_t upto = k.lo == k.hi ? pm__line_suffix(x, lo) : rest; /* a value beside the child counts as neighbour */
        size_t agree = pm__trie_line_neighbours(x, lo, hi, t, upto);
        if (agree != SIZE_MAX) v.keep = base + x->plen + agree;
        if (k.lo != k.hi) {
            v.exists = true;
            pm__survey_line(x, &k, rest, &v);
            return v;
        }
        base += x->plen + upto;
        r = *pm__line_child(x, lo);
    }
    return none;
}
/* ---- inserting ----------------------------------------------------------------------------------------------- */

/* The child through which a path that exists goes on, for changing it. NULL: no memory. */
static pm__ref *pm__trie_step(const pm__cx *cx, pm__ref *slot, const uint8_t *s, size_t len, size_t *used) {
    if (pm__ref_kind(*slot) == PM__RANGE) {
        *used = 0;
        return pm__line_part((const pm__line *)pm__ref_ptr(*slot), s[0]);
    }
    if (pm__ref_kind(*slot) != PM__LINE) {
        *used = 1;
        return pm__byte_child_mut(cx, (pm__byte *)pm__ref_ptr(*slot), s[0]);
    }
    const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
    pm__line_seek k = pm__line_find(x, s + x->plen, len - x->plen);
    *used = x->plen + pm__line_suffix(x, (unsigned)k.child);
    return pm__line_child(x, (unsigned)k.child);
}

/* A walk down to where a payload goes, a node at a time, so that several can go side by side. Nodes on the way are made
   unshared; nothing else changes before pm__put_end. */
typedef struct pm__put {
    pm__ref *slot;         /* of the node to look at, from which the rest of the key leads on */
    const uint8_t *s;      /* the rest; eight bytes before s + len are readable */
    size_t len;            /* > 0 */
    pm__above up;
    const void *in, *over; /* the nodes that `slot` and `up.slot` lie in; NULL: outside all */
    int at;                /* at the end: the entry of a line that has a value for the key, or -1 */
    int before;            /* at the end, if that is known: the entry of a line that the new one goes before; or -1 */
    bool over_value;       /* at the end: the key has a value */
    bool dangles;          /* at the end: a dangling location is on the way */
    bool memory;           /* false at the end: there was none */
} pm__put;

/* `s` as pm__ent_key_start gives it. */
static PM__INLINE pm__put pm__put_begin(pm__ref *root, const uint8_t *s, size_t len) {
    pm__put p = {root, s, len, {NULL, 0, false}, NULL, NULL, -1, -1, false, false, true};
    return p;
}

/* Whether what a line says of a key is the last word: a value, or nothing that leads on. */
static PM__INLINE bool pm__put_stops(pm__put *p, const pm__line *x) {
    p->at = -1;
    if (pm__line_in_prefix(x, p->s, p->len)) {
        const uint8_t *t = p->s + x->plen;
        size_t rest = p->len - x->plen;
        if (rest) p->at = pm__line_probe(x, t, rest, pm__ent_key_word(t + 1, t + rest));
        else if (pm__line_has_e(x)) p->at = 0;
    }
    if (p->at < 0) return true;
    p->over_value = !pm__line_is_child(x, (unsigned)p->at);
    p->dangles = !p->over_value && !*pm__line_child(x, (unsigned)p->at);
    return p->over_value || p->dangles;
}

/* Whether what a node that is no line says of a key is the last word: a value. */
static PM__INLINE bool pm__put_meets(pm__put *p, pm__ref r, bool child) {
    if (p->len > 1 || child || pm__ref_kind(r) == PM__RANGE) return false;
    return p->over_value = pm__byte_has_val((const pm__byte *)pm__ref_ptr(r), *p->s);
}

/* Goes one node further. False: the end is reached. */
static PM__INLINE bool pm__put_step(const pm__cx *cx, pm__put *p, bool child) {
    pm__ref r = *p->slot, *next;
    p->over_value = p->dangles = false;
    if (!r) return false;
    const bool line = pm__ref_kind(r) == PM__LINE;
    if (line ? pm__put_stops(p, (const pm__line *)pm__ref_ptr(r)) : pm__put_meets(p, r, child)) return false;
    if (!pm__any_own(cx, p->slot)) return p->memory = false;
    void *node = pm__ref_ptr(*p->slot);
    if (line) {
        pm__line *x = (pm__line *)node;
        size_t used = x->plen + pm__line_suffix(x, (unsigned)p->at);
        p->up.slot = p->slot, p->up.i = (unsigned)p->at, p->up.range = false;
        next = pm__line_child(x, (unsigned)p->at);
        p->s += used, p->len -= used;
    } else if (PM__UNLIKELY(pm__ref_kind(r) == PM__RANGE)) {
        pm__line *x = (pm__line *)node;
        p->up.slot = p->slot, p->up.i = pm__line_part_index(x, *p->s), p->up.range = true;
        next = pm__line_part_at(x, p->up.i);
    } else {
        pm__byte *x = (pm__byte *)node;
        uint8_t b = *p->s;
        const bool has = pm__byte_has_child(x, b);
        p->dangles = has && !*pm__byte_child(x, b);
        if (p->len == 1 || !has || p->dangles) return false;
        if (!(next = pm__byte_child_mut(cx, x, b))) return p->memory = false;
        p->up.slot = NULL, p->up.range = false;
        p->s++, p->len--;
    }
    p->over = p->in, p->in = node;
    p->slot = next;
    return true;
}

/* All steps down to where a key is, or its way ends. */
static PM__NOINLINE void pm__put_go(const pm__cx *cx, pm__put *p) {
    do pm__ref_prefetch(*p->slot);
    while (pm__put_step(cx, p, false));
}

/* The value that the walk has come upon, for changing it; in unit maps only for reading. NULL: no memory. */
static PM__INLINE pm_val *pm__put_val(const pm__cx *cx, pm__put *p) {
    if (!cx->unit && !pm__any_own(cx, p->slot)) return NULL;
    void *node = pm__ref_ptr(*p->slot);
    if (pm__ref_kind(*p->slot) != PM__LINE) return pm__byte_val((pm__byte *)node, *p->s);
    return (pm_val *)(uintptr_t)pm__line_val((pm__line *)node, (unsigned)p->at);
}

/* Stores the payload where the walk has ended: a value (the replaced one goes to *old), or a child at a location that
   does not exist. `dangles` is NULL, or a dangling location stays and is told of there. False: nothing changed, for
   want of memory or because of that. */
static PM__INLINE bool pm__put_end(const pm__cx *cx, pm__put *p, bool child, uint64_t pay, pm_opt *old,
                                   bool *dangles) {
    if (!p->memory) return false;
    if (p->over_value) {
        pm_val *v = pm__put_val(cx, p);
        if (!v) return false;
        old->some = true, old->val = *v;
        if (!cx->unit) *v = pay;
        return true;
    }
    if (dangles && p->dangles) {
        *dangles = true;
        return false;
    }
    if (!*p->slot) return (*p->slot = pm__any_chain(cx, p->s, p->len, child, pay)) != 0;
    if (pm__ref_kind(*p->slot) != PM__LINE)
        return pm__add_byte(cx, p->slot, p->s, p->len, child, pay, p->in, p->over, p->up.range);
    pm__add a;
    a.up = p->up;
    a.before = p->before;
    a.dangles = dangles;
    if (!pm__add_make(cx, &a, p->s, p->len, child, pay)) return false;
    if (pm__add_line(cx, p->slot, &a)) return true;
    pm__add_undo(&a);
    return false;
}

/* Stores a payload at s[0..len), len > 0: a value (the replaced one goes to *old), or a child at a location that does
   not exist. False: no memory, nothing changed. */
static bool pm__trie_put(const pm__cx *cx, pm__ref *slot, const uint8_t *s, size_t len, bool child, uint64_t pay,
                         pm_opt *old) {
    pm__key_room room;
    pm__put p = pm__put_begin(slot, pm__ent_key_start(s, len, &room), len);
    do {
        if (p.up.range) pm__ref_prefetch_part(*p.slot);
        else pm__ref_prefetch(*p.slot);
    } while (pm__put_step(cx, &p, child));
    return pm__put_end(cx, &p, child, pay, old, NULL);
}

/* ---- changing what exists ------------------------------------------------------------------------------------ */

/* The node in which an existing location lies, all nodes from the root to it being unshared. */
typedef struct pm__spot {
    pm__ref *slot;   /* NULL: no memory */
    pm__ref *parent; /* slot of the node above, or NULL */
    size_t base, parent_base; /* bytes of path above each */
} pm__spot;

static pm__spot pm__trie_reach(const pm__cx *cx, pm__ref *slot, const uint8_t *s, size_t len) {
    pm__spot at = {slot, NULL, 0, 0};
    for (;;) {
        if (!pm__any_own(cx, at.slot)) break;
        size_t rest = len - at.base, used;
        const uint8_t *t = s + at.base;
        if (pm__ref_kind(*at.slot) != PM__LINE) {
            if (rest == 1 && pm__ref_kind(*at.slot) != PM__RANGE) return at;
        } else {
            const pm__line *x = (const pm__line *)pm__ref_ptr(*at.slot);
            if (rest <= x->plen || pm__line_find(x, t + x->plen, rest - x->plen).child < 0) return at;
        }
        at.parent = at.slot;
        at.parent_base = at.base;
        if (!(at.slot = pm__trie_step(cx, at.parent, t, rest, &used))) break;
        at.base += used;
    }
    at.slot = NULL;
    return at;
}

/* The value at s[0..len), len > 0, which exists, for changing it. NULL: no memory. */
static pm_val *pm__trie_val_mut(const pm__cx *cx, pm__ref *root, const uint8_t *s, size_t len) {
    pm__spot at = pm__trie_reach(cx, root, s, len);
    if (!at.slot) return NULL;
    const uint8_t *t = s + at.base;
    if (pm__ref_kind(*at.slot) != PM__LINE) return pm__byte_val((const pm__byte *)pm__ref_ptr(*at.slot), *t);
    const pm__line *x = (const pm__line *)pm__ref_ptr(*at.slot);
    pm__line_seek k = pm__line_find(x, t + x->plen, len - at.base - x->plen);
    return pm__line_pay_at(x, k.lo);
}

/* The node at `at` has lost its last entry: empties its slot. What remains is a dangling location, unless a value sits
   there, or nothing at all if it was the root. */
static void pm__trie_hollow(const pm__cx *cx, const pm__spot *at, const uint8_t *s) {
    *at->slot = 0;
    if (!at->parent) return;
    const uint8_t *t = s + at->parent_base;
    if (pm__ref_kind(*at->parent) == PM__RANGE) {
        pm__parts_drop(cx, at->parent, pm__line_part_index((const pm__line *)pm__ref_ptr(*at->parent), *t));
        return;
    }
    if (pm__ref_kind(*at->parent) != PM__LINE) {
        pm__byte *x = (pm__byte *)pm__ref_ptr(*at->parent);
        if (!pm__byte_has_val(x, *t)) return;
        (void)pm__byte_del_child(cx, &x, *t); /* its block is ours since the way down: cannot fail */
        *at->parent = pm__byte_ref(x);
        pm__change_settle_byte(cx, at->parent);
        return;
    }
    const pm__line *x = (const pm__line *)pm__ref_ptr(*at->parent);
    pm__line_seek k = pm__line_find(x, t + x->plen, at->base - at->parent_base - x->plen);
    if (k.hi - k.lo == 2) pm__change_erase(cx, at->parent, k.lo + 1, k.hi);
}

/* Payloads taken out of a line, to be released once the change has succeeded. */
typedef struct pm__loot {
    unsigned n;
    pm__ent ents[PM__LINE_ENTRIES];
} pm__loot;

static void pm__loot_take(pm__loot *l, const pm__line *x, unsigned lo, unsigned hi) {
    pm__ent all[PM__LINE_ENTRIES];
    pm__line_decode(x, all);
    l->n = hi - lo;
    memcpy(l->ents, all + lo, l->n * sizeof *all);
}

static void pm__loot_release(const pm__cx *cx, const pm__loot *l) {
    for (unsigned i = 0; i < l->n; i++) pm__pay_release(cx, l->ents[i].child, l->ents[i].pay);
}

static bool pm__cut_byte(const pm__cx *cx, const pm__spot *at, const uint8_t *s) {
    pm__byte *x = (pm__byte *)pm__ref_ptr(*at->slot);
    uint8_t b = s[at->base];
    pm__ref child = 0;
    if (pm__byte_has_child(x, b)) {
        pm__ref *c = pm__byte_child_mut(cx, x, b);
        if (!c) return false;
        child = *c;
        (void)pm__byte_del_child(cx, &x, b); /* its block is ours: cannot fail */
    }
    if (pm__byte_has_val(x, b)) {
        pm__pay_release(cx, false, *pm__byte_val(x, b));
        pm__byte_del_val(cx, &x, b);
    }
    *at->slot = pm__byte_ref(x);
    pm__any_release(cx, child);
    if (x->nc + x->nv == 0) {
        pm__byte_discard(x);
        pm__trie_hollow(cx, at, s);
    } else {
        pm__change_settle_byte(cx, at->slot);
    }
    return true;
}

static bool pm__cut_line(const pm__cx *cx, const pm__spot *at, const uint8_t *s, size_t keep) {
    pm__line *x = (pm__line *)pm__ref_ptr(*at->slot);
    const uint8_t *t = s + at->base + x->plen;
    size_t rest = keep + 1 - at->base, d = keep - at->base;
    unsigned lo = 0, hi = x->n;
    if (rest > x->plen) {
        pm__line_seek k = pm__line_find(x, t, rest - x->plen);
        lo = k.lo, hi = k.hi;
    }
    pm__loot loot;
    if (hi - lo == x->n) { /* all of it */
        pm__ref stub = 0, old = *at->slot;
        if (d > 0 && !(stub = pm__any_line_single(cx, s + at->base, d, true, 0))) return false;
        if (stub) *at->slot = stub;
        else pm__trie_hollow(cx, at, s);
        pm__any_release(cx, old);
        return true;
    }
    pm__loot_take(&loot, x, lo, hi);
    if (d <= x->plen || pm__trie_line_neighbours(x, lo, hi, t, rest - x->plen) >= d - x->plen) {
        pm__change_erase(cx, at->slot, lo, hi);
    } else { /* nothing else holds the place that must stay */
        pm__ent ents[PM__LINE_ENTRIES];
        pm__line_decode(x, ents);
        ents[lo] = pm__ent_make(t, d - x->plen, true, 0);
        memmove(ents + lo + 1, ents + hi, (x->n - hi) * sizeof *ents);
        if (!pm__change_replace(cx, at->slot, pm__line_heap(x), x->plen, ents, x->n - (hi - lo) + 1)) return false;
    }
    pm__loot_release(cx, &loot);
    return true;
}

/* The last nodes of a way down, by their slots; all are unshared. */
enum { PM__WAY = 4 };

typedef struct pm__way {
    unsigned n; /* nodes on the way; the last PM__WAY of them are known */
    pm__ref *slot[PM__WAY];
} pm__way;

static PM__INLINE void pm__way_push(pm__way *w, pm__ref *slot) { w->slot[w->n++ % PM__WAY] = slot; }

/* Something has gone from the last node of a way: takes into it, and into those above, what has become small enough.
   Content does not change, and having no memory is no failure. */
static PM__NOINLINE void pm__way_gather(const pm__cx *cx, const pm__way *w) {
    for (unsigned up = 0; up < w->n && up < PM__WAY; up++) {
        pm__ref *slot = w->slot[(w->n - 1 - up) % PM__WAY];
        bool changed = up == 0, part = up + 1 == PM__WAY && w->n > PM__WAY; /* as far as is known */
        if (!part && up + 1 < w->n) part = pm__ref_kind(*w->slot[(w->n - 2 - up) % PM__WAY]) == PM__RANGE;
        while (pm__build_gather_part(cx, slot, PM__GATHER_SHARED, part)) changed = true;
        if (!changed || up + 1 == w->n || up + 1 == PM__WAY) return;
        if (!pm__gather_fits(*w->slot[(w->n - 2 - up) % PM__WAY], *slot)) return;
    }
}

/* The same for the node that has the location s[0..len), or what is left of it, and for the node right below it. */
static void pm__trie_gather(const pm__cx *cx, pm__ref *slot, const uint8_t *s, size_t len) {
    pm__way w = {0, {NULL}};
    while (*slot && pm__ref_is_unique(*slot)) {
        pm__way_push(&w, slot);
        if (len == 0) break;
        if (pm__ref_kind(*slot) == PM__RANGE) {
            slot = pm__line_part((const pm__line *)pm__ref_ptr(*slot), *s);
            continue;
        }
        if (pm__ref_kind(*slot) != PM__LINE) {
            pm__byte *x = (pm__byte *)pm__ref_ptr(*slot);
            if (!pm__byte_has_child(x, *s)) break;
            if (pm__byte_is_wide(x) && !pm__ref_count_is_one(&pm__byte_block(x, *s >> 4)->rc)) break;
            slot = pm__byte_child(x, *s);
            s++, len--;
            continue;
        }
        const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
        if (len <= x->plen || memcmp(pm__line_heap(x), s, x->plen) != 0) break;
        s += x->plen, len -= x->plen;
        pm__line_seek k = pm__line_find(x, s, len);
        int i = k.lo < k.hi ? (int)k.hi - 1 : k.child;
        if (i < 0 || !pm__line_is_child(x, (unsigned)i) || pm__line_suffix(x, (unsigned)i) > len) break;
        s += pm__line_suffix(x, (unsigned)i), len -= pm__line_suffix(x, (unsigned)i);
        slot = pm__line_child(x, (unsigned)i);
    }
    pm__way_gather(cx, &w);
}

/* Removes the location s[0..keep], which exists, with all below it; s[0..keep) goes on to exist. False: no memory. */
static bool pm__trie_cut(const pm__cx *cx, pm__ref *root, const uint8_t *s, size_t keep) {
    pm__spot at = pm__trie_reach(cx, root, s, keep + 1);
    if (!at.slot) return false;
    bool byte = pm__ref_kind(*at.slot) != PM__LINE;
    if (!(byte ? pm__cut_byte(cx, &at, s) : pm__cut_line(cx, &at, s, keep))) return false;
    pm__trie_gather(cx, root, s, keep);
    return true;
}

/* The simple removal with pruning, in one walk: a value in a node that keeps other entries, all nodes above being
   unshared. Pruning then ends inside the node by itself. False, and nothing changed, where it is not as simple as
   that. */
static bool pm__trie_take(const pm__cx *cx, pm__ref *slot, const uint8_t *s, size_t len, pm_opt *old) {
    pm__way way;
    way.n = 0;
    while (*slot && pm__ref_is_unique(*slot)) {
        pm__ref_prefetch(*slot);
        pm__way_push(&way, slot);
        if (pm__ref_kind(*slot) == PM__RANGE) {
            slot = pm__line_part((const pm__line *)pm__ref_ptr(*slot), *s);
            continue;
        }
        if (pm__ref_kind(*slot) != PM__LINE) {
            pm__byte *x = (pm__byte *)pm__ref_ptr(*slot);
            uint8_t b = *s;
            if (len > 1) {
                if (!pm__byte_has_child(x, b)) return false;
                if (pm__byte_is_wide(x) && !pm__ref_count_is_one(&pm__byte_block(x, b >> 4)->rc)) return false;
                slot = pm__byte_child(x, b);
                s++, len--;
                continue;
            }
            if (!pm__byte_has_val(x, b) || x->nc + x->nv < 2) return false;
            if (pm__byte_has_child(x, b) && !*pm__byte_child(x, b)) return false; /* dangles: it is to go as well */
            old->val = *pm__byte_val(x, b), old->some = true;
            pm__byte_del_val(cx, &x, b);
            *slot = pm__byte_ref(x);
            if (pm__gather_is_due(x->nc + x->nv + 0u, false)) pm__way_gather(cx, &way);
            return true;
        }
        const pm__line *x = (const pm__line *)pm__ref_ptr(*slot);
        if (!pm__line_in_prefix(x, s, len)) return false;
        s += x->plen, len -= x->plen;
        int i = len ? pm__line_probe(x, s, len, pm__load_upto8(s + 1, len - 1)) : pm__line_has_e(x) - 1;
        if (i < 0) return false;
        if (pm__line_is_child(x, (unsigned)i)) {
            s += pm__line_lens(x)[i] + 1u, len -= pm__line_lens(x)[i] + 1u;
            slot = pm__line_child(x, (unsigned)i);
            continue;
        }
        if (x->n < 2) return false; /* entries that go on from here keep the location, others the node */
        old->val = *pm__line_val(x, (unsigned)i), old->some = true;
        unsigned left = x->n - 1u;
        pm__change_erase(cx, slot, (unsigned)i, (unsigned)i + 1);
        if (pm__gather_is_due(left, true)) pm__way_gather(cx, &way);
        return true;
    }
    return false;
}

/* Removes the value at s[0..len), len > 0, which exists, without releasing it; the location stays. False: no memory. */
static bool pm__trie_unset(const pm__cx *cx, pm__ref *root, const uint8_t *s, size_t len) {
    pm__spot at = pm__trie_reach(cx, root, s, len);
    if (!at.slot) return false;
    const uint8_t *t = s + at.base;
    if (pm__ref_kind(*at.slot) != PM__LINE) {
        pm__byte *x = (pm__byte *)pm__ref_ptr(*at.slot);
        bool ok = pm__byte_has_child(x, *t) || pm__byte_add_child(cx, &x, *t, 0);
        if (ok) pm__byte_del_val(cx, &x, *t);
        *at.slot = pm__byte_ref(x);
        if (ok && pm__gather_is_due(x->nc + x->nv + 0u, false)) pm__trie_gather(cx, root, s, len);
        return ok;
    }
    pm__line *x = (pm__line *)pm__ref_ptr(*at.slot);
    size_t rest = len - at.base - x->plen;
    pm__line_seek k = pm__line_find(x, t + x->plen, rest);
    if (k.hi - k.lo > 1) {
        bool due = pm__gather_is_due(x->n - 1u, true);
        pm__change_erase(cx, at.slot, k.lo, k.lo + 1);
        if (due) pm__trie_gather(cx, root, s, len);
        return true;
    }
    if (!cx->unit && rest) {
        x->cmask |= (uint32_t)1 << k.lo;
        *pm__line_pay_at(x, k.lo) = 0;
        return true;
    }
    pm__ent ents[PM__LINE_ENTRIES];
    pm__line_decode(x, ents);
    if (rest == 0) { /* the value at the end of the prefix, and nothing else: the prefix becomes the suffix */
        ents[0] = pm__ent_make(t, x->plen, true, 0);
        return pm__change_replace(cx, at.slot, NULL, 0, ents, 1);
    }
    ents[k.lo].child = true, ents[k.lo].pay = 0;
    return pm__change_replace(cx, at.slot, pm__line_heap(x), x->plen, ents, x->n);
}

/* ---- value and branches of a location ------------------------------------------------------------------------ */

/* At byte b, which leads on: `child` takes the place of the child there, and *val that of the value; NULL: it stays. */
static bool pm__edit_byte(const pm__cx *cx, pm__ref *slot, uint8_t b, const pm_opt *val, pm__ref child) {
    pm__byte *x = (pm__byte *)pm__ref_ptr(*slot);
    const bool had = pm__byte_has_child(x, b), has = pm__byte_has_val(x, b), some = val ? val->some : has;
    const bool bit = child || !some, adds = some && !has;
    pm__ref old = 0, *c = NULL;
    bool ok = !adds || pm__byte_add_val(cx, &x, b, val->val), added = ok && adds;
    if (ok && had) ok = (c = pm__byte_child_mut(cx, x, b)) != NULL;
    else if (ok && bit) ok = pm__byte_add_child(cx, &x, b, child);
    if (ok) { /* nothing from here on can fail: the child's block is ours */
        if (c) old = *c, *c = child;
        if (c && !bit) (void)pm__byte_del_child(cx, &x, b);
        if (val && has) {
            pm__pay_release(cx, false, *pm__byte_val(x, b));
            if (!some) pm__byte_del_val(cx, &x, b);
            else if (!cx->unit) *pm__byte_val(x, b) = val->val;
        }
    } else if (added) {
        pm__byte_del_val(cx, &x, b);
    }
    *slot = pm__byte_ref(x);
    if (!ok) return false;
    pm__any_release(cx, old);
    pm__change_settle_byte(cx, slot);
    return true;
}

/* The same where t[0..rest), counted from the root of a line, is the location. */
static bool pm__edit_line(const pm__cx *cx, pm__ref *slot, const uint8_t *t, size_t rest, const pm_opt *val,
                          pm__ref child) {
    pm__line *x = (pm__line *)pm__ref_ptr(*slot);
    pm__ent ents[PM__LINE_ENTRIES + 2], all[PM__LINE_ENTRIES];
    pm__loot loot;
    unsigned lo = 0, hi = x->n, n;
    size_t plen = 0; /* of a location within the prefix all entries go, and the prefix becomes its suffix */
    if (rest > x->plen) {
        plen = x->plen;
        pm__line_seek k = pm__line_find(x, t + plen, rest - plen);
        lo = k.lo, hi = k.hi;
    }
    const unsigned e = !pm__line_is_child(x, lo) && x->plen + pm__line_suffix(x, lo) == rest;
    if (!val && hi - lo - e == 1 && pm__line_is_child(x, hi - 1) && x->plen + pm__line_suffix(x, hi - 1) == rest &&
        (child || !e)) {
        pm__ref old = *pm__line_child(x, hi - 1);
        *pm__line_child(x, hi - 1) = child;
        pm__any_release(cx, old);
        return true;
    }
    pm__line_decode(x, all);
    pm__loot_take(&loot, x, val ? lo : lo + e, hi);
    memcpy(ents, all, lo * sizeof *all);
    n = lo;
    if (val ? val->some : e) {
        ents[n] = pm__ent_make(t + plen, rest - plen, false, val ? val->val : all[lo].pay);
        ents[n++].fresh = val != NULL;
    }
    if (child || n == lo) ents[n++] = pm__ent_make(t + plen, rest - plen, true, child);
    memcpy(ents + n, all + hi, (x->n - hi) * sizeof *all);
    if (!pm__change_replace(cx, slot, pm__line_heap(x), plen, ents, n + x->n - hi)) return false;
    pm__loot_release(cx, &loot);
    return true;
}

/* Makes the location s[0..len), len > 0, which exists, hold *val (NULL: the value that it has, if any) and `child`,
   which may be 0, in the place of all that is at and below it. The references move into the trie. False: no memory,
   nothing changed. */
static bool pm__trie_edit(const pm__cx *cx, pm__ref *root, const uint8_t *s, size_t len, const pm_opt *val,
                          pm__ref child) {
    pm__spot at = pm__trie_reach(cx, root, s, len);
    if (!at.slot) return false;
    bool byte = pm__ref_kind(*at.slot) != PM__LINE;
    if (!(byte ? pm__edit_byte(cx, at.slot, s[at.base], val, child)
               : pm__edit_line(cx, at.slot, s + at.base, len - at.base, val, child)))
        return false;
    if (!child) pm__trie_gather(cx, root, s, len); /* what was grafted stays whole */
    return true;
}

/* Puts `child` (may be 0) in the place of all that lies strictly below s[0..len), len > 0; the location exists then,
   its value stays. The reference moves into the trie. False: no memory, nothing changed. */
static bool pm__trie_graft(const pm__cx *cx, pm__ref *root, const uint8_t *s, size_t len, pm__ref child) {
    pm_opt none;
    if (!pm__trie_survey(*root, s, len).exists) return pm__trie_put(cx, root, s, len, true, child, &none);
    return pm__trie_edit(cx, root, s, len, NULL, child);
}

/* A value and a child at a location that does not exist. They hang together in a line below the location's parent,
   unless that has children already: then the value goes in first, and taking it out again would need no memory. */
static bool pm__assign_pair(const pm__cx *cx, pm__ref *root, const uint8_t *s, size_t len, pm_val val, pm__ref child) {
    pm__survey up = {true, *root == 0, NULL, 0};
    pm_opt none;
    if (len > 1) up = pm__trie_survey(*root, s, len - 1);
    if (up.exists && !up.childless) {
        if (!pm__trie_put(cx, root, s, len, false, val, &none)) return false;
        if (pm__trie_graft(cx, root, s, len, child)) return true;
        pm__pay_retain(cx, false, val); /* the cut gives up what the trie holds, the caller's reference stays */
        (void)pm__trie_cut(cx, root, s, len - 1);
        return false;
    }
    pm__ent two[2] = {pm__ent_make(s + len - 1, 1, false, val), pm__ent_make(s + len - 1, 1, true, child)};
    pm__ref pair = pm__build_nodes(cx, NULL, 0, two, 2, 0);
    if (!pair) return false;
    if (len == 1) {
        *root = pair;
        return true;
    }
    if (pm__trie_graft(cx, root, s, len - 1, pair)) return true;
    pm__any_chain_undo(pair, 1);
    return false;
}

/* As pm__trie_edit, for a location that need not exist. */
PM__UNUSED static bool pm__trie_assign(const pm__cx *cx, pm__ref *root, const uint8_t *s, size_t len, pm_opt val,
                                       pm__ref child) {
    pm_opt none;
    if (pm__trie_survey(*root, s, len).exists) return pm__trie_edit(cx, root, s, len, &val, child);
    if (val.some && child) return pm__assign_pair(cx, root, s, len, val.val, child);
    return pm__trie_put(cx, root, s, len, !val.some, val.some ? val.val : child, &none);
}
