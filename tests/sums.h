/* The checksum of files, as docs/formats.md says it, for files that a test makes up. Include after check.h. */
#ifndef SUMS_H
#define SUMS_H

CHECK__UNUSED static void sums__word(uint64_t sum[2], uint64_t w) {
    sum[0] = (sum[0] ^ w) * UINT64_C(0x9FB21C651E98DF25);
    sum[0] ^= sum[0] >> 29;
    sum[1] = (sum[1] + sum[0]) * UINT64_C(0xD6E8FEB86659FD93);
    sum[1] ^= sum[1] >> 32;
}

/* Words of 8 bytes, the lowest first; `rest`: also what is left, filled up with zeros, even if that is nothing. */
CHECK__UNUSED static void sums__bytes(uint64_t sum[2], const uint8_t *data, size_t n, bool rest) {
    uint64_t w = 0;
    for (size_t i = 0; i < n; i++) {
        w |= (uint64_t)data[i] << 8 * (i % 8);
        if (i % 8 == 7) sums__word(sum, w), w = 0;
    }
    if (rest) sums__word(sum, w);
}

/* Writes the sum of `head`, whole words, then of the rest, and of the size of all. */
CHECK__UNUSED static void sums_put(uint8_t *to, const uint8_t *head, size_t head_len, const uint8_t *data, size_t n,
                                   uint64_t size) {
    uint64_t sum[2] = {UINT64_C(0x243F6A8885A308D3), UINT64_C(0x13198A2E03707344)};
    sums__bytes(sum, head, head_len, false);
    sums__bytes(sum, data, n, true);
    sums__word(sum, size);
    for (unsigned i = 0; i < 16; i++) to[i] = (uint8_t)(sum[i / 8] >> 8 * (i % 8));
}

#endif
