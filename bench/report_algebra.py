#!/usr/bin/env python3
"""Turns the output of bench_algebra into tables: one per operation, a row per data set, with our figure, those of what
one would do instead, and the goals with their verdicts. Lower is better everywhere.

The goals against PathMap 0.3 compare with figures of one machine, which stand below: they say something only on a
machine like it. All other goals compare what was measured in one run."""
import argparse
import sys

import report_rows

DATASETS = ["words", "wordnet", "paths", "long", "logic", "u64dense", "u64sparse"]
STANDARD, PLAIN = "pathmap-std", "pathmap-O2"
OURS, LOOP, PAIRS, MADE = "pathmap", "pathmap+loop", "pathmap+pairs", "pathmap+made"
UNSHARED, STEPS = "pathmap+unshared", "pathmap+steps"
RIVALS = ["std::vector", "std::vector to std::map", "std::map"]
ROUGHLY = 1.005  # a miss by less than the last digit shown is none

# What PathMap 0.3 took: AMD EPYC, Zen 5 class, 2 cores; in the order of DATASETS.
PATHMAP = {
    "join_halves": [164, 174, 151, 143, 204, 15, 61],
    "join_overlap": [186, 220, 199, 418, 413, 17, 179],
    "meet_overlap": [524, 648, 587, 959, 1020, 28, 348],
    "subtract_overlap": [488, 569, 525, 890, 838, 61, 371],
    "join_clone_1pct": [18.6, 32, 10.4, 3.2, 1.1, 9.1, 21.6],
    "meet_clone_1pct": [20.1, 35.3, 9.6, 5.0, 1.6, 9.1, 28],
    "subtract_clone_1pct": [22.1, 45.7, 14.9, 5.9, 2.5, 58.7, 37],
    "join_self": [30] * 7,
    "count_all": [79, 102, 99, 143, 79, 3.9, 59],
    "fold_jumping": [238, 301, 265, 436, 274, 37, 226],
}

# (operation, title, other ways to do it, goals); a goal is a factor and an engine, None for a figure that is given
TABLES = [
    ("join_halves", "Join of disjoint halves, ns per key", [LOOP, *RIVALS],
     [(0.33, "PathMap 0.3"), (0.25, "std::vector to std::map")]),
    ("join_overlap", "Join, two thirds overlapping, ns per key", [LOOP, *RIVALS],
     [(0.33, "PathMap 0.3"), (0.25, "std::vector to std::map")]),
    ("meet_overlap", "Meet, overlapping, ns per key of the result", [LOOP, *RIVALS], [(0.1, "PathMap 0.3")]),
    ("subtract_overlap", "Subtract, overlapping, ns per key of the result", [LOOP, *RIVALS], [(0.1, "PathMap 0.3")]),
    ("differ_overlap", "Symmetric difference, ns per key of the result", [LOOP, *RIVALS], []),
    ("restrict_prefixes", "Restrict to the first halves of a key in a thousand, ns per key of the result",
     [LOOP, *RIVALS], []),
    ("join_16", "Join of 16 parts, ns per key", [PAIRS, LOOP, *RIVALS], [(1.0, PAIRS)]),
    ("meet_16", "Meet of 16 maps that have a quarter of the keys in common, ns per key of the result",
     [PAIRS, LOOP, *RIVALS], [(1.0, PAIRS)]),
    ("two_of_8", "Join of the 28 meets of two of 8 such maps, ns per key of the result", [PAIRS], [(0.5, PAIRS)]),
    ("majority_16", "What 9 of 16 such maps have, ns per key of the result", [LOOP], [(0.5, LOOP)]),
    ("join_into_1pct", "Join of a small map into a hundred times larger one in place, ns per key of the small one",
     [LOOP, "std::map"], []),
    ("join_into_1permille", "The same into a thousand times larger one", [LOOP, "std::map"], []),
    ("subtract_from_1pct", "Subtract a small map from a hundred times larger one in place, ns per key of the small one",
     [LOOP, "std::map"], []),
    ("subtract_from_1permille", "The same from a thousand times larger one", [LOOP, "std::map"], []),
    ("join_clone_1pct", "Join with a clone that differs in 1%, ms", [LOOP, *RIVALS], [(0.33, "PathMap 0.3")]),
    ("meet_clone_1pct", "Meet with a clone that differs in 1%, ms", [LOOP, *RIVALS], [(0.33, "PathMap 0.3")]),
    ("subtract_clone_1pct", "Subtract a clone that differs in 1%, ms", RIVALS, [(0.33, "PathMap 0.3")]),
    *[("%s_clone_%s" % (op, how), "%s a clone in which one key in a hundred %s, ms" % (title, text), [], [])
      for op, title in (("join", "Join with"), ("meet", "Meet with"), ("subtract", "Subtract"))
      for how, text in (("set", "has another value"), ("gone", "is gone"), ("new", "came"))],
    ("join_rebuilt", "Join with an equal map that shares nothing, ms", [], []),
    ("meet_rebuilt", "Meet with an equal map that shares nothing, ms", [], []),
    ("subtract_rebuilt", "Subtract an equal map that shares nothing, ms", [], []),
    ("join_self", "Join with itself, ns", [], [(3.0, "PathMap 0.3")]),
    ("count_all", "Count all values beside a clone that differs in 1%, ns per key", [UNSHARED, LOOP],
     [(2.0, None), (1.5, UNSHARED)]),
    ("fold_jumping", "Fold, jumping, beside such a clone, ns per key (others: add up while iterating)",
     [UNSHARED, LOOP, "std::map"], [(0.2, "PathMap 0.3"), (1.5, UNSHARED)]),
    ("fold_steps", "Fold, every location, beside such a clone, ns per key", [UNSHARED], [(1.5, UNSHARED)]),
    ("fold_cached", "Fold, jumping and cached, beside such a clone, ns per key", [UNSHARED], [(1.5, UNSHARED)]),
    ("hash", "Hash, beside such a clone, ns per key", [UNSHARED], [(1.5, UNSHARED)]),
    ("equal", "Compare equal maps, beside such clones of both, ns per key", [UNSHARED], [(1.5, UNSHARED)]),
    ("merkleize", "Share by content, ns per key", [], []),
    ("walk_by_mask", "Walk a zipper by mask, byte and back, ns per location (other: to_next_step)", [STEPS],
     [(3.0, STEPS)]),
    ("walk_back", "Iterate over all values from the last to the first, ns per key (other: pm_iter_next)", [STEPS],
     [(1.3, STEPS)]),
    ("walk_meet_view", "Walk the meet of two maps as a view, ns per key of the result (other: make it, walk it)",
     [MADE], []),
]
COUNTED = ["join_clone_1pct", "meet_clone_1pct", "subtract_clone_1pct"]
DEEP = ["join_2e80", "meet_2e80", "subtract_2e80", "count_2e80", "hash_2e80", "fold_2e80"]


def is_ours(path):
    return report_rows.program_of(path) == "bench_algebra"


class Results(report_rows.Reader):
    """What the files say: value by (engine, data set, operation); counts stand beside times. Times are by the thread's
    clock."""

    def __init__(self, medians=False):
        super().__init__()
        self.other = "_min" if medians else "_med"
        self.values, self.own_clock = {}, set()

    def note(self, words):
        if words and words[0] in ("compiler", "flags", "cpu", "cores", "rounds") and words not in self.notes:
            self.notes.append(words)

    def add(self, field):
        if field[3].endswith(self.other):
            return
        key, own_clock, value = tuple(field[:3]), field[3].startswith("cpu_"), float(field[4])
        if own_clock and key not in self.own_clock:
            self.own_clock.add(key)
            self.values.pop(key, None)
        if own_clock or key not in self.own_clock:
            # the same set in several files: the best of them, as for samples of one run
            self.values[key] = min(value, self.values.get(key, value))

    def get(self, engine, dataset, op):
        if engine == "PathMap 0.3":
            return PATHMAP[op][DATASETS.index(dataset)] if dataset in DATASETS and op in PATHMAP else None
        return self.values.get((engine, dataset, op))

    def datasets(self):
        found = {d for _, d, _ in self.values}
        return [d for d in DATASETS if d in found] + sorted(found - set(DATASETS))


def number(v):
    if v is None:
        return "-"
    return "%.0f" % v if v >= 100 else "%.1f" % v if v >= 10 else "%.2f" % v


def verdicts(r, dataset, op, goals, us=OURS):
    """Returns the goals that can be judged, each (met, text)."""
    ours, found = r.get(us, dataset, op), []
    for factor, engine in goals:
        mine = engine and engine.split("+")[0] == OURS
        other = 1.0 if engine is None else r.get(engine.replace(OURS, us) if mine else engine, dataset, op)
        if ours is None or other is None:
            continue
        name = "" if engine is None else "%.2g x %s = " % (factor, engine)
        found.append((ours <= factor * other * ROUGHLY, name + number(factor * other)))
    return found


def also_ours(r):
    """The other count mode, and the plain build, where they were measured."""
    return [e for e in (STANDARD, PLAIN) if any(engine == e for engine, _, _ in r.values)]


def table_rows(r, op, others, goals):
    rows = []
    for dataset in r.datasets():
        ours = r.get(OURS, dataset, op)
        if ours is None:
            continue
        figures = [r.get(e, dataset, op) for e in others]
        known = [f for f in figures if f is not None]
        ratio = ["%.2f" % (ours / min(known)) if known else "-"] if others else []
        both = [[met for met, _ in verdicts(r, dataset, op, goals, us)] for us in (OURS, STANDARD)]
        text = "; ".join("%s %s" % ("/".join("met" if mode[i] else "MISSED" for mode in both if i < len(mode)), goal)
                         for i, (_, goal) in enumerate(verdicts(r, dataset, op, goals)))
        before = [number(r.get("PathMap 0.3", dataset, op))] if op in PATHMAP else []
        also = [number(r.get(e, dataset, op)) for e in also_ours(r)]
        rows.append([dataset, number(ours)] + also + [number(f) for f in figures] + ratio + before +
                    ([text or "-"] if goals else []))
    head = ["data set", OURS] + also_ours(r) + others + (["ratio to the best"] if others else [])
    head += (["PathMap 0.3"] if op in PATHMAP else []) + (["goals (at most)"] if goals else [])
    return [head] + rows if rows else []


def counted_rows(r):
    """How many nodes a result has for itself."""
    rows = []
    for op in COUNTED:
        for dataset in r.datasets():
            counts = [r.get(OURS, dataset, "%s_%s" % (op, what)) for what in ("made", "shared", "whole")]
            if None not in counts:
                rows.append([op, dataset] + ["%d" % c for c in counts])
    return [["operation", "data set", "made", "shared", "in all"]] + rows if rows else []


def deep_rows(r):
    found = [(op, [v for (_, _, o), v in r.values.items() if o == op]) for op in DEEP]
    rows = [[op.split("_", maxsplit=1)[0], "%.4f" % (min(v) / 1e6)] for op, v in found if v]
    return [["operation", "ms"]] + rows if rows else []


def tables(r):
    found = [(title, table_rows(r, op, others, goals)) for op, title, others, goals in TABLES]
    found.append(("Nodes of the results of clones that differ in 1%", counted_rows(r)))
    found.append(("2^80 values in a trie that shares each level", deep_rows(r)))
    return [(title, rows) for title, rows in found if rows]


def summary_rows(r):
    """For each operation with goals, and each set: ours over the first goal's other, and whether all are met."""
    rows = []
    for op, title, _, goals in TABLES:
        cells = []
        for dataset in r.datasets() if goals else []:
            both = [verdicts(r, dataset, op, goals, us) for us in (OURS, STANDARD)]
            other = r.get(goals[0][1], dataset, op) if goals[0][1] else None
            ours = r.get(OURS, dataset, op)
            words = "/".join("met" if all(met for met, _ in mode) else "MISSED" for mode in both if mode)
            cells.append((("%.2f " % (ours / other) if ours is not None and other else "") + words) or "-")
        if any(cell != "-" for cell in cells):
            against = goals[0][1] or ""
            rows.append([title.split(", ns")[0].split(", ms")[0] + (" / " + against if against else ""), *cells])
    return [["what", *r.datasets()], *rows] if rows else []


def score(r):
    judged = [met for op, _, _, goals in TABLES for d in r.datasets() for met, _ in verdicts(r, d, op, goals)]
    return "Goals of algebra: %d met, %d missed." % (sum(judged), len(judged) - sum(judged))


INTRODUCTION = """# Measurements of algebra

Made from the output of `bench_algebra`; lower is better. Times are by the thread's clock. Two verdicts are of slim and
standard counts. The figures of PathMap 0.3 are of another run, on one machine, by the wall clock. "+loop" iterates one
map and writes into another; of the C++ ones, "std::vector to std::map" merges sorted vectors into a new map.

%s

"""


def introduction(r):
    text = INTRODUCTION % score(r)
    return text + "".join("- %s\n" % " ".join(words) for words in r.notes)


def markdown(rows):
    words = {"data set", "operation", "goals (at most)"}
    rule = "|" + "|".join("---" if cell in words else "---:" for cell in rows[0]) + "|\n"
    lines = ["| " + " | ".join(row) + " |\n" for row in rows]
    return lines[0] + rule + "".join(lines[1:])


def section(r):
    return introduction(r) + "".join("\n## %s\n\n%s" % (title, markdown(rows)) for title, rows in tables(r))


def show(found, out):
    for title, rows in found:
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        out.write("\n%s\n" % title)
        for row in rows:
            out.write("  " + "  ".join(c.ljust(w) for c, w in zip(row, widths)).rstrip() + "\n")


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("files", metavar="TSV", nargs="+")
    parser.add_argument("--markdown", metavar="FILE", help="also write the tables as markdown")
    parser.add_argument("--med", action="store_true", help="medians instead of minima")
    options = parser.parse_args()
    r = Results(options.med)
    for path in options.files:
        r.read(path)
    if not r.values:
        sys.exit("no results")
    found = tables(r)
    show(found, sys.stdout)
    print("\n" + score(r))
    if options.markdown:
        with open(options.markdown, "w", encoding="utf-8") as out:
            out.write(section(r))
    for line in r.bad:
        print("BAD " + line)
    sys.exit(1 if r.bad else 0)


if __name__ == "__main__":
    main()
