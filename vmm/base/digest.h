/* digest: SHA-256 (FIPS 180-4) of files and buffers, by OpenSSL, as lower-case hex. */
#ifndef LZ_BASE_DIGEST_H
#define LZ_BASE_DIGEST_H

#include "base/err.h"

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#define DIGEST_HEX_SIZE   65 /* bytes, with the NUL */
#define DIGEST_PREFIX_MIN 12 /* hex digits that may stand for a whole digest */

/* Reads `fd` from offset 0 to its end with pread; the file position stays. */
int digest_fd(int fd, char ret_hex[DIGEST_HEX_SIZE], uint64_t *ret_size_bytes, struct err *e);
/* The `size` bytes from `offset`; ERR_HOST if the file ends before. */
int digest_range(int fd, uint64_t offset, uint64_t size, char ret_hex[DIGEST_HEX_SIZE],
                 struct err *e);
int digest_bytes(const void *data, size_t len, char ret_hex[DIGEST_HEX_SIZE], struct err *e);

/* Piece by piece. Freeing accepts NULL. */
struct digest;
int digest_new(struct digest **ret, struct err *e);
int digest_add(struct digest *d, const void *data, size_t len, struct err *e);
/* Begins anew, without a system call, as one that is confined must. */
int digest_restart(struct digest *d, struct err *e);
int digest_finish(struct digest *d, char ret_hex[DIGEST_HEX_SIZE], struct err *e);
void digest_free(struct digest *d);
static inline void digest_free_p(struct digest **d)
{
    digest_free(*d);
}
#define own_digest __attribute__((cleanup(digest_free_p)))

/* True for 64 lower-case hex digits, and for 12 to 64 of them. */
bool digest_is_hex(const char *text);
bool digest_is_prefix(const char *text);

#endif
