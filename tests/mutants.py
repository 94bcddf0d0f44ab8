#!/usr/bin/env python3
"""How many small faults in the headers the tests notice.

usage: mutants.py [--seed N] [--count N] [--minutes N] [--jobs N] [--header NAME] [--part WORD] [--only HEADER:LINE]
                                                       (through make: `make mutants`, `make mutants MUTANTS='--seed 2'`)

Draws places in the code, in each part as many as it has lines; the same seed draws the same. Each is changed in one
small way: an operator, a constant, a condition, a call left out, a failure told as success. All mutants stand in one
copy of the headers: a function has a copy with the fault beside it, to which it passes on when the environment says so.
So each test program is compiled once, and run once to see which mutants it reaches. A mutant runs in those that reach
it until one fails, crashes, or takes too long: it is killed. One that all of them pass survived, and is printed as a
difference, except where an optimising compiler makes the same code of it as of the original: that is no fault. --only
tries every change of one line. The last line is the score."""
import argparse
import collections
import concurrent.futures
import glob
import os
import random
import re
import resource
import shutil
import signal
import subprocess
import sys
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
from coverage import HEADERS, parts_of  # noqa: E402
from run_check import code_of  # noqa: E402

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
STORAGE = re.compile(r"\b(PM_API|INTERN_API|static|inline|PM__INLINE|PM__NOINLINE|PM__UNUSED|INTERN__INLINE|"
                     r"INTERN__NOINLINE|INTERN__UNUSED)\b")
FOLDER = "build/mutants"
CC = ["cc", "-std=c11", "-w", "-pthread"]
PLAIN = [*CC, "-O0", "-g0", "-Dalways_inline=unused"]
# A mutant that takes so many times the processor time of the original, and some seconds, hangs; so does one that takes
# so many seconds by the clock. Programs are tried for so many seconds in all, for one mutant.
TIMES, SECONDS, CLOCK, BUDGET = 4, 3, 60, 240
Function = collections.namedtuple("Function", "first last name signature arguments")
Mutant = collections.namedtuple("Mutant", "header line start end becomes")
PREAMBLE = """#ifndef MUTANT_NOW
#define MUTANT_NOW mutant__now
#include <stdlib.h>
#include <stdio.h>
static int mutant__now = -1;
static char mutant__seen[10000];
__attribute__((constructor(101))) static void mutant__set(void) {
    const char *number = getenv("MUTANT");
    if (number) mutant__now = atoi(number);
}
__attribute__((destructor)) static void mutant__end(void) {
    const char *name = getenv("MUTANTS_SEEN");
    FILE *file = name ? fopen(name, "a") : NULL;
    for (int i = 0; file && i < 10000; i++)
        if (mutant__seen[i]) fprintf(file, "%d\\n", i);
    if (file) fclose(file);
}
__attribute__((unused)) static int mutant__is(int i) {
    if (!mutant__seen[i]) mutant__seen[i] = 1;
    return mutant__now == i;
}
#endif
"""


def macro_of(header):
    return ("PATHMAP" if header == "pathmap.h" else "INTERNING") + "_IMPLEMENTATION"


def signature_of(text, first, last):
    """The function that begins at a line, if it can be copied: (name, signature to the brace, names of arguments)."""
    head = "\n".join(text[first - 1:last]).split("{", 1)[0]
    at, depth = head.rstrip().rfind(")"), 0
    for i in range(at, -1, -1):
        depth += (head[i] == ")") - (head[i] == "(")
        if depth == 0:
            break
    name = re.search(r"(\w+)\s*$", head[:i]) if at > 0 else None
    if not name or "..." in head or "#" in head:
        return None
    arguments, depth = [""], 0
    for c in head[i + 1:at]:
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            arguments.append("")
        else:
            arguments[-1] += c
    names = []
    for argument in arguments:
        found = re.search(r"\(\*(\w+)\)", argument) or re.search(r"(\w+)\s*(\[[^\]]*\])*\s*$", argument)
        if argument.strip() not in ("void", ""):
            names.append(found.group(1))
    return name.group(1), head, tuple(names)


def functions_of(text):
    """The functions that a header defines, from their first line to the closing brace."""
    found, n = [], 1
    while n <= len(text):
        line = text[n - 1]
        if re.match(r"[A-Za-z_]", line) and not line.startswith(("typedef", "enum", "struct", "union", "extern")) \
                and not (n > 1 and text[n - 2].endswith("\\")):
            brace = n
            while brace < len(text) and "{" not in text[brace - 1] and ";" not in text[brace - 1]:
                brace += 1
            opening = text[brace - 1]
            if re.search(r"\)[^;=()]*\{", opening):
                last = brace
                while not (text[last - 1].startswith("}") or (last == brace and opening.endswith("}"))):
                    last += 1
                if signature := signature_of(text, n, brace):
                    found.append(Function(n, last, *signature))
                n = last
        n += 1
    return found


def candidates(header, text, n):
    """Every change of a line that could be drawn."""
    line = text[n - 1]
    # What only prefetches changes nothing that a test could see.
    if line.lstrip().startswith(("#", "*", "/*", "static const", "enum")) or re.search("assert|prefetch", line.lower()):
        return
    hidden = [m.span() for m in NOT_CODE.finditer(line)]
    for pattern, becomes in RULES:
        for match in pattern.finditer(line):
            if not any(a < match.end() and match.start() < b for a, b in hidden):
                yield Mutant(header, n, match.start(), match.end(), match.expand(becomes))


class Source:
    """A header, its functions, and what it looks like with mutants in it."""

    def __init__(self, header):
        self.header, self.parts = header, parts_of(header)
        with open(header, encoding="utf-8") as file:
            self.text = file.read().split("\n")
        self.function_at = {n: f for f in functions_of(self.text) for n in range(f.first, f.last + 1)}
        self.lines = self.compiled_lines()

    def compiled_lines(self):
        """The lines that are left by the preprocessor, with one kind of counts or the other."""
        found = set()
        for slim in (1, 0):
            done = subprocess.run([*CC, "-E", "-I.", f"-DPATHMAP_SLIM_PTRS={slim}", f"-D{macro_of(self.header)}", "-x",
                                   "c", "-"], input=f"#include <{self.header}>\n", capture_output=True, text=True,
                                  check=True)
            here, n = False, 0
            for line in done.stdout.split("\n"):
                if mark := re.match(r'# (\d+) "([^"]*)"', line):
                    here, n = os.path.basename(mark.group(2)) == self.header, int(mark.group(1))
                    continue
                if here and line.strip():
                    found.add(n)
                n += 1
        return found

    def changed(self, mutant):
        line = self.text[mutant.line - 1]
        return line[:mutant.start] + mutant.becomes + line[mutant.end:]

    def copy(self, function, name, mutant=None, attributes=""):
        """A function's text under another name, with a fault, for this file alone."""
        lines = self.text[function.first - 1:function.last]
        if mutant:
            lines[mutant.line - function.first] = self.changed(mutant)
        body = "\n".join(lines)
        body = STORAGE.sub("", body[:len(function.signature)]) + body[len(function.signature):]
        body = re.sub(rf"\b{function.name}\(", f"{name}(", body, count=1)
        return f"{attributes} __attribute__((unused)) static {body}"

    def with_mutants(self, mutants):
        """The whole text with all mutants (number -> mutant), and which of its lines are whose."""
        by_function, out, whose = collections.defaultdict(list), PREAMBLE.split("\n"), {}
        for number, mutant in mutants.items():
            by_function[self.function_at[mutant.line]].append(number)
        at = {f.first: f for f in by_function}
        n = 1
        while n <= len(self.text):
            function = at.get(n)
            if not function:
                out.append(self.text[n - 1])
                n += 1
                continue
            passing = ""
            for number in by_function[function]:
                name = f"{function.name}__{number}"
                copy = self.copy(function, name, mutants[number]).split("\n")
                whose.update((len(out) + i, number) for i in range(1, len(copy) + 1))
                out += copy
                passing += f"if (mutant__is({number})) return {name}({', '.join(function.arguments)}); "
            body = "\n".join(self.text[n - 1:function.last])
            size = len(function.signature)
            out += (body[:size] + "{ " + passing + body[size + 1:]).split("\n")
            n = function.last + 1
        return "\n".join(out), whose


class Programs:
    """Test programs with all mutants in them, compiled when they are first wanted."""

    def __init__(self):
        self.lock, self.locks, self.seconds = threading.Lock(), collections.defaultdict(threading.Lock), {}
        self.killed, self.reached = collections.Counter(), {}

    def built(self, program):
        """Processor seconds of a run without a fault; None: the program cannot be used."""
        with self.lock:
            lock = self.locks[program]
        with lock:
            if program not in self.seconds:
                self.seconds[program] = self.compile(program)
        return self.seconds[program]

    def compile(self, program):
        counts, name = program.split("/")
        tree, flags = f"{FOLDER}/tree/tests", [f"-DPATHMAP_SLIM_PTRS={int(counts == 'slim')}", f"-I{FOLDER}/tree",
                                               f"-I{FOLDER}/tree/tests"]
        code = [f"{tree}/{os.path.basename(path)}" for path in code_of(name)] if name != "replay" else [
            *(f"{tree}/{os.path.basename(path)}" for path in sorted(glob.glob("tests/replay*.c"))), f"{tree}/library.c"]
        units = [f"{tree}/{name}.c"] * (name != "replay") + code
        objects = []
        os.makedirs(f"{FOLDER}/{counts}", exist_ok=True)
        for unit in units:
            out = f"{FOLDER}/{counts}/{os.path.basename(unit)[:-2]}.o"
            with self.lock:
                lock = self.locks[out]
            with lock:
                if not os.path.exists(out) and subprocess.run([*PLAIN, *flags, "-c", unit, "-o", out],
                                                              capture_output=True).returncode != 0:
                    return None
            objects.append(out)
        for model in sorted(glob.glob("tests/model*.c")):
            out = f"{FOLDER}/{counts}/{os.path.basename(model)[:-2]}.o"
            with self.lock:
                if not os.path.exists(out):
                    subprocess.run([*CC, "-O2", *flags, "-c", model, "-o", out], check=True)
            objects.append(out)
        if subprocess.run([*CC, *objects, "-ldl", "-o", f"{FOLDER}/{program}"], capture_output=True).returncode != 0:
            return None
        reached = f"{FOLDER}/{program}.reached"
        status, seconds = self.run(program, -1, 600, reached)
        if status != 0:
            print(f"not used: {program}: {status}", flush=True)
            return None
        with open(reached, encoding="utf-8") as file:
            self.reached[program] = {int(line) for line in file}
        return seconds

    def commands(self, program):
        if not program.endswith("/replay"):
            return [[f"{FOLDER}/{program}"]]
        return [[f"{FOLDER}/{program}", "--random", "1", "600", "200", "all", kind] for kind in ("lattice", "sum")] + [
            [f"{FOLDER}/{program}", "--both", *sorted(glob.glob("tests/scripts/*.txt"))]]

    def run(self, program, number, seconds, reached=""):
        """(exit status or word, processor seconds) of a program with one mutant switched on."""
        used = 0.0
        for command in self.commands(program):
            limit = int(seconds) + 1
            process = subprocess.Popen(
                command, stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
                env={**os.environ, "MUTANT": str(number), "MUTANTS_SEEN": reached, "STRESS_SECONDS": "0.3"},
                start_new_session=True,
                preexec_fn=lambda: (resource.setrlimit(resource.RLIMIT_CPU, (limit, limit)),
                                    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))))
            clock = threading.Timer(CLOCK + 10 * seconds, lambda p=process: os.killpg(p.pid, signal.SIGKILL))
            clock.start()
            _, status, usage = os.wait4(process.pid, 0)
            clock.cancel()
            process.returncode = end = os.waitstatus_to_exitcode(status)
            used += usage.ru_utime + usage.ru_stime
            if end != 0:
                return end, used
        return 0, used


def judge(number, part, names, programs):
    """Who killed a mutant, or SURVIVED with the number of programs that passed, or None where none could run."""
    ran, spent, left = 0, 0.0, list(names)
    while left and spent < BUDGET:
        # The quick ones first, and those that killed others of this part.
        left.sort(key=lambda n: (programs.seconds.get(n) or 2.0) / (1 + 4 * programs.killed[part, n]))
        name = left.pop(0)
        seconds = programs.built(name)
        if seconds is None:
            continue
        ran += 1
        status, used = programs.run(name, number, TIMES * seconds + SECONDS)
        spent += used
        if status != 0:
            programs.killed[part, name] += 1
            return f"killed by {name}"
    return f"SURVIVED {ran} of {len(names)} programs" if ran else None


def assembly_of(text, name):
    """What the compiler made of a function, with labels and its name by the order of their first occurrence."""
    body = re.search(rf"^{name}:\n(.*?)^\t\.size\t{name},", text, re.S | re.M)
    if not body:
        return None
    seen = {}
    return re.sub(r"\.L\w+|\b" + name + r"\b", lambda m: seen.setdefault(m.group(0), f"L{len(seen)}"), body.group(1))


def same_as_original(sources, survivors):
    """The numbers of those survivors of which the optimised code is that of the original."""
    same, kept = set(), "__attribute__((noinline, noclone, used))"
    for header, source in sources.items():
        mine = {number: m for number, m in survivors.items() if m.header == header}
        if not mine:
            continue
        text, at = list(source.text), collections.defaultdict(list)
        for number, mutant in mine.items():
            at[source.function_at[mutant.line]].append(number)
        for function in sorted(at, key=lambda f: -f.first):
            copies = [source.copy(function, f"original__{n}", None, kept) + "\n" +
                      source.copy(function, f"mutant__{n}", mine[n], kept) for n in at[function]]
            text[function.first - 1:function.first - 1] = copies
        os.makedirs(f"{FOLDER}/same", exist_ok=True)
        with open(f"{FOLDER}/same/{header}", "w", encoding="utf-8") as file:
            file.write("\n".join(text))
        command = [*CC, "-O1", "-S", "-g0", "-fno-ipa-icf", "-fno-reorder-functions", f"-I{FOLDER}/same", "-I.",
                   "-DPATHMAP_SLIM_PTRS=1", f"-D{macro_of(header)}", "-x", "c", "-o", "-", "-"]
        done = subprocess.run(command, input=f"#include <{header}>\n", capture_output=True, text=True)
        for number in mine:
            code = assembly_of(done.stdout, f"mutant__{number}")
            if code is not None and code == assembly_of(done.stdout, f"original__{number}"):
                same.add(number)
    return same


def refused(sources, mutants):
    """The numbers of mutants that do not compile; writes the headers with all mutants in them."""
    found = set()
    for header, source in sources.items():
        text, whose = source.with_mutants({n: m for n, m in mutants.items() if m.header == header})
        with open(f"{FOLDER}/tree/{header}", "w", encoding="utf-8") as file:
            file.write(text)
        for slim in (1, 0):
            done = subprocess.run([*PLAIN, "-fsyntax-only", "-fmax-errors=0", f"-I{FOLDER}/tree", "-x", "c", "-",
                                   f"-DPATHMAP_SLIM_PTRS={slim}", f"-D{macro_of(header)}"],
                                  input=f"#include <{header}>\n", capture_output=True, text=True)
            lines = re.findall(rf"{header}:(\d+):\d+: error", done.stderr)
            numbers = {whose[int(n)] for n in lines if int(n) in whose}
            if done.returncode != 0 and not numbers:
                sys.exit(f"the headers with mutants do not compile\n{done.stderr[:2000]}")
            found |= numbers
    return found


def draw(sources, options):
    """Mutants by number, as many in each part as it has lines; those that do not compile are drawn anew."""
    waiting, lines = {}, collections.Counter()
    for header, source in sources.items():
        by_part = collections.defaultdict(list)
        for n in sorted(source.lines):
            if options.part in source.parts[n] and n in source.function_at:
                by_part[source.parts[n]] += candidates(header, source.text, n)
                lines[header, source.parts[n]] += 1
        for part, those in by_part.items():
            random.Random(f"{options.seed}/{header}/{part}").shuffle(those)
            waiting[header, part] = those
    if options.only:
        header, line = options.only.split(":")
        return {i: m for i, m in enumerate(candidates(header, sources[header].text, int(line)), 1)}
    total = sum(lines[key] for key in waiting)
    chosen = {key: max(1, round(options.count * lines[key] / total)) for key in waiting}
    mutants, seen, number = {}, set(), 0
    while True:
        for key, wanted in chosen.items():
            have = sum((m.header, sources[m.header].parts[m.line]) == key for m in mutants.values())
            while have < wanted and waiting[key]:
                mutant = waiting[key].pop()
                if mutant[:2] not in seen:  # one of each line
                    number, have = number + 1, have + 1
                    mutants[number] = mutant
                    seen.add(mutant[:2])
        bad = refused(sources, mutants)
        if not bad:
            return mutants
        for each in bad:
            del mutants[each]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--seed", type=int, default=1)
    options.add_argument("--count", type=int, default=300)
    options.add_argument("--minutes", type=float, default=60)
    options.add_argument("--jobs", type=int, default=2)
    options.add_argument("--header", choices=HEADERS)
    options.add_argument("--part", default="")
    options.add_argument("--only")
    options = options.parse_args()
    shutil.rmtree(FOLDER, ignore_errors=True)
    os.makedirs(f"{FOLDER}/tree/tests")
    for file in glob.glob("tests/*.[ch]"):
        os.symlink(os.path.abspath(file), f"{FOLDER}/tree/{file}")
    sources = {h: Source(h) for h in HEADERS}
    mutants = draw({h: s for h, s in sources.items() if options.header in (None, h)}, options)
    for header in HEADERS:
        if not os.path.exists(f"{FOLDER}/tree/{header}"):
            os.symlink(os.path.abspath(header), f"{FOLDER}/tree/{header}")
    for number in refused(sources, mutants):
        del mutants[number]
    refused(sources, mutants)
    programs, killed, survived = Programs(), 0, {}
    names = [f"slim/{os.path.basename(p)[:-2]}" for p in sorted(glob.glob("tests/test_*.c"))] + ["slim/replay"]
    names += ["standard/test_map", "standard/replay"]  # what slim counts do not have
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for name, seconds in zip(names, pool.map(programs.built, names)):
            print(f"{name}: {seconds} seconds, reaches {len(programs.reached.get(name, ()))} mutants", flush=True)
    end = time.monotonic() + 60 * options.minutes

    def one(number):
        if time.monotonic() > end:
            return number, None
        mutant = mutants[number]
        names = [n for n, reached in programs.reached.items() if number in reached]
        return number, judge(number, sources[mutant.header].parts[mutant.line], names, programs)

    numbers = sorted(mutants)
    random.Random(options.seed).shuffle(numbers)
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for number, how in pool.map(one, numbers):
            if how is None:
                continue
            mutant = mutants[number]
            source = sources[mutant.header]
            print(f"{number}: {how}: {source.parts[mutant.line]} {mutant.header}:{mutant.line}", flush=True)
            if how.startswith("SURVIVED"):
                survived[number] = mutant
                print(f"    - {source.text[mutant.line - 1].strip()}\n    + {source.changed(mutant).strip()}",
                      flush=True)
            else:
                killed += 1
    same = same_as_original(sources, survived)
    for number in sorted(same):
        print(f"{number}: the same code as the original: no fault")
    count = killed + len(survived) - len(same)
    print(f"{killed} of {count} mutants killed ({100 * killed / max(count, 1):.1f} %), {len(same)} others no faults, "
          f"{len(mutants) - killed - len(survived)} not tried (time, or no program runs them)")


if __name__ == "__main__":
    main()
