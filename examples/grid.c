/* Points in a plane, and rooms in a building: integers as keys. Points are woven bit by bit, so that what begins alike
   lies in one square; numbers of rooms are ranges, of which a map holds each kind of part once. Both are drawn. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATHMAP_IMPLEMENTATION
#include "pathmap.h"

enum { SIDE_BITS = 6 }; /* the plane has 64 x 64 points */

static bool print(void *ctx, const char *text, size_t len) {
    (void)ctx;
    return fwrite(text, 1, len, stdout) == len;
}

static void must(pm_status s) {
    if (s == PM_OK) return;
    fprintf(stderr, "grid: %s\n", pm_status_text(s));
    exit(1);
}

static void place(pm_map *points, uint64_t x, uint64_t y, pm_val what) {
    const uint64_t at[] = {x, y};
    uint8_t key[SIDE_BITS];
    must(pm_set(points, key, pm_weave_bits(at, 2, SIDE_BITS, key), what, NULL));
}

/* The square of 2^-steps of the side around a point: a prefix of `steps` bytes. */
static void look_around(const pm_map *points, uint64_t x, uint64_t y, unsigned steps) {
    const uint64_t at[] = {x >> (SIDE_BITS - steps), y >> (SIDE_BITS - steps)};
    uint8_t prefix[SIDE_BITS];
    size_t len = pm_weave_bits(at, 2, steps, prefix);
    printf("square of %u around (%u, %u):", 1u << (SIDE_BITS - steps), (unsigned)x, (unsigned)y);
    pm_iter i = pm_iter_prefix(pm_iter_vals(points), prefix, len);
    while (pm_iter_next(&i)) {
        uint64_t found[2];
        pm_unweave_bits(i.key, 2, SIDE_BITS, found);
        printf(" %c(%u, %u)", (int)*i.val, (unsigned)found[0], (unsigned)found[1]);
    }
    printf("\n");
    must(pm_iter_status(&i));
    pm_iter_drop(&i);
}

static void plane(void) {
    pm_map points = {0};
    place(&points, 3, 5, 'a'), place(&points, 6, 4, 'b'), place(&points, 9, 60, 'c'), place(&points, 40, 41, 'd');
    look_around(&points, 5, 5, 3);
    look_around(&points, 5, 5, 2);
    look_around(&points, 41, 42, 4);
    look_around(&points, 20, 20, 2);
    pm_drop(&points);
}

/* Rooms that are let, of those that there are; all without visiting a room. */
static void building(void) {
    pm_map rooms, let, free_rooms;
    uint64_t n;
    must(pm_int_range(pm_ops_unit(), NULL, 0x0100, 0x04ff, 1, 2, 0, &rooms)); /* four floors of 256 */
    must(pm_int_range(pm_ops_unit(), NULL, 0x0200, 0x03ff, 2, 2, 0, &let));   /* every other one of two floors */
    must(pm_subtract(&rooms, &let, &free_rooms, NULL));
    must(pm_val_count(&free_rooms, &n));
    printf("%u rooms are free\n", (unsigned)n);

    pm_stats s;
    must(pm_get_stats(&rooms, &s));
    printf("%u rooms in %u nodes\n", (unsigned)s.values, (unsigned)s.nodes);

    pm_drop(&rooms);
    pm_drop(&let);
    pm_drop(&free_rooms);
}

/* Two versions of a small map in one picture: what both have is drawn once. */
static void drawing(void) {
    pm_map old = {0}, now;
    static const char *const keys[] = {"shop/open", "shop/order", "house/door", "house/roof", "house"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) must(pm_set(&old, keys[i], strlen(keys[i]), i, NULL));
    pm_map two = pm_new(NULL, NULL);
    pm_wz w;
    must(pm_wz_open(&two, "copy/", 5, &w)); /* the old map hangs there, shared */
    must(pm_wz_graft_map(&w, &old));
    must(pm_wz_drop(&w));
    now = pm_clone(&two);
    must(pm_set(&now, "new", 3, 9, NULL));
    const pm_map *const maps[] = {&old, &now};
    must(pm_draw(maps, 2, PM_DRAW_TREE, print, NULL));
    must(pm_draw(maps, 2, PM_DRAW_MERMAID | PM_DRAW_NO_VALUES, print, NULL));
    pm_drop(&old);
    pm_drop(&two);
    pm_drop(&now);
}

int main(void) {
    plane();
    building();
    drawing();
    return 0;
}
