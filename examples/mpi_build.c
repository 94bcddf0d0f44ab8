/* Building one map on many machines, over MPI.

   Each rank counts the words of its share of a text in a map of its own. Then the maps become one, in rounds: half of
   the ranks that still have a map write it as an image, straight into the buffer that is sent, and are done; the others
   load what they get and join it to theirs, where counts of the same word are added. After log2(ranks) rounds rank 0
   has all. To see that it is the same, rank 0 counts the whole text alone, too, and compares the hashes of content.

       mpicc -O2 mpi_build.c -o mpi_build && mpirun -n 4 ./mpi_build */
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include <inttypes.h>
#include <mpi.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

enum { LINES = 20000, WORDS_A_LINE = 10 };

static void must(bool ok, const char *what) {
    if (ok) return;
    fprintf(stderr, "%s\n", what);
    MPI_Abort(MPI_COMM_WORLD, 1);
}

/* ---- the text: made up, so that every rank can read its lines ---- */

static size_t next_word(uint64_t *state, char *word, size_t room) {
    static const char *const syllables[] = {"ka", "lo", "mi", "ren", "tu", "sa", "vel", "no"};
    size_t len = 0;
    *state = *state * 6364136223846793005u + 1442695040888963407u;
    uint64_t r = *state >> 33;
    for (uint64_t n = 1 + r % 5; n--; r /= 8) {
        const char *s = syllables[r % 8];
        len += (size_t)snprintf(word + len, room - len, "%s", s);
    }
    return len;
}

/* Counts the words of the lines [from, to). */
static void count_words(pm_map *m, unsigned from, unsigned to) {
    char word[40];
    for (unsigned line = from; line < to; line++) {
        uint64_t state = line * 2654435761u;
        for (unsigned i = 0; i < WORDS_A_LINE; i++) {
            size_t len = next_word(&state, word, sizeof word);
            pm_val *n;
            must(pm_get_or_set(m, word, len, 0, &n, NULL) == PM_OK, "no memory");
            ++*n;
        }
    }
}

/* ---- images as messages ---- */

typedef struct block {
    uint8_t *data;
    size_t len, room;
} block;

static pm_status append(void *ctx, const void *from, size_t n) {
    block *b = ctx;
    if (b->room - b->len < n) {
        size_t room = (b->len + n) * 2;
        uint8_t *grown = realloc(b->data, room);
        if (!grown) return PM_NOMEM;
        b->data = grown;
        b->room = room;
    }
    memcpy(b->data + b->len, from, n);
    b->len += n;
    return PM_OK;
}

enum { PIECE = 1 << 30 }; /* MPI counts in ints: an image goes in pieces of at most so many bytes */

static uint64_t send_map(const pm_map *m, int to) {
    block b = {NULL, 0, 0};
    must(pm_image_write(m, 1, append, &b, NULL, NULL, NULL) == PM_OK, "an image was not made");
    uint64_t len = b.len;
    MPI_Send(&len, 1, MPI_UINT64_T, to, 0, MPI_COMM_WORLD);
    for (size_t at = 0; at < b.len; at += PIECE)
        MPI_Send(b.data + at, (int)(b.len - at < PIECE ? b.len - at : PIECE), MPI_BYTE, to, 1, MPI_COMM_WORLD);
    free(b.data);
    return len;
}

/* Joins what comes to a map. */
static void receive_map(pm_map *m, int from) {
    uint64_t len = 0;
    pm_image image;
    pm_map got;
    pm_error why = {PM_OK, 0, ""};
    MPI_Recv(&len, 1, MPI_UINT64_T, from, 0, MPI_COMM_WORLD, MPI_STATUS_IGNORE);
    uint8_t *data = malloc((size_t)len);
    must(data != NULL, "no memory");
    for (size_t at = 0; at < len; at += PIECE)
        MPI_Recv(data + at, (int)(len - at < PIECE ? len - at : PIECE), MPI_BYTE, from, 1, MPI_COMM_WORLD,
                 MPI_STATUS_IGNORE);
    pm_image_reading reading = {.ops = pm_ops_sum()};
    must(pm_image_open(data, (size_t)len, &image, &why) == PM_OK && pm_image_verify(&image, &why) == PM_OK &&
             pm_image_load(&image, &reading, &got, &why) == PM_OK,
         why.msg);
    must(pm_join(m, &got, m, NULL) == PM_OK, "no memory");
    pm_drop(&got);
    free(data);
}

static bool check(const pm_map *m) {
    pm_map alone = pm_new(pm_ops_sum(), NULL);
    pm_hash128 a, b;
    uint64_t n = 0;
    count_words(&alone, 0, LINES);
    must(pm_hash(m, &a) == PM_OK && pm_hash(&alone, &b) == PM_OK && pm_val_count(m, &n) == PM_OK, "no memory");
    bool same = a.lo == b.lo && a.hi == b.hi;
    printf("%" PRIu64 " words, hash %016" PRIx64 "%016" PRIx64 ": %s\n", n, a.hi, a.lo,
           same ? "the same as in one process" : "NOT the same as in one process");
    pm_drop(&alone);
    return same;
}

int main(int argc, char **argv) {
    int rank, ranks, ok = 1;
    MPI_Init(&argc, &argv);
    MPI_Comm_rank(MPI_COMM_WORLD, &rank);
    MPI_Comm_size(MPI_COMM_WORLD, &ranks);
    pm_map m = pm_new(pm_ops_sum(), NULL);
    count_words(&m, (unsigned)((uint64_t)LINES * (unsigned)rank / (unsigned)ranks),
                (unsigned)((uint64_t)LINES * ((unsigned)rank + 1) / (unsigned)ranks));
    for (int step = 1; step < ranks; step *= 2) {
        uint64_t sent = 0, all = 0;
        bool takes = rank % (2 * step) == 0 && rank + step < ranks, gives = rank % (2 * step) == step;
        if (takes) receive_map(&m, rank + step);
        if (gives) sent = send_map(&m, rank - step);
        MPI_Reduce(&sent, &all, 1, MPI_UINT64_T, MPI_SUM, 0, MPI_COMM_WORLD);
        if (rank == 0) printf("ranks %d apart: %" PRIu64 " bytes sent\n", step, all);
    }
    if (rank == 0) ok = check(&m);
    pm_drop(&m);
    MPI_Finalize();
    return ok ? 0 : 1;
}
