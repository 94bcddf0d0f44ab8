/* Queries of one zipper or reference from several threads; witnesses of iterators; how much maps share. */
#include "check.h"

#include <pthread.h>

#include "library.h"

#include "counted.h"

static const char *const words[] = {"", "a", "ab", "abc", "b/1", "b/2", "b/2/x", "c/long/way/to/go", "d"};
enum { WORDS = sizeof words / sizeof *words };

static pm_map map_of_words(const pm_ops *ops) {
    pm_map m = pm_new(ops, NULL);
    for (size_t i = 0; i < WORDS; i++) CHECK_OK(pm_set(&m, words[i], strlen(words[i]), i, NULL));
    return m;
}

/* ---- several threads, one zipper ----------------------------------------------------------------------------- */

#if !PM_NO_THREADS
typedef struct asker {
    const pm_rz *z;
    const pm_ref *r;
} asker;

static void ask_zipper(const pm_rz *z) {
    size_t len;
    uint64_t n = 0;
    pm_map made;
    pm_rz fork, owned;
    const uint8_t *path = pm_rz_path(z, &len);
    CHECK_MEM_EQ(path, len, "b/2", 3);
    path = pm_rz_origin_path(z, &len);
    CHECK_MEM_EQ(path, len, "b/2", 3);
    path = pm_rz_root_prefix(z, &len);
    CHECK(path && len == 0);
    CHECK(!pm_rz_at_root(z) && pm_rz_exists(z) && pm_rz_is_val(z));
    CHECK_EQ(*pm_rz_val(z), 5);
    CHECK_EQ(*pm_rz_val_at(z, "/x", 2), 6);
    CHECK_EQ(pm_rz_child_count(z), 1);
    pm_mask children = pm_rz_child_mask(z);
    CHECK(pm_mask_test(&children, '/'));
    CHECK_OK(pm_rz_val_count(z, &n));
    CHECK_EQ(n, 2);
    (void)pm_rz_is_shared(z), (void)pm_rz_shared_node_id(z);
    CHECK_OK(pm_rz_make_map(z, &made));
    CHECK(pm_contains(&made, "/x", 2));
    pm_drop(&made);
    CHECK_OK(pm_rz_fork(z, &fork));
    CHECK(pm_rz_to_next_val(&fork) && *pm_rz_val(&fork) == 6);
    pm_rz_drop(&fork);
    CHECK_OK(pm_rz_fork_owned(z, &owned));
    pm_rz_drop(&owned);
    pm_witness w = pm_rz_witness(z);
    const pm_val *v;
    CHECK_OK(pm_rz_val_witnessed(z, &w, &v));
    CHECK_EQ(*v, 5);
    pm_witness_drop(&w);
    for (pm_iter i = pm_iter_vals_of_rz(z); pm_iter_next(&i);) CHECK(*i.val >= 5);
}

static void ask_reference(const pm_ref *r) {
    pm_map made;
    CHECK(pm_ref_exists(r) && *pm_ref_val(r) == 5 && *pm_ref_val_at(r, "/x", 2) == 6);
    CHECK_EQ(pm_ref_child_count(r), 1);
    pm_mask children = pm_ref_child_mask(r);
    CHECK(pm_mask_test(&children, '/'));
    pm_ref below = pm_ref_at(r, "/x", 2);
    CHECK(pm_ref_val(&below) && *pm_ref_val(&below) == 6);
    CHECK_OK(pm_ref_make_map(r, &made));
    pm_drop(&made);
}

static void *ask(void *arg) {
    const asker *a = arg;
    for (int i = 0; i < 200; i++) {
        ask_zipper(a->z);
        ask_reference(a->r);
    }
    return NULL;
}

/* A borrowing zipper and one that owns; the owner of the map clones it meanwhile, which is reading. */
TEST(queries_of_one_zipper_come_from_many_threads) {
    enum { THREADS = 4 };
    pm_map m = map_of_words(NULL);
    for (int owned = 0; owned < 2; owned++) {
        pm_rz z;
        pthread_t threads[THREADS];
        CHECK_OK(owned ? pm_rz_open_owned(&m, NULL, 0, &z) : pm_rz_open(&m, NULL, 0, &z));
        CHECK(pm_rz_descend_to_check(&z, "b/2", 3));
        pm_ref r = pm_ref_of_rz(&z);
        asker a = {&z, &r};
        for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_create(&threads[i], NULL, ask, &a), 0);
        pm_map clone = pm_clone(&m);
        pm_drop(&clone);
        for (int i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(threads[i], NULL), 0);
        CHECK_EQ(check_failed(), 0);
        pm_rz_drop(&z);
    }
    pm_drop(&m);
}
#endif

/* ---- witnesses of iterators ---------------------------------------------------------------------------------- */

TEST(iterator_witness_keeps_what_was_shown) {
    int64_t held = counted_held();
    pm_map m = pm_new(counted_ops(), NULL);
    const pm_val *seen[WORDS];
    pm_val is[WORDS];
    size_t n = 0;
    for (size_t i = 0; i < WORDS; i++)
        CHECK_OK(pm_set(&m, words[i], strlen(words[i]), counted_new(), NULL));
    pm_iter i = pm_iter_vals(&m);
    pm_witness w = pm_iter_witness(&i); /* before the first step, or later: the same */
    while (pm_iter_next(&i)) {
        CHECK_OK(pm_iter_val_witnessed(&i, &w, &seen[n]));
        CHECK_EQ(*seen[n], *i.val);
        is[n++] = *i.val;
    }
    CHECK_EQ(n, WORDS);
    CHECK_EQ(pm_iter_val_witnessed(&i, &w, &seen[0]), PM_INVALID); /* it has ended */
    for (size_t k = 0; k < WORDS; k++) CHECK_OK(pm_remove(&m, words[k], strlen(words[k]), PM_PRUNE, NULL));
    pm_drop(&m);
    for (size_t k = 0; k < n; k++) CHECK_EQ(*seen[k], is[k]);
    pm_witness_drop(&w);
    CHECK_EQ(counted_held(), held);
}

TEST(iterator_witness_is_of_its_own_content_only) {
    pm_map m = map_of_words(NULL), other = map_of_words(NULL);
    const pm_val *v = NULL;
    pm_iter i = pm_iter_vals(&m), j = pm_iter_paths(&other);
    pm_witness w = pm_iter_witness(&i), ended, none = pm_iter_witness(NULL);
    CHECK(pm_iter_next(&j) && pm_iter_next(&j));
    CHECK_EQ(pm_iter_val_witnessed(&j, &w, &v), PM_INVALID);
    CHECK_EQ(pm_iter_val_witnessed(NULL, &w, &v), PM_INVALID);
    CHECK_EQ(pm_iter_val_witnessed(&i, NULL, &v), PM_INVALID);
    pm_witness of_j = pm_iter_witness(&j);
    while (pm_iter_next(&j)) { /* also at locations without a value */
        CHECK_OK(pm_iter_val_witnessed(&j, &of_j, &v));
        CHECK(v == j.val);
    }
    ended = pm_iter_witness(&j);
    CHECK_EQ(ended.top, 0);
    pm_iter_drop(&i);
    pm_witness_drop(&w);
    pm_witness_drop(&of_j);
    pm_witness_drop(&ended);
    pm_witness_drop(&none);
    pm_drop(&m);
    pm_drop(&other);
}

/* ---- sharing ------------------------------------------------------------------------------------------------- */

static pm_sharing sharing_of(const pm_map *const *maps, size_t n) {
    pm_sharing s;
    memset(&s, 7, sizeof s);
    CHECK_OK(pm_get_sharing(maps, n, &s));
    CHECK(s.nodes <= s.apart_nodes && s.shared_nodes <= s.nodes && s.bytes <= s.apart_bytes);
    CHECK(s.shared_bytes <= s.bytes);
    return s;
}

static void fill_at_random(pm_map *m, size_t n) {
    for (size_t i = 0; i < n; i++) {
        uint8_t key[4];
        for (size_t k = 0; k < 4; k++) key[k] = (uint8_t)check_below(k == 0 ? 90 : 250);
        CHECK_OK(pm_set(m, key, 1 + check_below(4), i, NULL));
    }
}

TEST(sharing_of_one_map_is_what_its_statistics_say) {
    pm_map m = pm_new(NULL, NULL);
    fill_at_random(&m, 3000);
    pm_stats stats;
    CHECK_OK(pm_get_stats(&m, &stats));
    pm_sharing s = sharing_of((const pm_map *const[]){&m}, 1);
    CHECK_EQ(s.nodes, stats.nodes);
    CHECK_EQ(s.bytes, stats.bytes);
    CHECK_EQ(s.apart_bytes, stats.bytes);
    CHECK_EQ(s.shared_nodes, 0);
    CHECK_EQ(sharing_of(NULL, 0).nodes, 0);
    pm_drop(&m);
}

TEST(sharing_of_clones_grows_with_what_is_written) {
    enum { CLONES = 10 };
    pm_map m = pm_new(NULL, NULL), clones[CLONES];
    const pm_map *maps[CLONES + 1] = {&m};
    pm_stats stats;
    fill_at_random(&m, 3000);
    CHECK_OK(pm_get_stats(&m, &stats));
    for (int i = 0; i < CLONES; i++) clones[i] = pm_clone(&m), maps[i + 1] = &clones[i];
    pm_sharing same = sharing_of(maps, CLONES + 1);
    CHECK_EQ(same.bytes, stats.bytes);
    CHECK_EQ(same.shared_bytes, stats.bytes);
    CHECK_EQ(same.apart_bytes, stats.bytes * (CLONES + 1));
    uint64_t written = stats.bytes;
    for (int i = 0; i < CLONES; i++) {
        CHECK_OK(pm_set(&clones[i], "abc", 3, 7, NULL));
        pm_sharing pair = sharing_of((const pm_map *const[]){&m, &clones[i]}, 2);
        pm_stats own;
        CHECK_OK(pm_get_stats(&clones[i], &own));
        CHECK_EQ(pair.apart_bytes, stats.bytes + own.bytes);
        CHECK_EQ(pair.shared_bytes, pair.apart_bytes - pair.bytes); /* of two */
        CHECK(pair.bytes > stats.bytes && pair.shared_bytes < stats.bytes);
        written += own.bytes - pair.shared_bytes;
    }
    pm_sharing all = sharing_of(maps, CLONES + 1);
    CHECK_EQ(all.bytes, written);
    for (int i = 0; i < CLONES; i++) pm_drop(&clones[i]);
    pm_drop(&m);
}

/* What one map holds twice is no sharing with another. */
TEST(sharing_within_a_map_is_counted_once) {
    pm_map part = pm_new(NULL, NULL), m = pm_new(NULL, NULL), built = pm_new(NULL, NULL);
    pm_wz w;
    fill_at_random(&part, 400);
    CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
    for (int i = 0; i < 3; i++) {
        uint8_t b = (uint8_t)i;
        pm_rz_reset(pm_wz_cursor(&w));
        pm_rz_descend_to_byte(pm_wz_cursor(&w), b);
        CHECK_OK(pm_wz_graft_map(&w, &part));
    }
    CHECK_OK(pm_wz_drop(&w));
    pm_stats stats;
    CHECK_OK(pm_get_stats(&m, &stats));
    pm_sharing alone = sharing_of((const pm_map *const[]){&m}, 1);
    CHECK_EQ(alone.nodes, stats.nodes);
    CHECK_EQ(alone.apart_nodes, stats.nodes);
    CHECK_EQ(alone.shared_nodes, 0);
    pm_sharing both = sharing_of((const pm_map *const[]){&m, &part}, 2);
    CHECK(both.shared_nodes > 0 && both.nodes < stats.nodes + 4);
    CHECK_OK(pm_set(&built, "x", 1, 1, NULL));
    CHECK_EQ(sharing_of((const pm_map *const[]){&built, &part}, 2).shared_nodes, 0);
    pm_drop(&part);
    pm_drop(&m);
    pm_drop(&built);
}

TEST(sharing_refuses_what_no_caller_should_pass) {
    pm_map m = pm_new(NULL, NULL);
    pm_sharing s;
    CHECK_EQ(pm_get_sharing(NULL, 1, &s), PM_INVALID);
    CHECK_EQ(pm_get_sharing((const pm_map *const[]){&m, NULL}, 2, &s), PM_INVALID);
    CHECK_EQ(pm_get_sharing((const pm_map *const[]){&m}, 1, NULL), PM_INVALID);
}

TEST(sharing_without_memory_is_told) {
    pm_map m = pm_new(NULL, NULL);
    fill_at_random(&m, 300);
    pm_map clone = pm_clone(&m);
    bool more = true;
    for (uint64_t nth = 1; more; nth++) {
        pm_sharing s, mark;
        memset(&s, 7, sizeof s);
        mark = s;
        check_fail_alloc(nth);
        pm_status st = pm_get_sharing((const pm_map *const[]){&m, &clone}, 2, &s);
        more = check_alloc_fails() != 0;
        check_fail_alloc(0);
        CHECK_EQ(st, more ? PM_NOMEM : PM_OK);
        if (more) CHECK(memcmp(&s, &mark, sizeof s) == 0);
    }
    pm_drop(&m);
    pm_drop(&clone);
}
