/*
 * age: seals bytes to public keys, and opens what was sealed, in the format age v1
 * (https://age-encryption.org/v1).
 *
 * How it works: a random file key is wrapped for each recipient in the header, which an HMAC under
 * that key protects. Then 16 random bytes and the content, in chunks of 64 KiB under a key derived
 * from both: ChaCha20-Poly1305, numbered, and the last one marked, so that none can be changed,
 * moved or cut off. Who seals has thrown away all keys but those of the stream, and those when it
 * is done.
 *
 * Writing makes no system call but write(); all randomness is drawn in seal_begin(), so that a
 * process can confine itself in between.
 */
#ifndef LZ_SEAL_AGE_H
#define LZ_SEAL_AGE_H

#include "base/err.h"
#include "seal/header.h"
#include "seal/key.h"

#include <stdbool.h>
#include <stdint.h>

#define SEAL_CHUNK       65536u
#define SEAL_TAG         16u
#define SEAL_NONCE_BYTES 16u /* in front of the stream */

/* The key of a stream, and which chunk is next. */
struct seal_stream {
    unsigned char key[32];
    uint64_t chunk;
};

struct seal_writer {
    int fd; /* set by the caller after seal_begin() */
    struct seal_stream stream;
    size_t head_len; /* of the header and the nonce; 0 when they are written */
    size_t fill;
    char head[SEAL_HEADER_MAX + SEAL_NONCE_BYTES];
    unsigned char plain[SEAL_CHUNK], sealed[SEAL_CHUNK + SEAL_TAG];
};

/* 1 to SEAL_RECIPIENTS_MAX recipients; a key that nobody can have is ERR_USAGE. */
int seal_begin(struct seal_writer *w, const struct seal_public *to, size_t n, struct err *e);
/* 0, or -1 and errno. */
int seal_put(struct seal_writer *w, const void *data, size_t len);
/* The last chunk; wipes the keys and what is left of the content. */
int seal_end(struct seal_writer *w);

struct seal_reader {
    int fd;
    uint64_t offset;
    struct seal_stream stream;
    bool ended;
    struct seal_header header;
    char head[SEAL_HEADER_MAX + SEAL_NONCE_BYTES];
    unsigned char plain[SEAL_CHUNK], sealed[SEAL_CHUNK + SEAL_TAG + 1];
};

/* Reads the header of the regular file `fd`, with pread from offset 0. ERR_USAGE: not such a file,
 * not for this identity, or changed. UNTRUSTED input. */
int seal_open(struct seal_reader *r, int fd, const struct seal_identity *id, struct err *e);
/* The next part of the content, good until the next call; *ret_len is 0 at the end. */
int seal_next(struct seal_reader *r, const unsigned char **ret, size_t *ret_len, struct err *e);
/* Wipes. */
void seal_close(struct seal_reader *r);

#endif
