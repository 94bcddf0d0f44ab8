/* Clone, modify, merge: each thread changes a clone of its own, and the results are united.

   When: parts can be worked out apart, anywhere in the map, and are wanted together at the end.
   Cost: a clone is one atomic increment. A thread copies the nodes that it changes and no others, without asking
   anybody. Merging visits only what the maps do not share, so it costs by what was changed, not by the size of the map.
   One after the other, n merges follow each other; two by two, they take log2(n) rounds of threads; pm_join_many does
   it in one pass, on one thread.

   Values that two maps have at one place are combined by the map's operations. Here they are a set. Where they are sums
   (pm_ops_sum), begin with empty maps: what the clones inherited would be added once for each of them. */
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { THREADS = 8 };

static const char *const words[] = {"act",  "box",   "call", "cook",  "farm", "help",
                                    "jump", "paint", "play", "print", "read", "walk"};
static const char *const endings[THREADS] = {"s", "ed", "ing", "er", "ers", "er's", "ings", "able"};

enum { WORDS = sizeof words / sizeof words[0] };

typedef struct worker {
    const char *ending;
    pm_map map;
} worker;

static void *add_forms(void *arg) {
    worker *w = arg;
    char form[32];
    for (size_t i = 0; i < WORDS; i++) {
        snprintf(form, sizeof form, "%s%s", words[i], w->ending);
        put(&w->map, form, 0);
    }
    return NULL;
}

/* a = a united with b. */
static void unite(pm_map *a, const pm_map *b) {
    pm_map both;
    must(pm_join(a, b, &both, NULL));
    pm_drop(a);
    *a = both; /* assigning moves a map */
}

static pm_map merge_in_sequence(const pm_map *maps, size_t n) {
    pm_map all = pm_clone(&maps[0]);
    for (size_t i = 1; i < n; i++) unite(&all, &maps[i]);
    return all;
}

static void *unite_pair(void *arg) {
    pm_map **pair = arg;
    unite(pair[0], pair[1]);
    return NULL;
}

/* In each round a thread for each pair of neighbours; the left one of them has both afterwards. */
static pm_map merge_as_tree(const pm_map *maps, size_t n) {
    pm_map part[THREADS], *pairs[THREADS / 2][2];
    for (size_t i = 0; i < n; i++) part[i] = pm_clone(&maps[i]);
    for (size_t step = 1; step < n; step *= 2) {
        size_t count = 0;
        for (size_t i = 0; i + step < n; i += 2 * step, count++) {
            pairs[count][0] = &part[i];
            pairs[count][1] = &part[i + step];
        }
        run_each(unite_pair, pairs, sizeof pairs[0], count);
    }
    for (size_t i = 1; i < n; i++) pm_drop(&part[i]);
    return part[0];
}

static pm_map merge_at_once(const pm_map *maps, size_t n) {
    const pm_map *operands[THREADS];
    pm_map all;
    for (size_t i = 0; i < n; i++) operands[i] = &maps[i];
    must(pm_join_many(operands, n, &all, NULL));
    return all;
}

static unsigned count(const pm_map *m) {
    uint64_t n = 0;
    must(pm_val_count(m, &n));
    return (unsigned)n;
}

static void print_form(const char *how, const pm_map *m, const pm_map *wanted) {
    bool same = false;
    must(pm_equal(m, wanted, &same));
    printf("%-16s %u words%s\n", how, count(m), same ? "" : ", but others");
}

int main(void) {
    pm_map base = pm_new(pm_ops_unit(), NULL), maps[THREADS];
    worker workers[THREADS];
    for (size_t i = 0; i < WORDS; i++) put(&base, words[i], 0);
    for (int i = 0; i < THREADS; i++) {
        workers[i].ending = endings[i];
        workers[i].map = pm_clone(&base);
    }
    run_each(add_forms, workers, sizeof workers[0], THREADS);
    for (int i = 0; i < THREADS; i++) maps[i] = workers[i].map;

    pm_map sequence = merge_in_sequence(maps, THREADS), tree = merge_as_tree(maps, THREADS),
           once = merge_at_once(maps, THREADS);
    printf("%-16s %u words\n%-16s %u words\n", "the base", count(&base), "each clone", count(&maps[0]));
    print_form("in sequence", &sequence, &sequence);
    print_form("as a tree", &tree, &sequence);
    print_form("all at once", &once, &sequence);
    printf("what there is of \"play\":");
    pm_rz z;
    must(pm_rz_open(&tree, "play", 4, &z));
    for (pm_iter i = pm_iter_vals_of_rz(&z); pm_iter_next(&i);) printf(" play%.*s", (int)i.len, (const char *)i.key);
    printf("\n");

    pm_rz_drop(&z);
    for (int i = 0; i < THREADS; i++) pm_drop(&maps[i]);
    pm_drop(&base), pm_drop(&sequence), pm_drop(&tree), pm_drop(&once);
    return 0;
}
