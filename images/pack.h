/*
 * pack: host folders -> one read-only squashfs input disk. Nothing is mounted.
 */
#ifndef LZ_IMAGES_PACK_H
#define LZ_IMAGES_PACK_H

#include "base/err.h"
#include "base/str.h"

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

/*
 * One folder: its contents at the top. Several: each as a folder with its own name (ERR_USAGE if
 * two have the same). Symbolic links that stay inside are kept as they are; others, anything else
 * than files, folders and links, what cannot be read, and more content than `max_bytes` is
 * ERR_USAGE with its path, before anything is written. Files belong to guest ids `uid`:`gid` on the
 * disk. The file `path` must not exist; it is removed again on failure.
 */
int pack_folders(const struct strv *folders, uint64_t max_bytes, const char *path, uid_t uid,
                 gid_t gid, struct err *e);

/*
 * Does a symbolic link with this target, in a folder `depth` levels below the top, lead to what is
 * below the top? Only if it is relative and goes up at its beginning only, by at most `depth`: a
 * link in the middle could make more of a later "..".
 */
bool pack_link_stays(unsigned depth, const char *target);
#define PACK_LINK_LEAVES "is a link that leads out of the folder, or may"

#endif
