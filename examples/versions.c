/* Version control of a document store: a version is a clone, what changed is a difference, two people's work is put
   together by a three-way merge, and who wrote a line is found by going back through the differences. */
#include <stdio.h>
#include <string.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

enum { VERSIONS = 8 };

static pm_map versions[VERSIONS];
static const char *authors[VERSIONS];
static int parents[VERSIONS][2]; /* -1: none */
static int used;

static bool put(pm_map *m, const char *path, const char *text) {
    pm_val v;
    if (pm_bytes_new(text, strlen(text), &v) != PM_OK) return false;
    if (pm_set(m, path, strlen(path), v, NULL) == PM_OK) return true;
    pm_bytes_release(v);
    return false;
}

/* Keeps the store as it is now: one reference, whatever its size. */
static int commit(const pm_map *m, const char *author, int parent, int other) {
    versions[used] = pm_clone(m);
    authors[used] = author;
    parents[used][0] = parent, parents[used][1] = other;
    return used++;
}

static void print_text(pm_opt v) {
    size_t len;
    const void *text = v.some ? pm_bytes_get(v.val, &len) : NULL;
    if (text) printf("\"%.*s\"", (int)len, (const char *)text);
    else printf("nothing");
}

static bool print_change(void *ctx, const pm_change *c) {
    (void)ctx;
    printf("  %c %.*s: ", c->kind == PM_ADDED ? '+' : c->kind == PM_REMOVED ? '-' : '~', (int)c->len,
           (const char *)c->key);
    print_text(c->before);
    printf(" -> ");
    print_text(c->after);
    printf("\n");
    return true;
}

static bool show(const char *title, int from, int to) {
    printf("%s\n", title);
    return pm_diff(&versions[from], &versions[to], print_change, NULL) == PM_OK;
}

/* Whether two versions have the same at a path: O(1) below it where neither has touched it since they parted. */
static bool same_at(const char *path, int i, int k) {
    pm_map a = {0}, b = {0};
    bool same = false;
    if (pm_subtrie(&versions[i], path, strlen(path), &a, NULL) == PM_OK &&
        pm_subtrie(&versions[k], path, strlen(path), &b, NULL) == PM_OK && pm_equal(&a, &b, &same) != PM_OK)
        same = false;
    pm_drop(&a);
    pm_drop(&b);
    return same;
}

/* Who gave a document its present text: from version to parent, as long as one has the same. */
static void blame(const char *path, int version) {
    int from = version;
    for (int next = from; next >= 0;) {
        from = next, next = -1;
        for (int k = 0; k < 2 && next < 0; k++)
            if (parents[from][k] >= 0 && same_at(path, from, parents[from][k])) next = parents[from][k];
    }
    printf("  %s: %s, version %d\n", path, authors[from], from);
}

/* Both changed one document: the longer text wins, and we say so. */
static pm_merge_pick longer(void *ctx, const pm_merge_conflict *c, pm_val *val) {
    size_t ours = 0, theirs = 0;
    (void)ctx, (void)val;
    if (c->ours.some) pm_bytes_get(c->ours.val, &ours);
    if (c->theirs.some) pm_bytes_get(c->theirs.val, &theirs);
    printf("  conflict at %.*s: ", (int)c->len, (const char *)c->key);
    print_text(c->ours);
    printf(" or ");
    print_text(c->theirs);
    printf("\n");
    return theirs > ours ? PM_PICK_THEIRS : PM_PICK_OURS;
}

/* A patch is the difference as a value: it can be kept, turned round, and applied to another map. */
static bool undo(int from, int to, pm_map *m) {
    pm_patch p;
    if (pm_patch_make(&versions[from], &versions[to], &p) != PM_OK) return false;
    pm_patch_invert(&p);
    bool ok = pm_patch_apply(&p, m) == PM_OK;
    printf("  %u changes taken back\n", (unsigned)pm_patch_count(&p));
    pm_patch_drop(&p);
    return ok;
}

int main(void) {
    pm_map store = pm_new(pm_ops_bytes(), NULL), merged = {0}, ours, theirs;
    size_t conflicts = 0;
    bool ok = put(&store, "doc/intro", "Maps.") && put(&store, "doc/heads", "Writers.") &&
              put(&store, "src/main", "return 0;");
    commit(&store, "Ada", -1, -1);

    /* Two people go on from one version. */
    ours = pm_clone(&store), theirs = pm_clone(&store);
    ok = ok && put(&ours, "doc/intro", "Persistent maps.") && put(&ours, "doc/views", "Views.");
    int left = commit(&ours, "Bob", 0, -1);
    ok = ok && put(&theirs, "doc/intro", "Tries.") && put(&theirs, "src/main", "return run();") &&
         pm_remove(&theirs, "doc/heads", 9, PM_PRUNE, NULL) == PM_OK;
    int right = commit(&theirs, "Cleo", 0, -1);
    ok = ok && show("what Bob did", 0, left) && show("what Cleo did", 0, right);

    printf("together\n");
    ok = ok && pm_merge3(&versions[0], &ours, &theirs, longer, NULL, &merged, &conflicts) == PM_OK;
    int both = commit(&merged, "the merge", left, right);
    printf("  conflicts: %u\n", (unsigned)conflicts);
    ok = ok && show("what the merge adds to Bob's version", left, both);

    printf("who wrote\n");
    blame("doc/intro", both);
    blame("doc/views", both);
    blame("src/main", both);

    printf("without Cleo's work\n");
    ok = ok && undo(0, right, &merged);
    commit(&merged, "the undo", both, -1);
    ok = ok && show("since the merge", both, used - 1);

    for (int i = 0; i < used; i++) pm_drop(&versions[i]);
    pm_drop(&merged);
    pm_drop(&theirs);
    pm_drop(&ours);
    pm_drop(&store);
    return ok ? 0 : 1;
}
