#!/usr/bin/env python3
"""How many small faults in the headers the tests notice.

usage: mutants.py [--seed N] [--count N] [--minutes N] [--budget SECONDS] [--jobs N] [--header NAME] [--part WORD..]
                  [--only N..] [--tests WORD..]        (through make: `make mutants`, `make mutants MUTANTS='--seed 2'`)

Draws places in the code, in each part as many as it has lines; the same seed draws the same. Each is changed in one
small way: an operator, a constant, a condition, a call left out, a failure told as success. All mutants stand in one
copy of the headers: a function has a copy with the fault beside it, to which it passes on when the environment says so.
So each test program is compiled once, and each of its tests run once to see which mutants it reaches. A mutant runs in
the tests that reach it, the quickest first, until one fails, crashes, or takes too long: it is killed. One that all of
them pass (or as many as there is time for) survived, and is printed as a difference, except where an optimising
compiler makes the same code of it as of the original: that is no fault. Faults of tests/mutants.txt come before those
that are drawn, and a survivor of which it says why no test can notice it is counted as explained. --only tries but
these numbers; --budget limits the time that tests are tried for one mutant. The last line is the score."""
import argparse
import collections
import concurrent.futures
import glob
import hashlib
import json
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
# so many seconds by the clock.
TIMES, SECONDS, CLOCK = 3, 2, 60
# Tests that take longer than this without a fault are left out.
LONGEST = 20
KNOWN = 9000  # the number of the first fault of tests/mutants.txt
MEMORY = 4 << 30
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
    """Test programs with all mutants in them. A test is (program, words that choose it)."""

    def __init__(self, budget):
        self.budget = budget  # seconds of tests for one mutant
        self.lock, self.locks = threading.Lock(), collections.defaultdict(threading.Lock)
        self.seconds, self.reached, self.killed = {}, {}, collections.Counter()

    def once(self, out, command, sources):
        """Makes a file, if it is not there or older than its sources. False: that failed."""
        with self.lock:
            lock = self.locks[out]
        with lock:
            if os.path.exists(out) and os.path.getmtime(out) >= max(os.path.getmtime(source) for source in sources):
                return True
            return subprocess.run([*command, "-o", out], capture_output=True).returncode == 0

    def prepare(self, program):
        """Compiles a program and runs its tests without a fault. Returns what is to be said of it."""
        counts, name = program.split("/")
        flags = [f"-DPATHMAP_SLIM_PTRS={int(counts == 'slim')}", f"-I{FOLDER}/tree", f"-I{FOLDER}/tree/tests"]
        units = [f"tests/{name}.c", *code_of(name)] if name != "replay" else [
            *sorted(glob.glob("tests/replay*.c")), "tests/library.c"]
        models, objects = sorted(glob.glob("tests/model*.c")), []
        os.makedirs(f"{FOLDER}/{counts}", exist_ok=True)
        for unit in units + models:
            objects.append(f"{FOLDER}/{counts}/{os.path.basename(unit)[:-2]}.o")
            compiler = [*CC, "-O2"] if unit in models else PLAIN
            if not self.once(objects[-1], [*compiler, *flags, "-c", f"{FOLDER}/tree/{unit}"],
                             [unit, *glob.glob("tests/*.h")]):
                return "does not compile"
        if not self.once(f"{FOLDER}/{program}", [*CC, *objects, "-ldl"], objects):
            return "cannot be linked"
        tests, total, kept = self.tests_of(program), 0.0, f"{FOLDER}/{program}.json"
        if os.path.exists(kept) and os.path.getmtime(kept) > os.path.getmtime(f"{FOLDER}/{program}"):
            with open(kept, encoding="utf-8") as file:
                known = json.load(file)
            for test, (seconds, reached) in zip(tests, known):
                self.seconds[test], self.reached[test] = seconds, set(reached)
            return f"{len(known)} tests, known from before"
        for test in tests:
            reached = f"{FOLDER}/{counts}/reached.{name}"
            if os.path.exists(reached):
                os.remove(reached)
            status, seconds = self.run(test, -1, LONGEST, reached)
            if status == 0 and os.path.exists(reached):
                self.seconds[test] = seconds
                with open(reached, encoding="utf-8") as file:
                    self.reached[test] = {int(line) for line in file}
            total += seconds
        used = [self.reached[test] for test in tests if test in self.reached]
        if len(used) == len(tests):
            with open(kept, "w", encoding="utf-8") as file:
                json.dump([(self.seconds[test], sorted(self.reached[test])) for test in tests], file)
        return f"{len(used)} of {len(tests)} tests, {total:.1f} seconds, {len(set().union(*used))} mutants reached"

    def tests_of(self, program):
        if program.endswith("/replay"):
            scripts = sorted(glob.glob("tests/scripts/*.txt"))
            return [(program, ("--random", "1", "200", "200", "all", kind)) for kind in ("lattice", "sum")] + [
                (program, ("--both", *scripts))]
        done = subprocess.run([f"{FOLDER}/{program}", "--list"], capture_output=True, text=True, check=False)
        return [(program, (name,)) for name in done.stdout.split()]

    def run(self, test, number, seconds, reached=""):
        """(exit status, processor seconds) of a test with one mutant switched on."""
        limit = int(seconds) + 1
        process = subprocess.Popen(
            [f"{FOLDER}/{test[0]}", *test[1]], stdin=subprocess.DEVNULL, stdout=subprocess.DEVNULL,
            stderr=subprocess.DEVNULL, start_new_session=True,
            env={**os.environ, "MUTANT": str(number), "MUTANTS_SEEN": reached, "STRESS_SECONDS": "0.1"},
            preexec_fn=lambda: (resource.setrlimit(resource.RLIMIT_CPU, (limit, limit)),
                                resource.setrlimit(resource.RLIMIT_AS, (MEMORY, MEMORY)),
                                resource.setrlimit(resource.RLIMIT_CORE, (0, 0))))
        clock = threading.Timer(CLOCK + 10 * seconds, lambda: os.killpg(process.pid, signal.SIGKILL))
        clock.start()
        _, status, usage = os.wait4(process.pid, 0)
        clock.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        return process.returncode, usage.ru_utime + usage.ru_stime


def judge(number, part, programs):
    """Who killed a mutant, or SURVIVED with the number of tests that passed, or None where none reaches it."""
    left, ran, spent = [test for test, reached in programs.reached.items() if number in reached], 0, 0.0
    total = len(left)
    while left and spent < programs.budget:
        # The quick ones first, and those of programs that killed others of this part.
        left.sort(key=lambda t: -(programs.seconds[t] + 0.005) / (1 + 4 * programs.killed[part, t[0]]))
        test = left.pop()
        status, used = programs.run(test, number, TIMES * programs.seconds[test] + SECONDS)
        ran, spent = ran + 1, spent + used
        if status != 0:
            programs.killed[part, test[0]] += 1
            return f"killed by {test[0]} {test[1][0]}"
    return f"SURVIVED {ran} of {total} tests" if ran else None


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


def forget_other_programs():
    """What was compiled with other headers is of no use; with the same it is kept."""
    digest = hashlib.sha256()
    for header in HEADERS:
        with open(f"{FOLDER}/tree/{header}", "rb") as file:
            digest.update(file.read())
    kept = f"{FOLDER}/headers.sha256"
    if not os.path.exists(kept) or open(kept, encoding="ascii").read() != digest.hexdigest():
        for counts in ("slim", "standard"):
            shutil.rmtree(f"{FOLDER}/{counts}", ignore_errors=True)
    with open(kept, "w", encoding="ascii") as file:
        file.write(digest.hexdigest())


def entries(sources):
    """What tests/mutants.txt lists: the lines that each entry fits, as mutants, and the reason for no test, or ""."""
    with open("tests/mutants.txt", encoding="utf-8") as file:
        found = re.findall(r"^(\S+)\n- (.+)\n\+ (.+)((?:\n= .+)*)$", file.read(), re.M)
    for where, old, new, reason in found:
        fits = [Mutant(header, n, line.index(old), line.index(old) + len(old), new)
                for header, source in sources.items() for n, line in enumerate(source.text[:-1], 1)
                if source.parts[n] == where and old in line]
        if not fits and any(where in source.parts for source in sources.values()):
            sys.exit(f"tests/mutants.txt: {where} has no line with {old}")
        yield fits, re.sub(r"\n= ", " ", reason).strip()


def listed(sources, parts):
    """The faults of tests/mutants.txt that tests must notice."""
    for fits, reason in entries(sources):
        if fits and not reason and is_in(parts, sources[fits[0].header].parts[fits[0].line]):
            yield fits[0]


def explained(sources):
    """Why no test can notice what: by the changed line."""
    return {(m.header, m.line, sources[m.header].changed(m)): reason
            for fits, reason in entries(sources) if reason for m in fits}


def is_in(words, part):
    return any(word in part for word in words)


def draw(sources, options):
    """Mutants by number, as many in each part as it has lines; those that do not compile are drawn anew."""
    waiting, lines = {}, collections.Counter()
    for header, source in sources.items():
        by_part = collections.defaultdict(list)
        for n in sorted(source.lines):
            if is_in(options.part, source.parts[n]) and n in source.function_at:
                by_part[source.parts[n]] += candidates(header, source.text, n)
                lines[header, source.parts[n]] += 1
        for part, those in by_part.items():
            random.Random(f"{options.seed}/{header}/{part}").shuffle(those)
            waiting[header, part] = those
    total = sum(lines[key] for key in waiting)
    chosen = {key: max(options.count > 0, round(options.count * lines[key] / total)) for key in waiting}
    mutants = dict(enumerate(listed(sources, options.part), KNOWN))
    seen, number = set(), 0
    while True:
        for key, wanted in chosen.items():
            have = sum(n < KNOWN and (m.header, sources[m.header].parts[m.line]) == key for n, m in mutants.items())
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
    options.add_argument("--budget", type=float, default=120)
    options.add_argument("--header", choices=HEADERS)
    options.add_argument("--part", nargs="*", default=[""])
    options.add_argument("--only", nargs="*", type=int)
    options.add_argument("--tests", nargs="*", default=[""])
    options = options.parse_args()
    os.makedirs(f"{FOLDER}/tree/tests", exist_ok=True)
    for file in glob.glob("tests/*.[ch]"):
        if not os.path.lexists(f"{FOLDER}/tree/{file}"):
            os.symlink(os.path.abspath(file), f"{FOLDER}/tree/{file}")
    for header in HEADERS:  # not as links, since they are written to
        if os.path.lexists(f"{FOLDER}/tree/{header}"):
            os.remove(f"{FOLDER}/tree/{header}")
        shutil.copyfile(header, f"{FOLDER}/tree/{header}")
    sources = {h: Source(h) for h in HEADERS}
    mutants = draw({h: s for h, s in sources.items() if options.header in (None, h)}, options)
    for number in refused(sources, mutants):
        del mutants[number]
    refused(sources, mutants)
    forget_other_programs()
    programs, killed, survived = Programs(options.budget), 0, {}
    names = [f"slim/{os.path.basename(p)[:-2]}" for p in sorted(glob.glob("tests/test_*.c"))] + ["slim/replay"]
    names += ["standard/test_map", "standard/replay"]  # what slim counts do not have
    names = [name for name in names if any(word in name for word in options.tests)]
    with concurrent.futures.ThreadPoolExecutor(options.jobs) as pool:
        for name, said in zip(names, pool.map(programs.prepare, names)):
            print(f"{name}: {said}", flush=True)
    end = time.monotonic() + 60 * options.minutes

    def one(number):
        if time.monotonic() > end:
            return number, None
        mutant = mutants[number]
        return number, judge(number, sources[mutant.header].parts[mutant.line], programs)

    numbers = sorted(mutants if options.only is None else set(options.only) & set(mutants))
    random.Random(options.seed).shuffle(numbers)
    numbers.sort(key=lambda number: number < KNOWN)
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
    reasons, why = explained(sources), {}
    for number in sorted(set(survived) - same):
        mutant = survived[number]
        reason = reasons.get((mutant.header, mutant.line, sources[mutant.header].changed(mutant)))
        if reason:
            why[number] = reason
            print(f"{number}: explained: {reason}")
    count = killed + len(survived) - len(same)
    print(f"{killed} of {count} mutants killed ({100 * killed / max(count, 1):.1f} %), {len(why)} explained, "
          f"{count - killed - len(why)} not; {len(same)} others no faults, "
          f"{len(numbers) - killed - len(survived)} not tried (time, or no program runs them)")


if __name__ == "__main__":
    main()
