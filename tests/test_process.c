/* What a process does to the library: it forks while threads are at work, and it unloads a shared object that carries
   the code; and what the library asks of the system for it. A child or a thread that hangs is a failure, after ALARM
   seconds. */
#define _DEFAULT_SOURCE
#include "check.h"

#define PATHMAP_STATIC
#define PATHMAP_HUGE_PAGES 1
#include "../pathmap.h"

#include "stress.h"

#if defined(__unix__) || defined(__APPLE__)
#include <sys/wait.h>
#include <unistd.h>
#define HAS_FORK 1
#else
#define HAS_FORK 0
#endif
#if defined(PLUGIN) && defined(__linux__)
#include <dlfcn.h>
#define HAS_PLUGIN 1
#else
#define HAS_PLUGIN 0
#endif

/* The allocator of AddressSanitizer may be found locked by nobody in a child. */
#if defined(__SANITIZE_ADDRESS__)
#define CHILD_MAY_HANG 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer)
#define CHILD_MAY_HANG 1
#endif
#endif
#ifndef CHILD_MAY_HANG
#define CHILD_MAY_HANG 0
#endif

enum { ALARM = 20 };

/* ---- huge pages ---------------------------------------------------------------------------------------------- */

/* Whether the mapping that has an address is to be backed with huge pages: 1 or 0; -1: the system does not say. */
static int wants_huge_pages(const void *p) {
    FILE *f = fopen("/proc/self/smaps", "r");
    char line[512];
    bool here = false;
    int wants = -1;
    while (f && fgets(line, sizeof line, f)) {
        unsigned long long from, to;
        if (sscanf(line, "%llx-%llx ", &from, &to) == 2) here = (uintptr_t)p >= from && (uintptr_t)p < to;
        if (here && strncmp(line, "VmFlags:", 8) == 0) wants = strstr(line, " hg") != NULL;
    }
    if (f) fclose(f);
    return wants;
}

TEST(process_has_huge_pages_for_large_pools) {
    if (!PM__HUGE_PAGE || !PM_POOL) SKIP("no huge pages here");
    enum { BLOCK = 4080, BLOCKS = 5000 };
    static void *block[BLOCKS];
    pm_pool *pool;
    CHECK(pm_pool_new(NULL, &pool) == PM_OK);
    for (size_t i = 0; i < BLOCKS; i++) CHECK((block[i] = pm_pool_alloc(pool, BLOCK)) != NULL);
    const int first = wants_huge_pages(block[0]), last = wants_huge_pages(block[BLOCKS - 1]);
    for (size_t i = 0; i < BLOCKS; i++) pm_pool_dealloc(block[i], BLOCK);
    CHECK(pm_pool_free(pool) == PM_OK);
    if (last < 0) SKIP("/proc/self/smaps does not tell");
    CHECK_EQ(last, 1);
    CHECK_EQ(first, 0); /* the first chunks are small */
}

/* ---- forks --------------------------------------------------------------------------------------------------- */

#if HAS_FORK && !PM_NO_THREADS
enum { BUSY = 4, BASE = 500, ADDED = 200 };

static atomic_bool stop;
static pm_pool *own;
static pm_map bases[2]; /* of the default pool, and of `own`; no thread is ever inside of them when a child is made */
static pm_pool *shared; /* over memory that children share */
static pm_map *passed;  /* in it */

static bool add(pm_map *m, const char *prefix, unsigned n) {
    char key[32];
    for (unsigned i = 0; i < n; i++) {
        int len = snprintf(key, sizeof key, "%s%u", prefix, i * 7919);
        if (pm_set(m, key, (size_t)len, i, NULL) != PM_OK) return false;
    }
    return true;
}

typedef struct worker {
    unsigned number;
    uint64_t random, done;
    pm_map given; /* dropped by the next thread */
} worker;

static worker workers[BUSY];
static pthread_mutex_t giving = PTHREAD_MUTEX_INITIALIZER;

/* Makes maps, drops them, lets others drop them, and trims: there is always a thread at some lock of the library. */
static void *stay_busy(void *arg) {
    worker *w = arg;
    pm_pool *pool = w->number % 2 ? own : NULL;
    do { /* once at least, however late the thread is begun */
        pm_map m = pm_new(NULL, pool), theirs;
        char prefix[16];
        snprintf(prefix, sizeof prefix, "%u/", (unsigned)(check_rand_from(&w->random) % 997));
        if (!add(&m, prefix, (unsigned)(check_rand_from(&w->random) % 400)))
            check__fail(__FILE__, __LINE__, "add", NULL);
        pthread_mutex_lock(&giving);
        theirs = workers[(w->number + 1) % BUSY].given;
        workers[(w->number + 1) % BUSY].given = m;
        pthread_mutex_unlock(&giving);
        pm_drop(&theirs);
        if (check_rand_from(&w->random) % 4 == 0) pm_pool_trim(pool);
        if (check_rand_from(&w->random) % 64 == 0) {
            pm_pool *brief = NULL;
            if (pm_pool_new(NULL, &brief) != PM_OK || pm_pool_free(brief) != PM_OK) abort();
        }
        w->done++;
    } while (!atomic_load(&stop));
    return NULL;
}

/* In a child. 0, or which step failed. */
static int use_everything(unsigned turn) {
    pm_pool_stats stats;
    uint64_t n = 0;
    const char *why = "";
    for (unsigned k = 0; k < 2; k++) {
        pm_map m = pm_clone(&bases[(turn + k) % 2]);
        if (!add(&m, "child", ADDED)) return 2;
        if (pm_val_count(&m, &n) != PM_OK || n != BASE + ADDED) return 3;
        if (pm_check(&m, &why) != PM_OK || pm_check(&bases[k], &why) != PM_OK) return 4;
        pm_drop(&m);
        pm_drop(&bases[(turn + k) % 2]); /* also what others have made */
    }
    for (unsigned k = 0; k < 2; k++) {
        pm_pool_trim(k ? own : NULL);
        pm_pool_get_stats(k ? own : NULL, &stats);
    }
    pm_status s = pm_pool_free(own); /* busy with what was in other threads' hands */
    if (s != PM_OK && s != PM_BUSY) return 5;
    pm_pool *fresh = NULL;
    if (pm_pool_new(NULL, &fresh) != PM_OK) return 6;
    pm_map m = pm_new(NULL, fresh);
    if (!add(&m, "fresh", ADDED)) return 7;
    pm_drop(&m);
    return pm_pool_free(fresh) == PM_OK ? 0 : 8;
}

static void *use_more(void *arg) {
    pm_map m = {0};
    *(bool *)arg = add(&m, "thread", ADDED);
    pm_drop(&m);
    return NULL;
}

/* New threads may have the address of one that is gone. */
static int use_threads(void) {
    bool right[BUSY] = {false};
    pthread_t t[BUSY];
    if (PM__TSAN) return 0; /* which allows no threads in such a child */
    for (unsigned i = 0; i < BUSY; i++)
        if (pthread_create(&t[i], NULL, use_more, &right[i])) return 10;
    for (unsigned i = 0; i < BUSY; i++)
        if (pthread_join(t[i], NULL) || !right[i]) return 11;
    return 0;
}

static void run_child(unsigned turn) {
    alarm(ALARM);
    int failed = use_everything(turn);
    if (!failed && turn % 8 == 0) failed = use_threads();
    if (!failed && passed) {
        char prefix[16];
        snprintf(prefix, sizeof prefix, "child%u/", turn);
        if (!add(passed, prefix, 3)) failed = 20;
    }
    _exit(failed);
}

static void start_busy(pthread_t t[BUSY]) {
    atomic_store(&stop, false);
    CHECK_OK(pm_pool_new(NULL, &own));
    for (unsigned i = 0; i < 2; i++) {
        bases[i] = pm_new(NULL, i ? own : NULL);
        CHECK(add(&bases[i], "base", BASE));
    }
    for (unsigned i = 0; i < BUSY; i++) workers[i] = (worker){.number = i, .random = check_rand()};
    for (unsigned i = 0; i < BUSY; i++) { CHECK_EQ(pthread_create(&t[i], NULL, stay_busy, &workers[i]), 0); }
}

static void end_busy(pthread_t t[BUSY], uint64_t children, double started) {
    uint64_t done = 0;
    atomic_store(&stop, true);
    for (unsigned i = 0; i < BUSY; i++) CHECK_EQ(pthread_join(t[i], NULL), 0);
    for (unsigned i = 0; i < BUSY; i++) {
        pm_drop(&workers[i].given);
        done += workers[i].done;
    }
    pm_drop(&bases[0]);
    pm_drop(&bases[1]);
    pm_pool_stats stats;
    pm_pool_get_stats(NULL, &stats);
    CHECK_EQ(stats.nodes, 0);
    CHECK_OK(pm_pool_free(own));
    CHECK(done > 0);
    printf("# %" PRIu64 " children while %d threads made %" PRIu64 " maps, %.1f s\n", children, BUSY, done,
           now() - started);
}

TEST(process_child_of_a_busy_program_uses_maps_and_pools) {
    enum { REGION = 1 << 20 };
    static _Alignas(64) unsigned char private_region[REGION];
    pthread_t t[BUSY];
    unsigned n = 0;
    double started = now();
    if (CHILD_MAY_HANG) SKIP("the checker's own allocator may hang in a child");
    start_busy(t);
    CHECK_OK(pm_pool_new_in(private_region, sizeof private_region, NULL, &shared));
    static pm_map in_region;
    in_region = pm_new(NULL, shared);
    passed = &in_region;
    while ((n < 60 || now() - started < stress_seconds()) && check_failed() == 0) {
        pid_t child = fork();
        if (child == 0) run_child(n);
        int status = -1;
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        CHECK_NOTE(status == 0, "child %u: %s %d", n, WIFSIGNALED(status) ? "signal" : "step",
                   WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
        n++;
    }
    pm_drop(passed);
    CHECK_OK(pm_pool_free(shared));
    end_busy(t, n, started);
}
#else
TEST(process_child_of_a_busy_program_uses_maps_and_pools) { SKIP("no fork, or no threads"); }
#endif

/* ---- shared objects ------------------------------------------------------------------------------------------ */

#if HAS_PLUGIN && !PM_NO_THREADS
typedef struct plugin {
    void *handle;
    int (*work)(unsigned n);
    void (*trim)(void);
} plugin;

static plugin plugin_load(void) {
    plugin p = {.handle = dlopen(PLUGIN, RTLD_NOW | RTLD_LOCAL)};
    CHECK_NOTE(p.handle != NULL, "%s", dlerror());
    void *work = dlsym(p.handle, "plugin_work"), *trim = dlsym(p.handle, "plugin_trim");
    CHECK(work && trim);
    memcpy(&p.work, &work, sizeof work);
    memcpy(&p.trim, &trim, sizeof trim);
    return p;
}

/* Whether the code has really gone; some systems never unload. */
static bool plugin_unload(plugin p) {
    CHECK_EQ(dlclose(p.handle), 0);
    void *again = dlopen(PLUGIN, RTLD_NOW | RTLD_NOLOAD);
    if (again) dlclose(again);
    return again == NULL;
}

typedef struct visitor {
    pthread_barrier_t turn;
    plugin p;
    bool trims;
    int wrong;
} visitor;

static void *visit(void *arg) {
    visitor *v = arg;
    v->wrong = v->p.work(300);
    if (v->trims) v->p.trim();
    pthread_barrier_wait(&v->turn);
    pthread_barrier_wait(&v->turn); /* and ends when the plugin is gone */
    return NULL;
}

/* More loads than there are keys. */
TEST(process_unloads_code_that_threads_have_used) {
    visitor v = {.wrong = 0};
    unsigned gone = 0, loads = 0;
    alarm(120);
    CHECK_EQ(pthread_barrier_init(&v.turn, NULL, 2), 0);
    for (; loads < 1100; loads++) {
        pthread_t t;
        v.p = plugin_load();
        v.trims = loads % 4 != 0;
        if (loads % 3 == 2) {
            gone += plugin_unload(v.p);
            continue;
        }
        if (loads % 3 == 1) CHECK_EQ(v.p.work(50), 0);
        CHECK_EQ(pthread_create(&t, NULL, visit, &v), 0);
        pthread_barrier_wait(&v.turn);
        gone += plugin_unload(v.p);
        pthread_barrier_wait(&v.turn);
        CHECK_EQ(pthread_join(t, NULL), 0);
        CHECK_EQ(v.wrong, 0);
    }
    pthread_barrier_destroy(&v.turn);
    alarm(0);
    printf("# %u loads, %u of them unloaded\n", loads, gone);
}

#if HAS_FORK
/* What the plugin asked to be told of forks must go with it. */
TEST(process_forks_after_code_is_unloaded) {
    for (unsigned i = 0; i < 3; i++) {
        plugin p = plugin_load();
        CHECK_EQ(p.work(100), 0);
        bool gone = plugin_unload(p);
        pid_t child = fork();
        if (child == 0) {
            alarm(ALARM);
            _exit(gone ? 0 : p.work(100));
        }
        int status = -1;
        CHECK(child > 0 && waitpid(child, &status, 0) == child);
        CHECK_EQ(status, 0);
    }
}
#endif
#else
TEST(process_unloads_code_that_threads_have_used) { SKIP("no dlopen here, or no threads"); }
#endif
