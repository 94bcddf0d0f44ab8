/* Bulk building from sorted, distinct keys: top down, each node made once in its final size.

   A job is a run of keys that share their first `skip` bytes, and the slot that waits for the node. The keys of a run
   are grouped by their next byte. If a line can hold one entry a group, it does, and the smallest groups are spelled
   out in it as long as there is room; the others become child entries and jobs of their own. If not, a byte node takes
   the groups. Jobs wait on a list of our own, so depth costs no stack.

   What a key leads to may also be a child, which the caller puts in once all is built. No key extends such a one, and
   only a value may have the same key, and stands before it. */
#include "27_tally.c"

typedef struct pm__bulk_job {
    size_t lo, hi, skip;
    pm__ref *slot;
} pm__bulk_job;

typedef struct pm__bulk {
    const pm__cx *cx;
    const pm_key *keys;
    const pm_val *vals; /* NULL: all 0 */
    const bool *child;  /* keys that lead to one; NULL: none */
    pm__ref **slots;    /* where those have come to be */
    pm__bulk_job *jobs;
    size_t used, cap;
} pm__bulk;

/* A run of keys with the same next byte. */
typedef struct pm__bulk_group {
    size_t lo, hi; /* keys */
    size_t q;      /* bytes that all share, as far as one entry takes them */
    uint16_t spelled; /* bytes of line that the entries take when spelled out; 0: too many */
    uint16_t folded;  /* bytes of line as a child entry, with the value there if any */
    bool fold;
} pm__bulk_group;

static const uint8_t *pm__bulk_key(const pm__bulk *b, size_t i) { return (const uint8_t *)b->keys[i].data; }
static uint64_t pm__bulk_val(const pm__bulk *b, size_t i) { return b->vals ? b->vals[i] : 0; }

static PM__INLINE bool pm__bulk_is_child(const pm__bulk *b, size_t i) { return b->child && b->child[i]; }

static size_t pm__bulk_shorter(const pm__bulk *b, size_t i, size_t k) {
    return b->keys[i].len < b->keys[k].len ? b->keys[i].len : b->keys[k].len;
}

static bool pm__bulk_push(pm__bulk *b, size_t lo, size_t hi, size_t skip, pm__ref *slot) {
    if (b->used == b->cap) {
        void *grown = pm__mem_grow_list(b->jobs, &b->cap, sizeof *b->jobs, 64);
        if (!grown) return false;
        b->jobs = (pm__bulk_job *)grown;
    }
    pm__bulk_job j = {lo, hi, skip, slot};
    b->jobs[b->used++] = j;
    return true;
}

/* First key in (lo, hi) whose byte at `at` is not that of keys[lo]: steps that double, then halves. */
static size_t pm__bulk_run_end(const pm__bulk *b, size_t lo, size_t hi, size_t at) {
    uint8_t c = pm__bulk_key(b, lo)[at];
    size_t step = 1, good = lo, bad;
    while (good + step < hi && pm__bulk_key(b, good + step)[at] == c) good += step, step *= 2;
    bad = good + step < hi ? good + step : hi;
    while (good + 1 < bad) {
        size_t mid = good + (bad - good) / 2;
        if (pm__bulk_key(b, mid)[at] == c) good = mid;
        else bad = mid;
    }
    return bad;
}

/* Bytes of line that an entry with so long a suffix takes. */
static size_t pm__bulk_cost(const pm__bulk *b, size_t suffix, bool child) {
    return 1 + suffix + (child || !b->cx->unit ? 8 : 0);
}

/* `limit`: the longest suffix that the line allows beside its prefix. */
static PM__INLINE pm__bulk_group pm__bulk_measure(const pm__bulk *b, size_t lo, size_t hi, size_t from, size_t limit) {
    pm__bulk_group g = {lo, hi, 0, 0, 0, false};
    size_t max = pm__bulk_shorter(b, lo, hi - 1) - from, spelled = 0;
    if (max > limit) max = limit;
    g.q = hi - lo == 1 ? max : pm__lcp(pm__bulk_key(b, lo) + from, pm__bulk_key(b, hi - 1) + from, max);
    bool here = b->keys[lo].len == from + g.q;
    if (hi - lo > here) g.folded = (uint16_t)pm__bulk_cost(b, g.q, true);
    if (here) g.folded = (uint16_t)(g.folded + pm__bulk_cost(b, g.q, false));
    for (size_t i = lo; i < hi && hi - lo <= PM__LINE_ENTRIES && spelled <= PM__LINE_BYTES; i++) {
        size_t len = b->keys[i].len - from;
        spelled += len > limit ? PM__LINE_BYTES + 1u : pm__bulk_cost(b, len, false);
    }
    if (PM__UNLIKELY(b->child && b->cx->unit))
        for (size_t i = lo; i < hi && hi - lo <= PM__LINE_ENTRIES; i++) spelled += b->child[i] ? 8 : 0;
    g.spelled = (uint16_t)(hi - lo > PM__LINE_ENTRIES || spelled > PM__LINE_BYTES ? 0 : spelled);
    g.fold = g.spelled == 0 || hi - lo > 1;
    return g;
}

static unsigned pm__bulk_entries(const pm__bulk *b, const pm__bulk_group *g, size_t from) {
    if (!g->fold) return (unsigned)(g->hi - g->lo);
    bool here = b->keys[g->lo].len == from + g->q;
    return (unsigned)here + (g->hi - g->lo > here);
}

/* What a line holds so far, and how much it may. */
typedef struct pm__bulk_sum {
    size_t bytes, room;
    unsigned entries;
} pm__bulk_sum;

/* Counts groups in the place of a folded one. False, and nothing changed: there is no room. */
static bool pm__bulk_swap(const pm__bulk *b, const pm__bulk_group *was, const pm__bulk_group *now, unsigned n,
                          size_t from, pm__bulk_sum *sum) {
    size_t bytes = sum->bytes - was->folded;
    unsigned entries = sum->entries - pm__bulk_entries(b, was, from);
    for (unsigned i = 0; i < n; i++) {
        bytes += now[i].fold ? now[i].folded : now[i].spelled;
        entries += pm__bulk_entries(b, &now[i], from);
    }
    if (entries > PM__LINE_ENTRIES || bytes > sum->room) return false;
    sum->bytes = bytes;
    sum->entries = entries;
    return true;
}

enum { PM__BULK_TWIGS = 3 };

/* Whether a folded group may have all its keys but two in one part of it: then the third from either end are there. */
static PM__INLINE bool pm__bulk_may_part(const pm__bulk *b, const pm__bulk_group *g, size_t from, size_t limit) {
    if (!g->fold || g->q >= limit) return false;
    if (g->hi - g->lo <= 2 * PM__BULK_TWIGS) return true;
    return pm__bulk_key(b, g->lo + 2)[from + g->q] == pm__bulk_key(b, g->hi - 3)[from + g->q];
}

/* Divides a folded group where its keys part, if that leaves at most one folded group and few others. Answers how many
   there are, or 0. */
static PM__NOINLINE unsigned pm__bulk_part(const pm__bulk *b, const pm__bulk_group *g, size_t from, size_t limit,
                                           pm__bulk_group *out) {
    unsigned n = 0, folds = 0;
    for (size_t i = g->lo, end; i < g->hi; i = end) {
        if (n == PM__BULK_TWIGS) return 0;
        end = b->keys[i].len == from + g->q ? i + 1 : pm__bulk_run_end(b, i, g->hi, from + g->q);
        out[n] = pm__bulk_measure(b, i, end, from, limit);
        folds += out[n++].fold;
    }
    return folds <= 1 && n > 1 ? n : 0;
}

/* Where a line has room, takes in what branches off on the way to large groups: keys of which each is little longer
   than the one before would be a chain of nodes else. Answers how many groups there are then. */
static unsigned pm__bulk_strip(const pm__bulk *b, pm__bulk_group *g, unsigned n, size_t from, size_t limit,
                               pm__bulk_sum *sum) {
    pm__bulk_group part[PM__BULK_TWIGS];
    for (unsigned i = 0; i < n && sum->entries < PM__LINE_ENTRIES && sum->bytes + 10 <= sum->room;) {
        unsigned k = 0;
        if (pm__bulk_may_part(b, &g[i], from, limit)) k = pm__bulk_part(b, &g[i], from, limit, part);
        if (!k || n + k - 1 > PM__LINE_ENTRIES || !pm__bulk_swap(b, &g[i], part, k, from, sum)) {
            i++;
            continue;
        }
        memmove(g + i + k, g + i + 1, (n - i - 1) * sizeof *g);
        memcpy(g + i, part, k * sizeof *g);
        n += k - 1;
    }
    return n;
}

/* Decides which groups are folded so that the line fits. False: it cannot. `limit`: the longest suffix; `room`: bytes
   for entries; `e`: whether there is one already. */
static bool pm__bulk_plan(const pm__bulk *b, pm__bulk_group *g, unsigned *n, size_t from, size_t limit, size_t room,
                          bool e) {
    size_t bytes = 0;
    unsigned entries = e;
    uint64_t sizes = 0; /* bit k: some folded group of k keys could be spelled out */
    for (unsigned i = 0; i < *n; i++) {
        bytes += g[i].fold ? g[i].folded : g[i].spelled;
        entries += pm__bulk_entries(b, &g[i], from);
        if (g[i].fold && g[i].spelled) sizes |= (uint64_t)1 << (g[i].hi - g[i].lo);
    }
    if (entries > PM__LINE_ENTRIES || bytes > room) return false;
    for (; sizes; sizes &= sizes - 1) /* spell out the smallest first */
        for (unsigned i = 0, size = pm__ctz64(sizes), all = *n; i < all; i++) {
            if (!g[i].fold || !g[i].spelled || g[i].hi - g[i].lo != size) continue;
            unsigned more = entries + size - pm__bulk_entries(b, &g[i], from);
            if (more > PM__LINE_ENTRIES || bytes - g[i].folded + g[i].spelled > room) continue;
            bytes = bytes - g[i].folded + g[i].spelled;
            entries = more;
            g[i].fold = false;
        }
    pm__bulk_sum sum = {bytes, room, entries};
    *n = pm__bulk_strip(b, g, *n, from, limit, &sum);
    return true;
}

/* Makes the planned line and the jobs for its children. */
static bool pm__bulk_line(pm__bulk *b, const pm__bulk_job *j, const pm__bulk_group *g, unsigned n, size_t lcp, bool e) {
    pm__ent ents[PM__LINE_ENTRIES + 1];
    size_t from = j->skip + lcp, kid[PM__LINE_ENTRIES + 1]; /* kid: a group; from n on, a key */
    unsigned k = 0, pays = 0;
    const uint8_t *prefix = pm__bulk_key(b, j->lo) + j->skip;
    const bool *child = b->child;
    size_t heap = lcp;
    if (e) ents[k++] = pm__ent_make(prefix, 0, false, pm__bulk_val(b, j->lo));
    for (unsigned i = 0; i < n; i++) {
        const uint8_t *s = pm__bulk_key(b, g[i].lo) + from;
        bool here = b->keys[g[i].lo].len == from + g[i].q;
        if (g[i].fold) {
            if (here) ents[k++] = pm__ent_make(s, g[i].q, false, pm__bulk_val(b, g[i].lo));
            kid[k] = i;
            if (g[i].hi - g[i].lo > here) ents[k++] = pm__ent_make(s, g[i].q, true, 0);
            continue;
        }
        for (size_t m = g[i].lo; m < g[i].hi; m++) {
            ents[k] = pm__ent_make(pm__bulk_key(b, m) + from, b->keys[m].len - from, false, pm__bulk_val(b, m));
            if (PM__UNLIKELY(child && child[m])) ents[k].child = true, ents[k].pay = 0, kid[k] = n + m;
            k++;
        }
    }
    for (unsigned i = 0; i < k; i++) {
        heap += ents[i].len ? ents[i].len - 1u : 0u;
        pays += ents[i].child || !b->cx->unit;
    }
    size_t size = pm__line_need(k, heap, pays);
    *j->slot = pm__line_encode(b->cx, size, prefix, lcp, ents, k, 0, 0);
    if (!*j->slot) return false;
    pm__line *x = (pm__line *)pm__ref_ptr(*j->slot);
    for (unsigned i = 0; i < k; i++) {
        if (!ents[i].child) continue;
        if (kid[i] >= n) {
            b->slots[kid[i] - n] = pm__line_child(x, i);
            continue;
        }
        const pm__bulk_group *c = &g[kid[i]];
        bool here = b->keys[c->lo].len == from + c->q;
        if (!pm__bulk_push(b, c->lo + here, c->hi, from + c->q, pm__line_child(x, i))) return false;
    }
    return true;
}

/* Makes a byte node of the run's groups, its root at `from`, and the jobs for its children. */
static bool pm__bulk_byte(pm__bulk *b, size_t lo, size_t hi, size_t from, pm__ref *slot) {
    pm_mask cm = {{0, 0, 0, 0}}, vm = {{0, 0, 0, 0}};
    pm__ref kids[256];
    pm_val vals[256];
    size_t start[256], end[256];
    unsigned nc = 0, nv = 0;
    for (size_t i = lo, z; i < hi; i = z) {
        uint8_t c = pm__bulk_key(b, i)[from];
        z = pm__bulk_run_end(b, i, hi, from);
        bool here = b->keys[i].len == from + 1 && !pm__bulk_is_child(b, i);
        if (here) pm_mask_set(&vm, c), vals[nv++] = pm__bulk_val(b, i);
        if (z - i > here) pm_mask_set(&cm, c), start[nc] = i + here, end[nc] = z, kids[nc++] = 0;
    }
    pm__byte *x = pm__byte_make(b->cx, &cm, &vm, kids, vals);
    if (!x) return false;
    *slot = pm__byte_ref(x);
    unsigned k = 0;
    for (int c = pm_mask_next(&cm, 0); c >= 0; c = pm_mask_next(&cm, c + 1), k++) {
        pm__ref *child = pm__byte_child(x, (uint8_t)c);
        if (PM__UNLIKELY(b->child != NULL) && b->keys[start[k]].len == from + 1) b->slots[start[k]] = child;
        else if (!pm__bulk_push(b, start[k], end[k], from + 1, child)) return false;
    }
    return true;
}

/* A byte node below a prefix: a line above it carries the prefix and the value at its end. */
static bool pm__bulk_under(pm__bulk *b, const pm__bulk_job *j, size_t lcp, bool e) {
    pm__ref *slot = j->slot;
    const uint8_t *s = pm__bulk_key(b, j->lo) + j->skip;
    if (lcp) {
        pm__ent two[2];
        unsigned n = 0;
        if (e) two[n++] = pm__ent_make(s + lcp - 1, 1, false, pm__bulk_val(b, j->lo));
        two[n++] = pm__ent_make(s + lcp - 1, 1, true, 0);
        size_t size = pm__line_need(n, lcp - 1, n - (b->cx->unit && e));
        *slot = pm__line_encode(b->cx, size, s, lcp - 1, two, n, 0, 0);
        if (!*slot) return false;
        slot = pm__line_child((pm__line *)pm__ref_ptr(*slot), n - 1);
    }
    return pm__bulk_byte(b, j->lo + e, j->hi, j->skip + lcp, slot);
}

/* One key by itself. */
static PM__INLINE bool pm__bulk_single(const pm__bulk *b, const pm__bulk_job *j, const uint8_t *s, size_t len) {
    pm__ref *slot = j->slot;
    bool child = PM__UNLIKELY(pm__bulk_is_child(b, j->lo));
    *slot = pm__chain(b->cx, s, len, child, child ? 0 : pm__bulk_val(b, j->lo));
    if (!child || !*slot) return *slot != 0;
    for (size_t n = pm__chain_nodes(len); n; n--) slot = pm__line_child((pm__line *)pm__ref_ptr(*slot), 0);
    b->slots[j->lo] = slot;
    return true;
}

static bool pm__bulk_job_run(pm__bulk *b, const pm__bulk_job *j) {
    pm__bulk_group g[PM__LINE_ENTRIES];
    const uint8_t *a = pm__bulk_key(b, j->lo) + j->skip, *z = pm__bulk_key(b, j->hi - 1) + j->skip;
    size_t max = pm__bulk_shorter(b, j->lo, j->hi - 1) - j->skip, lcp;
    if (j->hi - j->lo == 1) return pm__bulk_single(b, j, a, max);
    lcp = pm__lcp(a, z, max < 255 ? max : 255);
    if (pm__bulk_is_child(b, j->hi - 1) && j->skip + lcp == b->keys[j->hi - 1].len) lcp--; /* one byte leads to it */
    size_t from = j->skip + lcp;
    bool e = b->keys[j->lo].len == from; /* then lcp > 0: keys are longer than `skip` */
    unsigned n = 0;
    for (size_t i = j->lo + e, end; i < j->hi; i = end) {
        if (n == PM__LINE_ENTRIES) return pm__bulk_under(b, j, lcp, e);
        end = pm__bulk_run_end(b, i, j->hi, from);
        g[n++] = pm__bulk_measure(b, i, end, from, PM__SUFFIX_MAX - lcp);
    }
    size_t used = PM__LINE_HDR + lcp + (e ? 10 : 0) + 8; /* unit maps keep 8 bytes behind the heap */
    if (pm__bulk_plan(b, g, &n, from, PM__SUFFIX_MAX - lcp, PM__LINE_BYTES - used, e))
        return pm__bulk_line(b, j, g, n, lcp, e);
    return pm__bulk_under(b, j, lcp, e);
}

/* Runs all jobs, of which the first is all keys. 0: no memory. The values move in, unless it fails. */
static pm__ref pm__bulk_run(pm__bulk *b, size_t n) {
    pm__ref root = 0;
    bool ok = pm__bulk_push(b, 0, n, 0, &root);
    while (ok && b->used) {
        pm__bulk_job j = b->jobs[--b->used];
        ok = pm__bulk_job_run(b, &j);
    }
    if (b->jobs) pm__mem_free_big(b->jobs, b->cap * sizeof *b->jobs);
    if (ok || !root) return root;
    pm__cx nodes_only = *b->cx;
    nodes_only.plain = true;
    pm__any_release(&nodes_only, root);
    return 0;
}

/* Builds a trie of n > 0 sorted, distinct keys, none empty. 0: no memory. The values move in, unless it fails. */
PM__UNUSED static pm__ref pm__bulk_build(const pm__cx *cx, const pm_key *keys, const pm_val *vals, size_t n) {
    pm__bulk b = {cx, keys, vals, NULL, NULL, NULL, 0, 0};
    return pm__bulk_run(&b, n);
}

/* The same where child[i] says that key i leads to a child; slots[i] is where its reference, still 0, stands then. */
PM__UNUSED static pm__ref pm__bulk_build_over(const pm__cx *cx, const pm_key *keys, const pm_val *vals,
                                              const bool *child, pm__ref **slots, size_t n) {
    pm__bulk b = {cx, keys, vals, child, slots, NULL, 0, 0};
    return pm__bulk_run(&b, n);
}
