/* interning.h: byte strings to 64-bit symbols and back, from many threads at once. C11, one file, MIT licence.

   Interning gives each distinct byte string one number, so that strings can be compared, hashed and stored as words.
   A whole program:

       #define INTERNING_IMPLEMENTATION       // in one file of a program; the others only include
       #include "interning.h"
       #include <stdio.h>

       int main(void) {
           intern_table *t;
           intern_permit p;
           intern_symbol a, b;
           size_t len;
           if (intern_table_new(NULL, &t) || intern_permit_acquire(t, &p)) return 1;
           if (intern_get_or_insert(t, &p, "apple", 5, &a, NULL)) return 1;
           if (intern_get_or_insert(t, &p, "pear", 4, &b, NULL)) return 1;
           printf("%d %d\n", a == b, a == intern_get(t, "apple", 5));
           const char *bytes = intern_bytes(t, b, &len);
           printf("%.*s\n", (int)len, bytes);
           if (intern_permit_release(&p)) return 1;
           intern_table_free(t);
       }

   which prints

       0 1
       pear

   How it works. A table is 128 buckets and 128 writer slots.

       bytes --keyed hash--> bucket, group of 8: fingerprint + place --> record: serial, length, bytes
       symbol --> writer slot --> index page --> place ---------------------------------^

     A thread that wants to add symbols acquires a permit, which gives it a writer slot of its own: a number, a counter
     of serials, and slabs to append bytes to. Slot and serial make the symbol, so no two threads compete for one
     counter or one piece of memory. They meet only when two keys choose the same bucket, whose lock stands between
     its writers.
     Readers take no lock, need no permit and perform no atomic read-modify-write: an entry of a bucket is written once,
     after the record that it leads to; an outgrown array is kept until nobody can be looking. So intern_get and
     intern_bytes finish in a bounded number of steps whatever writers do.
     Nothing is ever deleted. Bytes never move: pointers that intern_bytes returns are good as long as the table is.

   What a symbol looks like, high byte first:

       byte    0  1 | 2           | 3  4  5  6  7
               yours  writer slot   serial

     Bytes 0 and 1 are issued zero; put tags of your own there: no function here looks at them. 0 is never issued.

   Held everywhere unless a comment says otherwise:
     Keys are borrowed for the call, may contain zero bytes, and may be empty. Keys are told apart by all their bytes.
     Functions return intern_status: 0 is good, negative is a reason; results go through the last parameters, which a
     failure leaves untouched. Nothing prints, aborts, or touches errno on purpose. Out of memory is a status like
     any other: nothing is lost, and the same call may be made again.
     An argument that no caller should pass (NULL for a table, permit, function, result that is not called optional, or
     bytes of a length other than 0; a length above PTRDIFF_MAX) is refused with INTERN_INVALID, and with nothing, zero
     or false where no status is returned. What may be NULL says so.
     Locks are held for moments, waited for in the kernel, and no call is a cancellation point while it holds or waits
     for one; intern_save and intern_load are none at all. After fork, the child uses every table that it could reach
     as if the parent's other threads had ended: their permits come back, what they had added is there whole or not at
     all. (A program's own fork that runs no handlers of pthread_atfork, such as vfork, is not covered.) A shared
     object that carries this library may be unloaded when its tables are freed and its permits released, also while
     threads that used it live on.

   Contents:
     01_config   switches            02_types    statuses, symbols       40_table    tables, permits, get, bytes
     41_batch    many at once        60_ordered  snapshot, prefixes      70_image    save, load */
