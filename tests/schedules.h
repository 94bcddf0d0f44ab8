/* What the programs that explore schedules have in common, beside explorer.h. Include after pathmap.h. */
#ifndef SCHEDULES_H
#define SCHEDULES_H

/* Without threads there is nothing to interleave, and checkers lose their way when stacks are switched. */
static void need_schedules(void) {
#if PM_NO_THREADS || PM__TSAN || defined(__SANITIZE_ADDRESS__)
    SKIP("no schedules in this configuration");
#endif
#if defined(__has_feature)
#if __has_feature(address_sanitizer)
    SKIP("no schedules in this configuration");
#endif
#endif
}

/* Statistics decide nothing. */
CHECK__UNUSED static void know_pool(void) {
    know(&pm__pool_default.live, OF_NO_INTEREST);
    know(&pm__pool_default.nodes, OF_NO_INTEREST);
    know(&pm__pool_default.reserved, OF_NO_INTEREST);
}

CHECK__UNUSED static void sound(const scenario *s) {
    need_schedules();
    expect_sound(s);
}

CHECK__UNUSED static void finds(const scenario *s, const bug *bugs, size_t n) {
    need_schedules();
    for (size_t i = 0; i < n; i++) expect_found(s, bugs[i]);
}

#define FINDS(scenario, bugs) finds(scenario, bugs, sizeof(bugs) / sizeof *(bugs))

#endif
