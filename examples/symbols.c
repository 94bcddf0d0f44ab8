/* Interning from several threads: finds the identifiers of a source tree and prints the most frequent ones.

       symbols             a sample that is part of this program
       symbols DIR [N]     all sources below DIR, with N threads (default 2)

   Threads share one table. Each acquires a permit, takes the next file, and turns identifiers into symbols in batches;
   from then on an occurrence is a number, and counting is sorting numbers. */
#define _POSIX_C_SOURCE 200809L

#define INTERNING_IMPLEMENTATION
#include "../interning.h"

#include <dirent.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>

enum { THREADS_MAX = 64, BATCH = 64, PRINTED = 12 };

static const char *const sample[] = {
    "int main(void) { for (int i = 0; i < 10; i++) print(i); return 0; }",
    "static int twice(int i) { return i + i; }  static int half(int i) { return i / 2; }",
    "void print(int i) { if (i > 9) print(i / 10); put(i % 10); }",
};

static void die(const char *what) {
    fprintf(stderr, "symbols: %s\n", what);
    exit(1);
}

static void *grown(void *old, size_t bytes) {
    void *p = realloc(old, bytes);
    if (!p) die("out of memory");
    return p;
}

/* A list of things to read: file names, or texts when `is_text`. */
typedef struct source_list {
    char **item;
    size_t n, cap;
    int is_text;
} source_list;

static void source_add(source_list *l, const char *dir, const char *name) {
    if (l->n == l->cap) l->item = grown(l->item, (l->cap = l->cap ? 2 * l->cap : 64) * sizeof *l->item);
    char *item = grown(NULL, strlen(dir) + strlen(name) + 2);
    sprintf(item, "%s%s%s", dir, *dir ? "/" : "", name);
    l->item[l->n++] = item;
}

static int is_source(const char *name) {
    static const char *const ends[] = {".c", ".h", ".cc", ".cpp", ".hpp", ".rs", ".go", ".java", ".py", ".js"};
    const char *dot = strrchr(name, '.');
    for (size_t i = 0; dot && i < sizeof ends / sizeof ends[0]; i++)
        if (strcmp(dot, ends[i]) == 0) return 1;
    return 0;
}

/* Folders wait in a list of their own, so depth costs no stack. Links are not followed. */
static void source_find(source_list *l, const char *root) {
    source_list folders = {NULL, 0, 0, 0};
    source_add(&folders, "", root);
    while (folders.n) {
        char *folder = folders.item[--folders.n];
        DIR *d = opendir(folder);
        for (struct dirent *e; d && (e = readdir(d)) != NULL;) {
            struct stat st;
            if (e->d_name[0] == '.') continue;
            source_add(&folders, folder, e->d_name);
            char *path = folders.item[folders.n - 1];
            if (lstat(path, &st) == 0 && S_ISDIR(st.st_mode)) continue;
            folders.n--;
            if (is_source(path)) source_add(l, "", path);
            free(path);
        }
        if (d) closedir(d);
        free(folder);
    }
    free(folders.item);
}

static char *read_all(const char *path, size_t *len) {
    char *text = NULL;
    FILE *f = fopen(path, "rb");
    *len = 0;
    for (size_t got = 1; f && got;) {
        text = grown(text, *len + 65536);
        got = fread(text + *len, 1, 65536, f);
        *len += got;
    }
    if (f) fclose(f);
    return text;
}

/* What a thread does, and what it found. */
typedef struct worker {
    intern_table *table;
    const source_list *sources;
    atomic_size_t *next;
    intern_symbol *seen; /* every occurrence */
    size_t n, cap;
    intern_status status;
} worker;

static void intern_batch(worker *w, const intern_permit *p, const intern_key *keys, size_t n) {
    if (w->n + n > w->cap) w->seen = grown(w->seen, (w->cap = 2 * (w->n + n)) * sizeof *w->seen);
    if (w->status == INTERN_OK) w->status = intern_get_or_insert_many(w->table, p, keys, n, w->seen + w->n, NULL);
    if (w->status == INTERN_OK) w->n += n;
}

static int starts_name(char c) { return (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z') || c == '_'; }
static int in_name(char c) { return starts_name(c) || (c >= '0' && c <= '9'); }

static void intern_text(worker *w, const intern_permit *p, const char *text, size_t len) {
    intern_key keys[BATCH];
    size_t n = 0;
    for (size_t i = 0; i < len;) {
        size_t from = i++;
        if (in_name(text[from]))
            while (i < len && in_name(text[i])) i++;
        if (!starts_name(text[from])) continue; /* a number, or no word at all */
        keys[n].data = text + from;
        keys[n++].len = i - from;
        if (n == BATCH) {
            intern_batch(w, p, keys, n);
            n = 0;
        }
    }
    intern_batch(w, p, keys, n);
}

static void *work(void *arg) {
    worker *w = arg;
    intern_permit p;
    w->status = intern_permit_acquire(w->table, &p);
    if (w->status != INTERN_OK) return NULL;
    for (size_t i; (i = atomic_fetch_add(w->next, 1)) < w->sources->n;) {
        const char *item = w->sources->item[i];
        size_t len = strlen(item);
        char *text = w->sources->is_text ? NULL : read_all(item, &len);
        intern_text(w, &p, w->sources->is_text ? item : text, len);
        free(text);
    }
    intern_status released = intern_permit_release(&p);
    if (w->status == INTERN_OK) w->status = released;
    return NULL;
}

/* Counting: symbols are numbers, so occurrences are sorted and runs counted. */
typedef struct tally {
    intern_symbol symbol;
    size_t count;
    const char *bytes;
    size_t len;
} tally;

static int by_symbol(const void *a, const void *b) {
    intern_symbol x = *(const intern_symbol *)a, y = *(const intern_symbol *)b;
    return (x > y) - (x < y);
}

/* Most frequent first; equals in the order of their bytes, so that the output does not depend on threads. */
static int by_count(const void *a, const void *b) {
    const tally *x = a, *y = b;
    if (x->count != y->count) return x->count < y->count ? 1 : -1;
    int c = memcmp(x->bytes, y->bytes, x->len < y->len ? x->len : y->len);
    return c ? c : (x->len > y->len) - (x->len < y->len);
}

static void print_most_frequent(const intern_table *t, intern_symbol *seen, size_t n) {
    tally *all = grown(NULL, (n + 1) * sizeof *all);
    size_t m = 0;
    if (n) qsort(seen, n, sizeof *seen, by_symbol);
    for (size_t i = 0; i < n; i++) {
        if (i == 0 || seen[i] != seen[i - 1]) {
            all[m].symbol = seen[i];
            all[m].count = 0;
            all[m].bytes = intern_bytes(t, seen[i], &all[m].len);
            m++;
        }
        all[m - 1].count++;
    }
    qsort(all, m, sizeof *all, by_count);
    printf("%zu identifiers, %zu distinct\n", n, m);
    for (size_t i = 0; i < m && i < PRINTED; i++) printf("%8zu  %.*s\n", all[i].count, (int)all[i].len, all[i].bytes);
    free(all);
}

int main(int argc, char **argv) {
    unsigned threads = argc > 2 ? (unsigned)strtoul(argv[2], NULL, 10) : 2;
    source_list sources = {NULL, 0, 0, argc < 2};
    pthread_t thread[THREADS_MAX];
    worker workers[THREADS_MAX] = {{0}};
    atomic_size_t next = 0;
    intern_table *table;

    if (threads < 1 || threads > THREADS_MAX) die("usage: symbols [DIR [1..64]]");
    if (argc > 1) source_find(&sources, argv[1]);
    else
        for (size_t i = 0; i < sizeof sample / sizeof sample[0]; i++) source_add(&sources, "", sample[i]);
    if (intern_table_new(NULL, &table) != INTERN_OK) die("out of memory");

    for (unsigned i = 0; i < threads; i++) {
        worker w = {table, &sources, &next, NULL, 0, 0, INTERN_OK};
        workers[i] = w;
        if (pthread_create(&thread[i], NULL, work, &workers[i]) != 0) die("no thread");
    }
    intern_symbol *seen = NULL;
    size_t n = 0;
    for (unsigned i = 0; i < threads; i++) {
        pthread_join(thread[i], NULL);
        if (workers[i].status != INTERN_OK) die(intern_status_text(workers[i].status));
        seen = grown(seen, (n + workers[i].n + 1) * sizeof *seen);
        if (workers[i].n) memcpy(seen + n, workers[i].seen, workers[i].n * sizeof *seen);
        n += workers[i].n;
        free(workers[i].seen);
    }
    print_most_frequent(table, seen, n);

    free(seen);
    for (size_t i = 0; i < sources.n; i++) free(sources.item[i]);
    free(sources.item);
    intern_table_free(table);
    return 0;
}
