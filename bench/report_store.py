"""Tables of files: of bench_store, bench_image and bench_fst, and the verdicts on them."""
from report_other import ROUGHLY, plain_table, word
from report_rows import number

PROGRAMS = ("bench_store", "bench_image", "bench_fst")
STORE, IMAGE = "pathmap", "pathmap image"
LMDB, SQLITE = "LMDB", "SQLite"
TEXT = ("words", "wordnet", "paths", "long")
MICROSECONDS = 1e-3

# (what it says, whose figure, operation, scale, other engines, their operation, goal, what the goal says). The goal is
# a factor of the first other engine's figure, or, with none to compare with, a figure.
ROWS = [
    ("open an image, us", IMAGE, "open", MICROSECONDS, [LMDB, SQLITE], "open", ("figure", 1000)),
    ("open a store, us", STORE, "open", MICROSECONDS, [LMDB, SQLITE], "open", ("figure", 1000)),
    ("open a store of one commit that has everything, us", STORE, "open_whole", MICROSECONDS, [LMDB, SQLITE],
     "open_whole", ("figure", 1000)),
    ("get from an image, ns", IMAGE, "get", 1, [LMDB, SQLITE], "get", ("factor", 0.5)),
    ("get from a store, ns", STORE, "get", 1, [LMDB, SQLITE], "get", ("factor", 0.5)),
    ("iterate over an image, ns a key", IMAGE, "iterate", 1, [LMDB, SQLITE], "iterate", ("factor", 0.5)),
    ("iterate over a store, ns a key", STORE, "iterate", 1, [LMDB, SQLITE], "iterate", ("factor", 0.5)),
    ("size of an image, bytes a key", IMAGE, "size", 1, [LMDB, SQLITE], "size", ("factor", 0.3)),
    ("size of a store, bytes a key", STORE, "size", 1, [LMDB, SQLITE], "size", ("factor", 0.3)),
    ("save 1 % of the keys, bytes of each", STORE, "written_1_percent", 1, [LMDB, SQLITE], "written_1_percent", None),
    ("save 1 % that are neighbours, bytes of each", STORE, "written_1_percent_near", 1, [LMDB, SQLITE],
     "written_1_percent_near", None),
    ("save one change, us before the sync", STORE, "save_one", MICROSECONDS, [LMDB, SQLITE], "save_one", ("figure", 2)),
    ("the same, bytes", STORE, "written_one", 1, [LMDB, SQLITE], "written_one", ("figure", 8192)),
    ("save one change with a sync, us of the processor", STORE, "save_one_synced", MICROSECONDS, [LMDB, SQLITE],
     "save_one_synced", None),
    ("write a path file, ns a path", STORE, "paths_write", 1, ["zlib"], "paths_write", ("factor", 1.25)),
    ("read a path file into a map, ns a path", STORE, "paths_read", 1, ["zlib"], "paths_read", ("factor", 1.25)),
    ("open after a killed commit, us", STORE, "recover", MICROSECONDS, [LMDB, SQLITE], "recover", None),
    ("the same of a store without syncs, us", STORE, "recover_unsynced", MICROSECONDS, [LMDB, SQLITE],
     "recover_unsynced", None),
    ("open a store that was cut in a commit of 1 %, us", STORE, "recover_cut", MICROSECONDS, [], "", None),
    ("the same, in the one commit that has everything, us", STORE, "recover_cut_all", MICROSECONDS, [], "", None),
    ("compact, ns a key", STORE, "compact", 1, [LMDB, SQLITE], "compact", None),
    ("read, no compaction beside, ns a key", STORE, "read_alone", 1, [SQLITE], "read_alone", None),
    ("read beside compactions, ns a key", STORE, "read_beside_compaction", 1, [SQLITE], "read_beside_compaction", None),
    ("the longest reading of 64 keys, no compaction beside, us", STORE, "stall_alone", MICROSECONDS, [SQLITE],
     "stall_alone", None),
    ("the longest beside compactions, us", STORE, "stall_beside_compaction", MICROSECONDS, [SQLITE],
     "stall_beside_compaction", None),
]
# Not the least: of several crashes, and of the longest readings of several runs, the one in the middle.
MIDDLE = {"recover": "cpu_ns_per_op_med", "recover_unsynced": "cpu_ns_per_op_med",
          "stall_alone": "cpu_ns_longest_med", "stall_beside_compaction": "cpu_ns_longest_med"}


# The table of the page on formats, of the set `words`: (what it says, operation, scale).
PAGE = [("bytes a key", "size", 1), ("open, ms", "open", 1e-6),
        ("open after one commit of everything, all of whose bytes are checked, ms", "open_whole", 1e-6),
        ("get, in random order, µs", "get", MICROSECONDS), ("iterate, ns a key", "iterate", 1),
        ("save 1 % of the keys, bytes written for each", "written_1_percent", 1),
        ("the same of neighbours", "written_1_percent_near", 1),
        ("save 1 % of the keys, µs for each", "save_1_percent", MICROSECONDS),
        ("change one and commit, µs", "save_one", MICROSECONDS), ("the same, bytes written", "written_one", 1),
        ("the same with a sync, without the waiting, µs", "save_one_synced", MICROSECONDS),
        ("open after a `kill -9` between or within commits of 1 %, median, ms", "recover", 1e-6),
        ("the same where no commit waits for the disk: all commits are checked, ms", "recover_unsynced", 1e-6),
        ("open when the machine crashed in the middle of a commit of 1 %, ms", "recover_cut", 1e-6),
        ("open when it crashed in the middle of the one commit of everything, ms", "recover_cut_all", 1e-6),
        ("compact, ns a key", "compact", 1),
        ("a second thread reads, 64 keys from the newest version at a time, µs a key", "read_alone", MICROSECONDS),
        ("the same beside compactions, one after the other, µs a key", "read_beside_compaction", MICROSECONDS),
        ("the longest such reading, median, ms", "stall_alone", 1e-6),
        ("the same beside compactions, ms", "stall_beside_compaction", 1e-6)]
PAGE_HEAD = "| words | `pm_store` |"
PAGE_ENGINES = (STORE, IMAGE, LMDB, SQLITE)


def page(values):
    """Lines of that table; none if it was not measured."""
    lines = [PAGE_HEAD + " image | LMDB | SQLite (log beside the file) |\n", "|---|---:|---:|---:|---:|\n"]
    for what, op, scale in PAGE:
        found = [values.get(engine, "words", op, MIDDLE.get(op)) for engine in PAGE_ENGINES]
        if found[0] is None:
            return []
        cells = ["" if value is None else number(value * scale) for value in found]
        lines.append("| %s | %s |\n" % (what, " | ".join(cells)))
    return lines


def judge(ours, limit):
    return "-" if ours is None or limit is None else word(ours <= limit * ROUGHLY)


def line(what, dataset, ours, others, limit, text):
    """`others`: (figure, engine); `limit` None: there is no goal."""
    shown = ", ".join("%s %s" % (number(v), name) for v, name in others if v is not None) or "-"
    ratio = "%.2f" % (ours / limit) if limit else "-"
    return [what, dataset, number(ours), shown, ratio, text if limit else "-", judge(ours, limit)]


def of_one(values, dataset):
    """The rows of one set."""
    def scaled(engine, op, scale):
        found = values.get(engine, dataset, op, MIDDLE.get(op))
        return None if found is None else found * scale

    rows = []
    for what, engine, op, scale, rivals, their_op, goal in ROWS:
        ours = scaled(engine, op, scale)
        if ours is None:
            continue
        others = [(scaled(rival, their_op, scale), rival) for rival in rivals]
        limit, text = None, ""
        if goal and goal[0] == "figure":
            limit, text = goal[1], number(goal[1])
        elif goal and others[0][0] is not None:
            limit, text = goal[1] * others[0][0], "%.3g x %s" % (goal[1], others[0][1])
        rows.append(line(what, dataset, ours, others, limit, text))
    return rows + more_of_one(values, dataset)


def more_of_one(values, dataset):
    """What is compared with figures of another kind: with the bare keys, with all that was saved, with sets."""
    rows = []
    size, keys = values.get(IMAGE, dataset, "size"), values.get("keys", dataset, "size")
    if size and keys and dataset in TEXT:
        rows.append(line("size of an image, bytes a key", dataset, size, [(keys, "keys")], keys, "the keys alone"))
    for op, what in (("written_1_percent", "save 1 % of the keys, bytes over those of all"),
                     ("written_1_percent_near", "save 1 % that are neighbours, bytes over those of all")):
        some, everything = values.get(STORE, dataset, op), values.get(STORE, dataset, "written_all")
        if some and everything:
            rows.append(line(what, dataset, some / everything / 100, [], 0.05, "0.05"))
    whole = values.get(IMAGE, dataset, "size_of_set")
    others = [(values.get("marisa-trie", dataset, "size"), "marisa-trie"),
              (values.get("fst", dataset, "size_of_set"), "fst")]
    if whole and any(v for v, _ in others):
        rows.append(line("size of an image of a set, bytes a key", dataset, whole, others, None, ""))
    return rows


def sets_of(values):
    return list(dict.fromkeys(d for _, d, _ in values.at))


def goals(values):
    found = [row for dataset in sets_of(values) for row in of_one(values, dataset)]
    order = list(dict.fromkeys(row[0] for row in found))
    rows = sorted(found, key=lambda row: order.index(row[0]))
    return [["what", "set", "pathmap", "others", "figure / goal", "goal (at most)", "verdict"], *rows] if rows else []


def score(values):
    said = [row[-1] for row in goals(values)]
    return "Goals of files: %d met, %d missed." % (said.count("met"), said.count("MISSED"))


def tables(values):
    return [("Figures", plain_table(values))]
