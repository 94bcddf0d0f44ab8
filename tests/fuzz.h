/* What fuzzers share. Include after pathmap.h. */
#ifndef FUZZ_H
#define FUZZ_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define FUZZ_UNUSED __attribute__((unused))

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void must(bool ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "%s\n", what);
    abort();
}

/* What was written, and how far it was read again. */
typedef struct block {
    uint8_t *data;
    size_t len, at;
} block;

FUZZ_UNUSED static pm_status append(void *ctx, const void *from, size_t n) {
    block *b = ctx;
    b->data = realloc(b->data, b->len + n);
    must(b->data != NULL, "no memory");
    memcpy(b->data + b->len, from, n);
    b->len += n;
    return PM_OK;
}

#endif
