/* Folds: results for a whole trie from the results of its parts. Sizes of folders, a hash that tells whether two maps
   are equal, sharing found afterwards, and a trie so large that only a cached fold can count it. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

static const struct {
    const char *path;
    pm_val bytes;
} files[] = {{"src/main.c", 4100},
             {"src/util/list.c", 900},
             {"src/util/list.h", 200},
             {"doc/manual.txt", 15000},
             {"doc/old/manual.txt", 12000}};

/* Adds up what lies below, and prints it at each folder: where the path ends with a slash. */
static int size_at(void *ctx, const pm_fold_at *here, void *out) {
    const uint64_t *below = here->results;
    uint64_t sum = here->val ? *here->val : 0;
    (void)ctx;
    for (unsigned i = 0; i < here->n; i++) sum += below[i];
    if (here->len == 0 || here->path[here->len - 1] == '/')
        printf("%6" PRIu64 "  /%.*s\n", sum, (int)here->len, (const char *)here->path);
    memcpy(out, &sum, sizeof sum);
    return PM_OK;
}

/* The longest way down, in bytes: the runs that a jumping fold skips count with their length. A pure function of what
   it gets, so shared subtries are asked for once. */
static int depth_at(void *ctx, const pm_fold_at *here, void *out) {
    const uint64_t *below = here->results;
    uint64_t most = 0;
    (void)ctx;
    for (unsigned i = 0; i < here->n; i++)
        if (below[i] + 1 > most) most = below[i] + 1; /* the byte that the mask shows */
    most += here->jump_len;
    memcpy(out, &most, sizeof most);
    return PM_OK;
}

/* 80 times: two branches, either with all there was before. */
static int doubling_at(void *ctx, void *seed, pm_sprout *here, const uint8_t *path, size_t len) {
    const pm_map *inner = ctx;
    (void)seed, (void)path, (void)len;
    int s = pm_sprout_graft(here, "left", 4, inner);
    return s == PM_OK ? pm_sprout_graft(here, "right", 5, inner) : s;
}

int main(void) {
    pm_map m = {0}, back = {0}, big = {0};
    uint64_t total, depth, values;
    pm_hash128 a, b;
    pm_merkle_stats stats;
    size_t n = sizeof files / sizeof *files;
    for (size_t i = 0; i < n; i++) {
        if (pm_set(&m, files[i].path, strlen(files[i].path), files[i].bytes, NULL) != PM_OK) return 1;
        if (pm_set(&back, files[n - 1 - i].path, strlen(files[n - 1 - i].path), files[n - 1 - i].bytes, NULL) != PM_OK)
            return 1;
    }
    pm_fold sizes = {.size = sizeof total, .at = size_at};
    if (pm_fold_map(&m, &sizes, &total) != PM_OK) return 1;

    if (pm_hash(&m, &a) != PM_OK || pm_hash(&back, &b) != PM_OK) return 1;
    printf("built in another order: %s hash\n", a.lo == b.lo && a.hi == b.hi ? "the same" : "another");

    if (pm_set(&big, "seed", 4, 1, NULL) != PM_OK) return 1;
    for (int i = 0; i < 80; i++) {
        pm_map next;
        pm_unfold twice = {.ctx = &big, .at = doubling_at};
        if (pm_unfold_map(&twice, NULL, NULL, NULL, &next) != PM_OK) return 1;
        pm_drop(&big);
        big = next;
    }
    pm_fold depths = {.size = sizeof depth, .flags = PM_FOLD_JUMPING | PM_FOLD_CACHED, .at = depth_at};
    if (pm_fold_map(&big, &depths, &depth) != PM_OK || pm_val_count(&big, &values) != PM_OK) return 1;
    printf("2^80 paths (counted: %s), the longest of %" PRIu64 " bytes\n",
           values == UINT64_MAX ? "more than 64 bits hold" : "?", depth);

    pm_drop(&back);
    for (char c = 'a'; c <= 'z'; c++) { /* what is built apart shares nothing, until it is looked for */
        for (unsigned i = 0; i < 100; i++) {
            char key[16];
            int len = snprintf(key, sizeof key, "%c/%u.txt", c, i);
            if (pm_set(&back, key, (size_t)len, i, NULL) != PM_OK) return 1;
        }
    }
    if (pm_merkleize(&back, &stats) != PM_OK) return 1;
    printf("26 equal folders: %s\n",
           stats.replaced * 10 > stats.nodes * 9 ? "over nine tenths of the nodes were copies" : "?");
    pm_drop(&m);
    pm_drop(&back);
    pm_drop(&big);
    return 0;
}
