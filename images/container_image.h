/*
 * container_image: an image of somebody else's making: its layers and what it wants to run.
 *
 * oci_layout.h and docker_archive.h find one in a bundle; here it becomes a tree (rootfs.h) and an
 * image_config. UNTRUSTED: what the documents say is checked against what the blobs are.
 */
#ifndef LZ_IMAGES_CONTAINER_IMAGE_H
#define LZ_IMAGES_CONTAINER_IMAGE_H

#include "base/digest.h"
#include "base/doc.h"
#include "base/err.h"
#include "base/str.h"
#include "images/bundle.h"
#include "images/manifest.h"
#include "images/progress.h"
#include "images/rootfs.h"

#include <stdint.h>

/* Who runs when the image says root or nothing: a job never is root. */
#define CONTAINER_IMAGE_UID 1000u
#define CONTAINER_IMAGE_GID 1000u

/* Bytes of all plain layers together: their contents, and headers around each. */
#define CONTAINER_IMAGE_BYTES_MAX (ROOTFS_BYTES_MAX + (uint64_t)ROOTFS_ENTRIES_MAX * 2048)

struct container_layer {
    char *name;                    /* in the bundle */
    char sha256[DIGEST_HEX_SIZE];  /* of the file; "": nobody said */
    uint64_t size_bytes;           /* of the file; UINT64_MAX: nobody said */
    char diff_id[DIGEST_HEX_SIZE]; /* of what is in it */
};

struct container_image {
    const char *kind;                      /* "oci", "docker" */
    char *reference;                       /* what the bundle calls it, or NULL */
    char manifest_sha256[DIGEST_HEX_SIZE]; /* "": it has none */
    char config_sha256[DIGEST_HEX_SIZE];
    struct doc *config; /* the whole document */
    struct container_layer *layers;
    size_t n_layers;
};
void container_image_done(struct container_image *ci);
#define own_container_image __attribute__((cleanup(container_image_done)))

/* Copies what the bundle calls it, escaped; NULL is nothing. */
void container_image_set_reference(struct container_image *ci, const char *name);
/* Copies `name`, and `sha256` if it is not NULL. */
void container_image_add_layer(struct container_image *ci, const char *name, const char *sha256,
                               uint64_t size_bytes);
/* Once config and layers are there: it is for linux on amd64, and there is a diff_id for each
 * layer, which is taken over. ERR_IMAGE. */
int container_image_check(struct container_image *ci, struct err *e);

/* Puts the layers on the tree, each checked by both digests. Temporary files without a name in
 * `temp_dir`. ERR_IMAGE names the layer; ERR_HOST when there is no room. */
int container_image_unpack(const struct container_image *ci, const struct bundle *b,
                           const char *temp_dir, struct rootfs *r, const struct progress *p,
                           struct err *e);

/* What it wants to run, as whom and where, once its tree is there; the working folder is made if it
 * is missing. What is not as the image says is added to `notes`. ERR_IMAGE. */
int container_image_config(const struct container_image *ci, struct rootfs *r,
                           struct image_config *ret, struct strv *notes, struct err *e);

/* Returns new: created_from of the manifest. */
struct doc *container_image_origin(const struct container_image *ci);

/* For an error of doc.h, which takes every document for our own: ERR_IMAGE, "WHAT: ...". */
int container_image_bad_doc(const char *what, struct err *e);
/* "sha256:" and 64 hex digits to the digits; ERR_IMAGE. `what` names it in the error. */
int container_image_parse_digest(const char *text, const char *what,
                                 char ret_sha256[DIGEST_HEX_SIZE], struct err *e);

#endif
