/* Heads: the rows of the table in 66_head.h, the rules of what readers see, each by a test of its name; lack of
   memory at every allocation; zippers handed between threads. Long runs with many threads are in test_threads.c. */
#include "check.h"

#include <pthread.h>
#include <sched.h>
#include <sys/wait.h>
#include <threads.h>
#include <unistd.h>
#if defined(__linux__)
#include <errno.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <sys/prctl.h>
#endif

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
    CHECK_OK(pm_rz_open(m, NULL, 0, &z));
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
    CHECK_OK(pm_head_free(h, NULL, NULL));
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
            CHECK_OK(pm_wz_drop(&v)); /* also after a refusal */
            CHECK_OK(pm_wz_drop(&w));
            open_writer(h, paths[j], &v); /* a claim goes with its zipper */
            CHECK_OK(pm_wz_drop(&v));
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
            CHECK_OK(pm_wz_drop(&v));
            pm_rz_drop(&z);
            open_writer(h, paths[j], &v);
            CHECK_OK(pm_wz_drop(&v));
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
        CHECK_OK(pm_wz_drop(&w));
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
        CHECK_OK(pm_wz_drop(&w));
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
            CHECK_OK(pm_wz_drop(&w));
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
    CHECK_OK(pm_wz_drop(&w));
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
    CHECK_EQ(pm_head_free(h, NULL, &busy), PM_BUSY);
    CHECK_EQ(busy, 3);
    write_at(&w, "z", 9); /* the head stays usable */
    CHECK_STR_EQ(shown(h, "ab"), "ab=1,abc=2,abd=3,abz=9");
    CHECK_OK(pm_wz_drop(&w));
    CHECK_EQ(pm_head_free(h, NULL, &busy), PM_BUSY);
    CHECK_EQ(busy, 2);
    pm_rz_drop(&pin);
    pm_rz_drop(&pin); /* twice is once */
    CHECK_EQ(pm_head_free(h, NULL, &busy), PM_BUSY);
    CHECK_EQ(busy, 1);
    pm_rz_drop(&snap);
    CHECK_OK(pm_head_free(h, NULL, &busy));
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
    pm_map why;
    open_writer(h, "abc", &w[0]);
    open_writer(h, "abe", &w[1]);
    open_writer(h, "b", &w[2]);
    CHECK_OK(pm_head_pin(h, "abd", 3, &p[0], NULL));
    CHECK_OK(pm_head_pin(h, "abd", 3, &p[1], NULL));
    CHECK_OK(pm_head_pin(h, "aa", 2, &p[2], NULL));
    CHECK_EQ(pm_head_write(h, "ab", 2, &other, &why), PM_CONFLICT);
    CHECK_EQ(PM_CLAIM_WRITER, 1);
    CHECK_EQ(PM_CLAIM_PINNED, 2);
    CHECK_STR_EQ(listed(&why), "abc=1,abd=2,abe=1");
    pm_drop(&why);
    CHECK_STR_EQ(listed(&why), "");
    CHECK_EQ(pm_head_pin(h, "ab", 2, &refused, &why), PM_CONFLICT); /* pinned readers are not in its way */
    CHECK_STR_EQ(listed(&why), "abc=1,abe=1");
    pm_drop(&why);
    CHECK_EQ(pm_head_write(h, "bcdef", 5, &other, &why), PM_CONFLICT); /* the one above */
    CHECK_STR_EQ(listed(&why), "b=1");
    pm_drop(&why);
    /* without memory there is no report, but the answer stands; without a report no memory */
    check_fail_allocs_from(1);
    CHECK_EQ(pm_head_write(h, "ab", 2, &other, &why), PM_CONFLICT);
    CHECK(pm_is_empty(&why));
    uint64_t before = check_allocs();
    CHECK_EQ(pm_head_write(h, "ab", 2, &other, NULL), PM_CONFLICT);
    CHECK_EQ(check_allocs(), before);
    check_fail_alloc(0);
    for (int i = 0; i < 3; i++) {
        pm_rz_drop(&p[i]);
        CHECK_OK(pm_wz_drop(&w[i]));
    }
    CHECK_OK(pm_head_write(h, "", 0, &other, &why));
    CHECK(pm_is_empty(&why));
    CHECK_OK(pm_wz_drop(&other));
    close_head(h, &m, LETTERS);
}

TEST(head_claims_in_the_thousands_are_told_apart) {
    enum { N = PM_CHECK >= 3 ? 300 : 10000 }; /* whole-trie checks after each claim would take too long */
    static pm_wz w[N];
    pm_map m = pm_new(NULL, NULL);
    pm_head *h = head_over(&m);
    pm_wz other;
    pm_map why;
    uint64_t n;
    for (unsigned i = 0; i < N; i++) {
        uint8_t key[4] = {'k', (uint8_t)(i >> 8), (uint8_t)i, 'e'};
        CHECK_OK(pm_head_write(h, key, 4, &w[i], NULL));
    }
    for (unsigned i = 0; i < N; i += N / 100 + 1) {
        uint8_t key[5] = {'k', (uint8_t)(i >> 8), (uint8_t)i, 'e', 'x'};
        CHECK_EQ(pm_head_write(h, key, 5, &other, NULL), PM_CONFLICT);
        CHECK_EQ(pm_head_write(h, key, 3, &other, &why), PM_CONFLICT);
        CHECK(pm_contains(&why, key, 4));
        CHECK_OK(pm_val_count(&why, &n));
        CHECK_EQ(n, 1);
        pm_drop(&why);
        key[3] = 'f';
        CHECK_OK(pm_head_write(h, key, 5, &other, NULL));
        CHECK_OK(pm_wz_drop(&other));
    }
    CHECK_EQ(pm_head_write(h, "k", 1, &other, &why), PM_CONFLICT);
    CHECK_OK(pm_val_count(&why, &n));
    CHECK_EQ(n, N);
    pm_drop(&why);
    for (unsigned i = 0; i < N; i++) CHECK_OK(pm_wz_drop(&w[i]));
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
    CHECK_OK(pm_wz_drop(&v));
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
    CHECK_OK(pm_wz_drop(&v));
    CHECK_EQ(pm_head_write(h, "ab", 2, &v, NULL), PM_CONFLICT);
    CHECK_OK(pm_wz_drop(&other));
#endif
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(pm_head_free(h, NULL, NULL));
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
    CHECK_OK(pm_wz_drop(&w));
    open_writer(h, "abc", &w);
    CHECK_OK(pm_wz_drop(&w));
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
    CHECK_OK(pm_wz_remove(&w, PM_PRUNE, NULL));
    CHECK_STR_EQ(shown(h, ""), "=0,ab=1,abc=2,abd=3,q/r!,x=4");
    pm_rz_reset(pm_wz_cursor(&w));
    CHECK_OK(pm_wz_prune_path(&w, &gone));
    CHECK_EQ(gone, 0);
    CHECK_OK(pm_wz_drop(&w));
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
    CHECK_OK(pm_wz_drop(&w));
    CHECK_STR_EQ(shown(h, "ab"), "ab=11,abc=2,abd=3");
    CHECK(pm_is_empty(&m));
    CHECK_OK(pm_head_free(h, &m, NULL));
    CHECK_STR_EQ(listed(&m), "=10,ab=11,abc=2,abd=3,x=4");
    CHECK_OK(pm_head_new_move(&m, &h));
    CHECK_OK(pm_head_free(h, NULL, NULL)); /* drops what it owns */
    CHECK_EQ(check_live_blocks(), 0);
    h = head_over(&m);
    pm_map out;
    CHECK_EQ(pm_head_free(h, &out, NULL), PM_INVALID); /* it does not own the map */
    close_head(h, &m, "");
    CHECK_OK(pm_head_free(NULL, NULL, NULL));
}

static void *drop_elsewhere(void *arg) {
    pm_rz_drop(arg);
    return NULL;
}

static void *close_elsewhere(void *arg) {
    write_at(arg, "new", 8);
    CHECK_OK(pm_wz_drop(arg));
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
    CHECK_OK(pm_wz_drop(&w)); /* it has gone */
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
    CHECK_OK(pm_wz_drop(&v));
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
    CHECK_OK(pm_wz_open(&m, "a", 1, &host));
    pm_rz_descend_to(pm_wz_cursor(&host), "b", 1);
    CHECK_OK(pm_head_new_at(&host, &h));
    open_writer(h, "c", &w);
    pm_map why;
    CHECK_EQ(pm_head_write(h, "", 0, &v, &why), PM_CONFLICT); /* paths are relative to the focus */
    CHECK_STR_EQ(listed(&why), "c=1");
    pm_drop(&why);
    CHECK_MEM_EQ(pm_rz_root_prefix(pm_wz_cursor(&w), &len), 3, "abc", 3);
    write_at(&w, "x", 5);
    CHECK_OK(pm_head_read(h, "", 0, &z));
    CHECK_STR_EQ(seen(&z), "ab=1,abc=2,abcx=5,abd=3");
    CHECK(!pm_rz_ascend(&z, 1));
    pm_rz_drop(&z);
    open_writer(h, "new/", &v);
    write_at(&v, "y", 6);
    CHECK_OK(pm_wz_drop(&v));
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(pm_head_free(h, NULL, NULL));
    CHECK_EQ(*pm_rz_val_at(pm_wz_cursor(&host), "cx", 2), 5); /* the writer goes on */
    CHECK_OK(pm_wz_set(&host, 12, NULL));
    CHECK_OK(pm_wz_drop(&host));
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
    CHECK_OK(pm_wz_drop(&w));
    CHECK_STR_EQ(shown(outer, "a"), "ab=1,abc=2,abd=3,abn=5");
    CHECK_OK(pm_head_free(inner, NULL, NULL));
    CHECK_STR_EQ(shown(outer, "a"), "ab=1,abc=6,abd=3,abn=5");
    CHECK_OK(pm_wz_begin(&host)); /* in a group of its own, that one goes on */
    CHECK_OK(pm_head_new_at(&host, &inner));
    open_writer(inner, "c", &w);
    write_at(&w, "", 7);
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(pm_head_free(inner, NULL, NULL));
    CHECK_STR_EQ(shown(outer, "abc"), "abc=6");
    CHECK_OK(pm_wz_commit(&host));
    CHECK_STR_EQ(shown(outer, "abc"), "abc=7");
    CHECK_OK(pm_wz_drop(&host));
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
    CHECK_OK(pm_wz_remove(&w, PM_PRUNE, NULL));
    CHECK_STR_EQ(shown(h, ""), "=0,ab=1,abd=3,x=4");
    CHECK_OK(pm_wz_graft_map(&v, &src));
    CHECK_STR_EQ(shown(h, ""), "=0,ab=1,abd=3,q=0,qab=1,qabc=2,qabd=3,qx=4,x=4");
    CHECK_STR_EQ(shown(h, "qab"), "qab=1,qabc=2,qabd=3");
    pm_rz_reset(pm_wz_cursor(&w));
    CHECK_OK(pm_wz_take(&w, PM_KEEP, &taken, NULL));
    CHECK_STR_EQ(shown(h, "a"), "ab!");
    CHECK_OK(pm_wz_join_map(&w, &taken, NULL));
    CHECK_STR_EQ(shown(h, "a"), "ab=1,abd=3");
    CHECK_OK(pm_wz_join_take(&v, &w, PM_KEEP, NULL)); /* the left keeps its value */
    CHECK_STR_EQ(shown(h, ""), "=0,ab!,q=0,qab=1,qabc=2,qabd=3,qd=3,qx=4,x=4");
    pm_drop(&taken);
    pm_drop(&src);
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(pm_wz_drop(&v));
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
    CHECK_OK(pm_wz_drop(&w));
    CHECK_STR_EQ(seen(&old[0]), LETTERS);
    CHECK_STR_EQ(seen(&old[1]), "ab=1,abc=2,abd=3");
    CHECK_STR_EQ(seen(&old[2]), "abc=2");
    CHECK_STR_EQ(seen(&old[3]), "x=4");
    for (int i = 0; i < 4; i++) pm_rz_drop(&old[i]);
    CHECK_OK(pm_head_free(h, NULL, NULL));
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(head_refreshed_reader_shows_what_a_new_one_would) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_rz z, below, fork, none = {0};
    pm_wz w;
    bool changed = true;
    CHECK_OK(pm_head_read(h, NULL, 0, &z));
    CHECK_OK(pm_head_read(h, "ab", 2, &below));
    CHECK_EQ(pm_rz_move_to(&z, "abc", 3), 3);
    uint64_t before = rmw_count;
    CHECK_OK(pm_head_refresh(h, &z, &changed));
    CHECK(!changed);
    CHECK_EQ(rmw_count, before); /* a look, and nothing else */
    open_writer(h, "ab", &w); /* has changed nothing */
    CHECK_OK(pm_head_refresh(h, &z, &changed));
    CHECK(!changed);
    for (pm_val v = 7; v < 10; v++) {
        write_at(&w, "c", v);
        if (v == 8) write_at(&w, "", v); /* twice, after one snapshot */
        CHECK_OK(pm_head_refresh(h, &z, &changed));
        CHECK(changed && pm_rz_val(&z) && *pm_rz_val(&z) == v); /* the focus stays */
        CHECK_EQ(*pm_rz_val_at(&below, "c", 1), v == 7 ? 2 : v - 1);
        CHECK_OK(pm_head_refresh(h, &below, &changed));
        CHECK(changed && *pm_rz_val_at(&below, "c", 1) == v);
        CHECK_OK(pm_head_refresh(h, &z, &changed));
        CHECK(!changed);
    }
    CHECK_OK(pm_wz_begin(&w));
    CHECK_OK(pm_wz_remove(&w, PM_PRUNE, NULL));
    write_at(&w, "e", 5);
    CHECK_OK(pm_head_refresh(h, &z, NULL));
    CHECK_EQ(*pm_rz_val(&z), 9); /* a group is not seen before its end */
    CHECK_OK(pm_wz_commit(&w));
    CHECK_OK(pm_head_refresh(h, &below, &changed));
    CHECK(changed && *pm_rz_val_at(&below, "e", 1) == 5);
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(pm_head_refresh(h, &z, &changed));
    pm_rz_reset(&z);
    CHECK_STR_EQ(seen(&z), shown(h, ""));
    CHECK_OK(pm_rz_fork(&z, &fork));
    CHECK_EQ(pm_head_refresh(h, &fork, &changed), PM_INVALID);
    CHECK_EQ(pm_head_refresh(h, &none, &changed), PM_INVALID);
    CHECK_EQ(pm_head_refresh(NULL, &z, &changed), PM_INVALID);
    pm_rz_drop(&fork);
    CHECK_OK(pm_head_pin(h, "x", 1, &fork, NULL));
    CHECK_EQ(pm_head_refresh(h, &fork, &changed), PM_INVALID);
    CHECK(!changed);
    pm_rz_drop(&fork);
    pm_rz_drop(&z);
    pm_rz_drop(&below);
    close_head(h, &m, "=0,ab=8,abd=3,abe=5,x=4");
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
    CHECK_OK(pm_wz_drop(&w)); /* to end is to commit */
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
    CHECK_OK(pm_wz_remove_branches(&w, PM_KEEP, NULL));
    CHECK_OK(pm_wz_rollback(&w));
    CHECK_OK(pm_wz_drop(&w));
    close_head(h, &m, "=0,ab=1,abc=2,abd=3,qd=11,x=4");
    m = letters(); /* and with a writer that no head gave out */
    CHECK_OK(pm_wz_open(&m, "ab", 2, &w));
    CHECK_OK(pm_wz_begin(&w));
    write_at(&w, "e", 1);
    CHECK_OK(pm_wz_rollback(&w));
    CHECK_OK(pm_wz_begin(&w));
    write_at(&w, "f", 2);
    CHECK_OK(pm_wz_drop(&w));
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
    CHECK_EQ(pm_wz_drop(&w), PM_INVALID); /* the first failure is remembered */
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
    CHECK_OK(pm_wz_drop(&other));
    atomic_store(&gate_open, 1);
    CHECK_EQ(pthread_join(reader, NULL), 0);
    CHECK_EQ(pthread_join(writer, NULL), 0);
    CHECK_EQ(check_failed(), 0);
    CHECK(!strcmp(reading.text, "ab=1,abc=5") || !strcmp(reading.text, "ab=1,abc=6"));
    CHECK_OK(pm_wz_drop(&w));
    close_head(h, &m, "ab=1,abc=6,x=4");
}

TEST(head_reader_waits_for_the_call_in_flight_and_sees_it_whole) { reader_waits_for_a_call(false); }
TEST(head_fence_waits_for_the_call_in_flight_and_sees_it_whole) { reader_waits_for_a_call(true); }

/* The writer ends while a reader still waits for it. */
static void *write_and_end(void *arg) {
    stage *s = arg;
    write_at(s->w, "c", 666);
    CHECK_OK(pm_wz_set(s->w, 5, NULL));
    CHECK_OK(pm_wz_drop(s->w));
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

/* ---- fences beside writers that come, begin and end ---- */

static unsigned waiting_fences(pm_head *h) {
    unsigned n = 0;
    pm__lock_acquire(&h->lock);
    for (const pm__snap *p = h->fences; p; p = p->next) n++;
    pm__lock_release(&h->lock);
    return n;
}

/* A writer at "ab" that stands inside a call, and a fence of `path` that waits for it. */
typedef struct standstill {
    pm_map m;
    pm_head *h;
    pm_wz w;
    stage writing, fencing;
    pthread_t writer, fence;
} standstill;

static void *set_once(void *arg) {
    stage *s = arg;
    CHECK_OK(pm_wz_set(s->w, 5, NULL));
    atomic_store(&s->step, 1);
    return NULL;
}

static void begin_standstill(standstill *s) {
    memset(s, 0, sizeof *s);
    s->m = pm_new(gated_ops(), NULL);
    put(&s->m, "ab", 1);
    put(&s->m, "b/old", 2);
    put(&s->m, "b/other", 3);
    put(&s->m, "x", 4);
    s->h = head_over(&s->m);
    s->writing.h = s->fencing.h = s->h;
    s->writing.w = &s->w;
    s->fencing.path = "";
    s->fencing.fence = true;
    atomic_store(&gate_open, 0);
    atomic_store(&gate_reached, 0);
    open_writer(s->h, "ab", &s->w);
    write_at(&s->w, "c", 666);
}

static void begin_fence(standstill *s) {
    CHECK_EQ(pthread_create(&s->writer, NULL, set_once, &s->writing), 0);
    wait_step(&gate_reached, 1);
    CHECK_EQ(pthread_create(&s->fence, NULL, read_at_path, &s->fencing), 0);
    while (!waiting_fences(s->h)) sched_yield();
}

static void end_fence(standstill *s) {
    atomic_store(&gate_open, 1);
    CHECK_EQ(pthread_join(s->fence, NULL), 0);
    CHECK_EQ(pthread_join(s->writer, NULL), 0);
}

#define STANDSTILL "ab=1,abc=5,b/old=2,b/other=3,x=4"

/* One that is given out while the fence waits, and one that had been before and has written nothing. */
static void come_and_write(bool before) {
    need_threads();
    standstill s;
    pm_wz v;
    pthread_t t;
    stage late = {.w = &v};
    begin_standstill(&s);
    if (before) open_writer(s.h, "b/", &v);
    begin_fence(&s);
    if (!before) open_writer(s.h, "b/", &v);
    (void)pm_rz_move_to(pm_wz_cursor(&v), "new", 3);
    CHECK_EQ(pthread_create(&t, NULL, set_once, &late), 0);
    nap(20000);
    CHECK_EQ(atomic_load(&late.step), 0); /* its first change would take its content out of the base */
    CHECK_STR_EQ(shown(s.h, "b/"), "b/old=2,b/other=3");
    end_fence(&s);
    CHECK_EQ(pthread_join(t, NULL), 0);
    CHECK_STR_EQ(s.fencing.text, STANDSTILL);
    CHECK_OK(pm_wz_drop(&v));
    CHECK_OK(pm_wz_drop(&s.w));
    close_head(s.h, &s.m, "ab=1,abc=5,b/new=5,b/old=2,b/other=3,x=4");
}

TEST(head_fence_lacks_nothing_of_a_writer_that_comes_and_writes) { come_and_write(false); }
TEST(head_fence_lacks_nothing_of_a_writer_that_begins_to_write) { come_and_write(true); }

/* Several fences wait at a time; those elsewhere hold nobody up, and writers elsewhere go on. */
TEST(head_fences_wait_side_by_side) {
    need_threads();
    standstill s;
    pm_wz v, u;
    pthread_t t, second;
    stage late = {.w = &v}, other = {.path = "a", .fence = true};
    begin_standstill(&s);
    s.fencing.path = "ab";
    other.h = s.h;
    begin_fence(&s);
    open_writer(s.h, "b/", &v);
    open_writer(s.h, "x", &u);
    write_at(&v, "new", 7);
    write_at(&u, "", 8);
    CHECK_EQ(pthread_create(&second, NULL, read_at_path, &other), 0);
    while (waiting_fences(s.h) < 2) sched_yield();
    write_at(&v, "new", 5);
    CHECK_STR_EQ(shown(s.h, "b"), "b/new=5,b/old=2,b/other=3"); /* makes it clean again */
    CHECK_EQ(pthread_create(&t, NULL, set_once, &late), 0);
    CHECK_EQ(pthread_join(t, NULL), 0);
    end_fence(&s);
    CHECK_EQ(pthread_join(second, NULL), 0);
    CHECK_STR_EQ(s.fencing.text, "ab=1,abc=5");
    CHECK_STR_EQ(other.text, "ab=1,abc=5");
    CHECK_OK(pm_wz_drop(&v));
    CHECK_OK(pm_wz_drop(&u));
    CHECK_OK(pm_wz_drop(&s.w));
    close_head(s.h, &s.m, "ab=1,abc=5,b/new=5,b/old=2,b/other=3,x=8");
}

static void *close_writer(void *arg) {
    stage *s = arg;
    CHECK_OK(pm_wz_drop(s->w));
    atomic_store(&s->step, 1);
    return NULL;
}

static void *writer_into_pin(void *arg) {
    stage *s = arg;
    pm_rz z;
    CHECK_OK(pm_wz_into_reader(s->w, &z));
    atomic_store(&s->step, 1);
    pm_rz_drop(&z);
    return NULL;
}

/* A writer whose group is open, and of which the base has what readers see: it is dirty when it ends, so it waits. One
   without a group ends at once. */
static void end_beside_a_fence(void *(*end)(void *), bool group) {
    need_threads();
    standstill s;
    pm_wz v;
    pthread_t t;
    stage late = {.w = &v};
    begin_standstill(&s);
    open_writer(s.h, "b/", &v);
    (void)pm_rz_move_to(pm_wz_cursor(&v), "new", 3);
    if (group) CHECK_OK(pm_wz_begin(&v));
    CHECK_OK(pm_wz_set(&v, 7, NULL));
    CHECK_STR_EQ(shown(s.h, "b/"), group ? "b/old=2,b/other=3" : "b/new=7,b/old=2,b/other=3");
    begin_fence(&s);
    CHECK_EQ(pthread_create(&t, NULL, end, &late), 0);
    if (group) nap(20000);
    else wait_step(&late.step, 1);
    CHECK_EQ(atomic_load(&late.step), group ? 0 : 1);
    end_fence(&s);
    CHECK_EQ(pthread_join(t, NULL), 0);
    CHECK_STR_EQ(s.fencing.text, group ? STANDSTILL : "ab=1,abc=5,b/new=7,b/old=2,b/other=3,x=4");
    CHECK_OK(pm_wz_drop(&s.w));
    close_head(s.h, &s.m, "ab=1,abc=5,b/new=7,b/old=2,b/other=3,x=4");
}

TEST(head_fence_lacks_nothing_of_a_writer_that_ends) {
    end_beside_a_fence(close_writer, false);
    end_beside_a_fence(close_writer, true);
    end_beside_a_fence(writer_into_pin, false);
    end_beside_a_fence(writer_into_pin, true);
}

/* A fence that gets no memory at its end lets everybody go on. */
static void *fence_without_memory(void *arg) {
    stage *s = arg;
    pm_rz z;
    CHECK_EQ(pm_head_fence(s->h, "", 0, &z), PM_NOMEM);
    return NULL;
}

TEST(head_fence_without_memory_lets_writers_go_on) {
    need_threads();
    standstill s;
    pm_wz v;
    begin_standstill(&s);
    open_writer(s.h, "b/", &v);
    CHECK_EQ(pthread_create(&s.writer, NULL, set_once, &s.writing), 0);
    wait_step(&gate_reached, 1);
    CHECK_EQ(pthread_create(&s.fence, NULL, fence_without_memory, &s.fencing), 0);
    while (!waiting_fences(s.h)) sched_yield();
    check_fail_allocs_from(1);
    end_fence(&s);
    check_fail_alloc(0);
    CHECK_EQ(check_failed(), 0);
    CHECK_EQ(waiting_fences(s.h), 0);
    write_at(&s.w, "d", 6);
    write_at(&v, "new", 7);
    CHECK_STR_EQ(shown(s.h, ""), "ab=1,abc=5,abd=6,b/new=7,b/old=2,b/other=3,x=4");
    CHECK_OK(pm_wz_drop(&v));
    CHECK_OK(pm_wz_drop(&s.w));
    close_head(s.h, &s.m, "ab=1,abc=5,abd=6,b/new=7,b/old=2,b/other=3,x=4");
}

/* ---- cancelling, processor time ---- */

/* Waits for what `s` waits for, and cancels it in the meantime: it goes on waiting, and ends as if nothing had been. */
static void cancel_in(void *(*wait)(void *), standstill *s, stage *waiting) {
    pthread_t t;
    void *how;
    CHECK_EQ(pthread_create(&t, NULL, wait, waiting), 0);
    nap(20000);
    CHECK_EQ(atomic_load(&waiting->step), 0);
    CHECK_EQ(pthread_cancel(t), 0);
    nap(5000);
    CHECK_EQ(atomic_load(&waiting->step), 0);
    end_fence(s);
    CHECK_EQ(pthread_join(t, &how), 0);
    CHECK(how != PTHREAD_CANCELED || atomic_load(&waiting->step) == 1); /* in what it does afterwards */
    CHECK_EQ(check_failed(), 0);
}

static void cancel_a_waiter(int kind) {
    need_threads();
    standstill s;
    pm_wz v;
    stage waiting = {.path = "", .fence = kind == 1, .w = &v};
    begin_standstill(&s);
    begin_fence(&s);
    waiting.h = s.h;
    open_writer(s.h, "b/", &v);
    (void)pm_rz_move_to(pm_wz_cursor(&v), "new", 3);
    cancel_in(kind == 2 ? set_once : read_at_path, &s, &waiting);
    write_at(&v, "new", 7);
    CHECK_OK(pm_wz_drop(&v));
    CHECK_OK(pm_wz_drop(&s.w));
    close_head(s.h, &s.m, "ab=1,abc=5,b/new=7,b/old=2,b/other=3,x=4");
}

TEST(head_cancelled_reader_leaves_nothing_behind) { cancel_a_waiter(0); }
TEST(head_cancelled_fence_leaves_nothing_behind) { cancel_a_waiter(1); }
TEST(head_cancelled_writer_leaves_nothing_behind) { cancel_a_waiter(2); }

/* Who looks again and again takes the lock each time. */
static void *read_and_count(void *arg) {
    stage *s = arg;
    uint64_t before = rmw_count;
    (void)read_at_path(s);
    CHECK_NOTE(rmw_count - before < 60, "%" PRIu64 " atomic read-modify-writes", rmw_count - before);
    return NULL;
}

TEST(head_waiting_needs_no_processor) {
    need_threads();
    standstill s;
    stage reading = {.path = ""};
    pthread_t t;
    begin_standstill(&s);
    if (s.h->fenced) { /* where a wake-up may be missed, who waits looks each millisecond */
        atomic_store(&gate_open, 1);
        CHECK_OK(pm_wz_drop(&s.w));
        CHECK_OK(pm_head_free(s.h, NULL, NULL));
        pm_drop(&s.m);
        SKIP("no fences of all threads here");
    }
    begin_fence(&s);
    reading.h = s.h;
    CHECK_EQ(pthread_create(&t, NULL, read_and_count, &reading), 0);
    nap(100000);
    end_fence(&s);
    CHECK_EQ(pthread_join(t, NULL), 0);
    CHECK_EQ(check_failed(), 0);
    CHECK_OK(pm_wz_drop(&s.w));
    close_head(s.h, &s.m, STANDSTILL);
}

/* ---- ends, and calls of two writers ---- */

/* Stops a thread in a call: at the next value that is retained, which is when a node of a grafted map is copied, or at
   the next one that is released. */
static _Thread_local bool stop_at_retain, stop_at_release;
static atomic_int stopped, stops_over;

static void stop_once(bool *here) {
    if (!*here) return;
    *here = false;
    int turn = atomic_fetch_add(&stopped, 1) + 1;
    wait_step(&stops_over, turn);
}

static void retain_and_stop(void *ctx, pm_val v) {
    (void)ctx;
    (void)v;
    stop_once(&stop_at_retain);
}

static void release_and_stop(void *ctx, pm_val v) {
    (void)ctx;
    (void)v;
    stop_once(&stop_at_release);
}

static pm_alg take_left(void *ctx, pm_val a, pm_val b, pm_val *out) {
    (void)ctx;
    (void)a;
    (void)b;
    (void)out;
    return PM_ALG_LEFT;
}

static const pm_ops stopping_ops = {.name = "stopping", .flags = PM_OPS_IDEMPOTENT, .retain = retain_and_stop,
                                    .release = release_and_stop, .join = take_left, .meet = take_left};

static void *close_and_stop(void *arg) {
    stop_at_release = true;
    return close_writer(arg);
}

/* The head is busy until the last hook of what ends has run. */
TEST(head_is_busy_until_a_writers_end_is_over) {
    need_threads();
    pm_map m = pm_new(&stopping_ops, NULL);
    pm_head *h;
    pm_wz w;
    pthread_t t;
    uint64_t busy = 0;
    stage s = {.w = &w};
    put(&m, "ab", 4);
    CHECK_OK(pm_head_new_move(&m, &h));
    open_writer(h, "a", &w);
    atomic_store(&stopped, 0);
    atomic_store(&stops_over, 0);
    CHECK_OK(pm_wz_begin(&w));
    write_at(&w, "b", 5); /* the group keeps 4, until it ends */
    CHECK_EQ(pthread_create(&t, NULL, close_and_stop, &s), 0);
    wait_step(&stopped, 1);
    CHECK_EQ(pm_head_free(h, NULL, &busy), PM_BUSY);
    CHECK_EQ(busy, 1);
    CHECK_STR_EQ(shown(h, ""), "ab=5");
    atomic_store(&stops_over, 1);
    CHECK_EQ(pthread_join(t, NULL), 0);
    CHECK_OK(pm_head_free(h, NULL, NULL));
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(head_take_between_writers_needs_groups_on_both_or_none) {
    for (int groups = 0; groups < 4; groups++) {
        pm_map m = letters();
        pm_head *h = head_over(&m);
        pm_wz w, from;
        pm_alg alg = PM_ALG_ELEMENT;
        open_writer(h, "ab", &w);
        open_writer(h, "x", &from);
        if (groups & 1) CHECK_OK(pm_wz_begin(&w));
        if (groups & 2) CHECK_OK(pm_wz_begin(&from));
        bool refused = groups == 1 || groups == 2;
        CHECK_EQ(pm_wz_join_take(&w, &from, PM_KEEP, &alg), refused ? PM_INVALID : PM_OK);
        if (groups == 3) CHECK_STR_EQ(shown(h, ""), LETTERS);
        if (groups & 1) CHECK_OK(pm_wz_rollback(&w));
        if (groups & 2) CHECK_OK(pm_wz_rollback(&from));
        CHECK_EQ(pm_wz_drop(&w), refused ? PM_INVALID : PM_OK);
        CHECK_OK(pm_wz_drop(&from));
        close_head(h, &m, groups ? LETTERS : "=0,ab=1,abc=2,abd=3,x!");
    }
}

/* The same with writers that no head gave out: to two maps, and to one, which a group remembers as a whole. */
TEST(head_take_between_plain_writers_needs_groups_on_both_or_none) {
    /* Two on one map are what checked builds stop at. */
    for (int same = 0; same < (PM_CHECK >= 1 ? 1 : 2); same++) {
        pm_map m = letters(), other = letters();
        pm_wz w, from;
        CHECK_OK(pm_wz_open(&m, "ab", 2, &w));
        CHECK_OK(pm_wz_open(same ? &m : &other, "x", 1, &from));
        CHECK_OK(pm_wz_begin(&w));
        CHECK_EQ(pm_wz_join_take(&w, &from, PM_KEEP, NULL), same ? PM_OK : PM_INVALID);
        CHECK_OK(pm_wz_rollback(&w));
        (void)pm_wz_drop(&w);
        CHECK_OK(pm_wz_drop(&from));
        CHECK_STR_EQ(listed(&m), LETTERS);
        CHECK_STR_EQ(listed(&other), LETTERS);
        pm_drop(&m);
        pm_drop(&other);
        CHECK_EQ(check_live_blocks(), 0);
    }
}

/* A thread that the system puts aside, until it may go on. */
static _Thread_local atomic_int *put_aside;
static void stay_aside(int number) {
    (void)number;
    if (put_aside) wait_step(put_aside, 1);
}

typedef struct taking {
    pm_head *h;
    pm_wz w[2];
    int to; /* the writer that gets the key */
    atomic_int phase;
} taking;

typedef struct snapping {
    pm_head *h;
    atomic_int go_on;
    char text[256];
} snapping;

static void *snap_aside(void *arg) {
    snapping *s = arg;
    pm_rz z;
    put_aside = &s->go_on;
    CHECK_OK(pm_head_read(s->h, "", 0, &z));
    strcpy(s->text, seen(&z));
    pm_rz_drop(&z);
    put_aside = NULL;
    return NULL;
}

static void write_from_root(pm_wz *w, const char *below, pm_val v) {
    pm_rz_reset(pm_wz_cursor(w));
    write_at(w, below, v);
}

static void *take_between_snapshots(void *arg) {
    taking *k = arg;
    stop_at_retain = true;
    write_from_root(&k->w[0], "gq/3", 9); /* here the first snapshot comes */
    write_from_root(&k->w[0], "p", 1);
    write_from_root(&k->w[1], "s", 1);
    for (int i = 0; i < 2; i++) pm_rz_reset(pm_wz_cursor(&k->w[i]));
    stop_at_retain = true;
    CHECK_OK(pm_wz_join_take(&k->w[k->to], &k->w[!k->to], PM_KEEP, NULL)); /* here the second one */
    write_from_root(&k->w[0], "t", 1);
    atomic_store(&k->phase, 1);
    return NULL;
}

static void put_aside_when_it_waits(pthread_t t) {
    nap(20000);
    signal(SIGUSR1, stay_aside); /* each time: once used it may be gone */
    CHECK_EQ(pthread_kill(t, SIGUSR1), 0);
    nap(20000);
}

/* Two snapshots wait, and both are late in taking what they wait for: the first for a call of one writer, the second
   for one that moves a key between two. */
static void two_snapshots_beside_a_move(int to) {
    need_threads();
    if (!PM__FUTEX) SKIP("a thread that is put aside as it goes to wait may have the mutex that others wait with");
    taking k = {.to = to};
    snapping s[2] = {{.h = NULL}, {.h = NULL}};
    pthread_t mover, t[2];
    pm_map m = pm_new(&stopping_ops, NULL), shared[2] = {m, m};
    atomic_store(&stopped, 0);
    atomic_store(&stops_over, 0);
    put(&m, "a/x", 1);
    put(&m, "b/x", 1);
    k.h = head_over(&m);
    open_writer(k.h, "a/", &k.w[0]);
    open_writer(k.h, "b/", &k.w[1]);
    for (int i = 0; i < 2; i++) {
        pm_wz *w = i ? &k.w[to] : &k.w[0];
        s[i].h = k.h;
        put(&shared[i], "q/1", 1);
        put(&shared[i], "q/2", 2);
        pm_rz_reset(pm_wz_cursor(w));
        (void)pm_rz_move_to(pm_wz_cursor(w), i ? "h" : "g", 1);
        CHECK_OK(pm_wz_graft_map(w, &shared[i]));
    }
    write_from_root(&k.w[!to], "key", 5);
    write_from_root(&k.w[!to], "hq/4", 6);
    CHECK_EQ(pthread_create(&mover, NULL, take_between_snapshots, &k), 0);
    for (int i = 0; i < 2; i++) {
        wait_step(&stopped, i + 1);
        CHECK_EQ(pthread_create(&t[i], NULL, snap_aside, &s[i]), 0);
        put_aside_when_it_waits(t[i]);
        atomic_store(&stops_over, i + 1);
    }
    wait_step(&k.phase, 1);
    for (int i = 0; i < 2; i++) {
        atomic_store(&s[i].go_on, 1);
        CHECK_EQ(pthread_join(t[i], NULL), 0);
        CHECK_NOTE(!strstr(s[i].text, "a/key=5") != !strstr(s[i].text, "b/key=5"), "%s", s[i].text);
        CHECK(strstr(s[i].text, "a/gq/3=9") != NULL || strstr(s[i].text, "b/gq/3=9") != NULL);
    }
    CHECK_EQ(pthread_join(mover, NULL), 0);
    for (int i = 0; i < 2; i++) {
        CHECK_OK(pm_wz_drop(&k.w[i]));
        pm_drop(&shared[i]);
    }
    CHECK_OK(pm_head_free(k.h, NULL, NULL));
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(head_call_of_two_writers_is_seen_whole_by_snapshots_that_are_late) {
    two_snapshots_beside_a_move(0);
    two_snapshots_beside_a_move(1);
}

/* ---- arguments, other processes ---- */

TEST(head_refuses_what_no_caller_should_pass) {
    pm_map m = letters();
    pm_head *h = NULL, *none = NULL;
    pm_wz w;
    pm_rz z;
    pm_map why;
    const size_t absurd = SIZE_MAX - 3;
    CHECK_EQ(pm_head_new(NULL, &none), PM_INVALID);
    CHECK_EQ(pm_head_new(&m, NULL), PM_INVALID);
    CHECK_EQ(pm_head_new_move(NULL, &none), PM_INVALID);
    CHECK_EQ(pm_head_new_move(&m, NULL), PM_INVALID);
    CHECK_STR_EQ(listed(&m), LETTERS);
    CHECK_OK(pm_head_new(&m, &h));
    for (int i = 0; i < 4; i++) { /* no head, no place for the answer, no path, a path too long */
        pm_head *to = i == 0 ? NULL : h;
        pm_wz *wz = i == 1 ? NULL : &w;
        pm_rz *rz = i == 1 ? NULL : &z;
        const char *path = i == 2 ? NULL : "ab";
        size_t len = i == 3 ? absurd : 2;
        memset(&w, 0xAA, sizeof w);
        memset(&why, 0xAA, sizeof why);
        CHECK_EQ(pm_head_write(to, path, len, wz, &why), PM_INVALID);
        CHECK(pm_is_empty(&why));
        if (wz) CHECK_OK(pm_wz_drop(wz)); /* which is zero */
        CHECK_EQ(pm_head_write_unchecked(to, path, len, wz), PM_INVALID);
        CHECK_EQ(pm_head_read(to, path, len, rz), PM_INVALID);
        CHECK_EQ(pm_head_fence(to, path, len, rz), PM_INVALID);
        CHECK_EQ(pm_head_pin(to, path, len, rz, &why), PM_INVALID);
        CHECK_EQ(pm_head_pin_unchecked(to, path, len, rz), PM_INVALID);
        if (rz) pm_rz_drop(rz);
    }
    CHECK_OK(pm_head_write(h, NULL, 0, &w, NULL)); /* the empty path needs no bytes */
    CHECK_EQ(pm_wz_begin(NULL), PM_INVALID);
    CHECK_EQ(pm_wz_commit(NULL), PM_INVALID);
    CHECK_EQ(pm_wz_rollback(NULL), PM_INVALID);
    CHECK_EQ(pm_head_new_at(NULL, &none), PM_INVALID);
    CHECK_EQ(pm_head_new_at(&w, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_join_take(&w, NULL, PM_KEEP, NULL), PM_INVALID);
    CHECK_EQ(pm_wz_drop(&w), PM_INVALID); /* the first failure is remembered */
    CHECK_EQ(pm_wz_begin(&w), PM_INVALID);
    CHECK_EQ(pm_head_new_at(&w, &none), PM_INVALID);
    CHECK_OK(pm_head_free(NULL, NULL, NULL));
    CHECK(none == NULL);
    close_head(h, &m, LETTERS);
}

/* Runs a function in a child process, which is to end with 0; 77: skipped. */
static int in_child(void (*body)(pm_head *h, pm_wz *w), pm_head *h, pm_wz *w) {
    int status = -1;
    fflush(NULL);
    pid_t child = fork();
    if (child == 0) {
        check__escape = NULL; /* the tests that follow are the parent's */
        alarm(60);
        body(h, w);
        fflush(NULL);
        _exit(check_failed() ? 1 : 0);
    }
    CHECK_EQ(waitpid(child, &status, 0), child);
    return WIFEXITED(status) ? WEXITSTATUS(status) : -1;
}

static void use_the_parents_head(pm_head *h, pm_wz *w) {
    pm_wz v;
    pm_rz z;
    write_at(w, "c", 7);
    CHECK_STR_EQ(shown(h, ""), "=0,ab=1,abc=7,abd=3,x=4");
    open_writer(h, "x", &v);
    write_at(&v, "", 8);
    CHECK_OK(pm_head_fence(h, "", 0, &z));
    CHECK_STR_EQ(seen(&z), "=0,ab=1,abc=7,abd=3,x=8");
    pm_rz_drop(&z);
    CHECK_OK(pm_wz_drop(&v));
    CHECK_OK(pm_wz_drop(w));
    CHECK_OK(pm_head_free(h, NULL, NULL));
}

TEST(head_is_usable_in_a_forked_child) {
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w;
    open_writer(h, "ab", &w);
    write_at(&w, "c", 5);
    CHECK_EQ(in_child(use_the_parents_head, h, &w), 0);
    CHECK_OK(pm_wz_drop(&w));
    close_head(h, &m, "=0,ab=1,abc=5,abd=3,x=4");
}

#if PM__MEMBARRIER
enum { CHILD_SKIPS = 77 };

/* From now on the system refuses membarrier to this process. */
static bool refuse_membarrier(void) {
    struct sock_filter f[] = {
        BPF_STMT(BPF_LD | BPF_W | BPF_ABS, 0), BPF_JUMP(BPF_JMP | BPF_JEQ | BPF_K, __NR_membarrier, 0, 1),
        BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ERRNO | EPERM), BPF_STMT(BPF_RET | BPF_K, SECCOMP_RET_ALLOW)};
    struct sock_fprog p = {sizeof f / sizeof *f, f};
    return prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) == 0 && prctl(PR_SET_SECCOMP, SECCOMP_MODE_FILTER, &p) == 0;
}

static atomic_bool enough;

static void *write_until_enough(void *arg) {
    pm_wz *w = arg;
    for (pm_val i = 0; !atomic_load(&enough); i++) {
        CHECK_OK(pm_wz_begin(w));
        write_from_root(w, "c", i);
        write_from_root(w, "d", i);
        CHECK_OK(pm_wz_commit(w));
    }
    return NULL;
}

static void read_without_membarrier(pm_head *h, pm_wz *w) {
    pthread_t t;
    CHECK_EQ(pthread_create(&t, NULL, write_until_enough, w), 0);
    for (int i = 0; i < 200; i++) {
        if (i == 100 && !refuse_membarrier()) _exit(CHILD_SKIPS);
        pm_rz z;
        CHECK_OK(i % 3 ? pm_head_read(h, "", 0, &z) : pm_head_fence(h, "", 0, &z));
        const pm_val *c = pm_rz_val_at(&z, "abc", 3), *d = pm_rz_val_at(&z, "abd", 3);
        CHECK(c && d && (*c == *d || (*c == 2 && *d == 3)));
        pm_rz_drop(&z);
    }
    atomic_store(&enough, true);
    CHECK_EQ(pthread_join(t, NULL), 0);
    for (int i = 0; i < 200; i++) write_from_root(w, "", 7); /* held seldom, it leaves fences to snapshots */
    CHECK(strstr(shown(h, "ab"), "ab=7,") != NULL);
    write_from_root(w, "", 9);
    CHECK(strstr(shown(h, "ab"), "ab=9,") != NULL);
    CHECK(h->fenced);
    write_from_root(w, "", 8);
    CHECK(w->cursor.claim->fenced); /* nobody has to be given time any more */
    CHECK(strstr(shown(h, "ab"), "ab=8,") != NULL);
    CHECK_OK(pm_wz_drop(w));
    CHECK_OK(pm_head_free(h, NULL, NULL));
}

/* A sandbox that is set up later than the first head. */
TEST(head_goes_on_where_membarrier_is_refused_later) {
    need_threads();
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w;
    bool granted = !h->fenced;
    open_writer(h, "ab", &w);
    int how = granted ? in_child(read_without_membarrier, h, &w) : CHILD_SKIPS;
    CHECK_OK(pm_wz_drop(&w));
    close_head(h, &m, LETTERS);
    if (how == CHILD_SKIPS) SKIP("membarrier or seccomp is not to be had");
    CHECK_EQ(how, 0);
}
#endif

/* Between calls: inside a group, even. */
static void *stop_between_calls(void *arg) {
    stage *s = arg;
    write_at(s->w, "c", 5);
    CHECK_OK(pm_wz_begin(s->w));
    write_at(s->w, "c", 6);
    atomic_store(&s->step, 1);
    wait_step(&s->step, 2);
    CHECK_OK(pm_wz_drop(s->w));
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
    CHECK_OK(pm_wz_drop(&v));
    CHECK_EQ(pm_head_free(h, NULL, NULL), PM_BUSY);
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
        CHECK_OK(pm_wz_remove_branches(a->w, PM_KEEP, NULL));
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
    CHECK_OK(pm_wz_drop(&w));
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
    CHECK_OK(pm_wz_drop(&a));
    CHECK_OK(pm_wz_drop(&b));
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
    CHECK_OK(pm_wz_drop(&w));
    before = rmw_count; /* a reader of what has not changed: a lock, twice, a reference gained and lost, its end */
    CHECK_OK(pm_head_read(h, "", 0, &z));
    pm_rz_drop(&z);
    CHECK_EQ(rmw_count - before, PM_NO_THREADS ? 0 : 5);
    CHECK_OK(pm_head_free(h, NULL, NULL));
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
    CHECK_OK(pm_wz_drop(&w));
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
    CHECK_OK(pm_head_free(b.h, NULL, NULL));
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
    CHECK_OK(pm_wz_remove_branches(&v, PM_KEEP, NULL));
    CHECK_OK(pm_head_fence(h, "", 0, &z));
    CHECK_OK(pm_wz_rollback(&v));
    pm_rz_drop(&z);
    CHECK_OK(pm_wz_into_reader(&v, &z));
    CHECK_OK(pm_wz_drop(&w));
    pm_rz_drop(&z);
    pm_rz_drop(&old);
    CHECK_OK(pm_head_free(h, NULL, NULL));
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
        for (int i = 0; i < 3; i++) (void)pm_wz_drop(&w[i]);
        pm_status s = pm_head_read(h, "", 0, &z[0]);
        CHECK(s == PM_OK || s == PM_NOMEM);
        pm_rz_drop(&z[0]);
        s = pm_head_free(h, NULL, NULL);
        CHECK(s == PM_OK || s == PM_NOMEM);
        if (s != PM_OK) { /* the head stays usable */
            check_fail_alloc(0);
            CHECK_OK(pm_head_read(h, "", 0, &z[0]));
            CHECK_EQ(pm_head_free(h, NULL, NULL), PM_BUSY);
            pm_rz_drop(&z[0]);
            CHECK_OK(pm_head_free(h, NULL, NULL));
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
        char key[16];
        for (unsigned i = 0; i < keys; i++) open_writer(h, (sprintf(key, "k%02u", i), key), &w[i]);
        for (unsigned i = 0; i < keys; i++) write_at(&w[i], i % 2 ? "" : "/a/longer/way", i);
        check_fail_allocs_from(1);
        for (unsigned i = 0; i < keys; i++) CHECK_OK(pm_wz_drop(&w[i]));
        pm_status s = pm_head_write(h, "k00/a", 5, &v, NULL);
        CHECK_EQ(s, PM_NOMEM);
        if (h->unsettled) {
            unsettled++;
            CHECK_EQ(pm_head_read(h, "", 0, &z), PM_NOMEM);
            CHECK_EQ(pm_head_pin(h, "", 0, &z, NULL), PM_NOMEM);
            CHECK_EQ(pm_head_free(h, NULL, NULL), PM_NOMEM);
        }
        check_fail_alloc(0);
        open_writer(h, "k00", &v);
        CHECK(pm_rz_exists(pm_wz_cursor(&v)));
        CHECK_OK(pm_wz_drop(&v));
        CHECK_OK(pm_head_free(h, NULL, NULL));
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

/* ---- many claims at once ---- */

/* Whichever of the readers that are pinned at one place goes first, the place is taken until the last one goes. */
TEST(head_readers_pinned_at_one_place_go_in_any_order) {
    static const int order[6][3] = {{0, 1, 2}, {0, 2, 1}, {1, 0, 2}, {1, 2, 0}, {2, 0, 1}, {2, 1, 0}};
    for (unsigned i = 0; i < 6; i++) {
        pm_map m = letters();
        pm_head *h = head_over(&m);
        pm_rz pin[3];
        pm_wz w;
        pm_map why;
        for (unsigned k = 0; k < 3; k++) CHECK_OK(pm_head_pin(h, "ab", 2, &pin[k], NULL));
        for (unsigned k = 0; k < 3; k++) {
            CHECK_EQ(pm_head_write(h, "abc", 3, &w, &why), PM_CONFLICT);
            CHECK_STR_EQ(listed(&why), "ab=2");
            pm_drop(&why);
            pm_rz_drop(&pin[order[i][k]]);
        }
        open_writer(h, "abc", &w);
        CHECK_OK(pm_wz_drop(&w));
        close_head(h, &m, LETTERS);
    }
}

/* Snapshots at, above, below and beside the places of many writers that have all changed something. */
TEST(head_snapshots_find_what_many_writers_have_changed) {
    enum { N = 40 };
    pm_map m = letters();
    pm_head *h = head_over(&m);
    pm_wz w[N];
    char key[16], want[64];
    for (unsigned i = 0; i < N; i++) open_writer(h, (sprintf(key, "k%02u", i), key), &w[i]);
    for (unsigned round = 0; round < 3; round++)
        for (unsigned i = 0; i < N; i++) {
            for (unsigned k = 0; k < N; k++) write_at(&w[k], "a", 1000 * round + 10 * k + i % 10);
            sprintf(key, i % 4 == 0 ? "k%02u" : i % 4 == 1 ? "k%02ua" : i % 4 == 2 ? "k%02ub" : "k%02uab", i);
            sprintf(want, "k%02ua=%u", i, 1000 * round + 10 * i + i % 10);
            CHECK_STR_EQ(shown(h, key), i % 4 < 2 ? want : "");
            pm_rz z;
            uint64_t n;
            CHECK_OK(i % 2 ? pm_head_read(h, "k", 1, &z) : pm_head_fence(h, "", 0, &z));
            CHECK_OK(pm_rz_val_count(&z, &n));
            CHECK_EQ(n, i % 2 ? N : N + 5);
            for (unsigned k = 0; k < N; k++) {
                const pm_val *v = pm_rz_val_at(&z, (sprintf(key, "k%02ua", k), key + i % 2), 4 - i % 2);
                CHECK(v && *v == 1000 * round + 10 * k + i % 10);
            }
            pm_rz_drop(&z);
        }
    for (unsigned i = 0; i < N; i++) CHECK_OK(pm_wz_drop(&w[i]));
    CHECK_OK(pm_head_free(h, NULL, NULL));
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(head_over_a_writers_focus_refreshes_its_readers) {
    pm_map m = letters();
    pm_wz host, w;
    pm_head *h = NULL;
    pm_rz all, below;
    bool changed = false;
    size_t len;
    CHECK_OK(pm_wz_open(&m, "a", 1, &host));
    pm_rz_descend_to(pm_wz_cursor(&host), "b", 1);
    CHECK_OK(pm_head_new_at(&host, &h));
    open_writer(h, "c", &w);
    CHECK_OK(pm_head_read(h, NULL, 0, &all));
    CHECK_OK(pm_head_read(h, "c", 1, &below));
    CHECK_EQ(pm_rz_move_to(&all, "cx", 2), 1); /* not there yet */
    for (pm_val v = 5; v < 8; v++) {
        write_at(&w, "x", v);
        CHECK_OK(pm_head_refresh(h, &all, &changed));
        CHECK(changed && pm_rz_val(&all) && *pm_rz_val(&all) == v);
        CHECK_OK(pm_head_refresh(h, &below, &changed));
        CHECK(changed && *pm_rz_val_at(&below, "x", 1) == v);
        CHECK_MEM_EQ(pm_rz_root_prefix(&below, &len), 3, "abc", 3);
        CHECK_MEM_EQ(pm_rz_root_prefix(&all, &len), 2, "ab", 2);
    }
    pm_rz_drop(&all);
    pm_rz_drop(&below);
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(pm_head_free(h, NULL, NULL));
    CHECK_OK(pm_wz_drop(&host));
    CHECK_STR_EQ(listed(&m), "=0,ab=1,abc=2,abcx=7,abd=3,x=4");
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}
