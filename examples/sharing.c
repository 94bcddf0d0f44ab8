/* What versions take together: ten clones of a map, in each of which one key in a hundred is changed.

   When: old versions are kept (undo, snapshots, one clone for each job), and the question is what that costs. Cost of a
   clone: nothing. Cost of a change in it: the nodes on the way to the key are copied once, so changes that lie side by
   side copy few nodes, and scattered ones many. pm_get_sharing tells: what the maps take together, and what they would
   take apart.

   Bytes depend on the kind of counts a little; what is printed is rounded. */
#include <stdio.h>
#include <stdlib.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

enum { KEYS = 50000, VERSIONS = 10, CHANGED = KEYS / 100 };

static void must(pm_status s) {
    if (s == PM_OK) return;
    fprintf(stderr, "%s\n", pm_status_text(s));
    exit(1);
}

static size_t key_of(unsigned n, char key[32]) {
    return (size_t)snprintf(key, 32, "customer/%03u/order/%05u", n / 200, n * 7919u % 100000u);
}

/* The numbers of a version's changes: one after the other, or all over the map. */
static unsigned changed(unsigned version, unsigned i, bool scattered) {
    return scattered ? (i * 100 + version * 13) % KEYS : (version * 4000 + i) % KEYS;
}

static void print_versions(const pm_map *m, bool scattered) {
    pm_map versions[VERSIONS];
    const pm_map *maps[VERSIONS + 1] = {m};
    pm_sharing alone, all;
    char key[32];
    for (unsigned v = 0; v < VERSIONS; v++) {
        versions[v] = pm_clone(m);
        maps[v + 1] = &versions[v];
        for (unsigned i = 0; i < CHANGED; i++)
            must(pm_set(&versions[v], key, key_of(changed(v, i, scattered), key), v + 1, NULL));
    }
    must(pm_get_sharing(maps, 1, &alone));
    must(pm_get_sharing(maps, VERSIONS + 1, &all));
    printf("%-13s %4.1f times the nodes of one map, about %.0f times its bytes; apart, %.0f times\n",
           scattered ? "scattered:" : "side by side:", (double)all.nodes / (double)alone.nodes,
           (double)all.bytes / (double)alone.bytes, (double)all.apart_bytes / (double)alone.bytes);
    for (unsigned v = 0; v < VERSIONS; v++) pm_drop(&versions[v]);
}

int main(void) {
    pm_map m = {0};
    char key[32];
    for (unsigned n = 0; n < KEYS; n++) must(pm_set(&m, key, key_of(n, key), 0, NULL));
    printf("a map and %d clones, in each of which 1%% of the keys is changed:\n", VERSIONS);
    print_versions(&m, false);
    print_versions(&m, true);
    pm_drop(&m);
    return 0;
}
