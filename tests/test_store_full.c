/* Stores where the system says no: limits of a file's size, a full disk, media that cannot be written, signals that
   interrupt, each system call that fails. Each is a clear error, nothing that was committed is lost, and the store goes
   on when there is room. */
#if defined(__linux__)
#define _GNU_SOURCE
#else
#define _DEFAULT_SOURCE
#endif
#include "check.h"

/* ---- system calls that fail ---- */

#if defined(__linux__)
#include <errno.h>
#include <fcntl.h>
#include <sys/file.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <unistd.h>

/* What the library asks of the system goes through these. Calls count as one list, whatever they are. */
enum {
    SYS_NONE, SYS_OPEN, SYS_FSTAT, SYS_STAT, SYS_READ, SYS_WRITE, SYS_SYNC, SYS_SYNC_NAME, SYS_CUT, SYS_MAP, SYS_LOCK,
    SYS_RENAME
};
static struct {
    bool interrupts; /* each call that may be interrupted is, the first time; and moves a part of what it should */
    bool again;      /* the next call is one that was interrupted */
    uint64_t calls, fail_at;
    int error, failed;   /* what the call at fail_at says; which that was */
    bool heard;           /* some call of the library has told of it */
    int64_t open, mapped; /* descriptors, bytes */
} sys;

/* Whether a call fails now. */
static bool sys_fails(int which, bool may_be_interrupted) {
    if (sys.interrupts && may_be_interrupted && (sys.again = !sys.again)) {
        errno = EINTR;
        return true;
    }
    errno = EINTR; /* of some call long ago: it means nothing */
    if (++sys.calls != sys.fail_at) return false;
    sys.failed = which;
    errno = sys.error;
    return true;
}

static size_t sys_part(size_t n) { return sys.interrupts && n > 1 ? (n + 1) / 2 : n; }

static int sys_open(const char *name, int how, ...) {
    if (sys_fails(SYS_OPEN, true)) {
        sys.heard = strcmp(name, "/dev/urandom") == 0; /* it does without */
        return -1;
    }
    int fd = open(name, how, 0666);
    sys.open += fd >= 0;
    return fd;
}
static int sys_close(int fd) {
    sys.open--;
    return close(fd);
}
static int sys_fstat(int fd, struct stat *st) { return sys_fails(SYS_FSTAT, false) ? -1 : fstat(fd, st); }
static int sys_stat(const char *name, struct stat *st) { return sys_fails(SYS_STAT, false) ? -1 : stat(name, st); }
static ssize_t sys_pread(int fd, void *to, size_t n, int64_t at) {
    return sys_fails(SYS_READ, true) ? -1 : pread(fd, to, sys_part(n), (off_t)at);
}
static ssize_t sys_pwrite(int fd, const void *from, size_t n, int64_t at) {
    return sys_fails(SYS_WRITE, true) ? -1 : pwrite(fd, from, sys_part(n), (off_t)at);
}
static int sys_fdatasync(int fd) { return sys_fails(SYS_SYNC, true) || fcntl(fd, F_GETFD) < 0 ? -1 : 0; }
static int sys_fsync(int fd) { return sys_fails(SYS_SYNC_NAME, true) || fcntl(fd, F_GETFD) < 0 ? -1 : 0; }
static int sys_ftruncate(int fd, int64_t len) { return sys_fails(SYS_CUT, true) ? -1 : ftruncate(fd, (off_t)len); }
static void *sys_mmap(void *at, size_t n, int how, int flags, int fd, off_t from) {
    void *p = sys_fails(SYS_MAP, false) ? MAP_FAILED : mmap(at, n, how, flags, fd, from);
    if (p != MAP_FAILED) sys.mapped += (int64_t)n;
    return p;
}
static int sys_munmap(void *at, size_t n) {
    sys.mapped -= (int64_t)n;
    return munmap(at, n);
}
static int sys_flock(int fd, int how) { return sys_fails(SYS_LOCK, true) ? -1 : flock(fd, how); }
static int sys_rename(const char *from, const char *to) { return sys_fails(SYS_RENAME, false) ? -1 : rename(from, to); }

#define open sys_open
#define close sys_close
#define fstat(fd, st) sys_fstat(fd, st)
#define stat(name, st) sys_stat(name, st)
#define pread64 sys_pread
#define pwrite64 sys_pwrite
#define pread sys_pread
#define pwrite sys_pwrite
#define fdatasync sys_fdatasync
#define fsync sys_fsync
#define ftruncate64 sys_ftruncate
#define ftruncate sys_ftruncate
#define mmap sys_mmap
#define munmap sys_munmap
#define flock(fd, how) sys_flock(fd, how)
#define rename sys_rename
#endif

#pragma GCC diagnostic push
#pragma GCC diagnostic ignored "-Wshadow" /* members and parameters have such names too */
#define PATHMAP_STATIC
#include "../pathmap.h"
#pragma GCC diagnostic pop
#undef open
#undef close
#undef fstat
#undef stat
#undef rename

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

/* The status of a call, which is PM_IO if, and only if, a call of the system fails in it, or may be. */
static bool passes(pm_status st, bool failed_before) {
    if (st == PM_OK) return true;
    CHECK(st == PM_IO && sys.failed && !failed_before);
    sys.heard = true;
    return false;
}

/* A life of a store: commits, a reader that catches up, a second writer, compaction. Returns the number of the last
   version that is there; *may_be: of the last that may be. */
static uint64_t live(const char *name, uint64_t *may_be) {
    pm_store *s = NULL, *reader = NULL, *other = NULL;
    pm_store_info info = {.failed = false};
    pm_map m = {0};
    pm_commit v;
    pm_error error = {PM_OK, 0, ""};
    uint64_t n = 0;
    bool changed, met = false, ok = true;
    if (!passes(pm_store_open(name, &(pm_store_options){.create = true}, &s, &error), met)) {
        CHECK(error.code == PM_IO && error.msg[0]);
        return *may_be = 0;
    }
    met = sys.failed != SYS_NONE;
    (void)passes(pm_store_open(name, &(pm_store_options){.read_only = true}, &reader, NULL), met);
    met = sys.failed != SYS_NONE;
    pm_status st = pm_store_open(name, NULL, &other, &error);
    CHECK(st == PM_BUSY || !passes(st, met));
    for (unsigned turn = 0; turn < 6 && !info.failed; turn++) { /* once a sync has failed it must be opened anew */
        met = sys.failed != SYS_NONE;
        n += passes(commit_version(s, &m, n + 1, &error), met);
        met = sys.failed != SYS_NONE;
        ok = !reader || passes(pm_store_refresh(reader, &changed), met);
        pm_store_get_info(s, &info);
        if (reader && ok && n && !info.failed) {
            CHECK_OK(pm_store_last(reader, &v));
            CHECK_EQ(v.label[0], n);
            pm_commit_drop(&v);
        }
        met = sys.failed != SYS_NONE;
        if (turn == 3 && !info.failed) (void)passes(pm_store_compact(s, NULL, NULL, &error), met);
        pm_store_get_info(s, &info);
    }
    *may_be = n + info.failed;
    pm_store_close(reader);
    pm_store_close(s);
    pm_drop(&m);
    return n;
}

/* Lives through that, and opens what is left. */
static void live_and_look(bool interrupts, uint64_t fail_at, int with) {
    char name[] = "/tmp/pathmap_calls_XXXXXX", part[64];
    int fd = mkstemp(name);
    pm_store *s = NULL;
    pm_commit v;
    uint64_t may_be = 0;
    CHECK(fd >= 0 && close(fd) == 0 && remove(name) == 0);
    memset(&sys, 0, sizeof sys);
    sys.interrupts = interrupts, sys.fail_at = fail_at, sys.error = with;
    uint64_t n = live(name, &may_be);
    CHECK_EQ(sys.open, 0);
    CHECK_EQ(sys.mapped, 0);
    sys.interrupts = false, sys.fail_at = 0;
    CHECK_OK(pm_store_open(name, &(pm_store_options){.create = true}, &s, NULL));
    CHECK_OK(pm_store_verify(s, NULL));
    if (n) {
        CHECK_OK(pm_store_last(s, &v));
        CHECK(v.label[0] >= n && v.label[0] <= may_be);
        pm_commit_drop(&v);
    }
    pm_store_close(s);
    CHECK_EQ(sys.open, 0);
    (void)remove(name);
    (void)snprintf(part, sizeof part, "%s.part", name);
    (void)remove(part);
}

TEST(stores_do_each_call_again_that_was_interrupted) {
    live_and_look(true, 0, 0);
    CHECK_EQ(sys.failed, SYS_NONE);
    CHECK(!sys.again);
}

TEST(stores_hear_of_each_call_that_fails) {
    unsigned met[SYS_RENAME + 1] = {0};
    for (uint64_t at = 1;; at++) {
        live_and_look(false, at, EIO);
        if (!sys.failed) break;
        CHECK_NOTE(sys.heard, "call %u, kind %d", (unsigned)at, sys.failed);
        met[sys.failed]++;
        if (sys.failed != SYS_SYNC_NAME) continue;
        live_and_look(false, at, EINVAL); /* a file system that cannot sync folders */
        CHECK(sys.failed == SYS_SYNC_NAME && !sys.heard);
    }
    for (unsigned i = SYS_OPEN; i <= SYS_RENAME; i++) CHECK_NOTE(met[i] > 0, "%u", i);
}

#endif
#endif
