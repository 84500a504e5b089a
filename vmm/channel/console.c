/* console: copies the guest's serial console into a capped log, escaped. See console.h. */
#include "channel/console.h"

#include <errno.h>
#include <unistd.h>

void console_init(struct console *c, int fd, int log_fd, uint64_t max_bytes)
{
    *c = (struct console){.fd = fd, .log_fd = log_fd, .left_bytes = max_bytes};
}

static size_t put_hex(char *out, uint8_t byte)
{
    static const char hex[] = "0123456789abcdef";

    out[0] = '\\';
    out[1] = 'x';
    out[2] = hex[byte >> 4];
    out[3] = hex[byte & 15];
    return 4;
}

size_t console_escape(struct console *c, const uint8_t *in, size_t len, char *out)
{
    size_t n = 0;

    for (size_t i = 0; i < len; i++) {
        uint8_t b = in[i];

        if (c->cr && b != '\n')
            n += put_hex(out + n, '\r');
        c->cr = b == '\r';
        if (c->cr)
            continue;
        if ((b >= 0x20 && b < 0x7f && b != '\\') || b == '\n' || b == '\t')
            out[n++] = (char)b;
        else
            n += put_hex(out + n, b);
    }
    return n;
}

static void append(struct console *c, const char *data, size_t len)
{
    if (len > c->left_bytes)
        len = (size_t)c->left_bytes;
    c->left_bytes -= len;
    while (len > 0 && c->log_fd >= 0) {
        ssize_t n = write(c->log_fd, data, len);

        if (n < 0 && errno == EINTR)
            continue;
        if (n <= 0) {
            c->log_fd = -1;
            return;
        }
        data += n;
        len -= (size_t)n;
    }
}

int console_read(struct console *c)
{
    static uint8_t in[CONSOLE_CHUNK];
    static char out[4 * CONSOLE_CHUNK + 4];
    ssize_t n = read(c->fd, in, sizeof(in));

    if (n < 0 && (errno == EINTR || errno == EAGAIN))
        return 0;
    if (n < 0 && errno != ECONNRESET)
        return -1;
    if (n <= 0) {
        c->fd = -1;
        return 0;
    }
    if (c->left_bytes > 0 && c->log_fd >= 0)
        append(c, out, console_escape(c, in, (size_t)n, out));
    return 0;
}
