/* fuzz_console: whatever comes on a console, the log is plain text, the same however it is cut. */
#include "channel/console.h"
#include "tests/fuzz/fuzz.h"

#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t len)
{
    static char whole[4 * CONSOLE_CHUNK + 4], pieces[4 * CONSOLE_CHUNK + 4];
    struct console a = {0}, b = {0};
    size_t n = 0, m;

    len = len < CONSOLE_CHUNK ? len : CONSOLE_CHUNK;
    m = console_escape(&a, data, len, whole);
    for (size_t at = 0; at < len; at++) {
        char one[8];
        size_t k = console_escape(&b, data + at, 1, one);

        MUST(k <= sizeof(one) && n + k <= sizeof(pieces));
        memcpy(pieces + n, one, k);
        n += k;
    }
    MUST(m <= sizeof(whole) && n == m && memcmp(whole, pieces, n) == 0);
    for (size_t i = 0; i < n; i++)
        MUST((whole[i] >= 0x20 && whole[i] < 0x7f) || whole[i] == '\n' || whole[i] == '\t');
    return 0;
}
