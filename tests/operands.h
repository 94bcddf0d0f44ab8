/* Operands for operations on many maps, each with its naive twin: alike, unlike, shared with each other and within
   themselves. Include after both.h. */
#ifndef OPERANDS_H
#define OPERANDS_H

#include "shapes.h"

/* Hangs `from` below a path of `b`, where it is shared. */
CHECK__UNUSED static void both_graft(both *b, const shape *s, const both *from) {
    key k = {0, {0}};
    pm_wz w;
    model_cursor c;
    do next_key(s, &k);
    while (k.len == 0);
    CHECK_OK(pm_wz_open(&b->map, NULL, 0, &w));
    (void)pm_rz_move_to(pm_wz_cursor(&w), k.data, k.len);
    CHECK_OK(pm_wz_graft_map(&w, &from->map));
    CHECK_OK(pm_wz_drop(&w));
    model_cursor_open(&c, b->m, NULL, 0);
    (void)model_cursor_move_to(&c, k.data, k.len);
    model_cursor_graft(&c, from->m);
    model_cursor_close(&c);
}

/* As many as `all` has room for, of a kind that is drawn. */
CHECK__UNUSED static void make_operands(both *all, size_t n, const pm_ops *ops, const shape *s) {
    const unsigned alike = (unsigned)check_below(4); /* how much they have in common */
    both grafted = both_new(ops);
    both_edit_with(&grafted, s, s->keys / 2, 1);
    for (size_t i = 0; i < n; i++) {
        bool clone = i && check_below(4) < alike;
        all[i] = clone ? both_clone(&all[check_below(i)]) : both_new(ops);
        if (!clone || check_below(3)) {
            unsigned most = clone && check_below(2) ? 4 : s->keys + 1;
            both_edit_with(&all[i], s, (unsigned)check_below(most), 1);
        }
        for (size_t k = check_below(3); alike == 2 && k > 0; k--) both_graft(&all[i], s, &grafted);
    }
    both_drop(&grafted);
}

#endif
