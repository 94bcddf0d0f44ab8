/* Files as a table needs them: the whole of one in memory, mapped where the system can; and one that is replaced by
   another, whole or not at all. POSIX, and Windows, where files are read and not mapped. */

#include "10_platform.c"
#include "11_memory.c"

#if !INTERN_NO_FILES
#define INTERN__PART_MAX 32u /* bytes that a temporary name is longer than the path */

/* What writes a file's content, given where to `put` it. */
typedef intern_status (*intern__file_fill)(void *ctx, bool (*put)(void *to, const void *data, size_t len), void *to);

static void intern__file_name_part(char *part, const char *path) {
    sprintf(part, "%s.%016llx.part", path, (unsigned long long)intern__random());
}
#endif

#if !INTERN_NO_FILES && INTERN__POSIX
/* Opens a regular file; -1 if that cannot be. A pipe is not waited for. */
static int intern__file_open(const char *path, size_t *len) {
    struct stat st;
    int fd = open(path, O_RDONLY | O_NONBLOCK | O_CLOEXEC);
    if (fd < 0) return -1;
    if (fstat(fd, &st) != 0 || !S_ISREG(st.st_mode) || (uint64_t)st.st_size > PTRDIFF_MAX) {
        close(fd);
        return -1;
    }
    *len = (size_t)st.st_size;
    return fd;
}

/* The file's bytes in a block of intern__line_alloc. */
static intern_status intern__file_copy(int fd, uint8_t **at, size_t len) {
    size_t have = 0;
    uint8_t *to = (uint8_t *)intern__line_alloc(len);
    for (ssize_t n = 1; to && have < len && n > 0; have += n > 0 ? (size_t)n : 0)
        n = read(fd, to + have, len - have < 1u << 30 ? len - have : 1u << 30);
    if (!to) return INTERN_NOMEM;
    if (have < len) {
        intern__line_free(to, len);
        return INTERN_IO;
    }
    *at = to;
    return INTERN_OK;
}

/* Maps a file privately: writes to it stay in this process. An empty file is mapped as NULL. */
static intern_status intern__file_map(int fd, uint8_t **at, size_t len) {
    void *p = len ? mmap(NULL, len, PROT_READ | PROT_WRITE, MAP_PRIVATE, fd, 0) : NULL;
    if (p == MAP_FAILED) return INTERN_IO;
    *at = (uint8_t *)p;
    return INTERN_OK;
}

/* Gets a whole file into memory. `mapped` NULL: into a block of intern__line_alloc; else *mapped tells whether it is
   mapped, or in such a block. */
static intern_status intern__file_read(const char *path, bool *mapped, uint8_t **at, size_t *len) {
    int state = intern__cancel_hold(), fd = intern__file_open(path, len);
    intern_status s = fd < 0 ? INTERN_IO : mapped ? intern__file_map(fd, at, *len) : intern__file_copy(fd, at, *len);
    if (fd >= 0) close(fd);
    if (mapped) *mapped = s == INTERN_OK;
    intern__cancel_release(state);
    return s;
}

static void intern__file_unmap(void *at, size_t len) { munmap(at, len); }

/* A write may take fewer bytes than it was given: go on until all are taken. */
static bool intern__file_write(void *ctx, const void *data, size_t len) {
    const uint8_t *p = (const uint8_t *)data;
    while (len) {
        ssize_t n = write(*(int *)ctx, p, len < 1u << 30 ? len : 1u << 30);
        if (n < 0 && errno == EINTR) continue;
        if (n <= 0) return false;
        p += n;
        len -= (size_t)n;
    }
    return true;
}

/* What the file is to replace: nothing, or a regular file, whose mode it gets. A link would have to be followed or
   destroyed. *mode: 0 if there is nothing. */
static bool intern__file_replaceable(const char *path, mode_t *mode) {
    struct stat st;
    char byte;
    *mode = 0;
    if (readlink(path, &byte, 1) >= 0) return false;
    if (stat(path, &st) != 0) return errno == ENOENT;
    *mode = st.st_mode & 07777;
    return S_ISREG(st.st_mode);
}

/* Makes a file beside `path` under a name that nothing had: neither a link nor what a crash left is opened. */
static int intern__file_create(const char *path, char *part, mode_t mode) {
    int fd = -1;
    for (unsigned tries = 0; fd < 0 && tries < 100; tries++) {
        intern__file_name_part(part, path);
        fd = open(part, O_WRONLY | O_CREAT | O_EXCL | O_NOFOLLOW | O_CLOEXEC, mode ? 0600 : 0666);
        if (fd < 0 && errno != EEXIST) break;
    }
    if (fd >= 0 && mode && fchmod(fd, mode) != 0) {
        close(fd);
        remove(part);
        fd = -1;
    }
    return fd;
}

/* Syncs the folder of a path, so that the new name outlives a crash. Some systems cannot open or sync folders. */
static bool intern__file_sync_folder(char *path) {
    char *slash = strrchr(path, '/');
    if (slash) slash[slash == path] = 0;
    int fd = open(slash ? path : ".", O_RDONLY | O_CLOEXEC);
    if (fd < 0) return true;
    bool synced = fsync(fd) == 0 || errno != EIO;
    close(fd);
    return synced;
}

static intern_status intern__file_replace_by(const char *path, char *part, intern__file_fill fill, void *ctx) {
    mode_t mode;
    if (!intern__file_replaceable(path, &mode)) return INTERN_IO;
    int fd = intern__file_create(path, part, mode);
    if (fd < 0) return INTERN_IO;
    intern_status s = fill(ctx, intern__file_write, &fd);
    if (s == INTERN_OK && fsync(fd) != 0) s = INTERN_IO;
    if (close(fd) != 0 && s == INTERN_OK) s = INTERN_IO;
    if (s == INTERN_OK && !intern__file_replaceable(path, &mode)) s = INTERN_IO; /* a link that came meanwhile */
    if (s == INTERN_OK && rename(part, path) != 0) s = INTERN_IO;
    if (s != INTERN_OK) remove(part);
    else if (!intern__file_sync_folder(part)) s = INTERN_IO;
    return s;
}
#elif !INTERN_NO_FILES
/* Gets a whole file into a block of intern__line_alloc. */
static intern_status intern__file_read(const char *path, bool *mapped, uint8_t **at, size_t *len) {
    LARGE_INTEGER size;
    intern_status s = INTERN_IO;
    HANDLE f = CreateFileA(path, GENERIC_READ, FILE_SHARE_READ, NULL, OPEN_EXISTING, FILE_ATTRIBUTE_NORMAL, NULL);
    if (mapped) *mapped = false;
    if (f == INVALID_HANDLE_VALUE) return INTERN_IO;
    if (GetFileType(f) == FILE_TYPE_DISK && GetFileSizeEx(f, &size) && (uint64_t)size.QuadPart <= PTRDIFF_MAX) {
        DWORD n = 1;
        size_t have = 0;
        *len = (size_t)size.QuadPart;
        *at = (uint8_t *)intern__line_alloc(*len);
        for (; *at && have < *len && n; have += n)
            if (!ReadFile(f, *at + have, *len - have < 1u << 30 ? (DWORD)(*len - have) : 1u << 30, &n, NULL)) n = 0;
        s = !*at ? INTERN_NOMEM : have == *len ? INTERN_OK : INTERN_IO;
        if (s == INTERN_IO) intern__line_free(*at, *len);
    }
    CloseHandle(f);
    return s;
}

static void intern__file_unmap(void *at, size_t len) { (void)at, (void)len; }

static bool intern__file_write(void *ctx, const void *data, size_t len) {
    const uint8_t *p = (const uint8_t *)data;
    for (DWORD n; len; p += n, len -= n)
        if (!WriteFile(*(HANDLE *)ctx, p, len < 1u << 30 ? (DWORD)len : 1u << 30, &n, NULL) || !n) return false;
    return true;
}

/* Nothing, or a regular file; a link (reparse point) or a folder is not to be replaced. */
static bool intern__file_replaceable(const char *path) {
    DWORD what = GetFileAttributesA(path);
    return what == INVALID_FILE_ATTRIBUTES || !(what & (FILE_ATTRIBUTE_DIRECTORY | FILE_ATTRIBUTE_REPARSE_POINT));
}

static intern_status intern__file_replace_by(const char *path, char *part, intern__file_fill fill, void *ctx) {
    if (!intern__file_replaceable(path)) return INTERN_IO;
    intern__file_name_part(part, path);
    HANDLE f = CreateFileA(part, GENERIC_WRITE, 0, NULL, CREATE_NEW, FILE_ATTRIBUTE_NORMAL, NULL);
    if (f == INVALID_HANDLE_VALUE) return INTERN_IO;
    intern_status s = fill(ctx, intern__file_write, &f);
    if (s == INTERN_OK && !FlushFileBuffers(f)) s = INTERN_IO;
    if (!CloseHandle(f) && s == INTERN_OK) s = INTERN_IO;
    if (s == INTERN_OK && !(intern__file_replaceable(path) &&
                            MoveFileExA(part, path, MOVEFILE_REPLACE_EXISTING | MOVEFILE_WRITE_THROUGH)))
        s = INTERN_IO;
    if (s != INTERN_OK) (void)DeleteFileA(part);
    return s;
}
#else
static void intern__file_unmap(void *at, size_t len) { (void)at, (void)len; }
#endif

#if !INTERN_NO_FILES
/* Puts a file in the place of `path`, whole or not at all; `fill` writes it. */
static intern_status intern__file_replace(const char *path, intern__file_fill fill, void *ctx) {
    size_t size = strlen(path) + INTERN__PART_MAX;
    char *part = (char *)INTERN_MALLOC(size);
    if (!part) return INTERN_NOMEM;
    int kept = errno, state = intern__cancel_hold();
    intern_status s = intern__file_replace_by(path, part, fill, ctx);
    intern__cancel_release(state);
    errno = kept;
    INTERN_FREE(part, size);
    return s;
}
#endif
