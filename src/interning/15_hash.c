/* Hashing. A key is looked at once, and what later parts need of it is kept: its first and last eight bytes, a bucket,
   and 64 hash bits that choose a place within the bucket.

   The hash is keyed: from the table's seed come four secret words, and every eight bytes of a key are combined with a
   secret before they are multiplied, in both operands of each product:

       up to 16 bytes   h = mix(first 8 ^ HEAD, last 8 ^ TAIL)
       longer           h = HEAD; for each 16 bytes within: h = mix(w0 ^ h, w1 ^ BODY);
                        h = mix(first 8 ^ h, last 8 ^ TAIL)
       then             hash = mix(h, length ^ LENGTH)

   That is the construction of wyhash and its kin (wyhash, rapidhash, and the folded product of aHash), without the two
   things for which families of colliding keys are known there: operands that the key alone decides, because they are
   combined with constants of the source (a key that makes one operand zero, or here formerly one, then wipes out the
   other whatever the seed is), and a product without its operands, which has values that absorb. To meet a bad operand
   somebody must hit a secret, 2^-64 a try. Differences between two keys (swapped or equal words, one bit, a rotation)
   survive or cancel depending on the secrets: x y = x' y' needs one word of them to fit, too. The length enters the
   last product, so that keys of zeros, or with bytes appended, that agree in head and tail still differ.
   The secrets are never seen from outside: hashes show only in the time that calls take. It is no cryptographic hash:
   whoever can read the table's memory or a saved file knows the seed, and can make keys that collide.

   Bits of the hash: place in the bucket the lowest (up to 40), bucket the next 7 from bit 40 on, fingerprint the upper
   16. All of them depend on the whole key and the seed. */

#include "02_types.h"
#include "11_memory.c"

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

/* What is combined with the words of keys; a function of the seed. */
typedef struct intern__secret {
    uint64_t head, tail, body, length;
} intern__secret;

/* Steps of splitmix64: each word is a permutation of the seed, so no two seeds share one. */
static uint64_t intern__secret_step(uint64_t *state) {
    uint64_t x = *state += UINT64_C(0x9e3779b97f4a7c15);
    x = (x ^ x >> 30) * UINT64_C(0xbf58476d1ce4e5b9);
    x = (x ^ x >> 27) * UINT64_C(0x94d049bb133111eb);
    return x ^ x >> 31;
}

static intern__secret intern__secret_of(uint64_t seed) {
    intern__secret s;
    s.head = intern__secret_step(&seed);
    s.tail = intern__secret_step(&seed);
    s.body = intern__secret_step(&seed);
    s.length = intern__secret_step(&seed);
    return s;
}

/* All bytes enter, whatever the length; head and tail are those of the key. */
INTERN__INLINE uint64_t intern__hash_of(const uint8_t *p, size_t len, uint64_t head, uint64_t tail,
                                        const intern__secret *secret) {
    uint64_t h = secret->head;
    if (INTERN__UNLIKELY(len > 16)) {
        for (const uint8_t *end = p + len - 8, *q = p + 8; q < end; q += 16) {
            /* The last step may reach into the tail, which then enters twice; never beyond it. */
            const uint8_t *second = q + 8 <= end ? q + 8 : end;
            h = intern__mix(intern__load64(q) ^ h, intern__load64(second) ^ secret->body);
        }
    }
    h = intern__mix(head ^ h, tail ^ secret->tail);
    return intern__mix(h, len ^ secret->length);
}

#define INTERN__BUCKET_SHIFT 40u /* above all bits that can choose a group, below the fingerprint */

INTERN__INLINE uint32_t intern__bucket_of(uint64_t hash) {
    return (uint32_t)(hash >> INTERN__BUCKET_SHIFT) & (INTERN_WRITERS - 1);
}

/* Whether bytes and length can be a key: no object is longer than a difference of pointers. */
INTERN__INLINE bool intern__key_valid(const void *bytes, size_t len) {
    return len <= (bytes ? (size_t)PTRDIFF_MAX : 0);
}

INTERN__INLINE intern__key intern__key_of(const void *bytes, size_t len, const intern__secret *secret) {
    intern__key k;
    k.data = (const uint8_t *)bytes;
    k.len = len;
    if (len >= 8) {
        k.head = intern__load64(k.data);
        k.tail = intern__load64(k.data + len - 8);
    } else {
        k.head = k.tail = intern__load_short(k.data, len);
    }
    k.hash = intern__hash_of(k.data, len, k.head, k.tail, secret);
    k.bucket = intern__bucket_of(k.hash);
    return k;
}
