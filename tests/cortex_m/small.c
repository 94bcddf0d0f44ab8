/* get, set, iterate and clone, and nothing else: what they take of flash. */
#define PM_NO_MALLOC 1
#define PM_NO_THREADS 1
#define PM_NO_STDIO 1
#define PM_ASSERT(c) ((void)0)
#define PATHMAP_STATIC
#include "../../pathmap.h"
#include "start.h"

static _Alignas(16) unsigned char memory[4096];

int main(void) {
    pm_map m = {0};
    if (pm_lend(memory, sizeof memory) || pm_set(&m, "a/b", 3, 1, NULL) || pm_set(&m, "a/c", 3, 2, NULL)) return 1;
    pm_map old = pm_clone(&m);
    uint32_t sum = 0;
    if (pm_set(&m, "a/b", 3, 5, NULL)) return 1;
    for (pm_iter i = pm_iter_vals(&m); pm_iter_next(&i);) sum += (uint32_t)*i.val;
    const pm_val *v = pm_get(&old, "a/b", 3);
    bool right = sum == 7 && v && *v == 1;
    pm_drop(&old), pm_drop(&m);
    return right && pm_lent_free(NULL) == sizeof memory ? 0 : 1;
}
