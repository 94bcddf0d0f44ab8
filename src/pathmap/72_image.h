/* Trie images: maps as one block of bytes, to be kept in a file, sent, or read where it lies.

   An image holds one or several maps, for example versions of one. Subtries of equal content are stored once, whether
   the maps share them or not, so the bytes depend on nothing but the content: not on machine, switches, history or
   sharing. An image written anywhere can be read anywhere; nothing in it is swapped or changed for that, so the block
   may be a mapping of a file that is read-only and shared by processes. docs/formats.md says what stands in it.

       if (pm_image_write_file(&m, 1, "shop.image", NULL, NULL, NULL)) ..
       ..                                                        // in another process: map the file, or read it
       pm_image shop;
       pm_rz all;
       if (pm_image_open(block, size, &shop, NULL) == PM_OK && pm_image_rz(&shop, 0, NULL, &all) == PM_OK) {
           for (pm_iter i = pm_iter_vals_of_rz(&all); pm_iter_next(&i);) ..
           pm_rz_drop(&all);
       }

   What is trusted. Opening looks at the header alone. Reading checks each reference, length and count on its way, so
   that no block whatever makes it read elsewhere, or never end; but what a damaged block says may be wrong before that
   shows. pm_image_verify finds any damage: call it once where a file comes from elsewhere. A block must not change
   while it is read. */

#include "02_types.h"

/* What the values of an image are. */
typedef enum pm_image_kind {
    PM_IMAGE_UNIT = 0,  /* none: sets of paths */
    PM_IMAGE_WORDS = 1, /* words */
    PM_IMAGE_BYTES = 2  /* byte strings */
} pm_image_kind;

/* An open image. Copied by assignment; nothing to drop. Fields are private. */
typedef struct pm_image {
    const uint8_t *data;
    size_t size, maps;
    size_t start, list; /* where the first record may lie; where the maps are listed */
    pm_image_kind kind;
} pm_image;

/* Opens an image that lies at block[0..size), at any address, and to the byte of that size.
   Valid    as long as the block is there and does not change
   Fails    PM_CORRUPT: this is no image, it was cut, or more follows; PM_INVALID: of a later version, or more than this
            machine can address. *error (may be NULL; untouched by success) says so in text, with the place. *out is
            untouched
   Cost     O(1)
   Threads  any number may open and read one block */
PM_API PM_NODISCARD pm_status pm_image_open(const void *block, size_t size, pm_image *out, pm_error *error);

/* Checks all of an image: its checksum, and that everything in it is as it would have been written.
   Fails    PM_CORRUPT, and *error (may be NULL) says what is wrong where; PM_NOMEM
   Cost     reads the block twice; takes an eighth of its size in memory until it returns
   Threads  any number */
PM_API PM_NODISCARD pm_status pm_image_verify(const pm_image *image, pm_error *error);

/* Returns how many maps an image holds; 0 of NULL. */
PM_API size_t pm_image_count(const pm_image *image);
/* Returns what its values are; PM_IMAGE_UNIT of NULL. */
PM_API pm_image_kind pm_image_values(const pm_image *image);

/* Finds the bytes of a value of an image of byte strings, a word that a zipper opened without `ops` (pm_image_rz) has
   shown. The length goes to *len.
   Returns  the bytes, in the image; NULL: this is no such word, or NULL was given
   Valid    as the image
   Cost     O(1) */
PM_API const void *pm_image_bytes(const pm_image *image, pm_val val, size_t *len);
