/* Tells DRD what C11 atomics order. That tool sees each memory access, but takes an atomic word for a plain one, and
   knows of no order that it makes. Here every atomic operation of a program, the library's and the test's own, says so:
   a release is followed by whatever acquires from the same word later, and the word itself is no race. So what DRD
   reports then, if anything, is an access to plain memory that no lock, thread start or atomic orders.

   Included before all else (-include) in the configurations whose name ends in `drd`. ANNOTATE_WEAKEN=sub, store or rmw
   in the environment leaves the releases of such operations unsaid: the races that must then be reported show that
   the checker is awake. */
#ifndef ANNOTATE_H
#define ANNOTATE_H

#include <stdatomic.h>
#include <stddef.h>
#include <valgrind/drd.h>

extern char *getenv(const char *name);

typedef enum annotate_kind { ANNOTATE_LOAD, ANNOTATE_STORE, ANNOTATE_RMW, ANNOTATE_SUB } annotate_kind;

/* The word whose order an acquire fence completes: of the last operation that did not itself acquire. */
static _Thread_local const volatile void *annotate_seen;

/* Which releases are left unsaid: those of kind - 1; 0: none. */
__attribute__((unused)) static int annotate_weak(annotate_kind kind) {
    static int weak = -1;
    if (weak < 0) {
        const char *s = getenv("ANNOTATE_WEAKEN");
        weak = !s ? 0 : *s == 'r' ? 1 + ANNOTATE_RMW : s[1] == 't' ? 1 + ANNOTATE_STORE : 1 + ANNOTATE_SUB;
    }
    return weak == 1 + (int)kind;
}

__attribute__((unused)) static void annotate_before(const volatile void *p, size_t n, annotate_kind kind, int order) {
    ANNOTATE_BENIGN_RACE_SIZED(p, n, "atomic");
    if (kind == ANNOTATE_LOAD || order == memory_order_relaxed || order == memory_order_acquire) return;
    if (!annotate_weak(kind)) ANNOTATE_HAPPENS_BEFORE(p);
}

__attribute__((unused)) static void annotate_after(const volatile void *p, annotate_kind kind, int order) {
    if (kind == ANNOTATE_STORE) return;
    if (order == memory_order_relaxed || order == memory_order_release) annotate_seen = p;
    else ANNOTATE_HAPPENS_AFTER(p);
}

__attribute__((unused)) static void annotate_fence(int order) {
    if (order != memory_order_relaxed && order != memory_order_release && annotate_seen)
        ANNOTATE_HAPPENS_AFTER(annotate_seen);
    atomic_thread_fence(order);
}

#define ANNOTATE_RUN(p, kind, order, operation)                                                                       \
    __extension__({                                                                                                   \
        __auto_type annotate_p = (p);                                                                                 \
        annotate_before(annotate_p, sizeof *annotate_p, kind, order);                                                 \
        __auto_type annotate_old = operation;                                                                         \
        annotate_after(annotate_p, kind, order);                                                                      \
        annotate_old;                                                                                                 \
    })

#undef atomic_load_explicit
#undef atomic_store_explicit
#undef atomic_exchange_explicit
#undef atomic_compare_exchange_strong_explicit
#undef atomic_fetch_add_explicit
#undef atomic_fetch_sub_explicit
#undef atomic_fetch_or_explicit
#undef atomic_fetch_and_explicit
#undef atomic_thread_fence
#define atomic_load_explicit(p, o) ANNOTATE_RUN(p, ANNOTATE_LOAD, o, __atomic_load_n(annotate_p, o))
#define atomic_store_explicit(p, v, o)                                                                                \
    ((void)ANNOTATE_RUN(p, ANNOTATE_STORE, o, (__atomic_store_n(annotate_p, (v), o), 0)))
#define atomic_exchange_explicit(p, v, o) ANNOTATE_RUN(p, ANNOTATE_RMW, o, __atomic_exchange_n(annotate_p, (v), o))
#define atomic_compare_exchange_strong_explicit(p, e, v, o, f)                                                        \
    ANNOTATE_RUN(p, ANNOTATE_RMW, o, __atomic_compare_exchange_n(annotate_p, (e), (v), 0, o, f))
#define atomic_fetch_add_explicit(p, v, o) ANNOTATE_RUN(p, ANNOTATE_RMW, o, __atomic_fetch_add(annotate_p, (v), o))
#define atomic_fetch_sub_explicit(p, v, o) ANNOTATE_RUN(p, ANNOTATE_SUB, o, __atomic_fetch_sub(annotate_p, (v), o))
#define atomic_fetch_or_explicit(p, v, o) ANNOTATE_RUN(p, ANNOTATE_RMW, o, __atomic_fetch_or(annotate_p, (v), o))
#define atomic_fetch_and_explicit(p, v, o) ANNOTATE_RUN(p, ANNOTATE_RMW, o, __atomic_fetch_and(annotate_p, (v), o))
#define atomic_thread_fence(o) annotate_fence(o)

#endif
