/* Random operation scripts. Each line is made up from what the model holds at that moment, so that most paths hit
   something: places that exist, their neighbours, prefixes and extensions. A script has a profile: its alphabet, the
   length of its paths, and whether it begins with wide fan-outs or deep chains. */

#include "replay.h"

#include <stdlib.h>
#include <string.h>

typedef struct profile {
    uint8_t alphabet[256];
    unsigned letters;  /* how many bytes of the alphabet are in use */
    unsigned max_len;  /* of freely made paths */
    unsigned map_count;
    bool wide, deep;
    bool bushy; /* wide fan-outs of which some branches have many keys */
    bool scattered; /* maps of many random keys of 8 bytes */
} profile;

typedef struct generator {
    uint64_t rng;
    profile p;
    replay_run s;
    unsigned groups;
    replay_log log;
    void *ctx;
    model_bytes line, *out;
    model_bytes recent[8]; /* paths used before */
    int result_map;        /* first map of the last line, or -1 */
    int last_map;          /* and the last one named before its paths */
    bool differs;
} generator;

/* ---- chance ---- */

static uint64_t next_random(generator *g) {
    uint64_t z = (g->rng += 0x9e3779b97f4a7c15u);
    z = (z ^ (z >> 30)) * 0xbf58476d1ce4e5b9u;
    z = (z ^ (z >> 27)) * 0x94d049bb133111ebu;
    return z ^ (z >> 31);
}

static unsigned below(generator *g, unsigned n) { return (unsigned)(next_random(g) % n); }

static bool chance(generator *g, unsigned percent) { return below(g, 100) < percent; }

static uint8_t letter(generator *g) {
    if (chance(g, 2)) return (uint8_t)below(g, 256);
    return g->p.alphabet[below(g, g->p.letters)];
}

static uint64_t value(generator *g) {
    static const uint64_t usual[] = {0, 1, 1, 2, 2, 3, 7, UINT64_MAX};
    return chance(g, 85) ? usual[below(g, 8)] : next_random(g);
}

static void choose_profile(generator *g) {
    static const uint8_t alphabets[][6] = {
        {0x61, 0x62}, {0x61, 0x62, 0x63}, {0x00, 0xff}, {0x00, 0x3f, 0x40, 0x7f, 0x80, 0xff}, {0x00, 0x01, 0xfe, 0xff}};
    static const unsigned sizes[] = {2, 3, 2, 6, 4};
    static const unsigned lengths[] = {4, 6, 12, 40, 150};
    profile *p = &g->p;
    unsigned a = below(g, 6);
    p->letters = a < 5 ? sizes[a] : 256;
    for (unsigned i = 0; i < p->letters; i++) p->alphabet[i] = a < 5 ? alphabets[a][i] : (uint8_t)i;
    p->max_len = lengths[below(g, 5)];
    if (p->letters == 256 && p->max_len > 12) p->max_len = 3;
    p->map_count = 3 + below(g, 3);
    p->wide = chance(g, 25);
    p->deep = chance(g, 8);
    p->bushy = chance(g, 4);
    p->scattered = (g->groups & REPLAY_GROUP_VIEW) && chance(g, g->groups == REPLAY_GROUP_ALL ? 6 : 40);
}

/* ---- paths ---- */

static void add_free(generator *g, model_bytes *path, unsigned max_len) {
    unsigned n = below(g, max_len + 1);
    if (chance(g, 50)) n = n > 3 ? below(g, 4) : n;
    for (unsigned i = 0; i < n; i++) {
        uint8_t b = letter(g);
        model_bytes_append(path, &b, 1);
    }
}

/* Descends from a cursor's focus at random and appends the way. */
static void add_existing(generator *g, model_bytes *path, model_cursor *c, bool to_leaf) {
    size_t start = c->path.len;
    unsigned stop = to_leaf ? 0 : g->p.deep ? 8 : 20;
    while (!chance(g, stop)) {
        unsigned n = model_cursor_children(c, NULL);
        if (!n) break;
        if (n == 1 && chance(g, 60))
            model_cursor_descend_until(c, 1 + below(g, 40));
        else
            model_cursor_descend_index(c, below(g, n));
    }
    model_bytes_append(path, c->path.data ? c->path.data + start : NULL, c->path.len - start);
}

/* Looks through all locations of a map for one that suits. */
typedef struct search {
    generator *g;
    model_bytes *path; /* the best so far, relative to the root */
    model_key root;
    unsigned score; /* dangling: how many were met; widest: its children */
} search;

static bool is_below(const search *s, const uint8_t *key, size_t len) {
    return len >= s->root.len && !(s->root.len && memcmp(key, s->root.data, s->root.len) != 0);
}

static void keep(search *s, const uint8_t *key, size_t len) {
    s->path->len = 0;
    model_bytes_append(s->path, key + s->root.len, len - s->root.len);
}

static bool see_dangling(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    search *s = ctx;
    if (val || children || !is_below(s, key, len)) return true;
    if (below(s->g, ++s->score) == 0) keep(s, key, len); /* each of them is as likely to be the one kept */
    return true;
}

static bool see_width(void *ctx, const uint8_t *key, size_t len, const uint64_t *val, unsigned children) {
    search *s = ctx;
    (void)val;
    if (children <= s->score || !is_below(s, key, len)) return true;
    s->score = children;
    keep(s, key, len);
    return true;
}

/* Makes a place that exists into one nearby. */
static void bend(generator *g, model_bytes *path) {
    switch (below(g, 10)) {
    case 0:
    case 1: path->len = path->len ? below(g, (unsigned)path->len + 1) : 0; break;
    case 2:
    case 3: add_free(g, path, 4); break;
    case 4:
        if (path->len) path->data[path->len - 1] = (uint8_t)(path->data[path->len - 1] + (chance(g, 50) ? 1 : 255));
        break;
    case 5:
        if (path->len) path->data[below(g, (unsigned)path->len)] = letter(g);
        break;
    }
}

/* What kind of place a path is to name, most of the time. */
typedef enum wish { ANYWHERE, DANGLING, INNER, LEAF, WIDEST } wish;

/* An existing place near the root, which is likely to have something below. */
static void add_inner(generator *g, model_bytes *path, model *m, model_key root) {
    model_cursor c;
    size_t start = path->len;
    model_cursor_open(&c, m, root.data, root.len);
    add_existing(g, path, &c, false);
    model_cursor_close(&c);
    size_t len = path->len - start;
    path->len = start + (len > 1 ? below(g, (unsigned)len) / (1 + below(g, 3)) : 0);
}

/* Appends a path relative to `root` in `m`. */
static void add_path(generator *g, model_bytes *path, model *m, model_key root, wish want) {
    unsigned way = below(g, 100);
    if (want == DANGLING && way < 60) way = 0;
    if (want == INNER && way < 60) way = 5;
    if (way < 5 || want == WIDEST) {
        search s = {g, path, root, 0};
        model_each(m, want == WIDEST ? see_width : see_dangling, &s);
    } else if (way < 12) {
        add_inner(g, path, m, root);
    } else if (way < 65) {
        model_cursor c;
        model_cursor_open(&c, m, root.data, root.len);
        add_existing(g, path, &c, want == LEAF);
        model_cursor_close(&c);
        if (want != LEAF || chance(g, 20)) bend(g, path);
    } else if (way < 75) {
        const model_bytes *r = &g->recent[below(g, 8)];
        model_bytes_append(path, r->data, r->len);
    } else {
        add_free(g, path, g->p.max_len);
    }
    if (chance(g, 30)) {
        model_bytes *r = &g->recent[below(g, 8)];
        r->len = 0;
        model_bytes_append(r, path->data, path->len);
    }
}

/* ---- lines ---- */

/* Logs and runs the line made so far. */
static void run_line(generator *g) {
    const char *text = (const char *)g->line.data;
    if (!g->differs) {
        g->log(g->ctx, text, g->line.len);
        g->differs = !replay_line(&g->s, text, g->line.len, g->out);
    }
    g->line.len = 0;
}

static void say_path(generator *g, const model_bytes *path) {
    replay_print(&g->line, " ");
    replay_print_path(&g->line, (model_key){path->data, path->len});
}

static void say_number(generator *g, uint64_t n) { replay_print(&g->line, " %llu", (unsigned long long)n); }

static unsigned free_maps(const generator *g) {
    unsigned n = 0;
    for (unsigned m = 0; m < g->p.map_count; m++) n += !replay_map_is_busy(&g->s, (int)m);
    return n;
}

/* A map, almost always one that is not busy; -1 if there is none. */
static int choose_map(generator *g) {
    unsigned from = below(g, g->p.map_count);
    if (chance(g, 1)) return (int)from;
    for (unsigned i = 0; i < g->p.map_count; i++) {
        int m = (int)((from + i) % g->p.map_count);
        if (!replay_map_is_busy(&g->s, m)) return m;
    }
    return -1;
}

/* A register that is open or not as wanted, or -1. */
static int choose_register(generator *g, const bool *open, int count, bool want_open) {
    int from = (int)below(g, (unsigned)count);
    for (int i = 0; i < count; i++)
        if (open[(from + i) % count] == want_open) return (from + i) % count;
    return -1;
}

static uint64_t small_number(generator *g) {
    if (chance(g, 2)) return chance(g, 50) ? UINT64_MAX : below(g, 300);
    return chance(g, 15) ? below(g, 30) : below(g, 6);
}

/* What the paths of a line are relative to, and should name. */
typedef struct place {
    model *m;
    model_key root;
    wish want;
} place;

/* A set of bytes, mostly children of the cursor's focus. */
static void say_mask(generator *g, const model_cursor *c) {
    model_bytes mask = {0};
    uint8_t kids[256];
    unsigned n = model_cursor_children(c, kids), keep = below(g, 101);
    for (unsigned i = 0; i < n; i++)
        if (chance(g, keep)) model_bytes_append(&mask, &kids[i], 1);
    for (unsigned i = below(g, 4); i; i--) {
        uint8_t b = letter(g);
        model_bytes_append(&mask, &b, 1);
    }
    say_path(g, &mask);
    model_bytes_free(&mask);
}

static void say_new_path(generator *g, const place *at, bool seldom_empty) {
    model_bytes path = {0};
    for (int tries = seldom_empty ? 4 : 1; tries && !path.len; tries--) {
        if (at->m)
            add_path(g, &path, at->m, at->root, at->want);
        else
            add_free(g, &path, 6);
    }
    say_path(g, &path);
    model_bytes_free(&path);
}

/* The zippers that head operations name are places of the head's map. */
static place start_of(const generator *g) {
    if (g->s.head_map < 0) return (place){NULL, {NULL, 0}, ANYWHERE};
    return (place){replay_model_map(g->s.state[0], g->s.head_map), {NULL, 0}, INNER};
}

/* Appends the register and remembers where its paths start; false if there is none in that state. */
static bool say_zipper(generator *g, char kind, place *at, int *before) {
    bool writer = kind == 'W' || kind == 'w';
    bool is_open = kind == 'W' || kind == 'R';
    int i = -1;
    for (int tries = 0; tries < 4 && (i < 0 || i == *before); tries++)
        i = choose_register(g, writer ? g->s.writer : g->s.reader, REPLAY_ZIPPERS, is_open);
    if (i < 0 || (i == *before && !chance(g, 2))) return false;
    *before = i;
    replay_print(&g->line, " %c%d", writer ? 'w' : 'r', i);
    if (is_open) {
        const model_cursor *c = replay_model_cursor(g->s.state[0], writer, i);
        at->m = c->m;
        at->root = (model_key){c->path.data, c->root_len};
        if (chance(g, 50)) at->root.len = c->path.len; /* some moves start at the focus */
    }
    return true;
}

static wish wish_of(generator *g, const char *name) {
    if (strcmp(name, "prune") == 0) return DANGLING;
    if (strcmp(name, "del") == 0 && chance(g, 60)) return LEAF;
    bool subtrie = strcmp(name, "sub1") == 0 || strcmp(name, "rmbranches") == 0;
    return subtrie || strcmp(name + 1, "open") == 0 || (name[0] == 'w' && chance(g, 60)) ? INNER : ANYWHERE;
}

/* Sources at the very path of the writer's focus have most in common with it, if the maps are clones. */
static bool say_same_path(generator *g, const char *name, int writer) {
    if (strncmp(name, "w.", 2) != 0 || strcmp(name, "w.insprefix") == 0 || !chance(g, 35)) return false;
    const model_cursor *c = replay_model_cursor(g->s.state[0], true, writer);
    say_path(g, &c->path);
    return true;
}

/* The two ends of a range, almost always in order; sometimes it has no end. */
static void say_range(generator *g, const place *at) {
    model_bytes ends[2] = {{0}, {0}};
    for (int i = 0; i < 2; i++) {
        place p = *at;
        if (chance(g, 50)) p.want = LEAF;
        add_path(g, &ends[i], p.m, p.root, p.want);
    }
    size_t min = ends[0].len < ends[1].len ? ends[0].len : ends[1].len;
    int c = min ? memcmp(ends[0].data, ends[1].data, min) : 0;
    bool swap = (c ? c > 0 : ends[0].len > ends[1].len) && !chance(g, 4);
    say_path(g, &ends[swap]);
    if (chance(g, 8)) replay_print(&g->line, " +");
    else say_path(g, &ends[!swap]);
    model_bytes_free(&ends[0]);
    model_bytes_free(&ends[1]);
}

/* A mixed trie; paths are then relative to it. */
static bool say_mixed(generator *g, bool is_open, const char *name, place *at) {
    int x = choose_register(g, g->s.mixed, REPLAY_MIXED, is_open);
    if (x < 0) return false;
    replay_print(&g->line, " x%d", x);
    if (is_open) *at = (place){replay_model_mixed(g->s.state[0], x), {NULL, 0}, wish_of(g, name + 1)};
    return true;
}

static bool say_argument(generator *g, char kind, const char *name, place *at, int *zipper, int *map) {
    static const char *const rules[] = {"base", "ours", "theirs"};
    bool writes_value = strcmp(name, "set") == 0 || strcmp(name, "w.set") == 0 || strcmp(name, "w.orset") == 0 ||
                        strcmp(name, "xset") == 0;
    switch (kind) {
    case 'M': {
        int m = choose_map(g);
        for (int tries = 0; tries < 3 && m == *map; tries++) m = choose_map(g); /* rather two different ones */
        if (m < 0) return false;
        if (*map < 0) g->result_map = m;
        *map = g->last_map = m;
        replay_print(&g->line, " m%d", m);
        *at = (place){replay_model_map(g->s.state[0], m), {NULL, 0}, wish_of(g, name)};
        return true;
    }
    case 'R':
    case 'r':
    case 'W':
    case 'w': return say_zipper(g, kind, at, zipper);
    case 'X':
    case 'x': return say_mixed(g, kind == 'X', name, at);
    case 'T':
    case 't': {
        int t = choose_register(g, g->s.txn, REPLAY_TXNS, kind == 'T');
        replay_print(&g->line, " t%d", t);
        return t >= 0;
    }
    case 'p': say_new_path(g, at, strcmp(name, "set") == 0); return true;
    case 'n': say_number(g, writes_value ? value(g) : small_number(g)); return true;
    case 'f': say_number(g, below(g, 2)); return true;
    case 'b': replay_print(&g->line, " %02x", letter(g)); return true;
    case 'c': replay_print(&g->line, " %s", rules[below(g, 3)]); return true;
    case 'l': {
        static const char *const names[] = {"lt", "le", "ge", "gt"};
        replay_print(&g->line, " %s", names[below(g, 4)]);
        return true;
    }
    }
    return false;
}

static bool is_opening(const char *name) {
    return strcmp(name + 1, "open") == 0 || *name == 'v' || strcmp(name, "xread") == 0;
}

/* Most of the time keeps some maps free, and asks a head only when there is one. */
static bool makes_sense(generator *g, const char *name) {
    bool takes_map = strcmp(name, "wopen") == 0 || strcmp(name, "hopen") == 0;
    bool asks_head = name[0] == 'h' && !takes_map && strcmp(name, "has") != 0 && strcmp(name, "hash") != 0;
    if (chance(g, 1)) return true;
    if (takes_map && free_maps(g) < 3 - (g->p.map_count == 3)) return false;
    if (strcmp(name, "hopen") == 0 && g->s.head_map >= 0) return false;
    return !asks_head || g->s.head_map >= 0;
}

/* Moves some writer to a place that suits the operation to come. */
static void approach(generator *g, const char *name) {
    static const char *const inner[] = {"w.join", "w.meet", "w.sub", "w.meet2", "w.restrict", "w.restricting",
                                        "w.joink", "w.meetk", "w.insprefix", "w.rmprefix", "w.take", "w.graftmask",
                                        "w.rmmask", "w.rmbranches", "w.jointake"};
    wish want = strncmp(name, "w.prune", 7) == 0 ? DANGLING : ANYWHERE;
    for (unsigned i = 0; i < sizeof inner / sizeof *inner; i++)
        if (strcmp(name, inner[i]) == 0) want = INNER;
    if (strcmp(name, "w.del") == 0) want = LEAF;
    if (want == INNER && chance(g, 15)) want = WIDEST;
    if (want == ANYWHERE || chance(g, 30)) return;
    for (int i = 0; i < REPLAY_ZIPPERS && !g->differs; i++) {
        if (!g->s.writer[i] || chance(g, 30)) continue;
        const model_cursor *c = replay_model_cursor(g->s.state[0], true, i);
        model_bytes path = {0};
        add_path(g, &path, c->m, (model_key){c->path.data, c->root_len}, want);
        replay_print(&g->line, "w.to w%d", i);
        say_path(g, &path);
        model_bytes_free(&path);
        run_line(g);
    }
}

/* Makes and runs one line of that operation; false if it makes no sense now. */
static bool try_operation(generator *g, const char *name) {
    const char *spec = replay_spec(name);
    place at = start_of(g);
    int zipper = -1, map = -1;
    g->result_map = -1;
    bool fits = makes_sense(g, name);
    if (fits) approach(g, name);
    g->line.len = 0;
    replay_print(&g->line, "%s", name);
    if (strncmp(name, "r.", 2) == 0) fits = fits && say_zipper(g, 'R', &at, &zipper);
    if (strncmp(name, "w.", 2) == 0 && spec[0] != 'W') fits = fits && say_zipper(g, 'W', &at, &zipper);
    for (; *spec && fits; spec++) {
        if (spec[0] == 'p' && spec[1] == 'e')
            say_range(g, &at), spec++;
        else if (*spec == 'B')
            say_mask(g, replay_model_cursor(g->s.state[0], true, zipper));
        else if (*spec == 'p' && is_opening(name) && chance(g, 40))
            replay_print(&g->line, " -");
        else if (*spec == 'p' && map >= 0 && zipper >= 0 && say_same_path(g, name, zipper))
            continue;
        else
            fits = say_argument(g, *spec, name, &at, &zipper, &map);
    }
    if (fits) run_line(g);
    g->line.len = 0;
    return fits;
}

/* ---- the mix ---- */

typedef struct weight {
    const char *name;
    unsigned group, weight;
} weight;

static const weight weights[] = {
    {"set", REPLAY_GROUP_MAP, 60},        {"del", REPLAY_GROUP_MAP, 24},       {"get", REPLAY_GROUP_MAP, 8},
    {"has", REPLAY_GROUP_MAP, 6},         {"create", REPLAY_GROUP_MAP, 24},    {"prune", REPLAY_GROUP_MAP, 12},
    {"rmbranches", REPLAY_GROUP_MAP, 8},  {"count", REPLAY_GROUP_MAP, 4},      {"locs", REPLAY_GROUP_MAP, 3},
    {"clone", REPLAY_GROUP_MAP, 12},      {"drop", REPLAY_GROUP_MAP, 1},       {"list", REPLAY_GROUP_MAP, 4},
    {"hash", REPLAY_GROUP_MAP, 8},        {"eq", REPLAY_GROUP_MAP, 4},         {"sub1", REPLAY_GROUP_MAP, 8},
    {"kcount", REPLAY_GROUP_MAP, 3},      {"fold", REPLAY_GROUP_MAP, 4},
    {"ropen", REPLAY_GROUP_READ, 14},     {"rclose", REPLAY_GROUP_READ, 10},   {"rfork", REPLAY_GROUP_READ, 4},
    {"r.to", REPLAY_GROUP_READ, 10},      {"r.down", REPLAY_GROUP_READ, 8},    {"r.exist", REPLAY_GROUP_READ, 6},
    {"r.toval", REPLAY_GROUP_READ, 5},    {"r.byte", REPLAY_GROUP_READ, 5},    {"r.first", REPLAY_GROUP_READ, 5},
    {"r.last", REPLAY_GROUP_READ, 5},     {"r.idx", REPLAY_GROUP_READ, 5},     {"r.until", REPLAY_GROUP_READ, 6},
    {"r.untilmax", REPLAY_GROUP_READ, 5}, {"r.up", REPLAY_GROUP_READ, 8},      {"r.upuntil", REPLAY_GROUP_READ, 5},
    {"r.upbranch", REPLAY_GROUP_READ, 5}, {"r.next", REPLAY_GROUP_READ, 8},    {"r.prev", REPLAY_GROUP_READ, 7},
    {"r.val", REPLAY_GROUP_READ, 10},     {"r.step", REPLAY_GROUP_READ, 12},   {"r.firstk", REPLAY_GROUP_READ, 8},
    {"r.nextk", REPLAY_GROUP_READ, 10},   {"r.lastpath", REPLAY_GROUP_READ, 4}, {"r.mask", REPLAY_GROUP_READ, 4},
    {"r.valcount", REPLAY_GROUP_READ, 4}, {"r.origin", REPLAY_GROUP_READ, 2},  {"r.reset", REPLAY_GROUP_READ, 5},
    {"r.atroot", REPLAY_GROUP_READ, 1},
    {"r.vals", REPLAY_GROUP_READ, 3},     {"r.pvals", REPLAY_GROUP_READ, 3},   {"r.steps", REPLAY_GROUP_READ, 3},
    {"r.psteps", REPLAY_GROUP_READ, 3},   {"w.vals", REPLAY_GROUP_WRITE, 1},   {"w.psteps", REPLAY_GROUP_WRITE, 1},
    {"r.pval", REPLAY_GROUP_READ, 10},    {"r.pstep", REPLAY_GROUP_READ, 12},  {"r.seek", REPLAY_GROUP_READ, 14},
    {"wopen", REPLAY_GROUP_WRITE, 22},    {"wclose", REPLAY_GROUP_WRITE, 14},  {"w.set", REPLAY_GROUP_WRITE, 22},
    {"w.del", REPLAY_GROUP_WRITE, 14},    {"w.orset", REPLAY_GROUP_WRITE, 6},  {"w.graft", REPLAY_GROUP_WRITE, 14},
    {"w.graftmask", REPLAY_GROUP_WRITE, 10}, {"w.insprefix", REPLAY_GROUP_WRITE, 7},
    {"w.rmprefix", REPLAY_GROUP_WRITE, 7}, {"w.take", REPLAY_GROUP_WRITE, 9},  {"w.rmbranches", REPLAY_GROUP_WRITE, 4},
    {"w.rmmask", REPLAY_GROUP_WRITE, 5},  {"w.create", REPLAY_GROUP_WRITE, 10}, {"w.prune", REPLAY_GROUP_WRITE, 6},
    {"w.pruneup", REPLAY_GROUP_WRITE, 6}, {"w.to", REPLAY_GROUP_WRITE, 24},    {"w.down", REPLAY_GROUP_WRITE, 8},
    {"w.exist", REPLAY_GROUP_WRITE, 6},   {"w.toval", REPLAY_GROUP_WRITE, 4},  {"w.byte", REPLAY_GROUP_WRITE, 3},
    {"w.first", REPLAY_GROUP_WRITE, 5},   {"w.last", REPLAY_GROUP_WRITE, 5},   {"w.idx", REPLAY_GROUP_WRITE, 4},
    {"w.until", REPLAY_GROUP_WRITE, 3},   {"w.untilmax", REPLAY_GROUP_WRITE, 2}, {"w.up", REPLAY_GROUP_WRITE, 6},
    {"w.upuntil", REPLAY_GROUP_WRITE, 3}, {"w.upbranch", REPLAY_GROUP_WRITE, 3}, {"w.next", REPLAY_GROUP_WRITE, 4},
    {"w.prev", REPLAY_GROUP_WRITE, 4},    {"w.val", REPLAY_GROUP_WRITE, 4},    {"w.step", REPLAY_GROUP_WRITE, 5},
    {"w.firstk", REPLAY_GROUP_WRITE, 3},  {"w.nextk", REPLAY_GROUP_WRITE, 3},  {"w.lastpath", REPLAY_GROUP_WRITE, 3},
    {"w.mask", REPLAY_GROUP_WRITE, 2},    {"w.valcount", REPLAY_GROUP_WRITE, 2}, {"w.origin", REPLAY_GROUP_WRITE, 1},
    {"w.reset", REPLAY_GROUP_WRITE, 6},   {"w.atroot", REPLAY_GROUP_WRITE, 1},
    {"w.pval", REPLAY_GROUP_WRITE, 4},    {"w.pstep", REPLAY_GROUP_WRITE, 4},  {"w.seek", REPLAY_GROUP_WRITE, 6},
    {"wopen", REPLAY_GROUP_WRITEALG, 16}, {"wclose", REPLAY_GROUP_WRITEALG, 10}, {"w.to", REPLAY_GROUP_WRITEALG, 16},
    {"w.reset", REPLAY_GROUP_WRITEALG, 6}, {"w.join", REPLAY_GROUP_WRITEALG, 14}, {"w.meet", REPLAY_GROUP_WRITEALG, 12},
    {"w.sub", REPLAY_GROUP_WRITEALG, 12}, {"w.meet2", REPLAY_GROUP_WRITEALG, 10},
    {"w.restrict", REPLAY_GROUP_WRITEALG, 8}, {"w.restricting", REPLAY_GROUP_WRITEALG, 8},
    {"w.jointake", REPLAY_GROUP_WRITEALG, 10}, {"w.joink", REPLAY_GROUP_WRITEALG, 10},
    {"w.meetk", REPLAY_GROUP_WRITEALG, 10},
    {"join", REPLAY_GROUP_ALGEBRA, 16},   {"meet", REPLAY_GROUP_ALGEBRA, 16},  {"sub", REPLAY_GROUP_ALGEBRA, 16},
    {"restrict", REPLAY_GROUP_ALGEBRA, 14},
    {"diff", REPLAY_GROUP_DIFF, 14},      {"patch", REPLAY_GROUP_DIFF, 12},    {"merge3", REPLAY_GROUP_DIFF, 16},
    {"hopen", REPLAY_GROUP_HEAD, 14},     {"hread", REPLAY_GROUP_HEAD, 14},    {"hpin", REPLAY_GROUP_HEAD, 12},
    {"hwrite", REPLAY_GROUP_HEAD, 20},    {"hclose", REPLAY_GROUP_HEAD, 6},
    {"firstval", REPLAY_GROUP_ORDER, 3},  {"lastval", REPLAY_GROUP_ORDER, 3},  {"ge", REPLAY_GROUP_ORDER, 6},
    {"gt", REPLAY_GROUP_ORDER, 6},        {"le", REPLAY_GROUP_ORDER, 6},       {"lt", REPLAY_GROUP_ORDER, 6},
    {"longest", REPLAY_GROUP_ORDER, 6},   {"prefixes", REPLAY_GROUP_ORDER, 4}, {"common", REPLAY_GROUP_ORDER, 4},
    {"scan", REPLAY_GROUP_ORDER, 4},      {"rscan", REPLAY_GROUP_ORDER, 4},    {"rcount", REPLAY_GROUP_ORDER, 6},
    {"rdel", REPLAY_GROUP_ORDER, 14},     {"rkeep", REPLAY_GROUP_ORDER, 8},    {"rank", REPLAY_GROUP_ORDER, 5},
    {"nth", REPLAY_GROUP_ORDER, 5},       {"psize", REPLAY_GROUP_ORDER, 5},    {"split", REPLAY_GROUP_ORDER, 10},
    {"concat", REPLAY_GROUP_ORDER, 6},
    {"vprefix", REPLAY_GROUP_VIEW, 6},    {"voverlay", REPLAY_GROUP_VIEW, 10},  {"vmeet", REPLAY_GROUP_VIEW, 10},
    {"vsub", REPLAY_GROUP_VIEW, 10},      {"vproduct", REPLAY_GROUP_VIEW, 8},   {"rclose", REPLAY_GROUP_VIEW, 36},
    {"xopen", REPLAY_GROUP_MIXED, 10},    {"xclose", REPLAY_GROUP_MIXED, 5},    {"xclone", REPLAY_GROUP_MIXED, 5},
    {"xset", REPLAY_GROUP_MIXED, 24},     {"xget", REPLAY_GROUP_MIXED, 8},      {"xdel", REPLAY_GROUP_MIXED, 14},
    {"xhas", REPLAY_GROUP_MIXED, 5},      {"xcreate", REPLAY_GROUP_MIXED, 7},   {"xprune", REPLAY_GROUP_MIXED, 7},
    {"xrmbranches", REPLAY_GROUP_MIXED, 6}, {"xhang", REPLAY_GROUP_MIXED, 8},   {"xgraft", REPLAY_GROUP_MIXED, 5},
    {"xmake", REPLAY_GROUP_MIXED, 6},     {"xcommit", REPLAY_GROUP_MIXED, 10},  {"xread", REPLAY_GROUP_MIXED, 10},
    {"rclose", REPLAY_GROUP_MIXED, 10},
    {"tbegin", REPLAY_GROUP_TXN, 8},      {"tcommit", REPLAY_GROUP_TXN, 4},    {"troll", REPLAY_GROUP_TXN, 6},
};

enum { WEIGHTS = sizeof weights / sizeof *weights };

static const char *choose_operation(generator *g) {
    unsigned total = 0;
    for (unsigned i = 0; i < WEIGHTS; i++)
        if (weights[i].group & g->groups) total += weights[i].weight;
    unsigned at = below(g, total);
    for (unsigned i = 0; i < WEIGHTS; i++) {
        if (!(weights[i].group & g->groups)) continue;
        if (at < weights[i].weight) return weights[i].name;
        at -= weights[i].weight;
    }
    return "list";
}

/* Iteration is only tested by going on. */
static void repeat_move(generator *g, const char *name) {
    static const char *const repeatable[] = {"r.step", "r.val",  "r.next", "r.prev", "w.step",
                                             "w.val",  "r.pval", "r.pstep", "w.pval", "w.pstep"};
    bool fits = false;
    for (unsigned i = 0; i < sizeof repeatable / sizeof *repeatable; i++)
        fits = fits || strcmp(name, repeatable[i]) == 0;
    if (!fits || !chance(g, 25)) return;
    bool writer = name[0] == 'w';
    int reg = choose_register(g, writer ? g->s.writer : g->s.reader, REPLAY_ZIPPERS, true);
    for (unsigned n = 5 + below(g, 30); n && reg >= 0 && !g->differs; n--) {
        replay_print(&g->line, "%s %c%d", name, name[0], reg);
        run_line(g);
    }
}

/* What algebra made is shown at once: later operations may hide a fault. */
static void show_result(generator *g, const char *name) {
    static const char *const makers[] = {"join", "meet", "sub", "restrict", "sub1", "rdel", "rkeep", "split", "concat",
                                         "patch", "merge3", "xmake", "xcommit"};
    for (unsigned i = 0; i < sizeof makers / sizeof *makers; i++) {
        if (strcmp(name, makers[i]) != 0 || g->result_map < 0 || replay_map_is_busy(&g->s, g->result_map)) continue;
        replay_print(&g->line, "%s m%d", chance(g, 80) ? "hash" : "list", g->result_map);
        run_line(g);
    }
}

/* What was divided is mostly put together again: of other maps few come one after the other. */
static void rejoin(generator *g, const char *name) {
    if (strcmp(name, "split") != 0 || g->result_map < 0 || !chance(g, 60)) return;
    replay_print(&g->line, "concat m%u m%d m%d", below(g, g->p.map_count), g->last_map, g->result_map);
    run_line(g);
}

/* All locations of one depth, by the k-path moves, and a little beyond. */
static void walk_depth(generator *g) {
    int reg = choose_register(g, g->s.reader, REPLAY_ZIPPERS, true);
    unsigned k = 1 + below(g, 4);
    if (reg < 0) return;
    if (chance(g, 70)) {
        replay_print(&g->line, "r.reset r%d", reg);
        run_line(g);
    }
    const model_cursor *c = replay_model_cursor(g->s.state[0], false, reg);
    size_t len = c->path.len + k;
    replay_print(&g->line, "r.firstk r%d %u", reg, k);
    run_line(g);
    for (unsigned n = 30; n && !g->differs && (c->path.len == len || chance(g, 20)); n--) {
        replay_print(&g->line, "r.nextk r%d %u", reg, k);
        run_line(g);
    }
}

static void shuffle(generator *g, uint8_t *order, unsigned n) {
    for (unsigned i = n; i > 1; i--) {
        unsigned j = below(g, i);
        uint8_t b = order[i - 1];
        order[i - 1] = order[j];
        order[j] = b;
    }
}

/* Many children at one place: sets them or only makes them, in order or not. */
static void fan_out(generator *g, unsigned n) {
    int m = choose_map(g);
    if (m < 0) return;
    uint8_t order[256];
    model_bytes base = {0}, tail = {0};
    add_path(g, &base, replay_model_map(g->s.state[0], m), (model_key){NULL, 0}, INNER);
    if (base.len > 8 && !g->p.deep) base.len = below(g, 8);
    if (chance(g, 30)) add_free(g, &tail, 12);
    const bool longest = g->p.deep && chance(g, 40); /* about as long as what a line has room for in one entry */
    for (unsigned k = longest ? 246 + below(g, 12) : 0; k; k--) {
        uint8_t b = letter(g);
        model_bytes_append(&tail, &b, 1);
    }
    /* Several keys as long as that at one branch, and short ones at others: some parts of a range node have no line. */
    const bool crowds = longest && chance(g, 50);
    if (crowds) n = 60 + below(g, 40);
    else if (longest && n > 24) n = 24 + below(g, 12);
    const bool own = chance(g, 40); /* tails unlike each other: lines have room for many, and range nodes come to be */
    for (unsigned i = 0; i < 256; i++) order[i] = (uint8_t)i;
    if (chance(g, 80)) shuffle(g, order, 256);
    unsigned create = chance(g, 30) ? below(g, 101) : 0;
    for (unsigned i = 0; i < n && !g->differs; i++) {
        size_t len = base.len;
        const bool brief = crowds && i % 3;
        uint8_t branch = crowds && !brief ? order[i] & 0xE0 : order[i];
        model_bytes_append(&base, &branch, 1);
        for (unsigned k = brief || (own && !crowds) ? 2 + below(g, 7) : 0; k; k--) {
            uint8_t b = (uint8_t)below(g, 256);
            model_bytes_append(&base, &b, 1);
        }
        const unsigned cut = longest && chance(g, 95) ? 6 : (unsigned)tail.len + 1;
        if (!brief) model_bytes_append(&base, tail.data, tail.len - below(g, cut));
        bool only_create = chance(g, create);
        replay_print(&g->line, "%s m%d", only_create ? "create" : "set", m);
        say_path(g, &base);
        if (!only_create) say_number(g, value(g));
        run_line(g);
        base.len = len;
    }
    model_bytes_free(&base);
    model_bytes_free(&tail);
}

/* A path to a place in or below branch i of a fan-out, or to the branch itself. */
static void bush_path(generator *g, model_bytes *path, unsigned i, unsigned k, unsigned len) {
    const uint8_t way[] = {(uint8_t)i, (uint8_t)('a' + k % 4), (uint8_t)('a' + k), letter(g)};
    model_bytes_append(path, way, len);
}

/* A fan-out near the root, some branches of which have so many keys that they are nodes with nodes below. Then a writer
   goes from one of these to the next in a clone of it. */
static void grow_bushes(generator *g) {
    const int m = choose_map(g), reg = choose_register(g, g->s.writer, REPLAY_ZIPPERS, false);
    if (m < 0) return;
    model_bytes path = {0};
    if (chance(g, 50)) add_free(g, &path, 2);
    const size_t at = path.len;
    const unsigned first = below(g, 256), branches = 50 + below(g, 16), to = (unsigned)(m + 1) % g->p.map_count;
    for (unsigned i = 0; i < branches && !g->differs; i++) {
        const unsigned keys = i % 16 == 5 ? 60 : 18;
        for (unsigned k = 0; k < keys && !g->differs; k++) {
            bush_path(g, &path, first + i, k, 3);
            replay_print(&g->line, "set m%d", m);
            say_path(g, &path);
            say_number(g, value(g));
            run_line(g);
            path.len = at;
        }
    }
    if (!(g->groups & REPLAY_GROUP_WRITE) || reg < 0 || replay_map_is_busy(&g->s, (int)to)) {
        model_bytes_free(&path);
        return;
    }
    replay_print(&g->line, "clone m%d m%u", m, to);
    run_line(g);
    replay_print(&g->line, "wopen w%d m%u -", reg, to);
    run_line(g);
    for (unsigned n = 2 + below(g, 10); n && !g->differs; n--) {
        bush_path(g, &path, first + 5 + 16 * below(g, 4), below(g, 70), 2 + below(g, 3));
        replay_print(&g->line, "w.to w%d", reg);
        say_path(g, &path);
        run_line(g);
        replay_print(&g->line, "w.set w%d", reg);
        say_number(g, value(g));
        run_line(g);
        path.len = at;
    }
    model_bytes_free(&path);
}

/* Writers that go from key to key, and keep what they know of the way. */
static void write_along(generator *g) {
    for (unsigned n = 3 + below(g, 8); n && !g->differs; n--) {
        (void)try_operation(g, "w.to");
        (void)try_operation(g, "w.set");
    }
}

/* Takes most children away from the place that has most of them, down to a few or by some share. */
static void thin_out(generator *g) {
    int m = choose_map(g);
    if (m < 0) return;
    model *in = replay_model_map(g->s.state[0], m);
    model_bytes path = {0};
    model_cursor c;
    uint8_t kids[256];
    add_path(g, &path, in, (model_key){NULL, 0}, WIDEST);
    model_cursor_open(&c, in, path.data, path.len);
    unsigned n = model_cursor_children(&c, kids), spare = chance(g, 50) ? 0 : below(g, 30);
    model_cursor_close(&c);
    shuffle(g, kids, n);
    if (!spare) n -= n < 6 ? 0 : below(g, 6);
    for (unsigned i = 0; i < n && !g->differs; i++) {
        if (chance(g, spare)) continue;
        size_t len = path.len;
        model_bytes_append(&path, &kids[i], 1);
        if (!spare || chance(g, 50)) {
            replay_print(&g->line, "rmbranches m%d", m);
            say_path(g, &path);
            say_number(g, chance(g, 80));
            run_line(g);
        }
        if (!spare || chance(g, 50)) {
            replay_print(&g->line, "del m%d", m);
            say_path(g, &path);
            say_number(g, !spare || chance(g, 80));
            run_line(g);
        }
        path.len = len;
    }
    model_bytes_free(&path);
}

/* Long paths with common beginnings, in which nothing branches for long. */
static void deepen(generator *g) {
    int m = choose_map(g);
    if (m < 0) return;
    model_bytes path = {0};
    unsigned len = 50 + below(g, chance(g, 20) ? 1200 : 300);
    for (unsigned i = 0; i < len; i++) {
        uint8_t b = letter(g);
        model_bytes_append(&path, &b, 1);
    }
    for (unsigned n = 2 + below(g, 5); n && !g->differs; n--) {
        replay_print(&g->line, "set m%d", m);
        say_path(g, &path);
        say_number(g, value(g));
        run_line(g);
        path.len = 1 + below(g, (unsigned)path.len);
        if (chance(g, 70)) add_free(g, &path, 40);
        if (!path.len) break;
    }
    model_bytes_free(&path);
}

/* All of a view of two maps that have much in common, or most of it, from the end and from the beginning. */
static void walk_pair(generator *g, int m, unsigned clone) {
    static const char *const pairs[] = {"voverlay", "vsub", "vmeet"};
    static const char *const moves[] = {"r.pvals", "r.pvals", "r.psteps", "r.vals"};
    int reg = choose_register(g, g->s.reader, REPLAY_ZIPPERS, false);
    if (reg < 0 || g->differs) return;
    const bool turn = chance(g, 50);
    replay_print(&g->line, "%s r%d m%d - m%d -", pairs[below(g, 3)], reg, turn ? (int)clone : m, turn ? m : (int)clone);
    run_line(g);
    const char *move = moves[below(g, 4)];
    if (move[2] == 'p') {
        replay_print(&g->line, "r.lastpath r%d", reg);
        run_line(g);
    }
    for (unsigned n = 1 + below(g, 4); n && !g->differs; n--) {
        replay_print(&g->line, "%s r%d %u", move, reg, chance(g, 50) ? 2000 : below(g, 200));
        run_line(g);
    }
    replay_print(&g->line, "rclose r%d", reg);
    run_line(g);
}

/* Sets a random key of 8 bytes. */
static void set_scattered(generator *g, int m, unsigned first) {
    uint8_t key[8];
    model_bytes path = {0};
    for (unsigned i = 0; i < sizeof key; i++) key[i] = (uint8_t)(i ? below(g, 256) : 5 * below(g, first));
    model_bytes_append(&path, key, sizeof key);
    replay_print(&g->line, "set m%d", m);
    say_path(g, &path);
    say_number(g, value(g));
    run_line(g);
    model_bytes_free(&path);
}

/* Many random keys of 8 bytes in one map, and clones of it with other changes: so many that nodes divide a place by
   ranges of bytes. A few changes leave nearly all nodes with both owners. */
static void scatter(generator *g) {
    const int m = choose_map(g);
    if (m < 0) return;
    const unsigned first = chance(g, 50) ? 256 : 8 + below(g, 40), clone = (unsigned)(m + 1) % g->p.map_count;
    for (unsigned n = 60 + below(g, 600); n && !g->differs; n--) set_scattered(g, m, first);
    for (unsigned round = 1 + below(g, 5); round && !g->differs; round--) {
        replay_print(&g->line, "clone m%d m%u", m, clone);
        run_line(g);
        for (unsigned n = round == 1 ? 60 : 1 + below(g, 3); n && !g->differs; n--) {
            model_bytes path = {0};
            const bool takes = chance(g, 50);
            if (takes) {
                add_path(g, &path, replay_model_map(g->s.state[0], m), (model_key){NULL, 0}, LEAF);
                replay_print(&g->line, "del m%d", m);
                say_path(g, &path);
                say_number(g, 1);
                run_line(g);
            } else {
                set_scattered(g, m, first);
            }
            model_bytes_free(&path);
        }
        walk_pair(g, m, clone);
    }
}

/* Gives maps that have become poor something to work on. */
static void refill(generator *g) {
    int m = choose_map(g);
    if (m < 0 || model_val_count(replay_model_map(g->s.state[0], m)) > 3) return;
    model_bytes path = {0};
    for (unsigned n = 4 + below(g, 10); n && !g->differs; n--) {
        path.len = 0;
        add_path(g, &path, replay_model_map(g->s.state[0], m), (model_key){NULL, 0}, ANYWHERE);
        replay_print(&g->line, "set m%d", m);
        say_path(g, &path);
        say_number(g, value(g));
        run_line(g);
    }
    model_bytes_free(&path);
}

static void step(generator *g) {
    unsigned extra = below(g, 1000);
    if (extra < 4) fan_out(g, 1 + below(g, 30));
    if (extra >= 4 && extra < (g->p.wide ? 16 : 8)) thin_out(g);
    if (g->p.deep && extra >= 20 && extra < 30) deepen(g);
    if ((g->groups & REPLAY_GROUP_READ) && extra >= 30 && extra < 40) walk_depth(g);
    if (extra >= 40 && extra < 80) refill(g);
    if ((g->groups & REPLAY_GROUP_WRITE) && extra >= 80 && extra < (g->p.bushy ? 160 : 90)) write_along(g);
    for (int tries = 0; tries < 20 && !g->differs; tries++) {
        const char *name = choose_operation(g);
        if (!try_operation(g, name)) continue;
        repeat_move(g, name);
        show_result(g, name);
        rejoin(g, name);
        return;
    }
}

static void begin(generator *g, unsigned ops, bool sum) {
    if (sum) {
        replay_print(&g->line, "mode sum");
        run_line(g);
    }
    for (unsigned n = ops / 12 + below(g, ops / 6 + 1); n && !g->differs; n--) try_operation(g, "set");
    if (g->p.wide)
        for (unsigned n = 1 + below(g, 2); n; n--) fan_out(g, 40 + below(g, 217));
    if (g->p.deep)
        for (unsigned n = 1 + below(g, 3); n; n--) deepen(g);
    if (g->p.bushy) grow_bushes(g);
    if (g->p.scattered) scatter(g);
}

static void close_all(generator *g, const char *verb, const bool *open, int count) {
    for (int i = 0; i < count; i++) {
        if (!open[i] || g->differs) continue;
        replay_print(&g->line, "%s%d", verb, i);
        run_line(g);
    }
}

/* Closes everything and shows every map in several ways. */
static void finish(generator *g) {
    static const char *const shows[] = {"list", "check", "count", "locs", "fold"};
    close_all(g, "rclose r", g->s.reader, REPLAY_ZIPPERS);
    close_all(g, "wclose w", g->s.writer, REPLAY_ZIPPERS);
    close_all(g, "xclose x", g->s.mixed, REPLAY_MIXED);
    if (g->s.head_map >= 0) try_operation(g, "hclose");
    for (unsigned m = 0; m < g->p.map_count; m++) {
        for (unsigned i = 0; i < 5 && !g->differs; i++) {
            replay_print(&g->line, "%s m%u", shows[i], m);
            run_line(g);
        }
        replay_print(&g->line, "eq m%u m%u", m, (m + 1) % g->p.map_count);
        run_line(g);
    }
    close_all(g, "troll t", g->s.txn, REPLAY_TXNS);
    for (unsigned m = 0; m < g->p.map_count && !g->differs; m++) {
        replay_print(&g->line, "hash m%u", m);
        run_line(g);
    }
}

bool replay_random(unsigned engines, uint64_t seed, uint64_t index, unsigned ops, unsigned groups, bool sum,
                   replay_log log, void *ctx, model_bytes *out) {
    generator g = {.rng = seed * 0xd1342543de82ef95u + index, .groups = groups, .log = log, .ctx = ctx, .out = out};
    next_random(&g);
    choose_profile(&g);
    replay_open(&g.s, engines | REPLAY_ON_MODEL);
    begin(&g, ops, sum);
    for (unsigned i = 0; i < ops && !g.differs; i++) step(&g);
    if (!g.differs) finish(&g);
    model_bytes ignored = {0};
    if (!replay_close(&g.s, g.differs ? &ignored : out)) g.differs = true;
    model_bytes_free(&ignored);
    model_bytes_free(&g.line);
    for (int i = 0; i < 8; i++) model_bytes_free(&g.recent[i]);
    return !g.differs;
}
