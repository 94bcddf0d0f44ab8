/* Snapshots: a clone costs O(1) whatever the map holds, so the past can be kept, compared and come back to. */
#include <stdio.h>
#include <string.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

static bool print_entry(void *ctx, const uint8_t *key, size_t len, pm_val val) {
    (void)ctx;
    printf(" %.*s=%d", (int)len, (const char *)key, (int)val);
    return true;
}

static bool print_map(const char *name, const pm_map *m) {
    printf("%-8s", name);
    if (pm_each(m, print_entry, NULL) != PM_OK) return false;
    printf("\n");
    return true;
}

/* Moves money, all or nothing: whatever went wrong on the way, the map is as it was before. */
static bool transfer(pm_map *m, const char *from, const char *to, pm_val amount) {
    pm_txn txn = {0};
    pm_val *a, *b;
    if (pm_txn_begin(&txn, m) != PM_OK) return false;
    bool ok = pm_get_or_set(m, to, strlen(to), 0, &b, NULL) == PM_OK;
    if (ok) *b += amount;
    ok = ok && pm_get_mut(m, from, strlen(from), &a) == PM_OK && a != NULL && *a >= amount;
    if (ok) *a -= amount;
    return (ok ? pm_txn_commit(&txn) : pm_txn_rollback(&txn, m)) == PM_OK && ok;
}

int main(void) {
    pm_map accounts = {0}, history[3];
    bool same = false;
    if (pm_set(&accounts, "ann", 3, 100, NULL) != PM_OK || pm_set(&accounts, "bob", 3, 20, NULL) != PM_OK) return 1;
    history[0] = pm_clone(&accounts);
    printf("ann gives bob 30: %s\n", transfer(&accounts, "ann", "bob", 30) ? "done" : "refused");
    history[1] = pm_clone(&accounts);
    printf("bob gives eve 70: %s\n", transfer(&accounts, "bob", "eve", 70) ? "done" : "refused");
    history[2] = pm_clone(&accounts);
    printf("bob gives eve 50: %s\n", transfer(&accounts, "bob", "eve", 50) ? "done" : "refused");

    for (int i = 0; i < 3; i++) {
        char name[8];
        snprintf(name, sizeof name, "step %d", i);
        if (!print_map(name, &history[i])) return 1;
    }
    if (!print_map("now", &accounts)) return 1;
    /* Equality looks only where the two do not share; after a rollback they share everything. */
    if (pm_equal(&history[1], &history[2], &same) != PM_OK) return 1;
    printf("the refused step changed %s\n", same ? "nothing" : "something");
    for (int i = 0; i < 3; i++) pm_drop(&history[i]);
    pm_drop(&accounts);
    return 0;
}
