/* A second process that is kept in step, over a socket pair.

   The parent has a map that changes. The child has an older copy, from who knows when: it asks for what it lacks by
   hashes of content (pm_sync), in a few round trips. From then on the parent sends what each commit changed, as a
   patch. When a patch is lost the two find out by the hash that comes with the next one, and the child asks again. */
#define _POSIX_C_SOURCE 200809L
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

enum { KEYS = 20000, COMMITS = 6, LOST = 3 };

static void must(bool ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "%s\n", what);
    exit(1);
}

/* ---- messages: a letter, a length, and so many bytes ---- */

typedef struct line {
    int fd;
    char letter;
    uint8_t *msg;
    size_t len;
} line;

static pm_status put(int fd, const void *from, size_t n) {
    for (const char *p = from; n;) {
        ssize_t part = write(fd, p, n);
        if (part <= 0) return PM_IO;
        p += part;
        n -= (size_t)part;
    }
    return PM_OK;
}

static pm_status take(int fd, void *to, size_t n) {
    for (char *p = to; n;) {
        ssize_t part = read(fd, p, n);
        if (part <= 0) return PM_IO;
        p += part;
        n -= (size_t)part;
    }
    return PM_OK;
}

/* Sends a message, for pm_sync_ask and pm_sync_answer, which call it once. */
static pm_status send_message(void *ctx, const void *from, size_t n) {
    line *l = ctx;
    uint8_t head[9] = {(uint8_t)l->letter};
    for (unsigned i = 0; i < 8; i++) head[1 + i] = (uint8_t)((uint64_t)n >> (8 * i));
    pm_status s = put(l->fd, head, sizeof head);
    return s == PM_OK ? put(l->fd, from, n) : s;
}

static bool receive(line *l) {
    uint8_t head[9];
    uint64_t n = 0;
    if (take(l->fd, head, sizeof head) != PM_OK) return false;
    for (unsigned i = 0; i < 8; i++) n |= (uint64_t)head[1 + i] << (8 * i);
    must(n < (1 << 24), "an absurdly long message");
    free(l->msg);
    l->msg = malloc((size_t)n + 1);
    must(l->msg != NULL, "no memory");
    l->letter = (char)head[0];
    l->len = (size_t)n;
    return take(l->fd, l->msg, l->len) == PM_OK;
}

static void send_letter(int fd, char letter, const void *from, size_t n) {
    line l = {fd, letter, NULL, 0};
    must(send_message(&l, from, n) == PM_OK, "the other side is gone");
}

/* ---- the parent ---- */

static void set(pm_map *m, unsigned i, pm_val v) {
    char key[32];
    must(pm_set(m, key, (size_t)snprintf(key, sizeof key, "shop/%u/price", i), v, NULL) == PM_OK, "no memory");
}

static pm_map first_version(void) {
    pm_map m = pm_new(NULL, NULL);
    for (unsigned i = 0; i < KEYS; i++) set(&m, i, i % 100);
    return m;
}

/* Answers questions until the child says that it is in step. */
static void serve(const pm_map *m, line *l) {
    pm_sync_source *from = NULL;
    line answer = {l->fd, 'a', NULL, 0};
    while (receive(l) && l->letter == 'q') {
        if (!from) must(pm_sync_source_new(m, NULL, &from) == PM_OK, "no memory");
        must(pm_sync_answer(from, l->msg, l->len, send_message, &answer, NULL) == PM_OK, "a bad question");
    }
    must(l->letter == 'k', "the child is gone");
    pm_sync_source_free(from);
}

/* Patches come in pieces, as the stream has them; the end is an empty message with the hash that the map has then. */
static pm_status send_piece(void *ctx, const void *from, size_t n) {
    send_letter(*(int *)ctx, 'p', from, n);
    return PM_OK;
}

static void commit(const pm_map *old, const pm_map *now, line *l, bool lose) {
    pm_patch p;
    pm_hash128 h;
    must(pm_patch_make(old, now, &p) == PM_OK && pm_hash(now, &h) == PM_OK, "no memory");
    uint64_t hash[2] = {h.lo, h.hi};
    if (!lose) must(pm_patch_write(&p, send_piece, &l->fd, NULL, NULL) == PM_OK, "no memory");
    if (!lose) send_letter(l->fd, 'h', hash, sizeof hash);
    pm_patch_drop(&p);
    if (!lose) serve(now, l);
}

static int parent(int fd) {
    line l = {fd, 0, NULL, 0};
    pm_map m = first_version();
    for (unsigned i = 0; i < 10; i++) set(&m, i * 1777, 1000 + i); /* what the child does not know */
    serve(&m, &l);
    for (unsigned i = 0; i < COMMITS; i++) {
        pm_map old = pm_clone(&m);
        set(&m, i, 2000);
        set(&m, KEYS + i, 1);
        commit(&old, &m, &l, i == LOST);
        pm_drop(&old);
    }
    send_letter(fd, 'e', "", 0);
    pm_drop(&m);
    free(l.msg);
    return 0;
}

/* ---- the child ---- */

static void catch_up(pm_map *m, line *l) {
    pm_sync *s;
    pm_sync_stats stats;
    must(pm_sync_new(m, NULL, &s) == PM_OK, "no memory");
    while (!pm_sync_done(s)) {
        line question = {l->fd, 'q', NULL, 0};
        pm_error why = {PM_OK, 0, "the parent is gone"};
        must(pm_sync_ask(s, send_message, &question) == PM_OK && receive(l) &&
                 pm_sync_take(s, l->msg, l->len, &why) == PM_OK,
             why.msg);
    }
    pm_sync_get_stats(s, &stats);
    printf("caught up in %" PRIu64 " round trips, %" PRIu64 " bytes received\n", stats.round_trips, stats.bytes_in);
    pm_drop(m);
    *m = pm_sync_map(s);
    pm_sync_free(s);
    send_letter(l->fd, 'k', "", 0);
}

/* What has come of a patch; pm_patch_read takes it from here. */
typedef struct pieces {
    uint8_t *data;
    size_t len, at;
} pieces;

static pm_status read_pieces(void *ctx, void *to, size_t n, size_t *got) {
    pieces *p = ctx;
    if (n > p->len - p->at) n = p->len - p->at;
    if (n) memcpy(to, p->data + p->at, n);
    p->at += n;
    *got = n;
    return PM_OK;
}

static void apply(pm_map *m, pieces *got, line *l) {
    pm_patch p;
    pm_hash128 h;
    uint64_t hash[2];
    must(pm_patch_read(NULL, read_pieces, got, NULL, &p, NULL) == PM_OK, "a damaged patch");
    must(pm_patch_apply(&p, m) == PM_OK && pm_hash(m, &h) == PM_OK, "no memory");
    memcpy(hash, l->msg, sizeof hash);
    bool same = h.lo == hash[0] && h.hi == hash[1];
    printf("a patch of %zu changes, %zu bytes: %s\n", pm_patch_count(&p), got->len, same ? "in step" : "out of step");
    pm_patch_drop(&p);
    got->len = got->at = 0;
    if (same) send_letter(l->fd, 'k', "", 0);
    else catch_up(m, l);
}

static int child(int fd) {
    line l = {fd, 0, NULL, 0};
    pieces got = {NULL, 0, 0};
    pm_map m = first_version(); /* an old copy */
    catch_up(&m, &l);
    while (receive(&l) && l.letter != 'e') {
        if (l.letter == 'h') {
            must(l.len == 16, "a hash of another length");
            apply(&m, &got, &l);
            continue;
        }
        got.data = realloc(got.data, got.len + l.len + 1);
        must(got.data != NULL, "no memory");
        memcpy(got.data + got.len, l.msg, l.len);
        got.len += l.len;
    }
    uint64_t n;
    must(pm_val_count(&m, &n) == PM_OK, "no memory");
    printf("%" PRIu64 " keys\n", n);
    pm_drop(&m);
    free(got.data);
    free(l.msg);
    return fflush(stdout) == 0 ? 0 : 1;
}

int main(void) {
    int ends[2], status = 1;
    must(socketpair(AF_UNIX, SOCK_STREAM, 0, ends) == 0, "no socket pair");
    pid_t pid = fork();
    must(pid >= 0, "no second process");
    if (pid == 0) {
        close(ends[0]);
        return child(ends[1]);
    }
    close(ends[1]);
    if (parent(ends[0]) != 0) return 1;
    close(ends[0]);
    must(waitpid(pid, &status, 0) == pid, "no child");
    return status;
}
