/* A knowledge base that is asked while it is updated: three calls, of which any thread may make any at any time.

       live_query                a reader of this moment: it stays as it is, however long it is used
       live_update               applies changes to one part, all or none; waits while somebody else updates it
       live_query_during_update  asks several questions, on a thread each, while a part is updated

   When: one store of facts serves queries and updates at the same time, and updates fall into parts.
   Cost: a query makes a snapshot (by the number of writers, not by the size of the store), then reads without locks. An
   update copies what readers still hold. Updates of one part follow each other; those of others do not wait.

   The readers of live_query_during_update are made before its update begins, so their answers are those of the state
   before it, whatever the threads do first: that is why this program prints the same each time. */
#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { QUESTIONS = 3, SECOND = 1000000 /* in microseconds */ };

typedef struct live {
    pm_head *head;
} live;

typedef struct change {
    const char *path; /* below the part */
    pm_val value;
} change;

static void live_open(live *kb, pm_map *facts) { must(pm_head_new_move(facts, &kb->head)); }

/* Gives back what the knowledge base holds. */
static void live_close(live *kb, pm_map *facts) { must(pm_head_free(kb->head, facts, NULL)); }

/* The caller ends it with pm_rz_drop, on whatever thread. */
static pm_rz live_query(live *kb) {
    pm_rz facts;
    must(pm_head_read(kb->head, NULL, 0, &facts));
    return facts;
}

/* PM_CONFLICT: after a second the part is still being updated by somebody else. */
static pm_status live_update(live *kb, const char *part, const change *changes, size_t n) {
    pm_wz w;
    pm_status s = pm_head_write_wait(kb->head, part, strlen(part), SECOND, &w, NULL);
    if (s != PM_OK) return s;
    s = pm_wz_begin(&w);
    for (size_t i = 0; s == PM_OK && i < n; i++)
        s = pm_wz_set_at(&w, changes[i].path, strlen(changes[i].path), changes[i].value, NULL);
    pm_status ended = s == PM_OK ? pm_wz_commit(&w) : pm_wz_rollback(&w), dropped = pm_wz_drop(&w);
    return s != PM_OK ? s : ended != PM_OK ? ended : dropped;
}

typedef struct question {
    const char *prefix; /* how many facts begin with it, and what do they add up to? */
    unsigned facts, sum;
    pm_rz reader;
} question;

/* On a thread of its own. */
static void *answer(void *arg) {
    question *q = arg;
    (void)pm_rz_move_to(&q->reader, q->prefix, strlen(q->prefix));
    must(pm_rz_status(&q->reader));
    q->facts = q->sum = 0;
    pm_iter i = pm_iter_vals_of_rz(&q->reader);
    while (pm_iter_next(&i)) q->facts++, q->sum += (unsigned)*i.val;
    must(pm_iter_status(&i));
    pm_rz_drop(&q->reader);
    return NULL;
}

static pm_status live_query_during_update(live *kb, question *questions, size_t n, const char *part,
                                          const change *changes, size_t many) {
    pthread_t *thread = malloc((n + 1) * sizeof *thread);
    if (!thread) return PM_NOMEM;
    for (size_t i = 0; i < n; i++) questions[i].reader = live_query(kb);
    for (size_t i = 0; i < n; i++) thread[i] = start(answer, &questions[i]);
    pm_status s = live_update(kb, part, changes, many);
    for (size_t i = 0; i < n; i++) finish(thread[i]);
    free(thread);
    return s;
}

static void print_answers(const char *when, const question *questions) {
    printf("%-7s", when);
    for (int i = 0; i < QUESTIONS; i++)
        printf("  %-12s %2u facts, sum %3u", questions[i].prefix, questions[i].facts, questions[i].sum);
    printf("\n");
}

int main(void) {
    static const change stock[] = {{"apples", 30}, {"pears", 20}, {"plums", 0}, {"quinces", 4}};
    question questions[QUESTIONS] = {{.prefix = "stock/"}, {.prefix = "price/"}, {.prefix = "stock/p"}};
    pm_map facts = pm_new(NULL, NULL);
    live kb;
    put(&facts, "stock/apples", 10);
    put(&facts, "stock/pears", 20);
    put(&facts, "price/apples", 3);
    put(&facts, "price/pears", 4);
    live_open(&kb, &facts);

    must(live_query_during_update(&kb, questions, QUESTIONS, "stock/", stock, sizeof stock / sizeof *stock));
    print_answers("during", questions);
    must(live_query_during_update(&kb, questions, QUESTIONS, "price/", NULL, 0));
    print_answers("after", questions);

    pm_rz kept = live_query(&kb); /* as it was, also after what follows */
    must(live_update(&kb, "price/", (const change[]){{"apples", 5}}, 1));
    pm_rz now = live_query(&kb);
    printf("apples cost %d, and %d in the reader from before\n", (int)*pm_rz_val_at(&now, "price/apples", 12),
           (int)*pm_rz_val_at(&kept, "price/apples", 12));
    pm_rz_drop(&kept);
    pm_rz_drop(&now);
    live_close(&kb, &facts);
    pm_drop(&facts);
    return 0;
}
