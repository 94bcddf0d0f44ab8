/* A thread with a small stack, in which whatever recursed by the length of a path would end. 64 KiB, or the least that
   the system gives; checkers keep red zones around every object on the stack, so theirs are larger. */
#ifndef SMALL_STACK_H
#define SMALL_STACK_H

#include "check.h"

#include <pthread.h>

#if defined(__SANITIZE_ADDRESS__) || defined(__SANITIZE_THREAD__)
#define STACK_IS_CHECKED 1
#elif defined(__has_feature)
#if __has_feature(address_sanitizer) || __has_feature(thread_sanitizer)
#define STACK_IS_CHECKED 1
#endif
#endif
#ifndef STACK_IS_CHECKED
#define STACK_IS_CHECKED 0
#endif

/* Failed checks of `fn` are recorded; what comes after the call can look at check_failed(). */
static void run_on_small_stack(void *(*fn)(void *), void *arg) {
    pthread_attr_t attr;
    pthread_t thread;
    size_t size = STACK_IS_CHECKED ? 1024 * 1024 : 64 * 1024;
    CHECK_EQ(pthread_attr_init(&attr), 0);
    while (pthread_attr_setstacksize(&attr, size) != 0 && size < 1024 * 1024) size *= 2;
    CHECK_EQ(pthread_create(&thread, &attr, fn, arg), 0);
    CHECK_EQ(pthread_join(thread, NULL), 0);
    CHECK_EQ(pthread_attr_destroy(&attr), 0);
}

#endif
