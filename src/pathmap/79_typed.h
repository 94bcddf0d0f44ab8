/* Typed maps: values that are a type of yours. Each macro defines a map type and inline functions on it, at file scope
   in C or C++; use it once for each type. What holds for all, `name` being the first argument:

     name name_new(void)                    an empty map in the default pool (pm_new); the caller drops it
     void name_drop(name *m)                empties it (pm_drop)
     name name_clone(const name *m)         a second owner of the same content (pm_clone)
     pm_status name_remove(m, key, len)     pm_remove with PM_PRUNE; the value is released
     pm_iter name_iter(const name *m)       pm_iter_vals, which takes bounds and goes both ways like any
     .. name_iter_val(const pm_iter *i)     the value where the iterator stands, as name_get gives it

   m.map is the map itself, for everything else. Functions cost what those of pm_ do that they call, fail as these do,
   and are as safe beside other threads. */

#include "13_values.h"
#include "49_map_update.h"
#include "54_iterate.h"

/* A word: T fits 8 bytes and lies in the trie. `ops_` is a `const pm_ops *` expression.

     bool name_get(m, key, len, T *out)     copies the value to *out; false, and *out untouched: there is none
     pm_status name_set(m, key, len, T val) pm_set; the value that was there is released
     pm_status name_get_or_set(m, key, len, T val, T *out, bool *changed)
                                            stores `val` if there is no value; *out: the one there is then. `out` and
                                            `changed` may be NULL. Not changed: `val` stays the caller's
     pm_status name_update(m, key, len, fn, ctx)
                                            pm_update by bool fn(void *ctx, T const *was, T *now): `was` is NULL if
                                            there is no value; *now begins as it, or as zero, and is stored if fn
                                            returns true; false removes the key */
#define PM_DEFINE_MAP(name, T, ops_)                                                                                   \
    PM_DEFINE_MAP_TYPE_(name, ops_)                                                                                    \
    typedef char name##_value_fits_a_word[sizeof(T) <= sizeof(pm_val) ? 1 : -1];                                       \
    PM_INLINE pm_val name##_to_word(T v) {                                                                             \
        pm_val w = 0;                                                                                                  \
        const unsigned char *s = PM_CAST(const unsigned char *, &v);                                                   \
        unsigned char *d = PM_CAST(unsigned char *, &w);                                                               \
        for (size_t i = 0; i < sizeof(T); i++) d[i] = s[i];                                                            \
        return w;                                                                                                      \
    }                                                                                                                  \
    PM_INLINE T name##_from_word(pm_val w) {                                                                           \
        T v;                                                                                                           \
        const unsigned char *s = PM_CAST(const unsigned char *, &w);                                                   \
        unsigned char *d = PM_CAST(unsigned char *, &v);                                                               \
        for (size_t i = 0; i < sizeof(T); i++) d[i] = s[i];                                                            \
        return v;                                                                                                      \
    }                                                                                                                  \
    PM_INLINE T name##_iter_val(const pm_iter *i) { return name##_from_word(*i->val); }                                \
    PM_INLINE bool name##_get(const name *m, const void *key, size_t len, T *out) {                                    \
        const pm_val *v = pm_get(&m->map, key, len);                                                                   \
        if (!v) return false;                                                                                          \
        *out = name##_from_word(*v);                                                                                   \
        return true;                                                                                                   \
    }                                                                                                                  \
    PM_NODISCARD PM_INLINE pm_status name##_set(name *m, const void *key, size_t len, T val) {                         \
        return pm_set(&m->map, key, len, name##_to_word(val), NULL);                                                   \
    }                                                                                                                  \
    PM_NODISCARD PM_INLINE pm_status name##_get_or_set(name *m, const void *key, size_t len, T val, T *out,            \
                                                       bool *changed) {                                                \
        pm_val *slot = NULL;                                                                                           \
        pm_status s = pm_get_or_set(&m->map, key, len, name##_to_word(val), &slot, changed);                           \
        if (s == PM_OK && out) *out = slot ? name##_from_word(*slot) : val;                                            \
        return s;                                                                                                      \
    }                                                                                                                  \
    typedef struct name##_change {                                                                                     \
        bool (*fn)(void *ctx, T const *was, T *now);                                                                   \
        void *ctx;                                                                                                     \
    } name##_change;                                                                                                   \
    PM_INLINE pm_status name##_change_make(void *ctx, pm_opt *val) {                                                   \
        const name##_change *c = PM_CAST(const name##_change *, ctx);                                                  \
        T was = name##_from_word(val->some ? val->val : 0);                                                            \
        T now = was;                                                                                                   \
        val->some = c->fn(c->ctx, val->some ? &was : NULL, &now);                                                      \
        val->val = name##_to_word(now);                                                                                \
        return PM_OK;                                                                                                  \
    }                                                                                                                  \
    PM_NODISCARD PM_INLINE pm_status name##_update(name *m, const void *key, size_t len,                               \
                                                   bool (*fn)(void *ctx, T const *was, T *now), void *ctx) {           \
        name##_change c = {fn, ctx};                                                                                   \
        return fn ? pm_update(&m->map, key, len, name##_change_make, &c) : PM_INVALID;                                 \
    }

/* What text and blob maps have in common: `V` points to a value, name##_make copies one into a counted block. */
#define PM_DEFINE_COPIED_(name, V)                                                                                     \
    PM_INLINE V name##_from_word(pm_val w) { return PM_CAST(V, pm_bytes_get(w, NULL)); }                               \
    PM_INLINE V name##_iter_val(const pm_iter *i) { return name##_from_word(*i->val); }                                \
    PM_INLINE V name##_get(const name *m, const void *key, size_t len) {                                               \
        const pm_val *v = pm_get(&m->map, key, len);                                                                   \
        return v ? name##_from_word(*v) : NULL;                                                                        \
    }                                                                                                                  \
    PM_NODISCARD PM_INLINE pm_status name##_set(name *m, const void *key, size_t len, V val) {                         \
        pm_val v = 0;                                                                                                  \
        pm_status s = name##_make(val, &v);                                                                            \
        if (s != PM_OK) return s;                                                                                      \
        s = pm_set(&m->map, key, len, v, NULL);                                                                        \
        if (s != PM_OK) pm_bytes_release(v);                                                                           \
        return s;                                                                                                      \
    }

/* Text: strings that end with a zero byte, copied in. Values are those of pm_ops_bytes.

     const char *name_get(m, key, len)      the text; NULL: there is none. Valid as the pointer that pm_get returns
     pm_status name_set(m, key, len, const char *text)
     pm_status name_get_or_set(m, key, len, const char *text, const char **out)
                                            stores the text if there is none; *out (NULL: not wanted): the one there is
                                            then, valid as of name_get
     pm_status name_update(m, key, len, fn, ctx)
                                            by const char *fn(void *ctx, const char *was): `was` is NULL if there is no
                                            text; what fn returns is copied in; NULL removes the key */
#define PM_DEFINE_TEXT_MAP(name)                                                                                       \
    PM_DEFINE_MAP_TYPE_(name, pm_ops_bytes())                                                                          \
    PM_NODISCARD PM_INLINE pm_status name##_make(const char *text, pm_val *out) {                                      \
        size_t n = 0;                                                                                                  \
        while (text && text[n]) n++;                                                                                   \
        return pm_bytes_new(text, n + 1, out);                                                                         \
    }                                                                                                                  \
    PM_DEFINE_COPIED_(name, const char *)                                                                              \
    PM_NODISCARD PM_INLINE pm_status name##_get_or_set(name *m, const void *key, size_t len, const char *text,         \
                                                       const char **out) {                                             \
        pm_status s = pm_contains(&m->map, key, len) ? PM_OK : name##_set(m, key, len, text);                          \
        if (s == PM_OK && out) *out = name##_get(m, key, len);                                                         \
        return s;                                                                                                      \
    }                                                                                                                  \
    typedef struct name##_change {                                                                                     \
        const char *(*fn)(void *ctx, const char *was);                                                                 \
        void *ctx;                                                                                                     \
    } name##_change;                                                                                                   \
    PM_INLINE pm_status name##_change_make(void *ctx, pm_opt *val) {                                                   \
        const name##_change *c = PM_CAST(const name##_change *, ctx);                                                  \
        const char *text = c->fn(c->ctx, val->some ? name##_from_word(val->val) : NULL);                               \
        val->some = text != NULL;                                                                                      \
        return text ? name##_make(text, &val->val) : PM_OK;                                                            \
    }                                                                                                                  \
    PM_NODISCARD PM_INLINE pm_status name##_update(name *m, const void *key, size_t len,                               \
                                                   const char *(*fn)(void *ctx, const char *was), void *ctx) {         \
        name##_change c = {fn, ctx};                                                                                   \
        return fn ? pm_update(&m->map, key, len, name##_change_make, &c) : PM_INVALID;                                 \
    }

/* A struct, or anything of any size: each value is a counted block, copied in byte by byte and shared by clones. `ops_`
   is pm_ops_bytes() where a value owns nothing (values are equal if all their bytes are, padding included), or a table
   of PM_DEFINE_BLOB_OPS. In C++ T is trivially copyable.

     T const *name_get(m, key, len)         the value; NULL: there is none. Valid as the pointer that pm_get returns
     pm_status name_set(m, key, len, T const *val)
                                            what *val owns is the map's then; on failure it stays the caller's
     pm_status name_get_or_set(m, key, len, T const *val, T const **out, bool *changed)
                                            stores *val if there is no value; *out: the one there is then, valid as of
                                            name_get. `out` and `changed` may be NULL. Not changed: what *val owns stays
                                            the caller's
     pm_status name_update(m, key, len, fn, ctx)
                                            by bool fn(void *ctx, T const *was, T *now): `was` is NULL if there is no
                                            value; *now begins as a copy of it byte by byte, or as zero bytes, and is
                                            stored if fn returns true; false removes the key, and what *now owns is
                                            nobody's. The old value is dropped when its last owner lets go of it: what
                                            both own, fn has to copy. If the map lacks memory for *now, it drops it */
#define PM_DEFINE_BLOB_MAP(name, T, ops_)                                                                              \
    PM_DEFINE_MAP_TYPE_(name, ops_)                                                                                    \
    typedef char name##_value_is_aligned[PM_ALIGNOF(T) <= 8 ? 1 : -1];                                                 \
    PM_NODISCARD PM_INLINE pm_status name##_make(T const *val, pm_val *out) {                                          \
        return pm_bytes_new(val, sizeof(T), out);                                                                      \
    }                                                                                                                  \
    PM_DEFINE_COPIED_(name, T const *)                                                                                 \
    PM_NODISCARD PM_INLINE pm_status name##_get_or_set(name *m, const void *key, size_t len, T const *val,             \
                                                       T const **out, bool *changed) {                                 \
        bool absent = !pm_contains(&m->map, key, len);                                                                 \
        pm_status s = absent ? name##_set(m, key, len, val) : PM_OK;                                                   \
        if (s == PM_OK && out) *out = name##_get(m, key, len);                                                         \
        if (s == PM_OK && changed) *changed = absent;                                                                  \
        return s;                                                                                                      \
    }                                                                                                                  \
    typedef struct name##_change {                                                                                     \
        bool (*fn)(void *ctx, T const *was, T *now);                                                                   \
        void *ctx;                                                                                                     \
    } name##_change;                                                                                                   \
    PM_INLINE pm_status name##_change_make(void *ctx, pm_opt *val) {                                                   \
        static const unsigned char zero[sizeof(T)] = {0};                                                              \
        const name##_change *c = PM_CAST(const name##_change *, ctx);                                                  \
        T const *was = val->some ? name##_from_word(val->val) : NULL;                                                  \
        pm_val made = 0;                                                                                               \
        pm_status s = was ? pm_bytes_new(was, sizeof(T), &made) : pm_bytes_new(zero, sizeof(T), &made);                \
        if (s != PM_OK) return s;                                                                                      \
        val->some = c->fn(c->ctx, was, PM_CAST(T *, pm_bytes_fill(made)));                                             \
        if (val->some) val->val = made;                                                                                \
        else pm_bytes_release(made);                                                                                   \
        return PM_OK;                                                                                                  \
    }                                                                                                                  \
    PM_NODISCARD PM_INLINE pm_status name##_update(name *m, const void *key, size_t len,                               \
                                                   bool (*fn)(void *ctx, T const *was, T *now), void *ctx) {           \
        name##_change c = {fn, ctx};                                                                                   \
        return fn ? pm_update(&m->map, key, len, name##_change_make, &c) : PM_INVALID;                                 \
    }

/* Defines `const pm_ops *fn(void)`, the table of blob maps whose values are a T. Each of the last four may be NULL:

     void drop(T *val)                      gives up what a value owns, when its last owner lets go of it. NULL: nothing
     bool equal(T const *a, T const *b)     NULL: if all bytes are equal
     uint64_t hash(T const *val)            of equal values the same. NULL: of all bytes; `equal` needs one of its own
     bool join(T const *a, T const *b, T *out)
                                            makes the value of a key that both operands have: false leaves a's. *out
                                            begins as a copy of *a byte by byte, and owns what is its own. Joining equal
                                            values makes an equal one. NULL: a's stays

   A meet keeps the left value, a subtraction removes equal ones. A join that has no memory says so by
   pm_hook_fail(PM_NOMEM). Maps combine under one table only, which is another one in each file that uses the macro: of
   several files let one have it, and give it to the others by a function. */
#define PM_DEFINE_BLOB_OPS(fn, T, drop_, equal_, hash_, join_)                                                         \
    PM_INLINE T const *fn##_of(pm_val v) { return PM_CAST(T const *, pm_bytes_get(v, NULL)); }                         \
    PM_INLINE void fn##_drop(void *data) {                                                                             \
        void (*drop)(T *) = drop_;                                                                                     \
        if (drop) drop(PM_CAST(T *, data));                                                                            \
    }                                                                                                                  \
    PM_INLINE void fn##_retain(void *ctx, pm_val v) {                                                                  \
        (void)ctx;                                                                                                     \
        (void)pm_bytes_retain(v);                                                                                      \
    }                                                                                                                  \
    PM_INLINE void fn##_release(void *ctx, pm_val v) {                                                                 \
        (void)ctx;                                                                                                     \
        pm_bytes_release_with(v, fn##_drop);                                                                           \
    }                                                                                                                  \
    PM_INLINE bool fn##_equal(void *ctx, pm_val a, pm_val b) {                                                         \
        bool (*equal)(T const *, T const *) = equal_;                                                                  \
        if (a == b) return true;                                                                                       \
        return equal ? equal(fn##_of(a), fn##_of(b)) : pm_ops_bytes()->equal(ctx, a, b);                               \
    }                                                                                                                  \
    PM_INLINE uint64_t fn##_hash(void *ctx, pm_val v) {                                                                \
        uint64_t (*hash)(T const *) = hash_;                                                                           \
        return hash ? hash(fn##_of(v)) : pm_ops_bytes()->hash(ctx, v);                                                 \
    }                                                                                                                  \
    PM_INLINE pm_alg fn##_join(void *ctx, pm_val a, pm_val b, pm_val *out) {                                           \
        bool (*join)(T const *, T const *, T *) = join_;                                                               \
        pm_val made = 0;                                                                                               \
        (void)ctx;                                                                                                     \
        if (!join) return PM_ALG_LEFT;                                                                                 \
        if (pm_bytes_new(fn##_of(a), sizeof(T), &made) != PM_OK) {                                                     \
            pm_hook_fail(PM_NOMEM);                                                                                    \
            return PM_ALG_LEFT;                                                                                        \
        }                                                                                                              \
        if (!join(fn##_of(a), fn##_of(b), PM_CAST(T *, pm_bytes_fill(made)))) {                                        \
            pm_bytes_release(made);                                                                                    \
            return PM_ALG_LEFT;                                                                                        \
        }                                                                                                              \
        *out = made;                                                                                                   \
        return PM_ALG_ELEMENT;                                                                                         \
    }                                                                                                                  \
    PM_INLINE pm_alg fn##_subtract(void *ctx, pm_val a, pm_val b, pm_val *out) {                                       \
        (void)out;                                                                                                     \
        return fn##_equal(ctx, a, b) ? PM_ALG_NONE : PM_ALG_LEFT;                                                      \
    }                                                                                                                  \
    PM_INLINE const pm_ops *fn(void) {                                                                                 \
        static const pm_ops ops = {#fn,        PM_OPS_IDEMPOTENT | PM_OPS_FALLIBLE,                                    \
                                   NULL,       fn##_retain,                                                            \
                                   fn##_release, fn##_equal,                                                           \
                                   fn##_join,  NULL,                                                                   \
                                   fn##_subtract, fn##_hash};                                                          \
        return &ops;                                                                                                   \
    }

/* What all of these begin with. */
#define PM_DEFINE_MAP_TYPE_(name, ops_)                                                                                \
    typedef struct name {                                                                                              \
        pm_map map;                                                                                                    \
    } name;                                                                                                            \
    PM_INLINE name name##_new(void) {                                                                                  \
        name m;                                                                                                        \
        m.map = pm_new((ops_), NULL);                                                                                  \
        return m;                                                                                                      \
    }                                                                                                                  \
    PM_INLINE void name##_drop(name *m) { pm_drop(&m->map); }                                                          \
    PM_INLINE name name##_clone(const name *m) {                                                                       \
        name c;                                                                                                        \
        c.map = pm_clone(&m->map);                                                                                     \
        return c;                                                                                                      \
    }                                                                                                                  \
    PM_NODISCARD PM_INLINE pm_status name##_remove(name *m, const void *key, size_t len) {                             \
        return pm_remove(&m->map, key, len, PM_PRUNE, NULL);                                                           \
    }                                                                                                                  \
    PM_INLINE pm_iter name##_iter(const name *m) { return pm_iter_vals(&m->map); }
