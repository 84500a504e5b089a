/*
 * strip: covers a secret in a stream of bytes, also where it is cut over several pieces.
 *
 * How it works
 *   Knuth, Morris and Pratt's search. What could still become the secret is held back; it is a
 *   beginning of the secret itself, so nothing is stored, and a stream that holds none of it is
 *   not delayed. The secret is covered by as many asterisks: lengths that were announced stay true.
 */
#ifndef LZ_GATEWAY_STRIP_H
#define LZ_GATEWAY_STRIP_H

#include <stddef.h>
#include <stdint.h>

struct strip {
    const uint8_t *secret; /* borrowed; NULL: nothing is covered */
    size_t len;
    const uint16_t *back; /* borrowed: strip_prepare() */
    size_t held;          /* bytes that were taken and not given out */
};

/* Fills `back` (as many as the secret has bytes, at most UINT16_MAX). */
void strip_prepare(const uint8_t *secret, size_t len, uint16_t *back);
/* Takes `n` bytes; `out` has room for n + s->held. Returns how many it got. */
size_t strip_feed(struct strip *s, const uint8_t *in, size_t n, uint8_t *out);
/* The end of the stream: gives out what was held, for which `out` has room. */
size_t strip_finish(struct strip *s, uint8_t *out);

#endif
