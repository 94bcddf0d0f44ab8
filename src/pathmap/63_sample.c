/* Sampling.

   Weights, not counts: a number m * 2^e whose e is 0 as long as the number fits 64 bits, so small weights are exact and
   huge ones precise to 63 bits. A walk down takes an index and subtracts the weights of what it passes, in order: in a
   line the locations of the prefix, then entry by entry what each adds to the one before, and what lies below it; in a
   byte node byte by byte. Below a node whose weight is not exact a new index is drawn. */
#include "60_fold.c"
#include "63_sample.h"

typedef struct pm__weight {
    uint64_t m;
    uint32_t e; /* if not 0, the highest bit of m is set */
} pm__weight;

struct pm_sampler {
    pm_map map;
    pm_sample what;
    pm__memo index; /* (node, 0): where its weight is */
    pm__list weights, path;
    pm__weight total;
    pm_rz at;
};

/* ---- weights ------------------------------------------------------------------------------------------------- */

static uint64_t pm__weight_scaled(pm__weight w, uint32_t e) {
    if (w.e > e) return UINT64_MAX;
    return e - w.e > 63 ? 0 : w.m >> (e - w.e);
}

static pm__weight pm__weight_add(pm__weight a, pm__weight b) {
    uint32_t e = a.e > b.e ? a.e : b.e;
    uint64_t x = pm__weight_scaled(a, e), y = pm__weight_scaled(b, e);
    pm__weight w = {x + y, e};
    if (w.m < x) w.m = w.m >> 1 | (uint64_t)1 << 63, w.e++;
    return w;
}

static pm__weight pm__weight_of(const pm_sampler *s, pm__ref r) {
    pm__weight none = {0, 0};
    const uint64_t *i = r ? pm__memo_get(&s->index, r, 0) : NULL;
    return i ? *(const pm__weight *)pm__list_at(&s->weights, (size_t)*i) : none;
}

/* Below a node whose children are known. */
static pm__weight pm__weight_sum(const pm_sampler *s, pm__ref r) {
    pm__weight w = {pm__tally_own(s->what == PM_SAMPLE_VALS ? PM__TALLY_VALS : PM__TALLY_LOCS, r, 0), 0};
    pm__tally_frame f = {r, 0, 0, 0, false};
    size_t depth;
    bool shared;
    for (pm__ref c; (c = pm__tally_child(PM__TALLY_VALS, &f, &depth, &shared)) != 0;)
        w = pm__weight_add(w, pm__weight_of(s, c));
    return w;
}

/* Weighs a node. False: no memory. */
static bool pm__sampler_weigh(void *ctx, pm__ref r) {
    pm_sampler *s = (pm_sampler *)ctx;
    pm__weight w = pm__weight_sum(s, r);
    return pm__memo_put(&s->index, r, 0, s->weights.used) && pm__list_put(&s->weights, &w, 1);
}

PM_API pm_status pm_sampler_new(const pm_map *m, pm_sample what, pm_sampler **out) {
    if (!m || !out) return PM_INVALID;
    pm_sampler *s = (pm_sampler *)pm__mem_alloc_big(sizeof *s);
    if (!s) return PM_NOMEM;
    memset(s, 0, sizeof *s);
    s->map = pm_clone(m);
    s->what = what;
    s->weights = pm__list_of(sizeof(pm__weight));
    s->path = pm__list_of(1);
    s->total.m = what == PM_SAMPLE_PATHS || m->has_value;
    bool ok = !m->root || pm__tally_upwards(m->root, &s->index, pm__sampler_weigh, s);
    if (!ok || pm_rz_open(&s->map, NULL, 0, &s->at) != PM_OK) {
        pm_sampler_free(s);
        return PM_NOMEM;
    }
    s->total = pm__weight_add(s->total, pm__weight_of(s, m->root));
    *out = s;
    return PM_OK;
}

PM_API void pm_sampler_free(pm_sampler *s) {
    if (!s) return;
    pm_rz_drop(&s->at);
    pm__memo_free(&s->index);
    pm__list_free(&s->weights);
    pm__list_free(&s->path);
    pm_drop(&s->map);
    pm__mem_free_big(s, sizeof *s);
}

PM_API uint64_t pm_sampler_count(const pm_sampler *s) { return s ? pm__weight_scaled(s->total, 0) : 0; }

/* ---- the walk ------------------------------------------------------------------------------------------------ */

/* What is looked for: the t-th, counted in units of 2^e. */
typedef struct pm__sample_aim {
    uint64_t t;
    uint32_t e;
    pm_random random; /* NULL: t is exact */
    void *ctx;
} pm__sample_aim;

/* True if the aim lies in something of that weight; else it has passed it. */
static bool pm__aim_in(pm__sample_aim *a, pm__weight w) {
    uint64_t units = pm__weight_scaled(w, a->e);
    if (a->t < units || w.e > a->e) return true;
    a->t -= units;
    return false;
}

/* True if the aim is one of n locations, or values; *i: which. */
static bool pm__aim_at(pm__sample_aim *a, uint64_t n, uint64_t *i) {
    pm__weight w = {n, 0};
    *i = a->t;
    return n && pm__aim_in(a, w);
}

/* A number in 0..n-1. */
static uint64_t pm__aim_draw(const pm__sample_aim *a, uint64_t n) {
    uint64_t skip = (0 - n) % n, x; /* so many of the words would favour the low numbers */
    do x = a->random(a->ctx);
    while (x < skip);
    return x % n;
}

static void pm__aim_anew(pm__sample_aim *a, pm__weight w) {
    a->e = w.e;
    a->t = pm__aim_draw(a, w.m);
}

/* Goes through a node. 1: found, 0: on in *child, -1: no memory, 2: passed by (what is less than a unit was). */
static int pm__aim_line(pm_sampler *s, pm__sample_aim *a, const pm__line *x, pm__ref *child) {
    const uint8_t *heap = pm__line_heap(x);
    bool paths = s->what == PM_SAMPLE_PATHS;
    uint64_t i;
    if (paths && pm__aim_at(a, x->plen, &i)) return pm__list_put(&s->path, heap, (size_t)i + 1) ? 1 : -1;
    if (!pm__list_put(&s->path, heap, x->plen)) return -1;
    for (unsigned k = 0, off = x->plen; k < x->n; off += pm__line_lens(x)[k], k++) {
        size_t len = pm__line_suffix(x, k), before = paths ? pm__tally_line_shared_before(x, k, off) : 0, upto = len;
        bool leads = pm__line_is_child(x, k), found = pm__aim_at(a, paths ? len - before : !leads, &i);
        if (!found && !(leads && pm__aim_in(a, pm__weight_of(s, *pm__line_child(x, k))))) continue;
        if (found && paths) upto = before + (size_t)i + 1;
        if (upto && !(pm__list_put(&s->path, &x->body[k], 1) && pm__list_put(&s->path, heap + off, upto - 1)))
            return -1;
        if (!found) *child = *pm__line_child(x, k);
        return found;
    }
    return 2;
}

static int pm__aim_byte(pm_sampler *s, pm__sample_aim *a, const pm__byte *x, pm__ref *child) {
    pm_mask m = pm__byte_mask(x);
    for (int b = pm__mask_next(&m, 0); b >= 0; b = pm__mask_next(&m, b + 1)) {
        uint8_t c = (uint8_t)b;
        uint64_t i;
        bool found = pm__aim_at(a, s->what == PM_SAMPLE_PATHS || pm__byte_has_val(x, c), &i);
        pm__ref r = !found && pm__byte_has_child(x, c) ? *pm__byte_child(x, c) : 0;
        if (!found && !pm__aim_in(a, pm__weight_of(s, r))) continue;
        *child = r;
        return pm__list_put(&s->path, &c, 1) ? found : -1;
    }
    return 2;
}

static int pm__aim_range(const pm_sampler *s, pm__sample_aim *a, const pm__line *x, pm__ref *child) {
    for (unsigned i = 0; i < x->n; i++) {
        *child = *pm__line_part_at(x, i);
        if (pm__aim_in(a, pm__weight_of(s, *child))) return 0;
    }
    return 2;
}

static pm_status pm__sampler_go(pm_sampler *s, pm__sample_aim a, const pm_rz **at) {
    uint64_t i;
    pm__ref r = s->map.root;
    bool found = pm__aim_at(&a, s->what == PM_SAMPLE_PATHS || s->map.has_value, &i);
    s->path.used = 0;
    if (!found && a.random && a.e) pm__aim_anew(&a, pm__weight_of(s, r));
    while (!found) {
        size_t len = s->path.used;
        pm__ref child = r;
        bool line = pm__ref_kind(r) == PM__LINE;
        bool range = pm__ref_kind(r) == PM__RANGE;
        int step = range  ? pm__aim_range(s, &a, (const pm__line *)pm__ref_ptr(r), &child)
                   : line ? pm__aim_line(s, &a, (const pm__line *)pm__ref_ptr(r), &child)
                        : pm__aim_byte(s, &a, (const pm__byte *)pm__ref_ptr(r), &child);
        if (step < 0) return PM_NOMEM;
        found = step == 1;
        if (step == 2) s->path.used = len;
        if (!found && a.random && a.e) pm__aim_anew(&a, pm__weight_of(s, child));
        r = child;
    }
    (void)pm_rz_move_to(&s->at, s->path.used ? (const void *)s->path.data : "", s->path.used);
    if (pm_rz_status(&s->at) != PM_OK) {
        pm_rz_reset(&s->at);
        return PM_NOMEM;
    }
    *at = &s->at;
    return PM_OK;
}

PM_API pm_status pm_sampler_at(pm_sampler *s, uint64_t i, const pm_rz **at) {
    if (!s || !at) return PM_INVALID;
    pm__sample_aim a = {i, 0, NULL, NULL};
    if (!s->total.e && i >= s->total.m) return PM_INVALID;
    return pm__sampler_go(s, a, at);
}

PM_API pm_status pm_sampler_draw(pm_sampler *s, pm_random random, void *ctx, const pm_rz **at) {
    if (!s || !random || !at) return PM_INVALID;
    pm__sample_aim a = {0, 0, random, ctx};
    if (!s->total.m) return PM_INVALID;
    pm__aim_anew(&a, s->total);
    return pm__sampler_go(s, a, at);
}

PM_API bool pm_rz_descend_random(pm_rz *z, pm_random random, void *ctx) {
    if (!z || !random) return false;
    pm__sample_aim a = {0, 0, random, ctx};
    bool moved = false;
    for (unsigned n; (n = pm_rz_child_count(z)) > 0; moved = true)
        if (!pm_rz_descend_indexed_byte(z, n > 1 ? (unsigned)pm__aim_draw(&a, n) : 0)) break;
    return moved;
}
