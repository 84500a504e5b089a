/* fuzz: the entry of every target here: libFuzzer's, or replay.c's in ordinary builds. */
#ifndef LZ_TESTS_FUZZ_H
#define LZ_TESTS_FUZZ_H

#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len);

/* What must hold whatever the input is; not assert(), which a build may leave out. */
#define MUST(x)                                                                                    \
    do {                                                                                           \
        if (!(x))                                                                                  \
            abort();                                                                               \
    } while (0)

#endif
