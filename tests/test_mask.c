/* Sets of bytes against an array of 256 booleans; and the bit and load helpers below them. */
#include "check.h"

#define PATHMAP_STATIC
#include "../pathmap.h"

/* A random set of about `n` bytes, in both forms. */
static pm_mask random_mask(unsigned n, bool in[256]) {
    uint8_t bytes[512];
    memset(in, 0, 256);
    for (unsigned i = 0; i < n; i++) {
        bytes[i] = (uint8_t)check_below(256);
        in[bytes[i]] = true;
    }
    return pm_mask_of(bytes, n);
}

static void check_scans(const pm_mask *m, const bool in[256]) {
    unsigned count = 0;
    for (int b = 0; b < 256; b++) {
        CHECK_EQ(pm_mask_test(m, (uint8_t)b), in[b]);
        CHECK_EQ(pm_mask_rank(m, (uint8_t)b), count);
        if (in[b]) CHECK_EQ(pm_mask_select(m, count++), b);
    }
    CHECK_EQ(pm_mask_count(m), count);
    CHECK_EQ(pm_mask_is_empty(m), count == 0);
    CHECK_EQ(pm_mask_select(m, count), -1);
    CHECK_EQ(pm_mask_select(m, 256), -1);
    CHECK_EQ(pm_mask_select(m, UINT_MAX), -1);
    int last = -1;
    CHECK_EQ(pm_mask_prev(m, -1), -1);
    for (int b = 0; b < 256; b++) {
        if (in[b]) last = b;
        CHECK_EQ(pm_mask_prev(m, b), last);
    }
    last = -1;
    CHECK_EQ(pm_mask_next(m, 256), -1);
    for (int b = 255; b >= 0; b--) {
        if (in[b]) last = b;
        CHECK_EQ(pm_mask_next(m, b), last);
    }
}

TEST(mask_scans_agree_with_an_array) {
    bool in[256] = {false};
    pm_mask m = {{0, 0, 0, 0}};
    check_scans(&m, in);
    for (unsigned b = 0; b < 256; b++) {
        memset(in, 0, sizeof in);
        in[b] = true;
        uint8_t byte = (uint8_t)b;
        m = pm_mask_of(&byte, 1);
        check_scans(&m, in);
    }
    for (unsigned n = 1; n <= 512; n++) {
        m = random_mask(n, in);
        check_scans(&m, in);
    }
    memset(&m, 0xff, sizeof m);
    memset(in, 1, sizeof in);
    check_scans(&m, in);
}

TEST(mask_set_and_clear_change_one_byte) {
    bool in[256] = {false};
    pm_mask m = pm_mask_of(NULL, 0);
    CHECK(pm_mask_is_empty(&m));
    for (unsigned step = 0; step < 3000; step++) {
        uint8_t b = (uint8_t)check_below(256);
        in[b] = check_below(2) == 0;
        if (in[b]) pm_mask_set(&m, b);
        else pm_mask_clear(&m, b);
        if (step % 50 == 0) check_scans(&m, in);
    }
    check_scans(&m, in);
}

TEST(mask_algebra_is_bytewise) {
    for (unsigned round = 0; round < 200; round++) {
        bool a_in[256], b_in[256], either[256], both[256], only[256];
        pm_mask a = random_mask((unsigned)check_below(300), a_in), b = random_mask((unsigned)check_below(300), b_in);
        for (unsigned i = 0; i < 256; i++) {
            either[i] = a_in[i] || b_in[i];
            both[i] = a_in[i] && b_in[i];
            only[i] = a_in[i] && !b_in[i];
        }
        pm_mask x = pm_mask_or(a, b), y = pm_mask_and(a, b), z = pm_mask_andnot(a, b);
        check_scans(&x, either);
        check_scans(&y, both);
        check_scans(&z, only);
        pm_mask again = pm_mask_or(y, z);
        CHECK(pm_mask_equal(&again, &a));
        CHECK_EQ(pm_mask_equal(&a, &b), memcmp(a_in, b_in, sizeof a_in) == 0);
        uint8_t flip = (uint8_t)check_below(256);
        if (pm_mask_test(&again, flip)) pm_mask_clear(&again, flip);
        else pm_mask_set(&again, flip);
        CHECK(!pm_mask_equal(&again, &a));
    }
}

TEST(platform_bit_helpers_agree_with_loops) {
    for (unsigned round = 0; round < 2000; round++) {
        uint64_t x = check_rand() >> check_below(64);
        if (round % 3 == 0) x &= check_rand();
        if (round % 7 == 0) x <<= check_below(64);
        unsigned ones = 0, low = 64, high = 64;
        for (unsigned i = 0; i < 64; i++) {
            if (!(x >> i & 1)) continue;
            if (low == 64) low = i;
            high = 63 - i;
            ones++;
        }
        CHECK_EQ(pm__popcount64(x), ones);
        if (x == 0) continue;
        CHECK_EQ(pm__ctz64(x), low);
        CHECK_EQ(pm__clz64(x), high);
        for (unsigned i = 0, n = 0; i < 64; i++)
            if (x >> i & 1) CHECK_EQ(pm__word_select(x, n++), i);
    }
}

TEST(platform_loads_have_the_byte_order_they_name) {
    static const unsigned char b[] = {1, 2, 3, 4, 5, 6, 7, 8, 9};
    CHECK_EQ(pm__load64le(b + 1), 0x0908070605040302u);
    CHECK_EQ(pm__load64be(b + 1), 0x0203040506070809u);
    CHECK_EQ(pm__load32le(b + 1), 0x05040302u);
    unsigned char to[9] = {0};
    pm__store64(to + 1, pm__load64(b + 1));
    CHECK_MEM_EQ(to + 1, 8, b + 1, 8);
    pm__store32(to + 3, pm__load32(b));
    CHECK_MEM_EQ(to + 3, 4, b, 4);
}

TEST(platform_short_loads_stay_inside_their_bytes) {
    enum { MOST = 12 };
    unsigned char *block = malloc(MOST);
    CHECK(block != NULL);
    for (size_t n = 0; n <= MOST; n++) {
        unsigned char *p = block + MOST - n; /* the block ends where the read must: a checker sees the next byte */
        for (unsigned round = 0; round < 50; round++) {
            uint64_t want = 0;
            for (size_t i = 0; i < n; i++) {
                p[i] = (unsigned char)check_below(256);
                if (i < 8) want |= (uint64_t)p[i] << (8 * i);
            }
            CHECK_EQ(pm__load_upto8(p, n), want);
        }
    }
    free(block);
}
