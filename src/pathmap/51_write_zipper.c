/* Write zippers.

   A writer is a read zipper, the cursor, and the map that it looks at. Writes go to the map by the cursor's path, with
   the path operations of 28_trie.c, which make the nodes on the way the map's alone; so moving never copies a node. A
   write moves and frees nodes that the cursor's frames name: it makes the cursor forget them first, and the cursor's
   next call finds them again. Only the path, which no write changes, is kept in between.

       before a write   path "abc", frames (node of "", "a"), (node of "a", "bc")
       after it         path "abc", no frames, over pm__rz_forgotten

   Setting a value forgets less: it begins at the cursor's last node, the one above at most may change with it, and the
   frames of those further up stay. So values set in order cost a short way down each.

   What comes from elsewhere is taken before the map is touched, as references of its own: a source may be a zipper over
   the same map, or the cursor itself. Then one operation on the trie does the whole change, or there is no memory and
   nothing has changed. The place where the writer is rooted is the floor that no pruning goes below. */
#include "50_read_zipper.c"
#include "51_write_zipper.h"

/* ---- opening and closing ------------------------------------------------------------------------------------- */

static void pm__wz_clear(pm_wz *w) {
    pm_map none = {0, 0, NULL, NULL, false, 0, 0};
    w->map = NULL;
    w->own = none;
    w->cursor = pm__rz_none;
    w->status = PM_OK;
    w->owned = false;
    memset(&w->group, 0, sizeof w->group);
}

/* A writer that is not open. */
static PM__INLINE bool pm__wz_shut(const pm_wz *w) { return PM__UNLIKELY(!w || !w->map); }

PM_API pm_status pm_wz_open(pm_map *m, const void *path, size_t len, pm_wz *out) {
    if (!out) return PM_INVALID;
    pm__wz_clear(out);
    pm__map_may_lend(m);
    pm_status s = pm_rz_open(m, path, len, &out->cursor);
    if (s != PM_OK) return s;
    pm__rz_watch(&out->cursor, NULL);
    pm__map_lend(m, PM__LENT_WRITER);
    out->map = m;
    return PM_OK;
}

PM_API pm_status pm_wz_open_move(pm_map *m, const void *path, size_t len, pm_wz *out) {
    if (!out || !m || m == &out->own) return PM_INVALID;
    pm__wz_clear(out);
    pm__map_own(m);
    out->own = *m;
    pm_status s = pm_rz_open(&out->own, path, len, &out->cursor);
    if (s != PM_OK) {
        pm__wz_clear(out);
        return s;
    }
    pm__rz_watch(&out->cursor, NULL);
    out->map = &out->own;
    out->owned = true;
    *m = pm_new(m->ops, m->pool);
    return PM_OK;
}

/* Its map is the caller's again. What a head gave is nobody else's from beginning to end. */
static void pm__wz_give_back(pm_wz *w) {
    if (w->map && !w->cursor.claim) pm__map_lend(w->map, PM__LENT_NOT);
}

PM_API pm_status pm_wz_drop(pm_wz *w) {
    if (!w) return PM_OK;
    pm_status s = w->status;
    pm__wz_give_back(w);
    pm_rz_drop(&w->cursor); /* a head takes back what it gave */
    pm_drop(&w->group.saved);
    if (w->owned) pm_drop(&w->own);
    pm__wz_clear(w);
    return s;
}

PM_API pm_status pm_wz_into_map(pm_wz *w, pm_map *out) {
    if (pm__wz_shut(w) || !w->owned || !out) return PM_INVALID;
    pm_map m = w->own;
    pm_rz_drop(&w->cursor);
    pm_drop(&w->group.saved);
    pm__wz_clear(w);
    *out = m;
    return PM_OK;
}

/* Makes the cursor forget nodes that a write may free: its next call finds them again. Its path stays. */
static void pm__wz_forget(pm_wz *w) {
    pm_rz *z = &w->cursor;
    z->view = &pm__rz_forgotten;
    z->state = w->map;
    z->top = 0;
    z->top_val = NULL;
    z->nframes = z->exist_len = 0;
    z->run = 0;
}

/* The same of all but the first n frames' nodes; each of these leads into the next one. */
static void pm__wz_forget_beyond(pm_wz *w, size_t n) {
    pm_rz *z = &w->cursor;
    size_t len = n ? z->frames[n - 1].base + z->frames[n - 1].place.depth : 0;
    pm__wz_forget(w);
    z->nframes = n, z->exist_len = len;
}

/* Whether it lacks some now. */
static PM__INLINE bool pm__wz_is_lost(const pm_wz *w) { return w->cursor.view != NULL; }

PM_API pm_rz *pm_wz_cursor(pm_wz *w) { return w ? &w->cursor : NULL; }

PM_API pm_status pm_wz_status(const pm_wz *w) {
    if (!w) return PM_INVALID;
    return w->status;
}

PM_API pm_status pm_wz_into_reader(pm_wz *w, pm_rz *out) {
    if (pm__wz_shut(w) || !out) return PM_INVALID;
    pm_status before = w->cursor.status;
    if (!pm__rz_is_view(&w->cursor) && pm__wz_is_lost(w)) {
        w->cursor.status = before; /* the failure is told here */
        return PM_NOMEM;
    }
    pm_rz z = w->cursor;
    z.status = PM_OK;
    if (z.claim) { /* what the head gave to write is the head's again, what is read must be the reader's */
        pm__rz_own(&z);
        pm_status s = w->cursor.claim->pin(w->cursor.claim, &z.claim);
        if (s != PM_OK) {
            pm__cx cx = pm__rz_cx(&z);
            pm__any_release(&cx, z.top);
            if (z.held_some) pm__pay_release(&cx, false, z.held);
            return s;
        }
    } else if (w->owned) { /* the reader takes the references over */
        z.held = w->own.value;
        z.held_some = w->own.has_value;
        z.top_val = NULL;
        z.owned = true;
    } else {
        pm__rz_watch(&z, w->map);
    }
    pm__wz_give_back(w);
    pm_drop(&w->group.saved);
    pm__wz_clear(w);
    *out = z;
    return PM_OK;
}

/* ---- calls that readers must see whole ----------------------------------------------------------------------- */

/* A head's reader may be made at any moment, by another thread, which copies the writer's map between two changes. Each
   change stands between pm__wz_enter and pm__wz_leave. What is worked out beside the map needs no such care: counts of
   shared nodes may grow at any time.
   The writer stores `in_call` and then loads `hold`; who copies stores `hold` and then loads `in_call`; in between,
   both need a full fence, of which the writer's is free where pm__fence_all works.
   The same holds at the end of a change: who has seen the writer inside waits in the kernel, and the writer wakes it
   up if it sees `hold` after it has stored `in_call`. Where pm__fence_all works neither can miss the other: who has not
   called it yet, does so before it sleeps. Elsewhere a full fence at each end would cost more than it is worth: there,
   who waits looks again after a millisecond. */

/* False: a change may not begin now. */
static PM__INLINE bool pm__wz_claim_try_enter(struct pm_claim *c) {
    uint32_t depth = pm__load_relaxed(&c->in_call); /* nobody else stores it */
    if (depth) {
        pm__store_relaxed(&c->in_call, depth + 1);
        return true;
    }
    c->calls++;
    if (c->fenced) {
        pm__store_seq_cst(&c->in_call, 1);
        if (PM__LIKELY(pm__load_seq_cst(&c->hold) == 0)) return true;
    } else {
        pm__store_relaxed(&c->in_call, 1);
        pm__fence_compiler();
        /* Acquire: pairs with the release of `hold` after the map was copied. */
        if (PM__LIKELY(pm__load_acquire(&c->hold) == 0)) return true;
    }
    pm__store_release(&c->in_call, 0);
    return false;
}

static PM__INLINE void pm__wz_enter(pm_wz *w) {
    struct pm_claim *c = w->cursor.claim;
    if (!c) pm__map_lend(w->map, PM__LENT_NOT); /* the writer itself may */
    if (c && !pm__wz_claim_try_enter(c)) c->wait(c);
}

static PM__INLINE void pm__wz_leave(pm_wz *w) {
    struct pm_claim *c = w->cursor.claim;
    if (!c) {
        if (!w->owned) pm__map_lend(w->map, PM__LENT_WRITER);
        return;
    }
    uint32_t depth = pm__load_relaxed(&c->in_call) - 1;
    /* Release: pairs with the acquire load of whoever copies the map next. */
    pm__store_release(&c->in_call, depth);
    pm__fence_compiler();
    if (PM__UNLIKELY(pm__load_relaxed(&c->hold) & PM__HOLD_WAIT) && depth == 0) c->left(c);
}

/* Begins a change of two writers. Neither waits while the other is inside, which a reader may be waiting for. */
PM__UNUSED static void pm__wz_enter_both(pm_wz *w, pm_wz *v) {
    for (;;) {
        pm__wz_enter(w);
        if (!v->cursor.claim || pm__wz_claim_try_enter(v->cursor.claim)) return;
        pm__wz_leave(w);
        pm__wz_enter(v);
        pm__wz_leave(v);
    }
}

/* ---- groups -------------------------------------------------------------------------------------------------- */

static pm_txn *pm__wz_group(pm_wz *w) { return w->cursor.claim ? &w->cursor.claim->group : &w->group; }

static bool pm__wz_is_grouped(pm_wz *w) { return pm__wz_group(w)->open; }

/* What is written to a lent slot comes too late for a reader to be kept from seeing it. */
static bool pm__wz_may_lend(pm_wz *w) { return !w->cursor.claim || pm__wz_is_grouped(w); }

static const pm_txn pm__txn_none = {{0, 0, NULL, NULL, false, 0, 0}, false};

PM_API pm_status pm_wz_begin(pm_wz *w) {
    if (pm__wz_shut(w) || pm__wz_is_grouped(w)) return PM_INVALID;
    pm__wz_enter(w);
    pm_status s = pm_txn_begin(pm__wz_group(w), w->map);
    pm__wz_leave(w);
    return s;
}

/* What a group's end gives up is dropped when nobody waits for it. */
static pm_status pm__wz_end_group(pm_wz *w, bool undo) {
    if (pm__wz_shut(w) || !pm__wz_is_grouped(w)) return PM_INVALID;
    if (undo) pm__wz_forget(w);
    pm__wz_enter(w);
    pm_map gone = pm__wz_group(w)->saved;
    if (undo) {
        pm_map kept = gone;
        gone = *w->map;
        *w->map = kept;
    }
    *pm__wz_group(w) = pm__txn_none;
    pm__wz_leave(w);
    pm_drop(&gone);
    return PM_OK;
}

PM_API pm_status pm_wz_commit(pm_wz *w) { return pm__wz_end_group(w, false); }
PM_API pm_status pm_wz_rollback(pm_wz *w) { return pm__wz_end_group(w, true); }

/* ---- what writes share --------------------------------------------------------------------------------------- */

/* A map that a head gave has no readers, and may be cloned by others at any time. */
static PM__INLINE void pm__wz_wrote(pm_wz *w) {
    if (!w->cursor.claim) pm__map_written(w->map);
}

/* Every write ends here: the first failure is remembered. */
static pm_status pm__wz_done(pm_wz *w, pm_status s) {
    if (s != PM_OK && w->status == PM_OK) w->status = s;
    pm__wz_wrote(w);
    return pm__map_checked(w->map, s);
}

/* Whether a write may not begin: there is no writer; or a move of its cursor has failed, which then is not where the
   caller means to write. */
static PM__INLINE bool pm__wz_refuses(const pm_wz *w) { return pm__wz_shut(w) || PM__UNLIKELY(w->cursor.status); }

/* What a write returns then, and for arguments that are wrong; the first failure is remembered. */
static pm_status pm__wz_refusal(pm_wz *w) {
    if (pm__wz_shut(w)) return PM_INVALID;
    pm_status s = w->cursor.status == PM_OK ? PM_INVALID : w->cursor.status;
    if (w->status == PM_OK) w->status = s;
    return s;
}

/* The end of a write that is a change as a whole. */
static pm_status pm__wz_left(pm_wz *w, pm_status s) {
    pm__wz_leave(w);
    return pm__wz_done(w, s);
}

static pm__cx pm__wz_cx(const pm_wz *w) { return pm__map_cx(w->map); }

/* The place of the focus. */
static pm_ref pm__wz_focus(const pm_wz *w) {
    if (!pm__wz_is_lost(w)) return pm_ref_of_rz(&w->cursor);
    return pm_ref_of_map(w->map, w->cursor.path, w->cursor.len);
}

static bool pm__wz_at_floor(const pm_wz *w) { return w->cursor.len == w->cursor.root_len; }

/* Makes the focus hold just `val` and `child`, which move into the map. */
static pm_status pm__wz_assign(pm_wz *w, pm_opt val, pm__ref child) {
    pm__cx cx = pm__wz_cx(w);
    pm__wz_forget(w);
    pm__wz_enter(w);
    if (w->cursor.len) {
        bool ok = pm__trie_assign(&cx, &w->map->root, w->cursor.path, w->cursor.len, val, child);
        pm__wz_leave(w);
        return ok ? PM_OK : PM_NOMEM;
    }
    pm_map old = *w->map;
    old.stamp = 0; /* that is still the map's */
    w->map->root = child;
    w->map->value = val.some ? val.val : 0;
    w->map->has_value = val.some;
    pm__wz_leave(w);
    pm_drop(&old);
    return PM_OK;
}

/* Puts `child`, which moves into the map, in the place of all below the first `len` bytes of the cursor's path. */
static pm_status pm__wz_assign_below(pm_wz *w, size_t len, pm__ref child) {
    pm__cx cx = pm__wz_cx(w);
    pm__wz_forget(w);
    pm__wz_enter(w);
    if (len) {
        bool ok = pm__trie_graft(&cx, &w->map->root, w->cursor.path, len, child);
        pm__wz_leave(w);
        return ok ? PM_OK : PM_NOMEM;
    }
    pm__ref old = w->map->root;
    w->map->root = child;
    pm__wz_leave(w);
    pm__any_release(&cx, old);
    return PM_OK;
}

/* The same, giving up `child` when that fails. */
static pm_status pm__wz_give_below(pm_wz *w, size_t len, pm__ref child) {
    pm_status s = pm__wz_assign_below(w, len, child);
    if (s != PM_OK) {
        pm__cx cx = pm__wz_cx(w);
        pm__any_release(&cx, child);
    }
    return s;
}

/* ---- values -------------------------------------------------------------------------------------------------- */

/* The range node that frame i's node is a part of; 0: of none. */
static pm__ref pm__wz_range_of(const pm_wz *w, size_t i) {
    if (PM__LIKELY(!w->cursor.frames[i].place.part)) return 0;
    return i ? pm__rz_frame_root(&w->cursor, i) : w->map->root;
}

/* Whether frame i's node is the map's alone, if all above it are: its own count says so, that of the range node it is a
   part of, and that of the block it hangs from in a wide node above, which copies of that node have in common. */
static bool pm__wz_is_owned(const pm_wz *w, size_t i) {
    pm__ref range = pm__wz_range_of(w, i), node = w->cursor.frames[i].place.node;
    if (!node || !pm__ref_is_unique(node) || (range && !pm__ref_is_unique(range))) return false;
    const pm_place *above = i ? &w->cursor.frames[i - 1].place : NULL;
    return !above || pm__ref_kind(above->node) != PM__WIDE ||
           pm__ref_count_is_one(&pm__byte_block(pm__place_byte(above), above->lo >> 4)->rc);
}

/* The value at the focus for changing it in place, if the way to it is known and the map's alone; else NULL. */
static pm_val *pm__wz_slot(const pm_wz *w) {
    const pm_rz *z = &w->cursor;
    const pm_val *v = pm__wz_is_lost(w) || pm__ops_is_unit(pm_map_ops(w->map)) ? NULL : pm_rz_val(z);
    if (!v) return NULL;
    for (size_t i = 0; z->len && i < z->nframes; i++)
        if (!pm__wz_is_owned(w, i)) return NULL;
    return (pm_val *)(uintptr_t)v;
}

/* The slot of the root of frame i's node, or of the node below the last frame; all nodes above it are unshared. NULL:
   no memory. */
static pm__ref *pm__wz_slot_of(const pm_wz *w, const pm__cx *cx, size_t i) {
    if (i == 0) return &w->map->root;
    const pm_place *p = &w->cursor.frames[i - 1].place;
    if (pm__place_in_line(p)) return pm__line_child(pm__place_line(p), p->hi - 1u);
    return pm__byte_child_mut(cx, (pm__byte *)pm__ref_ptr(p->node), p->lo);
}

/* How many of the cursor's frames a write may begin below: their nodes are unshared, and lead on to the focus. */
static size_t pm__wz_finger(const pm_wz *w) {
    const pm_rz *z = &w->cursor;
    pm__ref child;
    size_t n = z->nframes, i = 0;
    if (n && !(z->len > z->exist_len && pm__place_child(&z->frames[n - 1].place, &child) && child)) n--;
    while (i < n && pm__wz_is_owned(w, i)) i++;
    return i;
}

/* The slot of frame i's node itself, a part of the range node in the slot of its root or not, and how a walk comes
   there from that range node. */
static pm__ref *pm__wz_part_of(const pm_wz *w, size_t i, pm__ref *root, pm__above *up) {
    const unsigned part = w->cursor.frames[i].place.part;
    if (!part || !root) return root;
    up->slot = root, up->i = part - 1u, up->range = true;
    return pm__line_part_at((const pm__line *)pm__ref_ptr(*root), part - 1u);
}

/* Before which entry of the last frame's line, where the path leaves it behind the prefix, one for the focus goes; or
   -1. All that agree with the path so far stand side by side. */
static int pm__wz_before(const pm_rz *z) {
    const pm_place *p = &z->frames[z->nframes - 1].place;
    const pm__line *x = pm__place_line(p);
    pm__ref child;
    if (z->view || z->len == z->exist_len || !p->node || !pm__place_in_line(p) || p->depth < x->plen) return -1;
    if (pm__place_child(p, &child)) return -1;
    const uint8_t c = z->path[z->exist_len];
    const unsigned d = pm__place_suffix(p, x);
    if (!d) return (int)pm__line_count_below(x, c);
    const uint8_t *lens = pm__line_lens(x), *h = pm__line_heap(x) + pm__line_off(x, p->lo) + d - 1;
    unsigned i = p->lo;
    for (; i < p->hi && (lens[i] < d || *h < c); i++) h += lens[i]; /* a value at just this place comes first */
    return (int)i;
}

/* Stores a value at the focus, below the root, from the cursor's last node on. */
static pm_status pm__wz_put(pm_wz *w, const pm__cx *cx, pm_val val, pm_opt *old) {
    const pm_rz *z = &w->cursor;
    size_t n = pm__wz_finger(w), base = n ? z->frames[n - 1].base + z->frames[n - 1].place.depth : 0;
    const size_t len = z->len - base;
    pm__key_room room;
    pm__above up = {NULL, 0, false}, range;
    if (n && pm__place_in_line(&z->frames[n - 1].place)) {
        up.slot = pm__wz_part_of(w, n - 1, pm__wz_slot_of(w, cx, n - 1), &range);
        up.i = z->frames[n - 1].place.hi - 1u;
        if (!up.slot) return PM_NOMEM;
    }
    pm__put p = pm__put_begin(pm__wz_slot_of(w, cx, n), NULL, len);
    if (!p.slot) return PM_NOMEM;
    p.s = pm__ent_key_start(z->path + base, len, &room);
    p.up = up;
    if (n) p.in = pm__ref_ptr(z->frames[n - 1].place.node);
    if (n > 1) p.over = pm__ref_ptr(z->frames[n - 2].place.node);
    if (n + 1 == z->nframes && pm__wz_is_owned(w, n) && (p.before = pm__wz_before(z)) >= 0)
        p.slot = pm__wz_part_of(w, n, p.slot, &p.up);
    while (p.before < 0 && pm__put_step(cx, &p, false)) continue;
    bool ok = pm__put_end(cx, &p, false, val, old, NULL);
    if (up.slot && *up.slot != z->frames[n - 1].place.node) n--; /* it has taken in what was below */
    pm__wz_forget_beyond(w, n);
    return ok ? PM_OK : PM_NOMEM;
}

PM_API pm_status pm_wz_set(pm_wz *w, pm_val val, pm_opt *old) {
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    pm__wz_enter(w);
    pm__cx cx = pm__wz_cx(w);
    pm_val *slot = pm__wz_slot(w);
    pm_opt was = {0, false};
    pm_status s = PM_OK;
    if (slot) {
        was.val = *slot, was.some = true;
        *slot = val;
    } else if (w->cursor.nframes && w->cursor.len && !pm__ops_is_refused(cx.ops)) {
        s = pm__wz_put(w, &cx, cx.unit ? 0 : val, &was);
    } else {
        pm__wz_forget(w);
        return pm__wz_left(w, pm_set(w->map, w->cursor.path, w->cursor.len, val, old));
    }
    s = pm__wz_left(w, s);
    if (s == PM_OK) pm__opt_give(&cx, old, was);
    return s;
}

PM_API pm_status pm_wz_get_mut(pm_wz *w, pm_val **slot) {
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    if (!slot || !pm__wz_may_lend(w)) return pm__wz_done(w, PM_INVALID);
    pm_val *v = pm__wz_slot(w);
    if (v) {
        *slot = v;
        return PM_OK;
    }
    pm__wz_forget(w);
    pm__wz_enter(w);
    return pm__wz_left(w, pm_get_mut(w->map, w->cursor.path, w->cursor.len, slot));
}

/* The value is made before the change begins: what makes it may take its time, and may ask a head for a reader. */
PM_API pm_status pm_wz_get_or_set_with(pm_wz *w, pm_status (*make)(void *ctx, pm_val *val), void *ctx, pm_val **slot,
                                       bool *changed) {
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    if (!make || (slot && !pm__wz_may_lend(w))) return pm__wz_done(w, PM_INVALID);
    pm_val *v = pm__wz_slot(w);
    pm_val made = 0;
    if (v) {
        if (slot) *slot = v;
        if (changed) *changed = false;
        return PM_OK;
    }
    bool there = pm_get(w->map, w->cursor.path, w->cursor.len) != NULL;
    if (pm__ops_is_refused(w->map->ops)) return pm__wz_done(w, PM_BADHOOK);
    pm_status s = there ? PM_OK : make(ctx, &made);
    if (s != PM_OK) return pm__wz_done(w, s);
    pm__wz_forget(w);
    pm__wz_enter(w);
    s = pm_get_or_set(w->map, w->cursor.path, w->cursor.len, made, slot, changed);
    if (s != PM_OK && !there && make != pm__make_given) {
        pm__cx cx = pm__wz_cx(w);
        pm__pay_release(&cx, false, made);
    }
    return pm__wz_left(w, s);
}

PM_API pm_status pm_wz_get_or_set(pm_wz *w, pm_val val, pm_val **slot, bool *changed) {
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    return pm_wz_get_or_set_with(w, pm__make_given, &val, slot, changed);
}

PM_API pm_status pm_wz_remove(pm_wz *w, pm_prune prune, pm_opt *old) {
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    const pm_rz *z = &w->cursor;
    pm__wz_forget(w);
    pm__wz_enter(w);
    return pm__wz_left(w, pm__map_remove(w->map, z->path, z->len, prune, z->root_len, old));
}

/* ---- grafting ------------------------------------------------------------------------------------------------ */

static pm_status pm__wz_graft_ref(pm_wz *w, const pm_ref *src) {
    pm_map copy;
    if (src->ops != pm_map_ops(w->map)) return PM_MISMATCH;
    pm__cx cx = pm__wz_cx(w);
    pm_status s = pm__map_of_place(&cx, &src->place, src->val, &copy);
    if (s != PM_OK) return s;
    pm_opt val = {copy.value, copy.has_value};
    s = pm__wz_assign(w, val, copy.root);
    if (s != PM_OK) pm_drop(&copy);
    return s;
}

PM_API pm_status pm_wz_graft(pm_wz *w, const pm_rz *src) { return pm_wz_graft_at(w, src, NULL, 0); }

PM_API pm_status pm_wz_graft_at(pm_wz *w, const pm_rz *src, const void *key, size_t len) {
    if (pm__wz_refuses(w) || !src || (len && !key) || len > PM__LEN_MAX) return pm__wz_refusal(w);
    pm_ref focus = pm_ref_of_rz(src), r = pm_ref_at(&focus, key, len);
    return pm__wz_done(w, pm__wz_graft_ref(w, &r));
}

PM_API pm_status pm_wz_graft_map(pm_wz *w, const pm_map *src) {
    if (pm__wz_refuses(w) || !src) return pm__wz_refusal(w);
    pm_ref r = pm_ref_of_map(src, NULL, 0);
    return pm__wz_done(w, pm__wz_graft_ref(w, &r));
}

PM_API pm_status pm_wz_graft_map_move(pm_wz *w, pm_map *src) {
    if (pm__wz_refuses(w) || !src) return pm__wz_refusal(w);
    if (pm_map_ops(src) != pm_map_ops(w->map)) return pm__wz_done(w, PM_MISMATCH);
    if (src != w->map) pm__map_own(src);
    pm_map moved = *src; /* out of *src first: that may be the writer's own map */
    *src = pm_new(moved.ops, moved.pool);
    pm_opt val = {moved.value, moved.has_value};
    pm_status s = pm__wz_assign(w, val, moved.root);
    if (s != PM_OK) *src = moved;
    return pm__wz_done(w, s);
}

/* ---- children by byte ---------------------------------------------------------------------------------------- */

/* Puts the content of a map, which is moved, at and below byte b of a trie. False: no memory, nothing changed. */
static bool pm__wz_put_child(const pm__cx *cx, pm__ref *root, uint8_t b, pm_map *child) {
    pm_opt val = {child->value, child->has_value};
    bool ok = pm__trie_assign(cx, root, &b, 1, val, child->root);
    if (!ok) pm_drop(child);
    else pm__trie_gather(cx, root, &b, 1); /* its top nodes may be ours, and small */
    return ok;
}

/* Adds what a place has at and below byte b, if anything, to a trie that has nothing there. */
static bool pm__wz_copy_child(const pm__cx *cx, pm__ref *root, uint8_t b, const pm_ref *from) {
    pm_ref r = pm_ref_at(from, &b, 1);
    pm_map child;
    if (!r.exists) return true;
    return pm__map_of_place(cx, &r.place, r.val, &child) == PM_OK && pm__wz_put_child(cx, root, b, &child);
}

/* A trie of the focus's children at the bytes of `keep`, begun from whichever is closer, all of them or none.
   Measured: to add a child takes four times as long as to remove one. */
static bool pm__wz_keep_children(const pm__cx *cx, const pm_ref *focus, const pm_mask *keep, pm__ref *root) {
    pm_mask kids = pm_ref_child_mask(focus), kept = pm_mask_and(kids, *keep), gone = pm_mask_andnot(kids, *keep);
    bool cut = pm_mask_count(&gone) / 4 <= pm_mask_count(&kept);
    const pm_mask *todo = cut ? &gone : &kept;
    *root = 0;
    if (cut && !pm__place_share(cx, &focus->place, root)) return false;
    for (int c = pm_mask_next(todo, 0); c >= 0; c = pm_mask_next(todo, c + 1)) {
        uint8_t b = (uint8_t)c;
        if (!(cut ? pm__trie_cut(cx, root, &b, 0) : pm__wz_copy_child(cx, root, b, focus))) return false;
    }
    return true;
}

/* Replaces the children at the bytes of `mask` by those of a source, or by maps in the order of bytes. */
static pm_status pm__wz_replace_children(pm_wz *w, const pm_mask *mask, const pm_ref *src, const pm_map *maps,
                                         pm_others others) {
    pm__cx cx = pm__wz_cx(w);
    pm_ref focus = pm__wz_focus(w);
    const pm_mask full = {{UINT64_MAX, UINT64_MAX, UINT64_MAX, UINT64_MAX}}, none = {{0, 0, 0, 0}};
    pm_mask keep = others == PM_KEEP_OTHERS ? pm_mask_andnot(full, *mask) : none;
    pm__ref root;
    bool ok = pm__wz_keep_children(&cx, &focus, &keep, &root);
    for (int c = pm_mask_next(mask, 0); ok && c >= 0; c = pm_mask_next(mask, c + 1)) {
        pm_map child = pm_new(NULL, NULL);
        if (maps) child = pm_clone(maps++);
        ok = src ? pm__wz_copy_child(&cx, &root, (uint8_t)c, src) : pm__wz_put_child(&cx, &root, (uint8_t)c, &child);
    }
    if (ok) return pm__wz_give_below(w, w->cursor.len, root);
    pm__any_release(&cx, root);
    return PM_NOMEM;
}

PM_API pm_status pm_wz_graft_masked(pm_wz *w, const pm_rz *src, const pm_mask *mask, pm_others others) {
    if (pm__wz_refuses(w) || !src || !mask) return pm__wz_refusal(w);
    pm_ref theirs = pm_ref_of_rz(src);
    if (theirs.ops != pm_map_ops(w->map)) return pm__wz_done(w, PM_MISMATCH);
    return pm__wz_done(w, pm__wz_replace_children(w, mask, &theirs, NULL, others));
}

PM_API pm_status pm_wz_graft_children(pm_wz *w, const pm_mask *mask, pm_map *maps, size_t n, pm_others others) {
    if (pm__wz_refuses(w) || !mask || (n && !maps)) return pm__wz_refusal(w);
    if (n != pm_mask_count(mask)) return pm__wz_done(w, PM_INVALID);
    for (size_t i = 0; i < n; i++)
        if (&maps[i] == w->map) return pm__wz_done(w, PM_INVALID);
    for (size_t i = 0; i < n; i++)
        if (pm_map_ops(&maps[i]) != pm_map_ops(w->map)) return pm__wz_done(w, PM_MISMATCH);
    pm_status s = pm__wz_replace_children(w, mask, NULL, maps, others);
    for (size_t i = 0; s == PM_OK && i < n; i++) pm_drop(&maps[i]);
    return pm__wz_done(w, s);
}

/* ---- taking, and moving branches up and down ------------------------------------------------------------------- */

/* Leaves nothing at and below the focus, which exists; with PM_PRUNE not even the place, nor what only led to it. */
static pm_status pm__wz_empty(pm_wz *w, pm_prune prune) {
    const pm_rz *z = &w->cursor;
    pm_opt none = {0, false};
    if (!prune || pm__wz_at_floor(w)) return pm__wz_assign(w, none, 0);
    pm__cx cx = pm__wz_cx(w);
    size_t keep = pm__trie_survey(w->map->root, z->path, z->len).keep;
    pm__wz_forget(w);
    pm__wz_enter(w);
    bool ok = pm__trie_cut(&cx, &w->map->root, z->path, keep > z->root_len ? keep : z->root_len);
    pm__wz_leave(w);
    return ok ? PM_OK : PM_NOMEM;
}

PM_API pm_status pm_wz_take(pm_wz *w, pm_prune prune, pm_map *out, bool *found) {
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    if (!out || out == w->map) return pm__wz_done(w, PM_INVALID);
    pm__cx cx = pm__wz_cx(w);
    pm_ref focus = pm__wz_focus(w);
    pm_map taken;
    pm_status s = pm__map_of_place(&cx, &focus.place, focus.val, &taken);
    if (s != PM_OK) return pm__wz_done(w, s);
    bool any = !pm_is_empty(&taken);
    if (focus.exists && (any || prune)) s = pm__wz_empty(w, prune);
    if (s != PM_OK) {
        pm_drop(&taken);
        return pm__wz_done(w, s);
    }
    *out = taken;
    if (found) *found = any;
    return pm__wz_done(w, PM_OK);
}

static pm_status pm__wz_insert_prefix(pm_wz *w, const uint8_t *path, size_t len, bool *done) {
    pm__cx cx = pm__wz_cx(w);
    pm_ref focus = pm__wz_focus(w);
    pm__ref below, chain;
    pm_mask kids = pm_ref_child_mask(&focus);
    *done = !pm_mask_is_empty(&kids);
    if (!*done || !len) return PM_OK;
    if (!pm__place_share(&cx, &focus.place, &below)) return PM_NOMEM;
    chain = pm__any_chain(&cx, path, len, true, below);
    if (!chain) {
        pm__any_release(&cx, below);
        return PM_NOMEM;
    }
    return pm__wz_give_below(w, w->cursor.len, chain);
}

PM_API pm_status pm_wz_insert_prefix(pm_wz *w, const void *path, size_t len, bool *found) {
    if (pm__wz_refuses(w) || (len && !path) || len > PM__LEN_MAX) return pm__wz_refusal(w);
    bool had;
    pm_status s = pm__wz_insert_prefix(w, (const uint8_t *)path, len, &had);
    if (s == PM_OK && found) *found = had;
    return pm__wz_done(w, s);
}

PM_API pm_status pm_wz_remove_prefix(pm_wz *w, size_t n, bool *found) {
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    pm_rz *z = &w->cursor;
    size_t depth = z->len - z->root_len, to = z->len - (n < depth ? n : depth);
    if (to < z->len && pm_path_exists(w->map, z->path, to)) {
        pm__cx cx = pm__wz_cx(w);
        pm_ref focus = pm__wz_focus(w);
        pm__ref below;
        if (!pm__place_share(&cx, &focus.place, &below)) return pm__wz_done(w, PM_NOMEM);
        pm_status s = pm__wz_give_below(w, to, below);
        if (s != PM_OK) return pm__wz_done(w, s);
    }
    pm__rz_cut_to(z, to);
    if (found) *found = n <= depth;
    return pm__wz_done(w, PM_OK);
}

/* ---- removing, making, pruning ------------------------------------------------------------------------------- */

PM_API pm_status pm_wz_remove_branches(pm_wz *w, pm_prune prune, bool *changed) {
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    const pm_rz *z = &w->cursor;
    pm__wz_forget(w);
    pm__wz_enter(w);
    return pm__wz_left(w, pm__map_cut_below(w->map, z->path, z->len, prune, z->root_len, changed));
}

PM_API pm_status pm_wz_remove_unmasked(pm_wz *w, const pm_mask *mask, pm_prune prune) {
    if (pm__wz_refuses(w) || !mask) return pm__wz_refusal(w);
    pm__cx cx = pm__wz_cx(w);
    pm_ref focus = pm__wz_focus(w);
    pm__ref root;
    pm_mask kids = pm_ref_child_mask(&focus), gone = pm_mask_andnot(kids, *mask);
    if (pm_mask_equal(&gone, &kids)) return pm_wz_remove_branches(w, prune, NULL);
    if (pm_mask_is_empty(&gone)) return PM_OK;
    bool ok = pm__wz_keep_children(&cx, &focus, mask, &root);
    if (ok) return pm__wz_done(w, pm__wz_give_below(w, w->cursor.len, root));
    pm__any_release(&cx, root);
    return pm__wz_done(w, PM_NOMEM);
}

PM_API pm_status pm_wz_create_path(pm_wz *w, bool *changed) {
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    pm__wz_forget(w);
    pm__wz_enter(w);
    return pm__wz_left(w, pm_create_path(w->map, w->cursor.path, w->cursor.len, changed));
}

PM_API pm_status pm_wz_prune_path(pm_wz *w, size_t *removed) {
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    const pm_rz *z = &w->cursor;
    pm__wz_forget(w);
    pm__wz_enter(w);
    return pm__wz_left(w, pm__map_prune(w->map, z->path, z->len, z->root_len, removed));
}

PM_API pm_status pm_wz_prune_ascend(pm_wz *w, size_t *removed) {
    if (pm__wz_refuses(w)) return pm__wz_refusal(w);
    size_t gone = 0;
    pm_status s = pm_wz_prune_path(w, &gone);
    if (s != PM_OK) return s;
    pm__rz_cut_to(&w->cursor, w->cursor.len - gone);
    if (removed) *removed = gone;
    return PM_OK;
}
