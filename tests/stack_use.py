#!/usr/bin/env python3
"""How deep the stack of a caller gets below each public function.

usage: stack_use.py [--all] [--limit BYTES] [--path NAME] [COMPILER FLAG..]         (through make: `make stack`)

The compiler says what each function takes and whom it calls (gcc, -fcallgraph-info=su); the deepest path from each
public function is added up. Nothing recurses, but for circles that are entered once (ONCE), and no frame depends on
the arguments: either would be reported, and is an error. What a hook of the caller's takes comes on top, and what
libc takes (malloc, waiting) is not known to the compiler of this code. Prints the deepest functions, or all; --path
prints the path of one. The last line counts functions, and says the deepest; above the limit that is a failure."""
import argparse
import os
import re
import subprocess
import sys
import tempfile

ROOT = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
NODE = re.compile(r'node: \{ title: "([^"]+)" label: "([^"]+)"')
EDGE = re.compile(r'edge: \{ sourcename: "([^"]+)" targetname: "([^"]+)"')
# Calls that close a circle, but are not made again inside themselves. Their callee counts as deep as it gets without.
ONCE = {("pm__iter_share", "pm_rz_make_map"): "that of a zipper over a map",
        ("pm__many_pairs", "pm__pairs_walk"): "over pairs of two, which never become more",
        ("pm__place_mask_range", "pm__place_mask_entered"): "of the parts of a range node, which are none themselves"}
SIZE = re.compile(r"(\d+) bytes \(([^)]+)\)")


def graph(header, macro, compiler):
    """Bytes of each function, whom it calls, and which functions' frames have no fixed size."""
    size, calls, dynamic = {}, {}, []
    with tempfile.TemporaryDirectory() as folder:
        with open(f"{folder}/u.c", "w", encoding="utf-8") as file:
            file.write(f"#define {macro}\n#include <{header}>\n")
        subprocess.run([*compiler, "-std=c11", f"-I{ROOT}", "-fcallgraph-info=su", "-c", f"{folder}/u.c", "-o",
                        f"{folder}/u.o"], check=True)
        with open(f"{folder}/u.ci", encoding="utf-8") as file:
            for line in file:
                if node := NODE.match(line):
                    name, found = node.group(1).split(":")[-1], SIZE.search(node.group(2))
                    if found:
                        size[name] = int(found.group(1))
                        if "dynamic" in found.group(2) and "bounded" not in found.group(2):
                            dynamic.append(name)
                elif edge := EDGE.match(line):
                    ends = edge.group(1).split(":")[-1], edge.group(2).split(":")[-1]
                    calls.setdefault(ends[0], set()).add(ends[1])
    return size, calls, dynamic


def deepest(name, size, calls, known, open_calls, once):
    """(bytes, path) of the deepest way down; a function that calls itself, by whatever way, ends the program. `once`:
    what is known of the callees of ONCE; None: those calls are left out."""
    if name in known:
        return known[name]
    if name in open_calls:
        sys.exit("recursion: " + " ".join([*open_calls[open_calls.index(name):], name]))
    ways = [once[to] if (name, to) in ONCE else deepest(to, size, calls, known, [*open_calls, name], once)
            for to in sorted(calls.get(name, ())) if to in size and (once is not None or (name, to) not in ONCE)]
    below = max(ways, default=(0, []))
    known[name] = (size[name] + below[0], [name, *below[1]])
    return known[name]


def main():
    options = argparse.ArgumentParser()
    options.add_argument("--all", action="store_true")
    options.add_argument("--limit", type=int, default=0)
    options.add_argument("--path")
    options.add_argument("compiler", nargs=argparse.REMAINDER)
    options = options.parse_args()
    compiler = [word for word in options.compiler if word != "--"] or ["gcc", "-O2"]
    rows, sizes = [], {}
    for header, macro in (("pathmap.h", "PATHMAP_IMPLEMENTATION"), ("interning.h", "INTERNING_IMPLEMENTATION")):
        size, calls, dynamic = graph(header, macro, compiler)
        if dynamic:
            sys.exit("frames without a fixed size: " + " ".join(dynamic))
        known, without = {}, {}
        once = {to: deepest(to, size, calls, without, [], None) for _, to in ONCE if to in size}
        sizes.update(size)
        rows += [(*deepest(name, size, calls, known, [], once), name) for name in size
                 if re.match(r"(pm|intern)_[a-z]", name)]
    rows.sort(reverse=True)
    for total, path, name in rows if options.all else rows[:12]:
        print(f"{total:6} {name}")
    for total, path, name in rows:
        if name == options.path:
            print("\n".join(f"{sizes[step]:6}   {step}" for step in path))
    over = sum(total > options.limit for total, _, _ in rows) if options.limit else 0
    print(f"deepest: {rows[0][0]} bytes, {rows[0][2]}")
    print(f"{len(rows) - over} passed, {over} failed, 0 skipped")
    sys.exit(1 if over else 0)


if __name__ == "__main__":
    main()
