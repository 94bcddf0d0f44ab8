/* What the node parts share: the context of an operation, and entries, the currency in which nodes are taken apart
   and put together.

   A value at a path always lives in the node above it, never in the node rooted at that path; so any subtrie can be
   shared, grafted or cut without touching it. The value of the empty path lives in the map's handle.

   A node-kind part (22, 23) offers only local operations on its own kind and says when it is full; 25 alone chooses
   between kinds; 28 alone changes what lies along a path.

   The structures that all parts above share, and where they are defined:

     pm__ref   (20) a node, in one word                      pm__cx    (21) the value operations and pool of a map
     pm__ent   (21) one branch, taken out of its node        pm__line  (22) pm__byte, pm__block (23)  the node kinds
     pm__pen   (22) a line that is being written             pm__build (25) a list of entries on its way into nodes
     pm_place  (26) a location seen from inside its node     pm__list  (17) pm__memo (14)  stacks and paths that grow;
                                                             what is known of shared nodes */
#include "20_ref.c"
#include "11_memory.c"
#include "13_values.c"

static PM__INLINE unsigned pm__popcount32(uint32_t x) { return pm__popcount64(x); }
static PM__INLINE unsigned pm__ctz32(uint32_t x) { return pm__ctz64(x); }
/* The n lowest bits, n up to 32. */
static PM__INLINE uint32_t pm__low_bits(unsigned n) { return (uint32_t)(((uint64_t)1 << n) - 1); }

/* The word that unit maps return for every value. */
static const pm_val pm__unit_val = 0;

/* What an operation needs to know of the map it works for. */
typedef struct pm__cx {
    const pm_ops *ops;
    pm_pool *pool;
    bool unit;  /* values have no payload */
    bool plain; /* values need neither retain nor release */
} pm__cx;

PM__UNUSED static pm__cx pm__cx_of(const pm_ops *ops, pm_pool *pool) {
    pm__cx cx;
    cx.ops = pm__ops_of(ops);
    cx.pool = pool;
    cx.unit = (cx.ops->flags & PM_OPS_UNIT) != 0;
    cx.plain = pm__ops_is_plain(cx.ops);
    return cx;
}

/* Longest suffix of one entry: its length less one is a byte. */
enum { PM__SUFFIX_MAX = 256 };

/* One compressed branch below a node: `len` bytes of suffix, then a value or a child. The first byte stands apart
   from the rest because line nodes store it apart. Sorted by suffix, a value before the child of the same suffix.
   A child of 0 is a dangling location. */
typedef struct pm__ent {
    const uint8_t *rest; /* bytes 1..len-1 of the suffix */
    uint64_t pay;
    uint32_t len; /* 0 only for a value at the end of a line's prefix */
    uint8_t first;
    bool child;
    bool fresh;  /* the payload does not come from the node being rebuilt */
    bool placed; /* used by the builder alone */
} pm__ent;

static PM__INLINE uint8_t pm__ent_at(const pm__ent *e, size_t i) { return i ? e->rest[i - 1] : e->first; }

static PM__INLINE pm__ent pm__ent_make(const uint8_t *s, size_t len, bool child, uint64_t pay) {
    pm__ent e;
    e.rest = s + 1;
    e.pay = pay;
    e.len = (uint32_t)len;
    e.first = len ? s[0] : 0;
    e.child = child;
    e.fresh = true;
    return e;
}

/* memcpy for pieces that are mostly shorter than the call would take: suffixes, not keys. */
static PM__INLINE void pm__copy_short(uint8_t *to, const uint8_t *from, size_t n) {
    if (n > 16) {
        memcpy(to, from, n);
    } else if (n >= 8) {
        uint64_t a = pm__load64(from), z = pm__load64(from + n - 8);
        pm__store64(to, a);
        pm__store64(to + n - 8, z);
    } else if (n >= 4) {
        uint32_t a = pm__load32(from), z = pm__load32(from + n - 4);
        pm__store32(to, a);
        pm__store32(to + n - 4, z);
    } else if (n) {
        uint8_t m = from[n >> 1], z = from[n - 1];
        to[0] = from[0];
        to[n >> 1] = m;
        to[n - 1] = z;
    }
}

/* Writes an entry's suffix. Returns where it ends. */
static PM__INLINE uint8_t *pm__ent_spell(uint8_t *to, const pm__ent *e) {
    if (!e->len) return to;
    *to++ = e->first;
    pm__copy_short(to, e->rest, e->len - 1u);
    return to + e->len - 1u;
}

/* A copy in steps of 32 bytes, or of 8: nearly all pieces are so copied without an unpredictable branch. What goes
   beyond n, up to the step, is read and written as well. Each step is read before it is written. */
static PM__INLINE void pm__copy_steps(uint8_t *to, const uint8_t *from, size_t n, bool wide) {
    if (wide) {
        size_t i = 0;
        do {
            uint64_t a = pm__load64(from + i), b = pm__load64(from + i + 8);
            uint64_t c = pm__load64(from + i + 16), d = pm__load64(from + i + 24);
            pm__store64(to + i, a);
            pm__store64(to + i + 8, b);
            pm__store64(to + i + 16, c);
            pm__store64(to + i + 24, d);
        } while (PM__UNLIKELY((i += 32) < n));
    } else {
        size_t i = 0;
        do pm__store64(to + i, pm__load64(from + i));
        while ((i += 8) < n);
    }
}

/* Bits of the first min(n, 8) bytes of a word from pm__load64le. Here and below comparisons become masks, since how
   long pieces are cannot be guessed. */
static PM__INLINE uint64_t pm__first_bytes(size_t n) {
    return (((uint64_t)1 << (8 * n & 63)) - 1) | (0 - (uint64_t)(n > 7));
}

/* The bytes of a key from s on, as by pm__load64le, with zeros where the key has ended; s <= end. Nothing is read from
   `end` on, and no branch is taken on how much is left: 8 bytes are loaded from s or, where fewer are left, from
   end - 8, which must be readable. */
static PM__INLINE uint64_t pm__ent_key_word(const uint8_t *s, const uint8_t *end) {
    size_t left = (size_t)(end - s), back = (8 - left) & (0 - (size_t)(left < 8));
    return pm__load64le(s - back) >> 4 * back >> 4 * back; /* 64 at once would be one shift too far */
}

/* Room for a short key, moved to where the eight bytes before its end can be read. */
typedef struct pm__key_room {
    uint64_t word[2];
} pm__key_room;

/* Where to read the key s[0..len) with pm__ent_key_word: where it is, or in `room`. */
static PM__INLINE const uint8_t *pm__ent_key_start(const uint8_t *s, size_t len, pm__key_room *room) {
    if (PM__LIKELY(len >= 8)) return s;
    uint64_t w = pm__load_upto8(s, len);
    room->word[0] = 0;
    room->word[1] = PM__BIG_ENDIAN ? pm__bswap64(w) : w;
    return (const uint8_t *)&room->word[1];
}

/* Length of the common prefix of two byte strings. */
static PM__INLINE size_t pm__lcp(const uint8_t *a, const uint8_t *b, size_t max) {
    size_t i = 0;
    while (i + 8 <= max) {
        uint64_t x = pm__load64le(a + i) ^ pm__load64le(b + i);
        if (x) return i + (size_t)pm__ctz64(x) / 8;
        i += 8;
    }
    while (i < max && a[i] == b[i]) i++;
    return i;
}

/* Length of what two entries' suffixes share behind `from` bytes, which both have, at most `max`. */
static PM__INLINE size_t pm__ent_lcp(const pm__ent *a, const pm__ent *z, size_t from, size_t max) {
    size_t both = (a->len < z->len ? a->len : z->len) - from;
    if (max > both) max = both;
    if (!max || pm__ent_at(a, from) != pm__ent_at(z, from)) return 0;
    return 1 + pm__lcp(a->rest + from, z->rest + from, max - 1);
}

/* A suffix as a word: its first seven bytes from the top down, above the lesser of its length and 8. Suffixes sort as
   their words do, and those of less than eight bytes are equal if their words are. Eight bytes from `rest` on, the
   suffix behind its first byte, must be readable. */
PM__UNUSED static PM__INLINE uint64_t pm__suffix_word(uint8_t first, const uint8_t *rest, unsigned len) {
    unsigned most = len < 8 ? len : 8;
    uint64_t bytes = (uint64_t)first << 56 | pm__load64be(rest) >> 8;
    return (bytes & ~(~(uint64_t)0 >> 8 * (most < 7 ? most : 7))) + most;
}

/* Compares suffixes of equal words and eight bytes or more: below 0, 0 or above 0. Eight bytes from the seventh of each
   on must be readable. */
PM__UNUSED static PM__INLINE int pm__suffix_compare(const uint8_t *a, unsigned la, const uint8_t *b, unsigned lb) {
    unsigned ra = la - 7, rb = lb - 7, min = ra < rb ? ra : rb;
    uint64_t x = pm__load64be(a + 6), y = pm__load64be(b + 6);
    if (min < 8) {
        x >>= 8 * (8 - min), y >>= 8 * (8 - min);
    } else if (x == y) {
        int c = memcmp(a + 14, b + 14, min - 8);
        if (c) return c;
    }
    return x != y ? (x < y ? -1 : 1) : (ra > rb) - (ra < rb);
}
