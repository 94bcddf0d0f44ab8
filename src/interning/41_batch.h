/* Batches: many keys at once, their memory accesses overlapped. Faster than single calls on tables that do not fit
   the nearest cache; otherwise they mean the same. */

#include "40_table.h"

/* Does intern_get_or_insert for n keys. Which of several new keys gets the smaller serial is not said. *done (may be
   NULL): how many of the leading keys have their symbol in `out`; n on success.
   Fails    INTERN_REFUSED, INTERN_NOMEM, INTERN_FULL, INTERN_INVALID (a key is none): keys behind *done may or may not
            have been added; the same call may be made again
   Threads  the permit's owner */
INTERN_API INTERN_NODISCARD intern_status intern_get_or_insert_many(intern_table *t, const intern_permit *p,
                                                                    const intern_key *keys, size_t n,
                                                                    intern_symbol *out, size_t *done);

/* Does intern_get for n keys; out[i] is INTERN_NONE where keys[i] is unknown.
   Returns  how many were found
   Threads  any thread, any time, without a permit */
INTERN_API size_t intern_get_many(const intern_table *t, const intern_key *keys, size_t n, intern_symbol *out);

/* Does intern_bytes for n symbols; out[i] is {NULL, 0} where symbols[i] is unknown.
   Returns  how many were found
   Threads  any thread, any time, without a permit */
INTERN_API size_t intern_bytes_many(const intern_table *t, const intern_symbol *symbols, size_t n, intern_key *out);
