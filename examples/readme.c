#include <stdio.h>
#define PATHMAP_IMPLEMENTATION
#include "pathmap.h"

int main(void) {
    pm_map stock = {0}, all;
    if (pm_set(&stock, "fruit/apple", 11, 3, NULL)) return 1;
    pm_map ann = pm_clone(&stock), bob = pm_clone(&stock); /* two snapshots, O(1): they share every node */
    if (pm_set(&ann, "fruit/pear", 10, 5, NULL) || pm_set(&bob, "nut/hazel", 9, 7, NULL)) return 1;
    if (pm_join(&ann, &bob, &all, NULL)) return 1; /* looks only at what the two do not share */
    pm_iter i = pm_iter_vals(&all);
    while (pm_iter_next(&i)) printf("%.*s: %d\n", (int)i.len, (const char *)i.key, (int)*i.val);
    pm_iter_drop(&i);
    pm_drop(&stock), pm_drop(&ann), pm_drop(&bob), pm_drop(&all);
}
