/* fuzz_quote: whatever the bytes are, the JSON string is plain ASCII and the same in any pieces. */
#include "channel/quote.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

static size_t quote_by(char *out, const uint8_t *in, size_t len, size_t step)
{
    size_t n = 0, end = 0;

    for (size_t at = 0; at < len;) {
        size_t used;

        end = len - end < step ? len : end + step;
        n += quote_piece(out + n, in + at, end - at, end == len, &used);
        at += used;
    }
    return n;
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static char whole[QUOTE_GROWTH * 4096], pieces[QUOTE_GROWTH * 4096];
    size_t n;

    if (len > 4096)
        return 0;
    n = quote_by(whole, data, len, len);
    MUST(quote_by(pieces, data, len, 3) == n && memcmp(whole, pieces, n) == 0);
    for (size_t i = 0; i < n; i++) {
        MUST(whole[i] >= 0x20 && whole[i] < 0x7f && whole[i] != '"');
        if (whole[i] == '\\')
            MUST(i + 5 < n && whole[i + 1] == 'u');
    }
    return 0;
}
