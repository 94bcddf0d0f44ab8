/* Allocation: everything goes through INTERN_MALLOC, and every size is known again when it is freed. */

#include "02_types.h"
#include "10_platform.c"

#define INTERN__LINE 64u /* bytes of a cache line, and alignment of what readers look at */

/* A block that starts on a cache line. The address that INTERN_MALLOC returned stands in the word before it. */
static void *intern__line_alloc(size_t n) {
    if (n > SIZE_MAX - INTERN__LINE) return NULL;
    uint8_t *raw = (uint8_t *)INTERN_MALLOC(n + INTERN__LINE);
    if (!raw) return NULL;
    uint8_t *at = raw + (INTERN__LINE - ((uintptr_t)raw & (INTERN__LINE - 1)));
    memcpy(at - sizeof raw, &raw, sizeof raw);
    return at;
}

static void intern__line_free(void *at, size_t n) {
    void *raw;
    memcpy(&raw, (uint8_t *)at - sizeof raw, sizeof raw);
    INTERN_FREE(raw, n + INTERN__LINE);
}
