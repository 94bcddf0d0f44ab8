/* Sending what a peer lacks: one side gets what the other has, by hashes of content, in O(depth) round trips, and
   without either knowing what the other had before.

   The receiver asks, the sender answers, message by message. The library opens no connection: it makes messages and is
   fed messages, and the program carries them, whole and in turn.

       receiver: status = pm_sync_new(&have, NULL, &s);
                 while (status == PM_OK && !pm_sync_done(s)) {
                     status = pm_sync_ask(s, send_message, &connection);      // one call of send_message
                     ..receive `msg`..
                     if (status == PM_OK) status = pm_sync_take(s, msg, len, &error);
                 }
                 now = pm_sync_map(s);
       sender:   for each message: status = pm_sync_answer(source, msg, len, send_message, &connection, &error);

   The receiver begins with the root. An answer about a place says what lies there down to the next fork, and hashes of
   what is below each child, or all that lies there if that is little; what has the hash of what the receiver has at the
   same path is not asked for. Every answer must have the hash that was announced for its place, so a wrong one is
   refused before it does anything. The hash is no defence against somebody who looks for collisions.

   Nothing is lost with a connection: ask again over the next one. A later session may begin with the map that an
   earlier one has come to (pm_sync_map): what was received has the right hashes, and is not sent again. */

#include "40_map.h"
#include "62_hash.h"
#include "85_patch_stream.h"

/* What a sender has. */
typedef struct pm_sync_source pm_sync_source;

/* Makes a source of what `m` holds now. `values` (may be NULL) as for pm_patch_write; it is copied.
   Owns     pm_sync_source_free. The source has a clone of `m`
   Fails    PM_NOMEM; what a `hash` hook failed with
   Cost     that of pm_hash, and some 100 bytes a node
   Threads  a read of `m` */
PM_API PM_NODISCARD pm_status pm_sync_source_new(const pm_map *m, const pm_patch_options *values, pm_sync_source **out);

/* Ends a source. NULL is allowed. */
PM_API void pm_sync_source_free(pm_sync_source *s);

/* Returns the hash of the map; that of an empty one of NULL.  Cost O(1) */
PM_API pm_hash128 pm_sync_source_hash(const pm_sync_source *s);

/* Answers one message of questions: calls `write` once, with one message. A source remembers no receiver and may answer
   any number in turn. If it cannot tell all in about a megabyte, it answers the first questions only.
   Fails    PM_CORRUPT: this is no message of questions; PM_INVALID: of a later version. *error (may be NULL; untouched
            by success) says where in the message. PM_NOMEM; what `write`, or `values->bytes`, returned. Nothing is lost
   Cost     O(answer), and memory for it
   Threads  one call at a time on one source */
PM_API PM_NODISCARD pm_status pm_sync_answer(pm_sync_source *s, const void *msg, size_t len, pm_write_fn write,
                                             void *ctx, pm_error *error);

/* What a receiver is doing. */
typedef struct pm_sync pm_sync;

/* Begins receiving, on top of what `have` holds, which may be nothing. `values` (may be NULL) as for pm_patch_read; it
   is
   copied. Its `most`, if not 0 at least 512 KiB, bounds what is kept for questions, and
   what an answer to one of them takes.
   Owns     pm_sync_free. It has a clone of `have`
   Fails    PM_NOMEM; PM_BADHOOK: the table is refused
   Cost     O(1); the first answer costs that of pm_hash of `have`, and some 100 bytes a node
   Threads  a read of `have` */
PM_API PM_NODISCARD pm_status pm_sync_new(const pm_map *have, const pm_patch_options *values, pm_sync **out);

/* Ends it, wherever it is. NULL is allowed. */
PM_API void pm_sync_free(pm_sync *s);

/* Makes a message of questions: calls `write` once. Asked again before an answer, for one that was lost, it makes the
   same message. When all is done it asks for the root, to see whether the sender has something new.
   Fails    PM_NOMEM; what `write` returned. It may be asked again
   Cost     O(message), at most 1,024 questions
   Threads  one call at a time, as all that follow */
PM_API PM_NODISCARD pm_status pm_sync_ask(pm_sync *s, pm_write_fn write, void *ctx);

/* Takes in the answer to the last message. If the sender has gone over to another map, it begins anew with what it has.
   Fails    PM_CORRUPT: this is no answer, or not what was announced; PM_INVALID: of a later version; PM_MISMATCH:
            values of another kind; what `values->make` returned; PM_NOMEM: also for more than `most`. *error (NULL;
            untouched by success) says where in the message. What was right before that place stays; ask again
   Cost     O(answer), and changes of as many places */
PM_API PM_NODISCARD pm_status pm_sync_take(pm_sync *s, const void *msg, size_t len, pm_error *error);

/* Returns whether the receiver has all; then the hash of its map is the sender's. False of NULL.  Cost O(1) */
PM_API bool pm_sync_done(const pm_sync *s);

/* Returns a clone of what the receiver has so far: when all is done, the sender's map; before, what is already received
   amid what it had. The caller drops it. NULL: an empty map.  Cost O(1) */
PM_API pm_map pm_sync_map(const pm_sync *s);

/* What it took. */
typedef struct pm_sync_stats {
    pm_hash128 hash;              /* the sender's, once an answer has come */
    uint64_t round_trips;         /* answers taken in */
    uint64_t bytes_out, bytes_in; /* in messages */
    uint64_t questions;           /* answered */
    uint64_t waiting;             /* questions still to be answered */
} pm_sync_stats;

/* Tells how far it is.  Cost O(1). NULL: zeros */
PM_API void pm_sync_get_stats(const pm_sync *s, pm_sync_stats *out);
