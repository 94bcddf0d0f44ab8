/* `replay` on the naive model. */

#include "replay.h"
#include "replay_ops.h"

#include <stdio.h>
#include <stdlib.h>

typedef struct on_model {
    model *map[REPLAY_MAPS];
    model_cursor reader[REPLAY_ZIPPERS], writer[REPLAY_ZIPPERS];
    unsigned reader_claim[REPLAY_ZIPPERS], writer_claim[REPLAY_ZIPPERS]; /* 0: not from a head */
    model *saved[REPLAY_TXNS], *mixed[REPLAY_MIXED];
    int saved_map[REPLAY_TXNS];
    int head_map;
    model_claims claims;
    model_algebra alg;
} on_model;

static model *map_of(on_model *s, const replay_args *a, int i) { return s->map[a->map[i]]; }

static model_cursor *writer_of(on_model *s, const replay_args *a) { return &s->writer[a->writer[0]]; }

/* The zipper of a move. */
static model_cursor *zipper_of(on_model *s, const replay_args *a) {
    return a->writers ? &s->writer[a->writer[0]] : &s->reader[a->reader[0]];
}

/* What map `i` holds at path `i`, as a trie of its own. */
static model *source_of(on_model *s, const replay_args *a, int i) {
    return model_subtrie(map_of(s, a, i), a->path[i].data, a->path[i].len, NULL);
}

static void put_map(on_model *s, int i, model *m) {
    model_free(s->map[i]);
    s->map[i] = m;
}

static void print_opt(model_bytes *out, bool some, uint64_t val) {
    if (some)
        replay_print(out, "%llu", (unsigned long long)val);
    else
        replay_print(out, "none");
}

static bool say(model_bytes *out, uint64_t n) {
    replay_print(out, "%llu", (unsigned long long)n);
    return true;
}

static bool say_ok(model_bytes *out) {
    replay_print(out, "ok");
    return true;
}

static bool say_status(model_bytes *out, model_status st) {
    static const char *const names[] = {"none", "identity", "element"};
    replay_print(out, "%s", names[st]);
    return true;
}

/* Opens the body of an operation: `s` is the state; every function answers whether it took effect. */
#define ON(name)                                                                      \
    static bool run_##name(on_model *s, const replay_args *a, model_bytes *out);      \
    bool model_on_##name(void *state, const replay_args *a, model_bytes *out) {       \
        return run_##name(state, a, out);                                             \
    }                                                                                 \
    static bool run_##name(on_model *s, const replay_args *a, model_bytes *out)

#define PATH(a, i) (a)->path[i].data, (a)->path[i].len

/* ---- maps ---- */

ON(mode) {
    s->alg = a->alg;
    return say_ok(out);
}

ON(set) {
    uint64_t old = 0;
    bool had = model_set(map_of(s, a, 0), PATH(a, 0), a->num, &old);
    print_opt(out, had, old);
    return true;
}

ON(get) {
    uint64_t v = 0;
    bool some = model_get(map_of(s, a, 0), PATH(a, 0), &v);
    print_opt(out, some, v);
    return true;
}

ON(del) {
    uint64_t old = 0;
    bool had = model_remove(map_of(s, a, 0), PATH(a, 0), a->flag[0], &old);
    print_opt(out, had, old);
    return true;
}

ON(has) { return say(out, model_exists(map_of(s, a, 0), PATH(a, 0))); }
ON(create) { return say(out, model_create(map_of(s, a, 0), PATH(a, 0))); }
ON(prune) { return say(out, model_prune(map_of(s, a, 0), PATH(a, 0))); }
ON(rmbranches) { return say(out, model_remove_branches(map_of(s, a, 0), PATH(a, 0), a->flag[0])); }
ON(count) { return say(out, model_val_count(map_of(s, a, 0))); }
ON(locs) { return say(out, model_location_count(map_of(s, a, 0))); }

ON(clone) {
    put_map(s, a->map[1], model_copy(map_of(s, a, 0)));
    return say_ok(out);
}

ON(drop) {
    model_clear(map_of(s, a, 0));
    return say_ok(out);
}

ON(list) {
    model_list(map_of(s, a, 0), out);
    return true;
}

ON(hash) {
    model_bytes text = {0};
    model_list(map_of(s, a, 0), &text);
    replay_print_hash(out, &text);
    model_bytes_free(&text);
    return true;
}

ON(eq) { return say(out, model_equal(map_of(s, a, 0), map_of(s, a, 1))); }

static bool combine(on_model *s, const replay_args *a, model_op op, model_bytes *out) {
    static const char *const names[] = {"none", "identity-left", "identity-right", "identity-both", "element"};
    model *result = model_combine(op, s->alg, map_of(s, a, 1), map_of(s, a, 2));
    replay_print(out, "%s", names[model_compare(result, map_of(s, a, 1), map_of(s, a, 2))]);
    put_map(s, a->map[0], result);
    return true;
}

ON(join) { return combine(s, a, MODEL_JOIN, out); }
ON(meet) { return combine(s, a, MODEL_MEET, out); }
ON(sub) { return combine(s, a, MODEL_SUBTRACT, out); }
ON(restrict) { return combine(s, a, MODEL_RESTRICT, out); }

ON(sub1) {
    bool exists;
    model *sub = model_subtrie(map_of(s, a, 1), PATH(a, 0), &exists);
    put_map(s, a->map[0], sub);
    return say(out, exists);
}

ON(kcount) { return say(out, model_depth_count(map_of(s, a, 0), a->num)); }

ON(fold) {
    replay_print(out, "%016llx", (unsigned long long)model_fold(map_of(s, a, 0)));
    return true;
}

ON(check) {
    (void)s;
    (void)a;
    return say_ok(out);
}

/* ---- zippers: opening, closing, moving ---- */

ON(ropen) {
    model_cursor_open_snapshot(&s->reader[a->reader[0]], map_of(s, a, 0), PATH(a, 0));
    return say_ok(out);
}

ON(rclose) {
    int i = a->reader[0];
    model_cursor_close(&s->reader[i]);
    model_claims_remove(&s->claims, s->reader_claim[i]);
    s->reader_claim[i] = 0;
    return say_ok(out);
}

ON(rfork) {
    model_cursor_fork(&s->reader[a->reader[0]], &s->reader[a->reader[1]]);
    return say_ok(out);
}

ON(wopen) {
    model_cursor_open(writer_of(s, a), map_of(s, a, 0), PATH(a, 0));
    return say_ok(out);
}

ON(wclose) {
    int i = a->writer[0];
    model_cursor_close(&s->writer[i]);
    model_claims_remove(&s->claims, s->writer_claim[i]);
    s->writer_claim[i] = 0;
    return say_ok(out);
}

ON(to) { return say(out, model_cursor_move_to(zipper_of(s, a), PATH(a, 0))); }

ON(down) {
    model_cursor_descend(zipper_of(s, a), PATH(a, 0));
    return say_ok(out);
}

ON(exist) { return say(out, model_cursor_descend_existing(zipper_of(s, a), PATH(a, 0), false)); }
ON(toval) { return say(out, model_cursor_descend_existing(zipper_of(s, a), PATH(a, 0), true)); }
ON(byte) { return say(out, model_cursor_descend_byte(zipper_of(s, a), a->byte)); }
ON(first) { return say(out, model_cursor_descend_index(zipper_of(s, a), 0)); }
ON(last) { return say(out, model_cursor_descend_last(zipper_of(s, a))); }
ON(idx) { return say(out, model_cursor_descend_index(zipper_of(s, a), a->num)); }
ON(until) { return say(out, model_cursor_descend_until(zipper_of(s, a), UINT64_MAX)); }
ON(untilmax) { return say(out, model_cursor_descend_until(zipper_of(s, a), a->num)); }
ON(up) { return say(out, model_cursor_ascend(zipper_of(s, a), a->num)); }
ON(upuntil) { return say(out, model_cursor_ascend_until(zipper_of(s, a), true)); }
ON(upbranch) { return say(out, model_cursor_ascend_until(zipper_of(s, a), false)); }
ON(next) { return say(out, model_cursor_sibling(zipper_of(s, a), true)); }
ON(prev) { return say(out, model_cursor_sibling(zipper_of(s, a), false)); }
ON(val) { return say(out, model_cursor_next_val(zipper_of(s, a))); }
ON(step) { return say(out, model_cursor_next_step(zipper_of(s, a))); }
ON(pval) { return say(out, model_cursor_prev_val(zipper_of(s, a))); }
ON(pstep) { return say(out, model_cursor_prev_step(zipper_of(s, a))); }

static bool say_moves(model_bytes *out, model_cursor *c, bool (*move)(model_cursor *), uint64_t n) {
    model_bytes paths = {0};
    uint64_t made = 0;
    for (; made < n && move(c); made++) {
        const model_key path = model_cursor_path(c);
        model_bytes_append(&paths, &path.len, sizeof path.len);
        model_bytes_append(&paths, path.data, path.len);
    }
    replay_print(out, "%llu ", (unsigned long long)made);
    replay_print_hash(out, &paths);
    model_bytes_free(&paths);
    return true;
}
ON(vals) { return say_moves(out, zipper_of(s, a), model_cursor_next_val, a->num); }
ON(pvals) { return say_moves(out, zipper_of(s, a), model_cursor_prev_val, a->num); }
ON(steps) { return say_moves(out, zipper_of(s, a), model_cursor_next_step, a->num); }
ON(psteps) { return say_moves(out, zipper_of(s, a), model_cursor_prev_step, a->num); }
ON(seek) { return say(out, model_cursor_seek(zipper_of(s, a), a->rel > 1, a->rel == 1 || a->rel == 2, PATH(a, 0))); }
ON(firstk) { return say(out, model_cursor_first_k(zipper_of(s, a), a->num)); }
ON(nextk) { return say(out, model_cursor_next_k(zipper_of(s, a), a->num)); }
ON(lastpath) { return say(out, model_cursor_last_path(zipper_of(s, a))); }

ON(mask) {
    uint8_t bytes[256];
    unsigned n = model_cursor_children(zipper_of(s, a), bytes);
    replay_print_path(out, (model_key){bytes, n});
    return true;
}

ON(valcount) { return say(out, model_cursor_val_count(zipper_of(s, a))); }

ON(origin) {
    const model_cursor *c = zipper_of(s, a);
    replay_print_path(out, (model_key){c->path.data, c->path.len});
    return true;
}

ON(reset) {
    model_cursor_reset(zipper_of(s, a));
    return say_ok(out);
}

ON(atroot) { return say(out, model_cursor_at_root(zipper_of(s, a))); }

/* ---- writes ---- */

ON(w_set) {
    uint64_t old = 0;
    bool had = model_cursor_set(writer_of(s, a), a->num, &old);
    print_opt(out, had, old);
    return true;
}

ON(w_del) {
    uint64_t old = 0;
    bool had = model_cursor_remove(writer_of(s, a), a->flag[0], &old);
    print_opt(out, had, old);
    return true;
}

ON(w_orset) {
    uint64_t now = a->num;
    if (!model_cursor_val(writer_of(s, a), &now)) model_cursor_set(writer_of(s, a), a->num, NULL);
    return say(out, now);
}

ON(w_graft) {
    model *src = source_of(s, a, 0);
    model_cursor_graft(writer_of(s, a), src);
    model_free(src);
    return say_ok(out);
}

ON(w_graftmask) {
    model *src = source_of(s, a, 0);
    model_cursor_graft_masked(writer_of(s, a), src, a->mask, a->flag[0]);
    model_free(src);
    return say_ok(out);
}

static bool combine_in_place(on_model *s, const replay_args *a, model_op op, model_bytes *out) {
    model *src = source_of(s, a, 0);
    model_status st = model_cursor_combine(writer_of(s, a), op, s->alg, src, a->flag[0]);
    model_free(src);
    return say_status(out, st);
}

ON(w_join) { return combine_in_place(s, a, MODEL_JOIN, out); }
ON(w_meet) { return combine_in_place(s, a, MODEL_MEET, out); }
ON(w_sub) { return combine_in_place(s, a, MODEL_SUBTRACT, out); }
ON(w_restrict) { return combine_in_place(s, a, MODEL_RESTRICT, out); }

ON(w_meet2) {
    model *left = source_of(s, a, 0), *right = source_of(s, a, 1);
    model_status st = model_cursor_meet2(writer_of(s, a), s->alg, left, right);
    model_free(left);
    model_free(right);
    return say_status(out, st);
}

ON(w_restricting) {
    bool exists;
    model *src = model_subtrie(map_of(s, a, 0), PATH(a, 0), &exists);
    bool done = model_cursor_restricting(writer_of(s, a), exists ? src : NULL);
    model_free(src);
    return say(out, done);
}

ON(w_jointake) {
    return say_status(out, model_cursor_join_take(writer_of(s, a), &s->writer[a->writer[1]], s->alg, a->flag[0]));
}

ON(w_joink) { return say(out, model_cursor_combine_k(writer_of(s, a), MODEL_JOIN, s->alg, a->num, a->flag[0])); }
ON(w_meetk) { return say(out, model_cursor_combine_k(writer_of(s, a), MODEL_MEET, s->alg, a->num, a->flag[0])); }
ON(w_insprefix) { return say(out, model_cursor_insert_prefix(writer_of(s, a), PATH(a, 0))); }
ON(w_rmprefix) { return say(out, model_cursor_remove_prefix(writer_of(s, a), a->num)); }

ON(w_take) {
    bool some;
    model *taken = model_cursor_take(writer_of(s, a), a->flag[0], &some);
    put_map(s, a->map[0], taken);
    return say(out, some);
}

ON(w_rmbranches) { return say(out, model_cursor_remove_branches(writer_of(s, a), a->flag[0])); }

ON(w_rmmask) {
    model_cursor_keep_children(writer_of(s, a), a->mask, a->flag[0]);
    return say_ok(out);
}

ON(w_create) { return say(out, model_cursor_create(writer_of(s, a))); }
ON(w_prune) { return say(out, model_cursor_prune(writer_of(s, a))); }
ON(w_pruneup) { return say(out, model_cursor_prune_ascend(writer_of(s, a))); }

/* ---- transactions, heads ---- */

ON(tbegin) {
    s->saved[a->txn] = model_copy(map_of(s, a, 0));
    s->saved_map[a->txn] = a->map[0];
    return say_ok(out);
}

ON(tcommit) {
    model_free(s->saved[a->txn]);
    s->saved[a->txn] = NULL;
    return say_ok(out);
}

ON(troll) {
    put_map(s, s->saved_map[a->txn], s->saved[a->txn]);
    s->saved[a->txn] = NULL;
    return say_ok(out);
}

ON(hopen) {
    s->head_map = a->map[0];
    return say_ok(out);
}

/* Claims the path, or tells what is in the way. */
static unsigned claim(on_model *s, const replay_args *a, model_claim_kind kind, model_bytes *out) {
    model_key *others;
    size_t n = model_claims_conflicts(&s->claims, kind, PATH(a, 0), &others);
    if (!n) {
        say_ok(out);
        return model_claims_add(&s->claims, kind, PATH(a, 0));
    }
    replay_print(out, "conflict ");
    for (size_t i = 0; i < n; i++) {
        if (i) replay_print(out, ",");
        replay_print_path(out, others[i]);
    }
    free(others);
    return 0;
}

static bool head_reader(on_model *s, const replay_args *a, model_claim_kind kind, model_bytes *out) {
    int i = a->reader[0];
    s->reader_claim[i] = claim(s, a, kind, out);
    /* A pinned reader may be a copy too: while it is out nothing below its root can change. */
    if (s->reader_claim[i]) model_cursor_open_snapshot(&s->reader[i], s->map[s->head_map], PATH(a, 0));
    return s->reader_claim[i] != 0;
}

ON(hread) { return head_reader(s, a, MODEL_SNAPSHOT, out); }
ON(hpin) { return head_reader(s, a, MODEL_PINNED, out); }

ON(hwrite) {
    int i = a->writer[0];
    s->writer_claim[i] = claim(s, a, MODEL_WRITER, out);
    if (s->writer_claim[i]) model_cursor_open(&s->writer[i], s->map[s->head_map], PATH(a, 0));
    return s->writer_claim[i] != 0;
}

ON(hclose) {
    (void)a;
    if (!s->claims.n) return say_ok(out);
    replay_print(out, "busy %zu", s->claims.n);
    return false;
}

#include "replay_order_model.h"
#include "replay_views_model.h"

/* ---- the engine ---- */

#include "replay_diff_model.h"

static void *open_model(void) {
    on_model *s = calloc(1, sizeof *s);
    if (!s) {
        fputs("replay: no memory\n", stderr);
        exit(3);
    }
    for (int i = 0; i < REPLAY_MAPS; i++) s->map[i] = model_new();
    return s;
}

static void close_model(void *state, model_bytes *complaint) {
    on_model *s = state;
    (void)complaint;
    for (int i = 0; i < REPLAY_ZIPPERS; i++) {
        model_cursor_close(&s->reader[i]);
        model_cursor_close(&s->writer[i]);
    }
    for (int i = 0; i < REPLAY_TXNS; i++) model_free(s->saved[i]);
    for (int i = 0; i < REPLAY_MIXED; i++) model_free(s->mixed[i]);
    for (int i = 0; i < REPLAY_MAPS; i++) model_free(s->map[i]);
    model_claims_free(&s->claims);
    free(s);
}

static void look_at_model(void *state, bool writer, int i, replay_place *out) {
    const model_cursor *c = replay_model_cursor(state, writer, i);
    *out = (replay_place){.path = model_cursor_path(c),
                          .exists = model_cursor_exists(c),
                          .children = model_cursor_children(c, NULL)};
    out->has_val = model_cursor_val(c, &out->val);
}

model *replay_model_map(void *state, int map) { return ((on_model *)state)->map[map]; }

const model_cursor *replay_model_cursor(void *state, bool writer, int i) {
    on_model *s = state;
    return writer ? &s->writer[i] : &s->reader[i];
}

const replay_engine replay_model = {"model", open_model, close_model, look_at_model, NULL};
