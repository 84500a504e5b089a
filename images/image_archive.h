/*
 * image_archive: an image as one file, to be carried to another store.
 *
 * How it works: a tar (ustar; pax for a size over 8 GiB) of regular files, each with mode 0444,
 * owner 0:0 and the time 0, in this order and no other, and two zero blocks behind:
 *
 *     lazaret-archive         {"format": "lazaret-archive", "version": 1,
 *                              "manifest": "sha256:HEX", "signatures": [KEYID, ...]}
 *     blobs/sha256/HEX        the manifest
 *     blobs/sha256/HEX        its kernel, its initramfs, its root; each once
 *     signatures/KEYID.json   in the order of the key ids
 *
 * So the bytes follow from the image and its signatures, and whoever reads it knows at every byte
 * what must come next: the first file says what the second is, which says all the rest. An entry
 * that is not exactly the one that must come is an error, and nothing that is in it is looked at.
 *
 * UNTRUSTED: all of it, when it is read.
 */
#ifndef LZ_IMAGES_IMAGE_ARCHIVE_H
#define LZ_IMAGES_IMAGE_ARCHIVE_H

#include "images/image.h"
#include "images/progress.h"
#include "images/store.h"

#define IMAGE_ARCHIVE_FORMAT    "lazaret-archive"
#define IMAGE_ARCHIVE_VERSION   1u
#define IMAGE_ARCHIVE_INDEX_MAX (64u << 10) /* bytes of the first file */

/* Hashes every blob of the image, then writes it and its signatures to `fd`, which may be a pipe.
 * *ret_size_bytes is what was written. */
int image_archive_write(struct image *im, int fd, const struct progress *p,
                        uint64_t *ret_size_bytes, struct err *e);

/*
 * Reads an archive from `fd`, which may be a pipe, into the store (STORE_ADD). The image gets no
 * name; *ret_digest is that of its manifest. Nothing of the archive gets into blobs/ before all of
 * it was there and every digest was right. ERR_IMAGE says what is wrong, and where.
 */
int image_archive_read(const struct store *s, int fd, const struct progress *p,
                       char ret_digest[DIGEST_HEX_SIZE], struct err *e);

#endif
