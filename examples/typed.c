/* Values of any size: structs and text as values in one line, and documents inside documents with a snapshot. */
#include <stdio.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

typedef struct city {
    double area;
    long people;
} city;

/* A struct that owns nothing is copied in as it is; the text is copied too. */
PM_DEFINE_BLOB_MAP(cities, city, pm_ops_bytes())
PM_DEFINE_TEXT_MAP(notes)

static bool grow(void *ctx, const city *was, city *now) {
    now->people += *(const long *)ctx; /* *now begins as a copy */
    return was != NULL;                /* a city that is not there stays away */
}

static pm_status both(pm_map *store) {
    pm_map page = {0}, *open = NULL;
    pm_status s = pm_set(&page, "views", 5, 1, NULL);
    if (s == PM_OK) s = pm_nested_set(store, "page/1", 6, &page); /* the content moves; `page` is empty now */
    pm_drop(&page);
    pm_map old = pm_clone(store); /* a snapshot of all levels */
    if (s == PM_OK) s = pm_nested_mut(store, "page/1", 6, &open);
    if (s == PM_OK) s = pm_set(open, "views", 5, 2, NULL);
    if (s == PM_OK) {
        const pm_val *then = pm_get(pm_nested_get(&old, "page/1", 6), "views", 5);
        const pm_val *now = pm_get(pm_nested_get(store, "page/1", 6), "views", 5);
        printf("views: %d then, %d now\n", (int)*then, (int)*now);
    }
    pm_drop(&old);
    return s;
}

int main(void) {
    cities m = cities_new();
    notes n = notes_new();
    pm_map store = pm_new(pm_ops_map(), NULL);
    const city bern = {51.6, 134000}, basel = {23.9, 173000};
    long more = 1000;
    bool ok = cities_set(&m, "bern", 4, &bern) == PM_OK && cities_set(&m, "basel", 5, &basel) == PM_OK;
    ok = ok && cities_update(&m, "bern", 4, grow, &more) == PM_OK && notes_set(&n, "bern", 4, "on the Aare") == PM_OK;
    for (pm_iter i = cities_iter(&m); ok && pm_iter_next(&i);) {
        const city *c = cities_iter_val(&i);
        const char *note = notes_get(&n, i.key, i.len);
        printf("%.*s: %ld people, %s\n", (int)i.len, (const char *)i.key, c->people, note ? note : "no note");
    }
    ok = ok && both(&store) == PM_OK;
    cities_drop(&m);
    notes_drop(&n);
    pm_drop(&store);
    return ok ? 0 : 1;
}
