/* For tests that change saved tables: checksums made to fit again, as somebody would who means harm. Include it after
   a static copy of interning.h. */
#ifndef TEST_INTERNING_FORGE_H
#define TEST_INTERNING_FORGE_H

static void interning_forge(uint8_t *data, size_t len) {
    if (len < INTERN__TABLES + INTERN__LINE || len % INTERN__LINE) return;
    uint64_t slabs = intern__load64(data + INTERN__AT_SLABS), pages = intern__load64(data + INTERN__AT_PAGES);
    if (slabs > len || pages > len) return;
    size_t head = intern__head_size(slabs, pages);
    if (head + INTERN__LINE > len) return;
    intern__sum sum = intern__sum_start();
    intern__sum_add(&sum, data + head, len - INTERN__LINE - head);
    intern__store64(data + len - INTERN__LINE, intern__body_sum(sum, data + len - INTERN__LINE + 8));
    intern__store64(data + INTERN__AT_CHECKSUM, intern__head_sum(data, head));
}

#endif
