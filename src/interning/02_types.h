/* Types that every part shares: status codes, symbols, byte strings. */

#include "01_config.h"

/* The version of this header. A release with another MAJOR (with MAJOR 0: another MINOR) may break programs, one with
   another MINOR adds, one with another PATCH mends. Files say their own format's version. */
#define INTERN_VERSION_MAJOR 0
#define INTERN_VERSION_MINOR 1
#define INTERN_VERSION_PATCH 0
#define INTERN_VERSION (INTERN_VERSION_MAJOR * 1000000 + INTERN_VERSION_MINOR * 1000 + INTERN_VERSION_PATCH)

/* Tells which version the program's one copy of the implementation is of.
   Returns  its INTERN_VERSION: unlike the macro's where a file was compiled with another header
   Threads  any */
INTERN_API unsigned intern_version(void);

/* What a call that can fail returns. Results go through last parameters, which a failure leaves untouched. Codes that
   pathmap.h has too carry the same number there. */
typedef enum intern_status {
    INTERN_OK = 0,
    INTERN_NOMEM = -1,     /* no memory; nothing changed */
    INTERN_INVALID = -2,   /* an argument that no caller should pass; nothing changed */
    INTERN_BUSY = -5,      /* the table is in use, or holds symbols already */
    INTERN_CORRUPT = -6,   /* damaged or foreign data */
    INTERN_IO = -8,        /* reading or writing failed */
    INTERN_EXHAUSTED = -9, /* every write permit is out; try again later */
    INTERN_REFUSED = -10,  /* the permit belongs to another table or thread, or was released */
    INTERN_FULL = -11      /* the permit's slot has issued all its serials; another slot still works */
} intern_status;

/* Says what a status means, in English.
   Returns  static text, never NULL; of a number that is no status, that it is unknown
   Threads  any */
INTERN_API const char *intern_status_text(intern_status s);

/* Where and why input data were refused. */
typedef struct intern_error {
    intern_status code;
    uint64_t offset; /* byte of the file */
    const char *msg; /* static text */
} intern_error;

/* A symbol. Written big-endian it is eight bytes: 0 and 1 are issued zero and are the user's, for tags, which every
   function here overlooks; 2 is the writer slot, 0 to 127; 3 to 7 are the serial. Equal bytes have equal symbols
   within one table. Order as numbers is order of the big-endian bytes. */
typedef uint64_t intern_symbol;

#define INTERN_NONE UINT64_C(0)        /* never issued */
#define INTERN_WRITERS 128             /* write permits, and buckets, of a table */
#define INTERN_SERIAL_BITS 40
#define INTERN_TAG_SHIFT 48            /* bits 48 to 63 are the user's */

/* A borrowed byte string. `data` may be NULL when `len` is 0. */
typedef struct intern_key {
    const void *data;
    size_t len;
} intern_key;

/* Writes a symbol, tags and all, as eight bytes, big-endian: in that form memcmp gives the order of symbols. */
INTERN_API void intern_symbol_encode(intern_symbol s, uint8_t out[8]);

/* Returns the symbol that intern_symbol_encode wrote; INTERN_NONE if `in` is NULL. */
INTERN_API intern_symbol intern_symbol_decode(const uint8_t in[8]);
