#!/usr/bin/env python3
"""Makes the two headers that ship, pathmap.h and interning.h, from the parts under src/.

A part is a file src/LIBRARY/NN_name.h or NN_name.c. Its number orders it, the tens digit is its layer; parts ending
in .h become the declarations, parts ending in .c the implementation. A quoted include declares that a part uses
another one: it is dropped from the output, and refused unless it points down:

    NN_x.h may use .h parts with a smaller number
    NN_x.c may use .c parts with a smaller number, and .h parts up to its own number

Declarations that everybody needs (FIRST) stand first in the output, with what they use; all others follow by number.

System includes stand in 01_config.h (stddef.h, stdint.h, stdbool.h) and 10_platform.c only. Implementation parts of
interning may include "pathmap.h"; that line is kept. The output depends on the parts alone: no clock, no environment,
LF line ends, trailing blanks trimmed.

usage: amalgamate.py [--root DIR] [--check | --layers [--cc COMMAND]] [LIBRARY..]
    (no option)  writes the headers
    --check      compares the headers with what the parts give, byte by byte; writes nothing
    --layers     compiles each part alone, with only the parts that it declares, directly or through them. All
                 functions are static there, so a call upwards (of a function that is declared, but that only a later
                 part defines) is an error
"""
import argparse
import os
import re
import shlex
import subprocess
import sys
import tempfile

LIBRARIES = ("pathmap", "interning")
CONFIG_INCLUDES = {"stddef.h", "stdint.h", "stdbool.h"}
# Declarations that stand first: the first hour of a reader.
FIRST = {"pathmap": ("40_map.h", "45_map_algebra.h", "54_iterate.h", "51_write_zipper.h"), "interning": ()}
# Public headers that implementation parts of a library may include.
OTHER_HEADERS = {"pathmap": set(), "interning": {"pathmap.h"}}
BANNER_WIDTH = 110
WARNINGS = ["-std=c11", "-Wall", "-Wextra", "-Wpedantic", "-Wshadow", "-Wconversion", "-Werror",
            "-Wno-unused-function", "-Wno-unused-variable"]

PART_NAME = re.compile(r"(\d\d)_[a-z0-9_]+\.([hc])")
INCLUDE = re.compile(r'\s*#\s*include\s*([<"])([^>"]*)[>"]\s*$')
COMMENT_OR_STRING = re.compile(r"""/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|'(?:\\.|[^'\\\n])*'""", re.S)


class Refused(Exception):
    """The parts break a rule; the text says which, and where."""


def without_comments(text):
    """Blanks comments out, keeping lines and strings, so that directives can be told from prose."""
    def blank(match):
        found = match.group()
        return re.sub(r"[^\n]", " ", found) if found.startswith("/") else found
    return COMMENT_OR_STRING.sub(blank, text)


class Part:
    """One file: its lines, which of them are dropped from the output, and the parts it declares to use."""

    def __init__(self, library, name, data):
        self.name = name
        self.path = f"src/{library}/{name}"
        self.number = int(name[:2])
        self.kind = name[-1]
        try:
            text = data.decode("utf-8")
        except UnicodeDecodeError as error:
            raise Refused(f"{self.path}: not UTF-8: {error}") from error
        text = text.replace("\r\n", "\n").replace("\r", "\n")
        self.lines = [line.rstrip() for line in text.split("\n")]
        self.bare = without_comments("\n".join(self.lines))
        self.has_code = self.bare.strip() != ""
        self.uses = []
        self.dropped = set()

    def read_includes(self, names, library):
        """Sorts the includes into dependencies (dropped) and kept lines, and applies the rules to each."""
        for index, line in enumerate(self.bare.split("\n")):
            if not re.match(r"\s*#\s*include\b", line):
                continue
            where = f"{self.path}:{index + 1}"
            found = INCLUDE.match(line)
            if not found:
                raise Refused(f"{where}: an include that is neither quoted nor bracketed")
            bracket, target = found.groups()
            if bracket == "<":
                self.check_system_include(where, target)
            elif target in OTHER_HEADERS[library] and self.kind == "c":
                continue
            else:
                self.check_dependency(where, target, names)
                self.uses.append(target)
                self.dropped.add(index)
        if self.kind == "h" and re.search(r"\b(pm|intern)__", self.bare):
            raise Refused(f"{self.path}: an internal name (pm__ or intern__) in a public declaration")

    def check_system_include(self, where, target):
        if self.name == "10_platform.c":
            return
        if self.name == "01_config.h" and target in CONFIG_INCLUDES:
            return
        raise Refused(f"{where}: <{target}> belongs in 10_platform.c (01_config.h may include "
                      f"{', '.join(sorted(CONFIG_INCLUDES))})")

    def check_dependency(self, where, target, names):
        if target not in names:
            raise Refused(f'{where}: "{target}" is no part of this library')
        number, kind = int(target[:2]), target[-1]
        if self.kind == "h" and kind == "c":
            raise Refused(f'{where}: a declaration part must not use the implementation part "{target}"')
        if not (number < self.number or (self.kind == "c" and kind == "h" and number == self.number)):
            raise Refused(f'{where}: "{target}" is not below {self.name}')

    def output_lines(self):
        """The lines that ship, without blank ones at either end. Dropped lines take the blank one below along."""
        kept = []
        for index, line in enumerate(self.lines):
            gone = index in self.dropped
            if not gone and not (line == "" and index - 1 in self.dropped and kept[-1:] == [""]):
                kept.append(line)
        while kept and not kept[0]:
            kept.pop(0)
        while kept and not kept[-1]:
            kept.pop()
        return kept


def read_parts(root, library):
    """All parts of a library in order, rules applied. An empty or missing folder gives no parts."""
    folder = os.path.join(root, "src", library)
    names = sorted(os.listdir(folder)) if os.path.isdir(folder) else []
    stems = {}
    for name in names:
        if not PART_NAME.fullmatch(name):
            raise Refused(f"src/{library}/{name}: not a part (a part is named NN_name.h or NN_name.c)")
        other = stems.setdefault(name[:2], name[:-2])
        if other != name[:-2]:
            raise Refused(f"src/{library}/{name}: number {name[:2]} is taken by {other}")
    parts = []
    for name in names:
        with open(os.path.join(folder, name), "rb") as file:
            parts.append(Part(library, name, file.read()))
    for part in parts:
        part.read_includes(set(names), library)
    return parts


def banner(path):
    start = f"/* ---- {path} "
    return start + "-" * (BANNER_WIDTH - len(start) - 3) + " */"


def in_reading_order(library, declarations):
    """Those of FIRST, each behind what it uses, then the others by number."""
    by_name = {part.name: part for part in declarations}
    first = {}
    for name in FIRST[library]:
        if name in by_name:
            first.update((part.name, part) for part in closure(by_name[name], by_name) + [by_name[name]])
    return list({**first, **by_name}.values())


def amalgamate(library, parts):
    """The header's text."""
    upper = library.upper()
    out = [f"/* {library}.h: generated by amalgamate.py from the parts in src/{library}; "
           "change those, not this file. */"]

    def add(part):
        out.extend(["", banner(part.path), "", *part.output_lines()])

    declarations = in_reading_order(library, [part for part in parts if part.kind == "h"])
    for part in declarations:
        if part.number == 0:
            add(part)
    out += ["", f"#ifndef {upper}_H", f"#define {upper}_H", "",
            "#if !defined(__cplusplus) && (!defined(__STDC_VERSION__) || __STDC_VERSION__ < 199901L)",
            f'#error "{library}.h needs C99 or C++11, and its implementation C11"',
            "#else", "", "#ifdef __cplusplus", 'extern "C" {', "#endif"]
    for part in declarations:
        if part.number != 0:
            add(part)
    out += ["", "#ifdef __cplusplus", "}", "#endif", "", "#endif", f"#endif /* {upper}_H */", "",
            "/* The implementation stands outside the guard above: a file may include this header for its",
            "   declarations first, and once more to emit the code. */",
            f"#if defined({upper}_IMPLEMENTATION) && !defined({upper}_IMPLEMENTATION_DONE)",
            f"#define {upper}_IMPLEMENTATION_DONE", "",
            "#if !defined(__cplusplus) && (!defined(__STDC_VERSION__) || __STDC_VERSION__ < 199901L)",
            "/* said above */",
            "#elif defined(__cplusplus) || __STDC_VERSION__ < 201112L",
            f'#error "{upper}_IMPLEMENTATION is C11: define it in a C file; C++ files include the declarations"',
            "#else"]
    for part in parts:
        if part.kind == "c":
            add(part)
    out += ["", "#endif", f"#endif /* {upper}_IMPLEMENTATION */", ""]
    return "\n".join(out)


def closure(part, by_name):
    """The parts that `part` declares, directly or through others, in output order: .h parts first."""
    seen = set()
    todo = list(part.uses)
    while todo:
        name = todo.pop()
        if name not in seen:
            seen.add(name)
            todo.extend(by_name[name].uses)
    return sorted((by_name[name] for name in seen), key=lambda p: (p.kind != "h", p.name))


def alone(part, by_name, library):
    """A translation unit of the part and what it declares. Line markers make diagnostics point at the parts. Public
    functions are static, and all checks are in: so a call of a function that no part below defines is an error."""
    upper = library.upper()
    out = []
    if part.kind == "c":
        out = [f"#define {upper}_IMPLEMENTATION", f"#define {upper}_STATIC", "#define PM_CHECK 3"]
    for each in closure(part, by_name) + [part]:
        out.append(f'#line 1 "{each.path}"')
        out += ["" if index in each.dropped else line for index, line in enumerate(each.lines)]
    return "\n".join(out) + "\n"


def check_layers(root, library, parts, compiler):
    """Compiles each part alone. Returns the names of those that fail; parts of comments only are left out."""
    by_name = {part.name: part for part in parts}
    failed = []
    with tempfile.TemporaryDirectory() as folder:
        for part in parts:
            if not part.has_code:
                continue
            unit = os.path.join(folder, "unit.c")
            with open(unit, "w", encoding="utf-8", newline="\n") as file:
                file.write(alone(part, by_name, library))
            command = compiler + WARNINGS + ["-I", root, "-fsyntax-only", unit]
            if subprocess.run(command, check=False).returncode != 0:
                print(f"{part.path}: does not compile with only the parts that it declares", file=sys.stderr)
                failed.append(part.path)
    return failed


def write_header(path, text):
    """Writes only what changed, but always renews the time stamp, which make goes by."""
    data = text.encode("utf-8")
    if read_bytes(path) == data:
        os.utime(path)
        return "unchanged"
    temporary = path + ".new"
    with open(temporary, "wb") as file:
        file.write(data)
    os.replace(temporary, path)
    return "written"


def read_bytes(path):
    try:
        with open(path, "rb") as file:
            return file.read()
    except FileNotFoundError:
        return None


def handle(root, library, options):
    """Does what the options ask for one library. Returns whether all is well."""
    parts = read_parts(root, library)
    header = os.path.join(root, library + ".h")
    if not any(part.has_code for part in parts):
        if os.path.exists(header):
            raise Refused(f"{library}.h exists, but src/{library} has no parts with code")
        print(f"{library}.h: left out, src/{library} has no parts with code")
        return True
    if options.layers:
        failed = check_layers(root, library, parts, shlex.split(options.cc))
        tried = sum(part.has_code for part in parts)
        print(f"src/{library}: {tried - len(failed)} of {tried} parts compile alone")
        return not failed
    text = amalgamate(library, parts)
    if not options.check:
        print(f"{library}.h: {write_header(header, text)}, {len(parts)} parts")
        return True
    found = read_bytes(header)
    if found == text.encode("utf-8"):
        print(f"{library}.h: matches its {len(parts)} parts")
        return True
    state = "missing" if found is None else "not what its parts give"
    print(f"{library}.h: {state}; run amalgamate.py", file=sys.stderr)
    return False


def main(arguments):
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--root", default=os.path.dirname(os.path.abspath(__file__)))
    parser.add_argument("--check", action="store_true")
    parser.add_argument("--layers", action="store_true")
    parser.add_argument("--cc", default="cc", help="compiler command of --layers")
    parser.add_argument("libraries", nargs="*", metavar="LIBRARY")
    options = parser.parse_args(arguments)
    for library in options.libraries:
        if library not in LIBRARIES:
            parser.error(f"no library {library}; there are {', '.join(LIBRARIES)}")
    well = True
    for library in options.libraries or LIBRARIES:
        try:
            well = handle(options.root, library, options) and well
        except Refused as refused:
            print(refused, file=sys.stderr)
            well = False
    return 0 if well else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
