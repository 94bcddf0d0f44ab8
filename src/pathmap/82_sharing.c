/* How much maps share: each map is gone through on its own, over nodes that it has not shown yet. What is known of a
   node, or of a block of a wide one, is which map has shown it last, and whether two have. */
#include "80_inspect.c"
#include "82_sharing.h"

enum { PM__SHARING_MAPS = 0xFFFF, PM__SHARING_TWICE = 0x10000 };

typedef struct pm__sharing {
    pm__inspect_list list;
    pm_sharing sum;
    uint64_t map; /* which is being gone through, from 1 */
} pm__sharing;

/* Notes that the map has what lies at an address. *fresh: it has not shown it before. False: no memory. */
static bool pm__sharing_meet(pm__sharing *s, const void *p, uint64_t nodes, uint64_t bytes, bool *fresh) {
    uint64_t a = (uint64_t)(uintptr_t)p;
    const uint64_t *known = pm__memo_get(&s->list.seen, a, 0);
    uint64_t was = known ? *known : 0;
    *fresh = (was & PM__SHARING_MAPS) != s->map;
    if (!*fresh) return true;
    s->sum.apart_nodes += nodes, s->sum.apart_bytes += bytes;
    if (!was) s->sum.nodes += nodes, s->sum.bytes += bytes;
    else if (!(was & PM__SHARING_TWICE)) s->sum.shared_nodes += nodes, s->sum.shared_bytes += bytes;
    return pm__memo_put(&s->list.seen, a, 0, s->map | (was ? (uint64_t)PM__SHARING_TWICE : 0));
}

static bool pm__sharing_blocks(pm__sharing *s, const pm__byte *x) {
    bool fresh;
    for (unsigned i = 0; i < PM__WIDE_BLOCKS; i++) {
        const pm__block *k = pm__byte_block(x, i);
        if (k && !pm__sharing_meet(s, k, 0, pm__block_size(k->cap), &fresh)) return false;
    }
    return true;
}

/* Notes a node; a fresh one waits for its children to be looked at. */
static bool pm__sharing_node(pm__sharing *s, pm__ref r) {
    const void *p = pm__ref_ptr(r);
    bool line = pm__ref_is_lined(r), fresh;
    size_t bytes = line ? pm__line_size((const pm__line *)p) : pm__byte_size((const pm__byte *)p);
    if (!pm__sharing_meet(s, p, 1, bytes, &fresh)) return false;
    if (!fresh) return true;
    if (pm__ref_kind(r) == PM__WIDE && !pm__sharing_blocks(s, (const pm__byte *)p)) return false;
    return pm__inspect_push(&s->list, r, 0);
}

static bool pm__sharing_map(pm__sharing *s, const pm_map *m) {
    bool ok = !m->root || pm__sharing_node(s, m->root);
    while (ok && s->list.next < s->list.used) {
        pm__ref r = s->list.items[--s->list.used].node;
        unsigned at = 0;
        for (pm__ent e; ok && pm__inspect_next(r, &at, &e);)
            if (e.child && e.pay) ok = pm__sharing_node(s, e.pay);
    }
    return ok;
}

PM_API pm_status pm_get_sharing(const pm_map *const *maps, size_t n, pm_sharing *out) {
    pm__sharing s;
    if ((!maps && n) || n > PM__SHARING_MAPS || !out) return PM_INVALID;
    for (size_t i = 0; i < n; i++)
        if (!maps[i]) return PM_INVALID;
    memset(&s, 0, sizeof s);
    bool ok = true;
    for (size_t i = 0; ok && i < n; i++) {
        s.map = i + 1;
        ok = pm__sharing_map(&s, maps[i]);
    }
    pm__inspect_close(&s.list);
    if (!ok) return PM_NOMEM;
    *out = s.sum;
    return PM_OK;
}
