/* The hash table of liburcu: readers and writers without locks. A value that is there is stored to in place. */
#define _LGPL_SOURCE
#include <stdlib.h>
#include <string.h>
#include <urcu/urcu-memb.h>

#include <urcu/rculfhash.h>

#include "rival.h"

typedef struct element {
    struct cds_lfht_node node; /* first: an element's address is its node's */
    const void *key;
    size_t len;
    uint64_t val;
} element;

static unsigned long hash_of(const void *key, size_t len) {
    const unsigned char *s = key;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++) h = (h ^ s[i]) * 0x100000001b3u;
    return (unsigned long)(h ^ h >> 32);
}

static int matches(struct cds_lfht_node *node, const void *wanted) {
    const element *e = (const void *)node, *w = wanted;
    return e->len == w->len && memcmp(e->key, w->key, w->len) == 0;
}

/* Of the size that is wanted: what changes the size of a table looks at nodes in a thread of its own, which drop would
   have to wait for. */
static void *make(size_t expected) {
    unsigned long size = 1;
    while (size < expected) size *= 2;
    return cds_lfht_new_flavor(size, 1, 0, 0, &urcu_memb_flavor, NULL);
}

/* By the last thread: nobody looks any more. */
static void drop(void *t) {
    struct cds_lfht_iter i;
    struct cds_lfht_node *node;
    urcu_memb_read_lock();
    for (cds_lfht_first(t, &i); (node = cds_lfht_iter_get_node(&i)) != NULL;) {
        cds_lfht_next(t, &i);
        if (cds_lfht_del(t, node) == 0) free(node);
    }
    urcu_memb_read_unlock();
    (void)cds_lfht_destroy(t, NULL);
}

static element *find(void *t, const void *key, size_t len) {
    const element wanted = {.key = key, .len = len};
    struct cds_lfht_iter i;
    cds_lfht_lookup(t, hash_of(key, len), matches, &wanted, &i);
    return (element *)(void *)cds_lfht_iter_get_node(&i);
}

static bool get(void *t, const void *key, size_t len, uint64_t *out) {
    urcu_memb_read_lock();
    element *e = find(t, key, len);
    if (e) *out = __atomic_load_n(&e->val, __ATOMIC_RELAXED);
    urcu_memb_read_unlock();
    return e != NULL;
}

static bool set(void *t, const void *key, size_t len, uint64_t val) {
    bool done = true;
    urcu_memb_read_lock();
    element *e = find(t, key, len), *made = NULL;
    if (e) {
        __atomic_store_n(&e->val, val, __ATOMIC_RELAXED);
    } else if ((made = malloc(sizeof *made)) != NULL) {
        *made = (element){.key = key, .len = len, .val = val};
        cds_lfht_node_init(&made->node);
        struct cds_lfht_node *there = cds_lfht_add_unique(t, hash_of(key, len), matches, made, &made->node);
        if (there != &made->node) {
            __atomic_store_n(&((element *)(void *)there)->val, val, __ATOMIC_RELAXED);
            free(made);
        }
    } else {
        done = false;
    }
    urcu_memb_read_unlock();
    return done;
}

const rival rival_urcu = {"urcu", make, drop, urcu_memb_register_thread, urcu_memb_unregister_thread, get, set};
