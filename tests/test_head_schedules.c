/* All interleavings of a head's writers beside those who make snapshots: explorer.h says how. Whatever a snapshot, a
   fence or a pinned reader shows is compared as a whole with what was true between the request and the answer. Seeded
   bugs must be found. */
#define _DEFAULT_SOURCE /* for MAP_ANONYMOUS */
#include "check.h"

#include "explorer.h"

/* Memory that is freed is kept for a while, and looked at again: nobody may have written there. And a thread may be
   short of memory once, at any of the allocations of a call that cannot fail. */
enum { GIVEN_BACK = 32, DEAD = 0xDD };
static struct {
    unsigned char *p;
    size_t size;
} given_back[GIVEN_BACK];
static unsigned given_back_next;
static int short_of_memory; /* a thread, or SETUP */

static void free_given_back(unsigned i) {
    for (size_t k = 0; k < given_back[i].size; k++)
        if (given_back[i].p[k] != DEAD) fail("memory was written to after it was freed");
    free(given_back[i].p);
    given_back[i].p = NULL;
    given_back[i].size = 0;
}

static void give_memory(void *p, size_t size) {
    unsigned i = given_back_next++ % GIVEN_BACK;
    if (!p) return;
    free_given_back(i);
    memset(p, DEAD, size);
    given_back[i].p = p;
    given_back[i].size = size;
}

static void *take_memory(size_t size) {
    if (in_thread() && short_of_memory == explorer.self && decide(2)) {
        short_of_memory = SETUP;
        return NULL;
    }
    return malloc(size);
}

#define PM_MALLOC(n) take_memory(n)
#define PM_FREE(p, n) give_memory((p), (n))
#undef PM_POOL
#define PM_POOL 0
#define PM__HEAD_OFTEN 2u /* so that writers change sides */
#define PATHMAP_STATIC
#ifdef SEEDED_FAULTS /* a copy with faults to choose from: tests/seed_faults.py */
#include SEEDED_FAULTS
#else
#include "../pathmap.h"
#endif

#include "schedules.h"

/* ---- what is true, and what snapshots may show ---- */

/* Each call that changes something is noted: when it began and ended, whose it is, and what each key has after it. A
   snapshot is right if there is a set of calls that makes exactly what it shows, key by key and nothing else, where the
   set
   - has every call that had ended before the snapshot was asked for, and none that began after it was given;
   - has, with each call, those of the same writer before it; in a fence, those of all writers that had ended before it
     began, so that the fence has an instant of its own.
   A call of two writers is one call. */
enum { CALLS_MOST = 8, KEYS = 6, W = 1, X = 2, A = 4 };

static const char *const keys[KEYS] = {"", "a", "w", "w/q", "x", "x/q"};

typedef struct contents {
    pm_val of[KEYS]; /* 0: none */
} contents;

static struct {
    int begun, ended;
    unsigned whose;
    bool does[KEYS];
    pm_val to[KEYS];
} calls[CALLS_MOST];
static int calls_n, moment;
static contents at_first;

static int key_number(const char *key, size_t len) {
    for (int k = 0; k < KEYS; k++)
        if (strlen(keys[k]) == len && memcmp(keys[k], key, len) == 0) return k;
    return -1;
}

static int note_call(unsigned whose) {
    int c = calls_n++;
    memset(&calls[c], 0, sizeof calls[c]);
    calls[c].begun = moment++;
    calls[c].ended = INT32_MAX;
    calls[c].whose = whose;
    return c;
}

static void note_change(int c, const char *key, pm_val v) {
    int k = key_number(key, strlen(key));
    calls[c].does[k] = true;
    calls[c].to[k] = v;
}

static void note_end(int c) { calls[c].ended = moment++; }

static int note_write(unsigned whose, const char *key, pm_val v) {
    int c = note_call(whose);
    note_change(c, key, v);
    return c;
}

/* Whether a set of calls has, with each, those that come before it. */
static bool set_is_closed(unsigned set, bool fence) {
    for (int c = 0; c < calls_n; c++)
        for (int d = 0; d < calls_n; d++) {
            bool related = fence || (calls[c].whose & calls[d].whose);
            if (!(set >> c & 1) && (set >> d & 1) && related && calls[c].ended < calls[d].begun) return false;
        }
    return true;
}

static bool set_makes(unsigned set, const contents *seen, const char *path) {
    contents made = at_first;
    for (int c = 0; c < calls_n; c++)
        for (int k = 0; k < KEYS; k++)
            if ((set >> c & 1) && calls[c].does[k]) made.of[k] = calls[c].to[k];
    for (int k = 0; k < KEYS; k++)
        if (strncmp(keys[k], path, strlen(path)) != 0) made.of[k] = 0;
    return memcmp(&made, seen, sizeof made) == 0;
}

/* Whether a snapshot at a path, asked for and given at these moments, may show this. */
static bool may_show(const contents *seen, const char *path, int asked, int given, bool fence) {
    unsigned must = 0, may = 0;
    for (int c = 0; c < calls_n; c++) {
        if (calls[c].ended < asked) must |= 1u << c;
        else if (calls[c].begun < given) may |= 1u << c;
    }
    for (unsigned more = may;; more = (more - 1) & may) {
        if (set_is_closed(must | more, fence) && set_makes(must | more, seen, path)) return true;
        if (!more) return false;
    }
}

/* All that a reader shows, wherever it stands. */
static contents all_of(pm_rz *z, const char *path) {
    contents seen;
    memset(&seen, 0, sizeof seen);
    pm_rz_reset(z);
    for (bool more = true; more; more = pm_rz_to_next_val(z)) {
        size_t len, at = strlen(path);
        char key[16];
        const uint8_t *below = pm_rz_path(z, &len);
        if (!pm_rz_val(z)) continue; /* the root has none */
        memcpy(key, path, at);
        memcpy(key + at, below, len < 8 ? len : 8);
        int k = key_number(key, at + len);
        if (k < 0) fail("a key that never was");
        else seen.of[k] = *pm_rz_val(z);
    }
    if (pm_rz_status(z) != PM_OK) fail("not read to the end");
    return seen;
}

/* ---- a head ---- */

/* Values up to 99 are the explored writer's. What its map holds is a cell: written by each call, just before it ends;
   read by who copies a value of the map under the lock. Larger values are others'. */
enum { OTHERS = 100 };
static pm_map under;
static pm_head *head;
static pm_wz writer, second;
static pm_rz reader;
static cell content;
static int lock_owner;
static bool refused; /* the writer was not to begin a call */
static const char *place;
static const struct pm_claim *explored; /* the writer's; only to be compared */
static bool calls_take_time, hooks_take_time;
static bool head_gone;

/* Perhaps lets others go on, which is no preemption: calls and hooks may take long, and between two calls there may be
   a long time. */
static void take_time(void) {
    if (in_thread() && decide(2)) rest();
}

static void copy_content(void *ctx, pm_val v) {
    (void)ctx;
    if (!in_thread() || v >= OTHERS || lock_owner != explorer.self) return;
    for (const pm__writer *w = head->dirty; w; w = w->next_dirty)
        if (&w->claim.zipper == explored) read_cell(&content);
}

static void give_up_content(void *ctx, pm_val v) {
    (void)ctx;
    (void)v;
    if (!in_thread() || !hooks_take_time || lock_owner == explorer.self) return;
    take_time();
    if (head_gone) fail("a hook runs after the head was closed");
}

static const pm_ops content_ops = {
    .name = "content", .flags = PM_OPS_IDEMPOTENT, .retain = copy_content, .release = give_up_content};

/* Whose the head's lock is: who tries to take it when it is free. And what the explored writer does: it stores 0 into
   in_call when a call is over, and when hold has told it not to begin one. */
static void watch_head(deed d, const volatile void *word, uint64_t value) {
    word_kind kind = kind_of(word);
    if (head_gone && kind != ANY_WORD && kind != OF_NO_INTEREST) fail("a word of a head that is gone is used");
    if (kind == LOCK && (d == CAS || value) && peek(word) == 0) lock_owner = explorer.self;
    if (kind == LOCK && d == EXCHANGE && value == 0) lock_owner = SETUP;
    if (explorer.self != 0) return;
    if (kind == HOLD && d == LOAD) refused = value != 0;
    if (kind != IN_CALL || d != STORE) return;
    if (value == 0 && !refused && word == &explored->in_call) {
        if (calls_take_time) take_time();
        write_cell(&content);
    }
    refused = false;
}

/* The map has values at "" and at "a", and those of the place that a scenario adds. */
static void prepare_head_with(pm_val at_root, const char *more) {
    under = pm_new(&content_ops, NULL);
    calls_n = moment = 0;
    lock_owner = SETUP;
    refused = calls_take_time = hooks_take_time = head_gone = fence_refused = false;
    short_of_memory = SETUP;
    memset(&content, 0, sizeof content);
    memset(&at_first, 0, sizeof at_first);
    at_first.of[key_number("", 0)] = at_root;
    at_first.of[key_number("a", 1)] = OTHERS;
    if (more) at_first.of[key_number(more, strlen(more))] = OTHERS + 1;
    for (int k = 0; k < KEYS; k++)
        if (at_first.of[k] && pm_set(&under, keys[k], strlen(keys[k]), at_first.of[k], NULL) != PM_OK) abort();
    if (pm_head_new(&under, &head) != PM_OK) abort();
    know_pool();
    know(&head->lock.held, LOCK);
    know(&head->bell, BELL);
    watch = watch_head;
}

static void prepare_head(pm_val at_root) { prepare_head_with(at_root, NULL); }

static void know_writer(const pm_wz *w) {
    know(&w->cursor.claim->hold, HOLD);
    know(&w->cursor.claim->in_call, IN_CALL);
}

static void open_writer(const char *path, bool fenced) {
    place = path;
    head->fenced = fenced;
    if (pm_head_write(head, path, strlen(path), &writer, NULL) != PM_OK) abort();
    explored = writer.cursor.claim;
    know_writer(&writer);
}

static void open_second(void) {
    if (pm_head_write(head, "x", 1, &second, NULL) != PM_OK) abort();
    know_writer(&second);
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

#if PM__MEMBARRIER
/* The system has granted fences of all threads, and refuses them now. */
static void prepare_refused_writer(void) {
    prepare_writer();
    fence_refused = true;
}
#endif

static void prepare_root_writer(void) {
    prepare_head(0);
    open_writer("", PM__MEMBARRIER ? false : true);
}

static void prepare_fenced_root_writer(void) {
    prepare_head(0);
    open_writer("", true);
}

/* Reads all at and below a path, at some moment while others go on, and looks twice. */
typedef enum way { READ, AT_AN_INSTANT, PINNED } way;

static pm_status open_reader(const char *path, way how, pm_rz *z) {
    size_t len = strlen(path);
    if (how == AT_AN_INSTANT) return pm_head_fence(head, path, len, z);
    return how == READ ? pm_head_read(head, path, len, z) : pm_head_pin(head, path, len, z, NULL);
}

static void look_at(const char *path, way how) {
    pm_rz z;
    int asked = moment++;
    if (open_reader(path, how, &z) != PM_OK) {
        fail("not read");
        return;
    }
    int given = moment++;
    contents first = all_of(&z, path);
    if (!may_show(&first, path, asked, given, how != READ)) fail("this was not true between request and answer");
    give_way();
    contents again = all_of(&z, path);
    if (memcmp(&first, &again, sizeof first) != 0) fail("the reader has seen a later change");
    pm_rz_drop(&z);
}

/* In the end all calls are seen, and nothing else. */
static void finish_head(void) {
    if (writer.map && pm_wz_drop(&writer) != PM_OK) fail("the writer had failed");
    look_at("", READ);
    look_at(place, READ);
    if (pm_head_free(head, NULL, NULL) != PM_OK) fail("the head is busy");
    if (pm_check(&under, NULL) != PM_OK) fail("the map is damaged");
    pm_drop(&under);
}

static void write_now(pm_val v) {
    int c = note_write(W, place, v);
    if (pm_wz_set(&writer, v, NULL) != PM_OK) fail("not written");
    note_end(c);
}

static void write_second(pm_val v) {
    int c = note_write(X, "x", v);
    if (pm_wz_set(&second, v, NULL) != PM_OK) fail("not written");
    note_end(c);
}

static void write_once(void) { write_now(1); }

static void write_twice(void) {
    write_now(1);
    write_now(2);
}

static void write_and_close(void) {
    write_now(1);
    if (pm_wz_drop(&writer) != PM_OK) fail("the writer had failed");
}

static void read_once(void) { look_at("w", READ); }
static void fence_once(void) { look_at("w", AT_AN_INSTANT); }
static void read_twice(void) {
    read_once();
    take_time();
    read_once();
}

static void write_thrice(void) {
    for (pm_val v = 1; v <= 3; v++) write_now(v);
    give_way(); /* what it has stored last may still be late */
}

/* Keeps one reader up to date. */
static void refresh_twice(void) {
    pm_rz z;
    if (open_reader("w", READ, &z) != PM_OK) {
        fail("not read");
        return;
    }
    for (int i = 0; i < 2; i++) {
        int asked = moment++;
        if (pm_head_refresh(head, &z, NULL) != PM_OK) fail("not refreshed");
        int given = moment++;
        contents seen = all_of(&z, "w");
        if (!may_show(&seen, "w", asked, given, false)) fail("this was not true when it was refreshed");
        take_time();
    }
    pm_rz_drop(&z);
}

static void read_root(void) { look_at("", READ); }
static void fence_all(void) { look_at("", AT_AN_INSTANT); }

/* Another writer comes, in any thread. */
static void open_write_and_close(const char *path, unsigned whose) {
    pm_wz other;
    if (pm_head_write(head, path, strlen(path), &other, NULL) != PM_OK) fail("not opened");
    take_time();
    int c = note_write(whose, path, OTHERS + 5);
    if (pm_wz_set(&other, OTHERS + 5, NULL) != PM_OK) fail("not written");
    note_end(c);
    take_time();
    if (pm_wz_drop(&other) != PM_OK) fail("not written");
}

static void come_and_write(void) { open_write_and_close("a", A); }

/* Three is undone; one and two come together. */
static void write_groups(void) {
    if (pm_wz_begin(&writer) != PM_OK || pm_wz_set(&writer, 3, NULL) != PM_OK || pm_wz_rollback(&writer) != PM_OK ||
        pm_wz_begin(&writer) != PM_OK || pm_wz_set(&writer, 1, NULL) != PM_OK || pm_wz_set(&writer, 2, NULL) != PM_OK)
        fail("not written");
    int c = note_write(W, "w", 2);
    if (pm_wz_commit(&writer) != PM_OK) fail("not written");
    note_end(c);
}

/* Two writers, of which the second has something to lose. */
static void prepare_two(void) {
    prepare_head_with(OTHERS, "x/q");
    open_writer("w", PM__MEMBARRIER ? false : true);
    open_second();
}

/* The second writer is in a group, but a snapshot has made it clean since it began. */
static void prepare_two_in_group(void) {
    pm_rz z;
    prepare_two();
    if (pm_wz_begin(&second) != PM_OK || pm_wz_set(&second, OTHERS + 5, NULL) != PM_OK) abort();
    if (pm_head_read(head, "", 0, &z) != PM_OK) abort();
    pm_rz_drop(&z);
    calls_take_time = true;
}

/* It ends, which cannot fail, when memory is short. */
static void close_second_short_of_memory(void) {
    int c = note_write(X, "x", OTHERS + 5);
    short_of_memory = explorer.self;
    if (pm_wz_drop(&second) != PM_OK) fail("the writer had failed");
    short_of_memory = SETUP;
    note_end(c);
}

static void finish_two(void) {
    if (second.map && pm_wz_drop(&second) != PM_OK) fail("the writer had failed");
    finish_head();
}

static void write_other(void) { write_second(OTHERS + 5); }

/* A call in flight, while a fence waits and another writer comes and writes. */
static void prepare_slow_writer(void) {
    prepare_writer();
    calls_take_time = true;
}

/* The same with a writer that was there before, but had changed nothing. */
static void prepare_slow_two(void) {
    prepare_two();
    calls_take_time = true;
}

/* One thread has both writers, and moves what one has to the other. */
static void prepare_move_to(const char *from) {
    prepare_head_with(OTHERS, from);
    open_writer("w", PM__MEMBARRIER ? false : true);
    open_second();
    calls_take_time = true;
    write_now(1); /* it is dirty from the beginning */
}

static void prepare_take(void) { prepare_move_to("x/q"); }
static void prepare_give(void) { prepare_move_to("w/q"); }

static void move_between(pm_wz *to, pm_wz *from, const char *key_to, const char *key_from) {
    int c = note_call(W | X);
    note_change(c, key_to, OTHERS + 1);
    note_change(c, key_from, 0);
    pm_rz_move_to(pm_wz_cursor(to), "/", 1);
    pm_rz_move_to(pm_wz_cursor(from), "/", 1);
    if (pm_wz_join_take(to, from, PM_PRUNE, NULL) != PM_OK) fail("not moved");
    note_end(c);
    pm_rz_reset(pm_wz_cursor(to));
    pm_rz_reset(pm_wz_cursor(from));
}

static void write_take_write(void) {
    write_now(2);
    write_now(3);
    move_between(&writer, &second, "w/q", "x/q");
    write_now(4);
}

static void write_give_write(void) {
    write_now(2);
    write_now(3);
    move_between(&second, &writer, "x/q", "w/q");
    write_now(4);
}

/* Ends, whose hooks take long, beside who closes the head as soon as that is granted. */
static void prepare_ends(void) {
    prepare_writer();
    write_now(1);
    if (pm_wz_begin(&writer) != PM_OK || pm_wz_set(&writer, 2, NULL) != PM_OK) abort();
    hooks_take_time = true;
}

/* The reader is the last that has what it shows. */
static void prepare_reader(void) {
    prepare_writer();
    write_now(1);
    if (pm_head_read(head, "w", 1, &reader) != PM_OK) abort();
    write_now(2);
    if (pm_wz_drop(&writer) != PM_OK) abort();
    hooks_take_time = true;
}

static void close_writer(void) {
    int c = note_write(W, "w", 2);
    if (pm_wz_drop(&writer) != PM_OK) fail("the writer had failed");
    note_end(c);
}

static void pin_writer(void) {
    pm_rz z;
    int c = note_write(W, "w", 2);
    if (pm_wz_into_reader(&writer, &z) != PM_OK) fail("the writer had failed");
    note_end(c);
    pm_rz_drop(&z);
}

static void drop_reader(void) { pm_rz_drop(&reader); }

static void close_head(void) {
    pm_status s;
    while ((s = pm_head_free(head, NULL, NULL)) == PM_BUSY) rest();
    if (s != PM_OK) fail("not closed");
    head_gone = true;
}

static void finish_closed(void) {
    pm_rz z;
    if (pm_check(&under, NULL) != PM_OK || pm_rz_open(&under, NULL, 0, &z) != PM_OK) {
        fail("the map is damaged");
        return;
    }
    contents last = all_of(&z, "");
    if (!may_show(&last, "", moment, moment, true)) fail("the map has not what was written");
    pm_rz_drop(&z);
    pm_drop(&under);
}

/* Requests that wait for places, beside a writer that ends: all of them are served. */
static void wait_and_write(const char *first, const char *second_place) {
    const pm_key places[2] = {{first, 1}, {second_place, 1}};
    size_t n = second_place ? 2 : 1;
    pm_wz w[2];
    if (pm_head_write_all_wait(head, places, n, PM_FOREVER, w, NULL) != PM_OK) {
        fail("not given out");
        return;
    }
    int c = note_write(W, "w", OTHERS + 5);
    if (pm_wz_set(&w[first[0] == 'w' ? 0 : 1], OTHERS + 5, NULL) != PM_OK) fail("not written");
    note_end(c);
    for (size_t i = 0; i < n; i++)
        if (pm_wz_drop(&w[i]) != PM_OK) fail("not written");
}

static void wait_w(void) { wait_and_write("w", NULL); }
static void wait_w_x(void) { wait_and_write("w", "x"); }
static void wait_x_w(void) { wait_and_write("x", "w"); }

/* One whose time passes before what is in its way has ended, perhaps; the other does not wait for it then. */
static void wait_a_moment(void) {
    const pm_key places[2] = {{"w", 1}, {"a", 1}};
    pm_wz w[2];
    pm_status s = pm_head_write_all_wait(head, places, 2, 1000, w, NULL);
    if (s != PM_OK && s != PM_CONFLICT) fail("neither given out nor refused");
    for (size_t i = 0; s == PM_OK && i < 2; i++)
        if (pm_wz_drop(&w[i]) != PM_OK) fail("not dropped");
}

static void wait_a(void) {
    pm_wz w;
    if (pm_head_write_wait(head, "a", 1, PM_FOREVER, &w, NULL) != PM_OK) fail("not given out");
    else if (pm_wz_drop(&w) != PM_OK) fail("not dropped");
}

/* ---- scenarios ---- */

static const scenario write_read = {
    "a writer beside a reader", prepare_writer, finish_head, {write_twice, read_once}, 2, 3, 1};
static const scenario fenced_write_read = {
    "the same without fences of all threads", prepare_fenced_writer, finish_head, {write_twice, read_once}, 2, 3, 1};
static const scenario write_read_twice = {
    "a writer that is held often beside a reader", prepare_writer, finish_head, {write_thrice, read_twice}, 2, 2, 1};
static const scenario write_refresh = {
    "a writer beside a reader that is refreshed", prepare_writer, finish_head, {write_twice, refresh_twice}, 2, 3, 0};
#if PM__MEMBARRIER
static const scenario refused_write_read = {"the same when fences of all threads are refused from now on",
                                            prepare_refused_writer, finish_head, {write_twice, read_once}, 2, 3, 1};
#endif
static const scenario root_write_read = {
    "a writer of the whole map beside a reader", prepare_root_writer, finish_head, {write_twice, read_root}, 2, 3, 1};
static const scenario fenced_root_write_read = {"the same without fences of all threads", prepare_fenced_root_writer,
                                                finish_head, {write_twice, read_root}, 2, 3, 1};
static const scenario write_read_fence = {
    "a writer beside reader and fence", prepare_writer, finish_head, {write_twice, read_once, fence_once}, 3, 2, 0};
static const scenario come_write_fence = {"a writer that comes and writes beside a fence", prepare_slow_writer,
                                          finish_head, {write_once, fence_all, come_and_write}, 3, 1, 0};
static const scenario clean_write_fence = {"a clean writer that writes beside a fence", prepare_slow_two, finish_two,
                                           {write_once, fence_all, write_other}, 3, 2, 0};
static const scenario close_read_read = {"a writer that ends beside readers", prepare_writer, finish_head,
                                         {write_and_close, read_once, read_once}, 3, 2, 0};
static const scenario groups_read = {
    "groups beside a reader", prepare_writer, finish_head, {write_groups, read_once}, 2, 2, 1};
static const scenario two_fence = {
    "two writers beside a fence", prepare_two, finish_two, {write_once, write_other, fence_all}, 3, 2, 0};
static const scenario end_fence = {"a group that ends short of memory beside a fence", prepare_two_in_group, finish_two,
                                   {write_once, close_second_short_of_memory, fence_all}, 3, 2, 0};
static const scenario take_read_read = {"a writer takes from another beside two readers", prepare_take, finish_two,
                                        {write_take_write, read_root, read_root}, 3, 1, 0};
static const scenario give_read_read = {"a writer gives to another beside two readers", prepare_give, finish_two,
                                        {write_give_write, read_root, read_root}, 3, 1, 0};
static const scenario take_read_fence = {"a writer takes from another beside reader and fence", prepare_take,
                                         finish_two, {write_take_write, read_root, fence_all}, 3, 0, 0};
static const scenario end_close = {
    "a writer with a group that ends beside close", prepare_ends, finish_closed, {close_writer, close_head}, 2, 3, 0};
static const scenario pin_close = {"a writer with a group that turns reader beside close", prepare_ends, finish_closed,
                                   {pin_writer, close_head}, 2, 2, 0};
static const scenario drop_close = {
    "a reader that ends beside close", prepare_reader, finish_closed, {drop_reader, close_head}, 2, 3, 0};

static const scenario close_wait_wait = {"a writer that ends beside two who wait for it and for more", prepare_writer,
                                         finish_head, {write_and_close, wait_w_x, wait_x_w}, 3, 2, 0};
static const scenario close_wait_read = {"a writer that ends beside one who waits for it, and a reader", prepare_writer,
                                         finish_head, {write_and_close, wait_w, read_once}, 3, 2, 0};
static const scenario close_moment_wait = {"a writer that ends beside one who waits a moment, and one behind it",
                                           prepare_writer, finish_head, {write_and_close, wait_a_moment, wait_a}, 3, 2,
                                           0};

TEST(schedules_of_a_writer_beside_a_reader_are_sound) {
    sound(&write_read);
    sound(&fenced_write_read);
#if PM__MEMBARRIER
    sound(&refused_write_read);
#endif
}

TEST(schedules_of_a_writer_that_is_held_often_are_sound) { sound(&write_read_twice); }
TEST(schedules_of_a_writer_beside_refreshes_are_sound) { sound(&write_refresh); }

TEST(schedules_of_a_root_writer_beside_a_reader_are_sound) {
    sound(&root_write_read);
    sound(&fenced_root_write_read);
}

TEST(schedules_of_a_writer_beside_reader_and_fence_are_sound) { sound(&write_read_fence); }
TEST(schedules_of_a_writer_that_comes_beside_a_fence_are_sound) { sound(&come_write_fence); }
TEST(schedules_of_a_clean_writer_beside_a_fence_are_sound) { sound(&clean_write_fence); }
TEST(schedules_of_a_writer_that_ends_beside_readers_are_sound) { sound(&close_read_read); }
TEST(schedules_of_groups_beside_a_reader_are_sound) { sound(&groups_read); }
TEST(schedules_of_two_writers_beside_a_fence_are_sound) { sound(&two_fence); }

TEST(schedules_of_a_group_that_ends_short_of_memory_beside_a_fence_are_sound) { sound(&end_fence); }
TEST(schedules_of_a_writer_that_takes_beside_two_readers_are_sound) { sound(&take_read_read); }
TEST(schedules_of_a_writer_that_takes_beside_reader_and_fence_are_sound) { sound(&take_read_fence); }
TEST(schedules_of_a_writer_that_gives_beside_two_readers_are_sound) { sound(&give_read_read); }
TEST(schedules_of_a_writer_that_ends_beside_close_are_sound) { sound(&end_close); }
TEST(schedules_of_a_writer_that_turns_reader_beside_close_are_sound) { sound(&pin_close); }
TEST(schedules_of_a_reader_that_ends_beside_close_are_sound) { sound(&drop_close); }
TEST(schedules_of_a_writer_that_ends_beside_who_waits_for_it_are_sound) {
    sound(&close_wait_wait);
    sound(&close_wait_read);
    sound(&close_moment_wait);
}

TEST(schedules_of_heads_find_seeded_bugs) {
    static const bug any[] = {
        {"writer does not look at hold", HOLD, LOAD, LEFT_OUT},
        {"reader does not look at in_call", IN_CALL, LOAD, LEFT_OUT},
        {"head's lock left out", LOCK, CAS, LEFT_OUT},
        {"bell does not wake", BELL, WAKE, LEFT_OUT},
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

#ifdef SEEDED_FAULTS
/* Faults of the protocol, which no change to a single kind of operation makes. */
static void finds_fault(const scenario *s, const char *name, int fault) {
    bug b = {name, ANY_WORD, 0, AS_IT_IS};
    need_schedules();
    seeded_fault = fault;
    expect_found(s, b);
    seeded_fault = NO_FAULT;
}

#define FINDS_FAULT(scenario, fault) finds_fault(scenario, #fault, fault)

TEST(schedules_of_heads_find_seeded_faults) {
    FINDS_FAULT(&come_write_fence, CLEAN_WRITERS_GO);
    FINDS_FAULT(&clean_write_fence, CLEAN_WRITERS_GO);
    FINDS_FAULT(&take_read_fence, CLEAN_WRITERS_GO);
    FINDS_FAULT(&take_read_fence, HELD_WRITERS_GO);
    FINDS_FAULT(&clean_write_fence, END_OF_FENCE_NOT_TOLD);
    FINDS_FAULT(&end_fence, GROUPS_END_AT_ONCE);
    FINDS_FAULT(&take_read_read, NO_COPY);
    FINDS_FAULT(&take_read_read, ONE_COPY);
    FINDS_FAULT(&take_read_read, NEWER_COPY);
    FINDS_FAULT(&give_read_read, NEWER_COPY);
    FINDS_FAULT(&take_read_read, WAITS_INSIDE);
    FINDS_FAULT(&write_read, BELL_LOOKED_AT_LATE);
    FINDS_FAULT(&write_read, END_OF_CALL_NOT_TOLD);
    FINDS_FAULT(&write_refresh, NEWS_NOT_TOLD);
#if PM__MEMBARRIER
    FINDS_FAULT(&write_read_twice, SLEEPS_UNFENCED);
    FINDS_FAULT(&refused_write_read, NO_BARRIER);
    FINDS_FAULT(&refused_write_read, FLAG_SWITCH);
#endif
    FINDS_FAULT(&end_close, OUT_BEFORE_HOOKS);
    FINDS_FAULT(&close_read_read, FREED_IN_USE);
    FINDS_FAULT(&close_wait_read, END_OF_CLAIM_NOT_TOLD);
    FINDS_FAULT(&close_wait_wait, TURN_LOOKED_AT_LATE);
    FINDS_FAULT(&close_moment_wait, END_OF_TURN_NOT_TOLD);
}
#endif

/* The last test: what all of them came to. */
TEST(schedules_of_heads_summary) {
    need_schedules();
    printf("# schedules of heads: %" PRIu64 " explored in %" PRIu64 " scenarios, 0 unsound; seeded bugs: %" PRIu64
           " found out of %" PRIu64 "\n",
           tally.schedules, tally.scenarios, tally.found, tally.seeded);
    CHECK_EQ(tally.found, tally.seeded);
}
