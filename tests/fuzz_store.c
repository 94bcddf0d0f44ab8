/* Fuzzing of stores: any input is a store, three quarters of them with sums made to fit. It is opened, verified, read,
   loaded, committed to and compacted. Nothing may read elsewhere or go wrong; what verifies can be read, what was
   committed is there afterwards, and what was kept verifies. */
#define PATHMAP_STATIC
#include "../pathmap.h"

#define CHECK_NO_MAIN
#include "check.h"
#include "disks.h"
#include "fuzz.h"

static bool keep_odd(void *ctx, const pm_commit *v) {
    (void)ctx;
    return v->sequence % 2 != 0;
}

/* All versions from the newest on. */
static void read_versions(pm_store *s, bool sound) {
    pm_commit v;
    pm_status st = pm_store_last(s, &v);
    for (unsigned n = 0; st == PM_OK; n++) {
        pm_rz z;
        pm_status open = pm_image_rz(&v.image, 0, NULL, &z);
        must(open == PM_OK || !sound, "a version that verified cannot be read");
        if (open == PM_OK) {
            for (unsigned steps = 0; steps < 300 && pm_rz_to_next_step(&z); steps++) (void)pm_rz_val(&z);
            must(pm_rz_status(&z) == PM_OK || !sound, "a version that verified is damaged");
            pm_rz_drop(&z);
        }
        st = n < 100 ? pm_commit_earlier(&v, &v) : PM_INVALID;
        if (st != PM_OK) pm_commit_drop(&v);
    }
}

/* Loads the newest version, and commits it with one key more. */
static void commit_more(pm_store *s) {
    pm_map m, again;
    pm_error why;
    pm_image_reading reading = {.ops = NULL};
    bool same = false;
    if (pm_store_load(s, NULL, &reading, &m, &why) != PM_OK) return;
    must(pm_check(&m, NULL) == PM_OK, "what was loaded is not sound");
    must(pm_set(&m, "abc", 3, 1, NULL) == PM_OK, "no memory");
    pm_status st = pm_store_commit(s, &m, NULL, &why);
    must(st == PM_OK || st == PM_CORRUPT, "a commit failed in another way");
    if (st == PM_OK && pm_store_load(s, NULL, &reading, &again, &why) == PM_OK) {
        must(pm_equal(&m, &again, &same) == PM_OK && same, "what was committed is something else");
        pm_drop(&again);
    }
    pm_drop(&m);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    if (size < PM__DURABLE_HEADER + PM__DURABLE_RECORD || size > DISK_CAP / 4) return 0;
    disk d = disk_with("s", data, size);
    if (data[size - 1] % 4) disk_mend_sums(d.inodes[0].data, size);
    pm_files files = disk_files(&d, data[size - 1] % 2 != 0);
    pm_store_options how = {.files = &files};
    pm_store *s = NULL;
    if (pm_store_open("s", &how, &s, NULL) == PM_OK) {
        read_versions(s, pm_store_verify(s, NULL) == PM_OK);
        commit_more(s);
        pm_status st = pm_store_compact(s, keep_odd, NULL, NULL);
        must(st == PM_OK || st == PM_CORRUPT, "compaction failed in another way");
        if (st == PM_OK) must(pm_store_verify(s, NULL) == PM_OK, "what was kept does not verify");
        pm_store_close(s);
    }
    must(d.maps == 0, "a mapping was left");
    disk_free(&d);
    return 0;
}
