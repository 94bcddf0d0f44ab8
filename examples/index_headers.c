/* Indexes every word of the C headers below a folder, and asks the index a few questions.

       index_headers [FOLDER [WORD [PREFIX]]]        default: /usr/include size_t pthread_mutex_

   The index is one map without values, a set of paths `word/file/line`. Sorted and prefix-compressed as it is, it
   answers "where is this word" and "which words begin so" by going to a place and reading on from there. */
#define _XOPEN_SOURCE 700
#include <ctype.h>
#include <ftw.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

enum { LINE_MAX_BYTES = 4096, KEY_MAX_BYTES = 2 * LINE_MAX_BYTES, TOP = 8, SHOWN = 8 };

static struct {
    pm_map map;
    size_t folder_len; /* of the folder's name, which keys leave out */
    unsigned long files, mentions, key_bytes;
} idx;

static double seconds(void) {
    struct timespec t;
    clock_gettime(CLOCK_MONOTONIC, &t);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* A larger program would hand the status on. */
static void must(pm_status s) {
    if (s != PM_OK) fprintf(stderr, "index_headers: %s\n", pm_status_text(s)), exit(1);
}

static bool in_word(char c) { return isalnum((unsigned char)c) || c == '_'; }

static void index_line(const char *line, const char *file, unsigned long number) {
    char key[KEY_MAX_BYTES];
    for (const char *p = line, *end; *p; p = end) {
        end = p + 1;
        if (!in_word(*p)) continue;
        while (in_word(*end)) end++;
        if (isdigit((unsigned char)*p)) continue; /* a number */
        int len = snprintf(key, sizeof key, "%.*s/%s/%lu", (int)(end - p), p, file, number);
        if (len < 0 || (size_t)len >= sizeof key) continue;
        pm_opt old;
        must(pm_set(&idx.map, key, (size_t)len, 0, &old));
        if (old.some) continue; /* the same word twice in a line */
        idx.mentions++;
        idx.key_bytes += (unsigned long)len;
    }
}

static int index_file(const char *path, const struct stat *st, int type, struct FTW *ftw) {
    char line[LINE_MAX_BYTES];
    const char *dot = strrchr(path + ftw->base, '.'), *name = path + idx.folder_len;
    (void)st;
    if (type != FTW_F || !dot || strcmp(dot, ".h") != 0) return 0;
    FILE *f = fopen(path, "r");
    if (!f) return 0; /* not ours to read: skipped */
    for (unsigned long number = 1; fgets(line, sizeof line, f);) {
        index_line(line, name + (*name == '/'), number);
        number += strchr(line, '\n') != NULL; /* a line may come in pieces */
    }
    fclose(f);
    if (++idx.files % 64 == 0 && isatty(STDERR_FILENO))
        fprintf(stderr, "\r%lu files, %lu mentions ", idx.files, idx.mentions);
    return 0;
}

/* Calls fn for each word that begins with `prefix`, with the number of its mentions. The zipper's root is the prefix.
   It steps from the first mention of a word to that of the next: mentions lie below "word/", and "word0" is the first
   thing that may come after them, whether it exists or not ('0' follows '/'). */
static void each_word(const char *prefix, void (*fn)(const char *word, size_t len, uint64_t n)) {
    pm_rz z;
    must(pm_rz_open(&idx.map, prefix, strlen(prefix), &z));
    while (pm_rz_to_next_val(&z)) {
        size_t len;
        const char *path = (const char *)pm_rz_origin_path(&z, &len);
        const char *slash = memchr(path, '/', len);
        if (!slash) break;
        size_t word_len = (size_t)(slash - path);
        uint64_t n = 0;
        (void)pm_rz_ascend(&z, len - word_len - 1); /* at "word/" */
        must(pm_rz_val_count(&z, &n));
        fn((const char *)pm_rz_origin_path(&z, &len), word_len, n);
        (void)pm_rz_ascend(&z, 1);
        pm_rz_descend_to_byte(&z, '/' + 1);
    }
    must(pm_rz_status(&z));
    pm_rz_drop(&z);
}

static struct {
    char word[64];
    uint64_t n;
} top[TOP];
static unsigned long words;

static void rank_word(const char *word, size_t len, uint64_t n) {
    unsigned i = TOP;
    words++;
    while (i > 0 && top[i - 1].n < n) i--;
    if (i == TOP) return;
    memmove(&top[i + 1], &top[i], (TOP - 1 - i) * sizeof *top);
    top[i].n = n;
    snprintf(top[i].word, sizeof top[i].word, "%.*s", (int)len, word);
}

static void print_word(const char *word, size_t len, uint64_t n) { printf("  %.*s %" PRIu64 "\n", (int)len, word, n); }

/* Keys below "word/" are `file/line`; in order, so that the lines of a file stand together. */
static void print_files(const char *key) {
    char last[LINE_MAX_BYTES] = "";
    unsigned files = 0;
    pm_rz z;
    must(pm_rz_open(&idx.map, key, strlen(key), &z));
    while (pm_rz_to_next_val(&z)) {
        size_t n;
        const char *path = (const char *)pm_rz_path(&z, &n);
        while (n && path[n - 1] != '/') n--; /* leave the line out */
        if (n >= sizeof last || (strncmp(last, path, n) == 0 && last[n] == '\0')) continue;
        memcpy(last, path, n);
        last[n] = '\0';
        if (files++ < SHOWN) printf("  %.*s\n", (int)(n - 1), last);
    }
    if (files > SHOWN) printf("  and %u more\n", files - SHOWN);
    must(pm_rz_status(&z));
    pm_rz_drop(&z);
}

/* A map of what is below "word/", which shares the index's nodes: nothing is copied. */
static uint64_t mentions_of(const pm_map *m, const char *key) {
    uint64_t n = 0;
    pm_map sub;
    must(pm_subtrie(m, key, strlen(key), &sub, NULL));
    must(pm_val_count(&sub, &n));
    pm_drop(&sub);
    return n;
}

static void print_figures(double took) {
    pm_stats s;
    pm_pool_stats p;
    must(pm_get_stats(&idx.map, &s));
    pm_pool_get_stats(NULL, &p);
    double keys = idx.mentions ? (double)idx.mentions : 1;
    printf("%lu files, %lu words, %lu mentions in %.2f s: %.0f ns a mention, reading included\n", idx.files, words,
           idx.mentions, took, took * 1e9 / keys);
    printf("memory: %.1f bytes a key of %.1f bytes; %" PRIu64 " nodes, %.1f MB, %.1f MB with the pool's slack\n",
           (double)s.bytes / keys, (double)idx.key_bytes / keys, s.nodes, (double)s.bytes / 1e6,
           (double)p.in_slabs / 1e6);
}

/* Takes a snapshot, changes the index, and compares. */
static void print_snapshot(const char *key) {
    pm_pool_stats before, after;
    pm_pool_get_stats(NULL, &before);
    double start = seconds();
    pm_map snapshot = pm_clone(&idx.map);
    double took = seconds() - start;
    must(pm_set(&idx.map, "snapshot/new.h/1", 16, 0, NULL));
    must(pm_remove_branches(&idx.map, key, strlen(key), PM_PRUNE, NULL));
    pm_pool_get_stats(NULL, &after);
    printf("a snapshot, in %.0f ns; then the index forgets %s* and learns a word:\n", took * 1e9, key);
    printf("  below %s: %" PRIu64 " mentions in the snapshot, %" PRIu64 " in the index\n", key,
           mentions_of(&snapshot, key), mentions_of(&idx.map, key));
    printf("  the two differ in %" PRIu64 " nodes, %" PRIu64 " bytes; all others serve both\n",
           after.nodes - before.nodes, after.live - before.live);
    pm_drop(&snapshot);
}

int main(int argc, char **argv) {
    const char *folder = argc > 1 ? argv[1] : "/usr/include";
    const char *word = argc > 2 ? argv[2] : "size_t", *prefix = argc > 3 ? argv[3] : "pthread_mutex_";
    char key[KEY_MAX_BYTES];
    double start = seconds();
    snprintf(key, sizeof key, "%s/", word);
    idx.map = pm_new(pm_ops_unit(), NULL);
    idx.folder_len = strlen(folder);
    if (nftw(folder, index_file, 32, FTW_PHYS) != 0) return perror(folder), 1;
    double took = seconds() - start;
    if (isatty(STDERR_FILENO)) fprintf(stderr, "\r\033[K");
    each_word("", rank_word);
    print_figures(took);
    puts("most mentioned:");
    for (unsigned i = 0; i < TOP && top[i].n; i++) print_word(top[i].word, strlen(top[i].word), top[i].n);
    printf("files that mention `%s`:\n", word);
    print_files(key);
    printf("words that begin with `%s`:\n", prefix);
    each_word(prefix, print_word);
    print_snapshot(key);
    pm_drop(&idx.map);
    return 0;
}
