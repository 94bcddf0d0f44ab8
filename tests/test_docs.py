"""Compiles what pages say.

- docs/from_rust.md: every name and every call in a column "here". A name must be one of the headers, a name that ends
  in _ the beginning of one; a call is compiled as a statement, with variables of the usual names.
- docs/memory.md: sizes of types in its table of handles, where pointers have 64 bits.
- docs/hardware.md: internal functions that it names are there.
- docs/start.md: its programs compile and print what stands below them.

usage: test_docs.py           prints what failed, ends with `N passed, N failed, N skipped`"""
import os
import re
import subprocess
import sys
import tempfile

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(HERE)
CC = os.environ.get("CC", "cc").split()

# What calls of the page find declared.
FRAME = r"""
#define PATHMAP_STATIC
#define INTERNING_STATIC
#include "pathmap.h"
#include "interning.h"
static pm_map m, a, b, why, *maps;
static pm_rz z;
static pm_wz w;
static pm_iter i;
static pm_head *h;
static pm_shared *shared;
static pm_witness witness;
static const pm_val *v;
static pm_val val, *vals;
static pm_opt old;
static pm_key *keys;
static pm_prune prune;
static const pm_ops *ops;
static pm_pool *pool;
static intern_table *t;
static intern_permit permit;
static intern_options options;
static intern_symbol symbol;
static const char *path, *key, *bytes, *name;
static size_t len, n;
static uint64_t busy, us, from, last, step;
static unsigned width;
static bool inserted;
static pm_sink sink;
static void *ctx;
static pm_status (*fn)(void *, pm_map *);
#pragma GCC diagnostic ignored "-Wunused"
#pragma GCC diagnostic ignored "-Wunused-result"
"""


def page(name):
    with open(os.path.join(ROOT, "docs", name), encoding="utf-8") as file:
        return file.read()


def rows(text, column):
    """(line, cell) of a column of all tables that have it."""
    at, where = None, None
    for number, line in enumerate(text.split("\n"), 1):
        if not line.startswith("|"):
            at = None
            continue
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        if at is None:
            at, where = number, next((i for i, cell in enumerate(cells) if cell.startswith(column)), None)
        elif where is not None and not set(line) <= set("|-: "):
            yield number, cells[where]


def public_names():
    names = set()
    for header in ("pathmap.h", "interning.h"):
        with open(os.path.join(ROOT, header), encoding="utf-8") as file:
            names |= set(re.findall(r"\b(?:pm|PM|PATHMAP|intern|INTERN)_\w+", file.read()))
    return names


def compiles(text):
    with tempfile.TemporaryDirectory(prefix="docs-") as folder:
        source = os.path.join(folder, "row.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        return subprocess.run([*CC, "-std=c11", "-fsyntax-only", "-I", ROOT, source], capture_output=True, text=True,
                              check=False)


def from_rust():
    """What is wrong in the rows, a line each, and how many rows were looked at."""
    names, faults, calls, seen = public_names(), [], [], 0
    for line, cell in rows(page("from_rust.md"), "here"):
        seen += 1
        for code in re.findall(r"`([^`]+)`", cell):
            for word in re.findall(r"\b(?:pm|PM|PATHMAP|intern|INTERN)_\w*", code):
                if word.endswith("_") and not any(name.startswith(word) for name in names):
                    faults.append(f"docs/from_rust.md:{line}: nothing begins with {word}")
                elif not word.endswith("_") and word not in names:
                    faults.append(f"docs/from_rust.md:{line}: no {word}")
            if re.fullmatch(r"(?:pm|intern)_\w+\(.*\)", code) and ".." not in code and code.count("(") == 1:
                calls.append((line, code))
    # A row each, and #line so that a complaint names the row of the page.
    body = "".join(f'#line {line} "docs/from_rust.md"\nstatic void row_{k}(void) {{ (void){call}; }}\n'
                   for k, (line, call) in enumerate(calls))
    done = compiles(FRAME + body)
    if done.returncode:
        faults += [text for text in done.stderr.split("\n") if "error:" in text]
    return faults, seen + len(calls)


def sizes():
    faults, found = [], 0
    asserts = ""
    for line, cell in re.findall(r"^(\| `(pm_\w+)` \| \d+ \|)", page("memory.md"), re.M):
        found += 1
        number = re.search(r"\| (\d+) \|", line).group(1)
        asserts += (f"_Static_assert(sizeof(void *) != 8 || sizeof({cell}) == {number}, "
                    f'"{cell} has not {number} bytes");\n')
    done = compiles(FRAME + asserts)
    if done.returncode:
        faults = [f"docs/memory.md: {text}" for text in done.stderr.split("\n") if "error:" in text]
    return faults if found else ["docs/memory.md: no table of handles"], max(found, 1)


def internal_names():
    with open(os.path.join(ROOT, "pathmap.h"), encoding="utf-8") as file:
        names = set(re.findall(r"\bpm__\w+", file.read()))
    said = sorted(set(re.findall(r"\bpm__\w+", page("hardware.md"))))
    return [f"docs/hardware.md: no {name}" for name in said
            if not (name in names or name.endswith("_") and any(n.startswith(name) for n in names))], len(said)


def programs():
    """The programs of the first steps, compiled as one, which runs the one that its argument names."""
    blocks = re.findall(r"```c\n(.*?)```\n\n```\n(.*?)```", page("start.md"), re.S)
    body = ""
    for k, (code, _) in enumerate(blocks):
        code = re.sub(r"\bint main\(void\)", f"static int main_{k}(void)", code)
        body += re.sub(r"}\n\Z", "    return 0;\n}\n", code)
    body += ("int main(int argc, char **argv) { int (*all[])(void) = {" +
             ", ".join(f"main_{k}" for k in range(len(blocks))) + "}; return argc < 2 ? 2 : all[atoi(argv[1])](); }\n")
    with tempfile.TemporaryDirectory(prefix="docs-") as folder:
        source, program = os.path.join(folder, "start.c"), os.path.join(folder, "start")
        with open(source, "w", encoding="utf-8") as file:
            file.write("#include <stdlib.h>\n" + body)
        done = subprocess.run([*CC, "-std=c11", "-Wall", "-Wextra", "-Werror", "-pthread", "-I", ROOT, source, "-o",
                               program], capture_output=True, text=True, check=False)
        if done.returncode:
            return ["docs/start.md: " + done.stderr[:2000]], len(blocks)
        ran = [subprocess.run([program, str(k)], capture_output=True, text=True, check=False, timeout=60)
               for k in range(len(blocks))]
    faults = [f"docs/start.md: program {k + 1} prints {run.stdout!r}, status {run.returncode}"
              for k, (run, (_, wanted)) in enumerate(zip(ran, blocks)) if run.returncode or run.stdout != wanted]
    return faults if blocks else ["docs/start.md: no programs"], max(len(blocks), 1)


def main():
    passed = failed = 0
    for faults, looked_at in (from_rust(), sizes(), internal_names(), programs()):
        for fault in faults:
            print(fault)
        failed += len(faults)
        passed += max(looked_at - len(faults), 0)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
