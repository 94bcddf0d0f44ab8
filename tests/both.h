/* A map beside the naive trie that it must equal, for tests. Include after check.h, model.h and pathmap.h. */
#ifndef BOTH_H
#define BOTH_H

typedef struct both {
    pm_map map;
    model *m;
} both;

CHECK__UNUSED static both both_new(const pm_ops *ops) { return (both){pm_new(ops, NULL), model_new()}; }
CHECK__UNUSED static both both_clone(const both *b) { return (both){pm_clone(&b->map), model_copy(b->m)}; }

CHECK__UNUSED static void both_drop(both *b) {
    pm_drop(&b->map);
    model_free(b->m);
}

/* How the model combines the values of a built-in table. */
CHECK__UNUSED static model_algebra algebra_of(const pm_ops *ops) {
    if (ops == pm_ops_sum()) return MODEL_SUM;
    if (ops == pm_ops_lattice()) return MODEL_LATTICE;
    if (ops == pm_ops_bits()) return MODEL_BITS;
    return MODEL_LEFT;
}

/* ---- comparing ---- */

typedef struct both__walk {
    pm_iter *it;
    bool unit, ok;
} both__walk;

CHECK__UNUSED static bool both__step(void *ctx, const uint8_t *k, size_t len, const uint64_t *val, unsigned children) {
    both__walk *w = ctx;
    (void)children;
    w->ok = pm_iter_next(w->it) && w->it->len == len && (len == 0 || memcmp(w->it->key, k, len) == 0) &&
            (w->it->val != NULL) == (val != NULL) && (!val || w->unit || *w->it->val == *val);
    return w->ok;
}

CHECK__UNUSED static bool same_content(const pm_map *map, const model *m) {
    pm_iter it = pm_iter_paths(map);
    both__walk w = {&it, pm_map_ops(map) == pm_ops_unit(), true};
    model_each(m, both__step, &w);
    if (w.ok && pm_iter_next(&it)) w.ok = false;
    pm_iter_drop(&it);
    return w.ok;
}

CHECK__UNUSED static void check_sound(const pm_map *m) {
    const char *why = "";
    CHECK_NOTE(pm_check(m, &why) == PM_OK, "%s", why);
}

CHECK__UNUSED static uint64_t live_nodes(void) {
    pm_pool_stats s;
    pm_pool_get_stats(NULL, &s);
    return s.nodes;
}

#endif
