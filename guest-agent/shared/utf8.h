/* utf8: one code point at a time, strictly by RFC 3629. UNTRUSTED input. */
#ifndef LZ_SHARED_UTF8_H
#define LZ_SHARED_UTF8_H

#include <stddef.h>
#include <stdint.h>

/*
 * Decodes the first code point of `len` (at least 1) bytes: its length in bytes, 0 if they end
 * before it does, -1 if it is none: a stray or missing continuation byte, an overlong form, a
 * surrogate, or beyond U+10FFFF.
 */
int utf8_decode(const uint8_t *p, size_t len, uint32_t *ret_code);

#endif
