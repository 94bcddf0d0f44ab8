/* All interleavings of two or three threads over a few operations: of reference counts, of the lock, of replaced maps,
   and of a head's writers beside those who make snapshots; explorer.h says how. Seeded bugs, an order weakened or a
   word ignored, must be found: an explorer that finds nothing proves nothing. The last line that a full run prints
   says how many schedules there were, and how many of the seeded bugs were found. */
#define _DEFAULT_SOURCE /* for MAP_ANONYMOUS */
#include "check.h"

#include "explorer.h"

#undef PM_POOL
#define PM_POOL 0
#define PATHMAP_STATIC
#include "../pathmap.h"

/* Without threads there is nothing to interleave, and checkers lose their way when stacks are switched. */
static void need_schedules(void) {
#if PM_NO_THREADS || PM__TSAN || defined(__SANITIZE_ADDRESS__)
    SKIP("no schedules in this configuration");
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
    SKIP("no schedules in this configuration");
#endif
#endif
}

/* Statistics decide nothing. */
static void know_pool(void) {
    know(&pm__pool_default.live, OF_NO_INTEREST);
    know(&pm__pool_default.nodes, OF_NO_INTEREST);
    know(&pm__pool_default.reserved, OF_NO_INTEREST);
}

static void sound(const scenario *s) {
    need_schedules();
    expect_sound(s);
}

static void finds(const scenario *s, const bug *bugs, size_t n) {
    need_schedules();
    for (size_t i = 0; i < n; i++) expect_found(s, bugs[i]);
}

#define FINDS(scenario, bugs) finds(scenario, bugs, sizeof(bugs) / sizeof *(bugs))

/* ---- counts ---- */

/* Three owners of one node, whose content is a cell. */
static struct {
    pm__count rc;
    cell content;
} node;

static void give_up_node(void) {
    if (!pm__count_release(&node.rc)) return;
    write_cell(&node.content); /* to free is to write */
    node.content.gone = true;
}

static void prepare_node(void) {
    know(&node.rc, COUNT);
    memset(&node.content, 0, sizeof node.content);
    pm__count_init(&node.rc);
    pm__count_retain(&node.rc);
    pm__count_retain(&node.rc);
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
    if (pm__count_is_one(&node.rc)) write_cell(&node.content);
    else read_cell(&node.content);
    give_up_node();
}

static void clone_read_and_drop(void) {
    pm__count_retain(&node.rc);
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
    pm__count_retain(&node.rc);
    if (pm__count_release(&node.rc)) fail("freed");
}

static void clone_twice(void) {
    pm__count_retain(&node.rc);
    clone_once();
    if (pm__count_release(&node.rc)) fail("freed");
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
        {"release turned relaxed", LOCK, STORE, RELAXED},
        {"acquisition left out", LOCK, CAS, LEFT_OUT},
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
    pm__count_retain(&held[v]);
}

static void drop_version(void *ctx, pm_val v) {
    (void)ctx;
    if (!pm__count_release(&held[v])) return;
    write_cell(&version[v]);
    version[v].gone = true;
}

static const pm_ops version_ops = {
    .name = "versions", .flags = PM_OPS_IDEMPOTENT, .retain = hold_version, .release = drop_version};

static pm_map version_map(pm_val v) {
    pm_map m = {0, v, &version_ops, NULL, true, 0, 0};
    pm__count_init(&held[v]);
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
    know(&shared->lock.held, LOCK);
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

static pm_status next_version(void *ctx, pm_map *m) {
    (void)ctx;
    pm_val seen = m->value, v = FIRST_UPDATE + made++;
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
    made = 0;
}

static void finish_updates(void) {
    pm_map m = pm_shared_load(shared);
    if (updates_in[m.value] != 2) fail("an update is lost");
    pm_drop(&m);
    finish_shared();
}

#define SHARED prepare_shared, finish_shared
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
        {"writers' lock left out", LOCK, CAS, LEFT_OUT},
    };
    static const bug lost[] = {{"writers' lock left out of updates", LOCK, CAS, LEFT_OUT}};
    FINDS(&load_store, few);
    FINDS(&load_store_store, more);
    FINDS(&updates, lost);
}

/* ---- a head's writers beside snapshots ---- */

/* Values up to 99 are the explored writer's. What its map holds is a cell: written by each call, just before it ends;
   read by who copies a value of the map under the lock. Larger values are others'. */
enum { OTHERS = 100 };
static pm_map under;
static pm_head *head;
static pm_wz writer, second;
static unsigned written, written_second; /* by calls that have returned */
static cell content;
static int lock_owner;
static bool refused; /* the writer was not to begin a call */
static const char *place;
static const struct pm_claim *explored; /* the writer's; only to be compared */

static void copy_content(void *ctx, pm_val v) {
    (void)ctx;
    if (!in_thread() || v >= OTHERS || lock_owner != explorer.self) return;
    for (const pm__writer *w = head->dirty; w; w = w->next_dirty)
        if (&w->stake.claim == explored && w->served == 0) read_cell(&content); /* else it is a copy that was left */
}

static void keep_content(void *ctx, pm_val v) {
    (void)ctx;
    (void)v;
}

static const pm_ops content_ops = {
    .name = "content", .flags = PM_OPS_IDEMPOTENT, .retain = copy_content, .release = keep_content};

/* Whose the head's lock is: who tries to take it when it is free. And what the first thread's writer does: it stores 0
   into in_call when a call is over, and when hold has told it not to begin one. */
static void watch_head(deed d, const volatile void *word, uint64_t value) {
    word_kind kind = kind_of(word);
    if (kind == LOCK && d == CAS && peek(word) == 0) lock_owner = explorer.self;
    if (kind == LOCK && d == STORE && value == 0) lock_owner = SETUP;
    if (explorer.self != 0) return;
    if (kind == HOLD && d == LOAD) refused = value != 0;
    if (kind == IN_CALL && d == STORE && value == 0 && !refused) write_cell(&content);
    if (kind == IN_CALL && d == STORE) refused = false;
}

static void prepare_head(pm_val at_root) {
    under = pm_new(&content_ops, NULL);
    written = written_second = 0;
    lock_owner = SETUP;
    memset(&content, 0, sizeof content);
    if (pm_set(&under, "", 0, at_root, NULL) != PM_OK || pm_set(&under, "a", 1, OTHERS, NULL) != PM_OK ||
        pm_head_new(&under, &head) != PM_OK)
        abort();
    know_pool();
    know(&head->lock.held, LOCK);
    watch = watch_head;
    refused = false;
}

static void open_writer(const char *path, bool fenced) {
    place = path;
    head->fenced = fenced;
    if (pm_head_write(head, path, strlen(path), &writer, NULL) != PM_OK) abort();
    explored = writer.cursor.claim;
    know(&writer.cursor.claim->hold, HOLD);
    know(&writer.cursor.claim->in_call, IN_CALL);
}

/* By fences of all threads, as on Linux; by sequentially consistent stores, as elsewhere; a writer of the whole map. */
static void prepare_writer(void) {
    prepare_head(OTHERS);
    open_writer("w", PM__MEMBARRIER ? false : true);
}

static void prepare_fenced_writer(void) {
    prepare_head(OTHERS);
    open_writer("w", true);
}

static void prepare_root_writer(void) {
    prepare_head(0);
    open_writer("", PM__MEMBARRIER ? false : true);
}

static void prepare_fenced_root_writer(void) {
    prepare_head(0);
    open_writer("", true);
}

static void finish_head(void) {
    pm_rz z;
    if (writer.map && pm_wz_close(&writer) != PM_OK) fail("the writer had failed");
    if (pm_head_read(head, place, strlen(place), &z) != PM_OK || !pm_rz_val(&z) || *pm_rz_val(&z) != written)
        fail("a write is lost");
    pm_rz_drop(&z);
    if (pm_head_close(head, NULL, NULL) != PM_OK) fail("the head is busy");
    if (pm_check(&under, NULL) != PM_OK) fail("the map is damaged");
    pm_drop(&under);
}

static void write_now(pm_val v) {
    if (pm_wz_set(&writer, v, NULL) != PM_OK) fail("not written");
    written++;
}

static void write_twice(void) {
    write_now(1);
    write_now(2);
}

static void write_and_close(void) {
    write_now(1);
    if (pm_wz_close(&writer) != PM_OK) fail("the writer had failed");
}

static pm_val value_in(const pm_rz *z) { return pm_rz_val(z) ? *pm_rz_val(z) : 0; }

static void look_at(const char *path, bool fence) {
    pm_rz z;
    pm_val before = written;
    size_t len = strlen(path);
    if ((fence ? pm_head_fence(head, path, len, &z) : pm_head_read(head, path, len, &z)) != PM_OK) {
        fail("not read");
        return;
    }
    pm_val first = value_in(&z);
    if (first < before) fail("a call that had returned was not seen");
    if (first > 2) fail("what was undone is seen");
    give_way();
    pm_rz_reset(&z);
    if (value_in(&z) != first) fail("the reader has seen a later change");
    pm_rz_drop(&z);
}

static void read_once(void) { look_at("w", false); }
static void fence_once(void) { look_at("w", true); }
static void read_root(void) { look_at("", false); }

/* Another writer comes while the fence may be waiting for the first one. */
static void open_write_and_close(void) {
    pm_wz other;
    if (pm_head_write(head, "a", 1, &other, NULL) != PM_OK) fail("not opened");
    if (pm_wz_set(&other, OTHERS + 1, NULL) != PM_OK || pm_wz_close(&other) != PM_OK) fail("not written");
}

static void fence_all(void) {
    pm_rz z;
    if (pm_head_fence(head, "", 0, &z) != PM_OK) fail("not read");
    if (!pm_rz_val_at(&z, "a", 1)) fail("what was there is not seen");
    pm_rz_drop(&z);
}

/* Three is undone; one and two come together. */
static void write_groups(void) {
    if (pm_wz_begin(&writer) != PM_OK || pm_wz_set(&writer, 3, NULL) != PM_OK || pm_wz_rollback(&writer) != PM_OK ||
        pm_wz_begin(&writer) != PM_OK || pm_wz_set(&writer, 1, NULL) != PM_OK || pm_wz_set(&writer, 2, NULL) != PM_OK ||
        pm_wz_commit(&writer) != PM_OK)
        fail("not written");
    written = 2;
}

static void read_group(void) {
    pm_rz z;
    unsigned before = written;
    if (pm_head_read(head, "w", 1, &z) != PM_OK) fail("not read");
    pm_val v = value_in(&z);
    if (v != 2 && (v != 0 || before)) fail("a group is seen in part");
    pm_rz_drop(&z);
}

/* Two writers: what the second writes knows of the first. */
static void prepare_two(void) {
    prepare_writer();
    if (pm_head_write(head, "x", 1, &second, NULL) != PM_OK) abort();
    know(&second.cursor.claim->hold, HOLD);
    know(&second.cursor.claim->in_call, IN_CALL);
}

static void finish_two(void) {
    if (pm_wz_close(&second) != PM_OK) fail("the writer had failed");
    finish_head();
}

static void write_once(void) { write_now(1); }

static void write_what_is_written(void) {
    if (pm_wz_set(&second, OTHERS + written, NULL) != PM_OK) fail("not written");
}

static void fence_both(void) {
    pm_rz z;
    if (pm_head_fence(head, "", 0, &z) != PM_OK) fail("not read");
    const pm_val *first = pm_rz_val_at(&z, "w", 1), *after = pm_rz_val_at(&z, "x", 1);
    if (after && *after > OTHERS && !first) fail("the fence is no instant of both");
    pm_rz_drop(&z);
}

static const scenario write_read = {
    "a writer beside a reader", prepare_writer, finish_head, {write_twice, read_once}, 2, 3, 1};
static const scenario fenced_write_read = {
    "the same without fences of all threads", prepare_fenced_writer, finish_head, {write_twice, read_once}, 2, 3, 1};
static const scenario root_write_read = {
    "a writer of the whole map beside a reader", prepare_root_writer, finish_head, {write_twice, read_root}, 2, 3, 1};
static const scenario fenced_root_write_read = {"the same without fences of all threads", prepare_fenced_root_writer,
                                                finish_head, {write_twice, read_root}, 2, 3, 1};
static const scenario write_read_fence = {
    "a writer beside reader and fence", prepare_writer, finish_head, {write_twice, read_once, fence_once}, 3, 1, 0};
static const scenario open_write_fence = {"a writer that comes beside a fence", prepare_writer, finish_head,
                                          {write_twice, fence_all, open_write_and_close}, 3, 1, 0};
static const scenario close_read_read = {"a writer that ends beside readers", prepare_writer, finish_head,
                                         {write_and_close, read_once, read_once}, 3, 1, 0};
static const scenario groups_read = {
    "groups beside a reader", prepare_writer, finish_head, {write_groups, read_group}, 2, 2, 1};
static const scenario two_fence = {"two writers beside a fence", prepare_two, finish_two,
                                   {write_once, write_what_is_written, fence_both}, 3, 1, 0};

TEST(schedules_of_a_writer_beside_a_reader_are_sound) {
    sound(&write_read);
    sound(&fenced_write_read);
}

TEST(schedules_of_a_root_writer_beside_a_reader_are_sound) {
    sound(&root_write_read);
    sound(&fenced_root_write_read);
}

TEST(schedules_of_a_writer_beside_reader_and_fence_are_sound) { sound(&write_read_fence); }
TEST(schedules_of_a_writer_that_comes_beside_a_fence_are_sound) { sound(&open_write_fence); }
TEST(schedules_of_a_writer_that_ends_beside_readers_are_sound) { sound(&close_read_read); }
TEST(schedules_of_groups_beside_a_reader_are_sound) { sound(&groups_read); }
TEST(schedules_of_two_writers_beside_a_fence_are_sound) { sound(&two_fence); }

TEST(schedules_of_heads_find_seeded_bugs) {
    static const bug any[] = {
        {"writer does not look at hold", HOLD, LOAD, LEFT_OUT},
        {"reader does not look at in_call", IN_CALL, LOAD, LEFT_OUT},
        {"head's lock left out", LOCK, CAS, LEFT_OUT},
    };
    static const bug root[] = {
        {"end of a call turned relaxed", IN_CALL, STORE, RELAXED},
        {"reader's look at in_call turned relaxed", IN_CALL, LOAD, RELAXED},
        {"letting a writer go turned relaxed", HOLD, STORE, RELAXED},
        {"writer's look at hold turned relaxed", HOLD, LOAD, RELAXED},
    };
    static const bug asymmetric[] = {{"fence of all threads missing", ANY_WORD, FENCE_ALL, LEFT_OUT}};
    static const bug fenced[] = {
        {"writer's store of in_call no longer in one order with all", IN_CALL, STORE, NOT_LAST},
        {"reader's store of hold no longer in one order with all", HOLD, STORE, NOT_LAST},
    };
    static const bug group[] = {{"writer of groups does not look at hold", HOLD, LOAD, LEFT_OUT}};
    static const bug cut[] = {{"writer does not wait for the fence", HOLD, LOAD, LEFT_OUT}};
    FINDS(&write_read, any);
    FINDS(&root_write_read, root);
#if PM__MEMBARRIER
    FINDS(&write_read, asymmetric);
#else
    (void)asymmetric;
#endif
    FINDS(&fenced_write_read, fenced);
    FINDS(&groups_read, group);
    FINDS(&two_fence, cut);
}

/* The last test: what all of them came to. */
TEST(schedules_summary) {
    need_schedules();
    printf("# schedules: %" PRIu64 " explored in %" PRIu64 " scenarios, 0 unsound; seeded bugs: %" PRIu64
           " found out of %" PRIu64 "\n",
           tally.schedules, tally.scenarios, tally.found, tally.seeded);
    CHECK_EQ(tally.found, tally.seeded);
}
