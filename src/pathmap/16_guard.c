/* What checked builds know of maps and of those who use them; other builds have none of this.

   A map that has content carries a stamp, a number that no other map has: it moves with the structure, and a clone gets
   one of its own. A reader keeps the stamp that it was opened at. When a map that somebody has looked at so is written,
   its stamp is over and it gets a new one; when it is dropped, its stamp is over. So a stamp that is over tells a
   reader that its map was written, and a map that another copy of its structure was written or dropped.

   Which stamps are over stands in a table of fixed size, later ones over earlier ones: what is long past is forgotten,
   so a mistake may go unnoticed, and what is right is never found fault with. Nothing is allocated. */
#include "10_platform.c"

#if PM_CHECK >= 1
enum { PM__STAMPS = 1 << 17, PM__STAMP_MAX = 1 << 30 };
enum { PM__STAMP_SEEN = 1, PM__STAMP_OVER = 2 };

/* At a stamp's place: the stamp times four, and what is known of it. Relaxed: a map is not written beside its readers,
   and whoever hands it on to another thread orders this too. */
static pm__a32 pm__stamp_notes[PM__STAMPS];
/* At a stamp's place: the stamp whose content is kept by a witness; PM__STAMP_MAX: that of several. */
static pm__a32 pm__stamp_kept[PM__STAMPS];
static pm__a32 pm__stamp_last;

/* Tells what was done wrong, and ends. */
PM__UNUSED static void pm__accuse(const char *what) { /* uncovered: the process ends, and its counts with it */
#if !PM_NO_STDIO
    fprintf(stderr, "pathmap: %s\n", what);
#endif
    bool used_as_documented = false;
    PM_ASSERT(used_as_documented);
    (void)used_as_documented, (void)what; /* where PM_ASSERT is nothing */
}

/* A stamp that was never given before; 0, of which nothing is known, when there are no more. Not instrumented as other
   read-modify-writes are: programs that count those count the library's own. */
PM__UNUSED static uint32_t pm__stamp_new(void) {
    if (pm__load_relaxed(&pm__stamp_last) >= PM__STAMP_MAX / 2) return 0;
#if PM_NO_THREADS
    return ++pm__stamp_last;
#else
    return atomic_fetch_add_explicit(&pm__stamp_last, 1, memory_order_relaxed) + 1;
#endif
}

static void pm__stamp_note(uint32_t s, uint32_t what) {
    pm__a32 *at = &pm__stamp_notes[s % PM__STAMPS];
    if (s && pm__load_relaxed(at) != s * 4 + what) pm__store_relaxed(at, s * 4 + what);
}

static bool pm__stamp_is(uint32_t s, uint32_t what) {
    return s && pm__load_relaxed(&pm__stamp_notes[s % PM__STAMPS]) == s * 4 + what;
}

/* A witness keeps the content: who looks at it may do so for ever. */
PM__UNUSED static void pm__stamp_keep(uint32_t s) {
    pm__a32 *at = &pm__stamp_kept[s % PM__STAMPS];
    uint32_t there = pm__load_relaxed(at);
    if (s && there != s) pm__store_relaxed(at, there ? (uint32_t)PM__STAMP_MAX : s);
}

PM__UNUSED static bool pm__stamp_is_kept(uint32_t s) {
    uint32_t there = pm__load_relaxed(&pm__stamp_kept[s % PM__STAMPS]);
    return there == s || there == PM__STAMP_MAX;
}
#endif
