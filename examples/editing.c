/* Editing: a write zipper works on whole subtries. Moving one costs what the path to it costs, whatever it holds. */
#include <stdio.h>
#include <string.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

static bool print_entry(void *ctx, const uint8_t *key, size_t len, pm_val val) {
    (void)ctx;
    printf("  %.*s = %d\n", (int)len, (const char *)key, (int)val);
    return true;
}

static void print_map(const char *title, const pm_map *m) {
    printf("%s\n", title);
    if (pm_each(m, print_entry, NULL) != PM_OK) printf("  out of memory\n");
}

int main(void) {
    static const char *const files[] = {"src/main.c", "src/util.c", "src/util.h", "README"};
    pm_map tree = {0}, part = {0};
    pm_wz w;
    pm_val *size;
    bool done = false;
    for (size_t i = 0; i < 4; i++)
        if (pm_set(&tree, files[i], strlen(files[i]), i + 1, NULL) != PM_OK) return 1;
    print_map("before", &tree);

    /* A copy of src/ as backup/: graft shares the subtrie of one place at another. */
    pm_map before = pm_clone(&tree);
    pm_rz src;
    if (pm_rz_open(&before, "src/", 4, &src) != PM_OK || pm_wz_open(&tree, NULL, 0, &w) != PM_OK) return 1;
    pm_rz_descend_to(pm_wz_cursor(&w), "backup/", 7);
    if (pm_wz_graft(&w, &src) != PM_OK) return 1;
    pm_rz_drop(&src);

    /* What is written into one does not show in the other. */
    pm_rz_descend_to(pm_wz_cursor(&w), "util.c", 6);
    if (pm_wz_get_mut(&w, &size) != PM_OK || !size) return 1;
    *size = 22;

    /* src/ moves to lib/core/src/: cut out, put back under a longer prefix. */
    (void)pm_rz_move_to(pm_wz_cursor(&w), "src", 3);
    if (pm_wz_take(&w, PM_PRUNE, &part, NULL) != PM_OK) return 1;
    (void)pm_rz_move_to(pm_wz_cursor(&w), "lib", 3);
    if (pm_wz_graft_map_move(&w, &part) != PM_OK) return 1;
    if (pm_wz_insert_prefix(&w, "/core/src", 9, &done) != PM_OK || !done) return 1;

    /* Each call says whether it worked, and so does closing, for all of them at once. */
    if (pm_wz_drop(&w) != PM_OK) return 1;
    print_map("after", &tree);
    pm_drop(&tree);
    print_map("the snapshot taken before", &before);
    pm_drop(&before);
    return 0;
}
