/* A zipper beside one over a map of the same content, step by step and by random moves, for tests. Include after
   shapes.h. */
#ifndef WALKS_H
#define WALKS_H

CHECK__UNUSED static void check_same_place(const pm_rz *a, const pm_rz *b) {
    size_t an, bn;
    const uint8_t *ap = pm_rz_path(a, &an), *bp = pm_rz_path(b, &bn);
    CHECK_MEM_EQ(ap, an, bp, bn);
    CHECK_EQ(pm_rz_exists(a), pm_rz_exists(b));
    const pm_val *av = pm_rz_val(a), *bv = pm_rz_val(b);
    CHECK_EQ(av != NULL, bv != NULL);
    if (av) CHECK_EQ(*av, *bv);
    pm_mask am = pm_rz_child_mask(a), bm = pm_rz_child_mask(b);
    CHECK(memcmp(&am, &bm, sizeof am) == 0);
    CHECK_OK(pm_rz_status(b));
}

CHECK__UNUSED static void check_walks(pm_rz *a, pm_rz *b) {
    bool more;
    do {
        more = pm_rz_to_next_step(a);
        CHECK_EQ(more, pm_rz_to_next_step(b));
        check_same_place(a, b);
    } while (more);
    do {
        more = pm_rz_to_next_val(a);
        CHECK_EQ(more, pm_rz_to_next_val(b));
        check_same_place(a, b);
    } while (more);
    more = pm_rz_to_last_val(a);
    CHECK_EQ(more, pm_rz_to_last_val(b));
    while (more) {
        check_same_place(a, b);
        more = pm_rz_to_prev_val(a);
        CHECK_EQ(more, pm_rz_to_prev_val(b));
    }
    (void)pm_rz_descend_last_path(a);
    (void)pm_rz_descend_last_path(b);
    do {
        more = pm_rz_to_prev_step(a);
        CHECK_EQ(more, pm_rz_to_prev_step(b));
        check_same_place(a, b);
    } while (more);
}

CHECK__UNUSED static void check_moves(pm_rz *a, pm_rz *b, const shape *s, unsigned moves) {
    key k = {0, {0}};
    while (moves--) {
        unsigned what = (unsigned)check_below(9), n = (unsigned)check_below(4);
        uint8_t byte = (uint8_t)(check_below(s->letters) * 37 + 5);
        next_key(s, &k);
        switch (what) {
        case 0: CHECK_EQ(pm_rz_move_to(a, k.data, k.len), pm_rz_move_to(b, k.data, k.len)); break;
        case 1: CHECK_EQ(pm_rz_seek(a, (pm_rel)n, k.data, k.len), pm_rz_seek(b, (pm_rel)n, k.data, k.len)); break;
        case 2: CHECK_EQ(pm_rz_ascend(a, n), pm_rz_ascend(b, n)); break;
        case 3: CHECK_EQ(pm_rz_descend_indexed_byte(a, n), pm_rz_descend_indexed_byte(b, n)); break;
        case 4: CHECK_EQ(pm_rz_to_next_sibling(a), pm_rz_to_next_sibling(b)); break;
        case 5: CHECK_EQ(pm_rz_to_prev_sibling(a), pm_rz_to_prev_sibling(b)); break;
        case 6: CHECK_EQ(pm_rz_descend_until(a), pm_rz_descend_until(b)); break;
        case 7: CHECK_EQ(pm_rz_descend_first_k_path(a, n), pm_rz_descend_first_k_path(b, n)); break;
        default: CHECK_EQ(pm_rz_descend_to_existing_byte(a, byte), pm_rz_descend_to_existing_byte(b, byte));
        }
        check_same_place(a, b);
    }
}

#endif
