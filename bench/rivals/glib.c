/* GTree and GHashTable of GLib (Debian libglib2.0-dev). A stored key is one block: header, then bytes. */
#define _DEFAULT_SOURCE
#include "../engine.h"

#include <glib.h>

typedef struct text {
    const uint8_t *data;
    size_t len;
} text;

static text *text_new(const bench_key *k) {
    text *t = g_malloc(sizeof *t + k->len);
    uint8_t *bytes = (uint8_t *)(t + 1);
    if (k->len) memcpy(bytes, k->data, k->len);
    t->data = bytes;
    t->len = k->len;
    return t;
}

static text text_of(const bench_key *k) {
    text t = {k->data, k->len};
    return t;
}

static gint text_compare(gconstpointer a, gconstpointer b, gpointer ctx) {
    const text *x = a, *y = b;
    (void)ctx;
    int c = memcmp(x->data, y->data, x->len < y->len ? x->len : y->len);
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

static gboolean text_equal(gconstpointer a, gconstpointer b) {
    const text *x = a, *y = b;
    return x->len == y->len && memcmp(x->data, y->data, x->len) == 0;
}

/* Eight bytes a step, multiplied and folded: GLib has no hash of counted bytes. */
static guint text_hash(gconstpointer a) {
    const text *t = a;
    uint64_t h = t->len * 0x9e3779b97f4a7c15u, w;
    size_t i = 0;
    for (; i + 8 <= t->len; i += 8) {
        memcpy(&w, t->data + i, 8);
        h = (h ^ w) * 0xff51afd7ed558ccdu;
        h ^= h >> 32;
    }
    w = 0;
    if (i < t->len) memcpy(&w, t->data + i, t->len - i);
    h = (h ^ w) * 0xff51afd7ed558ccdu;
    return (guint)(h >> 32);
}

static void *tree_make(const bench_traits *t) {
    (void)t;
    return g_tree_new_full(text_compare, NULL, g_free, NULL);
}

static void tree_free(void *m) { g_tree_unref(m); }
static void tree_drop(void *m) { g_tree_remove_all(m); }
static bool tree_is_empty(void *m) { return g_tree_nnodes(m) == 0; }

static bool tree_insert(void *m, const bench_list *l) {
    const size_t before = (size_t)g_tree_nnodes(m);
    for (size_t i = 0; i < l->n; i++) g_tree_insert(m, text_new(&l->key[i]), (gpointer)(uintptr_t)l->val[i]);
    return (size_t)g_tree_nnodes(m) == before + l->n;
}

static bench_tally tree_get(void *m, const bench_list *l) {
    bench_tally t = {0, 0};
    for (size_t i = 0; i < l->n; i++) {
        text key = text_of(&l->key[i]);
        gpointer val;
        if (!g_tree_lookup_extended(m, &key, NULL, &val)) continue;
        t.found++;
        t.right += (uintptr_t)val == l->val[i];
    }
    return t;
}

static void tree_iterate(void *m, bench_visitor *out) {
    bench_visitor v = *out;
    for (GTreeNode *n = g_tree_node_first(m); n; n = g_tree_node_next(n)) {
        const text *key = g_tree_node_key(n);
        bench_visit(&v, key->data, key->len, (uintptr_t)g_tree_node_value(n));
    }
    *out = v;
}

static size_t tree_remove(void *m, const bench_list *l) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        text key = text_of(&l->key[i]);
        n += g_tree_remove(m, &key) ? 1 : 0;
    }
    return n;
}

static void *table_make(const bench_traits *t) {
    (void)t;
    return g_hash_table_new_full(text_hash, text_equal, g_free, NULL);
}

static void table_free(void *m) { g_hash_table_unref(m); }
static void table_drop(void *m) { g_hash_table_remove_all(m); }
static bool table_is_empty(void *m) { return g_hash_table_size(m) == 0; }

static bool table_insert(void *m, const bench_list *l) {
    for (size_t i = 0; i < l->n; i++)
        if (!g_hash_table_insert(m, text_new(&l->key[i]), (gpointer)(uintptr_t)l->val[i])) return false;
    return true;
}

static bench_tally table_get(void *m, const bench_list *l) {
    bench_tally t = {0, 0};
    for (size_t i = 0; i < l->n; i++) {
        text key = text_of(&l->key[i]);
        gpointer val;
        if (!g_hash_table_lookup_extended(m, &key, NULL, &val)) continue;
        t.found++;
        t.right += (uintptr_t)val == l->val[i];
    }
    return t;
}

static void table_iterate(void *m, bench_visitor *out) {
    bench_visitor v = *out;
    GHashTableIter i;
    gpointer key, val;
    g_hash_table_iter_init(&i, m);
    while (g_hash_table_iter_next(&i, &key, &val)) {
        const text *t = key;
        bench_visit(&v, t->data, t->len, (uintptr_t)val);
    }
    *out = v;
}

static size_t table_remove(void *m, const bench_list *l) {
    size_t n = 0;
    for (size_t i = 0; i < l->n; i++) {
        text key = text_of(&l->key[i]);
        n += g_hash_table_remove(m, &key) ? 1 : 0;
    }
    return n;
}

static const bench_engine tree = {
    .name = "GTree",
    .flags = BENCH_ORDERED,
    .rank = 24,
    .make = tree_make,
    .free = tree_free,
    .insert = tree_insert,
    .get = tree_get,
    .iterate = tree_iterate,
    .remove = tree_remove,
    .is_empty = tree_is_empty,
    .drop = tree_drop,
};

static const bench_engine table = {
    .name = "GHashTable",
    .rank = 31,
    .make = table_make,
    .free = table_free,
    .insert = table_insert,
    .get = table_get,
    .iterate = table_iterate,
    .remove = table_remove,
    .is_empty = table_is_empty,
    .drop = table_drop,
};

BENCH_ENGINE(tree)
BENCH_ENGINE(table)
