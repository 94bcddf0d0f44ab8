/* Allocation: everything goes through INTERN_MALLOC, and every size is known again when it is freed. */

#include "02_types.h"
#include "10_platform.c"

#define INTERN__LINE 64u /* bytes of a cache line, and alignment of what readers look at */

/* A block that starts on a cache line. The address that INTERN_MALLOC answered stands in the word before it. */
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

#if !INTERN_NO_FILES
/* Reads a whole file into a block of intern__line_alloc. */
static intern_status intern__file_read(const char *path, uint8_t **at, size_t *len) {
    size_t have = 0;
    int fd = intern__file_open(path, len);
    if (fd < 0) return INTERN_IO;
    uint8_t *to = (uint8_t *)intern__line_alloc(*len);
    for (ssize_t n = 1; to && have < *len && n > 0; have += n > 0 ? (size_t)n : 0)
        n = read(fd, to + have, *len - have < 1u << 30 ? *len - have : 1u << 30);
    close(fd);
    if (!to) return INTERN_NOMEM;
    if (have < *len) {
        intern__line_free(to, *len);
        return INTERN_IO;
    }
    *at = to;
    return INTERN_OK;
}
#endif
