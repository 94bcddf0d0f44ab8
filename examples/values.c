/* Values: a map holds one word per path; a table of operations says what the word means. Here it is a pointer to a
   counted object, so that maps and their clones can share it and the last one to let go frees it. */
#include <stdio.h>
#include <stdlib.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

/* One thread here; with more, `refs` would be atomic. */
typedef struct document {
    int refs, pages;
} document;

static int alive;

static document *document_new(int pages) {
    document *d = malloc(sizeof *d);
    if (!d) exit(1);
    d->refs = 1;
    d->pages = pages;
    alive++;
    return d;
}

static document *of_word(pm_val v) { return (document *)(uintptr_t)v; }

static void document_retain(void *ctx, pm_val v) {
    (void)ctx;
    of_word(v)->refs++;
}

static void document_release(void *ctx, pm_val v) {
    (void)ctx;
    if (--of_word(v)->refs > 0) return;
    free(of_word(v));
    alive--;
}

static bool document_equal(void *ctx, pm_val a, pm_val b) {
    (void)ctx;
    return of_word(a)->pages == of_word(b)->pages;
}

/* Hooks that stay NULL mean what they mean for plain words. */
static const pm_ops document_ops = {
    .name = "documents", .retain = document_retain, .release = document_release, .equal = document_equal};

/* A map whose calls take and give `document *`; the pm_map inside serves for everything else. */
PM_DEFINE_MAP(shelf, document *, &document_ops)

int main(void) {
    shelf a = shelf_new();
    document *d = NULL;
    bool same = false;
    if (shelf_set(&a, "law/1", 5, document_new(10)) != PM_OK) return 1; /* the map takes our reference over */
    if (shelf_set(&a, "law/2", 5, document_new(20)) != PM_OK) return 1;
    shelf b = shelf_clone(&a);
    printf("two shelves, %d documents\n", alive);

    if (shelf_set(&b, "law/2", 5, document_new(25)) != PM_OK) return 1;
    if (shelf_get(&a, "law/2", 5, &d)) printf("law/2 has %d pages on the first", d->pages);
    if (shelf_get(&b, "law/2", 5, &d)) printf(", %d on the second; %d documents\n", d->pages, alive);

    if (shelf_set(&b, "law/2", 5, document_new(20)) != PM_OK) return 1;
    if (pm_equal(&a.map, &b.map, &same) != PM_OK) return 1;
    printf("an equal copy put there: shelves are %s; %d documents\n", same ? "equal" : "different", alive);

    shelf_drop(&a);
    printf("first shelf gone: %d documents\n", alive);
    if (shelf_remove(&b, "law/1", 5) != PM_OK) return 1;
    printf("law/1 taken out: %d document\n", alive);
    shelf_drop(&b);
    printf("second shelf gone: %d documents\n", alive);
    return 0;
}
