/* Stores where the system says no: limits of a file's size, a full disk, media that cannot be written, signals that
   interrupt. Each is a clear error, nothing that was committed is lost, and the store goes on when there is room. */
#if defined(__linux__)
#define _GNU_SOURCE
#else
#define _DEFAULT_SOURCE
#endif
#include "check.h"
#define PATHMAP_STATIC
#include "../pathmap.h"

#if PM__FILES

#include <signal.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/time.h>
#include <sys/wait.h>
#include <unistd.h>
#if defined(__linux__)
#include <sched.h>
#include <sys/mount.h>
#endif

enum { ROOM = 200000 };

/* Version n has n at 300 numbers. */
static pm_status commit_version(pm_store *s, pm_map *m, uint64_t n, pm_error *error) {
    for (uint16_t i = 0; i < 300; i++) {
        uint8_t key[3] = {(uint8_t)(i % 7), (uint8_t)(i >> 8), (uint8_t)i};
        pm_status st = pm_set(m, key, sizeof key, n, NULL);
        if (st != PM_OK) return st;
    }
    return pm_store_commit(s, m, &(pm_commit_options){.label = {n, 0}}, error);
}

/* The newest version is n, whole, and so is the file. */
static void check_newest(pm_store *s, uint64_t n) {
    pm_commit v;
    pm_opt got;
    CHECK_OK(pm_store_verify(s, NULL));
    CHECK_OK(pm_store_last(s, &v));
    CHECK(v.sequence == n && v.label[0] == n);
    CHECK_OK(pm_image_get(&v.image, 0, (uint8_t[]){6, 1, 15}, 3, &got));
    CHECK(!got.some);
    CHECK_OK(pm_image_get(&v.image, 0, (uint8_t[]){5, 0, 5}, 3, &got));
    CHECK(got.some && got.val == n);
    pm_commit_drop(&v);
}

/* Commits until there is no room. Returns the number of the last version; *m is one ahead of it. */
static uint64_t fill_up(pm_store *s, pm_map *m) {
    pm_error error = {PM_OK, 0, ""};
    pm_store_info before, after;
    uint64_t n = 0;
    pm_status st = PM_OK;
    while (st == PM_OK) {
        pm_store_get_info(s, &before);
        st = commit_version(s, m, ++n, &error);
    }
    pm_store_get_info(s, &after);
    CHECK(st == PM_IO && error.code == PM_IO && error.msg[0] && error.offset == before.size);
    CHECK(n > 5 && before.size == after.size && !after.failed && after.sequence == n - 1);
    check_newest(s, n - 1);
    CHECK(commit_version(s, m, n, NULL) == PM_IO); /* still */
    check_newest(s, n - 1);
    return n - 1;
}

TEST(stores_meet_a_limit_of_size) {
    char name[] = "/tmp/pathmap_full_XXXXXX";
    int fd = mkstemp(name);
    struct rlimit was = {0, 0}, less;
    pm_store *s = NULL;
    pm_map m = {0};
    struct stat st;
    CHECK(fd >= 0 && close(fd) == 0 && getrlimit(RLIMIT_FSIZE, &was) == 0);
    void (*old)(int) = signal(SIGXFSZ, SIG_IGN);
    less = was;
    less.rlim_cur = ROOM;
    CHECK_OK(pm_store_open(name, &(pm_store_options){.create = true}, &s, NULL));
    CHECK(setrlimit(RLIMIT_FSIZE, &less) == 0);
    uint64_t n = fill_up(s, &m);
    pm_store_info info;
    pm_store_get_info(s, &info);
    CHECK(stat(name, &st) == 0 && (uint64_t)st.st_size == info.size); /* what was written in part is cut off */
    CHECK(setrlimit(RLIMIT_FSIZE, &was) == 0);
    CHECK_OK(commit_version(s, &m, n + 1, NULL));
    check_newest(s, n + 1);
    pm_store_close(s);
    CHECK_OK(pm_store_open(name, NULL, &s, NULL));
    check_newest(s, n + 1);
    pm_store_close(s);
    pm_drop(&m);
    (void)signal(SIGXFSZ, old);
    (void)remove(name);
}

static volatile sig_atomic_t rung;
static void ring(int number) {
    (void)number;
    rung = rung + 1;
}

TEST(stores_are_interrupted) {
    char name[] = "/tmp/pathmap_full_XXXXXX";
    int fd = mkstemp(name);
    struct sigaction how, old;
    struct itimerval often = {{0, 200}, {0, 200}}, never = {{0, 0}, {0, 0}};
    pm_store *s = NULL;
    pm_map m = {0};
    CHECK(fd >= 0 && close(fd) == 0);
    memset(&how, 0, sizeof how);
    how.sa_handler = ring; /* without SA_RESTART */
    rung = 0;
    CHECK(sigaction(SIGALRM, &how, &old) == 0 && setitimer(ITIMER_REAL, &often, NULL) == 0);
    CHECK_OK(pm_store_open(name, &(pm_store_options){.create = true}, &s, NULL));
    uint64_t n = 0;
    while (n < 50 || (rung < 20 && n < 5000)) CHECK_OK(commit_version(s, &m, ++n, NULL));
    CHECK_OK(pm_store_compact(s, NULL, NULL, NULL));
    CHECK(setitimer(ITIMER_REAL, &never, NULL) == 0 && sigaction(SIGALRM, &old, NULL) == 0);
    CHECK(rung >= 20);
    check_newest(s, n);
    pm_store_close(s);
    pm_drop(&m);
    (void)remove(name);
}

#if defined(__linux__)

/* In a process of its own, on a file system of its own; 77: there is none to be had. */
static int on_a_small_disk(const char *folder) {
    pm_store *s = NULL;
    pm_map m = {0};
    pm_error error = {PM_OK, 0, ""};
    char name[64];
    if (unshare(CLONE_NEWNS) != 0 || mount("none", "/", NULL, MS_REC | MS_PRIVATE, NULL) != 0 ||
        mount("none", folder, "tmpfs", 0, "size=256k") != 0)
        return 77;
    snprintf(name, sizeof name, "%s/s", folder);
    CHECK_OK(pm_store_open(name, &(pm_store_options){.create = true}, &s, NULL));
    uint64_t n = fill_up(s, &m);
    CHECK(pm_store_compact(s, NULL, NULL, &error) == PM_OK || error.code == PM_IO);
    if (error.code == PM_OK) {
        CHECK_OK(commit_version(s, &m, n + 1, NULL)); /* what it gave back is enough */
        n++;
    }
    check_newest(s, n);
    pm_store_close(s);
    CHECK(mount("none", folder, "tmpfs", MS_REMOUNT | MS_RDONLY, "size=256k") == 0);
    error.code = PM_OK;
    CHECK(pm_store_open(name, NULL, &s, &error) == PM_IO && error.code == PM_IO && error.msg[0]);
    CHECK_OK(pm_store_open(name, &(pm_store_options){.read_only = true}, &s, NULL));
    check_newest(s, n);
    CHECK(pm_store_commit(s, &m, NULL, NULL) == PM_INVALID);
    pm_store_close(s);
    pm_drop(&m);
    return 0;
}

TEST(stores_meet_a_full_disk_and_one_that_cannot_be_written) {
    char folder[] = "/tmp/pathmap_disk_XXXXXX";
    int how = 0;
    CHECK(mkdtemp(folder) != NULL);
    fflush(stdout);
    pid_t child = fork();
    CHECK(child >= 0);
    if (child == 0) {
        check__escape = NULL;
        _exit(on_a_small_disk(folder));
    }
    CHECK(waitpid(child, &how, 0) == child);
    (void)rmdir(folder);
    if (WIFEXITED(how) && WEXITSTATUS(how) == 77) SKIP("no file system of its own");
    CHECK(WIFEXITED(how) && WEXITSTATUS(how) == 0);
}

#endif
#endif
