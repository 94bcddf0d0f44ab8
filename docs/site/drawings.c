/* Pictures for the pages, drawn from real tries: drawings NAME writes a picture for Graphviz to standard output. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATHMAP_IMPLEMENTATION
#include "../../pathmap.h"

static void must(pm_status s) {
    if (s == PM_OK) return;
    fprintf(stderr, "drawings: %s\n", pm_status_text(s));
    exit(1);
}

static void set(pm_map *m, const char *key, pm_val val) { must(pm_set(m, key, strlen(key), val, NULL)); }

static bool print(void *ctx, const char *text, size_t len) {
    (void)ctx;
    return fwrite(text, 1, len, stdout) == len;
}

static void draw(const pm_map *const *maps, size_t n, unsigned how) { must(pm_draw(maps, n, how, print, NULL)); }

/* Hangs a map with keys 1, 2, .. below `path` of another one. Subtries keep their nodes when they are grafted: so the
   picture has several, with few keys. */
static void hang(pm_map *m, const char *path, const char *const *keys, size_t n) {
    pm_map part = {0};
    for (size_t i = 0; i < n; i++) set(&part, keys[i], i + 1);
    pm_wz w;
    must(pm_wz_open(m, path, strlen(path), &w));
    must(pm_wz_graft_map(&w, &part));
    must(pm_wz_drop(&w));
    pm_drop(&part);
}

static void make_shop(pm_map *shop) {
    hang(shop, "fruit/", (const char *const[]){"apple", "pear", "plum"}, 3);
    hang(shop, "nut/", (const char *const[]){"hazel", "walnut"}, 2);
    hang(shop, "spice/", (const char *const[]){"anise", "clove", "mace"}, 3);
}

/* A map, a clone of it, and a write to the map: the clone keeps the nodes that it had, the write has copied two. */
static void draw_snapshot(void) {
    pm_map shop = {0};
    make_shop(&shop);
    pm_map snapshot = pm_clone(&shop);
    set(&shop, "nut/pecan", 9);
    draw((const pm_map *const[]){&snapshot, &shop}, 2, PM_DRAW_DOT | PM_DRAW_NODES);
    pm_drop(&shop), pm_drop(&snapshot);
}

/* A line: branches with several bytes each, values and a child. */
static void draw_line(void) {
    pm_map line = {0};
    set(&line, "pre", 1), set(&line, "prea", 2), set(&line, "preb", 3), set(&line, "prebc", 4);
    hang(&line, "prebz/", (const char *const[]){"one", "two"}, 2);
    draw((const pm_map *const[]){&line}, 1, PM_DRAW_DOT | PM_DRAW_NODES);
    pm_drop(&line);
}

/* A byte node fans out over the next byte; with more than 48 children it is a wide one. Children are one node here. */
static void draw_fan(unsigned n) {
    pm_map fan = {0}, part = {0};
    set(&part, "x", 1), set(&part, "y", 2);
    for (unsigned i = 0; i < n; i++) {
        pm_wz w;
        const char byte = (char)((i < 26 ? 'a' : 'A' - 26) + (int)i);
        must(pm_wz_open(&fan, &byte, 1, &w));
        must(i % 4 ? pm_wz_set(&w, i, NULL) : PM_OK);
        must(i % 4 && n < 40 ? PM_OK : pm_wz_graft_map(&w, &part));
        must(pm_wz_drop(&w));
    }
    draw((const pm_map *const[]){&fan}, 1, PM_DRAW_DOT | PM_DRAW_NODES);
    pm_drop(&fan), pm_drop(&part);
}

static void draw_byte(void) { draw_fan(36); }
static void draw_wide(void) { draw_fan(52); }

/* What two snapshot readers of a head see, one given before a writer's change and one after it. */
static void draw_head(void) {
    static const char *const keys[] = {"0", "1", "2", "3", "4", "5", "6", "7", "8", "9", "a", "b", "c"};
    pm_map rooms = {0}, seen[2];
    for (const char *c = "ABC"; *c; c++) hang(&rooms, (const char[]){*c, '/', 0}, keys, sizeof keys / sizeof *keys);
    pm_head *h;
    pm_wz w;
    pm_rz z;
    must(pm_head_new(&rooms, &h));
    must(pm_head_write(h, "B/", 2, &w, NULL));
    for (int i = 0; i < 2; i++) {
        if (i) must(pm_wz_set_at(&w, "new", 3, 99, NULL));
        must(pm_head_read(h, NULL, 0, &z));
        must(pm_rz_make_map(&z, &seen[i]));
        pm_rz_drop(&z);
    }
    must(pm_wz_drop(&w));
    must(pm_head_free(h, NULL, NULL));
    pm_drop(&rooms);
    draw((const pm_map *const[]){&seen[0], &seen[1]}, 2, PM_DRAW_DOT | PM_DRAW_NODES);
    pm_drop(&seen[0]), pm_drop(&seen[1]);
}

/* The report of a refused request: who is in the way of a writer of everything. */
static void draw_claims(void) {
    pm_map shop = {0}, why = {0};
    make_shop(&shop);
    pm_head *h;
    pm_wz w[2], all;
    pm_rz pinned;
    must(pm_head_new(&shop, &h));
    must(pm_head_write(h, "fruit/", 6, &w[0], NULL));
    must(pm_head_write(h, "nut/", 4, &w[1], NULL));
    must(pm_head_pin(h, "spice/", 6, &pinned, NULL));
    if (pm_head_write(h, NULL, 0, &all, &why) != PM_CONFLICT) abort();
    draw((const pm_map *const[]){&why}, 1, PM_DRAW_DOT);
    must(pm_wz_drop(&w[0])), must(pm_wz_drop(&w[1]));
    pm_rz_drop(&pinned);
    must(pm_head_free(h, NULL, NULL));
    pm_drop(&why), pm_drop(&shop);
}

int main(int argc, char **argv) {
    static const struct {
        const char *name;
        void (*draw)(void);
    } all[] = {{"snapshot", draw_snapshot}, {"line", draw_line}, {"byte", draw_byte}, {"wide", draw_wide},
               {"head", draw_head},         {"claims", draw_claims}};
    for (size_t i = 0; argc == 2 && i < sizeof all / sizeof *all; i++)
        if (strcmp(argv[1], all[i].name) == 0) return all[i].draw(), 0;
    fprintf(stderr, "usage: drawings snapshot|line|byte|wide|head|claims\n");
    return 2;
}
