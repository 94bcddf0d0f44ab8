/* Misuse: what no caller should pass gets a status or "nothing", and changes nothing, in builds with checks too.
   test_nulls.py tries NULL, zero objects and absurd lengths in each argument of each function; what is here are the
   mistakes that need more than one call. */
#include "check.h"
#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#include "../pathmap.h"

static pm_map some_map(void) {
    pm_map m = pm_new(NULL, NULL);
    CHECK_OK(pm_set(&m, "ab", 2, 1, NULL));
    CHECK_OK(pm_set(&m, "abcd", 4, 2, NULL));
    return m;
}

static void check_some_map(const pm_map *m) {
    uint64_t n;
    CHECK_OK(pm_val_count(m, &n));
    CHECK_EQ(n, 2);
    CHECK_EQ(*pm_get(m, "ab", 2), 1);
    CHECK_EQ(*pm_get(m, "abcd", 4), 2);
    CHECK_OK(pm_check(m, NULL));
}

TEST(map_reads_without_a_map_find_nothing) {
    CHECK(pm_get(NULL, "a", 1) == NULL);
    CHECK(!pm_contains(NULL, "a", 1));
    CHECK(!pm_path_exists(NULL, "a", 1));
    CHECK(pm_is_empty(NULL));
    CHECK(pm_get_many(NULL, NULL, 0, NULL) == 0);
    uint64_t n = 77;
    CHECK_EQ(pm_val_count(NULL, &n), PM_INVALID);
    CHECK_EQ(pm_location_count(NULL, &n), PM_INVALID);
    CHECK_EQ(pm_depth_count(NULL, 3, &n), PM_INVALID);
    CHECK_EQ(n, 77);
    pm_map c = pm_clone(NULL);
    CHECK(pm_is_empty(&c));
    pm_drop(NULL);
    n = 0;
    for (pm_iter i = pm_iter_vals(NULL); pm_iter_next(&i);) n++;
    CHECK_EQ(n, 0);
    CHECK(!pm_ref_val(&(pm_ref){0}));
}

TEST(map_keys_that_are_nowhere_are_refused) {
    pm_map m = some_map(), out;
    pm_opt old = {5, false};
    CHECK(pm_get(&m, NULL, 2) == NULL);
    CHECK(!pm_path_exists(&m, NULL, 2));
    CHECK_EQ(pm_set(&m, NULL, 2, 9, &old), PM_INVALID);
    CHECK_EQ(old.val, 5);
    CHECK_EQ(pm_set(NULL, "a", 1, 9, NULL), PM_INVALID);
    CHECK_EQ(pm_remove(&m, NULL, 2, true, &old), PM_INVALID);
    CHECK_EQ(pm_create_path(&m, NULL, 2, NULL), PM_INVALID);
    CHECK_EQ(pm_prune_path(&m, NULL, 2, NULL), PM_INVALID);
    CHECK_EQ(pm_remove_branches(&m, NULL, 2, true, NULL), PM_INVALID);
    CHECK_EQ(pm_subtrie(&m, NULL, 2, &out, NULL), PM_INVALID);
    pm_val *slot = NULL;
    CHECK_EQ(pm_get_mut(&m, NULL, 2, &slot), PM_INVALID);
    CHECK_EQ(pm_get_or_set(&m, NULL, 2, 9, &slot, NULL), PM_INVALID);
    pm_key keys[2] = {{"ab", 2}, {NULL, 3}};
    const pm_val *found[2];
    CHECK_EQ(pm_get_many(&m, keys, 2, found), 1);
    CHECK(found[1] == NULL);
    CHECK_EQ(pm_build(NULL, NULL, keys, NULL, 2, &out), PM_INVALID);
    CHECK_EQ(pm_build(NULL, NULL, NULL, NULL, 2, &out), PM_INVALID);
    check_some_map(&m);
    pm_drop(&m);
}

TEST(map_empty_key_may_be_null) {
    pm_map m = {0};
    CHECK_OK(pm_set(&m, NULL, 0, 4, NULL));
    CHECK_EQ(*pm_get(&m, NULL, 0), 4);
    CHECK_OK(pm_remove(&m, NULL, 0, true, NULL));
    CHECK(pm_is_empty(&m));
    pm_drop(&m);
    pm_drop(&m);
}

TEST(txn_out_of_turn_is_refused) {
    pm_map m = some_map();
    pm_txn t = {0};
    CHECK_EQ(pm_txn_commit(&t), PM_INVALID);
    CHECK_EQ(pm_txn_rollback(&t, &m), PM_INVALID);
    CHECK_OK(pm_txn_begin(&t, &m));
    CHECK_EQ(pm_txn_begin(&t, &m), PM_INVALID);
    CHECK_EQ(pm_txn_rollback(&t, NULL), PM_INVALID);
    CHECK_OK(pm_txn_commit(&t));
    check_some_map(&m);
    pm_drop(&m);
}

TEST(maps_of_other_values_do_not_compare) {
    pm_map a = pm_new(pm_ops_unit(), NULL), b = pm_new(pm_ops_sum(), NULL);
    bool same = true;
    CHECK_EQ(pm_equal(&a, &b, &same), PM_MISMATCH);
    CHECK_EQ(pm_equal(&a, NULL, &same), PM_INVALID);
    CHECK(same);
}

TEST(reader_of_nothing_answers_nothing) {
    pm_rz z = {0};
    CHECK(pm_rz_exists(&z) && pm_rz_at_root(&z));
    CHECK(!pm_rz_is_val(&z));
    CHECK_EQ(pm_rz_child_count(&z), 0);
    CHECK(!pm_rz_to_next_val(&z) && !pm_rz_to_next_step(&z) && !pm_rz_descend_last_path(&z));
    CHECK_EQ(pm_rz_ascend_until(&z), 0);
    CHECK_EQ(pm_rz_open(&z, NULL, "a", 1), PM_INVALID);
    pm_rz_drop(&z);
    pm_rz_drop(&z);
    pm_rz_drop(NULL);
}

TEST(reader_refuses_keys_that_are_nowhere) {
    pm_map m = some_map();
    pm_rz z;
    CHECK_EQ(pm_rz_open(&z, &m, NULL, 2), PM_INVALID);
    CHECK_OK(pm_rz_open(&z, &m, "a", 1));
    pm_rz_descend_to(&z, NULL, 3);
    CHECK_EQ(pm_rz_status(&z), PM_INVALID);
    CHECK(pm_rz_at_root(&z));
    CHECK_EQ(pm_rz_move_to(&z, NULL, 3), 0);
    CHECK_EQ(pm_rz_descend_to_val(&z, NULL, 3), 0);
    CHECK(pm_rz_val_at(&z, NULL, 3) == NULL);
    CHECK_EQ(pm_rz_status(&z), PM_INVALID);
    CHECK_OK(pm_rz_status(&z));
    pm_rz_drop(&z);
    pm_drop(&m);
}

TEST(reader_refuses_lengths_that_nothing_has) {
    static const size_t absurd[] = {SIZE_MAX, SIZE_MAX - 2, SIZE_MAX / 2, SIZE_MAX / 4 + 1};
    pm_map m = some_map();
    pm_rz z, not_opened;
    CHECK_OK(pm_rz_open(&z, &m, "a", 1));
    for (unsigned i = 0; i < sizeof absurd / sizeof *absurd; i++) {
        CHECK(!pm_get(&m, "ab", absurd[i]) && !pm_path_exists(&m, "ab", absurd[i]));
        CHECK_EQ(pm_rz_open(&not_opened, &m, "ab", absurd[i]), PM_INVALID);
        pm_rz_descend_to(&z, "b", absurd[i]);
        CHECK_EQ(pm_rz_status(&z), PM_INVALID);
        CHECK_EQ(pm_rz_move_to(&z, "b", absurd[i]), 0);
        CHECK_EQ(pm_rz_status(&z), PM_INVALID);
        CHECK_EQ(pm_rz_descend_to_val(&z, "b", absurd[i]), 0);
        CHECK(!pm_rz_val_at(&z, "b", absurd[i]) && pm_rz_at_root(&z));
        CHECK(!pm_ref_exists(&(pm_ref){0}) && !pm_ref_val(&(pm_ref){0}));
        pm_ref r = pm_ref_of_map(&m, "ab", absurd[i]);
        CHECK(!pm_ref_exists(&r));
        CHECK_EQ(pm_rz_reserve(&z, absurd[i], 0), PM_NOMEM); /* room for so much is asked for, not read */
        CHECK_EQ(pm_rz_reserve(&z, 0, absurd[i]), PM_NOMEM);
        CHECK_OK(pm_rz_status(&z));
    }
    pm_rz_drop(&z);
    check_some_map(&m);
    pm_drop(&m);
}

TEST(reader_may_be_given_its_own_path) {
    pm_map m = {0};
    pm_rz z;
    CHECK_OK(pm_rz_open(&z, &m, NULL, 0));
    pm_rz_descend_to(&z, "ab", 2);
    for (int i = 0; i < 12; i++) { /* doubles, through several growths of the buffer */
        size_t n;
        const uint8_t *p = pm_rz_path(&z, &n);
        pm_rz_descend_to(&z, p, n);
    }
    size_t n;
    const uint8_t *p = pm_rz_path(&z, &n);
    CHECK_EQ(n, 2u << 12);
    for (size_t i = 0; i < n; i++) CHECK_EQ(p[i], "ab"[i % 2]);
    pm_rz_drop(&z);
}

TEST(reader_cannot_leave_its_root) {
    pm_map m = some_map();
    pm_rz z;
    CHECK_OK(pm_rz_open(&z, &m, "ab", 2));
    CHECK(!pm_rz_ascend(&z, SIZE_MAX));
    CHECK(pm_rz_at_root(&z));
    CHECK(!pm_rz_to_next_sibling(&z) && !pm_rz_to_prev_sibling(&z));
    CHECK(!pm_rz_descend_first_k_path(&z, SIZE_MAX));
    CHECK(!pm_rz_to_next_k_path(&z, SIZE_MAX));
    CHECK(pm_rz_is_val(&z));
    pm_rz_drop(&z);
    pm_drop(&m);
}

TEST(writer_that_is_closed_refuses) {
    pm_map m = some_map(), out = {0};
    pm_wz w;
    CHECK_EQ(pm_wz_open(&w, NULL, "a", 1), PM_INVALID);
    CHECK_EQ(pm_wz_open(&w, &m, NULL, 1), PM_INVALID);
    CHECK_OK(pm_wz_open(&w, &m, "ab", 2));
    CHECK_EQ(pm_wz_into_map(&w, &out), PM_INVALID);
    CHECK_OK(pm_wz_close(&w));
    CHECK_OK(pm_wz_close(&w));
    pm_mask mask = pm_mask_of("a", 1);
    CHECK_EQ(pm_wz_set(&w, 3, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_remove(&w, true, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_create_path(&w, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_prune_path(&w, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_prune_ascend(&w, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_graft_map(&w, &m), PM_INVALID);
    CHECK_EQ(pm_wz_take(&w, true, &out, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_insert_prefix(&w, "x", 1, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_remove_prefix(&w, 1, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_remove_branches(&w, true, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_remove_unmasked(&w, &mask, true), PM_INVALID);
    check_some_map(&m);
    pm_drop(&m);
}

TEST(writer_that_is_closed_has_no_groups_and_gives_nothing) {
    pm_map m = some_map();
    pm_wz w, zero = {0};
    CHECK_EQ(pm_wz_begin(&zero), PM_INVALID);
    CHECK_EQ(pm_wz_commit(&zero), PM_INVALID);
    CHECK_EQ(pm_wz_rollback(&zero), PM_INVALID);
    CHECK_OK(pm_wz_open(&w, &m, NULL, 0));
    CHECK_EQ(pm_wz_join_take(&w, &zero, true, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_close(&w), PM_INVALID);
    check_some_map(&m);
    pm_drop(&m);
}

/* A move that failed has left the source's writer elsewhere than its owner believes. */
TEST(writer_whose_move_failed_gives_nothing) {
    pm_map m = some_map(), other = {0};
    pm_wz w, from;
    CHECK_OK(pm_wz_open(&w, &other, NULL, 0));
    CHECK_OK(pm_wz_open(&from, &m, NULL, 0));
    pm_rz_descend_to(pm_wz_cursor(&from), NULL, 3);
    CHECK_EQ(pm_wz_join_take(&w, &from, true, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_close(&from), PM_INVALID);
    CHECK_EQ(pm_wz_close(&w), PM_INVALID);
    CHECK(pm_is_empty(&other));
    check_some_map(&m);
    pm_drop(&m);
}

TEST(writer_refuses_sources_of_other_values) {
    pm_map m = some_map(), other = pm_new(pm_ops_unit(), NULL);
    CHECK_OK(pm_set(&other, "x", 1, 0, NULL));
    pm_wz w;
    CHECK_OK(pm_wz_open(&w, &m, "ab", 2));
    CHECK_EQ(pm_wz_graft_map(&w, &other), PM_MISMATCH);
    CHECK_EQ(pm_wz_close(&w), PM_MISMATCH);
    check_some_map(&m);
    pm_drop(&m);
    pm_drop(&other);
}

