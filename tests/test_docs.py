"""Compiles what pages say.

- docs/from_rust.md: every row that has a column "here": each name in it is compiled, each call as a statement, with
  variables of the usual names; a name that ends in _ must be the beginning of one.
- docs/memory.md: sizes of types in its table of handles, where pointers have 64 bits.
- docs/hardware.md: internal functions that it names are there.
- docs/start.md: its programs compile and print what stands below them.
- docs/claims.md: rows are numbered and add up to the table of standings; each names a call, a test, a row of a
  benchmark, a file, a heading or a table, and all that are named exist.
- Every link of docs/*.md, README.md and CONTRIBUTING.md leads to a file, and to a heading of it.

usage: test_docs.py           prints what failed, ends with `N passed, N failed, N skipped`"""
import glob
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
static pm_write_fn put;
static void *ctx;
static pm_status (*fn)(void *, pm_map *);
#pragma GCC diagnostic ignored "-Wunused"
#pragma GCC diagnostic ignored "-Wunused-result"
"""


def text_of(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def page(name):
    return text_of(os.path.join("docs", name))


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
        names |= set(re.findall(r"\b(?:pm|PM|PATHMAP|intern|INTERN)_\w+", text_of(header)))
    return names


def compiles(text):
    with tempfile.TemporaryDirectory(prefix="docs-") as folder:
        source = os.path.join(folder, "row.c")
        with open(source, "w", encoding="utf-8") as file:
            file.write(text)
        return subprocess.run([*CC, "-std=c11", "-fsyntax-only", "-I", ROOT, source], capture_output=True, text=True,
                              check=False)


def functions():
    names = set()
    for header in ("pathmap.h", "interning.h"):
        names |= set(re.findall(r"\b((?:pm|intern)_\w+)\(", text_of(header)))
    return names


def mention(name, known):
    """A statement that compiles only if the headers declare the name: a function, a type, a macro or a constant."""
    if name in known:
        return f"(void){name};"
    return f"{{ {name} *p; (void)p; }}" if name.islower() else f"\n#ifndef {name}\n(void){name};\n#endif\n"


def from_rust():
    """What is wrong in the rows, a line each, and how many rows, names and calls were looked at."""
    names, known, faults, body, seen = public_names(), functions(), [], "", 0
    for line, cell in rows(page("from_rust.md"), "here"):
        seen += 1
        statements = []
        for code in re.findall(r"`([^`]+)`", cell):
            for word in re.findall(r"\b(?:pm|PM|PATHMAP|intern|INTERN)_\w*", code):
                if not word.endswith("_"):
                    statements.append(mention(word, known))
                elif not any(name.startswith(word) for name in names):
                    faults.append(f"docs/from_rust.md:{line}: nothing begins with {word}")
            if re.fullmatch(r"(?:pm|intern)_\w+\(.*\)", code) and ".." not in code and code.count("(") == 1:
                statements.append(f"(void){code};")
        # #line so that a complaint names the row of the page.
        body += "".join(f'#line {line} "docs/from_rust.md"\nstatic void row_{line}_{k}(void) {{ {statement} }}\n'
                        for k, statement in enumerate(statements))
        seen += len(statements)
    done = compiles(FRAME + body)
    if done.returncode:
        faults += [text for text in done.stderr.split("\n") if "error:" in text]
    return faults, seen


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
    names = set(re.findall(r"\bpm__\w+", text_of("pathmap.h")))
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


def headings(path):
    return re.findall(r"^#+ (.*)", re.sub(r"^```.*?^```", "", text_of(path), flags=re.M | re.S), re.M)


def anchor(heading):
    """What a link to a heading ends with."""
    return re.sub(r"[^\w\- ]", "", heading.lower()).replace(" ", "-")


def dead(link, base):
    """What is wrong with a link on a page in the folder `base`, or None."""
    address, _, place = link.partition("#")
    if re.match(r"[a-z]+:", link):
        return None
    path = os.path.normpath(os.path.join(base, address)) if address else None
    if path is None or not os.path.exists(os.path.join(ROOT, path)):
        return f"a link to {link}: no such file"
    if place and place not in map(anchor, headings(path)):
        return f"a link to {link}: no such heading"
    return None


LINK = re.compile(r"\]\(([^)\s]+)\)|\b(?:src|href)=\"([^\"]+)\"")


def links():
    faults, looked_at = [], 0
    for path in sorted(glob.glob("docs/*.md", root_dir=ROOT)) + ["README.md", "CONTRIBUTING.md", "CHANGELOG.md"]:
        text = re.sub(r"^```.*?^```|`[^`\n]*`", "", text_of(path), flags=re.M | re.S)
        for found in LINK.finditer(text):
            link = found.group(1) or found.group(2)
            looked_at += 1
            wrong = dead(link if not link.startswith("#") else os.path.basename(path) + link, os.path.dirname(path))
            faults += [f"{path}: {wrong}"] if wrong else []
    return faults, looked_at


class Named:
    """What a page may name in backticks."""

    FOLDERS = ("", "docs", "examples", "tests", "bench")

    def __init__(self):
        self.public = public_names()
        self.tests = {name for path in glob.glob("tests/test_*.c", root_dir=ROOT)
                      for name in re.findall(r"^TEST\((\w+)\)", text_of(path), re.M)}
        self.rows = {name for path in glob.glob("bench/*.c", root_dir=ROOT)
                     for name in re.findall(r'^    \{"(\w+)",', text_of(path), re.M)}
        made = "".join(text_of(path) for path in ["Makefile", *glob.glob("bench/*.mk", root_dir=ROOT)])
        phony = re.findall(r"^\.PHONY: (.*)", made.replace("\\\n", " "), re.M)
        self.targets = {word for line in phony for word in line.split()}
        self.commands = text_of("docs/hardware.md") + text_of("bench/bench_threads.c") + text_of("bench/threads.mk")

    def knows(self, code):
        if code in self.tests or code in self.rows:
            return True
        if re.fullmatch(r"(?:const )?(?:pm|PM|PATHMAP|intern|INTERN)_\w+(?: \*)?", code):
            return code.removeprefix("const ").removesuffix(" *") in self.public
        if code.startswith("make "):
            return code.split()[1] in self.targets
        if code.startswith("build/"):
            program = re.match(r"build/(\w+)", code).group(1)
            return any(os.path.exists(os.path.join(ROOT, folder, program + ".c")) for folder in ("bench", "tests"))
        if re.search(r"\.(?:c|h|md|py|tsv)$", code):
            return any(os.path.exists(os.path.join(ROOT, folder, code)) for folder in self.FOLDERS)
        return bool(re.match(r"[a-z-]", code)) and code in self.commands


STANDINGS = ("holds", "better", "other", "not so", "not run", "not wanted")


def claims():
    text, named = page("claims.md"), Named()
    said = {words: int(n) for words, n in re.findall(r"^\| (%s) \| (\d+) \|" % "|".join(STANDINGS), text, re.M)}
    counted, faults, rows_seen = dict.fromkeys(STANDINGS, 0), [], 0
    tables = [anchor(heading) for heading in headings("bench/RESULTS.md")]
    for line in re.findall(r"^\| \d+ \| .*", text, re.M):
        rows_seen += 1
        cells = [cell.strip() for cell in line.strip("|").split("|")]
        where = f"docs/claims.md: row {cells[0]}"
        if len(cells) != 4 or cells[2] not in STANDINGS or int(cells[0]) != rows_seen:
            faults.append(f"{where}: not number, claim, standing and evidence in order")
            continue
        counted[cells[2]] += 1
        shown, results = re.findall(r"`([^`]+)`", cells[3]), re.findall(r'table "([^"]+)"', cells[3])
        faults += [f"{where}: no {code}" for code in shown if not named.knows(code)]
        faults += [f"{where}: no table {title} in bench/RESULTS.md" for title in results
                   if not any(heading.startswith(anchor(title)) for heading in tables)]
        see = [int(number) for number in re.findall(r"\d+", cells[3])] if re.match(r"see \d", cells[3]) else []
        if not (shown or LINK.search(cells[3]) or cells[2] == "not wanted" and len(cells[3]) > 20 or see):
            faults.append(f"{where}: nothing shows it")
    if said != counted:
        faults.append(f"docs/claims.md: the table says {said}, the rows are {counted}")
    return faults if rows_seen else ["docs/claims.md: no rows"], max(rows_seen, 1)


def main():
    passed = failed = 0
    for faults, looked_at in (from_rust(), sizes(), internal_names(), programs(), links(), claims()):
        for fault in faults:
            print(fault)
        failed += len(faults)
        passed += max(looked_at - len(faults), 0)
    print(f"{passed} passed, {failed} failed, 0 skipped")
    return failed != 0


if __name__ == "__main__":
    sys.exit(main())
