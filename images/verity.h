/*
 * verity: a dm-verity hash tree behind a squashfs, and the numbers that a guest needs to use it.
 *
 * How it works: the file is filled up with zeros to whole blocks, and Debian's veritysetup appends
 * the tree: SHA-256, hash type 1, no superblock, as in the kernel's device-mapper/verity.rst. The
 * salt is the SHA-256 of the file before that, so the same bytes always get the same tree. The root
 * hash then stands for every block: a kernel that knows it finds any other byte when it reads it.
 *
 * veritysetup is run as a program, not linked: libcryptsetup is GPL. It needs neither root nor a
 * device for this, and gets the file as its stdin.
 */
#ifndef LZ_IMAGES_VERITY_H
#define LZ_IMAGES_VERITY_H

#include "base/digest.h"
#include "base/err.h"
#include "shared/guest.h"

#include <stdint.h>

#define VERITY_BLOCK_SIZE     GUEST_VERITY_BLOCK
#define VERITY_DATA_BYTES_MAX (1ull << 40) /* bytes before the tree */

struct verity {
    char root_hash[DIGEST_HEX_SIZE]; /* lower-case hex, as the salt */
    char salt[DIGEST_HEX_SIZE];
    uint64_t data_blocks; /* the first of the file; what the guest sees */
    uint64_t hash_start;  /* the tree's first block, from the start of the file */
};

/*
 * Fills up the regular file `fd` (read-write) and appends the tree. After a failure the file is of
 * no use. ERR_HOST; also for a file that is empty or over VERITY_DATA_BYTES_MAX.
 */
int verity_append(int fd, struct verity *ret, struct err *e);

/* The fields fit each other and a file of this size: data, tree, and nothing else. ERR_IMAGE. */
int verity_check_layout(const struct verity *v, uint64_t size_bytes, struct err *e);

/*
 * Reads all of the file: every block of data is what the tree says, and the tree is what the root
 * hash says. ERR_IMAGE where it is not, ERR_HOST where it cannot be found out.
 */
int verity_check(int fd, const struct verity *v, struct err *e);

#endif
