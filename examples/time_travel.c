/* A store: a file that holds all versions of a map.

   Each commit appends what has changed, and is safe when it returns: a crash at any time leaves the last one whole.
   Every version can be read where it lies, however old; a change can be made over one without loading it. Compaction
   keeps some of them, and gives the rest of the file back. */
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>

static void must(pm_status s) {
    if (s == PM_OK) return;
    fprintf(stderr, "%s\n", pm_status_text(s));
    exit(1);
}

static void set_price(pm_map *shop, unsigned what, pm_val price) {
    char key[32];
    must(pm_set(shop, key, (size_t)snprintf(key, sizeof key, "shop/%u/price", what), price, NULL));
}

/* What a price was, from the newest version to the oldest. */
static void show_history(pm_store *s) {
    pm_commit v;
    pm_opt price;
    pm_status st = pm_store_newest(s, NULL, &v);
    for (; st == PM_OK; st = pm_commit_before(&v, &v)) {
        must(pm_image_get(&v.image, 0, "shop/77/price", 13, &price));
        printf("  on day %" PRIu64 " it was %" PRIu64 "\n", v.time, price.val);
    }
    pm_commit_drop(&v); /* the oldest: there is none before it */
}

/* A change over the newest version, which stays where it lies: what is in memory is the way to the change alone. */
static void change_without_loading(pm_store *s, unsigned what, pm_val price) {
    pm_commit v;
    pm_base *base;
    pm_mixed shop = pm_mixed_new(NULL, NULL);
    char key[32];
    size_t len = (size_t)snprintf(key, sizeof key, "shop/%u/price", what);
    must(pm_store_newest(s, NULL, &v));
    must(pm_base_of_commit(&v, NULL, &base));
    must(pm_mixed_hang(&shop, NULL, 0, base, 0));
    pm_base_close(base); /* the trie keeps it open */
    pm_commit_drop(&v);
    must(pm_mixed_set(&shop, key, len, price, NULL));
    must(pm_store_commit_mixed(s, &shop, &(pm_commit_options){.time = 7}, NULL));
    pm_mixed_drop(&shop);
}

static bool keep_even_days(void *ctx, const pm_commit *v) {
    (void)ctx;
    return v->time % 2 == 0;
}

int main(int argc, char **argv) {
    const char *name = argc > 1 ? argv[1] : "time_travel.store";
    pm_store_options create = {.create = true, .unsynced = true}; /* leave that out where it must be safe */
    pm_store_info info;
    pm_store *s;
    pm_commit first, last;
    pm_map shop;
    (void)remove(name);
    must(pm_store_open(name, &create, &s, NULL));
    must(pm_store_load(s, NULL, NULL, &shop, NULL)); /* empty: the store is new */
    for (unsigned i = 0; i < 10000; i++) set_price(&shop, i, i % 100);
    for (unsigned day = 1; day <= 6; day++) {
        set_price(&shop, 77, 100 + day);
        pm_commit_options how = {.time = day};
        must(pm_store_commit(s, &shop, &how, NULL));
    }
    printf("six versions:\n");
    show_history(s);
    must(pm_store_at(s, 1, &first));
    must(pm_store_last(s, &last));
    printf("the first took more than 10 times what the last took: %s\n", first.size > 10 * last.size ? "yes" : "no");

    must(pm_store_compact(s, keep_even_days, NULL, NULL));
    printf("of which three are kept:\n");
    show_history(s);
    pm_opt price;
    must(pm_image_get(&first.image, 0, "shop/77/price", 13, &price));
    printf("who has day 1 open still reads %" PRIu64 "\n", price.val);
    pm_commit_drop(&first);
    pm_commit_drop(&last);
    pm_drop(&shop);

    change_without_loading(s, 77, 107);
    must(pm_store_last(s, &last));
    must(pm_image_get(&last.image, 0, "shop/78/price", 13, &price));
    printf("another day, without loading the shop: %s, the price beside it is %" PRIu64 "\n",
           last.size < 4096 ? "one page" : "more than a page", price.val);
    pm_commit_drop(&last);
    pm_store_close(s);

    must(pm_store_open(name, NULL, &s, NULL)); /* another day */
    must(pm_store_verify(s, NULL));
    must(pm_store_load(s, NULL, NULL, &shop, NULL));
    set_price(&shop, 77, 200);
    must(pm_store_commit(s, &shop, NULL, NULL));
    pm_store_get_info(s, &info);
    printf("commit %" PRIu64 " is on the disk: %s\n", info.sequence, info.synced == info.size ? "yes" : "no");
    pm_store_close(s);
    pm_drop(&shop);
    (void)remove(name);
    return 0;
}
