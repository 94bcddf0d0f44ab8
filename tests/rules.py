"""Rules that the public prototypes keep, checked on the .h parts by `make rules`.

- Results come last: a parameter through which a call returns something has none behind it that is given to the call.
  Flags (bool *) stand behind all other results.
- What opens or makes an object and returns a status has a parameter `out` for it.
- Every function has a comment of its own directly above.
- What the head of pathmap.h names for the first hour is declared.
- Every function occurs in an example, or on a page of docs/."""
import glob
import os
import re

import amalgamate

PROTOTYPE = re.compile(r"^(?:PM|INTERN)_API\s+(?:(?:PM|INTERN)_NODISCARD\s+)?"
                       r"([^;{}]*?)\b((?:pm|intern)_\w+)\(([^;{}]*)\);", re.M)
# Results by name, where the type alone does not tell: it is that of an object which a call may also work on.
RESULTS = {"out", "old", "why", "stats", "error"}
# Types that a call gets by value: a pointer to one of them is a place for a result.
PLAIN = {"bool", "size_t", "uint64_t", "pm_alg", "pm_val", "pm_opt", "intern_symbol"}
MAKES = re.compile(r"_(open|new|fork)(_[a-z]+)*$|_make_map|"
                   r"^pm_view_(empty|prefix|product|overlay|meet|subtract|dependent)$")


def split(text):
    """Parameters, of which some are pointers to functions."""
    parts, depth, start = [], 0, 0
    for i, c in enumerate(text):
        depth += (c == "(") - (c == ")")
        if c == "," and depth == 0:
            parts.append(text[start:i].strip())
            start = i + 1
    return parts + [text[start:].strip()]


def is_result(parameter):
    found = re.fullmatch(r"(.*?)([*\s]+)(\w+)(\[\d*\])?", " ".join(parameter.split()))
    if not found or "(" in parameter or not ("*" in found.group(2) or found.group(4)):
        return False
    base, stars, name = found.group(1), found.group(2).count("*"), found.group(3)
    constant = base.startswith("const ") and stars == 1
    return not constant and "const" not in base.split()[1:] and (name in RESULTS or stars == 2 or base in PLAIN)


def prototypes():
    """(part, line, what is returned, name, parameters) of every public function."""
    for path in sorted(glob.glob("src/*/*.h")):
        with open(path, encoding="utf-8") as file:
            text = file.read()
        for found in PROTOTYPE.finditer(text):
            returned, name, rest = (" ".join(part.split()) for part in found.groups())
            yield path, text.count("\n", 0, found.start()) + 1, returned, name, [] if rest == "void" else split(rest)


def misplaced_results():
    """Returns what breaks the rules, a line each, and how many functions there are."""
    faults, n = [], 0
    for path, line, returned, name, parameters in prototypes():
        n += 1
        results = [is_result(parameter) for parameter in parameters]
        first = results.index(True) if True in results else len(results)
        if not all(results[first:]):
            faults.append(f"{path}:{line}: {name}: `{parameters[first]}` is a result, and not behind what is given")
        flags = ["bool *" in parameter and result for parameter, result in zip(parameters, results)]
        if True in flags and not all(flags[flags.index(True):]):
            faults.append(f"{path}:{line}: {name}: a flag is not last")
        named = [re.search(r"(\w+)(\[\d*\])?$", each).group(1) for each in parameters if "(*" not in each]
        if returned.endswith("_status") and MAKES.search(name) and "out" not in named:
            faults.append(f"{path}:{line}: {name}: makes an object, and has no `out`")
    return faults, n


def uncommented():
    """Returns the public functions without a comment directly above, a line each, and how many functions there are."""
    faults, n = [], 0
    for path, line, _, name, _ in prototypes():
        n += 1
        with open(path, encoding="utf-8") as file:
            above = "\n".join(file.read().split("\n")[:line - 1])
        start = above.rfind("/*")
        if not above.endswith("*/") or above[start - 1] != "\n" or "*/" in above[start:-2]:
            faults.append(f"{path}:{line}: {name}: no comment directly above")
    return faults, n


def unknown_first():
    """Returns the names of the first hour that are no functions, or that do not stand first in the header."""
    with open("src/pathmap/00_intro.h", encoding="utf-8") as file:
        text = file.read()
    block = text[text.index("The first hour."):text.index("The picture.")]
    names = [name for name in re.findall(r"\bpm_\w+", block) if name != "pm_map"]
    first = ("02_types.h", "50_read_zipper.h", *amalgamate.FIRST["pathmap"])
    declared = {name for path, _, _, name, _ in prototypes() if os.path.basename(path) in first}
    return [f"first hour: no function {name} among {', '.join(first)}" for name in names if name not in declared]


# Where a function is shown, or said when to use it.
PAGES = ("examples/*.[ch]", "docs/*.md", "README.md")


def unshown():
    """Returns the public functions that occur in no example and on no page, a line each."""
    text = ""
    for path in sorted(path for pattern in PAGES for path in glob.glob(pattern)):
        with open(path, encoding="utf-8") as file:
            text += file.read()
    words = set(re.findall(r"\b(?:pm|intern)_\w+", text))
    return [f"{path}:{line}: {name}: in no example, and on no page of docs/ (see docs/reference.md)"
            for path, line, _, name, _ in prototypes() if name not in words]


def unmeasured():
    """Returns the figures of the README's table that bench/RESULTS.md does not have."""
    with open("README.md", encoding="utf-8") as file:
        rows = [line for line in file if line.startswith("| ") and re.search(r"\bns\b|\bbytes per key\b", line)]
    with open("bench/RESULTS.md", encoding="utf-8") as file:
        measured = set(re.findall(r"[\d.]+", file.read()))
    figures = [cell.split()[0] for row in rows for cell in row.split("|")[2:-1] if "(" not in cell]
    if not figures:
        return ["README.md: no table of figures"]
    return [f"README.md: {figure} is not a figure of bench/RESULTS.md" for figure in figures if figure not in measured]
