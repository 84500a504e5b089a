/*
 * root: what a recipe's packages put into the root of an image.
 *
 * How it works: for a whole system mmdebstrap writes a tar, which becomes a layer of the root
 * (rootfs.h); nothing is unpacked or mounted, so owners and modes are exact for an ordinary user
 * too. As root mmdebstrap runs in a mount namespace of its own; else it uses a user namespace, or
 * fakechroot where there are no subordinate ids. The tar is kept in the cache under the digest of
 * recipe and package versions. With the variant "extract" each package's own tar is a layer.
 */
#ifndef LZ_IMAGES_ROOT_H
#define LZ_IMAGES_ROOT_H

#include "base/doc.h"
#include "images/apt.h"
#include "images/progress.h"
#include "images/recipe.h"
#include "images/rootfs.h"

/* Adds the packages of the recipe to `to`. Minutes on a slow machine, if they are not cached. */
int root_fill(const struct apt *a, const char *cache_dir, const struct recipe *r,
              const struct progress *p, struct rootfs *to, struct err *e);
/* Returns new: what is done beyond what the recipe says, for the image's manifest. */
struct doc *root_how(enum recipe_variant variant);

#endif
