/* Fuzzing of path files: any input is a plain stream. What is read must be what is written again, sorted; what is
   refused must have a place. Compressed streams come to the same reader, behind zlib's. */
#include "../pathmap.h"

#include "fuzz.h"

typedef struct input {
    const uint8_t *data;
    size_t left, step;
} input;

static pm_status take(void *ctx, void *to, size_t n, size_t *got) {
    input *in = ctx;
    if (n > in->step) n = in->step;
    if (n > in->left) n = in->left;
    if (n) memcpy(to, in->data, n);
    in->data += n;
    in->left -= n;
    *got = n;
    return PM_OK;
}

static pm_status measure(void *ctx, const void *from, size_t n) {
    (void)from;
    *(uint64_t *)ctx += n;
    return PM_OK;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    static const pm_paths_options plain = {.plain = true};
    input in = {data, size, 1 + size % 7};
    pm_map m;
    pm_paths_stats read, wrote;
    pm_error why = {PM_OK, 0, NULL};
    pm_status s = pm_paths_read(pm_ops_unit(), NULL, take, &in, &plain, &m, &read, &why);
    must(s == PM_OK || (s == PM_CORRUPT && why.code == s && why.offset < size && why.msg), "a failure without a place");
    if (s != PM_OK) return 0;
    pm_rz all;
    uint64_t bytes = 0, paths = 0;
    must(read.file_bytes == size && read.path_bytes + 4 * read.paths == size, "bytes that got lost");
    must(pm_check(&m, NULL) == PM_OK && pm_val_count(&m, &paths) == PM_OK && paths <= read.paths, "not sound");
    must(pm_rz_open(&m, NULL, 0, &all) == PM_OK, "no memory");
    must(pm_paths_write(&all, measure, &bytes, &plain, &wrote, NULL) == PM_OK, "cannot be written");
    must(wrote.paths == paths && wrote.file_bytes == bytes && bytes <= size, "other paths");
    pm_rz_drop(&all);
    pm_drop(&m);
    return 0;
}
