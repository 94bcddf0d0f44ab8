/* Rows of bench_threads: readers and writers at the same time. */
#include "bench_threads.h"

enum { SHARDS = 16, SHARDS_MANY = 256, TURN = 256, BATCH = 64, MIX = 10, UPDATES = 4096, UPDATE_KEYS = 4 };

/* ---- through a head ---- */

static pm_head *head;

static size_t turns(void) { return (in_order.n + TURN - 1) / TURN; }

static slice keys_of_turn(size_t turn) {
    slice s = {turn * TURN, (turn + 1) * TURN < in_order.n ? (turn + 1) * TURN : in_order.n};
    return s;
}

/* As many turns of either kind, for each thread, however many there are: by the parity of the number's bits. */
static bool is_write(size_t turn) {
    bool odd = false;
    for (; turn; turn &= turn - 1) odd = !odd;
    return odd;
}

static size_t path_of_turn(char *path, size_t turn) { return (size_t)sprintf(path, "\xfe""turn/%zu/", turn); }

static void write_turn(size_t turn) {
    char path[40];
    slice s = keys_of_turn(turn);
    pm_wz z;
    must(pm_head_write(head, path, path_of_turn(path, turn), &z, NULL));
    for (size_t i = s.first; i < s.end; i++) {
        pm_rz_move_to(pm_wz_cursor(&z), in_order.key[i].data, in_order.key[i].len);
        must(pm_wz_set(&z, in_order.val[i], NULL));
    }
    must(pm_wz_drop(&z));
}

static uint64_t read_turn(size_t turn) {
    slice s = keys_of_turn(turn);
    uint64_t right = 0;
    pm_rz z;
    must(pm_head_read(head, NULL, 0, &z));
    for (size_t i = s.first; i < s.end; i++) {
        pm_rz_move_to(&z, shuffled.key[i].data, shuffled.key[i].len);
        const pm_val *v = pm_rz_val(&z);
        right += v && *v == shuffled.val[i];
    }
    pm_rz_drop(&z);
    return right;
}

static void hybrid(worker *w) {
    for (size_t i = (size_t)w->number; i < turns(); i += (size_t)w->threads) {
        slice s = keys_of_turn(i);
        if (!is_write(i)) {
            w->sum += read_turn(i);
        } else {
            write_turn(i);
            w->sum += s.end - s.first;
        }
    }
}

static double time_hybrid(const row *r, int threads, int parts) {
    pm_map m = pm_clone(&filled);
    uint64_t written = 0;
    bool ok = true;
    must(pm_head_new(&m, &head));
    double ns = run_workers(threads, parts, r->fn, false);
    must(pm_head_free(head, NULL, NULL));
    for (size_t i = 0; i < turns(); i++) {
        char path[40];
        slice s = keys_of_turn(i);
        if (!is_write(i)) continue;
        written += s.end - s.first;
        ok = ok && has_keys(&m, path, path_of_turn(path, i), &in_order, s);
    }
    good(ok && workers_sum(threads) == in_order.n && has_count(&m, in_order.n + written), r->name, "wrong answers");
    pm_drop(&m);
    return ns / (double)in_order.n;
}

/* Each part has a writer and a reader of its own; a write for every 19 reads, a new snapshot every 100 keys. */
enum { RARE = 20, RENEW = 100 };

static uint64_t renewed_part(int part, slice s) {
    uint8_t path[2] = {'i', (uint8_t)part};
    uint64_t right = 0;
    pm_rz z;
    pm_wz own;
    must(pm_head_write(head, path, sizeof path, &own, NULL));
    must(pm_head_read(head, path, sizeof path, &z));
    for (size_t i = s.first; i < s.end; i++) {
        const bench_key *k = &shuffled.key[i];
        if (i % RARE == 0) {
            must(pm_wz_set_at(&own, k->data, k->len, shuffled.val[i], NULL));
            right++;
        } else {
            const pm_val *v = pm_rz_val_at(&z, k->data, k->len);
            right += v && *v == shuffled.val[i];
        }
        if ((i - s.first) % RENEW) continue;
        pm_rz_drop(&z);
        must(pm_head_read(head, path, sizeof path, &z));
    }
    pm_rz_drop(&z);
    must(pm_wz_drop(&own));
    return right;
}

static void renewed(worker *w) {
    FOR_PARTS(k, w) w->sum += renewed_part(k, slice_of(shuffled.n, k, w->parts));
}

static double time_renewed(const row *r, int threads, int parts) {
    pm_map m = pm_clone(data_parted(parts));
    must(pm_head_new_move(&m, &head));
    double ns = run_workers(threads, parts, r->fn, false);
    must(pm_head_free(head, NULL, NULL));
    good(workers_sum(threads) == shuffled.n, r->name, "wrong answers");
    return ns / (double)shuffled.n;
}

/* ---- around a map: nine reads and a write, five of each, one read and nine writes ---- */

/* Every thread meets each key once, so what it reads is what was there before, and where it writes nobody reads. */
typedef struct guarded {
    pthread_mutex_t mutex;
    pm_map map;
    char apart[64]; /* so that two are in no common cache line */
} guarded;

static guarded shards[SHARDS_MANY];
static pthread_rwlock_t rwlock = PTHREAD_RWLOCK_INITIALIZER;
static pm_shared *shared;
static int nshards, writes_of_ten = 1;

static size_t nkeys(void) { return shuffled.n < LOCKED_KEYS ? shuffled.n : LOCKED_KEYS; }
static bool written(size_t i) { return i % MIX >= (size_t)(MIX - writes_of_ten); }
static pm_val new_val(size_t i) { return shuffled.val[i] + in_order.n; }
static guarded *shard_of(const bench_key *k) {
    return &shards[nshards == 1 ? 0 : data_hash(k) % (unsigned)nshards];
}

static uint64_t read_or_write(pm_map *m, size_t i) {
    const bench_key *k = &shuffled.key[i];
    if (written(i)) {
        must(pm_set(m, k->data, k->len, new_val(i), NULL));
        return 1;
    }
    const pm_val *v = pm_get(m, k->data, k->len);
    return v && *v == shuffled.val[i];
}

static void mutex_mixed(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(nkeys(), k, w->parts);
        for (size_t i = s.first; i < s.end; i++) {
            guarded *g = shard_of(&shuffled.key[i]);
            pthread_mutex_lock(&g->mutex);
            w->sum += read_or_write(&g->map, i);
            pthread_mutex_unlock(&g->mutex);
        }
    }
}

static void rwlock_mixed(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(nkeys(), k, w->parts);
        for (size_t i = s.first; i < s.end; i++) {
            if (written(i)) pthread_rwlock_wrlock(&rwlock);
            else pthread_rwlock_rdlock(&rwlock);
            w->sum += read_or_write(&shards[0].map, i);
            pthread_rwlock_unlock(&rwlock);
        }
    }
}

/* True if exactly the right keys have their new value in what `find` finds them in. */
static bool all_written(const pm_map *(*find)(size_t i, void *ctx), void *ctx) {
    for (size_t i = 0; i < nkeys(); i++) {
        const bench_key *k = &shuffled.key[i];
        const pm_val *v = pm_get(find(i, ctx), k->data, k->len);
        if (!v || *v != (written(i) ? new_val(i) : shuffled.val[i])) return false;
    }
    return true;
}

static const pm_map *find_shard(size_t i, void *ctx) {
    (void)ctx;
    return &shard_of(&shuffled.key[i])->map;
}

/* A mutex that looks for a moment whether it becomes free, before it asks the kernel: where there is such a kind. */
static void init_mutex(pthread_mutex_t *m, bool adaptive) {
    pthread_mutexattr_t kind;
    (void)adaptive;
    pthread_mutexattr_init(&kind);
#if defined(__GLIBC__)
    if (adaptive) pthread_mutexattr_settype(&kind, PTHREAD_MUTEX_ADAPTIVE_NP);
#endif
    pthread_mutex_init(m, &kind);
    pthread_mutexattr_destroy(&kind);
}

/* The row's name says how many writes there are to ten calls, and which mutex: `_half`, `_writes`, `adaptive_`. */
static double time_guarded(const row *r, int threads, int parts, int n) {
    nshards = n;
    writes_of_ten = strstr(r->name, "_half") ? 5 : strstr(r->name, "_writes") ? 9 : 1;
    for (int i = 0; i < n; i++) {
        init_mutex(&shards[i].mutex, strstr(r->name, "adaptive") != NULL);
        shards[i].map = n == 1 ? pm_clone(&filled) : pm_new(NULL, NULL);
    }
    for (size_t i = 0; n > 1 && i < nkeys(); i++) {
        const bench_key *k = &shuffled.key[i];
        must(pm_set(&shard_of(k)->map, k->data, k->len, shuffled.val[i], NULL));
    }
    double ns = run_workers(threads, parts, r->fn, false);
    good(workers_sum(threads) == nkeys() && all_written(find_shard, NULL), r->name, "wrong values");
    for (int i = 0; i < n; i++) {
        pm_drop(&shards[i].map);
        pthread_mutex_destroy(&shards[i].mutex);
    }
    writes_of_ten = 1;
    return ns / (double)nkeys();
}

static double time_one(const row *r, int threads, int parts) { return time_guarded(r, threads, parts, 1); }
static double time_shards(const row *r, int threads, int parts) { return time_guarded(r, threads, parts, SHARDS); }
static double time_many(const row *r, int threads, int parts) { return time_guarded(r, threads, parts, SHARDS_MANY); }

/* ---- replaced under readers ---- */

static pm_status write_batch(void *ctx, pm_map *m) {
    const slice *s = ctx;
    pm_status st = PM_OK;
    for (size_t i = s->first; st == PM_OK && i < s->end; i++)
        if (written(i)) st = pm_set(m, shuffled.key[i].data, shuffled.key[i].len, new_val(i), NULL);
    return st;
}

static void shared_mixed(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(nkeys(), k, w->parts);
        for (slice b = s; b.first < s.end; b.first = b.end) {
            b.end = b.first + BATCH < s.end ? b.first + BATCH : s.end;
            pm_map m = pm_shared_load(shared);
            for (size_t i = b.first; i < b.end; i++) w->sum += written(i) || read_or_write(&m, i);
            pm_drop(&m);
            must(pm_shared_update(shared, write_batch, &b));
        }
    }
}

static const pm_map *find_version(size_t i, void *ctx) {
    (void)i;
    return ctx;
}

static double time_shared_mixed(const row *r, int threads, int parts) {
    must(pm_shared_new(&filled, &shared));
    double ns = run_workers(threads, parts, r->fn, false);
    pm_map last = pm_shared_load(shared);
    good(workers_sum(threads) == nkeys() && all_written(find_version, &last), r->name, "wrong values");
    pm_drop(&last);
    pm_shared_free(shared);
    return ns / (double)nkeys();
}

static size_t update_key(size_t update, size_t i) { return (update * UPDATE_KEYS + i) % fresh.n; }

/* Values count how often a key was written, so that a lost update shows. */
static pm_status count_up(void *ctx, pm_map *m) {
    pm_status st = PM_OK;
    for (size_t i = 0; st == PM_OK && i < UPDATE_KEYS; i++) {
        const bench_key *k = &fresh.key[update_key(*(size_t *)ctx, i)];
        const pm_val *v = pm_get(m, k->data, k->len);
        st = pm_set(m, k->data, k->len, v ? *v + 1 : 1, NULL);
    }
    return st;
}

static void shared_update(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(UPDATES, k, w->parts);
        for (size_t i = s.first; i < s.end; i++) must(pm_shared_update(shared, count_up, &i));
    }
}

static double time_shared_update(const row *r, int threads, int parts) {
    uint64_t sum = 0;
    must(pm_shared_new(&filled, &shared));
    double ns = run_workers(threads, parts, r->fn, false);
    pm_map last = pm_shared_load(shared);
    for (size_t i = 0; i < fresh.n; i++) {
        const pm_val *v = pm_get(&last, fresh.key[i].data, fresh.key[i].len);
        sum += v ? *v : 0;
    }
    good(sum == UPDATES * UPDATE_KEYS, r->name, "updates were lost");
    pm_drop(&last);
    pm_shared_free(shared);
    return ns / (UPDATES * UPDATE_KEYS);
}

/* ---- a cache with expiry ---- */

/* Time is the number of lookups so far, in steps of 64. A value is the end of its life (high half) and the number of
   its key (low half). */
enum { PLACES = 4096, LIFE = 16384, TICK = 64 };

static pm_map cache;
static _Atomic uint64_t now;

static bool alive(const pm_val *v, uint64_t at) { return v && *v >> 32 > at; }

/* The number of the key that the cache answers, which is made anew if there is none, or none that lives. */
static uint64_t cache_get(size_t i, uint64_t at) {
    const bench_key *k = &shuffled.key[i];
    pthread_rwlock_rdlock(&rwlock);
    const pm_val *v = pm_get(&cache, k->data, k->len);
    uint64_t answer = alive(v, at) ? *v & UINT32_MAX : UINT64_MAX;
    pthread_rwlock_unlock(&rwlock);
    if (answer != UINT64_MAX) return answer;
    pthread_rwlock_wrlock(&rwlock);
    must(pm_set(&cache, k->data, k->len, (at + LIFE) << 32 | i, NULL));
    pthread_rwlock_unlock(&rwlock);
    return i;
}

/* The same where each part of the cache has a mutex of its own. */
static uint64_t cache_part_get(size_t i, uint64_t at) {
    const bench_key *k = &shuffled.key[i];
    guarded *g = shard_of(k);
    pthread_mutex_lock(&g->mutex);
    const pm_val *v = pm_get(&g->map, k->data, k->len);
    uint64_t answer = alive(v, at) ? *v & UINT32_MAX : i;
    if (!alive(v, at)) must(pm_set(&g->map, k->data, k->len, (at + LIFE) << 32 | i, NULL));
    pthread_mutex_unlock(&g->mutex);
    return answer;
}

static void cache_gets(worker *w) {
    size_t places = shuffled.n < PLACES ? shuffled.n : PLACES;
    FOR_PARTS(k, w) {
        slice s = slice_of(nkeys(), k, w->parts);
        uint64_t random = BENCH_SEED + (uint64_t)k, at = 0;
        for (size_t i = s.first; i < s.end; i++) {
            uint64_t a = bench_random(&random) % places, b = bench_random(&random) % places;
            size_t which = (size_t)(a * b / places); /* small numbers more often */
            if ((i - s.first) % TICK == 0) at = atomic_fetch_add(&now, TICK);
            w->sum += (nshards > 1 ? cache_part_get(which, at) : cache_get(which, at)) == which;
        }
    }
}

static double time_cache(const row *r, int threads, int parts) {
    nshards = 1;
    cache = pm_new(NULL, NULL);
    atomic_store(&now, 0);
    double ns = run_workers(threads, parts, r->fn, false);
    good(workers_sum(threads) == nkeys() && !pm_is_empty(&cache), r->name, "another key's value");
    pm_drop(&cache);
    return ns / (double)nkeys();
}

static double time_cache_parts(const row *r, int threads, int parts) {
    enum { PARTS = 64 };
    nshards = PARTS;
    for (int i = 0; i < PARTS; i++) {
        init_mutex(&shards[i].mutex, false);
        shards[i].map = pm_new(NULL, NULL);
    }
    atomic_store(&now, 0);
    double ns = run_workers(threads, parts, r->fn, false);
    good(workers_sum(threads) == nkeys(), r->name, "another key's value");
    for (int i = 0; i < PARTS; i++) {
        pm_drop(&shards[i].map);
        pthread_mutex_destroy(&shards[i].mutex);
    }
    return ns / (double)nkeys();
}

const row rows_mixed[] = {
    {"hybrid", time_hybrid, hybrid, "ns_per_key", THREADS_MAX},
    {"head_mixed", time_renewed, renewed, "ns_per_key", WRITERS_MAX},
    {"mutex_mixed", time_one, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"rwlock_mixed", time_one, rwlock_mixed, "ns_per_key", THREADS_MAX},
    {"shards_mixed", time_shards, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"adaptive_mixed", time_one, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"shards256_mixed", time_many, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"shards_adaptive_mixed", time_shards, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"mutex_half", time_one, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"rwlock_half", time_one, rwlock_mixed, "ns_per_key", THREADS_MAX},
    {"adaptive_half", time_one, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"shards_half", time_shards, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"shards256_half", time_many, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"shards_adaptive_half", time_shards, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"mutex_writes", time_one, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"rwlock_writes", time_one, rwlock_mixed, "ns_per_key", THREADS_MAX},
    {"adaptive_writes", time_one, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"shards_writes", time_shards, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"shards256_writes", time_many, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"shards_adaptive_writes", time_shards, mutex_mixed, "ns_per_key", THREADS_MAX},
    {"shared_mixed", time_shared_mixed, shared_mixed, "ns_per_key", THREADS_MAX},
    {"shared_update", time_shared_update, shared_update, "ns_per_key", WRITERS_MAX},
    {"cache", time_cache, cache_gets, "ns_per_key", THREADS_MAX},
    {"cache_parts", time_cache_parts, cache_gets, "ns_per_key", THREADS_MAX},
    {NULL, NULL, NULL, NULL, 0},
};
