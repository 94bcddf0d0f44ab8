/* Typed maps in a file of C or C++, of which only some functions are used: it must compile without a warning in both
   languages (run_check.py), strict about unused functions and old casts. */
#include "../pathmap.h"

typedef struct point {
    short x, y;
} point;

typedef struct person {
    char *name;
    double height;
    int age;
} person;

static void person_drop(person *p) { p->name = NULL; }

static bool person_equal(const person *a, const person *b) { return a->age == b->age; }

static uint64_t person_hash(const person *p) { return p->age > 0 ? 1 : 0; }

static bool person_join(const person *a, const person *b, person *out) {
    *out = a->age < b->age ? *b : *a;
    return true;
}

PM_DEFINE_MAP(numbers, int, pm_ops_left())
PM_DEFINE_MAP(points, point, pm_ops_left())
PM_DEFINE_MAP(names, const char *, NULL)
PM_DEFINE_MAP(shares, double, NULL)
PM_DEFINE_TEXT_MAP(texts)
PM_DEFINE_TEXT_MAP(unused_texts)
PM_DEFINE_BLOB_OPS(person_ops, person, person_drop, person_equal, person_hash, person_join)
PM_DEFINE_BLOB_OPS(plain_ops, point, NULL, NULL, NULL, NULL)
PM_DEFINE_BLOB_MAP(people, person, person_ops())
PM_DEFINE_BLOB_MAP(places, point, plain_ops())
PM_DEFINE_BLOB_MAP(boxes, point, pm_ops_bytes())

int use_typed(const numbers *m, const points *p, people *all, texts *t);

static bool older(void *ctx, const person *was, person *now) {
    (void)ctx;
    if (was) now->age = was->age + 1;
    return was != NULL;
}

int use_typed(const numbers *m, const points *p, people *all, texts *t) {
    int v = 0;
    point at = {0, 0};
    const person *found = people_get(all, "a", 1);
    if (people_update(all, "a", 1, older, NULL) != PM_OK || texts_set(t, "a", 1, "text") != PM_OK) return 0;
    for (pm_iter i = people_iter(all); pm_iter_next(&i);) v += people_iter_val(&i)->age;
    return numbers_get(m, "a", 1, &v) && points_get(p, "a", 1, &at) && found ? v + at.x : 0;
}
