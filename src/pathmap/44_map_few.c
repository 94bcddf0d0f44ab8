/* Algebra in place where the right side is small: what it has is listed, and the left side is changed key by key, as by
   so many calls that set and remove. The walk over pairs (38_merge_walk.c) opens a frame for every node that both
   sides have in common, which costs more than to find a key by itself, unless there are several keys to a node.

   Nothing may be half done. A subtraction first looks up all keys, asks the hooks, and makes the nodes on the way to
   what changes the map's alone; what then remains cannot fail. A join may run out of memory at any key, and takes back
   then what it has done. That needs no memory: a location that it has made is cut off again at a place that has a value
   or another child, so nothing must be built to keep that place. For the same reason keys that come upon a dangling
   location of the left side are left to the walk, as are right sides that share nodes. */
#include "17_list.c"
#include "39_tally.c"
#include "28_trie.c"
#include "30_merge.c"

enum {
    PM__FEW_WAYS = 4,         /* ways down that are looked at */
    PM__FEW_BITS = 18,        /* so many bits more must the products of the left side have, all ways taken together */
    PM__FEW_HANDFUL = 8,      /* keys that are few in any case */
    PM__FEW_MAX = 1 << 20,    /* keys */
    PM__FEW_LANES = 16,       /* keys that are looked up in turn */
    PM__FEW_KEY_MAX = 1024,   /* bytes from the map's root */
    PM__FEW_DEPTH = 64        /* nodes on a path of the right side */
};

typedef enum pm__few_state { PM__FEW_STAYS, PM__FEW_ADDED, PM__FEW_CHANGES, PM__FEW_GOES } pm__few_state;

/* A location of the right side: one with a value, or a dangling one. */
typedef struct pm__few_key {
    size_t at;     /* in `bytes` */
    uint16_t len;  /* of the whole path; subtract: cut down to that of what goes */
    bool some;     /* the right side has a value */
    uint8_t state;
    pm_val val;    /* the right side's; PM__FEW_CHANGES: the other one, old or new */
} pm__few_key;

typedef struct pm__few {
    const pm__cx *cx;
    pm__ref *root;        /* of the map */
    pm__list keys, bytes; /* of pm__few_key; their paths */
    size_t limit;         /* of keys */
    uint8_t path[PM__FEW_KEY_MAX];
} pm__few;

/* ---- listing the right side ---------------------------------------------------------------------------------- */

static void pm__few_begin(pm__few *f, const pm__cx *cx, pm__ref *root) {
    f->cx = cx;
    f->root = root;
    f->keys = pm__list_of(sizeof(pm__few_key));
    f->bytes = pm__list_of(1);
}

static void pm__few_free(pm__few *f) {
    pm__list_free(&f->keys);
    pm__list_free(&f->bytes);
}

static PM__INLINE pm__few_key *pm__few_at(const pm__few *f, size_t i) {
    return (pm__few_key *)pm__list_at(&f->keys, i);
}
static PM__INLINE const uint8_t *pm__few_path(const pm__few *f, const pm__few_key *k) { return f->bytes.data + k->at; }

/* Appends a key, with the right side's value, if it has one. False: no memory. */
static bool pm__few_put(pm__few *f, const void *s, size_t len, const pm_val *val) {
    pm__few_key k = {f->bytes.used, (uint16_t)len, val != NULL, PM__FEW_STAYS, val ? *val : 0};
    return pm__list_put(&f->bytes, s, len) && pm__list_put(&f->keys, &k, 1);
}

/* Notes the location path[0..len). False: no memory, or too many. */
static bool pm__few_note(pm__few *f, size_t len, const pm_val *val) {
    return f->keys.used < f->limit && pm__few_put(f, f->path, len, val);
}

/* A place of the right side, entered, from which the listing goes on. */
typedef struct pm__few_frame {
    pm_place place;
    unsigned next; /* entry or byte */
    size_t base;   /* bytes of path above the node */
} pm__few_frame;

/* Lists one entry of a line. *child: the node to go on with, whose path then has *len bytes. */
static bool pm__few_entry(pm__few *f, pm__few_frame *t, pm__ref *child, size_t *len) {
    const pm__line *x = pm__place_line(&t->place);
    unsigned i = t->next++;
    size_t ahead = t->place.depth < x->plen ? x->plen - (size_t)t->place.depth : 0;
    size_t skip = ahead ? 0 : pm__place_suffix(&t->place, x), more = pm__line_suffix(x, i) - skip;
    if (t->base + ahead + more > sizeof f->path) return false;
    const uint8_t *h = pm__line_heap(x) + pm__line_off(x, i);
    uint8_t *to = f->path + t->base;
    if (ahead) memcpy(to, pm__line_heap(x) + t->place.depth, ahead), to += ahead;
    if (more && !skip) *to = x->body[i], pm__copy_short(to + 1, h, more - 1);
    else if (more) pm__copy_short(to, h + skip - 1, more);
    *len = t->base + ahead + more;
    if (!pm__line_is_child(x, i)) return pm__few_note(f, *len, pm__line_val(x, i));
    *child = *pm__line_child(x, i);
    return *child || pm__few_note(f, *len, NULL);
}

/* The same for the next byte of a byte node. */
static bool pm__few_byte(pm__few *f, pm__few_frame *t, pm__ref *child, size_t *len) {
    const pm__byte *x = pm__place_byte(&t->place);
    pm_mask m = pm__byte_mask(x);
    int c = pm_mask_next(&m, (int)t->next);
    uint8_t b = (uint8_t)c;
    t->next = 256;
    if (c < 0) return true;
    if (t->base + 1 > sizeof f->path) return false;
    t->next = b + 1u;
    f->path[t->base] = b;
    *len = t->base + 1;
    bool kid = pm__byte_has_child(x, b);
    if (kid && pm__byte_is_wide(x) && !pm__ref_count_is_one(&pm__byte_block(x, b >> 4)->rc)) return false;
    if (pm__byte_has_val(x, b) && !pm__few_note(f, *len, pm__byte_val(x, b))) return false;
    if (kid) *child = *pm__byte_child(x, b);
    return !kid || *child || pm__few_note(f, *len, NULL);
}

/* The parts of a range node; `other`: it is no range node. */
static unsigned pm__few_parts(const pm_place *p, unsigned other) {
    return pm__place_in_range(p) ? pm__place_line(p)->n : other;
}

/* The next part of a range node. */
static bool pm__few_part(pm__few_frame *t, pm__ref *child, size_t *len) {
    *child = *pm__line_part_at(pm__place_line(&t->place), t->next++);
    *len = t->base;
    return true;
}

/* What comes next below the place of a frame: a value or dangling location, which is noted, or *child. False: it is not
   to be done key by key. */
static bool pm__few_next(pm__few *f, pm__few_frame *t, pm__ref *child, size_t *len) {
    if (pm__place_in_line(&t->place)) return pm__few_entry(f, t, child, len);
    return pm__place_in_range(&t->place) ? pm__few_part(t, child, len) : pm__few_byte(f, t, child, len);
}

/* Lists what lies below a place, which stands `len` bytes deep. False: it is not to be done key by key. */
static bool pm__few_list(pm__few *f, pm_place p, size_t len) {
    pm__few_frame stack[PM__FEW_DEPTH];
    unsigned n = 0;
    if (!pm__place_enter(&p)) return true;
    for (;;) {
        bool line = pm__place_in_line(&p);
        pm__few_frame top = {p, line ? p.lo + (p.depth ? pm__place_val_entry(&p, pm__place_line(&p)) : 0) : 0, len};
        pm__ref child = 0;
        if (n == PM__FEW_DEPTH) return false;
        stack[n++] = top;
        while (!child) {
            pm__few_frame *t = &stack[n - 1];
            unsigned end = pm__place_in_line(&t->place) ? t->place.hi : pm__few_parts(&t->place, 256);
            if (t->next >= end) {
                if (--n == 0) return true;
            } else if (!pm__few_next(f, t, &child, &len)) {
                return false;
            }
        }
        if (!pm__ref_is_unique(child)) return false;
        p = pm__place_root(child);
    }
}

/* ---- how much there is --------------------------------------------------------------------------------------- */

/* How many entries a place, entered, has: one of the factors of how much lies below. */
static unsigned pm__few_fan(const pm_place *p) {
    if (pm__place_in_line(p)) return (unsigned)(p->hi - p->lo);
    if (pm__place_in_range(p)) return pm__place_line(p)->n;
    return (unsigned)pm__place_byte(p)->nc + pm__place_byte(p)->nv;
}

/* Goes down from a place of the right side, entered, by a way taken at random, which is left in f->path from `len` on.
   Returns where it ends; *bits: the length of the product of what the nodes on it fan out to. */
static size_t pm__few_stroll(pm__few *f, pm_place p, size_t len, uint64_t dice, unsigned *bits) {
    uint64_t weight = 1;
    for (unsigned depth = 0; p.node && depth < PM__FEW_DEPTH && weight < (uint64_t)1 << 48; depth++) {
        unsigned fan = pm__few_fan(&p), pick;
        weight *= fan;
        dice = (dice ^ dice >> 29) * 0xd6e8feb86659fd93u;
        pick = (unsigned)((dice >> 32) * fan >> 32);
        pm__few_frame t = {p, p.lo + pick, len};
        pm__ref child = 0;
        if (!pm__place_in_line(&p) && !pm__place_in_range(&p)) {
            pm_mask m = pm__byte_mask(pm__place_byte(&p));
            int c = pm_mask_next(&m, (int)(dice >> 56));
            t.next = (unsigned)(c < 0 ? pm_mask_next(&m, 0) : c);
        }
        if (!pm__few_next(f, &t, &child, &len)) break;
        p = pm__place_root(child);
    }
    *bits = 64 - pm__clz64(weight);
    return len;
}

/* The same product for the left side, along s[0..len), as far as that leads. */
static unsigned pm__few_follow(pm_place p, const uint8_t *s, size_t len) {
    uint64_t weight = 1;
    size_t used = 0;
    while (used < len && pm__place_enter(&p) && weight < (uint64_t)1 << 48) {
        weight *= pm__few_fan(&p) * (pm__place_in_range(&p) ? PM__LINE_ENTRIES / 2u : 1u);
        size_t n = pm__place_down(&p, s + used, len - used);
        if (!n) break;
        used += n;
    }
    return 64 - pm__clz64(weight);
}

/* Whether a place has so little below it, in one node, that this need not be compared with anything. */
static bool pm__few_is_handful(const pm_place *p) {
    return pm__place_in_line(p) && !pm__place_line(p)->cmask && p->hi - p->lo <= PM__FEW_HANDFUL;
}

/* Whether the left side has so much more than the right one that most keys of that come to nodes of their own. A few
   ways down are looked at. */
static bool pm__few_is_few(pm__few *f, pm_place a, pm_place b, size_t len) {
    unsigned left = 0, right = 0;
    f->limit = 0; /* nothing is noted yet: a way ends at a value */
    for (unsigned i = 0; i < PM__FEW_WAYS; i++) {
        unsigned bits;
        size_t end = pm__few_stroll(f, b, len, (i + 1) * 0x9e3779b97f4a7c15u, &bits);
        right += bits;
        left += pm__few_follow(a, f->path + len, end - len);
    }
    return left >= right + PM__FEW_BITS;
}

/* Whether more than n values lie below a place; `false` may be wrong. */
static bool pm__few_exceeds(pm_place p, size_t n) {
    if (!pm__place_enter(&p)) return false;
    if (p.depth == 0) return pm__tally_exceeds(p.node, n);
    for (unsigned i = p.lo; i < p.hi; i++) { /* one large child will do */
        const pm__line *x = pm__place_line(&p);
        if (pm__line_is_child(x, i) && pm__tally_exceeds(*pm__line_child(x, i), n)) return true;
    }
    return false;
}

/* Lists the right side if it is small against the left one. `path`: the `len` bytes down to both, from the root of the
   left side's map, *root. False: it is for the walk. */
PM__UNUSED static bool pm__few_open(pm__few *f, const pm__cx *cx, pm__merge_op op, pm__ref *root, const uint8_t *path,
                                    size_t len, const pm_place *a, const pm_place *b) {
    pm__few_begin(f, cx, root);
    pm_place to = *a, from = *b;
    if (!pm__place_enter(&to) || !pm__place_enter(&from) || len > sizeof f->path / 2) return false;
    if (pm__place_in_line(&to) && !pm__place_line(&to)->cmask) return false; /* one node is soon walked */
    if (len) memcpy(f->path, path, len);
    if (!pm__few_is_handful(&from) && !pm__few_is_few(f, to, from, len)) return false;
    f->limit = PM__FEW_MAX;
    /* Something must be left: an empty result is more than a change of nodes. */
    if (pm__few_list(f, from, len) && (op == PM__MERGE_JOIN || pm__few_exceeds(*a, f->keys.used))) return true;
    pm__few_free(f);
    return false;
}

/* ---- looking ------------------------------------------------------------------------------------------------- */

typedef enum pm__few_kind {
    PM__FEW_ABSENT,
    PM__FEW_INNER,   /* it exists, has no value, and something lies below */
    PM__FEW_VALUE,
    PM__FEW_DANGLING /* it, or a prefix of it, is a dangling location */
} pm__few_kind;

/* What a path comes upon. */
typedef struct pm__few_sight {
    pm__few_kind kind;
    bool mine;     /* all nodes on the way have one owner */
    pm_val val;
    size_t used;   /* bytes of the path above `next`; PM__FEW_DANGLING: down to the dangling location */
    pm__ref next;  /* node to look at; 0: none */
} pm__few_sight;

/* The location s[0..rest), rest > 0, in a line of which it does not leave by a child; s begins behind the prefix. */
static pm__few_kind pm__few_look_in_line(const pm__line *x, const uint8_t *s, size_t rest) {
    pm__line_seek k = pm__line_find(x, s, rest);
    if (k.lo == k.hi) return PM__FEW_ABSENT;
    bool end = pm__line_is_child(x, k.lo) && pm__line_suffix(x, k.lo) == rest && !*pm__line_child(x, k.lo);
    return end ? PM__FEW_DANGLING : PM__FEW_INNER;
}

/* Goes one node further on the way to the location s[0..len), `used` bytes of which lie above. False: all is seen. */
static PM__INLINE bool pm__few_look_on(pm__few_sight *v, const uint8_t *s, size_t len) {
    size_t rest = len - v->used;
    pm__ref r = v->next;
    if (!r) return false;
    v->mine = v->mine && pm__ref_is_unique(r);
    v->next = 0;
    if (pm__ref_kind(r) == PM__RANGE) {
        v->next = *pm__line_part((const pm__line *)pm__ref_ptr(r), s[v->used]);
        return true;
    }
    if (pm__ref_kind(r) != PM__LINE) {
        const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
        uint8_t b = s[v->used++];
        bool kid = pm__byte_has_child(x, b);
        if (kid && pm__byte_is_wide(x)) v->mine = v->mine && pm__ref_count_is_one(&pm__byte_block(x, b >> 4)->rc);
        if (kid) r = *pm__byte_child(x, b);
        if (rest == 1 && pm__byte_has_val(x, b)) v->kind = PM__FEW_VALUE, v->val = *pm__byte_val(x, b);
        else if (kid && !r) v->kind = PM__FEW_DANGLING;
        else if (kid && rest == 1) v->kind = PM__FEW_INNER;
        else if (kid) v->next = r;
        return v->next != 0;
    }
    const pm__line *x = (const pm__line *)pm__ref_ptr(r);
    size_t plen = x->plen;
    if (memcmp(pm__line_heap(x), s + v->used, rest < plen ? rest : plen) != 0) return false;
    if (rest <= plen) {
        bool e = rest == plen && pm__line_has_e(x);
        v->kind = e ? PM__FEW_VALUE : PM__FEW_INNER;
        if (e) v->val = *pm__line_val(x, 0);
        return false;
    }
    s += v->used + plen, rest -= plen;
    int i = pm__line_probe(x, s, rest, pm__load_upto8(s + 1, rest - 1));
    if (i < 0) {
        v->kind = pm__few_look_in_line(x, s, rest);
        v->used = len;
    } else if (!pm__line_is_child(x, (unsigned)i)) {
        v->kind = PM__FEW_VALUE;
        v->val = *pm__line_val(x, (unsigned)i);
    } else {
        v->used += plen + pm__line_suffix(x, (unsigned)i);
        v->next = *pm__line_child(x, (unsigned)i);
        if (!v->next) v->kind = PM__FEW_DANGLING;
    }
    return v->next != 0;
}

/* Looks at the locations of up to PM__FEW_LANES keys from the first on, in turn, a node each. Returns how many. */
static size_t pm__few_look(const pm__few *f, size_t first, pm__few_sight *v) {
    size_t left = f->keys.used - first, n = left < PM__FEW_LANES ? left : PM__FEW_LANES;
    const pm__few_key *k = pm__few_at(f, first);
    const pm__few_sight start = {PM__FEW_ABSENT, true, 0, 0, *f->root};
    for (size_t i = 0; i < n; i++) v[i] = start;
    for (bool more = true; more;) {
        more = false;
        for (size_t i = 0; i < n; i++) {
            if (!v[i].next || !pm__few_look_on(&v[i], pm__few_path(f, &k[i]), k[i].len)) continue;
            pm__ref_prefetch(v[i].next);
            more = true;
        }
    }
    return n;
}

/* Takes away the location s[0..len), if it exists, or its value, if something lies below; prunes. What is on the way,
   and at the place where that ends, is unshared, and there is a value or another child there: so this cannot
   fail. The value is released. */
static void pm__few_take(const pm__few *f, const uint8_t *s, size_t len) {
    pm_opt old = {0, false};
    if (!pm__trie_take(f->cx, f->root, s, len, &old)) {
        pm__survey v = pm__trie_survey(*f->root, s, len);
        if (v.exists && v.childless) (void)pm__trie_cut(f->cx, f->root, s, v.keep);
    }
    if (old.some) pm__pay_release(f->cx, false, old.val);
}

/* Swaps the value at the location of a key, all nodes on the way being unshared, with that of the key. */
static void pm__few_swap(const pm__few *f, pm__few_key *k) {
    pm_val *slot = pm__trie_val_mut(f->cx, f->root, pm__few_path(f, k), k->len), old = *slot;
    *slot = k->val;
    k->val = old;
}

/* ---- join ---------------------------------------------------------------------------------------------------- */

/* Takes back what has been done for the first n keys. */
static void pm__few_undo(pm__few *f, size_t n) {
    for (size_t i = 0; i < n; i++) {
        pm__few_key *k = pm__few_at(f, i);
        if (k->state == PM__FEW_ADDED) {
            pm__few_take(f, pm__few_path(f, k), k->len);
        } else if (k->state == PM__FEW_CHANGES) {
            pm__few_swap(f, k);
            pm__pay_release(f->cx, false, k->val);
        }
    }
}

/* Joins one key. *fits: false, and nothing done, if that could not be taken back. */
static pm_status pm__few_join_key(pm__few *f, pm__merge_run *q, pm__few_key *k, const pm__few_sight *v, bool *fits) {
    const uint8_t *s = pm__few_path(f, k);
    pm__merge_val r;
    pm_opt old = {0, false};
    *fits = v->kind != PM__FEW_DANGLING || (!k->some && v->used == k->len);
    if (!*fits || (!k->some && v->kind != PM__FEW_ABSENT)) return PM_OK;
    if (!k->some) {
        if (!pm__trie_put(f->cx, f->root, s, k->len, true, 0, &old)) return PM_NOMEM;
        k->state = PM__FEW_ADDED;
        return PM_OK;
    }
    if (!pm__merge_value(q, v->kind == PM__FEW_VALUE ? &v->val : NULL, &k->val, &r)) return q->status;
    if (r.alg & PM_ALG_LEFT) return PM_OK;
    if (!r.fresh) pm__pay_retain(f->cx, false, r.val);
    if (!pm__trie_put(f->cx, f->root, s, k->len, false, r.val, &old)) {
        pm__pay_release(f->cx, false, r.val);
        return PM_NOMEM;
    }
    k->state = old.some ? PM__FEW_CHANGES : PM__FEW_ADDED;
    if (old.some) k->val = old.val;
    return PM_OK;
}

static pm_status pm__few_join(pm__few *f, pm__merge_run *q, bool *fits, bool *changed) {
    pm_status s = PM_OK;
    pm__few_sight v[PM__FEW_LANES];
    *fits = true;
    *changed = false;
    size_t n = 0, seen = 0, from = 0;
    while (n < f->keys.used) {
        if (n == seen) from = n, seen = n + pm__few_look(f, n, v);
        s = pm__few_join_key(f, q, pm__few_at(f, n), &v[n - from], fits);
        if (s != PM_OK || !*fits) break;
        *changed = *changed || pm__few_at(f, n)->state != PM__FEW_STAYS;
        n++;
    }
    if (n < f->keys.used) pm__few_undo(f, n);
    else
        for (size_t i = 0; i < n; i++)
            if (pm__few_at(f, i)->state == PM__FEW_CHANGES) pm__pay_release(f->cx, false, pm__few_at(f, i)->val);
    return s;
}

/* ---- subtract ------------------------------------------------------------------------------------------------ */

/* Makes the nodes on the way to a location that exists, and at it, unshared. False: no memory. */
static bool pm__few_own(const pm__few *f, const uint8_t *s, size_t len) {
    pm__spot at = pm__trie_reach(f->cx, f->root, s, len);
    if (!at.slot) return false;
    if (pm__ref_kind(*at.slot) == PM__LINE) return true;
    pm__byte *x = (pm__byte *)pm__ref_ptr(*at.slot);
    return !pm__byte_has_child(x, s[len - 1]) || pm__byte_child_mut(f->cx, x, s[len - 1]);
}

/* Works out what a key does, and prepares for it. */
static pm_status pm__few_sub_key(pm__few *f, pm__merge_run *q, pm__few_key *k, const pm__few_sight *v) {
    if (v->kind == PM__FEW_DANGLING) { /* the right side has its path */
        k->len = (uint16_t)v->used;
        k->state = PM__FEW_GOES;
    } else {
        pm__merge_val r;
        if (v->kind != PM__FEW_VALUE || !k->some) return PM_OK;
        if (!pm__merge_value(q, &v->val, &k->val, &r)) return q->status;
        if (r.some && (r.alg & PM_ALG_LEFT)) return PM_OK;
        k->state = r.some ? PM__FEW_CHANGES : PM__FEW_GOES;
        if (r.some && !r.fresh) pm__pay_retain(f->cx, false, r.val);
        if (r.some) k->val = r.val;
    }
    return v->mine || pm__few_own(f, pm__few_path(f, k), k->len) ? PM_OK : PM_NOMEM;
}

static pm_status pm__few_sub(pm__few *f, pm__merge_run *q, bool *changed) {
    pm_status s = PM_OK;
    pm__few_sight v[PM__FEW_LANES];
    *changed = false;
    for (size_t i = 0, seen = 0, from = 0; i < f->keys.used && s == PM_OK; i++) {
        if (i == seen) from = i, seen = i + pm__few_look(f, i, v);
        s = pm__few_sub_key(f, q, pm__few_at(f, i), &v[i - from]);
        *changed = *changed || pm__few_at(f, i)->state != PM__FEW_STAYS;
    }
    for (size_t i = 0; i < f->keys.used && *changed; i++) {
        pm__few_key *k = pm__few_at(f, i);
        if (k->state == PM__FEW_GOES && s == PM_OK) pm__few_take(f, pm__few_path(f, k), k->len);
        if (k->state != PM__FEW_CHANGES) continue;
        if (s == PM_OK) pm__few_swap(f, k);
        pm__pay_release(f->cx, false, k->val);
    }
    return s;
}

/* Joins, or subtracts, key by key. *fits: false, and nothing changed, if it is for the walk. *changed: whether the
   left side did. PM_NOMEM, PM_BADHOOK: nothing changed. */
PM__UNUSED static pm_status pm__few_run(pm__few *f, pm__merge_op op, bool *fits, bool *changed) {
    pm__merge_run q;
    memset(&q, 0, sizeof q);
    q.cx = f->cx;
    q.op = op;
    *fits = true;
    return op == PM__MERGE_JOIN ? pm__few_join(f, &q, fits, changed) : pm__few_sub(f, &q, changed);
}
