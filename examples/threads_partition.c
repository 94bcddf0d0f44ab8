/* Partitioning: many writers fill one map, each below places of its own, which a head hands out.

   When: one map is to be built by several threads (or kept up to date by them), and keys can be told apart by how they
   begin. No merge follows, and the parts are one map for readers at once.
   Cost: a writer costs O(length of its path) to get, and then hardly more than a writer of a plain map: it waits for
   nobody.

     by prefix   keys stay as they are, and in order. Parts are as uneven as the keys
     by hash     even parts for any keys, and any number of them. Each key begins with its part, so order and common
                 prefixes are lost, and who looks for a key works its hash out first
     by domain   the places that the program's data have anyway. Keys of a domain stay together

   Two writers never overlap: asking for a place above or below one that is out answers PM_CONFLICT, and says why. */
#include <stdatomic.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { THREADS = 4, PARTS_MAX = 32, KEY = 64 };

static const char *const facts[] = {
    "logic/and",        "logic/implies",        "logic/modus ponens", "logic/not",
    "logic/or",         "logic/syllogism",      "math/addition",      "math/angle",
    "math/area",        "math/circle",          "math/cube",          "math/pi",
    "math/prime",       "physics/acceleration", "physics/atom",       "physics/current",
    "physics/mass",     "physics/momentum",     "physics/photon",     "physics/power",
    "physics/pressure",
};
enum { FACTS = sizeof facts / sizeof facts[0] };

static unsigned hash_of(const char *s) {
    unsigned h = 2166136261u;
    while (*s) h = (h ^ (unsigned char)*s++) * 16777619u;
    return h ^ (h >> 15);
}

/* A way to partition: the key of a fact, and the roots of the parts. */
typedef struct scheme {
    const char *name;
    void (*key)(const char *fact, char *key);
    unsigned parts;
    char roots[PARTS_MAX][16];
} scheme;

static const char *name_of(const char *fact) { return strchr(fact, '/') + 1; }
static void by_prefix(const char *fact, char *key) { snprintf(key, KEY, "%s", name_of(fact)); }
static void by_hash(const char *fact, char *key) { snprintf(key, KEY, "p%u/%s", hash_of(fact) % 4, fact); }
static void by_domain(const char *fact, char *key) { snprintf(key, KEY, "facts/%s", fact); }

typedef struct job {
    const scheme *scheme;
    pm_head *head;
    atomic_uint next; /* part that nobody works on */
    unsigned filled[PARTS_MAX];
} job;

/* The keys below the root of one part. */
static void fill(job *j, unsigned part) {
    const char *root = j->scheme->roots[part];
    char key[KEY];
    pm_wz w;
    must(pm_head_write(j->head, root, strlen(root), &w, NULL));
    for (unsigned i = 0; i < FACTS; i++) {
        j->scheme->key(facts[i], key);
        if (strncmp(key, root, strlen(root)) != 0) continue;
        put_below(&w, key + strlen(root), i);
        j->filled[part]++;
    }
    must(pm_wz_drop(&w));
}

static void *work(void *arg) {
    job *j = *(job **)arg;
    for (unsigned part; (part = atomic_fetch_add(&j->next, 1)) < j->scheme->parts;) fill(j, part);
    return NULL;
}

static void build(const scheme *s) {
    job j = {.scheme = s}, *each[THREADS] = {&j, &j, &j, &j};
    pm_map map = {0};
    uint64_t n = 0;
    char key[KEY];
    must(pm_head_new(&map, &j.head));
    run_each(work, each, sizeof each[0], THREADS);
    must(pm_head_free(j.head, NULL, NULL));

    must(pm_val_count(&map, &n));
    printf("by %s: %d facts, parts of", s->name, (int)n);
    for (unsigned i = 0; i < s->parts; i++)
        if (j.filled[i]) printf(" %u", j.filled[i]);
    s->key("physics/photon", key);
    printf("\n   the photon is at \"%s\"%s\n", key, get(&map, key) ? "" : ", but missing");
    pm_drop(&map);
}

/* What is in the way of a writer at the place of all facts. */
static void print_conflict(void) {
    pm_map map = {0};
    pm_head *head;
    pm_wz math, logic, all;
    pm_map why;
    must(pm_head_new(&map, &head));
    must(pm_head_write(head, "facts/math/", 11, &math, NULL));
    must(pm_head_write(head, "facts/logic/", 12, &logic, NULL));
    if (pm_head_write(head, "facts/", 6, &all, &why) == PM_CONFLICT) {
        printf("no writer at \"facts/\":");
        for (pm_iter i = pm_iter_vals(&why); pm_iter_next(&i);)
            printf(" %s at \"%.*s\"", *i.val == PM_CLAIM_WRITER ? "writer" : "pinned reader", (int)i.len,
                   (const char *)i.key);
        printf("\n");
        pm_drop(&why);
    }
    must(pm_wz_drop(&math));
    must(pm_wz_drop(&logic));
    must(pm_head_free(head, NULL, NULL));
    pm_drop(&map);
}

int main(void) {
    static scheme prefix = {"prefix", by_prefix, 26, {{0}}}, hash = {"hash", by_hash, 4, {{0}}};
    static const scheme domain = {"domain", by_domain, 3, {"facts/logic/", "facts/math/", "facts/physics/"}};
    for (unsigned i = 0; i < prefix.parts; i++) prefix.roots[i][0] = (char)('a' + i);
    for (unsigned i = 0; i < hash.parts; i++) snprintf(hash.roots[i], sizeof hash.roots[i], "p%u/", i);
    build(&prefix);
    build(&hash);
    build(&domain);
    print_conflict();
    return 0;
}
