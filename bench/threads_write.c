/* Rows of bench_threads: many writers, and copying, which reads and writes. */
#include "bench_threads.h"

enum { SHARDS = 16, CLAIMS = 16384, AHEAD = 64 };

static pm_head *head;
static pthread_mutex_t mutex = PTHREAD_MUTEX_INITIALIZER;

static void insert(pm_wz *z, const bench_list *l, slice s, size_t skip) {
    for (size_t i = s.first; i < s.end; i++) {
        pm_rz_move_to(pm_wz_cursor(z), l->key[i].data + skip, l->key[i].len - skip);
        must(pm_wz_set(z, l->val[i], NULL));
    }
}

static void insert_at(const void *path, size_t len, const bench_list *l, slice s, size_t skip) {
    pm_wz z;
    must(pm_head_write(head, path, len, &z, NULL));
    insert(&z, l, s, skip);
    must(pm_wz_drop(&z));
}

/* ---- through a head ---- */

static void head_write(worker *w) {
    FOR_PARTS(k, w) {
        uint8_t path = (uint8_t)k;
        insert_at(&path, 1, &in_order, slice_of(in_order.n, k, w->parts), 0);
    }
}

static void check_head_write(const row *r, const pm_map *m, int parts) {
    bool ok = has_count(m, in_order.n);
    for (int k = 0; k < parts; k++) {
        uint8_t path = (uint8_t)k;
        ok = ok && has_keys(m, &path, 1, &in_order, slice_of(in_order.n, k, parts));
    }
    good(ok, r->name, "keys are missing, or wrong");
}

static double time_head_write(const row *r, int threads, int parts) {
    pm_map m = pm_new(NULL, NULL);
    must(pm_head_new(&m, &head));
    double ns = run_workers(threads, parts, r->fn, false);
    must(pm_head_free(head, NULL, NULL));
    check_head_write(r, &m, parts);
    pm_drop(&m);
    return ns / (double)in_order.n;
}

static const bench_list *by_hash;
static const size_t *hash_end;

static slice hash_slice(int k) {
    slice s = {k ? hash_end[k - 1] : 0, hash_end[k]};
    return s;
}

static void head_hash(worker *w) {
    FOR_PARTS(k, w) {
        char path[16];
        insert_at(path, (size_t)sprintf(path, "p%d/", k), by_hash, hash_slice(k), 0);
    }
}

static double time_head_hash(const row *r, int threads, int parts) {
    pm_map m = pm_new(NULL, NULL);
    by_hash = data_hashed(parts, &hash_end);
    must(pm_head_new(&m, &head));
    double ns = run_workers(threads, parts, r->fn, false);
    must(pm_head_free(head, NULL, NULL));
    bool ok = has_count(&m, in_order.n);
    for (int k = 0; k < parts; k++) {
        char path[16];
        ok = ok && has_keys(&m, path, (size_t)sprintf(path, "p%d/", k), by_hash, hash_slice(k));
    }
    good(ok, r->name, "keys are missing, or wrong");
    pm_drop(&m);
    return ns / (double)in_order.n;
}

static const domain_list *by_domain;

static void head_domain(worker *w) {
    size_t skip = by_domain->common + 1;
    FOR_PARTS(k, w) {
        for (int i = 0; i < by_domain->n; i++) {
            const domain *d = &by_domain->d[i];
            if (d->part == k)
                insert_at(by_domain->list.key[d->keys.first].data, skip, &by_domain->list, d->keys, skip);
        }
    }
}

static double time_head_domain(const row *r, int threads, int parts) {
    pm_map m = pm_new(NULL, NULL);
    bool same = false;
    by_domain = data_domains(parts);
    const bench_list *l = &by_domain->list;
    if (l->key[0].len == by_domain->common) must(pm_set(&m, l->key[0].data, l->key[0].len, l->val[0], NULL));
    must(pm_head_new(&m, &head));
    double ns = run_workers(threads, parts, r->fn, false);
    must(pm_head_free(head, NULL, NULL));
    must(pm_equal(&m, &filled, &same));
    good(same, r->name, "another map");
    pm_drop(&m);
    return ns / (double)in_order.n;
}

/* ---- while somebody looks on ---- */

static atomic_bool writing;

static void *look_on(void *arg) {
    uint64_t *snapshots = arg;
    while (atomic_load(&writing)) {
        pm_rz z;
        must(pm_head_read(head, NULL, 0, &z));
        for (int i = 0; i < 1000 && pm_rz_to_next_val(&z); i++) continue;
        must(pm_rz_status(&z));
        pm_rz_drop(&z);
        ++*snapshots;
    }
    return NULL;
}

static double time_head_watched(const row *r, int threads, int parts) {
    pm_map m = pm_new(NULL, NULL);
    pthread_t reader;
    uint64_t snapshots = 0;
    char name[64];
    must(pm_head_new(&m, &head));
    atomic_store(&writing, true);
    if (pthread_create(&reader, NULL, look_on, &snapshots)) bench_die("cannot start a thread", NULL);
    double ns = run_workers(threads, parts, r->fn, false);
    atomic_store(&writing, false);
    pthread_join(reader, NULL);
    must(pm_head_free(head, NULL, NULL));
    check_head_write(r, &m, parts);
    pm_drop(&m);
    snprintf(name, sizeof name, threads < parts ? "%s@%d/%d" : "%s@%d", r->name, threads, parts);
    emit(name, "snapshots", (double)snapshots);
    return ns / (double)in_order.n;
}

/* ---- claims ---- */

static void head_claim(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(CLAIMS, k, w->parts);
        for (size_t i = s.first; i < s.end; i++) {
            uint8_t path[] = {'c', 'l', 'a', 'i', 'm', '/', (uint8_t)k, '/', (uint8_t)i};
            pm_wz z;
            must(pm_head_write(head, path, sizeof path, &z, NULL));
            w->sum++;
            must(pm_wz_drop(&z));
        }
    }
}

static double time_head_claim(const row *r, int threads, int parts) {
    pm_map m = pm_new(NULL, NULL);
    must(pm_head_new(&m, &head));
    double ns = run_workers(threads, parts, r->fn, false);
    must(pm_head_free(head, NULL, NULL));
    good(workers_sum(threads) == CLAIMS && pm_is_empty(&m), r->name, "something was left behind");
    pm_drop(&m);
    return ns / CLAIMS;
}

/* ---- without a head ---- */

static pm_map own[THREADS_MAX];

static void own_write(worker *w) {
    FOR_PARTS(k, w) {
        pm_wz z;
        must(pm_wz_open(&own[k], NULL, 0, &z));
        insert(&z, &in_order, slice_of(in_order.n, k, w->parts), 0);
        must(pm_wz_drop(&z));
    }
}

static double time_own_write(const row *r, int threads, int parts) {
    for (int k = 0; k < parts; k++) own[k] = pm_new(NULL, NULL);
    double ns = run_workers(threads, parts, r->fn, false);
    for (int k = 0; k < parts; k++) {
        slice s = slice_of(in_order.n, k, parts);
        good(has_count(&own[k], s.end - s.first) && has_keys(&own[k], NULL, 0, &in_order, s), r->name, "wrong maps");
        pm_drop(&own[k]);
    }
    return ns / (double)in_order.n;
}

typedef struct shard {
    pthread_mutex_t mutex;
    pm_map map;
    char apart[64]; /* so that two shards are in no common cache line */
} shard;

static shard shards[SHARDS];

static size_t locked_keys(void) { return in_order.n < LOCKED_KEYS ? in_order.n : LOCKED_KEYS; }

static void mutex_write(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(locked_keys(), k, w->parts);
        for (size_t i = s.first; i < s.end; i++) {
            pthread_mutex_lock(&mutex);
            must(pm_set(&own[0], in_order.key[i].data, in_order.key[i].len, in_order.val[i], NULL));
            pthread_mutex_unlock(&mutex);
        }
    }
}

static double time_mutex_write(const row *r, int threads, int parts) {
    slice all = {0, locked_keys()};
    own[0] = pm_new(NULL, NULL);
    double ns = run_workers(threads, parts, r->fn, false);
    good(has_count(&own[0], all.end) && has_keys(&own[0], NULL, 0, &in_order, all), r->name, "wrong map");
    pm_drop(&own[0]);
    return ns / (double)all.end;
}

static void shards_write(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(locked_keys(), k, w->parts);
        for (size_t i = s.first; i < s.end; i++) {
            const bench_key *key = &in_order.key[i];
            shard *d = &shards[data_hash(key) % SHARDS];
            pthread_mutex_lock(&d->mutex);
            must(pm_set(&d->map, key->data, key->len, in_order.val[i], NULL));
            pthread_mutex_unlock(&d->mutex);
        }
    }
}

static double time_shards_write(const row *r, int threads, int parts) {
    uint64_t n = 0;
    for (int i = 0; i < SHARDS; i++) {
        pthread_mutex_init(&shards[i].mutex, NULL);
        shards[i].map = pm_new(NULL, NULL);
    }
    double ns = run_workers(threads, parts, r->fn, false);
    for (size_t i = 0; i < locked_keys(); i++) {
        const bench_key *key = &in_order.key[i];
        const pm_val *v = pm_get(&shards[data_hash(key) % SHARDS].map, key->data, key->len);
        n += v && *v == in_order.val[i];
    }
    good(n == locked_keys(), r->name, "keys are missing, or wrong");
    for (int i = 0; i < SHARDS; i++) {
        pm_drop(&shards[i].map);
        pthread_mutex_destroy(&shards[i].mutex);
    }
    return ns / (double)locked_keys();
}

/* ---- copying ---- */

/* Opens the reader of part k, and the writer that takes the copy. */
static void open_both(int k, pm_rz *from, pm_wz *to) {
    uint8_t in[2] = {'i', (uint8_t)k}, out[2] = {'o', (uint8_t)k};
    must(pm_head_read(head, in, sizeof in, from));
    must(pm_head_write(head, out, sizeof out, to, NULL));
}

static void close_both(pm_rz *from, pm_wz *to) {
    must(pm_rz_status(from));
    must(pm_wz_drop(to));
    pm_rz_drop(from);
}

static void copy_known(worker *w) {
    FOR_PARTS(k, w) {
        slice s = slice_of(shuffled.n, k, w->parts);
        pm_rz from;
        pm_wz to;
        open_both(k, &from, &to);
        for (size_t i = s.first; i < s.end; i++) {
            const bench_key *key = &shuffled.key[i];
            pm_rz_move_to(&from, key->data, key->len);
            const pm_val *v = pm_rz_val(&from);
            if (!v) continue;
            pm_rz_move_to(pm_wz_cursor(&to), key->data, key->len);
            must(pm_wz_set(&to, *v, NULL));
        }
        close_both(&from, &to);
    }
}

static bool first_val(pm_rz *z) { return pm_rz_is_val(z) || pm_rz_to_next_val(z); }

static void copy_traverse(worker *w) {
    FOR_PARTS(k, w) {
        pm_rz from;
        pm_wz to;
        open_both(k, &from, &to);
        for (bool more = first_val(&from); more; more = pm_rz_to_next_val(&from)) {
            size_t len;
            const uint8_t *path = pm_rz_path(&from, &len);
            pm_rz_move_to(pm_wz_cursor(&to), path, len);
            must(pm_wz_set(&to, *pm_rz_val(&from), NULL));
        }
        close_both(&from, &to);
    }
}

/* Collects values, not copies of them, for some keys; the zipper has moved on when they are read. */
typedef struct ahead {
    const pm_val *val[AHEAD];
    uint8_t *path;
    size_t len[AHEAD], used, room;
    int n;
} ahead;

static void ahead_note(ahead *a, const pm_rz *z, const pm_witness *witness) {
    const uint8_t *path = pm_rz_path(z, &a->len[a->n]);
    if (a->used + a->len[a->n] > a->room) {
        a->room = 2 * (a->used + a->len[a->n]);
        a->path = realloc(a->path, a->room);
        if (!a->path) bench_die("out of memory", NULL);
    }
    memcpy(a->path + a->used, path, a->len[a->n]);
    a->used += a->len[a->n];
    must(pm_rz_val_witnessed(z, witness, &a->val[a->n++]));
}

static void ahead_write(ahead *a, pm_wz *to) {
    const uint8_t *path = a->path;
    for (int i = 0; i < a->n; path += a->len[i++]) {
        pm_rz_move_to(pm_wz_cursor(to), path, a->len[i]);
        must(pm_wz_set(to, *a->val[i], NULL));
    }
    a->n = 0;
    a->used = 0;
}

static void copy_witness(worker *w) {
    ahead a = {.room = 4096, .path = bench_alloc(4096)};
    FOR_PARTS(k, w) {
        pm_rz from;
        pm_wz to;
        open_both(k, &from, &to);
        pm_witness witness = pm_rz_witness(&from);
        for (bool more = first_val(&from); more; more = pm_rz_to_next_val(&from)) {
            ahead_note(&a, &from, &witness);
            if (a.n == AHEAD) ahead_write(&a, &to);
        }
        close_both(&from, &to); /* the witness alone keeps the last values */
        must(pm_head_write(head, (uint8_t[]){'o', (uint8_t)k}, 2, &to, NULL));
        ahead_write(&a, &to);
        must(pm_wz_drop(&to));
        pm_witness_drop(&witness);
    }
    free(a.path);
}

static double time_copy(const row *r, int threads, int parts) {
    pm_map m = pm_clone(data_parted(parts));
    bool same = false;
    must(pm_head_new(&m, &head));
    double ns = run_workers(threads, parts, r->fn, false);
    must(pm_head_free(head, NULL, NULL));
    pm_map in = pm_new(NULL, NULL), out = pm_new(NULL, NULL);
    must(pm_subtrie(&m, "i", 1, &in, NULL));
    must(pm_subtrie(&m, "o", 1, &out, NULL));
    must(pm_equal(&in, &out, &same));
    good(same, r->name, "the copy differs");
    pm_drop(&in);
    pm_drop(&out);
    pm_drop(&m);
    return ns / (double)in_order.n;
}

const row rows_writing[] = {
    {"head_write", time_head_write, head_write, "ns_per_key", WRITERS_MAX},
    {"head_hash", time_head_hash, head_hash, "ns_per_key", WRITERS_MAX},
    {"head_domain", time_head_domain, head_domain, "ns_per_key", WRITERS_MAX},
    {"head_watched", time_head_watched, head_write, "ns_per_key", WRITERS_MAX},
    {"head_claim", time_head_claim, head_claim, "ns_per_op", WRITERS_MAX},
    {"own_write", time_own_write, own_write, "ns_per_key", WRITERS_MAX},
    {"mutex_write", time_mutex_write, mutex_write, "ns_per_key", WRITERS_MAX},
    {"shards_write", time_shards_write, shards_write, "ns_per_key", WRITERS_MAX},
    {"copy_known", time_copy, copy_known, "ns_per_key", THREADS_MAX},
    {"copy_traverse", time_copy, copy_traverse, "ns_per_key", THREADS_MAX},
    {"copy_witness", time_copy, copy_witness, "ns_per_key", THREADS_MAX},
    {NULL, NULL, NULL, NULL, 0},
};
