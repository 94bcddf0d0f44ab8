/* The sweep of test_oom.c with maps in a region that is full but for a few blocks of each size. */
#define OOM_WITH_POOL
#define OOM_IN_REGION
#include "test_oom.c"
