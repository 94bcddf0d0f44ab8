/* Start of a program on a Cortex-M3 without an operating system: vectors, memory, and semihosting for output and for the
   exit status. */
#include "start.h"

extern uint32_t data_from[], data_begin[], data_end[], bss_begin[], bss_end[], stack_top[];
int main(void);

static uint32_t host_call(uint32_t number, const void *argument) {
    register uint32_t r0 __asm__("r0") = number;
    register const void *r1 __asm__("r1") = argument;
    __asm__ volatile("bkpt 0xab" : "+r"(r0) : "r"(r1) : "memory");
    return r0;
}

void say(const char *text) { (void)host_call(0x04, text); }

void say_number(uint32_t n) {
    char digits[11], *at = digits + 10;
    *at = 0;
    do *--at = (char)('0' + n % 10);
    while (n /= 10);
    say(at);
}

void leave(int status) {
    const uint32_t why[2] = {0x20026, (uint32_t)status}; /* the application has ended */
    (void)host_call(0x20, why);
    for (;;) {}
}

static void fault(void) {
    say("fault\n");
    leave(3);
}

#define UNTOUCHED 0x5afe5afeu

/* Marks the stack below the caller, so that stack_used sees how far it has been written. */
void stack_mark(void) {
    volatile uint32_t here;
    const uintptr_t end = (uintptr_t)&here - 64;
    for (volatile uint32_t *p = bss_end; (uintptr_t)p < end; p++) *p = UNTOUCHED;
}

uint32_t stack_used(void) {
    volatile uint32_t here;
    const uint32_t *p = bss_end;
    while (*p == UNTOUCHED) p++;
    return (uint32_t)((uintptr_t)&here - (uintptr_t)p);
}

void reset(void) {
    for (uint32_t *to = data_begin, *from = data_from; to < data_end;) *to++ = *from++;
    for (uint32_t *to = bss_begin; to < bss_end;) *to++ = 0;
    leave(main());
}

__attribute__((section(".vectors"), used)) static void *const vectors[16] = {
    stack_top, (void *)reset, (void *)fault, (void *)fault, (void *)fault, (void *)fault, (void *)fault};
