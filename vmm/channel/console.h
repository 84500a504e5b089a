/*
 * console: copies the guest's serial console into a log that people may print on their terminal.
 *
 * UNTRUSTED bytes: printable ASCII, newline and tab stay, "\r\n" becomes "\n", everything else and
 * the backslash becomes \xNN. The log is cut at max_bytes; after that, or when the log cannot be
 * written, the console is still drained so that the guest's kernel never waits for us.
 */
#ifndef LZ_CHANNEL_CONSOLE_H
#define LZ_CHANNEL_CONSOLE_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define CONSOLE_CHUNK 4096 /* bytes read at once */

struct console {
    int fd;     /* -1 once the console is closed */
    int log_fd; /* -1 once the log is full or failed */
    uint64_t left_bytes;
    bool cr; /* the last byte was '\r', and what follows decides about it */
};

/* Borrows both. */
void console_init(struct console *c, int fd, int log_fd, uint64_t max_bytes);
/* Reads once; call it when poll() says readable. 0, or -1 with errno set: nobody drains it. */
int console_read(struct console *c);
/* Escapes `len` bytes into `out`, which has room for 4 * len + 4. Returns the length. */
size_t console_escape(struct console *c, const uint8_t *in, size_t len, char *out);

#endif
