"""What the tables are made of: lines that measuring programs print, `engine set operation metric value`, and those that
bench/results.py keeps, `engine set operation unit min med cpu_min cpu_med`."""
import math

CLOCKS = ("_min", "_med")


def expand(line):
    """The fields of a printed line; of a kept one, the fields of each line that it stands for."""
    field = line.rstrip("\n").split("\t")
    if len(field) != 8:
        return [field]
    name, unit, values = field[:3], field[3], field[4:]
    if values[1] == "-":
        return [name + [unit, values[0]]]
    rows = [name + [unit + which, value] for which, value in zip(CLOCKS, values[:2])]
    if values[2] != "-":
        rows += [name + ["cpu_" + unit + which, value] for which, value in zip(CLOCKS, values[2:])]
    return rows


def program_of(path):
    with open(path, encoding="utf-8", errors="replace") as file:
        words = file.readline().split()
    return words[2] if words[:2] == ["#", "program"] and len(words) > 2 else ""


def lines(path):
    """(fields or words, is a comment) of each line of a file."""
    with open(path, encoding="utf-8", errors="replace") as file:
        for number, line in enumerate(file, 1):
            if line.startswith("#"):
                yield line[1:].split(), True
                continue
            for field in expand(line):
                if len(field) == 5 or field[0] == "BAD":
                    yield field, False
                elif line.strip():
                    raise ValueError("%s:%d: not `engine set operation metric value`" % (path, number))


class Reader:
    """Who goes through files: `note` hears of the words of a comment, `add` of the fields of a figure."""

    def __init__(self):
        self.notes, self.bad = [], []

    def read(self, path):
        for field, comment in lines(path):
            if comment:
                self.note(field)
            elif field[0] == "BAD":
                self.bad.append(" ".join(field[1:]))
            else:
                self.add(field)


class Values(Reader):
    """Everything that files say: {(engine, set, operation): {metric: value}}, the least of several files."""

    def __init__(self, paths):
        super().__init__()
        self.at, self.engines = {}, []
        for path in paths:
            self.read(path)

    def note(self, words):
        known = ("command", "compiler", "flags", "cpu", "cores", "rounds", "left", "note")
        if words and words[0] in known and words not in self.notes:
            self.notes.append(words)

    def add(self, field):
        engine, dataset, op, metric, value = field
        if engine not in self.engines:
            self.engines.append(engine)
        metrics = self.at.setdefault((engine, dataset, op), {})
        metrics[metric] = min(float(value), metrics.get(metric, math.inf))

    def get(self, engine, dataset, op, metric=None):
        """By the thread's clock where there is one; else by the wall's; else the figure itself."""
        metrics = self.at.get((engine, dataset, op), {})
        if metric:
            return metrics.get(metric)
        for begins, ends in (("cpu_", "_min"), ("", "_min"), ("", "")):
            for name, value in metrics.items():
                if name.startswith(begins) and name.endswith(ends):
                    return value
        return None

    def unit(self, dataset, op):
        for (_, d, o), metrics in self.at.items():
            if (d, o) == (dataset, op):
                return next(iter(metrics)).replace("cpu_", "").replace("_min", "").replace("_med", "")
        return ""

    def rows(self):
        """(set, operation) in the order in which they came."""
        return list(dict.fromkeys((d, o) for _, d, o in self.at))


def number(v):
    if v is None:
        return "-"
    return "%.0f" % v if v >= 100 else "%.1f" % v if v >= 10 else "%.2f" % v if v >= 0.095 else "%.3f" % v
