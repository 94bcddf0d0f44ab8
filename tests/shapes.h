/* Random keys of a given shape, and random edits with them, for tests. Include after both.h. */
#ifndef SHAPES_H
#define SHAPES_H

/* What keys look like. */
typedef struct shape {
    unsigned letters; /* size of the alphabet, or LONG_PARTS */
    unsigned extend;  /* bytes appended at most */
    unsigned cut;     /* bytes of the last key kept at most */
    unsigned keys;
} shape;

/* Keys of which range nodes come: many first bytes, and few keys for each of them. */
#define SHAPE_OF_PARTS {256, 8, 1, 300}
#define SHAPE_OF_FEW_PARTS {60, 9, 2, 200}
/* Some of which have several keys with one first byte, that go on for about as long as an entry of a line can be: what
   there is of these has no line, so that some parts are byte nodes. */
#define SHAPE_OF_LONG_PARTS                                                                                            \
    { LONG_PARTS, 0, 0, 120 }

enum { KEY_MAX = 1100, LONG_PARTS = 257 };

typedef struct key {
    size_t len;
    uint8_t data[KEY_MAX];
} key;

CHECK__UNUSED static void next_key_of_long_parts(key *k) {
    const bool brief = check_below(3) != 0;
    k->len = 1 + (size_t)(brief ? check_below(7) : 244 + check_below(8));
    memset(k->data, 7, k->len);
    k->data[0] = (uint8_t)(check_below(256) & (brief ? 0xFF : 0xE0));
    for (size_t i = 1; brief && i < k->len; i++) k->data[i] = (uint8_t)check_below(256);
}

/* The next key: part of the one before, and some more. */
CHECK__UNUSED static void next_key(const shape *s, key *k) {
    if (s->letters == LONG_PARTS) {
        next_key_of_long_parts(k);
        return;
    }
    size_t keep = check_below((k->len < s->cut ? k->len : s->cut) + 1), more = check_below(s->extend + 1);
    if (check_below(8) == 0) keep = 0;
    k->len = keep;
    while (more-- && k->len < KEY_MAX) k->data[k->len++] = (uint8_t)(check_below(s->letters) * 37 + 5);
}

/* A table of each kind. */
CHECK__UNUSED static const pm_ops *table(unsigned i) {
    switch (i % 5) {
    case 0: return pm_ops_lattice();
    case 1: return pm_ops_sum();
    case 2: return pm_ops_unit();
    case 3: return pm_ops_left();
    default: return pm_ops_bits();
    }
}

/* Small values collide often, as equal values matter; some have each number of bits, as files write as many as there
   are. Never 0 for bits: whether 0 meets itself is another matter. */
CHECK__UNUSED static pm_val some_value(const pm_ops *ops) {
    if (ops == pm_ops_unit()) return 0;
    if (check_below(16) == 0) {
        pm_val bit = (pm_val)1 << check_below(64);
        return check_below(2) ? bit : bit | (bit - 1);
    }
    return ops == pm_ops_bits() ? 1 + check_below(3) : check_below(4);
}

/* Random edits. One in 12 * `spare` takes all away below a location. */
CHECK__UNUSED static void both_edit_with(both *b, const shape *s, unsigned edits, unsigned spare) {
    key k = {0, {0}};
    const pm_ops *ops = pm_map_ops(&b->map);
    while (edits--) {
        next_key(s, &k);
        unsigned what = (unsigned)check_below(12);
        if (what < 9) {
            pm_val v = some_value(ops);
            CHECK_OK(pm_set(&b->map, k.data, k.len, v, NULL));
            model_set(b->m, k.data, k.len, v, NULL);
        } else if (what < 10) {
            CHECK_OK(pm_create_path(&b->map, k.data, k.len, NULL));
            model_create(b->m, k.data, k.len);
        } else if (what < 11) {
            bool prune = check_below(2) != 0;
            CHECK_OK(pm_remove(&b->map, k.data, k.len, prune, NULL));
            model_remove(b->m, k.data, k.len, prune, NULL);
        } else if (check_below(spare) == 0) {
            CHECK_OK(pm_remove_branches(&b->map, k.data, k.len, PM_KEEP, NULL));
            model_remove_branches(b->m, k.data, k.len, false);
        }
    }
}

CHECK__UNUSED static void both_edit(both *b, const shape *s, unsigned edits) { both_edit_with(b, s, edits, 4); }

/* Hangs a share of the whole map somewhere into it. */
CHECK__UNUSED static void share_whole(pm_map *m, const key *k) {
    pm_rz z;
    pm_wz w;
    pm_map c = pm_clone(m);
    CHECK_OK(pm_rz_open(&c, NULL, 0, &z));
    CHECK_OK(pm_wz_open(m, k->data, k->len, &w));
    CHECK_OK(pm_wz_graft(&w, &z));
    CHECK_OK(pm_wz_drop(&w));
    pm_rz_drop(&z);
    pm_drop(&c);
}

#endif
