/*
 * key: X25519 keys of age: "age1..." to seal to, "AGE-SECRET-KEY-1..." to open with.
 *
 * Both are Bech32 (BIP 173, without its limit of 90 characters) of 32 bytes. An identity file is
 * what `age-keygen` makes: one secret key on a line of its own, beside comments (#).
 */
#ifndef LZ_SEAL_KEY_H
#define LZ_SEAL_KEY_H

#include "base/err.h"

#include <stddef.h>

#define SEAL_KEY_BYTES      32
#define SEAL_PUBLIC_SIZE    63 /* "age1" and 58 characters, with the NUL */
#define SEAL_RECIPIENTS_MAX 16 /* of one file */

/* Whom a file is sealed to. */
struct seal_public {
    unsigned char raw[SEAL_KEY_BYTES];
};

/* Who can open it. Lives in locked memory. */
struct seal_identity {
    unsigned char secret[SEAL_KEY_BYTES];
    struct seal_public public;
};

/* ERR_USAGE, which does not repeat a text that may be a secret key. */
int seal_public_parse(const char *text, struct seal_public *ret, struct err *e);
void seal_public_format(const struct seal_public *p, char ret[SEAL_PUBLIC_SIZE]);

/* Makes a key: the file `path` (0600), which may not be there. */
int seal_identity_make(const char *path, struct seal_public *ret, struct err *e);
/* Reads an identity file that is called `what` in errors: ours, and nobody else can read it.
 * Returns new. */
int seal_identity_read(int fd, const char *what, struct seal_identity **ret, struct err *e);
/* The same, from its text, which is not changed. */
int seal_identity_parse(const char *text, size_t len, const char *what, struct seal_identity **ret,
                        struct err *e);
/* Wipes and frees. */
void seal_identity_free(struct seal_identity *id);
static inline void seal_identity_free_p(struct seal_identity **id)
{
    seal_identity_free(*id);
}
#define own_seal_identity __attribute__((cleanup(seal_identity_free_p)))

#endif
