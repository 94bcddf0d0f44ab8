/* Insertion and lookup at the edges of lines and keys: every length of prefix and suffix, keys that come in order, keys
   before and behind which there is no memory to read. */
#define _DEFAULT_SOURCE
#include "check.h"
#include "model.h"

#include <sys/mman.h>
#include <unistd.h>

#include "library.h"

enum { LONGEST = 300 };

static void sound(const pm_map *m) {
    const char *why = "";
    pm_status s = pm_check(m, &why);
    CHECK_NOTE(s == PM_OK, "%s: %s", pm_status_text(s), why);
}

/* Three pages, of which only the middle one may be touched. */
static uint8_t *fence, *page;
static size_t page_bytes;

static void fence_make(void) {
    page_bytes = (size_t)sysconf(_SC_PAGESIZE);
    fence = mmap(NULL, 3 * page_bytes, PROT_NONE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    CHECK(fence != MAP_FAILED);
    page = fence + page_bytes;
    CHECK_EQ(mprotect(page, page_bytes, PROT_READ | PROT_WRITE), 0);
}

static void fence_free(void) { CHECK_EQ(munmap(fence, 3 * page_bytes), 0); }

/* The key, at the end of the page or at its beginning. */
static const uint8_t *fenced(const uint8_t *key, size_t len, bool at_end) {
    uint8_t *at = at_end ? page + page_bytes - len : page;
    if (len) memcpy(at, key, len);
    return at;
}

static void put(pm_map *m, model *twin, const uint8_t *key, size_t len, pm_val v) {
    pm_opt old = {0, false};
    uint64_t twin_old = 0;
    CHECK_OK(pm_set(m, fenced(key, len, len % 3 != 0), len, v, &old));
    bool had = model_set(twin, key, len, v, &twin_old);
    CHECK_EQ(old.some, had);
    if (had) CHECK_EQ(old.val, twin_old);
}

/* Looks a key up by each way there is. */
static void look(const pm_map *m, const model *twin, const uint8_t *key, size_t len) {
    uint64_t v = 0;
    bool there = model_get(twin, key, len, &v);
    for (unsigned at_end = 0; at_end < 2; at_end++) {
        const uint8_t *at = fenced(key, len, at_end);
        const pm_val *one = pm_get(m, at, len), *many = NULL;
        pm_key k = {at, len};
        CHECK_EQ(pm_get_many(m, &k, 1, &many), there);
        CHECK_EQ(one != NULL, there);
        CHECK(one == many);
        if (there) CHECK_EQ(*one, v);
    }
}

static void same_count(const pm_map *m, const model *twin) {
    uint64_t n = 0;
    CHECK_OK(pm_val_count(m, &n));
    CHECK_EQ(n, model_val_count(twin));
}

/* Keys of every length that differ at every place: each byte of `base` changed in turn, and each prefix of it. */
static void every_place(bool backwards, uint8_t fill, const pm_ops *ops) {
    pm_map m = pm_new(ops, NULL);
    model *twin = model_new();
    uint8_t key[LONGEST];
    bool unit = ops == pm_ops_unit();
    memset(key, fill, sizeof key);
    for (size_t n = 0; n <= LONGEST; n++) {
        size_t len = backwards ? LONGEST - n : n;
        put(&m, twin, key, len, unit ? 0 : n);
        if (!len) continue;
        uint8_t was = key[len - 1];
        key[len - 1] = (uint8_t)(n % 2 ? was + 1 : was - 1);
        put(&m, twin, key, len, unit ? 0 : 1000 + n);
        look(&m, twin, key, len);
        key[len - 1] = was;
        if (n % 8 == 0) sound(&m);
    }
    sound(&m);
    same_count(&m, twin);
    for (size_t len = 0; len <= LONGEST; len++) {
        look(&m, twin, key, len);
        if (!len) continue;
        uint8_t was = key[len - 1];
        for (int d = -2; d <= 2; d++) {
            key[len - 1] = (uint8_t)(was + d);
            look(&m, twin, key, len);
        }
        key[len - 1] = was;
    }
    pm_drop(&m);
    model_free(twin);
}

TEST(insert_keys_that_differ_at_every_place) {
    fence_make();
    every_place(false, 'm', NULL);
    every_place(true, 'm', NULL);
    every_place(false, 0, NULL);
    every_place(true, 0xFF, NULL);
    every_place(false, 0x80, pm_ops_unit());
    every_place(true, 0, pm_ops_unit());
    fence_free();
}

/* A line with a prefix of just `plen` bytes, suffixes of every length to 40, in one order and its reverse; then what is
   next to each of them. */
TEST(insert_under_prefixes_of_every_length) {
    fence_make();
    for (size_t plen = 0; plen <= LONGEST; plen += plen < 12 || (plen > 244 && plen < 268) ? 1 : 29) {
        pm_map m = pm_new(NULL, NULL);
        model *twin = model_new();
        uint8_t key[LONGEST + 64];
        for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)(i * 7);
        for (size_t i = 0; i <= 40; i++) {
            size_t len = plen + (plen % 2 ? i : 40 - i);
            key[plen] = (uint8_t)(i / 3 * 5);
            put(&m, twin, key, len, i);
            look(&m, twin, key, len);
            look(&m, twin, key, len + 1);
            if (len) look(&m, twin, key, len - 1);
        }
        sound(&m);
        same_count(&m, twin);
        pm_drop(&m);
        model_free(twin);
    }
    fence_free();
}

/* Keys over few letters, short and long, in order, against it, and at random. */
TEST(insert_in_order_and_out_of_order) {
    fence_make();
    for (unsigned round = 0; round < 90; round++) {
        pm_map m = pm_new(NULL, NULL);
        model *twin = model_new();
        uint8_t key[LONGEST];
        unsigned letters = 2 + round % 4, longest = round % 7 == 6 ? LONGEST : 4 + round % 17;
        uint32_t count = 0;
        for (unsigned i = 0; i < 150; i++) {
            size_t len = check_rand() % (longest + 1);
            uint32_t x = round % 3 == 0 ? count++ : round % 3 == 1 ? 9999 - count++ : (uint32_t)check_rand();
            for (size_t j = 0; j < len; j++) key[j] = (uint8_t)(check_rand() % 8 ? j * 3 : check_rand() % letters * 85);
            for (size_t j = 0; j < len && j < 4; j++) key[j] = (uint8_t)(x >> (round % 2 ? 24 - 8 * j : 12 - 3 * j));
            put(&m, twin, key, len, i);
            look(&m, twin, key, len);
            if (len) {
                key[check_rand() % len] ^= 1;
                look(&m, twin, key, len);
            }
            if (i % 30 == 0) sound(&m);
        }
        sound(&m);
        same_count(&m, twin);
        pm_drop(&m);
        model_free(twin);
    }
    fence_free();
}

/* Dangling locations in the way: what is inserted at or below them takes their place. */
TEST(insert_over_locations_without_value) {
    fence_make();
    for (size_t len = 1; len <= 40; len++) {
        for (size_t below = 0; below <= 20; below++) {
            pm_map m = pm_new(NULL, NULL);
            model *twin = model_new();
            uint8_t key[64];
            for (size_t i = 0; i < sizeof key; i++) key[i] = (uint8_t)('a' + i % 3);
            CHECK_OK(pm_create_path(&m, fenced(key, len, true), len, NULL));
            CHECK(model_create(twin, key, len));
            put(&m, twin, key, len + below, below);
            key[len / 2] ^= 2;
            put(&m, twin, key, len + below, below + 1);
            look(&m, twin, key, len);
            sound(&m);
            uint64_t n = 0;
            CHECK_OK(pm_location_count(&m, &n));
            CHECK_EQ(n, model_location_count(twin));
            pm_drop(&m);
            model_free(twin);
        }
    }
    fence_free();
}
