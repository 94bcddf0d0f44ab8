/* Prefixes: a map is ordered, so what begins alike stands together; a zipper goes to a place and looks around. */
#include <stdio.h>
#include <string.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

static const char *const routes[] = {"/",          "/api/users",   "/api/users/new", "/api/users/:id",
                                     "/api/posts", "/static/css/", "/static/js/",    "/about"};

/* The longest route that the request begins with: the last value on the way down. */
static void route(const pm_map *m, const char *request) {
    pm_rz z;
    size_t at = 0, best = 0, len = strlen(request), step;
    if (pm_rz_open(m, NULL, 0, &z) != PM_OK) return;
    while ((step = pm_rz_descend_to_val(&z, request + at, len - at)) > 0) {
        at += step;
        if (pm_rz_is_val(&z)) best = at;
    }
    printf("%s goes to %.*s\n", request, (int)best, request);
    pm_rz_drop(&z);
}

int main(void) {
    pm_map m = {0};
    pm_rz z;
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (pm_set(&m, routes[i], strlen(routes[i]), i, NULL) != PM_OK) return 1;

    /* A zipper rooted at a prefix cannot leave it: stepping from value to value lists what begins so, in order. */
    if (pm_rz_open(&m, "/api/", 5, &z) != PM_OK) return 1;
    uint64_t n = 0;
    if (pm_rz_val_count(&z, &n) != PM_OK) return 1;
    printf("%d routes below /api/:\n", (int)n);
    while (pm_rz_to_next_val(&z)) {
        size_t len;
        const char *path = (const char *)pm_rz_path(&z, &len);
        printf("  %.*s\n", (int)len, path);
    }
    pm_rz_drop(&z);

    /* Completion: what may follow, and how far there is no choice. */
    if (pm_rz_open(&m, "/api/u", 6, &z) != PM_OK) return 1;
    if (pm_rz_descend_until(&z)) {
        size_t len;
        const char *path = (const char *)pm_rz_origin_path(&z, &len);
        pm_mask next = pm_rz_child_mask(&z);
        printf("/api/u can only go on to %.*s; then may come:", (int)len, path);
        for (int b = pm_mask_next(&next, 0); b >= 0; b = pm_mask_next(&next, b + 1)) printf(" '%c'", b);
        printf("\n");
    }
    pm_rz_drop(&z);

    route(&m, "/api/users/new");
    route(&m, "/static/css/site.css");
    route(&m, "/nowhere");
    pm_drop(&m);
    return 0;
}
