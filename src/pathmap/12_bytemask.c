/* Sets of bytes: 256 bits in four words, byte b in bit b % 64 of word b / 64. Inline forms for the layers above carry
   the prefix pm__mask_; the public functions are those forms with linkage. Every scan is four steps at most. */
#include "12_bytemask.h"

#include "10_platform.c"

static PM__INLINE unsigned pm__mask_count(const pm_mask *m) {
    return pm__popcount64(m->w[0]) + pm__popcount64(m->w[1]) + pm__popcount64(m->w[2]) + pm__popcount64(m->w[3]);
}

static PM__INLINE unsigned pm__mask_rank(const pm_mask *m, uint8_t b) {
    unsigned word = b >> 6, n = 0;
    for (unsigned i = 0; i < word; i++) n += pm__popcount64(m->w[i]);
    return n + pm__popcount64(m->w[word] & (((uint64_t)1 << (b & 63)) - 1));
}

/* Position of the i-th set bit (from 0) of a word that has more than i of them. */
static PM__INLINE unsigned pm__word_select(uint64_t w, unsigned i) {
#if PM__BMI2
    return pm__ctz64(_pdep_u64((uint64_t)1 << i, w));
#else
    unsigned at = 0;
    for (unsigned width = 32; width; width >>= 1) {
        unsigned low = pm__popcount64(w & (((uint64_t)1 << width) - 1));
        if (i >= low) {
            i -= low;
            w >>= width;
            at += width;
        }
    }
    return at;
#endif
}

static PM__INLINE int pm__mask_select(const pm_mask *m, unsigned i) {
    for (unsigned word = 0; word < 4; word++) {
        unsigned n = pm__popcount64(m->w[word]);
        if (i < n) return (int)(word * 64 + pm__word_select(m->w[word], i));
        i -= n;
    }
    return -1;
}

static PM__INLINE int pm__mask_next(const pm_mask *m, int from) {
    if (from > 255) return -1;
    if (from < 0) from = 0;
    unsigned word = (unsigned)from >> 6;
    uint64_t w = m->w[word] & (~(uint64_t)0 << (from & 63));
    while (w == 0) {
        if (++word == 4) return -1;
        w = m->w[word];
    }
    return (int)(word * 64 + pm__ctz64(w));
}

static PM__INLINE int pm__mask_prev(const pm_mask *m, int from) {
    if (from < 0) return -1;
    if (from > 255) from = 255;
    unsigned word = (unsigned)from >> 6;
    uint64_t w = m->w[word] & (~(uint64_t)0 >> (63 - (from & 63)));
    while (w == 0) {
        if (word-- == 0) return -1;
        w = m->w[word];
    }
    return (int)(word * 64 + 63 - pm__clz64(w));
}

PM_API unsigned pm_mask_count(const pm_mask *m) {
    if (!m) return 0;
    return pm__mask_count(m);
}
PM_API unsigned pm_mask_rank(const pm_mask *m, uint8_t b) {
    if (!m) return 0;
    return pm__mask_rank(m, b);
}
PM_API int pm_mask_select(const pm_mask *m, unsigned i) {
    if (!m) return -1;
    return pm__mask_select(m, i);
}
PM_API int pm_mask_next(const pm_mask *m, int from) {
    if (!m) return -1;
    return pm__mask_next(m, from);
}
PM_API int pm_mask_prev(const pm_mask *m, int from) {
    if (!m) return -1;
    return pm__mask_prev(m, from);
}

PM_API pm_mask pm_mask_of(const void *bytes, size_t n) {
    const uint8_t *b = (const uint8_t *)bytes;
    pm_mask m = {{0, 0, 0, 0}};
    for (size_t i = 0; b && n <= PM__LEN_MAX && i < n; i++) pm_mask_set(&m, b[i]);
    return m;
}

PM_API pm_mask pm_mask_or(pm_mask a, pm_mask b) {
    for (unsigned i = 0; i < 4; i++) a.w[i] |= b.w[i];
    return a;
}

PM_API pm_mask pm_mask_and(pm_mask a, pm_mask b) {
    for (unsigned i = 0; i < 4; i++) a.w[i] &= b.w[i];
    return a;
}

PM_API pm_mask pm_mask_andnot(pm_mask a, pm_mask b) {
    for (unsigned i = 0; i < 4; i++) a.w[i] &= ~b.w[i];
    return a;
}

PM_API bool pm_mask_equal(const pm_mask *a, const pm_mask *b) {
    if (!a || !b) return false;
    return ((a->w[0] ^ b->w[0]) | (a->w[1] ^ b->w[1]) | (a->w[2] ^ b->w[2]) | (a->w[3] ^ b->w[3])) == 0;
}
