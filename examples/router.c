/* A router: where a packet goes is said by the longest prefix of its address that has a route. Addresses of both
   versions are in one map, a byte to a bit behind the version, so that prefixes of any length are prefixes of keys; the
   map keeps runs of them together. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

enum { BITS_MAX = 128 };

/* A prefix as a key. */
typedef struct prefix {
    char bits[1 + BITS_MAX];
    size_t len;
} prefix;

/* Spells the first `bits` bits of an address. */
static prefix prefix_of(char version, const uint8_t *address, size_t bits) {
    prefix p = {{version}, 1 + bits};
    for (size_t i = 0; i < bits; i++) p.bits[1 + i] = (char)('0' + (address[i / 8] >> (7 - i % 8) & 1));
    return p;
}

/* Reads "10.1.0.0/16", or "2001:db8:1::/48" with all groups that are not behind the "::". */
static prefix parse(const char *text) {
    uint8_t address[16] = {0};
    const char *slash = strchr(text, '/'), *s = text;
    bool six = strchr(text, ':') != NULL;
    for (size_t i = 0; i < 16 && *s && *s != '/'; i += six ? 2 : 1) {
        char *end;
        unsigned long n = strtoul(s, &end, six ? 16 : 10);
        if (six) address[i] = (uint8_t)(n >> 8), address[i + 1] = (uint8_t)n;
        else address[i] = (uint8_t)n;
        for (s = end; *s == '.' || *s == ':'; s++) {}
    }
    size_t bits = slash ? (size_t)atoi(slash + 1) : six ? 128 : 32;
    return prefix_of(six ? '6' : '4', address, bits);
}

static const char *const hops[] = {"default", "campus", "lab", "printer", "backbone", "customer"};

static const struct {
    const char *prefix;
    pm_val hop;
} routes[] = {{"0.0.0.0/0", 0},    {"10.0.0.0/8", 1},    {"10.1.0.0/16", 2},     {"10.1.2.128/25", 3},
              {"10.64.0.0/11", 4}, {"2001:db8::/32", 4}, {"2001:db8:1::/48", 5}, {"2001:db8:1:8::/61", 2}};

static void route(const pm_map *table, const char *address) {
    prefix p = parse(address);
    size_t len;
    const pm_val *hop = pm_longest_prefix(table, p.bits, p.len, &len);
    if (hop) printf("  %-16s by /%u to %s\n", address, (unsigned)len - 1, hops[*hop]);
    else printf("  %-16s nowhere\n", address);
}

/* For whoever asks why: all routes that fit, the widest first. */
static bool show(void *ctx, size_t len, pm_val hop) {
    (void)ctx;
    printf("  /%u %s\n", (unsigned)len - 1, hops[hop]);
    return true;
}

int main(void) {
    pm_map table = {0};
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++) {
        prefix p = parse(routes[i].prefix);
        if (pm_set(&table, p.bits, p.len, routes[i].hop, NULL) != PM_OK) return 1;
    }
    printf("routes:\n");
    route(&table, "10.1.2.130");
    route(&table, "10.1.2.3");
    route(&table, "10.90.0.1");
    route(&table, "192.0.2.1");
    route(&table, "2001:db8:1:9::");
    route(&table, "2001:db8:2::");
    route(&table, "2a00::");

    prefix p = parse("10.1.2.130");
    printf("all that fit 10.1.2.130:\n");
    if (pm_each_prefix(&table, p.bits, p.len, show, NULL) != PM_OK) return 1;

    /* Who forwards packets goes on with a table of its own while another one is changed: a clone costs nothing. */
    pm_map next = pm_clone(&table);
    uint64_t n;
    prefix from = parse("10.0.0.0/8"), to = parse("11.0.0.0/8");
    if (pm_prefix_count(&next, from.bits, from.len, &n) != PM_OK) return 1;
    if (pm_remove_range(&next, &(pm_key){from.bits, from.len}, &(pm_key){to.bits, to.len}) != PM_OK) return 1;
    printf("without the %u routes of 10.0.0.0/8:\n", (unsigned)n);
    route(&next, "10.1.2.130");
    printf("while the old table says:\n");
    route(&table, "10.1.2.130");
    pm_drop(&next);
    pm_drop(&table);
    return 0;
}
