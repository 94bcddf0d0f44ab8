/* Fuzzing of the operation script: any input is a script, run on the library and on the model, which must agree. A
   finding is a script that `build/replay-slim --both` runs again, and `--minimise` makes shorter. */
#include "replay.h"

#include <stdio.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size) {
    model_bytes out = {0};
    if (!replay_script(REPLAY_ON_BOTH, data, size, &out, NULL)) {
        fwrite(out.data, 1, out.len, stderr);
        abort();
    }
    model_bytes_free(&out);
    return 0;
}
