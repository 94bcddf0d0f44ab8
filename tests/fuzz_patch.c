/* Fuzzing of patch streams: any input, with a header and a checksum made to fit, is read. Nothing may go wrong; what
   can be read is written again to the same bytes, and makes a sound map. Byte 12 chooses the values. */
#define PATHMAP_STATIC
#include "../pathmap.h"

#include "fuzz.h"

static pm_status take(void *ctx, void *to, size_t n, size_t *got) {
    block *b = ctx;
    if (n > b->len - b->at) n = b->len - b->at;
    if (n) memcpy(to, b->data + b->at, n);
    b->at += n;
    *got = n;
    return PM_OK;
}

static void seal(block *b, unsigned kind) {
    static const uint8_t head[12] = {'p', 'm', 'p', 'a', 't', 'c', 'h', 0x1a, 1};
    memcpy(b->data, head, sizeof head);
    memset(b->data + 12, 0, 4);
    b->data[12] = (uint8_t)kind;
    for (unsigned i = 0; i < 8; i++) b->data[16 + i] = (uint8_t)((uint64_t)b->len >> (8 * i));
    memset(b->data + 26, 0, 6);
    pm__patchio_sum sum = pm__patchio_sum_none;
    pm__patchio_sum_bytes(&sum, b->data, b->len - 16);
    pm__patchio_sum_end(&sum, b->len, b->data + b->len - 16);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pm_patch p;
    block b = {NULL, 0, 0}, again = {NULL, 0, 0};
    pm_patch_options o = {.most = 1 << 22};
    if (size < 48) return 0;
    (void)append(&b, data, size);
    unsigned kind = data[12] % 3;
    const pm_ops *ops = kind == 0 ? pm_ops_unit() : kind == 1 ? pm_ops_left() : pm_ops_bytes();
    seal(&b, kind);
    if (pm_patch_read(ops, take, &b, &o, &p, NULL) == PM_OK) {
        pm_map m = pm_new(ops, NULL);
        must(pm_patch_write(&p, append, &again, NULL, NULL) == PM_OK, "cannot be written");
        must(again.len == b.len && memcmp(again.data, b.data, b.len) == 0, "other bytes");
        must(pm_patch_apply(&p, &m) == PM_OK && pm_check(&m, NULL) == PM_OK, "not sound");
        pm_patch_invert(&p);
        must(pm_patch_apply(&p, &m) == PM_OK && pm_check(&m, NULL) == PM_OK, "not sound when undone");
        pm_drop(&m);
        pm_patch_drop(&p);
    }
    free(b.data);
    free(again.data);
    return 0;
}
