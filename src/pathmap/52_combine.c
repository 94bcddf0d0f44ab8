/* Formulas over many maps: one walk over the edges (29_compare.c) of up to 64 places.

   The sides of a frame are the places that the maps have at one path, as far as they can matter there. Their edges are
   merged in order: the first one names a location, and every side whose edge begins with it has that location, too. So
   a location comes with the set of maps that have it, and with those that have a value, or something below: two words,
   on which the formula is decided.

     no clause has all of its maps            nothing comes of what is below
     what is left of the formula is one map   its subtrie is shared
     .. or names hardly any map twice         operations on two make it (38_merge_walk.c)
     else                                     a frame for the places below

   What stays of a frame is a list of entries, from which nodes are built when it closes. Sets of shared nodes are
   remembered, with what came of them. */
#include "45_map_algebra.c"
#include "29_compare.c"
#include "52_combine.h"

typedef struct pm__combine_side {
    pm__edges edges;
    unsigned map;
} pm__combine_side;

typedef struct pm__combine_frame {
    pm__ent label;      /* of what comes of it, in the frame above */
    size_t sides, ents; /* where its own begin in the lists */
    size_t path;        /* callbacks: length of the path to it; */
    size_t told;        /* and of how many keys had been told before */
    size_t known;       /* what it is remembered as, plus 1; 0: it is not */
    bool whole;         /* one side, of which all stays */
    bool dangles;       /* its location stays, if nothing comes of what is below */
} pm__combine_frame;

/* A set of shared nodes, and what came of it. */
typedef struct pm__combine_known {
    uint64_t who;
    size_t nodes; /* where they are listed, in the order of the maps */
    pm__ref made;
    bool done;
} pm__combine_known;

/* What an operation on two has made so far: a place, and the reference that holds it; 0: an operand. */
typedef struct pm__combine_part {
    pm_place place;
    pm__ref made;
} pm__combine_part;

/* What the maps have at a location. */
typedef struct pm__combine_spot {
    uint64_t here, vals, below, dangles; /* which maps have it, a value there, something below, nothing */
    uint64_t shared;                     /* of what is below: what may be met again, whatever its count says */
    const pm_val *val[PM_COMBINE_MAX];
    pm_place place[PM_COMBINE_MAX];
} pm__combine_spot;

/* What would take too much of the stack. */
typedef struct pm__combine_room {
    pm__combine_spot spot;                  /* the location that is looked at */
    pm__combine_part part[PM_COMBINE_MAX];  /* what each clause has made of it, */
    pm_place parts[PM_COMBINE_MAX];         /* where it made something */
    pm_place clause[PM_COMBINE_MAX];        /* of one clause: the places that it meets */
} pm__combine_room;

typedef struct pm__combine {
    const pm__cx *cx;
    pm__combine_room *room;
    const pm_formula *formula;
    pm__merge_run values; /* as far as values are combined */
    pm__list frames, sides, ents;
    pm__list words; /* of each side, the first 8 bytes of its edge; all ones if there is none */
    pm__list known, nodes;
    pm__memo memo;
    bool (*fn)(void *ctx, const uint8_t *key, size_t len, pm_val val); /* NULL: a map is made */
    void *ctx;
    pm__list path;
    size_t told;
    bool stopped;
} pm__combine;

static bool pm__combine_fail(pm__combine *c, pm_status s) {
    c->values.status = s;
    return false;
}

/* ---- values ------------------------------------------------------------------------------------------------------ */

/* Combines *a with b; both are used up. False: a hook is wrong or failed, as c->values.status tells, and nothing is
   left. */
static bool pm__combine_two(pm__combine *c, pm__merge_op op, pm__merge_sum *a, pm__merge_sum b) {
    pm__merge_val r;
    c->values.op = op;
    bool ok = pm__merge_value(&c->values, &a->val, &b.val, &r), old = ok && r.some && !r.fresh;
    bool left = old && (r.alg & PM_ALG_LEFT), right = old && !left;
    if (a->fresh && !left) pm__pay_release(c->cx, false, a->val);
    if (b.fresh && !right) pm__pay_release(c->cx, false, b.val);
    a->some = ok && r.some;
    a->fresh = a->some && (r.fresh || (left ? a->fresh : b.fresh));
    if (ok) a->val = r.val;
    return ok;
}

/* The values of some maps, in order: joined, met, or taken from what there is. */
static bool pm__combine_all(pm__combine *c, pm__merge_op op, const pm__combine_spot *s, uint64_t maps,
                            pm__merge_sum *sum) {
    for (; maps; maps &= maps - 1) {
        pm__merge_sum v = {*s->val[pm__ctz64(maps)], true, false};
        if (sum->some) {
            bool same = sum->val == v.val && c->values.idempotent && op != PM__MERGE_SUB;
            if (!same && !pm__combine_two(c, op, sum, v)) return false;
            if (!sum->some) return true;
        } else {
            *sum = v;
        }
    }
    return true;
}

/* What the formula makes of the values at a location. False: as above. */
static bool pm__combine_value(pm__combine *c, const pm__combine_spot *s, bool whole, pm__merge_sum *sum) {
    const pm_formula *f = c->formula;
    sum->val = 0, sum->some = sum->fresh = false;
    if (!s->vals) return true;
    if (whole) return pm__combine_all(c, PM__MERGE_JOIN, s, s->vals & (0 - s->vals), sum);
    if (f->at_least)
        return pm__popcount64(s->vals) < f->at_least || pm__combine_all(c, PM__MERGE_JOIN, s, s->vals, sum);
    for (size_t i = 0; i < f->n; i++) {
        pm__merge_sum v = {0, false, false};
        uint64_t with = f->clauses[i].with, without = f->clauses[i].without & s->vals;
        if (with & ~s->vals) continue;
        bool ok = pm__combine_all(c, PM__MERGE_MEET, s, with, &v);
        if (ok && v.some) ok = pm__combine_all(c, PM__MERGE_SUB, s, without, &v);
        if (ok && v.some && sum->some) ok = pm__combine_two(c, PM__MERGE_JOIN, sum, v);
        else if (ok && v.some) *sum = v;
        else if (!ok && sum->fresh) pm__pay_release(c->cx, false, sum->val);
        if (!ok) return false;
    }
    return true;
}

/* Whether a location that has neither value nor anything below stays. */
static bool pm__combine_dangles(const pm__combine *c, const pm__combine_spot *s, bool whole) {
    const pm_formula *f = c->formula;
    if (whole || !s->dangles) return s->dangles != 0;
    if (f->at_least) return pm__popcount64(s->dangles) >= f->at_least;
    for (size_t i = 0; i < f->n; i++)
        if (!(f->clauses[i].with & ~s->dangles) && !(f->clauses[i].without & s->here)) return true;
    return false;
}

/* ---- deciding ---------------------------------------------------------------------------------------------------- */

typedef enum pm__combine_way {
    PM__COMBINE_NOTHING,
    PM__COMBINE_ONE,
    PM__COMBINE_PAIRS,
    PM__COMBINE_OPEN
} pm__combine_way;

typedef struct pm__combine_choice {
    uint64_t maps; /* that matter */
    unsigned one;
} pm__combine_choice;

/* The first map for each that has something below a location: the first one that has the same there. */
static void pm__combine_alike(const pm__combine *c, const pm__combine_spot *s, uint8_t *first) {
    for (uint64_t m = s->below; m; m &= m - 1) {
        unsigned i = pm__ctz64(m);
        first[i] = (uint8_t)i;
        if (!c->values.idempotent) continue;
        for (uint64_t k = s->below; pm__ctz64(k) < i; k &= k - 1) {
            unsigned j = pm__ctz64(k);
            if (!pm__compare_is_same(&s->place[i], &s->place[j])) continue;
            first[i] = (uint8_t)j;
            break;
        }
    }
}

static uint64_t pm__combine_firsts(uint64_t maps, const uint8_t *first) {
    uint64_t r = 0;
    for (; maps; maps &= maps - 1) r |= (uint64_t)1 << first[pm__ctz64(maps)];
    return r;
}

/* What is left of the clauses below a location. Operations on two see each map as often as the clauses name it.
   (Measured, 16 maps: they take half the instructions of a walk over all if that is once.) */
static pm__combine_way pm__combine_clauses(const pm__combine *c, const pm__combine_spot *s, const uint8_t *first,
                                           pm__combine_choice *out) {
    uint64_t single = 0;
    size_t complex = 0, singles = 0, names = 0;
    out->maps = 0;
    for (size_t i = 0; i < c->formula->n; i++) {
        uint64_t with = c->formula->clauses[i].with, without = c->formula->clauses[i].without & s->below;
        if (with & ~s->below) continue;
        uint64_t one = pm__combine_firsts(with, first);
        bool alone = (one & (one - 1)) == 0;
        out->maps |= with | without; /* further down it must come to nothing again */
        if (alone && without && c->values.idempotent && first[pm__ctz64(without)] == pm__ctz64(one)) continue;
        names += pm__popcount64(with) + pm__popcount64(without);
        if (alone && !without) singles++, single |= one;
        else complex++;
    }
    if (!complex && !singles) return PM__COMBINE_NOTHING;
    out->one = single ? pm__ctz64(single) : 0;
    bool same = !complex && (single & (single - 1)) == 0;
    if (same && (singles == 1 || c->values.idempotent)) return PM__COMBINE_ONE;
    if (complex + singles > PM_COMBINE_MAX) return PM__COMBINE_OPEN;
    return 2 * names <= 3 * (size_t)pm__popcount64(out->maps) ? PM__COMBINE_PAIRS : PM__COMBINE_OPEN;
}

static pm__combine_way pm__combine_decide(const pm__combine *c, const pm__combine_spot *s, bool whole,
                                          pm__combine_choice *out) {
    uint8_t first[PM_COMBINE_MAX];
    out->maps = s->below;
    out->one = s->below ? pm__ctz64(s->below) : 0;
    if (!s->below) return PM__COMBINE_NOTHING;
    if (whole) return PM__COMBINE_ONE;
    unsigned n = pm__popcount64(s->below), least = c->formula->at_least;
    if (least && (n < least || n == 1)) return n < least ? PM__COMBINE_NOTHING : PM__COMBINE_ONE;
    pm__combine_alike(c, s, first);
    if (!least) return pm__combine_clauses(c, s, first, out);
    return pm__combine_firsts(s->below, first) == (uint64_t)1 << out->one ? PM__COMBINE_ONE : PM__COMBINE_OPEN;
}

/* ---- the frames -------------------------------------------------------------------------------------------------- */

/* The first eight bytes of an edge, 0 behind its end. Eight bytes behind an edge's bytes can be read. */
static PM__INLINE uint64_t pm__combine_word(const pm__edge *e) {
    uint64_t w = (uint64_t)e->first << 56;
    if (e->len == 1) return w;
    w |= pm__load64be(e->rest) >> 8;
    return e->len < 8 ? w & ~(UINT64_MAX >> 8 * e->len) : w;
}

/* Whether an edge comes before another one with the same first 8 bytes; one that begins with it comes behind it. */
static PM__INLINE bool pm__combine_before(const pm__edge *a, const pm__edge *b) {
    if (a->len > 8 && b->len > 8) {
        int c = memcmp(a->rest + 7, b->rest + 7, (a->len < b->len ? a->len : b->len) - 8);
        if (c) return c < 0;
    }
    return a->len < b->len;
}

/* The word of a side that has gone on. Prefetches what is below the edge, which comes after what is below the one
   before. */
static PM__INLINE uint64_t pm__combine_word_of(const pm__combine_side *x) {
    if (!x->edges.some) return UINT64_MAX;
    if (x->edges.now.below.node) pm__ref_prefetch(x->edges.now.below.node);
    return pm__combine_word(&x->edges.now);
}

/* Opens a frame with the places of some maps. */
static bool pm__combine_push(pm__combine *c, const pm__combine_spot *s, uint64_t maps, const pm__combine_frame *as) {
    if (!pm__list_put(&c->frames, as, 1)) return pm__combine_fail(c, PM_NOMEM);
    pm__combine_frame *f = (pm__combine_frame *)pm__list_at(&c->frames, c->frames.used - 1);
    f->sides = c->sides.used, f->ents = c->ents.used;
    f->path = c->path.used, f->told = c->told;
    const size_t n = pm__popcount64(maps);
    if (!pm__list_room(&c->sides, n) || !pm__list_room(&c->words, n)) return pm__combine_fail(c, PM_NOMEM);
    for (uint64_t m = maps; m; m &= m - 1) pm__ref_prefetch(s->place[pm__ctz64(m)].node);
    for (; maps; maps &= maps - 1) {
        pm__combine_side *x = (pm__combine_side *)pm__list_at(&c->sides, c->sides.used++);
        x->map = pm__ctz64(maps);
        pm_place p = s->place[x->map];
        if (!p.depth) p = pm__place_root(p.node);
        pm__edges_open(&x->edges, &p);
        *(uint64_t *)pm__list_at(&c->words, c->words.used++) = pm__combine_word_of(x);
    }
    return true;
}

/* Finds what is known of the places of some maps; begins to remember it where the same may come again. *known: its
   number and 1, or 0. False: no memory. */
static bool pm__combine_recall(pm__combine *c, const pm__combine_spot *s, uint64_t maps, size_t *known) {
    uint64_t h = maps, g = ~maps;
    *known = 0;
    for (uint64_t m = maps; m; m &= m - 1) {
        const pm_place *p = &s->place[pm__ctz64(m)];
        uint64_t node = p->node;
        if (p->depth || (!(s->shared & m & (0 - m)) && pm__ref_is_unique(node))) return true;
        h = (h ^ node) * 0x9E3779B97F4A7C15u;
        h ^= h >> 29;
        g = (g + node) * 0xD6E8FEB86659FD93u;
        g ^= g >> 31;
    }
    const uint64_t *at = pm__memo_get(&c->memo, h | 1, g);
    const pm__combine_known *k = at ? (const pm__combine_known *)pm__list_at(&c->known, (size_t)*at - 1) : NULL;
    if (k) {
        size_t i = k->nodes;
        bool same = k->who == maps;
        for (uint64_t m = maps; same && m; m &= m - 1)
            same = *(const uint64_t *)pm__list_at(&c->nodes, i++) == s->place[pm__ctz64(m)].node;
        *known = same ? (size_t)*at : 0;
        return true;
    }
    pm__combine_known made = {maps, c->nodes.used, 0, false};
    for (uint64_t m = maps; m; m &= m - 1)
        if (!pm__list_put(&c->nodes, &s->place[pm__ctz64(m)].node, 1)) return pm__combine_fail(c, PM_NOMEM);
    if (!pm__list_put(&c->known, &made, 1)) return pm__combine_fail(c, PM_NOMEM);
    *known = c->known.used;
    return pm__memo_put(&c->memo, h | 1, g, *known) || pm__combine_fail(c, PM_NOMEM);
}

/* Adds an entry, which becomes the list's. */
static bool pm__combine_add(pm__combine *c, const pm__ent *label, bool child, uint64_t pay) {
    pm__ent e = *label;
    e.child = child;
    e.pay = pay;
    e.fresh = true;
    if (pm__list_put(&c->ents, &e, 1)) return true;
    pm__pay_release(c->cx, child, pay);
    return pm__combine_fail(c, PM_NOMEM);
}

/* Adds what comes of what is below a location; else the location itself, if it dangles. */
static bool pm__combine_add_child(pm__combine *c, const pm__ent *label, pm__ref r, bool dangles) {
    if (c->fn || (!r && !dangles)) return true;
    return pm__combine_add(c, label, true, r);
}

/* ---- by operations on two ---------------------------------------------------------------------------------------- */

/* Joins or meets n > 0 places. Overwrites the list. */
static bool pm__combine_fold(pm__combine *c, pm__merge_op op, pm_place *p, size_t n, pm__combine_part *out) {
    pm__merge_answer r;
    out->place = p[0];
    out->made = 0;
    if (n == 1) return true;
    c->values.op = op;
    if (pm__many_pairs(&c->values, p, n, &r) != PM__MERGE_DONE) return false;
    out->made = r.ref;
    out->place = pm__place_root(r.ref);
    return true;
}

/* Takes a place off a part. */
static bool pm__combine_take_off(pm__combine *c, pm__combine_part *part, const pm_place *p) {
    pm__merge_answer r;
    pm_status st = pm__pairs_run(c->cx, PM__MERGE_SUB, &part->place, p, &r);
    if (st != PM_OK) return pm__combine_fail(c, st);
    if (r.alg < PM_ALG_ELEMENT && (r.alg & PM_ALG_LEFT)) return true;
    if (r.alg == PM_ALG_RIGHT && !pm__place_share(c->cx, p, &r.ref)) return pm__combine_fail(c, PM_NOMEM);
    pm__any_release(c->cx, part->made);
    part->made = r.alg == PM_ALG_NONE ? 0 : r.ref;
    part->place = pm__place_root(part->made);
    return true;
}

/* What a clause makes of what is below a location. On failure nothing is held. */
static bool pm__combine_clause(pm__combine *c, const pm__combine_spot *s, uint64_t with, uint64_t without,
                               pm__combine_part *out) {
    pm_place *p = c->room->clause;
    size_t n = 0;
    for (; with; with &= with - 1) p[n++] = s->place[pm__ctz64(with)];
    if (!pm__combine_fold(c, PM__MERGE_MEET, p, n, out)) return false;
    for (; without && out->place.node; without &= without - 1) {
        if (pm__combine_take_off(c, out, &s->place[pm__ctz64(without)])) continue;
        pm__any_release(c->cx, out->made);
        return false;
    }
    return true;
}

/* What all clauses make of it. */
static bool pm__combine_by_pairs(pm__combine *c, const pm__combine_spot *s, pm__ref *out) {
    pm__combine_part *part = c->room->part, sum = {{0, 0, 0, 0, 0, 0}, 0};
    pm_place *p = c->room->parts;
    size_t n = 0;
    bool ok = true;
    for (size_t i = 0; ok && i < c->formula->n; i++) {
        uint64_t with = c->formula->clauses[i].with, without = c->formula->clauses[i].without & s->below;
        if (with & ~s->below) continue;
        ok = pm__combine_clause(c, s, with, without, &part[n]);
        if (ok && part[n].place.node) p[n] = part[n].place, n++;
    }
    if (ok && n) ok = pm__combine_fold(c, PM__MERGE_JOIN, p, n, &sum);
    if (ok && n == 1) sum.made = part[0].made, part[0].made = 0;
    while (n) pm__any_release(c->cx, part[--n].made);
    *out = sum.made;
    if (!ok || sum.made || !sum.place.node) return ok;
    return pm__place_share(c->cx, &sum.place, out) || pm__combine_fail(c, PM_NOMEM);
}

/* ---- what is below a location ------------------------------------------------------------------------------------ */

/* Makes what is left of the formula below a location, where that needs no frame. */
static bool pm__combine_make(pm__combine *c, const pm__combine_spot *s, const pm__combine_choice *what, bool pairs,
                             pm__ref *out) {
    if (pairs) return pm__combine_by_pairs(c, s, out);
    return pm__place_share(c->cx, &s->place[what->one], out) || pm__combine_fail(c, PM_NOMEM);
}

/* What is below a location: known, made at once, or a frame. */
static bool pm__combine_below(pm__combine *c, const pm__combine_spot *s, bool whole, const pm__ent *label,
                              bool dangles) {
    pm__combine_choice what;
    pm__combine_frame f;
    pm__ref r = 0;
    pm__combine_way way = pm__combine_decide(c, s, whole, &what);
    if (way == PM__COMBINE_NOTHING) return pm__combine_add_child(c, label, 0, dangles);
    if (!c->fn && way != PM__COMBINE_OPEN)
        return pm__combine_make(c, s, &what, way == PM__COMBINE_PAIRS, &r) &&
               pm__combine_add_child(c, label, r, dangles);
    memset(&f, 0, sizeof f);
    f.label = *label;
    f.dangles = dangles;
    f.whole = way == PM__COMBINE_ONE;
    if (f.whole) what.maps = (uint64_t)1 << what.one;
    else if (!pm__combine_recall(c, s, what.maps, &f.known)) return false;
    if (f.known) {
        const pm__combine_known *k = (const pm__combine_known *)pm__list_at(&c->known, f.known - 1);
        if (k->done) {
            pm__ref_retain(k->made);
            return pm__combine_add_child(c, label, k->made, dangles);
        }
    }
    return pm__combine_push(c, s, what.maps, &f);
}

/* ---- the walk ---------------------------------------------------------------------------------------------------- */

/* Which of n words are the same in the bits that matter, as bits. No branch on them. */
static PM__INLINE uint64_t pm__combine_same(const uint64_t *words, size_t n, uint64_t word, uint64_t cares) {
    uint64_t same = 0;
    for (size_t i = 0; i < n; i++) same |= (uint64_t)(((words[i] ^ word) & cares) == 0) << i;
    return same;
}

/* Which side of the top frame has the first edge; NULL: none has any. */
static pm__combine_side *pm__combine_first(const pm__combine *c, const pm__combine_frame *f) {
    pm__combine_side *x = (pm__combine_side *)pm__list_at(&c->sides, f->sides), *min = NULL;
    const uint64_t *words = (const uint64_t *)pm__list_at(&c->words, f->sides);
    const size_t n = c->sides.used - f->sides;
    uint64_t word = UINT64_MAX;
    for (size_t i = 0; i < n; i++) word = words[i] < word ? words[i] : word;
    for (uint64_t m = pm__combine_same(words, n, word, UINT64_MAX); m; m &= m - 1) {
        pm__combine_side *y = x + pm__ctz64(m);
        if (y->edges.some && (!min || pm__combine_before(&y->edges.now, &min->edges.now))) min = y;
    }
    return min;
}

/* Takes the edges of all sides that begin with the first one. *s: what they have at its end. */
static void pm__combine_take(const pm__combine *c, const pm__combine_frame *f, const pm__combine_side *min,
                             pm__combine_spot *s, pm__ent *label) {
    pm__combine_side *sides = (pm__combine_side *)pm__list_at(&c->sides, f->sides);
    uint64_t *words = (uint64_t *)pm__list_at(&c->words, f->sides);
    const pm__edge e = min->edges.now;
    const uint64_t cares = e.len < 8 ? ~(UINT64_MAX >> 8 * e.len) : UINT64_MAX;
    uint64_t m = pm__combine_same(words, c->sides.used - f->sides, words[min - sides], cares);
    s->here = s->vals = s->below = s->dangles = s->shared = 0;
    label->first = e.first, label->rest = e.rest, label->len = e.len;
    for (; m; m &= m - 1) {
        pm__combine_side *x = sides + pm__ctz64(m);
        const uint64_t bit = (uint64_t)1 << x->map;
        const pm__edge *y = &x->edges.now;
        pm__edge got;
        if (!x->edges.some || y->len < e.len) continue;
        if (e.len > 8 && memcmp(y->rest + 7, e.rest + 7, e.len - 8) != 0) continue;
        pm__edges_take(&x->edges, e.len, &got);
        words[x - sides] = pm__combine_word_of(x);
        s->here |= bit;
        if ((s->val[x->map] = got.val) != NULL) s->vals |= bit;
        else if (got.dangles) s->dangles |= bit;
        if (!got.below.node) continue;
        s->below |= bit;
        s->place[x->map] = got.below;
        if (got.shared) s->shared |= bit;
    }
}

/* Tells, or adds, a value, which is used up. False: no memory, or no more is wanted. */
static bool pm__combine_emit(pm__combine *c, const pm__ent *label, const pm__merge_sum *v) {
    if (!c->fn) {
        if (!v->fresh) pm__pay_retain(c->cx, false, v->val);
        return pm__combine_add(c, label, false, v->val);
    }
    c->told++;
    c->stopped = !c->fn(c->ctx, c->path.used ? c->path.data : (const uint8_t *)"", c->path.used, v->val);
    if (v->fresh) pm__pay_release(c->cx, false, v->val);
    return !c->stopped;
}

/* The next location of the top frame. */
static bool pm__combine_step(pm__combine *c, const pm__combine_side *min) {
    const pm__combine_frame f = *(const pm__combine_frame *)pm__list_at(&c->frames, c->frames.used - 1);
    pm__combine_spot *s = &c->room->spot;
    pm__merge_sum v;
    pm__ent label;
    memset(&label, 0, sizeof label);
    pm__combine_take(c, &f, min, s, &label);
    if (c->fn) {
        c->path.used = f.path;
        if (!pm__list_put(&c->path, &label.first, 1) || !pm__list_put(&c->path, label.rest, label.len - 1u))
            return pm__combine_fail(c, PM_NOMEM);
    }
    if (!pm__combine_value(c, s, f.whole, &v)) return false;
    bool dangles = !v.some && pm__combine_dangles(c, s, f.whole);
    if (v.some && !pm__combine_emit(c, &label, &v)) return false;
    return pm__combine_below(c, s, f.whole, &label, dangles);
}

/* Builds what stays of the top frame's entries, and takes it off. False: no memory. */
static bool pm__combine_close(pm__combine *c, pm__ref *out, pm__combine_frame *f) {
    *f = *(const pm__combine_frame *)pm__list_at(&c->frames, c->frames.used - 1);
    const size_t n = c->ents.used - f->ents;
    pm__ent *ents = (pm__ent *)pm__list_at(&c->ents, f->ents);
    pm__gather g;
    *out = 0;
    if (n) {
        bool few = n <= PM__LINE_ENTRIES && pm__gather_new(c->cx, &g, 0, ents, (unsigned)n, PM__RESULT_TAKES);
        *out = few ? pm__gather_write(c->cx, &g, NULL) : pm__build_nodes(c->cx, NULL, 0, ents, n, 0);
        if (!*out) return pm__combine_fail(c, PM_NOMEM);
        while (pm__build_gather(c->cx, out, PM__GATHER_TINY)) {}
    }
    c->ents.used = f->ents;
    c->sides.used = c->words.used = f->sides;
    c->frames.used--;
    if (!f->known) return true;
    pm__combine_known *k = (pm__combine_known *)pm__list_at(&c->known, f->known - 1);
    k->done = !c->fn || c->told == f->told;
    k->made = *out;
    pm__ref_retain(*out);
    return true;
}

/* Goes through all that is below the root. */
static bool pm__combine_walk(pm__combine *c, pm__ref *root) {
    pm__combine_frame f;
    while (c->frames.used) {
        const pm__combine_frame *top = (const pm__combine_frame *)pm__list_at(&c->frames, c->frames.used - 1);
        const pm__combine_side *min = pm__combine_first(c, top);
        if (min) {
            if (!pm__combine_step(c, min)) return false;
            continue;
        }
        pm__ref r;
        if (!pm__combine_close(c, &r, &f)) return false;
        if (!c->frames.used) *root = r;
        else if (!pm__combine_add_child(c, &f.label, r, f.dangles)) return false;
    }
    return true;
}

static void pm__combine_end(pm__combine *c) {
    for (size_t i = 0; i < c->ents.used; i++) {
        const pm__ent *e = (const pm__ent *)pm__list_at(&c->ents, i);
        pm__pay_release(c->cx, e->child, e->pay);
    }
    for (size_t i = 0; i < c->known.used; i++)
        pm__any_release(c->cx, ((const pm__combine_known *)pm__list_at(&c->known, i))->made);
    pm__list *lists[] = {&c->frames, &c->sides, &c->words, &c->ents, &c->known, &c->nodes, &c->path};
    for (size_t i = 0; i < sizeof lists / sizeof *lists; i++) pm__list_free(lists[i]);
    pm__memo_free(&c->memo);
    pm__merge_chunk_free(c->values.spare);
    if (c->room) pm__mem_free_big(c->room, sizeof *c->room);
}

/* The root's value, and what lies below: the caller owns what *val and *root name. */
static bool pm__combine_run(pm__combine *c, const pm_map *const *maps, size_t n, pm__merge_sum *val, pm__ref *root) {
    pm__ent label;
    memset(&label, 0, sizeof label);
    c->room = (pm__combine_room *)pm__mem_alloc_big(sizeof *c->room);
    if (!c->room) return pm__combine_fail(c, PM_NOMEM);
    pm__combine_spot *s = &c->room->spot;
    s->here = s->vals = s->below = s->dangles = s->shared = 0;
    for (size_t i = 0; i < n; i++) {
        const uint64_t bit = (uint64_t)1 << i;
        s->here |= bit;
        s->val[i] = &maps[i]->value;
        s->place[i] = pm__compare_root(maps[i]->root);
        if (maps[i]->has_value) s->vals |= bit;
        if (maps[i]->root) s->below |= bit;
    }
    if (!pm__combine_value(c, s, false, val)) return false;
    if (val->some && c->fn) {
        if (!pm__combine_emit(c, &label, val)) return false;
    } else if (val->some && !val->fresh) {
        pm__pay_retain(c->cx, false, val->val);
    }
    bool ok = pm__combine_below(c, s, false, &label, false);
    if (ok && c->frames.used) {
        ok = pm__combine_walk(c, root);
    } else if (ok && c->ents.used) { /* decided at once */
        *root = ((const pm__ent *)pm__list_at(&c->ents, 0))->pay;
        c->ents.used = 0;
    }
    if (!ok && val->some && !c->fn) pm__pay_release(c->cx, false, val->val);
    return ok;
}

/* ---- the calls --------------------------------------------------------------------------------------------------- */

static bool pm__combine_is_sound(const pm_formula *f, size_t n) {
    const uint64_t there = n < 64 ? ((uint64_t)1 << n) - 1 : UINT64_MAX;
    if (f->at_least) return f->at_least <= n && !f->n;
    if (!f->n || !f->clauses || f->n > PM__LEN_MAX / sizeof *f->clauses) return false;
    for (size_t i = 0; i < f->n; i++) {
        const pm_clause *c = &f->clauses[i];
        if (!c->with || ((c->with | c->without) & ~there)) return false;
    }
    return true;
}

static pm_status pm__combine_maps(const pm_map *const *maps, size_t n, const pm_formula *formula, pm__combine *c,
                                  pm__cx *cx) {
    if (!maps || !formula || n == 0 || n > PM_COMBINE_MAX || !pm__combine_is_sound(formula, n)) return PM_INVALID;
    for (size_t i = 0; i < n; i++)
        if (!maps[i]) return PM_INVALID;
    *cx = pm__map_cx(maps[0]);
    for (size_t i = 1; i < n; i++)
        if (pm_map_ops(maps[i]) != cx->ops) return PM_MISMATCH;
    memset(c, 0, sizeof *c);
    pm__pairs_begin(&c->values, cx, PM__MERGE_JOIN);
    c->cx = cx;
    c->formula = formula;
    c->frames = pm__list_of(sizeof(pm__combine_frame));
    c->sides = pm__list_of(sizeof(pm__combine_side));
    c->words = pm__list_of(sizeof(uint64_t));
    c->ents = pm__list_of(sizeof(pm__ent));
    c->known = pm__list_of(sizeof(pm__combine_known));
    c->nodes = pm__list_of(sizeof(uint64_t));
    c->path = pm__list_of(1);
    return PM_OK;
}

PM_API pm_status pm_combine(const pm_map *const *maps, size_t n, const pm_formula *formula, pm_map *out) {
    pm__combine c;
    pm__cx cx;
    pm__merge_sum val = {0, false, false};
    pm__ref root = 0;
    if (!out) return PM_INVALID;
    pm_status s = pm__combine_maps(maps, n, formula, &c, &cx);
    if (s != PM_OK) return s;
    bool ok = pm__combine_run(&c, maps, n, &val, &root), operand = false;
    pm__combine_end(&c);
    if (!ok) return c.values.status;
    pm_map m = {root, val.some ? val.val : 0, cx.ops, cx.pool, val.some, 0, 0};
    for (size_t i = 0; i < n; i++) operand = operand || out == maps[i];
    pm__map_give(out, &m, operand);
    return pm__map_done(out, PM_OK);
}

PM_API pm_status pm_combine_each(const pm_map *const *maps, size_t n, const pm_formula *formula,
                                 bool (*fn)(void *ctx, const uint8_t *key, size_t len, pm_val val), void *ctx) {
    pm__combine c;
    pm__cx cx;
    pm__merge_sum val = {0, false, false};
    pm__ref root = 0;
    if (!fn) return PM_INVALID;
    pm_status s = pm__combine_maps(maps, n, formula, &c, &cx);
    if (s != PM_OK) return s;
    c.fn = fn;
    c.ctx = ctx;
    bool ok = pm__combine_run(&c, maps, n, &val, &root);
    pm__combine_end(&c);
    return ok || c.stopped ? PM_OK : c.values.status;
}
