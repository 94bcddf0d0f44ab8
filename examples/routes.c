/* Routes with parameters: `/users/:` stands for every component below /users that has no route of its own.

   A zipper goes down component by component: first as the component stands, then as a parameter, and back where that
   leads nowhere. examples/router.c is the simpler case, where the longest prefix decides. */
#include <stdio.h>
#include <string.h>

#define PATHMAP_IMPLEMENTATION
#include "../pathmap.h"

enum { PARAMETERS_MAX = 8 };

static const char *const routes[] = {"GET /",          "GET /users",   "GET /users/:", "GET /users/:/posts",
                                     "GET /users/me", "POST /users"};

/* What the parameters of a match are. */
typedef struct match {
    const char *at[PARAMETERS_MAX];
    size_t len[PARAMETERS_MAX];
    int n;
} match;

/* The value for `rest`, which is empty or begins with a slash, below where the zipper stands. */
static const pm_val *go_down(pm_rz *z, const char *rest, match *m) {
    if (!*rest) return pm_rz_val(z);
    size_t len = 1 + strcspn(rest + 1, "/");
    const pm_val *v = NULL;
    if (pm_rz_descend_to_check(z, rest, len)) v = go_down(z, rest + len, m);
    if (v) return v;
    pm_rz_ascend(z, len); /* also where it does not exist: the focus is there all the same */
    if (len == 1 || m->n == PARAMETERS_MAX) return NULL;
    m->at[m->n] = rest + 1;
    m->len[m->n++] = len - 1;
    if (pm_rz_descend_to_check(z, "/:", 2)) v = go_down(z, rest + len, m);
    if (v) return v;
    pm_rz_ascend(z, 2);
    m->n--;
    return NULL;
}

static int answer(const pm_map *all, const char *method, const char *path) {
    pm_rz z;
    match m = {.n = 0};
    if (pm_rz_open(all, method, strlen(method), &z)) return 1;
    const pm_val *v = go_down(&z, path, &m);
    printf("%s%s: %s", method, path, v ? routes[*v] : "404");
    for (int i = 0; v && i < m.n; i++) printf(" [%.*s]", (int)m.len[i], m.at[i]);
    printf("\n");
    int failed = pm_rz_status(&z) != PM_OK; /* a move that gets no memory stays where it was */
    pm_rz_drop(&z);
    return failed;
}

int main(void) {
    pm_map all = {0};
    for (size_t i = 0; i < sizeof routes / sizeof *routes; i++)
        if (pm_set(&all, routes[i], strlen(routes[i]), i, NULL)) return 1;
    int failed = answer(&all, "GET ", "/") + answer(&all, "GET ", "/users") + answer(&all, "GET ", "/users/7") +
                 answer(&all, "GET ", "/users/me") + answer(&all, "GET ", "/users/me/posts") +
                 answer(&all, "GET ", "/users/7/likes") + answer(&all, "POST ", "/users");

    printf("of GET:");
    pm_iter i = pm_iter_prefix(pm_iter_vals(&all), "GET ", 4);
    while (pm_iter_next(&i)) printf(" %.*s", (int)i.len - 4, (const char *)i.key + 4);
    printf("\n");
    pm_drop(&all);
    return failed;
}
