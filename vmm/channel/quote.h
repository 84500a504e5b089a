/*
 * quote: UNTRUSTED bytes -> a JSON string (RFC 8259) in printable ASCII, quotes included.
 *
 * Every byte that is not printable ASCII is written as \uXXXX, so that neither a JSON parser nor a
 * terminal can be fooled. What is not UTF-8 becomes U+FFFD, one for each byte.
 */
#ifndef LZ_CHANNEL_QUOTE_H
#define LZ_CHANNEL_QUOTE_H

#include <stddef.h>

#define QUOTE_GROWTH 6 /* bytes of output for one of input, at most */

/*
 * Quotes up to `len` bytes into `out` (of at least QUOTE_GROWTH * len bytes), without the quotes
 * around. A sequence that is cut off at the end stays unread unless this is the `last` piece.
 * Returns the length written; *ret_used is what was read.
 */
size_t quote_piece(char *out, const unsigned char *in, size_t len, int last, size_t *ret_used);

/* The whole of `spool_fd` to `out_fd`; -errno. */
int quote_spool(int spool_fd, int out_fd);

#endif
