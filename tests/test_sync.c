/* Sending what a peer lacks: whatever the two maps are, the receiver ends with the sender's, in few round trips and
   without sending what both have; connections that break, senders that change, and messages that are damaged or lie do
   no harm. */
#include "check.h"
#include "model.h"
#include "library.h"

#include "both.h"
#include "doubled.h"
#include "shapes.h"
#include "streams.h"

static const shape shapes[] = {{2, 3, 12, 100}, {3, 12, 60, 100}, {7, 2, 6, 100},     {4, 200, 300, 100},
                               {250, 3, 3, 0},  SHAPE_OF_PARTS,   SHAPE_OF_LONG_PARTS};

static void empty(stream *s) { s->len = s->at = 0; }

static bool equal(const pm_map *a, const pm_map *b) {
    bool same = false;
    CHECK_OK(pm_equal(a, b, &same));
    return same;
}

/* One question and its answer, which are counted. */
static void exchange(pm_sync *s, pm_sync_source *from) {
    stream q = {0}, a = {0};
    pm_error why = {PM_OK, 0, ""};
    pm_sync_stats before, after;
    pm_sync_get_stats(s, &before);
    CHECK_OK(pm_sync_ask(s, stream_write, &q));
    CHECK_EQ(q.calls, 1);
    CHECK_OK(pm_sync_answer(from, q.data, q.len, stream_write, &a, NULL));
    CHECK_EQ(a.calls, 1);
    CHECK_NOTE(pm_sync_take(s, a.data, a.len, &why) == PM_OK, "%s at %d", why.msg, (int)why.offset);
    pm_sync_get_stats(s, &after);
    CHECK_EQ(after.round_trips, before.round_trips + 1);
    CHECK_EQ(after.bytes_out, before.bytes_out + q.len);
    CHECK_EQ(after.bytes_in, before.bytes_in + a.len);
    CHECK(after.questions >= before.questions && (after.waiting == 0 || !pm_sync_done(s)));
    stream_free(&q);
    stream_free(&a);
}

/* Brings a map to what the sender has. */
static pm_sync_stats bring(const pm_map *have, const pm_map *want, pm_map *out) {
    pm_sync *s;
    pm_sync_source *from;
    pm_sync_stats stats;
    CHECK_OK(pm_sync_source_new(want, NULL, &from));
    CHECK_OK(pm_sync_new(have, NULL, &s));
    while (!pm_sync_done(s)) exchange(s, from);
    pm_sync_get_stats(s, &stats);
    CHECK_EQ(stats.waiting, 0);
    CHECK_EQ(stats.hash.lo, pm_sync_source_hash(from).lo);
    *out = pm_sync_map(s);
    pm_sync_free(s);
    pm_sync_source_free(from);
    check_sound(out);
    CHECK(equal(out, want));
    return stats;
}

TEST(sync_of_random_maps) {
    for (unsigned i = 0; i < 200; i++) {
        const shape *s = &shapes[i % 7];
        both want = both_new(table(i / 6));
        both_edit(&want, s, (unsigned)check_below(i % 4 ? 300 : 10));
        both have = i % 7 ? both_clone(&want) : both_new(table(i / 6));
        both_edit(&have, s, (unsigned)check_below(i % 3 ? 20 : 300));
        pm_map got;
        (void)bring(&have.map, &want.map, &got);
        CHECK(same_content(&got, want.m));
        pm_drop(&got);
        both_drop(&want);
        both_drop(&have);
    }
}

/* Values of strings, and a value at the empty path. */
TEST(sync_of_strings) {
    pm_map want = pm_new(pm_ops_bytes(), NULL), have, got;
    for (unsigned i = 0; i < 3000; i++) {
        pm_val v;
        uint8_t path[2] = {(uint8_t)(i >> 8), (uint8_t)i};
        CHECK_OK(pm_bytes_new("some text that is not so short", i % 30, &v));
        CHECK_OK(pm_set(&want, path, i % 256 ? 2 : i >> 8 ? 1 : 0, v, NULL));
        if (i == 1500) have = pm_clone(&want);
    }
    (void)bring(&have, &want, &got);
    pm_drop(&got);
    (void)bring(&want, &have, &got);
    pm_drop(&got);
    pm_drop(&have);
    pm_drop(&want);
}

static pm_map numbers(unsigned n) {
    pm_map m = pm_new(NULL, NULL);
    for (unsigned i = 0; i < n; i++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(&m, &r, sizeof r, i, NULL));
    }
    return m;
}

/* Few round trips, and few bytes where little differs. */
TEST(sync_sends_what_is_lacking) {
    enum { KEYS = 50000 };
    pm_map want = numbers(KEYS), have = pm_clone(&want), none = pm_new(NULL, NULL), got;
    pm_sync_stats stats = bring(&have, &want, &got);
    pm_drop(&got);
    CHECK(stats.round_trips == 1 && stats.questions == 0);
    for (unsigned i = 0; i < 5; i++) {
        uint64_t r = check_rand();
        CHECK_OK(pm_set(&want, &r, sizeof r, i, NULL));
    }
    stats = bring(&have, &want, &got);
    pm_drop(&got);
    CHECK_NOTE(stats.round_trips <= 5 && stats.bytes_in < 40000 && stats.bytes_out < 500, "%d trips, %d in, %d out",
               (int)stats.round_trips, (int)stats.bytes_in, (int)stats.bytes_out);
    stats = bring(&none, &want, &got);
    pm_drop(&got);
    CHECK_NOTE(stats.round_trips <= 6 && stats.bytes_in < KEYS * 20, "%d trips, %d in, %d out", (int)stats.round_trips,
               (int)stats.bytes_in, (int)stats.bytes_out);
    stats = bring(&want, &none, &got);
    pm_drop(&got);
    CHECK(stats.round_trips == 1 && stats.bytes_in < 100);
    pm_drop(&want);
    pm_drop(&have);
}

/* The receiver's half-filled map is a start for another session; a receiver may change its connection, too. */
TEST(sync_goes_on_where_it_stopped) {
    pm_map want = pm_new(NULL, NULL), none = pm_new(NULL, NULL), part, got;
    for (unsigned i = 0; i < 8000; i++) {
        uint64_t path[25];
        for (unsigned k = 0; k < 25; k++) path[k] = check_rand();
        CHECK_OK(pm_set(&want, path, sizeof path, i, NULL));
    }
    pm_sync *s;
    pm_sync_source *from;
    pm_sync_stats all = bring(&none, &want, &got), rest;
    pm_drop(&got);
    CHECK_OK(pm_sync_source_new(&want, NULL, &from));
    CHECK_OK(pm_sync_new(&none, NULL, &s));
    for (uint64_t i = 0; i + 1 < all.round_trips; i++) {
        stream lost = {0};
        CHECK_OK(pm_sync_ask(s, stream_write, &lost)); /* with its answer */
        stream_free(&lost);
        exchange(s, from);
    }
    CHECK(!pm_sync_done(s));
    part = pm_sync_map(s);
    pm_sync_free(s);
    pm_sync_source_free(from);
    rest = bring(&part, &want, &got);
    CHECK_NOTE(rest.bytes_in < all.bytes_in, "%d of %d", (int)rest.bytes_in, (int)all.bytes_in);
    pm_drop(&got);
    pm_drop(&part);
    pm_drop(&want);
}

/* A sender that has something else in the meantime; a receiver that asks whether there is news. */
TEST(sync_follows_a_sender_that_changes) {
    for (unsigned i = 0; i < 60; i++) {
        const shape *sh = &shapes[i % 7];
        both want = both_new(pm_ops_sum()), have = both_new(pm_ops_sum());
        both_edit(&want, sh, 300);
        both_edit(&have, sh, 300);
        pm_sync *s;
        pm_sync_source *from;
        CHECK_OK(pm_sync_source_new(&want.map, NULL, &from));
        CHECK_OK(pm_sync_new(&have.map, NULL, &s));
        for (unsigned changes = 0; changes < 4 || !pm_sync_done(s);) {
            if (changes < 4 && (pm_sync_done(s) || check_below(3) == 0)) {
                pm_sync_source_free(from);
                if (changes % 2) both_edit(&want, sh, 20);
                CHECK_OK(pm_sync_source_new(&want.map, NULL, &from));
                changes++;
            }
            exchange(s, from);
        }
        exchange(s, from); /* nothing new */
        CHECK(pm_sync_done(s));
        pm_map got = pm_sync_map(s);
        CHECK(equal(&got, &want.map));
        pm_drop(&got);
        pm_sync_free(s);
        pm_sync_source_free(from);
        both_drop(&want);
        both_drop(&have);
    }
}

TEST(sync_of_what_is_shared_without_end) {
    pm_map m = doubled(single(NULL, "x", 7), 12, "left", "right"), none = pm_new(NULL, NULL), got;
    pm_sync_stats stats = bring(&none, &m, &got);
    CHECK(stats.round_trips < 20);
    pm_drop(&got);
    pm_drop(&m);
}

/* ---- damage ---- */

/* Runs a session in which one message, changed, comes before the right one. */
static void disturb(const pm_map *have, const pm_map *want, uint64_t turn, size_t *len, size_t cut, size_t bit) {
    pm_sync *s;
    pm_sync_source *from;
    stream q = {0}, a = {0};
    pm_error why;
    CHECK_OK(pm_sync_source_new(want, NULL, &from));
    CHECK_OK(pm_sync_new(have, NULL, &s));
    for (uint64_t i = 0; !pm_sync_done(s) && i < 100; i++) {
        empty(&q), empty(&a);
        CHECK_OK(pm_sync_ask(s, stream_write, &q));
        CHECK_OK(pm_sync_answer(from, q.data, q.len, stream_write, &a, NULL));
        if (i == turn) {
            *len = a.len;
            size_t n = cut < a.len ? cut : a.len;
            if (bit < a.len * 8) a.data[bit / 8] ^= (uint8_t)(1u << (bit % 8));
            why.code = PM_OK;
            pm_status st = pm_sync_take(s, a.data, n, &why);
            CHECK(st == PM_OK || st == why.code);
            CHECK(st == PM_CORRUPT || st == PM_INVALID || st == PM_MISMATCH || (st == PM_OK && bit / 8 >= 2));
            continue; /* ask again: whatever is still open */
        }
        CHECK_OK(pm_sync_take(s, a.data, a.len, NULL));
    }
    CHECK(pm_sync_done(s));
    pm_map got = pm_sync_map(s);
    CHECK(equal(&got, want));
    pm_drop(&got);
    stream_free(&q);
    stream_free(&a);
    pm_sync_free(s);
    pm_sync_source_free(from);
}

static void few(pm_map *m, unsigned from, unsigned to) {
    char path[32];
    for (unsigned i = from; i < to; i++)
        CHECK_OK(pm_set(m, path, (size_t)snprintf(path, sizeof path, "shop/%u/price", i), i, NULL));
}

TEST(sync_answers_cut_or_changed_are_refused) {
    pm_map have = pm_new(NULL, NULL), want = pm_new(NULL, NULL);
    few(&have, 0, 40);
    few(&want, 10, 50);
    CHECK_OK(pm_set(&want, NULL, 0, 5, NULL));
    for (uint64_t turn = 0; turn < 3; turn++) {
        size_t len = 1;
        for (size_t n = 0; n < len; n++) disturb(&have, &want, turn, &len, n, SIZE_MAX);
        for (size_t bit = 0; bit < len * 8; bit++) disturb(&have, &want, turn, &len, SIZE_MAX, bit);
    }
    pm_drop(&have);
    pm_drop(&want);
}

TEST(sync_questions_cut_or_made_up_are_refused) {
    pm_map have = pm_new(NULL, NULL), want = pm_new(NULL, NULL);
    pm_sync *s;
    pm_sync_source *from;
    stream q = {0}, a = {0};
    few(&have, 0, 40);
    few(&want, 10, 50);
    CHECK_OK(pm_sync_source_new(&want, NULL, &from));
    CHECK_OK(pm_sync_new(&have, NULL, &s));
    exchange(s, from);
    CHECK_OK(pm_sync_ask(s, stream_write, &q));
    for (size_t n = 0; n < q.len; n++) {
        pm_error why = {PM_OK, 0, NULL};
        CHECK_EQ(pm_sync_answer(from, q.data, n, stream_write, &a, &why), PM_CORRUPT);
        CHECK(why.code == PM_CORRUPT && why.offset <= n && a.len == 0);
    }
    for (unsigned i = 0; i < 20000; i++) {
        uint8_t made[64];
        size_t n = check_below(sizeof made);
        for (size_t k = 0; k < n; k++) made[k] = (uint8_t)(check_below(3) ? check_below(6) : check_rand());
        if (n > 1) made[0] = 'q', made[1] = 1;
        pm_status st = pm_sync_answer(from, made, n, stream_write, &a, NULL);
        CHECK(st == PM_OK || st == PM_CORRUPT);
        empty(&a);
        if (n > 1) made[0] = 'a';
        st = pm_sync_take(s, made, n, NULL);
        CHECK(st == PM_CORRUPT || st == PM_OK); /* another root is news */
    }
    while (!pm_sync_done(s)) exchange(s, from);
    pm_sync_free(s);
    pm_sync_source_free(from);
    stream_free(&q);
    stream_free(&a);
    pm_drop(&have);
    pm_drop(&want);
}

/* ---- bytes ---- */

static void put(stream *s, const void *from, size_t n) { CHECK_OK(stream_write(s, from, n)); }

static void put_hash(stream *s, const pm_map *m, const char *place) {
    pm_ref r = pm_ref_of_map(m, place, strlen(place));
    pm_map there;
    pm_hash128 h = {0, 0};
    uint8_t bytes[16];
    CHECK_OK(pm_ref_make_map(&r, &there));
    CHECK_OK(pm_hash(&there, &h));
    pm_drop(&there);
    for (unsigned i = 0; i < 16; i++) bytes[i] = (uint8_t)((i < 8 ? h.lo : h.hi) >> 8 * (i % 8));
    put(s, bytes, sizeof bytes);
}

/* The patch from nothing to one value at the empty path. */
static void put_value(stream *s, pm_val v) {
    pm_map none = pm_new(NULL, NULL), one = pm_new(NULL, NULL);
    pm_patch p;
    CHECK_OK(pm_set(&one, NULL, 0, v, NULL));
    CHECK_OK(pm_patch_make(&none, &one, &p));
    CHECK_OK(pm_patch_write(&p, stream_write, s, NULL, NULL));
    pm_patch_drop(&p);
    pm_drop(&one);
}

/* Checks a question and its answer, and lets the receiver take it. Empties both. */
static void says(pm_sync *s, pm_sync_source *from, stream *question, stream *answer) {
    stream q = {0}, a = {0};
    CHECK_OK(pm_sync_ask(s, stream_write, &q));
    CHECK_MEM_EQ(q.data, q.len, question->data, question->len);
    CHECK_OK(pm_sync_answer(from, q.data, q.len, stream_write, &a, NULL));
    CHECK_MEM_EQ(a.data, a.len, answer->data, answer->len);
    CHECK_OK(pm_sync_take(s, a.data, a.len, NULL));
    stream_free(&q);
    stream_free(&a);
    empty(question), empty(answer);
}

/* What docs/formats.md says of messages, with all forms of answers. */
TEST(sync_messages_have_the_bytes_that_are_documented) {
    pm_map have = pm_new(NULL, NULL), want = pm_new(NULL, NULL);
    char path[] = "ab0";
    for (unsigned i = 0; i < 9; i++, path[2]++) {
        CHECK_OK(pm_set(&want, path, 3, i, NULL));
        if (i < 8) CHECK_OK(pm_set(&have, path, 3, i == 3 ? 7 : i, NULL));
    }
    CHECK_OK(pm_set(&want, NULL, 0, 5, NULL));
    CHECK_OK(pm_set(&have, "abx", 3, 5, NULL)); /* goes with the fork */
    pm_sync *s;
    pm_sync_source *from;
    stream q = {0}, a = {0};
    CHECK_OK(pm_sync_source_new(&want, NULL, &from));
    CHECK_OK(pm_sync_new(&have, NULL, &s));
    put(&q, "q\1\1\0\0\0", 6);
    put(&a, "a\1", 2), put_hash(&a, &want, ""), put(&a, "\1\0\0\0\2\0", 6);
    put_value(&a, 5), put(&a, "\1a", 2), put_hash(&a, &want, "a");
    says(s, from, &q, &a);
    put(&q, "q\1\1\0\0\1a", 7);
    put(&a, "a\1", 2), put_hash(&a, &want, ""), put(&a, "\1\0\0\0\1\1b\11", 8);
    for (path[2] = '0'; path[2] < '9'; path[2]++) put(&a, path + 2, 1), put_hash(&a, &want, path);
    says(s, from, &q, &a);
    put(&q, "q\1\2\0\0\3ab3\1\2\1" "8", 13);
    put(&a, "a\1", 2), put_hash(&a, &want, ""), put(&a, "\2\0\0\0\3", 5);
    put_value(&a, 3), put(&a, "\3", 1), put_value(&a, 8);
    says(s, from, &q, &a);
    CHECK(pm_sync_done(s));
    put(&q, "q\1\1\1\0\2ax", 8);
    put(&a, "a\1", 2), put_hash(&a, &want, ""), put(&a, "\1\0\0\0\0", 5);
    stream gone = {0};
    CHECK_OK(pm_sync_answer(from, q.data, q.len, stream_write, &gone, NULL));
    CHECK_MEM_EQ(gone.data, gone.len, a.data, a.len);
    pm_map got = pm_sync_map(s);
    CHECK(equal(&got, &want));
    pm_drop(&got);
    stream_free(&gone);
    stream_free(&q);
    stream_free(&a);
    pm_sync_free(s);
    pm_sync_source_free(from);
    pm_drop(&have);
    pm_drop(&want);
}

/* Takes an answer, which must be refused in these words, at this place, without harm. */
static void refuses(pm_sync *s, const stream *a, pm_status status, const char *msg, size_t at) {
    stream q = {0};
    pm_error why = {PM_OK, 0, ""};
    CHECK_OK(pm_sync_ask(s, stream_write, &q));
    CHECK_EQ(pm_sync_take(s, a->data, a->len, &why), status);
    CHECK_EQ(why.code, status);
    CHECK_STR_EQ(why.msg, msg);
    CHECK_EQ(why.offset, at);
    stream_free(&q);
}

/* Answers that name the sender's hash, and are wrong behind it. */
TEST(sync_answers_that_are_wrong_are_refused_for_what_they_are) {
    static const struct {
        const char *bytes, *msg; /* behind the hash */
        size_t len, at;
    } wrong[] = {
        {"\0\0\0\0", "not as many answers as were asked for", 4, 22},
        {"\2\0\0\0", "not as many answers as were asked for", 4, 22},
        {"\1\0\0", "the message ends early", 3, 18},
        {"\1\0\0\0", "the message ends early", 4, 22},
        {"\1\0\0\0\0", "no answer", 5, 23},
        {"\1\0\0\0\4", "no answer", 5, 23},
        {"\1\0\0\0\1\1", "the message ends early", 6, 24},
        {"\1\0\0\0\1\0\x81\2", "more than 256 children", 8, 26},
        {"\1\0\0\0\1\0\x80\2", "the message ends early", 8, 26},
        {"\1\0\0\0\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\2", "a number that is no number", 15, 33},
        {"\1\0\0\0\1\xff\xff\xff\xff\xff\xff\xff\xff\xff\1", "the message ends early", 15, 33},
        {"\1\0\0\0\1\0\2b................a................", "children out of order", 41, 43},
        {"\1\0\0\0\1\0\2b................b................", "children out of order", 41, 43},
        {"\1\0\0\0\1\0\2a................b................", "not what was announced", 41, 59},
        {"\1\0\0\0\1\0\0", "not what was announced", 7, 25},
    };
    pm_map have = pm_new(NULL, NULL), want = pm_new(NULL, NULL);
    few(&have, 0, 40);
    few(&want, 10, 50);
    pm_sync *s;
    pm_sync_source *from;
    stream a = {0};
    CHECK_OK(pm_sync_source_new(&want, NULL, &from));
    CHECK_OK(pm_sync_new(&have, NULL, &s));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        put(&a, "a\1", 2), put_hash(&a, &want, ""), put(&a, wrong[i].bytes, wrong[i].len);
        refuses(s, &a, PM_CORRUPT, wrong[i].msg, wrong[i].at);
        empty(&a);
    }
    put(&a, "a\1", 2), put_hash(&a, &want, ""), put(&a, "\1\0\0\0\3", 5), put_value(&a, 1);
    refuses(s, &a, PM_CORRUPT, "not what was announced", a.len);
    empty(&a);
    put(&a, "q\1", 2);
    refuses(s, &a, PM_CORRUPT, "no message of this kind", 0);
    empty(&a);
    put(&a, "a\2", 2);
    refuses(s, &a, PM_INVALID, "a message of another version", 1);
    CHECK_EQ(pm_sync_take(s, NULL, 1, NULL), PM_INVALID);
    CHECK_EQ(pm_sync_take(s, NULL, 0, NULL), PM_CORRUPT);
    while (!pm_sync_done(s)) exchange(s, from);
    stream q = {0}, more = {0};
    CHECK_OK(pm_sync_ask(s, stream_write, &q));
    CHECK_OK(pm_sync_answer(from, q.data, q.len, stream_write, &more, NULL));
    CHECK_OK(pm_sync_take(s, more.data, more.len, NULL));
    pm_map got = pm_sync_map(s);
    CHECK(equal(&got, &want));
    pm_drop(&got);
    stream_free(&q);
    stream_free(&more);
    stream_free(&a);
    pm_sync_free(s);
    pm_sync_source_free(from);
    pm_drop(&have);
    pm_drop(&want);
}

/* An answer that goes on behind its end, and questions that are none. */
TEST(sync_messages_with_more_than_they_say_are_refused) {
    static const struct {
        const char *bytes, *msg;
        size_t len, at;
    } wrong[] = {
        {"q\1\1\0\0\0z", "more than the questions", 7, 6}, {"q\1\1\2\0\0", "no question", 6, 4},
        {"q\1\1\0\1\0", "a key keeps more than there is", 6, 6},
        {"q\1\2\0\0\1a\0\2\0", "a key keeps more than there is", 10, 10},
        {"a\1\0", "no message of this kind", 3, 0}, {"q\1\0z", "more than the questions", 4, 3},
        {"q\1\1\0\0\2a", "the message ends early", 7, 6}};
    pm_map have = pm_new(NULL, NULL), want = pm_new(NULL, NULL);
    few(&want, 0, 3);
    pm_sync *s;
    pm_sync_source *from;
    stream q = {0}, a = {0};
    pm_error why;
    CHECK_OK(pm_sync_source_new(&want, NULL, &from));
    CHECK_OK(pm_sync_new(&have, NULL, &s));
    for (size_t i = 0; i < sizeof wrong / sizeof *wrong; i++) {
        CHECK_EQ(pm_sync_answer(from, wrong[i].bytes, wrong[i].len, stream_write, &a, &why), PM_CORRUPT);
        CHECK_STR_EQ(why.msg, wrong[i].msg);
        CHECK_EQ(why.offset, wrong[i].at);
    }
    CHECK_EQ(pm_sync_answer(from, "q\2\0", 3, stream_write, &a, &why), PM_INVALID);
    CHECK_EQ(why.offset, 1);
    CHECK_EQ(a.len, 0);
    CHECK_OK(pm_sync_ask(s, stream_write, &q));
    CHECK_OK(pm_sync_answer(from, q.data, q.len, stream_write, &a, NULL));
    put(&a, "z", 1);
    CHECK_EQ(pm_sync_take(s, a.data, a.len, &why), PM_CORRUPT);
    CHECK_STR_EQ(why.msg, "more than the answers");
    CHECK_EQ(why.offset, a.len - 1);
    while (!pm_sync_done(s)) exchange(s, from);
    stream_free(&q);
    stream_free(&a);
    pm_sync_free(s);
    pm_sync_source_free(from);
    pm_drop(&want);
}

TEST(sync_of_maps_of_other_values) {
    pm_map have = pm_new(pm_ops_unit(), NULL), want = pm_new(NULL, NULL);
    pm_sync *s;
    pm_sync_source *from;
    stream q = {0}, a = {0};
    pm_error why;
    few(&want, 0, 4);
    CHECK_OK(pm_sync_source_new(&want, NULL, &from));
    CHECK_OK(pm_sync_new(&have, NULL, &s));
    CHECK_OK(pm_sync_ask(s, stream_write, &q));
    q.fail_at = 2;
    CHECK_EQ(pm_sync_ask(s, stream_write, &q), PM_BUSY);
    a.fail_at = 1;
    CHECK_EQ(pm_sync_answer(from, q.data, q.len, stream_write, &a, &why), PM_BUSY);
    CHECK_OK(pm_sync_answer(from, q.data, q.len, stream_write, &a, &why));
    CHECK_EQ(pm_sync_take(s, a.data, a.len, &why), PM_MISMATCH);
    CHECK_EQ(why.code, PM_MISMATCH);
    pm_sync_free(s);
    pm_sync_source_free(from);
    stream_free(&q);
    stream_free(&a);
    pm_drop(&want);
}

/* ---- memory ---- */

TEST(sync_without_memory) {
    pm_map have = pm_new(NULL, NULL), want = pm_new(NULL, NULL);
    few(&have, 0, 40);
    few(&want, 10, 50);
    CHECK_OK(pm_set(&want, NULL, 0, 5, NULL));
    uint64_t before = check_live_bytes();
    for (uint64_t n = 1, failed = 1; failed; n++) {
        pm_sync *s = NULL;
        pm_sync_source *from = NULL;
        stream q = {0}, a = {0};
        check_fail_alloc(n);
        for (unsigned i = 0; i < 100 && !pm_sync_done(s); i++) {
            pm_status st = from ? PM_OK : pm_sync_source_new(&want, NULL, &from);
            CHECK(st == PM_OK || (st == PM_NOMEM && !from));
            if (!s) st = pm_sync_new(&have, NULL, &s);
            CHECK(st == PM_OK || st == PM_NOMEM);
            if (!from || !s) continue;
            empty(&q), empty(&a);
            st = pm_sync_ask(s, stream_write, &q);
            if (st == PM_OK) st = pm_sync_answer(from, q.data, q.len, stream_write, &a, NULL);
            if (st == PM_OK) st = pm_sync_take(s, a.data, a.len, NULL);
            CHECK(st == PM_OK || (st == PM_NOMEM && check_alloc_fails()));
        }
        failed = check_alloc_fails();
        check_fail_alloc(0);
        CHECK(pm_sync_done(s));
        pm_map got = pm_sync_map(s);
        check_sound(&got);
        CHECK(equal(&got, &want));
        pm_drop(&got);
        stream_free(&q);
        stream_free(&a);
        pm_sync_free(s);
        pm_sync_source_free(from);
        if (PM_POOL == 0) CHECK_EQ(check_live_bytes(), before);
    }
    pm_drop(&have);
    pm_drop(&want);
}

/* A session up to the answer `trip`, whose take lacks the memory of its allocation `at`, if it asks for so many, and is
   then gone on with. Returns how many allocations that take asked for; 0: the session has no such answer. */
static uint64_t lack_in_answer(const pm_map *want, unsigned trip, uint64_t at) {
    pm_map none = pm_new(NULL, NULL);
    pm_sync *s;
    pm_sync_source *from;
    CHECK_OK(pm_sync_source_new(want, NULL, &from));
    CHECK_OK(pm_sync_new(&none, NULL, &s));
    for (unsigned i = 0; i < trip && !pm_sync_done(s); i++) exchange(s, from);
    uint64_t asked = 0;
    if (!pm_sync_done(s)) {
        stream q = {0}, a = {0};
        CHECK_OK(pm_sync_ask(s, stream_write, &q));
        CHECK_OK(pm_sync_answer(from, q.data, q.len, stream_write, &a, NULL));
        check_fail_alloc(at);
        CHECK_EQ(pm_sync_take(s, a.data, a.len, NULL), at ? PM_NOMEM : PM_OK);
        asked = check_allocs();
        check_fail_alloc(0);
        stream_free(&q);
        stream_free(&a);
    }
    while (!pm_sync_done(s)) exchange(s, from);
    pm_map got = pm_sync_map(s);
    CHECK(equal(&got, want));
    pm_drop(&got);
    pm_sync_free(s);
    pm_sync_source_free(from);
    return asked;
}

/* What answers ask for last, where they leave questions open. */
TEST(sync_without_memory_while_questions_stay_open) {
    pm_map want = pm_new(NULL, NULL);
    for (unsigned i = 0; i < 8000; i++) {
        uint64_t path[25];
        for (unsigned k = 0; k < 25; k++) path[k] = check_rand();
        CHECK_OK(pm_set(&want, path, sizeof path, i, NULL));
    }
    uint64_t asked = 1;
    for (unsigned trip = 0; asked; trip++) {
        asked = lack_in_answer(&want, trip, 0);
        for (uint64_t n = 0; n < 3 && n < asked; n++) (void)lack_in_answer(&want, trip, asked - n);
    }
    pm_drop(&want);
}

TEST(sync_keeps_no_more_questions_than_it_may) {
    static uint8_t path[60000];
    pm_map have = pm_new(NULL, NULL), want = pm_new(NULL, NULL);
    for (unsigned i = 0; i < 2560; i++) {
        path[sizeof path - 2] = (uint8_t)i, path[sizeof path - 1] = (uint8_t)(i >> 8);
        CHECK_OK(pm_set(&want, path, sizeof path, i, NULL));
    }
    pm_sync *s;
    pm_sync_source *from;
    pm_patch_options o = {.most = 1 << 20};
    pm_status st = PM_OK;
    CHECK_OK(pm_sync_source_new(&want, NULL, &from));
    CHECK_OK(pm_sync_new(&have, &o, &s));
    for (unsigned i = 0; i < 10 && st == PM_OK && !pm_sync_done(s); i++) {
        stream q = {0}, a = {0};
        CHECK_OK(pm_sync_ask(s, stream_write, &q));
        CHECK_OK(pm_sync_answer(from, q.data, q.len, stream_write, &a, NULL));
        st = pm_sync_take(s, a.data, a.len, NULL);
        stream_free(&q);
        stream_free(&a);
    }
    CHECK_EQ(st, PM_NOMEM); /* 256 questions of 60,000 bytes each */
    pm_sync_free(s);
    pm_sync_source_free(from);
    pm_map got;
    (void)bring(&have, &want, &got);
    pm_drop(&got);
    pm_drop(&want);
}
