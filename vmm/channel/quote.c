/* quote: UNTRUSTED bytes -> a JSON string in printable ASCII. See quote.h. */
#include "channel/quote.h"

#include "base/file.h"
#include "shared/utf8.h"

#include <errno.h>
#include <stdint.h>
#include <string.h>
#include <sys/types.h>
#include <unistd.h>

static char *put_u16(char *out, uint32_t v)
{
    static const char hex[] = "0123456789abcdef";

    *out++ = '\\';
    *out++ = 'u';
    for (int shift = 12; shift >= 0; shift -= 4)
        *out++ = hex[v >> shift & 15];
    return out;
}

static char *put_code_point(char *out, uint32_t c)
{
    if (c >= 0x20 && c < 0x7f && c != '"' && c != '\\') {
        *out++ = (char)c;
        return out;
    }
    if (c < 0x10000)
        return put_u16(out, c);
    out = put_u16(out, 0xd800 + ((c - 0x10000) >> 10));
    return put_u16(out, 0xdc00 + ((c - 0x10000) & 0x3ff));
}

size_t quote_piece(char *out, const unsigned char *in, size_t len, int last, size_t *ret_used)
{
    const char *begin = out;
    size_t at = 0;

    while (at < len) {
        uint32_t c = 0xfffd;
        int n = utf8_decode(in + at, len - at, &c);

        if (n == 0 && !last)
            break;
        out = put_code_point(out, n > 0 ? c : 0xfffd);
        at += n > 0 ? (size_t)n : 1;
    }
    *ret_used = at;
    return (size_t)(out - begin);
}

int quote_spool(int spool_fd, int out_fd)
{
    static unsigned char in[16384];
    static char out[QUOTE_GROWTH * sizeof(in)];
    off_t at = 0;

    if (file_write_all(out_fd, "\"", 1) < 0)
        return -errno;
    for (;;) {
        ssize_t n = pread(spool_fd, in, sizeof(in), at);
        size_t used, len;

        if (n < 0 && errno == EINTR)
            continue;
        if (n < 0)
            return -errno;
        if (n == 0)
            break;
        len = quote_piece(out, in, (size_t)n, 0, &used);
        if (used == 0) /* a sequence that the end of the spool cuts off */
            len = quote_piece(out, in, (size_t)n, 1, &used);
        if (file_write_all(out_fd, out, len) < 0)
            return -errno;
        at += (off_t)used;
    }
    return file_write_all(out_fd, "\"", 1) < 0 ? -errno : 0;
}
