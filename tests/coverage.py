#!/usr/bin/env python3
"""Which lines and branches of the headers the tests run.

usage: coverage.py [--tests WORD..] [--lines PART] [--jobs N]      (through make: `make coverage`)

Builds the test programs and the replayer of both count modes without optimisation and with gcc's counters, runs them,
and adds up what gcov finds: per part of the source, lines and branches run, and how many there are. A branch that gcov
sees and nobody wrote (of an assertion, of an atomic operation) counts like any other. --lines prints the lines of a
part that no test reached. Writes build/coverage/lines.json: for each line of a header the test programs that ran it,
the quickest first (tests/mutants.py chooses by it)."""
import argparse
import collections
import concurrent.futures
import glob
import gzip
import json
import os
import re
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from run_check import build, execute  # noqa: E402

CONFIGS = ("slim-coverage", "standard-coverage")
HEADERS = ("pathmap.h", "interning.h")
PART = re.compile(r"/\* ---- src/(\w+)/(\S+) -+ \*/")
# Programs that run small pieces an enormous number of times, which an unoptimised build with counters makes too slow.
LEFT_OUT = ("test_rust_faults",)


def parts_of(header):
    """The part that each line of a header stands in."""
    part, found = "", [""]
    for line in open(header, encoding="utf-8"):
        match = PART.match(line)
        part = match.group(2) if match else part
        found.append(part)
    return found


class Seen:
    """What runs found: times a line ran, by whom, and which of its branches were taken."""

    def __init__(self):
        self.lines = {h: collections.Counter() for h in HEADERS}
        self.by = {h: collections.defaultdict(list) for h in HEADERS}
        self.branches = {h: {} for h in HEADERS}

    def add(self, program, report):
        for file in report["files"]:
            header = os.path.basename(file["file"])
            if header not in HEADERS:
                continue
            for line in file["lines"]:
                n, count = line["line_number"], line["count"]
                self.lines[header][n] += count
                if count and program not in self.by[header][n]:
                    self.by[header][n].append(program)
                taken = [b["count"] > 0 for b in line.get("branches", ()) if not b.get("throw")]
                old = self.branches[header].get(n, [])
                # One line may stand in the program several times, with other branches each: the longest list counts.
                if len(taken) == len(old):
                    taken = [a or b for a, b in zip(taken, old)]
                elif len(taken) < len(old):
                    taken = old
                if taken:
                    self.branches[header][n] = taken


def reports_of(folder):
    """What gcov says of the counters below a folder, where the compiler's notes are linked to stand beside them."""
    for data in glob.glob(f"{folder}/**/*.gcda", recursive=True):
        notes = data[:-len("gcda")] + "gcno"
        os.symlink(notes[len(folder):], notes)
        out = subprocess.run(["gcov", "--json-format", "--stdout", "-b", data], capture_output=True, check=True)
        yield from (json.loads(line) for line in out.stdout.splitlines() if line.strip())


def measure(config, name):
    """Builds and runs one program, whose counters go to a folder of its own, since programs share objects. Returns
    (name, seconds, reports), or what went wrong as text."""
    target = f"build/{config}/{name}"
    log = build(target)
    if log is not None:
        return log
    runs = [[]]
    if name == "replay":
        runs = [[script] for script in sorted(glob.glob("tests/scripts/*.txt"))]
        runs += [["--random", "1", "300", "200", "all", kind] for kind in ("lattice", "sum")]
    with tempfile.TemporaryDirectory() as folder:
        begin = time.monotonic()
        for run in runs:
            status = execute(["env", f"GCOV_PREFIX={folder}", target, *run], 900)[0]
            if status != 0:
                return f"{target}: {status}"
        return name, time.monotonic() - begin, list(reports_of(folder))


def print_parts(seen):
    total = [0, 0, 0, 0]
    for header in HEADERS:
        parts = parts_of(header)
        table = collections.OrderedDict()
        for n, count in sorted(seen.lines[header].items()):
            row = table.setdefault(parts[n], [0, 0, 0, 0])
            row[0] += count > 0
            row[1] += 1
            taken = seen.branches[header].get(n, [])
            row[2] += sum(taken)
            row[3] += len(taken)
        for part, row in table.items():
            print(f"{part:24} lines {row[0]:5} of {row[1]:5} {100 * row[0] / row[1]:6.1f} %   "
                  f"branches {row[2]:5} of {row[3]:5} {100 * row[2] / max(row[3], 1):6.1f} %")
            total = [a + b for a, b in zip(total, row)]
    print(f"{'all':24} lines {total[0]:5} of {total[1]:5} {100 * total[0] / total[1]:6.1f} %   "
          f"branches {total[2]:5} of {total[3]:5} {100 * total[2] / total[3]:6.1f} %")


def print_lines(seen, wanted):
    for header in HEADERS:
        parts, text = parts_of(header), open(header, encoding="utf-8").read().split("\n")
        for n, count in sorted(seen.lines[header].items()):
            if count == 0 and wanted in parts[n]:
                print(f"{parts[n]}: {header}:{n}: {text[n - 1].strip()}")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--tests", nargs="*", default=[])
    options.add_argument("--lines")
    options.add_argument("--jobs", type=int, default=2)
    options = options.parse_args()
    if not shutil.which("gcov"):
        sys.exit("gcov is missing")
    names = sorted(os.path.basename(p)[:-2] for p in glob.glob("tests/test_*.c")) + ["replay"]
    names = [n for n in names if n not in LEFT_OUT and (not options.tests or any(w in n for w in options.tests))]
    seen, seconds = Seen(), {}
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        jobs = [pool.submit(measure, config, name) for name in names for config in CONFIGS]
        for job in jobs:
            found = job.result()
            if isinstance(found, str):
                sys.exit(found)
            name, took, reports = found
            seconds[name] = min(took, seconds.get(name, took))
            for report in reports:
                seen.add(name, report)
    os.makedirs("build/coverage", exist_ok=True)
    with gzip.open("build/coverage/lines.json.gz", "wt", encoding="utf-8") as file:
        json.dump({h: {n: sorted(by, key=seconds.get) for n, by in seen.by[h].items()} for h in HEADERS}, file)
    print_parts(seen)
    if options.lines is not None:
        print_lines(seen, options.lines)


if __name__ == "__main__":
    main()
