/* The interner in one thread: against a model, at its edges, without memory, through files. The tests that show that
   a known fault of the original is absent here are named known_fault_NN, after the list in docs/interning.md. */
#include "check.h"

#include <fcntl.h>
#include <sys/stat.h>
#include <unistd.h>

/* Counting what readers must not do. */
static unsigned long rmws, locks;
#define INTERN_ON_ATOMIC_RMW() ((void)rmws++)
#define INTERN_ON_LOCK() ((void)locks++)

/* A file system that takes few bytes at a time, or none. */
static size_t write_most = SIZE_MAX, write_left = SIZE_MAX;
static ssize_t choosy_write(int fd, const void *data, size_t len) {
    if (write_left == 0) return -1;
    if (len > write_most) len = write_most;
    if (len > write_left) len = write_left;
    write_left -= len;
    return write(fd, data, len);
}
#define write choosy_write

#define INTERNING_STATIC
#define INTERN_MALLOC(n) check_malloc(n)
#define INTERN_FREE(p, n) check_free(p, n)
#include "../interning.h"
#undef write

#include "test_interning_forge.h"

#include <pthread.h>

/* Helpers */

typedef struct text {
    unsigned char bytes[600];
    size_t len;
} text;

static text text_of(const char *s) {
    text t;
    t.len = strlen(s);
    memcpy(t.bytes, s, t.len);
    return t;
}

/* Short and long keys, many with a common beginning or end, some that differ in one byte only. */
static text text_random(void) {
    text t;
    static const size_t lens[] = {0, 1, 2, 3, 4, 7, 8, 9, 12, 15, 16, 17, 24, 31, 33, 100, 254, 255, 256, 300, 599};
    t.len = check_below(3) ? check_below(12) : lens[check_below(sizeof lens / sizeof lens[0])];
    unsigned spread = check_below(2) ? 3 : 256;
    for (size_t i = 0; i < t.len; i++) t.bytes[i] = (unsigned char)check_below(spread);
    if (t.len >= 12 && check_below(2)) memcpy(t.bytes, "namespace://", 12);
    return t;
}

static intern_table *table_new(void) {
    intern_table *t = NULL;
    CHECK_OK(intern_table_new(NULL, &t));
    return t;
}

static intern_permit permit_new(intern_table *t) {
    intern_permit p;
    memset(&p, 0, sizeof p);
    CHECK_OK(intern_permit_acquire(t, &p));
    return p;
}

static intern_symbol add(intern_table *t, const intern_permit *p, const void *data, size_t len) {
    intern_symbol s = INTERN_NONE;
    CHECK_OK(intern_get_or_insert(t, p, data, len, &s, NULL));
    return s;
}

/* "identifier number i" in the caller's buffer. */
static intern_key numbered(char *buffer, const char *prefix, size_t i) {
    intern_key k;
    k.data = buffer;
    k.len = (size_t)sprintf(buffer, "%s%zu", prefix, i);
    return k;
}

/* The model: all keys in a plain list, searched from end to end. */
enum { MODEL_MAX = 3000 };
static text model_key[MODEL_MAX];
static intern_symbol model_symbol[MODEL_MAX];
static size_t model_n;

static intern_symbol model_find(const text *k) {
    for (size_t i = 0; i < model_n; i++)
        if (model_key[i].len == k->len && memcmp(model_key[i].bytes, k->bytes, k->len) == 0) return model_symbol[i];
    return INTERN_NONE;
}

static void model_add(const text *k, intern_symbol s) {
    model_key[model_n] = *k;
    model_symbol[model_n++] = s;
}

static void model_compare(const intern_table *t) {
    uint64_t before = 0;
    size_t n = 0, len;
    CHECK_EQ(intern_count(t), model_n);
    for (size_t i = 0; i < model_n; i++) {
        CHECK_EQ(intern_get(t, model_key[i].bytes, model_key[i].len), model_symbol[i]);
        const void *bytes = intern_bytes(t, model_symbol[i], &len);
        CHECK(bytes != NULL);
        CHECK_MEM_EQ(bytes, len, model_key[i].bytes, model_key[i].len);
    }
    for (intern_iter i = intern_iter_all(t); intern_iter_next(&i); n++) {
        text k;
        CHECK(n == 0 || i.symbol > before);
        before = i.symbol;
        k.len = i.len;
        memcpy(k.bytes, i.data, i.len);
        CHECK_EQ(model_find(&k), i.symbol);
    }
    CHECK_EQ(n, model_n);
}

/* Table and permit */

TEST(table_empty_answers_nothing) {
    intern_table *t = table_new();
    size_t len = 77;
    CHECK_EQ(intern_count(t), 0);
    CHECK_EQ(intern_get(t, "a", 1), INTERN_NONE);
    CHECK_EQ(intern_get(t, NULL, 0), INTERN_NONE);
    CHECK(intern_bytes(t, 1, &len) == NULL);
    CHECK(intern_bytes(t, INTERN_NONE, &len) == NULL);
    CHECK_EQ(len, 77);
    intern_iter i = intern_iter_all(t);
    CHECK(!intern_iter_next(&i));
    CHECK(!intern_iter_next(&i));
    intern_table_free(t);
    intern_table_free(NULL);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(arguments_that_no_caller_should_pass_are_refused) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    intern_symbol s = 5;
    CHECK_EQ(intern_table_new(NULL, NULL), INTERN_INVALID);
    CHECK_EQ(intern_permit_acquire(NULL, &p), INTERN_INVALID);
    CHECK_EQ(intern_permit_acquire(t, NULL), INTERN_INVALID);
    CHECK_EQ(intern_permit_release(NULL), INTERN_INVALID);
    CHECK_EQ(intern_get_or_insert(NULL, &p, "a", 1, &s, NULL), INTERN_INVALID);
    CHECK_EQ(intern_get_or_insert(t, NULL, "a", 1, &s, NULL), INTERN_INVALID);
    CHECK_EQ(intern_get_or_insert(t, &p, NULL, 1, &s, NULL), INTERN_INVALID);
    CHECK_EQ(intern_get_or_insert(t, &p, "a", 1, NULL, NULL), INTERN_INVALID);
    CHECK_EQ(intern_get_or_insert_many(t, &p, NULL, 1, &s, NULL), INTERN_INVALID);
    CHECK_EQ(intern_get(NULL, "a", 1), INTERN_NONE);
    CHECK_EQ(intern_get(t, NULL, 1), INTERN_NONE);
    CHECK(intern_bytes(NULL, 1, NULL) == NULL);
    CHECK_EQ(intern_count(NULL), 0);
    CHECK(intern_table_clone(NULL) == NULL);
    CHECK_EQ(intern_save(t, NULL), INTERN_INVALID);
    CHECK_EQ(intern_save_to(t, NULL, NULL), INTERN_INVALID);
    CHECK_EQ(intern_load(t, NULL, 0, NULL), INTERN_INVALID);
    CHECK_EQ(intern_load_memory(t, NULL, 3, 0, NULL), INTERN_INVALID);
    intern_iter i = intern_iter_all(NULL);
    CHECK(!intern_iter_next(&i));
    CHECK_EQ(s, 5);
    CHECK_EQ(intern_count(t), 0);
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
}

TEST(statuses_have_names_of_their_own) {
    static const intern_status all[] = {INTERN_OK, INTERN_NOMEM, INTERN_INVALID, INTERN_BUSY, INTERN_CORRUPT,
                                        INTERN_IO, INTERN_EXHAUSTED, INTERN_REFUSED, INTERN_FULL};
    for (size_t i = 0; i < sizeof all / sizeof all[0]; i++)
        for (size_t j = 0; j < i; j++) CHECK(strcmp(intern_status_text(all[i]), intern_status_text(all[j])) != 0);
}

TEST(table_lives_as_long_as_its_last_owner) {
    intern_table *t = table_new(), *other = intern_table_clone(t);
    intern_permit p = permit_new(other);
    CHECK_PTR_EQ(t, other);
    intern_symbol s = add(t, &p, "abc", 3);
    intern_table_free(t);
    CHECK_EQ(intern_get(other, "abc", 3), s);
    intern_table_free(other);
    CHECK_EQ(intern_get(p.table, "abc", 3), s); /* the permit owns, too */
    CHECK_OK(intern_permit_release(&p));
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(symbols_are_laid_out_as_documented) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    uint8_t bytes[8];
    CHECK_EQ(p.slot, 0);
    CHECK_EQ(add(t, &p, "a", 1), 1); /* slot 0 leaves out the all-zero symbol */
    CHECK_EQ(add(t, &p, "b", 1), 2);
    CHECK_EQ(add(t, &p, "a", 1), 1);
    intern_symbol s = (uint64_t)0x7f << 40 | 0x0102030405u;
    intern_symbol_encode(s, bytes);
    CHECK_MEM_EQ(bytes, 8, "\0\0\x7f\1\2\3\4\5", 8);
    CHECK_EQ(intern_symbol_decode(bytes), s);
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
}

TEST(tags_are_the_users) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    size_t len;
    intern_symbol s = add(t, &p, "tagged", 6), tagged = s | (intern_symbol)0xbeef << INTERN_TAG_SHIFT;
    intern_key k;
    const void *bytes = intern_bytes(t, tagged, &len);
    CHECK_MEM_EQ(bytes, len, "tagged", 6);
    CHECK_EQ(intern_bytes_many(t, &tagged, 1, &k), 1);
    CHECK_PTR_EQ(k.data, bytes);
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
}

TEST(permits_of_one_thread_are_counted) {
    intern_table *t = table_new();
    intern_permit a = permit_new(t), b = permit_new(t), c = permit_new(t);
    CHECK_EQ(a.slot, b.slot);
    CHECK_EQ(a.slot, c.slot);
    CHECK_OK(intern_permit_release(&a));
    CHECK_EQ(intern_permit_release(&a), INTERN_REFUSED); /* released and cleared */
    add(t, &b, "x", 1);
    CHECK_OK(intern_permit_release(&b));
    add(t, &c, "y", 1);
    intern_permit copy = c;
    CHECK_OK(intern_permit_release(&c));
    CHECK_EQ(intern_permit_release(&copy), INTERN_REFUSED);
    CHECK_EQ(intern_count(t), 2);
    intern_table_free(t);
}

/* Other threads, for what one thread cannot show */

typedef struct errand {
    intern_table *t;
    intern_permit p;
    intern_status got, released;
    intern_symbol s;
    const char *key;
} errand;

static void run_aside(void *(*fn)(void *), void *arg) {
    pthread_t thread;
    CHECK_EQ(pthread_create(&thread, NULL, fn, arg), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
}

static void *acquire_add_release(void *arg) {
    errand *e = arg;
    e->got = intern_permit_acquire(e->t, &e->p);
    if (e->got == INTERN_OK) e->got = intern_get_or_insert(e->t, &e->p, e->key, strlen(e->key), &e->s, NULL);
    intern_permit stale = e->p;
    if (e->got == INTERN_OK) e->released = intern_permit_release(&e->p);
    e->p = stale;
    return NULL;
}

static void *use_foreign_permit(void *arg) {
    errand *e = arg;
    intern_key k;
    k.data = e->key;
    k.len = strlen(e->key);
    size_t done = 9;
    e->got = intern_get_or_insert(e->t, &e->p, e->key, strlen(e->key), &e->s, NULL);
    if (e->got == INTERN_REFUSED) e->got = intern_get_or_insert_many(e->t, &e->p, &k, 1, &e->s, &done);
    intern_permit copy = e->p;
    e->released = intern_permit_release(&copy);
    return NULL;
}

TEST(known_fault_36_permit_of_another_thread_is_refused) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    errand e;
    memset(&e, 0, sizeof e);
    e.t = t, e.p = p, e.key = "stolen";
    run_aside(use_foreign_permit, &e);
    CHECK_EQ(e.got, INTERN_REFUSED);
    CHECK_EQ(e.released, INTERN_REFUSED);
    CHECK_EQ(intern_count(t), 0);
    add(t, &p, "own", 3);
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
}

TEST(known_fault_36_permit_of_another_table_is_refused) {
    intern_table *t = table_new(), *other = table_new();
    intern_permit p = permit_new(t);
    intern_symbol s = 5;
    bool inserted = true;
    CHECK_EQ(intern_get_or_insert(other, &p, "a", 1, &s, &inserted), INTERN_REFUSED);
    CHECK_EQ(s, 5);
    CHECK(inserted);
    CHECK_EQ(intern_count(other), 0);
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
    intern_table_free(other);
}

TEST(known_fault_36_released_permit_writes_no_slot_that_others_took_over) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t), stale = p;
    CHECK_OK(intern_permit_release(&p));
    errand e;
    memset(&e, 0, sizeof e);
    e.t = t, e.key = "theirs";
    run_aside(acquire_add_release, &e);
    CHECK_OK(e.got);
    CHECK_EQ(e.p.slot, stale.slot); /* the same slot, another owner: now try the old permit, and theirs */
    intern_symbol s;
    CHECK_EQ(intern_get_or_insert(t, &stale, "a", 1, &s, NULL), INTERN_REFUSED);
    CHECK_EQ(intern_get_or_insert(t, &e.p, "a", 1, &s, NULL), INTERN_REFUSED);
    CHECK_EQ(intern_count(t), 1);
    intern_table_free(t);
}

TEST(slots_go_on_where_the_last_owner_stopped) {
    intern_table *t = table_new();
    errand e;
    memset(&e, 0, sizeof e);
    e.t = t, e.key = "first";
    run_aside(acquire_add_release, &e);
    CHECK_OK(e.got);
    CHECK_OK(e.released);
    CHECK_EQ(e.s, 1);
    uint64_t blocks = check_live_blocks();
    e.key = "second";
    run_aside(acquire_add_release, &e);
    CHECK_EQ(e.s, 2);
    CHECK(check_live_blocks() <= blocks + 1); /* a bucket perhaps; slab and page are the old ones */
    intern_table_free(t);
}

/* Keys */

TEST(keys_of_every_short_length_are_told_apart) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    unsigned char key[40];
    for (size_t len = 0; len <= sizeof key; len++) {
        memset(key, 0, sizeof key);
        intern_symbol zero = add(t, &p, key, len);
        CHECK_EQ(intern_get(t, key, len), zero);
        for (size_t i = 0; i < len; i++) { /* one bit somewhere */
            key[i] ^= 0x80;
            CHECK_EQ(intern_get(t, key, len), INTERN_NONE);
            CHECK_NE(add(t, &p, key, len), zero);
            key[i] ^= 0x80;
        }
        CHECK_EQ(intern_get(t, key, len), zero);
    }
    CHECK_EQ(intern_count(t), 41 + 40 * 41 / 2);
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
}

TEST(empty_key_is_a_key) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    size_t len = 9;
    intern_symbol s = add(t, &p, NULL, 0);
    CHECK_EQ(add(t, &p, "", 0), s);
    CHECK_EQ(intern_get(t, NULL, 0), s);
    CHECK(intern_bytes(t, s, &len) != NULL);
    CHECK_EQ(len, 0);
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
}

TEST(keys_larger_than_a_slab_are_kept_whole) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    static unsigned char key[700000];
    static const size_t lens[] = {254, 255, 4000, 4096, 5000, 65536, 262143, 262144, 300000, 700000, 3};
    intern_symbol s[sizeof lens / sizeof lens[0]];
    for (size_t i = 0; i < sizeof key; i++) key[i] = (unsigned char)(i * 7 + i / 251);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) s[i] = add(t, &p, key, lens[i]);
    for (size_t i = 0; i < sizeof lens / sizeof lens[0]; i++) {
        size_t len;
        const void *bytes = intern_bytes(t, s[i], &len);
        CHECK_MEM_EQ(bytes, len, key, lens[i]);
        CHECK_EQ(intern_get(t, key, lens[i]), s[i]);
        key[lens[i] / 2] ^= 1; /* a difference in the middle, far from both ends */
        CHECK_EQ(intern_get(t, key, lens[i]), INTERN_NONE);
        key[lens[i] / 2] ^= 1;
    }
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
}

/* A length is read from where the next record begins; not at the ends of pages and slabs, nor of long keys. */
TEST(lengths_are_right_at_the_ends_of_pages_and_slabs_and_before_there_is_a_next_symbol) {
    enum { N = 6000 };
    static const size_t lens[] = {6, 251, 252, 253, 254, 255, 256, 257, 258, 259, 265, 266, 267, 600};
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    intern_symbol *symbol = malloc(N * sizeof *symbol);
    intern_key *many = malloc(N * sizeof *many);
    unsigned char key[600];
    CHECK(symbol && many);
    for (size_t i = 0; i < N; i++) {
        size_t want = lens[i % (sizeof lens / sizeof lens[0])], len = 0;
        memset(key, (int)(i & 255), sizeof key);
        key[4] = (unsigned char)i, key[5] = (unsigned char)(i >> 8); /* tells keys of one length apart */
        symbol[i] = add(t, &p, key, want);
        const void *data = intern_bytes(t, symbol[i], &len);
        CHECK(data && len == want && memcmp(data, key, want) == 0);
    }
    CHECK_EQ(intern_bytes_many(t, symbol, N, many), N);
    for (size_t i = 0; i < N; i++) {
        size_t len = 0;
        CHECK(intern_bytes(t, symbol[i], &len) == many[i].data);
        CHECK_EQ(len, lens[i % (sizeof lens / sizeof lens[0])]);
        CHECK_EQ(many[i].len, len);
    }
    free(symbol), free(many);
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
}

TEST(bytes_do_not_move_while_the_table_grows) {
    enum { N = 20000 };
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    static const void *at[N];
    char buffer[64];
    for (size_t i = 0; i < N; i++) {
        intern_key k = numbered(buffer, "key ", i);
        at[i] = intern_bytes(t, add(t, &p, k.data, k.len), NULL);
    }
    for (size_t i = 0; i < N; i++) {
        intern_key k = numbered(buffer, "key ", i);
        size_t len;
        const void *bytes = intern_bytes(t, intern_get(t, k.data, k.len), &len);
        CHECK_PTR_EQ(bytes, at[i]);
        CHECK_MEM_EQ(bytes, len, k.data, k.len);
    }
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
}

TEST(model_agrees_on_random_keys) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    model_n = 0;
    for (int i = 0; i < 4000 && model_n < MODEL_MAX; i++) {
        text k = text_random();
        intern_symbol s = INTERN_NONE, known = model_find(&k);
        bool inserted = false;
        CHECK_EQ(intern_get(t, k.bytes, k.len), known);
        CHECK_OK(intern_get_or_insert(t, &p, k.bytes, k.len, &s, &inserted));
        CHECK_EQ(inserted, known == INTERN_NONE);
        if (known == INTERN_NONE) model_add(&k, s);
        else CHECK_EQ(s, known);
        if (i % 1000 == 0) model_compare(t);
    }
    model_compare(t);
    intern_trim(t);
    model_compare(t);
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(batches_agree_with_single_calls) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    static text key[100];
    intern_key keys[100], back[100];
    intern_symbol out[100], got[100];
    model_n = 0;
    for (int round = 0; round < 60; round++) {
        size_t n = check_below(101), done = 999, known = 0;
        for (size_t i = 0; i < n; i++) {
            key[i] = i && check_below(8) == 0 ? key[check_below(i)] : text_random(); /* doubles within a batch */
            keys[i].data = key[i].bytes;
            keys[i].len = key[i].len;
            known += model_find(&key[i]) != INTERN_NONE;
        }
        CHECK_EQ(intern_get_many(t, keys, n, got), known);
        for (size_t i = 0; i < n; i++) CHECK_EQ(got[i], model_find(&key[i]));
        CHECK_OK(intern_get_or_insert_many(t, &p, keys, n, out, &done));
        CHECK_EQ(done, n);
        for (size_t i = 0; i < n; i++) {
            if (model_find(&key[i]) == INTERN_NONE && model_n < MODEL_MAX) model_add(&key[i], out[i]);
            CHECK_EQ(model_find(&key[i]), out[i]);
            CHECK_EQ(intern_get(t, key[i].bytes, key[i].len), out[i]);
        }
        CHECK_EQ(intern_get_many(t, keys, n, got), n);
        if (n) got[n / 2] = (intern_symbol)100 << 40 | 5; /* one that is not there */
        CHECK_EQ(intern_bytes_many(t, got, n, back), n ? n - 1 : 0);
        for (size_t i = 0; i < n; i++) {
            if (i == n / 2) CHECK(back[i].data == NULL && back[i].len == 0);
            else CHECK_MEM_EQ(back[i].data, back[i].len, key[i].bytes, key[i].len);
        }
    }
    model_compare(t);
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
}

TEST(unissued_symbols_have_no_bytes) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    char buffer[64];
    for (size_t i = 0; i < 3000; i++) {
        intern_key k = numbered(buffer, "", i);
        add(t, &p, k.data, k.len);
    }
    for (int i = 0; i < 100000; i++) {
        intern_symbol s = check_rand() >> check_below(64);
        bool issued = (s >> 40 & 255) == 0 && (s & INTERN__SERIAL_MAX) >= 1 && (s & INTERN__SERIAL_MAX) <= 3000;
        CHECK_EQ(intern_bytes(t, s, NULL) != NULL, issued);
    }
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
}

TEST(known_fault_38_slot_numbers_of_128_and_more_have_no_bytes) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    add(t, &p, "a", 1);
    for (uint64_t slot = 1; slot < 256; slot++) {
        intern_symbol s[2] = {slot << 40, slot << 40 | 1};
        intern_key k[2];
        CHECK(intern_bytes(t, s[0], NULL) == NULL);
        CHECK(intern_bytes(t, s[1], NULL) == NULL);
        CHECK_EQ(intern_bytes_many(t, s, 2, k), 0);
    }
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
}

TEST(known_fault_39_kept_bytes_are_all_that_is_kept) {
    intern_table *t = NULL;
    intern_options options = {0, true};
    CHECK_OK(intern_table_new(&options, &t));
    intern_permit p = permit_new(t);
    char buffer[64];
    for (size_t i = 0; i < 2000; i++) {
        intern_key k = numbered(buffer, "kept ", i);
        add(t, &p, k.data, k.len);
    }
    const unsigned char *bytes = intern_bytes(t, intern_get(t, "kept 7", 6), NULL);
    /* Collect the slabs, to free them by hand when all else is gone. */
    uint8_t *slab[16];
    uint64_t n = t->writer[p.slot].nslabs, kept = 0;
    CHECK(n > 1 && n <= 16);
    for (uint64_t i = 0; i < n; i++) {
        slab[i] = INTERN__LOAD(&intern__slab_entry(&t->writer[p.slot], i)->at, INTERN__RELAXED);
        kept += intern__load64(slab[i]);
    }
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), n);
    CHECK_EQ(check_live_bytes(), kept);
    CHECK_MEM_EQ(bytes, 6, "kept 7", 6);
    for (uint64_t i = 0; i < n; i++) check_free(slab[i], (size_t)intern__load64(slab[i]));
}

/* How even the buckets are, over keys that agree in their first bytes. */
static double largest_over_mean(const char *prefix, size_t n, bool mixed) {
    static uint32_t count[INTERN_WRITERS];
    char buffer[80];
    uint32_t largest = 0;
    memset(count, 0, sizeof count);
    for (size_t i = 0; i < n; i++) {
        intern_key k = numbered(buffer, prefix, mixed ? (size_t)check_rand() : i);
        count[intern__key_of(k.data, k.len, 0).bucket]++;
    }
    for (unsigned i = 0; i < INTERN_WRITERS; i++)
        if (count[i] > largest) largest = count[i];
    return (double)largest * INTERN_WRITERS / (double)n;
}

TEST(known_fault_40_a_million_keys_with_one_prefix_spread_over_all_buckets) {
    double counted = largest_over_mean("namespace://", 1000000, false);
    double mixed = largest_over_mean("namespace://", 1000000, true);
    double small = largest_over_mean("pkg::module_", 20000, false);
    printf("    largest bucket over mean: counted %.4f, random %.4f, of 20,000 %.4f\n", counted, mixed, small);
    CHECK(counted <= 1.2);
    CHECK(mixed <= 1.2);
    CHECK(small <= 1.4); /* 156 a bucket: chance alone gives 1.2 */
}

TEST(known_fault_41_serial_overflow_is_reported) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    intern_symbol s = 5;
    add(t, &p, "before", 6);
    /* Put the slot near its end, as if it had issued all the rest. Pages go by serial: give it the last ones. */
    intern__writer *w = &t->writer[p.slot];
    uint64_t next = INTERN__SERIAL_MAX, pages = next >> INTERN__PAGE_BITS;
    w->next = next;
    w->first = next;
    w->npages = pages + 1;
    /* A directory that long is not to be had: let reserving succeed without it, and stop before the commit. */
    CHECK_OK(intern__writer_reserve(w, 6));
    w->next = next + 1; /* the last one is issued */
    CHECK_EQ(intern_get_or_insert(t, &p, "after", 5, &s, NULL), INTERN_FULL);
    intern_key k;
    size_t done = 9;
    k.data = "after", k.len = 5;
    CHECK_EQ(intern_get_or_insert_many(t, &p, &k, 1, &s, &done), INTERN_FULL);
    CHECK_EQ(done, 0);
    CHECK_EQ(s, 5);
    CHECK_EQ(intern_get(t, "after", 5), INTERN_NONE);
    CHECK_EQ(intern_get(t, "before", 6), 1);
    CHECK_EQ(add(t, &p, "before", 6), 1); /* what is there is still found */
    CHECK_OK(intern_permit_release(&p));
    /* A slot that is used up is not given out while others are free. */
    intern_permit q = permit_new(t);
    CHECK_EQ(q.slot, 1);
    CHECK_EQ(add(t, &q, "after", 5), (intern_symbol)1 << 40);
    CHECK_OK(intern_permit_release(&q));
    w->next = 2;
    w->npages = 1;
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(readers_take_no_lock_and_do_no_atomic_read_modify_write) {
    enum { N = 5000 };
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    static intern_symbol symbols[N], many[N];
    static intern_key keys[N], back[N];
    static char text_at[N][24];
    for (size_t i = 0; i < N; i++) {
        keys[i] = numbered(text_at[i], "name", i);
        symbols[i] = add(t, &p, keys[i].data, keys[i].len);
    }
    rmws = locks = 0;
    size_t wrong = 0;
    for (size_t i = 0; i < N; i++) {
        size_t len = 0;
        wrong += intern_get(t, keys[i].data, keys[i].len) != symbols[i];
        wrong += intern_get(t, keys[i].data, keys[i].len - 1) == symbols[i];
        wrong += intern_get(t, "no such key", 11) != INTERN_NONE;
        wrong += intern_bytes(t, symbols[i], &len) == NULL || len != keys[i].len;
    }
    CHECK_EQ(wrong, 0);
    CHECK_EQ(intern_get_many(t, keys, N, many), N);
    CHECK_EQ(intern_bytes_many(t, symbols, N, back), N);
    CHECK_EQ(locks, 0);
    CHECK_EQ(rmws, 0);
    add(t, &p, "name7", 5); /* existing: nor does this */
    CHECK_EQ(locks, 0);
    CHECK_EQ(rmws, 0);
    add(t, &p, "a new one", 9); /* and the counters do count */
    CHECK_EQ(locks, 1);
    CHECK_OK(intern_permit_release(&p));
    CHECK_EQ(rmws, 1);
    intern_table_free(t);
}

TEST(statistics_add_up_to_what_is_allocated) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    intern_stats s;
    char buffer[64];
    for (size_t i = 0; i < 30000; i++) {
        intern_key k = numbered(buffer, "n", i);
        add(t, &p, k.data, k.len);
    }
    intern_get_stats(t, &s);
    CHECK_EQ(s.symbols, 30000);
    CHECK_EQ(s.slab_bytes + s.index_bytes + s.bucket_bytes + s.retired_bytes + s.fixed_bytes, check_live_bytes());
    CHECK(s.retired_bytes > 0);
    CHECK(s.smallest_bucket <= 30000 / 128 && s.largest_bucket >= 30000 / 128);
    intern_trim(t);
    intern_get_stats(t, &s);
    CHECK_EQ(s.retired_bytes, 0);
    CHECK_EQ(s.slab_bytes + s.index_bytes + s.bucket_bytes + s.fixed_bytes, check_live_bytes());
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
}

/* Memory runs out: at the n-th allocation, for every n */

TEST(no_memory_at_any_allocation_loses_nothing) {
    enum { N = 1500 };
    char buffer[700] = {0};
    uint64_t failures = 0;
    bool failed = true;
    for (uint64_t nth = 1; failed; nth++) {
        intern_table *t = NULL;
        intern_permit p;
        uint64_t fails = 0;
        failed = false;
        check_fail_alloc(nth);
        intern_status s = intern_table_new(NULL, &t);
        if (s != INTERN_OK) {
            CHECK_EQ(s, INTERN_NOMEM);
            CHECK_EQ(check_live_blocks(), 0);
            failed = true;
            failures++;
            continue;
        }
        CHECK_OK(intern_permit_acquire(t, &p));
        for (size_t i = 0; i < N; i++) {
            intern_key k = numbered(buffer, "k", i);
            if (i % 100 == 99) k.len = 600, memset(buffer + 10, 'x', sizeof buffer - 10);
            intern_symbol got = 5;
            s = intern_get_or_insert(t, &p, k.data, k.len, &got, NULL);
            if (s != INTERN_OK) {
                CHECK_EQ(s, INTERN_NOMEM);
                CHECK_EQ(got, 5);
                CHECK_EQ(intern_count(t), i);
                CHECK_EQ(intern_get(t, k.data, k.len), INTERN_NONE);
                failed = true;
                fails++;
                CHECK_OK(intern_get_or_insert(t, &p, k.data, k.len, &got, NULL)); /* again, and it is there */
            }
            CHECK_EQ(got, i + 1);
            CHECK_EQ(intern_get(t, k.data, k.len), got);
        }
        CHECK(fails <= 1);
        failures += fails;
        CHECK_EQ(intern_count(t), N);
        CHECK_OK(intern_permit_release(&p));
        intern_table_free(t);
        CHECK_EQ(check_live_blocks(), 0);
    }
    CHECK(failures > 200);
}

TEST(no_memory_for_anything_still_serves_what_is_there) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t);
    intern_symbol s = add(t, &p, "there", 5), got;
    char buffer[32];
    uint64_t refused = 0;
    check_fail_allocs_from(1);
    for (size_t i = 0; i < 5000; i++) {
        intern_key k = numbered(buffer, "x", i);
        refused += intern_get_or_insert(t, &p, k.data, k.len, &got, NULL) == INTERN_NOMEM;
    }
    CHECK(refused > 0);
    CHECK_EQ(intern_count(t), 5001 - refused);
    CHECK_OK(intern_get_or_insert(t, &p, "there", 5, &got, NULL));
    CHECK_EQ(got, s);
    check_fail_alloc(0);
    CHECK_OK(intern_permit_release(&p));
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
}

/* Files */

typedef struct sink {
    uint8_t *data;
    size_t len, cap, calls, stop_at; /* refuses the call of that number */
} sink;

static bool sink_write(void *ctx, const void *data, size_t len) {
    sink *s = ctx;
    if (s->stop_at && ++s->calls >= s->stop_at) return false;
    if (s->len + len > s->cap) {
        s->cap = 2 * (s->len + len);
        s->data = realloc(s->data, s->cap);
    }
    memcpy(s->data + s->len, data, len);
    s->len += len;
    return true;
}

static sink save_to_sink(intern_table *t) {
    sink s = {NULL, 0, 0, 0, 0};
    CHECK_OK(intern_save_to(t, sink_write, &s));
    return s;
}

/* A table of several slots, with keys of all kinds; the model knows them. */
static void *add_random_keys(void *arg) {
    errand *e = arg;
    intern_permit p;
    if (intern_permit_acquire(e->t, &p) != INTERN_OK) return NULL;
    for (int i = 0; i < 400 && model_n < MODEL_MAX; i++) {
        text k = text_random();
        if (model_find(&k) != INTERN_NONE) continue;
        if (intern_get_or_insert(e->t, &p, k.bytes, k.len, &e->s, NULL) != INTERN_OK) return NULL;
        model_add(&k, e->s);
    }
    e->got = intern_permit_release(&p);
    return NULL;
}

static intern_table *table_of_random_keys(void) {
    intern_table *t = table_new();
    intern_permit p = permit_new(t); /* keeps slot 0, so that the others get slot 1 */
    errand e;
    memset(&e, 0, sizeof e);
    model_n = 0;
    e.t = t;
    e.got = INTERN_INVALID;
    run_aside(add_random_keys, &e);
    CHECK_OK(e.got);
    for (int i = 0; i < 400; i++) {
        text k = text_random();
        if (model_find(&k) == INTERN_NONE) model_add(&k, add(t, &p, k.bytes, k.len));
    }
    CHECK_OK(intern_permit_release(&p));
    return t;
}

TEST(known_fault_37_loaded_symbols_are_found_and_not_issued_again) {
    intern_table *t = table_of_random_keys(), *u = table_new();
    sink s = save_to_sink(t);
    intern_error error;
    CHECK_OK(intern_load_memory(u, s.data, s.len, INTERN_LOAD_VERIFY, &error));
    model_compare(u);
    intern_permit p = permit_new(u);
    for (size_t i = 0; i < model_n; i++) CHECK_EQ(add(u, &p, model_key[i].bytes, model_key[i].len), model_symbol[i]);
    CHECK_EQ(intern_count(u), model_n);
    CHECK_OK(intern_permit_release(&p));
    free(s.data);
    intern_table_free(t);
    intern_table_free(u);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(loaded_table_goes_on_as_if_never_saved) {
    for (unsigned flags = 0; flags <= INTERN_LOAD_UNCHECKED; flags++) {
        intern_table *t = table_of_random_keys(), *u = table_new();
        sink s = save_to_sink(t);
        CHECK_OK(intern_load_memory(u, s.data, s.len, flags, NULL));
        free(s.data);
        intern_permit p = permit_new(t), q = permit_new(u);
        for (int i = 0; i < 1500; i++) { /* enough for buckets, pages and slabs of the file to be outgrown */
            text k = text_random();
            intern_symbol a = add(t, &p, k.bytes, k.len);
            CHECK_EQ(add(u, &q, k.bytes, k.len), a);
            if (model_find(&k) == INTERN_NONE && model_n < MODEL_MAX) model_add(&k, a);
        }
        model_compare(u);
        CHECK_OK(intern_permit_release(&p));
        CHECK_OK(intern_permit_release(&q));
        sink again = save_to_sink(u); /* a table that lies half in a file */
        intern_trim(u);
        intern_table_free(u);
        u = table_new();
        CHECK_OK(intern_load_memory(u, again.data, again.len, INTERN_LOAD_VERIFY, NULL));
        model_compare(u);
        free(again.data);
        intern_table_free(t);
        intern_table_free(u);
        CHECK_EQ(check_live_blocks(), 0);
    }
}

TEST(empty_table_saves_and_loads) {
    intern_table *t = table_new(), *u = table_new();
    sink s = save_to_sink(t);
    CHECK_OK(intern_load_memory(u, s.data, s.len, INTERN_LOAD_VERIFY, NULL));
    CHECK_EQ(intern_count(u), 0);
    intern_permit p = permit_new(u);
    CHECK_EQ(add(u, &p, "a", 1), 1);
    CHECK_OK(intern_permit_release(&p));
    free(s.data);
    intern_table_free(t);
    intern_table_free(u);
}

TEST(load_wants_an_idle_empty_table) {
    intern_table *t = table_of_random_keys(), *u = table_new();
    sink s = save_to_sink(t);
    intern_error error = {INTERN_OK, 0, NULL};
    intern_permit p = permit_new(u);
    CHECK_EQ(intern_load_memory(u, s.data, s.len, 0, &error), INTERN_BUSY);
    CHECK_EQ(error.code, INTERN_BUSY);
    CHECK(error.msg != NULL);
    add(u, &p, "only", 4);
    CHECK_OK(intern_permit_release(&p));
    CHECK_EQ(intern_load_memory(u, s.data, s.len, 0, &error), INTERN_BUSY);
    CHECK_EQ(intern_count(u), 1);
    CHECK(intern_get(u, "only", 4) != INTERN_NONE);
    free(s.data);
    intern_table_free(t);
    intern_table_free(u);
}

/* Tries to load; the table must be as empty as before, and usable. */
static intern_error refused(intern_table *u, const uint8_t *data, size_t len, unsigned flags) {
    intern_error error = {INTERN_OK, 0, NULL};
    intern_status s = intern_load_memory(u, data, len, flags, &error);
    CHECK_EQ(s, INTERN_CORRUPT);
    CHECK_EQ(error.code, s);
    CHECK(error.msg != NULL && error.offset <= len);
    CHECK_EQ(intern_count(u), 0);
    CHECK_EQ(intern_get(u, "a", 1), INTERN_NONE);
    return error;
}

TEST(truncated_files_are_refused) {
    intern_table *t = table_of_random_keys(), *u = table_new();
    sink s = save_to_sink(t);
    for (size_t len = 0; len < s.len; len += len < 200 ? 1 : 1 + check_below(300)) {
        uint8_t *exact = malloc(len ? len : 1); /* so that reading beyond is noticed */
        memcpy(exact, s.data, len);
        refused(u, exact, len, 0);
        free(exact);
    }
    uint8_t *longer = calloc(1, s.len + 64);
    memcpy(longer, s.data, s.len);
    refused(u, longer, s.len + 64, 0);
    free(longer);
    free(s.data);
    intern_table_free(t);
    intern_table_free(u);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(damaged_files_are_refused) {
    intern_table *t = table_of_random_keys(), *u = table_new();
    sink s = save_to_sink(t);
    for (int i = 0; i < 2000; i++) {
        size_t at = i < 300 ? (size_t)i : check_below(s.len);
        uint8_t bit = (uint8_t)(1u << check_below(8));
        if (at >= s.len - 56) continue; /* zeros after the last checksum: nothing is read there */
        s.data[at] ^= bit;
        refused(u, s.data, s.len, 0);
        s.data[at] ^= bit;
    }
    CHECK_OK(intern_load_memory(u, s.data, s.len, 0, NULL)); /* it was only the damage */
    model_compare(u);
    free(s.data);
    intern_table_free(t);
    intern_table_free(u);
}

TEST(foreign_files_are_refused) {
    intern_table *u = table_new();
    uint8_t data[9000];
    memset(data, 0, sizeof data);
    refused(u, data, sizeof data, 0);
    memcpy(data, "PK\3\4", 4);
    refused(u, data, sizeof data, 0);
    CHECK_STR_EQ(refused(u, data, 4, 0).msg, "not a file of this library");
    intern_table_free(u);
}

/* After a verified load every call must be safe and consistent, however the file came about. */
static void exercise(intern_table *u) {
    uint64_t n = 0;
    for (intern_iter i = intern_iter_all(u); intern_iter_next(&i); n++)
        CHECK_EQ(intern_get(u, i.data, i.len), i.symbol);
    CHECK_EQ(n, intern_count(u));
    intern_permit p = permit_new(u);
    for (int i = 0; i < 50; i++) {
        text k = text_random();
        intern_symbol s = add(u, &p, k.bytes, k.len);
        CHECK_EQ(intern_get(u, k.bytes, k.len), s);
    }
    CHECK_OK(intern_permit_release(&p));
}

TEST(verifying_catches_forged_files) {
    intern_table *t = table_of_random_keys();
    sink s = save_to_sink(t);
    uint8_t *bad = malloc(s.len);
    unsigned loaded = 0, rejected = 0;
    for (int i = 0; i < 3000; i++) {
        intern_table *u = table_new();
        memcpy(bad, s.data, s.len);
        for (uint64_t n = 1 + check_below(3); n; n--) {
            size_t at = check_below(4) ? check_below(s.len) : check_below(INTERN__TABLES);
            bad[at] = (uint8_t)(check_below(2) ? check_rand() : bad[at] ^ (1u << check_below(8)));
        }
        interning_forge(bad, s.len);
        intern_status status = intern_load_memory(u, bad, s.len, INTERN_LOAD_VERIFY, NULL);
        if (status == INTERN_OK) {
            loaded++;
            exercise(u);
        } else {
            rejected++;
            CHECK(status == INTERN_CORRUPT);
            CHECK_EQ(intern_count(u), 0);
        }
        intern_table_free(u);
    }
    CHECK(rejected > 1000);
    CHECK(loaded > 0); /* padding and unused bytes were hit, too: those files are good */
    free(bad);
    free(s.data);
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(file_of_another_bucket_rule_is_rebuilt) {
    intern_table *t = table_of_random_keys(), *u = table_new();
    sink s = save_to_sink(t);
    s.data[INTERN__AT_BOUND] = INTERN_PEARSON_BOUND + 1;
    interning_forge(s.data, s.len);
    CHECK_OK(intern_load_memory(u, s.data, s.len, INTERN_LOAD_VERIFY, NULL));
    model_compare(u);
    exercise(u);
    free(s.data);
    intern_table_free(t);
    intern_table_free(u);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(saving_and_loading_without_memory_change_nothing) {
    intern_table *t = table_of_random_keys();
    sink s = save_to_sink(t);
    for (int rebuild = 0; rebuild < 2; rebuild++) {
        uint64_t fails = 0;
        s.data[INTERN__AT_BOUND] = (uint8_t)(INTERN_PEARSON_BOUND + rebuild);
        interning_forge(s.data, s.len);
        for (uint64_t nth = 1;; nth++) {
            intern_table *u = table_new();
            uint64_t blocks = check_live_blocks();
            intern_error error = {INTERN_OK, 0, NULL};
            check_fail_alloc(nth);
            intern_status status = intern_load_memory(u, s.data, s.len, 0, &error);
            check_fail_alloc(0);
            if (status == INTERN_OK) model_compare(u);
            else {
                CHECK_EQ(status, INTERN_NOMEM);
                CHECK_EQ(error.code, INTERN_NOMEM);
                CHECK_EQ(check_live_blocks(), blocks);
                CHECK_EQ(intern_count(u), 0);
                fails++;
            }
            intern_table_free(u);
            if (status == INTERN_OK) break;
        }
        CHECK(fails > (rebuild ? 128u : 5u));
    }
    for (uint64_t nth = 1; nth <= 3; nth++) {
        sink none = {NULL, 0, 0, 0, 0};
        check_fail_alloc(nth);
        CHECK_EQ(intern_save_to(t, sink_write, &none), INTERN_NOMEM);
        CHECK_EQ(none.len, 0);
    }
    check_fail_alloc(0);
    free(s.data);
    intern_table_free(t);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(save_reports_a_sink_that_refuses) {
    intern_table *t = table_of_random_keys();
    for (size_t call = 1; call <= 2; call++) {
        sink s = {NULL, 0, 0, 0, call};
        CHECK_EQ(intern_save_to(t, sink_write, &s), INTERN_IO);
        free(s.data);
    }
    model_compare(t);
    intern_table_free(t);
}

/* A name of this run's own, in the folder for such things, or where programs are built, or here. */
static const char *scratch_file(void) {
    static char name[300];
    struct stat st;
    const char *dir = getenv("TMPDIR");
    if (!dir) dir = stat("build", &st) == 0 ? "build" : ".";
    snprintf(name, sizeof name, "%s/test_interning.%ld.image", dir, (long)getpid());
    return name;
}

TEST(files_are_mapped_and_never_written_to) {
    const char *path = scratch_file();
    intern_table *t = table_of_random_keys(), *u = table_new();
    intern_error error = {INTERN_OK, 0, NULL};
    CHECK_OK(intern_save(t, path));
    CHECK_OK(intern_load(u, path, INTERN_LOAD_VERIFY, &error));
    model_compare(u);
    exercise(u);
    intern_table *v = table_new();
    CHECK_OK(intern_load(v, path, INTERN_LOAD_VERIFY, &error)); /* what u added is u's alone */
    model_compare(v);
    remove(path);
    intern_table_free(t);
    intern_table_free(u);
    intern_table_free(v);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(known_fault_41_short_writes_are_completed_and_failed_ones_leave_the_old_file) {
    const char *path = scratch_file();
    char part[320];
    snprintf(part, sizeof part, "%s.part", path);
    intern_table *t = table_of_random_keys(), *u = table_new();
    write_most = 1000;
    CHECK_OK(intern_save(t, path));
    write_most = SIZE_MAX;
    CHECK_OK(intern_load(u, path, INTERN_LOAD_VERIFY, NULL));
    model_compare(u);
    intern_table_free(u);
    intern_permit p = permit_new(t);
    add(t, &p, "not in the first file", 21);
    CHECK_OK(intern_permit_release(&p));
    write_left = 5000; /* the disk is full */
    CHECK_EQ(intern_save(t, path), INTERN_IO);
    write_left = SIZE_MAX;
    struct stat st;
    CHECK(stat(part, &st) != 0);
    u = table_new();
    CHECK_OK(intern_load(u, path, 0, NULL));
    model_compare(u);
    CHECK_EQ(intern_save(t, "/no such folder/file"), INTERN_IO);
    CHECK_EQ(intern_load(u, "/no such folder/file", 0, NULL), INTERN_BUSY);
    intern_table_free(u);
    u = table_new();
    CHECK_EQ(intern_load(u, "/no such folder/file", 0, NULL), INTERN_IO);
    FILE *f = fopen(path, "wb");
    CHECK(f != NULL);
    fclose(f);
    CHECK_EQ(intern_load(u, path, 0, NULL), INTERN_CORRUPT); /* empty */
    remove(path);
    intern_table_free(t);
    intern_table_free(u);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(seeds_change_places_not_answers) {
    intern_options options = {0x123456789abcdefu, false};
    intern_table *t = NULL, *u = table_new();
    CHECK_OK(intern_table_new(&options, &t));
    intern_permit p = permit_new(t);
    model_n = 0;
    for (int i = 0; i < 500; i++) {
        text k = text_random();
        intern_symbol s = add(t, &p, k.bytes, k.len);
        if (model_find(&k) == INTERN_NONE) model_add(&k, s);
    }
    model_compare(t);
    CHECK_OK(intern_permit_release(&p));
    sink s = save_to_sink(t); /* the seed goes with the file */
    CHECK_OK(intern_load_memory(u, s.data, s.len, INTERN_LOAD_VERIFY, NULL));
    model_compare(u);
    text k = text_of("seed");
    CHECK_NE(intern__key_of(k.bytes, k.len, 0).hash, intern__key_of(k.bytes, k.len, options.seed).hash);
    free(s.data);
    intern_table_free(t);
    intern_table_free(u);
}
