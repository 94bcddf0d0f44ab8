/* The front end of `replay`: reads the lines of a script, checks them in the order that the language prescribes, runs
   them on the engines of a run, and compares what these answer. */

#include "replay.h"
#include "replay_ops.h"

#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

typedef struct row {
    const char *name, *spec;
    unsigned props;
    replay_fn fn[2]; /* model, library */
} row;

#define ROW(name, spec, props, fn) {name, spec, props, {model_on_##fn, library_on_##fn}},

static const row ops[] = {REPLAY_OPS(ROW) REPLAY_ORDER(ROW) REPLAY_VIEWS(ROW) REPLAY_MIXED_OPS(ROW) REPLAY_WRITES(ROW)};
static const row moves[] = {REPLAY_MOVES(ROW)};

static const replay_engine *const engines[2] = {&replay_model, &replay_library};

enum { MAX_ARGS = 8, MODEL = 0, LIBRARY = 1 };

/* ---- printing ---- */

void replay_print(model_bytes *out, const char *format, ...) {
    char text[256];
    va_list args;
    va_start(args, format);
    int n = vsnprintf(text, sizeof text, format, args);
    va_end(args);
    if (n > 0) model_bytes_append(out, text, (size_t)n < sizeof text ? (size_t)n : sizeof text - 1);
}

void replay_print_path(model_bytes *out, model_key path) {
    static const char digits[] = "0123456789abcdef";
    if (!path.len) model_bytes_append(out, "-", 1);
    for (size_t i = 0; i < path.len; i++) {
        char pair[2] = {digits[path.data[i] >> 4], digits[path.data[i] & 15]};
        model_bytes_append(out, pair, 2);
    }
}

static uint64_t hash_of(const void *data, size_t len) {
    const uint8_t *bytes = data;
    uint64_t h = 0xcbf29ce484222325u;
    for (size_t i = 0; i < len; i++) h = (h ^ bytes[i]) * 0x100000001b3u;
    return h;
}

void replay_print_hash(model_bytes *out, const model_bytes *text) {
    replay_print(out, "%016llx", (unsigned long long)hash_of(text->data, text->len));
}

static void print_place(model_bytes *out, const replay_place *p) {
    replay_print(out, " @ ");
    replay_print_path(out, p->path);
    replay_print(out, " exists=%d val=", p->exists);
    if (p->has_val)
        replay_print(out, "%llu", (unsigned long long)p->val);
    else
        replay_print(out, "none");
    replay_print(out, " children=%u", p->children);
    if (p->flaw) replay_print(out, " (%s)", p->flaw);
}

/* ---- parsing ---- */

typedef struct word {
    const char *s;
    size_t len;
} word;

static bool word_is(word w, const char *s) { return strlen(s) == w.len && memcmp(w.s, s, w.len) == 0; }

/* `letter` and a number below `count`, without leading zero. */
static bool parse_register(word w, char letter, int count, int *out) {
    if (w.len < 2 || w.len > 3 || w.s[0] != letter || (w.len == 3 && w.s[1] == '0')) return false;
    int n = 0;
    for (size_t i = 1; i < w.len; i++) {
        if (w.s[i] < '0' || w.s[i] > '9') return false;
        n = n * 10 + (w.s[i] - '0');
    }
    *out = n;
    return n < count;
}

static bool parse_number(word w, uint64_t *out) {
    uint64_t n = 0;
    if (!w.len || (w.len > 1 && w.s[0] == '0')) return false;
    for (size_t i = 0; i < w.len; i++) {
        if (w.s[i] < '0' || w.s[i] > '9') return false;
        unsigned digit = (unsigned)(w.s[i] - '0');
        if (n > (UINT64_MAX - digit) / 10) return false;
        n = n * 10 + digit;
    }
    *out = n;
    return true;
}

static int hex_digit(char c) {
    if (c >= '0' && c <= '9') return c - '0';
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Appends the bytes to `store`, whose memory must not move any more. */
static bool parse_path(word w, model_bytes *store, model_key *out) {
    uint8_t *start = store->data + store->len;
    *out = (model_key){start, 0};
    if (w.len == 1 && w.s[0] == '-') return true;
    if (!w.len || w.len % 2) return false;
    for (size_t i = 0; i < w.len; i += 2) {
        int high = hex_digit(w.s[i]), low = hex_digit(w.s[i + 1]);
        if (high < 0 || low < 0) return false;
        store->data[store->len++] = (uint8_t)(high * 16 + low);
    }
    out->len = w.len / 2;
    return true;
}

static const char *parse_algebra(word w, model_algebra *out) {
    if (!word_is(w, "lattice") && !word_is(w, "sum")) return "mode";
    *out = word_is(w, "sum") ? MODEL_SUM : MODEL_LATTICE;
    return NULL;
}

static const char *parse_rule(word w, unsigned *out) {
    static const char *const rules[] = {"base", "ours", "theirs"};
    for (*out = 0; *out < 3; ++*out)
        if (word_is(w, rules[*out])) return NULL;
    return "mode";
}

static const char *parse_relation(word w, int *out) {
    static const char *const names[] = {"lt", "le", "ge", "gt"};
    for (int i = 0; i < 4; i++) {
        if (!word_is(w, names[i])) continue;
        *out = i;
        return NULL;
    }
    return "mode";
}

bool replay_map_is_busy(const replay_run *s, int map) {
    if (s->head_map == map) return true;
    for (int i = 0; i < REPLAY_ZIPPERS; i++)
        if (s->writer[i] && s->writer_map[i] == map) return true;
    return false;
}

/* Checks a register: its form, then that it is open (upper-case letter in the row) or free (lower-case). */
static const char *parse_zipper(word w, char letter, int count, const bool *open, bool want_open, int *out) {
    if (!parse_register(w, letter, count, out)) return "register";
    if (open[*out] != want_open) return want_open ? "closed" : "open";
    return NULL;
}

static const char *parse_plain(char kind, word w, replay_args *a, model_bytes *store) {
    model_key bytes;
    switch (kind) {
    case 'p': return parse_path(w, store, &a->path[a->paths++]) ? NULL : "path";
    case 'e':
        a->endless = word_is(w, "+");
        return a->endless || parse_path(w, store, &a->path[a->paths++]) ? NULL : "path";
    case 'n': return parse_number(w, &a->num) ? NULL : "number";
    case 'a': return parse_algebra(w, &a->alg);
    case 'c': return parse_rule(w, &a->rule);
    case 'l': return parse_relation(w, &a->rel);
    case 'f':
        if (w.len != 1 || (w.s[0] != '0' && w.s[0] != '1')) return "number";
        a->flag[a->flags++] = w.s[0] == '1';
        return NULL;
    case 'b':
        if (!parse_path(w, store, &bytes) || bytes.len != 1) return "path";
        a->byte = bytes.data[0];
        return NULL;
    case 'B':
        if (!parse_path(w, store, &bytes)) return "path";
        for (size_t i = 0; i < bytes.len; i++) a->mask[bytes.data[i]] = true;
        return NULL;
    }
    return "arguments";
}

/* Parses one argument and checks its state; NULL, or why not. */
static const char *parse_argument(const replay_run *s, char kind, word w, replay_args *a, model_bytes *store) {
    switch (kind) {
    case 'M': {
        int *m = &a->map[a->maps++];
        if (!parse_register(w, 'm', REPLAY_MAPS, m)) return "register";
        return replay_map_is_busy(s, *m) ? "busy" : NULL;
    }
    case 'R':
    case 'r': return parse_zipper(w, 'r', REPLAY_ZIPPERS, s->reader, kind == 'R', &a->reader[a->readers++]);
    case 'W':
    case 'w': return parse_zipper(w, 'w', REPLAY_ZIPPERS, s->writer, kind == 'W', &a->writer[a->writers++]);
    case 'X':
    case 'x': return parse_zipper(w, 'x', REPLAY_MIXED, s->mixed, kind == 'X', &a->mixed[a->mixeds++]);
    case 'T':
    case 't': return parse_zipper(w, 't', REPLAY_TXNS, s->txn, kind == 'T', &a->txn);
    default: return parse_plain(kind, w, a, store);
    }
}

/* ---- running ---- */

/* Finds the row; *zipper is 'R' or 'W' for a move, else 0. */
static const row *find_row(word name, char *zipper) {
    const row *list = ops;
    size_t n = sizeof ops / sizeof *ops;
    *zipper = 0;
    for (int pass = 0; pass < 2; pass++) {
        for (size_t i = 0; i < n; i++)
            if (word_is(name, list[i].name)) return &list[i];
        if (name.len < 2 || name.s[1] != '.' || (name.s[0] != 'r' && name.s[0] != 'w')) break;
        *zipper = name.s[0] == 'r' ? 'R' : 'W';
        name = (word){name.s + 2, name.len - 2};
        list = moves;
        n = sizeof moves / sizeof *moves;
    }
    return NULL;
}

const char *replay_spec(const char *name) {
    char zipper;
    const row *r = find_row((word){name, strlen(name)}, &zipper);
    return r ? r->spec : NULL;
}

static void note_effect(replay_run *s, const row *r, const replay_args *a) {
    bool open = !(r->props & OP_CLOSES);
    for (const char *k = r->spec; *k; k++) {
        if (*k == 'r' || (*k == 'R' && !open)) s->reader[a->reader[*k == 'r' ? a->readers - 1 : 0]] = open;
        if (*k == 'w' || (*k == 'W' && !open)) {
            s->writer[a->writer[0]] = open;
            s->writer_map[a->writer[0]] = a->maps ? a->map[0] : s->head_map;
        }
        if (*k == 'x' || (*k == 'X' && !open)) s->mixed[a->mixed[a->mixeds - 1]] = open;
        if (*k == 't' || (*k == 'T' && !open)) {
            s->txn[a->txn] = open;
            if (open) s->txn_map[a->txn] = a->map[0];
        }
    }
    if (r->props & OP_HEAD_OPENS) s->head_map = a->map[0];
    if (r->props & OP_HEAD_CLOSES) s->head_map = -1;
}

/* Appends a complaint about each map that the operation may have touched. */
static void inspect_maps(const replay_run *s, const replay_args *a, model_bytes *complaint) {
    const replay_engine *e = engines[LIBRARY];
    if (s->engines != REPLAY_ON_BOTH || !e->inspect) return;
    for (int i = 0; i < a->maps; i++) e->inspect(s->state[LIBRARY], a->map[i], complaint);
    for (int i = 0; i < a->writers; i++) {
        int map = s->writer_map[a->writer[i]];
        if (map >= 0) e->inspect(s->state[LIBRARY], map, complaint);
    }
}

static void report(const replay_run *s, word line, const model_bytes results[2], const model_bytes *complaint,
                   model_bytes *out) {
    replay_print(out, "difference at line %lu: ", s->line);
    model_bytes_append(out, line.s, line.len);
    for (int e = 0; e < 2; e++) {
        replay_print(out, "\n%-8s ", engines[e]->name);
        model_bytes_append(out, results[e].data, results[e].len);
    }
    if (complaint->len) {
        replay_print(out, "\ndamage   ");
        model_bytes_append(out, complaint->data, complaint->len);
    }
    replay_print(out, "\n");
}

/* Runs a row on each engine of the run. */
static bool run_row(replay_run *s, const row *r, bool zipper, word line, const replay_args *a, model_bytes *out) {
    model_bytes results[2] = {{0}, {0}}, complaint = {0};
    bool done[2] = {false, false};
    for (int e = 0; e < 2; e++) {
        if (!s->state[e]) continue;
        done[e] = r->fn[e](s->state[e], a, &results[e]);
        if (!zipper) continue;
        replay_place place;
        engines[e]->look(s->state[e], a->writers > 0, a->writers ? a->writer[0] : a->reader[0], &place);
        print_place(&results[e], &place);
    }
    int first = s->state[MODEL] ? MODEL : LIBRARY;
    inspect_maps(s, a, &complaint);
    bool same = !complaint.len;
    if (s->engines == REPLAY_ON_BOTH) {
        const model_bytes *m = &results[MODEL], *l = &results[LIBRARY];
        same = same && done[MODEL] == done[LIBRARY] && m->len == l->len;
        same = same && !(m->len && memcmp(m->data, l->data, m->len));
    }
    if (done[first]) note_effect(s, r, a);
    if (same) {
        replay_print(out, "%lu: ", s->line);
        model_bytes_append(out, results[first].data, results[first].len);
        replay_print(out, "\n");
    } else {
        report(s, line, results, &complaint, out);
    }
    model_bytes_free(&results[0]);
    model_bytes_free(&results[1]);
    model_bytes_free(&complaint);
    return same;
}

/* Checks everything in the order that the script's language prescribes; NULL, or why not. */
static const char *parse_line(const replay_run *s, word line, const row **r, bool *zipper, replay_args *a,
                              model_bytes *store) {
    word words[MAX_ARGS + 1] = {{line.s, 0}};
    size_t n = 1;
    for (size_t i = 0; i < line.len; i++) {
        if (line.s[i] != ' ')
            words[n <= MAX_ARGS ? n - 1 : MAX_ARGS].len++;
        else if (n++ <= MAX_ARGS)
            words[n - 1] = (word){line.s + i + 1, 0};
    }
    char kind;
    *r = find_row(words[0], &kind);
    if (!*r) return "operation";
    const char *spec = (*r)->spec;
    if (n - 1 != strlen(spec) + (kind != 0)) return "arguments";
    if (((*r)->props & OP_HEAD) && s->head_map < 0) return "closed";
    word *next = &words[1];
    const char *error = kind ? parse_argument(s, kind, *next++, a, store) : NULL;
    for (; *spec && !error; spec++) error = parse_argument(s, *spec, *next++, a, store);
    if (error) return error;
    if (((*r)->props & OP_TXN_MAP) && replay_map_is_busy(s, s->txn_map[a->txn])) return "busy";
    if (((*r)->props & OP_HEAD_OPENS) && s->head_map >= 0) return "open";
    if (((*r)->props & OP_DISTINCT) && a->writer[0] == a->writer[1]) return "same";
    if (((*r)->props & OP_TWO_MAPS) && a->map[0] == a->map[1]) return "same";
    *zipper = kind || strncmp((*r)->name, "w.", 2) == 0;
    return NULL;
}

bool replay_line(replay_run *s, const char *text, size_t len, model_bytes *out) {
    s->line++;
    if (!len || text[0] == '#') return true;
    replay_args a = {.variant = hash_of(text, len) >> 20};
    model_bytes store = {0};
    const row *r;
    bool zipper, same = true;
    model_bytes_append(&store, text, len); /* room for all paths of the line: these are shorter than their text */
    store.len = 0;
    const char *error = parse_line(s, (word){text, len}, &r, &zipper, &a, &store);
    if (error)
        replay_print(out, "%lu: error %s\n", s->line, error);
    else
        same = run_row(s, r, zipper, (word){text, len}, &a, out);
    model_bytes_free(&store);
    return same;
}

void replay_open(replay_run *s, unsigned which) {
    *s = (replay_run){.engines = which, .head_map = -1};
    for (int e = 0; e < 2; e++)
        if (which & (1u << e)) s->state[e] = engines[e]->open();
}

bool replay_close(replay_run *s, model_bytes *out) {
    model_bytes complaint = {0};
    for (int e = 0; e < 2; e++)
        if (s->state[e]) engines[e]->close(s->state[e], &complaint);
    bool fine = !complaint.len;
    if (!fine) {
        replay_print(out, "difference after the last line: ");
        model_bytes_append(out, complaint.data, complaint.len);
        replay_print(out, "\n");
    }
    model_bytes_free(&complaint);
    return fine;
}

/* Prints at once, so that a crash in an engine does not hide the lines before it. */
static void flush_to(FILE *stream, model_bytes *out) {
    if (!stream || !out->len) return;
    fwrite(out->data, 1, out->len, stream);
    fflush(stream);
    out->len = 0;
}

bool replay_script(unsigned which, const uint8_t *text, size_t len, model_bytes *out, FILE *stream) {
    replay_run s;
    replay_open(&s, which);
    bool same = true;
    for (size_t i = 0; same && i < len;) {
        const uint8_t *end = memchr(text + i, '\n', len - i);
        size_t n = end ? (size_t)(end - text) - i : len - i;
        same = replay_line(&s, (const char *)text + i, n, out);
        flush_to(stream, out);
        i += n + 1;
    }
    if (same) {
        same = replay_close(&s, out);
        flush_to(stream, out);
        return same;
    }
    model_bytes ignored = {0}; /* after a difference leftovers are no news */
    replay_close(&s, &ignored);
    model_bytes_free(&ignored);
    return false;
}

/* ---- input ---- */

bool replay_read(const char *name, model_bytes *out) {
    FILE *f = name ? fopen(name, "rb") : stdin;
    char block[4096];
    if (!f) return false;
    for (size_t n; (n = fread(block, 1, sizeof block, f)) > 0;) model_bytes_append(out, block, n);
    bool fine = !ferror(f);
    if (name) fclose(f);
    return fine;
}
