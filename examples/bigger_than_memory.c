/* A base larger than the memory that the program may take, and a small change on it.

   The base is an image in a file, mapped read-only: its pages belong to the system, which reads them when they are
   looked at and forgets them when it must. Over it stands a mixed trie: reads go through both, and a write takes memory
   for its own way alone. What has changed is saved as a patch beside the base; base and patch together are the whole
   again.

   The limit is set by the program itself, twice: the pool has a budget for nodes, and the process one for its data
   (RLIMIT_DATA; on Linux all private memory that is written, which read-only mappings of files are not). */
#define _POSIX_C_SOURCE 200809L
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS = 60000, TEXT = 300, CHANGES = 100, NODES_MAX = 1 << 20, DATA_MAX = 8 << 20 };

static size_t name_of(char *key, size_t room, unsigned i) {
    return (size_t)snprintf(key, room, "article/%05u/text", i);
}

/* Another process makes the base, one with enough memory. */
static bool make_base(const char *file) {
    pm_map all = pm_new(pm_ops_bytes(), NULL);
    char key[40], text[TEXT];
    bool ok = true;
    uint64_t seed = 1;
    for (unsigned i = 0; ok && i < KEYS; i++) {
        pm_val val;
        for (size_t k = 0; k < sizeof text; k++) {
            seed = seed * 6364136223846793005u + 1442695040888963407u;
            text[k] = (char)('a' + (seed >> 59));
        }
        ok = pm_bytes_new(text, sizeof text, &val) == PM_OK;
        ok = ok && pm_set(&all, key, name_of(key, sizeof key, i), val, NULL) == PM_OK;
    }
    return ok && pm_image_write_file(&all, 1, file, NULL, NULL, NULL) == PM_OK;
}

typedef struct mapping {
    void *block;
    size_t size;
} mapping;

static void unmap(void *ctx) {
    mapping *m = (mapping *)ctx;
    (void)munmap(m->block, m->size);
    puts("the base is closed");
}

static bool map_file(const char *file, mapping *m) {
    struct stat about;
    int fd = open(file, O_RDONLY);
    if (fd < 0 || fstat(fd, &about) != 0) return false;
    m->size = (size_t)about.st_size;
    m->block = mmap(NULL, m->size, PROT_READ, MAP_SHARED, fd, 0);
    (void)close(fd);
    return m->block != MAP_FAILED;
}

/* The small change: new texts, and articles that go. */
static bool change(pm_mixed *m) {
    char key[40];
    bool ok = true;
    for (unsigned i = 0; ok && i < CHANGES; i++) {
        size_t len = name_of(key, sizeof key, i * 599 % KEYS);
        pm_val val;
        if (i % 4 == 0) {
            ok = pm_mixed_remove(m, key, len, PM_PRUNE, NULL) == PM_OK;
        } else {
            ok = pm_bytes_new(key, len, &val) == PM_OK && pm_mixed_set(m, key, len, val, NULL) == PM_OK;
        }
    }
    return ok;
}

/* What has changed since the base, to a file. */
static bool save(const pm_image *base, const pm_image_reading *reading, const pm_mixed *m, const char *file) {
    pm_rz old, now;
    pm_patch patch;
    struct stat about;
    if (pm_image_rz(base, 0, reading, &old) != PM_OK || pm_mixed_rz(m, &now) != PM_OK) return false;
    bool ok = pm_rz_patch(&old, &now, &patch) == PM_OK;
    if (ok) {
        ok = pm_patch_write_file(&patch, file, NULL, NULL) == PM_OK && stat(file, &about) == 0;
        if (ok) printf("saved: %d changes in %d bytes\n", (int)pm_patch_count(&patch), (int)about.st_size);
        pm_patch_drop(&patch);
    }
    pm_rz_drop(&old);
    pm_rz_drop(&now);
    return ok;
}

/* The base and what was saved. */
static bool load(pm_mixed *m, pm_base *base, const char *file) {
    pm_patch patch;
    pm_change c;
    if (pm_mixed_hang(m, NULL, 0, base, 0) != PM_OK) return false;
    if (pm_patch_read_file(pm_ops_bytes(), file, NULL, &patch, NULL) != PM_OK) return false;
    bool ok = true;
    for (size_t i = 0; ok && pm_patch_at(&patch, i, &c); i++) {
        if (c.after.some)
            ok = pm_mixed_set(m, c.key, c.len, pm_bytes_retain(c.after.val), NULL) == PM_OK;
        else ok = pm_mixed_remove(m, c.key, c.len, PM_PRUNE, NULL) == PM_OK;
    }
    pm_patch_drop(&patch);
    return ok;
}

static bool differs(void *ctx, const pm_change *c) {
    (void)c;
    *(bool *)ctx = true;
    return false;
}

static bool compare(const pm_mixed *a, const pm_mixed *b) {
    pm_rz x, y;
    bool other = false;
    uint64_t n;
    if (pm_mixed_rz(a, &x) != PM_OK || pm_mixed_rz(b, &y) != PM_OK) return false;
    bool ok = pm_rz_diff(&x, &y, differs, &other) == PM_OK && !other && pm_rz_val_count(&y, &n) == PM_OK;
    if (ok) printf("opened again: the same, %d articles\n", (int)n);
    pm_rz_drop(&x);
    pm_rz_drop(&y);
    return ok;
}

static bool work(const pm_image *image, mapping *file, const char *patch_name) {
    pm_pool *pool;
    pm_pool_stats stats;
    pm_pool_options small = {.budget = NODES_MAX};
    if (pm_pool_new(&small, &pool) != PM_OK) return false;
    pm_image_reading reading = {.ops = pm_ops_bytes(), .pool = pool};
    pm_map loaded;
    pm_base *base;
    if (pm_image_load(image, &reading, &loaded, NULL) != PM_NOMEM) return false;
    puts("loading it: no memory");
    if (pm_base_open(image, &reading, unmap, file, &base) != PM_OK) return false;
    pm_mixed now = pm_mixed_new(pm_ops_bytes(), pool), again = pm_mixed_new(pm_ops_bytes(), pool);
    bool ok = pm_mixed_hang(&now, NULL, 0, base, 0) == PM_OK && change(&now);
    pm_pool_get_stats(pool, &stats);
    ok = ok && stats.live < 100 * 1024;
    if (ok) printf("%d changes: less than 100 KiB of nodes\n", CHANGES);
    ok = ok && save(image, &reading, &now, patch_name) && load(&again, base, patch_name) && compare(&now, &again);
    pm_base_close(base); /* closes when nothing refers to it any more */
    pm_mixed_drop(&now);
    pm_mixed_drop(&again);
    ok = pm_pool_free(pool) == PM_OK && ok;
    return ok;
}

int main(void) {
    char folder[] = "/tmp/bigger_than_memory.XXXXXX", name[64], patch[64];
    struct rlimit limit = {DATA_MAX, DATA_MAX};
    mapping file;
    pm_image image;
    int status = 1;
    if (!mkdtemp(folder)) return 1;
    snprintf(name, sizeof name, "%s/base", folder);
    snprintf(patch, sizeof patch, "%s/patch", folder);
    fflush(stdout);
    pid_t maker = fork();
    if (maker == 0) _exit(make_base(name) ? 0 : 1);
    if (maker < 0 || waitpid(maker, &status, 0) != maker || status != 0 || !map_file(name, &file)) return 1;
    if (setrlimit(RLIMIT_DATA, &limit) != 0) return 1;
    bool ok = pm_image_open(file.block, file.size, &image, NULL) == PM_OK && file.size > 2 * DATA_MAX;
    if (ok) printf("a base of %d MiB, %d MiB of memory\n", (int)(file.size >> 20), DATA_MAX >> 20);
    ok = ok && work(&image, &file, patch);
    (void)unlink(name);
    (void)unlink(patch);
    (void)rmdir(folder);
    return ok ? 0 : 1;
}
