/* Autocomplete: what begins with what was typed, a page at a time. A page is asked for with the last key of the one
   before, so nothing is kept between two requests, and keys may come and go meanwhile. The words that are
   typed most come from a summary, which knows the greatest score below each node. */
#include <stdio.h>
#include <string.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

static const char *const words[] = {"map",    "mapped", "mapper",   "mapping",  "maple",   "marble",  "march",
                                    "margin", "mark",   "market",   "marketer", "markets", "marsh",   "mask",
                                    "mast",   "master", "mastered", "masterly", "match",   "matched", "matcher"};

/* Prints at most n words that begin with `typed`, after the word in *last if it holds one, which it then is. Returns
   whether there may be more. */
static bool page(const pm_map *m, const char *typed, pm_item *last, int n) {
    size_t len = strlen(typed);
    pm_status s =
        last->found ? pm_nearest(m, PM_GT, last->key, last->len, last) : pm_nearest(m, PM_GE, typed, len, last);
    printf(" ");
    for (; s == PM_OK && last->found && last->len >= len && memcmp(last->key, typed, len) == 0; n--) {
        printf(" %.*s", (int)last->len, (const char *)last->key);
        if (n == 1) {
            printf(" ..\n");
            return true;
        }
        s = pm_nearest(m, PM_GT, last->key, last->len, last);
    }
    printf("\n");
    return false;
}

static void complete(const pm_map *m, const char *typed) {
    pm_item item = {0};
    uint64_t n = 0;
    if (pm_prefix_count(m, typed, strlen(typed), &n) != PM_OK) return;
    printf("%s: %u words", typed, (unsigned)n);
    if (pm_common_prefix(m, typed, strlen(typed), &item) == PM_OK && item.found && item.len > strlen(typed))
        printf(", all of them %.*s..", (int)item.len, (const char *)item.key);
    printf("\n");
    pm_item_drop(&item);
}

/* The greatest score of many: a monoid for the summary. */
static void score_of(void *ctx, pm_val v, void *out) {
    (void)ctx;
    memcpy(out, &v, sizeof v);
}
static int compare_scores(void *ctx, const void *a, const void *b) {
    pm_val x, y;
    (void)ctx;
    memcpy(&x, a, sizeof x);
    memcpy(&y, b, sizeof y);
    return (x > y) - (x < y);
}
static void keep_greater(void *ctx, void *left, const void *right) {
    if (compare_scores(ctx, right, left) > 0) memcpy(left, right, sizeof(pm_val));
}

static bool show(void *ctx, const uint8_t *key, size_t len, pm_val val) {
    (void)ctx;
    printf(" %.*s (%u)", (int)len, (const char *)key, (unsigned)val);
    return true;
}

/* Prints the three words of a prefix that are typed most; then types one of them, and prints them again. */
static pm_status most_typed(void) {
    const pm_monoid greatest = {sizeof(pm_val), NULL, score_of, keep_greater, compare_scores};
    pm_map typed = {0};
    pm_summary *s = NULL;
    pm_status status = PM_OK;
    for (size_t i = 0; i < sizeof words / sizeof *words && status == PM_OK; i++)
        status = pm_set(&typed, words[i], strlen(words[i]), i * 37 % 50, NULL);
    if (status == PM_OK) status = pm_summary_new(&typed, 0, &greatest, &s);
    for (int i = 0; i < 2 && status == PM_OK; i++) {
        printf("mar, typed most:");
        status = pm_summary_best(s, "mar", 3, 3, show, NULL);
        printf("\n");
        if (status == PM_OK) status = pm_set(&typed, "market", 6, 99, NULL);
        if (status == PM_OK) status = pm_summary_refresh(s, &typed);
    }
    pm_summary_free(s);
    pm_drop(&typed);
    return status;
}

int main(void) {
    pm_map m = {0};
    for (size_t i = 0; i < sizeof words / sizeof *words; i++)
        if (pm_set(&m, words[i], strlen(words[i]), i, NULL) != PM_OK) return 1;

    complete(&m, "ma");
    complete(&m, "mark");
    complete(&m, "maste");
    complete(&m, "mx");

    /* Pages; the last word of the second one is gone when the third one is asked for. */
    pm_item last = {0};
    printf("pages of ma:\n");
    for (int pages = 1; page(&m, "ma", &last, 5); pages++)
        if (pages == 2 && pm_remove(&m, last.key, last.len, PM_PRUNE, NULL) != PM_OK) return 1;

    /* Backwards: the last words of a prefix first. */
    pm_iter i = pm_iter_prefix(pm_iter_vals(&m), "mark", 4);
    printf("mark, from the end:");
    while (pm_iter_prev(&i)) printf(" %.*s", (int)i.len, (const char *)i.key);
    printf("\n");

    /* Or by number: how many words come before the prefix, and so many further. */
    uint64_t before = 0;
    if (pm_rank(&m, "mas", 3, &before) != PM_OK || pm_nth(&m, before + 2, &last) != PM_OK) return 1;
    printf("the third word from mas on: %.*s\n", (int)last.len, (const char *)last.key);
    pm_item_drop(&last);
    pm_drop(&m);
    return most_typed() != PM_OK;
}
