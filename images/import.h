/*
 * import: an image that others made becomes one of ours.
 *
 * How it works: its layers become a tree (container_image.h), which goes into the store as any
 * other root does (assemble.h); kernel and initramfs are those of an image that is there, so
 * nothing is fetched. Nothing is unpacked into a folder, mounted, or run. A failed import leaves
 * nothing.
 */
#ifndef LZ_IMAGES_IMPORT_H
#define LZ_IMAGES_IMPORT_H

#include "base/digest.h"
#include "base/err.h"
#include "images/progress.h"

struct image_import {
    const char *store_dir;
    /*
     * "oci:DIR[:TAG]"             an OCI image layout
     * "docker-archive:FILE[:REF]" what 'docker save' writes, may be compressed
     * "oci-archive:FILE[:TAG]"    an OCI image layout in a tar, the same
     * "docker://REF"              from a registry, by skopeo
     */
    const char *source;
    const char *tag;  /* what to call it */
    const char *base; /* the image whose kernel and initramfs it gets */
    struct progress progress;
};

/* Says the digest of the manifest. ERR_USAGE: not a source, or a bad name; ERR_IMAGE: what is
 * wrong with the image, and where; ERR_HOST: a tool or a disk. */
int image_import(const struct image_import *w, char ret_digest[DIGEST_HEX_SIZE], struct err *e);

#endif
