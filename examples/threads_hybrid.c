/* Readers and writers on one map at the same time.

   When: a map is changed and questioned all the time, by several threads, and changes fall into places that exclude
   each other. Readers may be behind, but must never see half of something.
   Cost: to get a reader costs by the number of writers below its place, whatever the size of the map; from then on it
   reads like any other. A writer pays almost nothing for being watched, and copies what a reader still holds before it
   changes that. Neither waits for the other to be done.

   A reader sees the map as it was when it was asked for, and of each writer whole calls, or whole groups of calls:
   here goods move between the shelves of a store in groups, so nobody ever misses one. Across two writers there is no
   common instant, unless one asks for it: pm_head_fence. Where a reader wants the present to stand still instead, it is
   pinned, and keeps writers out. */
#include <stdatomic.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { STORES = 3, READERS = 2, SHELVES = 4, GOODS = 100, MOVES = 20000 };

static const char *const stores[STORES] = {"harbour/", "market/", "station/"};

typedef struct shop {
    pm_head *head;
    atomic_uint writing; /* how many still do */
} shop;

typedef struct clerk {
    shop *shop;
    unsigned number;
} clerk;

/* Moves goods to and fro: two changes, which readers see together or not at all. */
static void *move_goods(void *arg) {
    clerk *c = arg;
    const char *root = stores[c->number];
    unsigned long random = c->number;
    pm_wz w;
    must(pm_head_write(c->shop->head, root, strlen(root), &w, NULL));
    for (int i = 0; i < MOVES; i++) {
        char from[8], to[8];
        pm_val *slot;
        random = (random * 1103515245 + 12345) % 2147483648u;
        snprintf(from, sizeof from, "shelf%lu", random / 65536 % SHELVES);
        snprintf(to, sizeof to, "shelf%lu", (random / 65536 + 1) % SHELVES);
        must(pm_wz_begin(&w));
        go_to(&w, from);
        must(pm_wz_get_mut(&w, &slot)); /* a slot is lent inside a group only */
        if (slot && *slot) {
            (*slot)--;
            go_to(&w, to);
            must(pm_wz_get_or_set(&w, 0, &slot, NULL));
            (*slot)++;
        }
        must(pm_wz_commit(&w));
    }
    must(pm_wz_drop(&w));
    atomic_fetch_sub(&c->shop->writing, 1);
    return NULL;
}

static unsigned goods_in(const pm_rz *reader, const char *store) {
    unsigned sum = 0;
    for (unsigned i = 0; i < SHELVES; i++) {
        char key[32];
        snprintf(key, sizeof key, "%sshelf%u", store, i);
        const pm_val *v = pm_rz_val_at(reader, key, strlen(key));
        sum += v ? (unsigned)*v : 0;
    }
    return sum;
}

typedef struct auditor {
    shop *shop;
    bool always_whole;
} auditor;

static void *audit(void *arg) {
    auditor *a = arg;
    bool more = true;
    a->always_whole = true;
    while (more) { /* at least once after the last writer has ended */
        more = atomic_load(&a->shop->writing) > 0;
        pm_rz reader;
        must(pm_head_read(a->shop->head, NULL, 0, &reader));
        for (unsigned i = 0; i < STORES; i++) a->always_whole &= goods_in(&reader, stores[i]) == GOODS;
        pm_rz_drop(&reader);
    }
    return NULL;
}

/* A reader that keeps writers out while it is there. */
static void print_pinned(pm_head *head) {
    pm_rz pinned, reader;
    pm_wz w;
    must(pm_head_pin(head, "market/", 7, &pinned, NULL));
    printf("while the market is pinned: a writer at one of its shelves: %s; a reader of it: %s\n",
           pm_status_text(pm_head_write(head, "market/shelf1", 13, &w, NULL)),
           pm_status_text(pm_head_read(head, "market/", 7, &reader)));
    pm_rz_drop(&reader);
    pm_rz_drop(&pinned);
}

int main(void) {
    pm_map goods = {0};
    shop s = {.writing = STORES};
    clerk clerks[STORES];
    auditor auditors[READERS];
    pthread_t thread[STORES + READERS];
    pm_rz early, late;
    put(&goods, "harbour/shelf0", GOODS);
    put(&goods, "market/shelf0", GOODS);
    put(&goods, "station/shelf0", GOODS);
    must(pm_head_new(&goods, &s.head));
    must(pm_head_read(s.head, NULL, 0, &early));

    for (unsigned i = 0; i < READERS; i++) {
        auditors[i].shop = &s;
        thread[i] = start(audit, &auditors[i]);
    }
    for (unsigned i = 0; i < STORES; i++) {
        clerks[i].shop = &s;
        clerks[i].number = i;
        thread[READERS + i] = start(move_goods, &clerks[i]);
    }
    for (unsigned i = 0; i < STORES + READERS; i++) finish(thread[i]);

    for (unsigned i = 0; i < READERS; i++)
        printf("auditor %u: %s\n", i, auditors[i].always_whole ? "nothing was ever missing" : "goods were missing");
    must(pm_head_fence(s.head, NULL, 0, &late)); /* one instant of all writers: here there are none any more */
    for (unsigned i = 0; i < STORES; i++) {
        char key[32];
        snprintf(key, sizeof key, "%sshelf0", stores[i]);
        printf("%-15s %3d in the reader from before, %2d in one from after\n", key,
               (int)*pm_rz_val_at(&early, key, strlen(key)), (int)*pm_rz_val_at(&late, key, strlen(key)));
    }
    print_pinned(s.head);
    pm_rz_drop(&early);
    pm_rz_drop(&late);
    must(pm_head_free(s.head, NULL, NULL));
    pm_drop(&goods);
    return 0;
}
