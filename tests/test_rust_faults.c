/* Faults of the Rust original that this library must not have. Each is tested by the example that showed it, and by
   its neighbours: both orders of the operands, every built-in table of values, nodes of every kind, operands that share
   and that do not, whole maps and write zippers. What is right is written out, and asked of the naive trie as well.

   Tries are written as words: `ab` is a value (1), `ab=7` another value, `ab!` a location without one, and `-` stands
   for the empty path. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "model.h"


#include "library.h"

#include "both.h"
#include "doubled.h"
#include "small_stack.h"

enum { PAIRS = STACK_IS_CHECKED ? 6000 : 60000 };

/* ---- maps, and the naive tries that they must equal ---- */

/* One value (NULL: none) at a key, in both. */
static void put(both *b, const uint8_t *key, size_t len, const uint64_t *val) {
    if (!val) {
        CHECK_OK(pm_create_path(&b->map, key, len, NULL));
        model_create(b->m, key, len);
        return;
    }
    uint64_t v = pm_map_ops(&b->map) == pm_ops_unit() ? 0 : *val;
    CHECK_OK(pm_set(&b->map, key, len, v, NULL));
    model_set(b->m, key, len, v, NULL);
}

/* Reads the words of a text; every key goes below `above`. */
static void put_text(both *b, const char *above, const char *text) {
    uint8_t key[64];
    for (const char *p = text; *p;) {
        size_t len = strlen(above), n = strcspn(p, " =!");
        uint64_t val = 1;
        memcpy(key, above, len);
        if (*p != '-') memcpy(key + len, p, n), len += n;
        p += n;
        bool dangling = *p == '!';
        if (*p == '=') val = strtoull(p + 1, NULL, 10);
        p += strcspn(p, " ");
        p += strspn(p, " ");
        put(b, key, len, dangling ? NULL : &val);
    }
}

enum { CROWD = 0x80 }; /* keys of the crowd begin with this byte or a larger one */

/* Adds neighbours of one byte, some of which lead on, so that the node at the top is one that fans out by byte. */
static void put_crowd(both *b, const char *above, unsigned n) {
    uint8_t key[32];
    size_t len = strlen(above);
    memcpy(key, above, len);
    for (unsigned i = 0; i < n; i++) {
        uint64_t val = 1 + i % 3;
        key[len] = (uint8_t)(CROWD + i);
        if (i % 4 != 1) put(b, key, len + 1, &val);
        key[len + 1] = (uint8_t)i;
        if (i % 4 == 1 || i % 4 == 3) put(b, key, len + 2, i % 8 == 7 ? NULL : &val);
    }
}

/* How many neighbours the two operands have. */
static const struct {
    unsigned left, right;
} crowds[] = {{0, 0}, {40, 40}, {70, 70}, {40, 0}, {0, 70}, {70, 40}};
enum { CROWDS = sizeof crowds / sizeof *crowds };

static const pm_ops *table(unsigned i) {
    const pm_ops *all[] = {pm_ops_unit(), pm_ops_left(), pm_ops_lattice(), pm_ops_bits(), pm_ops_sum()};
    return all[i];
}
enum { TABLES = 5 };

/* ---- comparing ---- */

/* Writes what a map holds below `above` as words, the crowd left out; values too, where asked for. Returns static
   text, good until the call after the next. */
static const char *show(const pm_map *m, const char *above, bool values) {
    static char text[2][1024];
    static unsigned turn;
    char *out = text[turn ^= 1];
    size_t at = 0, base = strlen(above);
    out[0] = 0;
    for (pm_iter i = pm_iter_paths(m); pm_iter_next(&i);) {
        pm_ref r = pm_ref_of_map(m, i.key, i.len);
        if (i.len < base || memcmp(i.key, above, base) != 0 || (i.len > base && i.key[base] >= CROWD)) continue;
        if (!i.val && (i.len == base || pm_ref_child_count(&r))) continue;
        if (at > sizeof text[0] - 100) continue;
        if (at) out[at++] = ' ';
        at += (size_t)sprintf(out + at, "%.*s", i.len > base ? (int)(i.len - base) : 1,
                              i.len > base ? (const char *)i.key + base : "-");
        if (!i.val) at += (size_t)sprintf(out + at, "!");
        else if (values) at += (size_t)sprintf(out + at, "=%" PRIu64, *i.val);
    }
    return out;
}

/* Sound, and what the model says. */
static void check_both(const both *b) {
    check_sound(&b->map);
    CHECK_NOTE(same_content(&b->map, b->m), "%s, table %s", show(&b->map, "", true), pm_map_ops(&b->map)->name);
}

/* The locations are those that the text names, too. */
static void check_is(const both *b, const char *above, const char *want) {
    check_both(b);
    CHECK_STR_EQ(show(&b->map, above, false), want);
}

/* ---- two operands, combined in every way ---- */

typedef pm_status (*map_operation)(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);
static const map_operation operations[] = {pm_join, pm_meet, pm_subtract, pm_restrict};

static pm_alg alg_of(model_outcome o) {
    static const pm_alg names[] = {PM_ALG_NONE, PM_ALG_LEFT, PM_ALG_RIGHT, PM_ALG_BOTH, PM_ALG_ELEMENT};
    return names[o];
}

static pm_alg alg_in_place(model_status s) {
    return s == MODEL_NONE ? PM_ALG_NONE : s == MODEL_IDENTITY ? PM_ALG_LEFT : PM_ALG_ELEMENT;
}

static void check_maps(model_op op, const both *a, const both *b, const char *want) {
    both r = {.m = model_combine(op, algebra_of(pm_map_ops(&a->map)), a->m, b->m)};
    pm_alg alg = PM_ALG_NONE;
    CHECK_OK(operations[op](&a->map, &b->map, &r.map, &alg));
    check_both(&r);
    if (want) CHECK_STR_EQ(show(&r.map, "", false), want);
    CHECK_EQ(alg, alg_of(model_compare(r.m, a->m, b->m)));
    pm_drop(&r.map);
    const pm_map *maps[] = {&a->map, &b->map};
    if (op <= MODEL_MEET) {
        CHECK_OK((op == MODEL_JOIN ? pm_join_many : pm_meet_many)(maps, 2, &r.map, NULL));
        check_both(&r);
        pm_drop(&r.map);
    }
    model_free(r.m);
}

/* The ways to do the same in place. */
enum { BY_ZIPPER, BY_MAP, BY_MOVE, BY_TAKE, BY_BOTH, BY_ITSELF, WAYS };

static bool has_way(model_op op, unsigned way) {
    if (way == BY_MAP || way == BY_MOVE || way == BY_TAKE) return op == MODEL_JOIN;
    if (way == BY_BOTH) return op == MODEL_MEET || op == MODEL_RESTRICT;
    return true;
}

static pm_status by_zipper(model_op op, pm_wz *w, const pm_rz *src, pm_alg *alg) {
    switch (op) {
    case MODEL_JOIN: return pm_wz_join(w, src, alg);
    case MODEL_MEET: return pm_wz_meet(w, src, PM_KEEP, alg);
    case MODEL_SUBTRACT: return pm_wz_subtract(w, src, PM_KEEP, alg);
    case MODEL_RESTRICT: break;
    }
    return pm_wz_restrict(w, src, alg);
}

/* A map among whose keys are those of `b` below `at`. */
static both host(const both *b, const char *at) {
    both h = both_new(pm_map_ops(&b->map));
    model_cursor c;
    pm_wz w;
    put_text(&h, "", "qa=2 qp qr! r");
    CHECK_OK(pm_wz_open(&h.map, at, strlen(at), &w));
    CHECK_OK(pm_wz_graft_map(&w, &b->map));
    CHECK_OK(pm_wz_drop(&w));
    model_cursor_open(&c, h.m, at, strlen(at));
    model_cursor_graft(&c, b->m);
    model_cursor_close(&c);
    return h;
}

/* Replaces what `h` has at `at` by an operation on what it has there and `b`; or, for BY_BOTH, by one on `a` and `b`.
   The writer's root is `root` bytes long. */
static void in_place(model_op op, unsigned way, both *h, const char *at, size_t root, const both *a, const both *b) {
    const size_t len = strlen(at);
    pm_alg alg = PM_ALG_ELEMENT;
    model_cursor c;
    pm_wz w, from = {0};
    pm_rz left, right;
    pm_map moved = pm_clone(&b->map);
    both source = way == BY_ITSELF ? both_clone(h) : host(b, "s");
    const char *source_at = way == BY_ITSELF ? at : "s";
    bool done = false, swapped = way == BY_BOTH && op == MODEL_RESTRICT;
    CHECK_OK(pm_wz_open(&h->map, at, root, &w));
    (void)pm_rz_move_to(pm_wz_cursor(&w), at + root, len - root);
    if (way == BY_TAKE) CHECK_OK(pm_wz_open(&moved, NULL, 0, &from));
    CHECK_OK(pm_rz_open(&a->map, NULL, 0, &left));
    CHECK_OK(pm_rz_open(way == BY_ITSELF ? &h->map : &source.map, source_at, strlen(source_at), &right));
    switch (way) {
    case BY_MAP: CHECK_OK(pm_wz_join_map(&w, &b->map, &alg)); break;
    case BY_MOVE: CHECK_OK(pm_wz_join_map_move(&w, &moved, &alg)); break;
    case BY_TAKE: CHECK_OK(pm_wz_join_take(&w, &from, PM_KEEP, &alg)); break;
    case BY_BOTH:
        if (swapped) CHECK_OK(pm_wz_restricting(&w, &left, &done));
        else CHECK_OK(pm_wz_meet_2(&w, &left, &right, &alg));
        break;
    default: CHECK_OK(by_zipper(op, &w, &right, &alg)); break;
    }
    pm_rz_drop(&left);
    pm_rz_drop(&right);
    CHECK_OK(pm_wz_drop(&from));
    CHECK_OK(pm_wz_drop(&w));
    if (way == BY_MOVE || way == BY_TAKE) CHECK(pm_is_empty(&moved));
    pm_drop(&moved);

    model *src = model_subtrie(source.m, source_at, strlen(source_at), NULL);
    model_algebra algebra = algebra_of(pm_map_ops(&h->map));
    model_cursor_open(&c, h->m, at, len);
    if (swapped) CHECK_EQ(done, model_cursor_restricting(&c, a->m));
    else if (way == BY_BOTH) CHECK_EQ(alg, alg_in_place(model_cursor_meet2(&c, algebra, a->m, src)));
    else CHECK_EQ(alg, alg_in_place(model_cursor_combine(&c, op, algebra, src, false)));
    model_cursor_close(&c);
    model_free(src);
    check_both(h);
    check_both(&source);
    both_drop(&source);
}

/* In place, at the root of a map and at places in one, whose nodes are its own or not. */
static void check_writers(model_op op, const both *a, const both *b, const char *want) {
    static const char *const places[] = {"", "q", "qrst"};
    for (unsigned i = 0; i < WAYS * 3 * 2; i++) {
        unsigned way = i % WAYS;
        const char *at = places[i / WAYS % 3];
        if (!has_way(op, way)) continue;
        both old = way == BY_BOTH && op == MODEL_RESTRICT ? both_clone(b) : both_clone(a);
        both h = *at ? host(&old, at) : both_clone(&old), kept = {0};
        both_drop(&old);
        if (i / WAYS / 3) kept = both_clone(&h);
        in_place(op, way, &h, at, i % 2 ? strlen(at) : 0, a, b);
        if (want && way != BY_ITSELF) CHECK_STR_EQ(show(&h.map, at, false), want);
        if (kept.m) check_both(&kept), both_drop(&kept);
        both_drop(&h);
    }
}

/* Makes a copy of `from` by editing a clone of `of`, so that the two share what they can. */
static bool remove_stranger(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    both *pair = ctx; /* the map to be edited, and the trie that it is to equal */
    (void)val;
    (void)children;
    if (model_get(pair->m, key, len, NULL)) return true;
    CHECK_OK(pm_remove(&pair->map, key, len, PM_KEEP, NULL));
    if (!model_exists(pair->m, key, len)) CHECK_OK(pm_remove_branches(&pair->map, key, len, PM_PRUNE, NULL));
    return true;
}

static bool add_missing(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    both *pair = ctx;
    (void)children;
    if (val) {
        const pm_val *v = pm_get(&pair->map, key, len);
        if (!v || *v != *val) CHECK_OK(pm_set(&pair->map, key, len, *val, NULL));
    } else {
        CHECK_OK(pm_create_path(&pair->map, key, len, NULL));
    }
    return true;
}

static both derived(const both *of, const both *from) {
    both r = {pm_clone(&of->map), model_copy(from->m)};
    model_each(of->m, remove_stranger, &r);
    model_each(r.m, add_missing, &r);
    check_both(&r);
    return r;
}

/* How the operands hang together. */
enum { APART, CLONED, DERIVED, CUT_OUT, ARRANGEMENTS };

static void rearrange(unsigned how, both *a, both *b, both kept[2]) {
    if (how == CLONED) {
        kept[0] = both_clone(a);
        kept[1] = both_clone(b);
    } else if (how == DERIVED) {
        both d = derived(a, b);
        both_drop(b);
        *b = d;
    } else if (how == CUT_OUT) {
        pm_map m;
        kept[0] = host(a, "qrs");
        kept[1] = host(b, "q");
        CHECK_OK(pm_subtrie(&kept[0].map, "qrs", 3, &m, NULL));
        pm_drop(&a->map);
        a->map = m;
        CHECK_OK(pm_subtrie(&kept[1].map, "q", 1, &m, NULL));
        pm_drop(&b->map);
        b->map = m;
        /* What the host has below is in the result as well. */
        model_free(a->m);
        model_free(b->m);
        a->m = model_subtrie(kept[0].m, "qrs", 3, NULL);
        b->m = model_subtrie(kept[1].m, "q", 1, NULL);
    }
}

/* `left op right` must have the locations `want`, and `right op left` those of `mirrored`. */
static void check_pair(model_op op, const char *left, const char *right, const char *want, const char *mirrored) {
    for (unsigned i = 0; i < TABLES * CROWDS * ARRANGEMENTS; i++) {
        unsigned crowd = i / TABLES % CROWDS;
        both a = both_new(table(i % TABLES)), b = both_new(table(i % TABLES)), kept[2] = {{{0}, NULL}, {{0}, NULL}};
        put_text(&a, "", left);
        put_text(&b, "", right);
        put_crowd(&a, "", crowds[crowd].left);
        put_crowd(&b, "", crowds[crowd].right);
        rearrange(i / TABLES / CROWDS, &a, &b, kept);
        check_maps(op, &a, &b, want);
        check_maps(op, &b, &a, mirrored);
        check_maps(op, &a, &a, NULL);
        check_writers(op, &a, &b, want);
        check_writers(op, &b, &a, mirrored);
        check_both(&a);
        check_both(&b);
        both_drop(&a);
        both_drop(&b);
        for (unsigned j = 0; j < 2; j++)
            if (kept[j].m) check_both(&kept[j]), both_drop(&kept[j]);
    }
}

/* The same of one table, with the values. */
static void check_values(const pm_ops *ops, model_op op, const char *left, const char *right, const char *want) {
    for (unsigned i = 0; i < CROWDS; i++) {
        both a = both_new(ops), b = both_new(ops);
        pm_map r;
        put_text(&a, "", left);
        put_text(&b, "", right);
        put_crowd(&a, "", crowds[i].left);
        put_crowd(&b, "", crowds[i].right);
        CHECK_OK(operations[op](&a.map, &b.map, &r, NULL));
        CHECK_STR_EQ(show(&r, "", true), want);
        pm_drop(&r);
        check_maps(op, &a, &b, NULL);
        check_writers(op, &a, &b, NULL);
        both_drop(&a);
        both_drop(&b);
    }
}

/* ---- 1 to 4: combining maps ---- */

TEST(known_fault_01_meet_hands_back_the_other_operand) {
    check_pair(MODEL_MEET, "a b", "ab b bb", "b", "b");
    check_pair(MODEL_MEET, "ax ay b c", "a ax b c", "ax b c", "ax b c");
    check_pair(MODEL_MEET, "a ab", "ab abc", "ab", "ab");
    check_pair(MODEL_MEET, "a b", "ab bb", "", "");
    check_values(pm_ops_lattice(), MODEL_MEET, "a=1", "a=0", "a=0");
    check_values(pm_ops_lattice(), MODEL_MEET, "ax=1 ay b c", "a ax=0 b c", "ax=0 b=1 c=1");
    check_values(pm_ops_bits(), MODEL_MEET, "a=1 b=3", "a=2 b=6", "b=2");
}

TEST(known_fault_02_subtract_loses_values) {
    check_pair(MODEL_SUBTRACT, "a aa b", "aa b", "a", "");
    check_pair(MODEL_SUBTRACT, "a aa b", "aa", "a b", "");
    check_pair(MODEL_SUBTRACT, "a aa b", "ab b", "a aa", "ab");
    check_pair(MODEL_SUBTRACT, "a aa b", "a b", "aa", "");
    check_values(pm_ops_sum(), MODEL_SUBTRACT, "a=5 aa=5 b=5", "aa=5 b=2", "a=5 b=3");
    check_values(pm_ops_lattice(), MODEL_SUBTRACT, "a=5 aa=5 b=5", "aa=4 b=5", "a=5 aa=5");
}

TEST(known_fault_03_restrict_loses_entries) {
    check_pair(MODEL_RESTRICT, "b", "a b bc", "b", "b bc");
    check_pair(MODEL_RESTRICT, "b bc bcd c", "b bcd", "b bc bcd", "b bcd");
    check_pair(MODEL_RESTRICT, "ab abc b", "a abc", "ab abc", "abc");
    check_pair(MODEL_RESTRICT, "a ab! b! c!", "a b", "a ab! b!", "a");
}

/* The value at the entry itself goes: then nothing may say that the operand is unchanged. */
TEST(known_fault_04_restrict_calls_a_lost_value_unchanged) {
    check_pair(MODEL_RESTRICT, "a ab", "ab", "ab", "ab");
    check_pair(MODEL_RESTRICT, "a ab ac", "ab ac", "ab ac", "ab ac");
    check_pair(MODEL_RESTRICT, "a ab b", "ab b", "ab b", "ab b");
    for (unsigned i = 0; i < CROWDS; i++) {
        both a = both_new(pm_ops_left()), b = both_new(pm_ops_left()), r;
        pm_alg alg = PM_ALG_LEFT;
        put_text(&a, "", "a ab");
        put_text(&b, "", "ab=2");
        put_crowd(&a, "", crowds[i].left);
        put_crowd(&b, "", crowds[i].right);
        CHECK_OK(pm_restrict(&a.map, &b.map, &r.map, &alg));
        CHECK_EQ(alg, PM_ALG_ELEMENT);
        pm_drop(&r.map);
        both_drop(&a);
        both_drop(&b);
    }
}

/* Small tries over few letters, in which keys are often prefixes of each other. */
static both random_trie(const pm_ops *ops, unsigned crowd) {
    both b = both_new(ops);
    uint8_t key[4];
    for (unsigned n = (unsigned)check_below(7); n--;) {
        size_t len = check_below(12) ? 1 + check_below(3) : 0;
        uint64_t val = check_below(3);
        for (size_t i = 0; i < len; i++) key[i] = (uint8_t)('a' + check_below(3));
        put(&b, key, len, check_below(12) ? &val : NULL);
    }
    put_crowd(&b, "", crowd);
    return b;
}

TEST(known_faults_01_to_03_in_random_pairs) {
    for (unsigned i = 0; i < PAIRS; i++) {
        unsigned crowd = i % 32 ? 0 : i / 32 % CROWDS;
        const pm_ops *ops = table(i % TABLES);
        both a = random_trie(ops, crowds[crowd].left), b;
        if (i % 3) {
            b = random_trie(ops, crowds[crowd].right);
        } else {
            both c = random_trie(ops, crowds[crowd].left);
            b = derived(&a, &c);
            both_drop(&c);
        }
        check_maps(MODEL_MEET, &a, &b, NULL);
        check_maps(MODEL_SUBTRACT, &a, &b, NULL);
        check_maps(MODEL_RESTRICT, &a, &b, NULL);
        both_drop(&a);
        both_drop(&b);
    }
}

TEST(known_faults_01_to_04_in_random_pairs_through_writers) {
    for (unsigned i = 0; i < 2000; i++) {
        unsigned crowd = i % 8 ? 0 : i / 8 % CROWDS;
        both a = random_trie(table(i % TABLES), crowds[crowd].left);
        both b = random_trie(table(i % TABLES), crowds[crowd].right);
        check_writers((model_op)(i % 4), &a, &b, NULL);
        both_drop(&a);
        both_drop(&b);
    }
}

/* ---- 5, 6: edits near locations without value ---- */

/* One edit: `+k` sets, `-k` removes and leaves the location, `~k` removes and prunes, `!k` makes the location, `*k`
   removes what is below; through the map, or through a writer rooted at the top or at the key. */
static void edit(both *b, char what, const uint8_t *key, size_t len, unsigned via) {
    size_t root = via == 2 ? len : 0;
    model_cursor c;
    pm_wz w;
    if (via == 0) {
        pm_status s = what == '+'   ? pm_set(&b->map, key, len, 0, NULL)
                      : what == '!' ? pm_create_path(&b->map, key, len, NULL)
                      : what == '*' ? pm_remove_branches(&b->map, key, len, PM_KEEP, NULL)
                                    : pm_remove(&b->map, key, len, what == '~', NULL);
        CHECK_OK(s);
    } else {
        CHECK_OK(pm_wz_open(&b->map, key, root, &w));
        (void)pm_rz_move_to(pm_wz_cursor(&w), key + root, len - root);
        pm_status s = what == '+'   ? pm_wz_set(&w, 0, NULL)
                      : what == '!' ? pm_wz_create_path(&w, NULL)
                      : what == '*' ? pm_wz_remove_branches(&w, PM_KEEP, NULL)
                                    : pm_wz_remove(&w, what == '~', NULL);
        CHECK_OK(s);
        CHECK_OK(pm_wz_drop(&w));
    }
    model_cursor_open(&c, b->m, key, root);
    model_cursor_descend(&c, key + root, len - root);
    switch (what) {
    case '+': model_cursor_set(&c, 0, NULL); break;
    case '!': model_cursor_create(&c); break;
    case '*': model_cursor_remove_branches(&c, false); break;
    default: model_cursor_remove(&c, what == '~', NULL); break;
    }
    model_cursor_close(&c);
}

/* Plays edits, in nodes of every kind and below prefixes of any length, alone and beside a clone; checks after each. */
static void play(const char *edits, const char *want) {
    static const char *const above[] = {"", "q", "a prefix"};
    for (unsigned i = 0; i < 2 * 3 * 2 * 3 * 3; i++) {
        const char *at = above[i % 3];
        both b = both_new(i / 3 % 2 ? pm_ops_unit() : pm_ops_left());
        put_crowd(&b, at, i / 6 % 3 * 35);
        for (const char *p = edits; *p; p += strspn(p, " ")) {
            uint8_t key[64];
            size_t n = strcspn(++p, " "), len = strlen(at);
            memcpy(key, at, len);
            memcpy(key + len, p, n);
            both before = both_clone(&b);
            if (i / 54) both_drop(&before);
            edit(&b, p[-1], key, len + n, i / 18 % 3);
            check_both(&b);
            if (!(i / 54)) check_both(&before), both_drop(&before);
            p += n;
        }
        check_is(&b, at, want);
        both_drop(&b);
    }
}

TEST(known_fault_05_removing_a_value_hides_what_is_below) {
    play("+ba +bb +b -b", "ba bb");
    play("+ba +bb +b -b +c", "ba bb c");
    play("+ba +bb +b -b +bc", "ba bb bc");
    play("+ba +bb +b -b +b -b", "ba bb");
    play("+ba +bb +b -b +a +bac", "a ba bac bb");
    play("+ba +bb +b -b -ba -bb", "ba! bb!");
    play("+ba +bb +b *b", "b");
}

TEST(known_fault_06_inserting_below_a_location_without_value) {
    play("+a +b -b +c +bc", "a bc c");
    play("+a !b +c +bc", "a bc c");
    play("!b +bc", "bc");
    play("+a +b -b +c !bcd +bc", "a bc bcd! c");
    play("+a !bcd +bc +b", "a b bc bcd!");
    play("!b !bb +bbb -bbb +bb", "bb bbb!");
}

/* ---- 7 to 9: values at the focus ---- */

TEST(known_fault_07_writer_restrict_ignores_the_value_at_the_source) {
    check_pair(MODEL_RESTRICT, "a b bc", "-", "a b bc", "");
    check_pair(MODEL_RESTRICT, "- a b", "- b", "- a b", "- b");
    both m = both_new(pm_ops_left()), src = both_new(pm_ops_left());
    put_text(&m, "", "a b");
    put_text(&src, "", "s sx!"); /* a value above the source's focus is none of its business */
    for (unsigned i = 0; i < 2; i++) {
        pm_wz w;
        pm_rz r;
        pm_alg alg = PM_ALG_ELEMENT;
        CHECK_OK(pm_wz_open(&m.map, NULL, 0, &w));
        CHECK_OK(pm_rz_open(&src.map, "sx", i ? 2 : 1, &r));
        CHECK_OK(pm_wz_restrict(&w, &r, &alg));
        CHECK_OK(pm_wz_drop(&w));
        pm_rz_drop(&r);
        CHECK_EQ(alg, i ? PM_ALG_NONE : PM_ALG_LEFT);
        CHECK_STR_EQ(show(&m.map, "", false), i ? "" : "a b");
    }
    both_drop(&m);
    both_drop(&src);
}

TEST(known_fault_08_meet_keeps_the_value_at_the_focus) {
    check_values(pm_ops_lattice(), MODEL_MEET, "-=1 a=1", "-=0 a=1", "-=0 a=1");
    check_values(pm_ops_lattice(), MODEL_MEET, "-=1", "-=0", "-=0");
    check_values(pm_ops_bits(), MODEL_MEET, "-=1 a=1", "-=2 a=1", "a=1");
    both b = both_new(pm_ops_lattice()), src = both_new(pm_ops_lattice());
    put_text(&b, "", "f=1 g");
    put_text(&src, "", "f=0");
    pm_wz w;
    pm_rz r;
    pm_alg alg = PM_ALG_LEFT;
    CHECK_OK(pm_wz_open(&b.map, NULL, 0, &w));
    (void)pm_rz_move_to(pm_wz_cursor(&w), "f", 1);
    CHECK_OK(pm_rz_open(&src.map, "f", 1, &r));
    CHECK_OK(pm_wz_meet(&w, &r, PM_KEEP, &alg));
    CHECK_EQ(alg, PM_ALG_ELEMENT);
    CHECK_OK(pm_wz_drop(&w));
    pm_rz_drop(&r);
    CHECK_STR_EQ(show(&b.map, "", true), "f=0 g=1");
    both_drop(&b);
    both_drop(&src);
}

TEST(known_fault_09_joining_a_map_of_a_root_value_says_none) {
    check_pair(MODEL_JOIN, "", "-", "-", "-");
    check_pair(MODEL_JOIN, "a b", "-", "- a b", "- a b");
    check_pair(MODEL_JOIN, "-", "-", "-", "-");
    for (unsigned i = 0; i < 3; i++) {
        both b = both_new(pm_ops_left()), src = both_new(pm_ops_left());
        pm_alg alg = PM_ALG_NONE;
        pm_wz w, from = {0};
        put_text(&b, "", "f!");
        put_text(&src, "", "-=9");
        CHECK_OK(pm_wz_open(&b.map, "f", 1, &w));
        if (i == 2) CHECK_OK(pm_wz_open(&src.map, NULL, 0, &from));
        if (i == 2) CHECK_OK(pm_wz_join_take(&w, &from, PM_KEEP, &alg));
        else CHECK_OK(i ? pm_wz_join_map_move(&w, &src.map, &alg) : pm_wz_join_map(&w, &src.map, &alg));
        CHECK_EQ(alg, PM_ALG_ELEMENT);
        CHECK_OK(pm_wz_drop(&from));
        CHECK_OK(pm_wz_drop(&w));
        CHECK_STR_EQ(show(&b.map, "", true), "f=9");
        both_drop(&b);
        both_drop(&src);
    }
}

/* ---- 10 to 12: writers ---- */

static void graft_children(both *b, const char *at, const char *bytes, const char *const *texts, bool clear) {
    size_t n = strlen(bytes);
    pm_mask mask = pm_mask_of(bytes, n);
    pm_map maps[4];
    model_cursor c;
    pm_wz w;
    bool keep[256] = {false};
    model_create(b->m, at, strlen(at));
    for (size_t i = 0; i < n; i++) {
        both child = both_new(pm_map_ops(&b->map));
        char key[16];
        put_text(&child, "", texts[i]);
        model_cursor_open(&c, b->m, key, (size_t)sprintf(key, "%s%c", at, bytes[i]));
        model_cursor_graft(&c, child.m);
        model_cursor_close(&c);
        maps[i] = child.map;
        model_free(child.m);
        keep[(uint8_t)bytes[i]] = true;
    }
    model_cursor_open(&c, b->m, at, strlen(at));
    if (clear) model_cursor_keep_children(&c, keep, false);
    model_cursor_close(&c);
    CHECK_OK(pm_wz_open(&b->map, at, strlen(at), &w));
    CHECK_OK(pm_wz_graft_children(&w, &mask, maps, n, clear));
    CHECK_OK(pm_wz_drop(&w));
    for (size_t i = 0; i < n; i++) CHECK(pm_is_empty(&maps[i]));
}

TEST(known_fault_10_grafting_child_maps) {
    static const char *const texts[] = {"- x", "", "xy yx!"};
    static const struct {
        const char *bytes, *kept, *cleared;
    } cases[] = {{"a", "- a ax b bz z", "- a ax"},
                 {"ab", "- a ax b! z", "- a ax b!"},
                 {"abc", "- a ax b! cxy cyx! z", "- a ax b! cxy cyx!"},
                 {"bz", "- a b bx z!", "- b bx z!"}};
    for (unsigned i = 0; i < 4 * CROWDS * 2 * 2; i++) {
        const char *at = i / 4 / CROWDS % 2 ? "at" : "";
        both b = both_new(i % 3 ? pm_ops_left() : pm_ops_unit()), kept;
        put_text(&b, at, "- a b bz z");
        put_crowd(&b, at, crowds[i / 4 % CROWDS].left);
        kept = both_clone(&b);
        graft_children(&b, at, cases[i % 4].bytes, texts, i / 8 / CROWDS);
        check_is(&b, at, i / 8 / CROWDS ? cases[i % 4].cleared : cases[i % 4].kept);
        check_both(&kept);
        both_drop(&b);
        both_drop(&kept);
    }
    both b = both_new(NULL);
    pm_map none[2] = {pm_new(NULL, NULL), pm_new(NULL, NULL)};
    pm_mask mask = pm_mask_of("abc", 3);
    pm_wz w;
    put_text(&b, "", "a b");
    CHECK_OK(pm_wz_open(&b.map, NULL, 0, &w));
    CHECK_EQ(pm_wz_graft_children(&w, &mask, none, 2, PM_CLEAR_OTHERS), PM_INVALID);
    (void)pm_wz_drop(&w);
    check_is(&b, "", "a b");
    both_drop(&b);
}

TEST(known_fault_11_dropping_bytes_of_a_focus_without_children) {
    static const size_t bytes[] = {1, 2, 1000, SIZE_MAX};
    static const char *const before[] = {"a=5 c", "a! c", "c", "a=5 ab c"};
    static const char *const after[] = {"a c", "a! c", "c", "a c"};
    for (unsigned i = 0; i < 4 * 4 * 2 * CROWDS; i++) {
        both b = both_new(pm_ops_left());
        bool left = true, has_value = i % 4 == 0 || i % 4 == 3;
        pm_wz w;
        put_text(&b, "", before[i % 4]);
        put_crowd(&b, "", crowds[i / 32].left);
        CHECK_OK(pm_wz_open(&b.map, NULL, 0, &w));
        (void)pm_rz_move_to(pm_wz_cursor(&w), "a", 1);
        CHECK_OK(i / 16 % 2 ? pm_wz_meet_k_path(&w, bytes[i / 4 % 4], PM_KEEP, &left)
                            : pm_wz_join_k_path(&w, bytes[i / 4 % 4], PM_KEEP, &left));
        CHECK_EQ(left, has_value);
        CHECK_OK(pm_wz_drop(&w));
        CHECK_OK(pm_check(&b.map, NULL));
        CHECK_STR_EQ(show(&b.map, "", false), after[i % 4]);
        if (has_value) CHECK_EQ(*pm_get(&b.map, "a", 1), 5);
        both_drop(&b);
    }
    pm_map empty = {0};
    pm_wz w;
    bool left = true;
    CHECK_OK(pm_wz_open(&empty, NULL, 0, &w));
    CHECK_OK(pm_wz_meet_k_path(&w, 3, PM_PRUNE, &left));
    CHECK(!left);
    CHECK_OK(pm_wz_drop(&w));
    CHECK(pm_is_empty(&empty));
}

enum { PRUNING_WRITES = 12 };

/* Empties what is below "ab" in {abcd, ..}, by a writer rooted there, in one of many ways, and prunes. */
static void prune_by(unsigned how, pm_map *m) {
    static const pm_mask nothing = {{0, 0, 0, 0}};
    const char *to = how == 3 || how >= 7 ? "c" : "cd";
    pm_map empty = {0}, self = pm_clone(m), taken = {0}, other = {0};
    pm_wz w, by;
    pm_rz r, same;
    CHECK_OK(pm_wz_open(m, "ab", 2, &w));
    CHECK_OK(pm_wz_open(&other, NULL, 0, &by));
    CHECK_OK(pm_rz_open(&empty, NULL, 0, &r));
    CHECK_OK(pm_rz_open(&self, "abcd", 2 + strlen(to), &same));
    (void)pm_rz_move_to(pm_wz_cursor(&w), to, strlen(to));
    switch (how) {
    case 0: CHECK_OK(pm_wz_remove(&w, PM_PRUNE, NULL)); break;
    case 1: CHECK_OK(pm_wz_remove(&w, PM_KEEP, NULL)), CHECK_OK(pm_wz_prune_path(&w, NULL)); break;
    case 2: CHECK_OK(pm_wz_remove(&w, PM_KEEP, NULL)), CHECK_OK(pm_wz_prune_ascend(&w, NULL)); break;
    case 3: CHECK_OK(pm_wz_remove_branches(&w, PM_PRUNE, NULL)); break;
    case 4: CHECK_OK(pm_wz_take(&w, PM_PRUNE, &taken, NULL)); break;
    case 5: CHECK_OK(pm_wz_meet(&w, &r, PM_PRUNE, NULL)); break;
    case 6: CHECK_OK(pm_wz_subtract(&w, &same, PM_PRUNE, NULL)); break;
    case 7: CHECK_OK(pm_wz_subtract(&w, &same, PM_PRUNE, NULL)); break;
    case 8: CHECK_OK(pm_wz_join_k_path(&w, 5, PM_PRUNE, NULL)); break;
    case 9: CHECK_OK(pm_wz_meet_k_path(&w, 5, PM_PRUNE, NULL)); break;
    case 10: CHECK_OK(pm_wz_remove_unmasked(&w, &nothing, PM_PRUNE)); break;
    default: CHECK_OK(pm_wz_join_take(&by, &w, PM_PRUNE, NULL)); break;
    }
    if (how == 2) CHECK(pm_rz_at_root(pm_wz_cursor(&w)));
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(pm_wz_drop(&by));
    pm_rz_drop(&r);
    pm_rz_drop(&same);
    pm_drop(&taken);
    pm_drop(&self);
    pm_drop(&other);
}

TEST(known_fault_12_pruning_goes_above_the_root_of_the_writer) {
    static const char *const before[] = {"abcd", "abcd ac", "abcd x", "a abcd abx", "ab abcd"};
    static const char *const after[] = {"ab!", "ab! ac", "ab! x", "a abx", "ab"};
    for (unsigned i = 0; i < PRUNING_WRITES * 5 * CROWDS; i++) {
        unsigned kind = i / PRUNING_WRITES % 5;
        pm_map m = pm_new(i % 2 ? pm_ops_left() : NULL, NULL);
        both b = {m, model_new()};
        put_text(&b, "", before[kind]);
        put_crowd(&b, "", crowds[i / PRUNING_WRITES / 5].left);
        prune_by(i % PRUNING_WRITES, &b.map);
        CHECK_OK(pm_check(&b.map, NULL));
        CHECK_NOTE(strcmp(show(&b.map, "", false), after[kind]) == 0, "%s, then way %u: %s", before[kind],
                   i % PRUNING_WRITES, show(&b.map, "", false));
        both_drop(&b);
    }
}

/* ---- 13 to 16 ---- */

TEST(known_fault_13_meet_of_locations_without_value_is_one_sided) {
    check_pair(MODEL_MEET, "a!", "a", "", "");
    check_pair(MODEL_MEET, "a!", "a!", "a!", "a!");
    check_pair(MODEL_MEET, "a!", "ab", "", "");
    check_pair(MODEL_MEET, "a! b", "a b!", "", "");
    check_pair(MODEL_MEET, "ab! b", "a! ab! b", "ab! b", "ab! b");
    check_pair(MODEL_MEET, "abc! abd", "abc abd!", "", "");
}

static void check_counts(const pm_map *m, unsigned levels, uint64_t want) {
    const uint64_t half = want == UINT64_MAX && levels > 64 ? UINT64_MAX : (uint64_t)1 << (levels - 1);
    uint64_t n = 0;
    pm_stats stats;
    pm_rz z;
    CHECK_OK(pm_val_count(m, &n));
    CHECK_EQ(n, want);
    CHECK_OK(pm_rz_open(m, "a", 1, &z));
    CHECK_OK(pm_rz_val_count(&z, &n));
    CHECK_EQ(n, half);
    pm_rz_drop(&z);
    CHECK_OK(pm_depth_count(m, levels + 1, &n));
    CHECK_EQ(n, want);
    CHECK_OK(pm_location_count(m, &n));
    CHECK_EQ(n, levels < 62 ? 3 * want - 1 : UINT64_MAX); /* 2^(levels + 1) - 1, and the last byte of each value */
    CHECK_OK(pm_get_stats(m, &stats));
    CHECK_EQ(stats.values, want);
}

TEST(known_fault_14_counts_wrap_around) {
    for (unsigned t = 0; t < 2; t++) {
        static const unsigned levels[] = {10, 40, 63, 64, 65, 80, 200};
        for (unsigned i = 0; i < sizeof levels / sizeof *levels; i++) {
            pm_map m = doubled(single(table(t), "z", 0), levels[i], "a", "b");
            check_counts(&m, levels[i], levels[i] < 64 ? (uint64_t)1 << levels[i] : UINT64_MAX);
            pm_drop(&m);
        }
    }
    pm_map m = doubled(single(NULL, "z", 0), 64, "a", "b"), r;
    uint64_t n = 0;
    CHECK_OK(pm_set(&m, NULL, 0, 1, NULL)); /* one more than the largest count */
    CHECK_OK(pm_val_count(&m, &n));
    CHECK_EQ(n, UINT64_MAX);
    CHECK_OK(pm_join(&m, &m, &r, NULL));
    CHECK_OK(pm_val_count(&r, &n));
    CHECK_EQ(n, UINT64_MAX);
    pm_drop(&r);
    pm_drop(&m);
}

TEST(known_fault_15_algebra_forgets_root_values) {
    static const char *const sides[] = {"", "-", "- a", "a", "b", "- b"};
    static const char *const joined[6][6] = {{"", "-", "- a", "a", "b", "- b"},
                                             {"-", "-", "- a", "- a", "- b", "- b"},
                                             {"- a", "- a", "- a", "- a", "- a b", "- a b"},
                                             {"a", "- a", "- a", "a", "a b", "- a b"},
                                             {"b", "- b", "- a b", "a b", "b", "- b"},
                                             {"- b", "- b", "- a b", "- a b", "- b", "- b"}};
    for (unsigned i = 0; i < 6 * 6 * TABLES; i++) {
        const char *left = sides[i % 6], *right = sides[i / 6 % 6], *want = joined[i % 6][i / 6 % 6];
        both a = both_new(table(i / 36)), b = both_new(table(i / 36));
        put_text(&a, "", left);
        put_text(&b, "", right);
        for (unsigned op = 0; op < 4; op++) {
            check_maps((model_op)op, &a, &b, op == MODEL_JOIN ? want : NULL);
            check_writers((model_op)op, &a, &b, op == MODEL_JOIN ? want : NULL);
        }
        if (*right == '-') check_maps(MODEL_RESTRICT, &a, &b, left);
        both_drop(&a);
        both_drop(&b);
    }
    check_pair(MODEL_MEET, "- a", "- b", "-", "-");
    check_pair(MODEL_SUBTRACT, "- a", "- b", "a", "b");
    check_pair(MODEL_SUBTRACT, "- a", "a", "-", "");
    check_values(pm_ops_sum(), MODEL_JOIN, "-=5", "-=3", "-=8");
    check_values(pm_ops_sum(), MODEL_MEET, "-=5", "-=3", "-=3");
    check_values(pm_ops_sum(), MODEL_SUBTRACT, "-=5", "-=3", "-=2");
    check_values(pm_ops_sum(), MODEL_RESTRICT, "-=5", "-=3", "-=5");
}

TEST(known_fault_16_restricting_by_a_source_that_does_not_exist) {
    static const struct {
        const char *focus, *source;
        bool done;
        const char *after;
    } cases[] = {{"f", "x", false, "f fa g"},
                 {"x", "s", false, "f fa g"},
                 {"x", "x", false, "f fa g"},
                 {"f", "sx", false, "f fa g"},
                 {"f", "s", true, "fa fb g"},
                 {"g", "t", true, "f fa g!"}};
    for (unsigned i = 0; i < 6 * CROWDS; i++) {
        both b = both_new(pm_ops_left()), src = both_new(pm_ops_left());
        bool done = !cases[i % 6].done;
        pm_wz w;
        pm_rz r;
        put_text(&b, "", "f fa g");
        put_text(&src, "", "sa sb t!");
        put_crowd(&b, "", crowds[i / 6].left);
        put_crowd(&src, "", crowds[i / 6].right);
        CHECK_OK(pm_wz_open(&b.map, NULL, 0, &w));
        (void)pm_rz_move_to(pm_wz_cursor(&w), cases[i % 6].focus, strlen(cases[i % 6].focus));
        CHECK_OK(pm_rz_open(&src.map, cases[i % 6].source, strlen(cases[i % 6].source), &r));
        CHECK_OK(pm_wz_restricting(&w, &r, &done));
        CHECK_EQ(done, cases[i % 6].done);
        CHECK_OK(pm_wz_drop(&w));
        pm_rz_drop(&r);
        CHECK_OK(pm_check(&b.map, NULL));
        CHECK_STR_EQ(show(&b.map, "", false), cases[i % 6].after);
        both_drop(&b);
        both_drop(&src);
    }
}

/* ---- 28, 29: debts of performance that can be counted ---- */

enum { COPIES = 2000 };

static size_t copy_key(uint8_t *key, char side, unsigned i) {
    return (size_t)sprintf((char *)key, "%c/%u/%u", side, i * 7919u % 97, i);
}

static uint64_t nodes_of(const pm_map *m) {
    pm_stats s;
    CHECK_OK(pm_get_stats(m, &s));
    return s.nodes;
}

/* The same keys below "x" and "y": here in order, there in disorder, with others that came and went. */
static pm_map two_copies(void) {
    pm_map m = {0};
    uint8_t key[32];
    for (unsigned i = 0; i < COPIES; i++) CHECK_OK(pm_set(&m, key, copy_key(key, 'x', i), i, NULL));
    for (unsigned i = 0; i < 3 * COPIES; i++) {
        size_t len = copy_key(key, 'y', i * 1237u % (3 * COPIES));
        CHECK_OK(pm_set(&m, key, len, i, NULL));
    }
    for (unsigned i = 0; i < 3 * COPIES; i++) {
        size_t len = copy_key(key, 'y', i);
        if (i >= COPIES) CHECK_OK(pm_remove(&m, key, len, PM_PRUNE, NULL));
        else CHECK_OK(pm_set(&m, key, len, i, NULL));
    }
    return m;
}

TEST(known_fault_28_merkleize_depends_on_nodes_and_never_ends) {
    pm_map m = two_copies(), before = pm_clone(&m);
    pm_hash128 x, y;
    pm_merkle_stats first, second;
    bool same = false;
    pm_ref side[2] = {pm_ref_of_map(&m, "x", 1), pm_ref_of_map(&m, "y", 1)};
    CHECK_OK(pm_hash_ref(&side[0], &x));
    CHECK_OK(pm_hash_ref(&side[1], &y));
    CHECK(x.lo == y.lo && x.hi == y.hi); /* of content, however it is cut into nodes */
    CHECK_OK(pm_merkleize(&m, &first));
    CHECK(first.replaced > 0);
    CHECK(nodes_of(&m) <= first.nodes / 2 + 2); /* one of the two copies is gone */
    CHECK_OK(pm_equal(&m, &before, &same));
    CHECK(same);
    CHECK_OK(pm_check(&m, NULL));
    uint64_t root = m.root;
    CHECK_OK(pm_merkleize(&m, &second)); /* a second run finds nothing to do, and says so */
    CHECK_EQ(second.replaced, 0);
    CHECK_EQ(second.copied, 0);
    CHECK_EQ(second.nodes, nodes_of(&m));
    CHECK(first.hash.lo == second.hash.lo && first.hash.hi == second.hash.hi);
    CHECK_EQ(m.root, root);
    pm_drop(&before);
    pm_drop(&m);
    m = doubled(single(NULL, "z", 0), 2000, "a", "b"); /* walks every shared node once */
    CHECK_OK(pm_merkleize(&m, &first));
    CHECK_EQ(first.nodes, nodes_of(&m));
    pm_drop(&m);
}

/* A table that counts how often values are retained: copying a node retains all of its values. */
static uint64_t retained;

static void count_retain(void *ctx, pm_val v) {
    (void)ctx;
    (void)v;
    retained++;
}

static void ignore_release(void *ctx, pm_val v) {
    (void)ctx;
    (void)v;
}

static pm_map dense(const pm_ops *ops, unsigned n, unsigned step) {
    pm_map m = pm_new(ops, NULL);
    for (unsigned i = 0; i < n; i += step) {
        uint8_t key = (uint8_t)i;
        CHECK_OK(pm_set(&m, &key, 1, i, NULL));
    }
    return m;
}

TEST(known_fault_29_a_dense_node_is_copied_to_find_that_it_stays) {
    static const pm_ops ops = {
        .name = "retains", .flags = PM_OPS_IDEMPOTENT, .retain = count_retain, .release = ignore_release};
    for (unsigned n = 40; n <= 250; n += 105) {
        pm_map whole = dense(&ops, n, 1), part = dense(&ops, n, 20), r;
        pm_alg alg;
        retained = 0;
        CHECK_OK(pm_join(&whole, &part, &r, &alg));
        CHECK_EQ(alg, PM_ALG_LEFT);
        CHECK_EQ(r.root, whole.root);
        pm_drop(&r);
        CHECK_OK(pm_join(&part, &whole, &r, &alg));
        CHECK_EQ(alg, PM_ALG_RIGHT);
        CHECK_EQ(r.root, whole.root);
        pm_drop(&r);
        CHECK_OK(pm_meet(&part, &whole, &r, &alg));
        CHECK_EQ(alg, PM_ALG_LEFT);
        CHECK_EQ(r.root, part.root);
        pm_drop(&r);
        CHECK_EQ(retained, 0);
        pm_drop(&whole);
        pm_drop(&part);
    }
}

static int sum_values(void *ctx, const pm_fold_at *here, void *out) {
    uint64_t n = here->val ? *here->val : 0;
    (void)ctx;
    for (unsigned i = 0; i < here->n; i++) n += ((uint64_t *)here->results)[i];
    *(uint64_t *)out = n;
    return PM_OK;
}

/* Whatever walks a trie, on a path a hundred times longer than the stack. */
static void *walk_deep(void *unused) {
    enum { LONG = 6 << 20 };
    const pm_fold fold = {.size = sizeof(uint64_t), .flags = PM_FOLD_JUMPING | PM_FOLD_CACHED, .at = sum_values};
    uint8_t *key = malloc(LONG);
    pm_map a = pm_new(pm_ops_sum(), NULL), b = pm_new(pm_ops_sum(), NULL), r;
    pm_hash128 hash;
    uint64_t n = 0;
    bool left = false;
    pm_wz w;
    (void)unused;
    CHECK(key != NULL);
    memset(key, 'a', LONG);
    CHECK_OK(pm_set(&a, key, LONG, 5, NULL));
    CHECK_OK(pm_set(&b, key, LONG, 3, NULL));
    for (size_t at = LONG / 8; at < LONG; at += LONG / 8) { /* forks on the way */
        key[at] = 'b';
        CHECK_OK(pm_set(at % 2 ? &a : &b, key, at + 1, 1, NULL));
        key[at] = 'a';
    }
    for (unsigned op = 0; op < 4; op++) {
        CHECK_OK(operations[op](&a, &b, &r, NULL));
        CHECK_OK(pm_val_count(&r, &n));
        CHECK(n > 0);
        pm_drop(&r);
    }
    CHECK_OK(pm_symmetric_difference(&a, &b, &r, NULL));
    CHECK_OK(pm_fold_map(&r, &fold, &n));
    CHECK_OK(pm_hash(&r, &hash));
    CHECK_OK(pm_merkleize(&r, NULL));
    CHECK_OK(pm_check(&r, NULL));
    CHECK_OK(pm_wz_open(&r, NULL, 0, &w));
    CHECK_OK(pm_wz_join_k_path(&w, LONG / 2, PM_KEEP, &left));
    CHECK(left);
    CHECK_OK(pm_wz_drop(&w));
    pm_drop(&r);
    pm_drop(&a);
    pm_drop(&b);
    free(key);
    return NULL;
}

TEST(known_fault_29_walks_recurse_by_the_length_of_a_path) {
    run_on_small_stack(walk_deep, NULL);
    CHECK(!check_failed());
}

/* ---- 35: what does not exist, grafted while unfolding; results that cannot be made from nothing ---- */

typedef struct stem {
    const pm_map *graft;
    unsigned results; /* made and not dropped */
} stem;

static int grow_stem(void *ctx, void *seed, pm_sprout *here, const uint8_t *path, size_t len) {
    stem *s = ctx;
    (void)seed;
    (void)path;
    if (len) return PM_INVALID; /* what is grafted is not asked for */
    pm_status status = pm_sprout_graft(here, "a", 1, s->graft);
    return status ? status : pm_sprout_graft(here, "bc", 2, s->graft);
}

/* Results are addresses of memory, of which there is none but what a callback made. */
static int make_result(void *ctx, const pm_fold_at *here, void *out) {
    stem *s = ctx;
    unsigned char *p = malloc(2);
    CHECK(p != NULL);
    p[0] = here->val ? 1 : 0;
    for (unsigned i = 0; i < here->n; i++) p[0] = (unsigned char)(p[0] + **((unsigned char **)here->results + i));
    s->results++;
    memcpy(out, &p, sizeof p);
    return PM_OK;
}

static void drop_result(void *ctx, void *result) {
    stem *s = ctx;
    s->results--;
    free(*(void **)result);
}

TEST(known_fault_35_unfolding_with_a_source_that_does_not_exist) {
    static const char *const sources[] = {"", "-", "- x", "xy!"};
    static const char *const wants[] = {"a! bc!", "a bc", "a ax bc bcx", "axy! bcxy!"};
    static const unsigned values[] = {0, 2, 4, 0};
    for (unsigned i = 0; i < 4; i++) {
        both src = both_new(NULL), grown = {{0}, NULL};
        put_text(&src, "p", sources[i]);
        pm_map below;
        bool exists = true;
        CHECK_OK(pm_subtrie(&src.map, "p", 1, &below, &exists));
        CHECK_EQ(exists, i != 0);
        stem s = {&below, 0};
        const pm_unfold u = {.ctx = &s, .at = grow_stem};
        const pm_fold f = {.size = sizeof(void *), .ctx = &s, .at = make_result, .drop = drop_result};
        unsigned char *total = NULL;
        CHECK_OK(pm_unfold_map(&u, NULL, NULL, NULL, &grown.map));
        CHECK_OK(pm_check(&grown.map, NULL));
        CHECK_STR_EQ(show(&grown.map, "", false), wants[i]);
        CHECK_OK(pm_fold_map(&grown.map, &f, &total));
        CHECK_EQ(*total, values[i]);
        drop_result(&s, &total);
        CHECK_OK(pm_hylo(&u, NULL, &f, &total));
        CHECK_EQ(*total, values[i]);
        drop_result(&s, &total);
        CHECK_EQ(s.results, 0);
        pm_drop(&below);
        pm_drop(&grown.map);
        both_drop(&src);
    }
}
