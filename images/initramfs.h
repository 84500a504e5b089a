/*
 * initramfs: the guest's first file system: lazaret-agent as /init and what it needs, nothing else.
 *
 * An uncompressed cpio archive (newc; Documentation/driver-api/early-userspace/buffer-format.rst),
 * the same bytes for the same input: sorted, owned by root, one time for all.
 */
#ifndef LZ_IMAGES_INITRAMFS_H
#define LZ_IMAGES_INITRAMFS_H

#include "images/fileset.h"

/*
 * Writes the archive to `fd`: /init from `agent_path` (a static program), the files of each of the
 * `n` sets with the folders above them, and the empty folders /dev /proc /run /sys /tmp.
 */
int image_write_initramfs(int fd, const char *agent_path, const struct fileset *const *sets,
                          size_t n, struct err *e);

#endif
