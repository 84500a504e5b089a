/*
 * pack: host folders -> one read-only squashfs input disk. Nothing is mounted.
 */
#ifndef LZ_IMAGES_PACK_H
#define LZ_IMAGES_PACK_H

#include "base/err.h"
#include "base/str.h"

#include <stdint.h>
#include <sys/types.h>

/*
 * One folder: its contents at the top. Several: each as a folder with its own name (ERR_USAGE if
 * two have the same). Symbolic links are kept as they are; anything else than files, folders and
 * links, and what cannot be read, is ERR_USAGE with its path, before anything is written. Files
 * belong to guest ids `uid`:`gid` on the disk. The file `path` must not exist; it is removed again
 * on failure.
 */
int pack_folders(const struct strv *folders, const char *path, uid_t uid, gid_t gid, struct err *e);

#endif
