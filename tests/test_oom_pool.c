/* The sweep of test_oom.c with the pool: what fails then is the pool's own growth. */
#define OOM_WITH_POOL
#include "test_oom.c"
