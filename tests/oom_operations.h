/* The operations that test_oom.c tries: each runs one call, or a few that belong together, on a world of maps, answers
   the status, and checks that what the caller gave for results is untouched by a failure. */
#ifndef OOM_OPERATIONS_H
#define OOM_OPERATIONS_H

#ifndef OOM_POOL
#define OOM_POOL NULL /* where all the maps live */
#endif

/* ---- worlds: the maps that an operation works on -------------------------------------------------------------- */

typedef enum kind { WORDS, UNIT, COUNTED, KINDS } kind;
typedef enum shape { EMPTY, LINE, CHAIN, FAN, TEXT, DANGLING, MIXED, SHAPES } shape;

typedef struct world {
    kind kind;
    pm_map m, clone, other;
    bool shared;     /* `clone` shares with m */
    const uint8_t *key;
    size_t len;
    pm_map out;      /* what the operation made */
    bool consumes;   /* a success may change `other` */
    bool may_change; /* a failure may have changed m */
} world;

static uint8_t run[1500];       /* rrr.. */
static uint8_t longer[1800];    /* alpha/beta/gamma and so on */

/* Places that exist in some shapes, lie inside runs, or are new. */
static const struct {
    const void *data;
    size_t len;
} places[] = {{"", 0},    {"alpha/be", 8}, {"alpha/beta/gamma", 16}, {longer, 1800}, {run, 700}, {run, 1500},
              {"wA", 2}, {"wAtail", 6},   {"zz", 2},               {"w", 1}};
enum { PLACES = sizeof places / sizeof *places };

static const pm_ops *ops_of(kind k) {
    return k == UNIT ? pm_ops_unit() : k == COUNTED ? counted_ops() : pm_ops_lattice();
}

static pm_val value(kind k) {
    static uint64_t last;
    return k == COUNTED ? counted_new() : k == UNIT ? 0 : ++last % 5;
}

/* What stays the caller's when a call fails. */
static pm_status keep_value(kind k, pm_status s, pm_val v) {
    if (s != PM_OK && k == COUNTED) counted_release(v);
    return s;
}

static void put(pm_map *m, kind k, const void *key, size_t len) { CHECK_OK(pm_set(m, key, len, value(k), NULL)); }

static void fan(pm_map *m, kind k, unsigned n) {
    uint8_t key[8] = "w?tail";
    for (unsigned i = 0; i < n; i++) {
        key[1] = (uint8_t)(i * 3 + 'A');
        put(m, k, key, i % 4 ? 6 : 2);
        if (i % 8 == 0) put(m, k, key, 6);
    }
}

static void text(pm_map *m, kind k, unsigned n) {
    static const char *const words[] = {"alpha", "beta", "gamma", "delta", "al", "bet"};
    char key[64];
    for (unsigned i = 0; i < n; i++) {
        int len = snprintf(key, sizeof key, "%s/%s/%s", words[i % 6], words[i / 6 % 6], words[i / 36 % 6]);
        put(m, k, key, (size_t)len);
    }
}

static pm_map make_map(kind k, shape s) {
    pm_map m = pm_new(ops_of(k), OOM_POOL);
    switch (s) {
    case LINE:
        put(&m, k, "", 0);
        put(&m, k, "alpha/beta/gamma", 16);
        put(&m, k, "alpha/beta", 10);
        put(&m, k, "alphabet", 8);
        put(&m, k, "wAtail", 6);
        break;
    case CHAIN:
        put(&m, k, run, 1500);
        put(&m, k, run, 300);
        break;
    case FAN: fan(&m, k, 80); break;
    case TEXT: text(&m, k, 60); break;
    case DANGLING:
        CHECK_OK(pm_create_path(&m, "alpha/beta/gamma", 16, NULL));
        CHECK_OK(pm_create_path(&m, "alpha/x", 7, NULL));
        CHECK_OK(pm_create_path(&m, "wAtail", 6, NULL));
        CHECK_OK(pm_create_path(&m, run, 700, NULL));
        put(&m, k, "wA", 2);
        break;
    case MIXED:
        put(&m, k, "", 0);
        put(&m, k, run, 1500);
        fan(&m, k, 60);
        text(&m, k, 40);
        CHECK_OK(pm_create_path(&m, "alpha/beta/gamma/omega", 22, NULL));
        break;
    default: break;
    }
    return m;
}

static world make_world(kind k, shape s, unsigned place, bool shared) {
    world w = {.kind = k, .shared = shared, .key = places[place].data, .len = places[place].len};
    w.m = make_map(k, s);
    w.clone = shared ? pm_clone(&w.m) : pm_new(ops_of(k), OOM_POOL);
    w.other = make_map(k, (shape)((s + place) % SHAPES));
    w.out = pm_new(ops_of(k), OOM_POOL);
    return w;
}

static void drop_world(world *w) {
    pm_drop(&w->m);
    pm_drop(&w->clone);
    pm_drop(&w->other);
    pm_drop(&w->out);
}

/* ---- listings ------------------------------------------------------------------------------------------------- */

/* What a map holds, as text that can be compared: values and dangling places imply all others. */
typedef struct listing {
    uint8_t *data;
    size_t len, cap;
} listing;

static void append(listing *l, const void *data, size_t len) {
    if (l->cap - l->len < len) {
        l->cap = (l->len + len) * 2;
        l->data = realloc(l->data, l->cap);
        CHECK(l->data != NULL);
    }
    if (len) memcpy(l->data + l->len, data, len);
    l->len += len;
}

static bool append_text(void *ctx, const char *data, size_t len) {
    append(ctx, data, len);
    return true;
}

static listing list(const pm_map *m) {
    listing l = {malloc(256), 0, 256};
    CHECK_OK(pm_dump(m, append_text, &l));
    return l;
}

static void sound(const pm_map *m) {
    const char *why = "";
    pm_status s = pm_check(m, &why);
    CHECK_NOTE(s == PM_OK, "%s: %s", pm_status_text(s), why);
}

/* ---- operations on maps --------------------------------------------------------------------------------------- */

/* Each runs one call and answers its status. What a failed call must not touch is checked here. */
typedef pm_status (*operation)(world *w);

static pm_status op_set(world *w) {
    pm_val v = value(w->kind);
    return keep_value(w->kind, pm_set(&w->m, w->key, w->len, v, NULL), v);
}

static pm_status op_set_old(world *w) {
    pm_val v = value(w->kind);
    pm_opt old = {77, true};
    pm_status s = keep_value(w->kind, pm_set(&w->m, w->key, w->len, v, &old), v);
    if (s != PM_OK) CHECK(old.some && old.val == 77);
    else if (old.some && w->kind == COUNTED) counted_release(old.val);
    return s;
}

static pm_status op_get_mut(world *w) {
    pm_val *mark = &w->out.value, *slot = mark;
    pm_status s = pm_get_mut(&w->m, w->key, w->len, &slot);
    if (s != PM_OK) CHECK(slot == mark);
    return s;
}

static pm_status op_get_or_set(world *w) {
    pm_val *mark = &w->out.value, *slot = mark, v = value(w->kind);
    bool inserted = true;
    pm_status s = pm_get_or_set(&w->m, w->key, w->len, v, &slot, &inserted);
    if (s != PM_OK) CHECK(slot == mark && inserted);
    if (s == PM_OK && !inserted && w->kind == COUNTED) counted_release(v);
    return keep_value(w->kind, s, v);
}

static pm_status make_value(void *ctx, pm_val *val) {
    *val = value(*(kind *)ctx);
    return PM_OK;
}

static pm_status op_get_or_set_with(world *w) {
    return pm_get_or_set_with(&w->m, w->key, w->len, make_value, &w->kind, NULL, NULL);
}

static pm_status remove_with(world *w, bool prune) {
    pm_opt old = {77, true};
    pm_status s = pm_remove(&w->m, w->key, w->len, prune, &old);
    if (s != PM_OK) CHECK(old.some && old.val == 77);
    else if (old.some && w->kind == COUNTED) counted_release(old.val);
    return s;
}

static pm_status op_remove(world *w) { return remove_with(w, false); }
static pm_status op_remove_prune(world *w) { return remove_with(w, true); }

static pm_status op_create_path(world *w) {
    bool created = true;
    pm_status s = pm_create_path(&w->m, w->key, w->len, &created);
    if (s != PM_OK) CHECK(created);
    return s;
}

static pm_status op_prune_path(world *w) {
    size_t gone = 77;
    pm_status s = pm_prune_path(&w->m, w->key, w->len, &gone);
    if (s != PM_OK) CHECK_EQ(gone, 77);
    return s;
}

static pm_status op_remove_branches(world *w) { return pm_remove_branches(&w->m, w->key, w->len, PM_KEEP, NULL); }
static pm_status op_remove_branches_prune(world *w) {
    return pm_remove_branches(&w->m, w->key, w->len, PM_PRUNE, NULL);
}

static pm_status op_val_count(world *w) {
    uint64_t n = 77;
    pm_status s = pm_val_count(&w->m, &n);
    if (s != PM_OK) CHECK_EQ(n, 77);
    return s;
}

static pm_status op_location_count(world *w) {
    uint64_t n = 77;
    pm_status s = pm_location_count(&w->m, &n);
    if (s != PM_OK) CHECK_EQ(n, 77);
    return s;
}

static pm_status op_depth_count(world *w) {
    uint64_t n = 77;
    pm_status s = pm_depth_count(&w->m, 5, &n);
    if (s != PM_OK) CHECK_EQ(n, 77);
    return s;
}

/* Against a copy that was laid out at once. */
static pm_status op_equal(world *w) {
    bool same = true;
    pm_status s = pm_equal(&w->m, &w->other, &same);
    if (s != PM_OK) CHECK(same);
    return s;
}

/* Against a clone that has some nodes of its own. */
static pm_status op_equal_clone(world *w) {
    bool same = false;
    pm_map c = pm_clone(&w->m);
    pm_status s = pm_create_path(&c, "alpha/beta/!", 12, NULL);
    if (s == PM_OK) s = pm_prune_path(&c, "alpha/beta/!", 12, NULL);
    if (s == PM_OK) s = pm_equal(&w->m, &c, &same);
    if (s == PM_OK) CHECK(same);
    pm_drop(&c);
    return s;
}

static pm_status op_subtrie(world *w) {
    bool exists = true;
    pm_map mark = w->out;
    pm_status s = pm_subtrie(&w->m, w->key, w->len, &w->out, &exists);
    if (s != PM_OK) CHECK(memcmp(&mark, &w->out, sizeof mark) == 0);
    return s;
}

/* Builds a map of all places, sorted or not. */
static pm_status build_places(world *w, bool sorted) {
    static const unsigned order[PLACES] = {0, 1, 2, 3, 4, 5, 9, 6, 7, 8}; /* in order of their bytes */
    pm_key keys[PLACES + 1];
    pm_val v[PLACES + 1];
    size_t n = 0;
    for (unsigned i = 0; i < PLACES; i++) {
        unsigned p = sorted ? order[i] : order[PLACES - 1 - i];
        keys[n] = (pm_key){places[p].data, places[p].len};
        v[n++] = value(w->kind);
    }
    if (!sorted) keys[n] = keys[2], v[n++] = value(w->kind); /* a key again */
    pm_status s = pm_build(ops_of(w->kind), OOM_POOL, keys, v, n, &w->out);
    for (size_t i = 0; s != PM_OK && i < n; i++) (void)keep_value(w->kind, s, v[i]);
    return s;
}

static pm_status op_build_sorted(world *w) { return build_places(w, true); }
static pm_status op_build_unsorted(world *w) { return build_places(w, false); }

static pm_status op_build_many(world *w) {
    enum { N = 400 };
    static uint8_t bytes[N][4];
    pm_key keys[N];
    pm_val v[N];
    for (unsigned i = 0; i < N; i++) {
        for (unsigned b = 0; b < 4; b++) bytes[i][b] = (uint8_t)((i * 7) >> (b < 2 ? 8 : 0));
        bytes[i][0] = (uint8_t)(i / 2);
        bytes[i][1] = (uint8_t)(i % 2);
        keys[i] = (pm_key){bytes[i], 4};
        v[i] = value(w->kind);
    }
    pm_status s = pm_build(ops_of(w->kind), OOM_POOL, keys, v, N, &w->out);
    for (size_t i = 0; s != PM_OK && i < N; i++) (void)keep_value(w->kind, s, v[i]);
    return s;
}

static pm_status op_compact(world *w) { return pm_compact(&w->m); }
static pm_status op_clone_apart(world *w) { return pm_clone_apart(&w->m, &w->out); }

static bool each_nothing(void *ctx, const uint8_t *key, size_t len, pm_val val) {
    (void)ctx, (void)key, (void)len, (void)val;
    return true;
}
static pm_status op_each(world *w) { return pm_each(&w->m, each_nothing, NULL); }

static pm_status op_transaction(world *w) {
    pm_txn t = {0};
    pm_val v = value(w->kind);
    CHECK_OK(pm_txn_begin(&t, &w->m));
    pm_status s = keep_value(w->kind, pm_set(&w->m, w->key, w->len, v, NULL), v);
    CHECK_OK(s == PM_OK ? pm_txn_commit(&t) : pm_txn_rollback(&t, &w->m));
    return s;
}

static pm_status op_pool(world *w) {
    pm_pool *pool = NULL;
    pm_status s = pm_pool_new(NULL, &pool);
    (void)w;
    if (s != PM_OK) {
        CHECK(pool == NULL);
        return s;
    }
    pm_map m = pm_new(NULL, pool);
    s = pm_set(&m, w->key, w->len, 1, NULL);
    pm_drop(&m);
    CHECK_OK(pm_pool_free(pool));
    return s;
}

static pm_status op_bytes(world *w) {
    pm_val v = 77;
    pm_status s = pm_bytes_new(w->key, w->len, &v);
    if (s == PM_OK) pm_bytes_release(v);
    else CHECK_EQ(v, 77);
    return s;
}

/* ---- looking inside -------------------------------------------------------------------------------------------- */

static bool sink_nothing(void *ctx, const char *data, size_t len) {
    (void)ctx, (void)data, (void)len;
    return true;
}
static pm_status op_check(world *w) { return pm_check(&w->m, NULL); }
static pm_status op_dump(world *w) { return pm_dump(&w->m, sink_nothing, NULL); }
static pm_status op_dump_nodes(world *w) { return pm_dump_nodes(&w->m, sink_nothing, NULL); }
static pm_status op_dot(world *w) {
    const pm_map *maps[3] = {&w->m, &w->clone, &w->other};
    return pm_dot(maps, 3, sink_nothing, NULL);
}
static pm_status op_stats(world *w) {
    pm_stats stats;
    memset(&stats, 7, sizeof stats);
    pm_stats mark = stats;
    pm_status s = pm_get_stats(&w->m, &stats);
    if (s != PM_OK) CHECK(memcmp(&stats, &mark, sizeof mark) == 0);
    return s;
}

/* ---- algebra --------------------------------------------------------------------------------------------------- */

typedef pm_status (*map_algebra)(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);

static pm_status combine(world *w, map_algebra f) {
    pm_alg alg = (pm_alg)77;
    pm_map mark = w->out;
    pm_status s = f(&w->m, &w->other, &w->out, &alg);
    if (s != PM_OK) CHECK(alg == (pm_alg)77 && memcmp(&mark, &w->out, sizeof mark) == 0);
    return s;
}

static pm_status op_join(world *w) { return combine(w, pm_join); }
static pm_status op_meet(world *w) { return combine(w, pm_meet); }
static pm_status op_subtract(world *w) { return combine(w, pm_subtract); }
static pm_status op_restrict(world *w) { return combine(w, pm_restrict); }
static pm_status op_symmetric(world *w) { return combine(w, pm_symmetric_difference); }

/* ---- read zippers ---------------------------------------------------------------------------------------------- */

static void (*on_disarm)(void); /* may be NULL */
static uint64_t failed_before; /* allocations that failed before the sweep was disarmed inside an operation */

/* What follows shall find memory again. */
static void disarm(void) {
    failed_before += check_alloc_fails();
    check_fail_alloc(0);
    if (on_disarm) on_disarm();
}

/* A zipper that had no memory for a move stands where it stood, and works on. */
static pm_status moves(world *w, pm_rz *z) {
    size_t len;
    pm_rz_descend_to(z, "alpha/", 6);
    (void)pm_rz_descend_to_check(z, w->key, w->len);
    (void)pm_rz_ascend_until(z);
    (void)pm_rz_move_to(z, w->key, w->len);
    (void)pm_rz_descend_first_byte(z);
    (void)pm_rz_descend_until(z);
    (void)pm_rz_to_next_sibling(z);
    (void)pm_rz_descend_last_path(z);
    pm_status s = pm_rz_status(z);
    pm_rz_reset(z);
    while (pm_rz_to_next_val(z)) {}
    while (pm_rz_to_next_step(z)) {}
    (void)pm_rz_to_last_val(z);
    while (pm_rz_to_prev_val(z)) {}
    (void)pm_rz_seek(z, PM_LE, w->key, w->len);
    while (pm_rz_to_prev_step(z)) {}
    (void)pm_rz_descend_first_k_path(z, 2);
    while (pm_rz_to_next_k_path(z, 2)) {}
    (void)pm_rz_descend_to_existing(z, w->key, w->len);
    if (s == PM_OK) s = pm_rz_status(z);
    if (s == PM_OK) return s;
    disarm();
    CHECK_EQ(s, PM_NOMEM);
    pm_rz_reset(z);
    CHECK_OK(pm_rz_status(z));
    (void)pm_rz_path(z, &len);
    CHECK_EQ(len, 0);
    CHECK_EQ(pm_rz_descend_to_check(z, w->key, w->len), pm_path_exists(&w->m, w->key, w->len));
    CHECK_PTR_EQ(pm_rz_val(z), pm_get(&w->m, w->key, w->len));
    CHECK_OK(pm_rz_status(z));
    return s;
}

static pm_status op_rz_moves(world *w) {
    pm_rz z;
    pm_status s = pm_rz_open(&w->m, NULL, 0, &z);
    if (s != PM_OK) return s;
    s = moves(w, &z);
    pm_rz_drop(&z);
    return s;
}

static pm_status op_rz_open(world *w) {
    pm_rz z;
    pm_status s = pm_rz_open(&w->m, w->key, w->len, &z);
    if (s == PM_OK) pm_rz_drop(&z);
    return s;
}

static pm_status op_rz_open_owned(world *w) {
    pm_rz z;
    pm_status s = pm_rz_open_owned(&w->m, w->key, w->len, &z);
    if (s != PM_OK) return s;
    CHECK_EQ(pm_rz_exists(&z), pm_path_exists(&w->m, w->key, w->len));
    pm_rz_drop(&z);
    return s;
}

static pm_status fork_with(world *w, bool owned) {
    pm_rz z, fork;
    pm_status s = pm_rz_open(&w->m, w->key, w->len / 2, &z);
    if (s != PM_OK) return s;
    pm_rz_descend_to(&z, w->key + w->len / 2, w->len - w->len / 2);
    s = pm_rz_status(&z);
    if (s == PM_OK) s = owned ? pm_rz_fork_owned(&z, &fork) : pm_rz_fork(&z, &fork);
    if (s == PM_OK) {
        CHECK_EQ(pm_rz_exists(&fork), pm_path_exists(&w->m, w->key, w->len));
        pm_rz_drop(&fork);
    }
    pm_rz_drop(&z);
    return s;
}

static pm_status op_rz_fork(world *w) { return fork_with(w, false); }
static pm_status op_rz_fork_owned(world *w) { return fork_with(w, true); }

static pm_status op_rz_reserve(world *w) {
    pm_rz z;
    pm_status s = pm_rz_open(&w->m, NULL, 0, &z);
    if (s != PM_OK) return s;
    s = pm_rz_reserve(&z, 4000, 200);
    if (s == PM_OK) {
        disarm();
        check_fail_allocs_from(1);
        CHECK_OK(moves(w, &z)); /* with room for all, no move needs memory */
        check_fail_alloc(0);
    }
    pm_rz_drop(&z);
    return s;
}

static pm_status op_rz_make_map(world *w) {
    pm_rz z;
    uint64_t n = 0;
    pm_status s = pm_rz_open(&w->m, w->key, w->len, &z);
    if (s != PM_OK) return s;
    s = pm_rz_make_map(&z, &w->out);
    if (s == PM_OK) s = pm_rz_val_count(&z, &n);
    pm_rz_drop(&z);
    return s;
}

static pm_status op_rz_witness(world *w) {
    pm_rz z;
    const pm_val *v = NULL;
    pm_status s = pm_rz_open_owned(&w->m, w->key, w->len, &z);
    if (s != PM_OK) return s;
    pm_witness witness = pm_rz_witness(&z);
    s = pm_rz_val_witnessed(&z, &witness, &v);
    pm_rz_drop(&z);
    pm_witness_drop(&witness);
    return s;
}

static pm_status op_ref(world *w) {
    pm_ref r = pm_ref_of_map(&w->m, w->key, w->len);
    return pm_ref_make_map(&r, &w->out);
}

static pm_status op_iter(world *w) {
    pm_iter i = pm_iter_vals(&w->m);
    while (pm_iter_next(&i)) {}
    pm_status s = pm_iter_status(&i);
    pm_iter_drop(&i);
    return s;
}

static pm_status op_iter_back(world *w) {
    pm_iter i = pm_iter_prefix(pm_iter_vals(&w->m), w->key, w->len / 2);
    while (pm_iter_prev(&i)) {}
    pm_status s = pm_iter_status(&i);
    if (s != PM_OK) return s;
    i = pm_iter_after(pm_iter_range(pm_iter_paths(&w->m), NULL, 0, w->key, w->len), "a", 1);
    for (bool more = pm_iter_prev(&i), back = false; more; back = !back)
        more = back ? pm_iter_next(&i) && pm_iter_prev(&i) && pm_iter_prev(&i) : pm_iter_prev(&i);
    return pm_iter_status(&i);
}

static pm_status op_iter_below(world *w) {
    pm_rz z;
    pm_status s = pm_rz_open(&w->m, w->key, w->len, &z);
    if (s != PM_OK) return s;
    pm_iter i = pm_iter_vals_of_rz(&z);
    while (pm_iter_next(&i)) {}
    s = pm_iter_status(&i);
    pm_iter_drop(&i);
    pm_rz_drop(&z);
    return s;
}

/* ---- write zippers --------------------------------------------------------------------------------------------- */

/* One call on an open writer whose focus is the world's place. */
typedef pm_status (*writer_operation)(world *w, pm_wz *z);

/* Set where it was not the writer that had no memory, but the zipper that it was to read from. */
static bool source_failed;
static const char *current = ""; /* operation that is being tried */

static pm_status open_source(world *w, pm_rz *src, const void *key, size_t len) {
    pm_status s = pm_rz_open(&w->other, key, len, src);
    source_failed = s != PM_OK;
    return s;
}

/* Its root lies half-way, so that it must never change what is above. */
static pm_status write_with(world *w, writer_operation f) {
    pm_wz z;
    pm_status s = pm_wz_open(&w->m, w->key, w->len / 2, &z);
    if (s != PM_OK) return s;
    pm_rz_descend_to(pm_wz_cursor(&z), w->key + w->len / 2, w->len - w->len / 2);
    s = pm_rz_status(pm_wz_cursor(&z));
    if (s != PM_OK) {
        (void)pm_wz_drop(&z);
        return s;
    }
    source_failed = false;
    s = f(w, &z);
    if (s != PM_OK) { /* the writer remembers, stands where it stood, and works on */
        size_t len;
        disarm();
        const uint8_t *path = pm_rz_origin_path(pm_wz_cursor(&z), &len);
        CHECK_MEM_EQ(path, len, w->key, w->len);
        CHECK_NOTE(pm_wz_status(&z) == s || source_failed, "%s", current);
        CHECK_EQ(pm_rz_exists(pm_wz_cursor(&z)), pm_path_exists(&w->m, w->key, w->len));
    }
    pm_status closed = pm_wz_drop(&z);
    CHECK_NOTE(closed == s || source_failed, "%s", current);
    return s;
}

static pm_status f_set(world *w, pm_wz *z) {
    pm_val v = value(w->kind);
    return keep_value(w->kind, pm_wz_set(z, v, NULL), v);
}
static pm_status f_get_mut(world *w, pm_wz *z) {
    pm_val *slot;
    (void)w;
    return pm_wz_get_mut(z, &slot);
}
static pm_status f_get_or_set(world *w, pm_wz *z) {
    pm_val v = value(w->kind);
    bool inserted = false;
    pm_status s = pm_wz_get_or_set(z, v, NULL, &inserted);
    if (s == PM_OK && !inserted && w->kind == COUNTED) counted_release(v);
    return keep_value(w->kind, s, v);
}
static pm_status f_get_or_set_with(world *w, pm_wz *z) {
    return pm_wz_get_or_set_with(z, make_value, &w->kind, NULL, NULL);
}
static pm_status f_remove(world *w, pm_wz *z) {
    (void)w;
    return pm_wz_remove(z, PM_KEEP, NULL);
}
static pm_status f_remove_prune(world *w, pm_wz *z) {
    (void)w;
    return pm_wz_remove(z, PM_PRUNE, NULL);
}
static pm_status f_graft(world *w, pm_wz *z) {
    pm_rz src;
    pm_status s = open_source(w, &src, "alpha/be", 8);
    if (s != PM_OK) return s;
    s = pm_wz_graft(z, &src);
    pm_rz_drop(&src);
    return s;
}
static pm_status f_graft_at(world *w, pm_wz *z) {
    pm_rz src;
    pm_status s = open_source(w, &src, NULL, 0);
    if (s != PM_OK) return s;
    s = pm_wz_graft_at(z, &src, run, 650);
    pm_rz_drop(&src);
    return s;
}
static pm_status f_graft_map(world *w, pm_wz *z) { return pm_wz_graft_map(z, &w->other); }
static pm_status f_graft_map_move(world *w, pm_wz *z) {
    w->consumes = true;
    return pm_wz_graft_map_move(z, &w->other);
}
static pm_status f_graft_masked(world *w, pm_wz *z) {
    pm_mask mask = pm_mask_of("arw", 3);
    pm_rz src;
    pm_status s = open_source(w, &src, NULL, 0);
    if (s != PM_OK) return s;
    s = pm_wz_graft_masked(z, &src, &mask, w->len % 2);
    pm_rz_drop(&src);
    return s;
}
static pm_status f_graft_children(world *w, pm_wz *z) {
    pm_mask mask = pm_mask_of("ar", 2);
    pm_map maps[2] = {pm_clone(&w->other), pm_clone(&w->m)};
    pm_status s = pm_wz_graft_children(z, &mask, maps, 2, w->len % 2);
    if (s != PM_OK) CHECK(pm_is_empty(&maps[0]) == pm_is_empty(&w->other) && maps[0].root == w->other.root);
    pm_drop(&maps[0]);
    pm_drop(&maps[1]);
    return s;
}
static pm_status f_take(world *w, pm_wz *z) {
    pm_map mark = w->out;
    pm_status s = pm_wz_take(z, PM_KEEP, &w->out, NULL);
    if (s != PM_OK) CHECK(memcmp(&mark, &w->out, sizeof mark) == 0);
    return s;
}
static pm_status f_take_prune(world *w, pm_wz *z) { return pm_wz_take(z, PM_PRUNE, &w->out, NULL); }
static pm_status f_insert_prefix(world *w, pm_wz *z) {
    (void)w;
    return pm_wz_insert_prefix(z, run, 600, NULL);
}
static pm_status f_remove_prefix(world *w, pm_wz *z) {
    size_t len;
    pm_status s = pm_wz_remove_prefix(z, w->len / 4 + 1, NULL);
    (void)pm_rz_origin_path(pm_wz_cursor(z), &len);
    if (s == PM_OK) CHECK(len <= w->len);
    return s;
}
static pm_status f_remove_branches(world *w, pm_wz *z) { return pm_wz_remove_branches(z, w->len % 2, NULL); }
static pm_status f_remove_unmasked(world *w, pm_wz *z) {
    pm_mask mask = pm_mask_of("a/t", 3);
    return pm_wz_remove_unmasked(z, &mask, w->len % 2);
}
static pm_status f_create_path(world *w, pm_wz *z) {
    (void)w;
    return pm_wz_create_path(z, NULL);
}
static pm_status f_prune_path(world *w, pm_wz *z) {
    (void)w;
    return pm_wz_prune_path(z, NULL);
}
static pm_status f_prune_ascend(world *w, pm_wz *z) {
    (void)w;
    return pm_wz_prune_ascend(z, NULL);
}
/* Opens the other map's place "alpha/be" as a source. */
static pm_status with_source(world *w, pm_wz *z, pm_status (*f)(pm_wz *z, const pm_rz *src)) {
    pm_rz src;
    pm_status s = open_source(w, &src, w->key, w->len / 2);
    if (s != PM_OK) return s;
    s = f(z, &src);
    pm_rz_drop(&src);
    return s;
}
static pm_status join_one(pm_wz *z, const pm_rz *src) { return pm_wz_join(z, src, NULL); }
static pm_status meet_one(pm_wz *z, const pm_rz *src) { return pm_wz_meet(z, src, PM_PRUNE, NULL); }
static pm_status meet_two(pm_wz *z, const pm_rz *src) { return pm_wz_meet_2(z, src, src, NULL); }
static pm_status subtract_one(pm_wz *z, const pm_rz *src) { return pm_wz_subtract(z, src, PM_PRUNE, NULL); }
static pm_status restrict_one(pm_wz *z, const pm_rz *src) { return pm_wz_restrict(z, src, NULL); }
static pm_status restricting_one(pm_wz *z, const pm_rz *src) { return pm_wz_restricting(z, src, NULL); }
static pm_status f_join(world *w, pm_wz *z) { return with_source(w, z, join_one); }
static pm_status f_meet(world *w, pm_wz *z) { return with_source(w, z, meet_one); }
static pm_status f_meet_2(world *w, pm_wz *z) { return with_source(w, z, meet_two); }
static pm_status f_subtract(world *w, pm_wz *z) { return with_source(w, z, subtract_one); }
static pm_status f_restrict(world *w, pm_wz *z) { return with_source(w, z, restrict_one); }
static pm_status f_restricting(world *w, pm_wz *z) { return with_source(w, z, restricting_one); }
static pm_status f_join_map(world *w, pm_wz *z) { return pm_wz_join_map(z, &w->other, NULL); }
static pm_status f_join_map_move(world *w, pm_wz *z) {
    w->consumes = true;
    return pm_wz_join_map_move(z, &w->other, NULL);
}
static pm_status f_join_k_path(world *w, pm_wz *z) { return pm_wz_join_k_path(z, 1 + w->len % 3, PM_PRUNE, NULL); }
static pm_status f_meet_k_path(world *w, pm_wz *z) { return pm_wz_meet_k_path(z, 1 + w->len % 3, PM_PRUNE, NULL); }
static pm_status f_group(world *w, pm_wz *z) {
    pm_val v = value(w->kind);
    CHECK_OK(pm_wz_begin(z));
    pm_status s = keep_value(w->kind, pm_wz_set(z, v, NULL), v);
    if (s == PM_OK) s = pm_wz_remove_branches(z, PM_KEEP, NULL);
    CHECK_OK(s == PM_OK ? pm_wz_commit(z) : pm_wz_rollback(z));
    return s;
}

#define WRITER(name)                                                                                                  \
    static pm_status op_wz_##name(world *w) { return write_with(w, f_##name); }
WRITER(set) WRITER(get_mut) WRITER(get_or_set) WRITER(get_or_set_with) WRITER(remove) WRITER(remove_prune)
WRITER(graft) WRITER(graft_at) WRITER(graft_map) WRITER(graft_map_move) WRITER(graft_masked) WRITER(graft_children)
WRITER(take) WRITER(take_prune) WRITER(insert_prefix) WRITER(remove_prefix) WRITER(remove_branches)
WRITER(remove_unmasked) WRITER(create_path) WRITER(prune_path) WRITER(prune_ascend)
WRITER(join) WRITER(meet) WRITER(meet_2) WRITER(subtract) WRITER(restrict) WRITER(restricting)
WRITER(join_map) WRITER(join_map_move) WRITER(join_k_path) WRITER(meet_k_path) WRITER(group)

static pm_status op_wz_open_move(world *w) {
    pm_wz z;
    pm_val v = value(w->kind);
    pm_map mark = w->m, back = {0};
    pm_status s = pm_wz_open_move(&w->m, w->key, w->len, &z);
    if (s != PM_OK) {
        CHECK(memcmp(&mark, &w->m, sizeof mark) == 0);
        return keep_value(w->kind, s, v);
    }
    CHECK(pm_is_empty(&w->m));
    s = keep_value(w->kind, pm_wz_set(&z, v, NULL), v);
    CHECK_OK(pm_wz_into_map(&z, &back));
    w->m = back;
    return s;
}

static pm_status op_wz_into_reader(world *w) {
    pm_wz z;
    pm_rz r;
    pm_status s = pm_wz_open(&w->m, w->key, w->len / 2, &z);
    if (s != PM_OK) return s;
    pm_rz_descend_to(pm_wz_cursor(&z), w->key + w->len / 2, w->len - w->len / 2);
    s = pm_rz_status(pm_wz_cursor(&z));
    if (s == PM_OK) s = pm_wz_into_reader(&z, &r);
    if (s == PM_OK) {
        CHECK_EQ(pm_rz_exists(&r), pm_path_exists(&w->m, w->key, w->len));
        pm_rz_drop(&r);
    } else {
        (void)pm_wz_drop(&z);
    }
    return s;
}

#endif
