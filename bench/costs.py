#!/usr/bin/env python3
"""Counts what a fixed workload costs, and compares with what it cost when the baseline was taken.

usage: costs.py [--move]              (through make: `make costs`, `make costs-baseline`)

bench/costs.c is run under callgrind: instructions of each of its rows, those of libc left out, since libc chooses its
copies by the processor. Allocations and bytes a key it counts itself. bench/costs.tsv is the baseline. Instructions are
the compiler's: a line of its own says whose they are, and with another compiler they are skipped, and counted as that.
A row of over 2 % more is a failure; one of over 2 % less as well, for the baseline should say what is true: `make
costs-baseline` moves it. The last line counts rows."""
import glob
import os
import re
import shlex
import shutil
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
BASELINE = os.path.join(ROOT, "bench", "costs.tsv")
CC = shlex.split(os.environ.get("CC", "cc"))
FLAGS = ["-std=c11", "-O2", "-g", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror", "-pthread"]
TOLERANCE = 0.02


def compiler():
    """Name, version and machine of the compiler, in one word."""
    version = subprocess.run([*CC, "--version"], capture_output=True, text=True, check=True).stdout.split("\n")[0]
    machine = subprocess.run([*CC, "-dumpmachine"], capture_output=True, text=True, check=True).stdout.strip()
    return re.sub(r"\s+", "_", f"{version} {machine}")


def instructions(program, folder):
    """Instructions of the program's own functions in each row. Callgrind writes a file as a row ends."""
    subprocess.run(["valgrind", "--tool=callgrind", f"--callgrind-out-file={folder}/out", "--zero-before=row_begins",
                    "--dump-before=row_ends", program], capture_output=True, check=True)
    for path in sorted(glob.glob(f"{folder}/out.*"), key=lambda path: int(path.rsplit(".", 1)[1])):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        if "Trigger: --dump-before=row_ends" in text:
            yield own_instructions(text, program)


def own_instructions(text, program):
    """The sum of the lines of costs that stand under the program's object. What follows a line of calls is what the
    callee took, which is said where the callee is."""
    objects, inside, called, total = {}, False, False, 0
    for line in text.split("\n"):
        if match := re.match(r"(c?)ob=(\(\d+\))(?: (.*))?", line):
            name = objects.setdefault(match.group(2), match.group(3))
            if not match.group(1):
                inside = os.path.basename(name) == os.path.basename(program)
        elif line.startswith("calls="):
            called = True
        elif line[:1] in tuple("0123456789+-*"):
            total += int(line.split()[1]) if inside and not called else 0
            called = False
    return total


def measure():
    """Yields (counts, set, row, figure)."""
    for counts, slim in (("slim", 1), ("standard", 0)):
        with tempfile.TemporaryDirectory() as folder:
            program = f"{folder}/costs"
            kind = f"-DPATHMAP_SLIM_PTRS={slim}"
            subprocess.run([*CC, *FLAGS, kind, "-I.", "bench/costs.c", "-o", program], check=True)
            lines = subprocess.run([program], capture_output=True, text=True, check=True).stdout.splitlines()
            fields = [line.split("\t") for line in lines]
            for name, row, figure in (field for field in fields if field[0] != "row"):
                yield counts, name, row, float(figure)
            if shutil.which("valgrind"):
                rows = [field[1:] for field in fields if field[0] == "row"]
                for (name, row), figure in zip(rows, instructions(program, folder), strict=True):
                    yield counts, name, f"instructions, {row}", float(figure)


def read_baseline():
    with open(BASELINE, encoding="utf-8") as file:
        lines = [line.rstrip("\n").split("\t") for line in file]
    return lines[0][1], {tuple(line[:3]): float(line[3]) for line in lines[1:]}


def move():
    with open(BASELINE, "w", encoding="utf-8") as file:
        file.write(f"compiler\t{compiler()}\n")
        for counts, name, row, figure in measure():
            file.write(f"{counts}\t{name}\t{row}\t{figure:.3f}\n")


def compare():
    whose, known = read_baseline()
    mine, passed, faults, skipped = compiler(), 0, [], 0
    for counts, name, row, figure in measure():
        key = counts, name, row
        if row.startswith("instructions") and whose != mine:
            skipped += 1
            known.pop(key, None)
        elif key not in known:
            faults.append(f"{counts}, {name}: {row}: {figure:.0f}, and the baseline does not have it")
        else:
            was = known.pop(key)
            if abs(figure - was) > TOLERANCE * was:
                ratio = f" ({figure / was - 1:+.1%})" if was else ""
                faults.append(f"{counts}, {name}: {row}: {was:.2f} before, {figure:.2f} now{ratio}")
            else:
                passed += 1
    if not shutil.which("valgrind"):
        skipped += len(known)
        print("SKIPPED instructions: no valgrind")
    else:
        faults += [f"{', '.join(key)}: was not measured" for key in known]
        if skipped:
            print(f"SKIPPED instructions: the baseline is that of {whose}, this is {mine}")
    print("\n".join(faults), file=sys.stderr)
    print(f"{passed} passed, {len(faults)} failed, {skipped} skipped")
    return 1 if faults else 0


if __name__ == "__main__":
    os.chdir(ROOT)
    sys.exit(move() if sys.argv[1:] == ["--move"] else compare())
