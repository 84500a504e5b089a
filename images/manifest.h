/*
 * manifest: what an image is, on one page: its parts by digest, what it runs, how it was made.
 *
 * A JSON blob of the store; its digest is the image's identity. There is no time in it: the same
 * inputs give the same bytes. lazaret-image(5) says what each key means.
 *
 *     {"format": "lazaret-image", "version": 2, "architecture": "x86_64",
 *      "protocol": 1,                       the boundary's version that the agent in it speaks
 *      "cmdline": "console=ttyS0 ...",      kernel arguments that its kernel wants
 *      "kernel":    {"sha256": HEX, "size": N, "flavour": "debian", "release": "6.12.117-1"},
 *      "initramfs": {"sha256": HEX, "size": N},
 *      "root":      {"sha256": HEX, "size": N, "filesystem": "squashfs",
 *                    "verity": {"root_hash": HEX, "salt": HEX, "data_blocks": N, "hash_start": N}},
 *      "config":    {"entrypoint": [...], "command": [...], "env": ["K=V", ...],
 *                    "workdir": "/work", "uid": 1000, "gid": 1000},
 *      "packages":  [{"type": "deb", "name": "...", "version": "..."}, ...],   in the root
 *      "recipe":    {...},                  how it was made; for people
 *      "created_from": {"kind": "recipe", ...}}                                strings; for people
 */
#ifndef LZ_IMAGES_MANIFEST_H
#define LZ_IMAGES_MANIFEST_H

#include "base/doc.h"
#include "base/err.h"
#include "base/str.h"
#include "images/store.h"
#include "images/verity.h"

#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#define MANIFEST_FORMAT       "lazaret-image"
#define MANIFEST_VERSION      2u
#define MANIFEST_ARCHITECTURE "x86_64"
#define MANIFEST_MAX          (4u << 20) /* bytes */

enum image_part { IMAGE_KERNEL, IMAGE_INITRAMFS, IMAGE_ROOT, IMAGE_PARTS };
const char *image_part_name(enum image_part part); /* "kernel", "initramfs", "root" */

/* What the image runs when nothing else is said, as whom and where. Ids are the container's own. */
struct image_config {
    struct strv entrypoint, command, env;
    char *workdir; /* absolute */
    uid_t uid;     /* 0 to 65535 */
    gid_t gid;
};
void image_config_done(struct image_config *c);
#define own_image_config __attribute__((cleanup(image_config_done)))

/* Checks what the struct itself does not: ERR_IMAGE names the field. */
int image_config_check(const struct image_config *c, struct err *e);

struct manifest {
    uint64_t protocol;
    char *cmdline;
    struct store_object parts[IMAGE_PARTS];
    char *kernel_flavour, *kernel_release;
    struct verity verity; /* of the root */
    struct image_config config;
    struct doc *packages;     /* array (packages.h) */
    struct doc *recipe;       /* object */
    struct doc *created_from; /* object of strings, with "kind" */
};
void manifest_done(struct manifest *m);
#define own_manifest __attribute__((cleanup(manifest_done)))

/* Strict: a missing key, a wrong value and an unknown key are ERR_IMAGE. Whether this lazaret can
 * run the image (its protocol) is not looked at. */
int manifest_parse(const char *text, size_t len, struct manifest *ret, struct err *e);

/* Return new: the document, and its text, which is the same for the same manifest. */
struct doc *manifest_to_doc(const struct manifest *m);
char *manifest_format(const struct manifest *m);

#endif
