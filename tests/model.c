/* The naive trie. Written for being obviously right: a tree of single bytes, children in a sorted list, every result
   computed from the definition. Loops instead of recursion, since scripts hold paths longer than a small stack. */

#include "model.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct node {
    struct node *up, *child, *next; /* parent, smallest child, next larger sibling */
    uint64_t val;
    bool some;
    uint8_t byte;
} node;

struct model {
    node top;
};

static void *must(void *p) {
    if (!p) {
        fputs("model: no memory\n", stderr);
        exit(3);
    }
    return p;
}

/* ---- byte strings ---- */

void model_bytes_append(model_bytes *b, const void *data, size_t len) {
    if (b->cap - b->len < len) {
        b->cap = (b->len + len) * 2 + 16;
        b->data = must(realloc(b->data, b->cap));
    }
    if (len) memcpy(b->data + b->len, data, len);
    b->len += len;
}

void model_bytes_free(model_bytes *b) {
    free(b->data);
    *b = (model_bytes){0};
}

static void push(model_bytes *b, uint8_t byte) { model_bytes_append(b, &byte, 1); }

/* ---- nodes ---- */

static node *node_new(node *up, uint8_t byte) {
    node *n = must(calloc(1, sizeof *n));
    n->up = up;
    n->byte = byte;
    return n;
}

static node *child_of(const node *n, uint8_t byte) {
    node *c = n->child;
    while (c && c->byte < byte) c = c->next;
    return c && c->byte == byte ? c : NULL;
}

static node *child_made(node *n, uint8_t byte) {
    node **link = &n->child;
    while (*link && (*link)->byte < byte) link = &(*link)->next;
    if (!*link || (*link)->byte != byte) {
        node *c = node_new(n, byte);
        c->next = *link;
        *link = c;
    }
    return *link;
}

static unsigned child_count(const node *n) {
    unsigned count = 0;
    for (const node *c = n->child; c; c = c->next) count++;
    return count;
}

static bool is_dangling(const node *n) { return !n->some && !n->child; }

/* Frees everything below `top`; its value stays. */
static void clear_branches(node *top) {
    node *n = top;
    for (;;) {
        if (n->child) {
            node *c = n->child;
            n->child = c->next;
            n = c;
        } else if (n == top) {
            return;
        } else {
            node *up = n->up;
            free(n);
            n = up;
        }
    }
}

static void clear_all(node *n) {
    clear_branches(n);
    n->some = false;
    n->val = 0;
}

static void unlink_and_free(node *n) {
    node **link = &n->up->child;
    while (*link != n) link = &(*link)->next;
    *link = n->next;
    clear_branches(n);
    free(n);
}

/* Puts a list of siblings below a childless node. */
static void adopt(node *n, node *kids) {
    n->child = kids;
    for (; kids; kids = kids->next) kids->up = n;
}

static void copy_value(node *to, const node *from) {
    to->some = from->some;
    to->val = from->val;
}

static node *copy_node(const node *from, node *up) {
    node *n = node_new(up, from->byte);
    copy_value(n, from);
    return n;
}

/* Makes `to`, which has no child, equal to `from`, value included. */
static void copy_into(node *to, const node *from) {
    const node *n = from;
    copy_value(to, from);
    for (;;) {
        if (n->child) {
            to->child = copy_node(n->child, to);
            n = n->child;
            to = to->child;
            continue;
        }
        while (n != from && !n->next) {
            n = n->up;
            to = to->up;
        }
        if (n == from) return;
        to->next = copy_node(n->next, to->up);
        n = n->next;
        to = to->next;
    }
}

static node *find(const model *m, const void *key, size_t len) {
    const uint8_t *k = key;
    node *n = (node *)&m->top; /* callers with a const model only read */
    for (size_t i = 0; n && i < len; i++) n = child_of(n, k[i]);
    return n;
}

static node *made(model *m, const void *key, size_t len) {
    const uint8_t *k = key;
    node *n = &m->top;
    for (size_t i = 0; i < len; i++) n = child_made(n, k[i]);
    return n;
}

/* How much of `key` exists. */
static size_t existing_len(const model *m, const void *key, size_t len) {
    const uint8_t *k = key;
    const node *n = &m->top;
    size_t i = 0;
    while (i < len && (n = child_of(n, k[i])) != NULL) i++;
    return i;
}

/* Pruning, never above the first `keep` bytes. */
static size_t prune_above(model *m, const void *key, size_t len, size_t keep) {
    node *n = find(m, key, len);
    size_t removed = 0;
    while (n && len - removed > keep && is_dangling(n)) {
        node *up = n->up;
        unlink_and_free(n);
        n = up;
        removed++;
    }
    return removed;
}

/* ---- walking: the locations at and below a node in order, with the same places of a second trie alongside ---- */

typedef struct walk {
    const node *top, *at;
    const node *twin; /* deepest place of the second trie on the way; `lost` bytes above the walk's own */
    size_t lost;
    model_bytes path; /* from `top` to `at` */
    bool started;
} walk;

static walk walk_over(const node *top, const node *twin) {
    walk w = {.top = top, .at = top, .twin = twin};
    if (!twin) w.lost = 1;
    return w;
}

static const node *walk_twin(const walk *w) { return w->lost ? NULL : w->twin; }

static void walk_down(walk *w, const node *to) {
    const node *t = w->lost ? NULL : child_of(w->twin, to->byte);
    w->at = to;
    push(&w->path, to->byte);
    if (t)
        w->twin = t;
    else
        w->lost++;
}

static void walk_up(walk *w) {
    w->at = w->at->up;
    w->path.len--;
    if (w->lost)
        w->lost--;
    else
        w->twin = w->twin->up;
}

/* Steps on; false after the last location, when the walk holds nothing any more. */
static bool walk_next(walk *w) {
    if (!w->started) return w->started = true;
    if (w->at->child) {
        walk_down(w, w->at->child);
        return true;
    }
    while (w->at != w->top) {
        const node *next = w->at->next;
        walk_up(w);
        if (next) {
            walk_down(w, next);
            return true;
        }
    }
    model_bytes_free(&w->path);
    return false;
}

/* ---- tries ---- */

model *model_new(void) { return must(calloc(1, sizeof(model))); }

model *model_copy(const model *m) {
    model *c = model_new();
    copy_into(&c->top, &m->top);
    return c;
}

void model_clear(model *m) { clear_all(&m->top); }

void model_free(model *m) {
    if (m) clear_all(&m->top);
    free(m);
}

static bool value_of(const node *n, uint64_t *val) {
    if (!n || !n->some) return false;
    if (val) *val = n->val;
    return true;
}

static bool put_value(node *n, uint64_t val, uint64_t *old) {
    bool had = value_of(n, old);
    n->some = true;
    n->val = val;
    return had;
}

static bool drop_value(node *n, uint64_t *old) {
    bool had = value_of(n, old);
    if (had) n->some = false;
    return had;
}

bool model_get(const model *m, const void *key, size_t len, uint64_t *val) { return value_of(find(m, key, len), val); }

bool model_exists(const model *m, const void *key, size_t len) { return find(m, key, len) != NULL; }

bool model_set(model *m, const void *key, size_t len, uint64_t val, uint64_t *old) {
    return put_value(made(m, key, len), val, old);
}

bool model_remove(model *m, const void *key, size_t len, bool prune, uint64_t *old) {
    bool had = drop_value(find(m, key, len), old);
    if (prune) model_prune(m, key, len);
    return had;
}

bool model_create(model *m, const void *key, size_t len) {
    bool is_new = !find(m, key, len);
    if (is_new) made(m, key, len);
    return is_new;
}

size_t model_prune(model *m, const void *key, size_t len) { return prune_above(m, key, len, 0); }

bool model_remove_branches(model *m, const void *key, size_t len, bool prune) {
    node *n = find(m, key, len);
    bool had = n && n->child;
    if (had) clear_branches(n);
    if (prune) model_prune(m, key, len);
    return had;
}

bool model_is_empty(const model *m) { return is_dangling(&m->top); }

bool model_equal(const model *a, const model *b) {
    if (model_location_count(a) != model_location_count(b)) return false;
    bool equal = true;
    for (walk w = walk_over(&a->top, &b->top); walk_next(&w);) {
        const node *x = w.at, *y = walk_twin(&w);
        if (!y || x->some != y->some || (x->some && x->val != y->val)) equal = false;
    }
    return equal;
}

static uint64_t values_below(const node *top) {
    uint64_t count = 0;
    for (walk w = walk_over(top, NULL); walk_next(&w);) count += w.at->some;
    return count;
}

uint64_t model_val_count(const model *m) { return values_below(&m->top); }

uint64_t model_location_count(const model *m) {
    uint64_t count = 0;
    for (walk w = walk_over(&m->top, NULL); walk_next(&w);) count++;
    return count;
}

uint64_t model_depth_count(const model *m, uint64_t depth) {
    uint64_t count = 0;
    for (walk w = walk_over(&m->top, NULL); walk_next(&w);) count += w.path.len == depth;
    return count;
}

model *model_subtrie(const model *m, const void *key, size_t len, bool *exists) {
    const node *n = find(m, key, len);
    model *out = model_new();
    if (n) copy_into(&out->top, n);
    if (exists) *exists = n != NULL;
    return out;
}

void model_each(const model *m, model_visit fn, void *ctx) {
    bool on = true;
    for (walk w = walk_over(&m->top, NULL); walk_next(&w);)
        if (on) on = fn(ctx, w.path.data, w.path.len, w.at->some ? &w.at->val : NULL, child_count(w.at));
}

static void append_hex(model_bytes *out, const uint8_t *data, size_t len) {
    static const char digits[] = "0123456789abcdef";
    if (!len) push(out, '-');
    for (size_t i = 0; i < len; i++) {
        push(out, (uint8_t)digits[data[i] >> 4]);
        push(out, (uint8_t)digits[data[i] & 15]);
    }
}

void model_list(const model *m, model_bytes *out) {
    size_t start = out->len;
    for (walk w = walk_over(&m->top, NULL); walk_next(&w);) {
        char text[32];
        bool dangling = is_dangling(w.at) && w.at != w.top;
        if (!w.at->some && !dangling) continue;
        if (out->len > start) push(out, ',');
        append_hex(out, w.path.data, w.path.len);
        int n = dangling ? snprintf(text, sizeof text, "!")
                         : snprintf(text, sizeof text, "=%llu", (unsigned long long)w.at->val);
        model_bytes_append(out, text, (size_t)n);
    }
    if (out->len == start) push(out, '.');
}

static uint64_t fold_start(const node *n) {
    uint64_t f = 0xcbf29ce484222325u;
    return n->some ? (f ^ n->val) * 0x100000001b3u + 1 : f;
}

static uint64_t fold_child(uint64_t f, uint8_t byte, uint64_t result) {
    f = (f ^ byte) * 0x100000001b3u;
    return (f ^ result) * 0x100000001b3u;
}

uint64_t model_fold(const model *m) {
    size_t depth = 0, cap = 64;
    uint64_t *f = must(malloc(cap * sizeof *f)); /* unfinished results of the locations on the way */
    const node *n = &m->top;
    f[0] = fold_start(n);
    for (;;) {
        const node *next = n->child;
        while (!next && n != &m->top) {
            f[depth - 1] = fold_child(f[depth - 1], n->byte, f[depth]);
            depth--;
            next = n->next;
            n = n->up;
        }
        if (!next) break;
        n = next;
        if (++depth == cap) f = must(realloc(f, (cap *= 2) * sizeof *f));
        f[depth] = fold_start(n);
    }
    uint64_t result = f[0];
    free(f);
    return result;
}

/* ---- algebra ---- */

static bool meet_values(model_algebra alg, uint64_t a, uint64_t b, uint64_t *out) {
    if (alg == MODEL_LEFT)
        *out = a;
    else if (alg == MODEL_BITS)
        *out = a & b;
    else
        *out = a < b ? a : b;
    return alg != MODEL_BITS || *out || a == b;
}

static bool subtract_values(model_algebra alg, uint64_t a, uint64_t b, uint64_t *out) {
    switch (alg) {
    case MODEL_LATTICE: *out = a; return a != b;
    case MODEL_SUM: *out = a - b; return a > b;
    case MODEL_BITS: *out = a & ~b; return *out != 0;
    case MODEL_LEFT: break;
    }
    return false;
}

bool model_combine_values(model_op op, model_algebra alg, uint64_t a, uint64_t b, uint64_t *out) {
    if (op == MODEL_MEET) return meet_values(alg, a, b, out);
    if (op == MODEL_SUBTRACT) return subtract_values(alg, a, b, out);
    switch (alg) {
    case MODEL_LATTICE: *out = a > b ? a : b; break;
    case MODEL_SUM: *out = a + b; break;
    case MODEL_LEFT: *out = a; break;
    case MODEL_BITS: *out = a | b; break;
    }
    return true;
}

static void join(model *out, model_algebra alg, const model *a, const model *b) {
    copy_into(&out->top, &a->top);
    for (walk w = walk_over(&b->top, NULL); walk_next(&w);) {
        node *n = made(out, w.path.data, w.path.len);
        if (!w.at->some) continue;
        if (n->some)
            model_combine_values(MODEL_JOIN, alg, n->val, w.at->val, &n->val);
        else
            copy_value(n, w.at);
    }
}

static void meet(model *out, model_algebra alg, const model *a, const model *b) {
    for (walk w = walk_over(&a->top, &b->top); walk_next(&w);) {
        const node *x = w.at, *y = walk_twin(&w);
        uint64_t v;
        if (!y) continue;
        if (x->some && y->some && meet_values(alg, x->val, y->val, &v))
            model_set(out, w.path.data, w.path.len, v, NULL);
        else if (is_dangling(x) && is_dangling(y))
            model_create(out, w.path.data, w.path.len);
    }
}

static void subtract(model *out, model_algebra alg, const model *a, const model *b) {
    for (walk w = walk_over(&a->top, &b->top); walk_next(&w);) {
        const node *x = w.at, *y = walk_twin(&w);
        uint64_t v = x->val;
        bool left = x->some;
        if (left && y && y->some) left = subtract_values(alg, x->val, y->val, &v);
        if (left)
            model_set(out, w.path.data, w.path.len, v, NULL);
        else if (is_dangling(x) && !y)
            model_create(out, w.path.data, w.path.len);
    }
}

static void restrict_to(model *out, const model *a, const model *b) {
    size_t covered = SIZE_MAX; /* length of the shortest prefix of the present path that is valued in b */
    for (walk w = walk_over(&a->top, &b->top); walk_next(&w);) {
        const node *y = walk_twin(&w);
        if (w.path.len <= covered) covered = y && y->some ? w.path.len : SIZE_MAX;
        if (covered == SIZE_MAX) continue;
        node *n = made(out, w.path.data, w.path.len);
        copy_value(n, w.at);
    }
}

model *model_combine(model_op op, model_algebra alg, const model *a, const model *b) {
    model *out = model_new();
    switch (op) {
    case MODEL_JOIN: join(out, alg, a, b); break;
    case MODEL_MEET: meet(out, alg, a, b); break;
    case MODEL_SUBTRACT: subtract(out, alg, a, b); break;
    case MODEL_RESTRICT: restrict_to(out, a, b); break;
    }
    return out;
}

model_outcome model_compare(const model *result, const model *left, const model *right) {
    if (model_is_empty(result)) return MODEL_RESULT_NONE;
    bool l = model_equal(result, left), r = model_equal(result, right);
    if (l) return r ? MODEL_RESULT_BOTH : MODEL_RESULT_LEFT;
    return r ? MODEL_RESULT_RIGHT : MODEL_RESULT_ELEMENT;
}

/* ---- cursors ---- */

static node *focus(const model_cursor *c) { return find(c->m, c->path.data, c->path.len); }

static node *focus_made(model_cursor *c) { return made(c->m, c->path.data, c->path.len); }

static size_t depth_of(const model_cursor *c) { return c->path.len - c->root_len; }

void model_cursor_open(model_cursor *c, model *m, const void *root, size_t len) {
    *c = (model_cursor){.m = m, .root_len = len};
    model_bytes_append(&c->path, root, len);
}

void model_cursor_open_snapshot(model_cursor *c, const model *m, const void *root, size_t len) {
    model_cursor_open(c, model_copy(m), root, len);
    c->owned = true;
}

void model_cursor_fork(const model_cursor *c, model_cursor *out) {
    model_cursor_open_snapshot(out, c->m, c->path.data, c->path.len);
}

void model_cursor_close(model_cursor *c) {
    if (c->owned) model_free(c->m);
    model_bytes_free(&c->path);
    *c = (model_cursor){0};
}

model_key model_cursor_path(const model_cursor *c) {
    return (model_key){c->path.data ? c->path.data + c->root_len : NULL, depth_of(c)};
}

bool model_cursor_exists(const model_cursor *c) { return focus(c) != NULL; }

bool model_cursor_val(const model_cursor *c, uint64_t *val) { return value_of(focus(c), val); }

bool model_cursor_at_root(const model_cursor *c) { return depth_of(c) == 0; }

unsigned model_cursor_children(const model_cursor *c, uint8_t bytes[256]) {
    const node *n = focus(c);
    unsigned count = 0;
    for (n = n ? n->child : NULL; n; n = n->next, count++)
        if (bytes) bytes[count] = n->byte;
    return count;
}

uint64_t model_cursor_val_count(const model_cursor *c) {
    const node *n = focus(c);
    return n ? values_below(n) : 0;
}

void model_cursor_reset(model_cursor *c) { c->path.len = c->root_len; }

size_t model_cursor_move_to(model_cursor *c, const void *key, size_t len) {
    model_cursor_reset(c);
    model_cursor_descend(c, key, len);
    size_t existing = existing_len(c->m, c->path.data, c->path.len);
    return existing > c->root_len ? existing - c->root_len : 0;
}

void model_cursor_descend(model_cursor *c, const void *key, size_t len) { model_bytes_append(&c->path, key, len); }

size_t model_cursor_descend_existing(model_cursor *c, const void *key, size_t len, bool stop_at_val) {
    const uint8_t *k = key;
    size_t i = 0;
    while (i < len && model_cursor_descend_byte(c, k[i])) {
        i++;
        if (stop_at_val && model_cursor_val(c, NULL)) break;
    }
    return i;
}

bool model_cursor_descend_byte(model_cursor *c, uint8_t b) {
    const node *n = focus(c);
    if (!n || !child_of(n, b)) return false;
    push(&c->path, b);
    return true;
}

bool model_cursor_descend_index(model_cursor *c, uint64_t i) {
    uint8_t bytes[256];
    if (i >= model_cursor_children(c, bytes)) return false;
    push(&c->path, bytes[i]);
    return true;
}

bool model_cursor_descend_last(model_cursor *c) {
    unsigned n = model_cursor_children(c, NULL);
    return n && model_cursor_descend_index(c, n - 1);
}

bool model_cursor_descend_until(model_cursor *c, uint64_t max) {
    const node *n = focus(c);
    bool moved = false;
    for (; max && n && n->child && !n->child->next; max--) {
        n = n->child;
        push(&c->path, n->byte);
        moved = true;
        if (n->some) break;
    }
    return moved;
}

bool model_cursor_last_path(model_cursor *c) {
    const node *n = focus(c);
    bool moved = n && n->child;
    while (n && n->child) {
        for (n = n->child; n->next;) n = n->next;
        push(&c->path, n->byte);
    }
    return moved;
}

bool model_cursor_ascend(model_cursor *c, uint64_t n) {
    if (n > depth_of(c)) {
        model_cursor_reset(c);
        return false;
    }
    c->path.len -= (size_t)n;
    return true;
}

size_t model_cursor_ascend_until(model_cursor *c, bool stop_at_val) {
    size_t before = c->path.len;
    while (depth_of(c)) {
        c->path.len--;
        const node *n = focus(c);
        if (n && ((stop_at_val && n->some) || child_count(n) >= 2)) break;
    }
    return before - c->path.len;
}

bool model_cursor_sibling(model_cursor *c, bool forward) {
    if (!depth_of(c)) return false;
    uint8_t *last = &c->path.data[c->path.len - 1];
    const node *parent = find(c->m, c->path.data, c->path.len - 1), *best = NULL;
    if (!parent) return false;
    for (const node *n = parent->child; n; n = n->next) {
        if (forward && n->byte > *last && !best) best = n;
        if (!forward && n->byte < *last) best = n;
    }
    if (best) *last = best->byte;
    return best != NULL;
}

/* The next location in order that is below the first `base` bytes of the path, and at most `deepest` bytes long.
   False, with the focus at the base, when there is none. */
static bool step_within(model_cursor *c, size_t base, size_t deepest) {
    const node *n = focus(c);
    if (n && n->child && c->path.len < deepest) {
        push(&c->path, n->child->byte);
        return true;
    }
    for (; c->path.len > base; c->path.len--)
        if (model_cursor_sibling(c, true)) return true;
    return false;
}

bool model_cursor_next_step(model_cursor *c) { return step_within(c, c->root_len, SIZE_MAX); }

bool model_cursor_next_val(model_cursor *c) {
    while (model_cursor_next_step(c))
        if (model_cursor_val(c, NULL)) return true;
    return false;
}

bool model_cursor_prev_step(model_cursor *c) {
    while (depth_of(c)) {
        if (model_cursor_sibling(c, false)) {
            model_cursor_last_path(c);
            return true;
        }
        c->path.len--;
        if (focus(c)) return depth_of(c) > 0;
    }
    return false;
}

bool model_cursor_prev_val(model_cursor *c) {
    while (model_cursor_prev_step(c))
        if (model_cursor_val(c, NULL)) return true;
    model_cursor_reset(c);
    return false;
}

bool model_cursor_seek(model_cursor *c, bool after, bool here, const void *key, size_t len) {
    model_cursor_move_to(c, key, len);
    if (here && model_cursor_val(c, NULL)) return true;
    if (after) return model_cursor_next_val(c);
    return model_cursor_prev_val(c) || (len && model_cursor_val(c, NULL));
}

static bool next_at_depth(model_cursor *c, size_t base, uint64_t k) {
    if (k > SIZE_MAX - base) k = SIZE_MAX - base;
    while (step_within(c, base, base + (size_t)k))
        if (c->path.len - base == k) return true;
    return false;
}

bool model_cursor_first_k(model_cursor *c, uint64_t k) {
    return k ? next_at_depth(c, c->path.len, k) : model_cursor_exists(c);
}

bool model_cursor_next_k(model_cursor *c, uint64_t k) {
    if (!k) return false;
    if (k > depth_of(c)) {
        model_cursor_reset(c);
        return false;
    }
    return next_at_depth(c, c->path.len - (size_t)k, k);
}

/* ---- writes ---- */

bool model_cursor_set(model_cursor *c, uint64_t val, uint64_t *old) { return put_value(focus_made(c), val, old); }

bool model_cursor_remove(model_cursor *c, bool prune, uint64_t *old) {
    bool had = drop_value(focus(c), old);
    if (prune) model_cursor_prune(c);
    return had;
}

void model_cursor_graft(model_cursor *c, const model *src) {
    node *n = focus_made(c);
    clear_all(n);
    copy_into(n, &src->top);
}

void model_cursor_graft_masked(model_cursor *c, const model *src, const bool mask[256], bool clear) {
    node *n = focus_made(c);
    for (unsigned b = 0; b < 256; b++) {
        node *old = child_of(n, (uint8_t)b);
        const node *from = mask[b] ? child_of(&src->top, (uint8_t)b) : NULL;
        if (old && (mask[b] || clear)) unlink_and_free(old);
        if (from) copy_into(child_made(n, (uint8_t)b), from);
    }
}

/* Makes the focus hold `result` and tells what that changed. An empty result clears the focus but does not make it. */
static model_status settle(model_cursor *c, const model *result) {
    model *old = model_subtrie(c->m, c->path.data, c->path.len, NULL);
    model_status status = model_is_empty(result)        ? MODEL_NONE
                          : model_equal(result, old) ? MODEL_IDENTITY
                                                     : MODEL_ELEMENT;
    model_free(old);
    if (status == MODEL_ELEMENT || focus(c)) model_cursor_graft(c, result);
    return status;
}

model_status model_cursor_combine(model_cursor *c, model_op op, model_algebra alg, const model *src, bool prune) {
    model *old = model_subtrie(c->m, c->path.data, c->path.len, NULL);
    model *result = model_combine(op, alg, old, src);
    model_status status = settle(c, result);
    if (prune) model_cursor_prune(c);
    model_free(result);
    model_free(old);
    return status;
}

model_status model_cursor_meet2(model_cursor *c, model_algebra alg, const model *a, const model *b) {
    model *result = model_combine(MODEL_MEET, alg, a, b);
    model_status status = settle(c, result);
    model_free(result);
    return status;
}

bool model_cursor_restricting(model_cursor *c, const model *src) {
    bool exists;
    model *old = model_subtrie(c->m, c->path.data, c->path.len, &exists);
    if (exists && src) {
        model *result = model_combine(MODEL_RESTRICT, MODEL_LATTICE, src, old);
        model_cursor_graft(c, result);
        model_free(result);
    }
    model_free(old);
    return exists && src;
}

model_status model_cursor_join_take(model_cursor *c, model_cursor *from, model_algebra alg, bool prune) {
    model *src = model_cursor_take(from, prune, NULL);
    model_status status = model_cursor_combine(c, MODEL_JOIN, alg, src, false);
    model_free(src);
    return status;
}

bool model_cursor_combine_k(model_cursor *c, model_op op, model_algebra alg, uint64_t k, bool prune) {
    node *n = focus(c);
    if (!n) return false;
    model *all = NULL;
    for (walk w = walk_over(n, NULL); k && walk_next(&w);) {
        if (w.path.len != k) continue;
        model *part = model_new();
        copy_into(&part->top, w.at);
        part->top.some = false; /* values that lie exactly k below vanish */
        if (all) {
            model *both = model_combine(op, alg, all, part);
            model_free(all);
            model_free(part);
            part = both;
        }
        all = part;
    }
    if (k) clear_branches(n);
    if (all) {
        adopt(n, all->top.child);
        all->top.child = NULL;
        model_free(all);
    }
    bool left = !is_dangling(n);
    if (prune) model_cursor_prune(c);
    return left;
}

bool model_cursor_insert_prefix(model_cursor *c, const void *key, size_t len) {
    const uint8_t *k = key;
    node *n = focus(c);
    if (!n || !n->child) return false;
    node *kids = n->child;
    n->child = NULL;
    for (size_t i = 0; i < len; i++) n = child_made(n, k[i]);
    adopt(n, kids);
    return true;
}

bool model_cursor_remove_prefix(model_cursor *c, uint64_t n) {
    node *old = focus(c);
    size_t before = c->path.len;
    bool available = model_cursor_ascend(c, n);
    node *to = focus(c);
    if (c->path.len == before || !to) return available;
    node *kids = old ? old->child : NULL;
    if (old) old->child = NULL;
    clear_branches(to);
    adopt(to, kids);
    return available;
}

model *model_cursor_take(model_cursor *c, bool prune, bool *some) {
    model *out = model_subtrie(c->m, c->path.data, c->path.len, NULL);
    node *n = focus(c);
    if (n) clear_all(n);
    if (prune) model_cursor_prune(c);
    if (some) *some = !model_is_empty(out);
    return out;
}

bool model_cursor_remove_branches(model_cursor *c, bool prune) {
    node *n = focus(c);
    bool had = n && n->child;
    if (had) clear_branches(n);
    if (prune) model_cursor_prune(c);
    return had;
}

void model_cursor_keep_children(model_cursor *c, const bool mask[256], bool prune) {
    node *n = focus(c);
    for (node *kid = n ? n->child : NULL, *next; kid; kid = next) {
        next = kid->next;
        if (!mask[kid->byte]) unlink_and_free(kid);
    }
    if (prune) model_cursor_prune(c);
}

bool model_cursor_create(model_cursor *c) { return model_create(c->m, c->path.data, c->path.len); }

size_t model_cursor_prune(model_cursor *c) {
    return prune_above(c->m, c->path.data, c->path.len, c->root_len);
}

size_t model_cursor_prune_ascend(model_cursor *c) {
    size_t n = model_cursor_prune(c);
    c->path.len -= n;
    return n;
}

/* ---- claims ---- */

static bool overlap(const model_claim *c, const void *key, size_t len) {
    size_t n = c->len < len ? c->len : len;
    return !n || memcmp(c->path, key, n) == 0;
}

static int compare_keys(const void *a, const void *b) {
    const model_key *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int order = n ? memcmp(x->data, y->data, n) : 0;
    return order ? order : (x->len > y->len) - (x->len < y->len);
}

static bool in_the_way(const model_claim *c, model_claim_kind kind) {
    if (kind == MODEL_SNAPSHOT || c->kind == MODEL_SNAPSHOT) return false;
    return kind == MODEL_WRITER || c->kind == MODEL_WRITER;
}

size_t model_claims_conflicts(const model_claims *c, model_claim_kind kind, const void *key, size_t len,
                              model_key **out) {
    size_t n = 0, distinct = 0;
    model_key *keys = must(malloc((c->n + 1) * sizeof *keys));
    for (size_t i = 0; i < c->n; i++) {
        const model_claim *other = &c->items[i];
        if (in_the_way(other, kind) && overlap(other, key, len)) keys[n++] = (model_key){other->path, other->len};
    }
    if (n) qsort(keys, n, sizeof *keys, compare_keys);
    for (size_t i = 0; i < n; i++)
        if (!distinct || compare_keys(&keys[distinct - 1], &keys[i]) != 0) keys[distinct++] = keys[i];
    if (!distinct) {
        free(keys);
        keys = NULL;
    }
    *out = keys;
    return distinct;
}

unsigned model_claims_add(model_claims *c, model_claim_kind kind, const void *key, size_t len) {
    if (c->n == c->cap) c->items = must(realloc(c->items, (c->cap = c->cap * 2 + 8) * sizeof *c->items));
    model_claim *item = &c->items[c->n++];
    *item = (model_claim){.kind = kind, .id = ++c->last_id, .path = must(malloc(len + 1)), .len = len};
    if (len) memcpy(item->path, key, len);
    return item->id;
}

void model_claims_remove(model_claims *c, unsigned id) {
    for (size_t i = 0; i < c->n; i++) {
        if (c->items[i].id != id) continue;
        free(c->items[i].path);
        c->items[i] = c->items[--c->n];
        return;
    }
}

void model_claims_free(model_claims *c) {
    for (size_t i = 0; i < c->n; i++) free(c->items[i].path);
    free(c->items);
    *c = (model_claims){0};
}
