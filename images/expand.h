/*
 * expand: a compressed file becomes a plain one: gzip and zstd, by libarchive, in a process without
 * rights (reader.h). UNTRUSTED input.
 *
 * What it is compressed with is read from its first bytes, as every reader of images does; what is
 * not compressed is copied.
 */
#ifndef LZ_IMAGES_EXPAND_H
#define LZ_IMAGES_EXPAND_H

#include "base/err.h"

#include <stdbool.h>
#include <stdint.h>

/*
 * No gzip file grows more than 1032 times (zlib, "Maximum Compression Factor"), so no layer that
 * exists as gzip can be over this; only a bomb made of zstd is. What stays small does no harm.
 */
#define EXPAND_RATIO_MAX 1100u
#define EXPAND_SMALL     (64u << 20) /* bytes up to which no ratio is looked at */

#define EXPAND_FREE_MIN (64ull << 20) /* bytes that stay free on a disk */

/* True if the bytes begin as something compressed does. */
bool expand_is_needed(int fd, uint64_t offset, uint64_t size);

/*
 * Reads `size` bytes of in_fd from `offset` and writes what they hold to out_fd, at most `max`
 * bytes. ERR_IMAGE for what is damaged, grows too much, or is over max, and *ret_over for the last;
 * ERR_HOST when out_fd cannot be written.
 */
int expand(int in_fd, uint64_t offset, uint64_t size, int out_fd, uint64_t max, bool *ret_over,
           struct err *e);

/* The same into a file without a name in `temp_dir`, and not more than there is room for: ERR_HOST.
 */
int expand_to_temp(int in_fd, uint64_t offset, uint64_t size, const char *temp_dir, uint64_t max,
                   int *ret_fd, struct err *e);

#endif
