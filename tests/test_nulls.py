"""Calls every public function of pathmap.h with NULL in the place of each pointer in turn, with a zero object in the
place of each object, and with lengths and counts that nothing has; each call in a process of its own, so that a crash
is counted and nothing else suffers.

The calls are made from the prototypes: a new function is tried without a line here, or this fails because it does not
know what to pass. What must come back: PM_INVALID where there is a status and the pointer is not in OPTIONAL. A call
that answers PM_INVALID must have left alone what was there before: maps, places for results, blocks of memory. Keys
end where a page ends that may be read, so that no call can read on unnoticed.

usage: test_nulls.py --write FILE          a program that prints what failed, ends with `N passed, N failed, N skipped`
                                        (make build/CONFIGURATION/test_nulls compiles it)"""
import os
import re
import sys

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path.insert(0, HERE)
import run_check  # noqa: E402  (finds amalgamate.py, which rules uses)
import rules  # noqa: E402

# Pointers that may be NULL: by parameter name, by function and parameter, or by function (all of them).
OPTIONAL = {
    "old", "alg", "which", "why", "busy", "changed", "found", "removed",
    "ctx", "pool", "ops", "options", "stats", "expected", "choose", "vals",
    "pm_range_count.from", "pm_range_count.to", "pm_subrange.from", "pm_subrange.to", "pm_remove_range.from",
    "pm_remove_range.to", "pm_keep_range.from", "pm_keep_range.to",
    "pm_summary_new.monoid", "pm_summary_range_count.from", "pm_summary_range_count.to", "pm_summary_reduce.from",
    "pm_summary_reduce.to", "error", "reading", "slot", "pick", "conflicts", "pm_head_free.h", "pm_head_free.out",
    "pm_view_prefix.root", "pm_sync_new.values", "pm_sync_source_new.values",
    "how", "keep", "close", "pm_store_newest.name", "pm_store_load.name",
}
REQUIRED = {"pm_get_mut.slot", "pm_wz_get_mut.slot", "pm_diff.old", "pm_patch_make.old", "pm_rz_diff.old",
            "pm_rz_patch.old"}
# Calls whose status is that of another thing: freeing, dropping and the like take NULL for "nothing to do".
NOTHING = re.compile(r"_(free|drop|close|release|retain|release_with)$")

# Objects of which a zero one is valid, or is nothing: no status need be PM_INVALID.
ZERO_VALID = {"pm_map", "pm_rz", "pm_ref", "pm_iter", "pm_mask", "pm_witness", "pm_pool_options",
              "pm_ops", "pm_item", "pm_merkle_stats", "pm_stats", "pm_pool_stats", "pm_patch",
              "pm_diff_iter", "pm_paths_options", "pm_image_options", "pm_image_reading", "pm_patch_options",
              "pm_act_options", "pm_store_options", "pm_commit_options", "pm_commit", "pm_mixed"}
ZERO_REFUSED = {"pm_wz", "pm_fold", "pm_unfold", "pm_txn", "pm_monoid"}
# Functions that open a zero object, end it, or only tell of it.
ZERO_FINE = {"pm_txn_begin", "pm_wz_status", "pm_wz_drop"}
# Counts that say how much there is at a pointer.
COUNTS = {"pm_apply", "pm_get_many", "pm_build", "pm_join_many", "pm_meet_many", "pm_mask_of", "pm_wz_graft_children",
          "pm_view_product", "pm_dot", "pm_draw"}

ABSURD = ("SIZE_MAX", "SIZE_MAX - 2", "SIZE_MAX / 2", "SIZE_MAX / 4 + 1")

# What to pass, by function.parameter, parameter type and name, or type.
SAMPLES = {
    "pm_map out": "&map_out", "pm_rz out": "&rz_out", "pm_wz out": "&wz_out",
    "pm_wz from": "&from", "pm_map maps": "child_maps", "pm_rz factors": "two_readers",
    "pm_item": "&item", "pm_map": "&map", "pm_rz": "&rz", "pm_wz": "&wz", "pm_ref": "&ref", "pm_iter": "&iter",
    "pm_head": "head", "pm_shared": "shared", "pm_pool": "pool", "pm_sampler": "sampler", "pm_txn": "&txn",
    "pm_summary": "summary", "pm_monoid": "&monoid", "pm_sync": "syncing", "pm_sync_source": "sync_source",
    "pm_patch_options": "(const pm_patch_options *)zero", "pm_act_options": "(const pm_act_options *)zero",
    "pm_witness": "&witness", "pm_fold": "&fold", "pm_unfold": "&unfold", "pm_sprout": "sprout", "pm_mask": "&mask",
    "pm_ops": "pm_ops_left()", "pm_key": "keys", "pm_edit": "edits", "pm_map why": "&report",
    "pm_opt": "(pm_opt *)slots",
    "pm_base": "base", "pm_mixed": "&mixed",
    "pm_patch out": "&patch_out", "pm_patch": "&patch", "pm_diff_iter": "&diff",
    "pm_image out": "(pm_image *)slots", "pm_image": "&image", "pm_image_options": "(const pm_image_options *)zero",
    "pm_store": "store", "pm_commit out": "&commit_out", "pm_commit": "&commit",
    "pm_store_options": "(const pm_store_options *)zero", "pm_commit_options": "(const pm_commit_options *)zero",
    "pm_image_reading": "(const pm_image_reading *)zero", "void block": "image_bytes",
    "pm_paths_options": "&plain", "pm_error": "&error", "char name": '"/no/such/folder"',
    "void region": "region", "void p": "pm_pool_alloc(NULL, sizeof region)",
    "void seed": "&seed", "void out": "slots", "void": "buffer", "pm_val vals": "words",
}
NUMBERS = {"pm_mixed_hang.i": "0", "bytes": "sizeof region", "len": "2", "root_len": "1", "n": "1", "size_t": "2",
           "pm_bytes_release_with.v": "a_string()", "pm_nested_retain.v": "a_map()", "pm_nested_release.v": "a_map()",
           "pm_nested_map.v": "a_map()"}
FUNCTIONS = {
    "fn": {"pm_each": "visit", "pm_shared_update": "change", "pm_each_prefix": "see_prefix",
           "pm_rz_each_prefix": "see_prefix", "pm_update": "update", "pm_summary_best": "visit",
           "pm_combine_each": "visit", "pm_diff": "see",
           "pm_rz_diff": "see"},
    "read": "read_none", "write": "write_all",
    "make": "make_value", "sink": "sink", "random": "draw", "next": "no_next", "choose": "choose", "pick": "pick",
    "drop": "end", "close": "end", "keep": "keep_none",
}

FRAME = r"""
#include <sys/mman.h>
#include <sys/wait.h>
#include <unistd.h>
static bool visit(void *c, const uint8_t *k, size_t n, pm_val v) { (void)c, (void)k, (void)n, (void)v; return true; }
static bool see_prefix(void *c, size_t n, pm_val v) { (void)c, (void)n, (void)v; return true; }
static pm_status update(void *c, pm_opt *v) { (void)c; v->some = true; return PM_OK; }
static void end(void *data) { (void)data; }
static pm_val a_string(void) {
    pm_val v = 0;
    return pm_bytes_new("a", 1, &v) == PM_OK ? v : 0;
}
static pm_val a_map(void) {
    pm_map m = {0};
    pm_val v = 0;
    return pm_nested_new(&m, &v) == PM_OK ? v : 0;
}
static bool see(void *c, const pm_change *d) { (void)c, (void)d; return true; }
static pm_merge_pick pick(void *c, const pm_merge_conflict *d, pm_val *v) {
    (void)c, (void)d, (void)v;
    return PM_PICK_OURS;
}
static pm_status change(void *c, pm_map *m) { (void)c, (void)m; return PM_OK; }
static pm_status make_value(void *c, pm_val *v) { (void)c; *v = 1; return PM_OK; }
static bool sink(void *c, const char *t, size_t n) { (void)c, (void)t, (void)n; return true; }
static uint64_t draw(void *c) { (void)c; return 7; }
static pm_status no_next(void *c, uint64_t *p, const uint8_t *k, size_t n, size_t f, pm_rz *z) {
    (void)c, (void)p, (void)k, (void)n, (void)f, (void)z;
    return PM_OK;
}
static pm_status read_none(void *c, void *t, size_t n, size_t *g) { (void)c, (void)t, (void)n; *g = 0; return PM_OK; }
static pm_status write_all(void *c, const void *f, size_t n) { (void)c, (void)f, (void)n; return PM_OK; }
static const pm_paths_options plain = {.plain = true};
static pm_error error;
static uint8_t image_bytes[4096];
static size_t image_size;
static pm_image image;
static pm_base *base;
static pm_mixed mixed;
static pm_status write_image(void *c, const void *f, size_t n) {
    (void)c;
    memcpy(image_bytes + image_size, f, n);
    image_size += n;
    return PM_OK;
}
/* A disk that holds one file, whatever its name. */
static uint8_t disk[1 << 16];
static size_t disk_end;
static pm_status disk_open(void *c, const char *n, bool w, bool m, bool e, void **f) {
    (void)n, (void)w, (void)m, (void)e;
    *f = &disk_end;
    return c ? PM_OK : PM_IO;
}
static void disk_close(void *c, void *f) { (void)c, (void)f; }
static pm_status disk_size(void *c, void *f, uint64_t *n) { (void)c, (void)f; *n = disk_end; return PM_OK; }
static pm_status disk_read(void *c, void *f, uint64_t at, void *to, size_t n, size_t *got) {
    (void)c, (void)f;
    *got = at > disk_end ? 0 : n < disk_end - at ? n : (size_t)(disk_end - at);
    memcpy(to, disk + at, *got);
    return PM_OK;
}
static pm_status disk_write(void *c, void *f, uint64_t at, const void *from, size_t n) {
    (void)c, (void)f;
    if (at + n > sizeof disk) return PM_IO;
    memcpy(disk + at, from, n);
    if (at + n > disk_end) disk_end = (size_t)at + n;
    return PM_OK;
}
static pm_status disk_sync(void *c, void *f) { (void)c, (void)f; return PM_OK; }
static pm_status disk_cut(void *c, void *f, uint64_t n) { (void)c, (void)f; disk_end = (size_t)n; return PM_OK; }
static pm_status disk_named(void *c, void *f, const char *n, bool *same) {
    (void)c, (void)f, (void)n;
    *same = true;
    return PM_OK;
}
static pm_status disk_rename(void *c, const char *a, const char *b) { (void)c, (void)a, (void)b; return PM_IO; }
static pm_status disk_sync_name(void *c, const char *n) { (void)c, (void)n; return PM_OK; }
static const pm_files disk_files = {disk, disk_open, disk_close, disk_size, disk_read, disk_write, disk_sync, disk_cut,
                                    NULL, NULL, disk_sync, disk_named, disk_rename, disk_sync_name};
static pm_store *store;
static pm_commit commit, commit_out;
static bool keep_none(void *c, const pm_commit *v) { (void)c, (void)v; return false; }
static pm_alg choose(void *c, const pm_val *l, const pm_val *r, pm_val *o) {
    (void)c, (void)o;
    return l ? PM_ALG_LEFT : r ? PM_ALG_RIGHT : PM_ALG_NONE;
}
static int fold_at(void *c, const pm_fold_at *h, void *o) { (void)c, (void)h, (void)o; return PM_OK; }
static pm_sprout *sprout;
static int (*in_unfold)(void);
static int unfold_at(void *c, void *s, pm_sprout *h, const uint8_t *p, size_t n) {
    (void)c, (void)s, (void)p, (void)n;
    sprout = h;
    return in_unfold ? in_unfold() : PM_OK;
}
static const pm_fold fold = {.size = 8, .at = fold_at};
static const pm_unfold unfold = {.seed_size = 8, .at = unfold_at};
static pm_map map, map_out, other, child_maps[4];
static pm_rz rz, rz_out;
static pm_wz wz, wz_out, from;
static pm_rz view, two_readers[2];
static pm_ref ref;
static pm_iter iter;
static pm_patch patch, patch_out;
static pm_diff_iter diff;
static pm_head *head;
static pm_shared *shared;
static pm_pool *pool;
static pm_sampler *sampler;
static pm_summary *summary;
static pm_sync *syncing;
static pm_sync_source *sync_source;
static void element_of(void *c, pm_val v, void *out) { (void)c, memcpy(out, &v, 8); }
static void element_add(void *c, void *l, const void *r) { (void)c, (void)l, (void)r; }
static int element_compare(void *c, const void *a, const void *b) { (void)c; return memcmp(a, b, 8); }
static const pm_monoid monoid = {8, NULL, element_of, element_add, element_compare};
static pm_txn txn;
static pm_item item;
static pm_witness witness;
static pm_mask mask;
static pm_edit edits[2] = {{{"ab", 2}, {7, true}}, {{"cd", 2}, {0, false}}};
static pm_key keys[2] = {{"ab", 2}, {"cd", 2}};
static pm_map report;
static pm_val words[2];
static uint64_t seed;
static volatile unsigned char taken;
static char *buffer; /* two bytes; then a page that may not be read */
static pm_rz zero_rz;
static pm_wz zero_wz;
static pm_map zero_maps[4];
static pm_rz zero_readers[2];
static uint64_t zero[64]; /* any other object */
static _Alignas(64) char region[1 << 16];

static void must(pm_status s) { if (s != PM_OK) abort(); }
static void prepare(void) {
    pm_map m = {0};
    size_t page = (size_t)sysconf(_SC_PAGESIZE);
    char *pages = (char *)mmap(NULL, 2 * page, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    if (pages == MAP_FAILED || mprotect(pages + page, page, PROT_NONE) != 0) abort();
    buffer = pages + page - 2;
    memcpy(buffer, "ab", 2);
    must(pm_set(&map, "ab", 2, 1, NULL));
    must(pm_set(&map, "abc", 3, 2, NULL));
    must(pm_set(&other, "b", 1, 1, NULL));
    must(pm_set(&m, "x", 1, 1, NULL));
    for (int i = 0; i < 4; i++) child_maps[i] = pm_clone(&m);
    must(pm_rz_open(&map, "a", 1, &rz));
    must(pm_wz_open_move(&m, NULL, 0, &from));
    m = pm_clone(&map);
    must(pm_wz_open_move(&m, NULL, 0, &wz));
    must(pm_rz_open(&map, NULL, 0, &two_readers[0]));
    must(pm_rz_open(&map, NULL, 0, &two_readers[1]));
    must(pm_view_prefix(&rz, "pre", 3, "p", 1, &rz_out));
    must(pm_view_product(two_readers, 2, &view));
    pm_rz prefixed = rz_out;
    must(pm_view_overlay(&prefixed, &view, NULL, NULL, &rz_out));
    pm_rz_drop(&prefixed);
    pm_rz_drop(&view);
    view = rz_out;
    rz_out = (pm_rz){0};
    ref = pm_ref_of_map(&map, "a", 1);
    iter = pm_iter_vals(&map);
    diff = pm_diff_iter_over(&map, &other);
    must(pm_patch_make(&map, &other, &patch));
    m = pm_clone(&map);
    must(pm_head_new_move(&m, &head));
    must(pm_shared_new(&map, &shared));
    must(pm_pool_new(NULL, &pool));
    must(pm_sampler_new(&map, (pm_sample)0, &sampler));
    must(pm_summary_new(&map, PM_SUMMARY_HASH, &monoid, &summary));
    must(pm_sync_new(&map, NULL, &syncing));
    must(pm_sync_source_new(&map, NULL, &sync_source));
    must(pm_txn_begin(&txn, &map));
    witness = pm_rz_witness(&rz);
    mask = pm_mask_of("x", 1);
    must(pm_image_write(&map, 1, write_image, NULL, NULL, NULL, NULL));
    must(pm_image_open(image_bytes, image_size, &image, NULL));
    must(pm_base_open(&image, NULL, NULL, NULL, &base));
    must(pm_mixed_hang(&mixed, "ab", 2, base, 0));
    must(pm_store_open("s", &(pm_store_options){.create = true, .files = &disk_files}, &store, NULL));
    must(pm_store_commit(store, &map, NULL, NULL));
    must(pm_store_last(store, &commit));
}
enum { INVALID = PM_INVALID & 0x7f, OTHER = 90, CHANGED = 91, CRASHED = 1000 };
/* What a call that is refused must leave alone. */
static struct {
    pm_hash128 hash;
    uint64_t blocks, filler, slots[64];
    pm_val words[2];
    pm_map map, map_out, child_maps[4];
    pm_item item;
    pm_rz rz_out;
    pm_wz wz_out;
} before, after;
static uint64_t slots[64];
static void note(void) {
    after.blocks = (uint64_t)blocks;
    memcpy(after.slots, slots, sizeof slots);
    memcpy(after.words, words, sizeof words);
    memcpy(&after.map, &map, sizeof map);
    memcpy(&after.map_out, &map_out, sizeof map_out);
    memcpy(after.child_maps, child_maps, sizeof child_maps);
    memcpy(&after.item, &item, sizeof item);
    memcpy(&after.rz_out, &rz_out, sizeof rz_out);
    memcpy(&after.wz_out, &wz_out, sizeof wz_out);
    must(pm_hash(&map, &after.hash));
}
/* Runs a call. Returns what it returned. */
static int outcome(int (*call)(void)) {
    fflush(stdout);
    pid_t p = fork();
    if (p == 0) {
        alarm(10); /* a call that never ends */
        if (!freopen("/dev/null", "w", stderr)) _exit(120);
        note();
        memcpy(&before, &after, sizeof after);
        int r = call() & 0x7f;
        if (r != INVALID) _exit(r == PM_OK ? 0 : OTHER);
        note();
        _exit(memcmp(&before, &after, sizeof after) == 0 ? INVALID : CHANGED);
    }
    int status = 0;
    if (p < 0 || waitpid(p, &status, 0) != p) return 1001;
    return WIFEXITED(status) ? WEXITSTATUS(status) : CRASHED;
}
static const char *said(int r) {
    if (r == CHANGED) return "PM_INVALID, but something changed";
    return r == CRASHED ? "crashed" : "PM_INVALID did not come back";
}
"""


def prototypes(header):
    with open(header, encoding="utf-8") as file:
        text = file.read()
    text = re.sub(r"/\*.*?\*/", "", text[:text.index("IMPLEMENTATION", 30000)], flags=re.S)
    for found in re.finditer(r"PM_API\s+(?:PM_NODISCARD\s+)?([^;{}]*?)\b(pm_\w+)\(([^;{}]*)\);", text):
        result, name, rest = (" ".join(part.split()) for part in found.groups())
        yield result, name, [] if rest == "void" else rules.split(rest)


class Parameter:
    def __init__(self, function, text):
        called = re.match(r".*\(\*(\w+)\)\(", text)
        self.name = called.group(1) if called else re.search(r"(\w+)$", text).group(1)
        self.type = text[:-len(self.name)].strip() if not called else "function"
        functions = ("pm_sink", "pm_random", "pm_view_next_fn", "pm_view_choose_fn", "pm_read_fn", "pm_write_fn")
        self.called = called is not None or self.type in functions
        self.pointer = self.called or self.type.endswith("*")
        self.const = self.type.startswith("const ")
        self.base = self.type.replace("const", "").replace("*", "").strip()
        self.stars = self.type.count("*")
        self.function = function

    def optional(self):
        if f"{self.function}.{self.name}" in REQUIRED:
            return False
        return self.name in OPTIONAL or f"{self.function}.{self.name}" in OPTIONAL or self.function in OPTIONAL

    def sample(self):
        """What to pass; None: nobody knows. A place for a result is a variable of its own."""
        if self.called:
            found = FUNCTIONS.get(self.name)
            return found.get(self.function) if isinstance(found, dict) else found
        if not self.pointer:
            by_type = {"size_t": "2", "pm_mask": "mask", "pm_status": "PM_OK", "pm_iter": "iter",
                       "pm_opt": "(pm_opt){0, true}"}
            return NUMBERS.get(f"{self.function}.{self.name}") or NUMBERS.get(self.name) or by_type.get(self.base, "1")
        if self.stars == 1:
            for key in (f"{self.base} {self.name}", self.base):
                if key in SAMPLES:
                    return SAMPLES[key]
        if self.name == "maps":
            return "(const pm_map *const[]){&map, &other}"
        return f"({self.type.replace('const *', '*')})slots"


    def zero(self):
        """A zero object; None: this is not an object, or a place for one."""
        if self.stars != 1 or self.name == "out" or self.base not in ZERO_VALID | ZERO_REFUSED:
            return None
        if self.base in ("pm_map", "pm_rz"):
            return "zero_maps" if self.base == "pm_map" else "zero_readers"
        named = {"pm_wz": "&zero_wz"}
        return named.get(self.base, f"({self.base} *)zero")


def body(result, name, arguments):
    call = f"{name}({', '.join(arguments)})"
    if result in ("pm_status", "int", "bool", "unsigned"):
        return f"return (int){call};"
    if result == "void":
        return f"{call}; return 0;"
    return f"{result} r = {call}; taken = *(const unsigned char *)&r; return 0;"  # or the call may be left out


def cases(header):
    """(function, what is wrong, body, must be PM_INVALID)."""
    for result, name, texts in prototypes(header):
        parameters = [Parameter(name, text) for text in texts]
        samples = [p.sample() for p in parameters]
        if None in samples:
            raise SystemExit(f"{name}: nothing known to pass for `{texts[samples.index(None)]}`")
        yield from cases_of(result, name, parameters, samples)
        if name.startswith("pm_rz_") and parameters[0].name == "z":
            yield from cases_of(result, name, parameters, ["&view", *samples[1:]], "of a view, ")


def cases_of(result, name, parameters, samples, of=""):
    status = result == "pm_status" or (result == "int" and name.startswith(("pm_fold", "pm_unfold", "pm_hylo")))
    for i, parameter in enumerate(parameters):
        tries = []  # (what, sample, whether a status must be PM_INVALID)
        if parameter.pointer and not (of and i == 0):
            tries.append(("NULL", "NULL", not parameter.optional() and not NOTHING.search(name)))
            if parameter.zero():
                tries.append(("zero", parameter.zero(), parameter.base in ZERO_REFUSED and name not in ZERO_FINE))
        elif parameter.base == "size_t" and (parameter.name != "n" or name in COUNTS or not status):
            long = parameter.name in ("len", "root_len", "n")
            tries = [(absurd, absurd, long) for absurd in ABSURD]
        for what, sample, strict in tries:
            text = body(result, name, samples[:i] + [sample] + samples[i + 1:])
            yield name, f"{of}{parameter.name} {what}", text, status and strict


def program(header):
    lines = ["#include <stdlib.h>", "static long blocks; /* that are live */",
             "static void *counted(void *p) { blocks += p != NULL; return p; }",
             "#define PM_MALLOC(n) counted(malloc(n))",
             "#define PM_FREE(p, n) ((void)(n), blocks -= (p) != NULL, free(p))",
             "#define PATHMAP_STATIC", f'#include "{header}"', FRAME]
    rows = []
    for name, wrong, text, strict in cases(header):
        lines.append(f"static int call_{len(rows)}(void) {{ {text} }}")
        inside = "true" if name.startswith("pm_sprout_") else "false"
        rows.append(f'    {{"{name}", "{wrong}", call_{len(rows)}, {str(strict).lower()}, {inside}}},')
    lines += ["static const struct {", "    const char *name, *wrong;", "    int (*call)(void);",
              "    bool strict, inside;", "} rows[] = {", *rows, "};",
              "static int unfolded(void) { pm_map m; return pm_unfold_map(&unfold, &seed, NULL, NULL, &m); }",
              "int main(void) {",
              "    int passed = 0, failed = 0;",
              "    prepare();",
              "    for (size_t i = 0; i < sizeof rows / sizeof *rows; i++) {",
              "        in_unfold = rows[i].inside ? rows[i].call : NULL;",
              "        int r = outcome(rows[i].inside ? unfolded : rows[i].call);",
              "        bool ok = r < CRASHED && r != CHANGED && (!rows[i].strict || r == INVALID);",
              "        passed += ok, failed += !ok;",
              '        if (!ok) printf("%s, %s: %s\\n", rows[i].name, rows[i].wrong, said(r));',
              "    }",
              '    printf("%d passed, %d failed, 0 skipped\\n", passed, failed);',
              "    return failed != 0;",
              "}", ""]
    return "\n".join(lines)


def main():
    with open(sys.argv[sys.argv.index("--write") + 1], "w", encoding="utf-8") as file:
        file.write(program("pathmap.h"))


if __name__ == "__main__":
    main()
