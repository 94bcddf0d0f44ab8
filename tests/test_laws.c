/* Laws that algebra keeps, checked on random maps against themselves: identities of lattices and sets, independence of
   sharing, snapshots that stay, and in-place operations that agree with the ones that make new maps. */
#include "check.h"

#include "library.h"

#include "counted.h"
#include "doubled.h"

enum { ROUNDS = 150 };

static const pm_ops *table(unsigned i) {
    const pm_ops *all[] = {pm_ops_lattice(), pm_ops_unit(), pm_ops_left(), pm_ops_bits(), pm_ops_sum()};
    return all[i % 5];
}

/* A random map; `stubs`: with dangling locations. */
static pm_map some_map(const pm_ops *ops, bool stubs) {
    pm_map m = pm_new(ops, NULL);
    unsigned letters = 2 + (unsigned)check_below(check_below(3) ? 4 : 200), n = (unsigned)check_below(200);
    uint8_t k[64] = {0};
    size_t len = 0;
    for (unsigned i = 0; i < n; i++) {
        len = check_below(len + 1);
        for (size_t more = check_below(6); more-- && len < sizeof k;) k[len++] = (uint8_t)check_below(letters);
        if (stubs && check_below(10) == 0) CHECK_OK(pm_create_path(&m, k, len, NULL));
        else CHECK_OK(pm_set(&m, k, len, ops == pm_ops_unit() ? 0 : 1 + check_below(7), NULL));
    }
    return m;
}

/* A map of part of another's content, by edits of a clone. */
static pm_map variant(const pm_map *m) {
    pm_map v = pm_clone(m);
    uint8_t k[8];
    for (unsigned i = (unsigned)check_below(20); i--;) {
        size_t len = check_below(sizeof k);
        for (size_t j = 0; j < len; j++) k[j] = (uint8_t)check_below(6);
        if (check_below(2)) CHECK_OK(pm_set(&v, k, len, pm_map_ops(m) == pm_ops_unit() ? 0 : 1 + check_below(7), NULL));
        else CHECK_OK(pm_remove_branches(&v, k, len, PM_PRUNE, NULL));
    }
    return v;
}

/* The same content in nodes of its own. */
static pm_map rebuilt(const pm_map *m) {
    pm_map out = pm_new(pm_map_ops(m), NULL);
    pm_iter i = pm_iter_paths(m);
    while (pm_iter_next(&i)) {
        if (i.val) CHECK_OK(pm_set(&out, i.key, i.len, *i.val, NULL));
        else CHECK_OK(pm_create_path(&out, i.key, i.len, NULL));
    }
    pm_iter_drop(&i);
    return out;
}

static bool equal(const pm_map *a, const pm_map *b) {
    bool same = false;
    CHECK_OK(pm_equal(a, b, &same));
    return same;
}

/* ---- a small stack machine: laws read like formulas ---- */

static pm_map pile[16];
static unsigned height;

static void push(const pm_map *m) { pile[height++] = pm_clone(m); }

static void apply(pm_status (*op)(const pm_map *, const pm_map *, pm_map *, pm_alg *)) {
    pm_map out;
    CHECK_OK(op(&pile[height - 2], &pile[height - 1], &out, NULL));
    pm_drop(&pile[--height]);
    pm_drop(&pile[height - 1]);
    pile[height - 1] = out;
}

static bool top_is(const pm_map *m) {
    bool same = equal(&pile[height - 1], m);
    pm_drop(&pile[--height]);
    return same;
}

static bool top_two_equal(void) {
    pm_map m = pile[--height];
    bool same = top_is(&m);
    pm_drop(&m);
    return same;
}

typedef struct three {
    pm_map a, b, c;
} three;

static three some_three(const pm_ops *ops, bool stubs) {
    three t;
    t.a = some_map(ops, stubs);
    t.b = check_below(2) ? some_map(ops, stubs) : variant(&t.a);
    t.c = check_below(2) ? some_map(ops, stubs) : variant(&t.b);
    return t;
}

static void drop_three(three *t) {
    pm_drop(&t->a);
    pm_drop(&t->b);
    pm_drop(&t->c);
}

TEST(law_idempotence) {
    for (unsigned i = 0; i < ROUNDS; i++) {
        pm_map a = some_map(table(i % 4), true), b = rebuilt(&a), none = pm_new(table(i % 4), NULL);
        push(&a), push(&a), apply(pm_join);
        CHECK(top_is(&a));
        push(&a), push(&b), apply(pm_join);
        CHECK(top_is(&a));
        push(&a), push(&a), apply(pm_meet);
        CHECK(top_is(&a));
        push(&a), push(&b), apply(pm_meet);
        CHECK(top_is(&a));
        push(&a), push(&a), apply(pm_subtract);
        CHECK(top_is(&none));
        push(&a), push(&b), apply(pm_subtract);
        CHECK(top_is(&none));
        push(&a), push(&b), apply(pm_symmetric_difference);
        CHECK(top_is(&none));
        pm_drop(&a);
        pm_drop(&b);
    }
}

TEST(law_commutativity) {
    for (unsigned i = 0; i < ROUNDS; i++) {
        const pm_ops *ops = table(i);
        if (ops == pm_ops_left()) continue; /* left wins */
        three t = some_three(ops, true);
        push(&t.a), push(&t.b), apply(pm_join), push(&t.b), push(&t.a), apply(pm_join);
        CHECK(top_two_equal());
        push(&t.a), push(&t.b), apply(pm_meet), push(&t.b), push(&t.a), apply(pm_meet);
        CHECK(top_two_equal());
        push(&t.a), push(&t.b), apply(pm_symmetric_difference), push(&t.b), push(&t.a), apply(pm_symmetric_difference);
        CHECK(top_two_equal());
        drop_three(&t);
    }
}

TEST(law_associativity) {
    for (unsigned i = 0; i < ROUNDS; i++) {
        three t = some_three(table(i), true);
        push(&t.a), push(&t.b), apply(pm_join), push(&t.c), apply(pm_join);
        push(&t.a), push(&t.b), push(&t.c), apply(pm_join), apply(pm_join);
        CHECK(top_two_equal());
        push(&t.a), push(&t.b), apply(pm_meet), push(&t.c), apply(pm_meet);
        push(&t.a), push(&t.b), push(&t.c), apply(pm_meet), apply(pm_meet);
        CHECK(top_two_equal());
        drop_three(&t);
    }
}

TEST(law_absorption_and_distributivity_of_values) {
    for (unsigned i = 0; i < ROUNDS; i++) {
        three t = some_three(table(i % 2), false);
        push(&t.a), push(&t.a), push(&t.b), apply(pm_meet), apply(pm_join);
        CHECK(top_is(&t.a));
        push(&t.a), push(&t.a), push(&t.b), apply(pm_join), apply(pm_meet);
        CHECK(top_is(&t.a));
        push(&t.a), push(&t.b), push(&t.c), apply(pm_join), apply(pm_meet);
        push(&t.a), push(&t.b), apply(pm_meet), push(&t.a), push(&t.c), apply(pm_meet), apply(pm_join);
        CHECK(top_two_equal());
        drop_three(&t);
    }
}

TEST(law_difference_and_intersection_part_a_set) {
    for (unsigned i = 0; i < ROUNDS; i++) {
        three t = some_three(i % 2 ? pm_ops_unit() : pm_ops_left(), false);
        pm_map none = pm_new(pm_map_ops(&t.a), NULL);
        push(&t.a), push(&t.b), apply(pm_subtract), push(&t.b), apply(pm_meet);
        CHECK(top_is(&none));
        push(&t.a), push(&t.b), apply(pm_subtract), push(&t.a), push(&t.b), apply(pm_meet), apply(pm_join);
        CHECK(top_is(&t.a));
        push(&t.a), push(&t.b), apply(pm_join), push(&t.c), apply(pm_subtract);
        push(&t.a), push(&t.c), apply(pm_subtract), push(&t.b), push(&t.c), apply(pm_subtract), apply(pm_join);
        if (pm_map_ops(&t.a) == pm_ops_unit()) CHECK(top_two_equal());
        else pm_drop(&pile[--height]), pm_drop(&pile[--height]);
        drop_three(&t);
    }
}

TEST(law_restriction) {
    for (unsigned i = 0; i < ROUNDS; i++) {
        three t = some_three(table(i), true);
        push(&t.a), push(&t.b), apply(pm_restrict), push(&t.b), apply(pm_restrict);
        push(&t.a), push(&t.b), apply(pm_restrict);
        CHECK(top_two_equal());
        pm_map whole = pm_new(pm_map_ops(&t.a), NULL);
        CHECK_OK(pm_set(&whole, NULL, 0, 0, NULL));
        push(&t.a), push(&whole), apply(pm_restrict);
        CHECK(top_is(&t.a));
        pm_drop(&whole);
        drop_three(&t);
    }
}

TEST(law_results_do_not_depend_on_sharing) {
    pm_status (*const ops[])(const pm_map *, const pm_map *, pm_map *, pm_alg *) = {pm_join, pm_meet, pm_subtract,
                                                                                     pm_restrict};
    for (unsigned i = 0; i < ROUNDS; i++) {
        three t = some_three(table(i), true);
        pm_map a = rebuilt(&t.a), b = rebuilt(&t.b);
        for (unsigned op = 0; op < 4; op++) {
            pm_map x, y;
            pm_alg p, q;
            CHECK_OK(ops[op](&t.a, &t.b, &x, &p));
            CHECK_OK(ops[op](&a, &b, &y, &q));
            CHECK_EQ(p, q);
            CHECK(equal(&x, &y));
            pm_drop(&x);
            pm_drop(&y);
        }
        pm_drop(&a);
        pm_drop(&b);
        drop_three(&t);
    }
}

/* ---- in place ---- */

static pm_alg in_place(unsigned op, pm_wz *w, const pm_rz *src) {
    pm_alg alg = PM_ALG_ELEMENT;
    switch (op) {
    case 0: CHECK_OK(pm_wz_join(w, src, &alg)); break;
    case 1: CHECK_OK(pm_wz_meet(w, src, PM_KEEP, &alg)); break;
    case 2: CHECK_OK(pm_wz_subtract(w, src, PM_KEEP, &alg)); break;
    default: CHECK_OK(pm_wz_restrict(w, src, &alg)); break;
    }
    return alg;
}

TEST(law_in_place_operations_agree_with_those_on_maps) {
    pm_status (*const ops[])(const pm_map *, const pm_map *, pm_map *, pm_alg *) = {pm_join, pm_meet, pm_subtract,
                                                                                     pm_restrict};
    for (unsigned i = 0; i < ROUNDS; i++) {
        three t = some_three(table(i), true);
        for (unsigned op = 0; op < 4; op++) {
            pm_map m = pm_clone(&t.a), before = rebuilt(&t.a), want;
            pm_wz w;
            pm_rz src;
            pm_alg alg;
            CHECK_OK(ops[op](&t.a, &t.b, &want, &alg));
            CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
            CHECK_OK(pm_rz_open(&t.b, NULL, 0, &src));
            pm_alg told = in_place(op, &w, &src);
            CHECK_OK(pm_wz_drop(&w));
            pm_rz_drop(&src);
            CHECK(equal(&m, &want));
            CHECK(equal(&t.a, &before)); /* a snapshot does not see it */
            CHECK_EQ(told, alg == PM_ALG_NONE ? PM_ALG_NONE : (alg & PM_ALG_LEFT) && alg != PM_ALG_ELEMENT
                                                                  ? PM_ALG_LEFT
                                                                  : PM_ALG_ELEMENT);
            if (told == PM_ALG_LEFT) CHECK_EQ(m.root, t.a.root); /* nothing was un-shared */
            pm_drop(&m);
            pm_drop(&before);
            pm_drop(&want);
        }
        drop_three(&t);
    }
}

TEST(law_dropping_an_inserted_prefix_gives_the_branches_back) {
    for (unsigned i = 0; i < ROUNDS; i++) {
        pm_map a = some_map(table(i), true), m = pm_clone(&a);
        pm_wz w;
        bool done, left;
        size_t k = 1 + check_below(300);
        uint8_t prefix[300] = {7};
        CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
        CHECK_OK(pm_wz_insert_prefix(&w, prefix, k, &done));
        CHECK_OK(i % 2 ? pm_wz_join_k_path(&w, k, PM_KEEP, &left) : pm_wz_meet_k_path(&w, k, PM_KEEP, &left));
        CHECK_OK(pm_wz_drop(&w));
        CHECK(!done || equal(&m, &a));
        CHECK_EQ(left, !pm_is_empty(&a));
        pm_drop(&a);
        pm_drop(&m);
    }
}

/* ---- failures in place ---- */

static pm_status k_path(pm_wz *w, bool join) {
    return join ? pm_wz_join_k_path(w, 2, PM_PRUNE, NULL) : pm_wz_meet_k_path(w, 2, PM_PRUNE, NULL);
}

static pm_status bulk(unsigned op, pm_wz *w, const pm_rz *src, pm_wz *from) {
    switch (op) {
    case 0: return pm_wz_join(w, src, NULL);
    case 1: return pm_wz_meet(w, src, PM_PRUNE, NULL);
    case 2: return pm_wz_subtract(w, src, PM_PRUNE, NULL);
    case 3: return pm_wz_restrict(w, src, NULL);
    case 4: return pm_wz_restricting(w, src, NULL);
    case 5: return pm_wz_meet_2(w, src, src, NULL);
    case 6: return pm_wz_join_take(w, from, PM_PRUNE, NULL);
    default: return k_path(w, op == 7);
    }
}

static pm_map counted_map(unsigned letters) {
    pm_map m = pm_new(counted_ops(), NULL);
    uint8_t k[12];
    for (unsigned i = 0; i < 150; i++) {
        size_t len = check_below(sizeof k);
        for (size_t j = 0; j < len; j++) k[j] = (uint8_t)check_below(letters);
        CHECK_OK(pm_set(&m, k, len, counted_new(), NULL));
    }
    return m;
}

/* One operation with less memory each time, until it succeeds. What failed left the tries sound, and, but for the one
   that moves, unchanged. */
static void starve(unsigned op, unsigned letters) {
    pm_map a = counted_map(letters), b = counted_map(letters);
    pm_status s = PM_NOMEM;
    for (uint64_t n = 1; s != PM_OK; n += 1 + n / 12) {
        pm_map m = pm_clone(&a), other = pm_clone(&b);
        pm_wz w, from;
        pm_rz src;
        CHECK_OK(pm_wz_open(&m, "\1", 1, &w));
        CHECK_OK(pm_wz_open(&other, NULL, 0, &from));
        CHECK_OK(pm_rz_open(&b, NULL, 0, &src));
        pm_pool_trim(NULL);
        check_fail_allocs_from(n);
        s = bulk(op, &w, &src, &from);
        check_fail_alloc(0);
        CHECK(s == PM_OK || s == PM_NOMEM);
        CHECK_EQ(pm_wz_status(&w), s); /* sticky */
        (void)pm_wz_drop(&w);
        (void)pm_wz_drop(&from);
        pm_rz_drop(&src);
        CHECK_OK(pm_check(&m, NULL));
        CHECK_OK(pm_check(&other, NULL));
        if (s != PM_OK && op != 6) CHECK(equal(&m, &a));
        pm_drop(&m);
        pm_drop(&other);
    }
    pm_drop(&a);
    pm_drop(&b);
    CHECK(counted_is_sound());
    CHECK_EQ(counted_held(), 0);
}

TEST(in_place_algebra_without_memory_loses_nothing) {
    for (unsigned op = 0; op < 9; op++) {
        starve(op, 3);
        starve(op, 120);
    }
}

static pm_alg refuse(void *ctx, pm_val a, pm_val b, pm_val *out) {
    return (void)ctx, (void)a, (void)b, (void)out, PM_ALG_NONE;
}

TEST(in_place_join_reports_a_wrong_hook_and_changes_nothing) {
    static const pm_ops ops = {.name = "wrong", .join = refuse};
    pm_map a = pm_new(&ops, NULL), b, before;
    pm_wz w;
    pm_rz src;
    for (unsigned i = 0; i < 300; i++) {
        uint8_t k[2] = {(uint8_t)(i * 7), (uint8_t)(i / 5)};
        CHECK_OK(pm_set(&a, k, 2, i, NULL));
    }
    b = pm_clone(&a);
    before = pm_clone(&a);
    CHECK_OK(pm_wz_open(&a, NULL, 0, &w));
    CHECK_OK(pm_rz_open(&b, NULL, 0, &src));
    CHECK_EQ(pm_wz_join(&w, &src, NULL), PM_BADHOOK);
    CHECK_EQ(pm_wz_join_map(&w, &b, NULL), PM_BADHOOK);
    CHECK_EQ(pm_wz_join_map_move(&w, &b, NULL), PM_BADHOOK);
    CHECK(!pm_is_empty(&b));
    CHECK_EQ(pm_wz_join_k_path(&w, 1, PM_KEEP, NULL), PM_BADHOOK);
    CHECK_EQ(pm_wz_join_take(&w, &w, PM_KEEP, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_drop(&w), PM_BADHOOK);
    pm_rz_drop(&src);
    CHECK_EQ(a.root, before.root);
    pm_drop(&a);
    pm_drop(&b);
    pm_drop(&before);
}

TEST(dropping_bytes_of_2_to_the_60_values_visits_each_node_once) {
    for (unsigned t = 0; t < 5; t++) {
        pm_map m = doubled(single(table(t), "zz", 3), 60, "a", "b");
        uint64_t n;
        bool left;
        pm_wz w;
        CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
        CHECK_OK(t % 2 ? pm_wz_join_k_path(&w, 60, PM_KEEP, &left) : pm_wz_meet_k_path(&w, 60, PM_KEEP, &left));
        CHECK(left);
        CHECK_OK(pm_wz_drop(&w));
        CHECK_OK(pm_val_count(&m, &n));
        CHECK_EQ(n, 1);
        CHECK(pm_contains(&m, "zz", 2));
        pm_drop(&m);
    }
}
