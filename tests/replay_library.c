/* `replay` on the library. Where the library has several calls for one operation of the script, the text of the
   line picks one, and where two calls must agree, both are asked. */

#define LIBRARY_HOOKS
#include "library.h"

#include "replay.h"
#include "replay_ops.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

_Thread_local uint64_t library_rmws;
void *library_malloc(size_t n) { return malloc(n); }
void library_free(void *p, size_t n) {
    (void)n;
    free(p);
}

/* Files in memory, see replay_views_library.h. */
typedef struct memory_disk {
    struct memory_file *named[2]; /* NAME and NAME.part */
} memory_disk;

typedef struct on_library {
    pm_map map[REPLAY_MAPS];
    pm_rz reader[REPLAY_ZIPPERS];
    pm_wz writer[REPLAY_ZIPPERS];
    pm_txn txn[REPLAY_TXNS];
    pm_mixed mixed[REPLAY_MIXED];
    pm_store *store; /* made when it is needed */
    memory_disk disk;
    int writer_map[REPLAY_ZIPPERS], txn_map[REPLAY_TXNS];
    pm_head *head;
    pm_wz host; /* of a head over a writer's focus */
    int head_map;
    bool owned; /* the content, by the head */
} on_library;

static pm_map *map_of(on_library *s, const replay_args *a, int i) { return &s->map[a->map[i]]; }

static pm_wz *writer_of(on_library *s, const replay_args *a) { return &s->writer[a->writer[0]]; }

/* The zipper of a move. */
static pm_rz *zipper_of(on_library *s, const replay_args *a) {
    return a->writers ? pm_wz_cursor(&s->writer[a->writer[0]]) : &s->reader[a->reader[0]];
}

static void put_map(on_library *s, int i, pm_map m) {
    pm_drop(&s->map[i]);
    s->map[i] = m;
}

static size_t clamp(uint64_t n) { return n > SIZE_MAX ? SIZE_MAX : (size_t)n; }

static pm_mask mask_of(const replay_args *a) {
    pm_mask m = {{0, 0, 0, 0}};
    for (unsigned b = 0; b < 256; b++)
        if (a->mask[b]) pm_mask_set(&m, (uint8_t)b);
    return m;
}

/* ---- results ---- */

static bool say(model_bytes *out, uint64_t n) {
    replay_print(out, "%llu", (unsigned long long)n);
    return true;
}

static bool say_ok(model_bytes *out) {
    replay_print(out, "ok");
    return true;
}

static bool say_value(model_bytes *out, bool some, pm_val v) {
    if (!some) replay_print(out, "none");
    return some ? say(out, v) : true;
}

/* Prints a failure; false if there is one. */
static bool fine(model_bytes *out, pm_status st) {
    if (st != PM_OK) replay_print(out, "failed: %s", pm_status_text(st));
    return st == PM_OK;
}

/* Prints a contradiction between two answers of the library, which no other engine prints. */
static void must_agree(model_bytes *out, bool agree, const char *what) {
    if (!agree) replay_print(out, "(%s) ", what);
}

/* Opens the body of an operation: `s` is the state; every function answers whether it took effect. */
#define ON(name)                                                                        \
    static bool run_##name(on_library *s, const replay_args *a, model_bytes *out);      \
    bool library_on_##name(void *state, const replay_args *a, model_bytes *out) {       \
        return run_##name(state, a, out);                                               \
    }                                                                                   \
    static bool run_##name(on_library *s, const replay_args *a, model_bytes *out)

#define PATH(a, i) (a)->path[i].data, (a)->path[i].len

/* ---- maps ---- */

static bool change_mixed_ops(on_library *s, const pm_ops *ops, model_bytes *out);

/* Plain words under either table, so every handle may change tables; but views, which know theirs. */
ON(mode) {
    const pm_ops *value_ops = a->alg == MODEL_SUM ? pm_ops_sum() : pm_ops_lattice();
    for (int i = 0; i < REPLAY_MAPS; i++) s->map[i].ops = value_ops;
    for (int i = 0; i < REPLAY_TXNS; i++) s->txn[i].saved.ops = value_ops;
    for (int i = 0; i < REPLAY_ZIPPERS; i++) {
        if (!s->reader[i].view) s->reader[i].ops = value_ops;
        s->writer[i].cursor.ops = value_ops;
        s->writer[i].own.ops = value_ops;
        if (s->writer[i].cursor.claim) s->writer[i].map->ops = value_ops;
    }
    s->host.own.ops = s->host.cursor.ops = value_ops;
    if (s->head) library_base(s->head)->ops = value_ops;
    return change_mixed_ops(s, value_ops, out) && say_ok(out);
}

/* For pm_update: what comes, and where to note what was there. */
typedef struct swapped {
    pm_val now;
    pm_opt *was;
} swapped;

static pm_status swap_value(void *ctx, pm_opt *val) {
    const swapped *s = ctx;
    *s->was = *val;
    *val = (pm_opt){s->now, true};
    return PM_OK;
}

static pm_status clear_value(void *ctx, pm_opt *val) {
    *(pm_opt *)ctx = *val;
    val->some = false;
    return PM_OK;
}

ON(set) {
    pm_map *m = map_of(s, a, 0);
    pm_opt old = {0, false};
    pm_val *slot = NULL;
    bool inserted = false;
    switch (a->variant % 6) {
    case 1:
        if (!fine(out, pm_update(m, PATH(a, 0), swap_value, &(swapped){a->num, &old}))) return false;
        break;
    case 2: {
        const pm_val *v = pm_get(m, PATH(a, 0));
        bool changed = false;
        old = (pm_opt){v ? *v : 0, v != NULL};
        pm_opt other = {old.val + 1, true};
        if (!fine(out, pm_set_if(m, PATH(a, 0), other, (pm_opt){0, true}, &changed))) return false;
        must_agree(out, !changed, "pm_set_if sets where it must not");
        if (!fine(out, pm_set_if(m, PATH(a, 0), old, (pm_opt){a->num, true}, &changed))) return false;
        must_agree(out, changed, "pm_set_if does not set");
        break;
    }
    case 0:
        if (!fine(out, pm_get_mut(m, PATH(a, 0), &slot))) return false;
        if (slot) {
            old = (pm_opt){*slot, true};
            *slot = a->num;
            break;
        }
        if (!fine(out, pm_get_or_set(m, PATH(a, 0), a->num, &slot, &inserted))) return false;
        must_agree(out, inserted && slot && *slot == a->num, "pm_get_mut and pm_get_or_set disagree");
        break;
    default:
        if (!fine(out, pm_set(m, PATH(a, 0), a->num, &old))) return false;
    }
    return say_value(out, old.some, old.val);
}

ON(get) {
    const pm_map *m = map_of(s, a, 0);
    const pm_val *v = pm_get(m, PATH(a, 0)), *many[3] = {NULL, NULL, NULL};
    model_key k = a->path[0];
    pm_key keys[3] = {{k.data, k.len}, {k.data, k.len / 2}, {k.data, k.len}};
    size_t found = pm_get_many(m, keys, 3, many);
    must_agree(out, many[0] == v && many[1] == pm_get(m, k.data, k.len / 2) && many[2] == v, "pm_get_many differs");
    must_agree(out, found == (size_t)(many[0] != NULL) * 2 + (many[1] != NULL), "pm_get_many miscounts");
    must_agree(out, pm_contains(m, k.data, k.len) == (v != NULL), "pm_contains differs");
    pm_ref ref = pm_ref_of_map(m, k.data, k.len / 2);
    must_agree(out, pm_ref_val_at(&ref, k.data + k.len / 2, k.len - k.len / 2) == v, "pm_ref_val_at differs");
    return say_value(out, v != NULL, v ? *v : 0);
}

ON(del) {
    pm_opt old = {0, false};
    pm_map *m = map_of(s, a, 0);
    const pm_val *v = pm_get(m, PATH(a, 0));
    bool changed = false;
    if (v && a->flag[0] && a->variant % 4 < 2) {
        old = (pm_opt){*v, true};
        if (a->variant % 2) return fine(out, pm_update(m, PATH(a, 0), clear_value, &old)) && say(out, old.val);
        if (!fine(out, pm_set_if(m, PATH(a, 0), old, (pm_opt){0, false}, &changed))) return false;
        must_agree(out, changed, "pm_set_if does not remove");
        return say(out, old.val);
    }
    return fine(out, pm_remove(m, PATH(a, 0), a->flag[0], &old)) && say_value(out, old.some, old.val);
}

ON(has) { return say(out, pm_path_exists(map_of(s, a, 0), PATH(a, 0))); }

ON(create) {
    bool made = false;
    return fine(out, pm_create_path(map_of(s, a, 0), PATH(a, 0), &made)) && say(out, made);
}

ON(prune) {
    size_t n = 0;
    return fine(out, pm_prune_path(map_of(s, a, 0), PATH(a, 0), &n)) && say(out, n);
}

ON(rmbranches) {
    bool removed = false;
    return fine(out, pm_remove_branches(map_of(s, a, 0), PATH(a, 0), a->flag[0], &removed)) && say(out, removed);
}

ON(count) {
    const pm_map *m = map_of(s, a, 0);
    uint64_t n = 0, seen = 0;
    if (!fine(out, pm_val_count(m, &n))) return false;
    pm_iter i = pm_iter_vals(m);
    while (pm_iter_next(&i)) {
        seen++;
        must_agree(out, i.val && pm_get(m, i.key, i.len) == i.val, "pm_iter_vals and pm_get disagree");
    }
    must_agree(out, pm_iter_status(&i) == PM_OK && seen == n, "pm_iter_vals and pm_val_count disagree");
    pm_iter_drop(&i);
    return say(out, n);
}

ON(locs) {
    uint64_t n = 0;
    if (!fine(out, pm_location_count(map_of(s, a, 0), &n))) return false;
    must_agree(out, n > 1 || pm_is_empty(map_of(s, a, 0)) == !pm_get(map_of(s, a, 0), NULL, 0), "pm_is_empty differs");
    return say(out, n);
}

/* Builds a map anew from the keys and values of another, which stay borrowed. */
static pm_status rebuild(const pm_map *m, bool backwards, pm_map *out) {
    uint64_t count = 0, n = 0;
    pm_status st = pm_val_count(m, &count);
    if (st != PM_OK) return st;
    pm_key *keys = calloc(count + 1, sizeof *keys);
    pm_val *vals = calloc(count + 1, sizeof *vals);
    model_bytes text = {0}; /* all keys; their offsets first, since it moves as it grows */
    pm_iter i = pm_iter_vals(m);
    for (; keys && vals && n < count && pm_iter_next(&i); n++) {
        uint64_t at = backwards ? count - 1 - n : n;
        keys[at].len = i.len;
        vals[at] = *i.val;
        model_bytes_append(&text, i.key, i.len);
    }
    pm_iter_drop(&i);
    size_t used = 0;
    for (uint64_t k = 0; keys && k < n; k++) {
        pm_key *key = &keys[backwards ? n - 1 - k : k];
        key->data = text.data ? text.data + used : NULL;
        used += key->len;
    }
    st = keys && vals && n == count ? pm_build(m->ops, m->pool, keys, vals, (size_t)n, out) : PM_CORRUPT;
    i = pm_iter_paths(m); /* the locations without value */
    while (st == PM_OK && pm_iter_next(&i))
        if (!i.val) st = pm_create_path(out, i.key, i.len, NULL);
    pm_iter_drop(&i);
    free(keys);
    free(vals);
    model_bytes_free(&text);
    return st;
}

ON(clone) {
    const pm_map *m = map_of(s, a, 0);
    pm_map copy = pm_clone(m);
    if (a->variant % 4 == 0) {
        pm_map built;
        bool equal = false;
        if (!fine(out, rebuild(m, a->variant % 8 == 0, &built))) return false;
        if (a->variant % 16 == 4 && !fine(out, pm_compact(&built))) return false;
        must_agree(out, pm_equal(m, &built, &equal) == PM_OK && equal, "pm_build made another map");
        pm_drop(&copy);
        copy = built;
    } else if (a->variant % 4 == 1) {
        pm_map apart;
        if (!fine(out, pm_clone_apart(m, &apart))) return false;
        must_agree(out, !apart.root || apart.root != m->root, "a clone apart has the root node of the other");
        pm_drop(&copy);
        copy = apart;
    }
    put_map(s, a->map[1], copy);
    return say_ok(out);
}

ON(drop) {
    pm_drop(map_of(s, a, 0));
    return say_ok(out);
}

/* Appends `path=value` or `path!`. */
static void list_item(model_bytes *out, size_t start, model_key path, const pm_val *val) {
    if (out->len > start) replay_print(out, ",");
    replay_print_path(out, path);
    if (val)
        replay_print(out, "=%llu", (unsigned long long)*val);
    else
        replay_print(out, "!");
}

/* A location without value is dangling if the next one does not extend it. */
static bool list(const pm_map *m, model_bytes *out) {
    size_t start = out->len;
    model_bytes pending = {0}; /* the last location, if it has no value */
    bool waiting = false;
    pm_iter i = pm_iter_paths(m);
    for (bool more = true; more;) {
        more = pm_iter_next(&i);
        if (waiting && pending.len && !(more && i.len > pending.len && !memcmp(i.key, pending.data, pending.len)))
            list_item(out, start, (model_key){pending.data, pending.len}, NULL);
        if (!more) break;
        if (i.val) list_item(out, start, (model_key){i.key, i.len}, i.val);
        waiting = !i.val;
        pending.len = 0;
        model_bytes_append(&pending, i.key, i.len);
    }
    bool good = fine(out, pm_iter_status(&i));
    pm_iter_drop(&i);
    model_bytes_free(&pending);
    if (out->len == start) replay_print(out, ".");
    return good;
}

ON(list) { return list(map_of(s, a, 0), out); }

ON(hash) {
    model_bytes text = {0};
    bool good = list(map_of(s, a, 0), &text);
    replay_print_hash(out, &text);
    model_bytes_free(&text);
    return good;
}

ON(eq) {
    bool equal = false;
    return fine(out, pm_equal(map_of(s, a, 0), map_of(s, a, 1), &equal)) && say(out, equal);
}

/* ---- algebra ---- */

static bool say_alg(model_bytes *out, pm_alg alg) {
    static const char *const names[] = {"none", "identity-left", "identity-right", "identity-both", "element"};
    replay_print(out, "%s", names[alg]);
    return true;
}

typedef pm_status (*map_operation)(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);

static bool combine(on_library *s, const replay_args *a, map_operation op, model_bytes *out) {
    pm_map m;
    pm_alg alg = PM_ALG_NONE;
    if (!fine(out, op(map_of(s, a, 1), map_of(s, a, 2), &m, &alg))) return false;
    put_map(s, a->map[0], m);
    return say_alg(out, alg);
}

ON(join) { return combine(s, a, pm_join, out); }
ON(meet) { return combine(s, a, pm_meet, out); }
ON(sub) { return combine(s, a, pm_subtract, out); }
ON(restrict) { return combine(s, a, pm_restrict, out); }

ON(sub1) {
    pm_map sub;
    bool exists = false;
    if (a->variant % 3 == 0) {
        pm_ref ref = pm_ref_of_map(map_of(s, a, 1), PATH(a, 0));
        exists = pm_ref_exists(&ref);
        if (!fine(out, pm_ref_make_map(&ref, &sub))) return false;
    } else if (!fine(out, pm_subtrie(map_of(s, a, 1), PATH(a, 0), &sub, &exists))) {
        return false;
    }
    put_map(s, a->map[0], sub);
    return say(out, exists);
}

ON(kcount) {
    uint64_t n = 0;
    return fine(out, pm_depth_count(map_of(s, a, 0), clamp(a->num), &n)) && say(out, n);
}

/* The fold of the script, one location at a time; a jumping fold works off what was skipped. */
static uint64_t fold_child(uint64_t f, int byte, uint64_t result) {
    f = (f ^ (uint64_t)byte) * 0x100000001b3u;
    return (f ^ result) * 0x100000001b3u;
}

static int fold_at(void *ctx, const pm_fold_at *here, void *out) {
    const uint64_t start = 0xcbf29ce484222325u, *kids = here->results;
    uint64_t f = start;
    int b = -1;
    (void)ctx;
    if (here->val) f = (f ^ *here->val) * 0x100000001b3u + 1;
    for (unsigned i = 0; i < here->n; i++) {
        b = pm_mask_next(here->mask, b + 1);
        f = fold_child(f, b, kids[i]);
    }
    for (size_t i = here->jump_len; i-- > 0;) f = fold_child(start, here->jump[i], f);
    memcpy(out, &f, sizeof f);
    return PM_OK;
}

ON(fold) {
    const pm_map *m = map_of(s, a, 0);
    uint64_t h[4];
    for (unsigned flags = 0; flags < 4; flags++) {
        pm_fold f = {.size = sizeof *h, .flags = flags, .at = fold_at};
        int st = pm_fold_map(m, &f, &h[flags]);
        if (!fine(out, (pm_status)st)) return false;
    }
    must_agree(out, h[0] == h[1] && h[0] == h[2] && h[0] == h[3], "folds disagree");
    replay_print(out, "%016llx", (unsigned long long)h[PM_FOLD_CACHED]);
    return true;
}

ON(check) {
    const char *why = "no reason given";
    pm_status st = pm_check(map_of(s, a, 0), &why);
    replay_print(out, "%s", st == PM_OK ? "ok" : st == PM_CORRUPT ? why : pm_status_text(st));
    return true;
}

/* ---- zippers: opening, closing, moving ---- */

ON(ropen) {
    return fine(out, pm_rz_open_owned(map_of(s, a, 0), PATH(a, 0), &s->reader[a->reader[0]])) && say_ok(out);
}

/* A witness keeps the value at the focus when the zipper is gone. */
ON(rclose) {
    pm_rz *z = &s->reader[a->reader[0]];
    if (z->view) { /* which has no witnesses */
        pm_rz_drop(z);
        return say_ok(out);
    }
    pm_witness w = pm_rz_witness(z);
    const pm_val *v = pm_rz_val(z), *kept = NULL;
    pm_val was = v ? *v : 0;
    bool good = fine(out, pm_rz_val_witnessed(z, &w, &kept));
    pm_rz_drop(z);
    must_agree(out, !good || (kept != NULL) == (v != NULL), "the witness saw something else");
    must_agree(out, !kept || *kept == was, "the witnessed value changed");
    pm_witness_drop(&w);
    return good && say_ok(out);
}

ON(rfork) {
    const pm_rz *from = &s->reader[a->reader[0]];
    pm_rz *to = &s->reader[a->reader[1]];
    return fine(out, a->variant % 2 ? pm_rz_fork(from, to) : pm_rz_fork_owned(from, to)) && say_ok(out);
}

ON(wopen) {
    pm_wz *w = writer_of(s, a);
    s->writer_map[a->writer[0]] = a->map[0];
    return fine(out, a->variant % 3 == 0 ? pm_wz_open_move(map_of(s, a, 0), PATH(a, 0), w)
                                         : pm_wz_open(map_of(s, a, 0), PATH(a, 0), w)) &&
           say_ok(out);
}

/* Ends a writer that borrows its map by turning it into a reader, which must see the same. */
static pm_status close_by_reader(pm_wz *w) {
    pm_rz z;
    uint64_t before = 0, after = 0;
    pm_status st = pm_rz_val_count(pm_wz_cursor(w), &before);
    if (st != PM_OK || (st = pm_wz_into_reader(w, &z)) != PM_OK) return st;
    st = pm_rz_val_count(&z, &after);
    pm_rz_drop(&z);
    return st == PM_OK && before != after ? PM_CORRUPT : st;
}

ON(wclose) {
    pm_wz *w = writer_of(s, a);
    pm_map *m = &s->map[s->writer_map[a->writer[0]]];
    if (!w->owned) return fine(out, a->variant % 2 ? pm_wz_drop(w) : close_by_reader(w)) && say_ok(out);
    return fine(out, pm_wz_into_map(w, m)) && say_ok(out);
}

ON(to) { return say(out, pm_rz_move_to(zipper_of(s, a), PATH(a, 0))); }

ON(down) {
    pm_rz *z = zipper_of(s, a);
    model_key k = a->path[0];
    if (a->variant % 3 == 0)
        for (size_t i = 0; i < k.len; i++) pm_rz_descend_to_byte(z, k.data[i]);
    else if (a->variant % 3 == 1)
        pm_rz_descend_to(z, k.data, k.len);
    else if (pm_rz_descend_to_check(z, k.data, k.len) != pm_rz_exists(z))
        must_agree(out, false, "pm_rz_descend_to_check and pm_rz_exists disagree");
    return say_ok(out);
}

ON(exist) { return say(out, pm_rz_descend_to_existing(zipper_of(s, a), PATH(a, 0))); }
ON(toval) { return say(out, pm_rz_descend_to_val(zipper_of(s, a), PATH(a, 0))); }
ON(byte) { return say(out, pm_rz_descend_to_existing_byte(zipper_of(s, a), a->byte)); }
ON(first) { return say(out, pm_rz_descend_first_byte(zipper_of(s, a))); }
ON(last) { return say(out, pm_rz_descend_last_byte(zipper_of(s, a))); }

ON(idx) {
    unsigned i = a->num > 1000 ? 1000 : (unsigned)a->num; /* no location has so many children */
    return say(out, pm_rz_descend_indexed_byte(zipper_of(s, a), i));
}

ON(until) { return say(out, pm_rz_descend_until(zipper_of(s, a))); }
ON(untilmax) { return say(out, pm_rz_descend_until_max(zipper_of(s, a), clamp(a->num))); }
ON(up) { return say(out, pm_rz_ascend(zipper_of(s, a), clamp(a->num))); }
ON(upuntil) { return say(out, pm_rz_ascend_until(zipper_of(s, a))); }
ON(upbranch) { return say(out, pm_rz_ascend_until_branch(zipper_of(s, a))); }
ON(next) { return say(out, pm_rz_to_next_sibling(zipper_of(s, a))); }
ON(prev) { return say(out, pm_rz_to_prev_sibling(zipper_of(s, a))); }
ON(val) { return say(out, pm_rz_to_next_val(zipper_of(s, a))); }
ON(step) { return say(out, pm_rz_to_next_step(zipper_of(s, a))); }
ON(pval) { return say(out, pm_rz_to_prev_val(zipper_of(s, a))); }
ON(pstep) { return say(out, pm_rz_to_prev_step(zipper_of(s, a))); }

/* Up to n moves with nothing asked in between, as programs make them: what is asked after each line lets a view forget
   where it is. */
static bool say_moves(model_bytes *out, pm_rz *z, bool (*move)(pm_rz *), uint64_t n) {
    model_bytes paths = {0};
    uint64_t made = 0;
    for (; made < n && move(z); made++) {
        size_t len = 0;
        const uint8_t *path = pm_rz_path(z, &len);
        model_bytes_append(&paths, &len, sizeof len);
        model_bytes_append(&paths, path, len);
    }
    replay_print(out, "%llu ", (unsigned long long)made);
    replay_print_hash(out, &paths);
    model_bytes_free(&paths);
    return true;
}
ON(vals) { return say_moves(out, zipper_of(s, a), pm_rz_to_next_val, a->num); }
ON(pvals) { return say_moves(out, zipper_of(s, a), pm_rz_to_prev_val, a->num); }
ON(steps) { return say_moves(out, zipper_of(s, a), pm_rz_to_next_step, a->num); }
ON(psteps) { return say_moves(out, zipper_of(s, a), pm_rz_to_prev_step, a->num); }
ON(seek) {
    static const pm_rel rels[] = {PM_LT, PM_LE, PM_GE, PM_GT};
    pm_rz *z = zipper_of(s, a);
    if (a->path[0].len == 0 && a->rel == 2 && a->variant % 2) return say(out, pm_rz_to_first_val(z));
    return say(out, pm_rz_seek(z, rels[a->rel], PATH(a, 0)));
}
ON(firstk) { return say(out, pm_rz_descend_first_k_path(zipper_of(s, a), clamp(a->num))); }
ON(nextk) { return say(out, pm_rz_to_next_k_path(zipper_of(s, a), clamp(a->num))); }
ON(lastpath) { return say(out, pm_rz_descend_last_path(zipper_of(s, a))); }

ON(mask) {
    pm_mask m = pm_rz_child_mask(zipper_of(s, a));
    uint8_t bytes[256];
    size_t n = 0;
    for (int b = pm_mask_next(&m, 0); b >= 0; b = pm_mask_next(&m, b + 1)) bytes[n++] = (uint8_t)b;
    must_agree(out, n == pm_mask_count(&m), "pm_mask_count differs");
    replay_print_path(out, (model_key){bytes, n});
    return true;
}

ON(valcount) {
    uint64_t n = 0, seen = 0;
    pm_rz *z = zipper_of(s, a);
    if (!fine(out, pm_rz_val_count(z, &n))) return false;
    if (a->variant % 2) {
        pm_iter i = pm_iter_vals_of_rz(z);
        while (pm_iter_next(&i)) {
            seen++;
            const pm_val *v = pm_rz_val_at(z, i.key, i.len);
            must_agree(out, v && i.val && *v == *i.val, "pm_rz_val_at and the iterator disagree");
        }
        must_agree(out, pm_iter_status(&i) == PM_OK && seen == n, "pm_iter_vals_of_rz and pm_rz_val_count disagree");
        pm_iter_drop(&i);
    }
    return say(out, n);
}

ON(origin) {
    const pm_rz *z = zipper_of(s, a);
    size_t len, prefix_len, path_len;
    const uint8_t *all = pm_rz_origin_path(z, &len), *prefix = pm_rz_root_prefix(z, &prefix_len);
    pm_rz_path(z, &path_len);
    must_agree(out, prefix_len + path_len == len && !(prefix_len && memcmp(all, prefix, prefix_len)),
               "the root prefix differs");
    replay_print_path(out, (model_key){all, len});
    return true;
}

ON(reset) {
    pm_rz_reset(zipper_of(s, a));
    return say_ok(out);
}

ON(atroot) { return say(out, pm_rz_at_root(zipper_of(s, a))); }

/* ---- writes ---- */

/* A head's writer lends slots only inside a group. */
static bool begin_lending(pm_wz *w, model_bytes *out) { return !w->cursor.claim || fine(out, pm_wz_begin(w)); }
static bool end_lending(pm_wz *w, model_bytes *out) { return !w->cursor.claim || fine(out, pm_wz_commit(w)); }

/* Sets (*val) or removes (val NULL) at the focus from a place above, and comes back. */
static pm_status write_from_above(pm_wz *w, const replay_args *a, const pm_val *val, pm_opt *old) {
    size_t len;
    const uint8_t *path = pm_rz_path(pm_wz_cursor(w), &len);
    model_bytes tail = {0};
    size_t up = (size_t)(a->variant / 8 % (len + 1));
    model_bytes_append(&tail, path + (len - up), up);
    bool ok = pm_rz_ascend(pm_wz_cursor(w), up);
    pm_status st = val ? pm_wz_set_at(w, tail.data, up, *val, old) : pm_wz_remove_at(w, tail.data, up, a->flag[0], old);
    pm_rz_descend_to(pm_wz_cursor(w), tail.data, up);
    model_bytes_free(&tail);
    return ok ? st : PM_CORRUPT;
}

ON(w_set) {
    pm_wz *w = writer_of(s, a);
    pm_opt old = {0, false};
    pm_val *slot = NULL;
    if (a->variant % 3 == 1)
        return fine(out, write_from_above(w, a, &a->num, &old)) && say_value(out, old.some, old.val);
    if (a->variant % 3 == 0) {
        if (!begin_lending(w, out) || !fine(out, pm_wz_get_mut(w, &slot))) return false;
        if (slot) {
            old = (pm_opt){*slot, true};
            *slot = a->num;
            return end_lending(w, out) && say_value(out, true, old.val);
        }
        if (!end_lending(w, out)) return false;
    }
    return fine(out, pm_wz_set(w, a->num, &old)) && say_value(out, old.some, old.val);
}

ON(w_del) {
    pm_opt old = {0, false};
    if (a->variant % 3 == 1)
        return fine(out, write_from_above(writer_of(s, a), a, NULL, &old)) && say_value(out, old.some, old.val);
    return fine(out, pm_wz_remove(writer_of(s, a), a->flag[0], &old)) && say_value(out, old.some, old.val);
}

ON(w_orset) {
    pm_wz *w = writer_of(s, a);
    pm_val *slot = NULL;
    bool inserted = false, had = pm_rz_is_val(pm_wz_cursor(w));
    if (!begin_lending(w, out) || !fine(out, pm_wz_get_or_set(w, a->num, &slot, &inserted))) return false;
    must_agree(out, slot && inserted != had && (had || *slot == a->num), "pm_wz_get_or_set contradicts itself");
    pm_val now = slot ? *slot : 0;
    return end_lending(w, out) && say(out, now);
}

/* Grafts what map 0 holds at path 0, by one of the four calls that can. */
static pm_status graft(on_library *s, const replay_args *a) {
    pm_wz *w = writer_of(s, a);
    const pm_map *m = map_of(s, a, 0);
    pm_status st;
    if (a->variant % 4 < 2) {
        pm_rz src;
        model_key root = a->path[0], rest = {NULL, 0};
        if (a->variant % 4 == 1) { /* from a place below the source's focus */
            rest = root;
            root.len /= 2;
            rest.data += root.len;
            rest.len -= root.len;
        }
        if ((st = pm_rz_open(m, root.data, root.len, &src)) != PM_OK) return st;
        st = a->variant % 4 == 1 ? pm_wz_graft_at(w, &src, rest.data, rest.len) : pm_wz_graft(w, &src);
        pm_rz_drop(&src);
        return st;
    }
    pm_map sub;
    if ((st = pm_subtrie(m, PATH(a, 0), &sub, NULL)) != PM_OK) return st;
    st = a->variant % 4 == 2 ? pm_wz_graft_map(w, &sub) : pm_wz_graft_map_move(w, &sub);
    if (st == PM_OK && a->variant % 4 == 3 && !pm_is_empty(&sub)) st = PM_CORRUPT;
    pm_drop(&sub);
    return st;
}

ON(w_graft) { return fine(out, graft(s, a)) && say_ok(out); }

/* The same by a map for each child; only where the source has them all. */
static pm_status graft_children(pm_wz *w, pm_rz *src, const pm_mask *mask, bool clear) {
    pm_map maps[256];
    size_t n = 0;
    pm_status st = PM_OK;
    for (int b = pm_mask_next(mask, 0); b >= 0 && st == PM_OK; b = pm_mask_next(mask, b + 1)) {
        pm_rz_descend_to_byte(src, (uint8_t)b);
        st = pm_rz_make_map(src, &maps[n]);
        if (st == PM_OK) n++;
        pm_rz_ascend(src, 1);
    }
    if (st == PM_OK) st = pm_wz_graft_children(w, mask, maps, n, clear);
    for (size_t i = 0; i < n; i++) {
        if (st == PM_OK && !pm_is_empty(&maps[i])) st = PM_CORRUPT; /* they are consumed */
        pm_drop(&maps[i]);
    }
    return st;
}

ON(w_graftmask) {
    pm_rz src;
    pm_mask mask = mask_of(a), kids;
    if (!fine(out, pm_rz_open(map_of(s, a, 0), PATH(a, 0), &src))) return false;
    kids = pm_rz_child_mask(&src);
    pm_mask missing = pm_mask_andnot(mask, kids);
    bool by_child = a->variant % 2 && pm_mask_is_empty(&missing);
    pm_status st = by_child ? graft_children(writer_of(s, a), &src, &mask, a->flag[0])
                            : pm_wz_graft_masked(writer_of(s, a), &src, &mask, a->flag[0]);
    pm_rz_drop(&src);
    return fine(out, st) && say_ok(out);
}

ON(w_insprefix) {
    bool done = false;
    return fine(out, pm_wz_insert_prefix(writer_of(s, a), PATH(a, 0), &done)) && say(out, done);
}

ON(w_rmprefix) {
    bool done = false;
    return fine(out, pm_wz_remove_prefix(writer_of(s, a), clamp(a->num), &done)) && say(out, done);
}

ON(w_take) {
    pm_map taken;
    bool some = false;
    if (!fine(out, pm_wz_take(writer_of(s, a), a->flag[0], &taken, &some))) return false;
    must_agree(out, some == !pm_is_empty(&taken), "pm_wz_take contradicts itself");
    put_map(s, a->map[0], taken);
    return say(out, some);
}

ON(w_rmbranches) {
    bool removed = false;
    return fine(out, pm_wz_remove_branches(writer_of(s, a), a->flag[0], &removed)) && say(out, removed);
}

ON(w_rmmask) {
    pm_mask mask = mask_of(a);
    return fine(out, pm_wz_remove_unmasked(writer_of(s, a), &mask, a->flag[0])) && say_ok(out);
}

ON(w_create) {
    bool made = false;
    return fine(out, pm_wz_create_path(writer_of(s, a), &made)) && say(out, made);
}

ON(w_prune) {
    size_t n = 0;
    return fine(out, pm_wz_prune_path(writer_of(s, a), &n)) && say(out, n);
}

ON(w_pruneup) {
    size_t n = 0;
    return fine(out, pm_wz_prune_ascend(writer_of(s, a), &n)) && say(out, n);
}

/* ---- transactions ---- */

ON(tbegin) {
    s->txn_map[a->txn] = a->map[0];
    return fine(out, pm_txn_begin(&s->txn[a->txn], map_of(s, a, 0))) && say_ok(out);
}

ON(tcommit) { return fine(out, pm_txn_commit(&s->txn[a->txn])) && say_ok(out); }

ON(troll) {
    return fine(out, pm_txn_rollback(&s->txn[a->txn], &s->map[s->txn_map[a->txn]])) && say_ok(out);
}

/* ---- heads ---- */

/* Over the map, owning it, or over a writer at its root. */
ON(hopen) {
    pm_map *m = map_of(s, a, 0);
    s->head_map = a->map[0];
    s->owned = a->variant % 3 == 1;
    if (a->variant % 3 == 0) return fine(out, pm_head_new(m, &s->head)) && say_ok(out);
    if (a->variant % 3 == 1) return fine(out, pm_head_new_move(m, &s->head)) && say_ok(out);
    return fine(out, pm_wz_open(m, NULL, 0, &s->host)) && fine(out, pm_head_new_at(&s->host, &s->head)) && say_ok(out);
}

ON(hclose) {
    (void)a;
    uint64_t busy = 0;
    pm_map *m = &s->map[s->head_map], none = {0};
    pm_status st = pm_head_free(s->head, s->owned ? m : NULL, &busy);
    if (st == PM_BUSY) {
        replay_print(out, "busy %llu", (unsigned long long)busy);
        return false;
    }
    if (!fine(out, st)) return false;
    s->head = NULL;
    must_agree(out, pm_wz_drop(&s->host) == PM_OK, "the head's host failed");
    must_agree(out, m->ops != none.ops, "the map came back without operations");
    return say_ok(out);
}

/* Prints the paths of a conflict's report, which is dropped. */
static bool say_granted(pm_status st, pm_map *why, model_bytes *out) {
    if (st != PM_CONFLICT) return fine(out, st) && say_ok(out);
    replay_print(out, "conflict ");
    bool first = true;
    for (pm_iter i = pm_iter_vals(why); pm_iter_next(&i); first = false) {
        if (!first) replay_print(out, ",");
        replay_print_path(out, (model_key){i.key, i.len});
    }
    pm_drop(why);
    return false;
}

ON(hread) {
    pm_rz *z = &s->reader[a->reader[0]];
    return fine(out, a->variant % 2 ? pm_head_read(s->head, PATH(a, 0), z) : pm_head_fence(s->head, PATH(a, 0), z)) &&
           say_ok(out);
}

ON(hpin) {
    pm_map why;
    pm_status st = pm_head_pin(s->head, PATH(a, 0), &s->reader[a->reader[0]], &why);
    return say_granted(st, &why, out);
}

ON(hwrite) {
    pm_map why;
    pm_status st = pm_head_write(s->head, PATH(a, 0), writer_of(s, a), &why);
    return say_granted(st, &why, out);
}

#include "replay_order_library.h"
#include "replay_views_library.h"

/* ---- the engine ---- */

/* ---- algebra in place ---- */

static bool say_change(model_bytes *out, pm_alg alg) {
    replay_print(out, "%s", alg == PM_ALG_NONE ? "none" : alg == PM_ALG_LEFT ? "identity" : "element");
    return true;
}

/* The unions differ in what the source is. */
static pm_status join_in_place(on_library *s, const replay_args *a, pm_rz *src, pm_alg *alg) {
    pm_wz *w = writer_of(s, a);
    pm_map sub;
    if (a->variant % 3 == 0) return pm_wz_join(w, src, alg);
    pm_status st = pm_rz_make_map(src, &sub);
    if (st != PM_OK) return st;
    st = a->variant % 3 == 1 ? pm_wz_join_map(w, &sub, alg) : pm_wz_join_map_move(w, &sub, alg);
    pm_drop(&sub);
    return st;
}

static bool combine_in_place(on_library *s, const replay_args *a, model_op op, model_bytes *out) {
    pm_wz *w = writer_of(s, a);
    pm_rz src;
    pm_alg alg = PM_ALG_NONE;
    if (!fine(out, pm_rz_open(map_of(s, a, 0), PATH(a, 0), &src))) return false;
    pm_status st = op == MODEL_JOIN       ? join_in_place(s, a, &src, &alg)
                   : op == MODEL_MEET     ? pm_wz_meet(w, &src, a->flag[0], &alg)
                   : op == MODEL_SUBTRACT ? pm_wz_subtract(w, &src, a->flag[0], &alg)
                                          : pm_wz_restrict(w, &src, &alg);
    pm_rz_drop(&src);
    return fine(out, st) && say_change(out, alg);
}

ON(w_join) { return combine_in_place(s, a, MODEL_JOIN, out); }
ON(w_meet) { return combine_in_place(s, a, MODEL_MEET, out); }
ON(w_sub) { return combine_in_place(s, a, MODEL_SUBTRACT, out); }
ON(w_restrict) { return combine_in_place(s, a, MODEL_RESTRICT, out); }

ON(w_meet2) {
    pm_rz x, y;
    pm_alg alg = PM_ALG_NONE;
    if (!fine(out, pm_rz_open(map_of(s, a, 0), PATH(a, 0), &x))) return false;
    pm_status st = pm_rz_open(map_of(s, a, 1), PATH(a, 1), &y);
    if (st == PM_OK) {
        st = pm_wz_meet_2(writer_of(s, a), &x, &y, &alg);
        pm_rz_drop(&y);
    }
    pm_rz_drop(&x);
    return fine(out, st) && say_change(out, alg);
}

ON(w_restricting) {
    pm_rz src;
    bool done = false;
    if (!fine(out, pm_rz_open(map_of(s, a, 0), PATH(a, 0), &src))) return false;
    pm_status st = pm_wz_restricting(writer_of(s, a), &src, &done);
    pm_rz_drop(&src);
    return fine(out, st) && say(out, done);
}

ON(w_jointake) {
    pm_alg alg = PM_ALG_NONE;
    if (!fine(out, pm_wz_join_take(writer_of(s, a), &s->writer[a->writer[1]], a->flag[0], &alg))) return false;
    return say_change(out, alg);
}

ON(w_joink) {
    bool left = false;
    return fine(out, pm_wz_join_k_path(writer_of(s, a), clamp(a->num), a->flag[0], &left)) && say(out, left);
}

ON(w_meetk) {
    bool left = false;
    return fine(out, pm_wz_meet_k_path(writer_of(s, a), clamp(a->num), a->flag[0], &left)) && say(out, left);
}

static void *open_library(void) {
    on_library *s = calloc(1, sizeof *s);
    if (!s) {
        fputs("replay: no memory\n", stderr);
        exit(3);
    }
    for (int i = 0; i < REPLAY_MAPS; i++) s->map[i] = pm_new(pm_ops_lattice(), NULL);
    return s;
}

static void close_library(void *state, model_bytes *complaint) {
    on_library *s = state;
    for (int i = 0; i < REPLAY_ZIPPERS; i++) {
        pm_rz_drop(&s->reader[i]);
        if (pm_wz_drop(&s->writer[i]) != PM_OK) replay_print(complaint, "w%d had failed; ", i);
    }
    if (pm_head_free(s->head, NULL, NULL) != PM_OK) replay_print(complaint, "the head could not end; ");
    if (pm_wz_drop(&s->host) != PM_OK) replay_print(complaint, "the head's host had failed; ");
    for (int i = 0; i < REPLAY_TXNS; i++)
        if (s->txn[i].open && pm_txn_commit(&s->txn[i]) != PM_OK) replay_print(complaint, "t%d could not end; ", i);
    for (int i = 0; i < REPLAY_MIXED; i++) pm_mixed_drop(&s->mixed[i]);
    close_store(s);
    for (int i = 0; i < REPLAY_MAPS; i++) pm_drop(&s->map[i]);
    pm_pool_stats stats;
    pm_pool_get_stats(NULL, &stats);
    if (stats.nodes) replay_print(complaint, "%llu nodes are left over; ", (unsigned long long)stats.nodes);
    free(s);
}

#include "replay_diff_library.h"

static const char *find_flaw(pm_rz *z, const replay_place *p) {
    pm_mask mask = pm_rz_child_mask(z);
    pm_ref ref = pm_ref_of_rz(z);
    if (pm_mask_count(&mask) != p->children) return "mask and child count disagree";
    if (pm_rz_is_val(z) != p->has_val) return "pm_rz_is_val and pm_rz_val disagree";
    if (!p->exists && (p->has_val || p->children)) return "something where nothing exists";
    if (pm_rz_at_root(z) != (p->path.len == 0)) return "pm_rz_at_root differs";
    if (pm_rz_status(z) != PM_OK) return "the zipper failed";
    if (z->view) return NULL; /* which no reference is into */
    if (pm_ref_exists(&ref) != p->exists || pm_ref_child_count(&ref) != p->children) return "the reference differs";
    if (pm_ref_val(&ref) != pm_rz_val(z)) return "the reference's value differs";
    return NULL;
}

static void look_at_library(void *state, bool writer, int i, replay_place *out) {
    on_library *s = state;
    pm_rz *z = writer ? pm_wz_cursor(&s->writer[i]) : &s->reader[i];
    const pm_val *v = pm_rz_val(z);
    size_t len = 0;
    const uint8_t *path = pm_rz_path(z, &len);
    *out = (replay_place){.path = {path, len},
                          .exists = pm_rz_exists(z),
                          .has_val = v != NULL,
                          .val = v ? *v : 0,
                          .children = pm_rz_child_count(z)};
    out->flaw = find_flaw(z, out);
}

static void inspect_library(void *state, int map, model_bytes *complaint) {
    on_library *s = state;
    const char *why = "no reason given";
    const pm_map *m = &s->map[map];
    for (int i = 0; i < REPLAY_ZIPPERS; i++)
        if (s->writer[i].owned && s->writer_map[i] == map) m = &s->writer[i].own; /* it is there meanwhile */
    if (s->head && s->head_map == map) m = library_base(s->head);
    pm_status st = pm_check(m, &why);
    for (int i = 0; i < REPLAY_ZIPPERS && st == PM_OK; i++)
        if (s->writer[i].cursor.claim) st = pm_check(s->writer[i].map, &why);
    if (st != PM_OK) replay_print(complaint, "m%d: %s; ", map, st == PM_CORRUPT ? why : pm_status_text(st));
}

const replay_engine replay_library = {"library", open_library, close_library, look_at_library, inspect_library};
