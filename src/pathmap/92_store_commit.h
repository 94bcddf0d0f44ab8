/* Commits of mixed tries (89_mixed.h): a store larger than memory, with changes in memory.

       pm_commit v;
       pm_base *base;
       pm_mixed m = pm_mixed_new(NULL, NULL);
       if (pm_store_newest(s, NULL, &v) != PM_OK || pm_base_of_commit(&v, NULL, &base) != PM_OK) ..
       pm_commit_drop(&v);
       if (pm_mixed_hang(&m, NULL, 0, base, 0) != PM_OK) ..       // reads nothing but the version's root
       pm_base_close(base);
       ..                                                        // pm_mixed_get, pm_mixed_set, ..
       if (pm_store_commit_mixed(s, &m, NULL, NULL) != PM_OK) .. // and begin again with the newest version

   So what is in memory is what has changed since the last commit, and a commit writes that. */

#include "76_store.h"
#include "89_mixed.h"

/* Appends a version of a root, as pm_store_commit does: the trie as it is. What hangs of a version of this store
   (pm_base_of_commit) is not read, but referred to where it lies. What hangs of something else is loaded first, as by
   pm_materialise: of images, of other stores or another pm_store, of a version of before a pm_store_compact, of one
   whose values are of another kind. A later pm_store_commit under this name writes all of its map.
   Fails    as pm_store_commit, and PM_CORRUPT: a record on the way is damaged; what a base's `make` returned
   Cost     O(what is in memory, and on the way to what hangs), and a sync
   Threads  a read of the trie; any number may commit */
PM_API PM_NODISCARD pm_status pm_store_commit_mixed(pm_store *s, const pm_mixed *m, const pm_commit_options *how,
                                                    pm_error *error);
