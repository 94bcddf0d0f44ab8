/* Write zippers: each call by hand, and long random runs in which the naive model and a library writer do the same,
   every allocation of a write failing once before it succeeds. */
#include "check.h"
#include "model.h"

#ifndef PM_POOL
#define PM_POOL 0 /* every node an allocation of its own: each can be made to fail */
#endif
#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#include "../pathmap.h"

#include "counted.h"

/* ---- comparing ---- */

typedef struct pair_walk {
    pm_iter i;
    bool same;
} pair_walk;

static bool visit_pair(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    pair_walk *p = ctx;
    (void)children;
    p->same = pm_iter_next(&p->i) && p->i.len == len && (len == 0 || memcmp(p->i.key, key, len) == 0) &&
              (val != NULL) == (p->i.val != NULL) && (!val || *val == *p->i.val);
    return p->same;
}

/* The same locations with the same values. */
static bool is_same(const pm_map *m, const model *want) {
    pair_walk p = {pm_iter_paths(m), true};
    model_each(want, visit_pair, &p);
    bool same = p.same && !pm_iter_next(&p.i) && pm_iter_status(&p.i) == PM_OK;
    pm_iter_drop(&p.i);
    return same;
}

static void check_map(const pm_map *m, const model *want) {
    const char *why = "";
    CHECK(is_same(m, want));
    CHECK_NOTE(pm_check(m, &why) == PM_OK, "%s", why);
}

/* The two cursors stand at the same place and see the same there. */
static void check_focus(pm_wz *w, const model_cursor *c) {
    pm_rz *z = pm_wz_cursor(w);
    model_key want = model_cursor_path(c);
    size_t len;
    const uint8_t *path = pm_rz_path(z, &len);
    uint8_t bytes[256];
    uint64_t val = 0;
    CHECK_OK(pm_rz_status(z));
    CHECK_MEM_EQ(path, len, want.data, want.len);
    CHECK_EQ(pm_rz_exists(z), model_cursor_exists(c));
    CHECK_EQ(pm_rz_is_val(z), model_cursor_val(c, &val));
    if (pm_rz_is_val(z)) CHECK_EQ(*pm_rz_val(z), val);
    pm_mask mask = pm_rz_child_mask(z), kids = pm_mask_of(bytes, model_cursor_children(c, bytes));
    CHECK(pm_mask_equal(&mask, &kids));
}

/* ---- writing maps down ---- */

/* Sets `key` in a map, a value of one digit. */
static void put(pm_map *m, const char *key, pm_val v) { CHECK_OK(pm_set(m, key, strlen(key), v, NULL)); }

/* "key=value,key!": the values and dangling leaves of a map with printable keys, in order. */
static const char *listed(const pm_map *m) {
    static char text[2][512];
    static unsigned turn;
    char *at = text[turn ^= 1];
    pm_iter i = pm_iter_paths(m);
    *at = 0;
    while (pm_iter_next(&i)) {
        pm_ref r = pm_ref_of_map(m, i.key, i.len);
        bool leaf = i.len && !i.val && pm_ref_child_count(&r) == 0;
        if (!i.val && !leaf) continue;
        at += sprintf(at, "%s%.*s", at == text[turn] ? "" : ",", (int)i.len, (const char *)i.key);
        at += i.val ? sprintf(at, "=%d", (int)*i.val) : sprintf(at, "!");
    }
    pm_iter_drop(&i);
    return text[turn];
}

static void open_at(pm_wz *w, pm_map *m, const char *root, const char *path) {
    CHECK_OK(pm_wz_open(m, root, strlen(root), w));
    pm_rz_descend_to(pm_wz_cursor(w), path, strlen(path));
}

static pm_map letters(void) {
    pm_map m = pm_new(NULL, NULL);
    put(&m, "", 0);
    put(&m, "ab", 1);
    put(&m, "abc", 2);
    put(&m, "abd", 3);
    put(&m, "x", 4);
    return m;
}

/* ---- by hand ---- */

TEST(writer_zero_and_closed_are_harmless) {
    pm_wz w;
    memset(&w, 0, sizeof w);
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(pm_wz_drop(NULL));
}

TEST(writer_opening_and_moving_change_nothing) {
    pm_map m = letters(), before = pm_clone(&m);
    pm_wz w;
    open_at(&w, &m, "no/such", "place");
    CHECK(!pm_rz_exists(pm_wz_cursor(&w)));
    pm_rz_reset(pm_wz_cursor(&w));
    CHECK(!pm_rz_to_next_val(pm_wz_cursor(&w)));
    CHECK_OK(pm_wz_drop(&w));
    open_at(&w, &m, "", "");
    while (pm_rz_to_next_step(pm_wz_cursor(&w))) continue;
    CHECK_OK(pm_wz_drop(&w));
    CHECK_EQ(m.root, before.root);
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,x=4");
    pm_drop(&before);
    pm_drop(&m);
}

TEST(writer_set_tells_what_was_there) {
    pm_map m = letters();
    pm_wz w;
    pm_opt old = {7, true};
    open_at(&w, &m, "", "ab");
    CHECK_OK(pm_wz_set(&w, 9, &old));
    CHECK(old.some && old.val == 1);
    CHECK_OK(pm_wz_set(&w, 8, NULL));
    pm_rz_descend_to(pm_wz_cursor(&w), "zz", 2);
    CHECK_OK(pm_wz_set(&w, 5, &old));
    CHECK(!old.some);
    pm_rz_reset(pm_wz_cursor(&w));
    CHECK_OK(pm_wz_set(&w, 6, &old));
    CHECK(old.some && old.val == 0);
    CHECK_OK(pm_wz_drop(&w));
    CHECK_STR_EQ(listed(&m), "=6,ab=8,abc=2,abd=3,abzz=5,x=4");
    pm_drop(&m);
}

TEST(writer_overwrites_in_place_but_not_in_a_clone) {
    pm_map m = letters();
    pm_wz w;
    pm_val *a = NULL, *b = NULL;
    open_at(&w, &m, "", "abc");
    CHECK_OK(pm_wz_get_mut(&w, &a));
    CHECK_OK(pm_wz_set(&w, 7, NULL));
    CHECK_OK(pm_wz_get_mut(&w, &b));
    CHECK(a && a == b && *a == 7);
    pm_map clone = pm_clone(&m);
    CHECK_OK(pm_wz_get_mut(&w, &b));
    CHECK(b && a != b);
    *b = 8;
    CHECK_EQ(*pm_rz_val(pm_wz_cursor(&w)), 8);
    pm_map third = pm_clone(&m);
    (void)pm_wz_cursor(&w);
    CHECK_OK(pm_wz_set(&w, 9, NULL));
    CHECK_OK(pm_wz_drop(&w));
    CHECK_STR_EQ(listed(&clone), "=0,ab=1,abc=7,abd=3,x=4");
    CHECK_STR_EQ(listed(&third), "=0,ab=1,abc=8,abd=3,x=4");
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=9,abd=3,x=4");
    pm_drop(&clone);
    pm_drop(&third);
    pm_drop(&m);
}

/* A wide node shares its blocks of children with its copies: the way through a block counts as well. */
TEST(writer_overwrites_below_shared_blocks) {
    pm_map m = pm_new(NULL, NULL);
    for (unsigned i = 0; i < 256; i++)
        for (unsigned j = 0; j < 3; j++) {
            uint8_t key[3] = {(uint8_t)i, (uint8_t)j, 1};
            CHECK_OK(pm_set(&m, key, 3, i, NULL));
        }
    pm_map before = pm_clone(&m);
    const uint8_t a[3] = {7, 1, 1}, b[3] = {200, 2, 1};
    CHECK_OK(pm_set(&m, a, 3, 1000, NULL)); /* the wide node is m's alone now, the block of 200 is not */
    pm_wz w;
    CHECK_OK(pm_wz_open(&m, b, 3, &w));
    CHECK_OK(pm_wz_set(&w, 2000, NULL));
    CHECK_EQ(*pm_rz_val(pm_wz_cursor(&w)), 2000);
    CHECK_OK(pm_wz_drop(&w));
    CHECK_EQ(*pm_get(&before, b, 3), 200);
    CHECK_EQ(*pm_get(&before, a, 3), 7);
    CHECK_EQ(*pm_get(&m, b, 3), 2000);
    pm_drop(&before);
    pm_drop(&m);
}

static pm_status make_five(void *ctx, pm_val *val) {
    ++*(int *)ctx;
    *val = 5;
    return PM_OK;
}

static pm_status make_nothing(void *ctx, pm_val *val) {
    (void)ctx;
    (void)val;
    return PM_IO;
}

TEST(writer_get_or_set_makes_only_what_is_missing) {
    pm_map m = letters();
    pm_wz w;
    pm_val *slot = NULL;
    bool inserted = false;
    int made = 0;
    open_at(&w, &m, "a", "b");
    CHECK_OK(pm_wz_get_or_set(&w, 9, &slot, &inserted));
    CHECK(!inserted && *slot == 1);
    CHECK_OK(pm_wz_get_or_set_with(&w, make_five, &made, NULL, NULL));
    CHECK_EQ(made, 0);
    pm_rz_descend_to_byte(pm_wz_cursor(&w), 'e');
    CHECK_OK(pm_wz_get_mut(&w, &slot));
    CHECK_PTR_EQ(slot, NULL);
    CHECK_EQ(pm_wz_get_or_set_with(&w, make_nothing, NULL, &slot, &inserted), PM_IO);
    CHECK(!pm_rz_exists(pm_wz_cursor(&w)));
    CHECK_OK(pm_wz_get_or_set_with(&w, make_five, &made, &slot, &inserted));
    CHECK(inserted && made == 1 && *slot == 5);
    *slot = 6;
    CHECK_EQ(pm_wz_status(&w), PM_IO);
    CHECK_EQ(pm_wz_drop(&w), PM_IO);
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,abe=6,x=4");
    pm_drop(&m);
}

TEST(writer_unit_maps_store_no_payload) {
    pm_map m = pm_new(pm_ops_unit(), NULL);
    pm_wz w;
    pm_val *slot = (pm_val *)(uintptr_t)1;
    pm_opt old;
    open_at(&w, &m, "", "ab");
    CHECK_OK(pm_wz_set(&w, 5, NULL));
    CHECK_EQ(*pm_rz_val(pm_wz_cursor(&w)), 0);
    CHECK_OK(pm_wz_set(&w, 6, &old));
    CHECK(old.some && old.val == 0);
    CHECK_OK(pm_wz_get_mut(&w, &slot));
    CHECK_PTR_EQ(slot, NULL);
    CHECK_OK(pm_wz_remove(&w, PM_PRUNE, NULL));
    CHECK_OK(pm_wz_drop(&w));
    CHECK(pm_is_empty(&m));
}

TEST(writer_makes_a_missing_root_and_prunes_down_to_it) {
    pm_map m = pm_new(NULL, NULL);
    pm_wz w;
    bool made = false;
    size_t gone = 0;
    open_at(&w, &m, "ro", "ot");
    CHECK_OK(pm_wz_set(&w, 1, NULL));
    CHECK_OK(pm_wz_remove(&w, PM_PRUNE, NULL));
    CHECK_STR_EQ(listed(&m), "ro!");
    size_t len;
    pm_rz_path(pm_wz_cursor(&w), &len);
    CHECK_EQ(len, 2);
    CHECK_OK(pm_wz_create_path(&w, &made));
    CHECK(made);
    CHECK_OK(pm_wz_create_path(&w, &made));
    CHECK(!made);
    CHECK_OK(pm_wz_prune_path(&w, &gone));
    CHECK_EQ(gone, 2);
    CHECK(!pm_rz_exists(pm_wz_cursor(&w)));
    CHECK_OK(pm_wz_prune_path(&w, &gone));
    CHECK_EQ(gone, 0);
    CHECK_OK(pm_wz_create_path(&w, NULL));
    CHECK_OK(pm_wz_prune_ascend(&w, &gone));
    CHECK_EQ(gone, 2);
    CHECK(pm_rz_at_root(pm_wz_cursor(&w)) && pm_rz_exists(pm_wz_cursor(&w)));
    CHECK_OK(pm_wz_prune_ascend(&w, NULL));
    CHECK_OK(pm_wz_remove(&w, PM_PRUNE, NULL));
    CHECK_OK(pm_wz_remove_branches(&w, PM_PRUNE, NULL));
    CHECK_OK(pm_wz_drop(&w));
    CHECK_STR_EQ(listed(&m), "ro!");
    pm_drop(&m);
}

TEST(writer_prune_stops_at_values_and_forks) {
    pm_map m = letters();
    pm_wz w;
    bool removed = false;
    open_at(&w, &m, "", "abcdef");
    CHECK_OK(pm_wz_set(&w, 5, NULL));
    CHECK_OK(pm_wz_remove(&w, PM_PRUNE, NULL));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,x=4");
    pm_rz_move_to(pm_wz_cursor(&w), "ab", 2);
    CHECK_OK(pm_wz_remove_branches(&w, PM_PRUNE, &removed));
    CHECK(removed);
    CHECK_OK(pm_wz_remove_branches(&w, PM_PRUNE, &removed));
    CHECK(!removed);
    CHECK_STR_EQ(listed(&m), "=0,ab=1,x=4");
    CHECK_OK(pm_wz_remove(&w, PM_KEEP, NULL));
    CHECK_STR_EQ(listed(&m), "=0,ab!,x=4");
    CHECK_OK(pm_wz_drop(&w));
    pm_drop(&m);
}

TEST(writer_graft_replaces_branches_and_value) {
    pm_map m = letters(), src = letters();
    pm_wz w;
    pm_rz z;
    CHECK_OK(pm_rz_open(&src, "a", 1, &z));
    open_at(&w, &m, "", "x");
    CHECK_OK(pm_wz_graft_at(&w, &z, "b", 1));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,x=1,xc=2,xd=3");
    CHECK_OK(pm_wz_graft(&w, &z));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,xb=1,xbc=2,xbd=3");
    CHECK_OK(pm_wz_graft_at(&w, &z, "nowhere", 7));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,x!");
    pm_rz_move_to(pm_wz_cursor(&w), "new", 3);
    CHECK_OK(pm_wz_graft_at(&w, &z, "nowhere", 7));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,new!,x!");
    CHECK_OK(pm_wz_graft_map(&w, &src));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,new=0,newab=1,newabc=2,newabd=3,newx=4,x!");
    pm_rz_drop(&z);
    pm_rz_reset(pm_wz_cursor(&w));
    CHECK_OK(pm_wz_graft_map_move(&w, &src));
    CHECK(pm_is_empty(&src));
    CHECK_OK(pm_wz_drop(&w));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,x=4");
    pm_drop(&m);
}

TEST(writer_graft_takes_from_itself) {
    pm_map m = letters();
    pm_wz w;
    pm_rz above;
    open_at(&w, &m, "", "ab");
    CHECK_OK(pm_wz_graft(&w, pm_wz_cursor(&w)));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,x=4");
    CHECK_OK(pm_rz_open(&m, "", 0, &above));
    CHECK_OK(pm_wz_graft_at(&w, &above, "a", 1));
    pm_rz_drop(&above);
    CHECK_STR_EQ(listed(&m), "=0,abb=1,abbc=2,abbd=3,x=4");
    pm_rz_move_to(pm_wz_cursor(&w), "x", 1);
    CHECK_OK(pm_wz_graft_map(&w, &m));
    CHECK_STR_EQ(listed(&m), "=0,abb=1,abbc=2,abbd=3,x=0,xabb=1,xabbc=2,xabbd=3,xx=4");
    pm_rz_move_to(pm_wz_cursor(&w), "xab", 3);
    CHECK_OK(pm_wz_graft_map_move(&w, &m));
    CHECK_STR_EQ(listed(&m), "xab=0,xababb=1,xababbc=2,xababbd=3,xabx=0,xabxabb=1,xabxabbc=2,xabxabbd=3,xabxx=4");
    CHECK_OK(pm_check(&m, NULL));
    CHECK_OK(pm_wz_drop(&w));
    pm_drop(&m);
}

TEST(writer_refuses_other_value_operations) {
    pm_map m = letters(), other = pm_new(pm_ops_sum(), NULL);
    pm_wz w;
    pm_rz z;
    put(&other, "q", 1);
    CHECK_OK(pm_rz_open(&other, "", 0, &z));
    pm_mask mask = pm_mask_of("q", 1);
    open_at(&w, &m, "", "ab");
    CHECK_EQ(pm_wz_graft(&w, &z), PM_MISMATCH);
    CHECK_EQ(pm_wz_graft_at(&w, &z, "q", 1), PM_MISMATCH);
    CHECK_EQ(pm_wz_graft_map(&w, &other), PM_MISMATCH);
    CHECK_EQ(pm_wz_graft_map_move(&w, &other), PM_MISMATCH);
    CHECK_EQ(pm_wz_graft_masked(&w, &z, &mask, PM_CLEAR_OTHERS), PM_MISMATCH);
    CHECK_EQ(pm_wz_graft_children(&w, &mask, &other, 1, PM_CLEAR_OTHERS), PM_MISMATCH);
    CHECK_EQ(pm_wz_status(&w), PM_MISMATCH);
    CHECK_EQ(pm_wz_drop(&w), PM_MISMATCH);
    CHECK_STR_EQ(listed(&other), "q=1");
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,x=4");
    pm_rz_drop(&z);
    pm_drop(&other);
    pm_drop(&m);
}

TEST(writer_graft_masked_replaces_named_children) {
    pm_map m = letters(), src = pm_new(NULL, NULL);
    pm_wz w;
    pm_rz z;
    put(&src, "", 9);
    put(&src, "a", 5);
    put(&src, "cc", 6);
    CHECK_OK(pm_rz_open(&src, "", 0, &z));
    pm_mask mask = pm_mask_of("acd", 3), none = pm_mask_of("", 0);
    open_at(&w, &m, "", "ab");
    CHECK_OK(pm_wz_graft_masked(&w, &z, &mask, PM_KEEP_OTHERS));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,aba=5,abcc=6,x=4");
    CHECK_OK(pm_wz_graft_masked(&w, &z, &none, PM_KEEP_OTHERS));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,aba=5,abcc=6,x=4");
    mask = pm_mask_of("a", 1);
    CHECK_OK(pm_wz_graft_masked(&w, &z, &mask, PM_CLEAR_OTHERS));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,aba=5,x=4");
    CHECK_OK(pm_wz_graft_masked(&w, &z, &none, PM_CLEAR_OTHERS));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,x=4");
    pm_rz_reset(pm_wz_cursor(&w));
    CHECK_OK(pm_wz_graft_masked(&w, &z, &mask, PM_KEEP_OTHERS));
    CHECK_STR_EQ(listed(&m), "=0,a=5,x=4");
    pm_rz_move_to(pm_wz_cursor(&w), "new", 3);
    CHECK_OK(pm_wz_graft_masked(&w, &z, &none, PM_KEEP_OTHERS));
    CHECK_STR_EQ(listed(&m), "=0,a=5,new!,x=4");
    CHECK_OK(pm_wz_drop(&w));
    pm_rz_drop(&z);
    pm_drop(&src);
    pm_drop(&m);
}

TEST(writer_graft_children_consumes_one_map_a_child) {
    pm_map m = letters(), kids[3] = {letters(), pm_new(NULL, NULL), pm_new(NULL, NULL)};
    pm_wz w;
    put(&kids[2], "", 7);
    pm_mask mask = pm_mask_of("cez", 3), two = pm_mask_of("ce", 2);
    open_at(&w, &m, "", "ab");
    CHECK_EQ(pm_wz_graft_children(&w, &two, kids, 3, PM_KEEP_OTHERS), PM_INVALID);
    CHECK_EQ(pm_wz_graft_children(&w, &mask, kids, 2, PM_KEEP_OTHERS), PM_INVALID);
    CHECK_STR_EQ(listed(&kids[0]), "=0,ab=1,abc=2,abd=3,x=4");
    CHECK_OK(pm_wz_graft_children(&w, &mask, kids, 3, PM_KEEP_OTHERS));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=0,abcab=1,abcabc=2,abcabd=3,abcx=4,abd=3,abe!,abz=7,x=4");
    for (int i = 0; i < 3; i++) CHECK(pm_is_empty(&kids[i]));
    mask = pm_mask_of("d", 1);
    CHECK_OK(pm_wz_graft_children(&w, &mask, kids, 1, PM_CLEAR_OTHERS));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abd!,x=4");
    CHECK_EQ(pm_wz_drop(&w), PM_INVALID);
    pm_drop(&m);
}

TEST(writer_take_cuts_out_and_may_prune) {
    pm_map m = letters(), out;
    pm_wz w;
    bool some = true;
    open_at(&w, &m, "", "ab");
    CHECK_OK(pm_wz_take(&w, PM_KEEP, &out, &some));
    CHECK(some);
    CHECK_STR_EQ(listed(&out), "=1,c=2,d=3");
    CHECK_STR_EQ(listed(&m), "=0,ab!,x=4");
    pm_drop(&out);
    CHECK_OK(pm_wz_take(&w, PM_PRUNE, &out, &some));
    CHECK(!some && pm_is_empty(&out));
    CHECK_STR_EQ(listed(&m), "=0,x=4");
    CHECK_OK(pm_wz_take(&w, PM_PRUNE, &out, NULL));
    CHECK(pm_is_empty(&out));
    pm_rz_reset(pm_wz_cursor(&w));
    CHECK_OK(pm_wz_take(&w, PM_PRUNE, &out, &some));
    CHECK(some && pm_is_empty(&m));
    CHECK_STR_EQ(listed(&out), "=0,x=4");
    CHECK_OK(pm_wz_drop(&w));
    pm_drop(&out);
}

TEST(writer_prefixes_go_in_and_out) {
    pm_map m = letters();
    pm_wz w;
    bool done = false;
    open_at(&w, &m, "", "ab");
    CHECK_OK(pm_wz_insert_prefix(&w, "--", 2, &done));
    CHECK(done);
    CHECK_STR_EQ(listed(&m), "=0,ab=1,ab--c=2,ab--d=3,x=4");
    CHECK_OK(pm_wz_insert_prefix(&w, "", 0, &done));
    CHECK(done);
    pm_rz_descend_to(pm_wz_cursor(&w), "--c", 3);
    CHECK_OK(pm_wz_insert_prefix(&w, "q", 1, &done));
    CHECK(!done);
    pm_rz_ascend(pm_wz_cursor(&w), 1);
    CHECK_OK(pm_wz_remove_prefix(&w, 3, &done));
    CHECK(done);
    CHECK_STR_EQ(listed(&m), "=0,ac=2,ad=3,x=4");
    CHECK_OK(pm_wz_remove_prefix(&w, 5, &done));
    CHECK(!done && pm_rz_at_root(pm_wz_cursor(&w)));
    CHECK_STR_EQ(listed(&m), "=0,c=2,d=3");
    pm_rz_descend_to(pm_wz_cursor(&w), "no", 2);
    CHECK_OK(pm_wz_remove_prefix(&w, 0, &done));
    CHECK(done);
    CHECK_OK(pm_wz_remove_prefix(&w, 1, NULL));
    CHECK_STR_EQ(listed(&m), "=0,c=2,d=3");
    CHECK_OK(pm_wz_remove_prefix(&w, 1, NULL));
    CHECK_STR_EQ(listed(&m), "=0");
    CHECK_OK(pm_wz_drop(&w));
    pm_drop(&m);
}

TEST(writer_remove_unmasked_keeps_the_named) {
    pm_map m = letters();
    pm_wz w;
    pm_mask mask = pm_mask_of("cz", 2), none = pm_mask_of("", 0);
    open_at(&w, &m, "", "ab");
    CHECK_OK(pm_wz_remove_unmasked(&w, &mask, PM_KEEP));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,x=4");
    CHECK_OK(pm_wz_remove_unmasked(&w, &mask, PM_PRUNE));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,x=4");
    CHECK_OK(pm_wz_remove_unmasked(&w, &none, PM_PRUNE));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,x=4");
    CHECK_OK(pm_wz_remove(&w, PM_KEEP, NULL));
    CHECK_OK(pm_wz_remove_unmasked(&w, &none, PM_KEEP));
    CHECK_STR_EQ(listed(&m), "=0,ab!,x=4");
    CHECK_OK(pm_wz_remove_unmasked(&w, &none, PM_PRUNE));
    CHECK_STR_EQ(listed(&m), "=0,x=4");
    CHECK_OK(pm_wz_drop(&w));
    pm_drop(&m);
}

TEST(writer_owning_gives_the_map_back) {
    pm_map m = letters(), out;
    pm_wz w;
    CHECK_OK(pm_wz_open_move(&m, "ab", 2, &w));
    CHECK(pm_is_empty(&m));
    pm_rz_descend_to_byte(pm_wz_cursor(&w), 'e');
    CHECK_OK(pm_wz_set(&w, 8, NULL));
    CHECK_OK(pm_wz_into_map(&w, &out));
    CHECK_STR_EQ(listed(&out), "=0,ab=1,abc=2,abd=3,abe=8,x=4");
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(pm_wz_open(&out, "", 0, &w));
    CHECK_EQ(pm_wz_into_map(&w, &m), PM_INVALID);
    CHECK_OK(pm_wz_set(&w, 1, NULL));
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(pm_wz_open_move(&out, "", 0, &w)); /* closing drops the map */
    CHECK_OK(pm_wz_drop(&w));
    pm_drop(&out);
}

TEST(writer_becomes_a_reader_at_the_same_place) {
    pm_map m = letters();
    pm_wz w;
    pm_rz z;
    size_t len;
    for (int owned = 0; owned < 2; owned++) {
        if (owned) CHECK_OK(pm_wz_open_move(&m, "a", 1, &w));
        else CHECK_OK(pm_wz_open(&m, "a", 1, &w));
        pm_rz_descend_to_byte(pm_wz_cursor(&w), 'b');
        CHECK_OK(pm_wz_set(&w, 7, NULL));
        CHECK_OK(pm_wz_into_reader(&w, &z));
        CHECK_OK(pm_wz_drop(&w));
        CHECK_EQ(*pm_rz_val(&z), 7);
        const uint8_t *path = pm_rz_path(&z, &len);
        CHECK_MEM_EQ(path, len, "b", 1);
        CHECK_EQ(pm_rz_child_count(&z), 2);
        pm_rz_reset(&z);
        path = pm_rz_origin_path(&z, &len);
        CHECK_MEM_EQ(path, len, "a", 1);
        CHECK_EQ(pm_is_empty(&m), owned);
        pm_rz_drop(&z);
    }
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(writer_status_is_the_first_failure) {
    pm_map m = letters();
    pm_wz w;
    pm_mask mask = pm_mask_of("a", 1);
    open_at(&w, &m, "", "ab");
    CHECK_OK(pm_wz_status(&w));
    CHECK_EQ(pm_wz_graft_children(&w, &mask, NULL, 0, PM_KEEP_OTHERS), PM_INVALID);
    pm_rz_descend_to(pm_wz_cursor(&w), "new", 3);
    check_fail_allocs_from(1);
    pm_status s = pm_wz_set(&w, 1, NULL);
    check_fail_alloc(0);
    if (PM_POOL) CHECK(s == PM_OK || s == PM_NOMEM);
    else CHECK_EQ(s, PM_NOMEM);
    CHECK_EQ(pm_wz_status(&w), PM_INVALID);
    CHECK_OK(pm_wz_set(&w, 1, NULL));
    CHECK_EQ(pm_wz_drop(&w), PM_INVALID);
    pm_drop(&m);
}

/* Whoever does not ask whether a move had memory must not change another place than he meant. */
TEST(writer_refuses_to_write_where_its_cursor_failed_to_go) {
    static char remote[70000];
    pm_map m = letters();
    pm_wz w;
    bool done;
    memset(remote, 'f', sizeof remote);
    CHECK_OK(pm_wz_open(&m, "ab", 2, &w));
    check_fail_allocs_from(1);
    pm_rz_descend_to(pm_wz_cursor(&w), remote, sizeof remote);
    check_fail_alloc(0);
    CHECK_EQ(pm_wz_set(&w, 99, NULL), PM_NOMEM);
    CHECK_EQ(pm_wz_remove(&w, PM_PRUNE, NULL), PM_NOMEM);
    CHECK_EQ(pm_wz_graft_map(&w, &m), PM_NOMEM);
    CHECK_EQ(pm_wz_graft_map(&w, NULL), PM_NOMEM);
    CHECK_EQ(pm_wz_remove_branches(&w, PM_PRUNE, NULL), PM_NOMEM);
    CHECK_EQ(pm_wz_insert_prefix(&w, "p", 1, &done), PM_NOMEM);
    CHECK_EQ(pm_wz_status(&w), PM_NOMEM);
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,x=4");
    CHECK_EQ(pm_rz_status(pm_wz_cursor(&w)), PM_NOMEM);
    CHECK_EQ(pm_wz_set(&w, 99, NULL), PM_NOMEM);
    pm_rz_reset(pm_wz_cursor(&w)); /* now it is known */
    CHECK_OK(pm_wz_set(&w, 99, NULL));
    CHECK_EQ(pm_wz_drop(&w), PM_NOMEM);
    CHECK_STR_EQ(listed(&m), "=0,ab=99,abc=2,abd=3,x=4");
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

/* A cursor that cannot be found again says so, loses nothing, and is found when there is memory. */
TEST(writer_cursor_survives_lack_of_memory) {
    static char key[5000]; /* a chain of 20 nodes: more than a cursor off the trie has room for */
    pm_map m = letters();
    pm_wz w;
    size_t len;
    memset(key, 'k', sizeof key);
    CHECK_OK(pm_wz_open(&m, "", 0, &w));
    pm_rz_descend_to(pm_wz_cursor(&w), key, sizeof key);
    CHECK_OK(pm_wz_set(&w, 7, NULL));
    pm_rz *z = pm_wz_cursor(&w), reader;
    check_fail_allocs_from(1);
    CHECK_EQ(pm_wz_into_reader(&w, &reader), PM_NOMEM);
    CHECK_OK(pm_rz_status(z));
    CHECK(!pm_rz_exists(z));
    check_fail_alloc(0);
    CHECK_EQ(pm_rz_status(z), PM_NOMEM);
    (void)pm_rz_path(z, &len);
    CHECK_EQ(len, sizeof key);
    CHECK(pm_rz_exists(z) && *pm_rz_val(z) == 7); /* there is memory again */
    CHECK_EQ(pm_wz_set(&w, 8, NULL), PM_NOMEM);
    pm_rz_reset(z);
    CHECK_EQ(pm_rz_move_to(z, key, sizeof key - 1), sizeof key - 1);
    CHECK_OK(pm_wz_create_path(&w, NULL));
    CHECK(pm_rz_exists(z) && pm_rz_descend_to_check(z, "k", 1));
    CHECK_EQ(*pm_rz_val(z), 7);
    CHECK_OK(pm_wz_remove(&w, PM_PRUNE, NULL));
    CHECK_EQ(pm_wz_drop(&w), PM_NOMEM);
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,x=4");
    check_fail_allocs_from(1);
    CHECK_EQ(pm_wz_open(&m, key, sizeof key, &w), PM_NOMEM);
    CHECK_OK(pm_wz_drop(&w));
    CHECK_EQ(pm_wz_open_move(&m, key, sizeof key, &w), PM_NOMEM);
    CHECK_OK(pm_wz_drop(&w));
    check_fail_alloc(0);
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,x=4");
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

/* The nodes on the way are copied, then a value and a child come to a byte whose block is still shared. */
TEST(writer_graft_below_shared_blocks_is_whole_or_nothing) {
    pm_map m = pm_new(NULL, NULL), src = letters();
    for (unsigned i = 0; i < 256; i++) {
        uint8_t key[2] = {(uint8_t)i, 'z'};
        CHECK_OK(pm_set(&m, key, 2, i, NULL));
    }
    pm_map before = pm_clone(&m);
    pm_wz w;
    pm_status s = PM_NOMEM;
    bool equal = false;
    CHECK_OK(pm_wz_open(&m, "q", 1, &w));
    for (uint64_t n = 1; s != PM_OK; n++) {
        CHECK_OK(pm_equal(&m, &before, &equal));
        CHECK(equal);
        CHECK_OK(pm_check(&m, NULL));
        check_fail_alloc(n);
        s = pm_wz_graft_map(&w, &src);
        check_fail_alloc(0);
    }
    CHECK_EQ(pm_rz_child_count(pm_wz_cursor(&w)), 2);
    (void)pm_wz_drop(&w);
    CHECK_EQ(*pm_get(&m, "q", 1), 0);
    CHECK_EQ(*pm_get(&m, "qabc", 4), 2);
    CHECK_PTR_EQ(pm_get(&m, "qz", 2), NULL);
    CHECK_OK(pm_check(&m, NULL));
    pm_drop(&before);
    pm_drop(&src);
    pm_drop(&m);
}

/* Many children of a byte node and the long entries of a line meet in one node. */
TEST(writer_graft_masked_mixes_nodes_of_all_kinds) {
    pm_map m = pm_new(NULL, NULL), src = pm_new(NULL, NULL);
    for (unsigned i = 0; i < 120; i++) {
        uint8_t key[3] = {'m', (uint8_t)(100 + i), (uint8_t)i};
        CHECK_OK(pm_set(&m, key, 2 + i % 2, i, NULL));
    }
    put(&src, "along", 1000);
    put(&src, "alone", 1001);
    put(&src, "x", 1002);
    put(&src, "xylem", 1003);
    pm_mask mask = pm_mask_of("axe", 3);
    pm_rz z;
    pm_wz w;
    pm_status s = PM_NOMEM;
    CHECK_OK(pm_rz_open(&src, "", 0, &z));
    CHECK_OK(pm_wz_open(&m, "m", 1, &w));
    for (uint64_t n = 1; s != PM_OK; n++) {
        CHECK_EQ(pm_rz_child_count(pm_wz_cursor(&w)), 120);
        check_fail_alloc(n);
        s = pm_wz_graft_masked(&w, &z, &mask, PM_KEEP_OTHERS);
        check_fail_alloc(0);
    }
    CHECK_EQ(pm_rz_child_count(pm_wz_cursor(&w)), 120); /* a comes, e goes, x is replaced */
    (void)pm_wz_drop(&w);
    pm_rz_drop(&z);
    CHECK_OK(pm_check(&m, NULL));
    CHECK_EQ(*pm_get(&m, "malong", 6), 1000);
    CHECK_EQ(*pm_get(&m, "malone", 6), 1001);
    CHECK_EQ(*pm_get(&m, "mx", 2), 1002);
    CHECK_EQ(*pm_get(&m, "mxylem", 6), 1003);
    CHECK_PTR_EQ(pm_get(&m, "me", 2), NULL);
    CHECK(!pm_path_exists(&m, "me", 2));
    pm_drop(&src);
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

/* ---- random runs against the model ---- */

enum { MAPS = 3, LONGEST = 700 };

/* Maps and their models; a writer over map 0, and the model's cursor. */
typedef struct world {
    pm_map map[MAPS];
    model *want[MAPS];
    pm_wz w;
    model_cursor c;
    unsigned letters, max_len;
    bool sweep; /* let allocations fail */
} world;

typedef enum kind {
    SET,
    SET_MUT,
    OR_SET,
    REMOVE,
    GRAFT,
    GRAFT_AT,
    GRAFT_MAP,
    GRAFT_MOVE,
    GRAFT_MASKED,
    GRAFT_CHILDREN,
    TAKE,
    INSERT_PREFIX,
    REMOVE_PREFIX,
    REMOVE_BRANCHES,
    REMOVE_UNMASKED,
    CREATE,
    PRUNE,
    PRUNE_ASCEND,
    KINDS
} kind;

typedef struct step {
    kind what;
    pm_val val;
    bool flag;
    size_t n, len, split;
    uint8_t path[LONGEST];
    int from; /* map that is the source */
    bool set[256];
    pm_mask mask;
} step;

/* What a step answered. */
typedef struct answer {
    uint64_t num, val;
    bool some;
} answer;

static uint8_t letter(const world *g) {
    if (g->letters == 256) return (uint8_t)check_below(256);
    return (uint8_t)("ab\xff\0cd"[check_below(g->letters)]);
}

static size_t free_path(const world *g, uint8_t *out) {
    size_t n = check_below(g->max_len + 1);
    for (size_t i = 0; i < n; i++) out[i] = letter(g);
    if (check_below(4) == 0 && n > 3) n = check_below(4);
    return n;
}

/* A path relative to `c`'s focus in its model: one that exists, or nearly so, or any. */
static size_t some_path(const world *g, const model_cursor *c, uint8_t *out) {
    model_cursor at;
    size_t n = 0;
    if (check_below(5) == 0) return free_path(g, out);
    model_cursor_open(&at, c->m, c->path.data, c->path.len);
    while (n + 8 < LONGEST && check_below(g->max_len > 100 ? 60 : 8)) {
        unsigned kids = model_cursor_children(&at, NULL);
        if (!kids || !model_cursor_descend_index(&at, check_below(kids))) break;
        n++;
    }
    model_key k = model_cursor_path(&at);
    if (n) memcpy(out, k.data, n);
    model_cursor_close(&at);
    if (n && check_below(6) == 0) out[n - 1] = letter(g);
    if (check_below(6) == 0) out[n++] = letter(g);
    return n;
}

static pm_val new_val(void) { return counted_new(); }

static void fill(world *g, int i, unsigned keys) {
    uint8_t key[LONGEST];
    while (keys--) {
        size_t n = free_path(g, key);
        if (check_below(6) == 0) {
            CHECK_OK(pm_create_path(&g->map[i], key, n, NULL));
            model_create(g->want[i], key, n);
            continue;
        }
        pm_val v = new_val();
        CHECK_OK(pm_set(&g->map[i], key, n, v, NULL));
        model_set(g->want[i], key, n, v, NULL);
    }
}

static void make_world(world *g, bool sweep) {
    static const unsigned letters_of[] = {2, 3, 6, 256}, lens[] = {5, 12, 60, 600};
    memset(g, 0, sizeof *g);
    g->sweep = sweep;
    g->letters = letters_of[check_below(4)];
    g->max_len = g->letters == 256 ? (unsigned)(2 + check_below(2)) : lens[check_below(4)];
    for (int i = 0; i < MAPS; i++) {
        g->map[i] = pm_new(counted_ops(), NULL);
        g->want[i] = model_new();
        unsigned most = g->letters == 256 ? 400 : 60;
        fill(g, i, (unsigned)check_below(check_below(2) ? most : 6));
    }
    uint8_t root[LONGEST];
    model_cursor top;
    model_cursor_open(&top, g->want[0], NULL, 0);
    size_t n = check_below(2) ? 0 : some_path(g, &top, root);
    model_cursor_close(&top);
    model_cursor_open(&g->c, g->want[0], root, n);
    CHECK_OK(pm_wz_open(&g->map[0], root, n, &g->w));
}

static void end_world(world *g) {
    CHECK_EQ(pm_wz_drop(&g->w), PM_OK);
    model_cursor_close(&g->c);
    for (int i = 0; i < MAPS; i++) {
        pm_drop(&g->map[i]);
        model_free(g->want[i]);
    }
    CHECK(counted_is_sound());
    CHECK_EQ(counted_held(), 0);
    CHECK_EQ(check_live_blocks(), 0);
}

static step make_step(const world *g) {
    step s;
    model_cursor top;
    s.what = (kind)check_below(KINDS);
    s.flag = check_below(2);
    s.n = check_below(2) ? check_below(4) : check_below(20);
    s.from = (int)check_below(MAPS);
    s.val = s.what <= OR_SET ? new_val() : 0;
    model_cursor_open(&top, g->want[s.from], NULL, 0);
    s.len = s.what == INSERT_PREFIX ? free_path(g, s.path) : some_path(g, &top, s.path);
    if (check_below(3)) s.len = s.len > 3 ? check_below(4) : s.len;
    s.split = check_below(s.len + 1);
    model_cursor_close(&top);
    unsigned dense = (unsigned)check_below(3);
    memset(s.set, 0, sizeof s.set);
    s.mask = pm_mask_of(NULL, 0);
    for (unsigned b = 0; b < 256; b++) {
        bool in = g->letters == 256 ? check_below(4) <= dense : check_below(3) <= dense;
        s.set[b] = in;
        if (in) pm_mask_set(&s.mask, (uint8_t)b);
    }
    return s;
}

static answer run_on_model(world *g, const step *s) {
    answer a = {0, 0, false};
    model *sub = model_subtrie(g->want[s->from], s->path, s->len, NULL), *out = NULL;
    switch (s->what) {
    case SET:
    case SET_MUT: a.some = model_cursor_set(&g->c, s->val, &a.val); break;
    case OR_SET:
        a.val = s->val;
        a.some = model_cursor_val(&g->c, &a.val);
        if (!a.some) model_cursor_set(&g->c, s->val, NULL);
        break;
    case REMOVE: a.some = model_cursor_remove(&g->c, s->flag, &a.val); break;
    case GRAFT:
    case GRAFT_AT:
    case GRAFT_MAP:
    case GRAFT_MOVE: model_cursor_graft(&g->c, sub); break;
    case GRAFT_MASKED:
    case GRAFT_CHILDREN: model_cursor_graft_masked(&g->c, sub, s->set, s->flag); break;
    case TAKE:
        out = model_cursor_take(&g->c, s->flag, &a.some);
        a.num = model_location_count(out);
        break;
    case INSERT_PREFIX: a.some = model_cursor_insert_prefix(&g->c, s->path, s->len); break;
    case REMOVE_PREFIX: a.some = model_cursor_remove_prefix(&g->c, s->n); break;
    case REMOVE_BRANCHES: a.some = model_cursor_remove_branches(&g->c, s->flag); break;
    case REMOVE_UNMASKED: model_cursor_keep_children(&g->c, s->set, s->flag); break;
    case CREATE: a.some = model_cursor_create(&g->c); break;
    case PRUNE: a.num = model_cursor_prune(&g->c); break;
    case PRUNE_ASCEND: a.num = model_cursor_prune_ascend(&g->c); break;
    case KINDS: break;
    }
    model_free(sub);
    model_free(out);
    return a;
}

/* The value now stored there takes one reference of s->val if the write succeeds; what it gave back is let go here. */
static pm_status run_value(pm_wz *w, const step *s, answer *a) {
    pm_opt old = {0, false};
    pm_val *slot = NULL;
    bool inserted = false;
    pm_status st;
    if (s->what == OR_SET) {
        st = pm_wz_get_or_set(w, s->val, &slot, &inserted);
        if (st != PM_OK) return st;
        a->some = !inserted;
        a->val = *slot;
        if (!inserted) counted_release(s->val);
        return PM_OK;
    }
    if (s->what == REMOVE) st = pm_wz_remove(w, s->flag, &old);
    else {
        st = s->what == SET_MUT ? pm_wz_get_mut(w, &slot) : PM_OK;
        if (st == PM_OK && slot) {
            old.some = true, old.val = *slot;
            *slot = s->val;
        } else if (st == PM_OK) {
            st = pm_wz_set(w, s->val, &old);
        }
    }
    if (st != PM_OK) return st;
    a->some = old.some;
    a->val = old.some ? old.val : 0;
    if (old.some) counted_release(old.val);
    return PM_OK;
}

static pm_status graft_children(pm_wz *w, pm_rz *src, const step *s) {
    static pm_map maps[256];
    size_t n = 0;
    pm_status st;
    pm_mask have = pm_rz_child_mask(src), mask = pm_mask_and(s->mask, have);
    check_fail_alloc(0); /* the maps are not what is tried out */
    for (int b = pm_mask_next(&mask, 0); b >= 0; b = pm_mask_next(&mask, b + 1)) {
        pm_rz_descend_to_byte(src, (uint8_t)b);
        CHECK_OK(pm_rz_make_map(src, &maps[n++]));
        pm_rz_ascend(src, 1);
    }
    check_fail_alloc(s->split);
    st = pm_wz_graft_children(w, &mask, maps, n, s->flag);
    check_fail_alloc(0);
    for (size_t i = 0; i < n; i++) {
        if (st == PM_OK) CHECK(pm_is_empty(&maps[i]));
        pm_drop(&maps[i]);
    }
    return st;
}

static pm_status run_graft(world *g, const step *s) {
    pm_wz *w = &g->w;
    pm_rz src;
    pm_map sub;
    pm_status st;
    size_t root = s->what == GRAFT_AT ? s->split % (s->len + 1) : s->len;
    if (s->what == GRAFT_MAP || s->what == GRAFT_MOVE) {
        if ((st = pm_subtrie(&g->map[s->from], s->path, s->len, &sub, NULL)) != PM_OK) return st;
        st = s->what == GRAFT_MAP ? pm_wz_graft_map(w, &sub) : pm_wz_graft_map_move(w, &sub);
        if (st == PM_OK && s->what == GRAFT_MOVE) CHECK(pm_is_empty(&sub));
        pm_drop(&sub);
        return st;
    }
    if ((st = pm_rz_open(&g->map[s->from], s->path, root, &src)) != PM_OK) return st;
    if (s->what == GRAFT) st = pm_wz_graft(w, &src);
    else if (s->what == GRAFT_AT) st = pm_wz_graft_at(w, &src, s->path + root, s->len - root);
    else if (s->what == GRAFT_MASKED) st = pm_wz_graft_masked(w, &src, &s->mask, s->flag);
    else st = graft_children(w, &src, s);
    pm_rz_drop(&src);
    return st;
}

static pm_status run_rest(pm_wz *w, const step *s, answer *a) {
    pm_map out;
    pm_status st;
    size_t gone = 0;
    switch (s->what) {
    case TAKE:
        if ((st = pm_wz_take(w, s->flag, &out, &a->some)) != PM_OK) return st;
        check_fail_alloc(0);
        CHECK_OK(pm_check(&out, NULL));
        CHECK_OK(pm_location_count(&out, &a->num));
        pm_drop(&out);
        return st;
    case INSERT_PREFIX: return pm_wz_insert_prefix(w, s->path, s->len, &a->some);
    case REMOVE_PREFIX: return pm_wz_remove_prefix(w, s->n, &a->some);
    case REMOVE_BRANCHES: return pm_wz_remove_branches(w, s->flag, &a->some);
    case REMOVE_UNMASKED: return pm_wz_remove_unmasked(w, &s->mask, s->flag);
    case CREATE: return pm_wz_create_path(w, &a->some);
    case PRUNE: st = pm_wz_prune_path(w, &gone); break;
    default: st = pm_wz_prune_ascend(w, &gone); break;
    }
    a->num = gone;
    return st;
}

static pm_status run_on_library(world *g, const step *s, answer *a) {
    a->num = a->val = 0;
    a->some = false;
    if (s->what <= REMOVE) return run_value(&g->w, s, a);
    if (s->what <= GRAFT_CHILDREN) return run_graft(g, s);
    return run_rest(&g->w, s, a);
}

/* Lets the n-th allocation of the step fail, for n = 1, 2, .. until there is no n-th; nothing may change before. */
static void run_step(world *g, step *s) {
    answer got, want;
    /* Children that the source lacks are removed by one call, and left out by the other. */
    if (s->what == GRAFT_CHILDREN) {
        model *sub = model_subtrie(g->want[s->from], s->path, s->len, NULL);
        for (unsigned b = 0; b < 256; b++) {
            uint8_t c = (uint8_t)b;
            s->set[b] = s->set[b] && model_exists(sub, &c, 1);
        }
        model_free(sub);
    }
    for (uint64_t n = g->sweep; n; n++) {
        uint64_t split = s->split;
        if (s->what == GRAFT_CHILDREN) s->split = (size_t)n;
        check_fail_alloc(n);
        pm_status st = run_on_library(g, s, &got);
        bool failed = s->what == GRAFT_CHILDREN ? st != PM_OK : check_alloc_fails() != 0;
        check_fail_alloc(0);
        s->split = (size_t)split;
        if (st == PM_OK) goto done; /* with memory, or in spite of having none */
        CHECK(failed);
        CHECK_EQ(st, PM_NOMEM);
        CHECK(is_same(&g->map[0], g->want[0]));
        check_focus(&g->w, &g->c);
        (void)pm_wz_cursor(&g->w);
        g->w.status = PM_OK;
    }
    if (s->what == GRAFT_CHILDREN) s->split = 0;
    CHECK_OK(run_on_library(g, s, &got));
done:
    want = run_on_model(g, s);
    CHECK_EQ(got.some, want.some);
    if (want.some) CHECK_EQ(got.val, want.val);
    CHECK_EQ(got.num, want.num);
}

/* Both cursors go to the same place. */
static void move(world *g) {
    uint8_t path[LONGEST];
    pm_rz *z = pm_wz_cursor(&g->w);
    if (check_below(3) == 0) {
        CHECK_EQ(pm_rz_to_next_val(z), model_cursor_next_val(&g->c));
        return;
    }
    if (check_below(3)) {
        pm_rz_reset(z);
        model_cursor_reset(&g->c);
    }
    if (check_below(4) == 0) {
        size_t n = check_below(4);
        CHECK_EQ(pm_rz_ascend(z, n), model_cursor_ascend(&g->c, n));
    }
    size_t n = some_path(g, &g->c, path);
    pm_rz_descend_to(z, path, n);
    model_cursor_descend(&g->c, path, n);
}

static void run_world(bool sweep, unsigned steps) {
    world g;
    make_world(&g, sweep);
    pm_map snap = pm_new(counted_ops(), NULL);
    model *snap_want = model_new();
    for (unsigned i = 0; i < steps; i++) {
        if (check_below(4)) move(&g);
        if (check_below(5) == 0) { /* from now on all is shared */
            pm_drop(&snap);
            model_free(snap_want);
            snap = pm_clone(&g.map[0]);
            snap_want = model_copy(g.want[0]);
        } else if (check_below(5) == 0) {
            pm_drop(&snap);
            model_clear(snap_want);
        }
        step s = make_step(&g);
        run_step(&g, &s);
        check_focus(&g.w, &g.c);
        check_map(&g.map[0], g.want[0]);
        check_map(&snap, snap_want);
        if (model_location_count(g.want[0]) > 4000) break;
    }
    for (int i = 1; i < MAPS; i++) check_map(&g.map[i], g.want[i]);
    pm_drop(&snap);
    model_free(snap_want);
    end_world(&g);
}

TEST(writer_does_as_the_model_does) {
    for (unsigned i = 0; i < 120; i++) run_world(false, 50);
}

TEST(writer_failing_changes_nothing) {
    for (unsigned i = 0; i < 90; i++) run_world(true, 30);
}

/* ---- a writer that goes from key to key ---- */

/* A key of one of four shapes: nested text, in which lines take in those below; integers; few letters; many branches
   at two depths, so that nodes are wide there. */
static size_t spell_key(char *out, unsigned shape, uint32_t i) {
    static const char *const word[] = {"(and ", "(or ", "(not ", "x", "y ", "(implies ", "z)", ")"};
    size_t n = 0;
    if (shape == 3) {
        const uint32_t h = i * 2654435761u;
        return (size_t)snprintf(out, 64, "%c%c%u", (int)(33 + h % 90), (int)(33 + h / 90 % 61), h / 5490 % 997);
    }
    if (shape == 1) {
        for (unsigned b = 0; b < 4; b++) out[n++] = (char)(i * 40503u >> (24 - 8 * b));
        return n;
    }
    for (uint32_t rest = i + 1; rest; rest /= 8) {
        const char *w = shape == 0 ? word[rest % 8] : word[3 + rest % 2];
        memcpy(out + n, w, strlen(w));
        n += strlen(w);
    }
    return n;
}

static void check_alike(const pm_map *a, const pm_map *b) {
    bool same = false;
    CHECK_OK(pm_check(a, NULL));
    CHECK_OK(pm_equal(a, b, &same));
    CHECK(same);
}

/* Sets keys through one writer and by pm_set, in order or not, beside snapshots that come and go, of all or of what is
   below the focus, after moves that end elsewhere, and over values that are there. */
static void run_keys(unsigned shape, bool ascend, unsigned keys) {
    pm_map m = pm_new(NULL, NULL), want = pm_new(NULL, NULL), snap = pm_new(NULL, NULL), was_there = pm_new(NULL, NULL);
    char key[64];
    pm_wz w;
    CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
    pm_rz *z = pm_wz_cursor(&w);
    for (uint32_t i = 0; i < keys; i++) {
        size_t len = spell_key(key, shape, ascend ? i : (uint32_t)check_below(4 * keys));
        bool there = pm_get(&want, key, len) != NULL;
        if (check_below(16) == 0) (void)pm_rz_move_to(z, "(and (or", check_below(9));
        CHECK_EQ(pm_rz_move_to(z, key, len) == len, pm_path_exists(&want, key, len));
        if (check_below(8) == 0) CHECK_EQ(pm_rz_is_val(z), there);
        pm_opt was;
        CHECK_OK(pm_wz_set(&w, i, &was));
        CHECK_EQ(was.some, there);
        CHECK_OK(pm_set(&want, key, len, i, NULL));
        if (check_below(32) == 0) CHECK_EQ(pm_rz_is_val(z) ? *pm_rz_val(z) : keys, i);
        if (check_below(64) == 0) {
            check_alike(&snap, &was_there); /* whatever has been written since */
            pm_drop(&snap), pm_drop(&was_there);
            if (check_below(2)) {
                (void)pm_rz_move_to(z, key, len = check_below(2) ? 0 : check_below((unsigned)len + 1));
                CHECK_OK(pm_rz_make_map(z, &snap));
                CHECK_OK(pm_subtrie(&want, key, len, &was_there, NULL));
            }
        }
    }
    check_alike(&snap, &was_there);
    CHECK_OK(pm_wz_drop(&w));
    check_alike(&m, &want);
    pm_drop(&m), pm_drop(&want);
    pm_drop(&snap), pm_drop(&was_there);
}

TEST(writer_goes_from_key_to_key) {
    for (unsigned shape = 0; shape < 4; shape++)
        for (unsigned order = 0; order < 2; order++) run_keys(shape, order == 1, 5000);
}

/* ---- what a writer keeps between writes ---- */

static size_t deep_key(uint8_t *out) {
    uint64_t r = check_rand();
    memset(out, 'x', 600);
    memcpy(out + 600, &r, sizeof r);
    return 600 + sizeof r;
}

/* A set looks no further up than it has to: of the way to the last key all stays that no write can have changed. What
   others share is not the writer's way. */
TEST(writer_keeps_the_way_above_what_it_sets) {
    pm_map m = pm_new(NULL, NULL), clone = pm_new(NULL, NULL);
    uint8_t key[608];
    pm_wz w;
    for (unsigned i = 0; i < 3000; i++) {
        size_t len = deep_key(key);
        CHECK_OK(pm_set(&m, key, len, i, NULL));
    }
    CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
    for (unsigned i = 0; i < 400; i++) {
        size_t len = deep_key(key);
        pm_opt old;
        if (i == 200) clone = pm_clone(&m);
        CHECK(pm_rz_move_to(pm_wz_cursor(&w), key, len) >= 600);
        const size_t before = w.cursor.nframes;
        CHECK(before >= 4);
        CHECK_OK(pm_wz_set(&w, i, &old));
        CHECK(!old.some);
        const size_t kept = w.cursor.nframes;
        CHECK_NOTE(i == 200 ? kept == 0 : kept + 2 >= before, "%d: %d of %d nodes", (int)i, (int)kept, (int)before);
        CHECK_EQ(*pm_rz_val(pm_wz_cursor(&w)), i);
        CHECK_OK(pm_wz_set(&w, i + 1, &old)); /* in place: the cursor stays as it is */
        CHECK(old.some && old.val == i && w.cursor.view == NULL);
        CHECK_EQ(*pm_rz_val(pm_wz_cursor(&w)), i + 1);
    }
    CHECK_OK(pm_wz_drop(&w));
    uint64_t n;
    CHECK_OK(pm_val_count(&m, &n));
    CHECK_EQ(n, 3400);
    CHECK_OK(pm_val_count(&clone, &n));
    CHECK_EQ(n, 3200);
    CHECK_OK(pm_check(&m, NULL));
    pm_drop(&m);
    pm_drop(&clone);
}

/* A wide node has no block where it has no children: values there are overwritten in place like others. */
TEST(writer_overwrites_where_a_wide_node_has_no_children) {
    pm_map m = pm_new(NULL, NULL);
    pm_wz w;
    for (unsigned i = 0; i < 256; i++) {
        for (unsigned j = 0; j < 8; j++) {
            uint8_t key[3] = {(uint8_t)i, (uint8_t)j, 2};
            CHECK_OK(pm_set(&m, key, i < 200 ? 3 : 1, i, NULL));
        }
    }
    pm_stats st;
    CHECK_OK(pm_get_stats(&m, &st));
    CHECK_EQ(st.wide_nodes, 1);
    CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
    for (unsigned i = 200; i < 256; i++) {
        uint8_t b = (uint8_t)i;
        pm_opt old;
        CHECK_EQ(pm_rz_move_to(pm_wz_cursor(&w), &b, 1), 1);
        CHECK_OK(pm_wz_set(&w, 1000 + i, &old));
        CHECK(old.some && old.val == i && *pm_get(&m, &b, 1) == 1000 + i);
    }
    CHECK_OK(pm_wz_drop(&w));
    pm_drop(&m);
}
