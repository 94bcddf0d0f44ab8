/* Versions of a map in one file, read where it lies.

   The file is mapped read-only: nothing is loaded, copied or changed, and several processes share its pages. A zipper
   over it does what a zipper over a map does. pm_image_load takes it all into memory, with what the versions share. */
#define _POSIX_C_SOURCE 200809L
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

static bool save(const char *name) {
    pm_map versions[2] = {{0}};
    pm_image_stats stats;
    char key[32];
    bool ok = true;
    for (unsigned i = 0; ok && i < 10000; i++) {
        int n = snprintf(key, sizeof key, "shop/%u/price", i);
        ok = pm_set(&versions[0], key, (size_t)n, i % 100, NULL) == PM_OK;
    }
    versions[1] = pm_clone(&versions[0]); /* the next version: one price is another */
    ok = ok && pm_set(&versions[1], "shop/77/price", 13, 5, NULL) == PM_OK;
    ok = ok && pm_image_write_file(versions, 2, name, NULL, &stats, NULL) == PM_OK;
    if (ok) printf("20000 keys in %" PRIu64 " bytes\n", stats.bytes);
    pm_drop(&versions[0]);
    pm_drop(&versions[1]);
    return ok;
}

static bool read_in_place(const pm_image *image) {
    pm_rz old, now, gone;
    pm_opt price;
    if (pm_image_get(image, 1, "shop/77/price", 13, &price) != PM_OK || !price.some) return false;
    printf("77 costs %d\n", (int)price.val);
    pm_image_reading values = {.ops = pm_ops_lattice()}; /* of which a difference leaves what is not equal */
    if (pm_image_rz(image, 0, &values, &old) != PM_OK || pm_image_rz(image, 1, &values, &now) != PM_OK) return false;
    if (pm_view_subtract(&old, &now, &gone) != PM_OK) return false;
    for (pm_iter i = pm_iter_vals_of_rz(&gone); pm_iter_next(&i);)
        printf("was: %.*s = %d\n", (int)i.len, (const char *)i.key, (int)*i.val);
    pm_rz_move_to(&now, "shop/99", 7);
    uint64_t n;
    bool ok = pm_rz_val_count(&now, &n) == PM_OK;
    if (ok) printf("%d keys begin with shop/99\n", (int)n);
    pm_rz_drop(&old);
    pm_rz_drop(&now);
    pm_rz_drop(&gone);
    return ok;
}

static bool load(const pm_image *image) {
    pm_map versions[2];
    uint64_t n;
    if (pm_image_load(image, NULL, versions, NULL) != PM_OK) return false;
    bool ok = pm_val_count(&versions[1], &n) == PM_OK && pm_set(&versions[1], "closed", 6, 1, NULL) == PM_OK;
    if (ok) printf("loaded: %d keys, and one more\n", (int)n);
    pm_drop(&versions[0]);
    pm_drop(&versions[1]);
    return ok;
}

int main(void) {
    char name[] = "/tmp/save_load.XXXXXX";
    struct stat about;
    pm_image image;
    pm_error why = {PM_OK, 0, ""};
    int fd = mkstemp(name);
    if (fd < 0 || close(fd) != 0 || !save(name)) return 1;
    fd = open(name, O_RDONLY);
    if (fd < 0 || fstat(fd, &about) != 0) return 1;
    size_t size = (size_t)about.st_size;
    void *block = mmap(NULL, size, PROT_READ, MAP_SHARED, fd, 0);
    (void)close(fd);
    (void)unlink(name);
    if (block == MAP_FAILED) return 1;
    bool ok = pm_image_open(block, size, &image, &why) == PM_OK && pm_image_verify(&image, &why) == PM_OK;
    if (!ok) fprintf(stderr, "at %" PRIu64 ": %s\n", why.offset, why.msg);
    ok = ok && read_in_place(&image) && load(&image);
    (void)munmap(block, size);
    return !ok;
}
