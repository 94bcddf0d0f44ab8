/* Maps replaced under readers: versions come, go and are given up once; loads that stop half-way; threads that load,
   store and update at once. */
#include "check.h"

#include <pthread.h>
#include <sched.h>

static _Thread_local uint64_t rmw_count;

#ifndef PM_POOL
#define PM_POOL 0
#endif
#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
static void between(void);
#define PM_ON_ATOMIC_RMW() (rmw_count++, between())
#define PM__SHARED_SPILL UINT64_C(16) /* so that counts are moved all the time */
#include "../pathmap.h"

#include "counted.h"

static void need_threads(void) {
    if (PM_NO_THREADS) SKIP("PM_NO_THREADS: one thread only");
}

static pm_map numbered(pm_val v) {
    pm_map m = pm_new(NULL, NULL);
    CHECK_OK(pm_set(&m, "version", 7, v, NULL));
    CHECK_OK(pm_set(&m, "other", 5, v, NULL));
    return m;
}

static pm_val number_of(const pm_map *m) {
    const pm_val *v = pm_get(m, "version", 7), *w = pm_get(m, "other", 5);
    return v && w && *v == *w ? *v : 0;
}

static pm_shared *shared_of(pm_val v) {
    pm_map m = numbered(v);
    pm_shared *s = NULL;
    CHECK_OK(pm_shared_new(&m, &s));
    pm_drop(&m);
    return s;
}

static void store_number(pm_shared *s, pm_val v) {
    pm_map m = numbered(v);
    CHECK_OK(pm_shared_store(s, &m));
    pm_drop(&m);
}

TEST(shared_load_gives_what_was_stored_last) {
    pm_shared *s = shared_of(1);
    pm_map a = pm_shared_load(s), b;
    store_number(s, 2);
    b = pm_shared_load(s);
    CHECK_EQ(number_of(&a), 1);
    CHECK_EQ(number_of(&b), 2);
    CHECK_OK(pm_set(&b, "version", 7, 99, NULL)); /* one's own */
    pm_drop(&b);
    b = pm_shared_load(s);
    CHECK_EQ(number_of(&b), 2);
    pm_shared_free(s);
    CHECK_EQ(number_of(&a), 1); /* stays */
    pm_drop(&a);
    pm_drop(&b);
    pm_shared_free(NULL);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(shared_holds_root_values_and_empty_maps) {
    pm_map m = pm_new(counted_ops(), NULL), got;
    pm_shared *s;
    CHECK_OK(pm_shared_new(&m, &s));
    got = pm_shared_load(s);
    CHECK(pm_is_empty(&got));
    pm_drop(&got);
    CHECK_OK(pm_set(&m, "", 0, counted_new(), NULL));
    CHECK_OK(pm_shared_store(s, &m));
    got = pm_shared_load(s);
    CHECK_EQ(*pm_get(&got, "", 0), *pm_get(&m, "", 0));
    pm_drop(&m);
    pm_drop(&got);
    CHECK_EQ(counted_held(), 1);
    pm_shared_free(s);
    CHECK_EQ(counted_held(), 0);
    CHECK(counted_is_sound());
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(shared_refresh_loads_only_what_is_new) {
    pm_shared *s = shared_of(1);
    pm_map m = pm_new(NULL, NULL);
    uint64_t seen = 0;
    CHECK(pm_shared_refresh(s, &m, &seen));
    CHECK_EQ(number_of(&m), 1);
    uint64_t before = rmw_count;
    CHECK(!pm_shared_refresh(s, &m, &seen));
    CHECK_EQ(rmw_count, before);                  /* a look, and nothing else */
    CHECK_OK(pm_set(&m, "version", 7, 99, NULL)); /* one's own: stays until there is a new version */
    CHECK(!pm_shared_refresh(s, &m, &seen));
    CHECK_EQ(*pm_get(&m, "version", 7), 99);
    for (pm_val v = 2; v < 40; v++) { /* slots are used again */
        store_number(s, v);
        if (v % 3 == 0) store_number(s, v);
        CHECK(pm_shared_refresh(s, &m, &seen));
        CHECK_EQ(number_of(&m), v);
        CHECK(!pm_shared_refresh(s, &m, &seen));
    }
    CHECK(!pm_shared_refresh(NULL, &m, &seen));
    CHECK(!pm_shared_refresh(s, NULL, &seen));
    CHECK(!pm_shared_refresh(s, &m, NULL));
    pm_shared_free(s);
    CHECK_EQ(number_of(&m), 39);
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(shared_compare_and_swap_swaps_only_what_is_expected) {
    pm_shared *s = shared_of(1);
    pm_map seen = pm_shared_load(s), next = numbered(2), same = numbered(1), now;
    bool swapped = true;
    CHECK_OK(pm_shared_compare_and_swap(s, &same, &next, &swapped)); /* equal, but another map */
    CHECK(!swapped);
    CHECK_OK(pm_shared_compare_and_swap(s, &seen, &next, &swapped));
    CHECK(swapped);
    CHECK_OK(pm_shared_compare_and_swap(s, &seen, &same, &swapped));
    CHECK(!swapped);
    now = pm_shared_load(s);
    CHECK_EQ(number_of(&now), 2);
    CHECK_OK(pm_shared_compare_and_swap(s, &now, &now, NULL));
    pm_drop(&now);
    pm_drop(&seen);
    pm_drop(&next);
    pm_drop(&same);
    pm_shared_free(s);
    CHECK_EQ(check_live_blocks(), 0);
}

/* A load that has begun and not ended. */
static pm__version *begin_load(pm_shared *s) {
    return pm__shared_slot(s, pm__a64_fetch_add_acq_rel(&s->word, (uint64_t)1 << PM__SHARED_SHIFT));
}

TEST(shared_version_is_given_up_when_its_last_load_ends) {
    pm_shared *s = shared_of(1);
    uint64_t before = check_live_blocks();
    pm__version *half = begin_load(s), *again = begin_load(s);
    store_number(s, 2);
    uint64_t both = check_live_blocks();
    CHECK(both > before);
    CHECK_EQ(number_of(&half->map), 1);
    pm__version_add(half, (uint64_t)0 - 1);
    CHECK_EQ(check_live_blocks(), both);
    CHECK_EQ(number_of(&again->map), 1);
    pm__version_add(again, (uint64_t)0 - 1);
    CHECK_EQ(check_live_blocks(), before);
    pm_shared_free(s);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(shared_stopped_loads_hold_up_nobody) {
    enum { STOPPED = 300 };
    pm__version *half[STOPPED];
    pm_shared *s = shared_of(1);
    for (pm_val i = 0; i < STOPPED; i++) { /* each in a version of its own */
        half[i] = begin_load(s);
        store_number(s, i + 2);
    }
    CHECK(s->blocks > 1);
    for (pm_val i = 0; i < STOPPED; i++) {
        CHECK_EQ(number_of(&half[i]->map), i + 1);
        pm__version_add(half[i], (uint64_t)0 - 1);
    }
    pm_map m = pm_shared_load(s);
    CHECK_EQ(number_of(&m), STOPPED + 1);
    pm_drop(&m);
    unsigned blocks = s->blocks;
    for (pm_val i = 0; i < STOPPED; i++) store_number(s, i);
    CHECK_EQ(s->blocks, blocks); /* slots are used again */
    pm_shared_free(s);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(shared_counts_are_moved_before_they_run_over) {
    pm_shared *s = shared_of(5);
    for (int i = 0; i < 1000; i++) {
        pm_map m = pm_shared_load(s);
        CHECK_EQ(number_of(&m), 5);
        pm_drop(&m);
        CHECK(pm__load_relaxed(&s->word) >> PM__SHARED_SHIFT <= 2 * PM__SHARED_SPILL);
    }
    store_number(s, 6);
    pm_shared_free(s);
    CHECK_EQ(check_live_blocks(), 0);
}

/* A version is replaced while its count is moved: at each atomic operation of a load in turn. */
static _Thread_local pm_shared *store_to;
static _Thread_local uint64_t store_in;

static void between(void) {
    if (store_in && --store_in == 0) store_number(store_to, 6);
}

TEST(shared_version_may_go_while_its_count_is_moved) {
    for (unsigned loads = 0; loads < 40; loads++) {
        bool stored = true;
        for (uint64_t n = 1; stored; n++) {
            pm_shared *s = store_to = shared_of(5);
            for (unsigned i = 0; i < loads; i++) {
                pm_map m = pm_shared_load(s);
                pm_drop(&m);
            }
            store_in = n;
            pm_map m = pm_shared_load(s);
            stored = store_in == 0;
            store_in = 0;
            CHECK(number_of(&m) == 5 || (stored && number_of(&m) == 6));
            pm_drop(&m);
            m = pm_shared_load(s);
            CHECK_EQ(number_of(&m), stored ? 6 : 5);
            pm_drop(&m);
            pm_shared_free(s);
            CHECK_EQ(check_live_blocks(), 0);
        }
    }
}

/* As if each of all slots had a version that somebody uses: no more can be stored until one is free. */
TEST(shared_has_slots_for_so_many_versions) {
    pm_shared *s = shared_of(5);
    pm_map m = numbered(6);
    while (pm__shared_grow(s)) continue;
    const uint64_t slots = ((uint64_t)PM__SHARED_FIRST << PM__SHARED_BLOCKS) - PM__SHARED_FIRST;
    bool *made = calloc(slots, sizeof *made);
    CHECK(made != NULL);
    for (uint64_t i = 0; i < slots; i++)
        if (!pm__load_relaxed(&pm__shared_slot(s, i)->used))
            pm__store_relaxed(&pm__shared_slot(s, i)->used, 1), made[i] = true;
    CHECK_EQ(pm_shared_store(s, &m), PM_NOMEM);
    pm_map now = pm_shared_load(s);
    CHECK_EQ(number_of(&now), 5);
    pm_drop(&now);
    for (uint64_t i = 0; i < slots; i++)
        if (made[i]) pm__store_relaxed(&pm__shared_slot(s, i)->used, 0);
    free(made);
    CHECK_OK(pm_shared_store(s, &m));
    now = pm_shared_load(s);
    CHECK_EQ(number_of(&now), 6);
    pm_drop(&now);
    pm_drop(&m);
    pm_shared_free(s);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(shared_load_costs_three_atomic_read_modify_writes) {
    pm_shared *s = shared_of(5);
    uint64_t before = rmw_count;
    pm_map m = pm_shared_load(s);
    CHECK_EQ(rmw_count - before, PM_NO_THREADS ? 0 : 3);
    pm_drop(&m);
    pm_shared_free(s);
}

static pm_status add_one(void *ctx, pm_map *m) {
    (void)ctx;
    pm_val n = number_of(m) + 1;
    pm_status st = pm_set(m, "version", 7, n, NULL);
    return st == PM_OK ? pm_set(m, "other", 5, n, NULL) : st;
}

static pm_status refuse(void *ctx, pm_map *m) {
    (void)ctx;
    pm_status st = pm_remove(m, "version", 7, PM_PRUNE, NULL); /* from a clone */
    return st == PM_OK ? PM_INVALID : st;
}

TEST(shared_update_changes_all_or_nothing) {
    pm_shared *s = shared_of(1);
    CHECK_OK(pm_shared_update(s, add_one, NULL));
    CHECK_EQ(pm_shared_update(s, refuse, NULL), PM_INVALID);
    pm_map m = pm_shared_load(s);
    CHECK_EQ(number_of(&m), 2);
    pm_drop(&m);
    pm_shared_free(s);
    CHECK_EQ(check_live_blocks(), 0);
}

/* What a function tries that is run by an update of `first`. */
typedef struct nested {
    pm_shared *first, *second;
} nested;

static pm_status store_inside(void *ctx, pm_map *m) {
    nested *n = ctx;
    bool swapped = true;
    pm_map now = pm_shared_load(n->first);
    CHECK_EQ(number_of(&now), 1); /* loads go on */
    CHECK_EQ(pm_shared_store(n->first, m), PM_INVALID);
    CHECK_EQ(pm_shared_compare_and_swap(n->first, &now, m, &swapped), PM_INVALID);
    CHECK_EQ(pm_shared_update(n->first, add_one, NULL), PM_INVALID);
    CHECK(swapped);
    CHECK_OK(pm_shared_update(n->second, add_one, NULL));
    pm_drop(&now);
    return add_one(NULL, m);
}

TEST(shared_update_refuses_what_would_wait_for_itself) {
    nested n = {shared_of(1), shared_of(5)};
    CHECK_OK(pm_shared_update(n.first, store_inside, &n));
    CHECK_OK(pm_shared_update(n.first, add_one, NULL));
    pm_map m = pm_shared_load(n.first), other = pm_shared_load(n.second);
    CHECK_EQ(number_of(&m), 3);
    CHECK_EQ(number_of(&other), 6);
    pm_drop(&m);
    pm_drop(&other);
    pm_shared_free(n.first);
    pm_shared_free(n.second);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(shared_refuses_what_no_caller_should_pass) {
    pm_map m = numbered(1);
    pm_shared *s = shared_of(1), *none = NULL;
    CHECK_EQ(pm_shared_new(NULL, &none), PM_INVALID);
    CHECK_EQ(pm_shared_new(&m, NULL), PM_INVALID);
    CHECK_EQ(pm_shared_store(NULL, &m), PM_INVALID);
    CHECK_EQ(pm_shared_store(s, NULL), PM_INVALID);
    CHECK_EQ(pm_shared_compare_and_swap(NULL, &m, &m, NULL), PM_INVALID);
    CHECK_EQ(pm_shared_compare_and_swap(s, &m, NULL, NULL), PM_INVALID);
    CHECK_EQ(pm_shared_update(NULL, add_one, NULL), PM_INVALID);
    CHECK_EQ(pm_shared_update(s, NULL, NULL), PM_INVALID);
    pm_map empty = pm_shared_load(NULL);
    CHECK(pm_is_empty(&empty) && none == NULL);
    pm_shared_free(NULL);
    CHECK_OK(pm_shared_update(s, add_one, NULL)); /* none of them has kept the turn */
    pm_shared_free(s);
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(shared_without_memory_changes_nothing) {
    pm_map m = numbered(1), next = numbered(2);
    pm_shared *s = NULL;
    pm_status st = PM_NOMEM;
    for (uint64_t n = 1; st != PM_OK; n++) {
        check_fail_alloc(n);
        st = pm_shared_new(&m, &s);
        check_fail_alloc(0);
        CHECK(st == PM_OK || (st == PM_NOMEM && s == NULL));
    }
    pm__version *half[PM__SHARED_FIRST];
    for (int i = 0; i < PM__SHARED_FIRST; i++) { /* until every slot is taken */
        half[i] = begin_load(s);
        if (i + 1 < PM__SHARED_FIRST) CHECK_OK(pm_shared_store(s, &next));
    }
    bool swapped = true;
    pm_map now = pm_shared_load(s);
    check_fail_allocs_from(1);
    CHECK_EQ(pm_shared_store(s, &m), PM_NOMEM);
    CHECK_EQ(pm_shared_compare_and_swap(s, &now, &m, &swapped), PM_NOMEM);
    CHECK(swapped);
    CHECK_EQ(pm_shared_update(s, add_one, NULL), PM_NOMEM);
    check_fail_alloc(0);
    pm_drop(&now);
    now = pm_shared_load(s);
    CHECK_EQ(number_of(&now), 2);
    CHECK_OK(pm_shared_store(s, &m));
    for (int i = 0; i < PM__SHARED_FIRST; i++) pm__version_add(half[i], (uint64_t)0 - 1);
    pm_drop(&now);
    pm_drop(&m);
    pm_drop(&next);
    pm_shared_free(s);
    CHECK_EQ(check_live_blocks(), 0);
}

/* ---- threads ---- */

enum { THREADS = 4, TIMES = 3000 };

typedef struct worker {
    pm_shared *s;
    unsigned number;
} worker;

/* Versions only grow, and each is whole. */
static void *load_all_the_time(void *arg) {
    worker *w = arg;
    pm_val last = 0;
    for (int i = 0; i < TIMES; i++) {
        pm_map m = pm_shared_load(w->s);
        pm_val n = number_of(&m);
        CHECK(n >= last && n > 0);
        last = n;
        pm_drop(&m);
    }
    return NULL;
}

static void *update_all_the_time(void *arg) {
    worker *w = arg;
    for (int i = 0; i < TIMES / 10; i++) CHECK_OK(pm_shared_update(w->s, add_one, NULL));
    return NULL;
}

static void run(void *(*even)(void *), void *(*odd)(void *), pm_shared *s) {
    pthread_t t[THREADS];
    worker w[THREADS];
    for (unsigned i = 0; i < THREADS; i++) {
        w[i] = (worker){s, i};
        CHECK_EQ(pthread_create(&t[i], NULL, i % 2 ? odd : even, &w[i]), 0);
    }
    for (unsigned i = 0; i < THREADS; i++) CHECK_EQ(pthread_join(t[i], NULL), 0);
    CHECK_EQ(check_failed(), 0);
}

/* Who comes while an update is being made waits, and has its turn in the order of coming. */
enum { COMERS = 5, CANCELLED = 3 };
typedef struct comer {
    pm_shared *s;
    unsigned number;
    pthread_t thread;
} comer;

static atomic_uint slow_entered, slow_goes_on, runs[COMERS], finished;
static unsigned order[COMERS + 1], turns; /* written in turn */

static pm_status come_slowly(void *ctx, pm_map *m) {
    (void)ctx;
    atomic_fetch_add(&slow_entered, 1);
    while (!atomic_load(&slow_goes_on)) sched_yield();
    return add_one(NULL, m);
}

static pm_status come_in(void *ctx, pm_map *m) {
    comer *c = ctx;
    atomic_fetch_add(&runs[c->number], 1);
    order[turns++] = c->number;
    return add_one(NULL, m);
}

/* The first is slow, one of the others stores instead of updating. */
static void *come(void *arg) {
    comer *c = arg;
    if (c->number == 0) {
        CHECK_OK(pm_shared_update(c->s, come_slowly, c));
    } else if (c->number == 2) {
        store_number(c->s, 100);
    } else {
        CHECK_OK(pm_shared_update(c->s, come_in, c));
    }
    atomic_fetch_add(&finished, 1);
    return NULL;
}

TEST(shared_updates_take_turns_and_run_once) {
    need_threads();
    comer c[COMERS];
    pm_shared *s = shared_of(1);
    atomic_store(&slow_entered, 0);
    atomic_store(&slow_goes_on, 0);
    atomic_store(&finished, 0);
    turns = 0;
    for (unsigned i = 0; i < COMERS; i++) {
        atomic_store(&runs[i], 0);
        c[i] = (comer){.s = s, .number = i};
        CHECK_EQ(pthread_create(&c[i].thread, NULL, come, &c[i]), 0);
        while (pm__load_relaxed(&s->next) < i + 1) sched_yield(); /* it has its ticket */
        while (i == 0 && !atomic_load(&slow_entered)) sched_yield();
    }
    pm_map now = pm_shared_load(s); /* waits for nobody */
    CHECK_EQ(number_of(&now), 1);
    pm_drop(&now);
    CHECK_EQ(atomic_load(&finished), 0);
    CHECK_EQ(pthread_cancel(c[CANCELLED].thread), 0); /* goes on waiting, and has its turn */
    atomic_store(&slow_goes_on, 1);
    for (unsigned i = 0; i < COMERS; i++) CHECK_EQ(pthread_join(c[i].thread, NULL), 0);
    CHECK_EQ(check_failed(), 0);
    CHECK_EQ(atomic_load(&slow_entered), 1);
    for (unsigned i = 1; i < COMERS; i++) CHECK_EQ(atomic_load(&runs[i]), i == 2 ? 0 : 1);
    CHECK_EQ(turns, 3);
    CHECK(order[0] == 1 && order[1] == 3 && order[2] == 4);
    now = pm_shared_load(s);
    CHECK_EQ(number_of(&now), 102); /* two updates after the store */
    pm_drop(&now);
    pm_shared_free(s);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(shared_updates_of_threads_are_none_lost) {
    need_threads();
    pm_shared *s = shared_of(1);
    run(update_all_the_time, update_all_the_time, s);
    pm_map m = pm_shared_load(s);
    CHECK_EQ(number_of(&m), 1 + THREADS * (TIMES / 10));
    pm_drop(&m);
    pm_shared_free(s);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(shared_loads_beside_updates_see_whole_versions_in_order) {
    need_threads();
    pm_shared *s = shared_of(1);
    run(load_all_the_time, update_all_the_time, s);
    pm_map m = pm_shared_load(s);
    CHECK_EQ(number_of(&m), 1 + THREADS / 2 * (TIMES / 10));
    pm_drop(&m);
    pm_shared_free(s);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(shared_loads_alone_leave_all_as_it_was) {
    need_threads();
    pm_shared *s = shared_of(7);
    run(load_all_the_time, load_all_the_time, s);
    pm_shared_free(s);
    CHECK_EQ(check_live_blocks(), 0);
}
