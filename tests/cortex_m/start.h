/* What start.c has for the programs of this folder. */
#include <stdint.h>

void say(const char *text);
void say_number(uint32_t n);
void leave(int status);
void stack_mark(void);
uint32_t stack_used(void);
