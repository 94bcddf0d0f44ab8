/* Fuzzing of ACT files: any input, with the magic made to fit and the root put within it, is read. Nothing may go
   wrong; what can be read is a sound map, which is the same when it was written and read again. The first byte chooses
   the values. */
#include "../pathmap.h"

#include "fuzz.h"

enum { START = 16 };

static void seal(uint8_t *block, size_t size) {
    uint64_t root = 0;
    memcpy(block, "ACTree03", 8);
    for (unsigned i = 0; i < 8; i++) root |= (uint64_t)block[8 + i] << (8 * i);
    if (root < START || root >= size) root = START + root % (size - START);
    for (unsigned i = 0; i < 8; i++) block[8 + i] = (uint8_t)(root >> (8 * i));
}

static void again(const pm_ops *ops, const pm_map *m) {
    block b = {NULL, 0, 0};
    pm_map n;
    bool same = false;
    must(pm_act_write(m, append, &b, NULL, NULL) == PM_OK, "cannot be written");
    must(pm_act_read(ops, NULL, b.data, b.len, NULL, &n, NULL) == PM_OK, "what was written cannot be read");
    must(pm_equal(m, &n, &same) == PM_OK && same, "another map");
    pm_drop(&n);
    free(b.data);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    pm_act_options o = {.most = 1 << 20};
    pm_error why = {PM_OK, 0, ""};
    pm_map m;
    if (size <= START) return 0;
    uint8_t *block = malloc(size);
    must(block != NULL, "no memory");
    memcpy(block, data, size);
    const pm_ops *ops = data[0] % 2 ? pm_ops_unit() : pm_ops_left();
    seal(block, size);
    pm_status s = pm_act_read(ops, NULL, block, size, &o, &m, &why);
    if (s == PM_OK) {
        must(pm_check(&m, NULL) == PM_OK, "not sound");
        again(ops, &m);
        pm_drop(&m);
    } else {
        must(s == PM_CORRUPT || s == PM_NOMEM, "another status");
        must(why.code == s && why.offset <= size, "the error does not say where");
    }
    free(block);
    return 0;
}
