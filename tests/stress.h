/* What tests share that keep threads busy for a while: how long, and a line that says what was done. Include after
   check.h and pathmap.h.

       STRESS_SECONDS=60 build/slim-tsan/test_threads        (a minute for each test, instead of less than a second) */
#ifndef STRESS_H
#define STRESS_H

#include <pthread.h>
#include <sched.h>
#include <time.h>

/* At the start of a test with a second thread. */
CHECK__UNUSED static void need_threads(void) {
    if (PM_NO_THREADS) SKIP("PM_NO_THREADS: one thread only");
}

CHECK__UNUSED static double now(void) {
    struct timespec t;
    timespec_get(&t, TIME_UTC);
    return (double)t.tv_sec + (double)t.tv_nsec * 1e-9;
}

/* How long each test keeps its threads busy. */
CHECK__UNUSED static double stress_seconds(void) {
    const char *s = getenv("STRESS_SECONDS");
    double n = s ? strtod(s, NULL) : 0;
    return n > 0 ? n : 0.7;
}

CHECK__UNUSED static void stress_say(unsigned threads, uint64_t operations, double seconds) {
    printf("# %s: %u threads, %" PRIu64 " operations, %.1f s\n", check__current, threads, operations, seconds);
}

#endif
