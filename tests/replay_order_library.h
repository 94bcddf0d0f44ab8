/* `replay` on the library: order and ranges. Part of replay_library.c. */

/* The bounds of a range, as calls take them. */
typedef struct bounds {
    pm_key from, to;
    const pm_key *first, *last;
} bounds;

static void bounds_of(const replay_args *a, bounds *b) {
    b->from = (pm_key){a->path[0].data, a->path[0].len};
    b->to = a->endless ? (pm_key){NULL, 0} : (pm_key){a->path[1].data, a->path[1].len};
    b->first = !b->from.len && a->variant % 2 ? NULL : &b->from;
    b->last = a->endless ? NULL : &b->to;
}

static void say_item(model_bytes *out, const uint8_t *key, size_t len, pm_val val) {
    replay_print_path(out, (model_key){key, len});
    replay_print(out, "=%llu", (unsigned long long)val);
}

/* Prints an item and ends it. */
static bool say_found(const pm_map *m, pm_status st, pm_item *i, model_bytes *out) {
    if (!fine(out, st)) return false;
    if (i->found) say_item(out, i->key, i->len, i->val);
    else replay_print(out, "none");
    const pm_val *v = i->found ? pm_get(m, i->key, i->len) : NULL;
    must_agree(out, !i->found || (v && *v == i->val), "pm_get disagrees");
    pm_item_drop(i);
    return true;
}

static bool nearest(on_library *s, const replay_args *a, pm_rel rel, model_bytes *out) {
    pm_item i = {0};
    pm_status st = pm_nearest(map_of(s, a, 0), rel, PATH(a, 0), &i);
    return say_found(map_of(s, a, 0), st, &i, out);
}

ON(ge) { return nearest(s, a, PM_GE, out); }
ON(gt) { return nearest(s, a, PM_GT, out); }
ON(le) { return nearest(s, a, PM_LE, out); }
ON(lt) { return nearest(s, a, PM_LT, out); }

/* The same of a clone by taking it out. */
static void check_pop(const pm_map *m, const pm_item *i, bool last, model_bytes *out) {
    pm_map c = pm_clone(m);
    pm_item p = {0};
    uint64_t before = 0, after = 0;
    bool ok = (last ? pm_pop_last(&c, &p) : pm_pop_first(&c, &p)) == PM_OK && p.found == i->found;
    if (ok && p.found) ok = p.val == i->val && p.len == i->len && !(p.len && memcmp(p.key, i->key, p.len));
    ok = ok && pm_val_count(m, &before) == PM_OK && pm_val_count(&c, &after) == PM_OK && before - after == i->found;
    ok = ok && pm_check(&c, NULL) == PM_OK;
    must_agree(out, ok && !(p.found && pm_contains(&c, p.key, p.len)), "pm_pop differs");
    pm_item_drop(&p);
    pm_drop(&c);
}

static bool end_of(on_library *s, const replay_args *a, bool last, model_bytes *out) {
    pm_item i = {0};
    const pm_map *m = map_of(s, a, 0);
    pm_status st = last ? pm_last(m, &i) : pm_first(m, &i);
    if (st == PM_OK) check_pop(m, &i, last, out);
    return say_found(m, st, &i, out);
}

ON(firstval) { return end_of(s, a, false, out); }
ON(lastval) { return end_of(s, a, true, out); }

ON(nth) {
    pm_item i = {0};
    pm_status st = pm_nth(map_of(s, a, 0), a->num, &i);
    uint64_t rank = 0;
    if (st == PM_OK && i.found) {
        must_agree(out, pm_rank(map_of(s, a, 0), i.key, i.len, &rank) == PM_OK && rank == a->num, "pm_rank differs");
    }
    return say_found(map_of(s, a, 0), st, &i, out);
}

ON(longest) {
    size_t len = 77;
    const pm_val *v = pm_longest_prefix(map_of(s, a, 0), PATH(a, 0), &len);
    must_agree(out, v ? v == pm_get(map_of(s, a, 0), a->path[0].data, len) : len == 77, "pm_get disagrees");
    if (v) say_item(out, a->path[0].data, len, *v);
    else replay_print(out, "none");
    return true;
}

/* Prefixes of a key as they are found. */
typedef struct prefix_list {
    model_bytes *out;
    const uint8_t *key;
    size_t n, first, last;
} prefix_list;

static bool see_prefix(void *ctx, size_t len, pm_val val) {
    prefix_list *l = ctx;
    if (l->n++) replay_print(l->out, ",");
    else l->first = len;
    l->last = len;
    say_item(l->out, l->key, len, val);
    return true;
}

ON(prefixes) {
    const pm_map *m = map_of(s, a, 0);
    prefix_list l = {out, a->path[0].data, 0, 77, 77};
    size_t first = 77, last = 77;
    if (!fine(out, pm_each_prefix(m, PATH(a, 0), see_prefix, &l))) return false;
    bool some = pm_shortest_prefix(m, PATH(a, 0), &first) != NULL;
    must_agree(out, some == (l.n > 0) && first == l.first, "pm_shortest_prefix differs");
    (void)pm_longest_prefix(m, PATH(a, 0), &last);
    must_agree(out, last == l.last, "pm_longest_prefix differs");
    if (!l.n) replay_print(out, "none");
    return true;
}

ON(common) {
    pm_item i = {0};
    if (!fine(out, pm_common_prefix(map_of(s, a, 0), PATH(a, 0), &i))) return false;
    if (i.found) replay_print_path(out, (model_key){i.key, i.len});
    else replay_print(out, "none");
    pm_item_drop(&i);
    return true;
}

static bool scan(on_library *s, const replay_args *a, bool back, model_bytes *out) {
    const pm_map *m = map_of(s, a, 0);
    bounds b;
    bounds_of(a, &b);
    pm_item i = {0};
    uint64_t n = 0;
    pm_status st = PM_OK;
    if (back) st = a->endless ? pm_last(m, &i) : pm_nearest(m, PM_LT, b.to.data, b.to.len, &i);
    else st = pm_nearest(m, PM_GE, b.from.data, b.from.len, &i);
    for (; st == PM_OK && i.found && n < a->num; n++) {
        const model_key k = {i.key, i.len}, end = back ? a->path[0] : a->path[1];
        size_t min = k.len < end.len ? k.len : end.len;
        int c = min ? memcmp(k.data, end.data, min) : 0;
        if (!c) c = (k.len > end.len) - (k.len < end.len);
        if (back ? c < 0 : !a->endless && c >= 0) break;
        if (n) replay_print(out, ",");
        say_item(out, i.key, i.len, i.val);
        st = pm_nearest(m, back ? PM_LT : PM_GT, i.key, i.len, &i); /* the key is the item's own */
    }
    if (!n) replay_print(out, "none");
    pm_item_drop(&i);
    return fine(out, st);
}

ON(scan) { return scan(s, a, false, out); }
ON(rscan) { return scan(s, a, true, out); }

ON(rcount) {
    bounds b;
    uint64_t n = 0;
    bounds_of(a, &b);
    return fine(out, pm_range_count(map_of(s, a, 0), b.first, b.last, &n)) && say(out, n);
}

ON(rank) {
    uint64_t n = 0;
    return fine(out, pm_rank(map_of(s, a, 0), PATH(a, 0), &n)) && say(out, n);
}

ON(psize) {
    uint64_t n = 0;
    return fine(out, pm_prefix_count(map_of(s, a, 0), PATH(a, 0), &n)) && say(out, n);
}

ON(rdel) {
    bounds b;
    uint64_t before = 0, after = 0;
    bounds_of(a, &b);
    bool ok = fine(out, pm_val_count(map_of(s, a, 0), &before)) &&
              fine(out, pm_remove_range(map_of(s, a, 0), b.first, b.last)) &&
              fine(out, pm_val_count(map_of(s, a, 0), &after));
    return ok && say(out, before - after);
}

ON(rkeep) {
    bounds b;
    uint64_t n = 0;
    pm_map part = pm_new(NULL, NULL);
    bool same = true;
    bounds_of(a, &b);
    if (!fine(out, pm_subrange(map_of(s, a, 0), b.first, b.last, &part))) return false;
    bool ok = fine(out, pm_keep_range(map_of(s, a, 0), b.first, b.last)) &&
              fine(out, pm_equal(map_of(s, a, 0), &part, &same)) && fine(out, pm_val_count(map_of(s, a, 0), &n));
    must_agree(out, same && pm_check(&part, NULL) == PM_OK, "pm_subrange differs");
    pm_drop(&part);
    return ok && say(out, n);
}

ON(split) {
    uint64_t n = 0, k = 0;
    pm_map part = pm_new(NULL, NULL);
    if (!fine(out, pm_split(map_of(s, a, 1), PATH(a, 0), &part))) return false;
    put_map(s, a->map[0], part);
    if (!fine(out, pm_val_count(map_of(s, a, 1), &n)) || !fine(out, pm_val_count(map_of(s, a, 0), &k))) return false;
    replay_print(out, "%llu ", (unsigned long long)n);
    return say(out, k);
}

ON(concat) {
    pm_map made = pm_new(NULL, NULL), *d = map_of(s, a, 0);
    bool operand = a->map[0] == a->map[1] || a->map[0] == a->map[2];
    pm_status st = pm_concat(map_of(s, a, 1), map_of(s, a, 2), operand ? d : &made);
    if (st == PM_INVALID) {
        replay_print(out, "error order");
        return false;
    }
    if (!fine(out, st)) return false;
    if (!operand) put_map(s, a->map[0], made);
    return say_ok(out);
}
