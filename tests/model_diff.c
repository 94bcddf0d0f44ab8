/* Differences of naive tries. The terminals of up to three tries are listed, and each key is settled by itself. */
#include "model_diff.h"

#include "model_terminals.h"

/* The lists of up to three tries, and how far each has been read. */
typedef struct side {
    terminals list;
    size_t next;
} side;

static side side_of(const model *m) { return (side){terminals_of(m), 0}; }

static void sides_free(side *s, unsigned n) {
    for (unsigned i = 0; i < n; i++) terminals_free(&s[i].list);
}

/* The next key that any of the lists has, and what each has there. False: there is none. */
static bool next_key(side *s, unsigned sides, model_key *key, model_state *at) {
    bool found = false;
    for (unsigned i = 0; i < sides; i++) {
        if (s[i].next == s[i].list.n) continue;
        model_key k = key_of(&s[i].list, s[i].next);
        if (!found || compare(k, *key) < 0) *key = k;
        found = true;
    }
    for (unsigned i = 0; found && i < sides; i++) {
        at[i] = (model_state){0};
        if (s[i].next == s[i].list.n || compare(key_of(&s[i].list, s[i].next), *key) != 0) continue;
        const terminal *x = &s[i].list.items[s[i].next++];
        at[i] = (model_state){x->some, !x->some, x->val};
    }
    return found;
}

static bool same_value(model_state a, model_state b) { return a.some == b.some && (!a.some || a.val == b.val); }

void model_diff(const model *a, const model *b, model_diff_visit fn, void *ctx) {
    side t[2] = {side_of(a), side_of(b)};
    model_key key;
    model_state at[2];
    while (next_key(t, 2, &key, at))
        if (!same_value(at[0], at[1]) || at[0].dangles != at[1].dangles) fn(ctx, key, at[0], at[1]);
    sides_free(t, 2);
}

static void put(model *m, model_key key, bool dangles, bool some, uint64_t val) {
    if (some) model_set(m, key.data, key.len, val, NULL);
    else if (dangles) model_create(m, key.data, key.len);
}

model *model_patch(const model *m, const model *a, const model *b, size_t *items) {
    side t[3] = {side_of(m), side_of(a), side_of(b)};
    model *made = model_new();
    model_key key;
    model_state at[3];
    *items = 0;
    while (next_key(t, 3, &key, at)) {
        bool value = !same_value(at[1], at[2]), dangle = at[1].dangles != at[2].dangles;
        model_state v = value ? at[2] : at[0];
        put(made, key, dangle ? at[2].dangles : at[0].dangles, v.some, v.val);
        *items += (size_t)value + dangle;
    }
    sides_free(t, 3);
    return made;
}

model *model_merge3(const model *base, const model *ours, const model *theirs, model_rule rule, size_t *conflicts) {
    side t[3] = {side_of(base), side_of(ours), side_of(theirs)};
    model *made = model_new();
    model_key key;
    model_state at[3];
    *conflicts = 0;
    while (next_key(t, 3, &key, at)) {
        model_state v = at[1];
        if (same_value(at[0], at[1])) {
            v = at[2];
        } else if (!same_value(at[0], at[2]) && !same_value(at[1], at[2])) {
            ++*conflicts;
            v = at[rule];
        }
        put(made, key, at[0].dangles == at[1].dangles ? at[2].dangles : at[1].dangles, v.some, v.val);
    }
    sides_free(t, 3);
    return made;
}
