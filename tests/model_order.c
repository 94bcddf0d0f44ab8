/* The naive trie: order and ranges. */

#include "model_terminals.h"

static bool in_range(model_key k, model_range r) {
    return compare(k, r.from) >= 0 && (!r.to || compare(k, *r.to) < 0);
}

static bool is_prefix(model_key p, model_key k) { return p.len <= k.len && !(p.len && memcmp(p.data, k.data, p.len)); }

/* ---- items ---- */

static void print_none(model_bytes *out) { model_bytes_append(out, "none", 4); }

/* `more`: it is not the first. */
static void print_item(model_bytes *out, const terminals *t, size_t i, bool more) {
    model_key k = key_of(t, i);
    char text[32];
    if (more) model_bytes_append(out, ",", 1);
    if (!k.len) model_bytes_append(out, "-", 1);
    for (size_t b = 0; b < k.len; b++) {
        snprintf(text, sizeof text, "%02x", k.data[b]);
        model_bytes_append(out, text, 2);
    }
    int n = snprintf(text, sizeof text, "=%llu", (unsigned long long)t->items[i].val);
    model_bytes_append(out, text, (size_t)n);
}

/* Whether a key is what is looked for. */
typedef bool (*test)(const void *ctx, model_key k);

static bool is_any(const void *ctx, model_key k) {
    (void)ctx;
    (void)k;
    return true;
}

static bool is_in(const void *ctx, model_key k) { return in_range(k, *(const model_range *)ctx); }
static bool is_prefix_of(const void *ctx, model_key k) { return is_prefix(k, *(const model_key *)ctx); }

typedef struct relation {
    model_rel rel;
    model_key key;
} relation;

static bool stands_so(const void *ctx, model_key k) {
    const relation *r = ctx;
    int c = compare(k, r->key);
    switch (r->rel) {
    case MODEL_LT: return c < 0;
    case MODEL_LE: return c <= 0;
    case MODEL_GE: return c >= 0;
    default: return c > 0;
    }
}

/* Prints the first `n` items that pass behind the first `skip`, from one end or the other. */
static void print_some(const model *m, test fits, const void *ctx, uint64_t skip, uint64_t n, bool backwards,
                       model_bytes *out) {
    terminals t = terminals_of(m);
    bool any = false;
    for (size_t i = 0; i < t.n && n; i++) {
        size_t at = backwards ? t.n - 1 - i : i;
        if (!t.items[at].some || !fits(ctx, key_of(&t, at))) continue;
        if (skip) {
            skip--;
            continue;
        }
        print_item(out, &t, at, any);
        any = true;
        n--;
    }
    if (!any) print_none(out);
    terminals_free(&t);
}

void model_first(const model *m, model_bytes *out) { print_some(m, is_any, NULL, 0, 1, false, out); }
void model_last(const model *m, model_bytes *out) { print_some(m, is_any, NULL, 0, 1, true, out); }
void model_nth(const model *m, uint64_t n, model_bytes *out) { print_some(m, is_any, NULL, n, 1, false, out); }

void model_nearest(const model *m, model_rel rel, model_key key, model_bytes *out) {
    relation r = {rel, key};
    print_some(m, stands_so, &r, 0, 1, rel == MODEL_LT || rel == MODEL_LE, out);
}

void model_prefixes(const model *m, model_key key, bool only_longest, model_bytes *out) {
    print_some(m, is_prefix_of, &key, 0, only_longest ? 1 : UINT64_MAX, only_longest, out);
}

void model_scan(const model *m, model_range range, uint64_t n, bool backwards, model_bytes *out) {
    print_some(m, is_in, &range, 0, n, backwards, out);
}

/* ---- counts ---- */

static uint64_t count(const model *m, test fits, const void *ctx) {
    terminals t = terminals_of(m);
    uint64_t n = 0;
    for (size_t i = 0; i < t.n; i++) n += t.items[i].some && fits(ctx, key_of(&t, i));
    terminals_free(&t);
    return n;
}

static bool extends(const void *ctx, model_key k) { return is_prefix(*(const model_key *)ctx, k); }

uint64_t model_range_count(const model *m, model_range range) { return count(m, is_in, &range); }
uint64_t model_prefix_count(const model *m, model_key key) { return count(m, extends, &key); }

uint64_t model_rank(const model *m, model_key key) {
    relation r = {MODEL_LT, key};
    return count(m, stands_so, &r);
}

bool model_common_prefix(const model *m, model_key key, model_bytes *out) {
    if (!model_exists(m, key.data, key.len)) return false;
    terminals t = terminals_of(m);
    bool any = false;
    for (size_t i = 0; i < t.n; i++) {
        model_key k = key_of(&t, i);
        if (!is_prefix(key, k)) continue;
        if (!any) model_bytes_append(out, k.data, k.len);
        size_t same = 0;
        while (same < out->len && same < k.len && out->data[same] == k.data[same]) same++;
        out->len = same;
        any = true;
    }
    terminals_free(&t);
    return true;
}

/* ---- changes ---- */

static void add(model *m, const terminals *t, size_t i) {
    model_key k = key_of(t, i);
    if (t->items[i].some)
        (void)model_set(m, k.data, k.len, t->items[i].val, NULL);
    else
        (void)model_create(m, k.data, k.len);
}

/* Moves the terminals that are in the range, or those that are not, from one trie to another one; NULL: nowhere. */
static void move_range(model *m, model_range range, bool inside, model *to) {
    terminals t = terminals_of(m);
    model_clear(m);
    for (size_t i = 0; i < t.n; i++) {
        bool goes = in_range(key_of(&t, i), range) == inside;
        if (!goes) add(m, &t, i);
        else if (to) add(to, &t, i);
    }
    terminals_free(&t);
}

void model_remove_range(model *m, model_range range, bool inside) { move_range(m, range, inside, NULL); }

model *model_split(model *m, model_key key) {
    model *to = model_new();
    move_range(m, (model_range){key, NULL}, true, to);
    return to;
}

model *model_concat(const model *a, const model *b) {
    terminals x = terminals_of(a), y = terminals_of(b);
    model *m = NULL;
    if (!x.n || !y.n || compare(key_of(&x, x.n - 1), key_of(&y, 0)) < 0) {
        m = model_new();
        for (size_t i = 0; i < x.n; i++) add(m, &x, i);
        for (size_t i = 0; i < y.n; i++) add(m, &y, i);
    }
    terminals_free(&x);
    terminals_free(&y);
    return m;
}
