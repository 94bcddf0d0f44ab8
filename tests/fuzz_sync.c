/* Fuzzing of what peers send each other. The input is a program of rounds between a receiver and a sender, each true,
   or with the question or the answer changed, cut, or made up; made-up answers get the hash of what they say, so that
   they are believed. Nothing may go wrong, and the receiver's map stays sound. Then the rounds are true, and must come
   to the sender's map, whatever was believed before. The first byte chooses the values. */
#define PATHMAP_STATIC
#include "../pathmap.h"

#include "fuzz.h"

enum { KINDS = 3, SOURCES = 2, KEYS = 150, HEAD = 22, ROUNDS = 2000 };

static pm_map maps[KINDS][SOURCES + 1]; /* of the senders, and of the receiver */
static pm_sync_source *sources[KINDS][SOURCES];
static const pm_patch_options limits = {.most = 1 << 22};

static const pm_ops *table(unsigned kind) {
    return kind == 0 ? pm_ops_unit() : kind == 1 ? pm_ops_left() : pm_ops_bytes();
}

static void put(pm_map *m, unsigned kind, const uint8_t *key, size_t len, uint64_t v) {
    pm_val val = v;
    if (kind == 2) must(pm_bytes_new(&v, 1 + v % 8, &val) == PM_OK, "no memory");
    must(pm_set(m, key, len, val, NULL) == PM_OK, "no memory");
}

/* A fan-out, few long keys, deep ones; what the three maps have differs here and there. */
static void build(unsigned kind) {
    uint64_t seed = 1;
    for (unsigned w = 0; w <= SOURCES; w++) maps[kind][w] = pm_new(table(kind), NULL);
    for (unsigned i = 0; i < KEYS; i++) {
        uint8_t key[24];
        seed = seed * 6364136223846793005u + 1442695040888963407u;
        size_t len = i % 3 == 0 ? 3 : i % 3 == 1 ? 6 : 20;
        for (size_t k = 0; k < sizeof key; k++) key[k] = (uint8_t)(k < 2 ? i % 7 : k > 8 ? 'x' : seed >> (8 * (k % 8)));
        for (unsigned w = 0; w <= SOURCES; w++)
            if ((seed >> 33) % 16 != w) put(&maps[kind][w], kind, key, len, i + ((seed >> 40) % 32 == w));
    }
    put(&maps[kind][0], kind, NULL, 0, 5);
    must(pm_create_path(&maps[kind][1], "dangling", 8, NULL) == PM_OK, "no memory");
    for (unsigned w = 0; w < SOURCES; w++)
        must(pm_sync_source_new(&maps[kind][w], NULL, &sources[kind][w]) == PM_OK, "no memory");
}

/* The input, which ends in zeros. */
typedef struct program {
    const uint8_t *at, *end;
} program;

static unsigned byte(program *p) { return p->at < p->end ? *p->at++ : 0; }
static size_t number(program *p) {
    size_t low = byte(p);
    return low | (size_t)byte(p) << 8;
}

/* Changes some bytes of a message, or cuts it. */
static void spoil(program *p, block *b) {
    for (unsigned n = byte(p) % 8 + 1; n && b->len; n--) {
        size_t at = number(p);
        b->data[at % b->len] ^= (uint8_t)byte(p);
    }
    size_t cut = number(p);
    if (cut % 4 == 1) b->len = cut % (b->len + 1);
}

/* Takes a message out of the input. */
static void make_up(program *p, block *b, char kind) {
    size_t n = number(p), left = (size_t)(p->end - p->at);
    uint8_t head[2] = {(uint8_t)kind, 1};
    if (n > left) n = left;
    b->len = 0;
    (void)append(b, head, sizeof head);
    if (n) (void)append(b, p->at, n);
    p->at += n;
}

/* The hash of what an answer says of the first place that was asked for. */
static pm_hash128 hash_of(pm_sync *s, const block *b) {
    pm__sync_in in = {b->data, HEAD, b->len, NULL};
    pm_map val = pm_new(pm_map_ops(&s->have), NULL);
    pm__sync_fork *f = malloc(sizeof *f);
    pm_hash128 h = {0, 0};
    const uint8_t *form;
    must(f != NULL, "no memory");
    if (pm__sync_get(&in, 1, &form) == PM_OK) {
        bool fork = *form == PM__SYNC_FORK || *form == PM__SYNC_FORK_VAL;
        if (fork && pm__sync_get_fork(s, &in, *form == PM__SYNC_FORK_VAL, f, &val) == PM_OK)
            h = pm__sync_fork_hash(s, f, &val);
        if (*form == PM__SYNC_ALL && pm__sync_get_map(s, &in, &val) == PM_OK)
            must(pm_hash(&val, &h) == PM_OK, "no hash");
    }
    pm_drop(&val);
    free(f);
    return h;
}

static void seal(pm_sync *s, block *b) {
    if (b->len < HEAD) return;
    pm_hash128 h = hash_of(s, b);
    for (unsigned i = 0; i < 8; i++) {
        b->data[2 + i] = (uint8_t)(h.lo >> (8 * i));
        b->data[10 + i] = (uint8_t)(h.hi >> (8 * i));
    }
    memcpy(b->data + 18, "\1\0\0", 4);
}

static void sound(const pm_sync *s) {
    pm_map m = pm_sync_map(s);
    must(pm_check(&m, NULL) == PM_OK, "not sound");
    pm_drop(&m);
}

/* One round. False: there was no answer. */
static bool one_round(pm_sync *s, pm_sync_source *from, unsigned how, program *p) {
    block q = {NULL, 0, 0}, a = {NULL, 0, 0};
    must(pm_sync_ask(s, append, &q) == PM_OK, "cannot ask");
    if (how == 1) spoil(p, &q);
    if (how == 2) make_up(p, &q, 'q');
    pm_status st = pm_sync_answer(from, q.data, q.len, append, &a, NULL);
    bool answered = st == PM_OK;
    must(answered || how == 1 || how == 2, "no answer to a true question");
    must(answered || st == PM_CORRUPT || st == PM_INVALID, "another status of the sender");
    if (how == 3) spoil(p, &a);
    if (how == 4 || how == 5) make_up(p, &a, 'a');
    if (how == 5) seal(s, &a);
    if (answered || how >= 4) {
        st = pm_sync_take(s, a.data, a.len, NULL);
        must(st == PM_OK || how || st == PM_CORRUPT, "a true answer is refused");
        must(st == PM_OK || st == PM_CORRUPT || st == PM_INVALID || st == PM_MISMATCH || st == PM_NOMEM,
             "another status of the receiver");
    }
    if (how) sound(s);
    free(q.data);
    free(a.data);
    return answered;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    program p = {data, data + size};
    unsigned kind = byte(&p) % KINDS, first = byte(&p), rounds = 0;
    pm_sync *s;
    bool same = false;
    if (!sources[kind][0]) build(kind);
    const pm_map *have = first % 4 ? &maps[kind][SOURCES] : &maps[kind][0];
    must(pm_sync_new(have, &limits, &s) == PM_OK, "no memory");
    while (p.at < p.end && rounds++ < 64) {
        unsigned how = byte(&p);
        (void)one_round(s, sources[kind][how >> 6 & 1], how % 6, &p);
    }
    pm_sync_source *last = sources[kind][first >> 7];
    (void)one_round(s, last, 0, &p); /* this sender's hash is known from here on, or from the round after */
    for (rounds = 0; rounds < ROUNDS; rounds++) {
        pm_sync_stats about;
        pm_sync_get_stats(s, &about);
        pm_hash128 h = pm_sync_source_hash(last);
        if (pm_sync_done(s) && about.hash.lo == h.lo && about.hash.hi == h.hi) break;
        (void)one_round(s, last, 0, &p);
    }
    must(rounds < ROUNDS, "no end");
    sound(s);
    pm_map m = pm_sync_map(s);
    must(pm_equal(&m, &maps[kind][first >> 7], &same) == PM_OK && same, "not the sender's map in the end");
    pm_drop(&m);
    pm_sync_free(s);
    return 0;
}
