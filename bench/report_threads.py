"""Tables and curves of what bench_threads printed.

An operation is `NAME@N`: N threads; `NAME@1/N`: one thread on the work of N. The same measurement in several files, or
several times in one, are rounds: of times the best is taken, of speed-ups the median. A goal is judged where the
machine had a core for each thread.
"""
import math
import os
import re
import statistics
from xml.sax.saxutils import escape

import report_rows

ENGINES = ["pathmap-pool", "pathmap-malloc", "pathmap-jemalloc", "pathmap-std-pool"]
COLOURS = ["#0072b2", "#d55e00", "#009e73", "#cc79a7", "#56b4e9", "#e69f00"]

# (operation, threads, least speed-up)
SPEEDUP_GOALS = [("zipper_get", 2, 1.9), ("zipper_get", 8, 7.2), ("zipper_get", 16, 13.5),
                 ("head_write", 2, 1.8), ("head_write", 8, 5.6), ("head_write", 16, 13.8)]
# (operation, metric, {data set or None: at most}); milliseconds of clone_fold are a third of PathMap 0.3's on all keys
LIMITS = [("clone_fold@2", "ms_per_op", {"words": 0.33 * 247, "wordnet": 0.33 * 413, "u64sparse": 0.33 * 352}),
          ("observed_write", "ratio", {None: 1.05}),
          ("snapshot_beside_64", "ns_per_op", {None: 10000})]
ALL_KEYS = {"words": 663473, "wordnet": 1000000, "u64sparse": 1000000}


def is_ours(path):
    return report_rows.program_of(path) == "bench_threads"


class Results(report_rows.Reader):
    """Samples by (engine, data set, operation), then by metric."""

    def __init__(self, medians, without):
        super().__init__()
        self.wanted = "_med" if medians else "_min"
        self.without = without
        self.samples = {}
        self.engines, self.datasets, self.names = [], [], []  # in the order in which they came
        self.cores = 0
        self.keys = {}  # data set -> how many
        self.timing = {}  # of the lines that follow

    def note(self, words):
        if words and words[0] == "timing":
            self.timing = dict(zip(words[1::2], words[2::2]))
            self.cores = int(self.timing["cores"])
        if words and words[0] in ("compiler", "flags", "cpu", "library", "timing") and words not in self.notes:
            self.notes.append(words)

    def add(self, field):
        engine, dataset, op, metric, value = *field[:4], float(field[4])
        if engine in self.without:
            return
        self.keys[dataset] = int(self.timing["keys"])
        for known, one in ((self.engines, engine), (self.datasets, dataset), (self.names, op.split("@")[0])):
            if one not in known:
                known.append(one)
        self.samples.setdefault((engine, dataset, op), {}).setdefault(metric, []).append(value)

    def get(self, engine, dataset, op, metric):
        found = self.samples.get((engine, dataset, op), {}).get(metric)
        if not found:
            return None
        return min(found) if metric.endswith("_min") else statistics.median(found)

    def figure(self, engine, dataset, op):
        """(unit, time), or None."""
        for metric in self.samples.get((engine, dataset, op), {}):
            if metric.endswith(self.wanted):
                return metric[:-4], self.get(engine, dataset, op, metric)
        return None

    def ordered_engines(self):
        return [e for e in ENGINES if e in self.engines] + [e for e in self.engines if e not in ENGINES]

    def threads(self, dataset, name):
        found = set()
        for _, d, op in self.samples:
            match = re.fullmatch(re.escape(name) + r"@(\d+)", op)
            if d == dataset and match:
                found.add(int(match.group(1)))
        return sorted(found)


def number(value, form="%.3g"):
    if value is None:
        return "-"
    return "%.0f" % value if abs(value) >= 1000 else form % value


def short(engine):
    return engine.replace("pathmap-", "")


def scaling_table(r, dataset):
    """A row for each operation and number of threads; for each engine its time, speed-up and efficiency."""
    engines = r.ordered_engines()
    head = ["operation", "threads", "unit"]
    for engine in engines:
        head += [short(engine), "speed-up", "efficiency"]
    rows = [head]
    for name in r.names:
        for n in r.threads(dataset, name):
            op = "%s@%d" % (name, n)
            figures = [r.figure(e, dataset, op) for e in engines]
            unit = next((f[0] for f in figures if f), "-").replace("_", " ")
            row = [name, str(n), unit]
            for engine, figure in zip(engines, figures):
                speedup = r.get(engine, dataset, op, "speedup")
                row += [number(figure and figure[1]), number(speedup, "%.2f"),
                        number(speedup and speedup / n, "%.2f")]
            rows.append(row)
    return rows


def single_table(r, dataset):
    """What has no threads: a column for each engine."""
    engines = r.ordered_engines()
    rows = [["operation", "unit"] + [short(e) for e in engines]]
    for name in r.names:
        figures = [r.figure(e, dataset, name) for e in engines]
        if any(figures):
            for unit in sorted({m[:-4] for e in engines for m in r.samples.get((e, dataset, name), {})
                                if m.endswith(r.wanted)}):
                values = [r.get(e, dataset, name, unit + r.wanted) for e in engines]
                rows.append([name, unit.replace("_", " ")] + [number(v) for v in values])
    return rows


def verdict(r, dataset, op, met):
    """What to say of a goal. Where threads had to share cores, or times are limited and keys were left out, nothing."""
    threads = re.search(r"@(\d+)$", op)
    if threads and int(threads.group(1)) > r.cores:
        return "not judged: %d cores" % r.cores
    if threads and r.keys[dataset] < ALL_KEYS.get(dataset, 0):
        return "not judged: %d keys" % r.keys[dataset]
    return "met" if met else "MISSED"


def goal_table(r):
    rows = [["goal", "data set", "engine", "figure", "verdict"]]
    for dataset in r.datasets:
        for engine in r.ordered_engines():
            for name, n, limit in SPEEDUP_GOALS:
                op = "%s@%d" % (name, n)
                found = r.get(engine, dataset, op, "speedup")
                if found is not None:
                    rows.append(["%s: speed-up at least %.3g" % (op, limit), dataset, short(engine),
                                 number(found, "%.2f"), verdict(r, dataset, op, found >= limit)])
            for op, unit, limits in LIMITS:
                limit = limits.get(dataset, limits.get(None))
                # A ratio's best sample says nothing: it is the luckiest pair.
                found = r.get(engine, dataset, op, unit + ("_med" if unit == "ratio" else r.wanted))
                if limit is not None and found is not None:
                    rows.append(["%s: %s at most %.5g" % (op, unit.replace("_", " "), limit), dataset, short(engine),
                                 number(found), verdict(r, dataset, op, found <= limit)])
    return rows


def tables(r):
    found = [("Threads: goals", goal_table(r))]
    for dataset in r.datasets:
        found.append(("Threads on %s" % dataset, scaling_table(r, dataset)))
        found.append(("Threads on %s: single figures" % dataset, single_table(r, dataset)))
    return [(title, rows) for title, rows in found if len(rows) > 1]


def introduction(r):
    text = ("# Measurements of threads\n\nMade by `bench/report.py` from the output of `bench_threads`, whose first "
            "comment says what each operation is.\nTimes are the %s of all samples, lower is better; speed-ups are "
            "against one thread doing the same work in the same process, turn by turn.\n\n"
            % ("minimum" if r.wanted == "_min" else "median"))
    return text + "".join("- %s\n" % " ".join(words) for words in r.notes)


# Curves: a drawing for each data set, a panel for each operation, all panels on the same doubly logarithmic axes.

WIDTH, HEIGHT, GAP_X, GAP_Y, TOP, LEFT, COLUMNS = 190, 140, 44, 56, 60, 44, 6


def words_at(x, y, words, size=11, anchor="start"):
    return '<text x="%.1f" y="%.1f" font-size="%d" text-anchor="%s">%s</text>\n' % (x, y, size, anchor, escape(words))


def line(points, colour, width=1.0, dash=""):
    return '<polyline points="%s" fill="none" stroke="%s" stroke-width="%.1f"%s/>\n' % (
        " ".join("%.1f,%.1f" % p for p in points), colour, width, ' stroke-dasharray="%s"' % dash if dash else "")


class Panel:
    """Draws one operation, its upper left corner at (x, y). Axes are powers of two: threads from 1 to 2^most, speed-up
    from 2^low to 2^high."""

    def __init__(self, x, y, most, low, high):
        self.x, self.y, self.most, self.low, self.high = x, y, max(most, 1), low, high

    def at(self, threads, speedup):
        across = math.log2(threads) / self.most
        up = (math.log2(min(max(speedup, 2.0 ** self.low), 2.0 ** self.high)) - self.low) / (self.high - self.low)
        return self.x + WIDTH * across, self.y + HEIGHT * (1 - up)

    def frame(self, title, cores):
        out = words_at(self.x, self.y - 6, title, 12)
        for power in range(self.low, self.high + 1):
            left, right = self.at(1, 2.0 ** power), self.at(2 ** self.most, 2.0 ** power)
            out += line([left, right], "#ddd") + words_at(left[0] - 4, left[1] + 4, "%g" % 2.0 ** power, 9, "end")
        for power in range(0, self.most + 1):
            x, y = self.at(2 ** power, 2.0 ** self.low)
            out += words_at(x, y + 12, "%d" % 2 ** power, 9, "middle")
        top = min(2 ** self.most, 2 ** self.high)
        out += line([self.at(1, 1), self.at(top, top)], "#888", 1, "4 3")
        if 1 < cores <= 2 ** self.most:
            out += line([self.at(cores, 2.0 ** self.low), self.at(cores, 2.0 ** self.high)], "#888", 1, "1 3")
        return out

    def curve(self, points, colour):
        places = [self.at(n, v) for n, v in points]
        dots = "".join('<circle cx="%.1f" cy="%.1f" r="2.2" fill="%s"/>\n' % (x, y, colour) for x, y in places)
        return line(places, colour, 1.6) + dots


def speedups(r, dataset):
    """{operation: {engine: [(threads, speed-up)..]}} of what was measured with more than one number of threads."""
    found = {}
    for name in r.names:
        threads = r.threads(dataset, name)
        for engine in r.ordered_engines() if len(threads) > 1 else []:
            points = [(n, r.get(engine, dataset, "%s@%d" % (name, n), "speedup")) for n in threads]
            points = [p for p in points if p[1]]
            if points:
                found.setdefault(name, {})[engine] = points
    return found


def drawing(r, dataset, found):
    points = [p for engines in found.values() for curve in engines.values() for p in curve]
    most = math.ceil(math.log2(max(n for n, _ in points)))
    low = max(-4, min(-1, math.floor(math.log2(min(v for _, v in points)))))
    high = max(1, math.ceil(math.log2(max(v for _, v in points))))
    columns = min(COLUMNS, len(found))
    size = (LEFT + columns * (WIDTH + GAP_X), TOP + math.ceil(len(found) / columns) * (HEIGHT + GAP_Y))
    out = ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" fill="#222">\n'
           '<rect width="100%%" height="100%%" fill="#fff"/>\n' % size)
    out += words_at(LEFT, 20, "%s: speed-up by threads; dashed: ideal; dotted: the machine's %d cores"
                    % (dataset, r.cores), 13)
    colours = dict(zip(r.ordered_engines(), COLOURS * len(r.engines)))
    for i, engine in enumerate(r.ordered_engines()):
        out += line([(LEFT + 130 * i, 34), (LEFT + 130 * i + 20, 34)], colours[engine], 2.5)
        out += words_at(LEFT + 130 * i + 25, 38, short(engine))
    for i, (name, engines) in enumerate(found.items()):
        panel = Panel(LEFT + i % columns * (WIDTH + GAP_X), TOP + 8 + i // columns * (HEIGHT + GAP_Y), most, low, high)
        out += panel.frame(name, r.cores) + "".join(panel.curve(c, colours[e]) for e, c in engines.items())
    return out + "</svg>\n"


def draw(r, folder):
    """Draws FOLDER/DATASET-threads.svg for each data set. Returns the names."""
    names = []
    for dataset in r.datasets:
        found = speedups(r, dataset)
        if not found:
            print("no curves for %s: it was measured with one number of threads only" % dataset)
            continue
        names.append(os.path.join(folder, dataset + "-threads.svg"))
        with open(names[-1], "w", encoding="utf-8") as out:
            out.write(drawing(r, dataset, found))
    return names
