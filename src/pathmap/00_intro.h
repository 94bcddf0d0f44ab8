/* pathmap - persistent path-trie. Single header, C11, no dependency but libc. MIT licence (end of file).

   In ONE source file:                         everywhere else:
       #define PATHMAP_IMPLEMENTATION              #include "pathmap.h"
       #include "pathmap.h"

   A map from byte paths to 64-bit values. Keys are kept in order and share their prefixes; clones are O(1) and share
   everything until one of them is written (copy-on-write); reading takes no lock.

       #include <stdio.h>

       int main(void) {
           pm_map m = {0};                                        // zero is an empty map
           if (pm_set(&m, "fruit/apple", 11, 3, NULL) != PM_OK) return 1;
           if (pm_set(&m, "fruit/pear", 10, 5, NULL) != PM_OK) return 1;

           pm_map before = pm_clone(&m);                          // O(1) snapshot
           if (pm_remove(&m, "fruit/pear", 10, PM_PRUNE, NULL) != PM_OK) return 1;

           for (pm_iter i = pm_iter_vals(&before); pm_iter_next(&i);)
               printf("%.*s %d\n", (int)i.len, (const char *)i.key, (int)*i.val);
           pm_drop(&before);                                      // prints fruit/apple 3, fruit/pear 5
           pm_drop(&m);
       }

   The picture. Nodes are blocks of at most a few cache lines; most keys live in line nodes, which hold several
   compressed branches each; where a byte fans out widely, a byte node takes over. A value sits in the node above its
   path, so any subtrie can be shared, cut or grafted without touching it.

       line  "fruit/"  |apple =3|pear =5|s >---> line  |mall =1|our =2|        (keys fruit/small, fruit/sour)

   Contract, unless a comment says otherwise:
     keys      are borrowed for the call, may contain any bytes, and have any length; length 0 is the root
     objects   one writer or many readers at a time; distinct maps are independent, however much they share
     failure   pm_status, 0 is success; results go through last parameters, which failure leaves untouched;
               out of memory is an answer, nothing is lost or leaked; nothing prints, aborts or sets errno
     misuse    a NULL object, no place for a result, a NULL key with a length, a key or an array of more than
               SIZE_MAX / 4 bytes: PM_INVALID, or "nothing" where there is no status (NULL, false, 0, empty). What may
               be NULL says so. Nothing happens
     results   a place for a result (`out`) is overwritten, not dropped first. A place that is an operand of the call as
               well is dropped once the result is made: pm_join(&a, &b, &a, NULL) is fine. Not so the map that a
               zipper, an iterator or a head is over: nothing but its writer, or head, may write to that
     flags     `changed` tells whether the call changed anything, `found` whether what it is about was there; they come
               last, may be NULL, and are set by success only
     ends      _drop ends an object in the caller's storage, _free one on the heap
     zero      a zero map, reader, iterator or witness is one of an empty map, a zero reference a place that does not
               exist; a zero writer or transaction is not open: PM_INVALID, or nothing where there is no status
     owners    who opened, made or cloned an object ends it; dropping twice or dropping zero is harmless;
               assigning a struct moves it

   Contents: 01 switches, 02 types and values, 11 pools, 12 byte sets, 13 strings in pools, 15 pools over a region,
   40 maps, 45 algebra of maps, 47 differences, 48 patches, 49 merges, 50 read zippers,
   51 write zippers, 54 iterators, 55 algebra through writers, 57 views,
   60 folds, 61 unfolds, 62 hashing, 63 sampling, 66 many writers on one map, 67 maps replaced under their readers,
   80 inspection;
   then the implementation, part by part, lowest layer first. */
