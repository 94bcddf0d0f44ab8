/* Whole maps in pieces, for several threads.

   A cut is a list of places in order: first the empty path, which gives way to the places that its bytes lead to, as
   does again and again the one that weighs most. Weights are estimated by random ways down (Knuth, "Estimating the
   efficiency of backtrack programs", 1975): the product of the numbers of branches on a way is, on the average, the
   number of ends.

   Algebra takes a cut as borders of ranges: range i goes from place i to place i + 1. Each piece combines that range of
   both operands, and the results are put together two by two, in rounds. A place where one side dangles is not
   divided: whether it stays depends on what the other side has below.

   Folds take the cut as it is. Each place that was not divided further is folded by itself; the places above are a
   small map, whose fold finds these results where they belong. */
#include "48_map_range.c"
#include "62_hash.c"
#include "77_parallel.h"

/* Pieces for each worker; random ways down at a place; length at which places are no longer divided; keys drawn for a
   piece of a build. */
enum { PM__PAR_PIECES = 8, PM__PAR_WALKS = 4, PM__PAR_LEN = 512, PM__PAR_SAMPLES = 16 };

/* ---- cuts ---------------------------------------------------------------------------------------------------- */

typedef struct pm__par_place {
    size_t at, len; /* its path, among the bytes of the cut */
    double weight;
    bool divided;
} pm__par_place;

typedef struct pm__par_cut {
    pm__list places, bytes;
    pm_rz side[2];
    unsigned sides;
    uint64_t random;
} pm__par_cut;

static pm__par_place *pm__par_at(const pm__par_cut *c, size_t i) { return (pm__par_place *)pm__list_at(&c->places, i); }

static const uint8_t *pm__par_path(const pm__par_cut *c, const pm__par_place *p) {
    return (const uint8_t *)pm__list_at(&c->bytes, p->at);
}

static unsigned pm__par_draw(pm__par_cut *c, unsigned below) {
    c->random = c->random * 0x5851F42D4C957F2Du + 0x14057B7EF767814Fu;
    return (unsigned)((c->random >> 33) % below);
}

/* How many values there may be at and below where a zipper stands. */
static double pm__par_weigh(pm__par_cut *c, pm_rz *z) {
    double sum = 0;
    for (int i = 0; i < PM__PAR_WALKS; i++) {
        size_t start, now;
        double factor = 1;
        (void)pm_rz_path(z, &start);
        for (;;) {
            if (pm_rz_is_val(z)) sum += factor;
            pm_mask mask = pm_rz_child_mask(z);
            unsigned n = pm_mask_count(&mask);
            if (!n) break;
            factor *= n;
            pm_rz_descend_to_byte(z, (uint8_t)pm_mask_select(&mask, pm__par_draw(c, n)));
            if (pm_rz_status(z) != PM_OK) return 0;
            if (!pm_rz_is_val(z)) pm_rz_descend_until(z);
        }
        (void)pm_rz_path(z, &now);
        pm_rz_ascend(z, now - start);
    }
    return sum / (double)PM__PAR_WALKS;
}

/* Puts places that lead on from place i into its stead, or behind it if it is kept. False: no memory. */
static bool pm__par_divide(pm__par_cut *c, size_t i, bool keep) {
    pm__par_place p = *pm__par_at(c, i);
    pm_mask all = {{0, 0, 0, 0}};
    bool dangles = false;
    for (unsigned s = 0; s < c->sides; s++) {
        pm_rz *z = &c->side[s];
        pm_rz_reset(z);
        pm_rz_descend_to(z, pm__par_path(c, &p), p.len);
        if (pm_rz_status(z) != PM_OK) return false;
        pm_mask mask = pm_rz_child_mask(z);
        dangles |= pm_rz_exists(z) && !pm_rz_is_val(z) && pm_mask_is_empty(&mask) && p.len;
        all = pm_mask_or(all, mask);
    }
    unsigned n = pm_mask_count(&all);
    if (dangles || !n || p.len == PM__PAR_LEN) {
        pm__par_at(c, i)->weight = 0;
        return true;
    }
    size_t more = n - !keep;
    if (!pm__list_room(&c->places, more) || !pm__list_room(&c->bytes, n * (p.len + 1))) return false;
    c->places.used += more;
    memmove(pm__par_at(c, i) + 1 + more, pm__par_at(c, i) + 1, (c->places.used - more - i - 1) * sizeof p);
    if (keep) {
        pm__par_at(c, i)->divided = true;
        pm__par_at(c, i)->weight = 0;
    }
    pm__par_place *to = pm__par_at(c, i) + keep;
    for (int b = -1; (b = pm__mask_next(&all, b + 1)) >= 0; to++) {
        uint8_t byte = (uint8_t)b;
        pm__par_place q = {c->bytes.used, p.len + 1, 0, false};
        pm__list_put(&c->bytes, pm__par_path(c, &p), p.len);
        pm__list_put(&c->bytes, &byte, 1);
        for (unsigned s = 0; s < c->sides; s++) {
            pm_rz_descend_to_byte(&c->side[s], byte);
            q.weight += pm__par_weigh(c, &c->side[s]);
            pm_rz_ascend(&c->side[s], 1);
            if (pm_rz_status(&c->side[s]) != PM_OK) return false;
        }
        *to = q;
    }
    return true;
}

static void pm__par_cut_free(pm__par_cut *c) {
    for (unsigned s = 0; s < c->sides; s++) pm_rz_drop(&c->side[s]);
    pm__list_free(&c->places);
    pm__list_free(&c->bytes);
}

/* Divides until there are enough places, or none weighs much. With `keep` the divided ones stay in the list. */
static pm_status pm__par_divide_all(pm__par_cut *c, size_t enough, bool keep) {
    for (size_t turn = 0, whole = 0; turn < 4 * enough && whole < enough; turn++) {
        size_t heaviest = 0;
        double sum = 0, most = 0;
        whole = 0;
        for (size_t i = 0; i < c->places.used; i++) {
            const pm__par_place *p = pm__par_at(c, i);
            whole += !p->divided;
            sum += p->weight;
            if (p->weight > most) {
                most = p->weight;
                heaviest = i;
            }
        }
        if (whole >= enough || most * (double)enough <= sum) break;
        if (!pm__par_divide(c, heaviest, keep)) return PM_NOMEM;
    }
    return PM_OK;
}

/* Cuts one or two maps. On success the caller frees the cut. */
static pm_status pm__par_cut_of(const pm_team *team, const pm_map *a, const pm_map *b, bool keep, pm__par_cut *c) {
    const pm_map *maps[2] = {a, b};
    memset(c, 0, sizeof *c);
    c->places = pm__list_of(sizeof(pm__par_place));
    c->bytes = pm__list_of(1);
    pm__par_place root = {0, 0, 1, false};
    pm_status s = pm__list_put(&c->places, &root, 1) ? PM_OK : PM_NOMEM;
    while (s == PM_OK && c->sides < 2 && maps[c->sides]) {
        s = pm_rz_open(maps[c->sides], NULL, 0, &c->side[c->sides]);
        c->sides += s == PM_OK;
    }
    size_t workers = team->workers ? team->workers : 1;
    if (s == PM_OK && workers > 1) s = pm__par_divide_all(c, workers * PM__PAR_PIECES, keep);
    if (s != PM_OK) pm__par_cut_free(c);
    return s;
}

/* The range from place i to the next one. The first goes from the first key, the last one to the last. */
static void pm__par_range(const pm__par_cut *c, size_t i, pm_key range[2], const pm_key *bound[2]) {
    for (size_t k = 0; k < 2; k++) {
        bool open = i + k == 0 || i + k == c->places.used;
        if (!open) range[k] = (pm_key){pm__par_path(c, pm__par_at(c, i + k)), pm__par_at(c, i + k)->len};
        bound[k] = open ? NULL : &range[k];
    }
}

static bool pm__par_is_team(const pm_team *team) { return team && team->run; }

/* ---- putting together ---------------------------------------------------------------------------------------- */

typedef struct pm__par_part {
    pm_map map;
    uint64_t count;
    unsigned alg; /* operands that it equals */
    pm_status status;
} pm__par_part;

typedef struct pm__par_run {
    const pm__par_cut *cut;
    const pm_map *a, *b;
    pm_status (*op)(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
    pm__list parts;
    size_t step; /* of a round: part i takes in part i + step */
} pm__par_run;

static pm__par_part *pm__par_part_at(const pm__par_run *r, size_t i) {
    return (pm__par_part *)pm__list_at(&r->parts, i);
}

static bool pm__par_parts(pm__par_run *r, size_t n, const pm_map *like) {
    pm__par_part none = {pm_new(like->ops, like->pool), 0, 0, PM_OK};
    r->parts = pm__list_of(sizeof none);
    if (!pm__list_room(&r->parts, n)) return false;
    while (n--) pm__list_put(&r->parts, &none, 1);
    return true;
}

static void pm__par_concat(void *arg, size_t i) {
    const pm__par_run *r = (const pm__par_run *)arg;
    pm__par_part *p = pm__par_part_at(r, 2 * i * r->step), *q = p + r->step;
    p->status = pm_concat(&p->map, &q->map, &p->map);
    if (p->status == PM_OK) pm_drop(&q->map);
}

static pm_status pm__par_first_failure(const pm__par_run *r) {
    for (size_t i = 0; i < r->parts.used; i++)
        if (pm__par_part_at(r, i)->status != PM_OK) return pm__par_part_at(r, i)->status;
    return PM_OK;
}

/* Puts all parts together in the first one. */
static pm_status pm__par_gather(const pm_team *team, pm__par_run *r) {
    pm_status s = pm__par_first_failure(r);
    for (r->step = 1; s == PM_OK && r->step < r->parts.used; r->step *= 2) {
        team->run(team->ctx, pm__par_concat, r, (r->parts.used + r->step - 1) / (2 * r->step));
        s = pm__par_first_failure(r);
    }
    return s;
}

static void pm__par_parts_drop(pm__par_run *r) {
    for (size_t i = 0; i < r->parts.used; i++) pm_drop(&pm__par_part_at(r, i)->map);
    pm__list_free(&r->parts);
}

/* ---- algebra ------------------------------------------------------------------------------------------------- */

static void pm__par_combine(void *arg, size_t i) {
    const pm__par_run *r = (const pm__par_run *)arg;
    pm__par_part *p = pm__par_part_at(r, i);
    pm_key range[2];
    const pm_key *bound[2];
    pm__par_range(r->cut, i, range, bound);
    pm_map a = pm_new(r->a->ops, r->a->pool), b = a;
    pm_alg alg = PM_ALG_NONE;
    p->status = pm_subrange(r->a, bound[0], bound[1], &a);
    if (p->status == PM_OK) p->status = pm_subrange(r->b, bound[0], bound[1], &b);
    if (p->status == PM_OK) p->status = r->op(&a, &b, &p->map, &alg);
    p->alg = alg == PM_ALG_NONE ? (pm_is_empty(&a) ? PM_ALG_LEFT : 0u) | (pm_is_empty(&b) ? PM_ALG_RIGHT : 0u)
                                : alg & (unsigned)PM_ALG_BOTH;
    pm_drop(&a);
    pm_drop(&b);
}

/* The result in the first part, or an operand that it equals. */
static pm_status pm__par_result(const pm_team *team, pm__par_run *r, pm_map *out, pm_alg *alg) {
    unsigned equals = PM_ALG_BOTH;
    for (size_t i = 0; i < r->parts.used; i++) equals &= pm__par_part_at(r, i)->alg;
    pm_status s = equals ? pm__par_first_failure(r) : pm__par_gather(team, r);
    if (s != PM_OK) return s;
    pm_map made = equals ? pm_clone(equals & PM_ALG_LEFT ? r->a : r->b) : pm__par_part_at(r, 0)->map;
    if (!equals) pm__par_part_at(r, 0)->map = pm_new(made.ops, made.pool);
    if (alg) *alg = pm_is_empty(&made) ? PM_ALG_NONE : equals ? (pm_alg)equals : PM_ALG_ELEMENT;
    if (out == r->a || out == r->b) pm_drop(out);
    *out = made;
    return PM_OK;
}

static pm_status pm__par_algebra(const pm_team *team,
                                 pm_status (*op)(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg),
                                 const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    if (!pm__par_is_team(team) || !a || !b || !out) return PM_INVALID;
    if (pm_map_ops(a) != pm_map_ops(b) || a == b) return op(a, b, out, alg);
    pm__par_cut c;
    pm_status s = pm__par_cut_of(team, a, b, false, &c);
    if (s != PM_OK) return s;
    pm__par_run r = {&c, a, b, op, {NULL, 0, 0, 0}, 0};
    s = pm__par_parts(&r, c.places.used, a) ? PM_OK : PM_NOMEM;
    if (s == PM_OK) {
        team->run(team->ctx, pm__par_combine, &r, c.places.used);
        s = pm__par_result(team, &r, out, alg);
    }
    pm__par_parts_drop(&r);
    pm__par_cut_free(&c);
    return s;
}

PM_API pm_status pm_par_join(const pm_team *team, const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    return pm__par_algebra(team, pm_join, a, b, out, alg);
}

PM_API pm_status pm_par_meet(const pm_team *team, const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    return pm__par_algebra(team, pm_meet, a, b, out, alg);
}

PM_API pm_status pm_par_subtract(const pm_team *team, const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg) {
    return pm__par_algebra(team, pm_subtract, a, b, out, alg);
}

PM_API pm_status pm_par_symmetric_difference(const pm_team *team, const pm_map *a, const pm_map *b, pm_map *out,
                                             pm_alg *alg) {
    return pm__par_algebra(team, pm_symmetric_difference, a, b, out, alg);
}

/* ---- counting, dropping -------------------------------------------------------------------------------------- */

static void pm__par_count(void *arg, size_t i) {
    const pm__par_run *r = (const pm__par_run *)arg;
    pm__par_part *p = pm__par_part_at(r, i);
    pm_key range[2];
    const pm_key *bound[2];
    pm__par_range(r->cut, i, range, bound);
    p->status = pm_range_count(r->a, bound[0], bound[1], &p->count);
}

static void pm__par_take(void *arg, size_t i) {
    const pm__par_run *r = (const pm__par_run *)arg;
    pm__par_part *p = pm__par_part_at(r, i);
    pm_key range[2];
    const pm_key *bound[2];
    pm__par_range(r->cut, i, range, bound);
    p->status = pm_subrange(r->a, bound[0], bound[1], &p->map);
}

static void pm__par_let_go(void *arg, size_t i) {
    const pm__par_run *r = (const pm__par_run *)arg;
    pm_drop(&pm__par_part_at(r, i)->map);
}

PM_API pm_status pm_par_val_count(const pm_team *team, const pm_map *m, uint64_t *out) {
    if (!pm__par_is_team(team) || !m || !out) return PM_INVALID;
    pm__par_cut c;
    pm_status s = pm__par_cut_of(team, m, NULL, false, &c);
    if (s != PM_OK) return s;
    pm__par_run r = {&c, m, NULL, NULL, {NULL, 0, 0, 0}, 0};
    s = pm__par_parts(&r, c.places.used, m) ? PM_OK : PM_NOMEM;
    if (s == PM_OK) {
        team->run(team->ctx, pm__par_count, &r, c.places.used);
        s = pm__par_first_failure(&r);
    }
    uint64_t sum = 0;
    for (size_t i = 0; i < r.parts.used; i++) {
        uint64_t n = pm__par_part_at(&r, i)->count;
        sum = n > UINT64_MAX - sum ? UINT64_MAX : sum + n;
    }
    if (s == PM_OK) *out = sum;
    pm__par_parts_drop(&r);
    pm__par_cut_free(&c);
    return s;
}

PM_API void pm_par_drop(const pm_team *team, pm_map *m) {
    pm__par_cut c;
    if (!m) return;
    if (!pm__par_is_team(team) || pm__par_cut_of(team, m, NULL, false, &c) != PM_OK) {
        pm_drop(m);
        return;
    }
    pm__par_run r = {&c, m, NULL, NULL, {NULL, 0, 0, 0}, 0};
    bool parts = pm__par_parts(&r, c.places.used, m);
    if (parts) team->run(team->ctx, pm__par_take, &r, c.places.used);
    pm__par_cut_free(&c);
    pm_drop(m); /* the nodes above the pieces; all others where a piece got no memory */
    if (parts) team->run(team->ctx, pm__par_let_go, &r, r.parts.used);
    pm__par_parts_drop(&r);
}

/* ---- folds --------------------------------------------------------------------------------------------------- */

typedef struct pm__par_fold {
    const pm_fold *fold;
    const pm_map *map;
    const pm__par_cut *cut;
    pm__list results, ends; /* by place */
    bool hash;
} pm__par_fold;

/* Of the fold of a piece: how it ended, and whether its result is there; it goes into the fold above. */
typedef struct pm__par_end {
    int status;
    bool made;
} pm__par_end;

static pm__par_end *pm__par_end_at(const pm__par_fold *f, size_t i) { return (pm__par_end *)pm__list_at(&f->ends, i); }

static void pm__par_fold_piece(void *arg, size_t i) {
    const pm__par_fold *f = (const pm__par_fold *)arg;
    const pm__par_place *p = pm__par_at(f->cut, i);
    pm__par_end *end = pm__par_end_at(f, i);
    if (p->divided) return;
    pm_ref r = pm_ref_of_map(f->map, pm__par_path(f->cut, p), p->len);
    void *to = pm__list_at(&f->results, i);
    end->status = f->hash ? (int)pm_hash_ref(&r, (pm_hash128 *)to) : pm_fold_ref(&r, f->fold, to);
    end->made = end->status == PM_OK;
}

/* What is above the pieces. The small map has as values the numbers of the places of the cut. */
static int pm__par_fold_above(void *ctx, const pm_fold_at *here, void *out) {
    const pm__par_fold *f = (const pm__par_fold *)ctx;
    size_t i = (size_t)*here->val;
    const pm__par_place *p = pm__par_at(f->cut, i);
    if (!p->divided) {
        memcpy(out, pm__list_at(&f->results, i), f->fold->size);
        pm__par_end_at(f, i)->made = false;
        return PM_OK;
    }
    pm_fold_at as = *here;
    as.val = pm_get(f->map, pm__par_path(f->cut, p), p->len);
    as.path = NULL;
    as.len = 0;
    return f->fold->at(f->fold->ctx, &as, out);
}

static int pm__par_fold_top(const pm__par_fold *f, void *out) {
    pm_map top = pm_new(NULL, NULL);
    int s = PM_OK;
    for (size_t i = 0; s == PM_OK && i < f->cut->places.used; i++) {
        const pm__par_place *p = pm__par_at(f->cut, i);
        s = (int)pm_set(&top, pm__par_path(f->cut, p), p->len, i, NULL);
    }
    pm_fold above = {f->fold->size, 0, (void *)(uintptr_t)f, pm__par_fold_above, f->fold->drop, NULL};
    if (s == PM_OK) s = pm_fold_map(&top, &above, out);
    pm_drop(&top);
    return s;
}

static int pm__par_fold_run(const pm_team *team, pm__par_fold *f, void *out) {
    size_t n = f->cut->places.used;
    const pm__par_end none = {PM_OK, false};
    int s = PM_OK;
    if (!pm__list_room(&f->results, n) || !pm__list_room(&f->ends, n)) return PM_NOMEM;
    while (f->ends.used < n) pm__list_put(&f->ends, &none, 1);
    team->run(team->ctx, pm__par_fold_piece, f, n);
    for (size_t i = 0; s == PM_OK && i < n; i++) s = pm__par_end_at(f, i)->status;
    if (s == PM_OK) s = pm__par_fold_top(f, out);
    for (size_t i = 0; f->fold->drop && i < n; i++)
        if (pm__par_end_at(f, i)->made) f->fold->drop(f->fold->ctx, pm__list_at(&f->results, i));
    return s;
}

static int pm__par_fold_of(const pm_team *team, const pm_map *m, const pm_fold *f, bool hash, void *out) {
    pm__par_cut c;
    pm_status s = pm__par_cut_of(team, m, NULL, true, &c);
    if (s != PM_OK) return (int)s;
    pm__par_fold run = {f, m, &c, pm__list_of(f->size), pm__list_of(sizeof(pm__par_end)), hash};
    int status = pm__par_fold_run(team, &run, out);
    pm__list_free(&run.results);
    pm__list_free(&run.ends);
    pm__par_cut_free(&c);
    return status;
}

PM_API int pm_par_fold_map(const pm_team *team, const pm_map *m, const pm_fold *f, void *out) {
    if (!pm__par_is_team(team) || !m || !f || !f->at || (f->size && !out)) return PM_INVALID;
    if (f->flags != PM_FOLD_CACHED || (f->drop && !f->copy)) return PM_INVALID;
    return pm__par_fold_of(team, m, f, false, out);
}

static int pm__par_hash_at(void *ctx, const pm_fold_at *here, void *out) {
    pm__hash_at(ctx, here, out);
    if (here->val) pm__hash_add(ctx, *here->val, out);
    return PM_OK;
}

PM_API pm_status pm_par_hash(const pm_team *team, const pm_map *m, pm_hash128 *out) {
    if (!pm__par_is_team(team) || !m || !out) return PM_INVALID;
    const pm_ops *ops = pm_map_ops(m);
    pm_fold f = {sizeof(pm_hash128), PM_FOLD_CACHED, (void *)&ops, pm__par_hash_at, NULL, NULL};
    pm_hash128 made;
    pm_status s = (pm_status)pm__par_fold_of(team, m, &f, true, &made), failed = pm__val_failed(ops);
    if (s == PM_OK) s = failed; /* of a hook above the pieces, which ask for themselves */
    if (s == PM_OK) *out = made;
    return s;
}

/* ---- building ------------------------------------------------------------------------------------------------ */

typedef struct pm__par_build {
    const pm_key *keys;
    const pm_val *vals;
    size_t n, pieces;
    pm_key *sample, *key; /* borders of pieces; keys and values by piece, in the order given */
    pm_val *val;
    size_t *count; /* of chunk i, piece k at i * pieces + k: how many keys, then where they go */
    pm__par_run run;
} pm__par_build;

static int pm__par_compare(const pm_key *a, const pm_key *b) {
    size_t n = a->len < b->len ? a->len : b->len;
    int c = n ? memcmp(a->data, b->data, n) : 0;
    return c ? c : (a->len > b->len) - (a->len < b->len);
}

/* Sorts a sample (Shell's sort: it is short, and libc's needs a header that programs without malloc do not have). */
static void pm__par_sort_sample(pm_key *keys, size_t n) {
    for (size_t gap = n / 2; gap; gap /= 2)
        for (size_t i = gap; i < n; i++) {
            pm_key k = keys[i];
            size_t j = i;
            for (; j >= gap && pm__par_compare(&keys[j - gap], &k) > 0; j -= gap) keys[j] = keys[j - gap];
            keys[j] = k;
        }
}

/* The piece of a key: how many borders are at or before it. */
static size_t pm__par_piece_of(const pm__par_build *w, const pm_key *key) {
    size_t lo = 0, hi = w->pieces - 1;
    while (lo < hi) {
        size_t mid = (lo + hi) / 2;
        if (pm__par_compare(&w->sample[mid], key) <= 0) lo = mid + 1;
        else hi = mid;
    }
    return lo;
}

static void pm__par_chunk(const pm__par_build *w, size_t i, size_t *from, size_t *to) {
    *from = w->n / w->pieces * i;
    *to = i + 1 == w->pieces ? w->n : w->n / w->pieces * (i + 1);
}

static void pm__par_tell(void *arg, size_t i) {
    const pm__par_build *w = (const pm__par_build *)arg;
    size_t from, to;
    pm__par_chunk(w, i, &from, &to);
    for (; from < to; from++) w->count[i * w->pieces + pm__par_piece_of(w, &w->keys[from])]++;
}

static void pm__par_scatter(void *arg, size_t i) {
    const pm__par_build *w = (const pm__par_build *)arg;
    size_t from, to;
    pm__par_chunk(w, i, &from, &to);
    for (; from < to; from++) {
        size_t at = w->count[i * w->pieces + pm__par_piece_of(w, &w->keys[from])]++;
        w->key[at] = w->keys[from];
        w->val[at] = w->vals ? w->vals[from] : 0;
    }
}

/* The keys of a piece: where they stand, or were scattered to, which ends where the last chunk has put its last. */
static void pm__par_span(const pm__par_build *w, size_t i, size_t *from, size_t *to) {
    if (!w->key) {
        pm__par_chunk(w, i, from, to);
        return;
    }
    const size_t *last = &w->count[(w->pieces - 1) * w->pieces];
    *from = i ? last[i - 1] : 0;
    *to = last[i];
}

static void pm__par_build_piece(void *arg, size_t i) {
    const pm__par_build *w = (const pm__par_build *)arg;
    pm__par_part *p = pm__par_part_at(&w->run, i);
    pm_map made;
    size_t from, to;
    pm__par_span(w, i, &from, &to);
    const pm_key *keys = w->key ? w->key : w->keys;
    const pm_val *vals = w->key ? w->val : w->vals;
    p->status = pm_build(p->map.ops, p->map.pool, keys + from, vals ? vals + from : NULL, to - from, &made);
    if (p->status == PM_OK) p->map = made;
}

/* Draws borders, and moves the keys to their pieces. */
static bool pm__par_sort(const pm_team *team, pm__par_build *w) {
    size_t samples = w->pieces * PM__PAR_SAMPLES, at = 0;
    w->sample = (pm_key *)pm__mem_alloc_big(samples * sizeof *w->sample);
    w->count = (size_t *)pm__mem_alloc_big(w->pieces * w->pieces * sizeof *w->count);
    w->key = (pm_key *)pm__mem_alloc_big(w->n * sizeof *w->key);
    w->val = (pm_val *)pm__mem_alloc_big(w->n * sizeof *w->val);
    if (!w->sample || !w->count || !w->key || !w->val) return false;
    for (size_t i = 0; i < samples; i++) w->sample[i] = w->keys[w->n / samples * i];
    pm__par_sort_sample(w->sample, samples);
    for (size_t i = 1; i < w->pieces; i++) w->sample[i - 1] = w->sample[i * PM__PAR_SAMPLES];
    memset(w->count, 0, w->pieces * w->pieces * sizeof *w->count);
    team->run(team->ctx, pm__par_tell, w, w->pieces);
    for (size_t k = 0; k < w->pieces; k++)
        for (size_t i = 0; i < w->pieces; i++) {
            size_t n = w->count[i * w->pieces + k];
            w->count[i * w->pieces + k] = at;
            at += n;
        }
    team->run(team->ctx, pm__par_scatter, w, w->pieces);
    return true;
}

static bool pm__par_ascends(const pm_key *keys, size_t n) {
    for (size_t i = 1; i < n; i++)
        if (pm__par_compare(&keys[i - 1], &keys[i]) >= 0) return false;
    return true;
}

/* Each piece takes over a reference of its values; they are given one each first, so that the caller's are not lost if
   another piece fails. */
static void pm__par_share_values(const pm_ops *ops, const pm_val *vals, size_t n, bool give) {
    if (!vals || !ops->retain || !ops->release) return;
    for (size_t i = 0; i < n; i++) {
        if (give) ops->retain(ops->ctx, vals[i]);
        else ops->release(ops->ctx, vals[i]);
    }
}

static pm_status pm__par_build_run(const pm_team *team, pm__par_build *w, const pm_map *like) {
    bool ascends = pm__par_ascends(w->keys, w->n);
    if (!ascends && !pm__par_sort(team, w)) return PM_NOMEM;
    if (!pm__par_parts(&w->run, w->pieces, like)) return PM_NOMEM;
    pm__par_share_values(like->ops, w->vals, w->n, true);
    team->run(team->ctx, pm__par_build_piece, w, w->pieces);
    for (size_t i = 0; i < w->pieces; i++) { /* what a piece did not take over goes back */
        if (pm__par_part_at(&w->run, i)->status == PM_OK) continue;
        size_t from, to;
        pm__par_span(w, i, &from, &to);
        pm__par_share_values(like->ops, w->vals ? (w->key ? w->val : w->vals) + from : NULL, to - from, false);
    }
    pm_status s = pm__par_gather(team, &w->run);
    if (s == PM_OK) pm__par_share_values(like->ops, w->vals, w->n, false);
    return s;
}

PM_API pm_status pm_par_build(const pm_team *team, const pm_ops *ops, pm_pool *pool, const pm_key *keys,
                              const pm_val *vals, size_t n, pm_map *out) {
    if (!pm__par_is_team(team) || !out || (n && !keys)) return PM_INVALID;
    size_t pieces = (team->workers ? team->workers : 1) * (size_t)PM__PAR_PIECES;
    for (size_t i = 0; i < n; i++)
        if ((keys[i].len && !keys[i].data) || keys[i].len > PM__LEN_MAX) return PM_INVALID;
    if (team->workers < 2 || n / 64 < pieces) return pm_build(ops, pool, keys, vals, n, out);
    pm_map like = pm_new(ops, pool);
    pm__par_build w;
    memset(&w, 0, sizeof w);
    w.keys = keys;
    w.vals = vals;
    w.n = n;
    w.pieces = pieces;
    pm_status s = pm__par_build_run(team, &w, &like);
    if (s == PM_OK) {
        *out = pm__par_part_at(&w.run, 0)->map;
        pm__par_part_at(&w.run, 0)->map = like;
    }
    pm__par_parts_drop(&w.run);
    pm__mem_free_big(w.sample, pieces * PM__PAR_SAMPLES * sizeof *w.sample);
    pm__mem_free_big(w.count, pieces * pieces * sizeof *w.count);
    pm__mem_free_big(w.key, n * sizeof *w.key);
    pm__mem_free_big(w.val, n * sizeof *w.val);
    return s;
}
