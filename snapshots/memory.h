/*
 * memory: files of guest memory: large, and mostly zeros.
 *
 * How it works: a page of zeros is neither kept nor hashed, so that copying and checking cost what
 * the guest used and not what it was given. The digest is SHA-256 over every other page in order,
 * each with its offset (u64, little-endian) in front, and the file's size at the end; whether zeros
 * are holes on the disk makes no difference to it.
 */
#ifndef LZ_SNAPSHOTS_MEMORY_H
#define LZ_SNAPSHOTS_MEMORY_H

#include "base/digest.h"

#include <stdint.h>

#define MEMORY_PAGE 4096u /* bytes; a file of memory is a whole number of them */

struct memory_sum {
    char sha256[DIGEST_HEX_SIZE];
    uint64_t size_bytes;
    uint64_t used_bytes; /* of pages that are not zeros */
};

/* ERR_HOST. The position of `fd` is not kept. */
int memory_digest(int fd, struct memory_sum *ret, struct err *e);
/* The same while copying into `to`, an empty file. */
int memory_copy(int fd, int to, struct memory_sum *ret, struct err *e);

#endif
