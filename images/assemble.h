/*
 * assemble: from a root, boot parts and a configuration to an image in the store.
 *
 * Builds and imports end here. The caller names the result with a tag, or does not.
 */
#ifndef LZ_IMAGES_ASSEMBLE_H
#define LZ_IMAGES_ASSEMBLE_H

#include "images/boot.h"
#include "images/manifest.h"
#include "images/rootfs.h"

struct assemble {        /* all borrowed */
    struct store *store; /* opened for adding */
    struct rootfs *root;
    const struct image_boot *boot;
    const struct image_config *config;
    struct doc *recipe;       /* how it was made, for people */
    struct doc *created_from; /* {"kind": ...}, texts */
    const struct progress *progress;
};

/* Adds the folders that a container needs, packs the root with its hash tree, lists its packages,
 * and puts the manifest into the store, whose digest it says. */
int assemble_image(const struct assemble *a, char ret_digest[DIGEST_HEX_SIZE], struct err *e);

#endif
