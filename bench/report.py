#!/usr/bin/env python3
"""Turns the output of bench_map into tables: one per operation, a row per data set, with our figure, the best ordered
rival, the best rival of any kind, and the goals with their verdicts.

A verdict compares only figures of the same data set that were measured in the same run. Lower is better everywhere.

What bench_threads printed goes into tables and curves of its own, what bench_algebra printed into tables of its own:
see report_threads.py and report_algebra.py.
"""
import argparse
import os
import re
import sys

import report_algebra
import report_threads

DATASETS = ["words", "wordnet", "paths", "long", "logic", "u64dense", "u64sparse"]
TEXT = {"words", "wordnet", "paths", "long", "logic"}
GROWING = ("memory", "get_hit", "get_miss", "insert", "iterate")
ROUGHLY = 1.005  # a miss by less than the last digit shown is none

# (operation, title, operation of the rivals it is compared with)
TABLES = [
    ("memory", "Memory after random inserts, bytes per key", "memory"),
    ("memory_build", "Memory after bulk build, bytes per key", "memory_sorted"),
    ("unit_memory", "Memory of a set of the keys, bytes per key", None),
    ("get_hit", "Get, present keys, ns per key", "get_hit"),
    ("get_many", "Get, present keys, 16 a call, ns per key (rivals: one a call)", "get_hit"),
    ("get_miss", "Get, absent keys close to present ones, ns per key", "get_miss"),
    ("zget", "Get through a read zipper, ns per key (rivals: get)", "get_hit"),
    ("insert", "Insert, random order, ns per key", "insert"),
    ("insert_sorted", "Insert, sorted order, ns per key", "insert_sorted"),
    ("build", "Bulk build from sorted keys, ns per key (rivals: insert in order)", "insert_sorted"),
    ("iterate", "Iterate, path and value, ns per key", "iterate"),
    ("ziter", "Iterate through a read zipper, ns per key (rivals: iterate)", "iterate"),
    ("iter", "Iterate by iterator object, ns per key (rivals: iterate)", "iterate"),
    ("remove", "Remove, random order, pruning, ns per key", "remove"),
    ("drop", "Drop the map, ns per key", "drop"),
    ("clone_drop", "Clone and drop, ns per operation", "clone_drop"),
    ("clone_write", "Clone, write one key, drop the clone, ns per operation", "clone_write"),
]


class Results:
    """What the files say: value by (engine, data set, operation), and who the engines are."""

    def __init__(self, wanted, cpu=False):
        self.wanted = wanted  # "min" or "med"
        self.cpu = cpu        # by the threads' own clocks, where there are such figures
        self.own_clock = set()
        self.values = {}
        self.kinds = {}    # engine -> set of words: ours or rival, ordered or unordered
        self.sizes = {}    # data set -> (keys, bytes)
        self.notes = []    # `#` lines that describe the run, once each
        self.bad = []

    def read(self, path):
        with open(path, encoding="utf-8", errors="replace") as file:
            for number, line in enumerate(file, 1):
                field = line.rstrip("\n").split("\t")
                if line.startswith("#"):
                    self.note(line[1:].split())
                elif field[0] == "BAD":
                    self.bad.append(" ".join(field[1:]))
                elif len(field) == 5:
                    self.add(field)
                elif line.strip():
                    raise ValueError("%s:%d: not `engine dataset op metric value`" % (path, number))

    def note(self, words):
        if not words:
            return
        if words[0] == "engine":
            self.kinds[words[1]] = set(words[2:])
        elif words[0] == "dataset":
            facts = dict(zip(words[2::2], words[3::2]))
            self.sizes[words[1]] = (int(facts["keys"]), int(facts["bytes"]))
        elif words[0] in ("compiler", "flags", "cpu", "cores", "runs", "left") and words not in self.notes:
            self.notes.append(words)

    def add(self, field):
        engine, dataset, op, metric, value = field
        if metric.endswith(("_min", "_med")) and not metric.endswith("_" + self.wanted):
            return
        key = engine, dataset, op
        if metric.startswith("cpu_") != self.cpu and (metric.startswith("cpu_") or key in self.own_clock):
            return
        if metric.startswith("cpu_") and key not in self.own_clock:
            self.own_clock.add(key)
            self.values.pop(key, None)
        # the same set in several files: the best of them, as for samples of one run
        self.values[key] = min(float(value), self.values.get(key, float("inf")))

    def get(self, engine, dataset, op):
        return self.values.get((engine, dataset, op))

    def growth(self):
        """Families of sets that differ in size only, as {family: [data set, ..]}, the smallest first."""
        families = {}
        for dataset in {d for _, d, _ in self.values}:
            part = re.fullmatch(r"([a-z]+)\d+e\d+", dataset)
            if part and dataset in self.sizes:
                families.setdefault(part.group(1), []).append(dataset)
        return {name: sorted(sets, key=self.sizes.get) for name, sets in sorted(families.items()) if len(sets) > 1}

    def datasets(self):
        found = {d for _, d, _ in self.values}
        return [d for d in DATASETS if d in found] + sorted(found - set(DATASETS))

    def best(self, dataset, op, ordered):
        """Answers (value, engine) of the best rival, or None."""
        found = [(v, e) for (e, d, o), v in self.values.items()
                 if d == dataset and o == op and "rival" in self.kinds.get(e, ())
                 and (not ordered or "ordered" in self.kinds[e])]
        return min(found) if found else None


def at_most(ours, limit, text):
    """A goal as (text, met); None where one side is not known."""
    if ours is None or limit is None:
        return None
    return text % limit, ours <= limit * ROUGHLY


def goals(r, engine, dataset, op):
    """Answers the goals that apply, each (text, met)."""
    ours = r.get(engine, dataset, op)
    found = []

    def rival(factor, other_op=None, ordered=True):
        best = r.best(dataset, other_op or op, ordered)
        if best:
            found.append(at_most(ours, factor * best[0], "%.2g x ordered = %%.3g" % factor))

    def named(factor, name, other_op):
        other = r.get(name, dataset, other_op)
        if other is not None:
            found.append(at_most(ours, factor * other, "%.2g x %s = %%.3g" % (factor, name)))

    if op == "memory":
        rival(0.5)
        if dataset == "words":
            found.append(at_most(ours, 0.2 * 93, "0.2 x PathMap 0.3 = %.3g"))
        if dataset in TEXT and dataset in r.sizes:
            keys, size = r.sizes[dataset]
            found.append(at_most(ours, size / keys + 8, "key bytes + 8 = %.3g"))
    elif op in ("get_hit", "get_miss", "insert", "iterate", "remove"):
        rival(0.8)
        if op == "get_hit":
            named(1.0, "std::unordered_map", "get_hit")
    elif op in ("insert_sorted", "build"):
        rival(0.5, "insert_sorted")
    elif op == "get_many":
        single = r.get(engine, dataset, "get_hit")
        found.append(at_most(ours, single and 0.5 * single, "0.5 x single = %.3g"))
        named(0.5, "std::unordered_map", "get_hit")
    elif op == "drop":
        found.append(at_most(ours, 5.0, "%.3g"))
    elif op == "clone_drop":
        found.append(at_most(ours, 12.0, "%.3g"))
    elif op == "clone_write":
        named(0.4, "immer", "clone_write")
    elif op == "unit_memory":
        whole = r.get(engine, dataset, "memory")
        found.append(at_most(ours, whole and whole - 7, "map - 7 = %.3g"))
    return [f for f in found if f]


def number(v):
    if v is None:
        return "-"
    return "%.1f" % v if v < 100 else "%.0f" % v


def with_name(best):
    return "%s %s" % (number(best[0]), best[1]) if best else "-"


def table_rows(r, ours, op, rival_op):
    """Rows of one table: header first. Empty if nothing was measured."""
    engine = ours[0] if ours else None
    rows = []
    for dataset in r.datasets():
        figures = [r.get(e, dataset, op) for e in ours]
        ordered = r.best(dataset, rival_op, True) if rival_op else None
        other = r.best(dataset, rival_op, False) if rival_op else None
        if all(f is None for f in figures) and not (other and rival_op == op):
            continue
        ratio = "%.2f" % (figures[0] / ordered[0]) if figures and figures[0] is not None and ordered else "-"
        verdicts = goals(r, engine, dataset, op) if engine else []
        text = "; ".join("%s %s" % ("met" if met else "MISSED", goal) for goal, met in verdicts) or "-"
        rows.append([dataset] + [number(f) for f in figures] + [with_name(ordered), with_name(other), ratio, text])
    if not rows:
        return []
    return [["data set"] + ours + ["best ordered", "best of any kind", "ratio", "goals (at most)"]] + rows


def thread_rows(r, ours):
    """How much faster N threads look up than one."""
    rows = []
    counts = sorted({int(o.split("_")[1][:-1]) for _, _, o in r.values
                     if o.startswith(("zget_", "get_")) and o.endswith("t") and o.split("_")[1][:-1].isdigit()} - {1})
    for dataset in r.datasets():
        for n in counts:
            for e in ours:
                for op in ("get", "zget"):
                    one, many = r.get(e, dataset, op + "_1t"), r.get(e, dataset, "%s_%dt" % (op, n))
                    if one is None or many is None:
                        continue
                    goal = "-"
                    if op == "zget" and n == 2:
                        goal = "%s at least 1.9" % ("met" if one / many >= 1.9 else "MISSED")
                    rows.append([dataset, e, op, str(n), number(one), number(many), "%.2f" % (one / many), goal])
    head = ["data set", "engine", "through", "threads", "1 thread", "N threads", "speedup", "goal"]
    return [head] + rows if rows else []


def growth_rows(r, ours, op, sets):
    """A row for each engine that was measured on all these sets, a column for each of them."""
    engines = ours + sorted(e for e, kind in r.kinds.items() if "rival" in kind)
    rows = [[e] + [number(r.get(e, d, op)) for d in sets] for e in engines
            if all(r.get(e, d, op) is not None for d in sets)]
    return [["engine"] + ["%.0e" % r.sizes[d][0] for d in sets]] + rows if rows else []


def plot_growth(r, ours, folder):
    """Draws how bytes, lookups and iteration change as a map grows, beside the rivals; answers the paths."""
    try:
        import matplotlib
    except ImportError:
        print("no curves of growth: matplotlib is not installed", file=sys.stderr)
        return []
    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot
    paths = []
    for family, sets in r.growth().items():
        shown = [(op, title) for op, title, _ in TABLES if op in GROWING and growth_rows(r, ours, op, sets)]
        figure, axes = pyplot.subplots(1, len(shown), figsize=(5 * len(shown), 4), squeeze=False)
        for axis, (op, title) in zip(axes[0], shown):
            for row in growth_rows(r, ours, op, sets)[1:]:
                figures = [r.get(row[0], d, op) for d in sets]
                axis.plot([r.sizes[d][0] for d in sets], figures, marker=".", label=row[0],
                          linewidth=2.5 if row[0] in ours else 1)
            axis.set(title=title, xlabel="keys", xscale="log", yscale="log" if op != "memory" else "linear")
        axes[0][-1].legend(fontsize="small")
        paths.append(os.path.join(folder, family + "-growth.svg"))
        figure.savefig(paths[-1], bbox_inches="tight")
    return paths


def all_tables(r, ours):
    tables = []
    for op, title, rival_op in TABLES:
        rows = table_rows(r, ours, op, rival_op)
        if rows:
            tables.append((title, rows))
    for family, sets in r.growth().items():
        for op, title, _ in TABLES:
            rows = growth_rows(r, ours, op, sets)
            if op in GROWING and rows:
                tables.append(("%s, as the map grows (%s)" % (title, family), rows))
    rows = thread_rows(r, ours)
    if rows:
        tables.append(("Get from one map by several threads, wall ns per key", rows))
    return tables


def show_text(tables, out):
    for title, rows in tables:
        widths = [max(len(row[i]) for row in rows) for i in range(len(rows[0]))]
        out.write("\n%s\n" % title)
        for row in rows:
            cells = [c.ljust(w) if i in (0, len(row) - 1) else c.rjust(w) for i, (c, w) in enumerate(zip(row, widths))]
            out.write("  " + "  ".join(cells).rstrip() + "\n")


def markdown_table(rows, left=(0, -1)):
    """A table, its header first; the columns in `left` are set left."""
    flush = [i % len(rows[0]) for i in left]
    rule = "|" + "|".join("---" if c in flush else "---:" for c in range(len(rows[0]))) + "|\n"
    lines = ["| " + " | ".join(row) + " |\n" for row in rows]
    return lines[0] + rule + "".join(lines[1:])


def show_markdown(tables, r, score):
    text = ("# Measurements of maps\n\nMade by `bench/report.py` from the output of `bench_map`; lower is better. "
            "Figures are the\n%s of all samples, by %s.\nThe ratio is our figure over the best ordered rival's; a "
            "rival is *ordered* if it iterates in key order and finds neighbours.\n\n%s\n\n"
            % ("minimum" if r.wanted == "min" else "median",
               "the thread's clock" if r.cpu else "the wall clock", score))
    for words in r.notes:
        text += "- %s\n" % " ".join(words)
    for dataset in r.datasets():
        if dataset in r.sizes:
            keys, size = r.sizes[dataset]
            text += "- data set %s: %d keys, %d bytes, mean %.1f\n" % (dataset, keys, size, size / keys)
    for title, rows in tables:
        text += "\n## %s\n\n" % title + markdown_table(rows)
    return text


def replace_section(path, text):
    """Puts a text that begins with a heading of the first level in place of the one with the same heading in a file,
    or at its end. What else is in the file stays: it may have come from other measurements."""
    old = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            old = file.read()
    heading = text.split("\n", 1)[0]
    sections = [s.rstrip("\n") + "\n" for s in re.split(r"(?m)^(?=# )", old) if s.strip()]
    at = [i for i, s in enumerate(sections) if s.split("\n", 1)[0] == heading]
    if at:
        sections[at[0]] = text
    else:
        sections.append(text)
    with open(path, "w", encoding="utf-8") as file:
        file.write("\n".join(sections))


def tally(r, ours):
    met = missed = 0
    for engine in ours[:1]:
        for dataset in r.datasets():
            for op, _, _ in TABLES:
                for _, good in goals(r, engine, dataset, op):
                    met += good
                    missed += not good
    if met + missed == 0:
        return "No goal could be judged."
    return "Goals of `%s`: %d met, %d missed." % (ours[0], met, missed)


def plot(r, ours, path):
    try:
        import matplotlib
    except ImportError:
        print("no plot: matplotlib is not installed", file=sys.stderr)
        return
    matplotlib.use("Agg")
    import matplotlib.pyplot as pyplot
    drawn = ["memory", "get_hit", "get_miss", "insert", "build", "iterate", "remove"]
    rival_of = {op: rival for op, _, rival in TABLES}
    datasets = r.datasets()
    _, axes = pyplot.subplots(figsize=(12, 5))
    for i, op in enumerate(drawn):
        heights = []
        for d in datasets:
            best, own = r.best(d, rival_of[op], True), r.get(ours[0], d, op)
            heights.append(own / best[0] if best and own is not None else 0)
        axes.bar([x + i * 0.8 / len(drawn) for x in range(len(datasets))], heights, 0.8 / len(drawn), label=op)
    axes.axhline(1, color="black", linewidth=1)
    axes.set_xticks([x + 0.35 for x in range(len(datasets))], datasets)
    axes.set_ylabel("%s over best ordered rival (lower is better)" % ours[0])
    axes.legend()
    pyplot.savefig(path, bbox_inches="tight")


def report_maps(files, options):
    r = Results("med" if options.med else "min", options.cpu)
    for path in files:
        r.read(path)
    for engine in options.without.split(","):
        r.kinds.pop(engine, None)
        r.values = {k: v for k, v in r.values.items() if k[0] != engine}
    if not r.values:
        sys.exit("no results in " + " ".join(os.path.basename(f) for f in files))
    ours = [e for e, kind in r.kinds.items() if "ours" in kind]
    tables, score = all_tables(r, ours), tally(r, ours)
    show_text(tables, sys.stdout)
    print("\n" + score)
    if options.markdown:
        replace_section(options.markdown, show_markdown(tables, r, score))
    if options.curves and r.growth():
        for path in plot_growth(r, ours, options.curves):
            print("drew " + path)
    if options.plot and ours:
        plot(r, ours, options.plot)
    return r.bad


def report_of_threads(files, options):
    t = report_threads.Results(options.med, options.without.split(","))
    for path in files:
        t.read(path)
    tables = report_threads.tables(t)
    show_text(tables, sys.stdout)
    if options.markdown and tables:
        text = report_threads.introduction(t)
        for title, rows in tables:
            text += "\n## %s\n\n" % title + markdown_table(rows, (0,))
        replace_section(options.markdown, text)
    if options.curves:
        for path in report_threads.draw(t, options.curves):
            print("drew " + path)
    return t.bad


def report_of_algebra(files, options):
    r = report_algebra.Results(options.med)
    for path in files:
        r.read(path)
    found = report_algebra.tables(r)
    show_text(found, sys.stdout)
    print("\n" + report_algebra.score(r))
    if options.markdown and found:
        replace_section(options.markdown, report_algebra.section(r))
    return r.bad


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("files", metavar="TSV", nargs="+")
    parser.add_argument("--markdown", metavar="FILE", help="also write the tables as markdown, into their sections")
    parser.add_argument("--plot", metavar="FILE", help="also draw ratios (needs matplotlib)")
    parser.add_argument("--curves", metavar="FOLDER",
                        help="also draw how threads scale (DATASET-threads.svg) and maps grow (FAMILY-growth.svg)")
    parser.add_argument("--med", action="store_true", help="medians instead of minima")
    parser.add_argument("--cpu", action="store_true", help="maps: by the thread's clock where there is such a figure")
    parser.add_argument("--without", metavar="A,B", default="", help="leave these engines out")
    options = parser.parse_args()
    threads = [path for path in options.files if report_threads.is_ours(path)]
    algebra = [path for path in options.files if report_algebra.is_ours(path)]
    maps = [path for path in options.files if path not in threads + algebra]
    bad = report_maps(maps, options) if maps else []
    bad += report_of_algebra(algebra, options) if algebra else []
    bad += report_of_threads(threads, options) if threads else []
    for line in bad:
        print("BAD " + line)
    sys.exit(1 if bad else 0)


if __name__ == "__main__":
    main()
