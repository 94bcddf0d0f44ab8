/* A map that is replaced under its readers.

   When: very many reads, of whole versions, and changes that are rare or come in batches: settings, routes, rules.
   Cost: a load is three atomic read-modify-writes whatever happens, without lock, loop or allocation; it gives a map of
   the reader's own. Old versions go when their last reader drops them. A change copies the nodes that it changes, and
   is done again if another one came between. Readers never wait for writers, nor writers for readers.

     pm_shared_update            change what is there now, by a function: none is lost
     pm_shared_store             put a version there, whatever was there before
     pm_shared_compare_and_swap  put it there if nobody came between: for those who must see and decide themselves */
#include <stdatomic.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { READERS = 2, WRITERS = 2, ROUNDS = 3000 };

static const char *const hosts[] = {"alpha", "beta", "gamma"};
enum { HOSTS = sizeof hosts / sizeof hosts[0] };

/* Routes: "route/HOST" = number of the route, and "version", which grows by one with all routes: a version in which
   some route is not of that number would be a mixture of two. */
static pm_status next_version(void *ctx, pm_map *m) {
    const pm_val *now = get(m, "version");
    pm_val next = now ? *now + 1 : 1;
    (void)ctx;
    pm_status s = pm_set(m, "version", 7, next, NULL);
    for (size_t i = 0; s == PM_OK && i < HOSTS; i++) {
        char key[32];
        int len = snprintf(key, sizeof key, "route/%s", hosts[i]);
        s = pm_set(m, key, (size_t)len, next, NULL);
    }
    return s; /* anything but PM_OK: nothing has happened */
}

static pm_status refuse(void *ctx, pm_map *m) {
    (void)ctx;
    put(m, "route/nowhere", 0);
    return PM_INVALID;
}

typedef struct router {
    pm_shared *routes;
    atomic_uint writing;
} router;

static void *change_routes(void *arg) {
    router *r = arg;
    for (int i = 0; i < ROUNDS; i++) must(pm_shared_update(r->routes, next_version, NULL));
    atomic_fetch_sub(&r->writing, 1);
    return NULL;
}

typedef struct reader {
    router *router;
    bool whole, in_order;
} reader;

static void *follow_routes(void *arg) {
    reader *r = arg;
    bool more = true;
    pm_val last = 0;
    pm_map m = pm_new(NULL, NULL);
    uint64_t seen = 0;
    r->whole = r->in_order = true;
    while (more) {
        more = atomic_load(&r->router->writing) > 0;
        (void)pm_shared_refresh(r->router->routes, &m, &seen); /* as long as nothing is new, a look at one word */
        pm_val version = *get(&m, "version");
        pm_rz z;
        must(pm_rz_open(&m, "route/", 6, &z));
        for (pm_iter i = pm_iter_vals_of_rz(&z); pm_iter_next(&i);) r->whole &= *i.val == version;
        pm_rz_drop(&z);
        r->in_order &= version >= last;
        last = version;
    }
    pm_drop(&m);
    return NULL;
}

/* Looks and decides, and nothing is held meanwhile; if another version has come, it looks again. */
static void remove_host(pm_shared *routes, const char *key, bool (*is_idle)(const char *key)) {
    for (bool done = false; !done;) {
        pm_map seen = pm_shared_load(routes), next = pm_clone(&seen);
        done = !is_idle(key);
        if (!done) {
            must(pm_remove(&next, key, strlen(key), PM_PRUNE, NULL));
            must(pm_shared_compare_and_swap(routes, &seen, &next, &done));
        }
        pm_drop(&seen);
        pm_drop(&next);
    }
}

static bool beta_is_idle(const char *key) { return strcmp(key, "route/beta") == 0; }

static void print_routes(const char *when, pm_shared *routes) {
    pm_map m = pm_shared_load(routes);
    printf("%-15s", when);
    for (pm_iter i = pm_iter_vals(&m); pm_iter_next(&i);)
        printf(" %.*s=%d", (int)i.len, (const char *)i.key, (int)*i.val);
    printf("%s\n", pm_is_empty(&m) ? " nothing" : "");
    pm_drop(&m);
}

int main(void) {
    pm_map empty = {0};
    router r = {.writing = WRITERS};
    reader readers[READERS];
    pthread_t thread[READERS + WRITERS];
    must(pm_shared_new(&empty, &r.routes));
    must(pm_shared_update(r.routes, next_version, NULL));
    print_routes("at first", r.routes);
    for (int i = 0; i < READERS; i++) {
        readers[i].router = &r;
        thread[i] = start(follow_routes, &readers[i]);
    }
    for (int i = 0; i < WRITERS; i++) thread[READERS + i] = start(change_routes, &r);
    for (int i = 0; i < READERS + WRITERS; i++) finish(thread[i]);
    for (int i = 0; i < READERS; i++)
        printf("reader %d: versions were %s and %s\n", i, readers[i].whole ? "whole" : "mixed",
               readers[i].in_order ? "in order" : "out of order");
    print_routes("after updates", r.routes);

    printf("an update that fails: %s\n", pm_status_text(pm_shared_update(r.routes, refuse, NULL)));
    print_routes("after that", r.routes);
    remove_host(r.routes, "route/beta", beta_is_idle);
    remove_host(r.routes, "route/gamma", beta_is_idle);
    print_routes("without beta", r.routes);
    must(pm_shared_store(r.routes, &empty));
    print_routes("after a store", r.routes);
    pm_shared_free(r.routes);
    return 0;
}
