/* Heads: the rows of the table in 52_zipper_head.h, the rules of what readers see, each by a test of its name; lack of
   memory at every allocation; zippers handed between threads. Long runs with many threads are in test_threads.c. */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>

static _Thread_local uint64_t rmw_count;

#ifndef PM_POOL
#define PM_POOL 0 /* every node an allocation of its own: each can be made to fail */
#endif
#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#define PM_ON_ATOMIC_RMW() (rmw_count++)
#include "../pathmap.h"

#include "counted.h"

/* ---- writing things down ---- */

static void put(pm_map *m, const char *key, pm_val v) { CHECK_OK(pm_set(m, key, strlen(key), v, NULL)); }

/* "key=value,key!": the values and dangling leaves at and below the root of a reader, by their absolute paths. */
static const char *seen(const pm_rz *reader) {
    static _Thread_local char text[4][1024];
    static _Thread_local unsigned turn;
    char *at = text[turn = (turn + 1) % 4], *start = at;
    pm_rz z;
    *at = 0;
    CHECK_OK(pm_rz_fork(reader, &z));
    for (bool more = pm_rz_exists(&z); more; more = pm_rz_to_next_step(&z)) {
        size_t len;
        const uint8_t *path = pm_rz_origin_path(&z, &len);
        const pm_val *v = pm_rz_val(&z);
        if (!v && (!len || pm_rz_child_count(&z))) continue;
        at += sprintf(at, "%s%.*s", at == start ? "" : ",", (int)len, (const char *)path);
        at += v ? sprintf(at, "=%d", (int)*v) : sprintf(at, "!");
    }
    pm_rz_drop(&z);
    return start;
}

static const char *listed(const pm_map *m) {
    pm_rz z;
    CHECK_OK(pm_rz_open(&z, m, NULL, 0));
    const char *text = seen(&z);
    pm_rz_drop(&z);
    return text;
}

/* What a snapshot at a path shows. */
static const char *shown(pm_head *h, const char *path) {
    pm_rz z;
    CHECK_OK(pm_head_read(h, path, strlen(path), &z));
    const char *text = seen(&z);
    pm_rz_drop(&z);
    return text;
}

static void open_writer(pm_head *h, const char *path, pm_wz *w) {
    CHECK_OK(pm_head_write(h, path, strlen(path), w, NULL));
}

static void write_at(pm_wz *w, const char *below, pm_val v) {
    (void)pm_rz_move_to(pm_wz_cursor(w), below, strlen(below));
    CHECK_OK(pm_wz_set(w, v, NULL));
}

static pm_map letters(void) {
    pm_map m = pm_new(NULL, NULL);
    put(&m, "", 0);
    put(&m, "ab", 1);
    put(&m, "abc", 2);
    put(&m, "abd", 3);
    put(&m, "x", 4);
    return m;
}

#define LETTERS "=0,ab=1,abc=2,abd=3,x=4"

static pm_head *head_over(pm_map *m) {
    pm_head *h = NULL;
    CHECK_OK(pm_head_new(m, &h));
    return h;
}

/* Ends a head whose map must then be as said. */
static void close_head(pm_head *h, pm_map *m, const char *content) {
    const char *why = "";
    CHECK_OK(pm_head_close(h, NULL, NULL));
    CHECK_STR_EQ(listed(m), content);
    CHECK_NOTE(pm_check(m, &why) == PM_OK, "%s", why);
    pm_drop(m);
    CHECK_EQ(check_live_blocks(), 0);
}

/* At the start of a test with a second thread. */
static void need_threads(void) {
    if (PM_NO_THREADS) SKIP("PM_NO_THREADS: one thread only");
}

static void *run_thread(void *(*fn)(void *), void *arg) {
    pthread_t t;
    void *out = NULL;
    CHECK_EQ(pthread_create(&t, NULL, fn, arg), 0);
    CHECK_EQ(pthread_join(t, &out), 0);
    return out;
}

/* ---- the table, row by row ---- */

static const char *const paths[] = {"", "a", "ab", "abc", "abcd", "abd", "b", "ba"};
enum { PATHS = sizeof paths / sizeof *paths };

static bool overlap(const char *p, const char *q) {
    size_t a = strlen(p), b = strlen(q);
    return memcmp(p, q, a < b ? a : b) == 0;
}

TEST(head_writer_beside_writer_conflicts_if_paths_overlap) {
    for (size_t i = 0; i < PATHS; i++)
        for (size_t j = 0; j < PATHS; j++) {
            pm_map m = letters();
            pm_head *h = head_over(&m);
            pm_wz w, v;
            open_writer(h, paths[i], &w);
            pm_status s = pm_head_write(h, paths[j], strlen(paths[j]), &v, NULL);
            CHECK_EQ(s, overlap(paths[i], paths[j]) ? PM_CONFLICT : PM_OK);
            CHECK_OK(pm_wz_close(&v)); /* also after a refusal */
            CHECK_OK(pm_wz_close(&w));
            open_writer(h, paths[j], &v); /* a claim goes with its zipper */
            CHECK_OK(pm_wz_close(&v));
            close_head(h, &m, LETTERS);
        }
}

TEST(head_writer_beside_pinned_reader_conflicts_if_paths_overlap) {
    for (size_t i = 0; i < PATHS; i++)
        for (size_t j = 0; j < PATHS; j++) {
            pm_map m = letters();
            pm_head *h = head_over(&m);
            pm_rz z;
            pm_wz v;
            CHECK_OK(pm_head_pin(h, paths[i], strlen(paths[i]), &z, NULL));
            pm_status s = pm_head_write(h, paths[j], strlen(paths[j]), &v, NULL);
            CHECK_EQ(s, overlap(paths[i], paths[j]) ? PM_CONFLICT : PM_OK);
            CHECK_OK(pm_wz_close(&v));
            pm_rz_drop(&z);
            open_writer(h, paths[j], &v);
            CHECK_OK(pm_wz_close(&v));
            close_head(h, &m, LETTERS);
        }
}

TEST(head_writer_beside_snapshots_is_granted) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_rz z[PATHS];
    for (size_t i = 0; i < PATHS; i++) CHECK_OK(pm_head_read(h, paths[i], strlen(paths[i]), &z[i]));
    for (size_t i = 0; i < PATHS; i++) {
        pm_wz w;
        open_writer(h, paths[i], &w);
        CHECK_OK(pm_wz_close(&w));
    }
    for (size_t i = 0; i < PATHS; i++) pm_rz_drop(&z[i]);
    close_head(h, &m, LETTERS);
}

TEST(head_snapshot_is_always_granted) {
    for (size_t i = 0; i < PATHS; i++) {
        pm_map m = letters();
        pm_head *h = head_over(&m);
        pm_wz w;
        pm_rz p, z;
        open_writer(h, paths[i], &w);
        bool pinned = pm_head_pin(h, "x", 1, &p, NULL) == PM_OK;
        CHECK_EQ(pinned, *paths[i] != 0);
        for (size_t j = 0; j < PATHS; j++) {
            CHECK_OK(pm_head_read(h, paths[j], strlen(paths[j]), &z));
            pm_rz_drop(&z);
            CHECK_OK(pm_head_fence(h, paths[j], strlen(paths[j]), &z));
            pm_rz_drop(&z);
        }
        pm_rz_drop(&p);
        CHECK_OK(pm_wz_close(&w));
        close_head(h, &m, LETTERS);
    }
}

TEST(head_pinned_reader_beside_writer_conflicts_if_paths_overlap) {
    for (size_t i = 0; i < PATHS; i++)
        for (size_t j = 0; j < PATHS; j++) {
            pm_map m = letters();
            pm_head *h = head_over(&m);
            pm_wz w;
            pm_rz z;
            open_writer(h, paths[i], &w);
            pm_status s = pm_head_pin(h, paths[j], strlen(paths[j]), &z, NULL);
            CHECK_EQ(s, overlap(paths[i], paths[j]) ? PM_CONFLICT : PM_OK);
            pm_rz_drop(&z); /* also after a refusal */
            CHECK_OK(pm_wz_close(&w));
            close_head(h, &m, LETTERS);
        }
}

TEST(head_pinned_reader_beside_readers_is_granted) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_rz snap, pin[3];
    pm_wz w;
    CHECK_OK(pm_head_read(h, "a", 1, &snap));
    CHECK_OK(pm_head_pin(h, "ab", 2, &pin[0], NULL));
    CHECK_OK(pm_head_pin(h, "ab", 2, &pin[1], NULL));
    CHECK_OK(pm_head_pin(h, "", 0, &pin[2], NULL));
    CHECK_STR_EQ(seen(&pin[1]), "ab=1,abc=2,abd=3");
    pm_rz_drop(&pin[2]);
    pm_rz_drop(&pin[0]);
    CHECK_EQ(pm_head_write(h, "abc", 3, &w, NULL), PM_CONFLICT); /* the other at the same path is still there */
    pm_rz_drop(&pin[1]);
    open_writer(h, "abc", &w);
    CHECK_OK(pm_wz_close(&w));
    pm_rz_drop(&snap);
    close_head(h, &m, LETTERS);
}

TEST(head_is_busy_while_any_zipper_is_out) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w;
    pm_rz pin, snap, fork;
    uint64_t busy = 77;
    CHECK(pm_is_empty(&m));
    open_writer(h, "ab", &w);
    CHECK_OK(pm_head_pin(h, "x", 1, &pin, NULL));
    CHECK_OK(pm_head_read(h, "", 0, &snap));
    CHECK_OK(pm_rz_fork(&snap, &fork)); /* not counted, and may outlive the head */
    CHECK_EQ(pm_head_close(h, NULL, &busy), PM_BUSY);
    CHECK_EQ(busy, 3);
    write_at(&w, "z", 9); /* the head stays usable */
    CHECK_STR_EQ(shown(h, "ab"), "ab=1,abc=2,abd=3,abz=9");
    CHECK_OK(pm_wz_close(&w));
    CHECK_EQ(pm_head_close(h, NULL, &busy), PM_BUSY);
    CHECK_EQ(busy, 2);
    pm_rz_drop(&pin);
    pm_rz_drop(&pin); /* twice is once */
    CHECK_EQ(pm_head_close(h, NULL, &busy), PM_BUSY);
    CHECK_EQ(busy, 1);
    pm_rz_drop(&snap);
    CHECK_OK(pm_head_close(h, NULL, &busy));
    CHECK_STR_EQ(seen(&fork), LETTERS);
    pm_rz_drop(&fork);
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,abz=9,x=4");
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

/* ---- reports ---- */

TEST(head_conflict_reports_every_claim_in_the_way) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w[3], other;
    pm_rz p[3], refused;
    pm_conflict why;
    open_writer(h, "abc", &w[0]);
    open_writer(h, "abe", &w[1]);
    open_writer(h, "b", &w[2]);
    CHECK_OK(pm_head_pin(h, "abd", 3, &p[0], NULL));
    CHECK_OK(pm_head_pin(h, "abd", 3, &p[1], NULL));
    CHECK_OK(pm_head_pin(h, "aa", 2, &p[2], NULL));
    CHECK_EQ(pm_head_write(h, "ab", 2, &other, &why), PM_CONFLICT);
    CHECK_MEM_EQ(why.path, why.len, "ab", 2);
    CHECK_EQ(why.kind, PM_CLAIM_WRITER);
    CHECK_EQ(why.n, 3);
    CHECK_MEM_EQ(why.claims[0].path, why.claims[0].len, "abc", 3);
    CHECK_EQ(why.claims[0].kind, PM_CLAIM_WRITER);
    CHECK_MEM_EQ(why.claims[1].path, why.claims[1].len, "abd", 3);
    CHECK_EQ(why.claims[1].kind, PM_CLAIM_PINNED);
    CHECK_MEM_EQ(why.claims[2].path, why.claims[2].len, "abe", 3);
    pm_conflict_free(&why);
    pm_conflict_free(&why);
    CHECK_EQ(pm_head_pin(h, "ab", 2, &refused, &why), PM_CONFLICT); /* pinned readers are not in its way */
    CHECK_EQ(why.n, 2);
    CHECK_EQ(why.kind, PM_CLAIM_PINNED);
    pm_conflict_free(&why);
    CHECK_EQ(pm_head_write(h, "bcdef", 5, &other, &why), PM_CONFLICT); /* the one above */
    CHECK_EQ(why.n, 1);
    CHECK_MEM_EQ(why.claims[0].path, why.claims[0].len, "b", 1);
    pm_conflict_free(&why);
    /* without memory there is no report, but the answer stands; without a report no memory */
    check_fail_allocs_from(1);
    CHECK_EQ(pm_head_write(h, "ab", 2, &other, &why), PM_CONFLICT);
    CHECK_PTR_EQ(why.claims, NULL);
    uint64_t before = check_allocs();
    CHECK_EQ(pm_head_write(h, "ab", 2, &other, NULL), PM_CONFLICT);
    CHECK_EQ(check_allocs(), before);
    check_fail_alloc(0);
    for (int i = 0; i < 3; i++) {
        pm_rz_drop(&p[i]);
        CHECK_OK(pm_wz_close(&w[i]));
    }
    CHECK_OK(pm_head_write(h, "", 0, &other, &why));
    CHECK_EQ(why.n, 0);
    CHECK_OK(pm_wz_close(&other));
    close_head(h, &m, LETTERS);
}

TEST(head_claims_in_the_thousands_are_told_apart) {
    enum { N = PM_CHECK >= 3 ? 300 : 10000 }; /* whole-trie checks after each claim would take too long */
    static pm_wz w[N];
    pm_map m = pm_new(NULL, NULL);
    pm_head *h = head_over(&m);
    pm_wz other;
    pm_conflict why;
    for (unsigned i = 0; i < N; i++) {
        uint8_t key[4] = {'k', (uint8_t)(i >> 8), (uint8_t)i, 'e'};
        CHECK_OK(pm_head_write(h, key, 4, &w[i], NULL));
    }
    for (unsigned i = 0; i < N; i += N / 100 + 1) {
        uint8_t key[5] = {'k', (uint8_t)(i >> 8), (uint8_t)i, 'e', 'x'};
        CHECK_EQ(pm_head_write(h, key, 5, &other, NULL), PM_CONFLICT);
        CHECK_EQ(pm_head_write(h, key, 3, &other, &why), PM_CONFLICT);
        CHECK_EQ(why.n, 1);
        pm_conflict_free(&why);
        key[3] = 'f';
        CHECK_OK(pm_head_write(h, key, 5, &other, NULL));
        CHECK_OK(pm_wz_close(&other));
    }
    CHECK_EQ(pm_head_write(h, "k", 1, &other, &why), PM_CONFLICT);
    CHECK_EQ(why.n, N);
    pm_conflict_free(&why);
    for (unsigned i = 0; i < N; i++) CHECK_OK(pm_wz_close(&w[i]));
    close_head(h, &m, "");
}

#if PM_CHECK >= 1
static void accuse(bool writer) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w, v;
    pm_rz z;
    open_writer(h, "ab", &w);
    fclose(stderr);
    signal(SIGABRT, SIG_DFL);
    pm_status s = writer ? pm_head_write_unchecked(h, "abc", 3, &v) : pm_head_pin_unchecked(h, "a", 1, &z);
    _exit(s == PM_OK ? 0 : 1);
}
#endif

TEST(head_unchecked_claims_skip_the_check_and_checked_builds_abort) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w, v, other;
    pm_rz z;
    CHECK_OK(pm_head_write_unchecked(h, "ab", 2, &w));
    CHECK_OK(pm_head_write_unchecked(h, "b", 1, &v));
    CHECK_OK(pm_head_pin_unchecked(h, "x", 1, &z));
    CHECK_EQ(pm_head_write(h, "x", 1, &other, NULL), PM_CONFLICT); /* these claims are registered like others */
    CHECK_EQ(pm_head_write(h, "abc", 3, &other, NULL), PM_CONFLICT);
    pm_rz_drop(&z);
    CHECK_OK(pm_wz_close(&v));
#if PM_CHECK >= 1
    for (int writer = 0; writer < 2; writer++) {
        int status = 0;
        pid_t child = fork();
        if (child == 0) accuse(writer);
        CHECK_EQ(waitpid(child, &status, 0), child);
        CHECK(WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT);
    }
#else
    CHECK_OK(pm_head_write_unchecked(h, "ab", 2, &v)); /* the caller's lie loses writes, and nothing else */
    CHECK_OK(pm_head_write_unchecked(h, "abc", 3, &other));
    CHECK_OK(pm_head_read(h, "", 0, &z));
    pm_rz_drop(&z);
    CHECK_OK(pm_wz_close(&v));
    CHECK_EQ(pm_head_write(h, "ab", 2, &v, NULL), PM_CONFLICT);
    CHECK_OK(pm_wz_close(&other));
#endif
    CHECK_OK(pm_wz_close(&w));
    CHECK_OK(pm_head_close(h, NULL, NULL));
    CHECK_OK(pm_check(&m, NULL));
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

/* ---- what zippers leave behind, and where they may go ---- */

TEST(head_writer_that_wrote_nothing_leaves_nothing) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w;
    open_writer(h, "q/r/s", &w);
    CHECK(!pm_rz_exists(pm_wz_cursor(&w)));
    CHECK_STR_EQ(shown(h, "q"), "");
    CHECK_OK(pm_wz_close(&w));
    open_writer(h, "abc", &w);
    CHECK_OK(pm_wz_close(&w));
    close_head(h, &m, LETTERS);
}

TEST(head_writer_changes_nothing_above_its_root) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w;
    size_t gone = 0;
    open_writer(h, "q/r", &w);
    write_at(&w, "s/t", 5);
    CHECK_STR_EQ(shown(h, ""), "=0,ab=1,abc=2,abd=3,q/rs/t=5,x=4");
    CHECK_OK(pm_wz_remove(&w, true, NULL));
    CHECK_STR_EQ(shown(h, ""), "=0,ab=1,abc=2,abd=3,q/r!,x=4");
    pm_rz_reset(pm_wz_cursor(&w));
    CHECK_OK(pm_wz_prune_path(&w, &gone));
    CHECK_EQ(gone, 0);
    CHECK_OK(pm_wz_close(&w));
    close_head(h, &m, "=0,ab=1,abc=2,abd=3,q/r!,x=4");
}

TEST(head_writer_at_the_empty_path_has_it_all) {
    pm_map m = letters();
    pm_head *h = NULL;
    pm_wz w;
    CHECK_OK(pm_head_new_move(&m, &h));
    open_writer(h, "", &w);
    pm_opt old;
    CHECK_OK(pm_wz_set(&w, 10, &old));
    CHECK(old.some && old.val == 0);
    write_at(&w, "ab", 11);
    CHECK_STR_EQ(shown(h, ""), "=10,ab=11,abc=2,abd=3,x=4");
    CHECK_STR_EQ(shown(h, "ab"), "ab=11,abc=2,abd=3");
    CHECK_OK(pm_wz_close(&w));
    CHECK_STR_EQ(shown(h, "ab"), "ab=11,abc=2,abd=3");
    CHECK(pm_is_empty(&m));
    CHECK_OK(pm_head_close(h, &m, NULL));
    CHECK_STR_EQ(listed(&m), "=10,ab=11,abc=2,abd=3,x=4");
    CHECK_OK(pm_head_new_move(&m, &h));
    CHECK_OK(pm_head_close(h, NULL, NULL)); /* drops what it owns */
    CHECK_EQ(check_live_blocks(), 0);
    h = head_over(&m);
    pm_map out;
    CHECK_EQ(pm_head_close(h, &out, NULL), PM_INVALID); /* it does not own the map */
    close_head(h, &m, "");
    CHECK_OK(pm_head_close(NULL, NULL, NULL));
}

static void *drop_elsewhere(void *arg) {
    pm_rz_drop(arg);
    return NULL;
}

static void *close_elsewhere(void *arg) {
    write_at(arg, "new", 8);
    CHECK_OK(pm_wz_close(arg));
    return NULL;
}

TEST(head_zippers_may_be_handed_to_and_dropped_by_any_thread) {
    need_threads();
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w, moved;
    pm_rz snap, pin;
    open_writer(h, "ab", &w);
    write_at(&w, "abc", 7);
    moved = w; /* a writer may be moved */
    CHECK_OK(pm_head_read(h, "", 0, &snap));
    CHECK_OK(pm_head_pin(h, "x", 1, &pin, NULL));
    run_thread(close_elsewhere, &moved);
    run_thread(drop_elsewhere, &snap);
    run_thread(drop_elsewhere, &pin);
    close_head(h, &m, "=0,ab=1,ababc=7,abc=2,abd=3,abnew=8,x=4");
}

TEST(head_writer_into_reader_keeps_its_place) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w, v;
    pm_rz z, fork;
    open_writer(h, "ab", &w);
    write_at(&w, "c", 20);
    CHECK_OK(pm_wz_into_reader(&w, &z));
    CHECK_OK(pm_wz_close(&w)); /* it has gone */
    CHECK_EQ(pm_head_write(h, "abd", 3, &v, NULL), PM_CONFLICT);
    CHECK_OK(pm_head_pin(h, "ab", 2, &fork, NULL)); /* it is a pinned reader now */
    pm_rz_drop(&fork);
    CHECK_EQ(*pm_rz_val(&z), 20);
    pm_rz_reset(&z);
    CHECK_STR_EQ(seen(&z), "ab=1,abc=20,abd=3");
    CHECK_OK(pm_rz_fork(&z, &fork));
    pm_rz_drop(&z);
    open_writer(h, "abd", &v);
    write_at(&v, "", 30);
    CHECK_STR_EQ(seen(&fork), "ab=1,abc=20,abd=3");
    CHECK_OK(pm_wz_close(&v));
    CHECK_STR_EQ(seen(&fork), "ab=1,abc=20,abd=3");
    pm_rz_drop(&fork);
    close_head(h, &m, "=0,ab=1,abc=20,abd=30,x=4");
}

TEST(head_over_a_writers_focus_stays_below_it) {
    pm_map m = letters();
    pm_wz host, w, v;
    pm_head *h = NULL;
    pm_rz z;
    size_t len;
    CHECK_OK(pm_wz_open(&host, &m, "a", 1));
    pm_rz_descend_to(pm_wz_cursor(&host), "b", 1);
    CHECK_OK(pm_head_new_at(&host, &h));
    open_writer(h, "c", &w);
    pm_conflict why;
    CHECK_EQ(pm_head_write(h, "", 0, &v, &why), PM_CONFLICT); /* paths are relative to the focus */
    CHECK_EQ(why.n, 1);
    CHECK_MEM_EQ(why.claims[0].path, why.claims[0].len, "c", 1);
    pm_conflict_free(&why);
    CHECK_MEM_EQ(pm_rz_root_prefix(pm_wz_cursor(&w), &len), 3, "abc", 3);
    write_at(&w, "x", 5);
    CHECK_OK(pm_head_read(h, "", 0, &z));
    CHECK_STR_EQ(seen(&z), "ab=1,abc=2,abcx=5,abd=3");
    CHECK(!pm_rz_ascend(&z, 1));
    pm_rz_drop(&z);
    open_writer(h, "new/", &v);
    write_at(&v, "y", 6);
    CHECK_OK(pm_wz_close(&v));
    CHECK_OK(pm_wz_close(&w));
    CHECK_OK(pm_head_close(h, NULL, NULL));
    CHECK_EQ(*pm_rz_val_at(pm_wz_cursor(&host), "cx", 2), 5); /* the writer goes on */
    CHECK_OK(pm_wz_set(&host, 12, NULL));
    CHECK_OK(pm_wz_close(&host));
    CHECK_STR_EQ(listed(&m), "=0,ab=12,abc=2,abcx=5,abd=3,abnew/y=6,x=4");
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(head_over_a_heads_writer_shows_all_at_its_end) {
    pm_map m = letters();
    pm_head *outer = head_over(&m), *inner = NULL;
    pm_wz host, w;
    open_writer(outer, "ab", &host);
    write_at(&host, "n", 5);
    pm_rz_reset(pm_wz_cursor(&host));
    CHECK_OK(pm_head_new_at(&host, &inner));
    open_writer(inner, "c", &w);
    write_at(&w, "", 6);
    CHECK_STR_EQ(shown(inner, ""), "ab=1,abc=6,abd=3,abn=5");
    CHECK_STR_EQ(shown(outer, "a"), "ab=1,abc=2,abd=3,abn=5");
    CHECK_OK(pm_wz_close(&w));
    CHECK_STR_EQ(shown(outer, "a"), "ab=1,abc=2,abd=3,abn=5");
    CHECK_OK(pm_head_close(inner, NULL, NULL));
    CHECK_STR_EQ(shown(outer, "a"), "ab=1,abc=6,abd=3,abn=5");
    CHECK_OK(pm_wz_begin(&host)); /* in a group of its own, that one goes on */
    CHECK_OK(pm_head_new_at(&host, &inner));
    open_writer(inner, "c", &w);
    write_at(&w, "", 7);
    CHECK_OK(pm_wz_close(&w));
    CHECK_OK(pm_head_close(inner, NULL, NULL));
    CHECK_STR_EQ(shown(outer, "abc"), "abc=6");
    CHECK_OK(pm_wz_commit(&host));
    CHECK_STR_EQ(shown(outer, "abc"), "abc=7");
    CHECK_OK(pm_wz_close(&host));
    close_head(outer, &m, "=0,ab=1,abc=7,abd=3,abn=5,x=4");
}

/* ---- what readers see ---- */

TEST(head_reader_sees_calls_that_had_returned) {
    pm_map m = letters(), src = letters();
    pm_head *h = head_over(&m);
    pm_wz w, v;
    pm_map taken;
    open_writer(h, "ab", &w);
    open_writer(h, "q", &v);
    CHECK_STR_EQ(shown(h, ""), LETTERS);
    write_at(&w, "c", 5);
    CHECK_STR_EQ(shown(h, "abc"), "abc=5");
    CHECK_OK(pm_wz_remove(&w, true, NULL));
    CHECK_STR_EQ(shown(h, ""), "=0,ab=1,abd=3,x=4");
    CHECK_OK(pm_wz_graft_map(&v, &src));
    CHECK_STR_EQ(shown(h, ""), "=0,ab=1,abd=3,q=0,qab=1,qabc=2,qabd=3,qx=4,x=4");
    CHECK_STR_EQ(shown(h, "qab"), "qab=1,qabc=2,qabd=3");
    pm_rz_reset(pm_wz_cursor(&w));
    CHECK_OK(pm_wz_take(&w, false, &taken, NULL));
    CHECK_STR_EQ(shown(h, "a"), "ab!");
    CHECK_OK(pm_wz_join_map(&w, &taken, NULL));
    CHECK_STR_EQ(shown(h, "a"), "ab=1,abd=3");
    CHECK_OK(pm_wz_join_take(&v, &w, false, NULL)); /* the left keeps its value */
    CHECK_STR_EQ(shown(h, ""), "=0,ab!,q=0,qab=1,qabc=2,qabd=3,qd=3,qx=4,x=4");
    pm_drop(&taken);
    pm_drop(&src);
    CHECK_OK(pm_wz_close(&w));
    CHECK_OK(pm_wz_close(&v));
    close_head(h, &m, "=0,ab!,q=0,qab=1,qabc=2,qabd=3,qd=3,qx=4,x=4");
}

TEST(head_reader_never_sees_a_later_change) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w;
    pm_rz old[4];
    const char *at[4] = {"", "ab", "abc", "x"};
    open_writer(h, "ab", &w);
    for (int i = 0; i < 4; i++) CHECK_OK(pm_head_read(h, at[i], strlen(at[i]), &old[i]));
    for (pm_val i = 0; i < 100; i++) {
        char key[8];
        sprintf(key, "%d", (int)i);
        write_at(&w, key, i);
    }
    write_at(&w, "", 9);
    write_at(&w, "c", 9);
    CHECK_OK(pm_wz_close(&w));
    CHECK_STR_EQ(seen(&old[0]), LETTERS);
    CHECK_STR_EQ(seen(&old[1]), "ab=1,abc=2,abd=3");
    CHECK_STR_EQ(seen(&old[2]), "abc=2");
    CHECK_STR_EQ(seen(&old[3]), "x=4");
    for (int i = 0; i < 4; i++) pm_rz_drop(&old[i]);
    CHECK_OK(pm_head_close(h, NULL, NULL));
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(head_group_becomes_visible_at_once) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w;
    open_writer(h, "ab", &w);
    CHECK_EQ(pm_wz_commit(&w), PM_INVALID);
    CHECK_EQ(pm_wz_rollback(&w), PM_INVALID);
    CHECK_OK(pm_wz_begin(&w));
    CHECK_EQ(pm_wz_begin(&w), PM_INVALID);
    write_at(&w, "c", 10);
    write_at(&w, "n", 11);
    CHECK_STR_EQ(shown(h, "a"), "ab=1,abc=2,abd=3");
    CHECK_OK(pm_wz_commit(&w));
    CHECK_STR_EQ(shown(h, "a"), "ab=1,abc=10,abd=3,abn=11");
    CHECK_OK(pm_wz_begin(&w));
    write_at(&w, "n", 12);
    CHECK_OK(pm_wz_close(&w)); /* to end is to commit */
    close_head(h, &m, "=0,ab=1,abc=10,abd=3,abn=12,x=4");
}

TEST(head_group_rollback_undoes_what_was_done) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w;
    open_writer(h, "q", &w);
    CHECK_OK(pm_wz_begin(&w));
    write_at(&w, "c", 10);
    CHECK_OK(pm_wz_rollback(&w));
    CHECK(!pm_rz_exists(pm_wz_cursor(&w)));
    CHECK_STR_EQ(shown(h, ""), LETTERS);
    write_at(&w, "d", 11);
    CHECK_STR_EQ(shown(h, "q"), "qd=11");
    CHECK_OK(pm_wz_begin(&w));
    CHECK_OK(pm_wz_remove_branches(&w, false, NULL));
    CHECK_OK(pm_wz_rollback(&w));
    CHECK_OK(pm_wz_close(&w));
    close_head(h, &m, "=0,ab=1,abc=2,abd=3,qd=11,x=4");
    m = letters(); /* and with a writer that no head gave out */
    CHECK_OK(pm_wz_open(&w, &m, "ab", 2));
    CHECK_OK(pm_wz_begin(&w));
    write_at(&w, "e", 1);
    CHECK_OK(pm_wz_rollback(&w));
    CHECK_OK(pm_wz_begin(&w));
    write_at(&w, "f", 2);
    CHECK_OK(pm_wz_close(&w));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abd=3,abf=2,x=4");
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

/* A lent slot could be written to after a reader was made. */
TEST(head_writer_lends_slots_only_inside_a_group) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w;
    pm_val *slot = NULL;
    pm_rz z;
    open_writer(h, "ab", &w);
    CHECK_EQ(pm_wz_get_mut(&w, &slot), PM_INVALID);
    CHECK_EQ(pm_wz_get_or_set(&w, 5, &slot, NULL), PM_INVALID);
    CHECK_OK(pm_wz_get_or_set(&w, 5, NULL, NULL));
    CHECK_OK(pm_wz_begin(&w));
    CHECK_OK(pm_head_read(h, "ab", 2, &z));
    CHECK_OK(pm_wz_get_mut(&w, &slot));
    *slot = 50;
    CHECK_STR_EQ(seen(&z), "ab=1,abc=2,abd=3");
    pm_rz_drop(&z);
    CHECK_STR_EQ(shown(h, "ab"), "ab=1,abc=2,abd=3");
    CHECK_OK(pm_wz_commit(&w));
    CHECK_STR_EQ(shown(h, "ab"), "ab=50,abc=2,abd=3");
    CHECK_EQ(pm_wz_close(&w), PM_INVALID); /* the first failure is remembered */
    close_head(h, &m, "=0,ab=50,abc=2,abd=3,x=4");
}

/* ---- two threads: waiting, and not waiting ---- */

typedef struct stage {
    pm_head *h;
    pm_wz *w;
    const char *path;
    bool fence;
    atomic_int step;
    char text[256];
} stage;

static void nap(long microseconds) {
    struct timespec t = {0, microseconds * 1000};
    (void)thrd_sleep(&t, NULL);
}

static void wait_step(atomic_int *step, int n) {
    while (atomic_load(step) < n) sched_yield();
}

static atomic_int gate_open, gate_reached;

/* Stops a call half-way: releasing a replaced value of 666 waits for the gate. */
static void release_at_gate(void *ctx, pm_val v) {
    (void)ctx;
    if (v != 666) return;
    atomic_store(&gate_reached, 1);
    while (!atomic_load(&gate_open)) sched_yield();
}

static void retain_nothing(void *ctx, pm_val v) {
    (void)ctx;
    (void)v;
}

static const pm_ops *gated_ops(void) {
    static const pm_ops ops = {
        .name = "gated", .flags = PM_OPS_IDEMPOTENT, .retain = retain_nothing, .release = release_at_gate};
    return &ops;
}

/* One call that stops half-way, then another one at once. */
static void *write_through_gate(void *arg) {
    stage *s = arg;
    write_at(s->w, "c", 666);
    CHECK_OK(pm_wz_set(s->w, 5, NULL)); /* the second write to a place goes the long way, hooks and all in the call */
    CHECK_OK(pm_wz_set(s->w, 6, NULL));
    atomic_store(&s->step, 1);
    return NULL;
}

static void *read_at_path(void *arg) {
    stage *s = arg;
    pm_rz z;
    CHECK_OK(s->fence ? pm_head_fence(s->h, s->path, strlen(s->path), &z)
                      : pm_head_read(s->h, s->path, strlen(s->path), &z));
    strcpy(s->text, seen(&z));
    pm_rz_drop(&z);
    atomic_store(&s->step, 1);
    return NULL;
}

static void reader_waits_for_a_call(bool fence) {
    need_threads();
    pm_map m = pm_new(gated_ops(), NULL);
    put(&m, "ab", 1);
    put(&m, "x", 4);
    pm_head *h = head_over(&m);
    pm_wz w;
    stage writing = {.h = h, .w = &w}, reading = {.h = h, .path = "a", .fence = fence};
    pthread_t writer, reader;
    atomic_store(&gate_open, 0);
    atomic_store(&gate_reached, 0);
    open_writer(h, "ab", &w);
    CHECK_EQ(pthread_create(&writer, NULL, write_through_gate, &writing), 0);
    wait_step(&gate_reached, 1);
    CHECK_STR_EQ(shown(h, "x"), "x=4"); /* elsewhere nobody waits */
    CHECK_EQ(pthread_create(&reader, NULL, read_at_path, &reading), 0);
    nap(20000);
    CHECK_EQ(atomic_load(&reading.step), 0); /* the call is in flight */
    CHECK_STR_EQ(shown(h, "x"), "x=4");      /* and elsewhere still nobody waits */
    pm_wz other;
    open_writer(h, "q", &other);
    CHECK_OK(pm_wz_close(&other));
    atomic_store(&gate_open, 1);
    CHECK_EQ(pthread_join(reader, NULL), 0);
    CHECK_EQ(pthread_join(writer, NULL), 0);
    CHECK_EQ(check_failed(), 0);
    CHECK(!strcmp(reading.text, "ab=1,abc=5") || !strcmp(reading.text, "ab=1,abc=6"));
    CHECK_OK(pm_wz_close(&w));
    close_head(h, &m, "ab=1,abc=6,x=4");
}

TEST(head_reader_waits_for_the_call_in_flight_and_sees_it_whole) { reader_waits_for_a_call(false); }
TEST(head_fence_waits_for_the_call_in_flight_and_sees_it_whole) { reader_waits_for_a_call(true); }

/* The writer ends while a reader still waits for it. */
static void *write_and_end(void *arg) {
    stage *s = arg;
    write_at(s->w, "c", 666);
    CHECK_OK(pm_wz_set(s->w, 5, NULL));
    CHECK_OK(pm_wz_close(s->w));
    return NULL;
}

TEST(head_writer_that_ends_leaves_its_content_to_who_waits) {
    need_threads();
    for (int round = 0; round < 20; round++) {
        pm_map m = pm_new(gated_ops(), NULL);
        put(&m, "ab", 1);
        pm_head *h = head_over(&m);
        pm_wz w;
        stage writing = {.h = h, .w = &w}, reading = {.h = h, .path = "a", .fence = round % 2};
        pthread_t writer, reader;
        atomic_store(&gate_open, 0);
        atomic_store(&gate_reached, 0);
        open_writer(h, "ab", &w);
        CHECK_EQ(pthread_create(&writer, NULL, write_and_end, &writing), 0);
        wait_step(&gate_reached, 1);
        CHECK_EQ(pthread_create(&reader, NULL, read_at_path, &reading), 0);
        nap(round < 2 ? 20000 : 100);
        atomic_store(&gate_open, 1);
        CHECK_EQ(pthread_join(reader, NULL), 0);
        CHECK_EQ(pthread_join(writer, NULL), 0);
        CHECK_EQ(check_failed(), 0);
        CHECK_STR_EQ(reading.text, "ab=1,abc=5");
        close_head(h, &m, "ab=1,abc=5");
    }
}

/* Between calls: inside a group, even. */
static void *stop_between_calls(void *arg) {
    stage *s = arg;
    write_at(s->w, "c", 5);
    CHECK_OK(pm_wz_begin(s->w));
    write_at(s->w, "c", 6);
    atomic_store(&s->step, 1);
    wait_step(&s->step, 2);
    CHECK_OK(pm_wz_close(s->w));
    return NULL;
}

TEST(head_stopped_writer_delays_nobody) {
    need_threads();
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w, v;
    pthread_t t;
    stage s = {.h = h, .w = &w};
    open_writer(h, "ab", &w);
    CHECK_EQ(pthread_create(&t, NULL, stop_between_calls, &s), 0);
    wait_step(&s.step, 1);
    for (int i = 0; i < 1000; i++) { /* all of these would hang */
        pm_rz z;
        CHECK_OK(i % 2 ? pm_head_fence(h, "", 0, &z) : pm_head_read(h, "ab", 2, &z));
        pm_rz_drop(&z);
    }
    CHECK_STR_EQ(shown(h, "abc"), "abc=5");
    open_writer(h, "x", &v);
    CHECK_OK(pm_wz_close(&v));
    CHECK_EQ(pm_head_close(h, NULL, NULL), PM_BUSY);
    atomic_store(&s.step, 2);
    CHECK_EQ(pthread_join(t, NULL), 0);
    close_head(h, &m, "=0,ab=1,abc=6,abd=3,x=4");
}

/* A call on many paths: all or none of them are seen. */
typedef struct whole {
    pm_head *h;
    pm_wz *w;
    pm_map bulk;
    atomic_bool done;
} whole;

enum { BULK = PM_CHECK >= 3 ? 300 : 2000, ROUNDS = 60 };

static void *join_and_remove(void *arg) {
    whole *a = arg;
    for (int i = 0; i < ROUNDS; i++) {
        CHECK_OK(pm_wz_join_map(a->w, &a->bulk, NULL));
        CHECK_OK(pm_wz_remove_branches(a->w, false, NULL));
    }
    atomic_store(&a->done, true);
    return NULL;
}

TEST(head_call_is_seen_whole_or_not_at_all) {
    need_threads();
    pm_map m = letters();
    whole a = {.bulk = pm_new(NULL, NULL)};
    pm_wz w;
    pthread_t t;
    uint64_t full = 0, empty = 0;
    for (unsigned i = 0; i < BULK; i++) {
        uint8_t key[3] = {(uint8_t)(i >> 8), (uint8_t)i, 'v'};
        CHECK_OK(pm_set(&a.bulk, key, 3, i, NULL));
    }
    a.h = head_over(&m);
    a.w = &w;
    open_writer(a.h, "q", &w);
    CHECK_EQ(pthread_create(&t, NULL, join_and_remove, &a), 0);
    do {
        pm_rz z;
        uint64_t n = 0;
        CHECK_OK(pm_head_read(a.h, "q", 1, &z));
        CHECK_OK(pm_rz_val_count(&z, &n));
        pm_rz_drop(&z);
        CHECK(n == 0 || n == BULK);
        if (n) full++;
        else empty++;
    } while (!atomic_load(&a.done));
    CHECK_EQ(pthread_join(t, NULL), 0);
    CHECK_EQ(check_failed(), 0);
    CHECK(full + empty > 0);
    CHECK_OK(pm_wz_close(&w));
    pm_drop(&a.bulk);
    close_head(a.h, &m, "=0,ab=1,abc=2,abd=3,q!,x=4");
}

/* One thread writes n at "a/", then at "b/": at one instant b is never ahead of a. */
typedef struct relay {
    pm_wz *a, *b;
    atomic_bool done;
    atomic_uint a_at, b_at;
} relay;

enum { RELAYS = 100 };

static void *lead(void *arg) {
    relay *r = arg;
    for (unsigned i = 1; i <= RELAYS; i++) {
        write_at(r->a, "", i);
        atomic_store(&r->a_at, i);
        while (atomic_load(&r->b_at) + 2 < i) sched_yield();
    }
    return NULL;
}

static void *follow(void *arg) {
    relay *r = arg;
    for (unsigned i = 1; i <= RELAYS; i++) {
        while (atomic_load(&r->a_at) < i) sched_yield();
        write_at(r->b, "", i);
        atomic_store(&r->b_at, i);
    }
    atomic_store(&r->done, true);
    return NULL;
}

TEST(head_fence_is_one_instant_of_all_writers) {
    need_threads();
    pm_map m = pm_new(NULL, NULL);
    pm_head *h = head_over(&m);
    pm_wz a, b;
    relay r = {.a = &a, .b = &b};
    pthread_t leader, follower;
    open_writer(h, "a/", &a);
    open_writer(h, "b/", &b);
    CHECK_EQ(pthread_create(&leader, NULL, lead, &r), 0);
    CHECK_EQ(pthread_create(&follower, NULL, follow, &r), 0);
    while (!atomic_load(&r.done)) {
        pm_rz z;
        CHECK_OK(pm_head_fence(h, "", 0, &z));
        const pm_val *x = pm_rz_val_at(&z, "a/", 2), *y = pm_rz_val_at(&z, "b/", 2);
        pm_val va = x ? *x : 0, vb = y ? *y : 0;
        pm_rz_drop(&z);
        CHECK(vb <= va && va <= vb + 3);
    }
    CHECK_EQ(pthread_join(leader, NULL), 0);
    CHECK_EQ(pthread_join(follower, NULL), 0);
    CHECK_EQ(check_failed(), 0);
    CHECK_OK(pm_wz_close(&a));
    CHECK_OK(pm_wz_close(&b));
    close_head(h, &m, "a/=100,b/=100");
}

TEST(head_reader_steps_without_atomic_read_modify_writes) {
    pm_map m = pm_new(NULL, NULL);
    for (unsigned i = 0; i < 5000; i++) {
        char key[16];
        put(&m, (sprintf(key, "k%u", i * 7919 % 5000), key), i);
    }
    pm_head *h = head_over(&m);
    pm_wz w;
    pm_rz z;
    open_writer(h, "k1", &w);
    write_at(&w, "new", 1);
    CHECK_OK(pm_head_read(h, "", 0, &z));
    uint64_t before = rmw_count, n = 0;
    while (pm_rz_to_next_val(&z)) n++;
    pm_rz_reset(&z);
    while (pm_rz_to_next_step(&z)) continue;
    CHECK(pm_rz_val_at(&z, "k17", 3) != NULL);
    CHECK_EQ(rmw_count, before);
    CHECK_EQ(n, 5001);
    before = rmw_count; /* nor does a write to what nobody else has */
    pm_rz_drop(&z);
    write_at(&w, "new", 2);
    before = rmw_count;
    for (pm_val i = 0; i < 100; i++) CHECK_OK(pm_wz_set(&w, i, NULL));
    CHECK_EQ(rmw_count, before);
    CHECK_OK(pm_wz_close(&w));
    before = rmw_count; /* a reader of what has not changed: two locks, each twice, a reference gained and lost */
    CHECK_OK(pm_head_read(h, "", 0, &z));
    pm_rz_drop(&z);
    CHECK_EQ(rmw_count - before, PM_NO_THREADS ? 0 : 6);
    CHECK_OK(pm_head_close(h, NULL, NULL));
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

/* Readers walk while other threads write and walk: between the making of a reader and its end, no step of it does an
   atomic read-modify-write. Only walks beside which writers wrote, and another reader was walking, are counted. */
typedef struct bustle {
    pm_head *h;
    atomic_bool done;
    atomic_uint_fast64_t writes, walking, steps, beside; /* beside: walks that were not alone */
} bustle;

enum { WALKERS = 2, SCRIBES = 2, WALKED_KEYS = PM_CHECK >= 3 ? 100 : 1000, WALKS = 20 };

static void *scribble(void *arg) {
    bustle *b = arg;
    static atomic_uint turns;
    uint8_t root = (uint8_t)('0' + atomic_fetch_add(&turns, 1) % SCRIBES);
    pm_wz w;
    CHECK_OK(pm_head_write(b->h, &root, 1, &w, NULL));
    for (unsigned i = 0; !atomic_load(&b->done); i++) {
        char key[16];
        write_at(&w, (sprintf(key, "%u", i * 7919 % WALKED_KEYS), key), i);
        atomic_fetch_add(&b->writes, 1);
    }
    CHECK_OK(pm_wz_close(&w));
    return NULL;
}

/* Moves of several kinds, over all there is. Returns how many. */
static uint64_t walk_all(pm_rz *z) {
    uint64_t n = 0;
    while (pm_rz_to_next_step(z)) n++;
    pm_rz_reset(z);
    while (pm_rz_to_next_val(z)) n += pm_rz_val(z) != NULL;
    for (unsigned i = 0; i < 200; i++, n += 8) {
        char key[16];
        size_t len = (size_t)sprintf(key, "%u%u", i % SCRIBES, i);
        (void)pm_rz_val_at(z, key, len);
        (void)pm_rz_move_to(z, key, len);
        (void)pm_rz_child_mask(z);
        (void)pm_rz_ascend(z, 2);
        (void)pm_rz_descend_first_byte(z);
        (void)pm_rz_to_next_sibling(z);
        (void)pm_rz_descend_until(z);
        pm_rz_reset(z);
    }
    return n;
}

static void *walk_beside_others(void *arg) {
    bustle *b = arg;
    while (!atomic_load(&b->done) && check_failed() == 0) {
        pm_rz z;
        CHECK_OK(pm_head_read(b->h, "", 0, &z));
        uint64_t writes = atomic_load(&b->writes), others = atomic_fetch_add(&b->walking, 1), before = rmw_count;
        uint64_t steps = walk_all(&z);
        CHECK_EQ(rmw_count, before); /* the library's, on this thread; the test's own are not counted */
        others = others + atomic_fetch_sub(&b->walking, 1) - 1;
        atomic_fetch_add(&b->steps, steps);
        if (others && atomic_load(&b->writes) != writes && atomic_fetch_add(&b->beside, 1) + 1 >= WALKS)
            atomic_store(&b->done, true);
        pm_rz_drop(&z);
    }
    return NULL;
}

TEST(head_reader_steps_without_atomic_read_modify_writes_beside_writers) {
    need_threads();
    pm_map m = pm_new(NULL, NULL);
    bustle b = {0};
    pthread_t t[WALKERS + SCRIBES];
    for (unsigned i = 0; i < SCRIBES * WALKED_KEYS; i++) {
        char key[16];
        put(&m, (sprintf(key, "%u%u", i % SCRIBES, i / SCRIBES), key), i);
    }
    b.h = head_over(&m);
    for (unsigned i = 0; i < WALKERS + SCRIBES; i++)
        CHECK_EQ(pthread_create(&t[i], NULL, i < WALKERS ? walk_beside_others : scribble, &b), 0);
    for (unsigned i = 0; i < WALKERS + SCRIBES; i++) CHECK_EQ(pthread_join(t[i], NULL), 0);
    CHECK_EQ(check_failed(), 0);
    CHECK(atomic_load(&b.beside) >= WALKS);
    printf("# %s: 0 in %" PRIu64 " steps, beside %" PRIu64 " writes\n", check__current,
           (uint64_t)atomic_load(&b.steps), (uint64_t)atomic_load(&b.writes));
    CHECK_OK(pm_head_close(b.h, NULL, NULL));
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(head_keeps_the_references_of_values) {
    pm_map m = pm_new(counted_ops(), NULL);
    static const char *const keys[] = {"", "a", "ab", "abc", "b", "bcd", "bce", "x/y"};
    for (size_t i = 0; i < sizeof keys / sizeof *keys; i++) put(&m, keys[i], counted_new());
    pm_head *h = head_over(&m);
    pm_wz w, v;
    pm_rz z, old;
    open_writer(h, "ab", &w);
    open_writer(h, "b", &v);
    CHECK_OK(pm_head_read(h, "", 0, &old));
    write_at(&w, "", counted_new());
    write_at(&w, "n", counted_new());
    CHECK_OK(pm_wz_begin(&v));
    CHECK_OK(pm_wz_remove_branches(&v, false, NULL));
    CHECK_OK(pm_head_fence(h, "", 0, &z));
    CHECK_OK(pm_wz_rollback(&v));
    pm_rz_drop(&z);
    CHECK_OK(pm_wz_into_reader(&v, &z));
    CHECK_OK(pm_wz_close(&w));
    pm_rz_drop(&z);
    pm_rz_drop(&old);
    CHECK_OK(pm_head_close(h, NULL, NULL));
    CHECK_EQ(counted_held(), 9);
    pm_drop(&m);
    CHECK_EQ(counted_held(), 0);
    CHECK(counted_is_sound());
    CHECK_EQ(check_live_blocks(), 0);
}

/* ---- lack of memory ---- */

/* A day in the life of a head, in which the n-th allocation (or all from there on, until the zippers have ended) fails.
   What was said to be done is there at the end, what was refused is not. True if nothing failed. */
static bool live_through(uint64_t n, bool forever) {
    pm_map m = letters();
    pm_head *h = NULL;
    pm_wz w[3];
    pm_rz z[3], made;
    const char *at[3] = {"ab", "q/r", "x"};
    char want[256] = "";
    bool got[3] = {false, false, false};
    if (forever) check_fail_allocs_from(n);
    else check_fail_alloc(n);
    if (pm_head_new(&m, &h) == PM_OK) {
        for (int i = 0; i < 3; i++) {
            pm_status s = pm_head_write(h, at[i], strlen(at[i]), &w[i], NULL);
            CHECK(s == PM_OK || s == PM_NOMEM);
            if (s == PM_OK) got[i] = pm_wz_set(&w[i], 40 + (pm_val)i, NULL) == PM_OK;
        }
        for (int i = 0; i < 3; i++) {
            pm_status s = i == 0 ? pm_head_read(h, "", 0, &z[0])
                          : i == 1 ? pm_head_fence(h, "q", 1, &z[1])
                                   : pm_head_pin(h, "abc", 3, &z[2], NULL);
            CHECK(s == PM_OK || s == PM_NOMEM || (i == 2 && s == PM_CONFLICT));
        }
        for (int i = 0; i < 3; i++) pm_rz_drop(&z[i]);
        if (got[1] && pm_wz_into_reader(&w[1], &made) == PM_OK) {
            CHECK_EQ(*pm_rz_val(&made), 41);
            pm_rz_drop(&made);
        }
        for (int i = 0; i < 3; i++) (void)pm_wz_close(&w[i]);
        pm_status s = pm_head_read(h, "", 0, &z[0]);
        CHECK(s == PM_OK || s == PM_NOMEM);
        pm_rz_drop(&z[0]);
        s = pm_head_close(h, NULL, NULL);
        CHECK(s == PM_OK || s == PM_NOMEM);
        if (s != PM_OK) { /* the head stays usable */
            check_fail_alloc(0);
            CHECK_OK(pm_head_read(h, "", 0, &z[0]));
            CHECK_EQ(pm_head_close(h, NULL, NULL), PM_BUSY);
            pm_rz_drop(&z[0]);
            CHECK_OK(pm_head_close(h, NULL, NULL));
        }
    }
    bool none = check_alloc_fails() == 0 || check_allocs() < n;
    check_fail_alloc(0);
    sprintf(want, "=0,ab=%d,abc=2,abd=3,%sx=%d", got[0] ? 40 : 1, got[1] ? "q/r=41," : "", got[2] ? 42 : 4);
    CHECK_STR_EQ(listed(&m), want);
    CHECK_OK(pm_check(&m, NULL));
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
    return none;
}

TEST(head_without_memory_loses_nothing) {
    for (uint64_t n = 1; !live_through(n, false); n++) CHECK(n < 1000);
    for (uint64_t n = 1; n < 60; n++) (void)live_through(n, true);
}

/* A writer that ends while there is no memory: its claim stands until it can be settled, its content is never lost. */
TEST(head_writer_that_ends_without_memory_is_settled_later) {
    unsigned unsettled = 0;
    for (unsigned keys = 1; keys < 40; keys++) {
        pm_map m = letters();
        pm_head *h = head_over(&m);
        pm_wz w[40], v;
        pm_rz z;
        char key[8];
        for (unsigned i = 0; i < keys; i++) open_writer(h, (sprintf(key, "k%02u", i), key), &w[i]);
        for (unsigned i = 0; i < keys; i++) write_at(&w[i], i % 2 ? "" : "/a/longer/way", i);
        check_fail_allocs_from(1);
        for (unsigned i = 0; i < keys; i++) CHECK_OK(pm_wz_close(&w[i]));
        pm_status s = pm_head_write(h, "k00/a", 5, &v, NULL);
        CHECK_EQ(s, PM_NOMEM);
        if (h->unsettled) {
            unsettled++;
            CHECK_EQ(pm_head_read(h, "", 0, &z), PM_NOMEM);
            CHECK_EQ(pm_head_pin(h, "", 0, &z, NULL), PM_NOMEM);
            CHECK_EQ(pm_head_close(h, NULL, NULL), PM_NOMEM);
        }
        check_fail_alloc(0);
        open_writer(h, "k00", &v);
        CHECK(pm_rz_exists(pm_wz_cursor(&v)));
        CHECK_OK(pm_wz_close(&v));
        CHECK_OK(pm_head_close(h, NULL, NULL));
        uint64_t n = 0;
        CHECK_OK(pm_val_count(&m, &n));
        CHECK_EQ(n, 5 + keys);
        for (unsigned i = 0; i < keys; i++) {
            sprintf(key, "k%02u", i);
            pm_ref r = pm_ref_of_map(&m, key, 3);
            const pm_val *val = i % 2 ? pm_ref_val(&r) : pm_ref_val_at(&r, "/a/longer/way", 13);
            CHECK(val && *val == i);
        }
        CHECK_OK(pm_check(&m, NULL));
        pm_drop(&m);
        CHECK_EQ(check_live_blocks(), 0);
    }
    CHECK(unsettled > 0);
}
