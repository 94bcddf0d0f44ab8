/* One of two files of a program: it emits the code of both libraries, after it has included the headers for their
   declarations only. */
#include "../interning.h"
#include "../pathmap.h"

int two_units_a(const pm_map *m, const intern_table *t);

int two_units_a(const pm_map *m, const intern_table *t) {
    const pm_val *v = pm_get(m, "shared", 6);
    size_t len = 0;
    const char *bytes = v ? intern_bytes(t, *v, &len) : NULL;
    return bytes && len == 4 ? bytes[3] : -1;
}

#define PATHMAP_IMPLEMENTATION
#define INTERNING_IMPLEMENTATION
#define INTERN_PATHMAP 1
#include "../interning.h"
#include "../pathmap.h"
