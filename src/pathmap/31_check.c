/* Checks every structural invariant of a trie: distinct nodes, each once, on a stack of our own, so that a path of any
   length costs none of the program's. A node is judged before anything that it points to is touched.
   For pm_check, and for builds that check each write (PM_CHECK 3). */
#include "14_memo.c"
#include "17_list.c"
#include "24_node_any.c"

/* Counts that can be: those in use, and in slim mode those parked for ever, with room for what threads that raced past
   the limit have added or taken. */
static bool pm__check_count_sane(const pm__count *c) {
    pm__count_word n = pm__count_load_relaxed(c);
#if PATHMAP_SLIM_PTRS
    const uint32_t drift = 1u << 20;
    if (n >= PM__COUNT_PARKED - drift) return n < PM__COUNT_PARKED + drift;
    return n > 0 && n < PM__COUNT_MAX + drift;
#else
    return n > 0 && n >> 62 == 0;
#endif
}

/* True if the count admits as many references as were met. */
static bool pm__check_count_admits(const pm__count *c, uint64_t times) {
    pm__count_word n = pm__count_load_relaxed(c);
#if PATHMAP_SLIM_PTRS
    if (n >= PM__COUNT_MAX) return true;
#endif
    return n >= times;
}

/* What reference and header say, before anything behind them is believed. NULL: nothing wrong. */
static const char *pm__check_head(const pm__cx *cx, pm__ref r) {
    const pm__head *h = (const pm__head *)pm__ref_ptr(r);
    unsigned kind, more;
    if (!h || (uintptr_t)h % sizeof(uint64_t)) return "reference: no address of a node";
    kind = pm__ref_kind(r);
    if ((h->flags & 3u) != kind) return "reference: its kind is not the node's";
    if (!pm__check_count_sane(&h->rc)) return "node: impossible reference count";
    more = kind == PM__LINE    ? (unsigned)PM__LINE_E | PM__LINE_UNIT
           : kind == PM__RANGE ? (unsigned)PM__LINE_UNIT
                               : (unsigned)PM__BYTE_UNIT;
    if (h->flags & ~(3u | more)) return "node: unknown flags";
    if (((h->flags & PM__LINE_UNIT) != 0) != cx->unit) return "node: unit flag is not that of the map's values";
    return NULL;
}

/* Numbers that say where in a line things are. */
static const char *pm__check_line_shape(const pm__line *x) {
    size_t size = pm__line_size(x), heap = x->plen, need;
    if (x->n == 0) return "line: no entries";
    if (x->n > PM__LINE_ENTRIES) return "line: too many entries";
    if (size > PM__LINE_BYTES || size != pm__mem_round(size)) return "line: size of no allocation";
    if (PM__LINE_HDR + x->n + (x->n > 16 ? 33u : 17u) > size) return "line: vector loads leave the block";
    if (x->cmask & ~pm__low_bits(x->n)) return "line: child bits beyond the entries";
    for (unsigned i = 0; i < x->n; i++) heap += pm__line_lens(x)[i];
    need = pm__line_need(x->n, heap, pm__line_pay_count(x));
    if (need == 0 || need > size) return "line: heap and payloads do not fit the block";
    for (unsigned i = pm__line_has_e(x); i < x->n; i++)
        if (x->plen + pm__line_lens(x)[i] >= PM__SUFFIX_MAX) return "line: prefix and suffix have more than 256 bytes";
    if (!pm__line_has_e(x)) return NULL;
    if (x->plen == 0) return "line: value at the end of a prefix, but no prefix";
    if (x->cmask & 1) return "line: child at the end of the prefix";
    if (x->body[0] || pm__line_lens(x)[0]) return "line: value at the end of the prefix has a suffix";
    return NULL;
}

/* How entry b may follow entry a. */
static const char *pm__check_pair(const pm__ent *a, const pm__ent *b) {
    size_t m = 0, max = a->len < b->len ? a->len : b->len;
    while (m < max && pm__ent_at(a, m) == pm__ent_at(b, m)) m++;
    if (m < a->len) return m == b->len || pm__ent_at(b, m) < pm__ent_at(a, m) ? "line: entries out of order" : NULL;
    if (a->child) return m < b->len ? "line: entry extends a child" : "line: entry repeats a child";
    if (m < b->len) return NULL;
    if (!b->child) return "line: two values for one suffix";
    return b->pay ? NULL : "line: dangling child beside a value";
}

static const char *pm__check_line(pm__ref r) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(r);
    pm__ent ents[PM__LINE_ENTRIES];
    const char *why = pm__check_line_shape(x);
    if (why) return why;
    if (pm__ref_make(pm__ref_ptr(r), PM__LINE, pm__line_size(x)) != r) return "reference: tag is not the line's size";
    pm__line_decode(x, ents);
    for (unsigned i = 1; i < x->n && !why; i++) why = pm__check_pair(&ents[i - 1], &ents[i]);
    return why;
}

/* What a range node's parts are, and whether the paths in them begin with the bytes that they should, is seen when they
   are. */
static const char *pm__check_range(pm__ref r) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(r);
    const char *why = pm__check_line_shape(x);
    if (why) return why;
    if (pm__ref_make(pm__ref_ptr(r), PM__RANGE, pm__line_size(x)) != r) return "reference: tag is not the range's size";
    if (x->n < 2) return "range: fewer than two parts";
    if (x->plen || x->cmask != pm__low_bits(x->n)) return "range: prefix, or values";
    if (x->body[0]) return "range: the first part does not begin at 0";
    for (unsigned i = 0; i < x->n; i++) {
        if (pm__line_lens(x)[i]) return "range: a part has a suffix";
        if (i && x->body[i - 1] >= x->body[i]) return "range: parts out of order";
        if (!*pm__line_part_at(x, i)) return "range: empty part";
    }
    return NULL;
}

/* Whether the paths below a part of a range node belong there. The part has been judged. */
static const char *pm__check_part(const pm__line *x, unsigned i) {
    const pm__ref part = *pm__line_part_at(x, i);
    if (pm__ref_kind(part) == PM__RANGE) return "range: a part is a range node";
    unsigned lo = x->body[i], hi = i + 1u < x->n ? x->body[i + 1] : 256u, first, last;
    if (pm__ref_kind(part) == PM__LINE) {
        const pm__line *y = (const pm__line *)pm__ref_ptr(part);
        first = y->plen ? *pm__line_heap(y) : y->body[0], last = y->plen ? first : y->body[y->n - 1u];
    } else {
        pm_mask m = pm__byte_mask((const pm__byte *)pm__ref_ptr(part));
        first = (unsigned)pm_mask_next(&m, 0), last = (unsigned)pm_mask_prev(&m, 255);
    }
    return first < lo || last >= hi ? "range: a path is in the wrong part" : NULL;
}

/* Numbers that say where in a byte node things are. */
static const char *pm__check_byte_shape(const pm__byte *x) {
    unsigned c = 0, v = 0;
    if (pm__byte_is_tip(x) && pm__byte_is_wide(x)) return "byte: a tip that is wide";
    if (pm__byte_is_tip(x) && !pm__byte_is_unit(x)) return "byte: a tip in a map with values";
    for (unsigned i = 0; i < 4; i++) {
        if (x->crank[i] != (uint8_t)c || x->vrank[i] != (uint8_t)v) return "byte: ranks are not those of the masks";
        c += pm__popcount64(pm__byte_child_word(x, i));
        v += pm__popcount64(x->val[i]);
    }
    if (x->nc != c || x->nv != v) return "byte: counts are not those of the masks";
    if (c + v == 0) return "byte: no children and no values";
    if (!pm__byte_is_wide(x) && c >= PM__WIDE_FROM) return "byte: too many children for a flat node";
    if (pm__byte_is_tip(x) ? pm__byte_room_of(x) != PM__BYTE_TIP : x->cap > 512) return "byte: capacity out of range";
    if (!pm__byte_is_tip(x) && pm__byte_slots(c, v, pm__byte_is_wide(x), pm__byte_is_unit(x)) > x->cap) {
        return "byte: children and values do not fit the slots";
    }
    return NULL;
}

static const char *pm__check_block(const pm__block *k, unsigned members) {
    if (!k != !members) return members ? "wide: block missing" : "wide: block without children";
    if (!k) return NULL;
    if ((uintptr_t)k % sizeof(uint64_t)) return "wide: no address of a block";
    if (!pm__check_count_sane(&k->rc)) return "wide: impossible reference count of a block";
    if (k->cap > 16 || k->cap < members) return "wide: children do not fit a block";
    return NULL;
}

static const char *pm__check_byte(pm__ref r) {
    pm__byte *x = (pm__byte *)pm__ref_ptr(r);
    const char *why = pm__check_byte_shape(x);
    if (why) return why;
    if (pm__byte_ref(x) != r) return "reference: tag is not a byte node's";
    for (unsigned i = 0; i < PM__WIDE_BLOCKS && !why && pm__byte_is_wide(x); i++)
        why = pm__check_block(pm__byte_block(x, i), pm__popcount32(pm__byte_block_bits(x, i)));
    if (why) return why;
    for (unsigned b = 0; b < 256; b++) {
        uint8_t c = (uint8_t)b;
        if (pm__byte_has_child(x, c) && pm__byte_has_val(x, c) && !*pm__byte_child(x, c)) {
            return "byte: dangling child beside a value";
        }
    }
    return NULL;
}

/* A check in progress: the first thing found wrong, or that memory ran out. */
typedef struct pm__check {
    const pm__cx *cx;
    pm__memo met;  /* how often, by address */
    pm__list todo; /* judged, but not what they point to */
    const char *why;
    bool no_memory;
} pm__check;

/* Counts one more meeting with what lies at an address. 0: no memory. */
static uint64_t pm__check_times(pm__check *k, const void *p) {
    uint64_t a = (uint64_t)(uintptr_t)p;
    const uint64_t *known = pm__memo_get(&k->met, a, 0);
    uint64_t times = known ? *known + 1 : 1;
    return pm__memo_put(&k->met, a, 0, times) ? times : 0;
}

/* Follows a reference: counts it against the node's count, and judges the node the first time. Returns whether to go
   on. That a count admits all references met also ends the walk if damage has made a circle. */
static bool pm__check_ref(pm__check *k, pm__ref r) {
    if (!r) return true;
    if ((k->why = pm__check_head(k->cx, r)) != NULL) return false;
    uint64_t times = pm__check_times(k, pm__ref_ptr(r));
    if (times == 0) k->no_memory = true;
    else if (!pm__check_count_admits(&((const pm__head *)pm__ref_ptr(r))->rc, times))
        k->why = "node: more references than its count";
    if (times != 1) return !k->no_memory && !k->why;
    k->why = pm__ref_kind(r) == PM__LINE    ? pm__check_line(r)
             : pm__ref_kind(r) == PM__RANGE ? pm__check_range(r)
                                            : pm__check_byte(r);
    if (!k->why && !pm__list_put(&k->todo, &r, 1)) k->no_memory = true;
    return !k->no_memory && !k->why;
}

static bool pm__check_refs(pm__check *k, const pm__ref *kids, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        if (!pm__check_ref(k, kids[i])) return false;
    return true;
}

/* Follows the references of a node that was judged. Those in a block belong to the block: each is followed once,
   however many nodes share it. */
static bool pm__check_below(pm__check *k, pm__ref r) {
    if (pm__ref_is_lined(r)) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        for (uint32_t m = x->cmask; m; m &= m - 1) {
            if (!pm__check_ref(k, *pm__line_child(x, pm__ctz32(m)))) return false;
            if (pm__ref_kind(r) == PM__RANGE && (k->why = pm__check_part(x, pm__ctz32(m))) != NULL) return false;
        }
        return true;
    }
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
    if (!pm__byte_is_wide(x)) return pm__check_refs(k, x->slot, x->nc);
    for (unsigned i = 0; i < PM__WIDE_BLOCKS; i++) {
        const pm__block *b = pm__byte_block(x, i);
        if (!b) continue;
        uint64_t times = pm__check_times(k, b);
        if (times == 0) k->no_memory = true;
        else if (!pm__check_count_admits(&b->rc, times)) k->why = "wide: more references to a block than its count";
        if (k->no_memory || k->why) return false;
        if (times > 1) continue;
        if (!pm__check_refs(k, b->slot, pm__popcount32(pm__byte_block_bits(x, i)))) return false;
    }
    return true;
}

/* PM_CORRUPT: what is wrong first is in *why. */
static pm_status pm__check_trie(const pm__cx *cx, pm__ref root, const char **why) {
    pm__check k = {cx, {NULL, 0, 0}, pm__list_of(sizeof(pm__ref)), NULL, false};
    bool on = pm__check_ref(&k, root);
    while (on && k.todo.used) on = pm__check_below(&k, *(const pm__ref *)pm__list_pop(&k.todo));
    pm__list_free(&k.todo);
    pm__memo_free(&k.met);
    if (k.no_memory) return PM_NOMEM;
    *why = k.why;
    return k.why ? PM_CORRUPT : PM_OK;
}
