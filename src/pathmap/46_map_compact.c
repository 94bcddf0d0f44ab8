/* Laying a map out anew. What the map alone holds is listed as sorted keys, and built from them (25_build.c). A node
   that has other owners, or hangs from a block that has, is listed as a child at the end of a key, and hung there
   again.

   Lists of whole keys would take the square of their length where keys are nested. So a list ends PM__COMPACT_REACH
   bytes below the place where it began: nodes that begin deeper become the children of its keys, and each of them the
   beginning of another list. That costs a node at such a place, and keeps the memory for lists small.

   New nodes retain what they hold as soon as they are made, so at any moment the new trie can be given up like any. */
#include "34_walk.c"
#include "40_map.c"
#include "46_map_compact.h"

enum { PM__COMPACT_REACH = 768 };

typedef struct pm__compact {
    const pm__cx *cx;
    pm__list ents, bytes; /* the list; an entry is fresh if its child is to be laid out anew */
    pm__list nodes;       /* to be weighed */
    pm__list jobs;        /* slots of fresh children */
    pm__walk walk;
} pm__compact;

/* ---- the memory of what a map alone holds -------------------------------------------------------------------- */

/* The node's own bytes; its children that have no other owner are put on the stack. */
static bool pm__compact_weigh_node(pm__compact *c, pm__ref r, uint64_t *bytes) {
    pm__ref kids[256];
    unsigned n = 0;
    if (pm__ref_is_lined(r)) {
        const pm__line *x = (const pm__line *)pm__ref_ptr(r);
        for (uint32_t m = x->cmask; m; m &= m - 1) kids[n++] = *pm__line_child(x, pm__ctz32(m));
        *bytes += pm__line_size(x);
    } else {
        const pm__byte *x = (const pm__byte *)pm__ref_ptr(r);
        *bytes += pm__byte_size(x);
        if (!pm__byte_is_wide(x)) memcpy(kids, x->slot, 8u * x->nc), n = x->nc;
        for (unsigned i = 0; i < PM__WIDE_BLOCKS && pm__byte_is_wide(x); i++) {
            const pm__block *k = pm__byte_block(x, i);
            if (!k || !pm__ref_count_is_one(&k->rc)) continue;
            unsigned more = pm__popcount32(pm__byte_block_bits(x, i));
            memcpy(kids + n, k->slot, 8u * more), n += more;
            *bytes += pm__block_size(k->cap);
        }
    }
    for (unsigned i = 0; i < n; i++)
        if (kids[i] && pm__ref_is_unique(kids[i]) && !pm__list_put(&c->nodes, &kids[i], 1)) return false;
    return true;
}

static bool pm__compact_weigh(pm__compact *c, pm__ref root, uint64_t *bytes) {
    *bytes = 0;
    c->nodes.used = 0;
    bool ok = pm__compact_weigh_node(c, root, bytes);
    while (ok && c->nodes.used) ok = pm__compact_weigh_node(c, *(const pm__ref *)pm__list_pop(&c->nodes), bytes);
    return ok;
}

/* ---- listing ------------------------------------------------------------------------------------------------- */

/* Notes the key that is the first `len` bytes of the path. */
static int pm__compact_note(pm__compact *c, size_t len, bool child, uint64_t pay, bool more) {
    pm__ent e = pm__ent_make(c->walk.path.data, len, child, pay);
    e.fresh = more;
    return pm__list_put(&c->bytes, c->walk.path.data, len) && pm__list_put(&c->ents, &e, 1) ? PM_OK : PM_NOMEM;
}

static int pm__compact_value(void *ctx, const pm_val *val, size_t len, size_t low) {
    (void)low;
    return pm__compact_note((pm__compact *)ctx, len, false, *val, false);
}

static int pm__compact_dangling(void *ctx, size_t len, size_t low) {
    (void)low;
    return pm__compact_note((pm__compact *)ctx, len, true, 0, false);
}

/* Whether to list a child itself or what is in it. The node where the list begins is laid out in any case. */
static int pm__compact_child(void *ctx, pm__walk_frame *f, bool shared, bool *skip) {
    if (!f->base) return PM_OK;
    shared = shared || !pm__ref_is_unique(f->node);
    *skip = shared || f->base >= PM__COMPACT_REACH;
    return *skip ? pm__compact_note((pm__compact *)ctx, f->base, true, f->node, !shared) : PM_OK;
}

static const pm__walker pm__compact_walker = {.leaf = pm__walk_leaf_slowly, .mark = pm__compact_value,
    .end = pm__compact_dangling, .enter = pm__compact_child};

/* Lists what is in and below a node that has one owner. False: no memory. */
static bool pm__compact_list(pm__compact *c, pm__ref root) {
    c->ents.used = c->bytes.used = c->walk.frames.used = 0;
    bool ok = pm__walk_slowly(&c->walk, &pm__compact_walker, c, root) == PM_OK;
    const uint8_t *at = c->bytes.data; /* they move no more */
    for (size_t i = 0; ok && i < c->ents.used; i++) {
        pm__ent *e = (pm__ent *)pm__list_at(&c->ents, i);
        e->rest = at + 1;
        at += e->len;
    }
    return ok;
}

/* ---- building ------------------------------------------------------------------------------------------------ */

/* The slot of the child at a key of the list, in what has been built from it. */
static pm__ref *pm__compact_slot(pm__ref r, const pm__ent *e) {
    pm_place p = pm__place_root(r);
    const pm_val *val;
    (void)pm__place_walk(&p, e->rest - 1, e->len, &val);
    return pm__place_in_line(&p) ? pm__line_child(pm__place_line(&p), p.hi - 1u)
                                 : pm__byte_child(pm__place_byte(&p), p.lo);
}

/* Puts another node in the place of the one in *slot, of all that lies in and below it down to where other lists begin:
   these are noted. False: no memory. */
static bool pm__compact_job_run(pm__compact *c, pm__ref *slot) {
    pm__ref old = *slot;
    if (!pm__compact_list(c, old)) return false;
    pm__ent *ents = (pm__ent *)pm__list_at(&c->ents, 0);
    pm__ref r = pm__build_nodes(c->cx, NULL, 0, ents, c->ents.used, 0);
    if (!r) return false;
    for (size_t i = 0; i < c->ents.used; i++) pm__pay_retain(c->cx, ents[i].child, ents[i].pay);
    *slot = r;
    pm__any_release(c->cx, old);
    for (size_t i = 0; i < c->ents.used; i++) {
        if (!ents[i].fresh) continue;
        pm__ref *below = pm__compact_slot(r, &ents[i]);
        if (!pm__list_put(&c->jobs, &below, 1)) return false;
    }
    return true;
}

/* Builds another trie of what lies in and below a node. 0: no memory. */
static pm__ref pm__compact_build(pm__compact *c, pm__ref root) {
    pm__ref out = root;
    pm__ref_retain(root);
    bool ok = pm__compact_job_run(c, &out);
    while (ok && c->jobs.used) ok = pm__compact_job_run(c, *(pm__ref **)pm__list_pop(&c->jobs));
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
    c.cx = &cx;
    c.ents = pm__list_of(sizeof(pm__ent)), c.bytes = pm__list_of(1);
    c.nodes = pm__list_of(sizeof(pm__ref)), c.jobs = pm__list_of(sizeof(pm__ref *));
    c.walk = pm__walk_begin();
    pm__ref out = pm__compact_weigh(&c, m->root, &was) ? pm__compact_build(&c, m->root) : 0;
    bool ok = out && pm__compact_weigh(&c, out, &now), less = ok && now < was;
    pm__list_free(&c.ents);
    pm__list_free(&c.bytes);
    pm__list_free(&c.nodes);
    pm__walk_end(&c.walk);
    pm__list_free(&c.jobs);
    if (less) {
        pm__ref old = m->root;
        m->root = out;
        out = old;
    }
    pm__any_release(&cx, out);
    return ok ? pm__map_done(m, PM_OK) : PM_NOMEM;
}
