/* More operations for test_oom.c: heads, replaceable maps, views, folds, unfolds, hashes, samples. */
#ifndef OOM_OPERATIONS_MORE_H
#define OOM_OPERATIONS_MORE_H

#include "oom_operations.h"

/* ---- algebra of many ------------------------------------------------------------------------------------------- */

static pm_status combine_many(world *w, pm_status (*f)(const pm_map *const *maps, size_t n, pm_map *out,
                                                       size_t *which)) {
    const pm_map *maps[4] = {&w->other, &w->m, &w->clone, &w->m};
    pm_map mark = w->out;
    size_t which = 77;
    pm_status s = f(maps, w->shared ? 4 : 2, &w->out, &which);
    if (s != PM_OK) CHECK(which == 77 && memcmp(&mark, &w->out, sizeof mark) == 0);
    return s;
}

static pm_status op_join_many(world *w) { return combine_many(w, pm_join_many); }
static pm_status op_meet_many(world *w) { return combine_many(w, pm_meet_many); }

/* Two writers. The one that gives may keep what the other has got already. */
static pm_status op_wz_join_take(world *w) {
    pm_wz to, from;
    pm_status s = pm_wz_open(&w->m, NULL, 0, &to);
    if (s != PM_OK) return s;
    s = pm_wz_open(&w->other, w->key, w->len / 2, &from);
    if (s == PM_OK) {
        w->consumes = w->may_change = true;
        s = pm_wz_join_take(&to, &from, PM_PRUNE, NULL);
        disarm();
        CHECK(pm_wz_drop(&from) == PM_OK || s != PM_OK);
    }
    (void)pm_wz_drop(&to);
    return s;
}

/* ---- heads ------------------------------------------------------------------------------------------------------ */

/* A head that had no memory to close goes on to be one. */
static void close_head(pm_head *h) {
    pm_status s = pm_head_free(h, NULL, NULL);
    if (s == PM_OK) return;
    CHECK_EQ(s, PM_NOMEM);
    disarm();
    CHECK_OK(pm_head_free(h, NULL, NULL));
}

static pm_status op_head_write(world *w) {
    pm_head *h = NULL;
    pm_wz z;
    pm_status s = pm_head_new(&w->m, &h);
    if (s != PM_OK) {
        CHECK(h == NULL);
        return s;
    }
    s = pm_head_write(h, w->key, w->len / 2, &z, NULL);
    if (s == PM_OK) {
        pm_rz_descend_to(pm_wz_cursor(&z), w->key + w->len / 2, w->len - w->len / 2);
        s = pm_rz_status(pm_wz_cursor(&z));
        pm_val v = value(w->kind);
        if (s == PM_OK) s = pm_wz_set(&z, v, NULL);
        (void)keep_value(w->kind, s, v);
        (void)pm_wz_drop(&z);
    }
    close_head(h);
    return s;
}

static pm_status op_head_conflict(world *w) {
    pm_head *h = NULL;
    pm_wz z, second;
    pm_map why;
    pm_status s = pm_head_new(&w->m, &h);
    if (s != PM_OK) return s;
    s = pm_head_write(h, w->key, w->len, &z, NULL);
    if (s == PM_OK) {
        s = pm_head_write(h, w->key, w->len / 2, &second, &why);
        if (s == PM_CONFLICT) { /* told even when there is no memory to say why */
            CHECK(pm_is_empty(&why) || pm_contains(&why, w->key, w->len));
            pm_drop(&why);
            s = PM_OK;
        }
        (void)pm_wz_drop(&z);
    }
    close_head(h);
    return s;
}

typedef pm_status (*head_reader)(pm_head *h, const void *path, size_t len, pm_rz *out);
static pm_status pin(pm_head *h, const void *path, size_t len, pm_rz *out) {
    return pm_head_pin(h, path, len, out, NULL);
}

static pm_status read_head(world *w, head_reader f) {
    pm_head *h = NULL;
    pm_rz r;
    bool exists = pm_path_exists(&w->m, w->key, w->len);
    pm_status s = pm_head_new(&w->m, &h);
    if (s != PM_OK) return s;
    s = f(h, w->key, w->len, &r);
    if (s == PM_OK) {
        CHECK_EQ(pm_rz_exists(&r), exists);
        if (r.claim == &h->reading) s = pm_head_refresh(h, &r, NULL);
        pm_rz_drop(&r);
    }
    close_head(h);
    return s;
}

static pm_status op_head_read(world *w) { return read_head(w, pm_head_read); }
static pm_status op_head_fence(world *w) { return read_head(w, pm_head_fence); }
static pm_status op_head_pin(world *w) { return read_head(w, pin); }

/* ---- maps that are replaced -------------------------------------------------------------------------------------- */

static pm_status update_once(void *ctx, pm_map *m) {
    world *w = ctx;
    pm_val v = value(w->kind);
    return keep_value(w->kind, pm_set(m, w->key, w->len, v, NULL), v);
}

static pm_status op_shared(world *w) {
    pm_shared *shared = NULL;
    bool swapped = false;
    pm_status s = pm_shared_new(&w->m, &shared);
    if (s != PM_OK) {
        CHECK(shared == NULL);
        return s;
    }
    s = pm_shared_store(shared, &w->other);
    if (s == PM_OK) s = pm_shared_compare_and_swap(shared, &w->other, &w->m, &swapped);
    if (s == PM_OK) s = pm_shared_update(shared, update_once, w);
    pm_map now = pm_new(NULL, NULL);
    uint64_t seen = 0;
    CHECK(pm_shared_refresh(shared, &now, &seen)); /* needs no memory */
    CHECK(s == PM_OK || now.root == w->m.root || now.root == w->other.root);
    pm_drop(&now);
    pm_shared_free(shared);
    return s;
}

/* ---- views ------------------------------------------------------------------------------------------------------- */

/* Opens a view of both maps. */
typedef pm_status (*view_opener)(const pm_rz *a, const pm_rz *b, pm_rz *out);

static pm_status product_of(const pm_rz *a, const pm_rz *b, pm_rz *out) {
    pm_rz factors[2] = {*a, *b};
    return pm_view_product(factors, 2, out);
}
static pm_status overlay_of(const pm_rz *a, const pm_rz *b, pm_rz *out) {
    return pm_view_overlay(a, b, NULL, NULL, out);
}
static pm_status prefix_of(const pm_rz *a, const pm_rz *b, pm_rz *out) {
    (void)b;
    return pm_view_prefix(a, run, 300, run, 10, out);
}

static pm_status look_at_view(world *w, pm_rz *z) {
    unsigned steps = 0;
    pm_rz_descend_to(z, w->key, w->len);
    (void)pm_rz_exists(z);
    (void)pm_rz_val(z);
    (void)pm_rz_child_mask(z);
    (void)pm_rz_ascend(z, SIZE_MAX);
    while (steps++ < 300 && pm_rz_to_next_val(z)) {}
    (void)pm_rz_ascend(z, SIZE_MAX);
    while (steps++ < 400 && pm_rz_to_next_step(z)) {}
    return pm_rz_status(z);
}

static pm_status view_with(world *w, view_opener f, bool make) {
    pm_rz a, b, z;
    pm_map mark = w->out;
    pm_status s = pm_rz_open(&w->m, NULL, 0, &a);
    if (s != PM_OK) return s;
    s = pm_rz_open(&w->other, "alpha", w->len % 6, &b);
    if (s == PM_OK) {
        s = f(&a, &b, &z);
        if (s == PM_OK) {
            s = make ? pm_rz_make_map_in(&z, NULL, NULL, &w->out) : look_at_view(w, &z);
            if (s != PM_OK) CHECK(memcmp(&mark, &w->out, sizeof mark) == 0);
            pm_rz_drop(&z);
        }
        pm_rz_drop(&b);
    }
    pm_rz_drop(&a);
    return s;
}

static pm_status op_view_product(world *w) { return view_with(w, product_of, false); }
static pm_status op_view_overlay(world *w) { return view_with(w, overlay_of, false); }
static pm_status op_view_prefix(world *w) { return view_with(w, prefix_of, false); }
static pm_status op_view_meet(world *w) { return view_with(w, pm_view_meet, false); }
static pm_status op_view_subtract(world *w) { return view_with(w, pm_view_subtract, false); }
static pm_status op_view_overlay_map(world *w) { return view_with(w, overlay_of, true); }
static pm_status op_view_prefix_map(world *w) { return view_with(w, prefix_of, true); }
static pm_status op_view_meet_map(world *w) { return view_with(w, pm_view_meet, true); }
static pm_status op_view_subtract_map(world *w) { return view_with(w, pm_view_subtract, true); }

/* ---- folds ------------------------------------------------------------------------------------------------------- */

static int64_t results; /* that are made and not dropped */

static int count_at(void *ctx, const pm_fold_at *here, void *out) {
    uint64_t n = here->val != NULL;
    (void)ctx;
    for (unsigned i = 0; i < here->n; i++) n += ((const uint64_t *)here->results)[i];
    memcpy(out, &n, sizeof n);
    results++;
    return PM_OK;
}
static void drop_result(void *ctx, void *result) {
    (void)ctx, (void)result;
    results--;
}
static int copy_result(void *ctx, const void *result, void *out) {
    (void)ctx;
    memcpy(out, result, sizeof(uint64_t));
    results++;
    return PM_OK;
}

static pm_status fold_with(world *w, unsigned flags) {
    pm_fold f = {.size = sizeof(uint64_t), .flags = flags, .at = count_at, .drop = drop_result, .copy = copy_result};
    uint64_t n = 77, want = 0;
    results = 0;
    int s = pm_fold_map(&w->m, &f, &n);
    disarm();
    CHECK_EQ(results, s == PM_OK);
    if (s == PM_OK) {
        CHECK_OK(pm_val_count(&w->m, &want));
        CHECK_EQ(n, want);
    } else {
        CHECK_EQ(n, 77);
    }
    return (pm_status)s;
}

static pm_status op_fold(world *w) { return fold_with(w, 0); }
static pm_status op_fold_jumping(world *w) { return fold_with(w, PM_FOLD_JUMPING); }
static pm_status op_fold_cached(world *w) { return fold_with(w, PM_FOLD_CACHED); }

/* ---- unfolds ----------------------------------------------------------------------------------------------------- */

static int64_t seeds;

/* A tree of three levels, with a graft. */
static int grow(void *ctx, void *seed, pm_sprout *here, const uint8_t *path, size_t len) {
    world *w = ctx;
    uint64_t depth = *(uint64_t *)seed + 1;
    (void)path;
    if (depth % 2) {
        pm_val v = value(w->kind);
        pm_status s = keep_value(w->kind, pm_sprout_val(here, v), v);
        if (s != PM_OK) return s;
    }
    for (unsigned i = 0; i < 3 && depth < 4; i++) {
        uint8_t step[300];
        memset(step, (int)('a' + i), sizeof step);
        pm_status s = pm_sprout_child(here, step, i == 2 ? 300 : i + 1, &depth);
        if (s != PM_OK) return s;
        seeds++;
    }
    return len == 0 ? pm_sprout_graft(here, "x/", 2, &w->other) : PM_OK;
}
static void drop_seed(void *ctx, void *seed) {
    (void)ctx, (void)seed;
    seeds--;
}

static pm_status op_unfold(world *w) {
    pm_unfold u = {.seed_size = sizeof(uint64_t), .ctx = w, .at = grow, .drop = drop_seed};
    uint64_t seed = 0;
    pm_map mark = w->out;
    seeds = 1;
    int s = pm_unfold_map(&u, &seed, ops_of(w->kind), NULL, &w->out);
    CHECK_EQ(seeds, 0);
    if (s != PM_OK) CHECK(memcmp(&mark, &w->out, sizeof mark) == 0);
    return (pm_status)s;
}

static pm_status op_hylo(world *w) {
    pm_unfold u = {.seed_size = sizeof(uint64_t), .ctx = w, .at = grow, .drop = drop_seed};
    pm_fold f = {.size = sizeof(uint64_t), .flags = 0, .at = count_at, .drop = drop_result, .copy = copy_result};
    uint64_t seed = 0, n = 77;
    pm_map other = w->other;
    kind k = w->kind;
    w->other = pm_new(pm_ops_left(), OOM_POOL); /* values are plain words, those of what is grafted too */
    w->kind = WORDS;
    seeds = 1;
    results = 0;
    int s = pm_hylo(&u, &seed, &f, &n);
    w->other = other;
    w->kind = k;
    CHECK_EQ(seeds, 0);
    CHECK_EQ(results, s == PM_OK);
    if (s != PM_OK) CHECK_EQ(n, 77);
    return (pm_status)s;
}

/* ---- differences ------------------------------------------------------------------------------------------------- */

static bool see_change(void *ctx, const pm_change *c) {
    *(size_t *)ctx += c->len + 1;
    return true;
}

static pm_status op_diff(world *w) {
    size_t n = 0;
    return pm_diff(&w->m, &w->other, see_change, &n);
}

static pm_status op_diff_iter(world *w) {
    pm_diff_iter i = pm_diff_iter_over(&w->other, &w->m);
    while (pm_diff_iter_next(&i)) {}
    return pm_diff_iter_status(&i);
}

static pm_status op_patch(world *w) {
    pm_patch p, q, mark;
    memset(&mark, 7, sizeof mark);
    p = q = mark;
    pm_status s = pm_patch_make(&w->m, &w->other, &p);
    if (s != PM_OK) {
        CHECK(memcmp(&p, &mark, sizeof p) == 0);
        return s;
    }
    s = pm_patch_make(&w->other, &w->clone, &q);
    if (s == PM_OK) {
        pm_patch_invert(&q);
        mark = q;
        s = pm_patch_compose(&p, &q, &q);
        if (s != PM_OK) CHECK(memcmp(&q, &mark, sizeof q) == 0);
        pm_patch_drop(&q);
    }
    if (s == PM_OK) s = pm_patch_apply(&p, &w->m);
    pm_patch_drop(&p);
    return s;
}

/* Three of four conflicts are left to one of the maps. */
static pm_merge_pick pick_in_turn(void *ctx, const pm_merge_conflict *c, pm_val *val) {
    world *w = ctx;
    pm_merge_pick pick = (pm_merge_pick)(c->len % 4);
    if (pick != PM_PICK_NONE) return pick;
    *val = value(w->kind);
    return PM_PICK_VALUE;
}

static pm_status merge3_of(world *w, const pm_map *base, const pm_map *ours, const pm_map *theirs) {
    pm_map mark = w->out;
    size_t conflicts = 77;
    pm_status s = pm_merge3(base, ours, theirs, pick_in_turn, w, &w->out, &conflicts);
    if (s != PM_OK) CHECK(conflicts == 77 && memcmp(&mark, &w->out, sizeof mark) == 0);
    return s;
}

static pm_status op_merge3(world *w) { return merge3_of(w, &w->clone, &w->m, &w->other); }
static pm_status op_merge3_graft(world *w) { return merge3_of(w, &w->m, &w->clone, &w->other); }

/* Both sides are close to what they come from. */
static pm_status op_merge3_close(world *w) {
    pm_map ours = pm_clone(&w->m), theirs = pm_clone(&w->m);
    pm_status s = pm_create_path(&ours, "alpha/beta/!", 12, NULL);
    pm_val v = value(w->kind);
    if (s == PM_OK) s = pm_create_path(&theirs, "w?", 2, NULL);
    if (s == PM_OK) s = pm_set(&theirs, w->key, w->len, v, NULL);
    (void)keep_value(w->kind, s, v);
    if (s == PM_OK) s = merge3_of(w, &w->m, &ours, &theirs);
    pm_drop(&ours);
    pm_drop(&theirs);
    return s;
}

/* ---- hashes and samples ------------------------------------------------------------------------------------------ */

static pm_status op_hash(world *w) {
    pm_hash128 h = {77, 77};
    pm_status s = pm_hash(&w->m, &h);
    if (s != PM_OK) CHECK(h.lo == 77 && h.hi == 77);
    return s;
}

static pm_status op_merkleize(world *w) {
    pm_merkle_stats stats;
    return pm_merkleize(&w->m, &stats);
}

static uint64_t random_word(void *ctx) { return check_rand_from(ctx); }

static pm_status op_sampler(world *w) {
    pm_sampler *sampler = NULL;
    const pm_rz *at = NULL;
    uint64_t state = 1;
    pm_status s = pm_sampler_new(&w->m, PM_SAMPLE_PATHS, &sampler);
    if (s != PM_OK) {
        CHECK(sampler == NULL);
        return s;
    }
    s = pm_sampler_at(sampler, pm_sampler_count(sampler) - 1, &at);
    if (s == PM_OK) s = pm_sampler_draw(sampler, random_word, &state, &at);
    if (s == PM_OK) CHECK(at && pm_rz_exists(at));
    pm_sampler_free(sampler);
    return s;
}

#endif
