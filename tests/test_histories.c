/* Recorded histories. Threads write through heads, make snapshots and fences, and use a shared map; each call is noted
   with the moments when it was asked for and when it had returned. Afterwards a checker, which knows nothing of the
   library, looks whether the answers fit together:

   - of each writer a snapshot shows what one of its calls has left (so each call whole or not at all, groups whole,
     nothing that was rolled back), no less than had returned before the snapshot was asked for, and nothing that began
     after it was given; snapshots one after the other never go back
   - a reader shows the same when it is walked again later
   - fences show one instant of all writers: any two are ordered, and what is in one brings everything with it that had
     returned before that began
   - a call of two writers is seen whole: what one of them takes from the other is in one place, never in two or none
   - a shared map is one register: there is an order of all loads, stores, swaps and updates, in keeping with their
     times, that explains every answer (the search of Wing and Gong, "Testing and verifying concurrent objects", 1993)

   The checker is shown to work by forged histories: each breaks one rule, and is refused for that one.

   Left alone, a call is over before another thread runs, and nobody ever waits for it. So the values have hooks that
   dawdle now and then: inside of calls, of ends, of snapshots. Then fences wait while writers come, and snapshots are
   late in taking what they wait for. */
#include "check.h"

#include <sched.h>
#include <threads.h>

#include "library.h"

#include "stress.h"

/* The moments. One word gives them: to take one acquires and releases, so what has a smaller number did happen before,
   by the rules of the language, not only by the clock on the wall. */
static atomic_uint_fast64_t moments;

static void nap(long microseconds) {
    struct timespec t = {0, microseconds * 1000};
    (void)thrd_sleep(&t, NULL);
}

/* Hooks that now and then give all others time. */
static _Thread_local uint64_t dawdling;
static void dawdle(void *ctx, pm_val v) {
    (void)ctx;
    (void)v;
    uint64_t dice = check_rand_from(&dawdling) % 512;
    if (dice == 0) nap(800);
    else if (dice < 8) sched_yield();
}

static pm_alg take_left(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    (void)a;
    (void)b;
    (void)out;
    return PM_ALG_LEFT;
}

static const pm_ops dawdling_ops = {.name = "dawdling", .flags = PM_OPS_IDEMPOTENT, .retain = dawdle, .release = dawdle,
                                    .join = take_left, .meet = take_left};

static uint64_t moment(void) { return atomic_fetch_add_explicit(&moments, 1, memory_order_acq_rel) + 1; }

/* ---- histories of heads -------------------------------------------------------------------------------------- */

/* A writer's part: a few values, and a block of values that are written by one call and must agree. */
enum { WRITERS = 3, OBSERVERS = 3, CALLS = 40, LOOKS = 24, KEYS = 5, BULK = PM_CHECK >= 3 ? 20 : 60 };

typedef struct state {
    pm_val key[KEYS]; /* 0: none */
    pm_val bulk;      /* all BULK values of the block; 0: none of them */
} state;

#define TORN UINT64_MAX /* as `bulk`: neither all nor none */

typedef struct call {
    uint64_t from, to;
    state shown; /* what readers are to see from then on */
} call;

typedef struct look {
    uint64_t from, to;
    bool fence;
    bool at[WRITERS]; /* which parts it shows */
    bool halved;      /* a token that is moved from place to place is in two, or in none */
    state first[WRITERS], again[WRITERS];
} look;

typedef struct history {
    unsigned writers, calls[WRITERS], looks;
    call call[WRITERS][CALLS];
    look look[OBSERVERS * LOOKS];
} history;

typedef enum verdict { FINE, NO_PREFIX, LOST, EARLY, BACKWARDS, CHANGED, CROSSED, CUT, HALVED } verdict;

static const char *const verdict_names[] = {
    "fine", "not what any call has left", "a call that had returned is missing", "shown before it began",
    "a later reader shows less", "a reader has changed", "two fences in no order", "no instant of all writers",
    "a call of two writers in part"};

static bool same_state(const state *a, const state *b) { return memcmp(a, b, sizeof *a) == 0; }

/* The calls of a writer that changed what is seen, in order; number 0 is what there was before all calls. */
typedef struct versions {
    unsigned n;
    call v[CALLS + 1];
} versions;

static void find_versions(const history *h, unsigned w, versions *out) {
    memset(&out->v[0], 0, sizeof out->v[0]);
    out->n = 1;
    for (unsigned i = 0; i < h->calls[w]; i++)
        if (!same_state(&h->call[w][i].shown, &out->v[out->n - 1].shown)) out->v[out->n++] = h->call[w][i];
}

/* The number of the version that a look shows; writers make no two alike. */
static verdict find_version(const versions *of, const look *l, const state *s, unsigned *out) {
    unsigned v = 0;
    while (v < of->n && !same_state(&of->v[v].shown, s)) v++;
    if (v == of->n) return NO_PREFIX;
    if (v && of->v[v].from > l->to) return EARLY;
    if (v + 1 < of->n && of->v[v + 1].to < l->from) return LOST;
    *out = v;
    return FINE;
}

typedef struct seen {
    const look *l;
    unsigned v[WRITERS];
} seen;

/* Two looks, neither of which is over before the other begins, or in this order. */
static verdict check_pair(const seen *a, const seen *b, unsigned writers) {
    bool less = false, more = false;
    for (unsigned w = 0; w < writers; w++) {
        if (!a->l->at[w] || !b->l->at[w]) continue;
        if (a->l->to < b->l->from && a->v[w] > b->v[w]) return BACKWARDS;
        less = less || a->v[w] < b->v[w];
        more = more || a->v[w] > b->v[w];
    }
    return a->l->fence && b->l->fence && less && more ? CROSSED : FINE;
}

/* What a fence shows of one writer began after something had returned that it lacks of another. */
static verdict check_cut(const versions *of, const seen *s, unsigned writers) {
    for (unsigned a = 0; s->l->fence && a < writers; a++)
        for (unsigned b = 0; b < writers; b++) {
            if (!s->l->at[a] || !s->l->at[b] || !s->v[a] || s->v[b] + 1 >= of[b].n) continue;
            if (of[b].v[s->v[b] + 1].to < of[a].v[s->v[a]].from) return CUT;
        }
    return FINE;
}

static verdict check_history(const history *h) {
    static versions of[WRITERS];
    static seen all[OBSERVERS * LOOKS];
    verdict out = FINE;
    for (unsigned w = 0; w < h->writers; w++) find_versions(h, w, &of[w]);
    for (unsigned i = 0; i < h->looks; i++) {
        const look *l = &h->look[i];
        all[i].l = l;
        if (l->halved) return HALVED;
        for (unsigned w = 0; w < h->writers; w++) {
            if (!l->at[w]) continue;
            if (!same_state(&l->first[w], &l->again[w])) return CHANGED;
            if ((out = find_version(&of[w], l, &l->first[w], &all[i].v[w])) != FINE) return out;
        }
        if ((out = check_cut(of, &all[i], h->writers)) != FINE) return out;
    }
    for (unsigned i = 0; i < h->looks; i++)
        for (unsigned j = 0; j < h->looks; j++)
            if (i != j && (out = check_pair(&all[i], &all[j], h->writers)) != FINE) return out;
    return FINE;
}

/* ---- forged histories of heads ---- */

static state forged_state(pm_val a, pm_val b, pm_val bulk) {
    state s = {{a, b}, bulk};
    return s;
}

static void forge_call(history *h, unsigned w, uint64_t from, uint64_t to, state shown) {
    call c = {from, to, shown};
    h->call[w][h->calls[w]++] = c;
}

static look *forge_look(history *h, bool fence, uint64_t from, uint64_t to, state first, state second) {
    look *l = &h->look[h->looks++];
    look made = {from, to, fence, {true, true}, false, {first, second}, {first, second}};
    *l = made;
    return l;
}

/* Writer 0: a value, a group of two, one that is undone, a block. Writer 1: two values, beside the last of these. */
static history forged(void) {
    history h = {.writers = 2};
    forge_call(&h, 0, 10, 20, forged_state(1, 0, 0));
    forge_call(&h, 0, 30, 31, forged_state(1, 0, 0)); /* a group begins */
    forge_call(&h, 0, 32, 33, forged_state(1, 0, 0));
    forge_call(&h, 0, 34, 35, forged_state(1, 0, 0));
    forge_call(&h, 0, 40, 50, forged_state(2, 3, 0)); /* and is seen */
    forge_call(&h, 0, 60, 70, forged_state(2, 3, 0)); /* undone */
    forge_call(&h, 0, 80, 120, forged_state(2, 3, 9));
    forge_call(&h, 1, 90, 95, forged_state(5, 0, 0));
    forge_call(&h, 1, 100, 110, forged_state(6, 0, 0));
    return h;
}

#define NOTHING forged_state(0, 0, 0)
#define GROUP forged_state(2, 3, 0)
#define BLOCK forged_state(2, 3, 9)

TEST(histories_checker_accepts_what_is_sound) {
    history h = forged();
    (void)forge_look(&h, false, 1, 15, forged_state(1, 0, 0), NOTHING); /* beside the call: with it, and without */
    (void)forge_look(&h, false, 2, 16, NOTHING, NOTHING);
    (void)forge_look(&h, true, 21, 45, GROUP, NOTHING);
    (void)forge_look(&h, true, 71, 73, GROUP, NOTHING);
    (void)forge_look(&h, false, 85, 115, BLOCK, NOTHING); /* no instant of both, nor need it be one */
    (void)forge_look(&h, true, 86, 97, BLOCK, forged_state(5, 0, 0));
    (void)forge_look(&h, true, 121, 122, BLOCK, forged_state(6, 0, 0));
    CHECK_EQ(check_history(&h), FINE);
}

TEST(histories_checker_refuses_half_a_group) {
    history h = forged();
    (void)forge_look(&h, false, 36, 60, forged_state(2, 0, 0), NOTHING);
    CHECK_EQ(check_history(&h), NO_PREFIX);
}

TEST(histories_checker_refuses_what_was_rolled_back) {
    history h = forged();
    (void)forge_look(&h, false, 61, 79, forged_state(7, 3, 0), NOTHING);
    CHECK_EQ(check_history(&h), NO_PREFIX);
}

TEST(histories_checker_refuses_a_call_in_part) {
    history h = forged();
    (void)forge_look(&h, false, 85, 115, forged_state(2, 3, TORN), NOTHING);
    CHECK_EQ(check_history(&h), NO_PREFIX);
}

TEST(histories_checker_refuses_a_call_without_those_before_it) {
    history h = forged();
    (void)forge_look(&h, false, 85, 115, forged_state(1, 0, 9), NOTHING);
    CHECK_EQ(check_history(&h), NO_PREFIX);
}

TEST(histories_checker_refuses_a_lost_call) {
    history h = forged();
    (void)forge_look(&h, false, 51, 55, forged_state(1, 0, 0), NOTHING);
    CHECK_EQ(check_history(&h), LOST);
}

TEST(histories_checker_refuses_a_call_that_begins_later) {
    history h = forged();
    (void)forge_look(&h, false, 22, 39, GROUP, NOTHING);
    CHECK_EQ(check_history(&h), EARLY);
}

TEST(histories_checker_refuses_a_reader_that_goes_back) {
    history h = forged();
    (void)forge_look(&h, false, 81, 82, BLOCK, NOTHING);
    (void)forge_look(&h, false, 83, 84, GROUP, NOTHING); /* each for itself would do */
    CHECK_EQ(check_history(&h), BACKWARDS);
}

TEST(histories_checker_refuses_a_reader_that_changes) {
    history h = forged();
    look *l = forge_look(&h, false, 81, 85, GROUP, NOTHING);
    l->again[0] = BLOCK;
    CHECK_EQ(check_history(&h), CHANGED);
}

TEST(histories_checker_refuses_fences_in_no_order) {
    history h = forged();
    (void)forge_look(&h, true, 81, 119, BLOCK, NOTHING);
    (void)forge_look(&h, true, 82, 118, GROUP, forged_state(5, 0, 0));
    CHECK_EQ(check_history(&h), CROSSED);
    h.look[0].fence = h.look[1].fence = false; /* snapshots may */
    CHECK_EQ(check_history(&h), FINE);
}

TEST(histories_checker_refuses_a_fence_that_is_no_instant) {
    history h = forged();
    forge_call(&h, 1, 130, 140, forged_state(8, 0, 0));
    forge_call(&h, 0, 150, 160, forged_state(4, 3, 9));
    (void)forge_look(&h, true, 125, 155, forged_state(4, 3, 9), forged_state(6, 0, 0)); /* without what 1 did before */
    CHECK_EQ(check_history(&h), CUT);
    h.look[0].fence = false;
    CHECK_EQ(check_history(&h), FINE);
}

TEST(histories_checker_refuses_a_move_in_part) {
    history h = forged();
    forge_look(&h, false, 71, 72, GROUP, NOTHING)->halved = true;
    CHECK_EQ(check_history(&h), HALVED);
}

/* ---- recording: writers -------------------------------------------------------------------------------------- */

typedef struct stage {
    pm_head *h;
    atomic_uint ready;
    unsigned threads;
    history story;
    unsigned looks[OBSERVERS];
    look look[OBSERVERS][LOOKS];
} stage;

typedef struct actor {
    stage *s;
    unsigned number;
    uint64_t random;
} actor;

static uint64_t below(actor *a, uint64_t n) { return check_rand_from(&a->random) % n; }

/* All begin at once; on few cores, some give way now and then. */
static void meet(stage *s) {
    atomic_fetch_add(&s->ready, 1);
    while (atomic_load(&s->ready) < s->threads) sched_yield();
}

static void shuffle(actor *a) {
    if (below(a, 6) == 0) sched_yield();
}

static size_t part_path(char *to, unsigned w) { return (size_t)sprintf(to, "part/%u/", w); }
static size_t pair_path(char *to, unsigned w) { return (size_t)sprintf(to, "pair/%u/", w); }

/* A writer's thread: what it has written, what is seen of it, and whether a group is open. */
typedef struct author {
    actor *a;
    unsigned w;
    pm_wz z, pair; /* pair: a second writer, between which and the first a token is moved to and fro */
    bool moved;    /* the token is there */
    state written, shown, before;
    bool group;
    pm_val last;
    uint64_t from;
} author;

/* Notes a call that has just returned. */
static void note(author *t) {
    history *h = &t->a->s->story;
    call c = {t->from, moment(), t->shown};
    h->call[t->w][h->calls[t->w]++] = c;
}

/* Whether a state was seen before: the checker must be able to tell versions apart. */
static bool was_shown(const author *t, const state *s) {
    const history *h = &t->a->s->story;
    static const state nothing;
    for (unsigned i = 0; i < h->calls[t->w]; i++)
        if (same_state(&h->call[t->w][i].shown, s)) return true;
    return same_state(s, &nothing);
}

static void go_to(author *t, const char *key) {
    pm_rz_reset(pm_wz_cursor(&t->z));
    (void)pm_rz_move_to(pm_wz_cursor(&t->z), key, strlen(key));
}

/* A write of the second writer, and a call of both. */
static void write_to_pair(author *t, pm_val v) {
    pm_rz_reset(pm_wz_cursor(&t->pair));
    (void)pm_rz_move_to(pm_wz_cursor(&t->pair), "n", 1);
    CHECK_OK(pm_wz_set(&t->pair, v, NULL));
}

static void move_token(author *t) {
    go_to(t, "t");
    pm_rz_reset(pm_wz_cursor(&t->pair));
    (void)pm_rz_move_to(pm_wz_cursor(&t->pair), "t", 1);
    CHECK_OK(pm_wz_join_take(t->moved ? &t->z : &t->pair, t->moved ? &t->pair : &t->z, PM_KEEP, NULL));
    t->moved = !t->moved;
}

static void write_value(author *t, unsigned k, pm_val v) {
    char key[8];
    sprintf(key, "k%u", k);
    go_to(t, key);
    if (v) CHECK_OK(pm_wz_set(&t->z, v, NULL));
    else CHECK_OK(pm_wz_remove(&t->z, PM_PRUNE, NULL));
    t->written.key[k] = v;
}

/* One call for many values: by grafting a map, or by joining it to what is there. */
static void write_block(author *t, pm_val v) {
    pm_map m = pm_new(&dawdling_ops, NULL);
    for (unsigned i = 0; v && i < BULK; i++) {
        uint8_t key[2] = {'b', (uint8_t)(i * 37)};
        CHECK_OK(pm_set(&m, key, 2, v, NULL));
    }
    go_to(t, "block");
    t->from = moment();
    if (!v) CHECK_OK(pm_wz_remove_branches(&t->z, PM_PRUNE, NULL));
    else if (t->written.bulk) CHECK_OK(pm_wz_graft_map(&t->z, &m));
    else CHECK_OK(pm_wz_join_map(&t->z, &m, NULL));
    t->written.bulk = v;
    pm_drop(&m);
}

/* What a group leaves may have been seen before, if it has removed things: then one more value makes it new. */
static void renew(author *t) {
    if (t->group && was_shown(t, &t->written)) write_value(t, 0, ++t->last);
    t->from = moment();
}

static void end_group(author *t) {
    bool undo = below(t->a, 3) == 0;
    if (undo) t->written = t->before;
    else renew(t);
    CHECK_OK(undo ? pm_wz_rollback(&t->z) : pm_wz_commit(&t->z));
    t->group = false;
}

/* The writer ends, which commits, and another takes its place. */
static void open_again(author *t) {
    char path[32];
    size_t len = part_path(path, t->w);
    renew(t);
    CHECK_OK(pm_wz_drop(&t->z));
    CHECK_OK(pm_head_write(t->a->s->h, path, len, &t->z, NULL));
    t->group = false;
    if (below(t->a, 3) == 0) nap(200); /* who waits may look round, and sees that nothing has been written yet */
}

static void write_something(author *t) {
    unsigned k = (unsigned)below(t->a, KEYS), dice = (unsigned)below(t->a, 18);
    state removed = t->written;
    removed.key[k] = 0;
    if (!t->group && below(t->a, 2)) move_token(t);
    else if (below(t->a, 4) == 0) write_to_pair(t, t->last);
    t->from = moment();
    if (dice == 0 || dice > 15) open_again(t);
    else if (t->group && dice < 5) end_group(t);
    else if (!t->group && dice < 4) {
        CHECK_OK(pm_wz_begin(&t->z));
        t->before = t->written;
        t->group = true;
    } else if (dice < 9) write_block(t, ++t->last);
    else if (dice == 9 && t->written.bulk && t->group) write_block(t, 0);
    else if (dice < 12 && t->written.key[k] && (t->group || !was_shown(t, &removed))) write_value(t, k, 0);
    else write_value(t, k, ++t->last);
    if (!t->group) t->shown = t->written;
    note(t);
}

static void *write_history(void *arg) {
    actor *a = arg;
    author t = {.a = a, .w = a->number, .last = (a->number + 1) * 1000};
    char path[32];
    size_t len = part_path(path, t.w);
    dawdling = a->random;
    meet(a->s);
    CHECK_OK(pm_head_write(a->s->h, path, len, &t.z, NULL));
    len = pair_path(path, t.w);
    CHECK_OK(pm_head_write(a->s->h, path, len, &t.pair, NULL));
    while (a->s->story.calls[t.w] + 1 < CALLS && check_failed() == 0) {
        write_something(&t);
        shuffle(a);
    }
    renew(&t);
    CHECK_OK(pm_wz_drop(&t.z));
    CHECK_OK(pm_wz_drop(&t.pair));
    t.shown = t.written;
    note(&t);
    return NULL;
}

/* ---- recording: observers ---- */

/* Finds out what a reader shows, by one walk over all values: what is not as expected counts as torn. */
static void walk(const pm_rz *reader, state out[WRITERS], unsigned tokens[WRITERS]) {
    unsigned blocks[WRITERS] = {0};
    memset(tokens, 0, WRITERS * sizeof *tokens);
    pm_rz z;
    memset(out, 0, WRITERS * sizeof *out);
    CHECK_OK(pm_rz_fork(reader, &z));
    for (bool more = pm_rz_is_val(&z) || pm_rz_to_next_val(&z); more; more = pm_rz_to_next_val(&z)) {
        size_t len;
        const uint8_t *path = pm_rz_origin_path(&z, &len);
        pm_val v = *pm_rz_val(&z);
        unsigned w = len > 7 ? (unsigned)path[5] - '0' : WRITERS;
        if (w >= WRITERS) {
            CHECK(w < WRITERS); /* nobody writes elsewhere */
        } else if (len == 8) {
            tokens[w] += path[7] == 't'; /* the other one is what the second writer writes */
        } else if (path[7] == 'k' && len == 9 && path[8] < '0' + KEYS) {
            out[w].key[path[8] - '0'] = v;
        } else {
            if (blocks[w]++ == 0) out[w].bulk = v;
            if (out[w].bulk != v || len != 14) out[w].bulk = TORN;
        }
    }
    for (unsigned w = 0; w < WRITERS; w++)
        if (blocks[w] && blocks[w] != BULK) out[w].bulk = TORN;
    pm_rz_drop(&z);
}

/* Looks all the time; each reader is walked again when the next one has been made. */
static void *look_on(void *arg) {
    actor *a = arg;
    stage *s = a->s;
    pm_rz kept = {0};
    look *last = NULL;
    unsigned tokens[WRITERS];
    dawdling = a->random;
    meet(s);
    for (unsigned i = 0; i < LOOKS && check_failed() == 0; i++) {
        look *l = &s->look[a->number][i];
        unsigned w = (unsigned)below(a, 2 * WRITERS);
        char path[32] = "";
        size_t len = w < WRITERS ? part_path(path, w) : 0;
        pm_rz z;
        memset(l, 0, sizeof *l);
        l->fence = below(a, 2);
        for (unsigned k = 0; k < WRITERS; k++) l->at[k] = w >= WRITERS || k == w;
        l->from = moment();
        CHECK_OK(l->fence ? pm_head_fence(s->h, path, len, &z) : pm_head_read(s->h, path, len, &z));
        l->to = moment();
        walk(&z, l->first, tokens);
        for (unsigned k = 0; k < s->story.writers && w >= WRITERS; k++) l->halved = l->halved || tokens[k] != 1;
        shuffle(a);
        if (last) walk(&kept, last->again, tokens);
        pm_rz_drop(&kept);
        kept = z;
        last = l;
        s->looks[a->number] = i + 1;
    }
    if (last) walk(&kept, last->again, tokens);
    pm_rz_drop(&kept);
    return NULL;
}

/* One round: some threads write and some look on, from a map with but the tokens; then the history is checked. */
static uint64_t record_history(unsigned writers, unsigned observers) {
    static stage s;
    actor a[WRITERS + OBSERVERS];
    pthread_t t[WRITERS + OBSERVERS];
    pm_map m = pm_new(&dawdling_ops, NULL);
    uint64_t calls = 0;
    memset(&s, 0, sizeof s);
    for (unsigned w = 0; w < writers; w++) {
        char path[32];
        size_t len = part_path(path, w);
        path[len] = 't';
        CHECK_OK(pm_set(&m, path, len + 1, 1, NULL));
    }
    s.threads = writers + observers;
    s.story.writers = writers;
    CHECK_OK(pm_head_new(&m, &s.h));
    for (unsigned i = 0; i < s.threads; i++) {
        a[i] = (actor){&s, i < writers ? i : i - writers, check_rand()};
        CHECK_EQ(pthread_create(&t[i], NULL, i < writers ? write_history : look_on, &a[i]), 0);
    }
    for (unsigned i = 0; i < s.threads; i++) CHECK_EQ(pthread_join(t[i], NULL), 0);
    CHECK_EQ(check_failed(), 0);
    for (unsigned i = 0; i < observers; i++)
        for (unsigned k = 0; k < s.looks[i]; k++) s.story.look[s.story.looks++] = s.look[i][k];
    verdict v = check_history(&s.story);
    CHECK_NOTE(v == FINE, "%s", verdict_names[v]);
    CHECK_OK(pm_head_free(s.h, NULL, NULL));
    pm_drop(&m);
    for (unsigned w = 0; w < writers; w++) calls += s.story.calls[w];
    return calls + s.story.looks;
}

static void record_histories(unsigned writers, unsigned observers) {
    need_threads();
    uint64_t calls = 0, rounds = 0;
    double start = now();
    do {
        calls += record_history(writers, observers);
        rounds++;
    } while (now() - start < stress_seconds());
    stress_say(writers + observers, calls, now() - start);
    printf("# %s: %" PRIu64 " histories\n", check__current, rounds);
}

TEST(histories_of_one_writer_are_sound) { record_histories(1, 2); }
TEST(histories_of_several_writers_are_sound) { record_histories(3, 2); }
TEST(histories_of_many_observers_are_sound) { record_histories(2, 3); }

/* ---- histories of a shared map ------------------------------------------------------------------------------- */

/* Each version has a number; a map that is stored twice has the same one. */
enum { OPS = 12, NUMBERS = 32, USERS = 4 };

typedef enum verb { LOAD, STORE, SWAP, UPDATE } verb;

typedef struct op {
    uint64_t from, to;
    verb verb;
    unsigned saw; /* what a load or an update found, what a swap expected */
    unsigned put; /* what is stored */
    bool done;    /* whether a swap has swapped */
} op;

/* Whether an operation may be the next one; *held is the register. */
static bool op_fits(const op *o, unsigned *held) {
    bool as_seen = o->saw == *held;
    if (o->verb == LOAD) return as_seen;
    if (o->verb == UPDATE && !as_seen) return false;
    if (o->verb == SWAP && o->done != as_seen) return false;
    if (o->verb != SWAP || o->done) *held = o->put;
    return true;
}

/* The search of Wing and Gong: which ones, of all orders that keep to the times, explain every answer? What is known to
   lead nowhere, from a set of operations done and a register, is not tried again. */
typedef struct search {
    const op *ops;
    unsigned n;
    uint32_t dead[1u << OPS]; /* by the set: registers */
} search;

static bool explain(search *s, uint32_t done, unsigned held) {
    if (done == (1u << s->n) - 1) return true;
    if (s->dead[done] >> held & 1) return false;
    uint64_t first_end = UINT64_MAX;
    for (unsigned i = 0; i < s->n; i++)
        if (!(done >> i & 1) && s->ops[i].to < first_end) first_end = s->ops[i].to;
    for (unsigned i = 0; i < s->n; i++) {
        unsigned then = held;
        if (done >> i & 1 || s->ops[i].from > first_end || !op_fits(&s->ops[i], &then)) continue;
        if (explain(s, done | 1u << i, then)) return true;
    }
    s->dead[done] |= 1u << held;
    return false;
}

/* Whether a register, first 0, explains it all. */
static bool is_linearizable(const op *ops, unsigned n) {
    static search s;
    memset(&s, 0, sizeof s);
    s.ops = ops;
    s.n = n;
    return explain(&s, 0, 0);
}

TEST(histories_search_accepts_what_a_register_does) {
    op ops[] = {{1, 10, STORE, 0, 1, false}, {2, 3, LOAD, 0, 0, false},  {4, 5, LOAD, 1, 0, false},
                {11, 12, SWAP, 1, 2, true},  {13, 14, SWAP, 1, 3, false}, {13, 20, UPDATE, 2, 4, false},
                {21, 22, LOAD, 4, 0, false}};
    CHECK(is_linearizable(ops, 7));
}

TEST(histories_search_refuses_a_load_that_goes_back) {
    op ops[] = {{1, 10, STORE, 0, 1, false}, {2, 3, LOAD, 1, 0, false}, {4, 5, LOAD, 0, 0, false}};
    CHECK(!is_linearizable(ops, 3));
    ops[2].from = 2; /* side by side */
    CHECK(is_linearizable(ops, 3));
}

TEST(histories_search_refuses_a_load_of_what_is_not_there) {
    op early[] = {{1, 2, LOAD, 1, 0, false}, {3, 4, STORE, 0, 1, false}};
    op stale[] = {{1, 2, STORE, 0, 1, false}, {3, 4, LOAD, 0, 0, false}};
    CHECK(!is_linearizable(early, 2));
    CHECK(!is_linearizable(stale, 2));
}

TEST(histories_search_refuses_two_swaps_of_one_version) {
    op ops[] = {{1, 10, SWAP, 0, 1, true}, {2, 9, SWAP, 0, 2, true}};
    CHECK(!is_linearizable(ops, 2));
    ops[1].done = false;
    CHECK(is_linearizable(ops, 2));
}

TEST(histories_search_refuses_a_swap_that_fails_for_no_reason) {
    op ops[] = {{1, 2, STORE, 0, 1, false}, {3, 4, SWAP, 1, 2, false}};
    CHECK(!is_linearizable(ops, 2));
}

TEST(histories_search_refuses_a_lost_update) {
    op ops[] = {{1, 10, UPDATE, 0, 1, false}, {2, 9, UPDATE, 0, 2, false}};
    CHECK(!is_linearizable(ops, 2));
    ops[1].saw = 1;
    CHECK(is_linearizable(ops, 2));
}

TEST(histories_search_refuses_stores_seen_in_two_orders) {
    op ops[] = {{1, 2, STORE, 0, 1, false}, {1, 2, STORE, 0, 2, false}, {3, 4, LOAD, 1, 0, false},
                {5, 6, LOAD, 2, 0, false}};
    CHECK(!is_linearizable(ops, 4));
    ops[3].saw = 1;
    CHECK(is_linearizable(ops, 4));
}

/* ---- recording ---- */

typedef struct arena {
    pm_shared *s;
    atomic_uint ready;
    unsigned threads, each; /* operations of each thread */
    bool grow;              /* only loads and updates: versions grow */
    op ops[OPS];
} arena;

typedef struct user {
    arena *a;
    unsigned number;
    uint64_t random;
    op *now;
    pm_map had; /* what it has loaded last */
} user;

static unsigned number_of(const pm_map *m) {
    const pm_val *v = pm_get(m, "number", 6), *w = pm_get(m, "again", 5);
    CHECK(v && w && *v == *w);
    return v ? (unsigned)*v : NUMBERS - 1;
}

static pm_status set_number(pm_map *m, unsigned n) {
    pm_status st = pm_set(m, "number", 6, n, NULL);
    return st == PM_OK ? pm_set(m, "again", 5, n, NULL) : st;
}

static pm_map numbered(unsigned n) {
    pm_map m = pm_new(NULL, NULL);
    CHECK_OK(set_number(&m, n));
    return m;
}

static pm_status next_version(void *ctx, pm_map *m) {
    user *u = ctx;
    u->now->saw = number_of(m);
    return set_number(m, u->a->grow ? u->now->put = u->now->saw + 1 : u->now->put);
}

static void load_version(user *u) {
    pm_map m = pm_shared_load(u->a->s);
    u->now->to = moment();
    u->now->saw = number_of(&m);
    pm_drop(&u->had);
    u->had = m;
}

static void put_version(user *u, uint64_t dice) {
    op *o = u->now;
    /* Now and then, a version that was there before comes back. */
    pm_map m = dice % 5 == 0 ? pm_clone(&u->had) : numbered(o->put);
    o->put = number_of(&m);
    o->saw = number_of(&u->had);
    o->from = moment();
    if (o->verb == STORE) CHECK_OK(pm_shared_store(u->a->s, &m));
    else CHECK_OK(pm_shared_compare_and_swap(u->a->s, &u->had, &m, &o->done));
    o->to = moment();
    pm_drop(&m);
}

static void *use_shared(void *arg) {
    user *u = arg;
    arena *a = u->a;
    u->had = pm_shared_load(a->s);
    atomic_fetch_add(&a->ready, 1);
    while (atomic_load(&a->ready) < a->threads) sched_yield();
    for (unsigned i = 0; i < a->each; i++) {
        uint64_t dice = check_rand_from(&u->random);
        unsigned place = u->number * a->each + i;
        op *o = u->now = &a->ops[place];
        o->verb = (verb)(dice >> 8 & 3);
        if (a->grow && (o->verb == STORE || o->verb == SWAP)) o->verb = LOAD;
        o->put = place + 1;
        o->from = moment();
        if (o->verb == LOAD) load_version(u);
        else if (o->verb == UPDATE) CHECK_OK(pm_shared_update(a->s, next_version, u));
        else put_version(u, dice >> 16);
        if (o->verb == UPDATE) o->to = moment();
        if (dice >> 60 == 0) sched_yield();
    }
    pm_drop(&u->had);
    return NULL;
}

/* Versions that only grow: whatever was found after something else had been found is no older. */
static bool grows(const op *ops, unsigned n) {
    for (unsigned i = 0; i < n; i++)
        for (unsigned j = 0; j < n; j++)
            if (ops[i].to < ops[j].from && ops[i].saw > ops[j].saw) return false;
    return true;
}

static void record_operations(unsigned threads, bool grow) {
    static arena a;
    user u[USERS];
    pthread_t t[USERS];
    pm_map m = numbered(0);
    memset(&a, 0, sizeof a);
    a.threads = threads;
    a.each = OPS / threads;
    a.grow = grow;
    CHECK_OK(pm_shared_new(&m, &a.s));
    pm_drop(&m);
    for (unsigned i = 0; i < threads; i++) {
        u[i] = (user){.a = &a, .number = i, .random = check_rand()};
        CHECK_EQ(pthread_create(&t[i], NULL, use_shared, &u[i]), 0);
    }
    for (unsigned i = 0; i < threads; i++) CHECK_EQ(pthread_join(t[i], NULL), 0);
    pm_shared_free(a.s);
    CHECK_EQ(check_failed(), 0);
    CHECK(is_linearizable(a.ops, threads * a.each));
    if (grow) CHECK(grows(a.ops, threads * a.each));
}

static void record_shared(unsigned threads, bool grow) {
    need_threads();
    uint64_t rounds = 0;
    double start = now();
    do {
        record_operations(threads, grow);
        rounds++;
    } while (now() - start < stress_seconds());
    stress_say(threads, rounds * (OPS / threads * threads), now() - start);
    printf("# %s: %" PRIu64 " histories\n", check__current, rounds);
}

TEST(histories_of_a_shared_map_by_three_threads_are_linearizable) { record_shared(3, false); }
TEST(histories_of_a_shared_map_by_four_threads_are_linearizable) { record_shared(4, false); }
TEST(histories_of_a_shared_map_that_is_updated_only_grow) { record_shared(4, true); }

TEST(histories_nothing_is_left) {
    pm_pool_stats stats;
    pm_pool_get_stats(NULL, &stats);
    CHECK_EQ(stats.nodes, 0);
}
