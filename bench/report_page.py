#!/usr/bin/env python3
"""Tables and curves of docs/concurrency.md, from what benchmarks printed.

    report_page.py scaling SCALING CONTENTION DOCS     what bench_scaling and bench_contention printed
    report_page.py locks THREADS DOCS                  rows of locks of bench_threads

Writes the tables between markers, `<!-- scaling -->` or `<!-- locks -->`, and the curves, DOCS/scaling.svg. As far as
the machine had a core for each thread, speed-ups are by wall clock; beyond, by processor time.
"""
import math
import os
import sys

import report_threads

# operation, words for it, its row in the model
ROWS = [("read", "reads", "pm_get of one map"),
        ("head_write", "head writes", "a write through a head's writer"),
        ("copy_known", "copies along known paths", "a write through a head's writer"),
        ("copy_traverse", "copies by traversal", "a write through a head's writer"),
        ("clone", "clone and drop", "clone and drop of one map"),
        ("clone_apart", "the same of a clone apart", "clone and drop of a clone apart"),
        ("intern_new", "interning, new", "intern a new symbol"),
        ("intern_existing", "interning, there", "intern what is there"),
        ("intern_mixed", "interning, a new one in ten", "intern, a new symbol in ten")]
CLAIMED = {"read": "7.2, 13.5", "head_write": "5.6, 13.8"}  # with 8 threads, 16
BEYOND = [4, 8, 16, 64, 128, 256]
LOCKS = [("map", "no lock"), ("shared", "replaceable map, a load for 64"), ("mutex", "mutex"),
         ("rwlock", "read-write lock"), ("adaptive", "adaptive mutex"), ("shards", "16 shards"),
         ("shards_adaptive", "16 shards, adaptive"), ("shards256", "256 shards"),
         ("tbb", "tbb::concurrent_hash_map"), ("urcu", "liburcu's hash table")]
MIXES = [("get", "lookups"), ("mixed", "90/10"), ("half", "50/50"), ("writes", "10/90")]


class Scaling:
    def __init__(self, text):
        self.cores, self.sizes, self.ns = 1, [], {}
        for line in text.splitlines():
            words = line.split()
            if words[:2] == ["#", "scaling"]:
                self.cores = int(words[words.index("cores") + 1])
            field = line.split("\t")
            if len(field) == 5:
                name, threads = field[2].split("@")
                self.ns[field[1], name, int(threads), field[3].split("_")[0]] = float(field[4])
                if field[1] not in self.sizes:
                    self.sizes.append(field[1])

    def threads(self, size, name):
        return sorted(n for s, o, n, clock in self.ns if (s, o, clock) == (size, name, "cpu"))

    def times(self, size, name, threads, clock):
        """The speed-up. Of processor time: if each thread had a core, and none waited."""
        now = self.ns.get((size, name, threads, clock))
        if now is None:
            return None
        return self.ns[size, name, 1, clock] / now * (threads if clock == "cpu" else 1)


def models(text):
    """{operation: the last column, the speed-up on so many cores}"""
    rows = [[cell.strip() for cell in line.strip().strip("|").split("|")] for line in text.splitlines()]
    return {row[0]: row[-1] for row in rows if len(row) == 8}


def figure(value):
    return "" if value is None else "%.2f" % value if value < 10 else "%.0f" % value


def table(r, size, model):
    within = [n for n in (2, 4, 8, 16, 64, 128, 256) if n <= r.cores]
    beyond = [n for n in BEYOND if n > r.cores]
    head = ["%s elements" % format(int(size), ","), "ns of 1 thread"]
    head += ["wall clock, %d threads" % n for n in within] + ["processor time, %d" % n for n in beyond]
    lines = [head + ["model, %s cores" % model["operation"].split()[-1], "claimed of the original, 8 and 16 threads"]]
    for name, words, of_model in ROWS:
        cells = [words, "%.3g" % r.ns[size, name, 1, "cpu"]]
        cells += [figure(r.times(size, name, n, "wall")) for n in within]
        cells += [figure(r.times(size, name, n, "cpu")) for n in beyond]
        lines.append(cells + [figure(float(model[of_model])), CLAIMED.get(name, "")])
    lines.insert(1, ["---"] + ["---:"] * (len(lines[0]) - 1))
    return "".join("| %s |\n" % " | ".join(cells) for cells in lines)


def square(x, y):
    return '<rect x="%.1f" y="%.1f" width="6" height="6" fill="#222"/>\n' % (x - 3, y - 3)


def drawing(r, model):
    shown = report_threads
    columns, most, low, high = 3, 8, -2, 8
    width = shown.LEFT + columns * (shown.WIDTH + shown.GAP_X)
    top = shown.TOP + 44
    out = ('<svg xmlns="http://www.w3.org/2000/svg" width="%d" height="%d" font-family="sans-serif" fill="#222">\n'
           '<rect width="100%%" height="100%%" fill="#fff"/>\n'
           % (width, top + -(-len(ROWS) // columns) * (shown.HEIGHT + shown.GAP_Y)))
    for i, words in enumerate(["Speed-up by threads. Dashed grey: ideal. Dotted: the machine's %d cores." % r.cores,
                               "Solid, dots: WALL CLOCK, as far as there is a core for each thread.",
                               "Dashed, rings: PROCESSOR TIME of all threads, beyond: as if each had a core "
                               "and none waited."]):
        out += shown.words_at(shown.LEFT, 18 + 17 * i, words, 13)
    at = shown.LEFT + 150 * len(r.sizes)
    out += square(at, 66) + shown.words_at(at + 10, 70, "the MODEL of shared lines, 64 cores")
    for i, size in enumerate(r.sizes):
        out += shown.line([(shown.LEFT + 150 * i, 66), (shown.LEFT + 150 * i + 20, 66)], shown.COLOURS[i], 2.5)
        out += shown.words_at(shown.LEFT + 150 * i + 25, 70, format(int(size), ",") + " elements")
    for i, (name, words, of_model) in enumerate(ROWS):
        panel = shown.Panel(shown.LEFT + i % columns * (shown.WIDTH + shown.GAP_X),
                            top + i // columns * (shown.HEIGHT + shown.GAP_Y), most, low, high)
        out += panel.frame(words, r.cores)
        for size, colour in zip(r.sizes, shown.COLOURS):
            threads = r.threads(size, name)
            out += panel.curve([(n, r.times(size, name, n, "wall")) for n in threads if n <= r.cores], colour)
            places = [panel.at(n, r.times(size, name, n, "cpu")) for n in threads if n > r.cores]
            out += shown.line(places, colour, 1.2, "5 3")
            out += "".join('<circle cx="%.1f" cy="%.1f" r="2.2" fill="#fff" stroke="%s"/>\n' % (x, y, colour)
                           for x, y in places)
        out += square(*panel.at(64, float(model[of_model])))
    return out + "</svg>\n"


def write_between(docs, name, text):
    path, begin, end = docs + "/concurrency.md", "<!-- %s -->\n" % name, "<!-- end of %s -->\n" % name
    with open(path, encoding="utf-8") as file:
        before, rest = file.read().split(begin)
    beside = ("\nMeasured on %d cores; threads that wanted to run at the end, of all programs: %.1f.\n"
              % (os.cpu_count(), os.getloadavg()[0]))
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + begin + text + beside + end + rest.split(end)[1])


def read(path):
    with open(path, encoding="utf-8") as file:
        return file.read()


def scaling(of_scaling, of_contention, docs):
    r, model = Scaling(read(of_scaling)), models(read(of_contention))
    write_between(docs, "scaling", "\n".join(table(r, size, model) for size in r.sizes))
    with open(docs + "/scaling.svg", "w", encoding="utf-8") as file:
        file.write(drawing(r, model))


def locks(of_threads, docs):
    """Each lock with each mix of reads and writes: ns of one thread, of several, and the speed-up."""
    best, threads = {}, 1
    for field in (line.split("\t") for line in read(of_threads).splitlines()):
        if len(field) == 5 and field[3] == "ns_per_key_min":
            name, run = field[2].split("@")
            threads = max(threads, int(run.split("/")[-1]))
            best[name, run] = min(float(field[4]), best.get((name, run), math.inf))
    head = ["ns a call", *("%s: 1 thread | %d | times" % (words, threads) for _, words in MIXES)]
    lines = [" | ".join(head), " | ".join(["---"] + ["---:"] * (3 * len(MIXES)))]
    for lock, words in LOCKS:
        cells = [words]
        for mix, _ in MIXES:
            one = best.get(("%s_%s" % (lock, mix), "1/%d" % threads))
            many = best.get(("%s_%s" % (lock, mix), "%d" % threads))
            cells += ["%.0f" % one, "%.0f" % many, "%.2f" % (one / many)] if one and many else ["", "", ""]
        if any(cells[1:]):
            lines.append(" | ".join(cells))
    write_between(docs, "locks", "".join("| %s |\n" % line for line in lines))


if __name__ == "__main__":
    {"scaling": scaling, "locks": locks}[sys.argv[1]](*sys.argv[2:])
