/* All interleavings of two or three threads over a few operations: of reference counts, of the lock, of replaced maps
   (of heads: test_head_schedules.c); explorer.h says how. Seeded bugs, an order weakened or a word ignored, must be
   found: an explorer that finds nothing proves nothing. The last line that a full run prints says how many schedules
   there were, and how many of the seeded bugs were found. */
#define _DEFAULT_SOURCE /* for MAP_ANONYMOUS */
#include "check.h"

#include "explorer.h"

#undef PM_POOL
#define PM_POOL 0
#define PATHMAP_STATIC
#include "../pathmap.h"

#include "schedules.h"

/* ---- counts ---- */

/* Three owners of one node, whose content is a cell. */
static struct {
    pm__count rc;
    cell content;
} node;

static void give_up_node(void) {
    if (!pm__ref_count_release(&node.rc)) return;
    write_cell(&node.content); /* to free is to write */
    node.content.gone = true;
}

static void prepare_node(void) {
    know(&node.rc, COUNT);
    memset(&node.content, 0, sizeof node.content);
    pm__ref_count_init(&node.rc);
    pm__ref_count_retain(&node.rc);
    pm__ref_count_retain(&node.rc);
    write_cell(&node.content);
}

static void finish_node(void) {
    if (!node.content.gone) fail("nobody has freed it");
}

static void read_and_drop(void) {
    read_cell(&node.content);
    give_up_node();
}

/* Changes in place what is its alone, else reads it as who copies does. */
static void write_and_drop(void) {
    if (pm__ref_count_is_one(&node.rc)) write_cell(&node.content);
    else read_cell(&node.content);
    give_up_node();
}

static void clone_read_and_drop(void) {
    pm__ref_count_retain(&node.rc);
    read_cell(&node.content);
    give_up_node();
    read_cell(&node.content);
    give_up_node();
}

static const scenario counts = {
    "counts", prepare_node, finish_node, {write_and_drop, clone_read_and_drop, read_and_drop}, 3, ALL, 0};

TEST(schedules_of_counts_are_sound) { sound(&counts); }

TEST(schedules_of_counts_find_seeded_bugs) {
    static const bug bugs[] = {
        {"release turned relaxed", COUNT, SUB, RELAXED},
        {"uniqueness test turned relaxed", COUNT, LOAD, RELAXED},
        {"uniqueness test left out", COUNT, LOAD, READS_ONE},
        {"fence before the free missing", ANY_WORD, FENCE, LEFT_OUT},
        {"retain in two steps", COUNT, ADD, TORN},
        {"release in two steps", COUNT, SUB, TORN},
        {"retain left out", COUNT, ADD, LEFT_OUT},
    };
    FINDS(&counts, bugs);
}

#if PATHMAP_SLIM_PTRS
/* So many owners that some take the count past its limit while others look at it. */
static void prepare_limit(void) {
    know(&node.rc, COUNT);
    pm__count_store(&node.rc, PM__COUNT_MAX - 2);
}

static void finish_limit(void) {
    uint32_t n = pm__count_load_relaxed(&node.rc);
    if (n < PM__COUNT_MAX && n != PM__COUNT_MAX - 2) fail("the count has come back wrong");
}

static void clone_once(void) {
    pm__ref_count_retain(&node.rc);
    if (pm__ref_count_release(&node.rc)) fail("freed");
}

static void clone_twice(void) {
    pm__ref_count_retain(&node.rc);
    clone_once();
    if (pm__ref_count_release(&node.rc)) fail("freed");
}

static const scenario limit = {
    "counts at their limit", prepare_limit, finish_limit, {clone_once, clone_twice, clone_once}, 3, 4, 0};

TEST(schedules_of_counts_at_their_limit_are_sound) { sound(&limit); }

TEST(schedules_of_counts_at_their_limit_find_seeded_bugs) {
    static const bug bugs[] = {{"parked at the limit itself", COUNT, STORE, LIMIT_LOW}};
    FINDS(&limit, bugs);
}
#endif

/* ---- the lock ---- */

static pm__lock guard;
static cell guarded;
static unsigned inside, entered;

static void prepare_lock(void) {
    know(&guard.held, LOCK);
    memset(&guarded, 0, sizeof guarded);
    pm__store_relaxed(&guard.held, 0);
    inside = entered = 0;
    write_cell(&guarded);
}

static void finish_lock(void) {
    if (entered != 3) fail("somebody was not let in");
}

static void enter_and_leave(void) {
    pm__lock_acquire(&guard);
    if (inside++) fail("two are inside");
    write_cell(&guarded);
    give_way();
    entered++;
    inside--;
    pm__lock_release(&guard);
}

static const scenario locked = {
    "the lock", prepare_lock, finish_lock, {enter_and_leave, enter_and_leave, enter_and_leave}, 3, 1, 0};

TEST(schedules_of_the_lock_are_sound) { sound(&locked); }

TEST(schedules_of_the_lock_find_seeded_bugs) {
    static const bug bugs[] = {
        {"acquisition turned relaxed", LOCK, CAS, RELAXED},
        {"release turned relaxed", LOCK, EXCHANGE, RELAXED},
        {"release in two steps", LOCK, EXCHANGE, TORN},
        {"acquisition left out", LOCK, CAS, LEFT_OUT},
        {"nobody woken", LOCK, WAKE, LEFT_OUT},
    };
    FINDS(&locked, bugs);
}

/* ---- replaced maps ---- */

enum { VERSIONS = 16, FIRST_UPDATE = 4 };
static pm_shared *shared;
static cell version[VERSIONS], slot[PM__SHARED_FIRST];
static pm__count held[VERSIONS];

/* Maps whose only value names a cell; the references to it are counted. */
static void hold_version(void *ctx, pm_val v) {
    (void)ctx;
    if (version[v].gone) fail("a version that is gone was loaded");
    pm__ref_count_retain(&held[v]);
}

static void drop_version(void *ctx, pm_val v) {
    (void)ctx;
    if (!pm__ref_count_release(&held[v])) return;
    write_cell(&version[v]);
    version[v].gone = true;
}

static const pm_ops version_ops = {
    .name = "versions", .flags = PM_OPS_IDEMPOTENT, .retain = hold_version, .release = drop_version};

static pm_map version_map(pm_val v) {
    pm_map m = {0, v, &version_ops, NULL, true, 0, 0};
    pm__ref_count_init(&held[v]);
    write_cell(&version[v]);
    return m;
}

/* A slot is written before its balance is set, and read before the balance is counted down or the slot given up. */
static void watch_slots(deed d, const volatile void *word, uint64_t value) {
    for (int i = 0; i < PM__SHARED_FIRST; i++) {
        const pm__version *v = &shared->block[0][i];
        if (word == &v->balance) (d == STORE ? write_cell : read_cell)(&slot[i]);
        else if (word == &v->used && value == 0) read_cell(&slot[i]);
    }
}

static void prepare_shared(void) {
    memset(version, 0, sizeof version);
    memset(slot, 0, sizeof slot);
    pm_map m = version_map(0);
    if (pm_shared_new(&m, &shared) != PM_OK) abort();
    know_pool();
    know(&shared->word, VERSION);
    know(&shared->latest, LATEST);
    know(&shared->next, LOCK);
    know(&shared->serving, BELL);
    for (int i = 0; i < PM__SHARED_FIRST; i++) {
        know(&shared->block[0][i].balance, BALANCE);
        know(&shared->block[0][i].used, USED);
    }
    watch = watch_slots;
    pm_drop(&m);
}

static void finish_shared(void) {
    pm_shared_free(shared);
    for (int v = 0; v < VERSIONS; v++)
        if (!version[v].gone && version[v].writes.c[SETUP] + version[v].writes.c[0] + version[v].writes.c[1] +
                                    version[v].writes.c[2])
            fail("a version was not given up");
}

static void load_version(void) {
    pm_map m = pm_shared_load(shared);
    read_cell(&version[m.value]);
    pm_drop(&m);
}

static void store_version(pm_val v) {
    pm_map m = version_map(v);
    if (pm_shared_store(shared, &m) != PM_OK) fail("not stored");
    pm_drop(&m);
}

static void store_first(void) { store_version(1); }
static void store_second(void) { store_version(2); }

/* Replaces what it has loaded, unless another was faster. */
static void swap_third(void) {
    bool swapped = false;
    pm_map seen = pm_shared_load(shared), m = version_map(3);
    if (pm_shared_compare_and_swap(shared, &seen, &m, &swapped) != PM_OK) fail("not swapped");
    pm_drop(&seen);
    pm_drop(&m);
    pm_map now = pm_shared_load(shared);
    if (swapped && now.value == 0) fail("the old version is back");
    pm_drop(&now);
}

static pm_val made, updates_in[VERSIONS]; /* versions made by updates, and how many updates each contains */
static cell in_turn;                      /* written by one update after the other */

static pm_status next_version(void *ctx, pm_map *m) {
    (void)ctx;
    pm_val seen = m->value, v = FIRST_UPDATE + made++;
    write_cell(&in_turn);
    pm_drop(m);
    *m = version_map(v);
    updates_in[v] = updates_in[seen] + 1;
    return PM_OK;
}

static void update_version(void) {
    if (pm_shared_update(shared, next_version, NULL) != PM_OK) fail("not updated");
}

static void prepare_updates(void) {
    prepare_shared();
    memset(&in_turn, 0, sizeof in_turn);
    made = 0;
}

static void finish_updates(void) {
    pm_map m = pm_shared_load(shared);
    if (updates_in[m.value] != 2) fail("an update is lost");
    pm_drop(&m);
    finish_shared();
}

static bool first_is_stored;

static void prepare_refresh(void) {
    prepare_shared();
    first_is_stored = false;
}

static void store_first_and_tell(void) {
    store_version(1);
    first_is_stored = true;
}

/* Keeps a copy up to date: it has what was stored before it was asked for, and what others have loaded. */
static void refresh_version(void) {
    pm_map m = pm_new(NULL, NULL);
    uint64_t seen = 0;
    for (int i = 0; i < 3; i++) {
        bool stored = first_is_stored, there = i > 0;
        if (!pm_shared_refresh(shared, &m, &seen) && !there) fail("nothing was loaded");
        if (stored && m.value != 1) fail("an old version although a new one had been stored");
        read_cell(&version[m.value]);
        pm_map loaded = pm_shared_load(shared);
        (void)pm_shared_refresh(shared, &m, &seen);
        if (loaded.value == 1 && m.value != 1) fail("an older version than the one loaded before");
        pm_drop(&loaded);
    }
    pm_drop(&m);
}

#define SHARED prepare_shared, finish_shared
static const scenario refresh_store = {
    "refreshes beside a store", prepare_refresh, finish_shared, {refresh_version, store_first_and_tell}, 2, 3, 0};
static const scenario load_store = {"a load beside a store", SHARED, {load_version, store_first}, 2, ALL, 0};
static const scenario load_store_store = {
    "a load beside two stores", SHARED, {load_version, store_first, store_second}, 3, 3, 0};
static const scenario load_load_store = {
    "two loads beside a store", SHARED, {load_version, load_version, store_first}, 3, 3, 0};
static const scenario load_store_swap = {
    "a load beside a store and a swap", SHARED, {load_version, store_first, swap_third}, 3, 2, 0};
static const scenario updates = {
    "two updates", prepare_updates, finish_updates, {update_version, update_version}, 2, 3, 0};

TEST(schedules_of_a_load_beside_a_store_are_sound) { sound(&load_store); }
TEST(schedules_of_a_load_beside_two_stores_are_sound) { sound(&load_store_store); }
TEST(schedules_of_two_loads_beside_a_store_are_sound) { sound(&load_load_store); }
TEST(schedules_of_a_load_beside_store_and_swap_are_sound) { sound(&load_store_swap); }
TEST(schedules_of_refreshes_beside_a_store_are_sound) { sound(&refresh_store); }
TEST(schedules_of_two_updates_are_sound) { sound(&updates); }

TEST(schedules_of_shared_maps_find_seeded_bugs) {
    static const bug few[] = {
        {"load's addition turned relaxed", VERSION, ADD, RELAXED},
        {"load's addition in two steps", VERSION, ADD, TORN},
        {"load not counted: nothing protects the version", VERSION, ADD, LEFT_OUT},
        {"replacement turned relaxed", VERSION, EXCHANGE, RELAXED},
        {"replacement in two steps", VERSION, EXCHANGE, TORN},
        {"counting down in two steps", BALANCE, ADD, TORN},
    };
    static const bug more[] = {
        {"counting down turned relaxed", BALANCE, ADD, RELAXED},
        {"giving a slot up turned relaxed", USED, STORE, RELAXED},
        {"taking a slot turned relaxed", USED, LOAD, RELAXED},
        {"taking a slot without looking", USED, LOAD, LEFT_OUT},
        {"writers' turn left out", LOCK, ADD, LEFT_OUT},
        {"writers' ticket in two steps", LOCK, ADD, TORN},
        {"writers do not wait for their turn", BELL, LOAD, LEFT_OUT},
    };
    static const bug lost[] = {
        {"writers' turn left out of updates", LOCK, ADD, LEFT_OUT},
        {"end of a turn turned relaxed", BELL, ADD, RELAXED},
        {"look at the turn turned relaxed", BELL, LOAD, RELAXED},
        {"nobody woken at the end of a turn", BELL, WAKE, LEFT_OUT},
    };
    static const bug told[] = {
        {"a new version's number is not told", LATEST, STORE, LEFT_OUT},
        {"a refresh always finds the number that it has seen first", LATEST, LOAD, READS_ONE},
    };
    FINDS(&refresh_store, told);
    FINDS(&load_store, few);
    FINDS(&load_store_store, more);
    FINDS(&updates, lost);
}

/* The last test: what all of them came to. */
TEST(schedules_summary) {
    need_schedules();
    printf("# schedules: %" PRIu64 " explored in %" PRIu64 " scenarios, 0 unsound; seeded bugs: %" PRIu64
           " found out of %" PRIu64 "\n",
           tally.schedules, tally.scenarios, tally.found, tally.seeded);
    CHECK_EQ(tally.found, tally.seeded);
}
