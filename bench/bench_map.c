/* Compares maps: pathmap and every rival that is linked in, on one key file, in one run.

   Each engine works in a process of its own, forked from the one that holds the keys, so that no engine sees another's
   heap. The processes of all engines live at the same time and take turns, operation by operation, which makes ratios
   between engines fair on a machine whose speed drifts. A round of processes ("stage") starts from an empty map; the
   stages differ in how the map is filled and what may be destroyed.

   Every operation checks its answer. A wrong one prints a BAD line and makes the program fail. */
#define _GNU_SOURCE
#include "engine.h"

#include <errno.h>
#include <pthread.h>
#include <signal.h>
#include <sys/wait.h>
#if defined(__GLIBC__) && (__GLIBC__ > 2 || __GLIBC_MINOR__ >= 33)
#include <malloc.h>
#define HAVE_MALLINFO2 1
#else
#define HAVE_MALLINFO2 0
#endif

enum { MAX_ENGINES = 64, PASSES = 2, THREAD_PASSES = 4 };

/* One set of keys in all orders that the operations need. */
typedef struct view {
    bench_list file, hit, miss, sorted, gone;
    bench_list half, rest; /* of the file's keys: parts of `file` */
    bench_traits traits;
    uint64_t sum_sorted, sum_any, touch_full, touch_first;
} view;

typedef struct reply {
    bool ok;
    int n;
    double v[THREAD_PASSES];   /* samples, already per key or per operation */
    double cpu[THREAD_PASSES]; /* the same by the thread's own clock; 0 where other threads did the work */
    char why[80];
} reply;

/* An engine at work, inside its process. */
typedef struct job {
    const bench_engine *e;
    const view *w;
    void *map;
    uint64_t base; /* bytes that malloc held before the map was made */
    uint64_t clone_bytes; /* held by what is kept of each clone; 0: not measured yet */
    int threads;
    bool verify;   /* first run: also make the checks that are too slow to repeat */
} job;

typedef struct operation {
    const char *name, *unit, *about;
    int stage;
    bool (*has)(const bench_engine *e);
    void (*run)(job *j, reply *r);
} operation;

enum { STAGE_READ, STAGE_REMOVE, STAGE_SORTED, STAGE_BUILD, STAGE_HEAD, STAGE_UNIT, STAGES };

static const bench_engine *engines[MAX_ENGINES];
static size_t nengines;

void bench_register(const bench_engine *e) {
    size_t at = nengines;
    if (nengines == MAX_ENGINES) bench_die("too many engines", e->name);
    for (; at > 0 && engines[at - 1]->rank > e->rank; at--) engines[at] = engines[at - 1];
    engines[at] = e;
    nengines++;
}

/* Rivals that this program knows how to use, for saying which are not there. */
static const struct {
    const char *name, *package;
} known[] = {{"JudySL", "libjudy-dev"},     {"JudyL", "libjudy-dev"},            {"std::map", "g++"},
             {"JudyHS", "libjudy-dev"},     {"absl::btree_map<u64>", "g++ and libabsl-dev"},
             {"std::unordered_map", "g++"}, {"absl::btree_map", "g++ and libabsl-dev"}, {"GTree", "libglib2.0-dev"},
             {"Wormhole", "BENCH_WORMHOLE=its source"}, {"libart", "BENCH_LIBART=its source"},
             {"HOT", "BENCH_HOT=its source"}, {"immer", "BENCH_IMMER=its source"},
             {"LMDB", "liblmdb-dev"}, {"std::unordered_map<u64>", "g++"},
             {"GHashTable", "libglib2.0-dev"}, {"HAT-trie", "libhat-trie-dev"}};

/* Keys */

/* Writes a form of a key that holds no zero byte and sorts alike; answers its length. Eight-byte keys become nine
   digits in base 255, each plus one; in others 0 becomes 1 1 and 1 becomes 1 2. */
static size_t encode(const bench_key *k, bool fixed8, uint8_t *out) {
    size_t n = 0;
    if (fixed8) {
        uint64_t x = 0;
        for (size_t i = 0; i < 8; i++) x = x << 8 | k->data[i];
        for (n = 9; n-- > 0; x /= 255) out[n] = (uint8_t)(x % 255 + 1);
        return 9;
    }
    for (size_t i = 0; i < k->len; i++) {
        if (k->data[i] > 1) {
            out[n++] = k->data[i];
        } else {
            out[n++] = 1;
            out[n++] = (uint8_t)(k->data[i] + 1);
        }
    }
    return n;
}

static bench_list encode_list(const bench_list *from, const bench_traits *t) {
    bench_list l = bench_list_new(from->n, 2 * from->nbytes + from->n);
    uint8_t *buffer = bench_alloc(2 * t->longest + 16);
    for (size_t i = 0; i < from->n; i++)
        bench_list_add(&l, buffer, encode(&from->key[i], t->fixed8, buffer), from->val[i]);
    free(buffer);
    return l;
}

static void free_view(view *w) {
    bench_list_free(&w->file);
    bench_list_free(&w->hit);
    bench_list_free(&w->miss);
    bench_list_free(&w->sorted);
    bench_list_free(&w->gone);
}

/* Turns `key` into a neighbour by one changed, one added, or a few missing bytes; answers the new length. New bytes
   are taken from the keys, so that the alphabet stays. The first `common` bytes, which all keys share, stay as well:
   whoever looks at the first byte alone should not have the answer. */
static size_t disturb(uint8_t *key, size_t len, size_t common, int kind, const bench_list *l, uint64_t *seed) {
    uint8_t b = l->bytes[bench_random(seed) % (l->nbytes + l->n)];
    if (kind == 0 && len > common) {
        key[common + bench_random(seed) % (len - common)] = b;
    } else if (kind == 1) {
        key[len++] = b;
    } else if (len > 1) {
        len -= 1 + bench_random(seed) % (len > 4 ? 3 : 1);
    }
    return len;
}

/* How many bytes all keys begin with. */
static size_t common_prefix(const bench_list *sorted) {
    const bench_key *a = &sorted->key[0], *b = &sorted->key[sorted->n - 1];
    size_t n = 0;
    while (n < a->len && n < b->len && a->data[n] == b->data[n]) n++;
    return n;
}

/* Makes keys that are not in the set but close to its keys. In a set of fixed width they have that width too. */
static bench_list make_misses(const bench_list *from, const bench_list *sorted, size_t longest, bool fixed) {
    size_t n = from->n < 1000000 ? from->n : 1000000, common = common_prefix(sorted);
    bench_list l = bench_list_new(n, from->nbytes + n);
    uint8_t *buffer = bench_alloc(longest + 2);
    uint64_t seed = BENCH_SEED ^ 77;
    for (size_t i = 0; i < n; i++) {
        for (int attempt = 0; attempt < 32; attempt++) {
            size_t len = from->key[i].len;
            memcpy(buffer, from->key[i].data, len);
            len = disturb(buffer, len, common, fixed ? 0 : (int)((i + (size_t)attempt) % 3), from, &seed);
            /* the packed bytes end each key with a zero, which is not of the alphabet */
            if (!fixed && memchr(buffer, 0, len) && !memchr(from->key[i].data, 0, from->key[i].len)) continue;
            if (bench_list_has(sorted, buffer, len)) continue;
            bench_list_add(&l, buffer, len, 0);
            break;
        }
    }
    free(buffer);
    return l;
}

static void summarise(view *w) {
    w->half = w->rest = w->file;
    w->half.n = w->file.n / 2;
    w->rest.n = w->file.n - w->half.n;
    w->rest.key += w->half.n;
    w->rest.val += w->half.n;
    for (size_t i = 0; i < w->sorted.n; i++) {
        const bench_key *k = &w->sorted.key[i];
        w->sum_sorted += (i + 1) * w->sorted.val[i];
        w->sum_any += w->sorted.val[i];
        w->touch_first += k->data[0];
        w->touch_full += k->len + k->data[0];
    }
}

/* Loads a key file (at most `limit` keys of it) and makes every order of it. */
static view make_view(const char *path, size_t limit) {
    view w;
    memset(&w, 0, sizeof w);
    w.file = bench_load(path);
    if (limit && w.file.n > limit) w.file.n = limit;
    if (w.file.n == 0) bench_die("no keys in", path);
    w.file.nbytes = 0;
    bool fixed = true;
    for (size_t i = 0; i < w.file.n; i++) {
        size_t len = w.file.key[i].len;
        w.file.nbytes += len;
        if (len > w.traits.longest) w.traits.longest = len;
        if (len != w.file.key[0].len) fixed = false;
    }
    w.traits.fixed8 = fixed && w.traits.longest == 8;
    w.sorted = bench_list_sort(&w.file);
    for (size_t i = 1; i < w.sorted.n; i++)
        if (bench_key_compare(&w.sorted.key[i - 1], &w.sorted.key[i]) == 0) bench_die("key occurs twice in", path);
    size_t *order = bench_alloc(w.file.n * sizeof *order);
    bench_shuffle(order, w.file.n, BENCH_SEED);
    w.hit = bench_list_reorder(&w.file, order);
    bench_shuffle(order, w.file.n, BENCH_SEED ^ 1);
    w.gone = bench_list_reorder(&w.file, order);
    bench_shuffle(order, w.file.n, BENCH_SEED ^ 2);
    bench_list other = bench_list_reorder(&w.file, order);
    w.miss = make_misses(&other, &w.sorted, w.traits.longest, fixed);
    bench_list_free(&other);
    free(order);
    summarise(&w);
    return w;
}

static bool has_zero_byte(const bench_list *l) {
    for (size_t i = 0; i < l->n; i++)
        if (l->key[i].len && memchr(l->key[i].data, 0, l->key[i].len)) return true;
    return false;
}

static view encode_view(const view *from) {
    view w;
    memset(&w, 0, sizeof w);
    w.file = encode_list(&from->file, &from->traits);
    w.hit = encode_list(&from->hit, &from->traits);
    w.miss = encode_list(&from->miss, &from->traits);
    w.sorted = encode_list(&from->sorted, &from->traits);
    w.gone = encode_list(&from->gone, &from->traits);
    w.traits.longest = 2 * from->traits.longest + 1;
    summarise(&w);
    return w;
}

/* Operations, run in the process of an engine */

static void fail(reply *r, const char *why) {
    if (!r->ok) return;
    r->ok = false;
    snprintf(r->why, sizeof r->why, "%s", why);
}

static void sample(reply *r, double v) {
    r->cpu[r->n] = 0;
    r->v[r->n++] = v;
}

/* Both clocks, read at the start of what is measured. */
typedef struct stopwatch {
    uint64_t wall, cpu;
} stopwatch;

static stopwatch begin(void) { return (stopwatch){bench_now(), bench_cpu()}; }

/* A sample of n keys or operations. */
static void end(reply *r, stopwatch start, size_t n) {
    uint64_t cpu = bench_cpu() - start.cpu, wall = bench_now() - start.wall;
    sample(r, (double)wall / (double)n);
    r->cpu[r->n - 1] = (double)cpu / (double)n;
}

/* Bytes that malloc holds for live blocks, its rounding and headers included. */
static uint64_t malloc_bytes(void) {
#if HAVE_MALLINFO2
    struct mallinfo2 i = mallinfo2();
    return i.uordblks + i.hblkhd;
#else
    return 0;
#endif
}

/* False where another allocator stands in for the C library's (a sanitizer, jemalloc): then rivals get no figure. */
static bool malloc_is_measured(void) {
    static int known_answer = -1;
    if (known_answer < 0) {
        uint64_t before = malloc_bytes();
        void *volatile probe = bench_alloc(100000);
        known_answer = malloc_bytes() >= before + 100000;
        free(probe);
    }
    return known_answer == 1;
}

static void check_tally(reply *r, bench_tally t, size_t n, const char *what) {
    char why[80];
    if (t.found == n && t.right == n) return;
    snprintf(why, sizeof why, "%s: found %zu, right %zu of %zu", what, t.found, t.right, n);
    fail(r, why);
}

static void run_fill(job *j, reply *r, const bench_list *l, bool (*fill)(void *, const bench_list *)) {
    stopwatch start = begin();
    bool done = fill(j->map, l);
    end(r, start, l->n);
    if (!done) fail(r, "a write failed");
    if (j->verify && j->e->get) check_tally(r, j->e->get(j->map, &j->w->hit), j->w->hit.n, "after filling");
}

static void run_insert(job *j, reply *r) { run_fill(j, r, &j->w->file, j->e->insert); }
static void run_insert_head(job *j, reply *r) { run_fill(j, r, &j->w->file, j->e->insert_head); }
static void run_insert_sorted(job *j, reply *r) { run_fill(j, r, &j->w->sorted, j->e->insert); }

/* Half of the keys are in the map, the others are looked up: they are absent in no other way than present keys would
   be. Then they come in, too. */
static void run_insert_part(job *j, reply *r, const bench_list *l) {
    if (!j->e->insert(j->map, l)) fail(r, "a write failed");
}

static void run_insert_half(job *j, reply *r) { run_insert_part(j, r, &j->w->half); }
static void run_insert_rest(job *j, reply *r) { run_insert_part(j, r, &j->w->rest); }

static void run_misses(job *j, reply *r, const bench_list *l) {
    for (int pass = 0; pass < PASSES && l->n; pass++) {
        stopwatch start = begin();
        bench_tally t = j->e->get(j->map, l);
        end(r, start, l->n);
        if (t.found) fail(r, "found a key that is not there");
    }
}

static void run_get_absent(job *j, reply *r) { run_misses(j, r, &j->w->rest); }
static void run_get_miss(job *j, reply *r) { run_misses(j, r, &j->w->miss); }

static void run_build(job *j, reply *r) {
    if (j->e->ready) j->e->ready(j->map, &j->w->sorted);
    run_fill(j, r, &j->w->sorted, j->e->build);
}

static void run_memory(job *j, reply *r) {
    uint64_t b = j->e->bytes ? j->e->bytes(j->map) : malloc_bytes() - j->base;
    if (b == 0) fail(r, "no memory figure");
    sample(r, (double)b / (double)j->w->file.n);
}

static void run_memory_live(job *j, reply *r) {
    sample(r, (double)j->e->live(j->map) / (double)j->w->file.n);
}

static void run_unit_memory(job *j, reply *r) {
    uint64_t b = j->e->unit_bytes(&j->w->file);
    if (b == 0) fail(r, "the set is wrong");
    sample(r, (double)b / (double)j->w->file.n);
}

/* The first pass finds the caches full of other engines' data; both are samples. */
static void run_lookups(job *j, reply *r, bench_tally (*look)(void *, const bench_list *)) {
    const bench_list *l = &j->w->hit;
    for (int pass = 0; pass < PASSES; pass++) {
        stopwatch start = begin();
        bench_tally t = look(j->map, l);
        end(r, start, l->n);
        check_tally(r, t, l->n, "lookup");
    }
}

static void run_get_hit(job *j, reply *r) { run_lookups(j, r, j->e->get); }
static void run_get_many(job *j, reply *r) { run_lookups(j, r, j->e->get_many); }
static void run_zget(job *j, reply *r) { run_lookups(j, r, j->e->zget); }
static void run_zmove(job *j, reply *r) { run_lookups(j, r, j->e->zmove); }

static bench_visitor new_visitor(const job *j) {
    bench_visitor v;
    memset(&v, 0, sizeof v);
    v.weight = 1;
    v.step = j->e->flags & (BENCH_ORDERED | BENCH_SORTS) && !(j->e->flags & BENCH_NEARLY) ? 1 : 0;
    return v;
}

static void check_visit(const job *j, reply *r, const bench_visitor *v) {
    const view *w = j->w;
    if (v->wrong) fail(r, "a key or value is wrong, or out of order");
    if (v->count != w->sorted.n) fail(r, "wrong number of pairs");
    if (v->sum != (v->step ? w->sum_sorted : w->sum_any)) fail(r, "wrong values, or out of order");
    if (v->touch != w->touch_full && v->touch != w->touch_first) fail(r, "wrong keys");
}

static void run_visit(job *j, reply *r, void (*visit)(void *, bench_visitor *)) {
    bench_visitor v = new_visitor(j);
    if (j->verify && v.step) {
        v.expect = &j->w->sorted;
        visit(j->map, &v);
        check_visit(j, r, &v);
    }
    for (int pass = 0; pass < PASSES; pass++) {
        v = new_visitor(j);
        stopwatch start = begin();
        visit(j->map, &v);
        end(r, start, j->w->sorted.n);
        check_visit(j, r, &v);
    }
}

static void run_iterate(job *j, reply *r) { run_visit(j, r, j->e->iterate); }
static void run_each(job *j, reply *r) { run_visit(j, r, j->e->each); }
static void run_iter(job *j, reply *r) { run_visit(j, r, j->e->iter); }

static void run_remove(job *j, reply *r) {
    const bench_list *l = &j->w->gone;
    stopwatch start = begin();
    size_t n = j->e->remove(j->map, l);
    end(r, start, l->n);
    if (n != l->n) fail(r, "a key was not there to be removed");
    if (!j->e->is_empty(j->map)) fail(r, "something is left after removing all keys");
}

static void run_drop(job *j, reply *r) {
    stopwatch start = begin();
    j->e->drop(j->map);
    end(r, start, j->w->file.n);
    if (!j->e->is_empty(j->map)) fail(r, "something is left after dropping the map");
}

static void run_clone_drop(job *j, reply *r) {
    const size_t times = 1000000;
    for (int pass = 0; pass < PASSES; pass++) {
        stopwatch start = begin();
        if (!j->e->clone_drop(j->map, times)) fail(r, "a clone is empty");
        end(r, start, times);
    }
}

static void run_clone_write(job *j, reply *r) {
    size_t times = j->w->hit.n < 20000 ? j->w->hit.n : 20000;
    for (int pass = 0; pass < PASSES; pass++) {
        stopwatch start = begin();
        if (!j->e->clone_write(j->map, &j->w->hit, times)) fail(r, "a write failed");
        end(r, start, times);
    }
    check_tally(r, j->e->get(j->map, &j->w->hit), j->w->hit.n, "the map that was cloned");
}

enum { CLONES = 1000 };

/* What the clones hold: by the engine's own figure, or by what malloc has. */
static uint64_t bytes_now(const job *j) {
    if (j->e->live) return j->e->live(j->map);
    return j->e->bytes ? j->e->bytes(j->map) : malloc_bytes();
}

/* In the first pass nearly all of the time goes into pages of memory that the process has not touched before. */
static void run_clones_write(job *j, reply *r) {
    size_t n = j->w->hit.n < CLONES ? j->w->hit.n : CLONES;
    for (int pass = 0; pass < THREAD_PASSES; pass++) {
        uint64_t before = bytes_now(j);
        stopwatch start = begin();
        void *kept = j->e->clones(j->map, &j->w->hit, n);
        end(r, start, n);
        if (pass == 0) j->clone_bytes = (bytes_now(j) - before) / n;
        if (!kept) fail(r, "a write failed");
        else j->e->drop_clones(kept, n);
    }
    check_tally(r, j->e->get(j->map, &j->w->hit), j->w->hit.n, "the map that was cloned");
}

static void run_clones_memory(job *j, reply *r) {
    if (!j->clone_bytes) run_clones_write(j, r);
    r->n = 0;
    sample(r, (double)j->clone_bytes);
}

typedef struct share {
    const job *j;
    bench_list part;
    bench_tally (*look)(void *, const bench_list *);
    pthread_barrier_t *gate;
    uint64_t start, end;
    bench_tally tally;
} share;

static void *look_up_share(void *arg) {
    share *s = arg;
    pthread_barrier_wait(s->gate);
    s->start = bench_now();
    s->tally = s->look(s->j->map, &s->part);
    s->end = bench_now();
    return NULL;
}

/* Looks all keys up, split among n threads; a sample is wall time over all keys. More passes than elsewhere: one needs
   n idle cores to mean anything. */
static void run_threads(job *j, reply *r, int n, bench_tally (*look)(void *, const bench_list *)) {
    const bench_list *l = &j->w->hit;
    pthread_t *thread = bench_alloc((size_t)n * sizeof *thread);
    share *s = bench_alloc((size_t)n * sizeof *s);
    pthread_barrier_t gate;
    for (int pass = 0; pass < THREAD_PASSES; pass++) {
        pthread_barrier_init(&gate, NULL, (unsigned)n);
        for (int i = 0; i < n; i++) {
            size_t from = l->n * (size_t)i / (size_t)n, to = l->n * (size_t)(i + 1) / (size_t)n;
            bench_list part = *l;
            part.key += from;
            part.val += from;
            part.n = to - from;
            s[i] = (share){.j = j, .part = part, .look = look, .gate = &gate};
            if (pthread_create(&thread[i], NULL, look_up_share, &s[i])) bench_die("cannot start a thread", NULL);
        }
        uint64_t start = UINT64_MAX, end = 0;
        for (int i = 0; i < n; i++) {
            pthread_join(thread[i], NULL);
            check_tally(r, s[i].tally, s[i].part.n, "lookup");
            if (s[i].start < start) start = s[i].start;
            if (s[i].end > end) end = s[i].end;
        }
        pthread_barrier_destroy(&gate);
        sample(r, (double)(end - start) / (double)l->n);
    }
    free(thread);
    free(s);
}

static void run_get_1t(job *j, reply *r) { run_threads(j, r, 1, j->e->get); }
static void run_get_nt(job *j, reply *r) { run_threads(j, r, j->threads, j->e->get); }
static void run_zget_1t(job *j, reply *r) { run_threads(j, r, 1, j->e->zget); }
static void run_zget_nt(job *j, reply *r) { run_threads(j, r, j->threads, j->e->zget); }

static bool has_all(const bench_engine *e) { return e->insert != NULL; }
static bool has_get(const bench_engine *e) { return e->get != NULL; }
static bool has_get_many(const bench_engine *e) { return e->get_many != NULL; }
static bool has_zget(const bench_engine *e) { return e->zget != NULL; }
static bool has_zmove(const bench_engine *e) { return e->zmove != NULL; }
static bool has_iterate(const bench_engine *e) { return e->iterate != NULL; }
static bool has_each(const bench_engine *e) { return e->each != NULL; }
static bool has_iter(const bench_engine *e) { return e->iter != NULL; }
static bool has_remove(const bench_engine *e) { return e->remove != NULL; }
static bool has_drop(const bench_engine *e) { return e->drop != NULL; }
static bool has_clone_drop(const bench_engine *e) { return e->clone_drop != NULL; }
static bool has_clone_write(const bench_engine *e) { return e->clone_write != NULL; }
static bool has_clones(const bench_engine *e) { return e->clones != NULL; }
static bool has_memory(const bench_engine *e) {
    return e->bytes || (malloc_is_measured() && !(e->flags & BENCH_OWN_PAGES));
}
static bool has_build(const bench_engine *e) { return e->build != NULL; }
static bool has_build_memory(const bench_engine *e) { return has_build(e) && has_memory(e); }
static bool has_clones_memory(const bench_engine *e) { return has_clones(e) && has_memory(e); }
static bool has_live(const bench_engine *e) { return e->live != NULL; }
static bool has_head(const bench_engine *e) { return e->insert_head != NULL; }
static bool has_unit(const bench_engine *e) { return e->unit_bytes != NULL; }

/* In the order in which a stage runs them; the first of a stage fills the map and always runs. */
static const operation operations[] = {
    {"insert", "ns_per_key", "keys one by one, in file (random) order", STAGE_READ, has_all, run_insert},
    {"memory", "bytes_per_key", "held after insert, rounding and slack included", STAGE_READ, has_memory, run_memory},
    {"memory_live", "bytes_per_key", "of these, in live nodes (pathmap)", STAGE_READ, has_live, run_memory_live},
    {"get_hit", "ns_per_key", "every key, in random order", STAGE_READ, has_get, run_get_hit},
    {"get_many", "ns_per_key", "the same, 16 keys a call", STAGE_READ, has_get_many, run_get_many},
    {"get_miss", "ns_per_key", "absent keys close to present ones", STAGE_READ, has_get, run_get_miss},
    {"zget", "ns_per_key", "get_hit through a read zipper", STAGE_READ, has_zget, run_zget},
    {"zmove", "ns_per_key", "get_hit by moving a read zipper to each key", STAGE_READ, has_zmove, run_zmove},
    {"get_1t", "ns_per_key", "get_hit in one thread beside the main one (with --threads)", STAGE_READ, has_get,
     run_get_1t},
    {"get_nt", "ns_per_key", "the same keys split among N threads: wall time over all keys", STAGE_READ, has_get,
     run_get_nt},
    {"zget_1t", "ns_per_key", "get_1t through a read zipper", STAGE_READ, has_zget, run_zget_1t},
    {"zget_nt", "ns_per_key", "get_nt, each thread through a read zipper of its own", STAGE_READ, has_zget,
     run_zget_nt},
    {"iterate", "ns_per_key", "path and value of each key, in the engine's order (pathmap: pm_each)",
     STAGE_READ, has_iterate, run_iterate},
    {"ziter", "ns_per_key", "the same through a read zipper", STAGE_READ, has_each, run_each},
    {"iter", "ns_per_key", "the same by iterator object", STAGE_READ, has_iter, run_iter},
    {"clone_drop", "ns_per_op", "clone the map, drop the clone", STAGE_READ, has_clone_drop, run_clone_drop},
    {"clone_write", "ns_per_op", "clone the map, write one key, drop the clone", STAGE_READ, has_clone_write,
     run_clone_write},
    {"clones_write", "ns_per_op", "clone the map and write one key, a thousand times, and keep the clones", STAGE_READ,
     has_clones, run_clones_write},
    {"clones_memory", "bytes_per_op", "held by each of these clones", STAGE_READ, has_clones_memory, run_clones_memory},
    {"drop", "ns_per_key", "empty the map at once", STAGE_READ, has_drop, run_drop},
    {"insert_half", "ns_per_key", NULL, STAGE_REMOVE, has_all, run_insert_half},
    {"get_absent", "ns_per_key", "half of the keys, in a map of the other half", STAGE_REMOVE, has_get, run_get_absent},
    {"insert_rest", "ns_per_key", NULL, STAGE_REMOVE, has_all, run_insert_rest},
    {"remove", "ns_per_key", "keys one by one, in another random order, pruning", STAGE_REMOVE, has_remove,
     run_remove},
    {"insert_sorted", "ns_per_key", "keys one by one, in bytewise order", STAGE_SORTED, has_all, run_insert_sorted},
    {"memory_sorted", "bytes_per_key", "held after insert_sorted", STAGE_SORTED, has_memory, run_memory},
    {"build", "ns_per_key", "the sorted keys at once (rivals have insert_sorted for it)", STAGE_BUILD, has_build,
     run_build},
    {"memory_build", "bytes_per_key", "held after build", STAGE_BUILD, has_build_memory, run_memory},
    {"insert_head", "ns_per_key", "insert, by moving a head's writer to each key", STAGE_HEAD, has_head,
     run_insert_head},
    {"unit_memory", "bytes_per_key", "of a set of the keys (pathmap: unit map)", STAGE_UNIT, has_unit,
     run_unit_memory},
};
enum { OPERATIONS = sizeof operations / sizeof operations[0] };

/* Processes */

typedef struct worker {
    const bench_engine *e;
    pid_t pid; /* 0: works in this process */
    int to, from;
    job j;
    bool dead;
} worker;

typedef struct settings {
    const char *keys, *name, *ops, *engines;
    int runs, threads;
    size_t limit;
    bool in_process, trusting;
} settings;

static bool write_all(int fd, const void *data, size_t n) {
    const char *p = data;
    while (n) {
        ssize_t k = write(fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static bool read_all(int fd, void *data, size_t n) {
    char *p = data;
    while (n) {
        ssize_t k = read(fd, p, n);
        if (k < 0 && errno == EINTR) continue;
        if (k <= 0) return false;
        p += k;
        n -= (size_t)k;
    }
    return true;
}

static reply do_operation(job *j, int op) {
    reply r;
    memset(&r, 0, sizeof r);
    r.ok = true;
    if (!j->map) {
        j->base = malloc_bytes();
        j->map = j->e->make(&j->w->traits);
        if (!j->map) fail(&r, "cannot make a map");
    }
    if (r.ok) operations[op].run(j, &r);
    return r;
}

static void finish_job(job *j) {
    if (!j->map) return;
    if (j->e->drop) j->e->drop(j->map);
    if (j->e->free) j->e->free(j->map);
    j->map = NULL;
}

/* What a worker process does: answers orders until its pipe closes. The map is left to the end of the process. */
static void serve(job *j, int from, int to) {
    int op;
    while (read_all(from, &op, sizeof op)) {
        reply r = do_operation(j, op);
        if (!write_all(to, &r, sizeof r)) break;
    }
    _exit(0);
}

static void start_worker(worker *k, worker *all, size_t n) {
    int order[2], answer[2];
    if (pipe(order) || pipe(answer)) bench_die("cannot make a pipe", NULL);
    k->pid = fork();
    if (k->pid < 0) bench_die("cannot fork", NULL);
    if (k->pid == 0) {
        /* pipes of the workers before must not stay open here, or they would never see theirs close */
        for (size_t i = 0; i < n; i++) {
            if (all[i].pid > 0 && &all[i] != k) {
                close(all[i].to);
                close(all[i].from);
            }
        }
        close(order[1]);
        close(answer[0]);
        serve(&k->j, order[0], answer[1]);
    }
    close(order[0]);
    close(answer[1]);
    k->to = order[1];
    k->from = answer[0];
}

static void stop_worker(worker *k) {
    if (k->pid == 0) {
        finish_job(&k->j);
        return;
    }
    close(k->to);
    close(k->from);
    waitpid(k->pid, NULL, 0);
}

static reply ask(worker *k, int op) {
    reply r;
    if (k->pid == 0) return do_operation(&k->j, op);
    if (!write_all(k->to, &op, sizeof op) || !read_all(k->from, &r, sizeof r)) {
        memset(&r, 0, sizeof r);
        snprintf(r.why, sizeof r.why, "the engine died");
        k->dead = true;
    }
    return r;
}

/* The run */

static bool listed(const char *list, const char *name) {
    size_t n = strlen(name);
    if (!list) return true;
    for (const char *p = list; *p;) {
        size_t len = strcspn(p, ",");
        if (len == n && memcmp(p, name, n) == 0) return true;
        p += len + (p[len] == ',');
    }
    return false;
}

static bool wanted(const settings *s, int op) {
    const char *name = operations[op].name;
    bool threaded = strstr(name, "_1t") || strstr(name, "_nt");
    return listed(s->ops, name) && (!threaded || s->threads > 1);
}

static bool opens_stage(int op) { return op == 0 || operations[op].stage != operations[op - 1].stage; }

/* What the name of an operation is in the output: the thread count is part of it. */
static const char *shown(const settings *s, int op, char *buffer, size_t n) {
    const char *name = operations[op].name, *t = strstr(name, "_nt");
    if (!t) return name;
    snprintf(buffer, n, "%.*s_%dt", (int)(t - name), name, s->threads);
    return buffer;
}

static bench_samples results[MAX_ENGINES][OPERATIONS], cpu_results[MAX_ENGINES][OPERATIONS];

static void keep_samples(size_t engine, int op, const reply *r) {
    for (int v = 0; v < r->n; v++) {
        bench_sample(&results[engine][op], r->v[v]);
        if (r->cpu[v] > 0) bench_sample(&cpu_results[engine][op], r->cpu[v]);
    }
}

static bool run_operation(const settings *s, worker *all, size_t n, int op, int run) {
    char name[32];
    bool good = true;
    for (size_t i = 0; i < n; i++) {
        size_t at = (i + (size_t)run) % n; /* another engine goes first in each run */
        worker *k = &all[at];
        if (k->dead || !operations[op].has(k->e)) continue;
        reply r = ask(k, op);
        keep_samples(at, op, &r);
        if (r.ok) continue;
        bench_bad(k->e->name, s->name, shown(s, op, name, sizeof name), r.why);
        good = false;
        k->dead = true; /* nothing after a wrong answer means anything */
    }
    return good;
}

static bool stage_wanted(const settings *s, int stage) {
    for (int op = 0; op < OPERATIONS; op++) {
        /* what only prepares others is no reason to run a stage */
        if (operations[op].stage == stage && operations[op].about && wanted(s, op)) return true;
    }
    return false;
}

/* One round: a fresh worker for each engine, all alive until the end, which take turns at each operation. */
static bool run_stage(const settings *s, const view *raw, const view *encoded, int stage, int run) {
    worker all[MAX_ENGINES];
    bool good = true;
    int opener = 0;
    while (operations[opener].stage != stage) opener++;
    memset(all, 0, sizeof all);
    for (size_t i = 0; i < nengines; i++) {
        worker *k = &all[i];
        k->e = engines[i];
        k->j = (job){.e = k->e, .w = k->e->flags & BENCH_ZERO_FREE ? encoded : raw, .threads = s->threads,
                     .verify = run == 0 && !s->trusting};
        bool able = (raw->traits.fixed8 || !(k->e->flags & BENCH_INTEGERS)) &&
                    (!k->e->longest || k->j.w->traits.longest <= k->e->longest);
        if (!able || !operations[opener].has(k->e)) k->dead = true;
        else if (!s->in_process) start_worker(k, all, i);
    }
    for (int op = 0; op < OPERATIONS; op++) {
        bool prepares = opens_stage(op) || !operations[op].about;
        if (operations[op].stage != stage || (!wanted(s, op) && !prepares)) continue;
        if (!run_operation(s, all, nengines, op, run)) good = false;
    }
    for (size_t i = 0; i < nengines; i++)
        if (s->in_process || all[i].pid) stop_worker(&all[i]);
    return good;
}

static void report(const settings *s) {
    char name[32];
    for (int op = 0; op < OPERATIONS; op++) {
        if (!operations[op].about || !wanted(s, op)) continue;
        for (size_t i = 0; i < nengines; i++) {
            bench_samples *r = &results[i][op];
            const char *as = shown(s, op, name, sizeof name), *unit = operations[op].unit;
            if (strncmp(unit, "bytes", 5) == 0) {
                if (r->n) bench_emit(engines[i]->name, s->name, as, unit, r->v[0]);
                continue;
            }
            bench_emit_samples(engines[i]->name, s->name, as, unit, r);
            char cpu[32];
            snprintf(cpu, sizeof cpu, "cpu_%s", unit);
            bench_emit_samples(engines[i]->name, s->name, as, cpu, &cpu_results[i][op]);
        }
    }
}

static void usage(FILE *f) {
    fprintf(f, "usage: bench_map --keys FILE --name DATASET [options]\n"
               "  --keys FILE      key file (bench/data.py makes them)\n"
               "  --name DATASET   name of the set in the output\n"
               "  --ops a,b        only these operations\n"
               "  --engines a,b    only these engines\n"
               "  --runs N         rounds (5); _min and _med are over the samples of all rounds, by the wall clock\n"
               "                   and, as cpu_, by that of the thread\n"
               "  --threads N      also look up from 1 and from N threads at a time\n"
               "  --limit N        only the first N keys of the file\n"
               "  --in-process     no process per engine (for profilers and debuggers)\n"
               "  --trusting       leave out checks that take long; without it the first round has them\n"
               "output: engine, dataset, operation, metric, value\noperations:\n");
    for (int op = 0; op < OPERATIONS; op++)
        if (operations[op].about) fprintf(f, "  %-14s %-14s %s\n", operations[op].name, operations[op].unit,
                                          operations[op].about);
    fprintf(f, "engines:");
    for (size_t i = 0; i < nengines; i++) fprintf(f, " %s", engines[i]->name);
    fprintf(f, "\n");
}

static settings parse(int argc, char **argv) {
    settings s;
    memset(&s, 0, sizeof s);
    s.runs = 5;
    s.threads = 1;
    for (int i = 1; i < argc; i++) {
        const char *a = argv[i], *v = i + 1 < argc ? argv[i + 1] : NULL;
        if (strcmp(a, "--help") == 0) {
            usage(stdout);
            exit(0);
        }
        if (strcmp(a, "--in-process") == 0) {
            s.in_process = true;
            continue;
        }
        if (strcmp(a, "--trusting") == 0) {
            s.trusting = true;
            continue;
        }
        if (!v) bench_die("not an option, or its value is missing (--help)", a);
        if (strcmp(a, "--keys") == 0) s.keys = v;
        else if (strcmp(a, "--name") == 0) s.name = v;
        else if (strcmp(a, "--ops") == 0) s.ops = v;
        else if (strcmp(a, "--engines") == 0) s.engines = v;
        else if (strcmp(a, "--runs") == 0) s.runs = atoi(v);
        else if (strcmp(a, "--threads") == 0) s.threads = atoi(v);
        else if (strcmp(a, "--limit") == 0) s.limit = (size_t)strtoull(v, NULL, 10);
        else bench_die("no such option (--help)", a);
        i++;
    }
    if (!s.keys || !s.name) bench_die("--keys and --name are needed (--help)", NULL);
    if (s.runs < 1 || s.threads < 1 || s.threads > 1024) bench_die("--runs and --threads must be positive", NULL);
    return s;
}

/* Ends the program if a list names something unknown: a misspelt name must not pass for a result. */
static void check_list(const char *list, bool of_engines) {
    char name[64];
    for (const char *p = list; p && *p;) {
        size_t len = strcspn(p, ","), count = of_engines ? nengines : OPERATIONS;
        bool found = false;
        snprintf(name, sizeof name, "%.*s", (int)len, p);
        for (size_t i = 0; i < count; i++)
            if (strcmp(of_engines ? engines[i]->name : operations[i].name, name) == 0) found = true;
        if (!found) bench_die(of_engines ? "no such engine here" : "no such operation (--help)", name);
        p += len + (p[len] == ',');
    }
}

static void describe(const settings *s, const view *w) {
    bench_describe("bench_map");
    printf("# dataset %s keys %zu bytes %zu longest %zu misses %zu\n", s->name, w->file.n, w->file.nbytes,
           w->traits.longest, w->miss.n);
    printf("# runs %d threads %d %s\n", s->runs, s->threads,
           s->in_process ? "all engines in one process" : "one process per engine, taking turns");
    for (size_t i = 0; i < nengines; i++) {
        unsigned f = engines[i]->flags;
        printf("# engine %s %s %s\n", engines[i]->name, f & BENCH_OURS ? "ours" : "rival",
               f & BENCH_ORDERED ? "ordered" : "unordered");
    }
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) {
        bool found = false;
        for (size_t k = 0; k < nengines; k++) found |= strcmp(engines[k]->name, known[i].name) == 0;
        if (!found && listed(s->engines, known[i].name))
            printf("# left out: %s (its build needs %s)\n", known[i].name, known[i].package);
    }
    if (!malloc_is_measured()) printf("# malloc cannot be asked here: no memory figures of rivals\n");
    fflush(stdout);
}

int main(int argc, char **argv) {
    settings s = parse(argc, argv);
    check_list(s.ops, false);
    check_list(s.engines, true);
    size_t kept = 0;
    for (size_t i = 0; i < nengines; i++)
        if (listed(s.engines, engines[i]->name)) engines[kept++] = engines[i];
    nengines = kept;
    if (nengines == 0) bench_die("no engine is linked in", NULL);
    view raw = make_view(s.keys, s.limit), encoded;
    bool encode_needed = has_zero_byte(&raw.file) || has_zero_byte(&raw.miss);
    if (encode_needed) encoded = encode_view(&raw);
    describe(&s, &raw);
    bool good = true;
    signal(SIGPIPE, SIG_IGN); /* a worker that died is reported, not died of */
    for (int run = 0; run < s.runs; run++) {
        for (int stage = 0; stage < STAGES; stage++) {
            if (!stage_wanted(&s, stage) || (stage == STAGE_UNIT && run > 0)) continue;
            fprintf(stderr, "%s: run %d of %d, stage %d\n", s.name, run + 1, s.runs, stage);
            if (!run_stage(&s, &raw, encode_needed ? &encoded : &raw, stage, run)) good = false;
        }
    }
    report(&s);
    free_view(&raw);
    if (encode_needed) free_view(&encoded);
    return good ? 0 : 1;
}
