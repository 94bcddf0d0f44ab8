#!/usr/bin/env python3
"""Turns what measuring programs printed, or bench/results.py kept, into tables: of maps one per operation, a row per
data set, with our figure, the best ordered rival, the best rival of any kind, and the goals with their verdicts; and
the like of algebra, threads, files and the rest (report_algebra.py, report_threads.py, report_store.py,
report_other.py, curves: report_growth.py).

A verdict compares only figures of the same data set that were measured in the same run. Lower is better everywhere.
"""
import argparse
import glob
import os
import re
import sys

import report_algebra
import report_growth
import report_other
import report_rows
import report_store
import report_threads

DATASETS = ["words", "wordnet", "paths", "long", "logic", "u64dense", "u64sparse"]
TEXT = {"words", "wordnet", "paths", "long", "logic"}
GROWING = ("memory", "get_hit", "get_absent", "insert", "iterate", "clones_write", "clones_memory")
ROUGHLY = 1.005  # a miss by less than the last digit shown is none

# (operation, title, operation of the rivals it is compared with)
TABLES = [
    ("memory", "Memory after random inserts, bytes per key", "memory"),
    ("memory_build", "Memory after bulk build, bytes per key", "memory_sorted"),
    ("unit_memory", "Memory of a set of the keys, bytes per key", None),
    ("get_hit", "Get, present keys, ns per key", "get_hit"),
    ("get_many", "Get, present keys, 16 a call, ns per key (rivals: one a call)", "get_hit"),
    ("get_miss", "Get, absent keys close to present ones, ns per key", "get_miss"),
    ("get_absent", "Get, half of the keys in a map of the other half, ns per key", "get_absent"),
    ("zget", "Get through a read zipper, ns per key (rivals: get)", "get_hit"),
    ("zmove", "Get by moving a read zipper to each key, ns per key (rivals: get)", "get_hit"),
    ("insert", "Insert, random order, ns per key", "insert"),
    ("insert_head", "Insert, random order, through a head's writer moved to each key, ns per key", "insert"),
    ("insert_sorted", "Insert, sorted order, ns per key", "insert_sorted"),
    ("build", "Bulk build from sorted keys, ns per key (rivals: insert in order)", "insert_sorted"),
    ("iterate", "Iterate, path and value, ns per key", "iterate"),
    ("ziter", "Iterate through a read zipper, ns per key (rivals: iterate)", "iterate"),
    ("iter", "Iterate by iterator object, ns per key (rivals: iterate)", "iterate"),
    ("remove", "Remove, random order, pruning, ns per key", "remove"),
    ("drop", "Drop the map, ns per key", "drop"),
    ("clone_drop", "Clone and drop, ns per operation", "clone_drop"),
    ("clone_write", "Clone, write one key, drop the clone, ns per operation", "clone_write"),
    ("clones_write", "Clone and write one key, a thousand times, the clones kept, ns per clone", "clones_write"),
    ("clones_memory", "Bytes held by each of these clones", "clones_memory"),
]


class Results(report_rows.Reader):
    """What the files say: value by (engine, data set, operation), and who the engines are."""

    def __init__(self, wanted, cpu=False):
        super().__init__()
        self.wanted = wanted  # "min" or "med"
        self.cpu = cpu        # by the threads' own clocks, where there are such figures
        self.own_clock = set()
        self.values = {}
        self.beside = {}   # by both clocks: {(_min or _med, by the thread's clock): figure}
        self.kinds = {}    # engine -> set of words: ours or rival, ordered or unordered
        self.sizes = {}    # data set -> (keys, bytes)

    def note(self, words):
        if not words:
            return
        if words[0] == "engine":
            self.kinds[words[1]] = set(words[2:])
        elif words[0] == "dataset":
            facts = dict(zip(words[2::2], words[3::2]))
            self.sizes[words[1]] = (int(facts["keys"]), int(facts["bytes"]))
        elif words[0] in ("compiler", "flags", "cpu", "cores", "rounds", "left") and words not in self.notes:
            self.notes.append(words)

    def add(self, field):
        engine, dataset, op, metric, value = field
        key = engine, dataset, op
        beside = self.beside.setdefault(key, {})
        beside[metric[-4:], metric.startswith("cpu_")] = float(value)
        if metric.endswith(("_min", "_med")) and not metric.endswith("_" + self.wanted):
            return
        if metric.startswith("cpu_") != self.cpu and (metric.startswith("cpu_") or key in self.own_clock):
            return
        if metric.startswith("cpu_") and key not in self.own_clock:
            self.own_clock.add(key)
            self.values.pop(key, None)
        # the same set in several files: the best of them, as for samples of one run
        self.values[key] = min(float(value), self.values.get(key, float("inf")))

    def other_ways(self, engine, dataset, op):
        """The least and the median by the wall clock, and the median by the thread's."""
        found = self.beside.get((engine, dataset, op), {})
        ways = [found.get(way) for way in (("_min", False), ("_med", False), ("_med", True))]
        return ", ".join(number(way) for way in ways) if ways[0] is not None else "-"

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
        found = {d for _, d, _ in self.values} - {d for family in self.growth().values() for d in family}
        return [d for d in DATASETS if d in found] + sorted(found - set(DATASETS))

    def best(self, dataset, op, ordered):
        """Answers (value, engine) of the best rival, or None."""
        found = [(v, e) for (e, d, o), v in self.values.items()
                 if d == dataset and o == op and "rival" in self.kinds.get(e, ())
                 and (not ordered or "ordered" in self.kinds[e])]
        return min(found) if found else None


# The table on the first page: (what it says, operation, of the set `words`).
FIRST_PAGE = [("memory, bytes per key (9.4 bytes of text, 8 of value)", "memory"), ("find a key, ns", "get_hit"),
              ("find that a key is not there, ns", "get_absent"), ("insert in random order, ns per key", "insert"),
              ("visit all in order, ns per key", "iterate"),
              ("snapshot, write one key, drop the snapshot, ns", "clone_write")]
FIRST_HEAD = ("| %s English words, in random order | pathmap | plain -O2 build | best ordered rival "
              "| best of any kind |\n")


def first_page(r):
    """Lines of that table; none if something was not measured."""
    lines = [FIRST_HEAD % format(r.sizes.get("words", (0,))[0], ","), "|---|---:|---:|---:|---:|\n"]
    for title, op in FIRST_PAGE:
        cells = [number(r.get(engine, "words", op)) for engine in ("pathmap", "pathmap-O2")]
        if "-" in cells:
            return []
        rivals = [r.best("words", op, ordered) for ordered in (True, False)]
        cells += ["%s %s" % (number(best[0]), best[1]) if best else "(none measured)" for best in rivals]
        if op == "iterate":
            cells[-1] = "(has no order)" if "ordered" not in r.kinds[rivals[1][1]] else cells[-1]
        lines.append("| %s | %s |\n" % (title, " | ".join(cells)))
    return lines


# The table of the page on the two kinds of counts: (what it says, operation)
COUNTS = [("memory, bytes per key", "memory"), ("memory of a set, bytes per key", "unit_memory"),
          ("get, present", "get_hit"), ("get, 16 a call", "get_many"), ("get, absent", "get_absent"),
          ("insert", "insert"), ("bulk build", "build"), ("iterate", "iterate"), ("remove", "remove"), ("drop", "drop"),
          ("clone, write one, drop (per op)", "clone_write"), ("clone and drop (per op)", "clone_drop")]
COUNTS_HEAD = "| slim / standard |"


def counts_page(r):
    """Lines of that table."""
    sets = [d for d in DATASETS if r.get("pathmap-std", d, "memory")]
    lines = ["%s %s |\n" % (COUNTS_HEAD, " | ".join(sets)), "|---|%s\n" % ("---:|" * len(sets))]
    for title, op in COUNTS:
        both = [[number(r.get(engine, d, op)) for engine in ("pathmap", "pathmap-std")] for d in sets]
        lines.append("| %s | %s |\n" % (title, " | ".join(map(" / ".join, both))))
    return lines if sets else []


def write_table(path, head, table):
    """Puts a table into a page, in the place of the one that begins so."""
    with open(path, encoding="utf-8") as file:
        lines = file.readlines()
    start = next((i for i, line in enumerate(lines) if re.match(head, line)), None)
    if start is None:
        raise ValueError("%s: no table begins with %s" % (path, head))
    if not table:
        return
    end = next(i for i in range(start, len(lines)) if not lines[i].startswith("|"))
    lines[start:end] = table
    with open(path, "w", encoding="utf-8") as out:
        out.writelines(lines)


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
    elif op in ("get_hit", "get_miss", "get_absent", "insert", "iterate", "remove"):
        rival(0.8)
        if op == "get_hit":
            named(1.0, "std::unordered_map", "get_hit")
    elif op in ("insert_sorted", "build"):
        rival(0.5, "insert_sorted")
    elif op == "get_many":
        single = r.get(engine, dataset, "get_hit")
        found.append(at_most(ours, single and 0.5 * single, "0.5 x single = %.3g"))
        named(0.5, "std::unordered_map", "get_hit")
    elif op in ("zmove", "insert_head"):
        plain, factor = ("get_hit", 1.3) if op == "zmove" else ("insert", 1.15)
        single = r.get(engine, dataset, plain)
        found.append(at_most(ours, single and factor * single, "%g x plain = %%.3g" % factor))
    elif op == "drop":
        found.append(at_most(ours, 5.0, "%.3g"))
    elif op == "clone_drop":
        found.append(at_most(ours, 12.0, "%.3g"))
    elif op in ("clone_write", "clones_write"):
        named(0.4, "immer", op)
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
        rows.append([dataset] + [number(f) for f in figures] + [with_name(ordered), with_name(other), ratio,
                     r.other_ways(engine, dataset, op), verdict(r, ours, dataset, op)])
    if not rows:
        return []
    return [["data set"] + ours + ["best ordered", "best of any kind", "ratio", "wall min, med; own med",
                                   "goals (at most)"]] + rows


def verdict(r, ours, dataset, op):
    """Of slim and standard counts, before each goal of the former."""
    both = [goals(r, engine, dataset, op) for engine in ours[:2]]
    return "; ".join("%s %s" % ("/".join("met" if mode[i][1] else "MISSED" for mode in both if i < len(mode)), text)
                     for i, (text, _) in enumerate(both[0] if both else [])) or "-"


def summary_rows(r, ours):
    """For each operation with a goal, and each set: figure over the best rival's, and whether all goals are met."""
    rows = []
    for op, title, rival_op in TABLES:
        cells = []
        for dataset in r.datasets():
            both = [goals(r, engine, dataset, op) for engine in ours[:2]]
            best = r.best(dataset, rival_op, True) if rival_op else None
            figure = r.get(ours[0], dataset, op) if ours else None
            words = "/".join("met" if all(good for _, good in mode) else "MISSED" for mode in both if mode)
            cells.append((("%.2f " % (figure / best[0]) if best and figure is not None else "") + words) or "-")
        if any("met" in cell or "MISSED" in cell for cell in cells):
            rows.append([title.split(" (")[0].rsplit(", ns", 1)[0]] + cells)
    return [["what"] + r.datasets()] + rows if rows else []


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
    """A row for each engine that was measured on one of these sets, a column for each of them."""
    engines = ours + sorted(e for e, kind in r.kinds.items() if "rival" in kind)
    rows = [[e] + [number(r.get(e, d, op)) for d in sets] for e in engines
            if any(r.get(e, d, op) is not None for d in sets)]
    return [["engine"] + ["%.0e" % r.sizes[d][0] for d in sets]] + rows if rows else []


ALL = ["insert", "insert_sorted", "memory", "get_hit", "get_miss", "get_absent", "iterate", "remove", "drop"]


def everyone(r, dataset):
    """A row for each engine."""
    engines = [e for e in r.kinds if r.get(e, dataset, "insert") is not None]
    return [["engine", *ALL]] + [[e] + [number(r.get(e, dataset, op)) for op in ALL] for e in engines]


def all_tables(r, ours):
    tables = [("Everyone on " + dataset, everyone(r, dataset)) for dataset in r.datasets()]
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


def section(title, intro, notes, tables, left=(0, -1)):
    text = "# %s\n\n%s\n" % (title, intro) + "\n" * bool(notes) + "".join("- %s\n" % " ".join(w) for w in notes)
    return text + "".join("\n## %s\n\n%s" % (name, markdown_table(rows, left))
                          for name, rows in tables if len(rows) > 1)


INTRO_OF_MAPS = """Made from the output of `bench_map`; lower is better. Figures are the %s of all samples, by %s.
The ratio is our figure over the best ordered rival's; a rival is *ordered* if it iterates in key order and finds
neighbours. `pathmap` has slim counts, `pathmap-std` standard ones, `pathmap-O2` is the former as a plain build (-O2,
no -march=native), beside rivals that are not. Two verdicts are of slim and standard counts. Rivals that were left out
are named below.

%s"""


def section_of_maps(tables, r, score):
    notes = list(r.notes)
    for dataset in r.datasets():
        if dataset in r.sizes:
            keys, size = r.sizes[dataset]
            notes.append(["data set %s: %d keys, %d bytes, mean %.1f" % (dataset, keys, size, size / keys)])
    intro = INTRO_OF_MAPS % ("minimum" if r.wanted == "min" else "median",
                             "the thread's clock where there is one" if r.cpu else "the wall clock", score)
    return section("Measurements of maps", intro, notes, tables)


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
    """(results, section)"""
    r = Results("med" if options.med else "min", not options.wall)
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
    if options.curves:
        shown = [(op, title) for op, title, _ in TABLES if op in GROWING]
        for path in report_growth.draw(r, ours, shown, options.curves):
            print("drew " + path)
    if options.plot and ours:
        plot(r, ours, options.plot)
    return r, section_of_maps(tables, r, score)


def report_of_threads(files, options):
    t = report_threads.Results(options.med, options.without.split(","))
    for path in files:
        t.read(path)
    tables = report_threads.tables(t)
    show_text(tables, sys.stdout)
    text = report_threads.introduction(t)
    for title, rows in tables:
        text += "\n## %s\n\n" % title + markdown_table(rows, (0,))
    if options.curves:
        for path in report_threads.draw(t, options.curves):
            print("drew " + path)
    return t, text


def report_of_algebra(files, options):
    r = report_algebra.Results(options.med)
    for path in files:
        r.read(path)
    show_text(report_algebra.tables(r), sys.stdout)
    print("\n" + report_algebra.score(r))
    return r, report_algebra.section(r)


# What has plain tables: (program, heading, introduction, tables of its values)
OTHERS = [("bench_sets", "Measurements of sets", "A vector is sorted once and cannot be changed: it says what merging "
           "costs at least.", report_other.sets_tables),
          ("bench_parallel", "Measurements of teams", "pm_par_join and the like, two threads against one; and a model "
           "of more workers than the machine has.", report_other.parallel_tables)]
OTHERS += [("bench_" + kind, "Measurements of " + kind, "What the operations are: the first comment of "
            "`bench/bench_%s.c`. Times are the minimum, by the thread's clock where there is one." % kind,
            lambda values: [("Figures", report_other.plain_table(values))])
           for kind in ("order", "diff", "views", "interning")]
OTHERS += [("bench_store", "Measurements of files", "What the operations are: the first comments of "
            "`bench/bench_store.c` and `bench/bench_image.c`. Times are the minimum, by the thread's clock where there "
            "is one; the files are in the page cache.", report_store.tables)]


def verdicts(parts, others):
    """The first section: what was asked for, and whether it is so."""
    maps, algebra = parts.get("bench_map"), parts.get("bench_algebra")
    tables = []
    if maps:
        rows = summary_rows(maps, [e for e, kind in maps.kinds.items() if "ours" in kind])
        tables.append(("Maps: figure over the best ordered rival's, and verdicts of slim and standard counts", rows))
    if algebra:
        tables.append(("Algebra: verdicts", report_algebra.summary_rows(algebra)))
    empty = report_rows.Values([])
    found = [others.get(name, empty) for name in ("bench_sets", "bench_order", "bench_diff", "sizes")]
    rows = report_other.verdicts(maps, found[0], algebra, *found[1:], others.get("bench_store", empty))
    tables.append(("Growth, containers, writers", rows))
    tables.append(("Files", report_store.goals(others.get("bench_store", empty))))
    show_text([table for table in tables if table[1]], sys.stdout)
    return tables


HEADING = """Made whole by `make bench-report` from the files of `bench/results/`, each of which names the command that
made it; `make bench-results` makes them anew. Goals are ratios to the best rival of the same run. Figures that speak
against us stand like the others.

The run: %s.

%s"""


def heading(folder, score):
    path = os.path.join(folder, "run.txt")
    state = ""
    if os.path.exists(path):
        with open(path, encoding="utf-8") as file:
            state = file.read().strip()
    return HEADING % (state or "not described", score)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("files", metavar="TSV", nargs="+", help="what programs printed, or a folder of results.py")
    parser.add_argument("--markdown", metavar="FILE", help="also write all tables as markdown")
    parser.add_argument("--readme", metavar="FILE", help="also put its table's figures into this file")
    parser.add_argument("--counts", metavar="FILE", help="also put the table of both count modes into this file")
    parser.add_argument("--formats", metavar="FILE", help="also put the table of files into this file")
    parser.add_argument("--plot", metavar="FILE", help="also draw ratios (needs matplotlib)")
    parser.add_argument("--curves", metavar="FOLDER",
                        help="also draw how threads scale (SET-threads.svg) and maps grow (FAMILY-growth.svg)")
    parser.add_argument("--med", action="store_true", help="medians instead of minima")
    parser.add_argument("--wall", action="store_true", help="maps: by the wall clock, not by the thread's")
    parser.add_argument("--without", metavar="A,B", default="", help="leave these engines out")
    options = parser.parse_args()
    files, folder = [], ""
    for path in options.files:
        if os.path.isdir(path):
            folder = path
            files += sorted(glob.glob(path + "/*.tsv"))
        else:
            files.append(path)
    of = {}
    for path in files:
        program = report_rows.program_of(path)
        of.setdefault("bench_store" if program in report_store.PROGRAMS else program, []).append(path)
    parts, texts, bad = {}, [], []
    for program, report in (("bench_map", report_maps), ("bench_algebra", report_of_algebra),
                            ("bench_threads", report_of_threads)):
        if program in of:
            parts[program], text = report(of[program], options)
            texts.append(text)
            bad += parts[program].bad
    others = {name: report_rows.Values(paths) for name, paths in of.items() if name not in parts}
    for program, title, intro, tables in OTHERS:
        if program in others:
            found = tables(others[program])
            show_text(found, sys.stdout)
            texts.append(section(title, intro, others[program].notes, found, (0, 1)))
            bad += others[program].bad
    first = verdicts(parts, others)
    if options.readme and "bench_map" in parts:
        write_table(options.readme, r"\| [\d,]+ English words", first_page(parts["bench_map"]))
    if options.counts and "bench_map" in parts:
        write_table(options.counts, re.escape(COUNTS_HEAD), counts_page(parts["bench_map"]))
    if options.formats and "bench_store" in others:
        write_table(options.formats, re.escape(report_store.PAGE_HEAD), report_store.page(others["bench_store"]))
    if options.markdown:
        absent = [words for words in parts["bench_map"].notes if words[0] == "left"] if "bench_map" in parts else []
        texts.insert(0, section("Results", heading(folder, "\n".join(scores(parts, others))), absent, first, (0, 1)))
        with open(options.markdown, "w", encoding="utf-8") as out:
            out.write("\n".join(texts))
    for line in bad:
        print("BAD " + line)
    sys.exit(1 if bad else 0)


def scores(parts, others):
    maps, algebra = parts.get("bench_map"), parts.get("bench_algebra")
    if maps:
        yield tally(maps, [e for e, kind in maps.kinds.items() if "ours" in kind])
    if algebra:
        yield report_algebra.score(algebra)
    if "bench_store" in others:
        yield report_store.score(others["bench_store"])


if __name__ == "__main__":
    main()
