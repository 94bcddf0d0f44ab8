/* All interleavings of two or three threads over a few operations: of reference counts, of replaced maps, and of a
   head's writer beside those who make snapshots. The library is the same source, compiled against atomics that give
   way: before each of them the explorer decides who runs next. It goes through all decisions, or through all with few
   preemptions where there are too many.

   Beside what the operations answer, it checks the memory orders: every thread has a vector clock, which atomics hand
   on as their orders say. Two accesses to a marked cell that no clock orders are a race, even though the run itself was
   sequential. What it does not know are stores that others see late; for these the library asks for sequential
   consistency, or for a fence of all threads.

   Seeded bugs, an order weakened or a word ignored, must be found: an explorer that finds nothing proves nothing. */
#include "check.h"

#include <emmintrin.h>
#include <sys/wait.h>
#include <threads.h>
#include <ucontext.h>
#include <unistd.h>

/* getcontext returns once here: what the compiler fears, a second return with registers gone, does not happen. */
#if defined(__GNUC__) && !defined(__clang__)
#pragma GCC diagnostic ignored "-Wclobbered"
#endif

/* ---- the explorer -------------------------------------------------------------------------------------------- */

enum { THREADS = 3, SETUP = THREADS, CLOCKS = THREADS + 1, STACK = 256 * 1024, STEPS_MAX = 4000, FAIR_FROM = 400,
       WORDS = 1024 };

typedef struct clocks {
    uint32_t c[CLOCKS];
} clocks;

typedef struct cell { /* memory that atomics must guard */
    clocks writes, reads;
    bool gone;
} cell;

static struct {
    bool running;
    int self, threads; /* self: SETUP outside of threads */
    ucontext_t back, context[THREADS];
    char *stack[THREADS];
    void (*body[THREADS])(void);
    bool done[THREADS], resting[THREADS]; /* resting: has asked for others to go on */
    clocks now[CLOCKS], seen[CLOCKS];     /* seen: by relaxed loads, until a fence */
    struct {
        const volatile void *word;
        clocks released;
    } words[WORDS];
    /* Decisions, kept from run to explorer. */
    unsigned char picked[STEPS_MAX], options[STEPS_MAX];
    int steps, preemptions, allowed, last; /* last: who ran */
    bool failed;
    const char *why;
} explorer;

typedef enum mutant {
    NO_MUTANT, SUB_RELAXED, LOAD_RELAXED, FENCE_MISSING, RMW_RELAXED, HOLD_IGNORED, CALL_IGNORED, LOCK_IGNORED
} mutant;

static mutant seeded;
static const volatile void *hold_words[THREADS], *call_words[THREADS], *lock_word;

static void fail(const char *why) {
    if (!explorer.failed) explorer.why = why;
    explorer.failed = true;
}

static void join_clocks(clocks *a, const clocks *b) {
    for (int i = 0; i < CLOCKS; i++)
        if (a->c[i] < b->c[i]) a->c[i] = b->c[i];
}

static clocks *released(const volatile void *word) {
    size_t i = ((uintptr_t)word >> 2) * 0x9E3779B1u % WORDS, tries = 0;
    while (explorer.words[i].word && explorer.words[i].word != word && tries++ < WORDS) i = (i + 1) % WORDS;
    explorer.words[i].word = word;
    return &explorer.words[i].released;
}

/* Gives way: the decision who goes on is the explorer's. */
CHECK__UNUSED static void give_way(void) {
    if (explorer.running && explorer.self != SETUP) swapcontext(&explorer.context[explorer.self], &explorer.back);
}

CHECK__UNUSED static void rest(void) {
    if (!explorer.running || explorer.self == SETUP) return;
    explorer.resting[explorer.self] = true;
    give_way();
}

static bool acquires(memory_order o) { return o != memory_order_relaxed && o != memory_order_release; }
static bool releases(memory_order o) { return o != memory_order_relaxed && o != memory_order_acquire; }

CHECK__UNUSED static void on_load(const volatile void *word, memory_order o) {
    if (seeded == LOAD_RELAXED) o = memory_order_relaxed;
    join_clocks(acquires(o) ? &explorer.now[explorer.self] : &explorer.seen[explorer.self], released(word));
}

CHECK__UNUSED static void on_store(const volatile void *word, memory_order o) {
    static const clocks nothing;
    *released(word) = releases(o) ? explorer.now[explorer.self] : nothing;
    explorer.now[explorer.self].c[explorer.self]++;
}

CHECK__UNUSED static void on_rmw(const volatile void *word, memory_order o, bool sub) {
    if (seeded == RMW_RELAXED || (sub && seeded == SUB_RELAXED)) o = memory_order_relaxed;
    join_clocks(acquires(o) ? &explorer.now[explorer.self] : &explorer.seen[explorer.self], released(word));
    if (releases(o)) join_clocks(released(word), &explorer.now[explorer.self]);
    explorer.now[explorer.self].c[explorer.self]++;
}

CHECK__UNUSED static void on_fence(void) {
    if (seeded != FENCE_MISSING) join_clocks(&explorer.now[explorer.self], &explorer.seen[explorer.self]);
}

CHECK__UNUSED static bool is_blind(const volatile void *word) {
    for (int i = 0; i < THREADS; i++)
        if ((seeded == HOLD_IGNORED && word == hold_words[i]) || (seeded == CALL_IGNORED && word == call_words[i]))
            return true;
    return seeded == LOCK_IGNORED && word == lock_word;
}

static void read_cell(cell *c) {
    if (c->gone) fail("read what is gone");
    for (int i = 0; i < CLOCKS; i++)
        if (c->writes.c[i] > explorer.now[explorer.self].c[i]) fail("a read races with a write");
    c->reads.c[explorer.self] = ++explorer.now[explorer.self].c[explorer.self];
}

static void write_cell(cell *c) {
    const clocks *mine = &explorer.now[explorer.self];
    if (c->gone) fail("written what is gone");
    for (int i = 0; i < CLOCKS; i++)
        if (c->writes.c[i] > mine->c[i] || c->reads.c[i] > mine->c[i]) fail("a write races");
    c->writes.c[explorer.self] = ++explorer.now[explorer.self].c[explorer.self];
}

/* The library's atomics: the operations themselves, for each type, before the names are taken over. */
#define RAW(name, T)                                                                                                  \
    CHECK__UNUSED static T load_##name(const _Atomic(T) *p) { return atomic_load(p); }                                \
    CHECK__UNUSED static void store_##name(_Atomic(T) *p, T v) { atomic_store(p, v); }                                \
    CHECK__UNUSED static T exchange_##name(_Atomic(T) *p, T v) { return atomic_exchange(p, v); }                      \
    CHECK__UNUSED static bool cas_##name(_Atomic(T) *p, T *e, T v) { return atomic_compare_exchange_strong(p, e, v); }
#define RAW_ARITH(name, T)                                                                                            \
    RAW(name, T)                                                                                                      \
    CHECK__UNUSED static T add_##name(_Atomic(T) *p, T v) { return atomic_fetch_add(p, v); }                          \
    CHECK__UNUSED static T sub_##name(_Atomic(T) *p, T v) { return atomic_fetch_sub(p, v); }                          \
    CHECK__UNUSED static T or_##name(_Atomic(T) *p, T v) { return atomic_fetch_or(p, v); }                            \
    CHECK__UNUSED static T and_##name(_Atomic(T) *p, T v) { return atomic_fetch_and(p, v); }
typedef void *pointer;
RAW_ARITH(32, uint32_t)
RAW_ARITH(64, uint64_t)
RAW(ptr, pointer)

#define BY_NUMBER(p, verb)                                                                                            \
    _Generic((p), _Atomic(uint32_t) *: verb##_32, const _Atomic(uint32_t) *: verb##_32,                               \
        _Atomic(uint64_t) *: verb##_64, const _Atomic(uint64_t) *: verb##_64)
#define BY_TYPE(p, verb)                                                                                              \
    _Generic((p), _Atomic(uint32_t) *: verb##_32, const _Atomic(uint32_t) *: verb##_32,                               \
        _Atomic(uint64_t) *: verb##_64, const _Atomic(uint64_t) *: verb##_64,                                         \
        _Atomic(pointer) *: verb##_ptr, const _Atomic(pointer) *: verb##_ptr)

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_thread_fence
#define atomic_load_explicit(p, o) (give_way(), on_load(p, o), is_blind(p) ? 0 : BY_TYPE(p, load)(p))
#define atomic_store_explicit(p, v, o) (give_way(), on_store(p, o), BY_TYPE(p, store)((p), (v)))
#define atomic_exchange_explicit(p, v, o) (give_way(), on_rmw(p, o, false), BY_TYPE(p, exchange)((p), (v)))
#define atomic_compare_exchange_strong_explicit(p, e, v, o, f)                                                        \
    (give_way(), on_rmw(p, o, false), is_blind(p) ? true : BY_TYPE(p, cas)((p), (e), (v)))
#define atomic_fetch_add_explicit(p, v, o) (give_way(), on_rmw(p, o, false), BY_NUMBER(p, add)((p), (v)))
#define atomic_fetch_sub_explicit(p, v, o) (give_way(), on_rmw(p, o, true), BY_NUMBER(p, sub)((p), (v)))
#define atomic_fetch_or_explicit(p, v, o) (give_way(), on_rmw(p, o, false), BY_NUMBER(p, or)((p), (v)))
#define atomic_fetch_and_explicit(p, v, o) (give_way(), on_rmw(p, o, false), BY_NUMBER(p, and)((p), (v)))
#define atomic_thread_fence(o) on_fence()
#define _mm_pause() rest()
#define thrd_yield() rest()
#define thrd_sleep(t, u) ((void)(t), rest(), 0)

#ifndef PM_POOL
#define PM_POOL 1
#endif
#define PATHMAP_STATIC
#include "../pathmap.h"

/* ---- running all schedules ---- */

static void enter_thread(int i) {
    explorer.body[i]();
    explorer.done[i] = true;
}

/* One run, under the decisions so far, extended by first choices. */
static void run_once(void) {
    explorer.last = SETUP;
    for (int i = 0; i < explorer.threads; i++) {
        explorer.done[i] = explorer.resting[i] = false;
        explorer.now[i] = explorer.now[SETUP];
        explorer.now[i].c[i]++;
        memset(&explorer.seen[i], 0, sizeof explorer.seen[i]);
        getcontext(&explorer.context[i]);
        explorer.context[i].uc_stack.ss_sp = explorer.stack[i];
        explorer.context[i].uc_stack.ss_size = STACK;
        explorer.context[i].uc_link = &explorer.back;
        makecontext(&explorer.context[i], (void (*)(void))(uintptr_t)enter_thread, 1, i);
    }
    explorer.running = true;
    explorer.steps = explorer.preemptions = 0;
    for (;;) {
        int can[THREADS], n = 0, last = explorer.last;
        bool left = false;
        for (int k = 0; k < explorer.threads; k++) { /* to go on is the first choice, then in turn */
            int who = last == SETUP ? k : (last + k) % explorer.threads;
            if (explorer.done[who]) continue;
            left = true;
            if (!explorer.resting[who]) can[n++] = who;
        }
        if (!n) {
            if (!left) break;
            for (int i = 0; i < explorer.threads; i++) explorer.resting[i] = false; /* all rest: they look again */
            continue;
        }
        /* Far into a run all take turns, or threads that wait could be chosen for ever before the one they wait for. */
        bool free_choice = explorer.steps < FAIR_FROM && (can[0] != last || explorer.preemptions < explorer.allowed);
        if (explorer.steps >= STEPS_MAX) {
            fail("too many steps");
            break;
        }
        unsigned char *pick = &explorer.picked[explorer.steps], *options = &explorer.options[explorer.steps];
        explorer.steps++;
        *options = (unsigned char)(free_choice ? n : 1);
        if (*pick >= *options) *pick = 0;
        int next = can[*pick];
        explorer.preemptions += can[0] == last && next != last;
        for (int i = 0; i < explorer.threads; i++)
            if (i != next) explorer.resting[i] = false; /* something moves: they may look again */
        explorer.self = explorer.last = next;
        swapcontext(&explorer.back, &explorer.context[next]);
        explorer.self = SETUP;
        if (explorer.failed) break;
    }
    explorer.running = false;
    for (int i = 0; i < explorer.threads; i++) join_clocks(&explorer.now[SETUP], &explorer.now[i]);
}

/* The next decisions. False: all have been tried. */
static bool next_schedule(void) {
    while (explorer.steps > 0) {
        int i = --explorer.steps;
        if (explorer.picked[i] + 1 < explorer.options[i]) {
            explorer.picked[i]++;
            memset(explorer.picked + i + 1, 0, sizeof explorer.picked - (size_t)i - 1);
            return true;
        }
    }
    return false;
}

typedef struct scenario {
    void (*prepare)(void);
    void (*finish)(void);
    void (*body[THREADS])(void);
    int threads, preemptions; /* at most so many: 1000 for all */
} scenario;

/* Runs all schedules, or the first `most`. Returns how many; explorer.failed tells whether one went wrong. */
static uint64_t explore(const scenario *s, uint64_t most, bool *all) {
    uint64_t runs = 0;
    memset(explorer.picked, 0, sizeof explorer.picked);
    explorer.failed = false;
    explorer.why = "";
    explorer.threads = s->threads;
    explorer.allowed = s->preemptions;
    for (int i = 0; i < THREADS; i++) {
        if (!explorer.stack[i]) explorer.stack[i] = malloc(STACK);
        explorer.body[i] = s->body[i];
    }
    *all = false;
    do {
        memset(explorer.words, 0, sizeof explorer.words);
        memset(explorer.now, 0, sizeof explorer.now);
        memset(explorer.seen, 0, sizeof explorer.seen);
        explorer.self = SETUP;
        s->prepare();
        run_once();
        runs++;
        if (explorer.failed) return runs; /* what the threads held is lost with the process or the test */
        s->finish();
        if (explorer.failed || runs >= most) return runs;
    } while (next_schedule());
    *all = true;
    return runs;
}

/* The counts have 60060; of larger ones, the first that many. */
static uint64_t runs_most(const scenario *s) { return s->preemptions < 1000 ? 15000 : 61000; }

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

static void expect_sound(const scenario *s) {
    need_schedules();
    bool all;
    uint64_t n = explore(s, runs_most(s), &all);
    CHECK_NOTE(!explorer.failed, "%s, in schedule %" PRIu64, explorer.why, n);
    printf("# %s: %" PRIu64 " schedules, %s\n", check__current, n,
           !all ? "the first ones" : s->preemptions < 1000 ? "all with few preemptions" : "all there are");
}

/* In a process of its own, since such a run may well crash. */
static void expect_found(const scenario *s, mutant m) {
    need_schedules();
    int status = 0;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        bool all;
        fclose(stderr);
        signal(SIGABRT, SIG_DFL);
        alarm(60);
        seeded = m;
        (void)explore(s, runs_most(s), &all);
        _exit(explorer.failed ? 1 : 0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    CHECK_NOTE(status != 0, "seeded bug %d was not found", (int)m);
}

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
    prepare_node, finish_node, {write_and_drop, clone_read_and_drop, read_and_drop}, 3, 1000};

TEST(schedules_of_counts_are_sound) { expect_sound(&counts); }

TEST(schedules_of_counts_find_seeded_bugs) {
    expect_found(&counts, SUB_RELAXED);
    expect_found(&counts, LOAD_RELAXED);
    expect_found(&counts, FENCE_MISSING);
}

/* ---- replaced maps ---- */

enum { VERSIONS = 4 };
static pm_shared *shared;
static cell version[VERSIONS];
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
    pm_map m = {0, v, &version_ops, NULL, true};
    pm__count_init(&held[v]);
    write_cell(&version[v]);
    return m;
}

static void prepare_shared(void) {
    memset(version, 0, sizeof version);
    pm_map m = version_map(0);
    if (pm_shared_new(&m, &shared) != PM_OK) abort();
    lock_word = &shared->lock.held;
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

static const scenario load_store = {prepare_shared, finish_shared, {load_version, store_first}, 2, 4};
static const scenario load_store_store = {
    prepare_shared, finish_shared, {load_version, store_first, store_second}, 3, 2};
static const scenario load_store_swap = {prepare_shared, finish_shared, {load_version, store_first, swap_third}, 3, 2};

TEST(schedules_of_a_load_beside_a_store_are_sound) { expect_sound(&load_store); }
TEST(schedules_of_a_load_beside_two_stores_are_sound) { expect_sound(&load_store_store); }
TEST(schedules_of_a_load_beside_store_and_swap_are_sound) { expect_sound(&load_store_swap); }

TEST(schedules_of_shared_maps_find_seeded_bugs) {
    expect_found(&load_store, RMW_RELAXED);
    expect_found(&load_store_store, LOCK_IGNORED);
}

/* ---- a head's writer beside snapshots ---- */

static pm_map under;
static pm_head *head;
static pm_wz writer;
static unsigned written; /* calls that have returned */

static void write_now(pm_val v) {
    if (pm_wz_set(&writer, v, NULL) != PM_OK) fail("not written");
    written++;
}

static void prepare_head(void) {
    under = pm_new(NULL, NULL);
    written = 0;
    if (pm_set(&under, "a", 1, 0, NULL) != PM_OK || pm_head_new(&under, &head) != PM_OK) abort();
    head->fenced = true; /* fences of all threads are not what is explored */
    if (pm_head_write(head, "w", 1, &writer, NULL) != PM_OK) abort();
    hold_words[0] = &writer.cursor.claim->hold;
    call_words[0] = &writer.cursor.claim->in_call;
    lock_word = &head->lock.held;
}

static void finish_head(void) {
    pm_rz z;
    if (writer.map && pm_wz_close(&writer) != PM_OK) fail("the writer had failed");
    if (pm_head_read(head, "w", 1, &z) != PM_OK || !pm_rz_val(&z) || *pm_rz_val(&z) != written) fail("a write is lost");
    pm_rz_drop(&z);
    if (pm_head_close(head, NULL, NULL) != PM_OK) fail("the head is busy");
    if (pm_check(&under, NULL) != PM_OK) fail("the map is damaged");
    pm_drop(&under);
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

static void look(bool fence) {
    pm_rz z;
    pm_val before = written;
    if ((fence ? pm_head_fence(head, "w", 1, &z) : pm_head_read(head, "w", 1, &z)) != PM_OK) {
        fail("not read");
        return;
    }
    pm_val first = value_in(&z);
    if (first < before) fail("a call that had returned was not seen");
    give_way();
    pm_rz_reset(&z);
    if (value_in(&z) != first) fail("the reader has seen a later change");
    pm_rz_drop(&z);
}

static void read_once(void) { look(false); }
static void fence_once(void) { look(true); }

/* Another writer comes while the fence may be waiting for the first one. */
static void open_write_and_close(void) {
    pm_wz other;
    if (pm_head_write(head, "a", 1, &other, NULL) != PM_OK) fail("not opened");
    if (pm_wz_set(&other, 1, NULL) != PM_OK || pm_wz_close(&other) != PM_OK) fail("not written");
}

static void fence_all(void) {
    pm_rz z;
    if (pm_head_fence(head, "", 0, &z) != PM_OK) fail("not read");
    if (!pm_rz_val_at(&z, "a", 1)) fail("what was there is not seen");
    pm_rz_drop(&z);
}

static const scenario open_write_fence = {
    prepare_head, finish_head, {write_twice, fence_all, open_write_and_close}, 3, 2};
static const scenario write_read = {prepare_head, finish_head, {write_twice, read_once}, 2, 3};
static const scenario write_read_fence = {prepare_head, finish_head, {write_twice, read_once, fence_once}, 3, 2};
static const scenario close_read_read = {prepare_head, finish_head, {write_and_close, read_once, read_once}, 3, 2};

TEST(schedules_of_a_writer_beside_a_reader_are_sound) { expect_sound(&write_read); }
TEST(schedules_of_a_writer_beside_reader_and_fence_are_sound) { expect_sound(&write_read_fence); }
TEST(schedules_of_a_writer_that_comes_beside_a_fence_are_sound) { expect_sound(&open_write_fence); }
TEST(schedules_of_a_writer_that_ends_beside_readers_are_sound) { expect_sound(&close_read_read); }

TEST(schedules_of_heads_find_seeded_bugs) {
    expect_found(&write_read, HOLD_IGNORED);
    expect_found(&write_read, CALL_IGNORED);
    expect_found(&write_read, LOCK_IGNORED);
}
