/* Misuse, and what looks like it: one object as operand and as place of the result, objects that were never opened.
   What no caller should pass gets a status or "nothing", and changes nothing: test_nulls.py tries NULL, zero objects
   and absurd lengths in each argument of each function; what is here are the mistakes that need more than one call.
   Checked builds stop at some of them (test_checked.c), so this program is not for them. */
#include "check.h"
#include "model.h"
#include "library.h"
#if PM_CHECK
#error "checked builds stop at what is tried here"
#endif

#include "both.h"
#include "counted.h"
#include "shapes.h"

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

/* Memory is lent to builds without malloc only. */
TEST(memory_is_not_lent_where_there_is_malloc) {
    static uint64_t memory[64];
    size_t least = 1;
    CHECK_EQ(pm_lend(memory, sizeof memory), PM_INVALID);
    CHECK_EQ(pm_lent_free(&least), 0);
    CHECK_EQ(least, 0);
}

TEST(map_keys_that_are_nowhere_are_refused) {
    pm_map m = some_map(), out;
    pm_opt old = {5, false};
    CHECK(pm_get(&m, NULL, 2) == NULL);
    CHECK(!pm_path_exists(&m, NULL, 2));
    CHECK_EQ(pm_set(&m, NULL, 2, 9, &old), PM_INVALID);
    CHECK_EQ(old.val, 5);
    CHECK_EQ(pm_set(NULL, "a", 1, 9, NULL), PM_INVALID);
    CHECK_EQ(pm_remove(&m, NULL, 2, PM_PRUNE, &old), PM_INVALID);
    CHECK_EQ(pm_create_path(&m, NULL, 2, NULL), PM_INVALID);
    CHECK_EQ(pm_prune_path(&m, NULL, 2, NULL), PM_INVALID);
    CHECK_EQ(pm_remove_branches(&m, NULL, 2, PM_PRUNE, NULL), PM_INVALID);
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
    CHECK_OK(pm_remove(&m, NULL, 0, PM_PRUNE, NULL));
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
    CHECK_EQ(pm_rz_open(NULL, "a", 1, &z), PM_INVALID);
    pm_rz_drop(&z);
    pm_rz_drop(&z);
    pm_rz_drop(NULL);
}

TEST(reader_refuses_keys_that_are_nowhere) {
    pm_map m = some_map();
    pm_rz z;
    CHECK_EQ(pm_rz_open(&m, NULL, 2, &z), PM_INVALID);
    CHECK_OK(pm_rz_open(&m, "a", 1, &z));
    pm_rz_descend_to(&z, NULL, 3);
    CHECK_EQ(pm_rz_status(&z), PM_INVALID);
    CHECK(pm_rz_at_root(&z));
    pm_rz_reset(&z);
    CHECK_EQ(pm_rz_move_to(&z, NULL, 3), 0);
    CHECK_EQ(pm_rz_descend_to_val(&z, NULL, 3), 0);
    CHECK(pm_rz_val_at(&z, NULL, 3) == NULL);
    CHECK_EQ(pm_rz_status(&z), PM_INVALID);
    CHECK_EQ(pm_rz_status(&z), PM_INVALID); /* until it is reset */
    pm_rz_reset(&z);
    CHECK_OK(pm_rz_status(&z));
    pm_rz_drop(&z);
    pm_drop(&m);
}

TEST(reader_refuses_lengths_that_nothing_has) {
    static const size_t absurd[] = {SIZE_MAX, SIZE_MAX - 2, SIZE_MAX / 2, SIZE_MAX / 4 + 1};
    pm_map m = some_map();
    pm_rz z, not_opened;
    CHECK_OK(pm_rz_open(&m, "a", 1, &z));
    for (unsigned i = 0; i < sizeof absurd / sizeof *absurd; i++) {
        CHECK(!pm_get(&m, "ab", absurd[i]) && !pm_path_exists(&m, "ab", absurd[i]));
        CHECK_EQ(pm_rz_open(&m, "ab", absurd[i], &not_opened), PM_INVALID);
        pm_rz_descend_to(&z, "b", absurd[i]);
        CHECK_EQ(pm_rz_status(&z), PM_INVALID);
        pm_rz_reset(&z);
        CHECK_EQ(pm_rz_move_to(&z, "b", absurd[i]), 0);
        CHECK_EQ(pm_rz_status(&z), PM_INVALID);
        pm_rz_reset(&z);
        CHECK_EQ(pm_rz_descend_to_val(&z, "b", absurd[i]), 0);
        CHECK(!pm_rz_val_at(&z, "b", absurd[i]) && pm_rz_at_root(&z));
        CHECK(!pm_ref_exists(&(pm_ref){0}) && !pm_ref_val(&(pm_ref){0}));
        pm_ref r = pm_ref_of_map(&m, "ab", absurd[i]);
        CHECK(!pm_ref_exists(&r));
        pm_rz_reset(&z);
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
    CHECK_OK(pm_rz_open(&m, NULL, 0, &z));
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
    CHECK_OK(pm_rz_open(&m, "ab", 2, &z));
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
    CHECK_EQ(pm_wz_open(NULL, "a", 1, &w), PM_INVALID);
    CHECK_EQ(pm_wz_open(&m, NULL, 1, &w), PM_INVALID);
    CHECK_OK(pm_wz_open(&m, "ab", 2, &w));
    CHECK_EQ(pm_wz_into_map(&w, &out), PM_INVALID);
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(pm_wz_drop(&w));
    pm_mask mask = pm_mask_of("a", 1);
    CHECK_EQ(pm_wz_set(&w, 3, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_remove(&w, PM_PRUNE, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_create_path(&w, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_prune_path(&w, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_prune_ascend(&w, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_graft_map(&w, &m), PM_INVALID);
    CHECK_EQ(pm_wz_take(&w, PM_PRUNE, &out, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_insert_prefix(&w, "x", 1, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_remove_prefix(&w, 1, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_remove_branches(&w, PM_PRUNE, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_remove_unmasked(&w, &mask, PM_PRUNE), PM_INVALID);
    check_some_map(&m);
    pm_drop(&m);
}

TEST(writer_that_is_closed_has_no_groups_and_gives_nothing) {
    pm_map m = some_map();
    pm_wz w, zero = {0};
    CHECK_EQ(pm_wz_begin(&zero), PM_INVALID);
    CHECK_EQ(pm_wz_commit(&zero), PM_INVALID);
    CHECK_EQ(pm_wz_rollback(&zero), PM_INVALID);
    CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
    CHECK_EQ(pm_wz_join_take(&w, &zero, PM_PRUNE, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_drop(&w), PM_INVALID);
    check_some_map(&m);
    pm_drop(&m);
}

TEST(writer_refuses_sources_of_other_values) {
    pm_map m = some_map(), other = pm_new(pm_ops_unit(), NULL);
    CHECK_OK(pm_set(&other, "x", 1, 0, NULL));
    pm_wz w;
    CHECK_OK(pm_wz_open(&m, "ab", 2, &w));
    CHECK_EQ(pm_wz_graft_map(&w, &other), PM_MISMATCH);
    CHECK_EQ(pm_wz_drop(&w), PM_MISMATCH);
    check_some_map(&m);
    pm_drop(&m);
    pm_drop(&other);
}


/* ---- one object in two roles ----------------------------------------------------------------------------------- */

typedef pm_status (*map_operation)(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
static const map_operation operations[] = {pm_join, pm_meet, pm_subtract, pm_restrict, pm_symmetric_difference};

static model *combined(unsigned op, const both *a, const both *b) {
    const model_algebra alg = algebra_of(pm_map_ops(&a->map));
    if (op < 4) return model_combine((model_op)op, alg, a->m, b->m);
    model *left = model_combine(MODEL_SUBTRACT, alg, a->m, b->m);
    model *right = model_combine(MODEL_SUBTRACT, alg, b->m, a->m);
    model *joined = model_combine(MODEL_JOIN, alg, left, right);
    model_free(left);
    model_free(right);
    return joined;
}

/* The result takes the place of an operand; who else shares what that held sees nothing of it. */
static void check_in_place(unsigned op, const both *a, const both *b, bool right) {
    both x = both_clone(a), y = both_clone(b);
    pm_map apart;
    pm_alg alg = PM_ALG_NONE, told = PM_ALG_NONE;
    model *want = combined(op, a, b);
    CHECK_OK(operations[op](&a->map, &b->map, &apart, &alg));
    CHECK_OK(operations[op](&x.map, &y.map, right ? &y.map : &x.map, &told));
    CHECK_EQ(told, alg);
    CHECK(same_content(right ? &y.map : &x.map, want) && same_content(&apart, want));
    CHECK(same_content(right ? &x.map : &y.map, right ? x.m : y.m));
    CHECK(same_content(&a->map, a->m) && same_content(&b->map, b->m));
    check_sound(right ? &y.map : &x.map);
    pm_drop(&apart);
    model_free(want);
    both_drop(&x);
    both_drop(&y);
}

TEST(algebra_may_put_its_result_over_an_operand) {
    static const shape shapes[] = {{2, 4, 9, 0}, {7, 2, 3, 0}, {3, 40, 60, 0}};
    const uint64_t nodes = live_nodes();
    for (unsigned i = 0; i < 300; i++) {
        both a = both_new(table(i)), b;
        both_edit(&a, &shapes[i % 3], (unsigned)check_below(60));
        b = check_below(3) ? both_clone(&a) : both_new(table(i));
        both_edit(&b, &shapes[i % 3], (unsigned)check_below(20));
        for (unsigned op = 0; op < 5; op++) {
            check_in_place(op, &a, &b, false);
            check_in_place(op, &a, &b, true);
            both c = both_clone(&a); /* all three are one map */
            model *want = combined(op, &a, &a);
            CHECK_OK(operations[op](&c.map, &c.map, &c.map, NULL));
            CHECK(same_content(&c.map, want));
            model_free(want);
            both_drop(&c);
        }
        both_drop(&a);
        both_drop(&b);
    }
    CHECK_EQ(live_nodes(), nodes);
}

TEST(algebra_of_many_may_put_its_result_over_an_operand) {
    const shape s = {4, 3, 6, 0};
    const uint64_t nodes = live_nodes();
    for (unsigned i = 0; i < 120; i++) {
        const pm_ops *ops = table(i);
        const bool join = i / 5 % 2;
        const unsigned at = (unsigned)check_below(3);
        both all[3];
        for (unsigned k = 0; k < 3; k++) {
            all[k] = k && check_below(2) ? both_clone(&all[0]) : both_new(ops);
            both_edit(&all[k], &s, 20);
        }
        const pm_map *maps[] = {&all[0].map, &all[1].map, &all[2].map, check_below(2) ? &all[at].map : &all[0].map};
        model *want = model_copy(all[0].m);
        for (unsigned k = 1; k < 4; k++) {
            model *more = k < 3 ? all[k].m : maps[3] == &all[at].map ? all[at].m : all[0].m;
            model *next = model_combine(join ? MODEL_JOIN : MODEL_MEET, algebra_of(ops), want, more);
            model_free(want);
            want = next;
        }
        CHECK_OK((join ? pm_join_many : pm_meet_many)(maps, 4, &all[at].map, NULL));
        CHECK(same_content(&all[at].map, want));
        for (unsigned k = 0; k < 3; k++) {
            CHECK(k == at || same_content(&all[k].map, all[k].m));
            both_drop(&all[k]);
        }
        model_free(want);
    }
    CHECK_EQ(live_nodes(), nodes);
}

static pm_map counted_map(unsigned n) {
    pm_map m = pm_new(counted_ops(), NULL);
    for (unsigned i = 0; i < n; i++) {
        uint8_t k[2] = {(uint8_t)(i * 7), (uint8_t)(i / 3)};
        CHECK_OK(pm_set(&m, k, i ? 2 : 0, counted_new(), NULL));
    }
    return m;
}

TEST(results_over_operands_keep_count_of_values) {
    for (unsigned op = 0; op < 9; op++) {
        pm_map a = counted_map(90), b = counted_map(40), keep = pm_clone(&a);
        const pm_map *const all[] = {&b, &a};
        bool there;
        CHECK_OK(op < 5    ? operations[op](&a, &b, &a, NULL)
                 : op == 5 ? pm_join_many(all, 2, &a, NULL)
                 : op == 6 ? pm_meet_many(all, 2, &a, NULL)
                           : pm_subtrie(&a, "\7\0", op == 7 ? 2 : 1, &a, &there));
        CHECK_OK(pm_check(&a, NULL));
        pm_drop(&a);
        pm_drop(&keep);
        pm_drop(&b);
        CHECK(counted_held() == 0 && counted_is_sound());
    }
}

/* No memory: the operand is what it was. */
TEST(results_over_operands_that_fail_change_nothing) {
    for (unsigned op = 0; op < 8; op++) {
        bool done = false;
        for (uint64_t n = 1; !done; n++) {
            pm_pool *pool;
            CHECK_OK(pm_pool_new(NULL, &pool));
            pm_map a = pm_new(pm_ops_sum(), pool), b = pm_new(pm_ops_sum(), pool);
            for (unsigned i = 0; i < 300; i++) {
                uint8_t k[2] = {(uint8_t)(i * 7), (uint8_t)(i / 3)};
                CHECK_OK(pm_set(i % 3 ? &a : &b, k, 2, i, NULL));
                if (i % 5 == 0) CHECK_OK(pm_set(i % 3 ? &b : &a, k, 2, i / 2, NULL));
            }
            const pm_map before = a;
            const pm_map *const all[] = {&a, &b, &a};
            check_fail_alloc(n);
            pm_status s = op < 5    ? operations[op](&a, &b, &a, NULL)
                          : op == 5 ? pm_join_many(all, 3, &a, NULL)
                          : op == 6 ? pm_meet_many(all, 3, &a, NULL)
                                    : pm_subtrie(&a, "\7", 1, &a, NULL);
            check_fail_alloc(0);
            done = s == PM_OK;
            CHECK(done || (s == PM_NOMEM && memcmp(&a, &before, sizeof a) == 0));
            CHECK_OK(pm_check(&a, NULL));
            pm_drop(&a);
            pm_drop(&b);
            CHECK_OK(pm_pool_free(pool));
        }
    }
}

TEST(subtrie_may_take_the_place_of_its_map) {
    const uint64_t nodes = live_nodes();
    static const char *const at[] = {"", "a", "ab", "abc", "abcd", "x"};
    for (unsigned i = 0; i < 6; i++) {
        pm_map m = some_map(), apart;
        bool there = false, same = false;
        CHECK_OK(pm_subtrie(&m, at[i], strlen(at[i]), &apart, NULL));
        CHECK_OK(pm_subtrie(&m, at[i], strlen(at[i]), &m, &there));
        CHECK_EQ(there, i < 5);
        CHECK_OK(pm_equal(&m, &apart, &same));
        CHECK(same);
        pm_drop(&m);
        pm_drop(&apart);
    }
    CHECK_EQ(live_nodes(), nodes);
}

TEST(zippers_may_take_the_place_of_what_they_are_forks_of) {
    pm_map m = some_map();
    pm_rz z, owned;
    pm_head *h;
    CHECK_OK(pm_rz_open(&m, NULL, 0, &z));
    CHECK_OK(pm_rz_open_owned(&m, NULL, 0, &owned));
    uint64_t blocks = check_live_blocks();
    for (int i = 0; i < 2; i++) {
        pm_rz *r = i ? &owned : &z;
        pm_rz_descend_to(r, "ab", 2);
        if (!i) blocks = check_live_blocks() + 2; /* the other one's path and frames are to come */
        CHECK_OK(pm_rz_fork(r, r));
        CHECK(pm_rz_at_root(r) && *pm_rz_val(r) == 1 && *pm_rz_val_at(r, "cd", 2) == 2);
    }
    CHECK_EQ(check_live_blocks(), blocks);
    CHECK_OK(pm_rz_fork_owned(&z, &z));
    pm_drop(&m);
    CHECK(*pm_rz_val(&z) == 1 && *pm_rz_val(&owned) == 1);
    pm_rz_drop(&z);
    pm_rz_drop(&owned);
    m = some_map();
    CHECK_OK(pm_head_new(&m, &h));
    CHECK_OK(pm_head_pin(h, "a", 1, &z, NULL)); /* the pin goes back, its fork keeps the content */
    CHECK_OK(pm_rz_fork(&z, &z));
    CHECK_OK(pm_head_free(h, NULL, NULL));
    CHECK_EQ(*pm_rz_val_at(&z, "b", 1), 1);
    pm_rz_drop(&z);
    check_some_map(&m);
    pm_drop(&m);
}

static pm_status no_next(void *ctx, uint64_t *payload, const uint8_t *path, size_t len, size_t n, pm_rz *next) {
    (void)ctx, (void)payload, (void)path, (void)len, (void)n, (void)next;
    return PM_OK;
}

static pm_status view_onto(unsigned kind, pm_rz *z) {
    switch (kind) {
    case 0: return pm_rz_fork(&z[0], &z[0]);
    case 1: return pm_view_prefix(&z[0], "p", 1, NULL, 0, &z[0]);
    case 2: return pm_view_product(z, 2, &z[0]);
    case 3: return pm_view_product(z, 2, &z[1]);
    case 4: return pm_view_overlay(&z[0], &z[1], NULL, NULL, &z[0]);
    case 5: return pm_view_meet(&z[0], &z[1], &z[1]);
    case 6: return pm_view_subtract(&z[0], &z[1], &z[0]);
    case 7: return pm_view_overlay(&z[0], &z[0], NULL, NULL, &z[0]);
    default: return pm_view_dependent(&z[0], no_next, NULL, 0, &z[0]);
    }
}

TEST(views_may_take_the_place_of_what_they_are_made_of) {
    static const uint64_t counts[] = {2, 2, 4, 4, 3, 1, 1, 2, 2};
    pm_map m = some_map(), other = pm_new(NULL, NULL);
    CHECK_OK(pm_set(&other, "ab", 2, 1, NULL));
    CHECK_OK(pm_set(&other, "q", 1, 1, NULL));
    for (unsigned kind = 0; kind < 9; kind++) {
        const uint64_t blocks = check_live_blocks();
        pm_rz z[2];
        uint64_t n = 0;
        bool done = false;
        for (uint64_t fail = 1; !done; fail++) { /* who fails has changed nothing */
            CHECK_OK(pm_rz_open(&m, NULL, 0, &z[0]));
            CHECK_OK(pm_rz_open(&other, NULL, 0, &z[1]));
            const pm_rz before[2] = {z[0], z[1]};
            check_fail_alloc(fail);
            pm_status s = view_onto(kind, z);
            check_fail_alloc(0);
            done = s == PM_OK;
            CHECK(done || (s == PM_NOMEM && z[0].state == before[0].state && z[1].state == before[1].state));
            if (done) CHECK_OK(pm_rz_val_count(&z[kind == 3 || kind == 5], &n));
            pm_rz_drop(&z[0]);
            pm_rz_drop(&z[1]);
        }
        CHECK_EQ(n, counts[kind]);
        CHECK_EQ(check_live_blocks(), blocks);
    }
    pm_drop(&m);
    pm_drop(&other);
}

TEST(writer_and_its_own_map_as_what_is_moved) {
    const uint64_t nodes = live_nodes();
    pm_map m = some_map(), maps[2] = {some_map(), some_map()};
    pm_wz w, v;
    pm_alg alg = PM_ALG_BOTH;
    pm_mask mask = pm_mask_of("xy", 2);
    CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
    CHECK_OK(pm_wz_join_map_move(&w, &m, &alg)); /* out, and in again */
    CHECK_EQ(alg, PM_ALG_LEFT);
    check_some_map(&m);
    pm_rz_descend_to(pm_wz_cursor(&w), "ab", 2);
    CHECK_OK(pm_wz_join_map_move(&w, &m, &alg));
    CHECK_EQ(alg, PM_ALG_ELEMENT);
    CHECK(*pm_get(&m, "abab", 4) == 1 && *pm_get(&m, "ababcd", 6) == 2 && !pm_get(&m, "ab", 2));
    CHECK_EQ(pm_wz_take(&w, PM_PRUNE, &m, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_status(&w), PM_INVALID);
    CHECK_OK(pm_wz_remove_branches(&w, PM_PRUNE, NULL));
    CHECK_OK(pm_wz_join_map_move(&w, &m, &alg));
    CHECK_EQ(alg, PM_ALG_NONE);
    CHECK(pm_is_empty(&m));
    CHECK_EQ(pm_wz_drop(&w), PM_INVALID);
    CHECK_OK(pm_wz_open(&maps[1], "z", 1, &w));
    CHECK_EQ(pm_wz_graft_children(&w, &mask, maps, 2, PM_KEEP_OTHERS), PM_INVALID);
    CHECK_EQ(pm_wz_join_take(&w, &w, PM_PRUNE, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_drop(&w), PM_INVALID);
    check_some_map(&maps[0]);
    check_some_map(&maps[1]);
    CHECK_OK(pm_wz_open_move(&maps[0], NULL, 0, &v));
    CHECK_EQ(pm_wz_open_move(&v.own, NULL, 0, &v), PM_INVALID);
    CHECK_OK(pm_wz_into_map(&v, &maps[0]));
    check_some_map(&maps[0]);
    pm_drop(&maps[0]);
    pm_drop(&maps[1]);
    CHECK_EQ(live_nodes(), nodes);
}

/* ---- writers whose source is their own map --------------------------------------------------------------------- */

enum { SELF_OPERATIONS = 14 };

/* One operation of a writer, with a reader and a map as sources. */
static pm_status self_operation(unsigned op, pm_wz *w, const pm_rz *src, const pm_map *map, bool flag, int *told) {
    pm_alg alg = PM_ALG_NONE;
    pm_status s = PM_OK;
    pm_mask mask = {{0x5555555555555555u, 0x3333333333333333u, 0xff00ff00ff00ff00u, 0}};
    bool done = false;
    switch (op) {
    case 0: s = pm_wz_join(w, src, &alg); break;
    case 1: s = pm_wz_join_map(w, map, &alg); break;
    case 2: s = pm_wz_meet(w, src, flag, &alg); break;
    case 3: s = pm_wz_subtract(w, src, flag, &alg); break;
    case 4: s = pm_wz_restrict(w, src, &alg); break;
    case 5: s = pm_wz_meet_2(w, src, src, &alg); break;
    case 6: s = pm_wz_restricting(w, src, &done); break;
    case 7: s = pm_wz_graft(w, src); break;
    case 8: s = pm_wz_graft_at(w, src, "\x05", 1); break;
    case 9: s = pm_wz_graft_map(w, map); break;
    case 10: s = pm_wz_graft_masked(w, src, &mask, flag); break;
    case 11: {
        size_t len;
        const uint8_t *path = pm_rz_origin_path(src, &len);
        s = pm_wz_insert_prefix(w, path, len, &done);
        break;
    }
    case 12: s = pm_wz_join_k_path(w, 1, flag, &done); break;
    default: s = pm_wz_meet_k_path(w, 1, flag, &done); break;
    }
    *told = (int)alg * 2 + done;
    return s;
}

/* The same content in nodes of its own. */
static pm_map rebuilt(const pm_map *m) {
    pm_map copy = pm_new(pm_map_ops(m), NULL);
    for (pm_iter i = pm_iter_paths(m); pm_iter_next(&i);) {
        if (i.val) CHECK_OK(pm_set(&copy, i.key, i.len, *i.val, NULL));
        else CHECK_OK(pm_create_path(&copy, i.key, i.len, NULL));
    }
    return copy;
}

TEST(writer_with_its_own_map_as_source_does_as_with_a_copy) {
    static const shape shapes[] = {{2, 3, 5, 0}, {7, 2, 3, 0}, {2, 20, 30, 0}};
    const uint64_t nodes = live_nodes();
    for (unsigned i = 0; i < 1400; i++) {
        const unsigned op = i % SELF_OPERATIONS;
        const bool flag = check_below(2) != 0, cursor = check_below(4) == 0;
        both b = both_new(table(i / SELF_OPERATIONS));
        both_edit(&b, &shapes[i % 3], 10 + (unsigned)check_below(50));
        pm_map apart = rebuilt(&b.map), source = rebuilt(&b.map), *maps[] = {&b.map, &apart};
        key to = {0, {0}}, from = {0, {0}};
        for (int k = 0; k < 2; k++) {
            next_key(&shapes[i % 3], &to);
            next_key(&shapes[i % 3], &from);
        }
        if (cursor) from = to;
        int told[2];
        for (int k = 0; k < 2; k++) {
            pm_wz w;
            pm_rz src;
            CHECK_OK(pm_wz_open(maps[k], NULL, 0, &w));
            pm_rz_descend_to(pm_wz_cursor(&w), to.data, to.len);
            CHECK_OK(pm_rz_open(k ? &source : maps[k], NULL, 0, &src));
            pm_rz_descend_to(&src, from.data, from.len);
            const pm_rz *s = cursor && !k ? pm_wz_cursor(&w) : &src;
            CHECK_OK(self_operation(op, &w, s, k ? &source : maps[k], flag, &told[k]));
            pm_rz_drop(&src);
            CHECK_OK(pm_wz_drop(&w));
            check_sound(maps[k]);
        }
        bool same = false;
        CHECK_OK(pm_equal(&b.map, &apart, &same));
        CHECK_NOTE(same && told[0] == told[1], "operation %u, round %u", op, i);
        both_drop(&b);
        pm_drop(&apart);
        pm_drop(&source);
    }
    CHECK_EQ(live_nodes(), nodes);
}

/* ---- objects that were never opened ---------------------------------------------------------------------------- */

static int fold_places(void *ctx, const pm_fold_at *here, void *out) {
    (void)ctx;
    *(unsigned *)out = here->n + 1;
    return PM_OK;
}

static const pm_fold place_fold = {.size = sizeof(unsigned), .at = fold_places};

TEST(zero_readers_see_an_empty_map) {
    pm_map m = some_map(), out = pm_clone(&m);
    pm_rz z = {0}, fork;
    pm_iter i = {0};
    pm_ref r = {0};
    pm_witness w = {0}, own;
    pm_rz zip;
    pm_hash128 a, b;
    const pm_val *v = NULL;
    uint64_t n = 7;
    unsigned places = 0;
    CHECK(pm_rz_exists(&z) && !pm_rz_val(&z) && pm_rz_status(&z) == PM_OK);
    CHECK_OK(pm_rz_val_count(&z, &n));
    CHECK_EQ(n, 0);
    pm_drop(&out);
    CHECK_OK(pm_rz_make_map(&z, &out));
    CHECK(pm_is_empty(&out));
    CHECK_OK(pm_rz_fork(&z, &fork));
    pm_rz_drop(&fork);
    CHECK_OK(pm_rz_fork(&z, &zip));
    CHECK(pm_rz_exists(&zip) && !pm_rz_to_next_step(&zip) && pm_rz_status(&zip) == PM_OK);
    pm_rz_drop(&zip);
    CHECK(!pm_iter_next(&i) && !pm_iter_next(&i) && pm_iter_status(&i) == PM_OK);
    pm_iter_drop(&i);
    CHECK(!pm_ref_exists(&r) && !pm_ref_val(&r) && !pm_ref_val_at(&r, "a", 1) && pm_ref_child_count(&r) == 0);
    pm_ref below = pm_ref_at(&r, "a", 1);
    CHECK(!pm_ref_exists(&below));
    CHECK_OK(pm_ref_make_map(&r, &out));
    CHECK(pm_is_empty(&out));
    CHECK_OK(pm_hash_ref(&r, &a));
    CHECK_OK(pm_hash(&out, &b));
    CHECK(a.lo == b.lo && a.hi == b.hi);
    CHECK_OK(pm_fold_ref(&r, &place_fold, &places));
    CHECK_EQ(places, 1);
    CHECK_OK(pm_rz_val_witnessed(&z, &w, &v));
    CHECK(v == NULL);
    CHECK_OK(pm_rz_open(&m, "ab", 2, &fork));
    CHECK_EQ(pm_rz_val_witnessed(&fork, &w, &v), PM_INVALID); /* it witnesses an empty map, not this one */
    pm_rz_drop(&fork);
    own = pm_rz_witness(&z);
    CHECK_OK(pm_rz_val_witnessed(&z, &own, &v));
    pm_witness_drop(&own);
    pm_witness_drop(&w);
    pm_rz_drop(&z);
    pm_drop(&m);
}

TEST(zero_writer_refuses) {
    pm_map m = some_map(), out = {0};
    pm_wz w = {0}, other;
    pm_rz z = {0}, reader;
    pm_head *h = NULL;
    pm_val *slot = NULL;
    pm_mask mask = pm_mask_of("a", 1);
    CHECK(pm_rz_exists(pm_wz_cursor(&w)) && !pm_rz_is_val(pm_wz_cursor(&w)));
    CHECK_EQ(pm_wz_set(&w, 1, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_get_mut(&w, &slot), PM_INVALID);
    CHECK_EQ(pm_wz_get_or_set(&w, 1, &slot, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_remove(&w, PM_PRUNE, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_graft(&w, &z), PM_INVALID);
    CHECK_EQ(pm_wz_graft_map_move(&w, &m), PM_INVALID);
    CHECK_EQ(pm_wz_graft_masked(&w, &z, &mask, PM_CLEAR_OTHERS), PM_INVALID);
    CHECK_EQ(pm_wz_take(&w, PM_PRUNE, &out, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_join(&w, &z, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_join_map_move(&w, &m, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_meet_2(&w, &z, &z, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_restricting(&w, &z, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_join_k_path(&w, 1, PM_PRUNE, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_begin(&w), PM_INVALID);
    CHECK_EQ(pm_wz_commit(&w), PM_INVALID);
    CHECK_EQ(pm_wz_rollback(&w), PM_INVALID);
    CHECK_EQ(pm_wz_into_map(&w, &out), PM_INVALID);
    CHECK_EQ(pm_wz_into_reader(&w, &reader), PM_INVALID);
    CHECK_EQ(pm_head_new_at(&w, &h), PM_INVALID);
    CHECK(h == NULL && slot == NULL);
    CHECK_OK(pm_wz_open(&m, NULL, 0, &other));
    CHECK_EQ(pm_wz_join_take(&other, &w, PM_PRUNE, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_join_take(&w, &other, PM_PRUNE, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_drop(&other), PM_INVALID);
    CHECK_OK(pm_wz_drop(&w));
    check_some_map(&m);
    pm_drop(&m);
}

/* What is taken is what the other writer stands on: not when a move of it has failed. */
TEST(writer_whose_move_failed_gives_nothing) {
    pm_map m = some_map(), to = pm_new(NULL, NULL);
    pm_wz w, from;
    CHECK_OK(pm_wz_open(&to, NULL, 0, &w));
    CHECK_OK(pm_wz_open(&m, NULL, 0, &from));
    pm_rz_descend_to(pm_wz_cursor(&from), NULL, 3);
    CHECK_EQ(pm_wz_join_take(&w, &from, PM_PRUNE, NULL), PM_INVALID);
    CHECK_EQ(pm_rz_status(pm_wz_cursor(&from)), PM_INVALID);
    pm_rz_reset(pm_wz_cursor(&from));
    check_some_map(&m);
    CHECK_OK(pm_wz_join_take(&w, &from, PM_PRUNE, NULL));
    check_some_map(&to);
    CHECK_EQ(pm_wz_drop(&from), PM_INVALID);
    CHECK_EQ(pm_wz_drop(&w), PM_INVALID);
    pm_drop(&m);
    pm_drop(&to);
}
