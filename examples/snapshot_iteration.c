/* Iterating over a snapshot while the map changes.

   When: somebody goes through all of a map, slowly (to write it to a disk, to send it, to count), and the map must not
   stand still for that.
   Cost: one atomic increment. The map and the snapshot share what has not changed since; who changes the map copies the
   nodes that it changes, once.

   A zipper that owns its content is such a snapshot with a position in it, and may go to another thread. A fork of it
   sees the same, below a place of its own: so several threads can go through one snapshot, a part each. */
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { PATHS = 10000, PARTS = 3 };

/* path00042 */
static void path_of(unsigned i, char key[16]) { snprintf(key, 16, "path%05u", i); }

typedef struct walker {
    pm_rz snapshot;
    const char *part; /* the place below which this thread goes through it */
    unsigned paths;
    pm_val sum;
    bool sorted;
} walker;

static void *walk(void *arg) {
    walker *w = arg;
    char before[16] = "";
    pm_iter i = pm_iter_vals_of_rz(&w->snapshot);
    w->sorted = true;
    while (pm_iter_next(&i)) {
        char path[16];
        snprintf(path, sizeof path, "%.*s", (int)i.len, (const char *)i.key);
        w->sorted &= strcmp(before, path) < 0;
        memcpy(before, path, sizeof path);
        w->paths++;
        w->sum += *i.val;
    }
    must(pm_iter_status(&i));
    pm_rz_drop(&w->snapshot);
    return NULL;
}

/* Adds as much again, changes all, removes every other one. */
static void change_all(pm_map *m) {
    char key[16];
    for (unsigned i = PATHS; i < 2 * PATHS; i++) {
        path_of(i, key);
        put(m, key, i);
    }
    for (unsigned i = 0; i < PATHS; i++) {
        path_of(i, key);
        if (i % 2) must(pm_remove(m, key, strlen(key), PM_PRUNE, NULL));
        else put(m, key, 0);
    }
}

static void print_count(const char *when, const pm_map *m) {
    uint64_t n = 0;
    must(pm_val_count(m, &n));
    printf("the map %s: %d paths\n", when, (int)n);
}

int main(void) {
    static const char *const parts[PARTS] = {"path", "path00", "path07"};
    pm_map map = {0};
    pm_rz whole;
    walker walkers[PARTS];
    pthread_t thread[PARTS];
    char key[16];
    for (unsigned i = 0; i < PATHS; i++) {
        path_of(i, key);
        put(&map, key, i);
    }
    print_count("before", &map);

    must(pm_rz_open_owned(&map, NULL, 0, &whole));
    for (int i = 0; i < PARTS; i++) {
        walkers[i] = (walker){.part = parts[i]};
        pm_rz_reset(&whole);
        pm_rz_descend_to(&whole, parts[i], strlen(parts[i]));
        must(pm_rz_fork(&whole, &walkers[i].snapshot)); /* its root is the focus of the other */
        thread[i] = start(walk, &walkers[i]);
    }
    pm_rz_drop(&whole);
    change_all(&map); /* while they walk */
    for (int i = 0; i < PARTS; i++) finish(thread[i]);

    for (int i = 0; i < PARTS; i++)
        printf("%-7s in the snapshot: %5u paths, their sum is %8d, %s\n", parts[i], walkers[i].paths,
               (int)walkers[i].sum, walkers[i].sorted ? "in order" : "not in order");
    print_count("after", &map);
    pm_drop(&map);
    return 0;
}
