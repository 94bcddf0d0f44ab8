/* Fuzzing of trie images: any input is a block, with a header made to fit, that is opened, verified, read and loaded.
   Nothing may read elsewhere or go wrong, and what can be loaded must come back when it is written again. */
#include "../pathmap.h"

#include "fuzz.h"

/* A zipper's walks, as long as they are not absurdly long. */
static void walk(const pm_image *image, size_t i, const pm_image_reading *reading) {
    pm_rz z;
    pm_opt got;
    pm_status s = pm_image_rz(image, i, reading, &z);
    must(s == PM_OK || s == PM_CORRUPT, "a root neither good nor damaged");
    if (s != PM_OK) return;
    for (unsigned n = 0; n < 500 && pm_rz_to_next_step(&z); n++) {
        size_t len;
        const uint8_t *path = pm_rz_path(&z, &len);
        (void)pm_rz_val(&z);
        s = pm_image_get(image, i, path, len, &got); /* may see something else: what is damaged says anything */
        must(s == PM_OK || s == PM_CORRUPT, "a status of its own");
    }
    pm_rz_reset(&z);
    if (pm_rz_to_last_val(&z))
        for (unsigned n = 0; n < 500 && pm_rz_to_prev_val(&z); n++) (void)pm_rz_child_mask(&z);
    pm_rz_drop(&z);
}

static bool see_change(void *ctx, const pm_change *c) {
    (void)c;
    ++*(unsigned *)ctx;
    return true;
}

/* The difference of the first two maps is that of what they were loaded to, if they are sound: of what is damaged,
   views may see other parts than loading. */
static void compare(const pm_image *image, const pm_map *maps, const pm_image_reading *reading, bool sound) {
    pm_rz a, b;
    unsigned n = 0, want = 0;
    uint64_t sizes[2];
    for (unsigned i = 0; i < 2; i++) {
        must(pm_location_count(&maps[i], &sizes[i]) == PM_OK, "cannot be counted");
        if (sizes[i] > 10000) return; /* what is the same in other records takes as long as it is large */
    }
    must(pm_image_rz(image, 0, reading, &a) == PM_OK && pm_image_rz(image, 1, reading, &b) == PM_OK, "not opened");
    must(pm_diff(&maps[0], &maps[1], see_change, &want) == PM_OK, "no difference of maps");
    pm_status s = pm_rz_diff(&a, &b, see_change, &n);
    must(s == PM_OK || (!sound && s == PM_CORRUPT), "no difference of images");
    must(!sound || n == want, "another difference");
    pm_rz_drop(&a);
    pm_rz_drop(&b);
}

/* What was loaded, written again and loaded again, is the same. */
static void write_again(const pm_map *maps, size_t n, const pm_image_reading *reading) {
    block b = {NULL, 0, 0};
    pm_image image;
    pm_map again[4];
    must(pm_image_write(maps, n, append, &b, NULL, NULL, NULL) == PM_OK, "cannot be written");
    must(pm_image_open(b.data, b.len, &image, NULL) == PM_OK, "cannot be opened");
    must(pm_image_verify(&image, NULL) == PM_OK, "does not verify");
    must(pm_image_load(&image, reading, again, NULL) == PM_OK, "cannot be loaded");
    for (size_t i = 0; i < n; i++) {
        bool same = false;
        must(pm_check(&maps[i], NULL) == PM_OK, "not sound");
        must(pm_equal(&maps[i], &again[i], &same) == PM_OK && same, "not the same");
        pm_drop(&again[i]);
    }
    if (n > 1) compare(&image, maps, reading, true);
    free(b.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const uint8_t head[12] = {'p', 'm', 'i', 'm', 'a', 'g', 'e', 0x1a, 1};
    pm_image image;
    pm_map maps[4];
    if (size < 64) return 0;
    uint8_t *copy = malloc(size); /* of its own, so that reading on is seen */
    must(copy != NULL, "no memory");
    memcpy(copy, data, size);
    memcpy(copy, head, sizeof head);
    copy[12] %= 3;
    memset(copy + 13, 0, 3);
    for (unsigned i = 0; i < 8; i++) copy[16 + i] = (uint8_t)((uint64_t)size >> (8 * i));
    copy[24] %= 5;
    memset(copy + 25, 0, 23);
    if (pm_image_open(copy, size, &image, NULL) == PM_OK) {
        pm_image_reading reading = {.ops = pm_image_values(&image) == PM_IMAGE_BYTES ? pm_ops_bytes() : NULL};
        size_t n = pm_image_count(&image);
        (void)!pm_image_verify(&image, NULL);
        for (size_t i = 0; i < n; i++) walk(&image, i, &reading);
        if (pm_image_load(&image, &reading, maps, NULL) == PM_OK) {
            write_again(maps, n, &reading);
            if (n > 1) compare(&image, maps, &reading, false);
            for (size_t i = 0; i < n; i++) pm_drop(&maps[i]);
        }
    }
    free(copy);
    return 0;
}
