/*
 * header: the text in front of a sealed file: for whom it is, and a MAC. Pure. UNTRUSTED input.
 *
 *   age-encryption.org/v1
 *   -> X25519 SHARE            one stanza for each recipient; those of other types are passed over
 *   BODY
 *   --- MAC
 *
 * Bytes are Base64 without padding, in canonical form; a body is wrapped at 64 columns and its last
 * line is shorter.
 */
#ifndef LZ_SEAL_HEADER_H
#define LZ_SEAL_HEADER_H

#include <stdbool.h>
#include <stddef.h>

#define SEAL_HEADER_MAX   16384u /* bytes */
#define SEAL_STANZAS_MAX  64     /* of X25519 */
#define SEAL_SHARE_BYTES  32
#define SEAL_BODY_BYTES   32 /* the wrapped file key */
#define SEAL_MAC_BYTES    32
#define SEAL_STANZA_CHARS 100 /* at most, of one of ours */

struct seal_stanza {
    unsigned char share[SEAL_SHARE_BYTES];
    unsigned char body[SEAL_BODY_BYTES];
};

struct seal_header {
    struct seal_stanza stanzas[SEAL_STANZAS_MAX];
    size_t n;
    size_t mac_at; /* the MAC is of the bytes in front: up to "---" */
    size_t size;   /* of the whole header */
    unsigned char mac[SEAL_MAC_BYTES];
};

/* False if it does not begin with a whole header of that form. */
bool seal_header_parse(const char *text, size_t len, struct seal_header *ret);

/* Appends to `out`, which has SEAL_HEADER_MAX bytes; *len is what is in it. */
void seal_header_begin(char *out, size_t *len);
void seal_header_add(char *out, size_t *len, const struct seal_stanza *s);
/* "---": what is in `out` then is what the MAC is of. */
void seal_header_mark(char *out, size_t *len);
void seal_header_end(char *out, size_t *len, const unsigned char mac[SEAL_MAC_BYTES]);

#endif
