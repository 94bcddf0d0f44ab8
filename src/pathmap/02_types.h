/* Types that every part shares: status codes, values and their operations, keys. */

#include "01_config.h"

/* The version of this header. A release with another MAJOR (with MAJOR 0: another MINOR) may break programs, one with
   another MINOR adds, one with another PATCH mends. Files say their own format's version. */
#define PM_VERSION_MAJOR 0
#define PM_VERSION_MINOR 1
#define PM_VERSION_PATCH 0
#define PM_VERSION (PM_VERSION_MAJOR * 1000000 + PM_VERSION_MINOR * 1000 + PM_VERSION_PATCH)

/* Tells which version the program's one copy of the implementation is of.
   Returns  its PM_VERSION: unlike the macro's where a file was compiled with another header
   Threads  any */
PM_API unsigned pm_version(void);

/* What a call that can fail returns. Results go through last parameters, which a failure leaves untouched. */
typedef enum pm_status {
    PM_OK = 0,
    PM_NOMEM = -1,    /* no memory, or the pool's budget is reached; nothing changed unless the call says so */
    PM_INVALID = -2,  /* an argument that no caller should pass; nothing changed */
    PM_MISMATCH = -3, /* operands whose value operations differ */
    PM_CONFLICT = -4, /* another zipper claims an overlapping path; a merge was not to settle a conflict */
    PM_BUSY = -5,     /* the object is in use */
    PM_CORRUPT = -6,  /* damaged data or structure */
    PM_BADHOOK = -7,  /* a value hook returned what it must not, or a table has one of retain and release only */
    PM_IO = -8        /* reading or writing failed */
} pm_status;

/* Says what a status means, in English.
   Returns  static text, never NULL; of a number that is no status, that it is unknown
   Threads  any */
PM_API const char *pm_status_text(pm_status s);

/* Where and why input data were refused. */
typedef struct pm_error {
    pm_status code;
    uint64_t offset;
    const char *msg; /* static text */
} pm_error;

/* A value: one 64-bit word, whose meaning belongs to the map's pm_ops. */
typedef uint64_t pm_val;

/* A value, or none. */
typedef struct pm_opt {
    pm_val val;
    bool some;
} pm_opt;

/* A borrowed byte string. `data` may be NULL when `len` is 0. */
typedef struct pm_key {
    const void *data;
    size_t len;
} pm_key;

/* Where nodes live (11_memory.h). NULL names the default pool, which is all that most programs need. */
typedef struct pm_pool pm_pool;

/* What a removal does with a place that it leaves without value and branch. PM_KEEP keeps it; PM_PRUNE removes it, and
   its prefixes up to the nearest one that has a value or another branch (pm_prune_path). */
typedef enum pm_prune { PM_KEEP = 0, PM_PRUNE = 1 } pm_prune;

/* What becomes of the children that a call does not name. */
typedef enum pm_others { PM_KEEP_OTHERS = 0, PM_CLEAR_OTHERS = 1 } pm_others;

/* How the key that is looked for stands to a given one. */
typedef enum pm_rel { PM_LT, PM_LE, PM_GE, PM_GT } pm_rel;

/* How the result of an operation stands to its operands: there is none (no value, an empty map, an empty place), or the
   two bits say which operands it equals. That is what it means everywhere: for value hooks, for what a view shows, for
   operations on maps and in place. In place (pm_wz_) the left operand is what was there before, so PM_ALG_LEFT means
   that nothing changed; the right one is not compared with. A value hook, too, may leave a bit out: that costs sharing.
   Operations that make a map leave none out. */
typedef enum pm_alg {
    PM_ALG_NONE = 0,   /* nothing */
    PM_ALG_LEFT = 1,   /* equals the left operand */
    PM_ALG_RIGHT = 2,  /* equals the right operand */
    PM_ALG_BOTH = 3,   /* equals both */
    PM_ALG_ELEMENT = 4 /* something else */
} pm_alg;

enum {
    PM_OPS_UNIT = 1,      /* the only value is 0 and no payload is stored: a set of paths */
    PM_OPS_IDEMPOTENT = 2, /* a join a = a, a meet a = a, a subtract a = nothing: lets shared subtries be skipped */
    PM_OPS_FALLIBLE = 4    /* hooks may call pm_hook_fail */
};

/* What values of a map mean. A table lives as long as any map that names it; maps combine only under one table.
   NULL hooks mean plain words: retain and release do nothing, equal compares words, join and meet keep the left
   value, subtract leaves nothing, whatever the two values are. Hooks may run on any thread, and must not re-enter the
   map that called them. Of a table with PM_OPS_FALLIBLE all but retain and release may fail (pm_hook_fail); no others.
   retain and release come together or not at all: every clone, copied node and result shares values. Values that
   cannot be shared (a plain malloc'ed string) need a count, or an owner beside the map. A table with one of the two is
   refused: pm_new returns a map under the table "refused", which takes no values; all that would store one, or that
   takes the table and can fail (pm_build, pm_unfold_map, pm_rz_make_map_in), returns PM_BADHOOK.
   join, meet and subtract return which operand the result equals, or PM_ALG_ELEMENT after storing a value the
   caller then owns in *out. join must not return PM_ALG_NONE. */
typedef struct pm_ops {
    const char *name;
    unsigned flags;
    void *ctx;
    void (*retain)(void *ctx, pm_val v);
    void (*release)(void *ctx, pm_val v);
    bool (*equal)(void *ctx, pm_val a, pm_val b);
    pm_alg (*join)(void *ctx, pm_val a, pm_val b, pm_val *out);
    pm_alg (*meet)(void *ctx, pm_val a, pm_val b, pm_val *out);
    pm_alg (*subtract)(void *ctx, pm_val a, pm_val b, pm_val *out);
    uint64_t (*hash)(void *ctx, pm_val v); /* NULL: the word itself is hashed */
} pm_ops;

/* The built-in tables: functions, so that no data symbol is needed. Each returns the same table every time, which lives
   as long as the program; maps under one of them combine with each other. Any thread may call them. */

/* For sets of paths: the only value is 0, and no payload is stored. */
PM_API const pm_ops *pm_ops_unit(void);
/* The default, for plain words: join and meet keep the left value; subtract removes a key that both sides have,
   whatever the values. */
PM_API const pm_ops *pm_ops_left(void);
/* For numbers in order: join is the greater, meet the smaller one; subtract removes equal values. */
PM_API const pm_ops *pm_ops_lattice(void);
/* For amounts: join adds (wrapping), meet is the smaller one, subtract keeps a positive difference. */
PM_API const pm_ops *pm_ops_sum(void);
/* For sets of 64: join is or, meet is and, subtract is and-not. A zero result is removed, but not in a join, nor where
   a zero meets itself. */
PM_API const pm_ops *pm_ops_bits(void);
/* For counted byte strings, made by pm_bytes_new, which compare by content everywhere: join and meet keep the left
   string, subtract removes equal ones and keeps the left one of others. */
PM_API const pm_ops *pm_ops_bytes(void);

/* Says, from a hook of a table with PM_OPS_FALLIBLE, that it could not do its work; what the hook then returns does not
   matter (PM_ALG_LEFT and false will do). The call that ran it fails with `s`, as it would for lack of memory of its
   own. Of several failures the first counts.
   Threads  any: it is the calling thread's operation that fails */
PM_API void pm_hook_fail(pm_status s);

/* Makes a counted byte string to be used as a value under pm_ops_bytes(). The bytes are copied; `data` may be NULL if
   `len` is 0.
   Owns     the caller owns one reference: give it to a map, or drop it with pm_bytes_release
   Fails    PM_NOMEM
   Cost     one allocation, O(len)
   Threads  any */
PM_API PM_NODISCARD pm_status pm_bytes_new(const void *data, size_t len, pm_val *out);

/* Reads a counted byte string.
   Returns  its bytes; the length in *len (NULL: not wanted)
   Valid    while a reference is held (a map that carries the value holds one)
   Cost     O(1)
   Threads  any thread that may read the map, or holds a reference */
PM_API const void *pm_bytes_get(pm_val v, size_t *len);

/* Takes one more reference, for another map that is to carry the same string, or to keep it past the map.
   Returns  v
   Owns     the caller owns the reference: pm_bytes_release, or give it to a map
   Cost     one atomic increment
   Threads  any thread that may read the map, or holds a reference */
PM_API pm_val pm_bytes_retain(pm_val v);

/* Gives up one reference; the last one frees the string.
   Cost     one atomic decrement
   Threads  any thread that holds a reference */
PM_API void pm_bytes_release(pm_val v);
