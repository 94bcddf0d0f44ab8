/* pathmap - persistent path-trie. Single header, C11, no dependency but libc. MIT licence (end of file).

   A map from byte paths to 64-bit values. Keys are kept in order and share their prefixes; clones are O(1) and share
   everything until one of them is written (copy-on-write); reading takes no lock. A whole program:

       #define PATHMAP_IMPLEMENTATION                             // in one file of a program; the others only include
       #include "pathmap.h"
       #include <stdio.h>

       int main(void) {
           pm_map shop = {0}, all;                                // zero is an empty map
           if (pm_set(&shop, "fruit/apple", 11, 3, NULL)) return 1;
           if (pm_set(&shop, "fruit/pear", 10, 5, NULL)) return 1;
           if (pm_set(&shop, "nut/hazel", 9, 7, NULL)) return 1;

           const pm_val *pears = pm_get(&shop, "fruit/pear", 10); // NULL: there are none
           if (pears) printf("%d pears\n", (int)*pears);

           pm_map before = pm_clone(&shop);                       // a snapshot: O(1), shares every node
           if (pm_remove(&shop, "fruit/pear", 10, PM_PRUNE, NULL)) return 1;
           if (pm_set(&shop, "fruit/plum", 10, 9, NULL)) return 1;

           pm_rz fruit;                                           // all that begins with "fruit/", as it was
           if (pm_rz_open(&before, "fruit/", 6, &fruit)) return 1;
           for (pm_iter i = pm_iter_vals_of_rz(&fruit); pm_iter_next(&i);)
               printf("%.*s %d\n", (int)i.len, (const char *)i.key, (int)*i.val);
           pm_rz_drop(&fruit);

           pm_status s = pm_join(&before, &shop, &all, NULL);     // looks only at what the two do not share
           if (s != PM_OK) return printf("%s\n", pm_status_text(s)), 1;
           for (pm_iter i = pm_iter_vals(&all); pm_iter_next(&i);) printf("%.*s\n", (int)i.len, (const char *)i.key);
           pm_drop(&shop), pm_drop(&before), pm_drop(&all);
       }

   which prints

       5 pears
       apple 3
       pear 5
       fruit/apple
       fruit/pear
       fruit/plum
       nut/hazel

   The first hour. Most programs need no more than this; it stands first below.

     pm_map m = {0}  pm_new  pm_drop  pm_clone             make, end, snapshot
     pm_get  pm_contains  pm_set  pm_remove                one key
     pm_is_empty  pm_val_count  pm_equal  pm_subtrie       whole maps
     pm_build  pm_each                                     all keys at once
     pm_join  pm_meet  pm_subtract                         two maps
     pm_iter_vals  pm_iter_vals_of_rz  pm_iter_next        loops in key order
     pm_iter_status  pm_iter_drop                          loops that end early
     pm_rz_open  pm_rz_open_owned  pm_rz_drop              zippers: cursors over a map, or over a snapshot
     pm_rz_descend_to  pm_rz_ascend  pm_rz_reset           moving one
     pm_rz_exists  pm_rz_val  pm_rz_child_mask  pm_rz_path what is there
     pm_wz_open  pm_wz_cursor  pm_wz_set  pm_wz_graft  pm_wz_drop   zippers that write
     pm_status_text                                        failures in words

   The picture. Nodes are blocks of at most a few cache lines; most keys live in line nodes, which hold several
   compressed branches each; where a byte fans out widely, a byte node takes over. A value sits in the node above its
   path, so any subtrie can be shared, cut or grafted without touching it.

       line  "fruit/"  |apple =3|pear =5|s >---> line  |mall =1|our =2|        (keys fruit/small, fruit/sour)

   Contract, unless a comment says otherwise:
     keys      are borrowed for the call, may contain any bytes, and have any length; length 0 is the root
     threads   one writer or many readers of an object at a time, on any thread; distinct maps are independent, however
               much they share
     failure   pm_status, 0 is success; a failure leaves the places of results untouched; out of memory is a status
               like any other, nothing is lost or leaked; nothing prints, aborts or sets errno
     order     what a call works on comes first, what it is given next, places for results last, an object that it
               opens or makes among them (`out`): pm_wz_open(&m, path, len, &w). Flags stand behind all other results
     misuse    a NULL object, no place for a result, a NULL key with a length, a key or an array of more than
               SIZE_MAX / 4 bytes: PM_INVALID, or "nothing" where there is no status (NULL, false, 0, empty). What may
               be NULL says so. Nothing happens
     results   a place for a result (`out`) is overwritten, not dropped first. A place that is an operand of the call as
               well is dropped once the result is made: pm_join(&a, &b, &a, NULL) is fine. Not so the map that a
               zipper, an iterator or a head is over: nothing but its writer, or head, may write to that
     flags     `changed` tells whether the call changed anything, `found` whether what it is about was there; they come
               last, may be NULL, and are set by success only
     statuses  that an object keeps (pm_rz_status, pm_iter_status, pm_wz_status) are its first failure; asking for one
               does not clear it
     outcomes  `alg` tells what an operation made, compared with its operands; see pm_alg
     pointers  that a call lends (values, paths) are valid until the next write to the map; those of a zipper or an
               iterator to its own path, until its next move
     ends      _drop ends an object in the caller's storage, _free one on the heap
     zero      a zero map, reader, iterator or witness is one of an empty map, a zero reference a place that does not
               exist; a zero writer or transaction is not open: PM_INVALID, or nothing where there is no status
     owners    who opened, made or cloned an object ends it; dropping twice or dropping zero is harmless;
               assigning a struct moves it
     cost      of a call at a path is O(its length), without allocation where nothing is written. "Distinct nodes" are
               those of a map, each counted once however often it is shared

   Contents: 01 switches, 02 types and values; first 40 maps, 45 algebra of maps, 12 byte sets, 50 read zippers, 54
   iterators, 51 write zippers; then by number 11 pools, 13 strings in pools, 15 pools over a region, 41 differences, 42
   patches, 43 merges, 46 compacting, 47 order, 48 ranges, 49 updates, 55 algebra through writers, 56 writes below a
   focus, 57 views, 60 folds, 61 unfolds, 62 hashing, 63 sampling, 66 many writers on one map, 67 maps replaced under
   their readers, 70 streams, 71 path files, 72 trie images, 73 writing, 74 reading, and 75 loading them, 80 inspection;
   then the implementation, part by part, lowest layer first. */
