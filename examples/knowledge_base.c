/* A live knowledge base: questions are answered while its parts are being revised.

   Facts are paths: `is/whale/mammal`, `can/bird/fly`. Each first word is a part that one writer at a time may revise. A
   revision is a group of changes, which questions see as a whole. A question takes a snapshot, and draws its
   conclusions from that alone, so what it follows from one fact to the next fits together however long that takes.

   Here one thread moves the whale between fish and mammals, and another teaches and forgets, while others ask whether
   the whale is an animal. It is one in either place, and in no snapshot is it in neither. */
#include <stdatomic.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"
#include "parallel.h"

enum { REVISIONS = 20001, ASKING = 2, KEY = 64 };

typedef struct knowledge {
    pm_map facts;
    pm_head *head;
    atomic_uint revising;
} knowledge;

/* One fact more, or less. */
typedef struct change {
    bool holds;
    const char *fact; /* below its part */
} change;

/* Applies changes to a part, all or none. Answers PM_CONFLICT while somebody else revises it. */
static pm_status revise(knowledge *kb, const char *part, const change *changes, size_t n) {
    pm_wz w;
    pm_status s = pm_head_write(kb->head, part, strlen(part), &w, NULL);
    if (s != PM_OK) return s;
    s = pm_wz_begin(&w);
    for (size_t i = 0; s == PM_OK && i < n; i++) {
        (void)pm_rz_move_to(pm_wz_cursor(&w), changes[i].fact, strlen(changes[i].fact));
        s = pm_rz_status(pm_wz_cursor(&w));
        if (s == PM_OK) s = changes[i].holds ? pm_wz_set(&w, 0, NULL) : pm_wz_remove(&w, PM_PRUNE, NULL);
    }
    pm_status ended = s == PM_OK ? pm_wz_commit(&w) : pm_wz_rollback(&w), closed = pm_wz_drop(&w);
    return s != PM_OK ? s : ended != PM_OK ? ended : closed;
}

/* ---- questions, each to one snapshot ---- */

static bool holds(const pm_rz *facts, const char *relation, const char *subject, const char *object) {
    char fact[3 * KEY];
    int len = snprintf(fact, sizeof fact, "%s/%s/%s", relation, subject, object);
    return pm_rz_val_at(facts, fact, (size_t)len) != NULL;
}

/* What `at` is, in one step, goes to at[KEY]: the first of such facts. */
static bool climb(const pm_rz *facts, char *at) {
    char place[KEY + 4];
    pm_rz z;
    int len = snprintf(place, sizeof place, "is/%s/", at);
    must(pm_rz_fork(facts, &z));
    pm_rz_descend_to(&z, place, (size_t)len);
    pm_iter i = pm_iter_vals_of_rz(&z);
    bool found = pm_iter_next(&i) && i.len < KEY;
    if (found) snprintf(at, KEY, "%.*s", (int)i.len, (const char *)i.key);
    must(pm_iter_status(&i));
    pm_iter_drop(&i);
    pm_rz_drop(&z);
    return found;
}

static bool is_kind_of(const pm_rz *facts, const char *subject, const char *wanted) {
    char at[KEY];
    snprintf(at, sizeof at, "%s", subject);
    do {
        if (strcmp(at, wanted) == 0) return true;
    } while (climb(facts, at));
    return false;
}

/* What is said of the nearest kind counts: a penguin cannot fly, although birds can. */
static bool can(const pm_rz *facts, const char *subject, const char *deed) {
    char at[KEY];
    snprintf(at, sizeof at, "%s", subject);
    do {
        if (holds(facts, "can", at, deed)) return true;
        if (holds(facts, "cannot", at, deed)) return false;
    } while (climb(facts, at));
    return false;
}

/* ---- threads ---- */

static void *move_the_whale(void *arg) {
    static const change to_mammals[] = {{false, "whale/fish"}, {true, "whale/mammal"}},
                        to_fish[] = {{false, "whale/mammal"}, {true, "whale/fish"}};
    knowledge *kb = arg;
    for (int i = 0; i < REVISIONS; i++) must(revise(kb, "is/", i % 2 ? to_fish : to_mammals, 2));
    atomic_fetch_sub(&kb->revising, 1);
    return NULL;
}

static void *teach_and_forget(void *arg) {
    knowledge *kb = arg;
    for (int i = 0; i < REVISIONS; i++) {
        change lesson = {i % 2 == 0, "mammal/sing"};
        must(revise(kb, "can/", &lesson, 1));
    }
    atomic_fetch_sub(&kb->revising, 1);
    return NULL;
}

typedef struct asking {
    knowledge *kb;
    bool always_animal, always_one;
} asking;

static void *ask(void *arg) {
    asking *a = arg;
    bool more = true;
    a->always_animal = a->always_one = true;
    while (more) {
        pm_rz facts;
        more = atomic_load(&a->kb->revising) > 0;
        must(pm_head_read(a->kb->head, NULL, 0, &facts));
        a->always_animal &= is_kind_of(&facts, "whale", "animal");
        a->always_one &= holds(&facts, "is", "whale", "fish") != holds(&facts, "is", "whale", "mammal");
        pm_rz_drop(&facts);
    }
    return NULL;
}

static void print_answers(const char *when, knowledge *kb) {
    static const char *const asked[][2] = {{"penguin", "fly"}, {"robin", "fly"}, {"whale", "swim"}, {"whale", "sing"}};
    pm_rz facts;
    must(pm_head_read(kb->head, NULL, 0, &facts));
    printf("%s: the whale is %s;", when, is_kind_of(&facts, "whale", "mammal") ? "a mammal" : "no mammal");
    for (size_t i = 0; i < sizeof asked / sizeof asked[0]; i++)
        printf(" %s: %s %s%s", asked[i][0], asked[i][1], can(&facts, asked[i][0], asked[i][1]) ? "yes" : "no",
               i < 3 ? "," : "\n");
    pm_rz_drop(&facts);
}

int main(void) {
    static const char *const known[] = {
        "is/robin/bird",    "is/penguin/bird", "is/whale/fish", "is/bird/animal", "is/fish/animal",
        "is/mammal/animal", "can/bird/fly",    "can/fish/swim", "can/whale/swim", "cannot/penguin/fly",
    };
    knowledge kb = {.facts = pm_new(pm_ops_unit(), NULL), .revising = 2};
    asking asked[ASKING];
    pthread_t thread[ASKING + 2];
    pm_wz w;
    for (size_t i = 0; i < sizeof known / sizeof known[0]; i++) put(&kb.facts, known[i], 0);
    must(pm_head_new(&kb.facts, &kb.head));
    print_answers("before", &kb);

    for (int i = 0; i < ASKING; i++) {
        asked[i].kb = &kb;
        thread[i] = start(ask, &asked[i]);
    }
    thread[ASKING] = start(move_the_whale, &kb);
    thread[ASKING + 1] = start(teach_and_forget, &kb);
    for (int i = 0; i < ASKING + 2; i++) finish(thread[i]);
    for (int i = 0; i < ASKING; i++)
        printf("asked during revisions: the whale was %s an animal, and %s one thing\n",
               asked[i].always_animal ? "always" : "not always", asked[i].always_one ? "always" : "not always");
    print_answers("after", &kb);

    const change late = {true, "unicorn/mammal"};
    must(pm_head_write(kb.head, "is/", 3, &w, NULL));
    printf("a revision of a part that is being revised: %s\n", pm_status_text(revise(&kb, "is/", &late, 1)));
    must(pm_wz_drop(&w));
    must(pm_head_free(kb.head, NULL, NULL));
    pm_drop(&kb.facts);
    return 0;
}
