/* A program that is one file with private copies of both libraries. */
#define PATHMAP_STATIC
#define INTERNING_STATIC
#include "../interning.h"
#include "../pathmap.h"

#include <stdio.h>

int main(void) {
    pm_map m = {0};
    intern_table *t = NULL;
    if (pm_set(&m, "private", 7, 42, NULL) != PM_OK || intern_table_new(NULL, &t) != INTERN_OK) return 1;
    const pm_val *v = pm_get(&m, "private", 7);
    bool right = v && *v == 42 && intern_get(t, "private", 7) == INTERN_NONE;
    printf("%d\n", right);
    pm_drop(&m);
    intern_table_free(t);
    return right ? 0 : 1;
}
