/* Set algebra on word lists: union, intersection, difference, restriction; and the same without making a result.

       set_algebra                      two small lists that are part of this program
       set_algebra FILE FILE [PREFIX]   two files with a word a line, for example two dictionaries

   A set is a map under pm_ops_unit(): paths without payload. Results share with the operands whatever is equal. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

enum { SHOWN = 6 };

/* The opening of one tale, told twice. */
static const char *const told[2] = {
    "once upon a time there was a miller who had a daughter and the daughter was clever and could spin straw",
    "long ago in a mill there was a daughter who was so clever that the king thought she could spin gold out of straw"};

static void die(const char *what) {
    fprintf(stderr, "set_algebra: %s\n", what);
    exit(1);
}

static void must(pm_status s) {
    if (s != PM_OK) die(pm_status_text(s));
}

/* Adds the words of a text, which spaces and line ends separate. */
static void add_words(pm_map *set, const char *text) {
    while (*text) {
        size_t n = strcspn(text, " \r\n");
        if (n) must(pm_set(set, text, n, 0, NULL));
        text += n + (text[n] != 0);
    }
}

/* Adds the lines of a file. */
static void add_file(pm_map *set, const char *path) {
    char line[4096];
    FILE *f = fopen(path, "rb");
    if (!f) die(path);
    while (fgets(line, sizeof line, f)) {
        size_t n = strcspn(line, "\r\n");
        if (n) must(pm_set(set, line, n, 0, NULL));
    }
    fclose(f);
}

/* Prints how many words a set has, and the first of them. */
static void show(const char *name, const pm_map *set) {
    uint64_t n = 0;
    unsigned shown = 0;
    must(pm_val_count(set, &n));
    printf("%-28s %6llu", name, (unsigned long long)n);
    pm_iter i = pm_iter_vals(set);
    for (; shown < SHOWN && pm_iter_next(&i); shown++) printf(" %.*s", (int)i.len, (const char *)i.key);
    must(pm_iter_status(&i));
    pm_iter_drop(&i);
    printf("%s\n", n > shown ? " .." : "");
}

typedef pm_status (*operation)(const pm_map *a, const pm_map *b, pm_map *out, pm_alg *alg);

/* Combines two sets, and says what the outcome says. */
static void combine(const char *name, operation op, const pm_map *a, const pm_map *b, bool timed) {
    static const char *const outcome[] = {"nothing", "the left", "the right", "both", "something new"};
    pm_map result;
    pm_alg alg;
    clock_t start = clock();
    must(op(a, b, &result, &alg));
    double ms = 1e3 * (double)(clock() - start) / CLOCKS_PER_SEC;
    show(name, &result);
    printf("%36sis %s", "", outcome[alg]);
    if (timed) printf(", %.2f ms", ms);
    printf("\n");
    pm_drop(&result);
}

/* The first words of both sets, found by walking the two in step: nothing is made, however large they are. */
static void first_in_both(const pm_map *a, const pm_map *b) {
    pm_rz left, right, both;
    unsigned n = 0;
    must(pm_rz_open(a, NULL, 0, &left));
    must(pm_rz_open(b, NULL, 0, &right));
    must(pm_view_meet(&left, &right, &both));
    printf("%-35s", "first in both, as a view");
    for (; n < SHOWN && pm_rz_to_next_val(&both); n++) {
        size_t len;
        const char *word = (const char *)pm_rz_path(&both, &len);
        printf(" %.*s", (int)len, word);
    }
    must(pm_rz_status(&both));
    printf("\n");
    pm_rz_drop(&both);
    pm_rz_drop(&left);
    pm_rz_drop(&right);
}

int main(int argc, char **argv) {
    pm_map a = pm_new(pm_ops_unit(), NULL), b = pm_new(pm_ops_unit(), NULL), begin = pm_new(pm_ops_unit(), NULL);
    bool files = argc > 2;
    if (argc == 2 || argc > 4) die("usage: set_algebra [FILE FILE [PREFIX]]");
    if (files) {
        add_file(&a, argv[1]);
        add_file(&b, argv[2]);
    } else {
        add_words(&a, told[0]);
        add_words(&b, told[1]);
    }
    /* A restriction keeps what begins with a word of the other set. */
    if (argc > 3) must(pm_set(&begin, argv[3], strlen(argv[3]), 0, NULL));
    else add_words(&begin, "s th");

    show("first", &a);
    show("second", &b);
    combine("in either", pm_join, &a, &b, files);
    combine("in both", pm_meet, &a, &b, files);
    combine("in the first only", pm_subtract, &a, &b, files);
    combine("in the second only", pm_subtract, &b, &a, files);
    combine("in one of them only", pm_symmetric_difference, &a, &b, files);
    combine("first, beginnings restricted", pm_restrict, &a, &begin, files);
    combine("second, likewise", pm_restrict, &b, &begin, files);

    pm_map more = pm_clone(&a);
    must(pm_set(&more, "zephyr", 6, 0, NULL));
    combine("the first and more of it", pm_meet, &a, &more, files); /* shared parts are not even looked at */
    pm_drop(&more);
    first_in_both(&a, &b);

    pm_drop(&a);
    pm_drop(&b);
    pm_drop(&begin);
    return 0;
}
