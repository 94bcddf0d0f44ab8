#!/usr/bin/env python3
"""Makes the key files that the benchmarks read.

A key file holds records [u32 little-endian length][bytes]; the keys are distinct and in shuffled order. Given the
same sources, the same bytes come out: every set is sorted, then shuffled with the xorshift64 that the benchmarks use
as well. A set whose source is missing is skipped with a line on stderr, and the exit status is 3.
"""
import argparse
import array
import os
import re
import struct
import subprocess
import sys
import zlib

SEED = 88172645463325252
MASK = (1 << 64) - 1
REPOSITORY = os.path.dirname(os.path.dirname(os.path.abspath(__file__)))
DICTIONARY = "/usr/share/dict/american-english-insane"
WORDNET = "/usr/share/wordnet"
LOGIC = os.path.join(os.path.dirname(REPOSITORY), "shared", "data", "big_logic.metta.paths")
ROOTS = "/usr:/etc:/var:/opt:/root:/home:/srv"
PACKAGES = {"words": "wamerican-insane", "wordnet": "wordnet-base"}

SOURCES = """sets and their sources:
  words      Debian package wamerican-insane: every line of """ + DICTIONARY + """
  wordnet    Debian package wordnet-base: 1,000,000 triples word/relation/word, one for each pair of words that a
             WordNet pointer relates (semantic pointers relate all words of both synsets); the rest is cut off
  paths      the files below the directories of $BENCH_PATHS (colon-separated, default """ + ROOTS + """);
             differs from machine to machine
  long       made here: 200,000 URL-like keys of 80 to 140 bytes with shared hosts and prefixes
  logic      a zlib-compressed stream of length-prefixed keys (a `.paths` file), named by --logic or $BENCH_LOGIC,
             default ../shared/data/big_logic.metta.paths beside the checkout
  u64dense   made here: big-endian 64-bit integers 0 to 999,999
  u64sparse  made here: 1,000,000 random 8-byte keys
  rand1e3 rand1e4 rand3e4 rand1e5 rand3e5 rand1e6 rand2e6 rand4e6 rand1e7
             made here: that many random 8-byte keys. A trie of random keys has good and bad sizes, so one is not enough
  url1e3 url1e4 url3e4 url1e5 url3e5 url1e6 url4e6
             made here: that many keys as in `long`. (Ten million would be a gigabyte of keys, times the engines)
             (these sets are made when they are named; without names the others are)
"""


class Missing(Exception):
    """A source is not there; the text says which and how to get it."""


class Xorshift:
    """xorshift64 with shifts 13, 7, 17."""

    def __init__(self, seed=SEED):
        self.state = seed

    def next(self):
        x = self.state
        x ^= (x << 13) & MASK
        x ^= x >> 7
        x ^= (x << 17) & MASK
        self.state = x
        return x

    def shuffle(self, items):
        """Fisher-Yates from the end, as the benchmarks do it."""
        step = self.next
        for i in range(len(items) - 1, 0, -1):
            j = step() % (i + 1)
            items[i], items[j] = items[j], items[i]


def need(path, package):
    if not os.path.exists(path):
        raise Missing("%s is not there: apt-get install %s (or run with --install)" % (path, package))


def words(_):
    need(DICTIONARY, PACKAGES["words"])
    with open(DICTIONARY, "rb") as file:
        return file.read().split(b"\n")[:-1]


def read_synsets():
    """Answers {(part of speech, offset): (words, pointers)} from the WordNet data files."""
    synsets = {}
    for pos, name in ((b"n", "noun"), (b"v", "verb"), (b"a", "adj"), (b"r", "adv")):
        path = os.path.join(WORDNET, "data." + name)
        need(path, PACKAGES["wordnet"])
        with open(path, "rb") as file:
            for line in file:
                if line.startswith(b" "):
                    continue
                field = line.split(b" | ")[0].split()
                count = int(field[3], 16)
                members = [re.sub(rb"\((a|p|ip)\)$", b"", w) for w in field[4:4 + 2 * count:2]]
                at = 4 + 2 * count
                pointers = [field[at + 1 + 4 * k:at + 5 + 4 * k] for k in range(int(field[at]))]
                synsets[pos, field[0]] = (members, pointers)
    return synsets


def wordnet(_):
    synsets = read_synsets()
    triples = set()
    for members, pointers in synsets.values():
        for relation, offset, pos, ends in pointers:
            target = synsets[b"a" if pos == b"s" else pos, offset][0]
            # 00 relates the synsets as wholes, other numbers single words of them
            source_word, target_word = int(ends[:2], 16), int(ends[2:], 16)
            left = members if source_word == 0 else [members[source_word - 1]]
            right = target if target_word == 0 else [target[target_word - 1]]
            triples.update(b"/".join((a, relation, b)) for a in left for b in right)
    triples = sorted(triples)
    Xorshift(SEED ^ 1).shuffle(triples)
    return triples[:1000000]


def paths(_):
    found = []
    for root in os.environ.get("BENCH_PATHS", ROOTS).split(":"):
        for directory, below, names in os.walk(os.fsencode(root)):
            below[:] = [d for d in below if os.path.join(directory, d) != os.fsencode(REPOSITORY)]
            found.extend(os.path.join(directory, n) for n in names)
    if not found:
        raise Missing("no files below the directories of $BENCH_PATHS")
    return found


SYLLABLES = "ba be bi bo bu ca ce co da de di do fa fe fo ga go ha he ho ja jo ka ke ki la le li lo lu ma me mi mo " \
    "mu na ne ni no nu pa pe pi po pu ra re ri ro ru sa se si so su ta te ti to tu va ve vi vo wa we wi ya yo za zo"


def url_keys(n, hosts_n=250, prefixes_n=5000):
    random = Xorshift(SEED ^ 2)
    syllables = SYLLABLES.split()

    def pick(items):
        return items[random.next() % len(items)]

    def word(low, high):
        return "".join(pick(syllables) for _ in range(low + random.next() % (high - low + 1)))

    vocabulary = [word(2, 5) for _ in range(4000)]
    hosts = ["https://%s.%s.%s/" % (pick(["www", "cdn", "api", "static", "archive"]), word(3, 6),
                                    pick(["example", "test", "invalid"])) for _ in range(hosts_n)]
    prefixes = [pick(hosts) + "/".join(pick(vocabulary) for _ in range(2 + random.next() % 3)) + "/"
                for _ in range(prefixes_n)]
    keys = set()
    while len(keys) < n:
        target = 80 + (random.next() % 61) * (random.next() % 61) // 60
        key = pick(prefixes) + pick(vocabulary)
        while len(key) < target - 12:
            key += pick("/-_") + pick(vocabulary)
        key = key[:target - 9] + "?" + "%08x" % (random.next() >> 32)
        if 80 <= len(key) <= 140:
            keys.add(key.encode())
    return keys


def logic(options):
    path = options.logic or os.environ.get("BENCH_LOGIC") or LOGIC
    if not os.path.exists(path):
        raise Missing("%s is not there: name a .paths file with --logic or $BENCH_LOGIC" % path)
    with open(path, "rb") as file:
        data = zlib.decompress(file.read())
    keys, at = [], 0
    while at < len(data):
        length, = struct.unpack_from("<I", data, at)
        if at + 4 + length > len(data):
            raise ValueError("%s ends inside a key" % path)
        keys.append(data[at + 4:at + 4 + length])
        at += 4 + length
    return keys


def u64dense(_):
    return [struct.pack(">Q", i) for i in range(1000000)]


def long_keys(_):
    return url_keys(200000)


def random_keys(n):
    random = Xorshift(SEED ^ 3)
    return [struct.pack(">Q", random.next()) for _ in range(n)]


def u64sparse(_):
    return random_keys(1000000)


SETS = {"words": words, "wordnet": wordnet, "paths": paths, "long": long_keys, "logic": logic, "u64dense": u64dense,
        "u64sparse": u64sparse}
# The growth of a map: asked for by name only.
GROWTH = {**{"rand" + n: lambda _, n=n: random_keys(int(float(n)))
             for n in ("1e3", "1e4", "3e4", "1e5", "3e5", "1e6", "2e6", "4e6", "1e7")},
          **{"url" + n: lambda _, n=n: url_keys(int(float(n)), max(4, int(float(n)) // 800),
                                                max(20, int(float(n)) // 40))
             for n in ("1e3", "1e4", "3e4", "1e5", "3e5", "1e6", "4e6")}}


def write_set(path, keys):
    """Sorts, removes duplicates, shuffles, writes; answers (count, key bytes, crc of the file)."""
    keys = sorted(set(keys))
    Xorshift().shuffle(keys)
    lengths = array.array("I", map(len, keys))
    parts = []
    for length, key in zip(lengths, keys):
        parts.append(struct.pack("<I", length))
        parts.append(key)
    blob = b"".join(parts)
    with open(path + ".part", "wb") as file:
        file.write(blob)
    os.replace(path + ".part", path)
    return len(keys), sum(lengths), zlib.crc32(blob)


def install(names):
    packages = [PACKAGES[n] for n in names if n in PACKAGES]
    if packages:
        subprocess.run(["apt-get", "install", "-y", "--no-install-recommends"] + packages, check=True)


def main():
    parser = argparse.ArgumentParser(description=__doc__.split("\n\n")[0], epilog=SOURCES,
                                     formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("dir", metavar="DIR", help="where NAME.keys files go")
    parser.add_argument("names", metavar="NAME", nargs="*", help="sets to make (default: all but those of growth)")
    parser.add_argument("--install", action="store_true", help="first apt-get install the packages of these sets")
    parser.add_argument("--logic", metavar="FILE", help="the .paths file behind the set `logic`")
    parser.add_argument("--force", action="store_true", help="make sets again that are there already")
    options = parser.parse_args()
    names = options.names or list(SETS)
    unknown = [n for n in names if n not in SETS and n not in GROWTH]
    if unknown:
        parser.error("no such set: " + ", ".join(unknown))
    if options.install:
        install(names)
    os.makedirs(options.dir, exist_ok=True)
    skipped = 0
    for name in names:
        path = os.path.join(options.dir, name + ".keys")
        if os.path.exists(path) and not options.force:
            print("%-10s kept (--force makes it again)" % name)
            continue
        try:
            count, size, crc = write_set(path, {**SETS, **GROWTH}[name](options))
        except Missing as reason:
            print("SKIPPED %s: %s" % (name, reason), file=sys.stderr)
            skipped += 1
            continue
        print("%-10s %9d keys %11d bytes  mean %6.1f  crc32 %08x" % (name, count, size, size / count, crc), flush=True)
    sys.exit(3 if skipped else 0)


if __name__ == "__main__":
    main()
