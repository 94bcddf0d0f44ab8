#!/usr/bin/env python3
"""Builds the site: the pages of docs/, the reference of both headers, all examples with their output, pictures.

usage: build.py OUT [--programs DIR] [--drawings PROGRAM] [--man | --picture NAME]

    OUT                 the folder to write, which is emptied first
    --programs DIR      run the examples that were built there, and show what they print. It must be what is recorded
                        in examples/*.out; without this option that is shown
    --drawings PROGRAM  build/drawings, to draw pictures with (and dot, of Graphviz)
    --picture NAME      draw this one only, as the file OUT
    --man               write man pages instead, as OUT/man3/NAME.3

Pages are written in Markdown and converted by pandoc; the reference comes from the comments in src/*/*.h. Any warning
of pandoc, a link that leads nowhere, an example without output, a page of docs/ that no list has, and a public name
without an entry are errors: the exit status is 1."""
import argparse
import glob
import html
import json
import os
import re
import shutil
import subprocess
import sys

sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import declarations  # noqa: E402

HERE = os.path.dirname(os.path.abspath(__file__))
ROOT = os.path.dirname(os.path.dirname(HERE))
# What build/drawings draws, and what its maps are called in the picture.
PICTURES = {"snapshot": ("snapshot", "map"), "line": ("map",), "byte": ("map",), "wide": ("map",),
            "head": ("first reader", "later reader"), "claims": ("report",)}

# The pages of docs/, in the order of the menu, each with the name that it has there.
GUIDE = (("start", "First steps"), ("reference", "Which call for which task"), ("concurrency", "Threads"),
         ("memory", "Memory"), ("hardware", "Cores, caches, profiling"), ("interning", "Interning"),
         ("exchange", "Between processes"), ("formats", "Files"), ("from_rust", "From Rust"),
         ("embedded", "Without malloc"), ("count_modes", "Slim and standard counts"), ("platforms", "Platforms"),
         ("architecture", "Architecture"), ("proof", "How threads are tested"), ("claims", "Claims"),
         ("goals", "Goals that were missed"))
# Pages that are not in docs/, by their files.
ELSEWHERE = {"bench/RESULTS": "results.html", "CHANGELOG": "changes.html", "CONTRIBUTING": "contributing.html"}
# Examples that no plain run shows: how they are started, and what of their output.
STARTED = {"mpi_build": ["mpirun", "--allow-run-as-root", "--oversubscribe", "-n", "4"], "index_headers": None}

faults = []


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8") as file:
        return file.read()


def pandoc(text, source, target, *options):
    done = subprocess.run(["pandoc", "--fail-if-warnings", "-f", source, "-t", target, "--wrap=preserve", *options],
                          input=text, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode != 0 or done.stderr:
        faults.append("pandoc: " + done.stderr.strip())
    return done.stdout


class Page:
    def __init__(self, address, title, text, kind, source="gfm-emoji", menu=None):
        self.address, self.title, self.text, self.kind, self.source = address, title, text, kind, source
        self.menu = menu or title
        self.html = ""


# The reference.

API = "commonmark+gfm_auto_identifiers+attributes+definition_lists+pipe_tables+raw_html"


def entry_title(entry):
    functions = [name for name in entry.names if not name.isupper()] or entry.names
    return functions[:1] if "\n" in entry.code[0] and len(entry.code) == 1 else entry.names[:4]


def first_sentence(text):
    words = re.split(r"(?<=[a-z0-9)`*])\.(?:\s|$)|\n\n|\n(?=[A-Z][a-z]+ {2,})", text, maxsplit=1)[0]
    return " ".join(words.split())


def documented(part):
    """Entries that say something, with what they declare. Those of the switches are in the part's first comment."""
    if part.stem == "config":
        return part.entries[:1]
    return [entry for entry in part.entries if entry.heading or entry.text or entry.names]


def uses(used, names):
    found = sorted({page for name in names for page in used.get(name, ())})
    if not found:
        return []
    more = f" and {len(found) - 8} more" if len(found) > 8 else ""
    links = ", ".join(f"[{page[3:-5]}]({page})" for page in found[:8])
    return ["::: uses", f"Examples: {links}{more}", ":::", ""]


def part_page(part, used):
    out = [f"# {declarations.prose(part.title)}", ""]
    entries = documented(part)
    functions = [entry for entry in entries if entry.names and entry.text]
    for number, entry in enumerate(entries):
        if entry.heading:
            out += [f"## {declarations.prose(entry.heading)}", ""]
            continue
        if not entry.names:
            out += [declarations.markdown(entry.text), ""]
        else:
            title = entry_title(entry)
            anchors = "".join(f'<a id="{name}"></a>' for name in entry.names if name != title[0])
            out += [f"### {', '.join(f'`{name}`' for name in title)} {{#{title[0]}}}", "", anchors, "",
                    "```c", *entry.code, "```", "", declarations.markdown(entry.text), *uses(used, entry.names)]
        if number == 0 and len(functions) > 2:
            rows = [f"| `{entry_title(e)[0]}` | {declarations.prose(first_sentence(e.text))} |" for e in functions]
            out += ["| | |", "|---|---|", *rows, ""]
    return Page(part.page(), part.title, "\n".join(out), "Reference", API + "+fenced_divs")


def api_list(parts):
    out = ["# Reference", "", "What each declaration returns, who owns the result, how long it stays valid, how it "
           "fails, what it costs, and which threads may call it. [Which call for which task](reference.html) is the "
           "way in by what you want to do.", ""]
    for header in ("pathmap", "interning"):
        out += [f"## {header}.h", "", "| | |", "|---|---|"]
        for part in parts:
            if part.header == header:
                names = [entry_title(entry)[0] for entry in documented(part) if entry.names]
                shown = " ".join(f"`{name}`" for name in names)
                out.append(f"| [{declarations.prose(part.title)}]({part.page()}) | {shown} |")
        out.append("")
    return Page("api.html", "Reference", "\n".join(out), "Reference", API)


# Examples.

def recorded(name):
    if name == "readme":
        blocks = re.findall(r"^```\w*\n(.*?)^```", read("README.md"), re.S | re.M)
        return blocks[1]
    path = f"examples/{name}.out"
    return read(path) if os.path.exists(os.path.join(ROOT, path)) else None


def run_example(name, programs):
    """What an example prints; None if it is not run here."""
    command = STARTED.get(name, [])
    program = os.path.join(programs, name)
    if command is None or (command and not shutil.which(command[0])) or not os.path.exists(program):
        return None
    done = subprocess.run([*command, os.path.abspath(program)], cwd=ROOT, capture_output=True, text=True, check=False,
                          timeout=300)
    if done.returncode != 0:
        faults.append(f"examples/{name}: exit {done.returncode}")
    if done.stdout != recorded(name):
        faults.append(f"examples/{name}: prints something else than examples/{name}.out")
    return done.stdout


def comment_of(source):
    """The comment at the head of an example, and the code without it."""
    found = re.match(r"/\*(.*?)\*/\n", source, re.S)
    return (declarations.comment_text([found.group()]), source[found.end():].strip("\n")) if found else ("", source)


def example_page(name, programs):
    text, code = comment_of(read(f"examples/{name}.c"))
    if name == "readme":
        text = "The program of the first page: two snapshots, changed apart and joined."
    printed = run_example(name, programs) if programs else None
    ran = printed is not None
    printed = printed if ran else recorded(name)
    out = [f"# {name}", "", declarations.markdown(text), "## Source", "", "```c", code.rstrip(), "```", "",
           "## Output", ""]
    if printed is not None:
        out += ["```", printed.rstrip("\n"), "```", ""]
    elif name in STARTED:
        out += ["It depends on the machine: `make run DIR=..` shows it.", ""]
    else:
        faults.append(f"examples/{name}: no output")
    if '#include "parallel.h"' in code:
        out += ["## parallel.h, which it includes", "", "```c", comment_of(read("examples/parallel.h"))[1], "```", ""]
    out += [f"Build and run it: `make build/examples/{name} && build/examples/{name}`", ""]
    page = Page(f"ex-{name}.html", name, "\n".join(out), "Example", API)
    page.about = first_sentence(text)
    page.names = set(re.findall(r"\b(?:pm|PM|intern|INTERN)_\w+", code))
    return page


def example_list(pages):
    rows = [f"| [{page.title}]({page.address}) | {declarations.prose(page.about)} |" for page in pages]
    text = "\n".join(["# Examples", "", "One idea each. Every page has the whole program and what it prints.", "",
                      "| | |", "|---|---|", *rows, ""])
    return Page("examples.html", "Examples", text, "Example", API)


# Links and the menu.

class Linker:
    """Makes links of names in code: of the library, of pages, of examples and of parts."""

    def __init__(self, parts, pages):
        self.at = {}
        for part in parts:
            for entry in documented(part):
                for name in entry.names:
                    self.at.setdefault(name, f"{part.page()}#{name}")
            self.at[os.path.basename(part.path)] = self.at[part.path] = part.page()
            stem = os.path.basename(part.path)[:-2]
            if part.header == "pathmap":
                self.at.setdefault(stem, part.page())
        for page in pages:
            stem = page.address[:-5]
            if page.kind == "Guide" and os.path.exists(os.path.join(ROOT, "docs", stem + ".md")):
                self.at[f"docs/{stem}.md"] = self.at[f"{stem}.md"] = page.address
            if page.kind == "Example" and page.address.startswith("ex-"):
                self.at[f"examples/{stem[3:]}.c"] = self.at[f"{stem[3:]}.c"] = page.address
        for path, address in ELSEWHERE.items():
            self.at[f"{path}.md"] = self.at[os.path.basename(path) + ".md"] = address
        self.word = re.compile(r"(?<![\w/.&])(?:[\w]+/)?[A-Za-z_0-9]\w*(?:\.(?:md|c|h))?(?![\w*])")

    def in_text(self, text, own):
        def link(found):
            address = self.at.get(found.group())
            if not address or address == own:
                return found.group()
            return f'<a href="{address}">{found.group()}</a>'
        return "".join(piece if piece.startswith("<") else self.word.sub(link, piece)
                       for piece in re.split(r"(<[^>]*>)", text))

    def apply(self, text, own):
        """Links in each <code> that stands in no link."""
        return re.sub(r"(<a [^>]*href[^>]*>.*?</a>)|(<h[1-6].*?</h[1-6]>)|(<code[^>]*>)(.*?)(</code>)",
                      lambda m: m.group(1) or m.group(2) or m.group(3) + self.in_text(m.group(4), own) + m.group(5),
                      text, flags=re.S)


def mend(text, page, linker):
    """What pandoc's HTML lacks: tables that scroll, links beside headings, links to pages."""
    text = re.sub(r'<div class="sourceCode"[^>]*>(<pre.*?</pre>)</div>', r"\1", text, flags=re.S)
    text = re.sub(r'<a href="#cb[^"]*" aria-hidden="true" tabindex="-1"></a>', "", text)
    text = re.sub(r'<span id="cb[^"]*">', "<span>", text)
    text = re.sub(r' id="cb\d+"', "", text)
    text = re.sub(r"<table.*?</table>", lambda m: f'<div class="wide">{m.group()}</div>', text, flags=re.S)
    text = re.sub(r"<td( style=\"[^\"]*\")?>(?=(?:<strong>)?[-+]?[\d][\d.,]*(?: ?%| x)?(?:</strong>)?</td>)",
                  '<td class="number">', text)
    text = re.sub(r'(<h[2-4] id="([^"]+)">)(.*?)(</h)', r'\1\3<a class="at" href="#\2" aria-label="Link">#</a>\4', text)
    text = re.sub(r'href="(?:docs/|\.\./docs/)?([a-z_]+)\.md(#[^"]*)?"', r'href="\1.html\2"', text)
    text = re.sub(r'href="(?:\.\./)?(bench/RESULTS|CHANGELOG|CONTRIBUTING)\.md(#[^"]*)?"',
                  lambda m: f'href="{ELSEWHERE[m.group(1)]}{m.group(2) or ""}"', text)
    text = re.sub(r'(src=")(?:docs/|results/)', r"\1", text)
    return linker.apply(text, page.address)


def menu(pages, parts):
    """The lists of pages; site.js unfolds the one that the page is in."""
    lists = [(kind, [(p.address, p.menu) for p in pages if p.kind == kind.removesuffix("s")])
             for kind in ("Guide", "Examples")]
    lists += [(f"{header}.h", [(part.page(), part.title) for part in parts if part.header == header])
              for header in ("pathmap", "interning")]
    out = []
    for title, listed in lists:
        out.append(f"<details{' open' if title == 'Guide' else ''}><summary>{title}</summary><ul>")
        out += [f'<li><a href="{address}">{html.escape(name)}</a></li>' for address, name in listed]
        out.append("</ul></details>")
    return "\n".join(out)


def plain(text):
    text = re.sub(r"<(script|style).*?</\1>", " ", text, flags=re.S)
    return " ".join(html.unescape(re.sub(r"</?(?:code|span|a|em|strong)\b[^>]*>", "", text)).split()) \
        if "<" not in re.sub(r"</?(?:code|span|a|em|strong)\b[^>]*>", "", text) \
        else " ".join(html.unescape(re.sub(r"<[^>]*>", " ", re.sub(r"</?(?:code|span|a|em|strong)\b[^>]*>", "",
                                                                   text))).split())


def search_entries(page):
    """One for each section of a page: of the reference, for each name."""
    text = re.sub(r'<div class="uses">.*?</div>', " ", page.html, flags=re.S)
    pieces = re.split(r'<h[1-3] id="([^"]+)">(.*?)</h[1-3]>', text, flags=re.S)
    for anchor, title, body in zip(pieces[1::3], pieces[2::3], pieces[3::3]):
        title = plain(title).removesuffix("#").strip()
        body = re.sub(r"<pre.*?</pre>", " ", body, flags=re.S) if page.kind != "Example" else body
        if page.kind == "Example" and title in ("Source", "Output"):
            title = f"{page.title}: {title.lower()}"
            body = " ".join(sorted(page.names)) if title.endswith("source") else ""
        if body or title == page.title:
            yield [title, f"{page.address}#{anchor}", page.menu if page.kind != "Reference" else page.title,
                   plain(body)[:1200]]


def phrases():
    """What people call it, of names: {name: [[phrase, place], ..]}, and the same as [(phrase, names)]."""
    said, lines = {}, []
    for line in read("docs/site/words.txt").splitlines():
        if line.startswith("#"):
            continue
        left, _, right = line.partition(":")
        for phrase in left.split(", "):
            lines.append((phrase, right.split()))
            for place, name in enumerate(right.split()):
                said.setdefault(name, []).append([phrase, place])
    return said, lines


def add_phrases(entries):
    """A fifth field of entries of the reference."""
    said, lines = phrases()
    found = set()
    for entry in entries:
        names = entry[0].split(", ") if entry[1].startswith("api-") else []
        entry.append([pair for name in names for pair in said.get(name, ())])
        found |= set(names) & said.keys()
    faults.extend(f"docs/site/words.txt: {name} has no entry in the reference" for name in sorted(said.keys() - found))
    return lines


def check_search(out, lines):
    """Of all calls each phrase of words.txt finds its first one first; needs node."""
    if not shutil.which("node"):
        return
    script = "\n".join(open(os.path.join(out, name), encoding="utf-8").read() for name in ("index.js", "search.js"))
    script += "\nconst asked = " + json.dumps([phrase for phrase, _ in lines]) + \
              (";\nconst isCall = entry => entry[1].startsWith('api-') && entry[0].includes('_');"
               "\nconst first = text => (ranked(PAGES, text).find(isCall) || ['nothing'])[0];"
               "\nconsole.log(JSON.stringify(asked.map(first)));\n")
    done = subprocess.run(["node", "-"], input=script, capture_output=True, text=True, encoding="utf-8", check=False)
    if done.returncode != 0:
        faults.append("search: " + done.stderr.strip())
        return
    for (phrase, names), first in zip(lines, json.loads(done.stdout)):
        if names[0] not in first.split(", "):
            faults.append(f'search: "{phrase}" finds {first} first, not {names[0]}')


def write(out, name, text):
    with open(os.path.join(out, name), "w", encoding="utf-8", newline="\n") as file:
        file.write(text)


def check_links(out, pages):
    ids = {}
    for page in pages:
        found = re.findall(r'\bid="([^"]+)"', page.html)
        ids[page.address] = set(found)
        for twice in sorted({name for name in found if found.count(name) > 1}):
            faults.append(f"{page.address}: id {twice} occurs twice")
    for page in pages:
        for target in re.findall(r'\b(?:href|src)="([^"]+)"', page.html):
            if re.match(r"[a-z]+:", target):
                continue
            address, _, anchor = target.partition("#")
            address = address or page.address
            if not os.path.exists(os.path.join(out, address)):
                faults.append(f"{page.address}: a link to {target}, which is not there")
            elif anchor and address in ids and anchor not in ids[address]:
                faults.append(f"{page.address}: a link to {target}: no such place")


def check_names(parts, linker):
    """Every public function of the headers has an entry with a text, of its own or above it."""
    for header in ("pathmap", "interning"):
        declared = read(f"{header}.h").split(f"{header.upper()}_IMPLEMENTATION_DONE")[0]
        declared = re.sub(r"/\*.*?\*/", "", declared, flags=re.S)
        for name in sorted(set(re.findall(r"\b((?:pm|intern)_[a-z0-9_]+)\(", declared))):
            if name not in linker.at:
                faults.append(f"{name}: declared in {header}.h, but has no entry")


def picture(program, name):
    """A picture as SVG: without the legend, its maps named as in PICTURES."""
    done = subprocess.run([program, name], capture_output=True, text=True, check=False)
    text = re.sub(r"^  legend .*\n", "", done.stdout, flags=re.M)
    for number, label in enumerate(PICTURES[name]):
        text = text.replace(f'label="map\\ {number}"', f'label="{label}"')
    # Many arrows to one node: straight, so that they do not cross the rows.
    straight = ["-Gsplines=line", "-Granksep=1.5"] if name in ("byte", "wide") else []
    svg = subprocess.run(["dot", "-Tsvg", *straight], input=text, capture_output=True, text=True, check=False)
    if done.returncode != 0 or svg.returncode != 0 or done.stderr or svg.stderr:
        faults.append(f"picture {name}: {done.stderr}{svg.stderr}")
    return svg.stdout


def draw(program, out):
    for name in PICTURES:
        write(out, f"{name}.svg", picture(program, name))
    if words("docs/snapshot.svg") != words(os.path.join(out, "snapshot.svg")):
        faults.append("docs/snapshot.svg is not what is drawn now: make pictures")


def words(path):
    return re.findall(r"<text[^>]*>(.*?)</text>", read(path))


def collect(parts, programs):
    examples = [example_page(os.path.basename(path)[:-2], programs)
                for path in sorted(glob.glob(os.path.join(ROOT, "examples", "*.c")))]
    used = {}
    for page in examples:
        for name in page.names:
            used.setdefault(name, []).append(page.address)
    listed = {name for name, _ in GUIDE}
    for path in sorted(glob.glob(os.path.join(ROOT, "docs", "*.md"))):
        if os.path.basename(path)[:-3] not in listed:
            faults.append(f"{path}: not in the list GUIDE of build.py")
    guide = [Page("index.html", "pathmap", read("README.md"), "Guide", menu="About")]
    for name, title in GUIDE:
        text = read(f"docs/{name}.md")
        guide.append(Page(f"{name}.html", re.search(r"^# (.*)", text, re.M).group(1), text, "Guide", menu=title))
    with open(os.path.join(HERE, "pictures.md"), encoding="utf-8") as file:
        guide.append(Page("pictures.html", "Pictures of tries", file.read(), "Guide", menu="Pictures"))
    for path, title, name in (("bench/RESULTS", "Results", "Measured"), ("CHANGELOG", "Changes", "Changes"),
                              ("CONTRIBUTING", "How to work on pathmap", "How to work on it")):
        guide.append(Page(ELSEWHERE[path], title, read(f"{path}.md"), "Guide", menu=name))
    return [*guide, example_list(examples), *examples, api_list(parts), *(part_page(part, used) for part in parts)]


def guide_page(pages):
    rows = [f"| [{p.menu}]({p.address}) | {p.title} |" for p in pages if p.kind == "Guide"]
    text = "\n".join(["# Guide", "", "| | |", "|---|---|", *rows, ""])
    return Page("guide.html", "Guide", text, "List", API)


def build_site(out, programs, drawings):
    parts = declarations.read(ROOT)
    pages = collect(parts, programs)
    pages.append(guide_page(pages))
    linker = Linker(parts, pages)
    check_names(parts, linker)
    template = read("docs/site/template.html").replace("@SIDE@", menu(pages, parts))
    write(out, "template.html", template)
    for page in pages:
        toc = ["--toc", "--toc-depth=3"] if page.text.count("\n## ") + page.text.count("\n### ") > 2 else []
        made = pandoc(page.text, page.source, "html5", "-s", f"--template={out}/template.html", *toc,
                      "-M", f"pagetitle={page.title}")
        page.html = mend(made, page, linker)
        write(out, page.address, page.html)
    os.remove(os.path.join(out, "template.html"))
    for name in ("style.css", "search.js", "site.js"):
        shutil.copy(os.path.join(HERE, name), out)
    curves = glob.glob(os.path.join(ROOT, "bench", "results", "*.svg"))
    for path in [os.path.join(ROOT, "docs", "scaling.svg"), *curves]:
        shutil.copy(path, out)
    if drawings:
        draw(drawings, out)
    entries = [entry for page in pages for entry in search_entries(page)]
    lines = add_phrases(entries)
    write(out, "index.js", "const PAGES = " + json.dumps(entries, ensure_ascii=False, separators=(",", ":")) + ";\n")
    check_search(out, lines)
    check_links(out, pages)
    return f"{len(pages)} pages, {len(entries)} places to find, {len(PICTURES) if drawings else 0} pictures"


# Man pages: one for each entry of the reference, others for what stands alone.

MAN_LABELS = {"Returns": "RETURN VALUE", "Owns": "OWNERSHIP", "Valid": "VALIDITY", "Fails": "ERRORS", "Cost": "COST",
              "Threads": "THREADS", "NULL": "NULL", "Source": "SOURCE"}


def man_markdown(text):
    """As for the site, but labels are sections."""
    return re.sub(r"^(%s)\n:   " % "|".join(MAN_LABELS), lambda m: f"# {MAN_LABELS[m.group(1)]}\n\n",
                  declarations.markdown(text), flags=re.M).replace("\n    ", "\n")


def in_a_name(text):
    """For the line that `whatis` reads: no fonts, no name twice."""
    text = text.removeprefix("pathmap - ").replace("`", "")
    return declarations.SPECIAL.sub(r"\\\1", text)


def man_pages(parts):
    """(name, other names, Markdown) of all pages."""
    for part in parts:
        entries = documented(part)
        general = part.header + ("" if part.stem == "intro" else "_" + part.stem)
        functions = [entry for entry in entries if entry.names]
        alone = "\n".join(man_markdown(entry.text) if entry.text else f"# {entry.heading.upper()}\n"
                          for entry in entries if not entry.names)
        listed = [f"**{entry_title(e)[0]}**(3)\n:   {declarations.prose(first_sentence(e.text))}\n" for e in functions]
        also = ["# SEE ALSO", "", ", ".join(f"**{entry_title(e)[0]}**(3)" for e in functions)] if functions else []
        yield general, [], "\n".join(["# NAME", "", f"{general} - {in_a_name(part.title)}", "",
                                      "# DESCRIPTION", "", alone, "", *also, ""])
        for entry in functions:
            name = entry_title(entry)[0]
            about = first_sentence(entry.text) or first_sentence(part.title)
            yield name, [n for n in entry.names if n != name], "\n".join(
                ["# NAME", "", f"{', '.join(entry_title(entry))} - {in_a_name(about)}", "", "# SYNOPSIS", "",
                 "```", f'#include "{part.header}.h"', "", *entry.code, "```", "", "# DESCRIPTION", "",
                 man_markdown(entry.text), "", "# SEE ALSO", "", f"**{general}**(3)", ""])


def build_man(out):
    folder = os.path.join(out, "man3")
    os.makedirs(folder)
    parts = declarations.read(ROOT)
    pages = list(man_pages(parts))
    version = re.findall(r"define PM_VERSION_(?:MAJOR|MINOR|PATCH) (\d+)", read("pathmap.h"))[:3]
    separator = "PAGEENDSHERE"
    made = pandoc(f"\n\n# {separator}\n\n".join(text for _, _, text in pages), API, "man").split(f".SH {separator}\n")
    if len(made) != len(pages):
        faults.append(f"man: {len(pages)} pages went in, {len(made)} came out")
    for (name, others, _), text in zip(pages, made):
        text = re.sub(r"^(\.S[HS] .*\n)\.PP\n", r"\1", re.sub(r"\\f\[[CV]\]", r"\\f[B]", text), flags=re.M)
        head = f'.TH "{name}" "3" "" "pathmap {".".join(version)}" "pathmap"\n'
        write(folder, f"{name}.3", head + text.strip("\n") + "\n")
        for other in others:
            write(folder, f"{other}.3", f".so man3/{name}.3\n")
    return f"{len(os.listdir(folder))} man pages"


def main():
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("out")
    parser.add_argument("--programs")
    parser.add_argument("--drawings")
    parser.add_argument("--man", action="store_true")
    parser.add_argument("--picture", choices=PICTURES)
    options = parser.parse_args()
    if options.picture:
        write(".", options.out, picture(options.drawings, options.picture))
        return 1 if faults else 0
    shutil.rmtree(options.out, ignore_errors=True)
    os.makedirs(options.out)
    done = build_man(options.out) if options.man else build_site(options.out, options.programs, options.drawings)
    for fault in faults:
        print(fault, file=sys.stderr)
    print(f"{options.out}: {done}, {len(faults)} faults")
    return 1 if faults else 0


if __name__ == "__main__":
    sys.exit(main())
