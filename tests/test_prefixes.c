/* Prefixes of a key on read zippers: over maps, snapshots and views, against the same on a map. */
#include "check.h"

#include "library.h"

enum { KEY = 12 };

static size_t random_key(uint8_t *key, size_t max) {
    size_t len = check_below(max + 1);
    for (size_t i = 0; i < len; i++) key[i] = (uint8_t)(check_below(8) ? 'a' : 'b');
    return len;
}

static pm_map random_map(const pm_ops *ops) {
    pm_map m = pm_new(ops, NULL);
    uint8_t key[KEY];
    for (uint64_t i = check_below(30); i > 0; i--) {
        size_t len = random_key(key, KEY);
        if (check_below(6)) CHECK_OK(pm_set(&m, key, len, i, NULL));
        else CHECK_OK(pm_create_path(&m, key, len, NULL));
    }
    return m;
}

typedef struct heard {
    size_t n, stop_at, len[KEY + 2];
    pm_val val[KEY + 2];
} heard;

static bool hear(void *ctx, size_t len, pm_val val) {
    heard *h = ctx;
    h->len[h->n] = len, h->val[h->n] = val;
    return ++h->n != h->stop_at;
}

/* Asks a zipper, at its focus, what it should say of the map of what lies there. */
static void ask(pm_rz *z, const uint8_t *key, size_t len) {
    pm_map m;
    CHECK_OK(pm_rz_make_map(z, &m));
    size_t before = 0, after = 0, want_len = 99, found = 99;
    (void)pm_rz_path(z, &before);
    heard want = {0, check_below(4), {0}, {0}}, got = {0, want.stop_at, {0}, {0}};
    CHECK_OK(pm_each_prefix(&m, key, len, hear, &want));
    CHECK_OK(pm_rz_each_prefix(z, key, len, hear, &got));
    CHECK_EQ(memcmp(&want, &got, sizeof want), 0);
    (void)pm_rz_path(z, &after);
    CHECK_EQ(before, after);

    const pm_val *v = pm_longest_prefix(&m, key, len, &want_len);
    CHECK_EQ(pm_rz_descend_longest_prefix(z, key, len, &found), v != NULL);
    CHECK_EQ(found, want_len);
    (void)pm_rz_path(z, &after);
    CHECK_EQ(after - before, v ? found : 0);
    if (v) CHECK_EQ(*pm_rz_val(z), *v);
    CHECK(pm_rz_ascend(z, after - before));

    pm_item item = {0};
    CHECK_OK(pm_common_prefix(&m, "", 0, &item));
    CHECK_EQ(pm_rz_descend_common_prefix(z), item.len);
    const uint8_t *path = pm_rz_path(z, &after);
    CHECK_MEM_EQ(path + before, after - before, item.key, item.len);
    CHECK(pm_rz_ascend(z, after - before));
    pm_item_drop(&item);
    pm_drop(&m);
}

static void open_any(unsigned kind, const pm_map *m, const pm_map *n, pm_rz *out) {
    pm_rz a, b;
    if (kind == 0) {
        CHECK_OK(pm_rz_open(m, NULL, 0, out));
        return;
    }
    if (kind == 1) {
        CHECK_OK(pm_rz_open_owned(m, NULL, 0, out));
        return;
    }
    CHECK_OK(pm_rz_open(m, NULL, 0, &a));
    CHECK_OK(pm_rz_open(n, NULL, 0, &b));
    if (kind == 2) CHECK_OK(pm_view_overlay(&a, &b, NULL, NULL, out));
    else if (kind == 3) CHECK_OK(pm_view_meet(&a, &b, out));
    else if (kind == 4) CHECK_OK(pm_view_subtract(&a, &b, out));
    else CHECK_OK(pm_view_prefix(&a, "aab", 3, NULL, 0, out));
    pm_rz_drop(&a);
    pm_rz_drop(&b);
}

TEST(prefixes_on_zippers_are_those_on_maps) {
    const pm_ops *tables[] = {pm_ops_left(), pm_ops_lattice(), pm_ops_unit()};
    for (unsigned round = 0; round < 3000; round++) {
        const pm_ops *ops = tables[round % 3];
        pm_map m = random_map(ops), n = random_map(ops), held = pm_clone(&m);
        pm_rz z;
        uint8_t key[KEY];
        unsigned kind = round % 6;
        open_any(kind, &m, &n, &z);
        if (kind == 1) CHECK_OK(pm_set(&m, "aaa", 3, 77, NULL)); /* a snapshot does not notice */
        for (int i = 0; i < 4; i++) {
            pm_rz_reset(&z);
            size_t len = i ? random_key(key, 4) : 0;
            pm_rz_descend_to(&z, key, len); /* which may lead off the trie */
            ask(&z, key, random_key(key, KEY));
            CHECK_OK(pm_rz_status(&z));
        }
        pm_rz_drop(&z);
        pm_drop(&m);
        pm_drop(&n);
        pm_drop(&held);
    }
}

/* Moves need memory for the path: without it nothing moves, and the status tells. */
TEST(prefixes_on_zippers_survive_lack_of_memory) {
    static uint8_t key[2000];
    uint64_t failed = 0;
    for (unsigned kind = 0; kind < 6; kind++) {
        for (uint64_t nth = 1;; nth++) {
            pm_pool_trim(NULL);
            uint64_t blocks = check_live_blocks();
            pm_map m = {0}, n = {0};
            for (size_t len = 0; len <= sizeof key; len += 200) CHECK_OK(pm_set(&m, key, len, len + 1, NULL));
            if (kind == 3) n = pm_clone(&m);
            pm_rz z;
            heard h = {0, 3, {0}, {0}};
            open_any(kind, &m, &n, &z);
            size_t moved = 0, found = 0, depth = 0;
            check_fail_allocs_from(nth);
            bool some = pm_rz_descend_longest_prefix(&z, key, sizeof key, &found);
            (void)pm_rz_path(&z, &depth);
            pm_status s = pm_rz_status(&z);
            CHECK_EQ(depth, found);
            if (s == PM_OK && some) CHECK(pm_rz_ascend(&z, found));
            if (s == PM_OK) s = pm_rz_each_prefix(&z, key, sizeof key, hear, &h);
            if (s == PM_OK) moved = pm_rz_descend_common_prefix(&z), s = pm_rz_status(&z);
            uint64_t fails = check_alloc_fails();
            check_fail_alloc(0);
            failed += fails;
            if (s != PM_OK) CHECK_EQ(s, PM_NOMEM);
            if (!fails) CHECK_OK(s);
            if (!fails && kind < 4) CHECK(found == sizeof key && h.n == 3 && moved == 0);
            pm_rz_drop(&z);
            pm_drop(&m);
            pm_drop(&n);
            pm_pool_trim(NULL);
            CHECK_EQ(check_live_blocks(), blocks);
            if (!fails) break;
        }
    }
    CHECK(failed > 5);
}

TEST(prefixes_of_nothing) {
    pm_map m = {0};
    pm_rz z = {0};
    heard h = {0, 0, {0}, {0}};
    CHECK(!pm_rz_descend_longest_prefix(&z, "abc", 3, NULL));
    CHECK_EQ(pm_rz_descend_common_prefix(&z), 0);
    CHECK_OK(pm_rz_each_prefix(&z, "abc", 3, hear, &h));
    CHECK_EQ(h.n, 0);
    CHECK_EQ(pm_rz_each_prefix(&z, NULL, 3, hear, &h), PM_INVALID);
    CHECK_EQ(pm_rz_each_prefix(&z, "abc", 3, NULL, NULL), PM_INVALID);
    CHECK(!pm_rz_descend_longest_prefix(&z, NULL, 3, NULL));
    pm_rz_drop(&z);
    pm_drop(&m);
}
