/* Prefixes of a key on read zippers: moves from value to value, which any trie can do. */
#include "50_read_zipper.c"
#include "53_zipper_order.h"

/* Goes on along s[0..len) from `*at` bytes below where that began to the next value. False: there is none. */
static bool pm__ahead_next(pm_rz *z, const uint8_t *s, size_t len, size_t *at) {
    if (*at == len) return false;
    *at += pm_rz_descend_to_val(z, s + *at, len - *at);
    return pm_rz_is_val(z);
}

PM_API bool pm_rz_descend_longest_prefix(pm_rz *z, const void *key, size_t len, size_t *found) {
    if (!z || (len && !key) || len > PM__LEN_MAX) return false;
    bool some = pm_rz_is_val(z);
    size_t at = 0, best = 0, last;
    do {
        last = at;
        if (!pm__ahead_next(z, (const uint8_t *)key, len, &at) || at == last) break;
        best = at, some = true;
    } while (pm_rz_status(z) == PM_OK);
    bool failed = pm_rz_status(z) != PM_OK;
    (void)pm_rz_ascend(z, at - (failed ? 0 : best));
    if (failed || !some) return false;
    if (found) *found = best;
    return true;
}

PM_API pm_status pm_rz_each_prefix(pm_rz *z, const void *key, size_t len, bool (*fn)(void *ctx, size_t len, pm_val val),
                                   void *ctx) {
    if (!z || (len && !key) || len > PM__LEN_MAX || !fn) return PM_INVALID;
    const pm_val *val = pm_rz_val(z);
    size_t at = 0, last;
    bool on = true;
    do {
        if (val) on = fn(ctx, at, *val);
        last = at;
        if (!on || !pm__ahead_next(z, (const uint8_t *)key, len, &at)) break;
        val = pm_rz_val(z);
    } while (at > last);
    (void)pm_rz_ascend(z, at);
    return pm_rz_status(z);
}

PM_API size_t pm_rz_descend_common_prefix(pm_rz *z) {
    if (!z || pm_rz_is_val(z)) return 0;
    size_t before = z->len;
    (void)pm_rz_descend_until(z);
    return z->len - before;
}
