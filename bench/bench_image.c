/* Measures what trie images are made of, and path files.

     size, size_of_set   of an image, with values (of a key: its number in the file) and without
     made_of_, set_of_   how that divides, in bytes a key: header, counts (of a record's entries), groups (places of
                         every eighth entry), first (each entry's first byte), heads (its bits and length of run), runs,
                         values, references
     records, entries, references, runs, runs_distinct   how many there are a key, in the image of the set
     runs_once           bytes of runs a key in it, if each run were there once
     paths_write, paths_read   a path file, compressed, to nowhere and from memory; the engine `zlib` compresses or
                         decompresses the same bytes alone, at the same level. _plain: without compressing. Reading
                         makes a map of the paths
     paths_size          of that file */
#define _GNU_SOURCE
#define PATHMAP_STATIC
#include "pathmap.h"

#include "bench.h"

typedef struct block {
    uint8_t *data;
    size_t len, room, at;
} block;

static void need(pm_status s) {
    if (s != PM_OK) bench_die("pathmap", pm_status_text(s));
}

static pm_status append(void *ctx, const void *from, size_t n) {
    block *b = ctx;
    if (b->room - b->len < n) {
        b->room = 2 * (b->len + n);
        b->data = realloc(b->data, b->room);
        if (!b->data) bench_die("out of memory", NULL);
    }
    memcpy(b->data + b->len, from, n);
    b->len += n;
    return PM_OK;
}

/* ---- what an image is made of ----------------------------------------------------------------------------------- */

typedef struct parts {
    size_t header, counts, groups, first, heads, runs, values, references;
} parts;

typedef struct counts {
    size_t records, entries, references, runs, runs_distinct, runs_once;
} counts;

static size_t number_size(uint64_t v) {
    size_t n = 1;
    for (; v >= 128; v >>= 7) n++;
    return n;
}

/* Adds a record up; those below it are marked. */
static void take_record(const pm_image *m, size_t at, pm__marks *marks, pm_map *known, parts *p, counts *c) {
    pm__image_record r;
    pm__image_entry e;
    pm_opt before;
    if (!pm__image_record_at(m, at, &r)) bench_die("a damaged record", NULL);
    c->records++;
    c->entries += r.n;
    p->counts++;
    p->groups += r.first - r.index;
    p->first += r.n;
    for (size_t i = 0, next = r.first; i < r.n; i++, next = e.end) {
        if (!pm__image_entry_at(m, &r, next, &e)) bench_die("a damaged entry", NULL);
        const size_t reference = e.child ? number_size(at - e.child) : 0, head = e.run_len < PM__IMAGE_LONG ? 1 : 2;
        p->heads += head;
        p->runs += e.run_len;
        p->references += reference;
        p->values += e.end - next - head - e.run_len - reference;
        c->references += e.child != 0;
        if (e.child) pm__marks_set(marks, e.child);
        if (!e.run_len) continue;
        need(pm_set(known, e.run, e.run_len, 0, &before));
        c->runs++;
        if (!before.some) c->runs_distinct++, c->runs_once += e.run_len;
    }
}

static void divide(const pm_image *m, parts *p, counts *c) {
    pm__marks marks;
    pm__image_entry e;
    pm_map known = pm_new(pm_ops_unit(), NULL);
    size_t at = m->size;
    memset(p, 0, sizeof *p);
    memset(c, 0, sizeof *c);
    if (!pm__marks_new(m, &marks) || !pm__image_root(m, 0, &e)) bench_die("no image", NULL);
    p->header = m->start;
    if (e.child) pm__marks_set(&marks, e.child);
    while (pm__marks_prev(&marks, at, &at)) take_record(m, at, &marks, &known, p, c);
    pm__marks_free(&marks);
    pm_drop(&known);
    if (p->header + p->counts + p->groups + p->first + p->heads + p->runs + p->values + p->references != m->size)
        bench_die("bytes of the image are missing", NULL);
}

static void measure_image(const pm_map *all, const char *name, double n, bool set) {
    block b = {NULL, 0, 0, 0};
    pm_image m;
    parts p;
    counts c;
    need(pm_image_write(all, 1, append, &b, NULL, NULL, NULL));
    need(pm_image_open(b.data, b.len, &m, NULL));
    divide(&m, &p, &c);
    bench_emit("pathmap image", name, set ? "size_of_set" : "size", "bytes_per_key", (double)b.len / n);
    const struct {
        const char *what;
        size_t bytes;
    } part[] = {{"header", p.header}, {"counts", p.counts}, {"groups", p.groups}, {"first", p.first},
                {"heads", p.heads},   {"runs", p.runs},     {"values", p.values}, {"references", p.references}};
    for (size_t i = 0; i < sizeof part / sizeof *part; i++) {
        char op[40];
        snprintf(op, sizeof op, "%s_of_%s", set ? "set" : "made", part[i].what);
        bench_emit("pathmap image", name, op, "bytes_per_key", (double)part[i].bytes / n);
    }
    if (set) {
        bench_emit("pathmap image", name, "records", "per_key", (double)c.records / n);
        bench_emit("pathmap image", name, "entries", "per_key", (double)c.entries / n);
        bench_emit("pathmap image", name, "references", "per_key", (double)c.references / n);
        bench_emit("pathmap image", name, "runs", "per_key", (double)c.runs / n);
        bench_emit("pathmap image", name, "runs_distinct", "per_key", (double)c.runs_distinct / n);
        bench_emit("pathmap image", name, "runs_once", "bytes_per_key", (double)c.runs_once / n);
    }
    free(b.data);
}

/* ---- path files ------------------------------------------------------------------------------------------------- */

static pm_status count(void *ctx, const void *from, size_t n) {
    (void)from;
    *(size_t *)ctx += n;
    return PM_OK;
}

static pm_status give(void *ctx, void *to, size_t n, size_t *got) {
    block *b = ctx;
    *got = b->len - b->at < n ? b->len - b->at : n;
    memcpy(to, b->data + b->at, *got);
    b->at += *got;
    return PM_OK;
}

static void write_paths(const pm_map *m, bool plain, pm_write_fn write, void *ctx) {
    const pm_paths_options how = {.plain = plain};
    pm_rz z;
    need(pm_rz_open(m, NULL, 0, &z));
    need(pm_paths_write(&z, write, ctx, &how, NULL, NULL));
    pm_rz_drop(&z);
}

static bool read_paths(block *b, bool plain, uint64_t n) {
    const pm_paths_options how = {.plain = plain};
    pm_paths_stats stats;
    pm_map m;
    b->at = 0;
    need(pm_paths_read(pm_ops_unit(), NULL, give, b, &how, &m, &stats, NULL));
    pm_drop(&m);
    return stats.paths == n;
}

#if PATHMAP_ZLIB

enum { PIECE = 1 << 16, LEVEL = 7 };

/* Compresses a block, or decompresses it; returns the bytes that come of it. */
static size_t zip(const block *b, bool inflates) {
    static uint8_t room[PIECE];
    z_stream z;
    size_t at = 0, out = 0;
    int how = Z_OK;
    memset(&z, 0, sizeof z);
    if ((inflates ? inflateInit(&z) : deflateInit(&z, LEVEL)) != Z_OK) bench_die("zlib", "begin");
    while (how != Z_STREAM_END) {
        if (!z.avail_in) {
            z.avail_in = (uInt)(b->len - at < PIECE ? b->len - at : PIECE);
            z.next_in = b->data + at;
            at += z.avail_in;
        }
        z.next_out = room;
        z.avail_out = PIECE;
        how = inflates ? inflate(&z, Z_NO_FLUSH) : deflate(&z, at == b->len ? Z_FINISH : Z_NO_FLUSH);
        if (how != Z_OK && how != Z_STREAM_END) bench_die("zlib", "data");
        out += PIECE - z.avail_out;
    }
    (void)(inflates ? inflateEnd(&z) : deflateEnd(&z));
    return out;
}

#endif

typedef struct speeds {
    bench_times write, read;
} speeds;

static bool measure_paths(const pm_map *m, const char *name, uint64_t n, int runs) {
    speeds of[3];
    block plain = {NULL, 0, 0, 0}, packed = plain;
    bool good = true;
    memset(of, 0, sizeof of);
    write_paths(m, true, append, &plain);
    if (PATHMAP_ZLIB) write_paths(m, false, append, &packed);
    for (int i = 0; i < runs; i++) {
        size_t bytes = 0;
        bench_clock start = bench_start();
        write_paths(m, true, count, &bytes);
        bench_take(&of[0].write, start, (double)n);
        start = bench_start();
        good &= read_paths(&plain, true, n);
        bench_take(&of[0].read, start, (double)n);
        good &= bytes == plain.len;
#if PATHMAP_ZLIB
        bytes = 0;
        start = bench_start();
        write_paths(m, false, count, &bytes);
        bench_take(&of[1].write, start, (double)n);
        start = bench_start();
        good &= zip(&plain, false) > 0;
        bench_take(&of[2].write, start, (double)n);
        start = bench_start();
        good &= read_paths(&packed, false, n);
        bench_take(&of[1].read, start, (double)n);
        start = bench_start();
        good &= zip(&packed, true) == plain.len;
        bench_take(&of[2].read, start, (double)n);
        good &= bytes == packed.len;
#endif
    }
    static const char *const engine[3] = {"pathmap", "pathmap", "zlib"};
    for (int k = 0; k < 3; k++) {
        bench_emit_times(engine[k], name, k ? "paths_write" : "paths_write_plain", "ns_per_key", &of[k].write);
        bench_emit_times(engine[k], name, k ? "paths_read" : "paths_read_plain", "ns_per_key", &of[k].read);
    }
    if (PATHMAP_ZLIB) bench_emit("pathmap", name, "paths_size", "bytes_per_key", (double)packed.len / (double)n);
    if (!good) bench_bad("pathmap", name, "paths_read", "other paths");
    free(plain.data);
    free(packed.data);
    return good;
}

int main(int argc, char **argv) {
    const char *keys = NULL, *name = NULL;
    int runs = 3;
    const bench_option options[] = {{"--keys", &keys, NULL, 0}, {"--name", &name, NULL, 0},
                                    {"--runs", NULL, &runs, BENCH_SAMPLES}, {NULL, NULL, NULL, 0}};
    if (!bench_read_options(argc, argv, "usage: bench_image --keys FILE --name NAME [--runs N]", options)) return 0;
    if (!keys || !name) bench_die("--keys and --name are needed (--help)", NULL);
    bench_describe("bench_image");
    bench_list l = bench_load(keys);
    pm_map all = pm_new(NULL, NULL), set = pm_new(pm_ops_unit(), NULL);
    bool empty = false;
    for (size_t i = 0; i < l.n; i++) {
        need(pm_set(&all, l.key[i].data, l.key[i].len, l.val[i], NULL));
        need(pm_set(&set, l.key[i].data, l.key[i].len, 0, NULL));
        empty |= !l.key[i].len;
    }
    measure_image(&all, name, (double)l.n, false);
    measure_image(&set, name, (double)l.n, true);
    bool good = true;
    if (empty) printf("# path files have no place for the empty key of %s\n", name);
    else good = measure_paths(&set, name, l.n, runs);
    pm_drop(&all);
    pm_drop(&set);
    bench_list_free(&l);
    return !good;
}
