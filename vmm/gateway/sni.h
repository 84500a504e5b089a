/*
 * sni: the server's name in a TLS ClientHello. UNTRUSTED: a guest wrote it.
 *
 * RFC 8446 section 4.1.2 (and 5246 7.4.1.2), RFC 6066 section 3. Reads what is there so far and
 * keeps nothing: call it again with more. Whatever is not exactly one name in exactly one extension
 * is refused, as different servers would make different things of it.
 */
#ifndef LZ_GATEWAY_SNI_H
#define LZ_GATEWAY_SNI_H

#include <stddef.h>
#include <stdint.h>

#define SNI_NAME_SIZE 256   /* with the NUL */
#define SNI_HELLO_MAX 65536 /* bytes of a ClientHello with its record headers */

enum sni {
    SNI_MORE, /* not all of it is there */
    SNI_NAME, /* one name, in lower case */
    SNI_NONE, /* a ClientHello without a name */
    SNI_BAD,  /* no ClientHello, or none that we want to understand */
};

/* Fills `ret` (SNI_NAME_SIZE bytes) for SNI_NAME only. */
enum sni sni_read(const uint8_t *data, size_t len, char *ret);

#endif
