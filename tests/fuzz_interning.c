/* Fuzzes loading. The input is taken in three ways: as a file as it stands; as a file whose checksums are made to fit;
   and as a list of changes to a sound file, checksums made to fit. A file that is loaded with verification must then
   serve every call. */
#include <stdlib.h>
#include <string.h>

#define INTERNING_STATIC
#include "../interning.h"

#include "test_interning_forge.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

#define MUST(c) ((c) ? (void)0 : abort())

typedef struct bytes {
    uint8_t *data;
    size_t len;
} bytes;

static bool gather(void *ctx, const void *data, size_t len) {
    bytes *b = ctx;
    uint8_t *grown = realloc(b->data, b->len + len);
    if (!grown) return false;
    memcpy(grown + b->len, data, len);
    b->data = grown;
    b->len += len;
    return true;
}

/* A small sound file with short, long and empty keys; made once. */
static const bytes *sound_file(void) {
    static bytes file;
    if (file.data) return &file;
    intern_table *t;
    intern_permit p;
    uint8_t key[300];
    intern_options options = {1, false}; /* the same file in every run */
    MUST(intern_table_new(&options, &t) == INTERN_OK && intern_permit_acquire(t, &p) == INTERN_OK);
    for (unsigned i = 0; i < 200; i++) {
        intern_symbol s;
        size_t len = i % 50 == 49 ? 250 + i % 7 : i % 13;
        memset(key, (int)i, sizeof key);
        MUST(intern_get_or_insert(t, &p, key, len, &s, NULL) == INTERN_OK);
    }
    MUST(intern_save_to(t, gather, &file) == INTERN_OK);
    MUST(intern_permit_release(&p) == INTERN_OK);
    intern_table_free(t);
    return &file;
}

static void exercise(intern_table *t) {
    uint64_t n = 0;
    intern_permit p;
    for (intern_iter i = intern_iter_all(t); intern_iter_next(&i); n++)
        MUST(i.data && intern_get(t, i.data, i.len) == i.symbol);
    MUST(n == intern_count(t));
    MUST(intern_permit_acquire(t, &p) == INTERN_OK);
    for (uint32_t i = 0; i < 40; i++) {
        intern_symbol s = INTERN_NONE;
        intern_status status = intern_get_or_insert(t, &p, &i, sizeof i, &s, NULL);
        MUST(status == INTERN_OK || status == INTERN_FULL || status == INTERN_NOMEM);
        if (status == INTERN_OK) MUST(intern_get(t, &i, sizeof i) == s && intern_bytes(t, s, NULL));
    }
    MUST(intern_permit_release(&p) == INTERN_OK);
}

static void load(const uint8_t *data, size_t size, unsigned flags) {
    intern_table *t;
    intern_options options = {size % 3 == 0 ? 2 : 0, false}; /* a seed of its own, or the file's */
    intern_error error = {INTERN_OK, 0, NULL};
    MUST(intern_table_new(&options, &t) == INTERN_OK);
    intern_status s = intern_load_memory(t, data, size, flags, &error);
    if (s == INTERN_OK) exercise(t);
    else MUST(error.code == s && error.msg && intern_count(t) == 0);
    intern_table_free(t);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < 1) return 0;
    unsigned way = data[0] % 3;
    bytes file = {NULL, 0};
    data++, size--;
    if (way == 0) {
        load(data, size, INTERN_LOAD_VERIFY);
        return 0;
    }
    const bytes *base = sound_file();
    if (!gather(&file, way == 1 ? data : base->data, way == 1 ? size : base->len)) return 0;
    for (size_t i = 0; way == 2 && i + 4 <= size; i += 4) /* three bytes of place, one to put there */
        file.data[(data[i] | (size_t)data[i + 1] << 8 | (size_t)data[i + 2] << 16) % file.len] = data[i + 3];
    if (file.data) interning_forge(file.data, file.len);
    load(file.data, file.len, INTERN_LOAD_VERIFY);
    free(file.data);
    return 0;
}
