#!/usr/bin/env python3
"""How many small faults in the headers the tests notice.

usage: mutants.py [--seed N] [--count N] [--minutes N] [--jobs N] [--header NAME] [--part WORD]
                                                                 (through make: `make mutants`)

Draws places in the code that some test runs (build/coverage/lines.json.gz, by `make coverage`), changes each in one
small way (an operator, a constant, a condition, a call left out, a failure told as success), and runs the programs
that reach the line, the quickest first, until one fails, crashes, or takes too long: the mutant is killed. One that
all of them pass survived, and is printed as a difference. A mutant that does not compile, or that compiles to the
same code as the original, is drawn anew. The last line is the score."""
import argparse
import concurrent.futures
import glob
import gzip
import json
import os
import random
import re
import shutil
import subprocess
import sys
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from coverage import HEADERS, parts_of  # noqa: E402
from run_check import code_of, execute  # noqa: E402

# What is replaced, and by what. A match is of the text outside strings and comments.
RULES = [(re.compile(pattern), becomes) for pattern, becomes in (
    (r" == ", " != "), (r" != ", " == "), (r" < ", " <= "), (r" <= ", " < "), (r" > ", " >= "), (r" >= ", " > "),
    (r" && ", " || "), (r" \|\| ", " && "), (r" \+ ", " - "), (r" - ", " + "), (r" & ", " | "), (r" \| ", " & "),
    (r" << ", " >> "), (r" \+= ", " -= "), (r" -= ", " += "), (r"\btrue\b", "false"), (r"\bfalse\b", "true"),
    (r"\bPM_NOMEM\b", "PM_OK"), (r"\bPM_INVALID\b", "PM_OK"), (r"\bif \((.+)\) return", r"if (!(\1)) return"),
    (r" \+ 1\b", ""), (r" - 1\b", ""), (r"\b1\b", "0"), (r"\b0\b", "1"), (r"!(\w)", r"\1"),
    (r"^(\s+)(pm__\w+\(.*\);)$", r"\1(void)0;"), (r"^(\s+)(intern__\w+\(.*\);)$", r"\1(void)0;"),
    (r"\+\+;", "--;"), (r" \? ([^:?]+) : ([^;?]+);", r" ? \2 : \1;"))]
NOT_CODE = re.compile(r'"(?:\\.|[^"\\])*"|/\*.*?\*/|//.*$')
# Programs tried at most for one mutant, and how long one may run, in seconds.
PROGRAMS, RUN_SECONDS = 6, 90
CC = ["cc", "-std=c11", "-O1", "-w", "-pthread"]


def candidates(text, covered):
    """Every (line, start, end, replacement) that could be drawn."""
    for n, programs in covered:
        line = text[n - 1]
        if line.lstrip().startswith(("#", "*", "/*", "static const", "enum")) or "assert" in line.lower():
            continue
        hidden = [m.span() for m in NOT_CODE.finditer(line)]
        for pattern, becomes in RULES:
            for match in pattern.finditer(line):
                if not any(a < match.end() and match.start() < b for a, b in hidden):
                    yield n, match.start(), match.end(), match.expand(becomes), programs


def compile_mutant(folder, program):
    """Builds a test program with the changed header: tests include ../pathmap.h, so they stand below it as links."""
    code = [f"{folder}/{source}" for source in code_of(program)]
    return subprocess.run([*CC, "-DPATHMAP_SLIM_PTRS=1", f"-I{folder}/tests", f"{folder}/tests/{program}.c", *code,
                           *glob.glob("build/mutants/model*.o"), "-ldl", "-o", f"{folder}/{program}"],
                          capture_output=True).returncode == 0


def same_code(folder, header):
    """Whether the mutant compiles to what the original compiles to. None: it does not compile."""
    code = []
    for include in (folder, "."):
        out = f"{folder}/{'new' if include == folder else 'old'}.s"
        macro = "PATHMAP" if header == "pathmap.h" else "INTERN"
        command = [*CC, "-S", "-g0", f"-I{include}", "-DPATHMAP_SLIM_PTRS=1", f"-D{macro}_IMPLEMENTATION", "-x", "c",
                   "-o", out, "-"]
        if include == "." and os.path.exists(f"build/mutants/{header}.s"):
            out = f"build/mutants/{header}.s"
        elif subprocess.run(command, input=f"#include <{header}>\n".encode(), capture_output=True).returncode != 0:
            return None
        elif include == ".":
            out = shutil.copy(out, f"build/mutants/{header}.s")
        with open(out, encoding="utf-8") as file:
            code.append([line for line in file if not line.startswith("\t.file")])
    return code[0] == code[1]


def judge(number, header, text, mutant):
    """Returns how a mutant ended: killed (by whom), survived, or None if it is to be drawn anew: also where no program
    that reaches it was run."""
    n, start, end, becomes, programs = mutant
    folder = f"build/mutants/{number}"
    os.makedirs(f"{folder}/tests", exist_ok=True)
    for file in glob.glob("tests/*.[ch]"):
        os.symlink(os.path.abspath(file), f"{folder}/{file}")
    for other in HEADERS:
        if other != header:
            os.symlink(os.path.abspath(other), f"{folder}/{other}")
    changed = text[n - 1][:start] + becomes + text[n - 1][end:]
    with open(f"{folder}/{header}", "w", encoding="utf-8") as file:
        file.write("\n".join([*text[:n - 1], changed, *text[n:]]))
    try:
        if same_code(folder, header) is not False:
            return None
        ran = 0
        for program in [each for each in programs if each != "replay"][:PROGRAMS]:
            if not compile_mutant(folder, program):
                continue
            ran += 1
            if execute([f"{folder}/{program}"], RUN_SECONDS)[0] != 0:
                return f"killed by {program}"
        return "SURVIVED" if ran else None
    finally:
        shutil.rmtree(folder, ignore_errors=True)


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--count", type=int, default=200)
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--header", choices=HEADERS, default="pathmap.h")
    options.add_argument("--part", default="")
    options = options.parse_args()
    try:
        with gzip.open("build/coverage/lines.json.gz", "rt", encoding="utf-8") as file:
            covered = json.load(file)[options.header]
    except OSError:
        sys.exit("what the tests run is not known yet: `make coverage`")
    os.makedirs("build/mutants", exist_ok=True)
    for model in glob.glob("tests/model*.c"):
        compiled = ["-c", model, "-o", f"build/mutants/{os.path.basename(model)[:-2]}.o"]
        subprocess.run([*CC, "-I.", "-Itests", "-DPATHMAP_SLIM_PTRS=1", *compiled], check=True)
    if os.path.exists(f"build/mutants/{options.header}.s"):
        os.remove(f"build/mutants/{options.header}.s")
    with open(options.header, encoding="utf-8") as file:
        text = file.read().split("\n")
    parts = parts_of(options.header)
    lines = [(int(n), by) for n, by in covered.items() if by and options.part in parts[int(n)]]
    drawn = list(candidates(text, lines))
    random.Random(options.seed).shuffle(drawn)
    end, killed, survived, anew = time.monotonic() + 60 * options.minutes, 0, 0, 0
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        waiting = iter(enumerate(drawn))
        running = {}
        while True:
            while len(running) < options.jobs and killed + survived + len(running) < options.count \
                    and time.monotonic() < end:
                number, mutant = next(waiting, (None, None))
                if mutant is None:
                    break
                running[pool.submit(judge, number, options.header, text, mutant)] = mutant
            if not running:
                break
            for job in concurrent.futures.wait(running, return_when="FIRST_COMPLETED").done:
                n, a, b, becomes, _ = running.pop(job)
                how = job.result()
                if how is None:
                    anew += 1
                    continue
                killed, survived = killed + (how != "SURVIVED"), survived + (how == "SURVIVED")
                print(f"{how}: {parts[n]} {options.header}:{n}")
                if how == "SURVIVED":
                    print(f"    - {text[n - 1].strip()}\n    + {(text[n - 1][:a] + becomes + text[n - 1][b:]).strip()}")
                sys.stdout.flush()
    print(f"{killed} of {killed + survived} mutants killed ({100 * killed / max(killed + survived, 1):.1f} %), "
          f"{anew} drawn anew (not compiling, the same code, or run by none)")


if __name__ == "__main__":
    main()
