/* A shared object with private copies of both libraries, which test_process loads and unloads. */
#define PATHMAP_STATIC
#define INTERNING_STATIC
#include "../interning.h"
#include "../pathmap.h"

#include <stdio.h>

int plugin_work(unsigned n);
void plugin_trim(void);

static pm_status work_on_maps(unsigned n, pm_map *m, pm_map *clone) {
    char key[32];
    pm_status s = PM_OK;
    for (unsigned i = 0; i < n && s == PM_OK; i++) {
        int len = snprintf(key, sizeof key, "key%u", i);
        s = pm_set(m, key, (size_t)len, i, NULL);
    }
    *clone = pm_clone(m);
    for (unsigned i = 0; i < n && s == PM_OK; i += 2) {
        int len = snprintf(key, sizeof key, "key%u", i);
        s = pm_remove(clone, key, (size_t)len, PM_PRUNE, NULL);
    }
    return s;
}

static bool work_on_symbols(unsigned n) {
    char key[32];
    intern_table *t = NULL;
    intern_permit p;
    intern_symbol s;
    if (intern_table_new(NULL, &t) != INTERN_OK) return false;
    bool right = intern_permit_acquire(t, &p) == INTERN_OK;
    for (unsigned i = 0; i < n && right; i++) {
        int len = snprintf(key, sizeof key, "key%u", i);
        right = intern_get_or_insert(t, &p, key, (size_t)len, &s, NULL) == INTERN_OK;
    }
    right = right && intern_permit_release(&p) == INTERN_OK;
    intern_table_free(t);
    return right;
}

/* Leaves no map and no table behind. 0: all went well. */
int plugin_work(unsigned n) {
    pm_map m = {0}, clone = {0};
    uint64_t left = 0;
    pm_status s = work_on_maps(n, &m, &clone);
    if (s == PM_OK) s = pm_val_count(&clone, &left);
    pm_drop(&m);
    pm_drop(&clone);
    return s == PM_OK && left == n / 2 && work_on_symbols(n / 8) ? 0 : 1;
}

void plugin_trim(void) { pm_pool_trim(NULL); }
