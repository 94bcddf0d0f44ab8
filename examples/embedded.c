/* A program without malloc, stdio in the library, or threads: all memory is one array (docs/embedded.md). */
#define PM_NO_MALLOC 1
#define PM_NO_THREADS 1
#define PM_NO_STDIO 1
#define PATHMAP_STATIC
#include <pathmap.h>

#include <stdio.h>
#include <string.h>

static _Alignas(16) unsigned char memory[16 * 1024];

static int failed(const char *what) {
    printf("no %s\n", what);
    return 1;
}

int main(void) {
    static const char *const names[] = {"gpio/led/green", "gpio/led/red", "gpio/button", "uart/1/baud", "uart/2/baud"};
    pm_map config = {0};
    if (pm_lend(memory, sizeof memory) != PM_OK) return failed("memory");
    for (unsigned i = 0; i < sizeof names / sizeof *names; i++)
        if (pm_set(&config, names[i], strlen(names[i]), i, NULL) != PM_OK) return failed("room");

    pm_map before = pm_clone(&config); /* O(1): both share all nodes until one is written */
    if (pm_set(&config, "uart/1/baud", 11, 115200, NULL) != PM_OK) return failed("room");

    pm_iter i = pm_iter_vals(&config); /* its path and its frames are in the lent memory too */
    while (pm_iter_next(&i)) printf("%.*s = %u\n", (int)i.len, (const char *)i.key, (unsigned)*i.val);
    if (pm_iter_status(&i) != PM_OK) return failed("iterator");

    const pm_val *old = pm_get(&before, "uart/1/baud", 11);
    printf("before: uart/1/baud = %u\n", old ? (unsigned)*old : 0);
    pm_drop(&before);
    pm_drop(&config);
    size_t least;
    printf("%s\n", pm_lent_free(&least) == sizeof memory ? "all memory is back" : "memory is missing");
    return 0;
}
