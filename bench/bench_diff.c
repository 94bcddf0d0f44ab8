/* Measures what two versions of a map cost to compare and to merge, with few and many keys changed: pm_diff, patches
   made and applied, pm_merge3, against two subtractions (which see no changed value) and against walking both versions.

   The versions are clones of a map of all keys, of which so many were given new values or were removed, spread over the
   file's (shuffled) order. Times are per changed key; `pairs` counts the pairs of places that the difference
   opened. Every answer is checked against the changes that were made. */
#define _GNU_SOURCE
#define PATHMAP_STATIC
#include "pathmap.h"

#include "diff.h"

static const diff_engine *rival; /* NULL: none was built */
void diff_register(const diff_engine *e) { rival = e; }

typedef struct set {
    const char *name;
    const bench_list *keys;
    pm_map base, ours, theirs, merged;
    size_t changes;
    pm_patch patch;
    void *rival, *rival_ours;
} set;

static bool failed;

static void need(pm_status s) {
    if (s != PM_OK) bench_die("pathmap", pm_status_text(s));
}

/* Changes n keys, every step-th from `first` on; each eighth of them goes. */
static void change(pm_map *m, const bench_list *l, size_t first, size_t step, size_t n) {
    for (size_t k = 0, i = first; k < n; k++, i += step) {
        if (k % 8 == 7) need(pm_remove(m, l->key[i].data, l->key[i].len, PM_PRUNE, NULL));
        else need(pm_set(m, l->key[i].data, l->key[i].len, l->val[i] ^ 1, NULL));
    }
}

static bool count_change(void *ctx, const pm_change *c) {
    (void)c;
    ++*(size_t *)ctx;
    return true;
}

static size_t run_diff(set *s) {
    size_t n = 0;
    need(pm_diff(&s->base, &s->ours, count_change, &n));
    return n;
}

/* By two subtractions: what went, and what came. Changed values are not seen. */
static size_t run_subtract(set *s) {
    pm_map less, more;
    need(pm_subtract(&s->base, &s->ours, &less, NULL));
    need(pm_subtract(&s->ours, &s->base, &more, NULL));
    uint64_t a, b;
    need(pm_val_count(&less, &a));
    need(pm_val_count(&more, &b));
    pm_drop(&less);
    pm_drop(&more);
    return (size_t)(a + b);
}

/* Both versions value by value, side by side. */
static size_t run_walk(set *s) {
    size_t n = 0;
    pm_iter i = pm_iter_vals(&s->base), j = pm_iter_vals(&s->ours);
    bool a = pm_iter_next(&i), b = pm_iter_next(&j);
    while (a || b) {
        size_t min = a && b ? (i.len < j.len ? i.len : j.len) : 0;
        int c = !a ? 1 : !b ? -1 : min ? memcmp(i.key, j.key, min) : 0;
        if (a && b && !c) c = (i.len > j.len) - (i.len < j.len);
        n += c || *i.val != *j.val;
        if (c <= 0) a = pm_iter_next(&i);
        if (c >= 0) b = pm_iter_next(&j);
    }
    return n;
}

static size_t run_rival(set *s) { return rival->diff(s->rival, s->rival_ours); }

static size_t run_make(set *s) {
    pm_patch_drop(&s->patch);
    need(pm_patch_make(&s->base, &s->ours, &s->patch));
    return pm_patch_count(&s->patch);
}

static size_t run_apply(set *s) {
    pm_drop(&s->merged);
    s->merged = pm_clone(&s->base);
    need(pm_patch_apply(&s->patch, &s->merged));
    return s->changes;
}

static size_t run_merge3(set *s) {
    size_t conflicts;
    pm_drop(&s->merged);
    need(pm_merge3(&s->base, &s->ours, &s->theirs, NULL, NULL, &s->merged, &conflicts));
    return s->changes + conflicts;
}

static size_t pairs_opened(const set *s) {
    pm__diff d;
    pm__diff_item i;
    size_t pairs = 0;
    pm__diff_begin(&d, &s->base, &s->ours);
    while (pm__diff_take(&d, &i)) {
        pairs += i.c.a.node || i.c.b.node;
        if (!pm__diff_open(&d, &i)) bench_die("out of memory", NULL);
    }
    pm__diff_end(&d);
    return pairs;
}

static void check_merged(set *s, const char *op, const pm_map *want) {
    bool same = false;
    need(pm_equal(&s->merged, want, &same));
    if (same) return;
    printf("BAD\t%s\t%s\n", s->name, op);
    failed = true;
}

static void measure(set *s, const char *op, const char *engine, size_t (*run)(set *s), bool exact, int runs) {
    bench_times t = {{{0}, 0}, {{0}, 0}};
    char name[64];
    snprintf(name, sizeof name, "%s_%zu", op, s->changes);
    for (int i = 0; i < runs; i++) {
        bench_clock start = bench_start();
        size_t n = run(s);
        bench_take(&t, start, (double)s->changes);
        if (!exact || n == s->changes) continue;
        printf("BAD\t%s\t%s\t%zu\n", s->name, name, n);
        failed = true;
    }
    bench_emit_times(engine, s->name, name, "ns_per_key", &t);
}

static void run_all(set *s, size_t changes, int runs) {
    const bench_list *l = s->keys;
    size_t step = l->n / changes;
    s->ours = pm_clone(&s->base), s->theirs = pm_clone(&s->base);
    s->changes = changes;
    change(&s->ours, l, 0, step, changes);
    change(&s->theirs, l, step / 2, step, changes);
    pm_map both = pm_clone(&s->ours);
    change(&both, l, step / 2, step, changes);
    measure(s, "diff", "pathmap", run_diff, true, runs);
    measure(s, "diff", "pathmap+subtract", run_subtract, false, runs);
    measure(s, "diff", "pathmap+loop", run_walk, true, runs);
    if (rival) {
        s->rival_ours = rival->change(s->rival, l, step, changes);
        measure(s, "diff", rival->name, run_rival, true, runs);
        rival->drop(s->rival_ours);
    }
    measure(s, "patch_make", "pathmap", run_make, true, runs);
    measure(s, "patch_apply", "pathmap", run_apply, true, runs);
    check_merged(s, "patch_apply", &s->ours);
    measure(s, "merge3", "pathmap", run_merge3, true, runs);
    check_merged(s, "merge3", &both);
    char name[64];
    snprintf(name, sizeof name, "diff_%zu", s->changes);
    bench_emit("pathmap", s->name, name, "pairs_per_key", (double)pairs_opened(s) / (double)s->changes);
    pm_map *maps[] = {&s->ours, &s->theirs, &s->merged, &both};
    for (size_t i = 0; i < 4; i++) pm_drop(maps[i]);
    pm_patch_drop(&s->patch);
}

int main(int argc, char **argv) {
    const char *keys = NULL, *name = NULL;
    int runs = 5;
    const bench_option options[] = {{"--keys", &keys, NULL, 0}, {"--name", &name, NULL, 0},
                                    {"--runs", NULL, &runs, BENCH_SAMPLES}, {NULL, NULL, NULL, 0}};
    if (!bench_read_options(argc, argv, "usage: bench_diff --keys FILE --name NAME [--runs N]", options)) return 0;
    if (!keys || !name) bench_die("--keys and --name are needed (--help)", NULL);
    bench_describe("bench_diff");
    bench_list l = bench_load(keys);
    set s;
    memset(&s, 0, sizeof s);
    s.name = name, s.keys = &l;
    for (size_t i = 0; i < l.n; i++) need(pm_set(&s.base, l.key[i].data, l.key[i].len, l.val[i], NULL));
    if (rival) s.rival = rival->make(&l);
    for (size_t changes = 10; changes <= 100000; changes *= 100)
        if (l.n >= 2 * changes) run_all(&s, changes, runs);
    if (rival) rival->drop(s.rival);
    pm_drop(&s.base);
    bench_list_free(&l);
    return failed;
}
