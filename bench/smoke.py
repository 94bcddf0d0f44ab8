#!/usr/bin/env python3
"""Runs measuring programs on a few keys, to see that they still run and that their answers are right.

usage: smoke.py PROGRAM..     (through make: `make bench-smoke`)

Prints what is wrong; the last line counts checks, and the exit status is 1 if one failed."""
import math
import os
import random
import struct
import subprocess
import sys
import tempfile
import xml.dom.minidom

import report_page

HERE = os.path.dirname(os.path.abspath(__file__))
SECONDS = 120
DATASETS = {"bench_map": ["text", "integers"], "bench_sets": ["integers"]}


class Counter:
    def __init__(self):
        self.passed = self.failed = 0

    def check(self, good, what, log=""):
        self.passed += bool(good)
        self.failed += not good
        if not good:
            print("FAILED: %s" % what)
            print("\n".join("    | " + line for line in log.splitlines()[-15:]))
        return good


def text_keys(n):
    """Keys that every engine can hold: without zero bytes, some the beginning of others."""
    return ["%s/%s%d" % ("abc"[i % 3] * (1 + i % 5), "xyz"[i % 7 % 3], i // 2 if i % 2 else i) for i in range(n)]


def integer_keys(n):
    """Eight bytes each: a dense range, and some far ones."""
    return [struct.pack(">Q", i if i % 3 else i << 40) for i in range(1, n)]


def binary_keys(n):
    """Any bytes; the empty key too, and one of 600 bytes."""
    source = random.Random(7)
    return [b"", b"\0" * 600] + [bytes(source.randrange(256) for _ in range(1 + i % 9)) for i in range(n)]


def write_keys(path, keys):
    keys = [k.encode() if isinstance(k, str) else k for k in keys]
    with open(path, "wb") as out:
        for key in dict.fromkeys(keys):
            out.write(struct.pack("<I", len(key)) + key)


def run(command):
    try:
        done = subprocess.run(command, capture_output=True, text=True, timeout=SECONDS, check=False)
    except subprocess.TimeoutExpired:
        return None, "", "stopped after %d seconds" % SECONDS
    return done.returncode, done.stdout, done.stdout[-2000:] + done.stderr


def is_figure(line):
    field = line.split("\t")
    try:
        return len(field) == 5 and math.isfinite(float(field[4]))
    except ValueError:
        return False


def check_run(count, command, out_path):
    """Answers the operations that were measured."""
    words = " ".join(map(os.path.basename, command[:1])) + " " + " ".join(command[5:])
    status, out, log = run(command)
    lines = [line for line in out.splitlines() if line and not line.startswith("#")]
    count.check(status == 0, "%s: exit %s" % (words, status), log)
    count.check(lines, "%s: no figures" % words, log)
    strange = [line for line in lines if not is_figure(line)]
    count.check(not strange, "%s: not a figure" % words, "\n".join(strange))
    with open(out_path, "w", encoding="utf-8") as file:
        file.write(out)
    return {line.split("\t")[2] for line in lines if is_figure(line)}


def check_threads(count, programs, keys, folder):
    """All rows, also with more threads than cores, one of them with more than keys; and the two clocks."""
    rows = []
    for program in programs:
        name = os.path.basename(program)
        for dataset, options in (("text", ["--threads", "1,2,5"]), ("binary", ["--threads", "3", "--pin"]),
                                 ("text", ["--threads", "256,128", "--limit", "150", "--clock", "cpu"])):
            command = [program, "--keys", keys[dataset], "--name", dataset, "--runs", "1", *options]
            ops = check_run(count, command, "%s/%s-%s-%d.tsv" % (folder, name, dataset, len(options)))
            if "1,2,5" in options:
                rows.append((name, ops))
    for name, ops in rows:
        count.check(ops == rows[0][1], "%s measures other operations than %s" % (name, rows[0][0]),
                    "\n".join(ops ^ rows[0][1]))
        for op in ops:
            if op.endswith("@5"):
                for other in ("@1", "@2", "@1/2", "@1/5"):
                    count.check(op[:-2] + other in ops, "%s: no %s" % (name, op[:-2] + other))
    for options in (["--threads", "0"], ["--ops", "nothing"], ["--clock", "sun"], []):
        status, _, log = run([programs[0], "--keys", keys["text"], *options])
        count.check(status == 2, "bad options give exit %s: %s" % (status, options), log)


def check_contention(count, program):
    """A table of its own: what threads share, by operation."""
    status, text, log = run([program])
    count.check(status == 0, "bench_contention: exit %s" % status, log)
    rows = {cells[1].strip(): cells for cells in (line.split("|") for line in text.split("\n")) if len(cells) > 7}
    for name, common in (("pm_get of one map", 0), ("pm_set, each its own map", 0), ("clone and drop of one map", 2)):
        count.check(name in rows and float(rows[name][4]) == common, "bench_contention: " + name, text)


def check_scaling(count, program):
    """All rows with each number of threads, and a speed-up for each in the tables."""
    status, text, log = run([program, "--rounds", "1", "--total", "1000", "--most", "4"])
    count.check(status == 0, "bench_scaling: exit %s" % status, log)
    r = report_page.Scaling(text)
    count.check(r.sizes == ["1000", "10000", "100000"], "bench_scaling: not all sizes", text)
    for name, _, _ in report_page.ROWS:
        count.check(r.threads("10000", name) == [1, 2, 4] and r.times("10000", name, 4, "cpu") > 0,
                    "bench_scaling: " + name, text)


def check_report(count, folder):
    files = sorted(os.path.join(folder, name) for name in os.listdir(folder) if name.endswith(".tsv"))
    texts = []
    for _ in range(2):
        status, _, log = run([sys.executable, HERE + "/report.py", "--markdown", folder + "/R.md", "--curves", folder,
                              *files])
        count.check(status == 0, "report.py: exit %s" % status, log)
        with open(folder + "/R.md", encoding="utf-8") as file:
            texts.append(file.read())
    count.check(texts[0] == texts[1], "a second report changes the first one's sections")
    for word in ("# Measurements of maps", "# Measurements of threads", "| zipper_get | 5 |", "claim_beside_10000",
                 "# Measurements of algebra", "## Join of 16 parts", "| subtract_clone_1pct | text |"):
        count.check(word in texts[0], "the report lacks `%s`" % word)
    drawing = xml.dom.minidom.parse(folder + "/text-threads.svg")
    titles = [t.firstChild.data for t in drawing.getElementsByTagName("text")]
    count.check("head_write" in titles and len(drawing.getElementsByTagName("polyline")) > 100, "an incomplete drawing")


def check_results(count, programs, folder):
    """Rounds of a few jobs, kept and shown."""
    keys = {"words": text_keys(300), "u64dense": integer_keys(300), "u64sparse": integer_keys(400)}
    kept = folder + "/kept"
    for name, some in keys.items():
        write_keys("%s/%s.keys" % (folder, name), some)
    status, _, log = run([sys.executable, HERE + "/results.py", "--build", os.path.dirname(programs[0]),
                          "--data", folder, "--folder", kept, "--rounds", "2",
                          "--only", "map-words|sets-u64|parallel-words|diff-words|store-words|image-words"])
    count.check(status == 0, "results.py: exit %s" % status, log)
    status, _, log = run([sys.executable, HERE + "/report.py", "--markdown", folder + "/K.md", kept])
    count.check(status == 0, "report.py of kept results: exit %s" % status, log)
    with open(folder + "/K.md", encoding="utf-8") as file:
        text = file.read()
    for word in ("## Growth, containers, writers", "- rounds 2", "- command", "# Measurements of sets",
                 "| words | join_halves |", "| dense integer set, bytes a key | u64dense |", "# Measurements of files",
                 "| size of an image, bytes a key | words |", "| read a path file into a map, ns a path | words |"):
        count.check(word in text, "the report of kept results lacks `%s`" % word)


def main(programs):
    count = Counter()
    with tempfile.TemporaryDirectory() as folder:
        keys = {name: "%s/%s.keys" % (folder, name) for name in ("text", "binary", "integers")}
        write_keys(keys["text"], text_keys(700))
        write_keys(keys["binary"], binary_keys(500))
        write_keys(keys["integers"], integer_keys(600))
        for program in [p for p in programs if "bench_contention" in p]:
            check_contention(count, program)
            programs = [p for p in programs if p != program]
        for program in [p for p in programs if "bench_scaling" in p]:
            check_scaling(count, program)
            programs = [p for p in programs if p != program]
        threads = [p for p in programs if "bench_threads" in p]
        for program in programs:
            name = os.path.basename(program)
            for dataset in DATASETS.get(name, ["text"]) if program not in threads else []:
                check_run(count, [program, "--keys", keys[dataset], "--name", dataset, "--runs", "1"],
                          "%s/%s-%s.tsv" % (folder, name, dataset))
        if threads:
            check_threads(count, threads, keys, folder)
        check_report(count, folder)
        check_results(count, programs, folder)
    skipped = not any("bench_interning" in p for p in programs)
    if skipped:
        print("SKIPPED bench_interning and every rival in C++: no C++ compiler")
    print("%d passed, %d failed, %d skipped" % (count.passed, count.failed, skipped))
    return 1 if count.failed else 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
