/*
 * copy_tar: the tree that a copy is (shared/tree.h), from a tar and to one.
 *
 * How it works
 *   Both bytes are read in a process without rights (images/reader.h). A tar is read by the strict
 *   reader of images (images/tar.h): what it does not know to the last bit, a sparse file or a
 * wrong checksum, refuses the whole. So does a name that leads out of the folder (absolute, ".."),
 * or a hard link. Symbolic links, devices, pipes and set-id files are left out, as in any other
 * copy, and said. Folders that the tar does not name are made. A tree of the guest's is checked as
 * lazaret-unpack does it: a file or folder of a plain name below the one at its top, which gets the
 * name that the caller gave; each once, a folder before what is in it, modes cut to 0755.
 */
#ifndef LZ_RUN_COPY_TAR_H
#define LZ_RUN_COPY_TAR_H

#include "base/digest.h"
#include "run/run.h"

/* The tar in the regular file tar_fd becomes a tree in tree_fd. Notes: what was left out.
 * ERR_REFUSED: the tar is not one that may be taken; nothing counts then. */
int copy_tar_to_tree(int tar_fd, int tree_fd, struct run_result *notes, struct err *e);
/* What was written. */
struct copy_tar_made {
    uint64_t bytes;
    char sha256[DIGEST_HEX_SIZE];
};
/* The guest's tree in tree_fd (from offset 0) goes to tar_fd, with `top` as its name and owned by
 * us; at most max_bytes of content. ERR_PROTOCOL: it is no legal tree; what was written has no end
 * then. ERR_REFUSED: there is nothing in it. */
int copy_tree_to_tar(int tree_fd, const char *top, uint64_t max_bytes, int tar_fd,
                     struct copy_tar_made *ret, struct run_result *notes, struct err *e);

#define COPY_SHOWN 10 /* left out entries by name */

#endif
