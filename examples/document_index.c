/* A document index that several threads build: which documents contain a word, several words, a beginning of a word.

   Keys are `word/document`. The words are handed out by first letter: each thread asks a head for one writer per
   letter, so nobody waits for anybody, and the index is one map that can be searched while it grows. A search goes to a
   place and takes all below it, which costs by the length of the word. Such a result is a map again, and shares nodes
   with the index: "and" is meet, "or" is join, "but not" is subtract. */
#include <ctype.h>
#include <stdatomic.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { THREADS = 3, LETTERS = 26, BUCKET_MAX = 32, KEY = 64 };

static const struct {
    const char *name, *text;
} documents[] = {
    {"bridges", "A bridge carries a road over water. Stone bridges stand long; rope bridges sway in the wind."},
    {"canals", "A canal is a road of water. Locks lift boats from one level of water to the next."},
    {"kites", "A kite stands in the wind on a long rope, and climbs when the wind is strong."},
    {"mills", "A mill grinds grain between stones. Water or wind turns the wheel."},
    {"sails", "A sail turns wind into way. The rope that holds it is called a sheet."},
    {"wells", "A well is a hole to where the water is. A rope and a wheel lift the bucket."},
};
enum { DOCUMENTS = sizeof documents / sizeof documents[0] };

/* Words that begin with one letter, as keys without that letter. */
typedef struct bucket {
    char key[BUCKET_MAX][KEY];
    size_t n;
} bucket;

typedef struct indexer {
    pm_head *head;
    atomic_uint next; /* letter that nobody works on */
    bucket buckets[LETTERS];
} indexer;

static void sort_out(indexer *x, const char *name, const char *text) {
    while (*text) {
        char word[32];
        size_t len = 0;
        for (; isalpha((unsigned char)*text) && len + 1 < sizeof word; text++)
            word[len++] = (char)tolower((unsigned char)*text);
        if (len) {
            bucket *b = &x->buckets[word[0] - 'a'];
            if (b->n == BUCKET_MAX) must(PM_NOMEM);
            snprintf(b->key[b->n++], KEY, "%.*s/%s", (int)len - 1, word + 1, name);
        } else {
            text++;
        }
    }
}

static void *index_words(void *arg) {
    indexer *x = *(indexer **)arg;
    for (unsigned i; (i = atomic_fetch_add(&x->next, 1)) < LETTERS;) {
        const bucket *b = &x->buckets[i];
        char letter = (char)('a' + i);
        pm_wz w;
        must(pm_head_write(x->head, &letter, 1, &w, NULL));
        for (size_t k = 0; k < b->n; k++) put_below(&w, b->key[k], 0);
        must(pm_wz_drop(&w));
    }
    return NULL;
}

/* The documents that contain a word, as a map of their names. */
static pm_map with_word(const pm_map *idx, const char *word) {
    char place[KEY];
    pm_map found;
    int len = snprintf(place, sizeof place, "%s/", word);
    must(pm_subtrie(idx, place, (size_t)len, &found, NULL));
    return found;
}

/* Those that contain a word with this beginning: all below the place, with what is left of the word dropped. */
static pm_map with_beginning(const pm_map *idx, const char *beginning) {
    pm_map found = pm_new(pm_ops_unit(), NULL);
    pm_rz z;
    must(pm_rz_open(idx, beginning, strlen(beginning), &z));
    pm_iter i = pm_iter_vals_of_rz(&z);
    while (pm_iter_next(&i)) {
        const uint8_t *name = memchr(i.key, '/', i.len);
        if (name) must(pm_set(&found, name + 1, i.len - (size_t)(name + 1 - i.key), 0, NULL));
    }
    must(pm_iter_status(&i));
    pm_rz_drop(&z);
    return found;
}

/* Prints a result and gives it up. */
static void print_found(const char *what, pm_map found) {
    printf("%-22s", what);
    for (pm_iter i = pm_iter_vals(&found); pm_iter_next(&i);) printf(" %.*s", (int)i.len, (const char *)i.key);
    printf("%s\n", pm_is_empty(&found) ? " none" : "");
    pm_drop(&found);
}

static pm_map combine(pm_map a, pm_status (*op)(const pm_map *, const pm_map *, pm_map *, pm_alg *), pm_map b) {
    pm_map out;
    must(op(&a, &b, &out, NULL));
    pm_drop(&a);
    pm_drop(&b);
    return out;
}

int main(void) {
    static indexer x;
    indexer *each[THREADS] = {&x, &x, &x};
    pm_map idx = pm_new(pm_ops_unit(), NULL);
    uint64_t n = 0;
    for (size_t i = 0; i < DOCUMENTS; i++) sort_out(&x, documents[i].name, documents[i].text);
    must(pm_head_new(&idx, &x.head));
    run_each(index_words, each, sizeof each[0], THREADS);
    must(pm_head_free(x.head, NULL, NULL));

    must(pm_val_count(&idx, &n));
    printf("%d documents, %d entries\n", DOCUMENTS, (int)n);
    print_found("rope", with_word(&idx, "rope"));
    print_found("rope and wind", combine(with_word(&idx, "rope"), pm_meet, with_word(&idx, "wind")));
    print_found("locks or wheel", combine(with_word(&idx, "locks"), pm_join, with_word(&idx, "wheel")));
    print_found("wind but not rope", combine(with_word(&idx, "wind"), pm_subtract, with_word(&idx, "rope")));
    print_found("st...", with_beginning(&idx, "st"));
    print_found("anchor", with_word(&idx, "anchor"));
    pm_drop(&idx);
    return 0;
}
