/* Converts between the forms in which tries are exchanged: path files, tab-separated values, JSON Lines.

       convert FROM TO      by the ends of the names: .paths, .tsv, .jsonl; - is the standard stream, as .tsv
       convert              shows a small file in each form

   .tsv    path, tab, value; in the path \t \n \r \\ and \xHH stand for bytes
   .jsonl  {"path":"..","value":7}; a path that is no UTF-8 is {"hex":"ff00","value":7}
   .paths  the paths alone (pm_paths_write), compressed if built with PATHMAP_ZLIB; values that are read are 0

   On a terminal it says how far it is. */
#define _POSIX_C_SOURCE 200809L
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#ifdef PATHMAP_ZLIB
static const pm_paths_options form = {.plain = !PATHMAP_ZLIB};
#else
static const pm_paths_options form = {.plain = true};
#endif

typedef struct text {
    char *at;
    size_t len, cap;
} text;

static void put(text *t, int byte) {
    if (t->len == t->cap) {
        t->cap = t->cap ? t->cap * 2 : 64;
        t->at = realloc(t->at, t->cap);
        if (!t->at) abort();
    }
    t->at[t->len++] = (char)byte;
}

static void progress(uint64_t n, bool end) {
    static int shown = -1;
    if (shown < 0) shown = isatty(STDERR_FILENO);
    if (shown && (end || n % 65536 == 0)) fprintf(stderr, "\r%" PRIu64 " paths%s", n, end ? "\n" : "");
}

static int hex(int c) {
    if (c >= '0' && c <= '9') return c - '0';
    c |= 32;
    return c >= 'a' && c <= 'f' ? c - 'a' + 10 : -1;
}

/* Two digits; -1: there are none. */
static int hex2(const char *s) { return hex(s[0]) < 0 || hex(s[1]) < 0 ? -1 : hex(s[0]) * 16 + hex(s[1]); }

static bool read_number(const char **s, uint64_t *v) {
    *v = 0;
    if (**s < '0' || **s > '9') return false;
    for (; **s >= '0' && **s <= '9'; ++*s) {
        unsigned digit = (unsigned)(**s - '0');
        if (*v > (UINT64_MAX - digit) / 10) return false;
        *v = *v * 10 + digit;
    }
    return true;
}

/* The bytes of the character at s, or 0: it is no UTF-8. */
static size_t utf8_size(const uint8_t *s, size_t left) {
    static const uint32_t least[5] = {0, 0, 0x80, 0x800, 0x10000};
    size_t n = s[0] < 0x80 ? 1 : s[0] >= 0xf8 ? 0 : s[0] >= 0xf0 ? 4 : s[0] >= 0xe0 ? 3 : s[0] >= 0xc0 ? 2 : 0;
    if (n < 2 || n > left) return n > left ? 0 : n;
    uint32_t c = s[0] & (0x7fu >> n);
    for (size_t i = 1; i < n; i++) {
        if ((s[i] & 0xc0) != 0x80) return 0;
        c = c << 6 | (s[i] & 0x3f);
    }
    return c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000) ? 0 : n;
}

/* ---- tab-separated values ---- */

static const char escapes[] = "tnr\\", escaped[] = "\t\n\r\\";

static bool parse_tsv(const char *s, text *path, uint64_t *v) {
    for (; *s && *s != '\t'; s++) {
        if (*s != '\\') {
            put(path, *s);
            continue;
        }
        const char *known = *++s ? strchr(escapes, *s) : NULL;
        if (known) {
            put(path, escaped[known - escapes]);
        } else {
            if (*s != 'x' || hex2(s + 1) < 0) return false;
            put(path, hex2(s + 1));
            s += 2;
        }
    }
    if (*s++ != '\t') return false;
    return read_number(&s, v) && *s == 0;
}

static void print_tsv(FILE *to, const uint8_t *path, size_t len, uint64_t v) {
    for (size_t i = 0; i < len; i++) {
        const char *known = path[i] ? strchr(escaped, path[i]) : NULL;
        size_t n = utf8_size(path + i, len - i);
        if (known) fprintf(to, "\\%c", escapes[known - escaped]);
        else if (path[i] < 32 || n == 0) fprintf(to, "\\x%02x", path[i]);
        else fwrite(path + i, 1, n, to), i += n - 1;
    }
    fprintf(to, "\t%" PRIu64 "\n", v);
}

/* ---- JSON Lines ---- */

static void put_utf8(text *t, uint32_t c) {
    static const uint8_t lead[] = {0, 0xc0, 0xe0, 0xf0};
    unsigned more = c < 0x80 ? 0 : c < 0x800 ? 1 : c < 0x10000 ? 2 : 3;
    put(t, (int)(lead[more] | c >> (6 * more)));
    while (more--) put(t, (int)(0x80 | (c >> (6 * more) & 0x3f)));
}

/* Goes over blanks, then over `c`, if it is there. */
static bool skip(const char **s, char c) {
    while (**s == ' ' || **s == '\t' || **s == '\r') ++*s;
    if (**s != c) return false;
    if (c) ++*s;
    return true;
}

/* The four digits of \u. */
static bool read_unit(const char **s, uint32_t *c) {
    int high = hex2(*s), low = high < 0 ? -1 : hex2(*s + 2);
    if (low < 0) return false;
    *c = (uint32_t)(high << 8 | low);
    *s += 4;
    return true;
}

static bool read_escape(const char **s, text *t) {
    static const char names[] = "\"\\/bfnrt", bytes[] = "\"\\/\b\f\n\r\t";
    const char *known = **s ? strchr(names, **s) : NULL;
    uint32_t c, low;
    if (known) {
        put(t, bytes[known - names]);
        ++*s;
        return true;
    }
    if (*(*s)++ != 'u' || !read_unit(s, &c) || (c >= 0xdc00 && c < 0xe000)) return false;
    if (c >= 0xd800 && c < 0xdc00) { /* the first of a pair */
        if ((*s)[0] != '\\' || (*s)[1] != 'u') return false;
        *s += 2;
        if (!read_unit(s, &low) || low < 0xdc00 || low >= 0xe000) return false;
        c = 0x10000 + ((c - 0xd800) << 10) + (low - 0xdc00);
    }
    put_utf8(t, c);
    return true;
}

static bool read_string(const char **s, text *t) {
    if (!skip(s, '"')) return false;
    while (**s != '"') {
        if ((unsigned char)**s < 32) return false; /* the end of the line, too */
        if (**s != '\\') {
            put(t, *(*s)++);
        } else {
            ++*s;
            if (!read_escape(s, t)) return false;
        }
    }
    ++*s;
    return true;
}

/* The hexadecimal digits that are in `t`, as bytes. */
static bool from_hex(text *t) {
    if (t->len % 2) return false;
    for (size_t i = 0; i < t->len; i += 2) {
        int byte = hex2(t->at + i);
        if (byte < 0) return false;
        t->at[i / 2] = (char)byte;
    }
    t->len /= 2;
    return true;
}

/* One member of the object. */
static bool read_member(const char **s, text *path, bool *has_path, uint64_t *v, bool *has_value) {
    char name[8] = "";
    text t = {0};
    bool ok = read_string(s, &t) && t.len < sizeof name && skip(s, ':');
    if (ok && t.len) memcpy(name, t.at, t.len);
    free(t.at);
    if (!ok) return false;
    while (**s == ' ') ++*s;
    if (strcmp(name, "value") == 0 && !*has_value) return *has_value = read_number(s, v);
    if (*has_path) return false;
    if (strcmp(name, "path") == 0) return *has_path = read_string(s, path);
    if (strcmp(name, "hex") == 0) return *has_path = read_string(s, path) && from_hex(path);
    return false;
}

static bool parse_jsonl(const char *s, text *path, uint64_t *v) {
    bool has_path = false, has_value = false;
    if (!skip(&s, '{')) return false;
    do {
        if (!read_member(&s, path, &has_path, v, &has_value)) return false;
    } while (skip(&s, ','));
    return skip(&s, '}') && skip(&s, 0) && has_path && has_value;
}

static void print_jsonl(FILE *to, const uint8_t *path, size_t len, uint64_t v) {
    size_t i = 0, n;
    while (i < len && (n = utf8_size(path + i, len - i)) != 0) i += n;
    fputs(i < len ? "{\"hex\":\"" : "{\"path\":\"", to);
    for (size_t k = 0; k < len; k++) {
        if (i < len) fprintf(to, "%02x", path[k]);
        else if (path[k] == '"' || path[k] == '\\') fprintf(to, "\\%c", path[k]);
        else if (path[k] < 32) fprintf(to, "\\u%04x", path[k]);
        else putc(path[k], to);
    }
    fprintf(to, "\",\"value\":%" PRIu64 "}\n", v);
}

/* ---- whole files ---- */

static bool ends_with(const char *name, const char *end) {
    size_t n = strlen(name), k = strlen(end);
    return n >= k && strcmp(name + n - k, end) == 0;
}

/* Reads lines; false, with a message: one of them is wrong, or there is no memory. */
static bool read_lines(FILE *from, bool json, pm_map *m) {
    char *line = NULL;
    size_t cap = 0;
    uint64_t number = 0;
    ssize_t n;
    bool ok = true;
    while (ok && (n = getline(&line, &cap, from)) >= 0) {
        text path = {0};
        uint64_t v;
        if (n && line[n - 1] == '\n') line[--n] = 0;
        progress(++number, false);
        ok = strlen(line) == (size_t)n && (json ? parse_jsonl : parse_tsv)(line, &path, &v);
        if (!ok) fprintf(stderr, "line %" PRIu64 " is not understood\n", number);
        else if (pm_set(m, path.at, path.len, v, NULL) != PM_OK) ok = false, fprintf(stderr, "no memory\n");
        free(path.at);
    }
    free(line);
    if (ferror(from)) ok = false, fprintf(stderr, "reading failed\n");
    return ok;
}

static bool write_lines(FILE *to, bool json, const pm_map *m) {
    uint64_t n = 0;
    for (pm_iter i = pm_iter_vals(m); pm_iter_next(&i); progress(++n, false))
        (json ? print_jsonl : print_tsv)(to, i.key, i.len, *i.val);
    progress(n, true);
    if (fflush(to) == 0 && !ferror(to)) return true;
    fprintf(stderr, "writing failed\n");
    return false;
}

static bool load(const char *name, pm_map *m) {
    pm_error why;
    if (ends_with(name, ".paths")) {
        if (pm_paths_read_file(NULL, NULL, name, &form, m, NULL, &why) == PM_OK) return true;
        fprintf(stderr, "%s: at %" PRIu64 ": %s\n", name, why.offset, why.msg);
        return false;
    }
    FILE *from = strcmp(name, "-") == 0 ? stdin : fopen(name, "r");
    if (!from) return perror(name), false;
    bool ok = read_lines(from, ends_with(name, ".jsonl"), m);
    if (from != stdin) (void)fclose(from);
    return ok;
}

static bool save(const char *name, const pm_map *m) {
    pm_error why = {PM_OK, 0, "no memory"};
    if (ends_with(name, ".paths")) {
        pm_rz all = {0};
        pm_status s = pm_rz_open(m, NULL, 0, &all);
        if (s == PM_OK) s = pm_paths_write_file(&all, name, &form, NULL, &why);
        if (s != PM_OK) fprintf(stderr, "%s: at %" PRIu64 ": %s\n", name, why.offset, why.msg);
        pm_rz_drop(&all);
        return s == PM_OK;
    }
    FILE *to = strcmp(name, "-") == 0 ? stdout : fopen(name, "w");
    if (!to) return perror(name), false;
    bool ok = write_lines(to, ends_with(name, ".jsonl"), m);
    if (to != stdout && fclose(to) != 0) ok = false;
    return ok;
}

/* A small file in each form, and back. */
static int show(void) {
    static const char tsv[] = "fruit/apple\t3\nfruit/\\x70ear\t5\nna\xc3\xafve \"q\"\t7\n"
                              "raw\\xff\\x00\t18446744073709551615\ntab\\there\\\\\t0\n";
    pm_map m = {0}, again = {0};
    bool same = false;
    FILE *in = tmpfile(), *json = tmpfile();
    bool ok = in && json && fputs(tsv, in) >= 0 && fseek(in, 0, SEEK_SET) == 0 && read_lines(in, false, &m) &&
              write_lines(stdout, false, &m) && write_lines(stdout, true, &m) && write_lines(json, true, &m) &&
              fseek(json, 0, SEEK_SET) == 0 && read_lines(json, true, &again) && pm_equal(&m, &again, &same) == PM_OK;
    printf("%s\n", ok && same ? "and back" : "something else");
    if (in) (void)fclose(in);
    if (json) (void)fclose(json);
    pm_drop(&m);
    pm_drop(&again);
    return !(ok && same);
}

int main(int argc, char **argv) {
    pm_map m = {0};
    if (argc == 1) return show();
    if (argc != 3) return fprintf(stderr, "usage: %s FROM TO\n", argv[0]), 2;
    bool ok = load(argv[1], &m) && save(argv[2], &m);
    pm_drop(&m);
    return !ok;
}
