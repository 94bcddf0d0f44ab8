/* Values: the built-in tables of value operations, counted byte strings, and the dispatch that the layers above use.

   A hook that is NULL has the meaning of plain words under "left wins"; the dispatch functions supply it, so no table
   is obliged to fill every slot. Answers of the built-in hooks are exact: an identity bit is set if and only if the
   result equals that operand. */
#include "13_values.h"

#include "11_memory.c"
#include "12_bytemask.c"

PM_API unsigned pm_version(void) { return PM_VERSION; }

PM_API const char *pm_status_text(pm_status s) {
    switch (s) {
    case PM_OK: return "ok";
    case PM_NOMEM: return "out of memory";
    case PM_INVALID: return "invalid argument";
    case PM_MISMATCH: return "operands have different value operations";
    case PM_CONFLICT: return "a conflict: another zipper claims the path, or both sides of a merge changed it";
    case PM_BUSY: return "the object is in use";
    case PM_CORRUPT: return "damaged data or structure";
    case PM_BADHOOK: return "a value hook gave a forbidden answer, or is missing";
    case PM_IO: return "reading or writing failed";
    }
    return "unknown status";
}

/* ---- hooks of the built-in tables ---------------------------------------------------------------------------- */

/* Names the operands that `result` equals, or hands it out as something new. */
static PM__INLINE pm_alg pm__val_answer(pm_val a, pm_val b, pm_val result, pm_val *out) {
    unsigned same = (result == a ? (unsigned)PM_ALG_LEFT : 0) | (result == b ? (unsigned)PM_ALG_RIGHT : 0);
    if (same) return (pm_alg)same;
    *out = result;
    return PM_ALG_ELEMENT;
}

static pm_alg pm__val_max(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    return pm__val_answer(a, b, a > b ? a : b, out);
}

static pm_alg pm__val_min(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    return pm__val_answer(a, b, a < b ? a : b, out);
}

static pm_alg pm__val_cancel(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    (void)out;
    return a == b ? PM_ALG_NONE : PM_ALG_LEFT;
}

static pm_alg pm__val_add(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    return pm__val_answer(a, b, a + b, out);
}

static pm_alg pm__val_difference(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    return a <= b ? PM_ALG_NONE : pm__val_answer(a, b, a - b, out);
}

static pm_alg pm__val_or(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    return pm__val_answer(a, b, a | b, out);
}

/* Equal operands give themselves even when they are 0: the table is idempotent, and a zero that met itself must not
   fare differently depending on whether the two sides happen to share a node. */
static pm_alg pm__val_and(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    if (a == b) return PM_ALG_BOTH;
    return (a & b) == 0 ? PM_ALG_NONE : pm__val_answer(a, b, a & b, out);
}

static pm_alg pm__val_andnot(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    return (a & ~b) == 0 ? PM_ALG_NONE : pm__val_answer(a, b, a & ~b, out);
}

/* ---- counted byte strings ------------------------------------------------------------------------------------ */

/* The word of such a value is the address of this block. 32-bit counts would do for nodes only: a count of references
   to a value grows by one per copied slot, which 64 bits cannot exhaust. `len` is wide so that structs are aligned. */
typedef struct pm__bytes {
    pm__a64 rc; /* plus PM__BYTES_POOLED in a pool's block */
    uint64_t len;
    unsigned char data[];
} pm__bytes;

#define PM__BYTES_POOLED ((uint64_t)1 << 63)

static PM__INLINE pm__bytes *pm__bytes_of(pm_val v) { return (pm__bytes *)(uintptr_t)v; }

PM_API pm_status pm_bytes_new(const void *data, size_t len, pm_val *out) {
    if ((!data && len) || len > PM__LEN_MAX || !out) return PM_INVALID;
    pm__bytes *b = (pm__bytes *)PM_MALLOC(sizeof(pm__bytes) + len);
    if (!b) return PM_NOMEM;
    pm__store_relaxed(&b->rc, 1);
    b->len = len;
    if (len) memcpy(b->data, data, len);
    *out = (pm_val)(uintptr_t)b;
    return PM_OK;
}

PM_API pm_status pm_bytes_new_in(pm_pool *pool, const void *data, size_t len, pm_val *out) {
    if ((!data && len) || len > PM__LEN_MAX || !out) return PM_INVALID;
    if (len > PM__MEM_MAX - sizeof(pm__bytes)) {
        if (!pool || !pool->backend) return pm_bytes_new(data, len, out);
        if (len > PM_REGION_BYTES_MAX) return PM_INVALID;
    }
    pm__bytes *b = (pm__bytes *)pm__mem_alloc_any(pool, sizeof(pm__bytes) + len);
    if (!b) return PM_NOMEM;
    pm__store_relaxed(&b->rc, PM__BYTES_POOLED + 1);
    b->len = len;
    if (len) memcpy(b->data, data, len);
    *out = (pm_val)(uintptr_t)b;
    return PM_OK;
}

PM_API const void *pm_bytes_get(pm_val v, size_t *len) {
    const pm__bytes *b = pm__bytes_of(v);
    if (len) *len = (size_t)b->len;
    return b->data;
}

PM_API void *pm_bytes_fill(pm_val v) { return pm__bytes_of(v)->data; }

PM_API pm_val pm_bytes_retain(pm_val v) {
    pm__a64_fetch_add_relaxed(&pm__bytes_of(v)->rc, 1);
    return v;
}

PM_API void pm_bytes_release_with(pm_val v, void (*drop)(void *data)) {
    pm__bytes *b = pm__bytes_of(v);
    /* Acquire and release: the last owner must see every other owner's reads as done before it frees. */
    uint64_t before = pm__a64_fetch_sub_acq_rel(&b->rc, 1);
    if ((before & ~PM__BYTES_POOLED) != 1) return;
    if (drop) drop(b->data);
    size_t size = sizeof(pm__bytes) + (size_t)b->len;
    if (before == 1) PM_FREE(b, size);
    else pm__mem_free_any(b, size);
}

PM_API void pm_bytes_release(pm_val v) { pm_bytes_release_with(v, NULL); }

static void pm__bytes_retain_hook(void *ctx, pm_val v) {
    (void)ctx;
    (void)pm_bytes_retain(v);
}

static void pm__bytes_release_hook(void *ctx, pm_val v) {
    (void)ctx;
    pm_bytes_release(v);
}

static bool pm__bytes_equal_hook(void *ctx, pm_val a, pm_val b) {
    (void)ctx;
    if (a == b) return true;
    const pm__bytes *x = pm__bytes_of(a), *y = pm__bytes_of(b);
    return x->len == y->len && memcmp(x->data, y->data, (size_t)x->len) == 0;
}

static pm_alg pm__bytes_cancel_hook(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)out;
    return pm__bytes_equal_hook(ctx, a, b) ? PM_ALG_NONE : PM_ALG_LEFT;
}

/* Equal strings in different blocks must hash alike, so the bytes are hashed and not the word. */
static uint64_t pm__bytes_hash_hook(void *ctx, pm_val v) {
    (void)ctx;
    const pm__bytes *b = pm__bytes_of(v);
    const size_t len = (size_t)b->len;
    uint64_t h = (0x9e3779b97f4a7c15u ^ b->len) * 0xd6e8feb86659fd93u; /* "a" and "a\0" differ from here on */
    h ^= h >> 32;
    for (size_t at = 0; at < len; at += 8) {
        h = (h ^ pm__load_upto8(b->data + at, len - at)) * 0xd6e8feb86659fd93u;
        h ^= h >> 32;
    }
    h *= 0xd6e8feb86659fd93u;
    return h ^ (h >> 29);
}

/* ---- tables -------------------------------------------------------------------------------------------------- */

PM_API const pm_ops *pm_ops_unit(void) {
    static const pm_ops ops = {.name = "unit", .flags = PM_OPS_UNIT | PM_OPS_IDEMPOTENT};
    return &ops;
}

PM_API const pm_ops *pm_ops_left(void) {
    static const pm_ops ops = {.name = "left", .flags = PM_OPS_IDEMPOTENT};
    return &ops;
}

PM_API const pm_ops *pm_ops_lattice(void) {
    static const pm_ops ops = {.name = "lattice",
                               .flags = PM_OPS_IDEMPOTENT,
                               .join = pm__val_max,
                               .meet = pm__val_min,
                               .subtract = pm__val_cancel};
    return &ops;
}

PM_API const pm_ops *pm_ops_sum(void) {
    static const pm_ops ops = {
        .name = "sum", .join = pm__val_add, .meet = pm__val_min, .subtract = pm__val_difference};
    return &ops;
}

PM_API const pm_ops *pm_ops_bits(void) {
    static const pm_ops ops = {.name = "bits",
                               .flags = PM_OPS_IDEMPOTENT,
                               .join = pm__val_or,
                               .meet = pm__val_and,
                               .subtract = pm__val_andnot};
    return &ops;
}

PM_API const pm_ops *pm_ops_bytes(void) {
    static const pm_ops ops = {.name = "bytes",
                               .flags = PM_OPS_IDEMPOTENT,
                               .retain = pm__bytes_retain_hook,
                               .release = pm__bytes_release_hook,
                               .equal = pm__bytes_equal_hook,
                               .subtract = pm__bytes_cancel_hook,
                               .hash = pm__bytes_hash_hook};
    return &ops;
}

/* Stands in, from pm_new on, for a table that has one of retain and release only: clones would release what nobody
   retained, or keep for ever what they retain. It looks like that of a unit map, so no hook is ever called; calls that
   store a value find out where they look for unit maps anyway, and refuse. */
static const pm_ops pm__ops_refused = {.name = "refused", .flags = PM_OPS_UNIT | PM_OPS_IDEMPOTENT};

/* ---- failures of hooks --------------------------------------------------------------------------------------- */

static PM__THREAD_LOCAL pm_status pm__val_failure; /* what a hook has told of, and no call has returned yet */

PM_API void pm_hook_fail(pm_status s) {
    if (pm__val_failure == PM_OK) pm__val_failure = s;
}

/* What a call that has run hooks of this table is to return. */
static PM__INLINE pm_status pm__val_failed(const pm_ops *ops) {
    pm_status s = PM_OK;
    if (PM__UNLIKELY(ops->flags & PM_OPS_FALLIBLE)) s = pm__val_failure, pm__val_failure = PM_OK;
    return s;
}

/* ---- dispatch ------------------------------------------------------------------------------------------------ */

static PM__INLINE const pm_ops *pm__ops_of(const pm_ops *ops) { return ops ? ops : pm_ops_left(); }

/* The same for a table that comes from outside. */
static const pm_ops *pm__ops_taken(const pm_ops *ops) {
    if (!ops) return pm_ops_left();
    return !ops->retain == !ops->release ? ops : &pm__ops_refused;
}

static PM__INLINE bool pm__ops_is_refused(const pm_ops *ops) { return PM__UNLIKELY(ops == &pm__ops_refused); }

/* No hooks around the life of a value: payload words may be copied and forgotten freely. */
static PM__INLINE bool pm__ops_is_plain(const pm_ops *ops) { return !ops->retain && !ops->release; }

static PM__INLINE bool pm__ops_is_unit(const pm_ops *ops) { return (ops->flags & PM_OPS_UNIT) != 0; }

static PM__INLINE void pm__val_retain(const pm_ops *ops, pm_val v) {
    if (ops->retain) ops->retain(ops->ctx, v);
}

static PM__INLINE void pm__val_release(const pm_ops *ops, pm_val v) {
    if (ops->release) ops->release(ops->ctx, v);
}

static PM__INLINE bool pm__val_equal(const pm_ops *ops, pm_val a, pm_val b) {
    return ops->equal ? ops->equal(ops->ctx, a, b) : a == b;
}

/* Whether two places have the same, each a value or none. One word is one value, whatever the table says. */
static PM__INLINE bool pm__val_same(const pm_ops *ops, const pm_val *a, const pm_val *b) {
    if (!a || !b) return a == b;
    return *a == *b || (ops->flags & PM_OPS_UNIT) || (ops->equal && ops->equal(ops->ctx, *a, *b));
}

static PM__INLINE uint64_t pm__val_hash(const pm_ops *ops, pm_val v) { return ops->hash ? ops->hash(ops->ctx, v) : v; }

static PM__INLINE pm_alg pm__val_keep_left(const pm_ops *ops, pm_val a, pm_val b) {
    return pm__val_equal(ops, a, b) ? PM_ALG_BOTH : PM_ALG_LEFT;
}

/* The caller checks a custom hook's result: PM_ALG_NONE from join is PM_BADHOOK. */
static PM__INLINE pm_alg pm__val_join(const pm_ops *ops, pm_val a, pm_val b, pm_val *out) {
    return ops->join ? ops->join(ops->ctx, a, b, out) : pm__val_keep_left(ops, a, b);
}

static PM__INLINE pm_alg pm__val_meet(const pm_ops *ops, pm_val a, pm_val b, pm_val *out) {
    return ops->meet ? ops->meet(ops->ctx, a, b, out) : pm__val_keep_left(ops, a, b);
}

static PM__INLINE pm_alg pm__val_subtract(const pm_ops *ops, pm_val a, pm_val b, pm_val *out) {
    return ops->subtract ? ops->subtract(ops->ctx, a, b, out) : PM_ALG_NONE;
}
