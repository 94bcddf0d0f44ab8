"""Tables of sets, of teams of threads, of order, differences, views and interners, of sizes; and the verdicts on
growth, containers, writers and the rest that no table of its own has."""
from report_rows import number

ROUGHLY = 1.005  # a miss by less than the last digit shown is none
BASE, STANDARD = "pathmap", "pathmap-std"
GROWN = "rand"


def word(good):
    return "met" if good else "MISSED"


def plain_table(values):
    """A row for each set and operation, a column for each engine."""
    rows = [["set", "operation", "unit", *values.engines]]
    for dataset, op in values.rows():
        rows.append([dataset, op, values.unit(dataset, op),
                     *(number(values.get(engine, dataset, op)) for engine in values.engines)])
    return rows


def sets_tables(values):
    return [("Sets of integers: times by the thread's clock, algebra per key of the result", plain_table(values))]


def parallel_tables(values):
    """Two threads against one, and the model."""
    rows = [["set", "operation", "1 thread", "2 threads", "speed-up", "at least 1.85"]]
    model = [["set", "operation", "alone, span, work at 16", "speed-up of 2", "of 16", "of 64", "tasks at 64"]]
    for dataset, op in values.rows():
        name, found = op[:-2], op.endswith("@1")
        if not found:
            continue
        one, two = (values.get(BASE, dataset, name + n, "ns_per_key_min") for n in ("@1", "@2"))
        if two:
            rows.append([dataset, name[4:], number(one), number(two), "%.2f" % (one / two), word(one / two >= 1.85)])
        ways = [values.get(BASE, dataset, "%s~%d" % (name, n), "model_speedup") for n in (2, 16, 64)]
        parts = [number(values.get(BASE, dataset, name + "~16", what + "_ns_per_key")) for what in
                 ("alone", "span", "work")]
        tasks = values.get(BASE, dataset, name + "~64", "tasks")
        if all(ways):
            model.append([dataset, name[4:], ", ".join(parts), *("%.2f" % w for w in ways), "%.0f" % tasks])
    return [("Teams: ns per key by the wall clock", rows),
            ("Teams: what the division into pieces allows (a model, see bench/bench_parallel.c), ns per key", model)]


def at_most(rows, what, dataset, figures, rival, goal, text):
    """A row of verdicts: ours in both modes against a goal."""
    ours = [f for f in figures if f is not None]
    if not ours or goal is None:
        rows.append([what, dataset, "-", "-", rival, "-", text, "not measured"])
        return
    shown = [number(f) if f is not None else "-" for f in figures]
    rows.append([what, dataset, *shown, rival, "%.2f" % (ours[0] / goal), text,
                 "/".join(word(f <= goal * ROUGHLY) for f in ours)])


def growth_verdicts(rows, maps):
    """`maps`: report.Results."""
    for dataset in maps.growth().get(GROWN, []):
        n = maps.sizes[dataset][0]
        for op, what, limit, text in (("memory", "random 8-byte keys, bytes a key", 22 if n >= 10000 else 40, "%.3g"),
                                      ("iterate", "the same, iterate, ns", 15, "%.3g")):
            rival = maps.get("JudyL", dataset, op)
            at_most(rows, what, "%.0e" % n, [maps.get(e, dataset, op) for e in (BASE, STANDARD)],
                    "%s JudyL" % number(rival), limit, text % limit)
        rival = maps.get("JudyL", dataset, "get_hit")
        at_most(rows, "the same, get, ns", "%.0e" % n, [maps.get(e, dataset, "get_hit") for e in (BASE, STANDARD)],
                "%s JudyL" % number(rival), rival, "1 x JudyL")


def verdicts(maps, sets, algebra, order, diff, size, store):
    """What table 6 of the goals asks for."""
    rows = []
    if maps:
        growth_verdicts(rows, maps)
    for op, what, goal in (("set_memory", "dense integer set, bytes a key", 0.15),
                           ("set_join_halves", "the same, union, ns a key", 0.1), ("set_has", "the same, get, ns", 40)):
        rival = sets.get("Roaring64Map", "u64dense", op)
        at_most(rows, what, "u64dense", [sets.get(e, "u64dense", op) for e in (BASE, STANDARD)],
                "%s Roaring64Map" % number(rival), goal, number(goal))
    for dataset in sorted({d for _, d, _ in order.at}):
        for op, other, what, factor in (("set_at", "set", "write below a writer's focus / pm_set", 1.15),
                                        ("move_set", "set", "move a writer and set / pm_set", 1.15),
                                        ("move_read", "read", "move a zipper and read / pm_get", 1.3)):
            one = order.get(BASE, dataset, other)
            at_most(rows, what, dataset, [order.get(BASE, dataset, op), None], "%s by key" % number(one),
                    one and factor * one, "%.3g x" % factor)
    for op, other, what, factor in (("walk_by_mask", "pathmap+steps", "mask walk / to_next_step", 3),
                                    ("walk_back", "pathmap+steps", "backwards / forwards iteration", 1.3),
                                    ("count_all", "pathmap+unshared", "count beside a clone / unshared", 1.5)):
        for dataset in algebra.datasets() if algebra else []:
            one = algebra.get(other, dataset, op)
            figures = [algebra.get(BASE, dataset, op), algebra.get(STANDARD, dataset, op)]
            at_most(rows, what, dataset, figures, "%s %s" % (number(one), other), one and factor * one,
                    "%.3g x" % factor)
    for dataset, op in diff.rows():
        if op.startswith("diff_") and diff.get(BASE, dataset, op) is not None:
            rival = diff.get("immer::map", dataset, op)
            at_most(rows, "difference of two versions, %s keys changed, ns a key" % op[5:], dataset,
                    [diff.get(BASE, dataset, op), None], "%s immer" % number(rival), 200, "200")
    for op, what, goal in (("compile", "compile of the implementation at -O2, s", 5), ("text", "its text, KiB", 300),
                           ("text_small", "text of a program of four calls, KiB", 64)):
        at_most(rows, what, "-", [size.get(e, "program", op) for e in (BASE, STANDARD)], "-", goal, number(goal))
    for dataset, op in store.rows() or [("-", "save_one")]:
        if op == "save_one":
            ours, rival = (store.get(engine, dataset, op) for engine in (BASE, "LMDB"))
            at_most(rows, "commit of one change to a durable map, us before the sync", dataset,
                    [ours and ours / 1000, None], "%s LMDB" % number(rival and rival / 1000), 2, "2")
    return [["what", "set", BASE, STANDARD, "other", "figure / goal", "goal (at most)", "verdict"], *rows]
