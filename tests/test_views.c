/* Zippers of any kind and views: by hand, and random expressions of views beside the model, which has each of them as
   a trie that was built location by location. */
#include "check.h"
#include "model.h"

#include "library.h"

#include "counted.h"

/* ---- by hand ---- */

static void put(pm_map *m, const char *key, pm_val v) { CHECK_OK(pm_set(m, key, strlen(key), v, NULL)); }

/* The words of a string, with values that count from `first`; a word that ends in '!' has none. */
static pm_map words(const char *text, pm_val first) {
    pm_map m = pm_new(NULL, NULL);
    while (*text) {
        size_t n = strcspn(text, " ");
        if (n && text[n - 1] == '!') CHECK_OK(pm_create_path(&m, text, n - 1, NULL));
        else CHECK_OK(pm_set(&m, text, n, first++, NULL));
        text += n + (text[n] == ' ');
    }
    return m;
}

static pm_rz over(const pm_map *m) {
    pm_rz z = {0};
    CHECK_OK(pm_rz_open(m, NULL, 0, &z));
    return z;
}

/* The path from the root, of printable bytes. */
static const char *at(const pm_rz *z) {
    static char text[2][64];
    static unsigned turn;
    size_t len;
    const uint8_t *path = pm_rz_path(z, &len);
    CHECK(len < sizeof text[0]);
    memcpy(text[turn ^= 1], path, len);
    text[turn][len] = 0;
    return text[turn];
}

#define CHECK_AT(z, path) CHECK_STR_EQ(at(z), path)

/* Every location below the root as text: a=1 for values, a! for ends without, nothing for others. */
static const char *listing(pm_rz *z) {
    static char text[512];
    size_t n = 0;
    pm_rz_reset(z);
    text[0] = 0;
    bool more = pm_rz_exists(z);
    for (; more; more = pm_rz_to_next_step(z)) {
        const pm_val *v = pm_rz_val(z);
        CHECK(n + 80 < sizeof text);
        if (v) n += (size_t)sprintf(text + n, "%s=%d ", at(z), (int)*v);
        else if (pm_rz_child_count(z) == 0) n += (size_t)sprintf(text + n, "%s! ", at(z));
    }
    CHECK_OK(pm_rz_status(z));
    return text;
}

#define CHECK_LISTING(z, want) CHECK_STR_EQ(listing(z), want)

static pm_rz overlay(pm_rz a, pm_rz b) {
    pm_rz z = {0};
    CHECK_OK(pm_view_overlay(&a, &b, NULL, NULL, &z));
    pm_rz_drop(&a);
    pm_rz_drop(&b);
    return z;
}

TEST(views_refuse_factors_that_are_not_there) {
    pm_rz z = {0}, f = {0};
    CHECK_EQ(pm_rz_fork(NULL, &z), PM_INVALID);
    CHECK_EQ(pm_view_empty(NULL, 1, &z), PM_INVALID);
    CHECK_EQ(pm_view_product(NULL, 0, &f), PM_INVALID);
    CHECK_EQ(pm_view_product(&z, 0, &f), PM_INVALID);
    CHECK_EQ(pm_view_dependent(&z, NULL, NULL, 0, &f), PM_INVALID);
    CHECK_EQ(pm_view_overlay(&z, NULL, NULL, NULL, &f), PM_INVALID);
    CHECK_EQ(pm_view_meet(NULL, &z, &f), PM_INVALID);
    CHECK_EQ(pm_view_prefix(&z, NULL, 1, NULL, 0, &f), PM_INVALID);
    CHECK_OK(pm_view_meet(&z, &z, &f)); /* zero is an empty map */
    CHECK_LISTING(&f, "! ");
    pm_rz_drop(&f);
    pm_rz_drop(&f);
}

TEST(view_of_a_map_is_its_reader) {
    pm_map m = words("ab abc abde x! xy!", 1), out;
    pm_rz z = over(&m), f;
    pm_rz r;
    uint64_t n = 0;
    size_t len;
    CHECK_LISTING(&z, "ab=1 abc=2 abde=3 xy! ");
    CHECK_PTR_EQ(pm_rz_ops(&z), pm_ops_left());
    CHECK_OK(pm_rz_val_count(&z, &n));
    CHECK_EQ(n, 3);
    CHECK_EQ(*pm_rz_val_at(&z, "abc", 3), 2);
    CHECK(!pm_rz_val_at(&z, "abx", 3));
    CHECK_OK(pm_rz_make_map_in(&z, NULL, NULL, &out));
    CHECK_EQ(out.root, m.root); /* shared */
    pm_drop(&out);
    CHECK_OK(pm_rz_open(&m, "a", 1, &r));
    pm_rz_descend_to_byte(&r, 'b');
    CHECK_OK(pm_rz_fork(&r, &f));
    pm_rz_drop(&r);
    const uint8_t *p = pm_rz_root_prefix(&f, &len);
    CHECK_MEM_EQ(p, len, "ab", 2);
    CHECK_LISTING(&f, "=1 c=2 de=3 ");
    pm_rz_drop(&z);
    CHECK_EQ(pm_view_factor_count(&f), 1);
    CHECK_EQ(pm_view_focus_factor(&f), 0);
    CHECK_EQ(pm_view_path_indices(&f, 0, NULL), 0);
    pm_rz_drop(&f);
    pm_drop(&m);
}

TEST(view_empty_has_not_even_a_root) {
    pm_rz z, f;
    size_t len;
    pm_map out;
    CHECK_OK(pm_view_empty("pre", 3, &z));
    CHECK(!pm_rz_exists(&z) && pm_rz_at_root(&z) && !pm_rz_to_next_step(&z) && !pm_rz_to_next_val(&z));
    pm_rz_descend_to(&z, "abc", 3);
    CHECK(!pm_rz_ascend(&z, 4)); /* stops at the root, whatever stands before it */
    CHECK_AT(&z, "");
    const uint8_t *p = pm_rz_origin_path(&z, &len);
    CHECK_MEM_EQ(p, len, "pre", 3);
    CHECK_EQ(pm_rz_move_to(&z, "xy", 2), 0);
    CHECK_AT(&z, "xy");
    CHECK_EQ(pm_rz_ascend_until(&z), 2);
    pm_rz_descend_to_byte(&z, 'q');
    CHECK_OK(pm_rz_fork(&z, &f));
    p = pm_rz_root_prefix(&f, &len);
    CHECK_MEM_EQ(p, len, "preq", 4);
    CHECK_OK(pm_rz_make_map_in(&z, NULL, NULL, &out));
    CHECK(pm_is_empty(&out) && pm_map_ops(&out) == pm_ops_left());
    CHECK_OK(pm_rz_status(&z));
    pm_rz_drop(&z);
    pm_rz_drop(&f);
}

TEST(view_prefix_stands_before_its_source) {
    pm_map m = words("a b", 1), out, none = pm_new(NULL, NULL);
    pm_rz src = over(&m), z, f;
    size_t len;
    CHECK_EQ(pm_view_prefix(&src, "from/", 5, "fra", 3, &z), PM_INVALID);
    CHECK_EQ(pm_view_prefix(&src, "fr", 2, "from", 4, &z), PM_INVALID);
    CHECK_OK(pm_view_prefix(&src, "from/", 5, "fr", 2, &z));
    CHECK_LISTING(&z, "om/a=1 om/b=2 ");
    const uint8_t *p = pm_rz_root_prefix(&z, &len);
    CHECK_MEM_EQ(p, len, "fr", 2);
    pm_rz_reset(&z);
    CHECK(pm_rz_descend_until(&z));
    CHECK_AT(&z, "om/");
    CHECK_EQ(pm_rz_ascend_until(&z), 3);
    CHECK(!pm_rz_descend_to_check(&z, "oa", 2));
    CHECK(pm_rz_ascend(&z, 1) && pm_rz_exists(&z));
    CHECK_AT(&z, "o");
    CHECK_OK(pm_rz_make_map_in(&z, NULL, NULL, &out)); /* what is left of the prefix stays before it */
    CHECK_EQ(*pm_get(&out, "m/b", 3), 2);
    pm_drop(&out);
    CHECK_OK(pm_rz_fork(&z, &f));
    CHECK_LISTING(&f, "m/a=1 m/b=2 ");
    pm_rz_drop(&f);
    pm_rz_drop(&z);
    CHECK_OK(pm_view_prefix(&src, NULL, 0, NULL, 0, &z));
    CHECK_LISTING(&z, "a=1 b=2 ");
    pm_rz_drop(&z);
    pm_rz_drop(&src);
    src = over(&none); /* an empty map has a root, an empty zipper has none */
    CHECK_OK(pm_view_prefix(&src, "ab", 2, NULL, 0, &z));
    CHECK_LISTING(&z, "ab! ");
    pm_rz_drop(&z);
    pm_rz_drop(&src);
    CHECK_OK(pm_view_empty(NULL, 0, &src));
    CHECK_OK(pm_view_prefix(&src, "ab", 2, NULL, 0, &z));
    CHECK(!pm_rz_exists(&z) && !pm_rz_child_count(&z));
    CHECK_LISTING(&z, "");
    pm_rz_drop(&z);
    pm_rz_drop(&src);
    pm_drop(&m);
}

TEST(view_product_goes_on_where_a_factor_ends) {
    pm_map a = words("a ab bc!", 1), b = words("x y", 11), c = words("0! 1!", 0);
    put(&b, "", 10);
    pm_rz factors[3] = {over(&a), over(&b), over(&c)}, z, f;
    size_t seams[3] = {0, 0, 0};
    CHECK_OK(pm_view_product(factors, 3, &z));
    for (unsigned i = 0; i < 3; i++) pm_rz_drop(&factors[i]);
    CHECK_LISTING(&z, "a=1 ab=2 abx=11 abx0! abx1! aby=12 aby0! aby1! bcx=11 bcx0! bcx1! bcy=12 bcy0! bcy1! ");
    CHECK_EQ(pm_view_factor_count(&z), 3);
    CHECK(pm_rz_descend_to_check(&z, "ab", 2));
    CHECK_EQ(pm_view_focus_factor(&z), 0); /* a seam is the earlier one's, and so is its value */
    CHECK_EQ(*pm_rz_val(&z), 2);
    CHECK(pm_rz_descend_to_check(&z, "x1", 2));
    CHECK_EQ(pm_view_focus_factor(&z), 2);
    CHECK_EQ(pm_view_path_indices(&z, 3, seams), 2);
    CHECK(seams[0] == 2 && seams[1] == 3);
    pm_rz_ascend(&z, 1);
    CHECK_EQ(pm_view_path_indices(&z, 0, seams), 1);
    CHECK_OK(pm_rz_fork(&z, &f));
    CHECK_LISTING(&f, "=11 0! 1! ");
    pm_rz_drop(&f);
    CHECK(!pm_rz_descend_to_check(&z, "2", 1));
    CHECK_EQ(pm_rz_move_to(&z, "bcy1", 4), 4);
    CHECK_EQ(pm_rz_move_to(&z, "bcq1", 4), 2);
    CHECK(!pm_rz_exists(&z));
    pm_rz_ascend(&z, 2);
    CHECK(pm_rz_descend_to_existing_byte(&z, 'x'));
    pm_rz_drop(&z);
    pm_drop(&a);
    pm_drop(&b);
    pm_drop(&c);
}

TEST(view_product_passes_empty_maps_and_stops_at_empty_zippers) {
    pm_map a = words("a", 1), e = pm_new(NULL, NULL);
    put(&e, "", 5);
    pm_rz f[4] = {over(&e), over(&e), over(&a), over(&e)}, z;
    size_t seams[3] = {9, 9, 9};
    CHECK_OK(pm_view_product(f, 4, &z));
    CHECK_LISTING(&z, "=5 a=1 ");
    CHECK(pm_rz_descend_first_byte(&z));
    CHECK_EQ(pm_view_path_indices(&z, 3, seams), 2);
    CHECK(seams[0] == 0 && seams[1] == 0);
    pm_rz_drop(&z);
    pm_rz_drop(&f[1]);
    CHECK_OK(pm_view_empty(NULL, 0, &f[1]));
    CHECK_OK(pm_view_product(f, 4, &z));
    CHECK_LISTING(&z, "=5 ");
    pm_rz_drop(&z);
    CHECK_OK(pm_view_product(f + 1, 3, &z));
    CHECK_LISTING(&z, "");
    CHECK_PTR_EQ(pm_rz_ops(&z), pm_ops_left());
    pm_rz_drop(&z);
    for (unsigned i = 0; i < 4; i++) pm_rz_drop(&f[i]);
    pm_drop(&a);
    pm_drop(&e);
}

/* Opens the map that stands at the path so far, in a table of maps: a file system whose folders are maps. */
typedef struct folders {
    const pm_map *of[256]; /* by the last byte of the path */
    unsigned asked;
    pm_status answer, later; /* what the call says, and what the factor will */
} folders;

static pm_status open_folder(void *ctx, uint64_t *payload, const uint8_t *path, size_t len, size_t factors,
                             pm_rz *next) {
    folders *f = ctx;
    f->asked++;
    CHECK(len > 0 && factors == *payload + 1);
    ++*payload;
    if (f->answer != PM_OK) return f->answer;
    if (!f->of[path[len - 1]]) return PM_OK;
    pm_status s = pm_rz_open(f->of[path[len - 1]], NULL, 0, next);
    next->status = f->later;
    return s;
}

/* Supplies one factor, whose focus is not where it was opened. */
static pm_status open_moved(void *ctx, uint64_t *payload, const uint8_t *path, size_t len, size_t factors,
                            pm_rz *next) {
    (void)payload, (void)path, (void)len;
    if (factors > 1) return PM_OK;
    pm_status s = pm_rz_open(ctx, NULL, 0, next);
    if (s == PM_OK) CHECK(pm_rz_descend_to_check(next, "a", 1));
    return s;
}

TEST(view_dependent_factor_begins_at_its_root) {
    pm_map root = words("x", 1), below = words("ab ac d", 5);
    pm_rz first = over(&root), z, own;
    CHECK_OK(pm_view_dependent(&first, open_moved, &below, 0, &z));
    CHECK_OK(pm_rz_fork_owned(&z, &own));
    CHECK_LISTING(&z, "x=1 xab=5 xac=6 xd=7 ");
    CHECK_LISTING(&own, "x=1 xab=5 xac=6 xd=7 ");
    CHECK(pm_rz_descend_to_check(&own, "xac", 3));
    CHECK(pm_rz_to_prev_sibling(&own));
    CHECK_EQ(*pm_rz_val(&own), 5);
    pm_rz_drop(&z);
    pm_rz_drop(&own);
    pm_rz_drop(&first);
    pm_drop(&root);
    pm_drop(&below);
}

TEST(view_dependent_product_asks_at_each_end) {
    pm_map root = words("home/ lib/ x", 1), home = words("ann: bob:", 11), ann = words("1 2", 21);
    pm_map empty = pm_new(NULL, NULL), sums = pm_new(pm_ops_sum(), NULL);
    folders f = {{NULL}, 0, PM_OK, PM_OK};
    pm_rz first = over(&root), z, g;
    size_t seams[2];
    f.of['/'] = &home;
    f.of[':'] = &ann;
    f.of['1'] = &empty; /* without end: is asked again there, and again */
    CHECK_OK(pm_view_dependent(&first, open_folder, &f, 0, &z));
    CHECK(pm_rz_descend_to_check(&z, "home/ann:2", 10));
    CHECK_EQ(*pm_rz_val(&z), 22);
    CHECK_EQ(pm_view_factor_count(&z), 3);
    CHECK_EQ(pm_view_path_indices(&z, 2, seams), 2);
    CHECK(seams[0] == 5 && seams[1] == 9);
    CHECK_EQ(f.asked, 2);
    CHECK(pm_rz_to_prev_sibling(&z)); /* stays below the seam: nothing is asked */
    CHECK_EQ(f.asked, 2);
    CHECK_EQ(pm_rz_child_count(&z), 0);
    CHECK_EQ(pm_rz_status(&z), PM_INVALID);
    CHECK_EQ(pm_rz_status(&z), PM_INVALID); /* until it is reset */
    f.of['1'] = NULL;
    pm_rz_reset(&z);
    CHECK_EQ(pm_view_factor_count(&z), 1);
    CHECK_OK(pm_rz_fork(&z, &g));
    pm_rz_drop(&z);
    pm_rz_drop(&first);
    CHECK_LISTING(&g, "home/=1 home/ann:=11 home/ann:1=21 home/ann:2=22 home/bob:=12 home/bob:1=21 home/bob:2=22 "
                      "lib/=2 lib/ann:=11 lib/ann:1=21 lib/ann:2=22 lib/bob:=12 lib/bob:1=21 lib/bob:2=22 x=3 ");
    f.answer = PM_IO;
    pm_rz_reset(&g);
    CHECK(!pm_rz_descend_to_check(&g, "home/ann", 8));
    CHECK_EQ(pm_rz_status(&g), PM_IO);
    pm_map m;
    CHECK_EQ(pm_rz_make_map_in(&g, NULL, NULL, &m), PM_IO);
    uint64_t n;
    CHECK_EQ(pm_rz_val_count(&g, &n), PM_IO);
    f.answer = PM_OK;
    f.later = PM_IO; /* what a factor had to tell before */
    pm_rz_reset(&g);
    CHECK(!pm_rz_descend_to_check(&g, "home/ann", 8));
    CHECK_EQ(pm_rz_status(&g), PM_IO);
    pm_rz_reset(&g);
    CHECK_OK(pm_rz_status(&g));
    f.later = PM_OK;
    f.of['/'] = &sums;
    CHECK(!pm_rz_descend_to_check(&g, "lib/x", 5));
    CHECK_EQ(pm_rz_status(&g), PM_MISMATCH);
    pm_rz_drop(&g);
    pm_drop(&root);
    pm_drop(&home);
    pm_drop(&ann);
}

static pm_alg hide_odd(void *ctx, const pm_val *l, const pm_val *r, pm_val *out) {
    CHECK(l || r);
    ++*(unsigned *)ctx;
    if (l && r) {
        *out = *l * 100 + *r;
        return PM_ALG_ELEMENT;
    }
    if (!l) return *r % 2 ? PM_ALG_LEFT : PM_ALG_RIGHT; /* an absent left is nothing */
    return *l % 2 ? PM_ALG_NONE : PM_ALG_BOTH;
}

TEST(view_overlay_shows_both) {
    pm_map a = words("a ab b d!", 1), b = words("ab ac b c", 11);
    pm_rz l = over(&a), r = over(&b), z;
    unsigned calls = 0;
    pm_map out;
    CHECK_OK(pm_view_overlay(&l, &r, NULL, NULL, &z));
    CHECK_LISTING(&z, "a=1 ab=2 ac=12 b=3 c=14 d! ");
    pm_rz_drop(&z);
    CHECK_OK(pm_view_overlay(&l, &r, hide_odd, &calls, &z));
    CHECK_LISTING(&z, "ab=211 ac=12 b=313 c=14 d! ");
    CHECK(calls > 0 && !pm_rz_val_at(&z, "a", 1));
    CHECK_OK(pm_rz_make_map_in(&z, NULL, NULL, &out));
    CHECK(pm_path_exists(&out, "d", 1) && !pm_contains(&out, "a", 1));
    CHECK_EQ(*pm_get(&out, "b", 1), 313);
    pm_drop(&out);
    pm_rz_drop(&z);
    pm_map sums = pm_new(pm_ops_sum(), NULL);
    pm_rz s = over(&sums);
    CHECK_EQ(pm_view_overlay(&l, &s, NULL, NULL, &z), PM_MISMATCH);
    CHECK_EQ(pm_view_meet(&s, &l, &z), PM_MISMATCH);
    pm_rz both[2] = {l, s};
    CHECK_EQ(pm_view_product(both, 2, &z), PM_MISMATCH);
    CHECK_EQ(pm_rz_make_map_in(&l, pm_ops_sum(), NULL, &out), PM_MISMATCH);
    CHECK_OK(pm_rz_make_map_in(&l, pm_ops_unit(), NULL, &out)); /* which paths have a value */
    CHECK(pm_contains(&out, "ab", 2) && pm_path_exists(&out, "d", 1) && !pm_contains(&out, "d", 1));
    CHECK_OK(pm_check(&out, NULL));
    pm_drop(&out);
    pm_rz_drop(&s);
    pm_rz_drop(&l);
    pm_rz_drop(&r);
    pm_drop(&a);
    pm_drop(&b);
}

/* Factors are forks: the caller's own go their way. */
TEST(view_factors_start_at_the_focus) {
    pm_map a = words("pre/a pre/b q", 1);
    pm_rz l = over(&a), z;
    pm_rz_descend_to(&l, "pre/", 4);
    CHECK_OK(pm_view_overlay(&l, &l, NULL, NULL, &z));
    pm_rz_reset(&l);
    CHECK_LISTING(&z, "a=1 b=2 ");
    CHECK(!pm_rz_ascend(&z, 1));
    CHECK_AT(&l, "");
    pm_rz_drop(&l);
    CHECK_LISTING(&z, "a=1 b=2 ");
    pm_rz_drop(&z);
    pm_drop(&a);
}

TEST(view_meet_and_subtract_show_only_what_remains) {
    pm_map a = words("a abc abd! x xyz k!", 1), b = words("ab abd! abx xyq k! a", 11);
    pm_rz l = over(&a), r = over(&b), z;
    CHECK_OK(pm_view_meet(&l, &r, &z));
    CHECK_LISTING(&z, "a=1 abd! k! ");
    CHECK(!pm_rz_descend_to_check(&z, "x", 1)); /* in both, but nothing of it is left */
    CHECK_EQ(pm_rz_child_count(&z), 0);
    CHECK_EQ(pm_rz_move_to(&z, "abc", 3), 2);
    pm_rz_drop(&z);
    CHECK_OK(pm_view_subtract(&l, &r, &z));
    CHECK_LISTING(&z, "abc=2 x=3 xyz=4 ");
    CHECK(!pm_rz_descend_to_check(&z, "k", 1));
    CHECK_EQ(pm_rz_move_to(&z, "abd", 3), 2);
    pm_rz_drop(&z);
    CHECK_OK(pm_view_subtract(&l, &l, &z));
    CHECK_LISTING(&z, "! ");
    pm_rz_drop(&z);
    pm_rz_drop(&l);
    pm_rz_drop(&r);
    pm_drop(&a);
    pm_drop(&b);
}

static pm_alg bad_meet(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    (void)a;
    (void)b;
    (void)out;
    return (pm_alg)17;
}

TEST(view_tells_of_a_bad_hook) {
    const pm_ops bad = {.name = "bad", .meet = bad_meet};
    pm_map m = pm_new(&bad, NULL), out;
    pm_pool *other;
    CHECK_OK(pm_pool_new(NULL, &other));
    put(&m, "a", 1);
    pm_rz l = over(&m), z;
    CHECK_OK(pm_view_meet(&l, &l, &z));
    CHECK(!pm_rz_val_at(&z, "a", 1));
    CHECK_EQ(pm_rz_status(&z), PM_BADHOOK);
    CHECK_EQ(pm_rz_make_map_in(&z, NULL, NULL, &out), PM_BADHOOK);
    CHECK_EQ(pm_rz_make_map_in(&z, NULL, other, &out), PM_BADHOOK);
    CHECK_EQ(pm_rz_status(&z), PM_BADHOOK); /* that of the query, until it is reset */
    pm_rz_reset(&z);
    CHECK_OK(pm_rz_status(&z));
    pm_rz_drop(&z);
    pm_rz_drop(&l);
    pm_drop(&m);
    CHECK_OK(pm_pool_free(other));
}

static pm_alg make_counted(void *ctx, const pm_val *l, const pm_val *r, pm_val *out) {
    (void)ctx;
    if (!l || !r) return l ? PM_ALG_LEFT : PM_ALG_RIGHT;
    *out = counted_new();
    return PM_ALG_ELEMENT;
}

static int count_vals(void *ctx, const pm_fold_at *here, void *out) {
    (void)out;
    *(unsigned *)ctx += here->val && counted_refs(*here->val) > 0;
    return PM_OK;
}

TEST(view_values_are_counted) {
    pm_map a = pm_new(counted_ops(), NULL), b = pm_new(counted_ops(), NULL), out;
    for (unsigned i = 0; i < 3; i++) {
        put(&a, i == 0 ? "" : i == 1 ? "k" : "kx", counted_new());
        put(&b, i == 0 ? "" : i == 1 ? "k" : "l", counted_new());
    }
    pm_rz l = over(&a), r = over(&b), z, twice;
    CHECK_OK(pm_view_overlay(&l, &r, make_counted, NULL, &z));
    CHECK_OK(pm_view_overlay(&z, &z, make_counted, NULL, &twice)); /* makes values of made values */
    pm_rz_drop(&z);
    CHECK_OK(pm_rz_make_map_in(&twice, NULL, NULL, &out));
    const pm_val *v = pm_rz_val_at(&twice, "k", 1);
    CHECK(v && counted_refs(*v) == 1);
    unsigned vals = 0;
    pm_fold f = {.flags = PM_FOLD_JUMPING, .ctx = &vals, .at = count_vals};
    CHECK_EQ(pm_fold_rz(&twice, &f, NULL), PM_OK);
    CHECK_EQ(vals, 4);
    pm_rz_drop(&twice);
    pm_rz_drop(&l);
    pm_rz_drop(&r);
    pm_drop(&a);
    pm_drop(&b);
    uint64_t n = 0;
    CHECK_OK(pm_val_count(&out, &n));
    CHECK_EQ(n, 4);
    CHECK_EQ(counted_held(), 4);
    pm_drop(&out);
    CHECK_EQ(counted_held(), 0);
    CHECK(counted_is_sound());
}

TEST(views_are_visited_value_by_value) {
    pm_map a = words("b ba", 1), b = words("a ba", 11);
    put(&a, "", 9);
    pm_rz z = overlay(over(&a), over(&b));
    char text[64] = "";
    for (pm_iter i = pm_iter_vals_of_rz(&z); pm_iter_next(&i);)
        sprintf(text + strlen(text), "%.*s=%d ", (int)i.len, (const char *)i.key, (int)*i.val);
    CHECK_STR_EQ(text, "=9 a=11 b=1 ba=2 ");
    pm_rz_drop(&z);
    pm_drop(&a);
    pm_drop(&b);
}

TEST(views_may_own_what_they_show) {
    pm_map a = words("a b c", 1), b = words("b c d", 11), made, w;
    pm_rz z = overlay(over(&a), over(&b)), kept;
    CHECK_OK(pm_rz_fork_owned(&z, &kept));
    pm_rz_drop(&z);
    put(&a, "x", 9);
    pm_drop(&a);
    pm_drop(&b);
    CHECK_LISTING(&kept, "a=1 b=2 c=3 d=13 ");
    CHECK_OK(pm_rz_make_map(&kept, &made));
    w = pm_new(NULL, NULL);
    pm_wz writer; /* a writer takes maps only */
    CHECK_OK(pm_wz_open(&w, NULL, 0, &writer));
    CHECK_EQ(pm_wz_graft(&writer, &kept), PM_MISMATCH);
    CHECK_EQ(pm_wz_drop(&writer), PM_MISMATCH);
    pm_witness none = pm_rz_witness(&kept);
    const pm_val *v;
    CHECK_EQ(pm_rz_val_witnessed(&kept, &none, &v), PM_INVALID);
    pm_witness_drop(&none);
    CHECK(pm_rz_shared_node_id(&kept) == 0 && !pm_rz_is_shared(&kept));
    pm_rz_drop(&kept);
    pm_drop(&made);
    pm_drop(&w);
}

/* A view that the library does not know: every path of at most three bytes a and b; those of three have a value. */
typedef struct cube {
    uint8_t path[3];
    pm_val val;
} cube;

static bool cube_seek(void *state, const uint8_t *key, size_t len, size_t within, pm_terminal *t) {
    cube *c = state;
    for (unsigned i = 0; i < 8; i++) {
        for (unsigned k = 0; k < 3; k++) c->path[k] = i >> (2 - k) & 1 ? 'b' : 'a';
        int order = memcmp(c->path, key, len < 3 ? len : 3);
        if (order < 0 || (order == 0 && len > 3)) continue;
        if (within > 3 || memcmp(c->path, key, within) != 0) return false;
        t->path = c->path, t->len = 3, t->val = &c->val;
        return true;
    }
    return false;
}

static bool cube_seek_back(void *state, const uint8_t *key, size_t len, size_t within, bool below, pm_terminal *t) {
    cube *c = state;
    for (unsigned i = 8; i-- > 0;) {
        for (unsigned k = 0; k < 3; k++) c->path[k] = i >> (2 - k) & 1 ? 'b' : 'a';
        int order = memcmp(c->path, key, len < 3 ? len : 3);
        if (order > 0 || (order == 0 && len <= 3 && !below)) continue;
        if (within > 3 || memcmp(c->path, key, within) != 0) return false;
        t->path = c->path, t->len = 3, t->val = &c->val;
        return true;
    }
    return false;
}

static pm_status cube_fork(const void *state, bool own, void **out) {
    cube *c = malloc(sizeof *c);
    (void)own;
    if (!c) return PM_NOMEM;
    *c = *(const cube *)state;
    *out = c;
    return PM_OK;
}

TEST(views_take_kinds_of_ones_own) {
    static const pm_view_ops kind = {
        .seek = cube_seek, .seek_back = cube_seek_back, .fork = cube_fork, .drop = free};
    static const cube at_first = {"aaa", 7};
    void *state;
    pm_rz own, two[2], z;
    pm_map out;
    CHECK_OK(cube_fork(&at_first, false, &state));
    CHECK_OK(pm_rz_open_view(&kind, state, pm_ops_left(), NULL, NULL, 0, &own));
    CHECK_LISTING(&own, "aaa=7 aab=7 aba=7 abb=7 baa=7 bab=7 bba=7 bbb=7 ");
    two[0] = two[1] = own;
    CHECK_OK(pm_view_product(two, 2, &z));
    uint64_t n = 0;
    CHECK_OK(pm_rz_val_count(&z, &n));
    CHECK_EQ(n, 8 + 64);
    CHECK_OK(pm_rz_make_map(&z, &out));
    CHECK(pm_contains(&out, "abbaba", 6));
    pm_drop(&out);
    pm_rz_drop(&z);
    pm_rz_drop(&own);
}

/* Walking needs no atomic read-modify-write, and, once its buffers have grown, no allocation. */
TEST(views_walk_without_cost_beside_the_moves) {
    pm_map a = pm_new(NULL, NULL), b = pm_new(NULL, NULL), c = words("x y", 1);
    for (unsigned i = 0; i < 2000; i++) {
        char key[32];
        sprintf(key, "%x/%u", i % 97 * 31u, i);
        if (i % 3) put(&a, key, i);
        if (i % 5) put(&b, key, i);
    }
    pm_rz l = over(&a), r = over(&b), two[2] = {l, over(&c)}, z[5];
    CHECK_OK(pm_view_overlay(&l, &r, NULL, NULL, &z[0]));
    CHECK_OK(pm_view_meet(&l, &r, &z[1]));
    CHECK_OK(pm_view_subtract(&l, &r, &z[2]));
    CHECK_OK(pm_view_prefix(&l, "pre", 3, NULL, 0, &z[3]));
    CHECK_OK(pm_view_product(two, 2, &z[4]));
    for (unsigned i = 0; i < 5; i++) {
        uint64_t n = 0;
        CHECK_OK(pm_rz_val_count(&z[i], &n));
        while (pm_rz_to_next_step(&z[i])) continue;
        check_fail_alloc(0);
        library_rmws = 0;
        while (pm_rz_to_next_val(&z[i])) n--;
        while (pm_rz_to_next_step(&z[i])) continue;
        CHECK_EQ(n, 0);
        CHECK_EQ(library_rmws, 0);
        CHECK_EQ(check_allocs(), 0);
        pm_rz_drop(&z[i]);
    }
    pm_rz_drop(&l);
    pm_rz_drop(&r);
    pm_rz_drop(&two[1]);
    pm_drop(&a);
    pm_drop(&b);
    pm_drop(&c);
}

/* Known faults 21 and 22 of the original, absent here. */

/* Grafting from inside a prefix forgot the rest of it. */
TEST(known_fault_21_what_is_left_of_a_prefix_is_grafted) {
    pm_map m = words("a b", 1), to = words("t/old", 9);
    pm_rz src = over(&m), z;
    pm_map from;
    pm_wz w;
    CHECK_OK(pm_view_prefix(&src, "from/", 5, NULL, 0, &z));
    CHECK(pm_rz_descend_to_check(&z, "fr", 2));
    CHECK_OK(pm_rz_make_map(&z, &from));
    CHECK_OK(pm_wz_open(&to, "t/", 2, &w));
    CHECK_OK(pm_wz_graft_map(&w, &from));
    CHECK_OK(pm_wz_drop(&w));
    CHECK_EQ(*pm_get(&to, "t/om/b", 6), 2);
    CHECK(!pm_contains(&to, "t/old", 5) && !pm_path_exists(&to, "t/a", 3));
    pm_drop(&from);
    pm_rz_drop(&z);
    pm_rz_drop(&src);
    pm_drop(&m);
    pm_drop(&to);
}

/* Going up in an empty zipper cut its root off; overlays and products could not count. */
TEST(known_fault_21_empty_zippers_keep_their_root_and_views_count) {
    pm_map a = words("a b", 1), b = words("b c", 5);
    pm_rz two[2] = {over(&a), over(&b)}, z;
    size_t len;
    uint64_t n = 0;
    CHECK_OK(pm_view_empty("root", 4, &z));
    pm_rz_descend_to(&z, "xyz", 3);
    CHECK(pm_rz_ascend(&z, 1));
    const uint8_t *p = pm_rz_origin_path(&z, &len);
    CHECK_MEM_EQ(p, len, "rootxy", 6);
    CHECK(!pm_rz_ascend(&z, 9));
    p = pm_rz_origin_path(&z, &len);
    CHECK_MEM_EQ(p, len, "root", 4);
    pm_rz_drop(&z);
    CHECK_OK(pm_view_overlay(&two[0], &two[1], NULL, NULL, &z));
    CHECK_OK(pm_rz_val_count(&z, &n));
    CHECK_EQ(n, 3);
    pm_rz_drop(&z);
    CHECK_OK(pm_view_product(two, 2, &z));
    CHECK_OK(pm_rz_val_count(&z, &n));
    CHECK_EQ(n, 2 + 2 * 2);
    pm_rz_drop(&z);
    pm_rz_drop(&two[0]);
    pm_rz_drop(&two[1]);
    pm_drop(&a);
    pm_drop(&b);
}

/* A further factor had to begin where a node does. */
TEST(known_fault_22_factors_begin_anywhere) {
    pm_map a = words("k", 1), b = words("somewhere/in/a/run elsewhere", 5);
    for (size_t n = 1; n < 18; n++) {
        pm_rz two[2] = {over(&a), {0}}, z;
        CHECK_OK(pm_rz_open(&b, "somewhere/in/a/run", n, &two[1]));
        CHECK_OK(pm_view_product(two, 2, &z));
        CHECK(pm_rz_to_next_val(&z) && pm_rz_to_next_val(&z));
        CHECK_STR_EQ(at(&z) + 1, &"somewhere/in/a/run"[n]);
        CHECK_EQ(*pm_rz_val(&z), 5);
        CHECK(!pm_rz_to_next_val(&z));
        pm_rz_drop(&z);
        pm_rz_drop(&two[0]);
        pm_rz_drop(&two[1]);
    }
    pm_drop(&a);
    pm_drop(&b);
}

/* A path far longer than a stack of calls could be. */
TEST(views_go_deep) {
    enum { DEEP = 300000 };
    static char key[DEEP];
    pm_map m = pm_new(NULL, NULL), out;
    memset(key, 'k', sizeof key);
    CHECK_OK(pm_set(&m, key, DEEP, 1, NULL));
    CHECK_OK(pm_set(&m, key, DEEP / 2, 2, NULL));
    pm_rz two[2] = {over(&m), over(&m)}, product, z;
    CHECK_OK(pm_view_product(two, 2, &product));
    CHECK_OK(pm_view_meet(&product, &two[0], &z));
    CHECK(pm_rz_descend_to_check(&product, key, DEEP));
    CHECK(pm_rz_descend_to_check(&product, key, DEEP));
    CHECK_EQ(*pm_rz_val(&product), 1);
    CHECK_EQ(pm_rz_ascend_until(&product), DEEP / 2);
    uint64_t n = 0;
    CHECK_OK(pm_rz_val_count(&z, &n));
    CHECK_EQ(n, 2);
    CHECK_OK(pm_rz_make_map_in(&z, NULL, NULL, &out));
    CHECK_EQ(*pm_get(&out, key, DEEP / 2), 2);
    pm_drop(&out);
    pm_rz_drop(&z);
    pm_rz_drop(&product);
    pm_rz_drop(&two[0]);
    pm_rz_drop(&two[1]);
    pm_drop(&m);
}

/* ---- random expressions beside the model ---- */

enum { LONGEST = 300, KIDS = 3, TOO_LARGE = 1500 };

typedef enum view_kind { OVER_MAP, PREFIX, PRODUCT, DEPENDENT, OVERLAY, MEET, SUBTRACT, EMPTY, VIEW_KINDS } view_kind;

/* An expression, and what it means: NULL if not even a root. */
typedef struct view {
    view_kind kind;
    struct view *kid[KIDS];
    unsigned kids;
    const pm_ops *ops;
    pm_map map;
    uint8_t path[8];
    size_t len, root_len;
    pm_view_choose_fn choose;
    model *want;
} view;

static const struct {
    const pm_ops *(*ops)(void);
    model_algebra alg;
} algebras[] = {{pm_ops_lattice, MODEL_LATTICE},
                {pm_ops_sum, MODEL_SUM},
                {pm_ops_left, MODEL_LEFT},
                {pm_ops_bits, MODEL_BITS}};

static model_algebra algebra_of(const pm_ops *ops) {
    for (unsigned i = 0; i < 4; i++)
        if (algebras[i].ops() == ops) return algebras[i].alg;
    return MODEL_LEFT;
}

static size_t random_path(uint8_t *out, size_t max) {
    size_t n = check_below(max + 1);
    for (size_t i = 0; i < n; i++) out[i] = (uint8_t)("ab\xff\0c"[check_below(3 + 2 * (i & 1))]);
    return n;
}

/* Copying a model with changes. */
typedef struct building {
    model *out;
    model_bytes at; /* stands before every key */
    const view *v;
    const model *other;
    unsigned i; /* factor */
    uint64_t payload;
    bool mirrored;
} building;

static bool add_below(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    building *b = ctx;
    size_t before = b->at.len;
    (void)children;
    model_bytes_append(&b->at, key, len);
    if (val) model_set(b->out, b->at.data, b->at.len, *val, NULL);
    else model_create(b->out, b->at.data, b->at.len);
    b->at.len = before;
    return true;
}

static unsigned pick(const view *v, uint64_t payload, const uint8_t *path, size_t len, size_t factors) {
    if (factors >= 3) return v->kids;
    return (unsigned)((payload + len + (len ? path[len - 1] : 0)) % (v->kids + 1));
}

/* The next factor of a product after `b->i` of them, or NULL. */
static const model *factor_after(const building *b, uint64_t *payload) {
    if (b->v->kind == PRODUCT) return b->i < b->v->kids ? b->v->kid[b->i]->want : NULL;
    unsigned k = pick(b->v, *payload, b->at.data, b->at.len, b->i);
    *payload = *payload * 3 + k + 1;
    return k < b->v->kids ? b->v->kid[k]->want : NULL;
}

/* One location of a factor, and what follows there. Recursion is over factors. */
static bool add_product(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    building *b = ctx;
    size_t before = b->at.len;
    model_bytes_append(&b->at, key, len);
    if (val && (len || b->i == 1)) model_set(b->out, b->at.data, b->at.len, *val, NULL);
    model_create(b->out, b->at.data, b->at.len);
    uint64_t payload = b->payload, mine = payload;
    const model *next = children ? NULL : factor_after(b, &payload);
    if (next) {
        b->i++;
        b->payload = payload;
        model_each(next, add_product, b);
        b->payload = mine;
        b->i--;
    }
    b->at.len = before;
    return true;
}

/* Chooses as the view does; *out if anything. */
static bool chosen(const view *v, const uint64_t *l, const uint64_t *r, uint64_t *out) {
    pm_val made = 0;
    pm_alg g = v->choose ? v->choose(NULL, l, r, &made) : l ? PM_ALG_LEFT : PM_ALG_RIGHT;
    if (g == PM_ALG_ELEMENT) *out = made;
    if (g == PM_ALG_LEFT || g == PM_ALG_BOTH) return l ? (*out = *l, true) : false;
    if (g == PM_ALG_RIGHT) return r ? (*out = *r, true) : false;
    return g == PM_ALG_ELEMENT;
}

static bool add_chosen(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    building *b = ctx;
    uint64_t theirs, got;
    bool some = b->other && model_get(b->other, key, len, &theirs);
    const uint64_t *l = b->mirrored ? (some ? &theirs : NULL) : val, *r = b->mirrored ? val : some ? &theirs : NULL;
    (void)children;
    model_create(b->out, key, len);
    if ((l || r) && chosen(b->v, l, r, &got)) model_set(b->out, key, len, got, NULL);
    return true;
}

static model *overlay_model(const view *v) {
    building b = {model_new(), {0}, v, v->kid[1]->want, 0, 0, false};
    if (v->kid[0]->want) model_each(v->kid[0]->want, add_chosen, &b);
    b.other = v->kid[0]->want;
    b.mirrored = true;
    if (v->kid[1]->want) model_each(v->kid[1]->want, add_chosen, &b);
    return b.out;
}

/* What the expression means; NULL if it has no root. */
static model *meaning(const view *v) {
    const model *l = v->kids ? v->kid[0]->want : NULL, *r = v->kids > 1 ? v->kid[1]->want : NULL;
    building b = {NULL, {0}, v, NULL, 1, 5, false};
    if (v->kind == OVERLAY) return l || r ? overlay_model(v) : NULL;
    if (!l || (v->kind == MEET && !r)) return NULL;
    if (v->kind == MEET) return model_combine(MODEL_MEET, algebra_of(v->ops), l, r);
    if (v->kind == SUBTRACT) return r ? model_combine(MODEL_SUBTRACT, algebra_of(v->ops), l, r) : model_copy(l);
    b.out = model_new();
    if (v->kind == PREFIX) {
        model_bytes_append(&b.at, v->path, v->len);
        model_create(b.out, v->path, v->len);
        model_each(l, add_below, &b);
    } else {
        model_each(l, add_product, &b);
    }
    model_bytes_free(&b.at);
    return b.out;
}

static pm_status next_factor(void *ctx, uint64_t *payload, const uint8_t *path, size_t len, size_t factors,
                             pm_rz *next);

static pm_alg choose_randomly(void *ctx, const pm_val *l, const pm_val *r, pm_val *out) {
    (void)ctx;
    uint64_t h = (l ? *l * 3 : 1) + (r ? *r * 5 : 2);
    *out = h;
    return h % 7 == 0 ? PM_ALG_NONE : (pm_alg)(h % 5);
}

/* What leaves of an expression may share: all that say so begin as clones of one map. NULL: none do. */
static struct {
    const pm_ops *ops;
    pm_map map;
    model *want;
} stock;

static void random_change(pm_map *m, model *want, bool wide) {
    uint8_t key[8];
    size_t len = random_path(key, 6);
    if (wide && len && check_below(2)) key[0] = (uint8_t)check_below(256);
    if (check_below(5) == 0) {
        CHECK_OK(pm_create_path(m, key, len, NULL));
        model_create(want, key, len);
    } else {
        pm_val val = 1 + check_below(6);
        CHECK_OK(pm_set(m, key, len, val, NULL));
        model_set(want, key, len, val, NULL);
    }
}

/* Puts what the stock has below one place below another, too: there its nodes are met twice. */
static void repeat_below(void) {
    uint8_t from[8], to[8];
    size_t n = random_path(from, 2), len = random_path(to, 3);
    bool exists;
    pm_rz src;
    pm_wz w;
    model *below = model_subtrie(stock.want, from, n, &exists);
    if (!exists || len == 0) {
        model_free(below);
        return;
    }
    CHECK_OK(pm_rz_open_owned(&stock.map, from, n, &src));
    CHECK_OK(pm_wz_open(&stock.map, to, len, &w));
    CHECK_OK(pm_wz_graft(&w, &src));
    pm_wz_drop(&w);
    pm_rz_drop(&src);
    model_cursor c;
    model_cursor_open(&c, stock.want, to, len);
    model_cursor_graft(&c, below);
    model_cursor_close(&c);
    model_free(below);
}

static void fill_stock(const pm_ops *ops) {
    unsigned n = check_below(2) ? (unsigned)check_below(200) : (unsigned)check_below(40);
    stock.ops = ops;
    stock.map = pm_new(ops, NULL);
    stock.want = model_new();
    while (n--) random_change(&stock.map, stock.want, true);
    if (check_below(2)) repeat_below();
}

static void drop_stock(void) {
    if (!stock.ops) return;
    pm_drop(&stock.map);
    model_free(stock.want);
    stock.ops = NULL;
}

static void leaf(view *v) {
    bool exists, common = stock.ops && check_below(4);
    v->map = common ? pm_clone(&stock.map) : pm_new(v->ops, NULL);
    model *all = common ? model_copy(stock.want) : model_new();
    for (unsigned n = (unsigned)check_below(common ? 4 : 9); n; n--) random_change(&v->map, all, common);
    v->len = check_below(3) ? 0 : random_path(v->path, 2);
    v->want = model_subtrie(all, v->path, v->len, &exists);
    if (!exists) {
        model_free(v->want);
        v->want = NULL;
    }
    model_free(all);
}

static void free_view(view *v) {
    for (unsigned i = 0; i < v->kids; i++) free_view(v->kid[i]);
    pm_drop(&v->map);
    model_free(v->want);
    free(v);
}

static view *new_view(view_kind kind, const pm_ops *ops) {
    view *v = calloc(1, sizeof *v);
    CHECK(v != NULL);
    v->kind = kind;
    v->ops = ops;
    return v;
}

static bool count_end(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    (void)key;
    (void)len;
    (void)val;
    *(uint64_t *)ctx += children == 0;
    return true;
}

/* An upper bound on the locations of products. */
static uint64_t product_size(const view *v) {
    uint64_t ends = 1, size = 0;
    for (unsigned i = 0; i < v->kids; i++) {
        uint64_t e = 0;
        if (!v->kid[i]->want) continue;
        model_each(v->kid[i]->want, count_end, &e);
        size += ends * model_location_count(v->kid[i]->want);
        ends *= e > 1 ? e : 1;
    }
    return v->kind == DEPENDENT ? size * 27 : size;
}

static view *random_view(unsigned depth, const pm_ops *ops) {
    view_kind kind = depth == 0 ? OVER_MAP : (view_kind)check_below(VIEW_KINDS);
    if (kind == EMPTY && check_below(4)) kind = OVER_MAP;
    view *v = new_view(kind, ops);
    if (kind == EMPTY) return v;
    if (kind == OVER_MAP) {
        leaf(v);
        return v;
    }
    v->kids = kind == PREFIX ? 1 : kind == PRODUCT || kind == DEPENDENT ? 1 + (unsigned)check_below(KIDS) : 2;
    for (unsigned i = 0; i < v->kids; i++) v->kid[i] = random_view(depth - 1, ops);
    if (kind == PREFIX) v->len = random_path(v->path, 5);
    if (kind == OVERLAY && check_below(2)) v->choose = choose_randomly;
    if (kind == DEPENDENT && product_size(v) > TOO_LARGE) v->kind = PRODUCT;
    while (v->kids > 1 && v->kind == PRODUCT && product_size(v) > TOO_LARGE) free_view(v->kid[--v->kids]);
    v->want = meaning(v);
    return v;
}

static pm_status open_view(const view *v, pm_rz *out) {
    pm_rz kid[KIDS] = {{0}};
    pm_status s = PM_OK;
    if (v->kind == EMPTY) return pm_view_empty(NULL, 0, out);
    if (v->kind == OVER_MAP) return pm_rz_open(&v->map, v->path, v->len, out);
    for (unsigned i = 0; s == PM_OK && i < v->kids; i++) s = open_view(v->kid[i], &kid[i]);
    if (s == PM_OK) switch (v->kind) {
        case PREFIX: s = pm_view_prefix(&kid[0], v->path, v->len, NULL, 0, out); break;
        case PRODUCT: s = pm_view_product(kid, v->kids, out); break;
        case DEPENDENT: s = pm_view_dependent(&kid[0], next_factor, (void *)(uintptr_t)v, 5, out); break;
        case OVERLAY: s = pm_view_overlay(&kid[0], &kid[1], v->choose, NULL, out); break;
        case MEET: s = pm_view_meet(&kid[0], &kid[1], out); break;
        default: s = pm_view_subtract(&kid[0], &kid[1], out);
        }
    for (unsigned i = 0; i < v->kids; i++) pm_rz_drop(&kid[i]);
    return s;
}

static pm_status next_factor(void *ctx, uint64_t *payload, const uint8_t *path, size_t len, size_t factors,
                             pm_rz *next) {
    const view *v = ctx;
    unsigned k = pick(v, *payload, path, len, factors);
    *payload = *payload * 3 + k + 1;
    return k < v->kids ? open_view(v->kid[k], next) : PM_OK;
}

typedef struct world {
    view *v;
    pm_rz z;
    model_cursor c;
} world;

/* A way down from the focus that exists, nearly exists, or is made up. */
static size_t some_way(const world *g, uint8_t *out) {
    model_cursor at_focus;
    size_t n = 0;
    if (check_below(5) == 0) return random_path(out, 6);
    model_cursor_open(&at_focus, g->v->want, g->c.path.data, g->c.path.len);
    while (n + 8 < LONGEST && check_below(8)) {
        unsigned kids = model_cursor_children(&at_focus, NULL);
        if (!kids || !model_cursor_descend_index(&at_focus, check_below(kids))) break;
        n++;
    }
    model_key k = model_cursor_path(&at_focus);
    if (n) memcpy(out, k.data, n);
    model_cursor_close(&at_focus);
    if (n && check_below(6) == 0) out[n - 1] = (uint8_t)check_below(256);
    if (check_below(6) == 0) out[n++] = (uint8_t)('a' + check_below(3));
    return n;
}

/* A random view that has a root, and often its fork at some place. */
static void make_world(world *g) {
    uint8_t root[LONGEST];
    size_t n = 0;
    for (;;) {
        const pm_ops *ops = algebras[check_below(4)].ops();
        drop_stock();
        if (check_below(2)) fill_stock(ops);
        g->v = random_view(1 + (unsigned)check_below(3), ops);
        CHECK_OK(open_view(g->v, &g->z));
        CHECK_EQ(pm_rz_exists(&g->z), g->v->want != NULL);
        if (g->v->want) break;
        pm_rz_drop(&g->z);
        free_view(g->v);
    }
    model_cursor_open(&g->c, g->v->want, NULL, 0);
    if (check_below(2)) n = some_way(g, root);
    model_cursor_close(&g->c);
    model_cursor_open(&g->c, g->v->want, root, n);
    if (n == 0 && check_below(2)) return;
    pm_rz f;
    pm_rz_descend_to(&g->z, root, n);
    CHECK_OK(pm_rz_fork(&g->z, &f));
    pm_rz_drop(&g->z);
    g->z = f;
}

static void end_world(world *g) {
    pm_rz_drop(&g->z);
    model_cursor_close(&g->c);
    free_view(g->v);
    drop_stock();
}

static void check_focus(world *g) {
    model_key want = model_cursor_path(&g->c);
    size_t len;
    const uint8_t *path = pm_rz_path(&g->z, &len);
    uint8_t bytes[256];
    uint64_t val = 0, n = 0;
    CHECK_MEM_EQ(path, len, want.data, want.len);
    if (check_below(2)) CHECK_EQ(pm_rz_exists(&g->z), model_cursor_exists(&g->c));
    CHECK_EQ(pm_rz_at_root(&g->z), model_cursor_at_root(&g->c));
    const pm_val *v = pm_rz_val(&g->z);
    CHECK_EQ(v != NULL, model_cursor_val(&g->c, &val));
    if (v) CHECK_EQ(*v, val);
    if (check_below(4) == 0) {
        pm_mask mask = pm_rz_child_mask(&g->z), kids = pm_mask_of(bytes, model_cursor_children(&g->c, bytes));
        CHECK(pm_mask_equal(&mask, &kids));
    }
    if (check_below(16)) return;
    CHECK_OK(pm_rz_val_count(&g->z, &n));
    CHECK_EQ(n, model_cursor_val_count(&g->c));
}

static void down(world *g) {
    uint8_t p[LONGEST];
    size_t n = some_way(g, p);
    pm_rz *z = &g->z;
    model_cursor *c = &g->c;
    switch (check_below(6)) {
    case 0: CHECK_EQ(pm_rz_move_to(z, p, n), model_cursor_move_to(c, p, n)); break;
    case 1:
        pm_rz_descend_to(z, p, n);
        model_cursor_descend(c, p, n);
        break;
    case 2:
        model_cursor_descend(c, p, n);
        CHECK_EQ(pm_rz_descend_to_check(z, p, n), model_cursor_exists(c));
        break;
    case 3: CHECK_EQ(pm_rz_descend_to_existing(z, p, n), model_cursor_descend_existing(c, p, n, false)); break;
    case 4: CHECK_EQ(pm_rz_descend_to_val(z, p, n), model_cursor_descend_existing(c, p, n, true)); break;
    default:
        if (!n) p[0] = 'b';
        if (check_below(2)) {
            CHECK_EQ(pm_rz_descend_to_existing_byte(z, p[0]), model_cursor_descend_byte(c, p[0]));
        } else {
            pm_rz_descend_to_byte(z, p[0]);
            model_cursor_descend(c, p, 1);
        }
    }
}

static void go(world *g) {
    pm_rz *z = &g->z;
    model_cursor *c = &g->c;
    size_t k = check_below(5);
    switch (check_below(20)) {
    case 0: CHECK_EQ(pm_rz_descend_first_byte(z), model_cursor_descend_index(c, 0)); break;
    case 1: CHECK_EQ(pm_rz_descend_last_byte(z), model_cursor_descend_last(c)); break;
    case 2: CHECK_EQ(pm_rz_descend_indexed_byte(z, (unsigned)k), model_cursor_descend_index(c, k)); break;
    case 3: CHECK_EQ(pm_rz_descend_until(z), model_cursor_descend_until(c, UINT64_MAX)); break;
    case 4: CHECK_EQ(pm_rz_descend_until_max(z, k), model_cursor_descend_until(c, k)); break;
    case 5: CHECK_EQ(pm_rz_descend_last_path(z), model_cursor_last_path(c)); break;
    case 6: CHECK_EQ(pm_rz_ascend(z, k), model_cursor_ascend(c, k)); break;
    case 7: CHECK_EQ(pm_rz_ascend_until(z), model_cursor_ascend_until(c, true)); break;
    case 8: CHECK_EQ(pm_rz_ascend_until_branch(z), model_cursor_ascend_until(c, false)); break;
    case 9: CHECK_EQ(pm_rz_to_next_sibling(z), model_cursor_sibling(c, true)); break;
    case 10: CHECK_EQ(pm_rz_to_prev_sibling(z), model_cursor_sibling(c, false)); break;
    case 11: CHECK_EQ(pm_rz_to_next_step(z), model_cursor_next_step(c)); break;
    case 12: CHECK_EQ(pm_rz_descend_first_k_path(z, k), model_cursor_first_k(c, k)); break;
    case 13: CHECK_EQ(pm_rz_to_next_k_path(z, k), model_cursor_next_k(c, k)); break;
    case 14:
        pm_rz_reset(z);
        model_cursor_reset(c);
        break;
    case 15:
    case 16: CHECK_EQ(pm_rz_to_next_val(z), model_cursor_next_val(c)); break;
    default: down(g);
    }
}

static void go_in_order(world *g) {
    pm_rz *z = &g->z;
    model_cursor *c = &g->c;
    uint8_t p[LONGEST];
    pm_rel rel = (pm_rel)check_below(4);
    switch (check_below(7)) {
    case 0:
    case 1: CHECK_EQ(pm_rz_to_prev_val(z), model_cursor_prev_val(c)); break;
    case 2:
    case 3: CHECK_EQ(pm_rz_to_prev_step(z), model_cursor_prev_step(c)); break;
    case 4: CHECK_EQ(pm_rz_to_first_val(z), model_cursor_seek(c, true, true, "", 0)); break;
    case 5: {
        memset(p, 255, sizeof p); /* no path of these tests comes behind it */
        bool found = model_cursor_seek(c, false, true, p, sizeof p);
        CHECK_EQ(pm_rz_to_last_val(z), found);
        break;
    }
    default: {
        model_cursor_reset(c);
        size_t n = some_way(g, p);
        if (check_below(2)) pm_rz_reset(z);
        bool found = model_cursor_seek(c, rel >= PM_GE, rel == PM_GE || rel == PM_LE, p, n);
        CHECK_EQ(pm_rz_seek(z, rel, p, n), found);
    }
    }
}

TEST(views_walk_as_the_model_does) {
    for (unsigned i = 0; i < 600; i++) {
        world g;
        make_world(&g);
        for (unsigned k = 0; k < 80; k++) {
            if (check_below(3)) go(&g);
            else go_in_order(&g);
            check_focus(&g);
            CHECK_OK(pm_rz_status(&g.z));
        }
        end_world(&g);
    }
}

TEST(views_step_through_everything_as_the_model_does) {
    for (unsigned i = 0; i < 300; i++) {
        world g;
        bool more = true, vals = check_below(2);
        make_world(&g);
        if (check_below(2)) down(&g);
        for (unsigned n = 0; more && n < 500; n++) {
            bool want = vals ? model_cursor_next_val(&g.c) : model_cursor_next_step(&g.c);
            more = vals ? pm_rz_to_next_val(&g.z) : pm_rz_to_next_step(&g.z);
            CHECK_EQ(more, want);
            check_focus(&g);
        }
        end_world(&g);
    }
}

TEST(views_step_back_through_everything_as_the_model_does) {
    for (unsigned i = 0; i < 300; i++) {
        world g;
        bool vals = check_below(2);
        make_world(&g);
        CHECK_EQ(pm_rz_descend_last_path(&g.z), model_cursor_last_path(&g.c));
        if (check_below(2)) down(&g);
        bool more = true;
        for (unsigned n = 0; more && n < 500; n++) {
            more = vals ? model_cursor_prev_val(&g.c) : model_cursor_prev_step(&g.c);
            CHECK_EQ(vals ? pm_rz_to_prev_val(&g.z) : pm_rz_to_prev_step(&g.z), more);
            if (check_below(4) == 0) check_focus(&g);
        }
        check_focus(&g);
        end_world(&g);
    }
}

/* Whether a key lies within the bounds of an iterator: a prefix, or from..to; and after another key. */
typedef struct bounds {
    int kind; /* 0: none; 1: prefix; 2: range */
    uint8_t from[LONGEST], to[LONGEST], past[LONGEST];
    size_t from_len, to_len, past_len;
    bool start, end, after;
} bounds;

static int order_of(const uint8_t *a, size_t n, const uint8_t *b, size_t m) {
    int c = memcmp(a, b, n < m ? n : m);
    return c ? c : (n > m) - (n < m);
}

static bool is_within(const bounds *b, model_key k) {
    static const uint8_t none[1] = {0};
    const uint8_t *s = k.len ? k.data : none;
    if (b->after && order_of(s, k.len, b->past, b->past_len) <= 0) return false;
    if (b->kind == 1) return k.len >= b->from_len && memcmp(s, b->from, b->from_len) == 0;
    if (b->start && order_of(s, k.len, b->from, b->from_len) < 0) return false;
    return !b->end || order_of(s, k.len, b->to, b->to_len) < 0;
}

static pm_iter bounded(const world *g, bounds *b) {
    pm_iter i = pm_iter_vals_of_rz(&g->z);
    memset(b, 0, sizeof *b);
    b->kind = (int)check_below(3);
    b->from_len = some_way(g, b->from), b->to_len = some_way(g, b->to), b->past_len = some_way(g, b->past);
    b->start = b->kind == 2 && check_below(4), b->end = b->kind == 2 && check_below(4);
    b->after = check_below(3) == 0;
    if (b->kind == 1) i = pm_iter_prefix(i, b->from, b->from_len);
    if (b->kind == 2)
        i = pm_iter_range(i, b->start ? b->from : NULL, b->start ? b->from_len : 0, b->end ? b->to : NULL,
                          b->end ? b->to_len : 0);
    return b->after ? pm_iter_after(i, b->past, b->past_len) : i;
}

/* Steps of an iterator in both directions, beside a cursor of the model that passes what is out of bounds. */
TEST(iterators_within_bounds_agree_with_the_model) {
    for (unsigned i = 0; i < 1500; i++) {
        world g;
        bounds b;
        make_world(&g);
        pm_rz_reset(&g.z);
        model_cursor_reset(&g.c);
        pm_iter it = bounded(&g, &b);
        bool back = check_below(2), fresh = true, more = true;
        uint8_t last[LONGEST];
        memset(last, 255, sizeof last);
        for (unsigned n = 0; more && n < 200; n++, fresh = false) {
            if (!fresh && check_below(8) == 0) back = !back;
            do {
                if (fresh && back) more = model_cursor_seek(&g.c, false, true, last, sizeof last);
                else if (fresh) more = model_cursor_seek(&g.c, true, true, "", 0);
                else if (!back) more = model_cursor_next_val(&g.c);
                else {
                    bool root = model_cursor_at_root(&g.c);
                    more = model_cursor_prev_val(&g.c) || (!root && model_cursor_val(&g.c, NULL));
                }
                fresh = false;
            } while (more && !is_within(&b, model_cursor_path(&g.c)));
            CHECK_EQ(back ? pm_iter_prev(&it) : pm_iter_next(&it), more);
            if (!more) break;
            model_key want = model_cursor_path(&g.c);
            uint64_t val = 0;
            CHECK_MEM_EQ(it.key, it.len, want.data, want.len);
            CHECK(model_cursor_val(&g.c, &val) && it.val && *it.val == val);
        }
        CHECK_OK(pm_iter_status(&it));
        CHECK(more || (!pm_iter_next(&it) && !pm_iter_prev(&it)));
        pm_iter_drop(&it);
        end_world(&g);
    }
}

static bool add_to_map(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    (void)children;
    if (val) CHECK_OK(pm_set(ctx, key, len, *val, NULL));
    else CHECK_OK(pm_create_path(ctx, key, len, NULL));
    return true;
}

/* What lies at and below the focus, as a map. */
static pm_map wanted_map(const world *g, pm_pool *pool) {
    model *sub = model_subtrie(g->v->want, g->c.path.data, g->c.path.len, NULL);
    pm_map m = pm_new(g->v->ops, pool);
    model_each(sub, add_to_map, &m);
    model_free(sub);
    return m;
}

TEST(views_become_maps) {
    pm_pool *other;
    CHECK_OK(pm_pool_new(NULL, &other));
    for (unsigned i = 0; i < 500; i++) {
        world g;
        make_world(&g);
        down(&g);
        for (unsigned k = 0; k < 2; k++) { /* in the maps' own pool meets and subtractions share, elsewhere they copy */
            pm_pool *pool = k ? other : NULL;
            pm_map want = wanted_map(&g, pool), got;
            bool equal = false;
            CHECK_OK(pm_rz_make_map_in(&g.z, g.v->ops, pool, &got));
            CHECK_OK(pm_check(&got, NULL));
            CHECK_OK(pm_equal(&want, &got, &equal));
            CHECK(equal);
            check_focus(&g);
            pm_drop(&got);
            pm_drop(&want);
        }
        end_world(&g);
    }
    CHECK_OK(pm_pool_free(other));
}

/* A result that everything a fold shows has a part in. */
static uint64_t mixed(uint64_t h, uint64_t x) { return (h ^ x) * 0x9e3779b97f4a7c15u + (h >> 29); }

static int mix_all(void *ctx, const pm_fold_at *here, void *out) {
    uint64_t h = here->n, *calls = ctx;
    for (unsigned i = 0; i < 4; i++) h = mixed(h, here->mask->w[i]);
    for (unsigned i = 0; i < here->n; i++) h = mixed(h, ((const uint64_t *)here->results)[i]);
    h = mixed(h, here->val ? *here->val + 1 : 0);
    for (size_t i = 0; i < here->jump_len; i++) h = mixed(h, here->jump[i] + 1u);
    for (size_t i = 0; here->path && i < here->len; i++) h = mixed(h, here->path[i] + 7u);
    *(uint64_t *)out = h;
    ++*calls;
    return PM_OK;
}

static int stop_soon(void *ctx, const pm_fold_at *here, void *out) {
    uint64_t *calls = ctx;
    (void)here;
    *(uint64_t *)out = 0;
    return ++*calls < 2 ? PM_OK : 77;
}

TEST(views_are_folded_as_their_maps) {
    for (unsigned i = 0; i < 400; i++) {
        world g;
        make_world(&g);
        down(&g);
        pm_map m = wanted_map(&g, NULL);
        for (unsigned flags = 0; flags < 4; flags++) {
            uint64_t calls = 0, want_calls = 0, got = 1, want = 2;
            pm_fold f = {.size = sizeof got, .flags = flags, .ctx = &want_calls, .at = mix_all};
            CHECK_EQ(pm_fold_map(&m, &f, &want), PM_OK);
            f.ctx = &calls;
            CHECK_EQ(pm_fold_rz(&g.z, &f, &got), PM_OK);
            CHECK_EQ(got, want);
            if (!(flags & PM_FOLD_CACHED)) CHECK_EQ(calls, want_calls);
            check_focus(&g);
            calls = 0;
            f.at = stop_soon;
            CHECK_EQ(pm_fold_rz(&g.z, &f, &got), want_calls > 1 ? 77 : PM_OK);
            check_focus(&g);
        }
        pm_drop(&m);
        end_world(&g);
    }
}

/* A writer meets and unites with what a view was made into. */
TEST(views_are_sources_of_algebra) {
    for (unsigned i = 0; i < 150; i++) {
        world g;
        make_world(&g);
        down(&g);
        pm_map m = wanted_map(&g, NULL), t = pm_new(g.v->ops, NULL), want;
        pm_rz r;
        pm_wz w;
        bool equal = false;
        put(&t, "a", 3);
        put(&t, "bc", 4);
        CHECK_OK(i % 2 ? pm_join(&t, &m, &want, NULL) : pm_meet(&t, &m, &want, NULL));
        pm_map made;
        CHECK_OK(pm_rz_make_map_in(&g.z, g.v->ops, NULL, &made));
        CHECK_OK(pm_rz_open(&made, NULL, 0, &r));
        CHECK_OK(pm_wz_open(&t, NULL, 0, &w));
        CHECK_OK(i % 2 ? pm_wz_join(&w, &r, NULL) : pm_wz_meet(&w, &r, PM_KEEP, NULL));
        CHECK_OK(pm_wz_drop(&w));
        pm_rz_drop(&r);
        pm_drop(&made);
        CHECK_OK(pm_equal(&t, &want, &equal));
        CHECK(equal);
        check_focus(&g);
        pm_drop(&want);
        pm_drop(&t);
        pm_drop(&m);
        end_world(&g);
    }
}

/* Opens, moves, forks and copies a view; the first failure. */
static pm_status use_view(const view *v, const uint8_t *way, size_t n, pm_map *out) {
    pm_rz z, f;
    pm_status s = open_view(v, &z);
    if (s != PM_OK) return s;
    pm_rz_descend_to(&z, way, n);
    if ((s = pm_rz_status(&z)) == PM_OK) {
        CHECK_EQ(pm_rz_at_root(&z), n == 0);
        bool moved = pm_rz_to_next_step(&z);
        CHECK_EQ(moved, !pm_rz_at_root(&z));
        (void)pm_rz_to_next_k_path(&z, 2);
        (void)pm_rz_to_next_sibling(&z);
        (void)pm_rz_to_last_val(&z);
        for (int i = 0; i < 5 && pm_rz_to_prev_val(&z); i++) continue;
        (void)pm_rz_seek(&z, PM_LT, way, n);
        for (int i = 0; i < 5 && pm_rz_to_prev_step(&z); i++) continue;
        s = pm_rz_status(&z);
    }
    pm_rz_reset(&z);
    CHECK(pm_rz_at_root(&z));
    pm_status forked = pm_rz_fork(&z, &f);
    pm_rz_drop(&z);
    if (forked != PM_OK) return forked;
    uint64_t calls = 0, folded = 0;
    pm_fold fold = {.size = sizeof folded, .ctx = &calls, .at = mix_all};
    int f_status = pm_fold_rz(&f, &fold, &folded);
    pm_status made = f_status == PM_OK ? pm_rz_make_map_in(&f, v->ops, NULL, out) : (pm_status)f_status;
    pm_rz_drop(&f);
    if (s != PM_OK && made == PM_OK) pm_drop(out);
    return s != PM_OK ? s : made;
}

TEST(views_fail_whole_without_memory) {
    for (unsigned i = 0; i < 60; i++) {
        world g;
        uint8_t way[LONGEST];
        make_world(&g);
        model_cursor_close(&g.c);
        model_cursor_open(&g.c, g.v->want, NULL, 0);
        size_t n = some_way(&g, way);
        pm_map want = wanted_map(&g, NULL), got;
        uint64_t blocks = check_live_blocks();
        for (uint64_t fail = 1;; fail++) {
            bool equal = false;
            if (i % 2) check_fail_allocs_from(fail);
            else check_fail_alloc(fail);
            pm_status s = use_view(g.v, way, n, &got);
            bool failed = check_alloc_fails() != 0;
            check_fail_alloc(0);
            CHECK(s == PM_OK || (failed && s == PM_NOMEM)); /* some memory is only wanted, not needed */
            if (s == PM_OK) {
                CHECK_OK(pm_equal(&want, &got, &equal));
                CHECK(equal);
                pm_drop(&got);
            }
            if (!failed) break;
            if (fail > 60) fail += check_below(fail / 4);
        }
        pm_pool_trim(NULL);
        CHECK(check_live_blocks() <= blocks + 2);
        pm_drop(&want);
        end_world(&g);
    }
}

/* A factor of its own is what any zipper but a product is, wherever it stands. */
TEST(views_of_other_kinds_have_one_factor) {
    pm_map a = pm_new(NULL, NULL), b = pm_new(NULL, NULL);
    pm_rz x, y, z[4];
    size_t index = 77;
    CHECK_OK(pm_set(&a, "abc", 3, 1, NULL));
    CHECK_OK(pm_set(&b, "abd", 3, 2, NULL));
    CHECK_OK(pm_rz_open(&a, NULL, 0, &x));
    CHECK_OK(pm_rz_open(&b, NULL, 0, &y));
    CHECK_OK(pm_rz_fork(&x, &z[0]));
    CHECK_OK(pm_view_overlay(&x, &y, NULL, NULL, &z[1]));
    CHECK_OK(pm_view_prefix(&x, "p", 1, NULL, 0, &z[2]));
    CHECK_OK(pm_view_subtract(&x, &y, &z[3]));
    for (unsigned i = 0; i < 4; i++) {
        do {
            CHECK_EQ(pm_view_factor_count(&z[i]), 1);
            CHECK_EQ(pm_view_focus_factor(&z[i]), 0);
            CHECK_EQ(pm_view_path_indices(&z[i], 1, &index), 0);
        } while (pm_rz_to_next_step(&z[i]));
        CHECK_EQ(index, 77);
        pm_rz_drop(&z[i]);
    }
    pm_rz_drop(&x);
    pm_rz_drop(&y);
    pm_drop(&a);
    pm_drop(&b);
}
