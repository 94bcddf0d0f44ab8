/* Switches. Define them before the include in the one file that carries the implementation; no switch changes a
   public type or prototype, so every other file may include the header plainly.

     INTERNING_IMPLEMENTATION  emit the code in this file; exactly one file of a program does
     INTERNING_STATIC          emit a private static copy for this file (implies INTERNING_IMPLEMENTATION); a table
                               must not be handed from one copy to another
     INTERN_API                linkage of public functions, default `extern` (or `static` with INTERNING_STATIC)
     INTERN_MALLOC(n) INTERN_FREE(p,n)  allocation of everything; both or neither. INTERN_MALLOC returns NULL when it
                               has none; INTERN_FREE gets the size that was allocated
     INTERN_PATHMAP            1: emit intern_snapshot and intern_each_prefix, which need pathmap.h on the include path
                               and its implementation in the program; default 0, so that this header works alone
     INTERN_NO_FILES           1: leave out intern_save and intern_load, which make system calls on files;
                               intern_save_to and intern_load_memory remain; default 0
     INTERN_NO_SIMD            1: portable C only; default 0
     INTERN_ON_ATOMIC_RMW()    statement run before each atomic read-modify-write outside of locks (instrumentation);
                               default nothing
     INTERN_ON_LOCK()          statement run before each lock is taken (instrumentation); default nothing */

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#if defined(INTERNING_STATIC) && !defined(INTERNING_IMPLEMENTATION)
#define INTERNING_IMPLEMENTATION
#endif

#ifndef INTERN_API
#ifdef INTERNING_STATIC
#if defined(__GNUC__)
#define INTERN_API __attribute__((unused)) static
#else
#define INTERN_API static
#endif
#else
#define INTERN_API extern
#endif
#endif

#if defined(__GNUC__)
#define INTERN_NODISCARD __attribute__((warn_unused_result))
#else
#define INTERN_NODISCARD
#endif

#if defined(INTERN_MALLOC) != defined(INTERN_FREE)
#error "define both INTERN_MALLOC and INTERN_FREE, or neither"
#endif
