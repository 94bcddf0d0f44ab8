/* Files of the system: reading, writing, syncing, locks, mapping, names. What POSIX has, else what <stdio.h> has. */
#include "11_memory.c"
#include "18_files.h"

#if PM__FILES

typedef struct pm__disk_file {
    int fd;
} pm__disk_file;

static int pm__disk_fd(const void *file) { return ((const pm__disk_file *)file)->fd; }

/* Opens a file. Below 0: that failed. */
static int pm__disk_fd_open(const char *name, int how) {
    int fd;
    do fd = open(name, how, 0666);
    while (fd < 0 && errno == EINTR);
    return fd;
}

static pm_status pm__disk_open(void *ctx, const char *name, bool write, bool make, bool empty, void **file) {
    pm__disk_file *f = (pm__disk_file *)pm__mem_alloc_big(sizeof *f);
    (void)ctx;
    if (!f) return PM_NOMEM;
    int how = (write ? O_RDWR : O_RDONLY) | (make ? O_CREAT : 0) | (empty ? O_TRUNC : 0);
    f->fd = pm__disk_fd_open(name, how);
    if (f->fd >= 0) {
        (void)fcntl(f->fd, F_SETFD, FD_CLOEXEC);
        *file = f;
        return PM_OK;
    }
    pm__mem_free_big(f, sizeof *f);
    return PM_IO;
}

static void pm__disk_close(void *ctx, void *file) {
    (void)ctx;
    (void)close(pm__disk_fd(file)); /* after EINTR the descriptor is gone, or in other hands */
    pm__mem_free_big(file, sizeof(pm__disk_file));
}

static pm_status pm__disk_size(void *ctx, void *file, uint64_t *size) {
    struct stat st;
    (void)ctx;
    if (fstat(pm__disk_fd(file), &st) != 0 || st.st_size < 0) return PM_IO;
    *size = (uint64_t)st.st_size;
    return PM_OK;
}

static pm_status pm__disk_read(void *ctx, void *file, uint64_t at, void *to, size_t n, size_t *got) {
    (void)ctx;
    for (*got = 0; *got < n;) {
        ssize_t k = pm__pread(pm__disk_fd(file), (uint8_t *)to + *got, n - *got, (pm__off)(at + *got));
        if (k < 0 && errno == EINTR) continue;
        if (k < 0) return PM_IO;
        if (k == 0) break;
        *got += (size_t)k;
    }
    return PM_OK;
}

static pm_status pm__disk_write(void *ctx, void *file, uint64_t at, const void *from, size_t n) {
    (void)ctx;
    for (size_t done = 0; done < n;) {
        ssize_t k = pm__pwrite(pm__disk_fd(file), (const uint8_t *)from + done, n - done, (pm__off)(at + done));
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return PM_IO;
        done += (size_t)k;
    }
    return PM_OK;
}

static pm_status pm__disk_sync(void *ctx, void *file) {
    int r;
    (void)ctx;
    do {
#if defined(__APPLE__) && defined(F_FULLFSYNC)
        r = fcntl(pm__disk_fd(file), F_FULLFSYNC);
        if (r != 0 && errno != EINTR) r = fsync(pm__disk_fd(file));
#elif defined(__linux__)
        r = fdatasync(pm__disk_fd(file));
#else
        r = fsync(pm__disk_fd(file));
#endif
    } while (r != 0 && errno == EINTR);
    return r == 0 ? PM_OK : PM_IO;
}

static pm_status pm__disk_cut(void *ctx, void *file, uint64_t size) {
    int r;
    (void)ctx;
    do r = pm__ftruncate(pm__disk_fd(file), (pm__off)size);
    while (r != 0 && errno == EINTR);
    return r == 0 ? PM_OK : PM_IO;
}

static pm_status pm__disk_map(void *ctx, void *file, size_t len, const void **at) {
    (void)ctx;
    void *p = mmap(NULL, len, PROT_READ, MAP_SHARED, pm__disk_fd(file), 0);
    if (p == MAP_FAILED) return PM_IO;
    *at = p;
    return PM_OK;
}

static void pm__disk_unmap(void *ctx, const void *at, size_t len) {
    (void)ctx;
    (void)munmap((void *)(uintptr_t)at, len);
}

/* A lock of the open file, not of the process: so another pm_store of the same process is kept out too, and closing one
   that reads gives nothing up. */
static pm_status pm__disk_lock(void *ctx, void *file) {
    int r;
    (void)ctx;
    do r = flock(pm__disk_fd(file), LOCK_EX | LOCK_NB);
    while (r != 0 && errno == EINTR);
    return r == 0 ? PM_OK : errno == EWOULDBLOCK ? PM_BUSY : PM_IO;
}

static pm_status pm__disk_named(void *ctx, void *file, const char *name, bool *same) {
    struct stat a, b;
    (void)ctx;
    if (fstat(pm__disk_fd(file), &a) != 0) return PM_IO;
    if (stat(name, &b) != 0) return PM_IO;
    *same = a.st_dev == b.st_dev && a.st_ino == b.st_ino;
    return PM_OK;
}

static pm_status pm__disk_rename(void *ctx, const char *from, const char *to) {
    (void)ctx;
    return rename(from, to) == 0 ? PM_OK : PM_IO;
}

static pm_status pm__disk_sync_name(void *ctx, const char *name) {
    size_t n = strlen(name);
    (void)ctx;
    while (n && name[n - 1] != '/') n--;
    char *dir = (char *)pm__mem_alloc_big(n + 2);
    if (!dir) return PM_NOMEM;
    if (n) memcpy(dir, name, n);
    dir[n] = '.', dir[n + 1] = 0;
    int fd = pm__disk_fd_open(dir, O_RDONLY), r = -1;
    pm__mem_free_big(dir, n + 2);
    if (fd < 0) return PM_IO;
    do r = fsync(fd);
    while (r != 0 && errno == EINTR);
    bool none = r != 0 && errno == EINVAL; /* a file system that knows no such thing */
    (void)close(fd);
    return r == 0 || none ? PM_OK : PM_IO;
}

/* Random words, as far as the system has some. */
static void pm__disk_random(uint64_t out[2]) {
    int fd = pm__disk_fd_open("/dev/urandom", O_RDONLY);
    uint64_t w[2];
    if (fd < 0) return;
    if (read(fd, w, sizeof w) == (ssize_t)sizeof w) out[0] ^= w[0], out[1] ^= w[1];
    (void)close(fd);
}

static const pm_files pm__disk_files = {
    NULL,         pm__disk_open, pm__disk_close, pm__disk_size, pm__disk_read,  pm__disk_write,  pm__disk_sync,
    pm__disk_cut, pm__disk_map,  pm__disk_unmap, pm__disk_lock, pm__disk_named, pm__disk_rename, pm__disk_sync_name};

#elif !PM_NO_STDIO

/* Files of <stdio.h>: for one process, one thread at a time, and without any word on what is on the disk. */
static pm_status pm__disk_open(void *ctx, const char *name, bool write, bool make, bool empty, void **file) {
    (void)ctx;
    FILE *f = empty ? NULL : fopen(name, write ? "r+b" : "rb");
    if (!f && make && write) f = fopen(name, "w+b");
    *file = f;
    return f ? PM_OK : PM_IO;
}

static void pm__disk_close(void *ctx, void *file) {
    (void)ctx;
    (void)fclose((FILE *)file);
}

static pm_status pm__disk_size(void *ctx, void *file, uint64_t *size) {
    (void)ctx;
    long n = fseek((FILE *)file, 0, SEEK_END) == 0 ? ftell((FILE *)file) : -1;
    *size = n < 0 ? 0 : (uint64_t)n;
    return n < 0 ? PM_IO : PM_OK;
}

static pm_status pm__disk_read(void *ctx, void *file, uint64_t at, void *to, size_t n, size_t *got) {
    (void)ctx;
    if (at > LONG_MAX || fseek((FILE *)file, (long)at, SEEK_SET) != 0) return PM_IO;
    *got = fread(to, 1, n, (FILE *)file);
    return *got < n && ferror((FILE *)file) ? PM_IO : PM_OK;
}

static pm_status pm__disk_write(void *ctx, void *file, uint64_t at, const void *from, size_t n) {
    (void)ctx;
    if (at > LONG_MAX || fseek((FILE *)file, (long)at, SEEK_SET) != 0) return PM_IO;
    return fwrite(from, 1, n, (FILE *)file) == n && fflush((FILE *)file) == 0 ? PM_OK : PM_IO;
}

static pm_status pm__disk_sync(void *ctx, void *file) {
    (void)ctx, (void)file;
    return PM_IO; /* there is no way: stores must be `unsynced` here */
}

/* Cannot cut: what is behind the last commit is written over, and its checksum keeps it from being taken for one. */
static pm_status pm__disk_cut(void *ctx, void *file, uint64_t size) {
    (void)ctx, (void)file, (void)size;
    return PM_OK;
}

static pm_status pm__disk_lock(void *ctx, void *file) {
    (void)ctx, (void)file;
    return PM_OK;
}

static pm_status pm__disk_named(void *ctx, void *file, const char *name, bool *same) {
    (void)ctx, (void)file, (void)name;
    *same = true;
    return PM_OK;
}

static pm_status pm__disk_rename(void *ctx, const char *from, const char *to) {
    (void)ctx, (void)from, (void)to;
    return PM_IO;
}

static pm_status pm__disk_sync_name(void *ctx, const char *name) {
    (void)ctx, (void)name;
    return PM_OK;
}

static void pm__disk_random(uint64_t out[2]) { (void)out; }

static const pm_files pm__disk_files = {
    NULL,         pm__disk_open, pm__disk_close, pm__disk_size, pm__disk_read,  pm__disk_write,  pm__disk_sync,
    pm__disk_cut, NULL,          NULL,           pm__disk_lock, pm__disk_named, pm__disk_rename, pm__disk_sync_name};

#else

static void pm__disk_random(uint64_t out[2]) { (void)out; }

#endif

PM_API const pm_files *pm_files_default(void) {
#if PM_NO_STDIO
    return NULL;
#else
    return &pm__disk_files;
#endif
}
