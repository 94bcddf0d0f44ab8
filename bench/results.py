#!/usr/bin/env python3
"""Runs all measuring programs in rounds and keeps what they printed, for bench/report.py to make tables of.

usage: results.py [options]           (through make: `make bench-results`)

Each job is one program on one key file. A round is all jobs once, so that a noisy hour meets all of them alike;
within a job the engines take turns. Jobs stand in the order of their weight: with little time the last ones have
fewer rounds, or none, and the report says what is absent. What the rounds of a job printed becomes one file,
FOLDER/PROGRAM-SET.tsv, of lines `engine set operation unit min med cpu_min cpu_med`: times by the wall clock and by
the thread's, the least of all rounds, and the median of the rounds' medians. A figure without clocks has one value,
the median of all rounds."""
import argparse
import glob
import os
import re
import resource
import shlex
import statistics
import subprocess
import sys
import tempfile
import time

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
SETS = ["words", "wordnet", "paths", "long", "logic", "u64dense", "u64sparse"]
GROWTH = ["rand1e3", "rand1e4", "rand3e4", "rand1e5", "rand3e5", "rand1e6", "url1e3", "url1e4", "url3e4", "url1e5",
          "url3e5", "rand4e6", "url1e6", "rand2e6", "rand1e7"]
FILES = ["u64sparse", "words", "wordnet", "paths", "long", "rand1e4", "rand1e5", "logic", "u64dense"]
GROWING = "insert,memory,get_hit,get_absent,iterate,clones_write,clones_memory"
LARGE = {"rand2e6", "rand4e6", "rand1e7", "url1e6"}
# Slow, and rarely the best: on these sets alone, in the first round.
SLOW = {"std::map", "GTree", "HAT-trie", "LMDB"}
EVERYONE = {"words", "u64sparse"}
# On the largest sets.
FEW = {"pathmap", "pathmap-std", "JudyL", "JudySL", "absl::btree_map<u64>", "libart", "HOT", "std::unordered_map<u64>",
       "immer"}


class Job:
    def __init__(self, program, dataset, options, once=False):
        self.program, self.dataset, self.options, self.once = program, dataset, options, once
        self.took = None
        self.rounds = []  # what each printed

    @property
    def name(self):
        return "%s-%s" % (self.program, self.dataset)

    def command(self, build, data, first):
        options = self.options(first) if callable(self.options) else self.options
        return ["%s/%s" % (build, self.program), "--keys", "%s/%s.keys" % (data, self.dataset), "--name", self.dataset,
                *options]


def engines_of(build):
    out = subprocess.run([build + "/bench_map", "--help"], capture_output=True, text=True, check=True).stdout
    return out.rsplit("engines:", 1)[1].split()


def plan(build):
    there = engines_of(build)
    fast, few = ([e for e in there if e not in SLOW], [e for e in there if e in FEW])
    runs = ["--runs", "1"]

    def maps(name, engines, more):
        def options(first):
            some = [] if first and name in EVERYONE else ["--engines", ",".join(engines)]
            return runs + more + some + ([] if first else ["--trusting"])
        return options

    def growing(names, engines):
        return [Job("bench_map", name, maps(name, engines, ["--ops", GROWING]), name in LARGE) for name in names]

    jobs = [Job("bench_map", name, maps(name, fast, [])) for name in SETS]
    jobs += [Job("bench_sets", name, runs) for name in ("u64dense", "u64sparse")]
    jobs += [Job("bench_algebra" + kind, name, runs) for name in SETS for kind in ("", "-std")]
    jobs += [Job("bench_algebra-O2", name, runs, True) for name in ("words", "u64dense", "u64sparse")]
    jobs += [Job("bench_parallel", name, ["--runs", "3"], True) for name in ("u64sparse", "words")]
    jobs += [Job("bench_order", name, runs) for name in ("words", "u64sparse")]
    jobs += [Job("bench_diff", name, ["--runs", "3"]) for name in ("words", "u64sparse")]  # the first finds cold caches
    jobs += growing([name for name in GROWTH if name not in LARGE], fast)
    jobs += [Job("bench_views", "words", runs), Job("bench_interning", "words", runs)]
    jobs += [Job(program, name, ["--runs", "3"], True) for name in FILES
             for program in ("bench_store", "bench_image", "bench_fst")]
    jobs += [Job("bench_threads" + kind, "words", ["--runs", "2"], True) for kind in ("", "-std-pool")]
    jobs += growing([name for name in GROWTH if name in LARGE], few)
    return jobs


def collapse(rounds):
    """(comment lines, rows of 8 fields)"""
    comments, order, found = [], [], {}
    for text in rounds:
        for line in text.splitlines():
            field = line.split("\t")
            if line.startswith("#") or field[0] == "BAD":
                if line not in comments:
                    comments.append(line)
            elif len(field) == 5:
                engine, dataset, op, metric, value = field
                match = re.fullmatch(r"(cpu_)?(.*?)(_min|_med)?", metric)
                key = engine, dataset, op, match.group(2)
                if key not in found:
                    order.append(key)
                which = (match.group(1) or "") + (match.group(3) or "")
                found.setdefault(key, {}).setdefault(which, []).append(float(value))
    rows = []
    for key in order:
        values = found[key]
        cells = [("min" if which.endswith("_min") else "med", values.get(which)) for which in
                 ("_min", "_med", "cpu__min", "cpu__med")]
        if not cells[0][1]:
            cells = [("med", values.get("")), ("med", None), ("med", None), ("med", None)]
        shown = ["%.4g" % (min(v) if how == "min" else statistics.median(v)) if v else "-" for how, v in cells]
        rows.append(list(key) + shown)
    return comments, rows


def write(job, folder, build, note):
    comments, rows = collapse(job.rounds)
    shown = [shlex.join(job.command(build, build + "/data", first)) for first in (True, False)]
    comments[1:1] = ["# command " + c for c in dict.fromkeys(shown[:1] if len(job.rounds) < 2 else shown)]
    comments.append("# rounds %d" % len(job.rounds))
    if note:
        comments.append("# note " + note)
    with open("%s/%s.tsv" % (folder, job.name), "w", encoding="utf-8") as out:
        out.write("\n".join(comments) + "\n" + "".join("\t".join(row) + "\n" for row in rows))


SMALL = """#include "pathmap.h"
int main(void) {
    pm_map m = {0}, c;
    if (pm_set(&m, "k", 1, 1, NULL)) return 1;
    c = pm_clone(&m);
    pm_iter i = pm_iter_vals(&c);
    int n = 0;
    while (pm_iter_next(&i)) n += (int)*i.val;
    pm_iter_drop(&i), pm_drop(&c);
    n += (int)*pm_get(&m, "k", 1);
    pm_drop(&m);
    return n != 2;
}
"""


def sizes(folder, compiler):
    """What the implementation costs a program: seconds of compiling it at -O2, bytes of text, and those of a program of
    a few calls."""
    rows = []
    with tempfile.TemporaryDirectory() as place:
        def text_of(path):
            out = subprocess.run(["size", path], capture_output=True, text=True, check=True).stdout
            return int(out.split("\n")[1].split()[0])

        flags = [*compiler, "-std=c11", "-O2", "-I", ROOT, "-pthread"]
        with open(place + "/small.c", "w", encoding="utf-8") as out:
            out.write("#define PATHMAP_IMPLEMENTATION\n" + SMALL)
        with open(place + "/all.c", "w", encoding="utf-8") as out:
            out.write('#define PATHMAP_IMPLEMENTATION\n#include "pathmap.h"\n')
        for engine, slim in (("pathmap", "1"), ("pathmap-std", "0")):
            mode = "-DPATHMAP_SLIM_PTRS=" + slim
            before = processor_time()
            subprocess.run([*flags, mode, "-c", place + "/all.c", "-o", place + "/all.o"], check=True)
            took = processor_time() - before
            subprocess.run([*flags, mode, "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections",
                            place + "/small.c", "-o", place + "/small"], check=True)
            subprocess.run([place + "/small"], check=True)
            rows += [(engine, "compile", "s", took), (engine, "text", "KiB", text_of(place + "/all.o") / 1024),
                     (engine, "text_small", "KiB", text_of(place + "/small") / 1024)]
    with open(folder + "/sizes.tsv", "w", encoding="utf-8") as out:
        out.write("# program sizes\n# flags -O2; the small program with -ffunction-sections, --gc-sections\n")
        out.write("".join("%s\tprogram\t%s\t%s\t%.4g\t-\t-\t-\n" % row for row in rows))


def processor_time():
    used = resource.getrusage(resource.RUSAGE_CHILDREN)
    return used.ru_utime + used.ru_stime


def run_job(job, options, first, left):
    command = job.command(options.build, options.data or options.build + "/data", first)
    if not os.path.exists(command[0]) or not os.path.exists(command[2]):
        if first:
            print("ABSENT %s: no %s" % (job.name, command[0 if not os.path.exists(command[0]) else 2]))
        return True
    start, before = time.monotonic(), processor_time()
    try:
        done = subprocess.run(command, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, timeout=max(left, 1),
                              check=False)
    except subprocess.TimeoutExpired:
        print("OUT OF TIME in %s" % job.name, flush=True)
        return True
    job.took = time.monotonic() - start
    good = done.returncode == 0
    if good:
        job.rounds.append(done.stdout)
    print("%s%s %.1f s, %.1f of the processor" % ("" if good else "FAILED ", job.name, job.took,
                                                  processor_time() - before), flush=True)
    if not good:
        print("\n".join((done.stdout + done.stderr).splitlines()[-8:]))
    return good


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n", maxsplit=1)[0])
    parser.add_argument("--folder", default=ROOT + "/bench/results", help="where the results go")
    parser.add_argument("--build", default="build", help="where the programs are")
    parser.add_argument("--data", help="where the key files are (default: BUILD/data)")
    parser.add_argument("--minutes", type=float, default=24, help="when to stop")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--only", metavar="REGEX", default=".", help="only jobs whose names (PROGRAM-SET) match")
    parser.add_argument("--note", default="", help="a word on the machine's state, for the report")
    parser.add_argument("--sets", action="store_true", help="only print the names of the key files")
    options = parser.parse_args()
    if options.sets:
        print(*SETS, *GROWTH)
        return 0
    start, good = time.monotonic(), True
    jobs = [job for job in plan(options.build) if re.search(options.only, job.name)]
    os.makedirs(options.folder, exist_ok=True)
    if options.only == ".":  # a whole run: nothing of an older one stays
        for path in glob.glob(options.folder + "/*.tsv"):
            os.remove(path)
    for number in range(options.rounds):
        for job in jobs:
            left = options.minutes * 60 - (time.monotonic() - start)
            if (number and (job.once or not job.rounds)) or (job.took or 0) * 1.1 > left or left <= 0:
                continue
            good &= run_job(job, options, number == 0, left)
            if job.rounds:
                write(job, options.folder, options.build, options.note if options.only != "." else "")
    if re.search(options.only, "sizes"):
        sizes(options.folder, shlex.split(os.environ.get("CC", "cc")))
    minutes = (time.monotonic() - start) / 60
    if options.only == ".":  # what a part of the run should have said of it stands in its files
        with open(options.folder + "/run.txt", "w", encoding="utf-8") as out:
            out.write("%s\n" % (options.note or "no word on the machine's state"))
    print("%d jobs, %.1f minutes" % (sum(bool(job.rounds) for job in jobs), minutes))
    return 0 if good else 1


if __name__ == "__main__":
    sys.exit(main())
