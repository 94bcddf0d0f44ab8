/* Tables: bytes to symbols and back, from any number of reading threads and up to 128 writing ones. */

#include "02_types.h"

/* A table: counted, address-stable, never shrinking. */
typedef struct intern_table intern_table;

/* Settings of a table; zero everywhere is the default. */
typedef struct intern_options {
    uint64_t seed;   /* of the hash of keys, kept also by a load; 0: a random one is drawn. What keys cost cannot be
                        told from outside without it: keep it secret, and files too, which carry it */
    bool keep_bytes; /* the last intern_table_free leaves the bytes of symbols (and a loaded file's mapping) in memory
                        for the rest of the program, so that what intern_bytes returned stays valid; all else is
                        freed */
} intern_options;

/* Makes an empty table. `options` may be NULL.
   Owns     intern_table_free
   Fails    INTERN_NOMEM
   Cost     one allocation, about 34 KiB; without a seed one system call. A fork takes and gives 130 locks a table */
INTERN_API INTERN_NODISCARD intern_status intern_table_new(const intern_options *options, intern_table **out);

/* Makes another owner of the same table. NULL stays NULL.
   Returns  `t`
   Owns     intern_table_free, once more
   Threads  any thread that holds a handle, any time */
INTERN_API intern_table *intern_table_clone(intern_table *t);

/* Gives up one ownership; the last one, handles and permits counted together, frees the table. NULL is allowed.
   Cost     the last one: O(slabs and index pages), nothing per symbol
   Threads  any thread that holds the handle which it gives up */
INTERN_API void intern_table_free(intern_table *t);

/* Write permits: the right to add symbols. A permit is bound to one table and to the thread that acquired it. */
typedef struct intern_permit {
    intern_table *table;
    uint64_t owner;
    uint32_t slot; /* byte 2 of the symbols that this permit issues */
} intern_permit;

/* Acquires a permit for the calling thread. Waits for no permit. A thread that holds one gets the same slot again,
   counted; the slot is free for others after as many releases. A slot keeps its serials and its half-filled slab, so
   the next thread goes on where the last one stopped. A permit keeps the table alive. What a thread has not released
   when it ends comes back by itself: after the destructors of its thread-specific values have been called once, or,
   in a process that has no thread-specific key left, when somebody finds all slots taken (on Linux; not elsewhere).
   Owns     intern_permit_release, on the same thread
   Fails    INTERN_EXHAUSTED when all slots are taken by other threads
   Cost     a short lock, at most 128 words looked at; no allocation. Without a key left also a system call, and 128
            when all slots are taken */
INTERN_API INTERN_NODISCARD intern_status intern_permit_acquire(intern_table *t, intern_permit *out);

/* Releases a permit and clears it.
   Fails    INTERN_REFUSED from a thread that does not own it, or when it is cleared or released: nothing changed
   Cost     a short lock
   Threads  the permit's owner */
INTERN_API INTERN_NODISCARD intern_status intern_permit_release(intern_permit *p);

/* Finds the symbol of `len` bytes, issuing one if there is none. Its bytes can be got back before any thread can see
   the symbol. *inserted (may be NULL): whether it is new.
   Fails    INTERN_REFUSED, INTERN_NOMEM, INTERN_FULL, INTERN_INVALID: no symbol was issued
   Cost     O(len); existing: no lock, no atomic read-modify-write. New: the bucket's lock, which keeps out other
            writers of that bucket, never readers; amortised O(1) beside the bytes
   Threads  the permit's owner */
INTERN_API INTERN_NODISCARD intern_status intern_get_or_insert(intern_table *t, const intern_permit *p,
                                                               const void *bytes, size_t len, intern_symbol *out,
                                                               bool *inserted);

/* Finds the symbol of `len` bytes.
   Returns  the symbol, or INTERN_NONE
   Cost     O(len); no lock, no atomic read-modify-write, no allocation, wait-free
   Threads  any thread, any time, without a permit */
INTERN_API intern_symbol intern_get(const intern_table *t, const void *bytes, size_t len);

/* Finds the bytes of a symbol; its tag is overlooked.
   Returns  the bytes, never NULL for a symbol of this table (the empty string too has an address); NULL, and *len
            untouched, for a number that this table has not issued
   Valid    as long as the table, or for good with `keep_bytes`; bytes never move
   Cost     O(1): index, then the stored length; no lock, no atomic read-modify-write, wait-free
   Threads  any thread, any time, without a permit */
INTERN_API const void *intern_bytes(const intern_table *t, intern_symbol s, size_t *len);

/* Counts the symbols.
   Returns  how many have been issued; 0 of NULL
   Cost     128 loads
   Threads  any thread, any time; exact when nobody inserts meanwhile */
INTERN_API uint64_t intern_count(const intern_table *t);

/* Iterators: `for (intern_iter i = intern_iter_all(t); intern_iter_next(&i);) use(i.symbol, i.data, i.len);`
   Fields below the line are private. */
typedef struct intern_iter {
    intern_symbol symbol;
    const void *data;
    size_t len;
    /* ---- */
    const intern_table *table;
    uint64_t next, end;
    uint32_t slot;
} intern_iter;

/* Returns an iterator over every symbol in the order of symbols. Symbols issued before the iterator was made are all
   seen; those issued meanwhile may or may not be.
   Valid    as long as the table; nothing to drop
   Threads  one thread per iterator, writers may go on */
INTERN_API intern_iter intern_iter_all(const intern_table *t);

/* Steps on.
   Returns  whether there is another symbol, in the iterator's fields
   Cost     O(1); no lock, no allocation */
INTERN_API bool intern_iter_next(intern_iter *i);

/* What a table holds, in bytes from INTERN_MALLOC; a loaded file's mapping counts apart. */
typedef struct intern_stats {
    uint64_t symbols;
    uint64_t slab_bytes;    /* keys, their prefixes, and room at the ends of slabs */
    uint64_t index_bytes;   /* symbol to bytes */
    uint64_t bucket_bytes;  /* bytes to symbol */
    uint64_t retired_bytes; /* outgrown bucket arrays and directories, kept for readers: see intern_trim */
    uint64_t fixed_bytes;
    uint64_t mapped_bytes;
    uint64_t smallest_bucket, largest_bucket; /* symbols */
} intern_stats;

/* Reports on a table. Takes each bucket's lock in turn.
   Cost     O(buckets, slabs and index pages)
   Threads  any thread, any time */
INTERN_API void intern_get_stats(intern_table *t, intern_stats *out);

/* Frees what growth has left behind for readers that may still have been looking.
   Cost     O(what is freed), and each bucket's lock
   Threads  the caller vouches that no other thread is inside a call on this table, a save included */
INTERN_API void intern_trim(intern_table *t);
