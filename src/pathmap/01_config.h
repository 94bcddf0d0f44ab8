/* Switches. Define them before the include in the one file that carries the implementation; no switch changes a
   public type or prototype, so every other file may include the header plainly.

     PATHMAP_IMPLEMENTATION   emit the code in this file; exactly one file of a program does
     PATHMAP_STATIC           emit a private static copy for this file (implies PATHMAP_IMPLEMENTATION)
     PM_API                   linkage of public functions, default `extern` (or `static` with PATHMAP_STATIC)
     PM_MALLOC(n) PM_FREE(p,n)  allocation of everything; both or neither. PM_MALLOC returns NULL when it has none.
                              Neither is called by the destructor that runs at the program's end (docs/memory.md)
     PM_NO_MALLOC             1: no allocation of the C library: all memory is what pm_lend is given; goes with
                              PM_NO_THREADS, and makes PM_POOL 0 by default; default 0 (docs/embedded.md)
     PATHMAP_JEMALLOC         1: allocate with jemalloc's sized calls (link with -ljemalloc); default 0
     PATHMAP_SLIM_PTRS        1: 64-bit tagged node references and 32-bit saturating counts; 0: plain pointers and
                              64-bit counts; default 1
     PM_POOL                  1: nodes come from the built-in pool; 0: each node is one PM_MALLOC; default 1
     PATHMAP_HUGE_PAGES       1: chunks of pools from 2 MB up begin at such an address, and Linux is asked to back them
                              with huge pages (where its setting for that is `madvise` or `always`); needs the C
                              library's malloc; default 0 (docs/memory.md)
     PM_NO_THREADS            1: counts without atomics; maps of the program live in one thread
     PM_SEES_THREADS          1: counts without atomics as long as the C library says that there is one thread; 0: no.
                              Programs that make threads past it need 0, and private copies (PATHMAP_STATIC) that hand
                              each other maps of a region's pool. Default 1 with glibc 2.32 and later, else 0
     PM_NO_STDIO              1: leave out everything that needs <stdio.h>
     PATHMAP_ZLIB             1: compressed path files (71_paths.h), by <zlib.h> (link with -lz); default 0
     PM_NO_SIMD               1: portable C only
     PM_CHECK                 0 no checks; 1 what a map is used for: tells (stderr) of readers used after their map was
                              written, of two writers on one map, of writes to a map that a writer or a head has, of
                              structs copied and dropped twice; 2 local invariants too; 3 the whole trie after each
                              write too; default 0. Wrong arguments are refused alike at all levels
     PM_ASSERT(c)             what a failed check does; default assert(c)
     PM_ON_ATOMIC_RMW()       statement run before each atomic read-modify-write (instrumentation); default nothing */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(PATHMAP_STATIC) && !defined(PATHMAP_IMPLEMENTATION)
#define PATHMAP_IMPLEMENTATION
#endif

#ifndef PM_API
#ifdef PATHMAP_STATIC
#if defined(__GNUC__)
#define PM_API __attribute__((unused)) static
#else
#define PM_API static
#endif
#else
#define PM_API extern
#endif
#endif

#if defined(__GNUC__)
#define PM_NODISCARD __attribute__((warn_unused_result))
#else
#define PM_NODISCARD
#endif

/* For what a macro of this header defines in the user's file, which is C or C++: functions of which some stay unused,
   and casts of pointers. */
#if defined(__GNUC__)
#define PM_INLINE __attribute__((unused)) static inline
#else
#define PM_INLINE static inline
#endif
#ifdef __cplusplus
#define PM_CAST(type, p) reinterpret_cast<type>(p)
#define PM_ALIGNOF(type) alignof(type)
#else
#define PM_CAST(type, p) ((type)(p))
#define PM_ALIGNOF(type) _Alignof(type)
#endif

#if defined(PM_MALLOC) != defined(PM_FREE)
#error "define both PM_MALLOC and PM_FREE, or neither"
#endif
