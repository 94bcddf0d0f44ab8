/* History must not be seen in the shape: after sets and removals of any kind and order, a map takes no more than twice
   the memory, and a lookup visits no more than twice the nodes, of a map built anew of the same content. Built anew
   means the better one of two: sets in random order, and pm_build from sorted keys.

   Of maps of a few nodes no more can be said than that a handful is added.

   STRESS_SECONDS, if more than 1, stands for four times as many keys. With SHAPE_FIGURES in the environment each test
   prints all that it has measured. */
#include "check.h"

#define PATHMAP_STATIC
#include "../pathmap.h"

#include "counted.h"

/* ---- keys ---------------------------------------------------------------------------------------------------- */

typedef enum kind { RANDOM, NESTED, BRANCHED, DENSE, TEXT, CLUSTERS, LETTERS, KINDS } kind;
static const char *const kind_names[] = {"random", "nested", "branched", "dense", "text", "clusters", "letters"};

typedef struct keys {
    pm_key *key; /* sorted, distinct, not empty */
    bool *kept;
    size_t n;
} keys;

static int by_bytes(const void *a, const void *b) {
    const pm_key *x = a, *y = b;
    size_t n = x->len < y->len ? x->len : y->len;
    int d = memcmp(x->data, y->data, n);
    return d ? d : (x->len > y->len) - (x->len < y->len);
}

/* A word of syllables; few of them make most of the words, as in a language. */
static size_t word(uint8_t *to, unsigned syllables) {
    static const char *const syllable[] = {"ta", "re", "in", "con", "er", "un", "s", "ing", "al", "de", "pro", "o",
                                           "ment", "li", "a", "the"};
    size_t len = 0;
    while (syllables--) {
        uint64_t r = check_below(16) * check_below(16) / 16;
        size_t n = strlen(syllable[r]);
        memcpy(to + len, syllable[r], n);
        len += n;
    }
    return len;
}

static size_t make_key(kind k, size_t i, uint8_t *to) {
    size_t len = 0;
    switch (k) {
    case RANDOM:
        for (; len < 8; len++) to[len] = (uint8_t)check_below(256);
        break;
    case NESTED: /* prefixes of one key */
        for (; len <= i; len++) to[len] = (uint8_t)('a' + len % 7 % 3);
        break;
    case BRANCHED: /* prefixes of several keys that part from each other late */
        for (size_t end = 1 + check_below(600); len < end; len++) to[len] = 'x';
        for (size_t end = len + check_below(40), c = check_below(4); len < end; len++) to[len] = (uint8_t)('a' + c);
        break;
    case DENSE:
        for (; len < 4; len++) to[len] = (uint8_t)(i >> (24 - 8 * len));
        break;
    case TEXT:
        for (size_t words = 1 + check_below(4); words--;) {
            len += word(to + len, 1 + (unsigned)check_below(3));
            if (words) to[len++] = words & 1 ? '/' : ' ';
        }
        break;
    case CLUSTERS:
        len = word(to, 4 + (unsigned)check_below(2));
        if (check_below(3)) len += word(to + len, (unsigned)check_below(2));
        break;
    default: /* few letters: most keys are prefixes of others */
        for (size_t end = 1 + check_below(18); len < end; len++) to[len] = (uint8_t)('0' + check_below(2));
    }
    return len;
}

static keys make_keys(kind k, size_t n) {
    keys s = {calloc(n, sizeof *s.key), calloc(n, sizeof *s.kept), 0};
    uint8_t buf[4096];
    for (size_t i = 0; i < n; i++) {
        size_t len = make_key(k, i, buf);
        void *data = malloc(len);
        memcpy(data, buf, len);
        s.key[i] = (pm_key){data, len};
    }
    qsort(s.key, n, sizeof *s.key, by_bytes);
    for (size_t i = 0; i < n; i++) {
        if (s.n && by_bytes(&s.key[s.n - 1], &s.key[i]) == 0) free((void *)(uintptr_t)s.key[i].data);
        else s.key[s.n++] = s.key[i];
    }
    return s;
}

static void free_keys(keys *s) {
    for (size_t i = 0; i < s->n; i++) free((void *)(uintptr_t)s->key[i].data);
    free(s->key);
    free(s->kept);
}

/* Which keys stay: each with a chance of 1 in `one_in`, or one stretch of them, but one at least. */
static void choose(keys *s, size_t one_in) {
    for (size_t i = 0; i < s->n; i++) s->kept[i] = check_below(one_in) == 0;
    s->kept[s->n - 1] = true;
}

/* A random order of the keys. */
static size_t *shuffled(size_t n) {
    size_t *at = malloc(n * sizeof *at);
    for (size_t i = 0; i < n; i++) at[i] = i;
    for (size_t i = n; i > 1; i--) {
        size_t j = check_below(i), t = at[i - 1];
        at[i - 1] = at[j], at[j] = t;
    }
    return at;
}

/* ---- measuring ----------------------------------------------------------------------------------------------- */

typedef struct shape {
    double nodes, bytes, depth; /* depth: nodes that a lookup visits, on the average over the kept keys */
} shape;

/* Nodes on the way to a value that is there. */
static size_t visited(const pm_map *m, const uint8_t *s, size_t len) {
    size_t n = 0;
    pm_place p = pm__place_root(m->root);
    for (size_t used = 0; used < len;) {
        if (!pm__place_enter(&p)) return 0;
        if (p.depth == 0) n++;
        used += pm__place_down(&p, s + used, len - used);
    }
    return n;
}

static shape shape_of(const pm_map *m, const keys *s) {
    pm_stats st;
    size_t sum = 0, n = 0;
    CHECK_OK(pm_get_stats(m, &st));
    for (size_t i = 0; i < s->n; i++) {
        if (!s->kept[i]) continue;
        CHECK(pm_get(m, s->key[i].data, s->key[i].len) != NULL);
        sum += visited(m, s->key[i].data, s->key[i].len);
        n++;
    }
    CHECK_EQ(st.values, n);
    return (shape){(double)st.nodes, (double)st.bytes, (double)sum / (double)n};
}

static pm_map set_all(const pm_ops *ops, const keys *s, bool only_kept) {
    pm_map m = pm_new(ops, NULL);
    size_t *at = shuffled(s->n);
    for (size_t i = 0; i < s->n; i++)
        if (s->kept[at[i]] || !only_kept) CHECK_OK(pm_set(&m, s->key[at[i]].data, s->key[at[i]].len, at[i], NULL));
    free(at);
    return m;
}

static pm_map build_kept(const pm_ops *ops, const keys *s, bool kept) {
    pm_map m;
    pm_key *list = calloc(s->n, sizeof *list);
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++)
        if (s->kept[i] == kept) list[n++] = s->key[i];
    CHECK_OK(pm_build(ops, NULL, list, NULL, n, &m));
    free(list);
    return m;
}

/* ---- histories ----------------------------------------------------------------------------------------------- */

typedef enum history {
    REMOVE_RANDOM, REMOVE_SORTED, REMOVE_REVERSE, REMOVE_BUILT, REMOVE_LATER, CHURN, WRITER,
    BRANCHES, DROP_HEAD, SUBTRACT_PIECES, SUBTRACT_NEW, SUBTRACT_PLACE, MEET_NEW, MEET_PLACE, RESTRICT_NEW,
    RESTRICT_PLACE, HISTORIES
} history;
static const char *const history_names[] = {
    "remove random", "remove sorted", "remove reverse", "remove built", "remove, prune later", "churn", "writer",
    "branches", "drop head", "subtract pieces", "subtract new", "subtract place", "meet new", "meet place",
    "restrict new", "restrict place"};

static void sound(const pm_map *m) {
    const char *why = "";
    CHECK_NOTE(pm_check(m, &why) == PM_OK, "%s", why);
}

static void churn(pm_map *m, const keys *s) {
    for (size_t round = 0; round < 6 * s->n; round++) {
        size_t i = check_below(s->n);
        if (s->kept[i]) continue;
        if (check_below(2)) CHECK_OK(pm_set(m, s->key[i].data, s->key[i].len, i, NULL));
        else CHECK_OK(pm_remove(m, s->key[i].data, s->key[i].len, PM_PRUNE, NULL));
    }
}

static void write_away(pm_map *m, const keys *s, const size_t *at) {
    pm_wz w;
    CHECK_OK(pm_wz_open(m, NULL, 0, &w));
    for (size_t i = 0; i < s->n; i++) {
        if (s->kept[at[i]]) continue;
        pm_rz_reset(pm_wz_cursor(&w));
        pm_rz_descend_to(pm_wz_cursor(&w), s->key[at[i]].data, s->key[at[i]].len);
        CHECK_OK(pm_wz_remove(&w, PM_PRUNE, NULL));
    }
    CHECK_OK(pm_wz_drop(&w));
}

static bool begins(const keys *s, size_t i, const uint8_t *with, size_t len) {
    return s->key[i].len >= len && memcmp(s->key[i].data, with, len) == 0;
}

/* Removes branches where nothing below is to stay, and then the key that showed the way. */
static void cut_branches(pm_map *m, const keys *s, const size_t *at) {
    for (size_t k = 0; k < s->n; k++) {
        size_t i = at[k], lo = i, hi = i + 1, len = s->key[i].len, cut = 0;
        const uint8_t *key = s->key[i].data;
        if (s->kept[i]) continue;
        for (size_t d = len; d > 0; cut = d--) {
            while (lo > 0 && !s->kept[lo - 1] && begins(s, lo - 1, key, d)) lo--;
            while (hi < s->n && !s->kept[hi] && begins(s, hi, key, d)) hi++;
            if ((lo > 0 && begins(s, lo - 1, key, d)) || (hi < s->n && begins(s, hi, key, d))) break;
        }
        if (cut) CHECK_OK(pm_remove_branches(m, key, cut, k % 2, NULL));
        if (cut) CHECK_OK(pm_prune_path(m, key, cut, NULL));
        CHECK_OK(pm_remove(m, key, len, PM_PRUNE, NULL));
    }
}

static void in_place(pm_map *m, const pm_map *other, history h) {
    pm_wz w;
    pm_rz z;
    CHECK_OK(pm_wz_open(m, NULL, 0, &w));
    CHECK_OK(pm_rz_open(other, NULL, 0, &z));
    if (h == SUBTRACT_PLACE || h == SUBTRACT_PIECES) CHECK_OK(pm_wz_subtract(&w, &z, PM_PRUNE, NULL));
    else if (h == MEET_PLACE) CHECK_OK(pm_wz_meet(&w, &z, PM_PRUNE, NULL));
    else CHECK_OK(pm_wz_restrict(&w, &z, NULL));
    pm_rz_drop(&z);
    CHECK_OK(pm_wz_drop(&w));
}

static void by_algebra(pm_map *m, const keys *s, history h) {
    bool sub = h == SUBTRACT_NEW || h == SUBTRACT_PLACE;
    pm_map other = build_kept(pm_map_ops(m), s, !sub), out = {0};
    if (h == SUBTRACT_NEW) CHECK_OK(pm_subtract(m, &other, &out, NULL));
    else if (h == MEET_NEW) CHECK_OK(pm_meet(m, &other, &out, NULL));
    else if (h == RESTRICT_NEW) CHECK_OK(pm_restrict(m, &other, &out, NULL));
    else in_place(m, &other, h);
    if (h == SUBTRACT_NEW || h == MEET_NEW || h == RESTRICT_NEW) {
        pm_drop(m);
        *m = out;
    }
    pm_drop(&other);
}

/* Many small maps are subtracted one after the other: key by key, and node by node. */
static void by_pieces(pm_map *m, const keys *s, const size_t *at) {
    for (size_t i = 0; i < s->n;) {
        pm_map piece = pm_new(pm_map_ops(m), NULL);
        for (size_t end = i + 1 + check_below(60); i < end && i < s->n; i++)
            if (!s->kept[at[i]]) CHECK_OK(pm_set(&piece, s->key[at[i]].data, s->key[at[i]].len, 0, NULL));
        in_place(m, &piece, SUBTRACT_PIECES);
        pm_drop(&piece);
    }
}

/* Keys below one of a few heads, most of them taken away again; then the heads are dropped. */
static pm_map headless(const pm_ops *ops, const keys *s, const size_t *at) {
    pm_map m = pm_new(ops, NULL);
    uint8_t buf[4096];
    pm_wz w;
    for (int rest = 0; rest < 2; rest++)
        for (size_t k = 0; k < s->n; k++) {
            size_t i = at[k], len = s->key[i].len;
            buf[0] = 'h', buf[1] = (uint8_t)(i * 7 % 5);
            memcpy(buf + 2, s->key[i].data, len);
            if (!rest) CHECK_OK(pm_set(&m, buf, len + 2, i, NULL));
            else if (!s->kept[i]) CHECK_OK(pm_remove(&m, buf, len + 2, PM_PRUNE, NULL));
        }
    CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
    CHECK_OK(pm_wz_join_k_path(&w, 2, PM_PRUNE, NULL));
    CHECK_OK(pm_wz_drop(&w));
    return m;
}

static void remove_all(pm_map *m, const keys *s, const size_t *at, history h) {
    for (size_t k = 0; k < s->n; k++) {
        size_t i = h == REMOVE_SORTED ? k : h == REMOVE_REVERSE ? s->n - 1 - k : at[k];
        if (!s->kept[i]) CHECK_OK(pm_remove(m, s->key[i].data, s->key[i].len, h != REMOVE_LATER, NULL));
        if (k % (s->n / 32 + 1) == 0) sound(m);
    }
    for (size_t i = 0; h == REMOVE_LATER && i < s->n; i++)
        if (!s->kept[i]) CHECK_OK(pm_prune_path(m, s->key[i].data, s->key[i].len, NULL));
}

static pm_map live(const pm_ops *ops, const keys *s, history h) {
    size_t *at = shuffled(s->n);
    pm_map m = {0};
    if (h == DROP_HEAD) m = headless(ops, s, at);
    else if (h == REMOVE_BUILT) CHECK_OK(pm_build(ops, NULL, s->key, NULL, s->n, &m));
    else m = set_all(ops, s, false);
    if (h == CHURN) churn(&m, s);
    if (h <= CHURN) remove_all(&m, s, at, h);
    else if (h == WRITER) write_away(&m, s, at);
    else if (h == BRANCHES) cut_branches(&m, s, at);
    else if (h == SUBTRACT_PIECES) by_pieces(&m, s, at);
    else if (h != DROP_HEAD) by_algebra(&m, s, h);
    free(at);
    sound(&m);
    return m;
}

/* ---- properties ---------------------------------------------------------------------------------------------- */

static double smaller(double a, double b) { return a < b ? a : b; }

/* The better of two maps built anew, for each figure by itself. */
static shape fresh(const pm_ops *ops, const keys *s) {
    pm_map a = set_all(ops, s, true), b = build_kept(ops, s, true);
    shape x = shape_of(&a, s), y = shape_of(&b, s);
    pm_drop(&a);
    pm_drop(&b);
    return (shape){smaller(x.nodes, y.nodes), smaller(x.bytes, y.bytes), smaller(x.depth, y.depth)};
}

static size_t count_kept(const keys *s) {
    size_t n = 0;
    for (size_t i = 0; i < s->n; i++) n += s->kept[i];
    return n;
}

/* What a restriction to the kept keys keeps: the keys behind them, too. */
static void keep_extensions(keys *s) {
    size_t last = SIZE_MAX;
    for (size_t i = 0; i < s->n; i++) {
        const pm_key *k = &s->key[i], *p = last == SIZE_MAX ? NULL : &s->key[last];
        if (p && p->len <= k->len && memcmp(p->data, k->data, p->len) == 0) s->kept[i] = true;
        else if (s->kept[i]) last = i;
    }
}

static void print_shape(kind k, history h, const shape *is, const shape *want) {
    printf("%-9s %-19s nodes %7.0f %6.2f  bytes %8.0f %6.2f  depth %7.2f %6.2f\n", kind_names[k], history_names[h],
           is->nodes, is->nodes / want->nodes, is->bytes, is->bytes / want->bytes, is->depth, is->depth / want->depth);
}

static void check_shape(kind k, history h, const shape *is, const shape *want) {
    if (getenv("SHAPE_FIGURES")) {
        print_shape(k, h, is, want);
        return;
    }
    const char *of = kind_names[k], *how = history_names[h];
    CHECK_NOTE(is->nodes <= 2 * want->nodes + 8, "%s, %s: %.0f nodes, %.0f anew", of, how, is->nodes, want->nodes);
    CHECK_NOTE(is->bytes <= 2 * want->bytes + 256, "%s, %s: %.0f bytes, %.0f anew", of, how, is->bytes, want->bytes);
    CHECK_NOTE(is->depth <= 2 * want->depth + 1.5, "%s, %s: depth %.2f, %.2f anew", of, how, is->depth, want->depth);
}

static void try_histories(kind k, size_t n, size_t one_in, const pm_ops *ops) {
    keys s = make_keys(k, n);
    choose(&s, one_in);
    shape want = fresh(ops, &s);
    for (history h = 0; h < HISTORIES; h++) {
        if (h == RESTRICT_NEW) {
            keep_extensions(&s);
            if (count_kept(&s) * 4 > s.n * 3) break; /* hardly anything would go */
            want = fresh(ops, &s);
        }
        pm_map m = live(ops, &s, h);
        shape is = shape_of(&m, &s);
        check_shape(k, h, &is, &want);
        pm_drop(&m);
    }
    free_keys(&s);
}

/* How many keys: fewer where every write is checked, more where there is time. */
static size_t many(size_t n) {
    const char *seconds = getenv("STRESS_SECONDS");
    return PM_CHECK >= 3 ? n / 8 : seconds && strtod(seconds, NULL) > 1 ? 4 * n : n;
}

static void try_kinds(size_t one_in, const pm_ops *ops) {
    for (kind k = 0; k < KINDS; k++) try_histories(k, k == NESTED ? 400 : many(1600), one_in, ops);
}

/* ---- compact maps -------------------------------------------------------------------------------------------- */

static bool same_map(const pm_map *a, const pm_map *b) {
    bool same = false;
    CHECK_OK(pm_equal(a, b, &same));
    return same;
}

static void try_compact(kind k, size_t n, const pm_ops *ops) {
    keys s = make_keys(k, n);
    choose(&s, 3);
    pm_map m = live(ops, &s, REMOVE_RANDOM), built = build_kept(ops, &s, true);
    shape anew = shape_of(&built, &s), was = shape_of(&m, &s);
    pm_map copy = {0};
    pm_iter it = pm_iter_vals(&m);
    copy = pm_new(ops, NULL);
    while (pm_iter_next(&it)) CHECK_OK(pm_set(&copy, it.key, it.len, *it.val, NULL));
    pm_iter_drop(&it);
    CHECK_OK(pm_compact(&m));
    sound(&m);
    shape is = shape_of(&m, &s);
    CHECK(same_map(&m, &copy));
    CHECK_NOTE(is.bytes <= anew.bytes && is.bytes <= was.bytes, "%s: %.0f bytes, %.0f before, %.0f anew", kind_names[k],
               is.bytes, was.bytes, anew.bytes);
    uint64_t root = m.root;
    CHECK_OK(pm_compact(&m));
    CHECK_EQ(m.root, root); /* there is nothing more to win */
    pm_drop(&m);
    pm_drop(&copy);
    pm_drop(&built);
    free_keys(&s);
}

TEST(compact_is_as_built) {
    for (kind k = 0; k < KINDS; k++) {
        try_compact(k, k == NESTED ? 600 : PM_CHECK >= 3 ? 400 : 3000, NULL);
        try_compact(k, k == NESTED ? 600 : PM_CHECK >= 3 ? 400 : 3000, pm_ops_unit());
    }
}

static void set(pm_map *m, const char *key, pm_val v) { CHECK_OK(pm_set(m, key, strlen(key), v, NULL)); }

/* What other owners hold too stays where it is. */
TEST(compact_leaves_shared_nodes_alone) {
    pm_map m = {0}, built, copy;
    pm_stats st;
    keys s = make_keys(RANDOM, 500); /* a byte node on top: removals copy small lines */
    CHECK_OK(pm_build(NULL, NULL, s.key, NULL, s.n, &built));
    copy = pm_clone(&built);
    uint64_t root = built.root;
    CHECK_OK(pm_compact(&built));
    CHECK(built.root == root && copy.root == root);
    for (char c = 'a'; c < 'e'; c++) { /* four times the same below different places */
        pm_wz w;
        CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
        pm_rz_descend_to(pm_wz_cursor(&w), &c, 1);
        CHECK_OK(pm_wz_graft_map(&w, &copy));
        CHECK_OK(pm_wz_drop(&w));
    }
    for (unsigned i = 0; i < 300; i++) CHECK_OK(pm_set(&m, &(uint32_t[2]){0xffffffff, i}, 8, i, NULL));
    for (unsigned i = 0; i < 299; i++) CHECK_OK(pm_remove(&m, &(uint32_t[2]){0xffffffff, i}, 8, PM_PRUNE, NULL));
    CHECK_OK(pm_get_stats(&m, &st));
    uint64_t bytes = st.bytes;
    CHECK_OK(pm_compact(&m));
    sound(&m);
    CHECK_OK(pm_get_stats(&m, &st));
    CHECK(st.bytes <= bytes && st.shared_nodes > 0);
    CHECK_EQ(st.values, 4 * s.n + 1);
    for (char c = 'a'; c < 'e'; c++) {
        pm_map one;
        CHECK_OK(pm_subtrie(&m, &c, 1, &one, NULL));
        CHECK(one.root == root);
        pm_drop(&one);
    }
    pm_drop(&m);
    pm_drop(&copy);
    pm_drop(&built);
    free_keys(&s);
}

/* Locations without value, children right beside values of the same key, the value of the empty path. */
TEST(compact_keeps_dangling_locations) {
    static const char *const dangle[] = {"q", "quite/long/and/alone", "abc/x", "abc/y/z", "mm"};
    for (unsigned unit = 0; unit < 2; unit++) {
        pm_map m = pm_new(unit ? pm_ops_unit() : NULL, NULL), copy;
        char key[32];
        set(&m, "", 7);
        set(&m, "abc", 1);
        for (unsigned i = 0; i < 5; i++) CHECK_OK(pm_create_path(&m, dangle[i], strlen(dangle[i]), NULL));
        for (unsigned i = 0; i < 2000; i++) {
            snprintf(key, sizeof key, "mm%u/%u", i % 70, i * 7919 % 2000);
            set(&m, key, i);
        }
        for (unsigned i = 0; i < 2000; i++) {
            snprintf(key, sizeof key, "mm%u/%u", i % 70, i * 7919 % 2000);
            if (i % 3) CHECK_OK(pm_remove(&m, key, strlen(key), i % 2 == 0, NULL));
        }
        copy = pm_new(pm_map_ops(&m), NULL);
        pm_iter it = pm_iter_paths(&m);
        while (pm_iter_next(&it)) {
            if (it.val) CHECK_OK(pm_set(&copy, it.key, it.len, *it.val, NULL));
            else CHECK_OK(pm_create_path(&copy, it.key, it.len, NULL));
        }
        pm_iter_drop(&it);
        CHECK(same_map(&m, &copy));
        uint64_t root = m.root;
        CHECK_OK(pm_compact(&m));
        CHECK_NE(m.root, root);
        sound(&m);
        CHECK(same_map(&m, &copy));
        pm_drop(&m);
        pm_drop(&copy);
    }
}

/* Every value keeps the references that it had, here and in a clone that has gone its own way. */
TEST(compact_and_removals_count_values) {
    int64_t held = counted_held();
    keys s = make_keys(TEXT, 3000);
    pm_map m = pm_new(counted_ops(), NULL);
    for (size_t i = 0; i < s.n; i++) CHECK_OK(pm_set(&m, s.key[i].data, s.key[i].len, counted_new(), NULL));
    pm_map clone = pm_clone(&m);
    for (size_t i = 0; i < s.n; i++)
        if (i % 11) CHECK_OK(pm_remove(&m, s.key[i].data, s.key[i].len, PM_PRUNE, NULL));
    for (size_t i = 0; i < s.n; i++) CHECK((pm_get(&m, s.key[i].data, s.key[i].len) == NULL) == (i % 11 != 0));
    for (size_t i = 0; i < s.n; i++) CHECK(counted_refs(*pm_get(&clone, s.key[i].data, s.key[i].len)) >= 1);
    sound(&m);
    sound(&clone);
    CHECK_OK(pm_compact(&m));
    pm_drop(&clone);
    CHECK_EQ(counted_held() - held, (s.n + 10) / 11);
    CHECK_OK(pm_compact(&m));
    sound(&m);
    CHECK_EQ(counted_held() - held, (s.n + 10) / 11);
    pm_drop(&m);
    CHECK(counted_held() == held && counted_is_sound());
    free_keys(&s);
}

TEST(compact_of_little) {
    pm_map m = {0};
    CHECK_OK(pm_compact(&m));
    set(&m, "", 5);
    CHECK_OK(pm_compact(&m));
    CHECK(m.root == 0 && *pm_get(&m, "", 0) == 5);
    set(&m, "x", 6);
    CHECK_OK(pm_compact(&m));
    CHECK_EQ(*pm_get(&m, "x", 1), 6);
    pm_drop(&m);
}

/* ---- without memory ------------------------------------------------------------------------------------------ */

/* A removal that frees needs no memory: what would merge stays as it is then. */
TEST(removal_without_memory_succeeds) {
    if (!PM_POOL) SKIP("PM_POOL=0: no budgets");
    for (kind k = 0; k < KINDS; k++) {
        pm_pool *pool = NULL;
        pm_pool_options few = {.budget = 1 << 20};
        CHECK_OK(pm_pool_new(&few, &pool));
        pm_map m = pm_new(NULL, pool);
        keys s = make_keys(k, k == NESTED ? 800 : PM_CHECK >= 3 ? 1000 : 100000);
        size_t *at = shuffled(s.n), n = 0;
        while (n < s.n && pm_set(&m, s.key[at[n]].data, s.key[at[n]].len, 1, NULL) == PM_OK) n++;
        for (size_t i = 0; i < n; i++) CHECK_OK(pm_remove(&m, s.key[at[i]].data, s.key[at[i]].len, PM_PRUNE, NULL));
        CHECK(pm_is_empty(&m));
        free(at);
        free_keys(&s);
        pm_drop(&m);
        CHECK_OK(pm_pool_free(pool));
    }
}

/* ---- histories ----------------------------------------------------------------------------------------------- */

TEST(shape_after_all_but_few_went) { try_kinds(400, NULL); }
TEST(shape_after_15_of_16_went) { try_kinds(16, NULL); }
/* Byte nodes two deep, of which few members stay. */
TEST(shape_of_wide_nodes_after_15_of_16_went) { try_histories(RANDOM, many(20000), 12, NULL); }
TEST(shape_after_half_went) { try_kinds(2, NULL); }
TEST(shape_of_sets_after_15_of_16_went) { try_kinds(16, pm_ops_unit()); }
