/*
 * build: makes an image from a recipe: packages, files, commands.
 *
 * Nothing is mounted on the host, nothing is installed, and no command of a recipe runs there.
 * Needs apt, squashfs-tools, cryptsetup-bin, and mmdebstrap for a whole system.
 */
#ifndef LZ_IMAGES_BUILD_H
#define LZ_IMAGES_BUILD_H

#include "base/digest.h"
#include "images/progress.h"
#include "images/recipe.h"

struct image_build {
    const char *store_dir;
    const char *tag; /* the name that the image gets */
    const struct recipe *recipe;
    const char *kernel;     /* which one: see kernel_choose() */
    const char *agent_path; /* the static lazaret-agent */
    const char *cache_dir;  /* downloads and package trees between builds; may be removed at will */
    struct progress progress;
    /*
     * Runs `script` by /bin/sh as the container's root in a guest of the image `ref`, with a
     * writable root; what it leaves under /out goes to the folder `out_dir`, which is empty. Needed
     * for recipes with commands only: images does not know how to run a guest.
     */
    int (*run)(void *arg, const char *ref, const char *script, const char *out_dir, struct err *e);
    void *run_arg;
};

/* The image is in the store whole or not at all; the digest of its manifest goes to ret_digest.
 * ERR_HOST names the missing package or the failing tool. */
int image_build(const struct image_build *w, char ret_digest[DIGEST_HEX_SIZE], struct err *e);

#endif
