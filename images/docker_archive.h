/*
 * docker_archive: finds an image in what 'docker save' (and skopeo, podman, buildah) write: a tar
 * with manifest.json, which names configurations and layers by their paths in it. UNTRUSTED.
 *
 * The configuration has the layers' digests; its own is in its name. A tar that has an OCI layout
 * instead of a manifest.json is read as that.
 */
#ifndef LZ_IMAGES_DOCKER_ARCHIVE_H
#define LZ_IMAGES_DOCKER_ARCHIVE_H

#include "images/container_image.h"

/* `ref` is one of the image's names, "NAME" or "NAME:TAG"; NULL when there is but one image.
 * ERR_IMAGE, with the names that there are when it is not among them. */
int docker_archive_find(const struct bundle *b, const char *ref, struct container_image *ret,
                        struct err *e);

#endif
