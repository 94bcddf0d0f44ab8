/* Data of bench_threads: the keys, cut in the ways in which work is shared out, and checks of maps made of them. */
#include "bench_threads.h"

bench_list in_order, shuffled, fresh;
pm_map filled;

static size_t *order; /* shuffled[i] is in_order[order[i]] */
static size_t longest;

slice slice_of(size_t n, int part, int parts) {
    slice s = {n * (size_t)part / (size_t)parts, n * (size_t)(part + 1) / (size_t)parts};
    return s;
}

uint32_t data_hash(const bench_key *k) {
    uint32_t h = 2166136261u;
    for (size_t i = 0; i < k->len; i++) h = (h ^ k->data[i]) * 16777619u;
    return h ^ h >> 15;
}

/* ---- loading ---- */

/* Keys that are not in the file: some that are, with more to them. */
static bench_list make_fresh(void) {
    size_t n = in_order.n / 5 + 1, bytes = 0;
    for (size_t i = 0; i < n; i++) bytes += in_order.key[i * 5 % in_order.n].len + 24;
    bench_list l = bench_list_new(n, bytes);
    uint8_t *key = bench_alloc(longest + 24);
    for (size_t i = 0; i < n; i++) {
        const bench_key *k = &in_order.key[i * 5 % in_order.n];
        memcpy(key, k->data, k->len);
        size_t len = k->len + (size_t)sprintf((char *)key + k->len, "\xff%zx\xff", i);
        bench_list_add(&l, key, len, i);
    }
    free(key);
    return l;
}

void data_load(void) {
    in_order = bench_load(set.keys);
    if (set.limit && set.limit < in_order.n) in_order.n = set.limit;
    if (in_order.n == 0) bench_die("no keys", set.keys);
    for (size_t i = 0; i < in_order.n; i++)
        if (in_order.key[i].len > longest) longest = in_order.key[i].len;
    order = bench_alloc(in_order.n * sizeof *order);
    bench_shuffle(order, in_order.n, BENCH_SEED);
    shuffled = bench_list_reorder(&in_order, order);
    fresh = make_fresh();
    filled = pm_new(NULL, NULL);
    for (size_t i = 0; i < in_order.n; i++)
        must(pm_set(&filled, in_order.key[i].data, in_order.key[i].len, in_order.val[i], NULL));
}

/* ---- parts ---- */

static struct {
    pm_map map;
    int parts;
} parted;

/* Inserts in the order of the file, so that the order of lookups is not that in which nodes were made. */
const pm_map *data_parted(int parts) {
    if (parted.parts == parts) return &parted.map;
    uint8_t *part_of = bench_alloc(in_order.n), *path = bench_alloc(longest + 2);
    for (int k = 0; k < parts; k++) {
        slice s = slice_of(shuffled.n, k, parts);
        for (size_t i = s.first; i < s.end; i++) part_of[order[i]] = (uint8_t)k;
    }
    pm_drop(&parted.map);
    for (size_t i = 0; i < in_order.n; i++) {
        const bench_key *k = &in_order.key[i];
        path[0] = 'i';
        path[1] = part_of[i];
        memcpy(path + 2, k->data, k->len);
        must(pm_set(&parted.map, path, k->len + 2, in_order.val[i], NULL));
    }
    parted.parts = parts;
    free(part_of);
    free(path);
    return &parted.map;
}

/* Copies the keys in the order of their labels, which are below `labels`; end[k]: where label k ends. */
static bench_list grouped(const uint16_t *label, int labels, size_t *end) {
    size_t *by_label = bench_alloc(in_order.n * sizeof *by_label), at = 0;
    for (int k = 0; k < labels; k++) end[k] = 0;
    for (size_t i = 0; i < in_order.n; i++) end[label[i]]++;
    for (int k = 0; k < labels; k++) {
        size_t n = end[k];
        end[k] = at; /* where it begins, until it is filled */
        at += n;
    }
    for (size_t i = 0; i < in_order.n; i++) by_label[end[label[i]]++] = i;
    bench_list l = bench_list_reorder(&in_order, by_label);
    free(by_label);
    return l;
}

static struct {
    bench_list list;
    size_t end[THREADS_MAX];
    int parts;
} hashed;

const bench_list *data_hashed(int parts, const size_t **end) {
    *end = hashed.end;
    if (hashed.parts == parts) return &hashed.list;
    uint16_t *label = bench_alloc(in_order.n * sizeof *label);
    for (size_t i = 0; i < in_order.n; i++) label[i] = (uint16_t)(data_hash(&in_order.key[i]) % (uint32_t)parts);
    bench_list_free(&hashed.list);
    hashed.list = grouped(label, parts, hashed.end);
    hashed.parts = parts;
    free(label);
    return &hashed.list;
}

/* ---- domains ---- */

static domain_list domains;

static size_t common_length(const bench_key *a, const bench_key *b) {
    size_t n = 0;
    while (n < a->len && n < b->len && a->data[n] == b->data[n]) n++;
    return n;
}

/* The key that is the common beginning itself, if it is one, belongs to no domain and comes first. */
static void domains_find(void) {
    uint16_t *label = bench_alloc(in_order.n * sizeof *label);
    size_t end[257];
    domains.common = in_order.key[0].len;
    for (size_t i = 1; i < in_order.n; i++) {
        size_t c = common_length(&in_order.key[0], &in_order.key[i]);
        if (c < domains.common) domains.common = c;
    }
    for (size_t i = 0; i < in_order.n; i++) {
        const bench_key *k = &in_order.key[i];
        label[i] = k->len == domains.common ? 0 : (uint16_t)(1 + k->data[domains.common]);
    }
    domains.list = grouped(label, 257, end);
    for (int k = 1; k < 257; k++) {
        slice s = {end[k - 1], end[k]};
        if (s.first < s.end) domains.d[domains.n++].keys = s;
    }
    free(label);
}

static size_t domain_size(const domain *d) { return d->keys.end - d->keys.first; }

/* The largest first, each to the part that has least. */
const domain_list *data_domains(int parts) {
    size_t load[THREADS_MAX] = {0};
    if (!domains.list.key) domains_find();
    for (int i = 0; i < domains.n; i++) domains.d[i].part = -1;
    for (int i = 0; i < domains.n; i++) {
        domain *next = NULL;
        int least = 0;
        for (int k = 0; k < domains.n; k++)
            if (domains.d[k].part < 0 && (!next || domain_size(&domains.d[k]) > domain_size(next)))
                next = &domains.d[k];
        for (int k = 1; k < parts; k++)
            if (load[k] < load[least]) least = k;
        next->part = least;
        load[least] += domain_size(next);
    }
    return &domains;
}

void data_free(void) {
    pm_drop(&filled);
    pm_drop(&parted.map);
    bench_list *all[] = {&in_order, &shuffled, &fresh, &hashed.list, &domains.list};
    for (size_t i = 0; i < sizeof all / sizeof *all; i++) bench_list_free(all[i]);
    free(order);
}

/* ---- checks ---- */

bool has_count(const pm_map *m, uint64_t n) {
    uint64_t found = 0;
    must(pm_val_count(m, &found));
    return found == n;
}

static bool has_key(const pm_ref *root, const bench_list *l, size_t i) {
    const pm_val *v = pm_ref_val_at(root, l->key[i].data, l->key[i].len);
    return v && *v == l->val[i];
}

bool has_keys(const pm_map *m, const void *path, size_t len, const bench_list *l, slice s) {
    pm_ref root = pm_ref_of_map(m, path, len);
    for (size_t i = s.first; i < s.end; i += (s.end - s.first) / 16 + 1)
        if (!has_key(&root, l, i)) return false;
    return s.first == s.end || has_key(&root, l, s.end - 1);
}
