/* fuzz_frame: frames come out of a byte stream the same however it is cut, and within bounds. */
#include "shared/wire.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static uint64_t frames_of(const uint8_t *data, size_t len, size_t step)
{
    static struct wire_reader r;
    struct wire_header h;
    const uint8_t *p;
    uint64_t sum = 0;
    int got = 0;

    wire_reader_init(&r);
    while (got >= 0 && len > 0) {
        uint8_t *at;
        size_t n = wire_reader_space(&r, &at);

        n = n < step ? n : step;
        n = n < len ? n : len;
        MUST(n > 0);
        memcpy(at, data, n);
        wire_reader_commit(&r, n);
        data += n;
        len -= n;
        while ((got = wire_reader_next(&r, &h, &p)) == 1) {
            MUST(h.length <= WIRE_PAYLOAD_MAX && wire_stream_exec(h.stream) <= WIRE_EXEC_MAX);
            if (wire_check(&h, WIRE_TO_HOST, WIRE_IN_RUNNING) == 0)
                MUST(wire_check(&h, WIRE_TO_HOST, WIRE_IN_NONE) < 0);
            for (uint32_t i = 0; i < h.length; i++)
                sum = sum * 31 + p[i];
            sum = sum * 31 + h.type + h.stream;
        }
    }
    return sum + (got < 0);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    MUST(frames_of(data, len, 7) == frames_of(data, len, WIRE_PAYLOAD_MAX));
    return 0;
}
