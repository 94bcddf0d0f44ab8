/* The interner in the order of its bytes: snapshots as maps, and prefix search. */
#include "check.h"

#include "library.h"

#define INTERNING_STATIC
#define INTERN_PATHMAP 1
#define INTERN_MALLOC(n) check_malloc(n)
#define INTERN_FREE(p, n) check_free(p, n)
#include "../interning.h"

#include <pthread.h>
#include <sys/wait.h>
#include <unistd.h>

static intern_table *table_new(intern_permit *p) {
    intern_table *t = NULL;
    CHECK_OK(intern_table_new(NULL, &t));
    CHECK_OK(intern_permit_acquire(t, p));
    return t;
}

static void table_end(intern_table *t, intern_permit *p) {
    CHECK_OK(intern_permit_release(p));
    intern_table_free(t);
}

/* The i-th key: numbers in words, so that order of bytes is not order of symbols, and prefixes are shared. */
static size_t key_text(char *buffer, size_t i) {
    static const char *const word[] = {"nil", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine"};
    size_t len = 0;
    do {
        len += (size_t)sprintf(buffer + len, "%s%s", word[i % 10], i >= 10 ? "." : "");
        i /= 10;
    } while (i);
    return len;
}

static void add_keys(intern_table *t, const intern_permit *p, size_t from, size_t to) {
    char key[200];
    for (size_t i = from; i < to; i++) {
        intern_symbol s;
        CHECK_OK(intern_get_or_insert(t, p, key, key_text(key, i), &s, NULL));
        CHECK_EQ(s, i + 1);
    }
}

/* A snapshot holds keys 0 to n - 1, each with its symbol, and nothing else. */
static void check_map(const pm_map *m, size_t n) {
    char key[200];
    uint64_t count = 0;
    CHECK_OK(pm_val_count(m, &count));
    CHECK_EQ(count, n);
    for (size_t i = 0; i < n; i++) {
        const pm_val *v = pm_get(m, key, key_text(key, i));
        CHECK(v != NULL);
        CHECK_EQ(*v, i + 1);
    }
}

TEST(snapshot_is_a_map_of_all_symbols_and_never_changes) {
    intern_permit p;
    intern_table *t = table_new(&p);
    pm_map empty, some, more;
    CHECK_OK(intern_snapshot(t, &empty));
    CHECK(pm_is_empty(&empty));
    add_keys(t, &p, 0, 500);
    CHECK_OK(intern_snapshot(t, &some));
    add_keys(t, &p, 500, 2000);
    CHECK_OK(intern_snapshot(t, &more));
    CHECK(pm_is_empty(&empty));
    check_map(&some, 500);
    check_map(&more, 2000);
    pm_drop(&empty);
    pm_drop(&more);
    table_end(t, &p);
    check_map(&some, 500); /* it outlives the table */
    pm_drop(&some);
}

TEST(snapshot_without_news_is_a_clone) {
    intern_permit p;
    intern_table *t = table_new(&p);
    pm_map a, b;
    add_keys(t, &p, 0, 3000);
    CHECK_OK(intern_snapshot(t, &a));
    check_fail_alloc(0);
    CHECK_OK(intern_snapshot(t, &b));
    CHECK_EQ(check_allocs(), 0); /* O(1): nothing is allocated, and both share one root */
    CHECK_EQ(a.root, b.root);
    pm_drop(&a);
    pm_drop(&b);
    table_end(t, &p);
}

TEST(snapshot_may_be_written_to_by_its_owner) {
    intern_permit p;
    intern_table *t = table_new(&p);
    pm_map a, b;
    add_keys(t, &p, 0, 200);
    CHECK_OK(intern_snapshot(t, &a));
    CHECK_OK(pm_set(&a, "mine", 4, 99, NULL));
    CHECK_OK(pm_remove(&a, "one", 3, PM_PRUNE, NULL));
    CHECK_OK(intern_snapshot(t, &b));
    check_map(&b, 200);
    CHECK(!pm_contains(&b, "mine", 4));
    pm_drop(&a);
    pm_drop(&b);
    table_end(t, &p);
}

TEST(snapshot_holds_the_empty_key_and_zero_bytes) {
    intern_permit p;
    intern_table *t = table_new(&p);
    intern_symbol e, z;
    pm_map m;
    CHECK_OK(intern_get_or_insert(t, &p, NULL, 0, &e, NULL));
    CHECK_OK(intern_get_or_insert(t, &p, "\0\0", 2, &z, NULL));
    CHECK_OK(intern_snapshot(t, &m));
    CHECK_EQ(*pm_get(&m, "", 0), e);
    CHECK_EQ(*pm_get(&m, "\0\0", 2), z);
    CHECK(!pm_contains(&m, "\0", 1));
    pm_drop(&m);
    table_end(t, &p);
}

typedef struct visit {
    const char *prefix;
    size_t prefix_len, n, stop_after;
    char last[200];
    size_t last_len;
    intern_table *t;
    const intern_permit *adds; /* NULL: the callback only looks */
} visit;

static bool on_symbol(void *ctx, intern_symbol s, const void *data, size_t len) {
    visit *v = ctx;
    size_t same = 0;
    CHECK(len >= v->prefix_len && memcmp(data, v->prefix, v->prefix_len) == 0);
    CHECK_PTR_EQ(intern_bytes(v->t, s, &same), data); /* the table's own copy */
    CHECK_EQ(same, len);
    CHECK_EQ(intern_get(v->t, data, len), s);
    if (v->n) {
        int c = memcmp(v->last, data, len < v->last_len ? len : v->last_len);
        CHECK(c < 0 || (c == 0 && v->last_len < len)); /* strictly rising */
    }
    memcpy(v->last, data, len);
    v->last_len = len;
    v->n++;
    if (v->adds) {
        char key[200];
        intern_symbol added;
        size_t n = (size_t)sprintf(key, "%.*szzz%zu", (int)v->prefix_len, v->prefix, v->n);
        CHECK_OK(intern_get_or_insert(v->t, v->adds, key, n, &added, NULL));
    }
    return v->n != v->stop_after;
}

static size_t visit_all(intern_table *t, const char *prefix, size_t stop_after, const intern_permit *adds) {
    visit v;
    memset(&v, 0, sizeof v);
    v.prefix = prefix, v.prefix_len = strlen(prefix), v.t = t, v.stop_after = stop_after, v.adds = adds;
    CHECK_OK(intern_each_prefix(t, prefix, v.prefix_len, on_symbol, &v));
    return v.n;
}

static size_t count_plain(size_t n, const char *prefix) {
    char key[200];
    size_t found = 0;
    for (size_t i = 0; i < n; i++) {
        size_t len = key_text(key, i);
        found += len >= strlen(prefix) && memcmp(key, prefix, strlen(prefix)) == 0;
    }
    return found;
}

TEST(prefix_search_visits_what_begins_with_it_in_order) {
    static const char *const prefixes[] = {"",   "n",          "o",    "one",       "one.", "one.t",
                                           "th", "three.four", "zero", "nine.nine."};
    enum { N = 5000 };
    intern_permit p;
    intern_table *t = table_new(&p);
    add_keys(t, &p, 0, N);
    for (size_t i = 0; i < sizeof prefixes / sizeof prefixes[0]; i++)
        CHECK_EQ(visit_all(t, prefixes[i], 0, NULL), count_plain(N, prefixes[i]));
    CHECK_EQ(visit_all(t, "one", 1, NULL), 1); /* the prefix itself comes first, and a callback may stop */
    CHECK_EQ(visit_all(t, "two", 7, NULL), 7);
    CHECK_EQ(intern_each_prefix(t, NULL, 1, on_symbol, NULL), INTERN_INVALID);
    CHECK_EQ(intern_each_prefix(t, "", 0, NULL, NULL), INTERN_INVALID);
    table_end(t, &p);
}

TEST(prefix_search_does_not_visit_what_its_callback_adds) {
    intern_permit p;
    intern_table *t = table_new(&p);
    add_keys(t, &p, 0, 300);
    size_t n = count_plain(300, "f");
    CHECK_EQ(visit_all(t, "f", 0, &p), n);
    CHECK_EQ(visit_all(t, "f", 0, NULL), 2 * n); /* next time it is there */
    table_end(t, &p);
}

TEST(no_memory_for_a_snapshot_loses_nothing) {
    enum { N = 300 };
    char key[200];
    uint64_t fails = 0;
    bool done = false;
    for (uint64_t nth = 1; !done; nth++) {
        intern_permit p;
        intern_table *t = table_new(&p);
        pm_map m = pm_new(NULL, NULL);
        visit v;
        memset(&v, 0, sizeof v);
        v.prefix = "", v.t = t;
        add_keys(t, &p, 0, N);
        pm_pool_trim(NULL); /* so that maps must ask for memory each time */
        check_fail_alloc(nth);
        intern_status s = intern_snapshot(t, &m);
        if (s == INTERN_OK) {
            s = intern_each_prefix(t, "", 0, on_symbol, &v);
            done = s == INTERN_OK && check_alloc_fails() == 0;
        }
        fails += s != INTERN_OK;
        CHECK(s == INTERN_OK || s == INTERN_NOMEM);
        check_fail_alloc(0);
        pm_drop(&m);
        CHECK_OK(intern_snapshot(t, &m));
        check_map(&m, N);
        CHECK_EQ(intern_get(t, key, key_text(key, 7)), 8);
        pm_drop(&m);
        table_end(t, &p);
    }
    CHECK(fails > 1);
}

/* Each time there is memory for a little more. */
TEST(snapshot_that_stopped_for_want_of_memory_goes_on_from_there) {
    enum { N = 20000 }; /* some chunks of the pool */
    intern_permit p;
    pm_pool_trim(NULL);
    uint64_t blocks = check_live_blocks(), before = 1, half_way = 0;
    intern_table *t = table_new(&p);
    pm_map m;
    visit v;
    intern_status s = INTERN_NOMEM;
    memset(&v, 0, sizeof v);
    v.prefix = "", v.t = t;
    add_keys(t, &p, 0, N);
    for (uint64_t nth = 1; s != INTERN_OK; nth++) {
        check_fail_allocs_from(nth);
        s = intern_each_prefix(t, "", 0, on_symbol, &v);
        check_fail_alloc(0);
        CHECK(s == INTERN_OK || s == INTERN_NOMEM);
        if (s == INTERN_OK) break;
        CHECK_EQ(v.n, 0);
        if (!t->ordered) continue;
        uint64_t next = ((intern__ordered *)t->ordered)->next[p.slot];
        CHECK(next >= before);
        half_way += next > before && next <= N;
        before = next;
    }
    CHECK_EQ(v.n, N);
    CHECK(half_way > 0);
    CHECK_OK(intern_snapshot(t, &m));
    check_map(&m, N);
    pm_drop(&m);
    table_end(t, &p);
    pm_pool_trim(NULL);
    CHECK_EQ(check_live_blocks(), blocks);
}

/* With a prefix, which the search must remember. */
TEST(no_memory_for_a_prefix_search_keeps_nothing) {
    intern_permit p;
    pm_pool_trim(NULL);
    uint64_t blocks = check_live_blocks(), fails = 0;
    intern_table *t = table_new(&p);
    pm_map m;
    bool done = false;
    size_t n = count_plain(300, "one.t");
    add_keys(t, &p, 0, 300);
    CHECK_OK(intern_snapshot(t, &m));
    pm_drop(&m);
    for (uint64_t nth = 1; !done; nth++) {
        visit v;
        memset(&v, 0, sizeof v);
        v.prefix = "one.t", v.prefix_len = 5, v.t = t;
        pm_pool_trim(NULL);
        check_fail_alloc(nth);
        intern_status s = intern_each_prefix(t, v.prefix, v.prefix_len, on_symbol, &v);
        done = s == INTERN_OK && check_alloc_fails() == 0;
        CHECK(s == INTERN_OK ? v.n == n : s == INTERN_NOMEM && check_alloc_fails() == 1);
        check_fail_alloc(0);
        fails += s != INTERN_OK;
    }
    CHECK(fails > 0);
    table_end(t, &p);
    pm_pool_trim(NULL);
    CHECK_EQ(check_live_blocks(), blocks);
}

/* Snapshots beside writers: each holds a leading part of every writer's keys. */
typedef struct writer {
    intern_table *t;
    unsigned number;
    size_t n;
    _Atomic unsigned *done;
} writer;

static void *write_keys(void *arg) {
    writer *w = arg;
    intern_permit p;
    char key[64];
    CHECK_OK(intern_permit_acquire(w->t, &p));
    for (size_t i = 0; i < w->n; i++) {
        intern_symbol s;
        size_t len = (size_t)sprintf(key, "w%u %zu", w->number, i);
        CHECK_OK(intern_get_or_insert(w->t, &p, key, len, &s, NULL));
    }
    CHECK_OK(intern_permit_release(&p));
    atomic_fetch_add(w->done, 1);
    return NULL;
}

TEST(snapshots_beside_writers_are_whole) {
    enum { WRITERS = 3, N = 3000 };
    intern_table *t = NULL;
    pthread_t thread[WRITERS];
    writer work[WRITERS];
    _Atomic unsigned done = 0;
    char key[64];
    CHECK_OK(intern_table_new(NULL, &t));
    for (unsigned i = 0; i < WRITERS; i++) {
        writer w = {t, i, N, &done};
        work[i] = w;
        CHECK_EQ(pthread_create(&thread[i], NULL, write_keys, &work[i]), 0);
    }
    for (bool last = false; !last;) {
        pm_map m;
        uint64_t total = 0, count = 0;
        last = atomic_load(&done) == WRITERS;
        CHECK_OK(intern_snapshot(t, &m));
        for (unsigned w = 0; w < WRITERS; w++) {
            size_t i = 0;
            const pm_val *v;
            while ((v = pm_get(&m, key, (size_t)sprintf(key, "w%u %zu", w, i))) != NULL) {
                CHECK_EQ(intern_get(t, key, strlen(key)), *v);
                i++;
            }
            if (last) CHECK_EQ(i, N);
            total += i;
        }
        CHECK_OK(pm_val_count(&m, &count));
        CHECK_EQ(count, total); /* no key beyond a gap */
        pm_drop(&m);
    }
    for (unsigned i = 0; i < WRITERS; i++) CHECK_EQ(pthread_join(thread[i], NULL), 0);
    intern_table_free(t);
}

/* At the fork somebody was bringing the table's map up to date: here, whoever holds that lock. */
TEST(snapshot_in_a_forked_child_does_without_a_map_that_others_were_at) {
    intern_permit p;
    intern_table *t = table_new(&p);
    pm_map before = {0}, after = {0};
    int status = 0;
    add_keys(t, &p, 0, 300);
    CHECK_OK(intern_snapshot(t, &before));
    add_keys(t, &p, 300, 500);
    for (int held = 0; held < 2; held++) {
        if (held) intern__lock_take(&t->ordered_lock);
        pid_t child = fork();
        if (child == 0) {
            uint64_t n = 0;
            alarm(20);
            bool good = (t->ordered == NULL) == (held == 1) && intern_snapshot(t, &after) == INTERN_OK;
            good = good && pm_val_count(&after, &n) == PM_OK && n == 500;
            _exit(good ? 0 : 1);
        }
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        CHECK(WIFEXITED(status) && WEXITSTATUS(status) == 0);
        if (held) intern__lock_give(&t->ordered_lock);
    }
    CHECK_OK(intern_snapshot(t, &after));
    check_map(&after, 500);
    check_map(&before, 300);
    pm_drop(&before), pm_drop(&after);
    table_end(t, &p);
    pm_pool_trim(NULL);
    CHECK_EQ(check_failed(), 0);
}
