/* `replay` on the naive model: order and ranges. Part of replay_model.c. */

static model_range range_of(const replay_args *a) { return (model_range){a->path[0], a->endless ? NULL : &a->path[1]}; }

static bool nearest(on_model *s, const replay_args *a, model_rel rel, model_bytes *out) {
    model_nearest(map_of(s, a, 0), rel, a->path[0], out);
    return true;
}

ON(ge) { return nearest(s, a, MODEL_GE, out); }
ON(gt) { return nearest(s, a, MODEL_GT, out); }
ON(le) { return nearest(s, a, MODEL_LE, out); }
ON(lt) { return nearest(s, a, MODEL_LT, out); }

ON(firstval) {
    model_first(map_of(s, a, 0), out);
    return true;
}

ON(lastval) {
    model_last(map_of(s, a, 0), out);
    return true;
}

ON(nth) {
    model_nth(map_of(s, a, 0), a->num, out);
    return true;
}

ON(longest) {
    model_prefixes(map_of(s, a, 0), a->path[0], true, out);
    return true;
}

ON(prefixes) {
    model_prefixes(map_of(s, a, 0), a->path[0], false, out);
    return true;
}

ON(common) {
    model_bytes path = {0};
    if (model_common_prefix(map_of(s, a, 0), a->path[0], &path))
        replay_print_path(out, (model_key){path.data, path.len});
    else replay_print(out, "none");
    model_bytes_free(&path);
    return true;
}

ON(scan) {
    model_scan(map_of(s, a, 0), range_of(a), a->num, false, out);
    return true;
}

ON(rscan) {
    model_scan(map_of(s, a, 0), range_of(a), a->num, true, out);
    return true;
}

ON(rcount) { return say(out, model_range_count(map_of(s, a, 0), range_of(a))); }
ON(rank) { return say(out, model_rank(map_of(s, a, 0), a->path[0])); }
ON(psize) { return say(out, model_prefix_count(map_of(s, a, 0), a->path[0])); }

ON(rdel) {
    uint64_t n = model_range_count(map_of(s, a, 0), range_of(a));
    model_remove_range(map_of(s, a, 0), range_of(a), true);
    return say(out, n);
}

ON(rkeep) {
    model_remove_range(map_of(s, a, 0), range_of(a), false);
    return say(out, model_val_count(map_of(s, a, 0)));
}

ON(split) {
    put_map(s, a->map[0], model_split(map_of(s, a, 1), a->path[0]));
    replay_print(out, "%llu ", (unsigned long long)model_val_count(map_of(s, a, 1)));
    return say(out, model_val_count(map_of(s, a, 0)));
}

ON(concat) {
    model *m = model_concat(map_of(s, a, 1), map_of(s, a, 2));
    replay_print(out, m ? "ok" : "error order");
    if (m) put_map(s, a->map[0], m);
    return m != NULL;
}
