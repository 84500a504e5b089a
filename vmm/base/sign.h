/*
 * sign: Ed25519 signatures (RFC 8032), by OpenSSL, with keys in PEM files.
 *
 * The files are what `openssl genpkey -algorithm ed25519` (PKCS #8, not encrypted) and `openssl
 * pkey -pubout` (SubjectPublicKeyInfo; both RFC 8410) make. A key's id is the SHA-256 of the 32
 * bytes of its public half.
 */
#ifndef LZ_BASE_SIGN_H
#define LZ_BASE_SIGN_H

#include "base/digest.h"
#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>

#define SIGN_BYTES        64   /* of a signature */
#define SIGN_PUBLIC_BYTES 32   /* of a public key */
#define SIGN_FILE_MAX     4096 /* bytes of a key file */

struct sign_public {
    unsigned char raw[SIGN_PUBLIC_BYTES];
    char id[DIGEST_HEX_SIZE];
};

struct sign_key; /* a private key */

/* Makes a key: the file `path` (0600) and `path`.pub (0644), neither of which may be there. */
int sign_key_make(const char *path, struct sign_public *ret, struct err *e);
/* Reads a private key; the file is ours, and nobody else can even read it. Returns new. */
int sign_key_open(const char *path, struct sign_key **ret, struct err *e);
void sign_key_free(struct sign_key *k);
static inline void sign_key_free_p(struct sign_key **k)
{
    sign_key_free(*k);
}
#define own_sign_key __attribute__((cleanup(sign_key_free_p)))
void sign_key_public(const struct sign_key *k, struct sign_public *ret);

/* Reads a public key from the text of its file, which is called `what` in errors. */
int sign_public_parse(const char *text, size_t len, const char *what, struct sign_public *ret,
                      struct err *e);

int sign_bytes(const struct sign_key *k, const void *data, size_t len,
               unsigned char ret[SIGN_BYTES], struct err *e);
/* True if the owner of `p` signed these bytes; false also when that cannot be found out. */
bool sign_is_good(const struct sign_public *p, const void *data, size_t len,
                  const unsigned char signature[SIGN_BYTES]);

#endif
