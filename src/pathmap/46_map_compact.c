/* Laying a map out anew. What the map alone holds is listed as sorted keys, and built from them (28_bulk.c). A node
   that has other owners, or hangs from a block that has, is listed as a child at the end of a key, and hung there
   again.

   Lists of whole keys would take the square of their length where keys are nested. So a list ends PM__COMPACT_REACH
   bytes below the place where it began: nodes that begin deeper become the children of its keys, and each of them the
   beginning of another list. That costs a node at such a place, and keeps the memory for lists small.

   New nodes retain what they hold as soon as they are made, so at any moment the new trie can be given up like any. */
#include "28_bulk.c"
#include "40_map.c"
#include "46_map_compact.h"

enum { PM__COMPACT_REACH = 768, PM__COMPACT_PATH = PM__COMPACT_REACH + 512 };

/* A key of the list; `at` is where its bytes begin. */
typedef struct pm__compact_key {
    size_t at;
    uint64_t pay; /* value or child */
    uint16_t len;
    bool child, more; /* more: a list begins there */
} pm__compact_key;

/* A node that is being listed. */
typedef struct pm__compact_frame {
    pm__ref node;
    unsigned next; /* entry; byte nodes: byte, times two, and one more behind its value */
    size_t base;   /* bytes of path above */
} pm__compact_frame;

/* A node at which a list begins, and where the new one goes. */
typedef struct pm__compact_job {
    pm__ref node, *slot;
} pm__compact_job;

typedef struct pm__compact {
    const pm__cx *cx;
    pm__compact_key *keys;
    pm__compact_frame *frames;
    pm__compact_job *jobs;
    uint8_t *bytes;
    size_t n, cap, depth, frames_cap, njobs, jobs_cap, nbytes, bytes_cap;
    uint8_t path[PM__COMPACT_PATH];
} pm__compact;

static void pm__compact_free(pm__compact *c) {
    if (c->keys) pm__mem_free_big(c->keys, c->cap * sizeof *c->keys);
    if (c->frames) pm__mem_free_big(c->frames, c->frames_cap * sizeof *c->frames);
    if (c->jobs) pm__mem_free_big(c->jobs, c->jobs_cap * sizeof *c->jobs);
    if (c->bytes) pm__mem_free_big(c->bytes, c->bytes_cap);
}

/* Goes on with a node whose path has `base` bytes. */
static bool pm__compact_enter(pm__compact *c, pm__ref r, size_t base) {
    if (c->depth == c->frames_cap) {
        void *grown = pm__mem_grow_list(c->frames, &c->frames_cap, sizeof *c->frames, 64);
        if (!grown) return false;
        c->frames = (pm__compact_frame *)grown;
    }
    pm__compact_frame f = {r, 0, base};
    c->frames[c->depth++] = f;
    return true;
}

/* ---- the memory of what a map alone holds -------------------------------------------------------------------- */

/* The node's own bytes; its children that have no other owner are put on the stack. */
static bool pm__compact_weigh_node(pm__compact *c, pm__ref r, uint64_t *bytes) {
    pm__ref kids[256];
    unsigned n = 0;
    if (pm__ref_kind(r) == PM__LINE) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        for (uint32_t m = x->cmask; m; m &= m - 1) kids[n++] = *pm__line_child(x, pm__ctz32(m));
        *bytes += pm__line_size(x);
    } else {
        const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
        *bytes += pm__byte_size(x);
        if (!pm__byte_is_wide(x)) memcpy(kids, x->slot, 8u * x->nc), n = x->nc;
        for (unsigned i = 0; i < PM__WIDE_BLOCKS && pm__byte_is_wide(x); i++) {
            const pm__block *k = pm__byte_block(x, i);
            if (!k || !pm__count_is_one(&k->rc)) continue;
            unsigned more = pm__popcount32(pm__byte_block_bits(x, i));
            memcpy(kids + n, k->slot, 8u * more), n += more;
            *bytes += pm__block_size(k->cap);
        }
    }
    for (unsigned i = 0; i < n; i++)
        if (kids[i] && pm__ref_is_unique(kids[i]) && !pm__compact_enter(c, kids[i], 0)) return false;
    return true;
}

static bool pm__compact_weigh(pm__compact *c, pm__ref root, uint64_t *bytes) {
    *bytes = 0;
    c->depth = 0;
    bool ok = pm__compact_weigh_node(c, root, bytes);
    while (ok && c->depth) ok = pm__compact_weigh_node(c, c->frames[--c->depth].node, bytes);
    c->depth = 0;
    return ok;
}

/* ---- listing ------------------------------------------------------------------------------------------------- */

/* Notes the key path[0..len). False: no memory. */
static bool pm__compact_note(pm__compact *c, size_t len, bool child, uint64_t pay, bool more) {
    if (c->n == c->cap) {
        void *grown = pm__mem_grow_list(c->keys, &c->cap, sizeof *c->keys, 64);
        if (!grown) return false;
        c->keys = (pm__compact_key *)grown;
    }
    while (c->bytes_cap - c->nbytes < len) {
        void *grown = pm__mem_grow_list(c->bytes, &c->bytes_cap, 1, PM__COMPACT_PATH);
        if (!grown) return false;
        c->bytes = (uint8_t *)grown;
    }
    memcpy(c->bytes + c->nbytes, c->path, len);
    pm__compact_key k = {c->nbytes, pay, (uint16_t)len, child, more};
    c->keys[c->n++] = k;
    c->nbytes += len;
    return true;
}

/* A child at path[0..len). */
static bool pm__compact_child(pm__compact *c, pm__ref r, size_t len, bool shared) {
    shared = !r || shared || !pm__ref_is_unique(r);
    if (shared || len >= PM__COMPACT_REACH) return pm__compact_note(c, len, true, r, !shared);
    pm__ref_prefetch(r);
    return pm__compact_enter(c, r, len);
}

/* One entry of the top node, or what there is at one byte. */
static bool pm__compact_line(pm__compact *c, pm__compact_frame *f) {
    const pm__line *x = (const pm__line *)pm__ref_ptr(f->node);
    unsigned i = f->next++;
    size_t suffix = pm__line_suffix(x, i), len = f->base + x->plen + suffix;
    uint8_t *to = c->path + f->base;
    memcpy(to, pm__line_heap(x), x->plen);
    if (suffix) {
        to[x->plen] = x->body[i];
        memcpy(to + x->plen + 1, pm__line_heap(x) + pm__line_off(x, i), suffix - 1);
    }
    if (pm__line_is_child(x, i)) return pm__compact_child(c, *pm__line_child(x, i), len, false);
    return pm__compact_note(c, len, false, *pm__line_val(x, i), false);
}

static bool pm__compact_byte(pm__compact *c, pm__compact_frame *f) {
    const pm__byte *x = (const pm__byte *)pm__ref_ptr(f->node);
    uint8_t b = (uint8_t)(f->next / 2);
    bool child = f->next++ & 1;
    size_t len = f->base + 1;
    c->path[f->base] = b;
    if (!child) return !pm__byte_has_val(x, b) || pm__compact_note(c, len, false, *pm__byte_val(x, b), false);
    if (!pm__byte_has_child(x, b)) return true;
    bool shared = pm__byte_is_wide(x) && !pm__count_is_one(&pm__byte_block(x, b >> 4)->rc);
    return pm__compact_child(c, *pm__byte_child(x, b), len, shared);
}

static bool pm__compact_list(pm__compact *c, pm__ref root) {
    c->n = c->nbytes = 0;
    bool ok = pm__compact_enter(c, root, 0);
    while (ok && c->depth) {
        pm__compact_frame *f = &c->frames[c->depth - 1];
        bool line = pm__ref_kind(f->node) == PM__LINE;
        if (f->next == (line ? ((const pm__line *)pm__ref_ptr(f->node))->n : 512u)) c->depth--;
        else ok = line ? pm__compact_line(c, f) : pm__compact_byte(c, f);
    }
    c->depth = 0;
    return ok;
}

/* ---- building ------------------------------------------------------------------------------------------------ */

/* What the bulk builder wants to have of the list, in one block. */
typedef struct pm__compact_lists {
    pm_key *keys;
    pm__ref **slots;
    pm_val *vals;
    bool *child;
    void *block;
    size_t size;
} pm__compact_lists;

static bool pm__compact_lists_make(const pm__compact *c, pm__compact_lists *l) {
    const size_t each = sizeof *l->keys + sizeof *l->slots + sizeof *l->vals + sizeof *l->child;
    l->size = c->n * each;
    l->block = c->n <= SIZE_MAX / each ? pm__mem_alloc_big(l->size) : NULL;
    if (!l->block) return false;
    l->vals = (pm_val *)l->block;
    l->keys = (pm_key *)(void *)(l->vals + c->n);
    l->slots = (pm__ref **)(void *)(l->keys + c->n);
    l->child = (bool *)(void *)(l->slots + c->n);
    for (size_t i = 0; i < c->n; i++) {
        l->keys[i].data = c->bytes + c->keys[i].at;
        l->keys[i].len = c->keys[i].len;
        l->vals[i] = c->keys[i].pay;
        l->child[i] = c->keys[i].child;
    }
    return true;
}

/* Lets the new nodes hold what the list says. Where another list begins, that is noted: there is room for it. */
static void pm__compact_settle(pm__compact *c, const pm__compact_lists *l) {
    for (size_t i = 0; i < c->n; i++) {
        const pm__compact_key *k = &c->keys[i];
        if (k->more) {
            pm__compact_job j = {k->pay, l->slots[i]};
            c->jobs[c->njobs++] = j;
            continue;
        }
        if (k->child) *l->slots[i] = k->pay;
        pm__pay_retain(c->cx, k->child, k->pay);
    }
}

static bool pm__compact_jobs_room(pm__compact *c) {
    size_t need = c->njobs;
    for (size_t i = 0; i < c->n; i++) need += c->keys[i].more;
    while (c->jobs_cap < need) {
        void *grown = pm__mem_grow_list(c->jobs, &c->jobs_cap, sizeof *c->jobs, 16);
        if (!grown) return false;
        c->jobs = (pm__compact_job *)grown;
    }
    return true;
}

/* Builds what lies in and below one node, up to where other lists begin. False: no memory. */
static bool pm__compact_job_run(pm__compact *c, pm__compact_job j) {
    pm__compact_lists l;
    if (!pm__compact_list(c, j.node) || !pm__compact_jobs_room(c) || !pm__compact_lists_make(c, &l)) return false;
    *j.slot = pm__bulk_build_over(c->cx, l.keys, l.vals, l.child, l.slots, c->n);
    if (*j.slot) pm__compact_settle(c, &l);
    pm__mem_free_big(l.block, l.size);
    return *j.slot != 0;
}

/* Builds another trie of what lies in and below a node. 0: no memory. */
static pm__ref pm__compact_build(pm__compact *c, pm__ref root) {
    pm__ref out = 0;
    pm__compact_job j = {root, &out};
    bool ok = pm__compact_job_run(c, j);
    while (ok && c->njobs) ok = pm__compact_job_run(c, c->jobs[--c->njobs]);
    if (ok) return out;
    pm__any_release(c->cx, out);
    return 0;
}

PM_API pm_status pm_compact(pm_map *m) {
    if (pm__map_refuses(m, NULL, 0)) return PM_INVALID;
    if (!m->root || !pm__ref_is_unique(m->root)) return PM_OK;
    pm__cx cx = pm__map_cx(m);
    pm__compact c;
    uint64_t was, now = 0;
    memset(&c, 0, sizeof c);
    c.cx = &cx;
    pm__ref out = pm__compact_weigh(&c, m->root, &was) ? pm__compact_build(&c, m->root) : 0;
    bool ok = out && pm__compact_weigh(&c, out, &now), less = ok && now < was;
    pm__compact_free(&c);
    if (less) {
        pm__ref old = m->root;
        m->root = out;
        out = old;
    }
    pm__any_release(&cx, out);
    return ok ? pm__map_done(m, PM_OK) : PM_NOMEM;
}
