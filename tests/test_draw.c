/* Drawings: known ones byte by byte; trees of random maps, read back, must hold what a dump lists, and every line of
   them must have a reason. */
#define _POSIX_C_SOURCE 200809L
#include "check.h"
#include "model.h"

#include "library.h"

#include "both.h"
#include "doubled.h"
#include "shapes.h"
#include "sink.h"
#include "small_stack.h"

static void put(pm_map *m, const char *s, pm_val v) { CHECK_OK(pm_set(m, s, strlen(s), v, NULL)); }

/* Lets the location `at` lead to what is in `sub`, shared. */
static void hang(pm_map *m, const char *at, size_t len, const pm_map *sub) {
    pm_wz w;
    CHECK_OK(pm_wz_open(m, at, len, &w));
    CHECK_OK(pm_wz_graft_map(&w, sub));
    CHECK_OK(pm_wz_drop(&w));
}

static void text_free(text *t) {
    free(t->data);
    memset(t, 0, sizeof *t);
}

static text drawn(const pm_map *const *maps, size_t n, unsigned how) {
    text t = {0};
    CHECK_OK(pm_draw(maps, n, how, take, &t));
    take(&t, "", 0);
    return t;
}

static void check_drawing(const pm_map *const *maps, size_t n, unsigned how, const char *want) {
    text t = drawn(maps, n, how);
    CHECK_STR_EQ(t.data, want);
    text_free(&t);
}

/* ---- known drawings ------------------------------------------------------------------------------------------ */

#define DOT_HEAD                                                                                                       \
    "digraph pathmap {\n  rankdir=LR;\n  node [shape=record, fontname=\"monospace\", height=0.2];\n"                   \
    "  legend [shape=plaintext, label=\"= value, ! dangling, grey: shared\"];\n"
#define MERMAID_HEAD "flowchart LR\n  legend([\"= value, ! dangling, grey: shared\"])\n"

/* Two maps, of which the first has another one's content once, the second twice. */
static void two_maps(pm_map *a, pm_map *b) {
    pm_map sub = {0};
    put(&sub, "\"\n", 7), put(&sub, "x{ y", 8);
    put(a, "pre", 1), put(a, "prea", 2), put(a, "prebc", 3), put(a, "prebd", 3);
    hang(a, "s", 1, &sub);
    CHECK_OK(pm_create_path(a, "t", 1, NULL));
    put(b, "", 3);
    hang(b, "k", 1, &sub);
    hang(b, "long/way", 8, &sub);
    put(b, "k", 9);
    pm_drop(&sub);
}

TEST(known_maps_are_drawn_as_content) {
    pm_map a = {0}, b = {0};
    const pm_map *maps[] = {&a, &b};
    two_maps(&a, &b);
    check_drawing(maps, 2, PM_DRAW_TREE,
                  "map 0\n|-- pre=1\n|   |-- a=2\n|   `-- b\n|       |-- c=3\n|       `-- d=3\n"
                  "|-- s #1\n|   |-- \"\\x0a=7\n|   `-- x{ y=8\n`-- t!\n"
                  "map 1=3\n|-- k=9 -> #1\n`-- long/way -> #1\n");
    check_drawing(&maps[1], 1, PM_DRAW_TREE | PM_DRAW_NO_VALUES,
                  "map 0=\n|-- k= #1\n|   |-- \"\\x0a=\n|   `-- x{ y=\n`-- long/way -> #1\n");
    check_drawing(maps, 2, PM_DRAW_DOT,
                  DOT_HEAD "  m0 [shape=plaintext, label=\"map\\ 0\"];\n  m0 -> n1;\n"
                           "  n1 [label=\"<p0>pre=1\\l|<p1>s\\l|t!\\l\"];\n  n1:p0:e -> n2:w;\n  n1:p1:e -> n3:w;\n"
                           "  n2 [label=\"a=2\\l|<p1>b\\l\"];\n  n2:p1:e -> n4:w;\n"
                           "  n3 [style=filled, label=\"\\\"\\\\x0a=7\\l|x\\{\\ y=8\\l\"];\n"
                           "  n4 [label=\"c=3\\l|d=3\\l\"];\n"
                           "  m1 [shape=plaintext, label=\"map\\ 1=3\"];\n  m1 -> n5;\n"
                           "  n5 [label=\"<p0>k=9\\l|<p1>long/way\\l\"];\n  n5:p0:e -> n3:w;\n  n5:p1:e -> n3:w;\n}\n");
    check_drawing(maps, 2, PM_DRAW_MERMAID,
                  MERMAID_HEAD "  m0([\"map 0\"])\n  m0 --> n1\n  n1[\"t!\"]\n  n1 -->|\"pre=1\"| n2\n"
                               "  n1 -->|\"s\"| n3\n  n2[\"a=2\"]\n  n2 -->|\"b\"| n4\n"
                               "  n3[\"#quot;\\x0a=7<br>x{ y=8\"]\n  style n3 fill:#ccc\n  n4[\"c=3<br>d=3\"]\n"
                               "  m1([\"map 1=3\"])\n  m1 --> n5\n  n5[\".\"]\n  n5 -->|\"k=9\"| n3\n"
                               "  n5 -->|\"long/way\"| n3\n");
    pm_drop(&a);
    pm_drop(&b);
}

TEST(known_maps_are_drawn_as_nodes) {
    pm_map a = {0}, b = {0};
    const pm_map *maps[] = {&a, &b};
    two_maps(&a, &b);
    CHECK_OK(pm_remove_branches(&a, "s", 1, PM_PRUNE, NULL));
    CHECK_OK(pm_remove_branches(&a, "t", 1, PM_PRUNE, NULL));
    static const char dot[] =
        DOT_HEAD "  m0 [shape=plaintext, label=\"map\\ 0\"];\n  m0 -> n1;\n"
                 "  n1 [label=\"line\\ pre\\l|=1\\l|a=2\\l|bc=3\\l|bd=3\\l\"];\n"
                 "  m1 [shape=plaintext, label=\"map\\ 1=3\"];\n  m1 -> n2;\n"
                 "  n2 [label=\"line\\l|k=9\\l|<p1>k\\l|<p2>long/way\\l\"];\n  n2:p1:e -> n3:w;\n  n2:p2:e -> n3:w;\n"
                 "  n3 [style=filled, label=\"line\\l|\\\"\\\\x0a=7\\l|x\\{\\ y=8\\l\"];\n}\n";
    CHECK_OK(pm_compact(&a));
    text t = {0};
    CHECK_OK(pm_dot(maps, 2, take, &t));
    CHECK_STR_EQ(t.data, dot);
    text_free(&t);
    check_drawing(maps, 2, PM_DRAW_DOT | PM_DRAW_NODES, dot);
    check_drawing(&maps[1], 1, PM_DRAW_MERMAID | PM_DRAW_NODES | PM_DRAW_NO_VALUES,
                  MERMAID_HEAD "  m0([\"map 0=\"])\n  m0 --> n1\n  n1[\"line<br>k=\"]\n  n1 -->|\"k\"| n2\n"
                               "  n1 -->|\"long/way\"| n2\n  n2[\"line<br>#quot;\\x0a=<br>x{ y=\"]\n"
                               "  style n2 fill:#ccc\n");
    pm_drop(&a);
    pm_drop(&b);
}

TEST(empty_maps_and_none_are_drawn) {
    pm_map m = {0};
    const pm_map *one = &m;
    check_drawing(NULL, 0, PM_DRAW_TREE, "");
    check_drawing(NULL, 0, PM_DRAW_DOT, DOT_HEAD "}\n");
    check_drawing(NULL, 0, PM_DRAW_MERMAID, MERMAID_HEAD);
    check_drawing(&one, 1, PM_DRAW_TREE, "map 0\n");
    check_drawing(&one, 1, PM_DRAW_MERMAID, MERMAID_HEAD "  m0([\"map 0\"])\n");
    text t = {0};
    static const unsigned wrong[] = {3, PM_DRAW_NODES, PM_DRAW_NODES | PM_DRAW_NO_VALUES, 16, 1u << 31};
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++)
        CHECK_EQ(pm_draw(&one, 1, wrong[i], take, &t), PM_INVALID);
    CHECK_EQ(t.pieces, 0);
}

/* What words of the picture's own language would be. */
TEST(signs_are_escaped) {
    pm_map m = {0};
    const pm_map *one = &m;
    put(&m, "#&<>`|\"{}", 1);
    check_drawing(&one, 1, PM_DRAW_MERMAID,
                  MERMAID_HEAD "  m0([\"map 0\"])\n  m0 --> n1\n"
                               "  n1[\"#35;#amp;#lt;#gt;#96;|#quot;{}=1\"]\n");
    check_drawing(&one, 1, PM_DRAW_DOT,
                  DOT_HEAD "  m0 [shape=plaintext, label=\"map\\ 0\"];\n  m0 -> n1;\n"
                           "  n1 [label=\"#&\\<\\>`\\|\\\"\\{\\}=1\\l\"];\n}\n");
    pm_drop(&m);
}

static unsigned count_of(const char *s, const char *what) {
    unsigned n = 0;
    while ((s = strstr(s, what)) != NULL) n++, s++;
    return n;
}

/* Many children: each has a port of its own, and no arrow a label that could cross others. */
TEST(a_fan_has_ports) {
    pm_map m = {0};
    const pm_map *one = &m;
    char pair[3] = {0};
    for (pair[0] = 'a'; pair[0] <= 'z'; pair[0]++)
        for (pair[1] = 'a'; pair[1] <= 'z'; pair[1]++) put(&m, pair, 1);
    text t = drawn(&one, 1, PM_DRAW_DOT | PM_DRAW_NODES);
    CHECK_EQ(count_of(t.data, "|<p"), 26);
    CHECK_EQ(count_of(t.data, ":e -> "), 26);
    CHECK_EQ(count_of(t.data, " [label="), 27);
    text_free(&t);
    pm_drop(&m);
}

/* ---- trees read back ----------------------------------------------------------------------------------------- */

typedef struct row {
    unsigned depth, id, ref; /* 0: none */
    const char *label, *end; /* with the value, or ! */
    bool has_value, dangles;
} row;

typedef struct tree {
    row rows[20000];
    size_t n;
} tree;

/* A line of a tree. Keys have no spaces. */
static row row_of(const char *s, const char *end) {
    row r = {0, 0, 0, s, end, false, false};
    while (strncmp(s, "|   ", 4) == 0 || strncmp(s, "    ", 4) == 0) r.depth++, s += 4;
    if (strncmp(s, "|-- ", 4) == 0 || strncmp(s, "`-- ", 4) == 0) r.depth++, s += 4;
    else CHECK_EQ(r.depth, 0); /* a map */
    if (!r.depth) CHECK(strncmp(s, "map ", 4) == 0), s += 4 + strspn(s + 4, "0123456789");
    r.label = s;
    r.end = s + strcspn(s, " \n");
    if (strncmp(r.end, " #", 2) == 0) r.id = (unsigned)atoi(r.end + 2);
    if (strncmp(r.end, " -> #", 5) == 0) r.ref = (unsigned)atoi(r.end + 5);
    r.has_value = memchr(r.label, '=', (size_t)(r.end - r.label)) != NULL;
    r.dangles = r.end > r.label && r.end[-1] == '!';
    return r;
}

static void read_tree(tree *t, const char *s) {
    t->n = 0;
    for (const char *end; (end = strchr(s, '\n')) != NULL; s = end + 1) {
        CHECK(t->n < sizeof t->rows / sizeof *t->rows);
        t->rows[t->n++] = row_of(s, end);
    }
}

static size_t next_of(const tree *t, size_t i) {
    for (unsigned depth = t->rows[i++].depth; i < t->n && t->rows[i].depth > depth;) i++;
    return i;
}

/* Writes what the row and those below it say, as a dump would. */
static void expand(const tree *t, size_t i, char *path, size_t len, text *out) {
    const row *r = &t->rows[i];
    size_t with = (size_t)(r->end - r->label), size = r->has_value ? strcspn(r->label, "=") : with - r->dangles;
    memcpy(path + len, r->label, size);
    len += size;
    if (r->has_value || r->dangles) {
        take(out, path, len);
        take(out, r->label + size, with - size);
        take(out, "\n", 1);
    }
    size_t from = i;
    for (size_t k = 0; r->ref && k < t->n; k++)
        if (t->rows[k].id == r->ref) from = k;
    CHECK(!r->ref || from != i);
    for (size_t k = from + 1, end = next_of(t, from); k < end; k = next_of(t, k)) expand(t, k, path, len, out);
}

/* Each line is a value, a fork, an end, or met again elsewhere; those below one begin with different bytes. */
static void check_reasons(const tree *t) {
    for (size_t i = 0; i < t->n; i++) {
        const row *r = &t->rows[i];
        size_t kids = 0, end = next_of(t, i);
        for (size_t k = i + 1; k < end; k = next_of(t, k)) {
            kids++;
            size_t after = next_of(t, k), most = t->rows[k].label[0] == '\\' ? 4 : 1;
            if (after < end) CHECK(strncmp(t->rows[k].label, t->rows[after].label, most) != 0);
        }
        CHECK(r->depth == 0 || r->has_value || kids > 1 || r->id || r->ref || (r->dangles && !kids));
        if (r->dangles || r->ref) CHECK_EQ(kids, 0);
    }
}

/* The tree of a map must hold what its dump lists. */
static void check_tree(const pm_map *m) {
    static tree t;
    static char path[8 * KEY_MAX];
    text s = drawn(&m, 1, PM_DRAW_TREE), want = {0}, got = {0};
    CHECK_OK(pm_dump(m, take, &want));
    take(&want, "", 0), take(&got, "", 0);
    read_tree(&t, s.data);
    check_reasons(&t);
    expand(&t, 0, path, 0, &got);
    CHECK_STR_EQ(got.data, want.data);
    text_free(&s), text_free(&want), text_free(&got);
}

TEST(trees_of_random_maps_hold_what_they_list) {
    for (unsigned round = 0; round < 300; round++) {
        shape s = {2 + (unsigned)check_below(5), 1 + (unsigned)check_below(round % 4 ? 6 : 300),
                   1 + (unsigned)check_below(12), 40};
        both b = both_new(table(round));
        both_edit(&b, &s, 20 + (unsigned)check_below(200));
        check_tree(&b.map);
        pm_map twin = {0};
        twin.ops = b.map.ops;
        /* Shared below random places, some of them in the middle of runs. */
        for (unsigned i = 0; i < 4; i++) {
            key k = {0, {0}};
            next_key(&s, &k);
            pm_map below;
            CHECK_OK(pm_subtrie(&b.map, k.data, k.len / 2, &below, NULL));
            next_key(&s, &k);
            hang(&twin, (const char *)k.data, k.len, &below);
            pm_drop(&below);
        }
        check_tree(&twin);
        pm_drop(&twin);
        both_drop(&b);
    }
}

/* How a map came to be does not show in its content. */
TEST(layout_does_not_show) {
    for (unsigned round = 0; round < 40; round++) {
        shape s = {8, 4, 6, 100};
        both b = both_new(NULL);
        both_edit(&b, &s, 300);
        pm_map again = {0};
        pm_iter i = pm_iter_paths(&b.map);
        while (pm_iter_next(&i)) {
            if (i.val) CHECK_OK(pm_set(&again, i.key, i.len, *i.val, NULL));
            else CHECK_OK(pm_create_path(&again, i.key, i.len, NULL));
        }
        pm_iter_drop(&i);
        const pm_map *one = &b.map, *two = &again;
        for (unsigned how = 0; how < 3; how++) {
            text t = drawn(&one, 1, how);
            check_drawing(&two, 1, how, t.data);
            text_free(&t);
        }
        pm_drop(&again);
        both_drop(&b);
    }
}

/* ---- limits -------------------------------------------------------------------------------------------------- */

static const unsigned all_hows[] = {0, 1, 2, 5, 6, 8, 9, 10, 13, 14};
enum { HOWS = sizeof all_hows / sizeof *all_hows };

/* 2^80 values in 81 boxes. */
TEST(what_is_shared_is_drawn_once) {
    pm_map m = doubled(single(NULL, "k", 7), 80, "0", "1");
    const pm_map *both_of[] = {&m, &m};
    for (unsigned i = 0; i < HOWS; i++) {
        text t = drawn(both_of, 2, all_hows[i]);
        CHECK(count_of(t.data, "\n") < 450);
        text_free(&t);
    }
    text t = drawn(both_of, 2, PM_DRAW_TREE);
    CHECK_EQ(count_of(t.data, " -> #"), 80 + 1);
    text_free(&t);
    pm_drop(&m);
}

TEST(drawings_stop_when_the_sink_says_no) {
    pm_map m = doubled(single(NULL, "k", 7), 80, "0", "1");
    const pm_map *one = &m;
    for (unsigned i = 0; i < HOWS; i++) {
        text t = {.limit = 3};
        CHECK_EQ(pm_draw(&one, 1, all_hows[i], take, &t), PM_IO);
        CHECK_EQ(t.pieces, 3);
        text_free(&t);
    }
    pm_drop(&m);
}

TEST(without_memory_nothing_is_lost) {
    pm_map m = doubled(single(NULL, "k", 7), 20, "0", "1");
    static uint8_t long_key[20000];
    CHECK_OK(pm_set(&m, long_key, sizeof long_key, 1, NULL));
    const pm_map *both_of[] = {&m, &m};
    uint64_t blocks = check_live_blocks(), bytes = check_live_bytes();
    for (unsigned i = 0; i < HOWS; i++) {
        for (uint64_t n = 1;; n++) {
            text t = {0};
            check_fail_alloc(n);
            pm_status s = pm_draw(both_of, 2, all_hows[i], take, &t);
            uint64_t fails = check_alloc_fails();
            check_fail_alloc(0);
            text_free(&t);
            CHECK_EQ(s, fails ? PM_NOMEM : PM_OK);
            CHECK_EQ(check_live_blocks(), blocks);
            CHECK_EQ(check_live_bytes(), bytes);
            if (!fails) {
                CHECK(n > 3);
                break;
            }
        }
    }
    pm_drop(&m);
}

static bool count_bytes(void *ctx, const char *s, size_t len) {
    (void)s;
    *(size_t *)ctx += len;
    return true;
}

static void *draw_deep(void *arg) {
    const pm_map *m = arg;
    for (unsigned i = 0; i < HOWS; i++) {
        size_t bytes = 0;
        CHECK_OK(pm_draw(&m, 1, all_hows[i], count_bytes, &bytes));
        CHECK(bytes > (size_t)1 << 20);
    }
    return NULL;
}

TEST(depth_costs_no_stack) {
    size_t len = (size_t)1 << 20;
    uint8_t *k = malloc(len);
    CHECK(k != NULL);
    memset(k, 'd', len);
    pm_map m = {0};
    CHECK_OK(pm_set(&m, k, len, 1, NULL));
    CHECK_OK(pm_set(&m, k, len - 1, 1, NULL));
    for (size_t i = 1; i < 300; i++) CHECK_OK(pm_set(&m, k, i, 1, NULL));
    run_on_small_stack(draw_deep, &m);
    pm_drop(&m);
    free(k);
}
