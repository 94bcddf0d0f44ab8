/* Sending what a peer lacks. Formats: docs/formats.md.

   The receiver has two maps: `have`, which it began with and whose places it compares by hash, and `made`, a clone in
   which the answers take their places. What is still to be asked lies on a stack, so that it goes deep before it goes
   wide and keeps few questions: of each place its path, and the hash that was announced. A message asks the topmost of
   them, which are then in `asked`; what an answer does not reach goes back on the stack.

   Contents of places, and single values, are patches from nothing (85_patch_stream.c), so all that is said there of
   damage holds here. */
#include "55_write_algebra.c"
#include "62_hash.c"
#include "85_patch_stream.c"
#include "86_sync.h"

enum {
    PM__SYNC_VERSION = 1,
    PM__SYNC_BATCH = 1024,     /* questions in a message */
    PM__SYNC_ANSWER = 1 << 20, /* bytes behind which an answer ends */
    PM__SYNC_FEW = 8,          /* terminals that are told rather than hashes, of a place that the receiver has */
    PM__SYNC_MANY = 4096,      /* and of one that it has not, */
    PM__SYNC_KEYS = 1 << 16    /* unless their keys are longer */
};
/* What an answer says of a place. */
enum { PM__SYNC_GONE, PM__SYNC_FORK, PM__SYNC_FORK_VAL, PM__SYNC_ALL };

/* ---- hashes of places ------------------------------------------------------------------------------------------ */

/* A fold that knows the hash of every node it has seen. They belong to maps that are held as long. */
typedef struct pm__sync_hashes {
    const pm_ops *ops;
    pm__fold fold;
} pm__sync_hashes;

static void pm__sync_hashes_begin(pm__sync_hashes *h) {
    h->fold = pm__hash_fold(&h->ops);
    h->fold.every = true;
}

static void pm__sync_hashes_end(pm__sync_hashes *h) {
    pm_hash128 unused;
    (void)pm__fold_end(&h->fold, PM_NOMEM, &unused);
}

static pm_status pm__sync_hash(pm__sync_hashes *h, const pm_ref *r, pm_hash128 *out) {
    pm_status s = (pm_status)pm__fold_walk(&h->fold, pm__fold_spot_of(&r->place, r->val), 0);
    if (s == PM_OK) {
        *out = *(const pm_hash128 *)pm__list_at(&h->fold.results, 0);
        h->fold.results.used = 0;
        s = pm__val_failed(h->ops);
    }
    if (s == PM_OK) return s;
    pm__sync_hashes_end(h); /* what it was in the middle of */
    pm__sync_hashes_begin(h);
    return s;
}

static pm_status pm__sync_hash_map(pm__sync_hashes *h, const pm_map *m, pm_hash128 *out) {
    pm_ref r = pm_ref_of_map(m, NULL, 0);
    return pm__sync_hash(h, &r, out);
}

static bool pm__sync_same(pm_hash128 a, pm_hash128 b) { return a.lo == b.lo && a.hi == b.hi; }

/* ---- messages -------------------------------------------------------------------------------------------------- */

static pm_status pm__sync_put(void *ctx, const void *from, size_t n) {
    return pm__list_put((pm__list *)ctx, from, n) ? PM_OK : PM_NOMEM;
}

static pm_status pm__sync_number(pm__list *out, uint64_t v) {
    uint8_t s[10];
    size_t n = 0;
    for (; v >= 128; v >>= 7) s[n++] = (uint8_t)(v | 128);
    s[n++] = (uint8_t)v;
    return pm__sync_put(out, s, n);
}

static pm_status pm__sync_put_hash(pm__list *out, pm_hash128 h) {
    uint8_t s[16];
    pm__store64le(s, h.lo);
    pm__store64le(s + 8, h.hi);
    return pm__sync_put(out, s, sizeof s);
}

/* A message that is read. */
typedef struct pm__sync_in {
    const uint8_t *data;
    size_t at, len;
    pm_error *error;
} pm__sync_in;

static pm_status pm__sync_bad(const pm__sync_in *in, const char *msg) {
    return pm__stream_fail(in->error, PM_CORRUPT, in->at, msg);
}

static pm_status pm__sync_fail(const pm__sync_in *in, pm_status s) {
    return s == PM_OK ? s : pm__stream_fail(in->error, s, in->at, s == PM_NOMEM ? "no memory" : "a value was refused");
}

/* Takes n bytes, which stay where they are. */
static pm_status pm__sync_get(pm__sync_in *in, uint64_t n, const uint8_t **out) {
    if (n > in->len - in->at) return pm__sync_bad(in, "the message ends early");
    *out = in->len ? in->data + in->at : (const uint8_t *)"";
    in->at += (size_t)n;
    return PM_OK;
}

static pm_status pm__sync_get_number(pm__sync_in *in, uint64_t *out) {
    const uint8_t *b;
    uint64_t v = 0;
    for (unsigned shift = 0;; shift += 7) {
        pm_status s = pm__sync_get(in, 1, &b);
        if (s != PM_OK) return s;
        if (shift == 63 && *b > 1) return pm__sync_bad(in, "a number that is no number");
        v |= (uint64_t)(*b & 127) << shift;
        if (*b < 128) break;
    }
    *out = v;
    return PM_OK;
}

static pm_status pm__sync_get_hash(pm__sync_in *in, pm_hash128 *out) {
    const uint8_t *b;
    pm_status s = pm__sync_get(in, 16, &b);
    if (s == PM_OK) out->lo = pm__load64le(b), out->hi = pm__load64le(b + 8);
    return s;
}

/* The first bytes: what kind of message, and version. */
static pm_status pm__sync_get_head(pm__sync_in *in, uint8_t kind) {
    const uint8_t *b;
    pm_status s = pm__sync_get(in, 2, &b);
    if (s != PM_OK) return s;
    if (b[0] != kind) return pm__stream_fail(in->error, PM_CORRUPT, 0, "no message of this kind");
    return b[1] == PM__SYNC_VERSION ? PM_OK : pm__stream_fail(in->error, PM_INVALID, 1, "a message of another version");
}

static pm_status pm__sync_get_key(pm__sync_in *in, pm__list *key) {
    uint64_t kept, more;
    const uint8_t *b;
    pm_status s = pm__sync_get_number(in, &kept);
    if (s == PM_OK) s = pm__sync_get_number(in, &more);
    if (s == PM_OK && kept > key->used) s = pm__sync_bad(in, "a key keeps more than there is");
    if (s == PM_OK) s = pm__sync_get(in, more, &b);
    if (s != PM_OK) return s;
    key->used = (size_t)kept;
    return pm__list_put(key, b, (size_t)more) ? PM_OK : pm__sync_fail(in, PM_NOMEM);
}

/* ---- the sender ------------------------------------------------------------------------------------------------ */

struct pm_sync_source {
    pm_map map;
    pm__sync_hashes hashes;
    pm_hash128 hash;
    pm_patch_options values;
    pm__list out;
};

PM_API pm_status pm_sync_source_new(const pm_map *m, const pm_patch_options *values, pm_sync_source **out) {
    if (!m || !out) return PM_INVALID;
    pm_sync_source *s = (pm_sync_source *)pm__mem_alloc_big(sizeof *s);
    if (!s) return PM_NOMEM;
    memset(s, 0, sizeof *s);
    s->map = pm_clone(m);
    s->hashes.ops = pm_map_ops(m);
    if (values) s->values = *values;
    s->out = pm__list_of(1);
    pm__sync_hashes_begin(&s->hashes);
    pm_status st = pm__sync_hash_map(&s->hashes, &s->map, &s->hash);
    if (st == PM_OK) *out = s;
    else pm_sync_source_free(s);
    return st;
}

PM_API void pm_sync_source_free(pm_sync_source *s) {
    if (!s) return;
    pm__sync_hashes_end(&s->hashes);
    pm__list_free(&s->out);
    pm_drop(&s->map);
    pm__mem_free_big(s, sizeof *s);
}

PM_API pm_hash128 pm_sync_source_hash(const pm_sync_source *s) {
    return s ? s->hash : pm__hash_seal(pm__hash_begin(0));
}

/* The terminals of a place, if they are few. */
typedef struct pm__sync_few {
    pm__patch patch;
    size_t most;
    bool memory, over;
} pm__sync_few;

static bool pm__sync_gather(void *ctx, const pm_change *c) {
    pm__sync_few *f = (pm__sync_few *)ctx;
    size_t keys = f->patch.keys.used;
    f->over = f->patch.changes.used >= f->most || c->len > PM__SYNC_KEYS || keys > PM__SYNC_KEYS - c->len;
    if (!f->over) f->memory = pm__patch_add(&f->patch, c);
    return f->memory && !f->over;
}

/* Tells all that lies at a place, unless it is much. */
static pm_status pm__sync_answer_all(pm_sync_source *s, const pm_ref *r, size_t most, bool *told) {
    pm__sync_few f = {pm__patch_open(s->hashes.ops), most, true, false};
    pm_map all, none = pm_new(s->hashes.ops, NULL);
    pm_status st = pm_ref_make_map(r, &all);
    if (st != PM_OK) return st;
    st = pm_diff(&none, &all, pm__sync_gather, &f);
    if (st == PM_OK && !f.memory) st = PM_NOMEM;
    pm_drop(&all);
    pm_patch p = pm__patch_close(&f.patch);
    uint8_t form = PM__SYNC_ALL;
    *told = st == PM_OK && !f.over;
    if (*told) st = pm__sync_put(&s->out, &form, 1);
    if (*told && st == PM_OK) st = pm_patch_write(&p, pm__sync_put, &s->out, &s->values, NULL);
    pm_patch_drop(&p);
    return st;
}

/* Tells a value, as a patch of the empty path. */
static pm_status pm__sync_answer_value(pm_sync_source *s, pm_val v) {
    pm__patch w = pm__patch_open(s->hashes.ops);
    pm_change c;
    memset(&c, 0, sizeof c);
    c.after.some = true, c.after.val = v;
    pm_status st = pm__patch_add(&w, &c) ? PM_OK : PM_NOMEM;
    pm_patch p = pm__patch_close(&w);
    if (st == PM_OK) st = pm_patch_write(&p, pm__sync_put, &s->out, &s->values, NULL);
    pm_patch_drop(&p);
    return st;
}

/* Tells the bytes that lead on from a place, with the hashes. */
static pm_status pm__sync_answer_children(pm_sync_source *s, const pm_ref *r) {
    pm_mask m = pm_ref_child_mask(r);
    pm_hash128 h;
    pm_status st = pm__sync_number(&s->out, pm_mask_count(&m));
    for (int b = pm__mask_next(&m, 0); st == PM_OK && b >= 0; b = pm__mask_next(&m, b + 1)) {
        uint8_t byte = (uint8_t)b;
        pm_ref child = pm_ref_at(r, &byte, 1);
        st = pm__sync_hash(&s->hashes, &child, &h);
        if (st == PM_OK) st = pm__sync_put(&s->out, &byte, 1);
        if (st == PM_OK) st = pm__sync_put_hash(&s->out, h);
    }
    return st;
}

static pm_status pm__sync_answer_fork(pm_sync_source *s, pm_ref r) {
    pm__list run = pm__list_of(1);
    pm_status st = PM_OK;
    while (st == PM_OK && !pm_ref_val(&r) && pm_ref_child_count(&r) == 1) {
        pm_mask m = pm_ref_child_mask(&r);
        uint8_t byte = (uint8_t)pm__mask_next(&m, 0);
        st = pm__sync_put(&run, &byte, 1);
        r = pm_ref_at(&r, &byte, 1);
    }
    uint8_t form = pm_ref_val(&r) ? PM__SYNC_FORK_VAL : PM__SYNC_FORK;
    if (st == PM_OK) st = pm__sync_put(&s->out, &form, 1);
    if (st == PM_OK) st = pm__sync_number(&s->out, run.used);
    if (st == PM_OK) st = pm__sync_put(&s->out, run.data, run.used);
    if (st == PM_OK && pm_ref_val(&r)) st = pm__sync_answer_value(s, *pm_ref_val(&r));
    if (st == PM_OK) st = pm__sync_answer_children(s, &r);
    pm__list_free(&run);
    return st;
}

static pm_status pm__sync_answer_one(pm_sync_source *s, const pm__list *key, bool has_nothing) {
    pm_ref r = pm_ref_of_map(&s->map, key->data, key->used);
    uint8_t gone = PM__SYNC_GONE;
    bool told = false;
    if (!pm_ref_exists(&r)) return pm__sync_put(&s->out, &gone, 1);
    pm_status st = pm__sync_answer_all(s, &r, has_nothing ? PM__SYNC_MANY : PM__SYNC_FEW, &told);
    return st == PM_OK && !told ? pm__sync_answer_fork(s, r) : st;
}

static pm_status pm__sync_answer_run(pm_sync_source *s, pm__sync_in *in, pm__list *key) {
    uint8_t head[2] = {'a', PM__SYNC_VERSION}, count[4] = {0, 0, 0, 0};
    const uint8_t *b;
    uint64_t n, i = 0;
    pm_status st = pm__sync_get_head(in, 'q');
    if (st == PM_OK) st = pm__sync_get_number(in, &n);
    if (st != PM_OK) return st;
    s->out.used = 0;
    st = pm__sync_put(&s->out, head, sizeof head);
    if (st == PM_OK) st = pm__sync_put_hash(&s->out, s->hash);
    size_t at = s->out.used;
    if (st == PM_OK) st = pm__sync_put(&s->out, count, sizeof count);
    for (st = pm__sync_fail(in, st); st == PM_OK && i < n && i < UINT32_MAX; i++) {
        if (i && s->out.used > PM__SYNC_ANSWER) break;
        st = pm__sync_get(in, 1, &b);
        if (st == PM_OK && *b > 1) st = pm__sync_bad(in, "no question");
        if (st == PM_OK) st = pm__sync_get_key(in, key);
        if (st == PM_OK) st = pm__sync_fail(in, pm__sync_answer_one(s, key, *b != 0));
    }
    if (st == PM_OK && i == n && in->at != in->len) st = pm__sync_bad(in, "more than the questions");
    for (unsigned k = 0; st == PM_OK && k < 4; k++) s->out.data[at + k] = (uint8_t)(i >> (8 * k));
    return st;
}

PM_API pm_status pm_sync_answer(pm_sync_source *s, const void *msg, size_t len, pm_write_fn write, void *ctx,
                                pm_error *error) {
    if (!s || (!msg && len) || len > PM__LEN_MAX || !write) return PM_INVALID;
    pm__sync_in in = {(const uint8_t *)msg, 0, len, error};
    pm__list key = pm__list_of(1);
    pm_status st = pm__sync_answer_run(s, &in, &key);
    pm__list_free(&key);
    if (st != PM_OK) return st;
    st = write(ctx, s->out.data, s->out.used);
    return st == PM_OK ? st : pm__stream_fail(error, st, 0, "the write function failed");
}

/* ---- the receiver ---------------------------------------------------------------------------------------------- */

typedef struct pm__sync_item {
    pm_hash128 hash; /* announced; of the root not known before the first answer */
    size_t at, len;  /* its path, in `keys` */
    bool lacks;      /* there is nothing at this path yet */
} pm__sync_item;

typedef struct pm__sync_items {
    pm__list items, keys;
} pm__sync_items;

struct pm_sync {
    pm_map have, made;
    pm__sync_hashes hashes;
    pm__sync_items stack, asked;
    pm_patch_options values;
    pm__list out;
    bool rooted; /* the sender's hash is known */
    bool again;  /* all was done, and the root is asked for once more */
    pm_sync_stats stats;
};

static pm__sync_items pm__sync_items_new(void) {
    pm__sync_items x = {pm__list_of(sizeof(pm__sync_item)), pm__list_of(1)};
    return x;
}

static void pm__sync_items_free(pm__sync_items *x) {
    pm__list_free(&x->items);
    pm__list_free(&x->keys);
}

static pm__sync_item *pm__sync_item_at(const pm__sync_items *x, size_t i) {
    return (pm__sync_item *)pm__list_at(&x->items, i);
}

/* Puts a question on top. Its path is that of `a` and `b`. */
static bool pm__sync_push(pm__sync_items *x, pm_hash128 hash, bool lacks, const pm_key *a, const pm_key *b) {
    pm__sync_item i = {hash, x->keys.used, a->len + b->len, lacks};
    if (!pm__list_put(&x->keys, a->data, a->len) || !pm__list_put(&x->keys, b->data, b->len)) return false;
    return pm__list_put(&x->items, &i, 1);
}

/* Moves the items from `first` on from the top of one list to that of another. False: no memory, nothing was moved. */
static bool pm__sync_move(pm__sync_items *from, size_t first, pm__sync_items *to) {
    size_t n = from->items.used - first, shift = to->keys.used;
    if (!n) return true;
    size_t at = pm__sync_item_at(from, first)->at;
    const uint8_t *keys = from->keys.data ? from->keys.data + at : NULL;
    if (!pm__list_room(&to->items, n) || !pm__list_put(&to->keys, keys, from->keys.used - at)) return false;
    for (size_t i = first; i < from->items.used; i++) {
        pm__sync_item x = *pm__sync_item_at(from, i);
        x.at = x.at - at + shift;
        (void)pm__list_put(&to->items, &x, 1);
    }
    from->items.used = first;
    from->keys.used = at;
    return true;
}

PM_API pm_status pm_sync_new(const pm_map *have, const pm_patch_options *values, pm_sync **out) {
    if (!have || !out) return PM_INVALID;
    if (pm__ops_is_refused(pm_map_ops(have))) return PM_BADHOOK;
    pm_sync *s = (pm_sync *)pm__mem_alloc_big(sizeof *s);
    if (!s) return PM_NOMEM;
    memset(s, 0, sizeof *s);
    s->have = pm_clone(have);
    s->made = pm_clone(have);
    s->hashes.ops = pm_map_ops(have);
    if (values) s->values = *values;
    s->stack = pm__sync_items_new();
    s->asked = pm__sync_items_new();
    s->out = pm__list_of(1);
    pm__sync_hashes_begin(&s->hashes);
    *out = s;
    return PM_OK;
}

PM_API void pm_sync_free(pm_sync *s) {
    if (!s) return;
    pm__sync_hashes_end(&s->hashes);
    pm__sync_items_free(&s->stack);
    pm__sync_items_free(&s->asked);
    pm__list_free(&s->out);
    pm_drop(&s->have);
    pm_drop(&s->made);
    pm__mem_free_big(s, sizeof *s);
}

PM_API bool pm_sync_done(const pm_sync *s) { return s && s->rooted && !s->stack.items.used && !s->asked.items.used; }

PM_API pm_map pm_sync_map(const pm_sync *s) { return pm_clone(s ? &s->made : NULL); }

PM_API void pm_sync_get_stats(const pm_sync *s, pm_sync_stats *out) {
    if (!out) return;
    memset(out, 0, sizeof *out);
    if (!s) return;
    *out = s->stats;
    out->waiting = s->stack.items.used + s->asked.items.used;
}

/* Chooses what to ask. */
static bool pm__sync_choose(pm_sync *s) {
    static const pm_key root = {NULL, 0};
    if (s->asked.items.used) return true;
    size_t n = s->stack.items.used, first = n < PM__SYNC_BATCH ? 0 : n - PM__SYNC_BATCH;
    if (n) return pm__sync_move(&s->stack, first, &s->asked);
    s->again = s->rooted;
    return pm__sync_push(&s->asked, s->stats.hash, pm_is_empty(&s->made), &root, &root);
}

static pm_status pm__sync_put_question(pm_sync *s, size_t i) {
    pm__sync_item x = *pm__sync_item_at(&s->asked, i), last = {x.hash, 0, 0, false};
    if (i) last = *pm__sync_item_at(&s->asked, i - 1);
    const uint8_t *keys = s->asked.keys.data;
    size_t kept = 0;
    uint8_t lacks = x.lacks;
    while (kept < last.len && kept < x.len && keys[last.at + kept] == keys[x.at + kept]) kept++;
    pm_status st = pm__sync_put(&s->out, &lacks, 1);
    if (st == PM_OK) st = pm__sync_number(&s->out, kept);
    if (st == PM_OK) st = pm__sync_number(&s->out, x.len - kept);
    return st == PM_OK && x.len > kept ? pm__sync_put(&s->out, keys + x.at + kept, x.len - kept) : st;
}

PM_API pm_status pm_sync_ask(pm_sync *s, pm_write_fn write, void *ctx) {
    uint8_t head[2] = {'q', PM__SYNC_VERSION};
    if (!s || !write) return PM_INVALID;
    if (!pm__sync_choose(s)) return PM_NOMEM;
    s->out.used = 0;
    pm_status st = pm__sync_put(&s->out, head, sizeof head);
    if (st == PM_OK) st = pm__sync_number(&s->out, s->asked.items.used);
    for (size_t i = 0; st == PM_OK && i < s->asked.items.used; i++) st = pm__sync_put_question(s, i);
    if (st == PM_OK) st = write(ctx, s->out.data, s->out.used);
    if (st == PM_OK) s->stats.bytes_out += s->out.used;
    return st;
}

/* An answer, taken apart. */
typedef struct pm__sync_fork {
    const uint8_t *run;
    size_t run_len;
    unsigned n;
    uint8_t bytes[256];
    pm_hash128 hashes[256];
} pm__sync_fork;

static pm_status pm__sync_read(void *ctx, void *to, size_t n, size_t *got) {
    pm__sync_in *in = (pm__sync_in *)ctx;
    if (n > in->len - in->at) n = in->len - in->at;
    if (n) memcpy(to, in->data + in->at, n);
    in->at += n;
    *got = n;
    return PM_OK;
}

/* Takes a patch from nothing, and makes the map that it is. */
static pm_status pm__sync_get_map(pm_sync *s, pm__sync_in *in, pm_map *out) {
    pm_patch p;
    size_t from = in->at;
    pm_error why = {PM_OK, 0, ""};
    pm_status st = pm_patch_read(s->hashes.ops, pm__sync_read, in, &s->values, &p, &why);
    if (st != PM_OK) return pm__stream_fail(in->error, st, from + why.offset, why.msg);
    *out = pm_new(s->hashes.ops, s->have.pool);
    st = pm__sync_fail(in, pm_patch_apply(&p, out));
    pm_patch_drop(&p);
    if (st != PM_OK) pm_drop(out);
    return st;
}

/* Takes a fork; its value is what `val` holds at the empty path. */
static pm_status pm__sync_get_fork(pm_sync *s, pm__sync_in *in, bool has_val, pm__sync_fork *f, pm_map *val) {
    uint64_t run, n;
    const uint8_t *b;
    pm_status st = pm__sync_get_number(in, &run);
    if (st == PM_OK) st = pm__sync_get(in, run, &f->run);
    if (st == PM_OK && has_val) st = pm__sync_get_map(s, in, val);
    if (st == PM_OK) st = pm__sync_get_number(in, &n);
    if (st != PM_OK) return st;
    if (n > 256) return pm__sync_bad(in, "more than 256 children");
    f->run_len = (size_t)run;
    f->n = (unsigned)n;
    for (unsigned i = 0; st == PM_OK && i < f->n; i++) {
        st = pm__sync_get(in, 1, &b);
        if (st != PM_OK) return st;
        f->bytes[i] = *b;
        if (i && f->bytes[i - 1] >= *b) return pm__sync_bad(in, "children out of order");
        st = pm__sync_get_hash(in, &f->hashes[i]);
    }
    return st;
}

static pm_hash128 pm__sync_fork_hash(const pm_sync *s, const pm__sync_fork *f, const pm_map *val) {
    pm_hash128 h = pm__hash_begin(f->n);
    const pm_ops *ops = s->hashes.ops;
    for (unsigned i = 0; i < f->n; i++) h = pm__hash_child(h, f->bytes[i], f->hashes[i]);
    h = pm__hash_seal(h);
    const pm_val *v = pm_get(val, NULL, 0);
    if (v) pm__hash_add(&ops, *v, &h);
    pm__hash_run(NULL, f->run, f->run_len, &h);
    return h;
}

/* Makes what is to stand at a fork now: what was there, without the children that the fork has not, with its value. */
static pm_status pm__sync_fork_map(const pm_sync *s, const pm_ref *at, const pm__sync_fork *f, const pm_map *val,
                                   pm_map *out) {
    pm_mask mask;
    pm_wz w;
    const pm_val *v = pm_get(val, NULL, 0);
    pm_map m = pm_new(s->hashes.ops, s->have.pool);
    pm_status st = pm_ref_exists(at) ? pm_ref_make_map(at, &m) : PM_OK;
    if (st != PM_OK) return st;
    memset(&mask, 0, sizeof mask);
    for (unsigned i = 0; i < f->n; i++) pm_mask_set(&mask, f->bytes[i]);
    st = pm_wz_open(&m, NULL, 0, &w);
    if (st == PM_OK) {
        st = pm_wz_remove_unmasked(&w, &mask, PM_KEEP);
        (void)pm_wz_drop(&w);
    }
    if (st == PM_OK) st = v ? pm__map_set_shared(&m, NULL, 0, *v) : pm_remove(&m, NULL, 0, PM_KEEP, NULL);
    *out = pm_new(s->hashes.ops, s->have.pool);
    if (st == PM_OK) st = pm_wz_open(out, f->run, f->run_len, &w);
    if (st == PM_OK) {
        st = pm_wz_graft_map(&w, &m);
        (void)pm_wz_drop(&w);
    }
    pm_drop(&m);
    if (st != PM_OK) pm_drop(out);
    return st;
}

/* Asks for the children of a fork that are not as they were. */
static pm_status pm__sync_ask_children(pm_sync *s, const pm__sync_item *x, const pm_ref *at, const pm__sync_fork *f) {
    pm__list way = pm__list_of(1);
    pm_status st = PM_OK;
    bool ok =
        (!x->len || pm__list_put(&way, s->asked.keys.data + x->at, x->len)) && pm__list_put(&way, f->run, f->run_len);
    pm_key above = {way.data, way.used};
    for (unsigned i = 0; ok && st == PM_OK && i < f->n; i++) {
        pm_ref child = pm_ref_at(at, &f->bytes[i], 1);
        pm_key last = {&f->bytes[i], 1};
        bool lacks = !pm_ref_exists(&child);
        pm_hash128 h;
        if (!lacks) st = pm__sync_hash(&s->hashes, &child, &h);
        if (st != PM_OK || (!lacks && pm__sync_same(h, f->hashes[i]))) continue;
        ok = pm__sync_push(&s->stack, f->hashes[i], lacks, &above, &last);
        uint64_t used = (uint64_t)s->stack.items.used * sizeof(pm__sync_item) + s->stack.keys.used;
        if (s->values.most && used > s->values.most) ok = false;
    }
    pm__list_free(&way);
    return ok ? st : PM_NOMEM;
}

/* Puts a map in the place of what is at a path. */
static pm_status pm__sync_graft(pm_sync *s, const pm__sync_item *x, const pm_map *m) {
    pm_wz w;
    pm_status st = pm_wz_open(&s->made, x->len ? s->asked.keys.data + x->at : NULL, x->len, &w);
    if (st != PM_OK) return st;
    st = pm_wz_graft_map(&w, m);
    (void)pm_wz_drop(&w);
    return st;
}

/* Takes one answer; what it asks in turn comes on the stack. */
static pm_status pm__sync_take_fork(pm_sync *s, pm__sync_in *in, const pm__sync_item *x, bool has_val) {
    pm_map val = pm_new(s->hashes.ops, NULL), now;
    size_t items = s->stack.items.used, keys = s->stack.keys.used;
    pm__sync_fork *f = (pm__sync_fork *)pm__mem_alloc_big(sizeof *f);
    if (!f) return pm__sync_fail(in, PM_NOMEM);
    pm_status st = pm__sync_get_fork(s, in, has_val, f, &val);
    if (st == PM_OK && !pm__sync_same(pm__sync_fork_hash(s, f, &val), x->hash))
        st = pm__sync_bad(in, "not what was announced");
    if (st == PM_OK) {
        pm_ref r = pm_ref_of_map(&s->have, x->len ? s->asked.keys.data + x->at : NULL, x->len);
        pm_ref at = pm_ref_at(&r, f->run, f->run_len);
        st = pm__sync_fork_map(s, &at, f, &val, &now);
        if (st == PM_OK) {
            st = pm__sync_ask_children(s, x, &at, f);
            if (st == PM_OK) st = pm__sync_graft(s, x, &now);
            pm_drop(&now);
        }
        if (st != PM_OK) s->stack.items.used = items, s->stack.keys.used = keys;
        st = pm__sync_fail(in, st);
    }
    pm_drop(&val);
    pm__mem_free_big(f, sizeof *f);
    return st;
}

static pm_status pm__sync_take_all(pm_sync *s, pm__sync_in *in, const pm__sync_item *x) {
    pm_map now;
    pm_hash128 h;
    pm_status st = pm__sync_get_map(s, in, &now);
    if (st != PM_OK) return st;
    st = pm__sync_fail(in, pm_hash(&now, &h));
    if (st == PM_OK && !pm__sync_same(h, x->hash)) st = pm__sync_bad(in, "not what was announced");
    if (st == PM_OK) st = pm__sync_fail(in, pm__sync_graft(s, x, &now));
    pm_drop(&now);
    return st;
}

static pm_status pm__sync_take_one(pm_sync *s, pm__sync_in *in, const pm__sync_item *x) {
    const uint8_t *form;
    pm_status st = pm__sync_get(in, 1, &form);
    if (st != PM_OK) return st;
    switch (*form) {
    case PM__SYNC_FORK: return pm__sync_take_fork(s, in, x, false);
    case PM__SYNC_FORK_VAL: return pm__sync_take_fork(s, in, x, true);
    case PM__SYNC_ALL: return pm__sync_take_all(s, in, x);
    default: return pm__sync_bad(in, "no answer");
    }
}

/* Begins anew, with what was received. */
static void pm__sync_rebase(pm_sync *s) {
    pm__sync_hashes_end(&s->hashes);
    pm__sync_hashes_begin(&s->hashes);
    pm_drop(&s->have);
    s->have = pm_clone(&s->made);
    s->rooted = false;
    s->stack.items.used = s->stack.keys.used = 0;
}

static void pm__sync_asked_nothing(pm_sync *s) {
    s->asked.items.used = s->asked.keys.used = 0;
    s->again = false;
}

/* Looks at the sender's hash. If it is known for the first time, or is another one than before, all questions go but
   for that about the root. *done: there is nothing to take. */
static pm_status pm__sync_take_root(pm_sync *s, pm_hash128 root, bool *done) {
    pm_hash128 own;
    bool again = s->again, news = !s->rooted || !pm__sync_same(root, s->stats.hash);
    *done = again && !news;
    if (*done) pm__sync_asked_nothing(s);
    if (!news) return PM_OK;
    if (s->rooted) pm__sync_rebase(s);
    s->again = false;
    pm_status st = pm__sync_hash_map(&s->hashes, &s->have, &own);
    if (st != PM_OK) return st;
    bool same = pm__sync_same(own, root);
    s->stats.hash = root;
    *done = same || s->asked.items.used != 1 || pm__sync_item_at(&s->asked, 0)->len;
    if (*done) pm__sync_asked_nothing(s); /* the root is asked for next */
    else pm__sync_item_at(&s->asked, 0)->hash = root;
    s->rooted = same || !*done;
    return PM_OK;
}

/* When all is there: whether it is what the sender has. */
static pm_status pm__sync_check(pm_sync *s, const pm__sync_in *in) {
    pm_hash128 own;
    if (!pm_sync_done(s)) return PM_OK;
    pm_status st = pm__sync_fail(in, pm__sync_hash_map(&s->hashes, &s->made, &own));
    if (st == PM_OK && !pm__sync_same(own, s->stats.hash)) st = pm__sync_bad(in, "the maps differ in the end");
    if (st != PM_OK) pm__sync_rebase(s);
    return st;
}

static pm_status pm__sync_take_answers(pm_sync *s, pm__sync_in *in) {
    const uint8_t *b;
    pm_hash128 root;
    bool done = false;
    pm_status st = pm__sync_get_head(in, 'a');
    if (st == PM_OK) st = pm__sync_get_hash(in, &root);
    if (st == PM_OK) st = pm__sync_get(in, 4, &b);
    if (st != PM_OK) return st;
    size_t n = pm__load32le(b), i = 0;
    if (!n || n > s->asked.items.used) return pm__sync_bad(in, "not as many answers as were asked for");
    st = pm__sync_fail(in, pm__sync_take_root(s, root, &done));
    if (st != PM_OK || done) return st;
    for (; st == PM_OK && i < n; i++) {
        pm__sync_item x = *pm__sync_item_at(&s->asked, i);
        st = pm__sync_take_one(s, in, &x);
        if (st != PM_OK) break;
        s->stats.questions++;
    }
    if (!pm__sync_move(&s->asked, i, &s->stack)) {
        /* The questions that are answered are asked again, and answered by what is there by now. */
        /* uncovered: the room that they had is short only where answers fill it to within a batch */
        return st == PM_OK ? pm__sync_fail(in, PM_NOMEM) : st;
    }
    pm__sync_asked_nothing(s);
    if (st == PM_OK && in->at != in->len) st = pm__sync_bad(in, "more than the answers");
    return st == PM_OK ? pm__sync_check(s, in) : st;
}

PM_API pm_status pm_sync_take(pm_sync *s, const void *msg, size_t len, pm_error *error) {
    if (!s || (!msg && len) || len > PM__LEN_MAX) return PM_INVALID;
    pm__sync_in in = {(const uint8_t *)msg, 0, len, error};
    pm_status st = pm__sync_take_answers(s, &in);
    if (st != PM_OK) return st;
    s->stats.round_trips++;
    s->stats.bytes_in += len;
    return PM_OK;
}
