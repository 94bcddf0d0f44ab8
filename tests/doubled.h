/* Tries that have each level twice, for tests: few nodes with more values than can be visited one by one. Include after
   check.h and pathmap.h. */
#ifndef DOUBLED_H
#define DOUBLED_H

/* A map of one value, from which to double. */
CHECK__UNUSED static pm_map single(const pm_ops *ops, const char *key, pm_val val) {
    pm_map m = pm_new(ops, NULL);
    CHECK_OK(pm_set(&m, key, strlen(key), val, NULL));
    return m;
}

/* 2^levels times what `m` has, which is consumed: each level leads to the one below by `left` and by `right`. */
CHECK__UNUSED static pm_map doubled(pm_map m, unsigned levels, const char *left, const char *right) {
    while (levels--) {
        const char *const way[2] = {left, right};
        pm_map up = pm_new(m.ops, m.pool);
        pm_wz w;
        CHECK_OK(pm_wz_open(&up, NULL, 0, &w));
        for (unsigned i = 0; i < 2; i++) {
            (void)pm_rz_move_to(pm_wz_cursor(&w), way[i], strlen(way[i]));
            CHECK_OK(pm_wz_graft_map(&w, &m));
        }
        CHECK_OK(pm_wz_drop(&w));
        pm_drop(&m);
        m = up;
    }
    return m;
}

#endif
