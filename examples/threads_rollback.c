/* Snapshot, modify, roll back: try a change, look at it, and keep it or be as before.

   When: whether a change may stand is known only at its end.
   Cost: to remember is O(1), so is to go back (but for dropping what was new). What is changed meanwhile is copied,
   since what is remembered still holds it.

   First, threads try plans on clones of one map, which nobody else sees; one is chosen. Then threads do so in place,
   through writers of a head: between pm_wz_begin and pm_wz_commit or pm_wz_rollback nobody sees anything of it, so
   readers never meet an order that is half done. For a plain map, pm_txn_begin does the same: see snapshots.c. */
#include <stdatomic.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { KITCHENS = 3, ORDERS = 5, ITEMS_MAX = 4 };

static const char *const stock_of[] = {"apple", "bread", "cheese", "date"};
static const pm_val amount_of[] = {3, 4, 3, 3};

/* What an order takes one of, each. */
static const char *const orders[ORDERS][ITEMS_MAX] = {
    {"apple", "cheese"}, {"apple", "bread", "cheese", "date"},  {"date", "date", "date"},
    {"cheese", "fig"},   {"apple", "bread", "cheese", "apple"},
};

/* ---- on clones ---- */

typedef struct plan {
    pm_map stock; /* a clone */
    unsigned first, filled;
} plan;

/* All of an order, or nothing of it. */
static bool take(pm_map *stock, const char *const *items) {
    pm_map before = pm_clone(stock);
    bool ok = true;
    for (int i = 0; ok && i < ITEMS_MAX && items[i]; i++) {
        pm_val *left;
        must(pm_get_mut(stock, items[i], strlen(items[i]), &left));
        ok = left && *left > 0;
        if (ok) (*left)--;
    }
    if (!ok) {
        pm_drop(stock);
        *stock = before; /* assigning moves a map */
    } else {
        pm_drop(&before);
    }
    return ok;
}

/* Takes the orders in turn, beginning at one of them. */
static void *try_plan(void *arg) {
    plan *p = arg;
    for (unsigned i = 0; i < ORDERS; i++) p->filled += take(&p->stock, orders[(p->first + i) % ORDERS]);
    return NULL;
}

static unsigned best_plan(const pm_map *stock) {
    plan plans[ORDERS];
    unsigned best = 0;
    for (unsigned i = 0; i < ORDERS; i++) plans[i] = (plan){pm_clone(stock), i, 0};
    run_each(try_plan, plans, sizeof plans[0], ORDERS);
    for (unsigned i = 0; i < ORDERS; i++) {
        printf("beginning with order %u: %u filled\n", i, plans[i].filled);
        if (plans[i].filled > plans[best].filled) best = i;
        pm_drop(&plans[i].stock);
    }
    return plans[best].first;
}

/* ---- in place ---- */

typedef struct kitchen {
    pm_head *head;
    atomic_uint *cooking;
    unsigned first, filled, refused;
    char root[16];
} kitchen;

static pm_val *slot_at(pm_wz *w, const char *key) {
    pm_val *slot;
    go_to(w, key);
    must(pm_wz_get_mut(w, &slot));
    return slot;
}

/* Moves one of each item from the stock to "sold". */
static bool sell(pm_wz *w, const char *const *items) {
    bool ok = true;
    must(pm_wz_begin(w));
    for (int i = 0; ok && i < ITEMS_MAX && items[i]; i++) {
        pm_val *left = slot_at(w, items[i]);
        ok = left && *left > 0;
        if (ok) {
            (*left)--;
            (*slot_at(w, "sold"))++;
        }
    }
    must(ok ? pm_wz_commit(w) : pm_wz_rollback(w));
    return ok;
}

static void *cook(void *arg) {
    kitchen *k = arg;
    pm_wz w;
    must(pm_head_write(k->head, k->root, strlen(k->root), &w, NULL));
    for (unsigned i = 0; i < ORDERS; i++) {
        if (sell(&w, orders[(k->first + i) % ORDERS])) k->filled++;
        else k->refused++;
    }
    must(pm_wz_drop(&w));
    atomic_fetch_sub(k->cooking, 1);
    return NULL;
}

/* Whether stock and sales of every kitchen add up, in any snapshot. */
static bool adds_up(pm_head *head, atomic_uint *cooking, pm_val wanted) {
    bool more = true, ok = true;
    while (more) {
        more = atomic_load(cooking) > 0;
        pm_rz z;
        pm_val sum = 0;
        must(pm_head_read(head, NULL, 0, &z));
        pm_iter i = pm_iter_vals_of_rz(&z);
        while (pm_iter_next(&i)) sum += *i.val;
        must(pm_iter_status(&i));
        pm_rz_drop(&z);
        ok &= sum == wanted * KITCHENS;
    }
    return ok;
}

int main(void) {
    pm_map stock = {0}, all = {0};
    atomic_uint cooking = KITCHENS;
    kitchen kitchens[KITCHENS];
    pthread_t thread[KITCHENS];
    pm_val items = 0;
    for (unsigned i = 0; i < sizeof stock_of / sizeof stock_of[0]; i++) {
        put(&stock, stock_of[i], amount_of[i]);
        items += amount_of[i];
    }
    unsigned first = best_plan(&stock);
    put(&stock, "sold", 0);

    pm_head *head;
    must(pm_head_new(&all, &head));
    for (unsigned i = 0; i < KITCHENS; i++) {
        kitchen k = {head, &cooking, first, 0, 0, {0}};
        pm_wz w;
        snprintf(k.root, sizeof k.root, "kitchen%u/", i);
        must(pm_head_write(head, k.root, strlen(k.root), &w, NULL));
        must(pm_wz_graft_map(&w, &stock)); /* all begin with the same nodes */
        must(pm_wz_drop(&w));
        kitchens[i] = k;
    }
    for (unsigned i = 0; i < KITCHENS; i++) thread[i] = start(cook, &kitchens[i]);
    bool ok = adds_up(head, &cooking, items);
    for (unsigned i = 0; i < KITCHENS; i++) finish(thread[i]);
    must(pm_head_free(head, NULL, NULL));

    for (unsigned i = 0; i < KITCHENS; i++)
        printf("%s %u filled, %u refused\n", kitchens[i].root, kitchens[i].filled, kitchens[i].refused);
    printf("every snapshot %s\n", ok ? "added up" : "showed half an order");
    for (pm_iter i = pm_iter_vals(&all); pm_iter_next(&i);)
        if (i.key[7] == '0') printf("%.*s=%d\n", (int)i.len, (const char *)i.key, (int)*i.val);
    pm_drop(&stock);
    pm_drop(&all);
    return 0;
}
