/* Maps in 64 KiB of lent memory, on a machine without an operating system: keys that come and go, compared with a list
   of flags; clones, cursors, counts and algebra; what happens when the memory is used up. */
#define PM_NO_MALLOC 1
#define PM_NO_THREADS 1
#define PM_NO_STDIO 1
#define PM_ASSERT(c) ((c) ? (void)0 : (say("assert: " #c "\n"), leave(2)))
#include "start.h"

#define PATHMAP_STATIC
#include "../../pathmap.h"

enum { KEYS = 600, ROUNDS = 6000, MEMORY = 64 * 1024 };

static _Alignas(16) unsigned char memory[MEMORY];
static uint8_t has[KEYS];
static uint32_t seed = 1, passed, failed, deepest;
static pm_map map;

static uint32_t random_below(uint32_t n) {
    seed = seed * 1664525u + 1013904223u;
    return (seed >> 8) % n;
}

static void check(bool right, const char *what) {
    passed += right, failed += !right;
    if (right) return;
    say("failed: ");
    say(what);
    say("\n");
}

/* Keys of several lengths that share beginnings. Returns the length. */
static size_t key_of(uint32_t i, char *out) {
    size_t n = 0;
    for (uint32_t x = i; x || !n; x /= 5) {
        out[n++] = (char)('a' + x % 5);
        for (uint32_t k = 0; k < i % 7; k++) out[n++] = '/';
    }
    out[n++] = (char)(i & 255);
    out[n++] = (char)(i >> 8);
    return n;
}

static bool same_as_flags(const pm_map *m) {
    char key[64];
    uint32_t n = 0, seen = 0;
    for (uint32_t i = 0; i < KEYS; i++) {
        const pm_val *v = pm_get(m, key, key_of(i, key));
        if ((v != NULL) != has[i] || (v && *v != i)) return false;
        n += has[i];
    }
    pm_iter it = pm_iter_vals(m);
    while (pm_iter_next(&it)) seen++;
    uint64_t count = 0;
    return pm_iter_status(&it) == PM_OK && seen == n && pm_val_count(m, &count) == PM_OK && count == n;
}

static void come_and_go(void) {
    char key[64];
    bool right = true;
    for (uint32_t r = 0; r < ROUNDS; r++) {
        uint32_t i = random_below(KEYS);
        size_t n = key_of(i, key);
        stack_mark();
        if (random_below(3)) {
            if (pm_set(&map, key, n, i, NULL) == PM_OK) has[i] = 1;
        } else {
            right = right && pm_remove(&map, key, n, true, NULL) == PM_OK;
            has[i] = 0;
        }
        uint32_t used = stack_used();
        if (used > deepest) deepest = used;
        if (r % 500 == 0) right = right && same_as_flags(&map);
    }
    check(right && same_as_flags(&map), "keys that come and go");
}

static void clones_and_algebra(void) {
    pm_map copy = pm_clone(&map), both, none;
    char key[64];
    for (uint32_t i = 0; i < KEYS; i += 40) check(pm_set(&copy, key, key_of(i, key), i, NULL) == PM_OK, "a clone");
    check(same_as_flags(&map), "the original of a clone");
    check(pm_meet(&map, &copy, &both, NULL) == PM_OK && same_as_flags(&both), "meet");
    check(pm_subtract(&map, &copy, &none, NULL) == PM_OK && pm_is_empty(&none), "subtract");
    pm_drop(&copy), pm_drop(&both), pm_drop(&none);
}

/* Until there is no room: the call that fails changes nothing, and the memory comes back. */
static void fill_up(void) {
    pm_map full = {0};
    pm_status st = PM_OK;
    uint32_t n = 0;
    uint64_t count = 0;
    for (; st == PM_OK; n += st == PM_OK) {
        const uint32_t key[4] = {n * 2654435761u, n, ~n, n};
        st = pm_set(&full, key, sizeof key, n, NULL);
    }
    check(st == PM_NOMEM && n > 100, "no room");
    pm_drop(&full);
    check(pm_val_count(&map, &count) == PM_OK && same_as_flags(&map), "a map beside a full one");
}

int main(void) {
    size_t least;
    check(pm_lend(memory, sizeof memory) == PM_OK, "lending");
    come_and_go();
    (void)pm_lent_free(&least);
    clones_and_algebra();
    fill_up();
    pm_drop(&map);
    check(pm_lent_free(NULL) == sizeof memory, "memory that comes back");
    say("lent memory used by a map and its cursors, in bytes: ");
    say_number(MEMORY - (uint32_t)least);
    say("\nstack below pm_set and pm_remove, in bytes: ");
    say_number(deepest);
    say("\n");
    say_number(passed);
    say(" passed, ");
    say_number(failed);
    say(" failed, 0 skipped\n");
    return failed ? 1 : 0;
}
