/* Runs an operation script on the library, on the naive model, or on both, and prints one line per operation.

     replay [--model | --both] [FILE...]     standard input without FILE; each file is a script of its own
     replay --random SEED SCRIPTS OPS GROUPS MODE [JOBS]
                                             makes up scripts and runs them on both; GROUPS is `all`, or words from
                                             map,read,write,writealg,algebra,head,txn,order,diff,view,mixed;
                                             MODE is lattice or sum
     replay --print SEED INDEX OPS GROUPS MODE
                                             prints such a script instead
     replay --minimise FILE                  drops lines from a script while both still differ on it

   --both stops at the first operation on which the two differ, and at the first damaged map. Exit status 0; 1 if a
   difference was found; 2 if the input could not be read. */

#include "replay.h"

#include <stdio.h>
#include <string.h>

static int replay_file(unsigned which, const char *name) {
    model_bytes text = {0}, out = {0};
    int rc = 0;
    if (!replay_read(name, &text)) {
        fprintf(stderr, "replay: cannot read %s\n", name ? name : "standard input");
        rc = 2;
    } else {
        if (!replay_script(which, text.data, text.len, &out, stdout)) rc = 1;
    }
    model_bytes_free(&text);
    model_bytes_free(&out);
    return rc;
}

int main(int argc, char **argv) {
    unsigned which = REPLAY_ON_LIBRARY;
    int i = 1, rc = 0;
    if (argc > 1 && strcmp(argv[1], "--random") == 0) return replay_random_main(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "--print") == 0) return replay_print_main(argc - 2, argv + 2);
    if (argc > 1 && strcmp(argv[1], "--minimise") == 0) return replay_minimise_main(argc - 2, argv + 2);
    for (; i < argc && strncmp(argv[i], "--", 2) == 0; i++) {
        if (strcmp(argv[i], "--model") == 0) {
            which = REPLAY_ON_MODEL;
        } else if (strcmp(argv[i], "--both") == 0) {
            which = REPLAY_ON_BOTH;
        } else {
            fputs("usage: replay [--model | --both] [FILE...]\n"
                  "       replay --random ... | --print ... | --minimise FILE\n", stderr);
            return 2;
        }
    }
    if (i == argc) return replay_file(which, NULL);
    for (; i < argc && !rc; i++) rc = replay_file(which, argv[i]);
    return rc;
}
