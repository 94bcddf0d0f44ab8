/* Stores: files that hold versions of maps, safe against crashes.

   A commit appends what is new since the commit before, and then a record that vouches for all of it. Nothing that was
   committed is ever written again: so a crash at any time, of the program or the machine, leaves the newest commit that
   is whole, and every version stays what it was. A version is read where it lies, as an image (72_image.h): nothing is
   loaded for that, and processes share the pages. docs/formats.md says what stands in the file.

       pm_store *s;
       pm_map m;
       if (pm_store_open("shop.store", &(pm_store_options){.create = true}, &s, NULL) != PM_OK) ..
       if (pm_store_load(s, NULL, NULL, &m, NULL) != PM_OK) ..     // the newest version as a map; empty at first
       ..                                                          // change the map
       if (pm_store_commit(s, &m, NULL, NULL) != PM_OK) ..         // appends what has changed, and waits for the disk
       pm_commit v;
       for (pm_status st = pm_store_newest(s, NULL, &v); st == PM_OK; st = pm_commit_before(&v, &v))
           .. pm_image_get(&v.image, 0, "milk", 4, &price) ..      // time travel
       pm_store_close(s);

   Roots. A commit may have a name; each name is a root with versions of its own, and no name is one too. So a store can
   hold several maps, or branches of one.

   Who may do what. One process has a store open for writing, and opens it once: others get PM_BUSY. Any number of
   processes have it open for reading at the same time, and see new commits when they call pm_store_refresh. Within a
   process any number of threads may use one pm_store, for all calls but pm_store_close. Commits go one after the other;
   threads that wait for the disk at the same time share one sync.

   What is safe when. When pm_store_commit has returned PM_OK the version is on the disk, and is found there after any
   crash. Until then a crash leaves either the version before or the new one, whole. Stores that are `unsynced` do not
   wait for the disk: there a crash of the program loses nothing, a crash of the machine the versions since the last
   pm_store_sync, from some version on. Other processes may see a version shortly before it is safe.

   What is trusted. Opening checks the header, and all bytes of the commits since the last sync that they know of; the
   commit records are checked as they are met. What pm_store_compact wrote was on the disk before the file had its
   name, and is not read for that. Reading an older version checks each reference on its way, so that no file whatever
   makes it read elsewhere, or never end. pm_store_verify finds any damage. A file that is cut while it is open for
   reading takes its readers down (SIGBUS): nobody but the store may write it. */

#include "18_files.h"
#include "40_map.h"
#include "74_image_view.h"

/* How to open a store; zero everywhere is the default: an existing file, for writing, with syncs. */
typedef struct pm_store_options {
    bool create;           /* makes the file if there is none */
    bool read_only;        /* for reading; needs no right to write */
    bool unsynced;         /* commits do not wait for the disk: pm_store_sync does */
    const pm_files *files; /* NULL: pm_files_default() */
    uint64_t identity[2];  /* of a new store; zero: random words, as far as the system has some */
} pm_store_options;

typedef struct pm_store pm_store;

/* Opens a store.
   Owns     *out: pm_store_close
   Fails    PM_IO: there is no such file, or what reading, writing or syncing met; PM_BUSY: another process writes it
            (not of `read_only`); PM_CORRUPT: this is no store; PM_INVALID: of a later version, or more than this
            machine can address; PM_NOMEM. *error (may be NULL; untouched by success) says so in text, with the place.
            *out is untouched
   Cost     reads what the last commit appended, and what a crash left behind it; if the last commits were not synced,
            what these appended; nothing of what pm_store_compact wrote */
PM_API PM_NODISCARD pm_status pm_store_open(const char *name, const pm_store_options *options, pm_store **out,
                                            pm_error *error);

/* Closes a store. Versions that are open stay so. What was not synced is not synced now. NULL is allowed. */
PM_API void pm_store_close(pm_store *s);

/* What a commit says beside its map; zero everywhere is the default. */
typedef struct pm_commit_options {
    const char *name;  /* of the root; NULL: the one without a name */
    uint64_t time;     /* the caller's, for example nanoseconds since 1970 */
    uint64_t label[2]; /* the caller's, for example pm_hash of the map */
    /* Tells the bytes that a value stands for, as of pm_image_options. */
    void *ctx;
    pm_status (*bytes)(void *ctx, pm_val val, const void **data, size_t *len);
} pm_commit_options;

/* Appends a version of a root: the map as it is. `how` may be NULL. Only what is new is written if the map comes from
   the one that was loaded (pm_store_load) or committed last under this name, by changes to it or to clones; else all of
   it. A map that has not changed makes a version as well, of 160 bytes.
   Fails    PM_INVALID: the store is open for reading, the name is longer than 65,535 bytes; PM_NOMEM; PM_IO: the disk
            is full, or failed; what `bytes` returned. Nothing has been committed, and the store can be used, but for
            this: when syncing has failed, what is on the disk cannot be known before the store is opened again; the
            version may be there then. All commits fail until then. *error (may be NULL) says so in text
   Cost     O(changes * depth), and a sync. Keeps a clone of the map until the next commit
   Threads  a read of the map; any number may commit */
PM_API PM_NODISCARD pm_status pm_store_commit(pm_store *s, const pm_map *m, const pm_commit_options *how,
                                              pm_error *error);

/* Returns when all versions that are there are on the disk; of a store that is not `unsynced` they are.
   Fails    PM_IO, as pm_store_commit */
PM_API PM_NODISCARD pm_status pm_store_sync(pm_store *s);

/* Looks for versions that another process has committed, in the same file or in a new one that took its name
   (pm_store_compact). *changed (may be NULL): whether there are any.
   Fails    PM_IO, PM_CORRUPT, PM_NOMEM: what was known before stays
   Cost     reads what is new, of a file that pm_store_compact wrote what was committed to it later */
PM_API PM_NODISCARD pm_status pm_store_refresh(pm_store *s, bool *changed);

/* A version. Fields are to be read only. */
typedef struct pm_commit {
    pm_image image;    /* its map is number 0 */
    uint64_t sequence; /* 1 of the first commit, of whatever name, and one more of each */
    uint64_t time, label[2];
    pm_key name;    /* of the root; no bytes: the one without a name. Valid as the version */
    uint64_t size;  /* bytes that the commit appended */
    uint64_t place; /* private, as is what follows */
    void *block;
} pm_commit;

/* Finds the newest version of a root; `name` NULL: the one without a name.
   Owns     *out: pm_commit_drop. It may outlive the store
   Fails    PM_INVALID: there is none; PM_CORRUPT; PM_NOMEM. *out is untouched
   Cost     O(commits of other names since)
   Threads  any */
PM_API PM_NODISCARD pm_status pm_store_newest(pm_store *s, const char *name, pm_commit *out);
/* The newest version of all, of whatever name. */
PM_API PM_NODISCARD pm_status pm_store_last(pm_store *s, pm_commit *out);
/* Finds the version with a sequence number. Cost: O(commits since). */
PM_API PM_NODISCARD pm_status pm_store_at(pm_store *s, uint64_t sequence, pm_commit *out);

/* Goes from a version to the one of the same root before it. *out may be *v: that is dropped then.
   Owns     *out: pm_commit_drop
   Fails    PM_INVALID: it is the first, or the first that was kept; PM_CORRUPT. Nothing has changed, *v is still owned
   Cost     O(1) */
PM_API PM_NODISCARD pm_status pm_commit_before(const pm_commit *v, pm_commit *out);
/* The same to the commit before, of whatever name. */
PM_API PM_NODISCARD pm_status pm_commit_earlier(const pm_commit *v, pm_commit *out);
/* Makes *out a second owner of what *v reads. */
PM_API void pm_commit_share(const pm_commit *v, pm_commit *out);
/* Gives up a version. Dropping twice, or dropping zero or NULL, is harmless. */
PM_API void pm_commit_drop(pm_commit *v);

/* Loads the newest version of a root into memory, as pm_image_load does, from which commits under this name go on; an
   empty map if there is none. `name` and `reading` may be NULL.
   Owns     the caller drops *out
   Fails    PM_CORRUPT, PM_NOMEM, PM_BADHOOK, what `reading->make` returned. *out is untouched */
PM_API PM_NODISCARD pm_status pm_store_load(pm_store *s, const char *name, const pm_image_reading *reading, pm_map *out,
                                            pm_error *error);

/* Checks all of a store, as it is known now: all checksums, and that everything in every version is as it would have
   been written.
   Fails    PM_CORRUPT, and *error (may be NULL) says what is wrong where; PM_IO; PM_NOMEM
   Cost     reads the file twice; takes an eighth of its size in memory until it returns */
PM_API PM_NODISCARD pm_status pm_store_verify(pm_store *s, pm_error *error);

/* Keeps only some versions: writes them to a new file beside this one, NAME.part, which then takes its name. Versions
   that are open, here and in other processes, stay what they are: the old file goes when the last of them is dropped.
   keep: tells whether to keep a version, of which the newest of each root are kept in any case; called from the newest
   version to the oldest. NULL: only these are kept.
   Fails    PM_INVALID: the store is open for reading; PM_IO, PM_NOMEM, PM_CORRUPT: the old file is as it was, and stays
            in use; what remains of NAME.part is written over the next time
   Cost     reads and writes what is kept; takes an eighth of the file's size in memory, and 32 bytes for each record
            that is kept, until it returns. Commits wait meanwhile; readers do not */
PM_API PM_NODISCARD pm_status pm_store_compact(pm_store *s, bool (*keep)(void *ctx, const pm_commit *v), void *ctx,
                                               pm_error *error);

/* What is known of a store. */
typedef struct pm_store_info {
    uint64_t identity[2];
    uint64_t sequence; /* of the newest version; 0: there is none */
    uint64_t size;     /* of the file, up to the end of that */
    uint64_t synced;   /* how much of it is known to be on the disk; reading only: to have been */
    uint64_t lost;     /* bytes behind the newest whole commit that opening has found, and cut off if for writing */
    bool failed;       /* syncing has failed: nothing is committed any more */
} pm_store_info;

/* Tells what is known of a store. */
PM_API void pm_store_get_info(const pm_store *s, pm_store_info *out);
