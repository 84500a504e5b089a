/*
 * boot: what an image boots with: a kernel and an initramfs, as objects of the store.
 *
 * Images that differ in their root alone share both.
 */
#ifndef LZ_IMAGES_BOOT_H
#define LZ_IMAGES_BOOT_H

#include "base/doc.h"
#include "images/apt.h"
#include "images/image.h"
#include "images/progress.h"
#include "images/store.h"

struct image_boot {
    struct store_object kernel, initramfs;
    char *flavour;   /* "debian", "airgap", "net" */
    char *release;   /* the version of the package that the kernel comes from */
    char *cmdline;   /* what this kernel wants */
    struct doc *how; /* packages of the container runtime; or NULL */
};
void image_boot_done(struct image_boot *b);
#define own_image_boot __attribute__((cleanup(image_boot_done)))

struct boot_source {
    struct store *store; /* opened for adding */
    const struct apt *apt;
    const char *cache_dir;  /* absolute */
    const char *agent_path; /* the static lazaret-agent */
    const char *kernel;     /* "auto" or "debian" */
    const struct progress *progress;
};

/* Makes both parts and puts them into the store. Downloads when it must. */
int boot_make(const struct boot_source *s, struct image_boot *ret, struct err *e);

/* What image `m` says of the packages of its container runtime (packages.h), or NULL: it is older
 * than that list, or not as it should be. Borrows. */
const struct doc *boot_packages(const struct manifest *m);

/* The same parts as an image that is there. */
void boot_from_image(const struct image *im, struct image_boot *ret);

#endif
