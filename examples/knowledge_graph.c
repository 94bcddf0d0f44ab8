/* A graph of triples (subject, predicate, object) in one map, questioned by several threads at once.

       knowledge_graph                    triples made from a text that is part of this program
       knowledge_graph FILE [S P O]..     a triple a line, parts separated by blanks, the object last (N-Triples do);
                                          a question for each S P O, where ? stands for anything

   Each triple is stored three times, so that whatever parts a question names stand in front and what it asks for is a
   subtrie: S P O, P O S, O S P. Parts end with a zero byte. Readers take no lock and copy nothing: one map serves
   all. */
#include <pthread.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

enum { SHOWN = 6, QUERIES_MAX = 16, TEXT_MAX = 2048, KEY_MAX = 4096 };

static const char story[] = "the fox saw the crow and the crow held the cheese so the fox praised the song of the crow "
                            "and the crow sang and the cheese fell and the fox ate the cheese";

static void die(const char *what) {
    fprintf(stderr, "knowledge_graph: %s\n", what);
    exit(1);
}

static void must(pm_status s) {
    if (s != PM_OK) die(pm_status_text(s));
}

/* A key under construction. Parts that do not fit end the program: no real term is that long. */
typedef struct key {
    uint8_t bytes[KEY_MAX];
    size_t len;
} key;

static void key_add(key *k, const void *part, size_t n) {
    if (n + 1 > KEY_MAX - k->len) die("a term is too long");
    memcpy(k->bytes + k->len, part, n);
    k->bytes[k->len + n] = 0;
    k->len += n + 1;
}

typedef struct term {
    const char *text; /* NULL: anything */
    size_t len;
} term;

static term term_of(const char *text) {
    term t = {text && strcmp(text, "?") != 0 ? text : NULL, text ? strlen(text) : 0};
    return t;
}

/* The orders in which parts are stored; the key starts with the name of the order. */
static const struct {
    char name;
    unsigned part[3];
} orders[3] = {{'s', {0, 1, 2}}, {'p', {1, 2, 0}}, {'o', {2, 0, 1}}};

static void add(pm_map *graph, term s, term p, term o) {
    term parts[3] = {s, p, o};
    for (unsigned i = 0; i < 3; i++) {
        key k = {{(uint8_t)orders[i].name}, 1};
        for (unsigned j = 0; j < 3; j++) key_add(&k, parts[orders[i].part[j]].text, parts[orders[i].part[j]].len);
        must(pm_set(graph, k.bytes, k.len, 0, NULL));
    }
}

/* What a story says about its words: what comes after what, and with which letter they begin. */
static void add_story(pm_map *graph, const char *text) {
    term before = {NULL, 0};
    while (*text) {
        term word = {text, strcspn(text, " ")}, letter = {text, 1};
        add(graph, word, term_of("begins"), letter);
        if (before.text) add(graph, before, term_of("then"), word);
        before = word;
        text += word.len + (text[word.len] != 0);
    }
}

static term next_term(char **line, const char *ends) {
    term t;
    *line += strspn(*line, " \t");
    t.text = *line;
    t.len = strcspn(*line, ends);
    *line += t.len;
    return t;
}

static void add_file(pm_map *graph, const char *path) {
    static char line[KEY_MAX];
    FILE *f = fopen(path, "rb");
    if (!f) die(path);
    while (fgets(line, sizeof line, f)) {
        char *at = line;
        if (*line == '#') continue;
        term s = next_term(&at, " \t\r\n"), p = next_term(&at, " \t\r\n"), o = next_term(&at, "\r\n");
        while (o.len && strchr(" \t.", o.text[o.len - 1])) o.len--;
        if (s.len && p.len && o.len) add(graph, s, p, o);
    }
    fclose(f);
}

/* A question, and what its thread found. */
typedef struct query {
    const pm_map *graph;
    term part[3];
    unsigned hops; /* 0: the triples of that shape; else: that many steps along P from S */
    unsigned long long found;
    char text[TEXT_MAX];
    size_t used;
    pm_status status;
} query;

/* Notes an answer: parts that zero bytes end. */
static void note(query *q, const uint8_t *parts, size_t len) {
    if (++q->found > SHOWN || len + 3 > TEXT_MAX - q->used) return;
    memcpy(q->text + q->used, "   ", 3);
    q->used += 3;
    for (size_t i = 0; i + 1 < len; i++) q->text[q->used++] = parts[i] ? (char)parts[i] : ' ';
}

/* The order in which the named parts come first, and how many they are. */
static unsigned order_for(const query *q, unsigned *named) {
    *named = 0;
    for (unsigned i = 0; i < 3; i++) *named += q->part[i].text != NULL;
    for (unsigned i = 0; i < 3; i++) {
        unsigned first = 0;
        while (first < *named && q->part[orders[i].part[first]].text) first++;
        if (first == *named) return i;
    }
    return 0;
}

/* All triples of a shape: everything below one place. */
static pm_status find(query *q) {
    unsigned named, order = order_for(q, &named);
    key k = {{(uint8_t)orders[order].name}, 1};
    for (unsigned i = 0; i < named; i++) {
        term t = q->part[orders[order].part[i]];
        key_add(&k, t.text, t.len);
    }
    pm_rz z;
    pm_status s = pm_rz_open(q->graph, k.bytes, k.len, &z);
    if (s != PM_OK) return s;
    bool more = pm_rz_is_val(&z) || pm_rz_to_next_val(&z);
    for (; more; more = pm_rz_to_next_val(&z)) {
        size_t len;
        const uint8_t *path = pm_rz_origin_path(&z, &len);
        note(q, path + (named == 3 ? 1 : k.len), len - (named == 3 ? 1 : k.len));
    }
    s = pm_rz_status(&z);
    pm_rz_drop(&z);
    return s;
}

/* Opens what the last term so far leads to; *start is where that term begins. */
static pm_status step(void *ctx, uint64_t *start, const uint8_t *path, size_t len, size_t steps, pm_rz *next) {
    const query *q = ctx;
    key k = {{'s'}, 1};
    if (steps >= q->hops) return PM_OK;
    key_add(&k, path + *start, len - *start - 1);
    key_add(&k, q->part[1].text, q->part[1].len);
    *start = len;
    return pm_rz_open(q->graph, k.bytes, k.len, next);
}

/* All ways of some steps, as one trie that nobody stores: a product whose factors depend on the way so far. */
static pm_status walk(query *q) {
    pm_rz first, z;
    key k = {{'s'}, 1};
    key_add(&k, q->part[0].text, q->part[0].len);
    key_add(&k, q->part[1].text, q->part[1].len);
    pm_status s = pm_rz_open(q->graph, k.bytes, k.len, &first);
    if (s != PM_OK) return s;
    s = pm_view_dependent(&first, step, q, 0, &z);
    pm_rz_drop(&first);
    if (s != PM_OK) return s;
    while (pm_rz_to_next_val(&z)) {
        size_t len;
        const uint8_t *path = pm_rz_path(&z, &len);
        if (pm_view_focus_factor(&z) + 1 == q->hops) note(q, path, len);
    }
    s = pm_rz_status(&z);
    pm_rz_drop(&z);
    return s;
}

static void *answer(void *arg) {
    query *q = arg;
    q->status = q->hops ? walk(q) : find(q);
    return NULL;
}

static query query_of(const pm_map *graph, const char *s, const char *p, const char *o, unsigned hops) {
    query q = {.graph = graph, .part = {term_of(s), term_of(p), term_of(o)}, .hops = hops};
    return q;
}

static void print_answer(const query *q) {
    must(q->status);
    printf("(");
    for (unsigned i = 0; i < 3; i++) printf("%s%s", q->part[i].text ? q->part[i].text : "?", i < 2 ? " " : ")");
    if (q->hops) printf(" %u times", q->hops);
    printf(": %llu\n%.*s%s\n", q->found, (int)q->used, q->text, q->found > SHOWN ? "   .." : "");
}

int main(int argc, char **argv) {
    static query queries[QUERIES_MAX];
    pthread_t thread[QUERIES_MAX];
    pm_map graph = pm_new(pm_ops_unit(), NULL);
    int n = 0;
    if (argc > 1) add_file(&graph, argv[1]);
    else add_story(&graph, story);
    for (int i = 2; i + 2 < argc && n < QUERIES_MAX; i += 3)
        queries[n++] = query_of(&graph, argv[i], argv[i + 1], argv[i + 2], 0);
    if (argc > 1 && n == 0) queries[n++] = query_of(&graph, "?", "?", "?", 0);
    if (argc == 1) {
        queries[n++] = query_of(&graph, "the", "?", "?", 0);    /* all about one subject */
        queries[n++] = query_of(&graph, "?", "then", "?", 0);   /* one relation */
        queries[n++] = query_of(&graph, "?", "begins", "s", 0); /* who has a given property */
        queries[n++] = query_of(&graph, "fox", "then", "?", 3); /* ways through the graph */
    }
    for (int i = 0; i < n; i++)
        if (pthread_create(&thread[i], NULL, answer, &queries[i]) != 0) die("no thread");
    for (int i = 0; i < n; i++) (void)pthread_join(thread[i], NULL);

    uint64_t triples = 0;
    must(pm_val_count(&graph, &triples));
    printf("%llu triples\n", (unsigned long long)triples / 3);
    for (int i = 0; i < n; i++) print_answer(&queries[i]);
    pm_drop(&graph);
    return 0;
}
