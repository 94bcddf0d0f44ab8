/* Typed maps, values of any size, and maps as values. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "small_stack.h"

#include "library.h"

#define K(s) (s), sizeof(s) - 1

/* ---- a struct that owns something ---------------------------------------------------------------------------- */

typedef struct person {
    char *name;
    int age;
} person;

static int persons; /* alive */

static uint64_t blocks_held(void) {
    pm_pool_trim(NULL);
    return check_live_blocks();
}

static char *copy_of(const char *s) {
    char *c = malloc(strlen(s) + 1);
    if (!c) abort();
    return strcpy(c, s);
}

static person person_of(const char *name, int age) {
    person p = {copy_of(name), age};
    persons++;
    return p;
}

static void person_drop(person *p) {
    free(p->name);
    p->name = NULL;
    persons--;
}

static bool person_equal(const person *a, const person *b) { return a->age == b->age && strcmp(a->name, b->name) == 0; }

static uint64_t person_hash(const person *p) {
    uint64_t h = (uint64_t)p->age;
    for (const char *c = p->name; *c; c++) h = h * 31 + (unsigned char)*c;
    return h;
}

/* The older one stays. */
static bool person_join(const person *a, const person *b, person *out) {
    if (b->age <= a->age) return false;
    *out = person_of(b->name, b->age);
    return true;
}

PM_DEFINE_BLOB_OPS(person_ops, person, person_drop, person_equal, person_hash, person_join)
PM_DEFINE_BLOB_MAP(people, person, person_ops())

typedef struct triple {
    uint64_t x[3];
} triple;
PM_DEFINE_BLOB_MAP(triples, triple, pm_ops_bytes())
PM_DEFINE_TEXT_MAP(texts)
PM_DEFINE_MAP(counts, int, NULL)

static void put(people *m, const char *key, const char *name, int age) {
    person p = person_of(name, age);
    CHECK_OK(people_set(m, key, strlen(key), &p));
}

static int age_at(const people *m, const char *key) {
    const person *p = people_get(m, key, strlen(key));
    return p ? p->age : -1;
}

/* Sets *now to one year older; a child leaves. */
static bool ages(void *ctx, const person *was, person *now) {
    if (!was) return false;
    *now = person_of(was->name, was->age + *(const int *)ctx);
    if (now->age >= 18) return true;
    person_drop(now);
    return false;
}

static bool equal_maps(const pm_map *a, const pm_map *b) {
    bool same = false;
    CHECK_OK(pm_equal(a, b, &same));
    return same;
}

/* ---- words and text ------------------------------------------------------------------------------------------- */

static bool count_to_three(void *ctx, const int *was, int *now) {
    (void)ctx;
    CHECK(was ? *now == *was : *now == 0);
    *now += 1;
    return *now <= 3;
}

TEST(typed_words_are_updated_and_iterated) {
    uint64_t blocks = blocks_held();
    counts m = counts_new();
    int v = 0;
    bool changed = false;
    CHECK_OK(counts_get_or_set(&m, K("b"), 7, &v, &changed));
    CHECK(changed && v == 7);
    CHECK_OK(counts_get_or_set(&m, K("b"), 8, &v, &changed));
    CHECK(!changed && v == 7);
    CHECK_OK(counts_get_or_set(&m, K("c"), -1, NULL, NULL));
    for (int i = 1; i <= 3; i++) {
        CHECK_OK(counts_update(&m, K("a"), count_to_three, NULL));
        CHECK(counts_get(&m, K("a"), &v) && v == i);
    }
    pm_iter i = counts_iter(&m);
    CHECK(pm_iter_next(&i) && counts_iter_val(&i) == 3);
    CHECK(pm_iter_next(&i) && counts_iter_val(&i) == 7);
    CHECK(pm_iter_next(&i) && counts_iter_val(&i) == -1);
    CHECK(!pm_iter_next(&i));
    CHECK_OK(counts_update(&m, K("a"), count_to_three, NULL));
    CHECK(!counts_get(&m, K("a"), &v));
    CHECK_EQ(counts_update(&m, K("a"), NULL, NULL), PM_INVALID);
    counts_drop(&m);
    CHECK_EQ(blocks_held(), blocks);
}

static const char *twice(void *ctx, const char *was) {
    char *buffer = ctx;
    if (!was) return "x";
    size_t n = strlen(was);
    if (n > 3) return NULL;
    memcpy(buffer, was, n), memcpy(buffer + n, was, n + 1);
    return buffer;
}

TEST(typed_text_is_copied_in) {
    uint64_t blocks = blocks_held();
    texts m = texts_new();
    char word[16] = "hello", buffer[16];
    const char *out = NULL;
    CHECK_OK(texts_set(&m, K("k"), word));
    word[0] = 'j';
    CHECK_STR_EQ(texts_get(&m, K("k")), "hello");
    CHECK(!texts_get(&m, K("l")));
    texts old = texts_clone(&m);
    CHECK_OK(texts_set(&m, K("k"), word));
    CHECK_STR_EQ(texts_get(&old, K("k")), "hello");
    CHECK_OK(texts_get_or_set(&m, K("k"), "other", &out));
    CHECK_STR_EQ(out, "jello");
    CHECK_OK(texts_get_or_set(&m, K(""), "", &out));
    CHECK_STR_EQ(out, "");
    CHECK_EQ(texts_set(&m, K("k"), NULL), PM_INVALID);
    const char *stages[] = {"x", "xx", "xxxx", NULL};
    for (int i = 0; i < 4; i++) {
        CHECK_OK(texts_update(&m, K("u"), twice, buffer));
        if (stages[i]) CHECK_STR_EQ(texts_get(&m, K("u")), stages[i]);
        else CHECK(!texts_get(&m, K("u")));
    }
    pm_iter i = texts_iter(&m);
    CHECK(pm_iter_prev(&i));
    CHECK_STR_EQ(texts_iter_val(&i), "jello");
    pm_iter_drop(&i);
    CHECK_OK(texts_remove(&m, K("k")));
    texts_drop(&m);
    texts_drop(&old);
    CHECK_EQ(blocks_held(), blocks);
}

/* ---- strings by content ---------------------------------------------------------------------------------------- */

static pm_merge_pick no_conflict(void *ctx, const pm_merge_conflict *c, pm_val *val) {
    (void)c, (void)val;
    ++*(int *)ctx;
    return PM_PICK_OURS;
}

static bool count_change(void *ctx, const pm_change *c) {
    (void)c;
    ++*(int *)ctx;
    return true;
}

TEST(typed_text_compares_by_content_everywhere) {
    texts a = texts_new(), b = texts_new(), base = texts_new();
    pm_map out = {0};
    pm_alg alg = PM_ALG_NONE;
    char key[8], text[24];
    int calls = 0;
    for (int i = 0; i < 200; i++) { /* every seventh differs; all are blocks of their own */
        size_t n = (size_t)snprintf(key, sizeof key, "%d", i * 37 % 1000);
        snprintf(text, sizeof text, "text %d", i);
        CHECK_OK(texts_set(&a, key, n, text));
        CHECK_OK(texts_set(&base, key, n, text));
        if (i % 7 == 0) text[0] = 'T';
        CHECK_OK(texts_set(&b, key, n, text));
    }
    CHECK(equal_maps(&a.map, &base.map));
    CHECK(!equal_maps(&a.map, &b.map));
    CHECK_OK(pm_diff(&a.map, &b.map, count_change, &calls));
    CHECK_EQ(calls, 29);
    uint64_t count = 0;
    CHECK_OK(pm_subtract(&a.map, &b.map, &out, &alg)); /* what is not the same in b */
    CHECK_OK(pm_val_count(&out, &count));
    CHECK_EQ(count, 29);
    CHECK_STR_EQ((const char *)pm_bytes_get(*pm_get(&out, K("0")), NULL), "text 0");
    pm_drop(&out);
    CHECK_OK(pm_subtract(&a.map, &base.map, &out, &alg));
    CHECK(pm_is_empty(&out) && alg == PM_ALG_NONE);
    pm_drop(&out);
    CHECK_OK(pm_meet(&a.map, &base.map, &out, &alg));
    CHECK_EQ(alg, PM_ALG_BOTH);
    pm_drop(&out);
    CHECK_OK(pm_join(&a.map, &b.map, &out, &alg));
    CHECK_EQ(alg, PM_ALG_LEFT);
    pm_drop(&out);
    CHECK_OK(pm_symmetric_difference(&a.map, &b.map, &out, NULL));
    CHECK_OK(pm_val_count(&out, &count));
    CHECK_EQ(count, 29);
    pm_drop(&out);
    calls = 0;
    CHECK_OK(pm_merge3(&base.map, &a.map, &b.map, no_conflict, &calls, &out, NULL)); /* ours only made equal copies */
    CHECK_EQ(calls, 0);
    CHECK(equal_maps(&out, &b.map));
    pm_drop(&out);
    texts_drop(&a);
    texts_drop(&b);
    texts_drop(&base);
}

/* Also in place, with a small and with a large right side. */
TEST(typed_text_is_subtracted_in_place_by_content) {
    for (int small = 0; small < 2; small++) {
        texts a = texts_new(), b = texts_new();
        pm_map want = {0};
        pm_wz w;
        for (int i = 0; i < 900; i++) {
            char key[8], text[24];
            size_t n = (size_t)snprintf(key, sizeof key, "%d", i * 37 % 1000);
            snprintf(text, sizeof text, "%d", i);
            CHECK_OK(texts_set(&a, key, n, text));
            if (small && i % 100) continue;
            CHECK_OK(texts_set(&b, key, n, i % 2 ? text : "other"));
        }
        CHECK_OK(pm_subtract(&a.map, &b.map, &want, NULL));
        CHECK_OK(pm_wz_open(&a.map, NULL, 0, &w));
        pm_rz z;
        CHECK_OK(pm_rz_open(&b.map, NULL, 0, &z));
        CHECK_OK(pm_wz_subtract(&w, &z, PM_KEEP, NULL));
        pm_rz_drop(&z);
        CHECK_OK(pm_wz_drop(&w));
        CHECK(equal_maps(&a.map, &want));
        pm_drop(&want);
        texts_drop(&a);
        texts_drop(&b);
    }
}

/* ---- blobs ----------------------------------------------------------------------------------------------------- */

TEST(typed_blobs_are_copied_in_and_aligned) {
    triples m = triples_new();
    const triple *out = NULL;
    bool changed = false;
    for (uint64_t i = 0; i < 300; i++) {
        triple t = {{i, i + 1, i + 2}};
        CHECK_OK(triples_set(&m, &i, sizeof i, &t));
        t.x[0] = 999;
        CHECK_OK(triples_get_or_set(&m, &i, sizeof i, &t, &out, &changed));
        CHECK(!changed && out->x[0] == i && out->x[2] == i + 2);
        CHECK_EQ((uintptr_t)out % _Alignof(triple), 0);
    }
    triple t = {{1, 2, 3}};
    CHECK_OK(triples_get_or_set(&m, K("new"), &t, &out, &changed));
    CHECK(changed && out->x[1] == 2);
    CHECK_EQ(triples_set(&m, K("new"), NULL), PM_INVALID);
    triples_drop(&m);
}

TEST(typed_blobs_drop_what_they_own) {
    uint64_t blocks = blocks_held();
    int years = 1;
    people m = people_new();
    put(&m, "ann", "Ann", 30);
    put(&m, "bob", "Bob", 16);
    people old = people_clone(&m);
    CHECK_EQ(persons, 2);
    put(&m, "ann", "Anne", 31);
    CHECK_EQ(persons, 3);
    CHECK_OK(people_update(&m, K("ann"), ages, &years));
    CHECK_EQ(persons, 3);
    CHECK_OK(people_update(&m, K("bob"), ages, &years)); /* a child: leaves */
    CHECK_OK(people_update(&m, K("eve"), ages, &years)); /* none: stays away */
    CHECK_EQ(age_at(&m, "ann"), 32);
    CHECK_EQ(age_at(&m, "bob"), -1);
    CHECK_EQ(age_at(&old, "ann"), 30);
    int sum = 0;
    for (pm_iter i = people_iter(&old); pm_iter_next(&i);) sum += people_iter_val(&i)->age;
    CHECK_EQ(sum, 46);
    people_drop(&old);
    CHECK_EQ(persons, 1);
    CHECK_OK(people_remove(&m, K("ann")));
    CHECK_EQ(persons, 0);
    people_drop(&m);
    CHECK_EQ(blocks_held(), blocks);
}

/* Two maps of 60 people; every third is older in the second. */
static void two_maps(people *a, people *b) {
    *a = people_new(), *b = people_new();
    for (int i = 0; i < 60; i++) {
        char key[8];
        snprintf(key, sizeof key, "%d", i * 7);
        put(a, key, key, 20 + i);
        put(b, key, key, 20 + i + (i % 3 == 0));
    }
}

TEST(typed_blobs_combine_by_their_own_functions) {
    people a, b, other, same;
    pm_map out = {0};
    uint64_t count = 0;
    pm_hash128 x, y;
    two_maps(&a, &b);
    two_maps(&other, &same);
    CHECK(equal_maps(&b.map, &same.map) && !equal_maps(&a.map, &same.map));
    CHECK_OK(pm_hash(&b.map, &x));
    CHECK_OK(pm_hash(&same.map, &y));
    CHECK(x.lo == y.lo && x.hi == y.hi);
    CHECK_OK(pm_join(&a.map, &b.map, &out, NULL));
    CHECK(equal_maps(&out, &b.map));
    pm_drop(&out);
    CHECK_OK(pm_subtract(&b.map, &a.map, &out, NULL));
    CHECK_OK(pm_val_count(&out, &count));
    CHECK_EQ(count, 20);
    pm_drop(&out);
    people_drop(&a);
    people_drop(&b);
    people_drop(&other);
    people_drop(&same);
}

/* ---- lack of memory -------------------------------------------------------------------------------------------- */

/* Runs one call with ever more memory, until it has enough. Nothing may change or be lost before. */
static void sweep(pm_status (*run)(people *a, people *b)) {
    for (uint64_t n = 1;; n++) {
        uint64_t blocks = blocks_held();
        int alive = persons;
        people a, b;
        two_maps(&a, &b);
        people before = people_clone(&a);
        int made = persons;
        check_fail_allocs_from(n);
        pm_status s = run(&a, &b);
        uint64_t fails = check_alloc_fails();
        check_fail_alloc(0);
        if (s != PM_OK) {
            CHECK_EQ(s, PM_NOMEM);
            CHECK_EQ(persons, made);
            CHECK(equal_maps(&a.map, &before.map));
        }
        people_drop(&a);
        people_drop(&b);
        people_drop(&before);
        CHECK_EQ(persons, alive);
        CHECK_EQ(blocks_held(), blocks);
        if (!fails) break;
        CHECK_NE(s, PM_OK);
    }
}

static pm_status run_set(people *a, people *b) {
    person p = person_of("new", 1);
    pm_status s = people_set(a, K("a new key that is long enough"), &p);
    (void)b;
    if (s != PM_OK) person_drop(&p);
    return s;
}

static pm_status run_update(people *a, people *b) {
    int years = 5;
    (void)b;
    return people_update(a, K("7"), ages, &years);
}

static pm_status run_join(people *a, people *b) {
    pm_map out = {0};
    pm_status s = pm_join(&a->map, &b->map, &out, NULL);
    if (s == PM_OK) CHECK(equal_maps(&out, &b->map));
    pm_drop(&out);
    return s;
}

TEST(typed_blobs_survive_lack_of_memory) {
    pm_status (*runs[])(people *, people *) = {run_set, run_update, run_join};
    for (size_t i = 0; i < sizeof runs / sizeof *runs; i++) sweep(runs[i]);
}

/* ---- maps as values -------------------------------------------------------------------------------------------- */

/* The naive twin: documents by name, each absent or with some fields. */
enum { DOCS = 6, FIELDS = 5 };
typedef struct twin {
    bool there[DOCS];
    uint8_t field[DOCS][FIELDS]; /* 0: none */
} twin;

static bool twin_is_blank(const uint8_t *fields) {
    for (int f = 0; f < FIELDS; f++)
        if (fields[f]) return false;
    return true;
}

static const char *const doc_names[DOCS] = {"", "a", "ab", "abc/long enough to be in a line of its own", "b", "x"};
static const char *const field_names[FIELDS] = {"", "f", "fa", "fab", "z"};

/* The map that a twin tells of, all in new boxes. */
static pm_map nest(const twin *t) {
    pm_map m = pm_new(pm_ops_map(), NULL);
    for (int d = 0; d < DOCS; d++) {
        pm_map doc = pm_new(pm_ops_lattice(), NULL);
        for (int f = 0; f < FIELDS; f++)
            if (t->field[d][f]) CHECK_OK(pm_set(&doc, field_names[f], strlen(field_names[f]), t->field[d][f], NULL));
        if (t->there[d]) CHECK_OK(pm_nested_set(&m, doc_names[d], strlen(doc_names[d]), &doc));
        else pm_drop(&doc);
    }
    return m;
}

static twin random_twin(const twin *like) {
    twin t = *like;
    for (int d = 0; d < DOCS; d++) {
        if (check_below(3) == 0) t.there[d] = check_below(4) != 0;
        for (int f = 0; f < FIELDS; f++)
            if (!t.there[d] || check_below(4) == 0) t.field[d][f] = (uint8_t)(t.there[d] ? check_below(4) : 0);
    }
    return t;
}

/* What the fields of two documents come to, by the rules of a lattice. */
static uint8_t twin_field(char op, uint8_t a, uint8_t b) {
    if (op == '|') return a > b ? a : b;
    if (op == '&') return a < b ? a : b;
    return a == b ? 0 : a;
}

static twin twin_combine(char op, const twin *a, const twin *b) {
    twin t;
    memset(&t, 0, sizeof t);
    for (int d = 0; d < DOCS; d++) {
        const bool both = a->there[d] && b->there[d];
        for (int f = 0; f < FIELDS; f++) t.field[d][f] = twin_field(op, a->field[d][f], b->field[d][f]);
        t.there[d] = op == '|' ? a->there[d] || b->there[d] : op == '&' ? both : a->there[d];
        bool blanks = twin_is_blank(a->field[d]) && twin_is_blank(b->field[d]) && op != '-';
        if (both && twin_is_blank(t.field[d]) && !blanks) t.there[d] = false;
        if (!t.there[d]) memset(t.field[d], 0, FIELDS);
    }
    return t;
}

static void is_twin(const pm_map *m, const twin *t) {
    pm_map want = nest(t);
    pm_hash128 x, y;
    CHECK(equal_maps(m, &want));
    CHECK_OK(pm_hash(m, &x));
    CHECK_OK(pm_hash(&want, &y));
    CHECK(x.lo == y.lo && x.hi == y.hi);
    for (int d = 0; d < DOCS; d++) {
        const pm_map *doc = pm_nested_get(m, doc_names[d], strlen(doc_names[d]));
        CHECK_EQ(doc != NULL, t->there[d]);
        for (int f = 0; doc && f < FIELDS; f++) {
            const pm_val *v = pm_get(doc, field_names[f], strlen(field_names[f]));
            CHECK_EQ(v ? *v : 0, t->field[d][f]);
        }
    }
    pm_drop(&want);
}

static bool twins_differ(const twin *a, const twin *b, int d) {
    return a->there[d] != b->there[d] || memcmp(a->field[d], b->field[d], FIELDS) != 0;
}

static void twins_combine(const pm_map *m, const pm_map *n, const twin *t, const twin *u) {
    pm_status (*calls[])(const pm_map *, const pm_map *, pm_map *, pm_alg *) = {pm_join, pm_meet, pm_subtract};
    for (int i = 0; i < 3; i++) {
        pm_map out = {0};
        pm_alg alg = PM_ALG_NONE;
        twin want = twin_combine("|&-"[i], t, u), none;
        memset(&none, 0, sizeof none);
        CHECK_OK(calls[i](m, n, &out, &alg));
        is_twin(&out, &want);
        unsigned same = (memcmp(&want, t, sizeof want) ? 0 : 1u) | (memcmp(&want, u, sizeof want) ? 0 : 2u);
        if (!memcmp(&want, &none, sizeof want)) CHECK_EQ(alg, PM_ALG_NONE);
        else CHECK_EQ(alg, same ? same : PM_ALG_ELEMENT);
        pm_drop(&out);
    }
}

TEST(nested_maps_do_what_their_twins_do) {
    uint64_t blocks = blocks_held();
    for (int round = 0; round < 400; round++) {
        twin blank, t, u;
        memset(&blank, 0, sizeof blank);
        t = random_twin(&blank);
        u = random_twin(&t);
        pm_map m = nest(&t), n = nest(&u), patched = pm_clone(&m);
        pm_patch p = {0};
        size_t changes = 0;
        is_twin(&m, &t);
        twins_combine(&m, &n, &t, &u);
        for (int d = 0; d < DOCS; d++) changes += twins_differ(&t, &u, d);
        CHECK_OK(pm_patch_make(&m, &n, &p));
        CHECK_EQ(pm_patch_count(&p), changes);
        CHECK_OK(pm_patch_apply(&p, &patched));
        is_twin(&patched, &u);
        pm_patch_drop(&p);
        pm_drop(&m);
        pm_drop(&n);
        pm_drop(&patched);
    }
    CHECK_EQ(blocks_held(), blocks);
}

/* Writes one field of one document in a clone; the map it came from does not notice. */
TEST(nested_maps_are_copied_when_written) {
    uint64_t blocks = blocks_held();
    twin blank, t, u;
    memset(&blank, 0, sizeof blank);
    t = random_twin(&blank);
    pm_map m = nest(&t), old = pm_new(pm_ops_map(), NULL);
    for (int round = 0; round < 500; round++) {
        int d = (int)check_below(DOCS), f = (int)check_below(FIELDS);
        if (check_below(4) == 0) {
            pm_drop(&old);
            old = pm_clone(&m);
            u = t;
        }
        pm_map *doc = NULL, fresh = pm_new(pm_ops_lattice(), NULL);
        uint8_t v = (uint8_t)(1 + check_below(9));
        CHECK_OK(pm_nested_mut(&m, doc_names[d], strlen(doc_names[d]), &doc));
        CHECK_EQ(doc != NULL, t.there[d]);
        CHECK_OK(pm_set(doc ? doc : &fresh, field_names[f], strlen(field_names[f]), v, NULL));
        if (!doc) CHECK_OK(pm_nested_set(&m, doc_names[d], strlen(doc_names[d]), &fresh));
        CHECK(pm_is_empty(&fresh));
        t.there[d] = true, t.field[d][f] = v;
        is_twin(&m, &t);
        if (!pm_is_empty(&old)) is_twin(&old, &u);
    }
    pm_drop(&m);
    pm_drop(&old);
    CHECK_EQ(blocks_held(), blocks);
}

/* `levels` maps, each the only value of the next. */
static pm_map tower(unsigned levels, pm_val top) {
    pm_map m = pm_new(pm_ops_left(), NULL);
    CHECK_OK(pm_set(&m, K("leaf"), top, NULL));
    while (levels--) {
        pm_map up = pm_new(pm_ops_map(), NULL);
        CHECK_OK(pm_nested_set(&up, K("down"), &m));
        m = up;
    }
    return m;
}

/* Drops do not recurse. */
static void *drop_deep(void *unused) {
    pm_map deep = tower(20000, 1), copy = pm_clone(&deep);
    pm_drop(&deep);
    pm_drop(&copy);
    return unused;
}

TEST(nested_maps_go_as_deep_as_they_may) {
    uint64_t blocks = blocks_held();
    for (unsigned levels = PM_NESTED_MAX - 1; levels <= PM_NESTED_MAX + 1; levels++) {
        pm_map a = tower(levels, 1), b = tower(levels, 2), c = tower(levels, 1), out = {0};
        pm_status want = levels > PM_NESTED_MAX ? PM_INVALID : PM_OK;
        bool same = true;
        pm_hash128 h;
        pm_alg alg = PM_ALG_NONE;
        CHECK_EQ(pm_equal(&a, &b, &same), want);
        if (want == PM_OK) CHECK(!same && equal_maps(&a, &c));
        CHECK_EQ(pm_hash(&a, &h), want);
        CHECK_EQ(pm_join(&a, &b, &out, &alg), want);
        if (want == PM_OK) CHECK_EQ(alg, PM_ALG_LEFT);
        pm_drop(&out);
        pm_drop(&a);
        pm_drop(&b);
        pm_drop(&c);
    }
    run_on_small_stack(drop_deep, NULL);
    CHECK_EQ(blocks_held(), blocks);
}

TEST(nested_maps_refuse_what_they_cannot_hold) {
    pm_map m = pm_new(pm_ops_map(), NULL), sums = pm_new(pm_ops_sum(), NULL), words = {0}, other = {0}, *out = NULL;
    pm_map n = pm_new(pm_ops_map(), NULL), units = pm_new(pm_ops_unit(), NULL), made = {0};
    pm_val v = 0;
    bool same = true;
    CHECK_OK(pm_set(&sums, K("s"), 1, NULL));
    CHECK_EQ(pm_nested_new(&sums, &v), PM_MISMATCH);
    CHECK_EQ(pm_nested_set(&m, K("s"), &sums), PM_MISMATCH);
    CHECK_EQ(pm_nested_set(&words, K("s"), &other), PM_MISMATCH);
    CHECK_EQ(pm_nested_mut(&words, K("s"), &out), PM_MISMATCH);
    CHECK(!pm_nested_get(&words, K("s")) && !pm_nested_get(NULL, K("s")));
    CHECK_EQ(pm_nested_set(&m, K("s"), &m), PM_INVALID);
    CHECK_EQ(*pm_get(&sums, K("s")), 1);
    CHECK_OK(pm_nested_set(&m, K("s"), &words)); /* other tables: not equal, and they do not combine */
    CHECK_OK(pm_nested_set(&n, K("s"), &units));
    CHECK_OK(pm_equal(&m, &n, &same));
    CHECK(!same);
    CHECK_EQ(pm_join(&m, &n, &made, NULL), PM_MISMATCH);
    pm_wz w;
    pm_rz z;
    CHECK_OK(pm_wz_open(&m, NULL, 0, &w)); /* in place too */
    CHECK_OK(pm_rz_open(&n, NULL, 0, &z));
    CHECK_EQ(pm_wz_join(&w, &z, NULL), PM_MISMATCH);
    pm_rz_drop(&z);
    (void)pm_wz_drop(&w);
    pm_drop(&m);
    pm_drop(&n);
    pm_drop(&sums);
}

/* Values outlive the map that carried them; a view combines nested maps as algebra does. */
TEST(nested_maps_are_seen_by_views_and_kept_by_references) {
    uint64_t blocks = blocks_held();
    twin t, u, blank, want;
    memset(&blank, 0, sizeof blank);
    t = random_twin(&blank);
    t.there[1] = true, t.field[1][1] = 3;
    u = random_twin(&t);
    u.there[1] = true, u.field[1][1] = 2;
    pm_map m = nest(&t), n = nest(&u), made = {0};
    pm_rz a, b, meet;
    CHECK_OK(pm_rz_open(&m, NULL, 0, &a));
    CHECK_OK(pm_rz_open(&n, NULL, 0, &b));
    CHECK_OK(pm_view_meet(&a, &b, &meet));
    CHECK_OK(pm_rz_make_map(&meet, &made));
    want = twin_combine('&', &t, &u);
    is_twin(&made, &want);
    pm_rz_drop(&meet);
    pm_rz_drop(&a);
    pm_rz_drop(&b);
    pm_val v = pm_nested_retain(*pm_get(&m, K("a")));
    pm_drop(&made);
    pm_drop(&m);
    pm_drop(&n);
    CHECK_EQ(*pm_get(pm_nested_map(v), K("f")), 3);
    pm_nested_release(v);
    CHECK_EQ(blocks_held(), blocks);
}

/* ---- maps as values, without memory ------------------------------------------------------------------------------ */

static bool ignore_change(void *ctx, const pm_change *c) {
    (void)ctx, (void)c;
    return true;
}

static pm_status nested_call(unsigned which, pm_map *m, pm_map *n, pm_map *out) {
    bool same;
    pm_hash128 h;
    pm_map *doc = NULL;
    switch (which) {
    case 0: return pm_join(m, n, out, NULL);
    case 1: return pm_meet(m, n, out, NULL);
    case 2: return pm_subtract(m, n, out, NULL);
    case 3: return pm_symmetric_difference(m, n, out, NULL);
    case 4: return pm_equal(m, n, &same);
    case 5: return pm_hash(m, &h);
    case 6: return pm_diff(m, n, ignore_change, NULL);
    case 7: return pm_nested_mut(m, K("a"), &doc);
    case 8: return pm_nested_set(m, K("another key"), n);
    default: return pm_merge3(out, m, n, no_conflict, &(int){0}, out, NULL);
    }
}

TEST(nested_maps_survive_lack_of_memory) {
    uint64_t failed = 0;
    for (unsigned which = 0; which < 10; which++) {
        for (uint64_t n = 1;; n++) {
            uint64_t blocks = blocks_held();
            twin blank, t, u;
            memset(&blank, 0, sizeof blank);
            t = random_twin(&blank), u = random_twin(&t);
            t.there[1] = u.there[1] = true, t.field[1][1] = 3, u.field[1][2] = 2;
            pm_map a = nest(&t), b = nest(&u), held = pm_clone(&a), out = pm_new(pm_ops_map(), NULL);
            check_fail_allocs_from(n);
            pm_status s = nested_call(which, &a, &b, &out);
            uint64_t fails = check_alloc_fails();
            check_fail_alloc(0);
            failed += fails;
            if (s != PM_OK) {
                CHECK_EQ(s, PM_NOMEM);
                is_twin(&a, &t);
                is_twin(&b, &u);
            }
            is_twin(&held, &t);
            pm_drop(&a);
            pm_drop(&b);
            pm_drop(&held);
            pm_drop(&out);
            CHECK_EQ(blocks_held(), blocks);
            if (!fails) break;
        }
    }
    CHECK(failed > 10);
}

/* ---- hooks that fail ---- */

static unsigned hooks_left; /* calls of a hook until one fails; 0: none does */

static void count_hook(void) {
    if (hooks_left && --hooks_left == 0) pm_hook_fail(PM_IO);
}

static pm_alg failing_join(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    count_hook();
    *out = a > b ? a : b;
    return PM_ALG_ELEMENT;
}

static uint64_t failing_hash(void *ctx, pm_val v) {
    (void)ctx;
    count_hook();
    return v * 31;
}

static void run_in_turn(void *ctx, void (*task)(void *arg, size_t i), void *arg, size_t n) {
    (void)ctx;
    for (size_t i = 0; i < n; i++) task(arg, i);
}

/* Some call that hashes or joins all values; the summary is one of `a`. */
static pm_status call_hooks(unsigned what, const pm_map *a, const pm_map *b, pm_summary *s) {
    const pm_team team = {run_in_turn, NULL, 2};
    const pm_map *both[] = {a, b};
    pm_clause clauses[] = {{1, 0}, {2, 0}};
    const pm_formula formula = {clauses, 2, 0};
    pm_map out = pm_new(pm_map_ops(a), NULL);
    pm_summary *made = NULL;
    pm_hash128 h;
    pm_status status = what == 0   ? pm_hash(a, &h)
                       : what == 1 ? pm_par_hash(&team, a, &h)
                       : what == 2 ? pm_summary_new(a, PM_SUMMARY_HASH, NULL, &made)
                       : what == 3 ? pm_summary_refresh(s, b)
                       : what == 4 ? pm_join(a, b, &out, NULL)
                       : what == 5 ? pm_par_join(&team, a, b, &out, NULL)
                                   : pm_combine(both, 2, &formula, &out);
    CHECK(status == PM_OK || (!made && pm_is_empty(&out)));
    pm_summary_free(made);
    pm_drop(&out);
    return status;
}

TEST(hooks_that_fail_are_heard_by_every_call) {
    const pm_ops ops = {.name = "failing",
                        .flags = PM_OPS_IDEMPOTENT | PM_OPS_FALLIBLE,
                        .join = failing_join,
                        .hash = failing_hash};
    for (unsigned keys = 1; keys < 400; keys = keys * 5 + 2)
        for (unsigned what = 0; what < 7; what++)
            for (bool done = false, root = keys % 2; !done;) {
                pm_map a = pm_new(&ops, NULL), b = pm_new(&ops, NULL);
                pm_summary *s;
                hooks_left = 0;
                for (unsigned i = 0; i < keys; i++) {
                    const char key[] = {(char)('a' + i % 7), (char)('a' + i / 7 % 7), (char)(i / 49), 'x'};
                    CHECK_OK(pm_set(&a, key, root && !i ? 0 : sizeof key, i, NULL));
                    CHECK_OK(pm_set(&b, key, root && !i ? 0 : sizeof key, i + 1, NULL));
                }
                CHECK_OK(pm_summary_new(&a, PM_SUMMARY_HASH, NULL, &s));
                pm_hash128 before, after;
                CHECK_OK(pm_summary_hash(s, &before));
                static unsigned fail;
                hooks_left = ++fail;
                pm_status status = call_hooks(what, &a, &b, s);
                done = hooks_left != 0;
                hooks_left = 0;
                CHECK_EQ(status, done ? PM_OK : PM_IO);
                CHECK_OK(pm_summary_hash(s, &after));
                CHECK(what == 3 && done ? before.lo != after.lo : before.lo == after.lo);
                CHECK_OK(pm_hash(&a, &before)); /* a failure is told of once */
                if (done) fail = 0;
                pm_summary_free(s);
                pm_drop(&a);
                pm_drop(&b);
                if (check_failed()) return;
            }
}
