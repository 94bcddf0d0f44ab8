/* The hunt for differences: runs many random scripts in several processes, so that a crash costs one of them and not
   the hunt, and cuts the first script that fails down to the lines that matter. Where there is no fork (Windows) all
   run in one process, and what fails is not cut. */

#define _DEFAULT_SOURCE /* MAP_ANONYMOUS */

#include "replay.h"

#include <stdlib.h>
#include <string.h>
#ifndef _WIN32
#include <fcntl.h>
#include <signal.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
#endif

enum { MAX_JOBS = 64, SCRIPT_MAX = 1 << 22, SECONDS_PER_SCRIPT = 60 };

typedef struct settings {
    uint64_t seed, count;
    unsigned ops, groups;
    bool sum;
} settings;

/* Memory that a worker shares with the hunt: the script it is at, readable after a crash. */
typedef struct desk {
    uint64_t index, done, lines;
    size_t len;
    char text[SCRIPT_MAX];
} desk;

static void note_line(void *ctx, const char *line, size_t len) {
    desk *d = ctx;
    d->lines++;
    if (d->len + len + 1 > sizeof d->text) return;
    memcpy(d->text + d->len, line, len);
    d->text[d->len + len] = '\n';
    d->len += len + 1;
}

static void print_line(void *ctx, const char *line, size_t len) {
    (void)ctx;
    printf("%.*s\n", (int)len, line);
}

/* ---- minimising ---- */

#ifndef _WIN32
/* Runs a script in a process of its own; its output goes to `fd`, or nowhere if that is negative. */
static bool still_fails(const uint8_t *text, size_t len, int fd) {
    fflush(NULL);
    pid_t child = fork();
    if (child < 0) return false;
    if (child == 0) {
        if (fd < 0) fd = open("/dev/null", O_WRONLY);
        dup2(fd, 1);
        dup2(fd, 2);
        alarm(SECONDS_PER_SCRIPT);
        model_bytes out = {0};
        bool same = replay_script(REPLAY_ON_BOTH, text, len, &out, stdout);
        fflush(stdout);
        _exit(same ? 0 : 1);
    }
    int status = 0;
    while (waitpid(child, &status, 0) < 0) continue;
    return status != 0;
}

/* Copies the script without its lines from..from+n. */
static void without_lines(const model_bytes *script, size_t from, size_t n, model_bytes *out) {
    size_t line = 0;
    out->len = 0;
    for (size_t i = 0; i < script->len; line++) {
        const uint8_t *end = memchr(script->data + i, '\n', script->len - i);
        size_t len = end ? (size_t)(end - script->data) - i + 1 : script->len - i;
        if (line < from || line >= from + n) model_bytes_append(out, script->data + i, len);
        i += len;
    }
}

static size_t count_lines(const model_bytes *script) {
    size_t n = 0;
    for (size_t i = 0; i < script->len; i++) n += script->data[i] == '\n';
    return n;
}

/* Tries to drop runs of `size` lines, from the end; true if any could go. */
static bool drop_runs(model_bytes *script, size_t size) {
    model_bytes shorter = {0};
    bool any = false;
    size_t lines = count_lines(script);
    for (size_t end = lines; end > 0;) {
        size_t from = end > size ? end - size : 0;
        without_lines(script, from, end - from, &shorter);
        if (still_fails(shorter.data, shorter.len, -1)) {
            model_bytes swap = *script;
            *script = shorter;
            shorter = swap;
            any = true;
        }
        end = from;
    }
    model_bytes_free(&shorter);
    return any;
}

void replay_minimise(model_bytes *script) {
    for (size_t size = count_lines(script) / 2 + 1; size; size /= 2)
        while (drop_runs(script, size) && size == 1) continue;
    fprintf(stderr, "replay: %zu lines left\n", count_lines(script));
}

int replay_minimise_main(int argc, char **argv) {
    model_bytes script = {0};
    if (argc != 1 || !replay_read(argv[0], &script)) {
        fputs("usage: replay --minimise FILE\n", stderr);
        return 2;
    }
    bool fails = still_fails(script.data, script.len, -1);
    if (fails) {
        replay_minimise(&script);
        fwrite(script.data, 1, script.len, stdout);
    } else {
        fputs("replay: the engines agree on this script\n", stderr);
    }
    model_bytes_free(&script);
    return fails;
}

#else

int replay_minimise_main(int argc, char **argv) {
    (void)argc, (void)argv;
    fputs("replay: --minimise needs processes\n", stderr);
    return 2;
}

#endif

/* ---- hunting ---- */

static bool parse_groups(const char *text, unsigned *out) {
    static const char *const names[] = {"map", "read", "write", "writealg", "algebra", "head", "txn", "order",
                                        "diff", "view", "mixed"};
    enum { NAMES = sizeof names / sizeof *names };
    *out = strcmp(text, "all") == 0 ? REPLAY_GROUP_ALL : 0;
    while (*text && *out != REPLAY_GROUP_ALL) {
        size_t len = strcspn(text, ","), i = 0;
        while (i < NAMES && !(strlen(names[i]) == len && memcmp(names[i], text, len) == 0)) i++;
        if (i == NAMES) return false;
        *out |= 1u << i;
        text += len + (text[len] == ',');
    }
    return *out != 0;
}

static bool parse_settings(char **argv, settings *s) {
    s->seed = strtoull(argv[0], NULL, 10);
    s->count = strtoull(argv[1], NULL, 10);
    s->ops = (unsigned)strtoul(argv[2], NULL, 10);
    s->sum = strcmp(argv[4], "sum") == 0;
    return s->ops && parse_groups(argv[3], &s->groups) && (s->sum || strcmp(argv[4], "lattice") == 0);
}

#ifndef _WIN32

/* Runs every jobs-th script. Ends the process: 1 on a difference. */
static void work(const settings *s, uint64_t first, uint64_t jobs, desk *d) {
    model_bytes out = {0};
    for (uint64_t i = first; i < s->count; i += jobs) {
        d->index = i;
        d->len = 0;
        out.len = 0;
        alarm(SECONDS_PER_SCRIPT);
        if (!replay_random(REPLAY_ON_BOTH, s->seed, i, s->ops, s->groups, s->sum, note_line, d, &out)) _exit(1);
        d->done++;
    }
    model_bytes_free(&out);
    _exit(0);
}

static void keep_script(const settings *s, const desk *d, const model_bytes *script) {
    char name[128];
    snprintf(name, sizeof name, "build/replay-%llu-%llu.txt", (unsigned long long)s->seed,
             (unsigned long long)d->index);
    FILE *f = fopen(name, "wb");
    if (!f) return;
    fwrite(script->data, 1, script->len, f);
    fclose(f);
    printf("kept as %s\n", name);
}

static void show_failure(const settings *s, const desk *d, int status) {
    model_bytes script = {0};
    printf("script %llu of seed %llu fails (%s %d)\n", (unsigned long long)d->index, (unsigned long long)s->seed,
           WIFSIGNALED(status) ? "signal" : "status", WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status));
    model_bytes_append(&script, d->text, d->len);
    if (still_fails(script.data, script.len, -1))
        replay_minimise(&script);
    else
        printf("not by itself: something that an earlier script did is needed too\n");
    fwrite(script.data, 1, script.len, stdout);
    fflush(stdout);
    still_fails(script.data, script.len, 1);
    keep_script(s, d, &script);
    model_bytes_free(&script);
}

static int hunt(const settings *s, unsigned jobs) {
    desk *desks[MAX_JOBS];
    pid_t workers[MAX_JOBS];
    uint64_t done = 0, lines = 0;
    unsigned running = jobs;
    const desk *failed = NULL;
    int failure = 0;
    fflush(NULL);
    for (unsigned j = 0; j < jobs; j++) {
        desks[j] = mmap(NULL, sizeof(desk), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (desks[j] == MAP_FAILED) return 2;
        workers[j] = fork();
        if (workers[j] < 0) return 2;
        if (workers[j] == 0) work(s, j, jobs, desks[j]);
    }
    while (running) {
        int status = 0;
        pid_t pid = waitpid(-1, &status, 0);
        for (unsigned j = 0; j < jobs; j++) {
            if (workers[j] != pid) continue;
            workers[j] = 0;
            running--;
            if (status && !failed) {
                failed = desks[j];
                failure = status;
                for (unsigned k = 0; k < jobs; k++)
                    if (workers[k]) kill(workers[k], SIGKILL);
            }
        }
    }
    for (unsigned j = 0; j < jobs; j++) {
        done += desks[j]->done;
        lines += desks[j]->lines;
    }
    if (failed) show_failure(s, failed, failure);
    printf("%llu scripts without difference, %llu lines\n", (unsigned long long)done, (unsigned long long)lines);
    for (unsigned j = 0; j < jobs; j++) munmap(desks[j], sizeof(desk));
    return failed ? 1 : 0;
}

#else

static int hunt(const settings *s, unsigned jobs) {
    static desk d;
    model_bytes out = {0};
    (void)jobs;
    for (bool same = true; same && d.done < s->count; d.done += same) {
        d.len = out.len = 0;
        same = replay_random(REPLAY_ON_BOTH, s->seed, d.done, s->ops, s->groups, s->sum, note_line, &d, &out);
        if (!same) printf("script %llu of seed %llu fails\n%.*s", (unsigned long long)d.done,
                          (unsigned long long)s->seed, (int)d.len, d.text);
    }
    model_bytes_free(&out);
    printf("%llu scripts without difference, %llu lines\n", (unsigned long long)d.done, (unsigned long long)d.lines);
    return d.done < s->count;
}

#endif

int replay_random_main(int argc, char **argv) {
    settings s;
    unsigned long jobs = argc == 6 ? strtoul(argv[5], NULL, 10) : 1;
    if (argc < 5 || argc > 6 || !parse_settings(argv, &s) || !jobs || jobs > MAX_JOBS) {
        fputs("usage: replay --random SEED SCRIPTS OPS GROUPS MODE [JOBS]\n", stderr);
        return 2;
    }
    return hunt(&s, (unsigned)jobs);
}

int replay_print_main(int argc, char **argv) {
    settings s;
    if (argc != 5 || !parse_settings(argv, &s)) {
        fputs("usage: replay --print SEED INDEX OPS GROUPS MODE\n", stderr);
        return 2;
    }
    model_bytes out = {0};
    replay_random(REPLAY_ON_MODEL, s.seed, s.count, s.ops, s.groups, s.sum, print_line, NULL, &out);
    model_bytes_free(&out);
    return 0;
}
