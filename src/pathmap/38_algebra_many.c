/* Join and meet of any number of tries in one pass: the byte nodes that several sides have at one place are combined at
   once, by their masks, without a trie in between for every two of them. Where fewer than three sides are left, or
   lines among them, pairs are combined two by two (37_algebra_walk.c), neighbours first; hooks are taken to be
   associative.

   Sides that are one node count once if values are idempotent. A shared node below the root goes to the pairwise
   algebra, which remembers what it has seen. */
#include "37_algebra_walk.c"

/* A place at which three or more sides have byte nodes. */
typedef struct pm__many_frame {
    struct pm__many_frame *up;
    size_t n, size;
    pm_mask look, vm, fresh, cm; /* bytes to go through; values and children of the result so far */
    int next;
    unsigned nc, nv;
    pm_val vals[256];
    pm__ref kids[256]; /* owned */
    pm__ref sides[];   /* then as many again, for what lies below one byte */
} pm__many_frame;

typedef struct pm__many {
    pm__alg q;
    pm__many_frame *top;
} pm__many;

static const pm__byte *pm__many_node(pm__ref r) { return (const pm__byte *)pm__ref_ptr(r); }

static bool pm__many_is_byte(pm__ref r) { return pm__ref_kind(r) != PM__LINE; }

/* Combines two sides; *out is owned. */
static pm_status pm__many_two(pm__many *m, pm__ref x, pm__ref y, pm__ref *out) {
    pm_place a = pm__place_root(x), b = pm__place_root(y);
    pm__alg_answer r;
    pm_status s = pm__alg_run(m->q.cx, m->q.op, &a, &b, NULL, &r);
    if (s != PM_OK) return s;
    *out = r.alg == PM_ALG_ELEMENT ? r.ref : r.alg & PM_ALG_LEFT ? x : r.alg & PM_ALG_RIGHT ? y : 0;
    if (r.alg != PM_ALG_ELEMENT) pm__ref_retain(*out);
    return PM_OK;
}

/* Combines sides two by two, in rounds. The list is overwritten with results, which are given up at the end. */
static pm_status pm__many_pairs(pm__many *m, pm__ref *sides, size_t n, pm__ref *out) {
    pm_status s = PM_OK;
    for (size_t i = 0; i < n; i++) pm__ref_retain(sides[i]);
    while (n > 1 && s == PM_OK) {
        size_t k = 0, i = 0;
        for (; i + 1 < n && s == PM_OK; i += 2) {
            pm__ref r = 0;
            s = pm__many_two(m, sides[i], sides[i + 1], &r);
            if (s != PM_OK) break;
            pm__any_release(m->q.cx, sides[i]);
            pm__any_release(m->q.cx, sides[i + 1]);
            sides[k++] = r;
        }
        for (; i < n; i++) sides[k++] = sides[i]; /* the odd one, or what a failure left */
        n = k;
    }
    if (s == PM_OK) *out = sides[0];
    for (size_t i = 0; s != PM_OK && i < n; i++) pm__any_release(m->q.cx, sides[i]);
    return s;
}

/* Equal sides are kept once, the first of them. */
static size_t pm__many_distinct(const pm__many *m, pm__ref *sides, size_t n) {
    size_t k = 0;
    if (!m->q.idempotent) return n;
    for (size_t i = 0; i < n; i++) {
        bool seen = false;
        for (size_t j = k; j-- > 0 && !seen && k - j <= 64;) seen = sides[j] == sides[i]; /* the latest will do */
        if (!seen) sides[k++] = sides[i];
    }
    return k;
}

static pm_status pm__many_push(pm__many *m, const pm__ref *sides, size_t n) {
    size_t size = sizeof(pm__many_frame) + 2 * n * sizeof *sides;
    pm__many_frame *f = (pm__many_frame *)pm__mem_alloc_big(size);
    if (!f) return PM_NOMEM;
    memset(f, 0, offsetof(pm__many_frame, vals));
    f->up = m->top;
    f->n = n;
    f->size = size;
    memcpy(f->sides, sides, n * sizeof *sides);
    for (size_t i = 0; i < n; i++) {
        pm_mask all = pm__byte_mask(pm__many_node(sides[i]));
        f->look = i == 0 ? all : m->q.op == PM__ALG_JOIN ? pm_mask_or(f->look, all) : pm_mask_and(f->look, all);
    }
    m->top = f;
    return PM_OK;
}

static void pm__many_pop(pm__many *m, bool give_up) {
    pm__many_frame *f = m->top;
    m->top = f->up;
    for (unsigned i = 0; give_up && i < f->nc; i++) pm__any_release(m->q.cx, f->kids[i]);
    unsigned k = 0;
    if (give_up)
        for (int c = pm_mask_next(&f->vm, 0); c >= 0; c = pm_mask_next(&f->vm, c + 1), k++)
            if (pm_mask_test(&f->fresh, (uint8_t)c)) pm__pay_release(m->q.cx, false, f->vals[k]);
    pm__mem_free_big(f, f->size);
}

/* Starts on what lies below a place: answers it at once (*done), or pushes a frame. `top`: the place is the root. */
static pm_status pm__many_start(pm__many *m, pm__ref *sides, size_t n, bool top, bool *done, pm__ref *out) {
    bool bytes = true;
    *done = true;
    *out = 0;
    if (n == 0) return PM_OK;
    n = pm__many_distinct(m, sides, n);
    for (size_t i = 0; bytes && i < n; i++)
        bytes = pm__many_is_byte(sides[i]) && (top || pm__ref_is_unique(sides[i]));
    if (n < 3 || !bytes) return pm__many_pairs(m, sides, n, out);
    *done = false;
    return pm__many_push(m, sides, n);
}

/* The values of all sides at one byte, in their order. */
static pm_status pm__many_value(pm__many *m, pm__many_frame *f, uint8_t c) {
    pm_val v = 0;
    bool some = false, fresh = false, meet = m->q.op == PM__ALG_MEET;
    for (size_t i = 0; i < f->n; i++) {
        const pm__byte *x = pm__many_node(f->sides[i]);
        pm__alg_val r;
        if (!pm__byte_has_val(x, c)) {
            if (!meet) continue;
            if (fresh) pm__pay_release(m->q.cx, false, v);
            return PM_OK;
        }
        pm_val w = *pm__byte_val(x, c);
        if (!some) {
            v = w, some = true;
            continue;
        }
        bool ok = pm__alg_value(&m->q, &v, &w, &r);
        if (fresh && (!ok || r.fresh || !r.some || !(r.alg & PM_ALG_LEFT))) pm__pay_release(m->q.cx, false, v);
        if (!ok) return PM_BADHOOK;
        if (!r.some) return PM_OK;
        fresh = r.fresh || (fresh && (r.alg & PM_ALG_LEFT));
        v = r.val;
    }
    if (!some) return PM_OK;
    f->vals[f->nv++] = v;
    pm_mask_set(&f->vm, c);
    if (fresh) pm_mask_set(&f->fresh, c);
    return PM_OK;
}

/* Notes what lies below byte c in the result (owned); 0: nothing, and the location dangles if it may. */
static void pm__many_note(pm__many_frame *f, uint8_t c, pm__ref r, bool dangles) {
    if (!r && (!dangles || pm_mask_test(&f->vm, c))) return;
    pm_mask_set(&f->cm, c);
    f->kids[f->nc++] = r;
}

/* Goes on to the next byte of the top frame. */
static pm_status pm__many_byte(pm__many *m, pm__many_frame *f, uint8_t c) {
    pm__ref *below = f->sides + f->n, r;
    size_t k = 0;
    bool done, dangles = true;
    pm_status s = pm__many_value(m, f, c);
    if (s != PM_OK) return s;
    for (size_t i = 0; i < f->n; i++) {
        const pm__byte *x = pm__many_node(f->sides[i]);
        pm__ref child = pm__byte_has_child(x, c) ? *pm__byte_child(x, c) : 0;
        if (pm__byte_has_val(x, c) || child) dangles = false;
        if (child) below[k++] = child;
    }
    if (m->q.op == PM__ALG_JOIN) dangles = true;
    else if (k < f->n) k = 0;
    s = pm__many_start(m, below, k, false, &done, &r);
    if (s == PM_OK && done) pm__many_note(f, c, r, dangles);
    return s;
}

/* Makes the node of a frame that is through; it takes over what the frame owns. */
static pm_status pm__many_node_of(pm__many *m, const pm__many_frame *f, pm__ref *out) {
    bool owned[256];
    pm__alg_frame as;
    *out = 0;
    if (f->nc + f->nv == 0) return PM_OK;
    memset(&as, 0, sizeof as);
    memset(owned, 1, sizeof owned);
    as.vm = f->vm;
    as.fresh = f->fresh;
    as.vals = (pm_val *)(uintptr_t)f->vals;
    bool line = f->nc + f->nv <= 4;
    bool ok = line ? pm__alg_bytes_line(&m->q, &as, &f->cm, f->kids, owned, out)
                   : pm__alg_bytes_node(&m->q, &as, &f->cm, f->kids, owned, f->nc, out);
    return ok ? PM_OK : PM_NOMEM;
}

/* Joins or meets what lies below n > 0 roots (0: nothing lies there). *out is owned. The list is overwritten. */
PM__UNUSED static pm_status pm__many_run(const pm__cx *cx, pm__alg_op op, pm__ref *roots, size_t n, pm__ref *out) {
    pm__many m;
    size_t k = 0;
    bool done;
    pm__ref r;
    memset(&m, 0, sizeof m);
    m.q.cx = cx;
    m.q.op = op;
    m.q.idempotent = cx->unit || (cx->ops->flags & PM_OPS_IDEMPOTENT) != 0;
    for (size_t i = 0; i < n; i++)
        if (roots[i]) roots[k++] = roots[i];
    if (op == PM__ALG_MEET && k < n) k = 0;
    pm_status s = pm__many_start(&m, roots, k, true, &done, &r);
    while (s == PM_OK && m.top) {
        pm__many_frame *f = m.top;
        int c = pm_mask_next(&f->look, f->next);
        if (c >= 0) {
            f->next = c + 1;
            s = pm__many_byte(&m, f, (uint8_t)c);
            continue;
        }
        s = pm__many_node_of(&m, f, &r);
        if (s != PM_OK) break;
        pm__many_pop(&m, false);
        if (m.top) pm__many_note(m.top, (uint8_t)(m.top->next - 1), r, op == PM__ALG_JOIN);
    }
    while (m.top) pm__many_pop(&m, true);
    if (s == PM_OK) *out = r;
    return s;
}
