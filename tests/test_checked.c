/* What checked builds find (PM_CHECK >= 1): each mistake in a child process, which must abort with the words for it;
   and what is no mistake, which must pass. This program is always built with checks of level 1. */
#include "check.h"
#undef PM_CHECK
#define PM_CHECK 1
#undef PM_POOL
#define PM_POOL 0 /* leaks show */
#undef NDEBUG
#define PATHMAP_STATIC
#define PM_MALLOC(n) check_malloc(n)
#define PM_FREE(p, n) check_free(p, n)
#include "../pathmap.h"

#include <signal.h>
#include <sys/wait.h>
#include <unistd.h>

static pm_map some_map(void) {
    pm_map m = pm_new(NULL, NULL);
    CHECK_OK(pm_set(&m, "ab", 2, 1, NULL));
    CHECK_OK(pm_set(&m, "abcd", 4, 2, NULL));
    return m;
}

/* Runs a mistake in a child. True if it aborts, and says so first. */
static bool found(void (*mistake)(void), const char *words) {
    char text[1024] = "";
    int ends[2], status = 0;
    CHECK(pipe(ends) == 0);
    pid_t child = fork();
    if (child == 0) {
        signal(SIGABRT, SIG_DFL);
        dup2(ends[1], 2);
        mistake();
        _exit(0);
    }
    close(ends[1]);
    size_t n = 0;
    for (ssize_t got; n < sizeof text - 1 && (got = read(ends[0], text + n, sizeof text - 1 - n)) > 0;)
        n += (size_t)got;
    close(ends[0]);
    CHECK(waitpid(child, &status, 0) == child);
    bool said = strstr(text, words) != NULL;
    if (!said) fprintf(stderr, "status %d, said: %s\n", status, text);
    return said && WIFSIGNALED(status) && WTERMSIG(status) == SIGABRT;
}

/* A step of a mistake that is right by itself. */
static void right(pm_status s) {
    if (s != PM_OK) _exit(1);
}

#define READER "pathmap: a reader was used after its map was written or dropped (pm_rz_open, pm_iter_vals)"
#define WRITERS "pathmap: two writers were opened on one map (pm_wz_open)"
#define WRITER "pathmap: a map was written or dropped while a writer on it was open (pm_wz_open)"
#define HEAD "pathmap: a map was written or dropped while a head governed it (pm_head_new)"
#define COPY "pathmap: a map was used, or dropped twice, through a copy of its struct (pm_map: assigning moves it)"

#define DYING "pathmap: a map was used that is being dropped (pm_drop_some)"

/* ---- readers ---- */

static pm_map reader_map;
static pm_rz reader;

static void open_reader(const char *path) {
    reader_map = some_map();
    right(pm_rz_open(&reader_map, path, strlen(path), &reader));
}

static void read_after_set(void) {
    open_reader("");
    right(pm_set(&reader_map, "x", 1, 3, NULL));
    (void)pm_rz_to_next_val(&reader);
}

static void read_after_set_in_place(void) {
    open_reader("ab");
    right(pm_set(&reader_map, "ab", 2, 9, NULL));
    (void)pm_rz_val(&reader);
}

static void read_within_a_line_after_set(void) {
    open_reader("");
    while (!reader.run) right(pm_rz_to_next_val(&reader) ? PM_OK : PM_INVALID);
    right(pm_set(&reader_map, "x", 1, 3, NULL));
    (void)pm_rz_val(&reader);
}

static void read_after_drop(void) {
    open_reader("ab");
    pm_drop(&reader_map);
    (void)pm_rz_child_count(&reader);
}

static void go_up_after_remove(void) {
    open_reader("");
    pm_rz_descend_to(&reader, "abcd", 4);
    right(pm_remove(&reader_map, "abcd", 4, PM_PRUNE, NULL));
    (void)pm_rz_ascend(&reader, 1);
}

static void read_fork_after_writer(void) {
    pm_rz twig;
    pm_wz w;
    open_reader("");
    right(pm_rz_fork(&reader, &twig));
    right(pm_wz_open(&reader_map, "ab", 2, &w));
    right(pm_wz_remove_branches(&w, PM_PRUNE, NULL));
    right(pm_wz_drop(&w));
    (void)pm_rz_to_next_step(&twig);
}

static void read_after_value_by_writer(void) {
    pm_wz w;
    open_reader("");
    right(pm_wz_open(&reader_map, "ab", 2, &w));
    right(pm_wz_set(&w, 7, NULL));
    (void)pm_rz_to_next_val(&reader);
}

static void read_after_rollback(void) {
    pm_txn t = {0};
    reader_map = some_map();
    right(pm_txn_begin(&t, &reader_map));
    right(pm_set(&reader_map, "x", 1, 3, NULL));
    right(pm_rz_open(&reader_map, NULL, 0, &reader));
    right(pm_txn_rollback(&t, &reader_map));
    (void)pm_rz_to_next_val(&reader);
}

static void iterate_after_set(void) {
    reader_map = some_map();
    for (pm_iter i = pm_iter_vals(&reader_map); pm_iter_next(&i);)
        right(pm_set(&reader_map, i.key, i.len, *i.val + 1, NULL));
}

static void read_a_made_map_after_set(void) {
    pm_map m = some_map();
    right(pm_subtrie(&m, "ab", 2, &reader_map, NULL));
    right(pm_rz_open(&reader_map, NULL, 0, &reader));
    right(pm_set(&reader_map, "cd", 2, 3, NULL));
    (void)pm_rz_to_next_val(&reader);
}

static void read_after_head(void) {
    pm_head *h;
    open_reader("");
    right(pm_head_new(&reader_map, &h));
    (void)pm_rz_to_next_val(&reader);
}

static void read_long_after_set(void) {
    open_reader("");
    for (unsigned i = 0; i < 300000; i++) right(pm_set(&reader_map, &i, sizeof i, i, NULL));
    (void)pm_rz_to_next_val(&reader);
}

static void witness_after_drop(void) {
    open_reader("");
    pm_drop(&reader_map);
    pm_witness w = pm_rz_witness(&reader);
    pm_witness_drop(&w);
}

TEST(readers_of_a_map_that_was_written_are_found) {
    CHECK(found(witness_after_drop, READER));
    CHECK(found(read_after_set, READER));
    CHECK(found(read_after_set_in_place, READER));
    CHECK(found(read_within_a_line_after_set, READER));
    CHECK(found(read_after_drop, READER));
    CHECK(found(go_up_after_remove, READER));
    CHECK(found(read_fork_after_writer, READER));
    CHECK(found(read_after_value_by_writer, READER));
    CHECK(found(read_after_rollback, READER));
    CHECK(found(iterate_after_set, READER));
    CHECK(found(read_a_made_map_after_set, READER));
    CHECK(found(read_after_head, READER));
    CHECK(found(read_long_after_set, READER));
}

TEST(readers_that_may_go_on_do) {
    pm_map m = some_map(), was = pm_clone(&m);
    pm_rz owned, of_clone, witnessed, z;
    CHECK_OK(pm_rz_open_owned(&m, NULL, 0, &owned));
    CHECK_OK(pm_rz_open(&was, NULL, 0, &of_clone));
    CHECK_OK(pm_rz_open(&m, "ab", 2, &witnessed));
    pm_witness w = pm_rz_witness(&witnessed);
    CHECK_OK(pm_set(&m, "x", 1, 3, NULL));
    CHECK_OK(pm_rz_open(&m, NULL, 0, &z));
    CHECK(pm_rz_to_next_val(&owned) && *pm_rz_val(&owned) == 1);
    CHECK(pm_rz_to_next_val(&of_clone) && *pm_rz_val(&of_clone) == 1);
    CHECK(pm_rz_to_next_val(&witnessed) && *pm_rz_val(&witnessed) == 2);
    pm_map moved = m; /* readers look at the content, which has not changed */
    CHECK(pm_rz_to_next_val(&z) && *pm_rz_val(&z) == 1);
    pm_rz_drop(&z);
    CHECK_OK(pm_set(&moved, "y", 1, 4, NULL));
    pm_rz_drop(&owned);
    pm_rz_drop(&of_clone);
    pm_rz_drop(&witnessed);
    pm_witness_drop(&w);
    pm_drop(&moved);
    pm_drop(&was);
    CHECK_EQ(check_live_blocks(), 0);
}

TEST(cursors_of_writers_may_go_on) {
    pm_map m = some_map();
    pm_wz w;
    pm_rz z;
    CHECK_OK(pm_wz_open(&m, NULL, 0, &w));
    for (int i = 0; i < 3; i++) {
        pm_rz_descend_to(pm_wz_cursor(&w), "c", 1);
        CHECK_OK(pm_wz_set(&w, 5, NULL));
    }
    CHECK_OK(pm_wz_begin(&w));
    CHECK_OK(pm_wz_set(&w, 6, NULL));
    CHECK_OK(pm_wz_rollback(&w));
    CHECK_EQ(*pm_rz_val(pm_wz_cursor(&w)), 5);
    CHECK_OK(pm_wz_into_reader(&w, &z));
    CHECK_EQ(*pm_rz_val(&z), 5);
    pm_rz_drop(&z);
    CHECK_OK(pm_set(&m, "q", 1, 1, NULL));
    CHECK_OK(pm_wz_open_move(&m, "ab", 2, &w));
    CHECK_OK(pm_wz_set(&w, 8, NULL));
    CHECK_OK(pm_set(&m, "another", 7, 1, NULL)); /* *m is the caller's again */
    CHECK(pm_rz_descend_first_byte(pm_wz_cursor(&w)));
    pm_drop(&m);
    CHECK_OK(pm_wz_into_map(&w, &m));
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

/* ---- writers and heads ---- */

static void open_two_writers(void) {
    pm_map m = some_map();
    pm_wz w, v;
    right(pm_wz_open(&m, "a", 1, &w));
    right(pm_wz_set(&w, 3, NULL));
    right(pm_wz_open(&m, "b", 1, &v));
}

static void set_under_writer(void) {
    pm_map m = {0};
    pm_wz w;
    right(pm_wz_open(&m, "a", 1, &w));
    right(pm_set(&m, "b", 1, 1, NULL));
}

static void drop_under_writer(void) {
    pm_map m = some_map();
    pm_wz w;
    right(pm_wz_open(&m, "a", 1, &w));
    right(pm_wz_create_path(&w, NULL));
    pm_drop(&m);
}

static void head_over_writer(void) {
    pm_map m = some_map();
    pm_wz w;
    pm_head *h;
    right(pm_wz_open(&m, "a", 1, &w));
    right(pm_head_new(&m, &h));
}

static void set_under_head(void) {
    pm_map m = some_map();
    pm_head *h;
    right(pm_head_new(&m, &h));
    right(pm_set(&m, "b", 1, 1, NULL));
}

static void write_under_head(void) {
    pm_map m = some_map();
    pm_head *h;
    pm_wz w;
    right(pm_head_new(&m, &h));
    right(pm_wz_open(&m, NULL, 0, &w));
}

static void two_heads(void) {
    pm_map m = some_map();
    pm_head *h, *k;
    right(pm_head_new(&m, &h));
    right(pm_head_new(&m, &k));
}

TEST(what_a_map_is_lent_to_is_alone_on_it) {
    CHECK(found(open_two_writers, WRITERS));
    CHECK(found(set_under_writer, WRITER));
    CHECK(found(drop_under_writer, WRITER));
    CHECK(found(head_over_writer, WRITER));
    CHECK(found(set_under_head, HEAD));
    CHECK(found(write_under_head, HEAD));
    CHECK(found(two_heads, HEAD));
}

TEST(what_a_map_was_lent_to_gives_it_back) {
    pm_map m = some_map();
    pm_wz w, v;
    pm_head *h, *k;
    pm_rz z;
    CHECK_OK(pm_wz_open(&m, "a", 1, &w));
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(pm_wz_open(&m, "a", 1, &w));
    CHECK_OK(pm_head_new_at(&w, &h));
    CHECK_OK(pm_head_write(h, "b", 1, &v, NULL));
    CHECK_OK(pm_wz_set(&v, 4, NULL));
    CHECK_OK(pm_head_read(h, "", 0, &z));
    CHECK_OK(pm_wz_begin(&v));
    CHECK_OK(pm_wz_set(&v, 5, NULL));
    CHECK_OK(pm_wz_rollback(&v));
    CHECK_EQ(*pm_rz_val_at(&z, "b", 1), 4);
    pm_rz_drop(&z);
    CHECK_OK(pm_wz_drop(&v));
    CHECK_OK(pm_head_free(h, NULL, NULL));
    CHECK_OK(pm_wz_set(&w, 5, NULL));
    CHECK_OK(pm_wz_drop(&w));
    CHECK_OK(pm_head_new(&m, &h));
    CHECK(pm_is_empty(&m));
    CHECK_OK(pm_head_free(h, NULL, NULL));
    CHECK_OK(pm_set(&m, "b", 1, 1, NULL));
    CHECK_OK(pm_head_new_move(&m, &h));
    CHECK_OK(pm_set(&m, "c", 1, 1, NULL)); /* empty, and nobody's */
    CHECK_OK(pm_head_new(&m, &k));
    CHECK_OK(pm_head_free(k, NULL, NULL));
    CHECK_OK(pm_head_free(h, NULL, NULL));
    pm_drop(&m);
    CHECK_EQ(check_live_blocks(), 0);
}

/* ---- copies of structures ---- */

static void drop_twice(void) {
    pm_map m = some_map(), copy = m;
    pm_drop(&m);
    pm_drop(&copy);
}

static void set_after_drop(void) {
    pm_map m = some_map(), copy = m;
    pm_drop(&m);
    right(pm_set(&copy, "x", 1, 1, NULL));
}

static void get_after_drop(void) {
    pm_map m = some_map(), copy = m;
    pm_drop(&m);
    (void)pm_get(&copy, "ab", 2);
}

static void clone_after_drop(void) {
    pm_map m = some_map(), copy = m;
    pm_drop(&m);
    (void)pm_clone(&copy);
}

static void drop_after_it_was_moved_into_a_writer(void) {
    pm_map m = some_map(), copy = m;
    pm_wz w;
    right(pm_wz_open_move(&m, NULL, 0, &w));
    right(pm_wz_drop(&w));
    pm_drop(&copy);
}

TEST(copies_of_a_struct_are_found) {
    CHECK(found(drop_twice, COPY));
    CHECK(found(set_after_drop, COPY));
    CHECK(found(get_after_drop, COPY));
    CHECK(found(clone_after_drop, COPY));
    CHECK(found(drop_after_it_was_moved_into_a_writer, COPY));
}

static pm_map dying_map(void) {
    pm_map m = some_map();
    for (unsigned i = 0; i < 10000; i++) right(pm_set(&m, &i, sizeof i, 1, NULL));
    if (!pm_drop_some(&m, 1)) _exit(1);
    return m;
}

static void get_while_dropping(void) {
    pm_map m = dying_map();
    (void)pm_get(&m, "ab", 2);
}

static void set_while_dropping(void) {
    pm_map m = dying_map();
    right(pm_set(&m, "ab", 2, 1, NULL));
}

TEST(uses_of_a_map_that_is_being_dropped_are_found) {
    CHECK(found(get_while_dropping, DYING));
    CHECK(found(set_while_dropping, DYING));
    pm_map m = dying_map();
    while (pm_drop_some(&m, 100)) {}
    CHECK_OK(pm_set(&m, "ab", 2, 1, NULL));
    pm_drop(&m);
}

TEST(maps_may_move_and_be_dropped_twice) {
    pm_map m = some_map(), moved, zero = {0}, copy_of_zero = zero;
    for (int i = 0; i < 3; i++) {
        moved = m;
        CHECK_OK(pm_set(&moved, "x", 1, 1, NULL));
        m = moved;
        CHECK_OK(pm_remove(&m, "x", 1, PM_PRUNE, NULL));
    }
    pm_map c = pm_clone(&m), d = pm_clone(&c);
    pm_drop(&m);
    pm_drop(&m);
    CHECK_OK(pm_set(&m, "again", 5, 1, NULL));
    pm_drop(&m);
    CHECK_OK(pm_set(&c, "c", 1, 1, NULL));
    pm_drop(&c);
    CHECK_EQ(*pm_get(&d, "ab", 2), 1);
    pm_drop(&d);
    CHECK_OK(pm_set(&zero, "z", 1, 1, NULL));
    CHECK_OK(pm_set(&copy_of_zero, "y", 1, 1, NULL));
    pm_drop(&zero);
    pm_drop(&copy_of_zero);
    CHECK_EQ(check_live_blocks(), 0);
}
