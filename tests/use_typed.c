/* Typed maps in a file of C or C++, of which only some functions are used: it must compile without a warning in both
   languages (run_check.py), strict about unused functions and old casts. */
#include "../pathmap.h"

typedef struct point {
    short x, y;
} point;

PM_DEFINE_MAP(numbers, int, pm_ops_left())
PM_DEFINE_MAP(points, point, pm_ops_left())
PM_DEFINE_MAP(names, const char *, NULL)
PM_DEFINE_MAP(shares, double, NULL)

int use_typed(const numbers *m, const points *p);

int use_typed(const numbers *m, const points *p) {
    int v = 0;
    point at = {0, 0};
    return numbers_get(m, "a", 1, &v) && points_get(p, "a", 1, &at) ? v + at.x : 0;
}
