/* Files that go from one machine to another: a table of names, a path file, an image of a trie.

     use_exchange write FOLDER        writes one of each
     use_exchange read FOLDER         reads what another machine has written; the exit status tells what is wrong */
#include <stdio.h>
#include <stdlib.h>

#define check_malloc(n) malloc(n)
#define check_free(p, n) ((void)(n), free(p))
#include "library.h"
#define INTERNING_STATIC
#include "../interning.h"

#include <string.h>

enum { WORDS = 3000 };

/* The i-th word: some are long, all differ. */
static size_t word(unsigned i, uint8_t *out) {
    size_t len = 1 + (size_t)i * 7919u % 40u + (i % 97 == 0 ? 300 : 0);
    for (size_t k = 0; k < len; k++) out[k] = (uint8_t)(i * 31u + k * k * 7u);
    for (unsigned k = 0; k < 4; k++) out[len++] = (uint8_t)(i >> 8 * k);
    return len;
}

static pm_map map_of_words(void) {
    uint8_t w[512];
    pm_map m = {0};
    for (unsigned i = 0; i < WORDS; i++)
        if (pm_set(&m, w, word(i, w), i * (pm_val)0x123456789u, NULL) != PM_OK) exit(90);
    return m;
}

static const char *name_in(const char *folder, const char *name) {
    static char path[4096];
    snprintf(path, sizeof path, "%s/%s", folder, name);
    return path;
}

static int write_all(const char *folder) {
    uint8_t w[512];
    const pm_paths_options plain = {.plain = true};
    intern_table *t;
    intern_permit p;
    pm_map m = map_of_words();
    pm_rz all;
    if (pm_image_write_file(&m, 1, name_in(folder, "words.image"), NULL, NULL, NULL) != PM_OK) return 1;
    if (pm_rz_open(&m, NULL, 0, &all) != PM_OK) return 2;
    if (pm_paths_write_file(&all, name_in(folder, "words.paths"), &plain, NULL, NULL) != PM_OK) return 3;
    pm_rz_drop(&all);
    pm_drop(&m);
    if (intern_table_new(NULL, &t) != INTERN_OK || intern_permit_acquire(t, &p) != INTERN_OK) return 4;
    for (unsigned i = 0; i < WORDS; i++) {
        intern_symbol s;
        if (intern_get_or_insert(t, &p, w, word(i, w), &s, NULL) != INTERN_OK) return 5;
    }
    if (intern_permit_release(&p) != INTERN_OK) return 6;
    if (intern_save(t, name_in(folder, "words.intern")) != INTERN_OK) return 7;
    intern_table_free(t);
    return 0;
}

static int read_image(const char *folder, const pm_map *words) {
    FILE *file = fopen(name_in(folder, "words.image"), "rb");
    static uint64_t block[1 << 17];
    pm_image image;
    pm_map m;
    bool same;
    if (!file) return 11;
    size_t size = fread(block, 1, sizeof block, file);
    fclose(file);
    if (pm_image_open(block, size, &image, NULL) != PM_OK || pm_image_verify(&image, NULL) != PM_OK) return 12;
    if (pm_image_count(&image) != 1 || pm_image_load(&image, NULL, &m, NULL) != PM_OK) return 13;
    if (pm_equal(&m, words, &same) != PM_OK) return 14;
    pm_drop(&m);
    return same ? 0 : 15;
}

static int read_paths(const char *folder, const pm_map *words) {
    const pm_paths_options plain = {.plain = true};
    uint8_t w[512];
    uint64_t there, wanted;
    pm_map m;
    if (pm_paths_read_file(NULL, NULL, name_in(folder, "words.paths"), &plain, &m, NULL, NULL) != PM_OK) return 21;
    if (pm_val_count(&m, &there) != PM_OK || pm_val_count(words, &wanted) != PM_OK || there != wanted) return 22;
    for (unsigned i = 0; i < WORDS; i++)
        if (!pm_contains(&m, w, word(i, w))) return 23;
    pm_drop(&m);
    return 0;
}

/* All names are there, their symbols lead back to them, and there are no others. */
static int read_names(const char *folder, unsigned flags) {
    intern_table *t;
    uint8_t w[512];
    if (intern_table_new(NULL, &t) != INTERN_OK) return 31;
    if (intern_load(t, name_in(folder, "words.intern"), flags, NULL) != INTERN_OK) return 32;
    if (intern_count(t) != WORDS) return 33;
    for (unsigned i = 0; i < WORDS; i++) {
        size_t len = word(i, w), there = 0;
        intern_symbol s = intern_get(t, w, len);
        const void *bytes = s ? intern_bytes(t, s, &there) : NULL;
        if (!bytes || there != len || memcmp(bytes, w, len) != 0) return 34;
    }
    intern_table_free(t);
    return 0;
}

int main(int argc, char **argv) {
    if (argc != 3) return 99;
    if (strcmp(argv[1], "write") == 0) return write_all(argv[2]);
    pm_map words = map_of_words();
    int wrong = read_image(argv[2], &words);
    if (!wrong) wrong = read_paths(argv[2], &words);
    if (!wrong) wrong = read_names(argv[2], 0);
    if (!wrong) wrong = read_names(argv[2], INTERN_LOAD_VERIFY);
    pm_drop(&words);
    return wrong;
}
