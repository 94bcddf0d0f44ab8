/* Hashing. A key is looked at once, and what later parts need of it is kept: its first and last eight bytes, a bucket,
   and 64 hash bits that choose a place within the bucket.

   The bucket is a Pearson hash: a walk through a fixed permutation of the 256 bytes, one step per byte of the key. It
   is bounded: it goes over the leading INTERN_PEARSON_BOUND bytes only. Symbols of one namespace agree in these, and
   would meet in one bucket; so the walk starts not at 0 but at a byte drawn from the length and the last eight bytes.
   Each step is a permutation, so over any fixed leading bytes the buckets are as even as the starts are. */

#include "02_types.h"
#include "11_memory.c"

static const uint8_t intern__pearson[256] = {
    201, 203, 253, 219, 174, 131,  11,  74, 185, 125, 103, 224,  22,  84,  34, 172,
    128, 171, 168, 136, 130,  88,  95, 111,  63, 148, 215, 107,  10,  61, 153,   5,
    133, 150,  39, 113, 157,  81, 250,  83,  56, 121, 181, 239,  72,  82, 142,  28,
    209, 188, 247, 186, 221, 134,  69,  53,  16,  36,  55, 120, 183,  44,  70,  30,
    151, 229,  97, 156, 242,  15, 218, 182, 184,  71, 115, 249, 251, 105, 146, 232,
    254, 180,  38,  32, 163, 217, 135, 122, 212, 127, 240, 226,  33, 123, 118,  75,
    102, 214, 233, 252, 198, 237, 109, 152,   3, 106, 255,  52, 108, 230, 144,  91,
    189, 166,  86,  29, 246, 207, 225,  78,  96, 167, 110, 164, 140, 238, 210, 245,
     54,  47, 162,  62,  46,  24,  67,  48, 208,  17,  57, 205,  87, 119,  90, 213,
    101,  64,  26, 220,  31,  77, 204, 170, 145, 193, 216, 192, 236, 117,  92,  94,
    235, 132, 169, 241,  99,  25, 179, 165, 178, 234, 114,  14, 100,  19,   8, 199,
     45,  43,   9,  40, 173, 228, 104, 200,  13, 160,  79, 195, 231, 139,  60, 141,
    223,  37,  20, 197, 222, 116, 243,  89,   1, 196, 248,  93, 138, 154,  98, 206,
    187,  21, 202, 124,   7, 137, 244,   0, 194,  85,  42,  68, 129, 155,  23,  51,
     65,  12, 190,   4,  66,  41, 227,  35,  18, 149,   6, 112, 147, 158,   2, 143,
     50, 176,  73,  27, 211,  49,  59, 161,  58, 175, 126,  76, 191, 159, 177,  80,
};

/* A key and what was found out about it. */
typedef struct intern__key {
    const uint8_t *data;
    size_t len;
    uint64_t head, tail; /* first and last eight bytes; of a shorter key both are its bytes, padded with zeros */
    uint64_t hash;
    uint32_t bucket;
} intern__key;

/* Fewer than eight bytes as a zero-padded little-endian number, without reading beyond them. */
INTERN__INLINE uint64_t intern__load_short(const uint8_t *p, size_t len) {
    if (len >= 4) return intern__load32(p) | (uint64_t)intern__load32(p + len - 4) << (8 * (len - 4));
    if (len == 0) return 0;
    return p[0] | (uint64_t)p[len >> 1] << (8 * (len >> 1)) | (uint64_t)p[len - 1] << (8 * (len - 1));
}

#define INTERN__MIX1 UINT64_C(0x8f1bbcdcbfa53e0b)
#define INTERN__MIX2 UINT64_C(0xa24baed4963ee407)
#define INTERN__MIX3 UINT64_C(0x9fb21c651e98df25)

INTERN__INLINE uint32_t intern__bucket_of(const uint8_t *p, size_t len, uint64_t head, uint64_t tail) {
    uint64_t start = (tail ^ len * INTERN__MIX2) * INTERN__MIX3;
    uint32_t walk = intern__pearson[(start ^ start >> 32) >> 24 & 255];
    INTERN__UNROLL_8
    for (unsigned i = 0; i < 8; i++)
        if (i + 1 <= INTERN_PEARSON_BOUND) walk = intern__pearson[walk ^ (head >> 8 * i & 255)]; /* it may be 0 */
    for (size_t i = 8; i + 1 <= INTERN_PEARSON_BOUND; i++) walk = intern__pearson[walk ^ (i < len ? p[i] : 0u)];
    return walk & (INTERN_WRITERS - 1);
}

/* All bytes enter, whatever the length; head and tail are those of the key. */
INTERN__INLINE uint64_t intern__hash_of(const uint8_t *p, size_t len, uint64_t head, uint64_t tail, uint64_t seed) {
    uint64_t h = seed + (len + 1) * INTERN__MIX2;
    if (INTERN__UNLIKELY(len > 16)) {
        for (const uint8_t *end = p + len - 8, *q = p + 8; q < end; q += 16) {
            /* The last step may reach into the tail, which then enters twice; never beyond it. */
            const uint8_t *second = q + 8 <= end ? q + 8 : end;
            h = intern__mix(intern__load64(q) ^ h, intern__load64(second) ^ INTERN__MIX3);
        }
    }
    h = intern__mix(head ^ h, tail ^ INTERN__MIX1);
    return intern__mix(h ^ INTERN__MIX2, h >> 32 ^ INTERN__MIX3);
}

INTERN__INLINE intern__key intern__key_of(const void *bytes, size_t len, uint64_t seed) {
    intern__key k;
    k.data = (const uint8_t *)bytes;
    k.len = len;
    if (len >= 8) {
        k.head = intern__load64(k.data);
        k.tail = intern__load64(k.data + len - 8);
    } else {
        k.head = k.tail = intern__load_short(k.data, len);
    }
    k.hash = intern__hash_of(k.data, len, k.head, k.tail, seed);
    k.bucket = intern__bucket_of(k.data, len, k.head, k.tail);
    return k;
}
