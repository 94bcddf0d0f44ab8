/* A disk in memory for pm_files, that fails when told to, and remembers all that was done to it: so what it may hold
   after a power loss at any point can be made. Include after check.h and pathmap.h. */
#ifndef DISKS_H
#define DISKS_H

#if defined(__has_include)
#if __has_include(<sanitizer/asan_interface.h>)
#include <sanitizer/asan_interface.h>
#endif
#endif
#ifndef ASAN_POISON_MEMORY_REGION
#define ASAN_POISON_MEMORY_REGION(at, n) ((void)0)
#define ASAN_UNPOISON_MEMORY_REGION(at, n) ((void)0)
#endif

enum { DISK_FILES = 64, DISK_CAP = 1 << 21, DISK_NAME = 24, DISK_SECTOR = 512, DISK_PAGE = 4096 };

typedef struct disk_inode {
    uint8_t *data; /* DISK_CAP bytes, zeros behind the end */
    size_t size;
    unsigned opens;
    bool locked;
} disk_inode;

typedef enum disk_what { DISK_WRITE, DISK_CUT, DISK_SYNC, DISK_RENAME, DISK_SYNC_NAME, DISK_MADE } disk_what;

typedef struct disk_op {
    disk_what what;
    unsigned inode;
    uint64_t at;
    size_t len;
    uint8_t *bytes;
    char name[DISK_NAME];
    uint64_t commits; /* how many had returned before */
} disk_op;

typedef struct disk {
    disk_inode inodes[DISK_FILES];
    unsigned used;
    char names[DISK_FILES][DISK_NAME];
    unsigned leads[DISK_FILES]; /* 1 + inode; 0: free */
    disk_op *ops;
    size_t n, cap;
    bool remembers;
    uint64_t commits; /* the test counts them */
    uint64_t calls, fail_at, bytes_read;
    unsigned maps;
} disk;

typedef struct disk_handle {
    unsigned inode;
    bool locks;
} disk_handle;

/* Counts a call; true: it is to fail. */
CHECK__UNUSED static bool disk_fails(disk *d) { return ++d->calls == d->fail_at; }

CHECK__UNUSED static void disk_note(disk *d, disk_op op, const void *bytes) {
    if (!d->remembers) return;
    if (d->n == d->cap) {
        d->cap = d->cap ? 2 * d->cap : 64;
        d->ops = realloc(d->ops, d->cap * sizeof *d->ops);
        if (!d->ops) abort();
    }
    if (bytes) {
        op.bytes = malloc(op.len + 1);
        if (!op.bytes) abort();
        memcpy(op.bytes, bytes, op.len);
    }
    op.commits = d->commits;
    d->ops[d->n++] = op;
}

CHECK__UNUSED static unsigned *disk_lookup(disk *d, const char *name, bool make) {
    for (unsigned i = 0; i < DISK_FILES; i++)
        if (d->leads[i] && strcmp(d->names[i], name) == 0) return &d->leads[i];
    for (unsigned i = 0; make && i < DISK_FILES; i++) {
        if (d->leads[i]) continue;
        snprintf(d->names[i], DISK_NAME, "%s", name);
        return &d->leads[i];
    }
    return NULL;
}

/* Data of files that are gone, and their sizes: to make and drop blocks as large as these takes longer than what most
   tests do with them. AddressSanitizer reports who still touches what was written there. */
static disk_inode disk_spares[DISK_FILES];
static unsigned disk_spares_used;

CHECK__UNUSED static unsigned disk_inode_new(disk *d) {
    if (d->used == DISK_FILES) abort();
    disk_inode *i = &d->inodes[d->used];
    if (disk_spares_used) {
        *i = disk_spares[--disk_spares_used];
        ASAN_UNPOISON_MEMORY_REGION(i->data, i->size);
        memset(i->data, 0, i->size);
    } else {
        i->data = calloc(DISK_CAP, 1);
        if (!i->data) abort();
    }
    i->size = 0;
    return d->used++;
}

CHECK__UNUSED static void disk_inode_free(disk_inode *i) {
    ASAN_POISON_MEMORY_REGION(i->data, i->size);
    if (disk_spares_used < DISK_FILES) disk_spares[disk_spares_used++] = *i;
    else free(i->data);
}

CHECK__UNUSED static pm_status disk_open(void *ctx, const char *name, bool write, bool make, bool empty, void **file) {
    disk *d = ctx;
    (void)write;
    if (disk_fails(d)) return PM_IO;
    unsigned *leads = disk_lookup(d, name, make);
    if (!leads) return PM_IO;
    if (!*leads) {
        *leads = 1 + disk_inode_new(d);
        disk_op op = {.what = DISK_MADE, .inode = *leads - 1};
        snprintf(op.name, DISK_NAME, "%s", name);
        disk_note(d, op, NULL);
    }
    disk_inode *inode = &d->inodes[*leads - 1];
    if (empty && inode->size) {
        memset(inode->data, 0, inode->size);
        inode->size = 0;
        disk_note(d, (disk_op){.what = DISK_CUT, .inode = *leads - 1}, NULL);
    }
    disk_handle *h = malloc(sizeof *h);
    if (!h) abort();
    *h = (disk_handle){*leads - 1, false};
    inode->opens++;
    *file = h;
    return PM_OK;
}

CHECK__UNUSED static void disk_close(void *ctx, void *file) {
    disk *d = ctx;
    disk_handle *h = file;
    d->inodes[h->inode].opens--;
    if (h->locks) d->inodes[h->inode].locked = false;
    free(h);
}

CHECK__UNUSED static disk_inode *disk_of(disk *d, void *file) { return &d->inodes[((disk_handle *)file)->inode]; }

CHECK__UNUSED static pm_status disk_size(void *ctx, void *file, uint64_t *size) {
    disk *d = ctx;
    *size = disk_of(d, file)->size;
    return disk_fails(d) ? PM_IO : PM_OK;
}

CHECK__UNUSED static pm_status disk_read(void *ctx, void *file, uint64_t at, void *to, size_t n, size_t *got) {
    disk *d = ctx;
    const disk_inode *i = disk_of(d, file);
    *got = 0;
    if (disk_fails(d)) return PM_IO;
    if (at >= i->size) return PM_OK;
    *got = n < i->size - at ? n : (size_t)(i->size - at);
    memcpy(to, i->data + at, *got);
    d->bytes_read += *got;
    return PM_OK;
}

CHECK__UNUSED static pm_status disk_write(void *ctx, void *file, uint64_t at, const void *from, size_t n) {
    disk *d = ctx;
    disk_inode *i = disk_of(d, file);
    bool fails = disk_fails(d);
    if (fails) n = n / 2; /* a part of it is written all the same */
    if (at + n > DISK_CAP) return PM_IO;
    memcpy(i->data + at, from, n);
    if (at + n > i->size) i->size = (size_t)at + n;
    disk_note(d, (disk_op){.what = DISK_WRITE, .inode = ((disk_handle *)file)->inode, .at = at, .len = n}, from);
    return fails ? PM_IO : PM_OK;
}

CHECK__UNUSED static pm_status disk_sync(void *ctx, void *file) {
    disk *d = ctx;
    if (disk_fails(d)) return PM_IO;
    disk_note(d, (disk_op){.what = DISK_SYNC, .inode = ((disk_handle *)file)->inode}, NULL);
    return PM_OK;
}

CHECK__UNUSED static pm_status disk_cut(void *ctx, void *file, uint64_t size) {
    disk *d = ctx;
    disk_inode *i = disk_of(d, file);
    if (disk_fails(d)) return PM_IO;
    if (size < i->size) memset(i->data + size, 0, i->size - size);
    i->size = (size_t)size;
    disk_note(d, (disk_op){.what = DISK_CUT, .inode = ((disk_handle *)file)->inode, .at = size}, NULL);
    return PM_OK;
}

CHECK__UNUSED static pm_status disk_map(void *ctx, void *file, size_t len, const void **at) {
    disk *d = ctx;
    if (disk_fails(d) || len > DISK_CAP) return PM_IO;
    *at = disk_of(d, file)->data;
    d->maps++;
    return PM_OK;
}

CHECK__UNUSED static void disk_unmap(void *ctx, const void *at, size_t len) {
    disk *d = ctx;
    (void)at, (void)len;
    d->maps--;
}

CHECK__UNUSED static pm_status disk_lock(void *ctx, void *file) {
    disk *d = ctx;
    disk_handle *h = file;
    if (disk_fails(d)) return PM_IO;
    if (d->inodes[h->inode].locked) return PM_BUSY;
    d->inodes[h->inode].locked = h->locks = true;
    return PM_OK;
}

CHECK__UNUSED static pm_status disk_named(void *ctx, void *file, const char *name, bool *same) {
    disk *d = ctx;
    const unsigned *leads = disk_lookup(d, name, false);
    if (disk_fails(d) || !leads) return PM_IO;
    *same = *leads == 1 + ((disk_handle *)file)->inode;
    return PM_OK;
}

CHECK__UNUSED static pm_status disk_rename(void *ctx, const char *from, const char *to) {
    disk *d = ctx;
    unsigned *a = disk_lookup(d, from, false), *b = disk_lookup(d, to, true);
    if (disk_fails(d) || !a || !b) return PM_IO;
    disk_op op = {.what = DISK_RENAME, .inode = *a - 1};
    snprintf(op.name, DISK_NAME, "%s", to);
    disk_note(d, op, NULL);
    *b = *a;
    *a = 0;
    return PM_OK;
}

CHECK__UNUSED static pm_status disk_sync_name(void *ctx, const char *name) {
    disk *d = ctx;
    if (disk_fails(d)) return PM_IO;
    disk_op op = {.what = DISK_SYNC_NAME};
    snprintf(op.name, DISK_NAME, "%s", name);
    disk_note(d, op, NULL);
    return PM_OK;
}

/* maps: files are mapped; else they are read into memory. */
CHECK__UNUSED static pm_files disk_files(disk *d, bool maps) {
    pm_files f = {d,        disk_open, disk_close, disk_size,  disk_read,   disk_write,    disk_sync,
                  disk_cut, NULL,      NULL,       disk_lock,  disk_named,  disk_rename,   disk_sync_name};
    if (maps) f.map = disk_map, f.unmap = disk_unmap;
    return f;
}

CHECK__UNUSED static void disk_free(disk *d) {
    for (unsigned i = 0; i < d->used; i++) disk_inode_free(&d->inodes[i]);
    for (size_t i = 0; i < d->n; i++) free(d->ops[i].bytes);
    free(d->ops);
    *d = (disk){0};
}

/* A file of these bytes. */
CHECK__UNUSED static disk disk_with(const char *name, const void *data, size_t size) {
    disk d = {0};
    unsigned i = disk_inode_new(&d);
    *disk_lookup(&d, name, true) = 1 + i;
    memcpy(d.inodes[i].data, data, size);
    d.inodes[i].size = size;
    return d;
}

CHECK__UNUSED static disk_inode *disk_file(disk *d, const char *name) {
    const unsigned *leads = disk_lookup(d, name, false);
    return leads ? &d->inodes[*leads - 1] : NULL;
}

/* Makes all checksums of a store fit, so that what else is wrong must be found by itself, or does no harm. For tests
   that contain the implementation. */
#ifdef PATHMAP_IMPLEMENTATION
CHECK__UNUSED static void disk_mend_sums(uint8_t *data, size_t size) {
    enum { RECORD = PM__DURABLE_RECORD, HEADER = PM__DURABLE_HEADER };
    uint64_t id[2] = {pm__load64le(data + 16), pm__load64le(data + 24)}, at = size - RECORD;
    for (;;) {
        uint64_t before = pm__load64le(data + at + 24), begin = before ? before + RECORD : HEADER;
        if (before > at || begin > at) return;
        pm__sum sum = pm__durable_sum(id);
        pm__durable_sum_in(&sum, data + begin, (size_t)(at - begin));
        pm__durable_seal(id, &sum, data + at);
        if (!before || before + RECORD > at || before % 8 || before < HEADER) return;
        at = before;
    }
}
#endif

/* ---- power loss ---- */

/* Does one operation, or of a write the sectors that `luck` lets through: all at 0; else as random. */
CHECK__UNUSED static void disk_redo(disk *d, const disk_op *op, uint64_t *luck) {
    disk_inode *i = &d->inodes[op->inode];
    if (op->what == DISK_CUT) {
        if (luck && check_rand_from(luck) % 2) return;
        if (op->at < i->size) memset(i->data + op->at, 0, i->size - op->at);
        i->size = (size_t)op->at;
    }
    if (op->what != DISK_WRITE) return;
    bool pages = luck && check_rand_from(luck) % 2 != 0; /* whole pages are lost, or sectors */
    size_t grain = pages ? DISK_PAGE : DISK_SECTOR;
    for (uint64_t at = op->at, end = op->at + op->len; at < end;) {
        uint64_t next = (at / grain + 1) * grain;
        if (next > end) next = end;
        if (!luck || check_rand_from(luck) % 3) {
            memcpy(i->data + at, op->bytes + (at - op->at), (size_t)(next - at));
            if (next > i->size) i->size = (size_t)next;
        }
        at = next;
    }
}

/* What may be on the disk when the power fails after the first `upto` operations: all that was synced, and of the rest
   what comes. Files keep the name that was synced, or have the later one. */
CHECK__UNUSED static disk disk_after(const disk *of, size_t upto, uint64_t luck) {
    disk d = {0};
    for (unsigned i = 0; i < of->used; i++) (void)disk_inode_new(&d);
    for (unsigned i = 0; i < of->used; i++) {
        size_t synced = 0;
        for (size_t k = 0; k < upto; k++)
            if (of->ops[k].what == DISK_SYNC && of->ops[k].inode == i) synced = k;
        for (size_t k = 0; k < upto; k++)
            if (of->ops[k].inode == i) disk_redo(&d, &of->ops[k], k < synced || !luck ? NULL : &luck);
    }
    size_t named = 0;
    for (size_t k = 0; k < upto; k++)
        if (of->ops[k].what == DISK_SYNC_NAME) named = k;
    for (size_t k = 0; k < upto; k++) {
        const disk_op *op = &of->ops[k];
        if (op->what != DISK_MADE && op->what != DISK_RENAME) continue;
        if (k > named && luck && check_rand_from(&luck) % 2) continue;
        *disk_lookup(&d, op->name, true) = 1 + op->inode;
    }
    return d;
}

#endif
