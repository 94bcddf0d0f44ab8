#!/usr/bin/env python3
"""Runs the project's checks, two at a time, and counts them.

usage: run_check.py [--jobs N] [--table PAGE] [--machines WORD..] [--programs NAME..] GROUP..
                                                              (through make: `make check`, `make test`, `make asan`, ..)

A job builds what it needs with make, runs it, and prints one line as it ends: outcome, time by the clock, processor
time, name, counts. A test program counts as many checks as its last line says (`N passed, N failed, N skipped`), any
other job counts one. What a machine lacks is skipped, with a line that says so, and counted. Failures are shown where
they happen and named again at the end. The last line is the sum; the exit status is 1 if anything failed."""
import argparse
import collections
import concurrent.futures
import contextlib
import difflib
import filecmp
import glob
import os
import re
import resource
import shlex
import shutil
import signal
import subprocess
import sys
import tempfile
import threading
import time

sys.path.insert(0, os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
import amalgamate  # noqa: E402
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import rules  # noqa: E402

SUMMARY = re.compile(r"(\d+) passed, (\d+) failed, (\d+) skipped")
CC = shlex.split(os.environ.get("CC", "cc"))
CLANG = os.environ.get("CLANG", "clang")
# make's own settings must not reach the makes that run here: their job counts are ours to choose.
ENVIRONMENT = {k: v for k, v in os.environ.items() if k not in ("MAKEFLAGS", "MFLAGS", "MAKELEVEL")}
ENVIRONMENT.update(ASAN_OPTIONS="detect_leaks=1", UBSAN_OPTIONS="print_stacktrace=1",
                   TSAN_OPTIONS="halt_on_error=1 second_deadlock_stack=1", CC=" ".join(CC), CLANG=CLANG)

WARNINGS = ("-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror")
COUNTS = ("slim", "standard")
# Switches of pathmap.h, each tried with slim counts by the tests whose subject it touches. Those without the pool are
# many anyway: by their own choice, and all under AddressSanitizer.
SWITCHES = {
    "nothreads": ("test_map", "test_read_zipper", "test_algebra", "test_memory", "test_region", "test_counts"),
    "check3": ("test_map", "test_read_zipper", "test_algebra", "test_write_zipper", "test_head", "test_threads"),
    "nosimd": ("test_map", "test_read_zipper", "test_algebra", "test_inspect"),
    "nopool": ()}
# Tests that use threads for something else than sharing, such as small stacks, and take long under ThreadSanitizer.
UNSHARED_TESTS = ("test_algebra", "test_deep", "test_rust_faults", "test_fold")
# Of these, only what threads share: the rest takes minutes under ThreadSanitizer and has one thread in each process.
SHARED_WORDS = {"test_mixed": ("several_threads",),
                "test_parallel": ("of_threads", "builds"),
                "test_region": ("of_several_threads", "threads_that_trade"),
                "test_store": ("several_threads", "any_number_of_readers", "beside_commits"),
                "test_summary": ("while_the_map_is_written",)}
CORE_TESTS = ("test_map", "test_write_zipper", "test_head", "test_threads")

# What threads share, under ThreadSanitizer with standard counts too.
SHARING_TESTS = ("test_histories", "test_shared", "test_memory", "test_threads")

# The kind of counts is a matter of what a reference and a node's head are (five parts of src/pathmap), and of who frees
# what and when. So the tests that share the implementation, and those of counts, ownership and layout, run with both
# kinds; the others compile it privately, take longer, and look at what comes above.
COUNTED_TESTS = CORE_TESTS + ("test_counts", "test_inspect", "test_memory", "test_region", "test_schedules",
                              "test_shared", "test_store", "test_values")
# With standard counts under AddressSanitizer; all tests are with slim ones. It does not see a region's blocks.
WATCHED_TESTS = ("test_algebra", "test_combine", "test_counts", "test_image", "test_map", "test_memory",
                 "test_read_zipper", "test_threads", "test_typed", "test_update")
# Of these only a part under AddressSanitizer: words allocate as counted values do, and have no hooks to go wrong.
WATCHED_WORDS = {"test_oom": ("units", "counted", "full_lines")}

# Not in `make test` but in `make matrix`: schedules of a head, and each allocation's failure in a pool and a region.
LONG_TESTS = ("test_head_schedules", "test_oom_pool", "test_oom_region")
# Beside those that share the implementation clang runs these; it asks the others for warnings.
CLANG_TESTS = CORE_TESTS + ("test_counts", "test_interning", "test_interning_threads", "test_mask", "test_memory",
                            "test_region", "test_shared")
# All schedules skip themselves where a checker watches, and so do children of a process with threads; what a pool or a
# region holds it does not see.
UNCHECKED_TESTS = ("test_head_schedules", "test_memory_schedules", "test_region_schedules", "test_schedules",
                   "test_oom_pool", "test_oom_region", "test_process")

BUILD_SECONDS = 300
PREPARE_SECONDS = 1800  # the whole implementation, once for each configuration
RUN_SECONDS = 400
EMULATED_SECONDS = 1600


class Result:
    """What a job found: counts, a short note for its line, a log that is shown when it failed, why tests skipped."""

    def __init__(self, passed=0, failed=0, skipped=0, note="", log="", reasons=()):
        self.passed, self.failed, self.skipped, self.note, self.log = passed, failed, skipped, note, log
        self.reasons = reasons


def good(note=""):
    return Result(passed=1, note=note)


def bad(note, log=""):
    return Result(failed=1, note=note, log=log)


def skip(reason):
    return Result(skipped=1, note=reason, reasons=[reason])


used = threading.local()  # seconds: the processor time that programs of the job in this thread have taken


def execute(command, seconds=RUN_SECONDS):
    """Runs a command in a process group of its own. Returns (exit status or words, standard output, all output)."""
    late = []

    def stop():
        late.append(f"stopped after {seconds} seconds")
        with contextlib.suppress(ProcessLookupError):
            os.killpg(process.pid, signal.SIGKILL)

    with tempfile.TemporaryFile() as out, tempfile.TemporaryFile() as err:
        process = subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=out, stderr=err, env=ENVIRONMENT,
                                   start_new_session=True)
        timer = threading.Timer(seconds, stop)
        timer.start()
        _, status, usage = os.wait4(process.pid, 0)  # which says what it took, as subprocess would not
        timer.cancel()
        process.returncode = os.waitstatus_to_exitcode(status)
        used.seconds = getattr(used, "seconds", 0) + usage.ru_utime + usage.ru_stime
        texts = []
        for file in (out, err):
            file.seek(0)
            texts.append(file.read().decode("utf-8", "replace"))
    return late[0] if late else process.returncode, texts[0], "".join(texts)


def build(*targets, seconds=BUILD_SECONDS):
    """Makes targets. Returns the log if that failed, else None."""
    status, _, log = execute(["make", "--no-print-directory", *targets], seconds)
    return None if status == 0 else log


def run_program(command, seconds=RUN_SECONDS):
    """Runs a program whose last line of standard output counts what it did."""
    status, out, log = execute(command, seconds)
    lines = out.rstrip().split("\n")
    found = SUMMARY.fullmatch(lines[-1])
    if not found:
        return bad(f"exit {status}, no summary", log)
    passed, failed, skipped = map(int, found.groups())
    if status != 0 and failed == 0:
        return Result(passed, 1, skipped, f"exit {status}", log)
    if passed + failed + skipped == 0:
        return bad("ran nothing", log)
    reasons = [line for line in lines if line.startswith("SKIPPED ")]
    if status == 0 and failed:
        log += "\n(the program failed, but its exit status says otherwise)\n"
    return Result(passed, failed, skipped, "; ".join([lines[-1], *reasons]), log,
                  [line.split(": ", 1)[-1].strip() for line in reasons])


# Jobs. Each is a function without arguments that returns a Result.

def stress_of(config, test):
    """For how long a test that has a clock keeps its threads busy: longer where races are looked for."""
    if not mentioning(r'"stress\.h"', [test]):
        return []
    return ["env", f"STRESS_SECONDS={0.7 if set(config.split('-')) & {'tsan', 'o2'} else 0.25}"]


def unit_job(config, test, wrapper=(), words=()):
    def job():
        program = f"build/{config}/{test}"
        log = build(program)
        if log is not None:
            return bad("does not build", log)
        return run_program([*stress_of(config, test), *wrapper, program, *words])
    return job


def nulls_job():
    """NULL in each argument: a program that a script writes."""
    program = "build/slim/test_nulls"
    log = build(program)
    return run_program([program]) if log is None else bad("does not build", log)


def command_job(command, seconds=RUN_SECONDS):
    def job():
        status, _, log = execute(command, seconds)
        return good() if status == 0 else bad(f"exit {status}", log)
    return job


def counting_job(command):
    return lambda: run_program(command)


def difference(expected, found, names):
    lines = list(difflib.unified_diff(expected.splitlines(), found.splitlines(), *names, lineterm="", n=1))
    return "\n".join(lines[:20])


def use_job(config, programs):
    """Ways to use the headers: each program must build and end with 0. One make for all, as they share a file."""
    def job():
        targets = [f"build/{config}/{program}" for program in programs]
        log = build(*targets)
        if log is not None:
            return bad("does not build", log)
        for target in targets:
            status, _, log = execute([target])
            if status != 0:
                return bad(f"exit {status}: {target}", log)
        return good()
    return job


def compile_job(compiler, flags, source="use_two_units_a.c"):
    """A source, else the whole implementation, must compile under the given switches without a warning."""
    def job():
        with tempfile.TemporaryDirectory() as folder:
            command = [*compiler, *WARNINGS, "-I.", *flags, "-c", f"tests/{source}", "-o", folder + "/a.o"]
            status, _, log = execute(command, BUILD_SECONDS)
        return good() if status == 0 else bad(f"exit {status}", log)
    return job


def symbols_job():
    """A private copy must not show a single symbol of the library to the linker."""
    if not shutil.which("nm"):
        return skip("no nm")
    with tempfile.TemporaryDirectory() as folder:
        unit = folder + "/unit.o"
        status, _, log = execute([*CC, "-std=c11", "-O1", "-I.", "-c", "tests/use_static.c", "-o", unit], BUILD_SECONDS)
        if status != 0:
            return bad(f"exit {status}", log)
        status, out, log = execute(["nm", "--extern-only", "--defined-only", unit])
    names = [line.split()[-1] for line in out.splitlines() if line]
    return good() if status == 0 and names == ["main"] else bad(f"exported: {' '.join(names)}", log)


def replay_job(program, script):
    """The library's output must be what the script's .out file says, the model's too, and neither may differ."""
    def job():
        with open(script[:-4] + ".out", encoding="utf-8") as file:
            expected = file.read()
        for arguments in ([], ["--model"]):
            status, out, log = execute([program, *arguments, script])
            if status != 0 or out != expected:
                words = " ".join([program, *arguments, script])
                return bad(f"exit {status}: {words}", difference(expected, out, (script[:-4] + ".out", words)) or log)
        status, _, log = execute([program, "--both", script])
        return good() if status == 0 else bad(f"--both: exit {status}", log)
    return job


def all_scripts_job(config, wrapper):
    """Every script through the library alone, under a checker: its output is compared elsewhere."""
    def job():
        program = f"build/{config}/replay"
        log = build(program)
        if log is not None:
            return bad("does not build", log)
        for script in sorted(glob.glob("tests/scripts/*.txt")):
            status, _, log = execute([*wrapper, program, script])
            if status != 0:
                return bad(f"exit {status}: {program} {script}", log[-4000:])
        return good()
    return job


def random_replay_job(program, arguments):
    """Random scripts on the library and on the model, which must agree after every line."""
    def job():
        command = [program, "--random", *arguments]
        status, _, log = execute(command)
        return good() if status == 0 else bad(f"exit {status}: {' '.join(command)}", log)
    return job


# How an example is started that is not simply run, and what must be there for it.
MPI_RUN = ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "4"]
STARTED_BY = {"mpi_build": MPI_RUN}


def lacks_mpi():
    return not shutil.which("mpirun") or execute(["pkg-config", "--exists", "ompi-c"])[0] != 0


def example_job(name):
    """An example must build, end well, and print what its .out file says, where it has one."""
    def job():
        program = f"build/examples/{name}"
        if name == "mpi_build" and lacks_mpi():
            return skip("no Open MPI (packages libopenmpi-dev, openmpi-bin), or no pkg-config that finds it")
        log = build(program)
        if log is not None:
            return bad("does not build", log)
        status, out, log = execute([*STARTED_BY.get(name, []), program])
        if status != 0:
            return bad(f"exit {status}", log)
        wanted = f"examples/{name}.out"
        if name == "readme":
            return check_readme(out)
        if not os.path.exists(wanted):
            return good("ran; no output is prescribed")
        with open(wanted, encoding="utf-8") as file:
            expected = file.read()
        return good() if out == expected else bad("other output", difference(expected, out, (wanted, program)))
    return job


def whole_examples_job():
    """Examples are linked with the code: they must compile with it in them too, as a user compiles them."""
    for path in sorted(glob.glob("examples/*.c")):
        if path == "examples/mpi_build.c" and lacks_mpi():
            continue
        wants = execute(["pkg-config", "--cflags", "ompi-c"])[1].replace("-I", "-isystem") if "mpi" in path else ""
        status, _, log = execute([CLANG, "-std=c11", *WARNINGS, *NO_CODE, "-I.", *wants.split(), path], BUILD_SECONDS)
        if status != 0:
            return bad(f"exit {status}: {path}", log)
    return good()


def check_readme(printed):
    """The README's first C program is examples/readme.c, and the block after it is what that prints."""
    if not os.path.exists("README.md"):
        return skip("no README.md to compare with")
    with open("README.md", encoding="utf-8") as file:
        blocks = re.findall(r"^```(\w*)\n(.*?)^```$", file.read(), re.S | re.M)
    with open("examples/readme.c", encoding="utf-8") as file:
        source = file.read()
    at = next((i for i, (language, _) in enumerate(blocks[:-1]) if language == "c"), None)
    if at is None:
        return bad("README.md has no C program followed by its output")
    for wanted, found, names in ((source, blocks[at][1], ("examples/readme.c", "README.md")),
                                 (blocks[at + 1][1], printed, ("README.md", "printed"))):
        if found != wanted:
            return bad(f"{names[0]} and {names[1]} differ", difference(wanted, found, names))
    return good("the README's program and output")


def head_program(path):
    """The program at the head of a header, and what it prints: the indented blocks from an #include or #define on, and
    behind the words "which prints"."""
    with open(path, encoding="utf-8") as file:
        text = file.read()
    text = text[:text.index("*/")]
    program = re.search(r"^ {7}#define \w+_IMPLEMENTATION.*?^ {7}\}\n", text, re.S | re.M)
    printed = re.search(r"which prints\n\n((?: {7}.*\n)+)", text)
    return tuple(re.sub(r"^ {7}", "", found.group(found.lastindex or 0), flags=re.M) for found in (program, printed))


def head_job(library):
    """The program at the head of a header must do what is said there."""
    def job():
        program, expected = head_program(f"src/{library}/00_intro.h")
        with tempfile.TemporaryDirectory() as folder:
            with open(f"{folder}/head.c", "w", encoding="utf-8") as file:
                file.write(program)
            command = [*CC, "-std=c11", *WARNINGS, "-I.", "-pthread", f"{folder}/head.c", "-o", f"{folder}/head"]
            status, _, log = execute(command, BUILD_SECONDS)
            if status != 0:
                return bad("does not build", log)
            status, out, log = execute([f"{folder}/head"])
        if status != 0:
            return bad(f"exit {status}", log)
        return good() if out == expected else bad("other output", difference(expected, out, ("said", "printed")))
    return job


def style_job():
    """Plain rules of form, on every source file."""
    faults = []
    names = [n for pattern in ("*.py", "src/*/*.[ch]", "tests/*.*", "bench/*.*", "bench/rivals*/*.*", "examples/*.[ch]",
                               "docs/site/*.*")
             for n in glob.glob(pattern) if n.endswith((".c", ".h", ".cc", ".py", ".cpp", ".js", ".css", ".html"))]
    marks = re.compile(r"\b(TO" r"DO|FIX" r"ME|XX" r"X)\b")
    for name in sorted(names):
        with open(name, "rb") as file:
            text = file.read().decode("utf-8", "replace")
        if text and not text.endswith("\n"):
            faults.append(f"{name}: no line end at the end")
        for number, line in enumerate(text.split("\n"), 1):
            wrong = {"over 120 columns": len(line) > 120, "trailing blank": line != line.rstrip(),
                     "tab": "\t" in line, "unfinished mark": marks.search(line)}
            faults += [f"{name}:{number}: {what}" for what, is_so in wrong.items() if is_so]
    return bad(f"{len(faults)} faults", "\n".join(faults)) if faults else good(f"{len(names)} files")


# The first lines of function definitions and declarations, at the left margin.
FUNCTION = re.compile(r"^(?!#|typedef|return|else)[A-Za-z_][^;{}()#=]*?\b(pm__([a-z0-9]+)[a-z0-9_]*)\(", re.M)


def defined(text):
    """Internal functions that a part defines, as (name, prefix)."""
    text = amalgamate.without_comments(text)
    for found in FUNCTION.finditer(text):
        at, depth = found.end(), 1
        while depth and at < len(text):
            depth += (text[at] == "(") - (text[at] == ")")
            at += 1
        if re.match(r"\s*\{", text[at:]):
            yield found.groups()


def prefix_job():
    """A prefix of internal names, the word after pm__, is that of one part: it tells where a function is."""
    parts = {}
    for path in sorted(glob.glob("src/pathmap/*.c")):
        with open(path, encoding="utf-8") as file:
            for name, prefix in defined(file.read()):
                parts.setdefault(prefix, {}).setdefault(os.path.basename(path), []).append(name)
    faults = [f"prefix {prefix}: " + "; ".join(f"{part}: {', '.join(names[:3])}" for part, names in by_part.items())
              for prefix, by_part in sorted(parts.items()) if len(by_part) > 1]
    if faults:
        return bad(f"{len(faults)} prefixes in several parts", "\n".join(faults))
    return good(f"{len(parts)} prefixes")


def prototypes_job():
    """Public functions are declared as tests/rules.py says, and the README's figures are measured ones."""
    faults, n = rules.misplaced_results()
    faults += rules.uncommented()[0] + rules.unknown_first() + rules.unshown() + rules.unmeasured()
    return bad(f"{len(faults)} faults", "\n".join(faults)) if faults or not n else good(f"{n} functions")


def site_job():
    """The site and the man pages build without a warning, and no link leads nowhere."""
    lacking = [f"{tool} (package {package})" for tool, package in (("pandoc", "pandoc"), ("dot", "graphviz"))
               if not shutil.which(tool)]
    if lacking:
        return skip(f"no {' and no '.join(lacking)}: site and man pages were not built")
    log = build("site-recorded", "man")
    return bad("does not build", log) if log is not None else good()


# Groups: lists of (name, job). The longest jobs stand first, so that two workers end together.

def tests():
    return sorted(os.path.basename(path)[:-2] for path in glob.glob("tests/test_*.c"))


def mentioning(pattern, names):
    found = []
    for name in names:
        with open(f"tests/{name}.c", encoding="utf-8") as file:
            if re.search(pattern, file.read()):
                found.append(name)
    return found


def sharing():
    """Those that are linked with the implementation, which is compiled once for each configuration."""
    return mentioning(r'"library\.h"', tests())


def counted():
    """Those that run with standard counts too."""
    return [name for name in tests() if name in COUNTED_TESTS or name in sharing()]


def has_clang():
    return shutil.which(CLANG) is not None


def missing(name, reason):
    return [(name, lambda: skip(reason))]


def unit_jobs(configs, names, words=()):
    return [(f"{config}/{name}", unit_job(config, name, (), words)) for config in configs for name in names]


def group_units():
    return (unit_jobs(["slim"], [name for name in tests() if name not in LONG_TESTS]) +
            unit_jobs(["standard"], counted()))


def group_matrix():
    jobs = unit_jobs(["slim"], LONG_TESTS) + unit_jobs(["standard"], ["test_oom"])
    jobs.append(("slim/test_nulls", nulls_job))
    for switch, names in SWITCHES.items():
        jobs += unit_jobs([f"slim-{switch}"], names)
    # Counts that are not atomic are others in each kind.
    jobs += unit_jobs(["standard-nothreads"], ["test_map", "test_memory"])
    # Plain tests are compiled with -O1.
    jobs += unit_jobs(["slim-o2"], [*CORE_TESTS, "test_algebra", "test_read_zipper"])
    # Other ways to wait and to notice a thread's end than this machine's own.
    jobs += unit_jobs(["slim-nofutex"], ["test_head", "test_interning_threads", "test_process", "test_shared"])
    jobs += unit_jobs(["slim-c11threads"], ["test_memory", "test_threads"])
    if not has_clang():
        return jobs + missing("clang", f"no {CLANG}: nothing was tested under it")
    run = [name for name in tests() if name in CLANG_TESTS or name in sharing()]
    jobs += unit_jobs(["clang-slim"], run)
    jobs += [(f"{CLANG}, {name}", compile_job([CLANG], ["-std=c11", *NO_CODE, "-Itests"], f"{name}.c"))
             for name in tests() if name not in run]
    for switch in SWITCHES:
        for counts in COUNTS:
            config = f"clang-{counts}-{switch}"
            jobs.append((f"{config}/use_static", use_job(config, ["use_static"])))
    return jobs


def sanitizer_works(flag):
    """Whether $(CC) has the sanitizer and its programs run here; a list to put before their names if need be."""
    with tempfile.TemporaryDirectory() as folder:
        source, program = folder + "/t.c", folder + "/t"
        with open(source, "w", encoding="utf-8") as file:
            file.write("int main(void) { return 0; }\n")
        if execute([*CC, flag, "-pthread", source, "-o", program], BUILD_SECONDS)[0] != 0:
            return None
        # Some kernels place programs where ThreadSanitizer cannot work, unless told not to.
        for wrapper in ([], ["setarch", "-R"]):
            if (not wrapper or shutil.which(wrapper[0])) and execute([*wrapper, program], 60)[0] == 0:
                return wrapper
    return None


def group_asan():
    wrapper = sanitizer_works("-fsanitize=address,undefined")
    if wrapper is None:
        return missing("asan", "no working AddressSanitizer")
    jobs = []
    # Without the pool each node is an allocation of its own, which the checker then watches by itself.
    watched = [name for name in tests() if name not in UNCHECKED_TESTS]
    for config, names in (("slim-asan", watched), ("standard-asan", WATCHED_TESTS)):
        jobs += [(f"{config}/{name}", unit_job(config, name, wrapper, WATCHED_WORDS.get(name, ()))) for name in names]
        jobs.append((f"{config}/replay, all scripts", all_scripts_job(config, wrapper)))
    return jobs


def group_tsan():
    wrapper = sanitizer_works("-fsanitize=thread")
    if wrapper is None:
        return missing("tsan", "no working ThreadSanitizer")
    names = [name for name in mentioning("pthread_create", tests()) if name not in UNSHARED_TESTS]
    standard = [name for name in names if name in SHARING_TESTS]
    return [(f"{config}/{name}", unit_job(config, name, wrapper, SHARED_WORDS.get(name, ())))
            for config, names in (("slim-tsan", names), ("standard-tsan", standard)) for name in names]


VALGRIND_TESTS = ("test_inspect", "test_interning", "test_memory", "test_views", "test_write_zipper")


def group_valgrind():
    if not shutil.which("valgrind"):
        return missing("valgrind", "no valgrind")
    wrapper = ["valgrind", "-q", "--error-exitcode=99", "--leak-check=full", "--show-leak-kinds=definite",
               "--errors-for-leak-kinds=definite"]
    return [(f"valgrind/{name}", unit_job("slim", name, wrapper)) for name in tests() if name in VALGRIND_TESTS]


# Small tests with threads, whose atomics tell DRD what they order (tests/annotate.h), so that no report is a false one.
# Of test_threads those that are not too slow under it.
DRD_WORDS = ("clones_of_one", "through_a_head", "never_stop", "between_writers", "shared_map", "hand_", "kept_apart")
DRD_TESTS = (("slim", "test_threads", DRD_WORDS), ("slim", "test_histories", ()), ("slim", "test_shared", ()),
             ("standard", "test_shared", ()))
DRD = ("env", "STRESS_SECONDS=0.2", "valgrind", "-q", "--tool=drd", "--fair-sched=try", "--error-exitcode=99")


def weakened_job(kind):
    """Releases of this kind are left unsaid: DRD must report the races that follow, or it sees none at all."""
    def job():
        log = build("build/slim-drd/test_threads")
        if log is not None:
            return bad("does not build", log)
        # Whether two threads meet there within one short run is a matter of chance: longer and longer ones.
        for seconds in ("0.2", "0.5", "1", "2", "4", "8"):
            status, _, log = execute([*DRD[:1], f"ANNOTATE_WEAKEN={kind}", f"STRESS_SECONDS={seconds}", *DRD[2:],
                                      "--exit-on-first-error=yes", "build/slim-drd/test_threads",
                                      "threads_change_clones", "threads_update_and_load"])
            if status == 99 and "Conflicting" in log:
                return good("reported")
        return bad(f"exit {status}: no report", log)
    return job


def group_drd():
    if not shutil.which("valgrind") or not os.path.exists("/usr/include/valgrind/drd.h"):
        return missing("drd", "no valgrind with its headers")
    return ([(f"{counts}-drd/{name}", unit_job(f"{counts}-drd", name, DRD, words))
             for counts, name, words in DRD_TESTS] +
            [(f"slim-drd/seeded race, {kind}", weakened_job(kind)) for kind in ("sub", "store", "rmw")])


# Operation groups and value algebra of random scripts, and how many scripts of how many operations.
RANDOM_KINDS = (("map", "lattice"), ("map,read", "lattice"), ("map,read,write", "lattice"), ("map,algebra", "sum"),
                ("map,order", "lattice"), ("map,algebra,order", "sum"), ("all", "lattice"), ("all", "sum"))
RANDOM_SIZE = ("1500", "200")
# With standard counts, which of these: nothing but the kind of counts differs.
COUNTED_KINDS = (("all", "lattice"), ("all", "sum"))


def group_replay():
    if not os.path.exists("tests/replay.c"):
        return missing("replay", "no tests/replay.c")
    log = build("replay")
    if log is not None:
        return [("replay", lambda: bad("does not build", log))]
    jobs = []
    scripts = sorted(glob.glob("tests/scripts/*.txt"))
    for program in ("build/replay", "build/replay-slim"):
        short = os.path.basename(program)
        jobs += [(f"{short} {os.path.basename(script)}", replay_job(program, script)) for script in scripts]
        jobs += [(f"{short} --random, {kind[0]}, {kind[1]}", random_replay_job(program, ["1", *RANDOM_SIZE, *kind]))
                 for kind in (RANDOM_KINDS if "slim" in short else COUNTED_KINDS)]
    return jobs


# Runs of the models in tests/models: what is looked at, the model, its sizes and switches, how the checker is compiled
# (what has few states is through sooner than optimised), and the faults that it must find. A run without a fault must
# find nothing.
MODELS = (
    ("fence beside reader and writer that comes", "head", "WRITERS=2 LATE=1 FENCES=1 READERS=1 CHANGES=1", "-O1",
     "CLEAN_WRITERS_GO"),
    ("groups beside fence, short of memory", "head", "WRITERS=2 FENCES=1 GROUPS MEMORY=1 CHANGES=1", "-O1",
     "GROUPS_END_AT_ONCE"),
    ("calls of two writers beside readers", "head", "WRITERS=2 JOIN READERS=2", "-O1", "SHARED_COPY NO_COPY"),
    ("two fences", "head", "WRITERS=2 FENCES=2 CHANGES=1", "-O0", "CLEAN_WRITERS_GO"),
    ("late stores beside readers", "head", "WRITERS=1 BUFFERS READERS=2 CHANGES=3", "-O0",
     "NO_BARRIER FLAG_SWITCH STRICT_IN_NAME"),
    ("late stores of groups", "head", "WRITERS=1 BUFFERS READERS=1 GROUPS CHANGES=3", "-O0", "NO_BARRIER"),
    ("late stores beside fence", "head", "WRITERS=2 BUFFERS FENCES=1", "-O0", "NO_BARRIER FLAG_SWITCH"),
    ("calls of two writers beside fence", "head", "WRITERS=2 JOIN READERS=1 FENCES=1", "-O0", "HELD_WRITERS_GO"),
    ("fence beside writer that comes", "head", "WRITERS=2 LATE=1 FENCES=1 CHANGES=3", "-O0",
     "CLEAN_WRITERS_GO HELD_WRITERS_GO FENCE_STAYS"),
    ("close, short of memory", "head", "WRITERS=1 READERS=1 CLOSER GROUPS MEMORY=2", "-O0",
     "OUT_BEFORE_HOOKS FREED_IN_USE NOT_COUNTED"),
    ("close beside writer that comes", "head", "WRITERS=2 LATE=1 READERS=1 CHANGES=1 CLOSER", "-O0",
     "OUT_BEFORE_HOOKS"),
    ("stores and swaps", "shared", "LOADERS=2 STORERS=2", "-O0",
     "SLOT_GIVEN_UP_FIRST LOAD_COUNTED_LATE TICKET_IN_TWO_STEPS"),
    ("spilling", "shared", "LOADERS=2 STORERS=1 CALLS=2 SPILL=2", "-O0", "SPILL_IN_TWO_STEPS NOT_RETIRED"),
    ("refreshes beside load and stores", "shared", "LOADERS=1 REFRESHERS=1 STORERS=1 CALLS=2", "-O0", "TOLD_LATE"),
    ("updates beside store", "shared", "LOADERS=1 STORERS=1 UPDATERS=2", "-O0", "NO_TURNS UPDATES_OUT_OF_TURN"),
)
MODEL_CHECKER = ("-w", "-DSAFETY", "-DCOLLAPSE", "-DVECTORSZ=2048", "-DMEMLIM=2000")


def faults_of(model):
    with open(f"tests/models/{model}.pml", encoding="utf-8") as file:
        return dict(re.findall(r"^#define (\w+) +\(fault == (\d+)\)", file.read(), re.M))


def model_run(folder, fault):
    """Returns how many errors one run has found, its states, and the log."""
    status, out, log = execute(["env", f"FAULT={fault}", "sh", "-c", f"cd {folder} && ./pan -m400000"])
    errors, states = re.search(r"errors: (\d+)", out), re.search(r"(\d+) states, stored", out)
    whole = status == 0 and errors and states and "max search depth" not in out and "not completed" not in out
    if errors and errors.group(1) != "0":
        return int(errors.group(1)), int(states.group(1)), log
    return (0 if whole else None), int(states.group(1)) if states else 0, log


def model_job(model, sizes, speed, faults):
    def job():
        with tempfile.TemporaryDirectory() as folder:
            source = os.path.abspath(f"tests/models/{model}.pml")
            generate = ["spin", "-a", *("-D" + size for size in sizes.split()), source]
            compile_it = [*CC, speed, *MODEL_CHECKER, "-o", "pan", "pan.c"]
            command = f"cd {folder} && {shlex.join(generate)} && {shlex.join(compile_it)}"
            status, _, log = execute(["sh", "-c", command], BUILD_SECONDS)
            if status != 0:
                return bad("does not build", log)
            errors, states, log = model_run(folder, 0)
            if errors != 0:
                return bad("an error is found" if errors else "not run to the end", log)
            numbers = faults_of(model)
            for name in faults.split():
                errors, _, log = model_run(folder, numbers[name])
                if not errors:
                    return bad(f"seeded fault {name} is not found", log)
        return Result(passed=1 + len(faults.split()), note=f"{states} states; found {faults}")
    return job


def models_job():
    """No fault of a model may be left untried."""
    tried = {(model, fault) for _, model, _, _, faults in MODELS for fault in faults.split()}
    left = [f"{model}: {fault}" for model in ("head", "shared") for fault in faults_of(model)
            if (model, fault) not in tried]
    return bad("untried faults", "\n".join(left)) if left else good(f"{len(tried)} seeded faults")


def group_models():
    if not shutil.which("spin"):
        return missing("models", "no spin (Debian package spin): the models were not checked")
    return [(f"models/{model}: {name}", model_job(model, *run)) for name, model, *run in MODELS] + [
        ("models: all faults are tried", models_job)]


def group_faults():
    """Faults in the source itself, which the explorer must find."""
    return unit_jobs([f"{counts}-faulty" for counts in COUNTS], ["test_head_schedules"], ["find_seeded_faults"])


# Programs of 32 bits. The C library's headers may be in place for those of 64 bits only; they serve for both.
NARROW = ["-m32", "-isystem", "/usr/include/x86_64-linux-gnu"]


def numbered(tool):
    """The numbers of those compilers that are here under a name with a number."""
    return [int(name[len(tool) + 1:]) for folder in os.environ.get("PATH", "").split(":") if os.path.isdir(folder)
            for name in os.listdir(folder) if re.fullmatch(rf"{tool}-\d+", name)]


def newest_clang():
    """The newest clang of those that are here under a name with a number, if it is newer than $(CLANG)."""
    major = re.search(r"version (\d+)", execute([CLANG, "--version"])[1]) if has_clang() else None
    newest = max(numbered("clang"), default=0)
    return f"clang-{newest}" if newest > (int(major.group(1)) if major else 0) else None


def compiles_32_bits():
    """Whether $(CC) makes programs of 32 bits: their headers are a package of their own."""
    with tempfile.TemporaryDirectory() as folder:
        source = folder + "/t.c"
        with open(source, "w", encoding="utf-8") as file:
            file.write("#include <errno.h>\n#include <stdatomic.h>\nint main(void) { return errno; }\n")
        return execute([*CC, *NARROW, source, "-o", folder + "/t"], BUILD_SECONDS)[0] == 0


# clang's warnings need no code, and so do not hang on the optimisation; nor do those of gcc about conversions.
NO_CODE = ["-fsyntax-only"]


# What <windows.h> takes from every program that includes it, as macros.
WINDOWS = ["-Dnear=", "-Dfar=", "-Dsmall=char", "-Dinterface=struct", "-Dcdecl=", "-Dpascal=", "-DIN=", "-DOUT=",
           "-DERROR=0", "-DTRUE=1", "-DFALSE=0", "-Dmin(a,b)=((a)<(b)?(a):(b))", "-Dmax(a,b)=((a)>(b)?(a):(b))"]


def foreign_jobs():
    """The implementation under compilers that not every machine has. What gcc finds as it makes code for 32 bits it is
    asked where tests are compiled for them."""
    kinds = (["-DPATHMAP_SLIM_PTRS=1"], ["-DPATHMAP_SLIM_PTRS=1", "-DPM_CHECK=3"], ["-DPATHMAP_SLIM_PTRS=0"],
             ["-DPATHMAP_SLIM_PTRS=0", "-DPM_NO_THREADS=1", "-DPM_POOL=0"])
    clang = newest_clang()
    found = ([[clang]] if clang else []) + ([[*CC, *NARROW]] if compiles_32_bits() else [])
    jobs = [(" ".join(compiler + flags), compile_job(compiler, ["-std=c11", *flags, *NO_CODE]))
            for compiler in found for flags in kinds]
    if not clang:
        jobs += missing("a newer clang", f"no clang-N newer than {CLANG}: its warnings were not asked for")
    if [*CC, *NARROW] not in found:
        jobs += missing("-m32", "no 32-bit headers: nothing was compiled for 32 bits")
    return jobs


def typed_jobs():
    """Typed maps (PM_DEFINE_MAP) warn nobody, in C and in C++."""
    strict, cxx = ["-Wunused-function"], shlex.split(os.environ.get("CXX", "g++"))
    clangxx = os.environ.get("CLANGXX", "clang++")
    jobs = [(f"use_typed.c, {compiler[0]}", compile_job(compiler, ["-std=c11", *strict], "use_typed.c"))
            for compiler in [CC] + ([[CLANG]] if has_clang() else [])]
    for compiler in (cxx, [clangxx]):
        flags = ["-std=c++11", "-x", "c++", "-Wold-style-cast", *strict]
        jobs += ([(f"use_typed.c, {compiler[0]}", compile_job(compiler, flags, "use_typed.c"))]
                 if shutil.which(compiler[0]) else missing(f"use_typed.c, {compiler[0]}", f"no {compiler[0]}"))
    return jobs


CXX_STANDARDS = ("c++11", "c++14", "c++17", "c++20", "c++2b")


def declarations_job(compiler):
    """The declarations under every C++ standard that the compiler knows, which must be C++17 at least."""
    def job():
        warnings = ["-Wall", "-Wextra", "-Wold-style-cast", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror"]
        with tempfile.NamedTemporaryFile("w", suffix=".cc") as empty:
            known = [standard for standard in CXX_STANDARDS
                     if execute([*compiler, f"-std={standard}", "-fsyntax-only", empty.name])[0] == 0]
        for standard in known:
            command = [*compiler, f"-std={standard}", *warnings, "-I.", "-fsyntax-only", "tests/use_cplusplus.cc"]
            status, _, log = execute(command, BUILD_SECONDS)
            if status != 0:
                return bad(f"{standard}: exit {status}", log)
        left = [standard for standard in CXX_STANDARDS if standard not in known]
        if "c++17" in left:
            return bad("knows no C++17")
        return Result(passed=len(known), skipped=len(left), note=f"{' '.join(known)}" +
                      (f"; unknown to it: {' '.join(left)}" if left else ""))
    return job


def declarations_jobs():
    cxx, clangxx = shlex.split(os.environ.get("CXX", "g++")), os.environ.get("CLANGXX", "clang++")
    jobs = []
    for compiler in (cxx, [clangxx]):
        name = f"declarations, {' '.join(compiler)}"
        jobs += ([(name, declarations_job(compiler))] if shutil.which(compiler[0])
                 else missing(name, f"no {compiler[0]}"))
    return jobs


def group_uses():
    programs = ["use_two_units", "use_static"]
    jobs = []
    if shutil.which(os.environ.get("CXX", "g++")):
        programs.append("use_cplusplus")
    else:
        jobs += missing("use_cplusplus", "no C++ compiler")
    jobs += [(f"{counts}/use: {', '.join(programs)}", use_job(counts, programs)) for counts in COUNTS]
    # Without optimisation there are the warnings about what a switch leaves unused or undeclared; what gcc sees only as
    # it optimises, it is asked with all that it has.
    variants = (["-std=gnu11", "-O3"], ["-std=c17", "-DPM_NO_STDIO=1"], ["-std=c11", "-DNDEBUG", "-DPM_CHECK=3"],
                ["-std=c11", "-DPM_NO_THREADS=1", "-DPM_NO_SIMD=1"],
                ["-std=c11", "-DPATHMAP_SLIM_PTRS=0", "-DPM_POOL=0", "-DPM_NO_THREADS=1"])
    compilers = [CC] + ([[CLANG]] if has_clang() else [])
    jobs += [(" ".join(compiler + flags),
              compile_job(compiler, flags + (NO_CODE if compiler == [CLANG] else [])))
             for compiler in compilers for flags in variants]
    jobs += [(f"{source}: beside the names of <windows.h>",
              compile_job(CC, ["-std=c11", "-fsyntax-only", *WINDOWS], source))
             for source in ("use_two_units_a.c", "use_exchange.c")]
    jobs += typed_jobs() + declarations_jobs() + foreign_jobs()
    return jobs + [("a static copy exports nothing", symbols_job)]


# Other machines and compilers: a compiler, or what finds it; its flags; what runs its programs here.
STATIC = ["-static", "-pthread"]
LARGE_FILES = ["-Wno-psabi", "-D_FILE_OFFSET_BITS=64"]
MACHINES = {
    "x86 of 32 bits": ([*CC, *NARROW], [*LARGE_FILES, "-pthread"], []),
    "s390x, big endian": (["s390x-linux-gnu-gcc"], STATIC, ["qemu-s390x"]),
    "aarch64": (["aarch64-linux-gnu-gcc"], STATIC, ["qemu-aarch64"]),
    "armhf": (["arm-linux-gnueabihf-gcc"], [*LARGE_FILES, *STATIC], ["qemu-arm"]),
    "riscv64": (["riscv64-linux-gnu-gcc"], STATIC, ["qemu-riscv64"]),
    "musl": (["musl-gcc"], STATIC, []),
    "Windows": (["x86_64-w64-mingw32-gcc"], STATIC, ["wine64"]),
    "-flto": ([*CC, "-flto=auto"], ["-O2", "-pthread"], []),
    "-O3 -march=native": ([*CC, "-march=native"], ["-O3", "-pthread"], []),
    "the oldest gcc": (lambda: [f"gcc-{min(numbered('gcc'), default='N')}"], ["-pthread"], []),
    "the newest gcc": (lambda: [f"gcc-{max(numbered('gcc'), default='N')}"], ["-pthread"], []),
    "the oldest clang": (lambda: [f"clang-{min(numbered('clang'), default='N')}"], ["-pthread"], []),
    "the newest clang": (lambda: [newest_clang() or CLANG], ["-pthread"], []),
}
# Those of this machine.
COMPILERS = ("-flto", "-O3 -march=native", "the oldest gcc", "the newest gcc", "the oldest clang", "the newest clang")
# Where references, numbers or the order of their bytes are not this machine's: with both kinds of counts.
OTHER_WORDS = ("x86 of 32 bits", "s390x, big endian", "armhf")
PORTABLE_TESTS = ("test_algebra", "test_counts", "test_draw", "test_inspect", "test_int_range", "test_interning",
                  "test_algebra_many", "test_map", "test_fold", "test_order", "test_read_zipper", "test_threads",
                  "test_update", "test_values", "test_views", "test_write_zipper", "test_image")
WINDOWS_TESTS = ("test_counts", "test_inspect", "test_int_range", "test_algebra_many", "test_map", "test_fold",
                 "test_read_zipper", "test_values", "test_views", "test_write_zipper")
SHORT_MACHINES = ("x86 of 32 bits", "s390x, big endian", "aarch64")
SHORT_TESTS = {"x86 of 32 bits": ("test_algebra", "test_map", "test_views"),
               "s390x, big endian": ("test_algebra", "test_map", "test_views", "test_interning")}


def starts(command):
    try:
        return execute(command, 120)[0] == 0
    except OSError:
        return False


def machine_tools(name):
    """Compiler, flags and runner of a machine, or why it cannot be had."""
    compiler, flags, runner = MACHINES[name]
    compiler = compiler() if callable(compiler) else compiler
    runner = [f"/usr/lib/wine/{tool}" if tool == "wine64" and not shutil.which(tool) else tool for tool in runner]
    for tool in (*compiler[:1], *runner):
        if not shutil.which(tool):
            return None, f"no {tool}"
    runners = [runner, ["qemu-i386"]] if "-m32" in compiler and shutil.which("qemu-i386") else [runner]
    with tempfile.TemporaryDirectory() as folder:
        source = folder + "/t.c"
        with open(source, "w", encoding="utf-8") as file:
            file.write("#include <errno.h>\n#include <stdatomic.h>\nint main(void) { return errno; }\n")
        if execute([*compiler, source, *flags, "-o", folder + "/t.exe"], BUILD_SECONDS)[0] != 0:
            return None, f"{' '.join(compiler)} makes no programs"
        for runner in runners:  # the kernel may run no programs of 32 bits
            if starts([*runner, folder + "/t.exe"]):
                return (compiler, flags, runner), None
    return None, f"programs of {' '.join(compiler)} do not run here"


def code_of(test):
    """Tests that know the public functions only are linked with the implementation."""
    return ["tests/library.c"] if mentioning('"library.h"', [test]) else []


# Of portability: words, one of which a machine's name must have; names of programs (`map`, `scripts`, `exchange`).
class Chosen:
    machines, programs = [], []

    @classmethod
    def machine(cls, name):
        return not cls.machines or any(word in name for word in cls.machines)

    @classmethod
    def program(cls, name):
        return not cls.programs or name.removeprefix("test_") in cls.programs


class Machine:
    """Compiles for one machine with one kind of counts: what programs share once."""

    def __init__(self, compiler, flags, runner, slim):
        optimised = shlex.split(os.environ.get("MACHINE_CFLAGS", "-O1"))
        self.command = [*compiler, "-std=c11", *optimised, *flags, f"-DPATHMAP_SLIM_PTRS={slim}", "-I.", "-Itests"]
        self.runner, self.lock, self.objects = runner, threading.Lock(), {}
        self.folder = tempfile.TemporaryDirectory()

    def compile(self, sources, out):
        """The log, if something does not compile; else None. Sources beside the first one are compiled once."""
        units = sources[:1]
        with self.lock:
            for source in sources[1:]:
                made = f"{self.folder.name}/{os.path.basename(source)}.o"
                if source not in self.objects:
                    strict = WARNINGS if "-m32" in self.command and source == "tests/library.c" else []
                    status, _, log = execute([*self.command, *strict, "-c", source, "-o", made], PREPARE_SECONDS)
                    if status != 0:
                        return log or f"{source}: exit {status}"
                    self.objects[source] = made
                units.append(made)
        status, _, log = execute([*self.command, *units, "-o", out], BUILD_SECONDS)
        return None if status == 0 else log


def machine_job(machine, test):
    """Builds a test for another machine, and runs it."""
    def job():
        program = f"{machine.folder.name}/{test}.exe"
        log = machine.compile([f"tests/{test}.c", *sorted(glob.glob("tests/model*.c")), *code_of(test)], program)
        command = ["env", "STRESS_SECONDS=0.25", *machine.runner, program]
        return run_program(command, EMULATED_SECONDS) if log is None else bad("does not build", log)
    return job


def scripts_job(machine):
    """Every script on the library, whose output must be what it is here; random ones on library and model."""
    def job():
        program, passed = f"{machine.folder.name}/replay.exe", 0
        sources = sorted(glob.glob("tests/replay_*.c") + glob.glob("tests/model*.c") + ["tests/library.c"])
        log = machine.compile(["tests/replay.c", *sources], program)
        if log is not None:
            return bad("does not build", log)
        for script in sorted(glob.glob("tests/scripts/*.txt")):
            status, out, log = execute([*machine.runner, program, script], EMULATED_SECONDS)
            with open(script[:-4] + ".out", encoding="utf-8") as file:
                expected, out = file.read(), out.replace("\r\n", "\n")
            if status != 0 or out != expected:
                names = (script[:-4] + ".out", "printed")
                return bad(f"exit {status}: {script}", difference(expected, out, names) or log)
            passed += 1
        status, _, log = execute([*machine.runner, program, "--random", "1", "100", "200", "all", "sum", "1"],
                                 EMULATED_SECONDS)
        return Result(passed=passed + 1) if status == 0 else bad(f"exit {status}: --random", log)
    return job


class Here:
    """The exchanging program of this machine, compiled once."""

    lock, folder, log = threading.Lock(), None, None

    @classmethod
    def program(cls):
        with cls.lock:
            if not cls.folder:
                cls.folder = tempfile.TemporaryDirectory()
                cls.log = build("build/slim/library.o", seconds=PREPARE_SECONDS)
                command = [*CC, "-std=c11", "-O1", "-I.", "-pthread", "tests/use_exchange.c", "build/slim/library.o"]
                status, _, log = execute([*command, "-o", f"{cls.folder.name}/a"], BUILD_SECONDS)
                cls.log = cls.log or (log if status != 0 else None)
        return f"{cls.folder.name}/a", cls.log


def exchange_job(machine):
    """Files that are written here are read there, and the other way round; equal content has equal bytes."""
    def job():
        with tempfile.TemporaryDirectory() as folder:
            program, log = Here.program()
            here, there = [program], [*machine.runner, f"{machine.folder.name}/exchange.exe"]
            log = log or machine.compile(["tests/use_exchange.c", "tests/library.c"], there[-1])
            if log is not None:
                return bad("does not build", log)
            for writer, reader, name in ((here, there, "from"), (there, here, "to")):
                os.mkdir(f"{folder}/{name}")
                for program, verb in ((writer, "write"), (reader, "read")):
                    status, _, log = execute([*program, verb, os.path.relpath(f"{folder}/{name}")])
                    if status != 0:
                        return bad(f"{verb} {name} here: exit {status}", log)
            for name in ("words.image", "words.paths"):
                if not filecmp.cmp(f"{folder}/from/{name}", f"{folder}/to/{name}", shallow=False):
                    return bad(f"{name} has other bytes")
        return good("names, paths and images, both ways")
    return job


def machine_jobs(names, tests_of, counts_of, scripts=False):
    jobs = []
    for name in filter(Chosen.machine, names):
        tools, reason = machine_tools(name)
        if not tools:
            jobs += missing(name, reason)
            continue
        for slim in counts_of(name):
            machine = Machine(*tools, slim)
            place = f"{name}, {COUNTS[1 - slim]}"
            jobs += [(f"{place}/{test}", machine_job(machine, test)) for test in filter(Chosen.program, tests_of(name))]
            if scripts and Chosen.program("scripts"):
                jobs.append((f"{place}/scripts", scripts_job(machine)))
            if slim and name not in COMPILERS and Chosen.program("exchange"):
                jobs.append((f"{name}/exchange of files", exchange_job(machine)))
    return jobs


TCC = "tcc: programs without threads"


def tcc_jobs():
    """tcc has no <stdatomic.h>: it is given the examples that print what they should and need neither threads, nor
    memory that several processes write, nor names."""
    if not shutil.which("tcc"):
        return missing(TCC, "no tcc")

    def job_of(name):
        def job():
            with tempfile.TemporaryDirectory() as folder:
                command = ["tcc", "-std=c11", "-DPM_NO_THREADS=1", "-I.", f"examples/{name}.c", "-o", folder + "/a"]
                status, _, log = execute(command, BUILD_SECONDS)
                if status != 0:
                    return bad("does not build", log)
                status, out, log = execute([folder + "/a"])
            with open(f"examples/{name}.out", encoding="utf-8") as file:
                expected = file.read()
            if status != 0:
                return bad(f"exit {status}", log)
            return good() if out == expected else bad("other output", difference(expected, out, ("said", "printed")))
        return job

    jobs, needs_more = [], r"<(pthread|threads|stdatomic|zlib|mpi)\.h>|interning\.h|MAP_SHARED \| MAP_ANON"
    for path in sorted(glob.glob("examples/*.out")):
        with open(path[:-4] + ".c", encoding="utf-8") as file:
            if not re.search(needs_more, file.read()):
                name = os.path.basename(path)[:-4]
                jobs.append((f"{TCC}/{name}", job_of(name)))
    return jobs


def compiler_of(name):
    """The compiler of a machine, and its version."""
    compiler = (machine_tools(name)[0] or [[]])[0] if name in MACHINES else ["tcc"] if shutil.which("tcc") else []
    if not compiler:
        return ""
    said = execute([*compiler[:1], "-v" if compiler == ["tcc"] else "--version"])[2]
    version = re.search(r"\d+\.\d+[.\d]*|\d+-(win32|posix)", said)
    return f"{' '.join(compiler[:2])} ({version.group(0) if version else '?'})"


def machine_table(results, known):
    """What was found on each machine, as a table. What was found earlier is kept where nothing was run now."""
    rows = ["| machine | compiler | programs | tests passed | failed | skipped | files |",
            "|---|---|---|---|---|---|---|"]
    for name in [*MACHINES, TCC]:
        own = [(job, result) for job, result in results if re.match(re.escape(name) + "(, |/|$)", job)]
        earlier = [row for row in known if row.startswith(f"| {name} |")]
        if not own:
            rows += earlier
            continue
        files = [result for job, result in own if job.endswith("/exchange of files")]
        tests_run = [result for _, result in own if result not in files]
        names = sorted({job.split("/")[-1] for job, result in own if "/" in job and result not in files})
        reasons = collections.Counter(reason for result in tests_run for reason in result.reasons)
        passed, failed, skipped = (sum(getattr(result, what) for result in tests_run)
                                   for what in ("passed", "failed", "skipped"))
        why = "; ".join(f"{n} {reason}" for reason, n in reasons.most_common())
        rows.append("| " + " | ".join([
            name, compiler_of(name), ", ".join(names) if len(names) < 5 else f"{len(names)}", str(passed), str(failed),
            f"{skipped}: {why}" if skipped else "0",
            ("exchanged" if files[0].passed else "FAILED") if files else
            earlier[0].split("|")[-2].strip() if earlier else ""]) + " |")
    return "\n".join(rows) + "\n"


def write_table(path, results):
    begin, end = "<!-- portability -->\n", "<!-- end of portability -->\n"
    with open(path, encoding="utf-8") as file:
        before, rest = file.read().split(begin)
    known, after = rest.split(end)
    with open(path, "w", encoding="utf-8") as file:
        file.write(before + begin + machine_table(results, known.split("\n")) + end + after)


CORTEX_M = ["arm-none-eabi-gcc", "-std=gnu11", "-mcpu=cortex-m3", "-mthumb", "-Os", "-Wall", "-Wextra", "-Werror",
            "-ffunction-sections", "-fdata-sections", "-Wl,--gc-sections", "-nostartfiles", "--specs=nano.specs",
            "--specs=nosys.specs", "-T", "tests/cortex_m/mps2.ld", "tests/cortex_m/start.c"]
CORTEX_M_RUN = ["qemu-system-arm", "-M", "mps2-an385", "-display", "none", "-serial", "none", "-monitor", "none",
                "-semihosting-config", "enable=on,target=native", "-kernel"]


def cortex_m_job(name):
    """Builds a program for a machine without an operating system, runs it there, and says how large it is."""
    def job():
        with tempfile.TemporaryDirectory() as folder:
            program = f"{folder}/{name}.elf"
            status, _, log = execute([*CORTEX_M, f"tests/cortex_m/{name}.c", "-o", program], BUILD_SECONDS)
            if status != 0:
                return bad("does not build", log)
            _, sizes, _ = execute(["arm-none-eabi-size", program])
            status, out, log = execute([*CORTEX_M_RUN, program])
            if status != 0:
                return bad(f"exit {status}", out + log)
            text, data, bss = sizes.split("\n")[1].split()[:3]
            said = [f"flash {text} bytes, data and bss {int(data) + int(bss)}"]
            return good("; ".join(said + [line for line in (out + log).splitlines() if "bytes" in line]))
    return job


def group_cortex_m():
    """Without malloc, stdio, threads and an operating system."""
    for tool in (CORTEX_M[0], CORTEX_M_RUN[0]):
        if not shutil.which(tool):
            return missing("Cortex-M", f"no {tool}")
    if execute([CORTEX_M[0], "-print-file-name=libc_nano.a"])[1].strip() == "libc_nano.a":
        return missing("Cortex-M", "no newlib for arm-none-eabi")
    return [(f"Cortex-M/{name}", cortex_m_job(name)) for name in ("small", "test")]


def group_machines():
    """A few tests on a few other machines; group_portability is all of them. With slim counts only, but where words
    have another size. What clang makes is tried by more tests in group_matrix, unless there is a newer one."""
    jobs = machine_jobs(SHORT_MACHINES, lambda name: SHORT_TESTS.get(name, ("test_map", "test_views")),
                        lambda name: (1, 0) if "bits" in name else (1,))
    return jobs + (machine_jobs(("the newest clang",), lambda name: SHORT_TESTS[SHORT_MACHINES[0]], lambda name: (1,))
                   if newest_clang() else missing("the newest clang", f"no clang-N newer than {CLANG}"))


def group_portability():
    """Other machines and compilers, the latter with slim counts only."""
    rest = [] if Chosen.machines else group_cortex_m() + declarations_jobs()
    return (rest + (tcc_jobs() if Chosen.machine(TCC) else []) +
            machine_jobs(MACHINES, lambda name: WINDOWS_TESTS if name == "Windows" else PORTABLE_TESTS,
                         lambda name: (1, 0) if name in OTHER_WORDS else (1,), scripts=True))


def group_layers():
    command = [sys.executable, "amalgamate.py", "--layers", "--cc"]
    return [("layers", command_job([*command, " ".join(CC)]))]


def group_fuzz():
    """A short run of each fuzzer over its seeds; `make fuzz` is the long one."""
    names = sorted(os.path.basename(path)[5:-2] for path in glob.glob("tests/fuzz_*.c"))
    with tempfile.TemporaryDirectory() as folder:
        source = folder + "/t.c"
        with open(source, "w", encoding="utf-8") as file:
            file.write("int LLVMFuzzerTestOneInput(const char *d, long n);\n"
                       "int LLVMFuzzerTestOneInput(const char *d, long n) { return d && n ? 0 : 0; }\n")
        if not has_clang() or execute([CLANG, "-fsanitize=fuzzer", source, "-o", folder + "/t"])[0] != 0:
            return missing("fuzz", f"no {CLANG} with libFuzzer")
    return [(f"fuzz {name}", command_job(["make", "--no-print-directory", "FUZZ_SECONDS=5", f"fuzz-{name}"]))
            for name in names]


def group_examples():
    names = sorted(os.path.basename(path)[:-2] for path in glob.glob("examples/*.c"))
    return ([(f"head of {library}.h", head_job(library)) for library in amalgamate.LIBRARIES] +
            [(f"examples/{name}", example_job(name)) for name in names] +
            ([("examples with the code in them", whole_examples_job)] if has_clang()
             else missing("examples with the code in them", f"no {CLANG}")) +
            [("site and man pages", site_job)])


def group_bench():
    return [("bench-smoke", counting_job(["make", "--no-print-directory", "-s", "bench-smoke"]))]


def group_costs():
    return [("costs against the baseline", counting_job([sys.executable, "bench/costs.py"]))]


def group_rules():
    return [(f"tests/{name}", counting_job([sys.executable, f"tests/{name}"]))
            for name in ("test_amalgamate.py", "test_docs.py", "test_frame.py")] + [
                ("style", style_job), ("prefixes", prefix_job), ("prototypes", prototypes_job)]


def group_packages():
    return [("tests/test_packages.py", counting_job([sys.executable, "tests/test_packages.py"]))]


def group_headers():
    return [("headers match src/", command_job([sys.executable, "amalgamate.py", "--check"]))]


GROUPS = {
    "headers-check": group_headers,
    "bench-smoke": group_bench,
    "rules": group_rules,
    "layers": group_layers,
    "units": group_units,
    "uses": group_uses,
    "packages": group_packages,
    "machines": group_machines,
    "cortex-m": group_cortex_m,
    "replay-check": group_replay,
    "models": group_models,
    "faults": group_faults,
    "asan": group_asan,
    "tsan": group_tsan,
    "valgrind": group_valgrind,
    "drd": group_drd,
    "matrix": group_matrix,
    "examples": group_examples,
    "costs": group_costs,
    "fuzz": group_fuzz,
    "portability": group_portability,
}
COMPOUND = {
    "all": tuple(name for name in GROUPS if name != "portability"),
    "test": ("units", "replay-check"),
}


def excerpt(log, most=30):
    """The beginning and the end of a log, where compilers and tests say what matters."""
    lines = log.rstrip().split("\n")
    return lines if len(lines) <= 2 * most else lines[:most] + ["..."] + lines[-most:]


class Report:
    """Counts results and prints a line for each as it comes."""

    def __init__(self):
        self.lock = threading.Lock()
        self.passed = self.failed = self.skipped = 0
        self.failures, self.skips, self.results, self.times = [], [], [], []

    def add(self, name, result, seconds, work=0):
        """Seconds by the clock, and of processor time."""
        with self.lock:
            self.passed += result.passed
            self.failed += result.failed
            self.skipped += result.skipped
            self.results.append((name, result))
            self.times.append((work, name))
            word = "FAILED" if result.failed else "ok" if result.passed else "SKIPPED"
            note = f"  ({result.note})" if result.note else ""
            print(f"{word:<8}{seconds:6.1f}s {work:6.1f}s  {name}{note}", flush=True)
            if result.failed:
                self.failures.append(f"{name}: {result.note}")
                print("\n".join("    | " + line for line in excerpt(result.log)), flush=True)
            if result.skipped:
                self.skips.append(f"{name}: {result.note}")

    def end(self):
        print("most processor time: " +
              "; ".join(f"{name} {work:.0f} s" for work, name in sorted(self.times)[:-16:-1]))
        for name in self.skips:
            print("skipped:", name)
        for name in self.failures:
            print("failed:", name)
        if self.passed + self.failed + self.skipped == 0:
            print("nothing was run")
            self.failed = 1
        print(f"{self.passed} passed, {self.failed} failed, {self.skipped} skipped", flush=True)
        return 1 if self.failed else 0


def prepare(names):
    """Builds what several jobs need, so that makes running side by side do not build the same file twice."""
    shared = [*sharing(), "replay"]
    places = [re.match(r"((clang-)?(slim|standard)[a-z0-9-]*)/(?!use)(\w*)", name) for name in names]
    targets = {f"build/{place.group(1)}/helpers.a" for place in places if place}
    targets |= {f"build/{place.group(1)}/library.o" for place in places if place and place.group(4) in shared}
    if any(name.startswith("examples/") for name in names):
        targets.add("build/examples/library.o")
    if any(name.startswith("fuzz ") for name in names):
        targets |= {"build/clang-slim-fuzz/helpers.a", "build/clang-slim-fuzz/library.o"}
    return build("-j2", "generated", *sorted(targets), seconds=PREPARE_SECONDS)


def run_job(report, name, job):
    start, used.seconds = time.monotonic(), 0
    try:
        result = job()
    except Exception as error:  # A job that breaks is a failure, not the end of the run.
        result = bad(f"{type(error).__name__}: {error}")
    report.add(name, result, time.monotonic() - start, used.seconds)


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--jobs", type=int, default=2)
    parser.add_argument("--table", metavar="PAGE", help="write what `portability` finds between the marks of a page")
    parser.add_argument("--machines", type=str.split, default=[], help="of portability: those with one of these words")
    parser.add_argument("--programs", type=str.split, default=[],
                        help="of portability: map, threads, scripts, exchange, ..")
    parser.add_argument("groups", nargs="+", choices=[*COMPOUND, *GROUPS], metavar="GROUP",
                        help=", ".join([*COMPOUND, *GROUPS]))
    options = parser.parse_args(arguments)
    os.chdir(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
    Chosen.machines, Chosen.programs = options.machines, options.programs
    report = Report()
    start = time.monotonic()
    names = dict.fromkeys(name for group in options.groups for name in COMPOUND.get(group, (group,)))
    if "headers-check" in names:
        # Before anything regenerates them.
        for name, job in group_headers():
            run_job(report, name, job)
    jobs = [job for name in names if name != "headers-check" for job in GROUPS[name]()]
    alone = {"headers-check", "rules", "layers", "models", "packages", "costs"}
    log = prepare([name for name, _ in jobs]) if names.keys() - alone else None
    if log is not None:
        # Every further job would say the same.
        report.add("preparation", bad("what the tests share does not build", log), time.monotonic() - start)
        return report.end()
    with concurrent.futures.ThreadPoolExecutor(max_workers=max(1, options.jobs)) as pool:
        for name, job in jobs:
            pool.submit(run_job, report, name, job)
    usage = resource.getrusage(resource.RUSAGE_CHILDREN)
    print(f"{time.monotonic() - start:.0f} seconds, {options.jobs} at a time; "
          f"{usage.ru_utime + usage.ru_stime:.0f} seconds of processor time")
    if options.table:
        write_table(options.table, report.results)
    return report.end()


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
