/*
 * oci_layout: finds an image in an OCI image layout (image-spec v1.1: image-layout.md,
 * image-index.md, manifest.md), in OCI's or docker's media types. UNTRUSTED.
 *
 * How it works: index.json is the one document that nobody vouches for; it names a manifest, or an
 * index with one for linux/amd64, by digest, and from there on every document is checked.
 */
#ifndef LZ_IMAGES_OCI_LAYOUT_H
#define LZ_IMAGES_OCI_LAYOUT_H

#include "images/container_image.h"

#define OCI_INDEX_DEPTH_MAX 4 /* indexes inside each other */

/* `tag` is as index.json has it; NULL when there is but one image. ERR_IMAGE, with the tags that
 * there are when it is not among them. */
int oci_layout_find(const struct bundle *b, const char *tag, struct container_image *ret,
                    struct err *e);

#endif
