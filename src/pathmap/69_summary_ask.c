/* Questions to summaries. What lies between two positions of a node is one subtraction, so a rank adds one number a
   node, and the n-th key is a binary search in each. */
#include "48_map_range.c"
#include "68_summary.c"

/* ---- counts ---------------------------------------------------------------------------------------------------- */

/* The record of the child at a position of a node; NULL: it has none. */
static PM__INLINE const pm__record *pm__ask_below(pm__ref r, const pm__record *x, unsigned at) {
    unsigned vals;
    return x ? x->kid[pm__summary_rank_at(r, at, &vals)].u.rec : NULL;
}

/* Counts the values of a trie, whose record is x, from a key on, or those before it. */
static PM__INLINE uint64_t pm__ask_half(pm__ref r, const pm__record *x, const uint8_t *key, size_t len, bool from) {
    uint64_t n = 0;
    while (r) {
        const pm__order_seek k = pm__order_seek_in(r, key, len);
        if (from) n = pm__sat_add(n, pm__summary_span(r, x, k.at + (k.on != 0), pm__order_end(r)));
        else n = pm__sat_add(n, pm__summary_before(r, x, k.at));
        if (!k.on) break;
        x = pm__ask_below(r, x, k.at);
        key += k.used, len -= k.used;
        r = k.on;
    }
    return n;
}

/* Where the ways to two keys part: the node, its record, and for each key its way on and what is left of it. */
typedef struct pm__ask_fork {
    pm__ref node; /* 0: there is nothing between them */
    const pm__record *rec;
    struct {
        pm__order_seek way;
        const pm__record *rec; /* of way.on */
        const uint8_t *key;
        size_t len;
    } side[2];
} pm__ask_fork;

/* The first key is less. */
static pm__ask_fork pm__ask_part(const pm_summary *s, pm_key from, pm_key to) {
    pm__ask_fork f = {.node = s->map.root, .rec = s->root};
    f.side[0].key = pm__order_bytes(from.data), f.side[0].len = from.len;
    f.side[1].key = pm__order_bytes(to.data), f.side[1].len = to.len;
    while (f.node) {
        for (unsigned i = 0; i < 2; i++) {
            f.side[i].way = pm__order_seek_in(f.node, f.side[i].key, f.side[i].len);
            f.side[i].key += f.side[i].way.used, f.side[i].len -= f.side[i].way.used;
        }
        const pm__order_seek *a = &f.side[0].way, *b = &f.side[1].way;
        if (!a->on || a->on != b->on || a->at != b->at) break;
        f.rec = pm__ask_below(f.node, f.rec, a->at);
        f.node = a->on;
    }
    for (unsigned i = 0; f.node && i < 2; i++)
        f.side[i].rec = f.side[i].way.on ? pm__ask_below(f.node, f.rec, f.side[i].way.at) : NULL;
    return f;
}

/* The first position of the fork's node that lies between the two ways. */
static PM__INLINE unsigned pm__ask_first(const pm__ask_fork *f) { return f->side[0].way.at + (f->side[0].way.on != 0); }

/* Counts those between two keys, the first of which is less. */
static uint64_t pm__ask_between(const pm_summary *s, pm_key from, pm_key to) {
    const pm__ask_fork f = pm__ask_part(s, from, to);
    if (!f.node) return 0;
    const uint64_t first = pm__ask_half(f.side[0].way.on, f.side[0].rec, f.side[0].key, f.side[0].len, true);
    const uint64_t last = pm__ask_half(f.side[1].way.on, f.side[1].rec, f.side[1].key, f.side[1].len, false);
    const uint64_t mid = pm__summary_span(f.node, f.rec, pm__ask_first(&f), f.side[1].way.at);
    return pm__sat_add(mid, pm__sat_add(first, last));
}

PM_API pm_status pm_summary_rank(const pm_summary *s, const void *key, size_t len, uint64_t *out) {
    if (!s || pm__map_bad(&s->map, key, len) || !out) return PM_INVALID;
    const uint64_t root = s->map.has_value && len;
    *out = pm__sat_add(root, pm__ask_half(s->map.root, s->root, pm__order_bytes(key), len, false));
    return PM_OK;
}

PM_API pm_status pm_summary_range_count(const pm_summary *s, const pm_key *from, const pm_key *to, uint64_t *out) {
    if (!s || pm__range_bad(from) || pm__range_bad(to) || !out) return PM_INVALID;
    const pm_map *m = &s->map;
    const uint64_t root = m->has_value && pm__range_has_root(from, to);
    uint64_t n = 0;
    if (pm__range_is_empty(from, to)) n = 0;
    else if (from && to) n = pm__ask_between(s, *from, *to);
    else if (from) n = pm__ask_half(m->root, s->root, pm__order_bytes(from->data), from->len, true);
    else if (to) n = pm__ask_half(m->root, s->root, pm__order_bytes(to->data), to->len, false);
    else n = pm__summary_size(m->root, s->root);
    *out = pm__sat_add(n, root);
    return PM_OK;
}

/* The positions of a node at which goes on what lies strictly below a place. */
typedef struct pm__ask_span {
    pm__ref node; /* 0: nothing does */
    unsigned lo, hi;
    size_t base;       /* the node's path is so many bytes of the key */
    const pm_val *val; /* at the place itself */
} pm__ask_span;

static pm__ask_span pm__ask_prefix(const pm_map *m, const uint8_t *key, size_t len) {
    pm__ask_span k = {0, 0, 0, len, NULL};
    const pm_val *val = m->has_value ? &m->value : NULL;
    pm_place p = pm__place_root(m->root);
    if (pm__place_walk(&p, key, len, &val) < len) return k;
    k.val = val;
    if (!pm__place_enter(&p)) return k;
    const bool inside = p.depth > 0; /* then the positions are entries of a line */
    k.node = p.node;
    k.base = len - p.depth;
    k.lo = inside ? p.lo + pm__place_val_entry(&p, pm__place_line(&p)) : 0;
    k.hi = inside ? p.hi : pm__order_end(p.node);
    return k;
}

PM_API pm_status pm_summary_prefix_count(const pm_summary *s, const void *key, size_t len, uint64_t *out) {
    if (!s || pm__map_bad(&s->map, key, len) || !out) return PM_INVALID;
    const pm__ask_span k = pm__ask_prefix(&s->map, (const uint8_t *)key, len);
    uint64_t n = k.val != NULL;
    if (k.node) n = pm__sat_add(n, pm__summary_span(k.node, pm__record_of(s, k.node), k.lo, k.hi));
    *out = n;
    return PM_OK;
}

/* ---- by number -------------------------------------------------------------------------------------------------- */

/* The position of a node at or below which value n is; *n: its number there. There are more than n. */
static unsigned pm__ask_position(pm__ref r, const pm__record *x, uint64_t *n) {
    unsigned lo = 0, hi = pm__order_end(r);
    if (!x && pm__order_line(r)) return (unsigned)*n; /* there are values only */
    while (hi - lo > 1) { /* what lies before `lo` is not more than n, what lies before `hi` is */
        unsigned mid = (lo + hi) / 2;
        if (pm__summary_before(r, x, mid) <= *n) lo = mid;
        else hi = mid;
    }
    *n -= pm__summary_before(r, x, lo);
    return lo;
}

PM_API pm_status pm_summary_nth(const pm_summary *s, uint64_t n, pm_item *item) {
    if (!s || pm__map_bad(&s->map, NULL, 0) || !item) return PM_INVALID;
    pm__list path = pm__item_begin(item);
    const pm_val *val = NULL;
    if (n >= s->count) return pm__item_end(item, &path, true, NULL);
    if (s->map.has_value && n-- == 0) val = &s->map.value;
    const pm__record *x = s->root;
    for (pm__ref r = s->map.root, below; !val; r = below) {
        const unsigned at = pm__ask_position(r, x, &n);
        if (!pm__order_spell(&path, r, at)) return pm__item_end(item, &path, false, NULL);
        val = pm__order_look(r, at, &below);
        if (val) break;
        pm__ref_prefetch(below);
        x = pm__ask_below(r, x, at);
    }
    return pm__item_end(item, &path, true, val);
}

/* The high word of a product: a number below n. */
static uint64_t pm__ask_scale(uint64_t random, uint64_t n) {
    const uint64_t low = 0xFFFFFFFFu, a = random & low, b = random >> 32, c = n & low, d = n >> 32;
    const uint64_t mid = b * c + (a * c >> 32), other = a * d + (mid & low);
    return b * d + (mid >> 32) + (other >> 32);
}

PM_API pm_status pm_summary_sample(const pm_summary *s, uint64_t random, pm_item *item) {
    if (!s || !item) return PM_INVALID;
    return pm_summary_nth(s, pm__ask_scale(random, s->count), item);
}

/* ---- sums of elements ------------------------------------------------------------------------------------------- */

/* A sum of elements, or none. */
typedef struct pm__ask_sum {
    pm__summary_room sum;
    bool some;
} pm__ask_sum;

/* Puts a sum before another one. */
static void pm__ask_prepend(const pm_summary *s, const pm__ask_sum *before, pm__ask_sum *sum) {
    if (!before->some) return;
    pm__ask_sum both = *before;
    if (sum->some) pm__summary_add(s, &both.sum, &both.some, &sum->sum);
    *sum = both;
}

/* Adds the values from a key on before a sum, or those before the key behind it. */
static void pm__ask_add_half(const pm_summary *s, pm__ref r, const pm__record *x, const uint8_t *key, size_t len,
                             bool from, pm__ask_sum *sum) {
    while (r) {
        const pm__order_seek k = pm__order_seek_in(r, key, len);
        pm__ask_sum part;
        part.some = false;
        if (from) {
            pm__summary_add_span(s, r, x, k.at + (k.on != 0), pm__order_end(r), &part.sum, &part.some);
            pm__ask_prepend(s, &part, sum);
        } else {
            pm__summary_add_span(s, r, x, 0, k.at, &sum->sum, &sum->some);
        }
        if (!k.on) break;
        x = pm__ask_below(r, x, k.at);
        key += k.used, len -= k.used;
        r = k.on;
    }
}

/* Adds the values between two keys, the first of which is less. */
static void pm__ask_add_between(const pm_summary *s, pm_key from, pm_key to, pm__ask_sum *sum) {
    const pm__ask_fork f = pm__ask_part(s, from, to);
    if (!f.node) return;
    pm__ask_add_half(s, f.side[0].way.on, f.side[0].rec, f.side[0].key, f.side[0].len, true, sum);
    pm__summary_add_span(s, f.node, f.rec, pm__ask_first(&f), f.side[1].way.at, &sum->sum, &sum->some);
    pm__ask_add_half(s, f.side[1].way.on, f.side[1].rec, f.side[1].key, f.side[1].len, false, sum);
}

PM_API pm_status pm_summary_reduce(const pm_summary *s, const pm_key *from, const pm_key *to, void *out, bool *found) {
    if (!s || !s->element || pm__range_bad(from) || pm__range_bad(to) || !out || !found) return PM_INVALID;
    const pm_map *m = &s->map;
    pm__ask_sum sum, root;
    sum.some = root.some = false;
    if (pm__range_is_empty(from, to)) sum.some = false;
    else if (from && to) pm__ask_add_between(s, *from, *to, &sum);
    else if (from) pm__ask_add_half(s, m->root, s->root, pm__order_bytes(from->data), from->len, true, &sum);
    else if (to) pm__ask_add_half(s, m->root, s->root, pm__order_bytes(to->data), to->len, false, &sum);
    else if (m->root) pm__summary_add_span(s, m->root, s->root, 0, pm__order_end(m->root), &sum.sum, &sum.some);
    if (m->has_value && pm__range_has_root(from, to)) pm__summary_add_val(s, &root.sum, &root.some, m->value);
    pm__ask_prepend(s, &root, &sum);
    if (sum.some) memcpy(out, &sum.sum, s->monoid.size);
    *found = sum.some;
    return PM_OK;
}

/* ---- the best ones ---------------------------------------------------------------------------------------------- */

/* A position that waits: a value, or what is below a child, of which only the greatest element is known. In the heap
   its element follows. Of equal elements the lesser rank is better; ranks are of first values, so a child comes before
   all that follow it. */
typedef struct pm__best_item {
    uint64_t rank;
    pm_val val;
    pm__ref below; /* 0: a value */
    size_t way;    /* of the node that it is in, or PM__BEST_TOP: it is at the prefix itself */
    size_t at;
} pm__best_item;

/* A node whose positions have been put on the heap. */
typedef struct pm__best_way {
    pm__ref node;
    size_t up, at; /* the way above, or PM__BEST_TOP; and its position that leads here */
} pm__best_way;

#define PM__BEST_TOP SIZE_MAX

typedef struct pm__best {
    const pm_summary *s;
    pm__list heap, ways, path, ups;
} pm__best;

static bool pm__best_before(const pm__best *w, size_t a, size_t b) {
    const pm__best_item *x = (const pm__best_item *)pm__list_at(&w->heap, a);
    const pm__best_item *y = (const pm__best_item *)pm__list_at(&w->heap, b);
    int c = w->s->monoid.compare(w->s->monoid.ctx, x + 1, y + 1);
    return c > 0 || (c == 0 && x->rank < y->rank);
}

static void pm__best_swap(pm__best *w, size_t a, size_t b) {
    char room[sizeof(pm__best_item) + PM_MONOID_MAX];
    void *x = pm__list_at(&w->heap, a), *y = pm__list_at(&w->heap, b);
    memcpy(room, x, w->heap.each);
    memcpy(x, y, w->heap.each);
    memcpy(y, room, w->heap.each);
}

/* Puts an item on the heap, with the element of its value if `element` is NULL. False: no memory. */
static bool pm__best_put(pm__best *w, const pm__best_item *item, const void *element) {
    if (!pm__list_room(&w->heap, 1)) return false;
    size_t i = w->heap.used++;
    pm__best_item *x = (pm__best_item *)pm__list_at(&w->heap, i);
    bool some = false;
    *x = *item;
    if (element) memcpy(x + 1, element, w->s->element);
    else pm__summary_add_val(w->s, x + 1, &some, item->val);
    for (; i && pm__best_before(w, i, (i - 1) / 2); i = (i - 1) / 2) pm__best_swap(w, i, (i - 1) / 2);
    return true;
}

/* Takes the best item off. */
static pm__best_item pm__best_take(pm__best *w) {
    pm__best_item best = *(const pm__best_item *)pm__list_at(&w->heap, 0);
    if (--w->heap.used) pm__best_swap(w, 0, w->heap.used);
    for (size_t i = 0, k; (k = 2 * i + 1) < w->heap.used; i = k) {
        if (k + 1 < w->heap.used && pm__best_before(w, k + 1, k)) k++;
        if (!pm__best_before(w, k, i)) break;
        pm__best_swap(w, i, k);
    }
    return best;
}

/* Puts the positions [lo, hi) of a node on the heap, the first of which has that rank. False: no memory. */
static bool pm__best_open(pm__best *w, const pm__best_way *way, unsigned lo, unsigned hi, uint64_t rank) {
    const pm__ref r = way->node;
    const pm__record *x = pm__record_of(w->s, r);
    pm__best_item item = {rank, 0, 0, w->ways.used, 0};
    unsigned vals;
    if (!pm__list_put(&w->ways, way, 1)) return false;
    for (int at = pm__order_next(r, lo); at >= 0 && (unsigned)at < hi; at = pm__order_next(r, (unsigned)at + 1)) {
        const pm_val *val = pm__order_look(r, (unsigned)at, &item.below);
        const unsigned k = val ? 0 : pm__summary_rank_at(r, (unsigned)at, &vals);
        const uint64_t has = val ? 1 : item.below ? pm__record_between(x, k, k + 1) : 0;
        item.at = (size_t)at;
        if (val) item.val = *val;
        if (has && !pm__best_put(w, &item, val ? NULL : pm__record_element(w->s, x, (size_t)k + 1))) return false;
        item.rank = pm__sat_add(item.rank, has);
    }
    return true;
}

/* Spells the key of a value; the path has the bytes before the first way. False: no memory. */
static bool pm__best_spell(pm__best *w, const pm__best_item *item) {
    const pm__best_way *ways = (const pm__best_way *)(const void *)w->ways.data;
    if (item->way == PM__BEST_TOP) return true;
    w->ups.used = 0;
    for (size_t i = item->way; i != PM__BEST_TOP; i = ways[i].up)
        if (!pm__list_put(&w->ups, &i, 1)) return false;
    while (w->ups.used) {
        const size_t i = *(const size_t *)pm__list_pop(&w->ups);
        size_t at = item->at;
        if (w->ups.used) at = ways[*(const size_t *)pm__list_at(&w->ups, w->ups.used - 1)].at;
        if (!pm__order_spell(&w->path, ways[i].node, (unsigned)at)) return false;
    }
    return true;
}

/* Takes items until k values have been shown. `key` is the path of the prefix. False: no memory. */
static bool pm__best_run(pm__best *w, const pm__ask_span *from, const uint8_t *key, size_t len, size_t k,
                         bool (*fn)(void *ctx, const uint8_t *key, size_t len, pm_val val), void *ctx) {
    while (k && w->heap.used) {
        const pm__best_item item = pm__best_take(w);
        if (item.below) {
            const pm__best_way way = {item.below, item.way, item.at};
            if (!pm__best_open(w, &way, 0, pm__order_end(item.below), item.rank)) return false;
            continue;
        }
        w->path.used = 0;
        if (!pm__list_room(&w->path, 1)) return false; /* not NULL */
        if (!pm__list_put(&w->path, key, item.way == PM__BEST_TOP ? len : from->base)) return false;
        if (!pm__best_spell(w, &item)) return false;
        if (!fn(ctx, w->path.data, w->path.used, item.val)) return true;
        k--;
    }
    return true;
}

PM_API pm_status pm_summary_best(const pm_summary *s, const void *key, size_t len, size_t k,
                                 bool (*fn)(void *ctx, const uint8_t *key, size_t len, pm_val val), void *ctx) {
    if (!s || !s->element || !s->monoid.compare || pm__map_bad(&s->map, key, len) || !fn) return PM_INVALID;
    const pm__ask_span from = pm__ask_prefix(&s->map, pm__order_bytes(key), len);
    const pm__best_item top = {0, from.val ? *from.val : 0, 0, PM__BEST_TOP, 0};
    const pm__best_way first = {from.node, PM__BEST_TOP, 0};
    pm__best w = {s, pm__list_of(sizeof(pm__best_item) + s->element), pm__list_of(sizeof(pm__best_way)), pm__list_of(1),
                  pm__list_of(sizeof(size_t))};
    bool ok = !from.val || pm__best_put(&w, &top, NULL);
    if (ok && from.node) ok = pm__best_open(&w, &first, from.lo, from.hi, 1);
    if (ok) ok = pm__best_run(&w, &from, pm__order_bytes(key), len, k, fn, ctx);
    pm__list_free(&w.heap);
    pm__list_free(&w.ways);
    pm__list_free(&w.path);
    pm__list_free(&w.ups);
    return ok ? PM_OK : PM_NOMEM;
}
