/* `replay` on the naive model: readers of views, which it makes as tries of their own, and mixed tries, which to it are
   tries as any. Part of replay_model.c. */

enum { PRODUCT_MAX = 100000 }; /* locations */

/* ---- views ---- */

/* What one side of a view has; NULL, and said so: there is no such place. */
static model *side_of(on_model *s, const replay_args *a, int i, model_bytes *out) {
    bool exists;
    model *m = model_subtrie(map_of(s, a, i), a->path[i].data, a->path[i].len, &exists);
    if (exists) return m;
    model_free(m);
    replay_print(out, "none");
    return NULL;
}

/* Opens a reader over a trie, which is the caller's still. */
static bool read_over(on_model *s, const replay_args *a, const model *m, model_bytes *out) {
    model_cursor_open_snapshot(&s->reader[a->reader[0]], m, NULL, 0);
    return say_ok(out);
}

typedef struct building {
    model *out;
    const model *next; /* of a product */
    model_bytes at;
    bool inner;
} building;

static bool add_below(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    building *b = ctx;
    size_t before = b->at.len;
    (void)children;
    model_bytes_append(&b->at, key, len);
    model_create(b->out, b->at.data, b->at.len);
    if (val && !(b->inner && !len)) model_set(b->out, b->at.data, b->at.len, *val, NULL);
    b->at.len = before;
    return true;
}

ON(vprefix) {
    building b = {model_new(), NULL, {0}, false};
    model *m = side_of(s, a, 0, out);
    if (m) {
        model_bytes_append(&b.at, PATH(a, 1));
        model_each(m, add_below, &b);
        (void)read_over(s, a, b.out, out);
    }
    model_free(m);
    model_free(b.out);
    model_bytes_free(&b.at);
    return m != NULL;
}

static bool add_missing(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    model *m = ctx;
    (void)children;
    model_create(m, key, len);
    if (val && !model_get(m, key, len, NULL)) model_set(m, key, len, *val, NULL);
    return true;
}

static bool add_product(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    building *b = ctx;
    (void)add_below(ctx, key, len, val, children);
    if (children) return true;
    building below = {b->out, NULL, {0}, true};
    model_bytes_append(&below.at, key, len);
    model_each(b->next, add_below, &below);
    model_bytes_free(&below.at);
    return true;
}

static model *product(const model *l, const model *r) {
    building b = {model_new(), r, {0}, false};
    model_each(l, add_product, &b);
    model_bytes_free(&b.at);
    return b.out;
}

typedef enum pairing { OVERLAY, MEET, SUBTRACT, PRODUCT } pairing;

static bool read_pair(on_model *s, const replay_args *a, pairing how, model_bytes *out) {
    model *l = side_of(s, a, 0, out), *r = l ? side_of(s, a, 1, out) : NULL, *made = NULL;
    bool large = r && how == PRODUCT && model_location_count(l) * model_location_count(r) > PRODUCT_MAX;
    if (large) replay_print(out, "large");
    if (r && !large) {
        if (how == OVERLAY) made = model_copy(l), model_each(r, add_missing, made);
        else if (how == PRODUCT) made = product(l, r);
        else made = model_combine(how == MEET ? MODEL_MEET : MODEL_SUBTRACT, s->alg, l, r);
        (void)read_over(s, a, made, out);
    }
    bool done = made != NULL;
    model_free(l);
    model_free(r);
    model_free(made);
    return done;
}

ON(voverlay) { return read_pair(s, a, OVERLAY, out); }
ON(vmeet) { return read_pair(s, a, MEET, out); }
ON(vsub) { return read_pair(s, a, SUBTRACT, out); }
ON(vproduct) { return read_pair(s, a, PRODUCT, out); }

/* ---- mixed tries ---- */

static model *mixed_of(on_model *s, const replay_args *a) { return s->mixed[a->mixed[0]]; }

ON(xopen) {
    s->mixed[a->mixed[0]] = model_copy(map_of(s, a, 0));
    return say_ok(out);
}

ON(xclose) {
    model_free(mixed_of(s, a));
    s->mixed[a->mixed[0]] = NULL;
    return say_ok(out);
}

ON(xclone) {
    s->mixed[a->mixed[1]] = model_copy(mixed_of(s, a));
    return say_ok(out);
}

ON(xset) {
    uint64_t old = 0;
    bool had = model_set(mixed_of(s, a), PATH(a, 0), a->num, &old);
    print_opt(out, had, old);
    return true;
}

ON(xget) {
    uint64_t v = 0;
    bool some = model_get(mixed_of(s, a), PATH(a, 0), &v);
    print_opt(out, some, v);
    return true;
}

ON(xdel) {
    uint64_t old = 0;
    bool had = model_remove(mixed_of(s, a), PATH(a, 0), a->flag[0], &old);
    print_opt(out, had, old);
    return true;
}

ON(xhas) { return say(out, model_exists(mixed_of(s, a), PATH(a, 0))); }
ON(xcreate) { return say(out, model_create(mixed_of(s, a), PATH(a, 0))); }
ON(xprune) { return say(out, model_prune(mixed_of(s, a), PATH(a, 0))); }
ON(xrmbranches) { return say(out, model_remove_branches(mixed_of(s, a), PATH(a, 0), a->flag[0])); }

static bool put_below(on_model *s, const replay_args *a, model_bytes *out) {
    model_cursor c;
    model_cursor_open(&c, mixed_of(s, a), PATH(a, 0));
    model_cursor_graft(&c, map_of(s, a, 0));
    model_cursor_close(&c);
    return say_ok(out);
}

ON(xhang) { return put_below(s, a, out); }
ON(xgraft) { return put_below(s, a, out); }

ON(xmake) {
    put_map(s, a->map[0], model_copy(mixed_of(s, a)));
    return say_ok(out);
}

ON(xcommit) { return run_xmake(s, a, out); }

ON(xread) {
    model_cursor_open_snapshot(&s->reader[a->reader[0]], mixed_of(s, a), PATH(a, 0));
    return say_ok(out);
}

model *replay_model_mixed(void *state, int mixed) { return ((on_model *)state)->mixed[mixed]; }
