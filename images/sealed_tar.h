/*
 * sealed_tar: tar archives that are sealed to a key (seal/age.h): opened, checked, passed on.
 *
 * How it works: a child without rights (reader.h) has the key, the sealed file and a file for the
 * plaintext, which the caller says where it is: in memory, if no disk shall see it. The child opens
 * all of it before it looks at the archive, so that nothing is believed that was changed or cut
 * off. Then it walks the archive and writes what is sound of it, in a form of our own, to whoever
 * is next: sqfstar, or lazaret-unpack. Those never see a byte of the archive's own headers.
 */
#ifndef LZ_IMAGES_SEALED_TAR_H
#define LZ_IMAGES_SEALED_TAR_H

#include "base/err.h"
#include "seal/key.h"

#include <stdint.h>
#include <sys/types.h>

/*
 * An archive becomes an input disk, as pack_folders() makes it of one folder: files, folders and
 * symbolic links that stay inside; anything else is ERR_USAGE. The archive may have `max_bytes`. In
 * memory but for `path`, which must not exist and is removed again on failure.
 */
int sealed_tar_pack(int sealed_fd, const struct seal_identity *id, uint64_t max_bytes,
                    const char *path, uid_t uid, gid_t gid, struct err *e);

/* An archive becomes a tree stream (shared/tree.h) in `tree_fd`, its plaintext `plain_fd`; links
 * and devices are listed there as skipped. Both are empty files. */
int sealed_tar_to_tree(int sealed_fd, const struct seal_identity *id, int plain_fd, int tree_fd,
                       struct err *e);

/* What is sealed, as it is, whatever it is. What was written before an error is of the beginning.
 */
int sealed_to_fd(int sealed_fd, const struct seal_identity *id, int to_fd, struct err *e);

#endif
