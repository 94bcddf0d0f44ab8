/* Ranges of integers, and numbers woven into keys.

   A block is all keys of some prefix: with `height` bytes left, the numbers 0 to 256^height - 1 counted from its start.
   What a range has in a block depends on the first and the last number in it alone; so a node is made once for each
   height, first and last, found again in a memo, and shared. Inside a range of step 1 all blocks are full, and the same
   node.

   Blocks are made from below: a frame is a block whose children are being listed, at most 8 at a time. Each node made
   is held in a list until the end, and holds a reference of its own to whatever it leads to: so giving up is releasing
   that list. At the end the map is laid out anew, which puts runs of nodes with one child each into lines. */
#include "14_memo.c"
#include "46_map_compact.c"
#include "59_integers.h"

/* ---- ranges -------------------------------------------------------------------------------------------------- */

typedef struct pm__int_frame {
    uint64_t first, last; /* of the range, counted from the start of the block */
    uint64_t next;        /* the first number that is not yet in a child; not read when `over` */
    size_t ents;          /* where its entries begin */
    unsigned height;
    bool over;
} pm__int_frame;

typedef struct pm__int_range {
    const pm__cx *cx;
    uint64_t step;
    pm_val val;
    pm__memo known;
    pm__list frames, ents, held;
} pm__int_range;

/* The last number of a range that begins at `first` and goes no further than `most`. */
static uint64_t pm__int_last(const pm__int_range *r, uint64_t first, uint64_t most) {
    return most - (most - first) % r->step;
}

static bool pm__int_open(pm__int_range *r, uint64_t first, uint64_t last, unsigned height) {
    pm__int_frame f = {first, last, first, r->ents.used, height, false};
    return pm__list_put(&r->frames, &f, 1);
}

/* Blocks by height and first number, which is below 2^56 where there are blocks above, and by last number. */
static uint64_t pm__int_name(const pm__int_frame *f) { return (uint64_t)f->height << 56 | f->first; }

/* Goes past the numbers up to `last`, from the block's start. */
static void pm__int_pass(const pm__int_range *r, pm__int_frame *f, uint64_t last) {
    f->over = f->last - last < r->step;
    f->next = last + r->step;
}

static bool pm__int_list(pm__int_range *r, uint8_t byte, bool child, uint64_t pay) {
    pm__ent e = pm__ent_make(&byte, 1, child, pay);
    return pm__list_put(&r->ents, &e, 1);
}

/* Lists the next child of a block of two bytes or more, or opens a frame for it first. False: no memory. */
static bool pm__int_child(pm__int_range *r, pm__int_frame *f) {
    const unsigned shift = 8 * (f->height - 1);
    const uint64_t start = f->next >> shift << shift, end = start + (((uint64_t)1 << shift) - 1);
    const uint64_t last = pm__int_last(r, f->next, end < f->last ? end : f->last);
    pm__int_frame below = {f->next - start, last - start, 0, 0, f->height - 1, false};
    const uint64_t *known = pm__memo_get(&r->known, pm__int_name(&below), below.last);
    if (!known) return pm__int_open(r, below.first, below.last, below.height);
    pm__int_pass(r, f, last);
    return pm__int_list(r, (uint8_t)(start >> shift), true, *known);
}

/* Makes a block's node of the entries that it has listed. False: no memory. */
static bool pm__int_close(pm__int_range *r, const pm__int_frame *f) {
    pm__ent *ents = (pm__ent *)pm__list_at(&r->ents, f->ents);
    const size_t n = r->ents.used - f->ents;
    if (!pm__list_room(&r->held, 1)) return false;
    pm__ref made = pm__build_nodes(r->cx, NULL, 0, ents, n, 0);
    if (!made) return false;
    for (size_t i = 0; i < n; i++) pm__pay_retain(r->cx, ents[i].child, ents[i].pay);
    (void)pm__list_put(&r->held, &made, 1);
    r->ents.used = f->ents;
    r->frames.used--;
    return pm__memo_put(&r->known, pm__int_name(f), f->last, made);
}

/* One step at the top frame. False: no memory. */
static bool pm__int_step(pm__int_range *r) {
    pm__int_frame *f = (pm__int_frame *)pm__list_at(&r->frames, r->frames.used - 1);
    if (f->over) return pm__int_close(r, f);
    if (f->height > 1) return pm__int_child(r, f);
    uint8_t byte = (uint8_t)f->next;
    pm__int_pass(r, f, f->next);
    return pm__int_list(r, byte, false, r->val);
}

/* Puts the node of the whole range into *root, with a reference of its own. False: no memory. */
static bool pm__int_make(pm__int_range *r, uint64_t from, uint64_t last, unsigned width, pm__ref *root) {
    r->frames = pm__list_of(sizeof(pm__int_frame));
    r->ents = pm__list_of(sizeof(pm__ent));
    r->held = pm__list_of(sizeof(pm__ref));
    bool ok = pm__int_open(r, from, pm__int_last(r, from, last), width);
    while (ok && r->frames.used) ok = pm__int_step(r);
    for (size_t i = 0; i < r->held.used; i++) {
        *root = *(pm__ref *)pm__list_at(&r->held, i);
        if (ok && i + 1 == r->held.used) break; /* the last is that of the whole */
        pm__any_release(r->cx, *root);
    }
    pm__memo_free(&r->known);
    pm__list_free(&r->frames);
    pm__list_free(&r->ents);
    pm__list_free(&r->held);
    return ok;
}

PM_API pm_status pm_int_range(const pm_ops *ops, pm_pool *pool, uint64_t from, uint64_t last, uint64_t step,
                              unsigned width, pm_val val, pm_map *out) {
    if (!out || step == 0 || width - 1u > 7) return PM_INVALID;
    if (width < 8 && (from > last ? from : last) >> 8 * width) return PM_INVALID;
    pm_map m = pm_new(ops, pool);
    pm__cx cx = pm__map_cx(&m);
    if (pm__ops_is_refused(cx.ops)) return PM_BADHOOK;
    if (from <= last) {
        pm__int_range r = {.cx = &cx, .step = step, .val = cx.unit ? 0 : val};
        if (!pm__int_make(&r, from, last, width, &m.root)) return PM_NOMEM;
        if (pm_compact(&m) != PM_OK) {
            pm_drop(&m);
            return PM_NOMEM;
        }
    }
    pm__val_release(cx.ops, val);
    *out = m;
    return pm__map_done(out, PM_OK);
}

/* ---- weaving ------------------------------------------------------------------------------------------------- */

static bool pm__weave_refuses(const void *from, size_t n, unsigned each, unsigned most, const void *out) {
    return !from || !out || n > PM__LEN_MAX / 64 || each - 1u >= most;
}

PM_API size_t pm_weave_bytes(const uint64_t *numbers, size_t n, unsigned width, uint8_t *out) {
    if (pm__weave_refuses(numbers, n, width, 8, out)) return 0;
    for (unsigned b = width; b-- > 0;)
        for (size_t i = 0; i < n; i++) *out++ = (uint8_t)(numbers[i] >> 8 * b);
    return n * width;
}

PM_API size_t pm_unweave_bytes(const uint8_t *path, size_t n, unsigned width, uint64_t *out) {
    if (pm__weave_refuses(path, n, width, 8, out)) return 0;
    for (size_t i = 0; i < n; i++) out[i] = 0;
    for (unsigned b = width; b-- > 0;)
        for (size_t i = 0; i < n; i++) out[i] = out[i] << 8 | *path++;
    return n * width;
}

PM_API size_t pm_weave_bits(const uint64_t *numbers, size_t n, unsigned bits, uint8_t *out) {
    if (n - 1 > 7 || pm__weave_refuses(numbers, n, bits, 64, out)) return 0;
    for (unsigned b = bits; b-- > 0; out++) {
        *out = 0;
        for (size_t i = 0; i < n; i++) *out = (uint8_t)(*out | (numbers[i] >> b & 1) << i);
    }
    return bits;
}

PM_API size_t pm_unweave_bits(const uint8_t *path, size_t n, unsigned bits, uint64_t *out) {
    if (n - 1 > 7 || pm__weave_refuses(path, n, bits, 64, out)) return 0;
    for (size_t i = 0; i < n; i++) out[i] = 0;
    for (unsigned b = 0; b < bits; b++)
        for (size_t i = 0; i < n; i++) out[i] = out[i] << 1 | (path[b] >> i & 1);
    return bits;
}
