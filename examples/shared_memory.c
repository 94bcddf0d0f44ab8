/* Several processes, one bounded piece of memory: children build maps in a shared mapping, each a part of the whole,
   and the parent joins what they have left there. Then the same in a mapping that is too small for any of them. */
#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

#include <stdio.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>

enum { CHILDREN = 4 };

/* What the processes tell each other. It stands in the mapping, before the pool; a map is one writer's at a time. */
typedef struct board {
    pm_map part[CHILDREN];
    pm_status status[CHILDREN];
} board;

/* One child's work: the multiples of its prime below `limit`. */
static pm_status count_multiples(pm_map *m, unsigned child, unsigned limit) {
    static const unsigned primes[CHILDREN] = {2, 3, 5, 7};
    for (unsigned n = primes[child]; n < limit; n += primes[child]) {
        char key[32];
        int len = snprintf(key, sizeof key, "number/%06u", n);
        pm_status s = pm_set(m, key, (size_t)len, 1, NULL); /* joined values add up */
        if (s != PM_OK) return s;
    }
    return PM_OK;
}

/* Whether all have done their part. */
static bool run_children(board *b, unsigned limit) {
    fflush(stdout);
    for (unsigned i = 0; i < CHILDREN; i++) {
        pid_t pid = fork();
        if (pid < 0) b->status[i] = PM_NOMEM;
        if (pid != 0) continue;
        b->status[i] = count_multiples(&b->part[i], i, limit);
        _exit(0);
    }
    while (wait(NULL) > 0) {}
    bool done = true;
    for (unsigned i = 0; i < CHILDREN; i++) done = done && b->status[i] == PM_OK;
    return done;
}

/* How far each has come in a full region depends on the others; that its map is whole does not. */
static bool report(const board *b) {
    for (unsigned i = 0; i < CHILDREN; i++) {
        uint64_t values = 0;
        if (pm_val_count(&b->part[i], &values) != PM_OK || pm_check(&b->part[i], NULL) != PM_OK) return false;
        printf("child %u: %s", i, pm_status_text(b->status[i]));
        if (b->status[i] == PM_OK) printf(", %u numbers\n", (unsigned)values);
        else printf(", and its map is sound\n");
    }
    return true;
}

/* 0: all went well. */
static int try_region(size_t bytes, unsigned limit) {
    board *b = mmap(NULL, bytes, PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
    pm_pool *pool;
    if (b == MAP_FAILED || pm_pool_new_in(b + 1, bytes - sizeof *b, NULL, &pool) != PM_OK) return 1;
    printf("a region of %u KB:\n", (unsigned)(bytes / 1024));
    for (unsigned i = 0; i < CHILDREN; i++) b->part[i] = pm_new(pm_ops_sum(), pool);
    bool done = run_children(b, limit);
    if (!report(b)) return 1;
    if (done) {
        const pm_map *parts[CHILDREN] = {&b->part[0], &b->part[1], &b->part[2], &b->part[3]};
        pm_map all = pm_new(pm_ops_sum(), pool);
        if (pm_join_many(parts, CHILDREN, &all, NULL) != PM_OK) return 1;
        const pm_val *v = pm_get(&all, "number/000210", 13);
        printf("joined: 210 is a multiple of %u of their primes\n", v ? (unsigned)*v : 0);
        pm_drop(&all);
    }
    for (unsigned i = 0; i < CHILDREN; i++) pm_drop(&b->part[i]); /* what the children have allocated */
    printf("all dropped: %s\n", pm_status_text(pm_pool_free(pool)));
    return munmap(b, bytes);
}

int main(void) { return try_region(8 << 20, 100000) || try_region(64 << 10, 100000); }
