/* A memtable: the part of a store that is still in memory. Several threads write rows, each to series of its own;
   old rows are deleted by ranges; scans see one instant; and what is in memory at some moment is flushed, row by row
   and in order, while writing goes on.

   A row's key is its series, and its time as eight bytes from the highest, so that keys sort by time. */
#include <stdbool.h>
#include <stdint.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { SERIES = 3, ROWS = 1000, KEEP = 400, TIME = 8 };

static size_t time_bytes(uint64_t time, uint8_t *key) {
    for (unsigned i = 0; i < TIME; i++) key[i] = (uint8_t)(time >> 8 * (TIME - 1 - i));
    return TIME;
}

/* Deletes what is older than `time` below a writer's root: the series is taken out, cut, and put back, no row of it
   being looked at. The group makes one change of it for whoever takes a snapshot. */
static void forget_before(pm_wz *w, uint64_t time) {
    uint8_t bytes[TIME];
    pm_key to = {bytes, time_bytes(time, bytes)};
    pm_map rows;
    must(pm_wz_begin(w));
    must(pm_wz_take(w, PM_KEEP, &rows, NULL));
    must(pm_remove_range(&rows, NULL, &to));
    must(pm_wz_graft_map_move(w, &rows));
    must(pm_wz_commit(w));
}

typedef struct writer {
    pm_head *table;
    char series;
} writer;

/* Writes the rows of a series, of which it never keeps more than KEEP. */
static void *write_rows(void *arg) {
    writer *me = arg;
    uint8_t key[TIME];
    pm_wz w;
    must(pm_head_write(me->table, &me->series, 1, &w, NULL));
    for (uint64_t time = 0; time < ROWS; time++) {
        must(pm_wz_set_at(&w, key, time_bytes(time, key), time * 10 + (uint64_t)(me->series - 'a'), NULL));
        if (time >= KEEP && time % 50 == 49) forget_before(&w, time + 1 - KEEP);
    }
    must(pm_wz_drop(&w));
    return NULL;
}

/* Every snapshot is of one instant of all writers: of each series it has an unbroken run of times. */
static void *scan(void *arg) {
    pm_head *table = arg;
    bool unbroken = true;
    for (int i = 0; i < 50; i++) {
        pm_rz instant;
        must(pm_head_fence(table, NULL, 0, &instant));
        uint64_t last[SERIES] = {0};
        pm_iter rows = pm_iter_vals_of_rz(&instant);
        while (pm_iter_next(&rows)) {
            uint64_t *before = &last[rows.key[0] - 'a'], time = *rows.val / 10 + 1;
            unbroken = unbroken && (*before == 0 || time == *before + 1);
            *before = time;
        }
        pm_rz_drop(&instant);
    }
    printf("scans beside the writers: every series %s\n", unbroken ? "without a gap" : "WITH A GAP");
    return NULL;
}

/* The snapshot as a map of its own, drained from the front, so that what has been written out is no longer held. */
static void flush(pm_head *table) {
    pm_rz snapshot;
    pm_map rows;
    pm_item row = {0};
    unsigned n = 0;
    must(pm_head_read(table, NULL, 0, &snapshot));
    must(pm_rz_make_map(&snapshot, &rows));
    pm_rz_drop(&snapshot);
    for (must(pm_pop_first(&rows, &row)); row.found; must(pm_pop_first(&rows, &row))) n++; /* to the file */
    printf("flushed: %u rows, left in the snapshot: %s\n", n, pm_is_empty(&rows) ? "none" : "some");
    pm_item_drop(&row);
    pm_drop(&rows);
}

/* The newest rows of a series, latest first: a range, backwards, with a limit. */
static void newest(const pm_map *table, const char *series, uint64_t from, int limit) {
    uint8_t low[1 + TIME], high[1] = {(uint8_t)(series[0] + 1)};
    low[0] = (uint8_t)series[0];
    time_bytes(from, low + 1);
    printf("newest of %s since %u:", series, (unsigned)from);
    pm_iter i = pm_iter_range(pm_iter_vals(table), low, sizeof low, high, sizeof high);
    while (limit-- > 0 && pm_iter_prev(&i)) printf(" %u", (unsigned)*i.val);
    pm_iter_drop(&i);
    printf("\n");
}

int main(void) {
    pm_map m = {0};
    pm_head *table;
    writer writers[SERIES];
    uint64_t n = 0;
    must(pm_head_new(&m, &table));
    pthread_t scanner = start(scan, table);
    for (int i = 0; i < SERIES; i++) writers[i] = (writer){table, (char)('a' + i)};
    run_each(write_rows, writers, sizeof *writers, SERIES);
    finish(scanner);

    flush(table); /* writers could go on: the table still has all rows */
    must(pm_head_free(table, NULL, NULL));

    uint8_t from[1 + TIME] = {'b'}, to[1 + TIME] = {'b'};
    time_bytes(900, from + 1);
    time_bytes(950, to + 1);
    pm_key a = {from, sizeof from}, b = {to, sizeof to};
    must(pm_val_count(&m, &n));
    printf("in the table: %u rows", (unsigned)n);
    must(pm_range_count(&m, &a, &b, &n));
    printf(", of b from 900 to 950: %u\n", (unsigned)n);
    newest(&m, "b", 900, 3);
    newest(&m, "c", 998, 5);
    pm_drop(&m);
    return 0;
}
