/* Algebra in place. What lies below a writer's focus may be the map's alone: all nodes down to it have one owner. Where
   such a node of the left side changes, and its block has room for what it becomes, the change is not made but noted:
   an edit. The pair then answers PM__ALG_EDIT: the left side's node stays, at its address, and the node above need not
   change at all. Once nothing can fail any more, all edits are made; if something has failed before, they are
   forgotten, and nothing has happened.

   An edit owns what it adds: payloads of the left node which stay are neither retained nor released, those which go are
   released after all edits are made. A node with an edit is always part of the result, so nothing that goes can take it
   along: a node above it that is made anew has a reference of its own. */
#include "30_algebra.c"

/* One noted change: an image of the node, or words for some of its slots. */
typedef struct pm__alg_edit {
    struct pm__alg_edit *next;
    size_t size;      /* of this block */
    char *node;
    size_t image;     /* bytes of the node to be written, count included; 0: none */
    unsigned nslots, nadded, ngone; /* in this order behind the image: addresses and words, payloads, payloads */
    unsigned added_kids, gone_kids; /* of the payloads so many, the first, are children */
    uint64_t data[];
} pm__alg_edit;

/* What a node becomes, while that is worked out. */
typedef struct pm__alg_change {
    unsigned nslots, nadded_kids, nadded_vals, ngone_kids, ngone_vals;
    uint64_t slots[2 * 512], added_kids[256 + PM__ALG_LIST], added_vals[256 + PM__ALG_LIST];
    uint64_t gone_kids[256], gone_vals[256];
} pm__alg_change;

static void pm__alg_change_init(pm__alg_change *c) {
    c->nslots = c->nadded_kids = c->nadded_vals = c->ngone_kids = c->ngone_vals = 0;
}

/* A payload that comes; it is retained unless it is handed over. */
static void pm__alg_change_add(const pm__cx *cx, pm__alg_change *c, bool child, uint64_t pay, bool owned) {
    if (!owned) pm__pay_retain(cx, child, pay);
    if (child) c->added_kids[c->nadded_kids++] = pay;
    else c->added_vals[c->nadded_vals++] = pay;
}

static void pm__alg_change_drop(pm__alg_change *c, bool child, uint64_t pay) {
    if (child) c->gone_kids[c->ngone_kids++] = pay;
    else c->gone_vals[c->ngone_vals++] = pay;
}

static void pm__alg_change_slot(pm__alg_change *c, const void *slot, uint64_t word) {
    c->slots[2 * c->nslots] = (uint64_t)(uintptr_t)slot;
    c->slots[2 * c->nslots++ + 1] = word;
}

static void pm__alg_give_up(const pm__cx *cx, const uint64_t *pays, unsigned n, unsigned kids) {
    for (unsigned i = 0; i < n; i++) pm__pay_release(cx, i < kids, pays[i]);
}

/* Notes a change of a node. The edit takes over what was added; without memory that is given up, and the answer is
   false. `image` (NULL: none) is written over the node, but for its count. */
static bool pm__alg_note(pm__alg *q, void *node, const void *image, size_t bytes, const pm__alg_change *c) {
    unsigned nadded = c->nadded_kids + c->nadded_vals, ngone = c->ngone_kids + c->ngone_vals;
    size_t words = (bytes + 7) / 8, size = sizeof(pm__alg_edit) + 8 * (words + 2u * c->nslots + nadded + ngone);
    pm__alg_edit *e = (pm__alg_edit *)pm__mem_alloc_big(size);
    if (!e) {
        pm__alg_give_up(q->cx, c->added_kids, c->nadded_kids, c->nadded_kids);
        pm__alg_give_up(q->cx, c->added_vals, c->nadded_vals, 0);
        q->status = PM_NOMEM;
        return false;
    }
    e->size = size;
    e->node = (char *)node;
    e->image = bytes;
    e->nslots = c->nslots;
    e->nadded = nadded, e->added_kids = c->nadded_kids;
    e->ngone = ngone, e->gone_kids = c->ngone_kids;
    uint64_t *to = e->data + words;
    if (bytes) memcpy(e->data, image, bytes);
    memcpy(to, c->slots, 16u * c->nslots), to += 2 * c->nslots;
    memcpy(to, c->added_kids, 8u * c->nadded_kids), to += c->nadded_kids;
    memcpy(to, c->added_vals, 8u * c->nadded_vals), to += c->nadded_vals;
    memcpy(to, c->gone_kids, 8u * c->ngone_kids), to += c->ngone_kids;
    memcpy(to, c->gone_vals, 8u * c->ngone_vals);
    e->next = q->edits;
    q->edits = e;
    return true;
}

static const uint64_t *pm__alg_edit_slots(const pm__alg_edit *e) { return e->data + (e->image + 7) / 8; }

/* Makes all edits, and frees them. */
PM__UNUSED static void pm__alg_edits_make(const pm__cx *cx, pm__alg_edit *list) {
    for (pm__alg_edit *e = list; e; e = e->next) {
        const uint64_t *slot = pm__alg_edit_slots(e);
        const size_t count = sizeof(pm__count);
        if (e->image) memcpy(e->node + count, (const char *)e->data + count, e->image - count);
        for (unsigned i = 0; i < e->nslots; i++) *(uint64_t *)(uintptr_t)slot[2 * i] = slot[2 * i + 1];
    }
    while (list) {
        pm__alg_edit *e = list;
        pm__alg_give_up(cx, pm__alg_edit_slots(e) + 2 * e->nslots + e->nadded, e->ngone, e->gone_kids);
        list = e->next;
        pm__mem_free_big(e, e->size);
    }
}

/* Forgets all edits, and frees them. */
static void pm__alg_edits_forget(const pm__cx *cx, pm__alg_edit *list) {
    while (list) {
        pm__alg_edit *e = list;
        pm__alg_give_up(cx, pm__alg_edit_slots(e) + 2 * e->nslots, e->nadded, e->added_kids);
        list = e->next;
        pm__mem_free_big(e, e->size);
    }
}
