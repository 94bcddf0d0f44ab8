#include <stdio.h>
#define PATHMAP_IMPLEMENTATION
#include "pathmap.h"

int main(void) {
    pm_map stock = {0}; /* empty; values are 64-bit words */
    if (pm_set(&stock, "fruit/apple", 11, 3, NULL) || pm_set(&stock, "fruit/pear", 10, 5, NULL)) return 1;
    pm_map monday = pm_clone(&stock); /* a snapshot: O(1), shares every node */
    if (pm_set(&stock, "fruit/plum", 10, 7, NULL) || pm_remove(&stock, "fruit/pear", 10, true, NULL)) return 1;
    for (int now = 0; now <= 1; now++) {
        pm_rz z; /* a cursor, here over what begins with a prefix, in order */
        if (pm_rz_open(&z, now ? &stock : &monday, "fruit/", 6)) return 1;
        for (size_t n; pm_rz_to_next_val(&z);) {
            const char *name = (const char *)pm_rz_path(&z, &n);
            printf("%s: %d %.*s\n", now ? "now" : "monday", (int)*pm_rz_val(&z), (int)n, name);
        }
        pm_rz_drop(&z);
    }
    pm_drop(&monday), pm_drop(&stock);
}
