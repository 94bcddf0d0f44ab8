/* pm_check names what is broken, one invariant at a time; statistics, dumps of known shapes. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"

#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#include "../pathmap.h"

#include "doubled.h"
#include "sink.h"
#include "small_stack.h"

/* ---- helpers ------------------------------------------------------------------------------------------------- */

static void put(pm_map *m, const char *key, pm_val v) { CHECK_OK(pm_set(m, key, strlen(key), v, NULL)); }

/* Lets the location `key` of `m` lead to what is in `sub`, shared. */
static void hang(pm_map *m, const char *key, const pm_map *sub) {
    pm__cx cx = pm__map_cx(m);
    pm__ref_retain(sub->root);
    CHECK(pm__trie_graft(&cx, &m->root, (const uint8_t *)key, strlen(key), sub->root));
    if (sub->has_value) put(m, key, sub->value);
}

/* Counts lines only. */
static bool count_lines(void *ctx, const char *s, size_t len) {
    for (size_t i = 0; i < len; i++) *(size_t *)ctx += s[i] == '\n';
    return true;
}

static void check_text(text *t, const char *want) {
    CHECK_STR_EQ(t->data ? t->data : "", want);
    free(t->data);
    memset(t, 0, sizeof *t);
}

static void check_sound(const pm_map *m) {
    const char *why = "untouched";
    pm_status s = pm_check(m, &why);
    CHECK_NOTE(s == PM_OK, "pm_check: %s, %s", pm_status_text(s), why);
    CHECK_STR_EQ(why, "untouched");
}

/* A node under damage: its bytes are put back after each look. */
typedef struct patient {
    pm_map *m;
    pm_map handle;
    void *node;
    size_t size;
    unsigned char saved[512];
} patient;

static patient admit(pm_map *m, void *node, size_t size) {
    patient p = {m, *m, node, size, {0}};
    CHECK(size <= sizeof p.saved);
    memcpy(p.saved, node, size);
    return p;
}

static void diagnose(const patient *p, const char *want, int line) {
    const char *why = "nothing";
    pm_status s = pm_check(p->m, &why), blind = pm_check(p->m, NULL);
    memcpy(p->node, p->saved, p->size);
    *p->m = p->handle;
    CHECK_NOTE(s == PM_CORRUPT && blind == s && strcmp(why, want) == 0, "line %d: wanted %s, got %s, %s", line, want,
               pm_status_text(s), why);
    check_sound(p->m);
}

/* Does some damage, has it diagnosed, and undoes it. */
#define BREAK(p, damage, want)                                                                                        \
    do {                                                                                                              \
        damage;                                                                                                       \
        diagnose(&(p), want, __LINE__);                                                                               \
    } while (0)

static pm__line *line_at(pm__ref r) {
    CHECK_EQ(pm__ref_kind(r), PM__LINE);
    return (pm__line *)pm__ref_ptr(r);
}

static pm__byte *byte_at(pm__ref r, unsigned kind) {
    CHECK_EQ(pm__ref_kind(r), kind);
    return (pm__byte *)pm__ref_ptr(r);
}

/* One line: prefix "pre" with a value at its end, then a, b, bc. */
static pm_map prefixed(void) {
    static const pm_key keys[] = {{"pre", 3}, {"prea", 4}, {"preb", 4}, {"prebc", 5}};
    static const pm_val vals[] = {1, 2, 3, 4};
    pm_map m = {0};
    CHECK_OK(pm_build(NULL, NULL, keys, vals, 4, &m));
    return m;
}

/* n bytes that each have a value and a child. */
static pm_map fan(unsigned n, const pm_ops *ops, pm_pool *pool) {
    pm_map m = pm_new(ops, pool);
    for (unsigned i = 0; i < n; i++) {
        uint8_t k[2] = {(uint8_t)i, 'x'};
        CHECK_OK(pm_set(&m, k, 1, i, NULL));
        CHECK_OK(pm_set(&m, k, 2, i, NULL));
    }
    return m;
}

/* Under "x" and "y" two wide nodes that differ in their last block only, the others being common. */
static pm_map common_blocks(pm_pool *pool) {
    pm_map a = fan(64, NULL, pool), b = pm_clone(&a), m = pm_new(NULL, pool);
    CHECK_OK(pm_set(&b, "\077y", 2, 1, NULL));
    hang(&m, "x", &a);
    hang(&m, "y", &b);
    pm_drop(&a);
    pm_drop(&b);
    return m;
}

/* 2^levels values: each level leads twice to the one below. */
static pm_map doubled_key(unsigned levels, pm_pool *pool) {
    pm_map m = pm_new(NULL, pool);
    put(&m, "k", 7);
    return doubled(m, levels, "0", "1");
}

static pm_pool *own_pool(void) {
    pm_pool *pool = NULL;
    CHECK_OK(pm_pool_new(NULL, &pool));
    return pool;
}

/* ---- check --------------------------------------------------------------------------------------------------- */

TEST(check_accepts_maps_of_all_shapes) {
    pm_map zero = {0}, m = pm_new(pm_ops_unit(), NULL);
    check_sound(&zero);
    check_sound(&m);
    put(&m, "", 0);
    check_sound(&m);
    CHECK_OK(pm_create_path(&m, "dangling", 8, NULL));
    check_sound(&m);
    pm_drop(&m);
    m = fan(40, NULL, NULL);
    check_sound(&m);
    pm_drop(&m);
    m = common_blocks(NULL);
    check_sound(&m);
    pm_drop(&m);
    m = doubled_key(80, NULL);
    check_sound(&m);
    pm_drop(&m);
}

TEST(check_names_what_is_wrong_with_a_header) {
    pm_map m = prefixed();
    pm__line *x = line_at(m.root);
    patient p = admit(&m, x, pm__line_size(x));
    CHECK_EQ(x->n, 4);
    BREAK(p, m.root += 4, "reference: no address of a node");
    BREAK(p, pm__count_store(&x->rc, 0), "node: impossible reference count");
#if PATHMAP_SLIM_PTRS
    BREAK(p, pm__count_store(&x->rc, 0x90000000u), "node: impossible reference count");
    BREAK(p, pm__count_store(&x->rc, 0xDDDDDDDDu), "node: impossible reference count");
    BREAK(p, m.root |= (uint64_t)3 << 58, "reference: its kind is not the node's");
    BREAK(p, m.root ^= (uint64_t)PM__BYTE << 58, "reference: its kind is not the node's");
    BREAK(p, m.root ^= (uint64_t)1 << 60, "reference: tag is not the line's size");
    BREAK(p, m.root |= (uint64_t)1 << 63, "reference: tag is not the line's size");
    BREAK(p, x->flags |= PM__BYTE, "reference: its kind is not the node's");
    pm__count_store(&x->rc, PM__COUNT_PARKED); /* for ever, but sound */
    check_sound(&m);
    pm__count_store(&x->rc, 1);
#else
    BREAK(p, pm__count_store(&x->rc, (uint64_t)1 << 62), "node: impossible reference count");
    BREAK(p, x->flags |= 3, "node: unknown flags");
#endif
    BREAK(p, x->flags |= 0x40, "node: unknown flags");
    BREAK(p, x->flags ^= PM__LINE_UNIT, "node: unit flag is not that of the map's values");
    BREAK(p, m.ops = pm_ops_unit(), "node: unit flag is not that of the map's values");
    pm_drop(&m);
    m = pm_new(pm_ops_unit(), NULL);
    put(&m, "a", 0);
    p = admit(&m, pm__ref_ptr(m.root), sizeof(pm__line));
    BREAK(p, (m.has_value = true, m.value = 1), "map: root value of a unit map is not 0");
    pm_drop(&m);
}

TEST(check_limits_what_a_line_spells_out) {
    pm_map m = {0};
    char key[256];
    memset(key, 'p', sizeof key);
    key[250] = 'a';
    CHECK_OK(pm_set(&m, key, 251, 1, NULL));
    key[250] = 'b';
    CHECK_OK(pm_set(&m, key, 256, 2, NULL));
    pm__line *x = line_at(m.root);
    patient p = admit(&m, x, pm__line_size(x));
    CHECK_EQ(x->plen, 250);
    BREAK(p, x->plen = 251, "line: prefix and suffix have more than 256 bytes");
    pm_drop(&m);
}

TEST(check_names_what_is_wrong_with_a_line) {
    pm_map m = prefixed();
    pm__line *x = line_at(m.root);
    patient p = admit(&m, x, pm__line_size(x));
    uint8_t *first = x->body, *lens = x->body + x->n;
    CHECK_EQ(x->plen, 3);
    CHECK(pm__line_has_e(x));
    BREAK(p, x->n = 0, "line: no entries");
    BREAK(p, x->n = 33, "line: too many entries");
    BREAK(p, x->size8 = 5, "line: size of no allocation");
    BREAK(p, x->size8 = 80, "line: size of no allocation");
    BREAK(p, x->n = 24, "line: vector loads leave the block");
    BREAK(p, x->cmask |= 1u << 4, "line: child bits beyond the entries");
    BREAK(p, lens[1] = 60, "line: heap and payloads do not fit the block");
    BREAK(p, lens[3] = 255, "line: heap and payloads do not fit the block");
    BREAK(p, x->plen = 0, "line: value at the end of a prefix, but no prefix");
    BREAK(p, x->cmask |= 1, "line: child at the end of the prefix");
    BREAK(p, first[0] = 'a', "line: value at the end of the prefix has a suffix");
    BREAK(p, (lens[0] = 1, lens[3] = 0), "line: value at the end of the prefix has a suffix");
    BREAK(p, first[1] = 'c', "line: entries out of order");
    BREAK(p, first[2] = 'a', "line: two values for one suffix");
    BREAK(p, x->cmask |= 1u << 2, "line: entry extends a child");
    BREAK(p, (first[1] = 'b', x->cmask |= 1u << 1), "line: entry repeats a child");
    BREAK(p, (first[1] = 'b', x->cmask |= 1u << 2, *pm__line_pay_at(x, 2) = 0), "line: dangling child beside a value");
    pm_drop(&m);
}

TEST(check_names_what_is_wrong_with_a_byte_node) {
    pm_map m = fan(40, NULL, NULL);
    pm__byte *x = byte_at(m.root, PM__BYTE);
    size_t size = offsetof(pm__byte, slot) + 8u * 40; /* children are among the first slots */
    patient p = admit(&m, x, size);
    BREAK(p, x->crank[1]++, "byte: ranks are not those of the masks");
    BREAK(p, x->vrank[3]--, "byte: ranks are not those of the masks");
    BREAK(p, x->nc++, "byte: counts are not those of the masks");
    BREAK(p, x->nv--, "byte: counts are not those of the masks");
    BREAK(p, (memset(x->val, 0, 64), pm__byte_ranks(x)), "byte: no children and no values");
    BREAK(p, x->cap = 513, "byte: capacity out of range");
    BREAK(p, x->cap = 79, "byte: children and values do not fit the slots");
    BREAK(p, *pm__byte_child(x, 7) = 0, "byte: dangling child beside a value");
    BREAK(p, x->slot[1] = x->slot[0], "node: more references than its count");
#if PATHMAP_SLIM_PTRS
    BREAK(p, m.root ^= (uint64_t)1 << 60, "reference: tag is not a byte node's");
#endif
    BREAK(p, x->flags |= 4, "node: unknown flags");
    pm_drop(&m);
}

TEST(check_names_what_is_wrong_with_a_tip) {
    pm_map m = pm_new(pm_ops_unit(), NULL);
    for (unsigned i = 0; i < 60; i++) CHECK_OK(pm_set(&m, &(uint8_t){(uint8_t)(4 * i)}, 1, 0, NULL));
    pm__byte *x = byte_at(m.root, PM__BYTE);
    CHECK(pm__byte_is_tip(x));
    patient p = admit(&m, x, offsetof(pm__byte, child));
    BREAK(p, x->val[2] ^= 2, "byte: ranks are not those of the masks");
    BREAK(p, x->vrank[1]++, "byte: ranks are not those of the masks");
    BREAK(p, x->nc = 1, "byte: counts are not those of the masks");
    BREAK(p, (memset(x->val, 0, sizeof x->val), pm__byte_ranks(x)), "byte: no children and no values");
    BREAK(p, (x->flags = PM__WIDE | PM__BYTE_UNIT, m.root = pm__byte_ref(x)), "byte: a tip that is wide");
    pm_drop(&m);
}

TEST(check_names_what_is_wrong_with_a_wide_node) {
    pm_map m = fan(100, NULL, NULL);
    pm__byte *x = byte_at(m.root, PM__WIDE);
    pm__block *k = pm__byte_block(x, 2);
    patient p = admit(&m, x, offsetof(pm__byte, slot) + 8 * PM__WIDE_BLOCKS);
    BREAK(p, x->slot[3] = 0, "wide: block missing");
    BREAK(p, x->slot[15] = x->slot[0], "wide: block without children");
    BREAK(p, x->slot[0]++, "wide: no address of a block");
    BREAK(p, x->slot[1] = x->slot[0], "wide: more references to a block than its count");
    BREAK(p, (x->flags = PM__BYTE, m.root = pm__byte_ref(x)), "byte: too many children for a flat node");
    p = admit(&m, k, offsetof(pm__block, slot) + 8 * 16);
    BREAK(p, pm__count_store(&k->rc, 0), "wide: impossible reference count of a block");
    BREAK(p, k->cap = 15, "wide: children do not fit a block");
    BREAK(p, k->cap = 17, "wide: children do not fit a block");
    BREAK(p, k->slot[3] = 0, "byte: dangling child beside a value");
    BREAK(p, k->slot[3] = k->slot[4], "node: more references than its count");
    pm_drop(&m);
}

TEST(check_names_what_is_wrong_with_a_range_node) {
    pm_map m = {0};
    uint64_t random = 7;
    for (unsigned i = 0; i < 300; i++) {
        uint8_t k[8] = {0};
        random = random * 6364136223846793005u + 1442695040888963407u;
        for (unsigned j = i < 60; j < sizeof k; j++) k[j] = (uint8_t)(random >> (56 - 8 * j)); /* 60 lie below 0 */
        CHECK_OK(pm_set(&m, k, sizeof k, i, NULL));
    }
    CHECK_EQ(pm__ref_kind(m.root), PM__RANGE);
    pm__line *x = (pm__line *)pm__ref_ptr(m.root);
    pm__ref *part[] = {pm__line_part_at(x, 0), pm__line_part_at(x, 1), pm__line_part_at(x, 2)}, first = *part[0];
    CHECK(x->n > 3 && line_at(first)->cmask);
    patient p = admit(&m, x, pm__line_size(x));
    BREAK(p, x->body[0] = 1, "range: the first part does not begin at 0");
    BREAK(p, x->body[1] = x->body[2], "range: parts out of order");
    BREAK(p, *part[1] = 0, "range: empty part");
    BREAK(p, (*part[0] = *part[1], *part[1] = first), "range: a path is in the wrong part");
    BREAK(p, x->body[1]++, "range: a path is in the wrong part");
    BREAK(p, x->body[2] = (uint8_t)(x->body[1] + 1), "range: a path is in the wrong part");
    BREAK(p, *part[2] = *part[1], "node: more references than its count");
    pm_drop(&m);
}

TEST(check_compares_counts_with_the_references_it_meets) {
    pm_map m = doubled_key(3, NULL);
    pm__line *x = line_at(m.root), *below = line_at(*pm__line_child(x, 0));
    patient p = admit(&m, below, pm__line_size(below));
    BREAK(p, pm__count_store(&below->rc, 1), "node: more references than its count");
    pm__count_store(&below->rc, 3); /* somebody else may hold it */
    check_sound(&m);
    pm__count_store(&below->rc, 2);
    pm__line *leaf = line_at(*pm__line_child(below, 0));
    p = admit(&m, leaf, pm__line_size(leaf));
    BREAK(p, *pm__line_child(leaf, 0) = m.root, "node: more references than its count"); /* a circle */
    pm_drop(&m);
    m = common_blocks(NULL);
    x = line_at(m.root);
    pm__block *k = pm__byte_block(byte_at(*pm__line_child(x, 1), PM__WIDE), 0);
    CHECK_PTR_EQ(k, pm__byte_block(byte_at(*pm__line_child(x, 0), PM__WIDE), 0));
    p = admit(&m, k, sizeof *k);
    BREAK(p, pm__count_store(&k->rc, 1), "wide: more references to a block than its count");
    pm_drop(&m);
}

TEST(check_finds_damage_far_from_the_root) {
    pm_map m = {0};
    static uint8_t key[5000];
    memset(key, 'k', sizeof key);
    CHECK_OK(pm_set(&m, key, sizeof key, 1, NULL));
    CHECK_OK(pm_set(&m, key, sizeof key - 1, 1, NULL));
    pm__ref r = m.root;
    while (pm__line_is_child(line_at(r), line_at(r)->n - 1u)) r = *pm__line_child(line_at(r), line_at(r)->n - 1u);
    pm__line *x = line_at(r);
    patient p = admit(&m, x, pm__line_size(x));
    BREAK(p, x->n = 0, "line: no entries");
    pm_drop(&m);
}

/* ---- statistics ---------------------------------------------------------------------------------------------- */

/* What a map takes is what its pool has given out, if nothing else lives there. */
static pm_stats stats_of(const pm_map *m) {
    pm_stats s = {0};
    pm_pool_stats p = {0};
    CHECK_OK(pm_get_stats(m, &s));
    pm_pool_get_stats(m->pool, &p);
    CHECK_EQ(s.bytes, p.live);
    CHECK_EQ(s.nodes + s.blocks, p.nodes);
    CHECK_EQ(s.nodes, s.line_nodes + s.byte_nodes + s.wide_nodes);
    uint64_t sum = 0;
    for (unsigned i = 0; i < PM_STATS_DEPTHS; i++) sum += s.nodes_at_depth[i];
    CHECK_EQ(sum, s.nodes);
    return s;
}

TEST(stats_of_small_maps) {
    pm_pool *pool = own_pool();
    pm_map m = pm_new(NULL, pool);
    pm_stats s = stats_of(&m), nothing = {0};
    nothing.locations = 1;
    CHECK_MEM_EQ(&s, sizeof s, &nothing, sizeof nothing);
    put(&m, "", 1);
    CHECK_EQ(stats_of(&m).values, 1);
    put(&m, "pre", 1), put(&m, "prea", 2), put(&m, "preb", 3), put(&m, "prebc", 4);
    CHECK_OK(pm_create_path(&m, "prez", 4, NULL));
    s = stats_of(&m);
    CHECK_EQ(s.values, 5);
    CHECK_EQ(s.locations, 8);
    CHECK_EQ(s.line_nodes, 1);
    CHECK_EQ(s.line_entries, 5);
    CHECK_EQ(s.dangling, 1);
    CHECK_EQ(s.references, 1);
    CHECK_EQ(s.unshared_nodes, 1);
    CHECK_EQ(s.max_depth, 1);
    CHECK_EQ(s.nodes_at_depth[0], 1);
    pm_drop(&m);
    CHECK_OK(pm_pool_free(pool));
}

TEST(stats_of_a_chain_and_its_depths) {
    static uint8_t key[40 * PM__SUFFIX_MAX];
    pm_pool *pool = own_pool();
    pm_map m = pm_new(NULL, pool);
    CHECK_OK(pm_set(&m, key, sizeof key, 1, NULL));
    pm_stats s = stats_of(&m);
    CHECK_EQ(s.line_nodes, 40);
    CHECK_EQ(s.max_depth, 40);
    CHECK_EQ(s.locations, sizeof key + 1);
    for (unsigned i = 0; i < PM_STATS_DEPTHS; i++) CHECK_EQ(s.nodes_at_depth[i], i < PM_STATS_DEPTHS - 1 ? 1 : 9);
    pm_drop(&m);
    CHECK_OK(pm_pool_free(pool));
}

TEST(stats_of_byte_and_wide_nodes) {
    pm_pool *pool = own_pool();
    pm_map m = fan(40, NULL, pool);
    pm_stats s = stats_of(&m);
    CHECK_EQ(s.byte_nodes, 1);
    CHECK_EQ(s.line_nodes, 40);
    CHECK_EQ(s.nodes_at_depth[1], 40);
    CHECK_EQ(s.blocks, 0);
    CHECK_OK(pm_create_path(&m, "\xff", 1, NULL));
    CHECK_EQ(stats_of(&m).dangling, 1);
    pm_drop(&m);
    m = fan(100, pm_ops_unit(), pool);
    s = stats_of(&m);
    CHECK_EQ(s.wide_nodes, 1);
    CHECK_EQ(s.blocks, 7);
    CHECK_EQ(s.references, 101);
    CHECK_EQ(s.values, 200);
    pm_drop(&m);
    CHECK_OK(pm_pool_free(pool));
}

TEST(stats_count_shared_nodes_once_and_occurrences_all) {
    pm_pool *pool = own_pool();
    pm_map m = doubled_key(10, pool);
    pm_stats s = stats_of(&m);
    CHECK_EQ(s.values, 1024);
    CHECK_EQ(s.nodes, 11);
    CHECK_EQ(s.references, 21);
    CHECK_EQ(s.shared_nodes, 10);
    CHECK_EQ(s.unshared_nodes, 2047);
    CHECK_EQ(s.max_depth, 11);
    pm_map c = pm_clone(&m);
    CHECK_EQ(stats_of(&m).shared_nodes, 11);
    pm_drop(&c);
    pm_drop(&m);
    m = doubled_key(80, pool);
    s = stats_of(&m);
    CHECK_EQ(s.values, UINT64_MAX);
    CHECK_EQ(s.unshared_nodes, UINT64_MAX);
    CHECK_EQ(s.nodes, 81);
    CHECK_EQ(s.nodes_at_depth[PM_STATS_DEPTHS - 1], 50);
    pm_drop(&m);
    CHECK_OK(pm_pool_free(pool));
}

TEST(stats_count_a_common_block_once) {
    pm_pool *pool = own_pool();
    pm_map m = common_blocks(pool);
    pm_stats s = stats_of(&m);
    CHECK_EQ(s.wide_nodes, 2);
    CHECK_EQ(s.blocks, 5);                 /* three in common, one each */
    CHECK_EQ(s.line_nodes, 1 + 64 + 1);    /* the copy of one child differs */
    CHECK_EQ(s.references, 1 + 2 + 2 * 64);
    CHECK_EQ(s.unshared_nodes, 1 + 2 + 2 * 64);
    pm_drop(&m);
    CHECK_OK(pm_pool_free(pool));
}

TEST(stats_count_the_shallowest_place_of_a_node) {
    pm_pool *pool = own_pool();
    pm_map leaf = pm_new(NULL, pool), m = pm_new(NULL, pool), mid = pm_new(NULL, pool);
    put(&leaf, "k", 1);
    hang(&mid, "b", &leaf);
    hang(&m, "a", &mid);
    hang(&m, "z", &leaf);
    pm_drop(&leaf);
    pm_drop(&mid);
    pm_stats s = stats_of(&m);
    CHECK_EQ(s.nodes_at_depth[1], 2);
    CHECK_EQ(s.nodes_at_depth[2], 0);
    CHECK_EQ(s.max_depth, 3);
    pm_drop(&m);
    CHECK_OK(pm_pool_free(pool));
}

/* ---- dumps --------------------------------------------------------------------------------------------------- */

TEST(dump_lists_values_and_dangling_locations_in_order) {
    pm_map m = {0};
    text t = {0};
    CHECK_OK(pm_dump(&m, take, &t));
    check_text(&t, "");
    put(&m, "b", 2), put(&m, "a", 1), put(&m, "ab", UINT64_MAX), put(&m, "", 0);
    CHECK_OK(pm_create_path(&m, "abc", 3, NULL));
    CHECK_OK(pm_create_path(&m, "z\0", 2, NULL));
    put(&m, "=!\\,~ \x7f\xff", 5);
    CHECK_OK(pm_dump(&m, take, &t));
    check_text(&t, "=0\n\\x3d\\x21\\x5c\\x2c~ \\x7f\\xff=5\na=1\nab=18446744073709551615\nabc!\nb=2\nz\\x00!\n");
    pm_drop(&m);
}

TEST(dump_of_units_byte_strings_and_shared_nodes) {
    text t = {0};
    pm_val v = 0;
    pm_map m = pm_new(pm_ops_unit(), NULL);
    put(&m, "set", 9);
    CHECK_OK(pm_dump(&m, take, &t));
    check_text(&t, "set=0\n");
    pm_drop(&m);
    m = pm_new(pm_ops_bytes(), NULL);
    CHECK_OK(pm_bytes_new("one\n", 4, &v));
    put(&m, "k", v);
    CHECK_OK(pm_dump(&m, take, &t));
    check_text(&t, "k=one\\x0a\n");
    pm_drop(&m);
    m = doubled_key(2, NULL);
    CHECK_OK(pm_dump(&m, take, &t));
    check_text(&t, "00k=7\n01k=7\n10k=7\n11k=7\n");
    pm_drop(&m);
}

static int by_bytes(const void *a, const void *b) { return strcmp(a, b); }

TEST(dump_of_random_maps_is_sorted_and_whole) {
    for (unsigned round = 0; round < 40; round++) {
        enum { KEYS = 600 };
        static char keys[KEYS][8];
        unsigned letters = round % 2 ? 3 : 60, distinct = 0;
        pm_map m = {0};
        text got = {0}, want = {0};
        for (unsigned i = 0; i < KEYS; i++) {
            unsigned len = 1 + (unsigned)check_below(7);
            memset(keys[i], 0, sizeof keys[i]);
            for (unsigned j = 0; j < len; j++) keys[i][j] = (char)('?' + check_below(letters));
            put(&m, keys[i], len);
        }
        check_sound(&m);
        qsort(keys, KEYS, sizeof keys[0], by_bytes);
        for (unsigned i = 0; i < KEYS; i++) {
            char line[48];
            if (i && strcmp(keys[i], keys[i - 1]) == 0) continue;
            distinct++;
            const char *k = keys[i];
            for (; *k; k++) take(&want, line, (size_t)snprintf(line, sizeof line, *k == '\\' ? "\\x5c" : "%c", *k));
            take(&want, line, (size_t)snprintf(line, sizeof line, "=%zu\n", strlen(keys[i])));
        }
        CHECK_OK(pm_dump(&m, take, &got));
        CHECK_MEM_EQ(got.data, got.len, want.data, want.len);
        uint64_t n = 0;
        CHECK_OK(pm_val_count(&m, &n));
        CHECK_EQ(n, distinct);
        free(got.data);
        free(want.data);
        pm_drop(&m);
    }
}

TEST(dumps_stop_when_the_sink_says_no) {
    pm_map m = doubled_key(80, NULL);
    text t = {.limit = 3};
    CHECK_EQ(pm_dump(&m, take, &t), PM_IO);
    CHECK_EQ(t.pieces, 3);
    t.pieces = 0;
    CHECK_EQ(pm_dump_nodes(&m, take, &t), PM_IO);
    CHECK_EQ(t.pieces, 3);
    free(t.data);
    pm_drop(&m);
}

/* The size that an otherwise equal text names differs between the two kinds of counts. */
static const char *with_size(const char *format, size_t a, size_t b) {
    static char buf[1024];
    snprintf(buf, sizeof buf, format, a, b);
    return buf;
}

TEST(dump_nodes_shows_entries_and_sharing) {
    pm_map m = {0}, sub = {0};
    text t = {0};
    CHECK_OK(pm_dump_nodes(&m, take, &t));
    check_text(&t, "map of values left, no nodes\n");
    put(&sub, "k", 7);
    m = prefixed();
    CHECK_OK(pm_remove_branches(&m, "preb", 4, PM_KEEP, NULL));
    CHECK_OK(pm_remove(&m, "preb", 4, PM_PRUNE, NULL));
    hang(&m, "prea", &sub);
    hang(&m, "preb!", &sub);
    CHECK_OK(pm_create_path(&m, "prec", 4, NULL));
    put(&m, "", 5);
    CHECK_OK(pm_dump_nodes(&m, take, &t));
    check_text(&t, with_size("map of values left, root value 5, root #1\n"
                             "\n#1 line, 5 entries, %zu bytes\n  prefix pre\n"
                             "  =1\n  a=2\n  a -> #2\n  b\\x21 -> #2\n  c!\n"
                             "\n#2 line, 1 entry, %zu bytes, 3 references\n  k=7\n",
                             pm__line_size(line_at(m.root)), pm__line_size(line_at(sub.root))));
    pm_drop(&m);
    pm_drop(&sub);
}

TEST(dump_nodes_shows_byte_nodes_and_blocks) {
    pm_map m = common_blocks(NULL), f = fan(40, NULL, NULL);
    text t = {0};
    CHECK_OK(pm_dump_nodes(&m, take, &t));
    CHECK(strstr(t.data, "\n#2 wide, 64 children, 64 values, "));
    CHECK(strstr(t.data, "  block of bytes 0..15: 16 children, 2 references\n"));
    CHECK(strstr(t.data, "  block of bytes 48..63: 16 children\n"));
    CHECK(strstr(t.data, "  A -> #") == NULL);
    CHECK(strstr(t.data, "\n  >=62\n  > -> #"));
    free(t.data);
    memset(&t, 0, sizeof t);
    CHECK_OK(pm_dump_nodes(&f, take, &t));
    CHECK(strstr(t.data, "\n#1 byte, 40 children, 40 values, "));
    free(t.data);
    pm_drop(&f);
    pm_drop(&m);
}

/* ---- limits -------------------------------------------------------------------------------------------------- */

static pm_status run_check(const pm_map *m) {
    const char *why = NULL;
    pm_status s = pm_check(m, &why);
    CHECK(why == NULL);
    return s;
}

static pm_status run_stats(const pm_map *m) {
    pm_stats s, before;
    memset(&s, 0x5a, sizeof s);
    before = s;
    pm_status st = pm_get_stats(m, &s);
    if (st != PM_OK) CHECK_MEM_EQ(&s, sizeof s, &before, sizeof before);
    return st;
}

static pm_status run_dump(const pm_map *m) {
    size_t lines = 0;
    return pm_dump(m, count_lines, &lines);
}

static pm_status run_dump_nodes(const pm_map *m) {
    size_t lines = 0;
    return pm_dump_nodes(m, count_lines, &lines);
}

TEST(running_out_of_memory_is_answered_and_leaks_nothing) {
    pm_status (*const run[])(const pm_map *) = {run_check, run_stats, run_dump, run_dump_nodes};
    pm_map m = common_blocks(NULL);
    static uint8_t key[20000];
    CHECK_OK(pm_set(&m, key, sizeof key, 1, NULL));
    uint64_t blocks = check_live_blocks(), bytes = check_live_bytes();
    for (unsigned i = 0; i < sizeof run / sizeof *run; i++) {
        for (uint64_t n = 1;; n++) {
            check_fail_alloc(n);
            pm_status s = run[i](&m);
            uint64_t fails = check_alloc_fails();
            check_fail_alloc(0);
            CHECK_EQ(check_live_blocks(), blocks);
            CHECK_EQ(check_live_bytes(), bytes);
            CHECK_EQ(s, fails ? PM_NOMEM : PM_OK);
            if (!fails) {
                CHECK(n > 2);
                break;
            }
        }
    }
    pm_drop(&m);
}

static void *inspect_deep(void *arg) {
    const pm_map *m = arg;
    size_t lines = 0, node_lines = 0;
    pm_stats s = {0};
    bool ok = pm_check(m, NULL) == PM_OK && pm_get_stats(m, &s) == PM_OK && pm_dump(m, count_lines, &lines) == PM_OK &&
              pm_dump_nodes(m, count_lines, &node_lines) == PM_OK;
    CHECK(ok);
    CHECK_EQ(lines, 2);
    CHECK_EQ(s.max_depth, s.nodes);
    CHECK(node_lines >= 1 + 2 * s.nodes + s.line_entries);
    return NULL;
}

TEST(depth_costs_no_stack) {
    size_t len = (size_t)4 << 20;
    uint8_t *key = malloc(len);
    CHECK(key != NULL);
    memset(key, 'd', len);
    pm_map m = {0};
    CHECK_OK(pm_set(&m, key, len, 1, NULL));
    CHECK_OK(pm_set(&m, key, len - 1, 1, NULL));
    run_on_small_stack(inspect_deep, &m);
    pm_drop(&m);
    free(key);
}

/* Nodes reached through a common block have a count of 1 each, and yet are to be visited once. */
TEST(sharing_by_blocks_does_not_multiply_the_work) {
    pm_map m = {0};
    put(&m, "k", 1);
    for (unsigned i = 0; i < 80; i++) {
        pm_map a = {0}, up = {0};
        for (unsigned j = 1; j < 64; j++) {
            uint8_t k[2] = {(uint8_t)j, 1};
            CHECK_OK(pm_set(&a, k, 2, j, NULL));
        }
        hang(&a, "\1", &m);
        pm_drop(&m);
        pm_map b = pm_clone(&a);
        CHECK_OK(pm_set(&b, "\077y", 2, 1, NULL));
        hang(&up, "x", &a);
        hang(&up, "y", &b);
        pm_drop(&a);
        pm_drop(&b);
        m = up;
    }
    pm_stats s = {0};
    check_sound(&m);
    CHECK_EQ(pm_get_stats(&m, &s), PM_OK);
    CHECK_EQ(s.unshared_nodes, UINT64_MAX);
    CHECK(s.nodes < 80 * 70);
    pm_drop(&m);
}
