"""Reads the declarations of the public parts, src/LIBRARY/NN_name.h, and the comments above them.

A part is its title and a list of entries in their order. An entry is a text that stands alone, or one declaration or
several in a row with the comment right above them. Comments have this form:

    /* What it does. More about that.
       Returns  what; further lines are indented like this
                one
       Cost     O(1) */

Lines indented by two or three blanks are a table if all of them have a gap at one place; deeper ones are code."""
import glob
import os
import re

LABELS = ("Returns", "Owns", "Valid", "Fails", "Cost", "Threads", "NULL", "Source")
LABEL = re.compile(r"(%s)  +(?=\S)" % "|".join(LABELS))
FIRST_LINE = re.compile(r"/\*+ ?")
HEADING = re.compile(r"/\* ---- (.*?) -*-- \*/$")
INTERNAL_MACRO = re.compile(r"#\s*define\s+\w+_\(")
# Macros that say how declarations are compiled, and nothing to a caller.
NOISE = re.compile(r"\b(PM|INTERN)_(API|NODISCARD|INLINE)\s+|\bstatic inline\s+")


class Entry:
    """A comment and what it is about; `names` is empty where it stands alone."""

    def __init__(self, text, code, heading=""):
        self.text, self.code, self.heading = text, code, heading
        self.names = declared_names(code)


class Part:
    def __init__(self, header, path, title, entries):
        self.header, self.path, self.title, self.entries = header, path, title, entries
        self.stem = os.path.basename(path)[3:-2]

    def page(self):
        return ("api-" if self.header == "pathmap" else "api-intern-") + self.stem.replace("_", "-") + ".html"


def declared_names(code):
    """The names that declarations give to a program: of functions, types, macros and constants."""
    names = []
    for each in code:
        macro = re.match(r"#\s*define\s+(\w+)", each)
        if macro:
            names.append(macro.group(1))
            continue
        bare = re.sub(r"/\*.*?\*/", " ", each, flags=re.S)
        opened = re.match(r"typedef\s+(?:struct|enum|union)\b[^{;]*\{(.*)\}\s*(\w+)\s*;", bare, re.S)
        callback = re.match(r"typedef\s[^;{]*\(\*\s*(\w+)\)", bare)
        alias = re.match(r"typedef\s[^;{(]*?(\w+)\s*;", bare)
        function = re.match(r"[^({;=]*?(\w+)\s*\(", bare)
        if opened:
            names.append(opened.group(2))
            if re.match(r"typedef\s+enum", bare):
                names += re.findall(r"\b((?:PM|INTERN)_\w+)", re.sub(r"=[^,]*", "", opened.group(1)))
        elif re.match(r"enum\b", bare):
            names += re.findall(r"\b((?:PM|INTERN)_\w+)", re.sub(r"=[^,]*", "", bare))
        elif callback or alias:
            names.append((callback or alias).group(1))
        elif function:
            names.append(function.group(1))
    return names


def comment_text(lines):
    """A comment without its marks and its indentation."""
    text = "\n".join(lines).strip()
    text = FIRST_LINE.sub("   ", text, count=1)
    text = re.sub(r"\s*\*/$", "", text)
    return "\n".join(line[3:] if line.startswith("   ") else line.lstrip() for line in text.split("\n"))


def take_comment(lines, at):
    end = at
    while "*/" not in lines[end]:
        end += 1
    return comment_text(lines[at:end + 1]), end + 1


def take_declaration(lines, at):
    """One declaration, without the body of a function or a macro."""
    if lines[at].startswith("#"):
        end = at
        while lines[end].endswith("\\"):
            end += 1
        head = re.sub(r"\s*\\$", "", lines[at]) if end > at else lines[at]
        return head, end + 1
    depth, end, text = 0, at, []
    while True:
        bare = re.sub(r"/\*.*?(\*/|$)|//.*|'.'", "", lines[end])
        depth += bare.count("{") - bare.count("}")
        text.append(lines[end])
        end += 1
        if depth == 0 and re.search(r"[;}]\s*$", bare) and not re.match(r"^\s*$", bare):
            break
    whole = "\n".join(text)
    if not re.match(r"(typedef|struct|enum|union)\b", whole):  # a function: its prototype
        whole = re.sub(r"\s*\{.*", ";", whole, flags=re.S)
    return tidy(whole), end


def tidy(code):
    """A declaration as a caller sees it. What continues a line stays below its bracket."""
    lines = code.split("\n")
    bare = NOISE.sub("", lines[0])
    gone = len(lines[0]) - len(bare)
    return "\n".join([bare] + [line[min(gone, len(line) - len(line.lstrip())):] if gone else line
                               for line in lines[1:]])


def first_words(text):
    """A part's title: how its first sentence begins."""
    words = re.split(r"(?<=[a-z)])[.:](?:\s|$)| \(", text, maxsplit=1)[0].replace("\n", " ")
    return words if len(words) < 60 else words.split(", ")[0]


def read_part(header, path):
    with open(path, encoding="utf-8") as file:
        lines = file.read().split("\n")
    entries, title, text, code, at = [], None, "", [], 0

    def close():
        nonlocal text, code
        shown = [each for each in code if not INTERNAL_MACRO.match(each)]
        if shown or (text and not code):
            entries.append(Entry(text, shown))
        text, code = "", []

    while at < len(lines):
        line = lines[at]
        heading = HEADING.match(line)
        if heading:
            close()
            entries.append(Entry("", [], heading.group(1)))
            at += 1
        elif line.startswith("/*"):
            close()
            text, at = take_comment(lines, at)
            if title is None:
                title = first_words(text)
        elif line.strip() == "" or re.match(r"#\s*(if|el|endif|include|error|undef)", line):
            if line.strip() == "":
                close()
            at += 1
        else:
            declaration, at = take_declaration(lines, at)
            code.append(declaration)
    close()
    return Part(header, path, title or os.path.basename(path), entries)


def read(root):
    """The public parts of both libraries, in order of their numbers."""
    return [read_part(header, path) for header in ("pathmap", "interning")
            for path in sorted(glob.glob(os.path.join(root, "src", header, "*.h")))]


# From comments to Markdown.

SPECIAL = re.compile(r"([\\`*_{}\[\]<>#|~^$@\"'!&-])")
# What is code although no backticks stand around it: names of the library, calls, what a pointer points to.
CODE = re.compile(r"`[^`\n]+(?:\n[^`\n]+)?`|(?<![\w/.])\*\w+(?:\.\w+)*|\b\w+->\w+|"
                  r"\b(?:pm|PM|intern|INTERN|PATHMAP)_\w+(?:\.\w+)*(?:\([^()]*(?:\([^()]*\))?[^()]*\))?|"
                  r"\b\w+/[\w/]+\.(?:md|c|h)\b|\b[A-Z][A-Z0-9]*_[A-Z0-9_]+\b|\b\w+\[[^\]]*[\])]")


def prose(text):
    """Running text as Markdown: what is code in backticks, the rest escaped."""
    out, at = [], 0
    for found in CODE.finditer(text):
        out.append(SPECIAL.sub(r"\\\1", text[at:found.start()]))
        out.append("`" + found.group().strip("`").replace("\n", " ").replace("`", "") + "`")
        at = found.end()
    out.append(SPECIAL.sub(r"\\\1", text[at:]))
    return "".join(out)


def as_table(lines):
    """Rows (left, right) of lines that have a gap at one place, else None."""
    width = {}
    for line in lines:
        for gap in re.finditer(r"(?<=\S)  +(?=\S)", line):
            width[gap.end()] = width.get(gap.end(), 0) + 1
    if not width or any("|" in line or "--" in line for line in lines):
        return None
    column = max(width, key=lambda at: (width[at], at))
    rows = []
    for line in lines:
        if line[:column].strip():
            if len(line) <= column:
                return None
            if line[column - 1] != " " or line[column] == " ":
                apart = re.match(r"( {2,3}\S+(?: \S+)*)  (\S.*)", line)  # a name longer than its column
                if not apart:
                    return None
                rows.append([apart.group(1).strip(), apart.group(2)])
                continue
            rows.append([line[:column].strip(), line[column:].strip()])
        elif rows:
            rows[-1][1] += " " + line.strip()
        else:
            return None
    return rows


def indented_block(lines):
    least = min(len(line) - len(line.lstrip()) for line in lines if line.strip())
    rows = as_table(lines) if least in (2, 3) and all(line.strip() for line in lines) else None
    if rows is None:
        code = any(re.search(r"[;{}]$", line) for line in lines)
        return ["", "```c" if code else "```", *[line[least:] for line in lines], "```", ""]
    cells = [[code_cell(left), prose(right)] for left, right in rows]
    return ["", "| | |", "|---|---|", *[f"| {left} | {right} |" for left, right in cells], ""]


def code_cell(text):
    if re.fullmatch(r"[a-z]+", text):
        return f"*{text}*"
    return " ".join(f"`{piece}`" for piece in re.split(r"  +", text))


def markdown(text):
    """A comment as Markdown: paragraphs, tables, code, and its labels as a list of definitions."""
    out, block, running, fields = [], [], [], []

    def flush():
        nonlocal block, running
        if running:
            out.extend([prose("\n".join(running)), ""])
        while block and not block[-1].strip():
            block.pop()
        if block:
            out.extend(indented_block(block))
        block, running = [], []

    for line in text.split("\n"):
        label = LABEL.match(line)
        if label:
            flush()
            fields.append([label.group(1), [line[label.end():]]])
        elif fields and line.startswith("    "):
            fields[-1][1].append(line.strip())
        elif line.startswith("  ") or (block and line.strip() == ""):
            if running:
                flush()
            block.append(line)
        elif line.strip() == "":
            flush()
        else:
            if block:
                flush()
            if fields:  # text goes on below the labels
                out.extend(definitions(fields))
                fields = []
            running.append(line)
    flush()
    out.extend(definitions(fields))
    return "\n".join(out).strip() + "\n"


def definitions(fields):
    out = []
    for label, lines in fields:
        out += [label, f":   {prose(chr(10).join(lines))}".replace("\n", "\n    "), ""]
    return out
