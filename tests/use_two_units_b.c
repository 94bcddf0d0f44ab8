/* The other file of the program: declarations only. Both see the same structures. */
#include "../interning.h"
#include "../pathmap.h"

#include <stdio.h>

int two_units_a(const pm_map *m, const intern_table *t);

int main(void) {
    pm_map m = pm_new(NULL, NULL), all = {0};
    intern_table *t = NULL;
    intern_permit p;
    intern_symbol s = INTERN_NONE;
    uint64_t values = 0;
    int seen = 0;
    if (intern_table_new(NULL, &t) != INTERN_OK || intern_permit_acquire(t, &p) != INTERN_OK) return 1;
    if (intern_get_or_insert(t, &p, "wor\x2a", 4, &s, NULL) != INTERN_OK) return 1;
    if (pm_set(&m, "shared", 6, s, NULL) != PM_OK) return 1;
    seen = two_units_a(&m, t);
    if (intern_snapshot(t, &all) != INTERN_OK || pm_val_count(&all, &values) != PM_OK) return 1;
    pm_drop(&all);
    pm_drop(&m);
    if (intern_permit_release(&p) != INTERN_OK) return 1;
    intern_table_free(t);
    printf("%d %d\n", seen, (int)values);
    return seen == 42 && values == 1 ? 0 : 1;
}
