/* Values whose references are counted, for tests: every retain and release is seen, a release too many is a failed
   check, and what is still held can be asked for. A value is the number of its record. Include after check.h and
   pathmap.h. One thread only. */
#ifndef COUNTED_H
#define COUNTED_H

enum { COUNTED_MAX = 1 << 20 };

static int32_t counted__refs[COUNTED_MAX];
static uint64_t counted__made;
static int64_t counted__held, counted__wrong;

/* A new value; the caller holds one reference. Values are never 0, so that a lost one is not taken for a plain word. */
CHECK__UNUSED static pm_val counted_new(void) {
    counted__made = counted__made % (COUNTED_MAX - 1) + 1;
    while (counted__refs[counted__made]) counted__made = counted__made % (COUNTED_MAX - 1) + 1;
    counted__refs[counted__made] = 1;
    counted__held++;
    return counted__made;
}

static void counted__retain(void *ctx, pm_val v) {
    (void)ctx;
    if (v >= COUNTED_MAX || counted__refs[v] <= 0) {
        counted__wrong++;
        return;
    }
    counted__refs[v]++;
    counted__held++;
}

static void counted__release(void *ctx, pm_val v) {
    (void)ctx;
    if (v >= COUNTED_MAX || counted__refs[v] <= 0) {
        counted__wrong++;
        return;
    }
    counted__refs[v]--;
    counted__held--;
}

CHECK__UNUSED static void counted_release(pm_val v) { counted__release(NULL, v); }

/* References held by anybody; and whether one was ever given up, or taken again, that nobody held. */
CHECK__UNUSED static int64_t counted_held(void) { return counted__held; }
CHECK__UNUSED static bool counted_is_sound(void) { return counted__wrong == 0; }
CHECK__UNUSED static int32_t counted_refs(pm_val v) { return counted__refs[v]; }

/* Operations of such maps: left wins; NULL hooks otherwise. */
CHECK__UNUSED static const pm_ops *counted_ops(void) {
    static const pm_ops ops = {
        .name = "counted", .flags = PM_OPS_IDEMPOTENT, .retain = counted__retain, .release = counted__release};
    return &ops;
}

#endif
