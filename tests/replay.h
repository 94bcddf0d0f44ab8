/* What the parts of `replay` share: the parsed line, the two engines, and runs. */
#ifndef REPLAY_H
#define REPLAY_H

#include "model.h"

#include <stdio.h>

enum { REPLAY_MAPS = 16, REPLAY_ZIPPERS = 8, REPLAY_TXNS = 4, REPLAY_MIXED = 4 };

/* The arguments of one line, as its table row asks for them; `map[i]` is the i-th map named, and so on. */
typedef struct replay_args {
    uint64_t variant; /* a hash of the line: picks among calls that do the same */
    int map[4], reader[2], writer[2], mixed[2], txn;
    int maps, readers, writers, mixeds, paths, flags; /* how many are filled in */
    model_key path[2];
    bool endless; /* the range that path[0] begins has no end */
    uint64_t num;
    bool flag[2];
    bool mask[256];
    uint8_t byte;
    int rel; /* lt, le, ge, gt */
    model_algebra alg;
    unsigned rule; /* of a three-way merge: 0 base, 1 ours, 2 theirs */
} replay_args;

/* Runs an operation and appends its result. True if it took effect: what it opens is open, what it closes closed. */
typedef bool (*replay_fn)(void *state, const replay_args *a, model_bytes *out);

/* What is printed of a zipper after each of its operations. */
typedef struct replay_place {
    model_key path;
    bool exists, has_val;
    uint64_t val;
    unsigned children;
    const char *flaw; /* two answers of the engine that contradict each other, or NULL */
} replay_place;

/* An implementation of the operations: the model or the library. The operations themselves are in replay_ops.h. */
typedef struct replay_engine {
    const char *name;
    void *(*open)(void);
    /* Ends everything; appends a complaint if something is left over. */
    void (*close)(void *state, model_bytes *complaint);
    void (*look)(void *state, bool writer, int i, replay_place *out);
    /* Appends a complaint if a map is damaged; NULL if there is nothing to check. */
    void (*inspect)(void *state, int map, model_bytes *complaint);
} replay_engine;

extern const replay_engine replay_model, replay_library;

/* For the generator: the model's map, and the cursor of an open zipper. */
model *replay_model_map(void *state, int map);
const model_cursor *replay_model_cursor(void *state, bool writer, int i);
model *replay_model_mixed(void *state, int mixed);

enum { REPLAY_ON_MODEL = 1, REPLAY_ON_LIBRARY = 2, REPLAY_ON_BOTH = 3 };

/* A run of one script. Which registers are in use is known here, not in the engines. */
typedef struct replay_run {
    unsigned engines;
    void *state[2]; /* of the model, of the library; NULL where it does not run */
    unsigned long line;
    bool reader[REPLAY_ZIPPERS], writer[REPLAY_ZIPPERS], txn[REPLAY_TXNS], mixed[REPLAY_MIXED];
    int writer_map[REPLAY_ZIPPERS], txn_map[REPLAY_TXNS];
    int head_map; /* -1: no head */
} replay_run;

void replay_open(replay_run *s, unsigned engines);
/* Runs a line (without its LF) and appends what is printed for it. False on a difference, which is then described. */
bool replay_line(replay_run *s, const char *text, size_t len, model_bytes *out);
/* Ends a run; false if an engine left something over, which is then described. */
bool replay_close(replay_run *s, model_bytes *out);
/* Runs a whole script; stops at the first difference. What is printed goes to `stream` or, if that is NULL, is appended
   to *out. */
bool replay_script(unsigned engines, const uint8_t *text, size_t len, model_bytes *out, FILE *stream);
bool replay_map_is_busy(const replay_run *s, int map);
/* The arguments that an operation takes, as in replay_ops.h; NULL if there is none of that name. */
const char *replay_spec(const char *name);

/* Both append. A path is lower-case hex, `-` if empty. */
#if defined(__GNUC__)
__attribute__((format(printf, 2, 3)))
#endif
void replay_print(model_bytes *out, const char *format, ...);
void replay_print_path(model_bytes *out, model_key path);
/* Appends the FNV-1a hash of some text. */
void replay_print_hash(model_bytes *out, const model_bytes *text);

/* `replay --random`, `--print` and `--minimise`, with the words that follow. All return the exit status. */
int replay_random_main(int argc, char **argv);
int replay_print_main(int argc, char **argv);
int replay_minimise_main(int argc, char **argv);
/* Drops lines from a script for as long as the engines still differ, or crash, on it. Prints progress to stderr. */
void replay_minimise(model_bytes *script);

/* Groups of operations that random scripts draw from. */
enum {
    REPLAY_GROUP_MAP = 1,
    REPLAY_GROUP_READ = 2,
    REPLAY_GROUP_WRITE = 4,
    REPLAY_GROUP_WRITEALG = 8,
    REPLAY_GROUP_ALGEBRA = 16,
    REPLAY_GROUP_HEAD = 32,
    REPLAY_GROUP_TXN = 64,
    REPLAY_GROUP_ORDER = 128,
    REPLAY_GROUP_DIFF = 256,
    REPLAY_GROUP_VIEW = 512,
    REPLAY_GROUP_MIXED = 1024,
    REPLAY_GROUP_ALL = 2047
};

/* Receives each line of a random script before it is run. */
typedef void (*replay_log)(void *ctx, const char *line, size_t len);

/* Makes up a script of about `ops` operations and runs it. The same numbers always give the same script.
   Returns  false on a difference, which is then described in *out; without one *out holds what the script printed */
bool replay_random(unsigned engines, uint64_t seed, uint64_t index, unsigned ops, unsigned groups, bool sum,
                   replay_log log, void *ctx, model_bytes *out);
/* Reads a file, or standard input if `name` is NULL. */
bool replay_read(const char *name, model_bytes *out);

#endif
