/*
 * prune: takes out of the store what no name needs: blobs, signatures, leftovers.
 *
 * How it works: everything that the names lead to is needed: manifests and their parts, records of
 * kernels and their files. Only when all of it could be read is it known what is not needed. Who
 * removes is alone in the store, so nobody is between a blob and its name (store.h); who has a part
 * open keeps it.
 */
#ifndef LZ_IMAGES_PRUNE_H
#define LZ_IMAGES_PRUNE_H

#include "base/err.h"

#include <stdint.h>

struct prune_freed {
    uint64_t blobs, signatures, leftovers; /* files */
    uint64_t bytes;
    struct err kept; /* not ERR_NONE: why the blobs of a removed image had to stay */
};

/* Removes the name of an image, and what only it needed. ERR_IMAGE if there is none; ERR_HOST. */
int image_remove(const char *store_dir, const char *name, struct prune_freed *ret, struct err *e);
/* Removes everything that no name needs. ERR_IMAGE when a manifest or record is damaged, with its
 * name and the way out; then nothing is removed. */
int image_prune(const char *store_dir, struct prune_freed *ret, struct err *e);

#endif
