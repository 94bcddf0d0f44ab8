#!/usr/bin/env python3
"""Which lines and branches of the headers the tests run.

usage: coverage.py [--tests WORD..] [--lines PART] [--branches PART] [--kept] [--jobs N]
                                                                                    (through make: `make coverage`)

Builds the test programs and the replayer without optimisation and with gcc's counters, runs them, and adds up what
gcov finds: per part of the source, lines and branches run, and how many there are. All programs have slim counts, some
have standard ones too, and some are built with other switches. What a program found is kept
(build/coverage/CONFIGURATION/NAME.json.gz) and measured anew once the program has changed. --lines prints the lines of
a part that no test reached, --branches those with a branch that none took ('' is any part). --kept builds and runs
nothing: it adds up what is kept.

A line that no test can reach says why, in a comment that begins with "uncovered:", behind it or above it. It counts
neither as run nor as not run, with its branches; if it opens a block, so does the block. One that is run all the same
is told of."""
import argparse
import collections
import concurrent.futures
import glob
import gzip
import json
import os
import re
import resource
import shutil
import subprocess
import sys
import tempfile
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from run_check import build, counted, execute, used  # noqa: E402

HEADERS = ("pathmap.h", "interning.h")
PART = re.compile(r"/\* ---- src/(\w+)/(\S+) -+ \*/")
MARK = re.compile(r"(/\*|//) uncovered: ")
# Programs that run small pieces an enormous number of times, which an unoptimised build with counters makes too slow.
LEFT_OUT = ("test_rust_faults",)
# Of builds without the pool and zlib, and of those that check what callers vouch for.
SWITCHED = {"slim-nopool-coverage": ("test_memory", "test_nulls", "test_paths", "test_region", "test_store"),
            "slim-check3-coverage": ("test_fold", "test_map", "test_read_zipper", "test_region")}
# What makes the dearest programs short: the first schedules of each scenario, a few places of each shape of map where
# each allocation fails in turn, less time for threads to meet. That they find faults is not asked here.
SHORT = ("SCHEDULES=500", "OOM_PLACES=3", "STRESS_SECONDS=0.2")


def parts_of(header):
    """The part that each line of a header stands in."""
    part, found = "", [""]
    for line in open(header, encoding="utf-8"):
        match = PART.match(line)
        part = match.group(2) if match else part
        found.append(part)
    return found


def excused(header):
    """The lines of a header that are marked as out of reach, with the blocks that they open. A mark that stands alone
    is the next line's."""
    found, until, alone = set(), None, False
    for n, line in enumerate(open(header, encoding="utf-8"), 1):
        indent = len(line) - len(line.lstrip())
        if until is None and (alone or MARK.search(line)):
            found.add(n)
            code = MARK.split(line)[0].rstrip()
            alone = not code
            until = indent if code.endswith("{") else None
        elif until is not None:
            if line.strip() and indent <= until and line[0] != "#":
                until = None
                if line.strip() == "}":
                    found.add(n)
            else:
                found.add(n)
    return found


class Seen:
    """What runs found: times a line ran, and which of its branches were taken."""

    def __init__(self):
        self.lines = {h: collections.Counter() for h in HEADERS}
        self.branches = {h: {} for h in HEADERS}

    def add(self, found):
        for header, lines in found.items():
            for n, count, taken in lines:
                self.lines[header][n] += max(count, 0)  # where a jump left a function, what it adds up to may be less
                old = self.branches[header].get(n, [])
                # Under another switch one line may have other branches: the longest list counts.
                if len(taken) == len(old):
                    taken = [a or b for a, b in zip(taken, old)]
                elif len(taken) < len(old):
                    taken = old
                if taken:
                    self.branches[header][n] = taken


def lines_of(folder):
    """What gcov says of the counters below a folder, where the compiler's notes are linked to stand beside them: for
    each header [line, times it ran, whether each branch was taken]."""
    seen = Seen()
    for data in glob.glob(f"{folder}/**/*.gcda", recursive=True):
        notes = data[:-len("gcda")] + "gcno"
        os.symlink(notes[len(folder):], notes)
        out = subprocess.run(["gcov", "--json-format", "--stdout", "-b", data], capture_output=True, check=True)
        for report in (json.loads(line) for line in out.stdout.splitlines() if line.strip()):
            seen.add({os.path.basename(file["file"]): [
                (line["line_number"], line["count"], [b["count"] > 0 for b in line.get("branches", ())
                                                      if not b.get("throw")]) for line in file["lines"]]
                for file in report["files"] if os.path.basename(file["file"]) in HEADERS})
    return {h: [(n, count, seen.branches[h].get(n, [])) for n, count in seen.lines[h].items()] for h in HEADERS}


def measure(config, name, kept_only):
    """Builds and runs one program, whose counters go to a folder of its own, since programs share objects. Returns
    lines by header, or what went wrong as text."""
    target, kept = f"build/{config}/{name}", f"build/coverage/{config}/{name}.json.gz"
    log = None if kept_only else build(target)
    if log is not None:
        return log
    if kept_only and not os.path.exists(kept):
        return f"{kept} is not there"
    if os.path.exists(kept) and os.path.getmtime(kept) > os.path.getmtime(target):
        with gzip.open(kept, "rt", encoding="utf-8") as file:
            return json.load(file)
    runs = [[]]
    if name == "replay":
        runs = [[script] for script in sorted(glob.glob("tests/scripts/*.txt"))]
        runs += [["--random", "1", "300", "200", "all", kind] for kind in ("lattice", "sum")]
    with tempfile.TemporaryDirectory() as folder:
        used.seconds = 0
        for run in runs:
            status, _, log = execute(["env", f"GCOV_PREFIX={folder}", *SHORT, target, *run], 900)
            if status != 0:
                return f"{target}: {status}\n{log[-2000:]}"
        print(f"{target}: {used.seconds:.1f} seconds of processor time", flush=True)
        found = lines_of(folder)
    os.makedirs(os.path.dirname(kept), exist_ok=True)
    with gzip.open(kept, "wt", encoding="utf-8") as file:
        json.dump(found, file)
    return found


def percent(run, all_of_them):
    return f"{run:5} of {all_of_them:5} {100 * run / max(all_of_them, 1):6.1f} %"


def print_parts(seen):
    total, left_out = [0] * 4, [0, 0]
    for header in HEADERS:
        parts, out = parts_of(header), excused(header)
        table = collections.OrderedDict()
        for n, count in sorted(seen.lines[header].items()):
            taken = seen.branches[header].get(n, [])
            if n in out:
                left_out = [left_out[0] + 1, left_out[1] + len(taken)]
                if count:
                    print(f"marked as uncovered, but run: {header}:{n}")
                continue
            row = table.setdefault(parts[n], [0, 0, 0, 0])
            for i, value in enumerate((count > 0, 1, sum(taken), len(taken))):
                row[i] += value
        for part, row in table.items():
            print(f"{part:24} lines {percent(*row[:2])}   branches {percent(*row[2:])}")
            total = [a + b for a, b in zip(total, row)]
    print(f"{'all':24} lines {percent(*total[:2])}   branches {percent(*total[2:])}; "
          f"left out {left_out[0]} lines, {left_out[1]} branches")


def print_missed(seen, wanted, missed):
    for header in HEADERS:
        parts, out = parts_of(header), excused(header)
        with open(header, encoding="utf-8") as file:
            text = file.read().split("\n")
        for n in sorted(seen.lines[header]):
            if n not in out and wanted in parts[n] and (what := missed(header, n)):
                print(f"{parts[n]}: {header}:{n}: {what}{text[n - 1].strip()}")


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--tests", nargs="*", default=[])
    options.add_argument("--lines")
    options.add_argument("--branches")
    options.add_argument("--kept", action="store_true")
    options.add_argument("--jobs", type=int, default=2)
    options = options.parse_args()
    if not shutil.which("gcov"):
        sys.exit("gcov is missing")
    names = sorted(os.path.basename(p)[:-2] for p in glob.glob("tests/test_*.c")) + ["replay", "test_nulls"]
    names = [n for n in names if n not in LEFT_OUT and (not options.tests or any(w in n for w in options.tests))]
    pairs = [("slim-coverage", n) for n in names]
    pairs += [("standard-coverage", n) for n in names if n in [*counted(), "replay"]]
    pairs += [(config, n) for config, programs in SWITCHED.items() for n in names if n in programs]
    seen, left_out, begin = Seen(), 0, time.monotonic()
    for config in dict.fromkeys(config for config, _ in pairs):  # first, or two programs might build it at once
        if not options.kept and (log := build(f"build/{config}/library.o", f"build/{config}/helpers.a")):
            sys.exit(log)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for job in [pool.submit(measure, config, name, options.kept) for config, name in pairs]:
            try:
                found = job.result()
            except subprocess.CalledProcessError as error:  # of gcov
                found = f"{error}\n{error.stderr.decode('utf-8', 'replace')[-500:]}"
            if isinstance(found, str):
                print(f"left out: {found}", flush=True)
                left_out += 1
                continue
            seen.add(found)
    print_parts(seen)
    if options.lines is not None:
        print_missed(seen, options.lines, lambda h, n: "" if seen.lines[h][n] else " ")
    if options.branches is not None:
        print_missed(seen, options.branches, lambda h, n: "" if all(seen.branches[h].get(n, [])) else "".join(
            "-+"[taken] for taken in seen.branches[h][n]) + " ")
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{len(pairs) - left_out} programs; {time.monotonic() - begin:.0f} seconds, {options.jobs} at a time; "
          f"{usage.ru_utime + usage.ru_stime:.0f} seconds of processor time")
    sys.exit(left_out > 0)


if __name__ == "__main__":
    main()
