/* utf8: one code point at a time, strictly by RFC 3629. UNTRUSTED input. */
#include "shared/utf8.h"

/* Bytes that a sequence with this first byte has, -1 if none begins with it. */
static int sequence_length(uint8_t first)
{
    if (first < 0x80)
        return 1;
    if (first < 0xc2 || first > 0xf4)
        return -1;
    return first < 0xe0 ? 2 : first < 0xf0 ? 3 : 4;
}

int utf8_decode(const uint8_t *p, size_t len, uint32_t *ret_code)
{
    static const uint32_t least[] = {0, 0, 0x80, 0x800, 0x10000};
    int n = sequence_length(p[0]);
    uint32_t c;

    if (n < 0)
        return -1;
    c = n == 1 ? p[0] : p[0] & (0x7fu >> n);
    for (int i = 1; i < n; i++) {
        if ((size_t)i >= len)
            return 0;
        if ((p[i] & 0xc0) != 0x80)
            return -1;
        c = c << 6 | (p[i] & 0x3fu);
    }
    if (c < least[n] || c > 0x10ffff || (c >= 0xd800 && c < 0xe000))
        return -1;
    *ret_code = c;
    return n;
}
