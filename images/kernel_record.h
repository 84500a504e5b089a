/*
 * kernel_record: a kernel of our own in the store: kernels/FLAVOUR names its record, a small JSON
 * blob, which names the bzImage and the final configuration. See lazaret-image(5).
 *
 *     {"format": "lazaret-kernel", "version": 1, "flavour": "airgap",
 *      "release": "6.12.117-1~deb12u1",   version of Debian's source package
 *      "cmdline": "console=ttyS0 ...",    kernel arguments that this kernel wants
 *      "recipe": HEX,                     SHA-256 of all that the build was told
 *      "kernel": {"sha256": HEX, "size": N}, "config": {"sha256": HEX, "size": N}}
 */
#ifndef LZ_IMAGES_KERNEL_RECORD_H
#define LZ_IMAGES_KERNEL_RECORD_H

#include "base/doc.h"
#include "images/store.h"

#define KERNEL_RECORD_FORMAT  "lazaret-kernel"
#define KERNEL_RECORD_VERSION 1u
#define KERNEL_RECORD_MAX     (16u << 10) /* bytes */

struct kernel_record {
    char *flavour, *release, *cmdline;
    char recipe[DIGEST_HEX_SIZE];
    struct store_object kernel, config;
};
void kernel_record_done(struct kernel_record *r);
#define own_kernel_record __attribute__((cleanup(kernel_record_done)))

/* Strict: unknown keys are errors. ERR_IMAGE. */
int kernel_record_parse(const char *text, size_t len, struct kernel_record *ret, struct err *e);
/* Returns new: the same bytes for the same record. */
char *kernel_record_format(const struct kernel_record *r);

/* The record of a flavour, its digest checked. ERR_IMAGE, with the way to build it. */
int kernel_record_open(const struct store *s, const char *flavour, struct kernel_record *ret,
                       struct err *e);
/* Returns new: the bzImage, its digest checked. ERR_IMAGE. */
int kernel_record_read(const struct store *s, const struct kernel_record *r, char **ret_data,
                       size_t *ret_len, struct err *e);
/* Returns new: an array of {"flavour","release","size","sha256","config"}, damaged ones with
 * "error" in place of the rest. Empty where there is no store yet. */
int kernel_record_list(const char *store_dir, struct doc **ret, struct err *e);

#endif
